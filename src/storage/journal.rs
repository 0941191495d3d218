//! The log that makes things durable: append only, for all queues together, synced in groups.
//!
//! ```text
//! callers → buffer → "leveret-journal" thread: write, sync → durable position → whoever waits for it
//! ```
//!
//! Callers encode records under one small lock, which is a leaf: they may hold a queue's lock, and
//! they never wait for a file. The thread takes what has gathered, writes it at once, syncs, and
//! moves the durable position; meanwhile the next group gathers. So batches form without a timer.
//!
//! A message is in the log once, under a number. That a queue took it, and that it is settled, are
//! records that name the queue and the message's position there. Everything in memory is kept per
//! range of positions (see `live`), not per message.
//!
//! **How much disk it takes.** Files are only ever removed oldest first. A file that is home to
//! nothing needed goes at once. When the journal is larger than `2 × live bytes + 4 × file_bytes`, the
//! thread carries what is needed of the oldest file to the newest, a piece with each group, until the
//! file can go (`recycle`). So one old message that stays for ever is copied now and then, and pins
//! nothing.
//!
//! What carrying costs: it goes on only while more than half of the log is waste. Between two
//! times that one message is carried, the whole log was replaced; the copies in that round are at most
//! the live bytes at its beginning, the waste removed was more than that. A message's bytes turn to
//! waste once, so in the long run no more bytes are copied than were handed in.
//!
//! Any write or sync that fails is the end: `durable` does not move again, so nothing is confirmed that
//! might not be there, and the owner is told, once, to stop the process.
//!
//! Invariant: only the journal thread touches files once the journal is open; no callback is called
//! under a lock.

mod active;
mod buffer;
mod file;
mod live;
pub mod range_map;
mod record;
mod recovery;
mod recycle;
mod waiting;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

pub(super) use self::active::failed;
use self::buffer::{Buffer, Note};
pub(super) use self::recovery::message_of;
pub use self::recovery::{Recovered, RecoveredMessage, RecoveredQueue};
use self::waiting::Waiting;
use self::writer::Writer;
use super::disk::Disk;
use super::{LogPosition, StoreError};
use crate::message::Message;
use crate::time::Time;

/// When something handed in counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// When it has been synced: it survives a loss of power.
    Always,
    /// When it has been written: it survives the end of the process.
    Os,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub sync: Sync,
    /// A file that has grown to this is followed by another one.
    pub file_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { sync: Sync::Always, file_bytes: 64 << 20 }
    }
}

/// Figures of a journal, since it was opened unless they say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JournalStats {
    /// Groups that were synced. What it takes to start or remove a file is not counted.
    pub fsyncs: u64,
    /// How long that took, all together.
    pub sync_micros: u64,
    /// Groups that were written.
    pub writes: u64,
    pub records: u64,
    /// Bytes written, carried ones included.
    pub bytes: u64,
    /// Bytes that were written again to get rid of an old file.
    pub carried_bytes: u64,
    pub files_removed: u64,
    /// Files there are now, and how large they are together.
    pub files: u64,
    pub file_bytes: u64,
    /// What is needed of that.
    pub live_bytes: u64,
    pub live_messages: u64,
}

/// What to call with the reason when the journal fails.
pub type OnFailure = Box<dyn FnOnce(StoreError) + Send>;

/// An open journal. Dropping it writes what was handed in and stops the thread; only
/// [`shut_down`](Self::shut_down) leaves the mark of a clean end.
///
/// Four kinds of calls: what queues do ([`store`](Self::store) to [`queue_gone`](Self::queue_gone)),
/// what segments do ([`in_segments`](Self::in_segments) to
/// [`segment_dropped`](Self::segment_dropped)), how far it has got, and the end. All may be made under
/// a queue's lock, but for the end.
pub struct Journal {
    shared: Arc<Shared>,
    next_group: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and the thread share.
struct Shared {
    buffer: Mutex<Buffer>,
    /// Rung when the thread has something to do.
    work: Condvar,
    /// Copy of the buffer's, to be read without its lock.
    position: AtomicU64,
    durable: AtomicU64,
    waiting: Mutex<Waiting>,
    stats: Mutex<JournalStats>,
    ending: Mutex<Option<Ending>>,
    /// What a clean end is to remember of quorum queues.
    returned: Mutex<ReturnedCounts>,
    failure: Mutex<Option<StoreError>>,
}

/// By queue: positions, first and last, and how often their messages came back.
pub type ReturnedCounts = Vec<(u64, Vec<(u64, u64, u32)>)>;

/// How the thread is to end.
enum Ending {
    Abrupt,
    Clean(Vec<(u64, Vec<(u64, u64)>)>),
}

impl Journal {
    /// Reads what is in `directory`, which is created if need be, and goes on from there.
    /// `on_failure` is called at most once, from the journal thread.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: Options,
        on_failure: OnFailure,
    ) -> Result<(Arc<Self>, Recovered), StoreError> {
        let found = recovery::recover(&*disk, directory, &options)?;
        let shared = Arc::new(Shared {
            buffer: Mutex::new(Buffer::starting_with(found.next_number)),
            work: Condvar::new(),
            position: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            waiting: Mutex::default(),
            stats: Mutex::default(),
            ending: Mutex::default(),
            returned: Mutex::default(),
            failure: Mutex::default(),
        });
        let writer =
            Writer::new(shared.clone(), disk, directory, options, found.live, found.active);
        let thread = std::thread::Builder::new()
            .name("leveret-journal".to_owned())
            .spawn(move || writer.run(on_failure))
            .map_err(|error| StoreError(format!("cannot start the journal's thread: {error}")))?;
        let next_group = AtomicU64::new(found.next_group);
        let journal = Self { shared, next_group, thread: Mutex::new(Some(thread)) };
        Ok((Arc::new(journal), found.recovered))
    }

    /// Hands in messages, each once, whatever number of queues will take them. They get consecutive
    /// numbers, and stay in the journal while what is returned lives: keep it until the last
    /// queue has taken its share. `now` comes back with them when the journal is opened again.
    pub fn store(&self, messages: &mut dyn Iterator<Item = &Message>, now: Time) -> Stored {
        let (first, count) = self.with(|buffer| buffer.store(messages, now));
        Stored { first, count, shared: self.shared.clone() }
    }

    /// `queue` took `count` messages from `number` on, at as many positions from `position` on.
    pub fn enqueue(
        &self,
        group: u64,
        queue: u64,
        position: u64,
        number: u64,
        count: u32,
    ) -> LogPosition {
        self.enqueue_runs(group, queue, &[(position, number, count)])
    }

    /// The same for several runs of (position, number, count), in the order of their positions.
    ///
    /// With a group other than 0 it counts from the end of the group on, and the position that
    /// [`end_group`](Self::end_group) returns is the one to wait for.
    pub fn enqueue_runs(&self, group: u64, queue: u64, runs: &[(u64, u64, u32)]) -> LogPosition {
        self.with(|buffer| buffer.enqueue(group, queue, runs))
    }

    /// Positions (first, last) of a queue are done with: consumed, expired, dropped, purged, moved to
    /// another queue by the same group.
    pub fn settle(&self, group: u64, queue: u64, ranges: &[(u64, u64)]) -> LogPosition {
        self.with(|buffer| buffer.settle(group, queue, ranges))
    }

    /// A name for enqueues and settlements that count together or not at all.
    pub fn new_group(&self) -> u64 {
        self.next_group.fetch_add(1, Ordering::Relaxed)
    }

    /// Everything of the group goes to the log now. A group that is never ended leaves no trace.
    pub fn end_group(&self, group: u64) -> LogPosition {
        let (position, wakes) = self.with(|buffer| buffer.end_group(group));
        wakes.into_iter().for_each(|wake| self.when_durable(position, wake));
        position
    }

    /// The queue and all it holds are gone. Its number must not be used again.
    pub fn queue_gone(&self, queue: u64) -> LogPosition {
        self.with(|buffer| buffer.put(|out| record::put_queue_gone(out, queue)))
    }

    /// Positions are in a segment file of the queue, or about to be written to one. From here on the
    /// journal remembers which of them are settled.
    ///
    /// To be told of every segment after opening, and of positions before they are handed to the one
    /// who writes a segment, under the queue's lock: what is settled while that goes on is then
    /// not forgotten.
    pub fn in_segments(&self, queue: u64, first: u64, last: u64) {
        self.with(|buffer| buffer.note(Note::InSegments { queue, first, last }));
    }

    /// All segments there are have been told. Until then the settled positions of all queues are
    /// remembered, because any might be in a segment.
    pub fn segments_known(&self) {
        self.with(|buffer| {
            buffer.note(Note::SegmentsKnown);
            buffer.wanted = true;
        });
    }

    /// These positions are safe in a segment: it is synced, and found after a restart. The journal
    /// need not keep them any longer.
    pub fn moved(&self, queue: u64, first: u64, last: u64) -> LogPosition {
        self.with(|buffer| buffer.put(|out| record::put_moved(out, queue, first, last)))
    }

    /// These positions are in no segment any more, so it does not matter which of them were settled.
    pub fn segment_dropped(&self, queue: u64, first: u64, last: u64) {
        self.with(|buffer| buffer.note(Note::SegmentDropped { queue, first, last }));
    }

    /// Everything handed in so far.
    pub fn position(&self) -> LogPosition {
        LogPosition(self.shared.position.load(Ordering::Acquire))
    }

    /// Everything up to here is durable. Never goes back; never moves again after a failure.
    pub fn durable(&self) -> LogPosition {
        LogPosition(self.shared.durable.load(Ordering::Acquire))
    }

    /// Calls `wake` once `durable` has reached `position`: at once when it has, else from the journal
    /// thread, which waits for it to return. Never, if the journal fails before.
    pub fn when_durable(&self, position: LogPosition, wake: Box<dyn FnOnce() + Send>) {
        let mut waiting = self.shared.waiting.lock();
        if position <= self.durable() {
            drop(waiting);
            return wake();
        }
        waiting.add(position, wake);
        drop(waiting);
        let closed = self.with(|buffer| {
            buffer.wanted |= !buffer.bytes.is_empty();
            buffer.is_closed()
        });
        if closed {
            drop(std::mem::take(&mut *self.shared.waiting.lock()));
        }
    }

    /// Calls `wake` once what was handed in with `group` is durable, which it can only become when the
    /// group has ended; with 0, all that was handed in so far. Never, if the journal fails before.
    pub fn when_group_durable(&self, group: u64, wake: Box<dyn FnOnce() + Send>) {
        if group == 0 {
            return self.when_durable(self.position(), wake);
        }
        self.with(|buffer| buffer.when_group_ends(group, wake));
    }

    /// Bytes handed in that are not durable yet. Over some bound, stop reading publishers.
    pub fn pressure(&self) -> usize {
        let behind = self.position().0.saturating_sub(self.durable().0);
        usize::try_from(behind).unwrap_or(usize::MAX)
    }

    pub fn stats(&self) -> JournalStats {
        *self.shared.stats.lock()
    }

    /// How often the messages of quorum queues have come back: queue, then positions (first, last) and
    /// count. To be said before [`shut_down`](Self::shut_down), which keeps it.
    pub fn note_returned(&self, returned: ReturnedCounts) {
        *self.shared.returned.lock() = returned;
    }

    /// Writes everything handed in, then which positions were delivered before, then the mark of a
    /// clean end; syncs, and stops the thread. Calls after that are ignored. Not to be called from
    /// a `wake`.
    pub fn shut_down(&self, redelivered: &[(u64, Vec<(u64, u64)>)]) -> Result<(), StoreError> {
        self.end(Ending::Clean(redelivered.to_vec()));
        self.shared.failure.lock().clone().map_or(Ok(()), Err)
    }

    fn end(&self, ending: Ending) {
        let Some(thread) = self.thread.lock().take() else { return };
        *self.shared.ending.lock() = Some(ending);
        self.with(|buffer| buffer.wanted = true);
        // The last owner may be a `wake` that the thread itself is calling.
        if thread.thread().id() != std::thread::current().id() {
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Buffer) -> R) -> R {
        self.shared.with(work)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end(Ending::Abrupt);
    }
}

impl Shared {
    /// Does something to the buffer, and wakes the thread if that made work for it.
    fn with<R>(&self, work: impl FnOnce(&mut Buffer) -> R) -> R {
        let mut buffer = self.buffer.lock();
        let asleep = !buffer.wanted;
        let result = work(&mut buffer);
        self.position.store(buffer.position().0, Ordering::Release);
        let wake = asleep && buffer.wanted;
        drop(buffer);
        if wake {
            self.work.notify_one();
        }
        result
    }
}

/// Messages that may still be handed to queues. While this lives they stay in the journal, also when a
/// queue that took them has settled them already.
#[must_use = "what is not held may be gone before a queue has taken it"]
pub struct Stored {
    first: u64,
    count: u64,
    shared: Arc<Shared>,
}

impl Stored {
    /// The number of the first message; the others follow.
    pub fn first(&self) -> u64 {
        self.first
    }

    pub fn count(&self) -> u64 {
        self.count
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Some(last) = (self.first + self.count).checked_sub(1).filter(|_| self.count > 0) {
            self.shared.with(|buffer| buffer.note(Note::Released { first: self.first, last }));
        }
    }
}

#[cfg(test)]
mod tests;
