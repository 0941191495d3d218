//! Deliveries that are not acknowledged in time (behaviour B6.16).

use std::time::Duration;

use leveret::broker::Limits;
use leveret::protocol::method::{basic, queue};
use leveret::protocol::{FieldTable, FieldValue};
use leveret::queue::TimeoutAction;
use leveret::session::Offer;

use crate::support::{Peer, World};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn arguments<const N: usize>(pairs: [(&str, FieldValue); N]) -> FieldTable {
    pairs.into_iter().collect()
}

fn requeue(millis: i32) -> FieldTable {
    arguments([
        ("x-consumer-timeout", millis.into()),
        ("x-consumer-timeout-action", "requeue".into()),
    ])
}

/// A broker with these settings.
fn world(consumer_timeout_millis: u64, consumer_timeout_action: TimeoutAction) -> World {
    let limits = Limits { consumer_timeout_millis, consumer_timeout_action, ..Limits::default() };
    World::with(limits, Offer::default())
}

fn consume_with(peer: &Peer, queue: &str, arguments: FieldTable) {
    let consume = basic::Consume { queue, consumer_tag: "c", arguments, ..Default::default() };
    peer.consume_as(1, consume);
}

#[track_caller]
fn expect_timeout(peer: &Peer, channel: u16, millis: u64) {
    let text = format!(
        "PRECONDITION_FAILED - delivery acknowledgement on channel {channel} timed out. Timeout \
         value used: {millis} ms. This timeout value can be configured, see consumers doc guide to \
         learn more"
    );
    peer.expect_channel_error(channel, 406, &text).for_method(0, 0);
}

#[test]
fn channel_is_closed_after_half_an_hour_and_everything_on_it_comes_back() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.open_channel(2);
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["a", "b", "c", "d"]);
    peer.qos(1, 2, false);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["a", "b"]);
    assert!(peer.get(2, "q").is_some());
    world.advance(ms(60_000));
    peer.ack(1, 1);
    peer.expect_texts(1, &["d"]);
    world.advance(ms(1_739_999));
    peer.expect_nothing();
    world.advance(ms(1));
    expect_timeout(&peer, 1, 1_800_000);
    expect_timeout(&peer, 2, 1_800_000);
    peer.close_ok(1);
    peer.close_ok(2);
    let again: Vec<_> = std::iter::from_fn(|| other.get(1, "q")).collect();
    let again: Vec<_> = again.iter().map(|got| (got.text(), got.redelivered)).collect();
    assert_eq!(again, ["b", "c", "d"].map(|text| (text.to_owned(), true)));
}

#[test]
fn zero_is_as_long_as_the_client_likes() {
    let world = world(0, TimeoutAction::Close);
    let peer = world.open();
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["a"]);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["a"]);
    world.advance(ms(100 * 24 * 3_600_000));
    peer.expect_nothing();
    peer.ack(1, 1);
    assert_eq!(peer.counts(1, "q"), (0, 1));
}

/// The consumer's word goes before the queue's, and that before the broker's setting.
#[test]
fn consumer_then_queue_then_broker() {
    let broker = 90_000;
    for (queue, consumer, expected) in [
        (None, None, Some(broker)),
        (Some(5000), None, Some(5000)),
        (Some(500_000), None, Some(500_000)),
        (Some(5000), Some(7000), Some(7000)),
        (Some(5000), Some(2000), Some(2000)),
        (None, Some(100_000), Some(100_000)),
        (Some(5000), Some(0), None),
        (Some(0), None, None),
    ] {
        let table = |millis: Option<i32>| -> FieldTable {
            millis
                .into_iter()
                .map(|millis| ("x-consumer-timeout", FieldValue::from(millis)))
                .collect()
        };
        let world = world(broker, TimeoutAction::Close);
        let peer = world.open();
        peer.declare_with(1, "q", table(queue));
        peer.publish_texts(1, "q", &["a"]);
        consume_with(&peer, "q", table(consumer));
        peer.expect_texts(1, &["a"]);
        world.advance(ms(expected.map_or(10_000_000, |expected| expected - 1)));
        peer.expect_nothing();
        if let Some(expected) = expected {
            world.advance(ms(1));
            expect_timeout(&peer, 1, expected);
        }
    }
}

#[test]
fn messages_that_were_got_have_the_timeout_of_their_queue() {
    let world = World::new();
    let peer = world.open();
    peer.declare_with(1, "slow", FieldTable::new());
    peer.declare_with(1, "fast", arguments([("x-consumer-timeout", 1000.into())]));
    peer.publish_texts(1, "slow", &["a"]);
    peer.publish_texts(1, "fast", &["b"]);
    peer.get(1, "slow").unwrap();
    world.advance(ms(5000));
    peer.get(1, "fast").unwrap();
    world.advance(ms(999));
    peer.expect_nothing();
    world.advance(ms(1));
    expect_timeout(&peer, 1, 1000);
}

#[test]
fn requeue_takes_away_what_is_overdue_and_nothing_else() {
    let world = World::new();
    let peer = world.open();
    peer.declare_with(1, "q", requeue(5000));
    peer.publish_texts(1, "q", &["a", "b", "c"]);
    peer.qos(1, 2, false);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["a", "b"]);
    world.advance(ms(3000));
    peer.ack(1, 1);
    peer.expect_texts(1, &["c"]);
    world.advance(ms(1999));
    peer.expect_nothing();
    world.advance(ms(1));
    // To its old place, and the consumer, which is still there, gets it again.
    let again = peer.expect_texts(1, &["b"]);
    assert!(again[0].redelivered && again[0].delivery_tag == 4);
    // Its own old tag is not its to settle any more, and not an offence either.
    peer.ack(1, 2);
    peer.ack(1, 2);
    peer.nack(1, 2, true);
    peer.reject(1, 2, false);
    peer.expect_nothing();
    peer.ack(1, 3);
    peer.ack(1, 4);
    assert_eq!(peer.counts(1, "q"), (0, 1));
    // Other tags are as unknown as ever.
    peer.refused(
        1,
        basic::Ack { delivery_tag: 3, multiple: false },
        406,
        "PRECONDITION_FAILED - unknown delivery tag 3",
    );
}

#[test]
fn overdue_messages_go_to_whoever_waits_for_them() {
    let world = world(1000, TimeoutAction::Requeue);
    let (stuck, other) = (world.open(), world.open());
    stuck.declare(1, "q");
    stuck.publish_texts(1, "q", &["a", "b", "c"]);
    stuck.qos(1, 3, true);
    stuck.consume(1, "q", "c");
    stuck.expect_texts(1, &["a", "b", "c"]);
    stuck.cancel(1, "c");
    other.consume(1, "q", "c");
    other.expect_nothing();
    world.advance(ms(1000));
    let texts = other.expect_texts(1, &["a", "b", "c"]);
    assert!(texts.iter().all(|delivery| delivery.redelivered));
    // All of it was taken away: nothing is left to acknowledge, and that is fine.
    stuck.ack_until(1, 3);
    stuck.ack_until(1, 0);
    stuck.expect_nothing();
    other.ack_until(1, 3);
    assert_eq!(other.counts(1, "q"), (0, 1));
}

/// What is not overdue is settled by a multiple up to a tag that was.
#[test]
fn multiple_up_to_an_overdue_tag_settles_the_others() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "slow");
    peer.declare_with(1, "fast", requeue(1000));
    peer.publish_texts(1, "slow", &["a"]);
    peer.publish_texts(1, "fast", &["b"]);
    for queue in ["slow", "fast"] {
        peer.get(1, queue).unwrap();
    }
    world.advance(ms(1000));
    assert_eq!(peer.counts(1, "fast").0, 1);
    peer.ack_until(1, 2);
    peer.close_channel(1);
    peer.open_channel(1);
    assert_eq!((peer.counts(1, "slow").0, peer.counts(1, "fast").0), (0, 1));
}

#[test]
fn action_of_the_consumer_goes_first_too() {
    let world = World::new();
    let peer = world.open();
    peer.declare_with(1, "q", requeue(1000));
    peer.publish_texts(1, "q", &["a"]);
    consume_with(&peer, "q", arguments([("x-consumer-timeout-action", "close".into())]));
    peer.expect_texts(1, &["a"]);
    world.advance(ms(1000));
    expect_timeout(&peer, 1, 1000);
    peer.reopen(1);
    consume_with(&peer, "q", requeue(2000));
    peer.expect_texts(1, &["a"]);
    world.advance(ms(2000));
    peer.expect_texts(1, &["a"]);
}

/// A client that goes on working is never in danger, however old its connection is.
#[test]
fn only_the_age_of_each_delivery_counts() {
    let world = World::new();
    let peer = world.open();
    peer.declare_with(1, "q", arguments([("x-consumer-timeout", 3000.into())]));
    peer.qos(1, 2, false);
    peer.consume(1, "q", "c");
    for tag in 1..200 {
        peer.publish_texts(1, "q", &["x"]);
        peer.expect_texts(1, &["x"]);
        world.advance(ms(400));
        if tag > 1 {
            peer.ack(1, tag - 1);
        }
    }
    peer.expect_nothing();
    // One of a second counts with the last of that second, so it is late by less than that.
    world.advance(ms(4000));
    expect_timeout(&peer, 1, 3000);
}

/// Settled in a transaction is not outstanding; rolled back it is, from then on.
#[test]
fn rollback_starts_the_time_anew() {
    let world = World::new();
    let peer = world.open();
    peer.declare_with(1, "q", arguments([("x-consumer-timeout", 3000.into())]));
    peer.publish_texts(1, "q", &["a"]);
    peer.tx_select(1);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["a"]);
    peer.ack(1, 1);
    world.advance(ms(10_000));
    peer.expect_nothing();
    peer.send(1, leveret::protocol::method::tx::Rollback {});
    peer.expect(1, leveret::protocol::method::tx::RollbackOk {});
    world.advance(ms(2999));
    peer.expect_nothing();
    world.advance(ms(1));
    expect_timeout(&peer, 1, 3000);
}

#[test]
fn consumers_that_do_not_acknowledge_have_no_timeout() {
    let world = world(1000, TimeoutAction::Close);
    let peer = world.open();
    peer.declare(1, "q");
    peer.consume_no_ack(1, "q", "c");
    peer.publish_texts(1, "q", &["a"]);
    peer.expect_texts(1, &["a"]);
    world.advance(ms(100_000));
    peer.expect_nothing();
}

#[test]
fn arguments_are_checked() {
    let peer = World::new().open();
    peer.declare(1, "q");
    for (name, value, reason) in [
        ("x-consumer-timeout", FieldValue::from(-1), "{value_negative,-1}"),
        ("x-consumer-timeout", FieldValue::from("1"), "\"expected integer, got longstr\""),
        ("x-consumer-timeout-action", 1.into(), "{unacceptable_type,signedint}"),
        ("x-consumer-timeout-action", "drop".into(), "invalid_consumer_timeout_action"),
    ] {
        let text = |queue: &str| {
            let resource = format!("queue '{queue}' in vhost '/'");
            format!("PRECONDITION_FAILED - invalid arg '{name}' for {resource}: {reason}")
        };
        let arguments = arguments([(name, value)]);
        let consume =
            basic::Consume { queue: "q", arguments: arguments.clone(), ..Default::default() };
        peer.refused(1, consume, 406, &text("q"));
        let declare = queue::Declare { queue: "new", arguments, ..Default::default() };
        peer.refused(1, declare, 406, &text("new"));
    }
    peer.declare_with(1, "new", requeue(1000));
    peer.refused(
        1,
        queue::Declare { queue: "new", ..Default::default() },
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-consumer-timeout' for queue 'new' in vhost '/': \
         received none but current is the value '1000' of type 'signedint'",
    );
}
