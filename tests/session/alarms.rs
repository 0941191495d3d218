//! Publishers under an alarm are blocked; others go on (behaviour B2.12, B11.1 to B11.4).

use std::time::Duration;

use leveret::broker::Resource;
use leveret::protocol::OwnedProperties;
use leveret::protocol::method::{basic, connection};

use crate::support::{Client, Peer, World, header_frame, method_frame, publish, raw_frame, text};

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn expect_blocked(peer: &Peer, reason: &str) {
    peer.expect(0, connection::Blocked { reason });
}

#[track_caller]
fn expect_unblocked(peer: &Peer) {
    peer.expect(0, connection::Unblocked {});
}

/// The frames of a message, each for itself.
fn frames(queue: &str, bodies: &[&str]) -> Vec<Vec<u8>> {
    let size = bodies.iter().map(|body| body.len() as u64).sum();
    let mut frames = vec![
        method_frame(1, publish("", queue)),
        header_frame(1, size, &OwnedProperties::default()),
    ];
    frames.extend(bodies.iter().map(|body| raw_frame(3, 1, body.as_bytes())));
    frames
}

#[test]
fn publisher_is_blocked_and_everybody_else_goes_on() {
    let world = World::new();
    let (publisher, consumer) = (world.open(), world.open());
    publisher.declare(1, "q");
    publisher.publish_texts(1, "q", &["1", "2"]);
    world.set_alarm(Resource::Disk, true);
    // Nothing is said before it publishes.
    publisher.expect_nothing();
    publisher.publish(1, "", "q", &text(), b"3");
    expect_blocked(&publisher, "low on disk");

    // Deliveries, acknowledgements and declares of others.
    consumer.expect_nothing();
    consumer.consume(1, "q", "c");
    let deliveries = consumer.expect_texts(1, &["1", "2"]);
    consumer.ack(1, deliveries[1].delivery_tag);
    consumer.declare(1, "other");
    assert_eq!(consumer.unread(), 0);

    world.set_alarm(Resource::Disk, false);
    expect_unblocked(&publisher);
    consumer.expect_texts(1, &["3"]);
    publisher.publish(1, "", "q", &text(), b"4");
    consumer.expect_texts(1, &["4"]);
    publisher.expect_nothing();
}

/// B11.3: not even a close is read, and the rest is done in order afterwards.
#[test]
fn reading_stops_behind_the_first_frame_with_content() {
    for together in [false, true] {
        let world = World::new();
        let (peer, other) = (world.open(), world.open());
        other.declare(1, "q");
        world.set_alarm(Resource::Memory, true);
        let frames = frames("q", &["first ", "second"]);
        let end = method_frame(0, connection::Close { reply_code: 200, ..Default::default() });
        let last = method_frame(1, basic::Get { queue: "q", no_ack: true });
        if together {
            peer.send_bytes(&[frames.concat(), last.clone(), end.clone()].concat());
        } else {
            frames.iter().chain([&last, &end]).for_each(|frame| peer.send_bytes(frame));
        }
        expect_blocked(&peer, "low on memory");
        // The method and the header were taken.
        let unread = frames[2].len() + frames[3].len() + last.len() + end.len();
        assert_eq!(peer.unread(), unread);
        assert_eq!(other.counts(1, "q").0, 0);
        peer.expect_nothing();

        world.set_alarm(Resource::Memory, false);
        expect_unblocked(&peer);
        assert_eq!(peer.recv().content.unwrap().body, b"first second");
        peer.expect(0, connection::CloseOk {});
        assert_eq!(peer.unread(), 0);
    }
}

#[test]
fn message_without_a_body_arrives_at_once_and_is_confirmed() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    peer.confirm_select(1);
    world.set_alarm(Resource::Disk, true);
    peer.publish(1, "", "q", &text(), b"");
    expect_blocked(&peer, "low on disk");
    peer.expect_confirm(1, 1, false);
    assert_eq!(world.open().counts(1, "q").0, 1);
    // The next one waits.
    peer.publish(1, "", "q", &text(), b"");
    peer.expect_nothing();
    assert_eq!(world.open().counts(1, "q").0, 1);
    world.set_alarm(Resource::Disk, false);
    expect_unblocked(&peer);
    peer.expect_confirm(1, 2, false);
}

#[test]
fn body_that_was_on_its_way_when_the_alarm_came_is_blocked_at_the_next_frame() {
    let world = World::new();
    let peer = world.open();
    peer.declare(1, "q");
    let frames = frames("q", &["a", "b", "c"]);
    peer.send_bytes(&frames[..3].concat());
    world.set_alarm(Resource::Disk, true);
    peer.expect_nothing();
    peer.send_bytes(&frames[3..].concat());
    expect_blocked(&peer, "low on disk");
    assert_eq!(peer.unread(), frames[4].len());
    world.set_alarm(Resource::Disk, false);
    expect_unblocked(&peer);
    assert_eq!(peer.drain(1, "q"), ["abc"]);
}

#[test]
fn last_alarm_that_ends_unblocks_and_what_is_said_is_said_once() {
    let world = World::new();
    let (first, second) = (world.open(), world.open());
    first.declare(1, "q");
    world.set_alarm(Resource::Memory, true);
    first.publish(1, "", "q", &text(), b"x");
    expect_blocked(&first, "low on memory");
    world.set_alarm(Resource::Disk, true);
    second.publish(1, "", "q", &text(), b"x");
    expect_blocked(&second, "low on memory & disk");
    world.set_alarm(Resource::Memory, false);
    first.expect_nothing();
    second.expect_nothing();
    world.set_alarm(Resource::Disk, false);
    expect_unblocked(&first);
    expect_unblocked(&second);
    // Another time it is said again.
    world.set_alarm(Resource::Disk, true);
    first.publish(1, "", "q", &text(), b"x");
    expect_blocked(&first, "low on disk");
    second.expect_nothing();
    world.set_alarm(Resource::Disk, false);
    expect_unblocked(&first);
    second.expect_nothing();
    assert_eq!(first.counts(1, "q").0, 3);
    assert_eq!(world.broker.alarms.blocked_count(), 0);
}

/// B2.3: those who did not say that they want to know are blocked without a word.
#[test]
fn client_without_the_capability_is_not_told() {
    let world = World::new();
    let peer = world.connect_as(&Client { capabilities: vec![], ..Client::default() });
    peer.open_channel(1);
    peer.declare(1, "q");
    world.set_alarm(Resource::Disk, true);
    peer.publish(1, "", "q", &text(), b"x");
    peer.expect_nothing();
    assert!(peer.unread() > 0);
    world.set_alarm(Resource::Disk, false);
    assert_eq!(peer.counts(1, "q").0, 1);
}

/// B11.4: who is not read cannot be blamed for silence, and goes on hearing from us.
#[test]
fn heartbeats_of_a_blocked_client_are_not_missed() {
    let world = World::new();
    let client = Client { heartbeat: 10, ..Client::default() };
    let (blocked, silent) = (world.connect_as(&client), world.connect_as(&client));
    blocked.open_channel(1);
    blocked.declare(1, "q");
    world.set_alarm(Resource::Memory, true);
    blocked.publish(1, "", "q", &text(), b"x");
    expect_blocked(&blocked, "low on memory");
    blocked.take_heartbeats();
    world.advance(100 * SECOND);
    assert!(silent.is_closed() && !blocked.is_closed());
    assert!((19..=20).contains(&blocked.take_heartbeats()));
    world.set_alarm(Resource::Memory, false);
    expect_unblocked(&blocked);
    world.advance(40 * SECOND);
    assert!(blocked.is_closed(), "it counts again");
}

/// A blocked client that consumes too gets what there is.
#[test]
fn deliveries_reach_a_blocked_client_and_its_acknowledgements_wait() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.declare(1, "q");
    peer.qos(1, 1, false);
    peer.consume(1, "q", "c");
    other.publish_texts(1, "q", &["1", "2"]);
    world.set_alarm(Resource::Disk, true);
    peer.publish(1, "", "elsewhere", &text(), b"x");
    let delivery = peer.expect_delivery(1);
    expect_blocked(&peer, "low on disk");
    peer.ack(1, delivery.delivery_tag);
    peer.expect_nothing();
    world.set_alarm(Resource::Disk, false);
    expect_unblocked(&peer);
    peer.expect_texts(1, &["2"]);
}

#[test]
fn blocked_client_that_hangs_up_or_is_shut_down_leaves_nothing_behind() {
    let world = World::new();
    let (gone, told) = (world.open(), world.open());
    world.set_alarm(Resource::Disk, true);
    for peer in [&gone, &told] {
        peer.publish(1, "", "nowhere", &text(), b"x");
        expect_blocked(peer, "low on disk");
    }
    assert_eq!(world.broker.alarms.blocked_count(), 2);
    gone.hang_up();
    assert_eq!(world.broker.alarms.blocked_count(), 1);
    world.shut_down("the end");
    told.expect_connection_error(320, "CONNECTION_FORCED - the end", 0, 0);
    told.send(0, connection::CloseOk {});
    told.expect_end();
    assert_eq!(world.broker.alarms.blocked_count(), 0);
}
