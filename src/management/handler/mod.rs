//! What may be asked, and who answers: one file for each noun.

mod aliveness;
mod attempts;
mod binding;
mod browse;
mod channel;
mod connection;
mod consumer;
mod definitions;
mod exchange;
mod feature;
mod get_messages;
mod health;
mod limit;
mod message;
mod node;
mod overview;
mod parameter;
mod permission;
mod policy;
mod publish;
mod queue;
mod stream;
mod topic_permission;
mod user;
mod version;
mod vhost;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use self::binding::NOBODY;
pub(super) use self::limit::{of_user as limits_of_user, of_vhost as limits_of_vhost};
pub(super) use self::node::breakdown;
pub(super) use self::overview::uptime_millis;
pub(super) use self::policy::policy_terms;

use super::convention::BODY_BYTES_MAX;
use super::openapi::{Routes, describe};
use super::refusal::Refusal;
use super::{Api, cors, metrics, page};
use crate::broker::PolicyScope;

pub(super) fn router(api: Arc<Api>) -> Router {
    let noun = |path, routes| Routes::new().nest(path, routes);
    let nouns = [
        version::router(),
        overview::router(),
        aliveness::router(),
        user::login_router(),
        parameter::cluster_router(),
        feature::router(),
        noun("/auth/attempts", attempts::router()),
        noun("/nodes", node::router()),
        noun("/definitions", definitions::router()),
        noun("/all-configuration", definitions::router()),
        noun("/validate/definitions", definitions::validation_router()),
        noun("/parameters", parameter::router()),
        noun("/global-parameters", parameter::global_router()),
        noun("/exchanges", exchange::router()),
        noun("/queues", queue::router()),
        noun("/bindings", binding::router()),
        noun("/connections", connection::router()),
        noun("/channels", channel::router()),
        noun("/consumers", consumer::router()),
        noun("/stream", stream::router()),
        noun("/users", user::router()),
        noun("/vhosts", vhost::router()),
        noun("/permissions", permission::router()),
        noun("/topic-permissions", topic_permission::router()),
        noun("/vhost-limits", limit::vhost_router()),
        noun("/user-limits", limit::user_router()),
        noun("/policies", policy::router(PolicyScope::User)),
        noun("/operator-policies", policy::router(PolicyScope::Operator)),
        noun("/health/checks", health::router()),
    ];
    let nouns = nouns.into_iter().fold(Routes::new(), Routes::merge);
    let routes = Routes::new().nest("/api", nouns).merge(metrics::router(&api));
    describe(routes)
        .into_router()
        .merge(page::router())
        .fallback(async || Refusal::NotFound)
        .layer(from_fn_with_state(Arc::clone(&api), cors::answer))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

/// The variable segments of a path, decoded.
struct Segments<T>(T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Api>> for Segments<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let segments = Path::from_request_parts(parts, api).await;
        let refuse = |_| Refusal::BadRequest("the path is not UTF-8".into());
        let Path(segments) = segments.map_err(refuse)?;
        Ok(Self(segments))
    }
}

/// A name that clients could use: AMQP has room for 255 bytes.
fn checked_name(name: String) -> Result<String, Refusal> {
    if name.len() > usize::from(u8::MAX) {
        return Err(Refusal::BadRequest("the name is longer than 255 bytes".into()));
    }
    Ok(name)
}

/// The variable segment of a path, decoded: `%2F` is a slash in a name, `+` is a plus.
struct Name(String);

impl FromRequestParts<Arc<Api>> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let name = Path::from_request_parts(parts, api).await;
        let Path(name) = name.map_err(|_| Refusal::BadRequest("the path is not UTF-8".into()))?;
        Ok(Self(name))
    }
}

/// What RabbitMQ says of how Erlang collects a process's garbage. Clients want to read it; nothing is collected here.
#[derive(Default, Serialize)]
struct GarbageCollection {
    fullsweep_after: u64,
    max_heap_size: u64,
    min_bin_vheap_size: u64,
    min_heap_size: u64,
    minor_gcs: u64,
}
