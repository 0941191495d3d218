//! The leveret binary: flags to settings, settings and what the data directory holds to a broker, a
//! broker to sockets, and then waiting for a signal.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leveret::auth::oauth2::OAuth2;
use leveret::auth::{Authenticator, Backend, PasswordHash, Patterns, Tag, User, UserLimits};
use leveret::broker::{AlarmLimits, Broker, Found, Limits};
use leveret::config::{self, ConfigError, Settings, Task};
use leveret::ctl;
use leveret::log::Log;
use leveret::management::{
    self, Bound, Cors, DefinitionFiles, Listener, Management, ManagementError, Protocol,
};
use leveret::process::signals::{Signals, Wanted};
use leveret::process::{files, systemd};
use leveret::queue::{Budget, QueueKind, TimeoutAction};
use leveret::server::clock::Clock;
use leveret::server::{Keepalive, KeySource, Listen, Resources, Server, ServerError, alarm_limits};
use leveret::session::{Offer, Services};
use leveret::storage::disk::RealDisk;
use leveret::storage::journal::{Journal, JournalStats, Options, Recovered, Sync};
use leveret::storage::{
    DataDirectory, DefinitionStore, DurableMessages, RedbDefinitions, Scanned, SegmentStore,
    StoreError,
};
use leveret::transport::tls::{self, Tls};
use tokio::sync::mpsc;

/// Messages are allocated by one thread and freed by another, all day long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What `sysexits.h` has for a configuration that is wrong, and `rabbitmqctl`, too.
const BAD_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if ctl::is_tool(args.first()) {
        return ctl::main(args);
    }
    let word = |at: usize| args.get(at).map(|word| word.as_encoded_bytes()).unwrap_or_default();
    match (word(1), word(2)) {
        // The same command in both places.
        (b"ctl", b"config") => drop(args.remove(1)),
        (b"ctl", _) => return ctl::main(args),
        (b"perf", _) => return leveret::perf::main(args.into_iter()),
        _ => {}
    }
    let command = match config::command(args.into_iter()) {
        Ok(command) => command,
        Err(ConfigError::Help(text)) => {
            say(std::io::stdout(), &text);
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&error),
    };
    if command.task == Task::Convert {
        return match command.convert() {
            Ok(toml) => {
                say(std::io::stdout(), toml.trim_end());
                ExitCode::SUCCESS
            }
            Err(error) => {
                fail(&error);
                ExitCode::from(BAD_CONFIG)
            }
        };
    }
    let loaded = match command.load(env) {
        Ok(loaded) => loaded,
        Err(error) if command.task == Task::Check => {
            fail(&error);
            return ExitCode::from(BAD_CONFIG);
        }
        Err(error) => return fail(&error),
    };
    if command.task == Task::Check {
        loaded.warnings.iter().for_each(|line| say(std::io::stderr(), &format!("warning: {line}")));
        say(std::io::stdout(), loaded.report().trim_end());
        return ExitCode::SUCCESS;
    }
    let settings = loaded.settings;
    let log = match Log::start(&settings) {
        Ok(log) => log,
        Err(error) => return fail(&error),
    };
    loaded.warnings.iter().for_each(|line| tracing::warn!("{line}"));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if settings.worker_threads > 0 {
        runtime.worker_threads(settings.worker_threads);
    }
    let served = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(&settings, &command, &loaded.files, &log)),
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    say(std::io::stderr(), &leveret::log::failure(error));
    ExitCode::FAILURE
}

/// Where nobody listens any more, nothing is said; that is no reason to stop.
fn say(mut out: impl Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

/// Everything is taken (directory, certificates, addresses) before the first client is served.
async fn serve(
    settings: &Settings,
    command: &config::Command,
    files: &[PathBuf],
    log: &Log,
) -> Result<(), Box<dyn std::error::Error>> {
    // Signals that come while starting are not lost.
    let mut signals = Signals::listen()?;
    let started = Instant::now();
    say_what_starts(settings, files);
    let definitions = settings.load_definitions.as_deref();
    let definitions = definitions.map(DefinitionFiles::read).transpose()?;
    let directory = DataDirectory::open(&settings.data_dir)?;
    let tls = tls::Options::of(settings).map(Tls::load).transpose()?.map(Arc::new);
    // Whoever asks over HTTP while the broker recovers waits for the answer.
    let http = bind_http(settings, tls.as_ref())?;
    let clock = Clock::start();
    let (failed, mut failure) = mpsc::unbounded_channel();
    let patience = systemd::ask_for_patience("recovering");
    let (broker, stores) = recover(settings, &directory, clock, failed)?;
    let (oauth2, keys) = tokens(settings)?;
    let has_users = definitions.as_ref().is_some_and(DefinitionFiles::has_users);
    let authenticator = users(settings, &broker, &stores.definitions, has_users)?;
    let authenticator = authenticator.with_backends(backends(settings), oauth2);
    let services = services(settings, Arc::clone(&broker), authenticator);
    if let Some(definitions) = definitions {
        let skip = settings.definitions_skip_if_unchanged;
        definitions.load(&broker, &services.authenticator, skip, clock.now())?;
    }
    let mut resources = Resources::new(
        Arc::new(RealDisk),
        directory.path().to_owned(),
        alarm_limits(settings.disk_free_limit, settings.memory_high_watermark),
    );
    let alarm_limits = resources.limits();
    let node = management::Node {
        limits: Arc::clone(&alarm_limits),
        directory: directory.path().to_owned(),
        config_files: files.iter().map(|file| file.display().to_string()).collect(),
        started: clock.now(),
    };
    // Before the first publisher.
    resources.look(&broker.alarms);
    let listen = amqp_listeners(settings, tls.as_ref());
    let server = Server::start(Arc::clone(&services), clock, listen).await?;
    server.watch(resources);
    if let Some(keys) = keys {
        server.watch_keys(keys);
    }
    let management = match http.is_empty() {
        true => None,
        false => Some(manage(http, settings, &services, &server, tls.clone(), node, clock)?),
    };
    tracing::info!("ready in {} ms", started.elapsed().as_millis());
    let ready = report_ready(&server, management.as_ref());
    drop(patience);
    systemd::ready(&ready);
    let living = Arc::clone(&broker);
    let watchdog = tokio::spawn(systemd::watchdog(move || look_alive(&living)));
    let last = settings.clone();
    let mut reload =
        Reload { settings, last, command, log, tls, broker: Arc::clone(&broker), alarm_limits };
    loop {
        tokio::select! {
            wanted = signals.next() => match wanted {
                Wanted::Stop => break,
                Wanted::Reload => {
                    systemd::reloading();
                    reload.run();
                    systemd::ready(&ready);
                }
                Wanted::Report => {
                    let lines = leveret::server::state(&broker, clock.now());
                    lines.iter().for_each(|line| tracing::info!("state: {line}"));
                }
            },
            // What is on the disk is unknown: the less is promised from here on, the better.
            Some(error) = failure.recv() => return Err(error.into()),
        }
    }
    tracing::info!("stopping");
    systemd::stopping("closing connections, writing and syncing");
    watchdog.abort();
    let _patience = systemd::ask_for_patience("closing connections, writing and syncing");
    if let Some(management) = &management {
        management.drain();
    }
    server.stop().await;
    if let Some(management) = management {
        management.stop().await;
    }
    stores.segments.shut_down();
    // Now that nobody has any in hand, it is known what was delivered before.
    stores.journal.note_returned(broker.delivery_counts());
    let stored = stores.journal.shut_down(&broker.delivered_before());
    let JournalStats { records, bytes, fsyncs, .. } = stores.journal.stats();
    tracing::info!("the journal took {records} records, {bytes} bytes, {fsyncs} syncs");
    stores.definitions.close();
    Ok(stored?)
}

/// What to know first when one reads a log.
fn say_what_starts(settings: &Settings, config_files: &[PathBuf]) {
    let (version, node) = (env!("CARGO_PKG_VERSION"), leveret::broker::node_name());
    tracing::info!("leveret {version} starts as node {node}, process {}", std::process::id());
    let directory = &settings.data_dir;
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
    tracing::info!("data directory: {}", absolute.display());
    let config_files: Vec<_> = config_files.iter().map(|file| file.display().to_string()).collect();
    match config_files.is_empty() {
        true => tracing::info!("configuration files: none"),
        false => tracing::info!("configuration files: {}", config_files.join(", ")),
    }
    match files::raise_limit() {
        None => tracing::info!("open files: as many as there are"),
        Some(most) if most >= files::FEW => tracing::info!("open files: at most {most}"),
        Some(most) => tracing::warn!(
            "open files: at most {most}, which is few: every connection is one (ulimit -n, LimitNOFILE)"
        ),
    }
}

/// Takes the locks that all connections need: whoever waits for one for ever shows here.
fn look_alive(broker: &Broker) {
    broker.connection_count();
    for vhost in broker.vhosts() {
        vhost.queue_count();
    }
}

/// What SIGHUP makes anew from the settings as they are then. Whatever can follow a change while the
/// broker runs has a field, a list of the keys that it looks at, and a line in `run`.
struct Reload<'a> {
    /// What the broker was started with.
    settings: &'a Settings,
    /// What was read last: of the keys that follow a change, what is in force.
    last: Settings,
    command: &'a config::Command,
    log: &'a Log,
    tls: Option<Arc<Tls>>,
    broker: Arc<Broker>,
    alarm_limits: Arc<AlarmLimits>,
}

impl Reload<'_> {
    /// The files count, too: they are read again whether or not a key has changed.
    const TLS: [&'static str; 10] = [
        "tls_certificate_file",
        "tls_key_file",
        "tls_ca_file",
        "tls_versions",
        "tls_verify",
        "tls_fail_if_no_peer_cert",
        "tls_cert_login_from",
        "tls_cert_login_san_type",
        "tls_cert_login_san_index",
        "https_verify",
    ];
    const LIMITS: [&'static str; 8] = [
        "message_size_max",
        "consumers_per_channel_max",
        "connections_max",
        "vhosts_max",
        "channel_max_per_node",
        "outbox_bytes_high",
        "consumer_timeout",
        "consumer_timeout_action",
    ];
    const ALARMS: [&'static str; 2] = ["disk_free_limit", "memory_high_watermark"];
    const LOG: [&'static str; 1] = ["log_level"];

    /// What is wrong is reported, and stays as it was.
    fn run(&mut self) {
        let settings = match self.command.load(env) {
            Ok(loaded) => loaded.settings,
            Err(error) => return tracing::error!(%error, "SIGHUP: the settings stay as they were"),
        };
        let changed = self.last.changed(&settings);
        let has_changed = |keys: &[&str]| changed.iter().any(|key| keys.contains(key));
        let mut followed: Vec<&str> = Vec::new();
        if let (Some(tls), Some(options)) = (&self.tls, tls::Options::of(&settings)) {
            followed.extend(Self::TLS);
            match tls.reload(options) {
                Ok(()) => {
                    tracing::info!("SIGHUP: new connections use the TLS files as they are now")
                }
                Err(error) => tracing::error!(%error, "SIGHUP: TLS stays as it was"),
            }
        }
        if let Err(error) = self.log.reopen() {
            tracing::error!(%error, "SIGHUP: the log stays in the file that it is in");
        }
        if has_changed(&Self::LOG) {
            self.log.set_level(&settings.log_level);
        }
        if has_changed(&Self::LIMITS) {
            self.broker.limits.change(&limits(&settings));
        }
        if has_changed(&Self::ALARMS) {
            let limits = alarm_limits(settings.disk_free_limit, settings.memory_high_watermark);
            self.alarm_limits.change(&limits);
        }
        let in_force = [&Self::LOG[..], &Self::LIMITS, &Self::ALARMS].concat();
        for key in changed.iter().filter(|key| in_force.contains(key)) {
            tracing::info!("SIGHUP: {key} has changed and is in force");
        }
        followed.extend(in_force);
        let mut later = self.settings.changed(&settings);
        later.retain(|key| !followed.contains(key));
        for key in &later {
            tracing::warn!("SIGHUP: {key} has changed, which counts after a restart");
        }
        if changed.is_empty() && later.is_empty() {
            tracing::info!("SIGHUP: no setting has changed");
        }
        self.last = settings;
    }
}

/// What the broker keeps things in.
struct Stores {
    definitions: Arc<RedbDefinitions>,
    journal: Arc<Journal>,
    segments: Arc<SegmentStore>,
}

/// What the data directory holds, brought back; `failed` hears of the disk's first failure after that.
fn recover(
    settings: &Settings,
    directory: &DataDirectory,
    clock: Clock,
    failed: mpsc::UnboundedSender<StoreError>,
) -> Result<(Arc<Broker>, Stores), StoreError> {
    let started = Instant::now();
    let definitions = open_definitions(directory, failed.clone())?;
    let (journal, found) = open_journal(settings, directory, failed.clone())?;
    let (segments, scanned) = open_segments(directory, failed)?;
    for segment in scanned.segments.values().flatten() {
        let queue = segment.queue.map_or(0, |queue| queue.0);
        journal.in_segments(queue, segment.first.0, segment.last.0);
    }
    journal.segments_known();
    let stores = Stores { definitions, journal, segments };
    let broker = broker(settings, &stores);
    let recovered = broker.recover(stores.definitions.load()?, clock.now());
    broker.ensure_cluster_id(rand::random());
    found.report.iter().for_each(|line| tracing::error!("journal: {line}"));
    scanned.report.iter().for_each(|line| tracing::error!("segments: {line}"));
    let left_out = &recovered.skipped_queues;
    let kept = Found { queues: found.queues, segments: scanned.segments, clean: found.clean };
    let messages = broker.recover_messages(kept, left_out, clock.now());
    let took = started.elapsed().as_millis();
    let stop = if found.clean { "a clean stop" } else { "no clean stop" };
    tracing::info!("recovered {recovered}, {messages} messages after {stop}, in {took} ms");
    Ok((broker, stores))
}

fn open_definitions(
    directory: &DataDirectory,
    failed: mpsc::UnboundedSender<StoreError>,
) -> Result<Arc<RedbDefinitions>, StoreError> {
    let on_failure = move |error| {
        // Nobody listens any more once the broker is stopping.
        let _ = failed.send(error);
    };
    RedbDefinitions::open(directory.path(), Box::new(on_failure)).map(Arc::new)
}

fn open_journal(
    settings: &Settings,
    directory: &DataDirectory,
    failed: mpsc::UnboundedSender<StoreError>,
) -> Result<(Arc<Journal>, Recovered), StoreError> {
    let sync = match settings.sync {
        config::Sync::Always => Sync::Always,
        config::Sync::Os => Sync::Os,
    };
    let options = Options { sync, ..Options::default() };
    let on_failure = move |error| {
        let _ = failed.send(error);
    };
    let path = directory.path().join("journal");
    Journal::open(Arc::new(RealDisk), &path, options, Box::new(on_failure))
}

fn open_segments(
    directory: &DataDirectory,
    failed: mpsc::UnboundedSender<StoreError>,
) -> Result<(Arc<SegmentStore>, Scanned), StoreError> {
    let on_failure = move |error| {
        let _ = failed.send(error);
    };
    let path = directory.path().join("segments");
    SegmentStore::open(Arc::new(RealDisk), &path, Box::new(on_failure))
}

fn broker(settings: &Settings, stores: &Stores) -> Arc<Broker> {
    let definitions = Arc::clone(&stores.definitions);
    let (journal, segments) = (Arc::clone(&stores.journal), Arc::clone(&stores.segments));
    let messages = DurableMessages::new(journal, Arc::clone(&definitions) as _, segments);
    Broker::new(limits(settings), definitions, Arc::new(messages))
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        message_size_max: settings.message_size_max,
        consumers_per_channel_max: settings.consumers_per_channel_max,
        connections_max: settings.connections_max,
        vhosts_max: settings.vhosts_max,
        default_queue_type: match settings.default_queue_type {
            config::QueueType::Classic => None,
            config::QueueType::Quorum => Some(QueueKind::Quorum),
            config::QueueType::Stream => Some(QueueKind::Stream),
        },
        channel_max_per_node: settings.channel_max_per_node,
        outbox_bytes_high: settings.outbox_bytes_high,
        queue_budget: Budget::of(settings.queue_memory),
        consumer_timeout_millis: settings.consumer_timeout,
        consumer_timeout_action: match settings.consumer_timeout_action {
            config::TimeoutAction::Close => TimeoutAction::Close,
            config::TimeoutAction::Requeue => TimeoutAction::Requeue,
        },
        delayed_in_memory_max: settings.queue_memory / 256,
    }
}

/// What listens over TLS needs its files, which the settings have been checked for.
fn bind_http(settings: &Settings, tls: Option<&Arc<Tls>>) -> Result<Vec<Bound>, ManagementError> {
    let http = settings.http.iter().map(|address| (*address, None));
    let https = settings.https.iter().map(|address| (*address, tls.cloned()));
    let bind = |(address, tls)| {
        let behind_proxy = settings.proxy_protocol.contains(&address);
        Bound::bind(address, tls).map(|bound| bound.behind_proxy(behind_proxy))
    };
    let metrics = settings.prometheus.iter().map(|address| Bound::bind_metrics(*address));
    http.chain(https).map(bind).chain(metrics).collect()
}

fn amqp_listeners(settings: &Settings, tls: Option<&Arc<Tls>>) -> Vec<Listen> {
    let amqp = settings.amqp.iter().map(|address| (*address, None));
    let amqps = settings.amqps.iter().map(|address| (*address, tls.cloned()));
    let seconds = |seconds| Duration::from_secs(u64::from(seconds));
    let keepalive = (settings.tcp_keepalive_seconds > 0).then(|| Keepalive {
        idle: seconds(settings.tcp_keepalive_seconds),
        interval: seconds(settings.tcp_keepalive_interval_seconds),
        probes: settings.tcp_keepalive_probes.into(),
    });
    let listen = |(address, tls)| {
        let behind_proxy = settings.proxy_protocol.contains(&address);
        Listen { address, tls, behind_proxy, keepalive }
    };
    amqp.chain(amqps).map(listen).collect()
}

fn manage(
    bound: Vec<Bound>,
    settings: &Settings,
    services: &Services,
    server: &Server,
    tls: Option<Arc<Tls>>,
    node: management::Node,
    clock: Clock,
) -> Result<Management, ManagementError> {
    let listener = |&(address, tls): &(SocketAddr, bool)| {
        let protocol = if tls { Protocol::Amqps } else { Protocol::Amqp };
        Listener { protocol, address }
    };
    let services = management::Services {
        broker: Arc::clone(&services.broker),
        authenticator: Arc::clone(&services.authenticator),
        listeners: server.addresses.iter().map(listener).collect(),
        tls,
        node,
        options: management::Options {
            cors: Cors {
                origins: settings.cors_allow_origins.clone(),
                max_age_seconds: settings.cors_max_age_seconds,
            },
            path_prefix: settings.http_path_prefix.clone(),
            metrics_per_object: settings.prometheus_per_object,
            settings: settings.shown(),
        },
        now: Box::new(move || clock.now()),
    };
    Management::start(bound, services)
}

/// Says on stderr who may come now; returns it without the name.
fn report_ready(server: &Server, management: Option<&Management>) -> String {
    let amqp = server
        .addresses
        .iter()
        .map(|(address, tls)| format!("{} {address}", if *tls { "amqps" } else { "amqp" }));
    let http = management.into_iter().flat_map(Management::listeners);
    let http =
        http.map(|Listener { protocol, address }| format!("{} {address}", protocol.as_str()));
    let addresses: Vec<String> = amqp.chain(http).collect();
    let version = env!("CARGO_PKG_VERSION");
    let ready = format!("ready: {}", addresses.join(", "));
    say(std::io::stderr(), &format!("leveret {version} {ready}"));
    ready
}

/// Users as they were left. Only a broker that never had any begins with the default one, unless
/// it is about to load some.
fn users(
    settings: &Settings,
    broker: &Broker,
    definitions: &Arc<RedbDefinitions>,
    some_are_loaded: bool,
) -> Result<Authenticator, Box<dyn std::error::Error>> {
    let kept = definitions.load_access()?;
    let loopback_users = settings.loopback_users.clone();
    let authenticator = Authenticator::with_store(loopback_users, Arc::clone(definitions) as _);
    if !kept.defaults_made && !some_are_loaded {
        broker.create_vhost(&settings.default_vhost);
        let user = User {
            name: settings.default_user.clone(),
            password: PasswordHash::new(settings.default_pass.as_str()),
            tags: settings.default_user_tags.iter().map(|tag| Tag::from(&**tag)).collect(),
            limits: UserLimits::default(),
        };
        let patterns = Patterns {
            configure: &settings.default_permission_configure,
            write: &settings.default_permission_write,
            read: &settings.default_permission_read,
        };
        authenticator.add_first_user(user, &settings.default_vhost, patterns)?;
        definitions.wait_committed(definitions.requested())?;
    }
    authenticator.restore(kept);
    Ok(authenticator)
}

/// What tokens are judged by, and where their keys are fetched from, if they are asked for at all.
fn tokens(settings: &Settings) -> Result<(Option<OAuth2>, Option<KeySource>), ServerError> {
    if !settings.auth_backends.contains(&config::Backend::OAuth2) {
        return Ok((None, None));
    }
    let (oauth2, keys) = leveret::server::oauth2(&settings.auth_oauth2)?;
    Ok((Some(oauth2), keys))
}

fn backends(settings: &Settings) -> Vec<Backend> {
    let backend = |backend: &config::Backend| match backend {
        config::Backend::Internal => Backend::Internal,
        config::Backend::OAuth2 => Backend::OAuth2,
    };
    settings.auth_backends.iter().map(backend).collect()
}

fn services(
    settings: &Settings,
    broker: Arc<Broker>,
    authenticator: Authenticator,
) -> Arc<Services> {
    let offer = Offer {
        frame_max: settings.frame_max,
        channel_max: settings.channel_max,
        heartbeat_seconds: settings.heartbeat_seconds,
        handshake_timeout: Duration::from_secs(u64::from(settings.handshake_timeout_seconds)),
        send_timeout: (settings.send_timeout_seconds > 0)
            .then(|| Duration::from_secs(u64::from(settings.send_timeout_seconds))),
    };
    Arc::new(Services { broker, authenticator: Arc::new(authenticator), offer })
}
