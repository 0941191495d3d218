//! The scenarios with amqprs.

use std::path::Path;

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::*;
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::error::Error;
use amqprs::tls::TlsAdaptor;
use amqprs::{
    Ack, BasicProperties, Cancel, CloseChannel, DecimalValue, FieldArray, FieldTable, FieldValue,
    GetOk, Nack, Return,
};
use futures_util::future::BoxFuture;
use leveret_interop_rust::{Broker, Scenario, locked, name, run, scenarios, soon};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use url::Url;

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
        let client = Client::of(broker).await;
        let (queues, exchanges) =
            (broker.queues.lock().unwrap().clone(), broker.exchanges.lock().unwrap().clone());
        for queue in queues {
            client.channel.queue_delete(QueueDeleteArguments::new(&queue)).await.unwrap();
        }
        for exchange in exchanges {
            client.channel.exchange_delete(ExchangeDeleteArguments::new(&exchange)).await.unwrap();
        }
    })
}

/// What the broker says out of turn.
#[derive(Debug, PartialEq)]
enum Told {
    Acked(u64, bool),
    Nacked(u64),
    /// Code, text, exchange, routing key, message id and body.
    Returned(u16, String, String, String, Option<String>, Vec<u8>),
    Closed(u16, String),
    Cancelled(String),
}

struct Ear(UnboundedSender<Told>);

#[async_trait::async_trait]
impl ChannelCallback for Ear {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> Result<(), Error> {
        let _ = self.0.send(Told::Closed(close.reply_code(), close.reply_text().clone()));
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, cancel: Cancel) -> Result<(), Error> {
        let _ = self.0.send(Told::Cancelled(cancel.consumer_tag().clone()));
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        let _ = self.0.send(Told::Acked(ack.delivery_tag(), ack.mutiple()));
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        let _ = self.0.send(Told::Nacked(nack.delivery_tag()));
    }

    async fn publish_return(
        &mut self,
        _: &Channel,
        back: Return,
        properties: BasicProperties,
        body: Vec<u8>,
    ) {
        let _ = self.0.send(Told::Returned(
            back.reply_code(),
            back.reply_text().clone(),
            back.exchange().clone(),
            back.routing_key().clone(),
            properties.message_id().cloned(),
            body,
        ));
    }
}

/// A connection with a channel, and what that is told.
struct Client {
    connection: Connection,
    channel: Channel,
    told: UnboundedReceiver<Told>,
}

fn arguments(uri: &str) -> OpenConnectionArguments {
    let uri: Url = uri.parse().unwrap();
    let (host, port) = (uri.host_str().unwrap(), uri.port().unwrap());
    OpenConnectionArguments::new(host, port, uri.username(), uri.password().unwrap())
}

impl Client {
    async fn of(broker: &Broker) -> Self {
        Self::open(&arguments(&broker.uri())).await
    }

    async fn open(arguments: &OpenConnectionArguments) -> Self {
        Self::on(Connection::open(arguments).await.unwrap()).await
    }

    /// With a new channel of a connection.
    async fn on(connection: Connection) -> Self {
        let (send, told) = unbounded_channel();
        let channel = connection.open_channel(None).await.unwrap();
        channel.register_callback(Ear(send)).await.unwrap();
        Self { connection, channel, told }
    }

    async fn queue(&self, broker: &Broker, arguments: FieldTable) -> String {
        let name = broker.new_queue();
        let declare = QueueDeclareArguments::new(&name).arguments(arguments).finish();
        self.channel.queue_declare(declare).await.unwrap();
        name
    }

    async fn durable_queue(&self, broker: &Broker) -> String {
        let name = broker.new_queue();
        self.channel
            .queue_declare(QueueDeclareArguments::durable_client_named(&name))
            .await
            .unwrap();
        name
    }

    /// A server-named queue of the connection, bound with these keys.
    async fn bound(&self, exchange: &str, keys: &[&str]) -> String {
        let declare = QueueDeclareArguments::exclusive_server_named();
        let (queue, _, _) = self.channel.queue_declare(declare).await.unwrap().unwrap();
        for key in keys {
            self.channel.queue_bind(QueueBindArguments::new(&queue, exchange, key)).await.unwrap();
        }
        queue
    }

    async fn exchange(&self, broker: &Broker, kind: &str, arguments: FieldTable) -> String {
        let name = broker.new_exchange(kind);
        let declare = ExchangeDeclareArguments::new(&name, kind).arguments(arguments).finish();
        self.channel.exchange_declare(declare).await.unwrap();
        name
    }

    async fn publish(&self, exchange: &str, key: &str, body: &str) {
        self.publish_with(exchange, key, body, BasicProperties::default()).await;
    }

    async fn publish_with(
        &self,
        exchange: &str,
        key: &str,
        body: &str,
        properties: BasicProperties,
    ) {
        let arguments = BasicPublishArguments::new(exchange, key);
        self.channel.basic_publish(properties, body.as_bytes().to_vec(), arguments).await.unwrap();
    }

    async fn confirm_select(&self) {
        self.channel.confirm_select(ConfirmSelectArguments::default()).await.unwrap();
    }

    async fn told(&mut self) -> Told {
        soon(self.told.recv()).await.unwrap()
    }

    async fn consume(
        &self,
        queue: &str,
        no_ack: bool,
    ) -> (String, UnboundedReceiver<ConsumerMessage>) {
        let arguments = BasicConsumeArguments::new(queue, "").manual_ack(!no_ack).finish();
        self.channel.basic_consume_rx(arguments).await.unwrap()
    }

    async fn ack(&self, tag: u64) {
        self.channel.basic_ack(BasicAckArguments::new(tag, false)).await.unwrap();
    }

    async fn get(&self, queue: &str, no_ack: bool) -> Option<(GetOk, BasicProperties, Vec<u8>)> {
        self.channel.basic_get(BasicGetArguments::new(queue).no_ack(no_ack).finish()).await.unwrap()
    }

    /// The bodies of everything that is in the queue.
    async fn drain(&self, queue: &str) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some((_, _, body)) = self.get(queue, true).await {
            texts.push(String::from_utf8(body).unwrap());
        }
        texts
    }

    /// Wait until so many messages are ready. The count may lag behind earlier publishes.
    async fn until_ready(&self, queue: &str, count: u32) {
        let passive = || QueueDeclareArguments::new(queue).passive(true).finish();
        while self.channel.queue_declare(passive()).await.unwrap().unwrap().1 != count {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

async fn next(messages: &mut UnboundedReceiver<ConsumerMessage>) -> ConsumerMessage {
    soon(messages.recv()).await.expect("the consumer ended")
}

async fn next_texts(
    messages: &mut UnboundedReceiver<ConsumerMessage>,
    count: usize,
) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(&next(messages).await));
    }
    texts
}

fn text(message: &ConsumerMessage) -> String {
    String::from_utf8(message.content.clone().unwrap_or_default()).unwrap()
}

fn tag(message: &ConsumerMessage) -> u64 {
    message.deliver.as_ref().unwrap().delivery_tag()
}

fn table<const N: usize>(fields: [(&str, FieldValue); N]) -> FieldTable {
    let mut table = FieldTable::new();
    for (name, value) in fields {
        table.insert(name.try_into().unwrap(), value);
    }
    table
}

fn long(text: &str) -> FieldValue {
    FieldValue::S(text.try_into().unwrap())
}

/// The client does not say that it understands the broker's refusal, and is hung up on.
async fn wrong_password_403(broker: &Broker) {
    let login = Connection::open(&arguments(&broker.uri_with_password("wrong"))).await;
    let Err(Error::NetworkError(error)) = login else { panic!("{:?}", login.err()) };
    assert!(error.contains("peer shutdown") || error.contains("reset by peer"), "{error}");
}

async fn messages_over_tls(broker: &Broker) {
    let (uri, authority) = broker.secure();
    let trusting = |authority: Option<&Path>| {
        let mut arguments = arguments(&uri);
        let adaptor = TlsAdaptor::without_client_auth(authority, "localhost".to_owned()).unwrap();
        arguments.tls_adaptor(adaptor).finish()
    };
    assert!(Connection::open(&trusting(None)).await.is_err(), "nobody vouches for this broker");

    let client = Client::open(&trusting(Some(Path::new(&authority)))).await;
    let queue = client.queue(broker, FieldTable::new()).await;
    let body = "żółw ".repeat(100_000);
    client.publish("", &queue, &body).await;
    assert!(client.drain(&queue).await == [body], "the body came back changed");
}

/// A client that connects again finds its queue, and what was confirmed before.
async fn reconnect_after_broker_restart(broker: &Broker) {
    let restart = broker.restartable();
    let mut client = Client::of(broker).await;
    client.confirm_select().await;
    let queue = client.durable_queue(broker).await;
    client
        .publish_with(
            "",
            &queue,
            "before",
            BasicProperties::default().with_persistence(true).finish(),
        )
        .await;
    assert_eq!(client.told().await, Told::Acked(1, false));
    restart();
    let closed = async {
        while client.connection.is_open() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    soon(closed).await;

    let client = Client::of(broker).await;
    let (_, mut messages) = client.consume(&queue, true).await;
    client.publish("", &queue, "after").await;
    assert_eq!(next_texts(&mut messages, 2).await, ["before", "after"]);
}

async fn tutorial_1_hello_world(broker: &Broker) {
    let (sender, receiver) = (Client::of(broker).await, Client::of(broker).await);
    let queue = sender.queue(broker, FieldTable::new()).await;
    let (_, mut messages) = receiver.consume(&queue, true).await;
    sender.publish("", &queue, "Hello World!").await;
    let message = next(&mut messages).await;
    assert_eq!(text(&message), "Hello World!");
    let deliver = message.deliver.unwrap();
    assert_eq!(
        (deliver.exchange().as_str(), deliver.routing_key(), deliver.redelivered()),
        ("", &queue, false)
    );
}

async fn tutorial_3_publish_subscribe(broker: &Broker) {
    let sender = Client::of(broker).await;
    let logs = sender.exchange(broker, "fanout", FieldTable::new()).await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        let client = Client::of(broker).await;
        let (_, messages) = client.consume(&client.bound(&logs, &[""]).await, true).await;
        readers.push((client, messages));
    }
    for line in ["one", "two", "three"] {
        sender.publish(&logs, "the key is ignored", line).await;
    }
    for (_, messages) in &mut readers {
        assert_eq!(next_texts(messages, 3).await, ["one", "two", "three"]);
    }
}

async fn tutorial_4_routing(broker: &Broker) {
    let client = Client::of(broker).await;
    let logs = client.exchange(broker, "direct", FieldTable::new()).await;
    let disk = client.bound(&logs, &["error"]).await;
    let screen = client.bound(&logs, &["info", "warning", "error"]).await;
    for severity in ["info", "debug", "error", "warning"] {
        client.publish(&logs, severity, severity).await;
    }
    assert_eq!(client.drain(&disk).await, ["error"]);
    assert_eq!(client.drain(&screen).await, ["info", "error", "warning"]);
}

async fn tutorial_5_topics(broker: &Broker) {
    let client = Client::of(broker).await;
    let animals = client.exchange(broker, "topic", FieldTable::new()).await;
    let keys = ["quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "orange", "lazy"];
    let expected = [
        ("*.orange.*", &keys[..2]),
        ("*.*.rabbit", &keys[..1]),
        ("lazy.#", &["lazy.orange.elephant", "lazy.brown.fox", "lazy"]),
        ("#", &keys),
    ];
    let mut queues = Vec::new();
    for (pattern, expected) in expected {
        queues.push((client.bound(&animals, &[pattern]).await, expected));
    }
    for key in keys {
        client.publish(&animals, key, key).await;
    }
    for (queue, expected) in queues {
        assert_eq!(client.drain(&queue).await, expected);
    }
}

async fn headers_exchange_all_and_any(broker: &Broker) {
    let client = Client::of(broker).await;
    let exchange = client.exchange(broker, "headers", FieldTable::new()).await;
    let mut queues = Vec::new();
    for kind in ["all", "any"] {
        let queue = client.bound(&exchange, &[]).await;
        let matches =
            table([("x-match", long(kind)), ("format", long("pdf")), ("pages", FieldValue::I(3))]);
        let bind = QueueBindArguments::new(&queue, &exchange, "").arguments(matches).finish();
        client.channel.queue_bind(bind).await.unwrap();
        queues.push(queue);
    }
    for (body, headers) in [
        (
            "both",
            table([("format", long("pdf")), ("pages", FieldValue::I(3)), ("more", long("x"))]),
        ),
        ("one", table([("format", long("pdf")), ("pages", FieldValue::I(4))])),
        ("string is not a number", table([("pages", long("3"))])),
        ("no headers", table([])),
    ] {
        let properties = BasicProperties::default().with_headers(headers).finish();
        client.publish_with(&exchange, "", body, properties).await;
    }
    assert_eq!(client.drain(&queues[0]).await, ["both"]);
    assert_eq!(client.drain(&queues[1]).await, ["both", "one"]);
}

async fn alternate_exchange_takes_the_unroutable(broker: &Broker) {
    let client = Client::of(broker).await;
    let strays = client.exchange(broker, "fanout", FieldTable::new()).await;
    let main =
        client.exchange(broker, "direct", table([("alternate-exchange", long(&strays))])).await;
    let (routed, unrouted) =
        (client.bound(&main, &["known"]).await, client.bound(&strays, &[""]).await);
    for key in ["known", "unknown"] {
        client.publish(&main, key, key).await;
    }
    assert_eq!(client.drain(&routed).await, ["known"]);
    let (found, _, body) = client.get(&unrouted, true).await.expect("the stray is not there");
    assert_eq!((body.as_slice(), found.exchange()), (&b"unknown"[..], &main));
}

async fn tutorial_7_confirms_in_batches(broker: &Broker) {
    let mut client = Client::of(broker).await;
    let queue = client.durable_queue(broker).await;
    client.confirm_select().await;
    let bodies: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    for body in &bodies {
        client
            .publish_with(
                "",
                &queue,
                body,
                BasicProperties::default().with_persistence(true).finish(),
            )
            .await;
    }
    let mut confirmed = 0;
    while confirmed < 1000 {
        let Told::Acked(tag, multiple) = client.told().await else { panic!("not confirmed") };
        assert!(tag > confirmed && (multiple || tag == confirmed + 1), "{tag} {multiple}");
        confirmed = tag;
    }
    assert_eq!(client.drain(&queue).await, bodies);
}

async fn full_queue_that_rejects_nacks_the_publish(broker: &Broker) {
    let mut client = Client::of(broker).await;
    client.confirm_select().await;
    let limit = table([("x-max-length", FieldValue::I(1)), ("x-overflow", long("reject-publish"))]);
    let queue = client.queue(broker, limit).await;
    client.publish("", &queue, "fits").await;
    assert_eq!(client.told().await, Told::Acked(1, false));
    client.publish("", &queue, "does not").await;
    assert_eq!(client.told().await, Told::Nacked(2));
    assert_eq!(client.drain(&queue).await, ["fits"]);
}

async fn mandatory_message_is_returned_before_its_ack(broker: &Broker) {
    let mut client = Client::of(broker).await;
    client.confirm_select().await;
    let arguments =
        BasicPublishArguments::new("amq.direct", "no such key").mandatory(true).finish();
    let properties = BasicProperties::default().with_message_id("m-1").finish();
    client.channel.basic_publish(properties, b"stray".to_vec(), arguments).await.unwrap();
    let [text, exchange, key] = ["NO_ROUTE", "amq.direct", "no such key"].map(str::to_owned);
    let returned =
        Told::Returned(312, text, exchange, key, Some("m-1".to_owned()), b"stray".to_vec());
    assert_eq!(client.told().await, returned);
    assert_eq!(client.told().await, Told::Acked(1, false));
}

async fn prefetch_per_consumer(broker: &Broker) {
    let client = Client::of(broker).await;
    let queue = client.queue(broker, FieldTable::new()).await;
    client.channel.basic_qos(BasicQosArguments::new(0, 2, false)).await.unwrap();
    let ((_, mut first), (_, mut second)) =
        (client.consume(&queue, false).await, client.consume(&queue, false).await);
    for n in 1..=10 {
        client.publish("", &queue, &n.to_string()).await;
    }
    let oldest = next(&mut first).await;
    next(&mut first).await;
    next_texts(&mut second, 2).await;
    client.until_ready(&queue, 6).await;
    client.ack(tag(&oldest)).await;
    next(&mut first).await;
    client.until_ready(&queue, 5).await;
    assert!(second.try_recv().is_err(), "the second consumer got more");
}

async fn nacked_messages_return_to_their_places(broker: &Broker) {
    let client = Client::of(broker).await;
    let queue = client.queue(broker, FieldTable::new()).await;
    for n in 1..=5 {
        client.publish("", &queue, &n.to_string()).await;
    }
    let mut taken = Vec::new();
    for _ in 0..4 {
        let (found, _, _) = client.get(&queue, false).await.unwrap();
        assert!(!found.redelivered());
        taken.push(found.delivery_tag());
    }
    client.channel.basic_nack(BasicNackArguments::new(taken[3], false, true)).await.unwrap();
    client.channel.basic_reject(BasicRejectArguments::new(taken[1], true)).await.unwrap();
    for (expected, redelivered) in [("2", true), ("4", true), ("5", false)] {
        let (found, _, body) = client.get(&queue, true).await.unwrap();
        assert_eq!((body.as_slice(), found.redelivered()), (expected.as_bytes(), redelivered));
    }
}

async fn consumer_is_told_when_its_queue_is_deleted(broker: &Broker) {
    let (mut consumer, other) = (Client::of(broker).await, Client::of(broker).await);
    let queue = other.queue(broker, FieldTable::new()).await;
    let (tag, _messages) = consumer.consume(&queue, false).await;
    other.channel.queue_delete(QueueDeleteArguments::new(&queue)).await.unwrap();
    assert_eq!(consumer.told().await, Told::Cancelled(tag));
    assert!(consumer.channel.is_open(), "the channel is closed");
}

async fn cancelled_consumer_gets_no_more(broker: &Broker) {
    let client = Client::of(broker).await;
    let queue = client.queue(broker, FieldTable::new()).await;
    let (consumer, mut messages) = client.consume(&queue, false).await;
    client.publish("", &queue, "before").await;
    let first = next(&mut messages).await;
    client.channel.basic_cancel(BasicCancelArguments::new(&consumer)).await.unwrap();
    client.publish("", &queue, "after").await;
    client.ack(tag(&first)).await;
    assert_eq!(client.drain(&queue).await, ["after"]);
    assert!(messages.try_recv().is_err(), "the consumer got more");
}

async fn exclusive_queue_is_locked_for_others_405(broker: &Broker) {
    let (owner, connection) = (Client::of(broker).await, Client::of(broker).await.connection);
    let queue = name("queue");
    let exclusive = QueueDeclareArguments::new(&queue).exclusive(true).finish();
    owner.channel.queue_declare(exclusive.clone()).await.unwrap();
    for attempt in 0..5 {
        let mut other = Client::on(connection.clone()).await;
        let passive = QueueDeclareArguments::new(&queue).passive(true).finish();
        let refused = match attempt {
            0 => other.channel.queue_declare(exclusive.clone()).await.is_err(),
            1 => other.channel.queue_declare(passive).await.is_err(),
            2 => other.channel.basic_get(BasicGetArguments::new(&queue)).await.is_err(),
            3 => other.channel.queue_purge(QueuePurgeArguments::new(&queue)).await.is_err(),
            _ => other.channel.queue_delete(QueueDeleteArguments::new(&queue)).await.is_err(),
        };
        assert!(refused, "attempt {attempt}");
        assert_eq!(other.told().await, Told::Closed(405, locked(&queue)));
    }
}

async fn expired_message_is_dead_lettered(broker: &Broker) {
    let client = Client::of(broker).await;
    let graveyard = client.queue(broker, FieldTable::new()).await;
    let arguments = table([
        ("x-message-ttl", FieldValue::I(50)),
        ("x-dead-letter-exchange", long("")),
        ("x-dead-letter-routing-key", long(&graveyard)),
    ]);
    let queue = client.queue(broker, arguments).await;
    let (_, mut messages) = client.consume(&graveyard, true).await;
    client.publish("", &queue, "short life").await;
    let properties = next(&mut messages).await.basic_properties.unwrap();
    let Some(FieldValue::A(deaths)) =
        properties.headers().unwrap().get(&"x-death".try_into().unwrap())
    else {
        panic!("{properties:?}")
    };
    let deaths: Vec<FieldValue> = deaths.clone().into();
    let FieldValue::F(death) = &deaths[0] else { panic!("{deaths:?}") };
    for (field, expected) in [
        ("queue", long(&queue)),
        ("reason", long("expired")),
        ("count", FieldValue::l(1)),
        ("exchange", long("")),
        ("routing-keys", FieldValue::A(vec![long(&queue)].try_into().unwrap())),
    ] {
        assert_eq!(death.get(&field.try_into().unwrap()), Some(&expected), "{field}");
    }
}

async fn priority_queue_serves_the_highest_first(broker: &Broker) {
    let client = Client::of(broker).await;
    let queue = client.queue(broker, table([("x-max-priority", FieldValue::I(5))])).await;
    for priority in [1, 5, 0, 3, 5] {
        let properties = BasicProperties::default().with_priority(priority).finish();
        client.publish_with("", &queue, &priority.to_string(), properties).await;
    }
    assert_eq!(client.drain(&queue).await, ["5", "5", "3", "1", "0"]);
}

async fn every_header_type_survives(broker: &Broker) {
    let array: FieldArray = vec![FieldValue::I(1), long("text"), FieldValue::V].try_into().unwrap();
    let headers = table([
        ("longstr", long("żółw 🐢")),
        ("empty string", long("")),
        ("binary", FieldValue::x(vec![0, 255, 254].try_into().unwrap())),
        ("true", FieldValue::t(true)),
        ("int 8", FieldValue::b(i8::MIN)),
        ("uint 8", FieldValue::B(u8::MAX)),
        ("int 16", FieldValue::s(i16::MIN)),
        ("uint 16", FieldValue::u(u16::MAX)),
        ("int 32", FieldValue::I(i32::MIN)),
        ("uint 32", FieldValue::i(u32::MAX)),
        ("int 64", FieldValue::l(i64::MIN)),
        ("float", FieldValue::f(1.5)),
        ("double", FieldValue::d(std::f64::consts::PI)),
        ("decimal", FieldValue::D(DecimalValue::new(2, 1234))),
        ("timestamp", FieldValue::T(981_173_106)),
        ("void", FieldValue::V),
        ("table", FieldValue::F(table([("deep", FieldValue::F(table([])))]))),
        ("array", FieldValue::A(array)),
    ]);
    let client = Client::of(broker).await;
    let queue = client.queue(broker, FieldTable::new()).await;
    let properties = BasicProperties::default().with_headers(headers.clone()).finish();
    client.publish_with("", &queue, "x", properties).await;
    let (_, properties, _) = client.get(&queue, true).await.unwrap();
    assert_eq!(properties.headers(), Some(&headers));
}

async fn large_body_10_mib(broker: &Broker) {
    let client = Client::of(broker).await;
    let queue = client.queue(broker, FieldTable::new()).await;
    let body: String = (0..10 * 1024 * 1024_u32).map(|n| char::from((n % 127) as u8)).collect();
    client.publish("", &queue, &body).await;
    assert!(client.drain(&queue).await == [body], "the body came back changed");
}

async fn direct_reply_to(broker: &Broker) {
    let (server, client) = (Client::of(broker).await, Client::of(broker).await);
    let queue = server.queue(broker, FieldTable::new()).await;
    let (_, mut requests) = server.consume(&queue, true).await;
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let double = 2 * text(&request).parse::<u32>().unwrap();
            let asked = request.basic_properties.unwrap();
            let properties = BasicProperties::default()
                .with_correlation_id(asked.correlation_id().unwrap())
                .finish();
            server
                .publish_with("", asked.reply_to().unwrap(), &double.to_string(), properties)
                .await;
        }
    });
    let (_, mut replies) = client.consume("amq.rabbitmq.reply-to", true).await;
    for n in [30, 5, 12_u32] {
        let call = format!("call {n}");
        let properties = BasicProperties::default()
            .with_reply_to("amq.rabbitmq.reply-to")
            .with_correlation_id(&call)
            .finish();
        client.publish_with("", &queue, &n.to_string(), properties).await;
        let reply = next(&mut replies).await;
        assert_eq!(text(&reply), (2 * n).to_string());
        assert_eq!(reply.basic_properties.as_ref().unwrap().correlation_id(), Some(&call));
        let key = reply.deliver.as_ref().unwrap().routing_key().clone();
        assert!(key.starts_with("amq.rabbitmq.reply-to."), "{key}");
    }
}
