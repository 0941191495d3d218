//! When messages came in, without keeping a time for each.
//!
//! Positions rise and so do times, so a few marks tell how long a message has been there: at this
//! position it was this time. There are never more than [`MARKS_MAX`]; when a line gets longer than they
//! reach, every other one goes. What lies between two marks counts as old as the first of them: it may be
//! said to be older than it is, never younger.

use std::collections::VecDeque;

use crate::message::Position;
use crate::time::Time;

/// Marks of one line.
const MARKS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Since {
    marks: VecDeque<(Position, Time)>,
}

impl Since {
    /// The message at this position came in now; so did those that follow, until the next mark.
    #[inline]
    pub(super) fn note(&mut self, position: Position, now: Time, head: Option<Position>) {
        match self.marks.back() {
            Some((last, at)) if *at >= now || *last >= position => return,
            _ => {}
        }
        if self.marks.len() >= MARKS_MAX {
            self.make_room(head.unwrap_or(position));
        }
        self.marks.push_back((position, now));
    }

    /// What was before the head is forgotten, unless that is little: then every other mark goes, but not
    /// the first nor the last. What is requeued before the head counts as old as that.
    fn make_room(&mut self, head: Position) {
        let before = self.marks.partition_point(|(marked, _)| *marked <= head).saturating_sub(1);
        if before > MARKS_MAX / 4 {
            self.marks.drain(..before);
            return;
        }
        self.thin();
    }

    fn thin(&mut self) {
        let mut index = 0;
        let last = self.marks.len() - 1;
        self.marks.retain(|_| {
            index += 1;
            index % 2 == 1 || index > last
        });
    }

    /// When the message at a position came in; `None` where nobody knows.
    #[inline]
    pub(super) fn of(&self, position: Position) -> Option<Time> {
        let (last, at) = self.marks.back()?;
        if *last <= position {
            return Some(*at);
        }
        let index = self.marks.partition_point(|(marked, _)| *marked <= position);
        self.marks.get(index.saturating_sub(1)).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(since: &Since, position: u64) -> Option<u64> {
        since.of(Position(position)).map(|time| time.0)
    }

    #[test]
    fn a_message_is_as_old_as_the_mark_before_it() {
        let mut since = Since::default();
        assert_eq!(of(&since, 1), None);
        for (position, now) in [(1, 100), (2, 100), (5, 200), (9, 300)] {
            since.note(Position(position), Time(now), None);
        }
        let ages = [1, 4, 5, 8, 9, 1000].map(|position| of(&since, position));
        assert_eq!(ages, [100, 100, 200, 200, 300, 300].map(Some));
    }

    #[test]
    fn marks_are_few_however_long_the_line() {
        let mut since = Since::default();
        for n in 1..=100_000_u64 {
            since.note(Position(n), Time(n * 10), Some(Position(1)));
        }
        assert!(since.marks.len() <= MARKS_MAX);
        assert_eq!(of(&since, 1), Some(10), "the oldest is known exactly");
        assert_eq!(of(&since, 100_000), Some(1_000_000), "and so is the newest");
        let middle = of(&since, 60_000).unwrap();
        assert!((10..=600_000).contains(&middle), "{middle}: never younger than it is");
    }

    #[test]
    fn marks_of_what_has_left_make_room() {
        let mut since = Since::default();
        for n in 1..=1000_u64 {
            since.note(Position(n), Time(n * 10), Some(Position(n.saturating_sub(5))));
        }
        let ages = (996..=1000).map(|n| of(&since, n));
        assert!(ages.eq((996..=1000).map(|n| Some(n * 10))), "those that are there are exact");
    }
}
