//! Messages in the journal, behind the definitions they rely on.
//!
//! A message is as durable as the queue it lies in: it counts once the journal has it *and* the
//! definitions that were handed in before it are committed. Those are two files and two threads, so a
//! position is safe when both have been waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::journal::{Journal, JournalStats};
use super::{
    Commit, DefinitionStore, Group, LogPosition, MessageStore, Pager, QueueId, Run, SegmentStore,
    StoreError, Stored,
};
use crate::message::{Message, Position, Positions};
use crate::time::Time;

/// The disk's [`MessageStore`].
pub struct DurableMessages {
    journal: Arc<Journal>,
    definitions: Arc<dyn DefinitionStore>,
    segments: Arc<SegmentStore>,
    /// Both have got at least this far.
    safe: Arc<AtomicU64>,
}

impl DurableMessages {
    pub fn new(
        journal: Arc<Journal>,
        definitions: Arc<dyn DefinitionStore>,
        segments: Arc<SegmentStore>,
    ) -> Self {
        Self { journal, definitions, segments, safe: Arc::default() }
    }
}

impl MessageStore for DurableMessages {
    fn store(&self, messages: &mut dyn Iterator<Item = &Message>, now: Time) -> Stored {
        let stored = self.journal.store(messages, now);
        Stored { first: stored.first(), hold: Some(stored) }
    }

    fn enqueue(&self, group: Group, queue: QueueId, runs: &[Run]) -> LogPosition {
        let runs: SmallVec<[(u64, u64, u32); 4]> =
            runs.iter().map(|run| (run.position.0, run.number, run.count)).collect();
        self.journal.enqueue_runs(group.0, queue.0, &runs)
    }

    fn settle(&self, group: Group, queue: QueueId, positions: &Positions) {
        let ranges: SmallVec<[(u64, u64); 4]> =
            positions.iter().map(|(first, last)| (first.0, last.0)).collect();
        self.journal.settle(group.0, queue.0, &ranges);
    }

    fn queue_gone(&self, queue: QueueId) {
        self.journal.queue_gone(queue.0);
    }

    fn new_group(&self) -> Group {
        Group(self.journal.new_group())
    }

    fn end_group(&self, group: Group) -> LogPosition {
        self.journal.end_group(group.0)
    }

    fn position(&self) -> LogPosition {
        self.journal.position()
    }

    fn durable(&self) -> LogPosition {
        // Read before the definitions: what is asked for later relies on later ones.
        let journal = self.journal.durable();
        if self.definitions.committed() >= self.definitions.requested() {
            self.safe.fetch_max(journal.0, Ordering::AcqRel);
        }
        LogPosition(self.safe.load(Ordering::Acquire))
    }

    fn when_durable(&self, position: LogPosition, wake: Box<dyn FnOnce() + Send>) {
        let (definitions, safe) = (Arc::clone(&self.definitions), Arc::clone(&self.safe));
        let requested = definitions.requested();
        let journaled = move || {
            let wake = Wake(Arc::new(Mutex::new(Some(wake))));
            let later = Wake(Arc::clone(&wake.0));
            let reached = Arc::clone(&safe);
            let done = move |result: Result<(), StoreError>| {
                // After a failure nothing may be promised any more, so nobody is woken.
                if result.is_ok() {
                    reached.fetch_max(position.0, Ordering::AcqRel);
                    later.call();
                }
            };
            if definitions.when_committed(requested, Box::new(done)) == Commit::Now {
                safe.fetch_max(position.0, Ordering::AcqRel);
                wake.call();
            }
        };
        self.journal.when_durable(position, Box::new(journaled));
    }

    fn when_group_durable(&self, group: Group, wake: Box<dyn FnOnce() + Send>) {
        self.journal.when_group_durable(group.0, wake);
    }

    fn stats(&self) -> JournalStats {
        self.journal.stats()
    }

    fn pressure(&self) -> usize {
        self.journal.pressure() + self.segments.pressure()
    }

    fn when_relieved(&self, wake: Box<dyn FnOnce() + Send>) {
        if self.segments.pressure() > 0 {
            self.segments.when_relieved(wake);
        } else {
            self.journal.when_durable(self.journal.position(), wake);
        }
    }

    fn pager(&self) -> Option<Arc<dyn Pager>> {
        Some(Arc::clone(&self.segments) as _)
    }

    fn in_segments(&self, queue: QueueId, first: Position, last: Position) {
        self.journal.in_segments(queue.0, first.0, last.0);
    }

    fn moved(&self, queue: QueueId, first: Position, last: Position) {
        self.journal.moved(queue.0, first.0, last.0);
    }

    fn segment_dropped(&self, queue: QueueId, first: Position, last: Position) {
        self.journal.segment_dropped(queue.0, first.0, last.0);
    }
}

/// A callback that two might call, and one does.
struct Wake(Arc<Mutex<Option<Callback>>>);

type Callback = Box<dyn FnOnce() + Send>;

impl Wake {
    fn call(&self) {
        let wake = self.0.lock().take();
        if let Some(wake) = wake {
            wake();
        }
    }
}
