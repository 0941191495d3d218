//! What survives one end or another, exactly.

use std::process::Command;

use futures_util::future::try_join_all;
use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::watch;

use super::*;

const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

async fn declare(channel: &Channel, queue: &str, options: QueueDeclareOptions) {
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
}

/// Publishes to one queue with confirms and waits for these.
async fn publish(channel: &Channel, queue: &str, mode: u8, texts: &[&str]) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mut confirms = Vec::new();
    for text in texts {
        let properties = BasicProperties::default().with_delivery_mode(mode);
        let options = BasicPublishOptions::default();
        let sent =
            channel.basic_publish("".into(), queue.into(), options, text.as_bytes(), properties);
        confirms.push(sent.await.unwrap());
    }
    for confirmation in try_join_all(confirms).await.unwrap() {
        assert!(matches!(confirmation, Confirmation::Ack(None)), "{confirmation:?}");
    }
}

async fn get(channel: &Channel, queue: &str) -> Option<BasicGetMessage> {
    channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()
}

/// Fetches and keeps so many (or all), as text and flag.
async fn fetch(channel: &Channel, queue: &str, count: usize) -> Vec<(String, bool)> {
    let mut fetched = Vec::new();
    while fetched.len() < count
        && let Some(message) = get(channel, queue).await
    {
        let text = String::from_utf8(message.delivery.data).unwrap();
        fetched.push((text, message.delivery.redelivered));
    }
    fetched
}

fn flagged(texts: &[(&str, bool)]) -> Vec<(String, bool)> {
    texts.iter().map(|(text, flag)| ((*text).to_owned(), *flag)).collect()
}

/// Behaviour B12.4: exact after a clean stop, and after a kill everything may have been delivered.
#[tokio::test]
async fn clean_stop_keeps_messages_and_what_was_delivered() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "q", DURABLE).await;
    publish(&channel, "q", 2, &["a", "b", "c", "d", "e", "f"]).await;
    assert_eq!(fetch(&channel, "q", 2).await.len(), 2);
    let third = get(&channel, "q").await.unwrap();
    third.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    assert!(broker.stop().success());

    let broker = Broker::start(data.path());
    let said = "5 messages after a clean stop";
    assert!(broker.log.iter().any(|line| line.contains(said)), "{:#?}", broker.log);
    let channel = broker.channel().await;
    let expected = flagged(&[("a", true), ("b", true), ("d", false)]);
    assert_eq!(fetch(&channel, "q", 3).await, expected);
    assert!(broker.stop().success());

    // A second time, after nothing but deliveries.
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    publish(&channel, "q", 2, &["g"]).await;
    let expected =
        [("a", true), ("b", true), ("d", true), ("e", false), ("f", false), ("g", false)];
    assert_eq!(fetch(&channel, "q", 9).await, flagged(&expected));
    publish(&channel, "q", 2, &["h"]).await;
    broker.kill();

    let broker = Broker::start(data.path());
    let said = "7 messages after no clean stop";
    assert!(broker.log.iter().any(|line| line.contains(said)), "{:#?}", broker.log);
    let found = fetch(&broker.channel().await, "q", 9).await;
    assert_eq!(found, ["a", "b", "d", "e", "f", "g", "h"].map(|text| (text.to_owned(), true)));
}

/// A kill after a clean stop is a kill, even when nothing was written in between.
#[tokio::test]
async fn delivered_after_a_clean_stop_and_killed_is_flagged() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "q", DURABLE).await;
    publish(&channel, "q", 2, &["a"]).await;
    assert!(broker.stop().success());
    let broker = Broker::start(data.path());
    assert_eq!(fetch(&broker.channel().await, "q", 1).await, flagged(&[("a", false)]));
    broker.kill();
    let broker = Broker::start(data.path());
    assert_eq!(fetch(&broker.channel().await, "q", 1).await, flagged(&[("a", true)]));
}

#[tokio::test]
async fn what_is_not_durable_is_gone_after_every_end() {
    for clean in [true, false] {
        let data = tempfile::tempdir().unwrap();
        let broker = Broker::start(data.path());
        let channel = broker.channel().await;
        declare(&channel, "q", DURABLE).await;
        declare(&channel, "mine", QueueDeclareOptions { exclusive: true, ..DURABLE }).await;
        declare(&channel, "passing", QueueDeclareOptions { durable: false, ..DURABLE }).await;
        for queue in ["q", "mine", "passing"] {
            publish(&channel, queue, 1, &["transient"]).await;
            publish(&channel, queue, 2, &["persistent"]).await;
            publish(&channel, queue, 1, &["transient"]).await;
        }
        if clean {
            assert!(broker.stop().success());
        } else {
            broker.kill();
        }
        let broker = Broker::start(data.path());
        let connection = broker.connect().await;
        let channel = connection.create_channel().await.unwrap();
        assert_eq!(fetch(&channel, "q", 9).await, flagged(&[("persistent", !clean)]));
        for queue in ["mine", "passing"] {
            let channel = connection.create_channel().await.unwrap();
            let passive = QueueDeclareOptions { passive: true, ..DURABLE };
            let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
            let error = found.unwrap_err().to_string();
            assert!(error.contains("NOT_FOUND"), "{queue}: {error}");
        }
    }
}

#[tokio::test]
async fn two_processes_do_not_share_a_data_directory() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "q", DURABLE).await;
    let second = command(data.path()).output().unwrap();
    let error = String::from_utf8(second.stderr).unwrap();
    let path = data.path().display();
    let line = format!("leveret: the data directory {path} is in use by another process");
    let said: Vec<&str> = error.lines().filter(|line| !line.contains(" [info] ")).collect();
    assert_eq!((second.status.code(), said), (Some(1), vec![&*line]));
    // The first one goes on, and a kill frees the directory.
    publish(&channel, "q", 2, &["a"]).await;
    broker.kill();
    let broker = Broker::start(data.path());
    assert_eq!(fetch(&broker.channel().await, "q", 9).await, flagged(&[("a", true)]));
}

/// What a transaction publishes to each of two queues.
const EACH: usize = 3;

/// Takes messages out of `in`; each goes, in one transaction, in some copies to two others. Every
/// fifth is rolled back.
async fn transact(channel: Channel, committed: &watch::Sender<Vec<String>>) -> lapin::Result<()> {
    channel.tx_select().await?;
    for n in 1.. {
        let fetched = channel.basic_get("in".into(), BasicGetOptions::default()).await?;
        let Some(fetched) = fetched else { break };
        let text = String::from_utf8(fetched.delivery.data.clone()).unwrap();
        for queue in ["left", "right"] {
            for _ in 0..EACH {
                let options = BasicPublishOptions::default();
                let properties = BasicProperties::default().with_delivery_mode(2);
                let (exchange, data) = ("".into(), &fetched.delivery.data);
                channel.basic_publish(exchange, queue.into(), options, data, properties).await?;
            }
        }
        channel.basic_ack(fetched.delivery.delivery_tag, BasicAckOptions::default()).await?;
        if n % 5 == 0 {
            channel.tx_rollback().await?;
        } else {
            channel.tx_commit().await?;
            committed.send_modify(|committed| committed.push(text));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_all_or_nothing_when_the_broker_is_killed() {
    let seed = variable("LEVERET_KILL_SEED").unwrap_or_else(rand::random);
    println!("LEVERET_KILL_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let data = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let broker = Broker::start(data.path());
        let channel = broker.channel().await;
        for queue in ["in", "left", "right"] {
            declare(&channel, queue, DURABLE).await;
            let none = lapin::options::QueuePurgeOptions::default();
            channel.queue_purge(queue.into(), none).await.unwrap();
        }
        let texts: Vec<String> = (0..300).map(|n| format!("round {round} message {n}")).collect();
        let parts: Vec<&str> = texts.iter().map(String::as_str).collect();
        publish(&channel, "in", 2, &parts).await;
        let (committed, mut commits) = watch::channel(Vec::new());
        let channel = broker.channel().await;
        let work = tokio::spawn(async move {
            // It ends when the broker does.
            let _ = transact(channel, &committed).await;
            committed
        });
        let count = random.random_range(1..100);
        let waited = timeout(LONG, commits.wait_for(|commits| commits.len() >= count)).await;
        drop(waited.expect("the broker goes on committing").unwrap());
        tokio::time::sleep(Duration::from_micros(random.random_range(0..3_000))).await;
        broker.kill();
        let committed = timeout(LONG, work).await.expect("the end is noticed").unwrap();

        let broker = Broker::start(data.path());
        let channel = broker.channel().await;
        let mut left = Vec::new();
        for queue in ["in", "left", "right"] {
            left.push(fetch(&channel, queue, usize::MAX).await);
        }
        assert_eq!(left[1], left[2], "seed {seed}");
        for text in &texts {
            let count = |queue: &[(String, bool)]| queue.iter().filter(|(t, _)| t == text).count();
            let counts = (count(&left[0]), count(&left[1]));
            let done = counts == (0, EACH);
            assert!(done || counts == (1, 0), "seed {seed}: {text}: {counts:?}");
            let answered = committed.borrow().contains(text);
            assert!(done || !answered, "seed {seed}: {text} was committed and is undone");
        }
    }
}

/// A disk that takes no more: one line, code 1, and what was confirmed before is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_write_ends_the_broker_and_confirms_nothing() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    declare(&broker.channel().await, "q", DURABLE).await;
    assert!(broker.stop().success());
    // In blocks of 512 or 1024 bytes; more than the definitions need and less than what is sent.
    let mut limited = Command::new("bash");
    let script = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"";
    limited
        .args(["-c", script, env!("CARGO_BIN_EXE_leveret")])
        .args(command(data.path()).get_args());
    let (mut broker, lines) = Broker::spawn(&mut limited);
    let log = std::thread::spawn(|| lines.map_while(Result::ok).collect::<Vec<_>>());
    let channel = broker.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mut confirmed = 0;
    for n in 0_u32..1_000 {
        let (mut body, options) = (vec![7; 100_000], BasicPublishOptions::default());
        body[..4].copy_from_slice(&n.to_be_bytes());
        let properties = BasicProperties::default().with_delivery_mode(2);
        let sent = channel.basic_publish("".into(), "q".into(), options, &body, properties).await;
        let Ok(sent) = sent else { break };
        let Ok(answer) = sent.await else { break };
        assert!(matches!(answer, Confirmation::Ack(None)), "{answer:?}");
        confirmed = n + 1;
    }
    assert!((1..1_000).contains(&confirmed), "{confirmed}");
    assert_eq!(broker.process.wait().unwrap().code(), Some(1));
    let log = log.join().unwrap();
    let said: Vec<_> = log.iter().filter(|line| line.starts_with("leveret: ")).collect();
    assert!(said.len() == 1 && said[0].contains("journal"), "{log:#?}");
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    for n in 0..confirmed {
        let message = get(&channel, "q").await.unwrap_or_else(|| panic!("{n} of {confirmed}"));
        assert_eq!(message.delivery.data[..4], n.to_be_bytes());
    }
}
