//! What is running here.

use axum::Json;

use crate::broker::COMPATIBLE_VERSION;
use crate::management::caller::{Anybody, Caller};

/// The RabbitMQ that clients may take this for: they switch features on by it.
pub(super) async fn version(_: Anybody) -> Json<&'static str> {
    Json(COMPATIBLE_VERSION)
}

/// Scripts that plugins add to RabbitMQ's pages; there are no plugins here.
pub(super) async fn extensions(_: Caller) -> Json<[(); 0]> {
    Json([])
}
