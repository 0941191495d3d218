//! Clients behind a proxy: the header in front says who they are, and nothing goes without it.

use std::sync::Arc;
use std::time::Duration;

use crate::certificates::{Authority, Directory};
use crate::server::{TestServer, soon};
use crate::socket::{Socket, handshake};
use leveret::broker::Limits;
use leveret::protocol::Method;
use leveret::protocol::method::connection;
use leveret::server::Listen;
use leveret::session::Offer;
use leveret::transport::tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

async fn server(patience: Duration, tls: Option<Arc<Tls>>) -> TestServer {
    let plain = Listen::plain("127.0.0.1:0".parse().unwrap());
    let listen = Listen { tls, behind_proxy: true, ..plain };
    let offer = Offer { handshake_timeout: patience, ..Offer::default() };
    TestServer::listening(Limits::default(), offer, listen).await
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, rest].concat()
}

/// Whether guest gets in, who may only come from this machine.
async fn is_let_in<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>) -> bool {
    socket.frame().await;
    match socket.frame().await.method() {
        Method::Connection(connection::Method::Tune(_)) => true,
        Method::Connection(connection::Method::Close(close)) => {
            assert_eq!(close.reply_code, 403);
            false
        }
        other => panic!("expected tune or close, got {other:?}"),
    }
}

/// The proxy is on this machine; that makes nobody else local.
#[tokio::test]
async fn address_of_the_header_is_that_of_the_client() {
    let server = server(Duration::from_secs(10), None).await;
    let far = [203, 0, 113, 9, 127, 0, 0, 1, 0x1f, 0x90, 0x16, 0x28];
    let near = [127, 0, 0, 7, 203, 0, 113, 1, 0x1f, 0x90, 0x16, 0x28];
    for (header, expected) in [
        (b"PROXY TCP4 203.0.113.9 127.0.0.1 8080 5672\r\n".to_vec(), false),
        (b"PROXY TCP4 127.0.0.1 203.0.113.1 8080 5672\r\n".to_vec(), true),
        (b"PROXY TCP6 2001:db8::9 ::1 8080 5672\r\n".to_vec(), false),
        (b"PROXY TCP6 ::ffff:127.0.0.1 ::1 8080 5672\r\n".to_vec(), true),
        (b"PROXY UNKNOWN\r\n".to_vec(), false),
        (v2(0x21, 0x11, &far), false),
        (v2(0x21, 0x11, &near), true),
        (v2(0x21, 0x00, &[]), false),
        // The proxy itself, which is here.
        (v2(0x20, 0x00, &[]), true),
    ] {
        let mut socket = Socket::dial(server.address).await;
        socket.send(&[&header[..], &handshake()].concat()).await;
        assert_eq!(is_let_in(&mut socket).await, expected, "{header:?}");
    }
}

#[tokio::test]
async fn tls_comes_behind_the_header() {
    let authority = Authority::new("Test CA");
    let directory = Directory::new(&authority);
    let tls = Arc::new(Tls::load(directory.options()).unwrap());
    let server = server(Duration::from_secs(10), Some(tls)).await;
    for (source, expected) in [("203.0.113.9", false), ("127.0.0.1", true)] {
        let mut socket = Socket::dial(server.address).await;
        let header = format!("PROXY TCP4 {source} 127.0.0.1 8080 5671\r\n");
        socket.send(header.as_bytes()).await;
        let connector = TlsConnector::from(Arc::new(authority.connector(None)));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = soon(connector.connect(name, socket.stream)).await.unwrap();
        let mut socket = Socket::new(stream);
        socket.send(&handshake()).await;
        assert_eq!(is_let_in(&mut socket).await, expected, "{source}");
    }
}

#[tokio::test]
async fn nothing_goes_without_a_header() {
    let server = server(Duration::from_secs(3600), None).await;
    let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
    for junk in [
        &handshake()[..],
        b"AMQP\0\0\x09\x01",
        b"PROXY TCP4 somebody\r\n",
        &long,
        &v2(0x21, 0x11, &[1; 11]),
        &v2(0x21, 0x11, &[1; 20_000]),
    ] {
        let mut socket = Socket::dial(server.address).await;
        socket.send(junk).await;
        // At once, without waiting for the rest.
        assert!(socket.rest().await.is_empty(), "{:?}", String::from_utf8_lossy(junk));
    }
}

#[tokio::test]
async fn slow_header_is_not_waited_for() {
    let server = server(Duration::from_millis(200), None).await;
    for begun in [&b""[..], b"PROXY TCP4 203.0.113.9", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c123"] {
        let mut socket = Socket::dial(server.address).await;
        socket.send(begun).await;
        assert!(socket.rest().await.is_empty());
    }
    assert_eq!(server.broker.connection_count(), 0);
}
