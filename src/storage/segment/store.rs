//! The disk's [`Pager`]: one thread that writes and one that reads.
//!
//! They are two so that a consumer who waits for a segment does not wait for the sync of another. The
//! writer does everything that changes the directory, in the order in which it was asked.
//!
//! A write that fails is the end, as it is for the journal: memory could not be bounded any more. A read
//! that fails costs what could not be read, and a file that cannot be mended stays as it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::file::{self, Place};
use super::format::{self, Decoded};
use super::scan::{Scanned, scan};
use super::{OnRead, OnRemoved, OnWritten, Owner, Pager, Segment, SegmentStats};
use crate::message::Queued;
use crate::storage::disk::Disk;
use crate::storage::journal::OnFailure;
use crate::storage::range_map::RangeSet;
use crate::storage::{StoreError, failed};

/// Removals that may wait for the sync that makes them last.
const REMOVALS_MAX: usize = 64;

/// Segment files in a directory. Dropping it finishes what was asked for and stops the threads.
pub struct SegmentStore {
    shared: Arc<Shared>,
    writes: Mutex<Option<Sender<Write>>>,
    reads: Mutex<Option<Sender<Read>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    place: Place,
    next_number: AtomicU64,
    /// Bytes handed in and not written.
    pressure: AtomicUsize,
    relieved: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    on_failure: Mutex<Option<OnFailure>>,
    /// Held by whoever replaces or removes a file, so that nothing older comes in the place of what is
    /// newer or gone.
    stats: Mutex<SegmentStats>,
    replacing: Mutex<()>,
}

enum Write {
    Messages { owner: Owner, messages: Arc<Vec<Queued>>, bytes: usize, done: OnWritten },
    Anew { segment: Segment, live: RangeSet },
    Removal { segment: Segment, done: OnRemoved },
}

struct Read {
    segment: Segment,
    done: OnRead,
}

impl SegmentStore {
    /// Looks what is in `directory`, which is created if need be. `on_failure` is called at most once,
    /// from the thread that writes.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        on_failure: OnFailure,
    ) -> Result<(Arc<Self>, Scanned), StoreError> {
        let (scanned, next_number) = scan(&*disk, directory)?;
        let place = Place::new(directory);
        let found = scanned.segments.values().flatten().map(|segment| place.path(segment));
        let (files, file_bytes) =
            found.fold((0, 0), |(files, bytes), path| (files + 1, bytes + length(&*disk, &path)));
        let shared = Arc::new(Shared {
            disk,
            place,
            next_number: AtomicU64::new(next_number),
            pressure: AtomicUsize::new(0),
            stats: Mutex::new(SegmentStats { files, file_bytes, ..SegmentStats::default() }),
            relieved: Mutex::default(),
            on_failure: Mutex::new(Some(on_failure)),
            replacing: Mutex::new(()),
        });
        let (writes, to_write) = channel();
        let (reads, to_read) = channel();
        let writer = {
            let shared = Arc::clone(&shared);
            spawn("leveret-pager-w", move || shared.write_all(&to_write))?
        };
        let reader = {
            let shared = Arc::clone(&shared);
            spawn("leveret-pager-r", move || shared.read_all(&to_read))?
        };
        let store = Self {
            shared,
            writes: Mutex::new(Some(writes)),
            reads: Mutex::new(Some(reads)),
            threads: Mutex::new(vec![writer, reader]),
        };
        Ok((Arc::new(store), scanned))
    }

    /// Finishes what was asked for, and takes nothing more.
    pub fn shut_down(&self) {
        (*self.writes.lock(), *self.reads.lock()) = (None, None);
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // The last owner may be what one of the threads is calling.
            if thread.thread().id() != std::thread::current().id() {
                // A panic was reported where it happened.
                let _ = thread.join();
            }
        }
    }

    fn ask(&self, write: Write) {
        if let Some(writes) = &*self.writes.lock() {
            // When the thread is gone, so is the process soon.
            let _ = writes.send(write);
        }
    }
}

/// Of a file; 0 for one that is not there.
fn length(disk: &dyn Disk, path: &Path) -> u64 {
    disk.open_read(path).and_then(|file| file.len()).unwrap_or(0)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| StoreError(format!("cannot start a thread for segments: {error}")))
}

impl Drop for SegmentStore {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl Pager for SegmentStore {
    fn write(&self, owner: Owner, messages: Arc<Vec<Queued>>, done: OnWritten) {
        let bytes = messages.iter().map(|queued| queued.message.weight()).sum();
        self.shared.pressure.fetch_add(bytes, Ordering::AcqRel);
        self.ask(Write::Messages { owner, messages, bytes, done });
    }

    fn read(&self, segment: &Segment, done: OnRead) {
        if let Some(reads) = &*self.reads.lock() {
            let _ = reads.send(Read { segment: segment.clone(), done });
        }
    }

    fn read_now(&self, segment: &Segment) -> Result<Vec<Queued>, StoreError> {
        self.shared.read(segment)
    }

    fn rewrite(&self, segment: &Segment, live: RangeSet) {
        self.ask(Write::Anew { segment: segment.clone(), live });
    }

    fn remove(&self, segment: &Segment, done: OnRemoved) {
        self.ask(Write::Removal { segment: segment.clone(), done });
    }

    fn stats(&self) -> SegmentStats {
        *self.shared.stats.lock()
    }

    fn pressure(&self) -> usize {
        self.shared.pressure.load(Ordering::Acquire)
    }

    fn when_relieved(&self, wake: Box<dyn FnOnce() + Send>) {
        self.shared.relieved.lock().push(wake);
        // If the last write ended meanwhile, nobody else would call.
        if self.pressure() == 0 {
            self.shared.relieve();
        }
    }
}

impl Shared {
    fn write_all(&self, jobs: &Receiver<Write>) {
        let (mut buffer, mut removed) = (Vec::new(), Vec::new());
        while let Some(job) = self.next_job(jobs, &mut removed) {
            let result = match job {
                Write::Messages { owner, messages, bytes, done } => {
                    let written = self.write(owner, &messages, &mut buffer);
                    // Freed here, not under the lock of whoever is called back.
                    drop(messages);
                    self.pressure.fetch_sub(bytes, Ordering::AcqRel);
                    let result = written.as_ref().map(|_| ()).map_err(Clone::clone);
                    done(written);
                    self.relieve();
                    result
                }
                Write::Anew { segment, live } => self.write_anew(&segment, &live, &mut buffer),
                Write::Removal { segment, done } => {
                    removed.push(done);
                    self.remove(&segment)
                }
            };
            result.unwrap_or_else(|error| self.fail(error));
        }
    }

    /// The next thing to do. When there is nothing at once, or enough has been removed, the removals so
    /// far are made to last: one sync for all of them.
    fn next_job(&self, jobs: &Receiver<Write>, removed: &mut Vec<OnRemoved>) -> Option<Write> {
        let next = jobs.try_recv().ok();
        if !removed.is_empty() && (next.is_none() || removed.len() >= REMOVALS_MAX) {
            let directory = &self.place.durable;
            match self.disk.sync_dir(directory).map_err(failed("sync", directory)) {
                Ok(()) => removed.drain(..).for_each(|done| done()),
                Err(error) => self.fail(error),
            }
        }
        next.or_else(|| jobs.recv().ok())
    }

    fn fail(&self, error: StoreError) {
        if let Some(failed) = self.on_failure.lock().take() {
            failed(error);
        }
    }

    fn relieve(&self) {
        let relieved = std::mem::take(&mut *self.relieved.lock());
        relieved.into_iter().for_each(|wake| wake());
    }

    fn write(
        &self,
        owner: Owner,
        messages: &[Queued],
        buffer: &mut Vec<u8>,
    ) -> Result<Segment, StoreError> {
        // What is transient throughout need not survive, whosever it is.
        let owner = if owner.keeps_any(messages) { owner } else { Owner::Nobody };
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let segment = format::encode(number, owner, messages.iter(), buffer);
        let path = self.place.path(&segment);
        let put = match owner {
            Owner::Nobody => file::put_transient(&*self.disk, &path, buffer),
            _ => file::put(&*self.disk, &path, buffer),
        };
        put.map_err(failed("write", &path))?;
        let mut stats = self.stats.lock();
        stats.files += 1;
        stats.written_files += 1;
        stats.file_bytes += buffer.len() as u64;
        stats.written_bytes += buffer.len() as u64;
        Ok(segment)
    }

    fn write_anew(
        &self,
        segment: &Segment,
        live: &RangeSet,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let _one = self.replacing.lock();
        let (file, mut found) = match self.decode(segment) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "a segment cannot be read: it stays as long as it is");
                return Ok(());
            }
        };
        if !found.damage.is_empty()
            && let Err(error) = self.keep_damaged(segment, &file, &found)
        {
            tracing::error!(%error, "a damaged segment stays where it is");
            return Ok(());
        }
        found.messages.retain(|queued| live.get(queued.position.0).is_some());
        self.replace(segment, &found.messages, buffer)
    }

    /// Puts a file with these messages in the place of a segment's.
    fn replace(
        &self,
        segment: &Segment,
        messages: &[Queued],
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        let path = self.place.path(segment);
        let before = length(&*self.disk, &path);
        format::encode(segment.number, segment.owner(), messages.iter(), buffer);
        file::put(&*self.disk, &path, buffer).map_err(failed("write", &path))?;
        let mut stats = self.stats.lock();
        stats.file_bytes = (stats.file_bytes + buffer.len() as u64).saturating_sub(before);
        stats.written_bytes += buffer.len() as u64;
        Ok(())
    }

    fn remove(&self, segment: &Segment) -> Result<(), StoreError> {
        let _one = self.replacing.lock();
        let path = self.place.path(segment);
        let bytes = length(&*self.disk, &path);
        match self.disk.remove(&path) {
            // Set aside, with nothing left to put in its place.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => {
                result.map_err(failed("remove", &path))?;
                let mut stats = self.stats.lock();
                stats.files = stats.files.saturating_sub(1);
                stats.file_bytes = stats.file_bytes.saturating_sub(bytes);
                Ok(())
            }
        }
    }

    fn read_all(&self, jobs: &Receiver<Read>) {
        for Read { segment, done } in jobs {
            done(self.read(&segment));
        }
    }

    fn read(&self, segment: &Segment) -> Result<Vec<Queued>, StoreError> {
        self.stats.lock().read_files += 1;
        let (_, Decoded { messages, damage }) = self.decode(segment)?;
        if !damage.is_empty() {
            self.mend(segment).unwrap_or_else(|error| {
                tracing::error!(%error, "a damaged segment stays where it is");
            });
        }
        Ok(messages)
    }

    fn decode(&self, segment: &Segment) -> Result<(Vec<u8>, Decoded), StoreError> {
        let path = self.place.path(segment);
        let file = self.disk.read_all(&path).map_err(failed("read", &path))?;
        let decoded = format::decode(&file, segment);
        Ok((file, decoded))
    }

    /// Puts what can be read of a damaged segment in its place. At every moment the file has all of
    /// that in it: the journal has let go of it.
    fn mend(&self, segment: &Segment) -> Result<(), StoreError> {
        let _one = self.replacing.lock();
        // Written anew or removed meanwhile, there may be nothing to mend.
        let Ok((file, found)) = self.decode(segment) else { return Ok(()) };
        if found.damage.is_empty() {
            return Ok(());
        }
        self.keep_damaged(segment, &file, &found)?;
        if found.messages.is_empty() {
            let path = self.place.path(segment);
            return self.disk.remove(&path).map_err(failed("remove", &path));
        }
        self.replace(segment, &found.messages, &mut Vec::new())
    }

    /// Reports what is damaged in a file, and keeps a copy for somebody to look at.
    fn keep_damaged(
        &self,
        segment: &Segment,
        file: &[u8],
        found: &Decoded,
    ) -> Result<(), StoreError> {
        let path = self.place.path(segment);
        for (offset, bytes) in &found.damage {
            let path = path.display();
            tracing::error!("{path} is damaged at offset {offset}: {bytes} bytes are unreadable");
        }
        let lost = segment.figures.messages.saturating_sub(found.messages.len());
        let kept = file::keep_copy(&*self.disk, &path, file).map_err(failed("copy", &path))?;
        tracing::error!("{lost} messages are lost, the file is kept as {}", kept.display());
        Ok(())
    }
}
