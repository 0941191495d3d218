//! Who may do what in a virtual host: `/permissions`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Name, Segments, user};
use crate::auth::{Granted, NotPermitted, Patterns};
use crate::management::Api;
use crate::management::body::{object, texts};
use crate::management::caller::Administrator;
use crate::management::commit::{completion, wait};
use crate::management::openapi::{Routes, Who, delete, get, put};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;
use crate::names::{UserName, VhostName};

pub(super) fn router() -> Routes {
    let who = Who::Administrator;
    Routes::new().route("/", [get(who, list, "Permissions").lists("Permission")]).route(
        "/{vhost}/{user}",
        [
            get(who, one, "What a user may do in a virtual host").answers("Permission"),
            put(who, put_permission, "Gives a permission").takes("PermissionDeclaration"),
            delete(who, delete_permission, "Takes a permission away"),
        ],
    )
}

fn permissions(api: &Api, which: impl Fn(&Granted) -> bool) -> Vec<Value> {
    let granted = api.services.authenticator.permissions().list().into_iter();
    granted.filter(|granted| which(granted)).filter_map(|granted| shown(&granted)).collect()
}

async fn list(
    _: Administrator,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    query.values(permissions(&api, |_| true))
}

pub(super) async fn of_user(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let user = user::find(&api, &name)?;
    query.values(permissions(&api, |granted| granted.user == user.name))
}

pub(super) async fn in_vhost(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = api.services.broker.vhost(&name).ok_or(Refusal::NotFound)?;
    query.values(permissions(&api, |granted| granted.vhost == vhost.name))
}

async fn one(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, user)): Segments<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (user, vhost) = (UserName::from(user), VhostName::from(vhost));
    let grant = api.services.authenticator.permissions().find(&user, &vhost);
    let granted = Granted { user, vhost, grant: grant.unwrap_or_default() };
    shown(&granted).map(Json).ok_or(Refusal::NotFound)
}

async fn put_permission(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, user)): Segments<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let [configure, write, read] = texts(&object(&body)?, ["configure", "write", "read"])?;
    let patterns = Patterns { configure: &configure, write: &write, read: &read };
    let (user, vhost) = (UserName::from(user), VhostName::from(vhost));
    if api.services.broker.vhost(vhost.as_str()).is_none() {
        return Err(not_found());
    }
    let (notify, committed) = completion();
    let authenticator = &api.services.authenticator;
    let permitted = authenticator.permit(&user, &vhost, patterns, notify());
    let (existed, commit) = permitted.map_err(refused)?;
    tracing::info!(%user, %vhost, by = %administrator.name(), "permission put");
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

async fn delete_permission(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Segments((vhost, user)): Segments<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let (user, vhost) = (UserName::from(user), VhostName::from(vhost));
    let (notify, committed) = completion();
    let forbidden = api.services.authenticator.forbid(&user, &vhost, notify());
    let commit = forbidden.ok_or(Refusal::NotFound)?;
    tracing::info!(%user, %vhost, by = %administrator.name(), "permission deleted");
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn not_found() -> Refusal {
    Refusal::BadRequest("vhost_or_user_not_found".into())
}

pub(super) fn refused(why: NotPermitted) -> Refusal {
    match why {
        NotPermitted::UnknownUser => not_found(),
        NotPermitted::Invalid(invalid) => Refusal::BadRequest(invalid.to_string().into()),
    }
}

fn shown(granted: &Granted) -> Option<Value> {
    let permission = granted.grant.permission.as_ref()?;
    Some(json!({
        "user": granted.user.as_str(),
        "vhost": granted.vhost.as_str(),
        "configure": permission.configure.as_str(),
        "write": permission.write.as_str(),
        "read": permission.read.as_str(),
    }))
}
