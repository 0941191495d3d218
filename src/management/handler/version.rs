//! What is running here.

use axum::Json;

use crate::broker::COMPATIBLE_VERSION;
use crate::management::caller::{Anybody, Caller};
use crate::management::openapi::{Routes, Who, get};

pub(super) fn router() -> Routes {
    Routes::new()
        .route(
            "/version",
            [get(Who::Everybody, version, "The version of RabbitMQ that clients may expect")
                .answers("string")],
        )
        .route("/extensions", [get(Who::User, extensions, "There are none").answers("[any]")])
}

/// The RabbitMQ that clients may take this for: they switch features on by it.
async fn version(_: Anybody) -> Json<&'static str> {
    Json(COMPATIBLE_VERSION)
}

/// Scripts that plugins add to RabbitMQ's pages; there are no plugins here.
async fn extensions(_: Caller) -> Json<[(); 0]> {
    Json([])
}
