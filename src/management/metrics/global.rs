//! Metrics of the broker as a whole.

use super::rows::QueueRow;
use super::text::{Family, Kind, histogram, labels};
use super::{OWN, PREFIX, several, single};
use crate::broker::{
    COMPATIBLE_VERSION, DeletedQueues, GlobalCounts, KINDS, Resource, SIZES, Vhost, node_name,
};
use crate::management::Api;
use crate::management::figures::{ObjectTotals, stores};
use crate::management::handler::uptime_millis;
use crate::management::machine::Machine;
use crate::queue::stats::{BUCKETS_MILLIS, HistogramFigures};
use crate::queue::{DeadLetterStrategy, QueueCounts, QueueKind, Reason};

use Kind::{Counter, Gauge};

/// What every dashboard joins on.
pub(super) fn identity(api: &Api, endpoint: &str) -> Vec<Family> {
    let node = node_name();
    let identity = labels(&[
        ("rabbitmq_node", &node),
        ("rabbitmq_cluster", &node),
        ("rabbitmq_cluster_permanent_id", &format!("leveret-{}", api.services.node.started.0)),
        ("rabbitmq_endpoint", endpoint),
    ]);
    let build = labels(&[
        ("rabbitmq_version", COMPATIBLE_VERSION),
        ("prometheus_plugin_version", COMPATIBLE_VERSION),
        ("prometheus_client_version", env!("CARGO_PKG_VERSION")),
        ("erlang_version", "none"),
        ("product_name", "leveret"),
        ("product_version", env!("CARGO_PKG_VERSION")),
    ]);
    let info = |name: &str, help, labels: String| {
        several(format!("{PREFIX}{name}"), Gauge, help, vec![(labels, 1.0)])
    };
    vec![
        info("build_info", "The broker's version", build),
        info("identity_info", "The node and its cluster", identity),
    ]
}

/// Those of the families that are wanted. Families that RabbitMQ does not know come with `node_metrics`,
/// `queue_metrics` and `node_persister_metrics`.
pub(super) fn families(
    api: &Api,
    queues: &[QueueRow],
    wanted: impl Fn(&str) -> bool,
    prefix: &str,
) -> Vec<Family> {
    let is_whole = prefix == PREFIX;
    let mut families = Vec::new();
    let mut add = |family: &str, name: &str, kind, help, value: f64| {
        if wanted(family) {
            families.push(single(format!("{prefix}{name}"), kind, help, value));
        }
    };
    let broker = &api.services.broker;
    let churn = broker.churn.counts();
    for (name, help, value) in [
        ("connections_opened", "Total number of connections opened", churn.connection_created),
        (
            "connections_closed",
            "Total number of connections closed or terminated",
            churn.connection_closed,
        ),
        ("channels_opened", "Total number of channels opened", churn.channel_created),
        ("channels_closed", "Total number of channels closed", churn.channel_closed),
        ("queues_declared", "Total number of queues declared", churn.queue_declared),
        ("queues_created", "Total number of queues created", churn.queue_created),
        ("queues_deleted", "Total number of queues deleted", churn.queue_deleted),
    ] {
        let name = format!("{name}_total");
        add("connection_churn_metrics", &name, Counter, help, value as f64);
    }
    let machine = Machine::look(&api.services.node.directory);
    let node = &api.services.node;
    let connections = broker.connection_count();
    let coarse = "node_coarse_metrics";
    let help = "Open file descriptors";
    add(coarse, "process_open_fds", Gauge, help, machine.files as f64);
    add(coarse, "process_open_tcp_sockets", Gauge, "Open TCP sockets", connections as f64);
    let help = "Memory used in bytes";
    add(coarse, "process_resident_memory_bytes", Gauge, help, machine.resident as f64);
    let help = "Disk space available in bytes";
    add(coarse, "disk_space_available_bytes", Gauge, help, machine.disk_free as f64);
    let help = "Threads of the broker; there are no Erlang processes";
    add(coarse, "erlang_processes_used", Gauge, help, machine.threads as f64);
    let help = "Total number of context switches";
    let name = "erlang_scheduler_context_switches_total";
    add(coarse, name, Counter, help, machine.context_switches as f64);
    let limits = "node_metrics";
    let help = "Open file descriptors limit";
    add(limits, "process_max_fds", Gauge, help, machine.files_max as f64);
    let help = "Open TCP sockets limit";
    add(limits, "process_max_tcp_sockets", Gauge, help, machine.files_max as f64);
    let limit = node.limits.memory().unwrap_or(machine.memory_total) as f64;
    let help = "Memory high watermark in bytes";
    add(limits, "resident_memory_limit_bytes", Gauge, help, limit);
    let help = "Free disk space low watermark in bytes";
    let limit = node.limits.disk_free() as f64;
    add(limits, "disk_space_available_limit_bytes", Gauge, help, limit);
    let help = "Threads limit; there are no Erlang processes";
    add(limits, "erlang_processes_limit", Gauge, help, machine.threads_max as f64);
    let help = "Threads on the machine that run or could";
    add(limits, "erlang_scheduler_run_queue", Gauge, help, machine.runnable as f64);
    let help = "Inter-node heartbeat interval";
    add(limits, "erlang_net_ticktime_seconds", Gauge, help, 60.0);
    let up = uptime_millis(api) as f64 / 1000.0;
    add(limits, "erlang_uptime_seconds", Gauge, "Node uptime", up);
    let (journal, segments) = stores(api);
    let io = "node_persister_metrics";
    let writes = journal.writes + segments.written_files;
    let help = "Total number of I/O write operations";
    add(io, "io_write_ops_total", Counter, help, writes as f64);
    let bytes = journal.bytes + segments.written_bytes;
    let help = "Total number of I/O bytes written";
    add(io, "io_write_bytes_total", Counter, help, bytes as f64);
    let syncs = journal.fsyncs + segments.written_files;
    add(io, "io_sync_ops_total", Counter, "Total number of I/O sync operations", syncs as f64);
    let seconds = journal.sync_micros as f64 / 1e6;
    add(io, "io_sync_time_seconds_total", Counter, "Total I/O sync time", seconds);
    let reads = segments.read_files as f64;
    add(io, "io_read_ops_total", Counter, "Total number of I/O read operations", reads);
    if wanted("auth_attempt_metrics") {
        families.extend(auth(prefix, churn.login_succeeded, churn.login_failed));
    }
    if is_whole {
        families.extend(alarms(api));
        families.extend(messages(api, queues));
        families.extend(own(api));
    }
    families
}

fn auth(prefix: &str, succeeded: u64, failed: u64) -> [Family; 3] {
    let family = |name: &str, help, value: u64| {
        let samples = vec![(labels(&[("protocol", "amqp091")]), value as f64)];
        several(format!("{prefix}{name}"), Counter, help, samples)
    };
    let help = "Total number of authorization attempts";
    [
        family("auth_attempts_total", help, succeeded + failed),
        family(
            "auth_attempts_succeeded_total",
            "Total number of successful authentication attempts",
            succeeded,
        ),
        family(
            "auth_attempts_failed_total",
            "Total number of failed authentication attempts",
            failed,
        ),
    ]
}

fn alarms(api: &Api) -> Vec<Family> {
    let alarms = &api.services.broker.alarms;
    let on = |resource| f64::from(u8::from(alarms.is_on(resource)));
    let family = |name: &str, help, value| single(format!("{PREFIX}{name}"), Gauge, help, value);
    vec![
        family(
            "alarms_file_descriptor_limit",
            "is 1 if file descriptor limit alarm is in effect",
            0.0,
        ),
        family(
            "alarms_free_disk_space_watermark",
            "is 1 if free disk space watermark alarm is in effect",
            on(Resource::Disk),
        ),
        family(
            "alarms_memory_used_watermark",
            "is 1 if VM memory watermark alarm is in effect",
            on(Resource::Memory),
        ),
    ]
}

fn queue_type(kind: QueueKind) -> &'static str {
    kind.module()
}

/// Global counters: what clients published and got.
fn messages(api: &Api, queues: &[QueueRow]) -> Vec<Family> {
    let vhosts = api.services.broker.vhosts();
    let (figures, mut totals) = crate::management::figures::of_vhosts(api, &vhosts);
    // As many as were read of each.
    totals.consumers = queues.iter().map(|queue| queue.figures.counts.consumers).sum();
    let counts = &figures.counts;
    let mut families = objects(&totals);
    let protocol = || labels(&[("protocol", "amqp091")]);
    let mut add = |name: &str, kind, help, value: u64| {
        let samples = vec![(protocol(), value as f64)];
        families.push(several(format!("{PREFIX}global_{name}"), kind, help, samples));
    };
    let publishes = &counts.publishes;
    add("publishers", Gauge, "Publishers currently connected", counts.publishers as u64);
    add("consumers", Gauge, "Consumers currently connected", totals.consumers as u64);
    for (name, help, value) in [
        ("received", "Total number of messages received from publishers", publishes.received),
        (
            "received_confirm",
            "Total number of messages received from publishers expecting confirmations",
            publishes.received_confirm,
        ),
        ("routed", "Total number of messages routed to queues or streams", counts.routed),
        ("confirmed", "Total number of messages confirmed to publishers", publishes.confirm),
        (
            "unroutable_dropped",
            "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
            publishes.drop_unroutable,
        ),
        (
            "unroutable_returned",
            "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
            publishes.return_unroutable,
        ),
    ] {
        add(&format!("messages_{name}_total"), Counter, help, value);
    }
    families.extend(DELIVERIES.iter().map(|delivery| by_kind(delivery, counts)));
    families.extend(dead(&vhosts));
    families.push(sizes(counts));
    let help = "From when a message was handed to its queues until it was confirmed";
    families.push(seconds("confirm_latency_seconds", help, counts.confirm_times));
    let mut waits = HistogramFigures::default();
    for vhost in &vhosts {
        waits.add(&vhost.stats.of_deleted().waits);
        vhost.all_queues().iter().for_each(|queue| waits.add(&queue.stats.waits()));
    }
    let help = "How long messages waited in queues until they were handed to a consumer";
    families.push(seconds("queue_wait_seconds", help, waits));
    families
}

fn objects(totals: &ObjectTotals) -> Vec<Family> {
    let family = |name: &str, help, count: usize| {
        single(format!("{PREFIX}{name}"), Gauge, help, count as f64)
    };
    vec![
        family("connections", "Connections currently open", totals.connections),
        family("channels", "Channels currently open", totals.channels),
        family("consumers", "Consumers currently connected", totals.consumers),
        family("queues", "Queues available", totals.queues),
    ]
}

/// A counter by the kind of queue.
type Delivery = (&'static str, &'static str, fn(&QueueCounts) -> u64);

const DELIVERIES: [Delivery; 8] = [
    ("delivered", "Total number of messages delivered to consumers", QueueCounts::deliver_get),
    (
        "delivered_consume_auto_ack",
        "Total number of messages delivered to consumers using basic.consume with automatic acknowledgment",
        |counts| counts.deliver_no_ack,
    ),
    (
        "delivered_consume_manual_ack",
        "Total number of messages delivered to consumers using basic.consume with manual acknowledgment",
        |counts| counts.deliver,
    ),
    (
        "delivered_get_auto_ack",
        "Total number of messages delivered to consumers using basic.get with automatic acknowledgment",
        |counts| counts.get_no_ack,
    ),
    (
        "delivered_get_manual_ack",
        "Total number of messages delivered to consumers using basic.get with manual acknowledgment",
        |counts| counts.get,
    ),
    ("get_empty", "Total number of times basic.get operations fetched no message", |counts| {
        counts.get_empty
    }),
    ("redelivered", "Total number of messages redelivered to consumers", |counts| counts.redeliver),
    ("acknowledged", "Total number of messages acknowledged by consumers", |counts| counts.ack),
];

fn by_kind((name, help, value): &Delivery, counts: &GlobalCounts) -> Family {
    let sample = |(kind, counts): (&QueueKind, &QueueCounts)| {
        let names = [("protocol", "amqp091"), ("queue_type", queue_type(*kind))];
        (labels(&names), value(counts) as f64)
    };
    let samples = KINDS.iter().zip(&counts.kinds).map(sample).collect();
    several(format!("{PREFIX}global_messages_{name}_total"), Counter, help, samples)
}

/// Messages that died, by why, and by whether they were published again.
fn dead(vhosts: &[std::sync::Arc<Vhost>]) -> Vec<Family> {
    let mut sums = DeletedQueues::default();
    for vhost in vhosts {
        sums.merge(&vhost.stats.of_deleted());
        vhost.all_queues().iter().for_each(|queue| sums.add(queue));
    }
    let family = |(index, reason): (usize, Reason)| {
        let mut samples = Vec::new();
        for (kind, dead) in KINDS.iter().zip(&sums.dead).take(2) {
            // Only these queues have a limit of deliveries.
            if reason == Reason::DeliveryLimit && *kind != QueueKind::Quorum {
                continue;
            }
            let counts = dead.get(index).copied().unwrap_or_default();
            for (strategy, count) in DeadLetterStrategy::ALL.into_iter().zip(counts) {
                // Only of these there are promises.
                if strategy == DeadLetterStrategy::AtLeastOnce && *kind != QueueKind::Quorum {
                    continue;
                }
                let strategy = ("dead_letter_strategy", strategy.as_str());
                let names = [("queue_type", queue_type(*kind)), strategy];
                samples.push((labels(&names), count as f64));
            }
        }
        let name = format!("{PREFIX}global_messages_dead_lettered_{}_total", reason.as_str());
        let help = match reason {
            Reason::Rejected => {
                "Total number of messages dead-lettered due to basic.reject or basic.nack"
            }
            Reason::Expired => "Total number of messages dead-lettered due to message TTL exceeded",
            Reason::MaxLength => {
                "Total number of messages dead-lettered due to overflow drop-head or reject-publish-dlx"
            }
            Reason::DeliveryLimit => {
                "Total number of messages dead-lettered due to delivery-limit exceeded"
            }
        };
        several(name, Counter, help, samples)
    };
    Reason::ALL.into_iter().enumerate().map(family).collect()
}

fn sizes(counts: &GlobalCounts) -> Family {
    let sizes = counts.sizes;
    Family {
        name: format!("{PREFIX}message_size_bytes"),
        help: "Size of messages received from publishers",
        kind: Kind::Histogram,
        samples: Box::new(move |name, index, out| {
            let ends = ["100.0", "1.0e3", "1.0e4", "1.0e5", "1.0e6", "1.0e7", "5.0e7", "1.0e8"];
            debug_assert_eq!(ends.len(), SIZES.len());
            if index == 0 {
                let ends = ends.into_iter().map(str::to_owned);
                let protocol = labels(&[("protocol", "amqp091")]);
                histogram(out, name, &protocol, ends, &sizes.counts, sizes.sum as f64);
            }
            index == 0
        }),
    }
}

/// One of our own, of times.
fn seconds(name: &str, help: &'static str, figures: HistogramFigures) -> Family {
    Family {
        name: format!("{OWN}{name}"),
        help,
        kind: Kind::Histogram,
        samples: Box::new(move |name, index, out| {
            if index == 0 {
                let ends = BUCKETS_MILLIS.iter().map(|end| (*end as f64 / 1000.0).to_string());
                histogram(out, name, "", ends, &figures.counts, figures.sum_millis as f64 / 1000.0);
            }
            index == 0
        }),
    }
}

/// What RabbitMQ has no names for.
fn own(api: &Api) -> Vec<Family> {
    let broker = &api.services.broker;
    let mut families = Vec::new();
    let on = |resource: &Resource| {
        let labels = labels(&[("resource", resource.as_str())]);
        (labels, f64::from(u8::from(broker.alarms.is_on(*resource))))
    };
    let help = "1 while publishers are blocked because there is too little of it";
    let samples = Resource::ALL.iter().map(on).collect();
    families.push(several(format!("{OWN}alarm"), Gauge, help, samples));
    let mut add = |name: &str, kind, help, value: f64| {
        families.push(single(format!("{OWN}{name}"), kind, help, value));
    };
    let help = "Connections that are not read because of an alarm";
    add("blocked_connections", Gauge, help, broker.alarms.blocked_count() as f64);
    let blocked =
        broker.counts_by_vhost().values().map(|counts| counts.blocked_millis).sum::<u64>();
    let help = "Seconds that connections were blocked by alarms, counted when that ends";
    add("blocked_seconds_total", Counter, help, blocked as f64 / 1000.0);
    let (journal, segments) = stores(api);
    for (name, help, value) in [
        ("fsyncs_total", "Groups of records that were synced", journal.fsyncs as f64),
        ("fsync_seconds_total", "Seconds that syncs took", journal.sync_micros as f64 / 1e6),
        ("writes_total", "Groups of records that were written", journal.writes as f64),
        ("records_total", "Records that were written", journal.records as f64),
        ("written_bytes_total", "Bytes written, carried ones included", journal.bytes as f64),
        (
            "carried_bytes_total",
            "Bytes written again to get rid of an old file",
            journal.carried_bytes as f64,
        ),
    ] {
        add(&format!("journal_{name}"), Counter, help, value);
    }
    let pressure = broker.message_store().pressure();
    for (name, help, value) in [
        ("files", "Files of the journal", journal.files as f64),
        ("bytes", "Bytes in the journal's files", journal.file_bytes as f64),
        ("live_bytes", "Bytes in the journal's files that are needed", journal.live_bytes as f64),
        ("live_messages", "Messages in the journal that are needed", journal.live_messages as f64),
        ("pending_bytes", "Bytes handed to the journal that are not durable yet", pressure as f64),
    ] {
        add(&format!("journal_{name}"), Gauge, help, value);
    }
    add("segment_files", Gauge, "Files of long queues and streams", segments.files as f64);
    add("segment_bytes", Gauge, "Bytes in segment files", segments.file_bytes as f64);
    let help = "Bytes written to segment files";
    add("segment_written_bytes_total", Counter, help, segments.written_bytes as f64);
    let help = "Segment files that were read back";
    add("segment_reads_total", Counter, help, segments.read_files as f64);
    let help = "Bytes of memory that the past of rates takes";
    add("rates_bytes", Gauge, help, api.rates.cost() as f64);
    families
}
