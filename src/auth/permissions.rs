//! What a user may do where (behaviour B10.3 to B10.6). An entry for a virtual host is what lets a user
//! enter it, even an entry that allows nothing inside (behaviour B2.10).
//!
//! Sessions keep a [`Grant`] and what they found in it for as long as the generation stays: one number
//! to look at says that nothing has changed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::pattern::Pattern;
use crate::names::{ExchangeName, UserName, VhostName};

#[derive(Debug, Default)]
pub struct Permissions {
    grants: RwLock<Grants>,
    generation: AtomicU64,
}

type Grants = HashMap<UserName, HashMap<VhostName, Arc<Grant>>>;

/// All that one user may do in one virtual host.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// Without one the user may not even enter.
    pub permission: Option<Permission>,
    /// Exchanges not in here take and give every topic.
    pub topics: BTreeMap<ExchangeName, TopicPermission>,
}

/// The names of exchanges and queues that a user may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Permission {
    pub configure: Pattern,
    pub write: Pattern,
    pub read: Pattern,
}

/// The routing keys that a user may publish to an exchange, and bind to it.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicPermission {
    pub write: Pattern,
    pub read: Pattern,
}

/// What is done to an exchange or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Configure,
    Write,
    Read,
}

/// Who may do something where, for lists.
#[derive(Clone, Debug)]
pub struct Granted {
    pub user: UserName,
    pub vhost: VhostName,
    pub grant: Arc<Grant>,
}

impl Permission {
    pub fn everything() -> Self {
        let all = Pattern::everything;
        Self { configure: all(), write: all(), read: all() }
    }
}

impl Grant {
    pub fn allows(&self, access: Access, name: &str) -> bool {
        self.permission.as_ref().is_some_and(|permission| {
            let pattern = match access {
                Access::Configure => &permission.configure,
                Access::Write => &permission.write,
                Access::Read => &permission.read,
            };
            pattern.matches(name.as_bytes())
        })
    }

    /// To be asked of topic exchanges only, on top of [`allows`](Self::allows). Configuring is no
    /// matter of topics.
    pub fn allows_topic(&self, access: Access, exchange: &str, routing_key: &[u8]) -> bool {
        let Some(topics) = self.topics.get(exchange) else { return true };
        match access {
            Access::Configure => true,
            Access::Write => topics.write.matches(routing_key),
            Access::Read => topics.read.matches(routing_key),
        }
    }

    fn is_empty(&self) -> bool {
        self.permission.is_none() && self.topics.is_empty()
    }
}

impl Permissions {
    /// Something else changed that connections go by.
    pub(super) fn touch(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Rises with every change. What was found in a grant is void once it has.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    pub fn may_access_vhost(&self, user: &UserName, vhost: &VhostName) -> bool {
        self.find(user, vhost).is_some_and(|grant| grant.permission.is_some())
    }

    /// The grant and the generation it belongs to, or an earlier one.
    pub fn current(&self, user: &UserName, vhost: &VhostName) -> (Arc<Grant>, u64) {
        let generation = self.generation.load(Ordering::Acquire);
        (self.find(user, vhost).unwrap_or_default(), generation)
    }

    pub fn find(&self, user: &UserName, vhost: &VhostName) -> Option<Arc<Grant>> {
        self.grants.read().get(user)?.get(vhost).cloned()
    }

    /// All grants, by virtual host and user.
    pub fn list(&self) -> Vec<Granted> {
        let grants = self.grants.read();
        let all = grants.iter().flat_map(|(user, vhosts)| {
            vhosts.iter().map(|(vhost, grant)| Granted {
                user: user.clone(),
                vhost: vhost.clone(),
                grant: Arc::clone(grant),
            })
        });
        let mut all: Vec<_> = all.collect();
        drop(grants);
        all.sort_by(|a, b| (&a.vhost, &a.user).cmp(&(&b.vhost, &b.user)));
        all
    }

    pub(super) fn change<T>(
        &self,
        user: &UserName,
        vhost: &VhostName,
        change: impl FnOnce(&mut Grant) -> T,
    ) -> T {
        let mut grants = self.grants.write();
        let vhosts = grants.entry(user.clone()).or_default();
        let grant = Arc::make_mut(vhosts.entry(vhost.clone()).or_default());
        let result = change(grant);
        if grant.is_empty() {
            vhosts.remove(vhost);
        }
        self.changed();
        result
    }

    /// For a virtual host that is deleted: one made later under its name starts closed.
    pub(super) fn drop_vhost(&self, vhost: &VhostName) {
        let mut grants = self.grants.write();
        grants.values_mut().for_each(|vhosts| drop(vhosts.remove(vhost)));
        self.changed();
    }

    pub(super) fn drop_user(&self, user: &UserName) {
        let mut grants = self.grants.write();
        grants.remove(user);
        self.changed();
    }

    /// With the lock held: who sees the new generation finds what it stands for.
    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(configure: &str, write: &str, read: &str) -> Permission {
        let [configure, write, read] =
            [configure, write, read].map(|text| Pattern::new(text).unwrap());
        Permission { configure, write, read }
    }

    #[test]
    fn grant_is_for_one_user_in_one_vhost() {
        let permissions = Permissions::default();
        let may =
            |user: &str, vhost: &str| permissions.may_access_vhost(&user.into(), &vhost.into());
        let grant = |user: &str, vhost: &str| {
            let everything = Some(Permission::everything());
            permissions.change(&user.into(), &vhost.into(), |grant| grant.permission = everything);
        };
        assert!(!may("hare", "field"));
        grant("hare", "field");
        grant("hare", "wood");
        grant("fox", "wood");
        assert!(may("hare", "field") && may("hare", "wood") && may("fox", "wood"));
        assert!(!may("fox", "field"));
        let listed = permissions.list().into_iter().map(|one| (one.vhost, one.user));
        let expected = [("field", "hare"), ("wood", "fox"), ("wood", "hare")];
        assert!(listed.eq(expected.map(|(vhost, user)| (vhost.into(), user.into()))));

        permissions.change(&"hare".into(), &"field".into(), |grant| grant.permission = None);
        assert!(!may("hare", "field") && may("hare", "wood"));
        permissions.drop_vhost(&"wood".into());
        assert!(!may("hare", "wood") && !may("fox", "wood"));
        assert!(permissions.list().is_empty());
    }

    #[test]
    fn each_access_has_its_own_pattern() {
        let grant = Grant { permission: Some(permission("^c", "", "^r")), ..Grant::default() };
        for (access, name, expected) in [
            (Access::Configure, "c", true),
            (Access::Configure, "r", false),
            (Access::Write, "c", false),
            (Access::Write, "amq.default", false),
            (Access::Read, "c", false),
            (Access::Read, "r", true),
        ] {
            assert_eq!(grant.allows(access, name), expected, "{access} {name}");
            assert!(!Grant::default().allows(access, name));
        }
    }

    #[test]
    fn exchange_without_an_entry_takes_every_topic() {
        let [write, read] = ["^a", "^b"].map(|text| Pattern::new(text).unwrap());
        let mut grant = Grant::default();
        grant.topics.insert("x".into(), TopicPermission { write, read });
        for (access, exchange, key, expected) in [
            (Access::Write, "x", "a", true),
            (Access::Write, "x", "b", false),
            (Access::Read, "x", "a", false),
            (Access::Read, "x", "b", true),
            (Access::Write, "y", "b", true),
        ] {
            assert_eq!(grant.allows_topic(access, exchange, key.as_bytes()), expected);
        }
    }

    #[test]
    fn every_change_makes_older_findings_void() {
        let permissions = Permissions::default();
        let (user, vhost) = ("hare".into(), "/".into());
        let mut last = permissions.current(&user, &vhost).1;
        let mut changed = |what: &str| {
            let generation = permissions.generation();
            assert!(generation > last, "{what}");
            last = generation;
        };
        permissions.change(&user, &vhost, |_| ());
        changed("change");
        permissions.drop_vhost(&vhost);
        changed("drop_vhost");
        permissions.drop_user(&user);
        changed("drop_user");
    }
}
