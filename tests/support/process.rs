//! The real binary as a process of its own, to be stopped and killed.

#![allow(dead_code, reason = "every test file uses a part of this")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use lapin::{Channel, Connection, ConnectionProperties};

/// A running broker. Dropping it is SIGKILL.
pub struct Broker {
    pub process: Child,
    /// What it said until it was ready.
    pub log: Vec<String>,
    pub address: String,
}

impl Broker {
    pub fn start(data: &Path) -> Self {
        Self::start_command(&mut command(data))
    }

    pub fn start_command(command: &mut Command) -> Self {
        let (broker, lines) = Self::spawn(command);
        // Nobody may be kept waiting by a pipe that is full.
        std::thread::spawn(move || lines.for_each(drop));
        broker
    }

    /// With what it says after it was ready.
    pub fn spawn(command: &mut Command) -> (Self, Lines<BufReader<ChildStderr>>) {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        let address = loop {
            let Some(line) = lines.next() else { panic!("it ended before it was ready: {log:#?}") };
            let line = line.unwrap();
            if let Some((_, address)) = line.split_once("ready: amqp ") {
                break address.to_owned();
            }
            log.push(line);
        };
        (Self { process, log, address }, lines)
    }

    pub async fn connect(&self) -> Connection {
        let uri = format!("amqp://guest:guest@{}/%2f", self.address);
        Connection::connect(&uri, ConnectionProperties::default()).await.unwrap()
    }

    pub async fn channel(&self) -> Channel {
        self.connect().await.create_channel().await.unwrap()
    }

    /// On an address, where the broker has several.
    pub async fn channel_at(&self, address: &str) -> Channel {
        let uri = format!("amqp://guest:guest@{address}/%2f");
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        connection.create_channel().await.unwrap()
    }

    /// Bytes of memory that the process has.
    pub fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM, and the end that it leads to.
    pub fn stop(mut self) -> ExitStatus {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.process.wait().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.args(["--amqp", "127.0.0.1:0", "--http", "none", "--data-dir"]).arg(data);
    command
}
