//! Consumers of a stream get what they have credit for.

use std::sync::Arc;

use super::Stream;
use super::parts::Run;
use crate::delivery::Delivery;
use crate::message::Position;
use crate::queue::paging::{Call, PagerArrival};
use crate::queue::{Effects, Queue, SubscriptionId};
use crate::time::Time;

/// Messages that one consumer may pass over at a stretch, so that a filter that matches next to nothing
/// does not hold the lock.
const PASSED_MAX: usize = 8192;

/// How many parts of a stream may be in memory for those who read what is on disk.
const CACHED_PARTS_MAX: usize = 6;

impl Stream {
    pub(super) fn serve_all(&mut self, queue: &Arc<Queue>, effects: &mut Effects) {
        if self.readers.len() == 0 {
            return;
        }
        let ids: smallvec::SmallVec<[SubscriptionId; 8]> = self.readers.ids().collect();
        for id in ids {
            self.serve(queue, id, effects);
        }
    }

    /// Gives a consumer what comes next for it, as long as it has credit, its outbox has room and the
    /// messages are in memory.
    pub(super) fn serve(&mut self, queue: &Arc<Queue>, id: SubscriptionId, effects: &mut Effects) {
        let Some(reader) = self.readers.find(id).filter(|reader| reader.has_credit()) else {
            return;
        };
        let first = self.parts.first();
        let (end, mut asleep) = (self.visible.end(), None);
        let stage = effects.stage(id.slot);
        let Some(stage) = effects.stages.get_mut(stage) else { return };
        let (mut room, mut passed) = (reader.outbox.room(), 0);
        reader.next = reader.next.max(first);
        'runs: loop {
            let run = match self.parts.run(reader.next, end) {
                Run::Messages(run) => run,
                Run::Asleep(position) => {
                    asleep = Some(position);
                    break;
                }
                Run::End => break,
            };
            for queued in run {
                if !reader.has_credit() {
                    break 'runs;
                }
                if !reader.wants(queued) {
                    reader.next = Position(queued.position.0 + 1);
                    passed += 1;
                    if passed == PASSED_MAX {
                        effects.deadlines.push((Time(0), Arc::clone(queue)));
                        break 'runs;
                    }
                    continue;
                }
                if room == 0 {
                    reader.outbox.starve(reader.source);
                    // Its connection may have emptied the outbox since we looked: it must look again.
                    effects.wakes.touch(&reader.outbox);
                    break 'runs;
                }
                if reader.limit.acquire(1) == 0 {
                    break 'runs;
                }
                reader.next = Position(queued.position.0 + 1);
                reader.unacked += 1;
                let weight = queued.message.weight();
                room = room.saturating_sub(weight);
                stage.bytes += weight;
                let source = reader.source;
                stage.deliveries.push(Delivery { source, queued: queued.clone() });
            }
        }
        effects.staged = 0;
        let next = reader.next;
        let count = stage.deliveries.len();
        if count > 0 {
            let bytes = std::mem::take(&mut stage.bytes);
            if reader.outbox.deliver_from_stream(&mut stage.deliveries, bytes) {
                effects.wakes.touch(&reader.outbox);
                self.unacked += count;
            } else {
                // The connection has ended since; the session's farewell will remove it.
                stage.deliveries.clear();
                reader.is_retired = true;
                reader.limit.release(u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        match asleep {
            Some(position) => {
                self.ask(queue, position);
                self.read_ahead(queue, position);
            }
            None if next < self.tail_begins() => self.read_ahead(queue, next),
            None => {}
        }
    }

    /// Has what follows read before it is missed, unless so many read at different places that it would
    /// be gone again by then.
    fn read_ahead(&mut self, queue: &Arc<Queue>, position: Position) {
        if 2 * self.behind() <= CACHED_PARTS_MAX
            && let Some(position) = self.parts.behind(position)
        {
            self.ask(queue, position);
        }
    }

    fn ask(&mut self, queue: &Arc<Queue>, position: Position) {
        let Some(paging) = &queue.paging else { return };
        let Some(segment) = self.parts.wake(position) else { return };
        let call = Call::new(queue, paging);
        let read = segment.clone();
        let done = move |result| call.back(PagerArrival::Read { line: 0, segment, result });
        paging.pager.read(&read, Box::new(done));
    }

    /// What parts may cost in memory that are on disk too: those that are being read and those that come
    /// next.
    pub(super) fn cache_cost(&self, queue: &Queue) -> usize {
        let parts = (2 * self.behind()).clamp(1, CACHED_PARTS_MAX);
        // A part may be somewhat larger than asked for.
        self.part_bytes(queue).saturating_mul(parts + 1)
    }

    /// Consumers that read what is on disk.
    fn behind(&self) -> usize {
        let tail = self.tail_begins();
        self.readers.iter().filter(|reader| reader.next < tail).count()
    }

    fn tail_begins(&self) -> Position {
        self.parts.tail().map_or_else(|| self.parts.next(), |first| first.position)
    }
}
