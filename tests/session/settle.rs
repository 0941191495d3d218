//! What becomes of deliveries: `basic.get`, ack, nack, reject and recover (behaviour B6.10 to B6.15).

use leveret::protocol::method::basic::{
    Ack, Get, GetEmpty, Nack, Recover, RecoverAsync, RecoverOk, Reject,
};
use leveret::protocol::method::queue;
use leveret::protocol::{Method, OwnedProperties};

use crate::support::{Delivery, Peer, World};

fn ack(delivery_tag: u64, multiple: bool) -> Ack {
    Ack { delivery_tag, multiple }
}

/// A client that was given messages 1 to `count` of a queue, and cancelled its consumer.
fn holding(count: u64) -> Peer {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    for number in 1..=count {
        peer.publish_texts(1, "q", &[&number.to_string()]);
        assert_eq!(peer.expect_delivery(1).delivery_tag, number);
    }
    peer.cancel(1, "c");
    peer
}

/// What is in the queue now, with a mark for what is redelivered.
#[track_caller]
fn waiting(peer: &Peer) -> Vec<String> {
    peer.open_channel(9);
    let mut texts = Vec::new();
    while let Some(delivery) = peer.get(9, "q") {
        let mark = if delivery.redelivered { "r" } else { "" };
        texts.push(format!("{}{mark}", delivery.text()));
        peer.ack(9, delivery.delivery_tag);
    }
    peer.close_channel(9);
    texts
}

/// B6.10: the count is of what remains.
#[test]
fn get_ok_counts_what_remains() {
    let peer = World::new().open();
    peer.refused(
        1,
        Get { queue: "q", no_ack: false },
        404,
        "NOT_FOUND - no queue 'q' in vhost '/'",
    );
    peer.declare(1, "q");
    peer.call(1, Get { queue: "q", no_ack: false }, GetEmpty {});
    peer.bind(1, "q", "amq.topic", "#");
    for body in ["1", "2", "3"] {
        peer.publish(1, "amq.topic", "a.b", &crate::support::persistent(), body.as_bytes());
    }
    for (text, remaining) in [("1", 2), ("2", 1), ("3", 0)] {
        let got = peer.get(1, "q").unwrap();
        assert_eq!((got.text().as_str(), got.message_count), (text, Some(remaining)));
        assert_eq!((got.exchange.as_str(), got.routing_key.as_str()), ("amq.topic", "a.b"));
        assert_eq!(got.content.properties(), crate::support::persistent());
        assert!(!got.redelivered);
    }
    assert_eq!(peer.get(1, "q"), None);
    peer.reject(1, 2, true);
    let again = peer.get(1, "q").unwrap();
    assert_eq!((again.text().as_str(), again.delivery_tag, again.redelivered), ("2", 4, true));
}

/// B6.10 and B6.12: got without acknowledgement, it is gone and its tag was never to be settled.
#[test]
fn get_without_acknowledgement_settles_at_once() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["1"]);
    peer.send(1, Get { queue: "q", no_ack: true });
    assert_eq!(peer.expect_delivery(1).delivery_tag, 1);
    peer.refused(1, ack(1, false), 406, "PRECONDITION_FAILED - unknown delivery tag 1");
    assert_eq!(waiting(&peer), [""; 0]);
}

/// B6.11 and B16.16: deliveries, gets and direct replies count together, on each channel.
#[test]
fn everything_delivered_on_a_channel_shares_its_tags() {
    let peer = World::new().open();
    peer.open_channel(2);
    peer.declare(1, "acked");
    peer.declare(1, "unacked");
    peer.declare(1, "got");
    peer.consume(1, "acked", "a");
    peer.consume_no_ack(1, "unacked", "b");
    peer.consume_no_ack(1, "amq.rabbitmq.reply-to", "c");
    let reply_to = Some("amq.rabbitmq.reply-to".into());
    let request = OwnedProperties { reply_to, ..crate::support::text() };
    peer.publish(1, "", "got", &request, b"");
    let got = peer.get(2, "got").unwrap();
    assert_eq!(got.delivery_tag, 1, "channel 2 has its own");
    let reply_to = got.content.properties().reply_to.unwrap();
    let reply_to = String::from_utf8(reply_to).unwrap();

    let mut tags = Vec::new();
    for queue in ["unacked", "acked", &reply_to, "unacked", &reply_to, "acked"] {
        peer.publish_texts(2, queue, &["m"]);
        tags.push(peer.expect_delivery(1).delivery_tag);
        peer.publish_texts(2, "got", &["m"]);
        tags.push(peer.get(1, "got").unwrap().delivery_tag);
    }
    assert_eq!(tags, (1..=12).collect::<Vec<_>>());
    // Those that need no acknowledgement have one of these numbers too.
    peer.refused(1, ack(1, false), 406, "PRECONDITION_FAILED - unknown delivery tag 1");
}

/// B6.12 and B16.3: a tag can be settled once, by whatever method, on its own channel.
#[test]
fn unknown_tags_close_the_channel() {
    let multiple = true;
    let single = false;
    let requeue = true;
    let unknown: [(u64, Method<'_>); 12] = [
        (4, ack(4, single).into()),
        (4, ack(4, multiple).into()),
        (0, ack(0, single).into()),
        (u64::MAX, ack(u64::MAX, multiple).into()),
        (4, Nack { delivery_tag: 4, multiple: single, requeue }.into()),
        (4, Nack { delivery_tag: 4, multiple, requeue }.into()),
        (0, Nack { delivery_tag: 0, multiple: single, requeue }.into()),
        (4, Reject { delivery_tag: 4, requeue }.into()),
        (0, Reject { delivery_tag: 0, requeue }.into()),
        // Settled, though one below is not.
        (2, ack(2, single).into()),
        (2, ack(2, multiple).into()),
        (2, Nack { delivery_tag: 2, multiple, requeue: false }.into()),
    ];
    for (tag, request) in unknown {
        let peer = holding(3);
        peer.ack(1, 2);
        let text = format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
        peer.refused(1, request, 406, &text);
        // Nothing was settled but by the channel's end.
        assert_eq!(waiting(&peer), ["1r", "3r"], "{text}");
    }
    let peer = holding(1);
    peer.open_channel(2);
    peer.refused(2, ack(1, single), 406, "PRECONDITION_FAILED - unknown delivery tag 1");
    peer.ack(1, 1);
    peer.expect_nothing();
}

/// B6.12: deliveries that are not acknowledged cannot be.
#[test]
fn tags_of_consumers_without_acknowledgements_are_unknown() {
    for multiple in [false, true] {
        let peer = World::new().open();
        peer.declare(1, "q");
        peer.consume_no_ack(1, "q", "c");
        peer.publish_texts(1, "q", &["1"]);
        peer.expect_texts(1, &["1"]);
        peer.refused(1, ack(1, multiple), 406, "PRECONDITION_FAILED - unknown delivery tag 1");
        assert_eq!(waiting(&peer), [""; 0], "it is gone all the same");
    }
}

/// B6.12: what each method leaves: unsettled on the channel, given back, or gone.
#[test]
fn settling_takes_one_or_all_up_to_it() {
    let nack = |delivery_tag, multiple, requeue| Nack { delivery_tag, multiple, requeue }.into();
    let reject = |delivery_tag, requeue| Reject { delivery_tag, requeue }.into();
    let rows: [(Method<'_>, &[&str], &[&str]); 12] = [
        // What waits after it, and after the channel's end.
        (ack(2, false).into(), &[], &["1r", "3r", "4r"]),
        (ack(2, true).into(), &[], &["3r", "4r"]),
        (ack(0, true).into(), &[], &[]),
        (nack(2, false, true), &["2r"], &["1r", "3r", "4r"]),
        (nack(2, true, true), &["1r", "2r"], &["3r", "4r"]),
        (nack(0, true, true), &["1r", "2r", "3r", "4r"], &[]),
        (nack(2, false, false), &[], &["1r", "3r", "4r"]),
        (nack(2, true, false), &[], &["3r", "4r"]),
        (nack(0, true, false), &[], &[]),
        (reject(2, true), &["2r"], &["1r", "3r", "4r"]),
        (reject(2, false), &[], &["1r", "3r", "4r"]),
        (reject(4, true), &["4r"], &["1r", "2r", "3r"]),
    ];
    for (request, given_back, left) in rows {
        let peer = holding(4);
        peer.send(1, request.clone());
        assert_eq!(waiting(&peer), given_back, "{request:?}");
        peer.close_channel(1);
        assert_eq!(waiting(&peer), left, "{request:?}");
    }
}

/// B6.12 and B16.3: everything may be nothing.
#[test]
fn settling_everything_with_nothing_outstanding_is_fine() {
    let peer = World::new().open();
    for _ in 0..2 {
        peer.ack_until(1, 0);
        peer.send(1, Nack { delivery_tag: 0, multiple: true, requeue: true });
        peer.send(1, Nack { delivery_tag: 0, multiple: true, requeue: false });
    }
    peer.expect_nothing();
    peer.declare(1, "q");
}

/// B6.12: a queue that is gone takes everything.
#[test]
fn settling_what_came_from_a_deleted_queue_is_fine() {
    let peer = holding(4);
    let delete = queue::Delete { queue: "q", ..queue::Delete::default() };
    peer.call(1, delete, queue::DeleteOk { message_count: 0 });
    peer.ack(1, 1);
    peer.nack(1, 2, true);
    peer.reject(1, 3, false);
    peer.send(1, Recover { requeue: true });
    peer.expect(1, RecoverOk {});
    peer.expect_nothing();
}

/// B6.13 and B16.4: back to where it stood, however many and in whatever order.
#[test]
fn requeued_messages_stand_at_their_old_positions() {
    let peer = holding(5);
    peer.publish_texts(1, "q", &["6"]);
    for delivery_tag in [2, 4, 1] {
        peer.nack(1, delivery_tag, true);
    }
    assert_eq!(waiting(&peer), ["1r", "2r", "4r", "6"]);

    let peer = holding(5);
    peer.publish_texts(1, "q", &["6"]);
    peer.nack(1, 5, true);
    peer.ack(1, 3);
    peer.send(1, Nack { delivery_tag: 4, multiple: true, requeue: true });
    peer.publish_texts(1, "q", &["7"]);
    assert_eq!(waiting(&peer), ["1r", "2r", "4r", "5r", "6", "7"]);
}

/// B6.13: the end of a channel, of a connection, and recover put back in the same order.
#[test]
fn unsettled_messages_go_back_to_their_old_positions() {
    let by_error = |peer: &Peer| {
        let missing = queue::Purge { queue: "none", nowait: false };
        peer.refused(1, missing, 404, "NOT_FOUND - no queue 'none' in vhost '/'");
    };
    let ends: [fn(&Peer); 4] = [
        |peer| peer.close_channel(1),
        by_error,
        |peer| peer.call(1, Recover { requeue: true }, RecoverOk {}),
        Peer::hang_up,
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let world = World::new();
        let (peer, other) = (world.open(), world.open());
        peer.declare(1, "q");
        other.publish_texts(1, "q", &["1", "2", "3", "4", "5"]);
        // Some got, some delivered, by turns.
        peer.get(1, "q").unwrap();
        peer.qos(1, 1, false);
        for tag in ["a", "b"] {
            peer.consume(1, "q", tag);
            peer.expect_delivery(1);
            peer.cancel(1, tag);
        }
        peer.get(1, "q").unwrap();
        peer.ack(1, 2);
        end(&peer);
        assert_eq!(waiting(&other), ["1r", "3r", "4r", "5"], "end {index}");
    }
}

/// B6.13: a lone consumer that gives everything back gets it again at once.
#[test]
fn requeued_message_may_come_back_to_its_consumer() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    peer.publish_texts(1, "q", &["1", "2"]);
    let mut deliveries: Vec<Delivery> = peer.expect_texts(1, &["1", "2"]);
    for _ in 0..3 {
        let delivery_tag = deliveries[1].delivery_tag;
        peer.send(1, Nack { delivery_tag, multiple: true, requeue: true });
        let again = peer.expect_texts(1, &["1", "2"]);
        assert!(again.iter().all(|delivery| delivery.redelivered));
        assert_eq!(again[0].delivery_tag, delivery_tag + 1, "with new tags");
        deliveries = again;
    }
}

/// B6.14 and B16.4: the flag is for what may have been seen: delivered, even if the client never
/// looked at it; not for what lost its consumer before it was sent.
#[test]
fn redelivered_says_that_it_may_have_been_seen() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.declare(1, "q");
    peer.qos(1, 2, false);
    peer.consume(1, "q", "c");
    other.publish_texts(1, "q", &["1", "2", "3"]);
    peer.hang_up();
    assert_eq!(waiting(&other), ["1r", "2r", "3"]);

    // A copy in another queue knows nothing of that.
    other.declare(1, "p");
    for queue in ["p", "q"] {
        other.bind(1, queue, "amq.fanout", "");
    }
    other.publish(1, "amq.fanout", "", &crate::support::text(), b"4");
    let got = other.get(1, "q").unwrap();
    other.nack(1, got.delivery_tag, true);
    assert!(!other.get(1, "p").unwrap().redelivered);
    assert_eq!(waiting(&other), ["4r"]);
}

/// B6.15: recover-ok, then everything again, with new tags.
#[test]
fn recover_delivers_everything_again() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    peer.get(1, "q").unwrap();
    peer.consume(1, "q", "c");
    peer.expect_texts(1, &["2", "3"]);
    peer.ack(1, 2);
    peer.send(1, Recover { requeue: true });
    peer.expect(1, RecoverOk {});
    let again = peer.expect_texts(1, &["1", "3"]);
    assert!(again.iter().all(|delivery| delivery.redelivered && delivery.consumer_tag == "c"));
    assert_eq!(again[0].delivery_tag, 4);
    peer.send(1, RecoverAsync { requeue: true });
    let again = peer.expect_texts(1, &["1", "3"]);
    assert_eq!(again[0].delivery_tag, 6);
    peer.refused(1, ack(1, false), 406, "PRECONDITION_FAILED - unknown delivery tag 1");
}

/// B6.15.
#[test]
fn recover_without_requeue_is_not_implemented() {
    let requests: [Method<'_>; 2] =
        [Recover { requeue: false }.into(), RecoverAsync { requeue: false }.into()];
    for request in requests {
        let method = request.id().method;
        let peer = World::new().open();
        peer.send(1, request);
        peer.expect_connection_error(540, "NOT_IMPLEMENTED - requeue=false", 60, method);
    }
}
