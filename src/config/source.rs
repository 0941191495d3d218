//! A value before it has a type, and the ways to give it one.
//!
//! The three sources differ in what they can express (TOML has numbers and lists, the environment
//! has text only, a flag can repeat), so each reading here accepts every form that makes sense. The
//! error is the half of a sentence that follows the key's name.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::error::Origin;

/// One key set in one place.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) origin: Origin,
    pub(super) key: &'static str,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Self>),
    /// Something no key takes; says what it was.
    Other(&'static str),
}

pub(super) type Read<T> = Result<T, String>;

/// Switches an optional thing off, where a source cannot leave the key out.
const NONE: &str = "none";

impl Value {
    pub(super) fn text(&self) -> Read<&str> {
        match self {
            Self::Text(text) if text.is_empty() => Err("must not be empty".to_owned()),
            Self::Text(text) => Ok(text),
            other => Err(format!("expected text, found {}", other.kind())),
        }
    }

    /// A name that must fit a short string of the protocol.
    pub(super) fn name(&self) -> Read<&str> {
        let text = self.text()?;
        if text.len() > 255 {
            return Err(format!("{} bytes is too long, the most is 255", text.len()));
        }
        Ok(text)
    }

    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Read<T> {
        let text = self.text()?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok(*meaning),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(format!("{text:?} is not one of {}", known.join(", ")))
            }
        }
    }

    pub(super) fn address(&self) -> Read<SocketAddr> {
        let text = self.text()?;
        text.parse()
            .map_err(|_| format!("{text:?} is not ADDR:PORT, such as 127.0.0.1:5672 or [::]:5672"))
    }

    pub(super) fn integer<T>(&self, limits: RangeInclusive<T>) -> Read<T>
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let number = match self {
            Self::Integer(number) => *number,
            Self::Text(text) => digits(text.trim())?,
            other => return Err(format!("expected a whole number, found {}", other.kind())),
        };
        within(number, limits)
    }

    pub(super) fn boolean(&self) -> Read<bool> {
        match self {
            Self::Boolean(value) => Ok(*value),
            Self::Text(_) => self.word(&[("true", true), ("false", false)]),
            other => Err(format!("expected true or false, found {}", other.kind())),
        }
    }

    /// A number with a point in it, or a percentage, or 0 or 1, which are too few to be bytes of anything.
    pub(super) fn fraction(&self) -> Option<f64> {
        match self {
            Self::Text(text) if text.trim_end().ends_with('%') => {
                let percent: f64 = text.trim_end().trim_end_matches('%').trim().parse().ok()?;
                Some(percent / 100.0)
            }
            Self::Float(number) => Some(*number),
            Self::Integer(number @ 0..=1) => Some(*number as f64),
            Self::Text(text) => {
                let text = text.trim();
                let is_plain = text.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
                let is_fraction = text.contains('.') || matches!(text, "0" | "1");
                text.parse().ok().filter(|_| is_plain && is_fraction)
            }
            _ => None,
        }
    }

    /// A number of bytes: plain, or text with a unit.
    pub(super) fn bytes<T>(&self, limits: RangeInclusive<T>) -> Read<T>
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        // The last three are RabbitMQ's.
        const UNITS: [(&str, i64); 9] = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("KB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("k", 1 << 10),
            ("M", 1 << 20),
            ("G", 1 << 30),
        ];
        let Self::Text(text) = self else {
            return self.integer(limits);
        };
        let text = text.trim();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, factor)| Some((text.strip_suffix(name)?.trim_end(), *factor)))
            .unwrap_or((text, 1));
        let number =
            digits(number).ok().and_then(|number| number.checked_mul(unit)).ok_or_else(|| {
                format!(
                    "{text:?} is not a number of bytes, such as 131072, \"128 KiB\" or \"1 MB\""
                )
            })?;
        within(number, limits)
    }

    /// `none`, or what `read` makes of the value.
    pub(super) fn optional<T>(&self, read: impl FnOnce(&Self) -> Read<T>) -> Read<Option<T>> {
        match self {
            Self::Text(text) if text == NONE => Ok(None),
            value => read(value).map(Some),
        }
    }

    /// A list, or text with commas, or `none` for the empty list.
    pub(super) fn list<T>(&self, read: impl Fn(&Self) -> Read<T>) -> Read<Vec<T>> {
        match self {
            Self::Text(text) if text == NONE => Ok(Vec::new()),
            Self::Text(text) => {
                text.split(',').map(|part| read(&Self::Text(part.trim().to_owned()))).collect()
            }
            Self::List(values) => match values.as_slice() {
                [Self::Text(text)] if text == NONE => Ok(Vec::new()),
                values => values.iter().map(read).collect(),
            },
            other => Err(format!("expected a list, found {}", other.kind())),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Other(kind) => kind,
        }
    }
}

fn digits(text: &str) -> Read<i64> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number"))
}

fn within<T>(number: i64, limits: RangeInclusive<T>) -> Read<T>
where
    T: TryFrom<i64> + PartialOrd + Display + Copy,
{
    match T::try_from(number) {
        Ok(value) if limits.contains(&value) => Ok(value),
        _ => Err(format!("{number} is outside {} to {}", limits.start(), limits.end())),
    }
}
