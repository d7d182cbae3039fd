//! The description of the API, for programs and for people.

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use http::header;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::state::ApiState;

/// `/openapi.json`, and a page at `/docs` whose every part is in this program.
pub(crate) fn routes(document: &OpenApi) -> Router<ApiState> {
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let page = SwaggerUi::new("/docs")
        .config(Config::from("/openapi.json").persist_authorization(true).try_it_out_enabled(true));
    Router::from(page).route(
        "/openapi.json",
        get(move || async move { ([(header::CONTENT_TYPE, "application/json")], json) }),
    )
}
