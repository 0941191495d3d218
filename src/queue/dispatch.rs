//! Who gets the next message.
//!
//! Messages are chosen one by one, so that consumers take turns fairly, but handed over in one go: each
//! consumer's share is staged and its outbox locked once.

use std::sync::Arc;

use super::Queue;
use super::effects::Effects;
use super::ready::Ready;
use super::state::State;
use super::stats::Weights;
use super::subscribers::Slot;
use crate::delivery::Delivery;
use crate::message::Position;
use crate::time::Time;

impl State {
    /// Hands out ready messages while somebody has room for them. Nothing expired is handed out.
    pub(super) fn dispatch(&mut self, queue: &Arc<Queue>, now: Time, effects: &mut Effects) {
        loop {
            self.choose(queue, now, effects);
            if self.hand_over(queue, now, effects) {
                break;
            }
            // Somebody was gone: what was meant for them goes to the others.
        }
    }

    /// Stages one message after another for the consumer whose turn it is.
    fn choose(&mut self, queue: &Arc<Queue>, now: Time, effects: &mut Effects) {
        loop {
            self.drop_expired(queue, now, effects);
            // Nothing is there, or it will come from disk and then somebody looks again.
            if !self.ready.has_front() {
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
            self.held.add(&queued);
        }
        let weight = queued.message.weight();
        subscriber.room = subscriber.room.saturating_sub(weight);
        if let Some(stage) = effects.stages.get_mut(stage) {
            stage.bytes += weight;
            stage.deliveries.push(Delivery { source: subscriber.source, queued });
        }
        true
    }

    /// Moves the staged deliveries into the outboxes. False when one was closed and its share is ready
    /// again.
    fn hand_over(&mut self, queue: &Queue, now: Time, effects: &mut Effects) -> bool {
        let mut complete = true;
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
            let (count, ends) = (stage.deliveries.len(), ends(&stage.deliveries));
            if subscriber.outbox.deliver(&mut stage.deliveries, std::mem::take(&mut stage.bytes)) {
                effects.wakes.touch(&subscriber.outbox);
                count_waits(queue, &self.ready, ends, count, now);
                continue;
            }
            // The connection has ended since. Its messages go back as if nothing had happened; the
            // session's farewell will remove the subscription.
            if !subscriber.no_ack {
                let count = u32::try_from(stage.deliveries.len()).unwrap_or(u32::MAX);
                subscriber.unacked = subscriber.unacked.saturating_sub(count);
                subscriber.limit.release(count);
                self.unacked = self.unacked.saturating_sub(count as usize);
                let staged = stage.deliveries.iter().map(|delivery| &delivery.queued);
                self.held.remove_all(&Weights::of(staged));
            }
            self.ready
                .put_back(stage.deliveries.drain(..).map(|delivery| delivery.queued).collect());
            self.subscribers.retire(stage.slot);
            complete = false;
        }
        complete
    }
}

/// Where the first and the last of a share stood.
#[inline]
fn ends(deliveries: &[Delivery]) -> Option<(Position, Position)> {
    Some((deliveries.first()?.queued.position, deliveries.last()?.queued.position))
}

/// Half of a share counts as having waited as long as its first message, the other half as its last:
/// mostly that is the same.
#[inline]
fn count_waits(
    queue: &Queue,
    ready: &Ready,
    ends: Option<(Position, Position)>,
    count: usize,
    now: Time,
) {
    let Some((first, last)) = ends else { return };
    let (Some(first), Some(last)) = (ready.since(first), ready.since(last)) else { return };
    if first == last {
        return queue.stats.count_waits(now.since(first), count);
    }
    let half = count.div_ceil(2);
    queue.stats.count_waits(now.since(first), half);
    queue.stats.count_waits(now.since(last), count - half);
}

#[cfg(test)]
mod tests {
    use super::super::{
        Arrival, Declaration, Incoming, Options, Settled, Subscription, SubscriptionId,
    };
    use super::*;
    use crate::delivery::{ChannelLimit, Outbox, SourceId};
    use crate::message::{Message, Traits};
    use crate::protocol::FieldTable;

    const NOW: Time = Time(1);

    /// A queue and the outboxes of its consumers, one connection each.
    struct Scene {
        queue: Arc<Queue>,
        outboxes: Vec<Arc<Outbox>>,
        ids: Vec<SubscriptionId>,
        effects: Effects,
    }

    /// A consumer: prefetch, priority and the byte mark of its outbox.
    type Wanted = (u16, i64, usize);

    const ROOMY: usize = 1 << 20;

    impl Scene {
        fn new(options: Options, consumers: &[Wanted]) -> Self {
            let declaration = Declaration {
                durable: false,
                auto_delete: false,
                owner: None,
                arguments: FieldTable::default(),
                options: Arc::new(options),
            };
            let queue = Queue::new("q".into(), declaration, None, None);
            let mut scene =
                Self { queue, outboxes: Vec::new(), ids: Vec::new(), effects: Effects::default() };
            consumers.iter().for_each(|consumer| scene.subscribe(*consumer));
            scene
        }

        fn subscribe(&mut self, (prefetch, priority, bytes_high): Wanted) {
            let outbox = Arc::new(Outbox::new(bytes_high));
            let subscription = Subscription {
                outbox: Arc::clone(&outbox),
                source: SourceId(0),
                limit: Arc::new(ChannelLimit::default()),
                prefetch,
                no_ack: false,
                exclusive: false,
                priority,
                stream: None,
            };
            self.ids.push(self.queue.subscribe(subscription, NOW, &mut self.effects).unwrap());
            self.outboxes.push(outbox);
        }

        fn publish(&mut self, count: usize) {
            let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let message = Message::with_inline_body(
                b"\0\x01q",
                &header,
                b"",
                Traits::default(),
                &mut Vec::new(),
            );
            let mut batch = (0..count).map(|_| Incoming::new(message.clone(), 0)).collect();
            self.queue.publish(&mut batch, Arrival::at(NOW), &mut Vec::new(), &mut self.effects);
        }

        /// Positions in each outbox.
        fn outboxes(&self) -> Vec<Vec<u64>> {
            let positions = |outbox: &Arc<Outbox>| {
                outbox.positions(SourceId(0)).iter().map(|position| position.0).collect()
            };
            self.outboxes.iter().map(positions).collect()
        }

        /// Empties an outbox as its connection does: the number of deliveries, all unsettled.
        fn take(&mut self, consumer: usize) -> usize {
            let (mut entries, mut starved) = (Vec::new(), Vec::new());
            self.outboxes[consumer].take(&mut entries, &mut starved);
            for _ in starved {
                self.queue.resume(self.ids[consumer], NOW, &mut self.effects);
            }
            entries.len()
        }

        fn settle(&mut self, consumer: usize, count: u32) {
            self.queue.settle(
                &Settled::count(Some(self.ids[consumer]), count),
                NOW,
                &mut self.effects,
            );
        }
    }

    #[test]
    fn consumers_take_turns_message_by_message() {
        let mut scene = Scene::new(Options::default(), &[(0, 0, ROOMY); 3]);
        scene.publish(4);
        assert_eq!(scene.outboxes(), [vec![1, 4], vec![2], vec![3]]);
        scene.publish(3);
        assert_eq!(scene.outboxes(), [vec![1, 4, 7], vec![2, 5], vec![3, 6]], "the turn goes on");
    }

    #[test]
    fn one_without_room_misses_its_turns_and_joins_at_the_end() {
        let mut scene =
            Scene::new(Options::default(), &[(1, 0, ROOMY), (0, 0, ROOMY), (0, 0, ROOMY)]);
        scene.publish(5);
        assert_eq!(scene.outboxes(), [vec![1], vec![2, 4], vec![3, 5]]);
        scene.settle(0, 1);
        scene.publish(3);
        assert_eq!(scene.outboxes(), [vec![1, 8], vec![2, 4, 6], vec![3, 5, 7]]);
    }

    #[test]
    fn a_lower_priority_is_served_only_while_every_higher_one_is_full() {
        let mut scene =
            Scene::new(Options::default(), &[(0, -1, ROOMY), (2, 5, ROOMY), (1, 5, ROOMY)]);
        scene.publish(5);
        assert_eq!(scene.outboxes(), [vec![4, 5], vec![1, 3], vec![2]]);
        scene.settle(2, 1);
        scene.publish(2);
        assert_eq!(scene.outboxes(), [vec![4, 5, 7], vec![1, 3], vec![2, 6]]);
    }

    #[test]
    fn a_full_outbox_stops_its_consumer_and_nobody_else() {
        // Any message fills the first one.
        let mut scene = Scene::new(Options::default(), &[(0, 0, 1), (0, 0, ROOMY)]);
        scene.publish(5);
        assert_eq!(scene.outboxes(), [vec![1], vec![2, 3, 4, 5]]);
        assert_eq!(scene.take(0), 1);
        scene.publish(2);
        assert_eq!(scene.outboxes(), [vec![7], vec![2, 3, 4, 5, 6]], "it is back in its turn");
    }

    #[test]
    fn emptying_the_outbox_lets_the_starved_one_go_on() {
        let mut scene = Scene::new(Options::default(), &[(0, 0, 1)]);
        scene.publish(3);
        for _ in 0..3 {
            assert_eq!(scene.take(0), 1);
        }
        assert_eq!(scene.take(0), 0);
    }

    #[test]
    fn credit_that_comes_while_the_outbox_is_full_is_not_forgotten() {
        // Two consumers of one connection: one fills the outbox while the other has no credit.
        let mut scene = Scene::new(Options::default(), &[(1, 0, 1)]);
        scene.publish(1);
        assert_eq!(scene.take(0), 1);
        scene.publish(1);
        let outbox = Arc::clone(&scene.outboxes[0]);
        let mut other = Scene::new(Options::default(), &[]);
        let subscription = Subscription {
            outbox: Arc::clone(&outbox),
            source: SourceId(1),
            limit: Arc::new(ChannelLimit::default()),
            prefetch: 0,
            no_ack: true,
            exclusive: false,
            priority: 0,
            stream: None,
        };
        other.queue.subscribe(subscription, NOW, &mut Effects::default()).unwrap();
        other.publish(1);
        assert_eq!(outbox.room(), 0);
        // It has credit again, and meets the full outbox.
        scene.settle(0, 1);
        assert!(scene.outboxes()[0].is_empty());
        // Emptying it must call the first one, though it was blocked for want of credit before.
        assert_eq!(scene.take(0), 1);
        assert_eq!(scene.outboxes(), [vec![2]]);
    }

    #[test]
    fn what_a_closed_outbox_refuses_goes_to_the_others_at_once() {
        let mut scene = Scene::new(Options::default(), &[(0, 0, ROOMY), (0, 0, ROOMY)]);
        scene.outboxes[0].close();
        scene.publish(4);
        let mut here = scene.outboxes();
        here[1].sort_unstable();
        assert_eq!(here, [vec![], vec![1, 2, 3, 4]]);
        let counts = scene.queue.counts(NOW, &mut scene.effects);
        assert_eq!((counts.ready, counts.unacked, counts.consumers), (0, 4, 2));
    }

    #[test]
    fn a_single_active_consumer_is_followed_by_the_most_important_one_waiting() {
        let options = Options { single_active_consumer: true, ..Options::default() };
        let mut scene =
            Scene::new(options, &[(0, 0, ROOMY), (0, 0, ROOMY), (0, 7, ROOMY), (0, 7, ROOMY)]);
        scene.publish(2);
        assert_eq!(scene.outboxes(), [vec![1, 2], vec![], vec![], vec![]]);
        scene.queue.cancel(scene.ids[0], NOW, &mut scene.effects);
        scene.publish(1);
        assert_eq!(scene.outboxes()[2], [3]);
        scene.queue.cancel(scene.ids[2], NOW, &mut scene.effects);
        scene.queue.cancel(scene.ids[3], NOW, &mut scene.effects);
        scene.publish(1);
        assert_eq!(scene.outboxes()[1], [4]);
    }

    #[test]
    fn a_waiting_consumer_is_served_where_nothing_may_wait() {
        // Behaviour B8.9: with room for no message at all, a consumer still gets them.
        let options = Options { max_length: Some(0), ..Options::default() };
        let mut scene = Scene::new(options, &[]);
        scene.publish(2);
        assert_eq!(scene.queue.counts(NOW, &mut scene.effects).ready, 0);
        scene.subscribe((0, 0, ROOMY));
        scene.publish(2);
        assert_eq!(scene.outboxes(), [vec![3, 4]]);
    }
}
