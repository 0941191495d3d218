//! Pages of other origins, which browsers let ask only where they are told so (the Fetch standard, CORS).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN,
};
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::Api;

/// Which origins may ask, and how long a browser may remember it.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// `*` is all.
    pub origins: Vec<String>,
    pub max_age_seconds: u32,
}

impl Cors {
    fn allows(&self, origin: &HeaderValue) -> bool {
        let is_it = |known: &String| known == "*" || known.as_bytes() == origin.as_bytes();
        self.origins.iter().any(is_it)
    }
}

pub(super) async fn answer(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let permitted = Permitted::of(&request, &api.services.options.cors);
    let mut response = next.run(request).await;
    if let Some(permitted) = permitted {
        permitted.write(response.headers_mut());
    }
    response
}

/// What a request of another origin is told.
struct Permitted {
    origin: HeaderValue,
    /// It only asks whether it may ask.
    preflight: Option<Preflight>,
}

struct Preflight {
    method: HeaderValue,
    headers: Option<HeaderValue>,
    max_age_seconds: u32,
}

impl Permitted {
    fn of(request: &Request, cors: &Cors) -> Option<Self> {
        let header = |name: HeaderName| request.headers().get(name).cloned();
        let origin = header(ORIGIN).filter(|origin| cors.allows(origin))?;
        let is_options = request.method() == Method::OPTIONS;
        let method = header(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| is_options);
        let preflight = method.map(|method| Preflight {
            method,
            headers: header(ACCESS_CONTROL_REQUEST_HEADERS),
            max_age_seconds: cors.max_age_seconds,
        });
        Some(Self { origin, preflight })
    }

    fn write(self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("location"));
        let Some(preflight) = self.preflight else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, preflight.method);
        if let Some(wanted) = preflight.headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, preflight.max_age_seconds.into());
    }
}
