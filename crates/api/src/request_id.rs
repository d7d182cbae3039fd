//! What every request gets: an id, a line in the log, a place in the figures; and every error its shape.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use kabar_engine::Engine;
use tracing::Instrument;

use crate::error::{ErrorBody, ErrorText};
use crate::state::ApiState;

/// Marks an answer whose body stays as it is whatever its status.
#[derive(Clone, Copy)]
pub(crate) struct KeepBody;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's own id if it is harmless in logs and headers, else a new one.
fn identify(headers: &HeaderMap, state: &ApiState) -> HeaderValue {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    if let Some(given) = headers.get(&X_REQUEST_ID)
        && (1..=128).contains(&given.len())
        && given.as_bytes().iter().all(plain)
    {
        return given.clone();
    }
    let id = state.ids.uuid().simple().to_string();
    HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// Follows a request from its head to its answer.
pub(crate) async fn follow(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = identify(request.headers(), &state);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let id_text = id.to_str().unwrap_or_default();
    let span = || tracing::info_span!("request", request_id = id_text, %method, route);
    // Webhooks and probes come by the thousand: the figures count them, and only those that fail are logged.
    let frequent = route.starts_with("/webhooks/") || matches!(route, "/healthz" | "/readyz" | "/metrics");
    let mut response =
        if frequent { next.run(request).await } else { next.run(request).instrument(span()).await };
    let status = response.status();
    let took = started.elapsed();
    if !frequent || !status.is_success() {
        let duration_ms = took.as_secs_f64() * 1000.0;
        span().in_scope(|| tracing::info!(status = status.as_u16(), duration_ms, "answered"));
    }
    count(&state.engine, method.as_str(), route, status.as_u16(), took);

    let failed = response.status().is_client_error() || response.status().is_server_error();
    if failed && response.extensions().get::<KeepBody>().is_none() {
        response = shape(response, id_text);
    }
    response.headers_mut().insert(X_REQUEST_ID.clone(), id.clone());
    response
}

fn count(engine: &Engine, method: &str, route: &str, status: u16, took: Duration) {
    engine.metrics.http(method, route, status, took);
}

/// Gives an error its body. Those of handlers carry their text; the framework's own become their status' phrase.
fn shape(response: Response, request_id: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    let text = parts.extensions.remove::<ErrorText>().unwrap_or_else(|| ErrorText {
        message: parts.status.canonical_reason().unwrap_or("Error").to_owned(),
        ..ErrorText::default()
    });
    let body = ErrorBody {
        message: &text.message,
        errors: &text.errors,
        error: text.error.as_deref(),
        code: text.code.as_deref(),
        provider: text.provider.as_deref(),
        reason: text.code.as_ref().map(|_| text.message.as_str()),
        action: text.action.as_deref(),
        templates: &text.templates,
        request_id,
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    (parts, axum::Json(body)).into_response()
}
