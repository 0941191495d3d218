//! Messages that an operator takes from the middle of a queue, to move them or be rid of them.

use std::sync::Arc;

use leveret::broker::{LastDeath, Relocation, Vhost};
use leveret::protocol::method::basic;
use leveret::protocol::{FieldTable, FieldValue, Method};
use leveret::queue::{Effects, Queue};
use leveret::time::Time;

use crate::support::{Peer, World, persistent, text};

fn vhost(world: &World) -> Arc<Vhost> {
    world.broker.vhost("/").unwrap()
}

fn queue(world: &World, name: &str) -> Arc<Queue> {
    vhost(world).queue(name, world.broker.next_connection_id()).unwrap()
}

/// Moves what stands at these positions, and says how many were moved.
fn relocate(world: &World, from: &str, wanted: &[(u64, u64)], to: &Relocation) -> usize {
    let (from, mut effects) = (queue(world, from), Effects::default());
    let taken = from.take(wanted, world.now(), &mut effects);
    assert_eq!(taken.on_disk.len(), 0);
    let moved = vhost(world).relocate(&from, taken.messages, to, world.now(), &mut effects);
    vhost(world).act(world.now(), &mut effects);
    effects.wakes.ring();
    moved
}

fn to_exchange(name: &str, routing_key: Option<&str>) -> Relocation {
    Relocation::Exchange { name: name.to_owned(), routing_key: routing_key.map(str::to_owned) }
}

fn bodies(peer: &Peer, queue: &str) -> Vec<String> {
    let got = std::iter::from_fn(|| peer.get(1, queue));
    let bodies = got.map(|delivery| {
        assert!(!delivery.redelivered);
        delivery.text()
    });
    bodies.collect()
}

fn five_in(peer: &Peer, queue: &str) {
    for body in ["1", "2", "3", "4", "5"] {
        peer.publish(1, "", queue, &text(), body.as_bytes());
    }
}

#[test]
fn messages_from_the_middle_go_into_another_queue_as_they_are() {
    let world = World::new();
    let peer = world.open();
    for name in ["from", "to"] {
        peer.declare(1, name);
    }
    five_in(&peer, "from");
    let to = Relocation::Queue(queue(&world, "to"));
    assert_eq!(relocate(&world, "from", &[(2, 2), (4, 4), (9, 9)], &to), 2);
    let moved = peer.get(1, "to").unwrap();
    assert_eq!((moved.exchange.as_str(), moved.routing_key.as_str()), ("", "from"));
    assert_eq!(moved.text(), "2");
    assert_eq!(bodies(&peer, "to"), ["4"]);
    assert_eq!(bodies(&peer, "from"), ["1", "3", "5"]);
}

#[test]
fn an_exchange_routes_them_and_what_has_no_route_stays_at_its_place() {
    let world = World::new();
    let peer = world.open();
    for name in ["from", "to"] {
        peer.declare(1, name);
    }
    peer.declare_exchange(1, "x", "direct");
    peer.bind(1, "to", "x", "key");
    five_in(&peer, "from");
    assert_eq!(relocate(&world, "from", &[(2, 4)], &to_exchange("x", None)), 0);
    assert_eq!(relocate(&world, "from", &[(2, 4)], &to_exchange("nowhere", Some("key"))), 0);
    assert_eq!(relocate(&world, "from", &[(2, 3)], &to_exchange("x", Some("key"))), 2);
    let moved = peer.get(1, "to").unwrap();
    assert_eq!((moved.exchange.as_str(), moved.routing_key.as_str()), ("x", "key"));
    assert_eq!(bodies(&peer, "to"), ["3"]);
    assert_eq!(bodies(&peer, "from"), ["1", "4", "5"]);
}

#[test]
fn a_consumer_of_the_other_queue_gets_them_at_once() {
    let world = World::new();
    let peer = world.open();
    for name in ["from", "to"] {
        peer.declare(1, name);
    }
    five_in(&peer, "from");
    peer.consume_no_ack(1, "to", "c");
    assert_eq!(relocate(&world, "from", &[(1, 1)], &Relocation::Queue(queue(&world, "to"))), 1);
    world.advance(std::time::Duration::ZERO);
    assert_eq!(peer.recv().delivery().text(), "1");
}

#[test]
fn what_a_full_queue_refuses_stays_at_its_place() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "from");
    let limits = [("x-max-length", FieldValue::I32(1)), ("x-overflow", "reject-publish".into())];
    peer.declare_with(1, "to", FieldTable::from_iter(limits));
    five_in(&peer, "from");
    assert_eq!(relocate(&world, "from", &[(2, 4)], &Relocation::Queue(queue(&world, "to"))), 1);
    assert_eq!(bodies(&peer, "from"), ["1", "3", "4", "5"]);
    assert_eq!(bodies(&peer, "to"), ["2"]);
}

#[test]
fn the_dead_go_back_to_where_they_came_from() {
    let world = World::new();
    let peer = world.open();
    let dead_letters = [
        ("x-dead-letter-exchange", FieldValue::from("")),
        ("x-dead-letter-routing-key", "dead".into()),
    ];
    peer.declare(1, "dead");
    peer.declare_with(1, "tasks", FieldTable::from_iter(dead_letters));
    peer.declare_exchange(1, "x", "fanout");
    peer.bind(1, "tasks", "x", "");
    peer.publish(1, "x", "some.key", &text(), b"task");
    peer.publish(1, "", "dead", &text(), b"never was elsewhere");
    let task = peer.get(1, "tasks").unwrap();
    let reject = basic::Reject { delivery_tag: task.delivery_tag, requeue: false };
    peer.send(1, reject);
    assert_eq!(peer.counts(1, "dead").0, 2);

    let browsed = queue(&world, "dead").take(&[(2, 2)], world.now(), &mut Effects::default());
    let death = LastDeath::of(&browsed.messages[0].message).unwrap();
    let expected = LastDeath {
        queue: "tasks".to_owned(),
        exchange: "x".to_owned(),
        routing_key: "some.key".to_owned(),
        reason: "rejected".to_owned(),
    };
    assert_eq!(death, expected);
    queue(&world, "dead").requeue(browsed.messages, &[], world.now(), &mut Effects::default());

    assert_eq!(relocate(&world, "dead", &[(1, 2)], &Relocation::Origin), 1);
    let again = peer.get(1, "tasks").unwrap();
    assert_eq!((again.exchange.as_str(), again.routing_key.as_str()), ("x", "some.key"));
    assert_eq!(bodies(&peer, "dead"), ["never was elsewhere"]);
}

#[test]
fn a_restart_finds_them_where_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path(), Time(0));
    let peer = world.open();
    peer.confirm_select(1);
    for name in ["from", "to"] {
        peer.declare_durable(1, name);
    }
    for body in ["1", "2", "3", "4"] {
        peer.publish(1, "", "from", &persistent(), body.as_bytes());
        assert!(matches!(peer.recv().method(), Method::Basic(basic::Method::Ack(_))));
    }
    let to = Relocation::Queue(queue(&world, "to"));
    assert_eq!(relocate(&world, "from", &[(2, 2)], &to), 1);
    let from = queue(&world, "from");
    let taken = from.take(&[(4, 4)], world.now(), &mut Effects::default());
    from.settle_taken(leveret::storage::Group::ALONE, &taken.messages);
    drop((world, peer, to, from));
    let world = World::in_directory(directory.path(), Time(0));
    let peer = world.open();
    let next = |queue| peer.get(1, queue).map(|delivery| delivery.text());
    assert_eq!([next("to"), next("to")], [Some("2".to_owned()), None]);
    let left = [next("from"), next("from"), next("from")];
    assert_eq!(left, [Some("1".to_owned()), Some("3".to_owned()), None]);
}
