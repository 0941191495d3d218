//! The messages that wait for a consumer, in the order in which they will be delivered.

use std::collections::VecDeque;

use crate::message::{Position, Positions, Queued};
use crate::time::Time;

/// More returned messages than this are merged in one pass instead of being inserted one by one.
const INSERT_MAX: usize = 16;

/// First in, first out; with `x-max-priority`, one such line per priority (behaviour B8.10). Within a
/// line messages stand by position, so a requeued one finds its old place (behaviour B6.13).
#[derive(Debug)]
pub(super) struct Ready {
    /// One line, or `x-max-priority` + 1 of them, lowest priority first.
    lines: Vec<VecDeque<Queued>>,
    /// Bit p of word p/64: line p is not empty. The highest set bit is found in four steps, so 255
    /// priorities cost what one does.
    occupied: [u64; 4],
    len: usize,
    /// Body bytes.
    bytes: usize,
    /// How many have a deadline; while it is 0 nobody looks at the time.
    deadlines: usize,
}

impl Ready {
    pub(super) fn new(max_priority: Option<u8>) -> Self {
        // `x-max-priority: 0` behaves as 1 (behaviour B5.6).
        let lines = max_priority.map_or(1, |max| usize::from(max.max(1)) + 1);
        Self {
            lines: (0..lines).map(|_| VecDeque::new()).collect(),
            occupied: [0; 4],
            len: 0,
            bytes: 0,
            deadlines: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(super) fn push(&mut self, queued: Queued) {
        let line = self.enter(&queued);
        if let Some(line) = self.lines.get_mut(line) {
            line.push_back(queued);
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let index = self.highest()?;
        let line = self.lines.get_mut(index)?;
        let queued = line.pop_front()?;
        if line.is_empty() {
            self.mark(index, false);
            // A long backlog is over: give the memory back rather than keep it for the next one.
            if let Some(line) = self.lines.get_mut(index)
                && line.capacity() > 4096
            {
                *line = VecDeque::new();
            }
        }
        self.leave(&queued);
        Some(queued)
    }

    /// The head has expired at `now`. Only the head is ever asked (behaviour B8.1).
    #[inline]
    pub(super) fn head_expired(&self, now: Time) -> bool {
        self.deadlines > 0
            && self
                .highest()
                .and_then(|index| self.lines.get(index)?.front())
                .is_some_and(|head| head.deadline <= now)
    }

    /// Something has a deadline, at the head or behind it.
    #[inline]
    pub(super) fn has_deadlines(&self) -> bool {
        self.deadlines > 0
    }

    /// When the head expires; a deadline behind it does not count yet.
    pub(super) fn head_deadline(&self) -> Time {
        let head = self.highest().and_then(|index| self.lines.get(index)?.front());
        head.map_or(Time::NEVER, |head| head.deadline)
    }

    /// Positions of those that may have been delivered before.
    pub(super) fn delivered_before(&self) -> Positions {
        let mut delivered: Vec<Position> = self
            .lines
            .iter()
            .flatten()
            .filter(|queued| queued.redelivered)
            .map(|queued| queued.position)
            .collect();
        delivered.sort_unstable();
        delivered.into_iter().collect()
    }

    /// Puts messages back at their positions, whatever order they come in.
    pub(super) fn put_back(&mut self, mut items: Vec<Queued>) {
        items.sort_unstable_by_key(|queued| queued.position);
        if self.lines.len() > 1 || items.len() <= INSERT_MAX {
            // Last first: mostly they all belong in front of everything.
            for queued in items.into_iter().rev() {
                self.insert(queued);
            }
            return;
        }
        for queued in &items {
            self.enter(queued);
        }
        let Some(line) = self.lines.first_mut() else {
            return;
        };
        let before_all = line
            .front()
            .is_none_or(|head| items.last().is_some_and(|last| last.position < head.position));
        items.extend(std::mem::take(line));
        if !before_all {
            // Two sorted runs, which a stable sort merges in one pass.
            items.sort_by_key(|queued| queued.position);
        }
        *line = items.into();
    }

    fn insert(&mut self, queued: Queued) {
        let index = self.enter(&queued);
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        if line.front().is_none_or(|head| queued.position < head.position) {
            line.push_front(queued);
        } else {
            let place = line.partition_point(|other| other.position < queued.position);
            line.insert(place, queued);
        }
    }

    /// Takes everything out, in delivery order.
    pub(super) fn clear(&mut self) -> Vec<Queued> {
        let mut all = Vec::with_capacity(self.len);
        for line in self.lines.iter_mut().rev() {
            all.extend(std::mem::take(line));
        }
        (self.occupied, self.len, self.bytes, self.deadlines) = ([0; 4], 0, 0, 0);
        all
    }

    /// Counts a message in and says which line it belongs to.
    #[inline]
    fn enter(&mut self, queued: &Queued) -> usize {
        self.len += 1;
        self.bytes += queued.message.body_size();
        self.deadlines += usize::from(queued.deadline != Time::NEVER);
        let index = match self.lines.len() {
            1 => 0,
            lines => usize::from(queued.message.traits().priority).min(lines - 1),
        };
        self.mark(index, true);
        index
    }

    #[inline]
    fn leave(&mut self, queued: &Queued) {
        self.len -= 1;
        self.bytes -= queued.message.body_size();
        self.deadlines -= usize::from(queued.deadline != Time::NEVER);
    }

    #[inline]
    fn mark(&mut self, line: usize, occupied: bool) {
        if let Some(word) = self.occupied.get_mut(line / 64) {
            let bit = 1 << (line % 64);
            *word = if occupied { *word | bit } else { *word & !bit };
        }
    }

    #[inline]
    fn highest(&self) -> Option<usize> {
        if self.lines.len() == 1 {
            return Some(0);
        }
        let (index, word) = self.occupied.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        Some(index * 64 + 63 - word.leading_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, Position, Traits};

    fn queued(position: u64, priority: u8, deadline: Time) -> Queued {
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0];
        let traits = Traits { priority, ..Traits::default() };
        let message =
            Message::with_inline_body(b"\0\x01q", &header, b"abc", traits, &mut Vec::new());
        Queued { message, position: Position(position), deadline, redelivered: false }
    }

    /// A queue with `x-max-priority` holding these, by position and priority.
    fn filled(max_priority: Option<u8>, messages: &[(u64, u8)]) -> Ready {
        let mut ready = Ready::new(max_priority);
        for (position, priority) in messages {
            ready.push(queued(*position, *priority, Time::NEVER));
        }
        ready
    }

    fn drained(ready: &mut Ready) -> Vec<u64> {
        std::iter::from_fn(|| ready.pop()).map(|queued| queued.position.0).collect()
    }

    #[test]
    fn first_in_first_out() {
        let mut ready = filled(None, &[(1, 9), (2, 0), (3, 5)]);
        assert_eq!((ready.len(), ready.bytes()), (3, 9));
        assert_eq!(drained(&mut ready), [1, 2, 3], "priorities mean nothing here");
        assert_eq!((ready.len(), ready.bytes()), (0, 0));
    }

    #[test]
    fn higher_priorities_first_and_those_beyond_the_highest_with_it() {
        let messages = [(1, 0), (2, 3), (3, 9), (4, 1), (5, 255), (6, 3)];
        assert_eq!(drained(&mut filled(Some(3), &messages)), [2, 3, 5, 6, 4, 1]);
        // `x-max-priority: 0` behaves as 1 (behaviour B5.6).
        assert_eq!(drained(&mut filled(Some(0), &messages)), [2, 3, 4, 5, 6, 1]);
    }

    #[test]
    fn every_one_of_255_priorities_is_found() {
        let messages: Vec<(u64, u8)> = (0..=255).map(|n| (u64::from(n) + 1, n)).collect();
        let mut ready = filled(Some(255), &messages);
        let expected: Vec<u64> = (1..=256).rev().collect();
        assert_eq!(drained(&mut ready), expected);
    }

    #[test]
    fn what_comes_back_finds_its_old_place() {
        for returned in [
            vec![1],
            vec![4, 1],
            vec![9],
            vec![1, 4, 6, 9],
            vec![9, 6, 4, 1],
            (10..60).rev().collect(),
            (1..60).step_by(2).filter(|n| ![3, 5, 7].contains(n)).collect(),
        ] {
            let mut ready = filled(None, &[(2, 0), (3, 0), (5, 0), (7, 0), (8, 0)]);
            let mut expected: Vec<u64> =
                [2, 3, 5, 7, 8].into_iter().chain(returned.clone()).collect();
            expected.sort_unstable();
            ready.put_back(returned.iter().map(|n| queued(*n, 0, Time::NEVER)).collect());
            assert_eq!(ready.len(), expected.len());
            assert_eq!(drained(&mut ready), expected, "{returned:?} came back");
        }
    }

    #[test]
    fn what_comes_back_finds_the_line_of_its_priority() {
        let mut ready = filled(Some(2), &[(2, 0), (4, 2), (6, 1)]);
        let back = (10..60).map(|n| queued(n, (n % 3) as u8, Time::NEVER));
        ready
            .put_back(back.chain([queued(1, 1, Time::NEVER), queued(3, 2, Time::NEVER)]).collect());
        let line = |priority: u64| (10..60).filter(move |n| n % 3 == priority);
        let expected: Vec<u64> = [3, 4]
            .into_iter()
            .chain(line(2))
            .chain([1, 6])
            .chain(line(1))
            .chain([2])
            .chain(line(0))
            .collect();
        assert_eq!(drained(&mut ready), expected);
    }

    #[test]
    fn only_the_head_is_asked_for_its_deadline() {
        let mut ready = filled(None, &[(1, 0)]);
        ready.push(queued(2, 0, Time(10)));
        assert!(!ready.head_expired(Time(99)), "the head never expires");
        ready.pop();
        assert!(!ready.head_expired(Time(9)));
        assert!(ready.head_expired(Time(10)));
        ready.pop();
        assert!(!ready.head_expired(Time(99)), "nothing is left");
    }

    #[test]
    fn clearing_leaves_nothing_behind() {
        let mut ready = filled(Some(4), &[(1, 1), (2, 4), (3, 1)]);
        ready.push(queued(4, 0, Time(1)));
        let all: Vec<u64> = ready.clear().iter().map(|queued| queued.position.0).collect();
        assert_eq!(all, [2, 1, 3, 4]);
        assert_eq!((ready.len(), ready.bytes()), (0, 0));
        assert!(ready.pop().is_none() && !ready.head_expired(Time(99)));
        ready.push(queued(5, 3, Time::NEVER));
        assert_eq!(drained(&mut ready), [5]);
    }
}
