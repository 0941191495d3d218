//! Who consumes: `/consumers`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Name, connection};
use crate::broker::{ChannelReport, Connected, ConsumerReport};
use crate::management::ask::ask;
use crate::management::caller::Caller;
use crate::management::json::table_to_json;
use crate::management::openapi::{Routes, Who, get};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;
use crate::management::{Api, node_name};
use crate::queue::Queue;

pub(super) fn router() -> Routes {
    Routes::new()
        .route("/", [get(Who::User, list, "Consumers that one may see").lists("Consumer")])
        .route("/{vhost}", [get(Who::InVhost, list_vhost, "Consumers").lists("Consumer")])
}

/// A consumer as it is shown.
#[derive(Serialize)]
struct Shown {
    consumer_tag: String,
    queue: Value,
    channel_details: Value,
    active: bool,
    activity_status: &'static str,
    ack_required: bool,
    exclusive: bool,
    prefetch_count: u16,
    /// Milliseconds.
    consumer_timeout: u64,
    arguments: Value,
}

/// Nothing for one that is of no queue: of direct replies nobody needs to know.
fn shown(
    api: &Api,
    connected: &Connected,
    channel: u16,
    consumer: &ConsumerReport,
) -> Option<Value> {
    let name = consumer.queue.as_ref()?;
    let vhost = api.services.broker.vhost(connected.vhost.as_str())?;
    let queue = vhost.find_queue(name.as_str())?;
    let is_it = |found: &crate::queue::QueueConsumer| {
        found.source == consumer.source && Arc::ptr_eq(&found.outbox, &connected.outbox)
    };
    let known = queue.consumers().into_iter().find(is_it)?;
    let single = queue.declaration.options.single_active_consumer;
    let shown = Shown {
        consumer_tag: consumer.tag.clone(),
        queue: json!({ "name": name.as_str(), "vhost": connected.vhost.as_str() }),
        channel_details: channel_details(connected, channel),
        active: known.is_active,
        activity_status: match (single, known.is_active) {
            (false, _) => "up",
            (true, true) => "single_active",
            (true, false) => "waiting",
        },
        ack_required: !consumer.no_ack,
        exclusive: consumer.exclusive,
        prefetch_count: consumer.prefetch,
        consumer_timeout: consumer.timeout_millis,
        arguments: table_to_json(&consumer.arguments),
    };
    serde_json::to_value(shown).ok()
}

fn channel_details(connected: &Connected, number: u16) -> Value {
    let name = &connected.client.name;
    let mut details = connection::details(connected);
    if let Some(details) = details.as_object_mut() {
        details.insert("name".to_owned(), format!("{name} ({number})").into());
        details.insert("connection_name".to_owned(), name.as_str().into());
        details.insert("number".to_owned(), number.into());
        details.insert("node".to_owned(), node_name().into());
        details.insert("user".to_owned(), connected.user.as_str().into());
    }
    details
}

pub(super) fn of_channel(api: &Api, connected: &Connected, report: &ChannelReport) -> Vec<Value> {
    let consumers = report.consumers.iter();
    consumers.filter_map(|consumer| shown(api, connected, report.number, consumer)).collect()
}

async fn of_connections(api: &Api, connections: Vec<Arc<Connected>>) -> Vec<Value> {
    let reports = ask(connections.iter()).await;
    let of = |(connected, report): (&Arc<Connected>, Option<crate::broker::Report>)| {
        let channels = report.map(|report| report.channels).unwrap_or_default();
        let consumers = |channel: &ChannelReport| of_channel(api, connected, channel);
        channels.iter().flat_map(consumers).collect::<Vec<Value>>()
    };
    connections.iter().zip(reports).flat_map(of).collect()
}

/// Those of one queue, whoever's they are.
pub(super) async fn of_queue(api: &Api, queue: &Arc<Queue>) -> Vec<Value> {
    let known = queue.consumers();
    if known.is_empty() {
        return Vec::new();
    }
    let mut connections = api.services.broker.connections();
    connections.retain(|connected| {
        known.iter().any(|consumer| Arc::ptr_eq(&consumer.outbox, &connected.outbox))
    });
    let mut consumers = of_connections(api, connections).await;
    let name = |consumer: &Value| consumer.pointer("/queue/name").cloned();
    consumers.retain(|consumer| name(consumer).is_some_and(|name| name == queue.name.as_str()));
    consumers
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
    query.values(of_connections(&api, connections).await)
}

async fn list_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let connections = connection::visible(&caller, &api, |it| it.vhost == vhost.name);
    query.values(of_connections(&api, connections).await)
}
