//! A stream: messages stay when they are read, and every consumer reads at a place of its own
//! (behaviour B13.10 to B13.17).
//!
//! ```text
//! publish → tail ──seal──▶ part, written as a segment ──▶ … ──retention──▶ gone
//!             │                     │
//!             └──────── read ───────┴──▶ outbox ──▶ unacked (session) ──settle──▶ room for one more
//! ```
//!
//! In come batches, subscriptions and settlements, as for every [`Queue`]; out go deliveries. A
//! settlement changes nothing in the stream, it only gives its consumer credit. What is in memory is
//! delivered at once; what is only on disk is asked of the pager, and read on when it has come, by all
//! who stand there. One lock guards all of it, as plain data; nothing waits for a file under it.
//!
//! Invariant: an offset names one message for ever. So nobody sees a message before it is
//! [safe](visible), and the newest segment is never given up.

mod arguments;
mod filter;
mod parts;
mod readers;
mod retention;
mod serve;
mod visible;

use std::sync::Arc;

pub use self::arguments::{
    SEGMENT_BYTES_MAX, StreamOffset, StreamOptions, StreamStart, age_millis, offset_of,
};
pub use self::filter::Filter;

use self::arguments::position_of;
use self::parts::Parts;
use self::readers::{Reader, Readers};
use self::visible::Visible;
use super::paging::{Call, PagerArrival};
use super::{
    Arrival, Counts, Effects, Incoming, Options, Queue, QueueFigures, Refused, Restored, Settled,
    Subscription, SubscriptionId, log,
};
use crate::delivery::Outgoing;
use crate::message::{Position, Queued};
use crate::queue::QueueConsumer;
use crate::storage::{LogPosition, Owner};
use crate::time::Time;

/// The size of a part where neither the declaration nor the broker says less.
const PART_BYTES: usize = 2 * 1024 * 1024;

/// The plain data behind a stream's lock.
#[derive(Debug)]
pub(super) struct Stream {
    /// What holds at the moment: arguments and policies together.
    options: Arc<Options>,
    parts: Parts,
    visible: Visible,
    readers: Readers,
    /// With consumers, or on the way to them.
    unacked: usize,
    deleted: bool,
}

impl Stream {
    pub(super) fn new(options: Arc<Options>) -> Self {
        let parts = Parts::new();
        let visible = Visible::until(parts.next());
        Self { options, parts, visible, readers: Readers::default(), unacked: 0, deleted: false }
    }

    pub(super) fn options(&self) -> Arc<Options> {
        Arc::clone(&self.options)
    }

    /// True when that is anything new.
    pub(super) fn configure(&mut self, options: Options) -> bool {
        let is_new = *self.options != options;
        if is_new {
            self.options = Arc::new(options);
        }
        is_new
    }

    pub(super) fn enforce(&mut self, queue: &Arc<Queue>, now: Time, effects: &mut Effects) {
        if !self.deleted {
            self.grow(queue, now);
            self.report(queue, effects);
        }
    }

    pub(super) fn publish(
        &mut self,
        queue: &Arc<Queue>,
        batch: &mut Vec<Incoming>,
        arrival: Arrival,
        effects: &mut Effects,
    ) -> Option<LogPosition> {
        let Arrival { first_stored, group, now, .. } = arrival;
        for incoming in batch.drain(..).filter(|_| !self.deleted) {
            let number = incoming.number(first_stored);
            let position = self.parts.push(incoming.message, now);
            if let Some(number) = number
                && queue.log.is_some()
            {
                log::add(&mut effects.runs, position, number);
            }
        }
        if self.deleted {
            return None;
        }
        let log = queue.log.as_ref().and_then(|log| log.enqueued(group, &mut effects.runs));
        self.visible.taken(queue, group, log, self.parts.next());
        self.grow(queue, now);
        self.serve_all(queue, effects);
        self.report(queue, effects);
        log
    }

    pub(super) fn restore(
        &mut self,
        queue: &Arc<Queue>,
        restored: Restored,
        now: Time,
        effects: &mut Effects,
    ) {
        let messages = restored.messages.into_iter().map(|recovered| Queued {
            message: recovered.message,
            position: recovered.position,
            deadline: recovered.stored.map_or(now, |stored| stored.min(now)),
            redelivered: false,
            kept: true,
            delivery_count: 0,
        });
        let next = Position(restored.next_position.max(1));
        let unwritten = self.parts.restore(restored.segments, messages.collect(), next);
        unwritten.into_iter().for_each(|messages| write(queue, messages));
        self.visible = Visible::until(self.parts.next());
        self.grow(queue, now);
        self.report(queue, effects);
    }

    pub(super) fn subscribe(
        &mut self,
        queue: &Arc<Queue>,
        subscription: Subscription,
        now: Time,
        effects: &mut Effects,
    ) -> Result<SubscriptionId, Refused> {
        if self.deleted {
            return Err(Refused::Deleted);
        }
        if subscription.prefetch == 0 {
            return Err(Refused::NoPrefetch);
        }
        if subscription.no_ack {
            return Err(Refused::AutomaticAck);
        }
        self.visible.refresh(queue);
        let StreamStart { offset, filter } = subscription.stream.unwrap_or_default();
        let (next, since) = self.start(offset, now);
        let id = self.readers.add(Reader {
            outbox: subscription.outbox,
            source: subscription.source,
            limit: subscription.limit,
            prefetch: subscription.prefetch.into(),
            unacked: 0,
            next,
            ahead: Vec::new(),
            since,
            filter: filter.map(Box::new),
            is_retired: false,
        });
        self.serve(queue, id, effects);
        self.report(queue, effects);
        Ok(id)
    }

    /// The position to begin at, and the time before which nothing is wanted.
    fn start(&self, offset: StreamOffset, now: Time) -> (Position, Option<Time>) {
        let next = self.parts.next();
        let at = |time: Time| (self.parts.at(time), Some(time));
        match offset {
            StreamOffset::Next => (next, None),
            StreamOffset::First => (self.parts.first(), None),
            StreamOffset::Last => (Position(next.0 - 1).max(self.parts.first()), None),
            StreamOffset::At(offset) => (position_of(offset).clamp(self.parts.first(), next), None),
            StreamOffset::Since(time) => at(time),
            StreamOffset::Ago(millis) => at(Time(now.0.saturating_sub(millis))),
        }
    }

    /// What is returned is to be freed without the lock.
    pub(super) fn cancel(&mut self, queue: &Queue, id: SubscriptionId) -> Vec<Arc<Vec<Queued>>> {
        self.readers.remove(id);
        self.parts.shrink(self.cache_cost(queue))
    }

    pub(super) fn settle(
        &mut self,
        queue: &Arc<Queue>,
        settled: &Settled<'_>,
        effects: &mut Effects,
    ) {
        self.give_back(queue, settled.id, settled.count, effects);
    }

    /// Deliveries that were settled, one way or the other, or that never left the outbox.
    pub(super) fn give_back(
        &mut self,
        queue: &Arc<Queue>,
        id: Option<SubscriptionId>,
        count: u32,
        effects: &mut Effects,
    ) {
        self.unacked = self.unacked.saturating_sub(count as usize);
        let Some(id) = id else { return };
        if let Some(reader) = self.readers.find(id) {
            reader.unacked = reader.unacked.saturating_sub(count);
            self.resume(queue, id, effects);
        }
    }

    pub(super) fn resume(&mut self, queue: &Arc<Queue>, id: SubscriptionId, effects: &mut Effects) {
        self.serve(queue, id, effects);
    }

    /// What the pager has done is taken in, and what time brings is done. What is returned is to be freed
    /// without the lock.
    pub(super) fn look(
        &mut self,
        queue: &Arc<Queue>,
        arrivals: Vec<PagerArrival>,
        now: Time,
        effects: &mut Effects,
    ) -> Vec<Arc<Vec<Queued>>> {
        for arrival in arrivals {
            self.arrived(queue, arrival);
        }
        if self.deleted {
            return Vec::new();
        }
        self.visible.refresh(queue);
        self.grow(queue, now);
        self.serve_all(queue, effects);
        self.report(queue, effects);
        self.parts.shrink(self.cache_cost(queue))
    }

    fn arrived(&mut self, queue: &Queue, arrival: PagerArrival) {
        match arrival {
            PagerArrival::Written { result, .. } => {
                let segment = result.inspect_err(|error| {
                    tracing::error!(queue = %queue.name, %error, "a segment could not be written");
                });
                let segment = segment.ok();
                let is_kept = !self.deleted && self.parts.written(segment.as_ref());
                match (segment, &queue.log) {
                    (Some(segment), Some(log)) if is_kept => {
                        queue.stats.count_disk_writes(segment.figures.messages);
                        log.store.moved(log.id, segment.first, segment.last);
                    }
                    (Some(segment), _) if !is_kept => queue.drop_segment(&segment),
                    _ => {}
                }
            }
            PagerArrival::Read { segment, result, .. } => {
                let messages = result.inspect_err(|error| {
                    let lost = segment.figures.messages;
                    tracing::error!(queue = %queue.name, %error, lost, "a segment could not be read");
                });
                let messages = messages.unwrap_or_default();
                queue.stats.count_disk_reads(messages.len());
                self.parts.read(&segment, messages);
            }
        }
    }

    /// Makes parts of a tail that is long or old, and drops what is not to be kept.
    fn grow(&mut self, queue: &Arc<Queue>, now: Time) {
        let (part_bytes, end) = (self.part_bytes(queue), self.visible.end());
        while self.parts.tail_cost() >= part_bytes || self.tail_ends(queue) <= now {
            let Some(messages) = self.parts.seal(end, part_bytes, queue.paging.is_some()) else {
                break;
            };
            write(queue, messages);
        }
        self.retain(queue, now);
    }

    /// When the tail is long enough to be a part.
    fn part_bytes(&self, queue: &Queue) -> usize {
        let wanted = self.options.stream.segment_bytes.unwrap_or(u64::MAX);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let budget = queue.paging.as_ref().map_or(PART_BYTES, |paging| paging.budget.segment);
        wanted.min(budget).max(1)
    }

    /// Asks to be looked at when there will be something to do.
    fn report(&self, queue: &Arc<Queue>, effects: &mut Effects) {
        let due = self.tail_ends(queue).min(self.oldest_ends(queue));
        if due < queue.scheduled() && !self.deleted {
            effects.deadlines.push((due, Arc::clone(queue)));
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            dead_letters: 0,
            ready: self.parts.messages(),
            unacked: self.unacked,
            consumers: self.readers.len(),
        }
    }

    pub(super) fn figures(&self) -> QueueFigures {
        let bytes = usize::try_from(self.parts.bytes()).unwrap_or(usize::MAX);
        let (on_disk, segments) = self.parts.on_disk();
        let on_disk_bytes = bytes.saturating_sub(self.parts.tail_cost());
        QueueFigures {
            counts: self.counts(),
            ready_bytes: bytes,
            unacked_bytes: 0,
            persistent: self.parts.messages(),
            persistent_bytes: bytes,
            on_disk,
            on_disk_bytes: if on_disk == 0 { 0 } else { on_disk_bytes },
            segments,
            memory: size_of::<Queue>() + self.parts.memory(),
            oldest: self.parts.oldest_time(),
            head_timestamp: None,
        }
    }

    pub(super) fn consumers(&self) -> Vec<QueueConsumer> {
        let consumer = |reader: &Reader| {
            let (outbox, source) = (Arc::clone(&reader.outbox), reader.source);
            QueueConsumer { outbox, source, is_active: true }
        };
        self.readers.iter().map(consumer).collect()
    }

    pub(super) fn has_reader_with_room(&self) -> bool {
        self.readers.iter().any(Reader::has_credit)
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Ends the stream. What was in memory is handed out to be freed without the lock.
    pub(super) fn delete(
        &mut self,
        queue: &Queue,
        effects: &mut Effects,
    ) -> (usize, Vec<Arc<Vec<Queued>>>) {
        if !std::mem::replace(&mut self.deleted, true)
            && let Some(log) = &queue.log
        {
            log.store.queue_gone(log.id);
        }
        for reader in self.readers.drain() {
            reader.outbox.notify(Outgoing::Cancelled(reader.source));
            effects.wakes.touch(&reader.outbox);
        }
        let count = self.parts.messages();
        let (segments, messages) = self.parts.clear();
        queue.remove_segments(&segments);
        (count, messages)
    }
}

/// Has the pager write a part; without a pager, it stays in memory.
fn write(queue: &Arc<Queue>, messages: Arc<Vec<Queued>>) {
    let (Some(paging), Some(first), Some(last)) =
        (&queue.paging, messages.first(), messages.last())
    else {
        return;
    };
    let owner = queue.log.as_ref().map_or(Owner::Nobody, |log| {
        log.store.in_segments(log.id, first.position, last.position);
        Owner::Stream(log.id)
    });
    let call = Call::new(queue, paging);
    let done = move |result| call.back(PagerArrival::Written { line: 0, result });
    paging.pager.write(owner, messages, Box::new(done));
}

#[cfg(test)]
mod tests;
