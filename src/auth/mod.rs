//! Who a client is, and which virtual hosts it may enter.
//!
//! A mechanism turns the response of `start-ok` into credentials, the users say whether they are
//! right, the permissions say where they lead. Users and permissions are each plain data behind one
//! small lock; passwords are hashed outside of it. Changes go to the definition store as well
//! (`changes`). A token may stand in for a password (`oauth2`); which of the two is asked says
//! `backend`, and `identity` is who it was in the end.
//!
//! Invariant: no reason for a refusal ever reaches the client, neither in words nor in time.

mod backend;
mod changes;
mod external;
mod identity;
mod mechanism;
pub mod oauth2;
mod password;
mod pattern;
mod permissions;
mod users;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

pub use backend::Backend;
pub use changes::{NotPermitted, Patterns, unheard};
pub use external::External;
pub use identity::{Authority, Identity};
pub use mechanism::{Credentials, MalformedResponse, Mechanism};
pub use password::{HashingAlgorithm, InvalidPasswordHash, PasswordHash};
pub use pattern::{InvalidPattern, Pattern};
pub use permissions::{Access, Grant, Granted, Permission, Permissions, TopicPermission};
pub use users::{Tag, User, UserLimits, Users};

use self::oauth2::{OAuth2, Problem};
use crate::names::{UserName, VhostName};
use crate::storage::DefinitionStore;
use crate::storage::memory::MemoryDefinitions;
use crate::time::Time;

/// The one place that decides about a login, shared by all connections.
pub struct Authenticator {
    users: Users,
    permissions: Permissions,
    loopback_users: Vec<UserName>,
    /// Who is asked about a login, in this order.
    backends: Vec<Backend>,
    oauth2: Option<OAuth2>,
    store: Arc<dyn DefinitionStore>,
    /// Held during a change, so that the store has the changes in the order in which they happened.
    changing: Mutex<()>,
}

/// Why a `start-ok` did not lead to a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    #[error(transparent)]
    Malformed(#[from] MalformedResponse),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A login that failed. What it displays is for the log; the client gets the same words whatever
/// the reason was (behaviour B2.7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user {user:?} {reason}")]
pub struct Refused {
    pub user: UserName,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    UnknownUser,
    WrongPassword,
    LoopbackOnly,
    /// For [`External`] only.
    NoCertificate,
    NoName,
    Token(Problem),
}

impl Authenticator {
    /// Nobody yet, and nobody is remembered.
    pub fn new(loopback_users: Vec<UserName>) -> Self {
        Self::with_store(loopback_users, Arc::new(MemoryDefinitions::default()))
    }

    /// Changes go to `store`; what it kept comes back with [`restore`](Self::restore).
    pub fn with_store(loopback_users: Vec<UserName>, store: Arc<dyn DefinitionStore>) -> Self {
        Self {
            users: Users::default(),
            permissions: Permissions::default(),
            loopback_users,
            backends: vec![Backend::Internal],
            oauth2: None,
            store,
            changing: Mutex::default(),
        }
    }

    /// Judges the response of `start-ok`.
    pub fn authenticate(
        &self,
        mechanism: Mechanism,
        response: &[u8],
        peer_is_loopback: bool,
        now: Time,
    ) -> Result<Identity, AuthenticationError> {
        let Credentials { user, password } = mechanism.credentials(response)?;
        Ok(self.log_in(&user, &password, peer_is_loopback, now)?)
    }

    /// Judges a name and a password of the broker's own users.
    pub fn login(
        &self,
        name: &UserName,
        password: &[u8],
        peer_is_loopback: bool,
    ) -> Result<Arc<User>, Refused> {
        let refused = |reason| Refused { user: name.clone(), reason };
        let user = self.users.verify(name, password).map_err(refused)?;
        // Only after the password, so that a stranger cannot tell which names are loopback users.
        if !peer_is_loopback && self.loopback_users.contains(name) {
            return Err(refused(Reason::LoopbackOnly));
        }
        Ok(user)
    }

    pub fn may_access_vhost(&self, user: &UserName, vhost: &VhostName) -> bool {
        self.permissions.may_access_vhost(user, vhost)
    }

    pub fn users(&self) -> &Users {
        &self.users
    }

    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownUser => "does not exist",
            Self::WrongPassword => "gave invalid credentials",
            Self::LoopbackOnly => "can only connect via localhost",
            Self::NoCertificate => "presented no TLS (x.509) certificate",
            Self::NoName => "has no name in the certificate where it is looked for",
            Self::Token(problem) => return problem.fmt(f),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: &str) -> User {
        let (tags, limits) = (Vec::new(), UserLimits::default());
        User { name: name.into(), password: PasswordHash::new(password), tags, limits }
    }

    fn authenticator() -> Authenticator {
        let authenticator = Authenticator::new(vec!["guest".into()]);
        authenticator.add_default_user("guest".into(), "guest", "/".into());
        authenticator.put_user(user("orders", "s3cret"), unheard());
        authenticator
    }

    #[test]
    fn login_is_judged_by_name_password_and_peer() {
        let authenticator = authenticator();
        for (user, password, peer_is_loopback, expected) in [
            ("guest", "guest", true, Ok("guest")),
            ("guest", "guest", false, Err(Reason::LoopbackOnly)),
            ("guest", "wrong", false, Err(Reason::WrongPassword)),
            ("guest", "", true, Err(Reason::WrongPassword)),
            ("orders", "s3cret", false, Ok("orders")),
            ("orders", "S3cret", false, Err(Reason::WrongPassword)),
            ("nobody", "guest", true, Err(Reason::UnknownUser)),
            ("", "", true, Err(Reason::UnknownUser)),
        ] {
            let response = format!("\0{user}\0{password}");
            let response = response.as_bytes();
            let found =
                authenticator.authenticate(Mechanism::Plain, response, peer_is_loopback, Time(0));
            let found = found.map(|identity| identity.name().clone());
            let expected = expected.map(UserName::from).map_err(|reason| {
                AuthenticationError::Refused(Refused { user: user.into(), reason })
            });
            assert_eq!(found, expected, "{user} {password} {peer_is_loopback}");
        }
    }

    #[test]
    fn malformed_response_is_not_a_refusal() {
        let found = authenticator().authenticate(Mechanism::Plain, b"guest\0guest", true, Time(0));
        assert!(matches!(found, Err(AuthenticationError::Malformed(_))));
    }

    #[test]
    fn refusal_explains_itself_to_the_log_on_one_line() {
        let login = |user: &str, peer| authenticator().login(&user.into(), b"guest", peer);
        assert_eq!(
            login("guest", false).unwrap_err().to_string(),
            "user \"guest\" can only connect via localhost"
        );
        assert_eq!(login("a\nb", true).unwrap_err().to_string(), "user \"a\\nb\" does not exist");
    }

    #[test]
    fn default_user_enters_the_default_vhost_only() {
        let authenticator = authenticator();
        let may =
            |user: &str, vhost: &str| authenticator.may_access_vhost(&user.into(), &vhost.into());
        assert!(may("guest", "/"));
        assert!(!may("guest", "other"));
        assert!(!may("orders", "/"));
    }

    #[test]
    fn user_made_again_does_not_inherit_permissions() {
        let authenticator = authenticator();
        let guest = UserName::from("guest");
        assert!(authenticator.delete_user(&guest, unheard()).is_some());
        assert!(authenticator.delete_user(&guest, unheard()).is_none());
        assert!(authenticator.login(&guest, b"guest", true).is_err());
        authenticator.put_user(user("guest", "guest"), unheard());
        assert!(!authenticator.may_access_vhost(&guest, &"/".into()));
    }
}
