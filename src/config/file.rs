//! The TOML file: flat, one key a line.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use super::error::{ConfigError, Origin};
use super::settings::Settings;
use super::source::{Assignment, Value};

/// The file's keys in the order they are written, so that the first mistake is reported first.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Assignment>, ConfigError> {
    let origin = |offset: usize| Origin::File { path: path.to_owned(), line: line(text, offset) };

    let table: BTreeMap<Spanned<String>, Spanned<toml::Value>> =
        toml::from_str(text).map_err(|error| ConfigError::Syntax {
            origin: origin(error.span().map_or(0, |span| span.start)),
            problem: error.message().replace('\n', ", "),
        })?;
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);

    let mut assignments = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let origin = origin(key.span().start);
        match Settings::KEYS.into_iter().find(|known| *known == key.as_ref()) {
            Some(key) => {
                assignments.push(Assignment { origin, key, value: value.into_inner().into() })
            }
            None => {
                let key = key.into_inner();
                let nearest = nearest(&key).map(str::to_owned);
                return Err(ConfigError::UnknownKey { origin, key, nearest });
            }
        }
    }
    Ok(assignments)
}

impl From<toml::Value> for Value {
    fn from(value: toml::Value) -> Self {
        match value {
            toml::Value::String(text) => Self::Text(text),
            toml::Value::Integer(number) => Self::Integer(number),
            toml::Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            toml::Value::Float(number) => Self::Float(number),
            toml::Value::Boolean(value) => Self::Boolean(value),
            toml::Value::Datetime(_) => Self::Other("a date"),
            toml::Value::Table(_) => Self::Other("a section"),
        }
    }
}

fn line(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    before.filter(|byte| *byte == b'\n').count() + 1
}

/// The key that was probably meant, if one is close enough to be worth saying.
fn nearest(unknown: &str) -> Option<&'static str> {
    let unknown = unknown.to_lowercase().replace(['-', '.'], "_");
    let (distance, key) =
        Settings::KEYS.into_iter().map(|key| (distance(&unknown, key), key)).min()?;
    (distance <= unknown.len().max(3) / 3).then_some(key)
}

/// Levenshtein's edit distance, one row at a time.
pub(super) fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i; // What stood above and to the left.
        let mut left = i + 1;
        let (first, rest) = row.split_at_mut(1);
        first.fill(left);
        for (above, b) in rest.iter_mut().zip(to.chars()) {
            let change = diagonal + usize::from(a != b);
            diagonal = *above;
            left = change.min(left + 1).min(*above + 1);
            *above = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_insertions_removals_and_changes() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(from, to), expected, "{from} → {to}");
        }
    }

    #[test]
    fn nearest_key_is_suggested_only_when_it_is_near() {
        for (unknown, expected) in [
            ("frame_mx", Some("frame_max")),
            ("frame-max", Some("frame_max")),
            ("Data_Dir", Some("data_dir")),
            ("log.level", Some("log_level")),
            ("heartbeat_second", Some("heartbeat_seconds")),
            ("default_password", Some("default_pass")),
            ("amq", Some("amqp")),
            ("vm_memory_high_watermark", Some("memory_high_watermark")),
            ("vhosts_and_users", None),
            ("", None),
        ] {
            assert_eq!(nearest(unknown), expected, "{unknown}");
        }
    }
}
