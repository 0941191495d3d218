//! How fast counters rise, and what they were (reference 6.0).
//!
//! Every five seconds [`Rates::tick`] copies the counters of whatever something has happened to into a
//! series. Queues and exchanges report when they are stirred, and are looked at until an interval passes
//! in which nothing happened to them; so a hundred thousand idle queues cost nothing. A series has a
//! sample for each interval in which something changed, ten minutes of them for queues, exchanges,
//! connections and channels, and more the coarser further back for vhosts and for the whole. What all
//! queues' series may take together is bounded: with very many busy ones they go back less far.
//!
//! Current values are never taken from here, only rates and samples: they are the counters' own.
//!
//! Who is looked at is busy; `idle_since` is the end of the last interval in which something happened.

mod columns;
mod ranges;
mod series;
mod shown;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

pub(super) use self::columns::VhostFigures;
use self::columns::{
    CHANNEL_KEYS, CHURN_KEYS, DISK_KEYS, EXCHANGE_KEYS, LENGTH_KEYS, QUEUE_COLUMNS, QUEUE_KEYS,
    TRAFFIC_KEYS, VHOST_COLUMNS, VHOST_LENGTHS, VHOST_TRAFFIC, churn,
};
pub(super) use self::ranges::Ranges;
use self::series::{
    History, INTERVAL_MILLIS, LONGER, Range, Series, TEN_MINUTES, Ticks, tick_of, time_of,
};
use self::shown::{Past, View};
use crate::broker::{Broker, ChannelStats, ChurnCounts, ConnectionStats, ExchangeStats, Vhost};
use crate::names::VhostName;
use crate::queue::{Queue, QueueFigures};
use crate::time::Time;

/// Bytes that the series of all queues may take together, and those of all channels.
const QUEUES_BYTES: usize = 64 << 20;
const CHANNELS_BYTES: usize = 32 << 20;

/// A series has no fewer samples than these: the last rate can be told.
const SAMPLES_MIN: usize = 2;

/// Between two looks for series that nobody needs any more.
const SWEEP_TICKS: u32 = 12;

/// The past of everything.
#[derive(Default)]
pub(super) struct Rates(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    ticks: Ticks,
    /// By their addresses, which are theirs as long as they are held here.
    queues: HashMap<usize, Watched<Queue, QUEUE_COLUMNS>>,
    exchanges: HashMap<usize, Watched<ExchangeStats, { EXCHANGE_KEYS.len() }>>,
    connections: HashMap<usize, Connection>,
    /// With what they were when last looked at.
    vhosts: HashMap<VhostName, (VhostFigures, History<VHOST_COLUMNS>)>,
    all: Option<History<VHOST_COLUMNS>>,
    churn: Option<History<{ CHURN_KEYS.len() }>>,
    node: Option<History<{ NODE_KEYS.len() }>>,
}

/// Something that is looked at while things happen to it.
struct Watched<T, const N: usize> {
    of: Arc<T>,
    series: Series<N>,
    is_active: bool,
    /// When it was heard of last.
    stirred: u32,
}

struct Connection {
    #[expect(dead_code, reason = "its address is the key as long as it is held")]
    of: Arc<ConnectionStats>,
    traffic: Series<{ TRAFFIC_KEYS.len() }>,
    channels: HashMap<u16, Channel>,
}

struct Channel {
    of: Arc<ChannelStats>,
    series: Series<{ CHANNEL_KEYS.len() }>,
    requests: u64,
    /// The last tick before which something happened, if nothing did at the last one.
    idle_since: Option<u32>,
}

impl Channel {
    fn new(of: Arc<ChannelStats>, previous: u32) -> Self {
        let series = Series::starting_with([0; CHANNEL_KEYS.len()], previous);
        Self { of, series, requests: 0, idle_since: None }
    }

    fn sample(&mut self, Ticks { previous, latest }: Ticks, samples: usize) {
        let requests = self.of.requests.get();
        let has_asked = std::mem::replace(&mut self.requests, requests) != requests;
        let values = columns::channel(&self.of.counts());
        match self.series.push(latest, values, samples) || has_asked {
            true => self.idle_since = None,
            false => self.rest(previous),
        }
    }

    fn rest(&mut self, since: u32) {
        self.idle_since.get_or_insert(since);
    }

    /// `None` when something happened since that tick.
    fn idle_since(&self) -> Option<Time> {
        let is_as_it_was = self.requests == self.of.requests.get()
            && self.series.is_at(&columns::channel(&self.of.counts()));
        self.idle_since.filter(|_| is_as_it_was).map(time_of)
    }
}

/// Gauges of the node that have a past.
pub(super) const NODE_KEYS: [&str; 11] = [
    "mem_used",
    "fd_used",
    "sockets_used",
    "proc_used",
    "disk_free",
    "context_switches",
    "io_write_count",
    "io_write_bytes",
    "io_sync_count",
    "msg_store_read_count",
    "msg_store_write_count",
];

impl Rates {
    /// Takes samples, unless they have been taken for this interval. `node` are the gauges by
    /// [`NODE_KEYS`].
    pub(super) fn tick(
        &self,
        broker: &Broker,
        now: Time,
        node: impl FnOnce() -> [u64; NODE_KEYS.len()],
    ) {
        let mut inner = self.0.lock();
        let tick = tick_of(now);
        if tick <= inner.ticks.latest {
            return;
        }
        let previous = match inner.ticks.latest {
            0 => tick.saturating_sub(1),
            latest => latest,
        };
        inner.ticks = Ticks { previous, latest: tick };
        inner.sample_vhosts(broker);
        inner.sample_queues();
        inner.sample_exchanges();
        inner.sample_connections(broker);
        let node_now = node();
        let node = inner.node.get_or_insert_with(|| History::new(node_now, previous, &LONGER));
        node.push(tick, node_now);
        if tick.is_multiple_of(SWEEP_TICKS) {
            inner.sweep();
        }
    }

    /// Queues that have a series, and those that are looked at.
    #[cfg(test)]
    fn watched(&self) -> (usize, usize) {
        let inner = self.0.lock();
        (inner.queues.len(), inner.queues.values().filter(|watched| watched.is_active).count())
    }

    /// `message_stats`, the lengths of a queue, and since when it is idle. No `message_stats` where
    /// nothing ever happened.
    pub(super) fn put_queue(
        &self,
        object: &mut Map<String, Value>,
        queue: &Arc<Queue>,
        figures: &QueueFigures,
        ranges: &Ranges,
    ) {
        let inner = self.0.lock();
        let watched = inner.queues.get(&Arc::as_ptr(queue).addr());
        let pasts: Vec<&dyn Past> = watched.iter().map(|it| &it.series as &dyn Past).collect();
        let (ready, unacked) = (figures.counts.ready, figures.counts.unacked);
        let lengths = columns::lengths(ready, unacked);
        inner.view(&pasts, ranges.lengths).put_all(
            object,
            &LENGTH_KEYS,
            &lengths,
            QUEUE_KEYS.len(),
        );
        let counts = columns::queue(&queue.stats.counts());
        let view = inner.view(&pasts, ranges.messages);
        put_stats(object, &view, &QUEUE_KEYS, &counts, 0);
        // While it is looked at, it is not watched for a moment: not as long as this lock is held.
        put_idle(object, queue.idle_since());
    }

    /// `message_stats` of an exchange.
    pub(super) fn put_exchange(
        &self,
        object: &mut Map<String, Value>,
        exchange: &Arc<ExchangeStats>,
        ranges: &Ranges,
    ) {
        let inner = self.0.lock();
        let watched = inner.exchanges.get(&Arc::as_ptr(exchange).addr());
        let pasts: Vec<&dyn Past> = watched.iter().map(|it| &it.series as &dyn Past).collect();
        let counts = exchange_values(exchange);
        put_stats(object, &inner.view(&pasts, ranges.messages), &EXCHANGE_KEYS, &counts, 0);
    }

    /// What a connection received and sent.
    pub(super) fn put_connection(
        &self,
        object: &mut Map<String, Value>,
        stats: &Arc<ConnectionStats>,
        ranges: &Ranges,
    ) {
        let inner = self.0.lock();
        let connection = inner.connections.get(&Arc::as_ptr(stats).addr());
        let pasts: Vec<&dyn Past> = connection.iter().map(|it| &it.traffic as &dyn Past).collect();
        let traffic = traffic_of(stats);
        inner.view(&pasts, ranges.data).put_all(object, &TRAFFIC_KEYS, &traffic, 0);
        object.insert("recv_cnt".to_owned(), stats.received_packets.get().into());
        object.insert("send_cnt".to_owned(), stats.sent_packets.get().into());
        object.insert("send_pend".to_owned(), stats.output_bytes.get().into());
    }

    /// `message_stats` of a channel, and since when it is idle.
    pub(super) fn put_channel(
        &self,
        object: &mut Map<String, Value>,
        connection: &Arc<ConnectionStats>,
        number: u16,
        stats: &ChannelStats,
        ranges: &Ranges,
    ) {
        let inner = self.0.lock();
        let connection = inner.connections.get(&Arc::as_ptr(connection).addr());
        let channel = connection.and_then(|connection| connection.channels.get(&number));
        let pasts: Vec<&dyn Past> = channel.iter().map(|it| &it.series as &dyn Past).collect();
        let counts = columns::channel(&stats.counts());
        put_stats(object, &inner.view(&pasts, ranges.messages), &CHANNEL_KEYS, &counts, 0);
        put_idle(object, channel.and_then(Channel::idle_since));
    }

    /// What a vhost's object says of messages and traffic.
    pub(super) fn put_vhost(
        &self,
        object: &mut Map<String, Value>,
        vhost: &VhostName,
        figures: &VhostFigures,
        ranges: &Ranges,
    ) {
        let inner = self.0.lock();
        let pasts = inner.vhost_pasts([vhost]);
        inner.put_lengths(object, &pasts, figures, ranges);
        let traffic = inner.view(&pasts, ranges.data);
        traffic.put_all(object, &TRAFFIC_KEYS, &figures.traffic(), VHOST_TRAFFIC);
        inner.put_messages(object, &pasts, figures, ranges);
    }

    /// The overview's `message_stats`, `queue_totals` and `churn_rates`, and what was received and
    /// sent. `vhosts` are those that are added up; `None` for all there ever were.
    pub(super) fn put_overview(
        &self,
        object: &mut Map<String, Value>,
        vhosts: Option<&[VhostName]>,
        figures: &VhostFigures,
        churned: &ChurnCounts,
        ranges: &Ranges,
    ) {
        let inner = self.0.lock();
        let pasts = match vhosts {
            Some(vhosts) => inner.vhost_pasts(vhosts),
            None => inner.all.iter().map(|history| history as &dyn Past).collect(),
        };
        inner.put_messages(object, &pasts, figures, ranges);
        object.entry("message_stats").or_insert_with(|| Map::new().into());
        let mut totals = Map::new();
        inner.put_lengths(&mut totals, &pasts, figures, ranges);
        object.insert("queue_totals".to_owned(), totals.into());
        let traffic = inner.view(&pasts, ranges.data);
        traffic.put_all(object, &TRAFFIC_KEYS, &figures.traffic(), VHOST_TRAFFIC);
        let mut rates = Map::new();
        inner.put_churn(&mut rates, churned, ranges);
        object.insert("churn_rates".to_owned(), rates.into());
    }

    /// The node's gauges, by [`NODE_KEYS`], and its churn.
    pub(super) fn put_node(
        &self,
        object: &mut Map<String, Value>,
        node: &[u64; NODE_KEYS.len()],
        churned: &ChurnCounts,
        ranges: &Ranges,
    ) {
        let inner = self.0.lock();
        let pasts: Vec<&dyn Past> = inner.node.iter().map(|node| node as &dyn Past).collect();
        inner.view(&pasts, ranges.node).put_all(object, &NODE_KEYS, node, 0);
        inner.put_churn(object, churned, ranges);
    }
}

impl Inner {
    fn view<'a>(&self, pasts: &'a [&'a dyn Past], range: Option<Range>) -> View<'a> {
        View { pasts, ticks: self.ticks, range }
    }

    fn vhost_pasts<'a>(&self, names: impl IntoIterator<Item = &'a VhostName>) -> Vec<&dyn Past> {
        let histories = names.into_iter().filter_map(|name| self.vhosts.get(name));
        histories.map(|(_, history)| history as &dyn Past).collect()
    }

    fn put_messages(
        &self,
        object: &mut Map<String, Value>,
        pasts: &[&dyn Past],
        figures: &VhostFigures,
        ranges: &Ranges,
    ) {
        let keys: Vec<&str> = CHANNEL_KEYS.into_iter().chain(DISK_KEYS).collect();
        put_stats(object, &self.view(pasts, ranges.messages), &keys, &figures.messages(), 0);
    }

    fn put_lengths(
        &self,
        object: &mut Map<String, Value>,
        pasts: &[&dyn Past],
        figures: &VhostFigures,
        ranges: &Ranges,
    ) {
        let view = self.view(pasts, ranges.lengths);
        view.put_all(object, &LENGTH_KEYS, &figures.lengths(), VHOST_LENGTHS);
    }

    fn put_churn(&self, object: &mut Map<String, Value>, churned: &ChurnCounts, ranges: &Ranges) {
        let pasts: Vec<&dyn Past> = self.churn.iter().map(|past| past as &dyn Past).collect();
        self.view(&pasts, ranges.messages).put_all(object, &CHURN_KEYS, &churn(churned), 0);
    }

    fn sample_vhosts(&mut self, broker: &Broker) {
        let Ticks { previous, latest } = self.ticks;
        let mut all = VhostFigures::default();
        let mut counts = broker.counts_by_vhost();
        let vhosts = broker.vhosts();
        vhosts.iter().for_each(|vhost| self.take_stirred(vhost));
        // Where nothing happens to any queue, they need not be added up again.
        let is_quiet = !self.queues.values().any(|watched| watched.is_active);
        for vhost in vhosts {
            let (known, history) = self.vhosts.entry(vhost.name.clone()).or_insert_with(|| {
                let history = History::new([0; VHOST_COLUMNS], previous, &LONGER[..1]);
                (VhostFigures::of(&vhost), history)
            });
            if !is_quiet {
                *known = VhostFigures::of(&vhost);
            }
            known.counts = counts.remove(&vhost.name).unwrap_or_default();
            all.add(known);
            history.push(latest, known.all());
        }
        let new = || History::new([0; VHOST_COLUMNS], previous, &LONGER);
        self.all.get_or_insert_with(new).push(latest, all.all());
        let new = || History::new([0; CHURN_KEYS.len()], previous, &LONGER);
        self.churn.get_or_insert_with(new).push(latest, churn(&broker.churn.counts()));
        if latest.is_multiple_of(SWEEP_TICKS) {
            self.vhosts.retain(|name, _| broker.vhost(name.as_str()).is_some());
        }
    }

    fn take_stirred(&mut self, vhost: &Vhost) {
        let Ticks { previous, latest } = self.ticks;
        for (queue, before) in vhost.stats.take_stirred() {
            let key = Arc::as_ptr(&queue).addr();
            let watched = self.queues.entry(key).or_insert_with(|| {
                let values =
                    columns::queue_and_lengths(&before.counts, before.ready, before.unacked);
                let series = Series::starting_with(values, previous);
                Watched { of: queue, series, is_active: true, stirred: latest }
            });
            watched.is_active = true;
            watched.stirred = latest;
        }
        for (exchange, before) in vhost.stats.take_stirred_exchanges() {
            let key = Arc::as_ptr(&exchange).addr();
            let watched = self.exchanges.entry(key).or_insert_with(|| {
                let values = [before.publish_in, before.publish_out];
                let series = Series::starting_with(values, previous);
                Watched { of: exchange, series, is_active: true, stirred: latest }
            });
            watched.is_active = true;
            watched.stirred = latest;
        }
    }

    fn sample_queues(&mut self) {
        let samples = samples_each::<QUEUE_COLUMNS>(QUEUES_BYTES, self.queues.len());
        let Ticks { previous, latest } = self.ticks;
        for watched in self.queues.values_mut().filter(|watched| watched.is_active) {
            let queue = &watched.of;
            // Before it is looked at, so that what happens meanwhile is reported again.
            queue.unwatch();
            let counts = queue.counts_now();
            let values = queue.stats.counts();
            let values = columns::queue_and_lengths(&values, counts.ready, counts.unacked);
            watched.is_active = watched.series.push(latest, values, samples);
            if watched.is_active {
                queue.watch_on();
            } else {
                queue.rest(time_of(previous.max(watched.stirred)));
            }
        }
    }

    fn sample_exchanges(&mut self) {
        let latest = self.ticks.latest;
        for watched in self.exchanges.values_mut().filter(|watched| watched.is_active) {
            watched.of.unwatch();
            let values = exchange_values(&watched.of);
            watched.is_active = watched.series.push(latest, values, TEN_MINUTES.samples);
            if watched.is_active {
                watched.of.watch_on();
            }
        }
    }

    fn sample_connections(&mut self, broker: &Broker) {
        let Ticks { previous, latest } = self.ticks;
        let channels = self.connections.values().map(|connection| connection.channels.len()).sum();
        let samples = samples_each::<{ CHANNEL_KEYS.len() }>(CHANNELS_BYTES, channels);
        let live = broker.connection_stats();
        let key = |stats: &Arc<ConnectionStats>| Arc::as_ptr(stats).addr();
        let there: HashSet<usize> = live.iter().map(|(_, stats)| key(stats)).collect();
        self.connections.retain(|key, _| there.contains(key));
        for (_, stats) in live {
            let traffic = traffic_of(&stats);
            let connection = self.connections.entry(key(&stats)).or_insert_with(|| Connection {
                of: Arc::clone(&stats),
                traffic: Series::starting_with([0; TRAFFIC_KEYS.len()], previous),
                channels: HashMap::new(),
            });
            if !connection.traffic.push(latest, traffic, samples) {
                connection.channels.values_mut().for_each(|channel| channel.rest(previous));
                continue;
            }
            let channels = stats.channels();
            connection.channels.retain(|number, known| {
                let same = |(other, stats): &(u16, Arc<ChannelStats>)| {
                    other == number && Arc::ptr_eq(stats, &known.of)
                };
                channels.iter().any(same)
            });
            for (number, stats) in channels {
                let channel = connection.channels.entry(number);
                // That it was opened is what happened.
                match channel {
                    Entry::Occupied(known) => known.into_mut().sample(self.ticks, samples),
                    Entry::Vacant(place) => {
                        let channel = place.insert(Channel::new(stats, previous));
                        channel.sample(self.ticks, samples);
                        channel.idle_since = None;
                    }
                }
            }
        }
    }

    /// Forgets series of what is gone, or has been quiet for longer than they go back.
    fn sweep(&mut self) {
        let oldest = self.ticks.latest.saturating_sub(TEN_MINUTES.samples as u32);
        let is_wanted = |newest: u32, is_active: bool| is_active || newest >= oldest;
        self.queues.retain(|_, watched| {
            is_wanted(watched.series.newest(), watched.is_active) && !watched.of.is_deleted()
        });
        self.exchanges.retain(|_, watched| {
            let is_there = Arc::strong_count(&watched.of) > 1;
            is_wanted(watched.series.newest(), watched.is_active) && is_there
        });
    }

    /// Bytes that series take.
    fn cost(&self) -> usize {
        let queues = self.queues.values().map(|watched| watched.series.cost());
        let channels = self.connections.values().flat_map(|connection| {
            let channels = connection.channels.values().map(|channel| channel.series.cost());
            channels.chain([connection.traffic.cost()])
        });
        let exchanges = self.exchanges.values().map(|watched| watched.series.cost());
        queues.chain(channels).chain(exchanges).sum()
    }
}

impl Rates {
    /// Bytes that the past takes.
    pub(super) fn cost(&self) -> usize {
        self.0.lock().cost()
    }
}

/// How many samples each of so many series may have.
fn samples_each<const N: usize>(bytes: usize, series: usize) -> usize {
    let samples = bytes / size_of::<(u32, [u64; N])>() / series.max(1);
    samples.clamp(SAMPLES_MIN, TEN_MINUTES.samples)
}

fn exchange_values(exchange: &ExchangeStats) -> [u64; EXCHANGE_KEYS.len()] {
    let counts = exchange.counts();
    [counts.publish_in, counts.publish_out]
}

fn traffic_of(stats: &ConnectionStats) -> [u64; TRAFFIC_KEYS.len()] {
    [stats.received_octets.get(), stats.sent_octets.get()]
}

/// As RabbitMQ has it: what is busy has none.
fn put_idle(object: &mut Map<String, Value>, since: Option<Time>) {
    if let Some(since) = since {
        object.insert("idle_since".to_owned(), since.rfc3339().to_string().into());
    }
}

/// Objects that were never touched have no `message_stats`.
fn put_stats(
    object: &mut Map<String, Value>,
    view: &View<'_>,
    keys: &[&str],
    counts: &[u64],
    first: usize,
) {
    if counts.iter().all(|count| *count == 0) {
        return;
    }
    let mut stats = Map::new();
    view.put_all(&mut stats, keys, counts, first);
    object.insert("message_stats".to_owned(), stats.into());
}

/// How long the caller may wait between two ticks at most, to miss none.
pub(super) const TICK_MILLIS: u64 = INTERVAL_MILLIS / 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Flags, Limits, Publisher, Vhost};
    use crate::message::{Message, Traits};
    use crate::protocol::{FieldTable, Properties};
    use crate::queue::{ConnectionId, Declaration, Effects};
    use crate::storage::Group;
    use crate::storage::memory::{MemoryDefinitions, MemoryMessages};

    const START: u64 = 1_700_000_000_000;

    struct Scene {
        broker: Arc<Broker>,
        vhost: Arc<Vhost>,
        rates: Rates,
        tick: u64,
    }

    impl Scene {
        fn new(queues: usize) -> Self {
            let (definitions, messages) = (Arc::new(MemoryDefinitions::default()), MemoryMessages);
            let broker = Broker::new(Limits::default(), definitions, Arc::new(messages));
            let vhost = broker.create_vhost(&"/".into());
            for n in 0..queues {
                let flags = Flags {
                    durable: false,
                    exclusive: false,
                    auto_delete: false,
                    arguments: &FieldTable::default(),
                };
                let declaration = || {
                    Ok(Declaration {
                        durable: false,
                        auto_delete: false,
                        owner: None,
                        arguments: FieldTable::default(),
                        options: Arc::default(),
                    })
                };
                let (name, nobody) = (format!("q{n}").as_str().into(), ConnectionId(0));
                let notify = || -> Box<dyn FnOnce(_) + Send> { Box::new(|_| {}) };
                vhost.declare_queue(&name, nobody, &declaration, &flags, &notify).unwrap();
            }
            let scene = Self { broker, vhost, rates: Rates::default(), tick: 0 };
            scene.rates.tick(&scene.broker, Time(START), Default::default);
            scene
        }

        fn publish(&self, queue: &str) {
            let mut address = Vec::new();
            crate::message::write_address(&mut address, b"", queue.as_bytes());
            let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let message = Message::with_inline_body(
                &address,
                &header,
                b"",
                Traits::default(),
                &mut Vec::new(),
            );
            let store = Arc::clone(self.broker.message_store());
            let mut publisher = Publisher::new(Arc::clone(&self.vhost), store);
            let mut effects = Effects::default();
            let way = publisher.find_way(&address, &Properties::default()).unwrap();
            publisher.count(way);
            publisher.gather(way, message, None, &mut effects);
            publisher.flush(Group::ALONE, Time(START), &mut effects);
            self.vhost.act(Time(START), &mut effects);
        }

        fn tick(&mut self) {
            self.tick += 1;
            let now = Time(START + self.tick * INTERVAL_MILLIS);
            self.rates.tick(&self.broker, now, Default::default);
        }

        fn rate(&self, name: &str) -> Option<f64> {
            let queues = self.vhost.all_queues();
            let queue = queues.iter().find(|queue| queue.name.as_str() == name).unwrap();
            let mut object = Map::new();
            self.rates.put_queue(&mut object, queue, &queue.figures(), &Ranges::default());
            object.get("message_stats")?["publish_details"]["rate"].as_f64()
        }
    }

    #[test]
    fn what_is_idle_is_not_looked_at() {
        let mut scene = Scene::new(1000);
        scene.tick();
        assert_eq!(scene.rates.watched(), (0, 0));
        assert_eq!(scene.rate("q7"), None, "it was never touched");
        scene.publish("q7");
        scene.tick();
        assert_eq!((scene.rates.watched(), scene.rate("q7")), ((1, 1), Some(0.2)));
        scene.publish("q7");
        scene.publish("q7");
        scene.tick();
        assert_eq!(scene.rate("q7"), Some(0.4));
        scene.tick();
        assert_eq!((scene.rates.watched(), scene.rate("q7")), ((1, 0), Some(0.0)));
        // It is stirred again, and then its series is old.
        scene.publish("q7");
        scene.tick();
        assert_eq!((scene.rates.watched(), scene.rate("q7")), ((1, 1), Some(0.2)));
        for _ in 0..TEN_MINUTES.samples + 2 * SWEEP_TICKS as usize {
            scene.tick();
        }
        assert_eq!(scene.rates.watched(), (0, 0));
        scene.publish("q7");
        scene.tick();
        assert_eq!(scene.rate("q7"), Some(0.2), "what was before is not counted twice");
    }

    #[test]
    fn series_of_many_queues_are_shorter() {
        assert_eq!(samples_each::<QUEUE_COLUMNS>(QUEUES_BYTES, 1), TEN_MINUTES.samples);
        let many = samples_each::<QUEUE_COLUMNS>(QUEUES_BYTES, 100_000);
        assert!((SAMPLES_MIN..20).contains(&many), "{many}");
        assert_eq!(samples_each::<QUEUE_COLUMNS>(QUEUES_BYTES, usize::MAX), SAMPLES_MIN);
    }

    #[test]
    fn deleted_queues_are_let_go() {
        let mut scene = Scene::new(1);
        scene.publish("q0");
        scene.tick();
        let queue = scene.vhost.all_queues().remove(0);
        scene.vhost.end_queue(&queue, Time(START), &mut Effects::default());
        for _ in 0..2 * SWEEP_TICKS {
            scene.tick();
        }
        assert_eq!(scene.rates.watched(), (0, 0));
        assert_eq!(Arc::strong_count(&queue), 1);
    }
}
