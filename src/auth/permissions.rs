//! What a user may do where. An entry for a virtual host is what lets a user enter it, even an entry
//! that allows nothing inside (behaviour B2.10).

use std::collections::{HashMap, HashSet};

use parking_lot::RwLock;

use crate::names::{UserName, VhostName};

/// A grant holds no patterns for configure, write and read (B10.3): who may enter may do everything.
/// They belong to the pair of user and virtual host, so their place is the value of the inner set.
#[derive(Debug, Default)]
pub struct Permissions {
    grants: RwLock<HashMap<UserName, HashSet<VhostName>>>,
}

impl Permissions {
    pub fn grant(&self, user: UserName, vhost: VhostName) {
        self.grants.write().entry(user).or_default().insert(vhost);
    }

    /// Says whether there was a grant.
    pub fn revoke(&self, user: &UserName, vhost: &VhostName) -> bool {
        let mut grants = self.grants.write();
        grants.get_mut(user).is_some_and(|vhosts| vhosts.remove(vhost))
    }

    /// For a virtual host that is deleted: one made later under its name starts closed.
    pub fn drop_vhost(&self, vhost: &VhostName) {
        for vhosts in self.grants.write().values_mut() {
            vhosts.remove(vhost);
        }
    }

    pub(super) fn drop_user(&self, user: &UserName) {
        self.grants.write().remove(user);
    }

    pub fn may_access_vhost(&self, user: &UserName, vhost: &VhostName) -> bool {
        let grants = self.grants.read();
        grants.get(user).is_some_and(|vhosts| vhosts.contains(vhost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grant_is_for_one_user_in_one_vhost() {
        let permissions = Permissions::default();
        let may =
            |user: &str, vhost: &str| permissions.may_access_vhost(&user.into(), &vhost.into());
        assert!(!may("hare", "field"));
        permissions.grant("hare".into(), "field".into());
        permissions.grant("hare".into(), "wood".into());
        permissions.grant("fox".into(), "wood".into());
        assert!(may("hare", "field") && may("hare", "wood") && may("fox", "wood"));
        assert!(!may("fox", "field"));

        assert!(permissions.revoke(&"hare".into(), &"field".into()));
        assert!(!permissions.revoke(&"hare".into(), &"field".into()));
        assert!(!permissions.revoke(&"owl".into(), &"field".into()));
        assert!(!may("hare", "field") && may("hare", "wood"));

        permissions.drop_vhost(&"wood".into());
        assert!(!may("hare", "wood") && !may("fox", "wood"));
    }
}
