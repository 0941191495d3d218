//! `basic.publish`: its checks, what is done to a message, and what comes back (behaviour B6.1 to
//! B6.5).

use leveret::auth::{PasswordHash, Patterns, Tag, User, UserLimits, unheard};
use leveret::broker::Limits;
use leveret::protocol::frame::write_body;
use leveret::protocol::method::basic::Publish;
use leveret::protocol::method::{exchange, queue, tx};
use leveret::protocol::{ChannelNumber, FieldTable, FieldValue, Headers, OwnedProperties};
use leveret::session::Offer;

use crate::support::{Client, Peer, World, header_frame, method_frame, publish, text};

fn headers<const N: usize>(entries: [(&str, FieldValue); N]) -> OwnedProperties {
    let mut headers = Headers::default();
    for (name, value) in entries {
        headers.set(name, &value);
    }
    OwnedProperties { headers: Some(headers), ..text() }
}

fn strings<const N: usize>(items: [&str; N]) -> FieldValue {
    FieldValue::Array(items.map(FieldValue::from).to_vec())
}

fn expiration(expiration: &str) -> OwnedProperties {
    OwnedProperties { expiration: Some(expiration.into()), ..text() }
}

/// Frame by frame instead of in one packet, which takes another way through the session.
fn publish_slowly(peer: &Peer, method: &Publish<'_>, properties: &OwnedProperties, body: &[u8]) {
    peer.send_bytes(&method_frame(1, method.clone()));
    peer.send_bytes(&header_frame(1, body.len() as u64, properties));
    for half in body.chunks(body.len().div_ceil(2).max(1)) {
        let mut frame = Vec::new();
        write_body(&mut frame, ChannelNumber(1), half);
        peer.send_bytes(&frame);
    }
}

/// B6.1: one wrong after the other is put right, and every time the next one is reported.
#[test]
fn publish_is_refused_by_the_first_rule_it_breaks() {
    let mut bad = OwnedProperties {
        reply_to: Some("amq.rabbitmq.reply-to".into()),
        expiration: Some("soon".into()),
        user_id: Some("fox".into()),
        ..headers([("CC", 1.into()), ("BCC", 2.into())])
    };
    let mut body = &b"12345678901"[..];
    let mut to = "none";
    let mut steps: Vec<(OwnedProperties, &[u8], &str, u16, &str)> = Vec::new();
    let mut step = |bad: &OwnedProperties, body, to, code, text| {
        steps.push((bad.clone(), body, to, code, text));
    };
    step(&bad, body, to, 406, "message size 11 is larger than configured max size 10");
    body = b"1234567890";
    step(&bad, body, to, 404, "no exchange 'none' in vhost '/'");
    to = "inner";
    step(&bad, body, to, 403, "cannot publish to internal exchange 'inner' in vhost '/'");
    to = "amq.fanout";
    step(&bad, body, to, 406, "fast reply consumer does not exist");
    bad.reply_to = None;
    step(&bad, body, to, 406, "invalid expiration 'soon': no_integer");
    bad.expiration = None;
    let cc = "invalid message: {unacceptable_type_in_header,\"CC\",signedint}";
    step(&bad, body, to, 406, cc);
    bad.headers.as_mut().unwrap().remove("CC");
    let bcc = "invalid message: {unacceptable_type_in_header,\"BCC\",signedint}";
    step(&bad, body, to, 406, bcc);
    bad.headers = None;
    let user = "user_id property set to 'fox' but authenticated user was 'guest'";
    step(&bad, body, to, 406, user);

    let world = World::with(Limits { message_size_max: 10, ..Limits::default() }, Offer::default());
    let peer = world.open();
    let inner = exchange::Declare { exchange: "inner", kind: "fanout", ..Default::default() };
    let inner = exchange::Declare { internal: true, ..inner };
    peer.call(1, inner, exchange::DeclareOk {});
    for (properties, body, to, code, text) in steps {
        let name = match code {
            403 => "ACCESS_REFUSED",
            404 => "NOT_FOUND",
            _ => "PRECONDITION_FAILED",
        };
        let text = format!("{name} - {text}");
        peer.publish(1, to, "", &properties, body);
        peer.expect_channel_error(1, code, &text).for_method(60, 40);
        peer.reopen(1);
        publish_slowly(&peer, &publish(to, ""), &properties, body);
        peer.expect_channel_error(1, code, &text).for_method(60, 40);
        peer.reopen(1);
    }
}

/// B6.1: what RabbitMQ never could is refused before everything else, and ends the connection.
#[test]
fn immediate_is_not_implemented() {
    for slowly in [false, true] {
        let peer = World::new().open();
        let method = Publish { immediate: true, ..publish("none", "") };
        if slowly {
            publish_slowly(&peer, &method, &expiration("soon"), b"body");
        } else {
            peer.publish_as(1, method, &expiration("soon"), b"body");
        }
        peer.expect_connection_error(540, "NOT_IMPLEMENTED - immediate=true", 60, 40);
    }
}

/// B6.1: nothing is looked at before the content is complete.
#[test]
fn publish_is_checked_when_it_is_complete() {
    let peer = World::new().open();
    peer.send_bytes(&method_frame(1, publish("none", "k")));
    peer.expect_nothing();
    peer.send_bytes(&header_frame(1, 4, &text()));
    peer.expect_nothing();
    let mut body = Vec::new();
    write_body(&mut body, ChannelNumber(1), b"body");
    peer.send_bytes(&body);
    let text = "NOT_FOUND - no exchange 'none' in vhost '/'";
    peer.expect_channel_error(1, 404, text).for_method(60, 40);
}

/// B6.1: a refused publish closes the channel, in a transaction too, and is not confirmed.
#[test]
fn refused_publish_is_not_confirmed() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.confirm_select(1);
    let mut packet = Vec::new();
    for exchange in ["", "none", ""] {
        packet.extend(method_frame(1, publish(exchange, "q")));
        packet.extend(header_frame(1, 0, &text()));
    }
    peer.send_bytes(&packet);
    let none = "NOT_FOUND - no exchange 'none' in vhost '/'";
    // What was published before the offence has arrived.
    peer.expect_confirm(1, 1, false);
    peer.expect_channel_error(1, 404, none).for_method(60, 40);
    peer.expect_nothing();
    peer.reopen(1);
    assert_eq!(peer.counts(1, "q"), (1, 0));

    peer.tx_select(1);
    peer.publish(1, "none", "q", &text(), b"");
    peer.expect_channel_error(1, 404, none).for_method(60, 40);
}

/// B6.2: an expiration is a number as Erlang reads one.
#[test]
fn expiration_is_a_number_of_milliseconds() {
    let peer = World::new().open();
    peer.declare(1, "q");
    for (value, why) in [
        ("", "no_integer"),
        (" 5", "no_integer"),
        ("+", "no_integer"),
        ("-", "no_integer"),
        ("soon", "no_integer"),
        ("5 ", "{leftover_string,\" \"}"),
        ("10x", "{leftover_string,\"x\"}"),
        ("-5x", "{leftover_string,\"x\"}"),
        ("1.5", "{leftover_string,\".5\"}"),
        ("-1", "{value_negative,-1}"),
        ("-00001", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
        ("+99999999999999", "{value_too_large,99999999999999}"),
        ("00099999999999999", "{value_too_large,99999999999999}"),
        (
            "99999999999999999999999999999999999999999999",
            "{value_too_large,99999999999999999999999999999999999999999999}",
        ),
    ] {
        let text = format!("PRECONDITION_FAILED - invalid expiration '{value}': {why}");
        peer.publish(1, "", "q", &expiration(value), b"");
        peer.expect_channel_error(1, 406, &text).for_method(60, 40);
        peer.reopen(1);
    }
    for value in ["1", "+5", "00005", "315360000000"] {
        peer.publish(1, "", "q", &expiration(value), b"");
        let message = peer.get(1, "q").unwrap();
        // B8.1: it is delivered as it was written.
        assert_eq!(message.content.properties(), expiration(value));
    }
    for value in ["0", "-0", "+0"] {
        peer.publish(1, "", "q", &expiration(value), b"");
        assert_eq!(peer.get(1, "q"), None, "B8.1: now or never");
    }
}

/// B6.2: the user is who logged in, unless that user may speak for others.
#[test]
fn user_id_is_the_users_own() {
    let world = World::new();
    let owl = User {
        name: "owl".into(),
        password: PasswordHash::new("hoot"),
        tags: vec![Tag::Impersonator],
        limits: UserLimits::default(),
    };
    world.authenticator.put_user(owl, unheard());
    let everything = Patterns::EVERYTHING;
    world.authenticator.permit(&"owl".into(), &"/".into(), everything, unheard()).unwrap();
    let claim = |user: &str| OwnedProperties { user_id: Some(user.into()), ..text() };

    let guest = world.open();
    guest.declare(1, "q");
    guest.publish(1, "", "q", &claim("guest"), b"");
    let refusal = "PRECONDITION_FAILED - user_id property set to 'owl' but authenticated user was \
                   'guest'";
    guest.publish(1, "", "q", &claim("owl"), b"");
    guest.expect_channel_error(1, 406, refusal).for_method(60, 40);
    guest.reopen(1);

    let owl = world.connect_as(&Client { response: b"\0owl\0hoot".to_vec(), ..Client::default() });
    owl.open_channel(1);
    owl.publish(1, "", "q", &claim("guest"), b"");
    assert_eq!(guest.counts(1, "q"), (2, 0));
    assert_eq!(guest.get(1, "q").unwrap().content.properties(), claim("guest"));
}

/// B6.3: every string in CC and BCC is a routing key; BCC is for nobody to see.
#[test]
fn message_is_copied_to_cc_and_bcc() {
    let copies = || ("CC", strings(["cc", "k"]));
    let sent = headers([("a", 1.into()), ("BCC", strings(["bcc"])), copies(), ("z", 2.into())]);
    let seen = headers([("a", 1.into()), copies(), ("z", 2.into())]);
    for exchange in ["amq.direct", "amq.topic", ""] {
        let peer = World::new().open();
        for queue in ["k", "cc", "bcc", "other"] {
            peer.declare(1, queue);
            if !exchange.is_empty() {
                peer.bind(1, queue, exchange, queue);
            }
        }
        peer.publish(1, exchange, "k", &sent, b"copy");
        for queue in ["k", "cc", "bcc"] {
            let copy = peer.get(1, queue).unwrap();
            let address = (copy.exchange.as_str(), copy.routing_key.as_str());
            assert_eq!(address, (exchange, "k"), "the publish's own address");
            assert_eq!(copy.content.properties(), seen);
            assert_eq!(peer.get(1, queue), None, "once");
        }
        assert_eq!(peer.get(1, "other"), None);
    }
}

/// B6.2 and B6.3: what is not an array is refused, what is in it and not a string is passed over.
#[test]
fn copies_are_arrays_of_strings() {
    let peer = World::new().open();
    peer.declare(1, "q");
    for (value, kind) in [
        (FieldValue::from("q"), "longstr"),
        (FieldValue::Bool(true), "bool"),
        (FieldValue::Void, "void"),
        (FieldValue::Table(FieldTable::new()), "table"),
    ] {
        for name in ["CC", "BCC"] {
            peer.publish(1, "", "q", &headers([(name, value.clone())]), b"");
            let text = format!(
                "PRECONDITION_FAILED - invalid message: \
                 {{unacceptable_type_in_header,\"{name}\",{kind}}}"
            );
            peer.expect_channel_error(1, 406, &text).for_method(60, 40);
            peer.reopen(1);
        }
    }
    let mixed = FieldValue::Array(vec![1.into(), "q".into(), FieldValue::Void]);
    peer.publish(1, "", "none", &headers([("BCC", mixed), ("cc", 1.into())]), b"copied");
    assert_eq!(peer.drain(1, "q"), ["copied"]);
}

/// B6.4: a message that reaches no queue comes back whole, if that was asked for.
#[test]
fn mandatory_message_comes_back_when_it_reaches_nothing() {
    let peer = World::new().open();
    let properties = OwnedProperties { message_id: Some("7".into()), ..headers([("a", 1.into())]) };
    let large = vec![b'x'; 300_000];
    for body in [&b""[..], b"small", &large] {
        for (exchange, key) in [("", "none"), ("amq.direct", "none"), ("amq.fanout", "")] {
            let mandatory = Publish { mandatory: true, ..publish(exchange, key) };
            peer.publish_as(1, mandatory, &properties, body);
            let returned = peer.expect_return(1);
            assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
            assert_eq!(
                (returned.exchange.as_str(), returned.routing_key.as_str()),
                (exchange, key)
            );
            assert_eq!(returned.content.properties(), properties);
            assert!(returned.content.body == body);
            peer.publish(1, exchange, key, &properties, body);
            peer.expect_nothing();
        }
    }
    peer.declare(1, "q");
    peer.publish_mandatory(1, "", "q", b"arrives");
    peer.expect_nothing();
    assert_eq!(peer.drain(1, "q"), ["arrives"]);
}

/// B6.4 and B16.1: first the return, then the confirm, which is positive.
#[test]
fn return_comes_before_the_confirm() {
    let peer = World::new().open();
    peer.confirm_select(1);
    for number in 1..=3 {
        peer.publish_mandatory(1, "", "none", b"");
        assert_eq!(peer.expect_return(1).routing_key, "none");
        peer.expect_confirm(1, number, false);
    }
    peer.expect_nothing();
}

/// B6.4: in a transaction, it comes back with the commit.
#[test]
fn return_comes_before_commit_ok() {
    let peer = World::new().open();
    peer.tx_select(1);
    peer.publish_mandatory(1, "", "none", b"1");
    peer.publish_mandatory(1, "", "none", b"2");
    peer.expect_nothing();
    peer.send(1, tx::Commit {});
    for body in ["1", "2"] {
        assert_eq!(peer.expect_return(1).content.text(), body);
    }
    peer.expect(1, tx::CommitOk {});
    peer.publish_mandatory(1, "", "none", b"3");
    peer.call(1, tx::Rollback {}, tx::RollbackOk {});
    peer.expect_nothing();
}

/// B6.2 and B6.5: 2 is persistent, everything else is not, and it is delivered as it was sent.
#[test]
fn only_delivery_mode_2_waits_for_the_store() {
    for (mode, durable, waits) in [
        (None, true, false),
        (Some(1), true, false),
        (Some(2), true, true),
        (Some(2), false, false),
        (Some(0), true, false),
        (Some(3), true, false),
    ] {
        let world = World::held();
        let peer = world.open();
        if durable {
            peer.send(1, queue::Declare { queue: "q", durable, ..queue::Declare::default() });
            world.finish_commits(&Ok(()));
            peer.recv();
        } else {
            peer.declare(1, "q");
        }
        peer.confirm_select(1);
        let properties = OwnedProperties { delivery_mode: mode, ..text() };
        peer.publish(1, "", "q", &properties, b"");
        if waits {
            peer.expect_nothing();
            world.sync();
        }
        peer.expect_confirm(1, 1, false);
        assert_eq!(peer.get(1, "q").unwrap().content.properties(), properties);
    }
}
