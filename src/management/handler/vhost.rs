//! Virtual hosts: `/vhosts`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Name, channel, checked_name, connection, permission, topic_permission};
use crate::auth::{Patterns, unheard};
use crate::broker::GlobalCounts;
use crate::broker::{Vhost, VhostMetadata};
use crate::management::body::{boolean, object, tags, text};
use crate::management::caller::{Administrator, Caller};
use crate::management::commit::{completion, wait};
use crate::management::definitions::export::shown_metadata;
use crate::management::list::Listed;
use crate::management::openapi::{Routes, SAMPLES, Who, delete, get, post, put};
use crate::management::query::ListQuery;
use crate::management::rates::{Ranges, VhostFigures};
use crate::management::refusal::Refusal;
use crate::management::{Api, node_name};
use crate::names::VhostName;
use crate::queue::QueueKind;

pub(super) fn router() -> Routes {
    let who = Who::Administrator;
    Routes::new()
        .route("/", [get(Who::User, list, "Virtual hosts that one may enter").lists("Vhost")])
        .route(
            "/{vhost}",
            [
                get(who, one, "A virtual host").answers("Vhost").query(SAMPLES),
                put(who, put_vhost, "Makes or changes a virtual host").takes("VhostDeclaration"),
                delete(who, delete_vhost, "Deletes a virtual host and everything in it"),
            ],
        )
        .route(
            "/{vhost}/deletion/protection",
            [
                post(who, protect, "Refuses to delete it from then on"),
                delete(who, unprotect, "Lets it be deleted"),
            ],
        )
        .route(
            "/{vhost}/connections",
            [get(Who::InVhost, connection::in_vhost, "Connections that one may see")
                .lists("Connection")],
        )
        .route(
            "/{vhost}/channels",
            [get(Who::InVhost, channel::in_vhost, "Channels that one may see").lists("Channel")],
        )
        .route(
            "/{vhost}/permissions",
            [get(who, permission::in_vhost, "Who may do what there").lists("Permission")],
        )
        .route(
            "/{vhost}/topic-permissions",
            [get(who, topic_permission::in_vhost, "Topic permissions there")
                .lists("TopicPermission")],
        )
}

/// Those that the caller may enter.
async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhosts = caller.vhosts(&api, query.vhost.as_ref());
    let counts = api.services.broker.counts_by_vhost();
    let ranges = query.ranges;
    query.answer(vhosts, move |vhost| {
        let counts = counts.get(&vhost.name).copied().unwrap_or_default();
        shown(&api, vhost, counts, &ranges)
    })
}

async fn one(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    ranges: Ranges,
) -> Result<Json<Value>, Refusal> {
    let vhost = api.services.broker.vhost(&name).ok_or(Refusal::NotFound)?;
    let counts = api.services.broker.vhost_counts(&vhost);
    Ok(Json(shown(&api, &vhost, counts, &ranges)))
}

/// Whoever makes a virtual host may do everything in it.
async fn put_vhost(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let body = object(&body)?;
    let name = VhostName::from(checked_name(name)?);
    let (broker, authenticator) = (&api.services.broker, &api.services.authenticator);
    let current = broker.vhost(name.as_str()).map(|vhost| vhost.metadata());
    let mut metadata = current.unwrap_or_default();
    if let Some(description) = text(&body, "description")? {
        metadata.description = description;
    }
    if let Some(tags) = tags(&body)? {
        metadata.tags = tags;
    }
    if let Some(kind) = default_queue_type(&body)? {
        metadata.default_queue_type = kind;
    }
    if body.contains_key(PROTECTED) {
        metadata.protected_from_deletion = boolean(&body, PROTECTED)?;
    }
    refuse_what_is_not_there(&body)?;
    if broker.vhost(name.as_str()).is_none()
        && let Some(max) = broker.too_many_vhosts(1)
    {
        let reason = format!("cannot create vhost '{name}': vhost limit of {max} is reached");
        return Err(Refusal::BadRequest(reason.into()));
    }
    let (notify, committed) = completion();
    let (existed, commit) = broker.put_vhost(&name, metadata, &notify);
    if !existed {
        let user = &administrator.0.user.name;
        // The user was there when the request came, and the expressions are good.
        let _ = authenticator.permit(user, &name, Patterns::EVERYTHING, unheard());
    }
    tracing::info!(vhost = %name, by = %administrator.name(), "vhost put");
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

/// What is called so in bodies and answers.
const PROTECTED: &str = "protected_from_deletion";

/// `Some(None)` takes it away: that is what tools send that read it from a broker without one.
fn default_queue_type(body: &Map<String, Value>) -> Result<Option<Option<QueueKind>>, Refusal> {
    match text(body, "default_queue_type")?.as_deref() {
        None => Ok(None),
        Some("" | "undefined") => Ok(Some(None)),
        Some(name) => QueueKind::from_name(name).map(|kind| Some(Some(kind))).ok_or_else(|| {
            Refusal::BadRequest(format!("Unsupported default queue type '{name}'").into())
        }),
    }
}

/// Better than to take it and not to do it.
fn refuse_what_is_not_there(body: &Map<String, Value>) -> Result<(), Refusal> {
    match body.get("tracing") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(Value::String(no)) if no == "false" => Ok(()),
        Some(_) => Err(Refusal::BadRequest("tracing is not available in this version".into())),
    }
}

async fn delete_vhost(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    let vhost = api.services.broker.vhost(&name).ok_or(Refusal::NotFound)?;
    if vhost.metadata().protected_from_deletion {
        let reason = format!(
            "Cannot delete virtual host '{name}': it is protected from deletion, which \
             DELETE /api/vhosts/{{vhost}}/deletion/protection lifts"
        );
        return Err(Refusal::Protected(reason));
    }
    let (notify, committed) = completion();
    let deleted = api.services.broker.delete_vhost(&name, api.now(), &notify);
    let commit = deleted.ok_or(Refusal::NotFound)?;
    api.services.authenticator.forget_vhost(&VhostName::from(&*name));
    tracing::info!(vhost = name, by = %administrator.name(), "vhost deleted");
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn protect(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    set_protection(&api, &administrator, &name, true).await
}

async fn unprotect(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    set_protection(&api, &administrator, &name, false).await
}

async fn set_protection(
    api: &Api,
    by: &Administrator,
    name: &str,
    is_protected: bool,
) -> Result<StatusCode, Refusal> {
    let vhost = api.services.broker.vhost(name).ok_or(Refusal::NotFound)?;
    let metadata = VhostMetadata { protected_from_deletion: is_protected, ..vhost.metadata() };
    let (notify, committed) = completion();
    let (_, commit) = api.services.broker.put_vhost(&vhost.name, metadata, &notify);
    tracing::info!(vhost = name, is_protected, by = %by.name(), "vhost put");
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Listed for Arc<Vhost> {
    fn key(&self) -> (&str, &str) {
        ("", self.name.as_str())
    }
}

fn shown(api: &Api, vhost: &Vhost, counts: GlobalCounts, ranges: &Ranges) -> Value {
    let metadata = vhost.metadata();
    let figures = VhostFigures { counts, ..VhostFigures::of(vhost) };
    let mut object = Map::new();
    api.rates.put_vhost(&mut object, &vhost.name, &figures, ranges);
    let Value::Object(rest) = json!({
        "name": vhost.name.as_str(),
        "description": metadata.description,
        "tags": metadata.tags,
        "default_queue_type": vhost.default_queue_type().unwrap_or_default().as_str(),
        "metadata": shown_metadata(vhost),
        "tracing": false,
        PROTECTED: metadata.protected_from_deletion,
        "cluster_state": { node_name(): "running" },
    }) else {
        return object.into();
    };
    object.extend(rest);
    object.into()
}
