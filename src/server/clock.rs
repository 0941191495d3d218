//! The clock: the only one that is read for messages and connections.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::Time;

/// Unix time that never goes backwards: the system's time at the start, counted on by a monotonic
/// clock from there.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_unix_millis: u64,
}

impl Clock {
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            started_unix_millis: u64::try_from(unix.as_millis()).unwrap_or_default(),
        }
    }

    #[inline]
    pub fn now(&self) -> Time {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Time(self.started_unix_millis.saturating_add(elapsed))
    }

    /// The same moment for timers.
    pub fn instant(&self, time: Time) -> Instant {
        let since_start = time.since(Time(self.started_unix_millis));
        // A deadline that never comes is far enough in a year.
        let year = std::time::Duration::from_secs(365 * 24 * 3600);
        // One more millisecond: `now` rounds down, and a timer must not fire before its time.
        self.started + since_start.min(year) + std::time::Duration::from_millis(1)
    }
}
