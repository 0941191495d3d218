//! Quorum queues with a single active consumer: a more important one takes over (behaviour B6.19).

use leveret::protocol::method::basic::Consume;
use leveret::protocol::method::queue::Declare;
use leveret::protocol::{FieldTable, FieldValue};

use crate::support::{Peer, World};

/// A client and an empty quorum queue `q` that serves one consumer at a time.
#[track_caller]
fn declared() -> Peer {
    let peer = World::new().open();
    declare(&peer);
    peer
}

#[track_caller]
fn declare(peer: &Peer) {
    let arguments = FieldTable::from_iter([
        ("x-queue-type", FieldValue::from("quorum")),
        ("x-single-active-consumer", true.into()),
    ]);
    let declare = Declare { queue: "q", durable: true, arguments, ..Declare::default() };
    peer.declare_as(1, declare);
}

/// `no_ack` for tags that start with "no ack".
#[track_caller]
fn consume(peer: &Peer, consumer_tag: &str, priority: i64) {
    let arguments = FieldTable::from_iter([("x-priority", priority)]);
    let no_ack = consumer_tag.starts_with("no ack");
    peer.consume_as(
        1,
        Consume { queue: "q", consumer_tag, no_ack, arguments, ..Consume::default() },
    );
}

/// The next message arrives, for this consumer. Returns the delivery tag.
#[track_caller]
fn expect(peer: &Peer, tag: &str, text: &str) -> u64 {
    let delivery = peer.expect_delivery(1);
    assert_eq!((delivery.consumer_tag.as_str(), delivery.text().as_str()), (tag, text));
    delivery.delivery_tag
}

#[track_caller]
fn expect_all(peer: &Peer, tag: &str, texts: &[&str]) {
    for text in texts {
        expect(peer, tag, text);
    }
}

/// Publishes one more message, and this consumer gets it and is done with it.
#[track_caller]
fn served(peer: &Peer, tag: &str, text: &str) {
    peer.publish_texts(1, "q", &[text]);
    let delivery_tag = expect(peer, tag, text);
    if !tag.starts_with("no ack") {
        peer.ack(1, delivery_tag);
    }
    peer.expect_nothing();
}

/// Which of the consumers of `q` is shown as the active one, in the order of their registration.
fn active(world: &World) -> Vec<bool> {
    let queue = world.broker.vhost("/").unwrap().find_queue("q").unwrap();
    queue.consumers().iter().map(|consumer| consumer.is_active).collect()
}

#[test]
fn a_more_important_consumer_takes_over_at_once_from_one_that_has_nothing() {
    let world = World::new();
    let peer = world.open();
    declare(&peer);
    consume(&peer, "low", 1);
    served(&peer, "low", "1");
    consume(&peer, "equal", 1);
    served(&peer, "low", "2");
    assert_eq!(active(&world), [true, false]);
    consume(&peer, "high", 2);
    assert_eq!(active(&world), [false, false, true]);
    served(&peer, "high", "3");
    consume(&peer, "between", 1);
    served(&peer, "high", "4");
}

#[test]
fn until_the_former_one_is_done_nobody_gets_anything() {
    let world = World::new();
    let peer = world.open();
    declare(&peer);
    consume(&peer, "low", 0);
    peer.publish_texts(1, "q", &["1", "2"]);
    let tags = ["1", "2"].map(|text| expect(&peer, "low", text));
    consume(&peer, "high", 5);
    peer.publish_texts(1, "q", &["3", "4"]);
    peer.expect_nothing();
    peer.ack(1, tags[0]);
    peer.expect_nothing();
    assert_eq!(active(&world), [true, false]);
    peer.ack(1, tags[1]);
    assert_eq!(active(&world), [false, true]);
    expect_all(&peer, "high", &["3", "4"]);
}

/// A prefetch that is used up, and room that comes back, change nothing.
#[test]
fn room_does_not_bring_back_one_that_yields() {
    let peer = declared();
    peer.qos(1, 2, false);
    consume(&peer, "low", 0);
    peer.publish_texts(1, "q", &["1", "2", "3", "4", "5"]);
    let tags = ["1", "2"].map(|text| expect(&peer, "low", text));
    consume(&peer, "high", 5);
    peer.ack(1, tags[0]);
    peer.expect_nothing();
    peer.ack(1, tags[1]);
    let held = ["3", "4"].map(|text| expect(&peer, "high", text));
    peer.ack(1, held[0]);
    expect(&peer, "high", "5");
}

#[test]
fn what_the_former_one_returns_goes_to_the_new_one() {
    let peer = declared();
    consume(&peer, "low", 0);
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    let tags = ["1", "2", "3"].map(|text| expect(&peer, "low", text));
    consume(&peer, "high", 5);
    peer.nack(1, tags[1], true);
    peer.expect_nothing();
    // Refused for good is done with, too.
    peer.reject(1, tags[0], false);
    peer.expect_nothing();
    peer.nack(1, tags[2], true);
    expect_all(&peer, "high", &["2", "3"]);
}

#[test]
fn one_that_does_not_acknowledge_is_done_at_once() {
    let peer = declared();
    consume(&peer, "no ack", 0);
    peer.publish_texts(1, "q", &["1", "2"]);
    expect_all(&peer, "no ack", &["1", "2"]);
    consume(&peer, "no ack, high", 1);
    served(&peer, "no ack, high", "3");
    consume(&peer, "highest", 2);
    served(&peer, "highest", "4");
}

#[test]
fn a_cancelled_one_leaves_its_place_at_once() {
    let peer = declared();
    consume(&peer, "low", 0);
    peer.publish_texts(1, "q", &["1"]);
    let first = expect(&peer, "low", "1");
    consume(&peer, "high", 5);
    peer.publish_texts(1, "q", &["2"]);
    peer.expect_nothing();
    // What it still has does not count: it cannot get more.
    peer.cancel(1, "low");
    expect(&peer, "high", "2");
    peer.nack(1, first, true);
    expect(&peer, "high", "1");
}

#[test]
fn the_active_one_goes_on_when_the_more_important_one_leaves() {
    let peer = declared();
    peer.qos(1, 2, false);
    consume(&peer, "low", 0);
    peer.publish_texts(1, "q", &["1", "2", "3", "4"]);
    let tags = ["1", "2"].map(|text| expect(&peer, "low", text));
    for (done, next) in tags.into_iter().zip(["3", "4"]) {
        for tag in ["high", "higher"] {
            consume(&peer, tag, 5);
        }
        peer.ack(1, done);
        peer.cancel(1, "high");
        // There is still the other one.
        peer.expect_nothing();
        peer.cancel(1, "higher");
        expect(&peer, "low", next);
    }
    // Its prefetch is used up all the same.
    consume(&peer, "high", 5);
    peer.cancel(1, "high");
    peer.publish_texts(1, "q", &["5"]);
    peer.expect_nothing();
    peer.ack(1, 4);
    expect(&peer, "low", "5");
}

#[test]
fn the_most_important_of_several_new_ones_follows() {
    let peer = declared();
    consume(&peer, "a", 0);
    peer.publish_texts(1, "q", &["1"]);
    let tag = expect(&peer, "a", "1");
    for (tag, priority) in [("low", 1), ("high", 5), ("highest", 9), ("highest too", 9)] {
        consume(&peer, tag, priority);
    }
    peer.ack(1, tag);
    for (tag, text) in [
        ("highest", "2"),
        ("highest too", "3"),
        ("high", "4"),
        ("low", "5"),
        // The first one waits like the others.
        ("a", "6"),
    ] {
        served(&peer, tag, text);
        peer.cancel(1, tag);
    }
}

#[test]
fn who_was_deposed_waits_at_the_place_of_its_registration() {
    let peer = declared();
    for tag in ["a", "b", "c"] {
        consume(&peer, tag, 0);
    }
    consume(&peer, "high", 1);
    consume(&peer, "higher", 2);
    consume(&peer, "high too", 1);
    for (leaving, next) in
        [("higher", "high"), ("high", "high too"), ("high too", "a"), ("a", "b"), ("b", "c")]
    {
        peer.cancel(1, leaving);
        served(&peer, next, "x");
    }
    // Out of the ring it was not forgotten, nor is it there twice.
    consume(&peer, "d", 0);
    served(&peer, "c", "y");
    served(&peer, "c", "z");
}

/// Both ends of a connection: of the one that yields, and of the one that waits for it.
#[test]
fn the_end_of_a_connection_decides_too() {
    for which in 0..2 {
        let world = World::new();
        let (low, high) = (world.open(), world.open());
        declare(&low);
        consume(&low, "low", 0);
        low.publish_texts(1, "q", &["1"]);
        expect(&low, "low", "1");
        consume(&high, "high", 1);
        world.open().publish_texts(1, "q", &["2"]);
        low.expect_nothing();
        high.expect_nothing();
        if which == 0 {
            low.hang_up();
            high.expect_texts(1, &["2", "1"]);
        } else {
            high.hang_up();
            expect(&low, "low", "2");
        }
    }
}

/// Neither by what comes back nor by room: whoever was deposed while its connection took nothing.
#[test]
fn a_deposed_one_is_not_served_when_its_connection_has_room_again() {
    let world = World::new();
    let (low, high) = (world.open(), world.open());
    declare(&low);
    consume(&low, "no ack", 0);
    low.stop_reading();
    let large = "x".repeat(400_000);
    (0..20).for_each(|_| high.publish_texts(1, "q", &[&large]));
    consume(&high, "high", 1);
    let mut seen = 0;
    while high.unseen() > 0 {
        high.expect_delivery(1);
        seen += 1;
    }
    assert!((1..20).contains(&seen), "{seen} went to the new one");
    low.resume_reading();
    while low.unseen() > 0 {
        low.expect_delivery(1);
        seen += 1;
    }
    assert_eq!(seen, 20);
    high.publish_texts(1, "q", &["last"]);
    expect(&high, "high", "last");
    low.expect_nothing();
}
