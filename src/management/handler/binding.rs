//! Bindings: `/bindings`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

use super::exchange::name_in_path;
use super::{Name, Segments, checked_name};
use crate::auth::Access;
use crate::broker::{BindingEnd, FoundBinding, FoundEnd, Vhost, WhichBindings};
use crate::management::Api;
use crate::management::body::{object, table, text};
use crate::management::caller::Caller;
use crate::management::commit::{completion, wait};
use crate::management::json::table_to_json;
use crate::management::list::Listed;
use crate::management::openapi::{Routes, Who, delete, get, post};
use crate::management::query::ListQuery;
use crate::management::refusal::Refusal;
use crate::management::rights::Rights;
use crate::names::{ExchangeName, QueueName, RoutingKey};
use crate::protocol::FieldTable;
use crate::queue::ConnectionId;

pub(super) fn router() -> Routes {
    let who = Who::InVhost;
    Routes::new()
        .route(
            "/",
            [get(Who::User, list, "Bindings of the virtual hosts that one may enter")
                .lists("Binding")],
        )
        .route("/{vhost}", [get(who, list_vhost, "Bindings").lists("Binding")])
        .route(
            "/{vhost}/e/{source}/{kind}/{destination}",
            [
                get(who, between, "Bindings between two ends").lists("Binding"),
                post(who, bind, "Binds; Location is the new binding")
                    .takes("BindingDeclaration")
                    .statuses(&[201]),
            ],
        )
        .route(
            "/{vhost}/e/{source}/{kind}/{destination}/{key}",
            [
                get(who, one, "The binding with this properties_key").answers("Binding"),
                delete(who, unbind, "Deletes a binding"),
            ],
        )
}

/// Who asks over HTTP has no connection that could own an exclusive queue.
pub(in crate::management) const NOBODY: ConnectionId = ConnectionId(0);

/// Characters that a key shows as they are.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The same in the header `Location`, where a key is encoded a second time.
const PLAIN_IN_LOCATION: &AsciiSet = &PLAIN.remove(b'~');

/// A binding as it is shown.
#[derive(Serialize)]
pub(super) struct Binding {
    source: String,
    vhost: String,
    destination: String,
    destination_type: &'static str,
    routing_key: String,
    arguments: Value,
    properties_key: String,
}

/// A binding in its vhost.
pub(super) struct Item {
    vhost: Arc<Vhost>,
    found: FoundBinding,
    /// Source, destination and key, for pages to be the same each time.
    order: String,
}

impl Item {
    fn new(vhost: Arc<Vhost>, found: FoundBinding) -> Self {
        let order = format!("{}\0{}\0{}", found.source, found.end.name(), found.routing_key);
        Self { vhost, found, order }
    }
}

impl Listed for Item {
    fn key(&self) -> (&str, &str) {
        (self.vhost.name.as_str(), &self.order)
    }
}

fn shown(item: &Item) -> Binding {
    let FoundBinding { source, end, routing_key, arguments } = &item.found;
    Binding {
        source: source.to_string(),
        vhost: item.vhost.name.to_string(),
        destination: end.name().to_owned(),
        destination_type: match end {
            FoundEnd::Queue(_) => "queue",
            FoundEnd::Exchange(_) => "exchange",
        },
        routing_key: routing_key.to_string(),
        arguments: table_to_json(arguments),
        properties_key: properties_key(routing_key.as_str(), arguments),
    }
}

/// What tells a binding from others between the same ends: its key, and a digest of its arguments.
fn properties_key(routing_key: &str, arguments: &FieldTable) -> String {
    // As forms are encoded, but for `~`, which stands before the digest.
    let key = utf8_percent_encode(routing_key, PLAIN).to_string().replace("%20", "+");
    match (key.is_empty(), arguments.is_empty()) {
        (true, true) => "~".to_owned(),
        (false, true) => key,
        (_, false) => {
            let mut pairs: Vec<Vec<u8>> = arguments.iter().map(encoded).collect();
            pairs.sort();
            let digest = crc32c::crc32c(&pairs.concat());
            format!("{key}~{}", URL_SAFE_NO_PAD.encode(digest.to_be_bytes()))
        }
    }
}

fn encoded((name, value): (&str, &crate::protocol::FieldValue)) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    value.encode(&mut bytes);
    bytes
}

fn items(vhost: &Arc<Vhost>, which: WhichBindings<'_>) -> Vec<Item> {
    let found = vhost.bindings(which).into_iter();
    found.map(|found| Item::new(Arc::clone(vhost), found)).collect()
}

pub(super) fn answer(
    query: ListQuery,
    vhost: &Arc<Vhost>,
    which: WhichBindings<'_>,
) -> Result<Response, Refusal> {
    query.answer(items(vhost, which), shown)
}

async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhosts = caller.vhosts(&api, query.vhost.as_ref());
    let all = vhosts.iter().flat_map(|vhost| items(vhost, WhichBindings::All));
    query.answer(all.collect(), shown)
}

async fn list_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    answer(query, &vhost, WhichBindings::All)
}

type Ends = (String, String, String, String);

/// The source, and where the binding leads.
fn ends(source: &str, kind: &str, destination: String) -> Result<(String, FoundEnd), Refusal> {
    let end = match kind {
        "q" => FoundEnd::Queue(QueueName::from(destination)),
        "e" => FoundEnd::Exchange(ExchangeName::from(name_in_path(&destination))),
        _ => return Err(Refusal::NotFound),
    };
    Ok((name_in_path(source).to_owned(), end))
}

/// Ends that are not there have no bindings.
async fn between(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, source, kind, destination)): Segments<Ends>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let (source, end) = ends(&source, &kind, destination)?;
    answer(query, &vhost, WhichBindings::Between(&source, &end))
}

fn find(vhost: &Vhost, source: &str, end: &FoundEnd, key: &str) -> Result<FoundBinding, Refusal> {
    let mut found = vhost.bindings(WhichBindings::Between(source, end)).into_iter();
    let is_it =
        |found: &FoundBinding| properties_key(found.routing_key.as_str(), &found.arguments) == key;
    found.find(is_it).ok_or(Refusal::NotFound)
}

async fn one(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, source, kind, destination, key)): Segments<(
        String,
        String,
        String,
        String,
        String,
    )>,
) -> Result<Json<Binding>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let (source, end) = ends(&source, &kind, destination)?;
    let found = find(&vhost, &source, &end, &key)?;
    Ok(Json(shown(&Item::new(vhost, found))))
}

/// As `queue.bind` and `exchange.bind` ask: write on the destination first, read on the source, and on
/// the topic (behaviour B4.8).
fn check_rights(
    caller: &Caller,
    api: &Api,
    vhost: &Vhost,
    source: &str,
    end: &FoundEnd,
    key: &str,
) -> Result<BindingEnd, Refusal> {
    if source.is_empty() || end.name().is_empty() {
        return Err(Refusal::AccessRefused);
    }
    let rights = Rights::of(caller, api, vhost);
    rights.queue(Access::Write, end.name())?;
    rights.exchange(Access::Read, source)?;
    rights.topic(Access::Read, vhost, source, key.as_bytes())?;
    Ok(match end.clone() {
        FoundEnd::Queue(name) => BindingEnd::Queue(name, NOBODY),
        FoundEnd::Exchange(name) => BindingEnd::Exchange(name),
    })
}

async fn bind(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, source, kind, destination)): Segments<Ends>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost).map_err(Refusal::or_no_vhost)?;
    let (source, end) = ends(&source, &kind, destination)?;
    let body = object(&body)?;
    let key = checked_name(text(&body, "routing_key")?.unwrap_or_default())?;
    let arguments = table(&body, "arguments")?;
    let to = check_rights(&caller, &api, &vhost, &source, &end, &key)?;
    let (properties_key, key) = (properties_key(&key, &arguments), RoutingKey::from(key));
    let (notify, committed) = completion();
    let commit = vhost.bind(&source, &to, key, arguments, &notify)?;
    wait(commit, committed).await?;
    let [destination, key] = [end.name(), &properties_key]
        .map(|part| utf8_percent_encode(part, PLAIN_IN_LOCATION).to_string());
    let location = HeaderValue::try_from(format!("{destination}/{key}"));
    let location = location.unwrap_or(HeaderValue::from_static("~"));
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

async fn unbind(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, source, kind, destination, key)): Segments<(
        String,
        String,
        String,
        String,
        String,
    )>,
) -> Result<StatusCode, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let (source, end) = ends(&source, &kind, destination)?;
    let FoundBinding { routing_key, arguments, .. } = find(&vhost, &source, &end, &key)?;
    let to = check_rights(&caller, &api, &vhost, &source, &end, routing_key.as_str())?;
    let (notify, committed) = completion();
    let commit = vhost.unbind(&source, &to, &routing_key, &arguments, &notify)?;
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_rabbitmq() {
        let none = FieldTable::new();
        for (key, expected) in [
            ("", "~"),
            ("a b/c~%", "a+b%2Fc%7E%25"),
            ("a.*.#", "a.%2A.%23"),
            ("a_b-c+d", "a_b-c%2Bd"),
            ("häsin", "h%C3%A4sin"),
        ] {
            assert_eq!(properties_key(key, &none), expected);
        }
    }

    #[test]
    fn digests_tell_arguments_apart_whatever_their_order() {
        let table = |pairs: &[(&str, i64)]| {
            let pairs = pairs.iter().map(|(name, value)| (*name, *value));
            pairs.collect::<FieldTable>()
        };
        let one = properties_key("k", &table(&[("a", 1), ("b", 2)]));
        assert_eq!(one, properties_key("k", &table(&[("b", 2), ("a", 1)])));
        assert_eq!(one.len(), "k~".len() + 6);
        assert_ne!(one, properties_key("k", &table(&[("a", 1), ("b", 3)])));
        assert_eq!(properties_key("", &table(&[("a", 1)])).len(), "~".len() + 6);
    }
}
