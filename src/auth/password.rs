//! Password hashes as RabbitMQ stores and exports them: base64 of a 4-byte salt and a digest of salt and
//! password.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

/// Shows its base64 with `Display`, which is the form it is stored in; `Debug` hides it.
#[derive(Clone)]
pub struct PasswordHash {
    algorithm: HashingAlgorithm,
    salted: Option<Salted>,
}

#[derive(Clone)]
struct Salted {
    salt: [u8; SALT],
    /// What is behind the algorithm's bytes is 0.
    digest: [u8; DIGEST_MAX],
}

/// New hashes are made with the first one; the others are for users who come from elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashingAlgorithm {
    #[default]
    Sha256,
    Sha512,
    Md5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password hash is base64 of {} bytes, or empty", SALT + .0.digest_bytes())]
pub struct InvalidPasswordHash(HashingAlgorithm);

const SALT: usize = 4;
const DIGEST_MAX: usize = 64;

impl PasswordHash {
    pub fn new(password: &str) -> Self {
        Self::with_salt(HashingAlgorithm::default(), rand::random(), password.as_bytes())
    }

    /// The empty hash: no password fits.
    pub fn none() -> Self {
        Self { algorithm: HashingAlgorithm::default(), salted: None }
    }

    /// Reads what `Display` shows. An algorithm that is not said is the one whose hashes are as long: RabbitMQ's
    /// client in Rust never says it.
    pub fn parse(
        text: &str,
        algorithm: Option<HashingAlgorithm>,
    ) -> Result<Self, InvalidPasswordHash> {
        if text.is_empty() {
            return Ok(Self { algorithm: algorithm.unwrap_or_default(), salted: None });
        }
        let invalid = InvalidPasswordHash(algorithm.unwrap_or_default());
        let bytes = STANDARD.decode(text).map_err(|_| invalid)?;
        let fitting = |it: &HashingAlgorithm| bytes.len() == SALT + it.digest_bytes();
        let algorithm = algorithm.or_else(|| HashingAlgorithm::ALL.into_iter().find(fitting));
        let algorithm = algorithm.ok_or(invalid)?;
        let (salt, bytes) = bytes.split_first_chunk().ok_or(invalid)?;
        if bytes.len() != algorithm.digest_bytes() {
            return Err(invalid);
        }
        Ok(Self { algorithm, salted: Some(Salted { salt: *salt, digest: padded(bytes) }) })
    }

    pub fn algorithm(&self) -> HashingAlgorithm {
        self.algorithm
    }

    /// Takes the same time whether the password is right, wrong or blank, whether there is a hash at
    /// all, and whatever made it: one digest of each kind and one comparison that looks at every byte.
    /// A blank password never fits, not even the hash of one.
    pub fn verify(&self, password: &[u8]) -> bool {
        let stored = self.salted.as_ref();
        let salt = stored.map_or([0; SALT], |stored| stored.salt);
        let digest = stored.map_or([0; DIGEST_MAX], |stored| stored.digest);
        let usable =
            Choice::from(u8::from(stored.is_some())) & Choice::from(u8::from(!password.is_empty()));
        let mut fits = Choice::from(0);
        for algorithm in HashingAlgorithm::ALL {
            let is_it = Choice::from(u8::from(algorithm == self.algorithm));
            fits |= algorithm.hash(salt, password).ct_eq(&digest) & is_it;
        }
        (fits & usable).into()
    }

    fn with_salt(algorithm: HashingAlgorithm, salt: [u8; SALT], password: &[u8]) -> Self {
        let digest = algorithm.hash(salt, password);
        Self { algorithm, salted: Some(Salted { salt, digest }) }
    }
}

impl HashingAlgorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha512, Self::Md5];

    /// RabbitMQ's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
            Self::Md5 => "rabbit_password_hashing_md5",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Md5 => 16,
        }
    }

    fn hash(self, salt: [u8; SALT], password: &[u8]) -> [u8; DIGEST_MAX] {
        match self {
            Self::Sha256 => padded(&digest::<Sha256>(salt, password)),
            Self::Sha512 => padded(&digest::<Sha512>(salt, password)),
            Self::Md5 => padded(&digest::<Md5>(salt, password)),
        }
    }
}

fn digest<D: Digest>(salt: [u8; SALT], password: &[u8]) -> sha2::digest::Output<D> {
    #[cfg(test)]
    work::count(password.len());
    D::new().chain_update(salt).chain_update(password).finalize()
}

fn padded(digest: &[u8]) -> [u8; DIGEST_MAX] {
    let mut padded = [0; DIGEST_MAX];
    padded.iter_mut().zip(digest).for_each(|(place, octet)| *place = *octet);
    padded
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.salted {
            Some(Salted { salt, digest }) => {
                let digest = digest.get(..self.algorithm.digest_bytes()).unwrap_or(digest);
                f.write_str(&STANDARD.encode([salt, digest].concat()))
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

/// Counts what a thread has hashed: time itself would be no test.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local!(static DONE: Cell<(usize, usize)> = const { Cell::new((0, 0)) });

    pub(super) fn count(bytes: usize) {
        DONE.set((DONE.get().0 + 1, DONE.get().1 + bytes));
    }

    /// Digests, and bytes that went into them, since the last time this was asked.
    pub(in crate::auth) fn take() -> (usize, usize) {
        DONE.take()
    }
}

#[cfg(test)]
mod tests {
    use super::HashingAlgorithm::{Md5, Sha256, Sha512};
    use super::*;

    const CAFE: [u8; 4] = [0xca, 0xfe, 0xba, 0xbe];

    /// Hashes that a running RabbitMQ, or its documentation, accepts for these passwords.
    const VECTORS: [(HashingAlgorithm, [u8; 4], &str, &str); 4] = [
        (Sha256, CAFE, "s3cret", "yv66viAwXmILx5IuJxRCL6nM4Awd8g7ZmI1fzfWxkReuzKjU"),
        (
            Sha512,
            CAFE,
            "s3cret",
            "yv66vrnHreJGUY7wtTFvXXqELtbwo6zRoowacVh+Tr4DI4KgG6oLbPsZ4m/TY32QR2MwFdjjsObZ5jce4WEs8l6jVb4=",
        ),
        (Md5, CAFE, "s3cret", "yv66vpOZldVbWEa2vhk4+MT1zDs="),
        (
            Sha256,
            [0x90, 0x8d, 0xc6, 0x0a],
            "test12",
            "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
        ),
    ];

    #[test]
    fn hash_is_the_one_rabbitmq_computes() {
        for (algorithm, salt, password, expected) in VECTORS {
            let hash = PasswordHash::with_salt(algorithm, salt, password.as_bytes());
            assert_eq!(hash.to_string(), expected);

            let hash = PasswordHash::parse(expected, Some(algorithm)).unwrap();
            assert_eq!((hash.to_string().as_str(), hash.algorithm()), (expected, algorithm));
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
        for algorithm in HashingAlgorithm::ALL {
            let empty = PasswordHash::parse("", Some(algorithm)).unwrap();
            assert_eq!(empty.to_string(), "");
            assert!(!empty.verify(b""));
            assert!(!empty.verify(b"guest"));
            assert!(!PasswordHash::with_salt(algorithm, CAFE, b"").verify(b""));
        }
        assert!(!PasswordHash::new("").verify(b""));
    }

    #[test]
    fn text_that_is_no_hash_is_refused() {
        for (algorithm, bytes) in [(Sha256, 36), (Sha512, 68), (Md5, 20)] {
            let refused = |text: &str| PasswordHash::parse(text, Some(algorithm)).unwrap_err();
            let reason = format!("a password hash is base64 of {bytes} bytes, or empty");
            assert_eq!(refused("x").to_string(), reason);
            for length in [1, 3, 4, bytes - 1, bytes + 1, 1000] {
                refused(&STANDARD.encode(vec![0; length]));
            }
            for text in ["guest", "????", "AAAA", " "] {
                refused(text);
            }
            assert!(PasswordHash::parse(&STANDARD.encode(vec![0; bytes]), Some(algorithm)).is_ok());
        }
    }

    #[test]
    fn algorithm_that_is_not_said_is_told_by_the_length() {
        for (algorithm, _, password, text) in VECTORS {
            let hash = PasswordHash::parse(text, None).unwrap();
            assert_eq!((hash.algorithm(), hash.to_string()), (algorithm, text.to_owned()));
            assert!(hash.verify(password.as_bytes()));
        }
        assert_eq!(PasswordHash::parse("", None).unwrap().algorithm(), Sha256);
        let refused = PasswordHash::parse(&STANDARD.encode([0; 37]), None).unwrap_err();
        assert_eq!(refused.to_string(), "a password hash is base64 of 36 bytes, or empty");
    }

    #[test]
    fn algorithms_are_known_by_rabbitmqs_names() {
        for algorithm in HashingAlgorithm::ALL {
            assert_eq!(HashingAlgorithm::from_name(algorithm.as_str()), Some(algorithm));
        }
        assert_eq!(HashingAlgorithm::from_name("sha256"), None);
    }

    #[test]
    fn debug_output_hides_the_hash() {
        assert_eq!(format!("{:?}", PasswordHash::new("guest")), "(hidden)");
    }
}
