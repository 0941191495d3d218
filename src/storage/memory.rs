//! Storage that keeps nothing: for a broker whose queues live in memory, and for tests.

use parking_lot::Mutex;

use super::{Change, Commit, DefinitionStore, Done, LogPosition, MessageStore};
use crate::message::Message;
use crate::names::{QueueName, VhostName};

/// Definitions that are gone with the process: every change is done at once.
#[derive(Debug, Default)]
pub struct MemoryDefinitions;

impl DefinitionStore for MemoryDefinitions {
    fn commit(&self, _vhost: &VhostName, _change: Change, _done: Done) -> Commit {
        Commit::Now
    }
}

/// Messages that are gone with the process: everything is as durable as it gets at once.
#[derive(Debug, Default)]
pub struct MemoryMessages;

impl MessageStore for MemoryMessages {
    fn append(
        &self,
        _vhost: &VhostName,
        _queue: &QueueName,
        _messages: &mut dyn Iterator<Item = &Message>,
    ) -> LogPosition {
        LogPosition(0)
    }

    fn durable(&self) -> LogPosition {
        LogPosition(0)
    }

    fn when_durable(&self, _position: LogPosition, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}

/// Storage that answers when it is told to, so that a test can stand between the request and its
/// commit, as a slow disk does.
#[derive(Default)]
pub struct HeldStore(Mutex<Held>);

#[derive(Default)]
struct Held {
    appended: u64,
    durable: u64,
    waiting: Vec<(LogPosition, Box<dyn FnOnce() + Send>)>,
    commits: Vec<(Change, Done)>,
}

impl HeldStore {
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
    pub fn finish_commits(&self, result: &Result<(), super::StoreError>) -> Vec<Change> {
        let commits = std::mem::take(&mut self.0.lock().commits);
        let finish = |(change, done): (Change, Done)| {
            done(result.clone());
            change
        };
        commits.into_iter().map(finish).collect()
    }
}

impl DefinitionStore for HeldStore {
    fn commit(&self, _vhost: &VhostName, change: Change, done: Done) -> Commit {
        self.0.lock().commits.push((change, done));
        Commit::Later
    }
}

impl MessageStore for HeldStore {
    fn append(
        &self,
        _vhost: &VhostName,
        _queue: &QueueName,
        messages: &mut dyn Iterator<Item = &Message>,
    ) -> LogPosition {
        let mut held = self.0.lock();
        held.appended += messages.count() as u64;
        LogPosition(held.appended)
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
}
