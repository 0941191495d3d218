//! PEM files: certificates and a key.

use std::path::Path;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Options, TlsError};

pub(super) struct Files {
    /// The server's certificate, and those that lead from it to its authority.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// Who may sign clients' certificates.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Files {
    pub fn read(options: &Options) -> Result<Self, TlsError> {
        let chain = certificates(&options.certificate_file)?;
        let key = PrivateKeyDer::from_pem_file(&options.key_file)
            .map_err(|error| TlsError::new(&options.key_file, error.to_string()))?;
        let authorities = match &options.ca_file {
            Some(file) => certificates(file)?,
            None => Vec::new(),
        };
        Ok(Self { chain, key, authorities })
    }
}

pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError::new(file, error.to_string()))?;
    match found.is_empty() {
        true => Err(TlsError::new(file, "it has no certificate in it")),
        false => Ok(found),
    }
}
