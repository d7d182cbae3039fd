//! Sites: where work happens.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::{SiteId, Timestamp, UserId};
use kabar_engine::patch::Patch;
use kabar_engine::places::{self, PlaceQuery, SiteFields};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_sites, create_site)).routes(routes!(
        get_site,
        update_site,
        change_site,
        archive_site
    ))
}

#[derive(Serialize, ToSchema)]
struct Site {
    #[schema(value_type = Ulid)]
    id: SiteId,
    #[schema(example = "Building A")]
    name: String,
    #[schema(example = "BA")]
    code: Option<String>,
    /// Other names that people gave.
    #[schema(example = json!(["Gedung A", "Gd. A"]))]
    aliases: Vec<String>,
    /// Other names that corrections taught.
    learned_aliases: Vec<String>,
    /// IANA name; without one the organisation's counts.
    #[schema(example = "Asia/Jakarta")]
    timezone: Option<String>,
    /// Days (`mon` to `sun`) with the spans they are open; without them the organisation's count.
    #[schema(value_type = Option<Object>, example = json!({"mon": [{"open": "08:00", "close": "17:00"}]}))]
    operating_hours: Option<Value>,
    address: Option<String>,
    #[schema(example = -6.2088)]
    latitude: Option<f64>,
    #[schema(example = 106.8456)]
    longitude: Option<f64>,
    #[schema(value_type = Vec<Ulid>)]
    supervisor_ids: Vec<UserId>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    #[schema(value_type = Option<Time>)]
    archived_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<places::Site> for Site {
    fn from(site: places::Site) -> Self {
        Self {
            id: site.id,
            name: site.name,
            code: site.code,
            aliases: site.aliases,
            learned_aliases: site.learned,
            timezone: site.timezone,
            operating_hours: site.operating_hours,
            address: site.address,
            latitude: site.latitude,
            longitude: site.longitude,
            supervisor_ids: site.supervisor_ids,
            metadata: site.metadata,
            archived_at: site.archived_at,
            created_at: site.created_at,
            updated_at: site.updated_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct SiteRequest {
    /// Required of a new site.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, example = "Building A")]
    name: Patch<String>,
    /// Unique among the sites in use, whatever its case.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 64, example = "BA")]
    code: Patch<String>,
    /// Other names that people use.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false, max_items = 50)]
    aliases: Patch<Vec<String>>,
    /// IANA name.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Asia/Jakarta")]
    timezone: Patch<String>,
    /// Days (`mon` to `sun`), each null or a list of spans.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"mon": [{"open": "08:00", "close": "17:00"}]}))]
    operating_hours: Patch<Value>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1000)]
    address: Patch<String>,
    /// Degrees; with `longitude` or not at all.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = -90, maximum = 90)]
    latitude: Patch<f64>,
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = -180, maximum = 180)]
    longitude: Patch<f64>,
    /// People of the organisation who are told of what happens here.
    #[serde(default)]
    #[schema(value_type = Vec<Ulid>, required = false)]
    supervisor_ids: Patch<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Patch<Value>,
    /// Takes the site, and what is at it, out of use, or brings both back.
    archived: Option<bool>,
}

impl From<SiteRequest> for SiteFields {
    fn from(request: SiteRequest) -> Self {
        Self {
            name: request.name,
            code: request.code,
            aliases: request.aliases,
            timezone: request.timezone,
            operating_hours: request.operating_hours,
            address: request.address,
            latitude: request.latitude,
            longitude: request.longitude,
            supervisor_ids: request.supervisor_ids,
            metadata: request.metadata,
            archived: request.archived,
        }
    }
}

/// Filters of sites and of categories.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListPlacesQuery {
    /// Looked for anywhere in names, codes, aliases and addresses.
    #[serde(alias = "search")]
    q: Option<String>,
    /// `active` when left out, `archived` or `all`.
    status: Option<String>,
}

impl From<ListPlacesQuery> for PlaceQuery {
    fn from(query: ListPlacesQuery) -> Self {
        Self { q: query.q, status: query.status }
    }
}

/// Sites, in the order they were made.
#[utoipa::path(get, path = "/api/v1/sites", tag = "Sites",
    security(("bearer" = ["read"])), params(ListPlacesQuery, PageQuery),
    responses((status = 200, body = List<Site>)))]
async fn list_sites(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListPlacesQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Site>>> {
    Ok(list(state.engine.list_sites(&caller, query.into(), &page.request(25)?).await?))
}

/// Makes a site.
#[utoipa::path(post, path = "/api/v1/sites", tag = "Sites",
    security(("bearer" = ["write"])), request_body = SiteRequest,
    responses((status = 201, body = Data<Site>)))]
async fn create_site(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<SiteRequest>,
) -> Result<impl IntoResponse> {
    Ok(created(Site::from(state.engine.create_site(&caller, request.into()).await?)))
}

/// One site, archived or not.
#[utoipa::path(get, path = "/api/v1/sites/{id}", tag = "Sites",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Site>)))]
async fn get_site(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<SiteId>,
) -> Result<axum::Json<Data<Site>>> {
    Ok(data(state.engine.get_site(&caller, id).await?.into()))
}

/// Changes what is sent; what is not sent stays.
#[utoipa::path(put, path = "/api/v1/sites/{id}", tag = "Sites",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = SiteRequest, responses((status = 200, body = Data<Site>)))]
async fn update_site(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<SiteId>,
    Json(request): Json<SiteRequest>,
) -> Result<axum::Json<Data<Site>>> {
    Ok(data(state.engine.update_site(&caller, id, request.into()).await?.into()))
}

/// The same as PUT.
#[utoipa::path(patch, path = "/api/v1/sites/{id}", tag = "Sites",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = SiteRequest, responses((status = 200, body = Data<Site>)))]
async fn change_site(
    state: State<ApiState>,
    caller: Auth,
    id: PathId<SiteId>,
    request: Json<SiteRequest>,
) -> Result<axum::Json<Data<Site>>> {
    update_site(state, caller, id, request).await
}

/// Takes a site, and what is at it, out of use. What was recorded there stays; `archived: false` brings both back.
#[utoipa::path(delete, path = "/api/v1/sites/{id}", tag = "Sites",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 204)))]
async fn archive_site(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<SiteId>,
) -> Result<StatusCode> {
    let fields = SiteFields { archived: Some(true), ..SiteFields::default() };
    state.engine.update_site(&caller, id, fields).await?;
    Ok(StatusCode::NO_CONTENT)
}
