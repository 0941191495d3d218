//! Output as rabbitmqctl has it: a banner, and then lines with tabs, CSV, JSON, or a drawn table.

use clap::ValueEnum;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::ctl::error::CtlError;
use crate::ctl::escape::{escaped, escaped_json};
use crate::ctl::options::Global;
use crate::ctl::output::{plain, say, write};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Formatter {
    Table,
    PrettyTable,
    Csv,
    Json,
    String,
    Plugins,
    Erlang,
    Report,
}

pub struct Printer {
    pub formatter: Formatter,
    banner: bool,
    headers: bool,
}

impl Printer {
    pub fn new(global: &Global) -> Result<Self, CtlError> {
        let formatter = global.formatter.unwrap_or(Formatter::Table);
        if formatter == Formatter::Erlang {
            let why = "there is no Erlang here: formatters are table, pretty_table, csv and json";
            return Err(CtlError::Usage(why.to_owned()));
        }
        let for_programs = matches!(formatter, Formatter::Csv | Formatter::Json);
        Ok(Self {
            formatter,
            banner: !(global.quiet || global.silent || for_programs),
            headers: !(global.silent || global.no_table_headers || global.no_headers),
        })
    }

    /// Several lines are several.
    pub fn banner(&self, text: &str) {
        if self.banner && !text.is_empty() {
            self.say(text);
        }
    }

    pub fn say(&self, text: &str) {
        text.split('\n').for_each(|line| say(&escaped(line)));
    }

    /// One object, which only JSON shows as a whole.
    pub fn json(&self, value: &Value) -> bool {
        if self.formatter == Formatter::Json {
            say(&escaped_json(&value.to_string()));
        }
        self.formatter == Formatter::Json
    }

    /// Rows of values, in the order of the columns.
    pub fn rows(&self, columns: &[&str], rows: &[Vec<Value>]) {
        match self.formatter {
            Formatter::Json => say(&json_lines(columns, rows)),
            Formatter::Csv => write(&csv(columns, rows, self.headers)),
            Formatter::PrettyTable if !rows.is_empty() => {
                write(&drawn(columns, rows, self.headers))
            }
            _ => write(&tabbed(columns, rows, self.headers)),
        }
    }
}

/// As Erlang would show it, where that is what scripts know.
fn text(column: &str, value: &Value) -> String {
    let text = match value {
        Value::Object(fields) if is_table(column) => {
            let field = |(name, value): (&String, &Value)| {
                let value = match value {
                    Value::String(text) => format!("\"{text}\""),
                    other => plain(other),
                };
                format!("{{\"{name}\",{value}}}")
            };
            format!("[{}]", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        // Of parameters, which may be any JSON.
        value if column == "value" => value.to_string(),
        Value::Object(_) => value.to_string(),
        Value::Array(_) => format!("[{}]", plain(value)),
        value => plain(value),
    };
    escaped(&text)
}

fn is_table(column: &str) -> bool {
    matches!(column, "arguments" | "client_properties" | "effective_policy_definition")
}

/// An object a line, its fields in the order of the columns. What is not there is an empty text.
fn json_lines(columns: &[&str], rows: &[Vec<Value>]) -> String {
    let field = |(column, value): (&&str, &Value)| {
        let value = if value.is_null() { "\"\"".to_owned() } else { value.to_string() };
        escaped_json(&format!("{}:{value}", Value::from(*column)))
    };
    let object = |row: &Vec<Value>| {
        let fields: Vec<String> = columns.iter().zip(row).map(field).collect();
        format!("{{{}}}", fields.join(","))
    };
    let objects: Vec<String> = rows.iter().map(object).collect();
    match objects.is_empty() {
        true => "[\n]".to_owned(),
        false => format!("[\n{}\n]", objects.join("\n,")),
    }
}

fn csv(columns: &[&str], rows: &[Vec<Value>], headers: bool) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let header = columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(",");
    let mut lines: Vec<String> = if headers { vec![header] } else { Vec::new() };
    for row in rows {
        let cells = columns.iter().zip(row).map(|(column, value)| quoted(&text(column, value)));
        lines.push(cells.collect::<Vec<_>>().join(","));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Of an empty list there is no header either.
fn tabbed(columns: &[&str], rows: &[Vec<Value>], headers: bool) -> String {
    let mut lines = Vec::new();
    if headers && !rows.is_empty() {
        lines.push(columns.join("\t"));
    }
    for row in rows {
        let cells = columns.iter().zip(row).map(|(column, value)| text(column, value));
        lines.push(cells.collect::<Vec<_>>().join("\t"));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn drawn(columns: &[&str], rows: &[Vec<Value>], headers: bool) -> String {
    let mut table: Vec<Vec<String>> = Vec::new();
    if headers {
        table.push(columns.iter().map(|column| (*column).to_owned()).collect());
    }
    table.extend(
        rows.iter().map(|row| {
            columns.iter().zip(row).map(|(column, value)| text(column, value)).collect()
        }),
    );
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| table.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let rule = |left: char, middle: &str, right: char| {
        let lines = widths.iter().map(|width| "─".repeat(width + 2)).collect::<Vec<_>>();
        format!("{left}{}{right}\n", lines.join(middle))
    };
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            format!(" {cell}{} ", " ".repeat(width.saturating_sub(cell.width())))
        });
        format!("│{}│\n", cells.collect::<Vec<_>>().join("│"))
    };
    let lines: Vec<String> = table.iter().map(line).collect();
    format!("{}{}{}", rule('┌', "┬", '┐'), lines.join(&rule('├', "┼", '┤')), rule('└', "┴", '┘'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_look_as_rabbitmqctl_shows_them() {
        let columns = ["name", "arguments", "tags", "policy"];
        let table = json!({ "x-max-length": 10, "x-overflow": "reject-publish" });
        let rows = [vec![json!("a\u{1b}\tb\""), table, json!(["x", "y"]), Value::Null]];
        let tabs = "name\targuments\ttags\tpolicy\n\
            a\\u{1b}\\tb\"\t[{\"x-max-length\",10},{\"x-overflow\",\"reject-publish\"}]\t[x, y]\t\n";
        assert_eq!(tabbed(&columns, &rows, true), tabs);
        assert_eq!(tabbed(&columns, &[], true), "");
        let csv = csv(&columns, &rows, true);
        assert!(
            csv.starts_with("\"name\",\"arguments\",\"tags\",\"policy\"\n\"a\\u{1b}\\tb\"\"\",")
        );
        assert_eq!(
            json_lines(&["n"], &[vec![json!(1)], vec![Value::Null]]),
            "[\n{\"n\":1}\n,{\"n\":\"\"}\n]"
        );
        assert_eq!(json_lines(&["n"], &[]), "[\n]");
        let drawing = "┌────┐\n│ n  │\n├────┤\n│ 10 │\n└────┘\n";
        assert_eq!(drawn(&["n"], &[vec![json!(10)]], true), drawing);
    }
}
