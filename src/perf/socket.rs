//! A socket to a broker: TCP, or TLS over it.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::error::PerfError;
use super::uri::Uri;

/// Who takes longer to accept a connection is not there.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

pub type Socket = Pin<Box<dyn Stream>>;

/// Connects, and shakes hands where the URI asks for TLS.
pub async fn dial(uri: &Uri, tls: Option<&TlsConnector>) -> Result<Socket, PerfError> {
    let address = || uri.to_string();
    let unreachable = |cause| PerfError::Unreachable { address: address(), cause };
    let connected = async {
        let stream = TcpStream::connect((uri.host.as_str(), uri.port)).await?;
        stream.set_nodelay(true)?;
        let Some(connector) = tls.filter(|_| uri.tls) else {
            return Ok(Box::pin(stream) as Socket);
        };
        let name = ServerName::try_from(uri.host.clone()).map_err(io::Error::other)?;
        Ok(Box::pin(connector.connect(name, stream).await?) as Socket)
    };
    match timeout(PATIENCE, connected).await {
        Ok(connected) => connected.map_err(unreachable),
        Err(_) => Err(PerfError::NoAnswer { address: address(), seconds: PATIENCE.as_secs() }),
    }
}
