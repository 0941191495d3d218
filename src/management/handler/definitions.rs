//! All that is configured, to be kept and brought back: `/definitions`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Name;
use crate::management::Api;
use crate::management::caller::Administrator;
use crate::management::commit::{completion, wait};
use crate::management::definitions::{Document, apply, export};
use crate::management::openapi::{Routes, Who, get, post};
use crate::management::query::Query;
use crate::management::refusal::Refusal;
use crate::names::VhostName;

pub(super) fn router() -> Routes {
    let who = Who::Administrator;
    Routes::new()
        .route(
            "/",
            [
                get(who, whole, "All definitions").answers("Definitions").query(&["download"]),
                post(who, import, "Imports definitions, all or none").takes("Definitions"),
            ],
        )
        .route("/upload", [post(who, import, "The same from a form").takes("Definitions")])
        .route(
            "/{vhost}",
            [
                get(who, of_vhost, "Definitions of a virtual host")
                    .answers("VhostDefinitions")
                    .query(&["download"]),
                post(who, import_vhost, "Imports them into a virtual host, all or none")
                    .takes("VhostDefinitions"),
            ],
        )
}

/// What would be refused of a document, without doing what it says.
pub(super) fn validation_router() -> Routes {
    let who = Who::Administrator;
    let what = "Checks what an import would take, and changes nothing";
    Routes::new()
        .route("/", [post(who, validate, what).takes("Definitions")])
        .route("/{vhost}", [post(who, validate_vhost, what).takes("VhostDefinitions")])
}

async fn whole(_: Administrator, State(api): State<Arc<Api>>, query: Query) -> Response {
    answer(&query, &export::broker(&api))
}

async fn of_vhost(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    query: Query,
) -> Result<Response, Refusal> {
    let unknown = || Refusal::BadRequest("vhost_not_found".into());
    let vhost = api.services.broker.vhost(&vhost).ok_or_else(unknown)?;
    Ok(answer(&query, &export::vhost(&vhost)))
}

/// A browser saves it under the name that `download` gives.
fn answer(query: &Query, document: &impl Serialize) -> Response {
    let mut response = Json(document).into_response();
    if let Some(name) = query.get("download") {
        let name: String = name.chars().filter(|c| !c.is_control() && *c != '"').collect();
        let attachment = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
        let attachment = attachment.unwrap_or(HeaderValue::from_static("attachment"));
        response.headers_mut().insert(CONTENT_DISPOSITION, attachment);
    }
    response
}

async fn import(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let document = read(&headers, &body, None, &api)?;
    tracing::info!(by = %administrator.name(), "definitions imported");
    take(document, &api).await
}

async fn validate(
    _: Administrator,
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    read(&headers, &body, None, &api)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn validate_vhost(
    _: Administrator,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let vhost = api.services.broker.vhost(&vhost).ok_or_else(|| Refusal::NotFound.or_no_vhost())?;
    read(&headers, &body, Some(&vhost.name), &api)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn import_vhost(
    administrator: Administrator,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let vhost = api.services.broker.vhost(&vhost).ok_or_else(|| Refusal::NotFound.or_no_vhost())?;
    let document = read(&headers, &body, Some(&vhost.name), &api)?;
    tracing::info!(vhost = %vhost.name, by = %administrator.name(), "definitions imported");
    take(document, &api).await
}

fn read(
    headers: &HeaderMap,
    body: &[u8],
    only: Option<&VhostName>,
    api: &Api,
) -> Result<Document, Refusal> {
    let document = document(headers, body)?;
    Document::read(&[document], only, api.target()).map_err(|wrong| wrong.refusal)
}

/// Answers when all of it is durable.
async fn take(document: Document, api: &Api) -> Result<StatusCode, Refusal> {
    apply(document, api.target());
    let (notify, committed) = completion();
    let store = api.services.broker.definition_store();
    let commit = store.when_committed(store.requested(), notify());
    wait(commit, committed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The document: the body itself, or the file of a form.
fn document(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let json = match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => body,
        "multipart/form-data" => {
            let missing = || Refusal::BadRequest("the form has no field 'file'".into());
            file(kind, body).ok_or_else(missing)?
        }
        _ => return Err(Refusal::UnsupportedMediaType),
    };
    let parsed = serde_json::from_slice(json);
    parsed.map_err(|_| Refusal::BadRequest("failed_to_parse_json".into()))
}

/// The content of the field `file` of a form (RFC 7578).
fn file<'a>(content_type: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    let (_, boundary) = content_type.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let delimiter = format!("--{boundary}");
    let mut rest = body;
    loop {
        let start = find(rest, delimiter.as_bytes())? + delimiter.len();
        let part = rest.get(start..)?.strip_prefix(b"\r\n")?;
        let end = find(part, format!("\r\n{delimiter}").as_bytes())?;
        let head = find(part, b"\r\n\r\n").filter(|head| *head <= end)?;
        let (headers, content) = (part.get(..head)?, part.get(head + 4..end)?);
        if String::from_utf8_lossy(headers).contains("name=\"file\"") {
            return Some(content);
        }
        rest = part.get(end + 2..)?;
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "multipart/form-data; boundary=xyz";

    #[test]
    fn file_of_a_form_is_found_among_other_fields() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"pw\"\r\n\r\nsecret\r\n\
                     --xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\
                     Content-Type: application/json\r\n\r\n{\"a\":\r\n1}\r\n--xyz--\r\n";
        assert_eq!(file(FORM, body), Some(&b"{\"a\":\r\n1}"[..]));
        assert_eq!(file("multipart/form-data; boundary=\"xyz\"", body), file(FORM, body));
    }

    #[test]
    fn form_without_a_file_has_none() {
        for body in [
            &b""[..],
            b"--xyz--",
            b"--xyz\r\n",
            b"--xyz\r\nname=\"file\"\r\n\r\n{}",
            b"--xyz\r\nname=\"other\"\r\n\r\n{}\r\n--xyz--\r\n",
            b"--abc\r\nname=\"file\"\r\n\r\n{}\r\n--abc--\r\n",
        ] {
            assert_eq!(file(FORM, body), None, "{:?}", String::from_utf8_lossy(body));
        }
        assert_eq!(file("multipart/form-data", b"--\r\nname=\"file\"\r\n\r\n{}\r\n--"), None);
    }
}
