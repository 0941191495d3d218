//! What a queue has done since it was declared, and what it holds.
//!
//! Counters are written where the work is done and read by whoever wants to know, without the queue's
//! lock. Nothing is counted per message: a batch is one addition.

#![expect(clippy::indexing_slicing, reason = "by what says itself how many there are of it")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Counts, Reason};
use crate::message::Queued;
use crate::time::Time;

/// A number that rises, written by any number of threads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same with one writer at a time: to add to it costs what it costs to add to a plain integer.
#[derive(Debug, Default)]
pub struct OwnCounter(AtomicU64);

impl OwnCounter {
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper ends of the buckets of a [`Histogram`], in milliseconds.
pub const BUCKETS_MILLIS: [u64; 14] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000, 300_000, 3_600_000];

const BUCKETS: usize = BUCKETS_MILLIS.len() + 1;

/// How long things took, with one writer at a time.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By the first bucket that is large enough; the last one is for all that took longer.
    counts: [OwnCounter; BUCKETS],
    sum_millis: OwnCounter,
}

impl Histogram {
    /// `count` things took so long.
    #[inline]
    pub fn observe(&self, took: Duration, count: u64) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MILLIS.iter().position(|end| millis <= *end);
        if let Some(bucket) = self.counts.get(bucket.unwrap_or(BUCKETS - 1)) {
            bucket.add(count);
        }
        self.sum_millis.add(millis.saturating_mul(count));
    }

    pub fn figures(&self) -> HistogramFigures {
        let mut figures = HistogramFigures::default();
        for (figure, count) in figures.counts.iter_mut().zip(&self.counts) {
            *figure = count.get();
        }
        figures.sum_millis = self.sum_millis.get();
        figures
    }
}

/// What a [`Histogram`] says, or several of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramFigures {
    /// Of each bucket alone; the last one has no end.
    pub counts: [u64; BUCKETS],
    pub sum_millis: u64,
}

impl HistogramFigures {
    pub fn add(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(other.counts) {
            *count += other;
        }
        self.sum_millis += other.sum_millis;
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What became of messages, as RabbitMQ counts it: `publish` are those that clients published, not
/// dead letters; a delivery is counted when it is on its way to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    pub publish: u64,
    pub deliver: u64,
    pub deliver_no_ack: u64,
    pub get: u64,
    pub get_no_ack: u64,
    pub get_empty: u64,
    pub ack: u64,
    pub redeliver: u64,
}

impl QueueCounts {
    pub fn add(&mut self, other: &Self) {
        self.publish += other.publish;
        self.deliver += other.deliver;
        self.deliver_no_ack += other.deliver_no_ack;
        self.get += other.get;
        self.get_no_ack += other.get_no_ack;
        self.get_empty += other.get_empty;
        self.ack += other.ack;
        self.redeliver += other.redeliver;
    }

    /// All that went to clients.
    pub fn deliver_get(&self) -> u64 {
        self.deliver + self.deliver_no_ack + self.get + self.get_no_ack
    }
}

/// The counters of a queue.
#[derive(Debug, Default)]
pub struct QueueStats {
    // Written under the queue's lock.
    publish: OwnCounter,
    get: OwnCounter,
    get_no_ack: OwnCounter,
    get_empty: OwnCounter,
    ack: OwnCounter,
    /// Everything that came in, dead letters and what was delayed, too.
    arrived: OwnCounter,
    disk_reads: OwnCounter,
    disk_writes: OwnCounter,
    /// By reason and [`DeadLetterStrategy`].
    dead: [[OwnCounter; DeadLetterStrategy::ALL.len()]; Reason::ALL.len()],
    // Written by the connections that deliver.
    deliver: Counter,
    deliver_no_ack: Counter,
    redeliver: Counter,
    /// How long messages waited; made with the first that leaves.
    waits: OnceLock<Box<Histogram>>,
    /// Somebody who watches rates has this queue on a list.
    watched: AtomicBool,
    /// Milliseconds since the epoch; 0 before it was declared.
    idle_since: AtomicU64,
}

/// What becomes of dead messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterStrategy {
    /// They are dropped.
    Disabled,
    /// They are published again, if there is a way.
    AtMostOnce,
    /// They wait until they have arrived.
    AtLeastOnce,
}

impl DeadLetterStrategy {
    pub const ALL: [Self; 3] = [Self::Disabled, Self::AtMostOnce, Self::AtLeastOnce];

    /// What metrics call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::AtMostOnce => "at_most_once",
            Self::AtLeastOnce => "at_least_once",
        }
    }

    pub(super) fn of(options: &super::Options) -> Self {
        match options.dead_letter_exchange {
            None => Self::Disabled,
            Some(_) if options.at_least_once() => Self::AtLeastOnce,
            Some(_) => Self::AtMostOnce,
        }
    }
}

impl QueueStats {
    pub fn counts(&self) -> QueueCounts {
        QueueCounts {
            publish: self.publish.get(),
            deliver: self.deliver.get(),
            deliver_no_ack: self.deliver_no_ack.get(),
            get: self.get.get(),
            get_no_ack: self.get_no_ack.get(),
            get_empty: self.get_empty.get(),
            ack: self.ack.get(),
            redeliver: self.redeliver.get(),
        }
    }

    /// Messages that came in, from wherever, since the start.
    pub fn arrived(&self) -> u64 {
        self.arrived.get()
    }

    /// Messages read from segments, and written to them.
    pub fn disk(&self) -> (u64, u64) {
        (self.disk_reads.get(), self.disk_writes.get())
    }

    /// Messages that died of this, by [`DeadLetterStrategy::ALL`].
    pub fn dead(&self, reason: Reason) -> [u64; DeadLetterStrategy::ALL.len()] {
        self.dead[reason as usize].each_ref().map(OwnCounter::get)
    }

    pub fn waits(&self) -> HistogramFigures {
        self.waits.get().map_or_else(HistogramFigures::default, |waits| waits.figures())
    }

    pub(super) fn count_arrivals(&self, count: usize, by_client: bool) {
        self.arrived.add(count as u64);
        if by_client {
            self.publish.add(count as u64);
        }
    }

    pub(super) fn count_get(&self, no_ack: bool, redelivered: bool) {
        if no_ack { &self.get_no_ack } else { &self.get }.add(1);
        if redelivered {
            self.redeliver.add(1);
        }
    }

    pub(super) fn count_get_empty(&self) {
        self.get_empty.add(1);
    }

    pub(super) fn count_acks(&self, count: u32) {
        self.ack.add(count.into());
    }

    pub(super) fn count_disk_reads(&self, count: usize) {
        self.disk_reads.add(count as u64);
    }

    pub(super) fn count_disk_writes(&self, count: usize) {
        self.disk_writes.add(count as u64);
    }

    pub(super) fn count_dead(&self, reason: Reason, strategy: DeadLetterStrategy) {
        self.dead[reason as usize][strategy as usize].add(1);
    }

    /// Messages left for a consumer after so long.
    #[inline]
    pub(super) fn count_waits(&self, waited: Duration, count: usize) {
        self.waits.get_or_init(Box::default).observe(waited, count as u64);
    }

    fn count_deliveries(&self, no_ack: bool, count: u64, redelivered: u64) {
        if no_ack { &self.deliver_no_ack } else { &self.deliver }.add(count);
        if redelivered > 0 {
            self.redeliver.add(redelivered);
        }
    }

    /// Whether nobody watches it: then somebody has to be told, and will do so from here on.
    #[inline]
    fn wants_watching(&self) -> bool {
        !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::Relaxed)
    }
}

/// What a queue was before something happened to it that somebody who watches rates has to see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    pub counts: QueueCounts,
    pub ready: usize,
    pub unacked: usize,
}

impl super::Queue {
    /// Something is about to happen to the queue.
    #[inline]
    pub(super) fn stir(
        self: &std::sync::Arc<Self>,
        counts: impl FnOnce() -> Counts,
        effects: &mut super::Effects,
    ) {
        if self.stats.wants_watching() && self.source.is_none() {
            let Counts { ready, unacked, .. } = counts();
            let before = Before { counts: self.stats.counts(), ready, unacked };
            effects.stirred.push((std::sync::Arc::clone(self), before));
        }
    }

    /// Deliveries of this queue are on their way to a client.
    pub fn delivered(
        self: &std::sync::Arc<Self>,
        no_ack: bool,
        count: u64,
        redelivered: u64,
        effects: &mut super::Effects,
    ) {
        self.stir(|| self.counts_now(), effects);
        self.stats.count_deliveries(no_ack, count, redelivered);
    }

    /// Nobody watches it any more, until something happens to it again. To be called before a last look.
    pub fn unwatch(&self) {
        self.stats.watched.store(false, Ordering::Relaxed);
    }

    /// Who watches it has seen nothing happen to it since then, and watches it no longer.
    pub fn rest(&self, since: Time) {
        self.stats.idle_since.fetch_max(since.0, Ordering::Relaxed);
    }

    /// Since when nothing has happened to it, as far as who watches it can tell; `None` while something
    /// does, which is whenever it is watched.
    pub fn idle_since(&self) -> Option<Time> {
        let since = self.stats.idle_since.load(Ordering::Relaxed);
        (since > 0 && !self.stats.watched.load(Ordering::Relaxed)).then_some(Time(since))
    }

    /// It goes on being watched. False when somebody was told of it meanwhile.
    pub fn watch_on(&self) -> bool {
        !self.stats.watched.swap(true, Ordering::Relaxed)
    }
}

/// What messages weigh that somebody has in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// Of bodies.
    pub bytes: usize,
    /// How many are persistent, and the bytes of their bodies.
    pub persistent: usize,
    pub persistent_bytes: usize,
}

impl Weights {
    #[inline]
    pub fn add(&mut self, queued: &Queued) {
        let bytes = queued.message.body_size();
        self.bytes += bytes;
        if queued.kept {
            self.persistent += 1;
            self.persistent_bytes += bytes;
        }
    }

    pub fn of<'a>(messages: impl IntoIterator<Item = &'a Queued>) -> Self {
        let mut weights = Self::default();
        messages.into_iter().for_each(|queued| weights.add(queued));
        weights
    }

    pub(super) fn remove_all(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.persistent = self.persistent.saturating_sub(other.persistent);
        self.persistent_bytes = self.persistent_bytes.saturating_sub(other.persistent_bytes);
    }
}

/// What a queue holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    pub counts: Counts,
    /// Body bytes of ready messages.
    pub ready_bytes: usize,
    /// Body bytes of those that were delivered and not settled, or are on their way.
    pub unacked_bytes: usize,
    pub persistent: usize,
    pub persistent_bytes: usize,
    /// Ready messages that lie on disk alone, and their body bytes.
    pub on_disk: usize,
    pub on_disk_bytes: usize,
    /// Files they lie in.
    pub segments: usize,
    /// Bytes of memory that all of it takes, about.
    pub memory: usize,
    /// When the message that is next came in, about; `None` when nothing waits.
    pub oldest: Option<Time>,
    /// The `timestamp` property of the message that is next, if it is in memory and has one.
    pub head_timestamp: Option<u64>,
}

/// What a message takes in memory beside its body, about: its place in line, its header and its key.
pub(super) const MESSAGE_OVERHEAD: usize = 144;
