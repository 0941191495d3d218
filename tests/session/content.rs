//! Method, header and bodies of a publish, and the properties in between (behaviour B1.7 to B1.9,
//! B1.11).

use leveret::broker::Limits;
use leveret::protocol::method::{basic, channel, connection};
use leveret::session::Offer;

use crate::support::{
    Peer, World, header_frame, method_frame, persistent, publish, raw_frame, text,
};

fn connected() -> (World, Peer) {
    let world = World::new();
    let peer = world.connect();
    peer.open_channel(1);
    peer.declare(1, "q");
    (world, peer)
}

/// A content header's payload.
fn header(class: u16, weight: u16, body_size: u64, properties: &[u8]) -> Vec<u8> {
    let fixed = [&class.to_be_bytes()[..], &weight.to_be_bytes(), &body_size.to_be_bytes()];
    [&fixed.concat(), properties].concat()
}

/// Frames of one channel that must not follow each other, first in one packet, then each in its own.
#[track_caller]
fn check(frames: &[Vec<u8>], code: u16, text: &str, id: (u16, u16)) {
    let (_world, peer) = connected();
    peer.send_bytes(&frames.concat());
    peer.expect_connection_error(code, text, id.0, id.1);
    peer.send(0, connection::CloseOk {});
    peer.expect_end();

    let (_world, peer) = connected();
    for frame in frames {
        peer.expect_nothing();
        peer.send_bytes(frame);
    }
    peer.expect_connection_error(code, text, id.0, id.1);
}

/// Behaviour B1.7.
#[test]
fn frames_out_of_order_end_the_connection() {
    const PUBLISH: (u16, u16) = (60, 40);
    let method = || method_frame(1, publish("", "q"));
    let head = |size| header_frame(1, size, &text());
    let body = |payload: &[u8]| raw_frame(3, 1, payload);
    let other = || method_frame(1, basic::Qos::default());

    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    check(&[head(1)], 505, text, (0, 0));
    check(&[body(b"x")], 505, text, (0, 0));
    check(&[method(), head(0), body(b"x")], 505, text, (0, 0));
    check(&[method(), head(1), body(b"x"), body(b"y")], 505, text, (0, 0));

    let text = "UNEXPECTED_FRAME - expected content header for class 60, \
                got non content header frame instead";
    check(&[method(), body(b"x")], 505, text, PUBLISH);
    check(&[method(), other()], 505, text, PUBLISH);
    check(&[method(), method()], 505, text, PUBLISH);
    let weight = raw_frame(2, 1, &header(60, 1, 0, &[0, 0]));
    check(&[method(), weight], 505, text, PUBLISH);

    let text = "UNEXPECTED_FRAME - expected content header for class 60, \
                got one for class 50 instead";
    check(&[method(), raw_frame(2, 1, &header(50, 0, 0, &[0, 0]))], 505, text, PUBLISH);

    let text = "UNEXPECTED_FRAME - expected content body, got non content body frame instead";
    check(&[method(), head(1), other()], 505, text, PUBLISH);
    check(&[method(), head(1), method()], 505, text, PUBLISH);
    check(&[method(), head(2), body(b"x"), head(2)], 505, text, PUBLISH);

    let text = "FRAME_ERROR - content body frame exceeds remaining content size";
    check(&[method(), head(2), body(b"xyz")], 501, text, PUBLISH);
    check(&[method(), head(2), body(b"x"), body(b"yz")], 501, text, PUBLISH);

    let text = "FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912";
    check(&[method(), head(536_870_913)], 501, text, PUBLISH);
    let most = u64::MAX;
    let text = "FRAME_ERROR - content body size 18446744073709551615 exceeds maximum allowed size \
                536870912";
    check(&[method(), head(most)], 501, text, PUBLISH);
}

/// Behaviour B1.7: what is on the way on one channel does not concern another.
#[test]
fn channels_interleave_freely() {
    let (_world, peer) = connected();
    peer.open_channel(2);
    let frames = [
        method_frame(1, publish("", "q")),
        method_frame(2, publish("", "q")),
        header_frame(2, 4, &text()),
        header_frame(1, 3, &text()),
        raw_frame(3, 1, b"o"),
        raw_frame(3, 2, b"two!"),
        method_frame(2, channel::Flow { active: true }),
        raw_frame(8, 0, b""),
        raw_frame(3, 1, b"ne"),
    ];
    peer.send_bytes(&frames.concat());
    peer.expect(2, channel::FlowOk { active: true });
    assert_eq!(peer.get(1, "q").expect("first").text(), "two!");
    assert_eq!(peer.get(1, "q").expect("second").text(), "one");
}

/// Behaviour B1.7: body frames without a body are no harm, and none is needed for an empty body.
#[test]
fn empty_bodies_and_empty_frames_are_taken() {
    for frames in [
        vec![header_frame(1, 0, &text())],
        vec![header_frame(1, 2, &text()), raw_frame(3, 1, b""), raw_frame(3, 1, b"ab")],
        vec![
            header_frame(1, 2, &text()),
            raw_frame(3, 1, b"a"),
            raw_frame(3, 1, b""),
            raw_frame(3, 1, b"b"),
        ],
    ] {
        let (_world, peer) = connected();
        let bytes = [method_frame(1, publish("", "q")), frames.concat()].concat();
        peer.send_bytes(&bytes);
        let body = peer.get(1, "q").expect("a message").text();
        assert_eq!(body, if frames.len() == 1 { "" } else { "ab" });
    }
}

/// Behaviour B1.7: a publish that never ends leaves nothing behind.
#[test]
fn half_a_publish_is_no_publish() {
    let (world, peer) = connected();
    let other = world.connect();
    other.open_channel(1);
    peer.send_bytes(&method_frame(1, publish("", "q")));
    peer.send_bytes(&header_frame(1, 10, &text()));
    peer.send_bytes(&raw_frame(3, 1, b"half"));
    peer.hang_up();
    assert_eq!(other.counts(1, "q"), (0, 0));
}

/// Behaviour B1.8: an error of the channel, once the content is there; a body of exactly the limit is
/// fine.
#[test]
fn message_size_is_limited() {
    let limits = Limits { message_size_max: 10_000, ..Limits::default() };
    let world = World::with(limits, Offer::default());
    let peer = world.connect();
    peer.open_channel(1);
    peer.declare(1, "q");
    peer.confirm_select(1);
    peer.publish(1, "", "q", &text(), &[b'x'; 10_000]);
    peer.expect_confirm(1, 1, false);
    peer.publish(1, "", "q", &text(), &[b'x'; 10_001]);
    let text = "PRECONDITION_FAILED - message size 10001 is larger than configured max size 10000";
    peer.expect_channel_error(1, 406, text).for_method(60, 40);
    peer.reopen(1);
    assert_eq!(peer.counts(1, "q"), (1, 0));
}

/// Behaviour B1.8: what is announced too large is refused before any of it is kept, and what comes of
/// it all the same is dropped.
#[test]
fn oversized_message_is_refused_at_its_header() {
    let limits = Limits { message_size_max: 10_000, ..Limits::default() };
    let world = World::with(limits, Offer::default());
    let peer = world.connect();
    peer.open_channel(1);
    peer.send_bytes(&method_frame(1, publish("", "q")));
    peer.send_bytes(&raw_frame(2, 1, &header(60, 0, 10_001, &[0, 0])));
    let text = "PRECONDITION_FAILED - message size 10001 is larger than configured max size 10000";
    peer.expect_channel_error(1, 406, text).for_method(60, 40);
    peer.send_bytes(&raw_frame(3, 1, &[b'x'; 4000]));
    peer.expect_nothing();
    peer.reopen(1);
}

/// Behaviour B1.8: the same on the way that small messages take.
#[test]
fn message_size_is_limited_for_small_messages() {
    let limits = Limits { message_size_max: 5, ..Limits::default() };
    let world = World::with(limits, Offer::default());
    let peer = world.connect();
    peer.open_channel(1);
    peer.publish(1, "amq.fanout", "", &text(), b"12345");
    peer.publish(1, "amq.fanout", "", &text(), b"123456");
    let text = "PRECONDITION_FAILED - message size 6 is larger than configured max size 5";
    peer.expect_channel_error(1, 406, text).for_method(60, 40);
}

/// Publishes flags and values, and returns those that a consumer gets.
#[track_caller]
fn carried(properties: &[u8]) -> Vec<u8> {
    let (_world, peer) = connected();
    peer.send_bytes(&method_frame(1, publish("", "q")));
    peer.send_bytes(&raw_frame(2, 1, &header(60, 0, 0, properties)));
    peer.get(1, "q").expect("a message").content.properties
}

/// Behaviour B1.9, B1.11 and trap B16.15: what the broker does not change is not encoded anew.
#[test]
fn properties_are_carried_byte_by_byte() {
    let table = [
        &b"\x01kt\x02"[..],
        b"\x01kS\0\0\0\x02\xff\xfe",
        b"\x01ss\xff\xff",
        b"\x01uu\xff\xff",
        b"\x01LL\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00V",
        b"\x01AA\0\0\0\x02b\x80",
        b"\x01DD\x02\xff\xff\xff\xff",
        b"\x01xx\0\0\0\x01\0",
        b"\x01FF\0\0\0\x00",
    ]
    .concat();
    let mut headers = b"\x20\x00".to_vec();
    headers.extend(u32::try_from(table.len()).unwrap().to_be_bytes());
    headers.extend(&table);
    let everything = [
        &b"\xff\xfc"[..],
        b"\x02ct\x02ce",
        &headers[2..],
        b"\x01\x09",
        b"\x03\xff\x00\xfe\x02rt\x04+500\x02id\0\0\0\0\0\0\0\x07\x04type\x05guest\x03app\x07cluster",
    ]
    .concat();
    for properties in [
        &b"\0\0"[..],
        // Bits that mean nothing.
        b"\0\x01",
        b"\x10\x02\x02",
        &headers,
        &everything,
    ] {
        assert_eq!(carried(properties), properties);
    }
}

/// Behaviour B1.9 and B1.11: properties that do not add up.
#[test]
fn malformed_properties_end_the_connection() {
    for properties in [
        // No flags, a missing value, a value too many, half a shortstr.
        &b""[..],
        b"\0",
        b"\x10\x00",
        b"\x10\x00\x02\x02",
        b"\x80\x00\x05abc",
        // A header of an unknown type, and a table that is shorter than it says.
        b"\x20\x00\0\0\0\x03\x01k?",
        b"\x20\x00\0\0\0\x09\x01kV",
    ] {
        let (_world, peer) = connected();
        peer.send_bytes(&method_frame(1, publish("", "q")));
        peer.send_bytes(&raw_frame(2, 1, &header(60, 0, 0, properties)));
        let close = peer.recv();
        let leveret::protocol::Method::Connection(connection::Method::Close(close)) =
            close.method()
        else {
            panic!("expected connection.close for {properties:?}, got {close:?}");
        };
        assert_eq!((close.reply_code, close.class_id, close.method_id), (502, 60, 40));
        assert!(close.reply_text.starts_with("SYNTAX_ERROR - "), "{}", close.reply_text);
    }
}

/// Behaviour B6.20: address, properties and body come out as they went in, on every way.
#[test]
fn small_and_large_messages_come_out_alike() {
    let (_world, peer) = connected();
    for size in [0, 1, 8 * 1024, 8 * 1024 + 1, 300_000] {
        let body = vec![b'x'; size];
        peer.publish(1, "", "q", &persistent(), &body);
        let got = peer.get(1, "q").expect("a message");
        assert_eq!((got.exchange.as_str(), got.routing_key.as_str()), ("", "q"));
        assert_eq!(got.content.properties(), persistent());
        assert!(got.content.body == body, "{size}");
        peer.ack(1, got.delivery_tag);
    }
}

/// Behaviour B1.4: there are clients that reckon from the size how many frames there will be.
#[test]
fn every_body_frame_but_the_last_is_full_however_it_was_sent() {
    let (_world, peer) = connected();
    let body: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let pieces = [&body[..60_000], &body[60_000..60_100]];
    let pieces = pieces.into_iter().chain(body[60_100..].chunks(8184));
    let mut frames = vec![method_frame(1, publish("", "q")), header_frame(1, 300_000, &text())];
    frames.extend(pieces.map(|piece| raw_frame(3, 1, piece)));
    peer.send_bytes(&frames.concat());
    peer.expect_raw();
    peer.send(1, basic::Get { queue: "q", no_ack: true });
    let answer = peer.take_raw();
    let (mut rest, mut sizes, mut received) = (&answer[..], Vec::new(), Vec::new());
    while let [kind, _, _, a, b, c, d, behind @ ..] = rest {
        let (payload, behind) = behind.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        if *kind == 3 {
            sizes.push(payload.len());
            received.extend_from_slice(payload);
        }
        assert_eq!(behind[0], 0xce, "the end of a frame");
        rest = &behind[1..];
    }
    let full = peer.payload_max();
    assert_eq!(sizes, [full, full, 300_000 - 2 * full]);
    assert!(received == body, "the body came back changed");
}
