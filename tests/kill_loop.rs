//! The binary is killed again and again while clients work, and nothing that it confirmed may be lost.
//!
//! `LEVERET_KILL_ROUNDS=50 cargo test --release --test kill_loop -- --nocapture`; a failure names its
//! seed, which `LEVERET_KILL_SEED` takes.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "kill_loop/ends.rs"]
mod ends;
#[path = "kill_loop/ledger.rs"]
mod ledger;
#[path = "kill_loop/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::options::{
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};
use load::{Book, Consumer, Publisher, answered};
use process::{Broker, command};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::timeout;

const QUEUES: [&str; 5] = ["work.a", "work.b", "audit.1", "audit.2", "receipts"];

/// Two to one queue, one to another, two to a fanout of two.
const PUBLISHERS: [Publisher; 5] = [
    Publisher { number: 1, exchange: "", key: "work.a" },
    Publisher { number: 2, exchange: "", key: "work.a" },
    Publisher { number: 3, exchange: "", key: "work.b" },
    Publisher { number: 4, exchange: "audit", key: "" },
    Publisher { number: 5, exchange: "audit", key: "" },
];

/// Nothing takes so long.
const LONG: Duration = Duration::from_secs(60);

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

fn receipts(queue: usize) -> Option<Publisher> {
    let number = 100 + queue as u32;
    (QUEUES[queue] != "receipts").then_some(Publisher { number, exchange: "", key: "receipts" })
}

/// What comes last in a queue.
fn end(queue: usize) -> Publisher {
    Publisher { number: 200 + queue as u32, exchange: "", key: QUEUES[queue] }
}

fn book() -> Arc<Book> {
    let book = Book::new();
    let mut ledger = book.ledger.lock();
    for publisher in PUBLISHERS {
        match publisher.exchange {
            "" => ledger.route(publisher.number, &[publisher.key]),
            _ => ledger.route(publisher.number, &["audit.1", "audit.2"]),
        }
    }
    for (n, queue) in QUEUES.iter().enumerate() {
        ledger.route(end(n).number, &[queue]);
        if let Some(receipts) = receipts(n) {
            ledger.route(receipts.number, &["receipts"]);
        }
    }
    ledger.expect_requeues("work.b");
    ledger.expect_requeues("audit.2");
    drop(ledger);
    Arc::new(book)
}

async fn declare(channel: &Channel) {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    for queue in QUEUES {
        channel.queue_declare(queue.into(), durable, FieldTable::default()).await.unwrap();
    }
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let (kind, none) = (ExchangeKind::Fanout, FieldTable::default());
    channel.exchange_declare("audit".into(), kind, durable, none).await.unwrap();
    for queue in ["audit.1", "audit.2"] {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.into(), "audit".into(), "".into(), options, none).await.unwrap();
    }
}

/// Messages in a queue that are ready.
async fn ready(channel: &Channel, queue: &str) -> u32 {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(queue.into(), passive, FieldTable::default());
    declared.await.unwrap().message_count()
}

/// Clients work until the broker is killed, some confirms from now.
async fn era(broker: Broker, book: &Arc<Book>, era: usize, random: &mut SmallRng) {
    let mut tasks = JoinSet::new();
    let mut connections = Vec::new();
    for publisher in PUBLISHERS {
        let connection = broker.connect().await;
        let channel = connection.create_channel().await.unwrap();
        connections.push(connection);
        let window = *[1, 10, 100].get(random.random_range(0..3)).unwrap();
        tasks.spawn(publisher.run(Arc::clone(book), channel, era, window));
    }
    for (n, queue) in QUEUES.into_iter().enumerate() {
        // Now and then a queue only grows.
        if random.random_ratio(1, 5) {
            continue;
        }
        let connection = broker.connect().await;
        let channel = connection.create_channel().await.unwrap();
        connections.push(connection);
        let prefetch = random.random_range(1..200);
        let consumer = Consumer { queue, prefetch, receipts: receipts(n), last: None };
        let random = SmallRng::seed_from_u64(random.random());
        tasks.spawn(consumer.run(Arc::clone(book), channel, era, random));
    }
    let confirms = *book.confirms.borrow() + random.random_range(1..1_200);
    let mut reached = book.confirms.subscribe();
    let waited = timeout(LONG, reached.wait_for(|now| *now >= confirms)).await;
    waited.expect("the broker goes on confirming").unwrap();
    // Not only right behind a confirm.
    tokio::time::sleep(Duration::from_micros(random.random_range(0..3_000))).await;
    broker.kill();
    let ended =
        timeout(LONG, async { while tasks.join_next().await.transpose().unwrap().is_some() {} });
    ended.await.expect("every client notices that the broker is gone");
}

/// Starts it and kills it at once, most likely while it reads what is there.
async fn kill_while_starting(start: &mut Command, random: &mut SmallRng) {
    let mut process = start.stderr(Stdio::null()).spawn().unwrap();
    tokio::time::sleep(Duration::from_micros(random.random_range(0..30_000))).await;
    process.kill().unwrap();
    process.wait().unwrap();
}

/// Takes everything out of all queues.
async fn drain(broker: &Broker, book: &Arc<Book>, era: usize) {
    let connection = broker.connect().await;
    let mut tasks = JoinSet::new();
    for (n, queue) in QUEUES.into_iter().enumerate() {
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let (last, confirm) = end(n).send(book, &channel, era).await.unwrap();
        assert!(answered(book, last, confirm.await));
        let consumer = Consumer { queue, prefetch: 100, receipts: None, last: Some(last) };
        let random = SmallRng::seed_from_u64(0);
        tasks.spawn(consumer.run(Arc::clone(book), channel, era, random));
    }
    let drained =
        timeout(LONG, async { while tasks.join_next().await.transpose().unwrap().is_some() {} });
    drained.await.expect("what comes last comes");
}

async fn kill_loop(rounds: usize, settings: &[(&str, &str)]) {
    let seed = variable("LEVERET_KILL_SEED").unwrap_or_else(rand::random);
    println!("LEVERET_KILL_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let (data, book) = (tempfile::tempdir().unwrap(), book());
    let start = || {
        let mut start = command(data.path());
        start.envs(settings.iter().copied());
        start
    };
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        if random.random_ratio(1, 3) {
            kill_while_starting(&mut start(), &mut random).await;
        }
        let started = Instant::now();
        let broker = Broker::start_command(&mut start());
        slowest = slowest.max(started.elapsed());
        assert!(!broker.log.iter().any(|line| line.contains("[error]")), "{:#?}", broker.log);
        if round == 0 {
            declare(&broker.channel().await).await;
        }
        era(broker, &book, round, &mut random).await;
    }
    let broker = Broker::start_command(&mut start());
    assert!(!broker.log.iter().any(|line| line.contains("[error]")), "{:#?}", broker.log);
    drain(&broker, &book, rounds).await;
    let problems = book.ledger.lock().problems();
    println!("{rounds} kills: {:?}, slowest start {slowest:?}", book.ledger.lock().figures());
    assert!(problems.is_empty(), "seed {seed}: {} problems: {problems:#?}", problems.len());
    // What is settled stays so.
    assert!(broker.stop().success());
    let broker = Broker::start_command(&mut start());
    let channel = broker.channel().await;
    for queue in QUEUES {
        assert_eq!(ready(&channel, queue).await, 0, "seed {seed}: {queue}");
    }
    assert!(damaged(data.path()).is_empty(), "seed {seed}");
}

/// A kill damages no file.
fn damaged(data: &Path) -> Vec<String> {
    let directories =
        ["journal", "segments"].map(|name| std::fs::read_dir(data.join(name)).unwrap());
    let names = directories.into_iter().flatten().map(|file| file.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.contains("damaged")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_when_the_broker_is_killed() {
    let rounds = variable("LEVERET_KILL_ROUNDS").unwrap_or(5);
    kill_loop(rounds as usize, &[("LEVERET_SYNC", "always")]).await;
}

/// The same when hardly anything stays in memory: segments are written and read all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_when_queues_are_longer_than_memory() {
    let rounds = variable("LEVERET_KILL_ROUNDS").unwrap_or(5);
    kill_loop(rounds as usize, &[("LEVERET_QUEUE_MEMORY", "4096")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_only_written_survives_a_kill() {
    kill_loop(2, &[("LEVERET_SYNC", "os")]).await;
}
