//! Where deliveries of a connection come from: its consumers, and messages got with `basic.get`.

use std::sync::Arc;

use crate::delivery::SourceId;
use crate::protocol::{ChannelNumber, FieldTable};
use crate::queue::{Queue, QueueKind, SubscriptionId, TimeoutAction};

/// A consumer, or one message got. It outlives its cancellation while deliveries are outstanding.
#[derive(Debug)]
pub struct Source {
    pub channel: ChannelNumber,
    /// `None` for direct replies, which come from no queue.
    pub queue: Option<Arc<Queue>>,
    /// `None` for `basic.get`, for direct replies, and after a cancellation.
    pub subscription: Option<SubscriptionId>,
    pub no_ack: bool,
    /// Deliveries say how often the message came back (behaviour B13.3).
    pub counts_deliveries: bool,
    /// Delivered and not settled.
    pub unacked: u32,
    /// Written to the client and not counted yet, and those among them that may have been before.
    pub delivered: u32,
    pub redelivered: u32,
    /// Consumers only: still subscribed.
    pub live: bool,
    pub tag: Box<str>,
    /// The beginning of its `basic.deliver` payloads: method ids and consumer tag.
    pub deliver: Box<[u8]>,
    /// What the consumer itself said of its acknowledgement timeout.
    pub timeout: Option<Box<ConsumerTimeout>>,
    /// Of a consumer of a queue, what it asked for; to be shown.
    pub asked: Option<Box<Asked>>,
}

/// The rest of what `basic.consume` said.
#[derive(Debug)]
pub struct Asked {
    pub prefetch: u16,
    pub exclusive: bool,
    pub arguments: FieldTable,
}

/// The arguments of `basic.consume` that go before the queue's and the broker's (behaviour B6.7).
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerTimeout {
    /// 0 is no timeout.
    pub millis: Option<u64>,
    pub action: Option<TimeoutAction>,
}

impl Source {
    /// A consumer that is about to subscribe.
    pub fn consumer(
        channel: ChannelNumber,
        tag: &str,
        queue: Option<Arc<Queue>>,
        no_ack: bool,
    ) -> Self {
        let mut deliver = vec![0, 60, 0, 60];
        crate::protocol::wire::put::shortstr(&mut deliver, tag);
        Self {
            channel,
            counts_deliveries: queue.as_ref().is_some_and(is_quorum),
            queue,
            subscription: None,
            no_ack,
            unacked: 0,
            delivered: 0,
            redelivered: 0,
            live: true,
            tag: tag.into(),
            deliver: deliver.into(),
            timeout: None,
            asked: None,
        }
    }

    fn deduplicates(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.deduplicates())
    }

    pub fn is_consumer(&self) -> bool {
        !self.deliver.is_empty()
    }

    /// One message got with `basic.get`, to be settled.
    pub fn got(channel: ChannelNumber, queue: Arc<Queue>) -> Self {
        Self {
            channel,
            counts_deliveries: is_quorum(&queue),
            queue: Some(queue),
            subscription: None,
            no_ack: false,
            unacked: 1,
            delivered: 0,
            redelivered: 0,
            live: false,
            tag: Box::default(),
            deliver: Box::default(),
            timeout: None,
            asked: None,
        }
    }
}

fn is_quorum(queue: &Arc<Queue>) -> bool {
    queue.kind() == QueueKind::Quorum
}

/// A connection's sources, by number. Numbers are used again: a source goes only when its queue and
/// the outbox know it no more.
#[derive(Debug, Default)]
pub struct Sources {
    slots: Vec<Option<Source>>,
    free: Vec<u32>,
    /// There was one whose queue deduplicates.
    any_deduplicates: bool,
}

impl Sources {
    pub fn add(&mut self, source: Source) -> SourceId {
        self.any_deduplicates |= source.deduplicates();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(source);
        }
        SourceId(slot)
    }

    /// Whether the queue of a source wants to hear of every message that leaves it. Costs nothing on
    /// connections that know no such queue.
    #[inline]
    pub fn deduplicate(&self, id: SourceId) -> bool {
        self.any_deduplicates && self.get(id).is_some_and(Source::deduplicates)
    }

    #[inline]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, id: SourceId) -> Option<&mut Source> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    pub fn remove(&mut self, id: SourceId) -> Option<Source> {
        let source = self.slots.get_mut(id.0 as usize)?.take()?;
        self.free.push(id.0);
        Some(source)
    }

    /// Forgets a source that nothing refers to any more.
    pub fn remove_if_over(&mut self, id: SourceId) {
        if self.get(id).is_some_and(|source| !source.live && source.unacked == 0) {
            self.remove(id);
        }
    }
}
