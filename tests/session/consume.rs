//! Consumers: started, cancelled by their client, and by the server (behaviour B6.7 to B6.9).

use leveret::broker::Limits;
use leveret::protocol::method::basic::{self, Cancel, CancelOk, Consume, ConsumeOk};
use leveret::protocol::method::queue::{self, Delete, DeleteOk};
use leveret::protocol::{FieldTable, FieldValue};
use leveret::session::Offer;

use crate::support::{Client, Peer, World};

fn consume<'a>(queue: &'a str, consumer_tag: &'a str) -> Consume<'a> {
    Consume { queue, consumer_tag, ..Consume::default() }
}

fn consume_with(name: &str, value: impl Into<FieldValue>) -> Consume<'static> {
    Consume { arguments: FieldTable::from_iter([(name, value)]), ..consume("q", "") }
}

const IN_USE: &str = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";

#[track_caller]
fn delete(peer: &Peer, queue: &str) {
    peer.send(1, Delete { queue, ..Delete::default() });
    peer.expect(1, DeleteOk { message_count: 0 });
}

/// B6.7: the first rule that is broken decides.
#[test]
fn consume_is_refused_by_the_first_rule_it_breaks() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    other.declare_as(
        1,
        queue::Declare { queue: "theirs", exclusive: true, ..queue::Declare::default() },
    );
    peer.declare(1, "q");
    let bad = || FieldTable::from_iter([("x-priority", "high")]);
    let exclusive = true;
    peer.refused(
        1,
        Consume { arguments: bad(), ..consume("none", "") },
        404,
        "NOT_FOUND - no queue 'none' in vhost '/'",
    );
    peer.refused(
        1,
        Consume { arguments: bad(), ..consume("theirs", "") },
        405,
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'theirs' in vhost '/'. It \
         could be originally declared on another connection or the exclusive property value does \
         not match that of the original declaration.",
    );
    other.consume_as(1, Consume { exclusive, ..consume("q", "") });
    peer.refused(
        1,
        Consume { arguments: bad(), ..consume("q", "") },
        406,
        "PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected \
         integer, got longstr\"",
    );
    peer.refused(1, consume("q", ""), 403, IN_USE);
    peer.refused(1, consume("", ""), 404, "NOT_FOUND - no previously declared queue");
    // A tag that is taken ends the connection, before anything else is looked at.
    peer.declare(1, "mine");
    peer.consume(1, "mine", "c");
    peer.send(1, consume("none", "c"));
    peer.expect_connection_error(530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'", 60, 20);
}

/// B6.7: a channel may have that many and no more, if the operator says so.
#[test]
fn consumers_of_a_channel_can_be_limited() {
    let limits = Limits { consumers_per_channel_max: Some(2), ..Limits::default() };
    let peer = World::with(limits, Offer::default()).open();
    peer.declare(1, "q");
    peer.open_channel(2);
    for (channel, tag) in [(1, "a"), (1, "b"), (2, "a"), (2, "b")] {
        peer.consume(channel, "q", tag);
    }
    peer.cancel(1, "a");
    peer.consume(1, "q", "c");
    peer.send(1, consume("none", "d"));
    let text = "NOT_ALLOWED - reached maximum (2) of consumers per channel";
    peer.expect_connection_error(530, text, 60, 20);
}

/// B6.7: the server makes a tag for who has none; tags are the channel's own.
#[test]
fn consumer_tags_belong_to_their_channel() {
    let peer = World::new().open();
    peer.open_channel(2);
    peer.declare(1, "q");
    let tags = [1, 1, 2].map(|channel| peer.consume_as(channel, consume("q", "")));
    for tag in &tags {
        assert_eq!(tag.strip_prefix("amq.ctag-").map(str::len), Some(22), "{tag}");
    }
    assert!(tags[0] != tags[1] && tags[1] != tags[2]);
    peer.consume(1, "q", "c");
    peer.cancel(1, "c");
    peer.consume(1, "q", "c");
    let one = &tags[0];
    peer.declare(2, "r");
    peer.consume(2, "q", one);
    assert_eq!(peer.counts(1, "q"), (0, 5));
}

/// B6.7: consume-ok, then what waited; nothing but the answer is left out by nowait.
#[test]
fn consume_ok_comes_before_the_first_delivery() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["1", "2"]);
    peer.call(1, consume("q", "c"), ConsumeOk { consumer_tag: "c" });
    for delivery in peer.expect_texts(1, &["1", "2"]) {
        // B6.20.
        assert_eq!(delivery.consumer_tag, "c");
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("", "q"));
        assert!(!delivery.redelivered);
    }
    peer.declare(1, "r");
    peer.publish_texts(1, "r", &["3"]);
    peer.send(1, Consume { nowait: true, ..consume("r", "d") });
    assert_eq!(peer.expect_texts(1, &["3"])[0].consumer_tag, "d");
}

/// B6.20: the address is the one that was published to.
#[test]
fn delivery_names_exchange_and_key_of_the_publish() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.bind(1, "q", "amq.topic", "#");
    peer.consume(1, "q", "c");
    peer.publish(1, "amq.topic", "a.b", &crate::support::persistent(), b"body");
    let delivery = peer.expect_delivery(1);
    assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("amq.topic", "a.b"));
    assert_eq!(delivery.content.properties(), crate::support::persistent());
    assert_eq!(delivery.text(), "body");
}

/// B6.7: it is alone, or it is not.
#[test]
fn exclusive_consumer_is_alone() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.declare(1, "q");
    peer.open_channel(2);
    let exclusive = |tag| Consume { exclusive: true, ..consume("q", tag) };
    peer.consume(1, "q", "shared");
    other.refused(1, exclusive("c"), 403, IN_USE);
    peer.cancel(1, "shared");
    peer.consume_as(1, exclusive("c"));
    for request in [exclusive("d"), consume("q", "d")] {
        peer.refused(2, request.clone(), 403, IN_USE);
        other.refused(1, request, 403, IN_USE);
    }
    assert_eq!(peer.counts(1, "q"), (0, 1));
    peer.close_channel(1);
    // Free again for whoever comes.
    other.consume_as(1, exclusive("c"));
    other.cancel(1, "c");
    peer.consume(2, "q", "d");
    other.consume(1, "q", "e");
}

/// B6.7: others may still get.
#[test]
fn get_is_allowed_beside_an_exclusive_consumer() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.declare(1, "q");
    peer.qos(1, 1, false);
    peer.publish_texts(1, "q", &["1", "2"]);
    peer.consume_as(1, Consume { exclusive: true, ..consume("q", "c") });
    peer.expect_texts(1, &["1"]);
    assert_eq!(other.get(1, "q").unwrap().text(), "2");
}

/// B6.7: a flag of the specification that nobody implements.
#[test]
fn no_local_is_ignored() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.consume_as(1, Consume { no_local: true, ..consume("q", "c") });
    peer.publish_texts(1, "q", &["mine"]);
    peer.expect_texts(1, &["mine"]);
}

/// B6.7: what a classic queue understands, and what it does not.
#[test]
fn consumer_arguments_are_checked() {
    let peer = World::new().open();
    peer.declare(1, "q");
    for (value, kind) in
        [(FieldValue::Bool(true), "bool"), (1.0.into(), "double"), (FieldValue::Void, "void")]
    {
        let text = format!(
            "PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected \
             integer, got {kind}\""
        );
        peer.refused(1, consume_with("x-priority", value), 406, &text);
    }
    for name in ["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"] {
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{name}' for queue 'q' in vhost '/' of queue type \
             rabbit_classic_queue"
        );
        peer.refused(1, consume_with(name, "first"), 406, &text);
    }
    for value in [FieldValue::I8(-1), i64::MIN.into(), i64::MAX.into(), FieldValue::U16(7)] {
        peer.consume_as(1, consume_with("x-priority", value));
    }
    peer.consume_as(1, consume_with("x-cancel-on-ha-failover", true));
    peer.consume_as(1, consume_with("x-color", "brown"));
}

/// B6.8: cancel-ok is the last that is heard of a consumer, whether or not there was one.
#[test]
fn nothing_is_delivered_after_cancel_ok() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.cancel(1, "never");
    peer.consume(1, "q", "c");
    peer.publish_texts(1, "q", &["1"]);
    peer.expect_texts(1, &["1"]);
    peer.cancel(1, "c");
    peer.publish_texts(1, "q", &["2"]);
    peer.expect_nothing();
    peer.cancel(1, "c");
    // What was delivered is still its client's, and is not given back.
    assert_eq!(peer.counts(1, "q"), (1, 0));
    peer.ack(1, 1);
    peer.consume(1, "q", "d");
    peer.expect_texts(1, &["2"]);
    peer.send(1, Cancel { consumer_tag: "d", nowait: true });
    peer.expect_nothing();
    assert_eq!(peer.counts(1, "q"), (0, 0));
    peer.nack(1, 2, true);
    assert_eq!(peer.drain(1, "q"), ["2"]);
}

/// B6.8: what was on its way to a client that does not read was never delivered: it goes back as if
/// nothing had happened.
#[test]
fn cancel_takes_back_what_was_not_written() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    peer.stop_reading();
    let body = vec![b'x'; 100_000];
    for _ in 0..8 {
        other.publish(1, "", "q", &crate::support::text(), &body);
    }
    assert_eq!(other.counts(1, "q"), (0, 1));
    peer.send(1, Cancel { consumer_tag: "c", nowait: false });
    peer.resume_reading();
    let mut delivered = 0;
    let mut received = peer.recv();
    while received.method() != (CancelOk { consumer_tag: "c" }).into() {
        delivered = received.delivery().delivery_tag;
        received = peer.recv();
    }
    peer.expect_nothing();
    assert!(delivered < 8, "all of it was written");
    for _ in delivered..8 {
        assert!(!other.get(1, "q").unwrap().redelivered);
    }
    assert_eq!(other.get(1, "q"), None);
}

/// B6.9: who wants to know is told that a queue is gone, once for each consumer.
#[test]
fn server_cancels_the_consumers_of_a_deleted_queue() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.declare(1, "q");
    peer.open_channel(2);
    for (channel, tag) in [(1, "a"), (2, "a"), (2, "b")] {
        peer.consume(channel, "q", tag);
    }
    delete(&other, "q");
    let mut cancels: Vec<String> = (0..3).map(|_| format!("{:?}", peer.recv())).collect();
    cancels.sort();
    for (cancel, (channel, tag)) in cancels.iter().zip([(1, "a"), (2, "a"), (2, "b")]) {
        let method: leveret::protocol::Method<'_> =
            Cancel { consumer_tag: tag, nowait: true }.into();
        assert_eq!(*cancel, format!("channel {channel}: {method:?}"));
    }
    peer.expect_nothing();
    // They are gone: their tags may be used, and cancelled without any effect.
    peer.declare(1, "q");
    peer.consume(2, "q", "a");
    peer.cancel(1, "a");
    assert_eq!(peer.counts(1, "q"), (0, 1));
}

/// B6.9 and B2.3: who does not understand it, is not told.
#[test]
fn server_cancels_silently_for_clients_that_do_not_know() {
    let world = World::new();
    let client = Client { capabilities: vec![], ..Client::default() };
    let (peer, other) = (world.connect_as(&client), world.open());
    peer.open_channel(1);
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    delete(&other, "q");
    peer.expect_nothing();
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    peer.publish_texts(1, "q", &["1"]);
    peer.expect_texts(1, &["1"]);
}

/// B6.9: the end of a channel needs no notice of its consumers' end.
#[test]
fn closing_a_channel_sends_no_cancels() {
    let peer = World::new().open();
    let queue = queue::Declare { queue: "q", auto_delete: true, ..queue::Declare::default() };
    peer.declare_as(1, queue);
    peer.consume(1, "q", "c");
    peer.close_channel(1);
    peer.expect_nothing();
    peer.open_channel(1);
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    peer.refused(
        1,
        basic::Ack { delivery_tag: 9, multiple: false },
        406,
        "PRECONDITION_FAILED - unknown delivery tag 9",
    );
    peer.expect_nothing();
}
