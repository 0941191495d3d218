//! The client lapin over real sockets: what its users do with a broker.

use std::collections::BTreeSet;

use crate::server::{TestServer, soon};
use futures_util::future::try_join_all;
use futures_util::{Stream, StreamExt};
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    ExchangeKind,
};

async fn connect(server: &TestServer) -> Connection {
    let properties = ConnectionProperties::default();
    soon(Connection::connect(&server.url(), properties)).await.unwrap()
}

async fn channel(server: &TestServer) -> (Connection, Channel) {
    let connection = connect(server).await;
    let channel = soon(connection.create_channel()).await.unwrap();
    (connection, channel)
}

async fn declare(channel: &Channel, queue: &str) -> ShortString {
    let declared =
        channel.queue_declare(queue.into(), QueueDeclareOptions::default(), FieldTable::default());
    soon(declared).await.unwrap().name().clone()
}

async fn publish(channel: &Channel, exchange: &str, key: &str, body: &[u8]) {
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let sent = channel.basic_publish(exchange.into(), key.into(), options, body, properties);
    soon(sent).await.unwrap();
}

async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    soon(channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()))
        .await
        .unwrap()
}

async fn next(consumer: &mut (impl Stream<Item = lapin::Result<Delivery>> + Unpin)) -> Delivery {
    soon(consumer.next()).await.expect("the consumer ended").unwrap()
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).unwrap()
}

/// What the broker says to a request that it refuses.
fn refusal<T: std::fmt::Debug>(result: lapin::Result<T>) -> (u16, String) {
    match result.unwrap_err().kind() {
        lapin::ErrorKind::ProtocolError(error) => (error.get_id(), error.get_message().to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn publishes_are_confirmed() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    declare(&channel, "q").await;
    soon(channel.confirm_select(ConfirmSelectOptions::default())).await.unwrap();
    let mut confirms = Vec::new();
    for _ in 0..500 {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish("".into(), "q".into(), options, b"precious", persistent);
        confirms.push(soon(sent).await.unwrap());
    }
    for confirmation in soon(try_join_all(confirms)).await.unwrap() {
        assert!(matches!(confirmation, Confirmation::Ack(None)), "{confirmation:?}");
    }
    assert_eq!(server.counts("q").ready, 500);
}

#[tokio::test]
async fn unroutable_mandatory_publish_comes_back_before_its_confirm() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    soon(channel.confirm_select(ConfirmSelectOptions::default())).await.unwrap();
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_message_id("m-1".into());
    let sent = channel.basic_publish("".into(), "nowhere".into(), mandatory, b"lost", properties);
    let confirmation = soon(soon(sent).await.unwrap()).await.unwrap();
    let Confirmation::Ack(Some(returned)) = confirmation else {
        panic!("{confirmation:?}");
    };
    assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
    assert_eq!(returned.delivery.data, b"lost");
    assert_eq!(returned.delivery.properties.message_id().as_ref().unwrap().as_str(), "m-1");
}

#[tokio::test]
async fn work_is_shared_among_workers_by_prefetch_and_acks() {
    let server = TestServer::start().await;
    let (_boss, boss) = channel(&server).await;
    declare(&boss, "tasks").await;
    let mut workers = Vec::new();
    for _ in 0..2 {
        let (connection, channel) = channel(&server).await;
        soon(channel.basic_qos(1, BasicQosOptions::default())).await.unwrap();
        let consumer = consume(&channel, "tasks").await;
        workers.push((connection, channel, consumer));
    }
    for task in 0..6 {
        publish(&boss, "", "tasks", task.to_string().as_bytes()).await;
    }
    let mut done = BTreeSet::new();
    let (first, second) = workers.split_at_mut(1);
    // The first worker takes one task and keeps it; the second does all the rest.
    let kept = next(&mut first[0].2).await;
    for _ in 0..5 {
        let task = next(&mut second[0].2).await;
        done.insert(text(&task));
        soon(task.ack(BasicAckOptions::default())).await.unwrap();
    }
    assert_eq!(done.len(), 5);
    assert!(!done.contains(&text(&kept)));
    server.until("five are settled", || server.counts("tasks").unacked == 1).await;
    soon(kept.ack(BasicAckOptions::default())).await.unwrap();
    server.until("all are settled", || server.counts("tasks").unacked == 0).await;
}

#[tokio::test]
async fn fanout_reaches_every_queue() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
    soon(channel.exchange_declare("news".into(), ExchangeKind::Fanout, options, none))
        .await
        .unwrap();
    let mut readers = Vec::new();
    for _ in 0..5 {
        let queue = declare(&channel, "").await;
        assert!(queue.as_str().starts_with("amq.gen-"), "{queue}");
        bind(&channel, queue.as_str(), "news", "ignored").await;
        readers.push(consume(&channel, queue.as_str()).await);
    }
    publish(&channel, "news", "whatever", b"hello").await;
    for reader in &mut readers {
        assert_eq!(text(&next(reader).await), "hello");
    }
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) {
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    soon(channel.queue_bind(queue.into(), exchange.into(), key.into(), options, none))
        .await
        .unwrap();
}

#[tokio::test]
async fn topics_are_matched_word_by_word() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    for (queue, key) in [("one", "log.*.error"), ("many", "log.#"), ("none", "*.error")] {
        declare(&channel, queue).await;
        bind(&channel, queue, "amq.topic", key).await;
    }
    for key in ["log.disk.error", "log.disk", "log", "mail.error.now"] {
        publish(&channel, "amq.topic", key, key.as_bytes()).await;
    }
    // An answer on this channel comes after all of its publishes.
    assert_eq!(declare(&channel, "one").await.as_str(), "one");
    let ready = ["one", "many", "none"].map(|queue| server.counts(queue).ready);
    assert_eq!(ready, [1, 3, 0]);
}

#[tokio::test]
async fn questions_are_answered_by_direct_reply_to() {
    let server = TestServer::start().await;
    let (_answering, answering) = channel(&server).await;
    declare(&answering, "questions").await;
    let mut questions = consume(&answering, "questions").await;
    let (_asking, asking) = channel(&server).await;
    let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let reply_to = ShortString::from("amq.rabbitmq.reply-to");
    let consumer = asking.basic_consume(reply_to.clone(), "".into(), no_ack, FieldTable::default());
    let mut answers = soon(consumer).await.unwrap();
    for number in 0..10 {
        let properties = BasicProperties::default()
            .with_reply_to(reply_to.clone())
            .with_correlation_id(number.to_string().into());
        let options = BasicPublishOptions::default();
        let sent = asking.basic_publish("".into(), "questions".into(), options, b"?", properties);
        soon(sent).await.unwrap();

        let question = next(&mut questions).await;
        let address = question.properties.reply_to().clone().unwrap();
        assert!(address.as_str().starts_with("amq.rabbitmq.reply-to."), "{address}");
        let id = question.properties.correlation_id().clone().unwrap();
        let properties = BasicProperties::default().with_correlation_id(id);
        soon(answering.basic_publish("".into(), address, options, b"!", properties)).await.unwrap();
        let answer = next(&mut answers).await;
        assert_eq!(text(&answer), "!");
        let id = answer.properties.correlation_id().clone().unwrap();
        assert_eq!(id.as_str(), number.to_string());
    }
}

#[tokio::test]
async fn requeued_message_comes_again_marked_and_in_its_place() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    declare(&channel, "q").await;
    for body in ["1", "2", "3"] {
        publish(&channel, "", "q", body.as_bytes()).await;
    }
    let get = || async {
        let got = channel.basic_get("q".into(), BasicGetOptions::default());
        soon(got).await.unwrap().unwrap().delivery
    };
    let (first, second) = (get().await, get().await);
    let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    soon(first.nack(requeue)).await.unwrap();
    let again = get().await;
    assert_eq!((text(&again).as_str(), again.redelivered), ("1", true));
    soon(second.nack(BasicNackOptions { requeue: false, ..requeue })).await.unwrap();
    let third = get().await;
    assert_eq!((text(&third).as_str(), third.redelivered), ("3", false));
}

#[tokio::test]
async fn exclusive_queue_is_locked_to_others_and_goes_with_its_connection() {
    let server = TestServer::start().await;
    let (owner, owning) = channel(&server).await;
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let none = FieldTable::default;
    soon(owning.queue_declare("mine".into(), exclusive, none())).await.unwrap();
    let (other, other_channel) = channel(&server).await;
    let result = soon(other_channel.queue_declare("mine".into(), exclusive, none())).await;
    let (code, text) = refusal(result);
    assert_eq!(code, 405);
    assert_eq!(
        text,
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It \
         could be originally declared on another connection or the exclusive property value does \
         not match that of the original declaration."
    );
    // Its name is free as soon as the close is answered.
    soon(owner.close(200, "bye".into())).await.unwrap();
    let other_channel = soon(other.create_channel()).await.unwrap();
    soon(other_channel.queue_declare("mine".into(), exclusive, none())).await.unwrap();
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let server = TestServer::start().await;
    let (connection, channel) = channel(&server).await;
    declare(&channel, "q").await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let result = soon(channel.queue_declare("none".into(), passive, FieldTable::default())).await;
    assert_eq!(refusal(result), (404, "NOT_FOUND - no queue 'none' in vhost '/'".to_owned()));
    let channel = soon(connection.create_channel()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let result = soon(channel.queue_declare("q".into(), durable, FieldTable::default())).await;
    let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': \
                received 'true' but current is 'false'";
    assert_eq!(refusal(result), (406, text.to_owned()));
    let wrong = server.url().replace("guest:guest", "guest:wrong");
    let result = soon(Connection::connect(&wrong, ConnectionProperties::default())).await;
    let (code, text) = refusal(result.map(|_| ()));
    assert_eq!(code, 403);
    assert!(text.starts_with("ACCESS_REFUSED - Login was refused"), "{text}");
}

#[tokio::test]
async fn ten_mebibytes_arrive_as_they_were_sent() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    declare(&channel, "q").await;
    let body: Vec<u8> =
        (0..10_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut headers = FieldTable::default();
    headers.insert("k".into(), AMQPValue::LongUInt(7));
    let properties = BasicProperties::default().with_headers(headers.clone());
    let options = BasicPublishOptions::default();
    soon(channel.basic_publish("".into(), "q".into(), options, &body, properties)).await.unwrap();
    let mut consumer = consume(&channel, "q").await;
    let delivery = next(&mut consumer).await;
    assert!(delivery.data == body, "{} bytes came", delivery.data.len());
    assert_eq!(delivery.properties.headers().as_ref(), Some(&headers));
    soon(delivery.ack(BasicAckOptions::default())).await.unwrap();
}

/// A connection whose whole process dies: its socket closes without a word.
#[tokio::test]
async fn deliveries_of_a_lost_connection_go_to_another_one() {
    let server = TestServer::start().await;
    let (_connection, boss) = channel(&server).await;
    declare(&boss, "q").await;
    for body in ["1", "2", "3"] {
        publish(&boss, "", "q", body.as_bytes()).await;
    }
    let doomed = tokio::runtime::Runtime::new().unwrap();
    let (send, taken) = tokio::sync::oneshot::channel();
    let url = server.url();
    doomed.spawn(async move {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(&channel, "q").await;
        send.send([text(&next(&mut consumer).await), text(&next(&mut consumer).await)]).unwrap();
        std::future::pending::<()>().await;
        drop((connection, channel));
    });
    assert_eq!(soon(taken).await.unwrap(), ["1", "2"]);
    let mut survivor = consume(&boss, "q").await;
    assert_eq!(text(&next(&mut survivor).await), "3");
    doomed.shutdown_background();
    for expected in ["1", "2"] {
        let delivery = next(&mut survivor).await;
        assert_eq!((text(&delivery).as_str(), delivery.redelivered), (expected, true));
    }
}

#[tokio::test]
async fn clients_are_told_when_the_server_stops() {
    let server = TestServer::start().await;
    let (connection, channel) = channel(&server).await;
    let mut events = Box::pin(connection.events_listener());
    drop(channel);
    soon(server.server.stop()).await;
    let reason = soon(async {
        loop {
            match events.next().await {
                Some(lapin::Event::Error(error)) => break error.to_string(),
                Some(_) => {}
                None => panic!("no reason was given"),
            }
        }
    });
    let reason = reason.await;
    assert!(reason.contains("CONNECTION_FORCED"), "{reason}");
}

async fn exchange(channel: &Channel, name: &str, kind: &str, arguments: FieldTable) {
    let options = ExchangeDeclareOptions::default();
    let kind = ExchangeKind::Custom(kind.to_owned());
    soon(channel.exchange_declare(name.into(), kind, options, arguments)).await.unwrap();
}

#[tokio::test]
async fn consistent_hash_keeps_customers_together() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    let mut arguments = FieldTable::default();
    arguments.insert("hash-header".into(), AMQPValue::LongString("customer".into()));
    exchange(&channel, "orders", "x-consistent-hash", arguments).await;
    let mut consumers = Vec::new();
    for queue in ["one", "two", "three"] {
        declare(&channel, queue).await;
        bind(&channel, queue, "orders", "1").await;
        consumers.push(consume(&channel, queue).await);
    }
    for n in 0..90 {
        let mut headers = FieldTable::default();
        headers.insert("customer".into(), AMQPValue::LongInt(n % 30));
        let properties = BasicProperties::default().with_headers(headers);
        let options = BasicPublishOptions::default();
        let body = (n % 30).to_string();
        let sent = channel.basic_publish(
            "orders".into(),
            n.to_string().into(),
            options,
            body.as_bytes(),
            properties,
        );
        soon(sent).await.unwrap();
    }
    let mut together = futures_util::stream::select_all(
        consumers.into_iter().enumerate().map(|(n, consumer)| consumer.map(move |one| (n, one))),
    );
    let mut queue_of = std::collections::BTreeMap::new();
    for _ in 0..90 {
        let (queue, delivery) = soon(together.next()).await.unwrap();
        let known = queue_of.entry(text(&delivery.unwrap())).or_insert(queue);
        assert_eq!(*known, queue);
    }
    assert_eq!(queue_of.len(), 30);
    assert_eq!(queue_of.values().collect::<BTreeSet<_>>().len(), 3, "{queue_of:?}");
}

#[tokio::test]
async fn duplicates_are_acked_and_left_out() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-cache-size".into(), AMQPValue::LongInt(100));
    exchange(&channel, "once", "x-message-deduplication", arguments).await;
    declare(&channel, "all").await;
    bind(&channel, "all", "once", "").await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-deduplication".into(), AMQPValue::Boolean(true));
    let options = QueueDeclareOptions::default();
    soon(channel.queue_declare("each".into(), options, arguments)).await.unwrap();
    soon(channel.confirm_select(ConfirmSelectOptions::default())).await.unwrap();
    for (exchange, key) in [("once", ""), ("", "each")] {
        for n in [1, 2, 1, 1, 3, 2] {
            let mut headers = FieldTable::default();
            headers.insert("x-deduplication-header".into(), AMQPValue::LongInt(n));
            let properties = BasicProperties::default().with_headers(headers);
            let options = BasicPublishOptions::default();
            let body = n.to_string();
            let sent = channel.basic_publish(
                exchange.into(),
                key.into(),
                options,
                body.as_bytes(),
                properties,
            );
            assert_eq!(soon(soon(sent).await.unwrap()).await.unwrap(), Confirmation::Ack(None));
        }
    }
    for queue in ["all", "each"] {
        let mut consumer = consume(&channel, queue).await;
        for expected in ["1", "2", "3"] {
            assert_eq!(text(&next(&mut consumer).await), expected);
        }
        publish(&channel, "", queue, b"the end").await;
        assert_eq!(text(&next(&mut consumer).await), "the end");
    }
}

/// Real time, so that the connection's own timer is what looks.
#[tokio::test]
async fn overdue_message_is_taken_away_and_a_late_acknowledgement_ignored() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-consumer-timeout".into(), AMQPValue::LongInt(200));
    arguments.insert("x-consumer-timeout-action".into(), AMQPValue::LongString("requeue".into()));
    let declared = channel.queue_declare("q".into(), QueueDeclareOptions::default(), arguments);
    soon(declared).await.unwrap();
    let mut consumer = consume(&channel, "q").await;
    publish(&channel, "", "q", b"slow").await;
    let first = next(&mut consumer).await;
    let again = next(&mut consumer).await;
    assert_eq!((first.redelivered, again.redelivered), (false, true));
    soon(first.ack(BasicAckOptions::default())).await.unwrap();
    soon(again.ack(BasicAckOptions::default())).await.unwrap();
    // The channel lives on.
    assert_eq!(declare(&channel, "other").await.as_str(), "other");
}

#[tokio::test]
async fn messages_wait_in_an_exchange_and_come_when_they_are_due() {
    let server = TestServer::start().await;
    let (_connection, channel) = channel(&server).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-delayed-type".into(), AMQPValue::LongString("direct".into()));
    exchange(&channel, "later", "x-delayed-message", arguments).await;
    declare(&channel, "q").await;
    bind(&channel, "q", "later", "key").await;
    soon(channel.confirm_select(ConfirmSelectOptions::default())).await.unwrap();
    let mut consumer = consume(&channel, "q").await;
    let start = std::time::Instant::now();
    for delay in [300, 100, 200] {
        let mut headers = FieldTable::default();
        headers.insert("x-delay".into(), AMQPValue::LongInt(delay));
        let properties = BasicProperties::default().with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (exchange, key) = ("later".into(), "key".into());
        let sent = channel.basic_publish(exchange, key, options, b"x", properties);
        assert_eq!(soon(soon(sent).await.unwrap()).await.unwrap(), Confirmation::Ack(None));
    }
    for delay in [100, 200, 300] {
        let delivery = next(&mut consumer).await;
        let waited = start.elapsed().as_millis();
        assert!(waited >= delay, "{delay} ms after {waited} ms");
        let headers = delivery.properties.headers().clone().unwrap();
        let negated = AMQPValue::LongInt(-i32::try_from(delay).unwrap());
        assert_eq!(headers.inner().get("x-delay"), Some(&negated));
    }
}
