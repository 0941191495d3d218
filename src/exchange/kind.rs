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
use crate::protocol::{AmqpError, FieldTable};

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
}

impl ExchangeKind {
    pub const ALL: [Self; 9] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::Random,
        Self::LocalRandom,
        Self::ModulusHash,
        Self::MessageDeduplication,
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
        }
    }

    /// Checks the arguments of a declaration, as far as this kind looks at them. `resource` is the
    /// exchange, as texts name it.
    pub fn validate(self, arguments: &FieldTable, resource: &str) -> Result<(), AmqpError> {
        match self {
            Self::ConsistentHash => consistent_hash::validate(arguments, resource),
            _ => Ok(()),
        }
    }

    /// An exchange of this kind without bindings. The arguments have been validated.
    pub fn router<D: Target>(self, arguments: &FieldTable) -> Box<dyn ExchangeType<D>> {
        match self {
            Self::Direct => Box::new(Direct::default()),
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

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
