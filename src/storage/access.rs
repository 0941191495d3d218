//! Who may do what, as it is stored: users, and their permissions in vhosts.

use crate::names::{ExchangeName, UserName, VhostName};

/// A change of users or permissions. To put what is there already replaces it.
///
/// What belongs to a vhost goes with [`Change::DeleteVhost`](super::Change) too.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessChange {
    PutUser(UserRecord),
    /// Takes the user's permissions along.
    DeleteUser {
        name: UserName,
    },
    PutPermission(PermissionRecord),
    DeletePermission {
        user: UserName,
        vhost: VhostName,
    },
    PutTopicPermission(TopicPermissionRecord),
    DeleteTopicPermission {
        user: UserName,
        vhost: VhostName,
        exchange: ExchangeName,
    },
    /// The user and the vhost that an empty broker begins with were made: never again.
    DefaultsMade,
}

#[derive(Clone, Debug, PartialEq)]
pub struct UserRecord {
    pub name: UserName,
    /// Base64 of salt and digest; empty when no password fits.
    pub password_hash: String,
    /// RabbitMQ's name of it.
    pub hashing_algorithm: String,
    pub tags: Vec<String>,
    /// By the limit's name. One that is not here does not limit.
    pub limits: Vec<(String, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionRecord {
    pub user: UserName,
    pub vhost: VhostName,
    /// Regular expressions, as all those below.
    pub configure: String,
    pub write: String,
    pub read: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPermissionRecord {
    pub user: UserName,
    pub vhost: VhostName,
    pub exchange: ExchangeName,
    pub write: String,
    pub read: String,
}

/// What a store kept over a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    pub users: Vec<UserRecord>,
    pub permissions: Vec<PermissionRecord>,
    pub topic_permissions: Vec<TopicPermissionRecord>,
    pub defaults_made: bool,
}
