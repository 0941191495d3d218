//! What is told of each object: taken at one moment, every object's lock for no longer than it takes to
//! read it.

use std::sync::Arc;

use super::text::labels;
use crate::broker::{ChannelCounts, ConnectionStats, ExchangeCounts, Vhost};
use crate::management::Api;
use crate::queue::{QueueCounts, QueueFigures};
use crate::time::Time;

pub(super) struct QueueRow {
    pub labels: String,
    pub figures: QueueFigures,
    pub counts: QueueCounts,
    pub disk: (u64, u64),
    pub age_seconds: f64,
}

pub(super) struct ExchangeRow {
    pub labels: String,
    pub counts: ExchangeCounts,
    pub bindings: usize,
}

pub(super) struct ConnectionRow {
    pub labels: String,
    pub stats: Arc<ConnectionStats>,
    pub channels: usize,
    pub memory: u64,
}

pub(super) struct ChannelRow {
    pub labels: String,
    pub counts: ChannelCounts,
    pub consumers: u64,
    pub unacked: u64,
    pub unconfirmed: u64,
    pub prefetch: u64,
}

pub(super) fn queues(
    vhosts: &[Arc<Vhost>],
    is_wanted: impl Fn(&str) -> bool,
    now: Time,
) -> Vec<QueueRow> {
    let mut rows = Vec::new();
    for vhost in vhosts {
        let vhost_name = vhost.name.as_str();
        let queues = vhost.all_queues();
        let wanted = queues.iter().filter(|queue| is_wanted(queue.name.as_str()));
        rows.extend(wanted.map(|queue| {
            let figures = queue.figures();
            QueueRow {
                labels: labels(&[("vhost", vhost_name), ("queue", queue.name.as_str())]),
                figures,
                counts: queue.stats.counts(),
                disk: queue.stats.disk(),
                age_seconds: figures.oldest.map_or(0.0, |since| now.since(since).as_secs_f64()),
            }
        }));
    }
    rows
}

pub(super) fn exchanges(vhosts: &[Arc<Vhost>]) -> Vec<ExchangeRow> {
    let mut rows = Vec::new();
    for vhost in vhosts {
        let vhost_name = vhost.name.as_str();
        rows.extend(vhost.exchange_figures().into_iter().map(|(name, kind, bindings, counts)| {
            let names = [("vhost", vhost_name), ("exchange", name.as_str()), ("type", kind)];
            ExchangeRow { labels: labels(&names), counts, bindings }
        }));
    }
    rows
}

pub(super) fn connections(api: &Api, vhosts: &[Arc<Vhost>]) -> Vec<ConnectionRow> {
    let mut rows = Vec::new();
    for vhost in vhosts {
        let all = api.services.broker.connections().into_iter();
        for connected in all.filter(|connected| connected.vhost == vhost.name) {
            let stats = Arc::clone(&connected.stats);
            let Some(name) = stats.name.get() else { continue };
            let labels = labels(&[("connection", name), ("vhost", vhost.name.as_str())]);
            let (channels, (input, output)) = (stats.channel_count(), connected.memory());
            rows.push(ConnectionRow { labels, stats, channels, memory: input + output });
        }
    }
    rows
}

pub(super) fn channels(api: &Api, vhosts: &[Arc<Vhost>]) -> Vec<ChannelRow> {
    let mut rows = Vec::new();
    for vhost in vhosts {
        for stats in api.services.broker.stats_in(&vhost.name) {
            let Some(name) = stats.name.get() else { continue };
            rows.extend(stats.channels().into_iter().map(|(number, channel)| {
                let channel_name = format!("{name} ({number})");
                ChannelRow {
                    labels: labels(&[("channel", &channel_name), ("vhost", vhost.name.as_str())]),
                    counts: channel.counts(),
                    consumers: channel.consumers.get(),
                    unacked: channel.unacked.get(),
                    unconfirmed: channel.unconfirmed.get(),
                    prefetch: channel.prefetch.get(),
                }
            }));
        }
    }
    rows
}
