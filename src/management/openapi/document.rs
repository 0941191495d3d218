//! The OpenAPI document.

use serde_json::{Map, Value, json};

use super::notation::{put, schema};
use super::routes::{Answer, LIST, Operation, SAMPLES, Who};
use super::schemas::{SCHEMAS, find};

/// OpenAPI 3.1, whose schemas are JSON schemas.
pub(super) fn document(operations: &[Operation]) -> Value {
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        put(path, operation.method, described(operation));
    }
    let schemas = SCHEMAS.iter().map(|(name, text)| ((*name).to_owned(), schema(text, &find)));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "leveret",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The HTTP API of the broker, that of RabbitMQ's management plugin",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "basic": [] }, { "bearer": [] }],
        "tags": tags(operations),
        "paths": paths,
        "components": {
            "schemas": schemas.collect::<Map<String, Value>>(),
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

impl Who {
    pub(super) fn as_text(self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::User => "users with a tag",
            Self::InVhost => "who may enter the virtual host",
            Self::Owner => "the user whose it is, monitors to look, administrators to change",
            Self::Policymaker => "policymakers",
            Self::Monitor => "monitors",
            Self::Administrator => "administrators",
        }
    }
}

/// What follows `/api/` first: the noun.
pub(super) fn tag(path: &str) -> &str {
    let path = path.strip_prefix("/api").unwrap_or(path);
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}

fn tags(operations: &[Operation]) -> Value {
    let mut tags: Vec<&str> = operations.iter().map(|operation| tag(&operation.path)).collect();
    tags.sort_unstable();
    tags.dedup();
    tags.into_iter().map(|tag| json!({ "name": tag })).collect()
}

fn described(operation: &Operation) -> Value {
    let Operation { path, who, summary, body, .. } = operation;
    let mut described = json!({
        "operationId": id(operation),
        "tags": [tag(path)],
        "summary": summary,
        "description": format!("For {}.", who.as_text()),
        "parameters": parameters(operation),
        "responses": responses(operation),
    });
    if let Some(body) = body {
        let content = json!({ "application/json": { "schema": schema(body, &find) } });
        put(&mut described, "requestBody", json!({ "content": content }));
    }
    if *who == Who::Everybody {
        put(&mut described, "security", json!([]));
    }
    described
}

/// The method and the words of the path.
fn id(operation: &Operation) -> String {
    let words = operation.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    std::iter::once(operation.method).chain(words).collect::<Vec<_>>().join("_")
}

fn parameters(operation: &Operation) -> Value {
    let segments = operation.path.split('/');
    let names = segments.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string" },
            "description": match name {
                "kind" => "q for a queue, e for an exchange",
                "unit" => "days, weeks, months or years",
                "exchange" | "source" => "amq.default is the one without a name",
                _ => "percent-encoded: / is %2F",
            },
        })
    });
    let of_lists = match operation.answer {
        Answer::List(_) => LIST,
        _ => &[],
    };
    let in_query = operation.query.iter().chain(of_lists).map(|name| {
        let kind = match *name {
            "page" | "page_size" | "count" | "truncate" => "integer",
            name if SAMPLES.contains(&name) => "integer",
            "sort_reverse"
            | "use_regex"
            | "if-unused"
            | "if-empty"
            | "disable_stats"
            | "enable_queue_totals" => "boolean",
            _ => "string",
        };
        let several = json!({ "type": "array", "items": { "type": "string" } });
        let schema = match *name {
            "family" | "vhost" => several,
            _ => json!({ "type": kind }),
        };
        json!({ "name": name, "in": "query", "schema": schema })
    });
    in_path.chain(in_query).collect()
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for (index, status) in operation.statuses.iter().enumerate() {
        let (description, content) = match operation.answer {
            Answer::Json(text) if index == 0 => {
                ("What was asked for", json_of(schema(text, &find)))
            }
            Answer::List(text) if index == 0 => {
                ("All of them, or with `page` a page", json_of(list(text)))
            }
            Answer::Text(kind) if index == 0 => {
                ("Text", json!({ kind: { "schema": { "type": "string" } } }))
            }
            _ => (done(*status), Value::Null),
        };
        let mut response = json!({ "description": description });
        if !content.is_null() {
            put(&mut response, "content", content);
        }
        responses.insert(status.to_string(), response);
    }
    let refused = json!({
        "description": "Why not; empty where nobody has logged in",
        "content": json_of(schema("Error", &find)),
    });
    responses.insert("4XX".to_owned(), refused.clone());
    responses.insert("5XX".to_owned(), refused);
    if operation.path.starts_with("/api/health/") || operation.path.contains("/aliveness-test/") {
        let failed = json!({
            "description": "The check has failed",
            "content": json_of(schema("Health", &find)),
        });
        responses.insert("503".to_owned(), failed);
    }
    responses.into()
}

fn json_of(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn list(item: &str) -> Value {
    let items = format!("[{item}]");
    let page = format!("...Page, items: {items}");
    json!({ "anyOf": [schema(&items, &find), schema(&page, &find)] })
}

fn done(status: u16) -> &'static str {
    match status {
        201 => "It was made",
        _ => "Done",
    }
}
