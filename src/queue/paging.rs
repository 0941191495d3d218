//! A queue and its pager: long queues lie on disk.
//!
//! Under its lock a queue says what to write and what to read; the pager does it on its own threads and
//! leaves the result in the queue's [`Arrivals`], whereupon the broker has [`Queue::look`] called. So
//! the lock never waits for a file.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::effects::Effects;
use super::line::{Budget, Written};
use super::ready::LineIndex;
use super::state::State;
use super::{Content, Queue};
use crate::delivery::{Outbox, Outgoing};
use crate::message::{Positions, Queued};
use crate::storage::segment::OpenSegments;
use crate::storage::{Group, Owner, Pager, Segment, StoreError};

/// How a queue reaches the pager, and how it calls for attention when the pager is done.
pub struct Paging {
    pub pager: Arc<dyn Pager>,
    pub budget: Budget,
    pub attention: Attention,
    /// Bytes that queues keep from the pager because their consumers may catch up.
    pub patient: AtomicUsize,
}

/// With consumers at work, a queue does not write what comes after its head until it is so many heads: a
/// hiccup of a consumer is no reason to go through files, which takes longer than the hiccup.
const PATIENCE: usize = 8;

/// All queues together keep no more heads than these from the pager.
const PATIENCE_OF_ALL: usize = 32;

/// Has somebody call [`Queue::look`] soon.
pub type Attention = Box<dyn Fn(&Arc<Queue>) + Send + Sync>;

impl fmt::Debug for Paging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.budget.fmt(f)
    }
}

/// What the pager has done for a queue and the queue has not seen.
pub(super) type Arrivals = Mutex<Vec<PagerArrival>>;

#[derive(Debug)]
pub(super) enum PagerArrival {
    Written { line: LineIndex, result: Result<Segment, StoreError> },
    Read { line: LineIndex, segment: Segment, result: Result<Vec<Queued>, StoreError> },
}

/// A `basic.get` that waits for a message on its way from disk.
#[derive(Debug)]
pub struct Waiting {
    pub outbox: Arc<Outbox>,
    pub channel: u16,
    pub ticket: u64,
}

impl Queue {
    /// Has the channel told, through its outbox, when [`get`](Self::get) has an answer: maybe at once.
    pub fn when_ready(self: &Arc<Self>, waiting: Waiting, effects: &mut Effects) {
        let Content::Queue(state) = &self.content else { return };
        let mut state = state.lock();
        state.waiting.push(waiting);
        state.answer_waiting(effects);
    }
}

impl State {
    /// Gives the pager what there is to do. To be called when the queue has outgrown its memory.
    #[cold]
    pub(super) fn page(&mut self, queue: &Arc<Queue>) {
        let Some(paging) = &queue.paging else { return };
        if self.deleted {
            return;
        }
        let owner = queue.log.as_ref().map_or(Owner::Nobody, |log| Owner::Queue(log.id));
        let patience = self.patience(paging);
        while let Some((line, messages)) = self.ready.next_write(patience) {
            let (Some(first), Some(last)) = (messages.first(), messages.last()) else { continue };
            if let Some(log) = &queue.log {
                log.store.in_segments(log.id, first.position, last.position);
            }
            let call = Call::new(queue, paging);
            let done = move |result| call.back(PagerArrival::Written { line, result });
            paging.pager.write(owner, messages, Box::new(done));
        }
        while let Some((line, segment)) = self.ready.next_read() {
            let call = Call::new(queue, paging);
            let read = segment.clone();
            let done = move |result| call.back(PagerArrival::Read { line, segment, result });
            paging.pager.read(&read, Box::new(done));
        }
    }

    /// How much to keep from the pager now; what is kept so is on record.
    fn patience(&mut self, paging: &Paging) -> usize {
        let head = paging.budget.head;
        let (one, all) = (head.saturating_mul(PATIENCE), head.saturating_mul(PATIENCE_OF_ALL));
        let has_consumers = self.subscribers.len() > 0 && !self.deleted;
        let wanted = if has_consumers { self.ready.tail_cost().min(one) } else { 0 };
        let before = paging.patient.fetch_sub(self.patient, Ordering::Relaxed);
        let others = before.saturating_sub(self.patient);
        self.patient = wanted.min(all.saturating_sub(others));
        paging.patient.fetch_add(self.patient, Ordering::Relaxed);
        if self.patient < wanted || !has_consumers { self.patient } else { one }
    }

    /// What the queue keeps from the pager is over.
    pub(super) fn lose_patience(&mut self, queue: &Queue) {
        if let Some(paging) = &queue.paging {
            self.patience(paging);
        }
    }

    /// Acts on what the pager has done.
    pub(super) fn arrived(&mut self, queue: &Queue, arrivals: Vec<PagerArrival>) {
        for arrival in arrivals {
            match arrival {
                PagerArrival::Written { line, result } => self.written(queue, line, result),
                PagerArrival::Read { line, segment, result } => {
                    self.read(queue, line, &segment, result);
                }
            }
        }
    }

    fn written(&mut self, queue: &Queue, line: LineIndex, result: Result<Segment, StoreError>) {
        let segment = result.inspect_err(|error| {
            tracing::error!(queue = %queue.name, %error, "a segment could not be written");
        });
        let segment = segment.ok();
        let kept = !self.deleted && self.ready.written(line, segment.clone()) == Written::Kept;
        match (segment, &queue.log) {
            (Some(segment), log) if kept => {
                queue.stats.count_disk_writes(segment.figures.messages);
                if let Some(log) = log {
                    log.store.moved(log.id, segment.first, segment.last);
                }
            }
            (Some(segment), _) => queue.drop_segment(&segment),
            _ => {}
        }
    }

    fn read(
        &mut self,
        queue: &Queue,
        line: LineIndex,
        segment: &Segment,
        result: Result<Vec<Queued>, StoreError>,
    ) {
        // Purged or deleted meanwhile, it was removed then.
        let Some(segment) = self.ready.take_read(line, segment.number) else { return };
        let intact = result.is_ok();
        let messages = match result {
            Ok(messages) => self.still_there(&segment, messages),
            Err(error) => {
                let lost = segment.figures.messages;
                tracing::error!(queue = %queue.name, %error, lost, "a segment could not be read");
                Vec::new()
            }
        };
        match queue.open_segments() {
            // It stays for somebody to look at, or to be read after the next restart.
            _ if !intact => {}
            Some(open) => {
                let live = messages.iter().filter(|queued| queued.kept);
                open.opened(&segment, live.map(|queued| queued.position));
            }
            None => queue.drop_segment(&segment),
        }
        queue.stats.count_disk_reads(messages.len());
        self.ready.append(line, messages);
    }

    /// Tells those who wait for a message that there is one, or none at all.
    pub(super) fn answer_waiting(&mut self, effects: &mut Effects) {
        if self.ready.is_waiting() && !self.deleted {
            return;
        }
        for Waiting { outbox, channel, ticket } in std::mem::take(&mut self.waiting) {
            outbox.notify(Outgoing::Completed { channel, ticket, error: None });
            effects.wakes.touch(&outbox);
        }
    }
}

impl Queue {
    /// A segment of which nothing is needed any more.
    pub fn drop_segment(&self, segment: &Segment) {
        match (self.open_segments(), &self.paging) {
            (Some(open), _) => open.drop_file(segment),
            (None, Some(paging)) => paging.pager.remove(segment, Box::new(|| {})),
            (None, None) => {}
        }
    }

    /// The account of what is read and not settled, which a durable queue keeps.
    pub(super) fn open_segments(&self) -> Option<&OpenSegments> {
        self.log.as_ref()?.open.as_deref()
    }

    /// Segments whose messages are given up.
    pub(super) fn forget_segments(&self, segments: &[Segment]) {
        for segment in segments {
            if let Some(log) = self.log.as_ref().filter(|_| segment.queue.is_some()) {
                let mut positions = Positions::default();
                positions.add(segment.first, segment.last);
                log.store.settle(Group::ALONE, log.id, &positions);
            }
            self.drop_segment(segment);
        }
    }

    /// The same for a queue that is gone, of which the store need not hear.
    pub(super) fn remove_segments(&self, segments: &[Segment]) {
        let Some(paging) = &self.paging else { return };
        segments.iter().for_each(|segment| paging.pager.remove(segment, Box::new(|| {})));
        if let Some(open) = self.open_segments() {
            open.drop_all();
        }
    }
}

/// The way back from the pager's thread.
pub(super) struct Call {
    queue: Weak<Queue>,
    paging: Arc<Paging>,
}

impl Call {
    pub(super) fn new(queue: &Arc<Queue>, paging: &Arc<Paging>) -> Self {
        Self { queue: Arc::downgrade(queue), paging: Arc::clone(paging) }
    }

    pub(super) fn back(self, arrival: PagerArrival) {
        if let Some(queue) = self.queue.upgrade() {
            queue.arrivals.lock().push(arrival);
            (self.paging.attention)(&queue);
        } else if let PagerArrival::Written { result: Ok(segment), .. } = arrival {
            self.paging.pager.remove(&segment, Box::new(|| {}));
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
