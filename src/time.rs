//! What time it is, as a plain value.
//!
//! Time is an argument everywhere below the sockets: only `server` reads a clock, so every rule that
//! depends on time can be tested by handing in another number.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds since the Unix epoch. The clock that makes it never goes backwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Later than anything that happens: a deadline that is not set.
    pub const NEVER: Self = Self(u64::MAX);

    /// Whole seconds since the epoch, as AMQP timestamps want them.
    pub fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// How long from `earlier` until `self`; zero when `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }
}
