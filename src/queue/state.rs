//! The plain data behind a queue's lock, and the rules of taking in and giving up messages.

use std::sync::Arc;

use super::arguments::{Options, Overflow};
use super::effects::{Effects, Reason};
use super::ready::Ready;
use super::subscribers::{Subscribers, SubscriptionId};
use super::{Counts, Incoming, Queue};
use crate::message::{Message, Position, Queued};
use crate::time::Time;

#[derive(Debug)]
pub(super) struct State {
    pub(super) ready: Ready,
    pub(super) subscribers: Subscribers,
    /// In outboxes of, or delivered to, those who acknowledge.
    pub(super) unacked: usize,
    next_position: u64,
    /// When a queue with `x-expires` ends unless it is used before.
    pub(super) unused_until: Time,
    pub(super) deleted: bool,
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            ready: Ready::new(options.max_priority),
            subscribers: Subscribers::new(options.single_active_consumer),
            unacked: 0,
            next_position: 1,
            unused_until: Time::NEVER,
            deleted: false,
        }
    }

    pub(super) fn publish(
        &mut self,
        queue: &Arc<Queue>,
        batch: &mut Vec<Incoming>,
        now: Time,
        rejected: &mut Vec<u32>,
        effects: &mut Effects,
    ) {
        let options = &queue.declaration.options;
        if !options.has_limits() {
            for Incoming { message, .. } in batch.drain(..) {
                let queued = self.enqueued(message, options, now);
                self.ready.push(queued);
            }
            self.dispatch_fresh(queue, now, effects);
            self.drop_expired(queue, now, effects);
            return;
        }
        for Incoming { message, token } in batch.drain(..) {
            let queued = self.enqueued(message, options, now);
            if options.overflow != Overflow::DropHead && self.would_overflow(options, &queued) {
                // The check comes before any waiting consumer (behaviour B8.9).
                if options.overflow == Overflow::RejectPublishDlx {
                    effects.bury(queue, queued, Reason::MaxLength);
                }
                rejected.push(token);
                continue;
            }
            self.ready.push(queued);
            // A waiting consumer gets it even where nothing may wait.
            self.dispatch_fresh(queue, now, effects);
            self.drop_expired(queue, now, effects);
            self.drop_overflow(queue, effects);
        }
    }

    fn enqueued(&mut self, message: Message, options: &Options, now: Time) -> Queued {
        let position = Position(self.next_position);
        self.next_position += 1;
        let deadline = deadline(&message, options, now);
        Queued { message, position, deadline, redelivered: false }
    }

    pub(super) fn requeue(
        &mut self,
        queue: &Arc<Queue>,
        items: Vec<Queued>,
        now: Time,
        effects: &mut Effects,
    ) {
        self.ready.put_back(items);
        // Length limits first: a requeue may push the queue over them, and then the head goes, which
        // often is the requeued message (behaviour B6.13).
        self.drop_expired(queue, now, effects);
        self.drop_overflow(queue, effects);
        self.dispatch(queue, now, effects);
    }

    /// Counted deliveries are no longer out. True when a blocked consumer has room again.
    pub(super) fn release(&mut self, id: Option<SubscriptionId>, count: u32) -> bool {
        self.unacked = self.unacked.saturating_sub(count as usize);
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
            effects.bury(queue, queued, Reason::Expired);
        }
    }

    fn drop_overflow(&mut self, queue: &Arc<Queue>, effects: &mut Effects) {
        let options = &queue.declaration.options;
        if options.overflow != Overflow::DropHead {
            return;
        }
        let (length, bytes) = options.limits();
        while self.ready.len() > length || self.ready.bytes() > bytes {
            let Some(queued) = self.ready.pop() else {
                return;
            };
            effects.bury(queue, queued, Reason::MaxLength);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { ready: self.ready.len(), unacked: self.unacked, consumers: self.subscribers.len() }
    }

    fn would_overflow(&self, options: &Options, queued: &Queued) -> bool {
        let (length, bytes) = options.limits();
        self.ready.len() >= length
            || self.ready.bytes().saturating_add(queued.message.body_size()) > bytes
    }
}

/// The earlier of the queue's and the message's time to live, from now (behaviour B8.1).
fn deadline(message: &Message, options: &Options, now: Time) -> Time {
    let own = if message.traits().expires { expiration_millis(message) } else { None };
    let ttl = match (own, options.message_ttl_millis) {
        (None, None) => return Time::NEVER,
        (Some(ttl), None) | (None, Some(ttl)) => ttl,
        (Some(own), Some(queue)) => own.min(queue),
    };
    Time(now.0.saturating_add(ttl))
}

/// The `expiration` property, which was checked when the message was published (behaviour B6.2).
fn expiration_millis(message: &Message) -> Option<u64> {
    let properties = message.parsed_properties().ok()?;
    std::str::from_utf8(properties.expiration?).ok()?.parse().ok()
}
