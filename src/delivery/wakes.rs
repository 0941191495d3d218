//! Who to wake when a batch of work is done.

use std::sync::Arc;

use super::Outbox;

/// The outboxes that a batch of work put something into. Waking costs a system call when the other
/// side sleeps, so it happens once a batch and never under a lock.
#[derive(Debug, Default)]
pub struct Wakes(Vec<Arc<Outbox>>);

/// How far back a repeated outbox is looked for; beyond that it is rung twice, which is harmless.
const LOOK_BACK: usize = 8;

impl Wakes {
    #[inline]
    pub fn touch(&mut self, outbox: &Arc<Outbox>) {
        if !self.0.iter().rev().take(LOOK_BACK).any(|known| Arc::ptr_eq(known, outbox)) {
            self.0.push(Arc::clone(outbox));
        }
    }

    /// Rings everybody. To be called with no lock held.
    pub fn ring(&mut self) {
        for outbox in self.0.drain(..) {
            outbox.ring();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        // A forgotten ring would leave a message lying in an outbox until the next one comes.
        self.ring();
    }
}
