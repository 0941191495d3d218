//! Lists of whatever the API lists.

use clap::Args;
use serde_json::Value;

use super::Ctl;
use super::error::CtlError;
use super::output::{field, field_path, rows_of, warn};
use super::thing::Thing;

/// Objects of one page.
const PAGE: &str = "500";

#[derive(Args, Default)]
pub struct ListOptions {
    /// What to show: fields of the API, with dots to descend [default: what one looks at most]
    #[arg(value_name = "COLUMN", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Only those whose names match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub name: Option<String>,
    /// In the order of this column
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<String>,
    /// The other way round
    #[arg(long)]
    pub reverse: bool,
}

/// What a list is like.
pub struct List {
    /// Below `/api`.
    pub path: &'static str,
    pub columns: &'static [&'static str],
    /// Whether the API has one for a virtual host, at `path/{vhost}`.
    pub by_vhost: bool,
}

impl List {
    pub fn thing(&self, vhost: Option<&str>) -> Thing {
        let thing = Thing::at(self.path.split('/'));
        match vhost.filter(|_| self.by_vhost) {
            Some(vhost) => thing.below([vhost]).called(format!("virtual host '{vhost}'")),
            None => thing,
        }
    }
}

/// Asks for a list and shows it.
pub async fn show(ctl: &mut Ctl, list: &List, options: ListOptions) -> Result<(), CtlError> {
    let thing = list.thing(ctl.vhost.as_deref());
    show_of(ctl, &thing, list.columns, options).await
}

/// The same for a list that is elsewhere.
pub async fn show_of(
    ctl: &mut Ctl,
    thing: &Thing,
    usual: &[&str],
    options: ListOptions,
) -> Result<(), CtlError> {
    if !options.columns.is_empty() {
        ctl.out.columns = Some(options.columns.clone());
    }
    let rows = fetch(ctl, thing, usual, &options).await?;
    let columns = ctl.out.columns(usual);
    for column in ctl.out.columns.iter().flatten() {
        if !rows.is_empty() && rows.iter().all(|row| field(row, column).is_none()) {
            warn(&format!("nothing here has the column '{column}'"));
        }
    }
    ctl.out.list(&rows, &columns);
    Ok(())
}

async fn fetch(
    ctl: &Ctl,
    thing: &Thing,
    usual: &[&str],
    options: &ListOptions,
) -> Result<Vec<Value>, CtlError> {
    let columns = match ctl.out.wants_everything() {
        true => String::new(),
        false => ctl.out.columns(usual).into_iter().map(field_path).collect::<Vec<_>>().join(","),
    };
    let sort = options.sort.as_deref().map(field_path).unwrap_or_default();
    let reverse = if options.reverse { "true" } else { "" };
    let mut parameters = vec![("columns", &*columns), ("sort", sort), ("sort_reverse", reverse)];
    let Some(name) = &options.name else {
        return Ok(rows_of(&ctl.client.get(&thing.with(&parameters)).await?).to_vec());
    };
    parameters.extend([("name", &**name), ("use_regex", "true"), ("page_size", PAGE)]);
    let mut rows = Vec::new();
    let mut number = 1;
    loop {
        let page = number.to_string();
        let mut parameters = parameters.clone();
        parameters.push(("page", &page));
        let page = ctl.client.get(&thing.with(&parameters)).await?;
        rows.extend_from_slice(page.get("items").map(rows_of).unwrap_or_default());
        if page.get("page_count").and_then(Value::as_u64).is_none_or(|count| number >= count) {
            return Ok(rows);
        }
        number += 1;
    }
}
