//! Facilities: the things at sites.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::{CategoryId, FacilityId, SiteId, Timestamp};
use kabar_engine::patch::Patch;
use kabar_engine::places::{self, FacilityFields, FacilityQuery, PlaceQuery};
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
    OpenApiRouter::new().routes(routes!(list_facilities, create_facility)).routes(routes!(
        get_facility,
        update_facility,
        change_facility,
        archive_facility
    ))
}

#[derive(Serialize, ToSchema)]
struct Facility {
    #[schema(value_type = Ulid)]
    id: FacilityId,
    #[schema(value_type = Ulid)]
    site_id: SiteId,
    /// The facility it is in or part of.
    #[schema(value_type = Option<Ulid>)]
    parent_id: Option<FacilityId>,
    #[schema(value_type = Option<Ulid>)]
    category_id: Option<CategoryId>,
    #[schema(example = "AC lantai 2")]
    name: String,
    #[schema(example = "AC-02")]
    code: Option<String>,
    /// Other names that people gave.
    aliases: Vec<String>,
    /// Other names that corrections taught.
    learned_aliases: Vec<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    #[schema(value_type = Option<Time>)]
    archived_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<places::Facility> for Facility {
    fn from(facility: places::Facility) -> Self {
        Self {
            id: facility.id,
            site_id: facility.site_id,
            parent_id: facility.parent_id,
            category_id: facility.category_id,
            name: facility.name,
            code: facility.code,
            aliases: facility.aliases,
            learned_aliases: facility.learned,
            metadata: facility.metadata,
            archived_at: facility.archived_at,
            created_at: facility.created_at,
            updated_at: facility.updated_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct FacilityRequest {
    /// Required of a new facility.
    #[serde(default)]
    #[schema(value_type = Ulid, required = false)]
    site_id: Patch<String>,
    /// The facility it is in or part of, at the same site.
    #[serde(default)]
    #[schema(value_type = Option<Ulid>)]
    parent_id: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<Ulid>)]
    category_id: Patch<String>,
    /// Required of a new facility.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, example = "AC lantai 2")]
    name: Patch<String>,
    /// Unique among the facilities in use, whatever its case.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 64, example = "AC-02")]
    code: Patch<String>,
    /// Other names that people use.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false, max_items = 50)]
    aliases: Patch<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Patch<Value>,
    /// Takes it out of use, or brings it back.
    archived: Option<bool>,
}

impl From<FacilityRequest> for FacilityFields {
    fn from(request: FacilityRequest) -> Self {
        Self {
            site_id: request.site_id,
            parent_id: request.parent_id,
            category_id: request.category_id,
            name: request.name,
            code: request.code,
            aliases: request.aliases,
            metadata: request.metadata,
            archived: request.archived,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListFacilitiesQuery {
    site_id: Option<String>,
    category_id: Option<String>,
    /// Those directly in this facility.
    parent_id: Option<String>,
    /// Looked for anywhere in names, codes and aliases.
    #[serde(alias = "search")]
    q: Option<String>,
    /// `active` when left out, `archived` or `all`.
    status: Option<String>,
}

/// Facilities, in the order they were made.
#[utoipa::path(get, path = "/api/v1/facilities", tag = "Facilities",
    security(("bearer" = ["read"])), params(ListFacilitiesQuery, PageQuery),
    responses((status = 200, body = List<Facility>)))]
async fn list_facilities(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListFacilitiesQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Facility>>> {
    let query = FacilityQuery {
        site_id: query.site_id,
        category_id: query.category_id,
        parent_id: query.parent_id,
        place: PlaceQuery { q: query.q, status: query.status },
    };
    Ok(list(state.engine.list_facilities(&caller, query, &page.request(25)?).await?))
}

/// Makes a facility.
///
/// Messages that name it from now on are tagged with it.
#[utoipa::path(post, path = "/api/v1/facilities", tag = "Facilities",
    security(("bearer" = ["write"])), request_body = FacilityRequest,
    responses((status = 201, body = Data<Facility>)))]
async fn create_facility(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<FacilityRequest>,
) -> Result<impl IntoResponse> {
    Ok(created(Facility::from(state.engine.create_facility(&caller, request.into()).await?)))
}

/// One facility, archived or not.
#[utoipa::path(get, path = "/api/v1/facilities/{id}", tag = "Facilities",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Facility>)))]
async fn get_facility(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FacilityId>,
) -> Result<axum::Json<Data<Facility>>> {
    Ok(data(state.engine.get_facility(&caller, id).await?.into()))
}

/// Changes what is sent; what is not sent stays.
#[utoipa::path(put, path = "/api/v1/facilities/{id}", tag = "Facilities",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = FacilityRequest, responses((status = 200, body = Data<Facility>)))]
async fn update_facility(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FacilityId>,
    Json(request): Json<FacilityRequest>,
) -> Result<axum::Json<Data<Facility>>> {
    Ok(data(state.engine.update_facility(&caller, id, request.into()).await?.into()))
}

/// The same as PUT.
#[utoipa::path(patch, path = "/api/v1/facilities/{id}", tag = "Facilities",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = FacilityRequest, responses((status = 200, body = Data<Facility>)))]
async fn change_facility(
    state: State<ApiState>,
    caller: Auth,
    id: PathId<FacilityId>,
    request: Json<FacilityRequest>,
) -> Result<axum::Json<Data<Facility>>> {
    update_facility(state, caller, id, request).await
}

/// Takes a facility out of use. What was recorded about it stays; `archived: false` brings it back.
#[utoipa::path(delete, path = "/api/v1/facilities/{id}", tag = "Facilities",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 204)))]
async fn archive_facility(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FacilityId>,
) -> Result<StatusCode> {
    let fields = FacilityFields { archived: Some(true), ..FacilityFields::default() };
    state.engine.update_facility(&caller, id, fields).await?;
    Ok(StatusCode::NO_CONTENT)
}
