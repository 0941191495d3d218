//! What a broker refuses to exceed, and how that is changed while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::queue::{Budget, QueueKind, TimeoutAction};

/// What a broker refuses to exceed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a message body (behaviour B1.8).
    pub message_size_max: u64,
    /// Consumers a channel may have; `None` is unlimited (behaviour B6.7).
    pub consumers_per_channel_max: Option<u32>,
    /// Connections that may be open at a time; `None` is unlimited (behaviour B2.10).
    pub connections_max: Option<u32>,
    /// Virtual hosts that may be there at a time; `None` is unlimited.
    pub vhosts_max: Option<u32>,
    /// Of which type queues are where neither they nor their vhost say; `None` is classic.
    pub default_queue_type: Option<QueueKind>,
    /// Channels that may be open at a time, over all connections; `None` is unlimited.
    pub channel_max_per_node: Option<u32>,
    /// Bytes of messages that may wait in a connection's outbox.
    pub outbox_bytes_high: usize,
    /// How much of a queue stays in memory.
    pub queue_budget: Budget,
    /// How long a client may have a delivery without settling it, where nothing else is said; 0 is as
    /// long as it likes (behaviour B6.16).
    pub consumer_timeout_millis: u64,
    pub consumer_timeout_action: TimeoutAction,
    /// Messages that wait in an exchange and are in memory because they are due next; the rest lies in
    /// queues.
    pub delayed_in_memory_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size_max: 128 * 1024 * 1024,
            consumers_per_channel_max: None,
            connections_max: None,
            vhosts_max: None,
            default_queue_type: None,
            channel_max_per_node: None,
            outbox_bytes_high: 1024 * 1024,
            queue_budget: Budget::of(4 << 20),
            consumer_timeout_millis: 30 * 60 * 1000,
            consumer_timeout_action: TimeoutAction::Close,
            delayed_in_memory_max: 16 * 1024,
        }
    }
}

/// The same as they are at this moment. Connections look at them with what they do, without a lock, so
/// that each counts from the next time on; what there is already stays.
#[derive(Debug)]
pub struct LimitsInForce {
    at_start: Limits,
    message_size_max: AtomicU64,
    consumers_per_channel_max: AtomicU64,
    connections_max: AtomicU64,
    vhosts_max: AtomicU64,
    channel_max_per_node: AtomicU64,
    outbox_bytes_high: AtomicUsize,
    consumer_timeout_millis: AtomicU64,
    consumer_timeout_requeues: AtomicBool,
}

/// Above all numbers that a limit can be.
const UNLIMITED: u64 = u64::MAX;

impl LimitsInForce {
    pub fn new(limits: Limits) -> Self {
        let in_force = Self {
            message_size_max: AtomicU64::default(),
            consumers_per_channel_max: AtomicU64::default(),
            connections_max: AtomicU64::default(),
            vhosts_max: AtomicU64::default(),
            channel_max_per_node: AtomicU64::default(),
            outbox_bytes_high: AtomicUsize::default(),
            consumer_timeout_millis: AtomicU64::default(),
            consumer_timeout_requeues: AtomicBool::default(),
            at_start: limits,
        };
        in_force.change(&in_force.at_start);
        in_force
    }

    /// From now on these are in force, but for those that queues are made with (`queue_budget`,
    /// `delayed_in_memory_max`, `default_queue_type`), and outboxes that there are already.
    pub fn change(&self, limits: &Limits) {
        let number = |limit: Option<u32>| limit.map_or(UNLIMITED, u64::from);
        let store = |place: &AtomicU64, value| place.store(value, Ordering::Relaxed);
        store(&self.message_size_max, limits.message_size_max);
        store(&self.consumers_per_channel_max, number(limits.consumers_per_channel_max));
        store(&self.connections_max, number(limits.connections_max));
        store(&self.vhosts_max, number(limits.vhosts_max));
        store(&self.channel_max_per_node, number(limits.channel_max_per_node));
        self.outbox_bytes_high.store(limits.outbox_bytes_high, Ordering::Relaxed);
        store(&self.consumer_timeout_millis, limits.consumer_timeout_millis);
        let requeues = limits.consumer_timeout_action == TimeoutAction::Requeue;
        self.consumer_timeout_requeues.store(requeues, Ordering::Relaxed);
    }

    pub fn at_start(&self) -> &Limits {
        &self.at_start
    }

    #[inline]
    pub fn message_size_max(&self) -> u64 {
        self.message_size_max.load(Ordering::Relaxed)
    }

    pub fn consumers_per_channel_max(&self) -> Option<u32> {
        limit(&self.consumers_per_channel_max)
    }

    pub fn connections_max(&self) -> Option<u32> {
        limit(&self.connections_max)
    }

    pub fn vhosts_max(&self) -> Option<u32> {
        limit(&self.vhosts_max)
    }

    pub fn channel_max_per_node(&self) -> Option<u32> {
        limit(&self.channel_max_per_node)
    }

    pub fn outbox_bytes_high(&self) -> usize {
        self.outbox_bytes_high.load(Ordering::Relaxed)
    }

    pub fn consumer_timeout_millis(&self) -> u64 {
        self.consumer_timeout_millis.load(Ordering::Relaxed)
    }

    pub fn consumer_timeout_action(&self) -> TimeoutAction {
        match self.consumer_timeout_requeues.load(Ordering::Relaxed) {
            true => TimeoutAction::Requeue,
            false => TimeoutAction::Close,
        }
    }
}

fn limit(place: &AtomicU64) -> Option<u32> {
    u32::try_from(place.load(Ordering::Relaxed)).ok()
}
