//! The messages of a stream, oldest first.
//!
//! ```text
//!  retention ◀── part ── part ── part ── … ── part ── tail ◀── in
//!                (disk)  (disk, and in memory   (being   (memory)
//!                         while it is read)      written)
//! ```
//!
//! Positions rise from left to right. The tail becomes a part when it is large enough; a part is written
//! as one segment, and from then on its messages are in memory only while somebody reads there. Which
//! of them stay is decided by who was read last, within a bound for the whole stream.
//!
//! Nothing in here waits: what the pager should do is said by [`seal`](Parts::seal) and
//! [`wake`](Parts::wake), and [`written`](Parts::written) and [`read`](Parts::read) take the results.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::{Message, Position, Queued};
use crate::storage::{Segment, Span};
use crate::time::Time;

/// What a message costs in memory beside its own bytes, about.
const OVERHEAD: usize = 64;

/// A run of messages that no message will be added to.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) messages: usize,
    pub(super) span: Span,
    /// What its messages cost in memory.
    cost: usize,
    memory: Option<Arc<Vec<Queued>>>,
    segment: Option<Segment>,
    /// Asked of the pager, and not here yet.
    is_coming: bool,
}

impl Part {
    /// It is on disk, so that it need not be in memory.
    pub(super) fn is_written(&self) -> bool {
        self.segment.is_some()
    }
}

/// What comes next for somebody who reads.
#[derive(Debug)]
pub(super) enum Run<'a> {
    Messages(&'a [Queued]),
    /// It is on disk: [`wake`](Parts::wake) it.
    Asleep(Position),
    /// There is nothing more.
    End,
}

#[derive(Debug)]
pub(super) struct Parts {
    sealed: VecDeque<Part>,
    tail: Vec<Queued>,
    tail_cost: usize,
    /// What the tail will take in a file.
    tail_bytes: u64,
    next: Position,
    messages: usize,
    bytes: u64,
    /// First positions of the parts that the pager has to write, in the order in which it got them.
    writing: VecDeque<Position>,
    /// First positions of the parts that are on disk and in memory, the least recently read one first.
    cached: VecDeque<Position>,
    cached_cost: usize,
}

fn cost(message: &Message) -> usize {
    message.weight() + OVERHEAD
}

fn cost_of(messages: &[Queued]) -> usize {
    messages.iter().map(|queued| cost(&queued.message)).sum()
}

impl Parts {
    pub(super) fn new() -> Self {
        Self {
            sealed: VecDeque::new(),
            tail: Vec::new(),
            tail_cost: 0,
            tail_bytes: 0,
            next: Position(1),
            messages: 0,
            bytes: 0,
            writing: VecDeque::new(),
            cached: VecDeque::new(),
            cached_cost: 0,
        }
    }

    /// The position of the next message that comes.
    pub(super) fn next(&self) -> Position {
        self.next
    }

    /// The oldest message that is there, or would be.
    pub(super) fn first(&self) -> Position {
        let sealed = self.sealed.front().map(|part| part.first);
        sealed.or_else(|| Some(self.tail.first()?.position)).unwrap_or(self.next)
    }

    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes in files, or to be.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Messages that are in files and not in memory, and the number of files.
    pub(super) fn on_disk(&self) -> (usize, usize) {
        let written = self.sealed.iter().filter(|part| part.is_written());
        written.fold((0, 0), |(messages, files), part| {
            let asleep = if part.memory.is_none() { part.messages } else { 0 };
            (messages + asleep, files + 1)
        })
    }

    /// Bytes of memory that messages take, about.
    pub(super) fn memory(&self) -> usize {
        let resident = self.sealed.iter().filter(|part| part.memory.is_some());
        self.tail_cost + resident.map(|part| part.cost).sum::<usize>()
    }

    /// When the oldest message came in.
    pub(super) fn oldest_time(&self) -> Option<Time> {
        let sealed = self.sealed.front().map(|part| part.span.since);
        sealed.or_else(|| Some(self.tail.first()?.deadline))
    }

    /// Body and header bytes of the tail, and what they cost beside.
    pub(super) fn tail_cost(&self) -> usize {
        self.tail_cost
    }

    /// The first message of the tail.
    pub(super) fn tail(&self) -> Option<&Queued> {
        self.tail.first()
    }

    /// The two oldest parts.
    pub(super) fn oldest(&self) -> (Option<&Part>, Option<&Part>) {
        (self.sealed.front(), self.sealed.get(1))
    }

    /// Takes in a message. `now` is when it came.
    pub(super) fn push(&mut self, message: Message, now: Time) -> Position {
        let position = self.next;
        let (deadline, redelivered) = (now, false);
        let (kept, delivery_count) = (true, 0);
        self.enter(Queued { message, position, deadline, redelivered, kept, delivery_count });
        position
    }

    fn enter(&mut self, queued: Queued) {
        let bytes = Span::of(std::slice::from_ref(&queued)).length;
        self.next = Position(queued.position.0 + 1);
        self.tail_cost += cost(&queued.message);
        self.tail_bytes += bytes;
        self.bytes += bytes;
        self.messages += 1;
        self.tail.push(queued);
    }

    /// Makes a part of what of the tail stands before `end`, and of no more than reaches `cost_max`; to
    /// be written if `is_paged`.
    pub(super) fn seal(
        &mut self,
        end: Position,
        cost_max: usize,
        is_paged: bool,
    ) -> Option<Arc<Vec<Queued>>> {
        let mut sum = 0;
        let fits = |queued: &&Queued| {
            let fits = sum < cost_max && queued.position < end;
            sum += cost(&queued.message);
            fits
        };
        let count = self.tail.iter().take_while(fits).count();
        if count == 0 {
            return None;
        }
        let rest = self.tail.split_off(count);
        let messages = Arc::new(std::mem::replace(&mut self.tail, rest));
        (self.tail_cost, self.tail_bytes) = (cost_of(&self.tail), Span::of(&self.tail).length);
        let part = Part::of(&messages)?;
        if is_paged {
            self.writing.push_back(part.first);
        }
        self.sealed.push_back(part);
        Some(messages)
    }

    /// The pager is done with the oldest of what [`seal`](Self::seal) gave it; `None` when it failed, and
    /// then it stays in memory. False when the segment is not needed.
    pub(super) fn written(&mut self, segment: Option<&Segment>) -> bool {
        let Some(first) = self.writing.pop_front() else { return false };
        let Some(part) = self.part_mut(first).filter(|part| part.first == first) else {
            return false;
        };
        let Some(segment) = segment else { return true };
        part.segment = Some(segment.clone());
        part.span = segment.span.unwrap_or(part.span);
        let cost = part.cost;
        self.cached.push_back(first);
        self.cached_cost += cost;
        true
    }

    /// The segment to ask the pager for, so that this position comes into memory. `None` when it is
    /// there, or on its way.
    pub(super) fn wake(&mut self, position: Position) -> Option<Segment> {
        let part = self.part_mut(position)?;
        if part.memory.is_some() || part.is_coming {
            return None;
        }
        part.is_coming = true;
        part.segment.clone()
    }

    /// The position behind the part in which this one is, if there is another part.
    pub(super) fn behind(&self, position: Position) -> Option<Position> {
        let index = self.sealed.partition_point(|part| part.last < position);
        Some(self.sealed.get(index + 1)?.first)
    }

    /// A segment was read. What of it cannot be read counts no more.
    pub(super) fn read(&mut self, segment: &Segment, messages: Vec<Queued>) {
        let Some(part) = self.part_mut(segment.first) else { return };
        if part.segment.as_ref().is_none_or(|known| known.number != segment.number) {
            return;
        }
        let lost = part.messages.saturating_sub(messages.len());
        part.messages -= lost;
        part.cost = cost_of(&messages);
        part.is_coming = false;
        part.memory = Some(Arc::new(messages));
        let (first, cost) = (part.first, part.cost);
        self.messages -= lost;
        self.cached.push_back(first);
        self.cached_cost += cost;
    }

    /// Lets go of what was read longest ago, so that no more than this is kept that is on disk too; but
    /// of one part, always. What is let go of is returned to be freed.
    pub(super) fn shrink(&mut self, cost_max: usize) -> Vec<Arc<Vec<Queued>>> {
        let mut freed = Vec::new();
        while self.cached_cost > cost_max
            && self.cached.len() > 1
            && let Some(first) = self.cached.pop_front()
        {
            freed.extend(self.forget(first));
        }
        freed
    }

    /// How many parts are on disk and in memory.
    #[cfg(test)]
    pub(super) fn cached(&self) -> usize {
        self.cached.len()
    }

    fn forget(&mut self, first: Position) -> Option<Arc<Vec<Queued>>> {
        let part = self.part_mut(first)?;
        let (memory, cost) = (part.memory.take(), part.cost);
        self.cached_cost = self.cached_cost.saturating_sub(cost);
        memory
    }

    /// What stands from `next` on and before `end`, as far as it is in one place.
    pub(super) fn run(&mut self, mut next: Position, end: Position) -> Run<'_> {
        let mut index = self.sealed.partition_point(|part| part.last < next);
        while let Some(part) = self.sealed.get(index)
            && next < end
        {
            let Some(memory) = &part.memory else { return Run::Asleep(part.first) };
            if !between(memory, next, end).is_empty() {
                break;
            }
            // Nothing of it could be read.
            next = Position(part.last.0 + 1);
            index += 1;
        }
        if next >= end {
            return Run::End;
        }
        self.touch(index);
        let messages = match self.sealed.get(index) {
            Some(part) => part.memory.as_deref().map_or(&[][..], Vec::as_slice),
            None => &self.tail,
        };
        match between(messages, next, end) {
            [] => Run::End,
            run => Run::Messages(run),
        }
    }

    /// A part was read just now.
    fn touch(&mut self, index: usize) {
        let Some(part) = self.sealed.get(index) else { return };
        let first = part.first;
        if self.cached.back() != Some(&first)
            && let Some(place) = self.cached.iter().position(|other| *other == first)
        {
            self.cached.remove(place);
            self.cached.push_back(first);
        }
    }

    /// Where to read on from for what came at `time` or later; some of it may have come before.
    pub(super) fn at(&self, time: Time) -> Position {
        let index = self.sealed.partition_point(|part| part.span.until < time);
        match self.sealed.get(index) {
            Some(part) => part.first,
            None => {
                let index = self.tail.partition_point(|queued| queued.deadline < time);
                self.tail.get(index).map_or(self.next, |queued| queued.position)
            }
        }
    }

    /// Takes out the oldest part, and returns its segment.
    pub(super) fn drop_oldest(&mut self) -> Option<Segment> {
        let first = self.sealed.front()?.first;
        if let Some(place) = self.cached.iter().position(|other| *other == first) {
            self.cached.remove(place);
            self.forget(first);
        }
        let part = self.sealed.pop_front()?;
        self.messages = self.messages.saturating_sub(part.messages);
        self.bytes = self.bytes.saturating_sub(part.span.length);
        part.segment
    }

    /// Takes everything out: all segments, and what is in memory, to be freed.
    pub(super) fn clear(&mut self) -> (Vec<Segment>, Vec<Arc<Vec<Queued>>>) {
        let (mut segments, mut messages) = (Vec::new(), Vec::new());
        let next = self.next;
        let all = std::mem::replace(self, Self { next, ..Self::new() });
        messages.push(Arc::new(all.tail));
        for part in all.sealed {
            segments.extend(part.segment);
            messages.extend(part.memory);
        }
        (segments, messages)
    }

    /// Fills an empty stream: segments, in the order of their positions, and messages that are in none
    /// of them. Returns parts to be written: messages that are older than a segment.
    pub(super) fn restore(
        &mut self,
        segments: Vec<Segment>,
        messages: Vec<Queued>,
        next: Position,
    ) -> Vec<Arc<Vec<Queued>>> {
        let (mut messages, mut unwritten) = (messages.into_iter().peekable(), Vec::new());
        for segment in segments {
            let before = |queued: &Queued| queued.position < segment.first;
            let run: Vec<Queued> = std::iter::from_fn(|| messages.next_if(before)).collect();
            let run = Arc::new(run);
            if let Some(part) = Part::of(&run) {
                self.writing.push_back(part.first);
                self.restore_part(part);
                unwritten.push(run);
            }
            self.restore_part(Part::on_disk(segment));
        }
        messages.for_each(|queued| self.enter(queued));
        self.next = self.next.max(next);
        unwritten
    }

    fn restore_part(&mut self, part: Part) {
        self.messages += part.messages;
        self.bytes += part.span.length;
        self.next = self.next.max(Position(part.last.0.saturating_add(1)));
        self.sealed.push_back(part);
    }

    /// The part that holds a position, or the next one.
    fn part_mut(&mut self, position: Position) -> Option<&mut Part> {
        let index = self.sealed.partition_point(|part| part.last < position);
        self.sealed.get_mut(index)
    }
}

impl Part {
    fn of(messages: &Arc<Vec<Queued>>) -> Option<Self> {
        let (first, last) = (messages.first()?, messages.last()?);
        Some(Self {
            first: first.position,
            last: last.position,
            messages: messages.len(),
            span: Span::of(messages),
            cost: cost_of(messages),
            memory: Some(Arc::clone(messages)),
            segment: None,
            is_coming: false,
        })
    }

    fn on_disk(segment: Segment) -> Self {
        Self {
            first: segment.first,
            last: segment.last,
            messages: segment.figures.messages,
            span: segment.span.unwrap_or_else(|| Span::of(&[])),
            cost: 0,
            memory: None,
            segment: Some(segment),
            is_coming: false,
        }
    }
}

/// Of messages in order, those from `next` on and before `end`.
pub(super) fn between(messages: &[Queued], next: Position, end: Position) -> &[Queued] {
    let from = messages.partition_point(|queued| queued.position < next);
    let rest = messages.get(from..).unwrap_or_default();
    let count = rest.partition_point(|queued| queued.position < end);
    rest.get(..count).unwrap_or_default()
}

#[cfg(test)]
mod tests;
