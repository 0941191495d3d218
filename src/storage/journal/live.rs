//! What of the journal is still needed.
//!
//! A message is needed while a queue holds it at some position, or while whoever stored it may still
//! hand it to another queue (it is *held*). A settled position is worth remembering while it may lie in
//! a segment file of its queue. Each file knows how much of that it is the home of, and a file that is
//! home to nothing can go once all older ones have gone.
//!
//! The journal thread owns this and feeds it the records it writes, in the order of the log. Recovery
//! feeds it the records it reads. So there is one set of rules for both.
//!
//! Everything is kept in ranges: a queue that takes and gives in order costs one span, however long
//! it is, and one message consumed out of its turn costs one span more.
//!
//! Invariant: nothing here reads or writes a file, and no step costs more than the spans it touches.

use std::collections::{BTreeMap, HashMap};

use super::range_map::{RangeMap, RangeSet, Span};
use super::record::Record;

/// What carrying one run of positions to another file costs at most, so that a journal of many small
/// runs does not look emptier than it can be made.
const RUN_BYTES: u64 = 48;

/// What carrying one settled range costs at most.
const RANGE_BYTES: u64 = 40;

/// Consecutive messages with one fate: in the same file, wanted by as many.
struct Extent {
    file: u64,
    /// Positions at which they are held, and one more while they are held for more to come.
    references: u32,
    /// What they take in their file. Exact while they are whole; a part of them takes its share.
    bytes: u64,
}

impl Extent {
    /// Messages of about one size may share an extent, so that a share is about right.
    fn class(bytes: u64, length: u64) -> u32 {
        (bytes / length.max(1)).max(256).ilog2()
    }
}

impl Span for Extent {
    fn cut(&mut self, at: u64, length: u64) -> Self {
        let kept = (u128::from(self.bytes) * u128::from(at) / u128::from(length)) as u64;
        let rest = Self { bytes: self.bytes - kept, ..*self };
        self.bytes = kept;
        rest
    }

    fn join(&mut self, length: u64, next: &Self, next_length: u64) -> bool {
        let same = (self.file, self.references) == (next.file, next.references)
            && Self::class(self.bytes, length) == Self::class(next.bytes, next_length);
        if same {
            self.bytes += next.bytes;
        }
        same
    }
}

/// Consecutive positions of a queue that hold consecutive messages, by the number of the first.
struct Run(u64);

impl Span for Run {
    fn cut(&mut self, at: u64, _length: u64) -> Self {
        Self(self.0 + at)
    }

    fn join(&mut self, length: u64, next: &Self, _next_length: u64) -> bool {
        self.0 + length == next.0
    }
}

#[derive(Default)]
struct Queue {
    runs: RangeMap<Run>,
    /// Positions that may be in segment files.
    segments: RangeSet,
    /// Those of them that are settled.
    settled: RangeSet,
    /// The oldest file with a record that says so; `None` while there is nothing to say.
    settled_since: Option<u64>,
    last_position: u64,
}

/// A journal file, and what it is home to.
#[derive(Default, Clone, Copy, Debug, PartialEq)]
pub struct FileFigures {
    pub length: u64,
    pub messages: u64,
    /// Queues whose settled positions are told from here on.
    pub snapshots: u64,
}

/// A file of this number is home to messages that were enqueued but are not there (any more).
const NOWHERE: u64 = 0;

#[derive(Default)]
pub struct Live {
    messages: RangeMap<Extent>,
    held: RangeSet,
    queues: HashMap<u64, Queue>,
    files: BTreeMap<u64, FileFigures>,
    /// Messages met by [`apply`](Self::apply) and not yet entered: first, last, bytes.
    fresh: Option<(u64, u64, u64)>,
    total_bytes: u64,
    message_bytes: u64,
    runs: u64,
    ranges: u64,
    /// Whether records are being read that were written in an earlier life.
    recovering: bool,
    /// The file whose messages are being written again, and who took some of them meanwhile.
    carrying: Option<u64>,
    late_places: Vec<Place>,
    /// Whether all positions in segments were told. Until then every settled position is remembered.
    segments_known: bool,
}

/// Who holds messages: number of the first, of the last, queue, position of the first.
pub type Place = (u64, u64, u64, u64);

/// Something was enqueued that was never stored.
#[derive(Debug, PartialEq)]
pub struct Unknown {
    pub queue: u64,
    pub number: u64,
}

impl Live {
    pub fn recovering() -> Self {
        Self { recovering: true, ..Self::default() }
    }

    pub fn add_file(&mut self, file: u64) {
        self.files.entry(file).or_default();
    }

    /// Records of so many bytes are in a file.
    pub fn grow_file(&mut self, file: u64, bytes: u64) {
        self.total_bytes += bytes;
        self.files.entry(file).or_default().length += bytes;
    }

    pub fn remove_file(&mut self, file: u64) {
        if let Some(figures) = self.files.remove(&file) {
            self.total_bytes -= figures.length;
        }
    }

    /// Enters what a record of `file` says. Whether its group counts is for the caller to know.
    pub fn apply(&mut self, record: &Record<'_>, file: u64) -> Result<(), Unknown> {
        if let Record::Message(message) = record {
            self.met(message.number, message.record_bytes(), file);
            return Ok(());
        }
        self.enter(file);
        match *record {
            Record::Enqueue { queue, runs, .. } => runs.iter().try_for_each(|run| {
                let (position, number, count) = run;
                self.enqueued(queue, position, number, u64::from(count))
            })?,
            Record::Settle { queue, ranges, .. } | Record::Settled { queue, ranges } => {
                ranges.iter().for_each(|(first, last)| self.settled(queue, first, last, file));
            }
            Record::Moved { queue, first, last } => self.moved(queue, first, last),
            Record::QueueGone { queue } => self.queue_gone(queue),
            Record::Message(_)
            | Record::GroupEnd { .. }
            | Record::Redelivered { .. }
            | Record::Returned { .. }
            | Record::Clean => {}
        }
        Ok(())
    }

    /// Gathers messages that follow on each other, because they come by the hundred.
    fn met(&mut self, number: u64, bytes: u64, file: u64) {
        if let Some((first, last, sum)) = &mut self.fresh
            && last.checked_add(1) == Some(number)
            && Extent::class(*sum, *last - *first + 1) == Extent::class(bytes, 1)
        {
            (*last, *sum) = (number, *sum + bytes);
            return;
        }
        self.enter(file);
        self.fresh = Some((number, number, bytes));
    }

    /// Enters the messages gathered. Needed at the end of a file or a batch.
    pub fn enter(&mut self, file: u64) {
        let Some((first, last, bytes)) = self.fresh.take() else { return };
        self.stored(first, last, bytes, file);
    }

    /// Messages are in a file: new ones, or such as were in another one before.
    fn stored(&mut self, first: u64, last: u64, bytes: u64, file: u64) {
        if self.messages.last().is_none_or(|end| end < first) {
            self.held.add(first, last);
            return self.put(first, last, Extent { file, references: 1, bytes });
        }
        let mut rest = Extent { file, references: 1, bytes };
        let mut next = first;
        for (from, to, references) in self.pieces(first, last) {
            let mut extent = if to < last {
                let behind = rest.cut(to - next + 1, last - next + 1);
                std::mem::replace(&mut rest, behind)
            } else {
                Extent { ..rest }
            };
            extent.references = references.unwrap_or_else(|| {
                self.held.add(from, to);
                1
            });
            self.put(from, to, extent);
            next = to.saturating_add(1);
        }
    }

    /// Takes out what is known of a range of messages, and returns the parts of the range in order,
    /// each with its references if it was known.
    fn pieces(&mut self, first: u64, last: u64) -> Vec<(u64, u64, Option<u32>)> {
        let gaps = self.messages.gaps(first, last);
        let mut pieces: Vec<_> = gaps.into_iter().map(|(from, to)| (from, to, None)).collect();
        self.take(first, last, |_, from, to, extent| {
            pieces.push((from, to, Some(extent.references)));
        });
        pieces.sort_unstable();
        pieces
    }

    fn put(&mut self, first: u64, last: u64, extent: Extent) {
        self.files.entry(extent.file).or_default().messages += last - first + 1;
        self.message_bytes += extent.bytes;
        self.messages.insert(first, last, extent);
    }

    fn take(&mut self, first: u64, last: u64, mut each: impl FnMut(&mut Self, u64, u64, Extent)) {
        let mut taken = smallvec::SmallVec::<[_; 4]>::new();
        self.messages.take(first, last, |from, to, extent| taken.push((from, to, extent)));
        for (from, to, extent) in taken {
            let figures = self.files.entry(extent.file).or_default();
            figures.messages -= to - from + 1;
            self.message_bytes -= extent.bytes;
            each(self, from, to, extent);
        }
    }

    fn enqueued(&mut self, queue: u64, start: u64, number: u64, count: u64) -> Result<(), Unknown> {
        let end = start + count - 1;
        let state = self.queues.entry(queue).or_default();
        // Positions come in order, but for those carried over from an older file.
        let vacant = if state.last_position < start {
            smallvec::smallvec![(start, end)]
        } else {
            smallvec::SmallVec::<[_; 1]>::from_vec(state.runs.gaps(start, end))
        };
        state.last_position = state.last_position.max(end);
        for (from, to) in vacant {
            let (first, last) = (number + (from - start), number + (to - start));
            self.refer(first, last).map_err(|number| Unknown { queue, number })?;
            if let Some(file) = self.carrying {
                let extents = self.messages.overlapping(first, last);
                let places = extents.filter(|(.., extent)| extent.file == file).map(|(f, l, _)| {
                    let (f, l) = (f.max(first), l.min(last));
                    (f, l, queue, from + (f - first))
                });
                self.late_places.extend(places);
            }
            if let Some(state) = self.queues.get_mut(&queue) {
                let before = state.runs.len();
                state.runs.insert(from, to, Run(first));
                self.runs = self.runs + state.runs.len() as u64 - before as u64;
            }
        }
        Ok(())
    }

    /// One more position holds these messages. The error is the number of one that is not there.
    fn refer(&mut self, first: u64, last: u64) -> Result<(), u64> {
        if let Some((number, _)) = self.messages.gaps(first, last).first()
            && !self.recovering
        {
            return Err(*number);
        }
        for (from, to) in self.messages.gaps(first, last) {
            // In a file that is gone, and then this is settled further on; or it is lost.
            self.put(from, to, Extent { file: NOWHERE, references: 0, bytes: 0 });
        }
        self.take(first, last, |live, from, to, mut extent| {
            extent.references += 1;
            live.put(from, to, extent);
        });
        Ok(())
    }

    /// One position less holds these messages.
    fn drop_reference(&mut self, first: u64, last: u64) {
        self.take(first, last, |live, from, to, mut extent| {
            extent.references = extent.references.saturating_sub(1);
            if extent.references > 0 {
                live.put(from, to, extent);
            }
        });
    }

    /// Takes positions out of the runs of a queue.
    fn leave(&mut self, queue: u64, first: u64, last: u64) {
        let Some(state) = self.queues.get_mut(&queue) else { return };
        let mut left = smallvec::SmallVec::<[_; 4]>::new();
        let before = state.runs.len();
        state.runs.take(first, last, |from, to, run| left.push((run.0, run.0 + (to - from))));
        self.runs = self.runs + state.runs.len() as u64 - before as u64;
        left.into_iter().for_each(|(first, last)| self.drop_reference(first, last));
    }

    fn settled(&mut self, queue: u64, first: u64, last: u64, file: u64) {
        self.leave(queue, first, last);
        let state = self.queues.entry(queue).or_default();
        let before = state.settled.len();
        state.last_position = state.last_position.max(last);
        if !self.segments_known {
            state.settled.add(first, last);
        } else if !state.segments.is_empty() {
            let parts: Vec<_> = state.segments.overlapping(first, last).collect();
            for (from, to, ()) in parts {
                state.settled.add(from.max(first), to.min(last));
            }
        }
        self.ranges = self.ranges + state.settled.len() as u64 - before as u64;
        if !state.settled.is_empty() && state.settled_since.is_none() {
            state.settled_since = Some(file);
            self.files.entry(file).or_default().snapshots += 1;
        }
    }

    /// Positions are in a segment, or about to be: from here on remember which of them are settled.
    pub fn in_segments(&mut self, queue: u64, first: u64, last: u64) {
        self.queues.entry(queue).or_default().segments.add(first, last);
    }

    fn moved(&mut self, queue: u64, first: u64, last: u64) {
        self.leave(queue, first, last);
        let state = self.queues.entry(queue).or_default();
        state.segments.add(first, last);
        state.last_position = state.last_position.max(last);
    }

    pub fn segment_dropped(&mut self, queue: u64, first: u64, last: u64) {
        let Some(state) = self.queues.get_mut(&queue) else { return };
        state.segments.remove(first, last);
        let before = state.settled.len();
        state.settled.remove(first, last);
        self.ranges = self.ranges + state.settled.len() as u64 - before as u64;
        if state.settled.is_empty() {
            self.forget_snapshot(queue);
        }
    }

    /// There are no other positions in segments than those told.
    pub fn segments_known(&mut self) {
        self.segments_known = true;
        let mut elsewhere = Vec::new();
        for (queue, state) in &self.queues {
            let gaps = state.segments.gaps(0, u64::MAX).into_iter();
            elsewhere.extend(gaps.map(|(first, last)| (*queue, first, last)));
        }
        for (queue, first, last) in elsewhere {
            self.segment_dropped(queue, first, last);
        }
    }

    fn queue_gone(&mut self, queue: u64) {
        self.leave(queue, 0, u64::MAX);
        self.segment_dropped(queue, 0, u64::MAX);
        self.queues.remove(&queue);
    }

    fn forget_snapshot(&mut self, queue: u64) {
        let since = self.queues.get_mut(&queue).and_then(|state| state.settled_since.take());
        if let Some(figures) = since.and_then(|file| self.files.get_mut(&file)) {
            figures.snapshots -= 1;
        }
    }

    /// Whoever stored these messages hands them to no more queues.
    pub fn released(&mut self, first: u64, last: u64) {
        let mut released = smallvec::SmallVec::<[_; 2]>::new();
        self.held.take(first, last, |from, to, ()| released.push((from, to)));
        released.into_iter().for_each(|(first, last)| self.drop_reference(first, last));
    }

    /// The log has been read to its end: who stored messages is gone, and what positions hold but no
    /// file has is lost. Returns the lost positions, by queue.
    pub fn recovered(&mut self) -> Vec<(u64, u64, u64)> {
        self.released(0, u64::MAX);
        self.recovering = false;
        let mut lost = Vec::new();
        for (queue, state) in &self.queues {
            for (first, last, run) in state.runs.iter() {
                let numbers = self.messages.overlapping(run.0, run.0 + (last - first));
                lost.extend(numbers.filter(|(.., extent)| extent.file == NOWHERE).map(
                    |(from, to, _)| {
                        let shift = |number: u64| first + (number.max(run.0) - run.0);
                        (*queue, shift(from), shift(to).min(last))
                    },
                ));
            }
        }
        for &(queue, first, last) in &lost {
            self.leave(queue, first, last);
        }
        self.files.remove(&NOWHERE);
        lost.sort_unstable();
        lost
    }
}

/// What there is, for recovery and for recycling.
impl Live {
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Bytes that a journal without any waste would take, more or less.
    pub fn live_bytes(&self) -> u64 {
        self.message_bytes + self.runs * RUN_BYTES + self.ranges * RANGE_BYTES
    }

    pub fn live_messages(&self) -> u64 {
        self.files.values().map(|figures| figures.messages).sum()
    }

    pub fn files(&self) -> impl ExactSizeIterator<Item = (u64, FileFigures)> {
        self.files.iter().map(|(file, figures)| (*file, *figures))
    }

    pub fn oldest_file(&self) -> Option<(u64, FileFigures)> {
        self.files().next()
    }

    pub fn queues(&self) -> impl Iterator<Item = u64> {
        self.queues.keys().copied()
    }

    pub fn last_position(&self, queue: u64) -> u64 {
        self.queues.get(&queue).map_or(0, |state| state.last_position)
    }

    /// Positions of a queue that hold messages: first, last, number of the first message.
    pub fn runs(&self, queue: u64) -> impl Iterator<Item = (u64, u64, u64)> {
        let state = self.queues.get(&queue);
        state.into_iter().flat_map(|state| state.runs.iter()).map(|(f, l, run)| (f, l, run.0))
    }

    pub fn settled_ranges(&self, queue: u64) -> Vec<(u64, u64)> {
        self.queues.get(&queue).map_or_else(Vec::new, |state| state.settled.ranges().collect())
    }

    /// Whether a message is needed and this file is its home.
    pub fn lives_in(&self, number: u64, file: u64) -> bool {
        self.messages.get(number).is_some_and(|extent| extent.file == file)
    }

    /// Whether somebody may still hand messages of this file to more queues.
    pub fn is_held(&self, file: u64) -> bool {
        self.held.ranges().any(|(first, last)| {
            self.messages.overlapping(first, last).any(|(.., extent)| extent.file == file)
        })
    }

    /// Where the messages of a file are held. What comes later is told by
    /// [`late_places`](Self::late_places).
    pub fn carry(&mut self, file: u64) -> Vec<Place> {
        self.carrying = Some(file);
        self.late_places.clear();
        let mut places = Vec::new();
        for (queue, state) in &self.queues {
            for (first, last, run) in state.runs.iter() {
                let numbers = self.messages.overlapping(run.0, run.0 + (last - first));
                for (from, to, _) in numbers.filter(|(.., extent)| extent.file == file) {
                    let (from, to) = (from.max(run.0), to.min(run.0 + (last - first)));
                    places.push((from, to, *queue, first + (from - run.0)));
                }
            }
        }
        places
    }

    pub fn late_places(&mut self) -> impl Iterator<Item = Place> {
        self.late_places.drain(..)
    }

    pub fn carried(&mut self) {
        self.carrying = None;
    }

    /// The parts of a range of positions that still hold messages: first, last, number of the first.
    pub fn holding(&self, queue: u64, first: u64, last: u64) -> Vec<(u64, u64, u64)> {
        let Some(state) = self.queues.get(&queue) else { return Vec::new() };
        let clip = |(start, end, run): (u64, u64, &Run)| {
            let from = start.max(first);
            (from, end.min(last), run.0 + (from - start))
        };
        state.runs.overlapping(first, last).map(clip).collect()
    }

    /// Queues whose settled positions a file tells first.
    pub fn snapshots(&self, file: u64) -> Vec<u64> {
        let here =
            |(queue, state): (&u64, &Queue)| (state.settled_since == Some(file)).then_some(*queue);
        self.queues.iter().filter_map(here).collect()
    }

    /// The settled positions of a queue were told again in this file.
    pub fn snapshot_moved(&mut self, queue: u64, file: u64) {
        self.forget_snapshot(queue);
        if let Some(state) = self.queues.get_mut(&queue) {
            state.settled_since = Some(file);
            self.files.entry(file).or_default().snapshots += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue that took so many messages, in two files.
    fn long_queue(count: u64) -> Live {
        let mut live = Live::default();
        live.segments_known();
        for first in (1..=count).step_by(100) {
            let last = first + 99;
            live.stored(first, last, 100 * 160, if last <= count / 2 { 1 } else { 2 });
            live.enqueued(7, first, first, 100).unwrap();
            live.released(first, last);
        }
        live
    }

    fn spans(live: &Live) -> (usize, usize) {
        (live.messages.len(), live.queues[&7].runs.len())
    }

    #[test]
    fn a_queue_that_is_consumed_in_order_costs_one_span_for_each_file() {
        let mut live = long_queue(10_000);
        assert_eq!(spans(&live), (2, 1));
        for position in 1..9_000 {
            live.settled(7, position, position, 2);
            assert!(spans(&live) <= (2, 1));
        }
        let figures: Vec<_> =
            live.files().map(|(file, figures)| (file, figures.messages)).collect();
        assert_eq!(figures, [(1, 0), (2, 1_001)]);
        assert_eq!(live.live_bytes(), 1_001 * 160 + RUN_BYTES);
        live.settled(7, 0, u64::MAX, 2);
        assert_eq!((spans(&live), live.live_bytes(), live.live_messages()), ((0, 0), 0, 0));
    }

    #[test]
    fn a_message_consumed_out_of_turn_costs_one_span_until_its_neighbours_are_gone() {
        let mut live = long_queue(1_000);
        for position in (2..=1_000).step_by(2) {
            live.settled(7, position, position, 2);
        }
        assert_eq!(spans(&live), (500, 500));
        assert_eq!(live.live_bytes(), 500 * (160 + RUN_BYTES));
        for position in (1..=1_000).step_by(2) {
            live.settled(7, position, position, 2);
        }
        assert_eq!((spans(&live), live.live_bytes()), ((0, 0), 0));
    }

    #[test]
    fn queues_that_share_messages_count_them_once() {
        let mut live = long_queue(1_000);
        live.enqueued(8, 1, 1, 1_000).unwrap();
        assert_eq!(live.live_bytes(), 1_000 * 160 + 2 * RUN_BYTES);
        live.settled(7, 1, 1_000, 2);
        assert_eq!(live.live_bytes(), 1_000 * 160 + RUN_BYTES);
        live.queue_gone(8);
        assert_eq!(live.live_bytes(), 0);
    }

    #[test]
    fn small_messages_among_large_ones_are_weighed_by_themselves() {
        let mut live = Live::default();
        live.segments_known();
        for number in 1..=100 {
            live.met(number, if number % 2 == 0 { 100_000 } else { 100 }, 1);
        }
        live.enter(1);
        live.enqueued(7, 1, 1, 100).unwrap();
        live.released(1, 100);
        for position in (2..=100).step_by(2) {
            live.settled(7, position, position, 1);
        }
        assert_eq!(live.live_bytes(), 50 * (100 + RUN_BYTES));
    }

    #[test]
    fn what_was_never_stored_cannot_be_taken() {
        let mut live = long_queue(100);
        assert_eq!(live.enqueued(7, 200, 100, 2), Err(Unknown { queue: 7, number: 101 }));
    }
}
