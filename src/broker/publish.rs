//! A connection's way in: routes what it publishes, gathers it by queue, and hands every queue its
//! share of a whole read at once.

use std::sync::Arc;

use smallvec::SmallVec;

use super::delay::{Delays, Entering};
use super::reply::token_of;
use super::route_cache::RouteCache;
use super::stats::{ConnectionStats, ExchangeStats};
use super::topology::{Routing, resource_exchange};
use super::vhost::Vhost;
use crate::message::{Message, Position, Queued, Traits, shortstrs};
use crate::protocol::{AmqpError, Properties, ReplyCode};
use crate::queue::{Arrival, Effects, Incoming, Queue};
use crate::storage::{Group as StoreGroup, LogPosition, MessageStore};
use crate::time::Time;

/// A publish that wants a confirmation: its channel and its number there.
pub type Confirm = (u16, u64);

/// Where a message goes. Valid until the next one is searched for.
#[derive(Debug, Clone, Copy)]
pub struct Way(Found);

#[derive(Debug, Clone, Copy)]
enum Found {
    /// In the cache, at this place.
    Cached(usize),
    /// In `fresh`: found by a search, and not to be remembered.
    Fresh { deduplicates: bool },
}

impl Way {
    /// An exchange on the way leaves out duplicates, which was put off: the message has to be searched
    /// for again when it is sure that it comes in.
    #[inline]
    pub fn deduplicates(self) -> bool {
        matches!(self.0, Found::Fresh { deduplicates: true })
    }
}

/// Where a message goes, kept for later.
#[derive(Debug, Default)]
pub struct Destinations {
    queues: Vec<Arc<Queue>>,
    /// Exchanges in which it waits before it goes on.
    delays: Vec<Arc<Delays>>,
    /// Tokens of direct replies.
    replies: Vec<String>,
    exchange: Option<Arc<ExchangeStats>>,
}

impl Destinations {
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.delays.is_empty() && self.replies.is_empty()
    }
}

/// What became of a flush.
#[derive(Debug, Default)]
pub struct Flushed {
    /// Persistent messages of this batch are safe once the store is durable up to here.
    pub log: Option<LogPosition>,
    /// What a queue refused (behaviour B8.9). One publish may stand here several times.
    pub rejected: Vec<Confirm>,
}

#[derive(Debug)]
struct Group {
    queue: Arc<Queue>,
    incoming: Vec<Incoming>,
}

/// Not a confirm, as the token of a message.
pub(super) const UNCONFIRMED: u32 = u32::MAX;

/// Message lists that are kept for the next batch, so that steady work allocates nothing.
const SPARE_LISTS: usize = 16;

/// One per connection.
pub struct Publisher {
    vhost: Arc<Vhost>,
    stats: Arc<ConnectionStats>,
    store: Arc<dyn MessageStore>,
    cache: RouteCache,
    fresh: Vec<Arc<Queue>>,
    fresh_delays: Vec<Arc<Delays>>,
    /// The exchange of the last search.
    fresh_exchange: Option<Arc<ExchangeStats>>,
    /// Routes with messages that their exchanges have not been told of.
    uncounted: Vec<usize>,
    replies: Vec<String>,
    groups: Vec<Group>,
    spare: Vec<Vec<Incoming>>,
    confirms: Vec<Confirm>,
    /// Messages of this batch that a queue keeps.
    stored: Vec<Message>,
    /// Messages of this batch that will wait in an exchange.
    delayed: Vec<(Arc<Delays>, Message)>,
    /// The number of the batch being gathered; routes remember their groups by it.
    epoch: u64,
    rejected: Vec<u32>,
    /// For exchanges that choose by chance; moves on with every search.
    random: u64,
    /// A persistent message of this batch was a duplicate.
    awaits_store: bool,
}

impl Publisher {
    /// For messages of no connection.
    pub fn new(vhost: Arc<Vhost>, store: Arc<dyn MessageStore>) -> Self {
        let stats = vhost.stats.own();
        Self::of_connection(vhost, store, stats)
    }

    pub fn of_connection(
        vhost: Arc<Vhost>,
        store: Arc<dyn MessageStore>,
        stats: Arc<ConnectionStats>,
    ) -> Self {
        Self {
            vhost,
            stats,
            store,
            cache: RouteCache::default(),
            fresh: Vec::new(),
            fresh_delays: Vec::new(),
            fresh_exchange: None,
            uncounted: Vec::new(),
            replies: Vec::new(),
            groups: Vec::new(),
            spare: Vec::new(),
            confirms: Vec::new(),
            stored: Vec::new(),
            delayed: Vec::new(),
            epoch: 1,
            rejected: Vec::new(),
            random: rand::random(),
            awaits_store: false,
        }
    }

    /// Finds the queues for an address (exchange and routing key as two shortstrs). Errors: CH 404
    /// when the exchange is missing, CH 403 when it is internal.
    #[inline]
    pub fn find_way(
        &mut self,
        address: &[u8],
        properties: &Properties<'_>,
    ) -> Result<Way, AmqpError> {
        match self.known_way(address) {
            Some(way) => Ok(way),
            None => self.search(address, &[], properties, None),
        }
    }

    /// What was found for this address before, and still holds.
    #[inline]
    pub fn known_way(&mut self, address: &[u8]) -> Option<Way> {
        let generation = self.vhost.generation();
        if self.cache.is_older_than(generation) {
            self.tell_exchanges();
        }
        let route = self.cache.find(address, generation)?;
        Some(Way(Found::Cached(route)))
    }

    /// From here on no way is known. What was gathered goes where it was to go.
    #[cold]
    pub fn forget_ways(&mut self) {
        self.tell_exchanges();
        self.cache = RouteCache::default();
    }

    /// The same for a message with more routing keys than one, from its CC and BCC headers (behaviour
    /// B6.3), or for one that arrives now at exchanges that leave out duplicates.
    #[cold]
    pub fn search(
        &mut self,
        address: &[u8],
        extra_keys: &[&[u8]],
        properties: &Properties<'_>,
        arrives: Option<Time>,
    ) -> Result<Way, AmqpError> {
        let (exchange, routing_key) = shortstrs(address);
        let exchange_name = String::from_utf8_lossy(exchange);
        let mut keys: SmallVec<[&[u8]; 4]> = SmallVec::new();
        keys.push(routing_key);
        keys.extend_from_slice(extra_keys);
        // An odd step meets every number once before it meets one again.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        // Read before routing: a change meanwhile makes what we remember void, never stale.
        let generation = self.vhost.generation();
        let way = self.vhost.read(|topology| {
            if topology.exchange(&exchange_name)?.internal {
                let resource = resource_exchange(&exchange_name, &self.vhost.name);
                let text = format!("cannot publish to internal {resource}");
                return Err(AmqpError::new(ReplyCode::AccessRefused, text));
            }
            let (keys, random) = (&keys[..], self.random);
            let routing = Routing { keys, properties, random, arrives, has_waited: false };
            topology.route(&exchange_name, &routing)
        })?;
        self.awaits_store |= way.is_duplicate && Traits::of(properties).persistent;
        (self.fresh, self.fresh_delays) = (way.queues, way.delays);
        self.fresh_exchange = way.exchange;
        self.replies.clear();
        if exchange.is_empty() {
            let tokens = keys.iter().filter_map(|key| token_of(key)).map(str::to_owned);
            self.replies.extend(tokens);
        }
        if way.cacheable && extra_keys.is_empty() && self.replies.is_empty() {
            // Numbers of routes mean others from now on, if the cache starts anew.
            self.tell_exchanges();
            self.cache.find(address, generation);
            if let Some(exchange) = &self.fresh_exchange
                && let Some(route) = self.cache.store(address, generation, &self.fresh, exchange)
            {
                return Ok(Way(Found::Cached(route)));
            }
        }
        Ok(Way(Found::Fresh { deduplicates: way.deduplicates }))
    }

    /// Whether a message would arrive anywhere; if not, `mandatory` returns it (behaviour B6.4). A
    /// well-formed reply name counts, whether or not the requester is still there (behaviour B9.4).
    #[inline]
    pub fn arrives(&mut self, way: Way) -> bool {
        match way.0 {
            Found::Cached(route) => {
                self.cache.route_mut(route).is_some_and(|route| !route.queues.is_empty())
            }
            // What waits here is not asked yet whether it will arrive (behaviour B4.18).
            Found::Fresh { .. } => {
                !(self.fresh.is_empty() && self.replies.is_empty() && self.fresh_delays.is_empty())
            }
        }
    }

    /// A message goes this way. Its exchange hears of it with the batch.
    #[inline]
    pub fn count(&mut self, way: Way) {
        match way.0 {
            Found::Cached(index) => {
                if let Some(route) = self.cache.route_mut(index) {
                    if route.uncounted == 0 {
                        self.uncounted.push(index);
                    }
                    route.uncounted += 1;
                }
            }
            Found::Fresh { .. } => {
                if let Some(exchange) = &self.fresh_exchange {
                    let passed = self.fresh.len() as u64;
                    exchange.count(1, passed, &self.vhost.stats);
                    self.stats.routed.add(passed);
                }
            }
        }
    }

    /// The same for destinations that were found earlier.
    pub fn count_to(&self, destinations: &Destinations) {
        let passed = destinations.queues.len() as u64;
        if let Some(exchange) = &destinations.exchange {
            exchange.count(1, passed, &self.vhost.stats);
        }
        self.stats.routed.add(passed);
    }

    /// Tells exchanges how many messages they got and passed on. To be called at the end of a batch in
    /// which there was nothing to flush.
    #[inline]
    pub fn tell_exchanges(&mut self) {
        for index in self.uncounted.drain(..) {
            if let Some(route) = self.cache.route_mut(index) {
                let count = u64::from(std::mem::take(&mut route.uncounted));
                let passed = count * route.queues.len() as u64;
                self.stats.routed.add(passed);
                route.exchange.count(count, passed, &self.vhost.stats);
            }
        }
    }

    /// Where a way leads, for a transaction that delivers later.
    pub fn destinations(&mut self, way: Way) -> Destinations {
        match way.0 {
            Found::Cached(route) => {
                let Some(route) = self.cache.route_mut(route) else {
                    return Destinations::default();
                };
                let exchange = Some(Arc::clone(&route.exchange));
                let queues = route.queues.to_vec();
                Destinations { queues, exchange, ..Destinations::default() }
            }
            Found::Fresh { .. } => self.take_fresh(),
        }
    }

    fn take_fresh(&mut self) -> Destinations {
        Destinations {
            queues: self.fresh.clone(),
            delays: std::mem::take(&mut self.fresh_delays),
            replies: std::mem::take(&mut self.replies),
            exchange: self.fresh_exchange.clone(),
        }
    }

    /// Adds a message to the batch.
    #[inline]
    pub fn gather(
        &mut self,
        way: Way,
        message: Message,
        confirm: Option<Confirm>,
        effects: &mut Effects,
    ) {
        let token = self.token(confirm);
        let Found::Cached(index) = way.0 else {
            self.gather_fresh(&message, token, effects);
            return;
        };
        let Some(route) = self.cache.route_mut(index) else {
            return;
        };
        if route.epoch != self.epoch {
            route.epoch = self.epoch;
            route.groups.clear();
            for queue in &route.queues {
                let group = group_for(&mut self.groups, &mut self.spare, queue);
                route.groups.push(u32::try_from(group).unwrap_or(u32::MAX));
            }
        }
        let Some((last, others)) = route.groups.split_last() else {
            return;
        };
        let stored = match route.keeps.includes(&message) {
            true => add_stored(&mut self.stored, &message),
            false => Incoming::NOT_STORED,
        };
        for group in others {
            if let Some(group) = self.groups.get_mut(*group as usize) {
                group.incoming.push(Incoming { message: message.clone(), token, stored });
            }
        }
        if let Some(group) = self.groups.get_mut(*last as usize) {
            group.incoming.push(Incoming { message, token, stored });
        }
    }

    fn gather_fresh(&mut self, message: &Message, token: u32, effects: &mut Effects) {
        let destinations = self.take_fresh();
        self.gather_token(&destinations, message, token, effects);
    }

    /// Adds a message for destinations that were found earlier, as a commit does.
    pub fn gather_to(
        &mut self,
        destinations: &Destinations,
        message: &Message,
        confirm: Option<Confirm>,
        effects: &mut Effects,
    ) {
        let token = self.token(confirm);
        self.gather_token(destinations, message, token, effects);
    }

    fn gather_token(
        &mut self,
        destinations: &Destinations,
        message: &Message,
        token: u32,
        effects: &mut Effects,
    ) {
        let kept = destinations.queues.iter().any(|queue| queue.keeps.includes(message));
        let stored = match kept {
            true => add_stored(&mut self.stored, message),
            false => Incoming::NOT_STORED,
        };
        for queue in &destinations.queues {
            let group = group_for(&mut self.groups, &mut self.spare, queue);
            if let Some(group) = self.groups.get_mut(group) {
                group.incoming.push(Incoming { message: message.clone(), token, stored });
            }
        }
        for delays in &destinations.delays {
            self.delayed.push((Arc::clone(delays), message.clone()));
        }
        for reply in &destinations.replies {
            let queued = Queued {
                message: message.clone(),
                position: Position(0),
                deadline: Time::NEVER,
                redelivered: false,
                kept: false,
                delivery_count: 0,
            };
            self.vhost.reply(reply, queued, effects);
        }
    }

    fn token(&mut self, confirm: Option<Confirm>) -> u32 {
        let Some(confirm) = confirm else {
            return UNCONFIRMED;
        };
        self.confirms.push(confirm);
        u32::try_from(self.confirms.len() - 1).unwrap_or(UNCONFIRMED)
    }

    pub fn has_gathered(&self) -> bool {
        !self.groups.is_empty() || !self.delayed.is_empty()
    }

    /// Hands every queue its share. The locks taken are gone when this returns; `effects` says whom to
    /// wake and what died.
    pub fn flush(&mut self, group: StoreGroup, now: Time, effects: &mut Effects) -> Flushed {
        self.tell_exchanges();
        let mut flushed = Flushed::default();
        let mut arrival = Arrival { by_client: true, ..Arrival::of(group, now) };
        // Held until the last queue has taken its share.
        let entering = self.enter_delays(now);
        let stored =
            (!self.stored.is_empty()).then(|| self.store.store(&mut self.stored.iter(), now));
        if let Some(stored) = &stored {
            arrival.first_stored = stored.first;
            self.stored.clear();
        }
        for mut group in self.groups.drain(..) {
            let Group { queue, incoming } = &mut group;
            let log = queue.publish(incoming, arrival, &mut self.rejected, effects);
            flushed.log = flushed.log.max(log);
            if self.spare.len() < SPARE_LISTS {
                self.spare.push(group.incoming);
            }
        }
        drop(entering);
        if std::mem::take(&mut self.awaits_store) {
            // That a duplicate is confirmed says that the message is safe, which is the other one's.
            flushed.log = flushed.log.max(Some(self.store.position()));
        }
        for token in self.rejected.drain(..) {
            flushed.rejected.extend(self.confirms.get(token as usize));
        }
        self.confirms.clear();
        self.epoch += 1;
        flushed
    }

    /// Finds the queues in which messages wait, and gathers them for those.
    fn enter_delays(&mut self, now: Time) -> Vec<Entering> {
        let mut entering = Vec::new();
        for (delays, message) in std::mem::take(&mut self.delayed) {
            let Some(entry) = delays.enter(&message, now) else { continue };
            let stored = match entry.queue.keeps.includes(&entry.message) {
                true => add_stored(&mut self.stored, &entry.message),
                false => Incoming::NOT_STORED,
            };
            let group = group_for(&mut self.groups, &mut self.spare, &entry.queue);
            if let Some(group) = self.groups.get_mut(group) {
                let message = entry.message.clone();
                group.incoming.push(Incoming { message, token: UNCONFIRMED, stored });
            }
            entering.push(entry);
        }
        entering
    }

    /// Gives back what steady work keeps, when there has been none for a while.
    pub fn shrink(&mut self) {
        self.spare = Vec::new();
        self.confirms = Vec::new();
        self.stored = Vec::new();
        self.uncounted = Vec::new();
        self.fresh = Vec::new();
        self.groups = Vec::new();
    }
}

/// Adds a message to what the store gets with this batch, and says at which place.
#[inline]
pub(super) fn add_stored(stored: &mut Vec<Message>, message: &Message) -> u32 {
    stored.push(message.clone());
    u32::try_from(stored.len() - 1).unwrap_or(Incoming::NOT_STORED)
}

/// The group of a queue in the current batch, made if need be.
fn group_for(groups: &mut Vec<Group>, spare: &mut Vec<Vec<Incoming>>, queue: &Arc<Queue>) -> usize {
    if let Some(index) = groups.iter().position(|group| Arc::ptr_eq(&group.queue, queue)) {
        return index;
    }
    let incoming = spare.pop().unwrap_or_default();
    groups.push(Group { queue: Arc::clone(queue), incoming });
    groups.len() - 1
}
