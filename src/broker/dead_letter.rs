//! What queues leave to be done: deadlines are scheduled.

use std::sync::Arc;

use super::vhost::Vhost;
use crate::queue::Effects;
use crate::time::Time;

impl Vhost {
    /// Does what a batch of work left to be done. To be called after every use of queues, without a
    /// lock, and before the wakes are rung.
    #[inline]
    pub fn act(self: &Arc<Self>, _now: Time, effects: &mut Effects) {
        for (at, queue) in effects.deadlines.drain(..) {
            self.schedule.add(at, self, &queue);
        }
    }
}
