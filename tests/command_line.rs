//! The binary as its operators and their scripts meet it: flags, lines on stderr, signals, exit codes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "command_line/definitions.rs"]
mod definitions;
#[path = "command_line/process.rs"]
mod process;
#[path = "command_line/reload.rs"]
mod reload;
#[path = "support/server.rs"]
mod server;
#[path = "support/socket.rs"]
mod socket;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use certificates::{Authority, Directory};
use futures_util::StreamExt;
use lapin::{Connection, ConnectionProperties};
use server::{PATIENCE, soon};
use socket::Socket;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// A broker that runs, until it is dropped.
struct Broker {
    child: Child,
    lines: Receiver<String>,
    ready: String,
}

fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    // Not what the machine's own broker is configured by.
    command.env_clear().env("LEVERET_HTTP", "none").args(args).stdin(Stdio::null());
    command
}

/// Runs it to its end.
fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    command(args).output().unwrap()
}

/// It ended with exit code 1 and one clear line, whatever the log had to tell before.
#[track_caller]
fn refused<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let Output { status, stdout, stderr } = run(args);
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.as_slice()), (Some(1), &b""[..]), "{stderr}");
    let mut lines: Vec<&str> = stderr.lines().filter(|line| !line.contains(" [info] ")).collect();
    let line = lines.pop().unwrap();
    assert!(line.starts_with("leveret: ") && lines.is_empty(), "not one clear line: {stderr}");
    line.to_owned()
}

impl Broker {
    /// Starts it and waits for the line that says that it is ready.
    fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::start_command(command(args))
    }

    fn start_command(mut command: Command) -> Self {
        let mut broker = Self::spawn(&mut command);
        broker.ready = broker.line(" ready: ");
        broker
    }

    /// Starts it, however far it comes.
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                // Who does not listen any more has closed the pipe, too.
                if send.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, ready: String::new() }
    }

    /// On a port and in a directory of its own.
    fn start_in(directory: &tempfile::TempDir) -> Self {
        let directory = directory.path().join("data");
        Self::start([
            OsStr::new("--amqp"),
            "127.0.0.1:0".as_ref(),
            "--data-dir".as_ref(),
            directory.as_ref(),
        ])
    }

    /// The next line that contains this.
    #[track_caller]
    fn line(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no line says {part:?}: {error}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The addresses that the ready line names, each behind its protocol.
    fn addresses(&self, protocol: &str) -> Vec<SocketAddr> {
        let (_, listed) = self.ready.split_once(" ready: ").unwrap();
        let of = |part: &str| part.strip_prefix(protocol)?.strip_prefix(' ')?.parse().ok();
        listed.split(", ").filter_map(of).collect()
    }

    fn address(&self) -> SocketAddr {
        self.addresses("amqp")[0]
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for its end: the exit code.
    #[track_caller]
    fn exit_code(mut self) -> Option<i32> {
        // Its stderr ends with it.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
        self.child.wait().unwrap().code()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn ready_line_names_every_address() {
    let directory = directory();
    let data = directory.path().join("data").display().to_string();
    let broker = Broker::start([
        "serve",
        "--amqp",
        "127.0.0.1:0",
        "--amqp",
        "127.0.0.1:0",
        "--data-dir",
        &data,
    ]);
    let expected = format!("leveret {} ready: amqp 127.0.0.1:", env!("CARGO_PKG_VERSION"));
    assert!(broker.ready.starts_with(&expected), "{}", broker.ready);
    let addresses = broker.addresses("amqp");
    assert_eq!(addresses.len(), 2, "{}", broker.ready);
    for address in addresses {
        Socket::open(address).await.declare("q").await;
    }
}

#[test]
fn help_and_version_are_no_failures() {
    for (flag, expected) in
        [("--help", "--data-dir"), ("--version", concat!("leveret ", env!("CARGO_PKG_VERSION")))]
    {
        let Output { status, stdout, stderr } = run([flag]);
        let stdout = String::from_utf8(stdout).unwrap();
        assert_eq!((status.code(), stderr.as_slice()), (Some(0), &b""[..]));
        assert!(stdout.contains(expected) && stdout.ends_with('\n'), "{stdout}");
    }
}

#[test]
fn address_in_use_is_one_line() {
    let directory = directory();
    let data = directory.path().join("data").display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).unwrap();
    // All addresses or none: the first one is fine.
    let args = ["--amqp", "127.0.0.1:0", "--amqp", &taken.1, "--data-dir", &data];
    let line = refused(args);
    let expected = format!("leveret: cannot listen on {}: Address already in use", taken.1);
    assert!(line.starts_with(&expected), "{line}");
    // Nothing is left half-started: the directory is free.
    drop(taken);
    Broker::start_in(&directory);
}

#[test]
fn what_is_wrong_with_the_command_line_is_one_line() {
    for (args, expected) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["dance"], "dance"),
        (&["--amqp"], "--amqp"),
        (&["--amqp", "nowhere"], "nowhere"),
        (&["--amqp", "127.0.0.1:99999"], "127.0.0.1:99999"),
        (&["--log-format", "poem"], "poem"),
        (&["--amqps", "127.0.0.1:0"], "tls_certificate_file"),
        (&["--config", "/nowhere/at/all.toml"], "/nowhere/at/all.toml"),
    ] {
        let line = refused(args);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn what_is_wrong_with_the_configuration_is_one_line() {
    let directory = directory();
    let file = directory.path().join("leveret.toml");
    let path = file.display().to_string();
    for (content, expected) in [
        (
            "heartbeat_secconds = 5",
            &*format!(
                "{path}:1: unknown key \"heartbeat_secconds\"; did you mean \"heartbeat_seconds\"?"
            ),
        ),
        ("# fine\nframe_max = 12", &*format!("{path}:2: frame_max")),
        ("frame_max = ", &*format!("{path}:1")),
        ("amqp = []", "no client could connect"),
        ("data_dir = \"/dev/null/data\"", "/dev/null/data"),
    ] {
        std::fs::write(&file, content).unwrap();
        let line = refused(["--config", &path]);
        assert!(line.contains(expected), "{line}");
    }
    let mut command = command(["--amqp", "127.0.0.1:0"]);
    let Output { status, stderr, .. } = command.env("LEVERET_FRAME_MAX", "tiny").output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stderr.lines().count()), (Some(1), 1));
    assert!(stderr.contains("LEVERET_FRAME_MAX"), "{stderr}");
}

#[test]
fn data_directory_has_one_process_at_a_time() {
    let directory = directory();
    let data = directory.path().join("data").display().to_string();
    let holder = Broker::start_in(&directory);
    let line = refused(["--amqp", "127.0.0.1:0", "--data-dir", &data]);
    assert_eq!(line, format!("leveret: the data directory {data} is in use by another process"));
    // However it ends, the directory is free.
    holder.signal("KILL");
    assert_eq!(holder.exit_code(), None);
    Broker::start_in(&directory);
}

#[tokio::test]
async fn signals_close_connections_and_end_it_well() {
    for signal in ["TERM", "INT"] {
        let directory = directory();
        let broker = Broker::start_in(&directory);
        let url = format!("amqp://{}/%2f", broker.address());
        let connection = Connection::connect(&url, ConnectionProperties::default());
        let connection = soon(connection).await.unwrap();
        let mut events = Box::pin(connection.events_listener());
        // Neither of these gets in its way.
        let mut half_open = Socket::dial(broker.address()).await;
        let mut silent = Socket::open(broker.address()).await;
        broker.signal(signal);
        let reason = loop {
            let event = soon(events.next()).await.expect("no reason was given");
            if let lapin::Event::Error(error) = event {
                break error;
            }
        };
        let lapin::ErrorKind::ProtocolError(reason) = reason.kind() else {
            panic!("{reason}");
        };
        let expected =
            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        assert_eq!((reason.get_id(), reason.get_message().as_str()), (320, expected));
        assert_eq!(silent.refusal().await, (320, expected.to_owned()));
        assert!(half_open.rest().await.is_empty());
        drop(silent);
        let code = tokio::task::spawn_blocking(|| broker.exit_code());
        assert_eq!(soon(code).await.unwrap(), Some(0), "after SIG{signal}");
    }
}

/// Somebody looks at the first lines only: `leveret 2>&1 | head`. The log has nowhere to go then, and
/// the clients do not care.
#[tokio::test]
async fn broker_outlives_the_reader_of_its_log() {
    let directory = directory();
    let data = directory.path().join("data");
    let mut child = command([
        OsStr::new("--amqp"),
        "127.0.0.1:0".as_ref(),
        "--data-dir".as_ref(),
        data.as_ref(),
    ]);
    let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(" ready: ") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0);
    }
    drop(stderr);
    let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let mut broker = Broker { child, lines: channel().1, ready: line };
    for _ in 0..3 {
        let mut socket = Socket::open(address).await;
        socket.declare("q").await;
        socket.publish("q", b"hello").await;
    }
    broker.signal("TERM");
    let code = tokio::task::spawn_blocking(move || broker.child.wait().unwrap().code());
    assert_eq!(soon(code).await.unwrap(), Some(0));
}

/// The settings of a broker whose certificates lie in that directory.
fn tls_config(directory: &Directory, more: &str) -> String {
    let config = format!(
        "tls_certificate_file = {:?}\ntls_key_file = {:?}\ndata_dir = {:?}\n{more}\n",
        directory.path("server.pem"),
        directory.path("server.key"),
        directory.path("data")
    );
    let file = directory.path("leveret.toml");
    std::fs::write(&file, config).unwrap();
    file.display().to_string()
}

#[test]
fn ready_line_says_which_addresses_want_tls() {
    let directory = Directory::new(&Authority::new("Test CA"));
    let config = tls_config(&directory, "");
    let address = "127.0.0.1:0";
    let args = ["--config", &config, "--amqp", address, "--amqps", address, "--https", address];
    let broker = Broker::start(args);
    let counts = ["amqp", "amqps", "https"].map(|protocol| broker.addresses(protocol).len());
    assert_eq!(counts, [1, 1, 1], "{}", broker.ready);
    drop(broker);
    std::fs::write(directory.path("server.key"), "no key").unwrap();
    let line = refused(args);
    assert!(line.contains("server.key"), "{line}");
}

/// Whether the server at this address shows a certificate that the authority signed.
async fn is_signed_by(address: SocketAddr, authority: &Authority) -> bool {
    let stream = soon(tokio::net::TcpStream::connect(address)).await.unwrap();
    let connector = TlsConnector::from(Arc::new(authority.connector(None)));
    let name = ServerName::try_from("localhost").unwrap();
    soon(connector.connect(name, stream)).await.is_ok()
}

#[tokio::test]
async fn hangup_reads_the_certificates_again() {
    let (old, new) = (Authority::new("Test CA"), Authority::new("Next CA"));
    let directory = Directory::new(&old);
    let config = tls_config(&directory, "");
    let address = "127.0.0.1:0";
    let args = ["--config", &config, "--amqp", address, "--amqps", address, "--https", address];
    let broker = Broker::start(args);
    let addresses = ["amqps", "https"].map(|protocol| broker.addresses(protocol)[0]);
    let mut client = Socket::open(broker.address()).await;

    directory.install(&new, &new.server());
    broker.signal("HUP");
    broker.line("SIGHUP: new connections use the TLS files as they are now");
    for address in addresses {
        assert!(is_signed_by(address, &new).await && !is_signed_by(address, &old).await);
    }
    client.declare("q").await;

    // Half a file, as somebody is writing it.
    std::fs::write(directory.path("server.key"), "-----BEGIN PRIVATE KEY-----\nMIG").unwrap();
    broker.signal("HUP");
    let line = broker.line("SIGHUP: TLS stays as it was");
    assert!(line.contains("[error]") && line.contains("server.key"), "{line}");
    for address in addresses {
        assert!(is_signed_by(address, &new).await);
    }

    // Settings are read again, too: what cannot be changed is said, what is wrong changes nothing.
    directory.install(&old, &old.server());
    tls_config(&directory, "channel_max = 7\ntls_versions = ['tlsv1.3']");
    broker.signal("HUP");
    broker.line("SIGHUP: new connections use the TLS files as they are now");
    let line = broker.line("SIGHUP: channel_max has changed, which counts after a restart");
    assert!(line.contains("[warning]"), "{line}");
    tls_config(&directory, "channel_mx = 7");
    broker.signal("HUP");
    let line = broker.line("SIGHUP: the settings stay as they were");
    assert!(line.contains("unknown key"), "{line}");
    for address in addresses {
        assert!(is_signed_by(address, &old).await);
    }
    client.declare("q").await;
    broker.signal("TERM");
    client.refusal().await;
    drop(client);
    assert_eq!(tokio::task::spawn_blocking(|| broker.exit_code()).await.unwrap(), Some(0));
}

/// With nothing to read again it is no reason to end.
#[test]
fn hangup_does_no_harm() {
    let directory = directory();
    let broker = Broker::start_in(&directory);
    broker.signal("HUP");
    broker.signal("TERM");
    assert_eq!(broker.exit_code(), Some(0));
}

/// The log, and with it the connection's name, has the client's address.
#[tokio::test]
async fn clients_of_a_proxy_are_logged_by_their_own_address() {
    let directory = directory();
    let data = directory.path().join("data").display().to_string();
    let mut child = command(["--amqp", "127.0.0.1:0", "--data-dir", &data]);
    child.env("LEVERET_PROXY_PROTOCOL", "127.0.0.1:0");
    let broker = Broker::start_command(child);
    let mut socket = Socket::dial(broker.address()).await;
    socket.send(b"PROXY TCP4 127.0.0.9 203.0.113.1 8080 5672\r\n").await;
    socket.log_in().await;
    let line = broker.line("accepting AMQP connection");
    assert!(line.contains("127.0.0.9:8080 -> 203.0.113.1:5672"), "{line}");
    let mut socket = Socket::dial(broker.address()).await;
    socket.send(&socket::handshake()).await;
    assert!(socket.rest().await.is_empty());
    let line = broker.line("no client");
    assert!(line.contains("it does not begin with a PROXY header"), "{line}");
}

#[test]
fn config_check_tells_where_every_value_comes_from_and_starts_nothing() {
    let directory = directory();
    let path = directory.path().join("rabbitmq.conf");
    std::fs::write(&path, "heartbeat = 30\ndefault_pass = s3cret\ncluster_name = x\n").unwrap();
    let path = path.display().to_string();
    let Output { status, stdout, stderr } = run(["config", "check", "--config", &path]);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(0), "{stderr}");
    let line = |key: &str| stdout.lines().find(|line| line.starts_with(key)).unwrap();
    assert!(line("heartbeat_seconds = 30").ends_with(&format!("# {path}:1")), "{stdout}");
    assert!(line("http = \"none\"").ends_with("# LEVERET_HTTP"), "{stdout}");
    assert!(line("channel_max = 2047").ends_with("# default"), "{stdout}");
    assert!(!stdout.contains("s3cret"), "{stdout}");
    let warning = format!("warning: {path}:3: cluster_name: has no effect: ");
    assert!(stderr.starts_with(&warning) && stderr.lines().count() == 1, "{stderr}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing was started");
}

/// RabbitMQ's own tools use that code for it; that of a broker that does not start is another one.
#[test]
fn config_of_lavinmq_is_converted() {
    let directory = directory();
    let (ini, toml) = (directory.path().join("lavinmq.ini"), directory.path().join("leveret.toml"));
    std::fs::write(&ini, "[main]\ndata_dir = /var/lib/lavinmq\n[amqp]\nheartbeat = 25\n").unwrap();
    let convert = || run(["config".as_ref(), "convert".as_ref(), ini.as_os_str()]);
    let Output { status, stdout, stderr } = convert();
    assert_eq!((status.code(), &*stderr), (Some(0), &b""[..]));
    std::fs::write(&toml, stdout).unwrap();
    let checked = run(["config".as_ref(), "check".as_ref(), "--config".as_ref(), toml.as_os_str()]);
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.contains("heartbeat_seconds = 25"), "{checked}");
    std::fs::write(&ini, "[amqp]\nheartbeat = often\n").unwrap();
    let Output { status, stdout, stderr } = convert();
    let expected = format!("leveret: {}:2: \"often\" is not a number\n", ini.display());
    assert_eq!((status.code(), &*stdout), (Some(78), &b""[..]));
    assert_eq!(String::from_utf8(stderr).unwrap(), expected);
}

#[test]
fn config_check_of_a_wrong_file_ends_with_78() {
    let directory = directory();
    let path = directory.path().join("rabbitmq.conf");
    std::fs::write(&path, "heartbeat = 60\nhartbeat = 60\n").unwrap();
    let path = path.display().to_string();
    let expected =
        format!("leveret: {path}:2: unknown key \"hartbeat\"; did you mean \"heartbeat\"?");
    let Output { status, stdout, stderr } = run(["config", "check", "--config", &path]);
    assert_eq!((status.code(), stdout.as_slice()), (Some(78), &b""[..]));
    assert_eq!(String::from_utf8(stderr).unwrap().trim_end(), expected);
    assert_eq!(refused(["--config", &path]), expected);
}

#[tokio::test]
async fn broker_runs_with_a_rabbitmq_conf_and_logs_to_its_file() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let text = format!(
        "listeners.tcp.default = 127.0.0.1:0\n\
         default_user = hare\ndefault_pass = 'gr#ss'\ndefault_vhost = field\n\
         default_permissions.configure = ^x\nheartbeat = 17\n\
         log.dir = {}\nlog.file = broker.log\nlog.file.formatter = json\nlog.console = false\n",
        at("log")
    );
    std::fs::write(at("rabbitmq.conf"), text).unwrap();
    let broker = Broker::start(["--config", &at("rabbitmq.conf"), "--data-dir", &at("data")]);
    let uri = format!("amqp://hare:gr%23ss@{}/field", broker.address());
    let connection =
        soon(Connection::connect(&uri, ConnectionProperties::default())).await.unwrap();
    let channel = soon(connection.create_channel()).await.unwrap();
    let declare = |name: &'static str| {
        channel.queue_declare(name.into(), Default::default(), Default::default())
    };
    soon(declare("x-orders")).await.unwrap();
    let error = soon(declare("y")).await.unwrap_err().to_string();
    assert!(error.contains("ACCESS_REFUSED"), "{error}");
    broker.signal("TERM");
    assert_eq!(broker.exit_code(), Some(0));
    let log = std::fs::read_to_string(at("log/broker.log")).unwrap();
    assert!(log.lines().count() > 2, "{log}");
    for line in log.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["level"].is_string() && object["msg"].is_string(), "{line}");
    }
}
