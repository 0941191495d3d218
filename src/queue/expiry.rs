//! Time running out: for messages at the head, and for queues that nobody uses.
//!
//! A queue has no timer of its own. It reports through [`Effects`] when it wants to be looked at
//! earlier than it will be anyway, and [`Queue::look`] is that look. A queue that has neither
//! deadlines nor `x-expires` never reports.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::effects::{Effects, Reason};
use super::state::State;
use super::{Content, Counts, Queue};
use crate::message::Queued;
use crate::time::Time;

/// Expired messages that one look drops, so that a million of them do not hold the lock at a stretch.
const LOOK_MAX: usize = 1024;

impl Queue {
    /// When somebody will look next; [`Time::NEVER`] when nobody will.
    pub fn scheduled(&self) -> Time {
        Time(self.scheduled.load(Ordering::Acquire))
    }

    /// To be called by whoever keeps the schedule, before it looks and when it has scheduled a look.
    pub fn set_scheduled(&self, at: Time) {
        self.scheduled.store(at.0, Ordering::Release);
    }

    /// What is due is done: what came from disk finds its consumers, and expired messages leave, some at
    /// a time: if there are more, the queue asks for another look. True when the queue has not been used
    /// for as long as `x-expires` says; it is marked deleted in the same moment (behaviour B8.4), and the
    /// caller takes it out of the topology.
    pub fn look(self: &Arc<Self>, now: Time, effects: &mut Effects) -> bool {
        let arrivals = std::mem::take(&mut *self.arrivals.lock());
        let has_arrivals = !arrivals.is_empty();
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => {
                let mut stream = stream.lock();
                let freed = stream.look(self, arrivals, now, effects);
                drop(stream);
                drop(freed);
                return false;
            }
        };
        self.stir(|| state.counts(), effects);
        state.arrived(self, arrivals);
        if state.deleted {
            return false;
        }
        let mut left = LOOK_MAX;
        while left > 0
            && let Some(queued) = state.pop_expired(now)
        {
            effects.bury(self, &state.options, queued, Reason::Expired);
            left -= 1;
        }
        if has_arrivals {
            state.drop_overflow(self, effects);
            state.dispatch(self, now, effects);
        }
        if left == 0 || state.unused_until > now {
            state.report_deadline(self, effects);
            return false;
        }
        let dropped = state.delete(self, effects);
        drop(state);
        drop(dropped);
        self.delete_undelivered(now, effects);
        true
    }

    /// A declare, passive ones included, found the queue: it counts as used (behaviour B8.4). `None`
    /// when the queue ended in the meantime.
    pub fn declared(self: &Arc<Self>, now: Time, effects: &mut Effects) -> Option<Counts> {
        // Nothing that would have to be watched for a rate.
        self.rest(now);
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => {
                let stream = stream.lock();
                // As RabbitMQ has it, a stream does not tell of its consumers (behaviour B13.10).
                let counts = Counts { consumers: 0, ..stream.counts() };
                return (!stream.is_deleted()).then_some(counts);
            }
        };
        if state.deleted {
            return None;
        }
        state.drop_expired(self, now, effects);
        state.touch(now);
        state.report_deadline(self, effects);
        Some(state.counts())
    }
}

impl State {
    /// The queue is used: `x-expires` counts from now, or not at all while there are consumers.
    pub(super) fn touch(&mut self, now: Time) {
        if let Some(millis) = self.options.expires_millis {
            let in_use = self.subscribers.len() > 0;
            self.unused_until =
                if in_use { Time::NEVER } else { Time(now.0.saturating_add(millis)) };
        }
    }

    /// To be called at the end of whatever may have moved the head or the use of the queue.
    #[inline]
    pub(super) fn report_deadline(&mut self, queue: &Arc<Queue>, effects: &mut Effects) {
        if self.ready.is_deep() || self.patient > 0 {
            self.page(queue);
        }
        if !self.waiting.is_empty() {
            self.answer_waiting(effects);
        }
        if !self.awaiting.is_empty() {
            self.call_awaiting(queue, effects);
        }
        if self.ready.has_deadlines() || self.unused_until != Time::NEVER {
            self.report_earlier_deadline(queue, effects);
        }
    }

    fn report_earlier_deadline(&self, queue: &Arc<Queue>, effects: &mut Effects) {
        let due = self.ready.head_deadline().min(self.unused_until);
        if due < queue.scheduled() && !self.deleted {
            effects.deadlines.push((due, Arc::clone(queue)));
        }
    }

    /// Takes the head, if it has expired. Only the head is ever asked (behaviour B8.1).
    #[inline]
    pub(super) fn pop_expired(&mut self, now: Time) -> Option<Queued> {
        if !self.ready.head_expired(now) {
            return None;
        }
        let queued = self.ready.pop()?;
        self.left(queued.position);
        Some(queued)
    }
}
