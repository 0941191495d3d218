//! What tools ask because RabbitMQ has it, and what there is one answer to here: feature flags, links to
//! other brokers, the health of the one node.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Name, Segments};
use crate::auth::PasswordHash;
use crate::broker::node_name;
use crate::management::Api;
use crate::management::body::{object, text};
use crate::management::caller::{Administrator, Caller};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/feature-flags", get(flags))
        .route("/feature-flags/{name}/enable", put(enable))
        .route("/deprecated-features", get(nothing))
        .route("/deprecated-features/used", get(nothing))
        .route("/shovels", get(nothing_to_monitors))
        .route("/shovels/{vhost}", get(nothing_in_vhost))
        .route("/shovels/{vhost}/{name}", get(no_such_shovel))
        .route("/federation-links", get(nothing_to_monitors))
        .route("/federation-links/{vhost}", get(nothing_in_vhost))
        .route("/rebalance/queues", post(rebalance))
        .route("/healthchecks/node", get(healthy))
        .route("/healthchecks/node/{node}", get(healthy_node))
        .route("/auth/hash_password/{password}", get(hash))
        .route("/auth/hash_password", put(hash_body))
        .route("/vhosts/{vhost}/start/{node}", post(start))
        .route("/reset", delete(reset))
        .route("/reset/{node}", delete(reset_node))
}

#[derive(Clone, Serialize)]
struct Flag {
    name: &'static str,
    desc: &'static str,
    doc_url: &'static str,
    state: &'static str,
    stability: &'static str,
    provided_by: &'static str,
}

/// Those of RabbitMQ that clients and tools look for; what they stand for is always there.
const FLAGS: [(&str, &str); 8] = [
    ("classic_mirrored_queue_version", "Support setting version for classic mirrored queues"),
    ("drop_unroutable_metric", "Count unroutable publishes to be dropped in stats"),
    ("empty_basic_get_metric", "Count AMQP `basic.get` on empty queues in stats"),
    ("implicit_default_bindings", "Default bindings are now implicit, instead of being stored"),
    ("maintenance_mode_status", "Maintenance mode status"),
    ("quorum_queue", "Support queues of type `quorum`"),
    ("stream_queue", "Support queues of type `stream`"),
    ("virtual_host_metadata", "Virtual host metadata (description, tags, etc)"),
];

async fn flags(_: Caller, query: ListQuery) -> Result<Response, Refusal> {
    let flag = |(name, desc)| Flag {
        name,
        desc,
        doc_url: "",
        state: "enabled",
        stability: "required",
        provided_by: "rabbit",
    };
    let flags = FLAGS.map(flag).into_iter().filter_map(|flag| serde_json::to_value(flag).ok());
    query.values(flags.collect())
}

async fn enable(_: Administrator, Name(name): Name) -> Result<StatusCode, Refusal> {
    match name == "all" || FLAGS.iter().any(|(known, _)| *known == name) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal::BadRequest(format!("unsupported: {name}").into())),
    }
}

async fn nothing(_: Caller) -> Json<Value> {
    Json(json!([]))
}

async fn nothing_to_monitors(caller: Caller) -> Result<Json<Value>, Refusal> {
    caller.require_monitor()?;
    Ok(Json(json!([])))
}

async fn nothing_in_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
) -> Result<Json<Value>, Refusal> {
    caller.require_monitor()?;
    caller.vhost(&api, &vhost)?;
    Ok(Json(json!([])))
}

async fn no_such_shovel(
    caller: Caller,
    Segments(_): Segments<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    caller.require_monitor()?;
    Err(Refusal::NotFound)
}

/// There is nowhere else to go for a queue.
async fn rebalance(_: Administrator) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn healthy(_: Caller, State(api): State<Arc<Api>>) -> Json<Value> {
    Json(match api.services.broker.alarms.reason() {
        None => json!({ "status": "ok" }),
        Some(reason) => {
            json!({ "status": "failed", "reason": format!("resource alarm(s) in effect: {reason}") })
        }
    })
}

fn check_node(node: &str) -> Result<(), Refusal> {
    if node == node_name() { Ok(()) } else { Err(Refusal::NotFound) }
}

async fn healthy_node(
    caller: Caller,
    api: State<Arc<Api>>,
    Name(node): Name,
) -> Result<Json<Value>, Refusal> {
    check_node(&node)?;
    Ok(healthy(caller, api).await)
}

/// A vhost that is there runs.
async fn start(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, node)): Segments<(String, String)>,
) -> Result<StatusCode, Refusal> {
    api.services.broker.vhost(&vhost).ok_or(Refusal::NotFound)?;
    check_node(&node)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Statistics are not collected anywhere that could be emptied: they are read where they are counted.
async fn reset(_: Administrator) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn reset_node(_: Administrator, Name(node): Name) -> Result<StatusCode, Refusal> {
    check_node(&node)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hash(_: Administrator, Name(password): Name) -> Json<Value> {
    Json(json!({ "ok": PasswordHash::new(&password).to_string() }))
}

async fn hash_body(_: Administrator, body: Bytes) -> Result<Json<Value>, Refusal> {
    let missing = || Refusal::BadRequest("[{key_missing,password}]".into());
    let password = text(&object(&body)?, "password")?.ok_or_else(missing)?;
    Ok(Json(json!({ "password_hash": PasswordHash::new(&password).to_string() })))
}
