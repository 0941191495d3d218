//! The binary is killed while messages wait in an exchange, move from bucket to bucket, and are routed:
//! every message that was confirmed ends in the queue, once, and none before its time.
//!
//! `LEVERET_KILL_ROUNDS=50 cargo test --release --test kill_delayed -- --nocapture`; a failure names
//! its seed, which `LEVERET_KILL_SEED` takes.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind};
use parking_lot::Mutex;
use process::{Broker, command};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Nothing takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Unconfirmed messages.
const WINDOW: usize = 200;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

fn millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// What was published, whether it was confirmed, and the earliest time at which it may arrive.
struct Book {
    sent: Mutex<Vec<(bool, u64)>>,
    confirms: watch::Sender<u64>,
}

impl Book {
    fn send(&self, due: u64) -> usize {
        let mut sent = self.sent.lock();
        sent.push((false, due));
        sent.len() - 1
    }
}

/// A broker that keeps so little in memory that what waits lies in segments.
fn start(data: &Path) -> Broker {
    let broker = Broker::start_command(command(data).env("LEVERET_QUEUE_MEMORY", "65536"));
    assert!(!broker.log.iter().any(|line| line.contains("[error]")), "{:#?}", broker.log);
    broker
}

async fn declare(channel: &Channel) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-delayed-type".into(), AMQPValue::LongString("direct".into()));
    let kind = ExchangeKind::Custom("x-delayed-message".to_owned());
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare("later".into(), kind, durable, arguments).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("end".into(), durable, FieldTable::default()).await.unwrap();
    let (queue, exchange) = ("end".into(), "later".into());
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue, exchange, "end".into(), options, none).await.unwrap();
}

/// Publishes until the broker is gone.
async fn publish(book: Arc<Book>, channel: Channel, mut random: SmallRng) {
    let mut open = FuturesUnordered::new();
    let mut alive = channel.confirm_select(ConfirmSelectOptions::default()).await.is_ok();
    while alive || !open.is_empty() {
        while alive && open.len() < WINDOW {
            let bits = random.random_range(1..12);
            let delay: u32 = random.random_range(1..1 << bits);
            let id = book.send(millis() + u64::from(delay));
            let mut headers = FieldTable::default();
            headers.insert("x-delay".into(), AMQPValue::LongUInt(delay));
            let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
            let (body, options) = (format!("{id:0400}"), BasicPublishOptions::default());
            let (exchange, key) = ("later".into(), "end".into());
            let sent =
                channel.basic_publish(exchange, key, options, body.as_bytes(), properties).await;
            alive = sent.is_ok();
            open.extend(sent.ok().map(|confirm| async move { (id, confirm.await) }));
        }
        match open.next().await {
            Some((id, Ok(Confirmation::Ack(None)))) => {
                book.sent.lock()[id].0 = true;
                book.confirms.send_modify(|confirms| *confirms += 1);
            }
            Some((id, Ok(other))) => panic!("{id} was answered with {other:?}"),
            Some((_, Err(_))) => alive = false,
            None => {}
        }
    }
}

/// Fetches what has arrived.
async fn fetch(channel: &Channel, book: &Book, found: &mut BTreeMap<usize, u32>) {
    let no_ack = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get("end".into(), no_ack).await.unwrap() {
        let id: usize = String::from_utf8(message.delivery.data).unwrap().parse().unwrap();
        let early = book.sent.lock()[id].1.saturating_sub(millis());
        assert_eq!(early, 0, "{id} is {early} ms early");
        *found.entry(id).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_waits_arrives_once_whenever_the_broker_is_killed() {
    let rounds = variable("LEVERET_KILL_ROUNDS").unwrap_or(4);
    let seed = variable("LEVERET_KILL_SEED").unwrap_or_else(rand::random);
    println!("LEVERET_KILL_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let data = tempfile::tempdir().unwrap();
    let book = Arc::new(Book { sent: Mutex::default(), confirms: watch::Sender::new(0) });
    for round in 0..rounds {
        let broker = start(data.path());
        let channel = broker.channel().await;
        if round == 0 {
            declare(&channel).await;
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(publish(Arc::clone(&book), channel, SmallRng::seed_from_u64(random.random())));
        let confirms = *book.confirms.borrow() + random.random_range(1..4000);
        let mut reached = book.confirms.subscribe();
        let waited = timeout(LONG, reached.wait_for(|now| *now >= confirms)).await;
        waited.expect("the broker goes on confirming").unwrap();
        sleep(Duration::from_micros(random.random_range(0..50_000))).await;
        broker.kill();
        let ended = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
        timeout(LONG, ended).await.expect("every client notices that the broker is gone");
    }
    let broker = start(data.path());
    let channel = broker.channel().await;
    let mut found = BTreeMap::new();
    let missing = |found: &BTreeMap<usize, u32>| {
        let sent = book.sent.lock();
        let confirmed = sent.iter().enumerate().filter(|(_, (confirmed, _))| *confirmed);
        confirmed.map(|(id, _)| id).filter(|id| !found.contains_key(id)).collect::<Vec<_>>()
    };
    // All is due by then, and what takes longer is lost.
    let last = book.sent.lock().iter().map(|(_, due)| *due).max().unwrap() + 20_000;
    while millis() < last && !missing(&found).is_empty() {
        fetch(&channel, &book, &mut found).await;
        tokio::task::yield_now().await;
    }
    // A double is due when the other one is.
    sleep(Duration::from_millis(2500)).await;
    fetch(&channel, &book, &mut found).await;
    let confirmed = book.sent.lock().iter().filter(|(confirmed, _)| *confirmed).count();
    println!("{rounds} kills: {confirmed} confirmed, {} found", found.len());
    assert_eq!(missing(&found), [0; 0], "seed {seed}: lost");
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: {twice:?}");
}
