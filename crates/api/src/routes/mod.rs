//! All routes, one file for each part of the API.

mod auth;
pub(crate) mod docs;
mod health;
mod organisations;

use utoipa_axum::router::OpenApiRouter;

use crate::state::ApiState;

/// Every described route.
pub(crate) fn all() -> OpenApiRouter<ApiState> {
    [auth::routes(), health::routes(), organisations::routes()]
        .into_iter()
        .fold(OpenApiRouter::new(), OpenApiRouter::merge)
}
