//! Frames, heartbeats, and methods as bytes (behaviour B1.3 to B1.6, B1.9, B1.10, B1.12, B1.13).

use std::time::Duration;

use leveret::protocol::method::{access, basic, channel, connection, exchange, queue};
use leveret::protocol::{Method, MethodId};

use crate::support::{Client, Peer, World, method_frame, raw_frame, text};

const SECOND: Duration = Duration::from_secs(1);

fn connected() -> (World, Peer) {
    let world = World::new();
    let peer = world.connect();
    peer.open_channel(1);
    (world, peer)
}

/// Sends bytes that end the connection, in one packet with something good before and after them.
#[track_caller]
fn check(bytes: &[u8], code: u16, text: &str, id: (u16, u16)) {
    let (_world, peer) = connected();
    peer.open_channel(2);
    let mut packet = method_frame(2, channel::Flow { active: true });
    packet.extend(bytes);
    packet.extend(method_frame(2, channel::Flow { active: true }));
    peer.send_bytes(&packet);
    peer.expect(2, channel::FlowOk { active: true });
    peer.expect_connection_error(code, text, id.0, id.1);
    peer.send(0, connection::CloseOk {});
    peer.expect_nothing();
}

/// Behaviour B1.3.
#[test]
fn malformed_frames_end_the_connection() {
    let unknown = |what| format!("FRAME_ERROR - type {what}: unknown_frame");
    let check = |bytes: &[u8], text: &str| check(bytes, 501, text, (0, 0));
    check(&raw_frame(9, 1, b"abc"), &unknown("9, all octets = <<97,98,99>>"));
    check(&raw_frame(0, 0, b""), &unknown("0, all octets = <<>>"));
    check(&raw_frame(8, 0, b"\x01"), &unknown("8, all octets = <<1>>"));
    check(&raw_frame(8, 3, b"\x01"), &unknown("8, all octets = <<1>>"));
    check(&raw_frame(1, 1, &[0, 20, 0]), &unknown("1, all octets = <<0,20,0>>"));
    let short = "2, all octets = <<0,0,0,0,0,0,0,0,0,0,0>>";
    check(&raw_frame(2, 1, &[0; 11]), &unknown(short));
    let long = "7, first 16 octets = <<1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1>>";
    check(&raw_frame(7, 1, &[1; 17]), &unknown(long));
}

/// Behaviour B1.3.
#[test]
fn heartbeat_belongs_to_channel_0() {
    check(&raw_frame(8, 1, b""), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", (0, 0));
}

/// Behaviour B1.3 and B1.4: where the frames begin is lost, so nothing more is read, and after three
/// seconds it is over, whether the client answers or not.
#[test]
fn lost_frame_borders_end_the_reading() {
    #[track_caller]
    fn check(bytes: &[u8], text: &str) {
        let (world, peer) = connected();
        peer.send_bytes(bytes);
        peer.expect_connection_error(501, text, 0, 0);
        let close_ok = method_frame(0, connection::CloseOk {});
        peer.send_bytes(&close_ok);
        assert_eq!(peer.unread(), close_ok.len());
        world.advance(Duration::from_millis(2999));
        assert!(!peer.is_closed());
        world.advance(Duration::from_millis(1));
        peer.expect_end();
    }

    let mut bad_end = raw_frame(3, 1, b"ab");
    *bad_end.last_mut().unwrap() = 0;
    let text = "FRAME_ERROR - type 3, all octets = <<97,98>>: {invalid_frame_end_marker,0}";
    check(&bad_end, text);
    // The size is refused before anything of that size has come.
    let text = "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,{131073,131064}}";
    check(&[1, 0, 1, 0, 2, 0, 1], text);
}

/// Behaviour B1.4 and trap B16.15: a payload may be as long as a whole frame should be.
#[test]
fn frames_may_be_eight_bytes_too_long() {
    let (_world, peer) = connected();
    peer.declare(1, "q");
    let mut bytes = method_frame(1, crate::support::publish("", "q"));
    bytes.extend(crate::support::header_frame(1, 131_072, &text()));
    bytes.extend(raw_frame(3, 1, &[b'x'; 131_072]));
    peer.send_bytes(&bytes);
    let got = peer.get(1, "q").expect("the message");
    // What we send has the agreed size.
    assert_eq!(got.content.frames, [131_064, 8]);
}

/// Behaviour B1.4: bodies are cut to the frames of each consumer; an empty one has none.
#[test]
fn bodies_are_cut_to_what_was_agreed_on() {
    let world = World::new();
    let publisher = world.connect();
    publisher.open_channel(1);
    publisher.declare(1, "q");
    let client = Client { frame_max: 4096, ..Client::default() };
    let consumer = world.connect_as(&client);
    consumer.open_channel(1);
    consumer.consume_no_ack(1, "q", "c");
    for (size, frames) in [
        (0, vec![]),
        (1, vec![1]),
        (4088, vec![4088]),
        (4089, vec![4088, 1]),
        (8192, vec![4088, 4088, 16]),
        (20_000, vec![4088, 4088, 4088, 4088, 3648]),
    ] {
        let body: Vec<u8> = (0..size).map(|n| n as u8).collect();
        publisher.publish(1, "", "q", &text(), &body);
        let content = consumer.expect_delivery(1).content;
        assert_eq!(content.frames, frames);
        assert!(content.body == body, "{size} bytes came back changed");
    }
}

/// Behaviour B1.4: several publisher frames, cut anywhere by the network, are one body.
#[test]
fn bodies_are_put_together_from_any_pieces() {
    let (_world, peer) = connected();
    peer.declare(1, "q");
    let body: Vec<u8> = (0..50_000u32).map(|n| (n % 251) as u8).collect();
    let mut bytes = method_frame(1, crate::support::publish("", "q"));
    bytes.extend(crate::support::header_frame(1, body.len() as u64, &text()));
    for piece in [&body[..10_000], &[], &body[10_000..10_001], &body[10_001..]] {
        bytes.extend(raw_frame(3, 1, piece));
    }
    for piece in bytes.chunks(777) {
        peer.send_bytes(piece);
    }
    let got = peer.get(1, "q").expect("the message");
    assert!(got.content.body == body);
}

fn beating(seconds: u16) -> (World, Peer) {
    let world = World::new();
    let peer = world.connect_as(&Client { heartbeat: seconds, ..Client::default() });
    (world, peer)
}

/// Behaviour B1.5: after half an interval without anything else; other traffic stands in.
#[test]
fn server_sends_heartbeats_when_idle() {
    let (world, peer) = beating(10);
    let mut heard = Vec::new();
    for second in 1..=20 {
        world.advance(SECOND);
        if peer.take_heartbeats() > 0 {
            heard.push(second);
        }
        if second == 7 {
            peer.open_channel(1);
        }
        peer.send_heartbeat();
    }
    // Not at the second check, because of open-ok.
    assert_eq!(heard, [5, 15, 20]);
    assert!(!peer.is_closed());
}

/// Behaviour B1.5: two checks in a row that saw nothing, and no word about it.
#[test]
fn silent_client_is_dropped() {
    let (world, peer) = beating(2);
    world.advance(SECOND);
    peer.send_heartbeat();
    world.advance(Duration::from_millis(4999));
    assert!(!peer.is_closed());
    world.advance(Duration::from_millis(1));
    peer.expect_end();
}

/// Behaviour B1.5: any byte is a sign of life, also one of a frame that takes its time.
#[test]
fn slow_frame_is_a_sign_of_life() {
    let (world, peer) = beating(2);
    peer.open_channel(1);
    let method = method_frame(1, channel::Flow { active: true });
    for byte in &method {
        world.advance(Duration::from_millis(1900));
        peer.send_bytes(&[*byte]);
    }
    peer.expect(1, channel::FlowOk { active: true });
}

/// Behaviour B1.5.
#[test]
fn without_heartbeats_silence_is_fine() {
    let (world, peer) = beating(0);
    world.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!((peer.take_heartbeats(), peer.is_closed()), (0, false));
}

/// A client that takes nothing of what it is sent is gone after 15 seconds, and not before, however long
/// there was nothing to take.
#[test]
fn client_that_does_not_read_is_dropped() {
    let (world, peer) = beating(300);
    world.advance(149 * SECOND);
    peer.open_channel(1);
    world.advance(100 * SECOND);
    peer.stop_reading();
    peer.send(1, channel::Flow { active: true });
    world.advance(14 * SECOND);
    assert!(!peer.is_closed());
    peer.resume_reading();
    peer.expect(1, channel::FlowOk { active: true });

    world.advance(100 * SECOND);
    peer.stop_reading();
    peer.send(1, channel::Flow { active: true });
    world.advance(20 * SECOND);
    peer.expect_end();
}

/// Behaviour B1.6.
#[test]
fn channel_0_is_for_the_connection() {
    #[track_caller]
    fn wrong<'m>(method: impl Into<Method<'m>>) {
        let method = method.into();
        let MethodId { class, method: number } = method.id();
        let text = "CHANNEL_ERROR - unexpected method in connection state running";
        check(&method_frame(0, method), 504, text, (class, number));
    }
    wrong(channel::Open {});
    wrong(crate::support::publish("", "q"));
    wrong(queue::Declare::default());
    wrong(connection::Open { virtual_host: "/" });
    wrong(connection::StartOk::default());
    wrong(connection::TuneOk::default());
    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    check(&raw_frame(2, 0, &[0; 14]), 505, text, (0, 0));
    check(&raw_frame(3, 0, b"body"), 505, text, (0, 0));
}

/// Behaviour B1.6: class connection on another channel.
#[test]
fn connection_methods_belong_to_channel_0() {
    let close = connection::Close { reply_code: 200, ..Default::default() };
    let text = "COMMAND_INVALID - unimplemented method";
    check(&method_frame(1, close.clone()), 503, text, (10, 50));
    check(&method_frame(1, connection::Open { virtual_host: "/" }), 503, text, (10, 40));
    check(&method_frame(9, close), 504, "CHANNEL_ERROR - expected 'channel.open'", (10, 50));
}

/// Behaviour B1.9 and B1.10: arguments that do not fit their layout.
#[test]
fn undecodable_arguments_end_the_connection() {
    let method = |id: [u8; 4], args: &[u8]| raw_frame(1, 1, &[&id, args].concat());
    // basic.ack without its octet of bits, and with one too many.
    let ack = |args| method([0, 60, 0, 80], args);
    let text = "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,1>>";
    check(&ack(&[0, 0, 0, 0, 0, 0, 0, 1]), 501, text, (60, 80));
    let text = "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,1,0,0>>";
    check(&ack(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0]), 501, text, (60, 80));
    // queue.purge of a name that is not UTF-8.
    let purge = method([0, 50, 0, 30], b"\0\0\x02\xff\xfe\0");
    check(&purge, 501, "FRAME_ERROR - Malformed UTF-8 in shortstr", (0, 0));
    // queue.declare with a table entry of type `?`, and with one that is longer than the table.
    for table in [&b"\0\0\0\x03\x01k?"[..], b"\0\0\0\x07\x01kS\0\0\0\x09"] {
        let args = [&b"\0\0\x01q\0"[..], table].concat();
        let (_world, peer) = connected();
        peer.send_bytes(&method([0, 50, 0, 10], &args));
        let close = peer.recv();
        let Method::Connection(connection::Method::Close(close)) = close.method() else {
            panic!("expected connection.close, got {close:?}");
        };
        assert_eq!((close.reply_code, close.class_id, close.method_id), (502, 50, 10));
        assert!(close.reply_text.starts_with("SYNTAX_ERROR - "), "{}", close.reply_text);
    }
}

/// Behaviour B1.10: a publish may use names that are no text.
#[test]
fn publish_addresses_may_be_any_bytes() {
    let (_world, peer) = connected();
    peer.declare(1, "all");
    peer.bind(1, "all", "amq.fanout", "");
    let publish = basic::Publish {
        exchange: b"amq.fanout",
        routing_key: b"\xff\x00\xfe",
        ..basic::Publish::default()
    };
    peer.publish_as(1, publish, &text(), b"x");
    peer.send(1, basic::Get { queue: "all", no_ack: true });
    let got = peer.recv();
    let Method::Basic(basic::Method::GetOk(got)) = got.method() else {
        panic!("expected basic.get-ok, got {got:?}");
    };
    assert_eq!(got.routing_key, b"\xff\x00\xfe");
}

/// Behaviour B1.12.
#[test]
fn unknown_methods_end_the_connection() {
    for channel in [0, 1] {
        let method = |class: u8, number: u8| raw_frame(1, channel, &[0, class, 0, number]);
        let text = "NOT_IMPLEMENTED - unknown method 50.99";
        check(&method(50, 99), 540, text, (50, 99));
        let text = "COMMAND_INVALID - unknown class of method 99.10";
        check(&method(99, 10), 503, text, (99, 10));
    }
}

/// Behaviour B1.12: what only servers say.
#[test]
fn server_methods_are_not_for_clients() {
    #[track_caller]
    fn wrong<'m>(method: impl Into<Method<'m>>) {
        let method = method.into();
        let MethodId { class, method: number } = method.id();
        let text = "COMMAND_INVALID - unimplemented method";
        check(&method_frame(1, method), 503, text, (class, number));
    }
    wrong(queue::DeclareOk::default());
    wrong(exchange::BindOk {});
    wrong(channel::OpenOk {});
    wrong(channel::CloseOk {});
    wrong(channel::FlowOk { active: true });
    wrong(access::RequestOk { ticket: 1 });
    wrong(basic::GetEmpty {});
    wrong(basic::Deliver::default());
    wrong(leveret::protocol::method::confirm::SelectOk {});
    wrong(leveret::protocol::method::tx::CommitOk {});
}

/// Behaviour B1.12: the answer to a cancel of ours.
#[test]
fn cancel_ok_is_taken_silently() {
    let (_world, peer) = connected();
    peer.send(1, basic::CancelOk { consumer_tag: "c" });
    peer.expect_nothing();
    peer.declare(1, "q");
}

/// Behaviour B1.13 and trap B16.20: numbers and layouts that are easily got wrong.
#[test]
fn answers_have_their_odd_layouts() {
    #[track_caller]
    fn answered<'m>(peer: &Peer, method: impl Into<Method<'m>>, payload: &[u8]) {
        peer.send(1, method);
        assert_eq!(peer.recv().payload, payload);
    }

    let world = World::new();
    let peer = world.connect();
    // An empty longstr; get-empty has an empty shortstr.
    answered(&peer, channel::Open {}, &[0, 20, 0, 11, 0, 0, 0, 0]);
    peer.declare(1, "q");
    answered(&peer, basic::Get { queue: "q", no_ack: true }, &[0, 60, 0, 72, 0]);
    // The reserved ticket is always 1.
    answered(&peer, access::Request::default(), &[0, 30, 0, 11, 0, 1]);
    let (destination, source) = ("amq.topic", "amq.fanout");
    let bind = exchange::Bind { destination, source, ..Default::default() };
    answered(&peer, bind, &[0, 40, 0, 31]);
    let unbind = exchange::Unbind { destination, source, ..Default::default() };
    answered(&peer, unbind, &[0, 40, 0, 51]);
    answered(
        &peer,
        queue::Unbind { exchange: source, queue: "q", ..Default::default() },
        &[0, 50, 0, 51],
    );
}
