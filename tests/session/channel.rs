//! Channels: opening, closing, and the order of what is asked on them (behaviour B3).

use leveret::protocol::Method;
use leveret::protocol::method::{basic, channel, confirm, exchange, queue, tx};

use crate::support::{Peer, World, channel_close, header_frame, method_frame, publish, text};

fn connected() -> (World, Peer) {
    let world = World::new();
    let peer = world.connect();
    peer.open_channel(1);
    (world, peer)
}

/// Behaviour B3.1.
#[test]
fn channel_is_opened_once() {
    let (_world, peer) = connected();
    peer.open_channel(65_535);
    peer.send(1, channel::Open {});
    peer.expect_connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen", 20, 10);
}

/// Behaviour B3.2: on a number that is not open, or not any more, nothing but open makes sense.
#[test]
fn channel_has_to_be_open() {
    #[track_caller]
    fn check<'m>(method: impl Into<Method<'m>>) {
        let method = method.into();
        let id = method.id();
        for was_open in [false, true] {
            let (_world, peer) = connected();
            if was_open {
                peer.open_channel(3);
                peer.close_channel(3);
            }
            peer.send(3, method.clone());
            let text = "CHANNEL_ERROR - expected 'channel.open'";
            peer.expect_connection_error(504, text, id.class, id.method);
        }
    }

    check(publish("", "q"));
    check(basic::Ack { delivery_tag: 1, multiple: false });
    check(basic::Qos::default());
    check(queue::Declare::default());
    check(exchange::Declare::default());
    check(confirm::Select { nowait: true });
    check(tx::Select {});
    check(channel::Flow { active: true });
    check(channel_close());
    check(channel::CloseOk {});
}

/// Behaviour B3.2: a whole publish, as clients send it, on a channel that is not open.
#[test]
fn publish_on_a_channel_that_is_not_open_ends_the_connection() {
    let (_world, peer) = connected();
    peer.publish(9, "", "q", &text(), b"x");
    peer.expect_connection_error(504, "CHANNEL_ERROR - expected 'channel.open'", 60, 40);
}

/// Behaviour B3.3: consumers end, deliveries go back, uncommitted work is lost; then comes close-ok.
#[test]
fn closing_a_channel_gives_everything_back() {
    let (world, peer) = connected();
    let other = world.connect();
    other.open_channel(1);
    other.declare(1, "work");
    other.declare(1, "results");
    for task in [&b"1"[..], b"2", b"3"] {
        other.publish(1, "", "work", &text(), task);
    }
    peer.qos(1, 2, false);
    peer.consume(1, "work", "c");
    peer.expect_delivery(1);
    peer.expect_delivery(1);
    peer.tx_select(1);
    peer.ack(1, 1);
    peer.publish(1, "", "results", &text(), b"uncommitted");

    peer.stop_reading();
    peer.send(1, channel_close());
    assert_eq!(other.counts(1, "work"), (3, 0), "given back before close-ok");
    assert_eq!(other.counts(1, "results"), (0, 0));
    for (task, redelivered) in [("1", true), ("2", true), ("3", false)] {
        let got = other.get(1, "work").expect("a task");
        assert_eq!((got.text().as_str(), got.redelivered), (task, redelivered));
    }
    peer.resume_reading();
    peer.expect(1, channel::CloseOk {});
    peer.expect_nothing();
}

/// Behaviour B3.3: confirms that are still to come never do; and the next count starts at 1.
#[test]
fn closing_a_channel_drops_pending_confirms() {
    let world = World::held();
    let peer = world.connect();
    peer.open_channel(1);
    peer.send(1, queue::Declare { queue: "d", durable: true, ..Default::default() });
    world.finish_commits(&Ok(()));
    peer.recv();
    peer.confirm_select(1);
    peer.publish(1, "", "d", &crate::support::persistent(), b"x");
    peer.close_channel(1);
    peer.open_channel(1);
    peer.confirm_select(1);
    world.sync();
    peer.expect_nothing();
    peer.publish(1, "", "nowhere", &text(), b"y");
    peer.expect_confirm(1, 1, false);
}

/// Behaviour B3.3 and trap B16.17: the number is free before close-ok is seen.
#[test]
fn close_and_open_may_be_pipelined() {
    let (_world, peer) = connected();
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    let consume = basic::Consume { queue: "q", consumer_tag: "c", ..Default::default() };
    let bytes = [
        method_frame(1, channel_close()),
        method_frame(1, channel::Open {}),
        method_frame(1, consume),
    ];
    peer.send_bytes(&bytes.concat());
    peer.expect(1, channel::CloseOk {});
    peer.expect(1, channel::OpenOk {});
    peer.expect(1, basic::ConsumeOk { consumer_tag: "c" });
    peer.publish(1, "", "q", &text(), b"x");
    assert_eq!(peer.expect_delivery(1).delivery_tag, 1, "tags start anew");
    peer.expect_nothing();
}

/// Behaviour B5.9 and trap B16.17: an auto-delete queue is gone before cancel-ok is seen.
#[test]
fn auto_delete_queue_is_gone_before_cancel_ok() {
    let (_world, peer) = connected();
    peer.declare_as(1, queue::Declare { queue: "q", auto_delete: true, ..Default::default() });
    peer.consume(1, "q", "c");
    let bytes = [
        method_frame(1, basic::Cancel { consumer_tag: "c", nowait: false }),
        method_frame(1, queue::Declare { queue: "q", passive: true, ..Default::default() }),
    ];
    peer.send_bytes(&bytes.concat());
    peer.expect(1, basic::CancelOk { consumer_tag: "c" });
    peer.expect_channel_error(1, 404, "NOT_FOUND - no queue 'q' in vhost '/'").for_method(50, 10);
}

/// Behaviour B3.5.
#[test]
fn flow_is_on_and_stays_on() {
    let (_world, peer) = connected();
    peer.send(1, channel::Flow { active: true });
    peer.expect(1, channel::FlowOk { active: true });
    peer.send(1, channel::Flow { active: false });
    peer.expect_connection_error(540, "NOT_IMPLEMENTED - active=false", 20, 20);
}

/// Behaviour B3.6: a client need not wait for answers; each method sees what those before it did.
#[test]
fn methods_of_a_channel_are_executed_in_order() {
    let (_world, peer) = connected();
    let bytes = [
        method_frame(1, queue::Declare { queue: "q", ..Default::default() }),
        method_frame(1, confirm::Select { nowait: false }),
        method_frame(1, publish("", "q")),
        header_frame(1, 0, &text()),
        method_frame(1, publish("", "q")),
        header_frame(1, 0, &text()),
        method_frame(1, basic::Get { queue: "q", no_ack: false }),
        method_frame(1, basic::Ack { delivery_tag: 1, multiple: false }),
        method_frame(1, queue::Purge { queue: "q", nowait: false }),
        method_frame(1, basic::Ack { delivery_tag: 1, multiple: false }),
    ];
    peer.send_bytes(&bytes.concat());
    peer.expect(1, queue::DeclareOk { queue: "q", message_count: 0, consumer_count: 0 });
    peer.expect(1, confirm::SelectOk {});
    peer.expect_confirm(1, 2, true);
    let got = peer.expect_delivery(1);
    assert_eq!((got.delivery_tag, got.message_count), (1, Some(1)));
    peer.expect(1, queue::PurgeOk { message_count: 1 });
    peer.expect_channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1")
        .for_method(60, 80);
}

/// Behaviour B3.6: nowait asks for no answer, but an error is one all the same.
#[test]
fn nowait_is_answered_by_errors_only() {
    let (_world, peer) = connected();
    let name = "q";
    peer.send(1, queue::Declare { queue: name, nowait: true, ..Default::default() });
    let exchange = "amq.fanout";
    peer.send(1, queue::Bind { queue: name, exchange, nowait: true, ..Default::default() });
    peer.send(1, confirm::Select { nowait: true });
    let consumer_tag = "c";
    let consume = basic::Consume { queue: name, consumer_tag, nowait: true, ..Default::default() };
    peer.send(1, consume);
    peer.send(1, basic::Cancel { consumer_tag, nowait: true });
    peer.send(1, queue::Purge { queue: name, nowait: true });
    let declare = exchange::Declare { exchange: "x", kind: "topic", ..Default::default() };
    peer.send(1, exchange::Declare { nowait: true, ..declare });
    peer.send(1, exchange::Delete { exchange: "x", if_unused: false, nowait: true });
    peer.send(1, queue::Delete { queue: name, nowait: true, ..Default::default() });
    peer.expect_nothing();
    peer.send(1, queue::Purge { queue: name, nowait: true });
    peer.expect_channel_error(1, 404, "NOT_FOUND - no queue 'q' in vhost '/'").for_method(50, 30);
}

/// One channel's error does not touch another channel of the connection.
#[test]
fn channels_are_independent() {
    let (_world, peer) = connected();
    peer.open_channel(2);
    peer.declare(2, "q");
    peer.consume(2, "q", "c");
    peer.publish(1, "", "q", &text(), b"x");
    assert_eq!(peer.expect_delivery(2).delivery_tag, 1);
    // The tag is channel 2's.
    peer.ack(1, 1);
    peer.expect_channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1")
        .for_method(60, 80);
    peer.ack(2, 1);
    peer.publish(2, "", "q", &text(), b"y");
    assert_eq!(peer.expect_delivery(2).delivery_tag, 2);
    peer.expect_nothing();
}
