//! Lists: which fields of the API they show, under which names.

use serde_json::Value;

use super::Call;
use super::format::Printer;
use crate::ctl::Ctl;
use crate::ctl::error::CtlError;
use crate::ctl::output::{field, rows_of};
use crate::ctl::thing::Thing;

/// A list of rabbitmqctl.
pub struct OldList {
    /// Below `/api`; `{vhost}`, and names of arguments, stand for what was said.
    pub path: &'static str,
    /// Those shown where none is asked for.
    pub usual: &'static [&'static str],
    /// What else may be asked for.
    pub more: &'static [&'static str],
    /// Where a field is called otherwise in the API; `=text` is always the same, and nothing is
    /// something that only Erlang has.
    pub renamed: &'static [(&'static str, &'static str)],
}

impl OldList {
    fn source(&self, column: &str) -> &'static str {
        let renamed = self.renamed.iter().find(|(old, _)| *old == column).map(|(_, new)| *new);
        let known = || self.usual.iter().chain(self.more).find(|known| **known == column).copied();
        renamed.or_else(known).unwrap_or_default()
    }

    fn knows(&self, column: &str) -> bool {
        self.usual.iter().chain(self.more).any(|known| *known == column)
    }

    /// Whether it has the columns that are asked for.
    pub fn check(&self, call: &Call<'_>) -> Result<(), CtlError> {
        let mut unknown = call.columns();
        unknown.retain(|column| !self.knows(column));
        match unknown.is_empty() {
            true => Ok(()),
            false => {
                let unknown = unknown.join(", ");
                Err(CtlError::Usage(format!("Info key(s) {unknown} are not supported")))
            }
        }
    }
}

/// The value that a column has in a row.
fn value(row: &Value, source: &str) -> Value {
    match source.strip_prefix('=') {
        Some(text) => text.into(),
        None => field(row, source).cloned().unwrap_or(Value::Null),
    }
}

pub async fn show(
    ctl: &Ctl,
    call: &Call<'_>,
    list: &OldList,
    printer: &Printer,
) -> Result<(), CtlError> {
    let asked = call.columns();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let columns = if asked.is_empty() { list.usual.to_vec() } else { asked };
    let sources: Vec<&str> = columns.iter().map(|column| list.source(column)).collect();
    let fields: Vec<&str> = sources.iter().filter(|it| !it.starts_with('=')).copied().collect();
    let segments = list.path.split('/').map(|segment| match segment {
        "{vhost}" => ctl.vhost(),
        segment => match segment.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
            Some(argument) => call.text(argument),
            None => segment,
        },
    });
    let segments: Vec<&str> = segments.collect();
    let thing = match segments[..] {
        ["users", user, _] => Thing::at(&segments).or_user(user),
        _ => Thing::at(&segments).called(format!("virtual host '{}'", ctl.vhost())),
    };
    let found = ctl.client.get(&thing.with(&[("columns", &fields.join(","))])).await?;
    let rows: Vec<Vec<Value>> = rows_of(&found)
        .iter()
        .map(|row| sources.iter().map(|source| value(row, source)).collect())
        .collect();
    printer.rows(&columns, &rows);
    Ok(())
}
