//! Cells in columns, as text that is safe to show.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::escape::escaped;
use super::output::{field, plain};

pub struct Cell {
    /// Escaped.
    pub text: String,
    pub is_number: bool,
}

impl Cell {
    pub fn text(text: &str) -> Self {
        Self { text: escaped(text), is_number: false }
    }

    /// `rounds`: for people, who need no more than one digit.
    pub fn of(value: &Value, rounds: bool) -> Self {
        match value {
            Value::Number(number) if rounds && number.is_f64() => {
                let text = number.as_f64().map(rounded).unwrap_or_default();
                Self { text, is_number: true }
            }
            Value::Number(number) => Self { text: number.to_string(), is_number: true },
            value => Self::text(&plain(value)),
        }
    }
}

/// The fields of an object that columns are about.
pub fn cells(row: &Value, columns: &[&str], rounds: bool) -> Vec<Cell> {
    let cell = |column: &&str| Cell::of(field(row, column).unwrap_or(&Value::Null), rounds);
    columns.iter().map(cell).collect()
}

/// To one digit, and 0 is never below 0.
fn rounded(number: f64) -> String {
    let text = format!("{number:.1}");
    if text == "-0.0" { "0.0".to_owned() } else { text }
}

/// Numbers are at the right of their column, as is what stands above them.
pub fn aligned(rows: &[Vec<Cell>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let column = |at: usize| rows.iter().filter_map(move |row| row.get(at));
    let widths: Vec<usize> = (0..count)
        .map(|at| column(at).map(|cell| cell.text.width()).max().unwrap_or_default())
        .collect();
    let right: Vec<bool> = (0..count).map(|at| column(at).any(|cell| cell.is_number)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(&widths).zip(&right) {
            let space = " ".repeat(width.saturating_sub(cell.text.width()));
            let (before, behind) = if *right { (&*space, "") } else { ("", &*space) };
            line.push_str(before);
            line.push_str(&cell.text);
            line.push_str(behind);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A line for each row.
pub fn lines(rows: &[Vec<Cell>], between: &str, shown: fn(&str) -> String) -> String {
    let line = |row: &Vec<Cell>| {
        let cells: Vec<String> = row.iter().map(|cell| shown(&cell.text)).collect();
        cells.join(between) + "\n"
    };
    rows.iter().map(line).collect()
}

/// A field of CSV.
pub fn quoted(text: &str) -> String {
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let cell = |text: &str| Cell::text(text);
        let number = |text: &str| Cell { text: text.to_owned(), is_number: true };
        let rows = [
            vec![cell("name"), cell("n"), cell("x")],
            vec![cell("日本"), number("10"), cell("a")],
            vec![cell("h\u{1b}"), number("5"), cell("")],
        ];
        let expected = "name      n  x\n日本     10  a\nh\\u{1b}   5\n";
        assert_eq!(aligned(&rows), expected);
    }

    #[test]
    fn figures_are_rounded_for_people_alone() {
        let shown = |value: Value, rounds| Cell::of(&value, rounds).text;
        assert_eq!([shown(json!(1.26), true), shown(json!(1.26), false)], ["1.3", "1.26"]);
        assert_eq!([shown(json!(-0.0), true), shown(json!(-3), true)], ["0.0", "-3"]);
    }
}
