//! From the first byte to an open connection (behaviour B1.1, B1.2 and B2.1 to B2.10).

use std::time::Duration;

use leveret::auth::{External, Reason};
use leveret::broker::Limits;
use leveret::protocol::method::{channel, connection};
use leveret::protocol::{FieldTable, FieldValue, Method};
use leveret::session::Offer;

use crate::support::{Client, Peer, World, method_frame, raw_frame};

const SECOND: Duration = Duration::from_secs(1);

/// What a client gets whose first bytes are `bytes`, and whether the socket is closed then.
fn greet(bytes: &[u8]) -> (Vec<u8>, bool) {
    let peer = World::new().dial();
    peer.expect_raw();
    peer.send_bytes(bytes);
    (peer.take_raw(), peer.is_closed())
}

/// Behaviour B1.1: 0-9-1 and its predecessor are answered with start, everything else with our header.
#[test]
fn first_eight_bytes_decide() {
    for accepted in [b"AMQP\x00\x00\x09\x01", b"AMQP\x01\x01\x00\x09"] {
        let (answer, closed) = greet(accepted);
        // A method on channel 0: 10.10, version 0.9.
        assert_eq!((answer[..3].to_vec(), closed), (vec![1, 0, 0], false));
        assert_eq!(answer[7..13], [0, 10, 0, 10, 0, 9]);
    }
    for refused in [
        &b"AMQP\x03\x01\x00\x00"[..],
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x01\x01\x08\x00",
        b"AMQP\x00\x00\x09\x02",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"\0\0\0\0\0\0\0\0",
    ] {
        assert_eq!(greet(refused), (b"AMQP\x00\x00\x09\x01".to_vec(), true), "{refused:?}");
    }
    for incomplete in [&b""[..], b"AMQP", b"AMQP\x00\x00\x09", b"GET /"] {
        assert_eq!(greet(incomplete), (vec![], false), "{incomplete:?}");
    }
}

/// Behaviour B1.1: a header may come in pieces, and start-ok right behind it.
#[test]
fn handshake_takes_bytes_as_they_come() {
    let world = World::new();
    let peer = world.dial();
    for byte in b"AMQP\x00\x00\x09" {
        peer.send_bytes(&[*byte]);
    }
    peer.expect_nothing();
    let start_ok = connection::StartOk {
        mechanism: "PLAIN",
        response: b"\0guest\0guest",
        ..connection::StartOk::default()
    };
    let mut bytes = vec![1];
    bytes.extend(method_frame(0, start_ok));
    let tune_ok = connection::TuneOk { channel_max: 1, frame_max: 4096, heartbeat: 0 };
    bytes.extend(method_frame(0, tune_ok));
    bytes.extend(method_frame(0, connection::Open { virtual_host: "/" }));
    bytes.extend(method_frame(1, channel::Open {}));
    peer.send_bytes(&bytes);
    peer.expect_start();
    peer.expect_tune();
    peer.expect(0, connection::OpenOk {});
    peer.expect(1, channel::OpenOk {});
}

/// Behaviour B1.2: ten seconds from the first byte to open-ok.
#[test]
fn handshake_has_ten_seconds() {
    let steps: [fn(&Peer); 4] = [
        |_| {},
        |peer| peer.send_header(),
        |peer| peer.send_start_ok(&Client::default()),
        |peer| peer.send_tune_ok(&Client::default()),
    ];
    for last in 0..steps.len() {
        let world = World::new();
        let peer = world.dial();
        world.advance(5 * SECOND);
        steps[..=last].iter().for_each(|step| step(&peer));
        world.advance(Duration::from_millis(4999));
        assert!(!peer.is_closed(), "step {last}");
        world.advance(Duration::from_millis(1));
        assert!(peer.is_closed(), "step {last}");
    }
}

/// The connection says nothing any more, and is dropped after three seconds.
#[track_caller]
fn expect_doom(world: &World, peer: &Peer) {
    peer.expect_nothing();
    world.advance(Duration::from_millis(2999));
    assert!(!peer.is_closed());
    world.advance(Duration::from_millis(1));
    peer.expect_end();
}

/// Behaviour B1.2: who breaks the rules before the connection is open gets three seconds of silence.
#[test]
fn violation_before_open_is_met_with_silence() {
    #[track_caller]
    fn check(bytes: &[u8]) {
        let world = World::new();
        let peer = world.dial();
        peer.send_header();
        peer.expect_start();
        peer.send_bytes(bytes);
        peer.send_start_ok(&Client::default());
        expect_doom(&world, &peer);
    }

    check(&method_frame(0, connection::Open { virtual_host: "/" }));
    check(&method_frame(0, connection::TuneOk::default()));
    check(&method_frame(0, connection::SecureOk { response: b"" }));
    check(&method_frame(0, channel::Open {}));
    check(&method_frame(1, channel::Open {}));
    check(&raw_frame(2, 0, &[0; 14]));
    check(&raw_frame(9, 0, b""));
    check(&raw_frame(1, 0, &[0, 10, 0, 99]));
    check(b"\x01\x00\x00\xff\xff\xff\xff");
}

/// Behaviour B1.4: before tune a frame may have a payload of 8192 bytes. What is too large is not even
/// waited for.
#[test]
fn frame_before_tune_is_limited() {
    for (size, is_accepted) in [(4097, true), (8192, true), (8193, false)] {
        let peer = World::new().dial();
        peer.send_header();
        peer.expect_start();
        let mut start_ok = connection::StartOk { mechanism: "PLAIN", ..Default::default() };
        let fixed = method_frame(0, start_ok.clone()).len() - 8;
        let response = [b"\0guest\0".to_vec(), vec![b'x'; size - fixed - 7]].concat();
        start_ok.client_properties = FieldTable::new();
        start_ok.response = &response;
        let frame = method_frame(0, start_ok);
        assert_eq!(frame.len(), size + 8);
        peer.send_bytes(&frame[..100]);
        assert_eq!(peer.unread(), if is_accepted { 100 } else { 0 }, "{size}");
    }
}

/// Behaviour B2.1 and B2.2.
#[test]
fn start_says_who_we_are_and_what_we_can() {
    let peer = World::new().dial();
    peer.send_header();
    let start = peer.expect_start();
    let Method::Connection(connection::Method::Start(start)) = start.method() else {
        unreachable!();
    };
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!(start.locales, b"en_US");
    let mechanisms: Vec<_> = start.mechanisms.split(|byte| *byte == b' ').collect();
    assert!(mechanisms.contains(&&b"PLAIN"[..]) && mechanisms.contains(&&b"AMQPLAIN"[..]));
    let text = |name: &str| start.server_properties.get(name).and_then(FieldValue::as_str);
    for name in ["platform", "copyright", "information", "cluster_name"] {
        assert!(text(name).is_some_and(|text| !text.is_empty()), "{name}");
    }
    assert_eq!(text("product"), Some("leveret"));
    let version: Vec<u32> =
        text("version").unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    assert!(version.len() == 3 && version[0] >= 3, "{version:?}");
    let capabilities = start.server_properties.get("capabilities").and_then(FieldValue::as_table);
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        assert_eq!(capabilities.unwrap().get(name), Some(&FieldValue::Bool(true)), "{name}");
    }
}

/// AMQPLAIN's table without its length (behaviour B2.5).
fn amqplain(entries: &[(&str, &str)]) -> Vec<u8> {
    let table: FieldTable = entries.iter().copied().collect();
    let mut bytes = Vec::new();
    leveret::protocol::table::encode_table(&mut bytes, &table);
    bytes.split_off(4)
}

fn client(mechanism: &'static str, response: &[u8]) -> Client {
    Client { mechanism, response: response.to_vec(), ..Client::default() }
}

/// Behaviour B2.5.
#[test]
fn both_mechanisms_log_in() {
    let world = World::new();
    world.connect_as(&client("PLAIN", b"\0guest\0guest"));
    let response = amqplain(&[("LOGIN", "guest"), ("PASSWORD", "guest")]);
    world.connect_as(&client("AMQPLAIN", &response));
}

/// Behaviour B2.5: the client is whom its certificate names, whatever it says itself.
#[test]
fn external_is_offered_where_a_certificate_can_be_there() {
    let nobody = External::Nobody(Reason::NoCertificate);
    for (external, is_offered, is_accepted) in [
        (External::NotOffered, false, false),
        (nobody, true, false),
        (External::User("mouse".into()), true, false),
        (External::User("guest".into()), true, true),
    ] {
        let world = World::new();
        let peer = world.dial_with(external.clone());
        peer.send_header();
        let start = peer.expect_start();
        let Method::Connection(connection::Method::Start(start)) = start.method() else {
            unreachable!();
        };
        let mechanisms = start.mechanisms.split(|byte| *byte == b' ').collect::<Vec<_>>();
        assert_eq!(mechanisms.contains(&&b"EXTERNAL"[..]), is_offered, "{external:?}");
        peer.send_start_ok(&client("EXTERNAL", b"fox"));
        if is_accepted {
            peer.expect_tune();
            continue;
        }
        if is_offered {
            let text = "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. \
                        For details see the broker logfile.";
            peer.expect_connection_error(403, text, 0, 0);
        }
        expect_doom(&world, &peer);
    }
    // A certificate is no reason not to take a password.
    let peer = World::new().dial_with(External::User("mouse".into()));
    peer.handshake(&Client::default());
}

/// Behaviour B2.6: no word about it, whatever the client can do.
#[test]
fn malformed_login_is_met_with_silence() {
    let login_only = amqplain(&[("LOGIN", "guest")]);
    for client in [
        client("EXTERNAL", b""),
        client("", b""),
        client("plain", b"\0guest\0guest"),
        client("PLAIN", b"guest\0guest"),
        client("PLAIN", b"\0guest"),
        client("PLAIN", b"guest\0guest\0guest"),
        client("PLAIN", b"\0guest\0guest\0more"),
        client("AMQPLAIN", b"\0guest\0guest"),
        client("AMQPLAIN", &login_only),
    ] {
        let world = World::new();
        let peer = world.dial();
        peer.send_header();
        peer.expect_start();
        peer.send_start_ok(&client);
        expect_doom(&world, &peer);
    }
}

/// Behaviour B2.7 and B2.8: the same words whatever was wrong, for those who want to know; and they
/// need not answer.
#[test]
fn refused_login_tells_no_reason() {
    let wrong_password = b"\0guest\0wrong".to_vec();
    let unknown_user = b"\0nobody\0guest".to_vec();
    let right = b"\0guest\0guest".to_vec();
    for (response, afar) in [(wrong_password, false), (unknown_user, false), (right, true)] {
        for tell in [true, false] {
            let world = World::new();
            let peer = if afar { world.dial_from_afar() } else { world.dial() };
            peer.send_header();
            peer.expect_start();
            let capabilities = if tell { vec!["authentication_failure_close"] } else { vec![] };
            let client = Client { response: response.clone(), capabilities, ..Client::default() };
            peer.send_start_ok(&client);
            if tell {
                let text = "ACCESS_REFUSED - Login was refused using authentication mechanism \
                            PLAIN. For details see the broker logfile.";
                peer.expect_connection_error(403, text, 0, 0);
            }
            expect_doom(&world, &peer);
        }
    }
}

/// Behaviour B2.9: the server's proposal, and the answers it takes.
#[test]
fn tune_takes_what_is_within_its_offer() {
    let world = World::new();
    for (channel_max, frame_max, heartbeat) in
        [(2047, 131_072, 60), (1, 4096, 0), (100, 8192, 65_535)]
    {
        let peer = world.dial();
        let client = Client { channel_max, frame_max, heartbeat, ..Client::default() };
        peer.send_header();
        peer.expect_start();
        peer.send_start_ok(&client);
        let offer = connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 };
        assert_eq!(peer.expect_tune(), offer);
        peer.send_tune_ok(&client);
        peer.send_open("/");
        peer.expect(0, connection::OpenOk {});
    }
}

/// Behaviour B2.9: 0 means no limit, and there is one.
#[test]
fn tune_outside_the_offer_is_refused() {
    for (channel_max, frame_max, text) in [
        (2047, 0, "frame_max = 0 is lower than the minimum allowed value (4096)"),
        (2047, 4095, "frame_max = 4095 is lower than the minimum allowed value (4096)"),
        (2047, 131_073, "frame_max = 131073 is higher than the maximum allowed value (131072)"),
        (0, 131_072, "channel_max = 0 is lower than the minimum allowed value (1)"),
        (2048, 131_072, "channel_max = 2048 is higher than the maximum allowed value (2047)"),
    ] {
        let peer = World::new().dial();
        peer.send_header();
        peer.expect_start();
        peer.send_start_ok(&Client::default());
        peer.expect_tune();
        peer.send(0, connection::TuneOk { channel_max, frame_max, heartbeat: 0 });
        peer.expect_connection_error(530, &format!("NOT_ALLOWED - negotiated {text}"), 10, 31);
        peer.send(0, connection::CloseOk {});
        peer.expect_end();
    }
}

/// Behaviour B2.10, in its order of checks.
#[test]
fn open_is_refused_with_a_reason() {
    #[track_caller]
    fn check(world: &World, vhost: &str, text: &str) {
        let peer = world.dial();
        peer.send_header();
        peer.expect_start();
        peer.send_start_ok(&Client::default());
        peer.expect_tune();
        peer.send_tune_ok(&Client::default());
        peer.send_open(vhost);
        peer.expect_connection_error(530, &format!("NOT_ALLOWED - {text}"), 10, 40);
        peer.send(0, connection::CloseOk {});
        peer.expect_end();
    }

    let limits = Limits { connections_max: Some(1), ..Limits::default() };
    let world = World::with(limits, Offer::default());
    world.broker.create_vhost(&"closed".into());
    check(&world, "nowhere", "vhost nowhere not found");
    check(&world, "", "vhost  not found");
    check(&world, "closed", "access to vhost 'closed' refused for user 'guest'");
    // Those who were refused do not count.
    let first = world.connect();
    check(&world, "nowhere", "connection refused: node connection limit (1) is reached");
    first.hang_up();
    world.connect();
}

/// A client may change its mind.
#[test]
fn close_during_the_handshake_is_answered() {
    let peer = World::new().dial();
    peer.send_header();
    peer.expect_start();
    peer.send_heartbeat();
    peer.send(0, connection::Close { reply_code: 200, ..Default::default() });
    peer.expect(0, connection::CloseOk {});
    peer.expect_end();
}
