//! Sockets: listeners, and one task per connection; and those that watch the time, memory and disk for
//! the broker.
//!
//! The only room, beside `main`, that knows a clock and the network. A connection's task moves bytes
//! between its socket and its [`Session`](crate::session::Session); it decides nothing.

pub mod clock;
mod connection;
mod expiry;
mod fetch;
mod keys;
mod listener;
mod report;
mod resources;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::clock::Clock;
use crate::delivery::{Outbox, Outgoing};
use crate::session::Services;
use crate::transport::tls::Tls;

pub use self::keys::{KeySource, oauth2};
pub use self::report::state;
pub use self::resources::{Resources, alarm_limits};

/// How long clients have to answer our close when the broker stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What RabbitMQ tells its clients, some of which look at it (behaviour B2.11).
const SHUTDOWN_REASON: &str = "broker forced connection closure with reason 'shutdown'";

/// Why the server could not start. One line each.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("cannot use {file}: {reason}")]
    Unusable { file: String, reason: String },
    #[error("cannot fetch keys: {0}")]
    Fetch(String),
}

impl ServerError {
    fn unusable(file: &Path, reason: String) -> Self {
        Self::Unusable { file: file.display().to_string(), reason }
    }
}

/// An address to listen on, and how.
#[derive(Clone)]
pub struct Listen {
    pub address: SocketAddr,
    /// Clients have to speak TLS.
    pub tls: Option<Arc<Tls>>,
    /// A proxy says in front whom it speaks for. Whoever does not is turned away.
    pub behind_proxy: bool,
    /// `None`: the system does not look for dead peers.
    pub keepalive: Option<Keepalive>,
}

/// When the system asks a silent peer whether it is still there, and gives it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// After so long without a byte it is asked.
    pub idle: Duration,
    /// As often as this.
    pub interval: Duration,
    /// So many times without an answer.
    pub probes: u32,
}

impl Listen {
    /// For clients who come in the clear and by themselves.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None, behind_proxy: false, keepalive: None }
    }
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    /// Where clients can connect, and whether they have to speak TLS.
    pub addresses: Vec<(SocketAddr, bool)>,
}

/// What listeners and connections share.
struct Shared {
    services: Arc<Services>,
    clock: Clock,
    /// Everybody who is connected, opened or not.
    outboxes: Mutex<HashMap<u64, Arc<Outbox>>>,
    connections: TaskTracker,
    stop_listening: CancellationToken,
    accepted: AtomicU64,
}

impl Server {
    /// Binds all addresses, or none. Clients are served from now on.
    pub async fn start(
        services: Arc<Services>,
        clock: Clock,
        listen: Vec<Listen>,
    ) -> Result<Self, ServerError> {
        let mut listeners = Vec::new();
        for listen in listen {
            listeners.push((listener::bind(listen.address)?, listen));
        }
        let shared = Arc::new(Shared {
            services,
            clock,
            outboxes: Mutex::default(),
            connections: TaskTracker::new(),
            stop_listening: CancellationToken::new(),
            accepted: AtomicU64::new(0),
        });
        let broker = Arc::clone(&shared.services.broker);
        tokio::spawn(expiry::run(broker, clock, shared.stop_listening.clone()));
        let mut addresses = Vec::new();
        for (listener, listen) in listeners {
            addresses.push((local_address(&listener)?, listen.tls.is_some()));
            tokio::spawn(listener::accept(listener, listen, Arc::clone(&shared)));
        }
        Ok(Self { shared, addresses })
    }

    /// Watches memory and disk from now on, once a second, until the server stops. Publishers are
    /// blocked while there is too little of one.
    pub fn watch(&self, resources: Resources) {
        let broker = Arc::clone(&self.shared.services.broker);
        tokio::spawn(resources::run(broker, resources, self.shared.stop_listening.clone()));
    }

    /// Keeps the keys of tokens fresh from now on, until the server stops.
    pub fn watch_keys(&self, source: KeySource) {
        tokio::spawn(keys::run(source, self.shared.clock, self.shared.stop_listening.clone()));
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Stops listening, closes every connection with reply code 320, and waits for the clients to
    /// answer, but not for ever.
    pub async fn stop(self) {
        self.shared.stop_listening.cancel();
        for outbox in self.shared.outboxes.lock().values() {
            shut_down(outbox);
        }
        self.shared.connections.close();
        if tokio::time::timeout(DRAIN_MAX, self.shared.connections.wait()).await.is_err() {
            tracing::warn!("some clients did not answer the close in time");
        }
    }
}

/// Tells a connection that the broker stops.
fn shut_down(outbox: &Outbox) {
    outbox.notify(Outgoing::Shutdown(SHUTDOWN_REASON.to_owned()));
    outbox.ring();
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, ServerError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| ServerError::Bind { address: unknown, source })
}
