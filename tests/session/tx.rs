//! Transactions: what is held back, what a commit does and a rollback undoes (behaviour B7.4).

use leveret::message::Position;
use leveret::protocol::method::{basic, queue, tx};
use leveret::protocol::{FieldTable, FieldValue, Method, OwnedProperties};
use leveret::storage::memory::Record;
use leveret::storage::{QueueId, Run};

use crate::support::{Peer, World, persistent, publish, text};

/// A client whose channel 1 is in a transaction and whose channel 2 is not, and the queue `q`.
fn world_of_a_transaction() -> (World, Peer) {
    let world = World::new();
    let peer = world.connect();
    peer.open_channel(1);
    peer.open_channel(2);
    peer.declare(2, "q");
    peer.tx_select(1);
    (world, peer)
}

#[track_caller]
fn commit(peer: &Peer) {
    peer.send(1, tx::Commit {});
    peer.expect(1, tx::CommitOk {});
}

#[track_caller]
fn rollback(peer: &Peer) {
    peer.send(1, tx::Rollback {});
    peer.expect(1, tx::RollbackOk {});
}

#[test]
fn select_may_be_repeated_and_changes_nothing() {
    let (_world, peer) = world_of_a_transaction();
    peer.publish(1, "", "q", &text(), b"x");
    peer.tx_select(1);
    commit(&peer);
    assert_eq!(peer.counts(2, "q"), (1, 0));
}

#[test]
fn mode_of_a_channel_is_chosen_once() {
    #[track_caller]
    fn check<'m>(prepare: impl FnOnce(&Peer), method: impl Into<Method<'m>>, text: &str) {
        let peer = World::new().connect();
        peer.open_channel(1);
        prepare(&peer);
        let method = method.into();
        let id = method.id();
        peer.send(1, method);
        peer.expect_channel_error(1, 406, &format!("PRECONDITION_FAILED - {text}"))
            .for_method(id.class, id.method);
    }

    check(|peer| peer.confirm_select(1), tx::Select {}, "cannot switch from confirm to tx mode");
    check(|_| {}, tx::Commit {}, "channel is not transactional");
    check(|_| {}, tx::Rollback {}, "channel is not transactional");
    check(|peer| peer.confirm_select(1), tx::Commit {}, "channel is not transactional");
}

#[test]
fn publishes_are_seen_at_the_commit_and_in_order() {
    let (_world, peer) = world_of_a_transaction();
    peer.consume_no_ack(2, "q", "c");
    for body in [&b"1"[..], b"2", b"3"] {
        peer.publish(1, "", "q", &text(), body);
    }
    peer.expect_nothing();
    commit(&peer);
    for body in ["1", "2", "3"] {
        assert_eq!(peer.expect_delivery(2).text(), body);
    }
    // The next transaction has begun.
    peer.publish(1, "", "q", &text(), b"4");
    peer.expect_nothing();
    commit(&peer);
    assert_eq!(peer.expect_delivery(2).text(), "4");
    commit(&peer);
    peer.expect_nothing();
}

#[test]
fn rollback_drops_publishes() {
    let (_world, peer) = world_of_a_transaction();
    peer.publish(1, "", "q", &text(), b"x");
    rollback(&peer);
    commit(&peer);
    assert_eq!(peer.counts(2, "q"), (0, 0));
}

/// Routed when it is published: what the topology is at the commit does not matter.
#[test]
fn publishes_are_routed_when_they_are_made() {
    let (_world, peer) = world_of_a_transaction();
    peer.bind(2, "q", "amq.fanout", "");
    peer.publish(1, "amq.fanout", "", &text(), b"routed");
    let (queue, exchange) = ("q", "amq.fanout");
    peer.send(2, queue::Unbind { queue, exchange, ..Default::default() });
    peer.expect(2, queue::UnbindOk {});
    peer.publish(1, "amq.fanout", "", &text(), b"not routed");
    peer.bind(2, "q", "amq.fanout", "");
    commit(&peer);
    assert_eq!(peer.counts(2, "q"), (1, 0));
    assert_eq!(peer.get(2, "q").expect("a message").text(), "routed");
}

/// A publish that is an error closes the channel at once, and the transaction with it.
#[test]
fn publishes_are_validated_when_they_are_made() {
    let (_world, peer) = world_of_a_transaction();
    peer.publish(1, "", "q", &text(), b"x");
    peer.publish(1, "missing", "", &text(), b"y");
    peer.expect_channel_error(1, 404, "NOT_FOUND - no exchange 'missing' in vhost '/'")
        .for_method(60, 40);
    peer.reopen(1);
    assert_eq!(peer.counts(2, "q"), (0, 0));
}

/// Behaviour B6.4: a return during the commit, before commit-ok.
#[test]
fn returns_come_with_the_commit() {
    let (_world, peer) = world_of_a_transaction();
    peer.publish_mandatory(1, "", "nowhere", b"back");
    peer.publish_mandatory(1, "", "q", b"there");
    peer.expect_nothing();
    peer.send(1, tx::Commit {});
    assert_eq!(peer.expect_return(1).content.text(), "back");
    peer.expect(1, tx::CommitOk {});
    peer.expect_nothing();

    peer.publish_mandatory(1, "", "nowhere", b"never");
    rollback(&peer);
    peer.expect_nothing();
}

/// Three messages in `q`, and three deliveries on channel 1.
fn world_of_deliveries() -> (World, Peer) {
    let (world, peer) = world_of_a_transaction();
    for body in [&b"1"[..], b"2", b"3"] {
        peer.publish(2, "", "q", &text(), body);
    }
    peer.consume(1, "q", "c");
    for tag in 1..=3 {
        assert_eq!(peer.expect_delivery(1).delivery_tag, tag);
    }
    (world, peer)
}

#[test]
fn settlements_happen_at_the_commit() {
    let (_world, peer) = world_of_deliveries();
    peer.ack(1, 1);
    peer.nack(1, 2, true);
    peer.reject(1, 3, false);
    peer.expect_nothing();
    commit(&peer);
    let again = peer.expect_delivery(1);
    assert_eq!((again.text().as_str(), again.redelivered, again.delivery_tag), ("2", true, 4));
    peer.expect_nothing();
    // Uncommitted, the one that is left goes back; the others are gone.
    peer.ack(1, 4);
    peer.close_channel(1);
    assert_eq!(peer.counts(2, "q"), (1, 0));
}

/// Prefetch has room again when the commit says so.
#[test]
fn settlements_make_room_at_the_commit() {
    let (_world, peer) = world_of_a_transaction();
    for body in [&b"1"[..], b"2"] {
        peer.publish(2, "", "q", &text(), body);
    }
    peer.qos(1, 1, false);
    peer.consume(1, "q", "c");
    peer.expect_delivery(1);
    peer.ack(1, 1);
    peer.expect_nothing();
    commit(&peer);
    assert_eq!(peer.expect_delivery(1).text(), "2");
}

/// Settled tags become outstanding again: they can be settled once more, and nothing is redelivered.
#[test]
fn rollback_takes_settlements_back() {
    let (_world, peer) = world_of_deliveries();
    peer.ack(1, 2);
    peer.nack(1, 1, true);
    rollback(&peer);
    peer.expect_nothing();
    peer.ack_until(1, 3);
    commit(&peer);
    peer.close_channel(1);
    assert_eq!(peer.counts(2, "q"), (0, 0));
}

/// A cancelled consumer's deliveries stay with the channel, in a transaction too.
#[test]
fn rollback_outlives_the_consumer() {
    let (_world, peer) = world_of_deliveries();
    peer.ack_until(1, 3);
    peer.cancel(1, "c");
    rollback(&peer);
    peer.consume(1, "q", "other");
    peer.nack(1, 2, true);
    commit(&peer);
    assert_eq!(peer.expect_delivery(1).text(), "2");
    peer.expect_nothing();
}

/// Behaviour B6.12: a tag that an uncommitted settlement used is unknown.
#[test]
fn uncommitted_tags_are_used() {
    for settle in [
        Method::from(basic::Ack { delivery_tag: 2, multiple: false }),
        Method::from(basic::Ack { delivery_tag: 2, multiple: true }),
        Method::from(basic::Nack { delivery_tag: 2, multiple: false, requeue: true }),
        Method::from(basic::Reject { delivery_tag: 2, requeue: true }),
    ] {
        let (_world, peer) = world_of_deliveries();
        let id = settle.id();
        peer.ack(1, 2);
        peer.send(1, settle);
        peer.expect_channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 2")
            .for_method(id.class, id.method);
        assert_eq!(peer.counts(2, "q"), (3, 0));
    }
}

#[test]
fn publishes_come_before_settlements() {
    let (_world, peer) = world_of_deliveries();
    peer.cancel(1, "c");
    peer.nack(1, 1, true);
    peer.publish(1, "", "q", &text(), b"new");
    peer.consume_no_ack(2, "q", "observer");
    commit(&peer);
    assert_eq!(peer.expect_delivery(2).text(), "new");
    assert_eq!(peer.expect_delivery(2).text(), "1");
}

/// A queue that refuses makes the commit fail; what others took stays.
#[test]
fn refused_publish_fails_the_commit() {
    let (_world, peer) = world_of_a_transaction();
    let pairs =
        [("x-max-length", FieldValue::I32(1)), ("x-overflow", FieldValue::from("reject-publish"))];
    peer.declare_with(2, "small", pairs.into_iter().collect::<FieldTable>());
    peer.publish(1, "", "q", &text(), b"x");
    peer.publish(1, "", "small", &text(), b"fits");
    peer.publish(1, "", "small", &text(), b"does not");
    peer.send(1, tx::Commit {});
    peer.expect_channel_error(1, 406, "PRECONDITION_FAILED - partial tx completion")
        .for_method(90, 20);
    assert_eq!((peer.counts(2, "q").0, peer.counts(2, "small").0), (1, 1));
}

/// Commit-ok is a promise: it comes when the store has what is to survive.
#[test]
fn commit_waits_for_the_store() {
    let world = World::held();
    let peer = world.connect();
    peer.open_channel(1);
    peer.send(1, queue::Declare { queue: "d", durable: true, ..Default::default() });
    world.finish_commits(&Ok(()));
    peer.expect(1, queue::DeclareOk { queue: "d", message_count: 0, consumer_count: 0 });
    peer.tx_select(1);

    peer.publish(1, "", "d", &text(), b"transient");
    commit(&peer);

    peer.publish(1, "", "d", &persistent(), b"persistent");
    peer.send(1, tx::Commit {});
    peer.expect_nothing();
    world.sync();
    peer.expect(1, tx::CommitOk {});
    assert_eq!(peer.counts(1, "d"), (2, 0));
}

/// What is only settled must not come back either, once the client was told so.
#[test]
fn commit_of_settlements_alone_waits_for_the_store() {
    let world = World::held();
    let peer = world.open();
    let dead_letters = [
        ("x-dead-letter-exchange", FieldValue::from("")),
        ("x-dead-letter-routing-key", "grave".into()),
    ];
    for (name, arguments) in [
        ("d", FieldTable::new()),
        ("transient", FieldTable::new()),
        ("grave", FieldTable::new()),
        ("dying", dead_letters.into_iter().collect()),
    ] {
        peer.send(
            1,
            queue::Declare { queue: name, durable: true, arguments, ..Default::default() },
        );
        world.finish_commits(&Ok(()));
        peer.expect(1, queue::DeclareOk { queue: name, message_count: 0, consumer_count: 0 });
    }
    peer.tx_select(1);
    let two = |queue: &str, properties: &OwnedProperties| {
        for _ in 0..2 {
            peer.publish(1, "", queue, properties, b"x");
        }
        peer.send(1, tx::Commit {});
        world.sync();
        peer.expect(1, tx::CommitOk {});
        [(); 2].map(|()| peer.get(1, queue).unwrap().delivery_tag)
    };
    let waits = || {
        peer.send(1, tx::Commit {});
        peer.expect_nothing();
        world.sync();
        peer.expect(1, tx::CommitOk {});
    };
    let [first, second] = two("d", &persistent());
    peer.ack(1, first);
    waits();
    peer.reject(1, second, false);
    waits();

    // With a dead letter, which is on the disk then, too.
    let [first, second] = two("dying", &persistent());
    peer.reject(1, first, false);
    peer.nack(1, second, false);
    waits();
    assert_eq!(peer.counts(1, "grave"), (2, 0));

    // Of these the store hears nothing.
    let [first, second] = two("d", &persistent());
    peer.nack(1, first, true);
    commit(&peer);
    peer.publish(1, "", "d", &text(), b"not stored either");
    commit(&peer);
    peer.ack(1, second);
    waits();
    let [first, second] = two("transient", &text());
    peer.ack(1, first);
    peer.reject(1, second, false);
    commit(&peer);
    commit(&peer);
}

/// A crash in the middle may bring a rejected message again; it must not lose it and the publish.
#[test]
fn rejections_are_told_to_the_store_after_the_rest_of_the_transaction() {
    let world = World::held();
    let peer = world.open();
    peer.send(1, queue::Declare { queue: "d", durable: true, ..Default::default() });
    world.finish_commits(&Ok(()));
    peer.expect(1, queue::DeclareOk { queue: "d", message_count: 0, consumer_count: 0 });
    for _ in 0..2 {
        peer.publish(1, "", "d", &persistent(), b"x");
    }
    let [first, second] = [(); 2].map(|()| peer.get(1, "d").unwrap().delivery_tag);
    peer.tx_select(1);
    peer.reject(1, first, false);
    peer.ack(1, second);
    peer.publish(1, "", "d", &persistent(), b"y");
    world.take_records();
    peer.send(1, tx::Commit {});
    let records = world.take_records();
    let (queue, group) = (QueueId(1), 1);
    let run = Run { position: Position(3), number: 2, count: 1 };
    let [first, second] = [Position(1), Position(2)];
    let expected = [
        Record::Enqueue { group, queue, run },
        Record::Settle { group, queue, first: second, last: second },
        Record::EndGroup(group),
        Record::Settle { group: 0, queue, first, last: first },
    ];
    assert_eq!(records, expected);
}

/// Behaviour B9: direct replies too leave at the commit.
#[test]
fn replies_leave_at_the_commit() {
    let (world, peer) = world_of_a_transaction();
    let requester = world.connect();
    requester.open_channel(1);
    requester.consume_no_ack(1, "amq.rabbitmq.reply-to", "replies");
    let reply_to = Some(b"amq.rabbitmq.reply-to".to_vec());
    let properties = OwnedProperties { reply_to, ..text() };
    requester.publish(1, "", "q", &properties, b"ask");
    let name = peer.get(2, "q").expect("the request").content.properties().reply_to.unwrap();
    let reply = basic::Publish { routing_key: &name, ..publish("", "") };
    peer.publish_as(1, reply.clone(), &text(), b"never");
    rollback(&peer);
    peer.publish_as(1, reply, &text(), b"answer");
    requester.expect_nothing();
    commit(&peer);
    assert_eq!(requester.expect_delivery(1).text(), "answer");
    requester.expect_nothing();
}
