//! What there is in a vhost, for operators to look at.

use std::sync::Arc;

use super::policy::Policy;
use super::topology::{Destination, ExchangeDeclaration, Topology};
use super::vhost::Vhost;
use crate::exchange::Binding;
use crate::names::{ExchangeName, QueueName, RoutingKey};
use crate::protocol::FieldTable;
use crate::queue::Queue;

/// An exchange as it was declared, and the policy that applies to it.
#[derive(Clone, Debug)]
pub struct FoundExchange {
    pub name: ExchangeName,
    pub declaration: ExchangeDeclaration,
    pub policy: Option<Arc<Policy>>,
}

/// A binding. Those that lead from the default exchange to every queue are among them, though nobody
/// made them (behaviour B4.1).
#[derive(Clone, Debug, PartialEq)]
pub struct FoundBinding {
    pub source: ExchangeName,
    pub end: FoundEnd,
    pub routing_key: RoutingKey,
    pub arguments: FieldTable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundEnd {
    Queue(QueueName),
    Exchange(ExchangeName),
}

impl FoundEnd {
    pub fn name(&self) -> &str {
        match self {
            Self::Queue(name) => name.as_str(),
            Self::Exchange(name) => name.as_str(),
        }
    }
}

/// Which bindings.
#[derive(Clone, Copy, Debug)]
pub enum WhichBindings<'a> {
    All,
    From(&'a str),
    To(&'a FoundEnd),
    Between(&'a str, &'a FoundEnd),
}

impl Vhost {
    /// All queues, in no order; some may have ended a moment ago.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.read(Topology::queues)
    }

    /// The queue, whoever asks: one that is exclusive is there for its owner only, but to be seen.
    pub fn find_queue(&self, name: &str) -> Option<Arc<Queue>> {
        let queue = self.read(|topology| topology.queue(name)).ok()?;
        (!queue.is_deleted()).then_some(queue)
    }

    /// All exchanges, in no order.
    pub fn exchanges(&self) -> Vec<FoundExchange> {
        self.read(|topology| {
            let all = topology.exchanges();
            all.map(|(name, declaration)| found(topology, name, declaration)).collect()
        })
    }

    pub fn find_exchange(&self, name: &str) -> Option<FoundExchange> {
        self.read(|topology| {
            let declaration = topology.exchange(name).ok()?;
            Some(found(topology, &ExchangeName::from(name), declaration))
        })
    }

    pub fn bindings(&self, which: WhichBindings<'_>) -> Vec<FoundBinding> {
        self.read(|topology| match which {
            WhichBindings::All => {
                let queues = topology.queues();
                let implicit = queues.iter().map(|queue| to_queue(&queue.name));
                implicit.chain(topology.bindings().map(shown)).collect()
            }
            WhichBindings::From("") => {
                topology.queues().iter().map(|queue| to_queue(&queue.name)).collect()
            }
            WhichBindings::From(source) => topology.bindings_from(source).map(shown).collect(),
            WhichBindings::To(end) => to(topology, end),
            WhichBindings::Between(source, end) => {
                let mut bindings = to(topology, end);
                bindings.retain(|binding| binding.source.as_str() == source);
                bindings
            }
        })
    }
}

fn found(
    topology: &Topology,
    name: &ExchangeName,
    declared: &ExchangeDeclaration,
) -> FoundExchange {
    let (name, declaration) = (name.clone(), declared.clone());
    let policy = topology.policies.for_exchange(name.as_str());
    FoundExchange { name, declaration, policy }
}

fn to(topology: &Topology, end: &FoundEnd) -> Vec<FoundBinding> {
    let mut bindings = Vec::new();
    let destination = match end {
        FoundEnd::Exchange(name) => Destination::Exchange(name.clone()),
        FoundEnd::Queue(name) => {
            let Ok(queue) = topology.queue(name.as_str()) else { return bindings };
            bindings.push(to_queue(name));
            Destination::Queue(queue)
        }
    };
    bindings.extend(topology.bindings_to(&destination).map(shown));
    bindings
}

/// The binding that every queue has.
fn to_queue(name: &QueueName) -> FoundBinding {
    FoundBinding {
        source: ExchangeName::from(""),
        end: FoundEnd::Queue(name.clone()),
        routing_key: RoutingKey::from(name.as_str()),
        arguments: FieldTable::new(),
    }
}

fn shown((source, binding): (&ExchangeName, &Binding<Destination>)) -> FoundBinding {
    let end = match &binding.destination {
        Destination::Queue(queue) => FoundEnd::Queue(queue.name.clone()),
        Destination::Exchange(name) => FoundEnd::Exchange(name.clone()),
    };
    FoundBinding {
        source: source.clone(),
        end,
        routing_key: binding.routing_key.clone(),
        arguments: binding.arguments.clone(),
    }
}
