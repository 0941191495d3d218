//! How a message says that it is to wait, and what is written into it while it does.
//!
//! A message that waits carries one more header, [`WAITING`], with the time at which it is due, and the
//! expiration that it came with: time to live begins when it is routed. So everything it needs lies in
//! the message, wherever that lies. Nobody outside ever sees the header.

use crate::message::{Message, Traits};
use crate::protocol::{FieldValue, Properties, RawValue};
use crate::time::Time;

const DELAY: &str = "x-delay";

/// A client's own header of this name is lost.
const WAITING: &str = "x-leveret-waiting";

/// The longest delay in milliseconds: just under fifty days.
pub(in crate::broker) const DELAY_MAX: u64 = u32::MAX as u64;

/// How many milliseconds a message is to wait; `None` when it is to be routed at once (behaviour
/// B4.18). As in RabbitMQ's plugin, a number may be written as text, and a fraction is cut off.
pub(in crate::broker) fn delay_of(properties: &Properties<'_>) -> Option<u64> {
    properties.headers?;
    let value = properties.header_entries().find(DELAY.as_bytes())?;
    let millis = number(&value).and_then(|millis| u64::try_from(millis).ok())?;
    (1..=DELAY_MAX).contains(&millis).then_some(millis)
}

fn number(value: &RawValue<'_>) -> Option<i64> {
    if let Some(number) = value.as_int() {
        return Some(number);
    }
    if let Some(text) = value.as_str() {
        return text.parse().ok();
    }
    // What is too large for an integer is too large for a delay, and what is no number becomes zero.
    value.decode().ok()?.as_float().map(|float| float as i64)
}

/// The message as it waits: due at `due`, with the delay in its header negated, so that it does not
/// wait again elsewhere.
pub(super) fn held(message: &Message, due: Time) -> Message {
    // They were valid when the message was made.
    let properties = message.parsed_properties().unwrap_or_default();
    let delay = delay_of(&properties).and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0);
    let negated = i32::try_from(-delay).map_or(FieldValue::I64(-delay), FieldValue::I32);
    let mut new = properties.to_owned();
    let due = FieldValue::I64(i64::try_from(due.0).unwrap_or(i64::MAX));
    let mut waiting = vec![due];
    waiting.extend(new.expiration.take().map(FieldValue::LongString));
    let headers = new.headers.get_or_insert_default();
    headers.set(DELAY, &negated);
    headers.set(WAITING, &waiting.into());
    let traits = Traits { expires: false, ..message.traits() };
    message.readdressed(message.address(), &new.to_bytes(), message.extra_keys(), traits)
}

/// When a message that waits is due. One that does not say it is due at once.
pub(super) fn due_of(message: &Message) -> Time {
    let properties = message.parsed_properties().unwrap_or_default();
    let waiting = properties.header_entries().find(WAITING.as_bytes());
    let due = waiting.as_ref().and_then(RawValue::items).and_then(|mut items| items.next());
    let due = due.and_then(|due| due.as_int()).and_then(|due| u64::try_from(due).ok());
    Time(due.unwrap_or(0))
}

/// The message as it goes on.
pub(super) fn released(message: &Message) -> Message {
    let properties = message.parsed_properties().unwrap_or_default();
    let waiting = properties.header_entries().find(WAITING.as_bytes());
    let expiration = waiting.as_ref().and_then(RawValue::items).and_then(|mut items| items.nth(1));
    let mut new = properties.to_owned();
    new.expiration = expiration.and_then(|text| text.as_bytes()).map(<[u8]>::to_vec);
    if let Some(headers) = &mut new.headers {
        headers.remove(WAITING);
    }
    let traits = Traits { expires: new.expiration.is_some(), ..message.traits() };
    message.readdressed(message.address(), &new.to_bytes(), message.extra_keys(), traits)
}

/// The keys that a message is routed by beside its routing key: those of CC and BCC (behaviour B6.3).
pub(super) fn extra_keys<'a>(message: &'a Message, properties: &Properties<'a>) -> Vec<&'a [u8]> {
    let array = match message.extra_keys() {
        Some(array) => Some(RawValue { tag: b'A', bytes: array }),
        None => properties.header_entries().find(b"CC"),
    };
    let items = array.and_then(|array| array.items()).into_iter().flatten();
    items.filter_map(|item| item.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{FieldTable, Headers, OwnedProperties};

    fn message(delay: FieldValue) -> Message {
        let headers = Headers::from(&FieldTable::from_iter([("a", 1.into()), ("x-delay", delay)]));
        let expiration = Some(b"77".to_vec());
        let properties =
            OwnedProperties { headers: Some(headers), expiration, ..OwnedProperties::default() };
        let mut header = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        properties.encode(&mut header);
        let traits = Traits { expires: true, ..Traits::default() };
        let bcc = Some(&b"S\0\0\0\x01k"[..]);
        let plain =
            Message::with_inline_body(b"\x02in\x03key", &header, b"x", traits, &mut Vec::new());
        plain.readdressed(plain.address(), plain.properties(), bcc, traits)
    }

    #[test]
    fn delays_are_integers_of_any_width_and_what_can_be_made_one() {
        let rows: [(FieldValue, Option<u64>); 20] = [
            (FieldValue::I8(100), Some(100)),
            (FieldValue::U8(200), Some(200)),
            (FieldValue::I16(300), Some(300)),
            (FieldValue::U16(60_000), Some(60_000)),
            (FieldValue::I32(70_000), Some(70_000)),
            (FieldValue::U32(u32::MAX), Some(DELAY_MAX)),
            (FieldValue::I64(1), Some(1)),
            (FieldValue::I64(4_294_967_295), Some(DELAY_MAX)),
            (FieldValue::I64(4_294_967_296), None),
            (FieldValue::I64(i64::MAX), None),
            (FieldValue::I64(0), None),
            (FieldValue::I32(-5), None),
            (FieldValue::I64(i64::MIN), None),
            ("5000".into(), Some(5000)),
            ("5000 ms".into(), None),
            ("".into(), None),
            (FieldValue::F64(12.9), Some(12)),
            (FieldValue::F64(f64::INFINITY), None),
            (FieldValue::Bool(true), None),
            (FieldValue::Void, None),
        ];
        for (value, expected) in rows {
            let message = message(value.clone());
            let properties = message.parsed_properties().unwrap();
            assert_eq!(delay_of(&properties), expected, "{value:?}");
        }
        assert_eq!(delay_of(&Properties::default()), None);
    }

    #[test]
    fn a_message_goes_on_as_it_came_but_for_its_delay() {
        let before = message(FieldValue::U32(u32::MAX));
        let waiting = held(&before, Time(123_456));
        assert_eq!(due_of(&waiting), Time(123_456));
        assert!(
            !waiting.traits().expires && waiting.parsed_properties().unwrap().expiration.is_none()
        );
        assert_eq!(waiting.extra_keys(), before.extra_keys());
        let after = released(&waiting);
        assert_eq!(after.traits(), before.traits());
        assert_eq!((after.address(), after.extra_keys()), (before.address(), before.extra_keys()));
        assert_eq!(after.body(), before.body());
        let properties = after.parsed_properties().unwrap();
        assert_eq!(properties.expiration, Some(&b"77"[..]));
        let headers = FieldTable::try_from(properties.header_entries()).unwrap();
        let negated = FieldValue::I64(-4_294_967_295);
        assert_eq!(headers, FieldTable::from_iter([("a", 1.into()), ("x-delay", negated)]));
        let short = held(&message(FieldValue::U8(9)), Time(1));
        let properties = short.parsed_properties().unwrap();
        let value = properties.header_entries().find(b"x-delay").unwrap().decode();
        assert_eq!(value, Ok(FieldValue::I32(-9)), "as the plugin writes it");
        assert_eq!(delay_of(&properties), None, "it does not wait twice");
    }
}
