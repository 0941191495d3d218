//! What time it is, as a plain value.
//!
//! Time is an argument everywhere below the sockets: only `server` reads a clock, so every rule that
//! depends on time can be tested by handing in another number.

use std::fmt;
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

    /// For people and tools: the date and time in UTC (RFC 3339), as RabbitMQ's HTTP API has it:
    /// `2026-11-23T00:01:41.056+00:00`.
    pub fn rfc3339(self) -> impl fmt::Display {
        Rfc3339(self)
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

struct Rfc3339(Time);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.unix_seconds();
        let (year, month, date) = civil(seconds / DAY_SECONDS);
        let second = seconds % DAY_SECONDS;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let millis = self.0.0 % 1000;
        write!(
            f,
            "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}+00:00"
        )
    }
}

pub const DAY_SECONDS: u64 = 24 * 3600;

/// Year, month and day of a day since 1970. Years are counted from March, in eras of 400, so that the
/// day that comes and goes is the last one.
pub fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rabbitmq_writes_them() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000+00:00"),
            (951_782_399_999, "2000-02-28T23:59:59.999+00:00"),
            (951_782_400_007, "2000-02-29T00:00:00.007+00:00"),
            (1_795_478_501_056, "2026-11-24T00:01:41.056+00:00"),
        ] {
            assert_eq!(Time(millis).rfc3339().to_string(), expected);
        }
    }
}
