//! The HTTP API: what operators, their probes and RabbitMQ's tools ask a running broker.
//!
//! `socket` accepts connections and sees to it that a slow client cannot keep one; `convention`
//! gives every answer the manners RabbitMQ's tools expect; `caller` says who asks and what they may;
//! in `handler` there is a file for each noun. The figures and rules behind an answer belong to the
//! rooms below.
//!
//! All of it runs on one thread of its own, so that no request, however slow, delays a message, and no
//! firehose of messages delays a probe.
//!
//! Invariant: nothing here holds a lock of another room while it writes an answer.

mod ask;
mod body;
mod caller;
mod commit;
mod convention;
mod definitions;
mod gzip;
mod handler;
mod json;
mod list;
mod query;
mod refusal;
mod rights;
mod socket;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::broker::{Broker, node_name};
use crate::time::Time;
use crate::transport::tls::Tls;

/// Why the HTTP API could not start. One line each.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    #[error("cannot listen on {address} for HTTP: {source}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("cannot start the HTTP API: {0}")]
    Start(#[from] std::io::Error),
}

/// What the API speaks about.
pub struct Services {
    pub broker: Arc<Broker>,
    pub authenticator: Arc<Authenticator>,
    /// Where AMQP clients connect: the addresses that were really bound.
    pub listeners: Vec<Listener>,
    /// What those of them use that speak TLS.
    pub tls: Option<Arc<Tls>>,
    /// The clock that connections go by.
    pub now: Box<dyn Fn() -> Time + Send + Sync>,
}

/// An address that accepts clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Amqp,
    Amqps,
    Http,
    Https,
}

impl Protocol {
    /// RabbitMQ's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Amqps => "amqp/ssl",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// An address that is taken and not served yet: clients wait, and no other process can have it.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    behind_proxy: bool,
}

impl Bound {
    /// With `tls`, clients have to speak it.
    pub fn bind(address: SocketAddr, tls: Option<Arc<Tls>>) -> Result<Self, ManagementError> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address, tls, behind_proxy: false })
        };
        bind().map_err(|source| ManagementError::Bind { address, source })
    }

    /// A proxy says in front whom it speaks for. Whoever does not is turned away.
    #[must_use]
    pub fn behind_proxy(self, behind_proxy: bool) -> Self {
        Self { behind_proxy, ..self }
    }
}

/// The running API.
pub struct Management {
    api: Arc<Api>,
    stop: CancellationToken,
    /// Fails when the thread is gone.
    stopped: oneshot::Receiver<()>,
}

/// What all requests share.
struct Api {
    services: Services,
    /// Where it is served.
    own: Vec<Listener>,
    draining: CancellationToken,
}

impl Api {
    /// Who accepts clients at this moment.
    fn listeners(&self) -> impl Iterator<Item = Listener> {
        let serving = !self.draining.is_cancelled();
        let amqp = self.services.listeners.iter().copied().filter(move |_| serving);
        amqp.chain(self.own.iter().copied())
    }

    fn now(&self) -> Time {
        (self.services.now)()
    }
}

impl Management {
    /// Serves bound addresses from now on.
    pub fn start(bound: Vec<Bound>, services: Services) -> Result<Self, ManagementError> {
        let own = bound.iter().map(|bound| {
            let protocol = if bound.tls.is_some() { Protocol::Https } else { Protocol::Http };
            Listener { protocol, address: bound.address }
        });
        let (own, draining) = (own.collect(), CancellationToken::new());
        let api = Arc::new(Api { services, own, draining });
        let stop = CancellationToken::new();
        let (running, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut listeners = Vec::new();
        for Bound { listener, tls, behind_proxy, .. } in bound {
            let _entered = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            listeners.push(socket::Wrapped { listener, tls, behind_proxy });
        }
        let serve = socket::serve(listeners, handler::router(Arc::clone(&api)), stop.clone());
        thread::Builder::new().name("management".to_owned()).spawn(move || {
            let _running = running;
            runtime.block_on(serve);
        })?;
        Ok(Self { api, stop, stopped })
    }

    /// Where clients can connect, in the order in which it was bound.
    pub fn listeners(&self) -> &[Listener] {
        &self.api.own
    }

    /// The broker is about to stop: AMQP listeners are gone, and health checks say that it takes no
    /// more clients.
    pub fn drain(&self) {
        self.api.draining.cancel();
    }

    /// Finishes the requests it has begun, but does not wait for them for ever.
    pub async fn stop(self) {
        self.drain();
        self.stop.cancel();
        // It never says anything: it ends.
        let _ = self.stopped.await;
    }
}
