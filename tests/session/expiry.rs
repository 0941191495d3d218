//! Time running out for messages and queues, as clients see it (behaviour B8.1, B8.4).

// All of this is a test: whatever it stumbles over fails it.

use std::time::Duration;

use leveret::protocol::method::{basic, queue};
use leveret::protocol::{FieldTable, FieldValue, OwnedProperties};
use leveret::queue::ConnectionId;
use leveret::time::Time;

use crate::support::{Peer, World, text};

fn arguments<const N: usize>(pairs: [(&str, FieldValue); N]) -> FieldTable {
    pairs.into_iter().collect()
}

/// A queue whose messages live so many milliseconds.
fn ttl(millis: i32) -> FieldTable {
    arguments([("x-message-ttl", millis.into())])
}

/// A queue that ends when it is unused for so many milliseconds.
fn expires(millis: i32) -> FieldTable {
    arguments([("x-expires", millis.into())])
}

fn lives(millis: u32) -> OwnedProperties {
    OwnedProperties { expiration: Some(millis.to_string().into_bytes()), ..text() }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A client on channel 1.
fn connect(world: &World) -> Peer {
    let peer = world.connect();
    peer.open_channel(1);
    peer
}

/// Takes all that is ready.
#[track_caller]
fn drain(peer: &Peer, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some(delivery) = peer.get(1, queue) {
        peer.ack(1, delivery.delivery_tag);
        bodies.push(delivery.text());
    }
    bodies
}

/// Whether a queue is there; asked in a way that does not count as use.
fn exists(world: &World, queue: &str) -> bool {
    world.broker.vhost("/").unwrap().queue(queue, ConnectionId(0)).is_ok()
}

// B8.1: messages.

#[test]
fn message_lives_to_the_millisecond() {
    let world = World::new();
    let peer = connect(&world);
    for (arguments, properties) in [
        (ttl(100), text()),
        (FieldTable::new(), lives(100)),
        // The earlier of the two.
        (ttl(100), lives(500)),
        (ttl(500), lives(100)),
    ] {
        peer.declare_with(1, "q", arguments);
        peer.publish(1, "", "q", &properties, b"x");
        world.advance(ms(99));
        assert_eq!(peer.counts(1, "q"), (1, 0));
        world.advance(ms(1));
        assert_eq!(peer.counts(1, "q"), (0, 0));
        peer.send(1, queue::Delete { queue: "q", ..queue::Delete::default() });
        peer.expect(1, queue::DeleteOk { message_count: 0 });
    }
}

#[test]
fn time_counts_in_each_queue_by_itself() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "both", "fanout");
    for (name, millis) in [("brief", 10), ("long", 1000)] {
        peer.declare_with(1, name, ttl(millis));
        peer.bind(1, name, "both", "");
    }
    peer.publish(1, "both", "", &text(), b"x");
    world.advance(ms(10));
    assert_eq!((peer.counts(1, "brief"), peer.counts(1, "long")), ((0, 0), (1, 0)));
}

#[test]
fn short_lived_message_waits_behind_a_long_lived_one_and_is_skipped() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "q");
    peer.publish(1, "", "q", &lives(1000), b"long");
    peer.publish(1, "", "q", &lives(10), b"short");
    peer.publish(1, "", "q", &text(), b"eternal");
    world.advance(ms(500));
    assert_eq!(peer.counts(1, "q"), (3, 0), "it is still counted");
    assert_eq!(drain(&peer, "q"), ["long", "eternal"]);
}

#[test]
fn short_lived_message_goes_with_the_one_before_it() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    let to_grave =
        [("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", "grave".into())];
    peer.declare_with(1, "q", arguments(to_grave));
    peer.publish(1, "", "q", &lives(50), b"before");
    peer.publish(1, "", "q", &lives(10), b"behind");
    world.advance(ms(49));
    assert_eq!(peer.counts(1, "grave"), (0, 0));
    world.advance(ms(1));
    assert_eq!(drain(&peer, "grave"), ["before", "behind"]);
}

#[test]
fn new_head_is_watched_from_when_it_is_the_head() {
    // Nothing but the timer touches the queue after the head was taken.
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    let to_grave =
        [("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", "grave".into())];
    peer.declare_with(1, "q", arguments(to_grave));
    peer.consume_no_ack(1, "grave", "g");
    peer.publish(1, "", "q", &text(), b"eternal");
    peer.publish(1, "", "q", &lives(10), b"short");
    world.advance(ms(5));
    assert_eq!(peer.get(1, "q").unwrap().text(), "eternal");
    world.advance(ms(5));
    assert_eq!(peer.expect_delivery(1).text(), "short");

    // The same where a consumer takes the head.
    peer.publish(1, "", "q", &text(), b"eternal");
    peer.publish(1, "", "q", &lives(10), b"short");
    peer.qos(1, 1, false);
    peer.consume(1, "q", "c");
    assert_eq!(peer.expect_delivery(1).text(), "eternal");
    world.advance(ms(10));
    assert_eq!(peer.expect_delivery(1).text(), "short");
}

#[test]
fn expired_low_priority_waits_behind_the_highest_line() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", arguments([("x-max-priority", 5.into())]));
    let low = OwnedProperties { priority: Some(1), ..lives(10) };
    let high = OwnedProperties { priority: Some(5), ..lives(1000) };
    peer.publish(1, "", "q", &low, b"low");
    peer.publish(1, "", "q", &high, b"high");
    world.advance(ms(100));
    assert_eq!(peer.counts(1, "q"), (2, 0));
    assert_eq!(drain(&peer, "q"), ["high"]);
}

#[test]
fn nothing_expired_is_delivered_even_if_no_timer_ran() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", ttl(10));
    peer.publish(1, "", "q", &text(), b"x");
    world.pass_unnoticed(ms(10));
    peer.consume(1, "q", "c");
    peer.expect_nothing();
    peer.cancel(1, "c");
    peer.publish(1, "", "q", &text(), b"x");
    world.pass_unnoticed(ms(10));
    assert_eq!(peer.get(1, "q"), None);
}

#[test]
fn unacked_message_does_not_expire_and_keeps_its_deadline_when_requeued() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", ttl(100));
    peer.publish(1, "", "q", &text(), b"x");
    let delivery = peer.get(1, "q").unwrap();
    world.advance(ms(60));
    peer.nack(1, delivery.delivery_tag, true);
    assert_eq!(peer.counts(1, "q"), (1, 0));
    world.advance(ms(39));
    assert_eq!(peer.counts(1, "q"), (1, 0));
    world.advance(ms(1));
    assert_eq!(peer.counts(1, "q"), (0, 0));

    peer.publish(1, "", "q", &text(), b"x");
    let delivery = peer.get(1, "q").unwrap();
    world.advance(ms(200));
    peer.nack(1, delivery.delivery_tag, true);
    assert_eq!(peer.counts(1, "q"), (0, 0), "its time was over in the client's hands");
}

#[test]
fn no_time_at_all_is_enough_for_a_waiting_consumer() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", ttl(0));
    peer.publish_mandatory(1, "", "q", b"nobody");
    peer.expect_nothing();
    assert_eq!(peer.counts(1, "q"), (0, 0));
    peer.consume(1, "q", "c");
    for properties in [text(), lives(0)] {
        peer.publish(1, "", "q", &properties, b"somebody");
        let delivery = peer.expect_delivery(1);
        assert_eq!(delivery.content.properties(), properties, "expiration is delivered unchanged");
    }
}

#[test]
fn expired_message_frees_its_place_in_a_full_queue() {
    let world = World::new();
    let peer = connect(&world);
    let full = [("x-max-length", 1.into()), ("x-overflow", "reject-publish".into())];
    peer.declare_with(1, "q", arguments(full));
    peer.confirm_select(1);
    peer.publish(1, "", "q", &lives(10), b"first");
    peer.expect_confirm(1, 1, false);
    peer.publish(1, "", "q", &text(), b"second");
    peer.expect(1, basic::Nack { delivery_tag: 2, multiple: false, requeue: false });
    world.advance(ms(10));
    peer.publish(1, "", "q", &text(), b"third");
    peer.expect_confirm(1, 3, false);
}

// The schedule: one entry at most for a queue, and none without a deadline.

#[test]
fn queue_without_deadlines_is_never_looked_at() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "q");
    for _ in 0..10 {
        peer.publish(1, "", "q", &text(), b"x");
    }
    peer.publish(1, "", "q", &lives(10), b"behind those without a deadline");
    assert_eq!(world.broker.next_deadline(), Time::NEVER);
    assert_eq!(drain(&peer, "q").len(), 11);
    // It was the head for a moment; the look that was scheduled then finds nothing to come back for.
    world.advance(ms(10));
    assert_eq!(world.broker.next_deadline(), Time::NEVER);
}

#[test]
fn earlier_deadline_takes_the_place_of_a_later_one() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", arguments([("x-max-priority", 5.into())]));
    let due_in = || world.broker.next_deadline().since(world.now());
    let lives = |priority, millis| OwnedProperties { priority: Some(priority), ..lives(millis) };
    peer.publish(1, "", "q", &lives(0, 300), b"x");
    assert_eq!(due_in(), ms(300));
    peer.publish(1, "", "q", &lives(1, 100), b"x");
    assert_eq!(due_in(), ms(100));
    peer.publish(1, "", "q", &lives(2, 200), b"x");
    assert_eq!(due_in(), ms(100), "that look will find out");
    world.advance(ms(100));
    assert_eq!(due_in(), ms(100));
    world.advance(ms(100));
    // Both lower lines' turn: one has been dead for long.
    assert_eq!(due_in(), ms(100));
    world.advance(ms(100));
    assert_eq!(world.broker.next_deadline(), Time::NEVER);
    assert_eq!(peer.counts(1, "q"), (0, 0));
}

#[test]
fn deleted_queue_leaves_the_schedule() {
    let world = World::new();
    let peer = connect(&world);
    for arguments in [ttl(1000), expires(1000)] {
        peer.declare_with(1, "q", arguments);
        peer.publish(1, "", "q", &text(), b"x");
        assert_ne!(world.broker.next_deadline(), Time::NEVER);
        peer.send(1, queue::Delete { queue: "q", ..queue::Delete::default() });
        peer.expect(1, queue::DeleteOk { message_count: 1 });
        assert_eq!(world.broker.next_deadline(), Time::NEVER);
    }
}

#[test]
fn many_expire_at_once_in_pieces() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", ttl(10));
    for _ in 0..5000 {
        peer.publish(1, "", "q", &text(), b"x");
    }
    world.pass_unnoticed(ms(10));
    let mut ticks = 0;
    while world.broker.next_deadline() <= world.now() {
        world.broker.tick(world.now());
        ticks += 1;
    }
    assert!((2..=10).contains(&ticks), "{ticks} ticks");
    assert_eq!(peer.counts(1, "q"), (0, 0));
    assert_eq!(world.broker.next_deadline(), Time::NEVER);
}

// B8.4: queues.

#[test]
fn unused_queue_ends() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", expires(1000));
    world.advance(ms(999));
    assert!(exists(&world, "q"));
    world.advance(ms(1));
    assert!(!exists(&world, "q"));
}

#[test]
fn declare_passive_declare_and_get_count_as_use() {
    let world = World::new();
    let peer = connect(&world);
    let declare: fn(&Peer) = |peer| peer.declare_with(1, "q", expires(1000));
    let passive: fn(&Peer) = |peer| assert_eq!(peer.counts(1, "q"), (0, 0));
    let get: fn(&Peer) = |peer| assert_eq!(peer.get(1, "q"), None);
    for use_it in [declare, passive, get] {
        peer.declare_with(1, "q", expires(1000));
        world.advance(ms(900));
        use_it(&peer);
        world.advance(ms(999));
        assert!(exists(&world, "q"));
        world.advance(ms(1));
        assert!(!exists(&world, "q"));
    }
}

#[test]
fn publish_does_not_count_as_use_and_messages_do_not_hold_the_queue() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    let to_grave = [
        ("x-expires", 1000.into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", "grave".into()),
    ];
    peer.declare_with(1, "q", arguments(to_grave));
    world.advance(ms(900));
    peer.publish(1, "", "q", &text(), b"x");
    world.advance(ms(100));
    assert!(!exists(&world, "q"));
    assert_eq!(peer.counts(1, "grave"), (0, 0), "they are not dead-lettered");
}

#[test]
fn clock_stands_while_there_are_consumers() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", expires(1000));
    world.advance(ms(500));
    peer.consume(1, "q", "a");
    peer.consume(1, "q", "b");
    world.advance(ms(5000));
    peer.cancel(1, "a");
    world.advance(ms(5000));
    assert_eq!(peer.counts(1, "q"), (0, 1), "and a declare does not start it");
    world.advance(ms(5000));
    peer.cancel(1, "b");
    world.advance(ms(999));
    assert!(exists(&world, "q"));
    world.advance(ms(1));
    assert!(!exists(&world, "q"));
}

#[test]
fn lost_consumer_starts_the_clock() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", expires(1000));
    let other = connect(&world);
    other.consume(1, "q", "c");
    world.advance(ms(5000));
    other.hang_up();
    world.advance(ms(999));
    assert!(exists(&world, "q"));
    world.advance(ms(1));
    assert!(!exists(&world, "q"));
}

#[test]
fn expired_queue_takes_its_bindings_along_and_its_name_is_free() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "x", "fanout");
    peer.declare_with(1, "q", expires(1000));
    peer.bind(1, "q", "x", "");
    world.advance(ms(1000));
    peer.publish_mandatory(1, "x", "", b"x");
    assert_eq!(peer.expect_return(1).reply_text, "NO_ROUTE");
    // Nothing of the old one is left to differ from.
    peer.declare(1, "q");
    peer.publish_mandatory(1, "x", "", b"x");
    assert_eq!(peer.expect_return(1).reply_text, "NO_ROUTE");
}

#[test]
fn delivery_from_an_expired_queue_can_still_be_settled() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", expires(1000));
    peer.publish(1, "", "q", &text(), b"one");
    peer.publish(1, "", "q", &text(), b"two");
    let (one, two) = (peer.get(1, "q").unwrap(), peer.get(1, "q").unwrap());
    world.advance(ms(1000));
    peer.ack(1, one.delivery_tag);
    peer.nack(1, two.delivery_tag, true);
    peer.expect_nothing();
    assert!(!exists(&world, "q"));
}

#[test]
fn queue_whose_time_is_over_is_declared_anew() {
    // The timer is late: a declare that comes first finds the queue and keeps it.
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", expires(1000));
    world.pass_unnoticed(ms(1500));
    peer.declare_with(1, "q", expires(1000));
    world.advance(ms(999));
    assert!(exists(&world, "q"));
    world.advance(ms(1));
    assert!(!exists(&world, "q"));
}

#[test]
fn arguments_are_checked() {
    let world = World::new();
    let peer = connect(&world);
    for (name, value, reason) in [
        ("x-expires", FieldValue::from(0), "{value_zero,0}"),
        ("x-expires", FieldValue::from(-1), "{value_negative,-1}"),
        ("x-expires", FieldValue::from("5"), "\"expected integer, got longstr\""),
        ("x-message-ttl", FieldValue::from(-1), "{value_negative,-1}"),
        ("x-message-ttl", FieldValue::I64(315_360_000_001), "{value_too_large,315360000001}"),
    ] {
        let arguments = arguments([(name, value)]);
        peer.send(1, queue::Declare { queue: "q", arguments, ..queue::Declare::default() });
        let text = format!("invalid arg '{name}' for queue 'q' in vhost '/': {reason}");
        peer.expect_channel_error(1, 406, &format!("PRECONDITION_FAILED - {text}"))
            .for_method(50, 10);
        peer.reopen(1);
    }
}
