//! Which number stands in which column of which series.

use crate::broker::{ChannelCounts, ChurnCounts, GlobalCounts, PublishCounts, Vhost};
use crate::queue::QueueCounts;

/// What became of messages: of a queue behind its `publish`.
const DELIVERIES: usize = 8;

/// `message_stats` of a queue.
pub(super) const QUEUE_KEYS: [&str; 1 + DELIVERIES] = [
    "publish",
    "deliver_get",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "redeliver",
    "ack",
];

/// How many messages there are.
pub(super) const LENGTH_KEYS: [&str; 3] = ["messages", "messages_ready", "messages_unacknowledged"];

/// `message_stats` of a channel.
pub(super) const CHANNEL_KEYS: [&str; 4 + DELIVERIES] = [
    "publish",
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "deliver_get",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "redeliver",
    "ack",
];

pub(super) const DISK_KEYS: [&str; 2] = ["disk_reads", "disk_writes"];

pub(super) const EXCHANGE_KEYS: [&str; 2] = ["publish_in", "publish_out"];

pub(super) const TRAFFIC_KEYS: [&str; 2] = ["recv_oct", "send_oct"];

pub(super) const CHURN_KEYS: [&str; 7] = [
    "connection_created",
    "connection_closed",
    "channel_created",
    "channel_closed",
    "queue_declared",
    "queue_created",
    "queue_deleted",
];

/// Of a vhost: messages, disk, lengths, traffic.
pub(super) const VHOST_COLUMNS: usize = VHOST_TRAFFIC + TRAFFIC_KEYS.len();
pub(super) const VHOST_DISK: usize = CHANNEL_KEYS.len();
pub(super) const VHOST_LENGTHS: usize = VHOST_DISK + DISK_KEYS.len();
pub(super) const VHOST_TRAFFIC: usize = VHOST_LENGTHS + LENGTH_KEYS.len();

pub(super) const QUEUE_COLUMNS: usize = QUEUE_KEYS.len() + LENGTH_KEYS.len();

fn deliveries(counts: &QueueCounts) -> [u64; DELIVERIES] {
    [
        counts.deliver_get(),
        counts.deliver,
        counts.deliver_no_ack,
        counts.get,
        counts.get_no_ack,
        counts.get_empty,
        counts.redeliver,
        counts.ack,
    ]
}

/// Puts arrays behind one another; they fill `N` places.
fn joined<const N: usize>(parts: &[&[u64]]) -> [u64; N] {
    let mut all = [0; N];
    for (place, value) in all.iter_mut().zip(parts.iter().copied().flatten()) {
        *place = *value;
    }
    all
}

pub(super) fn queue(counts: &QueueCounts) -> [u64; QUEUE_KEYS.len()] {
    joined(&[&[counts.publish], &deliveries(counts)])
}

pub(super) fn lengths(ready: usize, unacked: usize) -> [u64; LENGTH_KEYS.len()] {
    [(ready + unacked) as u64, ready as u64, unacked as u64]
}

pub(super) fn queue_and_lengths(
    counts: &QueueCounts,
    ready: usize,
    unacked: usize,
) -> [u64; QUEUE_COLUMNS] {
    joined(&[&queue(counts), &lengths(ready, unacked)])
}

fn publishes(counts: &PublishCounts) -> [u64; 4] {
    [counts.publish, counts.confirm, counts.return_unroutable, counts.drop_unroutable]
}

pub(super) fn channel(counts: &ChannelCounts) -> [u64; CHANNEL_KEYS.len()] {
    joined(&[&publishes(&counts.publishes), &deliveries(&counts.deliveries)])
}

/// What a vhost is like now.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::management) struct VhostFigures {
    pub counts: GlobalCounts,
    pub ready: usize,
    pub unacked: usize,
    /// Messages read from disk, and written.
    pub disk: (u64, u64),
}

impl VhostFigures {
    /// All but the counts of its connections.
    pub(in crate::management) fn of(vhost: &Vhost) -> Self {
        let (ready, unacked, disk) = vhost.lengths();
        Self { counts: GlobalCounts::default(), ready, unacked, disk }
    }

    pub(in crate::management) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.ready += other.ready;
        self.unacked += other.unacked;
        self.disk = (self.disk.0 + other.disk.0, self.disk.1 + other.disk.1);
    }

    pub(super) fn messages(&self) -> [u64; CHANNEL_KEYS.len() + DISK_KEYS.len()] {
        let disk = [self.disk.0, self.disk.1];
        let counts = &self.counts;
        joined(&[&publishes(&counts.publishes), &deliveries(&counts.deliveries()), &disk])
    }

    pub(super) fn lengths(&self) -> [u64; LENGTH_KEYS.len()] {
        lengths(self.ready, self.unacked)
    }

    pub(super) fn traffic(&self) -> [u64; TRAFFIC_KEYS.len()] {
        [self.counts.received_octets, self.counts.sent_octets]
    }

    pub(super) fn all(&self) -> [u64; VHOST_COLUMNS] {
        joined(&[&self.messages(), &self.lengths(), &self.traffic()])
    }
}

pub(super) fn churn(counts: &ChurnCounts) -> [u64; CHURN_KEYS.len()] {
    [
        counts.connection_created,
        counts.connection_closed,
        counts.channel_created,
        counts.channel_closed,
        counts.queue_declared,
        counts.queue_created,
        counts.queue_deleted,
    ]
}
