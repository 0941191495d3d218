//! A broker with its HTTP API, and the binary that asks it.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use leveret::management::{Bound, Listener, Management, Node, Protocol, Services};
use leveret::time::Time;
use leveret::transport::tls::Tls;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::server::TestServer;

/// The time that the HTTP API goes by.
pub const NOW: Time = Time(1_700_000_000_000);

pub struct Broker {
    pub runtime: Runtime,
    pub server: TestServer,
    pub http: SocketAddr,
    pub management: Management,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// It succeeded and had nothing to complain about.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, &*self.err), (0, ""), "{}", self.out);
        self.out
    }

    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// It failed with this exit code, and said this.
    #[track_caller]
    pub fn fails(self, code: i32, said: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(said), "not {said:?}: {self:?}");
    }
}

impl Broker {
    pub fn start() -> Self {
        Self::start_with(None, Node::default())
    }

    pub fn start_with(tls: Option<Arc<Tls>>, node: Node) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(TestServer::start());
        let services = Services {
            broker: Arc::clone(&server.broker),
            authenticator: Arc::clone(&server.authenticator),
            listeners: vec![Listener { protocol: Protocol::Amqp, address: server.address }],
            tls: tls.clone(),
            node: Node { started: Time(NOW.0 - 3_600_000), ..node },
            options: leveret::management::Options::default(),
            now: Box::new(|| NOW),
        };
        let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), tls).unwrap();
        let management = Management::start(vec![bound], services).unwrap();
        let http = management.listeners()[0].address;
        Self { runtime, server, http, management }
    }

    /// The words of a command, which have no spaces in them.
    #[track_caller]
    pub fn ctl(&self, words: &str) -> Ran {
        self.ctl_of(&words.split_whitespace().collect::<Vec<_>>())
    }

    pub fn ctl_of(&self, words: &[&str]) -> Ran {
        run(self.command().args(words), b"")
    }

    /// With something to read.
    pub fn ctl_reading(&self, words: &str, input: &[u8]) -> Ran {
        run(self.command().args(words.split_whitespace()), input)
    }

    pub fn command(&self) -> Command {
        let mut command = ctl();
        command.env("CTL_URI", format!("http://guest:guest@{}", self.http));
        command
    }

    /// One of RabbitMQ's tools.
    pub fn tool(&self, name: &str, words: &[&str]) -> Ran {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_leveret"), &link).unwrap();
        let uri = format!("http://guest:guest@{}", self.http);
        run(Command::new(link).env_clear().env("CTL_URI", uri).args(words), b"")
    }

    /// `rabbitmqctl`, with words that have no spaces in them.
    #[track_caller]
    pub fn rabbitmqctl(&self, words: &str) -> Ran {
        self.tool("rabbitmqctl", &words.split_whitespace().collect::<Vec<_>>())
    }

    /// Messages that are ready in a queue of the vhost `/`.
    pub fn ready(&self, queue: &str) -> usize {
        self.server.counts(queue).ready
    }
}

/// The binary with nothing of this process's environment.
pub fn ctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.env_clear().arg("ctl");
    command
}

pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or(-1);
    Ran { code, out: text(output.stdout), err: text(output.stderr) }
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The lines of a table, each as its words.
pub fn words(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}
