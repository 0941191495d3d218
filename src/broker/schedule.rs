//! When which queue has to be looked at, because its head expires or nobody has used it.
//!
//! Queues report a deadline only when it is earlier than what stands here for them, and each stands
//! here at most once; a look that finds nothing due puts the queue back at its next deadline. So a
//! queue whose consumers keep up costs nothing but a look now and then. Entries are weak: a schedule
//! keeps no queue alive.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use super::vhost::Vhost;
use crate::queue::Queue;
use crate::time::Time;

#[derive(Default)]
pub(super) struct Schedule {
    /// By time, then by the queue's address, which is its own as long as the entry refers to it.
    entries: Mutex<BTreeMap<(Time, usize), Entry>>,
    /// The first entry has become an earlier one.
    earlier: AtomicBool,
    waker: AtomicWaker,
}

struct Entry {
    vhost: Weak<Vhost>,
    queue: Weak<Queue>,
}

fn key(at: Time, queue: &Arc<Queue>) -> (Time, usize) {
    (at, Arc::as_ptr(queue).addr())
}

impl Schedule {
    /// Sees to it that `queue` is looked at by `at`.
    pub(super) fn add(&self, at: Time, vhost: &Arc<Vhost>, queue: &Arc<Queue>) {
        let mut entries = self.entries.lock();
        let scheduled = queue.scheduled();
        if scheduled <= at {
            return;
        }
        entries.remove(&key(scheduled, queue));
        let entry = Entry { vhost: Arc::downgrade(vhost), queue: Arc::downgrade(queue) };
        entries.insert(key(at, queue), entry);
        queue.set_scheduled(at);
        let is_first = entries.first_key_value().is_some_and(|(first, _)| *first == key(at, queue));
        drop(entries);
        if is_first && !self.earlier.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Forgets a queue that has ended.
    pub(super) fn remove(&self, queue: &Arc<Queue>) {
        if queue.scheduled() != Time::NEVER {
            self.entries.lock().remove(&key(queue.scheduled(), queue));
        }
    }

    /// Takes out up to `max` queues that are due. They count as not scheduled from here on, so what
    /// they report while they are looked at comes in again.
    pub(super) fn take_due(&self, now: Time, max: usize) -> Vec<(Arc<Vhost>, Arc<Queue>)> {
        let mut due = Vec::new();
        let mut entries = self.entries.lock();
        while due.len() < max
            && let Some(first) = entries.first_entry()
            && first.key().0 <= now
        {
            let Entry { vhost, queue } = first.remove();
            if let (Some(vhost), Some(queue)) = (vhost.upgrade(), queue.upgrade()) {
                queue.set_scheduled(Time::NEVER);
                due.push((vhost, queue));
            }
        }
        due
    }

    pub(super) fn next(&self) -> Time {
        self.entries.lock().first_key_value().map_or(Time::NEVER, |((at, _), _)| *at)
    }

    /// Ready once for any number of times that the first entry has become an earlier one.
    pub(super) fn poll_earlier(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.earlier.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}
