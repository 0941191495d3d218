//! Dates in UTC, from seconds since 1970.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::Rotation;
use crate::time::{DAY_SECONDS as DAY, civil};

const HOUR: u64 = 3600;

/// A moment, as RabbitMQ's log has it: `2026-11-23 00:01:41.056638+00:00`.
#[derive(Clone, Copy)]
pub(super) struct Moment(Duration);

impl Moment {
    pub(super) fn now() -> Self {
        // A clock before 1970 is wrong in any case.
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    pub(super) fn of(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    #[cfg(test)]
    pub(super) fn from_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(super) fn seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// The first moment of the rotation after this one, in seconds.
    pub(super) fn next(self, rotation: Rotation) -> u64 {
        let now = self.seconds();
        let (hour, fits): (u8, Box<dyn Fn(u64) -> bool>) = match rotation {
            Rotation::Hourly => return (now / HOUR + 1) * HOUR,
            Rotation::Daily { hour } => (hour, Box::new(|_| true)),
            // 1970 began on a Thursday.
            Rotation::Weekly { weekday, hour } => {
                (hour, Box::new(move |day| (day + 4) % 7 == u64::from(weekday)))
            }
            Rotation::Monthly { day: wanted, hour } => {
                let fits = move |day| {
                    let (_, month, date) = civil(day);
                    let is_last = civil(day + 1).1 != month;
                    date == u64::from(wanted) || (is_last && date < u64::from(wanted))
                };
                (hour, Box::new(fits))
            }
        };
        let mut day = now / DAY;
        loop {
            let moment = day * DAY + u64::from(hour) * HOUR;
            if moment > now && fits(day) {
                return moment;
            }
            day += 1;
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.seconds() / DAY);
        let second = self.seconds() % DAY;
        let (hour, minute, second) = (second / HOUR, second / 60 % 60, second % 60);
        let micros = self.0.subsec_micros();
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}+00:00"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_micros(seconds * 1_000_000 + 56_638))
    }

    #[test]
    fn moments_are_written_as_rabbitmq_writes_them() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00.056638+00:00"),
            (951_782_399, "2000-02-28 23:59:59.056638+00:00"),
            (951_782_400, "2000-02-29 00:00:00.056638+00:00"),
            (951_868_800, "2000-03-01 00:00:00.056638+00:00"),
            (1_795_478_501, "2026-11-24 00:01:41.056638+00:00"),
            (4_107_542_400, "2100-03-01 00:00:00.056638+00:00"),
        ] {
            assert_eq!(at(seconds).to_string(), expected);
        }
    }

    #[test]
    fn rotation_comes_after_now_and_never_at_it() {
        // A Tuesday, 00:01:41.
        let now = 1_795_478_501;
        for (rotation, expected) in [
            (Rotation::Hourly, "2026-11-24 01:00"),
            (Rotation::Daily { hour: 0 }, "2026-11-25 00:00"),
            (Rotation::Daily { hour: 5 }, "2026-11-24 05:00"),
            (Rotation::Weekly { weekday: 0, hour: 0 }, "2026-11-29 00:00"),
            (Rotation::Weekly { weekday: 2, hour: 0 }, "2026-12-01 00:00"),
            (Rotation::Weekly { weekday: 2, hour: 1 }, "2026-11-24 01:00"),
            (Rotation::Monthly { day: 1, hour: 0 }, "2026-12-01 00:00"),
            (Rotation::Monthly { day: 31, hour: 0 }, "2026-11-30 00:00"),
            (Rotation::Monthly { day: 24, hour: 0 }, "2026-12-24 00:00"),
        ] {
            let next = at(now).next(rotation);
            assert_eq!(&Moment::from_seconds(next).to_string()[..16], expected, "{rotation:?}");
            assert!(Moment::from_seconds(next).next(rotation) > next, "{rotation:?}");
        }
    }
}
