//! Tokens as clients of the binary meet them: over AMQP with lapin and over HTTP, with keys from files and
//! from a server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::key_server::KeyServer;
use crate::process::Broker;
use crate::server::soon;
use crate::token::Signer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

const ALL: &str = "rabbit.configure:*/* rabbit.write:*/* rabbit.read:*/*";

struct Running {
    _broker: Broker,
    amqp: String,
    http: String,
    _data: tempfile::TempDir,
}

/// A broker that asks its users first and for tokens then, with further keys of its configuration.
fn start(config: &str) -> Running {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("leveret.toml");
    let common =
        "auth_backends = ['internal', 'oauth2']\nauth_oauth2_resource_server_id = 'rabbit'";
    std::fs::write(&file, format!("{common}\n{config}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    let args = ["--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"];
    command.env_clear().args(args).arg(data.path().join("data")).arg("--config").arg(file);
    let broker = Broker::start_command(&mut command);
    let (amqp, http) = broker.address.split_once(", http ").unwrap();
    let (amqp, http) = (amqp.to_owned(), http.to_owned());
    Running { _broker: broker, amqp, http, _data: data }
}

/// One that has the key of `signer` in a file.
fn start_with_file(signer: &Signer) -> Running {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), signer.jwks("k")).unwrap();
    start(&format!("auth_oauth2_jwks_file = '{}'", keys.path().display()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn bobs(scope: &str) -> Value {
    json!({ "sub": "bob", "aud": ["rabbit"], "scope": scope, "exp": now() + 600 })
}

impl Running {
    async fn connect(&self, password: &str) -> Result<Connection, lapin::Error> {
        let uri = format!("amqp://whoever:{password}@{}/%2f", self.amqp);
        soon(Connection::connect(&uri, ConnectionProperties::default())).await
    }

    /// Status and body of the answer.
    fn ask(&self, authorization: &str, path: &str) -> (u16, String) {
        self.send(authorization, "GET", path, "")
    }

    fn send(&self, authorization: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let mut socket = TcpStream::connect(&self.http).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let request = format!(
            "{method} /api/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: {authorization}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

#[tokio::test]
async fn token_works_as_password_and_is_renewed() {
    let signer = Signer::rsa();
    let running = start_with_file(&signer);
    let connection = running.connect(&signer.token("k", &bobs(ALL))).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let (none, options) = (FieldTable::default(), QueueDeclareOptions::default());
    channel.queue_declare("q".into(), options, none.clone()).await.unwrap();
    let publish = async |channel: &lapin::Channel| {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let published = channel.basic_publish("".into(), "q".into(), options, b"one", properties);
        published.await.unwrap().await
    };
    assert!(soon(publish(&channel)).await.unwrap().is_ack());

    let next = signer.token("k", &bobs("rabbit.write:*/amq.default"));
    soon(connection.update_secret(next.as_str().into(), "soon over".into())).await.unwrap();
    assert!(soon(publish(&channel)).await.unwrap().is_ack());
    let refused = soon(channel.queue_declare("r".into(), options, none)).await.unwrap_err();
    let text = "configure access to queue 'r' in vhost '/' refused for user 'bob'";
    assert!(refused.to_string().contains(text), "{refused}");

    let wrong = signer.token("k", &json!({ "sub": "eve", "aud": "rabbit", "scope": ALL }));
    let refused = soon(connection.update_secret(wrong.as_str().into(), "".into())).await;
    let text = "New secret was refused by one of the backends";
    assert!(refused.unwrap_err().to_string().contains(text));

    // Users go on as before, and nobody else comes in.
    let guest = format!("amqp://guest:guest@{}/%2f", running.amqp);
    soon(Connection::connect(&guest, ConnectionProperties::default())).await.unwrap();
    running.connect(&Signer::p256().token("k", &bobs(ALL))).await.unwrap_err();
    running.connect("guest").await.unwrap_err();
}

#[tokio::test]
async fn connection_is_closed_when_its_token_is_over() {
    let signer = Signer::p256();
    let running = start_with_file(&signer);
    let mut claims = bobs(ALL);
    // The leeway counts: a second or two are left.
    claims["exp"] = (now() - 3).into();
    let connection = running.connect(&signer.token("k", &claims)).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let closed = async {
        while connection.status().connected() {
            tokio::task::yield_now().await;
        }
    };
    soon(closed).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap_err();
    claims["exp"] = (now() - 10).into();
    running.connect(&signer.token("k", &claims)).await.unwrap_err();
}

#[test]
fn api_takes_tokens_as_bearer_and_as_password() {
    let signer = Signer::ed25519();
    let running = start_with_file(&signer);
    let token = |scope: &str| signer.token("k", &bobs(scope));
    let bearer = |scope: &str| format!("Bearer {}", token(scope));
    let basic =
        |scope: &str| format!("Basic {}", STANDARD.encode(format!("whoever:{}", token(scope))));
    for authorization in [bearer("rabbit.tag:administrator"), basic("rabbit.tag:administrator")] {
        let expected = (200, r#"{"name":"bob","tags":["administrator"]}"#.to_owned());
        assert_eq!(running.ask(&authorization, "whoami"), expected);
        assert_eq!(running.ask(&authorization, "users/guest").0, 200);
    }
    let manager = "rabbit.tag:management rabbit.read:%2F/*";
    for (authorization, path, expected) in [
        (bearer(manager), "whoami", 200),
        (bearer(manager).replacen("Bearer", "bearer", 1), "whoami", 200),
        (bearer(manager), "users", 401),
        (bearer(manager), "aliveness-test/%2F", 200),
        (bearer("rabbit.tag:management"), "aliveness-test/%2F", 401),
        (bearer("rabbit.read:*/*"), "whoami", 401),
        (format!("Bearer {}x", token(manager)), "whoami", 401),
        ("Bearer ".to_owned(), "whoami", 401),
        ("Bearer guest".to_owned(), "whoami", 401),
        ("Bearer Z3Vlc3Q6Z3Vlc3Q=".to_owned(), "whoami", 401),
        (format!("Basic {}", STANDARD.encode("guest:guest")), "whoami", 200),
    ] {
        assert_eq!(running.ask(&authorization, path).0, expected, "{authorization} {path}");
    }
}

/// What may be done through the API is said by the token too, and not by a user who is called like it.
#[test]
fn api_goes_by_the_tokens_scopes() {
    let signer = Signer::ed25519();
    let running = start_with_file(&signer);
    for (scope, expected) in [
        ("rabbit.tag:management rabbit.read:%2F/*", 401),
        ("rabbit.tag:management rabbit.write:%2F/amq.default", 200),
    ] {
        let claims = json!({ "sub": "guest", "aud": "rabbit", "scope": scope });
        let bearer = format!("Bearer {}", signer.token("k", &claims));
        let body =
            r#"{"properties":{},"routing_key":"q","payload":"","payload_encoding":"string"}"#;
        let path = "exchanges/%2F/amq.default/publish";
        let answer = running.send(&bearer, "POST", path, body);
        assert_eq!(answer.0, expected, "{scope}: {}", answer.1);
    }
}

#[tokio::test]
async fn keys_are_fetched_again_when_they_change() {
    let (first, second) = (Signer::p256(), Signer::ed25519());
    let server = KeyServer::start();
    server.answer("/keys", &first.jwks("1"));
    let place = json!({ "issuer": server.url("/realm"), "jwks_uri": server.url("/keys") });
    server.answer("/realm/.well-known/openid-configuration", &place.to_string());
    let running = start(&format!("auth_oauth2_issuer = '{}'", server.url("/realm/")));
    // Right after the start: whoever comes before the keys waits for them.
    running.connect(&first.token("1", &bobs(ALL))).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked, ["/realm/.well-known/openid-configuration", "/keys"]);
    // An unknown key so soon is not worth another fetch.
    running.connect(&second.token("2", &bobs(ALL))).await.unwrap_err();
    assert_eq!(server.asked(), asked);

    server.answer("/keys", &second.jwks("2"));
    let rotated = async { while running.connect(&second.token("2", &bobs(ALL))).await.is_err() {} };
    // Somebody asks after the pause, and is let in with the keys that come.
    soon(rotated).await;
    assert_eq!(server.asked().len(), 4);
    running.connect(&first.token("1", &bobs(ALL))).await.unwrap_err();

    // The server fails: what is known goes on.
    server.answer_raw("/keys", "HTTP/1.1 500 Oops\r\n\r\n");
    running.connect(&second.token("2", &bobs(ALL))).await.unwrap();
}

#[tokio::test]
async fn broker_serves_its_users_without_the_key_server() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let endless = "x".repeat(300 * 1024);
    let server = KeyServer::start();
    server.answer("/endless", &endless);
    server.answer("/none", r#"{"keys":[]}"#);
    server.answer("/html", "<html>");
    server.answer_raw("/moved", "HTTP/1.1 302 Found\r\nLocation: /keys\r\n\r\n");
    server.answer_raw("/garbage", "SSH-2.0-OpenSSH_9.2\r\n");
    let signer = Signer::p256();
    // A secret that everybody can fetch is none.
    server.answer("/secret", &Signer::secret().jwks("k"));
    let places = ["/endless", "/none", "/html", "/moved", "/garbage", "/secret", "/missing"];
    let places = places.map(|path| server.url(path));
    for url in places.into_iter().chain([format!("http://{closed}/keys")]) {
        let running = start(&format!("auth_oauth2_jwks_url = '{url}'"));
        let token = signer.token("k", &bobs(ALL));
        running.connect(&token).await.expect_err(&url);
        running.connect(&Signer::secret().token("k", &bobs(ALL))).await.expect_err(&url);
        let guest = format!("amqp://guest:guest@{}/%2f", running.amqp);
        soon(Connection::connect(&guest, ConnectionProperties::default())).await.unwrap();
        assert_eq!(running.ask(&format!("Bearer {token}"), "whoami").0, 401);
    }
}

/// A server that gives out one document over TLS, and its certificate in PEM.
async fn tls_key_server(body: String) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust it goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (address, made.cert.pem())
}

#[tokio::test]
async fn key_server_has_to_be_vouched_for() {
    let signer = Signer::p384();
    let (address, certificate) = tls_key_server(signer.jwks("k")).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let url = format!("auth_oauth2_jwks_url = 'https://{address}/keys'");
    let trusted = format!("{url}\nauth_oauth2_https_cacertfile = '{}'", file.path().display());
    let token = signer.token("k", &bobs(ALL));
    start(&trusted).connect(&token).await.unwrap();
    start(&url).connect(&token).await.unwrap_err();
}

/// In PEM, as openssl writes it.
#[tokio::test]
async fn signing_keys_are_public_keys_or_certificates() {
    let made = rcgen::generate_simple_self_signed(["id".to_owned()]).unwrap();
    let pkcs8 = made.signing_key.serialize_der();
    let signer = Signer::p256_of(&pkcs8);
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("a.pem"), directory.path().join("b.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.public_key_pem()).unwrap();
    let running = start(&format!(
        "auth_oauth2_signing_keys = ['a={}', 'b={}']",
        certificate.display(),
        key.display()
    ));
    for kid in ["a", "b"] {
        running.connect(&signer.token(kid, &bobs(ALL))).await.expect(kid);
    }
    running.connect(&signer.token("c", &bobs(ALL))).await.unwrap_err();
}

#[test]
fn unusable_key_files_are_named() {
    let data = tempfile::tempdir().unwrap();
    let (missing, broken) = (data.path().join("missing"), data.path().join("broken"));
    std::fs::write(&broken, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
        .unwrap();
    for (key, file) in [
        ("JWKS_FILE", &missing),
        ("JWKS_FILE", &broken),
        ("SIGNING_KEYS", &missing),
        ("SIGNING_KEYS", &broken),
        ("HTTPS_CACERTFILE", &missing),
        ("HTTPS_CACERTFILE", &broken),
    ] {
        let path = file.display().to_string();
        let value = if key == "SIGNING_KEYS" { format!("k={path}") } else { path.clone() };
        let output = Command::new(env!("CARGO_BIN_EXE_leveret"))
            .env_clear()
            .env("LEVERET_AUTH_BACKENDS", "oauth2")
            .env("LEVERET_AUTH_OAUTH2_RESOURCE_SERVER_ID", "rabbit")
            .env("LEVERET_AUTH_OAUTH2_ISSUER", "https://127.0.0.1:1")
            .env(format!("LEVERET_AUTH_OAUTH2_{key}"), value)
            .args(["--amqp", "127.0.0.1:0", "--http", "none", "--data-dir"])
            .arg(data.path().join("data"))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with(&format!("leveret: cannot use {path}: ")), "{said}");
    }
}
