//! Limits per second over real sockets, by a real clock.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use leveret::broker::VhostMetadata;

use crate::server::{TestServer, soon};

const RATE: u32 = 200;

fn limit(server: &TestServer, metadata: VhostMetadata) {
    let done = || -> Box<dyn FnOnce(Result<(), leveret::storage::StoreError>) + Send> {
        Box::new(|result| result.unwrap())
    };
    server.broker.put_vhost(&"/".into(), metadata, &done);
}

#[tokio::test]
async fn lapin_publishes_as_fast_as_it_may_and_loses_nothing() {
    let server = TestServer::start().await;
    let url = server.url();
    let connect = || soon(Connection::connect(&url, ConnectionProperties::default()));
    let (connection, consuming) = (connect().await.unwrap(), connect().await.unwrap());
    let channel = soon(connection.create_channel()).await.unwrap();
    let (options, arguments) = (QueueDeclareOptions::default(), FieldTable::default());
    soon(channel.queue_declare("q".into(), options, arguments.clone())).await.unwrap();
    let consumer = soon(consuming.create_channel()).await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let deliveries = consumer.basic_consume("q".into(), "".into(), options, arguments);
    let mut deliveries = soon(deliveries).await.unwrap();

    let metadata = VhostMetadata { message_rate_max: Some(RATE), ..Default::default() };
    limit(&server, metadata);
    let (started, count) = (Instant::now(), 2 * RATE);
    for n in 0..count {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let body = n.to_string();
        let sent =
            channel.basic_publish("".into(), "q".into(), options, body.as_bytes(), properties);
        soon(sent).await.unwrap();
    }
    for n in 0..count {
        let delivery = soon(deliveries.next()).await.unwrap().unwrap();
        assert_eq!(delivery.data, n.to_string().as_bytes());
    }
    // The first second's worth came at once, the second one in a second.
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(990), "{took:?}");
}

#[tokio::test]
async fn lapin_is_told_that_it_connects_too_often() {
    let server = TestServer::start().await;
    limit(&server, VhostMetadata { connection_rate_max: Some(0), ..Default::default() });
    let url = server.url();
    let refused = Connection::connect(&url, ConnectionProperties::default());
    let error = soon(refused).await.unwrap_err().to_string();
    let text = "access to vhost '/' refused for user 'guest': connection rate limit (0 per second) is reached";
    assert!(error.contains(text), "{error}");
}
