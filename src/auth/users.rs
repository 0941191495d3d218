//! The users: a map behind one lock that is never held while a password is hashed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::Reason;
use super::password::PasswordHash;
use crate::names::UserName;

#[derive(Debug, Default)]
pub struct Users {
    by_name: RwLock<HashMap<UserName, Arc<User>>>,
}

#[derive(Clone, Debug)]
pub struct User {
    pub name: UserName,
    pub password: PasswordHash,
    pub tags: Vec<Tag>,
    pub limits: UserLimits,
}

/// How much one user may use; `None` is as much as there is (behaviour B10.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Connections that may be open at a time.
    pub connections_max: Option<u32>,
    /// Channels that may be open at a time, over all connections.
    pub channels_max: Option<u32>,
    /// Connections that may be opened in a second.
    pub connection_rate_max: Option<u32>,
    /// Messages that are taken from the user's connections in a second.
    pub message_rate_max: Option<u32>,
}

impl UserLimits {
    /// What they are called where they are set and stored. The first two are RabbitMQ's.
    pub const NAMES: [&'static str; 4] =
        ["max-connections", "max-channels", "max-connection-rate", "max-message-rate"];

    /// The limit of that name; `None` when there is no such limit.
    pub fn named(&mut self, name: &str) -> Option<&mut Option<u32>> {
        match name {
            "max-connections" => Some(&mut self.connections_max),
            "max-channels" => Some(&mut self.channels_max),
            "max-connection-rate" => Some(&mut self.connection_rate_max),
            "max-message-rate" => Some(&mut self.message_rate_max),
            _ => None,
        }
    }

    /// Those that are set, with their names.
    pub fn iter(mut self) -> impl Iterator<Item = (&'static str, u32)> {
        Self::NAMES.into_iter().filter_map(move |name| Some((name, (*self.named(name)?)?)))
    }
}

/// What a user may do beyond AMQP, which needs no tag (behaviour B10.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    Administrator,
    Monitoring,
    Policymaker,
    Management,
    /// May put another name into a message's `user-id` property.
    Impersonator,
    /// Means nothing to the broker; kept for whom it does.
    Custom(String),
}

impl Users {
    /// Adds the user, or replaces the one of that name. Says whether there was one.
    pub(super) fn put(&self, user: User) -> bool {
        let mut by_name = self.by_name.write();
        by_name.insert(user.name.clone(), Arc::new(user)).is_some()
    }

    /// Leaves the permissions; [`Authenticator::delete_user`](super::Authenticator) takes both.
    pub(super) fn delete(&self, name: &UserName) -> bool {
        self.by_name.write().remove(name).is_some()
    }

    pub fn find(&self, name: &UserName) -> Option<Arc<User>> {
        self.by_name.read().get(name).cloned()
    }

    /// All users, by name.
    pub fn list(&self) -> Vec<Arc<User>> {
        let mut users: Vec<_> = self.by_name.read().values().cloned().collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    /// A name that does not exist costs a hash like one that does, so that nobody can find out by
    /// the clock which names are worth trying.
    pub(super) fn verify(&self, name: &UserName, password: &[u8]) -> Result<Arc<User>, Reason> {
        let user = self.find(name);
        let nobody = PasswordHash::none();
        let hash = user.as_ref().map_or(&nobody, |user| &user.password);
        let fits = hash.verify(password);
        match user {
            Some(user) if fits => Ok(user),
            Some(_) => Err(Reason::WrongPassword),
            None => Err(Reason::UnknownUser),
        }
    }
}

impl Tag {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Administrator => "administrator",
            Self::Monitoring => "monitoring",
            Self::Policymaker => "policymaker",
            Self::Management => "management",
            Self::Impersonator => "impersonator",
            Self::Custom(text) => text,
        }
    }
}

impl From<&str> for Tag {
    fn from(text: &str) -> Self {
        match text {
            "administrator" => Self::Administrator,
            "monitoring" => Self::Monitoring,
            "policymaker" => Self::Policymaker,
            "management" => Self::Management,
            "impersonator" => Self::Impersonator,
            other => Self::Custom(other.to_owned()),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: PasswordHash) -> User {
        User { name: name.into(), password, tags: Vec::new(), limits: UserLimits::default() }
    }

    #[test]
    fn putting_a_user_again_replaces_the_password() {
        let users = Users::default();
        users.put(user("hare", PasswordHash::new("old")));
        users.put(user("hare", PasswordHash::new("new")));
        let verify = |password: &[u8]| users.verify(&"hare".into(), password);
        assert_eq!(verify(b"old").unwrap_err(), Reason::WrongPassword);
        assert_eq!(verify(b"new").unwrap().name.as_str(), "hare");
        assert_eq!(users.list().len(), 1);
    }

    #[test]
    fn user_without_a_hash_cannot_log_in() {
        let users = Users::default();
        users.put(user("hare", PasswordHash::none()));
        for password in [&b""[..], b"hare"] {
            let found = users.verify(&"hare".into(), password);
            assert_eq!(found.unwrap_err(), Reason::WrongPassword);
        }
    }

    /// Nobody finds out by the clock who is there.
    #[test]
    fn every_login_is_the_same_work() {
        use crate::auth::password::{HashingAlgorithm, work};

        let users = Users::default();
        users.put(user("hare", PasswordHash::new("a password")));
        users.put(user("none", PasswordHash::none()));
        let digest = "yv66vpOZldVbWEa2vhk4+MT1zDs=";
        users.put(user("old", PasswordHash::parse(digest, Some(HashingAlgorithm::Md5)).unwrap()));
        work::take();
        for name in ["hare", "none", "old", "nobody", ""] {
            for password in ["a password", "b password", "", "s3cret"] {
                let _ = users.verify(&name.into(), password.as_bytes());
                assert_eq!(work::take(), (3, 3 * password.len()), "{name} {password}");
            }
        }
    }

    #[test]
    fn users_are_listed_by_name() {
        let users = Users::default();
        for name in ["c", "a", "b"] {
            users.put(user(name, PasswordHash::none()));
        }
        let names: Vec<_> = users.list().iter().map(|user| user.name.clone()).collect();
        assert_eq!(names, ["a", "b", "c"].map(UserName::from));
    }

    #[test]
    fn tags_keep_their_spelling() {
        for text in
            ["administrator", "monitoring", "policymaker", "management", "impersonator", "on-call"]
        {
            assert_eq!(Tag::from(text).to_string(), text);
        }
        assert_eq!(Tag::from("administrator"), Tag::Administrator);
    }
}
