//! Messages that wait in an exchange (behaviour B4.18), as clients see it, by a clock of our own.

// All of this is a test: whatever it stumbles over fails it.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret::broker::Limits;
use leveret::protocol::method::exchange::{Bind, BindOk, Declare, DeclareOk, Delete, DeleteOk};
use leveret::protocol::method::{basic, tx};
use leveret::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};
use leveret::queue::Budget;
use leveret::storage::memory::Record;
use leveret::time::Time;
use proptest::prelude::*;

use crate::support::{Peer, World, persistent, text};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const KIND: &str = "x-delayed-message";

fn declare<'a>(exchange: &'a str, arguments: &[(&str, FieldValue)]) -> Declare<'a> {
    let arguments = arguments.iter().cloned().collect();
    Declare { exchange, kind: KIND, durable: true, arguments, ..Declare::default() }
}

/// A durable delayed exchange `x` that routes as `kind`, and a durable queue `q` bound to it.
#[track_caller]
fn delayed(peer: &Peer, kind: &str) {
    peer.call(1, declare("x", &[("x-delayed-type", kind.into())]), DeclareOk {});
    peer.declare_durable(1, "q");
    peer.bind(1, "q", "x", "key");
}

fn delay(value: impl Into<FieldValue>) -> OwnedProperties {
    let table = FieldTable::from_iter([("x-delay", value.into())]);
    OwnedProperties { headers: Some(Headers::from(&table)), ..persistent() }
}

#[track_caller]
fn publish(peer: &Peer, properties: &OwnedProperties, body: &str) {
    peer.publish(1, "x", "key", properties, body.as_bytes());
}

fn waiting(world: &World) -> usize {
    world.broker.vhost("/").unwrap().messages_delayed("x").unwrap()
}

#[test]
fn a_message_arrives_when_its_delay_is_over_to_the_millisecond() {
    let world = World::new();
    let peer = world.open();
    delayed(&peer, "direct");
    for millis in [1, 63, 64, 499, 5_000, 90_000, 3_600_000, 86_400_000, 4_294_967_295_i64] {
        publish(&peer, &delay(millis), "x");
        assert_eq!(waiting(&world), 1);
        world.advance(Duration::from_millis(millis as u64) - MILLI);
        assert_eq!((peer.counts(1, "q").0, waiting(&world)), (0, 1), "{millis} are not over");
        world.advance(MILLI);
        assert_eq!(waiting(&world), 0, "{millis}");
        let delivery = peer.get(1, "q").expect("it is due");
        assert_eq!((&*delivery.exchange, &*delivery.routing_key), ("x", "key"));
        let headers = delivery.content.properties().headers.unwrap();
        assert_eq!(headers.find("x-delay").unwrap().as_int(), Some(-millis));
        assert_eq!(headers.reader().count(), 1, "nothing else is left of its waiting");
        peer.ack(1, delivery.delivery_tag);
    }
}

#[test]
fn messages_arrive_in_the_order_of_their_times_and_then_as_published() {
    let world = World::new();
    let peer = world.open();
    delayed(&peer, "fanout");
    for (millis, body) in [(500, "c1"), (100, "a1"), (500, "c2"), (200, "b"), (100, "a2")] {
        publish(&peer, &delay(millis), body);
    }
    world.advance(250 * MILLI);
    publish(&peer, &delay(250), "c3");
    world.pass_unnoticed(300 * MILLI);
    world.advance(MILLI);
    assert_eq!(peer.drain(1, "q"), ["a1", "a2", "b", "c1", "c2", "c3"]);
}

/// What an integer of each width says is what it waits; anything else goes at once, as it came.
#[test]
fn integers_of_every_width_count_and_what_is_out_of_range_does_not_wait() {
    let world = World::new();
    let peer = world.open();
    delayed(&peer, "direct");
    let wait: [(FieldValue, i64); 9] = [
        (FieldValue::I8(100), 100),
        (FieldValue::U8(200), 200),
        (FieldValue::I16(300), 300),
        (FieldValue::U16(400), 400),
        (FieldValue::I32(500), 500),
        (FieldValue::U32(600), 600),
        (FieldValue::I64(700), 700),
        ("800".into(), 800),
        (FieldValue::F64(900.9), 900),
    ];
    for (value, millis) in &wait {
        publish(&peer, &delay(value.clone()), &millis.to_string());
    }
    assert_eq!(waiting(&world), wait.len());
    for (_, millis) in &wait {
        world.advance(100 * MILLI - MILLI);
        assert!(peer.get(1, "q").is_none());
        world.advance(MILLI);
        assert_eq!(peer.drain(1, "q"), [millis.to_string()]);
    }
    let at_once: [FieldValue; 8] = [
        0.into(),
        (-1).into(),
        FieldValue::I64(i64::MIN),
        FieldValue::I64(4_294_967_296),
        "soon".into(),
        FieldValue::Void,
        FieldValue::Bool(true),
        FieldValue::Timestamp(1000),
    ];
    for value in at_once {
        publish(&peer, &delay(value.clone()), "now");
        let delivery = peer.get(1, "q").unwrap_or_else(|| panic!("{value:?} is no delay"));
        let headers = delivery.content.properties().headers.unwrap();
        assert_eq!(headers.find("x-delay").unwrap().decode(), Ok(value));
        peer.ack(1, delivery.delivery_tag);
    }
    publish(&peer, &persistent(), "without");
    assert_eq!(peer.drain(1, "q"), ["without"]);
}

#[test]
fn the_type_it_routes_as_has_to_be_one() {
    let world = World::new();
    let peer = world.open();
    let text = "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange \
                type";
    let bad: [&[(&str, FieldValue)]; 4] = [
        &[],
        &[("x-delayed-type", "nonsense".into())],
        &[("x-delayed-type", 5.into())],
        &[("x-delayed-type", KIND.into())],
    ];
    for arguments in bad {
        peer.refused(1, declare("x", arguments), 406, text);
    }
    // The arguments of the real type count, and so do its rules for bindings.
    let arguments = [
        ("x-delayed-type", "x-consistent-hash".into()),
        ("hash-header", "h".into()),
        ("hash-property", "message_id".into()),
    ];
    let text = "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive";
    peer.refused(1, declare("x", &arguments), 406, text);
    peer.call(1, declare("x", &[("x-delayed-type", "x-consistent-hash".into())]), DeclareOk {});
    // Behaviour B4.3: the same again is fine, another type is not.
    peer.call(1, declare("x", &[("x-delayed-type", "x-consistent-hash".into())]), DeclareOk {});
    peer.refused(
        1,
        Declare { kind: "direct", ..declare("x", &[]) },
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received \
         'direct' but current is 'x-delayed-message'",
    );
}

/// As LavinMQ has it.
#[test]
fn an_argument_makes_any_exchange_delay() {
    let world = World::new();
    let peer = world.open();
    let argument = [("x-delayed-exchange", true.into())];
    peer.call(1, Declare { kind: "topic", ..declare("x", &argument) }, DeclareOk {});
    peer.declare(1, "q");
    peer.bind(1, "q", "x", "k.*");
    peer.publish(1, "x", "k.1", &delay(100), b"later");
    peer.publish(1, "x", "k.1", &text(), b"now");
    assert_eq!(peer.drain(1, "q"), ["now"]);
    world.advance(100 * MILLI);
    assert_eq!(peer.drain(1, "q"), ["later"]);
}

/// Neither a return nor the alternate exchange when it is published, and none when it is due either
/// but for the alternate exchange.
#[test]
fn whether_a_message_can_be_routed_is_seen_when_it_is_due() {
    let world = World::new();
    let peer = world.open();
    peer.declare_exchange(1, "other", "fanout");
    peer.declare(1, "lost");
    peer.bind(1, "lost", "other", "");
    let arguments = [("x-delayed-type", "direct".into()), ("alternate-exchange", "other".into())];
    peer.call(1, declare("x", &arguments), DeclareOk {});
    let mandatory = |body: &str| {
        let publish = basic::Publish { mandatory: true, ..crate::support::publish("x", "key") };
        peer.publish_as(1, publish, &delay(100), body.as_bytes());
        peer.expect_nothing();
    };
    mandatory("1");
    assert_eq!(peer.counts(1, "lost").0, 0);
    world.advance(50 * MILLI);
    mandatory("2");
    world.advance(50 * MILLI);
    assert_eq!(peer.drain(1, "lost"), ["1"], "nobody was bound for it by then");
    peer.declare(1, "q");
    peer.bind(1, "q", "x", "key");
    world.advance(50 * MILLI);
    peer.expect_nothing();
    assert_eq!((peer.drain(1, "q"), peer.drain(1, "lost")), (vec!["2".to_owned()], vec![]));
}

#[test]
fn deleting_the_exchange_drops_what_waits_in_it() {
    let world = World::new();
    let peer = world.open();
    delayed(&peer, "direct");
    for millis in [100, 5_000, 1_000_000] {
        publish(&peer, &delay(millis), "x");
    }
    peer.call(1, Delete { exchange: "x", ..Delete::default() }, DeleteOk {});
    // One of the same name has nothing to do with it.
    delayed(&peer, "direct");
    assert_eq!(waiting(&world), 0);
    publish(&peer, &delay(200), "new");
    world.advance(2_000 * SECOND);
    assert_eq!(peer.drain(1, "q"), ["new"]);
}

#[test]
fn a_message_is_confirmed_when_it_is_kept_as_one_that_waits() {
    let world = World::held();
    let peer = world.open();
    peer.confirm_select(1);
    peer.send(1, declare("x", &[("x-delayed-type", "direct".into())]));
    world.finish_commits(&Ok(()));
    peer.expect(1, DeclareOk {});
    publish(&peer, &delay(1000), "kept");
    peer.expect_nothing();
    let records = world.take_records();
    let Some(Record::Enqueue { queue, run, .. }) = records.first() else { panic!("{records:?}") };
    let (queue, first) = (*queue, run.position);
    world.sync();
    peer.expect_confirm(1, 1, false);
    // A transient one is kept as well, as the plugin does.
    publish(&peer, &OwnedProperties { delivery_mode: None, ..delay(1000) }, "kept too");
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 2, false);
    // Nobody is bound: it is gone for good when it is due, in a group of its own.
    world.advance(1000 * MILLI);
    let records = world.take_records();
    let settled = |record: &Record| {
        matches!(record, Record::Settle { queue: from, first: at, last, group }
            if *from == queue && *at == first && last.0 == first.0 + 1 && *group > 0)
    };
    assert!(records.iter().any(settled), "{records:?}");
    assert!(matches!(records.last(), Some(Record::EndGroup(_))), "{records:?}");
}

#[test]
fn what_a_transaction_publishes_waits_from_its_commit_on() {
    let world = World::new();
    let peer = world.open();
    delayed(&peer, "direct");
    peer.tx_select(1);
    publish(&peer, &delay(100), "committed");
    world.advance(200 * MILLI);
    assert_eq!(waiting(&world), 0);
    peer.call(1, tx::Commit {}, tx::CommitOk {});
    assert_eq!(waiting(&world), 1);
    publish(&peer, &delay(100), "rolled back");
    peer.call(1, tx::Rollback {}, tx::RollbackOk {});
    world.advance(99 * MILLI);
    assert_eq!(peer.counts(1, "q").0, 0);
    world.advance(MILLI);
    assert_eq!(peer.drain(1, "q"), ["committed"]);
}

#[test]
fn a_delayed_exchange_behind_another_delays_and_a_message_waits_once() {
    let world = World::new();
    let peer = world.open();
    delayed(&peer, "fanout");
    peer.declare_exchange(1, "front", "fanout");
    peer.call(1, declare("behind", &[("x-delayed-type", "fanout".into())]), DeclareOk {});
    let bind = |source, destination| {
        peer.call(1, Bind { source, destination, ..Bind::default() }, BindOk {});
    };
    bind("front", "x");
    bind("x", "behind");
    peer.declare(1, "at once");
    peer.bind(1, "at once", "front", "");
    peer.declare(1, "last");
    peer.bind(1, "last", "behind", "");
    peer.publish(1, "front", "k", &delay(100), b"x");
    assert_eq!(peer.drain(1, "at once"), ["x"]);
    world.advance(99 * MILLI);
    assert_eq!((peer.counts(1, "q").0, peer.counts(1, "last").0), (0, 0));
    world.advance(MILLI);
    assert_eq!((peer.drain(1, "q"), peer.drain(1, "last")), (vec!["x".into()], vec!["x".into()]));
}

#[test]
fn a_dead_letter_waits_and_its_time_to_live_begins_when_it_is_routed() {
    let world = World::new();
    let peer = world.open();
    delayed(&peer, "direct");
    let dead: [(&str, FieldValue); 2] =
        [("x-dead-letter-exchange", "x".into()), ("x-dead-letter-routing-key", "key".into())];
    peer.declare_with(1, "work", dead.into_iter().collect());
    let properties = OwnedProperties { expiration: Some("50".into()), ..delay(100) };
    publish(&peer, &properties, "expires");
    peer.publish(1, "", "work", &delay(5000), b"again");
    let failed = peer.get(1, "work").unwrap();
    peer.nack(1, failed.delivery_tag, false);
    assert_eq!((peer.counts(1, "q").0, waiting(&world)), (0, 2));
    world.advance(100 * MILLI);
    assert_eq!(peer.counts(1, "q").0, 1);
    world.advance(49 * MILLI);
    assert_eq!(peer.counts(1, "q").0, 1);
    world.advance(MILLI);
    assert_eq!(peer.counts(1, "q").0, 0);
    world.advance(5 * SECOND);
    assert_eq!(peer.drain(1, "q"), ["again"]);
}

/// Behaviour B6.3: keys that nobody sees lead where they led.
#[test]
fn a_message_that_waited_is_routed_by_all_its_keys() {
    let world = World::new();
    let peer = world.open();
    delayed(&peer, "direct");
    for (queue, key) in [("cc", "carbon"), ("bcc", "hidden")] {
        peer.declare(1, queue);
        peer.bind(1, queue, "x", key);
    }
    let keys = |key: &str| FieldValue::from(vec![FieldValue::from(key)]);
    let table = FieldTable::from_iter([
        ("x-delay", 100.into()),
        ("CC", keys("carbon")),
        ("BCC", keys("hidden")),
    ]);
    let properties = OwnedProperties { headers: Some(Headers::from(&table)), ..text() };
    publish(&peer, &properties, "x");
    world.advance(100 * MILLI);
    for queue in ["q", "cc", "bcc"] {
        let delivery = peer.get(1, queue).unwrap_or_else(|| panic!("nothing in {queue}"));
        let headers = delivery.content.properties().headers.unwrap();
        assert!(headers.find("BCC").is_none() && headers.find("CC").is_some());
    }
}

#[test]
fn an_exchange_that_leaves_out_duplicates_looks_when_they_come() {
    let world = World::new();
    let peer = world.open();
    let arguments = [("x-delayed-type", "direct".into()), ("x-message-deduplication", true.into())];
    peer.call(1, declare("x", &arguments), DeclareOk {});
    peer.declare(1, "q");
    peer.bind(1, "q", "x", "key");
    let table = FieldTable::from_iter([("x-delay", 100), ("x-deduplication-header", 7)]);
    let properties = OwnedProperties { headers: Some(Headers::from(&table)), ..text() };
    publish(&peer, &properties, "first");
    publish(&peer, &properties, "second");
    assert_eq!(waiting(&world), 1);
    world.advance(100 * MILLI);
    assert_eq!(peer.drain(1, "q"), ["first"]);
}

#[test]
fn what_waits_survives_a_restart_with_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path(), Time(0));
    let peer = world.open();
    peer.confirm_select(1);
    delayed(&peer, "direct");
    let publish = |millis: i64, body: &str| {
        publish(&peer, &delay(millis), body);
        peer.recv();
    };
    for (millis, body) in [(60_000, "minute"), (86_400_000, "day"), (1_000, "1"), (1_000, "2")] {
        publish(millis, body);
    }
    let transient = OwnedProperties { delivery_mode: None, ..delay(60_000) };
    peer.publish(1, "x", "key", &transient, b"transient");
    peer.recv();
    publish(200, "before");
    world.advance(200 * MILLI);
    assert_eq!(peer.counts(1, "q").0, 1);
    let later = world.now() + 10 * SECOND;
    drop((world, peer));
    let world = World::in_directory(directory.path(), later);
    let peer = world.open();
    assert_eq!(waiting(&world), 3, "what was due meanwhile is there");
    assert_eq!(peer.drain(1, "q"), ["before", "1", "2"]);
    world.advance(50 * SECOND - 200 * MILLI - MILLI);
    assert_eq!(peer.counts(1, "q").0, 0);
    world.advance(MILLI);
    assert_eq!(peer.drain(1, "q"), ["minute", "transient"]);
    peer.call(1, Delete { exchange: "x", ..Delete::default() }, DeleteOk {});
    let now = world.now();
    drop((world, peer));
    let world = World::in_directory(directory.path(), now + 86_400 * SECOND);
    let peer = world.open();
    assert_eq!(peer.counts(1, "q").0, 0, "it went with its exchange");
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u64),
    Pass(u64),
    Restart(u64),
}

/// Mostly short delays, but some of any length; many at the same time.
fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 1..80_u64,
        3 => (1..10_u64).prop_map(|n| n * 1000),
        2 => 1..5_000_u64,
        1 => 1..400_000_u64,
        1 => 1..4_294_967_295_u64,
    ]
}

fn steps(restarts: u32, length: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        60 => millis().prop_map(Step::Publish),
        10 => millis().prop_map(Step::Pass),
        restarts => millis().prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 1..length)
}

/// Everything that is due has arrived, in the order of its time. What is due at the same time after delays
/// of the same length is in the order in which it was published; after others, in any order.
fn in_order(arrived: &[usize], expected: &[(Time, usize)], steps: &[Step], when: &str) {
    let due: BTreeMap<usize, Time> = expected.iter().map(|(due, number)| (*number, *due)).collect();
    assert_eq!(arrived.len(), expected.len(), "{when}: {arrived:?} for {expected:?}");
    let mut latest: BTreeMap<(Time, u64), usize> = BTreeMap::new();
    for (number, (time, _)) in arrived.iter().zip(expected) {
        assert_eq!(due.get(number), Some(time), "{when}: {arrived:?} for {expected:?}");
        let Some(Step::Publish(millis)) = steps.get(*number) else { panic!("{number}: {steps:?}") };
        let before = latest.insert((*time, *millis), *number);
        assert!(before.is_none_or(|before| before < *number), "{when}: {arrived:?}");
    }
}

/// Does all steps and compares what arrives with a list that is sorted. With so little memory that
/// nearly everything is dealt out from bucket to bucket.
fn check(steps: &[Step], in_memory: usize, directory: Option<&std::path::Path>) {
    let limits = || Limits { delayed_in_memory_max: in_memory, ..Limits::default() };
    let open = |now| match directory {
        Some(directory) => World::in_directory_with(directory, now, limits()),
        None => World::with(limits(), Default::default()),
    };
    let mut world = open(Time(0));
    let mut peer = world.open();
    delayed(&peer, "direct");
    let mut model: Vec<(Time, usize)> = Vec::new();
    for (number, step) in steps.iter().chain([&Step::Pass(u64::from(u32::MAX))]).enumerate() {
        match step {
            Step::Publish(millis) => {
                publish(&peer, &delay(*millis as i64), &number.to_string());
                model.push((world.now() + Duration::from_millis(*millis), number));
            }
            Step::Pass(millis) => world.advance(Duration::from_millis(*millis)),
            Step::Restart(millis) => {
                let later = world.now() + Duration::from_millis(*millis);
                drop(peer);
                drop(world);
                world = open(later);
                // More may have been due than a start waits for.
                world.advance(Duration::ZERO);
                peer = world.open();
            }
        }
        model.sort();
        let due = model.partition_point(|(due, _)| *due <= world.now());
        let expected: Vec<(Time, usize)> = model.drain(..due).collect();
        let arrived = peer.drain(1, "q").into_iter().map(|body| body.parse().unwrap());
        let arrived: Vec<usize> = arrived.collect();
        in_order(&arrived, &expected, steps, &format!("after step {number}, {step:?}"));
        assert_eq!(waiting(&world), model.len(), "after step {number}, {step:?}");
    }
    assert!(model.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_once_in_order_and_in_time(
        steps in steps(1, 400).prop_map(without_restarts),
        in_memory in prop_oneof![Just(0_usize), 1..20_usize, Just(1000)],
    ) {
        check(&steps, in_memory, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn restarts_change_nothing_of_that(
        steps in steps(3, 120),
        in_memory in prop_oneof![Just(0_usize), 1..20_usize, Just(1000)],
    ) {
        let directory = tempfile::tempdir().unwrap();
        check(&steps, in_memory, Some(directory.path()));
    }
}

/// Each start goes on with the queues that the one before has emptied: there are not enough of them for some
/// more every time.
#[test]
fn restarts_do_not_use_up_the_queues() {
    let directory = tempfile::tempdir().unwrap();
    let queue_budget = Budget::of(4096);
    let limits = || Limits { queue_budget, delayed_in_memory_max: 0, ..Limits::default() };
    let body = "x".repeat(2000);
    let mut now = Time(0);
    for round in 0..20 {
        let world = World::in_directory_with(directory.path(), now, limits());
        let peer = world.open();
        if round == 0 {
            delayed(&peer, "direct");
        }
        for millis in (0..128).map(|n| 1000 + n % 64) {
            publish(&peer, &delay(millis), &body);
        }
        world.advance(2 * SECOND);
        assert_eq!((waiting(&world), peer.drain(1, "q").len()), (0, 128), "round {round}");
        now = world.now();
    }
}

fn without_restarts(mut steps: Vec<Step>) -> Vec<Step> {
    steps.retain(|step| !matches!(step, Step::Restart(_)));
    steps
}
