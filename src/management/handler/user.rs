//! Users, and how they log in.

use axum::Json;
use serde_json::{Value, json};

use crate::auth::Tag;
use crate::management::caller::{Anybody, Caller};

/// How a browser may log in: by name and password alone.
pub(super) async fn auth(_: Anybody) -> Json<Value> {
    Json(json!({ "oauth_enabled": false }))
}

pub(super) async fn whoami(caller: Caller) -> Json<Value> {
    let tags: Vec<_> = caller.user.tags.iter().map(Tag::as_str).collect();
    Json(json!({ "name": caller.user.name.as_str(), "tags": tags }))
}
