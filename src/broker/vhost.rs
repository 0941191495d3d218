//! A virtual host: its topology behind one lock, and what may be done to it.
//!
//! Every operation here checks, changes the topology under the write lock, and hands the change of a
//! durable thing to the definition store under the same lock, so that the store has the changes in the
//! order in which they happened. The answer says whether the client may be told now. Who finds done
//! what it asks for may not be told before those who did it: it waits for what is pending.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::Limits;
use super::delay::{Delays, delays};
use super::group_pager::GroupPager;
use super::metadata::VhostMetadata;
use super::parameters::Parameters;
use super::reply::{REPLY_TO, ReplyNames, ReplyTarget, random_token, token_of};
use super::schedule::{Schedule, Timed};
use super::stats::{Churn, ExchangeCounts, ExchangeStats, VhostStats};
use super::topology::{BindingEnd, ExchangeDeclaration, Removed, Topology, resource_queue};
use crate::delivery::{Delivery, Outgoing};
use crate::exchange::ExchangeKind;
use crate::message::Queued;
use crate::names::{AUDIT, ExchangeName, QueueName, RoutingKey, VhostName};
use crate::protocol::{AmqpError, FieldTable, ReplyCode};
use crate::queue::{
    ConnectionId, Declaration, Effects, NotDeleted, Paging, Queue, QueueKind, QueueLog,
    Undelivered, check_equivalent_arguments,
};
use crate::storage::{
    Change, Commit, DELAY_QUEUES, DefinitionStore, ExchangeRecord, Group, LogPosition,
    MessageStore, Pager, QueueId, QueueRecord, StoreError,
};
use crate::time::Time;

/// What a declare found or made.
#[derive(Debug)]
pub struct DeclaredQueue {
    pub queue: Arc<Queue>,
    pub commit: Commit,
}

const QUEUE_TYPE: &str = "x-queue-type";

/// Called when a change that was not durable at once has become so.
pub type Notify<'a> = &'a dyn Fn() -> Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub struct Vhost {
    pub name: VhostName,
    /// Itself, for what has to find the way back.
    pub(super) this: Weak<Self>,
    topology: RwLock<Topology>,
    /// Rises with every change of the topology; what was routed under an older one is void.
    generation: AtomicU64,
    /// Rises when the metadata changes.
    limits_generation: AtomicU64,
    /// Rare: what is asked of it is asked when connections and queues are made.
    metadata: RwLock<VhostMetadata>,
    pub(super) parameters: RwLock<Parameters>,
    /// Set under the topology's lock: from then on nothing is stored.
    deleted: AtomicBool,
    pub(super) replies: ReplyNames,
    pub stats: VhostStats,
    /// Of the whole broker.
    pub(super) churn: Arc<Churn>,
    definitions: Arc<dyn DefinitionStore>,
    /// For dead letters; publishers bring their own.
    pub(super) messages: Arc<dyn MessageStore>,
    pub(super) schedule: Arc<Schedule>,
    pub(super) delayed_in_memory_max: usize,
    /// To be told of groups that move messages.
    pub(super) pager: Option<Arc<GroupPager>>,
    /// Dead letters that lead nowhere, by the queues in which they wait: a leaf.
    pub(super) awaiting_topology: Mutex<Vec<Weak<Queue>>>,
    /// What [`Limits::default_queue_type`] says.
    node_queue_type: Option<QueueKind>,
    /// For queues that are longer than memory.
    pub(super) paging: Option<Arc<Paging>>,
}

impl Vhost {
    pub(super) fn new(
        name: VhostName,
        definitions: Arc<dyn DefinitionStore>,
        messages: Arc<dyn MessageStore>,
        schedule: Arc<Schedule>,
        churn: Arc<Churn>,
        limits: &Limits,
    ) -> Arc<Self> {
        let budget = limits.queue_budget;
        let pager =
            messages.pager().map(|inner| Arc::new(GroupPager::new(inner, Arc::clone(&messages))));
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            pager: pager.clone(),
            this: Weak::clone(this),
            paging: pager.clone().map(|pager| {
                let (this, schedule) = (Weak::clone(this), Arc::clone(&schedule));
                let attention = move |queue: &Arc<Queue>| {
                    if let Some(vhost) = this.upgrade() {
                        schedule.add(Time(0), &vhost, &Timed::Queue(Arc::clone(queue)));
                    }
                };
                Arc::new(Paging {
                    pager,
                    budget,
                    attention: Box::new(attention),
                    patient: AtomicUsize::new(0),
                })
            }),
            awaiting_topology: Mutex::default(),
            topology: RwLock::new(Topology::new(name.clone())),
            name,
            generation: AtomicU64::new(1),
            limits_generation: AtomicU64::new(0),
            metadata: RwLock::default(),
            parameters: RwLock::default(),
            deleted: AtomicBool::new(false),
            replies: ReplyNames::default(),
            stats: VhostStats::default(),
            churn,
            definitions,
            messages,
            schedule,
            delayed_in_memory_max: limits.delayed_in_memory_max,
            node_queue_type: limits.default_queue_type,
        })
    }

    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Runs a change of the topology under its lock.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Topology) -> T) -> T {
        let mut topology = self.topology.write();
        let result = change(&mut topology);
        self.generation.fetch_add(1, Ordering::Release);
        drop(topology);
        self.topology_changed();
        result
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Topology) -> T) -> T {
        read(&self.topology.read())
    }

    /// Starts a group of the store. What is published with it comes into no segment before the group is
    /// durable; so it has to be ended.
    pub fn begin_group(&self) -> Group {
        if let Some(pager) = &self.pager {
            pager.begin_group();
        }
        self.messages.new_group()
    }

    /// What carries the group counts from here on.
    pub fn end_group(&self, group: Group) -> LogPosition {
        let end = self.messages.end_group(group);
        if let Some(pager) = &self.pager {
            pager.end_group(end);
        }
        end
    }

    pub(super) fn commit(&self, change: Change, notify: Notify<'_>) -> Commit {
        if self.deleted.load(Ordering::Relaxed) {
            // It must not come back with a restart.
            return Commit::Now;
        }
        self.definitions.commit(&self.name, change, notify())
    }

    /// What is known about it, now.
    pub fn metadata(&self) -> VhostMetadata {
        self.metadata.read().clone()
    }

    /// Rises with every change of the limits. Looked at with every read of a connection.
    #[inline]
    pub fn limits_generation(&self) -> u64 {
        self.limits_generation.load(Ordering::Relaxed)
    }

    pub(super) fn restore_metadata(&self, stored: &FieldTable) {
        *self.metadata.write() = VhostMetadata::from_table(stored);
    }

    pub(super) fn set_metadata(&self, metadata: VhostMetadata, notify: Notify<'_>) -> Commit {
        self.change(|_| {
            let table = metadata.to_table();
            *self.metadata.write() = metadata;
            self.limits_generation.fetch_add(1, Ordering::Release);
            self.commit(Change::PutVhost(table), notify)
        })
    }

    /// Empties it for ever, and says which queues there were.
    pub(super) fn delete_all(&self, notify: Notify<'_>) -> (Vec<Arc<Queue>>, Commit) {
        self.change(|topology| {
            let queues = topology.queues();
            topology.clear();
            self.churn.queue_deleted.add(queues.len() as u64);
            let commit = self.commit(Change::DeleteVhost, notify);
            self.deleted.store(true, Ordering::Relaxed);
            (queues, commit)
        })
    }

    /// A connection of a deleted vhost may still have requests on the way. To be asked under the
    /// topology's lock.
    fn check_there(&self) -> Result<(), AmqpError> {
        if !self.deleted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let text = format!("vhost '{}' is deleted", self.name);
        Err(AmqpError::new(ReplyCode::ConnectionForced, text))
    }

    /// Behaviour B10.8.
    fn check_queue_limit(&self, name: &QueueName, topology: &Topology) -> Result<(), AmqpError> {
        let vhost = &self.name;
        match self.metadata.read().queues_max {
            Some(max) if topology.queue_count() >= max as usize => {
                let text = format!(
                    "cannot declare queue '{name}': queue limit in vhost '{vhost}' ({max}) is reached"
                );
                Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
            }
            _ => Ok(()),
        }
    }

    /// Nothing changed. What was found may still be on its way to the disk, or from there.
    pub fn pending(&self, notify: Notify<'_>) -> Commit {
        let requested = self.definitions.requested();
        if requested <= self.definitions.committed() {
            return Commit::Now;
        }
        self.definitions.when_committed(requested, notify())
    }

    fn found(&self, durable: bool, notify: Notify<'_>) -> Commit {
        if durable { self.pending(notify) } else { Commit::Now }
    }

    /// A change that nobody waits for.
    pub(super) fn commit_quietly(&self, change: Change) {
        let vhost = self.name.clone();
        let done = move |result: Result<(), StoreError>| {
            if let Err(error) = result {
                tracing::error!(%vhost, %error, "definitions could not be stored");
            }
        };
        self.commit(change, &move || Box::new(done.clone()));
    }

    /// `exchange.declare`, not passive (behaviour B4.2): creates it, or checks that it is the same.
    pub fn declare_exchange(
        &self,
        name: &ExchangeName,
        declaration: ExchangeDeclaration,
        notify: Notify<'_>,
    ) -> Result<Commit, AmqpError> {
        let (durable, kind) = (declaration.durable, declaration.kind);
        if self.read(|topology| topology.check_exchange(name, &declaration))? {
            return Ok(self.found(durable, notify));
        }
        let mut created = false;
        let declared = self.change(|topology| {
            // Somebody may have been faster: then it is a check again.
            if topology.check_exchange(name, &declaration)? {
                return Ok(self.found(durable, notify));
            }
            self.check_there()?;
            let delay_queues = (durable && delays(&declaration))
                .then(|| self.definitions.next_queue_ids(DELAY_QUEUES));
            let record = durable.then(|| ExchangeRecord {
                name: name.clone(),
                kind: declaration.kind.as_str().to_owned(),
                auto_delete: declaration.auto_delete,
                internal: declaration.internal,
                arguments: declaration.arguments.clone(),
                delay_queues,
            });
            self.add_exchange(topology, name.clone(), declaration, delay_queues);
            created = true;
            Ok(match record {
                Some(record) => self.commit(Change::PutExchange(record), notify),
                None => Commit::Now,
            })
        });
        if created {
            let (vhost, exchange, kind) = (self.name.as_str(), name.as_str(), kind.as_str());
            tracing::info!(target: AUDIT, vhost, exchange, kind, durable, "exchange created");
        }
        declared
    }

    pub(super) fn add_exchange(
        &self,
        topology: &mut Topology,
        name: ExchangeName,
        declaration: ExchangeDeclaration,
        delay_queues: Option<QueueId>,
    ) {
        let delays = delays(&declaration).then(|| Delays::new(name.clone(), delay_queues, self));
        topology.add_exchange(name, declaration, delays);
    }

    /// How many messages wait in an exchange until they are due; `None` when it is none that delays
    /// (behaviour B4.18).
    pub fn messages_delayed(&self, exchange: &str) -> Option<usize> {
        self.read(|topology| topology.delays(exchange).map(|delays| delays.count()))
    }

    /// `exchange.declare`, passive: CH 404 unless it exists.
    pub fn expect_exchange(&self, name: &str) -> Result<(), AmqpError> {
        self.read(|topology| topology.exchange(name).map(|_| ()))
    }

    /// Whether there is such an exchange, of type `topic`.
    pub fn is_topic(&self, exchange: &str) -> bool {
        let kind = |topology: &Topology| topology.exchange(exchange).map(|found| found.kind);
        self.read(kind).is_ok_and(|kind| kind == ExchangeKind::Topic)
    }

    /// `exchange.delete`; a missing one is fine (behaviour B4.5).
    pub fn delete_exchange(
        &self,
        name: &str,
        if_unused: bool,
        notify: Notify<'_>,
    ) -> Result<Commit, AmqpError> {
        if self.read(|topology| topology.exchange(name).is_err()) {
            return Ok(self.pending(notify));
        }
        let commit = self.change(|topology| {
            let removed = topology.delete_exchange(name, if_unused)?;
            Ok::<_, AmqpError>(self.commit_removed(removed, notify))
        })?;
        let vhost = self.name.as_str();
        tracing::info!(target: AUDIT, vhost, exchange = name, "exchange deleted");
        Ok(commit)
    }

    /// `queue.bind` and `exchange.bind` (behaviour B4.8).
    pub fn bind(
        &self,
        source: &str,
        destination: &BindingEnd,
        routing_key: RoutingKey,
        arguments: FieldTable,
        notify: Notify<'_>,
    ) -> Result<Commit, AmqpError> {
        let key = routing_key.clone();
        let mut created = false;
        let commit = self.change(|topology| {
            let bound = topology.bind(source, destination, routing_key, arguments)?;
            created = bound.is_new;
            Ok::<_, AmqpError>(match bound.record {
                Some(record) if bound.is_new => self.commit(Change::PutBinding(record), notify),
                record => self.found(record.is_some(), notify),
            })
        })?;
        if created {
            self.audit_binding("created", source, destination, &key);
        }
        Ok(commit)
    }

    fn audit_binding(&self, done: &str, source: &str, end: &BindingEnd, key: &RoutingKey) {
        let (vhost, key) = (self.name.as_str(), String::from_utf8_lossy(key.as_bytes()));
        let (kind, destination) = match end {
            BindingEnd::Queue(name, _) => ("queue", name.as_str()),
            BindingEnd::Exchange(name) => ("exchange", name.as_str()),
        };
        tracing::info!(
            target: AUDIT,
            vhost, source, destination, kind, routing_key = &*key, "binding {done}",
        );
    }

    /// `queue.unbind` and `exchange.unbind`: fine whatever is missing (behaviour B4.8).
    pub fn unbind(
        &self,
        source: &str,
        destination: &BindingEnd,
        routing_key: &RoutingKey,
        arguments: &FieldTable,
        notify: Notify<'_>,
    ) -> Result<Commit, AmqpError> {
        let (found, commit) = self.change(|topology| {
            let unbound = topology.unbind(source, destination, routing_key, arguments)?;
            let found = unbound.is_some();
            Ok::<_, AmqpError>((found, self.commit_removed(unbound.unwrap_or_default(), notify)))
        })?;
        if found {
            self.audit_binding("deleted", source, destination, routing_key);
        }
        Ok(commit)
    }

    /// The type of queues that are declared without one, its own or that of the whole broker.
    pub fn default_queue_type(&self) -> Option<QueueKind> {
        self.metadata.read().default_queue_type.or(self.node_queue_type)
    }

    /// The arguments of a declare that says nothing of the queue's type, with the default one; `None`
    /// where they stay as they are: there is a type, or no default, or one that has no such queues. What
    /// exists is of the type it is of, whatever the default has become since.
    pub fn with_default_type(
        &self,
        name: &str,
        arguments: &FieldTable,
        flags: (bool, bool, bool),
    ) -> Option<FieldTable> {
        let (durable, exclusive, auto_delete) = flags;
        let mut kind = self.default_queue_type()?;
        if arguments.get(QUEUE_TYPE).is_some() || !kind.allows(durable, exclusive, auto_delete) {
            return None;
        }
        if let Ok(queue) = self.read(|topology| topology.queue(name)) {
            kind = queue.kind();
        }
        let mut arguments = arguments.clone();
        arguments.insert(QUEUE_TYPE, kind.as_str());
        Some(arguments)
    }

    /// `queue.declare`, not passive, with a name (behaviour B5.1): creates it, or checks that it is
    /// the same.
    pub fn declare_queue(
        &self,
        name: &QueueName,
        connection: ConnectionId,
        declaration: &dyn Fn() -> Result<Declaration, AmqpError>,
        flags: &Flags<'_>,
        notify: Notify<'_>,
    ) -> Result<DeclaredQueue, AmqpError> {
        let declared = self.declare(name, connection, declaration, flags, notify)?;
        self.churn.queue_declared.add(1);
        Ok(declared)
    }

    fn declare(
        &self,
        name: &QueueName,
        connection: ConnectionId,
        declaration: &dyn Fn() -> Result<Declaration, AmqpError>,
        flags: &Flags<'_>,
        notify: Notify<'_>,
    ) -> Result<DeclaredQueue, AmqpError> {
        if let Ok(queue) = self.read(|topology| topology.queue(name.as_str()))
            && !queue.is_deleted()
        {
            self.check_equivalent(&queue, connection, flags)?;
            let commit = self.found(queue.log.is_some(), notify);
            return Ok(DeclaredQueue { queue, commit });
        }
        let queue = self.new_queue(name, declaration()?);
        let declared = self.change(|topology| {
            if let Ok(other) = topology.queue(name.as_str()) {
                if !other.is_deleted() {
                    self.check_equivalent(&other, connection, flags)?;
                    let commit = self.found(other.log.is_some(), notify);
                    return Ok(DeclaredQueue { queue: other, commit });
                }
                // Marked deleted by its last consumer, and not yet taken out.
                let removed = self.remove_queue(topology, &other);
                self.commit_all_quietly(removed);
            }
            self.check_there()?;
            self.check_queue_limit(name, topology)?;
            topology.add_queue(Arc::clone(&queue));
            self.churn.queue_created.add(1);
            queue.warn_of_strategy();
            let commit = match &queue.log {
                Some(log) => {
                    let record = QueueRecord {
                        name: name.clone(),
                        id: log.id,
                        auto_delete: queue.declaration.auto_delete,
                        arguments: queue.declaration.arguments.clone(),
                        undelivered: queue.undelivered().and_then(Undelivered::id),
                    };
                    self.commit(Change::PutQueue(record), notify)
                }
                None => Commit::Now,
            };
            Ok(DeclaredQueue { queue: Arc::clone(&queue), commit })
        });
        if declared.as_ref().is_ok_and(|declared| Arc::ptr_eq(&declared.queue, &queue)) {
            let Declaration { durable, auto_delete, owner, .. } = queue.declaration;
            tracing::info!(
                target: AUDIT,
                vhost = self.name.as_str(),
                queue = name.as_str(),
                kind = queue.kind().as_str(),
                durable,
                auto_delete,
                exclusive = owner.is_some(),
                "queue created",
            );
        }
        declared
    }

    fn audit_deleted(&self, queue: &Queue) {
        let (vhost, queue) = (self.name.as_str(), queue.name.as_str());
        tracing::info!(target: AUDIT, vhost, queue, "queue deleted");
    }

    /// What ends with its connection need not survive anything.
    fn new_queue(&self, name: &QueueName, declaration: Declaration) -> Arc<Queue> {
        let survives = declaration.durable && declaration.owner.is_none();
        if survives && declaration.options.kind == QueueKind::Quorum {
            let QueueId(id) = self.definitions.next_queue_ids(2);
            let ids = (QueueId(id), QueueId(id + 1));
            return self.quorum_queue(name.clone(), declaration, ids);
        }
        let log = survives.then(|| self.log(self.definitions.next_queue_id()));
        Queue::new(name.clone(), declaration, log, self.paging.clone())
    }

    /// With its number and that of the queue in which its dead letters wait.
    pub(super) fn quorum_queue(
        &self,
        name: QueueName,
        declaration: Declaration,
        (id, letters): (QueueId, QueueId),
    ) -> Arc<Queue> {
        let (log, letters) = (self.log(id), self.log(letters));
        Queue::quorum(name, declaration, log, letters, self.paging.clone())
    }

    pub(super) fn next_queue_id(&self) -> QueueId {
        self.definitions.next_queue_id()
    }

    pub(super) fn log(&self, id: QueueId) -> QueueLog {
        QueueLog::new(id, Arc::clone(&self.messages))
    }

    fn check_equivalent(
        &self,
        queue: &Queue,
        connection: ConnectionId,
        flags: &Flags<'_>,
    ) -> Result<(), AmqpError> {
        let resource = resource_queue(queue.name.as_str(), &self.name);
        let wanted_owner = flags.exclusive.then_some(connection);
        if queue.declaration.owner != wanted_owner {
            return Err(locked(&resource));
        }
        let pairs = [
            ("durable", flags.durable, queue.declaration.durable),
            ("auto_delete", flags.auto_delete, queue.declaration.auto_delete),
        ];
        for (field, received, current) in pairs {
            if received != current {
                let text = format!(
                    "inequivalent arg '{field}' for {resource}: received '{received}' but current is '{current}'"
                );
                return Err(AmqpError::new(ReplyCode::PreconditionFailed, text));
            }
        }
        check_equivalent_arguments(flags.arguments, &queue.declaration.arguments, &resource)
    }

    /// A queue that this connection may use: CH 404 when there is none, CH 405 when it is exclusive to
    /// another connection (behaviour B5.3).
    pub fn queue(&self, name: &str, connection: ConnectionId) -> Result<Arc<Queue>, AmqpError> {
        let queue = self.read(|topology| topology.queue(name))?;
        if queue.is_deleted() {
            return Err(self.no_queue(name));
        }
        match queue.declaration.owner {
            Some(owner) if owner != connection => {
                Err(locked(&resource_queue(queue.name.as_str(), &self.name)))
            }
            _ => Ok(queue),
        }
    }

    /// `basic.get` has no say in whose turn it is (behaviour B6.10).
    pub fn check_gettable(&self, queue: &Queue) -> Result<(), AmqpError> {
        let is_quorum = queue.kind() == QueueKind::Quorum;
        if !is_quorum || !queue.declaration.options.single_active_consumer {
            return Ok(());
        }
        let resource = resource_queue(queue.name.as_str(), &self.name);
        let text = format!(
            "cannot obtain access to locked {resource}. basic.get operations are not supported by \
             quorum queues with single active consumer"
        );
        Err(AmqpError::new(ReplyCode::ResourceLocked, text))
    }

    pub fn no_queue(&self, name: &str) -> AmqpError {
        let text = format!("no {}", resource_queue(name, &self.name));
        AmqpError::new(ReplyCode::NotFound, text)
    }

    /// `queue.delete` of a queue that was found: how many messages were ready (behaviour B5.11).
    pub fn delete_queue(
        &self,
        queue: &Arc<Queue>,
        if_unused: bool,
        if_empty: bool,
        now: Time,
        effects: &mut Effects,
        notify: Notify<'_>,
    ) -> Result<(usize, Commit), AmqpError> {
        let dropped = queue.delete(if_unused, if_empty, now, effects).map_err(|refused| {
            let resource = resource_queue(queue.name.as_str(), &self.name);
            let why = match refused {
                NotDeleted::NotEmpty => "not empty",
                NotDeleted::InUse => "in use",
            };
            AmqpError::new(ReplyCode::PreconditionFailed, format!("{resource} {why}"))
        })?;
        self.schedule.remove(queue);
        let commit = self.change(|topology| {
            let removed = self.remove_queue(topology, queue);
            self.commit_removed(removed, notify)
        });
        self.audit_deleted(queue);
        Ok((dropped, commit))
    }

    /// Ends a queue whose time has come by itself: auto-delete, disuse, or its owner is gone.
    pub fn end_queue(&self, queue: &Arc<Queue>, now: Time, effects: &mut Effects) {
        // Without conditions a delete is never refused, and a second one does nothing.
        let _ = queue.delete(false, false, now, effects);
        self.schedule.remove(queue);
        self.change(|topology| {
            let removed = self.remove_queue(topology, queue);
            self.commit_all_quietly(removed);
        });
        self.audit_deleted(queue);
    }

    fn remove_queue(&self, topology: &mut Topology, queue: &Arc<Queue>) -> Removed {
        let there = topology.queue_count();
        let removed = topology.remove_queue(queue);
        if topology.queue_count() < there {
            self.churn.queue_deleted.add(1);
            self.stats.deleted(queue);
        }
        removed
    }

    /// All queues that are there, in no order.
    pub fn all_queues(&self) -> Vec<Arc<Queue>> {
        self.read(Topology::queues)
    }

    /// Messages of all its queues, ready and not settled, and how many were read from disk and written.
    pub fn lengths(&self) -> (usize, usize, (u64, u64)) {
        let (mut ready, mut unacked, mut disk) = (0, 0, self.stats.of_deleted().disk);
        self.read(|topology| {
            for queue in topology.queues_iter() {
                let counts = queue.counts_now();
                ready += counts.ready;
                unacked += counts.unacked;
                let (reads, writes) = queue.stats.disk();
                disk = (disk.0 + reads, disk.1 + writes);
            }
        });
        (ready, unacked, disk)
    }

    pub fn queue_count(&self) -> usize {
        self.read(Topology::queue_count)
    }

    /// The counters of all exchanges, in no order.
    pub fn all_exchange_stats(&self) -> Vec<(ExchangeName, Arc<ExchangeStats>)> {
        let stats = |(name, stats): (&ExchangeName, &Arc<_>)| (name.clone(), Arc::clone(stats));
        self.read(|topology| topology.all_exchange_stats().map(stats).collect())
    }

    pub fn exchange_stats(&self, name: &str) -> Option<Arc<ExchangeStats>> {
        self.read(|topology| topology.exchange_stats(name))
    }

    /// Of every exchange: its name, its type, how many bindings it has, and what went through it.
    pub fn exchange_figures(&self) -> Vec<(ExchangeName, &'static str, usize, ExchangeCounts)> {
        self.read(|topology| topology.exchange_figures().collect())
    }

    /// Consumers of all its queues.
    pub fn consumer_count(&self) -> usize {
        self.read(|topology| topology.queues_iter().map(|queue| queue.counts_now().consumers).sum())
    }

    pub fn exchange_count(&self) -> usize {
        self.read(|topology| topology.all_exchange_stats().len())
    }

    fn commit_all_quietly(&self, removed: Removed) {
        removed.into_iter().for_each(|change| self.commit_quietly(change));
    }

    /// Several changes are one for the client: the store keeps their order, so the last one's commit
    /// is everybody's.
    fn commit_removed(&self, mut removed: Removed, notify: Notify<'_>) -> Commit {
        let Some(last) = removed.pop() else {
            return Commit::Now;
        };
        self.commit_all_quietly(removed);
        self.commit(last, notify)
    }

    /// A name for a server-named queue (behaviour B5.1).
    pub fn generated_queue_name(&self) -> QueueName {
        QueueName::from(format!("amq.gen-{}", random_token()))
    }

    /// Makes a reply name for a requester (behaviour B9.2).
    pub fn register_reply(&self, target: ReplyTarget) -> String {
        self.replies.register(target)
    }

    pub fn unregister_reply(&self, name: &str) {
        self.replies.unregister(name);
    }

    /// Whether `name` is a reply name of a requester that is still there; `None` when it is not a
    /// reply name at all (behaviour B9.5).
    pub fn reply_alive(&self, name: &str) -> Option<bool> {
        if name == REPLY_TO {
            return Some(true);
        }
        if !name.starts_with(REPLY_TO) {
            return None;
        }
        let alive = token_of(name.as_bytes())
            .is_some_and(|token| self.replies.with(token, |_| ()).is_some());
        Some(alive)
    }

    /// Hands a reply to its requester, if there still is one: replies are not kept (behaviour B9.4).
    pub(super) fn reply(&self, token: &str, queued: Queued, effects: &mut Effects) {
        let deliver = |ReplyTarget { outbox, source }: &ReplyTarget| {
            let bytes = queued.message.weight();
            let mut delivery = vec![Delivery { source: *source, queued }];
            // A requester that does not read loses replies rather than growing the broker.
            if outbox.room() > 0 && outbox.deliver(&mut delivery, bytes) {
                effects.wakes.touch(outbox);
            }
        };
        self.replies.with(token, deliver);
    }

    /// Tells a connection through its outbox that what `ticket` of `channel` waits for has happened.
    pub fn completion(
        outbox: &Arc<crate::delivery::Outbox>,
        channel: u16,
        ticket: u64,
    ) -> Box<dyn FnOnce(Result<(), StoreError>) + Send> {
        let outbox = Arc::clone(outbox);
        Box::new(move |result| {
            let error = result.err().map(|error| error.to_string());
            outbox.notify(Outgoing::Completed { channel, ticket, error });
            outbox.ring();
        })
    }
}

/// What a redeclare is compared by (behaviour B5.4).
#[derive(Debug)]
pub struct Flags<'a> {
    pub durable: bool,
    pub exclusive: bool,
    pub auto_delete: bool,
    pub arguments: &'a FieldTable,
}

#[cold]
pub(super) fn locked(resource: &str) -> AmqpError {
    let text = format!(
        "cannot obtain exclusive access to locked {resource}. It could be originally declared on \
         another connection or the exclusive property value does not match that of the original \
         declaration."
    );
    AmqpError::new(ReplyCode::ResourceLocked, text)
}
