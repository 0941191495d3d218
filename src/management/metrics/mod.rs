//! Metrics for Prometheus, under RabbitMQ's names, and some of our own (reference 8).
//!
//! `/metrics` adds objects up, `/metrics/per-object` tells of each, `/metrics/detailed` tells of each what
//! is asked for and of nothing else. `text` is the format, `rows` what is read of objects, `object` their
//! metrics, `global` those of the broker as a whole.
//!
//! Invariant: no lock is held while text is written.

mod global;
mod object;
mod rows;
mod text;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use regex::{Regex, RegexBuilder};

use self::object::{
    CHANNELS, CLUSTER_EXCHANGES, CONNECTION_MEMORY, CONNECTIONS, EXCHANGES, Metric, QUEUE_AGES,
    QUEUES, each, sum,
};
use self::text::{Family, Kind, Text, sample};
use super::Api;
use super::caller::log_in_monitor;
use super::handler::breakdown;
use super::openapi::{Routes, Who, get};
use super::query::PATTERN_SIZE_MAX;
use super::refusal::Refusal;
use crate::broker::Vhost;

/// Of the broker's metrics, unless they are asked for in detail.
const PREFIX: &str = "rabbitmq_";
const DETAILED: &str = "rabbitmq_detailed_";
const CLUSTER: &str = "rabbitmq_cluster_";
const OWN: &str = "leveret_";

/// For everybody, as RabbitMQ serves them on a port of their own.
pub(super) fn open_router(api: Arc<Api>) -> Router {
    routes().into_router().fallback(async || StatusCode::NOT_FOUND).with_state(api)
}

/// Beside the HTTP API, for those who may see what it tells monitors.
pub(super) fn router(api: &Arc<Api>) -> Routes {
    routes().map(|router| router.layer(from_fn_with_state(Arc::clone(api), for_monitors)))
}

async fn for_monitors(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let (parts, body): (Parts, Body) = request.into_parts();
    match log_in_monitor(&parts, &api).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn routes() -> Routes {
    const KIND: &str = "text/plain";
    let who = Who::Monitor;
    Routes::new()
        .route("/metrics", [get(who, aggregated, "Metrics, added up").text(KIND)])
        .route("/metrics/per-object", [get(who, per_object, "Metrics of each object").text(KIND)])
        .route(
            "/metrics/detailed",
            [get(who, detailed, "The families that are asked for")
                .query(&["family", "vhost", "queue"])
                .text(KIND)],
        )
        .route(
            "/metrics/memory-breakdown",
            [get(who, memory_breakdown, "Bytes of memory, by use").text(KIND)],
        )
}

async fn aggregated(State(api): State<Arc<Api>>) -> Response {
    if api.services.options.metrics_per_object {
        return per_object(State(api)).await;
    }
    let vhosts = api.services.broker.vhosts();
    let queues = rows::queues(&vhosts, |_| true, api.now());
    let mut families = global::identity(&api, "aggregated");
    families.extend(global::families(&api, &queues, |_| true, PREFIX));
    families.extend(QUEUES.iter().map(|metric| sum(PREFIX, metric, &queues)));
    let channels = rows::channels(&api, &vhosts);
    families.extend(CHANNELS.iter().map(|metric| sum(PREFIX, metric, &channels)));
    let connections = rows::connections(&api, &vhosts);
    families.extend(CONNECTIONS.iter().map(|metric| sum(PREFIX, metric, &connections)));
    families.extend(CONNECTION_MEMORY.iter().map(|metric| sum(OWN, metric, &connections)));
    let oldest = queues.iter().map(|queue| queue.age_seconds).fold(0.0, f64::max);
    let help = "How long ago the oldest of the messages that are next in queues came in";
    let name = format!("{OWN}oldest_message_age_seconds");
    families.push(single(name, Kind::Gauge, help, oldest));
    answer(families)
}

async fn per_object(State(api): State<Arc<Api>>) -> Response {
    let vhosts = api.services.broker.vhosts();
    let queues = Arc::new(rows::queues(&vhosts, |_| true, api.now()));
    let mut families = global::identity(&api, "per-object");
    families.extend(global::families(&api, &queues, |_| true, PREFIX));
    families.extend(QUEUES.iter().map(|metric| each(PREFIX, metric, &queues, |row| &row.labels)));
    families.extend(QUEUE_AGES.iter().map(|metric| each(OWN, metric, &queues, |row| &row.labels)));
    let channels = Arc::new(rows::channels(&api, &vhosts));
    families.extend(CHANNELS.iter().map(|it| each(PREFIX, it, &channels, |row| &row.labels)));
    let connections = Arc::new(rows::connections(&api, &vhosts));
    families.extend(CONNECTIONS.iter().map(|it| each(PREFIX, it, &connections, |row| &row.labels)));
    let memory = CONNECTION_MEMORY.iter();
    families.extend(memory.map(|it| each(OWN, it, &connections, |row| &row.labels)));
    answer(families)
}

/// Every use of memory that `/api/nodes/{node}/memory` shows.
async fn memory_breakdown(State(api): State<Arc<Api>>) -> Response {
    let (uses, _) = breakdown(&api);
    let mut families = global::identity(&api, "memory-breakdown");
    families.extend(uses.into_iter().map(|(key, bytes)| {
        let name = format!("{PREFIX}memory_{key}_bytes");
        single(name, Kind::Gauge, "Memory in bytes", bytes.as_f64().unwrap_or_default())
    }));
    answer(families)
}

/// What is asked for: families, and vhosts, each as often as one likes, and names of queues.
struct Wanted {
    families: Vec<String>,
    vhosts: Vec<String>,
    queues: Option<Regex>,
}

impl Wanted {
    /// An error is an expression that is none.
    fn of(query: &str) -> Result<Self, Refusal> {
        let mut wanted = Self { families: Vec::new(), vhosts: Vec::new(), queues: None };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = decoded(value);
            match key {
                "family" => wanted.families.push(value),
                "vhost" => wanted.vhosts.push(value),
                "queue" => wanted.queues = Some(expression(&value)?),
                _ => {}
            }
        }
        Ok(wanted)
    }

    fn has(&self, family: &str) -> bool {
        self.families.iter().any(|wanted| wanted == family)
    }

    /// Those of the metrics that are asked for.
    fn of_these<R>(&self, metrics: &'static [Metric<R>]) -> Vec<&'static Metric<R>> {
        // RabbitMQ has the number of consumers in two families.
        let is_wanted = |metric: &&Metric<R>| {
            self.has(metric.family)
                || metric.family == "queue_consumer_count" && self.has("queue_metrics")
                || metric.name == "queue_messages_published_total"
                    && self.has("channel_queue_exchange_metrics")
        };
        metrics.iter().filter(is_wanted).collect()
    }

    fn includes(&self, vhost: &Vhost) -> bool {
        self.vhosts.is_empty() || self.vhosts.iter().any(|name| name == vhost.name.as_str())
    }

    fn includes_queue(&self, name: &str) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.is_match(name))
    }
}

fn expression(text: &str) -> Result<Regex, Refusal> {
    let refuse = || Refusal::BadRequest("'queue' is not a regular expression".into());
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(PATTERN_SIZE_MAX).dfa_size_limit(PATTERN_SIZE_MAX);
    builder.build().map_err(|_| refuse())
}

/// Undoes percent-encoding; what is no UTF-8 then is nobody's name.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = others.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn detailed(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let wanted = Wanted::of(request.uri().query().unwrap_or_default())?;
    let mut vhosts = api.services.broker.vhosts();
    vhosts.retain(|vhost| wanted.includes(vhost));
    let mut families = global::identity(&api, "detailed");
    if wanted.families.is_empty() {
        return Ok(answer(families));
    }
    families.extend(global::families(&api, &[], |family| wanted.has(family), DETAILED));
    let (queues, ages) = (wanted.of_these(QUEUES), wanted.of_these(QUEUE_AGES));
    if !queues.is_empty() {
        let rows = Arc::new(rows::queues(&vhosts, |name| wanted.includes_queue(name), api.now()));
        families.extend(queues.iter().map(|metric| each(DETAILED, metric, &rows, |it| &it.labels)));
        families.extend(ages.iter().map(|metric| each(OWN, metric, &rows, |it| &it.labels)));
    }
    let channels = wanted.of_these(CHANNELS);
    if !channels.is_empty() {
        let rows = Arc::new(rows::channels(&api, &vhosts));
        families.extend(channels.iter().map(|it| each(DETAILED, it, &rows, |row| &row.labels)));
    }
    let connections = wanted.of_these(CONNECTIONS);
    if !connections.is_empty() {
        let rows = Arc::new(rows::connections(&api, &vhosts));
        families.extend(connections.iter().map(|it| each(DETAILED, it, &rows, |row| &row.labels)));
    }
    let (exchanges, all) = (wanted.of_these(EXCHANGES), wanted.of_these(CLUSTER_EXCHANGES));
    if !exchanges.is_empty() || !all.is_empty() {
        let rows = Arc::new(rows::exchanges(&vhosts));
        families.extend(exchanges.iter().map(|it| each(DETAILED, it, &rows, |row| &row.labels)));
        families.extend(all.iter().map(|it| each(CLUSTER, it, &rows, |row| &row.labels)));
    }
    if wanted.has("vhost_status") {
        let names = vhosts.iter().map(|vhost| text::labels(&[("vhost", vhost.name.as_str())]));
        let samples = names.map(|labels| (labels, 1.0)).collect();
        let (name, help) = (format!("{CLUSTER}vhost_status"), "Whether a given vhost is running");
        families.push(several(name, Kind::Gauge, help, samples));
    }
    Ok(answer(families))
}

fn answer(families: Vec<Family>) -> Response {
    let body = Body::new(Text::new(families));
    ([(CONTENT_TYPE, text::CONTENT_TYPE)], body).into_response()
}

/// A family with one sample and no labels.
fn single(name: String, kind: Kind, help: &'static str, value: f64) -> Family {
    several(name, kind, help, vec![(String::new(), value)])
}

/// A family of samples with labels.
fn several(name: String, kind: Kind, help: &'static str, all: Vec<(String, f64)>) -> Family {
    Family {
        name,
        help,
        kind,
        samples: Box::new(move |name, index, out| {
            let Some((labels, value)) = all.get(index) else { return false };
            sample(out, name, "", labels, *value);
            true
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_families_and_vhosts() {
        let query = "family=queue_metrics&vhost=%2F&vhost=a%20b%&family=x&y=z&family&queue=^q.$";
        let wanted = Wanted::of(query).unwrap();
        assert_eq!(wanted.families, ["queue_metrics", "x"]);
        assert_eq!(wanted.vhosts, ["/", "a b%"]);
        assert!(wanted.of_these(QUEUES).iter().any(|metric| metric.name == "queue_consumers"));
        assert!(wanted.of_these(CHANNELS).is_empty());
        assert!(wanted.includes_queue("q1") && !wanted.includes_queue("q12"));
        assert!(Wanted::of("queue=(").is_err());
    }
}
