//! Dead letters that have to arrive (behaviour B13.7): none is lost, none comes twice.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{Limits, Policy, PolicyScope};
use leveret::protocol::method::exchange;
use leveret::protocol::method::queue::{Declare, Delete, DeleteOk, Purge, PurgeOk};
use leveret::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};
use leveret::queue::{Budget, ConnectionId, Effects, Queue, Reason};
use leveret::storage::memory::Record;
use leveret::storage::{Change, DefinitionStore, QueueRecord, RedbDefinitions};

use crate::support::{Delivery, Peer, World, persistent, text};

type Pair = (&'static str, FieldValue);

const MINUTE: Duration = Duration::from_secs(60);

/// A quorum queue whose dead letters have to get to `exchange`.
fn source<'a>(name: &'a str, exchange: &str, more: &[Pair]) -> Declare<'a> {
    let certain = [
        ("x-queue-type", FieldValue::from("quorum")),
        ("x-dead-letter-exchange", exchange.into()),
        ("x-dead-letter-strategy", "at-least-once".into()),
        ("x-overflow", "reject-publish".into()),
    ];
    let arguments = certain.into_iter().chain(more.iter().cloned()).collect();
    Declare { queue: name, durable: true, arguments, ..Declare::default() }
}

/// The same with a queue to go to.
fn to_queue<'a>(name: &'a str, target: &str, more: &[Pair]) -> Declare<'a> {
    let key = ("x-dead-letter-routing-key", FieldValue::from(target));
    source(name, "", &[more, &[key]].concat())
}

fn refusing(name: &str, length: i64) -> Declare<'_> {
    let arguments =
        [("x-max-length", FieldValue::from(length)), ("x-overflow", "reject-publish".into())];
    let arguments = arguments.into_iter().collect();
    Declare { queue: name, durable: true, arguments, ..Declare::default() }
}

fn found(world: &World, name: &str) -> Arc<Queue> {
    world.broker.vhost("/").unwrap().queue(name, ConnectionId(0)).unwrap()
}

/// How many dead letters wait.
fn waiting(world: &World, name: &str) -> usize {
    found(world, name).counts(world.now(), &mut Effects::default()).dead_letters
}

/// Publishes them, gets them, and rejects them one by one.
fn reject(peer: &Peer, queue: &str, bodies: &[&str]) {
    for body in bodies {
        peer.publish(1, "", queue, &persistent(), body.as_bytes());
        let tag = peer.get(1, queue).unwrap().delivery_tag;
        peer.reject(1, tag, false);
    }
}

/// Takes and acknowledges one message after another.
fn take_all(peer: &Peer, queue: &str) -> Vec<String> {
    let one = || {
        let delivery = peer.get(1, queue)?;
        peer.ack(1, delivery.delivery_tag);
        Some(delivery.text())
    };
    std::iter::from_fn(one).collect()
}

fn headers(delivery: &Delivery) -> FieldTable {
    let headers = delivery.content.properties().headers.expect("headers");
    headers.reader().try_into().unwrap()
}

/// Queue and reason of its one death, and the exchange that it was sent to first.
#[track_caller]
fn expect_death(delivery: &Delivery, queue: &str, reason: &str) {
    let headers = headers(delivery);
    let Some(FieldValue::Array(deaths)) = headers.get("x-death") else { panic!("{headers:?}") };
    let [FieldValue::Table(death)] = &deaths[..] else { panic!("{deaths:?}") };
    assert_eq!(death.get("queue"), Some(&queue.into()));
    assert_eq!(death.get("reason"), Some(&reason.into()));
    assert_eq!(death.get("count"), Some(&FieldValue::I64(1)));
    assert_eq!(headers.get("x-first-death-reason"), Some(&reason.into()));
    assert_eq!(headers.get("x-leveret-delivered-to"), None);
}

fn put_policy(world: &World, definition: &[Pair]) {
    let terms = FieldTable::from_iter([
        ("pattern", FieldValue::from("^q$")),
        ("definition", FieldValue::Table(definition.iter().cloned().collect())),
    ]);
    let policy = Policy::parse(PolicyScope::User, "p", &terms).unwrap();
    let vhost = world.broker.vhost("/").unwrap();
    vhost.put_policy(policy, world.now(), &mut Effects::default(), &|| Box::new(|_| {}));
    world.advance(Duration::ZERO);
}

// What keeps a letter, and what lets it go.

#[test]
fn letter_without_a_way_waits_until_there_is_one() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, source("q", "dlx", &[("x-message-ttl", 10.into())]));
    peer.declare(1, "grave");
    peer.publish(1, "", "q", &text(), b"1");
    world.advance(Duration::from_millis(10));
    peer.publish(1, "", "q", &text(), b"2");
    world.advance(Duration::from_millis(10));
    assert_eq!((waiting(&world, "q"), peer.counts(1, "q").0), (2, 0));
    peer.declare_exchange(1, "dlx", "direct");
    assert_eq!(waiting(&world, "q"), 2, "it is bound to nothing");
    assert_eq!(world.broker.next_deadline(), world.now() + 3 * MINUTE, "then it is tried anyway");
    world.advance(10 * MINUTE);
    assert_eq!(waiting(&world, "q"), 2);
    peer.bind(1, "grave", "dlx", "q");
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (0, 2));
    let first = peer.get(1, "grave").unwrap();
    assert_eq!((first.text(), &*first.exchange, &*first.routing_key), ("1".into(), "dlx", "q"));
    expect_death(&first, "q", "expired");
    assert_eq!(take_all(&peer, "grave"), ["2"]);
}

#[test]
fn time_of_death_stays_however_long_the_letter_waits() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, to_queue("q", "grave", &[]));
    reject(&peer, "q", &["x"]);
    let died = world.now();
    world.advance(30 * MINUTE);
    peer.declare(1, "grave");
    let headers = headers(&peer.get(1, "grave").unwrap());
    let Some(FieldValue::Array(deaths)) = headers.get("x-death") else { panic!("{headers:?}") };
    let time = deaths[0].as_table().and_then(|death| death.get("time"));
    assert_eq!(time, Some(&FieldValue::Timestamp(died.unix_seconds())));
}

#[test]
fn letters_that_a_full_queue_refuses_come_in_order_when_it_has_room() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, refusing("grave", 2));
    peer.declare_as(1, to_queue("q", "grave", &[]));
    reject(&peer, "q", &["1", "2", "3", "4", "5", "6"]);
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (4, 2));
    // Whatever takes a message out makes room for the next one.
    let got = peer.get(1, "grave").unwrap();
    assert_eq!((got.text(), waiting(&world, "q")), ("1".into(), 3));
    expect_death(&got, "q", "rejected");
    peer.ack(1, got.delivery_tag);
    peer.consume_no_ack(1, "grave", "c");
    let others = peer.expect_texts(1, &["2", "3", "4", "5", "6"]);
    others.iter().for_each(|other| expect_death(other, "q", "rejected"));
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave")), (0, (0, 1)));
}

#[test]
fn purge_and_deletion_and_a_higher_limit_of_the_full_queue_make_room() {
    type Maker = dyn Fn(&World, &Peer);
    let makers: [&Maker; 3] = [
        &|_, peer| {
            peer.call(1, Purge { queue: "q", nowait: false }, PurgeOk { message_count: 1 });
        },
        &|_, peer| {
            peer.call(1, Delete { queue: "q", ..Delete::default() }, DeleteOk { message_count: 1 });
            peer.declare(1, "q");
        },
        &|world, _| put_policy(world, &[("overflow", "drop-head".into())]),
    ];
    for (index, make_room) in makers.iter().enumerate() {
        let world = World::new();
        let peer = world.open();
        let full = [("x-max-length", FieldValue::from(1))];
        let arguments = full.into_iter().collect();
        peer.declare_as(1, Declare { queue: "q", arguments, ..Declare::default() });
        put_policy(&world, &[("overflow", "reject-publish".into())]);
        peer.declare_as(1, to_queue("source", "q", &[]));
        peer.publish(1, "", "q", &text(), b"before");
        reject(&peer, "source", &["x"]);
        assert_eq!((waiting(&world, "source"), peer.counts(1, "q").0), (1, 1), "{index}");
        make_room(&world, &peer);
        world.advance(Duration::ZERO);
        assert_eq!((waiting(&world, "source"), take_all(&peer, "q")), (0, vec!["x".into()]));
    }
}

#[test]
fn limit_in_bytes_lets_in_what_fits() {
    let world = World::new();
    let peer = world.open();
    let limits =
        [("x-max-length-bytes", FieldValue::from(10)), ("x-overflow", "reject-publish".into())];
    let arguments = limits.into_iter().collect();
    peer.declare_as(1, Declare { queue: "grave", arguments, ..Declare::default() });
    peer.declare_as(1, to_queue("q", "grave", &[]));
    reject(&peer, "q", &["123", "4567", "89012345", "6"]);
    // The last one would fit, and does not pass the one before it.
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (2, 2));
    let got = peer.get(1, "grave").unwrap();
    assert_eq!((got.text(), waiting(&world, "q")), ("123".into(), 2), "six bytes are not enough");
    assert_eq!(peer.get(1, "grave").unwrap().text(), "4567");
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (0, 2));
    assert_eq!(take_all(&peer, "grave"), ["89012345", "6"]);
}

#[test]
fn every_reason_of_a_quorum_queue_is_kept() {
    let world = World::new();
    let peer = world.open();
    let more = [("x-delivery-limit", FieldValue::from(0)), ("x-message-ttl", 1000.into())];
    peer.declare_as(1, to_queue("q", "grave", &more));
    for body in [&b"rejected"[..], b"delivery_limit", b"expired"] {
        peer.publish(1, "", "q", &text(), body);
    }
    let tags = [(); 2].map(|()| peer.get(1, "q").unwrap().delivery_tag);
    peer.reject(1, tags[0], false);
    peer.reject(1, tags[1], true);
    world.advance(Duration::from_secs(1));
    assert_eq!(waiting(&world, "q"), 3);
    peer.declare(1, "grave");
    for reason in ["rejected", "delivery_limit", "expired"] {
        let letter = peer.get(1, "grave").unwrap();
        assert_eq!(letter.text(), reason);
        expect_death(&letter, "q", reason);
    }
}

// Several queues.

#[test]
fn who_has_got_a_letter_does_not_get_it_again() {
    let world = World::new();
    let peer = world.open();
    peer.declare_exchange(1, "dlx", "fanout");
    peer.declare(1, "open");
    peer.declare_as(1, refusing("full", 1));
    peer.declare_as(1, refusing("fuller", 0));
    for queue in ["open", "full", "fuller"] {
        peer.bind(1, queue, "dlx", "");
    }
    peer.declare_as(1, source("q", "dlx", &[]));
    reject(&peer, "q", &["1", "2", "3"]);
    // From the second one on they pass through the queue behind.
    assert_eq!(waiting(&world, "q"), 3);
    assert_eq!((peer.counts(1, "open").0, peer.counts(1, "full").0), (3, 1));
    assert_eq!(take_all(&peer, "full"), ["1", "2", "3"]);
    world.advance(10 * MINUTE);
    assert_eq!(waiting(&world, "q"), 3, "one is missing");
    // It need not get them any more: those who were routed to have them.
    peer.call(1, Delete { queue: "fuller", ..Delete::default() }, DeleteOk { message_count: 0 });
    assert_eq!((waiting(&world, "q"), peer.counts(1, "full").0), (0, 0));
    let letters: Vec<Delivery> = std::iter::from_fn(|| peer.get(1, "open")).collect();
    assert_eq!(letters.iter().map(Delivery::text).collect::<Vec<_>>(), ["1", "2", "3"]);
    letters.iter().for_each(|letter| expect_death(letter, "q", "rejected"));
}

#[test]
fn queue_that_would_dead_letter_what_it_refuses_waits_too() {
    let world = World::new();
    let peer = world.open();
    let dlx = [
        ("x-max-length", FieldValue::from(1)),
        ("x-overflow", "reject-publish-dlx".into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", "after".into()),
    ];
    let arguments = dlx.into_iter().collect();
    peer.declare_as(1, Declare { queue: "grave", arguments, ..Declare::default() });
    peer.declare(1, "after");
    peer.declare_as(1, to_queue("q", "grave", &[]));
    reject(&peer, "q", &["1", "2"]);
    assert_eq!((waiting(&world, "q"), peer.counts(1, "after").0), (1, 0));
    assert_eq!(take_all(&peer, "grave"), ["1", "2"]);
}

#[test]
fn room_is_passed_on_along_a_chain() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, refusing("last", 1));
    let short = [("x-max-length", FieldValue::from(1)), ("x-message-ttl", 10.into())];
    for (name, target) in [("third", "last"), ("second", "third"), ("first", "second")] {
        peer.declare_as(1, to_queue(name, target, &short));
    }
    for body in ["1", "2", "3", "4"] {
        peer.publish(1, "", "first", &text(), body.as_bytes());
        world.advance(Duration::from_millis(50));
    }
    let waiting = |queue| waiting(&world, queue);
    // What waits counts against the limit of the queue where it died.
    assert_eq!((waiting("first"), waiting("second"), waiting("third")), (1, 1, 1));
    for body in ["1", "2", "3", "4"] {
        let letter = peer.get(1, "last").unwrap();
        assert_eq!(letter.text(), body);
        peer.ack(1, letter.delivery_tag);
        world.advance(Duration::from_millis(50));
    }
    assert_eq!((waiting("first"), waiting("second"), waiting("third")), (0, 0, 0));
}

/// As RabbitMQ does: there is no target, and so it stays.
#[test]
fn letter_that_would_go_in_a_circle_waits() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, to_queue("q", "q", &[("x-message-ttl", 10.into())]));
    peer.publish(1, "", "q", &text(), b"x");
    world.advance(10 * MINUTE);
    assert_eq!((waiting(&world, "q"), peer.counts(1, "q").0), (1, 0));
}

// Limits, purge, deletion, policies.

#[test]
fn letters_that_wait_count_against_the_limits_of_their_queue() {
    let world = World::new();
    let peer = world.open();
    peer.confirm_select(1);
    peer.declare_as(1, to_queue("q", "grave", &[("x-max-length", 2.into())]));
    for body in [b"1", b"2"] {
        peer.publish(1, "", "q", &text(), body);
    }
    peer.expect_confirm(1, 1, false);
    peer.expect_confirm(1, 2, false);
    let tags = [(); 2].map(|()| peer.get(1, "q").unwrap().delivery_tag);
    tags.into_iter().for_each(|tag| peer.reject(1, tag, false));
    assert_eq!((waiting(&world, "q"), peer.counts(1, "q").0), (2, 0));
    peer.publish(1, "", "q", &text(), b"3");
    let refused =
        leveret::protocol::method::basic::Nack { delivery_tag: 3, multiple: false, requeue: false };
    peer.expect(1, refused);
    peer.declare(1, "grave");
    assert_eq!(waiting(&world, "q"), 0);
    peer.publish(1, "", "q", &text(), b"4");
    peer.expect_confirm(1, 4, false);
}

#[test]
fn purge_leaves_them_and_deletion_takes_them_along() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, to_queue("q", "grave", &[]));
    reject(&peer, "q", &["1"]);
    peer.publish(1, "", "q", &text(), b"ready");
    peer.call(1, Purge { queue: "q", nowait: false }, PurgeOk { message_count: 1 });
    assert_eq!((waiting(&world, "q"), peer.counts(1, "q").0), (1, 0));
    let if_empty = Delete { queue: "q", if_empty: true, ..Delete::default() };
    peer.refused(1, if_empty, 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty");
    peer.call(1, Delete { queue: "q", ..Delete::default() }, DeleteOk { message_count: 0 });
    peer.declare_as(1, to_queue("q", "grave", &[]));
    peer.declare(1, "grave");
    world.advance(10 * MINUTE);
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (0, 0));
}

/// B13.7: RabbitMQ takes the strategy back where the overflow is another one.
#[test]
fn without_reject_publish_letters_are_delivered_at_most_once() {
    let world = World::new();
    let peer = world.open();
    let declare = to_queue("q", "grave", &[]);
    let mut arguments = declare.arguments.clone();
    arguments.remove("x-overflow");
    peer.declare_as(1, Declare { arguments, ..declare });
    reject(&peer, "q", &["1"]);
    peer.declare(1, "grave");
    world.advance(10 * MINUTE);
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (0, 0));
}

#[test]
fn policy_switches_it_on_and_off() {
    let world = World::new();
    let peer = world.open();
    let arguments = [("x-queue-type", FieldValue::from("quorum"))].into_iter().collect();
    peer.declare_as(1, Declare { queue: "q", durable: true, arguments, ..Declare::default() });
    let on = [
        ("dead-letter-exchange", FieldValue::from("")),
        ("dead-letter-routing-key", "grave".into()),
        ("dead-letter-strategy", "at-least-once".into()),
        ("overflow", "reject-publish".into()),
    ];
    put_policy(&world, &on);
    reject(&peer, "q", &["1", "2"]);
    assert_eq!(waiting(&world, "q"), 2);
    // Another key leads them elsewhere.
    peer.declare_as(1, refusing("other", 1));
    let mut elsewhere = on.clone();
    elsewhere[1].1 = "other".into();
    put_policy(&world, &elsewhere);
    assert_eq!((waiting(&world, "q"), peer.counts(1, "other").0), (1, 1));
    let mut off = elsewhere;
    off[2].1 = "at-most-once".into();
    put_policy(&world, &off);
    assert_eq!(waiting(&world, "q"), 0, "as in RabbitMQ they are dropped");
    assert_eq!(take_all(&peer, "other"), ["1"]);
    world.advance(10 * MINUTE);
    assert_eq!(peer.counts(1, "other").0, 0);
}

#[test]
fn letter_that_an_exchange_delays_has_arrived() {
    let world = World::new();
    let peer = world.open();
    let table = |name: &'static str, value: FieldValue| FieldTable::from_iter([(name, value)]);
    peer.send(
        1,
        exchange::Declare {
            exchange: "later",
            kind: "x-delayed-message",
            durable: true,
            arguments: table("x-delayed-type", "fanout".into()),
            ..exchange::Declare::default()
        },
    );
    peer.expect(1, exchange::DeclareOk {});
    peer.declare(1, "grave");
    peer.bind(1, "grave", "later", "");
    peer.declare_as(1, source("q", "later", &[]));
    let headers = Some(Headers::from(&table("x-delay", 60_000.into())));
    let properties = OwnedProperties { headers, ..persistent() };
    peer.publish(1, "", "q", &properties, b"x");
    let tag = peer.get(1, "q").unwrap().delivery_tag;
    peer.reject(1, tag, false);
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (0, 0));
    world.advance(MINUTE);
    assert_eq!(peer.counts(1, "grave").0, 1);
}

// The store.

#[test]
fn every_move_is_one_record_group() {
    let world = World::held();
    let peer = world.connect();
    peer.open_channel(1);
    peer.send(1, to_queue("q", "grave", &[]));
    world.finish_commits(&Ok(()));
    peer.recv();
    peer.publish(1, "", "q", &persistent(), b"x");
    let tag = peer.get(1, "q").unwrap().delivery_tag;
    world.take_records();
    peer.reject(1, tag, false);
    let records = world.take_records();
    let [
        Record::Enqueue { group, queue: behind, .. },
        Record::Settle { group: same, queue: origin, .. },
        Record::EndGroup(end),
    ] = records[..]
    else {
        panic!("{records:?}");
    };
    assert!(group != 0 && group == same && group == end && behind != origin, "{records:?}");
    let arguments = FieldTable::new();
    peer.send(1, Declare { queue: "grave", durable: true, arguments, ..Declare::default() });
    world.finish_commits(&Ok(()));
    let records = world.take_records();
    let [
        Record::Enqueue { group, queue: grave, .. },
        Record::Settle { group: same, queue: left, .. },
        Record::EndGroup(end),
    ] = records[..]
    else {
        panic!("{records:?}");
    };
    assert!(group != 0 && group == same && group == end, "{records:?}");
    assert!(left == behind && grave != origin, "{records:?}");
}

fn small(directory: &Path) -> World {
    let queue_budget = Budget::of(64 * 1024);
    let limits = Limits { queue_budget, ..Limits::default() };
    World::in_directory_with(directory, leveret::time::Time(0), limits)
}

#[test]
fn letters_wait_through_a_restart_with_all_that_is_known_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let world = small(directory.path());
    let peer = world.open();
    peer.declare_exchange(1, "dlx", "fanout");
    for (queue, length) in [("has it", 5), ("full", 1)] {
        peer.declare_as(1, refusing(queue, length));
    }
    peer.declare_as(1, source("q", "dlx", &[("x-max-length", 3.into())]));
    peer.send(
        1,
        exchange::Declare { exchange: "dlx2", kind: "fanout", durable: true, ..Default::default() },
    );
    peer.expect(1, exchange::DeclareOk {});
    for queue in ["has it", "full"] {
        peer.bind(1, queue, "dlx2", "");
    }
    peer.declare_as(1, source("p", "dlx2", &[("x-max-length", 3.into())]));
    reject(&peer, "q", &["nowhere 1", "nowhere 2"]);
    reject(&peer, "p", &["1", "2", "3"]);
    assert_eq!((waiting(&world, "q"), waiting(&world, "p")), (2, 2));
    drop((world, peer));

    let world = small(directory.path());
    let peer = world.open();
    assert_eq!((waiting(&world, "q"), waiting(&world, "p")), (2, 2));
    assert_eq!(peer.counts(1, "has it").0, 3);
    let letter = peer.get(1, "full").unwrap();
    assert_eq!(letter.text(), "1");
    peer.ack(1, letter.delivery_tag);
    let letter = peer.get(1, "full").unwrap();
    assert_eq!((letter.text(), waiting(&world, "p")), ("2".into(), 0));
    expect_death(&letter, "p", "rejected");
    peer.ack(1, letter.delivery_tag);
    drop((world, peer));

    let world = small(directory.path());
    let peer = world.open();
    assert_eq!(waiting(&world, "p"), 0);
    assert_eq!(take_all(&peer, "full"), ["3"]);
    assert_eq!(take_all(&peer, "has it"), ["1", "2", "3"], "and nothing twice");
    peer.declare_durable(1, "grave");
    peer.declare_exchange(1, "dlx", "fanout");
    peer.bind(1, "grave", "dlx", "");
    let letters = [(); 2].map(|()| peer.get(1, "grave").unwrap());
    assert_eq!(letters.each_ref().map(Delivery::text), ["nowhere 1", "nowhere 2"]);
    letters.iter().for_each(|letter| expect_death(letter, "q", "rejected"));
}

/// Of a version that knew nothing of dead letters that wait.
#[test]
fn a_queue_of_an_older_version_gets_a_place_for_them() {
    let directory = tempfile::tempdir().unwrap();
    let definitions =
        RedbDefinitions::open(directory.path(), Box::new(|error| panic!("{error}"))).unwrap();
    let record = QueueRecord {
        name: "q".into(),
        id: definitions.next_queue_id(),
        auto_delete: false,
        arguments: to_queue("q", "grave", &[]).arguments,
        undelivered: None,
    };
    definitions.commit(&"/".into(), Change::PutQueue(record), Box::new(|result| result.unwrap()));
    definitions.wait_committed(definitions.requested()).unwrap();
    drop(definitions);
    for wait in [0, 1] {
        let world = small(directory.path());
        let peer = world.open();
        assert_eq!(waiting(&world, "q"), wait);
        reject(&peer, "q", &["x"]);
        assert_eq!(waiting(&world, "q"), wait + 1);
    }
}

/// They lie on disk as any queue does, and come back from there.
#[test]
fn many_letters_wait_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let world = small(directory.path());
    let peer = world.open();
    peer.declare_as(1, to_queue("q", "grave", &[("x-message-ttl", 1000.into())]));
    let body = |n: usize| format!("{n:04} {}", "x".repeat(1000));
    for n in 0..500 {
        peer.publish(1, "", "q", &persistent(), body(n).as_bytes());
    }
    world.advance(Duration::from_secs(2));
    assert_eq!(waiting(&world, "q"), 500);
    drop((world, peer));
    let world = small(directory.path());
    let peer = world.open();
    assert_eq!(waiting(&world, "q"), 500);
    peer.declare_as(1, refusing("grave", 300));
    world.advance(Duration::from_secs(1));
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (200, 300));
    for n in 0..500 {
        let letter = peer.get(1, "grave").unwrap_or_else(|| panic!("letter {n}"));
        assert_eq!(letter.text(), body(n));
        peer.ack(1, letter.delivery_tag);
    }
    assert_eq!((waiting(&world, "q"), peer.counts(1, "grave").0), (0, 0));
}

/// What metrics tell apart.
#[test]
fn letters_that_have_to_arrive_are_counted_as_such() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, source("q", "dlx", &[]));
    reject(&peer, "q", &["a", "b"]);
    assert_eq!(found(&world, "q").stats.dead(Reason::Rejected), [0, 0, 2]);
}
