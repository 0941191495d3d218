//! When which queue has to be looked at, because its head expires or nobody has used it, and when
//! which exchange has messages that are due.
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

use super::delay::Delays;
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
    timed: WeakTimed,
}

/// What time passes for.
#[derive(Clone, Debug)]
pub(super) enum Timed {
    Queue(Arc<Queue>),
    /// Of an exchange.
    Delays(Arc<Delays>),
}

enum WeakTimed {
    Queue(Weak<Queue>),
    Delays(Weak<Delays>),
}

impl Timed {
    fn key(&self, at: Time) -> (Time, usize) {
        match self {
            Self::Queue(queue) => (at, Arc::as_ptr(queue).addr()),
            Self::Delays(delays) => (at, Arc::as_ptr(delays).addr()),
        }
    }

    fn scheduled(&self) -> Time {
        match self {
            Self::Queue(queue) => queue.scheduled(),
            Self::Delays(delays) => delays.scheduled(),
        }
    }

    fn set_scheduled(&self, at: Time) {
        match self {
            Self::Queue(queue) => queue.set_scheduled(at),
            Self::Delays(delays) => delays.set_scheduled(at),
        }
    }

    fn downgrade(&self) -> WeakTimed {
        match self {
            Self::Queue(queue) => WeakTimed::Queue(Arc::downgrade(queue)),
            Self::Delays(delays) => WeakTimed::Delays(Arc::downgrade(delays)),
        }
    }
}

impl WeakTimed {
    fn upgrade(&self) -> Option<Timed> {
        match self {
            Self::Queue(queue) => queue.upgrade().map(Timed::Queue),
            Self::Delays(delays) => delays.upgrade().map(Timed::Delays),
        }
    }
}

impl Schedule {
    /// Sees to it that `timed` is looked at by `at`.
    pub(super) fn add(&self, at: Time, vhost: &Arc<Vhost>, timed: &Timed) {
        let mut entries = self.entries.lock();
        let scheduled = timed.scheduled();
        if scheduled <= at {
            return;
        }
        entries.remove(&timed.key(scheduled));
        let entry = Entry { vhost: Arc::downgrade(vhost), timed: timed.downgrade() };
        entries.insert(timed.key(at), entry);
        timed.set_scheduled(at);
        let is_first = entries.first_key_value().is_some_and(|(first, _)| *first == timed.key(at));
        drop(entries);
        if is_first && !self.earlier.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Forgets a queue that has ended.
    pub(super) fn remove(&self, queue: &Arc<Queue>) {
        if queue.scheduled() != Time::NEVER {
            let timed = Timed::Queue(Arc::clone(queue));
            self.entries.lock().remove(&timed.key(queue.scheduled()));
        }
    }

    /// Takes out up to `max` that are due. They count as not scheduled from here on, so what
    /// they report while they are looked at comes in again.
    pub(super) fn take_due(&self, now: Time, max: usize) -> Vec<(Arc<Vhost>, Timed)> {
        let mut due = Vec::new();
        let mut entries = self.entries.lock();
        while due.len() < max
            && let Some(first) = entries.first_entry()
            && first.key().0 <= now
        {
            let Entry { vhost, timed } = first.remove();
            if let (Some(vhost), Some(timed)) = (vhost.upgrade(), timed.upgrade()) {
                timed.set_scheduled(Time::NEVER);
                due.push((vhost, timed));
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::broker::{Broker, Limits};
    use crate::protocol::FieldTable;
    use crate::queue::Declaration;
    use crate::storage::memory::{MemoryDefinitions, MemoryMessages};

    fn vhost() -> Arc<Vhost> {
        let messages = Arc::new(MemoryMessages);
        let broker =
            Broker::new(Limits::default(), Arc::new(MemoryDefinitions::default()), messages);
        broker.create_vhost(&"/".into())
    }

    fn queue() -> Arc<Queue> {
        let declaration = Declaration {
            durable: false,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::default(),
            options: Arc::default(),
        };
        Queue::new("q".into(), declaration, None, None)
    }

    fn times(schedule: &Schedule) -> Vec<u64> {
        schedule.entries.lock().keys().map(|(at, _)| at.0).collect()
    }

    #[test]
    fn a_queue_has_one_entry_its_earliest() {
        let (schedule, vhost, queue) = (Schedule::default(), vhost(), queue());
        for (at, expected) in [(50, 50), (70, 50), (50, 50), (30, 30)] {
            schedule.add(Time(at), &vhost, &Timed::Queue(Arc::clone(&queue)));
            assert_eq!(times(&schedule), [expected]);
            assert_eq!((queue.scheduled(), schedule.next()), (Time(expected), Time(expected)));
        }
        schedule.remove(&queue);
        assert_eq!(schedule.next(), Time::NEVER);
    }

    #[test]
    fn queues_are_due_in_order_and_some_at_a_time() {
        let (schedule, vhost) = (Schedule::default(), vhost());
        let queues: Vec<_> = (0..5).map(|_| queue()).collect();
        for (queue, at) in queues.iter().zip([30, 10, 20, 10, 99]) {
            schedule.add(Time(at), &vhost, &Timed::Queue(Arc::clone(queue)));
        }
        assert!(schedule.take_due(Time(9), 10).is_empty());
        let taken = schedule.take_due(Time(30), 3);
        assert_eq!(taken.len(), 3);
        assert!(taken.iter().all(|(_, timed)| timed.scheduled() == Time::NEVER));
        assert_eq!(times(&schedule), [30, 99]);
    }

    #[test]
    fn nothing_is_kept_alive() {
        let (schedule, vhost, queue) = (Schedule::default(), vhost(), queue());
        schedule.add(Time(10), &vhost, &Timed::Queue(Arc::clone(&queue)));
        assert_eq!((Arc::strong_count(&vhost), Arc::strong_count(&queue)), (1, 1));
        drop(queue);
        assert!(schedule.take_due(Time(10), 10).is_empty());
        assert_eq!(schedule.next(), Time::NEVER);
    }

    #[test]
    fn only_an_earlier_first_entry_rings() {
        let (schedule, vhost) = (Schedule::default(), vhost());
        let (one, two) = (queue(), queue());
        let rings =
            || schedule.poll_earlier(&mut Context::from_waker(Waker::noop())) == Poll::Ready(());
        assert!(!rings());
        schedule.add(Time(50), &vhost, &Timed::Queue(Arc::clone(&one)));
        assert!(rings());
        assert!(!rings(), "once");
        schedule.add(Time(60), &vhost, &Timed::Queue(Arc::clone(&two)));
        assert!(!rings(), "it is later");
        schedule.add(Time(40), &vhost, &Timed::Queue(Arc::clone(&two)));
        assert!(rings());
    }
}
