//! EXTERNAL: a client is whom its TLS certificate names, and gives no password (behaviour B2.5).

use super::{Authenticator, Backend, Identity, Reason, Refused};
use crate::names::UserName;

/// What a connection's certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum External {
    /// There can be no certificate: the mechanism is not offered.
    #[default]
    NotOffered,
    /// There is none that names anybody.
    Nobody(Reason),
    User(UserName),
}

impl External {
    pub const MECHANISM: &'static str = "EXTERNAL";

    pub fn is_offered(&self) -> bool {
        *self != Self::NotOffered
    }
}

impl Authenticator {
    /// Judges a client by its certificate, which was verified.
    pub fn login_external(
        &self,
        external: &External,
        peer_is_loopback: bool,
    ) -> Result<Identity, Refused> {
        let name = match external {
            External::User(name) => name,
            External::NotOffered => return Err(nobody(Reason::NoCertificate)),
            External::Nobody(reason) => return Err(nobody(*reason)),
        };
        let refused = |reason| Refused { user: name.clone(), reason };
        // Where only tokens are asked for, users are nobody.
        let known = self.backends.contains(&Backend::Internal);
        let user = self.users.find(name).filter(|_| known);
        let user = user.ok_or_else(|| refused(Reason::UnknownUser))?;
        if !peer_is_loopback && self.loopback_users.contains(name) {
            return Err(refused(Reason::LoopbackOnly));
        }
        Ok(user.into())
    }
}

fn nobody(reason: Reason) -> Refused {
    Refused { user: UserName::from(""), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_names_a_user_who_exists_and_may_come_from_there() {
        let authenticator = Authenticator::new(vec!["guest".into()]);
        for name in ["guest", "CN=till"] {
            authenticator.add_default_user(name.into(), "", "/".into());
        }
        let tokens_only = Authenticator::new(vec![]).with_backends(vec![Backend::OAuth2], None);
        tokens_only.add_default_user("CN=till".into(), "", "/".into());
        let till = External::User("CN=till".into());
        assert!(tokens_only.login_external(&till, true).is_err());
        for (external, is_loopback, expected) in [
            (External::User("CN=till".into()), false, Ok("CN=till")),
            (External::User("guest".into()), true, Ok("guest")),
            (
                External::User("guest".into()),
                false,
                Err("user \"guest\" can only connect via localhost"),
            ),
            (External::User("till".into()), true, Err("user \"till\" does not exist")),
            (
                External::Nobody(Reason::NoCertificate),
                true,
                Err("user \"\" presented no TLS (x.509) certificate"),
            ),
            (
                External::Nobody(Reason::NoName),
                true,
                Err("user \"\" has no name in the certificate where it is looked for"),
            ),
            (External::NotOffered, true, Err("user \"\" presented no TLS (x.509) certificate")),
        ] {
            let found = authenticator.login_external(&external, is_loopback);
            let found = found.map(|identity| identity.name().clone());
            let found = found.map_err(|refused| refused.to_string());
            assert_eq!(found, expected.map(UserName::from).map_err(str::to_owned), "{external:?}");
        }
    }
}
