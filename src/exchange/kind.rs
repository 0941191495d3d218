//! The types of exchange that a client can declare, and the routing behind each.

use std::fmt;
use std::hash::Hash;

use super::ExchangeType;
use super::direct::Direct;
use super::fanout::Fanout;
use super::headers::Headers;
use super::topic::Topic;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl ExchangeKind {
    pub const ALL: [Self; 4] = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];

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
        }
    }

    /// An exchange of this kind without bindings.
    pub fn router<D>(self) -> Box<dyn ExchangeType<D>>
    where
        D: Clone + Eq + Hash + Send + Sync + 'static,
    {
        match self {
            Self::Direct => Box::new(Direct::default()),
            Self::Fanout => Box::new(Fanout::default()),
            Self::Topic => Box::new(Topic::default()),
            Self::Headers => Box::new(Headers::default()),
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
