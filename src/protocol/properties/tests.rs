use super::*;
use crate::protocol::reply::Scope;
use crate::protocol::table::{FieldTable, FieldValue};

/// All fourteen, laid out by hand from the table in B1.11.
const ALL: &[u8] = b"\xFF\xFC\
    \x0atext/plain\x04gzip\x00\x00\x00\x04\x01ht\x07\x02\x09\
    \x01c\x01r\x0260\x02id\x00\x00\x00\x00\x00\x00\x01\x00\x04kind\x05guest\x03app\x01\xFF";

fn all() -> OwnedProperties {
    OwnedProperties {
        content_type: Some("text/plain".into()),
        content_encoding: Some("gzip".into()),
        headers: Some(Headers::from_raw(*b"\x01ht\x07")),
        delivery_mode: Some(2),
        priority: Some(9),
        correlation_id: Some("c".into()),
        reply_to: Some("r".into()),
        expiration: Some("60".into()),
        message_id: Some("id".into()),
        timestamp: Some(256),
        kind: Some("kind".into()),
        user_id: Some("guest".into()),
        app_id: Some("app".into()),
        cluster_id: Some(vec![0xFF]),
    }
}

#[track_caller]
fn check_refused(raw: &[u8]) {
    let error = Properties::parse(raw).expect_err("a refusal");
    assert_eq!((error.code, error.scope), (ReplyCode::SyntaxError, Scope::Connection), "{raw:?}");
}

#[test]
fn all_properties_are_read_and_written_in_flag_order() {
    let properties = Properties::parse(ALL).unwrap();
    assert_eq!(properties.raw, ALL);
    assert_eq!(properties.to_owned(), all());
    assert_eq!(all().to_bytes(), ALL);
    let (name, value) = properties.header_entries().next().unwrap();
    assert_eq!((name, value.decode()), (&b"h"[..], Ok(FieldValue::Bool(true))));
}

#[test]
fn each_flag_stands_for_its_own_property() {
    for bit in 2..16 {
        let flags = (1u16 << bit).to_be_bytes();
        let value: &[u8] = match bit {
            13 => b"\x00\x00\x00\x03\x01xV",
            12 | 11 => b"\x05",
            6 => b"\x00\x00\x00\x00\x00\x00\x00\x05",
            _ => b"\x01v",
        };
        let raw = [&flags, value].concat();
        let properties = Properties::parse(&raw).unwrap();
        assert_eq!(properties.to_owned().to_bytes(), raw, "bit {bit}");
        for end in 0..raw.len() {
            check_refused(&raw[..end]);
        }
        check_refused(&[&raw[..], b"\x00"].concat());
    }
}

#[test]
fn every_front_of_all_properties_is_refused() {
    for end in 0..ALL.len() {
        check_refused(&ALL[..end]);
    }
}

#[test]
fn lowest_two_flags_are_ignored() {
    // B1.11: no continuation words.
    for flags in 0..4 {
        assert_eq!(Properties::parse(&[0, flags]).unwrap().raw, [0, flags]);
        check_refused(&[0, flags, 0]);
    }
    assert_eq!(Properties::parse(&[0x10, 1, 2]).unwrap().delivery_mode, Some(2));
}

#[test]
fn headers_are_validated_at_every_level() {
    check_refused(b"\x20\x00\x00\x00\x00\x03\x01aZ");
    check_refused(b"\x20\x00\x00\x00\x00\x0a\x01aF\x00\x00\x00\x03\x01bZ");
    check_refused(b"\x20\x00\x00\x00\x00\x04\x01aV");
}

#[test]
fn empty_is_not_absent() {
    let raw = [0x02, 0x00, 0x00];
    let properties = Properties::parse(&raw).unwrap();
    assert_eq!(properties.reply_to, Some(&b""[..]));
    assert_eq!(properties.to_owned().to_bytes(), raw);
    assert_eq!(OwnedProperties::default().to_bytes(), Properties::NONE_ENCODED);
}

#[test]
fn changing_one_property_leaves_the_headers_as_they_were() {
    // The header's `t` is 7 on the wire, which decoding and encoding would make 1.
    let mut changed = Properties::parse(ALL).unwrap().to_owned();
    changed.reply_to = Some("amq.rabbitmq.reply-to.g1".into());
    changed.expiration = None;
    let bytes = changed.to_bytes();
    let changed = Properties::parse(&bytes).unwrap();
    assert_eq!(changed.headers, Some(&b"\x01ht\x07"[..]));
    assert_eq!((changed.reply_to.unwrap().len(), changed.expiration), (24, None));
}

#[test]
fn headers_can_be_made_from_a_table() {
    let table: FieldTable = [("x-delay", 5000)].into_iter().collect();
    let made = OwnedProperties { headers: Some((&table).into()), ..Default::default() };
    let bytes = made.to_bytes();
    let entries = Properties::parse(&bytes).unwrap().header_entries();
    assert_eq!(FieldTable::try_from(entries), Ok(table));
}
