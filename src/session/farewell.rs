//! Consumers, channels and connections end: what they held goes back to where it came from.

use std::sync::Arc;

use super::channel::{Channel, Channels};
use super::context::Context;
use super::unacked::Held;
use crate::delivery::{Delivery, SourceId};
use crate::message::Queued;
use crate::protocol::ChannelNumber;
use crate::queue::{Effects, Queue, SubscriptionId};
use crate::time::Time;

/// Messages on their way back, by queue: each queue gets all of its own in one go, so that they stand
/// in their old order before anybody is served.
#[derive(Debug, Default)]
pub struct GiveBack(Vec<Share>);

#[derive(Debug)]
struct Share {
    queue: Arc<Queue>,
    /// Those of consumers that acknowledge.
    items: Vec<Queued>,
    uncounted: Vec<Queued>,
    released: Vec<(Option<SubscriptionId>, u32)>,
}

impl GiveBack {
    /// A message the client had in its hands: whoever gets it next is told (behaviour B6.14).
    pub fn held(
        &mut self,
        queue: &Arc<Queue>,
        subscription: Option<SubscriptionId>,
        mut queued: Queued,
    ) {
        queued.redelivered = true;
        queued.delivery_count = queued.delivery_count.saturating_add(1);
        self.add(queue, queued, Some(subscription));
    }

    /// A message that never left the outbox. `counted` for consumers that acknowledge.
    fn unsent(&mut self, queue: &Arc<Queue>, counted: bool, queued: Queued) {
        self.add(queue, queued, counted.then_some(None));
    }

    fn add(&mut self, queue: &Arc<Queue>, queued: Queued, counted: Option<Option<SubscriptionId>>) {
        let index = self.0.iter().position(|share| Arc::ptr_eq(&share.queue, queue));
        let index = index.unwrap_or_else(|| {
            self.0.push(Share {
                queue: Arc::clone(queue),
                items: Vec::new(),
                uncounted: Vec::new(),
                released: Vec::new(),
            });
            self.0.len() - 1
        });
        let Some(share) = self.0.get_mut(index) else {
            return;
        };
        let Some(subscription) = counted else { return share.uncounted.push(queued) };
        share.items.push(queued);
        match share.released.iter_mut().find(|released| released.0 == subscription) {
            Some(released) => released.1 += 1,
            None => share.released.push((subscription, 1)),
        }
    }

    pub fn go(self, now: Time, effects: &mut Effects) {
        for Share { queue, mut items, uncounted, released } in self.0 {
            items.extend(uncounted);
            queue.requeue(items, &released, now, effects);
        }
    }
}

impl Context {
    /// Ends a subscription: after this nothing more is delivered to it. What lies in the outbox for it
    /// is added to `back`; what was delivered stays with the channel (behaviour B6.8).
    pub fn end_consumer(&mut self, id: SourceId, channel: &mut Channel, back: &mut GiveBack) {
        let Some(source) = self.sources.get_mut(id) else {
            return;
        };
        source.live = false;
        let (queue, subscription) = (source.queue.clone(), source.subscription.take());
        channel.consumers.remove(&source.tag);
        if let Some((_, name)) = channel.reply.take_if(|reply| reply.0 == id) {
            self.vhost.unregister_reply(&name);
        }
        if let (Some(queue), Some(subscription)) = (&queue, subscription)
            && queue.cancel(subscription, self.now, &mut self.effects)
        {
            // It was the last consumer of an auto-delete queue (behaviour B5.9).
            self.vhost.end_queue(queue, self.now, &mut self.effects);
        }
        let withdrawn = self.outbox.withdraw(|source| source == id);
        self.unsent(withdrawn, channel, back);
        self.sources.remove_if_over(id);
    }

    fn unsent(&mut self, withdrawn: Vec<Delivery>, channel: &Channel, back: &mut GiveBack) {
        for Delivery { source, queued } in withdrawn {
            let Some(source) = self.sources.get(source) else {
                continue;
            };
            if !source.no_ack {
                channel.limit.release(1);
            }
            if let Some(queue) = &source.queue {
                back.unsent(queue, !source.no_ack, queued);
            }
        }
    }

    /// Returns deliveries in a client's hands to their queues.
    pub fn return_held(&mut self, held: Held, channel: &Channel, back: &mut GiveBack) {
        let Held { source: id, queued } = held;
        self.release(id, 1, channel);
        let Some(source) = self.sources.get(id) else {
            return;
        };
        if let Some(queue) = &source.queue {
            back.held(queue, source.subscription, queued);
        }
        self.sources.remove_if_over(id);
    }

    /// Ends a channel and all that is on it (behaviour B0.3). The batch so far must be flushed.
    pub fn end_channel(&mut self, channels: &mut Channels, number: ChannelNumber) {
        let Some(mut channel) = channels.remove(number) else {
            return;
        };
        if !channel.closing {
            self.services.broker.close_channels(&self.user, 1);
            self.stats.close_channel(number.0);
            self.services.broker.churn.channel_closed.add(1);
        }
        let mut back = GiveBack::default();
        let consumers: Vec<SourceId> = channel.consumers.values().copied().collect();
        for id in consumers {
            self.end_consumer(id, &mut channel, &mut back);
        }
        let mut held = Vec::new();
        channel.unacked.take_until(0, |_, one| held.push(one));
        let transaction = channel.transaction.take();
        held.extend(
            transaction.into_iter().flat_map(|tx| tx.settlements).map(|settlement| settlement.held),
        );
        for one in held {
            self.return_held(one, &channel, &mut back);
        }
        back.go(self.now, &mut self.effects);
    }

    /// Ends everything: channels first, then the exclusive queues (behaviour B2.11).
    pub fn end_all(&mut self, channels: &mut Channels) {
        self.flush_publishes(channels);
        self.flush_settlements(channels);
        for number in channels.numbers() {
            self.end_channel(channels, number);
        }
        let _who = (!self.owned.is_empty()).then(|| self.who().entered());
        for queue in std::mem::take(&mut self.owned) {
            self.vhost.end_queue(&queue, self.now, &mut self.effects);
        }
        // Every consumer withdrew its own, so nothing can be left here.
        self.outbox.close();
        self.act();
        self.effects.wakes.ring();
    }
}
