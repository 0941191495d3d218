//! An open connection: what it may have, and how it ends (behaviour B2.3, B2.11, B2.13, B2.14).

use std::time::Duration;

use leveret::protocol::method::{basic, channel, connection, queue, tx};

use crate::support::{Client, Peer, World, method_frame, text};

fn goodbye() -> connection::Close<'static> {
    connection::Close { reply_code: 200, reply_text: "bye", class_id: 0, method_id: 0 }
}

/// A world with a queue `work` that has one task, an observer, and a client that holds the task, an
/// exclusive queue, an uncommitted publish and a reply consumer.
fn world_of_a_busy_client() -> (World, Peer, Peer) {
    let world = World::new();
    let observer = world.connect();
    observer.open_channel(1);
    observer.declare(1, "work");
    observer.publish(1, "", "work", &text(), b"task");

    let client = world.connect();
    client.open_channel(1);
    client.open_channel(5);
    let exclusive = queue::Declare { queue: "mine", exclusive: true, ..Default::default() };
    client.declare_as(1, exclusive);
    client.consume(1, "work", "c");
    client.expect_delivery(1);
    client.consume_no_ack(1, "amq.rabbitmq.reply-to", "replies");
    client.tx_select(5);
    client.publish(5, "", "work", &text(), b"uncommitted");
    (world, observer, client)
}

/// The task is back, once and marked; all else is gone.
#[track_caller]
fn expect_left_behind(observer: &Peer) {
    assert_eq!(observer.counts(1, "work"), (1, 0));
    let again = observer.get(1, "work").expect("the task");
    assert_eq!((again.text().as_str(), again.redelivered), ("task", true));
    observer.declare(1, "mine");
}

/// Behaviour B2.11 and trap B16.17: who comes back after close-ok finds names and messages free. Here
/// close-ok is still on its way.
#[test]
fn everything_is_free_before_close_ok() {
    let (_world, observer, client) = world_of_a_busy_client();
    client.stop_reading();
    client.send(0, goodbye());
    expect_left_behind(&observer);
    client.resume_reading();
    client.expect(0, connection::CloseOk {});
    client.expect_end();
}

/// Behaviour B2.11.
#[test]
fn lost_connection_leaves_nothing_behind() {
    let (_world, observer, client) = world_of_a_busy_client();
    client.hang_up();
    expect_left_behind(&observer);
}

/// Behaviour B2.11: the same when a connection's task ends without the usual farewell.
#[test]
fn dropped_session_leaves_nothing_behind() {
    let (_world, observer, client) = world_of_a_busy_client();
    drop(client);
    expect_left_behind(&observer);
}

/// Behaviour B2.11: 320 is what clients recover from.
#[test]
fn shutdown_is_announced_with_320() {
    let (world, observer, client) = world_of_a_busy_client();
    let dialing = world.dial();
    dialing.send_header();
    dialing.expect_start();
    world.shut_down("broker forced connection closure with reason 'shutdown'");
    for peer in [&observer, &client] {
        let text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        peer.expect_connection_error(320, text, 0, 0);
        peer.send(0, connection::CloseOk {});
        peer.expect_end();
    }
    dialing.expect_end();
    expect_left_behind(&{
        let late = world.connect();
        late.open_channel(1);
        late
    });
}

/// Behaviour B2.11: what came before the close in the same packet is done, what comes after is not.
#[test]
fn close_ends_the_conversation_where_it_stands() {
    let world = World::new();
    let observer = world.connect();
    observer.open_channel(1);
    observer.declare(1, "q");
    let client = world.connect();
    client.open_channel(1);
    client.confirm_select(1);
    let publish = || {
        let mut bytes = method_frame(1, crate::support::publish("", "q"));
        bytes.extend(crate::support::header_frame(1, 0, &text()));
        bytes
    };
    client.send_bytes(&[publish(), method_frame(0, goodbye()), publish()].concat());
    client.expect_confirm(1, 1, false);
    client.expect(0, connection::CloseOk {});
    client.expect_end();
    assert_eq!(observer.counts(1, "q"), (1, 0));
}

/// Whoever says goodbye and then does not read the answer is not waited for.
#[test]
fn goodbye_that_is_not_read_ends_after_a_while() {
    let world = World::new();
    let client = world.connect();
    client.stop_reading();
    client.send(0, goodbye());
    world.advance(Duration::from_millis(29_999));
    assert!(!client.is_closed());
    world.advance(Duration::from_millis(1));
    client.expect_end();
}

/// Behaviour B2.3: a client that did not ask to be told is not.
#[test]
fn cancel_is_announced_to_those_who_asked() {
    for asks in [true, false] {
        let world = World::new();
        let capabilities = if asks { vec!["consumer_cancel_notify"] } else { vec![] };
        let client = world.connect_as(&Client { capabilities, ..Client::default() });
        client.open_channel(1);
        client.declare(1, "q");
        client.consume(1, "q", "c");
        let other = world.connect();
        other.open_channel(1);
        other.send(1, queue::Delete { queue: "q", ..Default::default() });
        other.expect(1, queue::DeleteOk { message_count: 0 });
        if asks {
            client.expect(1, basic::Cancel { consumer_tag: "c", nowait: true });
        }
        client.expect_nothing();
        // The tag is free again.
        client.declare(1, "q");
        client.consume(1, "q", "c");
    }
}

/// Behaviour B2.13.
#[test]
fn new_secret_is_accepted_and_ignored() {
    let world = World::new();
    let client = world.connect();
    client.send(0, connection::UpdateSecret { new_secret: b"wrong", reason: "rotation" });
    client.expect(0, connection::UpdateSecretOk {});
    client.open_channel(1);
}

fn with_two_channels() -> (World, Peer) {
    let world = World::new();
    let client = world.connect_as(&Client { channel_max: 2, ..Client::default() });
    client.open_channel(65_535);
    client.open_channel(50);
    (world, client)
}

/// Behaviour B2.14: the number of channels is limited, not their numbers.
#[test]
fn channels_are_limited_by_count() {
    let (_world, client) = with_two_channels();
    client.send(1, channel::Open {});
    let text = "NOT_ALLOWED - number of channels opened (2) has reached the negotiated \
                channel_max (2)";
    client.expect_connection_error(530, text, 0, 0);
}

/// Behaviour B2.14: a closed channel makes room.
#[test]
fn closed_channels_do_not_count() {
    let (_world, client) = with_two_channels();
    client.close_channel(50);
    client.open_channel(1);
    client.expect_nothing();
}

/// Behaviour B2.14: a channel that the server closed makes room with close-ok, not before. Seen on
/// RabbitMQ 3.10.
#[test]
fn closing_channels_count() {
    for answers in [true, false] {
        let (_world, client) = with_two_channels();
        client.send(50, tx::Commit {});
        client
            .expect_channel_error(50, 406, "PRECONDITION_FAILED - channel is not transactional")
            .for_method(90, 20);
        if answers {
            client.close_ok(50);
            client.open_channel(1);
        } else {
            client.send(1, channel::Open {});
            let text = "NOT_ALLOWED - number of channels opened (2) has reached the negotiated \
                        channel_max (2)";
            client.expect_connection_error(530, text, 0, 0);
        }
    }
}

/// A client that takes nothing for fifteen seconds, though something waits for it, is gone: RabbitMQ's
/// `send_timeout`. Time alone is no reason.
#[test]
fn client_that_takes_nothing_is_dropped_after_the_send_timeout() {
    let world = World::new();
    let (idle, deaf) = (world.open(), world.open());
    world.advance(Duration::from_secs(3600));
    deaf.stop_reading();
    deaf.send(1, queue::Declare { queue: "q", ..queue::Declare::default() });
    world.advance(Duration::from_millis(14_999));
    assert!(!deaf.is_closed());
    world.advance(Duration::from_secs(6));
    assert!(deaf.is_closed());
    assert!(!idle.is_closed());
}
