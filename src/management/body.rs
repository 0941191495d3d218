//! What a request's body says.

use serde_json::{Map, Value};

use super::refusal::Refusal;

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
