//! What an error ends, what it says, and what may still come after it (behaviour B0).

use std::time::Duration;

use leveret::protocol::Method;
use leveret::protocol::method::{basic, channel, confirm, connection, exchange, queue, tx};

use crate::support::{
    Client, Peer, World, channel_close, header_frame, method_frame, persistent, text,
};

fn connected() -> (World, Peer) {
    let world = World::new();
    let peer = world.connect();
    peer.open_channel(1);
    (world, peer)
}

/// Behaviour B0.1 and B0.2: an error on a channel ends the channel, names the method that caused it,
/// and leaves the connection alone.
#[test]
fn channel_errors_end_the_channel_alone() {
    #[track_caller]
    fn check<'m>(method: impl Into<Method<'m>>, code: u16, text: &str) {
        let (_world, peer) = connected();
        peer.open_channel(2);
        let method = method.into();
        let id = method.id();
        peer.send(1, method);
        peer.expect_channel_error(1, code, text).for_method(id.class, id.method);
        peer.declare(2, "untouched");
        peer.reopen(1);
        peer.expect_nothing();
    }

    let no_queue = "NOT_FOUND - no queue 'none' in vhost '/'";
    let no_exchange = "NOT_FOUND - no exchange 'none' in vhost '/'";
    let passive = queue::Declare { queue: "none", passive: true, ..Default::default() };
    check(passive, 404, no_queue);
    check(queue::Purge { queue: "none", nowait: false }, 404, no_queue);
    check(basic::Get { queue: "none", no_ack: false }, 404, no_queue);
    check(basic::Consume { queue: "none", ..Default::default() }, 404, no_queue);
    let passive = exchange::Declare { exchange: "none", passive: true, ..Default::default() };
    check(passive, 404, no_exchange);
    let bind = queue::Bind { queue: "q", exchange: "none", ..Default::default() };
    check(bind, 404, no_exchange);
    let reserved = queue::Declare { queue: "amq.mine", ..Default::default() };
    let text = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'";
    check(reserved, 403, text);
    let unknown = "PRECONDITION_FAILED - unknown delivery tag 7";
    check(basic::Ack { delivery_tag: 7, multiple: false }, 406, unknown);
    check(basic::Nack { delivery_tag: 7, ..Default::default() }, 406, unknown);
    check(basic::Reject { delivery_tag: 7, requeue: true }, 406, unknown);
    check(tx::Commit {}, 406, "PRECONDITION_FAILED - channel is not transactional");
}

/// Behaviour B0.1: these codes end the connection although they happen on a channel.
#[test]
fn connection_errors_end_the_connection() {
    #[track_caller]
    fn check<'m>(method: impl Into<Method<'m>>, code: u16, text: &str) {
        let (_world, peer) = connected();
        peer.declare(1, "q");
        peer.consume(1, "q", "busy");
        let method = method.into();
        let id = method.id();
        peer.send(1, method);
        peer.expect_connection_error(code, text, id.class, id.method);
        peer.send(0, connection::CloseOk {});
        peer.expect_end();
    }

    check(channel::Flow { active: false }, 540, "NOT_IMPLEMENTED - active=false");
    check(basic::Recover { requeue: false }, 540, "NOT_IMPLEMENTED - requeue=false");
    check(basic::RecoverAsync { requeue: false }, 540, "NOT_IMPLEMENTED - requeue=false");
    let qos = basic::Qos { prefetch_size: 9, ..Default::default() };
    check(qos, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)");
    let again = basic::Consume { queue: "q", consumer_tag: "busy", ..Default::default() };
    check(again, 530, "NOT_ALLOWED - attempt to reuse consumer tag 'busy'");
    check(channel::Open {}, 504, "CHANNEL_ERROR - second 'channel.open' seen");
    check(queue::BindOk {}, 503, "COMMAND_INVALID - unimplemented method");
}

/// Behaviour B0.2: a reply text is a shortstr, cut on a character's border and marked as cut.
#[test]
fn long_text_is_cut_to_a_shortstr() {
    let (_world, peer) = connected();
    let name = "兎".repeat(80);
    peer.send(1, queue::Purge { queue: &name, nowait: false });
    let whole = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
    let kept: String = whole.chars().take("NOT_FOUND - no queue '".len() + 76).collect();
    peer.expect_channel_error(1, 404, &format!("{kept}...")).for_method(50, 30);
}

/// Behaviour B0.3: everything on the channel dies with it.
#[test]
fn channel_error_takes_consumers_deliveries_and_transaction_along() {
    let (world, peer) = connected();
    let other = world.connect();
    other.open_channel(1);
    other.declare(1, "work");
    other.declare(1, "results");
    other.publish(1, "", "work", &text(), b"task");
    peer.consume(1, "work", "worker");
    assert!(!peer.expect_delivery(1).redelivered);
    peer.tx_select(1);
    peer.publish(1, "", "results", &text(), b"uncommitted");
    peer.ack(1, 1);

    peer.send(1, queue::Purge { queue: "none", nowait: false });
    peer.expect_channel_error(1, 404, "NOT_FOUND - no queue 'none' in vhost '/'")
        .for_method(50, 30);

    assert_eq!(other.counts(1, "work"), (1, 0), "the consumer is gone before close-ok");
    assert_eq!(other.counts(1, "results"), (0, 0));
    let again = other.get(1, "work").expect("the task is back");
    assert!(again.redelivered);
    peer.expect_nothing();
}

/// Behaviour B0.3 and B7.3: publishes that are not confirmed yet never will be.
#[test]
fn channel_error_leaves_pending_confirms_unanswered() {
    let world = World::held();
    let peer = world.connect();
    peer.open_channel(1);
    peer.send(1, queue::Declare { queue: "d", durable: true, ..Default::default() });
    world.finish_commits(&Ok(()));
    peer.recv();
    peer.confirm_select(1);
    peer.publish(1, "", "d", &persistent(), b"1");
    peer.publish(1, "missing", "", &persistent(), b"2");
    peer.expect_channel_error(1, 404, "NOT_FOUND - no exchange 'missing' in vhost '/'")
        .for_method(60, 40);
    world.sync();
    peer.expect_nothing();

    // The number starts anew with the channel.
    peer.reopen(1);
    peer.confirm_select(1);
    peer.publish(1, "", "d", &text(), b"3");
    peer.expect_confirm(1, 1, false);
}

/// Behaviour B0.3 and trap B16.13: until close-ok, everything is dropped silently; half a content too.
#[test]
fn closing_channel_drops_what_still_comes() {
    let (_world, peer) = connected();
    peer.declare(1, "q");
    let mut bytes = method_frame(1, queue::Purge { queue: "none", nowait: false });
    // A client that does not know yet goes on as before.
    bytes.extend(method_frame(1, confirm::Select { nowait: false }));
    bytes.extend(method_frame(1, basic::Ack { delivery_tag: 99, multiple: false }));
    bytes.extend(method_frame(1, channel::Open {}));
    bytes.extend(method_frame(1, crate::support::publish("", "q")));
    bytes.extend(header_frame(1, 100, &text()));
    peer.send_bytes(&bytes);
    peer.expect_channel_error(1, 404, "NOT_FOUND - no queue 'none' in vhost '/'")
        .for_method(50, 30);
    // Another publish, whole and in one read, and the rest of nothing.
    peer.publish(1, "missing", "", &text(), b"x");
    peer.send_bytes(&crate::support::raw_frame(3, 1, b"stray"));
    peer.expect_nothing();

    peer.reopen(1);
    assert_eq!(peer.counts(1, "q"), (0, 0));
}

/// Behaviour B0.3 and trap B16.13: close-ok and open in one packet.
#[test]
fn close_ok_and_open_may_be_pipelined() {
    let (_world, peer) = connected();
    peer.send(1, tx::Rollback {});
    peer.expect_channel_error(1, 406, "PRECONDITION_FAILED - channel is not transactional")
        .for_method(90, 30);
    let mut bytes = method_frame(1, channel::CloseOk {});
    bytes.extend(method_frame(1, channel::Open {}));
    bytes.extend(method_frame(1, tx::Select {}));
    peer.send_bytes(&bytes);
    peer.expect(1, channel::OpenOk {});
    peer.expect(1, tx::SelectOk {});
}

/// Behaviour B0.3: both sides closed at the same time; each answers the other.
#[test]
fn crossing_channel_closes_are_answered() {
    let (_world, peer) = connected();
    let mut bytes = method_frame(1, queue::Purge { queue: "none", nowait: false });
    bytes.extend(method_frame(1, channel_close()));
    peer.send_bytes(&bytes);
    peer.expect_channel_error(1, 404, "NOT_FOUND - no queue 'none' in vhost '/'")
        .for_method(50, 30);
    peer.expect(1, channel::CloseOk {});
    peer.reopen(1);
}

/// Behaviour B0.4: channels end and exclusive queues are gone before the client hears of it, and
/// whatever else it sends is dropped.
#[test]
fn connection_error_cleans_up_and_waits_for_close_ok() {
    let (world, peer) = connected();
    let other = world.connect();
    other.open_channel(1);
    other.declare(1, "shared");
    other.publish(1, "", "shared", &text(), b"task");
    let exclusive = queue::Declare { queue: "mine", exclusive: true, ..Default::default() };
    peer.declare_as(1, exclusive);
    peer.consume(1, "shared", "c");
    peer.expect_delivery(1);

    peer.send(1, channel::Open {});
    assert_eq!(other.counts(1, "shared"), (1, 0));
    other.declare(1, "mine");
    peer.expect_connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen", 20, 10);

    peer.send(1, queue::Purge { queue: "shared", nowait: false });
    peer.send(2, channel::Open {});
    peer.publish(1, "", "shared", &text(), b"late");
    peer.send_heartbeat();
    peer.expect_nothing();
    assert_eq!(other.counts(1, "shared"), (1, 0));
    peer.send(0, connection::CloseOk {});
    peer.expect_end();
}

/// Behaviour B0.4.
#[test]
fn crossing_connection_closes_are_answered() {
    let (_world, peer) = connected();
    peer.send(1, channel::Open {});
    peer.send(0, connection::Close { reply_code: 200, ..Default::default() });
    peer.expect_connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen", 20, 10);
    peer.expect(0, connection::CloseOk {});
    peer.send(0, connection::CloseOk {});
    peer.expect_end();
}

/// Behaviour B0.4: a client that does not answer our close is left after its heartbeat interval, or
/// after thirty seconds.
#[test]
fn unanswered_close_ends_after_a_while() {
    for (heartbeat, seconds) in [(0, 30), (10, 10), (60, 30)] {
        let world = World::new();
        let peer = world.connect_as(&Client { heartbeat, ..Client::default() });
        peer.send(3, tx::Select {});
        peer.expect_connection_error(504, "CHANNEL_ERROR - expected 'channel.open'", 90, 10);
        world.advance(Duration::from_millis(seconds * 1000 - 1));
        assert!(!peer.is_closed(), "heartbeat {heartbeat}");
        world.advance(Duration::from_millis(1));
        peer.expect_end();
    }
}
