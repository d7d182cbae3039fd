//! Is the process alive?

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(get_health))
}

#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Says that the process answers.
///
/// It touches neither the database nor the disk: a process that cannot reach them is alive, but not ready.
#[utoipa::path(get, path = "/healthz", tag = "Operation", security(()), responses((status = 200, body = Health)))]
async fn get_health() -> axum::Json<Health> {
    axum::Json(Health { status: "ok" })
}
