//! The aliveness test: a message's way through the broker, walked once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Name;
use crate::broker::{Broker, Flags, Publisher, Vhost};
use crate::management::Api;
use crate::management::caller::Caller;
use crate::management::openapi::{Routes, Who, get};
use crate::management::refusal::Refusal;
use crate::message::{Message, Traits, write_address};
use crate::protocol::{AmqpError, FieldTable, Properties};
use crate::queue::{Declaration, Effects, Got, Queue};
use crate::storage::Group;
use crate::time::Time;

const BODY: &[u8] = b"test_message";

/// Clients compare the answer byte for byte.
pub(super) fn router() -> Routes {
    let summary = "Sends a message through a queue of the virtual host";
    Routes::new().route(
        "/aliveness-test/{vhost}",
        [get(Who::InVhost, aliveness_test, summary).answers("Health")],
    )
}

async fn aliveness_test(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
) -> Result<Response, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    Ok(match walk(&api.services.broker, &vhost, api.now()) {
        Ok(()) => Json(json!({ "status": "ok" })).into_response(),
        Err(reason) => {
            tracing::error!(vhost = %vhost.name, reason, "aliveness test failed");
            let body = json!({ "status": "failed", "reason": reason });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    })
}

/// Declares a queue, publishes to it, gets the message, and removes the queue. RabbitMQ leaves a queue
/// `aliveness-test` behind; a queue that nobody else can name or use neither litters the lists nor
/// meets another one of that name.
fn walk(broker: &Broker, vhost: &Arc<Vhost>, now: Time) -> Result<(), String> {
    let owner = broker.next_connection_id();
    let arguments = FieldTable::default();
    let flags =
        Flags { durable: false, exclusive: true, auto_delete: false, arguments: &arguments };
    let declaration = || {
        Ok(Declaration {
            durable: false,
            auto_delete: false,
            owner: Some(owner),
            arguments: FieldTable::default(),
            options: Arc::default(),
        })
    };
    let name = vhost.generated_queue_name();
    // What ends with its connection is not stored, so there is no commit to wait for.
    let declared = vhost.declare_queue(&name, owner, &declaration, &flags, &|| Box::new(|_| {}));
    let queue = declared.map_err(|error| error.to_string())?.queue;
    let mut effects = Effects::default();
    let walked = publish_and_get(broker, vhost, &queue, now, &mut effects);
    vhost.end_queue(&queue, now, &mut effects);
    effects.wakes.ring();
    match walked {
        Ok(true) => Ok(()),
        Ok(false) => Err("the message did not arrive".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn publish_and_get(
    broker: &Broker,
    vhost: &Arc<Vhost>,
    queue: &Arc<Queue>,
    now: Time,
    effects: &mut Effects,
) -> Result<bool, AmqpError> {
    let mut address = Vec::new();
    write_address(&mut address, b"", queue.name.as_bytes());
    // Class, weight, body size, and no properties.
    let header = [&[0, 60, 0, 0], &(BODY.len() as u64).to_be_bytes()[..], &[0, 0]].concat();
    let message =
        Message::with_inline_body(&address, &header, BODY, Traits::default(), &mut Vec::new());
    let mut publisher = Publisher::new(Arc::clone(vhost), Arc::clone(broker.message_store()));
    let way = publisher.find_way(&address, &Properties::default())?;
    publisher.gather(way, message, None, effects);
    publisher.flush(Group::ALONE, now, effects);
    Ok(match queue.get(true, now, effects) {
        Got::Message { queued, .. } => queued.message.inline_body() == BODY,
        Got::Empty | Got::OnItsWay | Got::NotSupported => false,
    })
}
