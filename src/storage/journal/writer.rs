//! The journal thread: takes what callers handed in, writes it, syncs it, and says so.
//!
//! One turn is one group: swap the buffer, write, sync, publish the durable position, call whoever
//! waited for it. What the thread writes on its own account ([`recycle`](super::recycle)) goes along with a group and
//! is covered by the same sync.
//!
//! Invariant: nothing is published that was not written and, unless told otherwise, synced before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::active::ActiveFile;
use super::buffer::Note;
use super::live::Live;
use super::record::{self, Record};
use super::recycle::Carry;
use super::{Ending, OnFailure, Options, Shared, Sync};
use crate::storage::disk::Disk;
use crate::storage::{LogPosition, StoreError};

/// A buffer that grew beyond this is given back.
const BUFFER_KEPT: usize = 4 << 20;

pub struct Writer {
    shared: Arc<Shared>,
    pub disk: Arc<dyn Disk>,
    pub directory: PathBuf,
    pub options: Options,
    pub live: Live,
    pub active: ActiveFile,
    pub carry: Option<Carry>,
    /// Records to write on the thread's own account.
    pub own: Vec<u8>,
    /// Whether something was written that no sync has covered.
    unsynced: bool,
    batch: Vec<u8>,
    notes: Vec<(usize, Note)>,
    position: LogPosition,
    records: u64,
    fsyncs: u64,
    sync_micros: u64,
    writes: u64,
    bytes: u64,
    pub carried_bytes: u64,
    pub files_removed: u64,
}

impl Writer {
    pub fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: Options,
        live: Live,
        active: ActiveFile,
    ) -> Self {
        let directory = directory.to_owned();
        let (batch, notes, own) = (Vec::new(), Vec::new(), Vec::new());
        let (position, records, fsyncs, bytes) = (LogPosition(0), 0, 0, 0);
        let (sync_micros, writes) = (0, 0);
        let (unsynced, carry, carried_bytes, files_removed) = (false, None, 0, 0);
        let writer = Self {
            shared,
            disk,
            directory,
            options,
            live,
            active,
            carry,
            own,
            unsynced,
            batch,
            notes,
            position,
            records,
            fsyncs,
            sync_micros,
            writes,
            bytes,
            carried_bytes,
            files_removed,
        };
        writer.publish_stats();
        writer
    }

    /// The whole life of the thread.
    pub fn run(mut self, on_failure: OnFailure) {
        let shared = self.shared.clone();
        let end = catch_unwind(AssertUnwindSafe(|| self.turns()));
        let error = match end {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            // What had panicked was reported by the panic itself.
            Err(_) => Some(StoreError("the journal's thread panicked".to_owned())),
        };
        *shared.failure.lock() = error.clone();
        shared.buffer.lock().close();
        let nobody = std::mem::take(&mut *shared.waiting.lock());
        drop(nobody);
        if let Some(error) = error {
            on_failure(error);
        }
    }

    fn turns(&mut self) -> Result<(), StoreError> {
        // Files that were needed when the log was last open may not be needed now.
        self.remove_files()?;
        loop {
            let ending = self.take_batch()?;
            self.turn(ending.is_some())?;
            match ending {
                None => {}
                Some(Ending::Abrupt) => return Ok(()),
                Some(Ending::Clean(redelivered)) => return self.leave_mark(&redelivered),
            }
        }
    }

    /// Takes what has gathered; waits for it when there is nothing else to do.
    fn take_batch(&mut self) -> Result<Option<Ending>, StoreError> {
        self.batch.clear();
        self.notes.clear();
        if self.batch.capacity() > BUFFER_KEPT {
            self.batch = Vec::new();
        }
        let shared = self.shared.clone();
        let idle = !self.can_carry();
        let mut buffer = shared.buffer.lock();
        shared.work.wait_while(&mut buffer, |buffer| idle && !buffer.wanted);
        if let Some(error) = buffer.refused.take() {
            return Err(error);
        }
        buffer.swap(&mut self.batch, &mut self.notes);
        self.position = buffer.position();
        let ending = shared.ending.lock().take();
        if ending.is_some() {
            buffer.close();
        }
        Ok(ending)
    }

    fn turn(&mut self, last: bool) -> Result<(), StoreError> {
        self.rotate_for(self.batch.len() as u64)?;
        self.enter_batch()?;
        if !last {
            self.carry()?;
        }
        self.write()?;
        self.shared.durable.store(self.position.0, Ordering::Release);
        self.publish_stats();
        let due = self.shared.waiting.lock().due(self.position);
        due.for_each(|wake| wake());
        self.remove_files()
    }

    /// Starts a new file if so many bytes would make this one too large.
    fn rotate_for(&mut self, bytes: u64) -> Result<(), StoreError> {
        let length = self.active.length();
        if length == super::file::HEADER || length + bytes <= self.options.file_bytes {
            return Ok(());
        }
        // A file that is not the last one has to be whole, whatever the kind of sync.
        self.sync()?;
        let next = self.active.number() + 1;
        self.active = ActiveFile::create(&*self.disk, &self.directory, next)?;
        self.live.grow_file(next, self.active.length());
        Ok(())
    }

    /// Makes the batch ready for the file and enters what it says.
    fn enter_batch(&mut self) -> Result<(), StoreError> {
        let (live, file) = (&mut self.live, self.active.number());
        let mut notes = std::mem::take(&mut self.notes).into_iter().peekable();
        self.records += self.active.seal(0, &mut self.batch, |at, content| {
            while let Some((_, note)) = notes.next_if(|(made, _)| *made <= at) {
                enter_note(live, note, file);
            }
            enter(live, content, file)
        })?;
        notes.for_each(|(_, note)| enter_note(live, note, file));
        live.enter(file);
        Ok(())
    }

    /// Makes the thread's own records ready for the file, behind the batch.
    pub fn enter_own(&mut self) -> Result<(), StoreError> {
        let (live, file) = (&mut self.live, self.active.number());
        self.records += self
            .active
            .seal(self.batch.len(), &mut self.own, |_, content| enter(live, content, file))?;
        live.enter(file);
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let bytes = (self.batch.len() + self.own.len()) as u64;
        if bytes == 0 {
            return Ok(());
        }
        self.active.append([&self.batch, &self.own])?;
        self.live.grow_file(self.active.number(), bytes);
        self.bytes += bytes;
        self.writes += 1;
        self.carried_bytes += self.own.len() as u64;
        self.own.clear();
        self.unsynced = true;
        match self.options.sync {
            Sync::Always => self.sync(),
            Sync::Os => Ok(()),
        }
    }

    pub fn sync(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.unsynced) {
            let started = Instant::now();
            self.active.sync()?;
            let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.sync_micros = self.sync_micros.saturating_add(took);
            self.fsyncs += 1;
        }
        Ok(())
    }

    /// The last thing in a log that ended well.
    fn leave_mark(&mut self, redelivered: &[(u64, Vec<(u64, u64)>)]) -> Result<(), StoreError> {
        self.batch.clear();
        for (queue, ranges) in redelivered {
            record::put_redelivered(&mut self.batch, *queue, ranges);
        }
        let returned = std::mem::take(&mut *self.shared.returned.lock());
        for (queue, counts) in &returned {
            record::put_returned(&mut self.batch, *queue, counts);
        }
        record::put_clean(&mut self.batch);
        self.enter_batch()?;
        self.write()?;
        self.sync()?;
        self.publish_stats();
        Ok(())
    }

    pub fn publish_stats(&self) {
        let mut stats = self.shared.stats.lock();
        stats.fsyncs = self.fsyncs;
        stats.sync_micros = self.sync_micros;
        stats.writes = self.writes;
        stats.records = self.records;
        stats.bytes = self.bytes;
        stats.carried_bytes = self.carried_bytes;
        stats.files_removed = self.files_removed;
        stats.files = self.live.files().len() as u64;
        stats.file_bytes = self.live.total_bytes();
        stats.live_bytes = self.live.live_bytes();
        stats.live_messages = self.live.live_messages();
    }
}

fn enter(live: &mut Live, content: &[u8], file: u64) -> Result<(), StoreError> {
    let record = Record::decode(content)
        .ok_or_else(|| StoreError("the journal was handed what is no record".to_owned()))?;
    live.apply(&record, file).map_err(|unknown| {
        let (queue, number) = (unknown.queue, unknown.number);
        StoreError(format!("queue {queue} took message {number}, which the journal does not hold"))
    })
}

fn enter_note(live: &mut Live, note: Note, file: u64) {
    live.enter(file);
    match note {
        Note::InSegments { queue, first, last } => live.in_segments(queue, first, last),
        Note::SegmentDropped { queue, first, last } => live.segment_dropped(queue, first, last),
        Note::SegmentsKnown => live.segments_known(),
        Note::Released { first, last } => live.released(first, last),
    }
}
