//! Publishers blocked by an alarm, over real sockets, and what makes the binary raise one (behaviour B11).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::process::Broker;
use crate::server::{TestServer, soon};
use crate::socket::{Socket, frame_of, publish, raw_frame};
use futures_util::{Stream, StreamExt};
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Event,
    PublisherConfirm,
};
use leveret::broker::Resource;
use leveret::protocol::Method;
use leveret::protocol::method::basic;

/// What the client hears of being blocked.
async fn notice(events: &mut (impl Stream<Item = Event> + Unpin)) -> Option<String> {
    loop {
        match soon(events.next()).await.expect("the connection goes on") {
            Event::ConnectionBlocked(reason) => return Some(reason),
            Event::ConnectionUnblocked => return None,
            _ => {}
        }
    }
}

async fn send(channel: &Channel, body: &[u8]) -> PublisherConfirm {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let sent = channel.basic_publish("".into(), "q".into(), options, body, properties);
    soon(sent).await.unwrap()
}

async fn declare(channel: &Channel, name: &str) {
    let declared =
        channel.queue_declare(name.into(), QueueDeclareOptions::default(), FieldTable::default());
    soon(declared).await.unwrap();
}

async fn connect(url: &str) -> Connection {
    soon(Connection::connect(url, ConnectionProperties::default())).await.unwrap()
}

#[tokio::test]
async fn lapin_is_told_and_its_message_arrives_when_the_alarm_is_over() {
    let server = TestServer::start().await;
    let (publishing, consuming) = (connect(&server.url()).await, connect(&server.url()).await);
    let mut events = publishing.events_listener();
    let publisher = soon(publishing.create_channel()).await.unwrap();
    soon(publisher.confirm_select(ConfirmSelectOptions::default())).await.unwrap();
    let consumer = soon(consuming.create_channel()).await.unwrap();
    declare(&consumer, "q").await;
    let confirm = soon(send(&publisher, b"before").await).await.unwrap();
    assert!(matches!(confirm, Confirmation::Ack(None)));

    server.broker.alarms.set(Resource::Disk, true);
    let confirm = send(&publisher, b"during").await;
    assert_eq!(notice(&mut events).await.as_deref(), Some("low on disk"));

    // The other connection goes on: declares, deliveries, acknowledgements.
    declare(&consumer, "other").await;
    let options = BasicConsumeOptions::default();
    let consumed = consumer.basic_consume("q".into(), "".into(), options, FieldTable::default());
    let mut deliveries = soon(consumed).await.unwrap();
    let delivery = soon(deliveries.next()).await.unwrap().unwrap();
    assert_eq!(delivery.data, b"before");
    soon(delivery.acker.ack(BasicAckOptions::default())).await.unwrap();
    let acknowledged = || server.counts("q").unacked == 0;
    server.until("the acknowledgement arrives", acknowledged).await;
    assert_eq!(server.broker.alarms.blocked_count(), 1);

    server.broker.alarms.set(Resource::Disk, false);
    assert_eq!(notice(&mut events).await, None);
    assert!(matches!(soon(confirm).await.unwrap(), Confirmation::Ack(None)));
    assert_eq!(soon(deliveries.next()).await.unwrap().unwrap().data, b"during");
}

/// What was read already and not handled is not lost, and its order is kept.
#[tokio::test]
async fn all_that_a_client_sent_before_it_noticed_arrives_in_order() {
    let server = TestServer::start().await;
    let mut publisher = Socket::open(server.address).await;
    let mut consumer = Socket::open(server.address).await;
    consumer.declare("q").await;
    consumer.consume("q", true).await;
    let bodies: Vec<Vec<u8>> = (0..500u32)
        .map(|n| {
            let mut body = n.to_string().into_bytes();
            body.resize(if n % 50 == 7 { 200_000 } else { 10 + n as usize % 200 }, b'.');
            body
        })
        .collect();
    let all: Vec<u8> = bodies.iter().flat_map(|body| publish("q", body)).collect();
    let get = basic::Get { queue: "q", no_ack: true };
    let all = [all, frame_of(1, get), raw_frame(8, 0, b"")].concat();
    for rounds in 1..=3 {
        server.broker.alarms.set(Resource::Memory, true);
        let sending = publisher.send(&all);
        let watching = async {
            server.until("it is blocked", || server.broker.alarms.blocked_count() == 1).await;
            // The alarm comes and goes: each time it gets a little further.
            for _ in 0..rounds {
                server.broker.alarms.set(Resource::Memory, false);
                server.broker.alarms.set(Resource::Memory, true);
            }
            server.broker.alarms.set(Resource::Memory, false);
        };
        let receiving = async {
            for body in &bodies {
                assert!(consumer.message().await.1 == *body);
            }
        };
        tokio::join!(sending, watching, receiving);
        let answer = publisher.frame().await;
        assert!(matches!(answer.method(), Method::Basic(basic::Method::GetEmpty(_))));
    }
}

fn start(data: &Path, variable: (&str, &str), http: &str) -> Broker {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.args(["--amqp", "127.0.0.1:0", "--http", http, "--data-dir"]).arg(data);
    Broker::start_command(command.env(variable.0, variable.1))
}

#[tokio::test]
async fn binary_with_too_little_disk_or_memory_blocks_publishers_from_the_start() {
    for (key, value, reason, resource) in [
        ("LEVERET_DISK_FREE_LIMIT", "1000000 GB", "low on disk", "disk"),
        ("LEVERET_MEMORY_HIGH_WATERMARK", "1 MiB", "low on memory", "memory"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let broker = start(data.path(), (key, value), "127.0.0.1:0");
        let said = format!("{resource} resource limit alarm set");
        assert!(broker.log.iter().any(|line| line.contains(&said)), "{:#?}", broker.log);
        let (amqp, http) = broker.address.split_once(", http ").unwrap();
        let connection = connect(&format!("amqp://guest:guest@{amqp}/%2f")).await;
        let mut events = connection.events_listener();
        let channel = soon(connection.create_channel()).await.unwrap();
        declare(&channel, "q").await;
        send(&channel, b"x").await;
        assert_eq!(notice(&mut events).await.as_deref(), Some(reason));

        let mut stream = TcpStream::connect(http).unwrap();
        let request = "GET /api/health/checks/alarms HTTP/1.0\r\n\
                       Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 503 ") || answer.starts_with("HTTP/1.1 503 "));
        assert!(answer.contains(&format!("\"resource\":\"{resource}")), "{answer}");
        broker.kill();
    }
}
