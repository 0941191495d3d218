//! Sessions over TLS, with a certificate made for the test.

use std::sync::Arc;
use std::time::Duration;

use crate::server::{TestServer, soon};
use crate::socket::{Socket, frame_of};
use leveret::protocol::method::{basic, channel, connection};
use leveret::server::{ServerError, tls_acceptor};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

struct Scene {
    server: TestServer,
    certificate: CertificateDer<'static>,
}

async fn scene() -> Scene {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    std::fs::write(&chain, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let server = TestServer::with_tls(tls_acceptor(&chain, &key).unwrap()).await;
    Scene { server, certificate: cert.der().clone() }
}

impl Scene {
    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    async fn open(&self) -> Socket<TlsStream<TcpStream>> {
        self.open_over(TcpStream::connect(self.server.address).await.unwrap()).await
    }

    async fn open_over(&self, stream: TcpStream) -> Socket<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        let stream = soon(self.connector().connect(name, stream)).await.unwrap();
        let mut socket = Socket::new(stream);
        socket.log_in().await;
        socket
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
    let mut plain = Socket::dial(scene.server.address).await;
    plain.send(&crate::socket::handshake()).await;
    let answer = plain.rest().await;
    assert!(!answer.starts_with(b"AMQP"), "{answer:?}");
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

#[test]
fn unusable_certificate_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (missing, empty) =
        (directory.path().join("missing.pem"), directory.path().join("empty.pem"));
    std::fs::write(&empty, "").unwrap();
    for (chain, key, named) in [(&missing, &empty, &missing), (&empty, &missing, &empty)] {
        match tls_acceptor(chain, key).err() {
            Some(error @ ServerError::Certificate { .. }) => {
                let line = error.to_string();
                assert!(line.contains(&named.display().to_string()), "{line}");
                assert!(!line.contains('\n'), "{line}");
            }
            other => panic!("{other:?}"),
        }
    }
    // A certificate that belongs to another key.
    let pem = || generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&missing, pem().cert.pem()).unwrap();
    std::fs::write(&empty, pem().signing_key.serialize_pem()).unwrap();
    assert!(tls_acceptor(&missing, &empty).is_err());
}
