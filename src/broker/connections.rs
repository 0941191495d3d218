//! Who is connected: limits of connections and channels are counted here (behaviour B2.10, B2.14,
//! B10.7), and an operator who ends connections finds them here.

use std::collections::HashMap;
use std::sync::Arc;

use super::inquiry::Inquiries;
use super::{Broker, ConnectionStats, GlobalCounts, Vhost};
use crate::delivery::{Outbox, Outgoing};
use crate::names::{UserName, VhostName};
use crate::protocol::FieldTable;
use crate::protocol::table::decode_table;
use crate::queue::ConnectionId;
use crate::time::Time;

/// An open connection.
#[derive(Debug)]
pub struct Connected {
    pub vhost: VhostName,
    pub user: UserName,
    /// Takes the notice that it is over.
    pub outbox: Arc<Outbox>,
    pub stats: Arc<ConnectionStats>,
    pub client: Client,
    /// What it can be asked.
    pub inquiries: Inquiries,
}

/// What a client said of itself when it connected, and what was agreed on.
#[derive(Debug, Default)]
pub struct Client {
    /// `peer_ip:port -> local_ip:port` (behaviour B2.4).
    pub name: String,
    pub mechanism: &'static str,
    /// The client's properties, encoded: there are many connections, and they are hardly looked at.
    pub properties: Box<[u8]>,
    pub frame_max: u32,
    pub channel_max: u16,
    pub heartbeat_seconds: u16,
    pub connected_at: Time,
    pub tls: Option<Arc<TlsClient>>,
}

/// How a client's connection is encrypted, in RabbitMQ's words, and the certificate that it showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsClient {
    /// `tlsv1.2` or `tlsv1.3`.
    pub protocol: String,
    pub key_exchange: String,
    pub cipher: String,
    pub hash: String,
    pub certificate: Option<ClientCertificate>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    pub subject: String,
    pub issuer: String,
    /// From and until when it is good.
    pub validity: String,
}

impl Connected {
    pub fn new(
        vhost: VhostName,
        user: UserName,
        outbox: Arc<Outbox>,
        stats: Arc<ConnectionStats>,
        client: Client,
    ) -> Arc<Self> {
        Arc::new(Self { vhost, user, outbox, stats, client, inquiries: Inquiries::default() })
    }

    /// Bytes of memory that it takes for what it reads, and for what its client has not taken: of the
    /// messages among that only those on their way, not those that wait to be acknowledged.
    pub fn memory(&self) -> (u64, u64) {
        let output = self.stats.output_bytes.get() + self.outbox.waiting_bytes() as u64;
        (self.stats.input_bytes.get(), output)
    }
}

impl Client {
    pub fn properties(&self) -> FieldTable {
        decode_table(&self.properties).map(|(_, table)| table).unwrap_or_default()
    }
}

/// Why a channel may not open, with the limit (behaviour B2.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooManyChannels {
    OnNode(u32),
    OfUser(u32),
}

/// Why a connection may not open, in the order in which it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The broker has that many already.
    BrokerFull(u32),
    NoSuchVhost,
    VhostFull(u32),
    UserFull(u32),
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    by_id: HashMap<u64, Arc<Connected>>,
    by_vhost: HashMap<VhostName, u32>,
    by_user: HashMap<UserName, OfUser>,
    channels: u32,
}

/// What the connections of a user come to.
#[derive(Debug, Default)]
struct OfUser {
    connections: u32,
    channels: u32,
}

impl Connections {
    fn add(&mut self, id: u64, connected: Arc<Connected>) {
        *self.by_vhost.entry(connected.vhost.clone()).or_default() += 1;
        self.by_user.entry(connected.user.clone()).or_default().connections += 1;
        self.by_id.insert(id, connected);
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Connected>> {
        let connected = self.by_id.remove(&id)?;
        let Connected { vhost, user, inquiries, .. } = &*connected;
        inquiries.drop_all();
        if let Some(count) = self.by_vhost.get_mut(vhost) {
            *count -= 1;
            if *count == 0 {
                self.by_vhost.remove(vhost);
            }
        }
        if let Some(of_user) = self.by_user.get_mut(user) {
            of_user.connections -= 1;
            if of_user.connections == 0 {
                self.by_user.remove(user);
            }
        }
        Some(connected)
    }
}

impl Broker {
    /// Enters a connection that is about to open. `user_max` is how many its user may have.
    pub fn connect(
        &self,
        id: ConnectionId,
        connected: Arc<Connected>,
        user_max: Option<u32>,
    ) -> Result<Arc<Vhost>, NotOpened> {
        let mut connections = self.connections.lock();
        if let Some(max) = self.limits.connections_max()
            && connections.by_id.len() >= max as usize
        {
            return Err(NotOpened::BrokerFull(max));
        }
        // Looked for under the lock: who deletes it finds this connection, or is found by it.
        let vhost = self.vhost(connected.vhost.as_str()).ok_or(NotOpened::NoSuchVhost)?;
        if let Some(max) = vhost.metadata().connections_max
            && connections.by_vhost.get(&connected.vhost).copied().unwrap_or(0) >= max
        {
            return Err(NotOpened::VhostFull(max));
        }
        if let Some(max) = user_max
            && connections.by_user.get(&connected.user).map_or(0, |of| of.connections) >= max
        {
            return Err(NotOpened::UserFull(max));
        }
        connections.add(id.0, connected);
        self.churn.connection_created.add(1);
        Ok(vhost)
    }

    pub fn disconnect(&self, id: ConnectionId) {
        let mut connections = self.connections.lock();
        let Some(connected) = connections.remove(id.0) else { return };
        self.churn.connection_closed.add(1);
        // Under the lock: who adds up finds it here or there, and not twice.
        if let Some(vhost) = self.vhost(connected.vhost.as_str()) {
            vhost.stats.ended(&connected.stats);
        }
    }

    /// The same for all vhosts that are there.
    pub fn counts_by_vhost(&self) -> HashMap<VhostName, GlobalCounts> {
        let connections = self.connections.lock();
        let ended = |vhost: Arc<Vhost>| (vhost.name.clone(), vhost.stats.of_ended());
        let mut counts: HashMap<_, _> = self.vhosts().into_iter().map(ended).collect();
        for connected in connections.by_id.values() {
            if let Some(counts) = counts.get_mut(&connected.vhost) {
                counts.add(&connected.stats.counts());
            }
        }
        counts
    }

    /// What clients did in a vhost since it was made, those included that are gone.
    pub fn vhost_counts(&self, vhost: &Vhost) -> GlobalCounts {
        let connections = self.connections.lock();
        let mut counts = vhost.stats.of_ended();
        let live = connections.by_id.values().filter(|connected| connected.vhost == vhost.name);
        live.for_each(|connected| counts.add(&connected.stats.counts()));
        counts
    }

    /// The counters of the open connections of a vhost.
    pub fn stats_in(&self, vhost: &VhostName) -> Vec<Arc<ConnectionStats>> {
        let connections = self.connections.lock();
        let inside = connections.by_id.values().filter(|connected| connected.vhost == *vhost);
        inside.map(|connected| Arc::clone(&connected.stats)).collect()
    }

    /// How many connections a vhost has, and how many channels these have.
    pub fn connected_to(&self, vhost: &VhostName) -> (usize, usize) {
        let stats = self.stats_in(vhost);
        (stats.len(), stats.iter().map(|stats| stats.channel_count()).sum())
    }

    /// The counters of all open connections, by the connections' numbers.
    pub fn connection_stats(&self) -> Vec<(ConnectionId, Arc<ConnectionStats>)> {
        let connections = self.connections.lock();
        let stats = |(id, connected): (&u64, &Arc<Connected>)| {
            (ConnectionId(*id), Arc::clone(&connected.stats))
        };
        connections.by_id.iter().map(stats).collect()
    }

    /// Counts a channel that a connection of `user` is about to open. `user_max` is how many that user
    /// may have, over all connections.
    pub fn open_channel(
        &self,
        user: &UserName,
        user_max: Option<u32>,
    ) -> Result<(), TooManyChannels> {
        let mut connections = self.connections.lock();
        if let Some(max) = self.limits.channel_max_per_node()
            && connections.channels >= max
        {
            return Err(TooManyChannels::OnNode(max));
        }
        let Some(of_user) = connections.by_user.get_mut(user) else { return Ok(()) };
        if let Some(max) = user_max
            && of_user.channels >= max
        {
            return Err(TooManyChannels::OfUser(max));
        }
        of_user.channels += 1;
        connections.channels += 1;
        Ok(())
    }

    /// So many channels of a connection of `user` are no more. To be told before the connection itself
    /// is.
    pub fn close_channels(&self, user: &UserName, count: u32) {
        let mut connections = self.connections.lock();
        if let Some(of_user) = connections.by_user.get_mut(user) {
            of_user.channels -= count;
            connections.channels -= count;
        }
    }

    pub fn channel_count(&self) -> usize {
        self.connections.lock().channels as usize
    }

    /// All that are open, in no order.
    pub fn connections(&self) -> Vec<Arc<Connected>> {
        self.connections.lock().by_id.values().cloned().collect()
    }

    pub fn connected(&self, id: ConnectionId) -> Option<Arc<Connected>> {
        self.connections.lock().by_id.get(&id.0).cloned()
    }

    pub fn connection_count(&self) -> usize {
        self.connections.lock().by_id.len()
    }

    /// Ends connections with reply code 320 (behaviour B2.11). They end by themselves: some may still
    /// be there when this returns.
    pub fn close_connections(&self, reason: &str, which: impl Fn(&Connected) -> bool) {
        let connections = self.connections.lock();
        let found = connections.by_id.values().filter(|connected| which(connected.as_ref()));
        let outboxes: Vec<Arc<Outbox>> = found.map(|found| Arc::clone(&found.outbox)).collect();
        drop(connections);
        for outbox in outboxes {
            outbox.notify(Outgoing::Shutdown(reason.to_owned()));
            outbox.ring();
        }
    }
}
