//! A token as it comes (RFC 7515 §3.1, RFC 7519): three parts in base64url, of which the third is a
//! signature of the first two.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Problem;
use super::algorithm::Algorithm;
use super::key::Key;
use crate::time::Time;

/// Bytes of a token. The head of an HTTP request has room for more, a frame before `tune-ok` for half of
/// it.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How far the clocks of who makes tokens and of this machine may be apart.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// A token whose signature nobody has looked at.
pub(super) struct Unverified<'t> {
    pub(super) algorithm: Algorithm,
    /// Which key it claims to be signed with.
    pub(super) key_id: Option<String>,
    signed: &'t [u8],
    claims: &'t str,
    signature: Vec<u8>,
}

pub(super) struct Claims(Map<String, Value>);

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood, and none is.
    crit: Option<Value>,
}

impl<'t> Unverified<'t> {
    pub(super) fn parse(token: &'t [u8]) -> Result<Self, Problem> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Problem::TooLong);
        }
        let token = std::str::from_utf8(token).map_err(|_| Problem::NoToken)?;
        let (text, signature) = token.rsplit_once('.').ok_or(Problem::NoToken)?;
        let (header, claims) = text.split_once('.').ok_or(Problem::NoToken)?;
        // More than three parts are no base64 in here either.
        let (header, signature) = (decode(header)?, decode(signature)?);
        let header: Header = serde_json::from_slice(&header).map_err(|_| Problem::NoToken)?;
        if header.crit.is_some() {
            return Err(Problem::Critical);
        }
        let algorithm = Algorithm::parse(&header.alg).ok_or(Problem::Algorithm)?;
        let (key_id, signed) = (header.kid, text.as_bytes());
        Ok(Self { algorithm, key_id, signed, claims, signature })
    }

    /// What it claims, if one of the keys signed it.
    pub(super) fn verify<'k>(
        &self,
        keys: impl Iterator<Item = &'k Key>,
    ) -> Result<Claims, Problem> {
        let mut fitting = keys.filter(|key| key.fits(self.algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(Problem::Algorithm);
        }
        if !fitting.any(|key| key.signed(self.algorithm, self.signed, &self.signature)) {
            return Err(Problem::Signature);
        }
        let claims = decode(self.claims)?;
        serde_json::from_slice(&claims).map(Claims).map_err(|_| Problem::NoToken)
    }
}

impl Claims {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// What is nested in objects, with points between the names: `realm_access.roles`. A claim that has
    /// points in its own name comes first.
    pub(super) fn at(&self, path: &str) -> Option<&Value> {
        let nested = || {
            let (first, rest) = path.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |value, name| value.get(name))
        };
        self.0.get(path).or_else(nested)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// All claims that are text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// Until when it is good; `NEVER` if it does not say so.
    pub(super) fn check_time(&self, now: Time) -> Result<Time, Problem> {
        let expires = self.time("exp")?.map_or(Time::NEVER, |expires| expires + LEEWAY);
        if now >= expires {
            return Err(Problem::Expired);
        }
        if self.time("nbf")?.is_some_and(|begins| now + LEEWAY < begins) {
            return Err(Problem::NotYetValid);
        }
        Ok(expires)
    }

    /// Seconds since the epoch, of which there may be fractions.
    fn time(&self, name: &str) -> Result<Option<Time>, Problem> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        match value.as_f64() {
            // A number too large for milliseconds becomes the last one there is.
            Some(seconds) if seconds >= 0.0 => Ok(Some(Time((seconds * 1000.0) as u64))),
            _ => Err(Problem::NoToken),
        }
    }

    /// A text, of which there may be several with spaces between them, or a list of texts.
    pub(super) fn check_audience(&self, audience: &str) -> Result<(), Problem> {
        let found = match self.0.get("aud") {
            Some(Value::String(text)) => text.split(' ').any(|one| one == audience),
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        };
        if found { Ok(()) } else { Err(Problem::Audience) }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Problem::NoToken)
}
