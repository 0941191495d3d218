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

use crate::message::{Message, Position, Positions};
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
        id: QueueId,
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

    /// An id that no queue has had, not even before the last restart.
    fn next_queue_id(&self) -> QueueId;
}

/// Which queue a record is about. Given to a durable queue when it is created and never used again, so
/// that a queue declared anew under an old name has nothing to do with what the old one left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// How far the store's log has got. Everything handed in before a position is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogPosition(pub u64);

/// Records that count together or not at all: a transaction, or a dead letter's two moves.
/// [`Group::ALONE`] is for those that stand for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(pub u64);

impl Group {
    pub const ALONE: Self = Self(0);
}

/// Consecutive messages of the store that a queue took at consecutive positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub position: Position,
    /// The store's number of the first one.
    pub number: u64,
    pub count: u32,
}

/// Persistent messages of durable queues. Nothing here waits: records are handed in, under whatever
/// locks the caller holds, and become durable later, in the order in which they were handed in.
pub trait MessageStore: Send + Sync {
    /// Hands in messages, each once, however many queues it goes to. They are numbered one after
    /// another from the number returned.
    fn store(&self, messages: &mut dyn Iterator<Item = &Message>) -> u64;

    /// A queue has taken messages that were stored before.
    fn enqueue(&self, group: Group, queue: QueueId, runs: &[Run]) -> LogPosition;

    /// Messages have left a queue for good.
    fn settle(&self, group: Group, queue: QueueId, positions: &Positions);

    /// The queue is gone, with everything in it.
    fn queue_gone(&self, queue: QueueId);

    /// Starts a group; what carries it counts from [`end_group`](Self::end_group) on.
    fn new_group(&self) -> Group;

    fn end_group(&self, group: Group) -> LogPosition;

    /// Everything up to here survives. Never goes back.
    fn durable(&self) -> LogPosition;

    /// Calls `wake` once `durable` has reached `position`; at once when it already has.
    fn when_durable(&self, position: LogPosition, wake: Box<dyn FnOnce() + Send>);
}
