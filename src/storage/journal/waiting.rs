//! Who waits for the log to get where.

use std::collections::BTreeMap;

use crate::storage::LogPosition;

pub type Wake = Box<dyn FnOnce() + Send>;

/// In the order in which they are due; a tie goes to whoever asked first.
#[derive(Default)]
pub struct Waiting {
    wakes: BTreeMap<(LogPosition, u64), Wake>,
    asked: u64,
}

impl Waiting {
    pub fn add(&mut self, position: LogPosition, wake: Wake) {
        self.asked += 1;
        self.wakes.insert((position, self.asked), wake);
    }

    /// Takes out whoever waits for nothing beyond `durable`.
    pub fn due(&mut self, durable: LogPosition) -> impl Iterator<Item = Wake> + use<> {
        let left = self.wakes.split_off(&(LogPosition(durable.0.saturating_add(1)), 0));
        std::mem::replace(&mut self.wakes, left).into_values()
    }
}
