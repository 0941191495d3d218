//! Durable definitions: when a declare is answered, and what is there after a restart (behaviour
//! B4.15, B12).

use std::cell::OnceCell;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leveret::broker::{Broker, ExchangeDeclaration, Limits};
use leveret::exchange::ExchangeKind;
use leveret::names::VhostName;
use leveret::protocol::method::{basic, exchange, queue};
use leveret::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};
use leveret::storage::memory::MemoryMessages;
use leveret::storage::{
    Change, Commit, Definition, DefinitionStore, Done, QueueId, QueueRecord, Record,
    RedbDefinitions, StoreError,
};

use crate::support::{Peer, World, method_frame, publish, text};

fn open(directory: &Path) -> Arc<RedbDefinitions> {
    let store = RedbDefinitions::open(directory, Box::new(|error| panic!("{error}"))).unwrap();
    Arc::new(store)
}

/// Runs `before` in a broker, and `after` in the next one over the same directory.
fn restart(before: impl FnOnce(&World), after: impl FnOnce(&World)) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(open(directory.path()));
    before(&world);
    drop(world);
    after(&World::on_disk(open(directory.path())));
}

fn connect(world: &World) -> Peer {
    let peer = world.connect();
    peer.open_channel(1);
    peer
}

fn durable_exchange<'a>(name: &'a str, kind: &'a str) -> exchange::Declare<'a> {
    exchange::Declare { exchange: name, kind, durable: true, ..exchange::Declare::default() }
}

fn declare_exchange(peer: &Peer, declare: exchange::Declare<'_>) {
    peer.send(1, declare);
    peer.expect(1, exchange::DeclareOk {});
}

fn arguments<'a>(pairs: impl IntoIterator<Item = (&'a str, FieldValue)>) -> FieldTable {
    pairs.into_iter().collect()
}

#[track_caller]
fn expect_missing(peer: &Peer, kind: &str, name: &str) {
    match kind {
        "queue" => {
            peer.send(1, queue::Declare { queue: name, passive: true, ..queue::Declare::default() })
        }
        _ => peer.send(
            1,
            exchange::Declare { exchange: name, passive: true, ..exchange::Declare::default() },
        ),
    }
    let text = format!("NOT_FOUND - no {kind} '{name}' in vhost '/'");
    let _ = peer.expect_channel_error(1, 404, &text);
    peer.reopen(1);
}

/// How many messages each publish brought to a queue.
#[track_caller]
fn expect_ready(peer: &Peer, queue: &str, messages: u32) {
    assert_eq!(peer.counts(1, queue).0, messages, "{queue}");
}

// When a declare is answered.

#[test]
fn durable_declare_is_answered_after_its_commit() {
    let world = World::held();
    let peer = connect(&world);
    let declare = queue::Declare { queue: "q", durable: true, ..queue::Declare::default() };
    peer.send(1, declare.clone());
    peer.expect_nothing();
    let changes = world.finish_commits(&Ok(()));
    assert!(matches!(&changes[..], [Change::PutQueue(record)] if record.name.as_str() == "q"));
    peer.expect(1, queue::DeclareOk { queue: "q", message_count: 0, consumer_count: 0 });
    // Nothing to wait for any more.
    peer.declare_as(1, declare);
}

/// To be told "ok" and find nothing after a crash would be a lie, whoever asked first.
#[test]
fn second_declare_is_not_answered_before_the_commit_of_the_first() {
    let world = World::held();
    let (one, two) = (connect(&world), connect(&world));
    let declare = queue::Declare { queue: "q", durable: true, ..queue::Declare::default() };
    one.send(1, declare.clone());
    two.send(1, declare);
    let bind = queue::Bind { queue: "q", exchange: "amq.topic", ..queue::Bind::default() };
    world.finish_commits(&Ok(()));
    let ok = queue::DeclareOk { queue: "q", message_count: 0, consumer_count: 0 };
    one.expect(1, ok.clone());
    two.expect(1, ok);
    one.send(1, bind.clone());
    two.send(1, bind);
    two.expect_nothing();
    assert_eq!(world.finish_commits(&Ok(())).len(), 1);
    one.expect(1, queue::BindOk {});
    two.expect(1, queue::BindOk {});
    // Nor is a second delete.
    let delete = queue::Delete { queue: "q", ..queue::Delete::default() };
    one.send(1, delete.clone());
    two.send(1, delete);
    two.expect_nothing();
    let changes = world.finish_commits(&Ok(()));
    assert!(
        matches!(&changes[..], [Change::DeleteBinding(_), Change::DeleteQueue { .. }]),
        "{changes:?}"
    );
    one.expect(1, queue::DeleteOk { message_count: 0 });
    two.expect(1, queue::DeleteOk { message_count: 0 });
}

#[test]
fn transient_things_wait_for_nobody() {
    let world = World::held();
    let (one, two) = (connect(&world), connect(&world));
    one.send(1, queue::Declare { queue: "q", durable: true, ..queue::Declare::default() });
    two.declare(1, "transient");
    two.declare(1, "transient");
    two.bind(1, "transient", "amq.fanout", "");
    two.bind(1, "transient", "amq.fanout", "");
    two.declare_exchange(1, "x", "direct");
    let exclusive = queue::Declare { durable: true, exclusive: true, ..queue::Declare::default() };
    two.declare_as(1, exclusive);
    one.expect_nothing();
}

#[test]
fn frames_behind_durable_declares_without_wait_keep_their_order() {
    let world = World::held();
    let peer = connect(&world);
    let declare =
        queue::Declare { queue: "q", durable: true, nowait: true, ..queue::Declare::default() };
    let bind = queue::Bind {
        queue: "q",
        exchange: "amq.direct",
        routing_key: "k",
        nowait: true,
        ..queue::Bind::default()
    };
    let mut packet = method_frame(1, declare);
    packet.extend(method_frame(1, bind));
    peer.send_bytes(&packet);
    peer.publish(1, "amq.direct", "k", &text(), b"hello");
    peer.send(1, basic::Get { queue: "q", no_ack: true });
    peer.expect_nothing();
    while !world.finish_commits(&Ok(())).is_empty() {}
    assert_eq!(peer.recv().delivery().text(), "hello");
    peer.expect_nothing();
}

#[test]
fn failed_commit_ends_the_connection() {
    let world = World::held();
    let peer = connect(&world);
    peer.send(1, durable_exchange("x", "fanout"));
    world.finish_commits(&Err(StoreError("the disk is gone".to_owned())));
    let close = peer.recv();
    assert!(format!("{:?}", close.method()).contains("541"), "{close:?}");
}

/// Hundreds of channels do not cost hundreds of syncs.
#[test]
fn declares_of_many_channels_are_grouped() {
    const CHANNELS: u16 = 500;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let world = World::on_disk(Arc::clone(&store));
    let peers = [world.connect(), world.connect()];
    let mut packet = Vec::new();
    for number in 1..=CHANNELS {
        peers.iter().for_each(|peer| peer.open_channel(number));
        let name = format!("queue {number}");
        let declare = queue::Declare { queue: &name, durable: true, ..queue::Declare::default() };
        packet.extend(method_frame(number, declare));
    }
    let before = store.transactions();
    let started = Instant::now();
    peers.iter().for_each(|peer| peer.send_bytes(&packet));
    let elapsed = started.elapsed();
    for peer in &peers {
        let mut answered: Vec<u16> = (0..CHANNELS).map(|_| peer.recv().channel).collect();
        answered.sort_unstable();
        assert!(answered.into_iter().eq(1..=CHANNELS));
    }
    let transactions = store.transactions() - before;
    println!("{} declares, {transactions} transactions, {elapsed:?}", 2 * CHANNELS);
    assert!(transactions < 100, "{transactions}");
}

// What is there after a restart.

#[test]
fn durable_exchanges_queues_and_bindings_come_back() {
    restart(
        |world| {
            let peer = connect(world);
            let alternate = arguments([("alternate-exchange", "other".into())]);
            let first = exchange::Declare {
                internal: false,
                arguments: alternate,
                ..durable_exchange("first", "topic")
            };
            declare_exchange(&peer, first);
            declare_exchange(&peer, durable_exchange("second", "headers"));
            declare_exchange(&peer, durable_exchange("other", "fanout"));
            let limited = queue::Declare {
                queue: "limited",
                durable: true,
                arguments: arguments([("x-max-length", FieldValue::I16(1))]),
                ..queue::Declare::default()
            };
            peer.declare_as(1, limited);
            peer.declare_durable(1, "lost and found");
            peer.bind(1, "lost and found", "other", "");
            let bind = exchange::Bind {
                destination: "second",
                source: "first",
                routing_key: "#.end",
                ..exchange::Bind::default()
            };
            peer.send(1, bind);
            peer.expect(1, exchange::BindOk {});
            let bind = queue::Bind {
                queue: "limited",
                exchange: "second",
                arguments: arguments([("x-match", "all".into()), ("n", FieldValue::I64(7))]),
                ..queue::Bind::default()
            };
            peer.send(1, bind);
            peer.expect(1, queue::BindOk {});
        },
        |world| {
            let peer = connect(world);
            let with = |n: i32| OwnedProperties {
                headers: Some(Headers::from(&arguments([("n", FieldValue::I32(n))]))),
                ..text()
            };
            // Topic to headers to queue; the queue has its limit.
            peer.publish(1, "first", "a.b.end", &with(7), b"");
            peer.publish(1, "first", "a.b.end", &with(7), b"");
            expect_ready(&peer, "limited", 1);
            peer.publish(1, "first", "a.b.end", &with(8), b"");
            expect_ready(&peer, "limited", 1);
            // No binding matches: the alternate exchange.
            peer.publish(1, "first", "a.b", &with(7), b"");
            expect_ready(&peer, "lost and found", 1);
            // Types and flags are as they were.
            peer.send(1, durable_exchange("second", "topic"));
            let text = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'second' in \
                        vhost '/': received 'topic' but current is 'headers'";
            let _ = peer.expect_channel_error(1, 406, text);
        },
    );
}

#[test]
fn what_is_not_durable_does_not_come_back() {
    restart(
        |world| {
            let peer = connect(world);
            peer.declare(1, "transient");
            peer.declare_exchange(1, "transient", "fanout");
            declare_exchange(&peer, durable_exchange("durable", "fanout"));
            peer.declare_durable(1, "durable");
            let declare = queue::Declare {
                queue: "exclusive",
                durable: true,
                exclusive: true,
                ..queue::Declare::default()
            };
            peer.declare_as(1, declare);
            peer.bind(1, "durable", "transient", "");
            peer.bind(1, "transient", "durable", "");
            peer.bind(1, "exclusive", "durable", "");
        },
        |world| {
            let peer = connect(world);
            for (kind, name) in
                [("queue", "transient"), ("queue", "exclusive"), ("exchange", "transient")]
            {
                expect_missing(&peer, kind, name);
            }
            peer.declare_exchange(1, "transient", "fanout");
            peer.declare(1, "transient");
            peer.publish(1, "transient", "", &text(), b"");
            peer.publish(1, "durable", "", &text(), b"");
            expect_ready(&peer, "durable", 0);
            expect_ready(&peer, "transient", 0);
        },
    );
}

#[test]
fn what_was_deleted_does_not_come_back() {
    restart(
        |world| {
            let peer = connect(world);
            for name in ["kept", "deleted"] {
                declare_exchange(&peer, durable_exchange(name, "fanout"));
                peer.declare_durable(1, name);
            }
            let auto =
                exchange::Declare { auto_delete: true, ..durable_exchange("auto", "fanout") };
            declare_exchange(&peer, auto);
            for (source, destination) in
                [("kept", "deleted"), ("deleted", "kept"), ("auto", "deleted")]
            {
                let bind = exchange::Bind { source, destination, ..exchange::Bind::default() };
                peer.send(1, bind);
                peer.expect(1, exchange::BindOk {});
                peer.bind(1, destination, source, "");
            }
            let auto = queue::Declare {
                queue: "auto",
                durable: true,
                auto_delete: true,
                ..Default::default()
            };
            peer.declare_as(1, auto);
            peer.bind(1, "auto", "kept", "");
            peer.consume(1, "auto", "c");
            peer.cancel(1, "c");
            peer.bind(1, "kept", "kept", "unbound");
            let unbind = queue::Unbind {
                queue: "kept",
                exchange: "kept",
                routing_key: "unbound",
                ..queue::Unbind::default()
            };
            peer.send(1, unbind);
            peer.expect(1, queue::UnbindOk {});
            peer.send(1, queue::Delete { queue: "deleted", ..queue::Delete::default() });
            peer.expect(1, queue::DeleteOk { message_count: 0 });
            peer.send(1, exchange::Delete { exchange: "deleted", ..exchange::Delete::default() });
            peer.expect(1, exchange::DeleteOk {});
        },
        |world| {
            let peer = connect(world);
            for (kind, name) in [
                ("queue", "deleted"),
                ("exchange", "deleted"),
                ("queue", "auto"),
                ("exchange", "auto"),
            ] {
                expect_missing(&peer, kind, name);
            }
            // Made anew they have no bindings of old.
            declare_exchange(&peer, durable_exchange("deleted", "fanout"));
            declare_exchange(&peer, durable_exchange("auto", "fanout"));
            for name in ["deleted", "auto"] {
                peer.declare_durable(1, name);
            }
            for name in ["deleted", "auto", "kept"] {
                peer.publish(1, name, "", &text(), b"");
            }
            for name in ["deleted", "auto", "kept"] {
                expect_ready(&peer, name, 0);
            }
        },
    );
}

/// The store holds exactly what the topology holds: nothing of what was deleted lies about in it, to
/// come back when somebody uses the name again.
#[test]
fn deletes_leave_no_row_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let world = World::on_disk(Arc::clone(&store));
    let peer = connect(&world);
    for name in ["a", "b"] {
        declare_exchange(&peer, durable_exchange(name, "direct"));
        peer.declare_durable(1, name);
    }
    for (source, destination) in [("a", "b"), ("b", "a"), ("a", "a")] {
        let bind = exchange::Bind { source, destination, ..exchange::Bind::default() };
        peer.send(1, bind);
        peer.expect(1, exchange::BindOk {});
        peer.bind(1, destination, source, "k");
    }
    assert_eq!(store.load().unwrap().len(), 11);
    for name in ["a", "b"] {
        peer.send(1, exchange::Delete { exchange: name, ..exchange::Delete::default() });
        peer.expect(1, exchange::DeleteOk {});
        peer.send(1, queue::Delete { queue: name, ..queue::Delete::default() });
        peer.expect(1, queue::DeleteOk { message_count: 0 });
    }
    let vhost = Definition { vhost: "/".into(), record: Record::Vhost(FieldTable::new()) };
    assert_eq!(store.load().unwrap(), [vhost]);
}

/// A store that dawdles over deletes before it takes them.
#[derive(Default)]
struct Slow(Mutex<Vec<Change>>);

impl DefinitionStore for Slow {
    fn commit(&self, _: &VhostName, change: Change, _: Done) -> Commit {
        if matches!(change, Change::DeleteExchange { .. }) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.lock().unwrap().push(change);
        Commit::Now
    }

    fn next_queue_ids(&self, _: u64) -> QueueId {
        QueueId(1)
    }

    fn requested(&self) -> u64 {
        0
    }

    fn committed(&self) -> u64 {
        0
    }

    fn when_committed(&self, _: u64, _: Done) -> Commit {
        Commit::Now
    }

    fn wait_committed(&self, _: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Otherwise an exchange that is there would be gone after a restart.
#[test]
fn delete_is_not_overtaken_by_the_declare_after_it() {
    let store = Arc::new(Slow::default());
    let messages = Arc::new(MemoryMessages);
    let broker = Broker::new(Limits::default(), Arc::clone(&store) as _, messages);
    let vhost = broker.create_vhost(&"/".into());
    let notify = || -> Done { Box::new(|_| {}) };
    let declare = || {
        let declaration = ExchangeDeclaration {
            kind: ExchangeKind::Fanout,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: FieldTable::new(),
        };
        vhost.declare_exchange(&"x".into(), declaration, &notify).unwrap();
    };
    for _ in 0..50 {
        declare();
        std::thread::scope(|scope| {
            scope.spawn(|| vhost.delete_exchange("x", false, &notify).unwrap());
            scope.spawn(|| {
                while vhost.expect_exchange("x").is_ok() {
                    std::thread::yield_now();
                }
                declare();
            });
        });
        let last = store.0.lock().unwrap().pop();
        assert!(matches!(last, Some(Change::PutExchange(_))), "{last:?}");
    }
}

#[test]
fn queue_that_is_declared_again_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut seen: Vec<QueueId> = Vec::new();
    for _ in 0..2 {
        let store = open(directory.path());
        let world = World::on_disk(Arc::clone(&store));
        let peer = connect(&world);
        for _ in 0..2 {
            peer.declare_durable(1, "q");
            let definitions = store.load().unwrap();
            let ids = definitions.iter().filter_map(|definition| match &definition.record {
                Record::Queue(queue) => Some(queue.id),
                _ => None,
            });
            let ids: Vec<QueueId> = ids.collect();
            assert!(!seen.contains(&ids[0]), "{ids:?} {seen:?}");
            seen.extend(ids);
            peer.send(1, queue::Delete { queue: "q", ..queue::Delete::default() });
            peer.expect(1, queue::DeleteOk { message_count: 0 });
        }
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn unused_queue_expires_after_a_restart_too() {
    restart(
        |world| {
            let declare = queue::Declare {
                queue: "q",
                durable: true,
                arguments: arguments([("x-expires", FieldValue::I32(1000))]),
                ..queue::Declare::default()
            };
            connect(world).declare_as(1, declare);
        },
        |world| {
            let peer = connect(world);
            let half = Duration::from_millis(600);
            world.broker.tick(world.now() + half);
            peer.counts(1, "q");
            // That counted as a use, at the world's time, which has not moved.
            world.broker.tick(world.now() + half + half);
            expect_missing(&peer, "queue", "q");
        },
    );
}

#[test]
fn definition_that_is_no_longer_valid_is_left_out_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let record = |name: &str, arguments| {
        let id = store.next_queue_id();
        QueueRecord { name: name.into(), id, auto_delete: false, arguments, undelivered: None }
    };
    let bad = record("bad", arguments([("x-max-length", FieldValue::Void)]));
    for queue in [bad.clone(), record("good", FieldTable::new())] {
        store.commit(&"/".into(), Change::PutQueue(queue), Box::new(|result| result.unwrap()));
    }
    store.wait_committed(store.requested()).unwrap();
    let world = World::new();
    let recovered = world.broker.recover(store.load().unwrap(), world.now());
    assert_eq!((recovered.queues, recovered.skipped), (1, 1));
    assert_eq!(recovered.skipped_queues, [bad.id]);
    let peer = connect(&world);
    peer.counts(1, "good");
    expect_missing(&peer, "queue", "bad");
    assert_eq!(store.load().unwrap().len(), 2);
}

#[test]
fn ten_thousand_queues_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let vhost = "/".into();
    for n in 0..10_000 {
        let name = format!("queue number {n}");
        let record = QueueRecord {
            name: name.as_str().into(),
            id: store.next_queue_id(),
            auto_delete: false,
            arguments: FieldTable::new(),
            undelivered: None,
        };
        store.commit(&vhost, Change::PutQueue(record), Box::new(|result| result.unwrap()));
    }
    let started = Instant::now();
    store.wait_committed(store.requested()).unwrap();
    println!("stored in {:?}, {} transactions", started.elapsed(), store.transactions());
    drop(store);
    let started = Instant::now();
    let store = open(directory.path());
    println!("opened after {:?}", started.elapsed());
    let definitions = store.load().unwrap();
    println!("loaded after {:?}", started.elapsed());
    let world = World::new();
    let recovered = world.broker.recover(definitions, world.now());
    println!("recovered after {:?}: {recovered}", started.elapsed());
    assert_eq!(recovered.queues, 10_000);
    let peer = connect(&world);
    peer.publish_as(1, publish("", "queue number 9999"), &text(), b"");
    expect_ready(&peer, "queue number 9999", 1);
}

/// Behaviour B4.16, B4.17: the hash, the weights and the order of the bindings are what they were.
#[test]
fn exchanges_that_choose_by_hash_choose_the_same_after_a_restart() {
    let header = arguments([("hash-header", "user".into())]);
    let exchanges = [
        ("by key", "x-consistent-hash"),
        ("by user", "x-consistent-hash"),
        ("mod", "x-modulus-hash"),
    ];
    let routes = |peer: &Peer| {
        let mut found = Vec::new();
        for (exchange, _) in exchanges {
            for n in 0..60 {
                let user = arguments([("user", (n * 7).into())]);
                let headers = Some(Headers::from(&user));
                let properties = OwnedProperties { headers, ..text() };
                peer.publish(1, exchange, &n.to_string(), &properties, format!("{n}").as_bytes());
            }
            found.extend(["one", "two", "three"].map(|queue| peer.drain(1, queue)));
        }
        found
    };
    let before = OnceCell::new();
    restart(
        |world| {
            let peer = connect(world);
            for (name, kind) in exchanges {
                let declare = durable_exchange(name, kind);
                let arguments = if name == "by user" { header.clone() } else { FieldTable::new() };
                declare_exchange(&peer, exchange::Declare { arguments, ..declare });
            }
            for (queue, weight) in [("two", "2"), ("three", "3"), ("one", "1")] {
                peer.declare_durable(1, queue);
                for (exchange, _) in exchanges {
                    peer.bind(1, queue, exchange, weight);
                }
            }
            before.set(routes(&peer)).unwrap();
        },
        |world| {
            let peer = connect(world);
            let before = before.get().unwrap();
            assert_eq!(routes(&peer), *before);
            assert!(before.iter().all(|bodies| bodies.len() > 2), "{before:?}");
            // The arguments are still those of the declaration: the key does not matter.
            let user = Some(Headers::from(&arguments([("user", 1.into())])));
            for n in 0..20 {
                let properties = OwnedProperties { headers: user.clone(), ..text() };
                peer.publish(1, "by user", &n.to_string(), &properties, b"m");
            }
            let found = ["one", "two", "three"].map(|queue| peer.drain(1, queue).len());
            assert_eq!(found.iter().max(), Some(&20), "{found:?}");
        },
    );
}

/// The arguments survive; what was remembered does not.
#[test]
fn exchanges_that_leave_out_duplicates_still_do_after_a_restart() {
    let order = |n: i32| OwnedProperties {
        headers: Some(Headers::from(&arguments([("order", n.into())]))),
        ..text()
    };
    let check = |peer: &Peer| {
        for exchange in ["type", "argument"] {
            // Two values are remembered, under this header, for ever.
            for n in [1, 1, 2, 1, 3, 1] {
                peer.publish(1, exchange, "k", &order(n), n.to_string().as_bytes());
            }
            assert_eq!(peer.drain(1, "q"), ["1", "2", "3", "1"], "{exchange}");
        }
    };
    restart(
        |world| {
            let peer = connect(world);
            peer.declare_durable(1, "q");
            for (name, kind) in [("type", "x-message-deduplication"), ("argument", "direct")] {
                let arguments = arguments([
                    ("x-message-deduplication", true.into()),
                    ("x-deduplication-header", "order".into()),
                    ("x-cache-size", 2.into()),
                ]);
                let declare = exchange::Declare { arguments, ..durable_exchange(name, kind) };
                declare_exchange(&peer, declare);
                peer.bind(1, "q", name, "k");
            }
            check(&peer);
        },
        |world| check(&connect(world)),
    );
}
