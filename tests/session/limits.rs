//! Queues with a length: what they drop and what they refuse (behaviour B8.9).

use leveret::protocol::frame::write_body;
use leveret::protocol::method::basic::{self, Publish};
use leveret::protocol::{ChannelNumber, FieldTable, FieldValue, Headers, Method, OwnedProperties};

use crate::support::{Peer, World, header_frame, method_frame, publish, text};

/// Every way to say what a full queue does.
const DROP: [Option<&str>; 2] = [None, Some("drop-head")];
const REJECT: [Option<&str>; 2] = [Some("reject-publish"), Some("reject-publish-dlx")];

fn limits(limits: &[(&str, i32)], overflow: Option<&str>) -> FieldTable {
    let mut table: FieldTable =
        limits.iter().map(|(name, value)| (*name, FieldValue::from(*value))).collect();
    if let Some(overflow) = overflow {
        table.insert("x-overflow", overflow);
    }
    table
}

/// Publishes one by one to `q`, and says with `+` and `-` what was confirmed and what was refused.
#[track_caller]
fn confirmed(peer: &Peer, bodies: &[&str]) -> String {
    let answer = |body| {
        peer.publish_texts(1, "q", &[body]);
        match peer.recv().method() {
            Method::Basic(basic::Method::Ack(_)) => '+',
            Method::Basic(basic::Method::Nack(nack)) if !nack.requeue => '-',
            other => panic!("expected a confirm, got {other:?}"),
        }
    };
    peer.confirm_select(1);
    let answers = bodies.iter().copied().map(answer).collect();
    peer.expect_nothing();
    answers
}

/// The same publishes in one packet, answered in any order and together.
#[track_caller]
fn confirmed_together(peer: &Peer, bodies: &[&str]) -> String {
    peer.confirm_select(1);
    let mut packet = Vec::new();
    for body in bodies {
        packet.extend(method_frame(1, publish("", "q")));
        packet.extend(header_frame(1, body.len() as u64, &text()));
        if !body.is_empty() {
            write_body(&mut packet, ChannelNumber(1), body.as_bytes());
        }
    }
    peer.send_bytes(&packet);
    let mut answers = vec![' '; bodies.len()];
    while answers.contains(&' ') {
        let received = peer.recv();
        let (tag, multiple, answer) = match received.method() {
            Method::Basic(basic::Method::Ack(ack)) => (ack.delivery_tag, ack.multiple, '+'),
            Method::Basic(basic::Method::Nack(nack)) => (nack.delivery_tag, nack.multiple, '-'),
            other => panic!("expected a confirm, got {other:?}"),
        };
        // B7.3: one that covers several leaves out what was answered before.
        let first = if multiple { 1 } else { tag };
        for (number, place) in (1..).zip(&mut answers) {
            assert!(number != tag || *place == ' ', "{tag} is answered twice");
            if (first..=tag).contains(&number) && *place == ' ' {
                *place = answer;
            }
        }
    }
    peer.expect_nothing();
    answers.into_iter().collect()
}

/// What is confirmed and what is left, published one by one and together.
#[track_caller]
fn check(arguments: &FieldTable, bodies: &[&str], answers: &str, left: &[&str]) {
    for publish in [confirmed, confirmed_together] {
        let peer = World::new().open();
        peer.declare_with(1, "q", arguments.clone());
        assert_eq!(publish(&peer, bodies), answers, "{arguments:?} {bodies:?}");
        assert_eq!(peer.drain(1, "q"), left, "{arguments:?} {bodies:?}");
    }
}

/// The head goes until what is left fits; whoever published is told that all is well.
#[test]
fn full_queue_drops_its_head() {
    for overflow in DROP {
        let length = |length| limits(&[("x-max-length", length)], overflow);
        check(&length(2), &["1", "2"], "++", &["1", "2"]);
        check(&length(2), &["1", "2", "3", "4"], "++++", &["3", "4"]);
        check(&length(0), &["1", "2"], "++", &[]);
        let bytes = |bytes| limits(&[("x-max-length-bytes", bytes)], overflow);
        check(&bytes(3), &["ab", "c", "d"], "+++", &["c", "d"]);
        check(&bytes(3), &["a", "b", "c", "def"], "++++", &["def"]);
        // Larger than all there is: everything goes, the new one last.
        check(&bytes(3), &["ab", "cdef"], "++", &[]);
        check(&bytes(0), &["", "a", ""], "+++", &[""]);
        let both = limits(&[("x-max-length", 3), ("x-max-length-bytes", 3)], overflow);
        check(&both, &["a", "b", "c", "dd"], "++++", &["c", "dd"]);
        check(&both, &["", "", "", "a"], "++++", &["", "", "a"]);
    }
}

/// What does not fit is refused; what fits after it is not.
#[test]
fn full_queue_refuses_what_is_new() {
    for overflow in REJECT {
        let length = |length| limits(&[("x-max-length", length)], overflow);
        check(&length(2), &["1", "2", "3", "4"], "++--", &["1", "2"]);
        check(&length(0), &["1", ""], "--", &[]);
        let bytes = |bytes| limits(&[("x-max-length-bytes", bytes)], overflow);
        check(&bytes(3), &["ab", "cdef", "c", "d", ""], "+-+-+", &["ab", "c", ""]);
        check(&bytes(0), &["", "a", ""], "+-+", &["", ""]);
        let both = limits(&[("x-max-length", 2), ("x-max-length-bytes", 3)], overflow);
        check(&both, &["aa", "bb", "b", ""], "+-+-", &["aa", "b"]);
    }
}

/// B16.8: what a consumer holds is free, and so are properties.
#[test]
fn only_bodies_of_ready_messages_count() {
    let peer = World::new().open();
    peer.declare_with(1, "q", limits(&[("x-max-length", 1), ("x-max-length-bytes", 1)], REJECT[0]));
    assert_eq!(confirmed(&peer, &["1", "2"]), "+-");
    peer.get(1, "q").unwrap();
    assert_eq!(confirmed(&peer, &["3", "4"]), "+-");
    peer.ack(1, 1);
    assert_eq!(confirmed(&peer, &["5"]), "-");
    peer.get(1, "q").unwrap();
    let mut headers = Headers::default();
    headers.set("long", &FieldValue::from("far more than one octet"));
    let properties = OwnedProperties { headers: Some(headers), ..text() };
    peer.publish(1, "", "q", &properties, b"6");
    peer.expect_confirm(1, 6, false);
}

/// A queue where nothing may wait still hands on; one that refuses does not even do that.
#[test]
fn waiting_consumer_helps_where_heads_are_dropped() {
    for (overflow, arrives) in [(DROP[0], true), (REJECT[0], false), (REJECT[1], false)] {
        let world = World::new();
        let (peer, consumer) = (world.open(), world.open());
        peer.declare_with(1, "q", limits(&[("x-max-length", 0)], overflow));
        consumer.qos(1, 2, false);
        consumer.consume(1, "q", "c");
        let answers = confirmed(&peer, &["1", "2", "3"]);
        if arrives {
            assert_eq!(answers, "+++");
            consumer.expect_texts(1, &["1", "2"]);
        } else {
            assert_eq!(answers, "---");
        }
        consumer.expect_nothing();
        assert_eq!(peer.counts(1, "q"), (0, 1));
    }
}

/// B6.4: it was routed; a refusal is not a return, and without confirms it is silence.
#[test]
fn refused_message_is_not_returned() {
    for overflow in REJECT {
        let peer = World::new().open();
        peer.declare_with(1, "q", limits(&[("x-max-length", 0)], overflow));
        peer.publish_mandatory(1, "", "q", b"1");
        peer.expect_nothing();
        peer.confirm_select(1);
        let mandatory = Publish { mandatory: true, ..publish("", "q") };
        peer.publish_as(1, mandatory, &text(), b"2");
        peer.expect(1, basic::Nack { delivery_tag: 1, multiple: false, requeue: false });
        peer.expect_nothing();
    }
}

/// B7.2 and B16.7: one queue's refusal is the message's, and the other queues keep it.
#[test]
fn one_refusal_of_several_queues_is_a_refusal() {
    let peer = World::new().open();
    peer.declare_with(1, "full", limits(&[("x-max-length", 1)], REJECT[0]));
    peer.declare(1, "roomy");
    for queue in ["full", "roomy"] {
        peer.bind(1, queue, "amq.fanout", "");
    }
    peer.confirm_select(1);
    peer.publish(1, "amq.fanout", "", &text(), b"1");
    peer.expect_confirm(1, 1, false);
    peer.publish(1, "amq.fanout", "", &text(), b"2");
    peer.expect(1, basic::Nack { delivery_tag: 2, multiple: false, requeue: false });
    assert_eq!(peer.drain(1, "full"), ["1"]);
    assert_eq!(peer.drain(1, "roomy"), ["1", "2"]);
}

/// B6.13 and B16.8: what comes back may be too much: then the head goes, which often is what came
/// back; a queue that refuses takes back everything.
#[test]
fn requeue_may_exceed_the_limit() {
    for (overflow, left) in [
        (DROP[0], ["2", "new"].as_slice()),
        (DROP[1], &["2", "new"]),
        (REJECT[0], &["1", "2", "new"]),
        (REJECT[1], &["1", "2", "new"]),
    ] {
        let peer = World::new().open();
        peer.declare_with(1, "q", limits(&[("x-max-length", 2)], overflow));
        peer.publish_texts(1, "q", &["1", "2"]);
        let got = peer.get(1, "q").unwrap();
        peer.publish_texts(1, "q", &["new"]);
        peer.nack(1, got.delivery_tag, true);
        assert_eq!(peer.counts(1, "q"), (left.len() as u32, 0), "{overflow:?}");
        if overflow == REJECT[0] {
            assert_eq!(confirmed(&peer, &["no room"]), "-");
        }
        assert_eq!(peer.drain(1, "q"), left);
    }
}

/// B16.8: the head of a queue with priorities is what would be delivered next.
#[test]
fn queue_with_priorities_drops_the_highest() {
    for (overflow, left) in [(DROP[0], ["lo 2", "none"]), (REJECT[0], ["hi", "lo 1"])] {
        let peer = World::new().open();
        let arguments = limits(&[("x-max-length", 2), ("x-max-priority", 5)], overflow);
        peer.declare_with(1, "q", arguments);
        for (body, priority) in [
            ("lo 1", Some(1)),
            ("hi", Some(5)),
            ("lo 2", Some(1)),
            ("mid", Some(3)),
            ("none", None),
        ] {
            let properties = OwnedProperties { priority, ..text() };
            peer.publish(1, "", "q", &properties, body.as_bytes());
        }
        assert_eq!(peer.drain(1, "q"), left);
    }
}
