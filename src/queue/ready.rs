//! The messages that wait for a consumer, in the order in which they will be delivered.

use std::collections::VecDeque;

use crate::message::Queued;
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
