//! A socket to a broker: TCP, or TLS over it.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::verify_tls13_signature;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::error::PerfError;
use super::uri::Uri;

/// Who takes longer to accept a connection is not there.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

pub type Socket = Pin<Box<dyn Stream>>;

/// Whom to believe.
pub enum Trust<'a> {
    /// Those that the machine trusts.
    System,
    /// Those who sign with the certificates in this file.
    File(&'a Path),
    /// Everybody.
    Insecure,
}

/// What TLS needs, made once for all connections.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    pub fn new(trust: &Trust<'_>) -> Result<Self, PerfError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| PerfError::Runtime(io::Error::other(error)))?;
        let config = match trust {
            Trust::Insecure => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
                .with_no_client_auth(),
            Trust::System => {
                let mut roots = RootCertStore::empty();
                // Those that cannot be read sign for nobody; the refusal says so.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            Trust::File(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

fn roots(path: &Path) -> Result<RootCertStore, PerfError> {
    let refuse = |cause: String| PerfError::Certificates { path: path.to_owned(), cause };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| refuse(e.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() { Err(refuse("there is none in it".to_owned())) } else { Ok(roots) }
}

/// Connects, and shakes hands where the URI asks for TLS.
pub async fn dial(uri: &Uri, tls: Option<&Tls>) -> Result<Socket, PerfError> {
    let address = || uri.to_string();
    let unreachable = |cause| PerfError::Unreachable { address: address(), cause };
    let connected = async {
        let stream = TcpStream::connect((uri.host.as_str(), uri.port)).await?;
        stream.set_nodelay(true)?;
        let Some(Tls(connector)) = tls.filter(|_| uri.tls) else {
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

/// Accepts any certificate: for brokers under test that signed their own. What they sign with it is
/// still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
