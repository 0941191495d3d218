//! A durable queue's side of the message store.

use std::fmt;
use std::sync::Arc;

use super::{Incoming, QueueKind};
use crate::message::{Message, Position, Positions};
use crate::storage::segment::OpenSegments;
use crate::storage::{Group, LogPosition, MessageStore, QueueId, Run};

/// Which messages of a queue the store knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Keeps {
    #[default]
    Nothing,
    /// The persistent ones (behaviour B6.5).
    Persistent,
    /// All of them, as in a quorum queue (behaviour B13.1) and in a stream.
    Everything,
}

impl Keeps {
    #[inline]
    pub fn includes(self, message: &Message) -> bool {
        match self {
            Self::Nothing => false,
            Self::Persistent => message.traits().persistent,
            Self::Everything => true,
        }
    }

    pub(super) fn of(is_logged: bool, kind: QueueKind) -> Self {
        match kind {
            _ if !is_logged => Self::Nothing,
            QueueKind::Classic => Self::Persistent,
            QueueKind::Quorum | QueueKind::Stream => Self::Everything,
        }
    }
}

/// What a durable queue tells the store, under whose name.
pub struct QueueLog {
    pub id: QueueId,
    pub store: Arc<dyn MessageStore>,
    /// Segments whose messages are in memory again, where there is a pager.
    pub(super) open: Option<Arc<OpenSegments>>,
}

impl QueueLog {
    pub fn new(id: QueueId, store: Arc<dyn MessageStore>) -> Self {
        let pager = store.pager();
        let open = pager.map(|pager| OpenSegments::new(id, Arc::clone(&store), pager));
        Self { id, store, open: open.map(Arc::new) }
    }

    /// Tells that the queue has taken messages, unless there were none to tell of.
    pub(super) fn enqueued(&self, group: Group, runs: &mut Vec<Run>) -> Option<LogPosition> {
        if runs.is_empty() {
            return None;
        }
        let position = self.store.enqueue(group, self.id, runs);
        runs.clear();
        Some(position)
    }

    /// Tells that messages have left the queue for good.
    pub fn settled(&self, group: Group, positions: &Positions) {
        if positions.is_empty() {
            return;
        }
        self.store.settle(group, self.id, positions);
        let Some(open) = self.open.as_ref().filter(|open| !open.is_empty()) else { return };
        if group == Group::ALONE {
            return open.settled(positions);
        }
        // Before the group counts, the file is all that a restart would have of them.
        let (open, positions) = (Arc::clone(open), positions.clone());
        self.store.when_group_durable(group, Box::new(move || open.settled(&positions)));
    }
}

impl fmt::Debug for QueueLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.id)
    }
}

/// Adds a message that the store knows to the runs that will be told.
#[inline]
pub(super) fn add(runs: &mut Vec<Run>, position: Position, number: u64) {
    match runs.last_mut() {
        Some(run)
            if run.position.0 + u64::from(run.count) == position.0
                && run.number + u64::from(run.count) == number =>
        {
            run.count += 1;
        }
        _ => runs.push(Run { position, number, count: 1 }),
    }
}

impl Incoming {
    /// The store's number, when the first one of the batch has the number `first`.
    #[inline]
    pub(super) fn number(&self, first: u64) -> Option<u64> {
        (self.stored != Self::NOT_STORED).then(|| first + u64::from(self.stored))
    }
}
