//! What `queue.declare` and `basic.consume` may say of a stream (behaviour B5.6, B13.12, B13.16).

use super::filter::Filter;
use crate::message::Position;
use crate::protocol::{AmqpError, FieldTable, FieldValue, ReplyCode};
use crate::time::Time;

/// RabbitMQ's bound for `x-stream-max-segment-size-bytes`.
pub const SEGMENT_BYTES_MAX: u64 = 3_000_000_000;

/// What of a declaration only streams have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamOptions {
    pub max_age_millis: Option<u64>,
    /// The size at which a segment is full, where that is less than the broker's own.
    pub segment_bytes: Option<u64>,
}

/// Where a consumer begins to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StreamOffset {
    /// With what comes after it has asked.
    #[default]
    Next,
    First,
    /// With the newest message there is.
    Last,
    /// With this offset or, if it is not there, with the one that is nearest.
    At(i64),
    /// With what came at this time or later.
    Since(Time),
    /// With what came so many milliseconds ago or later.
    Ago(u64),
}

/// What a consumer of a stream asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamStart {
    pub offset: StreamOffset,
    pub filter: Option<Filter>,
}

impl StreamOffset {
    /// `None` if the value means no offset.
    fn parse(value: &FieldValue) -> Option<Self> {
        match value {
            FieldValue::Timestamp(seconds) => Some(Self::Since(Time(seconds.saturating_mul(1000)))),
            FieldValue::LongString(text) => match &text[..] {
                b"first" => Some(Self::First),
                b"last" => Some(Self::Last),
                b"next" => Some(Self::Next),
                _ => age_millis(value.as_str()?).map(Self::Ago),
            },
            _ => value.as_int().map(Self::At),
        }
    }
}

impl StreamStart {
    /// Reads the arguments of a consumer of `resource`. Errors are CH 406.
    pub fn parse(arguments: &FieldTable, resource: &str) -> Result<Self, AmqpError> {
        let refuse = |name: &str, reason: &str| {
            let text = format!("invalid arg '{name}' for {resource}: {reason}");
            Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
        };
        let name = "x-stream-offset";
        let offset = match arguments.get(name) {
            None => StreamOffset::default(),
            Some(value) => match StreamOffset::parse(value) {
                Some(offset) => offset,
                None => return refuse(name, &invalid_offset(value)),
            },
        };
        match Filter::parse(arguments) {
            Ok(filter) => Ok(Self { offset, filter }),
            Err((name, kind)) => refuse(name, &format!("{{unacceptable_type,{kind}}}")),
        }
    }
}

/// As Erlang writes a typed value.
fn invalid_offset(value: &FieldValue) -> String {
    let kind = value.type_name();
    match value.as_str() {
        Some(text) => format!("{{invalid_stream_offset_arg,{{{kind},<<\"{text}\">>}}}}"),
        None => format!("{{invalid_stream_offset_arg,{{{kind},{value}}}}}"),
    }
}

impl Filter {
    /// What the arguments of a consumer say; the error names the one that is bad.
    fn parse(arguments: &FieldTable) -> Result<Option<Self>, (&'static str, &'static str)> {
        let name = "x-stream-match-unfiltered";
        let match_unfiltered = match arguments.get(name) {
            None => false,
            Some(FieldValue::Bool(value)) => *value,
            Some(other) => return Err((name, other.type_name())),
        };
        let name = "x-stream-filter";
        let value = |value: &FieldValue| {
            value.as_bytes().map(<[u8]>::to_vec).ok_or_else(|| (name, value.type_name()))
        };
        let values = match arguments.get(name) {
            None => return Ok(None),
            Some(FieldValue::Array(values)) => {
                values.iter().map(value).collect::<Result<_, _>>()?
            }
            Some(one) => vec![value(one)?],
        };
        Ok(Some(Self { values, match_unfiltered }))
    }
}

/// A span of time as `x-max-age` spells it: a number that is not 0, and one of `Y`, `M`, `D`, `h`, `m`
/// and `s`.
pub fn age_millis(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = match unit {
        "Y" => 365 * 86_400,
        "M" => 30 * 86_400,
        "D" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    // A number that does not fit is as good as for ever.
    let number = if number.is_empty() { 0 } else { number.parse::<u64>().unwrap_or(u64::MAX) };
    (number > 0).then(|| number.saturating_mul(seconds * 1000))
}

/// The offset that consumers see: positions count from 1, offsets from 0.
pub fn offset_of(position: Position) -> i64 {
    i64::try_from(position.0.saturating_sub(1)).unwrap_or(i64::MAX)
}

/// The position of an offset; that of a negative one is before all others.
pub fn position_of(offset: i64) -> Position {
    Position(u64::try_from(offset).map_or(0, |offset| offset.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_numbers_with_a_unit() {
        for (text, millis) in [
            ("1s", Some(1000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("7D", Some(7 * 86_400_000)),
            ("2M", Some(60 * 86_400_000)),
            ("1Y", Some(365 * 86_400_000)),
            ("99999999999999999999999Y", Some(u64::MAX)),
            ("0s", None),
            ("s", None),
            ("", None),
            ("1", None),
            ("1d", None),
            ("-1h", None),
            ("+1h", None),
            ("1 h", None),
            ("1é", None),
        ] {
            assert_eq!(age_millis(text), millis, "{text:?}");
        }
    }

    #[test]
    fn offsets_are_words_numbers_times_and_ages() {
        let text = |text: &str| FieldValue::from(text);
        for (value, offset) in [
            (text("first"), Some(StreamOffset::First)),
            (text("last"), Some(StreamOffset::Last)),
            (text("next"), Some(StreamOffset::Next)),
            (text("10m"), Some(StreamOffset::Ago(600_000))),
            (text("yesterday"), None),
            (text("5"), None),
            (FieldValue::I64(-3), Some(StreamOffset::At(-3))),
            (FieldValue::U8(200), Some(StreamOffset::At(200))),
            (FieldValue::Timestamp(7), Some(StreamOffset::Since(Time(7000)))),
            (FieldValue::Bool(true), None),
            (FieldValue::F64(1.0), None),
        ] {
            assert_eq!(StreamOffset::parse(&value), offset, "{value:?}");
        }
    }
}
