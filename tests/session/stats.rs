//! What is counted of messages: the numbers are those that RabbitMQ 3.10 gave for the same steps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{
    ChannelCounts, ConnectionStats, ExchangeCounts, GlobalCounts, KINDS, PublishCounts, Resource,
};
use leveret::protocol::method::{basic, tx};
use leveret::protocol::{FieldTable, FieldValue};
use leveret::queue::stats::BUCKETS_MILLIS;
use leveret::queue::{Queue, QueueCounts, QueueFigures, QueueKind, Reason};

use crate::support::{Peer, World, persistent, text};

fn queue(world: &World, name: &str) -> Arc<Queue> {
    let queues = world.broker.vhost("/").unwrap().all_queues();
    queues.into_iter().find(|queue| queue.name.as_str() == name).unwrap()
}

#[track_caller]
fn expect_queue(world: &World, name: &str, expected: &str) {
    assert_eq!(words(&queue(world, name).stats.counts()), expected, "of queue {name}");
}

/// What is not 0, in order.
fn words(counts: &QueueCounts) -> String {
    let all = [
        ("publish", counts.publish),
        ("deliver", counts.deliver),
        ("deliver_no_ack", counts.deliver_no_ack),
        ("get", counts.get),
        ("get_no_ack", counts.get_no_ack),
        ("get_empty", counts.get_empty),
        ("ack", counts.ack),
        ("redeliver", counts.redeliver),
    ];
    let set = all.iter().filter(|(_, count)| *count > 0);
    set.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn publish_words(counts: &PublishCounts) -> String {
    let all = [
        ("publish", counts.publish),
        ("received", counts.received),
        ("received_confirm", counts.received_confirm),
        ("confirm", counts.confirm),
        ("return", counts.return_unroutable),
        ("drop", counts.drop_unroutable),
    ];
    let set = all.iter().filter(|(_, count)| *count > 0);
    set.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn expect_exchange(world: &World, name: &str, publish_in: u64, publish_out: u64) {
    let stats = world.broker.vhost("/").unwrap().exchange_stats(name).unwrap();
    assert_eq!(stats.counts(), ExchangeCounts { publish_in, publish_out }, "of exchange {name}");
}

/// Of the only connection, or of the one that came last.
fn connection(world: &World) -> Arc<ConnectionStats> {
    let all: BTreeMap<u64, _> =
        world.broker.connection_stats().into_iter().map(|(id, stats)| (id.0, stats)).collect();
    Arc::clone(all.last_key_value().unwrap().1)
}

fn channel(world: &World, number: u16) -> ChannelCounts {
    connection(world).channel(number).unwrap().counts()
}

fn vhost(world: &World) -> GlobalCounts {
    world.broker.vhost_counts(&world.broker.vhost("/").unwrap())
}

fn get_no_ack(peer: &Peer, queue: &str) {
    peer.send(1, basic::Get { queue, no_ack: true });
    peer.recv();
}

#[test]
fn publishes_are_counted_by_channel_exchange_and_queue() {
    let world = World::new();
    let peer = world.open();
    peer.declare_exchange(1, "sx", "fanout");
    peer.declare(1, "sa");
    peer.declare(1, "sb");
    peer.bind(1, "sa", "sx", "");
    peer.bind(1, "sb", "sx", "");
    for _ in 0..3 {
        peer.publish(1, "sx", "", &text(), b"12345");
    }
    peer.publish(1, "", "sa", &text(), &[b'x'; 200]);
    expect_queue(&world, "sa", "publish 4");
    expect_queue(&world, "sb", "publish 3");
    expect_exchange(&world, "sx", 3, 6);
    expect_exchange(&world, "", 1, 1);
    peer.publish(1, "", "nowhere", &text(), b"1");
    peer.publish_mandatory(1, "", "nowhere", b"1");
    peer.expect_return(1);
    peer.publish_mandatory(1, "", "sa", b"1");
    expect_exchange(&world, "", 4, 2);
    let counts = channel(&world, 1);
    assert_eq!(publish_words(&counts.publishes), "publish 7, received 7, return 1, drop 1");
    let vhost = vhost(&world);
    assert_eq!((vhost.publishes, vhost.routed, vhost.publishers), (counts.publishes, 8, 1));
    assert_eq!((vhost.sizes.counts[..3].to_vec(), vhost.sizes.sum), (vec![6, 1, 0], 218));
}

#[test]
fn ways_that_are_not_remembered_are_counted_too() {
    let world = World::new();
    let peer = world.open();
    peer.declare_exchange(1, "h", "headers");
    peer.declare(1, "q");
    peer.bind(1, "q", "h", "");
    for _ in 0..3 {
        // Deletes what is remembered of the others.
        peer.declare(1, "other");
        peer.publish(1, "h", "", &text(), b"1");
        peer.publish(1, "", "q", &text(), b"1");
    }
    expect_exchange(&world, "h", 3, 3);
    expect_exchange(&world, "", 3, 3);
    expect_queue(&world, "q", "publish 6");
    assert_eq!(vhost(&world).routed, 6);
}

#[test]
fn gets_are_counted_by_what_they_find() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "sa");
    peer.publish_texts(1, "sa", &["1", "2", "3", "4", "5"]);
    get_no_ack(&peer, "sa");
    expect_queue(&world, "sa", "publish 5, get_no_ack 1");
    let tag = peer.get(1, "sa").unwrap().delivery_tag;
    peer.ack(1, tag);
    expect_queue(&world, "sa", "publish 5, get 1, get_no_ack 1, ack 1");
    let tag = peer.get(1, "sa").unwrap().delivery_tag;
    peer.reject(1, tag, true);
    let tag = peer.get(1, "sa").unwrap().delivery_tag;
    peer.reject(1, tag, false);
    expect_queue(&world, "sa", "publish 5, get 3, get_no_ack 1, ack 1, redeliver 1");
    for _ in 0..10 {
        get_no_ack(&peer, "sa");
    }
    let all = "publish 5, get 3, get_no_ack 3, get_empty 8, ack 1, redeliver 1";
    expect_queue(&world, "sa", all);
    assert_eq!(queue(&world, "sa").stats.dead(Reason::Rejected), [1, 0, 0]);
    let deliveries = QueueCounts { publish: 5, ..channel(&world, 1).deliveries };
    assert_eq!((words(&deliveries), deliveries.deliver_get()), (all.to_owned(), 6));
    let QueueCounts { publish, .. } = vhost(&world).deliveries();
    assert_eq!(publish, 0);
}

#[test]
fn deliveries_are_counted_when_they_are_written() {
    let world = World::new();
    let publisher = world.open();
    publisher.declare(1, "sb");
    publisher.publish_texts(1, "sb", &["1", "2", "3"]);
    let consumer = world.open();
    consumer.qos(1, 2, false);
    consumer.consume(1, "sb", "c");
    consumer.expect_texts(1, &["1", "2"]);
    expect_queue(&world, "sb", "publish 3, deliver 2");
    consumer.ack_until(1, 2);
    consumer.expect_texts(1, &["3"]);
    expect_queue(&world, "sb", "publish 3, deliver 3, ack 2");
    consumer.nack(1, 3, true);
    consumer.expect_texts(1, &["3"]);
    expect_queue(&world, "sb", "publish 3, deliver 4, ack 2, redeliver 1");
    consumer.close_channel(1);
    consumer.open_channel(1);
    consumer.consume_no_ack(1, "sb", "c");
    consumer.expect_texts(1, &["3"]);
    expect_queue(&world, "sb", "publish 3, deliver 4, deliver_no_ack 1, ack 2, redeliver 2");
    let counts = channel(&world, 1).deliveries;
    assert_eq!(words(&counts), "deliver_no_ack 1, redeliver 1", "of the new channel");
    // What went before stays in the sums of the vhost, also when the connection is gone.
    let all = "deliver 4, deliver_no_ack 1, ack 2, redeliver 2";
    assert_eq!(words(&vhost(&world).deliveries()), all);
    consumer.hang_up();
    publisher.hang_up();
    let counts = vhost(&world);
    assert_eq!(words(&counts.deliveries()), all);
    assert_eq!(publish_words(&counts.publishes), "publish 3, received 3");
    assert_eq!(counts.publishers, 0);
    assert!(world.broker.connection_stats().is_empty());
}

#[test]
fn what_never_left_the_outbox_was_not_delivered() {
    let world = World::new();
    let publisher = world.open();
    publisher.declare(1, "q");
    let consumer = world.open();
    consumer.consume(1, "q", "c");
    consumer.consume_no_ack(1, "q", "d");
    consumer.stop_reading();
    let body = "x".repeat(100_000);
    for _ in 0..10 {
        publisher.publish_texts(1, "q", &[&body]);
    }
    let counts = queue(&world, "q").stats.counts();
    let written = counts.deliver + counts.deliver_no_ack;
    assert!((1..10).contains(&written), "{counts:?}");
    consumer.hang_up();
    let after = queue(&world, "q");
    assert_eq!(after.stats.counts(), counts);
    let figures = after.figures();
    let left = 10 - counts.deliver_no_ack as usize;
    assert_eq!((figures.counts.ready, figures.ready_bytes), (left, left * 100_000));
    assert_eq!((figures.counts.unacked, figures.unacked_bytes), (0, 0));
}

#[test]
fn confirms_are_counted_and_refusals_are_not() {
    let world = World::held();
    let peer = world.open();
    peer.declare(1, "q");
    let none: FieldTable =
        [("x-max-length", FieldValue::from(0)), ("x-overflow", FieldValue::from("reject-publish"))]
            .into_iter()
            .collect();
    peer.declare_with(1, "full", none);
    peer.confirm_select(1);
    peer.publish_texts(1, "q", &["1"]);
    peer.expect_confirm(1, 1, false);
    peer.publish_mandatory(1, "", "nowhere", b"1");
    peer.expect_return(1);
    peer.expect_confirm(1, 2, false);
    peer.publish_texts(1, "full", &["1"]);
    peer.recv();
    let counts = channel(&world, 1).publishes;
    let expected = "publish 3, received 3, received_confirm 3, confirm 2, return 1";
    assert_eq!(publish_words(&counts), expected);
    expect_queue(&world, "full", "publish 1");
}

#[test]
fn confirm_times_are_those_of_the_store() {
    let world = World::held();
    let peer = world.open();
    peer.send(
        1,
        leveret::protocol::method::queue::Declare {
            queue: "d",
            durable: true,
            ..Default::default()
        },
    );
    world.finish_commits(&Ok(()));
    peer.recv();
    peer.confirm_select(1);
    for _ in 0..3 {
        peer.publish(1, "", "d", &persistent(), b"1");
    }
    assert_eq!(vhost(&world).confirm_times.count(), 0);
    world.advance(Duration::from_millis(40));
    world.sync();
    peer.expect_confirm(1, 3, true);
    let times = vhost(&world).confirm_times;
    let fifty = BUCKETS_MILLIS.iter().position(|end| *end == 50).unwrap();
    assert_eq!((times.counts[fifty], times.count(), times.sum_millis), (3, 3, 120));
}

#[test]
fn transactions_count_when_they_are_committed() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "sa");
    peer.tx_select(1);
    peer.publish_texts(1, "sa", &["1"]);
    expect_exchange(&world, "", 0, 0);
    let counts = channel(&world, 1).publishes;
    assert_eq!(publish_words(&counts), "received 1, received_confirm 1");
    peer.send(1, tx::Commit {});
    peer.expect(1, tx::CommitOk {});
    expect_exchange(&world, "", 1, 1);
    expect_queue(&world, "sa", "publish 1");
    peer.publish_texts(1, "sa", &["1"]);
    peer.send(1, tx::Rollback {});
    peer.expect(1, tx::RollbackOk {});
    let counts = channel(&world, 1).publishes;
    assert_eq!(publish_words(&counts), "publish 1, received 2, received_confirm 2");
    let tag = peer.get(1, "sa").unwrap().delivery_tag;
    peer.ack(1, tag);
    expect_queue(&world, "sa", "publish 1, get 1");
    peer.send(1, tx::Commit {});
    peer.expect(1, tx::CommitOk {});
    expect_queue(&world, "sa", "publish 1, get 1, ack 1");
}

#[test]
fn dead_letters_are_no_publishes() {
    let world = World::new();
    let peer = world.open();
    let arguments: FieldTable = [
        ("x-max-length", FieldValue::from(2)),
        ("x-dead-letter-exchange", FieldValue::from("")),
        ("x-dead-letter-routing-key", FieldValue::from("sdead")),
    ]
    .into_iter()
    .collect();
    peer.declare_with(1, "sd", arguments);
    peer.declare(1, "sdead");
    peer.publish_texts(1, "sd", &["1", "2", "3"]);
    expect_queue(&world, "sd", "publish 3");
    expect_queue(&world, "sdead", "");
    assert_eq!(queue(&world, "sdead").stats.arrived(), 1);
    expect_exchange(&world, "", 3, 3);
    assert_eq!(queue(&world, "sd").stats.dead(Reason::MaxLength), [0, 1, 0]);
    assert_eq!(queue(&world, "sd").stats.dead(Reason::Expired), [0, 0, 0]);
    peer.call(
        1,
        leveret::protocol::method::queue::Delete { queue: "sd", ..Default::default() },
        leveret::protocol::method::queue::DeleteOk { message_count: 2 },
    );
    let dead = world.broker.vhost("/").unwrap().stats.of_deleted().dead;
    let classic = KINDS.iter().position(|kind| *kind == QueueKind::Classic).unwrap();
    assert_eq!(dead[classic][Reason::MaxLength as usize], [0, 1, 0], "it is not forgotten");
}

#[test]
fn churn_counts_what_comes_and_goes() {
    let world = World::new();
    let peer = world.open();
    peer.open_channel(2);
    peer.declare(1, "sa");
    peer.declare(1, "sa");
    peer.call(
        1,
        leveret::protocol::method::queue::Delete { queue: "sa", ..Default::default() },
        leveret::protocol::method::queue::DeleteOk { message_count: 0 },
    );
    peer.close_channel(2);
    peer.open_channel(3);
    // A channel that was closed for an error is closed once.
    peer.send(3, basic::Ack { delivery_tag: 9, multiple: false });
    peer.expect_channel_error(3, 406, "PRECONDITION_FAILED - unknown delivery tag 9")
        .for_method(60, 80);
    peer.close_ok(3);
    let other = world.open();
    other.declare_as(
        1,
        leveret::protocol::method::queue::Declare {
            queue: "mine",
            exclusive: true,
            ..Default::default()
        },
    );
    other.hang_up();
    let churn = world.broker.churn.counts();
    assert_eq!((churn.connection_created, churn.connection_closed), (2, 1));
    assert_eq!((churn.channel_created, churn.channel_closed), (4, 3));
    assert_eq!((churn.queue_declared, churn.queue_created, churn.queue_deleted), (3, 2, 2));
    assert_eq!((churn.login_succeeded, churn.login_failed), (2, 0));
}

#[track_caller]
fn expect_figures(figures: QueueFigures, expected: [usize; 6]) {
    let QueueFigures { counts, ready_bytes, unacked_bytes, .. } = figures;
    let found = [
        counts.ready,
        counts.unacked,
        ready_bytes,
        unacked_bytes,
        figures.persistent,
        figures.persistent_bytes,
    ];
    assert_eq!(found, expected, "ready, unacked, bytes of both, persistent, their bytes");
}

#[test]
fn bytes_are_accounted_for_on_every_way() {
    let world = World::new();
    let peer = world.open();
    peer.declare_durable(1, "q");
    for n in 1..=4 {
        let properties = if n % 2 == 0 { persistent() } else { text() };
        peer.publish(1, "", "q", &properties, &vec![0; n * 10]);
    }
    let figures = || queue(&world, "q").figures();
    expect_figures(figures(), [4, 0, 100, 0, 2, 60]);
    peer.qos(1, 3, false);
    peer.consume(1, "q", "c");
    let tags: Vec<u64> = (0..3).map(|_| peer.expect_delivery(1).delivery_tag).collect();
    expect_figures(figures(), [1, 3, 40, 60, 2, 60]);
    peer.cancel(1, "c");
    peer.ack(1, tags[1]);
    expect_figures(figures(), [1, 2, 40, 40, 1, 40]);
    peer.nack(1, tags[0], true);
    expect_figures(figures(), [2, 1, 50, 30, 1, 40]);
    peer.nack(1, tags[2], false);
    expect_figures(figures(), [2, 0, 50, 0, 1, 40]);
    assert_eq!(peer.get(1, "q").unwrap().content.body.len(), 10);
    expect_figures(figures(), [1, 1, 40, 10, 1, 40]);
    get_no_ack(&peer, "q");
    expect_figures(figures(), [0, 1, 0, 10, 0, 0]);
    peer.hang_up();
    expect_figures(figures(), [1, 0, 10, 0, 0, 0]);
}

#[test]
fn age_is_that_of_the_message_at_the_head() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    let age = || queue(&world, "q").figures().oldest.map(|since| world.now().since(since));
    assert_eq!(age(), None);
    for n in 0..3_u8 {
        peer.publish(1, "", "q", &text(), &[n]);
        world.advance(Duration::from_secs(10));
    }
    assert_eq!(age(), Some(Duration::from_secs(30)));
    let tag = peer.get(1, "q").unwrap().delivery_tag;
    assert_eq!(age(), Some(Duration::from_secs(20)));
    peer.reject(1, tag, true);
    assert_eq!(age(), Some(Duration::from_secs(30)), "it is as old as it was");
    let waits = queue(&world, "q").stats.waits();
    let five_minutes = BUCKETS_MILLIS.iter().position(|end| *end == 30_000).unwrap();
    assert_eq!((waits.counts[five_minutes], waits.count()), (1, 1));
    assert_eq!(waits.sum_millis, 30_000);
    peer.consume_no_ack(1, "q", "c");
    let waits = queue(&world, "q").stats.waits();
    assert_eq!(waits.count(), 4, "it left twice");
    assert_eq!(age(), None);
}

#[test]
fn blocked_time_is_counted_when_it_ends() {
    let world = World::new();
    let (blocked, gone) = (world.open(), world.open());
    blocked.declare(1, "q");
    world.set_alarm(Resource::Disk, true);
    for peer in [&blocked, &gone] {
        peer.publish(1, "", "q", &text(), b"1");
        peer.recv();
    }
    world.advance(Duration::from_secs(3));
    gone.hang_up();
    assert_eq!(vhost(&world).blocked_millis, 3000);
    world.advance(Duration::from_secs(2));
    world.set_alarm(Resource::Disk, false);
    assert_eq!(vhost(&world).blocked_millis, 8000);
}
