//! What the broker is busy with, as lines for the log: what SIGUSR1 asks for.

use std::cmp::Reverse;
use std::sync::Arc;

use super::resources::resident;
use crate::broker::{Broker, Connected, Resource, Vhost};
use crate::queue::QueueFigures;
use crate::time::Time;

/// How many of the longest and of the oldest are named.
const NAMED: usize = 5;

/// The state of the broker; looks at every connection and every queue.
pub fn state(broker: &Broker, now: Time) -> Vec<String> {
    let mut lines = vec![counts(broker), memory(broker), alarms(broker)];
    let mut queues: Vec<(String, QueueFigures)> = Vec::new();
    for vhost in broker.vhosts() {
        for queue in vhost.all_queues() {
            let name = format!("'{}' in vhost '{}'", queue.name, vhost.name);
            queues.push((name, queue.figures()));
        }
    }
    queues.sort_by_key(|(_, figures)| Reverse(figures.counts.ready));
    for (name, figures) in queues.iter().take(NAMED) {
        let QueueFigures { counts, memory, on_disk, .. } = figures;
        if counts.ready + counts.unacked > 0 {
            lines.push(format!(
                "long queue {name}: {} ready, {} unacknowledged, {} consumers, {on_disk} on disk alone, {memory} bytes of memory",
                counts.ready, counts.unacked, counts.consumers
            ));
        }
    }
    let waits = |(name, figures): &(String, QueueFigures)| {
        Some((figures.oldest?, format!("oldest message: next of queue {name}")))
    };
    lines.extend(oldest(queues.iter().filter_map(waits).collect(), now));
    let connections = broker.connections();
    let opened = |connected: &Arc<Connected>| {
        let client = &connected.client;
        let what = format!("oldest connection: {}, user '{}'", client.name, connected.user);
        (client.connected_at, what)
    };
    lines.extend(oldest(connections.iter().map(opened).collect(), now));
    lines
}

fn counts(broker: &Broker) -> String {
    let vhosts = broker.vhosts();
    let sum =
        |count: fn(&Vhost) -> usize| -> usize { vhosts.iter().map(|vhost| count(vhost)).sum() };
    format!(
        "{} connections, {} channels, {} consumers, {} vhosts, {} exchanges, {} queues",
        broker.connection_count(),
        broker.channel_count(),
        sum(Vhost::consumer_count),
        vhosts.len(),
        sum(Vhost::exchange_count),
        sum(Vhost::queue_count),
    )
}

fn memory(broker: &Broker) -> String {
    let memory = broker.memory_use();
    let resident = resident().map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
    format!(
        "bytes of memory: {resident} resident; about {} read from clients, {} for clients to take, {} in classic queues, {} in quorum queues, {} in streams",
        memory.input, memory.output, memory.classic, memory.quorum, memory.streams
    )
}

fn alarms(broker: &Broker) -> String {
    let on: Vec<_> = broker.alarms.list().map(Resource::as_str).collect();
    match on.is_empty() {
        true => "no alarm is on".to_owned(),
        false => format!("alarms: {}", on.join(", ")),
    }
}

fn oldest(mut found: Vec<(Time, String)>, now: Time) -> impl Iterator<Item = String> {
    found.sort();
    let tell = move |(since, what): (Time, String)| {
        format!("{what}, for {} s", now.since(since).as_secs())
    };
    found.into_iter().take(NAMED).map(tell)
}
