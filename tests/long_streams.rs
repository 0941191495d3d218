//! The binary: streams that are longer than memory, read again and again, and killed.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Consumer};
use process::Broker;

async fn declare(channel: &Channel, arguments: &[(&str, AMQPValue)]) -> u32 {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("stream"));
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    channel.queue_declare("s".into(), durable, table).await.unwrap().message_count()
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

fn body(number: i64, size: usize) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(size, number as u8);
    body
}

/// Publishes with confirms, some thousands at a time.
async fn publish(channel: &Channel, numbers: std::ops::Range<i64>, size: usize) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mut confirms = Vec::new();
    for number in numbers {
        let (options, body) = (BasicPublishOptions::default(), body(number, size));
        // Streams keep what is not called persistent.
        let properties = BasicProperties::default();
        let sent = channel.basic_publish("".into(), "s".into(), options, &body, properties);
        confirms.push(sent.await.unwrap());
        if confirms.len() == 5000 {
            for confirm in confirms.drain(..) {
                assert!(confirm.await.unwrap().is_ack());
            }
        }
    }
    for confirm in confirms {
        assert!(confirm.await.unwrap().is_ack());
    }
}

async fn consume(channel: &Channel, prefetch: u16, offset: AMQPValue) -> Consumer {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.unwrap();
    let mut table = FieldTable::default();
    table.insert("x-stream-offset".into(), offset);
    let options = BasicConsumeOptions::default();
    channel.basic_consume("s".into(), "".into(), options, table).await.unwrap()
}

fn offset_of(delivery: &Delivery) -> i64 {
    let headers = delivery.properties.headers().as_ref().unwrap();
    match headers.inner().get("x-stream-offset") {
        Some(AMQPValue::LongLongInt(offset)) => *offset,
        other => panic!("{other:?}"),
    }
}

/// Reads from one offset to before another one, and looks at everything.
async fn replay(consumer: &mut Consumer, offsets: std::ops::Range<i64>, size: usize, every: i64) {
    for expected in offsets.clone() {
        let next = tokio::time::timeout(Duration::from_secs(20), consumer.next()).await;
        let delivery = next.unwrap_or_else(|_| panic!("{expected} does not come"));
        let delivery = delivery.unwrap().unwrap();
        assert_eq!(offset_of(&delivery), expected);
        assert!(delivery.data == body(expected, size), "message {expected} is whole");
        assert!(!delivery.redelivered);
        if expected % every == 0 || expected + 1 == offsets.end {
            delivery.ack(BasicAckOptions { multiple: true }).await.unwrap();
        }
    }
}

fn resident_kib(broker: &Broker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_was_confirmed_is_replayed_after_a_kill() {
    const MESSAGES: i64 = 100_000;
    const SIZE: usize = 100;
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    assert_eq!(declare(&channel, &[]).await, 0);
    publish(&channel, 0..MESSAGES, SIZE).await;
    assert_eq!(i64::from(declare(&channel, &[]).await), MESSAGES);
    broker.kill();

    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    assert_eq!(i64::from(declare(&channel, &[]).await), MESSAGES);
    // Readers at different places at once, more than are kept in memory for.
    let reader = |offset: i64| {
        let broker = &broker;
        async move {
            let channel = broker.channel().await;
            let mut consumer = consume(&channel, 1000, AMQPValue::LongLongInt(offset)).await;
            replay(&mut consumer, offset..MESSAGES, SIZE, 300).await;
        }
    };
    tokio::join!(reader(0), reader(30_000), reader(60_000), reader(75_000), reader(99_999));
    // The next offset is the next one.
    publish(&channel, MESSAGES..MESSAGES + 10, SIZE).await;
    let mut consumer = consume(&channel, 100, text("last")).await;
    replay(&mut consumer, MESSAGES + 9..MESSAGES + 10, SIZE, 1).await;
}

#[tokio::test]
async fn memory_does_not_grow_with_what_is_kept_or_read() {
    const MESSAGES: i64 = 30_000;
    const SIZE: usize = 4096;
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    declare(&channel, &[]).await;
    publish(&channel, 0..5_000, SIZE).await;
    let before = resident_kib(&broker);
    publish(&channel, 5_000..MESSAGES, SIZE).await;
    for _ in 0..2 {
        let channel = broker.channel().await;
        let mut consumer = consume(&channel, 500, text("first")).await;
        replay(&mut consumer, 0..MESSAGES, SIZE, 200).await;
    }
    let after = resident_kib(&broker);
    // All of it is 120 MiB.
    assert!(after < before + 40 * 1024, "from {before} KiB to {after} KiB");
}

#[tokio::test]
async fn retention_gives_disk_back() {
    const SIZE: usize = 4096;
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let limits = [
        ("x-max-length-bytes", AMQPValue::LongInt(10 << 20)),
        ("x-stream-max-segment-size-bytes", AMQPValue::LongInt(1 << 20)),
    ];
    declare(&channel, &limits).await;
    let mut slow = consume(&broker.channel().await, 10, text("first")).await;
    publish(&channel, 0..10_000, SIZE).await;
    let kept = i64::from(declare(&channel, &limits).await);
    assert!((2200..4000).contains(&kept), "{kept} messages, where 10 MiB are 2500");
    let take = || async {
        let files = std::fs::read_dir(data.path().join("segments")).unwrap();
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum::<u64>()
    };
    for round in 0.. {
        let bytes = take().await;
        if bytes < 14 << 20 {
            break;
        }
        assert!(round < 500, "segments take {bytes} bytes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    broker_goes_on(&mut slow, 10_000 - kept).await;
    broker.kill();
    let broker = Broker::start(data.path());
    let channel = broker.channel().await;
    let kept_then = i64::from(declare(&channel, &limits).await);
    assert!((1..=kept).contains(&kept_then), "{kept_then} after {kept}");
    let mut consumer = consume(&channel, 500, text("first")).await;
    replay(&mut consumer, 10_000 - kept_then..10_000, SIZE, 200).await;
}

/// It was given the first ten, and then there were no more of those.
async fn broker_goes_on(slow: &mut Consumer, oldest: i64) {
    let mut last = None;
    for expected in 0..10 {
        let delivery = slow.next().await.unwrap().unwrap();
        assert_eq!(offset_of(&delivery), expected);
        last = Some(delivery);
    }
    last.unwrap().ack(BasicAckOptions { multiple: true }).await.unwrap();
    let next = offset_of(&slow.next().await.unwrap().unwrap());
    assert!(next >= oldest, "{next}, where {oldest} is the oldest");
}
