//! The connections that publish and consume, each a task.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::client::Role;
use super::clock::{Clock, Timer};
use super::connection::{Connection, Phase};
use super::consumer::Consumer;
use super::content::Writer;
use super::error::PerfError;
use super::plan::Plan;
use super::producer::Producer;
use super::sample::Shards;
use super::topology::declare_queue;
use crate::protocol::ChannelNumber;
use crate::protocol::method::{basic, confirm};

/// Connections that are being opened at the same time.
const DIALING_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Producers,
    Consumers,
}

/// What all connections share.
#[derive(Clone)]
pub struct Shared {
    pub plan: Arc<Plan>,
    pub clock: Clock,
    pub tls: Option<TlsConnector>,
    pub shards: Shards,
    pub phase: watch::Receiver<Phase>,
}

/// The tasks, and how many of them there still are.
pub struct Workers {
    shared: Shared,
    dialing: Arc<Semaphore>,
    tasks: JoinSet<(Kind, Result<(), PerfError>)>,
    pub producers: u64,
    pub consumers: u64,
}

impl Workers {
    pub fn new(shared: Shared) -> Self {
        let dialing = Arc::new(Semaphore::new(DIALING_MAX));
        Self { shared, dialing, tasks: JoinSet::new(), producers: 0, consumers: 0 }
    }

    /// Opens all connections of this kind, and returns when they are ready to go.
    pub async fn open(&mut self, kind: Kind) -> Result<(), PerfError> {
        let options = &self.shared.plan.options;
        let count = match kind {
            Kind::Producers => options.producers,
            Kind::Consumers => options.consumers,
        };
        let (report, mut reports) = mpsc::unbounded_channel();
        for number in 0..count as usize {
            let (shared, dialing) = (self.shared.clone(), Arc::clone(&self.dialing));
            let report = report.clone();
            let ready = move || {
                // Nobody waits any more if somebody else failed.
                let _ = report.send(());
            };
            let work = async move { (kind, work(shared, dialing, kind, number, ready).await) };
            self.tasks.spawn(work);
        }
        match kind {
            Kind::Producers => self.producers += count,
            Kind::Consumers => self.consumers += count,
        }
        drop(report);
        let mut waiting = count;
        while waiting > 0 {
            tokio::select! {
                Some(()) = reports.recv() => waiting -= 1,
                Some(ended) = self.next() => ended?,
            }
        }
        Ok(())
    }

    /// The next one that ends; never returns when there is none.
    pub async fn next(&mut self) -> Option<Result<(), PerfError>> {
        let Some(ended) = self.tasks.join_next().await else { return std::future::pending().await };
        let (kind, result) = match ended {
            Ok(ended) => ended,
            Err(panic) => return Some(Err(PerfError::Runtime(std::io::Error::other(panic)))),
        };
        match kind {
            Kind::Producers => self.producers -= 1,
            Kind::Consumers => self.consumers -= 1,
        }
        Some(result)
    }

    pub fn are_done(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Ends those that do not end by themselves.
    pub async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// One connection, from the dialing to its end.
async fn work(
    shared: Shared,
    dialing: Arc<Semaphore>,
    kind: Kind,
    number: usize,
    ready: impl FnOnce(),
) -> Result<(), PerfError> {
    let plan = &shared.plan;
    let what = match kind {
        Kind::Producers => "producer",
        Kind::Consumers => "consumer",
    };
    let name = format!("{} {what} {}", plan.options.name, number + 1);
    let permit = dialing.acquire().await;
    let uri = plan
        .uris
        .get(number % plan.uris.len().max(1))
        .unwrap_or_else(|| unreachable!("clap has a default"));
    let mut connection =
        Connection::open(uri, shared.tls.as_ref(), &name, plan.options.heartbeat).await?;
    let channels = match kind {
        Kind::Producers => plan.options.producer_channels,
        Kind::Consumers => plan.options.consumer_channels,
    };
    if channels > u64::from(connection.agreed.channel_max) {
        let allowed = connection.agreed.channel_max;
        return Err(PerfError::Channels { address: uri.to_string(), wanted: channels, allowed });
    }
    let mut roles = Vec::new();
    for channel in 1..=u16::try_from(channels).unwrap_or(u16::MAX) {
        let index = number * channels as usize + usize::from(channel) - 1;
        let channel = ChannelNumber(channel);
        connection.open_channel(channel).await?;
        roles.push(match kind {
            Kind::Producers => producer(plan, &mut connection, channel, index).await?,
            Kind::Consumers => consumer(plan, &mut connection, channel, index).await?,
        });
    }
    drop(permit);
    let exact = match kind {
        Kind::Producers => plan.is_timed(),
        Kind::Consumers => plan.options.think > 0 || plan.options.poll,
    };
    let timer = Timer::new(shared.clock, exact);
    // Producers and consumers do not share what they lock while there are enough for all.
    let shard = match kind {
        Kind::Producers => shared.shards.of(number * 2),
        Kind::Consumers => shared.shards.of(number * 2 + 1),
    };
    connection.run(roles, shared.clock, timer, shard, shared.phase, ready).await
}

async fn producer(
    plan: &Plan,
    connection: &mut Connection,
    channel: ChannelNumber,
    index: usize,
) -> Result<Role, PerfError> {
    if plan.options.confirm.is_some() {
        let select = confirm::Select { nowait: false };
        connection.call(channel, select, confirm::SelectOk::ID).await?;
    }
    let writer = Writer::new(&plan.content(index), channel, connection.agreed.frame_max, index);
    let window = plan.options.confirm.map(|window| usize::try_from(window).unwrap_or(usize::MAX));
    let producer = Producer::new(writer, plan.pace(index), window, plan.options.messages);
    Ok(Role::Producer(producer))
}

async fn consumer(
    plan: &Plan,
    connection: &mut Connection,
    channel: ChannelNumber,
    index: usize,
) -> Result<Role, PerfError> {
    let consuming = plan.consuming(index);
    if plan.options.exclusive && !plan.options.predeclared {
        declare_queue(connection, channel, plan, &consuming.queue).await?;
    }
    if plan.options.prefetch > 0 {
        let qos = basic::Qos {
            prefetch_count: u16::try_from(plan.options.prefetch).unwrap_or(u16::MAX),
            ..basic::Qos::default()
        };
        connection.call(channel, qos, basic::QosOk::ID).await?;
    }
    Ok(Role::Consumer(Consumer::new(consuming, channel)))
}
