//! Clients of the stream protocol, as RabbitMQ's plugin shows them. It is not spoken here, so there are none: streams are
//! written and read over AMQP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{Name, Segments};
use crate::management::Api;
use crate::management::caller::Caller;
use crate::management::openapi::{Routes, Who, get};
use crate::management::refusal::Refusal;

pub(super) fn router() -> Routes {
    let of_all = || [get(Who::User, nobody, "There are none").answers("[any]")];
    let of_vhost = || [get(Who::InVhost, nobody_in, "There are none").answers("[any]")];
    Routes::new()
        .route("/connections", of_all())
        .route("/connections/{vhost}", of_vhost())
        .route("/consumers", of_all())
        .route("/consumers/{vhost}", of_vhost())
        .route("/publishers", of_all())
        .route("/publishers/{vhost}", of_vhost())
        .route(
            "/publishers/{vhost}/{queue}",
            [get(Who::InVhost, nobody_at, "There are none").answers("[any]")],
        )
}

async fn nobody(_: Caller) -> Json<Value> {
    Json(json!([]))
}

async fn nobody_in(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Name(vhost): Name,
) -> Result<Json<Value>, Refusal> {
    caller.vhost(&api, &vhost)?;
    Ok(nobody(caller).await)
}

async fn nobody_at(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Segments((vhost, queue)): Segments<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    caller.vhost(&api, &vhost)?.find_queue(&queue).ok_or(Refusal::NotFound)?;
    Ok(nobody(caller).await)
}
