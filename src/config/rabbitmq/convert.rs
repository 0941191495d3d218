//! Values as RabbitMQ writes them.

use super::super::source::Value;

/// How a value is written, where ours is written in another way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Text,
    Path,
    Number,
    /// `true` or `false`.
    Whether,
    /// A number, or `infinity`, which is `none` here.
    Limit,
    /// Milliseconds, or `infinity`; seconds here, and not more than ours can be.
    Seconds,
    /// Milliseconds, or `infinity`; seconds here, of which 0 are without end.
    SendTimeout,
    /// A path's beginning: `/` is none here.
    Prefix,
    /// Milliseconds, or `infinity` or `undefined`, which is 0 here.
    Timeout,
    /// Bytes: the units `KB`, `MB`, `GB` are powers of 1024, as for all of RabbitMQ's sizes but...
    Binary,
    /// ...those of memory and disk, where they are powers of 1000, and `k`, `M`, `G` powers of 1024.
    Memory,
    /// As [`Binary`](Self::Binary), and 0 is no limit.
    FrameMax,
    /// 0 is no limit.
    ChannelMax,
    Level,
    Formatter,
}

/// An error is the half of a sentence that follows the key.
pub(super) fn value(form: Form, text: &str) -> Result<Value, String> {
    let word = |text: &str| Value::Text(text.to_owned());
    Ok(match form {
        Form::Text | Form::Path => word(text),
        Form::Number => Value::Integer(number(text)?),
        Form::Whether => word(if whether(text)? { "true" } else { "false" }),
        Form::Limit if text == "infinity" => word("none"),
        Form::Limit => Value::Integer(number(text)?),
        Form::Seconds if text == "infinity" => Value::Integer(3600),
        Form::Seconds => Value::Integer(number(text)?.saturating_add(999) / 1000),
        Form::SendTimeout if text == "infinity" => Value::Integer(0),
        Form::SendTimeout => Value::Integer(number(text)?.saturating_add(999) / 1000),
        Form::Prefix => match text.trim_end_matches('/') {
            "" => word("none"),
            prefix => word(prefix),
        },
        Form::Timeout if matches!(text, "infinity" | "undefined") => Value::Integer(0),
        Form::Timeout => Value::Integer(number(text)?),
        Form::Binary => Value::Integer(binary(text)?),
        Form::Memory => Value::Integer(memory(text)?),
        Form::FrameMax => {
            Value::Integer(Some(binary(text)?).filter(|&max| max > 0).unwrap_or(16 << 20))
        }
        Form::ChannelMax if matches!(text, "0" | "infinity") => Value::Integer(u16::MAX.into()),
        Form::ChannelMax => Value::Integer(number(text)?),
        Form::Level => word(level(text)?),
        Form::Formatter => match text {
            "json" => word("json"),
            "plaintext" => word("text"),
            other => return Err(format!("{other:?} is not one of plaintext, json")),
        },
    })
}

pub(super) fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number"))
}

pub(super) fn whether(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("{other:?} is not one of true, false")),
    }
}

/// A level of ours for one of RabbitMQ's eight.
pub(in crate::config) fn level(text: &str) -> Result<&'static str, String> {
    Ok(match text {
        "debug" => "debug",
        "info" | "notice" => "info",
        "warning" => "warn",
        "error" | "critical" | "alert" | "emergency" => "error",
        "none" => "off",
        other => {
            return Err(format!(
                "{other:?} is not one of debug, info, notice, warning, error, critical, alert, \
                 emergency, none"
            ));
        }
    })
}

fn binary(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, i64); 9] = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("kb", 1 << 10),
        ("mb", 1 << 20),
        ("gb", 1 << 30),
        ("k", 1 << 10),
        ("m", 1 << 20),
        ("g", 1 << 30),
    ];
    sized(text, &UNITS)
}

pub(super) fn memory(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, i64); 15] = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("ki", 1 << 10),
        ("mi", 1 << 20),
        ("gi", 1 << 30),
        ("k", 1 << 10),
        ("m", 1 << 20),
        ("g", 1 << 30),
        ("t", 1 << 40),
    ];
    sized(text, &UNITS)
}

fn sized(text: &str, units: &[(&str, i64)]) -> Result<i64, String> {
    let lower = text.to_ascii_lowercase();
    let (number, unit) = units
        .iter()
        .find_map(|&(name, factor)| Some((lower.strip_suffix(name)?, factor)))
        .unwrap_or((&lower, 1));
    let bytes = number.trim_end().parse().ok().and_then(|number: i64| number.checked_mul(unit));
    bytes.ok_or_else(|| {
        format!("{text:?} is not a number of bytes, such as 1073741824, 512MB or 2GiB")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RabbitMQ 3.10 works them out; `kib` in small letters only there.
    #[test]
    fn sizes_have_rabbitmqs_units() {
        for (text, expected) in [
            ("50000", 50_000),
            ("1kB", 1_000),
            ("1KB", 1_000),
            ("50MB", 50_000_000),
            ("10GB", 10_000_000_000),
            ("1MiB", 1 << 20),
            ("1KiB", 1 << 10),
            ("5k", 5 << 10),
            ("5K", 5 << 10),
            ("2M", 2 << 20),
            ("2g", 2 << 30),
        ] {
            assert_eq!(memory(text), Ok(expected), "{text}");
        }
        for (text, expected) in [("131072", 131_072), ("1kb", 1024), ("1MB", 1 << 20)] {
            assert_eq!(binary(text), Ok(expected), "{text}");
        }
        for text in ["", "1.5GB", "GB", "many", "1XB", "9999999999999GB"] {
            assert!(memory(text).is_err(), "{text}");
            assert!(binary(text).is_err(), "{text}");
        }
    }
}
