//! The messages that wait for a consumer, in the order in which they will be delivered.

mod browse;

use std::collections::VecDeque;
use std::sync::Arc;

use super::line::{Budget, Line, Written};
use super::since::Since;
use crate::message::{Message, Position, Positions, Queued};
use crate::storage::{Figures, Segment};
use crate::time::Time;

/// A position says in its highest bits which line it belongs to, so that the positions of one line are
/// ranges whatever stands in the others.
const LINE_SHIFT: u32 = 56;

/// No line is given less than this, however many there are.
const LINE_BYTES_MIN: usize = 64 * 1024;

/// First in, first out; with `x-max-priority`, one such line per priority (behaviour B8.10). Within a
/// line messages stand by position, so a requeued one finds its old place (behaviour B6.13).
#[derive(Debug)]
pub(super) struct Ready {
    /// One line, or `x-max-priority` + 1 of them, lowest priority first, and the position that each
    /// gives next.
    lines: Vec<(Line, u64)>,
    /// Bit p of word p/64: line p is not empty. The highest set bit is found in four steps, so 255
    /// priorities cost what one does.
    occupied: [u64; 4],
    /// Of everything, on disk too. While there are no deadlines nobody looks at the time.
    figures: Figures,
    /// Of what lies on disk alone.
    on_disk: Figures,
    /// When messages came in, by line; fewer than lines where nothing ever came.
    since: Vec<Since>,
    budget: Budget,
    /// Lines that have outgrown their budget.
    deep: usize,
    quorum: Option<Box<Quorum>>,
}

/// The order of a quorum queue: 32 priorities, and what came back before them all, in the order in which
/// it came back, so that a message that fails is through with its attempts soon (behaviour B6.13,
/// B8.10). Where attempts have no limit, it goes to the tail: a message that fails for ever holds up
/// nobody.
#[derive(Debug)]
struct Quorum {
    returned_first: bool,
    /// Never more than clients had in their hands at a time.
    returned: VecDeque<Queued>,
}

/// The priorities of a quorum queue.
const QUORUM_PRIORITIES: usize = 32;

/// Of a message without a priority.
const QUORUM_PRIORITY_DEFAULT: u8 = 4;

/// Which of the lines.
pub(super) type LineIndex = usize;

/// Which line gave this position.
pub(super) fn line_of(position: Position) -> LineIndex {
    (position.0 >> LINE_SHIFT) as usize
}

impl Ready {
    pub(super) fn new(max_priority: Option<u8>, budget: Budget) -> Self {
        // `x-max-priority: 0` behaves as 1 (behaviour B5.6).
        Self::with_lines(max_priority.map_or(1, |max| usize::from(max.max(1)) + 1), budget)
    }

    /// Of a quorum queue. `returned_first`: there is a limit to how often a message may come back.
    pub(super) fn quorum(returned_first: bool, budget: Budget) -> Self {
        let quorum = Some(Box::new(Quorum { returned_first, returned: VecDeque::new() }));
        Self { quorum, ..Self::with_lines(QUORUM_PRIORITIES, budget) }
    }

    fn with_lines(lines: usize, budget: Budget) -> Self {
        let share = |bytes: usize| (bytes / lines).max(LINE_BYTES_MIN).min(bytes);
        let line = |index| (Line::default(), ((index as u64) << LINE_SHIFT) + 1);
        Self {
            lines: (0..lines).map(line).collect(),
            occupied: [0; 4],
            figures: Figures::default(),
            on_disk: Figures::default(),
            since: Vec::new(),
            budget: Budget { head: share(budget.head), segment: share(budget.segment) },
            deep: 0,
            quorum: None,
        }
    }

    /// Of a quorum queue: what comes back from now on goes before the others or not.
    pub(super) fn set_returned_first(&mut self, returned_first: bool) {
        if let Some(quorum) = &mut self.quorum {
            quorum.returned_first = returned_first;
        }
    }

    /// What comes back goes behind the others.
    pub(super) fn returned_last(&self) -> bool {
        self.quorum.as_ref().is_some_and(|quorum| !quorum.returned_first)
    }

    /// How many there are, on disk too.
    pub(super) fn len(&self) -> usize {
        self.figures.messages
    }

    /// Body bytes.
    pub(super) fn bytes(&self) -> usize {
        self.figures.bytes
    }

    pub(super) fn figures(&self) -> Figures {
        self.figures
    }

    pub(super) fn on_disk(&self) -> Figures {
        self.on_disk
    }

    /// What is pushed from here on came in now.
    #[inline]
    pub(super) fn note_time(&mut self, now: Time) {
        if self.since.len() < self.lines.len() {
            self.since.resize_with(self.lines.len(), Since::default);
        }
        for (since, (line, next)) in self.since.iter_mut().zip(&self.lines) {
            since.note(Position(*next), now, line.front().map(|head| head.position));
        }
    }

    /// When the message at a position came in, about.
    #[inline]
    pub(super) fn since(&self, position: Position) -> Option<Time> {
        self.since.get(self.line_at(position))?.of(position)
    }

    /// Gives the next message its position.
    #[inline]
    pub(super) fn next_position(&mut self, message: &Message) -> Position {
        let index = self.line_of(message);
        let Some((_, next)) = self.lines.get_mut(index) else { return Position::NOWHERE };
        let position = Position(*next);
        *next += 1;
        position
    }

    #[inline]
    fn line_of(&self, message: &Message) -> LineIndex {
        match self.lines.len() {
            1 => 0,
            lines => usize::from(self.priority_of(message)).min(lines - 1),
        }
    }

    fn priority_of(&self, message: &Message) -> u8 {
        let traits = message.traits();
        match traits.has_priority || self.quorum.is_none() {
            true => traits.priority,
            false => QUORUM_PRIORITY_DEFAULT,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, queued: Queued) {
        let index = self.enter(&queued);
        let budget = self.budget;
        if let Some((line, _)) = self.lines.get_mut(index) {
            let was_deep = line.is_deep();
            line.push(queued, budget);
            self.deep += usize::from(line.is_deep() && !was_deep);
        }
    }

    /// `None` when nothing is there, or when what comes next is still on its way from disk.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Queued> {
        if let Some(quorum) = &mut self.quorum
            && let Some(queued) = quorum.returned.pop_front()
        {
            self.figures.remove(&queued);
            return Some(queued);
        }
        let index = self.highest()?;
        let (line, _) = self.lines.get_mut(index)?;
        let was_deep = line.is_deep();
        let queued = line.pop()?;
        self.deep -= usize::from(was_deep && !line.is_deep());
        if line.is_empty() {
            self.mark(index, false);
        }
        self.figures.remove(&queued);
        Some(queued)
    }

    /// A message could be taken now.
    #[inline]
    pub(super) fn has_front(&self) -> bool {
        self.front().is_some()
    }

    /// There are messages, and the next one is on its way from disk.
    pub(super) fn is_waiting(&self) -> bool {
        self.len() > 0 && !self.has_front()
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&Queued> {
        if let Some(quorum) = &self.quorum
            && let Some(first) = quorum.returned.front()
        {
            return Some(first);
        }
        self.lines.get(self.highest()?)?.0.front()
    }

    /// The head has expired at `now`. Only the head is ever asked (behaviour B8.1).
    #[inline]
    pub(super) fn head_expired(&self, now: Time) -> bool {
        self.has_deadlines() && self.front().is_some_and(|head| head.deadline <= now)
    }

    /// Something has a deadline, at the head or behind it.
    #[inline]
    pub(super) fn has_deadlines(&self) -> bool {
        self.figures.deadlines > 0
    }

    /// When the head expires; a deadline behind it does not count yet.
    pub(super) fn head_deadline(&self) -> Time {
        self.front().map_or(Time::NEVER, |head| head.deadline)
    }

    /// Positions of those in memory that may have been delivered before.
    pub(super) fn delivered_before(&self) -> Positions {
        let delivered =
            self.resident().filter(|queued| queued.redelivered).map(|queued| queued.position);
        let mut delivered: Vec<Position> = delivered.collect();
        delivered.sort_unstable();
        delivered.into_iter().collect()
    }

    /// Everything in memory.
    fn resident(&self) -> impl Iterator<Item = &Queued> {
        let returned = self.quorum.iter().flat_map(|quorum| &quorum.returned);
        returned.chain(self.lines.iter().flat_map(|(line, _)| line.resident()))
    }

    /// How often messages in memory have come back, by position.
    pub(super) fn delivery_counts(&self) -> Vec<(Position, Position, u32)> {
        let returned = self.resident().filter(|queued| queued.delivery_count > 0);
        let mut all: Vec<_> =
            returned.map(|queued| (queued.position, queued.delivery_count)).collect();
        all.sort_unstable();
        let mut counts: Vec<(Position, Position, u32)> = Vec::new();
        for (position, count) in all {
            match counts.last_mut() {
                Some((_, last, known)) if last.0 + 1 == position.0 && *known == count => {
                    *last = position;
                }
                _ => counts.push((position, position, count)),
            }
        }
        counts
    }

    /// Takes what came back and goes before the others.
    fn take_returned(&mut self, items: &mut Vec<Queued>) {
        let Some(quorum) = self.quorum.as_mut().filter(|quorum| quorum.returned_first) else {
            return;
        };
        for queued in items.extract_if(.., |queued| queued.delivery_count > 0) {
            self.figures.add(&queued);
            quorum.returned.push_back(queued);
        }
    }

    /// Segments that wait to be read, in the order of their positions.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.lines.iter().flat_map(|(line, _)| line.segments())
    }

    /// Puts messages back at their positions, whatever order they come in.
    pub(super) fn put_back(&mut self, mut items: Vec<Queued>) {
        self.take_returned(&mut items);
        items.sort_unstable_by_key(|queued| (self.line_of(&queued.message), queued.position));
        for queued in &items {
            self.enter(queued);
        }
        if let [(line, _)] = &mut self.lines[..] {
            return line.put_back(items);
        }
        while let Some(first) = items.first() {
            let index = self.line_of(&first.message);
            let others = items.partition_point(|queued| self.line_of(&queued.message) <= index);
            let rest = items.split_off(others.max(1));
            if let Some((line, _)) = self.lines.get_mut(index) {
                line.put_back(std::mem::replace(&mut items, rest));
            }
        }
    }

    /// Takes everything out: what is in memory, in delivery order, and the segments.
    pub(super) fn clear(&mut self) -> (Vec<Queued>, Vec<Segment>) {
        let (mut messages, mut segments) = (Vec::new(), Vec::new());
        if let Some(quorum) = &mut self.quorum {
            messages.extend(std::mem::take(&mut quorum.returned));
        }
        for (line, _) in self.lines.iter_mut().rev() {
            line.clear(&mut messages, &mut segments);
        }
        (self.occupied, self.figures) = ([0; 4], Figures::default());
        self.on_disk = Figures::default();
        self.deep = self.lines.iter().filter(|(line, _)| line.is_deep()).count();
        (messages, segments)
    }

    /// Counts a message in and says which line it belongs to.
    #[inline]
    fn enter(&mut self, queued: &Queued) -> LineIndex {
        self.figures.add(queued);
        let index = self.line_of(&queued.message);
        self.mark(index, true);
        index
    }

    #[inline]
    fn mark(&mut self, line: LineIndex, occupied: bool) {
        if let Some(word) = self.occupied.get_mut(line / 64) {
            let bit = 1 << (line % 64);
            *word = if occupied { *word | bit } else { *word & !bit };
        }
    }

    #[inline]
    fn highest(&self) -> Option<LineIndex> {
        if self.lines.len() == 1 {
            return Some(0);
        }
        let (index, word) = self.occupied.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        Some(index * 64 + 63 - word.leading_zeros() as usize)
    }
}

/// What has to do with the pager.
impl Ready {
    /// Some line has outgrown its budget.
    #[inline]
    pub(super) fn is_deep(&self) -> bool {
        self.deep > 0
    }

    pub(super) fn next_write(&mut self, patience: usize) -> Option<(LineIndex, Arc<Vec<Queued>>)> {
        let (budget, patience) = (self.budget, patience / self.lines.len().max(1));
        let mut lines = self.lines.iter_mut().enumerate();
        lines.find_map(|(index, (line, _))| Some((index, line.next_write(budget, patience)?)))
    }

    /// Bytes that could be written.
    pub(super) fn tail_cost(&self) -> usize {
        self.lines.iter().map(|(line, _)| line.tail_cost()).sum()
    }

    pub(super) fn next_read(&mut self) -> Option<(LineIndex, Segment)> {
        let budget = self.budget;
        let mut lines = self.lines.iter_mut().enumerate().rev();
        lines.find_map(|(index, (line, _))| Some((index, line.next_read(budget)?)))
    }

    pub(super) fn written(&mut self, index: LineIndex, segment: Option<Segment>) -> Written {
        let figures = segment.as_ref().map(|segment| segment.figures).unwrap_or_default();
        let change = |line: &mut Line| line.written(segment);
        let written = self.change(index, change).unwrap_or(Written::Unneeded);
        if written == Written::Kept {
            self.on_disk.add_all(figures);
        }
        written
    }

    /// Takes out the segment that was read, and hands over what is on record of it. `None` when nobody
    /// waits for it any more.
    pub(super) fn take_read(&mut self, index: LineIndex, number: u64) -> Option<Segment> {
        let segment = self.lines.get_mut(index)?.0.take_read(number)?;
        self.figures.remove_all(segment.figures);
        self.on_disk.remove_all(segment.figures);
        Some(segment)
    }

    /// The messages of the segment that was taken out.
    pub(super) fn append(&mut self, index: LineIndex, messages: Vec<Queued>) {
        messages.iter().for_each(|queued| self.figures.add(queued));
        self.change(index, |line| line.append(messages));
    }

    /// Fills an empty queue: segments and messages, both in the order of their positions.
    pub(super) fn restore(&mut self, segments: Vec<Segment>, mut messages: Vec<Queued>) {
        messages.iter().for_each(|queued| self.passed(queued.position));
        self.take_returned(&mut messages);
        let mut shares: Vec<(Vec<Segment>, Vec<Queued>)> = Vec::new();
        shares.resize_with(self.lines.len(), Default::default);
        for segment in segments {
            let index = self.line_at(segment.last);
            self.passed(segment.last);
            self.figures.add_all(segment.figures);
            self.on_disk.add_all(segment.figures);
            if let Some((segments, _)) = shares.get_mut(index) {
                segments.push(segment);
            }
        }
        for queued in messages {
            let index = self.line_of(&queued.message);
            self.figures.add(&queued);
            if let Some((_, messages)) = shares.get_mut(index) {
                messages.push(queued);
            }
        }
        let budget = self.budget;
        for (index, (segments, messages)) in shares.into_iter().enumerate() {
            self.change(index, |line| line.restore(segments, messages, budget));
        }
    }

    /// Positions up to this one have been given.
    pub(super) fn passed(&mut self, position: Position) {
        let index = self.line_at(position);
        if let Some((_, next)) = self.lines.get_mut(index) {
            *next = (*next).max(position.0.saturating_add(1));
        }
    }

    fn line_at(&self, position: Position) -> LineIndex {
        match self.lines.len() {
            1 => 0,
            lines => line_of(position).min(lines - 1),
        }
    }

    fn change<R>(&mut self, index: LineIndex, change: impl FnOnce(&mut Line) -> R) -> Option<R> {
        let (line, _) = self.lines.get_mut(index)?;
        let was_deep = line.is_deep();
        let result = change(line);
        let (is_deep, is_empty) = (line.is_deep(), line.is_empty());
        self.deep = self.deep + usize::from(is_deep) - usize::from(was_deep);
        self.mark(index, !is_empty);
        Some(result)
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
        let (position, redelivered, kept, delivery_count) = (Position(position), false, false, 0);
        Queued { message, position, deadline, redelivered, kept, delivery_count }
    }

    /// A queue with `x-max-priority` holding these, by position and priority.
    fn filled(max_priority: Option<u8>, messages: &[(u64, u8)]) -> Ready {
        let mut ready = Ready::new(max_priority, Budget::UNLIMITED);
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
        let all: Vec<u64> = ready.clear().0.iter().map(|queued| queued.position.0).collect();
        assert_eq!(all, [2, 1, 3, 4]);
        assert_eq!((ready.len(), ready.bytes()), (0, 0));
        assert!(ready.pop().is_none() && !ready.head_expired(Time(99)));
        ready.push(queued(5, 3, Time::NEVER));
        assert_eq!(drained(&mut ready), [5]);
    }
}
