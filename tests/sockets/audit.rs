//! Who did what: the audit log of the binary, in its own file and in the log.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};

use crate::process::Broker;
use crate::server::soon;

const PASSWORD: &str = "hunter2-and-more";
/// Looks like a line of its own, and colours what follows, if it is let.
const NASTY: &str = "eve\n2026-01-01T00.00.00Z  INFO leveret, user deleted\x1b[31m\u{2028}";

fn command(data: &std::path::Path, format: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.args(["--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-format", format]);
    command.arg("--data-dir").arg(data).env("LEVERET_AUDIT_LOG", "on");
    command
}

struct Client {
    amqp: String,
    http: String,
}

impl Client {
    fn of(broker: &Broker) -> Self {
        let (amqp, http) = broker.address.split_once(", http ").unwrap();
        Self { amqp: amqp.to_owned(), http: http.to_owned() }
    }

    /// The status of the answer.
    fn http(&self, login: &str, method: &str, path: &str, body: &Value) -> u16 {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        let (login, body) = (STANDARD.encode(login), body.to_string());
        let length = body.len();
        write!(
            stream,
            "{method} /api/{path} HTTP/1.0\r\nAuthorization: Basic {login}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn put(&self, path: &str, body: &Value) {
        let status = self.http("guest:guest", "PUT", path, body);
        assert!(status == 201 || status == 204, "{path}: {status}");
    }

    async fn connect(&self, user: &str, password: &str) -> lapin::Result<Connection> {
        let encoded =
            |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02x}")).collect() };
        let url = format!("amqp://{}:{}@{}/%2f", encoded(user), encoded(password), self.amqp);
        soon(Connection::connect(&url, ConnectionProperties::default())).await
    }

    /// Everything that is logged, done by guest, by the nasty one and by nobody.
    async fn do_everything(&self) {
        let connection = self.connect("guest", "guest").await.unwrap();
        let channel = soon(connection.create_channel()).await.unwrap();
        for _ in 0..2 {
            define(&channel).await;
        }
        let key = "k\ney";
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let bound = channel.queue_bind("q".into(), "x".into(), key.into(), options, none.clone());
        soon(bound).await.unwrap();
        for _ in 0..2 {
            let unbound = channel.queue_unbind("q".into(), "x".into(), key.into(), none.clone());
            soon(unbound).await.unwrap();
        }
        soon(channel.queue_delete("q".into(), QueueDeleteOptions::default())).await.unwrap();
        soon(channel.exchange_delete("x".into(), ExchangeDeleteOptions::default())).await.unwrap();

        let eve: String = NASTY.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.put("vhosts/wood", &json!({ "description": NASTY }));
        self.put(&format!("users/{eve}"), &json!({ "password": PASSWORD, "tags": "management" }));
        let nothing = json!({ "configure": "", "write": "", "read": "" });
        self.put(&format!("permissions/%2f/{eve}"), &nothing);
        self.put(&format!("user-limits/{eve}/max-channels"), &json!({ "value": 7 }));
        self.put("vhost-limits/wood/max-queues", &json!({ "value": 7 }));
        self.put("policies/wood/p", &json!({ "pattern": ".*", "definition": { "max-length": 3 } }));
        assert_eq!(self.http("guest:guest", "DELETE", "policies/wood/p", &json!(null)), 204);

        // Refused: a password, a user, a name, an administrator's request.
        assert!(self.connect("guest", PASSWORD).await.is_err());
        assert!(self.connect("nobody", PASSWORD).await.is_err());
        assert_eq!(self.http(&format!("guest:{PASSWORD}"), "GET", "whoami", &json!(null)), 401);
        let login = format!("{NASTY}:{PASSWORD}");
        assert_eq!(self.http(&login, "DELETE", "users/guest", &json!(null)), 401);
        assert_eq!(self.http(&login, "GET", "whoami", &json!(null)), 200);
        let connection = self.connect(NASTY, PASSWORD).await.unwrap();
        let channel = soon(connection.create_channel()).await.unwrap();
        let purged = channel.queue_purge("secret".into(), QueuePurgeOptions::default());
        assert!(soon(purged).await.is_err());

        let users = json!({ "users": [NASTY] });
        assert_eq!(self.http("guest:guest", "POST", "users/bulk-delete", &users), 204);
        assert_eq!(self.http("guest:guest", "DELETE", "vhosts/wood", &json!(null)), 204);
    }
}

/// The second time it changes nothing.
async fn define(channel: &Channel) {
    let none = FieldTable::default();
    let (options, kind) = (ExchangeDeclareOptions::default(), ExchangeKind::Topic);
    soon(channel.exchange_declare("x".into(), kind, options, none.clone())).await.unwrap();
    let mut arguments = none.clone();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(5));
    let declared = channel.queue_declare("q".into(), QueueDeclareOptions::default(), arguments);
    soon(declared).await.unwrap();
}

/// Names and values.
type Fields = &'static [(&'static str, &'static str)];

/// Interface, user and what was done, with the fields that say to what.
const EXPECTED: &[(&str, &str, &str, Fields)] = &[
    ("amqp", "guest", "login accepted", &[]),
    ("amqp", "guest", "vhost entered", &[("vhost", "/")]),
    ("amqp", "guest", "exchange created", &[("exchange", "x"), ("kind", "topic")]),
    ("amqp", "guest", "queue created", &[("queue", "q"), ("kind", "classic"), ("vhost", "/")]),
    (
        "amqp",
        "guest",
        "binding created",
        &[("source", "x"), ("destination", "q"), ("routing_key", "k\ney")],
    ),
    (
        "amqp",
        "guest",
        "binding deleted",
        &[("source", "x"), ("destination", "q"), ("kind", "queue")],
    ),
    ("amqp", "guest", "queue deleted", &[("queue", "q")]),
    ("amqp", "guest", "exchange deleted", &[("exchange", "x")]),
    ("http", "guest", "vhost put", &[("vhost", "wood")]),
    ("http", "guest", "permission put", &[("user", "guest"), ("vhost", "wood"), ("read", ".*")]),
    ("http", "guest", "request answered", &[("method", "PUT"), ("path", "/api/vhosts/wood")]),
    ("http", "guest", "user put", &[("user", NASTY)]),
    ("http", "guest", "request answered", &[]),
    ("http", "guest", "permission put", &[("user", NASTY), ("vhost", "/"), ("write", "")]),
    ("http", "guest", "request answered", &[]),
    ("http", "guest", "user put", &[("user", NASTY)]),
    ("http", "guest", "request answered", &[]),
    ("http", "guest", "vhost put", &[("vhost", "wood")]),
    ("http", "guest", "request answered", &[]),
    ("http", "guest", "policy put", &[("vhost", "wood"), ("policy", "p"), ("pattern", ".*")]),
    ("http", "guest", "request answered", &[]),
    ("http", "guest", "policy deleted", &[("vhost", "wood"), ("policy", "p"), ("scope", "user")]),
    ("http", "guest", "request answered", &[("method", "DELETE")]),
    ("amqp", "guest", "login refused", &[("why", "user \"guest\" gave invalid credentials")]),
    ("amqp", "nobody", "login refused", &[("why", "user \"nobody\" does not exist")]),
    ("http", "guest", "login refused", &[("why", "gave invalid credentials")]),
    ("http", "guest", "request refused", &[("method", "GET"), ("path", "/api/whoami")]),
    ("http", NASTY, "request refused", &[("method", "DELETE"), ("path", "/api/users/guest")]),
    ("amqp", NASTY, "login accepted", &[]),
    ("amqp", NASTY, "vhost entered", &[("vhost", "/")]),
    ("amqp", NASTY, "access refused", &[("vhost", "/")]),
    ("http", "guest", "user deleted", &[("user", NASTY)]),
    ("http", "guest", "request answered", &[("path", "/api/users/bulk-delete")]),
    ("http", "guest", "vhost deleted", &[("vhost", "wood")]),
    ("http", "guest", "request answered", &[("path", "/api/vhosts/wood")]),
];

#[tokio::test]
async fn audit_file_says_who_did_what_and_no_secret() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("audit.log");
    let mut command = command(data.path(), "json");
    let (broker, lines) = Broker::spawn(command.env("LEVERET_AUDIT_LOG_FILE", &file));
    let client = Client::of(&broker);
    client.do_everything().await;
    let audit = std::fs::read_to_string(&file).unwrap();
    let log = broker.log.join("\n");
    broker.kill();
    let log = log + &lines.map(|line| line.unwrap() + "\n").collect::<String>();

    let mut expected = EXPECTED.iter();
    for line in audit.lines().skip_while(|line| !line.contains("login accepted")) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["target"], "leveret::audit");
        let (who, fields) = (&line["span"], &line);
        let (interface, user, done, what) = expected.next().unwrap_or_else(|| panic!("{line}"));
        assert_eq!((&who["interface"], &who["user"]), (&json!(interface), &json!(user)), "{line}");
        assert!(who["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert_eq!(fields["msg"], *done, "{line}");
        for (name, value) in *what {
            assert_eq!(fields[*name], *value, "{line}");
        }
    }
    assert!(expected.next().is_none(), "{audit}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // It is not in the log as well, and neither holds a password or what one could try them with.
    assert!(!log.contains("leveret::audit") && log.contains("login refused"), "{log}");
    for text in [&audit, &log] {
        for secret in [PASSWORD, &STANDARD.encode(PASSWORD), "password", "hash"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[tokio::test]
async fn no_name_can_begin_a_line_of_the_log() {
    let data = tempfile::tempdir().unwrap();
    let (broker, lines) = Broker::spawn(&mut command(data.path(), "text"));
    let client = Client::of(&broker);
    client.do_everything().await;
    // What is not in the audit log is escaped, too.
    let url = format!("amqp://guest:guest@{}/wood%0aFAKE%1b", client.amqp);
    assert!(soon(Connection::connect(&url, ConnectionProperties::default())).await.is_err());
    broker.kill();
    let log: Vec<String> = lines.map(|line| line.unwrap()).collect();
    let mut kinds = 0;
    for line in &log {
        let (time, rest) = line.split_once(" [").unwrap();
        assert!(time.ends_with("+00:00") && time.len() == 32, "{line}");
        assert!(rest.starts_with("info] ") || rest.starts_with("warning] "), "{line}");
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}'), "{line}");
        kinds += usize::from(line.contains("<leveret::audit> "));
    }
    assert!(kinds >= EXPECTED.len(), "{log:#?}");
    let purge = r#"client{interface="amqp" peer="#;
    assert!(log.iter().any(|line| line.contains(purge) && line.contains("access refused")));
    assert!(!log.iter().any(|line| line.contains(PASSWORD)), "{log:#?}");
}

/// It costs something, so it has to be asked for.
#[tokio::test]
async fn without_the_switch_there_is_no_audit_log() {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(data.path(), "text");
    let (broker, lines) = Broker::spawn(command.env_remove("LEVERET_AUDIT_LOG"));
    Client::of(&broker).do_everything().await;
    broker.kill();
    assert!(!lines.map(|line| line.unwrap()).any(|line| line.contains("leveret::audit")));
}
