//! Settings of tokens that stand in for passwords: the keys that begin with `auth_oauth2_`. Behind that,
//! they are called as RabbitMQ calls them.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::error::ConfigError;
use super::settings::conflict;
use super::source::{Read, Value};

/// What begins the name of every field in a source.
pub(super) const PREFIX: &str = "auth_oauth2_";

/// A field's name is the key's name, without the beginning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OAuth2 {
    /// What the broker is called in tokens: in `aud`, and before a point in front of scopes. Default
    /// none; `auth_backends` with `oauth2` needs it.
    pub resource_server_id: Option<String>,
    /// What the broker is in rich authorization requests. Default none: they do not count.
    pub resource_server_type: Option<String>,
    /// What scopes for this broker begin with; `none` is nothing. Default `resource_server_id` and a
    /// point.
    pub scope_prefix: Option<String>,
    /// Claims that hold scopes beside `scope`; points lead into objects. Default none.
    pub additional_scopes_key: Vec<String>,
    /// Claims that hold the user's name, before `sub` and `client_id`. Default none.
    pub preferred_username_claims: Vec<String>,
    /// Scopes that stand for others: `ALIAS=SCOPE SCOPE…`. Default none.
    #[serde(serialize_with = "aliases")]
    pub scope_aliases: Vec<(String, Vec<String>)>,
    /// Whether `aud` has to name the broker. Default `true`.
    pub verify_aud: bool,
    /// The only algorithms that may be used. Default none, which is all.
    pub algorithms: Vec<String>,
    /// The key of tokens that name none. Default none.
    pub default_key: Option<String>,
    /// Files with a public key each, PEM: `ID=PATH`. Default none.
    #[serde(serialize_with = "files")]
    pub signing_keys: Vec<(String, PathBuf)>,
    /// A JSON web key set in a file. Default none.
    pub jwks_file: Option<PathBuf>,
    /// Where a JSON web key set is fetched from. Default none.
    pub jwks_url: Option<String>,
    /// The server that makes tokens, which says where its key set is. Default none.
    pub issuer: Option<String>,
    /// Who vouches for the server that keys are fetched from, PEM. Default none, which is the
    /// authorities that browsers trust.
    pub https_cacertfile: Option<PathBuf>,
}

fn aliases<S: Serializer>(
    aliases: &[(String, Vec<String>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(aliases.iter().map(|(alias, all)| format!("{alias}={}", all.join(" "))))
}

fn files<S: Serializer>(files: &[(String, PathBuf)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(files.iter().map(|(id, path)| format!("{id}={}", path.display())))
}

/// Who is asked whether a login is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    Internal,
    OAuth2,
}

impl Backend {
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("internal", Self::Internal), ("oauth2", Self::OAuth2)];
}

/// As `auth::oauth2` has them.
const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "EdDSA",
];

impl OAuth2 {
    /// `key` is what stands behind the prefix.
    pub(super) fn set(&mut self, key: &str, value: &Value) -> Read<()> {
        match key {
            "resource_server_id" => self.resource_server_id = Some(value.name()?.to_owned()),
            "resource_server_type" => self.resource_server_type = Some(value.name()?.to_owned()),
            "scope_prefix" => {
                let prefix = value.optional(|value| value.text().map(str::to_owned))?;
                self.scope_prefix = Some(prefix.unwrap_or_default());
            }
            "additional_scopes_key" => self.additional_scopes_key = value.list(text)?,
            "preferred_username_claims" => self.preferred_username_claims = value.list(text)?,
            "scope_aliases" => {
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
                self.scope_aliases =
                    value.list(|item| pair(item).map(|(alias, all)| (alias, words(all))))?;
            }
            "verify_aud" => self.verify_aud = value.boolean()?,
            "algorithms" => {
                let words = ALGORITHMS.map(|name| (name, name));
                self.algorithms = value.list(|item| item.word(&words).map(str::to_owned))?;
            }
            "default_key" => self.default_key = Some(value.text()?.to_owned()),
            "signing_keys" => {
                self.signing_keys =
                    value.list(|item| pair(item).map(|(id, path)| (id, path.into())))?;
            }
            "jwks_file" => self.jwks_file = Some(value.text()?.into()),
            "jwks_url" => self.jwks_url = Some(url(value)?),
            "issuer" => self.issuer = Some(url(value)?),
            "https_cacertfile" => self.https_cacertfile = Some(value.text()?.into()),
            _ => return Err("is not a key".to_owned()),
        }
        Ok(())
    }

    /// When it is to be used.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.resource_server_id.is_none() {
            return Err(conflict(
                "auth_backends has oauth2, which needs auth_oauth2_resource_server_id",
            ));
        }
        let has_keys = !self.signing_keys.is_empty()
            || self.jwks_file.is_some()
            || self.jwks_url.is_some()
            || self.issuer.is_some();
        if !has_keys {
            return Err(conflict(
                "auth_backends has oauth2, which needs keys: auth_oauth2_issuer, _jwks_url, \
                 _jwks_file or _signing_keys",
            ));
        }
        Ok(())
    }
}

impl Default for OAuth2 {
    fn default() -> Self {
        Self {
            resource_server_id: None,
            resource_server_type: None,
            scope_prefix: None,
            additional_scopes_key: Vec::new(),
            preferred_username_claims: Vec::new(),
            scope_aliases: Vec::new(),
            verify_aud: true,
            algorithms: Vec::new(),
            default_key: None,
            signing_keys: Vec::new(),
            jwks_file: None,
            jwks_url: None,
            issuer: None,
            https_cacertfile: None,
        }
    }
}

fn text(value: &Value) -> Read<String> {
    value.text().map(str::to_owned)
}

/// `NAME=SOMETHING`.
fn pair(value: &Value) -> Read<(String, &str)> {
    let text = value.text()?;
    match text.split_once('=') {
        Some((name, rest)) if !name.trim().is_empty() && !rest.trim().is_empty() => {
            Ok((name.trim().to_owned(), rest.trim()))
        }
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

fn url(value: &Value) -> Read<String> {
    let text = value.text()?;
    match text.split_once("://") {
        Some(("https" | "http", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} does not begin with https:// or http://")),
    }
}
