//! Segments whose messages are back in memory.
//!
//! Until a persistent message is settled, the segment is what a restart has of it. So the file stays,
//! and this is the account of what in it is not settled yet. When nothing is left, it goes; and when
//! half or less is left, it is written anew with that, unless it is one of the newest: those that are
//! just being consumed would be copied for nothing. So one message that nobody ever settles pins
//! itself and not what once lay around it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Pager, Segment};
use crate::message::{Position, Positions};
use crate::storage::range_map::RangeSet;
use crate::storage::{MessageStore, QueueId};

/// The newest segments of a queue, which are not written anew.
const SPARED: usize = 2;

/// Those of one durable queue.
pub struct OpenSegments {
    queue: QueueId,
    store: Arc<dyn MessageStore>,
    pager: Arc<dyn Pager>,
    open: Mutex<Vec<Open>>,
}

struct Open {
    segment: Segment,
    /// Positions that are not settled.
    live: RangeSet,
    count: usize,
    /// Messages in the file.
    in_file: usize,
}

impl OpenSegments {
    pub fn new(queue: QueueId, store: Arc<dyn MessageStore>, pager: Arc<dyn Pager>) -> Self {
        Self { queue, store, pager, open: Mutex::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.open.lock().is_empty()
    }

    /// The messages of a segment are in memory, and these of them are persistent and not settled.
    pub fn opened(&self, segment: &Segment, live: impl Iterator<Item = Position>) {
        let mut open = Open {
            segment: segment.clone(),
            live: RangeSet::default(),
            count: 0,
            in_file: segment.figures.messages,
        };
        for position in live {
            open.live.add(position.0, position.0);
            open.count += 1;
        }
        if open.count == 0 {
            return self.drop_file(segment);
        }
        let mut all = self.open.lock();
        let place = all.partition_point(|other| other.segment.first < segment.first);
        all.insert(place, open);
    }

    /// Positions were settled, and that counts or will do so before anything asked of the store later.
    pub fn settled(&self, positions: &Positions) {
        let mut all = self.open.lock();
        if all.is_empty() {
            return;
        }
        let mut over = Vec::new();
        for (first, last) in positions.iter() {
            let mut place = all.partition_point(|open| open.segment.last < first);
            while let Some(open) = all.get_mut(place).filter(|open| open.segment.first <= last) {
                open.settle(first.0, last.0);
                if open.count == 0 {
                    over.push(all.remove(place).segment);
                    continue;
                }
                place += 1;
                if open.count <= open.in_file / 2 && place + SPARED <= all.len() {
                    self.write_anew(all.get_mut(place - 1));
                }
            }
        }
        drop(all);
        over.iter().for_each(|segment| self.drop_file(segment));
    }

    fn write_anew(&self, open: Option<&mut Open>) {
        let Some(open) = open else { return };
        open.in_file = open.count;
        let mut live = RangeSet::default();
        open.live.ranges().for_each(|(first, last)| live.add(first, last));
        self.pager.rewrite(&open.segment, live);
    }

    /// Nothing of a segment is needed any more. What of it was settled is remembered until it cannot
    /// come back.
    pub fn drop_file(&self, segment: &Segment) {
        let (store, queue) = (Arc::clone(&self.store), self.queue);
        let (first, last) = (segment.first, segment.last);
        self.pager.remove(segment, Box::new(move || store.segment_dropped(queue, first, last)));
    }

    /// The queue is gone.
    pub fn drop_all(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        open.iter().for_each(|open| self.pager.remove(&open.segment, Box::new(|| {})));
    }
}

impl Open {
    fn settle(&mut self, first: u64, last: u64) {
        let mut gone = 0;
        self.live.take(first, last, |from, to, ()| gone += to - from + 1);
        self.count = self.count.saturating_sub(usize::try_from(gone).unwrap_or(usize::MAX));
    }
}
