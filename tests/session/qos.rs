//! `basic.qos`: how much a consumer and a channel may hold unsettled (behaviour B6.6).

use leveret::protocol::method::basic::{self, Consume, Qos, QosOk};

use leveret::protocol::FieldTable;

use crate::support::{Client, Peer, World};

/// A client with messages 1 to 9 in a queue, as long as nobody takes them.
fn nine() -> Peer {
    let peer = World::new().open();
    fill(&peer, "q");
    peer
}

fn fill(peer: &Peer, queue: &str) {
    peer.declare(1, queue);
    peer.publish_texts(1, queue, &["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn prefetch_size_is_not_implemented() {
    let peer = World::new().open();
    peer.send(1, Qos { prefetch_size: 1, prefetch_count: 1, global: false });
    peer.expect_connection_error(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", 60, 10);
}

/// Nobody who did not ask for a limit has one.
#[test]
fn consumers_are_unlimited_by_default() {
    let peer = nine();
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

/// Every acknowledgement makes room for one.
#[test]
fn prefetch_is_what_a_consumer_may_hold() {
    let peer = nine();
    peer.qos(1, 2, false);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["1", "2"]);
    peer.ack(1, 2);
    peer.expect_texts(1, &["3"]);
    peer.ack_until(1, 3);
    peer.expect_texts(1, &["4", "5"]);
    peer.reject(1, 4, false);
    peer.expect_texts(1, &["6"]);
    // What is given back comes again.
    peer.nack(1, 5, true);
    peer.expect_texts(1, &["5"]);
    assert_eq!(peer.counts(1, "q"), (3, 1));
}

/// B16.2: without the flag it is for consumers to come.
#[test]
fn prefetch_is_for_consumers_started_later() {
    let peer = nine();
    peer.qos(1, 1, false);
    peer.consume(1, "q", "one");
    peer.expect_texts(1, &["1"]);
    peer.qos(1, 2, false);
    peer.expect_nothing();
    peer.consume(1, "q", "two");
    peer.expect_texts(1, &["2", "3"]);
    peer.ack(1, 1);
    assert_eq!(peer.expect_texts(1, &["4"])[0].consumer_tag, "one");
    peer.qos(1, 0, false);
    peer.expect_nothing();
    peer.consume(1, "q", "all");
    for delivery in peer.expect_texts(1, &["5", "6", "7", "8", "9"]) {
        assert_eq!(delivery.consumer_tag, "all");
    }
}

/// It is the channel's, not the connection's.
#[test]
fn prefetch_of_another_channel_does_not_matter() {
    let peer = nine();
    peer.open_channel(2);
    peer.qos(2, 1, false);
    peer.qos(2, 1, true);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

/// B16.2: with the flag it is for all consumers of the channel, those that are there included.
#[test]
fn global_prefetch_is_shared_by_the_channels_consumers() {
    let peer = nine();
    fill(&peer, "r");
    peer.qos(1, 3, true);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["1", "2", "3"]);
    peer.consume(1, "r", "d");
    peer.expect_nothing();
    peer.ack(1, 1);
    let tag = peer.expect_delivery(1).consumer_tag;
    peer.expect_nothing();
    // Once one of them has nothing left, the room is the other's.
    peer.cancel(1, &tag);
    peer.ack_until(1, 0);
    let other = if tag == "c" { "d" } else { "c" };
    for _ in 0..3 {
        assert_eq!(peer.expect_delivery(1).consumer_tag, other);
    }
    peer.expect_nothing();
}

#[test]
fn global_prefetch_is_for_consumers_that_are_there() {
    let peer = nine();
    peer.qos(1, 2, true);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["1", "2"]);
    peer.call(1, Qos { prefetch_size: 0, prefetch_count: 4, global: true }, QosOk {});
    peer.expect_texts(1, &["3", "4"]);
    // Below what is out, nothing comes until it has shrunk.
    peer.qos(1, 2, true);
    peer.ack_until(1, 2);
    peer.expect_nothing();
    peer.ack(1, 3);
    peer.expect_texts(1, &["5"]);
    peer.qos(1, 0, true);
    peer.expect_texts(1, &["6", "7", "8", "9"]);
}

/// Celery, whose client is py-amqp, raises the prefetch count of a worker for each task that waits for
/// its time. To a broker that is not called RabbitMQ it does so without the flag, and a worker that
/// held as many such tasks as it has processes got nothing else any more.
#[test]
fn prefetch_of_py_amqp_is_for_consumers_that_are_there() {
    let world = World::new();
    for queue_type in ["classic", "quorum"] {
        let client = Client { product: Some("py-amqp"), ..Client::default() };
        let peer = world.connect_as(&client);
        peer.open_channel(1);
        let arguments = FieldTable::from_iter([("x-queue-type", queue_type)]);
        peer.declare_durable_with(1, queue_type, arguments);
        peer.publish_texts(1, queue_type, &["1", "2", "3", "4"]);
        peer.qos(1, 1, false);
        peer.consume(1, queue_type, "c");
        peer.expect_texts(1, &["1"]);
        peer.qos(1, 3, false);
        peer.expect_texts(1, &["2", "3"]);
        peer.ack(1, 1);
        peer.expect_texts(1, &["4"]);
        peer.qos(1, 0, false);
        peer.publish_texts(1, queue_type, &["5", "6", "7", "8"]);
        peer.expect_texts(1, &["5", "6", "7", "8"]);
    }
}

/// The fanouts of OpenStack are streams, and its client is py-amqp.
#[test]
fn prefetch_of_py_amqp_is_one_for_a_stream() {
    let peer = World::new().connect_as(&Client { product: Some("py-amqp"), ..Client::default() });
    peer.open_channel(1);
    peer.declare_durable_with(1, "s", FieldTable::from_iter([("x-queue-type", "stream")]));
    peer.qos(1, 2, false);
    peer.consume(1, "s", "c");
    peer.publish_texts(1, "s", &["1", "2", "3"]);
    peer.expect_texts(1, &["1", "2"]);
    peer.ack(1, 1);
    peer.expect_texts(1, &["3"]);
}

/// Lowered, it binds a consumer that had no limit before.
#[test]
fn global_prefetch_counts_what_was_delivered_before_it() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    peer.expect_texts(1, &["1", "2", "3"]);
    peer.qos(1, 2, true);
    peer.publish_texts(1, "q", &["4", "5"]);
    peer.expect_nothing();
    peer.ack_until(1, 2);
    peer.expect_texts(1, &["4"]);
}

/// B16.2: both hold; and the one without the flag ends the other.
#[test]
fn both_kinds_hold_together_until_one_is_set_without_the_flag() {
    let peer = nine();
    peer.qos(1, 2, false);
    peer.qos(1, 3, true);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["1", "2"]);
    peer.consume(1, "q", "d");
    assert_eq!(peer.expect_texts(1, &["3"])[0].consumer_tag, "d");
    peer.qos(1, 2, false);
    assert_eq!(peer.expect_texts(1, &["4"])[0].consumer_tag, "d");
    peer.ack_until(1, 0);
    peer.expect_texts(1, &["5", "6", "7", "8"]);
}

/// Who does not acknowledge has nothing to limit.
#[test]
fn consumers_without_acknowledgements_have_no_limit() {
    for global in [false, true] {
        let peer = nine();
        peer.qos(1, 1, global);
        peer.consume_no_ack(1, "q", "c");
        peer.expect_texts(1, &["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        // Nor do they take from others' limits.
        peer.consume(1, "q", "d");
        peer.cancel(1, "c");
        peer.publish_texts(1, "q", &["10", "11"]);
        peer.expect_texts(1, &["10"]);
    }
}

#[test]
fn get_has_no_limit_and_takes_from_none() {
    for global in [false, true] {
        let peer = nine();
        peer.qos(1, 1, global);
        for _ in 0..3 {
            peer.get(1, "q").unwrap();
        }
        peer.consume(1, "q", "c");
        let delivered = peer.expect_texts(1, &["4"]);
        peer.get(1, "q").unwrap();
        peer.ack_until(1, 3);
        peer.expect_nothing();
        peer.ack(1, delivered[0].delivery_tag);
        peer.expect_texts(1, &["6"]);
    }
}

/// B6.8: cancelled, a consumer makes no more use of the limit, but what it holds still counts.
#[test]
fn what_a_cancelled_consumer_holds_counts_for_the_channel() {
    let peer = nine();
    peer.qos(1, 2, true);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["1", "2"]);
    peer.cancel(1, "c");
    peer.consume_as(1, Consume { queue: "q", consumer_tag: "d", ..Consume::default() });
    peer.expect_nothing();
    peer.send(1, basic::Nack { delivery_tag: 1, multiple: false, requeue: true });
    assert_eq!(peer.expect_texts(1, &["1"])[0].consumer_tag, "d");
    peer.ack(1, 2);
    peer.expect_texts(1, &["3"]);
}
