use super::*;
use crate::protocol::reply::Scope;
use crate::protocol::table::FieldTable;

fn arguments() -> FieldTable {
    let mut table = FieldTable::new();
    table.insert("x-message-ttl", 60_000);
    table.insert("x-dead-letter-exchange", "dlx");
    table
}

/// Every method of B1.13, with no field at its default and neighbouring bits unequal.
fn samples() -> Vec<Method<'static>> {
    let table = arguments;
    vec![
        connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: table(),
            mechanisms: b"PLAIN AMQPLAIN",
            locales: b"en_US",
        }
        .into(),
        connection::StartOk {
            client_properties: table(),
            mechanism: "PLAIN",
            response: b"\0guest\0guest",
            locale: "en_US",
        }
        .into(),
        connection::Secure { challenge: b"why?" }.into(),
        connection::SecureOk { response: b"\xFF" }.into(),
        connection::Tune { channel_max: 2047, frame_max: 131072, heartbeat: 60 }.into(),
        connection::TuneOk { channel_max: 1, frame_max: 4096, heartbeat: 2 }.into(),
        connection::Open { virtual_host: "/" }.into(),
        connection::OpenOk {}.into(),
        connection::Close { reply_code: 320, reply_text: "bye", class_id: 60, method_id: 40 }
            .into(),
        connection::CloseOk {}.into(),
        connection::Blocked { reason: "low on disk" }.into(),
        connection::Unblocked {}.into(),
        connection::UpdateSecret { new_secret: b"token", reason: "expired" }.into(),
        connection::UpdateSecretOk {}.into(),
        channel::Open {}.into(),
        channel::OpenOk {}.into(),
        channel::Flow { active: true }.into(),
        channel::FlowOk { active: true }.into(),
        channel::Close { reply_code: 404, reply_text: "é", class_id: 50, method_id: 10 }.into(),
        channel::CloseOk {}.into(),
        access::Request {
            realm: "/data",
            exclusive: true,
            passive: false,
            active: true,
            write: false,
            read: true,
        }
        .into(),
        access::RequestOk { ticket: 1 }.into(),
        exchange::Declare {
            exchange: "events",
            kind: "topic",
            passive: false,
            durable: true,
            auto_delete: false,
            internal: true,
            nowait: false,
            arguments: table(),
        }
        .into(),
        exchange::DeclareOk {}.into(),
        exchange::Delete { exchange: "events", if_unused: false, nowait: true }.into(),
        exchange::DeleteOk {}.into(),
        exchange::Bind {
            destination: "d",
            source: "s",
            routing_key: "a.*",
            nowait: true,
            arguments: table(),
        }
        .into(),
        exchange::BindOk {}.into(),
        exchange::Unbind {
            destination: "d",
            source: "s",
            routing_key: "a.*",
            nowait: true,
            arguments: table(),
        }
        .into(),
        exchange::UnbindOk {}.into(),
        queue::Declare {
            queue: "q",
            passive: true,
            durable: false,
            exclusive: true,
            auto_delete: false,
            nowait: true,
            arguments: table(),
        }
        .into(),
        queue::DeclareOk { queue: "q", message_count: 7, consumer_count: 8 }.into(),
        queue::Bind {
            queue: "q",
            exchange: "e",
            routing_key: "k",
            nowait: true,
            arguments: table(),
        }
        .into(),
        queue::BindOk {}.into(),
        queue::Purge { queue: "q", nowait: true }.into(),
        queue::PurgeOk { message_count: 9 }.into(),
        queue::Delete { queue: "q", if_unused: true, if_empty: false, nowait: true }.into(),
        queue::DeleteOk { message_count: 10 }.into(),
        queue::Unbind { queue: "q", exchange: "e", routing_key: "k", arguments: table() }.into(),
        queue::UnbindOk {}.into(),
        basic::Qos { prefetch_size: 1, prefetch_count: 250, global: true }.into(),
        basic::QosOk {}.into(),
        basic::Consume {
            queue: "q",
            consumer_tag: "ctag",
            no_local: false,
            no_ack: true,
            exclusive: false,
            nowait: true,
            arguments: table(),
        }
        .into(),
        basic::ConsumeOk { consumer_tag: "ctag" }.into(),
        basic::Cancel { consumer_tag: "ctag", nowait: true }.into(),
        basic::CancelOk { consumer_tag: "ctag" }.into(),
        publish().into(),
        basic::Return {
            reply_code: 312,
            reply_text: "NO_ROUTE",
            exchange: b"ex",
            routing_key: b"\xFFkey",
        }
        .into(),
        basic::Deliver {
            consumer_tag: "ctag",
            delivery_tag: 1 << 40,
            redelivered: true,
            exchange: b"ex",
            routing_key: b"\xFFkey",
        }
        .into(),
        basic::Get { queue: "q", no_ack: true }.into(),
        basic::GetOk {
            delivery_tag: 3,
            redelivered: true,
            exchange: b"ex",
            routing_key: b"key",
            message_count: 4,
        }
        .into(),
        basic::GetEmpty {}.into(),
        basic::Ack { delivery_tag: 5, multiple: true }.into(),
        basic::Reject { delivery_tag: 6, requeue: true }.into(),
        basic::RecoverAsync { requeue: true }.into(),
        basic::Recover { requeue: true }.into(),
        basic::RecoverOk {}.into(),
        basic::Nack { delivery_tag: 7, multiple: false, requeue: true }.into(),
        confirm::Select { nowait: true }.into(),
        confirm::SelectOk {}.into(),
        tx::Select {}.into(),
        tx::SelectOk {}.into(),
        tx::Commit {}.into(),
        tx::CommitOk {}.into(),
        tx::Rollback {}.into(),
        tx::RollbackOk {}.into(),
    ]
}

fn publish() -> basic::Publish<'static> {
    basic::Publish {
        exchange_and_key: b"\x02ex\x04\xFFkey",
        exchange: b"ex",
        routing_key: b"\xFFkey",
        mandatory: true,
        immediate: false,
    }
}

fn encoded(method: &Method<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    method.encode(&mut out);
    out
}

#[test]
fn samples_are_the_methods_of_the_specification_and_rabbitmq() {
    // B1.13
    let expected: [(u16, &[u16]); 8] = [
        (10, &[10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 60, 61, 70, 71]),
        (20, &[10, 11, 20, 21, 40, 41]),
        (30, &[10, 11]),
        (40, &[10, 11, 20, 21, 30, 31, 40, 51]),
        (50, &[10, 11, 20, 21, 30, 31, 40, 41, 50, 51]),
        (60, &[10, 11, 20, 21, 30, 31, 40, 50, 60, 70, 71, 72, 80, 90, 100, 110, 111, 120]),
        (85, &[10, 11]),
        (90, &[10, 11, 20, 21, 30, 31]),
    ];
    let expected: Vec<_> = expected
        .iter()
        .flat_map(|(class, numbers)| numbers.iter().map(|number| MethodId::new(*class, *number)))
        .collect();
    assert_eq!(samples().iter().map(Method::id).collect::<Vec<_>>(), expected);
}

#[test]
fn every_method_survives_the_wire() {
    for method in samples() {
        let payload = encoded(&method);
        assert_eq!(Method::decode(&payload).as_ref(), Ok(&method), "{payload:?}");
    }
}

#[test]
fn arguments_of_the_wrong_length_are_refused() {
    // B1.10. A cut inside a table's announced length shortens the arguments, not the table.
    for method in samples() {
        let payload = encoded(&method);
        for end in 4..payload.len() {
            let error = Method::decode(&payload[..end]).expect_err("a refusal");
            assert_eq!((error.code, error.method), (ReplyCode::FrameError, method.id()));
            assert!(error.text.starts_with("cannot decode <<"), "{}", error.text);
        }
        let error = Method::decode(&[&payload[..], &[0]].concat()).expect_err("a refusal");
        assert_eq!((error.code, error.method), (ReplyCode::FrameError, method.id()));
    }
    for end in 0..4 {
        assert!(Method::decode(&[0, 60, 0, 40][..end]).is_err());
    }
}

#[test]
fn methods_have_the_layout_of_the_specification() {
    // Written by hand; reserved fields are empty, the first bit is the lowest.
    let no_arguments = FieldTable::new();
    let rows: [(Method<'_>, &[u8]); 13] = [
        (publish().into(), b"\0\x3C\0\x28\0\0\x02ex\x04\xFFkey\x01"),
        (
            basic::Ack { delivery_tag: 258, multiple: true }.into(),
            b"\0\x3C\0\x50\0\0\0\0\0\0\x01\x02\x01",
        ),
        (
            basic::Nack { delivery_tag: 1, multiple: false, requeue: true }.into(),
            b"\0\x3C\0\x78\0\0\0\0\0\0\0\x01\x02",
        ),
        (
            basic::Deliver {
                consumer_tag: "c",
                delivery_tag: 2,
                redelivered: true,
                exchange: b"",
                routing_key: b"q",
            }
            .into(),
            b"\0\x3C\0\x3C\x01c\0\0\0\0\0\0\0\x02\x01\x00\x01q",
        ),
        (
            basic::GetOk {
                delivery_tag: 1,
                redelivered: false,
                exchange: b"e",
                routing_key: b"k",
                message_count: 3,
            }
            .into(),
            b"\0\x3C\0\x47\0\0\0\0\0\0\0\x01\x00\x01e\x01k\0\0\0\x03",
        ),
        (basic::GetEmpty {}.into(), b"\0\x3C\0\x48\x00"),
        (
            queue::Declare {
                queue: "q",
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: true,
                nowait: false,
                arguments: no_arguments.clone(),
            }
            .into(),
            b"\0\x32\0\x0A\0\0\x01q\x0A\0\0\0\0",
        ),
        (
            queue::Unbind {
                queue: "q",
                exchange: "e",
                routing_key: "k",
                arguments: no_arguments.clone(),
            }
            .into(),
            b"\0\x32\0\x32\0\0\x01q\x01e\x01k\0\0\0\0",
        ),
        (
            exchange::Declare {
                exchange: "e",
                kind: "fanout",
                passive: true,
                durable: false,
                auto_delete: false,
                internal: false,
                nowait: true,
                arguments: no_arguments,
            }
            .into(),
            b"\0\x28\0\x0A\0\0\x01e\x06fanout\x11\0\0\0\0",
        ),
        (connection::Open { virtual_host: "/" }.into(), b"\0\x0A\0\x28\x01/\x00\x00"),
        (connection::OpenOk {}.into(), b"\0\x0A\0\x29\x00"),
        (channel::Open {}.into(), b"\0\x14\0\x0A\x00"),
        (channel::OpenOk {}.into(), b"\0\x14\0\x0B\0\0\0\0"),
    ];
    for (method, bytes) in rows {
        assert_eq!(encoded(&method), bytes, "{method:?}");
        assert_eq!(Method::decode(bytes), Ok(method));
    }
}

#[test]
fn reserved_fields_may_hold_anything_and_unused_bits_are_ignored() {
    // B1.10, B1.13: a ticket of 0x0102, and high bits beside mandatory and immediate.
    let payload = b"\0\x3C\0\x28\x01\x02\x02ex\x04\xFFkey\xFD";
    assert_eq!(Method::decode(payload), Ok(publish().into()));
    assert_eq!(
        Method::decode(b"\0\x0A\0\x28\x01/\x03abc\x01"),
        Ok(connection::Open { virtual_host: "/" }.into())
    );
}

#[test]
fn names_must_be_utf8_only_in_methods_without_content() {
    // B1.10
    let error = Method::decode(b"\0\x32\0\x0A\0\0\x01\xFF\x00\0\0\0\0").expect_err("a refusal");
    assert_eq!(error.reply_text(), "FRAME_ERROR - Malformed UTF-8 in shortstr");
    assert_eq!((error.method, error.scope), (MethodId::default(), Scope::Connection));
    assert!(Method::decode(b"\0\x3C\0\x28\0\0\x01\xFF\x01\xFE\0").is_ok());
}

#[test]
fn malformed_tables_are_a_syntax_error() {
    // B1.9
    let error = Method::decode(b"\0\x32\0\x0A\0\0\x01q\0\0\0\0\x03\x01aZ").expect_err("a refusal");
    assert_eq!((error.code, error.method), (ReplyCode::SyntaxError, MethodId::new(50, 10)));
    assert_eq!(error.scope, Scope::Connection);
}

#[test]
fn unknown_methods_are_refused_by_what_is_unknown() {
    // B1.12
    for (payload, code, id) in [
        (&[0, 99, 0, 10], ReplyCode::CommandInvalid, (99, 10)),
        (&[0, 0, 0, 0], ReplyCode::CommandInvalid, (0, 0)),
        (&[0, 50, 0, 99], ReplyCode::NotImplemented, (50, 99)),
        (&[0, 40, 0, 41], ReplyCode::NotImplemented, (40, 41)),
    ] {
        let error = Method::decode(payload).expect_err("a refusal");
        assert_eq!((error.code, error.scope), (code, Scope::Connection));
        assert_eq!(error.method, MethodId::new(id.0, id.1));
        assert!(error.text.ends_with(&format!("{}.{}", id.0, id.1)), "{}", error.text);
    }
}

#[test]
fn content_follows_four_methods() {
    let with_content: Vec<_> = samples()
        .iter()
        .filter(|method| method.has_content())
        .map(|method| method.id().method)
        .collect();
    assert_eq!(with_content, [40, 50, 60, 71]);
}

#[test]
fn a_method_fits_two_cache_lines() {
    assert!(size_of::<Method<'_>>() <= 88, "{}", size_of::<Method<'_>>());
}
