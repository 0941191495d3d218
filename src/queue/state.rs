//! The plain data behind a queue's lock, and the rules of taking in and giving up messages.

use std::sync::Arc;

use super::arguments::{Options, Overflow};
use super::deduplication::Duplicates;
use super::effects::{Effects, Reason};
use super::line::Budget;
use super::paging::Waiting;
use super::ready::Ready;
use super::restore::{Leftover, Restored, count_at};
use super::room::Awaiting;
use super::stats::{MESSAGE_OVERHEAD, QueueFigures, Weights};
use super::subscribers::{Service, Subscribers, SubscriptionId};
use super::{Arrival, Counts, Incoming, Queue, QueueKind, log};
use crate::message::{Message, Position, Queued};
use crate::storage::journal::RecoveredMessage;
use crate::storage::{LogPosition, Segment};
use crate::time::Time;

#[derive(Debug)]
pub(super) struct State {
    /// What holds at the moment: arguments and policies together.
    pub(super) options: Arc<Options>,
    pub(super) ready: Ready,
    pub(super) subscribers: Subscribers,
    /// In outboxes of, or delivered to, those who acknowledge.
    pub(super) unacked: usize,
    /// What those weigh.
    pub(super) held: Weights,
    /// When a queue with `x-expires` ends unless it is used before.
    pub(super) unused_until: Time,
    /// Policies have changed `expires` since it was last enforced.
    pub(super) restart_expiry: bool,
    pub(super) deleted: bool,
    /// Who waits for a message on its way from disk.
    pub(super) waiting: Vec<Waiting>,
    pub(super) leftover: Option<Box<Leftover>>,
    /// Queues whose dead letters wait for room in this one.
    pub(super) awaiting: Vec<Awaiting>,
    /// Bytes it keeps from the pager.
    pub(super) patient: usize,
    /// With `x-message-deduplication`: what is in the queue.
    pub(super) duplicates: Option<Box<Duplicates>>,
}

impl State {
    pub(super) fn new(options: Arc<Options>, budget: Budget) -> Self {
        Self {
            ready: match options.kind {
                QueueKind::Classic | QueueKind::Stream => Ready::new(options.max_priority, budget),
                QueueKind::Quorum => Ready::quorum(options.delivery_limit().is_some(), budget),
            },
            subscribers: Subscribers::new(Service::of(&options)),
            duplicates: Duplicates::new(&options),
            options,
            unacked: 0,
            held: Weights::default(),
            unused_until: Time::NEVER,
            restart_expiry: false,
            deleted: false,
            waiting: Vec::new(),
            leftover: None,
            awaiting: Vec::new(),
            patient: 0,
        }
    }

    pub(super) fn publish(
        &mut self,
        queue: &Arc<Queue>,
        batch: &mut Vec<Incoming>,
        arrival: Arrival,
        rejected: &mut Vec<u32>,
        effects: &mut Effects,
    ) -> Option<LogPosition> {
        let Arrival { now, .. } = arrival;
        if self.options.has_limits() {
            return self.publish_limited(queue, batch, arrival, rejected, effects);
        }
        self.ready.note_time(now);
        for incoming in batch.drain(..) {
            self.take_in(queue, incoming, arrival, effects);
        }
        let log = tell(queue, arrival, effects);
        self.dispatch_fresh(queue, now, effects);
        self.drop_expired(queue, now, effects);
        log
    }

    /// Where a limit is set, every message is a batch of its own.
    fn publish_limited(
        &mut self,
        queue: &Arc<Queue>,
        batch: &mut Vec<Incoming>,
        arrival: Arrival,
        rejected: &mut Vec<u32>,
        effects: &mut Effects,
    ) -> Option<LogPosition> {
        let (options, now) = (Arc::clone(&self.options), arrival.now);
        // What has expired meanwhile takes no place, nor is it dropped for want of one.
        self.drop_expired(queue, now, effects);
        self.ready.note_time(now);
        let mut log = None;
        for incoming in batch.drain(..) {
            if options.overflow() != Overflow::DropHead
                && !self.room(queue).takes(&incoming.message)
            {
                // The check comes before any waiting consumer (behaviour B8.9).
                rejected.push(incoming.token);
                if options.overflow() == Overflow::RejectPublishDlx && !arrival.comes_back {
                    // It never was in the queue, so there is nothing the store should forget.
                    effects.bury_unborn(queue, &options, incoming.message);
                }
                continue;
            }
            self.take_in(queue, incoming, arrival, effects);
            log = log.max(tell(queue, arrival, effects));
            // A waiting consumer gets it even where nothing may wait.
            self.dispatch_fresh(queue, now, effects);
            self.drop_expired(queue, now, effects);
            self.drop_overflow(queue, effects);
        }
        log
    }

    /// Puts a message at the end, unless it is there already.
    #[inline]
    fn take_in(
        &mut self,
        queue: &Arc<Queue>,
        incoming: Incoming,
        arrival: Arrival,
        effects: &mut Effects,
    ) {
        let number = incoming.number(arrival.first_stored);
        let position = self.ready.next_position(&incoming.message);
        let kept = queue.keeps.includes(&incoming.message);
        if let Some(duplicates) = &mut self.duplicates
            && !duplicates.admit(&incoming.message, position, kept)
        {
            return;
        }
        if let Some(number) = number
            && kept
        {
            log::add(&mut effects.runs, position, number);
        }
        let message = incoming.message;
        let deadline = deadline(&message, &self.options, arrival.now);
        self.ready.push(Queued {
            message,
            position,
            deadline,
            redelivered: false,
            kept,
            delivery_count: 0,
        });
    }

    /// `early` are segments of which the messages are in memory already.
    pub(super) fn restore(
        &mut self,
        queue: &Queue,
        restored: Restored,
        early: Vec<(Segment, Vec<Queued>)>,
        now: Time,
    ) {
        let Restored { messages, segments, settled, delivered, returned, next_position } = restored;
        let since = messages.first().and_then(|first| first.stored).map_or(now, |at| at.min(now));
        let messages = messages.into_iter().map(|recovered| {
            let RecoveredMessage { position, message, stored, redelivered } = recovered;
            // A clock that was set back does not make it live longer than it was to live.
            let since = stored.map_or(now, |stored| stored.min(now));
            let deadline = deadline(&message, &self.options, since);
            if let Some(duplicates) = &mut self.duplicates {
                duplicates.admit(&message, position, true);
            }
            let delivery_count = count_at(&returned, position);
            Queued { message, position, deadline, redelivered, kept: true, delivery_count }
        });
        let mut messages: Vec<Queued> = messages.collect();
        // What lies in segments came before those, or it is not known when.
        self.ready.note_time(since);
        if !segments.is_empty() || !early.is_empty() {
            self.leftover = Some(Box::new(Leftover { settled, delivered, returned }));
        }
        self.open_early(queue, early, &mut messages);
        self.ready.restore(segments, messages);
        if let Some(last) = next_position.checked_sub(1) {
            self.ready.passed(Position(last));
        }
    }

    pub(super) fn requeue(
        &mut self,
        queue: &Arc<Queue>,
        mut items: Vec<Queued>,
        now: Time,
        effects: &mut Effects,
    ) {
        if let Some(limit) = self.options.delivery_limit() {
            for queued in items.extract_if(.., |queued| queued.delivery_count > limit) {
                self.left(queued.position);
                effects.bury(queue, &self.options, queued, Reason::DeliveryLimit);
            }
        }
        self.return_to_tail(queue, &mut items, now, effects);
        self.ready.put_back(items);
        // Length limits first: a requeue may push the queue over them, and then the head goes, which
        // often is the requeued message (behaviour B6.13).
        self.drop_expired(queue, now, effects);
        self.drop_overflow(queue, effects);
        self.dispatch(queue, now, effects);
    }

    /// Counted deliveries are no longer out. True when a blocked consumer has room again.
    pub(super) fn release(
        &mut self,
        id: Option<SubscriptionId>,
        count: u32,
        weights: &Weights,
    ) -> bool {
        self.unacked = self.unacked.saturating_sub(count as usize);
        match self.unacked {
            0 => self.held = Weights::default(),
            _ => self.held.remove_all(weights),
        }
        let Some(id) = id else { return false };
        let Some(subscriber) = self.subscribers.find(id) else {
            return false;
        };
        subscriber.unacked = subscriber.unacked.saturating_sub(count);
        self.subscribers.unblock(id)
    }

    /// Drops expired messages at the head until the head is alive (behaviour B8.1).
    #[inline]
    pub(super) fn drop_expired(&mut self, queue: &Arc<Queue>, now: Time, effects: &mut Effects) {
        while let Some(queued) = self.pop_expired(now) {
            effects.bury(queue, &self.options, queued, Reason::Expired);
        }
    }

    pub(super) fn drop_overflow(&mut self, queue: &Arc<Queue>, effects: &mut Effects) {
        if self.options.overflow() != Overflow::DropHead {
            return;
        }
        let (length, bytes) = self.options.limits();
        while self.ready.len() > length || self.ready.bytes() > bytes {
            let Some(queued) = self.ready.pop() else {
                return;
            };
            self.left(queued.position);
            effects.bury(queue, &self.options, queued, Reason::MaxLength);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            ready: self.ready.len(),
            unacked: self.unacked,
            consumers: self.subscribers.len(),
            // Those are in another queue.
            dead_letters: 0,
        }
    }

    pub(super) fn figures(&self) -> QueueFigures {
        let (ready, on_disk) = (self.ready.figures(), self.ready.on_disk());
        let resident = ready.messages.saturating_sub(on_disk.messages) + self.unacked;
        let segments = self.ready.segments().count();
        let head = self.ready.front();
        let bytes = ready.bytes.saturating_sub(on_disk.bytes) + self.held.bytes;
        QueueFigures {
            counts: self.counts(),
            ready_bytes: ready.bytes,
            unacked_bytes: self.held.bytes,
            persistent: ready.persistent + self.held.persistent,
            persistent_bytes: ready.persistent_bytes + self.held.persistent_bytes,
            on_disk: on_disk.messages,
            on_disk_bytes: on_disk.bytes,
            segments,
            memory: size_of::<Queue>()
                + bytes
                + resident * MESSAGE_OVERHEAD
                + segments * size_of::<Segment>(),
            oldest: head.and_then(|head| self.ready.since(head.position)),
            head_timestamp: head.and_then(|head| head.message.parsed_properties().ok()?.timestamp),
        }
    }
}

/// Tells the store what the queue took, before anybody can take it out again.
#[inline]
fn tell(queue: &Queue, arrival: Arrival, effects: &mut Effects) -> Option<LogPosition> {
    queue.log.as_ref()?.enqueued(arrival.group, &mut effects.runs)
}

/// The earlier of the queue's and the message's time to live, from `now` (behaviour B8.1).
fn deadline(message: &Message, options: &Options, now: Time) -> Time {
    let ttl = time_to_live_millis(message, options);
    ttl.map_or(Time::NEVER, |ttl| Time(now.0.saturating_add(ttl)))
}

pub(super) fn time_to_live_millis(message: &Message, options: &Options) -> Option<u64> {
    let own = if message.traits().expires { expiration_millis(message) } else { None };
    match (own, options.message_ttl_millis) {
        (Some(own), Some(queue)) => Some(own.min(queue)),
        (own, queue) => own.or(queue),
    }
}

/// The `expiration` property, which was checked when the message was published (behaviour B6.2).
fn expiration_millis(message: &Message) -> Option<u64> {
    let properties = message.parsed_properties().ok()?;
    // Signed, because `-0` passed the check.
    let millis: i64 = std::str::from_utf8(properties.expiration?).ok()?.parse().ok()?;
    u64::try_from(millis).ok()
}
