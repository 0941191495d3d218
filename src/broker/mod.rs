//! Names to things, and the rules that span rooms.
//!
//! The broker holds the vhosts; a [`Vhost`] holds its topology: exchanges, queues and the bindings
//! between them, under one read-write lock that the data path takes only when its [`RouteCache`]
//! misses. A [`Publisher`] is a connection's way in: it routes, gathers a read's messages by queue and
//! hands each queue its share under one lock.
//!
//! Lock order: vhost map → topology → queue → outbox. The reply registry and storage are leaves.
//! Nothing awaits, and nobody is woken, while one of them is held.

mod publish;
mod reply;
mod route_cache;
mod topology;
mod vhost;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

pub use self::publish::{Confirm, Destinations, Extras, Flushed, Publisher, Way};
pub use self::reply::{REPLY_TO, ReplyTarget};
pub use self::topology::{BindingEnd, ExchangeDeclaration, resource_exchange, resource_queue};
pub use self::vhost::{DeclaredQueue, Flags, Vhost};

use crate::names::VhostName;
use crate::queue::ConnectionId;
use crate::storage::{DefinitionStore, MessageStore};

/// What a broker refuses to exceed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a message body (behaviour B1.8).
    pub message_size_max: u64,
    /// Consumers a channel may have; `None` is unlimited (behaviour B6.7).
    pub consumers_per_channel_max: Option<u32>,
    /// Connections that may be open at a time; `None` is unlimited (behaviour B2.10).
    pub connections_max: Option<u32>,
    /// Bytes of messages that may wait in a connection's outbox.
    pub outbox_bytes_high: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size_max: 128 * 1024 * 1024,
            consumers_per_channel_max: None,
            connections_max: None,
            outbox_bytes_high: 1024 * 1024,
        }
    }
}

/// Everything that connections share.
pub struct Broker {
    vhosts: RwLock<HashMap<VhostName, Arc<Vhost>>>,
    connections: Mutex<HashSet<u64>>,
    next_connection: AtomicU64,
    definitions: Arc<dyn DefinitionStore>,
    messages: Arc<dyn MessageStore>,
    pub limits: Limits,
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
            definitions,
            messages,
            limits,
        })
    }

    /// Creates a vhost with its predeclared exchanges (behaviour B4.1); an existing one stays.
    pub fn create_vhost(&self, name: &VhostName) -> Arc<Vhost> {
        let mut vhosts = self.vhosts.write();
        let create = || Vhost::new(name.clone(), Arc::clone(&self.definitions));
        Arc::clone(vhosts.entry(name.clone()).or_insert_with(create))
    }

    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.read().get(name).cloned()
    }

    pub fn message_store(&self) -> &Arc<dyn MessageStore> {
        &self.messages
    }

    pub fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Enters an opened connection. False when the broker has as many as it may.
    pub fn register(&self, id: ConnectionId) -> bool {
        let mut connections = self.connections.lock();
        let full = |max: u32| connections.len() >= max as usize;
        if self.limits.connections_max.is_some_and(full) {
            return false;
        }
        connections.insert(id.0);
        true
    }

    pub fn unregister(&self, id: ConnectionId) {
        self.connections.lock().remove(&id.0);
    }

    pub fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }
}
