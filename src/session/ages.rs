//! How long a client has had its deliveries, and which of them were taken away from it.
//!
//! Neither costs anything per message: a batch of deliveries shares one time, and tags that were taken
//! away are ranges.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

/// Deliveries that were handed over within this time count as handed over with the last of them, so
/// that none is overdue too early.
const GRAIN: Duration = Duration::from_secs(1);

/// Ranges of tags that are told apart. Beyond that the oldest are made one.
const RANGES_MAX: usize = 256;

/// When the deliveries of a channel were handed over, by ranges of tags.
#[derive(Debug, Default)]
pub struct Ages(VecDeque<Mark>);

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The first tag; the last one is before the next mark's.
    first: u64,
    opened: Time,
    /// When the last of them was handed over.
    closed: Time,
}

impl Ages {
    /// Deliveries from `tag` on are handed over now.
    pub fn note(&mut self, tag: u64, now: Time) {
        match self.0.back_mut() {
            Some(mark) if now.since(mark.opened) < GRAIN => mark.closed = now,
            _ => self.0.push_back(Mark { first: tag, opened: now, closed: now }),
        }
    }

    /// Tags before this one are settled.
    pub fn forget_before(&mut self, tag: u64) {
        while self.0.get(1).is_some_and(|next| next.first <= tag) {
            self.0.pop_front();
        }
    }

    /// Only these tags, in order, are left: ranges without any of them go.
    pub fn retain(&mut self, tags: impl Iterator<Item = u64>) {
        let mut tags = tags.peekable();
        let ends: Vec<u64> = self.0.iter().skip(1).map(|mark| mark.first).collect();
        let mut ends = ends.into_iter();
        self.0.retain(|_| {
            let end = ends.next().unwrap_or(u64::MAX);
            let mut any = false;
            while tags.next_if(|tag| *tag < end).is_some() {
                any = true;
            }
            any
        });
    }

    /// Everything from `tag` on counts as handed over now.
    pub fn restart(&mut self, tag: u64, now: Time) {
        self.0.clear();
        self.note(tag, now);
    }

    /// Oldest first: the first tag of a range, the first one after it, and when all of the range had
    /// been handed over.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, Time)> {
        let ends = self.0.iter().skip(1).map(|mark| mark.first).chain([u64::MAX]);
        self.0.iter().zip(ends).map(|(mark, end)| (mark.first, end, mark.closed))
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A set of delivery tags that may claim too many when it would become too large.
#[derive(Debug, Default)]
pub struct TagRanges(Vec<(u64, u64)>);

impl TagRanges {
    pub fn insert(&mut self, tag: u64) {
        let place = self.0.partition_point(|range| range.1 < tag);
        if self.0.get(place).is_some_and(|range| range.0 <= tag) {
            return;
        }
        let follows = place.checked_sub(1).filter(|before| {
            self.0.get(*before).is_some_and(|range| range.1.checked_add(1) == Some(tag))
        });
        let precedes = self.0.get(place).is_some_and(|range| tag.checked_add(1) == Some(range.0));
        match (follows, precedes) {
            (Some(before), true) => {
                let (_, end) = self.0.remove(place);
                self.extend(before, end);
            }
            (Some(before), false) => self.extend(before, tag),
            (None, true) => {
                if let Some(range) = self.0.get_mut(place) {
                    range.0 = tag;
                }
            }
            (None, false) => self.0.insert(place, (tag, tag)),
        }
        if self.0.len() > RANGES_MAX {
            let (_, end) = self.0.remove(1);
            self.extend(0, end);
        }
    }

    fn extend(&mut self, index: usize, end: u64) {
        if let Some(range) = self.0.get_mut(index) {
            range.1 = end;
        }
    }

    pub fn contains(&self, tag: u64) -> bool {
        let place = self.0.partition_point(|range| range.1 < tag);
        self.0.get(place).is_some_and(|range| range.0 <= tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ages: &Ages) -> Vec<(u64, u64, u64)> {
        ages.iter().map(|(first, end, at)| (first, end, at.0)).collect()
    }

    #[test]
    fn a_second_of_deliveries_is_as_old_as_the_last_of_them() {
        let mut ages = Ages::default();
        for (tag, at) in [(1, 0), (5, 400), (9, 999), (12, 1000), (13, 1001)] {
            ages.note(tag, Time(at));
        }
        assert_eq!(ranges(&ages), [(1, 12, 999), (12, u64::MAX, 1001)]);
        ages.forget_before(11);
        assert_eq!(ages.len(), 2);
        ages.forget_before(12);
        assert_eq!(ranges(&ages), [(12, u64::MAX, 1001)]);
        ages.forget_before(99);
        assert_eq!(ages.len(), 1, "what comes next in this second joins it");
    }

    #[test]
    fn ranges_without_a_delivery_left_are_forgotten() {
        let mut ages = Ages::default();
        (0..10).for_each(|n| ages.note(n * 10, Time(n * 1000)));
        ages.retain([5, 31, 39, 95].into_iter());
        let firsts: Vec<u64> = ages.iter().map(|(first, ..)| first).collect();
        assert_eq!(firsts, [0, 30, 90]);
        ages.retain(std::iter::empty());
        assert_eq!(ages.len(), 0);
    }

    #[test]
    fn tags_come_in_any_order_and_become_ranges() {
        let mut tags = TagRanges::default();
        for tag in [5, 1, 3, 2, 9, 5, 8, 4] {
            tags.insert(tag);
        }
        assert_eq!(tags.0, [(1, 5), (8, 9)]);
        let known: Vec<u64> = (0..12).filter(|tag| tags.contains(*tag)).collect();
        assert_eq!(known, [1, 2, 3, 4, 5, 8, 9]);
    }

    #[test]
    fn a_set_that_grows_too_large_claims_too_many_rather_than_too_few() {
        let mut tags = TagRanges::default();
        let odd: Vec<u64> = (1..2000).step_by(2).collect();
        odd.iter().for_each(|tag| tags.insert(*tag));
        assert_eq!(tags.0.len(), RANGES_MAX);
        assert!(odd.iter().all(|tag| tags.contains(*tag)));
        assert!(!tags.contains(1998), "the latest are exact");
    }
}
