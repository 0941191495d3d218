//! An hour of mixed load while clients die, the broker is killed, and policies and topology change; what
//! comes out is checked from outside, and memory, file handles and the disk have to stay flat.
//!
//! `LEVERET_SOAK_MINUTES=60 cargo test --release --test soak -- --ignored --nocapture`; a failure names its
//! seed, which `LEVERET_SOAK_SEED` takes. It goes in chapters of some minutes. In each the broker is
//! killed several times, works on for a while, and is emptied; then the books have to be right.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "soak/client.rs"]
mod client;
#[path = "soak/disturb.rs"]
mod disturb;
#[path = "kill_loop/ledger.rs"]
mod ledger;
#[path = "kill_loop/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;
#[path = "soak/relay.rs"]
mod relay;
#[path = "soak/watch.rs"]
mod watch;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::Work;
use lapin::options::{
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use load::{Book, Consumer, answered};
use process::Broker;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use watch::Watch;

/// Name and type.
const QUEUES: [(&str, &str); 6] = [
    ("work.a", "classic"),
    ("work.b", "classic"),
    ("work.q", "quorum"),
    ("audit.1", "classic"),
    ("audit.2", "quorum"),
    ("receipts", "classic"),
];

/// Nothing takes so long.
const LONG: Duration = Duration::from_secs(120);

/// Bytes on the disk when all queues are empty: five files of the journal (`docs/durability.md`), and more
/// than the rest takes.
const EMPTY_MAX: u64 = (5 * 64 + 32) * 1024 * 1024;

struct Soak {
    data: tempfile::TempDir,
    random: SmallRng,
    seed: u64,
    era: usize,
    /// Clients, brokers, and policies and topology, so far.
    deaths: u32,
    kills: u32,
    changes: u32,
}

impl Soak {
    fn new() -> Self {
        let seed = std::env::var("LEVERET_SOAK_SEED").ok().map(|value| value.parse().unwrap());
        let seed = seed.unwrap_or_else(rand::random);
        println!("LEVERET_SOAK_SEED={seed}");
        let (data, random) = (tempfile::tempdir().unwrap(), SmallRng::seed_from_u64(seed));
        Self { data, random, seed, era: 0, deaths: 0, kills: 0, changes: 0 }
    }

    fn start(&self) -> Broker {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        command.args(["--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]);
        command.arg(self.data.path()).env("LEVERET_QUEUE_MEMORY", "1MiB");
        let broker = Broker::start_command(&mut command);
        assert!(!broker.log.iter().any(|line| line.contains("[error]")), "{:#?}", broker.log);
        broker
    }

    /// Clients work, die and are replaced for so long; then `end` comes, and they all leave.
    async fn era<T>(
        &mut self,
        book: &Arc<Book>,
        broker: Broker,
        length: Duration,
        end: impl FnOnce(Broker) -> T,
    ) -> T {
        self.era += 1;
        let work = Arc::new(Work::new(&broker, self.era, Arc::clone(book)));
        let mut tasks = JoinSet::new();
        for place in 0..client::ROUTES.len() {
            let random = SmallRng::seed_from_u64(self.random.random());
            tasks.spawn(Arc::clone(&work).publish(place, random));
        }
        for (queue, _) in QUEUES {
            let random = SmallRng::seed_from_u64(self.random.random());
            tasks.spawn(Arc::clone(&work).consume(queue, random));
        }
        let random = SmallRng::seed_from_u64(self.random.random());
        tasks.spawn(disturb::run(Arc::clone(&work), random));
        sleep(length).await;
        let ended = end(broker);
        work.over.send_replace(true);
        let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
        timeout(LONG, all).await.expect("every client comes to its end");
        self.deaths += work.deaths();
        self.changes += work.changes();
        ended
    }

    /// Some kills, some work without, and everything has come out as it should.
    async fn chapter(&mut self, length: Duration) {
        let book = Arc::new(Book::new());
        book.ledger.lock().expect_requeues("work.b");
        book.ledger.lock().expect_requeues("audit.2");
        book.ledger.lock().expect_returns_apart("work.q");
        book.ledger.lock().expect_returns_apart("audit.2");
        let kills = self.random.random_range(1..=4);
        for _ in 0..kills {
            let length = length.mul_f64(self.random.random_range(0.01..0.12));
            let broker = self.start();
            self.era(&book, broker, length, Broker::kill).await;
            self.kills += 1;
        }
        let broker = self.start();
        let watch = Watch::start(broker.process.id());
        let broker = self.era(&book, broker, length.mul_f64(0.5), |broker| broker).await;
        let held = watch.stop().await;
        self.drain(&book, &broker).await;
        let filled = watch::disk(self.data.path());
        let shrunk = timeout(LONG, watch::shrunk(self.data.path(), EMPTY_MAX)).await;
        let Self { seed, deaths, kills, changes, .. } = self;
        let figures = book.ledger.lock().figures();
        println!(
            "{kills} kills, {deaths} deaths, {changes} changes; {held}, {filled} bytes; {figures:?}"
        );
        let problems = book.ledger.lock().problems();
        assert!(problems.is_empty(), "seed {seed}: {} problems: {problems:#?}", problems.len());
        held.assert_flat();
        assert!(shrunk.is_ok(), "seed {seed}: {filled} bytes in an empty data directory stay");
        assert!(broker.stop().success());
    }

    /// Takes everything out of all queues.
    async fn drain(&self, book: &Arc<Book>, broker: &Broker) {
        let work = Arc::new(Work::new(broker, self.era, Arc::clone(book)));
        let mut tasks = JoinSet::new();
        for (queue, _) in QUEUES {
            let channel = work.channel().await.unwrap();
            channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
            let end = work.publisher("", queue, &[queue]);
            let (last, confirm) = end.send(book, &channel, self.era).await.unwrap();
            assert!(answered(book, last, confirm.await));
            let consumer = Consumer { queue, prefetch: 100, receipts: None, last: Some(last) };
            let random = SmallRng::seed_from_u64(0);
            tasks.spawn(consumer.run(Arc::clone(book), channel, self.era, random));
        }
        let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
        timeout(LONG, all).await.expect("what comes last comes");
    }
}

async fn declare(channel: &Channel) {
    for (queue, kind) in QUEUES {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
        channel.queue_declare(queue.into(), durable, arguments).await.unwrap();
    }
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let (kind, none) = (ExchangeKind::Fanout, FieldTable::default());
    channel.exchange_declare("audit".into(), kind, durable, none).await.unwrap();
    for queue in ["audit.1", "audit.2"] {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.into(), "audit".into(), "".into(), options, none).await.unwrap();
    }
}

async fn run(length: Duration, chapter: Duration) {
    let mut soak = Soak::new();
    let broker = soak.start();
    declare(&client::channel(&client::addresses(&broker).0).await.unwrap()).await;
    assert!(broker.stop().success());
    let begun = Instant::now();
    while begun.elapsed() < length {
        soak.chapter(chapter.min(length)).await;
    }
    let damaged = damaged(soak.data.path());
    assert!(damaged.is_empty(), "seed {}: {damaged:?}", soak.seed);
}

/// Nothing that happens here damages a file.
fn damaged(data: &Path) -> Vec<String> {
    let directories =
        ["journal", "segments"].map(|name| std::fs::read_dir(data.join(name)).unwrap());
    let names = directories.into_iter().flatten().map(|file| file.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.contains("damaged")).collect()
}

/// So that the long one can be relied on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_seconds_of_everything() {
    run(Duration::from_secs(8), Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes LEVERET_SOAK_MINUTES, or an hour"]
async fn an_hour_of_everything() {
    let minutes = std::env::var("LEVERET_SOAK_MINUTES").ok().map(|value| value.parse().unwrap());
    let minutes: u64 = minutes.unwrap_or(60);
    run(Duration::from_secs(minutes * 60), Duration::from_secs(180)).await;
}
