//! What a channel delivered and the client has not settled.

use std::collections::VecDeque;

use super::ages::{Ages, TagRanges};
use crate::delivery::SourceId;
use crate::message::Queued;
use crate::time::Time;

/// A delivery in the client's hands.
#[derive(Debug)]
pub struct Held {
    pub source: SourceId,
    pub queued: Queued,
}

/// Ordered by delivery tag, so that `multiple` is a range at the front. One settled out of turn leaves
/// a gap behind; when half of all are gaps they are closed, so that one message held for ever does not
/// make the list grow with every later one.
#[derive(Debug)]
pub struct Unacked {
    entries: VecDeque<(u64, Option<Held>)>,
    held: usize,
    ages: Ages,
    /// When `ages` was told last: once for all deliveries of a batch.
    noted: Time,
    /// Tags of deliveries that were taken away because the client took too long (behaviour B6.16).
    late: Option<Box<TagRanges>>,
}

impl Default for Unacked {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            held: 0,
            ages: Ages::default(),
            noted: Time::NEVER,
            late: None,
        }
    }
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

    /// Adds a delivery; tags rise. True for the first one of a batch: somebody has to see to it that
    /// it does not stay here too long.
    #[inline]
    pub fn push(&mut self, tag: u64, held: Held, now: Time) -> bool {
        let first = now != self.noted;
        if first {
            self.note(tag, now);
        }
        self.entries.push_back((tag, Some(held)));
        self.held += 1;
        first
    }

    fn note(&mut self, tag: u64, now: Time) {
        self.noted = now;
        self.ages.forget_before(self.entries.front().map_or(tag, |entry| entry.0));
        self.ages.note(tag, now);
    }

    /// Deliveries by age, oldest first: when they were handed over at the latest, and tag and source
    /// of each.
    pub fn by_age(&self) -> impl Iterator<Item = (Time, impl Iterator<Item = (u64, SourceId)>)> {
        self.ages.iter().map(|(first, end, at)| {
            let start = self.entries.partition_point(|entry| entry.0 < first);
            let range = self.entries.range(start..).take_while(move |entry| entry.0 < end);
            (at, range.filter_map(|(tag, held)| Some((*tag, held.as_ref()?.source))))
        })
    }

    /// Takes a delivery away from the client, which may not know yet: settling it will mean nothing.
    pub fn take_late(&mut self, tag: u64) -> Option<Held> {
        let held = self.take(tag)?;
        self.late.get_or_insert_default().insert(tag);
        Some(held)
    }

    /// The client had this delivery, and it was taken away.
    pub fn is_late(&self, tag: u64) -> bool {
        self.late.as_ref().is_some_and(|late| late.contains(tag))
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
    /// when `tag` itself is not outstanding: then nothing is taken (behaviour B6.12), unless it is
    /// one that was taken away.
    pub fn take_until(&mut self, tag: u64, mut taken: impl FnMut(u64, Held)) -> bool {
        let count = if tag == 0 {
            self.entries.len()
        } else {
            match self.find(tag) {
                Some(index) if self.entries.get(index).is_some_and(|entry| entry.1.is_some()) => {
                    index + 1
                }
                _ if self.is_late(tag) => self.entries.partition_point(|entry| entry.0 <= tag),
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

    /// Puts back what a rollback makes unsettled again (behaviour B7.4). The client's time with all of
    /// it starts anew.
    pub fn restore(&mut self, mut settled: Vec<(u64, Held)>, now: Time) {
        self.held += settled.len();
        let mut all: Vec<(u64, Option<Held>)> =
            settled.drain(..).map(|(tag, held)| (tag, Some(held))).collect();
        all.extend(self.entries.drain(..).filter(|entry| entry.1.is_some()));
        all.sort_by_key(|entry| entry.0);
        self.entries = all.into();
        if let Some((first, _)) = self.entries.front() {
            self.noted = now;
            self.ages.restart(*first, now);
        }
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
            self.ages.retain(self.entries.iter().map(|entry| entry.0));
            // What was forgotten may be the time of the batch that comes in just now.
            self.noted = Time::NEVER;
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
            kept: false,
            delivery_count: 0,
        };
        Held { source: SourceId(0), queued }
    }

    fn filled(tags: impl IntoIterator<Item = u64>) -> Unacked {
        let mut unacked = Unacked::default();
        for tag in tags {
            unacked.push(tag, held(tag), Time(0));
        }
        unacked
    }

    fn taken_until(unacked: &mut Unacked, tag: u64) -> Option<Vec<u64>> {
        let mut tags = Vec::new();
        unacked.take_until(tag, |tag, _| tags.push(tag)).then_some(tags)
    }

    fn by_age(unacked: &Unacked) -> Vec<(u64, Vec<u64>)> {
        let tags = |(at, tags): (Time, _)| (at.0, Iterator::map(tags, |(tag, _)| tag).collect());
        unacked.by_age().map(tags).collect()
    }

    #[test]
    fn deliveries_are_as_old_as_their_batch() {
        let mut unacked = Unacked::default();
        let firsts = [(1, 0), (2, 0), (3, 5000), (4, 5000), (5, 9000)].map(|(tag, at)| {
            let first = unacked.push(tag, held(tag), Time(at));
            first.then_some(tag)
        });
        assert_eq!(firsts, [Some(1), None, Some(3), None, Some(5)]);
        unacked.take(3);
        assert_eq!(by_age(&unacked), [(0, vec![1, 2]), (5000, vec![4]), (9000, vec![5])]);
        taken_until(&mut unacked, 4);
        unacked.push(6, held(6), Time(9000));
        unacked.push(7, held(7), Time(9001));
        assert_eq!(by_age(&unacked), [(9001, vec![5, 6, 7])]);
    }

    /// A batch whose deliveries were settled so fast that its time was forgotten.
    #[test]
    fn every_delivery_has_an_age() {
        let mut unacked = filled([1]);
        for tag in 2..1000 {
            unacked.push(tag, held(tag), Time(7000));
            if tag % 3 > 0 {
                unacked.take(tag);
            }
        }
        let aged: usize = by_age(&unacked).iter().map(|(_, tags)| tags.len()).sum();
        assert_eq!(aged, unacked.len());
    }

    #[test]
    fn what_was_taken_away_may_be_settled_once_more() {
        let mut unacked = filled([1, 2, 3, 4]);
        assert!(unacked.take_late(2).is_some() && unacked.take_late(2).is_none());
        assert!(unacked.is_late(2) && !unacked.is_late(1));
        assert!(unacked.take(2).is_none());
        assert_eq!(taken_until(&mut unacked, 2), Some(vec![1]));
        assert_eq!(taken_until(&mut unacked, 2), Some(vec![]));
        assert_eq!(taken_until(&mut unacked, 1), None, "that one was settled");
        assert_eq!(taken_until(&mut unacked, 0), Some(vec![3, 4]));
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
            unacked.push(tag, held(tag), Time(tag * 1000));
            assert!(unacked.take(tag).is_some());
        }
        assert!(unacked.entries.len() < 2 * COMPACT_MIN, "{}", unacked.entries.len());
        assert!(unacked.ages.len() <= 2 * COMPACT_MIN, "{}", unacked.ages.len());
        assert_eq!(taken_until(&mut unacked, 0), Some(vec![1]));
    }

    #[test]
    fn a_rollback_puts_tags_back_in_order() {
        let mut unacked = filled([1, 2, 3, 4]);
        let two = unacked.take(2).map(|held| (2, held));
        let three = unacked.take(3).map(|held| (3, held));
        unacked.restore(three.into_iter().chain(two).collect(), Time(5));
        assert_eq!(by_age(&unacked), [(5, vec![1, 2, 3, 4])]);
        assert_eq!(taken_until(&mut unacked, 4), Some(vec![1, 2, 3, 4]));
    }
}
