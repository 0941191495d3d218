//! Looks at the messages of a queue without disturbing them, and deletes or moves some of them:
//! `/queues/{vhost}/{queue}/messages`. RabbitMQ has nothing like it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::Segments;
use super::message::{shown, shown_payload};
use super::queue::{finish, used};
use crate::auth::Access;
use crate::broker::{LastDeath, Relocation, Vhost, resource_queue};
use crate::management::Api;
use crate::management::body::{boolean, object, text};
use crate::management::caller::Caller;
use crate::management::openapi::{Routes, Who, get, post};
use crate::management::query::Query;
use crate::management::refusal::Refusal;
use crate::management::rights::Rights;
use crate::message::{Position, Queued};
use crate::protocol::{AmqpError, FieldValue, ReplyCode};
use crate::queue::{Browsed, Effects, Place, Queue, Taken};
use crate::storage::{Group, Segment};

pub(super) fn router() -> Routes {
    let who = Who::InVhost;
    let filters =
        &["count", "truncate", "after", "routing_key", "body", "header", "reason", "from"];
    Routes::new()
        .route(
            "/",
            [get(who, list, "Shows ready messages and leaves them alone")
                .query(filters)
                .answers("SeenPage")],
        )
        .route(
            "/groups",
            [get(who, groups, "Counts them by why and where they died").answers("DeathGroups")],
        )
        .route(
            "/delete",
            [post(who, delete, "Deletes some of them").takes("Which").answers("Deleted")],
        )
        .route(
            "/move",
            [post(who, relocate, "Moves some of them").takes("WhichAndWhere").answers("Moved")],
        )
}

/// Messages that one answer shows.
const COUNT: usize = 20;
const COUNT_MAX: usize = 500;

/// Messages that one request looks at to find those that match; then it says how far it got.
const LOOKED_AT_MAX: usize = 200_000;

/// Bytes of bodies that one answer shows; then no further message is shown.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages looked at or moved at a time, between which others have their turn.
const STEP: usize = 256;

/// How often a segment is asked for that comes to memory at the same moment.
const ATTEMPTS: usize = 100;

/// Which messages.
#[derive(Debug, Default)]
struct Filter {
    routing_key: Option<String>,
    body: Option<String>,
    header: Option<(String, Option<String>)>,
    /// Of its last death: why, and in which queue.
    reason: Option<String>,
    from: Option<String>,
}

impl Filter {
    fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let said = |key: &str| get(key).filter(|value| !value.is_empty());
        let header = said("header").map(|header| match header.split_once(':') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (header, None),
        });
        Self {
            routing_key: said("routing_key"),
            body: said("body"),
            header,
            reason: said("reason"),
            from: said("from"),
        }
    }

    fn matches(&self, queued: &Queued) -> bool {
        let message = &queued.message;
        let death = || LastDeath::of(message);
        self.routing_key.as_ref().is_none_or(|part| contains(message.routing_key(), part))
            && self.header.as_ref().is_none_or(|header| has_header(queued, header))
            && (self.reason.is_none() && self.from.is_none() || self.matches_death(death()))
            && self.body.as_ref().is_none_or(|part| contains(&message.body(), part))
    }

    fn matches_death(&self, death: Option<LastDeath>) -> bool {
        let Some(LastDeath { reason, queue, .. }) = death else { return false };
        self.reason.as_ref().is_none_or(|wanted| *wanted == reason)
            && self.from.as_ref().is_none_or(|wanted| *wanted == queue)
    }
}

fn contains(bytes: &[u8], part: &str) -> bool {
    let part = part.as_bytes();
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

fn has_header(queued: &Queued, (name, value): &(String, Option<String>)) -> bool {
    let properties = queued.message.parsed_properties().unwrap_or_default();
    let found = properties.header_entries().find(name.as_bytes());
    let Some(found) = found.and_then(|found| found.decode().ok()) else { return false };
    let text = match &found {
        FieldValue::LongString(text) => String::from_utf8_lossy(text).into_owned(),
        other => other.to_string(),
    };
    value.as_ref().is_none_or(|value| text == *value)
}

/// A message as it is shown.
#[derive(Serialize)]
struct Shown {
    /// What it is called in this queue: for `delete` and `move`.
    position: u64,
    redelivered: bool,
    /// How often it came back, in a quorum queue.
    delivery_count: u32,
    exchange: String,
    routing_key: String,
    properties: Value,
    /// Of the whole body, even if less is shown.
    payload_bytes: usize,
    payload: String,
    payload_encoding: &'static str,
}

fn show(queued: &Queued, truncate: Option<usize>) -> Shown {
    let message = &queued.message;
    let body = message.body();
    let (payload, payload_encoding) = shown_payload(&body, truncate, false);
    Shown {
        position: queued.position.0,
        redelivered: queued.redelivered,
        delivery_count: queued.delivery_count,
        exchange: String::from_utf8_lossy(message.exchange()).into_owned(),
        routing_key: String::from_utf8_lossy(message.routing_key()).into_owned(),
        properties: shown(&message.parsed_properties().unwrap_or_default()),
        payload_bytes: body.len(),
        payload,
        payload_encoding,
    }
}

/// Somebody on his way through a queue.
struct Walk<'a> {
    vhost: &'a Vhost,
    queue: &'a Queue,
    place: Place,
}

impl<'a> Walk<'a> {
    fn new(vhost: &'a Vhost, queue: &'a Queue, place: Place) -> Self {
        Self { vhost, queue, place }
    }

    /// What comes next, at most `max` messages; nothing at the end.
    async fn next(&mut self, max: usize) -> Result<Vec<Queued>, Refusal> {
        let mut attempts = 0;
        loop {
            match self.queue.browse(&mut self.place, max) {
                Browsed::Messages(messages) => {
                    tokio::task::yield_now().await;
                    return Ok(messages);
                }
                Browsed::End => return Ok(Vec::new()),
                Browsed::NotSupported => return Err(not_supported(self.vhost, self.queue)),
                Browsed::OnDisk(segment) => match read(self.queue, &segment).await {
                    Some(messages) => {
                        let place = &mut self.place;
                        let found = self.queue.browse_segment(&segment, messages, place, max);
                        if !found.is_empty() {
                            return Ok(found);
                        }
                    }
                    None if attempts == ATTEMPTS => return Err(Refusal::TimedOut),
                    None => attempts += 1,
                },
            }
        }
    }
}

/// `None` when it cannot be read, most of all because it is in memory by now.
async fn read(queue: &Queue, segment: &Segment) -> Option<Vec<Queued>> {
    let (done, messages) = oneshot::channel();
    let done = move |result| {
        // Nobody waits any more when the client has hung up.
        let _ = done.send(result);
    };
    queue.read_segment(segment, Box::new(done));
    messages.await.ok()?.ok()
}

fn not_supported(vhost: &Vhost, queue: &Queue) -> Refusal {
    let resource = resource_queue(queue.name.as_str(), &vhost.name);
    let text = format!("messages of stream queues are read by their consumers, {resource}");
    AmqpError::new(ReplyCode::NotImplemented, text).into()
}

/// A place as it goes into an answer and comes back.
fn token(place: Place) -> String {
    match place {
        Place::Returned(seen) => format!("r{seen}"),
        Place::After(Position(position)) => position.to_string(),
    }
}

fn place(token: &str) -> Result<Place, Refusal> {
    let place = match token.strip_prefix('r') {
        Some(seen) => seen.parse().ok().map(Place::Returned),
        None => token.parse().ok().map(|position| Place::After(Position(position))),
    };
    place.ok_or_else(|| Refusal::BadRequest("'after' is what an answer has as 'next'".into()))
}

fn number(query: &Query, key: &'static str) -> Result<Option<usize>, Refusal> {
    let refuse = |_| Refusal::BadRequest(format!("'{key}' must be a number").into());
    query.get(key).filter(|text| !text.is_empty()).map(str::parse).transpose().map_err(refuse)
}

#[derive(Serialize)]
struct Page {
    messages: Vec<Shown>,
    /// What to send as `after` for what comes then; `null` at the end of the queue.
    next: Option<String>,
    /// Messages that were looked at.
    scanned: usize,
}

async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Page>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let queue = used(&caller, &api, &vhost, &name, Access::Read)?;
    let count = number(&query, "count")?.unwrap_or(COUNT).clamp(1, COUNT_MAX);
    let truncate = number(&query, "truncate")?;
    let filter = Filter::read(|key| query.get(key).map(str::to_owned));
    let from = query.get("after").filter(|token| !token.is_empty());
    let start = from.map_or(Ok(Place::START), place)?;
    let mut walk = Walk::new(&vhost, &queue, start);
    let (mut messages, mut scanned, mut bytes) = (Vec::new(), 0, 0);
    let next = loop {
        // One at a time would be slow, and more than are missing would have to be gone back over.
        let step = walk.next((count - messages.len()).min(STEP)).await?;
        if step.is_empty() {
            break None;
        }
        scanned += step.len();
        for queued in step.iter().filter(|queued| filter.matches(queued)) {
            let message = show(queued, truncate);
            bytes += message.payload.len();
            messages.push(message);
        }
        if messages.len() >= count || scanned >= LOOKED_AT_MAX || bytes >= ANSWER_BYTES_MAX {
            break Some(token(walk.place));
        }
    };
    Ok(Json(Page { messages, next, scanned }))
}

#[derive(Serialize)]
struct DeathGroup {
    /// `null` for messages that did not die anywhere.
    reason: Option<String>,
    queue: Option<String>,
    count: usize,
}

#[derive(Serialize)]
struct Groups {
    groups: Vec<DeathGroup>,
    scanned: usize,
    /// All messages were looked at.
    complete: bool,
}

/// What lies in a queue of dead letters, by why and where it died.
async fn groups(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
) -> Result<Json<Groups>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let queue = used(&caller, &api, &vhost, &name, Access::Read)?;
    let mut walk = Walk::new(&vhost, &queue, Place::START);
    let (mut counts, mut scanned) = (BTreeMap::<_, usize>::new(), 0);
    let complete = loop {
        let step = walk.next(STEP).await?;
        if step.is_empty() || scanned >= LOOKED_AT_MAX {
            break step.is_empty();
        }
        scanned += step.len();
        for queued in &step {
            let death = LastDeath::of(&queued.message);
            let key = death.map(|LastDeath { reason, queue, .. }| (reason, queue)).unzip();
            *counts.entry(key).or_default() += 1;
        }
    };
    let groups = counts.into_iter();
    let groups = groups.map(|((reason, queue), count)| DeathGroup { reason, queue, count });
    Ok(Json(Groups { groups: groups.collect(), scanned, complete }))
}

/// Which messages a request is about.
enum Wanted {
    /// At these positions: sorted ranges that do not overlap.
    Positions(Vec<(u64, u64)>),
    Matching(Filter),
}

impl Wanted {
    fn read(body: &Map<String, Value>) -> Result<Self, Refusal> {
        match (body.get("positions"), body.get("filter"), boolean(body, "all")?) {
            (Some(positions), None, false) => ranges(positions).map(Self::Positions),
            (None, Some(Value::Object(filter)), false) => {
                let text = |key: &str| filter.get(key)?.as_str().map(str::to_owned);
                Ok(Self::Matching(Filter::read(text)))
            }
            (None, None, true) => Ok(Self::Matching(Filter::default())),
            _ => {
                let reason = "say which: 'positions', a 'filter', or 'all': true";
                Err(Refusal::BadRequest(reason.into()))
            }
        }
    }
}

/// Positions, or first and last ones of ranges.
fn ranges(positions: &Value) -> Result<Vec<(u64, u64)>, Refusal> {
    let refuse = || Refusal::BadRequest("'positions' are numbers, or pairs of them".into());
    let range = |item: &Value| match item {
        Value::Array(pair) => match &pair[..] {
            [first, last] => first.as_u64().zip(last.as_u64()),
            _ => None,
        },
        other => other.as_u64().map(|position| (position, position)),
    };
    let items = positions.as_array().ok_or_else(refuse)?.iter();
    let mut all: Vec<(u64, u64)> = items.map(range).collect::<Option<_>>().ok_or_else(refuse)?;
    all.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(all.len());
    for (first, last) in all {
        match merged.last_mut().filter(|(_, end)| first <= end.saturating_add(1)) {
            Some((_, end)) => *end = last.max(*end),
            None => merged.push((first, last)),
        }
    }
    Ok(merged)
}

/// What happens to messages that were taken out.
enum Fate {
    Deleted,
    Moved(Relocation),
}

/// Deals with messages of a queue. They are taken out and dealt with without waiting in between, so that
/// a request that is given up leaves none behind that is nowhere.
struct Work<'a> {
    api: &'a Api,
    vhost: &'a Arc<Vhost>,
    queue: &'a Arc<Queue>,
    fate: Fate,
    /// Whether the caller may do that with a message.
    may: Box<dyn Fn(&Queued) -> bool + Send + Sync + 'a>,
    done: usize,
    kept: usize,
}

impl Work<'_> {
    async fn run(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        match wanted {
            Wanted::Positions(positions) => self.at(positions).await,
            Wanted::Matching(filter) => self.matching(filter).await,
        }
    }

    /// What comes in from now on is left alone, or a queue that gets back what it gives would never end.
    async fn matching(&mut self, filter: &Filter) -> Result<(), Refusal> {
        let mut left = self.queue.counts(self.api.now(), &mut Effects::default()).ready;
        let mut walk = Walk::new(self.vhost, self.queue, Place::START);
        while left > 0 {
            let step = walk.next(STEP.min(left)).await?;
            if step.is_empty() {
                break;
            }
            left -= step.len().min(left);
            let matching = step.iter().filter(|queued| filter.matches(queued));
            let mut positions: Vec<u64> = matching.map(|queued| queued.position.0).collect();
            positions.sort_unstable();
            let ranges: Vec<_> = positions.into_iter().map(|at| (at, at)).collect();
            if !ranges.is_empty() {
                self.at(&ranges).await?;
            }
        }
        Ok(())
    }

    async fn at(&mut self, wanted: &[(u64, u64)]) -> Result<(), Refusal> {
        let mut attempts = 0;
        loop {
            let mut effects = Effects::default();
            let Taken { messages, on_disk } = self.queue.take(wanted, self.api.now(), &mut effects);
            finish(self.api, self.vhost, effects);
            self.deal_with(messages);
            let mut came_to_memory = false;
            for segment in on_disk {
                let taken = match read(self.queue, &segment).await {
                    Some(messages) => self.queue.take_from_segment(&segment, messages, wanted),
                    None => None,
                };
                match taken {
                    Some(messages) => self.deal_with(messages),
                    None => came_to_memory = true,
                }
            }
            if !came_to_memory {
                return Ok(());
            }
            attempts += 1;
            if attempts == ATTEMPTS {
                return Err(Refusal::TimedOut);
            }
        }
    }

    fn deal_with(&mut self, messages: Vec<Queued>) {
        let mut effects = Effects::default();
        let (mut messages, not): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|queued| (self.may)(queued));
        self.kept += not.len();
        if !not.is_empty() {
            self.queue.requeue(not, &[], self.api.now(), &mut effects);
        }
        match &self.fate {
            Fate::Deleted => {
                self.queue.settle_taken(Group::ALONE, &messages);
                self.done += messages.len();
            }
            Fate::Moved(to) => {
                while !messages.is_empty() {
                    let rest = messages.split_off(messages.len().min(STEP));
                    let step = std::mem::replace(&mut messages, rest);
                    let (count, now) = (step.len(), self.api.now());
                    let moved = self.vhost.relocate(self.queue, step, to, now, &mut effects);
                    self.done += moved;
                    self.kept += count - moved;
                }
            }
        }
        finish(self.api, self.vhost, effects);
    }
}

#[derive(Serialize)]
pub(super) struct Deleted {
    deleted: usize,
}

async fn delete(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    body: Bytes,
) -> Result<Json<Deleted>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let queue = used(&caller, &api, &vhost, &name, Access::Read)?;
    let wanted = Wanted::read(&object(&body)?)?;
    let (may, fate) = (Box::new(|_: &Queued| true), Fate::Deleted);
    let mut work = Work { api: &api, vhost: &vhost, queue: &queue, fate, may, done: 0, kept: 0 };
    work.run(&wanted).await?;
    Ok(Json(Deleted { deleted: work.done }))
}

#[derive(Serialize)]
pub(super) struct Moved {
    moved: usize,
    /// Nobody took these, or the caller may not send them there: they are where they were.
    kept: usize,
}

/// `move` is a word of the language.
async fn relocate(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    body: Bytes,
) -> Result<Json<Moved>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let queue = used(&caller, &api, &vhost, &name, Access::Read)?;
    let body = object(&body)?;
    let wanted = Wanted::read(&body)?;
    let Some(Value::Object(to)) = body.get("to") else {
        let reason = "say where 'to': a 'queue', an 'exchange', or 'origin': true";
        return Err(Refusal::BadRequest(reason.into()));
    };
    let rights = Rights::of(&caller, &api, &vhost);
    let to = match (text(to, "queue")?, text(to, "exchange")?, boolean(to, "origin")?) {
        (Some(target), None, false) => {
            rights.exchange(Access::Write, "")?;
            let target = vhost.find_queue(&target).ok_or_else(|| vhost.no_queue(&target))?;
            if Arc::ptr_eq(&target, &queue) {
                return Err(Refusal::BadRequest("they are in that queue already".into()));
            }
            Relocation::Queue(target)
        }
        (None, Some(exchange), false) => {
            rights.exchange(Access::Write, &exchange)?;
            vhost.expect_exchange(&exchange)?;
            Relocation::Exchange { name: exchange, routing_key: text(to, "routing_key")? }
        }
        (None, None, true) => {
            rights.exchange(Access::Write, "")?;
            Relocation::Origin
        }
        _ => {
            let reason = "say where 'to': a 'queue', an 'exchange', or 'origin': true";
            return Err(Refusal::BadRequest(reason.into()));
        }
    };
    let target = to.clone();
    let may = {
        let vhost = Arc::clone(&vhost);
        move |queued: &Queued| match &target {
            Relocation::Exchange { name, routing_key } => {
                let key = routing_key
                    .as_deref()
                    .map_or_else(|| queued.message.routing_key(), str::as_bytes);
                rights.topic(Access::Write, &vhost, name, key).is_ok()
            }
            Relocation::Queue(_) | Relocation::Origin => true,
        }
    };
    let (may, fate) = (Box::new(may), Fate::Moved(to));
    let mut work = Work { api: &api, vhost: &vhost, queue: &queue, fate, may, done: 0, kept: 0 };
    work.run(&wanted).await?;
    Ok(Json(Moved { moved: work.done, kept: work.kept }))
}
