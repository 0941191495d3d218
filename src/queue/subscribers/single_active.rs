//! Queues with `x-single-active-consumer`: one consumer gets messages, the others wait for its place
//! (behaviour B6.19).
//!
//! ```text
//!   waiting ──▶ active ── outranked ──▶ yields ── nothing unacknowledged ──▶ waiting
//!                 ▲                       │
//!                 └── the other is gone ──┘
//! ```
//!
//! Only quorum queues know the way to the right. Who yields is out of its ring, as if it had no room:
//! so the path of a message does not ask whether anybody does.

use super::{Slot, Subscribers};
use crate::queue::{Options, QueueKind};

/// Who of the consumers gets messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::queue) enum Service {
    #[default]
    All,
    /// One, until it leaves.
    One,
    /// One, until it leaves or is outranked.
    MostImportant,
}

impl Service {
    pub(in crate::queue) fn of(options: &Options) -> Self {
        match options.kind {
            _ if !options.single_active_consumer => Self::All,
            QueueKind::Quorum => Self::MostImportant,
            QueueKind::Classic | QueueKind::Stream => Self::One,
        }
    }
}

impl Subscribers {
    /// A new one waits, if there is anybody to wait for.
    pub(super) fn wait(&mut self, slot: Slot) {
        self.waiting.push_back(slot);
        if self.active.is_none() {
            self.promote();
        } else {
            self.consider_priorities();
        }
    }

    /// One that was removed needs no place and leaves none behind.
    pub(super) fn no_longer_waits(&mut self, slot: Slot) {
        if self.active == Some(slot) {
            (self.active, self.yields) = (None, false);
            self.promote();
            return;
        }
        self.waiting.retain(|other| *other != slot);
        if self.yields {
            self.consider_priorities();
        }
    }

    /// The active one yields to a more important one, or need not any more; once it has nothing
    /// unacknowledged they change places. True when somebody can get messages who could not before.
    pub(super) fn consider_priorities(&mut self) -> bool {
        let Some((slot, active)) = self.active.and_then(|slot| Some((slot, self.get(slot)?)))
        else {
            return false;
        };
        let mut waiting = self.waiting.iter().filter_map(|slot| self.get(*slot));
        let is_outranked = self.service == Service::MostImportant
            && waiting.any(|other| other.priority > active.priority);
        let is_done = active.unacked == 0;
        if !is_outranked {
            return std::mem::take(&mut self.yields) && self.rejoin(slot);
        }
        self.leave_ring(slot);
        self.yields = !is_done;
        if is_done {
            self.depose(slot);
            self.promote();
        } else if let Some(active) = self.get_mut(slot) {
            active.blocked = true;
        }
        is_done
    }

    /// The active one goes back to where its registration puts it among those waiting.
    fn depose(&mut self, slot: Slot) {
        // Numbers start again after the last one, but who has a higher one than the newest is older.
        let newest = self.next_generation;
        let age = |slot| self.get(slot).map_or(0, |other| newest.wrapping_sub(other.generation));
        let own = age(slot);
        let index = self.waiting.partition_point(|other| age(*other) > own);
        self.waiting.insert(index, slot);
        if let Some(subscriber) = self.get_mut(slot) {
            // Room that it gets while it waits is no reason to serve it.
            subscriber.blocked = subscriber.retired;
        }
    }

    /// The next one: the highest priority, then the longest waiting.
    fn promote(&mut self) {
        let priority_of = |slot: Slot| self.get(slot).map_or(i64::MIN, |waiting| waiting.priority);
        let best = self.waiting.iter().copied().map(priority_of).max();
        let Some(index) = self.waiting.iter().position(|slot| Some(priority_of(*slot)) == best)
        else {
            return;
        };
        if let Some(slot) = self.waiting.remove(index) {
            self.active = Some(slot);
            if self.get(slot).is_some_and(|active| !active.retired) {
                self.ring(best.unwrap_or(0)).push_back(slot);
            }
        }
    }
}
