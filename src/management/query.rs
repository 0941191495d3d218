//! What the query string of a request says, and the headers that narrow lists.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::list::Columns;
use super::rates::Ranges;
use super::refusal::Refusal;
use crate::names::VhostName;

/// Items of a page, where the client does not say.
const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: usize = 500;

/// Characters of a pattern that lists are filtered by, and bytes it may take compiled.
const PATTERN_MAX: usize = 1024;
pub(super) const PATTERN_SIZE_MAX: usize = 1 << 20;

/// The query string, decoded. What a handler does not ask for is ignored; of a parameter that is there
/// twice the first counts.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// What of a list the client wants to see, in which order.
#[derive(Debug, Default)]
pub(super) struct ListQuery {
    pub(super) columns: Option<Columns>,
    /// A field, with dots to descend.
    pub(super) sort: Option<String>,
    pub(super) reverse: bool,
    pub(super) page: Option<Page>,
    /// `X-Vhost`: nothing of other virtual hosts.
    pub(super) vhost: Option<VhostName>,
    /// Only what was declared, and counts of messages if they are wanted.
    pub(super) without_stats: bool,
    pub(super) with_totals: bool,
    /// Which samples are wanted of what has a past.
    pub(super) ranges: Ranges,
}

#[derive(Debug)]
pub(super) struct Page {
    /// From 1.
    pub(super) number: usize,
    pub(super) size: usize,
    pub(super) name: Option<NameFilter>,
}

#[derive(Debug)]
pub(super) struct NameFilter(Regex);

impl NameFilter {
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    /// Text finds names that contain it, however it is written.
    fn new(text: &str, is_pattern: bool) -> Result<Self, Refusal> {
        let refuse = || Refusal::BadRequest("Pagination parameters are invalid".into());
        if text.chars().count() > PATTERN_MAX {
            return Err(refuse());
        }
        let escaped = if is_pattern { text.to_owned() } else { regex::escape(text) };
        let mut builder = RegexBuilder::new(&escaped);
        builder.case_insensitive(true);
        builder.size_limit(PATTERN_SIZE_MAX).dfa_size_limit(PATTERN_SIZE_MAX);
        builder.build().map(Self).map_err(|_| refuse())
    }
}

impl ListQuery {
    /// Of a single object, the fields that are wanted.
    pub(super) fn keep(&self, value: Value) -> Value {
        match &self.columns {
            None => value,
            Some(columns) => columns.keep(value),
        }
    }

    fn read(query: &Query, vhost: Option<VhostName>, ranges: Ranges) -> Result<Self, Refusal> {
        let said = |key: &str| query.get(key).filter(|value| !value.is_empty());
        Ok(Self {
            columns: said("columns").map(Columns::parse),
            sort: said("sort").map(str::to_owned),
            reverse: query.is_true("sort_reverse"),
            page: page(query)?,
            vhost,
            without_stats: query.is_true("disable_stats"),
            with_totals: query.is_true("enable_queue_totals"),
            ranges,
        })
    }
}

fn page(query: &Query) -> Result<Option<Page>, Refusal> {
    let number = |key: &str| match query.get(key).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text
            .parse::<i64>()
            .map(Some)
            .map_err(|_| Refusal::BadRequest("Pagination parameters are invalid".into())),
    };
    let Some(page) = number("page")? else { return Ok(None) };
    let size = number("page_size")?;
    let fits =
        |size: i64| usize::try_from(size).ok().filter(|size| (1..=PAGE_SIZE_MAX).contains(size));
    match (usize::try_from(page).ok().filter(|page| *page > 0), size.map(fits)) {
        (Some(number), None | Some(Some(_))) => {
            let name = query.get("name").filter(|name| !name.is_empty());
            let name = name.map(|name| NameFilter::new(name, query.is_true("use_regex")));
            let size = size.and_then(fits).unwrap_or(PAGE_SIZE);
            Ok(Some(Page { number, size, name: name.transpose()? }))
        }
        _ => {
            let size = size.map_or_else(|| "undefined".to_owned(), |size| size.to_string());
            let reason =
                format!("Invalid pagination parameters: page number {page}, page size {size}");
            Err(Refusal::Invalid { error: "invalid_pagination_parameters", reason })
        }
    }
}

impl<S: Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, state).await?;
        let vhost = parts.headers.get("x-vhost").and_then(|vhost| vhost.to_str().ok());
        // Browsers encode what is not ASCII.
        let vhost = vhost.filter(|vhost| !vhost.is_empty()).map(|vhost| {
            VhostName::from(percent_decode_str(vhost).decode_utf8_lossy().into_owned())
        });
        let ranges = Ranges::parse(parts.uri.query().unwrap_or_default())?;
        Self::read(&query, vhost, ranges)
    }
}
