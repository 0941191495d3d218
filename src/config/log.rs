//! The words of the log's settings.

use std::fmt;

use serde::{Serialize, Serializer};

use super::source::Read;

/// Where the log is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogConsole {
    Stderr,
    Stdout,
    None,
}

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A moment that comes again and again, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// At the full hour.
    Hourly,
    /// At this hour.
    Daily { hour: u8 },
    /// 0 is Sunday.
    Weekly { weekday: u8, hour: u8 },
    /// Counted from 1; in a month that is shorter, its last day.
    Monthly { day: u8, hour: u8 },
}

impl LogConsole {
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("stderr", Self::Stderr), ("stdout", Self::Stdout), ("none", Self::None)];
}

impl LogLevel {
    pub(super) const WORDS: [(&'static str, Self); 6] = [
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

impl Rotation {
    /// A word, or what RabbitMQ takes: `$H0`, `$D23`, `$W0D23`, `$M1D0`; minutes are not looked at.
    pub(super) fn read(text: &str) -> Read<Self> {
        let refuse = || {
            format!(
                "{text:?} is not one of hourly, daily, weekly, monthly, or like $D0 (every day at \
                 0 o'clock), $W1D3 (Mondays at 3) or $M1D0 (the first of the month)"
            )
        };
        Ok(match text {
            "hourly" => Self::Hourly,
            "daily" => Self::Daily { hour: 0 },
            "weekly" => Self::Weekly { weekday: 0, hour: 0 },
            "monthly" => Self::Monthly { day: 1, hour: 0 },
            text => Self::read_date(text).ok_or_else(refuse)?,
        })
    }

    fn read_date(text: &str) -> Option<Self> {
        let text = text.strip_prefix('$')?;
        let number = |text: &str, most: u8| text.parse().ok().filter(|&number: &u8| number <= most);
        if let Some(minute) = text.strip_prefix('H') {
            return number(minute, 59).map(|_| Self::Hourly);
        }
        let (before, hour) = text.split_once('D')?;
        let hour = if hour.is_empty() { 0 } else { number(hour, 23)? };
        match before.split_at_checked(1) {
            None => Some(Self::Daily { hour }),
            Some(("W", weekday)) => Some(Self::Weekly { weekday: number(weekday, 6)?, hour }),
            Some(("M", day)) => {
                Some(Self::Monthly { day: number(day, 31).filter(|&day| day > 0)?, hour })
            }
            Some(_) => None,
        }
    }
}

/// As RabbitMQ writes it.
impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hourly => f.write_str("$H0"),
            Self::Daily { hour } => write!(f, "$D{hour}"),
            Self::Weekly { weekday, hour } => write!(f, "$W{weekday}D{hour}"),
            Self::Monthly { day, hour } => write!(f, "$M{day}D{hour}"),
        }
    }
}

impl Serialize for Rotation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
