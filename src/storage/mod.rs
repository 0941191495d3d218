//! What survives a restart.
//!
//! Two seams: [`DefinitionStore`] for vhosts, exchanges, queues, bindings, policies and users, [`MessageStore`] for
//! persistent messages in durable queues. Both may answer later than they are asked, and whoever asks
//! is built for that: a declare is answered after its commit, a publish is confirmed once the store's
//! durable position has passed it.
//!
//! What does not fit into memory goes through a third, the [`Pager`].
//!
//! [`memory`] keeps nothing and is always done at once; [`RedbDefinitions`] keeps definitions in a file.

mod access;
mod definitions;
mod directory;
pub mod disk;
mod durable;
pub mod journal;
pub mod memory;
pub mod segment;

pub use self::access::{Access, AccessChange, PermissionRecord, TopicPermissionRecord, UserRecord};
pub use self::definitions::RedbDefinitions;
pub use self::directory::{DataDirectory, DirectoryError};
pub use self::durable::DurableMessages;
pub use self::journal::range_map;
pub use self::segment::{
    Figures, OnRead, OnRemoved, OnWritten, Owner, Pager, Scanned, Segment, SegmentStats,
    SegmentStore, Span,
};

use std::sync::Arc;

use self::journal::failed;

use crate::message::{Message, Position, Positions};
use crate::names::{ExchangeName, QueueName, RoutingKey, VhostName};
use crate::protocol::FieldTable;
use crate::time::Time;

/// Called once when a change that was answered with [`Commit::Later`] is durable, or failed to be.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Storage failed; the text is for the log and for the client's close.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// A durable queue's own number. It is never given to another queue, so what the journal knows of a
/// queue that was deleted cannot end up in one that was declared later under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// A change of the definitions of one vhost, or of who may enter them. To put what is there already replaces it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// With what is known about it: its description, its limits.
    PutVhost(FieldTable),
    /// Takes everything in the vhost along.
    DeleteVhost,
    PutExchange(ExchangeRecord),
    /// Bindings from and to it are changes of their own, here as for queues.
    DeleteExchange {
        name: ExchangeName,
    },
    PutQueue(QueueRecord),
    DeleteQueue {
        name: QueueName,
    },
    PutBinding(BindingRecord),
    DeleteBinding(BindingRecord),
    PutPolicy(PolicyRecord),
    DeletePolicy {
        operator: bool,
        name: String,
    },
    PutParameter(ParameterRecord),
    DeleteParameter {
        component: String,
        name: String,
    },
    /// Of no vhost: to be committed with an empty name of one. The value is JSON text.
    PutGlobalParameter {
        name: String,
        value: String,
    },
    DeleteGlobalParameter {
        name: String,
    },
    /// Users and permissions; the vhost does not matter.
    Access(AccessChange),
}

/// A durable exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeRecord {
    pub name: ExchangeName,
    pub kind: String,
    pub auto_delete: bool,
    pub internal: bool,
    pub arguments: FieldTable,
    /// Of one that delays messages: the first of the [`DELAY_QUEUES`] numbers of the queues in which
    /// they wait.
    pub delay_queues: Option<QueueId>,
}

/// Queues that an exchange may need for messages that wait. These are in no list: their numbers are set
/// aside when the exchange is declared, so that to use one more is no change of definitions.
pub const DELAY_QUEUES: u64 = 6 * 1024;

/// A durable queue that is not exclusive.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueRecord {
    pub name: QueueName,
    pub id: QueueId,
    pub auto_delete: bool,
    pub arguments: FieldTable,
    /// Of a quorum queue: the number of the queue in which its dead letters wait that have to arrive.
    pub undelivered: Option<QueueId>,
}

/// A binding between durable ends.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingRecord {
    pub source: ExchangeName,
    pub to_queue: bool,
    pub destination: String,
    pub routing_key: RoutingKey,
    pub arguments: FieldTable,
}

/// A policy, of a user or of the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRecord {
    /// At most 255 bytes. Users' and operators' names are apart.
    pub name: String,
    pub operator: bool,
    pub pattern: String,
    pub apply_to: String,
    pub priority: i64,
    pub definition: FieldTable,
}

/// A runtime parameter. Component and name have at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterRecord {
    pub component: String,
    pub name: String,
    /// JSON text.
    pub value: String,
}

/// What a store kept over a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub vhost: VhostName,
    pub record: Record,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Vhost(FieldTable),
    Exchange(ExchangeRecord),
    Queue(QueueRecord),
    Binding(BindingRecord),
    Policy(PolicyRecord),
    Parameter(ParameterRecord),
    GlobalParameter { name: String, value: String },
}

/// When a change is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is; `done` was dropped without being called.
    Now,
    /// It will be; `done` will be called, from any thread.
    Later,
}

/// Changes are counted, so that others can wait for the definitions they rely on: whoever has seen a
/// queue in the topology knows that its change is among the first [`requested`](Self::requested), and
/// what it does for that queue counts once [`committed`](Self::committed) has reached that number. A
/// confirmed message must never lie in a queue whose definition is lost.
pub trait DefinitionStore: Send + Sync {
    /// Makes `change` durable. Changes become durable in the order of the calls.
    ///
    /// The broker calls this with the topology locked, since otherwise a delete could overtake the
    /// declare before it; so it must not block.
    fn commit(&self, vhost: &VhostName, change: Change, done: Done) -> Commit;

    /// An id that no queue has had, not even before the last restart.
    fn next_queue_id(&self) -> QueueId {
        self.next_queue_ids(1)
    }

    /// The first of so many of them, which follow one another.
    fn next_queue_ids(&self, count: u64) -> QueueId;

    /// Changes handed in so far.
    fn requested(&self) -> u64;

    /// How many of these are durable; the `done`s of all of them have been called. Never goes back.
    fn committed(&self) -> u64;

    /// Calls `done` once the first `count` changes are durable or failed to be, unless they already
    /// are.
    fn when_committed(&self, count: u64, done: Done) -> Commit;

    /// Blocks until the first `count` changes are durable. For threads that may wait.
    fn wait_committed(&self, count: u64) -> Result<(), StoreError>;

    /// From here to [`release`](Self::release) nothing becomes durable; then all that was handed in
    /// does at once, whoever handed it in. A store that keeps nothing has nothing to hold.
    fn hold(&self) {}

    fn release(&self) {}
}

/// Changes that survive a crash together or not at all: those that are handed in while this lives, and
/// nothing may wait for one of them meanwhile.
#[must_use = "what is not held is made durable piece by piece"]
pub struct Together<'a>(&'a dyn DefinitionStore);

impl<'a> Together<'a> {
    pub fn new(store: &'a dyn DefinitionStore) -> Self {
        store.hold();
        Self(store)
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

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

/// Messages that the store has been handed and queues are about to take. They are kept at least as long
/// as this lives.
#[must_use = "what is not held may be gone before a queue has taken it"]
pub struct Stored {
    /// The number of the first one.
    pub first: u64,
    #[expect(dead_code, reason = "it is there to be dropped")]
    hold: Option<journal::Stored>,
}

impl Stored {
    /// By a store that keeps nothing, or everything.
    pub fn unheld(first: u64) -> Self {
        Self { first, hold: None }
    }
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
    /// another. They enter their queues at `now`: from then on their times to live count, also
    /// after a restart.
    fn store(&self, messages: &mut dyn Iterator<Item = &Message>, now: Time) -> Stored;

    /// A queue has taken messages that were stored before.
    fn enqueue(&self, group: Group, queue: QueueId, runs: &[Run]) -> LogPosition;

    /// Messages have left a queue for good.
    fn settle(&self, group: Group, queue: QueueId, positions: &Positions);

    /// The queue is gone, with everything in it.
    fn queue_gone(&self, queue: QueueId);

    /// Starts a group; what carries it counts from [`end_group`](Self::end_group) on.
    fn new_group(&self) -> Group;

    fn end_group(&self, group: Group) -> LogPosition;

    /// Everything handed in so far.
    fn position(&self) -> LogPosition;

    /// Everything up to here survives. Never goes back.
    fn durable(&self) -> LogPosition;

    /// Calls `wake` once `durable` has reached `position`; at once when it already has.
    fn when_durable(&self, position: LogPosition, wake: Box<dyn FnOnce() + Send>);

    /// Calls `wake` once what was handed in with `group` is durable, or all that was handed in so far
    /// when it is [`Group::ALONE`].
    fn when_group_durable(&self, group: Group, wake: Box<dyn FnOnce() + Send>);

    /// Bytes handed in that are not durable or not written yet. Publishers are slowed down when they
    /// are many.
    fn pressure(&self) -> usize;

    /// Calls `wake` when there is less pressure than now, or none.
    fn when_relieved(&self, wake: Box<dyn FnOnce() + Send>);

    /// How much it has written and holds; nothing where it keeps nothing.
    fn stats(&self) -> journal::JournalStats {
        journal::JournalStats::default()
    }

    /// Where queues put what is too much for memory. Without one they keep everything.
    fn pager(&self) -> Option<Arc<dyn Pager>> {
        None
    }

    /// These positions are about to be written to a segment: what of them is settled from here on must
    /// be remembered. To be told of under the queue's lock.
    fn in_segments(&self, _queue: QueueId, _first: Position, _last: Position) {}

    /// They are safe in a segment, and need not be kept any more.
    fn moved(&self, _queue: QueueId, _first: Position, _last: Position) {}

    /// The segment is not needed any more, nor what of it was settled.
    fn segment_dropped(&self, _queue: QueueId, _first: Position, _last: Position) {}
}
