//! A queue and its pager: long queues lie on disk.
//!
//! Under its lock a queue says what to write and what to read; the pager does it on its own threads and
//! leaves the result in the queue's [`Arrivals`], whereupon the broker has [`Queue::look`] called. So
//! the lock never waits for a file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::effects::Effects;
use super::line::{Budget, Written};
use super::ready::{LineIndex, line_of};
use super::state::State;
use super::{Content, Queue};
use crate::delivery::{Outbox, Outgoing};
use crate::message::{Position, Positions, Queued};
use crate::storage::journal::RecoveredMessage;
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

/// What a restart left to know of segments that were there before it. Ranges are sorted.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    pub(super) settled: Vec<(u64, u64)>,
    /// Positions that may have been delivered before.
    pub(super) delivered: Vec<(u64, u64)>,
    /// And how often they came back.
    pub(super) returned: Vec<(u64, u64, u32)>,
}

/// What a queue gets back at the start of the broker, in the order of positions.
#[derive(Debug, Default)]
pub struct Restored {
    pub messages: Vec<RecoveredMessage>,
    /// The figures are those of what is still there.
    pub segments: Vec<Segment>,
    /// Of what is in segments: settled positions, and such as may have been delivered before.
    pub settled: Vec<(u64, u64)>,
    pub delivered: Vec<(u64, u64)>,
    /// Of any of them: positions, first and last, and how often they came back.
    pub returned: Vec<(u64, u64, u32)>,
    pub next_position: u64,
}

impl Restored {
    /// Takes out the segments that cannot wait on disk: those with messages behind them, in their line,
    /// that are in memory and stand before a later segment.
    fn take_early(&mut self) -> Vec<Segment> {
        let mut last_first: BTreeMap<LineIndex, Position> = BTreeMap::new();
        for segment in &self.segments {
            let first = last_first.entry(line_of(segment.last)).or_default();
            *first = segment.first.max(*first);
        }
        let mut between: BTreeMap<LineIndex, Position> = BTreeMap::new();
        for RecoveredMessage { position, .. } in &self.messages {
            if last_first.get(&line_of(*position)).is_some_and(|first| position < first) {
                let furthest = between.entry(line_of(*position)).or_default();
                *furthest = (*position).max(*furthest);
            }
        }
        let is_early = |segment: &mut Segment| {
            between.get(&line_of(segment.last)).is_some_and(|furthest| segment.first < *furthest)
        };
        self.segments.extract_if(.., is_early).collect()
    }
}

impl Queue {
    /// Reads, at the start of the broker, what cannot wait on disk. What cannot be read is reported, and
    /// stays where it is.
    pub(super) fn read_early(&self, restored: &mut Restored) -> Vec<(Segment, Vec<Queued>)> {
        let Some(paging) = &self.paging else { return Vec::new() };
        let mut early = Vec::new();
        for segment in restored.take_early() {
            match paging.pager.read_now(&segment) {
                Ok(messages) => early.push((segment, messages)),
                Err(error) => {
                    tracing::error!(queue = %self.name, %error, "a segment could not be read");
                }
            }
        }
        early
    }

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
        let Some(paging) = &queue.paging else { return };
        for arrival in arrivals {
            match arrival {
                PagerArrival::Written { line, result } => {
                    self.written(queue, &*paging.pager, line, result);
                }
                PagerArrival::Read { line, segment, result } => {
                    self.read(queue, &*paging.pager, line, &segment, result);
                }
            }
        }
    }

    fn written(
        &mut self,
        queue: &Queue,
        pager: &dyn Pager,
        line: LineIndex,
        result: Result<Segment, StoreError>,
    ) {
        let segment = result.inspect_err(|error| {
            tracing::error!(queue = %queue.name, %error, "a segment could not be written");
        });
        let segment = segment.ok();
        let kept = !self.deleted && self.ready.written(line, segment.clone()) == Written::Kept;
        match (segment, &queue.log) {
            (Some(segment), Some(log)) if kept => {
                log.store.moved(log.id, segment.first, segment.last);
            }
            (Some(segment), _) if !kept => queue.drop_file(pager, &segment),
            _ => {}
        }
    }

    fn read(
        &mut self,
        queue: &Queue,
        pager: &dyn Pager,
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
        match queue.log.as_ref().and_then(|log| log.open.as_ref()) {
            // It stays for somebody to look at, or to be read after the next restart.
            _ if !intact => {}
            Some(open) => {
                let live = messages.iter().filter(|queued| queued.kept);
                open.opened(&segment, live.map(|queued| queued.position));
            }
            None => pager.remove(&segment, Box::new(|| {})),
        }
        self.ready.append(line, messages);
    }

    /// Takes in segments whose messages are in memory from the start.
    pub(super) fn open_early(
        &mut self,
        queue: &Queue,
        early: Vec<(Segment, Vec<Queued>)>,
        all: &mut Vec<Queued>,
    ) {
        for (segment, messages) in early {
            let messages = self.still_there(&segment, messages);
            if let Some(open) = queue.log.as_ref().and_then(|log| log.open.as_ref()) {
                open.opened(&segment, messages.iter().map(|queued| queued.position));
            }
            all.extend(messages);
        }
        all.sort_by_key(|queued| queued.position);
    }

    /// Of a segment from before the last restart some messages may be settled, and transient ones are
    /// gone (behaviour B12.2).
    fn still_there(&self, segment: &Segment, mut messages: Vec<Queued>) -> Vec<Queued> {
        if segment.recovered {
            let leftover = self.leftover.as_deref();
            messages.retain(|queued| {
                queued.kept && !leftover.is_some_and(|left| within(&left.settled, queued.position))
            });
            for queued in &mut messages {
                queued.redelivered |=
                    leftover.is_some_and(|left| within(&left.delivered, queued.position));
                queued.delivery_count =
                    leftover.map_or(0, |left| count_at(&left.returned, queued.position));
            }
        }
        messages
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

    /// Positions that may have been delivered before: of messages in memory, and of what a restart left
    /// on disk.
    pub(super) fn delivered_before(&self) -> Positions {
        let mut delivered = self.ready.delivered_before();
        let Some(leftover) = &self.leftover else { return delivered };
        for segment in self.ready.segments().filter(|segment| segment.recovered) {
            for (first, last) in &leftover.delivered {
                let (first, last) = (segment.first.0.max(*first), segment.last.0.min(*last));
                if first <= last {
                    delivered.add(Position(first), Position(last));
                }
            }
        }
        delivered
    }
}

impl Queue {
    /// A segment of which nothing is needed.
    pub fn drop_segment(&self, segment: &Segment) {
        if let Some(paging) = &self.paging {
            self.drop_file(&*paging.pager, segment);
        }
    }

    /// A segment of which nothing is needed any more.
    fn drop_file(&self, pager: &dyn Pager, segment: &Segment) {
        match self.log.as_ref().and_then(|log| log.open.as_ref()) {
            Some(open) => open.drop_file(segment),
            None => pager.remove(segment, Box::new(|| {})),
        }
    }

    /// Segments whose messages are given up.
    pub(super) fn forget_segments(&self, segments: &[Segment]) {
        let Some(paging) = &self.paging else { return };
        for segment in segments {
            if let Some(log) = self.log.as_ref().filter(|_| segment.queue.is_some()) {
                let mut positions = Positions::default();
                positions.add(segment.first, segment.last);
                log.store.settle(Group::ALONE, log.id, &positions);
            }
            self.drop_file(&*paging.pager, segment);
        }
    }

    /// The same for a queue that is gone, of which the store need not hear.
    pub(super) fn remove_segments(&self, segments: &[Segment]) {
        let Some(paging) = &self.paging else { return };
        segments.iter().for_each(|segment| paging.pager.remove(segment, Box::new(|| {})));
        if let Some(open) = self.log.as_ref().and_then(|log| log.open.as_ref()) {
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

/// How often the message at a position came back, by ranges that are sorted and do not overlap.
pub(super) fn count_at(ranges: &[(u64, u64, u32)], position: Position) -> u32 {
    let index = ranges.partition_point(|(_, last, _)| *last < position.0);
    let range = ranges.get(index).filter(|(first, ..)| *first <= position.0);
    range.map_or(0, |(_, _, count)| *count)
}

/// Whether one of the ranges, which are sorted and do not overlap, holds a position.
pub fn within(ranges: &[(u64, u64)], position: Position) -> bool {
    let index = ranges.partition_point(|(_, last)| *last < position.0);
    ranges.get(index).is_some_and(|(first, _)| *first <= position.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{ChannelLimit, SourceId};
    use crate::message::{Message, Traits};
    use crate::protocol::FieldTable;
    use crate::queue::{Arrival, Declaration, Got, Incoming, Subscription};
    use crate::storage::segment::HeldPager;
    use crate::time::Time;

    const NOW: Time = Time(1);

    fn publish(queue: &Arc<Queue>, count: usize) {
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0];
        let traits = Traits::default();
        let message =
            Message::with_inline_body(b"\0\x01q", &header, &[7; 100], traits, &mut Vec::new());
        let mut batch = (0..count).map(|_| Incoming::new(message.clone(), 0)).collect();
        queue.publish(&mut batch, Arrival::at(NOW), &mut Vec::new(), &mut Effects::default());
    }

    fn queue(pager: &Arc<HeldPager>) -> (Arc<Queue>, Arc<Paging>) {
        let paging = Arc::new(Paging {
            pager: Arc::clone(pager) as _,
            budget: Budget { head: 2000, segment: 1000 },
            attention: Box::new(|_| {}),
            patient: AtomicUsize::new(0),
        });
        let declaration = Declaration {
            durable: false,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::default(),
            options: Arc::default(),
        };
        (Queue::new("q".into(), declaration, None, Some(Arc::clone(&paging))), paging)
    }

    /// A crash finds segments that were read and not settled, and between them messages that only the
    /// journal has.
    #[test]
    fn order_is_kept_where_messages_stand_between_segments() {
        let pager = Arc::new(HeldPager::default());
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let message =
            Message::with_inline_body(b"\0\x01q", &header, b"", Traits::default(), &mut vec![]);
        let queued = |position| Queued {
            message: message.clone(),
            position: Position(position),
            deadline: Time::NEVER,
            redelivered: false,
            kept: true,
            delivery_count: 0,
        };
        let (written, segments) = std::sync::mpsc::channel();
        for first in [10, 20, 30, 50, 70] {
            let written = written.clone();
            let done = Box::new(move |segment: Result<Segment, _>| _ = written.send(segment));
            pager.write(Owner::Nobody, Arc::new((first..first + 3).map(queued).collect()), done);
            while pager.step() {}
        }
        let segments = segments
            .try_iter()
            .map(|segment| Segment { recovered: true, ..segment.expect("it was written") });
        let recovered = |position| RecoveredMessage {
            position: Position(position),
            message: message.clone(),
            stored: None,
            redelivered: true,
        };
        let restored = Restored {
            messages: [5, 25, 45, 80].map(recovered).into(),
            segments: segments.collect(),
            settled: vec![(11, 11), (71, 71)],
            next_position: 81,
            ..Restored::default()
        };
        let (queue, _) = queue(&pager);
        let mut effects = Effects::default();
        queue.restore(restored, NOW, &mut effects);
        let mut found = Vec::new();
        loop {
            match queue.get(true, NOW, &mut effects) {
                Got::Message { queued, .. } => found.push(queued.position.0),
                Got::Empty | Got::NotSupported => break,
                Got::OnItsWay => {
                    assert!(pager.step());
                    queue.look(NOW, &mut effects);
                }
            }
        }
        assert_eq!(found, [5, 10, 12, 20, 21, 22, 25, 30, 31, 32, 45, 50, 51, 52, 70, 72, 80]);
    }

    #[test]
    fn with_consumers_at_work_the_pager_is_asked_late() {
        let pager = Arc::new(HeldPager::default());
        let (queue, paging) = queue(&pager);
        let subscription = Subscription {
            outbox: Arc::new(Outbox::new(1 << 20)),
            source: SourceId(0),
            limit: Arc::new(ChannelLimit::default()),
            prefetch: 1,
            no_ack: false,
            exclusive: false,
            priority: 0,
            stream: None,
        };
        let id = queue.subscribe(subscription, NOW, &mut Effects::default()).unwrap();
        publish(&queue, 60);
        assert!(!pager.is_asked(), "its consumer may catch up");
        assert!(paging.patient.load(Ordering::Relaxed) > 2000);
        publish(&queue, 100);
        assert!(pager.is_asked(), "there is an end to patience");
        while pager.step() {}
        queue.look(NOW, &mut Effects::default());
        queue.cancel(id, NOW, &mut Effects::default());
        assert!(pager.is_asked(), "nobody is there to catch up");
        assert_eq!(paging.patient.load(Ordering::Relaxed), 0);
        publish(&queue, 100);
        let _ = queue.delete(false, false, NOW, &mut Effects::default());
        assert_eq!(paging.patient.load(Ordering::Relaxed), 0);
    }
}
