//! Exchanges that choose one destination, as clients see them (behaviour B4.16, B4.17), and ways
//! through several exchanges (behaviour B4.9, B4.13, B4.14).

// All of this is a test: whatever it stumbles over fails it.

use leveret::protocol::method::exchange::{Bind, BindOk, Declare, DeclareOk, Delete, DeleteOk};
use leveret::protocol::method::{basic, queue, tx};
use leveret::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};

use crate::support::{Peer, World, text};

const CHOICES: [&str; 4] = ["x-consistent-hash", "x-random", "x-local-random", "x-modulus-hash"];

fn declare<'a>(exchange: &'a str, kind: &'a str) -> Declare<'a> {
    Declare { exchange, kind, ..Declare::default() }
}

#[track_caller]
fn declare_with(peer: &Peer, name: &str, kind: &str, arguments: &[(&str, &str)]) {
    let arguments = arguments.iter().copied().collect();
    peer.call(1, Declare { arguments, ..declare(name, kind) }, DeclareOk {});
}

/// A key that the exchange takes for a binding.
fn key_for(kind: &str) -> &'static str {
    if kind == "x-consistent-hash" { "1" } else { "" }
}

/// Queues `q0`, `q1` and so on, each bound once.
#[track_caller]
fn bind_queues(peer: &Peer, exchange: &str, kind: &str, count: usize) {
    for n in 0..count {
        let queue = format!("q{n}");
        peer.declare(1, &queue);
        peer.bind(1, &queue, exchange, key_for(kind));
    }
}

#[track_caller]
fn bind_exchange(peer: &Peer, source: &str, destination: &str, routing_key: &str) {
    let bind = Bind { source, destination, routing_key, ..Bind::default() };
    peer.call(1, bind, BindOk {});
}

#[track_caller]
fn counts(peer: &Peer, count: usize) -> Vec<u32> {
    (0..count).map(|n| peer.counts(1, &format!("q{n}")).0).collect()
}

fn headers(pairs: &[(&str, FieldValue)]) -> OwnedProperties {
    let table: FieldTable = pairs.iter().cloned().collect();
    OwnedProperties { headers: Some(Headers::from(&table)), ..text() }
}

fn user(name: &str) -> OwnedProperties {
    headers(&[("user", name.into())])
}

/// B4.16, B4.17, B4.2, B4.3: declared and bound with RabbitMQ's texts.
#[test]
fn refusals_are_worded_as_rabbitmq_words_them() {
    let peer = World::new().open();
    let refused = |arguments: FieldTable, text: &str| {
        let declare = Declare { arguments, ..declare("x", "x-consistent-hash") };
        peer.refused(1, declare, 406, &format!("PRECONDITION_FAILED - {text}"));
    };
    refused(
        [("hash-header", "h"), ("hash-property", "message_id")].into_iter().collect(),
        "hash-header and hash-property are mutually exclusive",
    );
    refused([("hash-property", "app_id")].into_iter().collect(), "Unsupported property: app_id");
    refused(
        [("hash-header", 5)].into_iter().collect(),
        "invalid type 'signedint' for arg 'hash-header' in exchange 'x' in vhost '/'",
    );
    refused(
        [("alternate-exchange", 5), ("hash-header", 5)].into_iter().collect(),
        "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'",
    );
    // None of these made an exchange; one that is there is not asked for arguments again.
    for kind in CHOICES {
        peer.call(1, declare("x", kind), DeclareOk {});
        let arguments = [("hash-property", "app_id")].into_iter().collect();
        peer.call(1, Declare { arguments, ..declare("x", kind) }, DeclareOk {});
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received \
             'topic' but current is '{kind}'"
        );
        peer.refused(1, declare("x", "topic"), 406, &text);
        let delete = Delete { exchange: "x", ..Delete::default() };
        peer.call(1, delete, DeleteOk {});
    }
    peer.declare(1, "q");
    peer.declare_exchange(1, "hash", "x-consistent-hash");
    peer.declare_exchange(1, "local", "x-local-random");
    for (exchange, routing_key, text) in [
        ("hash", "abc", "The binding key must be an integer: <<\"abc\">>"),
        ("hash", "", "The binding key must be an integer: <<>>"),
        ("hash", "0", "The binding key must be greater than 0"),
        ("hash", "-5", "The binding key must be greater than 0"),
        ("hash", "4294967296", "The binding key must not exceed 4294967295"),
        ("local", "k", "Non empty binding 'k' key not permitted"),
    ] {
        let bind = queue::Bind { queue: "q", exchange, routing_key, ..Default::default() };
        peer.refused(1, bind, 406, &format!("PRECONDITION_FAILED - {text}"));
        peer.publish_mandatory(1, exchange, routing_key, b"x");
        peer.expect_return(1);
    }
}

/// Every message arrives once, whatever is chosen.
#[test]
fn each_message_goes_to_one_queue() {
    for kind in CHOICES {
        let peer = World::new().open();
        peer.declare_exchange(1, "x", kind);
        bind_queues(&peer, "x", kind, 4);
        for n in 0..400 {
            peer.publish(1, "x", &n.to_string(), &text(), b"m");
        }
        let counts = counts(&peer, 4);
        assert_eq!(counts.iter().sum::<u32>(), 400, "{kind}: {counts:?}");
        // By chance, one of them stays empty once in 10^49 times.
        assert!(counts.iter().all(|count| *count > 0), "{kind}: {counts:?}");
    }
}

/// One key over and over: by chance it goes everywhere, by hash to one place.
#[test]
fn chance_is_not_remembered_and_a_hash_of_the_key_stays() {
    for kind in CHOICES {
        let peer = World::new().open();
        peer.declare_exchange(1, "x", kind);
        bind_queues(&peer, "x", kind, 2);
        for _ in 0..400 {
            peer.publish(1, "x", "same", &text(), b"m");
        }
        let mut counts = counts(&peer, 2);
        counts.sort_unstable();
        assert_eq!(counts[0] == 0, !kind.contains("random"), "{kind}: {counts:?}");
        assert_eq!(counts[0] + counts[1], 400);
    }
}

/// One key over and over, hashed by something else: a way that was remembered would be wrong.
#[test]
fn a_hash_of_headers_or_properties_is_not_remembered_by_the_key() {
    let by_header: &dyn Fn(u32) -> OwnedProperties = &|n| user(&n.to_string());
    let by_id: &dyn Fn(u32) -> OwnedProperties =
        &|n| OwnedProperties { correlation_id: Some(n.to_string().into_bytes()), ..text() };
    let by_time: &dyn Fn(u32) -> OwnedProperties =
        &|n| OwnedProperties { timestamp: Some(n.into()), ..text() };
    for (argument, value, properties) in [
        ("hash-header", "user", by_header),
        ("hash-property", "correlation_id", by_id),
        ("hash-property", "timestamp", by_time),
    ] {
        let peer = World::new().open();
        declare_with(&peer, "x", "x-consistent-hash", &[(argument, value)]);
        bind_queues(&peer, "x", "x-consistent-hash", 4);
        for round in 0..2 {
            for n in 0..100 {
                peer.publish(1, "x", "same", &properties(n), n.to_string().as_bytes());
            }
            let counts = counts(&peer, 4);
            assert_eq!(counts.iter().sum::<u32>(), 100 * (round + 1));
            assert!(counts.iter().all(|count| *count > 10), "{value}: {counts:?}");
        }
        // What went somewhere in the first round went there in the second, too.
        for n in 0..4 {
            let bodies = peer.drain(1, &format!("q{n}"));
            assert_eq!(bodies[..bodies.len() / 2], bodies[bodies.len() / 2..]);
        }
    }
}

/// B4.16: those who publish by a known way notice a queue that joins, and it takes its share only.
#[test]
fn a_queue_that_joins_takes_its_share_from_the_others() {
    let peer = World::new().open();
    peer.declare_exchange(1, "x", "x-consistent-hash");
    bind_queues(&peer, "x", "x-consistent-hash", 3);
    let keys: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
    let round = |queues: usize| {
        for key in &keys {
            peer.publish(1, "x", key, &text(), key.as_bytes());
        }
        (0..queues).map(|n| peer.drain(1, &format!("q{n}"))).collect::<Vec<_>>()
    };
    let before = round(3);
    bind_queues(&peer, "x", "x-consistent-hash", 4);
    let after = round(4);
    assert!((50..100).contains(&after[3].len()), "{}", after[3].len());
    for (before, after) in before.iter().zip(&after) {
        assert!(after.iter().all(|key| before.contains(key)), "only the new queue gained");
    }
    peer.send(1, queue::Delete { queue: "q3", ..Default::default() });
    peer.expect(1, queue::DeleteOk { message_count: 0 });
    assert_eq!(round(3), before, "everybody has got back what was theirs");
}

/// B6.3: more keys are not more destinations.
#[test]
fn only_the_first_key_counts_where_one_destination_is_chosen() {
    for kind in CHOICES {
        let peer = World::new().open();
        peer.declare_exchange(1, "x", kind);
        bind_queues(&peer, "x", kind, 8);
        let more: Vec<FieldValue> = (0..50).map(|n| FieldValue::from(n.to_string())).collect();
        peer.publish(1, "x", "k", &headers(&[("CC", more.into())]), b"m");
        let with_more = counts(&peer, 8);
        assert_eq!(with_more.iter().sum::<u32>(), 1, "{kind}");
        if !kind.contains("random") {
            peer.publish(1, "x", "k", &text(), b"m");
            assert_eq!(counts(&peer, 8).iter().max(), Some(&2), "{kind}: the same queue");
        }
    }
}

/// B4.14: a chain through every type of exchange, to one queue, once.
#[test]
fn a_message_passes_through_a_chain_of_all_types() {
    let peer = World::new().open();
    peer.declare(1, "q");
    let kinds = ["direct", "fanout", "topic", "headers"].into_iter().chain(CHOICES);
    let kinds: Vec<&'static str> = kinds.collect();
    for kind in &kinds {
        peer.declare_exchange(1, kind, kind);
    }
    let key_of = |kind: &'static str| match kind {
        "direct" => "5",
        "topic" => "#",
        kind => key_for(kind),
    };
    for pair in kinds.windows(2) {
        bind_exchange(&peer, pair[0], pair[1], key_of(pair[0]));
    }
    let last = kinds[kinds.len() - 1];
    peer.bind(1, "q", last, key_of(last));
    // And round again.
    bind_exchange(&peer, last, "direct", "");
    peer.bind(1, "q", "fanout", "");
    for _ in 0..20 {
        peer.publish(1, "direct", "5", &user("u"), b"m");
    }
    assert_eq!(peer.drain(1, "q").len(), 20);
}

/// A chain of two that choose by chance reaches everything: they do not choose alike.
#[test]
fn two_choices_on_one_way_are_independent() {
    let peer = World::new().open();
    for name in ["first", "left", "right"] {
        peer.declare_exchange(1, name, "x-random");
    }
    bind_exchange(&peer, "first", "left", "");
    bind_exchange(&peer, "first", "right", "");
    for (n, exchange) in ["left", "left", "right", "right"].into_iter().enumerate() {
        peer.declare(1, &format!("q{n}"));
        peer.bind(1, &format!("q{n}"), exchange, "");
    }
    for _ in 0..400 {
        peer.publish(1, "first", "", &text(), b"m");
    }
    let counts = counts(&peer, 4);
    assert_eq!(counts.iter().sum::<u32>(), 400);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

/// B4.13: each type that has nobody to choose leaves the message to its alternate, and so on.
#[test]
fn alternates_of_alternates_are_followed_through_all_types() {
    let peer = World::new().open();
    let kinds: Vec<&str> =
        ["direct", "fanout", "topic", "headers"].into_iter().chain(CHOICES).collect();
    for pair in kinds.windows(2) {
        declare_with(&peer, pair[0], pair[0], &[("alternate-exchange", pair[1])]);
    }
    let last = kinds[kinds.len() - 1];
    // The chain bites its tail.
    declare_with(&peer, last, last, &[("alternate-exchange", kinds[0])]);
    for start in &kinds {
        peer.publish_mandatory(1, start, "k", b"nowhere");
        assert_eq!(peer.expect_return(1).exchange, *start);
    }
    peer.declare(1, "q");
    peer.bind(1, "q", last, "");
    for start in &kinds {
        for _ in 0..2 {
            peer.publish_mandatory(1, start, "k", start.as_bytes());
        }
        peer.expect_nothing();
        assert_eq!(peer.drain(1, "q"), [*start, *start]);
    }
}

/// B4.13: the alternate of an exchange that is reached over a binding counts, too; one that was on the
/// way already is not asked again.
#[test]
fn alternates_apply_at_every_exchange_on_the_way() {
    let peer = World::new().open();
    declare_with(&peer, "in", "fanout", &[]);
    declare_with(&peer, "picky", "x-consistent-hash", &[("alternate-exchange", "in")]);
    declare_with(&peer, "strict", "topic", &[("alternate-exchange", "rest")]);
    declare_with(&peer, "rest", "x-random", &[("alternate-exchange", "strict")]);
    bind_exchange(&peer, "in", "picky", "");
    bind_exchange(&peer, "in", "strict", "");
    peer.publish_mandatory(1, "in", "k", b"nowhere");
    peer.expect_return(1);
    peer.declare(1, "q");
    peer.bind(1, "q", "rest", "");
    peer.publish_mandatory(1, "in", "k", b"rest");
    peer.expect_nothing();
    assert_eq!(peer.drain(1, "q"), ["rest"]);
}

/// B7.4, B8.6: in a transaction, and for a dead letter, each message is chosen for by itself.
#[test]
fn transactions_and_dead_letters_choose_message_by_message() {
    let peer = World::new().open();
    declare_with(&peer, "x", "x-consistent-hash", &[("hash-header", "user")]);
    bind_queues(&peer, "x", "x-consistent-hash", 4);
    let publish_users = |channel, exchange: &str, key: &str| {
        for n in 0..50 {
            peer.publish(channel, exchange, key, &user(&n.to_string()), b"m");
        }
    };
    publish_users(1, "x", "k");
    let expected = counts(&peer, 4);
    assert!(expected.iter().all(|count| *count > 0), "{expected:?}");

    peer.open_channel(2);
    peer.tx_select(2);
    publish_users(2, "x", "k");
    peer.call(2, tx::Commit {}, tx::CommitOk {});
    assert_eq!(counts(&peer, 4), expected.iter().map(|count| count * 2).collect::<Vec<_>>());

    peer.declare_with(1, "dying", [("x-dead-letter-exchange", "x")].into_iter().collect());
    publish_users(1, "", "dying");
    peer.consume(1, "dying", "c");
    for _ in 0..50 {
        let tag = peer.expect_delivery(1).delivery_tag;
        peer.send(1, basic::Reject { delivery_tag: tag, requeue: false });
    }
    assert_eq!(counts(&peer, 4), expected.iter().map(|count| count * 3).collect::<Vec<_>>());
}
