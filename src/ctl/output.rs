//! What a command found, for people and for programs.
//!
//! Whatever the format, nothing is written that a terminal would obey: text has such characters
//! escaped as Rust does, JSON as JSON does, so that programs get back what was there.

use std::io::{Write, stderr, stdout};

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::escape::{escaped, escaped_json};
use super::table::{Cell, aligned, cells, lines, quoted};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// Everything that is known
    Json,
    Csv,
    Tsv,
}

#[derive(Debug)]
pub struct Output {
    pub format: Format,
    /// Which fields, if not those that a command shows by itself.
    pub columns: Option<Vec<String>>,
    pub headers: bool,
    /// What was done is not said.
    pub quiet: bool,
}

/// Short names for fields that lie deep.
const SHORT: [(&str, &str); 14] = [
    ("ready", "messages_ready"),
    ("unacked", "messages_unacknowledged"),
    ("unconfirmed", "messages_unconfirmed"),
    ("bytes", "message_bytes"),
    ("publish_rate", "message_stats.publish_details.rate"),
    ("confirm_rate", "message_stats.confirm_details.rate"),
    ("deliver_rate", "message_stats.deliver_get_details.rate"),
    ("ack_rate", "message_stats.ack_details.rate"),
    ("redeliver_rate", "message_stats.redeliver_details.rate"),
    ("in_rate", "message_stats.publish_in_details.rate"),
    ("out_rate", "message_stats.publish_out_details.rate"),
    ("received_rate", "recv_oct_details.rate"),
    ("sent_rate", "send_oct_details.rate"),
    ("connection", "channel_details.connection_name"),
];

/// The path of a field in an object of the API.
pub fn field_path(column: &str) -> &str {
    SHORT.iter().find(|(short, _)| *short == column).map_or(column, |(_, path)| path)
}

/// The field that a column is about; its keys stand between dots.
pub fn field<'a>(row: &'a Value, column: &str) -> Option<&'a Value> {
    field_path(column).split('.').try_fold(row, |value, key| value.get(key))
}

pub fn text_of<'a>(row: &'a Value, column: &str) -> &'a str {
    field(row, column).and_then(Value::as_str).unwrap_or_default()
}

pub fn number_of(row: &Value, column: &str) -> f64 {
    field(row, column).and_then(Value::as_f64).unwrap_or_default()
}

/// A whole number; what is not there is 0.
pub fn count_of(row: &Value, column: &str) -> u64 {
    field(row, column).and_then(Value::as_u64).unwrap_or_default()
}

pub fn rows_of(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Output {
    /// Columns that are shown of a list that shows `usual` ones.
    pub fn columns<'a>(&'a self, usual: &[&'a str]) -> Vec<&'a str> {
        match &self.columns {
            Some(columns) => columns.iter().map(String::as_str).collect(),
            None => usual.to_vec(),
        }
    }

    /// Whether all of an object is wanted.
    pub fn wants_everything(&self) -> bool {
        self.format == Format::Json && self.columns.is_none()
    }

    /// A list of objects.
    pub fn list(&self, rows: &[Value], usual: &[&str]) {
        let columns = self.columns(usual);
        match self.format {
            Format::Json if self.columns.is_none() => say_json(&rows.into()),
            Format::Json => say_json(&rows.iter().map(|row| only(row, &columns)).collect()),
            _ => {
                let rounds = self.format == Format::Table;
                self.cells_of(&columns, rows.iter().map(|row| cells(row, &columns, rounds)));
            }
        }
    }

    /// One object, a line for each field.
    pub fn object(&self, object: &Value, usual: &[&str]) {
        let columns = self.columns(usual);
        match self.format {
            Format::Json if self.columns.is_none() => say_json(object),
            Format::Json => say_json(&only(object, &columns)),
            _ => {
                let line = |column: &&str| {
                    let value = field(object, column).unwrap_or(&Value::Null);
                    let cell = Cell::of(value, self.format == Format::Table);
                    // All of them begin at the same place.
                    vec![Cell::text(column), Cell { is_number: false, ..cell }]
                };
                self.cells_of(&["", ""], columns.iter().map(line));
            }
        }
    }

    fn cells_of(&self, headers: &[&str], rows: impl Iterator<Item = Vec<Cell>>) {
        let named = self.headers && headers.iter().any(|header| !header.is_empty());
        let header = named.then(|| headers.iter().map(|header| Cell::text(header)).collect());
        let all: Vec<Vec<Cell>> = header.into_iter().chain(rows).collect();
        write(&match self.format {
            Format::Table => aligned(&all),
            Format::Csv => lines(&all, ",", quoted),
            Format::Tsv | Format::Json => lines(&all, "\t", str::to_owned),
        });
    }

    /// What was done, for people; programs look at the exit code.
    pub fn done(&self, line: &str) {
        if !self.quiet && self.format == Format::Table {
            say(&escaped(line));
        }
    }

    /// An answer that is more than a word: its fields as JSON, or a sentence.
    pub fn answer(&self, value: &Value, sentence: &str) {
        match self.format {
            Format::Json => say_json(value),
            _ => say(&escaped(sentence)),
        }
    }
}

/// The object with these fields alone.
fn only(row: &Value, columns: &[&str]) -> Value {
    let kept = columns
        .iter()
        .map(|column| ((*column).to_owned(), field(row, column).cloned().unwrap_or(Value::Null)));
    kept.collect::<Map<_, _>>().into()
}

/// A value in a line of text, not escaped yet.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => other.to_string(),
    }
}

pub fn say_json(value: &Value) {
    // What was read as JSON can be written as such.
    say(&escaped_json(&serde_json::to_string_pretty(value).unwrap_or_default()));
}

/// A line of text that is safe to show.
pub fn say(line: &str) {
    write(&format!("{line}\n"));
}

/// Where nobody listens any more, nothing is said; that is no reason to fail.
pub fn write(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// A line for people, beside the results.
pub fn warn(line: &str) {
    let _ = writeln!(stderr(), "{}", escaped(line));
}

/// Bytes for people: 1.5 GiB.
pub fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// A time that has passed, for people: 2 d 3 h, 4 min 5 s.
pub fn duration(seconds: u64) -> String {
    let parts = [(seconds / 86400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min")];
    let parts = parts.into_iter().chain([(seconds % 60, "s")]);
    let parts: Vec<String> = parts
        .skip_while(|(count, unit)| *count == 0 && *unit != "s")
        .take(2)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_and_shown() {
        let row = json!({ "a": { "b": [1, "x"] }, "messages_ready": 7, "t": {}, "o": {"k": 1} });
        for (column, expected) in
            [("a.b", "1, x"), ("ready", "7"), ("t", ""), ("o", "{\"k\":1}"), ("a.c", "")]
        {
            assert_eq!(plain(field(&row, column).unwrap_or(&Value::Null)), expected, "{column}");
        }
    }

    #[test]
    fn figures_for_people() {
        assert_eq!(
            [size(0), size(1023), size(1536), size(3 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]
        );
        assert_eq!(
            [duration(0), duration(61), duration(3 * 86400 + 5), duration(7200)],
            ["0 s", "1 min 1 s", "3 d 0 h", "2 h 0 min"]
        );
    }
}
