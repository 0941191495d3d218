//! Lists: what of them is shown, in which order, page by page.
//!
//! A handler hands in its items, which are cheap, and how to show one. Only what is shown becomes JSON,
//! so a page of a hundred thousand queues costs a look at their names and a hundred objects. A long
//! list that is wanted whole is written piece by piece while the client reads it, and requests of others are
//! answered between the pieces.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use serde::Serialize;
use serde_json::{Map, Value};

use super::query::{ListQuery, Page};
use super::refusal::Refusal;

/// Items that are made JSON before others have their turn.
const PIECE: usize = 64;

/// Lists up to here, and so every page, are written whole: their length is known beforehand.
const SHORT_MAX: usize = 500;

/// Something that stands in a list.
pub(super) trait Listed {
    /// Lists are in the order of virtual hosts and names, unless the client wants another one.
    fn key(&self) -> (&str, &str);

    /// The value of a field that can be told without showing the whole.
    fn quick(&self, _field: &str) -> Option<Value> {
        None
    }
}

impl Listed for Value {
    fn key(&self) -> (&str, &str) {
        let text = |field: &str| self.get(field).and_then(Self::as_str).unwrap_or_default();
        // Permissions have no name.
        let name = if self.get("name").is_some() { "name" } else { "user" };
        (text("vhost"), text(name))
    }

    fn quick(&self, field: &str) -> Option<Value> {
        Some(descend(self, field).cloned().unwrap_or_default())
    }
}

/// What was chosen to be shown.
#[derive(Debug)]
pub(super) struct Selected<T> {
    pub(super) items: Vec<T>,
    columns: Option<Columns>,
    paged: Option<Paged>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Paged {
    filtered_count: usize,
    item_count: usize,
    page: usize,
    page_count: usize,
    page_size: usize,
    total_count: usize,
}

impl ListQuery {
    /// Chooses what is shown, and shows it.
    pub(super) fn answer<T, S>(
        self,
        items: Vec<T>,
        show: impl FnMut(&T) -> S + Send + Unpin + 'static,
    ) -> Result<Response, Refusal>
    where
        T: Listed + Send + Unpin + 'static,
        S: Serialize,
    {
        let mut show = show;
        let selected = self.select(items, &mut show)?;
        Ok(selected.answer(show))
    }

    /// The same for items that are their own JSON.
    pub(super) fn values(self, items: Vec<Value>) -> Result<Response, Refusal> {
        self.answer(items, Value::clone)
    }

    /// Chooses what is shown. `show` is asked of every item only where the order needs a field that
    /// cannot be told otherwise.
    pub(super) fn select<T: Listed, S: Serialize>(
        self,
        mut items: Vec<T>,
        show: &mut impl FnMut(&T) -> S,
    ) -> Result<Selected<T>, Refusal> {
        let total_count = items.len();
        if let Some(name) = self.page.as_ref().and_then(|page| page.name.as_ref()) {
            items.retain(|item| name.matches(item.key().1));
        }
        let filtered_count = items.len();
        let paged = match &self.page {
            None => None,
            Some(page) => Some(paged(page, filtered_count, total_count)?),
        };
        let range = match &paged {
            None => 0..filtered_count,
            Some(Paged { page, page_size, item_count, .. }) => {
                let first = (page - 1) * page_size;
                first..first + item_count
            }
        };
        let items = match &self.sort {
            None => cut(items, range, self.reverse, |a, b| a.key().cmp(&b.key())),
            Some(field) => {
                let value = |item: &T| {
                    let quick = item.quick(field);
                    quick.unwrap_or_else(|| {
                        let shown = serde_json::to_value(show(item)).unwrap_or_default();
                        descend(&shown, field).cloned().unwrap_or_default()
                    })
                };
                let mut value = value;
                let keyed = items.into_iter().map(|item| (value(&item), item)).collect();
                let by_value = |a: &(Value, T), b: &(Value, T)| {
                    compare(&a.0, &b.0).then_with(|| a.1.key().cmp(&b.1.key()))
                };
                let keyed = cut(keyed, range, self.reverse, by_value);
                keyed.into_iter().map(|(_, item)| item).collect()
            }
        };
        Ok(Selected { items, columns: self.columns, paged })
    }
}

fn paged(page: &Page, filtered_count: usize, total_count: usize) -> Result<Paged, Refusal> {
    let Page { number, size, .. } = *page;
    let page_count = filtered_count.div_ceil(size);
    if number > page_count.max(1) {
        let reason =
            format!("Page out of range, page: {number} page size: {size}, len: {filtered_count}");
        return Err(Refusal::Invalid { error: "page_out_of_range", reason });
    }
    let item_count = filtered_count.saturating_sub((number - 1) * size).min(size);
    Ok(Paged { filtered_count, item_count, page: number, page_count, page_size: size, total_count })
}

/// What stands at these places of the sorted list, without sorting all of it.
fn cut<T>(
    mut items: Vec<T>,
    range: std::ops::Range<usize>,
    reverse: bool,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Vec<T> {
    let compare = |a: &T, b: &T| if reverse { compare(b, a) } else { compare(a, b) };
    if range.end < items.len() / 4 {
        items = first(items, range.end, &compare);
    } else if range.end < items.len() {
        items.select_nth_unstable_by(range.end, compare);
        items.truncate(range.end);
    }
    if range.start > 0 && range.start < items.len() {
        items.select_nth_unstable_by(range.start, compare);
    }
    items.drain(..range.start.min(items.len()));
    items.sort_by(compare);
    items
}

/// The first so many of the sorted list, in no order. Most items are looked at once: keys lie all over
/// memory, and to fetch one is what takes the time.
fn first<T>(items: Vec<T>, count: usize, compare: &impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let Some(last) = count.checked_sub(1) else { return Vec::new() };
    let mut kept: Vec<T> = Vec::with_capacity(2 * count);
    let mut is_full = false;
    for item in items {
        let is_behind = |greatest: &T| compare(&item, greatest).is_ge();
        if is_full && kept.get(last).is_some_and(is_behind) {
            continue;
        }
        kept.push(item);
        if kept.len() == 2 * count {
            // From here on, the greatest of those that may be among them stands in that place.
            kept.select_nth_unstable_by(last, compare);
            kept.truncate(count);
            is_full = true;
        }
    }
    if kept.len() > count {
        kept.select_nth_unstable_by(last, compare);
        kept.truncate(count);
    }
    kept
}

/// Numbers before truth values before texts; what is missing counts as 0.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null | Value::Number(_) => 0,
        Value::Bool(_) => 1,
        Value::Object(_) => 2,
        Value::Array(_) => 3,
        Value::String(_) => 4,
    };
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ if rank(a) == 0 && rank(b) == 0 => {
            let number = |value: &Value| value.as_f64().unwrap_or(0.0);
            number(a).total_cmp(&number(b))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn descend<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, field| value.get(field))
}

/// The fields that are shown, as a tree: `a,b.c`.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns(Vec<(String, Self)>);

impl Columns {
    pub(super) fn parse(text: &str) -> Self {
        let mut columns = Self::default();
        for path in text.split(',').map(str::trim).filter(|path| !path.is_empty()) {
            columns.add(path);
        }
        columns
    }

    fn add(&mut self, path: &str) {
        let mut level = self;
        for field in path.split('.') {
            let known = level.0.iter().position(|(known, _)| known == field);
            let index = known.unwrap_or_else(|| {
                level.0.push((field.to_owned(), Self::default()));
                level.0.len() - 1
            });
            let Some((_, next)) = level.0.get_mut(index) else { return };
            level = next;
        }
    }

    pub(super) fn keep(&self, value: Value) -> Value {
        match value {
            // Nothing below is named: all of it.
            value if self.0.is_empty() => value,
            Value::Object(mut object) => {
                let kept = self.0.iter().filter_map(|(field, below)| {
                    let (field, value) = object.remove_entry(field)?;
                    Some((field, below.keep(value)))
                });
                Value::Object(kept.collect::<Map<String, Value>>())
            }
            Value::Array(items) => items.into_iter().map(|item| self.keep(item)).collect(),
            other => other,
        }
    }
}

impl<T: Send + Unpin + 'static> Selected<T> {
    pub(super) fn answer<S: Serialize>(
        self,
        show: impl FnMut(&T) -> S + Send + Unpin + 'static,
    ) -> Response {
        let Self { items, columns, paged } = self;
        let is_short = items.len() <= SHORT_MAX;
        let end = paged.as_ref().map_or_else(|| b"]".to_vec(), end_of_page);
        let start: &[u8] = if paged.is_some() { b"{\"items\":[" } else { b"[" };
        let mut writer = Writer {
            items: items.into_iter(),
            show,
            columns,
            piece: start.to_vec(),
            end,
            is_first: true,
        };
        let body = match is_short {
            true => {
                writer.write(SHORT_MAX);
                Body::from(std::mem::take(&mut writer.piece))
            }
            false => Body::new(writer),
        };
        let json = HeaderValue::from_static("application/json");
        ([(CONTENT_TYPE, json)], body).into_response()
    }
}

fn end_of_page(paged: &Paged) -> Vec<u8> {
    let fields = serde_json::to_vec(paged).unwrap_or_default();
    let fields = fields.strip_prefix(b"{").unwrap_or(b"}");
    [b"],", fields].concat()
}

/// Writes a list while it is read.
struct Writer<T, F> {
    items: std::vec::IntoIter<T>,
    show: F,
    columns: Option<Columns>,
    /// Written and not taken.
    piece: Vec<u8>,
    /// Taken when it has been written.
    end: Vec<u8>,
    is_first: bool,
}

impl<T, S: Serialize, F: FnMut(&T) -> S> Writer<T, F> {
    /// Writes so many items at most, the end too if there is no other.
    fn write(&mut self, most: usize) {
        for item in self.items.by_ref().take(most) {
            if !std::mem::replace(&mut self.is_first, false) {
                self.piece.push(b',');
            }
            let shown = (self.show)(&item);
            // Writing numbers and texts to memory does not fail.
            let _ = match &self.columns {
                None => serde_json::to_writer(&mut self.piece, &shown),
                Some(columns) => serde_json::to_value(&shown)
                    .and_then(|shown| serde_json::to_writer(&mut self.piece, &columns.keep(shown))),
            };
        }
        if self.items.len() == 0 {
            self.piece.append(&mut self.end);
        }
    }
}

impl<T, S, F> HttpBody for Writer<T, F>
where
    T: Unpin,
    S: Serialize,
    F: FnMut(&T) -> S + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.end.is_empty() {
            return Poll::Ready(None);
        }
        self.write(PIECE);
        let piece = std::mem::take(&mut self.piece);
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every page of lists of many lengths, in both directions, as from a list that was sorted.
    #[test]
    fn pages_are_cut_as_from_the_sorted_list() {
        for length in [0_usize, 1, 7, 40, 1000] {
            // In no order, with some twice.
            let items: Vec<usize> = (0..length).map(|index| index * 7919 % 613).collect();
            for reverse in [false, true] {
                let mut sorted = items.clone();
                sorted.sort_unstable();
                if reverse {
                    sorted.reverse();
                }
                for size in [1, 3, 100] {
                    for start in (0..=length).step_by(size) {
                        let range = start..length.min(start + size);
                        let expected = &sorted[range.clone()];
                        assert_eq!(cut(items.clone(), range, reverse, usize::cmp), expected);
                    }
                }
            }
        }
    }
}
