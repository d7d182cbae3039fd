//! Organisations.

use axum::extract::State;
use axum::response::IntoResponse;
use kabar_domain::{AccountId, OrganisationId, Timestamp};
use kabar_engine::organisations::{self, CreateOrganisation, UpdateOrganisation};
use kabar_engine::patch::Patch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_organisations, create_organisation))
        .routes(routes!(get_organisation, update_organisation))
}

#[derive(Serialize, ToSchema)]
struct Organisation {
    #[schema(value_type = Ulid)]
    id: OrganisationId,
    name: String,
    #[schema(example = "pt-sejahtera")]
    slug: String,
    /// IANA name.
    #[schema(example = "Asia/Jakarta")]
    timezone: String,
    /// Days (`mon` to `sun`) with the spans they are open.
    #[schema(value_type = Option<Object>, example = json!({"mon": [{"open": "08:00", "close": "17:00"}]}))]
    operating_hours: Option<Value>,
    #[schema(value_type = Object)]
    settings: Value,
    #[schema(value_type = Option<Ulid>)]
    default_messaging_account_id: Option<AccountId>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<organisations::Organisation> for Organisation {
    fn from(organisation: organisations::Organisation) -> Self {
        Self {
            id: organisation.id,
            name: organisation.name,
            slug: organisation.slug,
            timezone: organisation.timezone,
            operating_hours: organisation.operating_hours,
            settings: kabar_engine::operations::shown(organisation.settings),
            default_messaging_account_id: organisation.default_account_id,
            created_at: organisation.created_at,
            updated_at: organisation.updated_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct CreateOrganisationRequest {
    #[schema(value_type = String, required, max_length = 255)]
    name: Option<String>,
    #[schema(value_type = String, required, pattern = "^[a-z0-9-]{2,63}$")]
    slug: Option<String>,
    #[schema(value_type = String, required, example = "Asia/Jakarta")]
    timezone: Option<String>,
    /// Days (`mon` to `sun`), each null or a list of spans.
    #[schema(value_type = Option<Object>, example = json!({"mon": [{"open": "08:00", "close": "17:00"}]}))]
    operating_hours: Option<Value>,
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    /// Must be an account of the organisation, so a new one cannot have it yet.
    #[schema(value_type = Option<Ulid>)]
    default_messaging_account_id: Option<AccountId>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateOrganisationRequest {
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255)]
    name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = String, required = false, pattern = "^[a-z0-9-]{2,63}$")]
    slug: Patch<String>,
    #[serde(default)]
    #[schema(value_type = String, required = false, example = "Asia/Jakarta")]
    timezone: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    operating_hours: Patch<Value>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    settings: Patch<Value>,
    #[serde(default)]
    #[schema(value_type = Option<Ulid>)]
    default_messaging_account_id: Patch<AccountId>,
}

/// The caller's organisations.
#[utoipa::path(get, path = "/api/v1/organisations", tag = "Organisations",
    security(("bearer" = ["read"])), params(PageQuery),
    responses((status = 200, body = List<Organisation>)))]
async fn list_organisations(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<Organisation>>> {
    Ok(list(state.engine.list_organisations(&caller, &page.request(25)?).await?))
}

/// Creates an organisation, whose owner the caller becomes.
#[utoipa::path(post, path = "/api/v1/organisations", tag = "Organisations", security(("bearer" = ["admin"])),
    request_body = CreateOrganisationRequest,
    responses((status = 201, body = Data<Organisation>)))]
async fn create_organisation(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateOrganisationRequest>,
) -> Result<impl IntoResponse> {
    let new = CreateOrganisation {
        name: request.name,
        slug: request.slug,
        timezone: request.timezone,
        operating_hours: request.operating_hours,
        settings: request.settings,
        default_messaging_account_id: request.default_messaging_account_id,
    };
    Ok(created(Organisation::from(state.engine.create_organisation(&caller, new).await?)))
}

/// One of the caller's organisations.
#[utoipa::path(get, path = "/api/v1/organisations/{id}", tag = "Organisations", security(("bearer" = ["read"])),
    params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Organisation>)))]
async fn get_organisation(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<OrganisationId>,
) -> Result<axum::Json<Data<Organisation>>> {
    Ok(data(state.engine.get_organisation(&caller, id).await?.into()))
}

/// Changes what is sent; what is not sent stays.
#[utoipa::path(put, path = "/api/v1/organisations/{id}", tag = "Organisations", security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), request_body = UpdateOrganisationRequest,
    responses((status = 200, body = Data<Organisation>)))]
async fn update_organisation(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<OrganisationId>,
    Json(request): Json<UpdateOrganisationRequest>,
) -> Result<axum::Json<Data<Organisation>>> {
    let change = UpdateOrganisation {
        name: request.name,
        slug: request.slug,
        timezone: request.timezone,
        operating_hours: request.operating_hours,
        settings: request.settings,
        default_messaging_account_id: request.default_messaging_account_id,
    };
    Ok(data(state.engine.update_organisation(&caller, id, change).await?.into()))
}
