//! One header more in a content header that is encoded already.

use crate::protocol::table::TableReader;
use crate::protocol::wire::put;
use crate::protocol::{FieldValue, Properties};

use super::flag;

/// Class, weight and body size.
const FIXED: usize = 12;

/// Writes a content header payload anew into `out`, whose content is lost, with the header `name` set to
/// `value`. `payload` has been accepted before; if it is malformed all the same it is copied as it is.
pub fn put_long_header(payload: &[u8], name: &str, value: i64, out: &mut Vec<u8>) {
    out.clear();
    if put_into(payload, name, value, out).is_none() {
        out.clear();
        out.extend_from_slice(payload);
    }
}

fn put_into(payload: &[u8], name: &str, value: i64, out: &mut Vec<u8>) -> Option<()> {
    let (fixed, properties) = payload.split_at_checked(FIXED)?;
    let (flags, values) = properties.split_first_chunk()?;
    let flags = u16::from_be_bytes(*flags);
    let front = [flag::CONTENT_TYPE, flag::CONTENT_ENCODING];
    let mut at = 0;
    for _ in front.iter().filter(|one| flags & *one != 0) {
        at += 1 + usize::from(*values.get(at)?);
    }
    let (before, rest) = values.split_at_checked(at)?;
    let (table, after) = if flags & flag::HEADERS == 0 {
        (&[][..], rest)
    } else {
        let (length, rest) = rest.split_first_chunk()?;
        rest.split_at_checked(u32::from_be_bytes(*length) as usize)?
    };
    if TableReader::new(table).find(name.as_bytes()).is_some() {
        return replace(fixed, properties, name, value, out);
    }
    out.extend_from_slice(fixed);
    out.extend_from_slice(&(flags | flag::HEADERS).to_be_bytes());
    out.extend_from_slice(before);
    let length = table.len() + 1 + name.len() + 1 + 8;
    out.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    out.extend_from_slice(table);
    put::short_bytes(out, name.as_bytes());
    out.push(b'l');
    out.extend_from_slice(&value.to_be_bytes());
    out.extend_from_slice(after);
    Some(())
}

/// The header is there already: somebody published what a consumer had been given.
#[cold]
fn replace(
    fixed: &[u8],
    properties: &[u8],
    name: &str,
    value: i64,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut properties = Properties::parse(properties).ok()?.to_owned();
    properties.headers.as_mut()?.set(name, &FieldValue::I64(value));
    out.extend_from_slice(fixed);
    properties.encode(out);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{FieldTable, Headers, OwnedProperties};

    #[track_caller]
    fn check(properties: &OwnedProperties) {
        let fixed = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let payload = [&fixed[..], &properties.to_bytes()].concat();
        let mut out = b"what was there".to_vec();
        put_long_header(&payload, "x-stream-offset", 1 << 40, &mut out);
        let mut expected = properties.clone();
        let mut headers = properties.headers.clone().unwrap_or_default();
        headers.set("x-stream-offset", &FieldValue::I64(1 << 40));
        expected.headers = Some(headers);
        assert_eq!(out, [&fixed[..], &expected.to_bytes()].concat());
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let none = OwnedProperties::default();
        check(&none);
        let behind = OwnedProperties {
            delivery_mode: Some(2),
            priority: Some(1),
            message_id: Some(b"id".to_vec()),
            timestamp: Some(9),
            ..none.clone()
        };
        check(&behind);
        let front = OwnedProperties {
            content_type: Some(b"text/plain".to_vec()),
            content_encoding: Some(b"gzip".to_vec()),
            ..behind.clone()
        };
        check(&front);
        let mut table = FieldTable::new();
        table.insert("a", FieldValue::I32(1));
        check(&OwnedProperties { headers: Some(Headers::from(&table)), ..front.clone() });
        check(&OwnedProperties { headers: Some(Headers::from(&table)), ..none.clone() });
        table.insert("x-stream-offset", FieldValue::from("old"));
        table.insert("b", FieldValue::I32(2));
        check(&OwnedProperties { headers: Some(Headers::from(&table)), ..front });
    }

    #[test]
    fn what_is_malformed_is_left_alone() {
        let whole = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0xA0, 0, 3, b'a', b'b', b'c', 0, 0, 0, 0];
        for length in 0..whole.len() {
            let mut out = Vec::new();
            put_long_header(&whole[..length], "x", 1, &mut out);
            assert_eq!(out, &whole[..length]);
        }
    }
}
