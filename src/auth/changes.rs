//! Users and permissions change: in memory, where it counts at once, and in the store.
//!
//! Every change takes what is called when it is durable, as the store does.

use super::users::UserLimits;
use super::{
    Authenticator, HashingAlgorithm, InvalidPattern, PasswordHash, Pattern, Permission, Tag,
    TopicPermission, User,
};
use crate::names::{AUDIT, ExchangeName, UserName, VhostName};
use crate::storage::{
    Access as Stored, AccessChange, Change, Commit, Done, PermissionRecord, StoreError,
    TopicPermissionRecord, UserRecord,
};

/// The expressions of a permission, as they are given.
#[derive(Clone, Copy, Debug)]
pub struct Patterns<'a> {
    pub configure: &'a str,
    pub write: &'a str,
    pub read: &'a str,
}

impl Patterns<'static> {
    pub const EVERYTHING: Self = Self { configure: ".*", write: ".*", read: ".*" };
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPermitted {
    #[error("there is no such user")]
    UnknownUser,
    #[error(transparent)]
    Invalid(#[from] InvalidPattern),
}

impl Authenticator {
    /// Makes the user that an empty broker starts with: an administrator who may do everything in
    /// `vhost`. One that is deleted does not come back: the store knows that it was made.
    pub fn add_default_user(&self, name: UserName, password: &str, vhost: VhostName) {
        let user = User {
            name,
            password: PasswordHash::new(password),
            tags: vec![Tag::Administrator],
            limits: UserLimits::default(),
        };
        // The user is there and the expressions are good.
        let _ = self.add_first_user(user, &vhost, Patterns::EVERYTHING);
    }

    /// The same for a user with tags and permissions of choice. An expression that is not one is an error,
    /// and then there is no user.
    pub fn add_first_user(
        &self,
        user: User,
        vhost: &VhostName,
        patterns: Patterns<'_>,
    ) -> Result<(), NotPermitted> {
        let name = user.name.clone();
        for pattern in [patterns.configure, patterns.write, patterns.read] {
            Pattern::new(pattern)?;
        }
        self.put_user(user, unheard());
        self.permit(&name, vhost, patterns, unheard())?;
        self.commit(AccessChange::DefaultsMade, unheard());
        Ok(())
    }

    /// The store has its users from elsewhere: it needs none to start with, not even later.
    pub fn forgo_first_user(&self) {
        self.commit(AccessChange::DefaultsMade, unheard());
    }

    /// Adds the user, or replaces the one of that name, who keeps the permissions and those
    /// connections that are open. Says whether there was one.
    pub fn put_user(&self, user: User, done: Done) -> (bool, Commit) {
        let (name, tags, limits) = (user.name.clone(), user.tags.clone(), user.limits);
        let changing = self.changing.lock();
        let change = AccessChange::PutUser(record(&user));
        let existed = self.users.put(user);
        // Connections that are open look at the limits again.
        self.permissions.touch();
        let commit = self.commit(change, done);
        drop(changing);
        tracing::info!(target: AUDIT, user = name.as_str(), existed, ?tags, ?limits, "user put");
        (existed, commit)
    }

    /// Takes the user's permissions along: who gets the name next must not inherit them. `None` when
    /// there was no such user.
    pub fn delete_user(&self, name: &UserName, done: Done) -> Option<Commit> {
        let changing = self.changing.lock();
        if !self.users.delete(name) {
            return None;
        }
        self.permissions.drop_user(name);
        let commit = self.commit(AccessChange::DeleteUser { name: name.clone() }, done);
        drop(changing);
        tracing::info!(target: AUDIT, user = name.as_str(), "user deleted");
        Some(commit)
    }

    /// Lets a user into a virtual host, which the caller knows to exist. Says whether the user had a
    /// permission there, which is replaced.
    pub fn permit(
        &self,
        user: &UserName,
        vhost: &VhostName,
        patterns: Patterns<'_>,
        done: Done,
    ) -> Result<(bool, Commit), NotPermitted> {
        let Patterns { configure, write, read } = patterns;
        let permission = Permission {
            configure: Pattern::new(configure)?,
            write: Pattern::new(write)?,
            read: Pattern::new(read)?,
        };
        let changing = self.changing.lock();
        self.users.find(user).ok_or(NotPermitted::UnknownUser)?;
        let old =
            self.permissions.change(user, vhost, |grant| grant.permission.replace(permission));
        let record = PermissionRecord {
            user: user.clone(),
            vhost: vhost.clone(),
            configure: configure.to_owned(),
            write: write.to_owned(),
            read: read.to_owned(),
        };
        let commit = self.commit(AccessChange::PutPermission(record), done);
        drop(changing);
        let (user, vhost) = (user.as_str(), vhost.as_str());
        tracing::info!(target: AUDIT, user, vhost, configure, write, read, "permission put");
        Ok((old.is_some(), commit))
    }

    /// `None` when there was no permission.
    pub fn forbid(&self, user: &UserName, vhost: &VhostName, done: Done) -> Option<Commit> {
        let changing = self.changing.lock();
        self.permissions.change(user, vhost, |grant| grant.permission.take())?;
        let change = AccessChange::DeletePermission { user: user.clone(), vhost: vhost.clone() };
        let commit = self.commit(change, done);
        drop(changing);
        let (user, vhost) = (user.as_str(), vhost.as_str());
        tracing::info!(target: AUDIT, user, vhost, "permission deleted");
        Some(commit)
    }

    /// Limits the routing keys that a user may use with a topic exchange. The exchange need not exist.
    pub fn permit_topics(
        &self,
        user: &UserName,
        vhost: &VhostName,
        exchange: &ExchangeName,
        (write, read): (&str, &str),
        done: Done,
    ) -> Result<(bool, Commit), NotPermitted> {
        let topics = topic_permission(user, vhost, write, read)?;
        let changing = self.changing.lock();
        self.users.find(user).ok_or(NotPermitted::UnknownUser)?;
        let old = self
            .permissions
            .change(user, vhost, |grant| grant.topics.insert(exchange.clone(), topics));
        let record = TopicPermissionRecord {
            user: user.clone(),
            vhost: vhost.clone(),
            exchange: exchange.clone(),
            write: write.to_owned(),
            read: read.to_owned(),
        };
        let commit = self.commit(AccessChange::PutTopicPermission(record), done);
        drop(changing);
        let (user, vhost, exchange) = (user.as_str(), vhost.as_str(), exchange.as_str());
        tracing::info!(target: AUDIT, user, vhost, exchange, write, read, "topic permission put");
        Ok((old.is_some(), commit))
    }

    /// Lifts the limits of one exchange, or of all. `None` when there were none.
    pub fn forget_topics(
        &self,
        user: &UserName,
        vhost: &VhostName,
        exchange: Option<&ExchangeName>,
        done: Done,
    ) -> Option<Commit> {
        let changing = self.changing.lock();
        let mut dropped = self.permissions.change(user, vhost, |grant| match exchange {
            Some(exchange) => grant.topics.remove_entry(exchange).into_iter().collect(),
            None => std::mem::take(&mut grant.topics),
        });
        let commit = |exchange, done| {
            let (user, vhost) = (user.clone(), vhost.clone());
            self.commit(AccessChange::DeleteTopicPermission { user, vhost, exchange }, done)
        };
        // The store keeps the order, so the last one's commit is everybody's.
        let (last, _) = dropped.pop_last()?;
        let (mut exchanges, last_name) = (Vec::new(), last.clone());
        for exchange in dropped.into_keys() {
            exchanges.push(exchange.clone());
            commit(exchange, unheard());
        }
        let committed = commit(last, done);
        drop(changing);
        exchanges.push(last_name);
        let (user, vhost) = (user.as_str(), vhost.as_str());
        tracing::info!(target: AUDIT, user, vhost, ?exchanges, "topic permissions deleted");
        Some(committed)
    }

    /// For a virtual host that is deleted: one made later under its name starts closed. The store
    /// drops what it has with the virtual host.
    pub fn forget_vhost(&self, vhost: &VhostName) {
        let _changing = self.changing.lock();
        self.permissions.drop_vhost(vhost);
    }

    /// Brings back what the store kept, before there are clients. What this version cannot read lets
    /// nobody do anything, and is reported in the log.
    pub fn restore(&self, stored: Stored) {
        for record in stored.users {
            self.users.put(user(record));
        }
        for record in stored.permissions {
            let PermissionRecord { user, vhost, configure, write, read } = record;
            let pattern =
                |text: &str| Pattern::new(text).unwrap_or_else(|error| closed(&user, &error));
            let permission = Permission {
                configure: pattern(&configure),
                write: pattern(&write),
                read: pattern(&read),
            };
            self.permissions.change(&user, &vhost, |grant| grant.permission = Some(permission));
        }
        for record in stored.topic_permissions {
            let TopicPermissionRecord { user, vhost, exchange, write, read } = record;
            let topics = topic_permission(&user, &vhost, &write, &read).unwrap_or_else(|error| {
                TopicPermission { write: closed(&user, &error), read: Pattern::nothing() }
            });
            self.permissions.change(&user, &vhost, |grant| grant.topics.insert(exchange, topics));
        }
    }

    fn commit(&self, change: AccessChange, done: Done) -> Commit {
        self.store.commit(&VhostName::from(""), Change::Access(change), done)
    }
}

/// A change that nobody waits for.
pub fn unheard() -> Done {
    Box::new(|result: Result<(), StoreError>| {
        if let Err(error) = result {
            tracing::error!(%error, "users and permissions could not be stored");
        }
    })
}

fn closed(user: &UserName, error: &InvalidPattern) -> Pattern {
    tracing::error!(%user, %error, "a stored permission cannot be read, and permits nothing");
    Pattern::nothing()
}

fn topic_permission(
    user: &UserName,
    vhost: &VhostName,
    write: &str,
    read: &str,
) -> Result<TopicPermission, InvalidPattern> {
    let pattern = |text| Pattern::for_topics(text, user.as_str(), vhost.as_str());
    Ok(TopicPermission { write: pattern(write)?, read: pattern(read)? })
}

fn record(user: &User) -> UserRecord {
    UserRecord {
        name: user.name.clone(),
        password_hash: user.password.to_string(),
        hashing_algorithm: user.password.algorithm().as_str().to_owned(),
        tags: user.tags.iter().map(Tag::to_string).collect(),
        limits: user.limits.iter().map(|(name, max)| (name.to_owned(), i64::from(max))).collect(),
    }
}

fn user(record: UserRecord) -> User {
    let UserRecord { name, password_hash, hashing_algorithm, tags, limits: stored } = record;
    let password = HashingAlgorithm::from_name(&hashing_algorithm)
        .and_then(|algorithm| PasswordHash::parse(&password_hash, Some(algorithm)).ok())
        .unwrap_or_else(|| {
            tracing::error!(user = %name, "a stored password cannot be read, and fits nobody");
            PasswordHash::none()
        });
    let mut limits = UserLimits::default();
    for (name, max) in stored {
        if let Some(limit) = limits.named(&name) {
            *limit = u32::try_from(max).ok();
        }
    }
    User { password, tags: tags.iter().map(|tag| Tag::from(tag.as_str())).collect(), limits, name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::RedbDefinitions;

    fn open(directory: &std::path::Path) -> (Authenticator, std::sync::Arc<RedbDefinitions>) {
        let store = RedbDefinitions::open(directory, Box::new(|error| panic!("{error}")));
        let store = std::sync::Arc::new(store.unwrap());
        let authenticator =
            Authenticator::with_store(Vec::new(), std::sync::Arc::clone(&store) as _);
        authenticator.restore(store.load_access().unwrap());
        (authenticator, store)
    }

    fn user(name: &str) -> User {
        User {
            name: name.into(),
            password: PasswordHash::new(name),
            tags: vec![Tag::Monitoring, Tag::Custom("on-call".to_owned())],
            limits: UserLimits {
                connections_max: Some(0),
                channels_max: Some(1),
                connection_rate_max: Some(2),
                message_rate_max: Some(u32::MAX),
            },
        }
    }

    #[test]
    fn users_and_permissions_are_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (before, store) = open(directory.path());
        before.add_default_user("guest".into(), "guest", "/".into());
        for name in ["hare", "fox"] {
            before.put_user(user(name), unheard());
            let patterns = Patterns { configure: "^a", write: "", read: "b$" };
            for vhost in ["/", "wood"] {
                before.permit(&name.into(), &vhost.into(), patterns, unheard()).unwrap();
            }
            for exchange in ["amq.topic", "t", "u"] {
                let (write, read) = ("^{username}", "^b");
                let exchange = exchange.into();
                let topics = (write, read);
                before
                    .permit_topics(&name.into(), &"/".into(), &exchange, topics, unheard())
                    .unwrap();
            }
        }
        before.delete_user(&"guest".into(), unheard()).unwrap();
        before.delete_user(&"fox".into(), unheard()).unwrap();
        before.forbid(&"hare".into(), &"wood".into(), unheard()).unwrap();
        let (hare, root) = (UserName::from("hare"), VhostName::from("/"));
        before.forget_topics(&hare, &root, Some(&"t".into()), unheard()).unwrap();
        drop(before);
        store.close();

        let (after, store) = open(directory.path());
        assert!(store.load_access().unwrap().defaults_made);
        let users = after.users().list();
        let [found] = &users[..] else { panic!("{users:?}") };
        assert_eq!((&found.tags, found.limits), (&user("hare").tags, user("hare").limits));
        after.login(&hare, b"hare", true).unwrap();
        after.login(&"guest".into(), b"guest", true).unwrap_err();
        let listed = after.permissions().list();
        let [granted] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!((&granted.user, &granted.vhost), (&hare, &root));
        let permission = granted.grant.permission.as_ref().unwrap();
        assert_eq!(permission.configure.as_str(), "^a");
        assert_eq!(permission.write.as_str(), "");
        assert_eq!(permission.read.as_str(), "b$");
        let topics: Vec<_> = granted.grant.topics.keys().map(ExchangeName::as_str).collect();
        assert_eq!(topics, ["amq.topic", "u"]);
        let may = |key: &str| {
            granted.grant.allows_topic(super::super::Access::Write, "u", key.as_bytes())
        };
        assert!(may("hare.1") && !may("fox.1"));

        assert!(after.forget_topics(&hare, &root, None, unheard()).is_some());
        assert!(after.forget_topics(&hare, &root, None, unheard()).is_none());
        drop(after);
        store.close();
        let stored = open(directory.path()).1.load_access().unwrap();
        assert_eq!((stored.permissions.len(), stored.topic_permissions.len()), (1, 0));
    }

    #[test]
    fn what_is_not_there_cannot_be_changed() {
        let authenticator = Authenticator::new(Vec::new());
        let (hare, root) = (UserName::from("hare"), VhostName::from("/"));
        let everything = Patterns::EVERYTHING;
        let unknown = authenticator.permit(&hare, &root, everything, unheard());
        assert_eq!(unknown.unwrap_err(), NotPermitted::UnknownUser);
        let unknown = authenticator.permit_topics(&hare, &root, &"x".into(), ("", ""), unheard());
        assert_eq!(unknown.unwrap_err(), NotPermitted::UnknownUser);
        assert!(authenticator.delete_user(&hare, unheard()).is_none());
        assert!(authenticator.forbid(&hare, &root, unheard()).is_none());
        assert!(authenticator.forget_topics(&hare, &root, None, unheard()).is_none());

        authenticator.put_user(user("hare"), unheard());
        let bad = Patterns { read: "(", ..everything };
        let bad = authenticator.permit(&hare, &root, bad, unheard()).unwrap_err();
        assert_eq!(bad.to_string(), "invalid regular expression '(': unclosed group");
        assert!(!authenticator.may_access_vhost(&hare, &root));
    }

    /// What cannot be read must not open what it closed.
    #[test]
    fn damaged_rows_permit_nothing() {
        let authenticator = Authenticator::new(Vec::new());
        let [user, vhost] = ["hare", "/"];
        authenticator.restore(Stored {
            users: vec![UserRecord {
                name: user.into(),
                password_hash: "?".to_owned(),
                hashing_algorithm: "rot13".to_owned(),
                tags: Vec::new(),
                limits: Vec::new(),
            }],
            permissions: vec![PermissionRecord {
                user: user.into(),
                vhost: vhost.into(),
                configure: "(".to_owned(),
                write: ".*".to_owned(),
                read: "(".to_owned(),
            }],
            topic_permissions: vec![TopicPermissionRecord {
                user: user.into(),
                vhost: vhost.into(),
                exchange: "x".into(),
                write: "(".to_owned(),
                read: ".*".to_owned(),
            }],
            defaults_made: true,
        });
        let grant = authenticator.permissions().find(&user.into(), &vhost.into()).unwrap();
        use super::super::Access::{Configure, Read, Write};
        assert!(!grant.allows(Configure, "a") && grant.allows(Write, "a"));
        assert!(!grant.allows(Read, "a"));
        assert!(!grant.allows_topic(Write, "x", b"a") && !grant.allows_topic(Read, "x", b"a"));
        authenticator.login(&user.into(), b"?", true).unwrap_err();
    }
}
