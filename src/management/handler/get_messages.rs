//! Takes messages out of a queue, or looks at them: `/queues/{vhost}/{queue}/get`.

use std::future::poll_fn;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;

use super::Segments;
use super::message::{shown, shown_payload};
use super::queue::{finish, used};
use crate::auth::Access;
use crate::broker::{Vhost, resource_queue};
use crate::delivery::Outbox;
use crate::management::Api;
use crate::management::body::{integer, object, require, text};
use crate::management::caller::Caller;
use crate::management::refusal::Refusal;
use crate::message::Queued;
use crate::protocol::{AmqpError, Properties, ReplyCode};
use crate::queue::{Effects, Got, Queue, Waiting};

/// Bytes of bodies that one answer shows; then no further message is taken.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A message as it is shown.
#[derive(Serialize)]
pub(super) struct Message {
    /// Of the whole body, even if less is shown.
    payload_bytes: usize,
    redelivered: bool,
    exchange: String,
    routing_key: String,
    /// How many are left after it.
    message_count: usize,
    properties: Value,
    payload: String,
    payload_encoding: &'static str,
}

/// What becomes of the messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AckMode {
    /// They go back.
    Requeue,
    /// They are done with.
    Take,
    /// They are done with, and dead letters.
    Reject,
}

impl AckMode {
    fn parse(word: &str) -> Result<Self, Refusal> {
        match word {
            "ack_requeue_true" | "reject_requeue_true" => Ok(Self::Requeue),
            "ack_requeue_false" => Ok(Self::Take),
            "reject_requeue_false" => Ok(Self::Reject),
            other => Err(Refusal::BadRequest(
                format!(
                    "Unsupported ackmode '{other}'. Please use ack_requeue_true, \
                     ack_requeue_false, reject_requeue_true or reject_requeue_false."
                )
                .into(),
            )),
        }
    }
}

struct Wanted {
    count: usize,
    mode: AckMode,
    as_base64: bool,
    /// Bytes of a body that are shown.
    truncate: Option<usize>,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let body = object(body)?;
        require(&body, &["ackmode", "count", "encoding"])?;
        let size = |key| -> Result<Option<usize>, Refusal> {
            let refuse = |_| Refusal::BadRequest(format!("'{key}' must not be negative").into());
            integer(&body, key)?.map(|size| usize::try_from(size).map_err(refuse)).transpose()
        };
        Ok(Self {
            count: size("count")?.unwrap_or(0),
            mode: AckMode::parse(&text(&body, "ackmode")?.unwrap_or_default())?,
            as_base64: match text(&body, "encoding")?.as_deref() {
                Some("auto") => false,
                Some("base64") => true,
                _ => {
                    let reason = "Unsupported encoding. Please use auto or base64.";
                    return Err(Refusal::BadRequest(reason.into()));
                }
            },
            truncate: size("truncate")?,
        })
    }
}

pub(super) async fn get(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, name)): Segments<(String, String)>,
    body: Bytes,
) -> Result<Json<Vec<Message>>, Refusal> {
    let vhost = caller.vhost(&api, &vhost)?;
    let wanted = Wanted::read(&body)?;
    let missing = || AmqpError::new(ReplyCode::NotFound, vhost.no_queue(&name).reply_text());
    let queue = used(&caller, &api, &vhost, &name, Access::Read).map_err(|why| match why {
        Refusal::NotFound => missing().into(),
        other => other,
    })?;
    vhost.check_gettable(&queue)?;
    let mut taken =
        Taken { api: &api, vhost: &vhost, queue: &queue, mode: wanted.mode, held: Vec::new() };
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while messages.len() < wanted.count && bytes < ANSWER_BYTES_MAX {
        let Some((queued, remaining)) = taken.next().await? else { break };
        let body = queued.message.body();
        bytes += wanted.truncate.map_or(body.len(), |most| most.min(body.len()));
        let (payload, payload_encoding) = shown_payload(&body, wanted.truncate, wanted.as_base64);
        let properties = queued.message.parsed_properties();
        messages.push(Message {
            payload_bytes: body.len(),
            redelivered: queued.redelivered,
            exchange: String::from_utf8_lossy(queued.message.exchange()).into_owned(),
            routing_key: String::from_utf8_lossy(queued.message.routing_key()).into_owned(),
            message_count: remaining,
            properties: shown(&properties.unwrap_or_else(|_| Properties::default())),
            payload,
            payload_encoding,
        });
    }
    drop(taken);
    Ok(Json(messages))
}

/// Messages in this request's hands. Whatever happens to it, they are settled, all of them at the end, so
/// that none comes twice.
struct Taken<'a> {
    api: &'a Api,
    vhost: &'a Arc<Vhost>,
    queue: &'a Arc<Queue>,
    mode: AckMode,
    held: Vec<Queued>,
}

impl Taken<'_> {
    /// The next message, and how many are left; none when there is none.
    async fn next(&mut self) -> Result<Option<(Queued, usize)>, Refusal> {
        let outbox = Arc::new(Outbox::new(0));
        loop {
            let mut effects = Effects::default();
            let got = self.queue.get(self.mode == AckMode::Take, self.api.now(), &mut effects);
            if let Got::OnItsWay = got {
                let waiting = Waiting { outbox: Arc::clone(&outbox), channel: 0, ticket: 0 };
                self.queue.when_ready(waiting, &mut effects);
            }
            finish(self.api, self.vhost, effects);
            match got {
                Got::Message { queued, remaining } => {
                    if self.mode != AckMode::Take {
                        self.held.push(queued.clone());
                    }
                    return Ok(Some((queued, remaining)));
                }
                Got::Empty => return Ok(None),
                Got::OnItsWay => poll_fn(|context| outbox.poll_rung(context)).await,
                Got::NotSupported => {
                    let resource = resource_queue(self.queue.name.as_str(), &self.vhost.name);
                    let text = format!("basic.get not supported by stream queues {resource}");
                    return Err(AmqpError::new(ReplyCode::NotImplemented, text).into());
                }
            }
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return;
        }
        let (now, mut effects) = (self.api.now(), Effects::default());
        match self.mode {
            AckMode::Take => {}
            AckMode::Reject => self.queue.reject(None, held, now, &mut effects),
            AckMode::Requeue => {
                for queued in &mut held {
                    queued.redelivered = true;
                    queued.delivery_count = queued.delivery_count.saturating_add(1);
                }
                let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
                self.queue.requeue(held, &[(None, count)], now, &mut effects);
            }
        }
        finish(self.api, self.vhost, effects);
    }
}
