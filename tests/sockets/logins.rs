//! Ten thousand wrong logins on the binary, over AMQP and over HTTP: connections and memory do not grow.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use leveret::protocol::Method;
use leveret::protocol::method::connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Broker;
use crate::server::soon;
use crate::socket::{Socket, handshake_of};

const GUESSES: usize = 10_000;
const TOGETHER: usize = 50;

fn start() -> (Broker, tempfile::TempDir, String, String) {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.args(["--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]).arg(data.path());
    let broker = Broker::start_command(command.env("LEVERET_LOG_LEVEL", "error"));
    let (amqp, http) = broker.address.split_once(", http ").unwrap();
    let (amqp, http) = (amqp.to_owned(), http.to_owned());
    (broker, data, amqp, http)
}

fn files(broker: &Broker) -> usize {
    std::fs::read_dir(PathBuf::from(format!("/proc/{}/fd", broker.process.id()))).unwrap().count()
}

fn user(guess: usize) -> String {
    if guess.is_multiple_of(2) { "guest".to_owned() } else { format!("nobody{guess}") }
}

/// Guesses many times at once, and says the resident bytes after a tenth and at the end.
async fn guess_all<F: Future<Output = Vec<u8>>>(
    broker: &Broker,
    guess: impl Fn(usize) -> F,
) -> (u64, u64) {
    let (mut answers, mut early) = (Vec::new(), 0);
    for start in (0..GUESSES).step_by(TOGETHER) {
        answers.extend(join_all((start..start + TOGETHER).map(&guess)).await);
        answers.dedup();
        if start == GUESSES / 10 {
            early = broker.resident();
        }
    }
    assert_eq!(answers.len(), 1, "always the same answer");
    (early, broker.resident())
}

#[tokio::test]
async fn guesses_over_amqp_leave_nothing() {
    let (broker, _data, amqp, _) = start();
    let address = amqp.parse().unwrap();
    let before = files(&broker);
    let guess = async |guess: usize| {
        let mut socket = Socket::dial(address).await;
        let response = format!("\0{}\0{guess}", user(guess));
        socket.send(&handshake_of("PLAIN", response.as_bytes())).await;
        socket.frame().await;
        let refusal = socket.frame().await;
        assert!(matches!(refusal.method(), Method::Connection(connection::Method::Close(_))));
        refusal.payload
    };
    let (early, late) = guess_all(&broker, guess).await;
    // Whoever hangs up is gone, and does not stay for the three seconds that others are made to wait.
    let left = files(&broker);
    assert!(left <= before + 2 * TOGETHER, "{before} and then {left}");
    assert!(late <= early + (16 << 20), "{early} and then {late}");
    broker.channel_at(&amqp).await.close(200, "".into()).await.unwrap();
}

#[tokio::test]
async fn guesses_over_http_leave_nothing() {
    let (broker, _data, amqp, http) = start();
    let before = files(&broker);
    let guess = async |guess: usize| {
        let mut stream = soon(TcpStream::connect(&http)).await.unwrap();
        let login = STANDARD.encode(format!("{}:{guess}", user(guess)));
        let request = format!(
            "GET /api/whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {login}\r\n\r\n"
        );
        soon(stream.write_all(request.as_bytes())).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        // All but the time of day.
        let lines = answer.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        lines.collect::<String>().into_bytes()
    };
    let (early, late) = guess_all(&broker, guess).await;
    let left = files(&broker);
    assert!(left <= before + 2 * TOGETHER, "{before} and then {left}");
    assert!(late <= early + (16 << 20), "{early} and then {late}");
    broker.channel_at(&amqp).await.close(200, "".into()).await.unwrap();
}
