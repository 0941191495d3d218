//! Looking through a queue without disturbing it, and taking single messages out of the middle.
//!
//! To look changes nothing: no place, no flag, no count, no use of the queue. It goes a step at a time,
//! under the lock for no longer than a step takes, so messages may come and go in between; whoever looks
//! sees none twice. What lies on disk is read by the caller, outside of the lock, and shown to the queue,
//! which knows what of it is still there.
//!
//! A stream is not looked at like this: its consumers take nothing away.

use std::sync::Arc;

use super::effects::Effects;
use super::{Content, Queue};
use crate::message::{Position, Queued};
use crate::storage::{Group, OnRead, Segment};
use crate::time::Time;

/// How far somebody has looked, in delivery order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// So many of those that a quorum queue hands out again before all others.
    Returned(usize),
    /// This message and everything before it.
    After(Position),
}

impl Place {
    pub const START: Self = Self::Returned(0);
}

/// A step of looking.
#[derive(Debug)]
pub enum Browsed {
    /// What comes next. There may be more, even where this is less than was asked for.
    Messages(Vec<Queued>),
    /// It lies on disk: [`read`](Queue::read_segment) it and ask [`browse_segment`](Queue::browse_segment).
    OnDisk(Segment),
    End,
    /// This kind of queue cannot be looked at.
    NotSupported,
}

/// What was taken out, and what lies on disk.
#[derive(Debug, Default)]
pub struct Taken {
    pub messages: Vec<Queued>,
    /// Segments that may hold others of what was asked for.
    pub on_disk: Vec<Segment>,
}

impl Queue {
    /// What comes after `place`, at most `max` messages, which is moved on.
    pub fn browse(&self, place: &mut Place, max: usize) -> Browsed {
        match &self.content {
            Content::Queue(state) => state.lock().ready.browse(place, max),
            Content::Stream(_) => Browsed::NotSupported,
        }
    }

    /// Has a segment read and `done` called with what is in the file, from another thread. It may be gone
    /// when its messages came to memory meanwhile: then look again.
    pub fn read_segment(&self, segment: &Segment, done: OnRead) {
        if let Some(paging) = &self.paging {
            paging.pager.read(segment, done);
        }
    }

    /// What of a segment, whose messages these are, comes after `place`, at most `max` messages.
    pub fn browse_segment(
        &self,
        segment: &Segment,
        messages: Vec<Queued>,
        place: &mut Place,
        max: usize,
    ) -> Vec<Queued> {
        let Content::Queue(state) = &self.content else { return Vec::new() };
        let mut messages = state.lock().still_there(segment, messages);
        if let Place::After(after) = place {
            messages.retain(|queued| queued.position > *after);
        }
        let more = messages.len() > max;
        messages.truncate(max);
        let reached = messages.last().filter(|_| more).map(|queued| queued.position);
        *place = Place::After(reached.unwrap_or(segment.last));
        messages
    }

    /// Takes out the ready messages at these positions, which are sorted ranges that do not overlap. They are the
    /// caller's now, who has to settle them or give them back by [`requeue`](Self::requeue).
    pub fn take(
        self: &Arc<Self>,
        wanted: &[(u64, u64)],
        now: Time,
        effects: &mut Effects,
    ) -> Taken {
        let Content::Queue(state) = &self.content else { return Taken::default() };
        let mut state = state.lock();
        if state.deleted {
            return Taken::default();
        }
        self.stir(|| state.counts(), effects);
        let (messages, on_disk) = state.ready.take(wanted);
        // Something else may be at the head now.
        state.dispatch(self, now, effects);
        state.report_deadline(self, effects);
        Taken { messages, on_disk }
    }

    /// The same for a segment, whose messages these are. `None` when they came to memory meanwhile:
    /// [`take`](Self::take) them there.
    pub fn take_from_segment(
        &self,
        segment: &Segment,
        messages: Vec<Queued>,
        wanted: &[(u64, u64)],
    ) -> Option<Vec<Queued>> {
        let Content::Queue(state) = &self.content else { return None };
        let mut state = state.lock();
        let mut messages = state.still_there(segment, messages);
        messages.retain(|queued| super::within(wanted, queued.position));
        if !state.ready.take_from(segment, &messages) {
            return None;
        }
        let leftover = state.leftover.get_or_insert_default();
        messages.iter().for_each(|queued| leftover.gone(queued.position));
        Some(messages)
    }

    /// Messages that were taken out are settled, in a group of the store that says where they are now.
    pub fn settle_taken(&self, group: Group, taken: &[Queued]) {
        if let Content::Queue(state) = &self.content {
            let mut state = state.lock();
            taken.iter().for_each(|queued| state.left(queued.position));
        }
        let Some(log) = &self.log else { return };
        let kept = taken.iter().filter(|queued| queued.kept);
        let mut positions: Vec<Position> = kept.map(|queued| queued.position).collect();
        positions.sort_unstable();
        log.settled(group, &positions.into_iter().collect());
    }
}

#[cfg(test)]
mod tests;
