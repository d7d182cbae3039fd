//! Problems: what has to be seen to.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{RecordId, Timestamp, UserId};
use kabar_engine::records::{RecordFields, RecordQuery, Shown};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::records::csv;
use super::records::{
    CommentRequest, CreateProblemRequest, EvidenceRequest, ListRecordsQuery, RecordPerson, RecordResource,
    TimelineEntry, UpdateProblemRequest, WatcherQuery, WatcherRequest,
};
use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, ProblemId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

const KIND: RecordKind = RecordKind::Problem;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_problems, create_problem))
        .routes(routes!(export_problems))
        .routes(routes!(get_problem, update_problem))
        .routes(routes!(list_problem_timeline))
        .routes(routes!(comment_on_problem))
        .routes(routes!(add_problem_evidence))
        .routes(routes!(watch_problem, unwatch_problem))
        .routes(routes!(merge_problem))
        .routes(routes!(unmerge_problem))
}

#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    #[serde(flatten)]
    record: RecordResource,
    /// `low`, `medium`, `high` or `critical`.
    #[schema(value_type = String, example = "high")]
    severity: Option<Severity>,
    /// `open`, `acknowledged`, `in_progress`, `resolved`, `closed` or `reopened`.
    #[schema(value_type = String, example = "open")]
    status: Option<ProblemStatus>,
    #[schema(value_type = Option<Ulid>)]
    assignee_id: Option<UserId>,
    assignee: Option<RecordPerson>,
    /// By when it has to be solved: so many hours of its severity, counted in the hours its site is open.
    #[schema(value_type = Option<Time>)]
    due_at: Option<Timestamp>,
    /// It is past that, and not solved.
    overdue: bool,
    #[schema(value_type = Option<Time>)]
    acknowledged_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    resolved_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    closed_at: Option<Timestamp>,
    /// How often it was reopened.
    reopened_count: i64,
    /// The problem that this one is a report of.
    merged_into: Option<RelatedProblem>,
    /// The last problem of the same thing before this one, within 30 days.
    recurrence_of: Option<RelatedProblem>,
    /// How many there were before it, each within 30 days of the next.
    recurrences: i64,
}

#[derive(Serialize, ToSchema)]
struct RelatedProblem {
    #[schema(value_type = Ulid)]
    id: RecordId,
    #[schema(example = "P-2026-000122")]
    number: String,
}

fn related(id: Option<RecordId>, number: Option<String>) -> Option<RelatedProblem> {
    Some(RelatedProblem { id: id?, number: number.unwrap_or_default() })
}

impl From<Shown> for Problem {
    fn from(mut shown: Shown) -> Self {
        let row = &mut shown.row;
        let record = &row.record;
        Self {
            severity: record.severity,
            status: record.status,
            assignee_id: record.assignee_id,
            assignee: record.assignee_id.map(|id| RecordPerson { id, name: row.assignee_name.take() }),
            due_at: record.due_at,
            overdue: shown.overdue,
            acknowledged_at: record.acknowledged_at,
            resolved_at: record.resolved_at,
            closed_at: record.closed_at,
            reopened_count: record.reopened_count,
            merged_into: related(record.merged_into, row.merged_number.take()),
            recurrence_of: related(record.recurrence_of, row.recurrence_number.take()),
            recurrences: record.recurrences,
            record: shown.into(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ProblemsQuery {
    /// `low`, `medium`, `high` or `critical`.
    #[param(example = "high,critical")]
    severity: Option<String>,
    /// `open`, `acknowledged`, `in_progress`, `resolved`, `closed` or `reopened`.
    #[param(example = "open,reopened")]
    status: Option<String>,
    /// A person of the team, `me` or `none`.
    assignee_id: Option<String>,
    /// `true`: only those that are past their time and not solved.
    overdue: Option<bool>,
    /// `true`: also those that were merged into others.
    merged: Option<bool>,
    /// Only those that were merged into this one.
    merged_into: Option<String>,
}

fn query(records: ListRecordsQuery, problems: ProblemsQuery) -> RecordQuery {
    RecordQuery {
        severity: problems.severity,
        status: problems.status,
        assignee_id: problems.assignee_id,
        overdue: problems.overdue.unwrap_or(false),
        merged: problems.merged.unwrap_or(false),
        merged_into: problems.merged_into,
        ..records.into()
    }
}

#[derive(Deserialize, ToSchema)]
struct MergeProblemRequest {
    /// The problem that this one is a report of.
    #[schema(value_type = Ulid, required)]
    into: Option<String>,
}

/// Problems, newest first unless `sort` says otherwise; with `Accept: text/csv` all of them as a table.
#[utoipa::path(get, path = "/api/v1/problems", tag = "Problems",
    security(("bearer" = ["read"])), params(ListRecordsQuery, ProblemsQuery, PageQuery),
    responses((status = 200, body = List<Problem>)))]
async fn list_problems(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(records): Query<ListRecordsQuery>,
    Query(problems): Query<ProblemsQuery>,
    headers: HeaderMap,
    page: PageQuery,
) -> Result<Response> {
    if csv::is_wanted(&headers) {
        return csv::export(state, caller, KIND, query(records, problems)).await;
    }
    let page = page.request(25)?;
    let found = state.engine.list_records(&caller, KIND, query(records, problems), &page).await?;
    Ok(list::<_, Problem>(found).into_response())
}

/// All of them as a table.
#[utoipa::path(get, path = "/api/v1/problems/export.csv", tag = "Problems",
    security(("bearer" = ["read"])), params(ListRecordsQuery, ProblemsQuery),
    responses((status = 200, body = String, content_type = "text/csv")))]
async fn export_problems(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(records): Query<ListRecordsQuery>,
    Query(problems): Query<ProblemsQuery>,
) -> Result<Response> {
    csv::export(state, caller, KIND, query(records, problems)).await
}

/// Writes down what has to be seen to.
#[utoipa::path(post, path = "/api/v1/problems", tag = "Problems", security(("bearer" = ["write"])),
    request_body = CreateProblemRequest, responses((status = 201, body = Data<Problem>)))]
async fn create_problem(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateProblemRequest>,
) -> Result<impl IntoResponse> {
    let made = state.engine.create_record_by_hand(&caller, KIND, request.into()).await?;
    Ok(created(Problem::from(made)))
}

/// One problem.
#[utoipa::path(get, path = "/api/v1/problems/{id}", tag = "Problems",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Problem>)))]
async fn get_problem(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
) -> Result<axum::Json<Data<Problem>>> {
    Ok(data(state.engine.get_record(&caller, KIND, id).await?.into()))
}

/// Changes what it says.
#[utoipa::path(patch, path = "/api/v1/problems/{id}", tag = "Problems",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = UpdateProblemRequest, responses((status = 200, body = Data<Problem>)))]
async fn update_problem(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
    Json(mut request): Json<UpdateProblemRequest>,
) -> Result<axum::Json<Data<Problem>>> {
    let fields = RecordFields { note: request.note.take(), ..request.into() };
    Ok(data(state.engine.update_record(&caller, KIND, id, fields).await?.into()))
}

/// Everything that happened to it, oldest first; 50 a page.
#[utoipa::path(get, path = "/api/v1/problems/{id}/timeline", tag = "Problems", security(("bearer" = ["read"])),
    params(("id" = Ulid, Path), PageQuery), responses((status = 200, body = List<TimelineEntry>)))]
async fn list_problem_timeline(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
    page: PageQuery,
) -> Result<axum::Json<List<TimelineEntry>>> {
    Ok(list(state.engine.list_record_entries(&caller, KIND, id, &page.request(50)?).await?))
}

/// Adds a comment to its history. Who comments watches it.
#[utoipa::path(post, path = "/api/v1/problems/{id}/comments", tag = "Problems", security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = CommentRequest,
    responses((status = 201, body = Data<Problem>)))]
async fn comment_on_problem(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
    Json(request): Json<CommentRequest>,
) -> Result<impl IntoResponse> {
    let shown = state.engine.comment_on_record(&caller, KIND, id, request.text).await?;
    Ok(created(Problem::from(shown)))
}

/// Adds a reference to a file, taken before or after the repair.
#[utoipa::path(post, path = "/api/v1/problems/{id}/evidence", tag = "Problems", security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = EvidenceRequest,
    responses((status = 201, body = Data<Problem>)))]
async fn add_problem_evidence(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
    Json(request): Json<EvidenceRequest>,
) -> Result<impl IntoResponse> {
    let shown = state.engine.add_record_evidence(&caller, KIND, id, request.into()).await?;
    Ok(created(Problem::from(shown)))
}

/// Somebody wants to hear what becomes of it.
#[utoipa::path(post, path = "/api/v1/problems/{id}/watchers", tag = "Problems", security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = WatcherRequest,
    responses((status = 200, body = Data<Problem>)))]
async fn watch_problem(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
    Json(request): Json<WatcherRequest>,
) -> Result<axum::Json<Data<Problem>>> {
    Ok(data(state.engine.watch_record(&caller, KIND, id, request.user_id).await?.into()))
}

/// Somebody does not want to hear of it any more.
#[utoipa::path(delete, path = "/api/v1/problems/{id}/watchers", tag = "Problems", security(("bearer" = ["write"])),
    params(("id" = Ulid, Path), WatcherQuery), responses((status = 200, body = Data<Problem>)))]
async fn unwatch_problem(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
    Query(query): Query<WatcherQuery>,
) -> Result<axum::Json<Data<Problem>>> {
    Ok(data(state.engine.unwatch_record(&caller, KIND, id, query.user_id).await?.into()))
}

/// Makes it part of another: two reports of one fault. It is listed no more, and its reporters count as the other's.
#[utoipa::path(post, path = "/api/v1/problems/{id}/merge", tag = "Problems",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = MergeProblemRequest, responses((status = 200, body = Data<Problem>)))]
async fn merge_problem(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
    Json(request): Json<MergeProblemRequest>,
) -> Result<axum::Json<Data<Problem>>> {
    Ok(data(state.engine.merge_problem(&caller, id, request.into).await?.into()))
}

/// Makes it one of its own again, as it was.
#[utoipa::path(post, path = "/api/v1/problems/{id}/unmerge", tag = "Problems",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Problem>)))]
async fn unmerge_problem(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(ProblemId(id)): PathId<ProblemId>,
) -> Result<axum::Json<Data<Problem>>> {
    Ok(data(state.engine.unmerge_problem(&caller, id).await?.into()))
}
