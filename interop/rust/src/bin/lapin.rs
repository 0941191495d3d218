//! The scenarios with lapin.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, try_join_all};
use lapin::message::Delivery;
use lapin::options::*;
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    ExchangeKind,
};
use leveret_interop_rust::{Broker, Scenario, locked, name, run, scenarios, soon};

#[tokio::main]
async fn main() {
    const SCENARIOS: &[Scenario] = scenarios![
        wrong_password_403,
        messages_over_tls,
        reconnect_after_broker_restart,
        tutorial_1_hello_world,
        tutorial_3_publish_subscribe,
        tutorial_4_routing,
        tutorial_5_topics,
        headers_exchange_all_and_any,
        alternate_exchange_takes_the_unroutable,
        tutorial_7_confirms_in_batches,
        full_queue_that_rejects_nacks_the_publish,
        mandatory_message_is_returned_before_its_ack,
        prefetch_per_consumer,
        nacked_messages_return_to_their_places,
        consumer_is_told_when_its_queue_is_deleted,
        cancelled_consumer_gets_no_more,
        exclusive_queue_is_locked_for_others_405,
        expired_message_is_dead_lettered,
        priority_queue_serves_the_highest_first,
        every_header_type_survives,
        large_body_10_mib,
        direct_reply_to,
    ];
    run(SCENARIOS, clean_up).await;
}

fn clean_up(broker: &'static Broker) -> BoxFuture<'static, ()> {
    Box::pin(async {
        let channel = channel(broker).await;
        let (queues, exchanges) =
            (broker.queues.lock().unwrap().clone(), broker.exchanges.lock().unwrap().clone());
        for queue in queues {
            channel.queue_delete(queue.into(), Default::default()).await.unwrap();
        }
        for exchange in exchanges {
            channel.exchange_delete(exchange.into(), Default::default()).await.unwrap();
        }
    })
}

async fn connect(broker: &Broker) -> Connection {
    Connection::connect(&broker.uri(), ConnectionProperties::default()).await.unwrap()
}

/// A channel on a connection of its own, which lives as long as the scenario.
async fn channel(broker: &Broker) -> Channel {
    Box::leak(Box::new(connect(broker).await)).create_channel().await.unwrap()
}

async fn queue(broker: &Broker, channel: &Channel, arguments: FieldTable) -> String {
    let name = broker.new_queue();
    channel.queue_declare(name.as_str().into(), Default::default(), arguments).await.unwrap();
    name
}

async fn durable_queue(broker: &Broker, channel: &Channel) -> String {
    let name = broker.new_queue();
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.as_str().into(), options, Default::default()).await.unwrap();
    name
}

/// A server-named queue of the channel's connection, bound with these keys.
async fn bound(channel: &Channel, exchange: &str, keys: &[&str]) -> String {
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel
        .queue_declare("".into(), options, Default::default())
        .await
        .unwrap()
        .name()
        .to_string();
    for key in keys {
        bind(channel, &queue, exchange, key, Default::default()).await;
    }
    queue
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str, arguments: FieldTable) {
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), Default::default(), arguments)
        .await
        .unwrap();
}

async fn exchange(
    broker: &Broker,
    channel: &Channel,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> String {
    let name = broker.new_exchange("exchange");
    channel
        .exchange_declare(name.as_str().into(), kind, Default::default(), arguments)
        .await
        .unwrap();
    name
}

async fn publish(channel: &Channel, exchange: &str, key: &str, body: &[u8]) {
    publish_with(channel, exchange, key, body, Default::default()).await;
}

async fn publish_with(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) {
    channel
        .basic_publish(exchange.into(), key.into(), Default::default(), body, properties)
        .await
        .unwrap();
}

async fn publish_numbers(channel: &Channel, queue: &str, last: u32) {
    for n in 1..=last {
        publish(channel, "", queue, n.to_string().as_bytes()).await;
    }
}

async fn consume(channel: &Channel, queue: &str, no_ack: bool) -> Consumer {
    let options = BasicConsumeOptions { no_ack, ..Default::default() };
    channel.basic_consume(queue.into(), "".into(), options, Default::default()).await.unwrap()
}

async fn next(consumer: &mut Consumer) -> Delivery {
    soon(consumer.next()).await.expect("the consumer ended").unwrap()
}

async fn next_texts(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(&next(consumer).await));
    }
    texts
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).unwrap()
}

/// Everything that is in the queue.
async fn drain(channel: &Channel, queue: &str) -> Vec<Delivery> {
    let mut found = Vec::new();
    let options = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get(queue.into(), options).await.unwrap() {
        found.push(message.delivery);
    }
    found
}

async fn drain_texts(channel: &Channel, queue: &str) -> Vec<String> {
    drain(channel, queue).await.iter().map(text).collect()
}

/// Wait until so many messages are ready. The count may lag behind earlier publishes.
async fn until_ready(channel: &Channel, queue: &str, count: u32) {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    while channel
        .queue_declare(queue.into(), passive, Default::default())
        .await
        .unwrap()
        .message_count()
        != count
    {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn table<const N: usize>(fields: [(&str, AMQPValue); N]) -> FieldTable {
    fields.into_iter().map(|(name, value)| (name.into(), value)).collect::<BTreeMap<_, _>>().into()
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// The code and text with which the broker refuses.
fn refusal<T>(result: lapin::Result<T>) -> (u16, String) {
    let Err(error) = result else { panic!("it was not refused") };
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => (error.get_id(), error.get_message().to_string()),
        other => panic!("{other:?}"),
    }
}

async fn wrong_password_403(broker: &Broker) {
    let uri = broker.uri_with_password("wrong");
    let login = Connection::connect(&uri, ConnectionProperties::default());
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                For details see the broker logfile.";
    assert_eq!(refusal(login.await), (403, text.to_owned()));
}

async fn messages_over_tls(broker: &Broker) {
    let (uri, authority) = broker.secure();
    let connect = async |cert_chain| {
        let tls = OwnedTLSConfig { identity: None, cert_chain };
        let runtime = lapin::runtime::default_runtime().unwrap();
        Connection::connect_with_config(&uri, ConnectionProperties::default(), tls, runtime).await
    };
    assert!(connect(None).await.is_err(), "nobody vouches for this broker");

    let connection = connect(Some(std::fs::read_to_string(authority).unwrap())).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let queue = queue(broker, &channel, Default::default()).await;
    let body: Vec<u8> = (0..500_000).map(|_| rand::random()).collect();
    publish(&channel, "", &queue, &body).await;
    assert!(drain(&channel, &queue).await[0].data == body, "the body came back changed");
}

/// A client that connects again finds its queue, and what was confirmed before.
async fn reconnect_after_broker_restart(broker: &Broker) {
    let restart = broker.restartable();
    let channel = channel(broker).await;
    channel.confirm_select(Default::default()).await.unwrap();
    let queue = durable_queue(broker, &channel).await;
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let sent = channel.basic_publish(
        "".into(),
        queue.as_str().into(),
        Default::default(),
        b"before",
        persistent,
    );
    assert_eq!(sent.await.unwrap().await.unwrap(), Confirmation::Ack(None));
    restart();
    let closed = async {
        while channel.status().connected() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    soon(closed).await;

    let channel = crate::channel(broker).await;
    let mut consumer = consume(&channel, &queue, true).await;
    publish(&channel, "", &queue, b"after").await;
    assert_eq!(next_texts(&mut consumer, 2).await, ["before", "after"]);
}

async fn tutorial_1_hello_world(broker: &Broker) {
    let (sender, receiver) = (channel(broker).await, channel(broker).await);
    let queue = queue(broker, &sender, Default::default()).await;
    let mut consumer = consume(&receiver, &queue, true).await;
    publish(&sender, "", &queue, b"Hello World!").await;
    let message = next(&mut consumer).await;
    assert_eq!(text(&message), "Hello World!");
    let address = (message.exchange.as_str(), message.routing_key.as_str(), message.redelivered);
    assert_eq!(address, ("", queue.as_str(), false));
}

async fn tutorial_3_publish_subscribe(broker: &Broker) {
    let sender = channel(broker).await;
    let logs = exchange(broker, &sender, ExchangeKind::Fanout, Default::default()).await;
    let mut consumers = Vec::new();
    for _ in 0..3 {
        let channel = channel(broker).await;
        consumers.push(consume(&channel, &bound(&channel, &logs, &[""]).await, true).await);
    }
    for line in ["one", "two", "three"] {
        publish(&sender, &logs, "the key is ignored", line.as_bytes()).await;
    }
    for consumer in &mut consumers {
        assert_eq!(next_texts(consumer, 3).await, ["one", "two", "three"]);
    }
}

async fn tutorial_4_routing(broker: &Broker) {
    let channel = channel(broker).await;
    let logs = exchange(broker, &channel, ExchangeKind::Direct, Default::default()).await;
    let disk = bound(&channel, &logs, &["error"]).await;
    let screen = bound(&channel, &logs, &["info", "warning", "error"]).await;
    for severity in ["info", "debug", "error", "warning"] {
        publish(&channel, &logs, severity, severity.as_bytes()).await;
    }
    assert_eq!(drain_texts(&channel, &disk).await, ["error"]);
    assert_eq!(drain_texts(&channel, &screen).await, ["info", "error", "warning"]);
}

async fn tutorial_5_topics(broker: &Broker) {
    let channel = channel(broker).await;
    let animals = exchange(broker, &channel, ExchangeKind::Topic, Default::default()).await;
    let keys =
        ["quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "orange", "lazy", ""];
    let expected = [
        ("*.orange.*", &keys[..2]),
        ("*.*.rabbit", &keys[..1]),
        ("lazy.#", &["lazy.orange.elephant", "lazy.brown.fox", "lazy"]),
        ("#", &keys),
    ];
    let mut queues = Vec::new();
    for (pattern, expected) in expected {
        queues.push((bound(&channel, &animals, &[pattern]).await, expected));
    }
    for key in keys {
        publish(&channel, &animals, key, key.as_bytes()).await;
    }
    for (queue, expected) in queues {
        assert_eq!(drain_texts(&channel, &queue).await, expected);
    }
}

async fn headers_exchange_all_and_any(broker: &Broker) {
    let channel = channel(broker).await;
    let exchange = exchange(broker, &channel, ExchangeKind::Headers, Default::default()).await;
    let mut queues = Vec::new();
    for kind in ["all", "any"] {
        let queue = bound(&channel, &exchange, &[]).await;
        let matches = table([
            ("x-match", long(kind)),
            ("format", long("pdf")),
            ("pages", AMQPValue::LongInt(3)),
        ]);
        bind(&channel, &queue, &exchange, "", matches).await;
        queues.push(queue);
    }
    for (body, headers) in [
        (
            "both",
            table([("format", long("pdf")), ("pages", AMQPValue::LongInt(3)), ("more", long("x"))]),
        ),
        ("one", table([("format", long("pdf")), ("pages", AMQPValue::LongInt(4))])),
        ("string is not a number", table([("pages", long("3"))])),
        ("no headers", table([])),
    ] {
        let properties = BasicProperties::default().with_headers(headers);
        publish_with(&channel, &exchange, "", body.as_bytes(), properties).await;
    }
    assert_eq!(drain_texts(&channel, &queues[0]).await, ["both"]);
    assert_eq!(drain_texts(&channel, &queues[1]).await, ["both", "one"]);
}

async fn alternate_exchange_takes_the_unroutable(broker: &Broker) {
    let channel = channel(broker).await;
    let strays = exchange(broker, &channel, ExchangeKind::Fanout, Default::default()).await;
    let arguments = table([("alternate-exchange", long(&strays))]);
    let main = exchange(broker, &channel, ExchangeKind::Direct, arguments).await;
    let (routed, unrouted) =
        (bound(&channel, &main, &["known"]).await, bound(&channel, &strays, &[""]).await);
    for key in ["known", "unknown"] {
        publish(&channel, &main, key, key.as_bytes()).await;
    }
    assert_eq!(drain_texts(&channel, &routed).await, ["known"]);
    let found = drain(&channel, &unrouted).await;
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), ["unknown"]);
    assert_eq!(found[0].exchange.as_str(), main);
}

async fn tutorial_7_confirms_in_batches(broker: &Broker) {
    let channel = channel(broker).await;
    let queue = durable_queue(broker, &channel).await;
    channel.confirm_select(Default::default()).await.unwrap();
    let bodies: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let mut confirms = Vec::new();
    for body in &bodies {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let key = queue.as_str().into();
        let sent =
            channel.basic_publish("".into(), key, Default::default(), body.as_bytes(), persistent);
        confirms.push(sent.await.unwrap());
    }
    for confirm in try_join_all(confirms).await.unwrap() {
        assert_eq!(confirm, Confirmation::Ack(None));
    }
    assert_eq!(drain_texts(&channel, &queue).await, bodies);
}

async fn full_queue_that_rejects_nacks_the_publish(broker: &Broker) {
    let channel = channel(broker).await;
    channel.confirm_select(Default::default()).await.unwrap();
    let limit =
        table([("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", long("reject-publish"))]);
    let queue = queue(broker, &channel, limit).await;
    for (body, expected) in
        [("fits", Confirmation::Ack(None)), ("does not", Confirmation::Nack(None))]
    {
        let (key, properties) = (queue.as_str().into(), Default::default());
        let sent =
            channel.basic_publish("".into(), key, Default::default(), body.as_bytes(), properties);
        assert_eq!(sent.await.unwrap().await.unwrap(), expected);
    }
    assert_eq!(drain_texts(&channel, &queue).await, ["fits"]);
}

async fn mandatory_message_is_returned_before_its_ack(broker: &Broker) {
    let channel = channel(broker).await;
    channel.confirm_select(Default::default()).await.unwrap();
    let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default().with_message_id("m-1".into());
    let sent = channel.basic_publish(
        "amq.direct".into(),
        "no such key".into(),
        mandatory,
        b"stray",
        properties,
    );
    let Confirmation::Ack(Some(returned)) = sent.await.unwrap().await.unwrap() else {
        panic!("it did not come back")
    };
    assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
    let stray = &returned.delivery;
    assert_eq!(
        (stray.exchange.as_str(), stray.routing_key.as_str()),
        ("amq.direct", "no such key")
    );
    assert_eq!(
        (text(stray).as_str(), stray.properties.message_id().as_ref().unwrap().as_str()),
        ("stray", "m-1")
    );
}

async fn prefetch_per_consumer(broker: &Broker) {
    let channel = channel(broker).await;
    let queue = queue(broker, &channel, Default::default()).await;
    channel.basic_qos(2, Default::default()).await.unwrap();
    let (mut first, mut second) =
        (consume(&channel, &queue, false).await, consume(&channel, &queue, false).await);
    publish_numbers(&channel, &queue, 10).await;
    let oldest = next(&mut first).await;
    next(&mut first).await;
    next_texts(&mut second, 2).await;
    until_ready(&channel, &queue, 6).await;
    oldest.ack(Default::default()).await.unwrap();
    next(&mut first).await;
    until_ready(&channel, &queue, 5).await;
}

async fn nacked_messages_return_to_their_places(broker: &Broker) {
    let channel = channel(broker).await;
    let queue = queue(broker, &channel, Default::default()).await;
    publish_numbers(&channel, &queue, 5).await;
    let mut taken = Vec::new();
    for _ in 0..4 {
        let message =
            channel.basic_get(queue.as_str().into(), Default::default()).await.unwrap().unwrap();
        assert!(!message.redelivered);
        taken.push(message.delivery);
    }
    taken[3].nack(BasicNackOptions { requeue: true, ..Default::default() }).await.unwrap();
    taken[1].reject(BasicRejectOptions { requeue: true }).await.unwrap();
    let again: Vec<_> =
        drain(&channel, &queue).await.iter().map(|m| (text(m), m.redelivered)).collect();
    assert_eq!(again, [("2".to_owned(), true), ("4".to_owned(), true), ("5".to_owned(), false)]);
}

/// Its stream ends.
async fn consumer_is_told_when_its_queue_is_deleted(broker: &Broker) {
    let (reader, other) = (channel(broker).await, channel(broker).await);
    let queue = queue(broker, &other, Default::default()).await;
    let mut consumer = consume(&reader, &queue, false).await;
    other.queue_delete(queue.as_str().into(), Default::default()).await.unwrap();
    assert!(soon(consumer.next()).await.is_none(), "the consumer goes on");
    assert!(reader.status().connected(), "the channel is closed");
}

async fn cancelled_consumer_gets_no_more(broker: &Broker) {
    let channel = channel(broker).await;
    let queue = queue(broker, &channel, Default::default()).await;
    let mut consumer = consume(&channel, &queue, false).await;
    publish(&channel, "", &queue, b"before").await;
    let first = next(&mut consumer).await;
    channel.basic_cancel(consumer.tag(), Default::default()).await.unwrap();
    publish(&channel, "", &queue, b"after").await;
    first.ack(Default::default()).await.unwrap();
    assert_eq!(drain_texts(&channel, &queue).await, ["after"]);
    assert!(soon(consumer.next()).await.is_none(), "the consumer got more");
}

async fn exclusive_queue_is_locked_for_others_405(broker: &Broker) {
    let (owner, other) = (channel(broker).await, connect(broker).await);
    let queue = name("queue");
    let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
    owner.queue_declare(queue.as_str().into(), exclusive, Default::default()).await.unwrap();
    let expected = (405, locked(&queue));
    let channel = async || other.create_channel().await.unwrap();
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    for options in [exclusive, passive] {
        let declared =
            channel().await.queue_declare(queue.as_str().into(), options, Default::default()).await;
        assert_eq!(refusal(declared), expected);
    }
    assert_eq!(
        refusal(channel().await.basic_get(queue.as_str().into(), Default::default()).await),
        expected
    );
    assert_eq!(
        refusal(channel().await.queue_purge(queue.as_str().into(), Default::default()).await),
        expected
    );
    assert_eq!(
        refusal(channel().await.queue_delete(queue.as_str().into(), Default::default()).await),
        expected
    );
}

async fn expired_message_is_dead_lettered(broker: &Broker) {
    let channel = channel(broker).await;
    let graveyard = queue(broker, &channel, Default::default()).await;
    let arguments = table([
        ("x-message-ttl", AMQPValue::LongInt(50)),
        ("x-dead-letter-exchange", long("")),
        ("x-dead-letter-routing-key", long(&graveyard)),
    ]);
    let queue = queue(broker, &channel, arguments).await;
    let mut consumer = consume(&channel, &graveyard, true).await;
    publish(&channel, "", &queue, b"short life").await;
    let dead = next(&mut consumer).await;
    let headers = dead.properties.headers().as_ref().unwrap().inner();
    let AMQPValue::FieldArray(deaths) = &headers["x-death"] else { panic!("{headers:?}") };
    let AMQPValue::FieldTable(death) = &deaths.as_slice()[0] else { panic!("{deaths:?}") };
    let keys = AMQPValue::FieldArray(FieldArray::from(vec![long(&queue)]));
    for (field, expected) in [
        ("queue", long(&queue)),
        ("reason", long("expired")),
        ("count", AMQPValue::LongLongInt(1)),
        ("exchange", long("")),
        ("routing-keys", keys),
    ] {
        assert_eq!(death.inner()[field], expected, "{field}");
    }
}

async fn priority_queue_serves_the_highest_first(broker: &Broker) {
    let channel = channel(broker).await;
    let queue = queue(broker, &channel, table([("x-max-priority", AMQPValue::LongInt(5))])).await;
    for priority in [1, 5, 0, 3, 5] {
        let properties = BasicProperties::default().with_priority(priority);
        publish_with(&channel, "", &queue, priority.to_string().as_bytes(), properties).await;
    }
    assert_eq!(drain_texts(&channel, &queue).await, ["5", "5", "3", "1", "0"]);
}

async fn every_header_type_survives(broker: &Broker) {
    let array = FieldArray::from(vec![AMQPValue::LongInt(1), long("text"), AMQPValue::Void]);
    let headers = table([
        ("longstr", long("żółw 🐢")),
        ("empty string", long("")),
        ("binary", AMQPValue::ByteArray(vec![0, 255, 254].into())),
        ("true", AMQPValue::Boolean(true)),
        ("int 8", AMQPValue::ShortShortInt(i8::MIN)),
        ("uint 8", AMQPValue::ShortShortUInt(u8::MAX)),
        ("int 16", AMQPValue::ShortInt(i16::MIN)),
        ("uint 16", AMQPValue::ShortUInt(u16::MAX)),
        ("int 32", AMQPValue::LongInt(i32::MIN)),
        ("uint 32", AMQPValue::LongUInt(u32::MAX)),
        ("int 64", AMQPValue::LongLongInt(i64::MIN)),
        ("float", AMQPValue::Float(1.5)),
        ("double", AMQPValue::Double(std::f64::consts::PI)),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 1234 })),
        ("timestamp", AMQPValue::Timestamp(981_173_106)),
        ("void", AMQPValue::Void),
        ("table", AMQPValue::FieldTable(table([("deep", AMQPValue::FieldTable(table([])))]))),
        ("array", AMQPValue::FieldArray(array)),
    ]);
    let channel = channel(broker).await;
    let queue = queue(broker, &channel, Default::default()).await;
    let properties = BasicProperties::default().with_headers(headers.clone());
    publish_with(&channel, "", &queue, b"", properties).await;
    assert_eq!(drain(&channel, &queue).await[0].properties.headers(), &Some(headers));
}

async fn large_body_10_mib(broker: &Broker) {
    let channel = channel(broker).await;
    let queue = queue(broker, &channel, Default::default()).await;
    let body: Vec<u8> = (0..10 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    publish(&channel, "", &queue, &body).await;
    assert!(drain(&channel, &queue).await[0].data == body, "the body came back changed");
}

async fn direct_reply_to(broker: &Broker) {
    let (server, client) = (channel(broker).await, channel(broker).await);
    let queue = queue(broker, &server, Default::default()).await;
    let mut requests = consume(&server, &queue, true).await;
    tokio::spawn(async move {
        while let Some(Ok(request)) = requests.next().await {
            let double = 2 * text(&request).parse::<u32>().unwrap();
            let reply_to = request.properties.reply_to().as_ref().unwrap().as_str().to_owned();
            let correlation_id = request.properties.correlation_id().clone().unwrap();
            let properties = BasicProperties::default().with_correlation_id(correlation_id);
            publish_with(&server, "", &reply_to, double.to_string().as_bytes(), properties).await;
        }
    });
    let mut replies = consume(&client, "amq.rabbitmq.reply-to", true).await;
    for n in [30, 5, 12_u32] {
        let properties = BasicProperties::default()
            .with_reply_to("amq.rabbitmq.reply-to".into())
            .with_correlation_id(format!("call {n}").into());
        publish_with(&client, "", &queue, n.to_string().as_bytes(), properties).await;
        let reply = next(&mut replies).await;
        assert_eq!(text(&reply), (2 * n).to_string());
        assert_eq!(
            reply.properties.correlation_id().as_ref().unwrap().as_str(),
            format!("call {n}")
        );
        assert!(
            reply.routing_key.as_str().starts_with("amq.rabbitmq.reply-to."),
            "{}",
            reply.routing_key
        );
    }
}
