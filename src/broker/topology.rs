//! Exchanges, queues and the bindings between them: the plain data behind a vhost's lock.

// A queue as a key is its address, which nothing inside it changes.
#![allow(clippy::mutable_key_type)]

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::deduplication::Deduplication;
use super::delay::{Delays, delay_of};
use super::policy::Policies;
use super::stats::{ExchangeCounts, ExchangeStats};
use crate::exchange::{Binding, ExchangeKind, ExchangeType, RoutingView, Target, digest, mix};
use crate::names::{ExchangeName, QueueName, RoutingKey, VhostName};
use crate::protocol::{AmqpError, FieldTable, FieldValue, Properties, ReplyCode};
use crate::queue::{ConnectionId, Queue, check_equivalent};
use crate::storage::{BindingRecord, Change};
use crate::time::Time;

/// What `exchange.declare` says of an exchange.
#[derive(Clone, Debug)]
pub struct ExchangeDeclaration {
    pub kind: ExchangeKind,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
    pub arguments: FieldTable,
}

/// The end of a binding, as a client names it.
#[derive(Clone, Debug)]
pub enum BindingEnd {
    /// With the connection that asks: an exclusive queue takes bindings from its owner only.
    Queue(QueueName, ConnectionId),
    Exchange(ExchangeName),
}

/// What a bind made or found.
pub(super) struct Bound {
    pub(super) is_new: bool,
    /// What is stored of it; `None` unless both ends are durable.
    pub(super) record: Option<BindingRecord>,
}

/// Changes of durable definitions that a removal brought about, in order.
pub(super) type Removed = Vec<Change>;

/// Where a binding leads. Queues are compared by identity: a queue that was deleted and declared
/// again is another one.
#[derive(Clone, Debug)]
pub(super) enum Destination {
    Queue(Arc<Queue>),
    Exchange(ExchangeName),
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Queue(one), Self::Queue(two)) => Arc::ptr_eq(one, two),
            (Self::Exchange(one), Self::Exchange(two)) => one == two,
            _ => false,
        }
    }
}

impl Eq for Destination {}

impl Hash for Destination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Queue(queue) => Arc::as_ptr(queue).hash(state),
            Self::Exchange(name) => name.hash(state),
        }
    }
}

/// A queue that was deleted and declared again is another one, but it gets what its forerunner got.
impl Target for Destination {
    fn digest(&self) -> u64 {
        match self {
            Self::Queue(queue) => digest(b'q', queue.name.as_bytes()),
            Self::Exchange(name) => digest(b'x', name.as_bytes()),
        }
    }
}

struct Exchange {
    declaration: ExchangeDeclaration,
    /// By argument, or else by policy.
    alternate: Option<ExchangeName>,
    router: Box<dyn ExchangeType<Destination>>,
    deduplication: Option<Box<Deduplication>>,
    /// What waits here, if the exchange delays.
    delays: Option<Arc<Delays>>,
    stats: Arc<ExchangeStats>,
    bindings: HashSet<Binding<Destination>>,
}

impl Exchange {
    fn visit_alternate<'a>(&'a self, visited: &mut Vec<&'a str>) {
        if let Some(alternate) = &self.alternate
            && !visited.contains(&alternate.as_str())
        {
            visited.push(alternate.as_str());
        }
    }
}

/// What a message is routed by.
pub(super) struct Routing<'a> {
    pub(super) keys: &'a [&'a [u8]],
    pub(super) properties: &'a Properties<'a>,
    /// Any number, another one for each message.
    pub(super) random: u64,
    /// When the message arrives at exchanges that leave out duplicates; `None` only looks where it
    /// would go if it were none.
    pub(super) arrives: Option<Time>,
    /// The message has waited in the first exchange, and goes on from there.
    pub(super) has_waited: bool,
}

/// The result of routing a message.
#[derive(Default)]
pub(super) struct Way {
    pub(super) queues: Vec<Arc<Queue>>,
    /// Where it waits before it goes on.
    pub(super) delays: Vec<Arc<Delays>>,
    /// The same address leads the same way until the topology changes.
    pub(super) cacheable: bool,
    /// There is an exchange on it that leaves out duplicates.
    pub(super) deduplicates: bool,
    /// Such an exchange knew the message.
    pub(super) is_duplicate: bool,
    /// The exchange where it began.
    pub(super) exchange: Option<Arc<ExchangeStats>>,
}

pub(super) struct Topology {
    vhost: VhostName,
    pub(super) policies: Policies,
    exchanges: AHashMap<ExchangeName, Exchange>,
    queues: AHashMap<QueueName, Arc<Queue>>,
    /// Which exchanges have bindings to a destination, so that it can be removed without a search.
    incoming: HashMap<Destination, HashSet<(ExchangeName, Binding<Destination>)>>,
}

impl Topology {
    /// With the predeclared exchanges (behaviour B4.1).
    pub(super) fn new(vhost: VhostName) -> Self {
        let mut topology = Self {
            vhost,
            policies: Policies::default(),
            exchanges: AHashMap::new(),
            queues: AHashMap::new(),
            incoming: HashMap::new(),
        };
        let predeclared = [
            ("", ExchangeKind::Direct, false),
            ("amq.direct", ExchangeKind::Direct, false),
            ("amq.fanout", ExchangeKind::Fanout, false),
            ("amq.topic", ExchangeKind::Topic, false),
            ("amq.headers", ExchangeKind::Headers, false),
            ("amq.match", ExchangeKind::Headers, false),
            ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
        ];
        for (name, kind, internal) in predeclared {
            let declaration = ExchangeDeclaration {
                kind,
                durable: true,
                auto_delete: false,
                internal,
                arguments: FieldTable::default(),
            };
            topology.add_exchange(ExchangeName::from(name), declaration, None);
        }
        topology
    }

    pub(super) fn exchange(&self, name: &str) -> Result<&ExchangeDeclaration, AmqpError> {
        let missing =
            || AmqpError::new(ReplyCode::NotFound, format!("no {}", self.exchange_text(name)));
        self.exchanges.get(name).map(|exchange| &exchange.declaration).ok_or_else(missing)
    }

    pub(super) fn queue(&self, name: &str) -> Result<Arc<Queue>, AmqpError> {
        let missing = || {
            let text = format!("no {}", resource_queue(name, &self.vhost));
            AmqpError::new(ReplyCode::NotFound, text)
        };
        self.queues.get(name).cloned().ok_or_else(missing)
    }

    /// True when the exchange is there and just so, false when it may be created (behaviour B4.2,
    /// B4.3).
    pub(super) fn check_exchange(
        &self,
        name: &ExchangeName,
        received: &ExchangeDeclaration,
    ) -> Result<bool, AmqpError> {
        let Ok(current) = self.exchange(name.as_str()) else {
            if name.as_str().starts_with("amq.") {
                let text = format!("exchange name '{name}' contains reserved prefix 'amq.*'");
                return Err(AmqpError::new(ReplyCode::AccessRefused, text));
            }
            let resource = self.exchange_text(name.as_str());
            alternate_of(&received.arguments, &resource)?;
            received.kind.validate(&received.arguments, &resource)?;
            Deduplication::parse(received)?;
            return Ok(false);
        };
        let pairs = [
            ("type", received.kind.to_string(), current.kind.to_string()),
            ("durable", received.durable.to_string(), current.durable.to_string()),
            ("auto_delete", received.auto_delete.to_string(), current.auto_delete.to_string()),
            ("internal", received.internal.to_string(), current.internal.to_string()),
        ];
        let resource = self.exchange_text(name.as_str());
        for (field, received, current) in pairs {
            if received != current {
                let text = format!(
                    "inequivalent arg '{field}' for {resource}: received '{received}' but current is '{current}'"
                );
                return Err(AmqpError::new(ReplyCode::PreconditionFailed, text));
            }
        }
        let argument = "alternate-exchange";
        check_equivalent(
            argument,
            received.arguments.get(argument),
            current.arguments.get(argument),
            &resource,
        )?;
        Ok(true)
    }

    pub(super) fn add_exchange(
        &mut self,
        name: ExchangeName,
        declaration: ExchangeDeclaration,
        delays: Option<Arc<Delays>>,
    ) {
        let alternate = alternate(&self.policies, &name, &declaration);
        let router = declaration.kind.router(&declaration.arguments);
        let deduplication = Deduplication::parse(&declaration).ok().flatten();
        let exchange = Exchange {
            declaration,
            alternate,
            router,
            deduplication,
            delays,
            stats: Arc::default(),
            bindings: HashSet::new(),
        };
        self.exchanges.insert(name, exchange);
    }

    pub(super) fn exchange_stats(&self, exchange: &str) -> Option<Arc<ExchangeStats>> {
        self.exchanges.get(exchange).map(|exchange| Arc::clone(&exchange.stats))
    }

    pub(super) fn exchange_figures(
        &self,
    ) -> impl Iterator<Item = (ExchangeName, &'static str, usize, ExchangeCounts)> {
        self.exchanges.iter().map(|(name, exchange)| {
            let kind = exchange.declaration.kind.as_str();
            (name.clone(), kind, exchange.bindings.len(), exchange.stats.counts())
        })
    }

    pub(super) fn all_exchange_stats(
        &self,
    ) -> impl ExactSizeIterator<Item = (&ExchangeName, &Arc<ExchangeStats>)> {
        self.exchanges.iter().map(|(name, exchange)| (name, &exchange.stats))
    }

    pub(super) fn delays(&self, exchange: &str) -> Option<&Arc<Delays>> {
        self.exchanges.get(exchange)?.delays.as_ref()
    }

    pub(super) fn all_delays(&self) -> Vec<(ExchangeName, Arc<Delays>)> {
        let delays = |(name, exchange): (&ExchangeName, &Exchange)| {
            exchange.delays.clone().map(|delays| (name.clone(), delays))
        };
        self.exchanges.iter().filter_map(delays).collect()
    }

    pub(super) fn exchanges(&self) -> impl Iterator<Item = (&ExchangeName, &ExchangeDeclaration)> {
        self.exchanges.iter().map(|(name, exchange)| (name, &exchange.declaration))
    }

    /// All bindings that somebody made, and where they begin.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (&ExchangeName, &Binding<Destination>)> {
        let all = self.exchanges.iter();
        all.flat_map(|(name, exchange)| std::iter::repeat(name).zip(&exchange.bindings))
    }

    pub(super) fn bindings_from(
        &self,
        source: &str,
    ) -> impl Iterator<Item = (&ExchangeName, &Binding<Destination>)> {
        let exchange = self.exchanges.get_key_value(source).into_iter();
        exchange.flat_map(|(name, exchange)| std::iter::repeat(name).zip(&exchange.bindings))
    }

    pub(super) fn bindings_to(
        &self,
        destination: &Destination,
    ) -> impl Iterator<Item = (&ExchangeName, &Binding<Destination>)> {
        let incoming = self.incoming.get(destination).into_iter().flatten();
        incoming.map(|(source, binding)| (source, binding))
    }

    pub(super) fn queues_iter(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.queues.values()
    }

    pub(super) fn queues(&self) -> Vec<Arc<Queue>> {
        self.queues.values().cloned().collect()
    }

    /// The queue is new: nothing in it can be at odds with a policy.
    pub(super) fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Nothing is left, not even what every vhost has.
    pub(super) fn clear(&mut self) {
        for delays in self.exchanges.values().filter_map(|exchange| exchange.delays.as_ref()) {
            delays.end();
        }
        self.exchanges.clear();
        self.queues.clear();
        self.incoming.clear();
        self.policies = Policies::default();
    }

    pub(super) fn add_queue(&mut self, queue: Arc<Queue>) {
        configure(&self.policies, &queue);
        self.queues.insert(queue.name.clone(), queue);
    }

    /// The policies have changed. Returns the queues for which that changes anything, for the caller
    /// to enforce it when the lock is gone.
    pub(super) fn apply_policies(&mut self) -> Vec<Arc<Queue>> {
        for (name, exchange) in &mut self.exchanges {
            exchange.alternate = alternate(&self.policies, name, &exchange.declaration);
        }
        let changed = self.queues.values().filter(|queue| configure(&self.policies, queue));
        changed.cloned().collect()
    }

    /// Behaviour B4.5. The exchange exists; the caller has refused the system's own.
    pub(super) fn delete_exchange(
        &mut self,
        name: &str,
        if_unused: bool,
    ) -> Result<Removed, AmqpError> {
        let in_use = self.exchanges.get(name).is_some_and(|exchange| !exchange.bindings.is_empty());
        if if_unused && in_use {
            let text = format!("{} in use", self.exchange_text(name));
            return Err(AmqpError::new(ReplyCode::PreconditionFailed, text));
        }
        let mut removed = Removed::new();
        self.remove_exchange(name, &mut removed);
        Ok(removed)
    }

    /// Takes a queue and its bindings out, unless another one has its name by now.
    pub(super) fn remove_queue(&mut self, queue: &Arc<Queue>) -> Removed {
        let mut removed = Removed::new();
        let name = queue.name.as_str();
        if !self.queues.get(name).is_some_and(|current| Arc::ptr_eq(current, queue)) {
            return removed;
        }
        self.queues.remove(name);
        self.remove_incoming(&Destination::Queue(Arc::clone(queue)), &mut removed);
        if queue.log.is_some() {
            removed.push(Change::DeleteQueue { name: queue.name.clone() });
        }
        removed
    }

    fn remove_exchange(&mut self, name: &str, removed: &mut Removed) {
        let Some((name, exchange)) = self.exchanges.get_key_value(name) else {
            return;
        };
        let name = name.clone();
        // As long as both ends are there it can be told which bindings are stored.
        let stored = exchange.bindings.iter().filter_map(|binding| self.record(&name, binding));
        removed.extend(stored.map(Change::DeleteBinding));
        let incoming = self.incoming.get(&Destination::Exchange(name.clone()));
        let stored = incoming
            .into_iter()
            .flatten()
            .filter(|(source, _)| *source != name)
            .filter_map(|(source, binding)| self.record(source, binding));
        removed.extend(stored.map(Change::DeleteBinding));
        let Some(exchange) = self.exchanges.remove(&name) else {
            return;
        };
        if let Some(delays) = &exchange.delays {
            delays.end();
        }
        for binding in &exchange.bindings {
            self.forget_incoming(&name, binding);
        }
        if exchange.declaration.durable {
            removed.push(Change::DeleteExchange { name: name.clone() });
        }
        self.remove_incoming(&Destination::Exchange(name), removed);
    }

    /// Removes all bindings that lead to a destination, and the auto-delete exchanges that thereby
    /// lost their last one (behaviour B4.6).
    fn remove_incoming(&mut self, destination: &Destination, removed: &mut Removed) {
        for (source, binding) in self.incoming.remove(destination).unwrap_or_default() {
            self.remove_binding(&source, &binding, removed);
        }
    }

    fn remove_binding(
        &mut self,
        source: &ExchangeName,
        binding: &Binding<Destination>,
        removed: &mut Removed,
    ) {
        let Some(exchange) = self.exchanges.get_mut(source) else { return };
        if !exchange.bindings.remove(binding) {
            return;
        }
        exchange.router.unbind(binding);
        let over = exchange.declaration.auto_delete && exchange.bindings.is_empty();
        self.forget_incoming(source, binding);
        if let Some(record) = self.record(source, binding) {
            removed.push(Change::DeleteBinding(record));
        }
        if over {
            self.remove_exchange(source.as_str(), removed);
        }
    }

    fn forget_incoming(&mut self, source: &ExchangeName, binding: &Binding<Destination>) {
        if let Some(known) = self.incoming.get_mut(&binding.destination) {
            known.remove(&(source.clone(), binding.clone()));
            if known.is_empty() {
                self.incoming.remove(&binding.destination);
            }
        }
    }

    /// Behaviour B4.8.
    pub(super) fn bind(
        &mut self,
        source: &str,
        end: &BindingEnd,
        routing_key: RoutingKey,
        arguments: FieldTable,
    ) -> Result<Bound, AmqpError> {
        self.exchange(source)?;
        let destination = self.destination(end)?;
        let binding = Binding { routing_key, arguments, destination };
        let source = ExchangeName::from(source);
        let record = self.record(&source, &binding);
        let Some(exchange) = self.exchanges.get_mut(&source) else {
            return Ok(Bound { is_new: false, record });
        };
        exchange.router.validate(&binding.routing_key, &binding.arguments)?;
        let is_new = exchange.bindings.insert(binding.clone());
        if is_new {
            exchange.router.bind(&binding);
            let incoming = self.incoming.entry(binding.destination.clone()).or_default();
            incoming.insert((source, binding));
        }
        Ok(Bound { is_new, record })
    }

    /// Behaviour B4.8: anybody may unbind what is not bound; what is bound to an exclusive queue, its
    /// owner alone.
    pub(super) fn unbind(
        &mut self,
        source: &str,
        end: &BindingEnd,
        routing_key: &RoutingKey,
        arguments: &FieldTable,
    ) -> Result<Option<Removed>, AmqpError> {
        let destination = match end {
            BindingEnd::Queue(name, _) => self.queues.get(name).cloned().map(Destination::Queue),
            BindingEnd::Exchange(name) => Some(Destination::Exchange(name.clone())),
        };
        let Some(destination) = destination else { return Ok(None) };
        let (routing_key, arguments) = (routing_key.clone(), arguments.clone());
        let binding = Binding { routing_key, arguments, destination };
        let source = ExchangeName::from(source);
        let bound = |exchange: &Exchange| exchange.bindings.contains(&binding);
        if !self.exchanges.get(&source).is_some_and(bound) {
            return Ok(None);
        }
        self.destination(end)?;
        let mut removed = Removed::new();
        self.remove_binding(&source, &binding, &mut removed);
        Ok(Some(removed))
    }

    fn destination(&self, end: &BindingEnd) -> Result<Destination, AmqpError> {
        match end {
            BindingEnd::Queue(name, connection) => {
                let queue = self.queue(name.as_str())?;
                match queue.declaration.owner {
                    Some(owner) if owner != *connection => {
                        Err(super::vhost::locked(&resource_queue(name.as_str(), &self.vhost)))
                    }
                    _ => Ok(Destination::Queue(queue)),
                }
            }
            BindingEnd::Exchange(name) => {
                self.exchange(name.as_str())?;
                Ok(Destination::Exchange(name.clone()))
            }
        }
    }

    /// A binding is durable when both its ends are (behaviour B4.15).
    fn record(
        &self,
        source: &ExchangeName,
        binding: &Binding<Destination>,
    ) -> Option<BindingRecord> {
        let durable = |name: &str| self.exchange(name).is_ok_and(|exchange| exchange.durable);
        let (end_durable, to_queue, destination) = match &binding.destination {
            Destination::Queue(queue) => (queue.log.is_some(), true, queue.name.to_string()),
            Destination::Exchange(name) => (durable(name.as_str()), false, name.to_string()),
        };
        (durable(source.as_str()) && end_durable).then(|| BindingRecord {
            source: source.clone(),
            to_queue,
            destination,
            routing_key: binding.routing_key.clone(),
            arguments: binding.arguments.clone(),
        })
    }

    /// Every queue a message reaches, each once, over exchange bindings and alternate exchanges
    /// (behaviour B4.9, B4.13). Each exchange is visited once, so cycles end.
    pub(super) fn route(&self, exchange: &str, routing: &Routing<'_>) -> Result<Way, AmqpError> {
        self.exchange(exchange)?;
        let Routing { keys, properties, random, arrives, has_waited } = *routing;
        let first = self.exchanges.get(exchange).map(|exchange| Arc::clone(&exchange.stats));
        let mut way = Way { cacheable: true, exchange: first, ..Way::default() };
        let mut seen: AHashSet<*const Queue> = AHashSet::new();
        let mut visited: Vec<&str> = vec![exchange];
        let mut next = 0;
        while let Some(name) = visited.get(next).copied() {
            next += 1;
            let Some(exchange) = self.exchanges.get(name) else {
                continue;
            };
            // What has waited here was looked at when it came.
            let is_new_here = !has_waited || next > 1;
            if let Some(deduplication) = exchange.deduplication.as_ref().filter(|_| is_new_here) {
                (way.cacheable, way.deduplicates) = (false, true);
                if arrives.is_some_and(|now| deduplication.is_duplicate(properties, now)) {
                    way.is_duplicate = true;
                    if deduplication.to_alternate {
                        exchange.visit_alternate(&mut visited);
                    }
                    continue;
                }
            }
            if let Some(delays) = exchange.delays.as_ref().filter(|_| is_new_here) {
                way.cacheable = false;
                if delay_of(properties).is_some() {
                    way.delays.push(Arc::clone(delays));
                    continue;
                }
            }
            let mut any = false;
            let mut found = |destination: &Destination| {
                any = true;
                match destination {
                    Destination::Queue(queue) => {
                        if seen.insert(Arc::as_ptr(queue)) {
                            way.queues.push(Arc::clone(queue));
                        }
                    }
                    Destination::Exchange(to) => {
                        if let Some((to, _)) = self.exchanges.get_key_value(to)
                            && !visited.contains(&to.as_str())
                        {
                            visited.push(to.as_str());
                        }
                    }
                }
            };
            let keys_max = if exchange.router.is_choice() { 1 } else { keys.len() };
            // Two exchanges on one way must not choose alike.
            let random = mix(random.wrapping_add(next as u64));
            for key in keys.iter().take(keys_max) {
                if name.is_empty() {
                    // The default exchange is bound to every queue by its name.
                    let queue = std::str::from_utf8(key).ok().and_then(|key| self.queues.get(key));
                    if let Some(queue) = queue {
                        found(&Destination::Queue(Arc::clone(queue)));
                    }
                } else {
                    let view = RoutingView { routing_key: key, properties, random };
                    exchange.router.route(&view, &mut found);
                }
            }
            way.cacheable &= exchange.router.by_key_only();
            if !any {
                exchange.visit_alternate(&mut visited);
            }
        }
        Ok(way)
    }

    fn exchange_text(&self, name: &str) -> String {
        resource_exchange(name, &self.vhost)
    }
}

/// Makes a queue go by its arguments and policies. True when that changed anything.
fn configure(policies: &Policies, queue: &Queue) -> bool {
    let arguments = &queue.declaration.options;
    let rules = policies.for_queue(queue.name.as_str(), arguments.kind).rules();
    queue.configure(rules.map_or_else(|| (**arguments).clone(), |rules| rules.with(arguments)))
}

/// Where an exchange's unroutable messages go: the argument wins (behaviour B10.9).
fn alternate(
    policies: &Policies,
    name: &ExchangeName,
    declaration: &ExchangeDeclaration,
) -> Option<ExchangeName> {
    let argument = alternate_of(&declaration.arguments, "").ok().flatten();
    argument.or_else(|| {
        let policy = policies.for_exchange(name.as_str())?;
        policy.alternate_exchange().map(ExchangeName::from)
    })
}

/// The `alternate-exchange` argument (behaviour B4.2, B4.13).
fn alternate_of(arguments: &FieldTable, resource: &str) -> Result<Option<ExchangeName>, AmqpError> {
    let name = "alternate-exchange";
    match arguments.get(name) {
        None => Ok(None),
        Some(value @ FieldValue::LongString(_)) => Ok(value.as_str().map(ExchangeName::from)),
        Some(other) => {
            let text =
                format!("invalid type '{}' for arg '{name}' in {resource}", other.type_name());
            Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
        }
    }
}

/// `queue 'q' in vhost '/'`, as all texts say it.
pub fn resource_queue(name: &str, vhost: &VhostName) -> String {
    format!("queue '{name}' in vhost '{vhost}'")
}

/// `exchange 'x' in vhost '/'`, as all texts say it.
pub fn resource_exchange(name: &str, vhost: &VhostName) -> String {
    format!("exchange '{name}' in vhost '{vhost}'")
}
