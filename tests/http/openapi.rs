//! The description of the API at `/api/openapi.json`, against what is answered.
//!
//! Every answer that any test here gets is compared with it: keys and types of JSON.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::api::{Answer, Api, basic, start};

/// What the API says of itself: the same whoever is asked.
fn document(api: &Api) -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let request = b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = api.send_unchecked(request);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    })
}

/// Fails unless the answer is one that is described. Of requests that nobody should make, and of paths
/// that are not there, nothing is described.
#[track_caller]
pub fn expect_described(api: &Api, request: &[u8], answer: &Answer) {
    let text = String::from_utf8_lossy(request);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return };
    let document = document(api);
    let Some(operation) = operation(document, method, path) else { return };
    let found = differences(document, operation, path, answer);
    assert!(found.is_empty(), "{method} {path}: {}\n{}", found.join("\n"), answer.body);
}

/// The segments of the described path that fits best: names before what stands for any.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next()?.trim_end_matches('/');
    let asked: Vec<&str> = path.split('/').collect();
    let fits = |template: &&String| {
        let wanted: Vec<&str> = template.split('/').collect();
        let same = |(a, b): (&&str, &&str)| a == b || a.starts_with('{') && !b.is_empty();
        wanted.len() == asked.len() && wanted.iter().zip(&asked).all(same)
    };
    let paths = document["paths"].as_object()?;
    let template = paths.keys().filter(fits).min_by_key(|path| path.matches('{').count())?;
    paths[template].get(method.to_lowercase())
}

fn differences(document: &Value, operation: &Value, path: &str, answer: &Answer) -> Vec<String> {
    let responses = &operation["responses"];
    let status = answer.status.to_string();
    let class = format!("{}XX", answer.status / 100);
    let Some(response) = responses.get(&status).or_else(|| responses.get(&class)) else {
        return vec![format!("status {status} is not described")];
    };
    let schema = response.pointer("/content/application~1json/schema");
    let kind = answer.header("content-type").unwrap_or_default();
    match (schema, answer.body.is_empty()) {
        // Where nobody has logged in, and the like.
        (Some(_), true) if answer.status >= 400 => Vec::new(),
        (Some(_), true) => vec!["there is no body".to_owned()],
        (None, true) => Vec::new(),
        (None, false) if response["content"].get(kind.split(';').next().unwrap()).is_some() => {
            Vec::new()
        }
        (None, false) => vec![format!("a body of {kind} is not described")],
        (Some(schema), false) => {
            let value = answer.json();
            // Then, only some keys are wanted.
            let is_whole = !path.contains("columns=");
            Check { document, is_whole }.differences(schema, &value, "")
        }
    }
}

struct Check<'a> {
    document: &'a Value,
    is_whole: bool,
}

impl Check<'_> {
    fn differences(&self, schema: &Value, value: &Value, place: &str) -> Vec<String> {
        if let Some(name) = schema["$ref"].as_str() {
            let schema = self.document.pointer(name.trim_start_matches('#'));
            return self.differences(schema.expect(name), value, place);
        }
        if let Some(all) = schema["anyOf"].as_array() {
            let all = all.iter().map(|schema| self.differences(schema, value, place));
            return all.min_by_key(Vec::len).unwrap();
        }
        let differs = |kind: &str| vec![format!("{place}: {value} is not {kind}")];
        match (schema["type"].as_str(), value) {
            (None, _)
            | (Some("null"), Value::Null)
            | (Some("boolean"), Value::Bool(_))
            | (Some("number"), Value::Number(_))
            | (Some("string"), Value::String(_)) => Vec::new(),
            (Some("integer"), Value::Number(number)) if !number.is_f64() => Vec::new(),
            (Some("array"), Value::Array(items)) => {
                let items = items.iter().enumerate();
                let of = |(index, item)| {
                    self.differences(&schema["items"], item, &format!("{place}[{index}]"))
                };
                items.flat_map(of).collect()
            }
            (Some("object"), Value::Object(object)) => self.object(schema, object, place),
            (Some(kind), _) => differs(kind),
        }
    }

    fn object(&self, schema: &Value, object: &Map<String, Value>, place: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (key, value) in object {
            let place = format!("{place}.{key}");
            let known =
                schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
            match known {
                Some(schema) => found.extend(self.differences(schema, value, &place)),
                // Of free ones, nothing is said.
                None if schema.get("properties").is_none() => {}
                None => found.push(format!("{place} is not described")),
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        let missing =
            required.map(|key| key.as_str().unwrap()).filter(|key| !object.contains_key(*key));
        if self.is_whole {
            found.extend(missing.map(|key| format!("{place}.{key} is missing")));
        }
        found
    }
}

/// Method and path of everything that is described, with names that nothing has.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, operations)| {
            let asked: Vec<&str> = path
                .split('/')
                .map(|part| if part.starts_with('{') { "no-such" } else { part })
                .collect();
            let asked = asked.join("/");
            operations
                .as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (method.to_uppercase(), asked.clone(), operation))
        })
        .collect()
}

#[test]
fn description_is_for_everybody() {
    let api = start();
    let answer = api.get("", "/api/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"].as_object().unwrap().len() > 100);
    for path in ["/api", "/api/", "/api/index.html"] {
        let page = api.get("", path);
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(page.body.contains("<code>/api/queues/{vhost}/{queue}/get</code>"), "{path}");
    }
}

/// The router is asked what it takes.
#[test]
fn described_methods_are_those_that_are_served() {
    let api = start();
    let document = document(&api);
    for (path, operations) in document["paths"].as_object().unwrap() {
        let mut described: BTreeSet<String> =
            operations.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if described.contains("GET") {
            described.insert("HEAD".to_owned());
        }
        described.insert("OPTIONS".to_owned());
        let asked = path.replace(['{', '}'], "");
        let answer = api.ask("OPTIONS", &asked, &[]);
        let allowed = answer.header("allow").unwrap_or_default().split(", ").map(str::to_owned);
        assert_eq!(allowed.collect::<BTreeSet<_>>(), described, "{path}");
    }
}

/// There is no other way to make a route than one that asks for its description.
#[test]
fn routes_are_made_with_their_description_only() {
    fn look(directory: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, found);
            } else if std::fs::read_to_string(&path).unwrap().contains("Router::new()") {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let management = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/management");
    let mut found = Vec::new();
    look(&management.join("handler"), &mut found);
    look(&management.join("metrics"), &mut found);
    look(&management.join("openapi"), &mut found);
    assert_eq!(found, ["routes.rs"]);
}

#[test]
fn who_may_ask_is_who_is_described() {
    let api = start();
    let (administrators, monitors, policymakers) =
        ("For administrators.", "For monitors.", "For policymakers.");
    for (method, path, operation) in operations(document(&api)) {
        // It is what there is to log in with.
        if path == "/api/login" {
            continue;
        }
        let is_open = operation.get("security") == Some(&json!([]));
        let said = operation["description"].as_str().unwrap();
        let answer = api.ask(&method, &path, &[]);
        assert_eq!(answer.status == 401, !is_open, "{method} {path} for nobody");
        if said.starts_with("For the user whose it is") {
            continue;
        }
        for (user, is_refused) in [
            ("mouse", !is_open),
            ("hare", [administrators, monitors, policymakers].contains(&said)),
            ("wolf", [administrators, monitors].contains(&said)),
            ("owl", [administrators, policymakers].contains(&said)),
            ("guest", false),
        ] {
            // An administrator's would make things, which are there for the next.
            if user == "guest" && method != "GET" {
                continue;
            }
            let answer = api.ask(&method, &path, &[&basic(user, user)]);
            // Some look first whether the virtual host is there, which is nobody's secret.
            let is_missing = is_refused && answer.status == 404 && path.contains("no-such");
            let is_as_said = (answer.status == 401) == is_refused || is_missing;
            assert!(is_as_said, "{method} {path}: {said} {user}: {answer:?}");
        }
    }
}

#[test]
fn differences_are_found() {
    let document = json!({
        "components": { "schemas": { "B": { "type": "object", "properties": {
            "c": { "type": "integer" }, "d": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
        }, "required": ["c"] } } },
    });
    let schema = json!({ "type": "array", "items": { "$ref": "#/components/schemas/B" } });
    let check = Check { document: &document, is_whole: true };
    let of = |value: Value| check.differences(&schema, &value, "");
    assert!(of(json!([{ "c": 1 }, { "c": 2, "d": null }, { "c": 3, "d": "x" }])).is_empty());
    assert_eq!(of(json!([{ "c": 1.5 }])), ["[0].c: 1.5 is not integer"]);
    assert_eq!(of(json!([{ "c": 1, "d": true }])), ["[0].d: true is not string"]);
    assert_eq!(of(json!([{ "c": 1, "e": 1 }])), ["[0].e is not described"]);
    assert_eq!(of(json!([{}])), ["[0].c is missing"]);
    assert_eq!(of(json!({})), [": {} is not array"]);
}
