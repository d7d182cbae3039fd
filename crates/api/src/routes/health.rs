//! Is the process alive, can it work, and how much does it do?

use axum::extract::State;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::Result;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(get_health))
        .routes(routes!(get_readiness))
        .routes(routes!(get_metrics))
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

#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ready`, or `not ready`.
    #[schema(example = "ready")]
    status: &'static str,
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Serialize, ToSchema)]
struct Check {
    /// `database`, `backlog` or `disk`.
    name: &'static str,
    ok: bool,
    /// What was found, and what to do when it is not ok.
    detail: String,
}

impl From<kabar_engine::health::Check> for Check {
    fn from(check: kabar_engine::health::Check) -> Self {
        Self { name: check.name, ok: check.ok, detail: check.detail }
    }
}

/// Says whether webhooks can be taken now: the database is writable, the backlog is applied, the disk has room.
#[utoipa::path(get, path = "/readyz", tag = "Operation", security(()),
    responses((status = 200, body = Readiness), (status = 503, description = "Not now.", body = Readiness)))]
async fn get_readiness(State(state): State<ApiState>) -> impl IntoResponse {
    let checks: Vec<Check> = state.engine.check_ready().await.into_iter().map(Into::into).collect();
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness = Readiness { status: if ready { "ready" } else { "not ready" }, checks };
    // Its own body even when it is a 503: whoever probes reads which check failed.
    (status, axum::Extension(crate::request_id::KeepBody), axum::Json(readiness))
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "Operation", security(()),
    responses((status = 200, description = "Prometheus text format.", body = String, content_type = "text/plain")))]
async fn get_metrics(State(state): State<ApiState>) -> Result<impl IntoResponse> {
    let depths = state.engine.depths().await?;
    let page = state.engine.metrics.render(&depths)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page))
}
