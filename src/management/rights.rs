//! What the caller may do inside a virtual host: the same that AMQP lets the user do, asked in the same
//! order (behaviour B10.4).

use super::Api;
use super::caller::Caller;
use super::refusal::Refusal;
use crate::auth::{Access, Authority};
use crate::broker::Vhost;

/// What the rights to the default exchange are called.
const DEFAULT_EXCHANGE: &str = "amq.default";

pub(super) struct Rights {
    authority: Authority,
}

impl Rights {
    pub(super) fn of(caller: &Caller, api: &Api, vhost: &Vhost) -> Self {
        Self { authority: caller.authority(api, vhost) }
    }

    pub(super) fn queue(&self, access: Access, name: &str) -> Result<(), Refusal> {
        match self.authority.allows(access, name) {
            true => Ok(()),
            false => Err(Refusal::AccessRefused),
        }
    }

    pub(super) fn exchange(&self, access: Access, name: &str) -> Result<(), Refusal> {
        self.queue(access, if name.is_empty() { DEFAULT_EXCHANGE } else { name })
    }

    /// Whether the routing key may be used, if it is a topic exchange (behaviour B10.6).
    pub(super) fn topic(
        &self,
        access: Access,
        vhost: &Vhost,
        exchange: &str,
        routing_key: &[u8],
    ) -> Result<(), Refusal> {
        match self.authority.allows_topic(access, exchange, routing_key)
            || !vhost.is_topic(exchange)
        {
            true => Ok(()),
            false => Err(Refusal::AccessRefused),
        }
    }
}
