//! What pages of other origins need to talk to `/embed/v1` (CORS), and the script they load.
//!
//! Which pages may use a widget is the widget's matter and is decided by the engine with every request; here browsers
//! are only let through, so that a page that is refused can read why.

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::error::Error;
use crate::state::ApiState;
use crate::web;

const PREFIX: &str = "/embed/v1/";

/// How long browsers remember what they may ask, in seconds.
const REMEMBERED: &str = "7200";

/// How long browsers keep the script before they ask whether there is another.
const SCRIPT_CACHING: &str = "public, max-age=300";

pub(crate) fn routes() -> Router<ApiState> {
    Router::new().route("/embed/v1/widget.js", get(async |headers: HeaderMap| script(&headers)))
}

fn script(headers: &HeaderMap) -> Response {
    let name = "widget/widget.js";
    let Some(file) = web::find(name) else {
        let sentence = "The chat widget is not in this build: run scripts/web-build, then build Kabar again.";
        return Error::new(StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
    };
    let mut response = web::serve(file, name, headers);
    for (name, value) in [
        (header::CACHE_CONTROL, SCRIPT_CACHING),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

pub(crate) async fn cross_origin(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(PREFIX) {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let is_asking = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if is_asking { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        describe(headers, is_asking);
    }
    response
}

fn describe(headers: &mut HeaderMap, is_asking: bool) {
    let told: &[_] = if is_asking {
        &[
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, last-event-id"),
            (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED),
        ]
    } else {
        &[(header::ACCESS_CONTROL_EXPOSE_HEADERS, "retry-after, x-request-id")]
    };
    for (name, value) in told {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
}
