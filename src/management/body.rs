//! What a request's body says.

use serde_json::{Map, Value};

use super::json::table_from_json;
use super::refusal::Refusal;
use crate::protocol::FieldTable;
use crate::protocol::table::{decode_table, encode_table};

/// The body's object, whatever its content type says; nothing and `null` are an empty one.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let not_json = || Refusal::BadRequest("not_json".into());
    let body = match body.trim_ascii() {
        b"" | b"undefined" => Value::Null,
        text => serde_json::from_slice(text).map_err(|_| not_json())?,
    };
    match body {
        Value::Null => Ok(Map::new()),
        Value::Object(body) => Ok(body),
        _ => Err(not_json()),
    }
}

/// The texts under all of `keys`; those that are not there are named.
pub(super) fn texts<const N: usize>(
    body: &Map<String, Value>,
    keys: [&str; N],
) -> Result<[String; N], Refusal> {
    let missing: Vec<String> = keys
        .into_iter()
        .filter(|key| !body.contains_key(*key))
        .map(|key| format!("{{key_missing,{key}}}"))
        .collect();
    if !missing.is_empty() {
        return Err(Refusal::BadRequest(format!("[{}]", missing.join(",")).into()));
    }
    let mut texts = [const { String::new() }; N];
    for (place, key) in texts.iter_mut().zip(keys) {
        *place = text(body, key)?.unwrap_or_default();
    }
    Ok(texts)
}

/// The text under `key`, if there is one.
pub(super) fn text(body: &Map<String, Value>, key: &str) -> Result<Option<String>, Refusal> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::BadRequest(format!("'{key}' must be a string").into())),
    }
}

/// Tags as an array, or as one text with commas; `None` when they are not there.
pub(super) fn tags(body: &Map<String, Value>) -> Result<Option<Vec<String>>, Refusal> {
    let refuse = || Refusal::BadRequest("'tags' must be strings, or one with commas".into());
    let texts: Vec<&str> = match body.get("tags") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.split(',').collect(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().ok_or_else(refuse)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(refuse()),
    };
    let texts = texts.into_iter().map(str::trim).filter(|text| !text.is_empty());
    Ok(Some(texts.map(str::to_owned).collect()))
}

/// The limit under `value`; a negative one is none. Some tools send numbers as text.
pub(super) fn limit(body: &Map<String, Value>) -> Result<Option<u32>, Refusal> {
    let number = match body.get("value") {
        None => return Err(Refusal::BadRequest("[{key_missing,value}]".into())),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_i64(),
    };
    let refuse = || Refusal::BadRequest("a limit is an integer below 2^32".into());
    match number.ok_or_else(refuse)? {
        ..0 => Ok(None),
        limit => u32::try_from(limit).map(Some).map_err(|_| refuse()),
    }
}

/// What is there and of the wrong kind.
fn wrong(word: &str, value: &Value) -> Refusal {
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Refusal::BadRequest(format!("{word}: {shown}").into())
}

/// The truth value under `key`, false if there is none. Some tools send it as text.
pub(super) fn boolean(body: &Map<String, Value>, key: &str) -> Result<bool, Refusal> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
        Some(other) => Err(wrong("not_boolean", other)),
    }
}

/// The integer under `key`, if there is one. Some tools send it as text.
pub(super) fn integer(body: &Map<String, Value>, key: &str) -> Result<Option<i64>, Refusal> {
    let number = match body.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_i64(),
    };
    let refuse = || wrong("not_integer", body.get(key).unwrap_or(&Value::Null));
    number.map(Some).ok_or_else(refuse)
}

/// Refuses a body without all of `keys`, and names those that are missing.
pub(super) fn require(body: &Map<String, Value>, keys: &[&str]) -> Result<(), Refusal> {
    let missing = keys.iter().filter(|key| !body.contains_key(**key));
    let missing: Vec<String> = missing.map(|key| format!("{{key_missing,{key}}}")).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Refusal::BadRequest(format!("[{}]", missing.join(",")).into())),
    }
}

/// The object under `key` as a table of AMQP; an empty one if there is none. Some tools write an empty
/// object as an empty list.
pub(super) fn table(body: &Map<String, Value>, key: &str) -> Result<FieldTable, Refusal> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(FieldTable::new()),
        Some(Value::Array(items)) if items.is_empty() => Ok(FieldTable::new()),
        Some(Value::Object(object)) => checked_table(object),
        Some(_) => Err(Refusal::BadRequest(format!("'{key}' must be an object").into())),
    }
}

fn checked_table(object: &Map<String, Value>) -> Result<FieldTable, Refusal> {
    if object.values().any(has_null) {
        return Err(Refusal::BadRequest("null_not_allowed".into()));
    }
    let table = table_from_json(object);
    // Names have 255 bytes, and tables are not nested for ever.
    let mut encoded = Vec::new();
    encode_table(&mut encoded, &table);
    match decode_table(&encoded) {
        Ok(([], same)) if same == table => Ok(table),
        _ => Err(Refusal::BadRequest("a table that AMQP cannot carry".into())),
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(object) => object.values().any(has_null),
        _ => false,
    }
}
