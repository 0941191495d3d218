//! Answers that say no.

use std::borrow::Cow;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::protocol::{AmqpError, ReplyCode};

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
    /// AMQP would have answered `ACCESS_REFUSED`.
    AccessRefused,
    NotFound,
    /// A thing that the request names is not there; which one.
    Missing(String),
    /// The broker refuses publishers for the time being.
    Blocked(&'static str),
    NotAcceptable,
    UnsupportedMediaType,
    BadRequest(Cow<'static, str>),
    /// A bad request of a kind that tools tell from others.
    Invalid {
        error: &'static str,
        reason: String,
    },
    /// It must not be deleted.
    Protected(String),
    TimedOut,
    /// Samples cannot be had like that.
    InvalidRange,
    /// The change could not be made durable; the broker is about to stop for it.
    NotStored,
}

impl Refusal {
    /// Who makes something in a vhost that is not there is told what is missing.
    pub(super) fn or_no_vhost(self) -> Self {
        match self {
            Self::NotFound => Self::Missing("vhost_not_found".to_owned()),
            other => other,
        }
    }

    /// Its reason in one line, for whom it does not reach over HTTP.
    pub(super) fn sentence(&self) -> String {
        let reason = match self {
            Self::BadRequest(reason) => reason.as_ref(),
            Self::Missing(reason) | Self::Invalid { reason, .. } | Self::Protected(reason) => {
                reason.as_str()
            }
            Self::NotAuthorised(reason) | Self::Blocked(reason) => reason,
            other => return format!("{other:?}"),
        };
        reason.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn body(status: StatusCode, error: &str, reason: &str) -> Response {
        (status, Json(json!({ "error": error, "reason": reason }))).into_response()
    }
}

impl From<AmqpError> for Refusal {
    fn from(error: AmqpError) -> Self {
        match error.code {
            ReplyCode::NotFound => Self::Missing(error.text),
            ReplyCode::AccessRefused | ReplyCode::NotAllowed => Self::AccessRefused,
            _ => Self::BadRequest(error.text.into()),
        }
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
            Self::AccessRefused => Self::body(unauthorised, "not_authorised", "Access refused."),
            Self::Missing(what) => Self::body(StatusCode::NOT_FOUND, "not_found", &what),
            Self::Invalid { error, reason } => Self::body(StatusCode::BAD_REQUEST, error, &reason),
            Self::Blocked(why) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::body(status, "service_unavailable", &format!("publishing is blocked: {why}"))
            }
            Self::NotFound => Self::body(StatusCode::NOT_FOUND, "Object Not Found", "Not Found"),
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE.into_response(),
            Self::BadRequest(reason) => Self::body(StatusCode::BAD_REQUEST, "bad_request", &reason),
            Self::InvalidRange => {
                let reason =
                    "Invalid parameters: an age and a step above 0, of at most 500 samples";
                Self::body(StatusCode::BAD_REQUEST, "invalid_range_parameters", reason)
            }
            Self::NotStored => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::body(status, "internal_server_error", "the change could not be stored")
            }
            Self::Protected(reason) => {
                Self::body(StatusCode::PRECONDITION_FAILED, "precondition_failed", &reason)
            }
            Self::TimedOut => {
                let reason = "the request took too long";
                Self::body(StatusCode::REQUEST_TIMEOUT, "request_timeout", reason)
            }
        }
    }
}
