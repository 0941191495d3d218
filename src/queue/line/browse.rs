//! Looking along a line, and taking single messages out of the middle of it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Deep, Line, cost, cost_of};
use crate::message::{Position, Queued};
use crate::queue::within;
use crate::storage::Segment;

/// What stands behind a position in a line.
pub(in crate::queue) enum Behind<'a> {
    Message(&'a Queued),
    Segment(&'a Segment),
}

impl Line {
    /// What comes after a position, in order.
    pub(in crate::queue) fn behind(&self, after: Position) -> impl Iterator<Item = Behind<'_>> {
        let deep = self.deep.as_deref();
        let segments = deep.into_iter().flat_map(|deep| &deep.segments);
        let writing = deep.into_iter().flat_map(|deep| deep.writing.iter().flatten());
        let tail = deep.into_iter().flat_map(move |deep| behind(&deep.tail, after));
        let segments = segments.filter(move |segment| segment.last > after).map(Behind::Segment);
        let writing = writing.flat_map(move |batch| {
            let from = batch.partition_point(|queued| queued.position <= after);
            batch.get(from..).unwrap_or_default()
        });
        let messages = behind(&self.head, after).map(Behind::Message);
        messages.chain(segments).chain(writing.chain(tail).map(Behind::Message))
    }

    /// Takes out what is in memory at these positions, in order, and says which segments hold others
    /// of them. `wanted` is sorted.
    pub(in crate::queue) fn take(
        &mut self,
        wanted: &[(u64, u64)],
        taken: &mut Vec<Queued>,
    ) -> Vec<Segment> {
        let before = taken.len();
        take_from(&mut self.head, wanted, taken);
        self.head_cost -= cost_of(taken.get(before..).unwrap_or_default());
        let mut on_disk = Vec::new();
        if let Some(deep) = &mut self.deep {
            let holds_any = |segment: &&Segment| overlap(wanted, segment.first, segment.last);
            on_disk.extend(deep.segments.iter().filter(holds_any).cloned());
            let mut writing = deep.writing.iter().flatten().flat_map(|batch| batch.iter());
            if writing.any(|queued| within(wanted, queued.position)) {
                deep.take_back();
            }
            let before = taken.len();
            take_from(&mut deep.tail, wanted, taken);
            deep.tail_cost -= cost_of(taken.get(before..).unwrap_or_default());
        }
        self.settle_down();
        on_disk
    }

    /// The record of a segment that waits to be read or is being read.
    pub(in crate::queue) fn segment_mut(&mut self, number: u64) -> Option<&mut Segment> {
        let mut segments = self.deep.as_mut()?.segments.iter_mut();
        segments.find(|segment| segment.number == number)
    }
}

impl Deep {
    /// Puts what is being written at the beginning of the tail again. The files are of no use then.
    pub(super) fn take_back(&mut self) {
        let batches = self.writing.iter_mut().filter_map(Option::take);
        let mut tail: VecDeque<Queued> = batches.flat_map(Arc::unwrap_or_clone).collect();
        self.tail_cost += tail.iter().map(cost).sum::<usize>();
        tail.append(&mut self.tail);
        self.tail = tail;
    }
}

fn behind(messages: &VecDeque<Queued>, after: Position) -> impl Iterator<Item = &Queued> {
    let from = messages.partition_point(|queued| queued.position <= after);
    messages.range(from..)
}

fn take_from(messages: &mut VecDeque<Queued>, wanted: &[(u64, u64)], taken: &mut Vec<Queued>) {
    let (Some(first), Some(last)) = (messages.front(), messages.back()) else { return };
    if !overlap(wanted, first.position, last.position) {
        return;
    }
    messages.retain(|queued| {
        let is_wanted = within(wanted, queued.position);
        if is_wanted {
            taken.push(queued.clone());
        }
        !is_wanted
    });
}

/// Whether any of the sorted ranges reaches into this one.
fn overlap(ranges: &[(u64, u64)], first: Position, last: Position) -> bool {
    let index = ranges.partition_point(|(_, end)| *end < first.0);
    ranges.get(index).is_some_and(|(start, _)| *start <= last.0)
}
