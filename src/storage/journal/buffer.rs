//! Where callers leave their records for the journal thread.
//!
//! The buffer is behind the leaf lock, so what is done here is encoding and nothing else. Records of a
//! group wait beside the buffer until the group ends and then go in together. So the log never holds
//! half of a group but for a torn tail, and a group that nobody ends is nowhere.
//!
//! While a group is open, its messages may be in queues already, and a consumer may settle one. The
//! settlement then joins the group that enqueues the message: it must not come before it in the log. So
//! does the release of its messages by whoever stored them.
//!
//! Invariant: no I/O, no waiting, and no lock is taken.

use std::collections::HashMap;

use super::range_map::RangeSet;
use super::record::{self, Kind, MESSAGE_MAX};
use super::waiting::Wake;
use crate::message::Message;
use crate::storage::{LogPosition, StoreError};
use crate::time::Time;

/// Messages without an enqueue do not wake the journal thread, up to so many bytes.
const QUIET_BYTES: usize = 256 * 1024;

/// What the thread is told beside records.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    InSegments { queue: u64, first: u64, last: u64 },
    SegmentDropped { queue: u64, first: u64, last: u64 },
    SegmentsKnown,
    Released { first: u64, last: u64 },
}

#[derive(Default)]
pub struct Buffer {
    pub bytes: Vec<u8>,
    /// Each with the length that the buffer had when it was made.
    pub notes: Vec<(usize, Note)>,
    /// Bytes handed in since the journal was opened.
    position: u64,
    next_number: u64,
    groups: HashMap<u64, Group>,
    /// The last record of the buffer, if the next call may lengthen it.
    open: Option<Open>,
    /// There is something that the thread should not leave lying.
    pub wanted: bool,
    /// Nothing is taken any more: the journal failed, or is shut.
    closed: bool,
    /// Why the thread has to fail.
    pub refused: Option<StoreError>,
}

#[derive(Clone, Copy)]
struct Open {
    start: usize,
    kind: Kind,
    queue: u64,
    /// The last entry: for an enqueue as it is, for a settle the range.
    entry: (u64, u64, u32),
}

#[derive(Default)]
struct Group {
    steps: Vec<Step>,
    enqueued: HashMap<u64, RangeSet>,
    /// Ranges of messages that were let go of while the group was to enqueue some of them.
    released: Vec<(u64, u64)>,
    /// Who wants to know when it is durable.
    wakes: Vec<Wake>,
}

impl Group {
    /// Whether it is to enqueue any of these messages.
    fn takes(&self, first: u64, last: u64) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Enqueue { runs, .. } => runs.iter().any(|(_, number, count)| {
                *number <= last && first < number.saturating_add(u64::from(*count))
            }),
            Step::Settle { .. } => false,
        })
    }
}

enum Step {
    Enqueue { queue: u64, runs: Vec<(u64, u64, u32)> },
    Settle { queue: u64, ranges: Vec<(u64, u64)> },
}

impl Buffer {
    pub fn starting_with(next_number: u64) -> Self {
        Self { next_number, ..Self::default() }
    }

    pub fn position(&self) -> LogPosition {
        LogPosition(self.position)
    }

    /// Takes nothing from here on, and forgets what was not written.
    pub fn close(&mut self) {
        let (position, next_number) = (self.position, self.next_number);
        *self = Self { position, next_number, closed: true, ..Self::default() };
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// A position that will never be durable.
    fn never(&self) -> LogPosition {
        LogPosition(self.position + 1)
    }

    /// The end of a call: what it added counts.
    fn added(&mut self, before: usize, wanted: bool) -> LogPosition {
        self.position += (self.bytes.len() - before) as u64;
        self.wanted |= wanted;
        self.position()
    }

    /// Takes messages; they get consecutive numbers. Returns the first and how many they are.
    pub fn store(&mut self, messages: &mut dyn Iterator<Item = &Message>, now: Time) -> (u64, u64) {
        let (first, before) = (self.next_number, self.bytes.len());
        for message in messages {
            let number = self.next_number;
            self.next_number += 1;
            if self.closed {
                continue;
            }
            if message.weight() > MESSAGE_MAX {
                let text = format!("a message of {} bytes is beyond the journal", message.weight());
                (self.refused, self.wanted) = (Some(StoreError(text)), true);
                continue;
            }
            record::put_message(&mut self.bytes, number, Some(now), message);
        }
        self.open = None;
        let loud = self.bytes.len() > QUIET_BYTES;
        self.added(before, loud);
        (first, self.next_number - first)
    }

    pub fn enqueue(&mut self, group: u64, queue: u64, runs: &[(u64, u64, u32)]) -> LogPosition {
        if self.closed {
            return self.never();
        }
        debug_assert!(runs.iter().all(|run| run.2 > 0), "a run of nothing");
        if group != 0 {
            let group = self.groups.entry(group).or_default();
            let enqueued = group.enqueued.entry(queue).or_default();
            let runs: Vec<_> = runs.iter().copied().filter(|run| run.2 > 0).collect();
            for (position, _, count) in &runs {
                enqueued.add(*position, *position + u64::from(*count) - 1);
            }
            group.steps.push(Step::Enqueue { queue, runs });
            return self.position();
        }
        let before = self.bytes.len();
        for &run in runs.iter().filter(|run| run.2 > 0) {
            self.put_run(queue, run);
        }
        self.added(before, true)
    }

    pub fn settle(&mut self, group: u64, queue: u64, ranges: &[(u64, u64)]) -> LogPosition {
        if self.closed {
            return self.never();
        }
        let sound = |range: &&(u64, u64)| range.0 <= range.1;
        debug_assert!(
            ranges.iter().all(|range| sound(&range)),
            "a range that ends before it begins"
        );
        if group != 0 {
            let ranges = ranges.iter().filter(sound).copied().collect();
            let group = self.groups.entry(group).or_default();
            group.steps.push(Step::Settle { queue, ranges });
            return self.position();
        }
        let before = self.bytes.len();
        if self.groups.is_empty() {
            ranges.iter().filter(sound).for_each(|range| self.put_range(queue, *range));
        } else {
            let ranges = self.without_early(0, queue, ranges);
            ranges.iter().for_each(|range| self.put_range(queue, *range));
        }
        self.added(before, true)
    }

    /// What to call when the group is durable.
    pub fn when_group_ends(&mut self, id: u64, wake: Wake) {
        if !self.closed {
            self.groups.entry(id).or_default().wakes.push(wake);
        }
    }

    /// The group goes to the log. Returns where that is, and who waits for it.
    pub fn end_group(&mut self, id: u64) -> (LogPosition, Vec<Wake>) {
        if self.closed {
            return (self.never(), Vec::new());
        }
        let Some(group) = self.groups.remove(&id) else { return (self.position(), Vec::new()) };
        let (before, mut records) = (self.bytes.len(), 0);
        for step in group.steps {
            records += match step {
                Step::Enqueue { queue, runs } => {
                    record::put_enqueue(&mut self.bytes, id, queue, &runs)
                }
                Step::Settle { queue, ranges } => {
                    let ranges = self.without_early(id, queue, &ranges);
                    record::put_settle(&mut self.bytes, id, queue, &ranges)
                }
            };
        }
        record::put_group_end(&mut self.bytes, id, records);
        self.open = None;
        let position = self.added(before, true);
        for (first, last) in group.released {
            self.note(Note::Released { first, last });
        }
        (position, group.wakes)
    }

    /// A record that stands for itself.
    pub fn put(&mut self, put: impl FnOnce(&mut Vec<u8>) -> u32) -> LogPosition {
        if self.closed {
            return self.never();
        }
        let before = self.bytes.len();
        put(&mut self.bytes);
        self.open = None;
        self.added(before, true)
    }

    pub fn note(&mut self, note: Note) {
        if self.closed {
            return;
        }
        match note {
            // Whoever takes them is told of first. To get into a record before it is fine for others.
            Note::Released { first, last } => {
                if let Some(group) = self.groups.values_mut().find(|g| g.takes(first, last)) {
                    return group.released.push((first, last));
                }
            }
            // What comes behind it must not get into a record before it.
            _ => self.open = None,
        }
        self.notes.push((self.bytes.len(), note));
    }

    /// Hands everything to the thread, and the thread's emptied buffers to the callers.
    pub fn swap(&mut self, bytes: &mut Vec<u8>, notes: &mut Vec<(usize, Note)>) {
        std::mem::swap(&mut self.bytes, bytes);
        std::mem::swap(&mut self.notes, notes);
        self.open = None;
        self.wanted = false;
    }

    /// Appends a run; to the last record or its last run when it fits there.
    fn put_run(&mut self, queue: u64, run: (u64, u64, u32)) {
        let (position, number, count) = run;
        if let Some(open) = self.open_for(Kind::Enqueue, queue) {
            let (earlier, from, length) = open.entry;
            let together = length.checked_add(count).filter(|_| {
                earlier + u64::from(length) == position && from + u64::from(length) == number
            });
            let (fresh, entry) = match together {
                Some(sum) => (false, (earlier, from, sum)),
                None => (true, run),
            };
            self.lengthen(open, fresh, entry, |bytes, (position, number, count)| {
                bytes.extend_from_slice(&position.to_le_bytes());
                bytes.extend_from_slice(&number.to_le_bytes());
                bytes.extend_from_slice(&count.to_le_bytes());
            });
            return;
        }
        let start = self.bytes.len();
        record::put_enqueue(&mut self.bytes, 0, queue, &[run]);
        self.open = Some(Open { start, kind: Kind::Enqueue, queue, entry: run });
    }

    fn put_range(&mut self, queue: u64, (first, last): (u64, u64)) {
        if let Some(open) = self.open_for(Kind::Settle, queue) {
            let (earlier, end, _) = open.entry;
            let together = end.checked_add(1) == Some(first);
            let entry = if together { (earlier, last, 0) } else { (first, last, 0) };
            self.lengthen(open, !together, entry, |bytes, (first, last, _)| {
                bytes.extend_from_slice(&first.to_le_bytes());
                bytes.extend_from_slice(&last.to_le_bytes());
            });
            return;
        }
        let start = self.bytes.len();
        record::put_settle(&mut self.bytes, 0, queue, &[(first, last)]);
        self.open = Some(Open { start, kind: Kind::Settle, queue, entry: (first, last, 0) });
    }

    fn open_for(&self, kind: Kind, queue: u64) -> Option<Open> {
        self.open.filter(|open| open.kind == kind && open.queue == queue)
    }

    /// Puts an entry at the end of the last record, in place of its last one unless it is fresh.
    fn lengthen(
        &mut self,
        open: Open,
        fresh: bool,
        entry: (u64, u64, u32),
        put: impl FnOnce(&mut Vec<u8>, (u64, u64, u32)),
    ) {
        let size = if open.kind == Kind::Enqueue { 20 } else { 16 };
        if !fresh {
            self.bytes.truncate(self.bytes.len() - size);
        }
        put(&mut self.bytes, entry);
        record::end(&mut self.bytes, open.start);
        self.open = Some(Open { entry, ..open });
    }

    /// Leaves what settles messages of other groups that are still open to those groups; returns the
    /// rest.
    fn without_early(&mut self, own: u64, queue: u64, ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut rest = RangeSet::default();
        let sound = ranges.iter().filter(|(first, last)| first <= last);
        sound.for_each(|(first, last)| rest.add(*first, *last));
        for (_, group) in self.groups.iter_mut().filter(|(id, _)| **id != own) {
            let Some(enqueued) = group.enqueued.get(&queue) else { continue };
            let mut early = Vec::new();
            for (first, last) in rest.ranges() {
                let parts = enqueued.overlapping(first, last);
                early.extend(parts.map(|(from, to, ())| (from.max(first), to.min(last))));
            }
            early.iter().for_each(|(first, last)| rest.remove(*first, *last));
            if !early.is_empty() {
                group.steps.push(Step::Settle { queue, ranges: early });
            }
        }
        rest.ranges().collect()
    }
}
