//! A certification authority of a test's own, and clients that trust it.

// Every test file is a crate of its own and uses a part of this; whatever fails here fails a test.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use leveret::config::{LoginFrom, SanType, TlsVersion, Verify};
use leveret::transport::tls::{Login, Options};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// For `localhost`.
    pub fn server(&self) -> Issued {
        self.issue(&CertificateParams::new(["localhost".to_owned()]).unwrap())
    }

    /// For a client of this name.
    pub fn client(&self, name: &str) -> Issued {
        self.issue(&client(name))
    }

    /// A client that knows this authority, and shows a certificate if it has one.
    pub fn connector(&self, own: Option<&Issued>) -> ClientConfig {
        self.connector_of(&[&version::TLS12, &version::TLS13], own)
    }

    pub fn connector_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Issued>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let Some(own) = own else { return builder.with_no_client_auth() };
        let chain = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        builder.with_client_auth_cert(vec![chain], key).unwrap()
    }
}

/// What a client's certificate is made from.
pub fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// The same, from a time long ago.
pub fn expired(mut params: CertificateParams) -> CertificateParams {
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    params
}

/// The files of a server.
pub struct Directory(tempfile::TempDir);

impl Directory {
    /// With `ca.pem`, `server.pem` and `server.key`.
    pub fn new(authority: &Authority) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        directory.install(authority, &authority.server());
        directory
    }

    /// Puts other files in their place.
    pub fn install(&self, authority: &Authority, server: &Issued) {
        std::fs::write(self.path("ca.pem"), authority.pem()).unwrap();
        std::fs::write(self.path("server.pem"), &server.certificate).unwrap();
        std::fs::write(self.path("server.key"), &server.key).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Clients are not asked for certificates.
    pub fn options(&self) -> Options {
        Options {
            certificate_file: self.path("server.pem"),
            key_file: self.path("server.key"),
            ca_file: Some(self.path("ca.pem")),
            versions: vec![TlsVersion::Tls12, TlsVersion::Tls13],
            verify: Verify::None,
            fail_if_no_peer_cert: false,
            https_verify: Verify::None,
            login: Login {
                from: LoginFrom::DistinguishedName,
                san_type: SanType::Dns,
                san_index: 0,
            },
        }
    }
}
