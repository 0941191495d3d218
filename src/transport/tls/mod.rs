//! TLS: certificates from files, read again on demand, and who a client's certificate says it is.
//!
//! Connections take what is [current](Tls::current) when they begin and keep it. [`Tls::reload`] puts
//! another in its place only when all of it is good.

mod certificate;
pub mod client;
mod details;
mod files;

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection};

use self::files::Files;
use crate::config::{LoginFrom, SanType, Settings, TlsVersion, Verify};

pub use self::certificate::Expiry;
pub use self::details::{Certificate, Details, details};

/// What is wrong with TLS's files. One line.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {file}: {reason}")]
pub struct TlsError {
    pub file: String,
    pub reason: String,
}

/// What TLS listeners are made from.
#[derive(Clone, Debug)]
pub struct Options {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    /// Who may sign clients' certificates. Only where those are asked for.
    pub ca_file: Option<PathBuf>,
    pub versions: Vec<TlsVersion>,
    /// Whether AMQP clients are asked for a certificate.
    pub verify: Verify,
    /// Whether those without one are turned away.
    pub fail_if_no_peer_cert: bool,
    /// Whether HTTP clients need a certificate.
    pub https_verify: Verify,
    pub login: Login,
}

/// Which name in a certificate is the user's.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    pub from: LoginFrom,
    pub san_type: SanType,
    /// Which of several of that type, counted from 0.
    pub san_index: usize,
}

impl Options {
    /// `None` when there are no files.
    pub fn of(settings: &Settings) -> Option<Self> {
        Some(Self {
            certificate_file: settings.tls_certificate_file.clone()?,
            key_file: settings.tls_key_file.clone()?,
            ca_file: settings.tls_ca_file.clone(),
            versions: settings.tls_versions.clone(),
            verify: settings.tls_verify,
            fail_if_no_peer_cert: settings.tls_fail_if_no_peer_cert,
            https_verify: settings.https_verify,
            login: Login {
                from: settings.tls_cert_login_from,
                san_type: settings.tls_cert_login_san_type,
                san_index: settings.tls_cert_login_san_index,
            },
        })
    }
}

/// What TLS listeners use, shared by all of them.
pub struct Tls {
    current: RwLock<Arc<Loaded>>,
}

impl Tls {
    pub fn load(options: Options) -> Result<Self, TlsError> {
        Ok(Self { current: RwLock::new(Arc::new(Loaded::new(options)?)) })
    }

    /// Reads everything again. When something is wrong with it, what was there stays.
    pub fn reload(&self, options: Options) -> Result<(), TlsError> {
        let loaded = Arc::new(Loaded::new(options)?);
        *self.current.write() = loaded;
        Ok(())
    }

    pub fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read())
    }
}

/// The files as they were when they were read.
pub struct Loaded {
    options: Options,
    pub amqps: TlsAcceptor,
    pub https: TlsAcceptor,
    /// Of the certificates in the certificate file, and in the CA file.
    pub expiries: Vec<Expiry>,
    pub ca_expiries: Vec<Expiry>,
}

/// Who a client's certificate says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Clients are not asked for a certificate.
    NotAsked,
    NoCertificate,
    /// The name that is asked for is not in the certificate.
    NoName,
    Name(String),
}

impl Loaded {
    fn new(options: Options) -> Result<Self, TlsError> {
        let files = Files::read(&options)?;
        let expiries = certificate::expiries(&files.chain, &options.certificate_file)?;
        let ca_expiries = match &options.ca_file {
            Some(file) => certificate::expiries(&files.authorities, file)?,
            None => Vec::new(),
        };
        let amqps = match options.verify {
            Verify::None => Clients::Unasked,
            Verify::Peer if options.fail_if_no_peer_cert => Clients::Required,
            Verify::Peer => Clients::Asked,
        };
        let https = match options.https_verify {
            Verify::None => Clients::Unasked,
            Verify::Peer => Clients::Required,
        };
        let amqps = server_config(&options, &files, amqps)?;
        let mut https = server_config(&options, &files, https)?;
        https.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            options,
            amqps: TlsAcceptor::from(Arc::new(amqps)),
            https: TlsAcceptor::from(Arc::new(https)),
            expiries,
            ca_expiries,
        })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Who an AMQP client is, once the handshake is over.
    pub fn identity(&self, connection: &ServerConnection) -> Identity {
        if self.options.verify == Verify::None {
            return Identity::NotAsked;
        }
        // The first one is the client's own: its signatures have been checked up to the authority.
        match connection.peer_certificates().and_then(<[_]>::first) {
            None => Identity::NoCertificate,
            Some(own) => certificate::login_name(own, self.options.login)
                .map_or(Identity::NoName, Identity::Name),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Clients {
    Unasked,
    Asked,
    Required,
}

fn server_config(
    options: &Options,
    files: &Files,
    clients: Clients,
) -> Result<ServerConfig, TlsError> {
    let refuse = |file: &PathBuf, reason: String| TlsError::new(file, reason);
    let provider = Arc::new(ring::default_provider());
    let versions: Vec<_> = options
        .versions
        .iter()
        .map(|version| match version {
            TlsVersion::Tls12 => &TLS12,
            TlsVersion::Tls13 => &TLS13,
        })
        .collect();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| refuse(&options.certificate_file, error.to_string()))?;
    let builder = if clients == Clients::Unasked {
        builder.with_no_client_auth()
    } else {
        let ca_file = options.ca_file.as_ref().unwrap_or(&options.certificate_file);
        let mut roots = RootCertStore::empty();
        for authority in &files.authorities {
            roots.add(authority.clone()).map_err(|error| refuse(ca_file, error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = match clients {
            Clients::Asked => verifier.allow_unauthenticated(),
            _ => verifier,
        };
        let verifier = verifier.build().map_err(|error| refuse(ca_file, error.to_string()))?;
        builder.with_client_cert_verifier(verifier)
    };
    let mut config = builder
        .with_single_cert(files.chain.clone(), files.key.clone_key())
        .map_err(|error| refuse(&options.key_file, error.to_string()))?;
    if clients != Clients::Unasked {
        // A session that is resumed shows no certificate: one that has expired would still open doors.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

impl TlsError {
    fn new(file: &std::path::Path, reason: impl Into<String>) -> Self {
        Self { file: file.display().to_string(), reason: reason.into() }
    }
}
