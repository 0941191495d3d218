//! Answers that say no.

use std::borrow::Cow;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What `WWW-Authenticate` offers. Clients in Java send no credentials before they were asked for.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");

/// Why a request is not answered, in RabbitMQ's words where people or tools look for them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody said who is asking.
    NoCredentials,
    /// Whoever it is, it is not that user.
    LoginFailed,
    /// The user is known and may not. RabbitMQ answers 401 here too, without a challenge: other
    /// credentials of the same user would not help.
    NotAuthorised(&'static str),
    NotFound,
    NotAcceptable,
    BadRequest(Cow<'static, str>),
    TimedOut,
    /// The change could not be made durable; the broker is about to stop for it.
    NotStored,
}

impl Refusal {
    fn body(status: StatusCode, error: &str, reason: &str) -> Response {
        (status, Json(json!({ "error": error, "reason": reason }))).into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let unauthorised = StatusCode::UNAUTHORIZED;
        match self {
            Self::NoCredentials => (unauthorised, [(WWW_AUTHENTICATE, CHALLENGE)]).into_response(),
            Self::LoginFailed => {
                let body = Self::body(unauthorised, "not_authorized", "Not_Authorized");
                ([(WWW_AUTHENTICATE, CHALLENGE)], body).into_response()
            }
            Self::NotAuthorised(reason) => Self::body(unauthorised, "not_authorised", reason),
            Self::NotFound => Self::body(StatusCode::NOT_FOUND, "Object Not Found", "Not Found"),
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE.into_response(),
            Self::BadRequest(reason) => Self::body(StatusCode::BAD_REQUEST, "bad_request", &reason),
            Self::NotStored => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::body(status, "internal_server_error", "the change could not be stored")
            }
            Self::TimedOut => {
                let reason = "the request took too long";
                Self::body(StatusCode::REQUEST_TIMEOUT, "request_timeout", reason)
            }
        }
    }
}
