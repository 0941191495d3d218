//! The broker at a glance: `/overview` (reference 6.1).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::broker::{COMPATIBLE_VERSION, Vhost, node_name};
use crate::exchange::ExchangeKind;
use crate::management::caller::Caller;
use crate::management::definitions::export::cluster_name;
use crate::management::figures::of_vhosts;
use crate::management::openapi::{Routes, SAMPLES, Who, get};
use crate::management::rates::Ranges;
use crate::management::{Api, Listener, Protocol};
use crate::names::VhostName;

/// What tools read that look for a virtual machine below the broker. There is none.
pub(super) const NO_ERLANG: &str = "none";

pub(super) const PRODUCT: &str = "leveret";

pub(super) fn router() -> Routes {
    let summary = "The broker at a glance";
    Routes::new()
        .route("/overview", [get(Who::User, overview, summary).answers("Overview").query(SAMPLES)])
}

/// Sums are those of the vhosts that the caller may enter.
async fn overview(caller: Caller, State(api): State<Arc<Api>>, ranges: Ranges) -> Json<Value> {
    let all = api.services.broker.vhosts();
    let visible: Vec<Arc<Vhost>> = all
        .iter()
        .filter(|vhost| caller.vhost(&api, vhost.name.as_str()).is_ok())
        .cloned()
        .collect();
    let (figures, totals) = of_vhosts(&api, &visible);
    let names: Vec<VhostName> = visible.iter().map(|vhost| vhost.name.clone()).collect();
    let mut object = Map::new();
    let some = (visible.len() < all.len()).then_some(&names[..]);
    let churned = api.services.broker.churn.counts();
    api.rates.put_overview(&mut object, some, &figures, &churned, &ranges);
    let Value::Object(rest) = json!({
        "management_version": COMPATIBLE_VERSION,
        "rabbitmq_version": COMPATIBLE_VERSION,
        "product_name": PRODUCT,
        "product_version": env!("CARGO_PKG_VERSION"),
        "cluster_name": cluster_name(&api),
        "cluster_tags": {},
        "node_tags": {},
        "erlang_version": NO_ERLANG,
        "erlang_full_version": NO_ERLANG,
        "rates_mode": "basic",
        "sample_retention_policies":
            { "global": [600, 3600, 28800, 86400], "basic": [600, 3600], "detailed": [600] },
        "exchange_types": exchange_types(),
        "disable_stats": false,
        "enable_queue_totals": false,
        "default_queue_type": default_queue_type(&api),
        "statistics_db_event_queue": 0,
        "object_totals": {
            "connections": totals.connections,
            "channels": totals.channels,
            "exchanges": totals.exchanges,
            "queues": totals.queues,
            "consumers": totals.consumers,
        },
        "uptime": uptime_millis(&api),
    }) else {
        return Json(object.into());
    };
    object.extend(rest);
    if caller.is_monitor() {
        object.insert("node".to_owned(), node_name().into());
        object.insert("listeners".to_owned(), api.listeners().map(listener).collect());
        object.insert("contexts".to_owned(), contexts(&api));
    }
    Json(object.into())
}

pub(in crate::management) fn uptime_millis(api: &Api) -> u64 {
    let up = api.now().since(api.services.node.started);
    u64::try_from(up.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn exchange_types() -> Value {
    let shown = |kind: &ExchangeKind| {
        let name = kind.as_str();
        json!({ "name": name, "description": format!("exchange of type {name}"), "enabled": true })
    };
    ExchangeKind::ALL.iter().map(shown).collect()
}

fn default_queue_type(api: &Api) -> &'static str {
    api.services.broker.limits.at_start().default_queue_type.unwrap_or_default().as_str()
}

fn listener(Listener { protocol, address }: Listener) -> Value {
    json!({
        "node": node_name(),
        "protocol": protocol.as_str(),
        "ip_address": address.ip().to_string(),
        "port": address.port(),
        "socket_opts": {},
    })
}

/// What is served over HTTP. The port is a string here, as it always was.
pub(super) fn contexts(api: &Api) -> Value {
    let context = |Listener { protocol, address }: &Listener| {
        let description = match protocol {
            Protocol::Prometheus => "RabbitMQ Prometheus",
            _ => "RabbitMQ Management",
        };
        json!({
            "node": node_name(),
            "description": description,
            "path": "/",
            "port": address.port().to_string(),
            "ssl_opts": [],
        })
    };
    api.own.iter().map(context).collect()
}
