//! Channels of open connections: `/channels`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{GarbageCollection, Name, connection, consumer};
use crate::broker::{ChannelReport, Connected};
use crate::management::ask::ask;
use crate::management::caller::Caller;
use crate::management::list::Listed;
use crate::management::openapi::{Routes, SAMPLES, Who, get};
use crate::management::query::ListQuery;
use crate::management::rates::Ranges;
use crate::management::refusal::Refusal;
use crate::management::{Api, node_name};

pub(super) fn router() -> Routes {
    Routes::new()
        .route("/", [get(Who::User, list, "Channels that one may see").lists("Channel")])
        .route("/{name}", [get(Who::Owner, one, "A channel").answers("OneChannel").query(SAMPLES)])
}

/// A channel as it is shown.
#[derive(Serialize)]
struct Shown {
    name: String,
    number: u16,
    node: String,
    vhost: String,
    user: String,
    user_who_performed_action: String,
    connection_details: Value,
    state: &'static str,
    confirm: bool,
    transactional: bool,
    consumer_count: usize,
    prefetch_count: u16,
    global_prefetch_count: u32,
    messages_unacknowledged: usize,
    messages_unconfirmed: u64,
    messages_uncommitted: usize,
    acks_uncommitted: usize,
    pending_raft_commands: u64,
    #[serde(flatten)]
    past: Map<String, Value>,
    reductions: u64,
    garbage_collection: GarbageCollection,
}

pub(super) struct Item {
    connected: Arc<Connected>,
    report: ChannelReport,
    name: String,
}

impl Listed for Item {
    fn key(&self) -> (&str, &str) {
        ("", &self.name)
    }
}

fn name(connected: &Connected, number: u16) -> String {
    format!("{} ({number})", connected.client.name)
}

fn shown(api: &Api, node: &str, ranges: &Ranges, item: &Item) -> Shown {
    let Item { connected, report, name } = item;
    let mut past = Map::new();
    if let Some(stats) = connected.stats.channel(report.number) {
        api.rates.put_channel(&mut past, &connected.stats, report.number, &stats, ranges);
    }
    Shown {
        name: name.clone(),
        number: report.number,
        node: node.to_owned(),
        vhost: connected.vhost.to_string(),
        user: connected.user.to_string(),
        user_who_performed_action: connected.user.to_string(),
        connection_details: connection::details(connected),
        state: if report.is_closing { "closing" } else { "running" },
        confirm: report.confirms,
        transactional: report.is_transactional,
        consumer_count: report.consumers.len(),
        prefetch_count: report.prefetch,
        global_prefetch_count: report.global_prefetch,
        messages_unacknowledged: report.unacked,
        messages_unconfirmed: report.unconfirmed,
        messages_uncommitted: report.uncommitted,
        acks_uncommitted: report.acks_uncommitted,
        pending_raft_commands: 0,
        past,
        reductions: 0,
        garbage_collection: GarbageCollection::default(),
    }
}

/// The channels of connections, as they are now.
async fn items(connections: Vec<Arc<Connected>>) -> Vec<Item> {
    let reports = ask(connections.iter()).await;
    let of = |(connected, report): (Arc<Connected>, Option<crate::broker::Report>)| {
        let channels = report.map(|report| report.channels).unwrap_or_default().into_iter();
        channels.map(move |report| {
            let name = name(&connected, report.number);
            Item { connected: Arc::clone(&connected), report, name }
        })
    };
    connections.into_iter().zip(reports).flat_map(of).collect()
}

async fn answer(
    api: Arc<Api>,
    query: ListQuery,
    connections: Vec<Arc<Connected>>,
) -> Result<Response, Refusal> {
    let (node, ranges) = (node_name(), query.ranges);
    let items = items(connections).await;
    query.answer(items, move |item| shown(&api, &node, &ranges, item))
}

async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let only = query.vhost.clone();
    let is_wanted =
        |connected: &Connected| only.as_ref().is_none_or(|only| connected.vhost == *only);
    let connections = connection::visible(&caller, &api, is_wanted);
    answer(api, query, connections).await
}

pub(super) async fn in_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let is_in_it = |connected: &Connected| connected.vhost == vhost.name;
    let connections = connection::visible(&caller, &api, is_in_it);
    answer(api, query, connections).await
}

pub(super) async fn of_connection(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let connected = connection::find(&caller, &api, &name, caller.is_monitor())?;
    answer(api, query, vec![connected]).await
}

/// The name is the connection's, and the number in brackets.
async fn one(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    ranges: Ranges,
) -> Result<Json<Value>, Refusal> {
    let (connection, _) = name.rsplit_once(" (").ok_or(Refusal::NotFound)?;
    let connected = connection::find(&caller, &api, connection, caller.is_monitor())?;
    let mut channels = items(vec![connected]).await.into_iter();
    let item = channels.find(|item| item.name == name).ok_or(Refusal::NotFound)?;
    let mut channel =
        serde_json::to_value(shown(&api, &node_name(), &ranges, &item)).unwrap_or_default();
    if let Some(channel) = channel.as_object_mut() {
        let consumers = consumer::of_channel(&api, &item.connected, &item.report);
        channel.insert("consumer_details".to_owned(), consumers.into());
        channel.insert("publishes".to_owned(), json!([]));
        channel.insert("deliveries".to_owned(), json!([]));
    }
    Ok(Json(channel))
}
