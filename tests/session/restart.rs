//! What a message is after a restart, by a clock that goes on meanwhile (behaviour B12.3).

// All of this is a test: whatever it stumbles over fails it.

use std::time::Duration;

use leveret::protocol::method::basic;
use leveret::protocol::{FieldTable, FieldValue, Headers, Method, OwnedProperties};
use leveret::time::Time;

use crate::support::{Peer, World, persistent};

const SECOND: Duration = Duration::from_secs(1);

/// Runs `before` in a broker and, so much later, `after` in the next one over the same directory.
fn restart(down: Duration, before: impl FnOnce(&World, &Peer), after: impl FnOnce(&World, &Peer)) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path(), Time(0));
    before(&world, &world.open());
    let later = world.now() + down;
    drop(world);
    let world = World::in_directory(directory.path(), later);
    after(&world, &world.open());
}

fn arguments<const N: usize>(pairs: [(&str, FieldValue); N]) -> FieldTable {
    pairs.into_iter().collect()
}

/// Publishes through the default exchange and waits until it is kept.
#[track_caller]
fn publish(peer: &Peer, channel: u16, queue: &str, properties: &OwnedProperties, body: &str) {
    peer.publish(channel, "", queue, properties, body.as_bytes());
    assert!(matches!(peer.recv().method(), Method::Basic(basic::Method::Ack(_))));
}

fn expiring(millis: &str) -> OwnedProperties {
    OwnedProperties { expiration: Some(millis.into()), ..persistent() }
}

#[test]
fn times_to_live_go_on_while_the_broker_is_down() {
    let before = |world: &World, peer: &Peer| {
        peer.confirm_select(1);
        let ttl = [("x-message-ttl", 30_000.into())];
        peer.declare_durable_with(1, "by queue", arguments(ttl.clone()));
        peer.declare_durable_with(1, "by both", arguments(ttl));
        peer.declare_durable(1, "by message");
        peer.declare_durable(1, "never");
        publish(peer, 1, "never", &persistent(), "stays");
        publish(peer, 1, "by queue", &persistent(), "1");
        publish(peer, 1, "by both", &expiring("5000"), "1");
        publish(peer, 1, "by message", &expiring("20000"), "1");
        world.advance(10 * SECOND);
        publish(peer, 1, "by queue", &persistent(), "2");
        publish(peer, 1, "by both", &expiring("90000"), "2");
        publish(peer, 1, "by message", &expiring("20000"), "2");
    };
    // 25 seconds after the first ones, 15 after the second ones.
    restart(15 * SECOND, before, |world, peer| {
        let left = |queue| peer.counts(1, queue).0;
        assert_eq!(["never", "by queue", "by both", "by message"].map(left), [1, 2, 1, 1]);
        world.advance(5 * SECOND);
        assert_eq!(["by queue", "by both", "by message"].map(left), [1, 1, 0]);
        world.advance(10 * SECOND - Duration::from_millis(1));
        assert_eq!(["by queue", "by both"].map(left), [1, 1]);
        world.advance(Duration::from_millis(1));
        assert_eq!(["never", "by queue", "by both"].map(left), [1, 0, 0]);
    });
}

/// A message of a queue that is filled later must not get a position there that is taken.
#[test]
fn what_expired_while_the_broker_was_down_is_dead_lettered_at_the_start() {
    let before = |_: &World, peer: &Peer| {
        peer.confirm_select(1);
        for (queue, grave) in [("a", "b"), ("b", "a"), ("z", "a")] {
            let key = [
                ("x-dead-letter-exchange", "".into()),
                ("x-dead-letter-routing-key", grave.into()),
            ];
            peer.declare_durable_with(1, queue, arguments(key));
        }
        for queue in ["a", "b", "z"] {
            publish(peer, 1, queue, &expiring("1000"), &format!("from {queue}"));
            publish(peer, 1, queue, &persistent(), &format!("stays in {queue}"));
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path(), Time(0));
    before(&world, &world.open());
    let later = world.now() + 2 * SECOND;
    drop(world);
    // What was done at the first start is kept for the next, and not done again.
    for days in 0..2 {
        let world = World::in_directory(directory.path(), later + days * 86_400 * SECOND);
        let peer = world.open();
        let all = |queue| {
            let texts = std::iter::from_fn(|| peer.get(1, queue))
                .map(|delivery| String::from_utf8(delivery.content.body).unwrap());
            texts.collect::<Vec<_>>()
        };
        let mut a = all("a");
        a[1..].sort_unstable();
        assert_eq!(a, ["stays in a", "from b", "from z"]);
        assert_eq!(all("b"), ["stays in b", "from a"]);
        assert_eq!(all("z"), ["stays in z"]);
    }
}

/// Its time is that of its arrival, not that of the message it was.
#[test]
fn dead_letter_lives_as_long_as_its_new_queue_says() {
    let before = |world: &World, peer: &Peer| {
        peer.confirm_select(1);
        peer.declare_durable_with(1, "grave", arguments([("x-message-ttl", 10_000.into())]));
        let to_grave = [
            ("x-message-ttl", 5_000.into()),
            ("x-dead-letter-exchange", "".into()),
            ("x-dead-letter-routing-key", "grave".into()),
        ];
        peer.declare_durable_with(1, "q", arguments(to_grave));
        publish(peer, 1, "q", &persistent(), "x");
        world.advance(5 * SECOND);
        assert_eq!(peer.counts(1, "grave").0, 1);
    };
    restart(8 * SECOND, before, |world, peer| {
        assert_eq!(peer.counts(1, "grave").0, 1);
        world.advance(2 * SECOND);
        assert_eq!(peer.counts(1, "grave").0, 0);
    });
}

/// A clock that was set back is no reason to keep a message longer than it was to live.
#[test]
fn a_clock_that_was_set_back_lengthens_no_life() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path(), Time(0));
    let (start, peer) = (world.now(), world.open());
    world.advance(3600 * SECOND);
    peer.confirm_select(1);
    peer.declare_durable(1, "q");
    publish(&peer, 1, "q", &expiring("10000"), "x");
    drop((world, peer));
    let world = World::in_directory(directory.path(), start);
    let peer = world.open();
    assert_eq!(peer.counts(1, "q").0, 1);
    world.advance(10 * SECOND);
    assert_eq!(peer.counts(1, "q").0, 0);
}

/// Behaviour B6.3 and B8.6: BCC keys are part of a message's way though nobody sees them.
#[test]
fn bcc_keys_lead_a_dead_letter_after_a_restart_too() {
    let dead_letters = |peer: &Peer, queue: &str| {
        let delivery = peer.get(1, queue).expect("a message");
        peer.nack(1, delivery.delivery_tag, false);
        let found = peer.get(1, "grave").expect("a dead letter that its BCC key led here");
        let headers = found.content.properties().headers.unwrap_or_default();
        let headers: FieldTable = headers.reader().try_into().expect("a good table");
        assert_eq!((headers.get("BCC"), headers.get("a")), (None, Some(&1.into())));
        let Some(FieldValue::Array(deaths)) = headers.get("x-death") else { panic!("{headers:?}") };
        let keys = deaths[0].as_table().and_then(|death| death.get("routing-keys"));
        assert_eq!(keys, Some(&vec![FieldValue::from(queue)].into()));
        peer.ack(1, found.delivery_tag);
        assert!(peer.get(1, "grave").is_none());
    };
    let before = |_: &World, peer: &Peer| {
        peer.confirm_select(1);
        peer.declare_exchange(1, "dlx", "direct");
        peer.declare_durable(1, "grave");
        peer.bind(1, "grave", "dlx", "hidden");
        for queue in ["one", "two", "large"] {
            let to_dlx = [("x-dead-letter-exchange", "dlx".into())];
            peer.declare_durable_with(1, queue, arguments(to_dlx));
        }
        let table = arguments([("BCC", vec![FieldValue::from("hidden")].into()), ("a", 1.into())]);
        let properties = OwnedProperties { headers: Some(Headers::from(&table)), ..persistent() };
        publish(peer, 1, "one", &properties, "x");
        publish(peer, 1, "two", &properties, "x");
        publish(peer, 1, "large", &properties, &"x".repeat(20_000));
        // What comes behind it in the log is there as well.
        publish(peer, 1, "grave", &persistent(), "last");
        let last = peer.get(1, "grave").unwrap();
        peer.ack(1, last.delivery_tag);
        publish(peer, 1, "two", &persistent(), "last");
        dead_letters(peer, "one");
    };
    restart(SECOND, before, |_, peer| {
        assert_eq!(peer.counts(1, "two").0, 2);
        // The binding is not durable, since its exchange is not.
        peer.declare_exchange(1, "dlx", "direct");
        peer.bind(1, "grave", "dlx", "hidden");
        dead_letters(peer, "two");
        dead_letters(peer, "large");
    });
}
