//! Vhosts that are deleted, users who are deleted, and limits (behaviour B2.10, B2.11, B10.1, B10.7,
//! B10.8).

use std::time::Duration;

use leveret::auth::{PasswordHash, Patterns, User, UserLimits, unheard};
use leveret::broker::VhostMetadata;
use leveret::protocol::method::{basic, exchange, queue};
use leveret::protocol::{FieldTable, FieldValue, OwnedProperties};
use leveret::storage::StoreError;
use leveret::time::Time;

use crate::support::{Client, Peer, World, persistent, text};

fn done() -> Box<dyn FnOnce(Result<(), StoreError>) + Send> {
    Box::new(|result| result.unwrap())
}

fn make(world: &World, vhost: &str, metadata: VhostMetadata) {
    world.broker.put_vhost(&vhost.into(), metadata, &done);
    let (guest, vhost) = ("guest".into(), vhost.into());
    world.authenticator.permit(&guest, &vhost, Patterns::EVERYTHING, unheard()).unwrap();
}

fn in_vhost(vhost: &'static str) -> Client {
    Client { vhost, ..Client::default() }
}

/// Sends what opens a connection; what comes next is the answer.
fn knock(world: &World, client: &Client) -> Peer {
    let peer = world.dial();
    peer.send_header();
    peer.expect_start();
    peer.send_start_ok(client);
    peer.expect_tune();
    peer.send_tune_ok(client);
    peer.send_open(client.vhost);
    peer
}

#[test]
fn deleted_vhost_ends_its_connections_and_nobody_elses() {
    let world = World::new();
    make(&world, "wood", VhostMetadata::default());
    let (idle, consumer) =
        (world.connect_as(&in_vhost("wood")), world.connect_as(&in_vhost("wood")));
    consumer.open_channel(1);
    consumer.declare(1, "q");
    consumer.publish(1, "", "q", &text(), b"");
    // It ends with its connection, and with its vhost, but once.
    consumer.declare_as(1, queue::Declare { queue: "own", exclusive: true, ..Default::default() });
    let other = world.open();
    assert!(world.broker.delete_vhost("wood", world.now(), &done).is_some());
    assert!(world.broker.delete_vhost("wood", world.now(), &done).is_none());
    // Everybody looks.
    world.advance(Duration::ZERO);
    let reason = "CONNECTION_FORCED - vhost 'wood' is deleted";
    idle.expect_connection_error(320, reason, 0, 0);
    consumer.expect_connection_error(320, reason, 0, 0);
    assert_eq!(world.broker.churn.counts().queue_deleted, 2);
    other.declare(1, "q");
    knock(&world, &in_vhost("wood")).expect_connection_error(
        530,
        "NOT_ALLOWED - vhost wood not found",
        10,
        40,
    );
}

#[test]
fn vhost_made_again_is_empty_and_closed() {
    let world = World::new();
    make(&world, "wood", VhostMetadata { description: "old".to_owned(), ..Default::default() });
    let peer = world.connect_as(&in_vhost("wood"));
    peer.open_channel(1);
    peer.declare(1, "q");
    drop(peer);
    world.broker.delete_vhost("wood", world.now(), &done).unwrap();
    world.authenticator.forget_vhost(&"wood".into());
    world.broker.put_vhost(&"wood".into(), VhostMetadata::default(), &done);
    assert_eq!(world.broker.vhost("wood").unwrap().metadata(), VhostMetadata::default());
    let refused = "NOT_ALLOWED - access to vhost 'wood' refused for user 'guest'";
    knock(&world, &in_vhost("wood")).expect_connection_error(530, refused, 10, 40);
    make(&world, "wood", VhostMetadata::default());
    let peer = world.connect_as(&in_vhost("wood"));
    peer.open_channel(1);
    let passive = queue::Declare { queue: "q", passive: true, ..Default::default() };
    peer.refused(1, passive, 404, "NOT_FOUND - no queue 'q' in vhost 'wood'");
    let bind = queue::Bind { queue: "q", exchange: "amq.topic", ..Default::default() };
    peer.declare(1, "q");
    peer.call(1, bind, queue::BindOk {});
}

/// Queues, bindings, messages and permissions; also what was asked for too late.
#[test]
fn deleted_vhost_does_not_come_back_with_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path(), Time(0));
    for vhost in ["wood", "field"] {
        make(&world, vhost, VhostMetadata { description: vhost.to_owned(), ..Default::default() });
    }
    let peer = world.connect_as(&in_vhost("wood"));
    peer.open_channel(1);
    let dead = [
        ("x-dead-letter-exchange", FieldValue::from("")),
        ("x-dead-letter-routing-key", "dead".into()),
    ];
    peer.declare_durable_with(1, "q", dead.into_iter().collect::<FieldTable>());
    peer.declare_durable(1, "dead");
    peer.bind(1, "q", "amq.topic", "#");
    for _ in 0..100 {
        peer.publish(1, "", "q", &persistent(), b"kept");
    }
    // What waits in an exchange lies in queues that nobody sees.
    let arguments = [("x-delayed-type", FieldValue::from("fanout"))].into_iter().collect();
    let delaying = exchange::Declare {
        exchange: "later",
        kind: "x-delayed-message",
        durable: true,
        arguments,
        ..Default::default()
    };
    peer.call(1, delaying, exchange::DeclareOk {});
    let delay = [("x-delay", FieldValue::from(60_000))].into_iter().collect::<FieldTable>();
    let delayed = OwnedProperties { headers: Some((&delay).into()), ..persistent() };
    peer.publish(1, "later", "", &delayed, b"waits");
    let vhost = world.broker.vhost("wood").unwrap();
    world.broker.delete_vhost("wood", world.now(), &done).unwrap();
    // Somebody still has it in hand.
    assert!(
        vhost
            .declare_exchange(
                &"late".into(),
                leveret::broker::ExchangeDeclaration {
                    kind: leveret::exchange::ExchangeKind::Topic,
                    durable: true,
                    auto_delete: false,
                    internal: false,
                    arguments: FieldTable::new(),
                },
                &done,
            )
            .is_err()
    );
    peer.send(1, queue::Declare { queue: "late", durable: true, ..Default::default() });
    peer.expect_connection_error(320, "CONNECTION_FORCED - vhost 'wood' is deleted", 0, 0);
    let now = world.now();
    drop((peer, vhost, world));

    let world = World::in_directory(directory.path(), now);
    assert!(world.broker.vhost("wood").is_none());
    assert_eq!(world.broker.vhost("field").unwrap().metadata().description, "field");
    make(&world, "wood", VhostMetadata::default());
    let peer = world.connect_as(&in_vhost("wood"));
    peer.open_channel(1);
    for name in ["q", "dead", "late"] {
        assert_eq!(
            peer.declare_as(1, queue::Declare { queue: name, durable: true, ..Default::default() })
                .1,
            0
        );
    }
}

#[test]
fn connections_of_a_deleted_user_end_and_what_they_held_goes_back() {
    let world = World::new();
    let hare = User {
        name: "hare".into(),
        password: PasswordHash::new("hare"),
        tags: Vec::new(),
        limits: UserLimits { connections_max: Some(1), ..Default::default() },
    };
    world.authenticator.put_user(hare, unheard());
    let (hare, root) = ("hare".into(), "/".into());
    world.authenticator.permit(&hare, &root, Patterns::EVERYTHING, unheard()).unwrap();
    let client = Client { response: b"\0hare\0hare".to_vec(), ..Client::default() };
    let peer = world.connect_as(&client);
    peer.open_channel(1);
    peer.declare(1, "q");
    peer.publish(1, "", "q", &text(), b"");
    peer.consume(1, "q", "c");
    let _ = peer.expect_delivery(1);

    let full =
        "NOT_ALLOWED - connection refused for user 'hare': user connection limit (1) is reached";
    knock(&world, &client).expect_connection_error(530, full, 10, 40);

    world.authenticator.delete_user(&hare, unheard()).unwrap();
    world.broker.close_connections("user 'hare' is deleted", |connected| connected.user == hare);
    world.advance(Duration::ZERO);
    peer.expect_connection_error(320, "CONNECTION_FORCED - user 'hare' is deleted", 0, 0);
    let guest = world.open();
    assert_eq!(guest.counts(1, "q"), (1, 0));
    let get = guest.get(1, "q").unwrap();
    assert!(get.redelivered);
}

#[test]
fn connections_of_a_vhost_are_limited() {
    let world = World::new();
    make(&world, "wood", VhostMetadata { connections_max: Some(1), ..Default::default() });
    let first = world.connect_as(&in_vhost("wood"));
    let full = "NOT_ALLOWED - access to vhost 'wood' refused for user 'guest': connection limit (1) is reached";
    for _ in 0..2 {
        knock(&world, &in_vhost("wood")).expect_connection_error(530, full, 10, 40);
    }
    let _elsewhere = world.connect();
    first.hang_up();
    let _second = world.connect_as(&in_vhost("wood"));
    // Nobody at all; who is there stays.
    make(&world, "wood", VhostMetadata { connections_max: Some(0), ..Default::default() });
    let full = full.replace("(1)", "(0)");
    knock(&world, &in_vhost("wood")).expect_connection_error(530, &full, 10, 40);
    make(&world, "wood", VhostMetadata::default());
    let _third = world.connect_as(&in_vhost("wood"));
}

#[test]
fn queues_of_a_vhost_are_limited() {
    let world = World::new();
    make(&world, "/", VhostMetadata { queues_max: Some(2), ..Default::default() });
    let peer = world.open();
    peer.declare(1, "a");
    peer.declare(1, "b");
    let text =
        "PRECONDITION_FAILED - cannot declare queue 'c': queue limit in vhost '/' (2) is reached";
    let declare = |queue| queue::Declare { queue, ..Default::default() };
    peer.refused(1, declare("c"), 406, text);
    peer.declare(1, "a");
    peer.call(
        1,
        queue::Delete { queue: "a", ..Default::default() },
        queue::DeleteOk { message_count: 0 },
    );
    peer.declare(1, "c");
    let get = basic::Get { queue: "c", no_ack: true };
    peer.call(1, get, basic::GetEmpty {});
}
