//! Messages as JSON: their properties and bodies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::management::body::{table, text};
use crate::management::json::to_json;
use crate::management::refusal::Refusal;
use crate::protocol::table::encode_table;
use crate::protocol::{Headers, OwnedProperties, Properties};

/// Reads the properties of a message to be published; names that AMQP does not know are left out.
pub(super) fn properties(object: &Map<String, Value>) -> Result<OwnedProperties, Refusal> {
    let shortstr = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= 255 => Ok(Some(text.as_bytes().to_vec())),
        Some(Value::String(_)) => Err(refuse("longer than 255 bytes", key)),
        Some(_) => Err(refuse("not_string", key)),
    };
    let number = |key: &str, max: u64| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(number) if number <= max => Ok(Some(number)),
            _ => Err(refuse("not_int", key)),
        },
        Some(_) => Err(refuse("not_int", key)),
    };
    let octet = |key: &str| {
        let number = number(key, u64::from(u8::MAX))?;
        Ok::<_, Refusal>(number.and_then(|number| u8::try_from(number).ok()))
    };
    Ok(OwnedProperties {
        content_type: shortstr("content_type")?,
        content_encoding: shortstr("content_encoding")?,
        headers: headers(object)?,
        delivery_mode: octet("delivery_mode")?,
        priority: octet("priority")?,
        correlation_id: shortstr("correlation_id")?,
        reply_to: shortstr("reply_to")?,
        expiration: shortstr("expiration")?,
        message_id: shortstr("message_id")?,
        timestamp: number("timestamp", u64::MAX)?,
        kind: shortstr("type")?,
        user_id: shortstr("user_id")?,
        app_id: shortstr("app_id")?,
        cluster_id: shortstr("cluster_id")?,
    })
}

fn refuse(word: &str, key: &str) -> Refusal {
    Refusal::BadRequest(format!("{word}: {key}").into())
}

fn headers(object: &Map<String, Value>) -> Result<Option<Headers>, Refusal> {
    if object.get("headers").is_none_or(Value::is_null) {
        return Ok(None);
    }
    let mut encoded = Vec::new();
    encode_table(&mut encoded, &table(object, "headers")?);
    // The length in front is not part of it.
    Ok(Some(Headers::from_raw(encoded.get(4..).unwrap_or_default())))
}

/// The body of a message to be published.
pub(super) fn payload(object: &Map<String, Value>) -> Result<Vec<u8>, Refusal> {
    let Some(Value::String(payload)) = object.get("payload") else {
        return Err(Refusal::BadRequest("payload_not_string".into()));
    };
    match text(object, "payload_encoding")?.as_deref() {
        Some("string") => Ok(payload.as_bytes().to_vec()),
        Some("base64") => STANDARD.decode(payload).map_err(|_| {
            let payload: String = payload.chars().take(100).collect();
            Refusal::BadRequest(format!("not_base64: {payload}").into())
        }),
        other => {
            let other = other.unwrap_or_default();
            Err(Refusal::BadRequest(format!("unsupported_encoding: {other}").into()))
        }
    }
}

/// Shows the properties of a message.
pub(super) fn shown(properties: &Properties<'_>) -> Value {
    let mut object = Map::new();
    let texts = [
        ("content_type", properties.content_type),
        ("content_encoding", properties.content_encoding),
        ("correlation_id", properties.correlation_id),
        ("reply_to", properties.reply_to),
        ("expiration", properties.expiration),
        ("message_id", properties.message_id),
        ("type", properties.kind),
        ("user_id", properties.user_id),
        ("app_id", properties.app_id),
        ("cluster_id", properties.cluster_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            object.insert(name.to_owned(), String::from_utf8_lossy(text).into());
        }
    }
    let numbers = [
        ("delivery_mode", properties.delivery_mode.map(u64::from)),
        ("priority", properties.priority.map(u64::from)),
        ("timestamp", properties.timestamp),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            object.insert(name.to_owned(), number.into());
        }
    }
    if properties.headers.is_some() {
        let entries = properties.header_entries();
        let headers = entries.filter_map(|(name, value)| {
            let value = value.decode().ok()?;
            Some((String::from_utf8_lossy(name).into_owned(), to_json(&value)))
        });
        object.insert("headers".to_owned(), Value::Object(headers.collect()));
    }
    object.into()
}

/// Shows a body, or the first bytes of it: as text if it is text and may be shown so.
pub(super) fn shown_payload(
    body: &[u8],
    truncate: Option<usize>,
    as_base64: bool,
) -> (String, &'static str) {
    let body = truncate.and_then(|bytes| body.get(..bytes)).unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) if !as_base64 => (text.to_owned(), "string"),
        _ => (STANDARD.encode(body), "base64"),
    }
}
