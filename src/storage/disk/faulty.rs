//! A disk for tests: it fails when it is told to, it can hold a sync back, and it can lose power.
//!
//! It is built into the library, not only into its unit tests, so that integration tests and tools can
//! stand a whole broker on it. Nothing else uses it.
//!
//! It wraps another disk, which holds what a program sees while the power is on. Beside that it knows
//! what would survive: of each file the bytes that were synced, of each directory the entries that
//! were. When the power goes, the rest is taken back, as much of it as the caller says. Two things
//! real disks do are copied faithfully: a removal that was not synced may be undone, and after a sync
//! has failed a later one succeeds and makes nothing durable.
//!
//! The inner disk is not asked to sync files: what survives is decided here, and tests are quicker.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{Disk, DiskFile, DiskRead};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO, and nothing is done. At a sync: what is lost then stays lost.
    Io,
    /// ENOSPC, and nothing is done.
    Full,
    /// An append writes half of its bytes before ENOSPC; any other operation fails like `Full`.
    Short,
}

#[derive(Clone)]
pub struct FaultyDisk(Arc<Shared>);

struct Shared {
    inner: Box<dyn Disk>,
    state: Mutex<State>,
    /// Rung when a sync is held, and when the held ones may go on.
    syncs: Condvar,
}

#[derive(Default)]
struct State {
    operations: u64,
    plan: Option<Plan>,
    /// Counts the losses of power; what was opened before one is of no use after it.
    life: u64,
    off: bool,
    files: BTreeMap<PathBuf, Content>,
    unsynced: Vec<Entry>,
    unlinked: u64,
    syncs: u64,
    holding: bool,
    held: u64,
    free_bytes: Option<u64>,
}

#[derive(Clone, Copy)]
struct Plan {
    at: u64,
    onwards: bool,
    fault: Fault,
}

/// Bytes of a file, and how many of them survive.
#[derive(Clone, Copy)]
struct Content {
    written: u64,
    synced: u64,
    /// A sync has failed, so that later ones say they worked and do not.
    lies: bool,
}

/// A change of a directory that is not synced yet.
enum Entry {
    Created(PathBuf),
    Removed { path: PathBuf, hidden: PathBuf, content: Content },
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<(PathBuf, Content)> },
}

/// What a removed file is called until its removal is synced.
const UNLINKED: &str = ".unlinked-";

impl FaultyDisk {
    pub fn new(inner: impl Disk + 'static) -> Self {
        let (state, syncs) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { inner: Box::new(inner), state, syncs }))
    }

    /// Operations so far. Listing a directory and asking for free bytes are none.
    pub fn operations(&self) -> u64 {
        self.0.state.lock().operations
    }

    /// Syncs of files that were asked for so far.
    pub fn syncs(&self) -> u64 {
        self.0.state.lock().syncs
    }

    /// The operation after `skip` others fails.
    pub fn fail_once(&self, skip: u64, fault: Fault) {
        let mut state = self.0.state.lock();
        state.plan = Some(Plan { at: state.operations + skip, onwards: false, fault });
    }

    /// All operations after `skip` others fail.
    pub fn fail_from(&self, skip: u64, fault: Fault) {
        let mut state = self.0.state.lock();
        state.plan = Some(Plan { at: state.operations + skip, onwards: true, fault });
    }

    pub fn heal(&self) {
        self.0.state.lock().plan = None;
    }

    /// What [`Disk::free_bytes`] answers; `None` for the truth.
    pub fn set_free_bytes(&self, bytes: Option<u64>) {
        self.0.state.lock().free_bytes = bytes;
    }

    /// Keeps syncs of files from returning until [`release_syncs`](Self::release_syncs).
    pub fn hold_syncs(&self) {
        self.0.state.lock().holding = true;
    }

    /// Waits until a sync is being held.
    pub fn wait_for_held_sync(&self) {
        let mut state = self.0.state.lock();
        self.0.syncs.wait_while(&mut state, |state| state.held == 0);
    }

    pub fn release_syncs(&self) {
        self.0.state.lock().holding = false;
        self.0.syncs.notify_all();
    }

    /// From here on every operation fails, so that the program can be ended.
    pub fn power_off(&self) {
        let mut state = self.0.state.lock();
        state.off = true;
        state.holding = false;
        self.0.syncs.notify_all();
    }

    /// The disk as it is found afterwards. `keep` is asked how much of what was not synced survived
    /// all the same: first how many changes of directories, then of each file how many bytes.
    pub fn power_on(&self, mut keep: impl FnMut(u64) -> u64) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.life += 1;
        state.off = false;
        state.plan = None;
        let survivors = usize::try_from(keep(state.unsynced.len() as u64)).unwrap_or(usize::MAX);
        while state.unsynced.len() > survivors {
            let Some(entry) = state.unsynced.pop() else { break };
            self.undo(&mut state, entry)?;
        }
        for entry in std::mem::take(&mut state.unsynced) {
            self.finish(entry)?;
        }
        for (path, content) in std::mem::take(&mut state.files) {
            let unsynced = content.written - content.synced;
            if unsynced > 0 {
                let kept = keep(unsynced).min(unsynced);
                self.0.inner.truncate(&path, content.synced + kept)?;
            }
        }
        Ok(())
    }

    fn undo(&self, state: &mut State, entry: Entry) -> io::Result<()> {
        let inner = &self.0.inner;
        match entry {
            Entry::Created(path) => {
                state.files.remove(&path);
                inner.remove(&path)
            }
            Entry::Removed { path, hidden, content } => {
                state.files.insert(path.clone(), content);
                inner.rename(&hidden, &path)
            }
            Entry::Renamed { from, to, replaced } => {
                inner.rename(&to, &from)?;
                if let Some(content) = state.files.remove(&to) {
                    state.files.insert(from, content);
                }
                let Some((hidden, content)) = replaced else { return Ok(()) };
                inner.rename(&hidden, &to)?;
                state.files.insert(to, content);
                Ok(())
            }
        }
    }

    /// Does what cannot be undone any more.
    fn finish(&self, entry: Entry) -> io::Result<()> {
        match entry {
            Entry::Created(_) | Entry::Renamed { replaced: None, .. } => Ok(()),
            Entry::Removed { hidden, .. } | Entry::Renamed { replaced: Some((hidden, _)), .. } => {
                self.0.inner.remove(&hidden)
            }
        }
    }

    /// Counts an operation, and says how it is to fail.
    fn operation(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.0.state.lock();
        if state.off {
            return Err(error(Fault::Io));
        }
        let at = state.operations;
        state.operations += 1;
        let hit = |plan: &Plan| plan.at == at || (plan.onwards && at > plan.at);
        let fault = state.plan.filter(hit).map(|plan| plan.fault);
        Ok((state, fault))
    }

    /// The same for an operation that does all or nothing.
    fn whole_operation(&self) -> io::Result<MutexGuard<'_, State>> {
        match self.operation()? {
            (state, None) => Ok(state),
            (_, Some(fault)) => Err(error(fault)),
        }
    }

    fn file(&self, state: &mut State, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inner = self.0.inner.open_append(path)?;
        let length = inner.len()?;
        let content = Content { written: length, synced: length, lies: false };
        state.files.entry(path.to_owned()).or_insert(content);
        let (disk, path, life) = (self.clone(), path.to_owned(), state.life);
        Ok(Box::new(FaultyFile { disk, inner, path, life }))
    }

    /// Takes a file out of sight, in such a way that it can come back.
    fn hide(&self, state: &mut State, path: &Path) -> io::Result<(PathBuf, Content)> {
        let length = self.0.inner.open_read(path)?.len()?;
        let content = state.files.remove(path);
        state.unlinked += 1;
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(format!("{UNLINKED}{}", state.unlinked));
        let hidden = PathBuf::from(hidden);
        self.0.inner.rename(path, &hidden)?;
        let synced = Content { written: length, synced: length, lies: false };
        Ok((hidden, content.unwrap_or(synced)))
    }
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let _state = self.whole_operation()?;
        self.0.inner.create_dir_all(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let names = self.0.inner.list(directory)?;
        Ok(names.into_iter().filter(|name| !name.contains(UNLINKED)).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.whole_operation()?;
        drop(self.0.inner.create(path)?);
        state.unsynced.push(Entry::Created(path.to_owned()));
        self.file(&mut state, path)
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.whole_operation()?;
        if self.0.inner.open_read(path).is_err() {
            state.unsynced.push(Entry::Created(path.to_owned()));
        }
        self.file(&mut state, path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        let _state = self.whole_operation()?;
        self.0.inner.open_read(path)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let mut state = self.whole_operation()?;
        self.0.inner.truncate(path, length)?;
        let content = Content { written: length, synced: length, lies: false };
        state.files.insert(path.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.whole_operation()?;
        let (hidden, content) = self.hide(&mut state, path)?;
        state.unsynced.push(Entry::Removed { path: path.to_owned(), hidden, content });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.whole_operation()?;
        let there = self.0.inner.open_read(to).is_ok();
        let replaced = if there { Some(self.hide(&mut state, to)?) } else { None };
        self.0.inner.rename(from, to)?;
        if let Some(content) = state.files.remove(from) {
            state.files.insert(to.to_owned(), content);
        }
        state.unsynced.push(Entry::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.whole_operation()?;
        self.0.inner.list(directory)?;
        let here = |entry: &Entry| {
            let (Entry::Created(path)
            | Entry::Removed { path, .. }
            | Entry::Renamed { to: path, .. }) = entry;
            path.parent() == Some(directory)
        };
        let (done, left) = std::mem::take(&mut state.unsynced).into_iter().partition(here);
        state.unsynced = left;
        let done: Vec<Entry> = done;
        done.into_iter().try_for_each(|entry| self.finish(entry))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let told = self.0.state.lock().free_bytes;
        told.map_or_else(|| self.0.inner.free_bytes(path), Ok)
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    inner: Box<dyn DiskFile>,
    path: PathBuf,
    life: u64,
}

impl FaultyFile {
    /// What is known about this file, unless the power was lost since it was opened.
    fn content<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Content> {
        let alive = state.life == self.life;
        state.files.get_mut(&self.path).filter(|_| alive).ok_or_else(|| error(Fault::Io))
    }
}

impl DiskFile for FaultyFile {
    fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let disk = self.disk.clone();
        let (mut state, fault) = disk.operation()?;
        let content = self.content(&mut state)?;
        let mut bytes = Vec::new();
        for piece in pieces.iter() {
            bytes.extend_from_slice(piece);
        }
        match fault {
            None => {}
            Some(Fault::Short) => bytes.truncate(bytes.len() / 2),
            Some(fault) => return Err(error(fault)),
        }
        self.inner.append(&mut [IoSlice::new(&bytes)])?;
        content.written += bytes.len() as u64;
        fault.map_or(Ok(()), |fault| Err(error(fault)))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let disk = self.disk.clone();
        let (mut state, fault) = disk.operation()?;
        state.syncs += 1;
        // What is appended while the sync is under way is not part of it.
        let written = self.content(&mut state)?.written;
        if state.holding {
            state.held += 1;
            disk.0.syncs.notify_all();
            disk.0.syncs.wait_while(&mut state, |state| state.holding);
            state.held -= 1;
        }
        if state.off {
            return Err(error(Fault::Io));
        }
        let content = self.content(&mut state)?;
        if let Some(fault) = fault {
            content.lies = true;
            return Err(error(fault));
        }
        if !content.lies {
            content.synced = written;
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

fn error(fault: Fault) -> io::Error {
    io::Error::from_raw_os_error(match fault {
        Fault::Io => libc::EIO,
        Fault::Full | Fault::Short => libc::ENOSPC,
    })
}

#[cfg(test)]
mod tests;
