//! Which messages a consumer of a stream wants (behaviour B13.16). RabbitMQ leaves out whole chunks and
//! lets others through that nobody asked for; here every message is looked at.

use crate::message::Message;

/// The header by which publishers say what a message is about.
const VALUE_HEADER: &[u8] = b"x-stream-filter-value";

/// What a consumer asked for with `x-stream-filter` and `x-stream-match-unfiltered`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub values: Vec<Vec<u8>>,
    /// Messages without a value match, too.
    pub match_unfiltered: bool,
}

impl Filter {
    pub(super) fn matches(&self, message: &Message) -> bool {
        let properties = message.parsed_properties().unwrap_or_default();
        match properties.header_entries().find(VALUE_HEADER) {
            Some(value) if value.tag == b'S' => {
                self.values.iter().any(|wanted| *wanted == value.bytes)
            }
            _ => self.match_unfiltered,
        }
    }
}
