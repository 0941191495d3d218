//! Metrics of objects: one sample for each of them, or their sum (RabbitMQ's names, reference 8).

use std::sync::Arc;

use super::rows::{ChannelRow, ConnectionRow, ExchangeRow, QueueRow};
use super::text::{Family, Kind, sample};

/// Which of RabbitMQ's families, as `/metrics/detailed` asks for them, a metric belongs to, its name
/// without a prefix, what it says and how to read it of a row.
pub(super) struct Metric<R: 'static> {
    pub family: &'static str,
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub value: fn(&R) -> f64,
}

use Kind::{Counter, Gauge};

const fn metric<R>(
    family: &'static str,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&R) -> f64,
) -> Metric<R> {
    Metric { family, name, help, kind, value }
}

const COARSE: &str = "queue_coarse_metrics";
const CONSUMERS: &str = "queue_consumer_count";
const QUEUE: &str = "queue_metrics";
const DELIVERY: &str = "queue_delivery_metrics";

pub(super) static QUEUES: &[Metric<QueueRow>] = &[
    metric(
        COARSE,
        "queue_messages_ready",
        Gauge,
        "Messages ready to be delivered to consumers",
        |q| q.figures.counts.ready as f64,
    ),
    metric(
        COARSE,
        "queue_messages_unacked",
        Gauge,
        "Messages delivered to consumers but not yet acknowledged",
        |q| q.figures.counts.unacked as f64,
    ),
    metric(
        COARSE,
        "queue_messages",
        Gauge,
        "Sum of ready and unacknowledged messages - total queue depth",
        |q| (q.figures.counts.ready + q.figures.counts.unacked) as f64,
    ),
    metric(CONSUMERS, "queue_consumers", Gauge, "Consumers on a queue", |q| {
        q.figures.counts.consumers as f64
    }),
    metric(
        QUEUE,
        "queue_process_memory_bytes",
        Gauge,
        "Memory in bytes used by the queue and what of it is in memory",
        |q| q.figures.memory as f64,
    ),
    metric(
        QUEUE,
        "queue_messages_ram",
        Gauge,
        "Ready and unacknowledged messages stored in memory",
        |q| (q.figures.counts.ready + q.figures.counts.unacked - q.figures.on_disk) as f64,
    ),
    metric(
        QUEUE,
        "queue_messages_ram_bytes",
        Gauge,
        "Size of ready and unacknowledged messages stored in memory",
        |q| {
            let figures = &q.figures;
            (figures.ready_bytes + figures.unacked_bytes).saturating_sub(figures.on_disk_bytes)
                as f64
        },
    ),
    metric(QUEUE, "queue_messages_ready_ram", Gauge, "Ready messages stored in memory", |q| {
        (q.figures.counts.ready - q.figures.on_disk) as f64
    }),
    metric(
        QUEUE,
        "queue_messages_unacked_ram",
        Gauge,
        "Unacknowledged messages stored in memory",
        |q| q.figures.counts.unacked as f64,
    ),
    metric(QUEUE, "queue_messages_persistent", Gauge, "Persistent messages", |q| {
        q.figures.persistent as f64
    }),
    metric(
        QUEUE,
        "queue_messages_persistent_bytes",
        Gauge,
        "Size in bytes of persistent messages",
        |q| q.figures.persistent_bytes as f64,
    ),
    metric(
        QUEUE,
        "queue_messages_bytes",
        Gauge,
        "Size in bytes of ready and unacknowledged messages",
        |q| (q.figures.ready_bytes + q.figures.unacked_bytes) as f64,
    ),
    metric(QUEUE, "queue_messages_ready_bytes", Gauge, "Size in bytes of ready messages", |q| {
        q.figures.ready_bytes as f64
    }),
    metric(
        QUEUE,
        "queue_messages_unacked_bytes",
        Gauge,
        "Size in bytes of all unacknowledged messages",
        |q| q.figures.unacked_bytes as f64,
    ),
    metric(QUEUE, "queue_messages_paged_out", Gauge, "Messages paged out to disk", |q| {
        q.figures.on_disk as f64
    }),
    metric(
        QUEUE,
        "queue_messages_paged_out_bytes",
        Gauge,
        "Size in bytes of messages paged out to disk",
        |q| q.figures.on_disk_bytes as f64,
    ),
    metric(
        QUEUE,
        "queue_disk_reads_total",
        Counter,
        "Total number of messages the queue read from disk",
        |q| q.disk.0 as f64,
    ),
    metric(
        QUEUE,
        "queue_disk_writes_total",
        Counter,
        "Total number of messages the queue wrote to disk",
        |q| q.disk.1 as f64,
    ),
    metric(
        DELIVERY,
        "queue_messages_published_total",
        Counter,
        "Total number of messages published to queues",
        |q| q.counts.publish as f64,
    ),
    metric(
        DELIVERY,
        "queue_get_ack_total",
        Counter,
        "Total number of messages fetched from a queue with basic.get in manual acknowledgement mode",
        |q| q.counts.get as f64,
    ),
    metric(
        DELIVERY,
        "queue_get_total",
        Counter,
        "Total number of messages fetched from a queue with basic.get in automatic acknowledgement mode",
        |q| q.counts.get_no_ack as f64,
    ),
    metric(
        DELIVERY,
        "queue_messages_delivered_ack_total",
        Counter,
        "Total number of messages delivered from a queue to consumers in manual acknowledgement mode",
        |q| q.counts.deliver as f64,
    ),
    metric(
        DELIVERY,
        "queue_messages_delivered_total",
        Counter,
        "Total number of messages delivered from a queue to consumers in automatic acknowledgement mode",
        |q| q.counts.deliver_no_ack as f64,
    ),
    metric(
        DELIVERY,
        "queue_messages_redelivered_total",
        Counter,
        "Total number of messages redelivered from a queue to consumers",
        |q| q.counts.redeliver as f64,
    ),
    metric(
        DELIVERY,
        "queue_messages_acked_total",
        Counter,
        "Total number of messages acknowledged by consumers on a queue",
        |q| q.counts.ack as f64,
    ),
    metric(
        DELIVERY,
        "queue_get_empty_total",
        Counter,
        "Total number of times basic.get operations fetched no message on a queue",
        |q| q.counts.get_empty as f64,
    ),
];

/// Not sums, and of our own.
pub(super) static QUEUE_AGES: &[Metric<QueueRow>] = &[metric(
    QUEUE,
    "queue_oldest_message_age_seconds",
    Gauge,
    "How long ago the message that is next came into the queue; 0 where none waits",
    |q| q.age_seconds,
)];

const CHANNEL: &str = "channel_metrics";
const CHANNEL_EXCHANGE: &str = "channel_exchange_metrics";
const CHANNEL_QUEUE: &str = "channel_queue_metrics";

pub(super) static CHANNELS: &[Metric<ChannelRow>] = &[
    metric(CHANNEL, "channel_consumers", Gauge, "Consumers on a channel", |c| c.consumers as f64),
    metric(
        CHANNEL,
        "channel_messages_unacked",
        Gauge,
        "Delivered but not yet acknowledged messages",
        |c| c.unacked as f64,
    ),
    metric(
        CHANNEL,
        "channel_messages_unconfirmed",
        Gauge,
        "Published but not yet confirmed messages",
        |c| c.unconfirmed as f64,
    ),
    metric(
        CHANNEL,
        "channel_prefetch",
        Gauge,
        "Limit of unacknowledged messages for each new consumer on a channel",
        |c| c.prefetch as f64,
    ),
    metric(
        CHANNEL_EXCHANGE,
        "channel_messages_published_total",
        Counter,
        "Total number of messages published into an exchange on a channel",
        |c| c.counts.publishes.publish as f64,
    ),
    metric(
        CHANNEL_EXCHANGE,
        "channel_messages_confirmed_total",
        Counter,
        "Total number of messages published into an exchange and confirmed on the channel",
        |c| c.counts.publishes.confirm as f64,
    ),
    metric(
        CHANNEL_EXCHANGE,
        "channel_messages_unroutable_returned_total",
        Counter,
        "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
        |c| c.counts.publishes.return_unroutable as f64,
    ),
    metric(
        CHANNEL_EXCHANGE,
        "channel_messages_unroutable_dropped_total",
        Counter,
        "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
        |c| c.counts.publishes.drop_unroutable as f64,
    ),
    metric(
        CHANNEL_QUEUE,
        "channel_get_ack_total",
        Counter,
        "Total number of messages fetched with basic.get in manual acknowledgement mode",
        |c| c.counts.deliveries.get as f64,
    ),
    metric(
        CHANNEL_QUEUE,
        "channel_get_total",
        Counter,
        "Total number of messages fetched with basic.get in automatic acknowledgement mode",
        |c| c.counts.deliveries.get_no_ack as f64,
    ),
    metric(
        CHANNEL_QUEUE,
        "channel_messages_delivered_ack_total",
        Counter,
        "Total number of messages delivered to consumers in manual acknowledgement mode",
        |c| c.counts.deliveries.deliver as f64,
    ),
    metric(
        CHANNEL_QUEUE,
        "channel_messages_delivered_total",
        Counter,
        "Total number of messages delivered to consumers in automatic acknowledgement mode",
        |c| c.counts.deliveries.deliver_no_ack as f64,
    ),
    metric(
        CHANNEL_QUEUE,
        "channel_messages_redelivered_total",
        Counter,
        "Total number of messages redelivered to consumers",
        |c| c.counts.deliveries.redeliver as f64,
    ),
    metric(
        CHANNEL_QUEUE,
        "channel_messages_acked_total",
        Counter,
        "Total number of messages acknowledged by consumers",
        |c| c.counts.deliveries.ack as f64,
    ),
    metric(
        CHANNEL_QUEUE,
        "channel_get_empty_total",
        Counter,
        "Total number of times basic.get operations fetched no message",
        |c| c.counts.deliveries.get_empty as f64,
    ),
];

const CONNECTION: &str = "connection_metrics";
const CONNECTION_COARSE: &str = "connection_coarse_metrics";

pub(super) static CONNECTIONS: &[Metric<ConnectionRow>] = &[
    metric(
        CONNECTION_COARSE,
        "connection_incoming_bytes_total",
        Counter,
        "Total number of bytes received on a connection",
        |c| c.stats.received_octets.get() as f64,
    ),
    metric(
        CONNECTION_COARSE,
        "connection_outgoing_bytes_total",
        Counter,
        "Total number of bytes sent on a connection",
        |c| c.stats.sent_octets.get() as f64,
    ),
    metric(
        CONNECTION,
        "connection_incoming_packets_total",
        Counter,
        "Total number of packets received on a connection",
        |c| c.stats.received_packets.get() as f64,
    ),
    metric(
        CONNECTION,
        "connection_outgoing_packets_total",
        Counter,
        "Total number of packets sent on a connection",
        |c| c.stats.sent_packets.get() as f64,
    ),
    metric(CONNECTION, "connection_channels", Gauge, "Channels on a connection", |c| {
        c.channels as f64
    }),
];

/// One of our own.
pub(super) static CONNECTION_MEMORY: &[Metric<ConnectionRow>] = &[metric(
    CONNECTION,
    "connection_memory_bytes",
    Gauge,
    "Memory for the buffers of a connection and the messages on their way to its client",
    |c| c.memory as f64,
)];

pub(super) static EXCHANGES: &[Metric<ExchangeRow>] = &[
    metric(
        "exchange_metrics",
        "exchange_messages_published_total",
        Counter,
        "Total number of messages published into an exchange",
        |x| x.counts.publish_in as f64,
    ),
    metric(
        "exchange_metrics",
        "exchange_messages_routed_total",
        Counter,
        "Total number of messages that an exchange put into queues, once for each queue",
        |x| x.counts.publish_out as f64,
    ),
];

/// Of the whole cluster, with names that do not depend on what is asked.
pub(super) static CLUSTER_EXCHANGES: &[Metric<ExchangeRow>] = &[
    metric("exchange_names", "exchange_name", Gauge, "Enumerates exchanges", |_| 1.0),
    metric(
        "exchange_bindings",
        "exchange_bindings",
        Gauge,
        "Number of bindings for an exchange",
        |x| x.bindings as f64,
    ),
];

/// A family with a sample for each row.
pub(super) fn each<R: Send + Sync + 'static>(
    prefix: &str,
    metric: &'static Metric<R>,
    rows: &Arc<Vec<R>>,
    labels: fn(&R) -> &str,
) -> Family {
    let (rows, value) = (Arc::clone(rows), metric.value);
    Family {
        name: format!("{prefix}{}", metric.name),
        help: metric.help,
        kind: metric.kind,
        samples: Box::new(move |name, index, out| {
            let Some(row) = rows.get(index) else { return false };
            sample(out, name, "", labels(row), value(row));
            true
        }),
    }
}

/// A family with one sample: the sum.
pub(super) fn sum<R>(prefix: &str, metric: &'static Metric<R>, rows: &[R]) -> Family {
    let value: f64 = rows.iter().map(metric.value).sum();
    super::single(format!("{prefix}{}", metric.name), metric.kind, metric.help, value)
}
