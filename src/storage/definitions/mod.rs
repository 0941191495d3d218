//! Definitions in one file, `definitions.redb`.
//!
//! In come changes from all connections, out go their `done`s. One thread commits everything that is
//! waiting in one transaction and syncs it; what comes meanwhile is the next group, so grouping
//! appears with the load and costs nobody a delay.
//!
//! A failed commit leaves the file in a state that nobody knows. From then on the store is poisoned:
//! that group and every later change fails, and `on_failure`, which was given at open, is told once.
//!
//! Invariant: `commit` neither blocks nor touches the file, so the broker may call it under its locks.

mod access_row;
mod committer;
mod row;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use redb::{Database, ReadableDatabase, ReadableTable};

use self::access_row::ACCESS;
use self::row::{
    DEFAULTS_ROW, DEFINITIONS, FORMAT, FORMAT_ROW, META, OLDEST_FORMAT, QUEUE_IDS_ROW,
};
use super::{Access, Change, Commit, Definition, DefinitionStore, Done, QueueId, StoreError};
use crate::names::VhostName;

const FILE: &str = "definitions.redb";

/// Where a new file grows up; it gets its name when it can be opened again.
const NEW_FILE: &str = "definitions.redb.new";

/// Queue ids that are set aside at a time. What was set aside and not used is lost at a restart.
const QUEUE_IDS_RESERVED: u64 = 1 << 32;

/// Bytes of the file that redb may keep in memory. It is written far more than read.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Told once that nothing can be stored any more.
pub type OnFailure = Box<dyn FnOnce(StoreError) + Send>;

/// Definitions on disk.
pub struct RedbDefinitions {
    shared: Arc<Shared>,
    /// The thread holds the file open, and closes it when it ends.
    database: Weak<Database>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What everybody and the thread work with.
struct Shared {
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// `committed` has moved, or the store has failed.
    progress: Condvar,
    requested: AtomicU64,
    committed: AtomicU64,
    transactions: AtomicU64,
    next_queue_id: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    failed: Option<StoreError>,
    /// How many want what is waiting to be committed together with what comes.
    holds: usize,
    /// Nothing more is taken in.
    closing: bool,
}

/// Somebody waits for a change, or just for all those before.
struct Waiting {
    change: Option<(VhostName, Change)>,
    done: Done,
}

impl RedbDefinitions {
    /// Opens the file in `directory`, or makes one. Errors are one line and name the file.
    pub fn open(directory: &Path, on_failure: OnFailure) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let named = |error: String| StoreError(format!("cannot use {}: {error}", path.display()));
        // redb checks every page, but says itself that an altered file may make it panic.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            if !path.try_exists().map_err(|error| error.to_string())? {
                create(directory).map_err(|error| error.to_string())?;
            }
            let database = builder().open(&path).map_err(|error| error.to_string())?;
            prepare(&database).map(|reserved| (database, reserved))
        }));
        let opened = opened.unwrap_or_else(|_| Err("it is damaged".to_owned()));
        let (database, reserved) = opened.map_err(named)?;
        Self::start(database, reserved, on_failure)
            .map_err(|error| named(format!("cannot start a thread: {error}")))
    }

    fn start(
        database: Database,
        reserved: std::ops::Range<u64>,
        on_failure: OnFailure,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            requested: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            next_queue_id: AtomicU64::new(reserved.start),
        });
        let database = Arc::new(database);
        let weak = Arc::downgrade(&database);
        let thread = committer::spawn(Arc::clone(&shared), database, reserved.end, on_failure)?;
        Ok(Self { shared, database: weak, thread: Mutex::new(Some(thread)) })
    }

    /// Everything that is in the file: vhosts before what is in them, ends before bindings.
    pub fn load(&self) -> Result<Vec<Definition>, StoreError> {
        let Some(database) = self.database.upgrade() else {
            return Err(closed());
        };
        read(|| load(&database))
    }

    /// The users and permissions in the file.
    pub fn load_access(&self) -> Result<Access, StoreError> {
        let Some(database) = self.database.upgrade() else {
            return Err(closed());
        };
        read(|| load_access(&database))
    }

    /// Transactions committed so far: how well changes group.
    pub fn transactions(&self) -> u64 {
        self.shared.transactions.load(Ordering::Relaxed)
    }

    /// Commits what is waiting and closes the file. Later changes fail.
    pub fn close(&self) {
        self.shared.state.lock().closing = true;
        self.shared.work.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // Its panics are caught where they could come from.
            let _ = thread.join();
        }
    }
}

impl DefinitionStore for RedbDefinitions {
    fn commit(&self, vhost: &VhostName, change: Change, done: Done) -> Commit {
        self.wait_in_line(Waiting { change: Some((vhost.clone(), change)), done })
    }

    fn next_queue_ids(&self, count: u64) -> QueueId {
        QueueId(self.shared.next_queue_id.fetch_add(count, Ordering::Relaxed))
    }

    fn requested(&self) -> u64 {
        self.shared.requested.load(Ordering::Acquire)
    }

    fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Acquire)
    }

    fn when_committed(&self, count: u64, done: Done) -> Commit {
        if count <= self.committed() {
            return Commit::Now;
        }
        // Behind all that was handed in is behind the first `count` too.
        self.wait_in_line(Waiting { change: None, done })
    }

    fn wait_committed(&self, count: u64) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        while count > self.committed() {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            self.shared.progress.wait(&mut state);
        }
        Ok(())
    }

    fn hold(&self) {
        self.shared.state.lock().holds += 1;
    }

    fn release(&self) {
        let mut state = self.shared.state.lock();
        state.holds = state.holds.saturating_sub(1);
        drop(state);
        self.shared.work.notify_one();
    }
}

impl RedbDefinitions {
    fn wait_in_line(&self, waiting: Waiting) -> Commit {
        let mut state = self.shared.state.lock();
        if state.closing {
            drop(state);
            (waiting.done)(Err(closed()));
            return Commit::Later;
        }
        if waiting.change.is_some() {
            self.shared.requested.fetch_add(1, Ordering::Release);
        }
        state.waiting.push(waiting);
        drop(state);
        self.shared.work.notify_one();
        Commit::Later
    }
}

impl Drop for RedbDefinitions {
    fn drop(&mut self) {
        self.close();
    }
}

fn read<T>(load: impl FnOnce() -> Result<T, String>) -> Result<T, StoreError> {
    let loaded = catch_unwind(AssertUnwindSafe(load));
    let loaded = loaded.unwrap_or_else(|_| Err("it is damaged".to_owned()));
    loaded.map_err(|error| StoreError(format!("cannot read {FILE}: {error}")))
}

fn closed() -> StoreError {
    StoreError("the definitions are closed".to_owned())
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    // Reads all of the file, which is small, and finds damage where it can still be reported.
    builder.set_check_integrity_on_open(true);
    builder
}

/// Makes a new file. Only one that is whole gets the name that is looked for, so that a crash in here
/// is not mistaken for damage.
fn create(directory: &Path) -> Result<(), redb::Error> {
    let unfinished = directory.join(NEW_FILE);
    if unfinished.try_exists()? {
        std::fs::remove_file(&unfinished)?;
    }
    let database = builder().create(&unfinished)?;
    initialize(&database)?;
    drop(database);
    std::fs::rename(&unfinished, directory.join(FILE))?;
    File::open(directory)?.sync_all()?;
    Ok(())
}

fn initialize(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(DEFINITIONS)?;
    transaction.open_table(ACCESS)?;
    transaction.open_table(META)?.insert(FORMAT_ROW, FORMAT)?;
    transaction.commit()?;
    Ok(())
}

/// Checks the version and sets queue ids aside: those from the range's start on are free, and those
/// from its end on may not be used yet.
fn prepare(database: &Database) -> Result<std::ops::Range<u64>, String> {
    let format = format(database).map_err(|error| error.to_string())?;
    match format {
        Some(FORMAT) => {}
        Some(OLDEST_FORMAT..FORMAT) => upgrade(database).map_err(|error| error.to_string())?,
        Some(other) => {
            return Err(format!(
                "its format is {other}, and this version of leveret reads format {FORMAT}"
            ));
        }
        None => return Err("it does not say its format".to_owned()),
    }
    reserve(database).map_err(|error| error.to_string())
}

fn format(database: &Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    let format = transaction.open_table(META)?.get(FORMAT_ROW)?.map(|row| row.value());
    Ok(format)
}

/// Makes a file of an older format one of this.
fn upgrade(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ACCESS)?;
    transaction.open_table(META)?.insert(FORMAT_ROW, FORMAT)?;
    transaction.commit()?;
    Ok(())
}

fn reserve(database: &Database) -> Result<std::ops::Range<u64>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut meta = transaction.open_table(META)?;
    let start = meta.get(QUEUE_IDS_ROW)?.map_or(1, |row| row.value());
    let end = start.saturating_add(QUEUE_IDS_RESERVED);
    meta.insert(QUEUE_IDS_ROW, end)?;
    drop(meta);
    transaction.commit()?;
    Ok(start..end)
}

fn load(database: &Database) -> Result<Vec<Definition>, String> {
    let rows = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        Ok(transaction.open_table(DEFINITIONS)?)
    };
    let table = rows().map_err(|error| error.to_string())?;
    let mut definitions = Vec::new();
    for row in table.iter().map_err(|error| error.to_string())? {
        let (key, value) = row.map_err(|error| error.to_string())?;
        let (vhost, kind, name) = key.value();
        let definition = row::decode(vhost, kind, name, value.value()).map_err(|fault| {
            let name = String::from_utf8_lossy(name);
            format!("the row of kind {kind} named '{name}' in vhost '{vhost}': {fault}")
        })?;
        definitions.push(definition);
    }
    Ok(definitions)
}

fn load_access(database: &Database) -> Result<Access, String> {
    let rows = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        let defaults_made = transaction.open_table(META)?.get(DEFAULTS_ROW)?.is_some();
        Ok((transaction.open_table(ACCESS)?, defaults_made))
    };
    let (table, defaults_made) = rows().map_err(|error| error.to_string())?;
    Ok(Access { defaults_made, ..access_row::load(&table)? })
}
