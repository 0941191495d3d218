//! The header by which a quorum queue says how often a message came back (behaviour B13.3).

use std::borrow::Cow;

use crate::message::{Message, Queued};
use crate::protocol::FieldValue;

const HEADER: &str = "x-delivery-count";

/// The message as it is to be delivered. The first time it goes as it was published, without the
/// header; whatever a client said of it there is replaced.
pub fn counted(queued: &Queued) -> Cow<'_, Message> {
    let (message, count) = (&queued.message, queued.delivery_count);
    // They were valid when the message was made.
    let properties = message.parsed_properties().unwrap_or_default();
    if count == 0 && properties.header_entries().find(HEADER.as_bytes()).is_none() {
        return Cow::Borrowed(message);
    }
    let mut new = properties.to_owned();
    new.headers.get_or_insert_default().set(HEADER, &FieldValue::I64(i64::from(count)));
    let (address, extra_keys) = (message.address(), message.extra_keys());
    Cow::Owned(message.readdressed(address, &new.to_bytes(), extra_keys, message.traits()))
}
