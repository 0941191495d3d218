//! What survives a restart.
//!
//! Two seams: [`DefinitionStore`] for vhosts, exchanges, queues and bindings, [`MessageStore`] for
//! persistent messages in durable queues. Both may answer later than they are asked, and whoever asks
//! is built for that: a declare is answered after its commit, a publish is confirmed once the store's
//! durable position has passed it.
//!
//! [`memory`] keeps nothing and is always done at once.

mod directory;
pub mod memory;

pub use self::directory::{DataDirectory, DirectoryError};

use crate::message::Message;
use crate::names::{ExchangeName, QueueName, RoutingKey, VhostName};
use crate::protocol::FieldTable;

/// Called once when a change that was answered with [`Commit::Later`] is durable, or failed to be.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Storage failed; the text is for the log and for the client's close.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// A change of the definitions of one vhost.
#[derive(Debug, Clone)]
pub enum Change {
    PutExchange {
        name: ExchangeName,
        kind: &'static str,
        auto_delete: bool,
        internal: bool,
        arguments: FieldTable,
    },
    DeleteExchange {
        name: ExchangeName,
    },
    PutQueue {
        name: QueueName,
        auto_delete: bool,
        arguments: FieldTable,
    },
    DeleteQueue {
        name: QueueName,
    },
    PutBinding(BindingRecord),
    DeleteBinding(BindingRecord),
}

#[derive(Debug, Clone, PartialEq)]
pub struct BindingRecord {
    pub source: ExchangeName,
    pub to_queue: bool,
    pub destination: String,
    pub routing_key: RoutingKey,
    pub arguments: FieldTable,
}

/// When a change is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is; `done` was dropped without being called.
    Now,
    /// It will be; `done` will be called, from any thread.
    Later,
}

pub trait DefinitionStore: Send + Sync {
    /// Makes `change` durable. Changes of one vhost become durable in the order of the calls.
    fn commit(&self, vhost: &VhostName, change: Change, done: Done) -> Commit;
}

/// How far the store's log has got. Everything handed in before a position is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogPosition(pub u64);

pub trait MessageStore: Send + Sync {
    /// Hands in a batch of persistent messages that a durable queue takes. It is durable once
    /// [`durable`](Self::durable) has reached the position returned.
    fn append(
        &self,
        vhost: &VhostName,
        queue: &QueueName,
        messages: &mut dyn Iterator<Item = &Message>,
    ) -> LogPosition;

    /// Everything up to here survives. Never goes back.
    fn durable(&self) -> LogPosition;

    /// Calls `wake` once `durable` has reached `position`; at once when it already has.
    fn when_durable(&self, position: LogPosition, wake: Box<dyn FnOnce() + Send>);
}
