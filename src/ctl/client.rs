//! Asks a broker over HTTP, with one connection that is used again as long as it lasts.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::error::CtlError;
use super::thing::Thing;
use crate::transport::tls::client::{Trust, connector};

/// Bytes of an answer. A list of 100 000 queues has some 200 MB.
const ANSWER_BYTES_MAX: usize = 2 << 30;
/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Where the broker is, and who asks.
#[derive(Clone)]
pub struct Target {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    /// What stands before `/api`: a proxy's.
    pub prefix: String,
    pub user: String,
    pub password: String,
}

impl Target {
    /// `http[s]://user:password@host:port/prefix`; what is left out is RabbitMQ's default.
    pub fn parse(text: &str) -> Result<Self, CtlError> {
        let wrong = |why: &str| CtlError::Config(format!("the URI of the broker: {why}"));
        let uri: Uri = text.parse().map_err(|_| wrong("it is none"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it begins with http:// or https://")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("no host"))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let decoded = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(String::from).map_err(|_| wrong("user and password are not UTF-8"))
        };
        let (user, password) = match authority.rsplit_once('@') {
            None => ("guest".to_owned(), "guest".to_owned()),
            Some((login, _)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (decoded(user)?, decoded(password)?)
            }
        };
        let port =
            match authority.rsplit_once('@').map_or(authority, |(_, at)| at).strip_prefix(host) {
                Some("") | None => {
                    if tls {
                        15671
                    } else {
                        15672
                    }
                }
                Some(_) => uri.port_u16().ok_or_else(|| wrong("its port is none"))?,
            };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let prefix = uri.path().trim_end_matches('/').to_owned();
        // People copy it from a browser or from an example of the API.
        let prefix = prefix.strip_suffix("/api").map(str::to_owned).unwrap_or(prefix);
        Ok(Self { tls, host, port, prefix, user, password })
    }

    /// Without the login: this is shown.
    pub fn address(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// What the broker said.
pub struct Answer {
    pub status: StatusCode,
    /// `null` where there is none.
    pub body: Value,
}

impl Answer {
    /// Of a refusal.
    pub fn reason(&self) -> &str {
        self.body.get("reason").and_then(Value::as_str).unwrap_or_default()
    }
}

pub struct Client {
    target: Target,
    tls: Option<TlsConnector>,
    timeout: Duration,
    open: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// `cacert`: who may vouch for the broker, instead of those that the machine trusts.
    pub fn new(
        target: Target,
        cacert: Option<PathBuf>,
        timeout: Duration,
    ) -> Result<Self, CtlError> {
        let trust = cacert.as_deref().map_or(Trust::System, Trust::File);
        let tls = match target.tls {
            true => Some(connector(trust).map_err(|error| CtlError::Config(error.to_string()))?),
            false => None,
        };
        Ok(Self { target, tls, timeout, open: Mutex::new(None) })
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same broker, asked by somebody else.
    pub fn as_user(&self, user: &str, password: &str) -> Self {
        let (user, password) = (user.to_owned(), password.to_owned());
        let target = Target { user, password, ..self.target.clone() };
        Self { target, tls: self.tls.clone(), timeout: self.timeout, open: Mutex::new(None) }
    }

    pub async fn get(&self, thing: &Thing) -> Result<Value, CtlError> {
        Ok(self.ask(Method::GET, thing, None).await?.body)
    }

    /// Whether it was made, and not changed.
    pub async fn put(&self, thing: &Thing, body: Value) -> Result<bool, CtlError> {
        Ok(self.ask(Method::PUT, thing, Some(body)).await?.status == StatusCode::CREATED)
    }

    pub async fn post(&self, thing: &Thing, body: Value) -> Result<Value, CtlError> {
        Ok(self.ask(Method::POST, thing, Some(body)).await?.body)
    }

    pub async fn delete(&self, thing: &Thing) -> Result<(), CtlError> {
        self.ask(Method::DELETE, thing, None).await.map(drop)
    }

    /// An answer that is no refusal.
    async fn ask(
        &self,
        method: Method,
        thing: &Thing,
        body: Option<Value>,
    ) -> Result<Answer, CtlError> {
        let answer = self.send(method, thing, body, None).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(self.refusal(thing, &answer)),
        }
    }

    /// Any answer. `why` goes into the header `X-Reason`.
    pub async fn send(
        &self,
        method: Method,
        thing: &Thing,
        body: Option<Value>,
        why: Option<&str>,
    ) -> Result<Answer, CtlError> {
        let sent = self.send_in_time(method, thing, body, why);
        match tokio::time::timeout(self.timeout, sent).await {
            Ok(answer) => answer,
            Err(_) => Err(CtlError::TimedOut {
                address: self.target.address(),
                seconds: self.timeout.as_secs_f64(),
            }),
        }
    }

    async fn send_in_time(
        &self,
        method: Method,
        thing: &Thing,
        body: Option<Value>,
        why: Option<&str>,
    ) -> Result<Answer, CtlError> {
        let credentials = format!("{}:{}", self.target.user, self.target.password);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api{}", self.target.prefix, thing.path()))
            .header(HOST, self.target.authority())
            .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(credentials)))
            .header(USER_AGENT, concat!("leveret/", env!("CARGO_PKG_VERSION")));
        if let Some(vhost) = thing.only_vhost() {
            request = request.header("x-vhost", vhost);
        }
        if let Some(why) = why {
            request = request.header("x-reason", why.as_bytes());
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes));
        let request = request.map_err(|error| CtlError::Usage(error.to_string()))?;
        let mut open = self.open.lock().await;
        let mut kept = open.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let lost = |error: hyper::Error| self.unreachable(&error);
        let response = sender.send_request(request).await.map_err(lost)?;
        let answer = self.read(response).await?;
        *open = Some(sender);
        Ok(answer)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, CtlError> {
        let Target { host, port, .. } = &self.target;
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.map_err(|error| self.unreachable(&error))?;
        match &self.tls {
            None => self.shake_hands(stream).await,
            Some(tls) => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| CtlError::Config(format!("{host:?}: {error}")))?;
                let stream = tls.connect(name, stream).await;
                self.shake_hands(stream.map_err(|error| self.unreachable(&error))?).await
            }
        }
    }

    async fn shake_hands(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<SendRequest<Full<Bytes>>, CtlError> {
        let mut builder = Builder::new();
        let shaken = builder.max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| self.unreachable(&error))?;
        // What goes wrong with it is told to who waits for an answer.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn read(&self, response: Response<hyper::body::Incoming>) -> Result<Answer, CtlError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unreachable(&*error))?.to_bytes();
        if body.is_empty() {
            return Ok(Answer { status, body: Value::Null });
        }
        match serde_json::from_slice(&body) {
            Ok(body) => Ok(Answer { status, body }),
            Err(_) if !status.is_success() => Ok(Answer { status, body: Value::Null }),
            Err(_) => {
                let address = self.target.address();
                Err(CtlError::Software(format!("{address} does not speak the management API")))
            }
        }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> CtlError {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        CtlError::Unreachable(format!("cannot reach {}: {error}{cause}", self.target.address()))
    }

    /// What a refusal means to who asked for it.
    pub fn refusal(&self, thing: &Thing, answer: &Answer) -> CtlError {
        let (status, reason) = (answer.status, answer.reason());
        let user = &self.target.user;
        match status.as_u16() {
            401 if matches!(reason, "" | "Not_Authorized" | "Login failed") => {
                CtlError::NoPermission(format!("wrong name or password for user '{user}'"))
            }
            401 | 403 => CtlError::NoPermission(format!("user '{user}' may not do that: {reason}")),
            404 if matches!(reason, "" | "Not Found") => thing.missing(),
            400 | 404 | 409 | 412 => CtlError::Data(reason.trim().replace("\n\n", ": ")),
            408 | 503 => CtlError::Unreachable(format!("the broker says: {reason}")),
            _ => CtlError::Software(format!("the broker answered {status} {reason}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_and_their_defaults() {
        for (text, address, prefix, user, password) in [
            ("http://h", "http://h:15672", "", "guest", "guest"),
            ("https://h/", "https://h:15671", "", "guest", "guest"),
            ("http://u:p@h:1/x/", "http://h:1", "/x", "u", "p"),
            ("http://u:p@h:1/x/api/", "http://h:1", "/x", "u", "p"),
            ("http://a%40b:p%3A%2F@h", "http://h:15672", "", "a@b", "p:/"),
            ("http://u@[::1]:15", "http://[::1]:15", "", "u", ""),
        ] {
            let target = Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let Target { prefix: found, user: u, password: p, .. } = &target;
            assert_eq!(
                (&*target.address(), &**found, &**u, &**p),
                (address, prefix, user, password)
            );
        }
        for text in
            ["h:1", "http://h:x", "amqp://h", "http://", "http://h:99999", "", "http://%ff@h"]
        {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
