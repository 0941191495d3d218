//! Clients that send what no client should, too much, too slowly, or nothing at all: each gets the
//! answer it deserves, or the end of its connection after a bounded time, and costs nobody else
//! anything.

use std::time::{Duration, Instant};

use crate::server::TestServer;
use crate::socket::{Socket, frame_of, handshake, publish, raw_frame};
use leveret::broker::Limits;
use leveret::protocol::frame::PROTOCOL_HEADER;
use leveret::protocol::method::{basic, channel, connection, queue};
use leveret::protocol::{FieldTable, Method};
use leveret::session::Offer;
use tokio::io::AsyncWriteExt;

/// How long a client is kept dangling that broke the rules (behaviour B1.2, B1.3), and some time for a
/// machine that is busy.
const PENALTY: std::ops::Range<Duration> = Duration::from_millis(2900)..Duration::from_secs(20);

/// Somebody else comes, works and goes, as if nothing were the matter.
async fn others_work(server: &TestServer) {
    let mut socket = Socket::open(server.address).await;
    let queue = &format!("of {}", socket.stream.local_addr().unwrap());
    let exclusive = queue::Declare { queue, exclusive: true, ..queue::Declare::default() };
    let ok = queue::DeclareOk { queue, message_count: 0, consumer_count: 0 };
    socket.call(1, exclusive, ok).await;
    socket.publish(queue, b"hello").await;
    socket.say(1, basic::Get { queue, no_ack: true }).await;
    assert_eq!(socket.message().await.1, b"hello");
    let close = connection::Close { reply_code: 200, ..connection::Close::default() };
    socket.call(0, close, connection::CloseOk {}).await;
    assert!(socket.rest().await.is_empty());
}

/// After the offence the server closes the connection with `code` and a text that contains `text`, and
/// hangs up as soon as that is answered.
#[track_caller]
fn check<'a>(
    server: &'a TestServer,
    offence: &'a [u8],
    code: u16,
    text: &'a str,
) -> impl Future<Output = ()> + 'a {
    let row = std::panic::Location::caller();
    async move {
        let mut socket = Socket::open(server.address).await;
        socket.send(offence).await;
        let (found, why) = socket.refusal().await;
        assert!(found == code && why.contains(text), "{row}: {found} {why}");
        socket.say(0, connection::CloseOk {}).await;
        assert!(socket.rest().await.is_empty(), "{row}: nothing comes after the close");
        others_work(server).await;
    }
}

#[tokio::test]
async fn anything_but_the_header_is_answered_with_the_header() {
    let server = TestServer::start().await;
    for junk in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x03\x01\x00\x00",
        b"AMQP\x01\x01\x08\x00",
        &[0; 8],
        &[0xFF; 100_000],
    ] {
        let mut socket = Socket::dial(server.address).await;
        socket.send(junk).await;
        assert_eq!(socket.rest().await, PROTOCOL_HEADER);
    }
    others_work(&server).await;
}

#[tokio::test]
async fn nothing_is_said_before_the_header_has_come() {
    let server = TestServer::start().await;
    for part in 0..8 {
        let mut socket = Socket::dial(server.address).await;
        socket.send(&PROTOCOL_HEADER[..part]).await;
        // A health check hangs up now.
        socket.stream.shutdown().await.unwrap();
        assert!(socket.rest().await.is_empty());
    }
}

/// Where frames begin is unknown after this, so nothing is read any more, not even close-ok.
#[tokio::test]
async fn frame_that_cannot_be_delimited_ends_the_connection_after_a_while() {
    let server = TestServer::start().await;
    let too_large = [&[1, 0, 1], &131_073_u32.to_be_bytes()[..]].concat();
    let enormous = [&[3, 0, 1], &u32::MAX.to_be_bytes()[..], &[0; 1000]].concat();
    let mut bad_end = frame_of(1, queue::Purge { queue: "q", nowait: false });
    *bad_end.last_mut().unwrap() = 0xCD;
    let offences: [(&[u8], &str); 3] = [
        (&too_large, "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,{131073,131064}}"),
        (
            &enormous,
            "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,{4294967295,131064}}",
        ),
        (
            &bad_end,
            "FRAME_ERROR - type 1, all octets = <<0,50,0,30,0,0,1,113,0>>: {invalid_frame_end_marker,205}",
        ),
    ];
    let all = offences.map(|(offence, text)| {
        let server = &server;
        async move {
            let mut socket = Socket::open(server.address).await;
            socket.send(offence).await;
            let since = Instant::now();
            assert_eq!(socket.refusal().await, (501, text.to_owned()));
            socket.say(0, connection::CloseOk {}).await;
            others_work(server).await;
            assert!(socket.rest().await.is_empty());
            assert!(PENALTY.contains(&since.elapsed()), "{:?}", since.elapsed());
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn lengths_that_lie_are_found_out() {
    let server = TestServer::start().await;
    let declare = |table: &[u8]| {
        let mut payload = vec![0, 50, 0, 10, 0, 0, 1, b'q', 0];
        payload.extend(table);
        raw_frame(1, 1, &payload)
    };
    // A table that is said to be longer than the frame, or longer than its own entries.
    check(&server, &declare(&[0, 0, 0, 9, 1, b'k']), 501, "FRAME_ERROR - cannot decode").await;
    check(&server, &declare(&[0xFF; 4]), 501, "FRAME_ERROR - cannot decode").await;
    check(&server, &declare(&[0, 0, 0, 2, 9, b'k']), 502, "SYNTAX_ERROR").await;
    check(&server, &declare(&[0, 0, 0, 7, 1, b'k', b'S', 0, 0, 0, 9]), 502, "SYNTAX_ERROR").await;
    check(&server, &declare(&[0, 0, 0, 3, 1, b'k', b'?']), 502, "SYNTAX_ERROR").await;
    // Tables in tables in tables.
    let mut deep = Vec::new();
    for _ in 0..20_000 {
        let mut outer = vec![1, b'k', b'F'];
        outer.extend((deep.len() as u32).to_be_bytes());
        outer.extend(&deep);
        deep = outer;
        if deep.len() > 120_000 {
            break;
        }
    }
    let deep = [&(deep.len() as u32).to_be_bytes()[..], &deep].concat();
    check(&server, &declare(&deep), 502, "SYNTAX_ERROR").await;
    // Short strings beyond the end, and bytes behind it.
    check(&server, &raw_frame(1, 1, &[0, 50, 0, 30, 0, 0, 200, b'q', 0]), 501, "cannot decode")
        .await;
    check(&server, &raw_frame(1, 1, &[0, 20, 0, 10, 0, 0]), 501, "cannot decode").await;
    check(&server, &raw_frame(1, 1, &[0, 50]), 501, "unknown_frame").await;
    check(&server, &raw_frame(7, 1, b"what?"), 501, "unknown_frame").await;
    // Properties that end in the middle of a table.
    let mut content = frame_of(1, basic::Publish::default());
    let properties = [0x20, 0, 0, 0, 0, 99, 1, b'k', b'S'];
    content.extend(raw_frame(
        2,
        1,
        &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &properties].concat(),
    ));
    check(&server, &content, 502, "SYNTAX_ERROR").await;
}

fn content_header(body_size: u64) -> Vec<u8> {
    let mut payload = vec![0, 60, 0, 0];
    payload.extend(body_size.to_be_bytes());
    payload.extend([0, 0]);
    raw_frame(2, 1, &payload)
}

#[tokio::test]
async fn content_out_of_order_ends_the_connection() {
    let server = TestServer::start().await;
    let publish = || frame_of(1, basic::Publish::default());
    let body = |size: usize| raw_frame(3, 1, &vec![7; size]);
    let no_method = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    check(&server, &body(3), 505, no_method).await;
    check(&server, &content_header(3), 505, no_method).await;
    let no_header = "expected content header for class 60, got non content header frame instead";
    check(&server, &[publish(), body(3)].concat(), 505, no_header).await;
    check(&server, &[publish(), publish()].concat(), 505, no_header).await;
    let no_body = "expected content body, got non content body frame instead";
    check(&server, &[publish(), content_header(3), publish()].concat(), 505, no_body).await;
    let too_long = "FRAME_ERROR - content body frame exceeds remaining content size";
    check(&server, &[publish(), content_header(3), body(4)].concat(), 501, too_long).await;
    check(&server, &[publish(), content_header(9), body(4), body(6)].concat(), 501, too_long).await;
    let too_much = "content body size 18446744073709551615 exceeds maximum allowed size 536870912";
    check(&server, &[publish(), content_header(u64::MAX)].concat(), 501, too_much).await;
    // On channel 0 there is no content at all.
    check(&server, &raw_frame(3, 0, b"body"), 505, no_method).await;
}

#[tokio::test]
async fn methods_at_the_wrong_moment_end_the_connection() {
    let server = TestServer::start().await;
    let running = "CHANNEL_ERROR - unexpected method in connection state running";
    check(&server, &frame_of(0, connection::Open { virtual_host: "/" }), 504, running).await;
    check(&server, &frame_of(0, channel::Open {}), 504, running).await;
    check(&server, &frame_of(0, basic::Publish::default()), 504, running).await;
    let closed = "CHANNEL_ERROR - expected 'channel.open'";
    check(&server, &frame_of(2, queue::Declare::default()), 504, closed).await;
    check(&server, &frame_of(9, channel::CloseOk {}), 504, closed).await;
    let again = "CHANNEL_ERROR - second 'channel.open' seen";
    check(&server, &frame_of(1, channel::Open {}), 504, again).await;
    let servers_only = "COMMAND_INVALID - unimplemented method";
    check(&server, &frame_of(1, basic::QosOk {}), 503, servers_only).await;
    check(&server, &frame_of(1, connection::CloseOk {}), 503, servers_only).await;
    check(&server, &raw_frame(1, 1, &[0, 99, 0, 1]), 503, "COMMAND_INVALID").await;
    check(&server, &raw_frame(1, 1, &[0, 60, 0, 99]), 540, "NOT_IMPLEMENTED").await;
    check(&server, &raw_frame(8, 1, &[]), 505, "UNEXPECTED_FRAME").await;
}

/// Behaviour B1.2: before it is open, a connection that breaks the rules is met with silence.
#[tokio::test]
async fn violations_before_login_are_met_with_silence_and_a_hang_up() {
    let server = TestServer::start().await;
    let response = &b"no nul in it"[..];
    let start_ok = |mechanism| {
        let client_properties = FieldTable::new();
        frame_of(0, connection::StartOk { client_properties, mechanism, response, locale: "" })
    };
    let offences = [
        frame_of(1, channel::Open {}),
        frame_of(0, connection::Open { virtual_host: "/" }),
        start_ok("PLAIN"),
        start_ok("TELEPATHY"),
        [&[1, 0, 0], &8193_u32.to_be_bytes()[..]].concat(),
        raw_frame(1, 0, &[0, 10, 0, 11, 0xFF, 0xFF, 0xFF, 0xFF]),
    ];
    let all = offences.map(|offence| {
        let server = &server;
        async move {
            let mut socket = Socket::dial(server.address).await;
            socket.send(&PROTOCOL_HEADER).await;
            let start = socket.frame().await;
            assert!(matches!(start.method(), Method::Connection(connection::Method::Start(_))));
            let since = Instant::now();
            socket.send(&offence).await;
            assert!(socket.rest().await.is_empty());
            assert!(PENALTY.contains(&since.elapsed()), "{:?}", since.elapsed());
        }
    });
    futures_util::future::join_all(all).await;
    others_work(&server).await;
}

#[tokio::test]
async fn channels_are_limited_however_many_are_asked_for() {
    let server = TestServer::start().await;
    let mut socket = Socket::dial(server.address).await;
    let mut packet = handshake();
    for number in 1..=u16::MAX {
        packet.extend(frame_of(number, channel::Open {}));
    }
    let (mut reading, mut writing) = tokio::io::split(socket.stream);
    let sent = tokio::spawn(async move {
        let _ = writing.write_all(&packet).await;
        writing
    });
    let mut socket_reading = Socket::new(tokio::io::join(&mut reading, tokio::io::sink()));
    for _ in 0..3 {
        socket_reading.frame().await;
    }
    for number in 1..=2047 {
        let ok = socket_reading.frame().await;
        assert_eq!((ok.channel, ok.method()), (number, channel::OpenOk {}.into()));
    }
    let text = "NOT_ALLOWED - number of channels opened (2047) has reached the negotiated \
                channel_max (2047)";
    assert_eq!(socket_reading.refusal().await, (530, text.to_owned()));
    let writing = sent.await.unwrap();
    drop(socket_reading);
    socket = Socket::new(reading.unsplit(writing));
    socket.say(0, connection::CloseOk {}).await;
    assert!(socket.rest().await.is_empty());
    others_work(&server).await;
}

/// A consumer that never reads holds its outbox and what the sockets take, and no more; the rest of
/// the queue is for those who do read, and in the end they get the first part as well.
#[tokio::test]
async fn consumer_that_does_not_read_costs_its_own_outbox() {
    const MESSAGES: usize = 4000;
    const SIZE: usize = 10_000;
    const OUTBOX: usize = 64 * 1024;
    let limits = Limits { outbox_bytes_high: OUTBOX, ..Limits::default() };
    let server = TestServer::with(limits, Offer::default()).await;
    let mut deaf = Socket::open(server.address).await;
    deaf.declare("q").await;
    deaf.consume("q", false).await;
    let mut publisher = Socket::open(server.address).await;
    let message = publish("q", &[7; SIZE]);
    for _ in 0..MESSAGES {
        publisher.send(&message).await;
    }
    publisher.declare("flush").await;
    server
        .until("all are published", || {
            server.queue("q").unwrap().stats.counts().publish == MESSAGES as u64
        })
        .await;
    let counts = server.counts("q");
    assert_eq!(counts.ready + counts.unacked, MESSAGES);
    // Both kernel buffers of a loopback connection may take several MiB.
    let out = counts.unacked * SIZE;
    assert!(out < 14 << 20, "{out} bytes are out for somebody who does not read");

    let mut reader = Socket::open(server.address).await;
    reader.consume("q", false).await;
    let mut last = 0;
    for _ in 0..counts.ready {
        last = reader.message().await.0;
        reader.say(1, basic::Ack { delivery_tag: last, multiple: false }).await;
    }
    drop(deaf);
    for _ in 0..counts.unacked {
        last = reader.message().await.0;
    }
    reader.say(1, basic::Ack { delivery_tag: last, multiple: true }).await;
    server.until("all are settled", || server.counts("q").unacked == 0).await;
    assert_eq!(server.counts("q").ready, 0);
}

#[tokio::test]
async fn one_byte_at_a_time_is_enough() {
    let server = TestServer::start().await;
    let mut socket = Socket::dial(server.address).await;
    let mut packet = handshake();
    packet.extend(frame_of(1, channel::Open {}));
    packet.extend(frame_of(1, queue::Declare { queue: "slow", ..queue::Declare::default() }));
    packet.extend(publish("slow", b"patience"));
    packet.extend(frame_of(1, basic::Get { queue: "slow", no_ack: true }));
    for byte in packet {
        socket.send(&[byte]).await;
    }
    for _ in 0..5 {
        // Start, tune, the three open-ok and declare-ok.
        socket.frame().await;
    }
    assert_eq!(socket.message().await.1, b"patience");
}

/// Behaviour B1.2: whoever has not logged in in time is dropped without a word.
#[tokio::test]
async fn clients_that_say_nothing_or_half_of_it_are_dropped_in_time() {
    let patience = Duration::from_secs(2);
    let offer = Offer { handshake_timeout: patience, ..Offer::default() };
    let server = TestServer::with(Limits::default(), offer).await;
    let hello = handshake();
    let silent = (0..150).map(|number| {
        let (server, hello) = (&server, &hello);
        async move {
            let since = Instant::now();
            let mut socket = Socket::dial(server.address).await;
            socket.send(&hello[..number % hello.len()]).await;
            socket.rest().await;
            let waited = since.elapsed();
            let early = patience.saturating_sub(Duration::from_millis(50));
            assert!(waited > early, "{number}: {waited:?}");
        }
    });
    let silent = futures_util::future::join_all(silent);
    // While all of them are there.
    let (_, ()) = futures_util::future::join(silent, async {
        for _ in 0..5 {
            others_work(&server).await;
        }
    })
    .await;
    assert_eq!(server.broker.connection_count(), 0);
}

/// Connections that vanish at any point of their lives leave nothing behind.
#[tokio::test]
async fn connections_that_vanish_leave_nothing_behind() {
    let server = TestServer::start().await;
    let mut story = handshake();
    story.extend(frame_of(1, channel::Open {}));
    let exclusive = queue::Declare { queue: "mine", exclusive: true, ..queue::Declare::default() };
    story.extend(frame_of(1, exclusive));
    story.extend(publish("mine", b"hello"));
    story.extend(frame_of(1, basic::Consume { queue: "mine", ..basic::Consume::default() }));
    story.extend(publish("mine", &[7; 300]));
    for length in (0..=story.len()).step_by(7) {
        let mut socket = Socket::dial(server.address).await;
        if length % 2 == 0 {
            // Closing a socket with unread data resets the connection.
            socket2::SockRef::from(&socket.stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        socket.send(&story[..length]).await;
        drop(socket);
    }
    server
        .until("all are gone", || {
            server.server.accepted() > 0 && server.broker.connection_count() == 0
        })
        .await;
    server.until("their queue is gone", || server.queue("mine").is_none()).await;
    others_work(&server).await;
}
