//! Messages that come twice, as clients see it: exchanges that remember, and queues that hold each one
//! once.

// All of this is a test: whatever it stumbles over fails it.

use std::time::Duration;

use leveret::protocol::method::exchange::{Bind, BindOk, Declare, DeclareOk};
use leveret::protocol::method::{basic, queue, tx};
use leveret::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};

use crate::support::{Peer, World, persistent, publish, text};

const TYPE: &str = "x-message-deduplication";

fn table(pairs: &[(&str, FieldValue)]) -> FieldTable {
    pairs.iter().cloned().collect()
}

fn with_headers(pairs: &[(&str, FieldValue)]) -> OwnedProperties {
    OwnedProperties { headers: Some(Headers::from(&table(pairs))), ..text() }
}

/// A message with an id.
fn id(value: impl Into<FieldValue>) -> OwnedProperties {
    with_headers(&[("x-deduplication-header", value.into())])
}

fn persistent_id(value: &str) -> OwnedProperties {
    OwnedProperties { delivery_mode: persistent().delivery_mode, ..id(value) }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn declare<'a>(exchange: &'a str, kind: &'a str, arguments: &[(&str, FieldValue)]) -> Declare<'a> {
    Declare { exchange, kind, arguments: table(arguments), ..Declare::default() }
}

/// An exchange of that kind and a queue `q` bound to it.
#[track_caller]
fn exchange(peer: &Peer, kind: &str, arguments: &[(&str, FieldValue)]) {
    peer.call(1, declare("x", kind, arguments), DeclareOk {});
    peer.declare(1, "q");
    peer.bind(1, "q", "x", "k");
}

#[track_caller]
fn dedup_queue(peer: &Peer, more: &[(&str, FieldValue)]) {
    let mut arguments = vec![(TYPE, true.into())];
    arguments.extend_from_slice(more);
    peer.declare_with(1, "q", table(&arguments));
}

fn to_queue(peer: &Peer, properties: &OwnedProperties, body: &str) {
    peer.publish(1, "", "q", properties, body.as_bytes());
}

// Exchanges.

/// The type is a fanout; the argument leaves every type what it is.
#[test]
fn exchange_passes_each_value_on_once() {
    let sized = [("x-cache-size", FieldValue::I32(10))];
    let switched = [(TYPE, true.into())];
    for (kind, arguments, other_keys) in [
        (TYPE, &sized[..], true),
        ("direct", &switched[..], false),
        ("topic", &switched[..], false),
        ("fanout", &switched[..], true),
        ("headers", &switched[..], true),
        ("x-random", &switched[..], true),
    ] {
        let peer = World::new().open();
        exchange(&peer, kind, arguments);
        for (body, properties) in [
            ("a", id("1")),
            ("a again", id("1")),
            ("no id", text()),
            ("no id again", text()),
            ("other header", with_headers(&[("x-other", "1".into())])),
            ("b", id("2")),
            ("a once more", id("1")),
            ("b again", id("2")),
        ] {
            peer.publish(1, "x", "k", &properties, body.as_bytes());
        }
        assert_eq!(
            peer.drain(1, "q"),
            ["a", "no id", "no id again", "other header", "b"],
            "{kind}"
        );
        // It is a matter of the value, not of the key.
        peer.publish(1, "x", "other", &id("1"), b"a");
        peer.publish(1, "x", "other", &id("3"), b"c");
        let expected: &[&str] = if other_keys { &["c"] } else { &[] };
        assert_eq!(peer.drain(1, "q"), expected, "{kind}");
    }
}

/// What was routed nowhere was here nevertheless: both brokers note it before they route.
#[test]
fn what_found_no_queue_is_remembered() {
    let peer = World::new().open();
    peer.call(1, declare("x", TYPE, &[("x-cache-size", 10.into())]), DeclareOk {});
    peer.publish(1, "x", "", &id("1"), b"nowhere");
    peer.declare(1, "q");
    peer.bind(1, "q", "x", "");
    peer.publish(1, "x", "", &id("1"), b"late");
    assert!(peer.drain(1, "q").is_empty());
}

#[test]
fn values_are_told_apart_by_type_but_not_by_the_width_of_a_number() {
    let peer = World::new().open();
    exchange(&peer, TYPE, &[("x-cache-size", 100.into())]);
    let long = "v".repeat(3000);
    for (value, is_new) in [
        (FieldValue::I64(1), true),
        (FieldValue::I8(1), false),
        (FieldValue::U32(1), false),
        (FieldValue::from("1"), true),
        (FieldValue::Binary(b"1".to_vec()), true),
        (FieldValue::Bool(true), true),
        (FieldValue::Timestamp(1), true),
        (FieldValue::Void, true),
        (FieldValue::Void, false),
        (FieldValue::from(&*long), true),
        (FieldValue::from(&long[1..]), true),
        (FieldValue::from(&*long), false),
        (FieldValue::Table(table(&[("a", 1.into())])), true),
        (FieldValue::Table(table(&[("a", 1.into())])), false),
    ] {
        let properties = id(value.clone());
        peer.publish(1, "x", "", &properties, b"m");
        assert_eq!(peer.drain(1, "q").len(), usize::from(is_new), "{value:?}");
    }
}

#[test]
fn size_and_time_bound_what_an_exchange_remembers() {
    let world = World::new();
    let peer = world.open();
    exchange(&peer, TYPE, &[("x-cache-size", "3".into()), ("x-cache-ttl", 1000.into())]);
    let arrives = |value: &str| {
        peer.publish(1, "x", "", &id(value), b"m");
        !peer.drain(1, "q").is_empty()
    };
    assert_eq!(["1", "2", "3", "1"].map(arrives), [true, true, true, false]);
    // The oldest makes room for a fourth.
    assert_eq!(["4", "2", "1"].map(arrives), [true, false, true]);
    world.advance(ms(999));
    assert_eq!(["4", "1"].map(arrives), [false, false]);
    world.advance(ms(1));
    assert_eq!(["4", "1", "4"].map(arrives), [true, true, false]);
}

/// The message may say how long it is to be remembered.
#[test]
fn a_message_may_set_its_own_time() {
    let world = World::new();
    let peer = world.open();
    exchange(&peer, "direct", &[(TYPE, true.into()), ("x-cache-ttl", 1000.into())]);
    let arrives = |value: &str, ttl: FieldValue| {
        let header = [("x-deduplication-header", value.into()), ("x-cache-ttl", ttl)];
        peer.publish(1, "x", "k", &with_headers(&header), b"m");
        !peer.drain(1, "q").is_empty()
    };
    assert!(arrives("short", FieldValue::I32(10)));
    assert!(arrives("long", FieldValue::I64(5000)));
    assert!(arrives("default", "soon".into()), "what is no number does not count");
    assert!(arrives("never", FieldValue::I32(0)) && arrives("never", FieldValue::I32(-1)));
    world.advance(ms(9));
    assert!(!arrives("short", FieldValue::I32(10)));
    world.advance(ms(1));
    assert!(arrives("short", FieldValue::I32(10)));
    world.advance(ms(990));
    assert!(arrives("default", FieldValue::Void));
    assert!(!arrives("long", FieldValue::I32(1)));
    world.advance(ms(4000));
    assert!(arrives("long", FieldValue::I32(1)));
}

#[test]
fn argument_remembers_128_values_unless_told_otherwise() {
    let peer = World::new().open();
    exchange(&peer, "direct", &[(TYPE, true.into())]);
    for round in [129, 129] {
        for n in 0..129 {
            peer.publish(1, "x", "k", &id(n), b"m");
        }
        assert_eq!(peer.drain(1, "q").len(), round, "each pushes out the next one");
    }
    for n in 1..129 {
        peer.publish(1, "x", "k", &id(n), b"m");
    }
    assert!(peer.drain(1, "q").is_empty());
}

#[test]
fn the_header_can_be_named_otherwise() {
    let peer = World::new().open();
    exchange(&peer, "direct", &[(TYPE, true.into()), ("x-deduplication-header", "order".into())]);
    for (body, properties) in [
        ("a", with_headers(&[("order", 1.into())])),
        ("a again", with_headers(&[("order", 1.into())])),
        ("b", id(1)),
        ("b again", id(1)),
    ] {
        peer.publish(1, "x", "k", &properties, body.as_bytes());
    }
    assert_eq!(peer.drain(1, "q"), ["a", "b", "b again"]);
}

/// Returned when mandatory, and confirmed.
#[test]
fn a_duplicate_is_unroutable_and_acked() {
    for (kind, arguments) in
        [(TYPE, ("x-cache-size", FieldValue::I32(9))), ("direct", (TYPE, true.into()))]
    {
        let peer = World::new().open();
        exchange(&peer, kind, &[arguments]);
        peer.confirm_select(1);
        peer.publish(1, "x", "k", &id(1), b"a");
        peer.expect_confirm(1, 1, false);
        peer.publish(1, "x", "k", &id(1), b"again");
        peer.expect_confirm(1, 2, false);
        let mandatory = basic::Publish { mandatory: true, ..publish("x", "k") };
        peer.publish_as(1, mandatory, &id(1), b"returned");
        let returned = peer.expect_return(1);
        assert_eq!((returned.reply_code, returned.exchange), (312, "x".to_owned()));
        peer.expect_confirm(1, 3, false);
        assert_eq!(peer.drain(1, "q"), ["a"]);
    }
}

/// To the type a duplicate is a message nobody is bound for; with the argument it ends.
#[test]
fn alternate_exchange_gets_the_duplicates_of_the_type_alone() {
    for (kind, arguments, expected) in [
        (TYPE, ("x-cache-size", FieldValue::I32(9)), &["again"][..]),
        ("direct", (TYPE, true.into()), &[]),
    ] {
        let peer = World::new().open();
        peer.declare_exchange(1, "rest", "fanout");
        peer.declare(1, "duplicates");
        peer.bind(1, "duplicates", "rest", "");
        exchange(&peer, kind, &[arguments, ("alternate-exchange", "rest".into())]);
        peer.publish(1, "x", "k", &id(1), b"a");
        peer.publish(1, "x", "k", &id(1), b"again");
        assert_eq!(peer.drain(1, "q"), ["a"]);
        assert_eq!(peer.drain(1, "duplicates"), expected, "{kind}");
    }
}

/// It counts wherever on the way the exchange stands, once for each message.
#[test]
fn exchange_behind_another_leaves_duplicates_out() {
    let peer = World::new().open();
    exchange(&peer, TYPE, &[("x-cache-size", 10.into())]);
    peer.declare_exchange(1, "in", "topic");
    let bind = Bind { source: "in", destination: "x", routing_key: "#", ..Bind::default() };
    peer.call(1, bind, BindOk {});
    peer.declare(1, "all");
    peer.bind(1, "all", "in", "#");
    for body in ["a", "again"] {
        // With a second key the message comes by twice, and is still one.
        let headers = with_headers(&[
            ("x-deduplication-header", 1.into()),
            ("CC", FieldValue::Array(vec!["k2".into()])),
        ]);
        peer.publish(1, "in", "k1", &headers, body.as_bytes());
    }
    assert_eq!(peer.drain(1, "q"), ["a"]);
    assert_eq!(peer.drain(1, "all"), ["a", "again"]);
}

/// A publish that was refused has not been here.
#[test]
fn refused_publish_is_not_remembered() {
    let peer = World::new().open();
    exchange(&peer, TYPE, &[("x-cache-size", 10.into())]);
    let expiration = Some(b"soon".to_vec());
    peer.publish(1, "x", "", &OwnedProperties { expiration, ..id(1) }, b"refused");
    let text = "PRECONDITION_FAILED - invalid expiration 'soon': no_integer";
    peer.expect_channel_error(1, 406, text).for_method(60, 40);
    peer.reopen(1);
    peer.publish(1, "x", "", &id(1), b"a");
    assert_eq!(peer.drain(1, "q"), ["a"]);
}

#[test]
fn transactions_and_dead_letters_are_deduplicated() {
    let peer = World::new().open();
    exchange(&peer, TYPE, &[("x-cache-size", 10.into())]);
    peer.open_channel(2);
    peer.tx_select(2);
    for body in ["a", "again"] {
        peer.publish(2, "x", "", &id(1), body.as_bytes());
    }
    peer.call(2, tx::Commit {}, tx::CommitOk {});
    assert_eq!(peer.drain(1, "q"), ["a"]);

    peer.declare_with(1, "dying", table(&[("x-dead-letter-exchange", "x".into())]));
    for (body, value) in [("1", 1), ("2", 2), ("2 again", 2)] {
        peer.publish(1, "", "dying", &id(value), body.as_bytes());
        let tag = peer.get(1, "dying").unwrap().delivery_tag;
        peer.reject(1, tag, false);
    }
    assert_eq!(peer.drain(1, "q"), ["2"]);
}

#[test]
fn bad_arguments_are_refused() {
    let peer = World::new().open();
    let check = |kind: &str, arguments: &[(&str, FieldValue)], text: &str| {
        let text = format!("PRECONDITION_FAILED - {text}");
        peer.refused(1, declare("x", kind, arguments), 406, &text);
    };
    let size = "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0";
    check(TYPE, &[], size);
    for bad in [FieldValue::I32(0), FieldValue::I32(-1), "ten".into(), "0".into(), true.into()] {
        check(TYPE, &[("x-cache-size", bad.clone())], size);
        check("direct", &[(TYPE, true.into()), ("x-cache-size", bad.clone())], size);
        check(
            TYPE,
            &[("x-cache-size", 1.into()), ("x-cache-ttl", bad)],
            "Invalid argument, 'x-cache-ttl' must be an integer greater than 0",
        );
    }
    let good = ("x-cache-size", FieldValue::I32(1));
    for (name, must) in [
        ("x-cache-persistence", "'memory'"),
        ("x-message-deduplication", "a boolean"),
        ("x-deduplication-header", "a string"),
    ] {
        let text = format!("Invalid argument, '{name}' must be {must}");
        check(TYPE, &[good.clone(), (name, 5.into())], &text);
    }
    check(
        TYPE,
        &[good.clone(), ("x-cache-persistence", "disk".into())],
        "Invalid argument, 'x-cache-persistence' must be 'memory'",
    );
    let memory = ("x-cache-persistence", FieldValue::from("memory"));
    peer.call(1, declare("x", TYPE, &[good, memory]), DeclareOk {});
    // Nothing of it is looked at where it is not switched on.
    let off = [(TYPE, false.into()), ("x-cache-size", "none".into())];
    peer.call(1, declare("y", "direct", &off), DeclareOk {});
    peer.call(1, declare("z", "direct", &off[1..]), DeclareOk {});
}

/// A confirm says that the message is safe. For a duplicate that is the first one's business.
#[test]
fn confirm_of_a_duplicate_waits_until_the_first_one_is_safe() {
    for in_queue in [false, true] {
        let world = World::held();
        let peer = world.open();
        let name = if in_queue { "" } else { "x" };
        let declare_queue = queue::Declare {
            queue: "q",
            durable: true,
            arguments: if in_queue { table(&[(TYPE, true.into())]) } else { FieldTable::new() },
            ..queue::Declare::default()
        };
        peer.send(1, declare_queue);
        world.finish_commits(&Ok(()));
        peer.recv();
        peer.call(1, declare("x", TYPE, &[("x-cache-size", 9.into())]), DeclareOk {});
        peer.bind(1, "q", "x", "");
        // Somebody else, because the confirms of one channel wait for each other anyway.
        let other = world.open();
        for peer in [&peer, &other] {
            peer.confirm_select(1);
            peer.publish(1, name, "q", &persistent_id("1"), b"a");
            peer.expect_nothing();
        }
        // To a transient message nobody promised anything.
        other.publish(1, name, "q", &id("1"), b"again");
        other.expect_nothing();
        let third = world.open();
        third.confirm_select(1);
        third.publish(1, name, "q", &id("1"), b"again");
        third.expect_confirm(1, 1, false);
        world.sync();
        peer.expect_confirm(1, 1, false);
        other.expect_confirm(1, 2, true);
        other.publish(1, name, "q", &persistent_id("1"), b"once more");
        other.expect_confirm(1, 3, false);
    }
}

// Queues.

/// A value is held as long as its message is in the queue, ready or delivered, and no longer.
#[test]
fn queue_holds_each_value_once_until_its_message_leaves() {
    let peer = World::new().open();
    dedup_queue(&peer, &[]);
    for (body, properties) in
        [("a", id(1)), ("again", id(1)), ("no id", text()), ("no id", text()), ("b", id(2))]
    {
        to_queue(&peer, &properties, body);
    }
    assert_eq!(peer.counts(1, "q").0, 4);
    let a = peer.get(1, "q").unwrap();
    to_queue(&peer, &id(1), "while it is delivered");
    assert_eq!(peer.counts(1, "q").0, 3);
    peer.reject(1, a.delivery_tag, true);
    to_queue(&peer, &id(1), "while it is back");
    assert_eq!(peer.drain(1, "q"), ["a", "no id", "no id", "b"]);
    to_queue(&peer, &id(1), "anew");
    assert_eq!(peer.drain(1, "q"), ["anew"]);
}

/// A name, and how the message leaves.
type WayOut<'a> = (&'a str, &'a dyn Fn(&World, &Peer));

/// Whatever way it goes, the next one may come in.
#[test]
fn every_way_out_of_a_queue_lets_the_value_go() {
    let ways: [WayOut<'_>; 12] = [
        ("ack", &|_, peer| drop(peer.drain(1, "q"))),
        ("ack of several", &|_, peer| {
            to_queue(peer, &id(2), "second");
            peer.get(1, "q").unwrap();
            let last = peer.get(1, "q").unwrap();
            peer.ack_until(1, last.delivery_tag);
        }),
        ("get without ack", &|_, peer| {
            peer.send(1, basic::Get { queue: "q", no_ack: true });
            peer.recv().delivery();
        }),
        ("consumer", &|_, peer| {
            peer.consume(1, "q", "c");
            let tag = peer.expect_delivery(1).delivery_tag;
            peer.ack(1, tag);
            peer.cancel(1, "c");
        }),
        ("consumer without ack", &|_, peer| {
            peer.consume_no_ack(1, "q", "c");
            peer.expect_delivery(1);
            peer.cancel(1, "c");
        }),
        ("reject", &|_, peer| {
            let tag = peer.get(1, "q").unwrap().delivery_tag;
            peer.reject(1, tag, false);
        }),
        ("nack", &|_, peer| {
            let tag = peer.get(1, "q").unwrap().delivery_tag;
            peer.nack(1, tag, false);
        }),
        ("transaction", &|_, peer| {
            peer.open_channel(2);
            peer.tx_select(2);
            let tag = peer.get(2, "q").unwrap().delivery_tag;
            peer.ack(2, tag);
            peer.call(2, tx::Commit {}, tx::CommitOk {});
        }),
        ("purge", &|_, peer| {
            peer.send(1, queue::Purge { queue: "q", nowait: false });
            peer.expect(1, queue::PurgeOk { message_count: 1 });
        }),
        ("time", &|world, _| world.advance(ms(1000))),
        ("length", &|_, peer| {
            to_queue(peer, &id(2), "second");
            to_queue(peer, &id(3), "third");
            assert_eq!(peer.drain(1, "q"), ["second", "third"]);
        }),
        ("a lost connection that needs no ack", &|world, peer| {
            let other = world.open();
            other.consume_no_ack(1, "q", "c");
            other.expect_delivery(1);
            other.hang_up();
            assert_eq!(peer.counts(1, "q").1, 0);
        }),
    ];
    for durable in [false, true] {
        for (name, leave) in &ways {
            let world = World::new();
            let peer = world.open();
            let arguments = [
                (TYPE, true.into()),
                ("x-message-ttl", 1000.into()),
                ("x-max-length", FieldValue::I32(2)),
            ];
            let arguments = table(&arguments);
            peer.declare_as(
                1,
                queue::Declare { queue: "q", durable, arguments, ..Default::default() },
            );
            to_queue(&peer, &persistent_id("1"), "a");
            to_queue(&peer, &persistent_id("1"), "again");
            leave(&world, &peer);
            assert_eq!(peer.counts(1, "q").0, 0, "{name}");
            to_queue(&peer, &persistent_id("1"), "anew");
            to_queue(&peer, &persistent_id("1"), "again");
            assert_eq!(peer.drain(1, "q"), ["anew"], "{name}");
        }
    }
}

/// A consumer that dies gives its messages back: they never were gone.
#[test]
fn value_stays_while_its_message_comes_back_from_a_dead_consumer() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    dedup_queue(&peer, &[]);
    to_queue(&peer, &id(1), "a");
    other.consume(1, "q", "c");
    other.expect_delivery(1);
    other.hang_up();
    to_queue(&peer, &id(1), "again");
    assert_eq!(peer.drain(1, "q"), ["a"]);
}

/// It was routed: nothing is returned, and the confirm is an ack.
#[test]
fn duplicate_in_a_queue_counts_as_routed() {
    let peer = World::new().open();
    dedup_queue(&peer, &[("x-deduplication-header", "order".into())]);
    peer.confirm_select(1);
    for number in 1..=3 {
        let mandatory = basic::Publish { mandatory: true, ..publish("", "q") };
        peer.publish_as(1, mandatory, &with_headers(&[("order", 7.into())]), b"m");
        peer.expect_confirm(1, number, false);
    }
    assert_eq!(peer.counts(1, "q").0, 1);
}

/// Each queue decides for itself.
#[test]
fn other_queues_get_what_one_has_already() {
    let peer = World::new().open();
    dedup_queue(&peer, &[]);
    peer.declare(1, "plain");
    for name in ["q", "plain"] {
        peer.bind(1, name, "amq.fanout", "");
    }
    for body in ["a", "again"] {
        peer.publish(1, "amq.fanout", "", &id(1), body.as_bytes());
    }
    assert_eq!(peer.drain(1, "q"), ["a"]);
    assert_eq!(peer.drain(1, "plain"), ["a", "again"]);
}

/// A message that dies and comes back into the queue it died in meets no ghost of itself.
#[test]
fn dead_letter_may_return_to_its_queue() {
    let world = World::new();
    let peer = world.open();
    let back = [("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", "q".into())];
    dedup_queue(&peer, &back);
    to_queue(&peer, &id(1), "a");
    let tag = peer.get(1, "q").unwrap().delivery_tag;
    peer.reject(1, tag, false);
    to_queue(&peer, &id(1), "again");
    assert_eq!(peer.drain(1, "q"), ["a"]);
}

#[test]
fn bad_queue_arguments_are_refused() {
    let peer = World::new().open();
    for (name, value, kind) in [
        (TYPE, FieldValue::from("true"), "longstr"),
        ("x-deduplication-header", FieldValue::I32(5), "signedint"),
    ] {
        let arguments = table(&[(name, value)]);
        let declare = queue::Declare { queue: "q", arguments, ..queue::Declare::default() };
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{name}' for queue 'q' in vhost '/': \
             {{unacceptable_type,{kind}}}"
        );
        peer.refused(1, declare, 406, &text);
    }
    // Bounds are for exchanges; what is in a queue is bounded by the queue.
    dedup_queue(&peer, &[("x-cache-size", 1.into()), ("x-cache-ttl", 1.into())]);
    for n in [1, 2, 1, 2] {
        to_queue(&peer, &id(n), "m");
    }
    assert_eq!(peer.counts(1, "q").0, 2);
}
