//! Messages that wait in an exchange until they are due: the type `x-delayed-message` (behaviour
//! B4.18).
//!
//! They wait in ordinary queues that nobody can see, one for each [bucket](wheel) of time. So a message
//! is in the journal before it is confirmed, what is much lies on disk, and a message moves,
//! to a narrower bucket or to where it is routed, in one record: a crash neither loses nor doubles it.
//! When it is due stands in the message itself.
//!
//! The numbers of these queues are set aside when the exchange is declared. After a restart the store's
//! messages say which of them are in use.
//!
//! Invariant: only [`turn`](Delays::turn) takes messages out, and there is one turn at a time.

mod header;
mod turn;
mod wheel;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

pub(super) use self::header::delay_of;
use self::turn::Front;
use self::wheel::{Bucket, Buckets, Key, LEVELS};
use super::group_pager::GroupPager;
use super::schedule::{Schedule, Timed};
use super::topology::ExchangeDeclaration;
use super::vhost::Vhost;
use crate::exchange::ExchangeKind;
use crate::message::Message;
use crate::names::{ExchangeName, QueueName};
use crate::protocol::{FieldTable, FieldValue};
use crate::queue::{
    Budget, Declaration, Effects, Options, Paging, Queue, QueueKind, QueueLog, Restored,
};
use crate::storage::{DELAY_QUEUES, MessageStore, QueueId};
use crate::time::Time;

/// Queues for the buckets of one level. Far more than there are buckets at a time.
const QUEUES_PER_LEVEL: u32 = (DELAY_QUEUES / LEVELS as u64) as u32;

/// Buckets are many, so each gets a small part of what a queue may keep in memory.
const HEAD_SHARE: usize = 32;
const SEGMENT_SHARE: usize = 8;
const SEGMENT_MIN: usize = 32 * 1024;

/// Whether an exchange delays messages: by its type, or by an argument as LavinMQ has it.
pub(super) fn delays(declaration: &ExchangeDeclaration) -> bool {
    let argument = declaration.arguments.get("x-delayed-exchange");
    declaration.kind == ExchangeKind::DelayedMessage
        || argument.and_then(FieldValue::as_bool) == Some(true)
}

/// What waits in one exchange.
pub(super) struct Delays {
    exchange: ExchangeName,
    vhost: Weak<Vhost>,
    schedule: Arc<Schedule>,
    messages: Arc<dyn MessageStore>,
    pager: Option<Arc<GroupPager>>,
    paging: Option<Arc<Paging>>,
    in_memory_max: usize,
    /// Of a durable exchange: the first of its queues' numbers.
    first_queue: Option<QueueId>,
    scheduled: AtomicU64,
    /// Queues for which the pager has done something.
    attention: Mutex<Vec<Arc<Queue>>>,
    /// Behind the topology and before queues in the order of locks.
    state: Mutex<State>,
}

struct State {
    buckets: Buckets,
    /// Of each level: queues that are not in use, and the place of the next one to be made.
    spare: [Spare; LEVELS],
    /// What is in memory; away while there is a turn.
    front: Option<Box<Front>>,
    count: usize,
    ended: bool,
}

#[derive(Default)]
struct Spare {
    queues: Vec<(u32, Option<Arc<Queue>>)>,
    next: u32,
}

impl fmt::Debug for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delays({})", self.exchange)
    }
}

/// A message on its way into a bucket's queue. To be kept until the queue has taken it.
#[derive(Debug)]
pub(super) struct Entering {
    delays: Arc<Delays>,
    key: Key,
    pub(super) queue: Arc<Queue>,
    /// What the queue has to get.
    pub(super) message: Message,
}

impl Delays {
    pub(super) fn new(
        exchange: ExchangeName,
        first_queue: Option<QueueId>,
        vhost: &Vhost,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            exchange,
            vhost: Weak::clone(&vhost.this),
            schedule: Arc::clone(&vhost.schedule),
            messages: Arc::clone(&vhost.messages),
            paging: vhost.paging.as_ref().zip(vhost.pager.clone()).map(|(paging, pager)| {
                let this = Weak::clone(this);
                let attention = move |queue: &Arc<Queue>| {
                    if let Some(delays) = this.upgrade() {
                        delays.attention.lock().push(Arc::clone(queue));
                        delays.wake(Time(0));
                    }
                };
                let Budget { head, segment } = paging.budget;
                let segment = (segment / SEGMENT_SHARE).max(SEGMENT_MIN);
                let budget = Budget { head: head / HEAD_SHARE, segment };
                let (attention, patient) = (Box::new(attention), AtomicUsize::new(0));
                Arc::new(Paging { pager, budget, attention, patient })
            }),
            pager: vhost.pager.clone(),
            in_memory_max: vhost.delayed_in_memory_max,
            first_queue,
            scheduled: AtomicU64::new(Time::NEVER.0),
            attention: Mutex::default(),
            state: Mutex::new(State {
                buckets: Buckets::new(),
                spare: Default::default(),
                front: Some(Box::default()),
                count: 0,
                ended: false,
            }),
        })
    }

    pub(super) fn exchange(&self) -> &ExchangeName {
        &self.exchange
    }

    /// How many messages wait.
    pub(super) fn count(&self) -> usize {
        self.state.lock().count
    }

    /// Finds out where a message waits that arrives at `now`. `None` when it does not want to wait, or
    /// has nowhere to, because the exchange is gone.
    pub(super) fn enter(self: &Arc<Self>, message: &Message, now: Time) -> Option<Entering> {
        let delay = delay_of(&message.parsed_properties().ok()?)?;
        let due = Time(now.0.saturating_add(delay));
        let message = header::held(message, due);
        let mut state = self.state.lock();
        if state.ended {
            return None;
        }
        let mut key = wheel::place(&state.buckets, due, now);
        if self.prepare(&mut state, key).is_none() {
            // Into the first one that sorts what is in it: it opens too early rather than too late.
            key = *state.buckets.keys().find(|key| key.level() > 0)?;
        }
        let bucket = state.buckets.get_mut(&key)?;
        bucket.entering += 1;
        let queue = Arc::clone(&bucket.queue);
        state.count += 1;
        drop(state);
        Some(Entering { delays: Arc::clone(self), key, queue, message })
    }

    /// Makes the bucket, unless it is there. `None` when all queues of its level are in use.
    fn prepare(&self, state: &mut State, key: Key) -> Option<()> {
        if state.buckets.contains_key(&key) {
            return Some(());
        }
        let spare = state.spare.get_mut(key.level())?;
        let (place, queue) = match spare.queues.pop() {
            Some(spare) => spare,
            None if spare.next < QUEUES_PER_LEVEL => {
                spare.next += 1;
                (spare.next - 1, None)
            }
            None => return None,
        };
        let queue = queue.unwrap_or_else(|| self.queue(key.level(), place));
        state.buckets.insert(key, Bucket::new(queue, place));
        Some(())
    }

    fn queue(&self, level: usize, place: u32) -> Arc<Queue> {
        let number = level as u64 * u64::from(QUEUES_PER_LEVEL) + u64::from(place);
        let id = self.first_queue.map(|first| QueueId(first.0.saturating_add(number)));
        let log = id.map(|id| QueueLog::new(id, Arc::clone(&self.messages)));
        let declaration = Declaration {
            durable: log.is_some(),
            auto_delete: false,
            owner: None,
            arguments: FieldTable::default(),
            // Of the kind that keeps transient messages too, as the plugin does.
            options: Arc::new(Options { kind: QueueKind::Quorum, ..Options::default() }),
        };
        let name = QueueName::from(format!("{} ({level}.{place})", self.exchange));
        Queue::new(name, declaration, log, self.paging.clone())
    }

    /// The exchange is gone, and what waits in it.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.count = 0;
        let buckets = std::mem::take(&mut state.buckets);
        let spare = std::mem::take(&mut state.spare);
        drop(state);
        let spare = spare.into_iter().flat_map(|spare| spare.queues).filter_map(|(_, queue)| queue);
        for queue in buckets.into_values().map(|bucket| bucket.queue).chain(spare) {
            // Without conditions it is never refused; there are no consumers to tell.
            let _ = queue.delete(false, false, Time(0), &mut Effects::default());
        }
    }

    /// The numbers of its queues.
    pub(super) fn queue_ids(&self) -> Option<std::ops::Range<u64>> {
        let QueueId(first) = self.first_queue?;
        Some(first..first.saturating_add(DELAY_QUEUES))
    }

    /// Puts back what the store kept, by the numbers of the queues. `refill` makes of it what a queue
    /// takes. Says how many messages wait.
    pub(super) fn restore<T>(
        self: &Arc<Self>,
        kept: BTreeMap<u64, T>,
        now: Time,
        refill: impl Fn(&Queue, T) -> Restored,
    ) -> usize {
        let Some(QueueId(first)) = self.first_queue else { return 0 };
        let mut state = self.state.lock();
        let mut used: [Vec<u32>; LEVELS] = Default::default();
        for (id, kept) in kept {
            let number = id.saturating_sub(first);
            let per_level = u64::from(QUEUES_PER_LEVEL);
            let (level, place) = ((number / per_level) as usize, (number % per_level) as u32);
            let queue = self.queue(level, place);
            let restored = refill(&queue, kept);
            let in_segments = restored.segments.iter().map(|segment| segment.figures.messages);
            let ready = restored.messages.len() + in_segments.sum::<usize>();
            used.get_mut(level).into_iter().for_each(|used| used.push(place));
            let due = self.first_due(&restored);
            queue.restore(restored, now, &mut Effects::default());
            if ready == 0 {
                // The store knows its number still: it goes on behind its last position.
                if let Some(spare) = state.spare.get_mut(level) {
                    spare.queues.push((place, Some(queue)));
                }
                continue;
            }
            let mut key = Key::covering(due, level);
            // A crash may leave two of the same span. To open one earlier does no harm.
            while state.buckets.contains_key(&key) {
                key.start = Time(key.start.0.saturating_sub(1));
            }
            state.count += ready;
            state.buckets.insert(key, Bucket { ready, ..Bucket::new(queue, place) });
        }
        for (spare, mut used) in state.spare.iter_mut().zip(used) {
            used.sort_unstable();
            spare.next = used.last().map_or(0, |last| last + 1);
            let free = (0..spare.next).filter(|place| used.binary_search(place).is_err());
            spare.queues.extend(free.map(|place| (place, None)));
        }
        let count = state.count;
        drop(state);
        if count > 0 {
            self.wake(now);
        }
        count
    }

    /// When one of the messages of a bucket is due, which says what span it covers. If none can be read,
    /// it is opened at once, and they go where they belong.
    fn first_due(&self, restored: &Restored) -> Time {
        if let Some(first) = restored.messages.first() {
            return header::due_of(&first.message);
        }
        let pager = self.messages.pager();
        let read = pager.zip(restored.segments.first()).map(|(pager, first)| pager.read_now(first));
        let first = read.and_then(Result::ok).unwrap_or_default();
        first.first().map_or(Time(0), |queued| header::due_of(&queued.message))
    }

    /// Sees to it that there is a turn by `at`.
    fn wake(self: &Arc<Self>, at: Time) {
        if self.scheduled() > at
            && let Some(vhost) = self.vhost.upgrade()
        {
            self.schedule.add(at, &vhost, &Timed::Delays(Arc::clone(self)));
        }
    }

    pub(super) fn scheduled(&self) -> Time {
        Time(self.scheduled.load(Ordering::Acquire))
    }

    pub(super) fn set_scheduled(&self, at: Time) {
        self.scheduled.store(at.0, Ordering::Release);
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let mut state = self.delays.state.lock();
        let Some(bucket) = state.buckets.get_mut(&self.key) else { return };
        bucket.entering -= 1;
        bucket.ready += 1;
        let opens = bucket.opens(&self.key);
        drop(state);
        self.delays.wake(opens);
    }
}
