//! The HTTP API: what operators, their probes and RabbitMQ's tools ask a running broker.
//!
//! `socket` accepts connections and sees to it that a slow client cannot keep one; `convention`
//! gives every answer the manners RabbitMQ's tools expect; `caller` says who asks and what they may;
//! in `handler` there is a file for each noun, whose routes `openapi` describes. The figures and rules behind an answer belong to the
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
mod cors;
mod definitions;
mod figures;
mod gzip;
mod handler;
mod json;
mod list;
mod machine;
mod metrics;
mod openapi;
mod page;
mod query;
mod rates;
mod refusal;
mod rights;
mod socket;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use self::cors::Cors;
pub use self::definitions::{DefinitionFiles, DefinitionsError};
pub use self::machine::Node;

use self::machine::Machine;
use self::rates::Rates;
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
    pub node: Node,
    pub options: Options,
    /// The clock that connections go by.
    pub now: Box<dyn Fn() -> Time + Send + Sync>,
}

/// What operators may choose.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub cors: Cors,
    /// What stands before every path, such as `/rabbit`; empty is nothing.
    pub path_prefix: String,
    /// Whether `/metrics` is `/metrics/per-object`.
    pub metrics_per_object: bool,
    /// All settings of the broker by their keys, without secrets, to be shown.
    pub settings: serde_json::Map<String, serde_json::Value>,
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
    /// Metrics alone, for everybody.
    Prometheus,
}

impl Protocol {
    /// RabbitMQ's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Amqps => "amqp/ssl",
            Self::Http => "http",
            Self::Https => "https",
            Self::Prometheus => "http/prometheus",
        }
    }
}

/// An address that is taken and not served yet: clients wait, and no other process can have it.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    behind_proxy: bool,
    /// It serves metrics and nothing else.
    is_metrics: bool,
}

impl Bound {
    /// With `tls`, clients have to speak it.
    pub fn bind(address: SocketAddr, tls: Option<Arc<Tls>>) -> Result<Self, ManagementError> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address, tls, behind_proxy: false, is_metrics: false })
        };
        bind().map_err(|source| ManagementError::Bind { address, source })
    }

    /// A proxy says in front whom it speaks for. Whoever does not is turned away.
    #[must_use]
    pub fn behind_proxy(self, behind_proxy: bool) -> Self {
        Self { behind_proxy, ..self }
    }

    /// For metrics and nothing else; nobody has to say who asks.
    pub fn bind_metrics(address: SocketAddr) -> Result<Self, ManagementError> {
        Ok(Self { is_metrics: true, ..Self::bind(address, None)? })
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
    rates: Rates,
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

    /// Looks at all counters, for rates; at most once an interval.
    fn sample(&self, now: Time) {
        let node = || {
            let machine = Machine::look(&self.services.node.directory);
            figures::node_gauges(self, &machine)
        };
        self.rates.tick(&self.services.broker, now, node);
    }
}

impl Management {
    /// Serves bound addresses from now on.
    pub fn start(bound: Vec<Bound>, services: Services) -> Result<Self, ManagementError> {
        let own = bound.iter().map(|bound| {
            let protocol = match (bound.is_metrics, bound.tls.is_some()) {
                (true, _) => Protocol::Prometheus,
                (false, true) => Protocol::Https,
                (false, false) => Protocol::Http,
            };
            Listener { protocol, address: bound.address }
        });
        let (own, draining) = (own.collect(), CancellationToken::new());
        let api = Arc::new(Api { services, own, rates: Rates::default(), draining });
        let stop = CancellationToken::new();
        let (running, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut listeners, mut for_metrics) = (Vec::new(), Vec::new());
        for Bound { listener, tls, behind_proxy, is_metrics, .. } in bound {
            let _entered = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let listener = socket::Wrapped { listener, tls, behind_proxy };
            if is_metrics { &mut for_metrics } else { &mut listeners }.push(listener);
        }
        let prefix = Arc::from(api.services.options.path_prefix.as_str());
        let router = handler::router(Arc::clone(&api));
        let serve = socket::serve(listeners, prefix, router, stop.clone());
        let metrics = metrics::open_router(Arc::clone(&api));
        let serve_metrics = socket::serve(for_metrics, Arc::from(""), metrics, stop.clone());
        let ticker = sample_for_ever(Arc::clone(&api));
        thread::Builder::new().name("management".to_owned()).spawn(move || {
            let _running = running;
            runtime.block_on(async {
                tokio::select! {
                    _ = async { tokio::join!(serve, serve_metrics) } => {}
                    () = ticker => {}
                }
            });
        })?;
        Ok(Self { api, stop, stopped })
    }

    /// Where clients can connect, in the order in which it was bound.
    pub fn listeners(&self) -> &[Listener] {
        &self.api.own
    }

    /// Takes samples for rates, as is done every five seconds anyway.
    pub fn sample(&self, now: Time) {
        self.api.sample(now);
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

/// Looks several times an interval, so that none is left out.
async fn sample_for_ever(api: Arc<Api>) {
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(rates::TICK_MILLIS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        api.sample(api.now());
    }
}
