//! Consumers of a stream get what they have credit for.

use std::sync::Arc;

use super::Stream;
use super::parts::{Parts, Run, between};
use super::readers::Reader;
use crate::delivery::Delivery;
use crate::message::{Position, Queued};
use crate::queue::effects::Stage;
use crate::queue::paging::{Call, PagerArrival};
use crate::queue::{Effects, Queue, SubscriptionId};
use crate::time::Time;

/// Messages that one consumer may pass over at a stretch, so that a filter that matches next to nothing
/// does not hold the lock.
const PASSED_MAX: usize = 8192;

/// How many parts of a stream may be in memory for those who read what is on disk.
const CACHED_PARTS_MAX: usize = 6;

/// What a consumer keeps to itself of a part that may be gone when it goes on.
const AHEAD_BYTES: usize = 128 * 1024;

/// Why a consumer gets no more for now.
enum Stop {
    NoCredit,
    /// Its outbox is full.
    NoRoom,
    /// What comes next is on disk, here.
    Asleep(Position),
    /// It has all there is.
    End,
    /// It has passed over very many, and others have a turn.
    Passed,
}

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
        let first = self.parts.first();
        let Some(reader) = self.readers.find(id).filter(|reader| reader.has_credit()) else {
            return;
        };
        let index = effects.stage(id.slot);
        effects.staged = 0;
        let Some(stage) = effects.stages.get_mut(index) else { return };
        reader.next = reader.next.max(first);
        let stop = fill(reader, &mut self.parts, self.visible.end(), stage);
        match stop {
            // Its connection may have emptied the outbox since we looked: it must look again.
            Stop::NoRoom => {
                reader.outbox.starve(reader.source);
                effects.wakes.touch(&reader.outbox);
            }
            Stop::Passed => effects.deadlines.push((Time(0), Arc::clone(queue))),
            Stop::NoCredit | Stop::Asleep(_) | Stop::End => {}
        }
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
        let next = reader.next;
        if let Stop::Asleep(position) = stop {
            self.ask(queue, position);
        }
        if next < self.tail_begins() {
            self.prepare(queue, id, next);
        }
    }

    /// Sees to it that a consumer that reads what is on disk can go on when it has credit again: what
    /// follows is read before it is missed. Where so many read at different places that it would be
    /// gone again by then, the consumer keeps some of what is in memory now.
    fn prepare(&mut self, queue: &Arc<Queue>, id: SubscriptionId, next: Position) {
        if 2 * self.behind() <= CACHED_PARTS_MAX {
            if let Some(position) = self.parts.behind(next) {
                self.ask(queue, position);
            }
            return;
        }
        let end = self.visible.end();
        let Some(reader) = self.readers.find(id) else { return };
        if reader.ahead.is_empty()
            && let Run::Messages(run) = self.parts.run(next, end)
        {
            let mut bytes = 0;
            let few = run.iter().take_while(|queued| {
                let fits = bytes < AHEAD_BYTES;
                bytes += queued.message.weight();
                fits
            });
            reader.ahead = few.cloned().collect();
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

/// Stages for a consumer what comes next, until there is a reason to stop.
fn fill(reader: &mut Reader, parts: &mut Parts, end: Position, stage: &mut Stage) -> Stop {
    let (mut room, mut passed) = (reader.outbox.room(), 0);
    let ahead = std::mem::take(&mut reader.ahead);
    let stop = loop {
        let run = match between(&ahead, reader.next, end) {
            [] => match parts.run(reader.next, end) {
                Run::Messages(run) => run,
                Run::Asleep(position) => break Stop::Asleep(position),
                Run::End => break Stop::End,
            },
            run => run,
        };
        if let Some(stop) = fill_from(run, reader, stage, &mut room, &mut passed) {
            break stop;
        }
    };
    if !between(&ahead, reader.next, end).is_empty() {
        reader.ahead = ahead;
    }
    stop
}

#[inline]
fn fill_from(
    run: &[Queued],
    reader: &mut Reader,
    stage: &mut Stage,
    room: &mut usize,
    passed: &mut usize,
) -> Option<Stop> {
    for queued in run {
        if !reader.has_credit() {
            return Some(Stop::NoCredit);
        }
        if !reader.wants(queued) {
            reader.next = Position(queued.position.0 + 1);
            *passed += 1;
            if *passed == PASSED_MAX {
                return Some(Stop::Passed);
            }
            continue;
        }
        if *room == 0 {
            return Some(Stop::NoRoom);
        }
        if reader.limit.acquire(1) == 0 {
            return Some(Stop::NoCredit);
        }
        reader.next = Position(queued.position.0 + 1);
        reader.unacked += 1;
        let weight = queued.message.weight();
        *room = room.saturating_sub(weight);
        stage.bytes += weight;
        stage.deliveries.push(Delivery { source: reader.source, queued: queued.clone() });
    }
    None
}
