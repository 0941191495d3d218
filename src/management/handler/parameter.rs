//! Runtime parameters: `/parameters` and `/global-parameters`, and the name of the cluster.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Name, Segments, checked_name, limits_of_vhost};
use crate::broker::{Vhost, VhostMetadata};
use crate::management::Api;
use crate::management::body::{object, text};
use crate::management::caller::{Administrator, Caller};
use crate::management::commit::{completion, wait};
use crate::management::definitions::export::{cluster_name, parsed};
use crate::management::definitions::{check_component, set_limits};
use crate::management::openapi::{Routes, Who, delete, get, put};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;
use crate::storage::ParameterRecord;

pub(super) fn router() -> Routes {
    let who = Who::Policymaker;
    Routes::new()
        .route("/", [get(who, list, "Parameters").lists("Parameter")])
        .route(
            "/{component}",
            [get(who, list_component, "Parameters of a component").lists("Parameter")],
        )
        .route(
            "/{component}/{vhost}",
            [get(who, list_vhost, "The same in a virtual host").lists("Parameter")],
        )
        .route(
            "/{component}/{vhost}/{name}",
            [
                get(who, one, "A parameter").answers("Parameter"),
                put(who, put_parameter, "Sets a parameter").takes("Value"),
                delete(who, delete_parameter, "Deletes a parameter"),
            ],
        )
}

pub(super) fn global_router() -> Routes {
    let who = Who::Policymaker;
    Routes::new()
        .route("/", [get(who, list_global, "Global parameters").lists("GlobalParameter")])
        .route(
            "/{name}",
            [
                get(who, one_global, "A global parameter").answers("GlobalParameter"),
                put(who, put_global, "Sets a global parameter").takes("Value"),
                delete(who, delete_global, "Deletes a global parameter"),
            ],
        )
}

pub(super) fn cluster_router() -> Routes {
    Routes::new().route(
        "/cluster-name",
        [
            get(Who::User, show_cluster_name, "What the broker is called").answers("ClusterName"),
            put(Who::Administrator, put_cluster_name, "Calls it something else")
                .takes("ClusterName")
                .statuses(&[204]),
        ],
    )
}

/// The limits of a vhost are a parameter, too.
const LIMITS: (&str, &str) = ("vhost-limits", "limits");

fn shown(vhost: &Vhost, component: &str, name: &str, value: &Value) -> Value {
    let vhost = vhost.name.as_str();
    json!({ "vhost": vhost, "component": component, "name": name, "value": value })
}

fn of_vhost(vhost: &Vhost) -> Vec<Value> {
    let parameters = vhost.parameters().into_iter();
    let mut all: Vec<Value> =
        parameters.map(|it| shown(vhost, &it.component, &it.name, &parsed(&it.value))).collect();
    let limits = limits_of_vhost(vhost);
    if !limits.is_empty() {
        all.push(shown(vhost, LIMITS.0, LIMITS.1, &limits.into()));
    }
    all
}

fn of_component(vhost: &Vhost, component: &str) -> Vec<Value> {
    let mut all = of_vhost(vhost);
    all.retain(|parameter| parameter.get("component") == Some(&component.into()));
    all
}

async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhosts = caller.policy_vhosts(&api, query.vhost.as_ref())?;
    query.values(vhosts.iter().flat_map(|vhost| of_vhost(vhost)).collect())
}

async fn list_component(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(component): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhosts = caller.policy_vhosts(&api, query.vhost.as_ref())?;
    query.values(vhosts.iter().flat_map(|vhost| of_component(vhost, &component)).collect())
}

async fn list_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((component, vhost)): Segments<(String, String)>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.policymaker(&api, &vhost)?;
    query.values(of_component(&vhost, &component))
}

type Names = (String, String, String);

async fn one(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((component, vhost, name)): Segments<Names>,
) -> Result<Json<Value>, Refusal> {
    let vhost = caller.policymaker(&api, &vhost)?;
    let mut all = of_component(&vhost, &component).into_iter();
    let found = all.find(|parameter| parameter.get("name") == Some(&name.as_str().into()));
    found.map(Json).ok_or(Refusal::NotFound)
}

fn value(body: &Map<String, Value>) -> Result<&Value, Refusal> {
    body.get("value").ok_or_else(|| Refusal::BadRequest("[{key_missing,value}]".into()))
}

async fn put_parameter(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((component, vhost, name)): Segments<Names>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let vhost = caller.policymaker(&api, &vhost)?;
    let body = object(&body)?;
    let value = value(&body)?;
    let (notify, committed) = completion();
    let (existed, commit) = if (component.as_str(), name.as_str()) == LIMITS {
        caller.require_administrator()?;
        let existed = !limits_of_vhost(&vhost).is_empty();
        let mut metadata = without_limits(&vhost);
        set_limits(&mut metadata, Some(value))?;
        (existed, api.services.broker.put_vhost(&vhost.name, metadata, &notify).1)
    } else {
        let (component, name) = (checked_name(component)?, checked_name(name)?);
        let parameter = ParameterRecord { component, name, value: value.to_string() };
        check_component(&parameter)?;
        vhost.put_parameter(parameter, &notify)
    };
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

fn without_limits(vhost: &Vhost) -> VhostMetadata {
    let mut metadata = vhost.metadata();
    for limit in VhostMetadata::LIMITS {
        if let Some(max) = metadata.limit(limit) {
            *max = None;
        }
    }
    metadata
}

async fn delete_parameter(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((component, vhost, name)): Segments<Names>,
) -> Result<StatusCode, Refusal> {
    let vhost = caller.policymaker(&api, &vhost)?;
    let (notify, committed) = completion();
    let commit = if (component.as_str(), name.as_str()) == LIMITS {
        caller.require_administrator()?;
        if limits_of_vhost(&vhost).is_empty() {
            return Err(Refusal::NotFound);
        }
        api.services.broker.put_vhost(&vhost.name, without_limits(&vhost), &notify).1
    } else {
        vhost.delete_parameter(&component, &name, &notify).ok_or(Refusal::NotFound)?
    };
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_global(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    caller.require_policymaker()?;
    let all = api.services.broker.global_parameters().into_iter();
    query
        .values(all.map(|(name, value)| json!({ "name": name, "value": parsed(&value) })).collect())
}

async fn one_global(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<Json<Value>, Refusal> {
    caller.require_policymaker()?;
    let value = api.services.broker.global_parameter(&name).ok_or(Refusal::NotFound)?;
    Ok(Json(json!({ "name": name, "value": parsed(&value) })))
}

async fn put_global(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    caller.require_policymaker()?;
    let body = object(&body)?;
    let (name, value) = (checked_name(name)?, value(&body)?.to_string());
    let (notify, committed) = completion();
    let (existed, commit) = api.services.broker.put_global_parameter(&name, value, &notify);
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

async fn delete_global(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    caller.require_policymaker()?;
    let (notify, committed) = completion();
    let deleted = api.services.broker.delete_global_parameter(&name, &notify);
    wait(deleted.ok_or(Refusal::NotFound)?, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show_cluster_name(_: Caller, State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!({ "name": cluster_name(&api) }))
}

async fn put_cluster_name(
    _: Administrator,
    State(api): State<Arc<Api>>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let missing = || Refusal::BadRequest("[{key_missing,name}]".into());
    let name = text(&object(&body)?, "name")?.ok_or_else(missing)?;
    let (notify, committed) = completion();
    let commit = api.services.broker.set_cluster_name(Value::from(name).to_string(), &notify);
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}
