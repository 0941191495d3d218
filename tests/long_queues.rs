//! The binary: queues that are longer than memory, in all that happens to queues.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions,
    BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Consumer};
use process::Broker;

/// So many messages of this size are several times what stays in memory.
const MESSAGES: u32 = 6000;
const BODY: usize = 4096;

async fn declare(channel: &Channel, queue: &str, arguments: &[(&str, AMQPValue)]) -> u32 {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    channel.queue_declare(queue.into(), durable, table).await.unwrap().message_count()
}

fn body(number: u32) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(BODY, number as u8);
    body
}

fn number(body: &[u8]) -> u32 {
    assert_eq!(body.len(), BODY);
    let number = u32::from_be_bytes(body[..4].try_into().unwrap());
    assert!(body[4..].iter().all(|byte| *byte == number as u8), "message {number} is whole");
    number
}

/// Publishes with confirms; `properties` by number.
async fn publish(
    channel: &Channel,
    queue: &str,
    numbers: std::ops::Range<u32>,
    properties: impl Fn(u32) -> BasicProperties,
) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mut confirms = Vec::new();
    for number in numbers {
        let (options, body) = (BasicPublishOptions::default(), body(number));
        let properties = properties(number);
        let sent = channel.basic_publish("".into(), queue.into(), options, &body, properties);
        confirms.push(sent.await.unwrap());
    }
    for confirm in confirms {
        assert!(confirm.await.unwrap().is_ack());
    }
}

fn persistent(_: u32) -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

async fn consume(channel: &Channel, queue: &str, prefetch: u16) -> Consumer {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.unwrap()
}

async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        deliveries.push(consumer.next().await.unwrap().unwrap());
    }
    deliveries
}

async fn ack_all(deliveries: &[Delivery]) {
    if let Some(last) = deliveries.last() {
        last.ack(BasicAckOptions { multiple: true }).await.unwrap();
    }
}

fn numbers(deliveries: &[Delivery]) -> Vec<u32> {
    deliveries.iter().map(|delivery| number(&delivery.data)).collect()
}

/// Segment files, those of transient messages included, and what they come to.
fn segments(data: &Path) -> BTreeMap<String, u64> {
    let mut files = BTreeMap::new();
    for directory in [data.join("segments"), data.join("segments/transient")] {
        for entry in std::fs::read_dir(directory).unwrap() {
            // One that is gone since it was listed is gone.
            let Ok(entry) = entry else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                files.insert(entry.file_name().into_string().unwrap(), metadata.len());
            }
        }
    }
    files
}

/// Waits until segment files take no more than this.
async fn until_segments_take(data: &Path, bytes: u64) {
    let mut files = BTreeMap::new();
    for _ in 0..500 {
        files = segments(data);
        if files.values().sum::<u64>() <= bytes {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{files:?} take more than {bytes} bytes");
}

#[tokio::test]
async fn order_and_what_was_confirmed_survive_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "long", &[]).await;
    // Every fifth is transient: it takes its turn, and does not survive.
    let mode = |number| if number % 5 == 0 { 1 } else { 2 };
    let properties = |number| BasicProperties::default().with_delivery_mode(mode(number));
    publish(&channel, "long", 0..MESSAGES, properties).await;
    assert!(segments(data.path()).len() >= 5, "{:?}", segments(data.path()));

    let mut consumer = consume(&channel, "long", 0).await;
    let settled = take(&mut consumer, 2000).await;
    assert_eq!(numbers(&settled), (0..2000).collect::<Vec<_>>());
    ack_all(&settled[..500]).await;
    // Some of the later ones, too: of one segment, and of several.
    for delivery in settled.iter().skip(600).step_by(7) {
        delivery.ack(BasicAckOptions::default()).await.unwrap();
    }
    // An answer to a later request says that they were handled; their sync is waited for by a confirm.
    publish(&channel, "long", MESSAGES + 1..MESSAGES + 2, persistent).await;
    broker.kill();

    let gone = |number: &u32| {
        *number < 500 || (600..2000).contains(number) && (number - 600).is_multiple_of(7)
    };
    let left = (0..=MESSAGES + 1).filter(|number| mode(*number) == 2 && !gone(number));
    let left: Vec<u32> = left.collect();
    for _ in 0..2 {
        let broker = Broker::start(data.path());
        let channel = broker.channel().await;
        assert_eq!(declare(&channel, "long", &[]).await as usize, left.len());
        let mut consumer = consume(&channel, "long", 0).await;
        let found = take(&mut consumer, left.len()).await;
        assert_eq!(numbers(&found), left);
        assert!(found.iter().all(|delivery| delivery.redelivered));
        broker.kill();
    }
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let mut consumer = consume(&channel, "long", 0).await;
    ack_all(&take(&mut consumer, left.len()).await).await;
    until_segments_take(data.path(), 0).await;
    assert_eq!(broker.stop().code(), Some(0));
    let broker = Broker::start(data.path());
    assert_eq!(declare(&broker.channel().await, "long", &[]).await, 0);
}

#[tokio::test]
async fn a_clean_stop_tells_what_was_delivered_before() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "long", &[]).await;
    publish(&channel, "long", 0..MESSAGES, persistent).await;
    let mut consumer = consume(&channel, "long", 2500).await;
    let delivered = take(&mut consumer, 2500).await;
    // The last of them in a segment that the stop leaves partly delivered.
    ack_all(&delivered[..100]).await;
    let delivered = 100 + 2500;
    take(&mut consumer, 100).await;
    assert_eq!(broker.stop().code(), Some(0));

    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    assert_eq!(declare(&channel, "long", &[]).await, MESSAGES - 100);
    let mut consumer = consume(&channel, "long", 0).await;
    for delivery in take(&mut consumer, MESSAGES as usize - 100).await {
        let number = number(&delivery.data);
        assert_eq!(delivery.redelivered, number < delivered, "message {number}");
    }
}

#[tokio::test]
async fn one_old_message_pins_no_disk() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "long", &[]).await;
    let mut workers = Vec::new();
    for round in 0..4 {
        publish(&channel, "long", 0..MESSAGES, persistent).await;
        let worker = broker.channel().await;
        let mut consumer = consume(&worker, "long", 0).await;
        let deliveries = take(&mut consumer, MESSAGES as usize).await;
        // One of the middle, which lay in a segment, stays for ever.
        for delivery in &deliveries {
            if number(&delivery.data) != 3000 + round {
                delivery.ack(BasicAckOptions::default()).await.unwrap();
            }
        }
        // Or it would get some of the next round's, too.
        worker.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
        workers.push(worker);
    }
    // Four messages live in four segments, of which the newest two are not written anew.
    until_segments_take(data.path(), 2 * (2 << 20) + 2 * (1 << 17)).await;
    // Its confirm comes after the sync of all that was settled before.
    publish(&channel, "long", 9..10, persistent).await;
    broker.kill();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    assert_eq!(declare(&channel, "long", &[]).await, 5);
    let mut consumer = consume(&channel, "long", 0).await;
    assert_eq!(numbers(&take(&mut consumer, 5).await), [3000, 3001, 3002, 3003, 9]);
}

#[tokio::test]
async fn transient_messages_take_no_memory_and_leave_nothing() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let table = FieldTable::default();
    channel.queue_declare("mine".into(), options, table).await.unwrap();
    publish(&channel, "mine", 0..MESSAGES, |_| BasicProperties::default()).await;
    assert!(segments(data.path()).len() >= 5);
    let mut consumer = consume(&channel, "mine", 0).await;
    let deliveries = take(&mut consumer, MESSAGES as usize).await;
    assert_eq!(numbers(&deliveries), (0..MESSAGES).collect::<Vec<_>>());
    until_segments_take(data.path(), 0).await;
    publish(&channel, "mine", 0..MESSAGES, |_| BasicProperties::default()).await;
    drop(consumer);
    broker.kill();
    let _broker = Broker::start(data.path());
    assert_eq!(segments(data.path()), BTreeMap::new());
}

#[tokio::test]
async fn get_purge_and_delete_reach_what_is_on_disk() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "long", &[]).await;
    publish(&channel, "long", 0..MESSAGES, persistent).await;
    let mut last = None;
    for number in 0..3000 {
        let got = channel.basic_get("long".into(), BasicGetOptions::default()).await.unwrap();
        let got = got.unwrap();
        assert_eq!(self::number(&got.data), number);
        assert_eq!(got.message_count, MESSAGES - number - 1);
        last = Some(got);
    }
    last.unwrap().ack(BasicAckOptions { multiple: true }).await.unwrap();
    let purged = channel.queue_purge("long".into(), QueuePurgeOptions::default()).await.unwrap();
    assert_eq!(purged, MESSAGES - 3000);
    until_segments_take(data.path(), 0).await;
    publish(&channel, "long", 0..MESSAGES, persistent).await;
    broker.kill();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let options = QueueDeleteOptions::default();
    assert_eq!(channel.queue_delete("long".into(), options).await.unwrap(), MESSAGES);
    until_segments_take(data.path(), 0).await;
    assert_eq!(declare(&channel, "long", &[]).await, 0);
}

#[tokio::test]
async fn priorities_and_limits_hold_on_disk_too() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let priorities = [("x-max-priority", AMQPValue::LongInt(3))];
    declare(&channel, "ranked", &priorities).await;
    let ranked = |number| persistent(number).with_priority((number % 4) as u8);
    publish(&channel, "ranked", 0..MESSAGES, ranked).await;
    let limits = [("x-max-length", AMQPValue::LongInt(4000))];
    declare(&channel, "limited", &limits).await;
    publish(&channel, "limited", 0..MESSAGES, persistent).await;
    assert_eq!(declare(&channel, "limited", &limits).await, 4000);
    broker.kill();

    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    assert_eq!(declare(&channel, "ranked", &priorities).await, MESSAGES);
    publish(&channel, "ranked", MESSAGES..MESSAGES + 4, ranked).await;
    let mut consumer = consume(&channel, "ranked", 0).await;
    let found = numbers(&take(&mut consumer, MESSAGES as usize + 4).await);
    let mut expected: Vec<u32> = (0..MESSAGES + 4).collect();
    expected.sort_by_key(|number| (std::cmp::Reverse(number % 4), *number));
    assert_eq!(found, expected);
    let mut consumer = consume(&channel, "limited", 0).await;
    let found = numbers(&take(&mut consumer, 4000).await);
    assert_eq!(found, (MESSAGES - 4000..MESSAGES).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_expires_on_disk_is_dead_lettered_in_order() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "dead", &[]).await;
    let dead = |name: &'static str| AMQPValue::LongString(name.into());
    let arguments = [
        ("x-message-ttl", AMQPValue::LongInt(1500)),
        ("x-dead-letter-exchange", dead("")),
        ("x-dead-letter-routing-key", dead("dead")),
    ];
    declare(&channel, "short-lived", &arguments).await;
    publish(&channel, "short-lived", 0..MESSAGES, persistent).await;
    let mut consumer = consume(&channel, "dead", 0).await;
    let found = numbers(&take(&mut consumer, MESSAGES as usize).await);
    assert_eq!(found, (0..MESSAGES).collect::<Vec<_>>());
    assert_eq!(declare(&channel, "short-lived", &arguments).await, 0);
}

/// What the process has taken at most, in KiB.
fn most_memory(broker: &Broker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn memory_does_not_grow_with_depth() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, "long", &[]).await;
    for _ in 0..5 {
        publish(&channel, "long", 0..MESSAGES, persistent).await;
    }
    // More than a hundred megabytes are in, and back after a restart.
    let limit = 100 << 10;
    assert!(most_memory(&broker) < limit, "{} KiB", most_memory(&broker));
    broker.kill();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    assert_eq!(declare(&channel, "long", &[]).await, 5 * MESSAGES);
    let mut consumer = consume(&channel, "long", 100).await;
    for number in (0..5).flat_map(|_| 0..MESSAGES) {
        let delivery = consumer.next().await.unwrap().unwrap();
        assert_eq!(self::number(&delivery.data), number);
        delivery.ack(BasicAckOptions::default()).await.unwrap();
    }
    assert!(most_memory(&broker) < limit, "{} KiB", most_memory(&broker));
}

/// Each with a few messages: none needs a file of its own, nor an open one.
#[tokio::test]
async fn many_queues_share_the_journal() {
    const QUEUES: usize = 1000;
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let open_files = |broker: &Broker| {
        let directory = format!("/proc/{}/fd", broker.process.id());
        std::fs::read_dir(directory).unwrap().count()
    };
    let channel = broker.channel().await;
    let before = open_files(&broker);
    for number in 0..QUEUES {
        declare(&channel, &format!("q{number}"), &[]).await;
    }
    for number in 0..QUEUES {
        publish(&channel, &format!("q{number}"), 0..3, persistent).await;
    }
    assert!(open_files(&broker) <= before + 2, "{} after {before}", open_files(&broker));
    assert_eq!(segments(data.path()), BTreeMap::new());
    broker.kill();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    for number in (0..QUEUES).step_by(100) {
        assert_eq!(declare(&channel, &format!("q{number}"), &[]).await, 3);
    }
}
