//! The types of exchange that a client can declare, and the routing behind each.

use std::fmt;

use super::consistent_hash::{self, ConsistentHash};
use super::direct::Direct;
use super::fanout::Fanout;
use super::headers::Headers;
use super::modulus_hash::ModulusHash;
use super::random::Random;
use super::topic::Topic;
use super::{ExchangeType, Target};
use crate::protocol::{AmqpError, FieldTable, ReplyCode};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
    Headers,
    ConsistentHash,
    Random,
    LocalRandom,
    ModulusHash,
    /// A fanout as far as routing goes; leaving out duplicates is the broker's business.
    MessageDeduplication,
    /// Routes as the type that its argument names; that messages wait is the broker's business
    /// (behaviour B4.18).
    DelayedMessage,
}

/// What a delayed exchange routes as.
const DELAYED_TYPE: &str = "x-delayed-type";

impl ExchangeKind {
    pub const ALL: [Self; 10] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::Random,
        Self::LocalRandom,
        Self::ModulusHash,
        Self::MessageDeduplication,
        Self::DelayedMessage,
    ];

    /// The kind that `exchange.declare` names, if there is such a kind.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::ModulusHash => "x-modulus-hash",
            Self::MessageDeduplication => "x-message-deduplication",
            Self::DelayedMessage => "x-delayed-message",
        }
    }

    /// Checks the arguments of a declaration, as far as this kind looks at them. `resource` is the
    /// exchange, as texts name it.
    pub fn validate(self, arguments: &FieldTable, resource: &str) -> Result<(), AmqpError> {
        match self {
            Self::ConsistentHash => consistent_hash::validate(arguments, resource),
            Self::DelayedMessage => match self.routes_as(arguments) {
                Some(kind) => kind.validate(arguments, resource),
                None => Err(no_delayed_type()),
            },
            _ => Ok(()),
        }
    }

    /// The kind that messages are routed by: of a delayed exchange the one that its arguments name,
    /// which is `None` if they name none that can be, of others the kind itself.
    pub fn routes_as(self, arguments: &FieldTable) -> Option<Self> {
        if self != Self::DelayedMessage {
            return Some(self);
        }
        let kind = Self::parse(arguments.get(DELAYED_TYPE)?.as_str()?)?;
        (kind != Self::DelayedMessage).then_some(kind)
    }

    /// An exchange of this kind without bindings. The arguments have been validated.
    pub fn router<D: Target>(self, arguments: &FieldTable) -> Box<dyn ExchangeType<D>> {
        let kind = self.routes_as(arguments).unwrap_or(Self::Direct);
        match kind {
            Self::Direct | Self::DelayedMessage => Box::new(Direct::default()),
            Self::Fanout | Self::MessageDeduplication => Box::new(Fanout::default()),
            Self::Topic => Box::new(Topic::default()),
            Self::Headers => Box::new(Headers::default()),
            Self::ConsistentHash => Box::new(ConsistentHash::new(arguments)),
            Self::Random => Box::new(Random::new()),
            Self::LocalRandom => Box::new(Random::local()),
            Self::ModulusHash => Box::new(ModulusHash::default()),
        }
    }
}

#[cold]
fn no_delayed_type() -> AmqpError {
    let text = format!("Invalid argument, '{DELAYED_TYPE}' must be an existing exchange type");
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
