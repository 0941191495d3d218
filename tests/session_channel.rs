//! Channels: opening, closing, and what a closed one does (behaviour B3).

mod support;

use leveret::protocol::method::queue;

use support::{World, text};

/// Behaviour B0.3: the number can be used again after close-ok.
#[test]
fn closed_channel_is_opened_again_and_others_go_on() {
    let world = World::new();
    let (publisher, consumer) = (world.connect(), world.connect());
    publisher.open_channel(1);
    consumer.open_channel(7);
    consumer.declare(7, "q");
    consumer.consume(7, "q", "c");
    publisher.send(1, queue::Purge { queue: "nowhere", nowait: false });
    publisher
        .expect_channel_error(1, 404, "NOT_FOUND - no queue 'nowhere' in vhost '/'")
        .for_method(50, 30);
    publisher.reopen(1);
    publisher.publish(1, "", "q", &text(), b"hello");
    let delivery = consumer.expect_delivery(7);
    assert_eq!((delivery.delivery_tag, delivery.text().as_str()), (1, "hello"));
    publisher.expect_nothing();
}
