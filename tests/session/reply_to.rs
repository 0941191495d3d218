//! Direct reply-to: requests and replies without a queue (behaviour B9).

use leveret::protocol::method::{basic, channel, queue};
use leveret::protocol::{FieldValue, Headers, OwnedProperties};

use crate::support::{Peer, World, publish, text};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn replying_to(name: &str) -> OwnedProperties {
    OwnedProperties { reply_to: Some(name.as_bytes().to_vec()), ..text() }
}

/// A requester with a reply consumer on channel 1, a responder, and the queue `requests`.
fn world_of_a_request() -> (World, Peer, Peer) {
    let world = World::new();
    let (requester, responder) = (world.connect(), world.connect());
    responder.open_channel(1);
    responder.declare(1, "requests");
    requester.open_channel(1);
    requester.consume_no_ack(1, REPLY_TO, "replies");
    (world, requester, responder)
}

/// Sends a request, and returns the name that the responder is to reply to.
#[track_caller]
fn request(requester: &Peer, channel: u16, responder: &Peer) -> String {
    requester.publish(channel, "", "requests", &replying_to(REPLY_TO), b"ask");
    let request = responder.get(1, "requests").expect("the request");
    String::from_utf8(request.content.properties().reply_to.expect("a reply-to")).expect("text")
}

/// Behaviour B9.2 and B9.3: to the default exchange, from anywhere in the vhost.
#[test]
fn reply_reaches_the_requester() {
    let (_world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    responder.publish(1, "", &name, &text(), b"answer");
    let reply = requester.expect_delivery(1);
    assert_eq!((reply.consumer_tag.as_str(), reply.delivery_tag), ("replies", 1));
    assert_eq!((reply.exchange.as_str(), &reply.routing_key), ("", &name));
    assert_eq!((reply.redelivered, reply.text().as_str()), (false, "answer"));

    // A large one, from another channel; and again, for the name is good for many.
    responder.open_channel(2);
    let body = vec![b'x'; 200_000];
    responder.publish(2, "", &name, &text(), &body);
    assert!(requester.expect_delivery(1).content.body == body);
}

/// Behaviour B9.2: the name stays the same for a consumer, and is another one's alone.
#[test]
fn name_is_the_consumers_own() {
    let (_world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    assert_eq!(request(&requester, 1, &responder), name);
    requester.open_channel(2);
    requester.consume_no_ack(2, REPLY_TO, "replies");
    let other = request(&requester, 2, &responder);
    assert_ne!(other, name);
    responder.publish(1, "", &other, &text(), b"for channel 2");
    assert_eq!(requester.expect_delivery(2).text(), "for channel 2");
    // Behaviour B9.7: a new consumer has a new name.
    requester.cancel(1, "replies");
    requester.consume_no_ack(1, REPLY_TO, "replies");
    assert_ne!(request(&requester, 1, &responder), name);
}

/// Behaviour B9.8: 128 bits that nobody guesses, in characters that a name may have.
#[test]
fn name_is_opaque() {
    let (_world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    let token = name.strip_prefix("amq.rabbitmq.reply-to.").expect("the prefix");
    assert!(token.len() >= 22 && name.len() <= 255, "{name}");
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
    assert!(!token.contains("replies"));
}

/// Behaviour B9.2: all else about the request stays as it was sent.
#[test]
fn request_keeps_its_other_properties() {
    let (_world, requester, responder) = world_of_a_request();
    let headers = Headers::from_raw(&b"\x01ss\xff\xff\x01LL\0\0\0\0\0\0\0\x01"[..]);
    let properties = OwnedProperties {
        correlation_id: Some(b"\xff7".to_vec()),
        headers: Some(headers),
        delivery_mode: Some(2),
        app_id: Some(b"app".to_vec()),
        ..replying_to(REPLY_TO)
    };
    requester.publish(1, "", "requests", &properties, b"ask");
    let request = responder.get(1, "requests").expect("the request");
    let found = request.content.properties();
    assert!(found.reply_to.as_ref().is_some_and(|name| name.len() > REPLY_TO.len()));
    assert_eq!(OwnedProperties { reply_to: properties.reply_to.clone(), ..found }, properties);
}

/// Behaviour B9.2: only the plain name is a wish.
#[test]
fn other_reply_names_are_not_touched() {
    let (_world, requester, responder) = world_of_a_request();
    for name in ["", "queue", "amq.rabbitmq.reply-to.something", "amq.rabbitmq.reply-tO"] {
        requester.publish(1, "", "requests", &replying_to(name), b"ask");
        let request = responder.get(1, "requests").expect("the request");
        assert_eq!(request.content.properties(), replying_to(name));
    }
}

/// Behaviour B9.1.
#[test]
fn reply_consumer_has_its_rules() {
    let consume = |consumer_tag, no_ack| basic::Consume {
        queue: REPLY_TO,
        consumer_tag,
        no_ack,
        ..Default::default()
    };
    let (world, requester, _responder) = world_of_a_request();
    requester.send(1, consume("second", true));
    requester
        .expect_channel_error(1, 406, "PRECONDITION_FAILED - reply consumer already set")
        .for_method(60, 20);
    requester.reopen(1);
    requester.send(1, consume("c", false));
    requester
        .expect_channel_error(1, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge")
        .for_method(60, 20);

    let other = world.connect();
    other.open_channel(1);
    let tag = other.consume_as(1, consume("", true));
    assert!(tag.starts_with("amq.ctag-"), "{tag}");
    other.send(1, consume(&tag, true));
    let text = format!("NOT_ALLOWED - attempt to reuse consumer tag '{tag}'");
    other.expect_connection_error(530, &text, 60, 20);
}

/// Behaviour B9.2: no consumer on the same channel, no reply.
#[test]
fn request_needs_a_reply_consumer_on_its_channel() {
    let (_world, requester, _responder) = world_of_a_request();
    requester.open_channel(2);
    requester.publish(2, "", "requests", &replying_to(REPLY_TO), b"ask");
    let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
    requester.expect_channel_error(2, 406, text).for_method(60, 40);
    requester.cancel(1, "replies");
    requester.publish(1, "", "requests", &replying_to(REPLY_TO), b"ask");
    requester.expect_channel_error(1, 406, text).for_method(60, 40);
}

/// Behaviour B9.7, B6.11 and trap B16.16: replies, deliveries and gets share one sequence of tags.
#[test]
fn replies_count_in_the_channels_delivery_tags() {
    let (_world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    responder.publish(1, "", &name, &text(), b"answer");
    assert_eq!(requester.expect_delivery(1).delivery_tag, 1);
    responder.publish(1, "", "requests", &text(), b"a");
    responder.publish(1, "", "requests", &text(), b"b");
    assert_eq!(requester.get(1, "requests").expect("a").delivery_tag, 2);
    requester.consume(1, "requests", "c");
    assert_eq!(requester.expect_delivery(1).delivery_tag, 3);
    responder.publish(1, "", &name, &text(), b"answer");
    assert_eq!(requester.expect_delivery(1).delivery_tag, 4);
    requester.ack(1, 2);
    requester.ack(1, 3);
    requester.ack(1, 4);
    requester
        .expect_channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 4")
        .for_method(60, 80);
}

/// Behaviour B9.4 and B9.7: a reply for somebody who is gone is dropped, confirmed and not returned.
#[test]
fn reply_to_nobody_is_dropped() {
    let goodbyes: [fn(&Peer); 4] = [
        |requester| requester.cancel(1, "replies"),
        |requester| requester.close_channel(1),
        |requester| {
            requester.send(1, queue::Purge { queue: "none", nowait: false });
            requester
                .expect_channel_error(1, 404, "NOT_FOUND - no queue 'none' in vhost '/'")
                .for_method(50, 30);
        },
        |requester| requester.hang_up(),
    ];
    for goodbye in goodbyes {
        let (_world, requester, responder) = world_of_a_request();
        let name = request(&requester, 1, &responder);
        goodbye(&requester);
        responder.confirm_select(1);
        responder.publish(1, "", &name, &text(), b"late");
        responder.expect_confirm(1, 1, false);
        responder.publish_mandatory(1, "", &name, b"late");
        responder.expect_confirm(1, 2, false);
        requester.expect_nothing();
    }
}

/// Behaviour B9.4 and B14.19: a reply name is routable, even if it is nobody's; garbage and the plain
/// name (B9.6) are not.
#[test]
fn garbage_names_are_unroutable() {
    let (_world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    responder.publish_mandatory(1, "", &name, b"answer");
    responder.expect_nothing();
    assert_eq!(requester.expect_delivery(1).text(), "answer");
    let longer = format!("{name}x");
    let prefixed = format!("x{name}");
    for garbage in
        [REPLY_TO, "amq.rabbitmq.reply-to.", "amq.rabbitmq.reply-to.guess", &longer, &prefixed]
    {
        responder.publish_mandatory(1, "", garbage, b"back");
        assert_eq!(responder.expect_return(1).routing_key, garbage);
    }
    // And only the default exchange leads there.
    responder.publish_mandatory(1, "amq.direct", &name, b"back");
    responder.expect_return(1);
    requester.expect_nothing();
}

/// Behaviour B9.7: CC and BCC too may name a requester.
#[test]
fn copies_reach_requesters() {
    let (_world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    let key = |name: &str| FieldValue::Array(vec![FieldValue::from(name)]);
    for header in ["CC", "BCC"] {
        let mut headers = Headers::default();
        headers.set(header, &key(&name));
        let properties = OwnedProperties { headers: Some(headers), ..text() };
        responder.publish(1, "", "requests", &properties, b"both");
        let reply = requester.expect_delivery(1);
        assert_eq!((reply.text().as_str(), reply.routing_key.as_str()), ("both", "requests"));
        assert_eq!(responder.get(1, "requests").expect("the copy").text(), "both");
    }
}

/// Behaviour B9.5: asking whether the requester is still there.
#[test]
fn declare_says_whether_a_requester_is_there() {
    let (world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    let declare = |queue, passive| queue::Declare { queue, passive, ..Default::default() };
    for passive in [true, false] {
        for name in [&name, REPLY_TO] {
            let found = responder.declare_as(1, declare(name, passive));
            assert_eq!(found, (name.to_owned(), 0, 1));
        }
    }
    // Nobody needs to be there for the plain name, and it may look like anything.
    let other = world.connect();
    other.open_channel(1);
    let odd = queue::Declare { durable: true, exclusive: true, ..declare(REPLY_TO, false) };
    other.declare_as(1, odd);

    requester.cancel(1, "replies");
    for gone in [&name, "amq.rabbitmq.reply-to.guess", "amq.rabbitmq.reply-to."] {
        responder.send(1, declare(gone, true));
        let text = format!("NOT_FOUND - no queue '{gone}' in vhost '/'");
        responder.expect_channel_error(1, 404, &text).for_method(50, 10);
        responder.reopen(1);
    }
}

/// Behaviour B9.6: it is no queue.
#[test]
fn reply_name_is_no_queue() {
    let (_world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    for name in [&name, REPLY_TO] {
        responder.send(1, basic::Get { queue: name, no_ack: true });
        let text = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
        responder.expect_channel_error(1, 404, &text).for_method(60, 70);
        responder.reopen(1);
        responder.send(1, queue::Delete { queue: name, ..Default::default() });
        responder.expect(1, queue::DeleteOk { message_count: 0 });
        let text = "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue";
        let exchange = "amq.fanout";
        responder.send(1, queue::Bind { queue: name, exchange, ..Default::default() });
        responder.expect_channel_error(1, 403, text).for_method(50, 20);
        responder.reopen(1);
        responder.send(1, queue::Unbind { queue: name, exchange, ..Default::default() });
        responder.expect_channel_error(1, 403, text).for_method(50, 50);
        responder.reopen(1);
    }
    responder.publish(1, "", &name, &text(), b"answer");
    assert_eq!(requester.expect_delivery(1).text(), "answer", "still there after all that");
}

/// A requester that cancels with replies on the way gets cancel-ok and nothing after it (B6.8).
#[test]
fn nothing_follows_cancel_ok() {
    let (_world, requester, responder) = world_of_a_request();
    let name = request(&requester, 1, &responder);
    responder.open_channel(2);
    responder.publish_as(2, publish("", &name), &text(), b"first");
    requester.send(1, basic::Cancel { consumer_tag: "replies", nowait: true });
    responder.publish_as(2, publish("", &name), &text(), b"second");
    requester.send(1, channel::Flow { active: true });
    assert_eq!(requester.expect_delivery(1).text(), "first");
    requester.expect(1, channel::FlowOk { active: true });
    requester.expect_nothing();
}
