//! What a channel delivered and the client has not settled.

use std::collections::VecDeque;

use crate::delivery::SourceId;
use crate::message::Queued;

/// A delivery in the client's hands.
#[derive(Debug)]
pub struct Held {
    pub source: SourceId,
    pub queued: Queued,
}

/// Ordered by delivery tag, so that `multiple` is a range at the front. One settled out of turn leaves
/// a gap behind; when half of all are gaps they are closed, so that one message held for ever does not
/// make the list grow with every later one.
#[derive(Debug, Default)]
pub struct Unacked {
    entries: VecDeque<(u64, Option<Held>)>,
    held: usize,
}

/// Fewer entries than this are not worth closing gaps in.
const COMPACT_MIN: usize = 64;

impl Unacked {
    pub fn len(&self) -> usize {
        self.held
    }

    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Adds a delivery; tags rise.
    #[inline]
    pub fn push(&mut self, tag: u64, held: Held) {
        self.entries.push_back((tag, Some(held)));
        self.held += 1;
    }

    /// Takes out one. `None` when that tag is not outstanding (behaviour B6.12).
    pub fn take(&mut self, tag: u64) -> Option<Held> {
        let index = self.find(tag)?;
        let held = self.entries.get_mut(index)?.1.take()?;
        self.held -= 1;
        self.close_gaps();
        Some(held)
    }

    /// Takes out everything up to and with `tag`, or everything at all for tag 0, oldest first. False
    /// when `tag` itself is not outstanding: then nothing is taken (behaviour B6.12).
    pub fn take_until(&mut self, tag: u64, mut taken: impl FnMut(u64, Held)) -> bool {
        let count = if tag == 0 {
            self.entries.len()
        } else {
            match self.find(tag) {
                Some(index) if self.entries.get(index).is_some_and(|entry| entry.1.is_some()) => {
                    index + 1
                }
                _ => return false,
            }
        };
        for (tag, held) in self.entries.drain(..count) {
            if let Some(held) = held {
                self.held -= 1;
                taken(tag, held);
            }
        }
        self.close_gaps();
        true
    }

    /// Puts back what a rollback makes unsettled again (behaviour B7.4).
    pub fn restore(&mut self, mut settled: Vec<(u64, Held)>) {
        self.held += settled.len();
        let mut all: Vec<(u64, Option<Held>)> =
            settled.drain(..).map(|(tag, held)| (tag, Some(held))).collect();
        all.extend(self.entries.drain(..).filter(|entry| entry.1.is_some()));
        all.sort_by_key(|entry| entry.0);
        self.entries = all.into();
    }

    fn find(&self, tag: u64) -> Option<usize> {
        // Nearly always it is the oldest one.
        if self.entries.front().is_some_and(|entry| entry.0 == tag) {
            return Some(0);
        }
        self.entries.binary_search_by_key(&tag, |entry| entry.0).ok()
    }

    fn close_gaps(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.1.is_none()) {
            self.entries.pop_front();
        }
        if self.entries.len() > COMPACT_MIN && self.held * 2 < self.entries.len() {
            self.entries.retain(|entry| entry.1.is_some());
        }
        if self.entries.is_empty() && self.entries.capacity() > 4096 {
            self.entries = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, Position, Traits};
    use crate::time::Time;

    fn held(position: u64) -> Held {
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let message =
            Message::with_inline_body(b"\0\0", &header, b"", Traits::default(), &mut Vec::new());
        let queued = Queued {
            message,
            position: Position(position),
            deadline: Time::NEVER,
            redelivered: false,
        };
        Held { source: SourceId(0), queued }
    }

    fn filled(tags: impl IntoIterator<Item = u64>) -> Unacked {
        let mut unacked = Unacked::default();
        tags.into_iter().for_each(|tag| unacked.push(tag, held(tag)));
        unacked
    }

    fn taken_until(unacked: &mut Unacked, tag: u64) -> Option<Vec<u64>> {
        let mut tags = Vec::new();
        unacked.take_until(tag, |tag, _| tags.push(tag)).then_some(tags)
    }

    #[test]
    fn a_tag_settles_once() {
        let mut unacked = filled([1, 2, 3]);
        assert!(unacked.take(2).is_some());
        assert!(unacked.take(2).is_none());
        assert!(unacked.take(9).is_none());
        assert_eq!(unacked.len(), 2);
    }

    #[test]
    fn multiple_needs_its_own_tag_outstanding() {
        let mut unacked = filled([1, 2, 3, 5]);
        unacked.take(2);
        assert_eq!(taken_until(&mut unacked, 2), None, "settled already");
        assert_eq!(taken_until(&mut unacked, 4), None, "never issued");
        assert_eq!(unacked.len(), 3, "and nothing was settled");
        assert_eq!(taken_until(&mut unacked, 3), Some(vec![1, 3]));
        assert_eq!(taken_until(&mut unacked, 0), Some(vec![5]));
        assert_eq!(taken_until(&mut unacked, 0), Some(vec![]), "a no-op");
    }

    #[test]
    fn one_message_held_for_ever_does_not_make_the_list_grow() {
        let mut unacked = filled([1]);
        for tag in 2..100_000 {
            unacked.push(tag, held(tag));
            assert!(unacked.take(tag).is_some());
        }
        assert!(unacked.entries.len() < 2 * COMPACT_MIN, "{}", unacked.entries.len());
        assert_eq!(taken_until(&mut unacked, 0), Some(vec![1]));
    }

    #[test]
    fn a_rollback_puts_tags_back_in_order() {
        let mut unacked = filled([1, 2, 3, 4]);
        let two = unacked.take(2).map(|held| (2, held));
        let three = unacked.take(3).map(|held| (3, held));
        unacked.restore(three.into_iter().chain(two).collect());
        assert_eq!(taken_until(&mut unacked, 4), Some(vec![1, 2, 3, 4]));
    }
}
