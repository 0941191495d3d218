//! Quorum queues as clients see them (behaviour B13.a, B5.6, B5.7, B6.13, B8.10).

use std::time::Duration;

use leveret::protocol::method::basic;
use leveret::protocol::method::queue::{self, Declare, Delete};
use leveret::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};
use leveret::storage::memory::Record;

use crate::support::{Delivery, Peer, World, text};

fn quorum<const N: usize>(more: [(&str, FieldValue); N]) -> FieldTable {
    [("x-queue-type", FieldValue::from("quorum"))].into_iter().chain(more).collect()
}

fn declare<'a, const N: usize>(name: &'a str, more: [(&str, FieldValue); N]) -> Declare<'a> {
    Declare { queue: name, durable: true, arguments: quorum(more), ..Declare::default() }
}

fn header(delivery: &Delivery, name: &str) -> Option<FieldValue> {
    let headers = delivery.content.properties().headers?;
    let table: FieldTable = headers.reader().try_into().unwrap();
    table.get(name).cloned()
}

fn count(delivery: &Delivery) -> Option<i64> {
    header(delivery, "x-delivery-count").and_then(|value| value.as_int())
}

/// Texts of what is got and returned, one after another, until nothing is left or enough was seen.
fn return_all(peer: &Peer, queue: &str, most: usize) -> Vec<String> {
    let one = || {
        let delivery = peer.get(1, queue)?;
        peer.nack(1, delivery.delivery_tag, true);
        Some(delivery.text())
    };
    std::iter::from_fn(one).take(most).collect()
}

// B5.6, B5.7.

#[track_caller]
fn refuse(declare: Declare<'_>, text: &str) {
    let peer = World::new().open();
    let name = declare.queue;
    peer.refused(1, declare, 406, &format!("PRECONDITION_FAILED - {text}"));
    if !name.is_empty() {
        let passive = Declare { queue: name, passive: true, ..Declare::default() };
        peer.refused(1, passive, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    }
}

/// Texts as RabbitMQ 3.10 was seen to send them.
#[test]
fn a_quorum_queue_is_durable_shared_and_named() {
    let good = || declare("q", []);
    let property = |what: &str| format!("invalid property '{what}' for queue 'q' in vhost '/'");
    refuse(Declare { durable: false, ..good() }, &property("non-durable"));
    refuse(Declare { exclusive: true, ..good() }, &property("exclusive-owner"));
    let all_wrong = Declare { durable: false, exclusive: true, auto_delete: true, ..good() };
    refuse(all_wrong, &property("auto-delete"));
    refuse(
        Declare { queue: "", ..good() },
        "Cannot declare a server-named queue for type rabbit_quorum_queue",
    );
    World::new().open().declare_as(1, good());
}

#[test]
fn arguments_of_other_types_are_refused() {
    for name in [
        "x-max-priority",
        "x-queue-mode",
        "x-queue-version",
        "x-queue-master-locator",
        "x-max-age",
        "x-stream-max-segment-size-bytes",
    ] {
        let text = format!(
            "invalid arg '{name}' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue"
        );
        let value = if name == "x-queue-mode" { "lazy".into() } else { FieldValue::from(1) };
        refuse(declare("q", [(name, value)]), &text);
    }
    let strategy = [("x-dead-letter-strategy", FieldValue::from("at-least-once"))];
    let classic =
        Declare { queue: "q", arguments: strategy.into_iter().collect(), ..Declare::default() };
    refuse(
        classic,
        "invalid arg 'x-dead-letter-strategy' for queue 'q' in vhost '/' of queue type \
         rabbit_classic_queue",
    );
}

#[test]
fn own_arguments_are_checked() {
    for (name, value, reason) in [
        ("x-dead-letter-strategy", FieldValue::from("twice"), "invalid_dlx_strategy"),
        ("x-queue-leader-locator", "nowhere".into(), "invalid_queue_locator_arg"),
        ("x-quorum-initial-group-size", 0.into(), "{value_zero,0}"),
        ("x-max-in-memory-length", (-1).into(), "{value_negative,-1}"),
        ("x-max-in-memory-bytes", (-1).into(), "{value_negative,-1}"),
    ] {
        let text = format!("invalid arg '{name}' for queue 'q' in vhost '/': {reason}");
        refuse(declare("q", [(name, value)]), &text);
    }
    World::new().open().declare_as(
        1,
        declare(
            "q",
            [
                ("x-dead-letter-strategy", "at-least-once".into()),
                ("x-queue-leader-locator", "balanced".into()),
                ("x-quorum-initial-group-size", 3.into()),
                ("x-max-in-memory-length", 0.into()),
                ("x-delivery-limit", (-1).into()),
                ("x-single-active-consumer", true.into()),
                ("x-overflow", "reject-publish-dlx".into()),
            ],
        ),
    );
}

#[test]
fn a_redeclare_says_what_differs() {
    let peer = World::new().open();
    peer.declare_as(1, declare("q", [("x-delivery-limit", 2.into())]));
    peer.declare_as(1, declare("q", [("x-delivery-limit", 2.into())]));
    let inequivalent = |text: &str| format!("PRECONDITION_FAILED - inequivalent arg {text}");
    peer.refused(
        1,
        declare("q", [("x-delivery-limit", 3.into())]),
        406,
        &inequivalent(
            "'x-delivery-limit' for queue 'q' in vhost '/': received '3' but current is '2'",
        ),
    );
    peer.declare_as(1, declare("plain", []));
    peer.refused(
        1,
        Declare { queue: "plain", durable: true, ..Declare::default() },
        406,
        &inequivalent(
            "'x-queue-type' for queue 'plain' in vhost '/': received none but current is the value \
             'quorum' of type 'longstr'",
        ),
    );
}

// B13.1: what it keeps.

#[test]
fn every_message_is_stored_whatever_its_delivery_mode() {
    let world = World::held();
    let peer = world.connect();
    peer.open_channel(1);
    peer.confirm_select(1);
    peer.send(1, declare("q", []));
    peer.send(1, Declare { queue: "classic", durable: true, ..Declare::default() });
    while !world.finish_commits(&Ok(())).is_empty() {}
    while peer.unseen() > 0 {
        peer.recv();
    }
    for queue in ["q", "classic"] {
        let bind = queue::Bind { queue, exchange: "amq.fanout", ..queue::Bind::default() };
        peer.send(1, bind);
        world.finish_commits(&Ok(()));
        peer.expect(1, queue::BindOk {});
    }
    world.take_records();
    // Transient: for the classic queue it is nothing to remember.
    peer.publish(1, "amq.fanout", "", &text(), b"x");
    let records = world.take_records();
    assert!(matches!(records[..], [Record::Enqueue { .. }]), "{records:?}");
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 1, false);
    let (one, two) = (peer.get(1, "q").unwrap(), peer.get(1, "classic").unwrap());
    peer.ack(1, two.delivery_tag);
    assert!(world.take_records().is_empty());
    peer.ack(1, one.delivery_tag);
    assert!(matches!(world.take_records()[..], [Record::Settle { .. }]));
    // Without acknowledgement, by purge, and by rejection: the store hears of all of them.
    let takers: [fn(&Peer); 4] = [
        |peer| {
            peer.send(1, basic::Get { queue: "q", no_ack: true });
            peer.recv();
        },
        |peer| {
            peer.send(1, queue::Purge { queue: "q", nowait: false });
            peer.expect(1, queue::PurgeOk { message_count: 1 });
        },
        |peer| {
            let tag = peer.get(1, "q").unwrap().delivery_tag;
            peer.reject(1, tag, false);
        },
        |peer| {
            peer.consume_no_ack(1, "q", "c");
            peer.expect_delivery(1);
        },
    ];
    for take in takers {
        peer.publish(1, "", "q", &text(), b"x");
        world.sync();
        peer.recv();
        world.take_records();
        take(&peer);
        let records = world.take_records();
        assert!(matches!(records[..], [Record::Settle { .. }]), "{records:?}");
    }
}

#[test]
fn a_dead_letter_is_stored_and_its_original_settled_as_one() {
    let world = World::held();
    let peer = world.connect();
    peer.open_channel(1);
    let to_target = [
        ("x-dead-letter-exchange", FieldValue::from("")),
        ("x-dead-letter-routing-key", "target".into()),
        ("x-dead-letter-strategy", "at-least-once".into()),
        ("x-overflow", "reject-publish".into()),
    ];
    for declare in [declare("q", to_target), declare("target", [])] {
        peer.send(1, declare);
        world.finish_commits(&Ok(()));
        peer.recv();
    }
    peer.publish(1, "", "q", &text(), b"x");
    let tag = peer.get(1, "q").unwrap().delivery_tag;
    world.take_records();
    peer.reject(1, tag, false);
    let records = world.take_records();
    let [
        Record::Enqueue { group, queue: target, .. },
        Record::Settle { group: same, queue: origin, .. },
        Record::EndGroup(end),
    ] = records[..]
    else {
        panic!("{records:?}");
    };
    assert!(group != 0 && group == same && group == end && target != origin, "{records:?}");
}

// B13.3, B13.4: counting.

#[test]
fn returns_are_counted_in_a_header() {
    let world = World::new();
    let peer = world.open();
    peer.open_channel(2);
    peer.declare_as(1, declare("q", []));
    let claim = FieldTable::from_iter([("x-delivery-count", 77), ("kept", 1)]);
    let claim = OwnedProperties { headers: Some(Headers::from(&claim)), ..text() };
    peer.publish(1, "", "q", &text(), b"plain");
    peer.publish(1, "", "q", &claim, b"claims");
    peer.qos(1, 1, false);
    let returns: [fn(&Peer, u64); 3] = [
        |peer, tag| peer.nack(1, tag, true),
        |peer, tag| peer.reject(1, tag, true),
        |peer, _| {
            peer.send(1, basic::Recover { requeue: true });
            peer.expect(1, basic::RecoverOk {});
        },
    ];
    peer.consume(1, "q", "c");
    for (body, first) in [("plain", None), ("claims", Some(0))] {
        let delivery = peer.expect_delivery(1);
        assert_eq!((delivery.text().as_str(), count(&delivery)), (body, first));
        assert!(!delivery.redelivered);
        let mut tag = delivery.delivery_tag;
        for (n, back) in (1..).zip(returns) {
            back(&peer, tag);
            let again = peer.expect_delivery(1);
            assert_eq!((again.text().as_str(), count(&again)), (body, Some(n)));
            assert!(again.redelivered);
            tag = again.delivery_tag;
        }
        if body == "claims" {
            peer.cancel(1, "c");
            peer.close_channel(1);
            let got = peer.get(2, "q").unwrap();
            assert_eq!((count(&got), header(&got, "kept")), (Some(4), Some(1.into())));
        } else {
            peer.ack(1, tag);
        }
    }
}

/// What never reached the client has not failed.
#[test]
fn what_was_not_delivered_is_not_counted() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.declare_as(1, declare("q", []));
    peer.consume(1, "q", "c");
    peer.stop_reading();
    let large = vec![7; 200_000];
    (0..20).for_each(|_| other.publish(1, "", "q", &text(), &large));
    peer.hang_up();
    let counts: Vec<_> = std::iter::from_fn(|| other.get(1, "q")).map(|got| count(&got)).collect();
    assert_eq!(counts.len(), 20);
    let counted = counts.iter().filter(|count| count.is_some()).count();
    assert!((1..20).contains(&counted), "{counts:?}");
}

#[test]
fn beyond_the_limit_a_message_dies() {
    for (limit, deliveries) in [(Some(2), 3), (Some(0), 1), (None, 21)] {
        let world = World::new();
        let peer = world.open();
        let limit = limit.map(|limit| ("x-delivery-limit", FieldValue::from(limit)));
        let to_dead = [
            ("x-dead-letter-exchange", FieldValue::from("")),
            ("x-dead-letter-routing-key", "dead".into()),
        ];
        let arguments = quorum(to_dead).iter().map(|(k, v)| (k, v.clone())).chain(limit).collect();
        let declare = Declare { queue: "q", durable: true, arguments, ..Declare::default() };
        peer.declare_as(1, declare);
        peer.declare(1, "dead");
        peer.publish_texts(1, "q", &["x"]);
        assert_eq!(return_all(&peer, "q", 99).len(), deliveries);
        let dead = peer.get(1, "dead").unwrap();
        let reason = header(&dead, "x-first-death-reason");
        assert_eq!(reason, Some("delivery_limit".into()));
        let Some(FieldValue::Array(deaths)) = header(&dead, "x-death") else { panic!("{dead:?}") };
        let death = deaths[0].as_table().unwrap();
        assert_eq!(death.get("reason"), Some(&"delivery_limit".into()));
        assert_eq!(death.get("queue"), Some(&"q".into()));
    }
}

#[test]
fn a_negative_limit_is_none_and_a_classic_queue_has_none() {
    let peer = World::new().open();
    peer.declare_as(1, declare("q", [("x-delivery-limit", (-1).into())]));
    peer.declare(1, "classic");
    for queue in ["q", "classic"] {
        peer.publish_texts(1, queue, &["x"]);
        assert_eq!(return_all(&peer, queue, 100).len(), 100);
    }
    assert_eq!(count(&peer.get(1, "q").unwrap()), Some(100));
    assert_eq!(count(&peer.get(1, "classic").unwrap()), None);
}

// B6.13: the order of what comes back.

#[test]
fn what_came_back_comes_first_in_the_order_of_its_return() {
    let peer = World::new().open();
    peer.declare_as(1, declare("q", []));
    peer.publish_texts(1, "q", &["a", "b", "c", "d"]);
    let tags: Vec<u64> = (0..3).map(|_| peer.get(1, "q").unwrap().delivery_tag).collect();
    for n in [1, 0, 2] {
        peer.nack(1, tags[n], true);
    }
    assert_eq!(peer.drain(1, "q"), ["b", "a", "c", "d"]);
}

// B8.10, B13.6, B13.8.

#[test]
fn priorities_need_no_argument() {
    let peer = World::new().open();
    peer.declare_as(1, declare("q", []));
    let sent =
        [("4", None), ("3", Some(3)), ("31", Some(31)), ("200", Some(200)), ("4 too", Some(4))];
    for (body, priority) in sent {
        let properties = OwnedProperties { priority, ..text() };
        peer.publish(1, "", "q", &properties, body.as_bytes());
    }
    assert_eq!(peer.drain(1, "q"), ["31", "200", "4", "4 too", "3"]);
}

#[test]
fn limits_and_times_to_live_are_those_of_other_queues() {
    let world = World::new();
    let peer = world.open();
    peer.confirm_select(1);
    let dlx = || ("x-dead-letter-exchange", FieldValue::from("amq.fanout"));
    peer.declare(1, "dead");
    peer.bind(1, "dead", "amq.fanout", "");
    let length = || ("x-max-length", FieldValue::from(1));
    peer.declare_as(1, declare("head", [length(), dlx()]));
    // Acts as drop-head.
    peer.declare_as(
        1,
        declare("dlx", [length(), dlx(), ("x-overflow", "reject-publish-dlx".into())]),
    );
    peer.declare_as(
        1,
        declare("reject", [length(), dlx(), ("x-overflow", "reject-publish".into())]),
    );
    for (queue, kept, dead) in
        [("head", "b", Some("a")), ("dlx", "b", Some("a")), ("reject", "a", None)]
    {
        peer.publish_texts(1, queue, &["a", "b"]);
        assert!(matches!(peer.recv().method().id().method, 80));
        let last = peer.recv().method().id().method;
        assert_eq!(last == 120, dead.is_none(), "{queue}: nack is 120, ack is 80");
        assert_eq!(peer.drain(1, queue), [kept]);
        assert_eq!(peer.drain(1, "dead"), dead.into_iter().collect::<Vec<_>>());
    }
    peer.declare_as(1, declare("ttl", [("x-message-ttl", 100.into()), ("x-expires", 500.into())]));
    peer.publish_texts(1, "ttl", &["x"]);
    peer.recv();
    world.advance(Duration::from_millis(100));
    assert_eq!(peer.counts(1, "ttl").0, 0);
    world.advance(Duration::from_millis(500));
    let passive = Declare { queue: "ttl", passive: true, ..Declare::default() };
    peer.refused(1, passive, 404, "NOT_FOUND - no queue 'ttl' in vhost '/'");
}

#[test]
fn delete_purge_and_their_conditions_are_supported() {
    let peer = World::new().open();
    peer.declare_as(1, declare("q", []));
    peer.publish_texts(1, "q", &["a"]);
    let delete = Delete { queue: "q", if_empty: true, if_unused: true, nowait: false };
    peer.refused(1, delete.clone(), 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty");
    peer.call(1, queue::Purge { queue: "q", nowait: false }, queue::PurgeOk { message_count: 1 });
    peer.call(1, delete, queue::DeleteOk { message_count: 0 });
}

// B13.2, B6.7, B6.10.

#[test]
fn a_global_prefetch_is_refused() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, declare("q", []));
    peer.qos(1, 5, true);
    peer.send(1, basic::Consume { queue: "q", ..basic::Consume::default() });
    let text = "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos";
    peer.expect_connection_error(540, text, 60, 20);
}

#[test]
fn exclusive_consumers_are_as_good_as_others() {
    let peer = World::new().open();
    peer.declare_as(1, declare("q", []));
    for consumer_tag in ["a", "b"] {
        let exclusive =
            basic::Consume { queue: "q", consumer_tag, exclusive: true, ..Default::default() };
        peer.consume_as(1, exclusive);
    }
    let arguments = FieldTable::from_iter([("x-stream-offset", "first")]);
    peer.refused(
        1,
        basic::Consume { queue: "q", arguments, ..Default::default() },
        406,
        "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue \
         type rabbit_quorum_queue",
    );
}

#[test]
fn a_single_active_consumer_is_not_to_be_passed_by() {
    let world = World::new();
    let (one, two) = (world.open(), world.open());
    one.declare_as(1, declare("q", [("x-single-active-consumer", true.into())]));
    one.consume(1, "q", "c");
    two.consume(1, "q", "c");
    one.publish_texts(1, "q", &["a", "b"]);
    one.expect_texts(1, &["a", "b"]);
    one.refused(
        1,
        basic::Get { queue: "q", no_ack: false },
        405,
        "RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. basic.get \
         operations are not supported by quorum queues with single active consumer",
    );
    let texts = two.expect_texts(1, &["a", "b"]);
    assert_eq!(count(&texts[0]), Some(1));
}

/// What died of its failures does not keep its like out.
#[test]
fn deduplication_forgets_what_failed_too_often() {
    let peer = World::new().open();
    let once = ("x-message-deduplication", FieldValue::from(true));
    peer.declare_as(1, declare("q", [once, ("x-delivery-limit", 0.into())]));
    let headers = FieldTable::from_iter([("x-deduplication-header", 1)]);
    let same = OwnedProperties { headers: Some(Headers::from(&headers)), ..text() };
    peer.publish(1, "", "q", &same, b"a");
    peer.publish(1, "", "q", &same, b"b");
    assert_eq!(return_all(&peer, "q", 9), ["a"]);
    peer.publish(1, "", "q", &same, b"c");
    assert_eq!(peer.drain(1, "q"), ["c"]);
}
