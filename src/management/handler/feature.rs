//! What tools ask because RabbitMQ has it, and what there is one answer to here: feature flags, links to
//! other brokers, the health of the one node.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Name, Segments};
use crate::auth::PasswordHash;
use crate::broker::node_name;
use crate::management::Api;
use crate::management::body::{object, text};
use crate::management::caller::{Administrator, Caller};
use crate::management::openapi::{Routes, Who, delete, get, post, put};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;

pub(super) fn router() -> Routes {
    use Who::{Administrator, Monitor, User};
    let done = "Nothing: there is one node";
    Routes::new()
        .route("/feature-flags", [get(User, flags, "What is enabled").lists("FeatureFlag")])
        .route(
            "/feature-flags/{name}/enable",
            [put(Administrator, enable, "Nothing: all are enabled").statuses(&[204])],
        )
        .route(
            "/deprecated-features",
            [get(User, nothing, "There are none").answers("[DeprecatedFeature]")],
        )
        .route(
            "/deprecated-features/used",
            [get(User, nothing, "There are none").answers("[DeprecatedFeature]")],
        )
        .route("/shovels", [get(Monitor, nothing_to_monitors, "There are none").answers("[any]")])
        .route(
            "/shovels/{vhost}",
            [get(Monitor, nothing_in_vhost, "There are none").answers("[any]")],
        )
        .route(
            "/shovels/{vhost}/{name}",
            [get(Monitor, no_such_shovel, "There are none").statuses(&[])],
        )
        .route(
            "/federation-links",
            [get(Monitor, nothing_to_monitors, "There are none").answers("[any]")],
        )
        .route(
            "/federation-links/{vhost}",
            [get(Monitor, nothing_in_vhost, "There are none").answers("[any]")],
        )
        .route("/rebalance/queues", [post(Administrator, rebalance, done)])
        .route(
            "/healthchecks/node",
            [get(User, healthy, "Whether there is an alarm").answers("Health")],
        )
        .route(
            "/healthchecks/node/{node}",
            [get(User, healthy_node, "Whether there is an alarm").answers("Health")],
        )
        .route(
            "/auth/hash_password/{password}",
            [get(Administrator, hash, "A password's hash").answers("Hash")],
        )
        .route(
            "/auth/hash_password",
            [put(Administrator, hash_body, "A password's hash")
                .takes("Password")
                .answers("PasswordHash")
                .statuses(&[200])],
        )
        .route("/vhosts/{vhost}/start/{node}", [post(Administrator, start, done)])
        .route("/reset", [delete(Administrator, reset, "Nothing")])
        .route("/reset/{node}", [delete(Administrator, reset_node, "Nothing")])
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
