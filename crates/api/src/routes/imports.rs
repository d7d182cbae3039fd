//! Sites, facilities and categories out of CSV files.

use axum::extract::{FromRequest, Multipart, Request, State};
use bytes::Bytes;
use http::{StatusCode, header};
use kabar_domain::SubjectId;
use kabar_engine::places::{self, ImportAction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, Ulid, data};
use crate::error::{Error, Result};
use crate::extract::{Auth, Query};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(import_sites))
        .routes(routes!(import_facilities))
        .routes(routes!(import_categories))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Report what would be done, and do nothing. In a form it may be a field, before or behind the file.
    dry_run: Option<String>,
}

/// `true` or `1`, `false` or `0`.
fn flag(text: &str) -> Result<bool> {
    match text.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Error::field("dry_run", "The dry run field must be true or false.")),
    }
}

#[derive(Serialize, ToSchema)]
struct ImportRow {
    /// As a spreadsheet counts: the header is row 1.
    #[schema(example = 2)]
    row: usize,
    /// `created`, `updated`, `unchanged` or `failed`.
    #[schema(value_type = String, example = "created")]
    action: &'static str,
    /// Null of a row that failed, or that a dry run would make.
    #[schema(value_type = Option<Ulid>)]
    id: Option<SubjectId>,
    name: String,
    /// By column, why the row failed.
    errors: BTreeMap<String, Vec<String>>,
}

/// What an import did, or would do.
#[derive(Serialize, ToSchema)]
struct ImportReport {
    dry_run: bool,
    created: usize,
    updated: usize,
    unchanged: usize,
    failed: usize,
    /// In the order of the file.
    rows: Vec<ImportRow>,
    /// Columns that mean nothing here.
    ignored_columns: Vec<String>,
}

impl From<places::ImportReport> for ImportReport {
    fn from(report: places::ImportReport) -> Self {
        Self {
            dry_run: report.dry_run,
            created: report.count(ImportAction::Created),
            updated: report.count(ImportAction::Updated),
            unchanged: report.count(ImportAction::Unchanged),
            failed: report.count(ImportAction::Failed),
            ignored_columns: report.ignored_columns,
            rows: report
                .rows
                .into_iter()
                .map(|row| ImportRow {
                    row: row.row,
                    action: row.action.as_str(),
                    id: row.id.map(SubjectId::from_uuid),
                    name: row.name,
                    errors: row.invalid.errors,
                })
                .collect(),
        }
    }
}

/// A CSV file, as the whole body or as the first file of a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "stands for the form in the API description")]
struct ImportFile {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// As in the query.
    dry_run: Option<bool>,
}

/// The file, and whether this is a dry run.
async fn given(query: ImportQuery, request: Request) -> Result<(Bytes, bool)> {
    let mut dry_run = query.dry_run.as_deref().map_or(Ok(false), flag)?;
    let broken = || Error::new(StatusCode::BAD_REQUEST, "The request body could not be read.");
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.trim_start().to_lowercase().starts_with("multipart/form-data")) {
        let file = Bytes::from_request(request, &()).await.map_err(|_| broken())?;
        return Ok((file, dry_run));
    }
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(|_| broken())? {
        if field.name() == Some("dry_run") {
            dry_run = flag(&field.text().await.map_err(|_| broken())?)?;
        } else if file.is_none() && (field.file_name().is_some() || field.name() == Some("file")) {
            file = Some(field.bytes().await.map_err(|_| broken())?);
        }
    }
    let file = file.ok_or_else(|| Error::field("file", "The file field is required."))?;
    Ok((file, dry_run))
}

/// Makes and changes sites by the rows of a CSV file.
///
/// Columns: `name`, `code`, `aliases` (separated by `;` or `|`), `timezone`, `operating_hours` (JSON), `address`,
/// `latitude`, `longitude`, `supervisors` (e-mails). A row changes the site with its code, or else its name; what is
/// left empty stays. Rows that cannot be used are reported and the others done.
#[utoipa::path(post, path = "/api/v1/sites/import", tag = "Sites",
    security(("bearer" = ["write"])), params(ImportQuery),
    request_body(content((String = "text/csv"), (ImportFile = "multipart/form-data"))),
    responses((status = 200, body = Data<ImportReport>)))]
async fn import_sites(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<axum::Json<Data<ImportReport>>> {
    let (file, dry_run) = given(query, request).await?;
    Ok(data(state.engine.import_sites(&caller, &file, dry_run).await?.into()))
}

/// Makes and changes facilities by the rows of a CSV file.
///
/// Columns: `site` (name, code or id), `name`, `code`, `aliases` (separated by `;` or `|`), `category`, `parent` (name,
/// code or id, in any row). A row changes the facility with its code, or else its name at its site; what is left empty
/// stays. Rows that cannot be used are reported and the others done.
#[utoipa::path(post, path = "/api/v1/facilities/import", tag = "Facilities",
    security(("bearer" = ["write"])), params(ImportQuery),
    request_body(content((String = "text/csv"), (ImportFile = "multipart/form-data"))),
    responses((status = 200, body = Data<ImportReport>)))]
async fn import_facilities(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<axum::Json<Data<ImportReport>>> {
    let (file, dry_run) = given(query, request).await?;
    Ok(data(state.engine.import_facilities(&caller, &file, dry_run).await?.into()))
}

/// Makes and changes categories by the rows of a CSV file.
///
/// Columns: `name`, `code` (the key of a default category), `name_en`, `name_id`, `name_ar`, `aliases` (separated by `;`
/// or `|`). A row changes the category with its key, or else its name; what is left empty stays. Rows that cannot be
/// used are reported and the others done.
#[utoipa::path(post, path = "/api/v1/categories/import", tag = "Categories",
    security(("bearer" = ["write"])), params(ImportQuery),
    request_body(content((String = "text/csv"), (ImportFile = "multipart/form-data"))),
    responses((status = 200, body = Data<ImportReport>)))]
async fn import_categories(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<axum::Json<Data<ImportReport>>> {
    let (file, dry_run) = given(query, request).await?;
    Ok(data(state.engine.import_categories(&caller, &file, dry_run).await?.into()))
}
