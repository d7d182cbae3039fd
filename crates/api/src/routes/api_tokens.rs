//! Tokens of an organisation's programs.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderValue, StatusCode, header};
use kabar_domain::{ChannelId, SiteId, Timestamp, UserId};
use kabar_engine::tokens::{self, NewApiToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, TokenId};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_api_tokens, create_api_token))
        .routes(routes!(get_api_token, revoke_api_token))
}

/// A program's token.
#[derive(Serialize, ToSchema)]
struct ApiToken {
    #[schema(example = 17)]
    id: i64,
    name: String,
    /// Of `read`, `write`, `send` and `admin`; `admin` implies the others, and the role of its person may cap them.
    #[schema(example = json!(["read", "send"]))]
    abilities: Vec<String>,
    /// It reaches nothing but these channels; null when it is not bound to channels.
    #[schema(value_type = Option<Vec<Ulid>>)]
    channel_ids: Option<Vec<ChannelId>>,
    /// It reaches nothing but these sites; null when it is not bound to sites.
    #[schema(value_type = Option<Vec<Ulid>>)]
    site_ids: Option<Vec<SiteId>>,
    /// Who made it, and in whose name it acts.
    created_by: Person,
    #[schema(value_type = Option<Time>)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// The token itself: shown when it is created, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "17|k3J9…")]
    token: Option<String>,
}

/// A person of the organisation.
#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    #[schema(value_type = Ulid)]
    pub id: UserId,
    pub name: String,
    pub email: String,
}

impl From<tokens::Token> for ApiToken {
    fn from(token: tokens::Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            abilities: token.abilities,
            channel_ids: token.reach.channels,
            site_ids: token.reach.sites,
            created_by: Person { id: token.user_id, name: token.user_name, email: token.user_email },
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            created_at: token.created_at,
            token: None,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct CreateApiTokenRequest {
    #[schema(value_type = String, required, max_length = 255, example = "CRM")]
    name: Option<String>,
    /// Of `read`, `write`, `send` and `admin`.
    #[schema(value_type = Vec<String>, required, example = json!(["read", "send"]))]
    abilities: Option<Vec<String>>,
    /// It never expires without. An event `token.expiring` tells of its end seven days before.
    #[schema(value_type = Option<Time>)]
    expires_at: Option<String>,
    /// Binds it to channels: others, and what is about more than these, are out of its reach.
    #[schema(value_type = Option<Vec<Ulid>>, min_items = 1, max_items = 100)]
    channel_ids: Option<Vec<String>>,
    /// Binds it to sites.
    #[schema(value_type = Option<Vec<Ulid>>, min_items = 1, max_items = 100)]
    site_ids: Option<Vec<String>>,
}

/// Tokens of programs, the newest first. Sessions of browsers and tokens of connected apps are not among them.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "Tokens", security(("bearer" = ["admin"])), params(PageQuery),
    responses((status = 200, body = List<ApiToken>)))]
async fn list_api_tokens(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<ApiToken>>> {
    Ok(list(state.engine.list_api_tokens(&caller, &page.request(25)?).await?))
}

/// Makes a token for a program, in the caller's name.
///
/// The answer shows it this once: only a hash is kept. A token bound to channels reaches these, their conversations,
/// messages and inbox items, and reads their accounts and widgets, the contacts on them, the files people sent there, and
/// the events of their messages; one bound to sites reaches these, their facilities, problems and work updates. Anything
/// else of the kind is a 404 for it, and what is about the organisation as a whole a 403.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "Tokens", security(("bearer" = ["admin"])),
    request_body = CreateApiTokenRequest, responses((status = 201, body = Data<ApiToken>)))]
async fn create_api_token(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateApiTokenRequest>,
) -> Result<impl IntoResponse> {
    let new = NewApiToken {
        name: request.name,
        abilities: request.abilities,
        expires_at: request.expires_at,
        channel_ids: request.channel_ids,
        site_ids: request.site_ids,
    };
    let (made, token) = state.engine.create_api_token(&caller, new).await?;
    let secret = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((secret, created(ApiToken { token: Some(token), ..made.into() })))
}

/// One token, without its secret.
#[utoipa::path(get, path = "/api/v1/tokens/{id}", tag = "Tokens", security(("bearer" = ["admin"])),
    params(("id" = i64, Path)), responses((status = 200, body = Data<ApiToken>)))]
async fn get_api_token(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<TokenId>,
) -> Result<axum::Json<Data<ApiToken>>> {
    Ok(data(state.engine.get_api_token(&caller, id.0).await?.into()))
}

/// Revokes a token: it is good for nothing from now on.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "Tokens", security(("bearer" = ["admin"])),
    params(("id" = i64, Path)), responses((status = 204)))]
async fn revoke_api_token(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<TokenId>,
) -> Result<StatusCode> {
    state.engine.revoke_api_token(&caller, id.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
