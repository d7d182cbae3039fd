//! What is going on: a summary, series and reports of work updates and problems.

mod page;
mod table;
mod words;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use kabar_domain::operations::{ProblemStatus, Severity};
use kabar_domain::{FacilityId, RecordId, SiteId, Timestamp};
use kabar_engine::visibility::{self, AGES, Durations, Series, Summary, VisibilityQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::records::csv;
use crate::data::{Data, Time, Ulid, data};
use crate::error::{Error, Result};
use crate::extract::{Auth, Query};
use crate::pages::Language;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(get_operations_summary))
        .routes(routes!(get_operations_series))
        .routes(routes!(get_operations_report))
}

/// What to count. Several values are separated by commas.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OperationsQuery {
    site_id: Option<String>,
    facility_id: Option<String>,
    category_id: Option<String>,
    /// Of problems: `low`, `medium`, `high` or `critical`.
    severity: Option<String>,
    /// The beginning of the period: an RFC 3339 time, or a day on the organisation's calendar.
    #[param(example = "2026-05-01")]
    from: Option<String>,
    /// Its end; of a day, the end of that day.
    to: Option<String>,
}

impl From<OperationsQuery> for VisibilityQuery {
    fn from(query: OperationsQuery) -> Self {
        Self {
            site_id: query.site_id,
            facility_id: query.facility_id,
            category_id: query.category_id,
            severity: query.severity,
            from: query.from,
            to: query.to,
        }
    }
}

/// Problems by severity.
#[derive(Serialize, ToSchema)]
struct BySeverity {
    low: i64,
    medium: i64,
    high: i64,
    critical: i64,
}

/// Open problems by status.
#[derive(Serialize, ToSchema)]
struct ByStatus {
    open: i64,
    acknowledged: i64,
    in_progress: i64,
    reopened: i64,
}

/// Open problems, counted in several ways.
#[derive(Serialize, ToSchema)]
struct OpenProblems {
    total: i64,
    /// Past their time.
    overdue: i64,
    /// Nobody's.
    unassigned: i64,
    by_severity: BySeverity,
    by_status: ByStatus,
    /// `under_1_day`, `1_to_3_days`, `3_to_7_days`, `7_to_30_days` and `over_30_days` since they occurred.
    #[schema(value_type = BTreeMap<String, i64>)]
    by_age: BTreeMap<&'static str, i64>,
}

impl From<visibility::Open> for OpenProblems {
    fn from(open: visibility::Open) -> Self {
        let severity = |severity| open.by_severity.get(&severity).copied().unwrap_or_default();
        let status = |status| open.by_status.get(&status).copied().unwrap_or_default();
        Self {
            total: open.total,
            overdue: open.overdue,
            unassigned: open.unassigned,
            by_severity: BySeverity {
                low: severity(Severity::Low),
                medium: severity(Severity::Medium),
                high: severity(Severity::High),
                critical: severity(Severity::Critical),
            },
            by_status: ByStatus {
                open: status(ProblemStatus::Open),
                acknowledged: status(ProblemStatus::Acknowledged),
                in_progress: status(ProblemStatus::InProgress),
                reopened: status(ProblemStatus::Reopened),
            },
            by_age: AGES.iter().map(|(name, _)| *name).zip(open.by_age).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct OpenAtSite {
    /// Null for those that name no site.
    site: Option<OperationsSite>,
    #[serde(flatten)]
    open: OpenProblems,
}

#[derive(Serialize, ToSchema)]
struct OperationsSite {
    #[schema(value_type = Ulid)]
    id: SiteId,
    name: String,
}

/// Since midnight on the organisation's calendar.
#[derive(Serialize, ToSchema)]
struct Today {
    work_updates: i64,
    problems_reported: i64,
    problems_resolved: i64,
}

/// How long something took, in seconds. Null when there was nothing.
#[derive(Serialize, ToSchema)]
struct Took {
    count: i64,
    mean: Option<i64>,
    median: Option<i64>,
    /// Nine of ten took no longer.
    p90: Option<i64>,
}

impl From<Durations> for Took {
    fn from(took: Durations) -> Self {
        let some = |micros: i64| (took.count > 0).then_some(micros.max(0) / 1_000_000);
        Self {
            count: took.count,
            mean: some(took.mean as i64),
            median: some(took.median),
            p90: some(took.ninth_decile),
        }
    }
}

/// A thing that had more than one problem in the period.
#[derive(Serialize, ToSchema)]
struct RecurringFacility {
    #[schema(value_type = Ulid)]
    id: FacilityId,
    name: Option<String>,
    code: Option<String>,
    #[schema(value_type = Option<Ulid>)]
    site_id: Option<SiteId>,
    problems: i64,
    last: LastProblem,
}

#[derive(Serialize, ToSchema)]
struct LastProblem {
    #[schema(value_type = Ulid)]
    id: RecordId,
    number: String,
    #[schema(value_type = Time)]
    occurred_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct OperationsSummary {
    #[schema(value_type = Time)]
    at: Timestamp,
    open: OpenProblems,
    /// The site with the most open problems first.
    open_by_site: Vec<OpenAtSite>,
    today: Today,
    /// Items that nobody has seen to, whatever site they are about.
    inbox_waiting: i64,
    /// The period of what follows.
    #[schema(value_type = Time)]
    from: Timestamp,
    #[schema(value_type = Time)]
    to: Timestamp,
    /// From the report until a problem was acknowledged, of those acknowledged in the period.
    time_to_acknowledge: Took,
    time_to_resolve: Took,
    recurring_facilities: Vec<RecurringFacility>,
}

impl From<Summary> for OperationsSummary {
    fn from(summary: Summary) -> Self {
        Self {
            at: summary.at,
            open: summary.open.into(),
            open_by_site: summary
                .by_site
                .into_iter()
                .map(|(site, open)| OpenAtSite {
                    site: site.map(|site| OperationsSite { id: site.id, name: site.name }),
                    open: open.into(),
                })
                .collect(),
            today: Today {
                work_updates: summary.updates_today,
                problems_reported: summary.reported_today,
                problems_resolved: summary.resolved_today,
            },
            inbox_waiting: summary.inbox_waiting,
            from: summary.period.from,
            to: summary.period.to,
            time_to_acknowledge: summary.to_acknowledge.into(),
            time_to_resolve: summary.to_resolve.into(),
            recurring_facilities: summary
                .recurring
                .into_iter()
                .map(|thing| RecurringFacility {
                    id: thing.facility_id,
                    name: thing.name,
                    code: thing.code,
                    site_id: thing.site_id,
                    problems: thing.problems,
                    last: LastProblem {
                        id: thing.last_id,
                        number: thing.last_number,
                        occurred_at: thing.last_at,
                    },
                })
                .collect(),
        }
    }
}

/// One interval, as far as it is in the period.
#[derive(Serialize, ToSchema)]
struct SeriesPoint {
    /// The day it begins on.
    #[schema(example = "2026-05-06")]
    date: String,
    #[schema(value_type = Time)]
    at: Timestamp,
    problems_reported: i64,
    problems_acknowledged: i64,
    problems_resolved: i64,
    /// Problems not solved at its end.
    problems_unsolved: i64,
    work_updates: i64,
}

#[derive(Serialize, ToSchema)]
struct OperationsSeries {
    /// `day`, `week` (from Monday) or `month`.
    #[schema(example = "day")]
    interval: &'static str,
    /// Whose calendar has the intervals.
    #[schema(example = "Asia/Jakarta")]
    timezone: String,
    #[schema(value_type = Time)]
    from: Timestamp,
    #[schema(value_type = Time)]
    to: Timestamp,
    points: Vec<SeriesPoint>,
}

impl From<Series> for OperationsSeries {
    fn from(series: Series) -> Self {
        Self {
            interval: series.interval.as_str(),
            timezone: series.timezone,
            from: series.period.from,
            to: series.period.to,
            points: series
                .points
                .into_iter()
                .map(|point| SeriesPoint {
                    date: point.day.to_string(),
                    at: point.from,
                    problems_reported: point.reported,
                    problems_acknowledged: point.acknowledged,
                    problems_resolved: point.resolved,
                    problems_unsolved: point.unsolved,
                    work_updates: point.updates,
                })
                .collect(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SeriesQuery {
    /// `day`, `week` or `month`; a day when left out.
    #[param(example = "week")]
    interval: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// `html` or `csv`; else what `Accept` asks for.
    #[param(example = "html")]
    format: Option<String>,
    /// Of the page: `en`, `id` or `ar`; else what `Accept-Language` asks for.
    #[param(example = "id")]
    lang: Option<String>,
}

/// How things stand: open problems by site, severity and age, what was done today, how fast problems were acknowledged
/// and resolved, and what keeps failing. The period is the last 30 days when none is given.
#[utoipa::path(get, path = "/api/v1/operations/summary", tag = "Operations",
    security(("bearer" = ["read"])), params(OperationsQuery),
    responses((status = 200, body = Data<OperationsSummary>)))]
async fn get_operations_summary(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<OperationsQuery>,
) -> Result<axum::Json<Data<OperationsSummary>>> {
    Ok(data(state.engine.operations_summary(&caller, query.into()).await?.into()))
}

/// Numbers over time, by days, weeks or months: the last 30 days when no period is given; 400 intervals at most.
#[utoipa::path(get, path = "/api/v1/operations/series", tag = "Operations", security(("bearer" = ["read"])),
    params(OperationsQuery, SeriesQuery), responses((status = 200, body = Data<OperationsSeries>)))]
async fn get_operations_series(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<OperationsQuery>,
    Query(series): Query<SeriesQuery>,
) -> Result<axum::Json<Data<OperationsSeries>>> {
    Ok(data(state.engine.operations_series(&caller, query.into(), series.interval).await?.into()))
}

/// A report of a period to read, print or calculate with: the last seven days when none is given.
#[utoipa::path(get, path = "/api/v1/operations/reports", tag = "Operations", security(("bearer" = ["read"])),
    params(OperationsQuery, ReportQuery),
    responses((status = 200, content((String = "text/html"), (String = "text/csv")),
        description = "A page without script, or a row for each site")))]
async fn get_operations_report(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<OperationsQuery>,
    Query(report): Query<ReportQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let language = Language::wanted(report.lang.as_deref(), &headers);
    let as_table = match report.format.as_deref() {
        None => csv::is_wanted(&headers),
        Some("csv") => true,
        Some("html") => false,
        Some(_) => return Err(Error::field("format", "The selected format is invalid.")),
    };
    let report = state.engine.operations_report(&caller, query.into()).await?;
    if as_table {
        return Ok(csv::answer("operations", table::of(&report)));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_LANGUAGE, language.code()),
    ];
    Ok((headers, page::of(&report, language)).into_response())
}
