//! What may be asked, and who answers: one file for each noun.

mod aliveness;
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
mod topic_permission;
mod user;
mod version;
mod vhost;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::routing::get;

use serde::de::DeserializeOwned;

pub(super) use self::binding::NOBODY;
pub(super) use self::limit::{of_user as limits_of_user, of_vhost as limits_of_vhost};
pub(super) use self::overview::uptime_millis;
pub(super) use self::policy::policy_terms;

use super::convention::BODY_BYTES_MAX;
use super::refusal::Refusal;
use super::{Api, metrics, page};
use crate::broker::PolicyScope;

pub(super) fn router(api: Arc<Api>) -> Router {
    let api_routes = Router::new()
        .route("/version", get(version::version))
        .route("/extensions", get(version::extensions))
        .route("/auth", get(user::auth))
        .route("/whoami", get(user::whoami))
        .route("/overview", get(overview::overview))
        .nest("/nodes", node::router())
        .route("/aliveness-test/{vhost}", get(aliveness::aliveness_test))
        .merge(feature::router())
        .nest("/definitions", definitions::router())
        .nest("/all-configuration", definitions::router())
        .nest("/parameters", parameter::router())
        .nest("/global-parameters", parameter::global_router())
        .route("/cluster-name", get(parameter::show_cluster_name).put(parameter::put_cluster_name))
        .nest("/exchanges", exchange::router())
        .nest("/queues", queue::router())
        .nest("/bindings", binding::router())
        .nest("/connections", connection::router())
        .nest("/channels", channel::router())
        .nest("/consumers", consumer::router())
        .nest("/users", user::router())
        .nest("/vhosts", vhost::router())
        .nest("/permissions", permission::router())
        .nest("/topic-permissions", topic_permission::router())
        .nest("/vhost-limits", limit::vhost_router())
        .nest("/user-limits", limit::user_router())
        .nest("/policies", policy::router(PolicyScope::User))
        .nest("/operator-policies", policy::router(PolicyScope::Operator))
        .nest("/health/checks", health::router());
    Router::new()
        .nest("/api", api_routes)
        .merge(metrics::router(&api))
        .merge(page::router())
        .fallback(async || Refusal::NotFound)
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
