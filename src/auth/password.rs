//! Password hashes as RabbitMQ stores and exports them: base64 of a 4-byte salt and the SHA-256 of
//! salt and password.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Shows its base64 with `Display`, which is the form it is stored in; `Debug` hides it.
#[derive(Clone)]
pub struct PasswordHash(Option<Salted>);

#[derive(Clone)]
struct Salted {
    salt: [u8; SALT],
    digest: [u8; DIGEST],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password hash is base64 of {} bytes, or empty", SALT + DIGEST)]
pub struct InvalidPasswordHash;

const SALT: usize = 4;
const DIGEST: usize = 32;

impl PasswordHash {
    pub fn new(password: &str) -> Self {
        Self::with_salt(rand::random(), password.as_bytes())
    }

    /// The empty hash: no password fits.
    pub fn none() -> Self {
        Self(None)
    }

    /// Takes the same time whether the password is right, wrong or blank, and whether there is a
    /// hash at all: one digest and one comparison that looks at every byte. A blank password never
    /// fits, not even the hash of one.
    pub fn verify(&self, password: &[u8]) -> bool {
        let stored = self.0.as_ref();
        let salt = stored.map_or([0; SALT], |stored| stored.salt);
        let digest = stored.map_or([0; DIGEST], |stored| stored.digest);
        let usable =
            Choice::from(u8::from(stored.is_some())) & Choice::from(u8::from(!password.is_empty()));
        (hash(salt, password).ct_eq(&digest) & usable).into()
    }

    fn with_salt(salt: [u8; SALT], password: &[u8]) -> Self {
        let digest = hash(salt, password);
        Self(Some(Salted { salt, digest }))
    }
}

impl FromStr for PasswordHash {
    type Err = InvalidPasswordHash;

    fn from_str(text: &str) -> Result<Self, InvalidPasswordHash> {
        if text.is_empty() {
            return Ok(Self::none());
        }
        let bytes = STANDARD.decode(text).map_err(|_| InvalidPasswordHash)?;
        let (salt, digest) = bytes
            .split_first_chunk()
            .and_then(|(salt, digest)| Some((*salt, digest.try_into().ok()?)))
            .ok_or(InvalidPasswordHash)?;
        Ok(Self(Some(Salted { salt, digest })))
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(Salted { salt, digest }) => {
                let bytes = [salt.as_slice(), digest.as_slice()].concat();
                f.write_str(&STANDARD.encode(bytes))
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

fn hash(salt: [u8; SALT], password: &[u8]) -> [u8; DIGEST] {
    Sha256::new().chain_update(salt).chain_update(password).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that a running RabbitMQ, or its documentation, accepts for these passwords.
    const VECTORS: [([u8; 4], &str, &str); 2] = [
        ([0xca, 0xfe, 0xba, 0xbe], "s3cret", "yv66viAwXmILx5IuJxRCL6nM4Awd8g7ZmI1fzfWxkReuzKjU"),
        ([0x90, 0x8d, 0xc6, 0x0a], "test12", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"),
    ];

    #[test]
    fn hash_is_the_one_rabbitmq_computes() {
        for (salt, password, expected) in VECTORS {
            let hash = PasswordHash::with_salt(salt, password.as_bytes());
            assert_eq!(hash.to_string(), expected);

            let hash: PasswordHash = expected.parse().unwrap();
            assert_eq!(hash.to_string(), expected);
            assert!(hash.verify(password.as_bytes()));
            assert!(!hash.verify(b"S3cret"));
        }
    }

    #[test]
    fn same_password_gets_another_salt() {
        let [first, second] = [PasswordHash::new("guest"), PasswordHash::new("guest")];
        assert!(first.verify(b"guest") && second.verify(b"guest"));
        assert_ne!(first.to_string(), second.to_string());
    }

    #[test]
    fn nothing_fits_an_empty_hash_and_a_blank_password_fits_nothing() {
        let empty: PasswordHash = "".parse().unwrap();
        assert_eq!(empty.to_string(), "");
        assert!(!empty.verify(b""));
        assert!(!empty.verify(b"guest"));
        assert!(!PasswordHash::new("").verify(b""));
    }

    #[test]
    fn text_that_is_no_hash_is_refused() {
        let short = STANDARD.encode([0; 35]);
        let long = STANDARD.encode([0; 37]);
        for text in ["x", "guest", "????", "AAAA", &short, &long] {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn debug_output_hides_the_hash() {
        assert_eq!(format!("{:?}", PasswordHash::new("guest")), "(hidden)");
    }
}
