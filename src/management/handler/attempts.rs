//! Attempts to log in: `/auth/attempts`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Name;
use super::node::check;
use crate::broker::{AttemptCounts, LoginProtocol};
use crate::management::Api;
use crate::management::caller::{Administrator, Monitor};
use crate::management::openapi::{Routes, Who, delete, get};
use crate::management::refusal::Refusal;

pub(super) fn router() -> Routes {
    let (monitor, administrator) = (Who::Monitor, Who::Administrator);
    Routes::new()
        .route(
            "/{node}",
            [
                get(monitor, all, "Attempts to log in, by protocol").answers("[Attempts]"),
                delete(administrator, forget, "Counts them from 0 again"),
            ],
        )
        .route(
            "/{node}/source",
            [
                get(monitor, sources, "The same by client's host and user")
                    .answers("[AttemptsOfSource]"),
                delete(administrator, forget_sources, "Forgets who they were"),
            ],
        )
}

fn shown(protocol: LoginProtocol, counts: AttemptCounts) -> Value {
    let AttemptCounts { succeeded, failed } = counts;
    json!({
        "protocol": protocol.as_str(),
        "auth_attempts": succeeded + failed,
        "auth_attempts_failed": failed,
        "auth_attempts_succeeded": succeeded,
    })
}

async fn all(
    _: Monitor,
    State(api): State<Arc<Api>>,
    Name(node): Name,
) -> Result<Json<Value>, Refusal> {
    check(&node)?;
    let all = api.services.broker.attempts.by_protocol().into_iter();
    Ok(Json(all.map(|(protocol, counts)| shown(protocol, counts)).collect()))
}

async fn sources(
    _: Monitor,
    State(api): State<Arc<Api>>,
    Name(node): Name,
) -> Result<Json<Value>, Refusal> {
    check(&node)?;
    let of = |(source, counts): (crate::broker::Source, AttemptCounts)| {
        let mut shown = shown(source.protocol, counts);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("remote_address".to_owned(), source.host.into());
            shown.insert("username".to_owned(), source.user.into());
        }
        shown
    };
    Ok(Json(api.services.broker.attempts.by_source().into_iter().map(of).collect()))
}

async fn forget(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(node): Name,
) -> Result<StatusCode, Refusal> {
    check(&node)?;
    api.services.broker.attempts.forget();
    Ok(StatusCode::NO_CONTENT)
}

async fn forget_sources(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(node): Name,
) -> Result<StatusCode, Refusal> {
    check(&node)?;
    api.services.broker.attempts.forget_sources();
    Ok(StatusCode::NO_CONTENT)
}
