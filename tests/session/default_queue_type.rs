//! The type of queues that are declared without one (behaviour B10.1).

use leveret::broker::VhostMetadata;
use leveret::protocol::method::queue::Declare;
use leveret::protocol::{FieldTable, FieldValue};
use leveret::queue::{ConnectionId, QueueKind};
use leveret::storage::StoreError;
use leveret::time::Time;

use crate::support::{Peer, World};

fn set(world: &World, kind: Option<QueueKind>) {
    let done =
        || -> Box<dyn FnOnce(Result<(), StoreError>) + Send> { Box::new(|result| result.unwrap()) };
    let metadata = VhostMetadata { default_queue_type: kind, ..Default::default() };
    world.broker.put_vhost(&"/".into(), metadata, &done);
}

fn kind(world: &World, name: &str) -> QueueKind {
    world.broker.vhost("/").unwrap().queue(name, ConnectionId(u64::MAX)).unwrap().kind()
}

fn durable<'a>(queue: &'a str, arguments: &[(&str, FieldValue)]) -> Declare<'a> {
    let arguments = arguments.iter().map(|(name, value)| (*name, value.clone()));
    let arguments = arguments.collect::<FieldTable>();
    Declare { queue, durable: true, arguments, ..Declare::default() }
}

fn world(default: QueueKind) -> (World, Peer) {
    let world = World::new();
    set(&world, Some(default));
    let peer = world.open();
    (world, peer)
}

#[test]
fn queue_without_a_type_is_of_the_default() {
    for default in [QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream] {
        let (world, peer) = world(default);
        peer.declare_as(1, durable("plain", &[]));
        assert_eq!(kind(&world, "plain"), default);
        // As if the client had sent it: again with it, and again without.
        peer.declare_as(1, durable("plain", &[]));
        peer.declare_as(1, durable("plain", &[("x-queue-type", default.as_str().into())]));
        // Who says something is heard.
        for said in [QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream] {
            let typed = durable(said.as_str(), &[("x-queue-type", said.as_str().into())]);
            peer.declare_as(1, typed);
            assert_eq!(kind(&world, said.as_str()), said);
        }
        assert_eq!(peer.counts(1, "plain").0, 0);
    }
}

#[test]
fn queues_that_the_type_cannot_be_are_classic() {
    for default in [QueueKind::Quorum, QueueKind::Stream] {
        let (world, peer) = world(default);
        let declare = |queue, durable, auto_delete| Declare {
            queue,
            durable,
            auto_delete,
            ..Declare::default()
        };
        peer.declare_as(1, declare("transient", false, false));
        peer.declare_as(1, declare("auto", true, true));
        peer.declare_as(1, Declare { exclusive: true, ..declare("mine", true, false) });
        let (named, ..) =
            peer.declare_as(1, Declare { exclusive: true, ..declare("", false, true) });
        assert!(named.starts_with("amq.gen-"));
        for name in ["transient", "auto"] {
            assert_eq!(kind(&world, name), QueueKind::Classic, "{name}");
        }
        assert_eq!(peer.counts(1, "mine").0, 0);
        // What is of the type goes by its rules.
        let text = format!(
            "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_{}_queue",
            default.as_str()
        );
        peer.refused(1, durable("", &[]), 406, &text);
        let text = format!(
            "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'p' in vhost '/' of queue type rabbit_{}_queue",
            default.as_str()
        );
        peer.refused(1, durable("p", &[("x-max-priority", 5.into())]), 406, &text);
    }
}

#[test]
fn queue_that_exists_keeps_its_type() {
    let (world, peer) = world(QueueKind::Quorum);
    set(&world, None);
    peer.declare_as(1, durable("old", &[]));
    set(&world, Some(QueueKind::Stream));
    peer.declare_as(1, durable("old", &[]));
    peer.declare_as(1, durable("new", &[]));
    set(&world, Some(QueueKind::Quorum));
    for (name, is) in [("old", QueueKind::Classic), ("new", QueueKind::Stream)] {
        peer.declare_as(1, durable(name, &[]));
        assert_eq!(kind(&world, name), is);
    }
    // The rest has to be the same still.
    let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'old' in vhost '/': received 'false' but current is 'true'";
    peer.refused(1, Declare { queue: "old", ..Declare::default() }, 406, text);
}

#[test]
fn default_and_what_it_made_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path(), Time(0));
    set(&world, Some(QueueKind::Quorum));
    let peer = world.open();
    peer.declare_as(1, durable("q", &[]));
    let now = world.now();
    drop((peer, world));
    let world = World::in_directory(directory.path(), now);
    assert_eq!(kind(&world, "q"), QueueKind::Quorum);
    let peer = world.open();
    peer.declare_as(1, durable("q", &[]));
    peer.declare_as(1, durable("r", &[]));
    assert_eq!(kind(&world, "r"), QueueKind::Quorum);
}
