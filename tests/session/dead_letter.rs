//! Dead letters, as clients see them (behaviour B8.5 to B8.9, B7.2, B14.14).

// All of this is a test: whatever it stumbles over fails it.

use std::time::Duration;

use leveret::message::Position;
use leveret::protocol::method::{basic, exchange, queue};
use leveret::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};
use leveret::storage::memory::Record;
use leveret::storage::{QueueId, Run};

use crate::support::{Delivery, Peer, World, persistent, text};

/// A table of queue arguments.
fn arguments<const N: usize>(pairs: [(&str, FieldValue); N]) -> FieldTable {
    pairs.into_iter().collect()
}

fn to_exchange(exchange: &str) -> FieldTable {
    arguments([("x-dead-letter-exchange", exchange.into())])
}

/// Through the default exchange into a queue.
fn to_queue(queue: &str) -> FieldTable {
    arguments([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", queue.into())])
}

fn with<const N: usize>(mut table: FieldTable, pairs: [(&str, FieldValue); N]) -> FieldTable {
    pairs.into_iter().for_each(|(key, value)| table.insert(key, value));
    table
}

/// A client on channel 1.
fn connect(world: &World) -> Peer {
    let peer = world.connect();
    peer.open_channel(1);
    peer
}

fn headers(table: FieldTable) -> OwnedProperties {
    OwnedProperties { headers: Some(Headers::from(&table)), ..OwnedProperties::default() }
}

fn keys(keys: &[&str]) -> FieldValue {
    keys.iter().map(|key| FieldValue::from(*key)).collect::<Vec<_>>().into()
}

/// Takes the next message of a queue and rejects it for good.
#[track_caller]
fn reject_from(peer: &Peer, queue: &str) {
    let delivery = peer.get(1, queue).expect("a message to reject");
    peer.nack(1, delivery.delivery_tag, false);
}

#[track_caller]
fn take(peer: &Peer, queue: &str) -> Delivery {
    let delivery = peer.get(1, queue).expect("a message");
    peer.ack(1, delivery.delivery_tag);
    delivery
}

fn table_of(delivery: &Delivery) -> FieldTable {
    let headers = delivery.content.properties().headers.unwrap_or_default();
    headers.reader().try_into().expect("a good table")
}

fn deaths(delivery: &Delivery) -> Vec<FieldTable> {
    match table_of(delivery).get("x-death") {
        Some(FieldValue::Array(events)) => {
            events.iter().map(|event| event.as_table().expect("a table").clone()).collect()
        }
        other => panic!("x-death is {other:?}"),
    }
}

/// The history as (queue, reason, count), newest first.
fn history(delivery: &Delivery) -> Vec<(String, String, i64)> {
    let text = |event: &FieldTable, key: &str| event.get(key).unwrap().as_str().unwrap().to_owned();
    let brief = |event: &FieldTable| {
        (text(event, "queue"), text(event, "reason"), event.get("count").unwrap().as_int().unwrap())
    };
    deaths(delivery).iter().map(brief).collect()
}

#[track_caller]
fn expect_history(delivery: &Delivery, expected: &[(&str, &str, i64)]) {
    let expected: Vec<_> =
        expected.iter().map(|(queue, reason, n)| ((*queue).into(), (*reason).into(), *n)).collect();
    assert_eq!(history(delivery), expected);
}

// B8.5: what is a reason, and what is not.

#[test]
fn rejected_message_is_dead_lettered_and_settled() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_queue("grave"));
    for reject in [Peer::nack, Peer::reject] {
        peer.publish(1, "", "q", &text(), b"unwanted");
        let delivery = peer.get(1, "q").unwrap();
        reject(&peer, 1, delivery.delivery_tag, false);
        let letter = take(&peer, "grave");
        assert_eq!((letter.text(), letter.redelivered), ("unwanted".into(), false));
        expect_history(&letter, &[("q", "rejected", 1)]);
    }
    assert_eq!(peer.counts(1, "q"), (0, 0));
    peer.close_channel(1);
    peer.open_channel(1);
    assert_eq!(peer.counts(1, "q"), (0, 0), "nothing comes back that was rejected");
}

#[test]
fn several_rejected_at_once_keep_their_order() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_queue("grave"));
    peer.consume(1, "q", "c");
    peer.consume_no_ack(1, "grave", "g");
    let mut last = 0;
    for body in [b"1", b"2", b"3"] {
        peer.publish(1, "", "q", &text(), body);
        last = peer.expect_delivery(1).delivery_tag;
    }
    peer.send(1, basic::Nack { delivery_tag: last, multiple: true, requeue: false });
    for body in ["1", "2", "3"] {
        assert_eq!(peer.expect_delivery(1).text(), body);
    }
}

#[test]
fn requeued_message_is_not_dead_lettered() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_queue("grave"));
    peer.publish(1, "", "q", &text(), b"again");
    let delivery = peer.get(1, "q").unwrap();
    peer.nack(1, delivery.delivery_tag, true);
    assert_eq!((peer.counts(1, "q"), peer.counts(1, "grave")), ((1, 0), (0, 0)));
}

#[test]
fn expired_message_is_dead_lettered_in_time() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", with(to_queue("grave"), [("x-message-ttl", 50.into())]));
    peer.consume_no_ack(1, "grave", "g");
    peer.publish(1, "", "q", &text(), b"short life");
    world.advance(Duration::from_millis(49));
    peer.expect_nothing();
    world.advance(Duration::from_millis(1));
    let letter = peer.expect_delivery(1);
    expect_history(&letter, &[("q", "expired", 1)]);
    assert_eq!(letter.text(), "short life");
}

#[test]
fn message_with_no_time_at_all_is_dead_lettered_at_once() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", with(to_queue("grave"), [("x-message-ttl", 0.into())]));
    peer.publish(1, "", "q", &text(), b"no time");
    expect_history(&take(&peer, "grave"), &[("q", "expired", 1)]);
}

#[test]
fn head_of_a_full_queue_is_dead_lettered() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", with(to_queue("grave"), [("x-max-length", 1.into())]));
    peer.publish(1, "", "q", &text(), b"old");
    peer.publish(1, "", "q", &text(), b"new");
    let letter = take(&peer, "grave");
    assert_eq!(letter.text(), "old");
    expect_history(&letter, &[("q", "maxlen", 1)]);
    assert_eq!(take(&peer, "q").text(), "new");
}

#[test]
fn reject_publish_dlx_refuses_and_dead_letters_the_new_message() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    let full = [("x-max-length", 1.into()), ("x-overflow", "reject-publish-dlx".into())];
    peer.declare_with(1, "q", with(to_queue("grave"), full));
    peer.confirm_select(1);
    peer.publish(1, "", "q", &text(), b"old");
    peer.expect_confirm(1, 1, false);
    peer.publish(1, "", "q", &text(), b"new");
    peer.expect(1, basic::Nack { delivery_tag: 2, multiple: false, requeue: false });
    let letter = take(&peer, "grave");
    assert_eq!(letter.text(), "new");
    expect_history(&letter, &[("q", "maxlen", 1)]);
}

#[test]
fn plain_reject_publish_loses_the_new_message() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    let full = [("x-max-length", 0.into()), ("x-overflow", "reject-publish".into())];
    peer.declare_with(1, "q", with(to_queue("grave"), full));
    peer.publish(1, "", "q", &text(), b"new");
    assert_eq!(peer.counts(1, "grave"), (0, 0));
}

#[test]
fn purge_and_delete_and_the_end_of_an_auto_delete_queue_bury_nobody() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_queue("grave"));
    peer.publish(1, "", "q", &text(), b"purged");
    peer.send(1, queue::Purge { queue: "q", nowait: false });
    peer.expect(1, queue::PurgeOk { message_count: 1 });
    peer.publish(1, "", "q", &text(), b"deleted");
    peer.send(1, queue::Delete { queue: "q", ..queue::Delete::default() });
    peer.expect(1, queue::DeleteOk { message_count: 1 });

    let arguments = to_queue("grave");
    let auto_delete = true;
    peer.declare_as(1, queue::Declare { queue: "a", auto_delete, arguments, ..Default::default() });
    peer.qos(1, 1, false);
    peer.consume(1, "a", "c");
    peer.publish(1, "", "a", &text(), b"delivered");
    peer.publish(1, "", "a", &text(), b"waiting");
    let held = peer.expect_delivery(1);
    peer.cancel(1, "c");
    peer.nack(1, held.delivery_tag, false);
    assert_eq!(peer.counts(1, "grave"), (0, 0));
}

#[test]
fn rolled_back_rejection_buries_nobody_and_a_committed_one_does() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_queue("grave"));
    peer.publish(1, "", "q", &text(), b"in doubt");
    peer.tx_select(1);
    let delivery = peer.get(1, "q").unwrap();
    peer.nack(1, delivery.delivery_tag, false);
    peer.send(1, leveret::protocol::method::tx::Rollback {});
    peer.expect(1, leveret::protocol::method::tx::RollbackOk {});
    assert_eq!(peer.counts(1, "grave"), (0, 0));
    peer.nack(1, delivery.delivery_tag, false);
    assert_eq!(peer.counts(1, "grave"), (0, 0), "not yet");
    peer.send(1, leveret::protocol::method::tx::Commit {});
    peer.expect(1, leveret::protocol::method::tx::CommitOk {});
    assert_eq!(peer.counts(1, "grave"), (1, 0));
}

#[test]
fn rejection_after_the_queue_is_gone_buries_nobody() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_queue("grave"));
    peer.publish(1, "", "q", &text(), b"orphan");
    let delivery = peer.get(1, "q").unwrap();
    peer.send(1, queue::Delete { queue: "q", ..queue::Delete::default() });
    peer.expect(1, queue::DeleteOk { message_count: 0 });
    peer.nack(1, delivery.delivery_tag, false);
    assert_eq!(peer.counts(1, "grave"), (0, 0));
}

// B8.6: where a dead letter goes.

#[test]
fn dead_letter_keeps_its_routing_key_and_properties() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "dlx", "topic");
    peer.declare(1, "grave");
    peer.bind(1, "grave", "dlx", "*.b");
    peer.declare(1, "other");
    peer.bind(1, "other", "dlx", "q");
    peer.declare_exchange(1, "logs", "topic");
    peer.declare_with(1, "q", to_exchange("dlx"));
    peer.bind(1, "q", "logs", "#");
    let properties = OwnedProperties {
        content_type: Some(b"text/plain".to_vec()),
        priority: Some(7),
        message_id: Some(b"m-1".to_vec()),
        timestamp: Some(12),
        ..persistent()
    };
    peer.publish(1, "logs", "a.b", &properties, &[7; 20_000]);
    reject_from(&peer, "q");
    let letter = take(&peer, "grave");
    assert_eq!((letter.exchange.as_str(), letter.routing_key.as_str()), ("dlx", "a.b"));
    assert_eq!(letter.content.body, [7; 20_000], "a body that is shared, not copied");
    let found = OwnedProperties { headers: None, ..letter.content.properties() };
    assert_eq!(found, properties);
    assert_eq!(peer.counts(1, "other"), (0, 0));
}

#[test]
fn dead_letter_routing_key_replaces_all_keys() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "dlx", "direct");
    for name in ["new", "q", "cc", "bcc"] {
        peer.declare(1, &format!("grave.{name}"));
        peer.bind(1, &format!("grave.{name}"), "dlx", name);
    }
    let key = [("x-dead-letter-routing-key", "new".into())];
    peer.declare_with(1, "q", with(to_exchange("dlx"), key));
    let copies = arguments([("CC", keys(&["cc"])), ("BCC", keys(&["bcc"]))]);
    peer.publish(1, "", "q", &headers(copies), b"x");
    reject_from(&peer, "q");
    for name in ["q", "cc", "bcc"] {
        assert_eq!(peer.counts(1, &format!("grave.{name}")), (0, 0), "{name}");
    }
    let letter = take(&peer, "grave.new");
    assert_eq!(letter.routing_key, "new");
    // B14.13: the header stays, as later versions have it.
    assert_eq!(table_of(&letter).get("CC"), Some(&keys(&["cc"])));
    assert_eq!(table_of(&letter).get("BCC"), None);
}

#[test]
fn replaced_keys_stay_replaced_at_the_next_death() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "dlx", "direct");
    peer.declare(1, "grave.cc");
    peer.bind(1, "grave.cc", "dlx", "cc");
    peer.declare(1, "grave.second");
    peer.bind(1, "grave.second", "dlx", "second");
    peer.declare_with(1, "q", to_queue("second"));
    peer.declare_with(1, "second", to_exchange("dlx"));
    peer.publish(1, "", "q", &headers(arguments([("CC", keys(&["cc"]))])), b"x");
    reject_from(&peer, "q");
    reject_from(&peer, "second");
    assert_eq!(peer.counts(1, "grave.cc"), (0, 0));
    let letter = take(&peer, "grave.second");
    assert_eq!(deaths(&letter)[0].get("routing-keys"), Some(&keys(&["second"])));
    assert_eq!(deaths(&letter)[1].get("routing-keys"), Some(&keys(&["q", "cc"])));
}

#[test]
fn original_keys_include_cc_and_bcc() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "dlx", "direct");
    for name in ["q", "cc", "bcc"] {
        peer.declare(1, &format!("grave.{name}"));
        peer.bind(1, &format!("grave.{name}"), "dlx", name);
    }
    peer.declare_with(1, "q", to_exchange("dlx"));
    let copies = arguments([("CC", keys(&["cc"])), ("BCC", keys(&["bcc"]))]);
    peer.publish(1, "", "q", &headers(copies), b"x");
    reject_from(&peer, "q");
    for name in ["q", "cc", "bcc"] {
        let letter = take(&peer, &format!("grave.{name}"));
        assert_eq!(letter.routing_key, "q");
        assert_eq!(table_of(&letter).get("BCC"), None);
        assert_eq!(deaths(&letter)[0].get("routing-keys"), Some(&keys(&["q", "cc"])));
    }
}

#[test]
fn dead_letter_without_a_way_is_dropped_silently() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "dlx", "direct");
    peer.confirm_select(1);
    for (number, exchange) in [(1, "missing"), (2, "dlx")] {
        let queue = format!("q.{exchange}");
        let ttl = [("x-message-ttl", 0.into())];
        peer.declare_with(1, &queue, with(to_exchange(exchange), ttl));
        peer.publish_mandatory(1, "", &queue, b"x");
        // B7.2: it arrived, and what became of it there is not the publisher's business.
        peer.expect_confirm(1, number, false);
        assert_eq!(peer.counts(1, &queue), (0, 0));
    }
}

#[test]
fn dead_letter_exchange_may_come_later() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_exchange("dlx"));
    peer.publish(1, "", "q", &text(), b"lost");
    reject_from(&peer, "q");
    peer.declare_exchange(1, "dlx", "fanout");
    peer.bind(1, "grave", "dlx", "");
    peer.publish(1, "", "q", &text(), b"kept");
    reject_from(&peer, "q");
    assert_eq!(take(&peer, "grave").text(), "kept");
    assert_eq!(peer.get(1, "grave"), None);
}

#[test]
fn dead_letter_exchange_may_be_internal_and_have_an_alternate() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "rest", "fanout");
    let declare = exchange::Declare {
        exchange: "dlx",
        kind: "direct",
        internal: true,
        arguments: arguments([("alternate-exchange", "rest".into())]),
        ..exchange::Declare::default()
    };
    peer.send(1, declare);
    peer.expect(1, exchange::DeclareOk {});
    peer.declare(1, "known");
    peer.bind(1, "known", "dlx", "known");
    peer.declare(1, "unknown");
    peer.bind(1, "unknown", "rest", "");
    peer.declare_with(1, "q", to_exchange("dlx"));
    peer.declare_exchange(1, "in", "fanout");
    peer.bind(1, "q", "in", "");
    for key in ["known", "something"] {
        peer.publish(1, "in", key, &text(), key.as_bytes());
        reject_from(&peer, "q");
    }
    assert_eq!(take(&peer, "known").text(), "known");
    let letter = take(&peer, "unknown");
    assert_eq!((letter.text().as_str(), letter.exchange.as_str()), ("something", "dlx"));
    assert_eq!((peer.counts(1, "known"), peer.counts(1, "unknown")), ((0, 0), (0, 0)));
}

#[test]
fn headers_exchange_routes_dead_letters_one_by_one() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "dlx", "headers");
    for color in ["red", "blue"] {
        peer.declare(1, color);
        let arguments = arguments([("color", color.into())]);
        let (queue, exchange) = (color, "dlx");
        peer.send(1, queue::Bind { queue, exchange, arguments, ..Default::default() });
        peer.expect(1, queue::BindOk {});
    }
    peer.declare_with(1, "q", with(to_exchange("dlx"), [("x-message-ttl", 10.into())]));
    for color in ["red", "blue", "red", "green"] {
        peer.publish(1, "", "q", &headers(arguments([("color", color.into())])), b"x");
    }
    // All four die in one look, with one routing key.
    world.advance(Duration::from_millis(10));
    assert_eq!((peer.counts(1, "red"), peer.counts(1, "blue")), ((2, 0), (1, 0)));
}

#[test]
fn letters_with_different_keys_go_different_ways() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "in", "fanout");
    peer.declare_exchange(1, "dlx", "direct");
    peer.declare_with(1, "q", with(to_exchange("dlx"), [("x-message-ttl", 10.into())]));
    peer.bind(1, "q", "in", "");
    for key in ["a", "b"] {
        peer.declare(1, key);
        peer.bind(1, key, "dlx", key);
    }
    for key in ["a", "a", "b", "a", "c"] {
        peer.publish(1, "in", key, &text(), b"x");
    }
    let copied = headers(arguments([("CC", keys(&["b"]))]));
    peer.publish(1, "in", "a", &copied, b"both");
    peer.publish(1, "in", "a", &text(), b"x");
    world.advance(Duration::from_millis(10));
    assert_eq!((peer.counts(1, "a"), peer.counts(1, "b")), ((5, 0), (2, 0)));
}

#[test]
fn dead_letter_to_a_full_rejecting_queue_is_lost() {
    let world = World::new();
    let peer = connect(&world);
    let full = [("x-max-length", 0.into()), ("x-overflow", "reject-publish".into())];
    peer.declare_with(1, "grave", arguments(full));
    peer.declare_with(1, "q", with(to_queue("grave"), [("x-max-length", 0.into())]));
    peer.confirm_select(1);
    peer.publish(1, "", "q", &text(), b"x");
    peer.expect_confirm(1, 1, false);
    assert_eq!((peer.counts(1, "q"), peer.counts(1, "grave")), ((0, 0), (0, 0)));
}

#[test]
fn dead_letters_push_others_out_of_the_next_queue() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "last");
    for (name, next) in [("third", "last"), ("second", "third"), ("first", "second")] {
        peer.declare_with(1, name, with(to_queue(next), [("x-max-length", 1.into())]));
    }
    for body in [b"1", b"2", b"3", b"4", b"5"] {
        peer.publish(1, "", "first", &text(), body);
    }
    for (name, body) in [("first", "5"), ("second", "4"), ("third", "3"), ("last", "1")] {
        assert_eq!(take(&peer, name).text(), body);
    }
    let letter = take(&peer, "last");
    let maxlen = |queue| (queue, "maxlen", 1);
    expect_history(&letter, &[maxlen("third"), maxlen("second"), maxlen("first")]);
}

#[test]
fn persistent_dead_letter_moves_in_the_store_as_one() {
    let world = World::held();
    let peer = connect(&world);
    let declare = |name: &'static str, arguments: FieldTable| {
        peer.send(
            1,
            queue::Declare { queue: name, durable: true, arguments, ..Default::default() },
        );
        world.finish_commits(&Ok(()));
        peer.expect(1, queue::DeclareOk { queue: name, message_count: 0, consumer_count: 0 });
    };
    declare("grave", FieldTable::new());
    declare("q", with(to_queue("grave"), [("x-max-length", 0.into())]));
    let (grave, q) = (QueueId(1), QueueId(2));
    peer.confirm_select(1);
    peer.publish(1, "", "q", &persistent(), b"x");
    // Confirmed for the queue it was published to; the dead letter is nobody's confirm.
    peer.expect_nothing();
    let first = Position(1);
    let run = |number| Run { position: first, number, count: 1 };
    let expected = [
        Record::Enqueue { group: 0, queue: q, run: run(0) },
        Record::Enqueue { group: 1, queue: grave, run: run(1) },
        Record::Settle { group: 1, queue: q, first, last: first },
        Record::EndGroup(1),
    ];
    assert_eq!(world.take_records(), expected);
    world.sync();
    peer.expect_confirm(1, 1, false);
    assert_eq!(peer.counts(1, "grave"), (1, 0));
}

#[test]
fn store_forgets_what_dies_without_a_way() {
    let world = World::held();
    let peer = connect(&world);
    let arguments = with(to_exchange("missing"), [("x-message-ttl", 10.into())]);
    peer.send(1, queue::Declare { queue: "q", durable: true, arguments, ..Default::default() });
    world.finish_commits(&Ok(()));
    peer.expect(1, queue::DeclareOk { queue: "q", message_count: 0, consumer_count: 0 });
    peer.publish(1, "", "q", &persistent(), b"x");
    world.take_records();
    world.advance(Duration::from_millis(10));
    let first = Position(1);
    let settle = Record::Settle { group: 1, queue: QueueId(1), first, last: first };
    assert_eq!(world.take_records(), [settle, Record::EndGroup(1)]);
}

// B8.7: what it says in the headers.

#[test]
fn death_is_written_into_the_headers() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_exchange(1, "in", "fanout");
    peer.declare_with(1, "q", to_queue("grave"));
    peer.bind(1, "q", "in", "");
    let properties = OwnedProperties {
        expiration: Some(b"60000".to_vec()),
        ..headers(arguments([("mine", 5.into())]))
    };
    peer.publish(1, "in", "key", &properties, b"x");
    reject_from(&peer, "q");
    let letter = take(&peer, "grave");
    assert_eq!(letter.content.properties().expiration, None, "it must not expire again");
    let table = table_of(&letter);
    let expected = arguments([
        ("count", FieldValue::I64(1)),
        ("reason", "rejected".into()),
        ("queue", "q".into()),
        ("time", FieldValue::Timestamp(world.now().unix_seconds())),
        ("exchange", "in".into()),
        ("routing-keys", keys(&["key"])),
        ("original-expiration", "60000".into()),
    ]);
    assert_eq!(deaths(&letter), [expected]);
    for (name, value) in [
        ("mine", FieldValue::from(5)),
        ("x-first-death-reason", "rejected".into()),
        ("x-first-death-queue", "q".into()),
        ("x-first-death-exchange", "in".into()),
        ("x-last-death-reason", "rejected".into()),
        ("x-last-death-queue", "q".into()),
        ("x-last-death-exchange", "in".into()),
    ] {
        assert_eq!(table.get(name), Some(&value), "{name}");
    }
    assert_eq!(table.len(), 8);
}

#[test]
fn expired_letter_does_not_expire_again() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_queue("grave"));
    let brief = OwnedProperties { expiration: Some(b"20".to_vec()), ..text() };
    peer.publish(1, "", "q", &brief, b"x");
    world.advance(Duration::from_secs(3600));
    let letter = take(&peer, "grave");
    assert_eq!(deaths(&letter)[0].get("original-expiration"), Some(&"20".into()));
    assert_eq!(letter.content.properties().expiration, None);
}

#[test]
fn second_death_of_a_kind_raises_its_count_and_moves_it_to_the_front() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "a", to_queue("b"));
    peer.declare_with(1, "b", to_queue("a"));
    peer.publish(1, "", "a", &text(), b"x");
    let first_time = world.now().unix_seconds();
    reject_from(&peer, "a");
    world.advance(Duration::from_secs(100));
    reject_from(&peer, "b");
    world.advance(Duration::from_secs(100));
    reject_from(&peer, "a");
    let letter = take(&peer, "b");
    expect_history(&letter, &[("a", "rejected", 2), ("b", "rejected", 1)]);
    let newest = &deaths(&letter)[0];
    assert_eq!(newest.get("time"), Some(&FieldValue::Timestamp(first_time)), "the first time");
    let table = table_of(&letter);
    assert_eq!(table.get("x-first-death-queue"), Some(&"a".into()));
    assert_eq!(table.get("x-last-death-queue"), Some(&"a".into()));
}

#[test]
fn last_death_is_the_newest_and_first_death_stays() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "b", with(to_queue("grave"), [("x-message-ttl", 5.into())]));
    peer.declare_with(1, "a", to_queue("b"));
    peer.publish(1, "", "a", &text(), b"x");
    reject_from(&peer, "a");
    world.advance(Duration::from_millis(5));
    let letter = take(&peer, "grave");
    expect_history(&letter, &[("b", "expired", 1), ("a", "rejected", 1)]);
    let table = table_of(&letter);
    assert_eq!(table.get("x-first-death-reason"), Some(&"rejected".into()));
    assert_eq!(table.get("x-last-death-reason"), Some(&"expired".into()));
    assert_eq!(table.get("x-last-death-queue"), Some(&"b".into()));
}

#[test]
fn history_that_a_client_sends_is_continued() {
    // B14.14: consumers that publish a message again with its headers count on the count.
    let world = World::new();
    let peer = connect(&world);
    peer.declare(1, "grave");
    peer.declare_with(1, "q", to_queue("grave"));
    peer.publish(1, "", "q", &text(), b"x");
    for count in 1..=3 {
        reject_from(&peer, "q");
        let letter = take(&peer, "grave");
        expect_history(&letter, &[("q", "rejected", count)]);
        peer.publish(1, "", "q", &letter.content.properties(), b"x");
    }
}

// B8.8: going round.

#[test]
fn message_that_expires_in_a_circle_is_dropped() {
    let world = World::new();
    let peer = connect(&world);
    let ttl = || [("x-message-ttl", 10.into())];
    peer.declare_with(1, "self", with(to_queue("self"), ttl()));
    peer.declare_with(1, "a", with(to_queue("b"), ttl()));
    peer.declare_with(1, "b", with(to_queue("a"), ttl()));
    peer.publish(1, "", "self", &text(), b"x");
    peer.publish(1, "", "a", &text(), b"x");
    world.advance(Duration::from_millis(10));
    assert_eq!(peer.counts(1, "self"), (0, 0), "on the first return");
    assert_eq!((peer.counts(1, "a"), peer.counts(1, "b")), ((0, 0), (1, 0)));
    world.advance(Duration::from_millis(10));
    assert_eq!((peer.counts(1, "a"), peer.counts(1, "b")), ((0, 0), (0, 0)));
}

#[test]
fn only_the_target_in_the_circle_is_skipped() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_exchange(1, "dlx", "fanout");
    peer.declare_with(1, "q", with(to_exchange("dlx"), [("x-message-ttl", 10.into())]));
    peer.declare(1, "grave");
    peer.bind(1, "q", "dlx", "");
    peer.bind(1, "grave", "dlx", "");
    peer.publish(1, "", "q", &text(), b"x");
    world.advance(Duration::from_millis(10));
    assert_eq!((peer.counts(1, "q"), peer.counts(1, "grave")), ((0, 0), (1, 0)));
}

#[test]
fn rejection_in_the_circle_keeps_it_going() {
    // The usual way to retry after a while.
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "work", to_queue("wait"));
    peer.declare_with(1, "wait", with(to_queue("work"), [("x-message-ttl", 100.into())]));
    peer.publish(1, "", "work", &text(), b"x");
    for round in 1..=5 {
        reject_from(&peer, "work");
        assert_eq!(peer.get(1, "work"), None);
        world.advance(Duration::from_millis(100));
        let delivery = peer.get(1, "work").unwrap();
        expect_history(&delivery, &[("wait", "expired", round), ("work", "rejected", round)]);
        peer.nack(1, delivery.delivery_tag, true);
    }
}

#[test]
fn rejection_before_the_circle_does_not_keep_it_going() {
    let world = World::new();
    let peer = connect(&world);
    let ttl = || [("x-message-ttl", 10.into())];
    peer.declare_with(1, "start", to_queue("a"));
    peer.declare_with(1, "a", with(to_queue("b"), ttl()));
    peer.declare_with(1, "b", with(to_queue("a"), ttl()));
    peer.publish(1, "", "start", &text(), b"x");
    reject_from(&peer, "start");
    world.advance(Duration::from_millis(30));
    assert_eq!((peer.counts(1, "a"), peer.counts(1, "b")), ((0, 0), (0, 0)));
}

#[test]
fn overflow_in_a_circle_ends() {
    let world = World::new();
    let peer = connect(&world);
    for (name, next) in [("a", "b"), ("b", "a")] {
        peer.declare_with(1, name, with(to_queue(next), [("x-max-length", 0.into())]));
    }
    peer.confirm_select(1);
    peer.publish(1, "", "a", &text(), b"x");
    peer.expect_confirm(1, 1, false);
    assert_eq!((peer.counts(1, "a"), peer.counts(1, "b")), ((0, 0), (0, 0)));
}

// B5.1, B5.6: the arguments.

#[test]
fn arguments_are_checked() {
    let world = World::new();
    let peer = connect(&world);
    for (arguments, text) in [
        (
            arguments([("x-dead-letter-exchange", 5.into())]),
            "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
        ),
        (
            arguments([("x-dead-letter-routing-key", "k".into())]),
            "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': \
             routing_key_but_no_dlx_defined",
        ),
        (
            with(to_exchange("dlx"), [("x-dead-letter-strategy", "at-least-once".into())]),
            "invalid arg 'x-dead-letter-strategy' for queue 'q' in vhost '/' of queue type \
             rabbit_classic_queue",
        ),
    ] {
        peer.send(1, queue::Declare { queue: "q", arguments, ..queue::Declare::default() });
        peer.expect_channel_error(1, 406, &format!("PRECONDITION_FAILED - {text}"))
            .for_method(50, 10);
        peer.reopen(1);
    }
}

#[test]
fn redeclare_compares_the_arguments() {
    let world = World::new();
    let peer = connect(&world);
    peer.declare_with(1, "q", to_exchange("dlx"));
    peer.declare_with(1, "q", to_exchange("dlx"));
    let arguments = to_exchange("other");
    peer.send(1, queue::Declare { queue: "q", arguments, ..queue::Declare::default() });
    let text = "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'q' in \
                vhost '/': received 'other' but current is 'dlx'";
    peer.expect_channel_error(1, 406, text).for_method(50, 10);
}
