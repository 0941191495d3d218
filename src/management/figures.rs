//! What the whole broker comes to, from what is asked of its rooms.

use std::sync::Arc;

use super::Api;
use super::machine::Machine;
use super::rates::{NODE_KEYS, VhostFigures};
use crate::broker::Vhost;
use crate::storage::SegmentStats;
use crate::storage::journal::JournalStats;

/// How many there are of what is declared and connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectTotals {
    pub connections: usize,
    pub channels: usize,
    pub exchanges: usize,
    pub queues: usize,
    pub consumers: usize,
}

/// What the store has done.
pub(super) fn stores(api: &Api) -> (JournalStats, SegmentStats) {
    let store = api.services.broker.message_store();
    (store.stats(), store.pager().map(|pager| pager.stats()).unwrap_or_default())
}

/// The node's gauges, by [`NODE_KEYS`].
pub(super) fn node_gauges(api: &Api, machine: &Machine) -> [u64; NODE_KEYS.len()] {
    let (journal, segments) = stores(api);
    [
        machine.resident,
        machine.files,
        api.services.broker.connection_count() as u64,
        machine.threads,
        machine.disk_free,
        machine.context_switches,
        journal.writes + segments.written_files,
        journal.bytes + segments.written_bytes,
        journal.fsyncs + segments.written_files,
        segments.read_files,
        segments.written_files,
    ]
}

/// What some vhosts are like now, all together, and what is in them.
pub(super) fn of_vhosts(api: &Api, vhosts: &[Arc<Vhost>]) -> (VhostFigures, ObjectTotals) {
    let broker = &api.services.broker;
    let mut counts = broker.counts_by_vhost();
    let (mut figures, mut totals) = (VhostFigures::default(), ObjectTotals::default());
    for vhost in vhosts {
        let mut own = VhostFigures::of(vhost);
        own.counts = counts.remove(&vhost.name).unwrap_or_default();
        figures.add(&own);
        totals.exchanges += vhost.exchange_count();
        totals.queues += vhost.queue_count();
        totals.consumers += vhost.consumer_count();
        let (connections, channels) = broker.connected_to(&vhost.name);
        totals.connections += connections;
        totals.channels += channels;
    }
    (figures, totals)
}
