//! What the process and the system tell each other.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};

use super::server::{PATIENCE, soon};
use super::{Broker, OsStr, command, directory, refused};

/// What systemd would hear, a line each.
struct Systemd {
    directory: tempfile::TempDir,
    heard: Receiver<String>,
}

impl Systemd {
    fn listen() -> Self {
        let directory = directory();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        let (send, heard) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                if text.lines().any(|line| send.send(line.to_owned()).is_err()) {
                    return;
                }
            }
        });
        Self { directory, heard }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("notify")
    }

    /// What is heard up to this, which comes last.
    #[track_caller]
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.heard.recv_timeout(PATIENCE);
            lines.push(line.unwrap_or_else(|error| panic!("no {wanted} after {lines:?}: {error}")));
            if lines.last().unwrap().starts_with(wanted) {
                return lines;
            }
        }
    }
}

fn args(directory: &tempfile::TempDir) -> [std::ffi::OsString; 4] {
    let data = directory.path().join("data");
    ["--amqp".into(), "127.0.0.1:0".into(), "--data-dir".into(), data.into()]
}

#[tokio::test]
async fn systemd_is_told_how_far_it_is() {
    let (directory, systemd) = (directory(), Systemd::listen());
    let mut command = command(args(&directory));
    command.env("NOTIFY_SOCKET", systemd.socket()).env("WATCHDOG_USEC", "100000");
    let broker = Broker::start_command(command);
    let lines = systemd.until("READY=1");
    let said = |part: &str| lines.iter().position(|line| line.starts_with(part));
    assert!(said("STATUS=recovering") < said("EXTEND_TIMEOUT_USEC="), "{lines:?}");
    assert!(said("EXTEND_TIMEOUT_USEC=").is_some(), "{lines:?}");
    let status = lines.iter().rfind(|line| line.starts_with("STATUS=")).unwrap();
    let (_, address) = status.split_once("ready: amqp ").unwrap();
    let url = format!("amqp://{address}/%2f");
    drop(soon(Connection::connect(&url, ConnectionProperties::default())).await.unwrap());
    let heard = tokio::task::spawn_blocking(move || {
        systemd.until("WATCHDOG=1");
        systemd.until("WATCHDOG=1");
        broker.signal("HUP");
        systemd.until("RELOADING=1");
        let reloaded = systemd.until("READY=1");
        assert!(reloaded.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloaded:?}");
        broker.signal("TERM");
        systemd.until("STOPPING=1");
        broker.exit_code()
    });
    assert_eq!(heard.await.unwrap(), Some(0));
}

/// What a broker that finds its port in use writes to stderr, where `JOURNAL_STREAM` is what `named` makes of
/// the name of that file.
fn refused_with_journal(named: impl Fn(&str) -> String) -> String {
    let (directory, taken) = (directory(), TcpListener::bind("127.0.0.1:0").unwrap());
    let path = directory.path().join("stderr");
    let stderr = File::create(&path).unwrap();
    let metadata = stderr.metadata().unwrap();
    let name = format!("{}:{}", metadata.dev(), metadata.ino());
    let address = taken.local_addr().unwrap().to_string();
    let mut command =
        command(["--data-dir".into(), directory.path().join("data").into_os_string()]);
    command.env("LEVERET_AMQP", address).env("JOURNAL_STREAM", named(&name)).stderr(stderr);
    assert_eq!(command.status().unwrap().code(), Some(1));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn journal_is_told_how_important_a_line_is() {
    let text = refused_with_journal(|stderr| stderr.to_owned());
    let lines: Vec<&str> = text.lines().collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(last.starts_with("<3>leveret: ") && last.contains("in use"), "{text}");
    assert!(before.iter().any(|line| line.starts_with("<6>") && line.contains("[info]")), "{text}");
    assert!(lines.iter().all(|line| line.starts_with('<')), "{text}");
}

#[test]
fn nobody_else_is_told_how_important_a_line_is() {
    // Something in between is connected with the journal, and the broker with that.
    let text = refused_with_journal(|stderr| format!("{stderr}0"));
    assert!(text.contains("leveret: ") && text.contains("[info]"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with('<')), "{text}");
}

/// It waits for a file that nobody writes, and could not be stopped otherwise.
#[test]
fn second_signal_ends_it_at_once() {
    let directory = directory();
    let fifo = directory.path().join("certificate.pem");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = command(args(&directory));
    command.env("LEVERET_AMQPS", "127.0.0.1:0").env("LEVERET_TLS_CERTIFICATE_FILE", &fifo);
    let broker =
        Broker::spawn(command.env("LEVERET_TLS_KEY_FILE", directory.path().join("key.pem")));
    broker.line("starts as node");
    broker.signal("TERM");
    broker.signal("INT");
    broker.line("leveret: a second signal");
    assert_eq!(broker.exit_code(), Some(1));
}

#[tokio::test]
async fn user_signal_writes_the_state_to_the_log() {
    let directory = directory();
    let broker = Broker::start_in(&directory);
    let url = format!("amqp://{}/%2f", broker.address());
    let connection =
        soon(Connection::connect(&url, ConnectionProperties::default())).await.unwrap();
    let channel = soon(connection.create_channel()).await.unwrap();
    let options = QueueDeclareOptions::default();
    soon(channel.queue_declare("long".into(), options, FieldTable::default())).await.unwrap();
    let confirms = lapin::options::ConfirmSelectOptions::default();
    soon(channel.confirm_select(confirms)).await.unwrap();
    for _ in 0..3 {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        let sent = channel.basic_publish("".into(), "long".into(), options, b"body", properties);
        soon(soon(sent).await.unwrap()).await.unwrap();
    }
    broker.signal("USR1");
    let line = broker.line("state: 1 connections");
    assert!(line.contains("1 channels") && line.contains("1 queues"), "{line}");
    broker.line("bytes of memory: ");
    broker.line("no alarm is on");
    broker.line("long queue 'long' in vhost '/': 3 ready, 0 unacknowledged");
    broker.line("oldest message: next of queue 'long' in vhost '/', for ");
    broker.line("oldest connection: 127.0.0.1:");
}

#[test]
fn first_lines_tell_what_starts() {
    let directory = directory();
    let file = directory.path().join("leveret.toml");
    std::fs::write(&file, "heartbeat_seconds = 17\n").unwrap();
    let mut command = command(args(&directory));
    command.arg("--config").arg(&file);
    let broker = Broker::spawn(&mut command);
    let version = concat!("leveret ", env!("CARGO_PKG_VERSION"), " starts as node rabbit@");
    broker.line(version);
    broker.line(&format!("data directory: {}", directory.path().join("data").display()));
    broker.line(&format!("configuration files: {}", file.display()));
    broker.line("recovered 0 vhosts");
    broker.line("ready in ");
    broker.line(" ready: amqp 127.0.0.1:");
}

/// Runs the broker in a shell that has set limits before.
fn limited(ulimit: &str, directory: &tempfile::TempDir) -> Command {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("{ulimit} && exec \"$0\" \"$@\"")).env_clear();
    limited.env("LEVERET_HTTP", "none").arg(env!("CARGO_BIN_EXE_leveret")).args(args(directory));
    limited
}

#[test]
fn limit_of_open_files_is_raised() {
    let directory = directory();
    let broker = Broker::start_command(limited("ulimit -Sn 128", &directory));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", broker.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let fields: Vec<_> = line.split_whitespace().collect();
    assert_eq!(fields[3], fields[4], "{line}");
}

#[test]
fn few_open_files_are_warned_of() {
    let directory = directory();
    let broker = Broker::spawn(&mut limited("ulimit -n 1024", &directory));
    let line = broker.line("open files: at most 1024, which is few");
    assert!(line.contains(" [warning] "), "{line}");
}

/// What it says before it fails is no reason to look further.
#[test]
fn a_start_that_fails_still_is_one_clear_line() {
    let line = refused([OsStr::new("--data-dir"), "/proc/nowhere".as_ref()]);
    assert!(line.contains("/proc/nowhere"), "{line}");
}
