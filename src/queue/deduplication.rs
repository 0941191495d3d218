//! Queues that take no message twice at a time: `x-message-deduplication`.
//!
//! What makes two messages the same is a header's value. A queue holds the values of the messages in
//! it, ready or delivered, under their positions; one that leaves takes its value along. So this is
//! bounded by what is in the queue. Queues without the argument have none of it.

use ahash::AHashMap;
use sha2::{Digest, Sha256};

use super::Queue;
use super::arguments::Options;
use super::state::State;
use crate::message::{Message, Position, Positions};
use crate::protocol::Properties;
use crate::storage::LogPosition;

/// The header that is looked at unless the argument of the same name says otherwise.
pub const DEDUPLICATION_HEADER: &str = "x-deduplication-header";

/// A header's value, as small as 16 bytes however long it is. That two values have the same 16 bytes is
/// out of the question, even for somebody who wants it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeduplicationValue([u8; 16]);

impl DeduplicationValue {
    /// Of the header called `name`; `None` without it. Types are part of a value, but not how wide a
    /// number was written.
    pub fn of(properties: &Properties<'_>, name: &str) -> Option<Self> {
        let value = properties.header_entries().find(name.as_bytes())?;
        let hash = Sha256::new();
        let hash = match value.as_int() {
            Some(number) => hash.chain_update(b"l").chain_update(number.to_be_bytes()),
            None => hash.chain_update([value.tag]).chain_update(value.bytes),
        };
        let hash: [u8; 32] = hash.finalize().into();
        hash.first_chunk().copied().map(Self)
    }
}

/// The values in one queue.
#[derive(Debug)]
pub(super) struct Duplicates {
    header: Box<str>,
    values: AHashMap<DeduplicationValue, Position>,
    positions: AHashMap<Position, DeduplicationValue>,
    /// A duplicate that the store would have kept was dropped, and nobody was told yet what its confirm has to wait for.
    dropped_kept: bool,
}

impl Duplicates {
    pub(super) fn new(options: &Options) -> Option<Box<Self>> {
        let header = options.deduplication_header.as_deref()?.into();
        let (values, positions) = (AHashMap::new(), AHashMap::new());
        Some(Box::new(Self { header, values, positions, dropped_kept: false }))
    }

    /// Whether a message may come in, at `position`. If so it is in from now on. `kept`: the store is to
    /// know it.
    pub(super) fn admit(&mut self, message: &Message, position: Position, kept: bool) -> bool {
        let properties = message.parsed_properties().unwrap_or_default();
        let Some(value) = DeduplicationValue::of(&properties, &self.header) else {
            return true;
        };
        if self.values.contains_key(&value) {
            self.dropped_kept |= kept;
            return false;
        }
        self.values.insert(value, position);
        self.positions.insert(position, value);
        true
    }

    /// The message at a position is at another one.
    pub(super) fn moved(&mut self, from: Position, to: Position) {
        if let Some(value) = self.positions.remove(&from) {
            self.positions.insert(to, value);
            self.values.insert(value, to);
        }
    }

    fn leave(&mut self, position: Position) {
        if let Some(value) = self.positions.remove(&position) {
            self.values.remove(&value);
        }
    }
}

impl Queue {
    /// Whether the queue wants to hear of every message that leaves it.
    #[inline]
    pub fn deduplicates(&self) -> bool {
        self.declaration.options.deduplication_header.is_some()
    }
}

impl State {
    /// A message is gone for good.
    #[inline]
    pub(super) fn left(&mut self, position: Position) {
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.leave(position);
        }
    }

    pub(super) fn all_left(&mut self, left: &Positions) {
        let Some(duplicates) = &mut self.duplicates else {
            return;
        };
        for (first, last) in left.iter() {
            (first.0..=last.0).for_each(|position| duplicates.leave(Position(position)));
        }
    }

    /// What the confirms of a batch have to wait for because of duplicates in it. That one is confirmed
    /// says that the message is safe, so it has to wait until the one in the queue is.
    #[inline]
    pub(super) fn duplicates_log(&mut self, queue: &Queue) -> Option<LogPosition> {
        let dropped = &mut self.duplicates.as_mut()?.dropped_kept;
        if !std::mem::take(dropped) {
            return None;
        }
        queue.log.as_ref().map(|log| log.store.position())
    }
}
