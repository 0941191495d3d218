//! The keys that tokens may be signed with, by their names.

use serde::Deserialize;

use super::key::{Jwk, Key, Unusable};

/// Bytes of a key set, wherever it comes from.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// Keys of a key set.
const KEYS_MAX: usize = 256;

/// Keys with their ids, if they have one.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<(Option<String>, Key)>,
}

/// Why a document is not a key set that is of any use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    #[error("it is longer than {KEY_SET_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is not a JSON web key set: {0}")]
    Malformed(String),
    #[error("it has more than {KEYS_MAX} keys")]
    TooMany,
    #[error("it has no key that tokens can be verified with{0}")]
    Empty(String),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a JSON web key set (RFC 7517 §5). Keys of no use are left out and named in the second
    /// result. `secrets`: whether there may be shared secrets among them.
    pub fn parse(json: &[u8], secrets: bool) -> Result<(Self, Vec<String>), BadKeySet> {
        if json.len() > KEY_SET_BYTES_MAX {
            return Err(BadKeySet::TooLong);
        }
        let document: Document = serde_json::from_slice(json)
            .map_err(|error| BadKeySet::Malformed(error.to_string()))?;
        if document.keys.len() > KEYS_MAX {
            return Err(BadKeySet::TooMany);
        }
        let (mut set, mut left_out) = (Self::default(), Vec::new());
        for (index, value) in document.keys.into_iter().enumerate() {
            let jwk = serde_json::from_value::<Jwk>(value);
            let kid = jwk.as_ref().ok().and_then(|jwk| jwk.kid.clone());
            let key = jwk
                .map_err(|_| Unusable("it is not a key"))
                .and_then(|jwk| Key::from_jwk(&jwk, secrets));
            match key {
                Ok(key) => set.add(kid, key),
                Err(why) => {
                    let name = kid.map_or_else(|| format!("{index}"), |kid| format!("{kid:?}"));
                    left_out.push(format!("key {name}: {why}"));
                }
            }
        }
        match set.is_empty() {
            true if left_out.is_empty() => Err(BadKeySet::Empty(String::new())),
            true => Err(BadKeySet::Empty(format!(" ({})", left_out.join(", ")))),
            false => Ok((set, left_out)),
        }
    }

    pub fn add(&mut self, id: Option<String>, key: Key) {
        self.keys.push((id, key));
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys of that name: one, unless their owner was careless.
    pub(super) fn named<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Key> {
        let named = self.keys.iter().filter(move |(known, _)| known.as_deref() == Some(id));
        named.map(|(_, key)| key)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().map(|(_, key)| key)
    }
}
