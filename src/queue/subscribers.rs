//! The consumers of a queue: who may get the next message.
//!
//! Consumers of one priority stand in a ring and are served one message a turn; a lower priority is
//! served only while every higher one is blocked (behaviour B6.17, B6.18). A consumer that has no
//! room leaves its ring and joins at the end when it has room again.

mod single_active;

use std::collections::VecDeque;
use std::sync::Arc;

pub(super) use self::single_active::Service;

use super::consumers::QueueConsumer;
use super::stream::StreamStart;
use crate::delivery::{ChannelLimit, Outbox, SourceId};

/// A consumer as the session describes it.
#[derive(Debug)]
pub struct Subscription {
    pub outbox: Arc<Outbox>,
    /// Its number within its connection.
    pub source: SourceId,
    pub limit: Arc<ChannelLimit>,
    /// Unsettled deliveries it may have; 0 is unlimited.
    pub prefetch: u16,
    pub no_ack: bool,
    pub exclusive: bool,
    /// `x-priority`; higher is served first.
    pub priority: i64,
    /// Where a consumer of a stream begins, and what it wants.
    pub stream: Option<StreamStart>,
}

/// Names a subscription at its queue. Never used for another one while the queue lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct SubscriptionId {
    pub(super) slot: Slot,
    pub(super) generation: u32,
}

pub(super) type Slot = u32;

#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) outbox: Arc<Outbox>,
    pub(super) source: SourceId,
    pub(super) limit: Arc<ChannelLimit>,
    pub(super) prefetch: u32,
    pub(super) no_ack: bool,
    pub(super) exclusive: bool,
    pub(super) priority: i64,
    pub(super) unacked: u32,
    generation: u32,
    /// Out of its ring, waiting for room.
    blocked: bool,
    /// Its connection has ended; it waits to be removed.
    retired: bool,
    /// Where its deliveries are staged during a dispatch.
    pub(super) stage: Option<usize>,
    /// Bytes its outbox still takes, as seen at the start of a dispatch.
    pub(super) room: usize,
}

impl Subscriber {
    /// Room by prefetch. The channel's limit and the outbox are looked at when a message is at hand.
    pub(super) fn has_prefetch_room(&self) -> bool {
        self.no_ack || self.prefetch == 0 || self.unacked < self.prefetch
    }

    /// Room as far as settlements give it. Not the outbox's: a consumer that is ready but for a full
    /// outbox has to meet it, because only whom the outbox passed over is called when it is emptied.
    fn has_credit(&self) -> bool {
        let in_limit = self.no_ack || !self.limit.is_set() || {
            let granted = self.limit.acquire(1);
            self.limit.release(granted);
            granted == 1
        };
        self.has_prefetch_room() && in_limit
    }
}

#[derive(Debug)]
struct Level {
    priority: i64,
    /// Those that may get a message, in turn.
    ring: VecDeque<Slot>,
}

#[derive(Debug, Default)]
pub(super) struct Subscribers {
    slots: Vec<Option<Subscriber>>,
    free: Vec<Slot>,
    len: usize,
    next_generation: u32,
    /// Highest priority first.
    levels: Vec<Level>,
    service: Service,
    /// Who gets messages where one does.
    active: Option<Slot>,
    /// The active one gets no more: a more important one waits for what it still has.
    yields: bool,
    /// The others, in the order in which they registered.
    waiting: VecDeque<Slot>,
}

impl Subscribers {
    pub(super) fn new(service: Service) -> Self {
        Self { service, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// `None` when somebody's exclusive use forbids it (behaviour B6.7).
    pub(super) fn add(&mut self, subscription: Subscription) -> Option<SubscriptionId> {
        let taken = self.slots.iter().flatten().any(|other| other.exclusive);
        let alone = self.len == 0 && self.service == Service::All;
        if taken || (subscription.exclusive && !alone) {
            return None;
        }
        self.next_generation = self.next_generation.wrapping_add(1);
        let generation = self.next_generation;
        let priority = subscription.priority;
        let subscriber = Subscriber {
            outbox: subscription.outbox,
            source: subscription.source,
            limit: subscription.limit,
            prefetch: u32::from(subscription.prefetch),
            no_ack: subscription.no_ack,
            exclusive: subscription.exclusive,
            priority,
            unacked: 0,
            generation,
            blocked: false,
            retired: false,
            stage: None,
            room: 0,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
        });
        *self.slots.get_mut(slot as usize)? = Some(subscriber);
        self.len += 1;
        match self.service {
            Service::All => self.ring(priority).push_back(slot),
            Service::One | Service::MostImportant => self.wait(slot),
        }
        Some(SubscriptionId { slot, generation })
    }

    /// False when it is already gone.
    pub(super) fn remove(&mut self, id: SubscriptionId) -> bool {
        if self.find(id).is_none() {
            return false;
        }
        if let Some(entry) = self.slots.get_mut(id.slot as usize) {
            *entry = None;
        }
        self.free.push(id.slot);
        self.len -= 1;
        self.leave_ring(id.slot);
        self.levels.retain(|level| !level.ring.is_empty());
        self.no_longer_waits(id.slot);
        true
    }

    pub(super) fn list(&self) -> Vec<QueueConsumer> {
        let all = self.slots.iter().enumerate();
        let consumer = |(slot, subscriber): (usize, &Option<Subscriber>)| {
            let subscriber = subscriber.as_ref()?;
            let is_active = self.active.is_none_or(|active| active as usize == slot);
            let (outbox, source) = (Arc::clone(&subscriber.outbox), subscriber.source);
            Some(QueueConsumer { outbox, source, is_active })
        };
        all.filter_map(consumer).collect()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Subscriber> {
        let slots = std::mem::take(&mut self.slots);
        *self = Self { next_generation: self.next_generation, ..Self::new(self.service) };
        slots.into_iter().flatten()
    }

    pub(super) fn find(&mut self, id: SubscriptionId) -> Option<&mut Subscriber> {
        let entry = self.slots.get_mut(id.slot as usize)?.as_mut();
        entry.filter(|subscriber| subscriber.generation == id.generation)
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<&Subscriber> {
        self.slots.get(slot as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Subscriber> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Whose turn it is, and whether nobody else of that priority could take the next message too.
    #[inline]
    pub(super) fn turn(&self) -> Option<(Slot, bool)> {
        let level = self.levels.iter().find(|level| !level.ring.is_empty())?;
        Some((*level.ring.front()?, level.ring.len() == 1))
    }

    /// The one whose turn it was got a message: it goes to the end of its ring.
    #[inline]
    pub(super) fn rotate(&mut self) {
        if let Some(level) = self.levels.iter_mut().find(|level| !level.ring.is_empty()) {
            level.ring.rotate_left(1);
        }
    }

    /// The one whose turn it was has no room: it leaves its ring.
    pub(super) fn block(&mut self) {
        let Some(level) = self.levels.iter_mut().find(|level| !level.ring.is_empty()) else {
            return;
        };
        if let Some(slot) = level.ring.pop_front()
            && let Some(subscriber) = self.get_mut(slot)
        {
            subscriber.blocked = true;
        }
    }

    /// Puts a blocked consumer back into its ring if it has credit. True when it did.
    pub(super) fn unblock(&mut self, id: SubscriptionId) -> bool {
        let Some(subscriber) = self.find(id) else {
            return false;
        };
        if !subscriber.blocked {
            return false;
        }
        if self.yields && self.active == Some(id.slot) {
            return self.consider_priorities();
        }
        self.rejoin(id.slot)
    }

    fn rejoin(&mut self, slot: Slot) -> bool {
        let Some(subscriber) = self.get_mut(slot) else {
            return false;
        };
        if subscriber.retired || !subscriber.has_credit() {
            return false;
        }
        subscriber.blocked = false;
        let priority = subscriber.priority;
        self.ring(priority).push_back(slot);
        true
    }

    /// Gets nothing any more, whatever happens, until it is removed.
    pub(super) fn retire(&mut self, slot: Slot) {
        if let Some(subscriber) = self.get_mut(slot) {
            (subscriber.blocked, subscriber.retired) = (true, true);
        }
        self.leave_ring(slot);
    }

    fn leave_ring(&mut self, slot: Slot) {
        for level in &mut self.levels {
            level.ring.retain(|other| *other != slot);
        }
    }

    fn ring(&mut self, priority: i64) -> &mut VecDeque<Slot> {
        let index = self.levels.partition_point(|level| level.priority > priority);
        if self.levels.get(index).is_none_or(|level| level.priority != priority) {
            self.levels.insert(index, Level { priority, ring: VecDeque::new() });
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "the level at `index` was found or inserted above"
        )]
        &mut self.levels[index].ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(
        subscribers: &mut Subscribers,
        exclusive: bool,
        priority: i64,
    ) -> Option<SubscriptionId> {
        subscribers.add(Subscription {
            outbox: Arc::new(Outbox::new(1)),
            source: SourceId(0),
            limit: Arc::new(ChannelLimit::default()),
            prefetch: 0,
            no_ack: false,
            exclusive,
            priority,
            stream: None,
        })
    }

    fn turn(subscribers: &Subscribers) -> Option<Slot> {
        subscribers.turn().map(|(slot, _)| slot)
    }

    #[test]
    fn exclusive_use_tolerates_nobody_beside_it() {
        let mut subscribers = Subscribers::default();
        let first = add(&mut subscribers, false, 0).unwrap();
        assert!(add(&mut subscribers, true, 0).is_none(), "not the first one");
        assert!(subscribers.remove(first));
        let alone = add(&mut subscribers, true, 0).unwrap();
        assert!(add(&mut subscribers, false, 0).is_none());
        assert!(add(&mut subscribers, true, 0).is_none());
        assert!(subscribers.remove(alone));
        assert!(add(&mut subscribers, false, 0).is_some());
    }

    #[test]
    fn an_id_names_one_subscription_for_ever() {
        let mut subscribers = Subscribers::default();
        let old = add(&mut subscribers, false, 0).unwrap();
        assert!(subscribers.remove(old));
        let new = add(&mut subscribers, false, 0).unwrap();
        assert_eq!(old.slot, new.slot, "the slot is used again");
        assert!(subscribers.find(old).is_none() && !subscribers.remove(old));
        assert!(subscribers.find(new).is_some());
        assert_eq!(subscribers.len(), 1);
        let mut others = subscribers.drain();
        assert!(others.next().is_some() && others.next().is_none());
        drop(others);
        let newest = add(&mut subscribers, false, 0).unwrap();
        assert!(newest != new && subscribers.find(new).is_none());
    }

    #[test]
    fn turns_go_round_within_the_highest_priority_that_has_anybody() {
        let mut subscribers = Subscribers::default();
        let ids: Vec<SubscriptionId> =
            [0, 3, 3].map(|priority| add(&mut subscribers, false, priority).unwrap()).to_vec();
        assert_eq!(subscribers.turn(), Some((ids[1].slot, false)));
        subscribers.rotate();
        assert_eq!(turn(&subscribers), Some(ids[2].slot));
        subscribers.block();
        assert_eq!(subscribers.turn(), Some((ids[1].slot, true)));
        subscribers.block();
        assert_eq!(turn(&subscribers), Some(ids[0].slot));
        assert!(subscribers.unblock(ids[2]));
        assert_eq!(turn(&subscribers), Some(ids[2].slot));
        assert!(!subscribers.unblock(ids[2]), "it is not blocked");
    }

    #[test]
    fn nobody_is_left_in_a_ring_who_was_removed_or_retired() {
        let mut subscribers = Subscribers::default();
        let ids: Vec<SubscriptionId> =
            [1, 1, 2].map(|priority| add(&mut subscribers, false, priority).unwrap()).to_vec();
        subscribers.remove(ids[2]);
        subscribers.retire(ids[0].slot);
        assert_eq!(subscribers.turn(), Some((ids[1].slot, true)));
        assert!(!subscribers.unblock(ids[0]), "a retired one never comes back");
        subscribers.remove(ids[1]);
        assert_eq!(subscribers.turn(), None);
        assert_eq!(subscribers.len(), 1);
    }

    #[test]
    fn credit_is_by_prefetch_and_by_the_channels_limit() {
        let mut subscribers = Subscribers::default();
        let id = add(&mut subscribers, false, 0).unwrap();
        let subscriber = subscribers.find(id).unwrap();
        subscriber.prefetch = 2;
        subscriber.unacked = 2;
        assert!(!subscriber.has_prefetch_room() && !subscriber.has_credit());
        subscriber.unacked = 1;
        assert!(subscriber.has_credit());
        let limit = Arc::clone(&subscriber.limit);
        limit.set(3);
        assert_eq!(limit.acquire(3), 3);
        assert!(!subscriber.has_credit());
        assert_eq!(limit.in_use(), 3, "asking takes nothing");
        subscriber.no_ack = true;
        assert!(subscriber.has_credit(), "who does not acknowledge has no limit");
    }
}
