//! One line of waiting messages, of which the middle may lie on disk.
//!
//! ```text
//!   out ◀── head ── segments on disk ── being written ── tail ◀── in
//!          (memory)                       (memory)      (memory)
//! ```
//!
//! Positions rise from left to right. A short line is all head. One that outgrows its budget has what
//! comes after written out, a segment at a time; when the head runs low, the oldest segment is read
//! back before it is missed. So memory does not grow with depth: a segment costs a few words here,
//! whatever it holds.
//!
//! Nothing in here waits. [`Line::next_write`] and [`Line::next_read`] say what the pager should do,
//! and [`Line::written`] and [`Line::read`] take the results, whenever they come.

mod browse;

use std::collections::VecDeque;
use std::sync::Arc;

pub(super) use self::browse::Behind;

use crate::message::Queued;
use crate::storage::Segment;

/// More returned messages than this are merged in one pass instead of being inserted one by one.
const INSERT_MAX: usize = 16;

/// What a message costs in memory beside its own bytes, about.
const OVERHEAD: usize = 64;

/// How much of a line stays in memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// In the head, before newer messages are taken for the tail.
    pub head: usize,
    /// What makes a segment.
    pub segment: usize,
}

impl Budget {
    /// Everything stays in memory.
    pub const UNLIMITED: Self = Self { head: usize::MAX, segment: usize::MAX };

    /// With so many bytes in the head. Larger segments than these are not quicker.
    pub fn of(head: usize) -> Self {
        Self { head, segment: (head / 2).min(2 << 20) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Line {
    head: VecDeque<Queued>,
    head_cost: usize,
    /// What lies behind the head, for a line that has outgrown it.
    deep: Option<Box<Deep>>,
}

#[derive(Debug, Default)]
struct Deep {
    segments: VecDeque<Segment>,
    /// The first segment is being read.
    reading: bool,
    /// Handed to the pager and not known to be written, oldest first; `None` for what was taken back
    /// meanwhile or cleared.
    writing: VecDeque<Option<Arc<Vec<Queued>>>>,
    tail: VecDeque<Queued>,
    tail_cost: usize,
}

/// What became of a segment that was written.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    /// It stands for its messages now.
    Kept,
    /// They are needed no more, or in memory again.
    Unneeded,
}

#[inline]
fn cost(queued: &Queued) -> usize {
    queued.message.weight() + OVERHEAD
}

fn cost_of<'a>(messages: impl IntoIterator<Item = &'a Queued>) -> usize {
    messages.into_iter().map(cost).sum()
}

impl Line {
    /// Nothing in memory comes next: there is nothing at all, or it is on its way from disk.
    #[inline]
    pub(super) fn front(&self) -> Option<&Queued> {
        self.head.front()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.deep.is_none()
    }

    /// There is something behind the head that the pager may have to do with.
    #[inline]
    pub(super) fn is_deep(&self) -> bool {
        self.deep.is_some()
    }

    #[inline]
    pub(super) fn push(&mut self, queued: Queued, budget: Budget) {
        let cost = cost(&queued);
        if self.deep.is_none() && self.head_cost < budget.head {
            self.head_cost += cost;
            self.head.push_back(queued);
            return;
        }
        self.push_deep(queued, cost);
    }

    fn push_deep(&mut self, queued: Queued, cost: usize) {
        let deep = self.deep.get_or_insert_default();
        deep.tail_cost += cost;
        deep.tail.push_back(queued);
        if self.head.is_empty() {
            self.move_up();
        }
    }

    /// `None` when nothing is there, or when what comes next is still on its way from disk.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let queued = self.head.pop_front()?;
        self.head_cost -= cost(&queued);
        if self.head.is_empty() {
            self.move_up();
        }
        Some(queued)
    }

    /// The head is used up: what is in memory behind it moves up, unless disk comes first.
    fn move_up(&mut self) {
        if self.head.capacity() > 4096 {
            // A long backlog is over: give its memory back.
            self.head = VecDeque::new();
        }
        let Some(deep) = &mut self.deep else { return };
        if !deep.segments.is_empty() {
            return;
        }
        if let Some(batch) = deep.writing.iter_mut().find_map(Option::take) {
            // The consumers caught up with the writer: no need to read it back.
            self.head = Arc::unwrap_or_clone(batch).into();
            self.head_cost = cost_of(&self.head);
            return;
        }
        self.head = std::mem::take(&mut deep.tail);
        self.head_cost = std::mem::take(&mut deep.tail_cost);
        if deep.writing.is_empty() {
            self.deep = None;
        }
    }

    /// Puts messages back at their positions; they are sorted. They left from the front, so they
    /// belong in front of everything that is not in the head.
    pub(super) fn put_back(&mut self, items: Vec<Queued>) {
        self.head_cost += cost_of(&items);
        let before_all = match (items.last(), self.head.front()) {
            (Some(last), Some(front)) => last.position < front.position,
            _ => true,
        };
        if before_all {
            self.head.reserve(items.len());
            items.into_iter().rev().for_each(|queued| self.head.push_front(queued));
        } else if items.len() <= INSERT_MAX {
            for queued in items {
                let place = self.head.partition_point(|other| other.position < queued.position);
                self.head.insert(place, queued);
            }
        } else {
            // Two sorted runs, which a stable sort merges in one pass.
            let mut all: Vec<Queued> = std::mem::take(&mut self.head).into();
            all.extend(items);
            all.sort_by_key(|queued| queued.position);
            self.head = all.into();
        }
    }

    /// What the pager should write now, if anything: the oldest of the tail, once the tail makes a segment
    /// and is larger than `patience`.
    pub(super) fn next_write(
        &mut self,
        budget: Budget,
        patience: usize,
    ) -> Option<Arc<Vec<Queued>>> {
        let deep = self.deep.as_mut()?;
        if deep.tail_cost < budget.segment.max(patience) {
            return None;
        }
        let mut bytes = 0;
        let is_full = |queued: &Queued| {
            bytes += cost(queued);
            bytes >= budget.segment
        };
        let count = deep.tail.iter().position(is_full).map_or(deep.tail.len(), |last| last + 1);
        let batch: Vec<Queued> = if count == deep.tail.len() {
            std::mem::take(&mut deep.tail).into()
        } else {
            deep.tail.drain(..count).collect()
        };
        deep.tail_cost -= bytes;
        let batch = Arc::new(batch);
        deep.writing.push_back(Some(Arc::clone(&batch)));
        Some(batch)
    }

    /// Bytes that could be written.
    pub(super) fn tail_cost(&self) -> usize {
        self.deep.as_ref().map_or(0, |deep| deep.tail_cost)
    }

    /// The pager is done with the oldest of what [`next_write`](Self::next_write) gave it; `None` when it
    /// failed.
    pub(super) fn written(&mut self, segment: Option<Segment>) -> Written {
        let Some(deep) = &mut self.deep else { return Written::Unneeded };
        let written = match (deep.writing.pop_front().flatten(), segment) {
            (None, _) => Written::Unneeded,
            (Some(_), Some(segment)) => {
                deep.segments.push_back(segment);
                Written::Kept
            }
            (Some(batch), None) => {
                // With what is behind it, since order is kept.
                deep.take_back();
                deep.tail_cost += cost_of(batch.iter());
                let mut tail = VecDeque::from(Arc::unwrap_or_clone(batch));
                tail.append(&mut deep.tail);
                deep.tail = tail;
                Written::Unneeded
            }
        };
        self.settle_down();
        written
    }

    /// The segment the pager should read now, if any: the first one, when the head runs low.
    pub(super) fn next_read(&mut self, budget: Budget) -> Option<Segment> {
        let is_low = self.head_cost < budget.segment;
        let deep = self.deep.as_mut()?;
        let first = deep.segments.front().filter(|_| !deep.reading && is_low)?;
        deep.reading = true;
        Some(first.clone())
    }

    /// Takes the first segment out, if it is this one and was being read: its messages are here and will
    /// be [appended](Self::append). `None` when the line was cleared meanwhile.
    pub(super) fn take_read(&mut self, number: u64) -> Option<Segment> {
        let deep = self.deep.as_mut()?;
        deep.segments.front().filter(|first| first.number == number)?;
        deep.reading = false;
        deep.segments.pop_front()
    }

    /// The messages of the segment that was taken out.
    pub(super) fn append(&mut self, messages: Vec<Queued>) {
        self.head_cost += cost_of(&messages);
        self.head.extend(messages);
        self.settle_down();
    }

    /// After a change anywhere: the head is not empty while there is something in memory to fill it with, and
    /// nothing is deep that need not be.
    fn settle_down(&mut self) {
        if self.head.is_empty() {
            self.move_up();
        } else if self.deep.as_ref().is_some_and(|deep| deep.is_over()) {
            self.deep = None;
        }
    }

    /// What is in memory, in order.
    pub(super) fn resident(&self) -> impl Iterator<Item = &Queued> {
        let deep = self.deep.as_deref();
        let writing = deep.into_iter().flat_map(|deep| deep.writing.iter().flatten());
        let tail = deep.into_iter().flat_map(|deep| &deep.tail);
        self.head.iter().chain(writing.flat_map(|batch| batch.iter())).chain(tail)
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.deep.iter().flat_map(|deep| &deep.segments)
    }

    /// Takes everything out: what is in memory, in delivery order, and the segments.
    pub(super) fn clear(&mut self, messages: &mut Vec<Queued>, segments: &mut Vec<Segment>) {
        let Self { head, deep, .. } = std::mem::take(self);
        messages.extend(head);
        let Some(mut deep) = deep else { return };
        for batch in deep.writing.iter_mut().filter_map(Option::take) {
            messages.extend(batch.iter().cloned());
        }
        messages.extend(deep.tail);
        segments.extend(deep.segments);
        if !deep.writing.is_empty() {
            // The pager will say that it is done.
            let writing = deep.writing;
            self.deep = Some(Box::new(Deep { writing, ..Deep::default() }));
        }
    }

    /// Fills an empty line at the start of the broker: segments, and messages that stand before the first
    /// or behind the last of them.
    pub(super) fn restore(
        &mut self,
        segments: Vec<Segment>,
        messages: Vec<Queued>,
        budget: Budget,
    ) {
        let first = segments.first().map(|segment| segment.first);
        if !segments.is_empty() {
            self.deep = Some(Box::new(Deep { segments: segments.into(), ..Deep::default() }));
        }
        for queued in messages {
            if first.is_some_and(|first| queued.position < first) {
                self.head_cost += cost(&queued);
                self.head.push_back(queued);
            } else {
                self.push(queued, budget);
            }
        }
    }
}

impl Deep {
    fn is_over(&self) -> bool {
        self.segments.is_empty() && self.writing.is_empty() && self.tail.is_empty()
    }
}

#[cfg(test)]
mod tests;
