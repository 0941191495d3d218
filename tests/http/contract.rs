//! The same requests that RabbitMQ 3.10.8 was asked (`contract/record.py`), and answers of the same shape:
//! status, keys, types of JSON. What is there on top does not matter; what differs is listed with its
//! reason.

use serde_json::{Map, Value, json};

use super::api::{Api, basic, start};

const RECORDED: &str = include_str!("contract/rabbitmq-3.10.8.json");

/// Keys that are not served, wherever they stand, and why.
const ABSENT: [(&str, &str); 8] = [
    ("backing_queue_status", "tells of the inside of RabbitMQ's queues"),
    ("reductions_details", "a rate of Erlang's machine"),
    ("messages_details", "rates are a matter of the statistics"),
    ("messages_ready_details", "rates are a matter of the statistics"),
    ("messages_unacknowledged_details", "rates are a matter of the statistics"),
    ("message_stats", "rates are a matter of the statistics"),
    ("fullsweep_after", "Erlang's"),
    ("garbage_collection", "Erlang's"),
];

/// Requests that are answered with another status, and why.
const STATUS: [(&str, &str, u16, &str); 1] = [(
    "POST",
    "exchanges/contract%2Fv/none/publish",
    404,
    "what is missing is a 404 everywhere, as in RabbitMQ 4",
)];

/// Keys whose type differs, and why.
const TYPES: [(&str, &str); 1] =
    [("reason", "RabbitMQ 3 sometimes has a list; a text is what tools expect")];

/// The beginning of a path, a key there (none is the whole answer), and why it differs.
const KNOWN: [(&str, &str, &str); 8] = [
    ("global-parameters", "", "the broker that was asked had one, a new one has none"),
    ("definitions", "global_parameters", "the broker that was asked had one, a new one has none"),
    ("definitions", "queues", "the broker that was asked had others, too"),
    ("definitions", "exchanges", "the broker that was asked had others, too"),
    ("definitions", "bindings", "the broker that was asked had others, too"),
    ("definitions", "parameters", "parameters of one vhost do not name it, as in RabbitMQ 4"),
    ("vhosts/contract%2Fv", "cmp@localhost", "the name of the node"),
    ("extensions", "", "a list of scripts for RabbitMQ's pages; there are none here"),
];

fn is_known_difference(path: &str, key: &str) -> bool {
    KNOWN.iter().any(|(start, known, _)| path.starts_with(start) && *known == key)
}

fn ask(api: &Api, request: &Value) -> (u16, Value) {
    let text = |key: &str| request[key].as_str().unwrap();
    let body = request.get("body").map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{} /api/{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        text("method"),
        text("path"),
        basic("guest", "guest"),
        body.len()
    );
    let answer = api.send(request.as_bytes());
    let body = if answer.body.is_empty() { Value::Null } else { shape(&answer.json()) };
    (answer.status, body)
}

/// Types instead of values; of a list, that of the first item.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("boolean"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::Object(object) => {
            Value::Object(object.iter().map(|(key, value)| (key.clone(), shape(value))).collect())
        }
    }
}

/// What the recorded answer has and this one has not.
fn differences(path: &str, key: &str, recorded: &Value, answered: &Value) -> Vec<String> {
    let differs = || vec![format!("{key}: {recorded} became {answered}")];
    if TYPES.iter().any(|(known, _)| *known == key) || is_known_difference(path, key) {
        return Vec::new();
    }
    match (recorded, answered) {
        (Value::String(recorded), _) if recorded == "null" => Vec::new(),
        (Value::Object(recorded), Value::Object(answered)) => objects(path, recorded, answered),
        (Value::Array(recorded), Value::Array(answered)) => {
            match (recorded.first(), answered.first()) {
                (Some(recorded), Some(answered)) => differences(path, key, recorded, answered),
                (Some(_), None) => differs(),
                (None, _) => Vec::new(),
            }
        }
        (recorded, answered) if recorded == answered => Vec::new(),
        _ => differs(),
    }
}

fn objects(
    path: &str,
    recorded: &Map<String, Value>,
    answered: &Map<String, Value>,
) -> Vec<String> {
    let is_absent = |key: &str| ABSENT.iter().any(|(known, _)| *known == key);
    let is_known = |key: &str| is_absent(key) || is_known_difference(path, key);
    let wanted = recorded.iter().filter(|(key, _)| !is_known(key));
    let of = |(key, value): (&String, &Value)| match answered.get(key) {
        None => vec![format!("{key} is missing")],
        Some(answered) => differences(path, key, value, answered),
    };
    wanted.flat_map(of).collect()
}

#[test]
fn answers_have_the_shape_of_rabbitmqs() {
    let api = start();
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert!(recorded.len() > 100);
    let mut wrong = Vec::new();
    for request in &recorded {
        let (method, path) =
            (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let (status, answer) = ask(&api, request);
        let known = STATUS.iter().find(|known| (known.0, known.1) == (method, path));
        let expected =
            known.map_or_else(|| request["status"].as_u64().unwrap(), |known| u64::from(known.2));
        if u64::from(status) != expected {
            wrong.push(format!("{method} {path}: {expected} became {status} {answer}"));
        } else if let Some(recorded) = request.get("answer") {
            let found = differences(path, "", recorded, &answer).into_iter();
            wrong.extend(found.map(|what| format!("{method} {path}: {what}")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), recorded.len(), wrong.join("\n"));
}

#[test]
fn differences_are_found() {
    let recorded = json!({"a": "number", "b": [{"c": "string"}], "d": "null"});
    let same = json!({"a": "number", "b": [{"c": "string", "more": "null"}], "d": "string"});
    assert!(differences("", "", &recorded, &same).is_empty());
    let other = json!({"a": "string", "b": [{}]});
    let found = differences("", "", &recorded, &other);
    assert_eq!(found, ["a: \"number\" became \"string\"", "c is missing", "d is missing"]);
}
