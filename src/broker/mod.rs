//! Names to things, and the rules that span rooms.
//!
//! The broker holds the vhosts; a [`Vhost`] holds its topology: exchanges, queues and the bindings
//! between them, under one read-write lock that the data path takes only when its route cache
//! misses. A [`Publisher`] is a connection's way in: it routes, gathers a read's messages by queue and
//! hands each queue its share under one lock.
//!
//! What died under a queue's lock is dead-lettered when the lock is gone, and what will expire is in a
//! schedule that [`Broker::tick`] works off. The broker has no clock: whoever runs it asks for
//! [`Broker::next_deadline`] and calls in time.
//!
//! Lock order: connections → vhost map → topology → what waits in an exchange → queue → outbox, and reply registry → outbox. The schedule, the
//! alarms, storage, rates, what an exchange remembers of duplicates and who waits for the topology to change are
//! leaves. Nothing awaits, and nobody
//! is woken, while one of them is held.

mod alarms;
mod attempts;
mod connections;
mod dead_letter;
mod death;
mod deduplication;
mod delay;
mod extra_keys;
mod group_pager;
mod inquiry;
mod kept;
mod limits;
mod listing;
mod memory;
mod metadata;
mod node;
mod parameters;
mod policy;
mod publish;
mod rate;
mod recovery;
mod refill;
mod relocate;
mod reply;
mod route_cache;
mod schedule;
mod stats;
mod topology;
mod undelivered;
mod vhost;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use parking_lot::{Mutex, RwLock};

pub use self::alarms::{AlarmLimits, Alarms, Resource};
pub use self::attempts::{AttemptCounts, Attempts, LoginProtocol, Source};
pub use self::connections::{
    Client, ClientCertificate, Connected, NotOpened, TlsClient, TooManyChannels,
};
pub use self::death::LastDeath;
pub use self::extra_keys::{ExtraKeys, check_expiration};
pub use self::inquiry::{ChannelReport, ConsumerReport, Inquiries, Report};
pub use self::limits::{Limits, LimitsInForce};
pub use self::listing::{FoundBinding, FoundEnd, FoundExchange, WhichBindings};
pub use self::memory::MemoryUse;
pub use self::metadata::VhostMetadata;
pub use self::node::node_name;
pub use self::policy::{Applied, ApplyTo, InvalidPolicy, Policy, PolicyScope};
pub use self::publish::{Confirm, Destinations, Flushed, Publisher, Way};
pub use self::rate::{Bucket, Rates, Whose, take_all};
pub use self::recovery::Recovered;
pub use self::refill::Found;
pub use self::relocate::Relocation;
pub use self::reply::{REPLY_TO, ReplyTarget};
pub use self::stats::{
    ChannelCounts, ChannelStats, Churn, ChurnCounts, ConnectionStats, DeletedQueues,
    ExchangeCounts, ExchangeStats, GlobalCounts, KINDS, PublishCounts, SIZES, VhostStats,
};
pub use self::topology::{BindingEnd, ExchangeDeclaration, resource_exchange, resource_queue};
pub use self::vhost::{DeclaredQueue, Flags, Notify, Vhost};

use self::connections::Connections;
use self::schedule::{Schedule, Timed};
use crate::names::{AUDIT, VhostName};
use crate::protocol::FieldTable;
use crate::queue::{ConnectionId, Effects};
use crate::storage::{Change, Commit, DefinitionStore, MessageStore};
use crate::time::Time;

/// Libraries and tools switch features on by the server's version; this is the RabbitMQ whose behaviour
/// they may expect, over AMQP (behaviour B2.1) and over HTTP.
pub const COMPATIBLE_VERSION: &str = "3.13.0";

/// Queues, and exchanges that delay, that one tick looks at.
const TICK_QUEUES_MAX: usize = 256;

/// Everything that connections share.
pub struct Broker {
    vhosts: RwLock<HashMap<VhostName, Arc<Vhost>>>,
    connections: Mutex<Connections>,
    next_connection: AtomicU64,
    /// Values as JSON text. A leaf.
    global_parameters: RwLock<BTreeMap<String, Arc<str>>>,
    definitions: Arc<dyn DefinitionStore>,
    messages: Arc<dyn MessageStore>,
    schedule: Arc<Schedule>,
    pub churn: Arc<Churn>,
    pub limits: LimitsInForce,
    pub attempts: Attempts,
    /// What publishers have to wait for.
    pub alarms: Alarms,
    /// How many connections may be opened in a second.
    pub connection_rates: Rates,
    /// How many messages may be published in a second.
    pub message_rates: Rates,
}

impl Broker {
    pub fn new(
        limits: Limits,
        definitions: Arc<dyn DefinitionStore>,
        messages: Arc<dyn MessageStore>,
    ) -> Arc<Self> {
        Arc::new(Self {
            vhosts: RwLock::default(),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(1),
            global_parameters: RwLock::default(),
            definitions,
            messages,
            schedule: Arc::default(),
            churn: Arc::default(),
            limits: LimitsInForce::new(limits),
            alarms: Alarms::default(),
            attempts: Attempts::default(),
            connection_rates: Rates::default(),
            message_rates: Rates::default(),
        })
    }

    /// Creates a vhost with its predeclared exchanges (behaviour B4.1); an existing one stays.
    pub fn create_vhost(&self, name: &VhostName) -> Arc<Vhost> {
        // Under the lock, so that the store has the vhost before anything in it.
        self.vhost_or_else(name, |vhost| vhost.commit_quietly(Change::PutVhost(FieldTable::new())))
    }

    /// Creates a vhost, or changes what is known about it. Says whether it was there.
    pub fn put_vhost(
        &self,
        name: &VhostName,
        metadata: VhostMetadata,
        notify: Notify<'_>,
    ) -> (bool, Commit) {
        let mut existed = true;
        let vhost = self.vhost_or_else(name, |_| existed = false);
        tracing::info!(target: AUDIT, vhost = name.as_str(), existed, ?metadata, "vhost put");
        (existed, vhost.set_metadata(metadata, notify))
    }

    /// Deletes a vhost and everything in it, and ends its connections (behaviour B10.1). `None` when
    /// there was none.
    pub fn delete_vhost(&self, name: &str, now: Time, notify: Notify<'_>) -> Option<Commit> {
        let mut vhosts = self.vhosts.write();
        let vhost = vhosts.remove(name)?;
        // Under the lock, so that the store has deleted it before one of that name is made.
        let (queues, commit) = vhost.delete_all(notify);
        drop(vhosts);
        tracing::info!(vhost = name, queues = queues.len(), "vhost deleted");
        tracing::info!(target: AUDIT, vhost = name, queues = queues.len(), "vhost deleted");
        let is_in_it = |connected: &Connected| connected.vhost.as_str() == name;
        self.close_connections(&format!("vhost '{name}' is deleted"), is_in_it);
        let mut effects = Effects::default();
        for queue in queues {
            // Without conditions it is never refused.
            let _ = queue.delete(false, false, now, &mut effects);
            self.schedule.remove(&queue);
        }
        vhost.act(now, &mut effects);
        effects.wakes.ring();
        Some(commit)
    }

    fn vhost_or_else(&self, name: &VhostName, created: impl FnOnce(&Vhost)) -> Arc<Vhost> {
        let mut vhosts = self.vhosts.write();
        let create = || {
            let (definitions, messages) =
                (Arc::clone(&self.definitions), Arc::clone(&self.messages));
            let (schedule, churn) = (Arc::clone(&self.schedule), Arc::clone(&self.churn));
            let limits = self.limits.at_start();
            let vhost = Vhost::new(name.clone(), definitions, messages, schedule, churn, limits);
            created(&vhost);
            vhost
        };
        Arc::clone(vhosts.entry(name.clone()).or_insert_with(create))
    }

    /// The limit, if one more vhost would be too many.
    pub fn too_many_vhosts(&self, more: usize) -> Option<u32> {
        let count = self.vhosts.read().len() + more;
        self.limits.vhosts_max().filter(|max| count > *max as usize)
    }

    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.read().get(name).cloned()
    }

    /// All vhosts, by name.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        let mut vhosts: Vec<Arc<Vhost>> = self.vhosts.read().values().cloned().collect();
        vhosts.sort_by(|one, two| one.name.cmp(&two.name));
        vhosts
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_deadline(&self) -> Time {
        self.schedule.next()
    }

    /// Ready once when the next deadline has become an earlier one.
    pub fn poll_earlier_deadline(&self, context: &mut Context<'_>) -> Poll<()> {
        self.schedule.poll_earlier(context)
    }

    /// Time has passed: expired messages are dead-lettered or dropped, unused queues end, messages that
    /// waited in an exchange are routed. Does a
    /// bounded piece of work; if there is more, the next deadline is not after `now`.
    pub fn tick(&self, now: Time) {
        let mut effects = Effects::default();
        for (vhost, timed) in self.schedule.take_due(now, TICK_QUEUES_MAX) {
            match timed {
                Timed::Queue(queue) => {
                    if queue.look(now, &mut effects) {
                        let (name, host) = (&queue.name, &vhost.name);
                        tracing::info!(queue = %name, vhost = %host, "unused queue expired");
                        vhost.end_queue(&queue, now, &mut effects);
                    }
                    if let Some(Some(source)) = queue.source() {
                        vhost.retry(&queue, &source, now, &mut effects);
                    }
                }
                Timed::Delays(delays) => delays.turn(&vhost, now, &mut effects),
            }
            vhost.act(now, &mut effects);
        }
        effects.wakes.ring();
    }

    pub fn definition_store(&self) -> &Arc<dyn DefinitionStore> {
        &self.definitions
    }

    pub fn message_store(&self) -> &Arc<dyn MessageStore> {
        &self.messages
    }

    pub fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }
}
