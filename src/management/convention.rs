//! The manners of every answer, whatever was asked: RabbitMQ's tools rely on them.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, VARY};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tower_service::Service;

use super::gzip;
use super::refusal::Refusal;
use crate::names::AUDIT;
use crate::protocol::wire::put;

/// Bytes of a request's body.
pub(super) const BODY_BYTES_MAX: usize = 20_000_000;

/// How long a request may take, its body's arrival included.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// What is asked for stands behind `prefix`, which may be empty.
pub(super) async fn answer(
    mut router: Router,
    prefix: &str,
    mut request: Request<Body>,
) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let anonymous = !request.headers().contains_key(AUTHORIZATION);
    let packs = gzip::is_accepted(request.headers());
    let mut response = if announces_too_much(request.headers()) {
        Refusal::BadRequest("Exceeded HTTP request body size limit".into()).into_response()
    } else {
        trim_trailing_slash(request.uri_mut());
        // What is elsewhere is nowhere.
        if !strip_prefix(request.uri_mut(), prefix) {
            *request.uri_mut() = Uri::from_static("/404/404");
        }
        match tokio::time::timeout(REQUEST_TIME_MAX, router.call(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => Refusal::TimedOut.into_response(),
        }
    };
    audit(&method, &path, anonymous, response.status());
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        // No handler takes OPTIONS, so this is also how it learns what the others take.
        if method == Method::OPTIONS {
            *response.status_mut() = StatusCode::OK;
        }
        let allow = allow(response.headers());
        response.headers_mut().insert(ALLOW, allow);
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding, origin"));
    if packs && method != Method::HEAD { gzip::pack(response) } else { response }
}

/// Every request that is refused, or that could have changed something, is said to the audit log, with
/// who asked. What it changed is said where it is changed.
fn audit(method: &Method, path: &str, anonymous: bool, status: StatusCode) {
    let (method, reads) = (method.as_str(), method.is_safe());
    let path = put::cut(path, 1024);
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        // Browsers and some libraries ask so at first.
        if !anonymous {
            tracing::warn!(target: AUDIT, method, path, status = status.as_u16(), "request refused");
        }
    } else if !reads {
        tracing::info!(target: AUDIT, method, path, status = status.as_u16(), "request answered");
    }
}

/// What reads a body stops at the limit; what does not is told before it is sent.
fn announces_too_much(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: u64| length > BODY_BYTES_MAX as u64)
}

/// `/api/version/` is `/api/version`. The path is still encoded: a name's own slashes are `%2F`.
fn trim_trailing_slash(uri: &mut Uri) {
    let trimmed = uri.path().trim_end_matches('/').to_owned();
    if trimmed.is_empty() || trimmed.len() == uri.path().len() {
        return;
    }
    set_path(uri, &trimmed);
}

/// False if the path is not behind the prefix.
fn strip_prefix(uri: &mut Uri, prefix: &str) -> bool {
    if prefix.is_empty() {
        return true;
    }
    match uri.path().strip_prefix(prefix).map(str::to_owned) {
        Some(rest) if rest.is_empty() => set_path(uri, "/"),
        Some(rest) if rest.starts_with('/') => set_path(uri, &rest),
        _ => return false,
    }
    true
}

fn set_path(uri: &mut Uri, path: &str) {
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // Part of a valid path is one.
    if let Ok(path) = PathAndQuery::try_from(path) {
        let mut parts = std::mem::take(uri).into_parts();
        parts.path_and_query = Some(path);
        *uri = Uri::from_parts(parts).unwrap_or_default();
    }
}

/// The methods that the router found, and OPTIONS.
fn allow(headers: &HeaderMap) -> HeaderValue {
    let found = headers.get(ALLOW).and_then(|allow| allow.to_str().ok()).unwrap_or_default();
    let mut methods: Vec<_> = found.split(',').map(str::trim).filter(|m| !m.is_empty()).collect();
    methods.push("OPTIONS");
    HeaderValue::try_from(methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

/// Whether the client takes JSON. Answering those who prefer `application/bert` with JSON is what
/// RabbitMQ does since it dropped that format.
pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    let ranges: Vec<(String, bool)> = headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter(|range| !range.trim().is_empty())
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            (name, weight.is_none_or(|weight| weight > 0.0))
        })
        .collect();
    // The most specific range decides.
    ["application/json", "application/bert", "application/*", "*/*"]
        .iter()
        .find_map(|name| ranges.iter().find(|range| range.0 == *name))
        .map_or(ranges.is_empty(), |range| range.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_accepted_unless_it_is_excluded() {
        for (accept, expected) in [
            ("", true),
            ("*/*", true),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/*;q=0.1", true),
            ("text/html, */*;q=0.8", true),
            ("application/bert, application/json;q=0.1", true),
            ("application/bert", true),
            ("text/html", false),
            ("text/html, application/xml", false),
            ("*/*;q=0", false),
            ("*/*, application/json;q=0", false),
            ("json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(accepts_json(&headers), expected, "{accept:?}");
        }
        assert!(accepts_json(&HeaderMap::new()));
    }

    #[test]
    fn slashes_at_the_end_of_a_path_do_not_count() {
        for (uri, expected) in [
            ("/api/version", "/api/version"),
            ("/api/version/", "/api/version"),
            ("/api/version//?a=/", "/api/version?a=/"),
            ("/api/vhosts/%2F/", "/api/vhosts/%2F"),
            ("http://host:1/api/version/", "http://host:1/api/version"),
            ("/", "/"),
            ("*", "*"),
        ] {
            let mut trimmed: Uri = uri.parse().unwrap();
            trim_trailing_slash(&mut trimmed);
            assert_eq!(trimmed, expected, "{uri}");
        }
    }
}
