//! A pager that works when it is told to, so that a test can stand between the request and its result.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{Figures, OnRead, OnRemoved, OnWritten, Owner, Pager, Segment, Span};
use crate::message::{Position, Queued};
use crate::storage::StoreError;
use crate::storage::range_map::RangeSet;

#[derive(Default)]
pub struct HeldPager {
    jobs: Mutex<VecDeque<Job>>,
    files: Mutex<BTreeMap<u64, Vec<Queued>>>,
    numbers: Mutex<u64>,
    failing: AtomicBool,
}

enum Job {
    Write { owner: Owner, messages: Arc<Vec<Queued>>, done: OnWritten },
    Read { number: u64, done: OnRead },
    Anew { number: u64, live: RangeSet },
    Remove { number: u64, done: OnRemoved },
}

impl HeldPager {
    /// Does the oldest thing that was asked for. False when there is none.
    pub fn step(&self) -> bool {
        let Some(job) = self.jobs.lock().pop_front() else { return false };
        match job {
            Job::Write { owner, messages, done } => done(self.write_now(owner, &messages)),
            Job::Read { number, done } => done(self.read_number(number)),
            Job::Anew { number, live } => {
                if let Some(messages) = self.files.lock().get_mut(&number) {
                    messages.retain(|queued| live.get(queued.position.0).is_some());
                }
            }
            Job::Remove { number, done } => {
                self.files.lock().remove(&number);
                done();
            }
        }
        true
    }

    /// There is something to do.
    pub fn is_asked(&self) -> bool {
        !self.jobs.lock().is_empty()
    }

    /// Writes fail from here on, or succeed again.
    pub fn fail_writes(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// How many messages lie in which segments.
    pub fn files(&self) -> Vec<usize> {
        self.files.lock().values().map(Vec::len).collect()
    }

    fn write_now(&self, owner: Owner, messages: &[Queued]) -> Result<Segment, StoreError> {
        if self.failing.load(Ordering::Relaxed) {
            return Err(StoreError("the pager is told to fail".to_owned()));
        }
        let mut numbers = self.numbers.lock();
        *numbers += 1;
        self.files.lock().insert(*numbers, messages.to_vec());
        let position =
            |queued: Option<&Queued>| queued.map_or(Position(0), |queued| queued.position);
        Ok(Segment {
            number: *numbers,
            queue: owner.id().filter(|_| owner.keeps_any(messages)),
            first: position(messages.first()),
            last: position(messages.last()),
            figures: Figures::of(messages),
            persistent: messages.iter().filter(|queued| owner.keeps(queued)).count(),
            span: matches!(owner, Owner::Stream(_)).then(|| Span::of(messages)),
            recovered: false,
        })
    }

    fn read_number(&self, number: u64) -> Result<Vec<Queued>, StoreError> {
        let missing = || StoreError(format!("there is no segment {number}"));
        self.files.lock().get(&number).cloned().ok_or_else(missing)
    }
}

impl Pager for HeldPager {
    fn write(&self, owner: Owner, messages: Arc<Vec<Queued>>, done: OnWritten) {
        self.jobs.lock().push_back(Job::Write { owner, messages, done });
    }

    fn read(&self, segment: &Segment, done: OnRead) {
        self.jobs.lock().push_back(Job::Read { number: segment.number, done });
    }

    fn read_now(&self, segment: &Segment) -> Result<Vec<Queued>, StoreError> {
        self.read_number(segment.number)
    }

    fn rewrite(&self, segment: &Segment, live: RangeSet) {
        self.jobs.lock().push_back(Job::Anew { number: segment.number, live });
    }

    fn remove(&self, segment: &Segment, done: OnRemoved) {
        self.jobs.lock().push_back(Job::Remove { number: segment.number, done });
    }

    fn pressure(&self) -> usize {
        0
    }

    fn when_relieved(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}
