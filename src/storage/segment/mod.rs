//! What makes queues longer than memory: runs of messages in files of their own.
//!
//! A queue that has outgrown its budget hands its newest messages to a [`Pager`], which writes them as a
//! segment, and asks for the oldest segment back before it is missed. A segment is written once, in one
//! go. What a queue keeps of it is a [`Segment`]: a few words, whatever lies in it.
//!
//! Segments do not make anything durable, the journal does; but once a segment is synced, the journal
//! need not keep what is in it. So the file stays until everything persistent in it is settled, also
//! while its messages are back in memory ([`OpenSegments`] keeps the account), and a file of which most
//! is settled is written anew without that. Transient messages go to files of their own directory, which
//! is emptied at every start.
//!
//! ```text
//! segments/{queue}-{number}.seg       hexadecimal; what is in it survives a restart
//! segments/{…}.seg.damaged            set aside: something in it could not be read
//! segments/transient/{number}.seg     gone with the process
//! ```

mod file;
mod format;
mod held;
mod open;
mod scan;
mod store;

use std::sync::Arc;

pub use self::held::HeldPager;
pub use self::open::OpenSegments;
pub use self::scan::Scanned;
pub use self::store::SegmentStore;

use super::range_map::RangeSet;
use super::{LogPosition, QueueId, StoreError};
use crate::message::{Position, Queued};
use crate::time::Time;

/// What messages come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub messages: usize,
    /// Body bytes.
    pub bytes: usize,
    /// How many have a deadline.
    pub deadlines: usize,
    /// How many the store knows, and the bytes of their bodies.
    pub persistent: usize,
    pub persistent_bytes: usize,
}

impl Figures {
    #[inline]
    pub fn add(&mut self, queued: &Queued) {
        let bytes = queued.message.body_size();
        self.messages += 1;
        self.bytes += bytes;
        if queued.kept {
            self.persistent += 1;
            self.persistent_bytes += bytes;
        }
        self.deadlines += usize::from(queued.deadline != Time::NEVER);
    }

    #[inline]
    pub fn remove(&mut self, queued: &Queued) {
        let bytes = queued.message.body_size();
        self.messages -= 1;
        self.bytes -= bytes;
        if queued.kept {
            self.persistent -= 1;
            self.persistent_bytes -= bytes;
        }
        self.deadlines -= usize::from(queued.deadline != Time::NEVER);
    }

    pub fn of<'a>(messages: impl IntoIterator<Item = &'a Queued>) -> Self {
        let mut figures = Self::default();
        messages.into_iter().for_each(|queued| figures.add(queued));
        figures
    }

    pub fn add_all(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.deadlines += other.deadlines;
        self.persistent += other.persistent;
        self.persistent_bytes += other.persistent_bytes;
    }

    /// Never below zero, whatever a file has claimed.
    pub fn remove_all(&mut self, other: Self) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.deadlines = self.deadlines.saturating_sub(other.deadlines);
        self.persistent = self.persistent.saturating_sub(other.persistent);
        self.persistent_bytes = self.persistent_bytes.saturating_sub(other.persistent_bytes);
    }
}

/// Whose messages a segment holds, and which of them it keeps over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// No durable queue: everything is gone with the process.
    Nobody,
    Queue(QueueId),
    /// The deadline of a stream's message is when it came.
    Stream(QueueId),
}

impl Owner {
    pub fn id(self) -> Option<QueueId> {
        match self {
            Self::Nobody => None,
            Self::Queue(id) | Self::Stream(id) => Some(id),
        }
    }

    /// Whether a message that its owner may need after a restart is among these.
    fn keeps_any(self, messages: &[Queued]) -> bool {
        messages.iter().any(|queued| self.keeps(queued))
    }

    fn keeps(self, queued: &Queued) -> bool {
        self != Self::Nobody && queued.kept
    }
}

/// What only streams ask of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Bytes of its messages in the file.
    pub length: u64,
    /// When the first and when the last message came.
    pub since: Time,
    pub until: Time,
}

impl Span {
    /// Of messages of a stream, in the order in which they came.
    pub fn of(messages: &[Queued]) -> Self {
        let time = |queued: Option<&Queued>| queued.map_or(Time(0), |queued| queued.deadline);
        let length = messages.iter().map(|queued| format::message_bytes(&queued.message)).sum();
        Self { length, since: time(messages.first()), until: time(messages.last()) }
    }
}

/// A file of messages, in the order of their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its own as long as the process runs, and over restarts while the file is there.
    pub number: u64,
    /// Whose it is, when it survives a restart.
    pub queue: Option<QueueId>,
    pub first: Position,
    pub last: Position,
    pub figures: Figures,
    /// How many of the messages are persistent.
    pub persistent: usize,
    /// Of a stream's segment.
    pub span: Option<Span>,
    /// It was there before the process: transient messages in it count as gone, and some of the others
    /// may be settled.
    pub recovered: bool,
}

impl Segment {
    pub fn owner(&self) -> Owner {
        match self.queue {
            None => Owner::Nobody,
            Some(id) if self.span.is_some() => Owner::Stream(id),
            Some(id) => Owner::Queue(id),
        }
    }
}

/// Figures of all segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Files there are now, and how large they are together; those that were set aside are not counted.
    pub files: u64,
    pub file_bytes: u64,
    /// Since the start.
    pub written_bytes: u64,
    pub written_files: u64,
    pub read_files: u64,
}

/// What is called with a segment that was written.
pub type OnWritten = Box<dyn FnOnce(Result<Segment, StoreError>) + Send>;

/// What is called with the messages of a segment.
pub type OnRead = Box<dyn FnOnce(Result<Vec<Queued>, StoreError>) + Send>;

/// What is called when a segment is gone for good.
pub type OnRemoved = Box<dyn FnOnce() + Send>;

/// Writes and reads segments on threads of its own. Nothing here waits; callers may hold a queue's
/// lock, and callbacks must not take one.
pub trait Pager: Send + Sync {
    /// Writes messages, which stand in the order of their positions and are not none. Those of one queue
    /// are called back in the order of the calls. When called back with a segment that survives a restart,
    /// it is synced.
    fn write(&self, owner: Owner, messages: Arc<Vec<Queued>>, done: OnWritten);

    /// Reads all messages of a segment. What is damaged is left out, reported and set aside.
    fn read(&self, segment: &Segment, done: OnRead);

    /// The same at once, for recovery.
    fn read_now(&self, segment: &Segment) -> Result<Vec<Queued>, StoreError>;

    /// Writes a segment anew with nothing but the messages at these positions.
    fn rewrite(&self, segment: &Segment, live: RangeSet);

    /// Removes the file, after everything that was asked for before. `done` is called when a loss of
    /// power cannot bring it back.
    fn remove(&self, segment: &Segment, done: OnRemoved);

    fn stats(&self) -> SegmentStats {
        SegmentStats::default()
    }

    /// Bytes that were handed in to be written and are not yet.
    fn pressure(&self) -> usize;

    /// Calls `wake` when less is waiting to be written than now; at once when nothing is.
    fn when_relieved(&self, wake: Box<dyn FnOnce() + Send>);

    /// What is written from here on may hold messages of a group of the store. They must not survive a
    /// restart that the group does not; so the end has to be told as well.
    fn begin_group(&self) {}

    /// The group has ended there.
    fn end_group(&self, _end: LogPosition) {}
}

#[cfg(test)]
mod tests;
