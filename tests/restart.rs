//! The binary: what it is told to keep is there after it was killed.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeBindOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ExchangeKind};
use process::{Broker, command};

fn x_match() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-match".into(), AMQPValue::LongString("all".into()));
    arguments.insert("n".into(), AMQPValue::LongLongInt(7));
    arguments
}

async fn declare(channel: &Channel, passive: bool) {
    let durable = ExchangeDeclareOptions { durable: true, passive, ..Default::default() };
    for (name, kind) in [("in", ExchangeKind::Topic), ("out", ExchangeKind::Headers)] {
        let none = FieldTable::default();
        channel.exchange_declare(name.into(), kind, durable, none).await.unwrap();
    }
    let durable = QueueDeclareOptions { durable: true, passive, ..Default::default() };
    for n in 0..50 {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(10));
        channel.queue_declare(format!("q{n}").into(), durable, arguments).await.unwrap();
    }
}

#[tokio::test]
async fn definitions_survive_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, false).await;
    let options = ExchangeBindOptions::default();
    let none = FieldTable::default();
    channel.exchange_bind("out".into(), "in".into(), "a.#".into(), options, none).await.unwrap();
    let options = QueueBindOptions::default();
    channel.queue_bind("q7".into(), "out".into(), "".into(), options, x_match()).await.unwrap();
    broker.kill();

    for _ in 0..2 {
        let broker = Broker::start(data.path());
        let recovered =
            "recovered 1 vhosts, 2 exchanges, 50 queues, 2 bindings, 0 policies, 0 left out, ";
        assert!(broker.log.iter().any(|line| line.contains(recovered)), "{:?}", broker.log);
        let channel = broker.channel().await;
        declare(&channel, true).await;
        // Equivalent, arguments included.
        declare(&channel, false).await;
        let properties = BasicProperties::default().with_headers(x_match());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        channel
            .basic_publish("in".into(), "a.b".into(), options, b"hello", properties)
            .await
            .unwrap();
        let options = BasicConsumeOptions::default();
        let consumed =
            channel.basic_consume("q7".into(), "c".into(), options, FieldTable::default());
        let delivery = consumed.await.unwrap().next().await.unwrap().unwrap();
        assert_eq!(delivery.data, b"hello");
        broker.kill();
    }
}

#[test]
fn file_that_cannot_be_read_is_one_clear_line() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("definitions.redb");
    std::fs::write(&file, "nonsense").unwrap();
    let output = command(data.path()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    let start = format!("leveret: cannot use {}: ", file.display());
    let said: Vec<&str> = error.lines().filter(|line| !line.contains(" [info] ")).collect();
    assert!(said.len() == 1 && said[0].starts_with(&start), "{error}");
}

/// Declares queues on many channels, one after another on each, and returns those that were answered.
async fn declare_until(connection: &Connection, round: usize, each: usize) -> Vec<String> {
    let one_channel = async |n: usize| {
        let mut answered = Vec::new();
        let Ok(channel) = connection.create_channel().await else { return answered };
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        for m in 0..each {
            let name = format!("round {round} channel {n} queue {m}");
            let none = FieldTable::default();
            if channel.queue_declare(name.as_str().into(), durable, none).await.is_err() {
                break;
            }
            answered.push(name);
        }
        answered
    };
    join_all((0..20).map(one_channel)).await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_declare_that_was_answered_survives_a_kill_at_any_moment() {
    let data = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..6 {
        let broker = Broker::start(data.path());
        let connection = broker.connect().await;
        let after = Duration::from_millis(7 + 23 * round as u64);
        let killed = tokio::time::sleep(after);
        let killer = async {
            killed.await;
            broker.kill();
        };
        let (names, ()) = tokio::join!(declare_until(&connection, round, usize::MAX), killer);
        answered.extend(names);
    }
    // However busy the machine is, the later rounds have time for some.
    assert!(!answered.is_empty());
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    for name in &answered {
        let found = channel.queue_declare(name.as_str().into(), passive, FieldTable::default());
        assert!(found.await.is_ok(), "{name} of {} is lost", answered.len());
    }
}

#[tokio::test]
async fn broker_that_cannot_store_definitions_says_so_and_ends() {
    let data = tempfile::tempdir().unwrap();
    drop(Broker::start(data.path()));
    // The file may not grow beyond this, as on a disk that is full.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$@\"", "sh"])
        .arg(command(data.path()).get_program())
        .args(command(data.path()).get_args());
    let (mut broker, lines) = Broker::spawn(&mut limited);
    let connection = broker.connect().await;
    let log = std::thread::spawn(|| lines.map_while(Result::ok).collect::<Vec<_>>());
    let answered = declare_until(&connection, 0, 10_000).await;
    assert_eq!(broker.process.wait().unwrap().code(), Some(1));
    let log = log.join().unwrap();
    let said =
        log.iter().filter(|line| line.starts_with("leveret: definitions cannot be stored: "));
    assert_eq!(said.count(), 1, "{log:?}");
    // With more room it goes on, and nothing that was answered is lost.
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    for name in &answered {
        let found = channel.queue_declare(name.as_str().into(), passive, FieldTable::default());
        assert!(found.await.is_ok(), "{name} of {} is lost", answered.len());
    }
}

/// What came back into a queue is known as what is in it.
#[tokio::test]
async fn duplicates_of_recovered_messages_are_left_out() {
    let data = tempfile::tempdir().unwrap();
    let publish = async |channel: &Channel, id: i32| {
        let mut headers = FieldTable::default();
        headers.insert("x-deduplication-header".into(), AMQPValue::LongInt(id));
        let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish("".into(), "q".into(), options, b"m", properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    };
    for (round, expected) in [2, 3].into_iter().enumerate() {
        let broker = Broker::start(data.path());
        let channel = broker.channel().await;
        let mut arguments = FieldTable::default();
        arguments.insert("x-message-deduplication".into(), AMQPValue::Boolean(true));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare("q".into(), durable, arguments.clone()).await.unwrap();
        channel.confirm_select(Default::default()).await.unwrap();
        for id in [1, 2, 1, 2 + round as i32] {
            publish(&channel, id).await;
        }
        let queue = channel.queue_declare("q".into(), durable, arguments).await.unwrap();
        assert_eq!(queue.message_count(), expected);
        broker.kill();
    }
}

/// However long the queue, what is purged may come again.
#[tokio::test]
async fn deduplication_keeps_count_of_a_queue_that_would_move_to_the_disk() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-deduplication".into(), AMQPValue::Boolean(true));
    let options = QueueDeclareOptions::default();
    channel.queue_declare("q".into(), options, arguments.clone()).await.unwrap();
    channel.confirm_select(Default::default()).await.unwrap();
    let body = vec![b'x'; 20_000];
    for is_purged in [false, true, false] {
        let mut confirms = Vec::new();
        for id in 0..1000 {
            let mut headers = FieldTable::default();
            headers.insert("x-deduplication-header".into(), AMQPValue::LongInt(id));
            let properties = BasicProperties::default().with_headers(headers);
            let options = BasicPublishOptions::default();
            let sent = channel.basic_publish("".into(), "q".into(), options, &body, properties);
            confirms.push(sent.await.unwrap());
        }
        assert!(join_all(confirms).await.into_iter().all(|confirm| confirm.unwrap().is_ack()));
        let queue = channel.queue_declare("q".into(), options, arguments.clone()).await.unwrap();
        assert_eq!(queue.message_count(), 1000);
        if is_purged {
            let purged = channel.queue_purge("q".into(), Default::default()).await.unwrap();
            assert_eq!(purged, 1000);
        }
    }
}

/// `cargo test --release --test restart -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_declares_and_restarts() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut took = Vec::new();
    for n in 0..500 {
        let started = Instant::now();
        let name = format!("one by one {n}");
        channel.queue_declare(name.into(), durable, FieldTable::default()).await.unwrap();
        took.push(started.elapsed());
    }
    took.sort_unstable();
    println!("one declare: median {:?}, p99 {:?}", took[250], took[495]);
    let connection = broker.connect().await;
    let started = Instant::now();
    let declared = declare_until(&connection, 0, 475).await.len();
    let rate = declared as f64 / started.elapsed().as_secs_f64();
    println!("{declared} declares on 20 channels: {rate:.0} per second");
    broker.kill();
    for after in ["a kill", "another kill"] {
        let started = Instant::now();
        let broker = Broker::start(data.path());
        println!("ready {:?} after {after}: {:?}", started.elapsed(), broker.log);
        broker.kill();
    }
    let size = std::fs::metadata(data.path().join("definitions.redb")).unwrap().len();
    println!("the file has {} KiB", size / 1024);
}

/// How often a message of a quorum queue failed counts over a clean end; after any other, it starts at
/// nothing. The message itself is there however it was published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quorum_queues_keep_transient_messages_and_their_counts() {
    for limit in [20, -1] {
        keep_transient_messages_and_their_counts(limit).await;
    }
}

/// Without a limit each return gives the message another position.
async fn keep_transient_messages_and_their_counts(delivery_limit: i32) {
    let data = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(data.path());
    let mut channel = broker.channel().await;
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(delivery_limit));
    channel.queue_declare("q".into(), durable, arguments).await.unwrap();
    channel.confirm_select(Default::default()).await.unwrap();
    let properties = BasicProperties::default();
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish("".into(), "q".into(), options, b"poison", properties);
    published.await.unwrap().await.unwrap();
    for (clean, failed_before) in [(true, 0), (true, 2), (false, 4), (true, 0)] {
        let get = async || {
            let got = channel.basic_get("q".into(), Default::default()).await.unwrap();
            let delivery = got.expect("a message").delivery;
            let headers = delivery.properties.headers().clone().unwrap_or_default();
            let count = match headers.inner().get("x-delivery-count") {
                Some(AMQPValue::LongLongInt(count)) => *count,
                None => 0,
                other => panic!("{other:?}"),
            };
            (count, delivery.delivery_tag)
        };
        let (count, tag) = get().await;
        assert_eq!(count, failed_before);
        let options = lapin::options::BasicNackOptions { requeue: true, ..Default::default() };
        channel.basic_nack(tag, options).await.unwrap();
        assert_eq!(get().await.0, failed_before + 1);
        // It is in a client's hands, and comes back once more.
        if clean {
            assert!(broker.stop().success());
        } else {
            broker.kill();
        }
        broker = Broker::start(data.path());
        channel = broker.channel().await;
    }
}
