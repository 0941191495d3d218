//! Publisher confirms: when they come, in which order, and for what (behaviour B7.1 to B7.3).

use leveret::protocol::method::{basic, confirm, queue};
use leveret::protocol::{FieldTable, FieldValue, OwnedProperties};

use crate::support::{Peer, World, header_frame, method_frame, persistent, publish, text};

/// A publisher in confirm mode on channel 1, and the durable queue `d`.
fn world_of_a_publisher() -> (World, Peer) {
    let world = World::held();
    let peer = world.connect();
    peer.open_channel(1);
    declare_durable(&world, &peer, "d", FieldTable::new());
    peer.declare(1, "t");
    peer.confirm_select(1);
    (world, peer)
}

#[track_caller]
fn declare_durable(world: &World, peer: &Peer, queue: &str, arguments: FieldTable) {
    let durable = true;
    peer.send(1, queue::Declare { queue, durable, arguments, ..Default::default() });
    world.finish_commits(&Ok(()));
    peer.expect(1, queue::DeclareOk { queue, message_count: 0, consumer_count: 0 });
}

fn arguments<const N: usize>(pairs: [(&str, FieldValue); N]) -> FieldTable {
    pairs.into_iter().collect()
}

/// Several publishes to a queue of the default exchange, in one packet.
fn batch(channel: u16, queue: &str, properties: &OwnedProperties, count: usize) -> Vec<u8> {
    let one = [
        method_frame(channel, publish("", queue)),
        header_frame(channel, 1, properties),
        crate::support::raw_frame(3, channel, b"x"),
    ];
    one.concat().repeat(count)
}

/// Behaviour B7.1: publishes before select do not count, and a second select does not count anew.
#[test]
fn select_starts_the_count_once() {
    let world = World::new();
    let peer = world.connect();
    peer.open_channel(1);
    peer.publish(1, "", "nowhere", &text(), b"");
    peer.send(1, confirm::Select { nowait: true });
    peer.publish(1, "", "nowhere", &text(), b"");
    peer.expect_confirm(1, 1, false);
    peer.confirm_select(1);
    peer.publish(1, "", "nowhere", &text(), b"");
    peer.expect_confirm(1, 2, false);
    // Every channel counts for itself.
    peer.open_channel(2);
    peer.confirm_select(2);
    peer.publish(2, "", "nowhere", &text(), b"");
    peer.expect_confirm(2, 1, false);
}

/// Behaviour B7.1.
#[test]
fn transactional_channel_cannot_confirm() {
    let world = World::new();
    let peer = world.connect();
    peer.open_channel(1);
    peer.tx_select(1);
    peer.send(1, confirm::Select { nowait: false });
    let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode";
    peer.expect_channel_error(1, 406, text).for_method(85, 10);
}

/// Behaviour B7.2: what is not to survive is confirmed at once, whatever the store does.
#[test]
fn what_need_not_survive_is_confirmed_at_once() {
    let (world, peer) = world_of_a_publisher();
    let requester = world.connect();
    requester.open_channel(1);
    requester.consume_no_ack(1, "amq.rabbitmq.reply-to", "replies");
    let reply_to = Some(b"amq.rabbitmq.reply-to".to_vec());
    requester.publish(1, "", "t", &OwnedProperties { reply_to, ..text() }, b"ask");
    let request = peer.get(1, "t").expect("the request");
    let reply_to = String::from_utf8(request.content.properties().reply_to.unwrap()).unwrap();

    let odd_mode = OwnedProperties { delivery_mode: Some(3), ..text() };
    for (tag, (exchange, key, properties)) in (1..).zip([
        ("", "nowhere", persistent()),
        ("amq.topic", "nowhere", persistent()),
        ("", "d", text()),
        ("", "t", persistent()),
        ("", "d", odd_mode),
        ("", &reply_to, persistent()),
    ]) {
        peer.publish(1, exchange, key, &properties, b"x");
        peer.expect_confirm(1, tag, false);
    }
    assert_eq!(requester.expect_delivery(1).text(), "x");
    world.sync();
    peer.expect_nothing();
}

/// Behaviour B7.2: what is to survive is confirmed when the store says so; everything up to there at
/// once (B7.3).
#[test]
fn persistent_messages_wait_for_the_store() {
    let (world, peer) = world_of_a_publisher();
    peer.publish(1, "", "d", &persistent(), b"1");
    peer.publish(1, "", "d", &persistent(), b"2");
    peer.send_bytes(&batch(1, "d", &persistent(), 3));
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 5, true);
    peer.expect_nothing();

    peer.publish(1, "", "d", &persistent(), b"6");
    world.sync();
    peer.expect_confirm(1, 6, false);
}

/// Behaviour B7.3: an answer that could be given waits for those before it, so that `multiple` is true
/// of everything it covers.
#[test]
fn confirms_are_given_in_order() {
    let (world, peer) = world_of_a_publisher();
    peer.publish(1, "", "d", &persistent(), b"1");
    peer.publish(1, "", "t", &text(), b"2");
    peer.publish(1, "", "nowhere", &text(), b"3");
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 3, true);
    peer.expect_nothing();
}

/// Behaviour B7.3: each channel's confirms for itself, though the store moves for all.
#[test]
fn channels_wait_for_their_own_messages() {
    let (world, peer) = world_of_a_publisher();
    peer.open_channel(2);
    peer.confirm_select(2);
    peer.publish(1, "", "d", &persistent(), b"x");
    peer.publish(2, "", "t", &text(), b"x");
    peer.expect_confirm(2, 1, false);
    peer.publish(2, "", "d", &persistent(), b"x");
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 1, false);
    peer.expect_confirm(2, 2, false);
    // One packet with both channels' publishes.
    peer.send_bytes(&[batch(2, "t", &text(), 2), batch(1, "t", &text(), 1)].concat());
    peer.expect_confirm(2, 4, true);
    peer.expect_confirm(1, 2, false);
}

/// Behaviour B7.2: one answer for all queues, when the slowest has the message.
#[test]
fn message_in_several_queues_is_confirmed_once() {
    let (world, peer) = world_of_a_publisher();
    peer.bind(1, "t", "amq.fanout", "");
    // A binding between durable ends has to be stored.
    peer.send(1, queue::Bind { queue: "d", exchange: "amq.fanout", ..Default::default() });
    world.finish_commits(&Ok(()));
    peer.expect(1, queue::BindOk {});
    peer.publish(1, "amq.fanout", "", &persistent(), b"x");
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 1, false);
    peer.expect_nothing();
}

/// Behaviour B6.4, B7.2 and trap B16.1: the return first, then an ack that is positive.
#[test]
fn return_comes_before_the_ack() {
    let (world, peer) = world_of_a_publisher();
    peer.publish_mandatory(1, "amq.direct", "nowhere", b"back");
    let returned = peer.expect_return(1);
    assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
    assert_eq!(
        (returned.exchange.as_str(), returned.routing_key.as_str()),
        ("amq.direct", "nowhere")
    );
    assert_eq!(returned.content.text(), "back");
    peer.expect_confirm(1, 1, false);

    // Within a packet, and behind one that waits: the return does not wait.
    let unroutable = basic::Publish { mandatory: true, ..publish("", "nowhere") };
    let mut bytes = batch(1, "d", &persistent(), 1);
    bytes.extend(method_frame(1, unroutable));
    bytes.extend(header_frame(1, 0, &text()));
    peer.send_bytes(&bytes);
    peer.expect_return(1);
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 3, true);
}

/// Behaviour B7.2: a routed message is not returned, whatever becomes of it.
#[test]
fn routed_message_is_not_returned() {
    let (_world, peer) = world_of_a_publisher();
    peer.publish_mandatory(1, "", "t", b"x");
    peer.expect_confirm(1, 1, false);
    peer.declare_with(
        1,
        "full",
        arguments([
            ("x-max-length", FieldValue::I32(0)),
            ("x-overflow", FieldValue::from("reject-publish")),
        ]),
    );
    peer.publish_mandatory(1, "", "full", b"x");
    peer.expect(1, basic::Nack { delivery_tag: 2, multiple: false, requeue: false });
    peer.expect_nothing();
}

/// Behaviour B7.2 and B7.3 and trap B16.7: a queue's refusal is a nack though another queue keeps its
/// copy, and no `multiple` covers it.
#[test]
fn one_refusal_is_a_nack_and_the_other_copies_stay() {
    let (world, peer) = world_of_a_publisher();
    peer.declare_with(
        1,
        "small",
        arguments([
            ("x-max-length", FieldValue::I32(1)),
            ("x-overflow", FieldValue::from("reject-publish")),
        ]),
    );
    for queue in ["t", "small"] {
        peer.bind(1, queue, "amq.fanout", "");
    }
    let one = [method_frame(1, publish("amq.fanout", "")), header_frame(1, 0, &text())].concat();
    let elsewhere = batch(1, "t", &text(), 2);
    // 1 fits; 2 and 5 do not; 3, 4 and 6 to 7 go elsewhere.
    let packet = [&one[..], &one, &elsewhere, &one, &elsewhere].concat();
    peer.send_bytes(&packet);
    let nack = |delivery_tag| basic::Nack { delivery_tag, multiple: false, requeue: false };
    peer.expect_confirm(1, 1, false);
    peer.expect(1, nack(2));
    peer.expect_confirm(1, 4, true);
    peer.expect(1, nack(5));
    peer.expect_confirm(1, 7, true);
    assert_eq!(peer.counts(1, "small"), (1, 0));
    assert_eq!(peer.counts(1, "t"), (7, 0));

    // A refusal behind a message that waits for the store waits as well.
    peer.publish(1, "", "d", &persistent(), b"x");
    peer.publish(1, "", "small", &text(), b"x");
    peer.expect_nothing();
    world.sync();
    peer.expect_confirm(1, 8, false);
    peer.expect(1, nack(9));
    peer.expect_nothing();
}

/// Behaviour B7.2: what a queue drops by its own rules was accepted.
#[test]
fn dropped_messages_are_confirmed() {
    let (world, peer) = world_of_a_publisher();
    for (tag, (name, argument)) in
        (1..).step_by(2).zip([("expires", "x-message-ttl"), ("short", "x-max-length")])
    {
        declare_durable(&world, &peer, name, arguments([(argument, FieldValue::I32(0))]));
        peer.publish(1, "", name, &text(), b"x");
        peer.expect_confirm(1, tag, false);
        peer.publish(1, "", name, &persistent(), b"x");
        world.sync();
        peer.expect_confirm(1, tag + 1, false);
        assert_eq!(peer.counts(1, name), (0, 0));
    }
}

/// Behaviour B7.2: a queue that goes away while its messages are on the way to the store.
#[test]
fn deleted_queue_confirms_what_was_pending() {
    let (world, peer) = world_of_a_publisher();
    peer.publish(1, "", "d", &persistent(), b"x");
    peer.send(1, queue::Delete { queue: "d", ..Default::default() });
    world.finish_commits(&Ok(()));
    peer.expect(1, queue::DeleteOk { message_count: 1 });
    world.sync();
    peer.expect_confirm(1, 1, false);
    peer.expect_nothing();
}

/// Behaviour B7.2: a publish that is an error is not answered, and those before it are.
#[test]
fn failed_publish_is_not_confirmed() {
    let world = World::new();
    let peer = world.connect();
    peer.open_channel(1);
    peer.declare(1, "t");
    peer.confirm_select(1);
    let mut bytes = batch(1, "t", &text(), 2);
    bytes.extend(method_frame(1, publish("missing", "")));
    bytes.extend(header_frame(1, 0, &text()));
    bytes.extend(batch(1, "t", &text(), 1));
    peer.send_bytes(&bytes);
    peer.expect_confirm(1, 2, true);
    peer.expect_channel_error(1, 404, "NOT_FOUND - no exchange 'missing' in vhost '/'")
        .for_method(60, 40);
    peer.expect_nothing();
    peer.reopen(1);
    assert_eq!(peer.counts(1, "t"), (2, 0));
}

/// Behaviour B7.3: every number gets exactly one answer, whatever the packets and the store do.
#[test]
fn every_number_is_answered_exactly_once() {
    let (world, peer) = world_of_a_publisher();
    let mut expected = 0;
    for round in 1..20 {
        peer.send_bytes(&batch(1, "d", &persistent(), round % 4));
        peer.send_bytes(&batch(1, "t", &text(), round % 3));
        if round % 5 == 0 {
            world.sync();
        }
        expected += (round % 4 + round % 3) as u64;
    }
    world.sync();
    let mut answered = 0;
    while answered < expected {
        let ack = peer.recv();
        let leveret::protocol::Method::Basic(basic::Method::Ack(ack)) = ack.method() else {
            panic!("expected basic.ack, got {ack:?}");
        };
        assert!(ack.delivery_tag > answered, "{} after {answered}", ack.delivery_tag);
        assert_eq!(ack.multiple, ack.delivery_tag > answered + 1);
        answered = ack.delivery_tag;
    }
    assert_eq!(answered, expected);
    peer.expect_nothing();
}
