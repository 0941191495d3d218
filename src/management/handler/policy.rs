//! Policies and operator policies: `/policies` and `/operator-policies`, alike but for who may.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Name;
use crate::broker::{Policy, PolicyScope, Vhost};
use crate::management::Api;
use crate::management::body::object;
use crate::management::caller::Caller;
use crate::management::commit::{completion, wait};
use crate::management::json::{from_json, table_to_json};
use crate::management::openapi::{Routes, Who, delete, get, put};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;
use crate::protocol::FieldTable;
use crate::queue::Effects;

type Names = Result<Path<(String, String)>, axum::extract::rejection::PathRejection>;

pub(super) fn router(scope: PolicyScope) -> Routes {
    let list = move |caller, api, query| async move { list(scope, &caller, api, query) };
    let list_vhost =
        move |caller, api, name, query| async move { list_vhost(scope, &caller, api, name, query) };
    let one = move |caller, api, names| async move { one(scope, &caller, api, names) };
    let change = move |caller, api, names, body| put_policy(scope, caller, api, names, body);
    let remove = move |caller, api, names| delete_policy(scope, caller, api, names);
    let who = match scope {
        PolicyScope::User => Who::Policymaker,
        PolicyScope::Operator => Who::Administrator,
    };
    Routes::new()
        .route(
            "/",
            [get(Who::User, list, "Policies of the virtual hosts that one may enter")
                .lists("Policy")],
        )
        .route("/{vhost}", [get(Who::InVhost, list_vhost, "Policies").lists("Policy")])
        .route(
            "/{vhost}/{name}",
            [
                get(Who::Policymaker, one, "A policy").answers("Policy"),
                put(who, change, "Sets a policy").takes("PolicyDeclaration"),
                delete(who, remove, "Deletes a policy"),
            ],
        )
}

/// Of the vhosts that the caller may enter.
fn list(
    scope: PolicyScope,
    caller: &Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhosts = caller.vhosts(&api, query.vhost.as_ref());
    query.values(vhosts.iter().flat_map(|vhost| policies(scope, vhost)).collect())
}

fn list_vhost(
    scope: PolicyScope,
    caller: &Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    query.values(policies(scope, &vhost))
}

fn one(
    scope: PolicyScope,
    caller: &Caller,
    State(api): State<Arc<Api>>,
    names: Names,
) -> Result<Json<Value>, Refusal> {
    let (vhost, name) = decoded(names)?;
    let vhost = caller.policymaker(&api, &vhost)?;
    let policy = vhost.policy(scope, &name).ok_or(Refusal::NotFound)?;
    Ok(Json(shown(&vhost, &policy)))
}

async fn put_policy(
    scope: PolicyScope,
    caller: Caller,
    State(api): State<Arc<Api>>,
    names: Names,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (vhost, name) = decoded(names)?;
    let vhost = may_change(scope, &caller, &api, &vhost)?;
    let terms = terms(&body)?;
    let policy = Policy::parse(scope, &name, &terms).map_err(|invalid| {
        Refusal::BadRequest(format!("Validation failed\n\n{invalid}\n").into())
    })?;
    let mut effects = Effects::default();
    let (notify, committed) = completion();
    let (existed, commit) = vhost.put_policy(policy, api.now(), &mut effects, &notify);
    effects.wakes.ring();
    tracing::info!(vhost = %vhost.name, name, ?scope, user = %caller.user.name, "policy put");
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

async fn delete_policy(
    scope: PolicyScope,
    caller: Caller,
    State(api): State<Arc<Api>>,
    names: Names,
) -> Result<Response, Refusal> {
    let (vhost, name) = decoded(names)?;
    let vhost = may_change(scope, &caller, &api, &vhost)?;
    let mut effects = Effects::default();
    let (notify, committed) = completion();
    let commit = vhost
        .delete_policy(scope, &name, api.now(), &mut effects, &notify)
        .ok_or(Refusal::NotFound)?;
    effects.wakes.ring();
    tracing::info!(vhost = %vhost.name, name, ?scope, user = %caller.user.name, "policy deleted");
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn may_change(
    scope: PolicyScope,
    caller: &Caller,
    api: &Api,
    vhost: &str,
) -> Result<Arc<Vhost>, Refusal> {
    match scope {
        PolicyScope::User => caller.policymaker(api, vhost),
        PolicyScope::Operator => caller.administrator(api, vhost),
    }
}

fn decoded(names: Names) -> Result<(String, String), Refusal> {
    let names = names.map_err(|_| Refusal::BadRequest("the path is not UTF-8".into()))?;
    Ok(names.0)
}

fn policies(scope: PolicyScope, vhost: &Vhost) -> Vec<Value> {
    vhost.policies(scope).iter().map(|policy| shown(vhost, policy)).collect()
}

fn shown(vhost: &Vhost, policy: &Policy) -> Value {
    json!({
        "vhost": vhost.name.as_str(),
        "name": policy.name,
        "pattern": policy.pattern(),
        "apply-to": policy.apply_to.as_str(),
        "definition": table_to_json(&policy.definition),
        "priority": policy.priority,
    })
}

/// The body's keys that make a policy. Some tools send what [`shown`] showed; the rest of that counts
/// for nothing, for the path says it.
fn terms(body: &[u8]) -> Result<FieldTable, Refusal> {
    policy_terms(&object(body)?)
}

/// The keys of an object that make a policy; all others count for nothing.
pub(in crate::management) fn policy_terms(
    body: &Map<String, Value>,
) -> Result<FieldTable, Refusal> {
    for key in ["pattern", "definition"] {
        if !body.contains_key(key) {
            return Err(Refusal::BadRequest(format!("[{{key_missing,{key}}}]").into()));
        }
    }
    let mut terms = FieldTable::new();
    for key in ["pattern", "definition", "apply-to", "priority"] {
        match body.get(key) {
            None => {}
            // Some tools send numbers as text.
            Some(Value::String(text)) if key == "priority" => match text.parse::<i64>() {
                Ok(number) => terms.insert(key, number),
                Err(_) => terms.insert(key, text.as_str()),
            },
            Some(value) => terms.insert(key, from_json(value)),
        }
    }
    Ok(terms)
}
