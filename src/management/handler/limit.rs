//! How much a virtual host or a user may use: `/vhost-limits` and `/user-limits`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Name, Segments, user};
use crate::auth::User;
use crate::broker::Vhost;
use crate::management::Api;
use crate::management::body::{limit, object};
use crate::management::caller::{Administrator, Caller};
use crate::management::commit::{completion, wait};
use crate::management::openapi::{Routes, Who, delete, get, put};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;

pub(super) fn vhost_router() -> Routes {
    let who = Who::Administrator;
    Routes::new()
        .route(
            "/",
            [get(Who::User, list_vhosts, "Limits of the virtual hosts that one may enter")
                .lists("VhostLimits")],
        )
        .route(
            "/{vhost}",
            [get(Who::InVhost, one_vhost, "Limits of a virtual host").answers("[VhostLimits]")],
        )
        .route(
            "/{vhost}/{limit}",
            [
                put(who, put_vhost, "Sets a limit").takes("Limit").statuses(&[204]),
                delete(who, delete_vhost, "Lifts a limit"),
            ],
        )
}

pub(super) fn user_router() -> Routes {
    let who = Who::Administrator;
    Routes::new()
        .route("/", [get(who, list_users, "Limits of users").lists("UserLimits")])
        .route("/{user}", [get(Who::Owner, one_user, "Limits of a user").answers("[UserLimits]")])
        .route(
            "/{user}/{limit}",
            [
                put(who, put_user, "Sets a limit").takes("Limit").statuses(&[204]),
                delete(who, delete_user, "Lifts a limit"),
            ],
        )
}

fn limits(set: impl Iterator<Item = (&'static str, u32)>) -> Map<String, Value> {
    set.map(|(name, max)| (name.to_owned(), max.into())).collect()
}

pub(in crate::management) fn of_vhost(vhost: &Vhost) -> Map<String, Value> {
    limits(vhost.metadata().limits())
}

pub(in crate::management) fn of_user(user: &User) -> Map<String, Value> {
    limits(user.limits.iter())
}

/// Nothing where there is no limit.
fn shown_user(user: &User) -> Option<Value> {
    let limits = of_user(user);
    (!limits.is_empty()).then(|| json!({ "user": user.name.as_str(), "value": limits }))
}

fn shown_vhost(vhost: &Vhost) -> Option<Value> {
    let limits = of_vhost(vhost);
    (!limits.is_empty()).then(|| json!({ "vhost": vhost.name.as_str(), "value": limits }))
}

async fn list_vhosts(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhosts = caller.vhosts(&api, query.vhost.as_ref());
    query.values(vhosts.iter().filter_map(|vhost| shown_vhost(vhost)).collect())
}

async fn one_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<Json<Value>, Refusal> {
    let vhost = caller.vhost(&api, &name)?;
    Ok(Json(shown_vhost(&vhost).into_iter().collect()))
}

async fn put_vhost(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let max = limit(&object(&body)?)?;
    change_vhost(&api, &vhost, &name, max).await
}

async fn delete_vhost(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
) -> Result<StatusCode, Refusal> {
    change_vhost(&api, &vhost, &name, None).await
}

async fn change_vhost(
    api: &Api,
    name: &str,
    limit: &str,
    max: Option<u32>,
) -> Result<StatusCode, Refusal> {
    let vhost = api.services.broker.vhost(name).ok_or(Refusal::NotFound)?;
    let mut metadata = vhost.metadata();
    let Some(place) = metadata.limit(limit) else {
        let reason = format!("Validation failed\n\n{} in limits\n", unrecognised(limit, max));
        return Err(Refusal::BadRequest(reason.into()));
    };
    *place = max;
    let (notify, committed) = completion();
    let (_, commit) = api.services.broker.put_vhost(&vhost.name, metadata, &notify);
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_users(
    _: Administrator,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let users = api.services.authenticator.users().list();
    query.values(users.iter().filter_map(|user| shown_user(user)).collect())
}

/// Users may look at their own.
async fn one_user(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<Json<Value>, Refusal> {
    if caller.user.name.as_str() != name {
        caller.require_administrator()?;
    }
    let user = user::find(&api, &name)?;
    Ok(Json(shown_user(&user).into_iter().collect()))
}

async fn put_user(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((user, name)): Segments<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let max = limit(&object(&body)?)?;
    change_user(&api, &user, &name, max).await
}

async fn delete_user(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((user, name)): Segments<(String, String)>,
) -> Result<StatusCode, Refusal> {
    change_user(&api, &user, &name, None).await
}

async fn change_user(
    api: &Api,
    name: &str,
    limit: &str,
    max: Option<u32>,
) -> Result<StatusCode, Refusal> {
    let mut user = User::clone(&*user::find(api, name)?);
    let Some(place) = user.limits.named(limit) else {
        let reason = format!("{} in user-limits", unrecognised(limit, max));
        return Err(Refusal::BadRequest(reason.into()));
    };
    *place = max;
    let (notify, committed) = completion();
    let (_, commit) = api.services.authenticator.put_user(user, notify());
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unrecognised(limit: &str, max: Option<u32>) -> String {
    let max = max.map_or(-1, i64::from);
    format!("Unrecognised terms [{{<<\"{limit}\">>,{max}}}]")
}
