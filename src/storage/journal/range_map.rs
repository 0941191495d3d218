//! Ranges of numbers and what they map to, cut and joined as need be.
//!
//! The journal's bookkeeping is made of these, so that what it costs grows with the number of ranges and
//! not with the number of messages in them. Spans are kept by their last key: taking from the front
//! of one, which is what consuming a queue in order does, changes it in its place.
//!
//! Invariant: spans never overlap, and neighbours that could be one are one.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What a range maps to.
pub trait Span: Sized {
    /// Keeps the first `at` of `length` keys, and returns what belongs to the others.
    fn cut(&mut self, at: u64, length: u64) -> Self;

    /// Takes in what belongs to the keys that follow right behind the `length` of this one; false,
    /// and nothing changes, when the two differ.
    fn join(&mut self, length: u64, next: &Self, next_length: u64) -> bool;
}

/// A set of numbers.
pub type RangeSet = RangeMap<()>;

impl Span for () {
    fn cut(&mut self, _at: u64, _length: u64) -> Self {}

    fn join(&mut self, _length: u64, _next: &Self, _next_length: u64) -> bool {
        true
    }
}

pub struct RangeMap<V> {
    /// Last key of a span to its first and its value.
    spans: BTreeMap<u64, (u64, V)>,
}

impl<V> Default for RangeMap<V> {
    fn default() -> Self {
        Self { spans: BTreeMap::new() }
    }
}

impl<V: Span> RangeMap<V> {
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Number of spans.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn last(&self) -> Option<u64> {
        self.spans.last_key_value().map(|(last, _)| *last)
    }

    /// The span that holds `key`.
    pub fn get(&self, key: u64) -> Option<&V> {
        let (_, (first, value)) = self.spans.range(key..).next()?;
        (*first <= key).then_some(value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, &V)> {
        self.spans.iter().map(|(last, (first, value))| (*first, *last, value))
    }

    /// The spans that reach into a range, whole.
    pub fn overlapping(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64, &V)> {
        self.spans
            .range(first..)
            .map(|(last, (first, value))| (*first, *last, value))
            .take_while(move |(start, _, _)| *start <= last)
    }

    /// The parts of a range that no span holds.
    pub fn gaps(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let (mut gaps, mut next) = (Vec::new(), Some(first));
        for (start, end, _) in self.overlapping(first, last) {
            if let Some(from) = next
                && from < start
            {
                gaps.push((from, start - 1));
            }
            next = end.checked_add(1);
        }
        gaps.extend(next.filter(|from| *from <= last).map(|from| (from, last)));
        gaps
    }

    /// Adds a range that no span reaches into.
    pub fn insert(&mut self, mut first: u64, last: u64, mut value: V) {
        debug_assert!(first <= last && self.overlapping(first, last).next().is_none());
        let before = first.checked_sub(1);
        if let Some(before) = before
            && let Some((start, earlier)) = self.spans.get_mut(&before)
            && earlier.join(first - *start, &value, length(first, last))
            && let Some((start, joined)) = self.spans.remove(&before)
        {
            (first, value) = (start, joined);
        }
        if let Some((end, (start, later))) =
            self.spans.range_mut((Bound::Excluded(last), Bound::Unbounded)).next()
            && *start - 1 == last
            && value.join(length(first, last), later, *end - last)
        {
            (*start, *later) = (first, value);
            return;
        }
        self.spans.insert(last, (first, value));
    }

    /// Takes a range out, and hands over what was there.
    pub fn take(&mut self, first: u64, last: u64, mut each: impl FnMut(u64, u64, V)) {
        while let Some((end, span)) = self.spans.range_mut(first..).next() {
            let (end, (start, value)) = (*end, span);
            if *start > last {
                break;
            }
            if *start < first {
                let rest = value.cut(first - *start, length(*start, end));
                let head = (std::mem::replace(start, first), std::mem::replace(value, rest));
                self.spans.insert(first - 1, head);
            } else if last < end {
                let rest = value.cut(last + 1 - *start, length(*start, end));
                let taken = std::mem::replace(value, rest);
                each(std::mem::replace(start, last + 1), last, taken);
                break;
            } else if let Some((start, value)) = self.spans.remove(&end) {
                each(start, end, value);
            }
        }
    }
}

impl RangeSet {
    /// Adds a range, whatever of it there is already.
    pub fn add(&mut self, first: u64, last: u64) {
        // In order and next to each other is what mostly comes.
        if self.last().is_none_or(|end| end < first) {
            return self.insert(first, last, ());
        }
        self.take(first, last, |_, _, ()| {});
        self.insert(first, last, ());
    }

    pub fn remove(&mut self, first: u64, last: u64) {
        self.take(first, last, |_, _, ()| {});
    }

    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.iter().map(|(first, last, ())| (first, last))
    }
}

/// Number of keys in a range; one less for the range of all.
fn length(first: u64, last: u64) -> u64 {
    (last - first).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value that knows which keys it belongs to, so that a wrong cut shows.
    #[derive(Clone, Debug, PartialEq)]
    struct Keys {
        first: u64,
        colour: u8,
    }

    impl Span for Keys {
        fn cut(&mut self, at: u64, length: u64) -> Self {
            assert!(0 < at && at < length);
            Self { first: self.first + at, colour: self.colour }
        }

        fn join(&mut self, length: u64, next: &Self, next_length: u64) -> bool {
            assert!(length > 0 && next_length > 0 && self.first + length == next.first);
            self.colour == next.colour
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map_of_single_keys(
            steps in prop::collection::vec((0u64..60, 0u64..12, 0u8..3), 1..80),
        ) {
            let mut map = RangeMap::default();
            let mut model: BTreeMap<u64, u8> = BTreeMap::new();
            for (first, length, colour) in steps {
                let last = first + length;
                let mut taken = BTreeMap::new();
                map.take(first, last, |start, end, keys: Keys| {
                    assert_eq!(keys.first, start);
                    taken.extend((start..=end).map(|key| (key, keys.colour)));
                });
                let expected: BTreeMap<u64, u8> =
                    model.range(first..=last).map(|(key, colour)| (*key, *colour)).collect();
                prop_assert_eq!(taken, expected);
                model.retain(|key, _| !(first..=last).contains(key));
                prop_assert_eq!(map.gaps(first, last), vec![(first, last)]);
                if colour > 0 {
                    map.insert(first, last, Keys { first, colour });
                    model.extend((first..=last).map(|key| (key, colour)));
                }
                let mut spans: Vec<(u64, u64, u8)> = Vec::new();
                for (key, colour) in &model {
                    match spans.last_mut() {
                        Some((_, end, same)) if *end + 1 == *key && same == colour => *end = *key,
                        _ => spans.push((*key, *key, *colour)),
                    }
                }
                let held: Vec<_> = map.iter().map(|(a, b, keys)| (a, b, keys.colour)).collect();
                prop_assert_eq!(held, spans);
                for (key, colour) in &model {
                    prop_assert_eq!(map.get(*key).map(|keys| keys.colour), Some(*colour));
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_keys_too() {
        let mut set = RangeSet::default();
        set.add(u64::MAX - 1, u64::MAX);
        set.add(0, 3);
        set.add(2, u64::MAX - 2);
        assert_eq!(set.ranges().collect::<Vec<_>>(), [(0, u64::MAX)]);
        set.remove(5, 6);
        assert_eq!(set.gaps(0, u64::MAX), [(5, 6)]);
        set.remove(0, u64::MAX);
        assert!(set.is_empty());
    }
}
