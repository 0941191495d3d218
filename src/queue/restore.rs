//! What a queue gets back at the start of the broker, and what it has to remember of that while segments
//! from before lie on disk.

use std::collections::BTreeMap;

use super::Queue;
use super::ready::{LineIndex, line_of};
use super::state::State;
use crate::message::{Position, Positions, Queued};
use crate::storage::Segment;
use crate::storage::journal::RecoveredMessage;

/// What is to know of segments beside what is in them: mostly of those from before the last restart.
/// Ranges are sorted and do not overlap.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    /// These are not there any more.
    pub(super) settled: Vec<(u64, u64)>,
    /// Positions that may have been delivered before.
    pub(super) delivered: Vec<(u64, u64)>,
    /// And how often they came back.
    pub(super) returned: Vec<(u64, u64, u32)>,
}

/// What a queue gets back at the start of the broker, in the order of positions.
#[derive(Debug, Default)]
pub struct Restored {
    pub messages: Vec<RecoveredMessage>,
    /// The figures are those of what is still there.
    pub segments: Vec<Segment>,
    /// Of what is in segments: settled positions, and such as may have been delivered before.
    pub settled: Vec<(u64, u64)>,
    pub delivered: Vec<(u64, u64)>,
    /// Of any of them: positions, first and last, and how often they came back.
    pub returned: Vec<(u64, u64, u32)>,
    pub next_position: u64,
}

impl Restored {
    /// Takes out the segments that cannot wait on disk: those with messages behind them, in their line,
    /// that are in memory and stand before a later segment.
    fn take_early(&mut self) -> Vec<Segment> {
        let mut last_first: BTreeMap<LineIndex, Position> = BTreeMap::new();
        for segment in &self.segments {
            let first = last_first.entry(line_of(segment.last)).or_default();
            *first = segment.first.max(*first);
        }
        let mut between: BTreeMap<LineIndex, Position> = BTreeMap::new();
        for RecoveredMessage { position, .. } in &self.messages {
            if last_first.get(&line_of(*position)).is_some_and(|first| position < first) {
                let furthest = between.entry(line_of(*position)).or_default();
                *furthest = (*position).max(*furthest);
            }
        }
        let is_early = |segment: &mut Segment| {
            between.get(&line_of(segment.last)).is_some_and(|furthest| segment.first < *furthest)
        };
        self.segments.extract_if(.., is_early).collect()
    }
}

impl Queue {
    /// Reads, at the start of the broker, what cannot wait on disk. What cannot be read is reported, and
    /// stays where it is.
    pub(super) fn read_early(&self, restored: &mut Restored) -> Vec<(Segment, Vec<Queued>)> {
        let Some(paging) = &self.paging else { return Vec::new() };
        let mut early = Vec::new();
        for segment in restored.take_early() {
            match paging.pager.read_now(&segment) {
                Ok(messages) => early.push((segment, messages)),
                Err(error) => {
                    tracing::error!(queue = %self.name, %error, "a segment could not be read");
                }
            }
        }
        early
    }
}

impl State {
    /// Takes in segments whose messages are in memory from the start.
    pub(super) fn open_early(
        &mut self,
        queue: &Queue,
        early: Vec<(Segment, Vec<Queued>)>,
        all: &mut Vec<Queued>,
    ) {
        for (segment, messages) in early {
            let messages = self.still_there(&segment, messages);
            if let Some(open) = queue.open_segments() {
                open.opened(&segment, messages.iter().map(|queued| queued.position));
            }
            all.extend(messages);
        }
        all.sort_by_key(|queued| queued.position);
    }

    /// Some messages of a segment may have left one by one. Of one from before the last restart others
    /// may be settled, and transient ones are gone (behaviour B12.2).
    pub(super) fn still_there(&self, segment: &Segment, mut messages: Vec<Queued>) -> Vec<Queued> {
        let leftover = self.leftover.as_deref();
        if let Some(left) = leftover {
            messages.retain(|queued| !within(&left.settled, queued.position));
        }
        if segment.recovered {
            messages.retain(|queued| queued.kept);
            for queued in &mut messages {
                queued.redelivered |=
                    leftover.is_some_and(|left| within(&left.delivered, queued.position));
                // The segment has what was counted before it was written.
                let counted = leftover.map_or(0, |left| count_at(&left.returned, queued.position));
                queued.delivery_count = queued.delivery_count.max(counted);
            }
        }
        messages
    }

    /// Positions that may have been delivered before: of messages in memory, and of what a restart left
    /// on disk.
    pub(super) fn delivered_before(&self) -> Positions {
        let mut delivered = self.ready.delivered_before();
        let Some(leftover) = &self.leftover else { return delivered };
        for segment in self.ready.segments().filter(|segment| segment.recovered) {
            for (first, last) in &leftover.delivered {
                let (first, last) = (segment.first.0.max(*first), segment.last.0.min(*last));
                if first <= last {
                    delivered.add(Position(first), Position(last));
                }
            }
        }
        delivered
    }
}

impl State {
    /// How often messages have come back, as far as a segment does not say: positions, first and last,
    /// in order, and how often.
    pub(super) fn delivery_counts(&self) -> Vec<(Position, Position, u32)> {
        let mut counts = self.ready.delivery_counts();
        let Some(leftover) = &self.leftover else { return counts };
        for segment in self.ready.segments().filter(|segment| segment.recovered) {
            for (first, last, count) in &leftover.returned {
                let (first, last) = (segment.first.0.max(*first), segment.last.0.min(*last));
                if first <= last {
                    counts.push((Position(first), Position(last), *count));
                }
            }
        }
        counts.sort_unstable();
        counts
    }
}

impl Leftover {
    /// A message has left from the middle of a segment. It was there until now.
    pub(super) fn gone(&mut self, position: Position) {
        let Position(at) = position;
        let next = self.settled.partition_point(|(_, last)| *last < at);
        let joins_next = self.settled.get(next).is_some_and(|(first, _)| *first == at + 1);
        let previous = next.checked_sub(1).and_then(|index| self.settled.get_mut(index));
        match previous.filter(|(_, last)| last.checked_add(1) == Some(at)) {
            Some(previous) if !joins_next => previous.1 = at,
            Some(_) => {
                let (_, last) = self.settled.remove(next);
                if let Some(previous) = self.settled.get_mut(next - 1) {
                    previous.1 = last;
                }
            }
            None if joins_next => {
                if let Some(next) = self.settled.get_mut(next) {
                    next.0 = at;
                }
            }
            None => self.settled.insert(next, (at, at)),
        }
    }
}

/// How often the message at a position came back, by ranges that are sorted and do not overlap.
pub(super) fn count_at(ranges: &[(u64, u64, u32)], position: Position) -> u32 {
    let index = ranges.partition_point(|(_, last, _)| *last < position.0);
    let range = ranges.get(index).filter(|(first, ..)| *first <= position.0);
    range.map_or(0, |(_, _, count)| *count)
}

/// Whether one of the ranges, which are sorted and do not overlap, holds a position.
pub fn within(ranges: &[(u64, u64)], position: Position) -> bool {
    let index = ranges.partition_point(|(_, last)| *last < position.0);
    ranges.get(index).is_some_and(|(first, _)| *first <= position.0)
}
