//! What comes in one packet, or crosses on the way: the session handles a whole read before it looks
//! at its outbox.

use std::collections::BTreeMap;

use leveret::protocol::FieldTable;
use leveret::protocol::frame::PROTOCOL_HEADER;
use leveret::protocol::method::basic::{Cancel, CancelOk, Consume, ConsumeOk};
use leveret::protocol::method::{channel, connection, queue};

use crate::support::{World, header_frame, method_frame, publish, raw_frame, text};

fn consume<'a>(queue: &'a str, consumer_tag: &'a str) -> Consume<'a> {
    Consume { queue, consumer_tag, ..Consume::default() }
}

/// The number of a consumer whose queue was deleted is used again before the notice of the deletion
/// is looked at: it once ended the new consumer, and its messages were lost.
#[test]
fn notice_of_a_deleted_queue_does_not_reach_the_next_consumer() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "old");
    peer.declare(1, "new");
    peer.consume(1, "old", "first");
    let packet = [
        method_frame(1, queue::Delete { queue: "old", ..queue::Delete::default() }),
        method_frame(1, Cancel { consumer_tag: "first", nowait: false }),
        method_frame(1, consume("new", "second")),
    ];
    peer.send_bytes(&packet.concat());
    peer.expect(1, queue::DeleteOk { message_count: 0 });
    peer.expect(1, CancelOk { consumer_tag: "first" });
    peer.expect(1, ConsumeOk { consumer_tag: "second" });
    peer.expect_nothing();
    peer.publish(1, "", "new", &text(), b"hello");
    assert_eq!(peer.expect_delivery(1).consumer_tag, "second");
}

/// A consumer is cancelled before it was sent what was meant for it: the channel's limit has room
/// again, and those who waited for it once were not told.
#[test]
fn cancelling_a_consumer_gives_its_room_to_the_others() {
    let world = World::new();
    let peer = world.open();
    for queue in ["q", "r"] {
        peer.declare(1, queue);
        peer.publish_texts(1, queue, &["1", "2", "3"]);
    }
    peer.qos(1, 2, true);
    let packet = [
        method_frame(1, consume("q", "gone")),
        method_frame(1, consume("q", "beside")),
        method_frame(1, consume("r", "elsewhere")),
        method_frame(1, Cancel { consumer_tag: "gone", nowait: false }),
    ];
    peer.send_bytes(&packet.concat());
    for consumer_tag in ["gone", "beside", "elsewhere"] {
        peer.expect(1, ConsumeOk { consumer_tag });
    }
    peer.expect(1, CancelOk { consumer_tag: "gone" });
    for _ in 0..2 {
        assert_ne!(peer.expect_delivery(1).consumer_tag, "gone");
    }
    peer.expect_nothing();
}

/// Room in a channel's limit goes round: a queue that always has messages does not keep all of it.
#[test]
fn limit_of_a_channel_starves_none_of_its_consumers() {
    let world = World::new();
    let peer = world.open();
    peer.qos(1, 1, true);
    for queue in ["a", "b", "c"] {
        peer.declare(1, queue);
        peer.consume(1, queue, queue);
    }
    for queue in ["a", "b", "c"] {
        peer.publish_texts(1, queue, &["x"; 100]);
    }
    let mut served = BTreeMap::new();
    for _ in 0..90 {
        let delivery = peer.expect_delivery(1);
        *served.entry(delivery.consumer_tag).or_insert(0) += 1;
        peer.ack(1, delivery.delivery_tag);
    }
    assert!(served.len() == 3 && served.values().all(|count| *count > 10), "{served:?}");
}

/// A client that does not wait for answers during the handshake may go on with frames as large as it
/// has just agreed on, of which only a part has come.
#[test]
fn first_large_frame_may_follow_the_handshake_in_pieces() {
    let world = World::new();
    world.open().declare(1, "q");
    let peer = world.dial();
    let body = vec![7; 50_000];
    let packet = [
        PROTOCOL_HEADER.to_vec(),
        method_frame(
            0,
            connection::StartOk {
                client_properties: FieldTable::new(),
                mechanism: "PLAIN",
                response: b"\0guest\0guest",
                locale: "en_US",
            },
        ),
        method_frame(0, connection::TuneOk { channel_max: 9, frame_max: 131_072, heartbeat: 0 }),
        method_frame(0, connection::Open { virtual_host: "/" }),
        method_frame(1, channel::Open {}),
        method_frame(1, publish("", "q")),
        header_frame(1, 50_000, &text()),
        raw_frame(3, 1, &body),
    ];
    let packet = packet.concat();
    let (now, later) = packet.split_at(packet.len() - 10_000);
    peer.send_bytes(now);
    peer.send_bytes(later);
    peer.expect_start();
    peer.expect_tune();
    peer.expect(0, connection::OpenOk {});
    peer.expect(1, channel::OpenOk {});
    assert_eq!(peer.get(1, "q").expect("it was published").content.body, body);
}

/// Behaviour B0.3: on a channel that the server has closed nothing matters any more, content that
/// cannot be understood included.
#[test]
fn nothing_is_looked_at_on_a_closing_channel() {
    let malformed_header = {
        let mut payload = vec![0, 60, 0, 0];
        payload.extend([0; 8]);
        // The flags say that there is a content type.
        payload.extend([0x80, 0]);
        raw_frame(2, 1, &payload)
    };
    let truncated_header = raw_frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let truncated_publish = raw_frame(1, 1, &[0, 60, 0, 40, 0]);
    let good_publish = method_frame(1, publish("", "q"));
    let good_header = header_frame(1, 0, &text());
    for (method, header) in [
        (&good_publish, &malformed_header),
        (&good_publish, &truncated_header),
        (&truncated_publish, &good_header),
        (&good_header, &good_header),
    ] {
        let peer = World::new().open();
        let error = method_frame(1, queue::Purge { queue: "nowhere", nowait: false });
        let ok = method_frame(1, channel::CloseOk {});
        let open = method_frame(1, channel::Open {});
        peer.send_bytes(&[&error[..], method, header, &ok, &open].concat());
        let text = "NOT_FOUND - no queue 'nowhere' in vhost '/'";
        peer.expect_channel_error(1, 404, text).for_method(50, 30);
        peer.expect(1, channel::OpenOk {});
        peer.expect_nothing();
    }
}
