//! What connections, channels, exchanges and vhosts have done since they began.
//!
//! A connection's counters are its own: its session adds to them as to plain integers, and whoever asks
//! reads them meanwhile. An exchange's are shared by all who publish to it, so they hear of a whole batch
//! at once. What has ended goes on counting in its vhost's sums.
//!
//! Queues and exchanges that have been quiet report when something happens to them, once, until somebody
//! [unwatches](crate::queue::Queue::unwatch) them again; so who watches rates looks at nothing that is
//! idle.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::queue::stats::{Counter, Histogram, HistogramFigures, OwnCounter};
use crate::queue::{Before, DeadLetterStrategy, Queue, QueueCounts, QueueKind, Reason};

/// The kinds of queues, in the order of counts by kind.
pub const KINDS: [QueueKind; 3] = [QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream];

/// What clients published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishCounts {
    /// Those that count: in a transaction, when it is committed.
    pub publish: u64,
    /// The same as they come, committed or not.
    pub received: u64,
    /// Those among them that are answered one way or the other: by a confirm, or by a commit.
    pub received_confirm: u64,
    /// Confirmed with an ack.
    pub confirm: u64,
    /// Mandatory ones that went to no queue and came back.
    pub return_unroutable: u64,
    /// Others that went to no queue.
    pub drop_unroutable: u64,
}

impl PublishCounts {
    fn add(&mut self, other: &Self) {
        self.publish += other.publish;
        self.received += other.received;
        self.received_confirm += other.received_confirm;
        self.confirm += other.confirm;
        self.return_unroutable += other.return_unroutable;
        self.drop_unroutable += other.drop_unroutable;
    }
}

/// All of a channel's counters. Its `deliveries` count no publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelCounts {
    pub publishes: PublishCounts,
    pub deliveries: QueueCounts,
}

/// The counters of a channel; its session writes them.
#[derive(Debug, Default)]
pub struct ChannelStats {
    pub publish: OwnCounter,
    /// Those that are to be confirmed.
    pub publish_confirm: OwnCounter,
    /// Those of committed transactions.
    pub publish_committed: OwnCounter,
    /// Those that came in transactions.
    pub received_tx: OwnCounter,
    pub confirm: OwnCounter,
    pub return_unroutable: OwnCounter,
    pub drop_unroutable: OwnCounter,
    pub deliveries: DeliveryStats,
    /// Methods of all kinds but `basic.publish` and `basic.ack`, which are counted above.
    pub requests: OwnCounter,
    // What it is like after the last batch of work that changed it.
    pub consumers: OwnCounter,
    pub unacked: OwnCounter,
    pub unconfirmed: OwnCounter,
    pub prefetch: OwnCounter,
}

/// What went from queues to a client, and what the client said to that.
#[derive(Debug, Default)]
pub struct DeliveryStats {
    pub deliver: OwnCounter,
    pub deliver_no_ack: OwnCounter,
    pub get: OwnCounter,
    pub get_no_ack: OwnCounter,
    pub get_empty: OwnCounter,
    pub ack: OwnCounter,
    pub redeliver: OwnCounter,
}

impl DeliveryStats {
    pub fn count_deliveries(&self, no_ack: bool, count: u64, redelivered: u64) {
        if no_ack { &self.deliver_no_ack } else { &self.deliver }.add(count);
        self.redeliver.add(redelivered);
    }

    pub fn count_get(&self, no_ack: bool, redelivered: bool) {
        if no_ack { &self.get_no_ack } else { &self.get }.add(1);
        self.redeliver.add(redelivered.into());
    }

    fn counts(&self) -> QueueCounts {
        QueueCounts {
            publish: 0,
            deliver: self.deliver.get(),
            deliver_no_ack: self.deliver_no_ack.get(),
            get: self.get.get(),
            get_no_ack: self.get_no_ack.get(),
            get_empty: self.get_empty.get(),
            ack: self.ack.get(),
            redeliver: self.redeliver.get(),
        }
    }
}

impl ChannelStats {
    pub fn counts(&self) -> ChannelCounts {
        let (publish, received_tx) = (self.publish.get(), self.received_tx.get());
        let publishes = PublishCounts {
            publish,
            received: (publish + received_tx).saturating_sub(self.publish_committed.get()),
            received_confirm: self.publish_confirm.get() + received_tx,
            confirm: self.confirm.get(),
            return_unroutable: self.return_unroutable.get(),
            drop_unroutable: self.drop_unroutable.get(),
        };
        ChannelCounts { publishes, deliveries: self.deliveries.counts() }
    }
}

/// The counters of a connection; its session and its task write them.
#[derive(Debug, Default)]
pub struct ConnectionStats {
    pub received_octets: OwnCounter,
    pub received_packets: OwnCounter,
    pub sent_octets: OwnCounter,
    pub sent_packets: OwnCounter,
    /// Messages put into queues, once for each.
    pub routed: OwnCounter,
    /// By kind of queue.
    kinds: [DeliveryStats; KINDS.len()],
    /// Body sizes of published messages; made with the first.
    sizes: OnceLock<Box<SizeHistogram>>,
    /// From a publish to its confirm; made with the first.
    confirm_times: OnceLock<Box<Histogram>>,
    /// Milliseconds that it was blocked by alarms, without the time that goes on.
    pub blocked_millis: OwnCounter,
    /// What waited for its socket after the last batch of work, and what its input buffer takes.
    pub output_bytes: OwnCounter,
    pub input_bytes: OwnCounter,
    /// RabbitMQ's name for it; set when it is open.
    pub name: OnceLock<Box<str>>,
    channels: Mutex<ChannelsStats>,
}

#[derive(Debug, Default)]
struct ChannelsStats {
    live: BTreeMap<u16, Arc<ChannelStats>>,
    ended: PublishCounts,
}

impl ConnectionStats {
    #[inline]
    pub fn kind(&self, kind: QueueKind) -> &DeliveryStats {
        let [classic, quorum, stream] = &self.kinds;
        match kind {
            QueueKind::Classic => classic,
            QueueKind::Quorum => quorum,
            QueueKind::Stream => stream,
        }
    }

    /// Confirms that took so long.
    pub fn count_confirm_time(&self, took: Duration, count: u64) {
        self.confirm_times.get_or_init(Box::default).observe(took, count);
    }

    #[inline]
    pub fn count_size(&self, bytes: u64) {
        self.sizes.get_or_init(Box::default).observe(bytes);
    }

    pub fn open_channel(&self, number: u16) -> Arc<ChannelStats> {
        let stats = Arc::<ChannelStats>::default();
        self.channels.lock().live.insert(number, Arc::clone(&stats));
        stats
    }

    pub fn close_channel(&self, number: u16) {
        let mut channels = self.channels.lock();
        if let Some(stats) = channels.live.remove(&number) {
            channels.ended.add(&stats.counts().publishes);
        }
    }

    /// Those of its open channels.
    pub fn channels(&self) -> Vec<(u16, Arc<ChannelStats>)> {
        let channels = self.channels.lock();
        channels.live.iter().map(|(number, stats)| (*number, Arc::clone(stats))).collect()
    }

    pub fn channel(&self, number: u16) -> Option<Arc<ChannelStats>> {
        self.channels.lock().live.get(&number).cloned()
    }

    pub fn channel_count(&self) -> usize {
        self.channels.lock().live.len()
    }

    fn publishes(&self) -> PublishCounts {
        let channels = self.channels.lock();
        let mut counts = channels.ended;
        channels.live.values().for_each(|stats| counts.add(&stats.counts().publishes));
        counts
    }

    /// Of all channels it had and has.
    pub fn counts(&self) -> GlobalCounts {
        let publishers = {
            let channels = self.channels.lock();
            channels.live.values().filter(|stats| stats.publish.get() > 0).count()
        };
        GlobalCounts {
            publishes: self.publishes(),
            routed: self.routed.get(),
            kinds: self.kinds.each_ref().map(DeliveryStats::counts),
            received_octets: self.received_octets.get(),
            sent_octets: self.sent_octets.get(),
            sizes: self.sizes.get().map_or_else(SizeFigures::default, |sizes| sizes.figures()),
            confirm_times: self
                .confirm_times
                .get()
                .map_or_else(HistogramFigures::default, |times| times.figures()),
            blocked_millis: self.blocked_millis.get(),
            publishers,
        }
    }
}

/// Upper ends of the buckets of message sizes, in bytes; RabbitMQ's.
pub const SIZES: [u64; 8] =
    [100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000];

/// How large messages are, with one writer at a time.
#[derive(Debug, Default)]
struct SizeHistogram {
    counts: [OwnCounter; SIZES.len() + 1],
    sum: OwnCounter,
}

impl SizeHistogram {
    #[inline]
    fn observe(&self, bytes: u64) {
        let bucket = SIZES.iter().position(|end| bytes <= *end).unwrap_or(SIZES.len());
        if let Some(bucket) = self.counts.get(bucket) {
            bucket.add(1);
        }
        self.sum.add(bytes);
    }

    fn figures(&self) -> SizeFigures {
        SizeFigures { counts: self.counts.each_ref().map(OwnCounter::get), sum: self.sum.get() }
    }
}

/// What is known of the sizes of messages: of each bucket alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeFigures {
    pub counts: [u64; SIZES.len() + 1],
    pub sum: u64,
}

/// Sums over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalCounts {
    pub publishes: PublishCounts,
    /// Messages put into queues, once for each.
    pub routed: u64,
    /// In the order of [`KINDS`].
    pub kinds: [QueueCounts; KINDS.len()],
    pub received_octets: u64,
    pub sent_octets: u64,
    pub sizes: SizeFigures,
    pub confirm_times: HistogramFigures,
    pub blocked_millis: u64,
    /// Channels that have published, of those that are open.
    pub publishers: usize,
}

impl GlobalCounts {
    pub fn add(&mut self, other: &Self) {
        self.publishes.add(&other.publishes);
        self.routed += other.routed;
        for (kind, other) in self.kinds.iter_mut().zip(&other.kinds) {
            kind.add(other);
        }
        self.received_octets += other.received_octets;
        self.sent_octets += other.sent_octets;
        for (count, other) in self.sizes.counts.iter_mut().zip(other.sizes.counts) {
            *count += other;
        }
        self.sizes.sum += other.sizes.sum;
        self.confirm_times.add(&other.confirm_times);
        self.blocked_millis += other.blocked_millis;
        self.publishers += other.publishers;
    }

    /// Of all kinds of queues.
    pub fn deliveries(&self) -> QueueCounts {
        let mut sum = QueueCounts::default();
        self.kinds.iter().for_each(|kind| sum.add(kind));
        sum
    }
}

/// What an exchange got from clients, and what of it it put into queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeCounts {
    pub publish_in: u64,
    pub publish_out: u64,
}

/// The counters of an exchange.
#[derive(Debug, Default)]
pub struct ExchangeStats {
    publish_in: Counter,
    publish_out: Counter,
    watched: AtomicBool,
}

impl ExchangeStats {
    pub fn counts(&self) -> ExchangeCounts {
        ExchangeCounts { publish_in: self.publish_in.get(), publish_out: self.publish_out.get() }
    }

    pub(super) fn count(self: &Arc<Self>, published: u64, passed: u64, vhost: &VhostStats) {
        if !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::Relaxed) {
            vhost.stirred_exchange(self);
        }
        self.publish_in.add(published);
        if passed > 0 {
            self.publish_out.add(passed);
        }
    }

    /// See [`Queue::unwatch`].
    pub fn unwatch(&self) {
        self.watched.store(false, Ordering::Relaxed);
    }

    /// See [`Queue::watch_on`].
    pub fn watch_on(&self) -> bool {
        !self.watched.swap(true, Ordering::Relaxed)
    }
}

/// What of a vhost is no longer there to be asked, and what has happened in it.
#[derive(Debug, Default)]
pub struct VhostStats {
    /// Of what is published without a connection.
    own: Arc<ConnectionStats>,
    /// Of connections that have ended.
    ended: Mutex<GlobalCounts>,
    /// Of queues that were deleted.
    deleted: Mutex<DeletedQueues>,
    queues: Mutex<Vec<(Arc<Queue>, Before)>>,
    exchanges: Mutex<Vec<(Arc<ExchangeStats>, ExchangeCounts)>>,
}

/// Sums over queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeletedQueues {
    pub waits: HistogramFigures,
    /// By [`KINDS`], [`Reason::ALL`] and [`DeadLetterStrategy::ALL`].
    pub dead: [[[u64; DeadLetterStrategy::ALL.len()]; Reason::ALL.len()]; KINDS.len()],
    /// Messages read from segments, and written to them.
    pub disk: (u64, u64),
}

impl DeletedQueues {
    /// Counts a queue in.
    pub fn add(&mut self, queue: &Queue) {
        self.waits.add(&queue.stats.waits());
        let kind = KINDS.iter().position(|kind| *kind == queue.kind());
        if let Some(dead) = kind.and_then(|kind| self.dead.get_mut(kind)) {
            for (sums, reason) in dead.iter_mut().zip(Reason::ALL) {
                let counts = queue.stats.dead(reason);
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
        let (reads, writes) = queue.stats.disk();
        self.disk = (self.disk.0 + reads, self.disk.1 + writes);
    }
}

impl DeletedQueues {
    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        self.waits.add(&other.waits);
        for (sums, others) in self.dead.iter_mut().flatten().zip(other.dead.iter().flatten()) {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
        self.disk = (self.disk.0 + other.disk.0, self.disk.1 + other.disk.1);
    }
}

impl VhostStats {
    pub(super) fn ended(&self, connection: &ConnectionStats) {
        let counts = GlobalCounts { publishers: 0, ..connection.counts() };
        self.ended.lock().add(&counts);
    }

    /// Of connections that have ended, and of those who need none.
    pub fn of_ended(&self) -> GlobalCounts {
        let mut counts = *self.ended.lock();
        counts.add(&self.own.counts());
        counts
    }

    /// For one thread that publishes and gets without a connection.
    pub fn own(&self) -> Arc<ConnectionStats> {
        Arc::clone(&self.own)
    }

    pub(super) fn deleted(&self, queue: &Queue) {
        self.deleted.lock().add(queue);
    }

    pub fn of_deleted(&self) -> DeletedQueues {
        *self.deleted.lock()
    }

    pub(super) fn stirred(&self, stirred: &mut Vec<(Arc<Queue>, Before)>) {
        let mut queues = self.queues.lock();
        if queues.len() + stirred.len() > queues.capacity() {
            // Nobody may ever ask.
            queues.retain(|(queue, _)| !queue.is_deleted());
        }
        queues.append(stirred);
    }

    fn stirred_exchange(&self, exchange: &Arc<ExchangeStats>) {
        let mut exchanges = self.exchanges.lock();
        if exchanges.len() == exchanges.capacity() {
            exchanges.retain(|(exchange, _)| Arc::strong_count(exchange) > 1);
        }
        exchanges.push((Arc::clone(exchange), exchange.counts()));
    }

    /// Queues that were quiet and are not any more, since this was asked last, and what they were before.
    pub fn take_stirred(&self) -> Vec<(Arc<Queue>, Before)> {
        std::mem::take(&mut *self.queues.lock())
    }

    pub fn take_stirred_exchanges(&self) -> Vec<(Arc<ExchangeStats>, ExchangeCounts)> {
        std::mem::take(&mut *self.exchanges.lock())
    }
}

/// How often things were opened and closed, made and deleted, since the broker started.
#[derive(Debug, Default)]
pub struct Churn {
    pub connection_created: Counter,
    pub connection_closed: Counter,
    pub channel_created: Counter,
    pub channel_closed: Counter,
    /// Declares that succeeded, whether they made the queue or found it.
    pub queue_declared: Counter,
    pub queue_created: Counter,
    pub queue_deleted: Counter,
    pub login_succeeded: Counter,
    pub login_failed: Counter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChurnCounts {
    pub connection_created: u64,
    pub connection_closed: u64,
    pub channel_created: u64,
    pub channel_closed: u64,
    pub queue_declared: u64,
    pub queue_created: u64,
    pub queue_deleted: u64,
    pub login_succeeded: u64,
    pub login_failed: u64,
}

impl Churn {
    pub fn counts(&self) -> ChurnCounts {
        ChurnCounts {
            connection_created: self.connection_created.get(),
            connection_closed: self.connection_closed.get(),
            channel_created: self.channel_created.get(),
            channel_closed: self.channel_closed.get(),
            queue_declared: self.queue_declared.get(),
            queue_created: self.queue_created.get(),
            queue_deleted: self.queue_deleted.get(),
            login_succeeded: self.login_succeeded.get(),
            login_failed: self.login_failed.get(),
        }
    }
}
