//! In which bucket a message waits.
//!
//! A bucket covers a span of time: 1 ms at level 0, and 64 times as much at each level above. A message
//! goes into as wide a bucket as does not begin too soon. So there are some hundred buckets at most,
//! whatever waits in them, and a new one is a matter of a map entry.
//!
//! When the time of a wide bucket comes and it holds little, its messages are taken into memory and
//! sorted; if it holds much, they are dealt out into buckets one level down. One of 1 ms needs no
//! sorting, however long it is.
//!
//! Invariant: of two messages that are due at the same time, the earlier one is ahead: in memory, or in
//! the same bucket before the other, or in a bucket of higher level that is emptied first. So a message
//! goes where others of its time are that have not been dealt out yet.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::queue::Queue;
use crate::time::Time;

pub(super) const LEVELS: usize = 6;

/// A level's span is this many bits of the milliseconds more than that of the level below.
const LEVEL_BITS: usize = 6;

/// How long before its time a bucket is opened, in milliseconds.
const LEAD: u64 = 500;

/// Messages of a bucket that are moved in a millisecond, for the broker is doing other things too.
const MOVED_PER_MILLI: u64 = 50;

/// A bucket: those that begin first come first, and of these the wider ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub(super) start: Time,
    level: Reverse<usize>,
}

impl Key {
    pub(super) fn covering(due: Time, level: usize) -> Self {
        let bits = LEVEL_BITS * level.min(LEVELS - 1);
        Self { start: Time(due.0 >> bits << bits), level: Reverse(level) }
    }

    pub(super) fn level(&self) -> usize {
        self.level.0
    }

    fn width(&self) -> u64 {
        1 << (LEVEL_BITS * self.level())
    }
}

/// The books of a bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) queue: Arc<Queue>,
    /// The queue's place among those of its level.
    pub(super) place: u32,
    /// Messages that have to be moved on.
    pub(super) ready: usize,
    /// Messages that are about to come in.
    pub(super) entering: usize,
    /// Messages in memory that are not routed yet.
    pub(super) out: usize,
    /// It is too much for memory.
    pub(super) deals: bool,
    /// The next message is being read.
    pub(super) from_disk: bool,
}

impl Bucket {
    pub(super) fn new(queue: Arc<Queue>, place: u32) -> Self {
        let (ready, entering, out) = (0, 0, 0);
        Self { queue, place, ready, entering, out, deals: false, from_disk: false }
    }

    /// When there is something to do with its messages.
    pub(super) fn opens(&self, key: &Key) -> Time {
        if key.level() == 0 {
            return key.start;
        }
        let work = (self.ready as u64).saturating_mul(key.level() as u64) / MOVED_PER_MILLI;
        Time(key.start.0.saturating_sub(LEAD + work.min(key.width() / 2)))
    }

    /// Messages of its span that come now have to stand behind some in it.
    fn takes(&self) -> bool {
        !self.deals || self.ready > 0 || self.entering > 0
    }

    pub(super) fn is_over(&self) -> bool {
        self.ready == 0 && self.entering == 0 && self.out == 0
    }
}

pub(super) type Buckets = BTreeMap<Key, Bucket>;

/// Where a new message goes.
pub(super) fn place(buckets: &Buckets, due: Time, now: Time) -> Key {
    let too_soon = Time(now.0.saturating_add(LEAD));
    existing(buckets, due, LEVELS).unwrap_or_else(|| {
        let levels = (1..LEVELS).rev().map(|level| Key::covering(due, level));
        let mut late_enough = levels.filter(|key| key.start > too_soon);
        late_enough.next().unwrap_or_else(|| Key::covering(due, 1))
    })
}

/// Where a message goes that is dealt out from a bucket of a level above 0.
pub(super) fn place_below(buckets: &Buckets, due: Time, level: usize) -> Key {
    existing(buckets, due, level).unwrap_or_else(|| Key::covering(due, level.saturating_sub(1)))
}

fn existing(buckets: &Buckets, due: Time, below: usize) -> Option<Key> {
    let levels = (0..below).rev().map(|level| Key::covering(due, level));
    levels.into_iter().find(|key| buckets.get(key).is_some_and(Bucket::takes))
}

/// From here on nothing may be routed, because something that is due before, or at that time, is not
/// in reach.
pub(super) fn limit(buckets: &Buckets) -> Time {
    let behind = |(key, bucket): (&Key, &Bucket)| match key.level() {
        0 => bucket.from_disk.then_some(Time(key.start.0.saturating_add(1))),
        _ => (bucket.ready > 0).then_some(key.start),
    };
    // They stand in the order of their starts, so the first one has it.
    buckets.iter().find_map(behind).unwrap_or(Time::NEVER)
}

/// The first bucket of 1 ms that has something to route.
pub(super) fn first_instant(buckets: &Buckets) -> Option<Key> {
    let instants = buckets.iter().filter(|(key, bucket)| key.level() == 0 && bucket.ready > 0);
    instants.map(|(key, _)| *key).next()
}
