//! TLS for listeners that want it.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ServerError;

pub type Acceptor = TlsAcceptor;

/// Reads a certificate chain and its key, both PEM.
pub fn acceptor(certificates: &Path, key: &Path) -> Result<Acceptor, ServerError> {
    let refuse = |file: &Path, reason: String| ServerError::Certificate {
        file: file.display().to_string(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(certificates, error.to_string()))?;
    if chain.is_empty() {
        return Err(refuse(certificates, "it has no certificate in it".to_owned()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(certificates, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| refuse(key, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
