//! What a queue operation leaves for its caller to do when the queue's lock is gone.

use std::sync::Arc;

use super::subscribers::Slot;
use super::{Before, DeadLetterStrategy, Options, Queue};
use crate::delivery::{Delivery, Wakes};
use crate::message::{Message, Position, Queued};
use crate::storage::Run;
use crate::time::Time;

/// Why a message died (behaviour B8.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    Rejected,
    Expired,
    MaxLength,
    /// It came back more often than the queue allows (behaviour B13.4).
    DeliveryLimit,
}

impl Reason {
    pub const ALL: [Self; 4] =
        [Self::Rejected, Self::Expired, Self::MaxLength, Self::DeliveryLimit];

    /// As the `x-death` header spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message that left its queue without being settled by a consumer.
#[derive(Debug)]
pub struct Dead {
    pub queue: Arc<Queue>,
    pub queued: Queued,
    pub reason: Reason,
    /// What held for the queue when the message died.
    pub options: Arc<Options>,
}

impl Dead {
    /// The store knows it, if it knows its queue.
    pub fn is_stored(&self) -> bool {
        self.queued.kept && self.queued.position != Position::NOWHERE
    }
}

/// Collected under locks, acted on after them. One is kept per connection and reused, so that a batch
/// allocates nothing.
#[derive(Debug, Default)]
pub struct Effects {
    pub wakes: Wakes,
    /// What died in queues that have a dead letter exchange, in order.
    pub dead: Vec<Dead>,
    /// Queues that want to be looked at by then, and would not be.
    pub deadlines: Vec<(Time, Arc<Queue>)>,
    /// Queues to which something happened that had been quiet, and what they were before.
    pub stirred: Vec<(Arc<Queue>, Before)>,
    /// Deliveries chosen during one dispatch, by subscriber. Empty between operations.
    pub(super) stages: Vec<Stage>,
    /// How many of `stages` are in use; the others keep their memory for later.
    pub(super) staged: usize,
    /// What a queue will tell the store. Empty between operations.
    pub(super) runs: Vec<Run>,
}

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) slot: Slot,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) bytes: usize,
}

impl Effects {
    /// A message is dead: dropped here, or kept for the dead letter exchange when there is one. Then
    /// the store hears of it together with what becomes of it.
    pub(super) fn bury(
        &mut self,
        queue: &Arc<Queue>,
        options: &Arc<Options>,
        queued: Queued,
        reason: Reason,
    ) {
        queue.stats.count_dead(reason, DeadLetterStrategy::of(options));
        if options.dead_letter_exchange.is_some() {
            let (queue, options) = (Arc::clone(queue), Arc::clone(options));
            self.dead.push(Dead { queue, queued, reason, options });
        } else {
            queue.forget([&queued]);
        }
    }

    /// A message that its queue refused, for the dead letter exchange when there is one.
    pub(super) fn bury_unborn(
        &mut self,
        queue: &Arc<Queue>,
        options: &Arc<Options>,
        message: Message,
    ) {
        if options.dead_letter_exchange.is_some() {
            queue.stats.count_dead(Reason::MaxLength, DeadLetterStrategy::of(options));
            let queued = Queued {
                message,
                position: Position::NOWHERE,
                deadline: Time::NEVER,
                redelivered: false,
                kept: false,
                delivery_count: 0,
            };
            let (queue, options) = (Arc::clone(queue), Arc::clone(options));
            self.dead.push(Dead { queue, queued, reason: Reason::MaxLength, options });
        }
    }

    pub(super) fn stage(&mut self, slot: Slot) -> usize {
        let index = self.staged;
        match self.stages.get_mut(index) {
            Some(stage) => stage.slot = slot,
            None => self.stages.push(Stage { slot, deliveries: Vec::new(), bytes: 0 }),
        }
        self.staged += 1;
        index
    }
}
