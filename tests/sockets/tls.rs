//! Sessions over TLS, with certificates made for the test.

use std::sync::Arc;
use std::time::Duration;

use crate::certificates::{Authority, Directory, Issued, client, expired};
use crate::server::{TestServer, soon};
use crate::socket::{Socket, frame_of, handshake_of};
use leveret::auth::{PasswordHash, Patterns, User, UserLimits, unheard};
use leveret::broker::Limits;
use leveret::config::{LoginFrom, TlsVersion, Verify};
use leveret::protocol::Method;
use leveret::protocol::method::{basic, channel, connection};
use leveret::server::Listen;
use leveret::session::Offer;
use leveret::transport::tls::{Options, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, version};

/// A server with certificates of its own authority.
struct Scene {
    authority: Authority,
    directory: Directory,
    tls: Arc<Tls>,
    server: TestServer,
}

async fn scene() -> Scene {
    scene_with(Offer::default(), |_| {}).await
}

async fn scene_with(offer: Offer, change: impl FnOnce(&mut Options)) -> Scene {
    let authority = Authority::new("Test CA");
    let directory = Directory::new(&authority);
    let mut options = directory.options();
    change(&mut options);
    let tls = Arc::new(Tls::load(options).unwrap());
    let plain = Listen::plain("127.0.0.1:0".parse().unwrap());
    let listen = Listen { tls: Some(Arc::clone(&tls)), ..plain };
    let server = TestServer::listening(Limits::default(), offer, listen).await;
    Scene { authority, directory, tls, server }
}

/// Clients are asked for certificates.
fn asking(options: &mut Options) {
    options.verify = Verify::Peer;
}

type Stream = TlsStream<TcpStream>;

impl Scene {
    async fn open(&self) -> Socket<Stream> {
        self.open_over(TcpStream::connect(self.server.address).await.unwrap()).await
    }

    async fn open_over(&self, stream: TcpStream) -> Socket<Stream> {
        let stream = connect_over(stream, self.authority.connector(None)).await.unwrap();
        let mut socket = Socket::new(stream);
        socket.log_in().await;
        socket
    }

    /// TLS is up, if the client thinks so. In TLS 1.3 the server may think otherwise.
    async fn connect(&self, config: ClientConfig) -> std::io::Result<Socket<Stream>> {
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        connect_over(stream, config).await.map(Socket::new)
    }

    /// What a client with this certificate is offered to log in with; `None` when it is turned away.
    async fn mechanisms(&self, own: Option<&Issued>) -> Option<String> {
        let mut socket = self.connect(self.authority.connector(own)).await.ok()?;
        socket.send(b"AMQP\x00\x00\x09\x01").await;
        let start = socket.maybe_frame().await?;
        match start.method() {
            Method::Connection(connection::Method::Start(start)) => {
                Some(String::from_utf8(start.mechanisms.to_vec()).unwrap())
            }
            other => panic!("expected start, got {other:?}"),
        }
    }

    /// Logs in by certificate: the refusal, if there is one.
    async fn log_in(&self, own: Option<&Issued>) -> Result<(), (u16, String)> {
        let mut socket = self.connect(self.authority.connector(own)).await.unwrap();
        socket.send(&handshake_of("EXTERNAL", b"")).await;
        socket.frame().await;
        let answer = socket.frame().await;
        match answer.method() {
            Method::Connection(connection::Method::Tune(_)) => {
                socket.frame().await;
                socket.call(1, channel::Open {}, channel::OpenOk {}).await;
                Ok(())
            }
            Method::Connection(connection::Method::Close(close)) => {
                Err((close.reply_code, close.reply_text.to_owned()))
            }
            other => panic!("expected tune or close, got {other:?}"),
        }
    }

    /// A user without a password who may do everything.
    fn add_user(&self, name: &str) {
        let user = User {
            name: name.into(),
            password: PasswordHash::none(),
            tags: Vec::new(),
            limits: UserLimits::default(),
        };
        let authenticator = &self.server.authenticator;
        authenticator.put_user(user, unheard());
        authenticator.permit(&name.into(), &"/".into(), Patterns::EVERYTHING, unheard()).unwrap();
    }
}

async fn connect_over(stream: TcpStream, config: ClientConfig) -> std::io::Result<Stream> {
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

#[tokio::test]
async fn connections_say_how_they_are_encrypted_and_by_whom() {
    let scene = scene_with(Offer::default(), asking).await;
    scene.add_user("CN=till");
    let own = scene.authority.client("till");
    for (versions, protocol, key_exchange) in
        [(&[&version::TLS13][..], "tlsv1.3", "any"), (&[&version::TLS12], "tlsv1.2", "ecdhe_")]
    {
        let config = scene.authority.connector_of(versions, Some(&own));
        let mut socket = scene.connect(config).await.unwrap();
        socket.log_in().await;
        let connections = scene.server.broker.connections();
        let tls = connections.iter().find_map(|connected| connected.client.tls.clone()).unwrap();
        assert_eq!(tls.protocol, protocol);
        assert!(tls.key_exchange.starts_with(key_exchange), "{tls:?}");
        assert!(!tls.cipher.is_empty() && tls.hash.starts_with("sha"), "{tls:?}");
        let shown = tls.certificate.clone().unwrap();
        assert_eq!((&*shown.subject, &*shown.issuer), ("CN=till", "CN=Test CA"));
        assert!(shown.validity.contains("Z - "), "{shown:?}");
        drop(socket);
        // It is gone before the next one comes.
        soon(async {
            while !scene.server.broker.connections().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn sessions_work_over_tls() {
    let scene = scene().await;
    let (mut one, mut other) = (scene.open().await, scene.open().await);
    one.declare("q").await;
    other.consume("q", false).await;
    for size in [0, 5, 20_000, 300_000] {
        one.publish("q", &vec![7; size]).await;
        let (delivery_tag, body) = other.message().await;
        assert_eq!(body, vec![7; size]);
        other.say(1, basic::Ack { delivery_tag, multiple: false }).await;
    }
    let close = connection::Close { reply_code: 200, ..connection::Close::default() };
    other.call(0, close, connection::CloseOk {}).await;
    assert!(other.rest().await.is_empty());
    one.call(2, channel::Open {}, channel::OpenOk {}).await;
}

/// A client that takes its time: what TLS has taken in and the socket has not must be written as soon
/// as there is room, though nothing else happens on this connection any more.
#[tokio::test]
async fn last_bytes_for_a_slow_reader_are_not_held_back() {
    let scene = scene().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = soon(socket.connect(scene.server.address)).await.unwrap();
    let mut slow = scene.open_over(stream).await;
    slow.declare("q").await;
    let mut publisher = scene.open().await;
    for size in [3_000_000, 5_000_000, 4_000_001] {
        publisher.publish("q", &vec![7; size]).await;
        scene.server.until("it is published", || scene.server.counts("q").ready == 1).await;
        slow.send(&frame_of(1, basic::Get { queue: "q", no_ack: true })).await;
        scene.server.until("it is under way", || scene.server.counts("q").ready == 0).await;
        assert_eq!(slow.message().await.1.len(), size);
    }
}

#[tokio::test]
async fn whoever_does_not_speak_tls_is_turned_away() {
    let scene = scene().await;
    for junk in [&crate::socket::handshake()[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 5000]] {
        let mut plain = Socket::dial(scene.server.address).await;
        plain.send(junk).await;
        let answer = plain.rest().await;
        assert!(!answer.starts_with(b"AMQP"), "{answer:?}");
    }
    // A handshake that begins well.
    let mut plain = Socket::dial(scene.server.address).await;
    plain.send(&[0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0xff, 0xff, 0xff, 0xff]).await;
    assert!(!plain.rest().await.starts_with(b"AMQP"));
    scene.open().await;
}

/// A client that begins a TLS handshake and stops is none that others have to wait for.
#[tokio::test]
async fn half_a_tls_handshake_holds_up_nobody() {
    let scene = scene().await;
    let mut half_open = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(scene.server.address).await.unwrap();
        stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
        half_open.push(stream);
    }
    scene.open().await;
    // Nor does the server's end wait for them.
    let stopped = tokio::time::timeout(Duration::from_secs(3), scene.server.server.stop());
    assert!(stopped.await.is_ok(), "clients that never logged in held the server up");
}

#[tokio::test]
async fn handshake_that_never_ends_is_ended() {
    let offer = Offer { handshake_timeout: Duration::from_millis(200), ..Offer::default() };
    let scene = scene_with(offer, |_| {}).await;
    for begun in [&[][..], &[0x16, 0x03, 0x01, 0x02, 0x00]] {
        let mut stream = TcpStream::connect(scene.server.address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn new_certificate_is_for_new_connections() {
    let scene = scene().await;
    let mut old = scene.open().await;
    let renewed = Authority::new("Next CA");
    scene.directory.install(&renewed, &renewed.server());
    // Nobody has said so yet.
    scene.open().await;
    scene.tls.reload(scene.directory.options()).unwrap();
    assert!(scene.connect(scene.authority.connector(None)).await.is_err(), "the old certificate");
    scene.connect(renewed.connector(None)).await.unwrap().log_in().await;
    old.call(2, channel::Open {}, channel::OpenOk {}).await;

    // What is wrong is reported, and changes nothing.
    let other = Authority::new("Other CA").server();
    for (file, content) in [
        ("server.key", "no key"),
        ("server.key", &*other.key),
        ("server.pem", "no certificate"),
        ("server.pem", &renewed.server().certificate),
        ("ca.pem", ""),
    ] {
        scene.directory.install(&renewed, &renewed.server());
        std::fs::write(scene.directory.path(file), content).unwrap();
        let mut options = scene.directory.options();
        asking(&mut options);
        let error = scene.tls.reload(options).unwrap_err().to_string();
        assert!(error.starts_with("cannot use ") && !error.contains('\n'), "{error}");
        scene.connect(renewed.connector(None)).await.unwrap().log_in().await;
    }
    old.call(3, channel::Open {}, channel::OpenOk {}).await;
}

#[tokio::test]
async fn versions_are_those_that_are_allowed() {
    let (v12, v13) = (&version::TLS12, &version::TLS13);
    for (allowed, spoken, is_accepted) in [
        (vec![TlsVersion::Tls12, TlsVersion::Tls13], v12, true),
        (vec![TlsVersion::Tls12, TlsVersion::Tls13], v13, true),
        (vec![TlsVersion::Tls13], v12, false),
        (vec![TlsVersion::Tls13], v13, true),
        (vec![TlsVersion::Tls12], v12, true),
        (vec![TlsVersion::Tls12], v13, false),
    ] {
        let said = format!("{allowed:?} {:?}", spoken.version);
        let scene = scene_with(Offer::default(), |options| options.versions = allowed).await;
        let connected = scene.connect(scene.authority.connector_of(&[spoken], None)).await;
        assert_eq!(connected.is_ok(), is_accepted, "{said}");
        if let Ok(mut socket) = connected {
            socket.log_in().await;
        }
    }
}

const BOTH: &str = "PLAIN AMQPLAIN";
const ALL: &str = "PLAIN AMQPLAIN EXTERNAL";

/// EXTERNAL is offered where a certificate can be there, also to those who have none: they learn why.
#[tokio::test]
async fn client_certificates_are_verified() {
    let stranger = Authority::new("Test CA");
    for (verify, is_required) in
        [(Verify::None, false), (Verify::Peer, false), (Verify::Peer, true)]
    {
        let change = |options: &mut Options| {
            options.verify = verify;
            options.fail_if_no_peer_cert = is_required;
        };
        let scene = scene_with(Offer::default(), change).await;
        let good = scene.authority.client("till");
        let unknown = stranger.client("till");
        let expired = scene.authority.issue(&expired(client("till")));
        // A server's certificate is no client's.
        let mut server = client("till");
        server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let server = scene.authority.issue(&server);
        let bad = if verify == Verify::None { Some(BOTH) } else { None };
        let none = if is_required { None } else { Some(ALL) };
        for (own, expected) in [
            (Some(&good), if verify == Verify::None { Some(BOTH) } else { Some(ALL) }),
            (None, if verify == Verify::None { Some(BOTH) } else { none }),
            (Some(&unknown), bad),
            (Some(&expired), bad),
            (Some(&server), bad),
        ] {
            let offered = scene.mechanisms(own).await;
            assert_eq!(offered.as_deref(), expected, "{verify:?} {is_required}");
        }
    }
}

fn refused() -> Result<(), (u16, String)> {
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. For \
                details see the broker logfile.";
    Err((403, text.to_owned()))
}

#[tokio::test]
async fn certificate_logs_in_as_the_user_it_names() {
    let scene = scene_with(Offer::default(), asking).await;
    let till = scene.authority.client("till");
    assert_eq!(scene.log_in(Some(&till)).await, refused(), "there is no such user");
    scene.add_user("till");
    assert_eq!(scene.log_in(Some(&till)).await, refused(), "that is only a part of the name");
    scene.add_user("CN=till");
    assert_eq!(scene.log_in(Some(&till)).await, Ok(()));
    assert_eq!(scene.log_in(None).await, refused());
    assert_eq!(scene.log_in(Some(&scene.authority.client("mouse"))).await, refused());

    // Which name it is can be changed while it runs.
    let mut options = scene.directory.options();
    asking(&mut options);
    options.login.from = LoginFrom::CommonName;
    scene.tls.reload(options.clone()).unwrap();
    assert_eq!(scene.log_in(Some(&till)).await, Ok(()), "by its common name");
    options.login.from = LoginFrom::SubjectAlternativeName;
    scene.tls.reload(options).unwrap();
    assert_eq!(scene.log_in(Some(&till)).await, refused(), "it has no other name");
    let mut named = client("nobody");
    named.subject_alt_names = vec![rcgen::SanType::DnsName("till".try_into().unwrap())];
    assert_eq!(scene.log_in(Some(&scene.authority.issue(&named))).await, Ok(()));
}

/// A session that is resumed shows no certificate, so none is: who was let in before an authority was
/// taken away, or before the certificate expired, is asked again.
#[tokio::test]
async fn sessions_of_verified_clients_are_not_resumed() {
    use tokio_rustls::rustls::HandshakeKind;

    for version in [&version::TLS12, &version::TLS13] {
        for verify in [Verify::None, Verify::Peer] {
            let scene = scene_with(Offer::default(), |options| options.verify = verify).await;
            let own = scene.authority.client("till");
            let config = scene.authority.connector_of(&[version], Some(&own));
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let mut socket = scene.connect(config.clone()).await.unwrap();
                // Tickets come with the first bytes.
                socket.log_in().await;
                kinds.push(socket.stream.get_ref().1.handshake_kind().unwrap());
            }
            let again =
                if verify == Verify::None { HandshakeKind::Resumed } else { HandshakeKind::Full };
            assert_eq!(kinds, [HandshakeKind::Full, again], "{verify:?}");
        }
    }
}

#[test]
fn unusable_certificate_files_are_named() {
    let authority = Authority::new("Test CA");
    for (file, content) in [
        ("server.pem", None),
        ("server.pem", Some("")),
        ("server.key", None),
        ("server.key", Some("")),
        // It belongs to another certificate.
        ("server.key", Some(&*authority.server().key)),
        ("ca.pem", None),
        ("ca.pem", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
    ] {
        let directory = Directory::new(&authority);
        let path = directory.path(file);
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let mut options = directory.options();
        asking(&mut options);
        let line = Tls::load(options).map(drop).unwrap_err().to_string();
        assert!(line.starts_with(&format!("cannot use {}: ", path.display())), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}
