//! The messages of queues, brought back at the start.
//!
//! A message may be told of twice: by a segment, and by the journal, which was not told in time that it
//! was moved there. Then the segment has it. What of a segment is settled, the journal knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Broker, Vhost};
use crate::message::Position;
use crate::queue::{Effects, Queue, Restored, within};
use crate::storage::journal::RecoveredQueue;
use crate::storage::{Figures, QueueId, Segment};
use crate::time::Time;

/// What the store kept, by the queues' numbers.
#[derive(Debug, Default)]
pub struct Found {
    pub queues: BTreeMap<u64, RecoveredQueue>,
    /// Each queue's in the order of their positions.
    pub segments: BTreeMap<u64, Vec<Segment>>,
    /// It is known what was delivered before.
    pub clean: bool,
}

/// How often expired messages are looked for before there are clients.
const START_TICKS_MAX: usize = 64;

impl Broker {
    /// Puts messages back into the queues that [`recover`](Self::recover) has brought back, and says
    /// how many there were. What lies in no queue any more is given up, but not what lies in one that
    /// was left out.
    pub fn recover_messages(&self, mut found: Found, left_out: &[QueueId], now: Time) -> usize {
        let mut count = 0;
        for (vhost, queue, id) in self.durable_queues() {
            let recovered = found.queues.remove(&id.0);
            let segments = found.segments.remove(&id.0).unwrap_or_default();
            if recovered.is_none() && segments.is_empty() {
                continue;
            }
            let recovered = recovered.unwrap_or_else(|| RecoveredQueue {
                redelivered: if found.clean { Vec::new() } else { vec![(0, u64::MAX)] },
                ..RecoveredQueue::default()
            });
            let restored = vhost.refill(&queue, recovered, segments);
            count += restored.messages.len();
            count +=
                restored.segments.iter().map(|segment| segment.figures.messages).sum::<usize>();
            let mut effects = Effects::default();
            queue.restore(restored, now, &mut effects);
            // Only notes when to look: a dead letter must find every queue as it was, or it would
            // take a position there that another message has.
            vhost.act(now, &mut effects);
        }
        count += self.recover_undelivered(&mut found, now);
        count += self.recover_delayed(&mut found, now);
        let lost = found.queues.into_keys().chain(found.segments.keys().copied()).map(QueueId);
        for id in lost.filter(|id| !left_out.contains(id)) {
            self.messages.queue_gone(id);
        }
        if let Some(pager) = self.messages.pager() {
            found.segments.retain(|id, _| !left_out.contains(&QueueId(*id)));
            for segment in found.segments.values().flatten() {
                pager.remove(segment, Box::new(|| {}));
            }
        }
        // What expired meanwhile is gone when the first client looks; if that is very much, the rest
        // goes while clients are served.
        for _ in 0..START_TICKS_MAX {
            if self.next_deadline() > now {
                break;
            }
            self.tick(now);
        }
        count
    }

    /// The same for dead letters that wait until they can be delivered.
    fn recover_undelivered(&self, found: &mut Found, now: Time) -> usize {
        let mut count = 0;
        for (vhost, source, _) in self.durable_queues() {
            let Some(undelivered) = source.undelivered() else { continue };
            let Some(QueueId(id)) = undelivered.id() else { continue };
            let recovered = found.queues.remove(&id);
            let segments = found.segments.remove(&id).unwrap_or_default();
            if recovered.is_none() && segments.is_empty() {
                continue;
            }
            let letters = &undelivered.queue;
            let restored = vhost.refill(letters, recovered.unwrap_or_default(), segments);
            let mut effects = Effects::default();
            letters.restore(restored, now, &mut effects);
            count += undelivered.restored();
            effects.deadlines.push((now, Arc::clone(letters)));
            vhost.act(now, &mut effects);
        }
        count
    }

    /// The same for messages that wait in exchanges.
    fn recover_delayed(&self, found: &mut Found, now: Time) -> usize {
        let mut count = 0;
        for (vhost, exchange, delays) in self.all_delays() {
            let Some(ids) = delays.queue_ids() else { continue };
            let with_messages = found.queues.range(ids.clone()).map(|(id, _)| *id);
            let ids: BTreeSet<u64> =
                with_messages.chain(found.segments.range(ids).map(|(id, _)| *id)).collect();
            let kept = ids.into_iter().map(|id| {
                let recovered = found.queues.remove(&id).unwrap_or_default();
                (id, (recovered, found.segments.remove(&id).unwrap_or_default()))
            });
            let refill =
                |queue: &Queue, (recovered, segments)| vhost.refill(queue, recovered, segments);
            let messages = delays.restore(kept.collect(), now, refill);
            if messages > 0 {
                tracing::info!(%exchange, vhost = %vhost.name, messages, "delayed messages recovered");
            }
            count += messages;
        }
        count
    }
}

impl Vhost {
    fn refill(&self, queue: &Queue, mut recovered: RecoveredQueue, all: Vec<Segment>) -> Restored {
        let mut segments = Vec::new();
        for segment in all {
            match self.still_there(&segment, &recovered.settled) {
                Some(figures) if figures.messages > 0 => {
                    segments.push(Segment { figures, ..segment });
                }
                Some(_) => queue.drop_segment(&segment),
                // It was reported, and stays where it is.
                None => {}
            }
        }
        let ranges: Vec<(u64, u64)> =
            segments.iter().map(|segment| (segment.first.0, segment.last.0)).collect();
        recovered.messages.retain(|found| !within(&ranges, found.position));
        Restored {
            messages: recovered.messages,
            segments,
            settled: recovered.settled,
            delivered: recovered.redelivered,
            returned: recovered.returned,
            next_position: recovered.next_position,
        }
    }

    /// What of a segment is there. Only one of which something is settled has to be read for that.
    fn still_there(&self, segment: &Segment, settled: &[(u64, u64)]) -> Option<Figures> {
        let next = settled.partition_point(|(_, last)| *last < segment.first.0);
        let untouched = settled.get(next).is_none_or(|(first, _)| *first > segment.last.0);
        if untouched {
            return Some(segment.figures);
        }
        match self.messages.pager()?.read_now(segment) {
            Ok(mut messages) => {
                let gone = |position: Position| within(settled, position);
                messages.retain(|queued| queued.kept && !gone(queued.position));
                Some(Figures::of(&messages))
            }
            Err(error) => {
                tracing::error!(%error, "a segment could not be read");
                None
            }
        }
    }
}
