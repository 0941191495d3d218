//! Queues: `/queues`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::binding::{self, NOBODY};
use super::{GarbageCollection, Name, Segments, browse, checked_name, get_messages};
use crate::auth::Access;
use crate::broker::{Flags, FoundEnd, Vhost, WhichBindings, resource_queue};
use crate::management::body::{boolean, object, table, text};
use crate::management::caller::{Administrator, Caller};
use crate::management::commit::{completion, wait};
use crate::management::json::table_to_json;
use crate::management::list::Listed;
use crate::management::openapi::{Routes, SAMPLES, Who, delete, get, post, put};
use crate::management::query::{ListQuery, Query};
use crate::management::rates::Ranges;
use crate::management::refusal::Refusal;
use crate::management::rights::Rights;
use crate::management::{Api, node_name};
use crate::names::QueueName;
use crate::protocol::{AmqpError, FieldValue, ReplyCode};
use crate::queue::{Declaration, Effects, Options, Queue, QueueFigures, QueueKind};

/// What lists of queues can be asked for, besides.
const EXTENT: &[&str] = &["disable_stats", "enable_queue_totals"];

pub(super) fn router() -> Routes {
    let who = Who::InVhost;
    let all = || get(Who::User, list, "Queues of the virtual hosts that one may enter");
    Routes::new()
        .route("/", [all().lists("Queue").query(EXTENT)])
        .route("/detailed", [all().lists("Queue").query(EXTENT)])
        .route("/{vhost}", [get(who, list_vhost, "Queues").lists("Queue").query(EXTENT)])
        .route(
            "/{vhost}/{queue}",
            [
                get(who, one, "A queue").answers("OneQueue").query(SAMPLES),
                put(who, put_queue, "Declares a queue").takes("QueueDeclaration"),
                delete(who, delete_queue, "Deletes a queue").query(&["if-empty", "if-unused"]),
            ],
        )
        .route("/{vhost}/{queue}/contents", [delete(who, purge, "Deletes its ready messages")])
        .route("/{vhost}/{queue}/bindings", [get(who, bindings, "Its bindings").lists("Binding")])
        .route(
            "/{vhost}/{queue}/actions",
            [post(Who::Administrator, act, "Nothing: sync and cancel_sync").takes("Action")],
        )
        .route(
            "/{vhost}/{queue}/get",
            [post(who, get_messages::get, "Takes messages out, or puts them back")
                .takes("Get")
                .answers("[Got]")],
        )
        .nest("/{vhost}/{queue}/messages", browse::router())
}

/// A queue as it is shown.
#[derive(Serialize)]
struct Shown {
    name: String,
    vhost: String,
    r#type: &'static str,
    durable: bool,
    auto_delete: bool,
    exclusive: bool,
    arguments: Value,
    node: String,
    state: &'static str,
    #[serde(flatten)]
    totals: Option<Totals>,
    #[serde(flatten)]
    live: Option<Live>,
    #[serde(flatten)]
    past: Map<String, Value>,
}

#[derive(Serialize)]
struct Totals {
    messages: usize,
    messages_ready: usize,
    messages_unacknowledged: usize,
}

/// What is not said where `disable_stats` asks for less.
#[derive(Serialize)]
struct Live {
    policy: Option<String>,
    operator_policy: Option<String>,
    effective_policy_definition: Value,
    consumers: usize,
    /// 1 while some consumer could take a message.
    consumer_utilisation: f64,
    consumer_capacity: f64,
    exclusive_consumer_tag: Option<String>,
    single_active_consumer_tag: Option<String>,
    /// Bytes, about.
    memory: usize,
    messages_persistent: usize,
    messages_ram: usize,
    messages_ready_ram: usize,
    messages_unacknowledged_ram: usize,
    messages_paged_out: usize,
    message_bytes: usize,
    message_bytes_ready: usize,
    message_bytes_unacknowledged: usize,
    message_bytes_persistent: usize,
    message_bytes_ram: usize,
    message_bytes_paged_out: usize,
    head_message_timestamp: Option<u64>,
    recoverable_slaves: Option<()>,
    garbage_collection: GarbageCollection,
    reductions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_pid_details: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    /// Dead letters of a quorum queue that have to arrive and could not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_dlx: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<Vec<String>>,
}

/// A queue in its vhost.
pub(super) struct Item {
    vhost: Arc<Vhost>,
    queue: Arc<Queue>,
}

impl Listed for Item {
    fn key(&self) -> (&str, &str) {
        (self.vhost.name.as_str(), self.queue.name.as_str())
    }

    fn quick(&self, field: &str) -> Option<Value> {
        let Queue { name, declaration, .. } = &*self.queue;
        let counts = || self.queue.figures().counts;
        Some(match field {
            "name" => name.as_str().into(),
            "vhost" => self.vhost.name.as_str().into(),
            "type" => self.queue.kind().as_str().into(),
            "durable" => declaration.durable.into(),
            "auto_delete" => declaration.auto_delete.into(),
            "messages" => (counts().ready + counts().unacked).into(),
            "messages_ready" => counts().ready.into(),
            "messages_unacknowledged" => counts().unacked.into(),
            "consumers" => counts().consumers.into(),
            _ => return None,
        })
    }
}

/// How much of a queue is shown.
#[derive(Clone, Copy)]
struct Extent {
    totals: bool,
    live: bool,
}

impl Extent {
    const ALL: Self = Self { totals: true, live: true };

    fn of(query: &ListQuery) -> Self {
        let live = !query.without_stats;
        Self { totals: live || query.with_totals, live }
    }
}

fn shown(api: &Api, node: &str, extent: Extent, ranges: &Ranges, item: &Item) -> Shown {
    let Item { vhost, queue } = item;
    let mut past = Map::new();
    let figures = if extent.totals { queue.figures() } else { QueueFigures::default() };
    let declaration = &queue.declaration;
    if extent.live {
        api.rates.put_queue(&mut past, queue, &figures, ranges);
    }
    Shown {
        name: queue.name.to_string(),
        vhost: vhost.name.to_string(),
        r#type: queue.kind().as_str(),
        durable: declaration.durable,
        auto_delete: declaration.auto_delete,
        exclusive: declaration.owner.is_some(),
        arguments: table_to_json(&declaration.arguments),
        node: node.to_owned(),
        state: "running",
        totals: (extent.totals && !extent.live).then(|| Totals {
            messages: figures.counts.ready + figures.counts.unacked,
            messages_ready: figures.counts.ready,
            messages_unacknowledged: figures.counts.unacked,
        }),
        live: extent.live.then(|| live(api, node, item, &figures)),
        past,
    }
}

fn live(api: &Api, node: &str, item: &Item, figures: &QueueFigures) -> Live {
    let Item { vhost, queue } = item;
    let applied = vhost.applied_policies(queue);
    let room = if queue.has_room() { 1.0 } else { 0.0 };
    let (ready, unacked) = (figures.counts.ready, figures.counts.unacked);
    let bytes = figures.ready_bytes + figures.unacked_bytes;
    // One node has all of it.
    let replicated = queue.kind() != QueueKind::Classic;
    let is_quorum = queue.kind() == QueueKind::Quorum;
    let owner = queue.declaration.owner.and_then(|owner| api.services.broker.connected(owner));
    Live {
        effective_policy_definition: table_to_json(&applied.definition()),
        policy: applied.user.map(|policy| policy.name.clone()),
        operator_policy: applied.operator.map(|policy| policy.name.clone()),
        consumers: figures.counts.consumers,
        consumer_utilisation: room,
        consumer_capacity: room,
        exclusive_consumer_tag: None,
        single_active_consumer_tag: None,
        memory: figures.memory,
        messages_persistent: figures.persistent,
        messages_ram: (ready + unacked).saturating_sub(figures.on_disk),
        messages_ready_ram: ready.saturating_sub(figures.on_disk),
        messages_unacknowledged_ram: unacked,
        messages_paged_out: figures.on_disk,
        message_bytes: bytes,
        message_bytes_ready: figures.ready_bytes,
        message_bytes_unacknowledged: figures.unacked_bytes,
        message_bytes_persistent: figures.persistent_bytes,
        message_bytes_ram: bytes.saturating_sub(figures.on_disk_bytes),
        message_bytes_paged_out: figures.on_disk_bytes,
        head_message_timestamp: figures.head_timestamp,
        recoverable_slaves: None,
        garbage_collection: GarbageCollection::default(),
        reductions: 0,
        owner_pid_details: owner.map(|owner| super::connection::details(&owner)),
        leader: replicated.then(|| node.to_owned()),
        messages_dlx: is_quorum.then_some(figures.counts.dead_letters),
        members: replicated.then(|| vec![node.to_owned()]),
        online: replicated.then(|| vec![node.to_owned()]),
    }
}

fn items(vhost: &Arc<Vhost>) -> impl Iterator<Item = Item> {
    let queues = vhost.queues().into_iter();
    queues.map(|queue| Item { vhost: Arc::clone(vhost), queue })
}

fn answer(api: Arc<Api>, query: ListQuery, items: Vec<Item>) -> Result<Response, Refusal> {
    let (node, extent, ranges) = (node_name(), Extent::of(&query), query.ranges);
    query.answer(items, move |item| shown(&api, &node, extent, &ranges, item))
}

async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhosts = caller.vhosts(&api, query.vhost.as_ref());
    answer(api, query, vhosts.iter().flat_map(items).collect())
}

async fn list_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    answer(api, query, items(&vhost).collect())
}

async fn one(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    query: ListQuery,
) -> Result<Json<Value>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let queue = vhost.find_queue(&name).ok_or(Refusal::NotFound)?;
    let consumers = super::consumer::of_queue(&api, &queue).await;
    let item = Item { vhost, queue: Arc::clone(&queue) };
    let shown = shown(&api, &node_name(), Extent::ALL, &query.ranges, &item);
    let mut value = serde_json::to_value(shown).unwrap_or_default();
    if let Some(shown) = value.as_object_mut() {
        let is = |consumer: &Value, key: &str| consumer.get(key) == Some(&Value::Bool(true));
        let tag = |consumer: &Value| consumer.get("consumer_tag").cloned().unwrap_or_default();
        if let Some(consumer) = consumers.iter().find(|consumer| is(consumer, "exclusive")) {
            shown.insert("exclusive_consumer_tag".to_owned(), tag(consumer));
        }
        if queue.declaration.options.single_active_consumer {
            let active = consumers.iter().find(|consumer| is(consumer, "active"));
            let tag = active.map_or(Value::Null, tag);
            shown.insert("single_active_consumer_tag".to_owned(), tag);
        }
        shown.insert("consumer_details".to_owned(), consumers.into());
        shown.insert("deliveries".to_owned(), json!([]));
        shown.insert("incoming".to_owned(), json!([]));
    }
    Ok(Json(query.keep(value)))
}

/// `exclusive` and `node` mean nothing here: there is no connection, and one node.
async fn put_queue(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let vhost = caller.vhost(&api, &vhost).map_err(Refusal::or_no_vhost)?;
    let name = checked_name(name)?;
    let body = object(&body)?;
    let (durable, auto_delete) = (boolean(&body, "durable")?, boolean(&body, "auto_delete")?);
    let arguments = table(&body, "arguments")?;
    if name.starts_with("amq.") {
        return Err(Refusal::AccessRefused);
    }
    let with_type = vhost.with_default_type(&name, &arguments, (durable, false, auto_delete));
    let arguments = with_type.unwrap_or(arguments);
    let rights = Rights::of(&caller, &api, &vhost);
    rights.queue(Access::Configure, &name)?;
    let existed = vhost.find_queue(&name).is_some();
    let dead_letters = arguments.get("x-dead-letter-exchange").and_then(FieldValue::as_str);
    if let Some(exchange) = dead_letters.filter(|_| !existed) {
        rights.queue(Access::Read, &name)?;
        rights.exchange(Access::Write, exchange)?;
    }
    let declaration = || -> Result<Declaration, AmqpError> {
        let resource = resource_queue(&name, &vhost.name);
        let options = Arc::new(Options::parse(&arguments, &resource)?);
        options.kind.check_flags(durable, false, auto_delete, &resource)?;
        let arguments = arguments.clone();
        Ok(Declaration { durable, auto_delete, owner: None, arguments, options })
    };
    let flags = Flags { durable, exclusive: false, auto_delete, arguments: &arguments };
    let queue_name = QueueName::from(name.as_str());
    let (notify, committed) = completion();
    let mut effects = Effects::default();
    // A queue that ends by itself just after it was found is made anew.
    let commit = loop {
        let found = vhost.declare_queue(&queue_name, NOBODY, &declaration, &flags, &notify)?;
        if found.queue.declared(api.now(), &mut effects).is_some() {
            break found.commit;
        }
    };
    finish(&api, &vhost, effects);
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

/// Does what the use of queues left to be done.
pub(super) fn finish(api: &Api, vhost: &Arc<Vhost>, mut effects: Effects) {
    vhost.act(api.now(), &mut effects);
    effects.wakes.ring();
}

/// A queue that the caller may have to do with, for `access`.
pub(super) fn used(
    caller: &Caller,
    api: &Api,
    vhost: &Arc<Vhost>,
    name: &str,
    access: Access,
) -> Result<Arc<Queue>, Refusal> {
    vhost.find_queue(name).ok_or(Refusal::NotFound)?;
    Rights::of(caller, api, vhost).queue(access, name)?;
    Ok(vhost.queue(name, NOBODY)?)
}

async fn delete_queue(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    query: Query,
) -> Result<StatusCode, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let queue = used(&caller, &api, &vhost, &name, Access::Configure)?;
    let (if_unused, if_empty) = (query.is_true("if-unused"), query.is_true("if-empty"));
    let mut effects = Effects::default();
    let (notify, committed) = completion();
    let deleted = vhost.delete_queue(&queue, if_unused, if_empty, api.now(), &mut effects, &notify);
    finish(&api, &vhost, effects);
    let (_, commit) = deleted?;
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn purge(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let queue = used(&caller, &api, &vhost, &name, Access::Read)?;
    let mut effects = Effects::default();
    let purged = queue.purge(api.now(), &mut effects);
    finish(&api, &vhost, effects);
    match purged {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => {
            let resource = resource_queue(&name, &vhost.name);
            let text = format!("queue.purge not supported by stream queues {resource}");
            Err(AmqpError::new(ReplyCode::NotImplemented, text).into())
        }
    }
}

async fn bindings(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let queue = vhost.find_queue(&name).ok_or(Refusal::NotFound)?;
    binding::answer(query, &vhost, WhichBindings::To(&FoundEnd::Queue(queue.name.clone())))
}

/// There is one node: nothing has to be synchronised with another.
async fn act(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let vhost = api.services.broker.vhost(&vhost).ok_or(Refusal::NotFound)?;
    vhost.find_queue(&name).ok_or(Refusal::NotFound)?;
    match text(&object(&body)?, "action")?.as_deref() {
        Some("sync" | "cancel_sync") => Ok(StatusCode::NO_CONTENT),
        None => Err(Refusal::BadRequest("[{key_missing,action}]".into())),
        Some(other) => Err(Refusal::BadRequest(format!("unknown: {other}").into())),
    }
}
