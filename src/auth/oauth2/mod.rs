//! Tokens instead of passwords: JSON web tokens of an OAuth 2.0 server, which say who somebody is, what
//! they may do, and until when. Compatible with RabbitMQ's `rabbitmq_auth_backend_oauth2`.
//!
//! `token` takes a token apart and checks its signature with a `key` of the `key_set`s that the `key_store` has,
//! and its claims; `claimed` finds its scopes, `scope` and `wildcard` say what they allow.
//!
//! Invariant: nothing of a token is believed, not even when it ends, before its signature was right.

mod algorithm;
mod claimed;
mod der;
mod key;
mod key_set;
mod key_store;
mod scope;
mod token;
mod wildcard;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use algorithm::Algorithm;
pub use key::{Key, Unusable};
pub use key_set::{BadKeySet, KEY_SET_BYTES_MAX, KeySet};
pub use key_store::{FETCH_PAUSE, KeyStore, OnFetched};
pub use scope::VhostScopes;
pub use token::{LEEWAY, TOKEN_BYTES_MAX};

use self::scope::Scopes;
use self::token::{Claims, Unverified};
use super::{PasswordHash, User, UserLimits};
use crate::names::{UserName, VhostName};
use crate::time::Time;

/// How tokens are read. The names are those of RabbitMQ's `auth_oauth2` keys.
#[derive(Clone, Debug, Default)]
pub struct OAuth2Options {
    /// What this broker is called in tokens.
    pub resource_server_id: String,
    /// What it is in rich authorization requests; without it they do not count.
    pub resource_server_type: Option<String>,
    /// What our scopes begin with.
    pub scope_prefix: String,
    /// Claims that hold scopes as well.
    pub additional_scopes_key: Vec<String>,
    /// Claims that hold the user's name, before `sub` and `client_id`.
    pub preferred_username_claims: Vec<String>,
    /// Scopes that stand for others.
    pub scope_aliases: Vec<(String, Vec<String>)>,
    /// Whether a token has to be for this broker.
    pub verify_aud: bool,
    /// The only ones that may be used, if there are any.
    pub algorithms: Vec<Algorithm>,
    /// The key of tokens that name none.
    pub default_key: Option<String>,
}

pub struct OAuth2 {
    options: OAuth2Options,
    keys: Arc<KeyStore>,
}

/// What a good token says.
#[derive(Debug)]
pub struct Token {
    pub user: Arc<User>,
    /// It is good until then.
    pub expires: Time,
    scopes: Scopes,
}

/// Why a token is not accepted. For the log; a client never learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    NoToken,
    TooLong,
    Critical,
    Algorithm,
    UnknownKey,
    Signature,
    Expired,
    NotYetValid,
    Audience,
    Name,
}

impl OAuth2 {
    pub fn new(options: OAuth2Options, keys: Arc<KeyStore>) -> Self {
        Self { options, keys }
    }

    pub fn keys(&self) -> &Arc<KeyStore> {
        &self.keys
    }

    /// Judges what came in place of a password.
    pub fn judge(&self, token: &[u8], now: Time) -> Result<Token, Problem> {
        let unverified = Unverified::parse(token)?;
        let allowed = &self.options.algorithms;
        if !allowed.is_empty() && !allowed.contains(&unverified.algorithm) {
            return Err(Problem::Algorithm);
        }
        let claims = self.verify(&unverified)?;
        let expires = claims.check_time(now)?;
        if self.options.verify_aud {
            claims.check_audience(&self.options.resource_server_id)?;
        }
        let name = self.user_name(&claims)?;
        let scopes = claimed::scopes(&claims, &self.options);
        let uses_variables = scopes.iter().any(|scope| scope.contains('{'));
        let texts = claims.texts().filter(|_| uses_variables);
        let variables: BTreeMap<_, _> =
            texts.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let scopes = Scopes::new(scopes.iter().map(String::as_str), variables);
        let user = User {
            name,
            password: PasswordHash::none(),
            tags: scopes.tags.clone(),
            limits: UserLimits::default(),
        };
        Ok(Token { user: Arc::new(user), expires, scopes })
    }

    /// Keys from files come first. A token that names no key needs to be of the default one, or of the
    /// only one there is.
    fn verify(&self, token: &Unverified<'_>) -> Result<Claims, Problem> {
        let (fixed, fetched) = (self.keys.fixed(), self.keys.fetched());
        match token.key_id.as_ref().or(self.options.default_key.as_ref()) {
            Some(id) => {
                let mut keys = fixed.named(id).chain(fetched.named(id)).peekable();
                keys.peek().ok_or(Problem::UnknownKey)?;
                token.verify(keys)
            }
            None => match fixed.all().chain(fetched.all()).collect::<Vec<_>>()[..] {
                [key] => token.verify(std::iter::once(key)),
                _ => Err(Problem::UnknownKey),
            },
        }
    }

    fn user_name(&self, claims: &Claims) -> Result<UserName, Problem> {
        let preferred = self.options.preferred_username_claims.iter().map(String::as_str);
        let mut names = preferred.chain(["sub", "client_id"]);
        let name = names.find_map(|claim| claims.text(claim).filter(|name| !name.is_empty()));
        match name.unwrap_or("unknown") {
            // AMQP has room for no more.
            name if name.len() > 255 => Err(Problem::Name),
            name => Ok(name.into()),
        }
    }
}

impl Token {
    pub fn may_access_vhost(&self, vhost: &VhostName) -> bool {
        self.scopes.may_access_vhost(vhost)
    }

    pub fn in_vhost(&self, vhost: &VhostName) -> Arc<VhostScopes> {
        self.scopes.in_vhost(vhost)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "gave no token",
            Self::TooLong => "gave a token that is too long",
            Self::Critical => "gave a token with a critical extension",
            Self::Algorithm => "gave a token whose algorithm is not accepted for its key",
            Self::UnknownKey => "gave a token whose key is not known",
            Self::Signature => "gave a token whose signature is wrong",
            Self::Expired => "gave a token that has expired",
            Self::NotYetValid => "gave a token that is not valid yet",
            Self::Audience => "gave a token that is not for this broker",
            Self::Name => "gave a token whose user's name is too long",
        })
    }
}
