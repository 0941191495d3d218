//! A run from its beginning to its end: who starts when, who stops when, and what was measured.
//!
//! ```text
//! declare → consumers subscribe → producers connect → all send → (producers stop, queues empty)
//!         → consumers stop → delete what was made
//! ```

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::clock::{Clock, Moment};
use super::connection::{Connection, Phase};
use super::error::PerfError;
use super::plan::Plan;
use super::report::{Ended, Report, Second};
use super::sample::Shards;
use super::series::Series;
use super::topology::{self, Made};
use super::workers::{Kind, Shared, Workers};
use crate::transport::tls::client::{self, Trust};

/// How often what the connections counted is collected.
const COLLECT: Duration = Duration::from_millis(50);
/// After the end, what is under way may take so long.
const GRACE: Duration = Duration::from_secs(5);
/// Empty queues and so long nothing received: it is over.
const QUIET: u64 = 500_000_000;
/// So long nothing received whatever the queues say: streams are never empty, and messages without
/// consumers stay.
const STUCK: u64 = 3_000_000_000;

/// A run that got as far as sending.
pub struct Run {
    pub report: Report,
    /// What ended it, if that was not the plan.
    pub error: Option<PerfError>,
}

/// Runs the plan. `progress` hears of every second, `interrupt` ends it early.
pub async fn run(
    plan: Plan,
    command: Vec<String>,
    interrupt: impl Future<Output = ()>,
    progress: impl FnMut(&Second),
) -> Result<Run, PerfError> {
    let clock = Clock::start();
    let plan = Arc::new(plan);
    let tls = plan.uris.iter().any(|uri| uri.tls);
    let trust = match &plan.options.cacert {
        Some(path) => Trust::File(path),
        None if plan.options.insecure => Trust::Anybody,
        None => Trust::System,
    };
    let tls = if tls { Some(client::connector(trust)?) } else { None };
    let uri = plan.uris.first().unwrap_or_else(|| unreachable!("clap has a default"));
    let name = format!("{} control", plan.options.name);
    // Nobody looks after it while the others work: no heartbeats.
    let mut control = Connection::open(uri, tls.as_ref(), &name, Some(0)).await?;
    let mut made = Made::default();
    let (phase, phases) = watch::channel(Phase::Setup);
    // More than cores would only be more to collect.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let connections = (plan.options.producers + plan.options.consumers) as usize;
    let shards = Shards::new(connections.min(2 * cores) + 1);
    let shared =
        Shared { plan: Arc::clone(&plan), clock, tls, shards: shards.clone(), phase: phases };
    let mut conductor = Conductor {
        plan: &plan,
        clock,
        phase,
        workers: Workers::new(shared),
        series: Series::new(shards),
        asked: clock.now(),
    };
    let outcome = conductor.conduct(&mut control, &mut made, pin!(interrupt), progress).await;
    conductor.end().await;
    let series = conductor.series;
    let product = control.agreed.product.clone();
    // Whatever happened, it tidies up, and an error before that is the more important one.
    let removed = tidy(control, &plan, made).await;
    let (ended, error) = match outcome {
        Ok(ended) => match removed {
            Ok(()) => (ended, None),
            Err(error) => (Ended::Failed, Some(error)),
        },
        Err(error) if series.has_begun() => (Ended::Failed, Some(error)),
        Err(error) => return Err(error),
    };
    let mut report = series.report(clock.now());
    report.name.clone_from(&plan.options.name);
    report.command = command;
    report.broker = product;
    report.uris = plan.uris.iter().map(ToString::to_string).collect();
    report.ended = ended;
    report.error = error.as_ref().map(ToString::to_string);
    report.producers = plan.producer_count() as u64;
    report.consumers = plan.consumer_count() as u64;
    report.queues = plan.queues.len() as u64;
    Ok(Run { report, error })
}

async fn tidy(mut control: Connection, plan: &Plan, made: Made) -> Result<(), PerfError> {
    if !plan.options.keep {
        topology::remove(&mut control, plan, made).await?;
    }
    control.close().await;
    Ok(())
}

struct Conductor<'a> {
    plan: &'a Plan,
    clock: Clock,
    phase: watch::Sender<Phase>,
    workers: Workers,
    series: Series,
    /// When the queues were last asked whether they are empty.
    asked: Moment,
}

impl Conductor<'_> {
    async fn conduct(
        &mut self,
        control: &mut Connection,
        made: &mut Made,
        mut interrupt: std::pin::Pin<&mut impl Future<Output = ()>>,
        mut progress: impl FnMut(&Second),
    ) -> Result<Ended, PerfError> {
        let options = &self.plan.options;
        let set_up = async {
            topology::declare(control, self.plan, made).await?;
            self.workers.open(Kind::Consumers).await?;
            self.workers.open(Kind::Producers).await
        };
        tokio::select! {
            set_up = set_up => set_up?,
            () = &mut interrupt => return Ok(Ended::Interrupted),
        }
        let start = self.clock.now();
        self.series.begin(start);
        self.phase.send_replace(Phase::Run(start));
        let at = |seconds: f64| Instant::now() + Duration::from_secs_f64(seconds);
        let mut warm = pin!(sleep_until(at(options.warm_up)));
        let mut is_warm = options.warm_up == 0.0;
        let mut over = pin!(sleep_until(at(options.duration.unwrap_or_default())));
        let mut is_over = false;
        let mut collect = interval(COLLECT);
        collect.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(ended) = self.workers.next() => ended?,
                _ = collect.tick() => {
                    if let Some(second) = self.series.collect(self.clock.now()) {
                        progress(&second);
                    }
                }
                () = &mut warm, if !is_warm => {
                    is_warm = true;
                    self.series.begin(self.clock.now());
                }
                () = &mut over, if options.duration.is_some() && !is_over => {
                    is_over = true;
                    if !options.drain {
                        self.settle().await?;
                        return Ok(Ended::Duration);
                    }
                    self.phase.send_replace(Phase::Drain);
                }
                () = &mut interrupt => return Ok(Ended::Interrupted),
            }
            if self.workers.are_done() {
                return Ok(if is_over { Ended::Duration } else { Ended::Count });
            }
            if self.is_sated() {
                return Ok(Ended::Count);
            }
            if self.is_draining(is_over) && self.is_drained(control).await? {
                return Ok(if is_over { Ended::Duration } else { Ended::Count });
            }
        }
    }

    /// The time is over: what is sent may still be confirmed.
    async fn settle(&mut self) -> Result<(), PerfError> {
        self.phase.send_replace(Phase::Settle);
        let mut until = pin!(sleep(GRACE));
        while self.workers.producers > 0 && self.plan.options.confirm.is_some() {
            tokio::select! {
                Some(ended) = self.workers.next() => ended?,
                () = &mut until => break,
            }
        }
        Ok(())
    }

    /// Whether the consumers have had all they wanted, and nothing else says when to stop publishing.
    fn is_sated(&self) -> bool {
        let options = &self.plan.options;
        let limit = options.messages.is_some() || options.duration.is_some();
        options.consume.is_some() && options.consumers > 0 && self.workers.consumers == 0 && !limit
    }

    /// Whether nothing more is published, and the consumers are to end when everything is consumed.
    fn is_draining(&self, is_over: bool) -> bool {
        let options = &self.plan.options;
        // With a number of their own they know when to end; with only a duration they go on so long.
        let by_themselves = options.consume.is_some()
            || (options.duration.is_some()
                && !is_over
                && options.messages.is_none()
                && !options.drain);
        let endless = options.producers == 0 && options.duration.is_none() && !options.drain;
        self.workers.producers == 0 && !by_themselves && !endless
    }

    async fn is_drained(&mut self, control: &mut Connection) -> Result<bool, PerfError> {
        let now = self.clock.now();
        let options = &self.plan.options;
        // Consumers that take their time are not done while they think or wait.
        let pause = 2000 * options.think.max(if options.poll { options.poll_interval } else { 0 });
        let silence = now.since(self.series.last_received());
        if silence < QUIET.max(pause) || now.since(self.asked) < QUIET / 5 {
            return Ok(false);
        }
        if silence >= STUCK.max(3 * pause) {
            return Ok(true);
        }
        self.asked = now;
        Ok(topology::ready(control, self.plan).await? == Some(0))
    }

    /// Ends everybody, with what is under way, and counts it.
    async fn end(&mut self) {
        self.phase.send_replace(Phase::Stop);
        let all = async {
            while !self.workers.are_done() {
                // The first error is the one that is told.
                let _ = self.workers.next().await;
            }
        };
        let _ = timeout(GRACE, all).await;
        self.workers.abort().await;
        self.series.collect(self.clock.now());
    }
}

/// Ctrl-C, as a run wants to hear of it. Who presses it twice does not want to wait for the end.
pub async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::spawn(async {
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    });
}
