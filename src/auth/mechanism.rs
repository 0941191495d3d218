//! Authentication mechanisms: the response of `start-ok` in, credentials out (behaviour B2.5).

use std::fmt;

use crate::names::UserName;
use crate::protocol::table::{TableReader, validate_table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    /// The same two values in a field table; of AMQP 0-8, and still the first choice of some clients.
    AmqPlain,
}

/// What the client claims. The password is bytes: only its hash matters.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: UserName,
    pub password: Vec<u8>,
}

/// The client broke the mechanism's format, which says nothing about who it is (B2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {} response: {problem}", mechanism.name())]
pub struct MalformedResponse {
    mechanism: Mechanism,
    problem: &'static str,
}

impl Mechanism {
    /// What `start` offers: names with spaces between them.
    pub const OFFERED: &'static str = "PLAIN AMQPLAIN";

    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "PLAIN" => Some(Self::Plain),
            "AMQPLAIN" => Some(Self::AmqPlain),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
        }
    }

    pub fn credentials(self, response: &[u8]) -> Result<Credentials, MalformedResponse> {
        match self {
            Self::Plain => plain(response),
            Self::AmqPlain => amqplain(response),
        }
        .and_then(|(user, password)| {
            let user = std::str::from_utf8(user).map_err(|_| "the user's name is not UTF-8")?;
            Ok(Credentials { user: user.into(), password: password.to_vec() })
        })
        .map_err(|problem| MalformedResponse { mechanism: self, problem })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The user's name and the password.
type Pair<'a> = Result<(&'a [u8], &'a [u8]), &'static str>;

/// `NUL user NUL password`. RFC 4616 allows an identity to act as before the first NUL; RabbitMQ
/// takes none, and a broker that ignored it would let a client believe it acts as somebody else.
fn plain(response: &[u8]) -> Pair<'_> {
    let mut parts = response.split(|octet| *octet == 0);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some([]), Some(user), Some(password), None) => Ok((user, password)),
        (Some([]), Some(_), Some(_), Some(_)) => Err("something follows the password"),
        (Some([]), _, _, _) => Err("it has no password"),
        _ => Err("the first octet is not NUL"),
    }
}

/// A field table without its length in front, with the entries LOGIN and PASSWORD.
fn amqplain(response: &[u8]) -> Pair<'_> {
    if !validate_table(response) {
        return Err("it is not a field table");
    }
    let text = |key: &str| {
        let value = TableReader::new(response).find(key.as_bytes())?;
        matches!(value.tag, b'S' | b'x').then_some(value.bytes)
    };
    let user = text("LOGIN").ok_or("LOGIN is not there, or not a string")?;
    let password = text("PASSWORD").ok_or("PASSWORD is not there, or not a string")?;
    Ok((user, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the mechanism reads from `response`, as `user/password` or as the problem.
    fn read(mechanism: Mechanism, response: &[u8]) -> String {
        match mechanism.credentials(response) {
            Ok(Credentials { user, password }) => {
                format!("{user}/{}", String::from_utf8_lossy(&password))
            }
            Err(malformed) => malformed.problem.to_owned(),
        }
    }

    /// A table entry of a string type.
    fn entry(name: &str, tag: u8, text: &[u8]) -> Vec<u8> {
        let mut entry = vec![u8::try_from(name.len()).unwrap()];
        entry.extend_from_slice(name.as_bytes());
        entry.push(tag);
        entry.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        entry.extend_from_slice(text);
        entry
    }

    #[test]
    fn plain_takes_user_and_password_between_nuls() {
        for (response, expected) in [
            (&b"\0guest\0guest"[..], "guest/guest"),
            (b"\0guest\0", "guest/"),
            (b"\0\0", "/"),
            ("\0häsin\0möhre".as_bytes(), "häsin/möhre"),
            (b"\0guest\0\xff", "guest/\u{fffd}"),
            (b"", "it has no password"),
            (b"\0", "it has no password"),
            (b"\0guest", "it has no password"),
            (b"guest\0guest", "the first octet is not NUL"),
            (b"admin\0guest\0guest", "the first octet is not NUL"),
            (b"\0guest\0guest\0", "something follows the password"),
            (b"\0guest\0gu\0est", "something follows the password"),
            (b"\0\xff\0guest", "the user's name is not UTF-8"),
        ] {
            assert_eq!(read(Mechanism::Plain, response), expected, "{response:?}");
        }
    }

    #[test]
    fn amqplain_takes_login_and_password_from_a_table() {
        let login = entry("LOGIN", b'S', b"guest");
        let password = entry("PASSWORD", b'S', b"carrot");
        for (entries, expected) in [
            (vec![&login, &password], "guest/carrot"),
            (vec![&password, &login], "guest/carrot"),
            (vec![&login, &entry("PASSWORD", b'x', b"\0"), &password], "guest/\0"),
            (vec![&entry("extra", b'S', b""), &login, &password], "guest/carrot"),
            (vec![], "LOGIN is not there, or not a string"),
            (vec![&login], "PASSWORD is not there, or not a string"),
            (vec![&password], "LOGIN is not there, or not a string"),
            (
                vec![&entry("login", b'S', b"guest"), &password],
                "LOGIN is not there, or not a string",
            ),
            (
                vec![&login, &b"\x08PASSWORDt\x01".to_vec()],
                "PASSWORD is not there, or not a string",
            ),
            (vec![&entry("LOGIN", b'S', b"\xff"), &password], "the user's name is not UTF-8"),
        ] {
            let response: Vec<u8> = entries.into_iter().flatten().copied().collect();
            assert_eq!(read(Mechanism::AmqPlain, &response), expected);
        }
    }

    #[test]
    fn amqplain_cut_anywhere_is_malformed() {
        let whole = [entry("LOGIN", b'S', b"guest"), entry("PASSWORD", b'S', b"guest")].concat();
        for length in 0..whole.len() {
            let response = &whole[..length];
            assert!(Mechanism::AmqPlain.credentials(response).is_err());
        }
        let counted = [&u32::try_from(whole.len()).unwrap().to_be_bytes(), &whole[..]].concat();
        assert!(Mechanism::AmqPlain.credentials(&counted).is_err());
    }

    #[test]
    fn offered_mechanisms_are_those_that_parse() {
        for name in Mechanism::OFFERED.split(' ') {
            assert_eq!(Mechanism::parse(name).unwrap().name(), name);
        }
        for name in ["", "plain", "EXTERNAL", "ANONYMOUS", "PLAIN "] {
            assert_eq!(Mechanism::parse(name), None, "{name}");
        }
    }

    #[test]
    fn debug_output_hides_the_password() {
        let credentials = Mechanism::Plain.credentials(b"\0guest\0carrot").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials { user: \"guest\", .. }");
        let malformed = Mechanism::Plain.credentials(b"carrot").unwrap_err();
        assert_eq!(malformed.to_string(), "malformed PLAIN response: the first octet is not NUL");
    }
}
