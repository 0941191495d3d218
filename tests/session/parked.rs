//! Answers that come later: a channel whose last request has to become durable first is parked, and
//! what comes for it meanwhile is kept and handled in order.

use std::time::Duration;

use leveret::protocol::Method;
use leveret::protocol::method::{basic, channel, connection, exchange, queue, tx};
use leveret::storage::{Change, StoreError};

use crate::support::{
    Client, Peer, World, channel_close, header_frame, method_frame, persistent, publish, raw_frame,
    text,
};

/// A client with channels 1 and 2, and the durable queue `d`, in a world whose store takes its time.
fn world_of_a_slow_store() -> (World, Peer) {
    let world = World::held();
    let peer = world.connect();
    peer.open_channel(1);
    peer.open_channel(2);
    declare(&peer, "d");
    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "d");
    (world, peer)
}

/// Asks for a durable queue on channel 1.
fn declare(peer: &Peer, queue: &str) {
    peer.send(1, durable(queue));
}

fn durable(queue: &str) -> queue::Declare<'_> {
    queue::Declare { queue, durable: true, ..Default::default() }
}

fn passive(queue: &str) -> queue::Declare<'_> {
    queue::Declare { queue, passive: true, ..Default::default() }
}

#[track_caller]
fn expect_declared(peer: &Peer, channel: u16, queue: &str) {
    peer.expect(channel, queue::DeclareOk { queue, message_count: 0, consumer_count: 0 });
}

fn failure() -> Result<(), StoreError> {
    Err(StoreError("no space left on device".to_owned()))
}

/// Every change of what is durable is answered when it is.
#[test]
fn changes_are_answered_after_their_commit() {
    #[track_caller]
    fn check<'m>(
        world: &World,
        peer: &Peer,
        ask: impl Into<Method<'m>>,
        answer: impl Into<Method<'m>>,
        is_change: fn(&Change) -> bool,
    ) {
        peer.send(1, ask);
        peer.expect_nothing();
        let changes = world.finish_commits(&Ok(()));
        assert!(changes.len() == 1 && is_change(&changes[0]), "{changes:?}");
        peer.expect(1, answer);
        peer.expect_nothing();
    }

    let (world, peer) = world_of_a_slow_store();
    let (w, p) = (&world, &peer);
    let declare = exchange::Declare { exchange: "x", kind: "topic", ..Default::default() };
    let declare = exchange::Declare { durable: true, ..declare };
    check(w, p, declare, exchange::DeclareOk {}, |c| matches!(c, Change::PutExchange { .. }));
    let declare_ok = queue::DeclareOk { queue: "q", message_count: 0, consumer_count: 0 };
    check(w, p, durable("q"), declare_ok, |c| matches!(c, Change::PutQueue { .. }));
    let bind = queue::Bind { queue: "q", exchange: "x", routing_key: "#", ..Default::default() };
    check(w, p, bind, queue::BindOk {}, |c| matches!(c, Change::PutBinding(_)));
    let (source, destination) = ("x", "amq.fanout");
    let bind = exchange::Bind { source, destination, ..Default::default() };
    check(w, p, bind, exchange::BindOk {}, |c| matches!(c, Change::PutBinding(_)));
    let unbind = exchange::Unbind { source, destination, ..Default::default() };
    check(w, p, unbind, exchange::UnbindOk {}, |c| matches!(c, Change::DeleteBinding(_)));
    let unbind =
        queue::Unbind { queue: "q", exchange: "x", routing_key: "#", ..Default::default() };
    check(w, p, unbind, queue::UnbindOk {}, |c| matches!(c, Change::DeleteBinding(_)));
    let delete = queue::Delete { queue: "q", ..Default::default() };
    let delete_ok = queue::DeleteOk { message_count: 0 };
    check(w, p, delete, delete_ok, |c| matches!(c, Change::DeleteQueue { .. }));
    let delete = exchange::Delete { exchange: "x", ..Default::default() };
    check(w, p, delete, exchange::DeleteOk {}, |c| matches!(c, Change::DeleteExchange { .. }));
}

/// What is not durable, or is so already, has nothing to wait for.
#[test]
fn what_changes_nothing_durable_is_answered_at_once() {
    let (world, peer) = world_of_a_slow_store();
    declare(&peer, "d");
    expect_declared(&peer, 1, "d");
    peer.declare(1, "t");
    peer.declare_as(1, queue::Declare { exclusive: true, ..durable("e") });
    peer.declare_exchange(1, "x", "topic");
    peer.bind(1, "t", "amq.topic", "#");
    peer.bind(1, "d", "x", "#");
    peer.send(1, queue::Delete { queue: "t", ..Default::default() });
    peer.expect(1, queue::DeleteOk { message_count: 0 });
    assert!(world.finish_commits(&Ok(())).is_empty());
}

/// In order, whole publishes among them, in small pieces and large.
#[test]
fn kept_frames_are_handled_in_order() {
    let (world, peer) = world_of_a_slow_store();
    declare(&peer, "q");
    peer.publish(1, "", "q", &text(), b"small");
    let large = vec![b'x'; 300_000];
    peer.publish(1, "", "q", &text(), &large);
    peer.send_bytes(&method_frame(1, publish("", "q")));
    peer.send_bytes(&header_frame(1, 2, &text()));
    peer.send_bytes(&raw_frame(3, 1, b"a"));
    peer.send_bytes(&raw_frame(3, 1, b"b"));
    peer.send(1, basic::Consume { queue: "q", consumer_tag: "c", ..Default::default() });
    peer.send(1, queue::Purge { queue: "d", nowait: false });
    peer.expect_nothing();
    assert_eq!(peer.counts(2, "q"), (0, 0), "nothing was handled early");

    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "q");
    peer.expect(1, basic::ConsumeOk { consumer_tag: "c" });
    peer.expect(1, queue::PurgeOk { message_count: 0 });
    assert_eq!(peer.expect_delivery(1).text(), "small");
    assert!(peer.expect_delivery(1).content.body == large);
    assert_eq!(peer.expect_delivery(1).text(), "ab");
    peer.expect_nothing();
}

/// A content may begin while the channel is parked and end afterwards.
#[test]
fn content_may_straddle_the_answer() {
    let (world, peer) = world_of_a_slow_store();
    declare(&peer, "q");
    peer.send_bytes(&method_frame(1, publish("", "q")));
    peer.send_bytes(&header_frame(1, 4, &text()));
    peer.send_bytes(&raw_frame(3, 1, b"ab"));
    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "q");
    peer.send_bytes(&raw_frame(3, 1, b"cd"));
    assert_eq!(peer.get(1, "q").expect("the message").text(), "abcd");
}

/// Other channels, other connections and deliveries do not wait.
#[test]
fn everything_else_goes_on() {
    let (world, peer) = world_of_a_slow_store();
    let other = world.connect();
    other.open_channel(1);
    peer.consume(1, "d", "c");
    declare(&peer, "q");
    assert_eq!(other.counts(1, "q"), (0, 0));
    other.publish(1, "", "d", &text(), b"meanwhile");
    assert_eq!(peer.expect_delivery(1).text(), "meanwhile");
    peer.open_channel(3);
    peer.declare(2, "t");
    peer.close_channel(3);
    peer.send_heartbeat();
    peer.expect_nothing();
    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "q");
}

/// Each channel for itself, in whatever order the requests came.
#[test]
fn several_channels_may_be_parked() {
    let (world, peer) = world_of_a_slow_store();
    peer.send(2, durable("two"));
    peer.send(1, durable("one"));
    peer.send(2, passive("one"));
    peer.expect_nothing();
    assert_eq!(world.finish_commits(&Ok(())).len(), 2);
    expect_declared(&peer, 2, "two");
    expect_declared(&peer, 2, "one");
    expect_declared(&peer, 1, "one");
    peer.expect_nothing();
}

/// One commit after the other, as the client asked for them.
#[test]
fn kept_request_may_park_the_channel_again() {
    let (world, peer) = world_of_a_slow_store();
    declare(&peer, "a");
    declare(&peer, "b");
    peer.send(1, passive("d"));
    assert_eq!(world.finish_commits(&Ok(())).len(), 1);
    expect_declared(&peer, 1, "a");
    peer.expect_nothing();
    assert_eq!(world.finish_commits(&Ok(())).len(), 1);
    expect_declared(&peer, 1, "b");
    expect_declared(&peer, 1, "d");
}

/// A request with nowait gets no answer, and what comes after it waits all the same.
#[test]
fn nowait_parks_without_an_answer() {
    let (world, peer) = world_of_a_slow_store();
    peer.send(1, queue::Declare { nowait: true, ..durable("q") });
    peer.send(1, passive("q"));
    peer.expect_nothing();
    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "q");
    peer.expect_nothing();
}

/// The store failed: nobody knows what is on the disk, so the connection ends, with a bare text.
#[test]
fn failed_commit_is_an_internal_error() {
    let (world, peer) = world_of_a_slow_store();
    declare(&peer, "q");
    peer.send(1, passive("d"));
    world.finish_commits(&failure());
    peer.expect_connection_error(541, "INTERNAL_ERROR", 0, 0);
    peer.send(0, connection::CloseOk {});
    peer.expect_end();
}

/// Closing and opening again while parked: all of it happens, later and in order.
#[test]
fn parked_channel_may_be_closed_and_opened_again() {
    let (world, peer) = world_of_a_slow_store();
    declare(&peer, "q");
    peer.send(1, channel_close());
    peer.send(1, channel::Open {});
    peer.send(1, passive("q"));
    peer.expect_nothing();
    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "q");
    peer.expect(1, channel::CloseOk {});
    peer.expect(1, channel::OpenOk {});
    expect_declared(&peer, 1, "q");
}

/// An error among what was kept closes the channel; the rest of it is dropped up to close-ok.
#[test]
fn kept_request_may_be_an_error() {
    let (world, peer) = world_of_a_slow_store();
    declare(&peer, "q");
    peer.send(1, queue::Purge { queue: "none", nowait: false });
    peer.publish(1, "", "q", &text(), b"dropped");
    peer.send(1, channel::CloseOk {});
    peer.send(1, channel::Open {});
    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "q");
    peer.expect_channel_error(1, 404, "NOT_FOUND - no queue 'none' in vhost '/'")
        .for_method(50, 30);
    peer.expect(1, channel::OpenOk {});
    assert_eq!(peer.counts(1, "q"), (0, 0));
}

/// The connection need not wait for its channels in order to end; a late commit finds nobody.
#[test]
fn connection_may_end_while_a_channel_is_parked() {
    let goodbyes: [fn(&Peer); 3] = [
        |peer| {
            peer.send(0, connection::Close { reply_code: 200, ..Default::default() });
            peer.expect(0, connection::CloseOk {});
        },
        |peer| {
            peer.send(2, channel::Open {});
            let text = "CHANNEL_ERROR - second 'channel.open' seen";
            peer.expect_connection_error(504, text, 20, 10);
            peer.send(0, connection::CloseOk {});
        },
        |peer| peer.hang_up(),
    ];
    for goodbye in goodbyes {
        for result in [Ok(()), failure()] {
            let (world, peer) = world_of_a_slow_store();
            declare(&peer, "q");
            goodbye(&peer);
            // Somebody else on the same channel waits for his own.
            let other = world.connect();
            other.open_channel(1);
            world.finish_commits(&result);
            peer.expect_end();
            declare(&other, "r");
            other.expect_nothing();
            world.finish_commits(&Ok(()));
            expect_declared(&other, 1, "r");
        }
    }
}

/// Behaviour B7.4 and B3.6: commit-ok comes when the store has it; what follows waits for it.
#[test]
fn commit_parks_the_channel() {
    let (world, peer) = world_of_a_slow_store();
    peer.tx_select(1);
    peer.publish(1, "", "d", &persistent(), b"1");
    peer.send(1, tx::Commit {});
    peer.publish(1, "", "d", &text(), b"2");
    peer.send(1, tx::Commit {});
    peer.send(1, passive("d"));
    assert_eq!(peer.counts(2, "d"), (1, 0));
    peer.expect_nothing();
    world.sync();
    peer.expect(1, tx::CommitOk {});
    peer.expect(1, tx::CommitOk {});
    peer.expect(1, queue::DeclareOk { queue: "d", message_count: 2, consumer_count: 0 });
}

/// Confirms of a parked channel come as always.
#[test]
fn confirms_do_not_wait_for_a_parked_channel() {
    let (world, peer) = world_of_a_slow_store();
    peer.confirm_select(1);
    peer.publish(1, "", "d", &persistent(), b"1");
    declare(&peer, "q");
    peer.publish(1, "", "d", &persistent(), b"2");
    world.sync();
    peer.expect_confirm(1, 1, false);
    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "q");
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 2, false);
}

/// A consumer of `d` on channel 1, which is parked and has been sent `kept`; the commit and a message
/// for the consumer reach it in one batch.
#[track_caller]
fn commit_and_delivery_at_once(result: &Result<(), StoreError>, kept: &[Vec<u8>]) -> (Peer, Peer) {
    let world = World::held();
    let publisher = world.connect();
    publisher.open_channel(1);
    publisher.declare(1, "work");
    publisher.declare(1, "other");
    let consumer = world.connect();
    consumer.open_channel(1);
    consumer.consume(1, "work", "c");
    declare(&consumer, "q");
    consumer.send_bytes(&kept.concat());
    world.finish_commits_unseen(result);
    publisher.publish(1, "", "work", &text(), b"task");
    (publisher, consumer)
}

/// The task is not lost, whatever the kept frames do to its consumer.
#[test]
fn delivery_beside_a_commit_is_not_lost() {
    let cancel = method_frame(1, basic::Cancel { consumer_tag: "c", nowait: true });
    let close = method_frame(1, channel_close());
    let error = method_frame(1, queue::Purge { queue: "none", nowait: false });
    let fatal = method_frame(1, channel::Open {});
    let open = method_frame(1, channel::Open {});
    let consume = basic::Consume { queue: "other", consumer_tag: "c", ..Default::default() };
    let consume = method_frame(1, consume);
    for (result, kept, is_held) in [
        (failure(), vec![], false),
        (Ok(()), vec![cancel], true),
        (Ok(()), vec![close.clone()], false),
        (Ok(()), vec![error], false),
        (Ok(()), vec![fatal], false),
        // The consumer of another queue takes the place of the first.
        (Ok(()), vec![close, open, consume], false),
    ] {
        let (publisher, consumer) = commit_and_delivery_at_once(&result, &kept);
        if is_held {
            // It was delivered before the cancellation, and stays with the channel.
            assert_eq!(consumer.expect_delivery(1).text(), "task");
            consumer.hang_up();
        }
        let task = publisher.get(1, "work").expect("the task");
        assert_eq!(task.text(), "task");
        assert_eq!(publisher.get(1, "work"), None);
    }
}

/// A channel keeps so much, then the connection is not read any further; frames without a payload
/// count too.
#[test]
fn what_is_kept_is_bounded() {
    for frame in [raw_frame(3, 1, &[0; 1024]), raw_frame(3, 1, b"")] {
        let (world, peer) = world_of_a_slow_store();
        declare(&peer, "q");
        let packet = frame.repeat(100);
        let mut sent = 0;
        while peer.unread() == 0 {
            peer.send_bytes(&packet);
            sent += 100;
            assert!(sent <= 40_000, "{sent} frames of {} bytes are kept", frame.len());
        }
        world.finish_commits(&Ok(()));
        expect_declared(&peer, 1, "q");
        assert_eq!(peer.unread(), 0);
    }
}

/// A client that we do not read cannot be blamed for its silence.
#[test]
fn client_that_is_not_read_is_not_dropped() {
    let world = World::held();
    let peer = world.connect_as(&Client { heartbeat: 1, ..Client::default() });
    peer.open_channel(1);
    declare(&peer, "q");
    for _ in 0..20 {
        peer.publish(1, "", "q", &text(), &[b'x'; 100_000]);
    }
    assert!(peer.unread() > 0);
    world.advance(Duration::from_secs(60));
    assert!(peer.take_heartbeats() >= 60, "ours go on");
    world.finish_commits(&Ok(()));
    expect_declared(&peer, 1, "q");
    assert_eq!(peer.counts(1, "q"), (20, 0));
}
