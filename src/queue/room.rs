//! Room in a queue that refuses what is too much, and dead letters that wait for it.
//!
//! Who brings a letter that has to arrive asks for room first, so that nothing is stored in vain, and
//! leaves word where there is none. When room is made the queue in which the letter waits is looked
//! at.

use std::sync::{Arc, Weak};

use super::arguments::Overflow;
use super::effects::Effects;
use super::state::State;
use super::{Content, Queue};
use crate::message::Message;
use crate::time::Time;

/// How much a queue takes before it refuses (behaviour B8.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub messages: usize,
    /// Of bodies.
    pub bytes: usize,
}

impl Room {
    const UNLIMITED: Self = Self { messages: usize::MAX, bytes: usize::MAX };

    pub fn takes(self, message: &Message) -> bool {
        self.messages > 0 && self.bytes >= message.body_size()
    }

    /// What is left when a message that fits is in.
    pub fn without(self, message: &Message) -> Self {
        Self {
            messages: self.messages.saturating_sub(1),
            bytes: self.bytes.saturating_sub(message.body_size()),
        }
    }
}

/// A queue in which dead letters wait, and the size of the first one that found no room.
#[derive(Debug)]
pub(super) struct Awaiting {
    letters: Weak<Queue>,
    bytes: usize,
}

impl Queue {
    /// How much the queue takes at the moment.
    pub fn room(self: &Arc<Self>, now: Time, effects: &mut Effects) -> Room {
        let Content::Queue(state) = &self.content else { return Room::UNLIMITED };
        let mut state = state.lock();
        if !state.options.has_limits() {
            return Room::UNLIMITED;
        }
        // What has expired meanwhile takes no place.
        state.drop_expired(self, now, effects);
        state.report_deadline(self, effects);
        state.room(self)
    }

    /// Has `letters` looked at as soon as there is room for one of so many bytes, or the queue is gone:
    /// maybe at once.
    pub fn await_room(self: &Arc<Self>, letters: &Arc<Self>, bytes: usize, effects: &mut Effects) {
        let Content::Queue(state) = &self.content else { return };
        let mut state = state.lock();
        let awaiting = Awaiting { letters: Arc::downgrade(letters), bytes };
        let is_same = |other: &Awaiting| Weak::ptr_eq(&other.letters, &awaiting.letters);
        match state.awaiting.iter_mut().find(|other| is_same(other)) {
            Some(other) => other.bytes = bytes,
            None => state.awaiting.push(awaiting),
        }
        state.call_awaiting(self, effects);
    }
}

impl State {
    pub(super) fn room(&self, queue: &Queue) -> Room {
        if self.options.overflow() == Overflow::DropHead {
            return Room::UNLIMITED;
        }
        let (length, bytes) = self.options.limits();
        // Dead letters that wait count as if they were still here (behaviour B13.7).
        let (letters, letter_bytes) = queue.undelivered_figures();
        let taken = self.ready.len().saturating_add(letters);
        let taken_bytes = self.ready.bytes().saturating_add(letter_bytes);
        match bytes.checked_sub(taken_bytes) {
            Some(bytes) => Room { messages: length.saturating_sub(taken), bytes },
            // What came back may have pushed it over its limit: then not even an empty one fits.
            None => Room { messages: 0, bytes: 0 },
        }
    }

    /// Calls those who wait for room, where there is some.
    #[cold]
    pub(super) fn call_awaiting(&mut self, queue: &Queue, effects: &mut Effects) {
        let room = self.room(queue);
        let is_gone = self.deleted;
        let called =
            |awaiting: &mut Awaiting| is_gone || room.messages > 0 && room.bytes >= awaiting.bytes;
        for Awaiting { letters, .. } in self.awaiting.extract_if(.., called) {
            effects.deadlines.extend(letters.upgrade().map(|letters| (Time(0), letters)));
        }
    }
}
