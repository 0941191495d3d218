//! Exchanges that pass no message on twice: the type `x-message-deduplication`, and any other with the
//! argument of that name.
//!
//! What makes two messages the same is a header's value. An exchange remembers the values it has seen,
//! up to a number of them and, if that is wanted, for a time; the oldest is forgotten first. What is
//! remembered lives in memory and ends with the broker. Exchanges without this have none of it.

use std::collections::BTreeMap;

use ahash::AHashMap;
use parking_lot::Mutex;

use super::topology::ExchangeDeclaration;
use crate::exchange::ExchangeKind;
use crate::protocol::{AmqpError, FieldTable, FieldValue, Properties, ReplyCode};
use crate::queue::{DEDUPLICATION_HEADER, DeduplicationValue};
use crate::time::Time;

/// Values that are remembered where the arguments do not say how many.
const SIZE: usize = 128;

#[derive(Debug)]
pub(super) struct Deduplication {
    header: String,
    size: usize,
    ttl_millis: Option<u64>,
    /// A duplicate counts as a message that nobody is bound for, so the alternate exchange gets it; else
    /// it ends here.
    pub(super) to_alternate: bool,
    /// A leaf among the locks: it is taken while the topology is read.
    seen: Mutex<Seen>,
}

impl Deduplication {
    /// What a declaration says of it. Errors are CH 406.
    pub(super) fn parse(declaration: &ExchangeDeclaration) -> Result<Option<Box<Self>>, AmqpError> {
        let reader = Reader(&declaration.arguments);
        let kind = declaration.kind.routes_as(&declaration.arguments);
        let is_type = kind == Some(ExchangeKind::MessageDeduplication);
        if !reader.switch()? && !is_type {
            return Ok(None);
        }
        let size = match reader.positive("x-cache-size")? {
            None if is_type => return Err(invalid("Missing or invalid", "x-cache-size", POSITIVE)),
            None => SIZE,
            Some(size) => usize::try_from(size).unwrap_or(usize::MAX),
        };
        let ttl_millis = reader.positive("x-cache-ttl")?;
        reader.persistence()?;
        let header = reader.header()?.to_owned();
        let seen = Mutex::default();
        Ok(Some(Box::new(Self { header, size, ttl_millis, to_alternate: is_type, seen })))
    }

    /// Whether a message was here before. If not, it has been from now on.
    pub(super) fn is_duplicate(&self, properties: &Properties<'_>, now: Time) -> bool {
        let Some(value) = DeduplicationValue::of(properties, &self.header) else {
            return false;
        };
        let own = properties.header_entries().find(b"x-cache-ttl").and_then(|ttl| ttl.as_int());
        // A time that is over before it began is none.
        let own = own.map(|millis| u64::try_from(millis).unwrap_or(0));
        let until = match own.or(self.ttl_millis) {
            None => Time::NEVER,
            Some(millis) => Time(now.0.saturating_add(millis)),
        };
        self.seen.lock().saw(value, until, self.size, now)
    }
}

/// The values that are remembered, each until its time.
#[derive(Debug, Default)]
struct Seen {
    values: AHashMap<DeduplicationValue, Entry>,
    /// By the number of their entry: the oldest first.
    by_age: BTreeMap<u64, DeduplicationValue>,
    /// Those that will be forgotten by time, the next one first.
    by_time: BTreeMap<(Time, u64), DeduplicationValue>,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    until: Time,
}

impl Seen {
    /// Whether `value` is remembered at `now`; else it is remembered from now on.
    fn saw(&mut self, value: DeduplicationValue, until: Time, size: usize, now: Time) -> bool {
        while let Some(((first, _), expired)) = self.by_time.first_key_value()
            && *first <= now
        {
            self.forget(*expired);
        }
        if self.values.contains_key(&value) {
            return true;
        }
        if until <= now {
            return false;
        }
        while self.values.len() >= size
            && let Some((_, oldest)) = self.by_age.first_key_value()
        {
            self.forget(*oldest);
        }
        self.count += 1;
        self.values.insert(value, Entry { number: self.count, until });
        self.by_age.insert(self.count, value);
        if until != Time::NEVER {
            self.by_time.insert((until, self.count), value);
        }
        false
    }

    fn forget(&mut self, value: DeduplicationValue) {
        if let Some(Entry { number, until }) = self.values.remove(&value) {
            self.by_age.remove(&number);
            self.by_time.remove(&(until, number));
        }
    }
}

struct Reader<'a>(&'a FieldTable);

const POSITIVE: &str = "an integer greater than 0";

impl Reader<'_> {
    fn switch(&self) -> Result<bool, AmqpError> {
        let name = "x-message-deduplication";
        match self.0.get(name) {
            None => Ok(false),
            Some(FieldValue::Bool(on)) => Ok(*on),
            Some(_) => Err(invalid("Invalid", name, "a boolean")),
        }
    }

    /// RabbitMQ's plugin takes numbers written as text, too.
    fn positive(&self, name: &str) -> Result<Option<u64>, AmqpError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let number = value.as_int().and_then(|number| u64::try_from(number).ok());
        let number = number.or_else(|| value.as_str()?.parse().ok()).filter(|number| *number > 0);
        let what = if name == "x-cache-size" { "Missing or invalid" } else { "Invalid" };
        number.map(Some).ok_or_else(|| invalid(what, name, POSITIVE))
    }

    /// On the disk is a promise that would not be kept.
    fn persistence(&self) -> Result<(), AmqpError> {
        let name = "x-cache-persistence";
        match self.0.get(name).map(FieldValue::as_str) {
            None | Some(Some("memory")) => Ok(()),
            Some(_) => Err(invalid("Invalid", name, "'memory'")),
        }
    }

    fn header(&self) -> Result<&str, AmqpError> {
        let name = DEDUPLICATION_HEADER;
        match self.0.get(name).map(FieldValue::as_str) {
            None => Ok(name),
            Some(Some(header)) => Ok(header),
            Some(None) => Err(invalid("Invalid", name, "a string")),
        }
    }
}

fn invalid(what: &str, name: &str, kind: &str) -> AmqpError {
    let text = format!("{what} argument, '{name}' must be {kind}");
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Headers;

    fn value(n: u32) -> DeduplicationValue {
        let headers = Headers::from(&FieldTable::from_iter([("h", FieldValue::U32(n))]));
        let properties = Properties { headers: Some(headers.as_bytes()), ..Properties::default() };
        DeduplicationValue::of(&properties, "h").unwrap()
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let mut seen = Seen::default();
        let mut saw = |n| seen.saw(value(n), Time::NEVER, 3, Time(1));
        assert_eq!([1, 2, 3].map(&mut saw), [false; 3]);
        assert_eq!([1, 2, 3].map(&mut saw), [true; 3]);
        assert!(!saw(4));
        assert_eq!([2, 3, 4].map(&mut saw), [true; 3], "that it was seen again does not count");
        assert_eq!([1, 2, 3, 4].map(&mut saw), [false; 4], "each pushes the next one out");
        assert_eq!((seen.values.len(), seen.by_age.len()), (3, 3));
    }

    #[test]
    fn what_expired_is_forgotten_and_takes_no_place() {
        let mut seen = Seen::default();
        for n in 0..3 {
            assert!(!seen.saw(value(n), Time(10 + u64::from(n)), 3, Time(0)));
        }
        assert!(seen.saw(value(0), Time(99), 3, Time(9)));
        assert!(!seen.saw(value(0), Time(99), 3, Time(10)), "to the millisecond");
        assert!(!seen.saw(value(3), Time(99), 3, Time(11)));
        assert!(seen.saw(value(2), Time(99), 3, Time(11)), "nothing that lives was pushed out");
        assert!(seen.saw(value(0), Time(99), 3, Time(11)));
        assert!(!seen.saw(value(9), Time(5), 3, Time(12)), "already over");
        assert!(!seen.saw(value(9), Time(5), 3, Time(12)));
        assert!(!seen.saw(value(7), Time(50), 3, Time(60)));
    }

    #[test]
    fn what_expires_makes_room_before_what_is_old() {
        let mut seen = Seen::default();
        assert!(!seen.saw(value(0), Time::NEVER, 5, Time(0)));
        for now in 1..1000 {
            // One over and over, and one that is new each time.
            seen.saw(value(1), Time(now + 1), 5, Time(now));
            seen.saw(value(10 + now as u32), Time(now + 2), 5, Time(now));
            assert!(seen.values.len() <= 5 && seen.by_age.len() == seen.values.len());
            assert!(seen.by_time.len() < seen.values.len());
        }
        assert!(seen.saw(value(0), Time::NEVER, 5, Time(1000)));
    }
}
