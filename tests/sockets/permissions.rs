//! Users and permissions as operators and clients see them: made over HTTP, used over AMQP, kept over a
//! kill.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::process::Broker;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};

struct Running {
    broker: Broker,
    amqp: String,
    http: String,
}

fn start(data: &std::path::Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    let args = ["--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"];
    let broker = Broker::start_command(command.env_clear().args(args).arg(data));
    let (amqp, http) = broker.address.split_once(", http ").unwrap();
    let (amqp, http) = (amqp.to_owned(), http.to_owned());
    Running { broker, amqp, http }
}

impl Running {
    /// The status of the answer. `user` is name and password.
    fn ask(&self, user: &str, method: &str, path: &str, body: &str) -> u16 {
        let mut socket = TcpStream::connect(&self.http).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (credentials, length) = (STANDARD.encode(user), body.len());
        let request = format!(
            "{method} /api/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Basic {credentials}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn connect(&self, user: &str, vhost: &str) -> Result<Connection, lapin::Error> {
        let uri = format!("amqp://{user}@{}/{vhost}", self.amqp);
        Connection::connect(&uri, ConnectionProperties::default()).await
    }
}

/// The code and the text of the close that an error stands for.
fn close(error: &lapin::Error) -> String {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => {
            format!("{} {}", error.get_id(), error.get_message())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn user_of_one_vhost_does_what_is_permitted_also_after_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let running = start(data.path());
    for (path, body, status) in [
        ("users/orders", r#"{"password":"s3cret","tags":""}"#, 201),
        ("users/boss", r#"{"password":"b0ss","tags":"administrator"}"#, 201),
        ("vhosts/shop", r#"{"description":"sells"}"#, 201),
        (
            "permissions/shop/orders",
            r#"{"configure":"^orders","write":"^(amq\\.default|orders)","read":"^orders"}"#,
            201,
        ),
    ] {
        assert_eq!(running.ask("guest:guest", "PUT", path, body), status, "{path}");
    }
    assert_eq!(running.ask("boss:b0ss", "DELETE", "users/guest", ""), 204);
    assert_eq!(running.ask("guest:guest", "GET", "whoami", ""), 401);
    running.broker.kill();

    let running = start(data.path());
    running.connect("guest:guest", "shop").await.unwrap_err();
    running.connect("orders:wrong", "shop").await.unwrap_err();
    let elsewhere = running.connect("orders:s3cret", "%2f").await.unwrap_err();
    assert_eq!(
        close(&elsewhere),
        "530 NOT_ALLOWED - access to vhost '/' refused for user 'orders'"
    );
    let connection = running.connect("orders:s3cret", "shop").await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let (durable, none) =
        (QueueDeclareOptions { durable: true, ..Default::default() }, FieldTable::default());
    channel.queue_declare("orders".into(), durable, none.clone()).await.unwrap();
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let publish = channel.basic_publish("".into(), "orders".into(), options, b"1", properties);
    assert!(publish.await.unwrap().await.unwrap().is_ack());
    let refused = channel.queue_declare("bills".into(), durable, none).await.unwrap_err();
    let text = "configure access to queue 'bills' in vhost 'shop' refused for user 'orders'";
    assert_eq!(close(&refused), format!("403 ACCESS_REFUSED - {text}"));

    // Deleted, it is out at once.
    assert_eq!(running.ask("boss:b0ss", "DELETE", "users/orders", ""), 204);
    while connection.status().connected() {
        tokio::task::yield_now().await;
    }
    running.connect("orders:s3cret", "shop").await.unwrap_err();
    assert_eq!(running.ask("boss:b0ss", "DELETE", "vhosts/shop", ""), 204);
    running.broker.kill();
    let running = start(data.path());
    assert_eq!(running.ask("boss:b0ss", "GET", "vhosts/shop", ""), 404);
    assert_eq!(running.ask("boss:b0ss", "GET", "users/orders", ""), 404);
    assert_eq!(running.ask("boss:b0ss", "GET", "vhosts/%2F", ""), 200);
}
