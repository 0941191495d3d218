//! Who logged in, and where to look for what they may do: in the permissions of users, or in the token
//! that they came with.
//!
//! This is the seam between kinds of users. Everything above asks an [`Identity`] or the [`Authority`] it
//! has in a virtual host, and does not know which kind it is. Only limits go by the name alone, as they
//! do in RabbitMQ: those of a user hold for tokens of that name.

use std::sync::Arc;

use super::oauth2::{Token, VhostScopes};
use super::permissions::{Access, Grant};
use super::users::{Tag, User};
use super::{Authenticator, Users};
use crate::names::{UserName, VhostName};
use crate::time::Time;

#[derive(Clone, Debug)]
pub struct Identity(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// As the user was at the login.
    Internal(Arc<User>),
    Token(Arc<Token>),
}

/// What decides what an identity may do in one virtual host.
#[derive(Clone, Debug)]
pub enum Authority {
    Grant(Arc<Grant>),
    Scopes(Arc<VhostScopes>),
}

impl Identity {
    /// As the user was at the login, or as the token says.
    pub fn user(&self) -> &Arc<User> {
        match &self.0 {
            Kind::Internal(user) => user,
            Kind::Token(token) => &token.user,
        }
    }

    pub fn name(&self) -> &UserName {
        &self.user().name
    }

    pub fn is_token(&self) -> bool {
        matches!(self.0, Kind::Token(_))
    }

    /// It is good until then; `NEVER` is for ever.
    pub fn expires(&self) -> Time {
        match &self.0 {
            Kind::Internal(_) => Time::NEVER,
            Kind::Token(token) => token.expires,
        }
    }

    /// Whether the user has the tag by now.
    pub fn has_tag(&self, users: &Users, tag: &Tag) -> bool {
        match &self.0 {
            Kind::Internal(user) => {
                users.find(&user.name).is_some_and(|user| user.tags.contains(tag))
            }
            Kind::Token(token) => token.user.tags.contains(tag),
        }
    }

    pub fn may_access_vhost(&self, authenticator: &Authenticator, vhost: &VhostName) -> bool {
        match &self.0 {
            Kind::Internal(user) => authenticator.may_access_vhost(&user.name, vhost),
            Kind::Token(token) => token.may_access_vhost(vhost),
        }
    }

    /// The authority and the generation of permissions it belongs to, or an earlier one.
    pub fn authority(&self, authenticator: &Authenticator, vhost: &VhostName) -> (Authority, u64) {
        let permissions = authenticator.permissions();
        match &self.0 {
            Kind::Internal(user) => {
                let (grant, generation) = permissions.current(&user.name, vhost);
                (Authority::Grant(grant), generation)
            }
            Kind::Token(token) => {
                (Authority::Scopes(token.in_vhost(vhost)), permissions.generation())
            }
        }
    }
}

impl From<Arc<User>> for Identity {
    fn from(user: Arc<User>) -> Self {
        Self(Kind::Internal(user))
    }
}

impl From<Token> for Identity {
    fn from(token: Token) -> Self {
        Self(Kind::Token(Arc::new(token)))
    }
}

impl Authority {
    pub fn allows(&self, access: Access, name: &str) -> bool {
        match self {
            Self::Grant(grant) => grant.allows(access, name),
            Self::Scopes(scopes) => scopes.allows(access, name),
        }
    }

    /// To be asked of topic exchanges only, on top of [`allows`](Self::allows).
    pub fn allows_topic(&self, access: Access, exchange: &str, routing_key: &[u8]) -> bool {
        match self {
            Self::Grant(grant) => grant.allows_topic(access, exchange, routing_key),
            Self::Scopes(scopes) => scopes.allows_topic(access, exchange, routing_key),
        }
    }

    /// Whether [`allows_topic`](Self::allows_topic) could refuse anything.
    pub fn has_topics(&self) -> bool {
        match self {
            Self::Grant(grant) => !grant.topics.is_empty(),
            Self::Scopes(scopes) => scopes.has_topics(),
        }
    }
}
