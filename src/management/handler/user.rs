//! Users, and how they log in: `/users`, `/whoami`, `/auth`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Extensions, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Name, checked_name};
use crate::auth::{HashingAlgorithm, PasswordHash, Tag, User};
use crate::management::Api;
use crate::management::body::{object, tags, text};
use crate::management::caller::{Administrator, Anybody, Caller};
use crate::management::commit::{completion, wait};
use crate::management::list::Listed;
use crate::management::openapi::{Routes, Who, delete, get, post, put};
use crate::management::query::{ListQuery, Query};
use crate::management::refusal::Refusal;
use crate::names::UserName;

pub(super) fn router() -> Routes {
    let who = Who::Administrator;
    Routes::new()
        .route("/", [get(who, list, "Users").lists("User")])
        .route(
            "/without-permissions",
            [get(who, without_permissions, "Users who may enter no virtual host").lists("User")],
        )
        .route(
            "/bulk-delete",
            [post(who, bulk_delete, "Deletes users, all or none").takes("UserNames")],
        )
        .route(
            "/{user}",
            [
                get(who, one, "A user").answers("User"),
                put(who, put_user, "Adds or replaces a user").takes("UserDeclaration"),
                delete(who, delete_one, "Deletes a user"),
            ],
        )
        .route(
            "/{user}/permissions",
            [get(who, super::permission::of_user, "A user's permissions").lists("Permission")],
        )
        .route(
            "/{user}/topic-permissions",
            [get(who, super::topic_permission::of_user, "A user's topic permissions")
                .lists("TopicPermission")],
        )
}

pub(super) fn login_router() -> Routes {
    Routes::new()
        .route("/auth", [get(Who::Everybody, auth, "How one may log in").answers("Auth")])
        .route(
            "/login",
            [post(Who::Everybody, login, "Whether a name and a password are right")
                .takes("LoginForm")
                .answers("Login")],
        )
        .route(
            "/config/effective",
            [get(Who::Administrator, settings, "The broker's settings, without secrets")
                .answers("{any}")],
        )
        .route("/whoami", [get(Who::User, whoami, "Who asks").answers("Whoami")])
}

/// How a browser may log in: by name and password alone.
async fn auth(_: Anybody) -> Json<Value> {
    Json(json!({ "oauth_enabled": false }))
}

/// A form, as a page would send it. The token is what stands in `Authorization` from then on.
async fn login(
    State(api): State<Arc<Api>>,
    extensions: Extensions,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let form = Query::parse(std::str::from_utf8(&body).unwrap_or_default());
    let (name, password) = (form.get("username"), form.get("password"));
    let (Some(name), Some(password)) = (name, password) else { return Err(Refusal::LoginFailed) };
    let caller = Caller::log_in(&extensions, name.into(), password, &api).await?;
    let value = STANDARD.encode(format!("{name}:{password}"));
    let Json(user) = whoami(caller).await;
    Ok(Json(json!({ "token": { "type": "basic", "value": value }, "user": user })))
}

/// As `leveret config check` shows them.
async fn settings(_: Administrator, State(api): State<Arc<Api>>) -> Json<Value> {
    Json(api.services.options.settings.clone().into())
}

async fn whoami(caller: Caller) -> Json<Value> {
    Json(json!({ "name": caller.user.name.as_str(), "tags": tag_names(&caller.user) }))
}

async fn list(
    _: Administrator,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    query.answer(api.services.authenticator.users().list(), |user| shown(user))
}

/// Those who may enter no virtual host.
async fn without_permissions(
    _: Administrator,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let authenticator = &api.services.authenticator;
    let granted = authenticator.permissions().list();
    let is_in = |user: &Arc<User>| {
        let permitted = granted.iter().filter(|granted| granted.grant.permission.is_some());
        permitted.map(|granted| &granted.user).any(|name| *name == user.name)
    };
    let users = authenticator.users().list().into_iter().filter(|user| !is_in(user));
    query.answer(users.collect(), |user| shown(user))
}

async fn one(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(shown(&*find(&api, &name)?)))
}

async fn put_user(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let body = object(&body)?;
    let tags = tags(&body)?.ok_or_else(|| Refusal::BadRequest("tags_not_present".into()))?;
    let password = password(&body)?;
    let name = UserName::from(checked_name(name)?);
    let authenticator = &api.services.authenticator;
    let tags = tags.iter().map(|tag| Tag::from(tag.as_str())).collect();
    let limits = authenticator.users().find(&name).map(|user| user.limits).unwrap_or_default();
    let (notify, committed) = completion();
    let user = User { name: name.clone(), password, tags, limits };
    let (existed, commit) = authenticator.put_user(user, notify());
    tracing::info!(user = %name, by = %administrator.name(), "user put");
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

/// A password, or a hash of one; with neither nobody can log in as this user.
fn password(body: &Map<String, Value>) -> Result<PasswordHash, Refusal> {
    let algorithm = match text(body, "hashing_algorithm")? {
        None => None,
        Some(name) => Some(HashingAlgorithm::from_name(&name).ok_or_else(|| {
            Refusal::BadRequest(format!("unknown hashing algorithm '{name}'").into())
        })?),
    };
    match (text(body, "password")?, text(body, "password_hash")?) {
        (Some(_), Some(_)) => {
            Err(Refusal::BadRequest("both_password_and_password_hash_are_provided".into()))
        }
        (Some(password), None) => Ok(PasswordHash::new(&password)),
        (None, Some(hash)) => PasswordHash::parse(&hash, algorithm)
            .map_err(|invalid| Refusal::BadRequest(invalid.to_string().into())),
        (None, None) => Ok(PasswordHash::none()),
    }
}

async fn delete_one(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    let name = UserName::from(name);
    delete_user(&api, &administrator, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All or, where one is not there, none.
async fn bulk_delete(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let body = object(&body)?;
    let names = body.get("users").and_then(Value::as_array);
    let names = names.ok_or_else(|| Refusal::BadRequest("[{key_missing,users}]".into()))?;
    let unknown = || Refusal::BadRequest("no_such_user".into());
    let mut users = Vec::new();
    for name in names {
        let name = name.as_str().ok_or_else(unknown)?;
        users.push(find(&api, name).map_err(|_| unknown())?.name.clone());
    }
    for name in &users {
        match delete_user(&api, &administrator, name).await {
            // It was named twice, or somebody was faster.
            Ok(()) | Err(Refusal::NotFound) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_user(api: &Api, by: &Administrator, name: &UserName) -> Result<(), Refusal> {
    let (notify, committed) = completion();
    let deleted = api.services.authenticator.delete_user(name, notify());
    let commit = deleted.ok_or(Refusal::NotFound)?;
    tracing::info!(user = %name, by = %by.name(), "user deleted");
    let reason = format!("user '{name}' is deleted");
    api.services.broker.close_connections(&reason, |connected| connected.user == *name);
    wait(commit, committed).await
}

pub(super) fn find(api: &Api, name: &str) -> Result<Arc<User>, Refusal> {
    let user = api.services.authenticator.users().find(&UserName::from(name));
    user.ok_or(Refusal::NotFound)
}

impl Listed for Arc<User> {
    fn key(&self) -> (&str, &str) {
        ("", self.name.as_str())
    }
}

fn tag_names(user: &User) -> Vec<&str> {
    user.tags.iter().map(Tag::as_str).collect()
}

fn shown(user: &User) -> Value {
    json!({
        "name": user.name.as_str(),
        "password_hash": user.password.to_string(),
        "hashing_algorithm": user.password.algorithm().as_str(),
        "tags": tag_names(user),
        "limits": super::limit::of_user(user),
    })
}
