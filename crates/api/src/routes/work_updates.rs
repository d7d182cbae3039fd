//! Work updates: what was done.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use kabar_domain::operations::RecordKind;
use kabar_engine::records::Shown;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::records::csv;
use super::records::{
    CommentRequest, CreateWorkUpdateRequest, EvidenceRequest, ListRecordsQuery, RecordResource,
    TimelineEntry, UpdateWorkUpdateRequest, WatcherQuery, WatcherRequest,
};
use crate::data::{Data, List, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query, WorkUpdateId};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

const KIND: RecordKind = RecordKind::WorkUpdate;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_work_updates, create_work_update))
        .routes(routes!(export_work_updates))
        .routes(routes!(get_work_update, update_work_update))
        .routes(routes!(list_work_update_timeline))
        .routes(routes!(comment_on_work_update))
        .routes(routes!(add_work_update_evidence))
        .routes(routes!(watch_work_update, unwatch_work_update))
}

#[derive(Serialize, ToSchema)]
pub(super) struct WorkUpdate {
    #[serde(flatten)]
    record: RecordResource,
}

impl From<Shown> for WorkUpdate {
    fn from(shown: Shown) -> Self {
        Self { record: shown.into() }
    }
}

/// Work updates, newest first unless `sort` says otherwise; with `Accept: text/csv` all of them as a table.
#[utoipa::path(get, path = "/api/v1/work-updates", tag = "Work updates",
    security(("bearer" = ["read"])), params(ListRecordsQuery, PageQuery),
    responses((status = 200, body = List<WorkUpdate>)))]
async fn list_work_updates(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListRecordsQuery>,
    headers: HeaderMap,
    page: PageQuery,
) -> Result<Response> {
    if csv::is_wanted(&headers) {
        return csv::export(state, caller, KIND, query.into()).await;
    }
    let page = page.request(25)?;
    let found = state.engine.list_records(&caller, KIND, query.into(), &page).await?;
    Ok(list::<_, WorkUpdate>(found).into_response())
}

/// All of them as a table.
#[utoipa::path(get, path = "/api/v1/work-updates/export.csv", tag = "Work updates",
    security(("bearer" = ["read"])), params(ListRecordsQuery),
    responses((status = 200, body = String, content_type = "text/csv")))]
async fn export_work_updates(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListRecordsQuery>,
) -> Result<Response> {
    csv::export(state, caller, KIND, query.into()).await
}

/// Writes down what was done.
#[utoipa::path(post, path = "/api/v1/work-updates", tag = "Work updates", security(("bearer" = ["write"])),
    request_body = CreateWorkUpdateRequest, responses((status = 201, body = Data<WorkUpdate>)))]
async fn create_work_update(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateWorkUpdateRequest>,
) -> Result<impl IntoResponse> {
    let made = state.engine.create_record_by_hand(&caller, KIND, request.into()).await?;
    Ok(created(WorkUpdate::from(made)))
}

/// One work update.
#[utoipa::path(get, path = "/api/v1/work-updates/{id}", tag = "Work updates",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<WorkUpdate>)))]
async fn get_work_update(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(WorkUpdateId(id)): PathId<WorkUpdateId>,
) -> Result<axum::Json<Data<WorkUpdate>>> {
    Ok(data(state.engine.get_record(&caller, KIND, id).await?.into()))
}

/// Changes what it says.
#[utoipa::path(patch, path = "/api/v1/work-updates/{id}", tag = "Work updates",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = UpdateWorkUpdateRequest, responses((status = 200, body = Data<WorkUpdate>)))]
async fn update_work_update(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(WorkUpdateId(id)): PathId<WorkUpdateId>,
    Json(request): Json<UpdateWorkUpdateRequest>,
) -> Result<axum::Json<Data<WorkUpdate>>> {
    Ok(data(state.engine.update_record(&caller, KIND, id, request.into()).await?.into()))
}

/// Everything that happened to it, oldest first; 50 a page.
#[utoipa::path(get, path = "/api/v1/work-updates/{id}/timeline", tag = "Work updates", security(("bearer" = ["read"])),
    params(("id" = Ulid, Path), PageQuery), responses((status = 200, body = List<TimelineEntry>)))]
async fn list_work_update_timeline(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(WorkUpdateId(id)): PathId<WorkUpdateId>,
    page: PageQuery,
) -> Result<axum::Json<List<TimelineEntry>>> {
    Ok(list(state.engine.list_record_entries(&caller, KIND, id, &page.request(50)?).await?))
}

/// Adds a comment to its history. Who comments watches it.
#[utoipa::path(post, path = "/api/v1/work-updates/{id}/comments", tag = "Work updates",
    security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = CommentRequest,
    responses((status = 201, body = Data<WorkUpdate>)))]
async fn comment_on_work_update(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(WorkUpdateId(id)): PathId<WorkUpdateId>,
    Json(request): Json<CommentRequest>,
) -> Result<impl IntoResponse> {
    let shown = state.engine.comment_on_record(&caller, KIND, id, request.text).await?;
    Ok(created(WorkUpdate::from(shown)))
}

/// Adds a reference to a file, taken before or after the work.
#[utoipa::path(post, path = "/api/v1/work-updates/{id}/evidence", tag = "Work updates",
    security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = EvidenceRequest,
    responses((status = 201, body = Data<WorkUpdate>)))]
async fn add_work_update_evidence(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(WorkUpdateId(id)): PathId<WorkUpdateId>,
    Json(request): Json<EvidenceRequest>,
) -> Result<impl IntoResponse> {
    let shown = state.engine.add_record_evidence(&caller, KIND, id, request.into()).await?;
    Ok(created(WorkUpdate::from(shown)))
}

/// Somebody wants to hear what becomes of it.
#[utoipa::path(post, path = "/api/v1/work-updates/{id}/watchers", tag = "Work updates",
    security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = WatcherRequest,
    responses((status = 200, body = Data<WorkUpdate>)))]
async fn watch_work_update(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(WorkUpdateId(id)): PathId<WorkUpdateId>,
    Json(request): Json<WatcherRequest>,
) -> Result<axum::Json<Data<WorkUpdate>>> {
    Ok(data(state.engine.watch_record(&caller, KIND, id, request.user_id).await?.into()))
}

/// Somebody does not want to hear of it any more.
#[utoipa::path(delete, path = "/api/v1/work-updates/{id}/watchers", tag = "Work updates",
    security(("bearer" = ["write"])),
    params(("id" = Ulid, Path), WatcherQuery), responses((status = 200, body = Data<WorkUpdate>)))]
async fn unwatch_work_update(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(WorkUpdateId(id)): PathId<WorkUpdateId>,
    Query(query): Query<WatcherQuery>,
) -> Result<axum::Json<Data<WorkUpdate>>> {
    Ok(data(state.engine.unwatch_record(&caller, KIND, id, query.user_id).await?.into()))
}
