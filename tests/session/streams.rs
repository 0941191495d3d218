//! Streams (behaviour B13.10 to B13.17).

// All of this is a test: whatever it stumbles over fails it.

use std::time::Duration;

use leveret::broker::{Policy, PolicyScope};
use leveret::protocol::method::{basic, queue};
use leveret::protocol::{FieldTable, FieldValue, Headers, Method, OwnedProperties};
use leveret::queue::Effects;
use leveret::time::Time;

use crate::support::{Delivery, Peer, World, persistent, text};

const SECOND: Duration = Duration::from_secs(1);

fn table<const N: usize>(pairs: [(&str, FieldValue); N]) -> FieldTable {
    pairs.into_iter().collect()
}

fn stream_with<const N: usize>(pairs: [(&str, FieldValue); N]) -> FieldTable {
    let mut arguments = table(pairs);
    arguments.insert("x-queue-type", FieldValue::from("stream"));
    arguments
}

/// A world with a stream `s`, and somebody whose consumers may have so many messages.
fn open(prefetch: u16) -> (World, Peer) {
    let world = World::new();
    let peer = world.open();
    peer.declare_durable_with(1, "s", stream_with([]));
    peer.qos(1, prefetch, false);
    (world, peer)
}

#[track_caller]
fn consume_with(peer: &Peer, tag: &str, arguments: FieldTable) {
    let consume =
        basic::Consume { queue: "s", consumer_tag: tag, arguments, ..basic::Consume::default() };
    peer.consume_as(1, consume);
}

#[track_caller]
fn consume_from(peer: &Peer, tag: &str, offset: impl Into<FieldValue>) {
    consume_with(peer, tag, table([("x-stream-offset", offset.into())]));
}

fn offset_of(delivery: &Delivery) -> i64 {
    let headers = delivery.content.properties().headers.unwrap_or_default();
    let value = headers.find("x-stream-offset").expect("every delivery says its offset");
    assert_eq!(value.tag, b'l');
    value.as_int().unwrap()
}

/// Offsets and bodies that come now, and nothing else; each must not claim to come again.
#[track_caller]
fn expect_from(peer: &Peer, first: i64, bodies: &[&str]) -> Vec<Delivery> {
    let deliveries = peer.expect_texts(1, bodies);
    for (offset, delivery) in (first..).zip(&deliveries) {
        assert_eq!((offset_of(delivery), delivery.redelivered), (offset, false));
    }
    deliveries
}

#[track_caller]
fn ack_last(peer: &Peer, deliveries: &[Delivery]) {
    peer.ack_until(1, deliveries.last().unwrap().delivery_tag);
}

const RESOURCE: &str = "queue 's' in vhost '/'";

#[test]
fn arguments_are_checked_as_those_of_a_stream() {
    let peer = World::new().open();
    let check = |name: &str, value: FieldValue, expected: &str| {
        let arguments = stream_with([(name, value)]);
        let durable = queue::Declare { durable: true, ..queue::Declare::default() };
        let declare = queue::Declare { queue: "s", arguments, ..durable };
        let text = format!("PRECONDITION_FAILED - {}", expected.replace("{res}", RESOURCE));
        peer.refused(1, declare, 406, &text);
    };
    let invalid = |reason: &str, name: &str| format!("invalid arg '{name}' for {{res}}: {reason}");
    for (name, value, reason) in [
        ("x-max-length-bytes", (-1).into(), "{value_negative,-1}"),
        ("x-max-length-bytes", "1".into(), "\"expected integer, got longstr\""),
        ("x-max-age", "1w".into(), "invalid_max_age"),
        ("x-max-age", "0s".into(), "invalid_max_age"),
        ("x-max-age", 7.into(), "{unacceptable_type,signedint}"),
        ("x-initial-cluster-size", 0.into(), "{value_zero,0}"),
        ("x-queue-leader-locator", "here".into(), "invalid_queue_locator_arg"),
        ("x-stream-max-segment-size-bytes", "1".into(), "\"expected integer, got longstr\""),
    ] {
        check(name, value, &invalid(reason, name));
    }
    for (name, value, expected) in [
        (
            "x-stream-max-segment-size-bytes",
            3_000_000_001_i64.into(),
            "Exceeded max value for x-stream-max-segment-size-bytes",
        ),
        ("x-stream-filter-size-bytes", 15.into(), "Invalid value for x-stream-filter-size-bytes"),
        ("x-stream-filter-size-bytes", "16".into(), "Invalid type for x-stream-filter-size-bytes"),
    ] {
        check(name, value, expected);
    }
    let foreign = [
        "x-message-ttl",
        "x-expires",
        "x-max-length",
        "x-max-priority",
        "x-dead-letter-exchange",
        "x-overflow",
        "x-single-active-consumer",
        "x-delivery-limit",
    ];
    for name in foreign {
        let text = format!("invalid arg '{name}' for {{res}} of queue type rabbit_stream_queue");
        check(name, 1.into(), &text);
    }
}

#[test]
fn good_arguments_are_accepted_and_compared() {
    let peer = World::new().open();
    let arguments = || {
        stream_with([
            ("x-max-length-bytes", 1_000_000.into()),
            ("x-max-age", "7D".into()),
            ("x-stream-max-segment-size-bytes", 3_000_000_000_i64.into()),
            ("x-stream-filter-size-bytes", 255.into()),
            ("x-initial-cluster-size", 1.into()),
            ("x-queue-leader-locator", "least-leaders".into()),
            ("x-unknown", true.into()),
        ])
    };
    peer.declare_durable_with(1, "s", arguments());
    peer.declare_durable_with(1, "s", arguments());
    let mut other = arguments();
    other.insert("x-max-age", FieldValue::from("8D"));
    let durable = queue::Declare { durable: true, queue: "s", ..queue::Declare::default() };
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'x-max-age' for {RESOURCE}: received '8D' but \
         current is '7D'"
    );
    let declare = queue::Declare { arguments: other, ..durable.clone() };
    peer.refused(1, declare, 406, &text);
    peer.declare_durable_with(1, "t", stream_with([]));
    let text = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 't' in vhost '/': \
                received none but current is the value 'stream' of type 'longstr'";
    peer.refused(1, queue::Declare { queue: "t", ..durable }, 406, text);
}

/// Behaviour B5.7, in its order.
#[test]
fn stream_is_durable_shared_and_has_a_name() {
    let peer = World::new().open();
    let declare = |durable, exclusive, auto_delete| queue::Declare {
        queue: "s",
        durable,
        exclusive,
        auto_delete,
        arguments: stream_with([]),
        ..queue::Declare::default()
    };
    for (declare, property) in [
        (declare(false, false, false), "non-durable"),
        (declare(false, true, false), "exclusive-owner"),
        (declare(false, true, true), "auto-delete"),
        (declare(true, false, true), "auto-delete"),
    ] {
        let text = format!("PRECONDITION_FAILED - invalid property '{property}' for {RESOURCE}");
        peer.refused(1, declare, 406, &text);
    }
    let unnamed = queue::Declare { queue: "", ..declare(true, false, false) };
    let text = "PRECONDITION_FAILED - Cannot declare a server-named queue for type \
                rabbit_stream_queue";
    peer.refused(1, unnamed, 406, text);
}

#[test]
fn reading_takes_nothing_away() {
    let (_, peer) = open(10);
    peer.publish_texts(1, "s", &["a", "b", "c"]);
    for tag in ["one", "two"] {
        consume_from(&peer, tag, "first");
        let deliveries = expect_from(&peer, 0, &["a", "b", "c"]);
        ack_last(&peer, &deliveries);
        assert_eq!(peer.counts(1, "s"), (3, 0), "retained, and as RabbitMQ has it no consumers");
    }
    peer.publish_texts(1, "s", &["d"]);
    let both = [peer.expect_delivery(1), peer.expect_delivery(1)];
    let mut tags: Vec<_> = both.iter().map(|delivery| delivery.consumer_tag.clone()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["one", "two"]);
    assert!(both.iter().all(|delivery| offset_of(delivery) == 3));
}

#[test]
fn consumers_begin_where_they_ask_to() {
    for (offset, first) in [
        (FieldValue::from("first"), 0),
        ("last".into(), 4),
        ("next".into(), 5),
        (0.into(), 0),
        (3_i64.into(), 3),
        (5.into(), 5),
        (99.into(), 5),
        ((-7).into(), 0),
    ] {
        let (_, peer) = open(100);
        let bodies = ["0", "1", "2", "3", "4", "5"];
        peer.publish_texts(1, "s", &bodies[..5]);
        consume_from(&peer, "c", offset);
        expect_from(&peer, first, &bodies[first as usize..5]);
        peer.publish_texts(1, "s", &bodies[5..]);
        expect_from(&peer, 5, &bodies[5..]);
    }
    let (_, peer) = open(100);
    peer.publish_texts(1, "s", &["before"]);
    consume_with(&peer, "c", table([]));
    peer.publish_texts(1, "s", &["after"]);
    expect_from(&peer, 1, &["after"]);
}

#[test]
fn consumers_begin_at_a_time() {
    let (world, peer) = open(100);
    let start = world.now().0 / 1000;
    for body in ["0", "1", "2", "3"] {
        peer.publish_texts(1, "s", &[body]);
        world.advance(10 * SECOND);
    }
    let all = ["0", "1", "2", "3"];
    let at = |seconds| FieldValue::Timestamp(start + seconds);
    for (tag, offset, first) in [
        ("a", at(0), 0),
        ("b", at(1), 1),
        ("c", at(10), 1),
        ("d", at(25), 3),
        ("e", at(31), 4),
        ("f", FieldValue::Timestamp(0), 0),
        ("g", FieldValue::from("1h"), 0),
        ("h", FieldValue::from("25s"), 2),
        ("i", FieldValue::from("9s"), 4),
    ] {
        consume_from(&peer, tag, offset);
        let deliveries = expect_from(&peer, first, &all[first as usize..]);
        if !deliveries.is_empty() {
            ack_last(&peer, &deliveries);
        }
    }
}

#[test]
fn bad_arguments_of_consumers_are_refused() {
    let (_, peer) = open(1);
    for (name, value, reason) in [
        (
            "x-stream-offset",
            FieldValue::from("soon"),
            "{invalid_stream_offset_arg,{longstr,<<\"soon\">>}}",
        ),
        ("x-stream-offset", true.into(), "{invalid_stream_offset_arg,{bool,true}}"),
        ("x-stream-filter", 1.into(), "{unacceptable_type,signedint}"),
        ("x-stream-filter", vec![FieldValue::from(1)].into(), "{unacceptable_type,signedint}"),
        ("x-stream-match-unfiltered", "yes".into(), "{unacceptable_type,longstr}"),
    ] {
        let arguments = table([(name, value)]);
        let consume = basic::Consume { queue: "s", arguments, ..basic::Consume::default() };
        let text = format!("PRECONDITION_FAILED - invalid arg '{name}' for {RESOURCE}: {reason}");
        peer.refused(1, consume, 406, &text);
        peer.qos(1, 1, false);
    }
    let arguments = table([("x-priority", 1.into())]);
    let consume = basic::Consume { queue: "s", arguments, ..basic::Consume::default() };
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-priority' for {RESOURCE} of queue type \
         rabbit_stream_queue"
    );
    peer.refused(1, consume, 406, &text);
}

/// Behaviour B13.11.
#[test]
fn a_prefetch_of_ones_own_is_needed() {
    let not_set =
        format!("PRECONDITION_FAILED - consumer prefetch count is not set for stream {RESOURCE}");
    let (world, peer) = open(0);
    let consume = || basic::Consume { queue: "s", ..basic::Consume::default() };
    peer.refused(1, consume(), 406, &not_set);
    peer.refused(1, basic::Consume { no_ack: true, ..consume() }, 406, &not_set);
    peer.qos(1, 5, true);
    peer.refused(1, consume(), 406, &not_set);
    // The later one clears the global one.
    peer.qos(1, 5, true);
    peer.qos(1, 5, false);
    peer.consume(1, "s", "fine");

    let other = world.open();
    other.qos(1, 5, false);
    other.qos(1, 5, true);
    other.send(1, consume());
    let text = format!("NOT_IMPLEMENTED - {RESOURCE} does not support global qos");
    other.expect_connection_error(540, &text, 60, 20);

    let other = world.open();
    other.qos(1, 5, false);
    other.send(1, basic::Consume { no_ack: true, ..consume() });
    let text =
        format!("NOT_IMPLEMENTED - automatic acknowledgement not supported by stream {RESOURCE}");
    other.expect_connection_error(540, &text, 60, 20);
}

#[test]
fn what_streams_cannot_do_ends_the_connection() {
    let (world, peer) = open(1);
    peer.send(1, basic::Get { queue: "s", no_ack: false });
    let text = format!("NOT_IMPLEMENTED - basic.get not supported by stream queues {RESOURCE}");
    peer.expect_connection_error(540, &text, 60, 70);
    let peer = world.open();
    peer.send(1, queue::Purge { queue: "s", nowait: false });
    let text = format!("NOT_IMPLEMENTED - queue.purge not supported by stream queues {RESOURCE}");
    peer.expect_connection_error(540, &text, 50, 30);
}

/// Behaviour B13.14.
#[test]
fn settling_gives_credit_and_nothing_else() {
    let (_, peer) = open(2);
    peer.publish_texts(1, "s", &["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    consume_from(&peer, "c", "first");
    let first = expect_from(&peer, 0, &["0", "1"]);
    peer.ack(1, first[0].delivery_tag);
    let third = expect_from(&peer, 2, &["2"]);
    peer.nack(1, first[1].delivery_tag, true);
    let fourth = expect_from(&peer, 3, &["3"]);
    peer.reject(1, third[0].delivery_tag, false);
    expect_from(&peer, 4, &["4"]);
    peer.reject(1, fourth[0].delivery_tag, true);
    expect_from(&peer, 5, &["5"]);
    peer.send(1, basic::Recover { requeue: true });
    peer.expect(1, basic::RecoverOk {});
    expect_from(&peer, 6, &["6", "7"]);
    // Who comes again begins where it asks to.
    peer.cancel(1, "c");
    consume_from(&peer, "again", 1);
    let deliveries = expect_from(&peer, 1, &["1", "2"]);
    ack_last(&peer, &deliveries);
    expect_from(&peer, 3, &["3", "4"]);
}

#[test]
fn many_read_at_their_own_pace() {
    let (world, publisher) = open(1);
    let peers: Vec<Peer> = (1..=5).map(|_| world.open()).collect();
    for (peer, prefetch) in peers.iter().zip(1..) {
        peer.qos(1, prefetch, false);
        consume_from(peer, "c", "first");
    }
    let bodies: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    for body in &bodies {
        publisher.publish(1, "", "s", &text(), body.as_bytes());
    }
    for (peer, prefetch) in peers.iter().zip(1..) {
        for first in (0..60).step_by(prefetch) {
            let expected: Vec<&str> =
                bodies[first..60.min(first + prefetch)].iter().map(String::as_str).collect();
            let deliveries = expect_from(peer, first as i64, &expected);
            ack_last(peer, &deliveries);
        }
        peer.expect_nothing();
    }
}

/// Behaviour B13.13.
#[test]
fn deliveries_are_as_published_but_for_their_offset() {
    let (_, peer) = open(10);
    peer.declare_exchange(1, "x", "fanout");
    peer.bind(1, "s", "x", "");
    let headers = Headers::from(&table([("a", 1.into()), ("x-stream-offset", "old".into())]));
    let properties = OwnedProperties {
        content_type: Some("text/plain".into()),
        headers: Some(headers),
        delivery_mode: Some(1),
        message_id: Some("id".into()),
        ..OwnedProperties::default()
    };
    peer.publish(1, "x", "key", &properties, b"body");
    consume_from(&peer, "c", "first");
    let delivery = peer.expect_delivery(1);
    assert_eq!((&*delivery.exchange, &*delivery.routing_key), ("x", "key"));
    let expected = Headers::from(&table([("a", 1.into()), ("x-stream-offset", 0_i64.into())]));
    let expected = OwnedProperties { headers: Some(expected), ..properties };
    assert_eq!(delivery.content.properties(), expected);
}

/// Behaviour B13.16.
#[test]
fn filters_let_through_what_was_asked_for() {
    let (_, peer) = open(100);
    let valued = |value: &str| OwnedProperties {
        headers: Some(Headers::from(&table([("x-stream-filter-value", value.into())]))),
        ..text()
    };
    for (value, body) in [("de", "0"), ("fr", "1"), ("it", "2"), ("de", "3")] {
        peer.publish(1, "", "s", &valued(value), body.as_bytes());
    }
    peer.publish_texts(1, "s", &["4"]);
    let filter = |value: FieldValue, unfiltered: bool| {
        table([
            ("x-stream-offset", "first".into()),
            ("x-stream-filter", value),
            ("x-stream-match-unfiltered", unfiltered.into()),
        ])
    };
    let both: FieldValue = vec![FieldValue::from("fr"), FieldValue::from("de")].into();
    for (tag, value, unfiltered, expected) in [
        ("a", "de".into(), false, &["0", "3"][..]),
        ("b", "de".into(), true, &["0", "3", "4"]),
        ("c", both, false, &["0", "1", "3"]),
        ("d", "none".into(), false, &[]),
        ("e", "none".into(), true, &["4"]),
    ] {
        consume_with(&peer, tag, filter(value, unfiltered));
        let deliveries = peer.expect_texts(1, expected);
        for delivery in &deliveries {
            assert_eq!(offset_of(delivery).to_string(), delivery.text());
        }
    }
    peer.publish(1, "", "s", &valued("it"), b"5");
    peer.expect_nothing();
    peer.publish(1, "", "s", &valued("fr"), b"6");
    assert_eq!(peer.expect_texts(1, &["6"])[0].consumer_tag, "c");
}

/// More than are looked at in one go.
#[test]
fn a_filter_that_matches_next_to_nothing_gets_to_the_end() {
    let (_, peer) = open(10);
    for _ in 0..20_000 {
        peer.publish(1, "", "s", &text(), b"x");
    }
    let headers = Headers::from(&table([("x-stream-filter-value", "rare".into())]));
    let properties = OwnedProperties { headers: Some(headers), ..text() };
    peer.publish(1, "", "s", &properties, b"found");
    let arguments =
        table([("x-stream-offset", "first".into()), ("x-stream-filter", "rare".into())]);
    consume_with(&peer, "c", arguments);
    expect_from(&peer, 20_000, &["found"]);
}

#[test]
fn a_deleted_stream_tells_its_consumers() {
    let (_, peer) = open(10);
    peer.publish_texts(1, "s", &["a", "b"]);
    peer.consume(1, "s", "c");
    // Flags mean nothing for streams (behaviour B5.11).
    let delete = queue::Delete { queue: "s", if_unused: true, if_empty: true, nowait: false };
    peer.send(1, delete);
    peer.expect(1, queue::DeleteOk { message_count: 2 });
    peer.expect(1, basic::Cancel { consumer_tag: "c", nowait: true });
    peer.declare_durable_with(1, "s", stream_with([]));
    assert_eq!(peer.counts(1, "s").0, 0, "a new one");
}

/// A queue that drops messages into a stream.
#[test]
fn dead_letters_go_to_streams() {
    let (_, peer) = open(10);
    let arguments = table([
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", "s".into()),
        ("x-max-length", 0.into()),
    ]);
    peer.declare_with(1, "q", arguments);
    consume_from(&peer, "c", "first");
    peer.publish_texts(1, "q", &["a", "b"]);
    let deliveries = expect_from(&peer, 0, &["a", "b"]);
    // Rejected from a stream, nothing dies.
    peer.reject(1, deliveries[1].delivery_tag, false);
    peer.expect_nothing();
    assert_eq!(peer.counts(1, "s").0, 2);
}

/// Worlds over one directory, one after the other.
struct Kept(tempfile::TempDir);

impl Kept {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, now: Time) -> (World, Peer) {
        let world = World::in_directory(self.0.path(), now);
        let peer = world.open();
        peer.confirm_select(1);
        peer.qos(1, 1000, false);
        (world, peer)
    }

    fn segments(&self) -> usize {
        let files = std::fs::read_dir(self.0.path().join("segments")).unwrap();
        files.filter(|file| file.as_ref().unwrap().file_type().unwrap().is_file()).count()
    }
}

/// Publishes and waits until it is kept.
#[track_caller]
fn keep(peer: &Peer, properties: &OwnedProperties, bodies: &[String]) {
    for body in bodies {
        peer.publish(1, "", "s", properties, body.as_bytes());
        assert!(matches!(peer.recv().method(), Method::Basic(basic::Method::Ack(_))));
    }
}

fn bodies(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| format!("{n:0>40}")).collect()
}

/// What a consumer gets that begins here.
#[track_caller]
fn read(peer: &Peer, tag: &str, offset: impl Into<FieldValue>, expected: std::ops::Range<i64>) {
    consume_from(peer, tag, offset);
    let bodies = bodies(expected.clone());
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let deliveries = expect_from(peer, expected.start, &bodies);
    ack_last(peer, &deliveries);
    peer.cancel(1, tag);
}

#[test]
fn everything_survives_a_restart_transient_messages_too() {
    for segment in [100, 1_000, 1_000_000] {
        let kept = Kept::new();
        let (world, peer) = kept.open(Time(0));
        let small = ("x-stream-max-segment-size-bytes", segment.into());
        peer.declare_durable_with(1, "s", stream_with([small]));
        keep(&peer, &persistent(), &bodies(0..30));
        keep(&peer, &text(), &bodies(30..60));
        // Both at once, one of which forgets it.
        peer.declare_durable(1, "classic");
        peer.declare_exchange(1, "x", "fanout");
        peer.bind(1, "s", "x", "");
        peer.bind(1, "classic", "x", "");
        for body in bodies(60..65) {
            peer.publish(1, "x", "", &text(), body.as_bytes());
            assert!(matches!(peer.recv().method(), Method::Basic(basic::Method::Ack(_))));
        }
        let mut now = world.now();
        drop((world, peer));
        for round in 0..3 {
            let (world, peer) = kept.open(now);
            let end = 65 + round * 10;
            assert_eq!(peer.counts(1, "s").0 as i64, end);
            assert_eq!(peer.counts(1, "classic").0, 0);
            read(&peer, "a", "first", 0..end);
            read(&peer, "b", 33, 33..end);
            read(&peer, "c", "last", end - 1..end);
            keep(&peer, &text(), &bodies(end..end + 10));
            read(&peer, "d", end - 1, end - 1..end + 10);
            now = world.now();
        }
        assert_eq!(kept.segments() > 10, segment < 1_000_000);
    }
}

#[test]
fn size_limits_take_whole_segments_from_the_front() {
    let kept = Kept::new();
    let (world, peer) = kept.open(Time(0));
    let arguments =
        [("x-stream-max-segment-size-bytes", 1_000.into()), ("x-max-length-bytes", 5_000.into())];
    peer.declare_durable_with(1, "s", stream_with(arguments));
    keep(&peer, &text(), &bodies(0..1000));
    let count = i64::from(peer.counts(1, "s").0);
    assert!((30..80).contains(&count), "{count} messages of about 100 bytes");
    assert!(kept.segments() < 10);
    read(&peer, "a", "first", 1000 - count..1000);
    read(&peer, "b", 3, 1000 - count..1000);
    let now = world.now();
    drop((world, peer));
    let (_, peer) = kept.open(now);
    assert_eq!(i64::from(peer.counts(1, "s").0), count);
    read(&peer, "a", "first", 1000 - count..1000);
}

#[test]
fn age_limits_take_whole_segments_and_leave_the_next_offset() {
    let kept = Kept::new();
    let (world, peer) = kept.open(Time(0));
    let arguments = [("x-stream-max-segment-size-bytes", 1_000.into()), ("x-max-age", "1m".into())];
    peer.declare_durable_with(1, "s", stream_with(arguments));
    keep(&peer, &text(), &bodies(0..50));
    world.advance(30 * SECOND);
    keep(&peer, &text(), &bodies(50..100));
    world.advance(25 * SECOND);
    assert_eq!(peer.counts(1, "s").0, 100);
    world.advance(10 * SECOND);
    let count = i64::from(peer.counts(1, "s").0);
    assert!((50..62).contains(&count), "{count}");
    read(&peer, "a", "first", 100 - count..100);
    world.advance(3600 * SECOND);
    let count = i64::from(peer.counts(1, "s").0);
    assert!((1..12).contains(&count), "{count} in the newest segment, which stays");
    let later = world.now() + 3600 * SECOND;
    drop((world, peer));
    let (_, peer) = kept.open(later);
    keep(&peer, &text(), &bodies(100..101));
    read(&peer, "a", "last", 100..101);
}

/// It is older than most of what there is, and its place is gone when it has credit again.
#[test]
fn a_slow_consumer_goes_on_with_what_is_left() {
    let kept = Kept::new();
    let (_world, peer) = kept.open(Time(0));
    let arguments =
        [("x-stream-max-segment-size-bytes", 1_000.into()), ("x-max-length-bytes", 5_000.into())];
    peer.declare_durable_with(1, "s", stream_with(arguments));
    peer.qos(1, 2, false);
    consume_from(&peer, "slow", "first");
    peer.publish(1, "", "s", &text(), bodies(0..1)[0].as_bytes());
    peer.publish(1, "", "s", &text(), bodies(1..2)[0].as_bytes());
    let mut tag = 0;
    for _ in 0..4 {
        let received = peer.recv();
        if !matches!(received.method(), Method::Basic(basic::Method::Ack(_))) {
            tag = received.delivery().delivery_tag;
        }
    }
    keep(&peer, &text(), &bodies(2..500));
    let first = 500 - i64::from(peer.counts(1, "s").0);
    peer.ack_until(1, tag);
    let expected = bodies(first..first + 2);
    expect_from(&peer, first, &[&expected[0], &expected[1]]);
}

/// Nobody is shown an offset that a crash could give to another message.
#[test]
fn messages_of_a_transaction_come_when_it_is_committed() {
    let kept = Kept::new();
    let (world, peer) = kept.open(Time(0));
    peer.declare_durable_with(1, "s", stream_with([]));
    consume_from(&peer, "c", "first");
    let publisher = world.open();
    publisher.tx_select(1);
    publisher.publish_texts(1, "s", &["a", "b"]);
    peer.expect_nothing();
    publisher.send(1, leveret::protocol::method::tx::Commit {});
    publisher.expect(1, leveret::protocol::method::tx::CommitOk {});
    expect_from(&peer, 0, &["a", "b"]);
}

/// Behaviour B10.9: for streams a policy wins, whatever is stricter.
#[test]
fn policies_change_what_is_kept_of_a_stream_that_exists() {
    let kept = Kept::new();
    let (world, peer) = kept.open(Time(0));
    let arguments =
        [("x-stream-max-segment-size-bytes", 1_000.into()), ("x-max-length-bytes", 2_000.into())];
    let vhost = world.broker.vhost("/").unwrap();
    let put = |definition: FieldTable, apply_to: &str| {
        let terms = table([
            ("pattern", "^s$".into()),
            ("apply-to", apply_to.into()),
            ("definition", FieldValue::Table(definition)),
        ]);
        let policy = Policy::parse(PolicyScope::User, "p", &terms).unwrap();
        let mut effects = Effects::default();
        vhost.put_policy(policy, world.now(), &mut effects, &|| Box::new(|_| {}));
        drop(effects);
        world.advance(Duration::ZERO);
    };
    put(table([("max-length-bytes", 1_000_000.into())]), "streams");
    peer.declare_durable_with(1, "s", stream_with(arguments));
    keep(&peer, &text(), &bodies(0..100));
    assert_eq!(peer.counts(1, "s").0, 100);
    put(table([("max-length-bytes", 5_000.into())]), "streams");
    let count = i64::from(peer.counts(1, "s").0);
    assert!((30..80).contains(&count), "{count}");
    // Not for streams, or with something that streams do not know: the arguments hold.
    for (definition, apply_to) in [
        (table([("max-age", "1h".into()), ("max-length", 5.into())]), "all"),
        (table([("max-length-bytes", 5_000.into())]), "classic_queues"),
    ] {
        put(definition, apply_to);
        let count = i64::from(peer.counts(1, "s").0);
        assert!((10..30).contains(&count), "{count}");
    }
    put(table([("max-age", "1m".into())]), "queues");
    world.advance(61 * SECOND);
    let count = i64::from(peer.counts(1, "s").0);
    assert!((1..12).contains(&count), "{count}");
}
