//! Asks a web server for a small document: one `GET` over a connection of its own.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::ServerError;
use crate::transport::tls::TlsError;
use crate::transport::tls::client::{self, Trust};

/// From the connection to the last byte. Two of them fit into the time that a client has to log in.
const TIME_MAX: Duration = Duration::from_secs(4);

/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

pub(super) struct Fetcher {
    connector: TlsConnector,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it is not a URL that begins with https:// or http://")]
    Url,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("it did not answer within {} seconds", TIME_MAX.as_secs())]
    TimedOut,
}

impl Fetcher {
    /// `authorities`: who vouches for servers, PEM; otherwise those that browsers trust.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, ServerError> {
        let trust = authorities.map_or(Trust::Browsers, Trust::File);
        let unusable = |error: TlsError| ServerError::unusable(error.file.as_ref(), error.reason);
        Ok(Self { connector: client::connector(trust).map_err(unusable)? })
    }

    /// The document, of so many bytes at most. Redirections are not followed.
    pub(super) async fn get(&self, url: &str, bytes_max: usize) -> Result<Bytes, FetchError> {
        let get = self.get_in_time(url, bytes_max);
        tokio::time::timeout(TIME_MAX, get).await.map_err(|_| FetchError::TimedOut)?
    }

    async fn get_in_time(&self, url: &str, bytes_max: usize) -> Result<Bytes, FetchError> {
        let uri: Uri = url.parse().map_err(|_| FetchError::Url)?;
        let host = uri.host().ok_or(FetchError::Url)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match uri.scheme_str() {
            Some("http") => {
                let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
                exchange(stream, &uri, bytes_max).await
            }
            Some("https") => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::Url)?;
                let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
                let stream = self.connector.connect(name, stream).await?;
                exchange(stream, &uri, bytes_max).await
            }
            _ => Err(FetchError::Url),
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    uri: &Uri,
    bytes_max: usize,
) -> Result<Bytes, FetchError> {
    let authority = uri.authority().ok_or(FetchError::Url)?.as_str();
    // Who is named before the host is none of the server's business.
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("leveret/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Url)?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), bytes_max).collect().await;
        Ok(body.map_err(FetchError::Body)?.to_bytes())
    };
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        answer = &mut answer => answer,
        // It may have ended because everything is there.
        _ = &mut connection => answer.await,
    }
}
