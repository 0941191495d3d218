//! What dead-lettering does to a message: a new address, and its death written into the headers
//! (behaviour B8.6 to B8.8).
//!
//! The history is the `x-death` header itself, newest event first, one table per queue and reason. It
//! travels with the message, through other brokers too, and a well-formed one that a client sends is
//! continued (behaviour B14.14), because that is how retrying clients count.

use crate::message::{Message, Traits, write_address};
use crate::protocol::{FieldTable, FieldValue, RawValue};
use crate::queue::{Dead, Options, Reason};
use crate::time::Time;

const X_DEATH: &str = "x-death";

/// A message's death in one queue, and where it goes from there.
#[derive(Debug)]
pub(super) struct Death<'a> {
    pub(super) queue: &'a str,
    pub(super) reason: Reason,
    pub(super) time: Time,
    /// The dead letter exchange.
    pub(super) exchange: &'a str,
    /// Replaces all keys the message had.
    pub(super) routing_key: Option<&'a str>,
}

/// A message on its way to a dead letter exchange.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) message: Message,
    /// What it is routed by beside its routing key.
    pub(super) extra_keys: Vec<Box<[u8]>>,
}

impl<'a> Death<'a> {
    /// `None` where there is no dead letter exchange.
    pub(super) fn of(dead: &'a Dead, time: Time) -> Option<Self> {
        let options: &Options = &dead.options;
        Some(Self {
            queue: dead.queue.name.as_str(),
            reason: dead.reason,
            time,
            exchange: options.dead_letter_exchange.as_deref()?,
            routing_key: options.dead_letter_routing_key.as_deref(),
        })
    }

    pub(super) fn letter(&self, message: &Message) -> Letter {
        // They were valid when the message was made.
        let properties = message.parsed_properties().unwrap_or_default();
        let cc = strings(properties.header_entries().find(b"CC"));
        let extra_keys = extra_keys(message);
        // BCC keys are for nobody's eyes; CC keys that an earlier death replaced are history.
        let shown = cc.into_iter().filter(|key| extra_keys.contains(key));
        let routing_keys = std::iter::once(message.routing_key()).chain(shown);

        let mut history = history(properties.header_entries().find(X_DEATH.as_bytes()));
        let is_first = history.is_empty();
        let event = match history.iter().position(|event| self.is_of_same_kind(event)) {
            Some(index) => again(history.remove(index)),
            None => self.event(message, routing_keys, properties.expiration),
        };
        history.insert(0, event);

        let mut new = properties.to_owned();
        let headers = new.headers.get_or_insert_default();
        headers
            .set(X_DEATH, &history.into_iter().map(FieldValue::Table).collect::<Vec<_>>().into());
        let names =
            if is_first { &["x-first-death", "x-last-death"][..] } else { &["x-last-death"] };
        for name in names {
            headers.set(&format!("{name}-reason"), &self.reason.as_str().into());
            headers.set(&format!("{name}-queue"), &self.queue.into());
            headers.set(&format!("{name}-exchange"), &message.exchange().into());
        }
        // It must not expire by itself again.
        new.expiration = None;

        let mut address = Vec::new();
        let routing_key = self.routing_key.map_or_else(|| message.routing_key(), str::as_bytes);
        write_address(&mut address, self.exchange.as_bytes(), routing_key);
        let (extra_keys, stored) = match self.routing_key {
            // The CC header stays to be read; an empty list keeps it from being routed by.
            Some(_) => (Vec::new(), Some(&[][..])),
            None => (extra_keys.into_iter().map(Box::from).collect(), message.extra_keys()),
        };
        let traits = Traits { expires: false, ..message.traits() };
        let message = message.readdressed(&address, &new.to_bytes(), stored, traits);
        Letter { message, extra_keys }
    }

    fn is_of_same_kind(&self, event: &FieldTable) -> bool {
        let is = |key: &str, text: &str| {
            event.get(key).and_then(FieldValue::as_bytes) == Some(text.as_bytes())
        };
        is("queue", self.queue) && is("reason", self.reason.as_str())
    }

    /// The first death of this kind.
    fn event<'k>(
        &self,
        message: &Message,
        routing_keys: impl Iterator<Item = &'k [u8]>,
        expiration: Option<&[u8]>,
    ) -> FieldTable {
        let routing_keys: Vec<FieldValue> = routing_keys.map(FieldValue::from).collect();
        let mut event = FieldTable::from_iter([
            ("count", FieldValue::I64(1)),
            ("reason", self.reason.as_str().into()),
            ("queue", self.queue.into()),
            ("time", FieldValue::Timestamp(self.time.unix_seconds())),
            ("exchange", message.exchange().into()),
            ("routing-keys", routing_keys.into()),
        ]);
        if let Some(expiration) = expiration {
            event.insert("original-expiration", expiration);
        }
        event
    }
}

/// One more death of a kind: all but the count stays as it was the first time.
fn again(mut event: FieldTable) -> FieldTable {
    let count = event.get("count").and_then(FieldValue::as_int).unwrap_or(0);
    event.insert("count", count.saturating_add(1));
    event
}

/// Whether a message that just died has been in `queue` before and no client rejected it since: it
/// would go round for ever (behaviour B8.8).
pub(super) fn is_cycle(message: &Message, queue: &[u8]) -> bool {
    let properties = message.parsed_properties().unwrap_or_default();
    let history = properties.header_entries().find(X_DEATH.as_bytes());
    for event in history.iter().filter_map(RawValue::items).flatten() {
        let text = |key: &[u8]| event.table()?.find(key)?.as_bytes();
        if text(b"reason") == Some(Reason::Rejected.as_str().as_bytes()) {
            return false;
        }
        if text(b"queue") == Some(queue) {
            return true;
        }
    }
    false
}

/// Where a message died last, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct LastDeath {
    /// The queue it was in.
    pub queue: String,
    /// The exchange and the key that had brought it there.
    pub exchange: String,
    pub routing_key: String,
    /// As the header spells it.
    pub reason: String,
}

impl LastDeath {
    /// By its `x-death` header; `None` where that is not to be had.
    pub fn of(message: &Message) -> Option<Self> {
        let properties = message.parsed_properties().ok()?;
        let event =
            history(properties.header_entries().find(X_DEATH.as_bytes())).into_iter().next()?;
        let text = |value: Option<&FieldValue>| String::from_utf8(value?.as_bytes()?.to_vec()).ok();
        let FieldValue::Array(keys) = event.get("routing-keys")? else { return None };
        Some(Self {
            queue: text(event.get("queue"))?,
            exchange: text(event.get("exchange"))?,
            routing_key: text(keys.first())?,
            reason: text(event.get("reason"))?,
        })
    }
}

/// The events of an `x-death` header. Anything but an array of tables is no history.
fn history(header: Option<RawValue<'_>>) -> Vec<FieldTable> {
    let events = header.as_ref().and_then(RawValue::items).into_iter().flatten();
    let tables = events.map(|event| FieldTable::try_from(event.table()?).ok());
    tables.collect::<Option<_>>().unwrap_or_default()
}

/// What a message is routed by beside its routing key.
pub(super) fn extra_keys(message: &Message) -> Vec<&[u8]> {
    match message.extra_keys() {
        Some(array) => strings(Some(RawValue { tag: b'A', bytes: array })),
        None => {
            let properties = message.parsed_properties().unwrap_or_default();
            strings(properties.header_entries().find(b"CC"))
        }
    }
}

/// The strings of an array.
pub(super) fn strings(array: Option<RawValue<'_>>) -> Vec<&[u8]> {
    let items = array.and_then(|array| array.items()).into_iter().flatten();
    items.filter_map(|item| item.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Headers, OwnedProperties};

    const NOW: Time = Time(1_000_500);

    fn message(headers: FieldTable) -> Message {
        let headers = Some(Headers::from(&headers));
        let properties = OwnedProperties { headers, ..OwnedProperties::default() };
        let mut header = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        properties.encode(&mut header);
        let traits = Traits::default();
        Message::with_inline_body(b"\x02in\x03key", &header, b"x", traits, &mut Vec::new())
    }

    fn rejected_in(queue: &'static str) -> Death<'static> {
        let (reason, time) = (Reason::Rejected, NOW);
        Death { queue, reason, time, exchange: "dlx", routing_key: None }
    }

    fn table(message: &Message) -> FieldTable {
        message.parsed_properties().unwrap().header_entries().try_into().unwrap()
    }

    fn events(message: &Message) -> Vec<FieldTable> {
        history(message.parsed_properties().unwrap().header_entries().find(b"x-death"))
    }

    fn event<const N: usize>(
        queue: &str,
        reason: &str,
        more: [(&str, FieldValue); N],
    ) -> FieldTable {
        let mut event = FieldTable::from_iter([("queue", queue), ("reason", reason)]);
        more.into_iter().for_each(|(key, value)| event.insert(key, value));
        event
    }

    fn sent(events: &[FieldTable]) -> FieldTable {
        let events: Vec<_> = events.iter().cloned().map(FieldValue::Table).collect();
        FieldTable::from_iter([("x-death", events)])
    }

    #[test]
    fn first_death_replaces_what_a_client_says_of_one() {
        let claims = FieldTable::from_iter([
            ("x-first-death-queue", "elsewhere"),
            ("x-last-death-queue", "elsewhere"),
        ]);
        let letter = rejected_in("q").letter(&message(claims)).message;
        let table = table(&letter);
        for name in ["x-first-death", "x-last-death"] {
            for (what, expected) in [("queue", "q"), ("reason", "rejected"), ("exchange", "in")] {
                assert_eq!(table.get(&format!("{name}-{what}")), Some(&expected.into()));
            }
        }
        assert_eq!(letter.address(), b"\x03dlx\x03key");
    }

    #[test]
    fn well_formed_history_is_continued_as_it_came() {
        // As RabbitMQ 3.10 does: what an event holds beside its count is nobody's business.
        let other = event("other", "expired", [("count", 3.into()), ("mine", "yes".into())]);
        let known = event("q", "rejected", [("count", 7.into()), ("mine", "too".into())]);
        let odd = FieldTable::from_iter([("count", 1)]);
        let letter = rejected_in("q").letter(&message(sent(&[other.clone(), known, odd.clone()])));
        let raised =
            event("q", "rejected", [("count", FieldValue::I64(8)), ("mine", "too".into())]);
        assert_eq!(events(&letter.message), [raised, other, odd]);
        assert_eq!(table(&letter.message).get("x-first-death-queue"), None, "it is not the first");
        assert_eq!(table(&letter.message).get("x-last-death-queue"), Some(&"q".into()));
    }

    #[test]
    fn event_without_a_count_counts_as_none() {
        for count in [None, Some(FieldValue::from("many"))] {
            let mut known = event("q", "rejected", []);
            count.into_iter().for_each(|count| known.insert("count", count));
            let letter = rejected_in("q").letter(&message(sent(&[known]))).message;
            assert_eq!(events(&letter)[0].get("count"), Some(&FieldValue::I64(1)));
        }
    }

    #[test]
    fn what_is_not_an_array_of_tables_is_no_history() {
        let table_and_text = vec![event("q", "rejected", []).into(), FieldValue::from("text")];
        for value in [
            FieldValue::from("text"),
            FieldValue::Void,
            event("q", "rejected", []).into(),
            vec![FieldValue::from("text")].into(),
            table_and_text.into(),
        ] {
            let headers = FieldTable::from_iter([("x-death", value)]);
            let letter = rejected_in("q").letter(&message(headers)).message;
            let events = events(&letter);
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].get("count"), Some(&FieldValue::I64(1)));
            assert_eq!(events[0].get("time"), Some(&FieldValue::Timestamp(1000)));
            assert_eq!(table(&letter).get("x-first-death-queue"), Some(&"q".into()));
        }
    }

    #[test]
    fn events_are_kept_apart_by_queue_and_reason() {
        let before = [event("q", "expired", []), event("p", "rejected", [])];
        let letter = rejected_in("q").letter(&message(sent(&before))).message;
        assert_eq!(events(&letter).len(), 3);
    }

    #[test]
    fn cycle_is_a_queue_in_the_history_without_a_rejection_since() {
        #[track_caller]
        fn check(newest_first: &[(&str, &str)], queue: &str, expected: bool) {
            let events = newest_first.iter().map(|(queue, reason)| event(queue, reason, []));
            let message = message(sent(&events.collect::<Vec<_>>()));
            assert_eq!(is_cycle(&message, queue.as_bytes()), expected);
        }
        check(&[], "a", false);
        check(&[("a", "expired")], "a", true);
        check(&[("a", "maxlen")], "b", false);
        check(&[("b", "expired"), ("a", "maxlen")], "a", true);
        check(&[("b", "rejected"), ("a", "expired")], "a", false);
        check(&[("a", "rejected")], "a", false);
        check(&[("b", "expired"), ("a", "rejected")], "a", false);
        check(&[("b", "expired"), ("a", "expired"), ("c", "rejected")], "a", true);
        // The newest event of the queue decides.
        check(&[("a", "expired"), ("a", "rejected")], "a", true);
    }
}
