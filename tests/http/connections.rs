//! `/api/connections`, `/api/channels`, `/api/consumers`, over a real broker with real clients.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

use super::api::{Answer, basic, connect, read_answer};

/// The real binary, killed at the end.
struct Running {
    child: Child,
    amqp: String,
    http: String,
    _data: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_leveret"))
            .env_clear()
            .args(["serve", "--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_ready = |line: &Result<String, _>| line.as_ref().unwrap().contains(" ready: ");
        let ready = lines.find(is_ready).unwrap().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let after = |word: &str| {
            let (_, rest) = ready.split_once(word).unwrap();
            rest.split(',').next().unwrap().to_owned()
        };
        Self { amqp: after("amqp "), http: after(", http "), child, _data: data }
    }

    fn ask_as(&self, user: &str, method: &str, path: &str, head: &str, body: &str) -> Answer {
        let mut socket = connect(self.http.parse().unwrap());
        let request = format!(
            "{method} /api/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n{head}\
             Content-Length: {}\r\n\r\n{body}",
            basic(user, user),
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        read_answer(&mut socket)
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask_as("guest", "GET", path, "", "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    fn put(&self, path: &str, body: &str) {
        let answer = self.ask_as("guest", "PUT", path, "", body);
        assert!(answer.status == 201 || answer.status == 204, "{path}: {answer:?}");
    }

    async fn connect(&self, user: &str, name: &str) -> Connection {
        let uri = format!("amqp://{user}:{user}@{}/%2f", self.amqp);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        Connection::connect(&uri, properties).await.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn encoded(name: &str) -> String {
    name.replace(' ', "%20").replace('>', "%3E").replace(':', "%3A")
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_shown_as_they_are() {
    let running = Running::start();
    let connection = running.connect("guest", "my client").await;
    let channel = connection.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("q".into(), durable, FieldTable::default()).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel.basic_qos(7, BasicQosOptions::default()).await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), AMQPValue::LongInt(5));
    let options = BasicConsumeOptions::default();
    let _consumer =
        channel.basic_consume("q".into(), "tag".into(), options, arguments).await.unwrap();
    for _ in 0..2 {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        let published =
            channel.basic_publish("".into(), "q".into(), options, b"x", properties).await.unwrap();
        published.await.unwrap();
    }

    let all = running.get("connections");
    let shown = &all[0];
    let name = shown["name"].as_str().unwrap().to_owned();
    let (peer, local) = name.split_once(" -> ").unwrap();
    assert_eq!(local, running.amqp);
    let peer_port: u64 = peer.rsplit_once(':').unwrap().1.parse().unwrap();
    for (key, expected) in [
        ("user", json!("guest")),
        ("vhost", json!("/")),
        ("protocol", json!("AMQP 0-9-1")),
        ("type", json!("network")),
        ("auth_mechanism", json!("PLAIN")),
        ("user_provided_name", json!("my client")),
        ("host", json!("127.0.0.1")),
        ("peer_host", json!("127.0.0.1")),
        ("peer_port", json!(peer_port)),
        ("state", json!("running")),
        ("channels", json!(1)),
        ("ssl", json!(false)),
        ("timeout", json!(60)),
        ("frame_max", json!(131_072)),
        ("channel_max", json!(2047)),
    ] {
        assert_eq!(shown[key], expected, "{key}");
    }
    assert_eq!(shown["client_properties"]["connection_name"], "my client");
    assert!(shown["connected_at"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(&running.get(&format!("connections/{}", encoded(&name))), shown);
    for path in ["vhosts/%2F/connections", "connections/username/guest", "connections?sort=state"] {
        assert_eq!(&running.get(path), &all, "{path}");
    }
    assert_eq!(running.get("connections?page=1&sort=channels")["items"], all);

    let channel_name = format!("{name} (1)");
    let channels = running.get("channels");
    for (key, expected) in [
        ("name", json!(channel_name)),
        ("number", json!(1)),
        ("user", json!("guest")),
        ("vhost", json!("/")),
        ("state", json!("running")),
        ("confirm", json!(true)),
        ("transactional", json!(false)),
        ("consumer_count", json!(1)),
        ("prefetch_count", json!(7)),
        ("global_prefetch_count", json!(0)),
        ("messages_unacknowledged", json!(2)),
        ("messages_unconfirmed", json!(0)),
        (
            "connection_details",
            json!({"name": name, "peer_host": "127.0.0.1", "peer_port": peer_port}),
        ),
    ] {
        assert_eq!(channels[0][key], expected, "{key}");
    }
    for path in [format!("connections/{}/channels", encoded(&name)), "vhosts/%2F/channels".into()] {
        assert_eq!(running.get(&path), channels, "{path}");
    }

    let consumers = running.get("consumers");
    assert_eq!(
        consumers,
        json!([{
            "consumer_tag": "tag", "queue": {"name": "q", "vhost": "/"}, "active": true,
            "activity_status": "up", "ack_required": true, "exclusive": false, "prefetch_count": 7,
            "consumer_timeout": 1_800_000, "arguments": {"x-priority": 5},
            "channel_details": {
                "name": channel_name, "number": 1, "connection_name": name, "user": "guest",
                "node": channels[0]["node"], "peer_host": "127.0.0.1", "peer_port": peer_port,
            },
        }])
    );
    assert_eq!(running.get("consumers/%2F"), consumers);
    let one = running.get(&format!("channels/{}", encoded(&channel_name)));
    assert_eq!(one["consumer_details"], consumers);
    let queue = running.get("queues/%2F/q");
    assert_eq!(queue["consumer_details"], consumers);
    assert_eq!((&queue["consumers"], &queue["messages_unacknowledged"]), (&json!(1), &json!(2)));
    connection.close(200, "bye".into()).await.unwrap();
    assert_eq!(running.get("connections"), json!([]));
    let gone = running.ask_as("guest", "GET", &format!("connections/{}", encoded(&name)), "", "");
    assert_eq!(gone.status, 404);
}

/// Deletes until the client is told, and says what it was told.
async fn told(connection: &Connection) -> String {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let mut events = connection.events_listener();
    tokio::spawn(async move {
        use futures_util::StreamExt;
        while let Some(event) = events.next().await {
            if let lapin::Event::Error(error) = event
                && let Some(tell) = tell.lock().unwrap().take()
            {
                let _ = tell.send(error.to_string());
            }
        }
    });
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_says_why() {
    let running = Running::start();
    for (path_is_user, head, expected) in [
        (false, "X-Reason: go away\r\n", "CONNECTION_FORCED - go away"),
        (false, "", "CONNECTION_FORCED - Closed via management plugin"),
        (true, "X-Reason: all of you\r\n", "CONNECTION_FORCED - all of you"),
    ] {
        let connection = running.connect("guest", "x").await;
        let name = running.get("connections")[0]["name"].as_str().unwrap().to_owned();
        let path = match path_is_user {
            true => "connections/username/guest".to_owned(),
            false => format!("connections/{}", encoded(&name)),
        };
        let waiting = told(&connection);
        let close = async { running.ask_as("guest", "DELETE", &path, head, "") };
        let (told, answer) = tokio::join!(waiting, close);
        answer.expect(204, "");
        assert!(told.contains(expected), "{told}");
    }
    let nobody = running.ask_as("guest", "DELETE", "connections/username/nobody", "", "");
    nobody.expect(204, "");
    assert_eq!(running.ask_as("guest", "DELETE", "connections/none", "", "").status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_see_their_own_and_monitors_all() {
    let running = Running::start();
    for (user, tags) in [("hare", "management"), ("owl", "monitoring"), ("fox", "management")] {
        running
            .put(&format!("users/{user}"), &format!(r#"{{"password":"{user}","tags":"{tags}"}}"#));
        let everything = r#"{"configure":".*","write":".*","read":".*"}"#;
        running.put(&format!("permissions/%2F/{user}"), everything);
    }
    let hare = running.connect("hare", "h").await;
    let _channel = hare.create_channel().await.unwrap();
    let guest = running.connect("guest", "g").await;
    let _other = guest.create_channel().await.unwrap();
    for (user, expected) in [("guest", 2), ("owl", 2), ("hare", 1), ("fox", 0)] {
        for list in ["connections", "channels", "vhosts/%2F/connections", "vhosts/%2F/channels"] {
            let answer = running.ask_as(user, "GET", list, "", "");
            assert_eq!(answer.json().as_array().unwrap().len(), expected, "{user} {list}");
        }
    }
    let name = running.get("connections/username/hare")[0]["name"].as_str().unwrap().to_owned();
    let path = format!("connections/{}", encoded(&name));
    for (user, method, status) in [
        ("hare", "GET", 200),
        ("owl", "GET", 200),
        ("fox", "GET", 401),
        ("owl", "DELETE", 401),
        ("fox", "DELETE", 401),
        ("hare", "DELETE", 204),
    ] {
        assert_eq!(running.ask_as(user, method, &path, "", "").status, status, "{user} {method}");
    }
    let others = running.ask_as("fox", "DELETE", "connections/username/hare", "", "");
    assert_eq!(others.status, 401);
    drop((guest, ShortString::from("")));
}
