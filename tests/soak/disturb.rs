//! What goes on beside the load: policies and topology change, clients come, make mistakes and go, and
//! somebody looks.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{
    BasicGetOptions, ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};
use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client::Work;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// None of them takes anything from a queue or refuses it.
const DEFINITIONS: [&str; 6] = [
    r#"{"max-length": 100000000}"#,
    r#"{"max-length-bytes": 1000000000000, "overflow": "reject-publish"}"#,
    r#"{"message-ttl": 86400000}"#,
    r#"{"expires": 86400000}"#,
    r#"{"delivery-limit": 1000000, "dead-letter-exchange": "nowhere"}"#,
    r#"{"queue-mode": "lazy", "dead-letter-exchange": "nowhere"}"#,
];

const LOOKS: [&str; 6] = [
    "/api/overview",
    "/api/queues?page=1&page_size=10&sort=messages",
    "/api/connections",
    "/api/consumers",
    "/api/definitions",
    "/metrics/detailed",
];

/// Goes on until it is over. What fails while the broker lives fails the test.
pub async fn run(work: Arc<Work>, mut random: SmallRng) {
    let mut over = work.over.subscribe();
    while !*over.borrow() {
        let done = match random.random_range(0..4) {
            0 => policy(&work, &mut random).await,
            1 => topology(&work, &mut random).await,
            2 => mistake(&work).await,
            _ => request(&work.http, "GET", LOOKS[random.random_range(0..LOOKS.len())], "").await,
        };
        if let Err(error) = done {
            // The broker is killed just before it is over.
            let ended = timeout(Duration::from_secs(30), over.wait_for(|over| *over)).await;
            assert!(ended.is_ok(), "the broker lives, and yet: {error}");
            return;
        }
        work.changed();
        sleep(Duration::from_millis(random.random_range(1..200))).await;
    }
}

async fn policy(work: &Work, random: &mut SmallRng) -> Outcome {
    let path = format!("/api/policies/%2F/soak.{}", random.random_range(0..3));
    if random.random_ratio(1, 3) {
        // It may not be there.
        let _ = request(&work.http, "DELETE", &path, "").await;
        return Ok(());
    }
    let definition = DEFINITIONS[random.random_range(0..DEFINITIONS.len())];
    let pattern = ["^work", "^audit", "."][random.random_range(0..3)];
    let priority = random.random_range(0..5);
    let body = format!(
        r#"{{"pattern": "{pattern}", "definition": {definition}, "priority": {priority}, "apply-to": "queues"}}"#
    );
    request(&work.http, "PUT", &path, &body).await
}

/// An exchange and a queue that get what others get, for a moment.
async fn topology(work: &Work, random: &mut SmallRng) -> Outcome {
    let channel = work.channel().await?;
    let name = format!("side.{}", random.random_range(0..1000));
    let durable = random.random();
    let options = ExchangeDeclareOptions { durable, ..Default::default() };
    let (kind, none) = (ExchangeKind::Topic, FieldTable::default());
    channel.exchange_declare(name.as_str().into(), kind, options, none).await?;
    let options = QueueDeclareOptions { durable, exclusive: random.random(), ..Default::default() };
    channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await?;
    let (from, to, options) =
        ("audit".into(), name.as_str().into(), ExchangeBindOptions::default());
    channel.exchange_bind(to, from, "".into(), options, FieldTable::default()).await?;
    let (queue, exchange) = (name.as_str().into(), name.as_str().into());
    let options = QueueBindOptions::default();
    channel.queue_bind(queue, exchange, "#".into(), options, FieldTable::default()).await?;
    sleep(Duration::from_millis(random.random_range(0..300))).await;
    for _ in 0..random.random_range(0..20) {
        let no_ack = BasicGetOptions { no_ack: random.random() };
        channel.basic_get(name.as_str().into(), no_ack).await?;
    }
    if random.random() {
        channel.queue_purge(name.as_str().into(), QueuePurgeOptions::default()).await?;
    }
    delete(&channel, &name).await?;
    channel.close(200, "".into()).await?;
    Ok(())
}

async fn delete(channel: &Channel, name: &str) -> Outcome {
    channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await?;
    channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
    Ok(())
}

/// A client that asks for what is not there.
async fn mistake(work: &Work) -> Outcome {
    let channel = work.channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    match channel.queue_declare("not.there".into(), passive, FieldTable::default()).await {
        Ok(_) => Err("a queue is there that nobody declared".into()),
        Err(error) if error.to_string().contains("NOT_FOUND") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn request(address: &str, method: &str, path: &str, body: &str) -> Outcome {
    let mut socket = TcpStream::connect(address).await?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
         Connection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    match answer.starts_with(b"HTTP/1.1 2") {
        true => Ok(()),
        false => Err(format!("{method} {path}: {}", String::from_utf8_lossy(&answer)).into()),
    }
}
