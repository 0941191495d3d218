//! Storage that keeps nothing: for a broker whose queues live in memory, and for tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{
    Change, Commit, DefinitionStore, Done, Group, LogPosition, MessageStore, QueueId, Run,
    StoreError, Stored,
};
use crate::message::{Message, Position, Positions};
use crate::names::VhostName;
use crate::time::Time;

/// Definitions that are gone with the process: every change is done at once.
#[derive(Debug, Default)]
pub struct MemoryDefinitions(AtomicU64);

impl DefinitionStore for MemoryDefinitions {
    fn commit(&self, _vhost: &VhostName, _change: Change, _done: Done) -> Commit {
        Commit::Now
    }

    fn next_queue_ids(&self, count: u64) -> QueueId {
        QueueId(self.0.fetch_add(count, Ordering::Relaxed) + 1)
    }

    fn requested(&self) -> u64 {
        0
    }

    fn committed(&self) -> u64 {
        0
    }

    fn when_committed(&self, _count: u64, _done: Done) -> Commit {
        Commit::Now
    }

    fn wait_committed(&self, _count: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Messages that are gone with the process: everything is as durable as it gets at once.
#[derive(Debug, Default)]
pub struct MemoryMessages;

impl MessageStore for MemoryMessages {
    fn store(&self, _messages: &mut dyn Iterator<Item = &Message>, _now: Time) -> Stored {
        Stored::unheld(0)
    }

    fn enqueue(&self, _group: Group, _queue: QueueId, _runs: &[Run]) -> LogPosition {
        LogPosition(0)
    }

    fn settle(&self, _group: Group, _queue: QueueId, _positions: &Positions) {}

    fn queue_gone(&self, _queue: QueueId) {}

    fn new_group(&self) -> Group {
        Group(1)
    }

    fn end_group(&self, _group: Group) -> LogPosition {
        LogPosition(0)
    }

    fn position(&self) -> LogPosition {
        LogPosition(0)
    }

    fn durable(&self) -> LogPosition {
        LogPosition(0)
    }

    fn when_durable(&self, _position: LogPosition, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }

    fn when_group_durable(&self, _group: Group, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }

    fn pressure(&self) -> usize {
        0
    }

    fn when_relieved(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}

/// Storage that answers when it is told to, so that a test can stand between the request and its
/// commit, as a slow disk does. It also writes down what it was told.
#[derive(Default)]
pub struct HeldStore(Mutex<Held>);

type Wake = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Held {
    appended: u64,
    durable: u64,
    queues: u64,
    groups: u64,
    stored: u64,
    records: Vec<Record>,
    waiting: Vec<(LogPosition, Wake)>,
    group_waiting: HashMap<u64, Vec<Wake>>,
    /// A waiter without a change waits for those before it.
    commits: Vec<(Option<Change>, Done)>,
    requested: u64,
    committed: u64,
}

/// What a [`HeldStore`] was told about messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Enqueue { group: u64, queue: QueueId, run: Run },
    Settle { group: u64, queue: QueueId, first: Position, last: Position },
    QueueGone(QueueId),
    EndGroup(u64),
}

impl HeldStore {
    /// What it was told about messages since the last time it was asked.
    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut self.0.lock().records)
    }

    /// Makes everything handed in so far durable.
    pub fn sync(&self) {
        let mut held = self.0.lock();
        held.durable = held.appended;
        let durable = LogPosition(held.durable);
        let (ready, waiting) = std::mem::take(&mut held.waiting)
            .into_iter()
            .partition(|(position, _)| *position <= durable);
        held.waiting = waiting;
        drop(held);
        let ready: Vec<(LogPosition, Box<dyn FnOnce() + Send>)> = ready;
        for (_, wake) in ready {
            wake();
        }
    }

    /// Ends the commits that wait, all alike, and returns what they were.
    pub fn finish_commits(&self, result: &Result<(), StoreError>) -> Vec<Change> {
        let commits = std::mem::take(&mut self.0.lock().commits);
        let finish = |(change, done): (Option<Change>, Done)| {
            done(result.clone());
            change
        };
        let changes: Vec<Change> = commits.into_iter().filter_map(finish).collect();
        if result.is_ok() {
            self.0.lock().committed += changes.len() as u64;
        }
        changes
    }
}

impl Held {
    fn append(&mut self, record: Record) -> LogPosition {
        self.records.push(record);
        self.appended += 1;
        LogPosition(self.appended)
    }
}

impl DefinitionStore for HeldStore {
    fn commit(&self, _vhost: &VhostName, change: Change, done: Done) -> Commit {
        let mut held = self.0.lock();
        held.requested += 1;
        held.commits.push((Some(change), done));
        Commit::Later
    }

    fn next_queue_ids(&self, count: u64) -> QueueId {
        let mut held = self.0.lock();
        let first = held.queues + 1;
        held.queues += count;
        QueueId(first)
    }

    fn requested(&self) -> u64 {
        self.0.lock().requested
    }

    fn committed(&self) -> u64 {
        self.0.lock().committed
    }

    fn when_committed(&self, count: u64, done: Done) -> Commit {
        let mut held = self.0.lock();
        if count <= held.committed {
            return Commit::Now;
        }
        held.commits.push((None, done));
        Commit::Later
    }

    /// Nobody else would end the wait: fails at once where it would have to.
    fn wait_committed(&self, count: u64) -> Result<(), StoreError> {
        let done = count <= self.committed();
        done.then_some(()).ok_or_else(|| StoreError("the store is held".to_owned()))
    }
}

impl MessageStore for HeldStore {
    fn store(&self, messages: &mut dyn Iterator<Item = &Message>, _now: Time) -> Stored {
        let mut held = self.0.lock();
        let first = held.stored;
        held.stored += messages.count() as u64;
        Stored::unheld(first)
    }

    fn enqueue(&self, group: Group, queue: QueueId, runs: &[Run]) -> LogPosition {
        let mut held = self.0.lock();
        for run in runs {
            held.append(Record::Enqueue { group: group.0, queue, run: *run });
        }
        LogPosition(held.appended)
    }

    fn settle(&self, group: Group, queue: QueueId, positions: &Positions) {
        let mut held = self.0.lock();
        for (first, last) in positions.iter() {
            held.append(Record::Settle { group: group.0, queue, first, last });
        }
    }

    fn queue_gone(&self, queue: QueueId) {
        self.0.lock().append(Record::QueueGone(queue));
    }

    fn new_group(&self) -> Group {
        let mut held = self.0.lock();
        held.groups += 1;
        Group(held.groups)
    }

    fn end_group(&self, group: Group) -> LogPosition {
        let mut held = self.0.lock();
        let position = held.append(Record::EndGroup(group.0));
        for wake in held.group_waiting.remove(&group.0).unwrap_or_default() {
            held.waiting.push((position, wake));
        }
        position
    }

    fn position(&self) -> LogPosition {
        LogPosition(self.0.lock().appended)
    }

    fn durable(&self) -> LogPosition {
        LogPosition(self.0.lock().durable)
    }

    fn when_durable(&self, position: LogPosition, wake: Box<dyn FnOnce() + Send>) {
        let mut held = self.0.lock();
        if position.0 <= held.durable {
            drop(held);
            wake();
        } else {
            held.waiting.push((position, wake));
        }
    }

    fn when_group_durable(&self, group: Group, wake: Box<dyn FnOnce() + Send>) {
        if group == Group::ALONE {
            return self.when_durable(self.position(), wake);
        }
        self.0.lock().group_waiting.entry(group.0).or_default().push(wake);
    }

    fn pressure(&self) -> usize {
        0
    }

    fn when_relieved(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}
