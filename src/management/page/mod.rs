//! The web page: files that are part of the program, and nothing from outside.
//!
//! They are written as browsers read them (modules, one style sheet), so there is nothing to build. A
//! browser asks with what it has and mostly hears that it is still good.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Api;
use super::refusal::Refusal;

/// Nothing but our own files runs, and nobody may put the page into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

const FILES: &[(&str, &str)] = &[
    ("", include_str!("assets/index.html")),
    ("icon.svg", include_str!("assets/icon.svg")),
    ("style.css", include_str!("assets/style.css")),
    ("main.js", include_str!("assets/main.js")),
    ("api.js", include_str!("assets/api.js")),
    ("chart.js", include_str!("assets/chart.js")),
    ("dom.js", include_str!("assets/dom.js")),
    ("form.js", include_str!("assets/form.js")),
    ("format.js", include_str!("assets/format.js")),
    ("live.js", include_str!("assets/live.js")),
    ("notice.js", include_str!("assets/notice.js")),
    ("rights.js", include_str!("assets/rights.js")),
    ("table.js", include_str!("assets/table.js")),
    ("views/admin.js", include_str!("assets/views/admin.js")),
    ("views/bindings.js", include_str!("assets/views/bindings.js")),
    ("views/channels.js", include_str!("assets/views/channels.js")),
    ("views/connections.js", include_str!("assets/views/connections.js")),
    ("views/exchanges.js", include_str!("assets/views/exchanges.js")),
    ("views/login.js", include_str!("assets/views/login.js")),
    ("views/messages.js", include_str!("assets/views/messages.js")),
    ("views/overview.js", include_str!("assets/views/overview.js")),
    ("views/policies.js", include_str!("assets/views/policies.js")),
    ("views/publish.js", include_str!("assets/views/publish.js")),
    ("views/queues.js", include_str!("assets/views/queues.js")),
    ("views/users.js", include_str!("assets/views/users.js")),
    ("views/vhosts.js", include_str!("assets/views/vhosts.js")),
];

/// The page at `/`, and its files beside it.
pub(super) fn router() -> Router<Arc<Api>> {
    let root = |headers: HeaderMap| async move { file("", &headers) };
    let named = |Path(name): Path<String>, headers: HeaderMap| async move { file(&name, &headers) };
    Router::new().route("/", get(root)).route("/{file}", get(named)).route(
        "/views/{file}",
        get(|Path(name): Path<String>, headers: HeaderMap| async move {
            file(&format!("views/{name}"), &headers)
        }),
    )
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some((_, content)) = FILES.iter().find(|(file, _)| *file == name) else {
        return Refusal::NotFound.into_response();
    };
    // With a new version of the program every file counts as changed.
    let version = concat!("\"", env!("CARGO_PKG_VERSION"), "-");
    let tag = format!("{version}{:08x}\"", crc32c::crc32c(content.as_bytes()));
    let fixed: [(HeaderName, &str); 6] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_TYPE, kind(name)),
    ];
    let is_known =
        headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => (*content).into_response(),
    };
    let headers = answer.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    answer
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    }
}
