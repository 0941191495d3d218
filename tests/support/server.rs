//! A server of a test's own: real sockets on a port of its own, the broker at hand in the same process.

// Every test file is a crate of its own and uses a part of this; whatever fails here fails a test.
#![allow(dead_code, clippy::unwrap_used)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use leveret::auth::Authenticator;
use leveret::broker::{Broker, Limits};
use leveret::queue::{ConnectionId, Counts, Effects, Queue};
use leveret::server::clock::Clock;
use leveret::server::{Listen, Server};
use leveret::session::{Offer, Services};
use leveret::storage::memory::{MemoryDefinitions, MemoryMessages};

/// Far longer than anything here takes: who has waited so long waits in vain.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct TestServer {
    pub server: Server,
    pub address: SocketAddr,
    pub broker: Arc<Broker>,
    pub authenticator: Arc<Authenticator>,
    clock: Clock,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(Limits::default(), Offer::default()).await
    }

    pub async fn with(limits: Limits, offer: Offer) -> Self {
        let listen = Listen::plain(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self::listening(limits, offer, listen).await
    }

    /// Whose only listener is this one.
    pub async fn listening(limits: Limits, offer: Offer, listen: Listen) -> Self {
        let broker =
            Broker::new(limits, Arc::<MemoryDefinitions>::default(), Arc::new(MemoryMessages));
        broker.create_vhost(&"/".into());
        let authenticator = Authenticator::new(vec!["guest".into()]);
        authenticator.add_default_user("guest".into(), "guest", "/".into());
        let authenticator = Arc::new(authenticator);
        let services = Services {
            broker: Arc::clone(&broker),
            authenticator: Arc::clone(&authenticator),
            offer,
        };
        let clock = Clock::start();
        let server = Server::start(Arc::new(services), clock, vec![listen]).await.unwrap();
        let (address, _) = *server.addresses.first().unwrap();
        Self { server, address, broker, authenticator, clock }
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address)
    }

    pub fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.broker.vhost("/").unwrap().queue(name, ConnectionId(u64::MAX)).ok()
    }

    pub fn counts(&self, queue: &str) -> Counts {
        self.queue(queue).unwrap().counts(self.clock.now(), &mut Effects::default())
    }

    /// Returns when it is so. Asking again and again is for what nobody tells a client.
    pub async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let asked = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, asked).await.is_ok(), "never: {what}");
    }
}

/// The outcome of something that comes soon, if it comes at all.
#[track_caller]
pub fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let waiting = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(outcome) => outcome,
            Err(_) => panic!("waited in vain at {waiting}"),
        }
    }
}
