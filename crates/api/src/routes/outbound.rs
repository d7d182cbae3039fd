//! The queue: taking messages back, sending them again, and those a person has to look at.

use axum::extract::State;
use http::StatusCode;
use kabar_domain::{MessageId, Timestamp};
use kabar_engine::outbound;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::MessageResource;
use crate::data::{Data, List, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(cancel_message))
        .routes(routes!(retry_message))
        .routes(routes!(list_dead_letters))
        .routes(routes!(dismiss_dead_letter))
}

/// Takes a message back that is not sent yet.
///
/// It may wait for its turn, for its `send_at`, or for another attempt. A message that is being sent at this moment, or
/// was, is a 409.
#[utoipa::path(post, path = "/api/v1/messages/{id}/cancel", tag = "Messages",
    security(("bearer" = ["send"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<MessageResource>)))]
async fn cancel_message(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<MessageId>,
) -> Result<axum::Json<Data<MessageResource>>> {
    Ok(data(state.engine.cancel_message(&caller, id).await?.into()))
}

/// Sends a message again that failed or is uncertain.
///
/// Of an uncertain message nobody knows whether it arrived: whoever sends it again has decided that it did not. Should
/// a delivery report of the first attempt come meanwhile, it is not sent again.
#[utoipa::path(post, path = "/api/v1/messages/{id}/retry", tag = "Messages",
    security(("bearer" = ["send"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<MessageResource>)))]
async fn retry_message(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<MessageId>,
) -> Result<axum::Json<Data<MessageResource>>> {
    Ok(data(state.engine.retry_message(&caller, id).await?.into()))
}

#[derive(Serialize, ToSchema)]
struct DeadLetter {
    /// `failed`, or `uncertain` when no delivery report settled it in time.
    #[schema(example = "failed")]
    reason: String,
    #[schema(value_type = Time)]
    listed_at: Timestamp,
    message: MessageResource,
}

impl From<outbound::DeadLetter> for DeadLetter {
    fn from(letter: outbound::DeadLetter) -> Self {
        Self { reason: letter.reason, listed_at: letter.listed_at, message: letter.message.into() }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListDeadLettersQuery {
    /// `failed` or `uncertain`.
    #[param(example = "uncertain")]
    reason: Option<String>,
}

/// Messages that a person has to look at, the latest first.
///
/// Those that failed, and those whose answer was lost and that no report settled in time. Send them again
/// (`POST /messages/{id}/retry`) or take them off the list.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "Messages",
    security(("bearer" = ["read"])), params(ListDeadLettersQuery, PageQuery),
    responses((status = 200, body = List<DeadLetter>)))]
async fn list_dead_letters(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListDeadLettersQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<DeadLetter>>> {
    let page = page.request(25)?;
    Ok(list(state.engine.list_dead_letters(&caller, query.reason.as_deref(), &page).await?))
}

/// Takes a message off the list of those to look at; the message stays as it is.
#[utoipa::path(delete, path = "/api/v1/dead-letters/{id}", tag = "Messages", security(("bearer" = ["send"])),
    params(("id" = Ulid, Path, description = "The message's id.")),
    responses((status = 204)))]
async fn dismiss_dead_letter(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<MessageId>,
) -> Result<StatusCode> {
    state.engine.dismiss_dead_letter(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
