//! Policies and operator policies, as clients feel them (behaviour B10.9, B8.2).

use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{Policy, PolicyScope, Vhost};
use leveret::protocol::method::{basic, exchange, queue};
use leveret::protocol::{FieldTable, FieldValue, OwnedProperties};
use leveret::queue::{ConnectionId, Effects, Overflow};
use leveret::storage::{Change, RedbDefinitions};

use crate::support::{Peer, World, text};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn table<const N: usize>(pairs: [(&str, FieldValue); N]) -> FieldTable {
    pairs.into_iter().collect()
}

fn vhost(world: &World) -> Arc<Vhost> {
    world.broker.vhost("/").unwrap()
}

/// Pattern `^q`, for everything.
fn terms(definition: FieldTable) -> FieldTable {
    table([("pattern", "^q".into()), ("definition", FieldValue::Table(definition))])
}

fn with<const N: usize>(mut terms: FieldTable, more: [(&str, FieldValue); N]) -> FieldTable {
    for (key, value) in more {
        terms.remove(key);
        terms.insert(key, value);
    }
    terms
}

fn put_as(world: &World, scope: PolicyScope, name: &str, terms: &FieldTable) {
    let policy = Policy::parse(scope, name, terms).unwrap();
    let mut effects = Effects::default();
    vhost(world).put_policy(policy, world.now(), &mut effects, &|| Box::new(|_| {}));
    drop(effects);
    // What that put into outboxes is delivered.
    world.advance(ms(0));
}

fn put(world: &World, name: &str, terms: &FieldTable) {
    put_as(world, PolicyScope::User, name, terms);
}

fn set<const N: usize>(world: &World, definition: [(&str, FieldValue); N]) {
    put(world, "p", &terms(table(definition)));
}

fn delete(world: &World, scope: PolicyScope, name: &str) {
    let mut effects = Effects::default();
    let deleted =
        vhost(world).delete_policy(scope, name, world.now(), &mut effects, &|| Box::new(|_| {}));
    assert!(deleted.is_some(), "{name}");
    drop(effects);
    world.advance(ms(0));
}

fn declare<const N: usize>(peer: &Peer, name: &str, arguments: [(&str, FieldValue); N]) {
    let declare = queue::Declare { queue: name, durable: true, ..queue::Declare::default() };
    peer.declare_as(1, queue::Declare { arguments: table(arguments), ..declare });
}

fn quorum() -> (&'static str, FieldValue) {
    ("x-queue-type", "quorum".into())
}

#[track_caller]
fn expect_gone(peer: &Peer, name: &str) {
    let passive = queue::Declare { queue: name, passive: true, ..queue::Declare::default() };
    let text = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
    peer.refused(1, passive, 404, &text);
}

/// What holds for a queue, asked from the inside.
fn options(world: &World, name: &str) -> Arc<leveret::queue::Options> {
    vhost(world).queue(name, ConnectionId(0)).unwrap().options()
}

// Every key, on queues that were there before and on new ones.

#[test]
fn max_length_drops_at_once_and_ends_with_its_policy() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    peer.declare(1, "other");
    for queue in ["q", "other"] {
        peer.publish_texts(1, queue, &["a", "b", "c"]);
    }
    set(&world, [("max-length", 2.into())]);
    assert_eq!((peer.counts(1, "q").0, peer.counts(1, "other").0), (2, 3));
    peer.publish_texts(1, "q", &["d"]);
    assert_eq!(peer.drain(1, "q"), ["c", "d"]);
    declare(&peer, "q new", []);
    peer.publish_texts(1, "q new", &["a", "b", "c"]);
    assert_eq!(peer.counts(1, "q new").0, 2);
    // Smaller or larger: the newest word counts.
    set(&world, [("max-length", 1.into())]);
    assert_eq!(peer.counts(1, "q new").0, 1);
    delete(&world, PolicyScope::User, "p");
    peer.publish_texts(1, "q new", &["d", "e", "f"]);
    assert_eq!(peer.drain(1, "q new"), ["c", "d", "e", "f"]);
}

#[test]
fn max_length_bytes_and_overflow() {
    let world = World::new();
    let peer = world.open();
    peer.confirm_select(1);
    peer.declare(1, "q");
    set(&world, [("max-length-bytes", 3.into()), ("overflow", "reject-publish".into())]);
    peer.publish_texts(1, "q", &["abc", "d"]);
    peer.expect_confirm(1, 1, false);
    peer.expect(1, basic::Nack { delivery_tag: 2, multiple: false, requeue: false });
    set(&world, [("max-length-bytes", 3.into())]);
    peer.publish_texts(1, "q", &["d"]);
    peer.expect_confirm(1, 3, false);
    assert_eq!(peer.drain(1, "q"), ["d"]);
}

#[test]
fn dead_letter_exchange_and_key() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    peer.declare(1, "dead");
    peer.publish_texts(1, "q", &["a", "b", "c"]);
    set(
        &world,
        [
            ("max-length", 1.into()),
            ("dead-letter-exchange", "".into()),
            ("dead-letter-routing-key", "dead".into()),
        ],
    );
    // Also what the policy itself makes overflow.
    assert_eq!(peer.drain(1, "dead"), ["a", "b"]);
    let tag = peer.get(1, "q").unwrap().delivery_tag;
    peer.reject(1, tag, false);
    assert_eq!(peer.drain(1, "dead"), ["c"]);
    delete(&world, PolicyScope::User, "p");
    peer.publish_texts(1, "q", &["d"]);
    let tag = peer.get(1, "q").unwrap().delivery_tag;
    peer.reject(1, tag, false);
    assert_eq!(peer.counts(1, "dead").0, 0);
}

/// Behaviour B8.2: later messages only; the head is looked at when the policy changes.
#[test]
fn message_ttl_counts_for_messages_to_come() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["before"]);
    set(&world, [("message-ttl", 1000.into())]);
    peer.publish_texts(1, "q", &["under"]);
    delete(&world, PolicyScope::User, "p");
    peer.publish_texts(1, "q", &["after"]);
    world.advance(ms(5000));
    // It waits behind one that lives for ever, as long as that is there.
    assert_eq!(peer.counts(1, "q").0, 3);
    assert_eq!(peer.drain(1, "q"), ["before", "after"]);
}

#[test]
fn expires_starts_moves_and_stops_the_clock() {
    let world = World::new();
    let peer = world.open();
    for queue in ["q short", "q long", "q kept"] {
        peer.declare(1, queue);
    }
    peer.declare_with(1, "q own", table([("x-expires", 2000.into())]));
    set(&world, [("expires", 5000.into())]);
    world.advance(ms(2000));
    expect_gone(&peer, "q own");
    put(
        &world,
        "p",
        &with(terms(table([("expires", 1000.into())])), [("pattern", "short".into())]),
    );
    // Theirs has stopped.
    world.advance(ms(999));
    let exists = |name: &str| vhost(&world).queue(name, ConnectionId(0)).is_ok();
    assert!(exists("q short"));
    world.advance(ms(1));
    assert!(!exists("q short"));
    world.advance(ms(100_000));
    assert!(exists("q long") && exists("q kept"));
    put(&world, "p", &with(terms(table([("expires", 1000.into())])), [("pattern", "long".into())]));
    world.advance(ms(1000));
    assert!(!exists("q long") && exists("q kept"));
}

#[test]
fn delivery_limit_and_strategy_of_quorum_queues() {
    let world = World::new();
    let peer = world.open();
    declare(&peer, "q", [quorum()]);
    set(&world, [("delivery-limit", 1.into()), ("dead-letter-strategy", "at-least-once".into())]);
    peer.publish_texts(1, "q", &["x"]);
    for _ in 0..2 {
        let tag = peer.get(1, "q").unwrap().delivery_tag;
        peer.nack(1, tag, true);
    }
    assert!(peer.get(1, "q").is_none());
    assert_eq!(options(&world, "q").dead_letter_at_least_once, Some(true));
    delete(&world, PolicyScope::User, "p");
    assert_eq!(options(&world, "q").delivery_limit(), Some(20));
}

#[test]
fn consumer_timeout_holds_for_what_is_out_already() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    peer.declare_with(1, "q own", table([("x-consumer-timeout", 1000.into())]));
    peer.publish_texts(1, "q", &["x"]);
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["x"]);
    set(&world, [("consumer-timeout", 5000.into())]);
    // Looked at within a minute.
    world.advance(ms(60_000));
    let text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value \
                used: 5000 ms. This timeout value can be configured, see consumers doc guide to \
                learn more";
    let _ = peer.expect_channel_error(1, 406, text);
    assert_eq!(options(&world, "q own").consumer_timeout_millis, Some(1000));
}

#[test]
fn alternate_exchange_argument_wins() {
    let world = World::new();
    let peer = world.open();
    for queue in ["policy", "argument"] {
        peer.declare(1, queue);
        peer.declare_exchange(1, &format!("to {queue}"), "fanout");
        peer.bind(1, queue, &format!("to {queue}"), "");
    }
    peer.declare_exchange(1, "qx", "direct");
    let arguments = table([("alternate-exchange", "to argument".into())]);
    let own =
        exchange::Declare { exchange: "q own", kind: "direct", arguments, ..Default::default() };
    peer.call(1, own.clone(), exchange::DeclareOk {});
    peer.publish(1, "qx", "nowhere", &text(), b"lost");
    set(&world, [("alternate-exchange", "to policy".into())]);
    for exchange in ["qx", "q own"] {
        peer.publish(1, exchange, "nowhere", &text(), exchange.as_bytes());
    }
    assert_eq!(peer.drain(1, "policy"), ["qx"]);
    assert_eq!(peer.drain(1, "argument"), ["q own"]);
    peer.declare_exchange(1, "q new", "topic");
    peer.publish(1, "q new", "nowhere", &text(), b"new");
    assert_eq!(peer.drain(1, "policy"), ["new"]);
    // Equivalence looks at arguments alone.
    peer.call(1, own, exchange::DeclareOk {});
    peer.declare_exchange(1, "qx", "direct");
    delete(&world, PolicyScope::User, "p");
    peer.publish(1, "qx", "nowhere", &text(), b"lost");
    assert_eq!(peer.counts(1, "policy").0, 0);
}

/// A pattern that fits everything does not make every unroutable message of a client go there.
#[test]
fn default_exchange_takes_no_policy() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "all");
    peer.bind(1, "all", "amq.fanout", "");
    let definition = terms(table([("alternate-exchange", "amq.fanout".into())]));
    put(&world, "p", &with(definition, [("pattern", "".into())]));
    peer.publish(1, "", "nowhere", &text(), b"lost");
    peer.publish(1, "amq.direct", "nowhere", &text(), b"found");
    assert_eq!(peer.drain(1, "all"), ["found"]);
}

#[test]
fn keys_without_effect_are_kept() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    let definition = [
        ("max-length", FieldValue::from(1)),
        ("queue-mode", "lazy".into()),
        ("queue-version", 2.into()),
        ("queue-leader-locator", "balanced".into()),
        ("ha-mode", "exactly".into()),
        ("ha-params", 2.into()),
        ("ha-sync-mode", "automatic".into()),
        ("federation-upstream-set", "all".into()),
    ];
    set(&world, definition.clone());
    peer.publish_texts(1, "q", &["a", "b"]);
    assert_eq!(peer.drain(1, "q"), ["b"]);
    let kept = vhost(&world).policy(PolicyScope::User, "p").unwrap();
    assert_eq!(kept.definition, table(definition));
}

// Arguments and policies together.

#[test]
fn the_smaller_number_counts_and_the_arguments_other_values() {
    let world = World::new();
    let peer = world.open();
    let arguments = || {
        [
            ("x-message-ttl", FieldValue::from(100)),
            ("x-max-length", 7.into()),
            ("x-max-length-bytes", 700.into()),
            ("x-dead-letter-exchange", "own".into()),
            ("x-dead-letter-routing-key", "own".into()),
            ("x-overflow", "reject-publish".into()),
            ("x-consumer-timeout", 1000.into()),
        ]
    };
    declare(&peer, "q", arguments());
    declare(
        &peer,
        "q quorum",
        [quorum(), ("x-overflow", "reject-publish".into()), ("x-delivery-limit", 9.into())],
    );
    set(
        &world,
        [
            ("message-ttl", 50.into()),
            ("max-length", 70.into()),
            ("max-length-bytes", 7.into()),
            ("dead-letter-exchange", "policy".into()),
            ("dead-letter-routing-key", "policy".into()),
            ("overflow", "drop-head".into()),
            ("consumer-timeout", 2000.into()),
        ],
    );
    let merged = options(&world, "q");
    assert_eq!(
        (merged.message_ttl_millis, merged.max_length, merged.max_length_bytes),
        (Some(50), Some(7), Some(7))
    );
    assert_eq!(merged.dead_letter_exchange.as_deref(), Some("own"));
    assert_eq!(merged.dead_letter_routing_key.as_deref(), Some("own"));
    assert_eq!(merged.consumer_timeout_millis, Some(1000));
    assert_eq!(merged.overflow(), Overflow::RejectPublish);
    // On a quorum queue the policy wins.
    assert_eq!(options(&world, "q quorum").overflow(), Overflow::DropHead);
    for (policy, expected) in [(20, 9), (5, 5), (-1, 9)] {
        set(&world, [("delivery-limit", policy.into())]);
        assert_eq!(options(&world, "q quorum").delivery_limit(), Some(expected));
    }
    // A redeclare knows nothing of policies (behaviour B5.4).
    declare(&peer, "q", arguments());
}

#[test]
fn operator_policies_limit_what_users_say() {
    let world = World::new();
    let peer = world.open();
    declare(&peer, "q", [quorum()]);
    let operator = |definition| put_as(&world, PolicyScope::Operator, "p", &terms(definition));
    set(
        &world,
        [
            ("max-length", 10.into()),
            ("delivery-limit", (-1).into()),
            ("overflow", "drop-head".into()),
            ("dead-letter-exchange", "dead".into()),
        ],
    );
    operator(table([
        ("max-length", 20.into()),
        ("message-ttl", 500.into()),
        ("delivery-limit", 3.into()),
        ("overflow", "reject-publish".into()),
    ]));
    let merged = options(&world, "q");
    assert_eq!((merged.max_length, merged.message_ttl_millis), (Some(10), Some(500)));
    assert_eq!((merged.delivery_limit(), merged.overflow()), (Some(3), Overflow::RejectPublish));
    assert_eq!(merged.dead_letter_exchange.as_deref(), Some("dead"));
    let queue = vhost(&world).queue("q", ConnectionId(0)).unwrap();
    let applied = vhost(&world).applied_policies(&queue);
    let definition = applied.definition();
    for (key, value) in [
        ("max-length", FieldValue::from(10)),
        ("message-ttl", 500.into()),
        ("delivery-limit", 3.into()),
        ("overflow", "reject-publish".into()),
        ("dead-letter-exchange", "dead".into()),
    ] {
        assert_eq!(definition.get(key), Some(&value), "{key}");
    }
    assert_eq!(definition.len(), 5);
    assert_eq!(
        (applied.user.unwrap().name.as_str(), applied.operator.unwrap().name.as_str()),
        ("p", "p")
    );
    operator(table([("max-length", 2.into())]));
    assert_eq!(options(&world, "q").max_length, Some(2));
    delete(&world, PolicyScope::User, "p");
    assert_eq!(options(&world, "q").max_length, Some(2));
    delete(&world, PolicyScope::Operator, "p");
    assert_eq!(options(&world, "q").max_length, None);
}

// Which one applies.

#[test]
fn the_highest_priority_applies_and_nothing_of_the_others() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    let priority =
        |priority: i32, definition| with(terms(definition), [("priority", priority.into())]);
    put(&world, "low", &priority(-5, table([("max-length", 5.into()), ("message-ttl", 5.into())])));
    put(&world, "high", &priority(7, table([("max-length", 7.into())])));
    put(&world, "none", &terms(table([("max-length", 1.into())])));
    let merged = options(&world, "q");
    assert_eq!((merged.max_length, merged.message_ttl_millis), (Some(7), None));
    delete(&world, PolicyScope::User, "high");
    assert_eq!(options(&world, "q").max_length, Some(1));
    delete(&world, PolicyScope::User, "none");
    assert_eq!(options(&world, "q").message_ttl_millis, Some(5));
}

#[test]
fn a_policy_with_a_key_that_the_type_does_not_know_is_passed_over() {
    let world = World::new();
    let peer = world.open();
    declare(&peer, "q classic", []);
    declare(&peer, "q quorum", [quorum()]);
    let high = |key: &str, value: FieldValue| {
        let definition = table([(key, value), ("max-length", 9.into())]);
        put(&world, "high", &with(terms(definition), [("priority", 9.into())]));
        ["q classic", "q quorum"].map(|name| options(&world, name).max_length)
    };
    put(&world, "low", &terms(table([("max-length", 1.into())])));
    assert_eq!(high("delivery-limit", 3.into()), [Some(1), Some(9)]);
    assert_eq!(high("dead-letter-strategy", "at-most-once".into()), [Some(1), Some(9)]);
    assert_eq!(high("max-age", "1h".into()), [Some(1), Some(1)]);
    assert_eq!(high("queue-mode", "lazy".into()), [Some(9), Some(1)]);
    // What was for mirrors, and what is for exchanges, stops nothing.
    assert_eq!(high("ha-mode", "all".into()), [Some(9), Some(9)]);
    assert_eq!(high("alternate-exchange", "x".into()), [Some(9), Some(9)]);
}

#[test]
fn apply_to_and_pattern_choose() {
    let world = World::new();
    let peer = world.open();
    declare(&peer, "some q", []);
    declare(&peer, "some quorum", [quorum()]);
    peer.declare_exchange(1, "some x", "direct");
    peer.declare(1, "target");
    peer.bind(1, "target", "amq.fanout", "");
    for (apply_to, pattern, expected) in [
        ("all", "some", [true, true, true]),
        ("queues", "some", [true, true, false]),
        ("classic_queues", "some", [true, false, false]),
        ("quorum_queues", "some", [false, true, false]),
        ("streams", "some", [false, false, false]),
        ("exchanges", "some", [false, false, true]),
        // Anywhere in the name, unless it is anchored.
        ("all", "me q", [true, true, false]),
        ("all", "^me q", [false, false, false]),
        ("all", "q$", [true, false, false]),
        ("all", "", [true, true, true]),
    ] {
        let definition =
            table([("max-length", 3.into()), ("alternate-exchange", "amq.fanout".into())]);
        let more = [("apply-to", apply_to.into()), ("pattern", pattern.into())];
        put(&world, "p", &with(terms(definition), more));
        let limited = |name: &str| options(&world, name).max_length.is_some();
        peer.publish(1, "some x", "nowhere", &text(), b"x");
        let alternate = !peer.drain(1, "target").is_empty();
        let found = [limited("some q"), limited("some quorum"), alternate];
        assert_eq!(found, expected, "{apply_to} {pattern}");
    }
}

#[test]
fn exclusive_and_server_named_queues_take_policies_too() {
    let world = World::new();
    let peer = world.open();
    let definition = terms(table([("max-length", 1.into())]));
    put(&world, "p", &with(definition, [("pattern", ".*".into())]));
    let declare = queue::Declare { exclusive: true, ..queue::Declare::default() };
    let (name, ..) = peer.declare_as(1, declare);
    peer.publish_texts(1, &name, &["a", "b"]);
    assert_eq!(peer.counts(1, &name).0, 1);
}

// What is refused, in RabbitMQ's words: the texts of the second half were seen on RabbitMQ 3.10.

#[test]
fn invalid_policies_are_refused_with_a_reason() {
    let definition = |key: &str, value: FieldValue| terms(table([(key, value)]));
    let good = || terms(table([("max-length", 1.into())]));
    let user = PolicyScope::User;
    let odd = || FieldValue::Array(vec![true.into(), 1.5.into(), FieldValue::Void]);
    for (scope, terms, expected) in [
        (user, FieldTable::new(), "Key \"pattern\" not found"),
        (user, with(good(), [("pattern", 5.into())]), "pattern should be a binary, actually was 5"),
        (
            user,
            with(good(), [("pattern", "(".into())]),
            "pattern should be regular expression but is invalid: unclosed group",
        ),
        (
            user,
            with(good(), [("pattern", "(a{1000}){1000}".into())]),
            "pattern should be regular expression but is invalid: Compiled regex exceeds size limit \
             of 1048576 bytes.",
        ),
        (
            user,
            with(good(), [("apply-to", "zz".into())]),
            "apply-to 'zz' unrecognised; should be one of: 'queues', 'classic_queues', \
             'quorum_queues', 'streams', 'exchanges', or 'all'",
        ),
        (
            user,
            with(good(), [("priority", "high".into())]),
            "priority should be a number, actually was <<\"high\">>",
        ),
        (
            user,
            with(good(), [("definition", "x".into())]),
            "parse error while reading policy: <<\"x\">>",
        ),
        (user, terms(FieldTable::new()), "no policy provided"),
        (
            user,
            terms(table([("bogus", 100.into()), ("max-length", (-1).into()), ("b2", "x".into())])),
            "[{<<\"b2\">>,<<\"x\">>},{<<\"bogus\">>,100}] are not recognised policy settings",
        ),
        (
            PolicyScope::Operator,
            definition("dead-letter-exchange", "a".into()),
            "[{<<\"dead-letter-exchange\">>,<<\"a\">>}] are not recognised policy settings",
        ),
        (user, definition("max-length", (-1).into()), "-1 is not a valid maximum length"),
        (user, definition("overflow", "zz".into()), "<<\"zz\">> is not a valid overflow value"),
        (user, definition("message-ttl", "a".into()), "<<\"a\">> is not a valid message TTL"),
        (user, definition("expires", 0.into()), "0 is not a valid queue expiry"),
    ] {
        let refused = Policy::parse(scope, "p", &terms).unwrap_err().to_string();
        assert_eq!(refused, expected);
    }
    for (key, what) in [
        ("expires", "queue expiry"),
        ("max-length-bytes", "maximum length in bytes"),
        ("max-in-memory-length", "maximum memory in bytes"),
        ("max-in-memory-bytes", "maximum memory in bytes"),
        ("dead-letter-exchange", "dead letter exchange name"),
        ("dead-letter-routing-key", "dead letter routing key"),
        ("dead-letter-strategy", "dead letter strategy"),
        ("delivery-limit", "delivery limit"),
        ("queue-leader-locator", "queue leader locator value"),
        ("initial-cluster-size", "cluster size"),
        ("stream-max-segment-size-bytes", "segment size"),
        ("queue-mode", "queue-mode value"),
        ("queue-version", "queue-version value"),
        ("alternate-exchange", "alternate exchange name"),
        ("max-age", "max age"),
        ("consumer-timeout", "consumer timeout"),
    ] {
        let refused = Policy::parse(user, "p", &definition(key, odd())).unwrap_err().to_string();
        assert_eq!(refused, format!("[true,1.5,null] is not a valid {what}"));
    }
    let long = Policy::parse(user, &"n".repeat(256), &good()).unwrap_err();
    assert_eq!(long.to_string(), "the name of a policy has at most 255 bytes");
}

// They are definitions like others.

#[test]
fn policies_survive_a_restart_and_apply_to_what_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let failed = Box::new(|error| panic!("{error}"));
        World::on_disk(Arc::new(RedbDefinitions::open(directory.path(), failed).unwrap()))
    };
    let world = open();
    let peer = world.open();
    declare(&peer, "q", []);
    set(&world, [("max-length", 1.into())]);
    put_as(&world, PolicyScope::Operator, "p", &terms(table([("message-ttl", 1000.into())])));
    put(&world, "gone", &terms(table([("max-length", 7.into())])));
    let exchanges = with(
        terms(table([("alternate-exchange", "amq.fanout".into())])),
        [("pattern", "^amq.direct$".into()), ("apply-to", "exchanges".into())],
    );
    put(&world, "exchanges", &exchanges);
    delete(&world, PolicyScope::User, "gone");
    drop((peer, world));

    let world = open();
    let names: Vec<_> = vhost(&world)
        .policies(PolicyScope::User)
        .iter()
        .map(|policy| (policy.name.clone(), policy.pattern().to_owned(), policy.apply_to.as_str()))
        .collect();
    let expected = [("exchanges", "^amq.direct$", "exchanges"), ("p", "^q", "all")];
    let expected = expected.map(|(name, pattern, to)| (name.to_owned(), pattern.to_owned(), to));
    assert_eq!(names, expected);
    let peer = world.open();
    peer.publish_texts(1, "q", &["a", "b"]);
    assert_eq!(peer.counts(1, "q").0, 1);
    world.advance(ms(1000));
    assert_eq!(peer.counts(1, "q").0, 0);
    peer.declare(1, "other");
    peer.bind(1, "other", "amq.fanout", "");
    peer.publish(1, "amq.direct", "nowhere", &OwnedProperties::default(), b"x");
    assert_eq!(peer.counts(1, "other").0, 1);
}

#[test]
fn changes_are_handed_to_the_store() {
    let world = World::held();
    set(&world, [("max-length", 1.into())]);
    let changes = world.finish_commits(&Ok(()));
    let [Change::PutPolicy(record)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((record.name.as_str(), record.operator, record.priority), ("p", false, 0));
    delete(&world, PolicyScope::User, "p");
    let changes = world.finish_commits(&Ok(()));
    assert!(
        matches!(&changes[..], [Change::DeletePolicy { operator: false, name }] if name == "p")
    );
    let mut effects = Effects::default();
    let none =
        vhost(&world).delete_policy(PolicyScope::Operator, "p", world.now(), &mut effects, &|| {
            Box::new(|_| {})
        });
    assert!(none.is_none() && world.finish_commits(&Ok(())).is_empty());
}
