//! Health checks: 200 when all is well, 503 with the reason when it is not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{Name, Segments};
use crate::broker::Resource;
use crate::management::caller::{Anybody, Caller};
use crate::management::openapi::{Route, Routes, Who, get};
use crate::management::refusal::Refusal;
use crate::management::{Api, Listener, Protocol, node_name};
use crate::transport::tls::Expiry;

pub(super) fn router() -> Routes {
    let check = |path: &str, route: Route| Routes::new().route(path, [route.answers("Health")]);
    let one = "Whether a replica would be missed: there is one node";
    let open = "Whether clients are let in";
    let routes = [
        check("/alarms", get(Who::User, alarms, "Whether memory or disk is short")),
        check("/local-alarms", get(Who::User, local_alarms, "Whether memory or disk is short")),
        check("/virtual-hosts", get(Who::User, virtual_hosts, "Whether all of them are up")),
        check("/node-is-quorum-critical", get(Who::User, single_node, one)),
        check("/node-is-mirror-sync-critical", get(Who::User, single_node, one)),
        check(
            "/port-listener/{port}",
            get(Who::User, port_listener, "Whether something listens there"),
        ),
        check(
            "/protocol-listener/{protocols}",
            get(Who::User, protocol_listener, "Whether all of these are spoken"),
        ),
        check(
            "/certificate-expiration/{within}/{unit}",
            get(Who::User, certificate_expiration, "Whether certificates last that long"),
        ),
        check("/is-in-service", get(Who::Everybody, is_in_service, "Whether it is not stopping")),
        check(
            "/below-node-connection-limit",
            get(Who::Everybody, below_node_connection_limit, "Whether there is room for clients"),
        ),
        check("/ready-to-serve-clients", get(Who::Everybody, ready_to_serve_clients, open)),
        check(
            "/metadata-store/initialized",
            get(Who::User, virtual_hosts, "Whether definitions can be stored: always"),
        ),
        check(
            "/metadata-store/initialized/with-data",
            get(Who::User, has_data, "Whether there is a virtual host"),
        ),
        check(
            "/reached-target-cluster-size",
            get(Who::Everybody, target_cluster_size, "Whether all nodes are up: there is one"),
        ),
        check("/quorum-queues-without-elected-leaders/all-vhosts", leaders()),
        check("/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}", leaders()),
        check(
            "/quorum-queues-without-elected-leaders/vhost/{vhost}",
            get(Who::InVhost, leaders_in_vhost, LEADERS),
        ),
        check(
            "/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}",
            get(Who::InVhost, leaders_of_some, LEADERS),
        ),
    ];
    routes.into_iter().fold(Routes::new(), Routes::merge)
}

const LEADERS: &str = "Whether every quorum queue has a leader: this node is";

fn leaders() -> Route {
    get(Who::User, virtual_hosts, LEADERS)
}

/// What a check came to.
type Health = Result<Value, Value>;

fn answer(health: Health) -> Response {
    let (status, word, details) = match health {
        Ok(details) => (StatusCode::OK, "ok", details),
        Err(details) => (StatusCode::SERVICE_UNAVAILABLE, "failed", details),
    };
    let mut body = Map::new();
    body.insert("status".to_owned(), word.into());
    if let Value::Object(details) = details {
        body.extend(details);
    }
    (status, Json(body)).into_response()
}

async fn alarms(_: Caller, State(api): State<Arc<Api>>) -> Response {
    answer(without_alarms(&api, "There are alarms in effect in the cluster"))
}

async fn local_alarms(_: Caller, State(api): State<Arc<Api>>) -> Response {
    answer(without_alarms(&api, "There are alarms in effect on the node"))
}

fn without_alarms(api: &Api, reason: &str) -> Health {
    let node = node_name();
    let alarms = api.services.broker.alarms.list();
    let alarms: Vec<Value> = alarms
        .map(|resource| json!({ "node": node, "resource": resource_name(resource) }))
        .collect();
    match alarms.is_empty() {
        true => Ok(Value::Null),
        false => Err(json!({ "reason": reason, "alarms": alarms })),
    }
}

/// What RabbitMQ calls it here, which is not what it says in its log.
fn resource_name(resource: Resource) -> &'static str {
    match resource {
        Resource::Memory => "memory",
        Resource::Disk => "disk space",
    }
}

/// A virtual host that exists is up.
async fn virtual_hosts(_: Caller) -> Response {
    answer(Ok(Value::Null))
}

async fn has_data(_: Caller, State(api): State<Arc<Api>>) -> Response {
    answer(match api.services.broker.vhosts().is_empty() {
        false => Ok(Value::Null),
        true => Err(json!({ "reason": "Metadata store has not yet been initialized with data" })),
    })
}

async fn target_cluster_size(_: Anybody) -> Response {
    answer(Ok(json!({ "online": 1, "target": 1 })))
}

async fn leaders_in_vhost(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
) -> Result<Response, Refusal> {
    caller.vhost(&api, &vhost)?;
    Ok(answer(Ok(Value::Null)))
}

async fn leaders_of_some(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, _)): Segments<(String, String)>,
) -> Result<Response, Refusal> {
    caller.vhost(&api, &vhost)?;
    Ok(answer(Ok(Value::Null)))
}

/// Nothing is replicated, so no queue loses its majority with this node.
async fn single_node(_: Caller) -> Response {
    answer(Ok(json!({ "reason": "single node cluster" })))
}

async fn port_listener(
    _: Caller,
    State(api): State<Arc<Api>>,
    Name(port): Name,
) -> Result<Response, Refusal> {
    let port: u16 = port.parse().map_err(|_| Refusal::BadRequest("Invalid port".into()))?;
    let ports = distinct(api.listeners().map(|listener| listener.address.port()));
    Ok(answer(match ports.contains(&port) {
        true => Ok(json!({ "port": port })),
        false => Err(json!({ "reason": NO_LISTENER, "missing": port, "ports": ports })),
    }))
}

const NO_LISTENER: &str = "No active listener";

/// One protocol, or several with commas between them, all of which have to be there. RabbitMQ 3 knows
/// the first form only and names what it looked for with a string; RabbitMQ 4 uses lists.
async fn protocol_listener(
    _: Caller,
    State(api): State<Arc<Api>>,
    Name(protocols): Name,
) -> Response {
    let wanted: Vec<String> = protocols.split(',').map(normalize).collect();
    let active = distinct(api.listeners().map(|listener| listener.protocol.as_str()));
    let is_missing = |protocol: &&String| !active.contains(&protocol.as_str());
    let missing: Vec<&String> = wanted.iter().filter(is_missing).collect();
    answer(match (missing.as_slice(), wanted.as_slice()) {
        ([], [protocol]) => Ok(json!({ "protocol": protocol })),
        ([], protocols) => Ok(json!({ "protocols": protocols })),
        (missing, [_]) => {
            Err(json!({ "reason": NO_LISTENER, "missing": missing.first(), "protocols": active }))
        }
        (missing, _) => {
            Err(json!({ "reason": NO_LISTENER, "missing": missing, "protocols": active }))
        }
    })
}

/// RabbitMQ's other names for the protocols that are spoken here. Those of AMQP 1.0 are not among
/// them, which to RabbitMQ are names of the same listener.
fn normalize(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    let protocol = match name.as_str() {
        "amqp091" | "amqp0.9.1" | "amqp0-9-1" | "amqp0_9_1" => Protocol::Amqp,
        "amqps" => Protocol::Amqps,
        "http1" | "http1.1" | "http_api" | "management" | "management_ui" | "ui" => Protocol::Http,
        _ => return name,
    };
    protocol.as_str().to_owned()
}

/// 503 names the listeners that use a certificate which is no longer good after that time, or an
/// authority whose certificate is not.
async fn certificate_expiration(
    _: Caller,
    State(api): State<Arc<Api>>,
    Segments((within, unit)): Segments<(String, String)>,
) -> Result<Response, Refusal> {
    let seconds = seconds(&within, &unit).map_err(|why| Refusal::BadRequest(why.into()))?;
    let Some(tls) = &api.services.tls else { return Ok(answer(Ok(Value::Null))) };
    let tls = tls.current();
    let until = (api.now().0 / 1000) as f64 + seconds;
    let expiring = |expiries: &[Expiry]| -> Vec<String> {
        let late = expiries.iter().filter(|expiry| expiry.unix_seconds() as f64 <= until);
        late.map(Expiry::to_string).collect()
    };
    let (own, authorities) = (expiring(&tls.expiries), expiring(&tls.ca_expiries));
    if own.is_empty() && authorities.is_empty() {
        return Ok(answer(Ok(Value::Null)));
    }
    let options = tls.options();
    let encrypted = api
        .listeners()
        .filter(|listener| matches!(listener.protocol, Protocol::Amqps | Protocol::Https));
    let expired: Vec<Value> = encrypted
        .map(|Listener { protocol, address }| {
            json!({
                "node": node_name(),
                "protocol": protocol.as_str(),
                "interface": address.ip().to_string(),
                "port": address.port(),
                "certfile": options.certificate_file.display().to_string(),
                "certfile_expires_on": own,
                "cacertfile": options.ca_file.as_ref().map(|file| file.display().to_string()),
                "cacertfile_expires_on": authorities,
            })
        })
        .collect();
    Ok(answer(match expired.is_empty() {
        true => Ok(Value::Null),
        false => Err(json!({ "reason": "Certificates expiring", "expired": expired })),
    }))
}

/// RabbitMQ's months are a twelfth of a year. A time that has passed asks for what has expired already.
fn seconds(within: &str, unit: &str) -> Result<f64, &'static str> {
    let digits = within.strip_prefix(['-', '+']).unwrap_or(within);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("Invalid expiration value.");
    }
    let within: f64 = within.parse().map_err(|_| "Invalid expiration value.")?;
    let days = match unit.to_ascii_lowercase().as_str() {
        "days" => 1.0,
        "weeks" => 7.0,
        "months" => 365.0 / 12.0,
        "years" => 365.0,
        _ => return Err("Time unit not recognised. Supported units: days, weeks, months, years."),
    };
    Ok(within * days * 86_400.0)
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}

async fn is_in_service(_: Anybody, State(api): State<Arc<Api>>) -> Response {
    answer(in_service(&api))
}

async fn below_node_connection_limit(_: Anybody, State(api): State<Arc<Api>>) -> Response {
    answer(below_connection_limit(&api))
}

/// All that a client needs to get in: the probe to direct traffic by.
async fn ready_to_serve_clients(_: Anybody, State(api): State<Arc<Api>>) -> Response {
    answer(
        in_service(&api).and_then(|_| serves_amqp(&api)).and_then(|_| below_connection_limit(&api)),
    )
}

fn in_service(api: &Api) -> Health {
    match api.draining.is_cancelled() {
        false => Ok(Value::Null),
        true => Err(json!({ "reason": "the node is not currently available to serve" })),
    }
}

fn serves_amqp(api: &Api) -> Health {
    let mut listeners = api.listeners();
    match listeners.any(|listener| matches!(listener.protocol, Protocol::Amqp | Protocol::Amqps)) {
        true => Ok(Value::Null),
        false => Err(json!({ "reason": "no active listeners for AMQP/AMQPS" })),
    }
}

fn below_connection_limit(api: &Api) -> Health {
    let broker = &api.services.broker;
    let connections = broker.connection_count();
    match broker.limits.connections_max() {
        Some(max) if connections >= max as usize => {
            let reason = "node connection limit is reached";
            Err(json!({ "reason": reason, "connections": connections }))
        }
        _ => Ok(Value::Null),
    }
}
