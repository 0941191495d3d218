//! The settings themselves: every key, its default and its limits.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use tracing_subscriber::EnvFilter;

use super::error::ConfigError;
use super::log::{LogConsole, LogLevel, Rotation};
use super::oauth2::{self, Backend, OAuth2};
use super::source::{Assignment, Read, Value};
use super::tls::{LoginFrom, SanType, TlsVersion, Verify};
use crate::names::{UserName, VhostName};

/// What the broker runs with. A field's name is the key's name in every source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Addresses that accept AMQP clients in the clear. Port 0 lets the system choose.
    /// Default `127.0.0.1:5672`. May be empty when `amqps` is not.
    pub amqp: Vec<SocketAddr>,
    /// Addresses that accept AMQP clients over TLS. Needs both `tls_` files. Default none.
    pub amqps: Vec<SocketAddr>,
    /// The server's certificate chain, PEM. Default none.
    pub tls_certificate_file: Option<PathBuf>,
    /// The certificate's private key, PEM. Default none.
    pub tls_key_file: Option<PathBuf>,
    /// Who may sign the certificates of clients, PEM. Default none.
    pub tls_ca_file: Option<PathBuf>,
    /// The versions of TLS that are spoken. Default `tlsv1.2` and `tlsv1.3`. Not empty.
    pub tls_versions: Vec<TlsVersion>,
    /// Whether AMQP clients are asked for a certificate: `none` or `peer`, which needs `tls_ca_file`.
    /// Default `none`.
    pub tls_verify: Verify,
    /// Whether AMQP clients without a certificate are turned away. Default false.
    pub tls_fail_if_no_peer_cert: bool,
    /// Which name of its certificate is the user whom a client logs in as with EXTERNAL:
    /// `distinguished_name`, `common_name` or `subject_alternative_name`. Default the first.
    pub tls_cert_login_from: LoginFrom,
    /// Which kind of alternative name: `dns`, `email`, `uri` or `ip`. Default `dns`.
    pub tls_cert_login_san_type: SanType,
    /// Which one of that kind, counted from 0. Default 0; 0 to 65535.
    pub tls_cert_login_san_index: usize,
    /// Address of the HTTP API, or `none`. Default `127.0.0.1:15672`.
    pub http: Option<SocketAddr>,
    /// The same over TLS. Needs both `tls_` files. Default none.
    pub https: Option<SocketAddr>,
    /// Address that serves metrics to everybody, without credentials, or `none`; beside the HTTP API they
    /// are served to monitors anyway. RabbitMQ's port for it is 15692. Default none.
    pub prometheus: Option<SocketAddr>,
    /// Whether `/metrics` tells of each object, as `/metrics/per-object` does. Default false.
    pub prometheus_per_object: bool,
    /// What stands before every path of the HTTP API and its page, such as `/rabbit`; `none` is nothing.
    /// Default none. Begins with a slash and does not end with one.
    #[serde(serialize_with = "none_if_empty")]
    pub http_path_prefix: String,
    /// Origins whose pages may ask the HTTP API; `*` is all. Default none.
    pub cors_allow_origins: Vec<String>,
    /// Seconds that a browser may remember that. Default 1800; 0 to 86400.
    pub cors_max_age_seconds: u32,
    /// Whether HTTP clients need a certificate: `none` or `peer`, which needs `tls_ca_file`. Default
    /// `none`.
    pub https_verify: Verify,
    /// Those of the addresses above whose clients come through a proxy, which says in front whom it
    /// speaks for. Default none.
    pub proxy_protocol: Vec<SocketAddr>,
    /// Directory that holds everything which survives a restart. Default `./data`.
    pub data_dir: PathBuf,
    /// When a persistent message counts as stored: `always`, when it is synced to the disk, so that it
    /// survives a loss of power; `os`, when it is written, so that it survives the end of the process.
    /// Default `always`.
    pub sync: Sync,
    /// Publishers are blocked while the file system of `data_dir` has fewer free bytes than this; 0 never
    /// blocks them. A number with a point is times the memory that there is. Default 50 MB; 0 to 1 EiB,
    /// or above 0.0 to 1000.0.
    pub disk_free_limit: DiskLimit,
    /// Publishers are blocked while the process has more memory than this: a fraction of what there is,
    /// or bytes; `none` never blocks them. Default 0.6; above 0 to 1, or 1 MiB to 1 EiB.
    pub memory_high_watermark: Option<Watermark>,
    /// `text` for people, `json` for collectors: one object per line. Default `text`.
    pub log_format: LogFormat,
    /// How much is logged: `error`, `warn`, `info`, `debug` or `trace`, or a list of levels per
    /// room such as `info,leveret::session=debug`. Default `info`.
    pub log_level: String,
    /// Whether logins, refusals and changed definitions are logged, with who did it: `on` or `off`.
    /// Default `off`.
    #[serde(serialize_with = "on_or_off")]
    pub audit_log: bool,
    /// Where that goes, instead of into the log: a file that lines are added to. Default none.
    pub audit_log_file: Option<PathBuf>,
    /// Where the log is shown: `stderr`, `stdout` or `none`. Default `stderr`.
    pub log_console: LogConsole,
    /// The least important lines that are shown there, of those that `log_level` lets through: a level, or
    /// `off`. Default `trace`.
    pub log_console_level: LogLevel,
    /// The file that the log is written to, or `none`. Its directory is made. Default none.
    pub log_file: Option<PathBuf>,
    /// As `log_console_level`, for the file. Default `trace`.
    pub log_file_level: LogLevel,
    /// As `log_format`, for the file. Default `text`.
    pub log_file_format: LogFormat,
    /// Bytes after which a new file is begun; 0 is never. Default 0; 0 to 1 TiB.
    pub log_file_size_max: u64,
    /// When a new file is begun, in UTC: `hourly`, `daily`, `weekly`, `monthly`, RabbitMQ's `$D0` and the
    /// like, or `none`. Default none.
    pub log_file_rotation: Option<Rotation>,
    /// Old files that are kept, `FILE.0` the newest. Default 10; 0 to 1000.
    pub log_files_kept: u32,
    /// The user that a broker with an empty data directory starts with. Default `guest`. At most
    /// 255 bytes.
    pub default_user: UserName,
    /// That user's password. Default `guest`. Not empty.
    pub default_pass: Secret,
    /// The virtual host that a broker with an empty data directory starts with. Default `/`. At
    /// most 255 bytes.
    pub default_vhost: VhostName,
    /// That user's tags. Default `administrator`.
    pub default_user_tags: Vec<String>,
    /// The names of what that user may configure in that virtual host: a regular expression. Default `.*`.
    pub default_permission_configure: String,
    /// The same for what it may write to. Default `.*`.
    pub default_permission_write: String,
    /// The same for what it may read from. Default `.*`.
    pub default_permission_read: String,
    /// A file of definitions that are imported at every start, or a directory of such `*.json`. A new
    /// broker whose definitions have users has no `default_user`. Default none.
    pub load_definitions: Option<PathBuf>,
    /// Whether that is left out when the files are those of the last time. Default false.
    pub definitions_skip_if_unchanged: bool,
    /// Users who may log in from this machine only. Default `guest`.
    pub loopback_users: Vec<UserName>,
    /// The largest frame offered to clients, in bytes, all of it counted. Default 131072; 4096 to
    /// 16 MiB.
    pub frame_max: u32,
    /// Channels open at once on one connection. Default 2047; 1 to 65535.
    pub channel_max: u16,
    /// The heartbeat offered to clients, in seconds; 0 suggests none. Default 60; 0 to 65535.
    pub heartbeat_seconds: u16,
    /// Seconds a client has from connecting until its connection is open. Default 10; 1 to 3600.
    pub handshake_timeout_seconds: u16,
    /// Seconds that a client may take nothing of what waits for it, before its connection is dropped; 0
    /// never drops it. Default 15; 0 to 3600.
    pub send_timeout_seconds: u16,
    /// Seconds without a byte after which the system asks whether a client is still there; 0 never
    /// asks. Default 30; 0 to 32767.
    pub tcp_keepalive_seconds: u16,
    /// Seconds between such questions. Default 10; 1 to 32767.
    pub tcp_keepalive_interval_seconds: u16,
    /// Questions without an answer after which a client is given up. Default 6; 1 to 127.
    pub tcp_keepalive_probes: u8,
    /// The largest message body, in bytes. Default 128 MiB; 1 byte to 512 MiB.
    pub message_size_max: u64,
    /// Consumers on one channel, or `none` for no limit. Default none; 1 to 4294967295.
    pub consumers_per_channel_max: Option<u32>,
    /// Client connections at once, or `none` for no limit. Default none; 1 to 4294967295.
    pub connections_max: Option<u32>,
    /// Virtual hosts at once, or `none` for no limit. Those that are there stay. Default none; 1 to
    /// 4294967295.
    pub vhosts_max: Option<u32>,
    /// Of which type queues are that are declared without one, where the virtual host does not say:
    /// `classic`, `quorum` or `stream`. Default `classic`.
    pub default_queue_type: QueueType,
    /// Channels open at once over all connections, or `none` for no limit. Default none; 1 to
    /// 4294967295.
    pub channel_max_per_node: Option<u32>,
    /// Bytes that may wait for one slow client before its queues stop handing it more. Default
    /// 1 MiB; 4 KiB to 1 GiB.
    pub outbox_bytes_high: usize,
    /// Bytes of a queue's messages that stay in memory, before what comes after them goes to disk.
    /// Default 4 MiB; 4 KiB to 1 GiB.
    pub queue_memory: usize,
    /// Milliseconds that a client may have a delivery without settling it; 0 is as long as it likes.
    /// Queues, policies and consumers may say otherwise. Default 1800000; 0 to 315360000000.
    pub consumer_timeout: u64,
    /// What happens then: `close` closes the channel, as RabbitMQ does; `requeue` takes the one
    /// delivery away. Default `close`.
    pub consumer_timeout_action: TimeoutAction,
    /// Threads that serve connections; 0 means one per core. Default 0; 0 to 1024.
    pub worker_threads: usize,
    /// Who is asked whether a login is right, in this order: `internal` are the broker's own users,
    /// `oauth2` are tokens. Default `internal`. Not empty.
    pub auth_backends: Vec<Backend>,
    /// The keys that begin with `auth_oauth2_`.
    pub auth_oauth2: OAuth2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    Always,
    Os,
}

/// Where too little disk begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DiskLimit {
    Bytes(u64),
    /// Times the memory of the machine or, if that is less, of the control group.
    OfMemory(f64),
}

/// Where too much memory begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Watermark {
    /// Of the memory of the machine or, if that is less, of the control group.
    Fraction(f64),
    Bytes(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutAction {
    Close,
    Requeue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueType {
    Classic,
    Quorum,
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// Text that must not appear in a log: its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Says once more what fields there are, in their order, for what has to go through all of them.
macro_rules! keys {
    ($($field:ident,)*; auth_oauth2: $($inner:ident,)*) => {
        impl Settings {
            /// The keys, in the order of the fields.
            pub(super) const KEYS: [
                &'static str;
                [$(stringify!($field),)* $(stringify!($inner),)*].len()
            ] = [
                $(stringify!($field),)*
                $(concat!("auth_oauth2_", stringify!($inner)),)*
            ];

            /// The keys whose values differ.
            pub fn changed(&self, other: &Self) -> Vec<&'static str> {
                let (oauth2, others) = (&self.auth_oauth2, &other.auth_oauth2);
                let differ = [
                    $((stringify!($field), self.$field != other.$field),)*
                    $((
                        concat!("auth_oauth2_", stringify!($inner)),
                        oauth2.$inner != others.$inner,
                    ),)*
                ];
                differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
            }
        }
    };
}

keys! {
    amqp,
    amqps,
    tls_certificate_file,
    tls_key_file,
    tls_ca_file,
    tls_versions,
    tls_verify,
    tls_fail_if_no_peer_cert,
    tls_cert_login_from,
    tls_cert_login_san_type,
    tls_cert_login_san_index,
    http,
    https,
    prometheus,
    prometheus_per_object,
    http_path_prefix,
    cors_allow_origins,
    cors_max_age_seconds,
    https_verify,
    proxy_protocol,
    data_dir,
    sync,
    disk_free_limit,
    memory_high_watermark,
    log_format,
    log_level,
    audit_log,
    audit_log_file,
    log_console,
    log_console_level,
    log_file,
    log_file_level,
    log_file_format,
    log_file_size_max,
    log_file_rotation,
    log_files_kept,
    default_user,
    default_pass,
    default_vhost,
    default_user_tags,
    default_permission_configure,
    default_permission_write,
    default_permission_read,
    load_definitions,
    definitions_skip_if_unchanged,
    loopback_users,
    frame_max,
    channel_max,
    heartbeat_seconds,
    handshake_timeout_seconds,
    send_timeout_seconds,
    tcp_keepalive_seconds,
    tcp_keepalive_interval_seconds,
    tcp_keepalive_probes,
    message_size_max,
    consumers_per_channel_max,
    connections_max,
    vhosts_max,
    default_queue_type,
    channel_max_per_node,
    outbox_bytes_high,
    queue_memory,
    consumer_timeout,
    consumer_timeout_action,
    worker_threads,
    auth_backends,

    ; auth_oauth2:
    resource_server_id,
    resource_server_type,
    scope_prefix,
    additional_scopes_key,
    preferred_username_claims,
    scope_aliases,
    verify_aud,
    algorithms,
    default_key,
    signing_keys,
    jwks_file,
    jwks_url,
    issuer,
    https_cacertfile,
}

impl Settings {
    pub(super) fn apply(&mut self, assignments: Vec<Assignment>) -> Result<(), ConfigError> {
        for Assignment { origin, key, value } in assignments {
            self.set(key, &value).map_err(|problem| ConfigError::BadValue {
                origin,
                key,
                problem,
            })?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &Value) -> Read<()> {
        match key {
            "amqp" => self.amqp = value.list(Value::address)?,
            "amqps" => self.amqps = value.list(Value::address)?,
            "tls_certificate_file" => {
                self.tls_certificate_file = Some(value.text()?.into());
            }
            "tls_key_file" => self.tls_key_file = Some(value.text()?.into()),
            "tls_ca_file" => self.tls_ca_file = Some(value.text()?.into()),
            "tls_versions" => {
                self.tls_versions = value.list(|version| version.word(&TlsVersion::WORDS))?;
                if self.tls_versions.is_empty() {
                    return Err("must not be empty".to_owned());
                }
            }
            "tls_verify" => self.tls_verify = value.word(&Verify::WORDS)?,
            "tls_fail_if_no_peer_cert" => self.tls_fail_if_no_peer_cert = value.boolean()?,
            "tls_cert_login_from" => self.tls_cert_login_from = value.word(&LoginFrom::WORDS)?,
            "tls_cert_login_san_type" => {
                self.tls_cert_login_san_type = value.word(&SanType::WORDS)?;
            }
            "tls_cert_login_san_index" => {
                self.tls_cert_login_san_index = value.integer(0..=u16::MAX)?.into();
            }
            "http" => self.http = value.optional(Value::address)?,
            "https" => self.https = value.optional(Value::address)?,
            "prometheus" => self.prometheus = value.optional(Value::address)?,
            "prometheus_per_object" => self.prometheus_per_object = value.boolean()?,
            "http_path_prefix" => {
                self.http_path_prefix = value.optional(path_prefix)?.unwrap_or_default();
            }
            "cors_allow_origins" => self.cors_allow_origins = value.list(origin)?,
            "cors_max_age_seconds" => self.cors_max_age_seconds = value.integer(0..=86_400)?,
            "https_verify" => self.https_verify = value.word(&Verify::WORDS)?,
            "proxy_protocol" => self.proxy_protocol = value.list(Value::address)?,
            "data_dir" => self.data_dir = value.text()?.into(),
            "sync" => self.sync = value.word(&Sync::WORDS)?,
            "disk_free_limit" => self.disk_free_limit = DiskLimit::read(value)?,
            "memory_high_watermark" => {
                self.memory_high_watermark = value.optional(Watermark::read)?;
            }
            "log_format" => self.log_format = value.word(&LogFormat::WORDS)?,
            "log_level" => self.log_level = log_level(value)?,
            "audit_log" => self.audit_log = value.word(&[("on", true), ("off", false)])?,
            "audit_log_file" => self.audit_log_file = Some(value.text()?.into()),
            "log_console" => self.log_console = value.word(&LogConsole::WORDS)?,
            "log_console_level" => self.log_console_level = value.word(&LogLevel::WORDS)?,
            "log_file" => self.log_file = value.optional(|value| Ok(value.text()?.into()))?,
            "log_file_level" => self.log_file_level = value.word(&LogLevel::WORDS)?,
            "log_file_format" => self.log_file_format = value.word(&LogFormat::WORDS)?,
            "log_file_size_max" => self.log_file_size_max = value.bytes(0..=1 << 40)?,
            "log_file_rotation" => {
                self.log_file_rotation = value.optional(|value| Rotation::read(value.text()?))?;
            }
            "log_files_kept" => self.log_files_kept = value.integer(0..=1000)?,
            "default_user" => self.default_user = value.name()?.into(),
            "default_pass" => self.default_pass = Secret(value.text()?.to_owned()),
            "default_vhost" => self.default_vhost = value.name()?.into(),
            "default_user_tags" => {
                self.default_user_tags = value.list(|tag| tag.name().map(str::to_owned))?;
            }
            "default_permission_configure" => {
                self.default_permission_configure = expression(value)?;
            }
            "default_permission_write" => self.default_permission_write = expression(value)?,
            "default_permission_read" => self.default_permission_read = expression(value)?,
            "load_definitions" => {
                self.load_definitions = value.optional(|value| Ok(value.text()?.into()))?;
            }
            "definitions_skip_if_unchanged" => {
                self.definitions_skip_if_unchanged = value.boolean()?;
            }
            "loopback_users" => {
                self.loopback_users = value.list(|user| user.name().map(UserName::from))?;
            }
            "frame_max" => self.frame_max = value.bytes(4096..=16 << 20)?,
            "channel_max" => self.channel_max = value.integer(1..=u16::MAX)?,
            "heartbeat_seconds" => self.heartbeat_seconds = value.integer(0..=u16::MAX)?,
            "handshake_timeout_seconds" => {
                self.handshake_timeout_seconds = value.integer(1..=3600)?;
            }
            "send_timeout_seconds" => self.send_timeout_seconds = value.integer(0..=3600)?,
            "tcp_keepalive_seconds" => self.tcp_keepalive_seconds = value.integer(0..=32767)?,
            "tcp_keepalive_interval_seconds" => {
                self.tcp_keepalive_interval_seconds = value.integer(1..=32767)?;
            }
            "tcp_keepalive_probes" => self.tcp_keepalive_probes = value.integer(1..=127)?,
            "message_size_max" => self.message_size_max = value.bytes(1..=512 << 20)?,
            "consumers_per_channel_max" => {
                self.consumers_per_channel_max =
                    value.optional(|value| value.integer(1..=u32::MAX))?;
            }
            "connections_max" => {
                self.connections_max = value.optional(|value| value.integer(1..=u32::MAX))?;
            }
            "vhosts_max" => {
                self.vhosts_max = value.optional(|value| value.integer(1..=u32::MAX))?;
            }
            "default_queue_type" => self.default_queue_type = value.word(&QueueType::WORDS)?,
            "channel_max_per_node" => {
                self.channel_max_per_node = value.optional(|value| value.integer(1..=u32::MAX))?;
            }
            "outbox_bytes_high" => self.outbox_bytes_high = value.bytes(4096..=1 << 30)?,
            "queue_memory" => self.queue_memory = value.bytes(4096..=1 << 30)?,
            "consumer_timeout" => {
                self.consumer_timeout = value.integer(0..=315_360_000_000)?;
            }
            "consumer_timeout_action" => {
                self.consumer_timeout_action = value.word(&TimeoutAction::WORDS)?;
            }
            "worker_threads" => self.worker_threads = value.integer(0..=1024)?,
            "auth_backends" => {
                self.auth_backends = value.list(|item| item.word(&Backend::WORDS))?
            }
            other => match other.strip_prefix(oauth2::PREFIX) {
                Some(key) => self.auth_oauth2.set(key, value)?,
                None => return Err("is not a key".to_owned()),
            },
        }
        Ok(())
    }

    /// What no single key can tell.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.amqp.is_empty() && self.amqps.is_empty() {
            return Err(conflict("amqp and amqps are both empty: no client could connect"));
        }
        let is_peer = |verify| verify == Verify::Peer;
        let (files, ca) = (["tls_certificate_file", "tls_key_file"], ["tls_ca_file"]);
        for (is_set, key, needed) in [
            (!self.amqps.is_empty(), "amqps", &files[..]),
            (self.https.is_some(), "https", &files),
            (is_peer(self.tls_verify), "tls_verify = \"peer\"", &ca),
            (is_peer(self.https_verify), "https_verify = \"peer\"", &ca),
        ] {
            let is_missing = |file: &&&str| match **file {
                "tls_certificate_file" => self.tls_certificate_file.is_none(),
                "tls_key_file" => self.tls_key_file.is_none(),
                _ => self.tls_ca_file.is_none(),
            };
            if is_set && let Some(file) = needed.iter().find(is_missing) {
                return Err(conflict(&format!("{key} needs {file}, which is not set")));
            }
        }
        if self.tls_fail_if_no_peer_cert && !is_peer(self.tls_verify) {
            let text = "tls_fail_if_no_peer_cert needs tls_verify = \"peer\"";
            return Err(conflict(text));
        }
        if self.audit_log_file.is_some() && !self.audit_log {
            return Err(conflict("audit_log_file is set, and audit_log is off"));
        }
        let all = || self.amqp.iter().chain(&self.amqps).chain(&self.http).chain(&self.https);
        let is_stray = |address: &&SocketAddr| !all().any(|other| other == *address);
        if let Some(address) = self.proxy_protocol.iter().find(is_stray) {
            let text = format!("proxy_protocol names {address}, where nothing listens");
            return Err(conflict(&text));
        }
        if self.auth_backends.is_empty() {
            return Err(conflict("auth_backends is empty: nobody could log in"));
        }
        if self.auth_backends.contains(&Backend::OAuth2) {
            self.auth_oauth2.check()?;
        }
        let mut seen: Vec<(&str, SocketAddr)> = Vec::new();
        let listeners = (self.amqp.iter().map(|address| ("amqp", address)))
            .chain(self.amqps.iter().map(|address| ("amqps", address)))
            .chain(self.http.iter().map(|address| ("http", address)))
            .chain(self.https.iter().map(|address| ("https", address)))
            .chain(self.prometheus.iter().map(|address| ("prometheus", address)));
        for (key, &address) in listeners.filter(|(_, address)| address.port() != 0) {
            if let Some((first, _)) = seen.iter().find(|(_, other)| *other == address) {
                return Err(conflict(&format!(
                    "{address} is given twice: to {first} and to {key}"
                )));
            }
            seen.push((key, address));
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            amqp: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5672))],
            amqps: Vec::new(),
            tls_certificate_file: None,
            tls_key_file: None,
            tls_ca_file: None,
            tls_versions: vec![TlsVersion::Tls12, TlsVersion::Tls13],
            tls_verify: Verify::None,
            tls_fail_if_no_peer_cert: false,
            tls_cert_login_from: LoginFrom::DistinguishedName,
            tls_cert_login_san_type: SanType::Dns,
            tls_cert_login_san_index: 0,
            http: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 15672))),
            https: None,
            prometheus: None,
            prometheus_per_object: false,
            http_path_prefix: String::new(),
            cors_allow_origins: Vec::new(),
            cors_max_age_seconds: 1800,
            https_verify: Verify::None,
            proxy_protocol: Vec::new(),
            data_dir: PathBuf::from("./data"),
            sync: Sync::Always,
            disk_free_limit: DiskLimit::Bytes(50_000_000),
            memory_high_watermark: Some(Watermark::Fraction(0.6)),
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            audit_log: false,
            audit_log_file: None,
            log_console: LogConsole::Stderr,
            log_console_level: LogLevel::Trace,
            log_file: None,
            log_file_level: LogLevel::Trace,
            log_file_format: LogFormat::Text,
            log_file_size_max: 0,
            log_file_rotation: None,
            log_files_kept: 10,
            default_user: "guest".into(),
            default_pass: Secret("guest".to_owned()),
            default_vhost: "/".into(),
            default_user_tags: vec!["administrator".to_owned()],
            default_permission_configure: ".*".to_owned(),
            default_permission_write: ".*".to_owned(),
            default_permission_read: ".*".to_owned(),
            load_definitions: None,
            definitions_skip_if_unchanged: false,
            loopback_users: vec!["guest".into()],
            // Some clients size their tables by these three: they are what RabbitMQ offers.
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat_seconds: 60,
            handshake_timeout_seconds: 10,
            send_timeout_seconds: 15,
            tcp_keepalive_seconds: 30,
            tcp_keepalive_interval_seconds: 10,
            tcp_keepalive_probes: 6,
            message_size_max: 128 << 20,
            consumers_per_channel_max: None,
            connections_max: None,
            vhosts_max: None,
            default_queue_type: QueueType::Classic,
            channel_max_per_node: None,
            outbox_bytes_high: 1 << 20,
            queue_memory: 4 << 20,
            consumer_timeout: 1_800_000,
            consumer_timeout_action: TimeoutAction::Close,
            worker_threads: 0,
            auth_backends: vec![Backend::Internal],
            auth_oauth2: OAuth2::default(),
        }
    }
}

impl Sync {
    const WORDS: [(&'static str, Self); 2] = [("always", Self::Always), ("os", Self::Os)];
}

impl DiskLimit {
    fn read(value: &Value) -> Read<Self> {
        // 0 and 1 without a point are bytes.
        let point = match value {
            Value::Text(text) => text.contains('.'),
            value => matches!(value, Value::Float(_)),
        };
        match value.fraction().filter(|_| point) {
            Some(times) if times > 0.0 && times <= 1000.0 => Ok(Self::OfMemory(times)),
            Some(other) => Err(format!("{other:?} is not above 0.0 and at most 1000.0")),
            None => value.bytes(0..=1 << 60).map(Self::Bytes),
        }
    }
}

impl Watermark {
    fn read(value: &Value) -> Read<Self> {
        match value.fraction() {
            Some(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(Self::Fraction(fraction)),
            Some(other) => Err(format!("{other} is not above 0 and at most 1")),
            None => value.bytes(1 << 20..=1 << 60).map(Self::Bytes),
        }
    }
}

impl QueueType {
    const WORDS: [(&'static str, Self); 3] =
        [("classic", Self::Classic), ("quorum", Self::Quorum), ("stream", Self::Stream)];
}

impl TimeoutAction {
    const WORDS: [(&'static str, Self); 2] = [("close", Self::Close), ("requeue", Self::Requeue)];
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

impl LogFormat {
    const WORDS: [(&'static str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

impl Secret {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

fn log_level(value: &Value) -> Read<String> {
    let text = value.text()?;
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!(
            "{text:?} is neither a level (error, warn, info, debug, trace) nor a list such as \
             info,leveret::session=debug"
        )),
    }
}

fn on_or_off<S: Serializer>(on: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *on { "on" } else { "off" })
}

fn none_if_empty<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if text.is_empty() { "none" } else { text })
}

fn path_prefix(value: &Value) -> Read<String> {
    let text = value.text()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    let is_path = text.starts_with('/') && !text.ends_with('/') && !text.contains("//");
    match is_path && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not the beginning of a path, such as /rabbit")),
    }
}

/// As browsers send it: without a path.
fn origin(value: &Value) -> Read<String> {
    let text = value.text()?;
    let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' '])
    });
    match text == "*" || is_origin {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not an origin, such as https://example.org, or *")),
    }
}

/// Who reads permissions has the last word; what cannot be one is better known at the start.
fn expression(value: &Value) -> Read<String> {
    let text = match value {
        // Nothing, as RabbitMQ writes it.
        Value::Text(text) if text.is_empty() => "",
        value => value.text()?,
    };
    match regex::Regex::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{text:?} is not a regular expression")),
    }
}

pub(super) fn conflict(text: &str) -> ConfigError {
    ConfigError::Conflict(text.to_owned())
}
