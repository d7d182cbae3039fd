//! `Idempotency-Key`: a POST that is repeated under one key is done once.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use kabar_engine::idempotency::Claim;
use kabar_engine::{Principal, crypto};
use std::time::Duration;
use tracing::Instrument;

use crate::body::is_upload;
use crate::error::{Error, ErrorText, Result};
use crate::extract::Auth;
use crate::state::ApiState;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Characters of a key.
const LONGEST: usize = 255;

/// Answers a repeated POST with the first answer.
pub(crate) async fn answer_once(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let keyed = request.method() == Method::POST
        && crate::openapi::is_behind_token(request.uri().path())
        && request.headers().contains_key(&IDEMPOTENCY_KEY);
    if !keyed {
        return next.run(request).await;
    }
    // Once begun it is finished and its answer kept, even when the client goes away meanwhile.
    let work = async move { once(&state, request, next).await.unwrap_or_else(IntoResponse::into_response) };
    match tokio::spawn(work.in_current_span()).await {
        Ok(response) => response,
        Err(error) => {
            Error::from(kabar_engine::Error::Internal(format!("a handler failed: {error}"))).into_response()
        }
    }
}

fn key_of(value: &HeaderValue) -> Result<String> {
    let key = std::str::from_utf8(value.as_bytes()).unwrap_or_default().trim();
    if key.is_empty() || key.chars().count() > LONGEST || key.chars().any(char::is_control) {
        let message = format!("The Idempotency-Key header must be 1 to {LONGEST} characters of text.");
        return Err(Error::field("idempotency_key", message));
    }
    Ok(key.to_owned())
}

async fn once(state: &ApiState, request: Request, next: Next) -> Result<Response> {
    let streamed = is_upload(&request);
    let (mut parts, body) = request.into_parts();
    let Ok(Auth(principal)) = Auth::from_request_parts(&mut parts, state).await else {
        // Signing in, or a caller the handler will refuse: there is no one to keep an answer for.
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let key = key_of(parts.headers.get(&IDEMPOTENCY_KEY).unwrap_or(&HeaderValue::from_static("")))?;
    let mut fingerprint = format!("{} {}\n", parts.method, parts.uri).into_bytes();
    let body = if streamed {
        // A file is not held to be compared: its length stands for it.
        let length = parts.headers.get(header::CONTENT_LENGTH);
        fingerprint.extend_from_slice(length.map_or(b"", HeaderValue::as_bytes));
        body
    } else {
        let body = Bytes::from_request(Request::new(body), &())
            .await
            .map_err(|_| Error::new(StatusCode::BAD_REQUEST, "The request body could not be read."))?;
        fingerprint.extend_from_slice(&body);
        Body::from(body)
    };
    let fingerprint = crypto::sha256_hex(&fingerprint);

    let engine = &state.engine;
    match engine.claim_idempotent(&principal, &key, &fingerprint).await? {
        Claim::Run => {}
        Claim::Replay { status, body: kept } => {
            // A client that is still sending would not see an answer.
            drain(body).await;
            return Ok(replay(status, kept));
        }
        Claim::Running => {
            let message = "The first request with this Idempotency-Key is still running.";
            return Err(Error::new(StatusCode::CONFLICT, message).retry_after(Duration::from_secs(1)));
        }
    }
    parts.extensions.insert(principal.clone());
    let response = next.run(Request::from_parts(parts, body)).await;
    keep(state, &principal, &key, response).await
}

async fn drain(body: Body) {
    let mut parts = body.into_data_stream();
    while let Some(Ok(_)) = parts.next().await {}
}

/// Keeps an answer that the same request would get again; frees the key after one that another try may change.
async fn keep(state: &ApiState, principal: &Principal, key: &str, response: Response) -> Result<Response> {
    let status = response.status();
    let changeable = status.is_server_error()
        || matches!(
            status,
            // A body that broke off may come whole the next time.
            StatusCode::BAD_REQUEST
                | StatusCode::UNAUTHORIZED
                | StatusCode::PAYMENT_REQUIRED
                | StatusCode::FORBIDDEN
                | StatusCode::TOO_MANY_REQUESTS
        );
    if changeable {
        if let Err(error) = state.engine.release_idempotent(principal, key).await {
            tracing::warn!(%error, "an idempotency key could not be freed");
        }
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let (bytes, text) = if let Some(text) = parts.extensions.get::<ErrorText>() {
        (Bytes::new(), serde_json::to_string(text).unwrap_or_default())
    } else {
        let size = body.size_hint().upper();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| {
            kabar_engine::Error::Internal(format!("an answer of {size:?} bytes broke off: {error}"))
        })?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (bytes, text)
    };
    if let Err(error) = state.engine.complete_idempotent(principal, key, status.as_u16(), &text).await {
        tracing::warn!(%error, "an answer could not be kept for its idempotency key");
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn replay(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = if status.is_client_error() {
        let text = serde_json::from_str(&body).unwrap_or_default();
        Error { status, text, retry_after: None }.into_response()
    } else if body.is_empty() {
        status.into_response()
    } else {
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED.clone(), HeaderValue::from_static("true"));
    response
}
