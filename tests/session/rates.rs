//! How many channels, connections per second and messages per second a user, a vhost or the node may
//! have (behaviour B2.14, B10.7; the rates are leveret's own).

use std::time::Duration;

use leveret::auth::{PasswordHash, Patterns, User, UserLimits, unheard};
use leveret::broker::{Limits, VhostMetadata};
use leveret::protocol::ChannelNumber;
use leveret::protocol::Method;
use leveret::protocol::frame::{write_body, write_method};
use leveret::protocol::method::{basic, channel};
use leveret::session::Offer;
use leveret::storage::StoreError;

use crate::support::{Client, Peer, World, header_frame, method_frame, publish, raw_frame, text};

const SECOND: Duration = Duration::from_secs(1);

fn done() -> Box<dyn FnOnce(Result<(), StoreError>) + Send> {
    Box::new(|result| result.unwrap())
}

/// The user hare, whose password is the name, with these limits from now on.
fn hare(world: &World, limits: UserLimits) -> Client {
    let (name, password) = ("hare".into(), PasswordHash::new("hare"));
    world.authenticator.put_user(User { name, password, tags: Vec::new(), limits }, unheard());
    let (hare, root) = ("hare".into(), "/".into());
    world.authenticator.permit(&hare, &root, Patterns::EVERYTHING, unheard()).unwrap();
    Client { response: b"\0hare\0hare".to_vec(), ..Client::default() }
}

fn vhost(world: &World, metadata: VhostMetadata) {
    world.broker.put_vhost(&"/".into(), metadata, &done);
}

/// Sends what opens a connection; what comes next is the answer.
fn knock(world: &World, client: &Client) -> Peer {
    let peer = world.dial();
    peer.send_header();
    peer.expect_start();
    peer.send_start_ok(client);
    peer.expect_tune();
    peer.send_tune_ok(client);
    peer.send_open(client.vhost);
    peer
}

fn refuse_channel(peer: &Peer, number: u16, text: &str) {
    peer.send(number, channel::Open {});
    peer.expect_connection_error(530, text, 0, 0);
}

#[test]
fn channels_of_a_user_are_limited_over_all_connections() {
    let world = World::new();
    let limited = |max| UserLimits { channels_max: Some(max), ..Default::default() };
    let client = hare(&world, limited(3));
    let full = "NOT_ALLOWED - number of channels opened for user 'hare' has reached the maximum allowed user limit of (3)";
    let (one, two) = (world.connect_as(&client), world.connect_as(&client));
    one.open_channel(1);
    one.open_channel(9);
    two.open_channel(1);
    refuse_channel(&two, 2, full);
    assert_eq!(world.broker.channel_count(), 2, "those of the refused connection are free");

    let three = world.connect_as(&client);
    three.open_channel(1);
    // Each way of ending one frees its place.
    one.close_channel(9);
    three.open_channel(2);
    one.refused(
        1,
        basic::Get { queue: "none", no_ack: true },
        404,
        "NOT_FOUND - no queue 'none' in vhost '/'",
    );
    one.close_channel(1);
    three.open_channel(3);
    assert_eq!(world.broker.channel_count(), 3);
    let other = world.connect_as(&client);
    refuse_channel(&other, 1, full);
    three.hang_up();
    assert_eq!(world.broker.channel_count(), 0);

    // Others have their own, and 0 is nobody. What is open stays.
    one.open_channel(5);
    hare(&world, limited(0));
    world.open();
    refuse_channel(&world.connect_as(&client), 1, &full.replace("(3)", "(0)"));
    one.declare(5, "q");
    hare(&world, UserLimits::default());
    world.connect_as(&client).open_channel(1);
}

#[test]
fn channels_of_the_node_are_limited() {
    let limits = Limits { channel_max_per_node: Some(2), ..Limits::default() };
    let world = World::with(limits, Offer::default());
    let (one, two) = (world.open(), world.open());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let node = format!("rabbit@{}", host.trim().split('.').next().unwrap());
    let full = format!(
        "NOT_ALLOWED - number of channels opened on node '{node}' has reached the maximum allowed limit of (2)"
    );
    refuse_channel(&world.connect(), 1, &full);
    one.close_channel(1);
    two.open_channel(2);
    refuse_channel(&one, 1, &full);
    drop(two);
    world.open().open_channel(2);
}

#[test]
fn connections_per_second_of_a_user_are_limited() {
    let world = World::new();
    let client = hare(&world, UserLimits { connection_rate_max: Some(2), ..Default::default() });
    let full = "NOT_ALLOWED - connection refused for user 'hare': user connection rate limit (2 per second) is reached";
    for _ in 0..3 {
        for _ in 0..2 {
            world.connect_as(&client).hang_up();
        }
        knock(&world, &client).expect_connection_error(530, full, 10, 40);
        assert_eq!(world.broker.connection_count(), 0);
        // The others go on.
        world.connect().hang_up();
        world.advance(SECOND / 2 - Duration::from_millis(1));
        knock(&world, &client).expect_connection_error(530, full, 10, 40);
        world.advance(Duration::from_millis(1));
        world.connect_as(&client).hang_up();
        knock(&world, &client).expect_connection_error(530, full, 10, 40);
        world.advance(60 * SECOND);
    }
    hare(&world, UserLimits { connection_rate_max: Some(0), ..Default::default() });
    let never = full.replace("(2 ", "(0 ");
    knock(&world, &client).expect_connection_error(530, &never, 10, 40);
    hare(&world, UserLimits::default());
    world.connect_as(&client);
}

#[test]
fn connections_per_second_of_a_vhost_are_limited() {
    let world = World::new();
    vhost(&world, VhostMetadata { connection_rate_max: Some(2), ..Default::default() });
    let client = hare(&world, UserLimits::default());
    // Who may not enter uses up nothing.
    let stranger = Client { response: b"\0stranger\0x".to_vec(), ..Client::default() };
    let (name, password) = ("stranger".into(), PasswordHash::new("x"));
    let limits = UserLimits::default();
    world.authenticator.put_user(User { name, password, tags: Vec::new(), limits }, unheard());
    let refused = "NOT_ALLOWED - access to vhost '/' refused for user 'stranger'";
    for _ in 0..5 {
        knock(&world, &stranger).expect_connection_error(530, refused, 10, 40);
    }
    world.connect();
    world.connect_as(&client);
    let full = "NOT_ALLOWED - access to vhost '/' refused for user 'hare': connection rate limit (2 per second) is reached";
    knock(&world, &client).expect_connection_error(530, full, 10, 40);
    world.advance(SECOND / 2);
    world.connect_as(&client);
    knock(&world, &client).expect_connection_error(530, full, 10, 40);
}

/// Messages with these bodies in one packet.
fn messages(bodies: std::ops::Range<usize>) -> Vec<u8> {
    let mut packet = Vec::new();
    for body in bodies {
        let body = body.to_string();
        packet.extend(method_frame(1, publish("", "q")));
        packet.extend(header_frame(1, body.len() as u64, &text()));
        write_body(&mut packet, ChannelNumber(1), body.as_bytes());
    }
    packet
}

/// What there is of `0..`, in order.
fn arrived(world: &World) -> usize {
    let peer = world.open();
    let bodies = peer.drain(1, "q");
    let expected: Vec<String> = (0..bodies.len()).map(|n| n.to_string()).collect();
    assert_eq!(bodies, expected);
    let mut back = Vec::new();
    for body in &bodies {
        back.extend(method_frame(1, publish("", "q")));
        back.extend(header_frame(1, body.len() as u64, &text()));
        write_body(&mut back, ChannelNumber(1), body.as_bytes());
    }
    peer.send_bytes(&back);
    bodies.len()
}

#[test]
fn messages_per_second_of_a_user_are_limited_and_none_is_lost() {
    let world = World::new();
    let client = hare(&world, UserLimits { message_rate_max: Some(10), ..Default::default() });
    let peer = world.connect_as(&client);
    peer.open_channel(1);
    peer.declare(1, "q");
    peer.confirm_select(1);
    let get = method_frame(1, basic::Get { queue: "none", no_ack: true });
    peer.send_bytes(&[messages(0..35), get].concat());
    // One second's worth at once; the eleventh, and what is behind it, waits.
    assert_eq!(arrived(&world), 10);
    peer.expect_confirm(1, 10, true);
    peer.expect_nothing();
    assert!(peer.unread() > 0);
    world.advance(Duration::from_millis(99));
    assert_eq!(arrived(&world), 10);
    world.advance(Duration::from_millis(1));
    assert_eq!(arrived(&world), 11);
    world.advance(SECOND);
    assert_eq!(arrived(&world), 21);
    world.advance(2 * SECOND);
    assert_eq!(arrived(&world), 35);
    assert_eq!(peer.unread(), 0);
    // And it is in order with what is no message.
    let mut confirmed = 10;
    let error = loop {
        let received = peer.recv();
        match received.method() {
            Method::Basic(basic::Method::Ack(ack)) => confirmed = ack.delivery_tag,
            other => break format!("{other:?}"),
        }
    };
    assert_eq!(confirmed, 35);
    assert!(error.contains("no queue 'none'"), "{error}");
    peer.expect_nothing();
}

#[test]
fn connections_of_a_user_share_the_rate_and_others_do_not() {
    let world = World::new();
    world.open().declare(1, "q");
    let client = hare(&world, UserLimits { message_rate_max: Some(4), ..Default::default() });
    let (one, two) = (world.connect_as(&client), world.connect_as(&client));
    for peer in [&one, &two] {
        peer.open_channel(1);
        peer.publish_texts(1, "q", &["a", "b", "c"]);
    }
    let guest = world.open();
    assert_eq!(guest.counts(1, "q").0, 4);
    // Nothing but messages is counted.
    one.declare(1, "q");
    guest.publish_texts(1, "q", &["g"; 100]);
    assert_eq!(guest.counts(1, "q").0, 104);
    // Nobody gets more by coming again.
    one.hang_up();
    let again = world.connect_as(&client);
    again.open_channel(1);
    again.publish_texts(1, "q", &["again"]);
    assert_eq!(guest.counts(1, "q").0, 104);
    world.advance(SECOND);
    assert_eq!(guest.counts(1, "q").0, 104 + 3);
}

#[test]
fn messages_per_second_of_a_vhost_are_limited_for_all_of_its_users() {
    let world = World::new();
    vhost(&world, VhostMetadata { message_rate_max: Some(4), ..Default::default() });
    let client = hare(&world, UserLimits { message_rate_max: Some(1), ..Default::default() });
    let (guest, hare) = (world.open(), world.connect_as(&client));
    hare.open_channel(1);
    guest.declare(1, "q");
    hare.publish_texts(1, "q", &["1", "2"]);
    assert_eq!(guest.counts(1, "q").0, 1);
    guest.publish_texts(1, "q", &["3", "4", "5", "6"]);
    // The request behind them waits as well.
    let other = world.open();
    assert_eq!(other.counts(1, "q").0, 4);
    world.advance(SECOND / 4);
    assert_eq!(other.counts(1, "q").0, 5);
    assert_eq!((guest.unread(), hare.unread() > 0), (0, true));
    world.advance(SECOND);
    assert_eq!(other.counts(1, "q").0, 6);
}

#[test]
fn limits_count_for_connections_that_are_open() {
    let world = World::new();
    let client = hare(&world, UserLimits::default());
    let peer = world.connect_as(&client);
    peer.open_channel(1);
    peer.declare(1, "q");
    let guest = world.open();
    let count = || guest.counts(1, "q").0;
    peer.publish_texts(1, "q", &["x"; 1000]);
    assert_eq!(count(), 1000);
    hare(&world, UserLimits { message_rate_max: Some(0), ..Default::default() });
    peer.publish_texts(1, "q", &["x"]);
    world.advance(3600 * SECOND);
    assert_eq!(count(), 1000);
    // Lifted: noticed within a second.
    hare(&world, UserLimits::default());
    world.advance(SECOND);
    assert_eq!(count(), 1001);
    vhost(&world, VhostMetadata { message_rate_max: Some(1), ..Default::default() });
    peer.publish_texts(1, "q", &["x", "y"]);
    assert_eq!(count(), 1002);
    vhost(&world, VhostMetadata::default());
    world.advance(SECOND);
    peer.publish_texts(1, "q", &["x"; 1000]);
    assert_eq!(count(), 2003);
}

/// It is read no more, so it need not be heard of; it hears from us.
#[test]
fn heartbeats_go_on_while_a_publisher_waits() {
    let world = World::new();
    let limits = UserLimits { message_rate_max: Some(0), ..Default::default() };
    let client = Client { heartbeat: 2, ..hare(&world, limits) };
    let peer = world.connect_as(&client);
    peer.open_channel(1);
    let mut packet = Vec::new();
    write_method(&mut packet, ChannelNumber(1), &publish("", "q").into());
    peer.send_bytes(&[packet, raw_frame(8, 0, b"")].concat());
    world.advance(60 * SECOND);
    assert!(!peer.is_closed() && peer.take_heartbeats() >= 30);
}
