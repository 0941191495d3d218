//! The keys that tokens are signed with: from files at the start, from a server in the background.
//!
//! Nobody waits for that server but who comes with a token whose key is not known. While it cannot be
//! reached, the keys that it gave before stay in use.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_util::sync::CancellationToken;

use super::ServerError;
use super::clock::Clock;
use super::fetch::Fetcher;
use crate::auth::oauth2::{
    Algorithm, KEY_SET_BYTES_MAX, Key, KeySet, KeyStore, OAuth2, OAuth2Options,
};
use crate::config;

/// How old keys get before they are fetched again: a key that its owner withdrew is good for so long.
const REFRESH: Duration = Duration::from_secs(300);

/// After a fetch that failed; it doubles each time, up to [`REFRESH`].
const RETRY: Duration = Duration::from_secs(10);

/// Where keys are fetched from, and who gets them.
pub struct KeySource {
    location: Location,
    fetcher: Fetcher,
    store: Arc<KeyStore>,
}

enum Location {
    /// The key set itself.
    KeySet(String),
    /// A server that says where its key set is (OpenID Connect Discovery 1.0 §4).
    Issuer(String),
}

/// As much as matters of what an issuer says about itself.
#[derive(Deserialize)]
struct Discovery {
    jwks_uri: String,
}

/// Reads the files that the settings name. The source of further keys, if there is one, is to be given
/// to [`Server::watch_keys`](super::Server::watch_keys).
pub fn oauth2(settings: &config::OAuth2) -> Result<(OAuth2, Option<KeySource>), ServerError> {
    let mut fixed = KeySet::default();
    if let Some(file) = &settings.jwks_file {
        let json = std::fs::read(file);
        let json = json.map_err(|error| ServerError::unusable(file, error.to_string()))?;
        let (keys, left_out) = KeySet::parse(&json, true)
            .map_err(|error| ServerError::unusable(file, error.to_string()))?;
        left_out.iter().for_each(|why| tracing::warn!(file = %file.display(), "not used: {why}"));
        fixed = keys;
    }
    for (id, file) in &settings.signing_keys {
        let key = read_key(file).map_err(|reason| ServerError::unusable(file, reason))?;
        fixed.add(Some(id.clone()), key);
    }
    let location = match (&settings.jwks_url, &settings.issuer) {
        (Some(url), _) => Some(Location::KeySet(url.clone())),
        (None, Some(issuer)) => Some(Location::Issuer(issuer.clone())),
        (None, None) => None,
    };
    let store = Arc::new(KeyStore::new(fixed, location.is_some()));
    let source = match location {
        Some(location) => {
            if location.as_str().starts_with("http://") {
                let from = location.as_str();
                tracing::warn!(
                    from,
                    "token keys come in the clear: whoever can change them on their way can log in"
                );
            }
            let fetcher = Fetcher::new(settings.https_cacertfile.as_deref())?;
            Some(KeySource { location, fetcher, store: Arc::clone(&store) })
        }
        None => None,
    };
    Ok((OAuth2::new(options(settings), store), source))
}

fn options(settings: &config::OAuth2) -> OAuth2Options {
    let id = settings.resource_server_id.clone().unwrap_or_default();
    OAuth2Options {
        scope_prefix: settings.scope_prefix.clone().unwrap_or_else(|| format!("{id}.")),
        resource_server_id: id,
        resource_server_type: settings.resource_server_type.clone(),
        additional_scopes_key: settings.additional_scopes_key.clone(),
        preferred_username_claims: settings.preferred_username_claims.clone(),
        scope_aliases: settings.scope_aliases.clone(),
        verify_aud: settings.verify_aud,
        algorithms: settings.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect(),
        default_key: settings.default_key.clone(),
    }
}

/// A public key, or the one in a certificate.
fn read_key(file: &Path) -> Result<Key, String> {
    let spki = SubjectPublicKeyInfoDer::from_pem_file(file).or_else(|error| {
        let certificate = CertificateDer::from_pem_file(file).map_err(|_| error.to_string())?;
        let parsed = ParsedCertificate::try_from(&certificate).map_err(|why| why.to_string())?;
        Ok::<_, String>(parsed.subject_public_key_info())
    })?;
    Key::from_spki(&spki).map_err(|why| why.to_string())
}

/// Fetches now, when keys have become old, and when somebody came with an unknown one.
pub(super) async fn run(source: KeySource, clock: Clock, stop: CancellationToken) {
    let watch = async {
        let (mut retry, mut known) = (RETRY, false);
        loop {
            source.store.fetch_begins();
            let fetched = source.fetch().await;
            let pause = match &fetched {
                Ok(_) => {
                    if !std::mem::replace(&mut known, true) {
                        tracing::info!(from = source.location.as_str(), "token keys fetched");
                    }
                    retry = RETRY;
                    REFRESH
                }
                Err(why) => {
                    known = false;
                    let from = source.location.as_str();
                    tracing::warn!(from, %why, "cannot fetch token keys");
                    let next = (retry * 2).min(REFRESH);
                    std::mem::replace(&mut retry, next)
                }
            };
            source.store.fetch_ended(fetched.ok(), clock.now());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = poll_fn(|context| source.store.poll_wanted(context)) => {}
            }
        }
    };
    tokio::select! {
        () = watch => {}
        () = stop.cancelled() => {}
    }
}

impl KeySource {
    async fn fetch(&self) -> Result<KeySet, String> {
        let url = match &self.location {
            Location::KeySet(url) => url.clone(),
            Location::Issuer(issuer) => {
                let path = "/.well-known/openid-configuration";
                let url = format!("{}{path}", issuer.trim_end_matches('/'));
                let document = self.get(&url).await?;
                let discovery: Discovery = serde_json::from_slice(&document)
                    .map_err(|error| format!("{url} does not say where its keys are: {error}"))?;
                // Keys that came in the clear could be anybody's.
                if issuer.starts_with("https://") && !discovery.jwks_uri.starts_with("https://") {
                    return Err(format!("{url} has its keys where https does not protect them"));
                }
                discovery.jwks_uri
            }
        };
        let document = self.get(&url).await?;
        let (keys, left_out) =
            KeySet::parse(&document, false).map_err(|why| format!("{url}: {why}"))?;
        left_out.iter().for_each(|why| tracing::debug!(url, "not used: {why}"));
        Ok(keys)
    }

    async fn get(&self, url: &str) -> Result<bytes::Bytes, String> {
        let got = self.fetcher.get(url, KEY_SET_BYTES_MAX).await;
        got.map_err(|why| format!("{url}: {why}"))
    }
}

impl Location {
    fn as_str(&self) -> &str {
        match self {
            Self::KeySet(url) => url,
            Self::Issuer(url) => url,
        }
    }
}
