//! Who is connected: `/connections`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{GarbageCollection, Name, channel};
use crate::broker::{ClientCertificate, Connected, Report, TlsClient};
use crate::management::ask::ask;
use crate::management::caller::Caller;
use crate::management::json::table_to_json;
use crate::management::list::Listed;
use crate::management::openapi::{Routes, SAMPLES, Who, delete, get};
use crate::management::query::ListQuery;
use crate::management::rates::Ranges;
use crate::management::refusal::Refusal;
use crate::management::{Api, node_name};
use crate::protocol::{FieldTable, FieldValue};

pub(super) fn router() -> Routes {
    let who = Who::Owner;
    Routes::new()
        .route("/", [get(Who::User, list, "Connections that one may see").lists("Connection")])
        .route(
            "/{name}",
            [
                get(who, one, "A connection").answers("Connection").query(SAMPLES),
                delete(who, close, "Closes it; X-Reason is what the client is told"),
            ],
        )
        .route(
            "/{name}/channels",
            [get(who, channel::of_connection, "Its channels").lists("Channel")],
        )
        .route(
            "/username/{user}",
            [
                get(Who::User, of_user, "Connections of a user that one may see")
                    .lists("Connection"),
                delete(who, close_of_user, "Closes all connections of a user"),
            ],
        )
}

/// A connection as it is shown.
#[derive(Serialize)]
struct Shown {
    name: String,
    node: String,
    vhost: String,
    user: String,
    user_who_performed_action: String,
    protocol: &'static str,
    r#type: &'static str,
    auth_mechanism: &'static str,
    connected_at: u64,
    client_properties: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_provided_name: Option<String>,
    host: String,
    port: u16,
    peer_host: String,
    peer_port: u16,
    frame_max: u32,
    channel_max: u16,
    /// Seconds between heartbeats.
    timeout: u16,
    ssl: bool,
    ssl_protocol: Option<String>,
    ssl_cipher: Option<String>,
    ssl_hash: Option<String>,
    ssl_key_exchange: Option<String>,
    peer_cert_subject: Option<String>,
    peer_cert_issuer: Option<String>,
    peer_cert_validity: Option<String>,
    state: &'static str,
    channels: usize,
    #[serde(flatten)]
    past: Map<String, Value>,
    /// Bytes that its buffers and the messages on their way to the client take.
    memory: u64,
    reductions: u64,
    garbage_collection: GarbageCollection,
}

pub(super) struct Item {
    pub(super) connected: Arc<Connected>,
    pub(super) report: Option<Report>,
}

impl Listed for Item {
    /// By name alone: that is how RabbitMQ lists them.
    fn key(&self) -> (&str, &str) {
        ("", &self.connected.client.name)
    }

    fn quick(&self, field: &str) -> Option<Value> {
        let Connected { vhost, user, client, .. } = &*self.connected;
        Some(match field {
            "name" => client.name.as_str().into(),
            "vhost" => vhost.as_str().into(),
            "user" => user.as_str().into(),
            "connected_at" => client.connected_at.0.into(),
            "channel_max" => client.channel_max.into(),
            "frame_max" => client.frame_max.into(),
            "timeout" => client.heartbeat_seconds.into(),
            "auth_mechanism" => client.mechanism.into(),
            _ => return None,
        })
    }
}

/// Where the client is, and where it connected to.
fn ends(connected: &Connected) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let (peer, local) = connected.client.name.split_once(" -> ").unwrap_or_default();
    (peer.parse().ok(), local.parse().ok())
}

fn host_and_port(address: Option<SocketAddr>) -> (String, u16) {
    address.map_or_else(Default::default, |at| (at.ip().to_canonical().to_string(), at.port()))
}

/// How other objects name a connection.
pub(super) fn details(connected: &Connected) -> Value {
    let (peer_host, peer_port) = host_and_port(ends(connected).0);
    json!({ "name": connected.client.name, "peer_host": peer_host, "peer_port": peer_port })
}

fn shown(api: &Api, node: &str, ranges: &Ranges, item: &Item) -> Shown {
    let (input, output) = item.connected.memory();
    let mut past = Map::new();
    api.rates.put_connection(&mut past, &item.connected.stats, ranges);
    let Connected { vhost, user, client, .. } = &*item.connected;
    let (peer, local) = ends(&item.connected);
    let ((host, port), (peer_host, peer_port)) = (host_and_port(local), host_and_port(peer));
    let tls = client.tls.as_deref();
    let of_tls = |of: fn(&TlsClient) -> &String| tls.map(|tls| of(tls).clone());
    let certificate = tls.and_then(|tls| tls.certificate.as_ref());
    let of_certificate =
        |of: fn(&ClientCertificate) -> &String| certificate.map(|shown| of(shown).clone());
    let properties: FieldTable = client.properties();
    let own_name = properties.get("connection_name").and_then(FieldValue::as_str);
    Shown {
        name: client.name.clone(),
        node: node.to_owned(),
        vhost: vhost.to_string(),
        user: user.to_string(),
        user_who_performed_action: user.to_string(),
        protocol: "AMQP 0-9-1",
        r#type: "network",
        auth_mechanism: client.mechanism,
        connected_at: client.connected_at.0,
        user_provided_name: own_name.map(str::to_owned),
        client_properties: table_to_json(&properties),
        host,
        port,
        peer_host,
        peer_port,
        frame_max: client.frame_max,
        channel_max: client.channel_max,
        timeout: client.heartbeat_seconds,
        ssl: tls.is_some(),
        ssl_protocol: of_tls(|tls| &tls.protocol),
        ssl_cipher: of_tls(|tls| &tls.cipher),
        ssl_hash: of_tls(|tls| &tls.hash),
        ssl_key_exchange: of_tls(|tls| &tls.key_exchange),
        peer_cert_subject: of_certificate(|shown| &shown.subject),
        peer_cert_issuer: of_certificate(|shown| &shown.issuer),
        peer_cert_validity: of_certificate(|shown| &shown.validity),
        // Who does not answer is ending.
        state: item.report.as_ref().map_or("closing", |report| report.state),
        channels: item.report.as_ref().map_or(0, |report| report.channels.len()),
        past,
        memory: input + output,
        reductions: 0,
        garbage_collection: GarbageCollection::default(),
    }
}

/// Connections that the caller sees: all, for who may monitor, or the caller's own.
pub(super) fn visible(
    caller: &Caller,
    api: &Api,
    which: impl Fn(&Connected) -> bool,
) -> Vec<Arc<Connected>> {
    let mut all = api.services.broker.connections();
    let is_monitor = caller.is_monitor();
    all.retain(|connected| (is_monitor || connected.user == caller.user.name) && which(connected));
    all
}

async fn answer(
    api: Arc<Api>,
    query: ListQuery,
    connections: Vec<Arc<Connected>>,
) -> Result<Response, Refusal> {
    let item = |connected| Item { connected, report: None };
    let mut items: Vec<Item> = connections.into_iter().map(item).collect();
    let is_quick = |field: &String| items.first().is_none_or(|item| item.quick(field).is_some());
    let asks_first = !query.sort.as_ref().is_none_or(is_quick);
    if asks_first {
        report(&mut items).await;
    }
    let node = node_name();
    let ranges = query.ranges;
    let show = move |item: &Item| shown(&api, &node, &ranges, item);
    let mut selected = query.select(items, &mut &show)?;
    if !asks_first {
        report(&mut selected.items).await;
    }
    Ok(selected.answer(show))
}

async fn report(items: &mut [Item]) {
    let reports = ask(items.iter().map(|item| &item.connected)).await;
    for (item, report) in items.iter_mut().zip(reports) {
        item.report = report;
    }
}

async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let only = query.vhost.clone();
    let is_wanted =
        |connected: &Connected| only.as_ref().is_none_or(|only| connected.vhost == *only);
    let connections = visible(&caller, &api, is_wanted);
    answer(api, query, connections).await
}

pub(super) async fn in_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let connections = visible(&caller, &api, |connected| connected.vhost == vhost.name);
    answer(api, query, connections).await
}

async fn of_user(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(user): Name,
    query: ListQuery,
) -> Result<Response, Refusal> {
    let connections = visible(&caller, &api, |connected| connected.user.as_str() == user);
    answer(api, query, connections).await
}

/// A connection that the caller may look at: it is the caller's own, or `others` may be.
pub(super) fn find(
    caller: &Caller,
    api: &Api,
    name: &str,
    others: bool,
) -> Result<Arc<Connected>, Refusal> {
    let all = api.services.broker.connections();
    let found = all.into_iter().find(|connected| connected.client.name == name);
    let found = found.ok_or(Refusal::NotFound)?;
    match others || found.user == caller.user.name {
        true => Ok(found),
        false => Err(Refusal::NotAuthorised("User not authorised to access object")),
    }
}

async fn one(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    ranges: Ranges,
) -> Result<Json<Shown>, Refusal> {
    let connected = find(&caller, &api, &name, caller.is_monitor())?;
    let report = ask(std::iter::once(&connected)).await.into_iter().next().flatten();
    Ok(Json(shown(&api, &node_name(), &ranges, &Item { connected, report })))
}

/// What the client is told.
fn reason(headers: &HeaderMap) -> String {
    let said = headers.get("x-reason").map(|reason| String::from_utf8_lossy(reason.as_bytes()));
    let said = said.filter(|reason| !reason.is_empty());
    said.map_or_else(|| "Closed via management plugin".to_owned(), std::borrow::Cow::into_owned)
}

async fn close(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let connected = find(&caller, &api, &name, caller.is_administrator())?;
    tracing::info!(connection = name, by = %caller.user.name, "connection closed over HTTP");
    let is_it = |other: &Connected| Arc::ptr_eq(&other.outbox, &connected.outbox);
    api.services.broker.close_connections(&reason(&headers), is_it);
    Ok(StatusCode::NO_CONTENT)
}

async fn close_of_user(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(user): Name,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    if caller.user.name.as_str() != user {
        caller.require_administrator()?;
    }
    tracing::info!(user, by = %caller.user.name, "connections of a user closed over HTTP");
    let is_theirs = |connected: &Connected| connected.user.as_str() == user;
    api.services.broker.close_connections(&reason(&headers), is_theirs);
    Ok(StatusCode::NO_CONTENT)
}
