//! Which routing keys a user may use with a topic exchange: `/topic-permissions`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::permission::{not_found, refused};
use super::{Name, Segments, checked_name, user};
use crate::auth::Granted;
use crate::management::Api;
use crate::management::body::{object, texts};
use crate::management::caller::Administrator;
use crate::management::commit::{completion, wait};
use crate::management::openapi::{Routes, Who, delete, get, put};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;
use crate::names::{ExchangeName, UserName, VhostName};

pub(super) fn router() -> Routes {
    let who = Who::Administrator;
    Routes::new()
        .route("/", [get(who, list, "Topic permissions").lists("TopicPermission")])
        .route(
            "/{vhost}/{user}",
            [
                get(who, of_user_in_vhost, "Those of a user there").answers("[TopicPermission]"),
                put(who, put_topics, "Gives a topic permission")
                    .takes("TopicPermissionDeclaration"),
                delete(who, delete_all, "Takes all of them away"),
            ],
        )
        .route(
            "/{vhost}/{user}/{exchange}",
            [
                get(who, one, "That for an exchange").answers("[TopicPermission]"),
                delete(who, delete_one, "Takes it away"),
            ],
        )
}

/// One entry for each exchange.
fn topics(api: &Api, which: impl Fn(&Granted) -> bool) -> Vec<Value> {
    let granted = api.services.authenticator.permissions().list().into_iter();
    granted.filter(|granted| which(granted)).flat_map(|granted| shown(&granted)).collect()
}

async fn list(
    _: Administrator,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    query.values(topics(&api, |_| true))
}

pub(super) async fn of_user(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let user = user::find(&api, &name)?;
    query.values(topics(&api, |granted| granted.user == user.name))
}

pub(super) async fn in_vhost(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = api.services.broker.vhost(&name).ok_or(Refusal::NotFound)?;
    query.values(topics(&api, |granted| granted.vhost == vhost.name))
}

async fn of_user_in_vhost(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, user)): Segments<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let found =
        topics(&api, |granted| granted.vhost.as_str() == vhost && granted.user.as_str() == user);
    if found.is_empty() { Err(Refusal::NotFound) } else { Ok(Json(found.into())) }
}

/// A list, as RabbitMQ has it, of one.
async fn one(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, user, exchange)): Segments<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let mut found =
        topics(&api, |granted| granted.vhost.as_str() == vhost && granted.user.as_str() == user);
    found.retain(|topics| topics.get("exchange").is_some_and(|name| *name == exchange));
    if found.is_empty() { Err(Refusal::NotFound) } else { Ok(Json(found.into())) }
}

async fn put_topics(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, user)): Segments<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let [exchange, write, read] = texts(&object(&body)?, ["exchange", "write", "read"])?;
    let exchange = ExchangeName::from(checked_name(exchange)?);
    let (user, vhost) = (UserName::from(user), VhostName::from(vhost));
    if api.services.broker.vhost(vhost.as_str()).is_none() {
        return Err(not_found());
    }
    let (notify, committed) = completion();
    let (authenticator, patterns) = (&api.services.authenticator, (&*write, &*read));
    let permitted = authenticator.permit_topics(&user, &vhost, &exchange, patterns, notify());
    let (existed, commit) = permitted.map_err(refused)?;
    tracing::info!(%user, %vhost, %exchange, by = %administrator.name(), "topic permission put");
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

async fn delete_all(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, user)): Segments<(String, String)>,
) -> Result<StatusCode, Refusal> {
    forget(&api, &administrator, vhost, user, None).await
}

async fn delete_one(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, user, exchange)): Segments<(String, String, String)>,
) -> Result<StatusCode, Refusal> {
    forget(&api, &administrator, vhost, user, Some(exchange.into())).await
}

async fn forget(
    api: &Api,
    by: &Administrator,
    vhost: String,
    user: String,
    exchange: Option<ExchangeName>,
) -> Result<StatusCode, Refusal> {
    let (user, vhost) = (UserName::from(user), VhostName::from(vhost));
    let (notify, committed) = completion();
    let authenticator = &api.services.authenticator;
    let forgotten = authenticator.forget_topics(&user, &vhost, exchange.as_ref(), notify());
    let commit = forgotten.ok_or(Refusal::NotFound)?;
    tracing::info!(%user, %vhost, by = %by.name(), "topic permission deleted");
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(granted: &Granted) -> Vec<Value> {
    let all = granted.grant.topics.iter().map(|(exchange, topics)| {
        json!({
            "user": granted.user.as_str(),
            "vhost": granted.vhost.as_str(),
            "exchange": exchange.as_str(),
            "write": topics.write.as_str(),
            "read": topics.read.as_str(),
        })
    });
    all.collect()
}
