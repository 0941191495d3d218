//! A dead letter that waits until it can be delivered (behaviour B13.7): itself, and who has got it.
//!
//! The latter stands in a header of what is stored, and in nothing that leaves the broker.

use super::death::{Letter, extra_keys, strings};
use crate::message::{Message, write_address};
use crate::names::{ExchangeName, QueueName};
use crate::protocol::FieldValue;
use crate::queue::Options;

const DELIVERED_TO: &str = "x-leveret-delivered-to";

/// Where a letter ends up: in a queue, or in an exchange that delays it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Queue(QueueName),
    Exchange(ExchangeName),
}

impl End {
    fn encoded(&self) -> String {
        match self {
            Self::Queue(name) => format!("q{name}"),
            Self::Exchange(name) => format!("x{name}"),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let queue = text.strip_prefix('q').map(|name| Self::Queue(name.into()));
        queue.or_else(|| text.strip_prefix('x').map(|name| Self::Exchange(name.into())))
    }
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) letter: Letter,
    delivered_to: Vec<End>,
}

impl Kept {
    pub(super) fn new(letter: Letter) -> Self {
        Self { letter, delivered_to: Vec::new() }
    }

    /// What [`message`](Self::message) made.
    pub(super) fn read(message: &Message) -> Self {
        let properties = message.parsed_properties().unwrap_or_default();
        let header = properties.header_entries().find(DELIVERED_TO.as_bytes());
        let delivered_to: Vec<End> = strings(header).into_iter().filter_map(End::decode).collect();
        let message = match header {
            Some(_) => with_header(message, None),
            None => message.clone(),
        };
        let extra_keys = extra_keys(&message).into_iter().map(Box::from).collect();
        Self { letter: Letter { message, extra_keys }, delivered_to }
    }

    /// As the options want it by now. Keys that a dead letter routing key replaced are gone.
    pub(super) fn addressed(mut self, options: &Options) -> Self {
        let Letter { message, extra_keys } = &mut self.letter;
        let (old_exchange, old_key) = (message.exchange(), message.routing_key());
        let exchange = options.dead_letter_exchange.as_deref().map_or(old_exchange, str::as_bytes);
        let key = options.dead_letter_routing_key.as_deref().map_or(old_key, str::as_bytes);
        if (exchange, key) == (old_exchange, old_key) {
            return self;
        }
        let mut address = Vec::new();
        write_address(&mut address, exchange, key);
        let is_replaced = key != old_key;
        let stored = if is_replaced { Some(&[][..]) } else { message.extra_keys() };
        let new = message.readdressed(&address, message.properties(), stored, message.traits());
        if is_replaced {
            extra_keys.clear();
        }
        *message = new;
        self
    }

    pub(super) fn has_reached(&self, end: &End) -> bool {
        self.delivered_to.contains(end)
    }

    /// Nobody has got it.
    pub(super) fn is_nowhere(&self) -> bool {
        self.delivered_to.is_empty()
    }

    pub(super) fn note(&mut self, ends: Vec<End>) {
        self.delivered_to.extend(ends);
    }

    /// What is to be stored of it.
    pub(super) fn message(&self) -> Message {
        let Letter { message, .. } = &self.letter;
        if !self.delivered_to.is_empty() {
            return with_header(message, Some(&self.delivered_to));
        }
        // A client may have had the idea of sending one.
        let properties = message.parsed_properties().unwrap_or_default();
        match properties.header_entries().find(DELIVERED_TO.as_bytes()) {
            Some(_) => with_header(message, None),
            None => message.clone(),
        }
    }
}

fn with_header(message: &Message, delivered_to: Option<&[End]>) -> Message {
    let mut properties = message.parsed_properties().unwrap_or_default().to_owned();
    let headers = properties.headers.get_or_insert_default();
    match delivered_to {
        Some(ends) => {
            let names = ends.iter().map(|end| FieldValue::from(end.encoded().as_str()));
            headers.set(DELIVERED_TO, &names.collect::<Vec<_>>().into());
        }
        None => _ = headers.remove(DELIVERED_TO),
    }
    let (properties, keys) = (properties.to_bytes(), message.extra_keys());
    message.readdressed(message.address(), &properties, keys, message.traits())
}
