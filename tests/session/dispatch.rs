//! Who gets the next message (behaviour B6.17 to B6.19).

use leveret::protocol::frame::write_body;
use leveret::protocol::method::basic::{Ack, Consume, Get};
use leveret::protocol::{ChannelNumber, FieldTable};

use crate::support::{Delivery, Peer, World, header_frame, method_frame, publish, text};

/// Where messages went: consumer tag and body, in the order of arrival.
fn who_got_what(deliveries: &[Delivery]) -> Vec<(&str, String)> {
    deliveries.iter().map(|delivery| (&*delivery.consumer_tag, delivery.text())).collect()
}

#[track_caller]
fn expect(peer: &Peer, expected: &[(&str, &str)]) {
    let deliveries: Vec<_> = expected.iter().map(|_| peer.expect_delivery(1)).collect();
    let expected: Vec<_> = expected.iter().map(|(tag, text)| (*tag, (*text).to_owned())).collect();
    assert_eq!(who_got_what(&deliveries), expected);
    peer.expect_nothing();
}

#[track_caller]
fn consume_by(peer: &Peer, consumer_tag: &str, priority: i64) {
    let arguments = FieldTable::from_iter([("x-priority", priority)]);
    peer.consume_as(1, Consume { queue: "q", consumer_tag, arguments, ..Consume::default() });
}

/// B6.17: one each, in the order in which they came.
#[test]
fn consumers_take_turns() {
    let peer = World::new().open();
    peer.declare(1, "q");
    for tag in ["a", "b", "c"] {
        peer.consume(1, "q", tag);
    }
    peer.publish_texts(1, "q", &["1", "2"]);
    expect(&peer, &[("a", "1"), ("b", "2")]);
    peer.publish_texts(1, "q", &["3", "4", "5"]);
    expect(&peer, &[("c", "3"), ("a", "4"), ("b", "5")]);
    peer.cancel(1, "a");
    peer.publish_texts(1, "q", &["6", "7", "8"]);
    expect(&peer, &[("c", "6"), ("b", "7"), ("c", "8")]);
}

/// B6.18: a client that acknowledges and then publishes finds its room, also where both come in one
/// read. pika's consumer_priority scenario saw the message go to the lower consumer now and then.
#[test]
fn room_made_before_a_publish_counts_for_it() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.qos(1, 1, false);
    consume_by(&peer, "low", 1);
    consume_by(&peer, "high", 10);
    peer.publish_texts(1, "q", &["1"]);
    expect(&peer, &[("high", "1")]);
    for size in [1, 20_000] {
        let mut bytes = method_frame(1, Ack { delivery_tag: 0, multiple: true });
        let body = vec![b'x'; size];
        bytes.extend(method_frame(1, publish("", "q")));
        bytes.extend(header_frame(1, size as u64, &text()));
        write_body(&mut bytes, ChannelNumber(1), &body);
        peer.send_bytes(&bytes);
        assert_eq!(peer.expect_delivery(1).consumer_tag, "high");
    }
}

/// B6.17: the same over connections.
#[test]
fn consumers_of_all_connections_take_turns() {
    let world = World::new();
    let peers = [world.open(), world.open(), world.open()];
    peers[0].declare(1, "q");
    for peer in &peers {
        peer.consume(1, "q", "c");
    }
    peers[1].publish_texts(1, "q", &["1", "2", "3", "4", "5", "6"]);
    for (peer, texts) in peers.iter().zip([["1", "4"], ["2", "5"], ["3", "6"]]) {
        peer.expect_texts(1, &texts);
    }
}

/// B6.17: a consumer without room is passed over, and stands at the end when it has room again.
#[test]
fn consumer_without_room_is_passed_over() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.qos(1, 1, false);
    peer.consume(1, "q", "a");
    peer.qos(1, 0, false);
    peer.consume(1, "q", "b");
    peer.consume(1, "q", "c");
    peer.publish_texts(1, "q", &["1", "2", "3", "4", "5"]);
    expect(&peer, &[("a", "1"), ("b", "2"), ("c", "3"), ("b", "4"), ("c", "5")]);
    peer.ack(1, 1);
    peer.publish_texts(1, "q", &["6", "7", "8", "9"]);
    expect(&peer, &[("b", "6"), ("c", "7"), ("a", "8"), ("b", "9")]);
}

/// B6.17: a client that does not read is one without room; the others get its share.
#[test]
fn client_that_does_not_read_is_passed_over() {
    let world = World::new();
    let (deaf, peer) = (world.open(), world.open());
    peer.declare(1, "q");
    deaf.consume(1, "q", "c");
    deaf.stop_reading();
    peer.consume(1, "q", "c");
    let body = vec![b'x'; 300_000];
    for _ in 0..40 {
        peer.publish(1, "", "q", &text(), &body);
    }
    let delivered = peer.unseen();
    assert!((21..40).contains(&delivered), "{delivered} of 40");
    deaf.resume_reading();
    for _ in delivered..40 {
        deaf.expect_delivery(1);
    }
    deaf.expect_nothing();
}

/// B6.17: who comes to a queue that is not empty need not wait.
#[test]
fn new_consumer_gets_what_waits() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["1", "2"]);
    peer.qos(1, 1, false);
    peer.consume(1, "q", "a");
    expect(&peer, &[("a", "1")]);
    peer.consume(1, "q", "b");
    expect(&peer, &[("b", "2")]);
}

/// B6.17: what one channel publishes, a single consumer gets in that order.
#[test]
fn one_consumer_gets_messages_in_order() {
    let world = World::new();
    let (peer, publisher) = (world.open(), world.open());
    peer.declare(1, "q");
    peer.qos(1, 7, false);
    peer.consume(1, "q", "c");
    let bodies: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    for body in &bodies {
        publisher.publish_texts(1, "q", &[body]);
    }
    for body in &bodies {
        let delivery = peer.expect_delivery(1);
        assert_eq!(delivery.text(), *body);
        peer.ack(1, delivery.delivery_tag);
    }
    peer.expect_nothing();
}

/// B6.18: a lower priority is served only while everybody above is full.
#[test]
fn consumers_of_higher_priority_come_first() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.qos(1, 1, false);
    consume_by(&peer, "low", -1);
    peer.consume(1, "q", "plain");
    consume_by(&peer, "high", 10);
    consume_by(&peer, "high too", 10);
    peer.publish_texts(1, "q", &["1", "2", "3", "4", "5", "6"]);
    expect(&peer, &[("high", "1"), ("high too", "2"), ("plain", "3"), ("low", "4")]);
    peer.ack(1, 4);
    expect(&peer, &[("low", "5")]);
    // Both have room when the next one comes; the higher one gets it.
    peer.cancel(1, "low");
    peer.ack_until(1, 3);
    expect(&peer, &[("high", "6")]);
    peer.publish_texts(1, "q", &["7", "8"]);
    expect(&peer, &[("high too", "7"), ("plain", "8")]);
}

/// B6.18: without a limit, it never is full.
#[test]
fn unlimited_consumer_of_higher_priority_takes_everything() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.consume(1, "q", "plain");
    consume_by(&peer, "high", 1);
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    expect(&peer, &[("high", "1"), ("high", "2"), ("high", "3")]);
    peer.cancel(1, "high");
    peer.publish_texts(1, "q", &["4"]);
    expect(&peer, &[("plain", "4")]);
}

/// A queue with `x-single-active-consumer`.
#[track_caller]
fn declare_single(peer: &Peer) {
    peer.declare_with(1, "q", FieldTable::from_iter([("x-single-active-consumer", true)]));
}

/// B6.19: the first one gets everything, the others wait in line for its end.
#[test]
fn single_active_consumer_gets_everything() {
    let peer = World::new().open();
    declare_single(&peer);
    for tag in ["a", "b", "c"] {
        peer.consume(1, "q", tag);
    }
    assert_eq!(peer.counts(1, "q"), (0, 3));
    peer.publish_texts(1, "q", &["1", "2"]);
    expect(&peer, &[("a", "1"), ("a", "2")]);
    peer.cancel(1, "b");
    peer.cancel(1, "a");
    peer.publish_texts(1, "q", &["3"]);
    expect(&peer, &[("c", "3")]);
    peer.cancel(1, "c");
    peer.consume(1, "q", "d");
    peer.publish_texts(1, "q", &["4"]);
    expect(&peer, &[("d", "4")]);
}

/// B6.19: what the old one holds stays valid; what it gives back goes to the new one.
#[test]
fn successor_gets_what_the_former_active_consumer_returns() {
    let peer = World::new().open();
    declare_single(&peer);
    peer.consume(1, "q", "a");
    peer.consume(1, "q", "b");
    peer.publish_texts(1, "q", &["1", "2"]);
    expect(&peer, &[("a", "1"), ("a", "2")]);
    peer.cancel(1, "a");
    peer.expect_nothing();
    peer.ack(1, 1);
    peer.nack(1, 2, true);
    expect(&peer, &[("b", "2")]);
}

/// B6.19: the end of a channel or a connection is the end of its consumers.
#[test]
fn successor_takes_over_when_a_channel_or_connection_ends() {
    let ends: [fn(&Peer); 2] = [|peer| peer.close_channel(1), Peer::hang_up];
    for end in ends {
        let world = World::new();
        let (first, second) = (world.open(), world.open());
        declare_single(&first);
        first.consume(1, "q", "c");
        second.consume(1, "q", "c");
        second.publish_texts(1, "q", &["1", "2"]);
        first.expect_texts(1, &["1", "2"]);
        end(&first);
        for delivery in second.expect_texts(1, &["1", "2"]) {
            assert!(delivery.redelivered);
        }
    }
}

/// B6.19: full is not gone.
#[test]
fn full_single_active_consumer_blocks_the_queue() {
    let peer = World::new().open();
    declare_single(&peer);
    peer.qos(1, 1, false);
    peer.consume(1, "q", "a");
    peer.consume(1, "q", "b");
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    expect(&peer, &[("a", "1")]);
    // B6.10: getting is not consuming.
    peer.send(1, Get { queue: "q", no_ack: true });
    assert_eq!(peer.expect_delivery(1).text(), "2");
    peer.ack(1, 1);
    expect(&peer, &[("a", "3")]);
}

/// B6.19: on a classic queue a priority does not depose; it decides who is next.
#[test]
fn priority_decides_about_the_successor() {
    let peer = World::new().open();
    declare_single(&peer);
    peer.consume(1, "q", "a");
    consume_by(&peer, "low", 1);
    consume_by(&peer, "high", 5);
    consume_by(&peer, "high too", 5);
    peer.publish_texts(1, "q", &["1"]);
    expect(&peer, &[("a", "1")]);
    for (leaving, next) in [("a", "high"), ("high", "high too"), ("high too", "low")] {
        peer.cancel(1, leaving);
        peer.publish_texts(1, "q", &["next"]);
        expect(&peer, &[(next, "next")]);
    }
}

/// B6.7: exclusive and single active do not go together.
#[test]
fn exclusive_consumer_is_refused_where_one_is_active() {
    let peer = World::new().open();
    declare_single(&peer);
    let request = Consume { queue: "q", exclusive: true, ..Consume::default() };
    peer.refused(1, request, 403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use");
}
