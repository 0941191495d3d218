//! Where the description can be read: by programs, and by people.

use std::fmt::Write;

use axum::body::Bytes;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;

use super::document::{document, tag};
use super::routes::{Operation, Routes, Who, get};

/// Adds `/api/openapi.json` and `/api/`, which describe all routes and themselves.
pub(in crate::management) fn describe(routes: Routes) -> Routes {
    let index = "The list of these, to be read by people";
    let described = |json: Bytes, html: Bytes| {
        let page = move || {
            let html = html.clone();
            async move {
                let policy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'";
                let kind = "text/html; charset=utf-8";
                ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, policy)], html).into_response()
            }
        };
        let openapi = move || {
            let json = json.clone();
            async move { ([(CONTENT_TYPE, "application/json")], json).into_response() }
        };
        Routes::new()
            .route("/api", [get(Who::Everybody, page.clone(), index).text("text/html")])
            .route("/api/index.html", [get(Who::Everybody, page, index).text("text/html")])
            .route(
                "/api/openapi.json",
                [get(Who::Everybody, openapi, "This description").answers("object")],
            )
    };
    let mut operations = routes.operations().to_vec();
    operations.extend_from_slice(described(Bytes::new(), Bytes::new()).operations());
    let json = serde_json::to_vec(&document(&operations)).unwrap_or_default();
    routes.merge(described(json.into(), html(&operations).into()))
}

fn html(operations: &[Operation]) -> String {
    let mut sorted: Vec<&Operation> = operations.iter().collect();
    sorted.sort_by_key(|operation| (tag(&operation.path), operation.path.as_str()));
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>leveret: HTTP API</title>\
         <link rel=\"stylesheet\" href=\"../style.css\"><main><h1>HTTP API</h1>\
         <p>For programs: <a href=\"../api/openapi.json\">OpenAPI</a>. Names in a path are \
         percent-encoded: the virtual host / is %2F.</p><table><thead><tr><th>Path</th><th>Method</th>\
         <th>What</th><th>For</th></tr></thead><tbody>",
    );
    for Operation { path, method, summary, who, .. } in sorted {
        let (method, who) = (method.to_uppercase(), who.as_text());
        // None of these has a character that would mean something to a browser.
        let _ = write!(
            html,
            "<tr><td><code>{path}</code></td><td>{method}</td><td>{summary}</td><td>{who}</td></tr>"
        );
    }
    html.push_str("</tbody></table></main></html>\n");
    html
}
