//! Exchanges: `/exchanges`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Name, Segments, binding, checked_name, publish};
use crate::auth::Access;
use crate::broker::{ExchangeDeclaration, FoundEnd, FoundExchange, Vhost, WhichBindings};
use crate::exchange::ExchangeKind;
use crate::management::Api;
use crate::management::body::{boolean, object, table, text};
use crate::management::caller::Caller;
use crate::management::commit::{completion, wait};
use crate::management::json::table_to_json;
use crate::management::list::Listed;
use crate::management::openapi::{Routes, SAMPLES, Who, delete, get, post, put};
use crate::management::query::{ListQuery, Query};
use crate::management::rates::Ranges;
use crate::management::refusal::Refusal;
use crate::management::rights::Rights;
use crate::names::ExchangeName;
use crate::protocol::FieldValue;

pub(super) fn router() -> Routes {
    let who = Who::InVhost;
    Routes::new()
        .route(
            "/",
            [get(Who::User, list, "Exchanges of the virtual hosts that one may enter")
                .lists("Exchange")],
        )
        .route("/{vhost}", [get(who, list_vhost, "Exchanges").lists("Exchange")])
        .route(
            "/{vhost}/{exchange}",
            [
                get(who, one, "An exchange").answers("OneExchange").query(SAMPLES),
                put(who, put_exchange, "Declares an exchange").takes("ExchangeDeclaration"),
                delete(who, delete_exchange, "Deletes an exchange").query(&["if-unused"]),
            ],
        )
        .route(
            "/{vhost}/{exchange}/bindings/source",
            [get(who, bindings_from, "Bindings that lead from it").lists("Binding")],
        )
        .route(
            "/{vhost}/{exchange}/bindings/destination",
            [get(who, bindings_to, "Bindings that lead to it").lists("Binding")],
        )
        .route(
            "/{vhost}/{exchange}/publish",
            [post(who, publish::publish, "Publishes a message, and waits until it is safe")
                .takes("Message")
                .answers("Published")],
        )
}

/// What paths call the exchange that has no name.
const DEFAULT_EXCHANGE: &str = "amq.default";

pub(super) fn name_in_path(name: &str) -> &str {
    if name == DEFAULT_EXCHANGE { "" } else { name }
}

/// An exchange as it is shown.
#[derive(Serialize)]
pub(super) struct Exchange {
    name: String,
    vhost: String,
    r#type: &'static str,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    user_who_performed_action: &'static str,
    #[serde(flatten)]
    past: Map<String, Value>,
}

/// An exchange in its vhost.
pub(super) struct Item {
    vhost: Arc<Vhost>,
    found: FoundExchange,
}

impl Listed for Item {
    fn key(&self) -> (&str, &str) {
        (self.vhost.name.as_str(), self.found.name.as_str())
    }
}

fn shown(api: &Api, ranges: &Ranges, item: &Item) -> Exchange {
    let FoundExchange { name, declaration, policy } = &item.found;
    let mut past = Map::new();
    if let Some(stats) = item.vhost.exchange_stats(name.as_str()) {
        api.rates.put_exchange(&mut past, &stats, ranges);
    }
    Exchange {
        name: name.to_string(),
        vhost: item.vhost.name.to_string(),
        r#type: declaration.kind.as_str(),
        durable: declaration.durable,
        auto_delete: declaration.auto_delete,
        internal: declaration.internal,
        arguments: table_to_json(&declaration.arguments),
        policy: policy.as_ref().map(|policy| policy.name.clone()),
        // Who declared it is not written down.
        user_who_performed_action: "",
        past,
    }
}

fn items(vhosts: Vec<Arc<Vhost>>) -> Vec<Item> {
    let of = |vhost: Arc<Vhost>| {
        let all = vhost.exchanges().into_iter();
        all.map(move |found| Item { vhost: Arc::clone(&vhost), found })
    };
    vhosts.into_iter().flat_map(of).collect()
}

async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhosts = caller.vhosts(&api, query.vhost.as_ref());
    let ranges = query.ranges;
    query.answer(items(vhosts), move |item| shown(&api, &ranges, item))
}

async fn list_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let ranges = query.ranges;
    query.answer(items(vec![vhost]), move |item| shown(&api, &ranges, item))
}

async fn one(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    query: ListQuery,
) -> Result<Json<Value>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let found = vhost.find_exchange(name_in_path(&name)).ok_or(Refusal::NotFound)?;
    let mut exchange = serde_json::to_value(shown(&api, &query.ranges, &Item { vhost, found }))
        .unwrap_or_default();
    if let Some(exchange) = exchange.as_object_mut() {
        exchange.insert("incoming".to_owned(), json!([]));
        exchange.insert("outgoing".to_owned(), json!([]));
    }
    Ok(Json(query.keep(exchange)))
}

async fn put_exchange(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let vhost = caller.vhost(&api, &vhost).map_err(Refusal::or_no_vhost)?;
    let name = checked_name(name_in_path(&name).to_owned())?;
    let body = object(&body)?;
    let kind = text(&body, "type")?.unwrap_or_else(|| "direct".to_owned());
    let kind = ExchangeKind::parse(&kind)
        .ok_or_else(|| Refusal::BadRequest(format!("unknown exchange type '{kind}'").into()))?;
    let declaration = ExchangeDeclaration {
        kind,
        durable: boolean(&body, "durable")?,
        auto_delete: boolean(&body, "auto_delete")?,
        internal: boolean(&body, "internal")?,
        arguments: table(&body, "arguments")?,
    };
    let existed = vhost.expect_exchange(&name).is_ok();
    check_rights(&caller, &api, &vhost, &name, &declaration, existed)?;
    let (notify, committed) = completion();
    let commit = vhost.declare_exchange(&ExchangeName::from(name), declaration, &notify)?;
    wait(commit, committed).await?;
    Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

/// As `exchange.declare` asks (behaviour B4.2, B10.5).
fn check_rights(
    caller: &Caller,
    api: &Api,
    vhost: &Vhost,
    name: &str,
    declaration: &ExchangeDeclaration,
    existed: bool,
) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::AccessRefused);
    }
    let rights = Rights::of(caller, api, vhost);
    rights.exchange(Access::Configure, name)?;
    let alternate = declaration.arguments.get("alternate-exchange").and_then(FieldValue::as_str);
    match alternate {
        Some(alternate) if !existed => {
            rights.exchange(Access::Read, name)?;
            rights.exchange(Access::Write, alternate)
        }
        _ => Ok(()),
    }
}

async fn delete_exchange(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    query: Query,
) -> Result<StatusCode, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let name = name_in_path(&name);
    vhost.find_exchange(name).ok_or(Refusal::NotFound)?;
    if name.is_empty() || name.starts_with("amq.") {
        return Err(Refusal::AccessRefused);
    }
    Rights::of(&caller, &api, &vhost).exchange(Access::Configure, name)?;
    let (notify, committed) = completion();
    let commit = vhost.delete_exchange(name, query.is_true("if-unused"), &notify)?;
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn bindings_from(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let found = vhost.find_exchange(name_in_path(&name)).ok_or(Refusal::NotFound)?;
    binding::answer(query, &vhost, WhichBindings::From(found.name.as_str()))
}

async fn bindings_to(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let found = vhost.find_exchange(name_in_path(&name)).ok_or(Refusal::NotFound)?;
    binding::answer(query, &vhost, WhichBindings::To(&FoundEnd::Exchange(found.name)))
}
