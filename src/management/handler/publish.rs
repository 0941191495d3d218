//! Publishes a message: `/exchanges/{vhost}/{exchange}/publish`.
//!
//! It takes the way of a client's publish, with the user's permissions: mandatory, and confirmed before
//! it is answered.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::exchange::name_in_path;
use super::message;
use super::queue::finish;
use super::{Segments, checked_name};
use crate::auth::{Access, Tag};
use crate::broker::{ExtraKeys, Publisher, REPLY_TO, Vhost, check_expiration};
use crate::management::Api;
use crate::management::body::{object, require, text};
use crate::management::caller::Caller;
use crate::management::refusal::Refusal;
use crate::management::rights::Rights;
use crate::message::{Message, Traits, write_address};
use crate::protocol::{AmqpError, OwnedProperties, Properties, ReplyCode};
use crate::queue::Effects;
use crate::storage::{Group, LogPosition};

#[derive(Serialize)]
pub(super) struct Published {
    routed: bool,
}

pub(super) async fn publish(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, exchange)): Segments<(String, String)>,
    body: Bytes,
) -> Result<Json<Published>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let body = object(&body)?;
    require(&body, &["routing_key", "properties", "payload", "payload_encoding"])?;
    let routing_key = checked_name(text(&body, "routing_key")?.unwrap_or_default())?;
    let properties = match body.get("properties") {
        Some(Value::Object(properties)) => message::properties(properties)?,
        // Some languages have one empty thing for lists and objects.
        Some(Value::Array(items)) if items.is_empty() => message::properties(&Map::new())?,
        _ => return Err(Refusal::BadRequest("'properties' must be an object".into())),
    };
    let payload = message::payload(&body)?;
    if let Some(reason) = api.services.broker.alarms.reason() {
        return Err(Refusal::Blocked(reason));
    }
    let mut address = Vec::new();
    write_address(&mut address, name_in_path(&exchange).as_bytes(), routing_key.as_bytes());
    let routed = send(&caller, &api, &vhost, &address, properties, payload)?;
    let Some(upto) = routed else { return Ok(Json(Published { routed: false })) };
    safe(&api, upto).await?;
    Ok(Json(Published { routed: true }))
}

/// Hands the message to its queues. `None` when it goes nowhere; otherwise it is safe once the store is
/// durable up to there.
fn send(
    caller: &Caller,
    api: &Api,
    vhost: &Arc<Vhost>,
    address: &[u8],
    mut properties: OwnedProperties,
    payload: Vec<u8>,
) -> Result<Option<LogPosition>, Refusal> {
    let (exchange, routing_key) = crate::message::shortstrs(address);
    let exchange = String::from_utf8_lossy(exchange).into_owned();
    let broker = &api.services.broker;
    let max = broker.limits.message_size_max();
    if payload.len() as u64 > max {
        let text =
            format!("message size {} is larger than configured max size {max}", payload.len());
        return Err(refused(&AmqpError::new(ReplyCode::PreconditionFailed, text)));
    }
    let encoded = properties.to_bytes();
    let parsed = Properties::parse(&encoded)?;
    let rights = Rights::of(caller, api, vhost);
    rights.exchange(Access::Write, &exchange)?;
    check(caller, &parsed)?;
    let ExtraKeys { keys, hidden } = ExtraKeys::of(&parsed).map_err(|error| refused(&error))?;
    for key in std::iter::once(&routing_key).chain(&keys) {
        rights.topic(Access::Write, vhost, &exchange, key)?;
    }
    let now = api.now();
    let mut publisher = Publisher::new(Arc::clone(vhost), Arc::clone(broker.message_store()));
    let way = publisher.search(address, &keys, &parsed, Some(now))?;
    if !publisher.arrives(way) {
        return Ok(None);
    }
    let message = make(address, &encoded, payload, Traits::of(&parsed));
    let message = match &hidden {
        None => message,
        Some(hidden) => {
            let traits = message.traits();
            if let Some(headers) = &mut properties.headers {
                headers.remove("BCC");
            }
            message.readdressed(address, &properties.to_bytes(), Some(hidden), traits)
        }
    };
    let mut effects = Effects::default();
    publisher.gather(way, message, Some((1, 1)), &mut effects);
    let flushed = publisher.flush(Group::ALONE, now, &mut effects);
    finish(api, vhost, effects);
    match flushed.rejected.is_empty() {
        true => Ok(Some(flushed.log.unwrap_or_default())),
        false => {
            let reason = "rejected Unable to publish message. Check queue limits.";
            Err(Refusal::BadRequest(reason.into()))
        }
    }
}

/// Behaviour B6.2, and B9.2: there is no consumer here that could get a reply.
fn check(caller: &Caller, properties: &Properties<'_>) -> Result<(), Refusal> {
    let refuse = |text: String| refused(&AmqpError::new(ReplyCode::PreconditionFailed, text));
    if properties.reply_to == Some(REPLY_TO.as_bytes()) {
        return Err(refuse("fast reply consumer does not exist".to_owned()));
    }
    if let Some(expiration) = properties.expiration {
        check_expiration(expiration).map_err(|error| refused(&error))?;
    }
    let user = &caller.user;
    match properties.user_id {
        Some(claimed)
            if claimed != user.name.as_bytes() && !user.tags.contains(&Tag::Impersonator) =>
        {
            let claimed = String::from_utf8_lossy(claimed);
            let name = &user.name;
            Err(refuse(format!(
                "user_id property set to '{claimed}' but authenticated user was '{name}'"
            )))
        }
        _ => Ok(()),
    }
}

/// RabbitMQ shows here what a client would have been told.
fn refused(error: &AmqpError) -> Refusal {
    Refusal::BadRequest(format!("{} {}", error.code.number(), error.reply_text()).into())
}

fn make(address: &[u8], properties: &[u8], payload: Vec<u8>, traits: Traits) -> Message {
    // Class and weight, then how long the body is.
    let size = (payload.len() as u64).to_be_bytes();
    let header = [&[0, 60, 0, 0], &size[..], properties].concat();
    if payload.len() <= crate::message::INLINE_BODY_MAX {
        return Message::with_inline_body(address, &header, &payload, traits, &mut Vec::new());
    }
    Message::with_chunks(address, &header, vec![payload.into()], traits)
}

async fn safe(api: &Api, upto: LogPosition) -> Result<(), Refusal> {
    let store = api.services.broker.message_store();
    if store.durable() >= upto {
        return Ok(());
    }
    let (done, durable) = oneshot::channel();
    let wake = move || {
        // Nobody waits any more when the client has hung up.
        let _ = done.send(());
    };
    store.when_durable(upto, Box::new(wake));
    durable.await.map_err(|_| Refusal::NotStored)
}
