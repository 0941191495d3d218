//! Who gets the next message.
//!
//! Messages are chosen one by one, so that consumers take turns fairly, but handed over in one go: each
//! consumer's share is staged and its outbox locked once.

use std::sync::Arc;

use super::Queue;
use super::effects::Effects;
use super::state::State;
use super::subscribers::Slot;
use crate::delivery::Delivery;
use crate::time::Time;

impl State {
    /// Hands out ready messages while somebody has room for them. Nothing expired is handed out.
    pub(super) fn dispatch(&mut self, queue: &Arc<Queue>, now: Time, effects: &mut Effects) {
        loop {
            self.drop_expired(queue, now, effects);
            if self.ready.len() == 0 {
                break;
            }
            let Some((slot, alone)) = self.subscribers.turn() else {
                break;
            };
            if !self.serve(slot, effects) {
                self.subscribers.block();
            } else if !alone {
                self.subscribers.rotate();
            }
        }
        self.hand_over(effects);
    }

    /// The same right after a publish, when a time to live of 0 still means "now or never"
    /// (behaviour B8.1).
    pub(super) fn dispatch_fresh(&mut self, queue: &Arc<Queue>, now: Time, effects: &mut Effects) {
        self.dispatch(queue, Time(now.0.saturating_sub(1)), effects);
    }

    /// Stages the next message for a consumer. False when the consumer has no room: by its prefetch,
    /// by its channel's, or in its outbox.
    #[inline]
    fn serve(&mut self, slot: Slot, effects: &mut Effects) -> bool {
        let Some(subscriber) = self.subscribers.get_mut(slot) else {
            return false;
        };
        if !subscriber.has_prefetch_room() {
            return false;
        }
        let stage = match subscriber.stage {
            Some(stage) => stage,
            None => {
                subscriber.room = subscriber.outbox.room();
                *subscriber.stage.insert(effects.stage(slot))
            }
        };
        if subscriber.room == 0 {
            subscriber.outbox.starve(subscriber.source);
            // Its connection may have emptied the outbox since we looked: it must look again.
            effects.wakes.touch(&subscriber.outbox);
            return false;
        }
        if !subscriber.no_ack && subscriber.limit.acquire(1) == 0 {
            return false;
        }
        let Some(queued) = self.ready.pop() else {
            return false;
        };
        if !subscriber.no_ack {
            subscriber.unacked += 1;
            self.unacked += 1;
        }
        let weight = queued.message.weight();
        subscriber.room = subscriber.room.saturating_sub(weight);
        if let Some(stage) = effects.stages.get_mut(stage) {
            stage.bytes += weight;
            stage.deliveries.push(Delivery { source: subscriber.source, queued });
        }
        true
    }

    /// Moves the staged deliveries into the outboxes.
    fn hand_over(&mut self, effects: &mut Effects) {
        for index in 0..std::mem::take(&mut effects.staged) {
            let Some(stage) = effects.stages.get_mut(index) else {
                continue;
            };
            let Some(subscriber) = self.subscribers.get_mut(stage.slot) else {
                continue;
            };
            subscriber.stage = None;
            if stage.deliveries.is_empty() {
                continue;
            }
            if subscriber.outbox.deliver(&mut stage.deliveries, std::mem::take(&mut stage.bytes)) {
                effects.wakes.touch(&subscriber.outbox);
                continue;
            }
            // The connection has ended since. Its messages go back as if nothing had happened; the
            // session's farewell will remove the subscription.
            if !subscriber.no_ack {
                let count = u32::try_from(stage.deliveries.len()).unwrap_or(u32::MAX);
                subscriber.unacked = subscriber.unacked.saturating_sub(count);
                subscriber.limit.release(count);
                self.unacked = self.unacked.saturating_sub(count as usize);
            }
            self.ready
                .put_back(stage.deliveries.drain(..).map(|delivery| delivery.queued).collect());
            self.subscribers.retire(stage.slot);
        }
    }
}
