//! Queues with `x-max-priority`: the highest first, and the oldest of those (behaviour B8.10).

use leveret::protocol::method::queue::{Purge, PurgeOk};
use leveret::protocol::{FieldTable, OwnedProperties};

use crate::support::{Peer, World, text};

fn with(priority: Option<u8>) -> OwnedProperties {
    OwnedProperties { priority, ..text() }
}

/// A client and an empty queue `q` with that many priorities above 0.
#[track_caller]
fn declared(max: u8) -> Peer {
    let peer = World::new().open();
    peer.declare_with(1, "q", FieldTable::from_iter([("x-max-priority", max)]));
    peer
}

/// Publishes messages that say their priority: `2b` is the second one of priority 2.
fn publish(peer: &Peer, bodies: &[&str]) {
    for body in bodies {
        let digits = body.trim_end_matches(|c: char| !c.is_ascii_digit());
        peer.publish(1, "", "q", &with(digits.parse().ok()), body.as_bytes());
    }
}

#[test]
fn highest_comes_first_and_the_oldest_of_those() {
    let peer = declared(3);
    publish(&peer, &["0a", "3a", "1a", "2a", "3b", "1b", "0b"]);
    assert_eq!(peer.drain(1, "q"), ["3a", "3b", "2a", "1a", "1b", "0a", "0b"]);
}

/// No priority is 0, and more than there are is the highest; the property is delivered as it was sent.
#[test]
fn priority_is_bounded_and_carried_as_it_is() {
    let peer = declared(3);
    publish(&peer, &["3a", "255", "none", "0", "3b", "4"]);
    for (body, priority) in [
        ("3a", Some(3)),
        ("255", Some(255)),
        ("3b", Some(3)),
        ("4", Some(4)),
        ("none", None),
        ("0", Some(0)),
    ] {
        let got = peer.get(1, "q").unwrap();
        assert_eq!(got.text(), body);
        assert_eq!(got.content.properties(), with(priority));
    }
}

#[test]
fn every_priority_is_its_own() {
    let peer = declared(255);
    // 7 has no divisor in common with 256: every priority, in a wild order.
    for step in 0..=255_u8 {
        let priority = step.wrapping_mul(7);
        peer.publish(1, "", "q", &with(Some(priority)), priority.to_string().as_bytes());
    }
    let expected: Vec<String> = (0..=255).rev().map(|priority: u8| priority.to_string()).collect();
    assert_eq!(peer.drain(1, "q"), expected);
}

/// Without the argument the property is somebody else's business.
#[test]
fn priority_means_nothing_to_other_queues() {
    let peer = World::new().open();
    peer.declare(1, "q");
    publish(&peer, &["0", "9", "5"]);
    assert_eq!(peer.drain(1, "q"), ["0", "9", "5"]);
}

/// What was delivered is not overtaken any more; what waits is.
#[test]
fn later_message_overtakes_what_waits() {
    let peer = declared(9);
    peer.qos(1, 2, false);
    peer.consume(1, "q", "c");
    publish(&peer, &["1a", "1b", "1c", "5a", "9a"]);
    peer.expect_texts(1, &["1a", "1b"]);
    peer.ack(1, 1);
    peer.expect_texts(1, &["9a"]);
    publish(&peer, &["7a"]);
    peer.ack(1, 2);
    peer.expect_texts(1, &["7a"]);
    peer.ack_until(1, 4);
    peer.expect_texts(1, &["5a", "1c"]);
}

/// B6.13: what comes back stands at its old place among its equals.
#[test]
fn requeued_message_stands_at_its_old_place_in_its_priority() {
    let peer = declared(3);
    publish(&peer, &["1a", "2a", "1b", "2b", "1c"]);
    let got: Vec<_> = (0..4).map(|_| peer.get(1, "q").unwrap()).collect();
    assert_eq!(got.iter().map(|one| one.text()).collect::<Vec<_>>(), ["2a", "2b", "1a", "1b"]);
    publish(&peer, &["2c", "3a"]);
    for index in [0, 3, 1] {
        peer.nack(1, got[index].delivery_tag, true);
    }
    assert_eq!(peer.drain(1, "q"), ["3a", "2a", "2b", "2c", "1b", "1c"]);
}

/// Counts and purges are of all priorities.
#[test]
fn counts_and_purges_are_of_all_priorities() {
    let peer = declared(9);
    publish(&peer, &["0", "9", "5", "5b"]);
    assert_eq!(peer.counts(1, "q"), (4, 0));
    peer.get(1, "q").unwrap();
    peer.call(1, Purge { queue: "q", nowait: false }, PurgeOk { message_count: 3 });
    assert_eq!(peer.counts(1, "q"), (0, 0));
    peer.nack(1, 1, true);
    publish(&peer, &["4"]);
    assert_eq!(peer.drain(1, "q"), ["9", "4"]);
}
