//! The binary is killed while messages die, of age, by rejection and for want of room: a message is
//! always in exactly one queue, the one where it died or the one where its dead letter went.
//!
//! Every message that was confirmed ends in one queue, once. One that was in two after some start would
//! die in the first one again, and be there twice at the end.
//!
//! Letters that have to arrive meet a queue that refuses most of them, so that they are moved behind the
//! queue where they died, and from there on; those of `split` go to another queue as well, which gets each
//! once.
//!
//! `LEVERET_KILL_ROUNDS=50 cargo test --release --test kill_dead_letters -- --nocapture`; a failure
//! names its seed, which `LEVERET_KILL_SEED` takes.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use parking_lot::Mutex;
use process::{Broker, command};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Nothing takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Where messages are published.
const SOURCES: [&str; 5] = ["aging", "rejected", "full", "certain", "split"];

/// Where they end: those of `full` at once, the others by way of `middle`, or of `refusing`.
const END: &str = "end";

/// Where those of `split` end as well.
const OTHER_END: &str = "other end";

/// Unconfirmed messages of one publisher.
const WINDOW: usize = 50;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// What was published, and whether it was confirmed.
struct Book {
    sent: Mutex<Vec<(&'static str, bool)>>,
    confirms: watch::Sender<u64>,
}

impl Book {
    fn send(&self, queue: &'static str) -> usize {
        let mut sent = self.sent.lock();
        sent.push((queue, false));
        sent.len() - 1
    }

    fn confirm(&self, id: usize) {
        self.sent.lock()[id].1 = true;
        self.confirms.send_modify(|confirms| *confirms += 1);
    }
}

async fn declare(channel: &Channel) {
    let to = |queue: &str, limit: Option<(&str, i32)>| {
        let mut arguments = FieldTable::default();
        for (name, value) in [("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", queue)]
        {
            arguments.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        if let Some((name, value)) = limit {
            arguments.insert(name.into(), AMQPValue::LongInt(value));
        }
        arguments
    };
    for (name, arguments) in [
        ("aging", to("middle", Some(("x-message-ttl", 15)))),
        ("rejected", to("middle", None)),
        ("full", to(END, Some(("x-max-length", 5)))),
        ("middle", to(END, Some(("x-message-ttl", 5)))),
        (END, FieldTable::default()),
        (OTHER_END, FieldTable::default()),
        ("certain", certain("", "refusing")),
        ("split", certain("both", "")),
        ("refusing", refusing(to(END, Some(("x-message-ttl", 5))))),
    ] {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.into(), durable, arguments).await.unwrap();
    }
    let (durable, none) =
        (ExchangeDeclareOptions { durable: true, ..Default::default() }, || FieldTable::default());
    let kind = lapin::ExchangeKind::Fanout;
    channel.exchange_declare("both".into(), kind, durable, none()).await.unwrap();
    for queue in ["refusing", OTHER_END] {
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), "both".into(), "".into(), options, none()).await.unwrap();
    }
}

/// A quorum queue with letters that have to arrive.
fn certain(exchange: &str, key: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", "quorum"),
        ("x-overflow", "reject-publish"),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-dead-letter-exchange", exchange),
        ("x-dead-letter-routing-key", key),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(10));
    arguments
}

fn refusing(mut arguments: FieldTable) -> FieldTable {
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(20));
    arguments
}

/// Deletes a queue that is empty, of dead letters that wait as well.
async fn delete_empty(broker: &Broker, queue: &'static str) -> bool {
    let options = QueueDeleteOptions { if_empty: true, ..Default::default() };
    broker.channel().await.queue_delete(queue.into(), options).await.is_ok()
}

/// Publishes until the broker is gone.
async fn publish(book: Arc<Book>, channel: Channel, queue: &'static str) {
    let mut open = FuturesUnordered::new();
    let mut alive = channel.confirm_select(ConfirmSelectOptions::default()).await.is_ok();
    while alive || !open.is_empty() {
        while alive && open.len() < WINDOW {
            let (id, options) = (book.send(queue), BasicPublishOptions::default());
            let persistent = BasicProperties::default().with_delivery_mode(2);
            let (body, key) = (id.to_string(), queue.into());
            let sent =
                channel.basic_publish("".into(), key, options, body.as_bytes(), persistent).await;
            alive = sent.is_ok();
            open.extend(sent.ok().map(|confirm| async move { (id, confirm.await) }));
        }
        match open.next().await {
            Some((id, Ok(Confirmation::Ack(None)))) => book.confirm(id),
            Some((id, Ok(other))) => panic!("{id} was answered with {other:?}"),
            Some((_, Err(_))) => alive = false,
            None => {}
        }
    }
}

/// Rejects what comes until the broker is gone.
async fn reject(channel: Channel, mut random: SmallRng) {
    let _ = async {
        channel.basic_qos(20, BasicQosOptions::default()).await?;
        let (name, options) = ("rejected".into(), BasicConsumeOptions::default());
        let none = FieldTable::default();
        let mut deliveries = channel.basic_consume(name, "".into(), options, none).await?;
        while let Some(Ok(delivery)) = deliveries.next().await {
            // Up to the prefetch may be held; then it rejects them at a stretch.
            let multiple = random.random_ratio(1, 2);
            if random.random_ratio(1, 3) || delivery.delivery_tag % 20 == 0 {
                let options = BasicNackOptions { requeue: false, multiple: true };
                channel.basic_nack(delivery.delivery_tag, options).await?;
            } else if multiple {
                let options = BasicNackOptions { requeue: false, multiple: false };
                channel.basic_nack(delivery.delivery_tag, options).await?;
            }
        }
        Ok::<(), lapin::Error>(())
    }
    .await;
}

/// Clients work until the broker is killed, some confirms from now.
async fn era(broker: Broker, book: &Arc<Book>, random: &mut SmallRng) {
    let mut tasks = JoinSet::new();
    let connection = broker.connect().await;
    for queue in SOURCES {
        let channel = connection.create_channel().await.unwrap();
        tasks.spawn(publish(Arc::clone(book), channel, queue));
    }
    let rejecting = broker.connect().await;
    let channel = rejecting.create_channel().await.unwrap();
    tasks.spawn(reject(channel, SmallRng::seed_from_u64(random.random())));

    let confirms = *book.confirms.borrow() + random.random_range(1..600);
    let mut reached = book.confirms.subscribe();
    let waited = timeout(LONG, reached.wait_for(|now| *now >= confirms)).await;
    waited.expect("the broker goes on confirming").unwrap();
    // Not only right behind a confirm: what was confirmed dies meanwhile.
    sleep(Duration::from_micros(random.random_range(0..25_000))).await;
    broker.kill();
    let ended =
        timeout(LONG, async { while tasks.join_next().await.transpose().unwrap().is_some() {} });
    ended.await.expect("every client notices that the broker is gone");
}

/// Starts it and kills it at once, most likely while it reads what is there, or while what expired
/// meanwhile is on its way.
async fn kill_while_starting(data: &Path, random: &mut SmallRng) {
    let mut process = command(data).stderr(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_micros(random.random_range(0..30_000))).await;
    process.kill().unwrap();
    process.wait().unwrap();
}

async fn ready(channel: &Channel, queue: &str) -> u32 {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(queue.into(), passive, FieldTable::default());
    declared.await.unwrap().message_count()
}

/// Everything in a queue, by number.
async fn fetch(channel: &Channel, queue: &'static str) -> Vec<usize> {
    let mut found = Vec::new();
    let no_ack = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get(queue.into(), no_ack).await.unwrap() {
        let body = String::from_utf8(message.delivery.data).unwrap();
        let headers = message.delivery.properties.headers().clone().unwrap_or_default();
        let died = headers.inner().contains_key("x-death");
        assert_eq!(died, [END, OTHER_END].contains(&queue), "{body} in {queue}");
        found.push(body.parse().unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_is_in_one_queue_whenever_the_broker_is_killed() {
    let rounds = variable("LEVERET_KILL_ROUNDS").unwrap_or(5);
    let seed = variable("LEVERET_KILL_SEED").unwrap_or_else(rand::random);
    println!("LEVERET_KILL_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let data = tempfile::tempdir().unwrap();
    let book = Arc::new(Book { sent: Mutex::default(), confirms: watch::Sender::new(0) });
    for round in 0..rounds {
        if random.random_ratio(1, 2) {
            kill_while_starting(data.path(), &mut random).await;
        }
        let broker = Broker::start(data.path());
        assert!(!broker.log.iter().any(|line| line.contains("[error]")), "{:#?}", broker.log);
        if round == 0 {
            declare(&broker.channel().await).await;
        }
        era(broker, &book, &mut random).await;
    }

    let broker = Broker::start(data.path());
    assert!(!broker.log.iter().any(|line| line.contains("[error]")), "{:#?}", broker.log);
    let channel = broker.channel().await;
    let died = async {
        while ready(&channel, "aging").await + ready(&channel, "middle").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, died).await.expect("all of it dies");
    let arrived = async {
        for queue in ["certain", "split", "refusing"] {
            while !delete_empty(&broker, queue).await {
                sleep(Duration::from_millis(5)).await;
            }
        }
    };
    timeout(LONG, arrived).await.expect("all letters arrive");
    let mut places: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for queue in ["rejected", "full", END] {
        for id in fetch(&channel, queue).await {
            places.entry(id).or_default().push(queue);
        }
    }
    let mut others = fetch(&channel, OTHER_END).await;
    let sent = book.sent.lock();
    let confirmed = sent.iter().filter(|(_, confirmed)| *confirmed).count();
    println!("{rounds} kills: {} sent, {confirmed} confirmed, {} found", sent.len(), places.len());
    let twice: Vec<_> = places.iter().filter(|(_, places)| places.len() > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: {twice:?}");
    let lost: Vec<_> =
        (0..sent.len()).filter(|id| sent[*id].1 && !places.contains_key(id)).collect();
    assert!(lost.is_empty(), "seed {seed}: {lost:?}");
    others.sort_unstable();
    let split = places.keys().copied().filter(|id| sent[*id].0 == "split").collect::<Vec<_>>();
    assert_eq!(others, split, "seed {seed}: each of them once in either queue");
    assert!(places.keys().all(|id| *id < sent.len()), "seed {seed}: invented");
}
