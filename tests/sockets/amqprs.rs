//! The client amqprs over real sockets: the same needs as lapin's users have, said otherwise. It tells
//! of confirms, returns and closes through callbacks, as many clients do.

use crate::server::{TestServer, soon};
use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
use amqprs::channel::*;
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::error::Error;
use amqprs::{Ack, BasicProperties, Cancel, Close, CloseChannel, Nack, Return};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Result<T> = std::result::Result<T, Error>;

/// What the server says out of turn.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Acked(u64, bool),
    Nacked(u64),
    Returned(u16, String, Vec<u8>),
    ChannelClosed(u16, String),
    Cancelled(String),
    ConnectionClosed(u16, String),
}

struct Ear(UnboundedSender<Told>);

#[async_trait::async_trait]
impl ChannelCallback for Ear {
    async fn close(&mut self, _channel: &Channel, close: CloseChannel) -> Result<()> {
        let _ = self.0.send(Told::ChannelClosed(close.reply_code(), close.reply_text().clone()));
        Ok(())
    }

    async fn cancel(&mut self, _channel: &Channel, cancel: Cancel) -> Result<()> {
        let _ = self.0.send(Told::Cancelled(cancel.consumer_tag().clone()));
        Ok(())
    }

    async fn flow(&mut self, _channel: &Channel, active: bool) -> Result<bool> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _channel: &Channel, ack: Ack) {
        let _ = self.0.send(Told::Acked(ack.delivery_tag(), ack.mutiple()));
    }

    async fn publish_nack(&mut self, _channel: &Channel, nack: Nack) {
        let _ = self.0.send(Told::Nacked(nack.delivery_tag()));
    }

    async fn publish_return(
        &mut self,
        _channel: &Channel,
        returned: Return,
        _properties: BasicProperties,
        content: Vec<u8>,
    ) {
        let _ = self.0.send(Told::Returned(
            returned.reply_code(),
            returned.reply_text().clone(),
            content,
        ));
    }
}

#[async_trait::async_trait]
impl ConnectionCallback for Ear {
    async fn close(&mut self, _connection: &Connection, close: Close) -> Result<()> {
        let _ = self.0.send(Told::ConnectionClosed(close.reply_code(), close.reply_text().clone()));
        Ok(())
    }

    async fn blocked(&mut self, _connection: &Connection, _reason: String) {}

    async fn unblocked(&mut self, _connection: &Connection) {}

    async fn secret_updated(&mut self, _connection: &Connection) {}
}

/// A connection with a channel, and what it is told.
struct Client {
    connection: Connection,
    channel: Channel,
    told: UnboundedReceiver<Told>,
}

impl Client {
    async fn connect(server: &TestServer) -> Self {
        let address = server.address;
        let host = address.ip().to_string();
        let arguments = OpenConnectionArguments::new(&host, address.port(), "guest", "guest");
        let connection = soon(Connection::open(&arguments)).await.unwrap();
        let (send, told) = unbounded_channel();
        connection.register_callback(Ear(send.clone())).await.unwrap();
        let channel = soon(connection.open_channel(None)).await.unwrap();
        channel.register_callback(Ear(send)).await.unwrap();
        Self { connection, channel, told }
    }

    async fn declare(&self, queue: &str) {
        soon(self.channel.queue_declare(QueueDeclareArguments::new(queue))).await.unwrap();
    }

    async fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        self.publish_with(BasicPublishArguments::new(exchange, key), body).await;
    }

    async fn publish_with(&self, arguments: BasicPublishArguments, body: &[u8]) {
        let properties = BasicProperties::default();
        let sent = self.channel.basic_publish(properties, body.to_vec(), arguments);
        soon(sent).await.unwrap();
    }

    async fn consume(&self, queue: &str) -> UnboundedReceiver<ConsumerMessage> {
        let arguments = BasicConsumeArguments::new(queue, "").manual_ack(true).finish();
        soon(self.channel.basic_consume_rx(arguments)).await.unwrap().1
    }

    async fn ack(&self, delivery_tag: u64) {
        let ack = BasicAckArguments::new(delivery_tag, false);
        soon(self.channel.basic_ack(ack)).await.unwrap();
    }

    async fn told(&mut self) -> Told {
        soon(self.told.recv()).await.unwrap()
    }
}

/// Delivery tag, redelivered, body.
async fn next(consumer: &mut UnboundedReceiver<ConsumerMessage>) -> (u64, bool, String) {
    let message = soon(consumer.recv()).await.expect("the consumer ended");
    let deliver = message.deliver.unwrap();
    let body = String::from_utf8(message.content.unwrap()).unwrap();
    (deliver.delivery_tag(), deliver.redelivered(), body)
}

#[tokio::test]
async fn every_publish_is_confirmed_once() {
    let server = TestServer::start().await;
    let mut client = Client::connect(&server).await;
    client.declare("q").await;
    soon(client.channel.confirm_select(ConfirmSelectArguments::default())).await.unwrap();
    for _ in 0..200 {
        client.publish("", "q", b"precious").await;
    }
    let mut confirmed = 0;
    while confirmed < 200 {
        match client.told().await {
            Told::Acked(tag, multiple) => {
                assert!(tag > confirmed && (multiple || tag == confirmed + 1), "{tag} {multiple}");
                confirmed = tag;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.counts("q").ready, 200);
}

#[tokio::test]
async fn unroutable_mandatory_publish_comes_back_before_its_confirm() {
    let server = TestServer::start().await;
    let mut client = Client::connect(&server).await;
    soon(client.channel.confirm_select(ConfirmSelectArguments::default())).await.unwrap();
    let arguments = BasicPublishArguments::new("amq.topic", "nobody").mandatory(true).finish();
    client.publish_with(arguments, b"lost").await;
    let returned = Told::Returned(312, "NO_ROUTE".to_owned(), b"lost".to_vec());
    assert_eq!(client.told().await, returned);
    assert_eq!(client.told().await, Told::Acked(1, false));
}

#[tokio::test]
async fn workers_take_turns_and_acknowledge() {
    let server = TestServer::start().await;
    let boss = Client::connect(&server).await;
    boss.declare("tasks").await;
    let mut workers = Vec::new();
    for _ in 0..3 {
        let worker = Client::connect(&server).await;
        soon(worker.channel.basic_qos(BasicQosArguments::new(0, 2, false))).await.unwrap();
        let tasks = worker.consume("tasks").await;
        workers.push((worker, tasks));
    }
    for task in 0..30 {
        boss.publish("", "tasks", task.to_string().as_bytes()).await;
    }
    // From here on, whoever acknowledges is the only one with room.
    server
        .until("all are there", || server.queue("tasks").unwrap().stats.counts().publish == 30)
        .await;
    let mut done = Vec::new();
    for _ in 0..10 {
        for (worker, tasks) in &mut workers {
            let (delivery_tag, redelivered, task) = next(tasks).await;
            assert!(!redelivered);
            done.push(task.parse::<u32>().unwrap());
            worker.ack(delivery_tag).await;
        }
    }
    done.sort_unstable();
    assert_eq!(done, (0..30).collect::<Vec<u32>>());
    server.until("all are settled", || server.counts("tasks").unacked == 0).await;
}

#[tokio::test]
async fn exchanges_route_by_their_kind() {
    let server = TestServer::start().await;
    let client = Client::connect(&server).await;
    for (queue, exchange) in [("f1", "amq.fanout"), ("f2", "amq.fanout"), ("t", "amq.topic")] {
        client.declare(queue).await;
        let bind = QueueBindArguments::new(queue, exchange, "a.*");
        soon(client.channel.queue_bind(bind)).await.unwrap();
    }
    client.publish("amq.fanout", "zzz", b"all").await;
    client.publish("amq.topic", "a.b", b"some").await;
    client.publish("amq.topic", "a.b.c", b"none").await;
    client.publish("amq.headers", "a.b", b"none").await;
    client.declare("f1").await;
    assert_eq!(["f1", "f2", "t"].map(|queue| server.counts(queue).ready), [1, 1, 1]);
}

#[tokio::test]
async fn refused_delivery_comes_again_and_rejected_one_does_not() {
    let server = TestServer::start().await;
    let client = Client::connect(&server).await;
    client.declare("q").await;
    client.publish("", "q", b"hot").await;
    let mut consumer = client.consume("q").await;
    let (first, redelivered, _) = next(&mut consumer).await;
    assert!(!redelivered);
    let nack = BasicNackArguments::new(first, false, true);
    soon(client.channel.basic_nack(nack)).await.unwrap();
    let (again, redelivered, body) = next(&mut consumer).await;
    assert_eq!((again, redelivered, body.as_str()), (first + 1, true, "hot"));
    soon(client.channel.basic_reject(BasicRejectArguments::new(again, false))).await.unwrap();
    server.until("it is gone", || server.counts("q").unacked == 0).await;
    assert_eq!(server.counts("q").ready, 0);
}

#[tokio::test]
async fn consumer_is_told_when_its_queue_is_deleted() {
    let server = TestServer::start().await;
    let (mut client, other) = (Client::connect(&server).await, Client::connect(&server).await);
    client.declare("q").await;
    let arguments = BasicConsumeArguments::new("q", "mine").manual_ack(true).finish();
    let _consumer = soon(client.channel.basic_consume_rx(arguments)).await.unwrap();
    soon(other.channel.queue_delete(QueueDeleteArguments::new("q"))).await.unwrap();
    assert_eq!(client.told().await, Told::Cancelled("mine".to_owned()));
}

#[tokio::test]
async fn errors_close_the_channel_and_leave_the_connection() {
    let server = TestServer::start().await;
    let mut client = Client::connect(&server).await;
    let owner = Client::connect(&server).await;
    let exclusive = QueueDeclareArguments::new("mine").exclusive(true).finish();
    soon(owner.channel.queue_declare(exclusive)).await.unwrap();
    assert!(soon(client.channel.queue_purge(QueuePurgeArguments::new("mine"))).await.is_err());
    let text = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost \
                '/'. It could be originally declared on another connection or the exclusive \
                property value does not match that of the original declaration.";
    assert_eq!(client.told().await, Told::ChannelClosed(405, text.to_owned()));
    client.channel = soon(client.connection.open_channel(None)).await.unwrap();
    client.declare("q").await;
}

#[tokio::test]
async fn transactions_take_effect_when_they_are_committed() {
    let server = TestServer::start().await;
    let client = Client::connect(&server).await;
    client.declare("q").await;
    soon(client.channel.tx_select()).await.unwrap();
    client.publish("", "q", b"dropped").await;
    soon(client.channel.tx_rollback()).await.unwrap();
    client.publish("", "q", b"kept").await;
    assert_eq!(server.counts("q").ready, 0);
    soon(client.channel.tx_commit()).await.unwrap();
    assert_eq!(server.counts("q").ready, 1);
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    let server = TestServer::start().await;
    let client = Client::connect(&server).await;
    client.declare("q").await;
    let body = "0123456789abcdef".repeat(640 * 1024);
    client.publish("", "q", body.as_bytes()).await;
    let mut consumer = client.consume("q").await;
    let (_, _, received) = next(&mut consumer).await;
    assert!(received == body, "{} bytes came", received.len());
}

#[tokio::test]
async fn server_that_stops_says_so() {
    let server = TestServer::start().await;
    let mut client = Client::connect(&server).await;
    soon(server.server.stop()).await;
    let text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
    assert_eq!(client.told().await, Told::ConnectionClosed(320, text.to_owned()));
}
