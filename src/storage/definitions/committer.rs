//! The thread that commits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use redb::{Database, Table, WriteTransaction};

use super::access_row::{self, ACCESS};
use super::row::{DEFAULTS_ROW, DEFINITIONS, Key, META, QUEUE_IDS_ROW, Write};
use super::{OnFailure, QUEUE_IDS_RESERVED, Shared, Waiting, closed};
use crate::names::VhostName;
use crate::storage::{AccessChange, Change, StoreError};

struct Committer {
    shared: Arc<Shared>,
    database: Arc<Database>,
    /// Queue ids from here on may not be used yet.
    reserved: u64,
    failed: Option<StoreError>,
    on_failure: Option<OnFailure>,
}

pub(super) fn spawn(
    shared: Arc<Shared>,
    database: Arc<Database>,
    reserved: u64,
    on_failure: OnFailure,
) -> std::io::Result<JoinHandle<()>> {
    let on_failure = Some(on_failure);
    let committer = Committer { shared, database, reserved, failed: None, on_failure };
    thread::Builder::new().name("leveret-definitions".to_owned()).spawn(|| committer.run())
}

impl Committer {
    fn run(mut self) {
        while let Some(group) = self.next_group() {
            self.handle(group);
        }
        let held = std::mem::take(&mut self.shared.state.lock().waiting);
        for waiting in held {
            (waiting.done)(Err(closed()));
        }
    }

    /// Everything that waits and is not held; `None` when nothing does and nothing will.
    fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut state = self.shared.state.lock();
        while state.waiting.is_empty() || state.holds > 0 {
            // What is held at the end was not finished, and is not to survive.
            if state.closing {
                return None;
            }
            self.shared.work.wait(&mut state);
        }
        Some(std::mem::take(&mut state.waiting))
    }

    fn handle(&mut self, group: Vec<Waiting>) {
        let changes: Vec<&(VhostName, Change)> =
            group.iter().filter_map(|waiting| waiting.change.as_ref()).collect();
        let count = changes.len() as u64;
        let result = match &self.failed {
            Some(error) => Err(error.clone()),
            None if changes.is_empty() => Ok(()),
            None => self.commit(&changes),
        };
        for waiting in group {
            (waiting.done)(result.clone());
        }
        let mut state = self.shared.state.lock();
        match &result {
            Ok(()) => {
                self.shared.committed.fetch_add(count, Ordering::Release);
            }
            Err(error) => state.failed = Some(error.clone()),
        }
        drop(state);
        self.shared.progress.notify_all();
        if let Err(error) = result {
            self.failed = Some(error.clone());
            if let Some(on_failure) = self.on_failure.take() {
                on_failure(error);
            }
        }
    }

    /// A panic of the database must not leave its clients waiting for ever: it is one more failure.
    fn commit(&mut self, changes: &[&(VhostName, Change)]) -> Result<(), StoreError> {
        let committed = catch_unwind(AssertUnwindSafe(|| self.transact(changes)));
        let committed = match committed {
            Ok(committed) => committed.map_err(|error| error.to_string()),
            Err(_) => Err("the database panicked".to_owned()),
        };
        committed.map_err(|error| StoreError(format!("definitions cannot be stored: {error}")))
    }

    fn transact(&mut self, changes: &[&(VhostName, Change)]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut table = transaction.open_table(DEFINITIONS)?;
        for (vhost, change) in changes {
            write(&transaction, &mut table, vhost.as_str(), change)?;
        }
        drop(table);
        let used = self.shared.next_queue_id.load(Ordering::Relaxed);
        let mut reserved = self.reserved;
        if reserved.saturating_sub(used) < QUEUE_IDS_RESERVED / 2 {
            reserved = used.saturating_add(QUEUE_IDS_RESERVED);
            transaction.open_table(META)?.insert(QUEUE_IDS_ROW, reserved)?;
        }
        // Durability is redb's default: synced when this returns.
        transaction.commit()?;
        self.reserved = reserved;
        self.shared.transactions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn write(
    transaction: &WriteTransaction,
    table: &mut Table<'_, Key, &'static [u8]>,
    vhost: &str,
    change: &Change,
) -> Result<(), redb::Error> {
    match Write::of(change) {
        Write::Put { kind, name, value } => {
            table.insert((vhost, kind, &name[..]), &value[..])?;
        }
        Write::Delete { kind, name } => {
            table.remove((vhost, kind, &name[..]))?;
        }
        Write::Access(AccessChange::DefaultsMade) => {
            transaction.open_table(META)?.insert(DEFAULTS_ROW, 1)?;
        }
        Write::Access(change) => {
            access_row::write(&mut transaction.open_table(ACCESS)?, change)?;
        }
        Write::DeleteVhost => {
            // No row of a vhost is beyond its own kind 255.
            let all = (vhost, 0, &[][..])..(vhost, u8::MAX, &[][..]);
            table.retain_in(all, |_, _| false)?;
            access_row::drop_vhost(&mut transaction.open_table(ACCESS)?, vhost)?;
        }
    }
    Ok(())
}
