//! The media library.

mod serve;

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures::stream::{Stream, try_unfold};
use http::StatusCode;
use kabar_domain::file::{FileOrigin, FileStatus};
use kabar_domain::{FileId, MessageId, Timestamp};
use kabar_engine::media::{self, FileQuery, NewFile};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::{Error, Result};
use crate::extract::{Auth, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_files, create_file))
        .routes(routes!(get_file, delete_file))
        .routes(routes!(refetch_file))
        .merge(serve::routes())
}

#[derive(Serialize, ToSchema)]
struct File {
    #[schema(value_type = Ulid)]
    id: FileId,
    /// `pending` (it is being fetched), `stored` or `missing`.
    #[schema(value_type = String, example = "stored")]
    status: FileStatus,
    /// Why it is missing.
    reason: Option<String>,
    /// `upload`, `message` (a person sent it) or `url`.
    #[schema(value_type = String, example = "upload")]
    origin: FileOrigin,
    filename: Option<String>,
    /// As whoever sent it says.
    #[schema(example = "image/jpeg")]
    mime_type: Option<String>,
    /// Bytes.
    size: Option<i64>,
    /// Lowercase hexadecimal.
    sha256: Option<String>,
    /// The message it came with.
    #[schema(value_type = Option<Ulid>)]
    message_id: Option<MessageId>,
    /// Where it can be read without a token, for at least 15 minutes; null unless it is stored.
    url: Option<String>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl File {
    fn new(state: &ApiState, file: media::File) -> Self {
        Self {
            url: state.engine.file_url(&file),
            id: file.id,
            status: file.status,
            reason: file.reason,
            origin: file.origin,
            filename: file.filename,
            mime_type: file.mime_type,
            size: file.size,
            sha256: file.sha256,
            message_id: file.message_id,
            created_at: file.created_at,
            updated_at: file.updated_at,
        }
    }
}

/// A file to store.
#[derive(ToSchema)]
#[expect(dead_code, reason = "stands for the form in the API description")]
struct CreateFileRequest {
    /// Its name and type are those of the part.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListFilesQuery {
    /// `pending`, `stored` or `missing`.
    status: Option<String>,
}

/// The organisation's files, newest first.
///
/// A token bound to channels finds those that people sent there. What is uploaded stays until it is deleted, used or not.
#[utoipa::path(get, path = "/api/v1/media", tag = "Media",
    security(("bearer" = ["read"])), params(ListFilesQuery, PageQuery),
    responses((status = 200, body = List<File>)))]
async fn list_files(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListFilesQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<File>>> {
    let page =
        state.engine.list_files(&caller, FileQuery { status: query.status }, &page.request(25)?).await?;
    Ok(list(page.map(|file| File::new(&state, file))))
}

/// Stores a file.
///
/// It is stored as it comes, whatever its size up to the server's limit. The same content twice is stored once. Under
/// an `Idempotency-Key` the file itself is not compared: the key and the length stand for it.
#[utoipa::path(post, path = "/api/v1/media", tag = "Media", security(("bearer" = ["write"]), ("bearer" = ["send"])),
    request_body(content = CreateFileRequest, content_type = "multipart/form-data"),
    responses((status = 201, body = Data<File>),
        (status = 413, description = "Larger than the server takes.", body = ref("#/components/schemas/Error"))))]
async fn create_file(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    request: Request,
) -> Result<impl IntoResponse> {
    state.engine.may_upload(&caller)?;
    let required = || Error::field("file", "The file field is required.");
    // What is no such form has no file.
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| required())?;
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        if field.name() != Some("file") {
            continue;
        }
        let new = NewFile {
            filename: field.file_name().map(str::to_owned),
            mime_type: field.content_type().map(str::to_owned),
        };
        let file = state.engine.create_file(&caller, new, parts(field)).await?;
        return Ok(created(File::new(&state, file)));
    }
    Err(required())
}

pub(super) fn unreadable(error: &MultipartError) -> Error {
    Error::new(StatusCode::BAD_REQUEST, format!("The form could not be read: {}.", error.body_text()))
}

pub(super) fn parts(field: Field<'_>) -> impl Stream<Item = Result<Bytes, String>> + Send {
    try_unfold(field, |mut field| async {
        match field.chunk().await {
            Ok(part) => Ok(part.map(|part| (part, field))),
            Err(error) => Err(format!("The file broke off: {}.", error.body_text())),
        }
    })
}

/// One file, with a fresh link to its bytes.
#[utoipa::path(get, path = "/api/v1/media/{id}", tag = "Media",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<File>)))]
async fn get_file(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FileId>,
) -> Result<axum::Json<Data<File>>> {
    let file = state.engine.get_file(&caller, id).await?;
    Ok(data(File::new(&state, file)))
}

/// Removes a file. Messages keep that they had one; while one that waits to be sent needs it, it stays.
#[utoipa::path(delete, path = "/api/v1/media/{id}", tag = "Media",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 204, description = "It is removed.")))]
async fn delete_file(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FileId>,
) -> Result<StatusCode> {
    state.engine.delete_file(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fetches a missing file from its provider again.
#[utoipa::path(post, path = "/api/v1/media/{id}/refetch", tag = "Media",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 202, body = Data<File>)))]
async fn refetch_file(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FileId>,
) -> Result<impl IntoResponse> {
    let file = state.engine.refetch_file(&caller, id).await?;
    Ok((StatusCode::ACCEPTED, data(File::new(&state, file))))
}
