//! Messages waiting, and who gets the next one.
//!
//! In come published, requeued and settled messages, subscriptions and cancellations; out go
//! deliveries into outboxes, and [`Effects`]: whom to wake and what died, for the caller to act on when
//! the lock is gone. One mutex per queue guards plain `state`; it is held for a batch, never across
//! an await, a file or a call into another room.
//!
//! ```text
//! publish → ready ──dispatch──▶ outbox ──▶ unacked (session) ──settle──▶ gone
//!             ▲                   │              │
//!             └───────────────────┴──requeue─────┘   (to the old position)
//! ```
//!
//! Invariant: a message that a queue took in is in exactly one of those places until it is gone.
//!
//! A `stream` stands behind the same interface, with a life of its own: there messages stay.

mod arguments;
mod browse;
mod consumers;
mod deduplication;
mod dispatch;
mod effects;
mod expiry;
mod kind;
mod line;
mod log;
mod paging;
mod ready;
mod restore;
mod room;
mod since;
mod state;
pub mod stats;
mod stream;
mod subscribers;
mod tail;
mod undelivered;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

pub use self::arguments::{
    ArgumentReader, Options, Overflow, TimeoutAction, check_equivalent, check_equivalent_arguments,
};
pub use self::browse::{Browsed, Place, Taken};
pub use self::consumers::QueueConsumer;
pub use self::deduplication::{DEDUPLICATION_HEADER, DeduplicationValue};
pub use self::effects::{Dead, Effects, Reason};
pub use self::kind::QueueKind;
pub use self::line::Budget;
pub use self::log::{Keeps, QueueLog};
pub use self::paging::{Paging, Waiting};
pub use self::restore::{Restored, within};
pub use self::room::Room;
pub use self::stats::{Before, DeadLetterStrategy, QueueCounts, QueueFigures, QueueStats, Weights};
pub use self::stream::{
    Filter, SEGMENT_BYTES_MAX, StreamOffset, StreamOptions, StreamStart, age_millis, offset_of,
};
pub use self::subscribers::{Subscription, SubscriptionId};
pub use self::undelivered::Undelivered;

use self::paging::Arrivals;
use self::state::State;
use self::stream::Stream;
use crate::delivery::Outgoing;
use crate::message::{Message, Position, Positions, Queued};
use crate::names::QueueName;
use crate::protocol::FieldTable;
use crate::storage::{Group, LogPosition};
use crate::time::Time;

/// Which connection owns something; unique while the broker runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ConnectionId(pub u64);

/// What `queue.declare` says of a queue, argument table included.
#[derive(Clone, Debug)]
pub struct Declaration {
    pub durable: bool,
    pub auto_delete: bool,
    /// The connection that alone may use the queue and whose end ends it (behaviour B5.3).
    pub owner: Option<ConnectionId>,
    pub arguments: FieldTable,
    /// What the arguments ask for. Policies may add to it; see [`Queue::options`].
    pub options: Arc<Options>,
}

/// A message on its way in. `token` names it in the list of rejected ones.
#[derive(Debug)]
pub struct Incoming {
    pub message: Message,
    pub token: u32,
    /// Its place among those that were stored with this batch, or [`NOT_STORED`](Self::NOT_STORED).
    pub stored: u32,
}

impl Incoming {
    pub const NOT_STORED: u32 = u32::MAX;

    /// A message that the store does not know.
    pub fn new(message: Message, token: u32) -> Self {
        Self { message, token, stored: Self::NOT_STORED }
    }
}

/// How a batch comes in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The store's number of the first message that was stored with the batch.
    pub first_stored: u64,
    pub group: Group,
    pub now: Time,
    /// A client publishes it; not so what was dead or delayed.
    pub by_client: bool,
    /// What is refused goes back to who brings it, and nowhere else.
    pub comes_back: bool,
}

impl Arrival {
    pub fn of(group: Group, now: Time) -> Self {
        Self { first_stored: 0, group, now, by_client: false, comes_back: false }
    }

    /// Of a batch of which the store knows nothing.
    pub fn at(now: Time) -> Self {
        Self { by_client: true, ..Self::of(Group::ALONE, now) }
    }
}

/// Deliveries that are settled.
#[derive(Debug)]
pub struct Settled<'a> {
    /// Of which consumer; `None` for `basic.get`.
    pub id: Option<SubscriptionId>,
    /// How many of its deliveries that await an acknowledgement.
    pub count: u32,
    /// Where those stood that the store knows of.
    pub positions: Option<&'a Positions>,
    /// Where all of them stood, if the queue [deduplicates](Queue::deduplicates).
    pub left: Option<&'a Positions>,
    pub group: Group,
    pub weights: Weights,
    /// A client said that it is done with them.
    pub acknowledged: bool,
}

impl Settled<'_> {
    /// Deliveries of which the store knows nothing.
    pub fn count(id: Option<SubscriptionId>, count: u32) -> Self {
        let (group, weights) = (Group::ALONE, Weights::default());
        Self { id, count, positions: None, left: None, group, weights, acknowledged: false }
    }
}

/// Counts for declare-ok, get-ok and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub ready: usize,
    /// Delivered or on the way to a consumer, and not settled.
    pub unacked: usize,
    pub consumers: usize,
    /// That have to arrive and could not yet (behaviour B13.7).
    pub dead_letters: usize,
}

/// What `basic.get` finds.
#[derive(Debug)]
pub enum Got {
    Message {
        queued: Queued,
        /// How many are ready after it.
        remaining: usize,
    },
    Empty,
    /// There are messages, and the next one is being read from disk:
    /// [`when_ready`](Queue::when_ready), ask again.
    OnItsWay,
    /// This kind of queue has no next message (behaviour B6.10).
    NotSupported,
}

/// Why a subscription was refused (behaviour B6.7).
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is gone.
    Deleted,
    ExclusiveUse,
    /// A stream's consumers acknowledge, each with a limit of its own (behaviour B13.11).
    NoPrefetch,
    AutomaticAck,
}

/// Why a delete was refused (behaviour B5.11).
#[derive(Debug, PartialEq, Eq)]
pub enum NotDeleted {
    NotEmpty,
    InUse,
}

/// A queue of any kind.
#[derive(Debug)]
pub struct Queue {
    pub name: QueueName,
    pub declaration: Declaration,
    /// Of a durable queue: what it tells the store.
    pub log: Option<QueueLog>,
    /// Where what is too much for memory goes; without it everything stays.
    paging: Option<Arc<Paging>>,
    arrivals: Arrivals,
    pub keeps: Keeps,
    content: Content,
    pub stats: QueueStats,
    /// When somebody will look whether something has expired.
    scheduled: AtomicU64,
    /// `consumer_timeout_millis` of the options that hold, for sessions to read without the lock.
    consumer_timeout: AtomicU64,
    /// Of a quorum queue.
    undelivered: Option<Box<Undelivered>>,
    /// Of a queue in which dead letters wait: where they died.
    source: Option<Weak<Self>>,
}

/// What lies behind the interface, and its lock.
#[derive(Debug)]
enum Content {
    Queue(Mutex<State>),
    Stream(Mutex<Stream>),
}

/// Of a queue that leaves the acknowledgement timeout to the broker's setting.
const TIMEOUT_UNSET: u64 = u64::MAX;

impl Queue {
    pub fn new(
        name: QueueName,
        declaration: Declaration,
        log: Option<QueueLog>,
        paging: Option<Arc<Paging>>,
    ) -> Arc<Self> {
        Arc::new(Self::build(name, declaration, log, paging))
    }

    fn build(
        name: QueueName,
        declaration: Declaration,
        log: Option<QueueLog>,
        paging: Option<Arc<Paging>>,
    ) -> Self {
        // Of what is in a segment nobody says which message leaves when.
        let paging = paging.filter(|_| declaration.options.deduplication_header.is_none());
        let budget = paging.as_ref().map_or(Budget::UNLIMITED, |paging| paging.budget);
        let options = Arc::clone(&declaration.options);
        let content = match options.kind {
            QueueKind::Classic | QueueKind::Quorum => {
                Content::Queue(Mutex::new(State::new(options, budget)))
            }
            QueueKind::Stream => Content::Stream(Mutex::new(Stream::new(options))),
        };
        let arrivals = Arrivals::default();
        let scheduled = AtomicU64::new(Time::NEVER.0);
        let timeout = declaration.options.consumer_timeout_millis.unwrap_or(TIMEOUT_UNSET);
        let consumer_timeout = AtomicU64::new(timeout);
        let keeps = Keeps::of(log.is_some(), declaration.options.kind);
        Self {
            name,
            declaration,
            log,
            paging,
            arrivals,
            keeps,
            content,
            stats: QueueStats::default(),
            scheduled,
            consumer_timeout,
            undelivered: None,
            source: None,
        }
    }

    pub fn kind(&self) -> QueueKind {
        self.declaration.options.kind
    }

    /// What holds for the queue at the moment.
    pub fn options(&self) -> Arc<Options> {
        match &self.content {
            Content::Queue(state) => Arc::clone(&state.lock().options),
            Content::Stream(stream) => stream.lock().options(),
        }
    }

    /// From now on this holds, for policies have changed. True when that is anything new: then
    /// [`enforce`](Self::enforce) is to be called, without the locks that the caller may hold now.
    pub fn configure(&self, options: Options) -> bool {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => return stream.lock().configure(options),
        };
        if *state.options == options {
            return false;
        }
        state.restart_expiry |= state.options.expires_millis != options.expires_millis;
        let timeout = options.consumer_timeout_millis.unwrap_or(TIMEOUT_UNSET);
        self.consumer_timeout.store(timeout, Ordering::Relaxed);
        state.ready.set_returned_first(options.delivery_limit().is_some());
        state.options = Arc::new(options);
        true
    }

    /// What the options demand of what is in the queue already: too much of it goes, and the time of
    /// its disuse counts from now if that changed. Deadlines of messages stay (behaviour B8.2).
    pub fn enforce(self: &Arc<Self>, now: Time, effects: &mut Effects) {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => return stream.lock().enforce(self, now, effects),
        };
        if state.deleted {
            return;
        }
        self.stir(|| state.counts(), effects);
        if std::mem::take(&mut state.restart_expiry) {
            state.unused_until = Time::NEVER;
            state.touch(now);
        }
        state.drop_expired(self, now, effects);
        state.drop_overflow(self, effects);
        state.report_deadline(self, effects);
        drop(state);
        // They may go elsewhere now, or have to arrive no longer.
        self.retry_undelivered(effects);
    }

    /// How long clients may have a delivery without settling it; 0 is as long as they like. `None`
    /// leaves it to the broker's setting.
    pub fn consumer_timeout_millis(&self) -> Option<u64> {
        match self.consumer_timeout.load(Ordering::Relaxed) {
            TIMEOUT_UNSET => None,
            millis => Some(millis),
        }
    }

    /// Takes in a batch, in order, and hands out what it can. `batch` is left empty; the tokens of
    /// what an overflow rule refused (behaviour B8.9) go to `rejected`. On a deleted queue everything
    /// is dropped and counts as accepted (behaviour B5.12). Returns where the store's log has to get
    /// to before what was persistent is safe.
    pub fn publish(
        self: &Arc<Self>,
        batch: &mut Vec<Incoming>,
        arrival: Arrival,
        rejected: &mut Vec<u32>,
        effects: &mut Effects,
    ) -> Option<LogPosition> {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => {
                let mut stream = stream.lock();
                self.stir(|| stream.counts(), effects);
                self.stats.count_arrivals(batch.len(), arrival.by_client);
                return stream.publish(self, batch, arrival, effects);
            }
        };
        self.stir(|| state.counts(), effects);
        self.stats.count_arrivals(batch.len(), arrival.by_client);
        if state.deleted {
            drop(state);
            batch.clear();
            return None;
        }
        let log = state.publish(self, batch, arrival, rejected, effects);
        let log = log.max(state.duplicates_log(self));
        state.report_deadline(self, effects);
        log
    }

    /// Fills a queue at start with what the store kept. Times to live count from when a message was
    /// stored, and from now where that is not known. What has expired is still there:
    /// [`look`](Self::look) drops it.
    pub fn restore(self: &Arc<Self>, mut restored: Restored, now: Time, effects: &mut Effects) {
        let state = match &self.content {
            Content::Queue(state) => state,
            Content::Stream(stream) => {
                stream.lock().restore(self, restored, now, effects);
                return;
            }
        };
        let early = self.read_early(&mut restored);
        let mut state = state.lock();
        state.restore(self, restored, early, now);
        state.report_deadline(self, effects);
    }

    /// How often messages have come back that are ready: positions, first and last, and how often.
    pub fn delivery_counts(&self) -> Vec<(Position, Position, u32)> {
        match &self.content {
            Content::Queue(state) => state.lock().delivery_counts(),
            Content::Stream(_) => Vec::new(),
        }
    }

    /// Positions of ready messages that may have been delivered before.
    pub fn delivered_before(&self) -> Positions {
        match &self.content {
            Content::Queue(state) => state.lock().delivered_before(),
            Content::Stream(_) => Positions::default(),
        }
    }

    /// Attaches a consumer; it gets messages at once if there are any.
    pub fn subscribe(
        self: &Arc<Self>,
        subscription: Subscription,
        now: Time,
        effects: &mut Effects,
    ) -> Result<SubscriptionId, Refused> {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => {
                return stream.lock().subscribe(self, subscription, now, effects);
            }
        };
        if state.deleted {
            return Err(Refused::Deleted);
        }
        let id = state.subscribers.add(subscription).ok_or(Refused::ExclusiveUse)?;
        self.stir(|| state.counts(), effects);
        state.touch(now);
        state.dispatch(self, now, effects);
        state.report_deadline(self, effects);
        Ok(id)
    }

    /// Detaches a consumer: when this returns, nothing more goes to its outbox from here. True when
    /// it was the last one of an auto-delete queue, which is marked deleted in the same moment
    /// (behaviour B5.9); the caller takes it out of the topology.
    pub fn cancel(self: &Arc<Self>, id: SubscriptionId, now: Time, effects: &mut Effects) -> bool {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => {
                let freed = stream.lock().cancel(self, id);
                drop(freed);
                return false;
            }
        };
        if !state.subscribers.remove(id) {
            return false;
        }
        self.stir(|| state.counts(), effects);
        if self.declaration.auto_delete && state.subscribers.len() == 0 && !state.deleted {
            let dropped = state.delete(self, effects);
            drop(state);
            drop(dropped);
            return true;
        }
        if state.subscribers.len() == 0 {
            state.touch(now);
        }
        state.dispatch(self, now, effects);
        state.report_deadline(self, effects);
        false
    }

    /// Deliveries are done with; their consumer has room again.
    pub fn settle(self: &Arc<Self>, settled: &Settled<'_>, now: Time, effects: &mut Effects) {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => {
                let mut stream = stream.lock();
                self.stir(|| stream.counts(), effects);
                if settled.acknowledged {
                    self.stats.count_acks(settled.count);
                }
                return stream.settle(self, settled, effects);
            }
        };
        self.stir(|| state.counts(), effects);
        if settled.acknowledged {
            self.stats.count_acks(settled.count);
        }
        if let (Some(log), Some(positions)) = (&self.log, settled.positions) {
            log.settled(settled.group, positions);
        }
        if let Some(left) = settled.left {
            state.all_left(left);
        }
        if state.release(settled.id, settled.count, &settled.weights) {
            state.dispatch(self, now, effects);
            state.report_deadline(self, effects);
        }
    }

    /// Messages come back and stand at their old positions, or go to the tail. `released` says of which consumers they
    /// were counted deliveries; those of consumers that do not acknowledge are not counted, and come
    /// last.
    pub fn requeue(
        self: &Arc<Self>,
        items: Vec<Queued>,
        released: &[(Option<SubscriptionId>, u32)],
        now: Time,
        effects: &mut Effects,
    ) {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => {
                let mut stream = stream.lock();
                for (id, count) in released {
                    stream.give_back(self, *id, *count, effects);
                }
                return;
            }
        };
        self.stir(|| state.counts(), effects);
        let mut counted = items.iter();
        for (id, count) in released {
            let weights = Weights::of(counted.by_ref().take(*count as usize));
            state.release(*id, *count, &weights);
        }
        if state.deleted {
            drop(state);
            return;
        }
        state.requeue(self, items, now, effects);
        state.report_deadline(self, effects);
    }

    /// Deliveries that were refused for good: they are settled and, where the queue has a dead letter
    /// exchange, they go there (behaviour B8.5).
    pub fn reject(
        self: &Arc<Self>,
        id: Option<SubscriptionId>,
        items: Vec<Queued>,
        now: Time,
        effects: &mut Effects,
    ) {
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        // The store hears of them when it is clear where they go.
        let weights = Weights::of(&items);
        self.settle(&Settled { weights, ..Settled::count(id, count) }, now, effects);
        let Content::Queue(state) = &self.content else { return };
        let mut state = state.lock();
        items.iter().for_each(|queued| state.left(queued.position));
        if !state.deleted {
            for queued in items {
                effects.bury(self, &state.options, queued, Reason::Rejected);
            }
        }
    }

    /// A consumer may have room again for a reason the queue cannot see: its outbox was emptied, or
    /// the limit of its channel moved.
    pub fn resume(self: &Arc<Self>, id: SubscriptionId, now: Time, effects: &mut Effects) {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => return stream.lock().resume(self, id, effects),
        };
        if state.subscribers.unblock(id) {
            self.stir(|| state.counts(), effects);
            state.dispatch(self, now, effects);
            state.report_deadline(self, effects);
        }
    }

    /// Takes one message for `basic.get`.
    pub fn get(self: &Arc<Self>, no_ack: bool, now: Time, effects: &mut Effects) -> Got {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(_) => return Got::NotSupported,
        };
        self.stir(|| state.counts(), effects);
        state.drop_expired(self, now, effects);
        state.touch(now);
        let queued = state.ready.pop();
        state.report_deadline(self, effects);
        let Some(queued) = queued else {
            if state.ready.is_waiting() {
                return Got::OnItsWay;
            }
            self.stats.count_get_empty();
            return Got::Empty;
        };
        self.stats.count_get(no_ack, queued.redelivered);
        if let Some(since) = state.ready.since(queued.position) {
            self.stats.count_waits(now.since(since), 1);
        }
        if no_ack {
            state.left(queued.position);
            self.forget([&queued]);
        } else {
            state.unacked += 1;
            state.held.add(&queued);
        }
        Got::Message { queued, remaining: state.ready.len() }
    }

    /// Drops what is ready and says how many that were; `None` for a kind of queue that cannot do that
    /// (behaviour B5.10).
    pub fn purge(self: &Arc<Self>, now: Time, effects: &mut Effects) -> Option<usize> {
        self.purge_figures(now, effects).map(|(count, _)| count)
    }

    /// The same, with the bytes of their bodies.
    fn purge_figures(self: &Arc<Self>, now: Time, effects: &mut Effects) -> Option<(usize, usize)> {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(_) => return None,
        };
        self.stir(|| state.counts(), effects);
        state.drop_expired(self, now, effects);
        let figures = (state.ready.len(), state.ready.bytes());
        let (messages, segments) = state.ready.clear();
        messages.iter().for_each(|queued| state.left(queued.position));
        self.forget(&messages);
        self.forget_segments(&segments);
        state.report_deadline(self, effects);
        drop(state);
        Some(figures)
    }

    /// Tells the store that messages have left for good.
    pub(super) fn forget<'a>(&self, gone: impl IntoIterator<Item = &'a Queued>) {
        let Some(log) = &self.log else { return };
        let logged = gone.into_iter().filter(|queued| queued.kept);
        log.settled(Group::ALONE, &logged.map(|queued| queued.position).collect());
    }

    /// Marks the queue deleted, tells its consumers, and says how many messages were ready.
    /// `if_empty` is looked at before `if_unused` (behaviour B5.11).
    pub fn delete(
        self: &Arc<Self>,
        if_unused: bool,
        if_empty: bool,
        now: Time,
        effects: &mut Effects,
    ) -> Result<usize, NotDeleted> {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => {
                // Conditions mean nothing here (behaviour B5.11).
                let mut stream = stream.lock();
                let (count, dropped) = stream.delete(self, effects);
                drop(stream);
                drop(dropped);
                return Ok(count);
            }
        };
        self.stir(|| state.counts(), effects);
        state.drop_expired(self, now, effects);
        if if_empty && state.ready.len() + self.undelivered_figures().0 > 0 {
            return Err(NotDeleted::NotEmpty);
        }
        if if_unused && state.subscribers.len() > 0 {
            return Err(NotDeleted::InUse);
        }
        let count = state.ready.len();
        let dropped = state.delete(self, effects);
        drop(state);
        drop(dropped);
        self.delete_undelivered(now, effects);
        Ok(count)
    }

    pub fn counts(self: &Arc<Self>, now: Time, effects: &mut Effects) -> Counts {
        let mut state = match &self.content {
            Content::Queue(state) => state.lock(),
            Content::Stream(stream) => return stream.lock().counts(),
        };
        state.drop_expired(self, now, effects);
        state.report_deadline(self, effects);
        self.with_dead_letters(state.counts())
    }

    pub fn is_deleted(&self) -> bool {
        match &self.content {
            Content::Queue(state) => state.lock().deleted,
            Content::Stream(stream) => stream.lock().is_deleted(),
        }
    }

    /// What it holds now. Unlike [`counts`](Self::counts) it drops nothing.
    pub fn figures(&self) -> QueueFigures {
        match &self.content {
            Content::Queue(state) => {
                let mut figures = state.lock().figures();
                figures.counts.dead_letters = self.undelivered_figures().0;
                figures
            }
            Content::Stream(stream) => stream.lock().figures(),
        }
    }

    /// How much of what, and who is there, now.
    pub fn counts_now(&self) -> Counts {
        match &self.content {
            Content::Queue(state) => self.with_dead_letters(state.lock().counts()),
            Content::Stream(stream) => stream.lock().counts(),
        }
    }
}

impl State {
    /// Ends the queue under its lock. The messages are handed out to be freed without it.
    fn delete(&mut self, queue: &Queue, effects: &mut Effects) -> Vec<Queued> {
        if !std::mem::replace(&mut self.deleted, true)
            && let Some(log) = &queue.log
        {
            log.store.queue_gone(log.id);
        }
        for subscriber in self.subscribers.drain() {
            subscriber.outbox.notify(Outgoing::Cancelled(subscriber.source));
            effects.wakes.touch(&subscriber.outbox);
        }
        self.duplicates = None;
        let (messages, segments) = self.ready.clear();
        queue.remove_segments(&segments);
        self.lose_patience(queue);
        self.answer_waiting(effects);
        self.call_awaiting(queue, effects);
        messages
    }
}
