//! The consumers of a stream. Each stands at a place of its own, and nothing that one does changes
//! what another one gets.

use std::sync::Arc;

use super::filter::Filter;
use crate::delivery::{ChannelLimit, Outbox, SourceId};
use crate::message::{Position, Queued};
use crate::queue::subscribers::{Slot, SubscriptionId};
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) outbox: Arc<Outbox>,
    pub(super) source: SourceId,
    pub(super) limit: Arc<ChannelLimit>,
    pub(super) prefetch: u32,
    pub(super) unacked: u32,
    /// What it has not been given, or passed over, begins here.
    pub(super) next: Position,
    /// What comes next for it, kept for it alone, where many read at different places. Parts of it may
    /// have been handed out.
    pub(super) ahead: Vec<Queued>,
    /// It asked for what came at this time or later, and has not met such a message yet.
    pub(super) since: Option<Time>,
    pub(super) filter: Option<Box<Filter>>,
    /// Its connection has ended; it waits to be removed.
    pub(super) is_retired: bool,
}

impl Reader {
    pub(super) fn has_credit(&self) -> bool {
        !self.is_retired && self.unacked < self.prefetch
    }

    #[inline]
    pub(super) fn wants(&mut self, queued: &Queued) -> bool {
        if self.since.is_some_and(|since| queued.deadline < since) {
            return false;
        }
        self.since = None;
        self.filter.as_ref().is_none_or(|filter| filter.matches(&queued.message))
    }
}

#[derive(Debug, Default)]
pub(super) struct Readers {
    slots: Vec<Option<(u32, Reader)>>,
    free: Vec<Slot>,
    next_generation: u32,
}

impl Readers {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn add(&mut self, reader: Reader) -> SubscriptionId {
        self.next_generation = self.next_generation.wrapping_add(1);
        let generation = self.next_generation;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as Slot
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some((generation, reader));
        }
        SubscriptionId { slot, generation }
    }

    pub(super) fn find(&mut self, id: SubscriptionId) -> Option<&mut Reader> {
        let (generation, reader) = self.slots.get_mut(id.slot as usize)?.as_mut()?;
        (*generation == id.generation).then_some(reader)
    }

    pub(super) fn remove(&mut self, id: SubscriptionId) -> Option<Reader> {
        self.find(id)?;
        let (_, reader) = self.slots.get_mut(id.slot as usize)?.take()?;
        self.free.push(id.slot);
        Some(reader)
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Reader> {
        self.free.clear();
        std::mem::take(&mut self.slots).into_iter().flatten().map(|(_, reader)| reader)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Reader> {
        self.slots.iter().flatten().map(|(_, reader)| reader)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = SubscriptionId> {
        let id = |(slot, place): (usize, &Option<(u32, Reader)>)| {
            let (generation, _) = place.as_ref()?;
            Some(SubscriptionId { slot: slot as Slot, generation: *generation })
        };
        self.slots.iter().enumerate().filter_map(id)
    }
}
