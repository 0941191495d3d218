//! What the user of a connection may do (behaviour B10.3 to B10.6).
//!
//! The user's authority is kept, and with it the names that it was found to allow, so that the same work on
//! the same few names searches for no expression again. Both are dropped when any permission changes,
//! which the connection looks for once a batch.

use std::collections::VecDeque;

use crate::auth::{Access, Authenticator, Authority, Identity, Tag};
use crate::broker::{Vhost, resource_exchange, resource_queue};
use crate::names::VhostName;
use crate::protocol::{AmqpError, ReplyCode};

/// Names remembered.
const REMEMBERED_MAX: usize = 16;

/// What permissions call the default exchange.
const DEFAULT_EXCHANGE: &str = "amq.default";

pub struct Rights {
    identity: Identity,
    vhost: VhostName,
    authority: Authority,
    generation: u64,
    /// Found to be allowed, newest first.
    allowed: VecDeque<(Access, Box<str>)>,
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    Queue(&'a str),
    Exchange(&'a str),
}

impl Rights {
    pub fn new(authenticator: &Authenticator, identity: Identity, vhost: VhostName) -> Self {
        let (authority, generation) = identity.authority(authenticator, &vhost);
        Self { identity, vhost, authority, generation, allowed: VecDeque::new() }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Somebody who publishes in other users' names.
    #[cold]
    pub fn is_impersonator(&self, authenticator: &Authenticator) -> bool {
        self.identity.has_tag(authenticator.users(), &Tag::Impersonator)
    }

    /// Looks at one number. When it says true, what was found before may not hold any more.
    #[inline]
    pub fn renew(&mut self, authenticator: &Authenticator) -> bool {
        if authenticator.permissions().generation() == self.generation {
            return false;
        }
        (self.authority, self.generation) = self.identity.authority(authenticator, &self.vhost);
        self.allowed.clear();
        true
    }

    /// CH 403 unless the user may (behaviour B10.4).
    pub fn check(&mut self, access: Access, resource: Resource<'_>) -> Result<(), AmqpError> {
        let name = resource.name();
        let known = |(known, of): &(Access, Box<str>)| *known == access && **of == *name;
        if self.allowed.iter().any(known) {
            return Ok(());
        }
        self.check_once(access, resource)?;
        self.allowed.truncate(REMEMBERED_MAX - 1);
        self.allowed.push_front((access, name.into()));
        Ok(())
    }

    /// The same for what is hardly asked again.
    pub fn check_once(&self, access: Access, resource: Resource<'_>) -> Result<(), AmqpError> {
        if self.authority.allows(access, resource.name()) {
            return Ok(());
        }
        Err(self.refuse(&format!("{access} access to {}", self.text(resource))))
    }

    /// For who only looks: any access will do (behaviour B14.12).
    pub fn check_any(&self, resource: Resource<'_>) -> Result<(), AmqpError> {
        let any = [Access::Configure, Access::Write, Access::Read];
        if any.into_iter().any(|access| self.authority.allows(access, resource.name())) {
            return Ok(());
        }
        Err(self.refuse(&format!("access to {}", self.text(resource))))
    }

    /// Whether [`check_topic`](Self::check_topic) could refuse anything.
    pub fn has_topics(&self) -> bool {
        self.authority.has_topics()
    }

    /// CH 403 unless the user may use this routing key, if the exchange is a topic exchange (behaviour
    /// B10.6).
    pub fn check_topic(
        &self,
        access: Access,
        vhost: &Vhost,
        exchange: &str,
        routing_key: &[u8],
    ) -> Result<(), AmqpError> {
        if self.authority.allows_topic(access, exchange, routing_key) || !vhost.is_topic(exchange) {
            return Ok(());
        }
        let key = String::from_utf8_lossy(routing_key);
        let vhost = &self.vhost;
        Err(self.refuse(&format!(
            "{access} access to topic '{key}' in exchange '{exchange}' in vhost '{vhost}'"
        )))
    }

    fn text(&self, resource: Resource<'_>) -> String {
        match resource {
            Resource::Queue(name) => resource_queue(name, &self.vhost),
            Resource::Exchange(_) => resource_exchange(resource.name(), &self.vhost),
        }
    }

    #[cold]
    fn refuse(&self, what: &str) -> AmqpError {
        let user = self.identity.name();
        AmqpError::new(ReplyCode::AccessRefused, format!("{what} refused for user '{user}'"))
    }
}

impl<'a> Resource<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::Exchange("") => DEFAULT_EXCHANGE,
            Self::Queue(name) | Self::Exchange(name) => name,
        }
    }
}
