//! Categories: what problems and things are about.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::{CategoryId, Timestamp};
use kabar_engine::patch::Patch;
use kabar_engine::places::{self, CategoryFields};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::sites::ListPlacesQuery;
use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_categories, create_category)).routes(routes!(
        get_category,
        update_category,
        change_category,
        archive_category
    ))
}

/// A category's name in each language.
#[derive(Default, Serialize, Deserialize, ToSchema)]
struct CategoryNames {
    #[schema(max_length = 255, example = "Electrical")]
    en: Option<String>,
    #[schema(max_length = 255, example = "Kelistrikan")]
    id: Option<String>,
    #[schema(max_length = 255, example = "الكهرباء")]
    ar: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Category {
    #[schema(value_type = Ulid)]
    id: CategoryId,
    /// Of the categories that every organisation begins with.
    #[schema(example = "electrical")]
    key: Option<String>,
    #[schema(example = "Electrical")]
    name: String,
    names: CategoryNames,
    /// Other names that people gave.
    aliases: Vec<String>,
    /// Other names that corrections taught.
    learned_aliases: Vec<String>,
    #[schema(value_type = Option<Time>)]
    archived_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<places::Category> for Category {
    fn from(category: places::Category) -> Self {
        let names = category.names;
        Self {
            id: category.id,
            key: category.key,
            name: category.name,
            names: CategoryNames { en: names.en, id: names.id, ar: names.ar },
            aliases: category.aliases,
            learned_aliases: category.learned,
            archived_at: category.archived_at,
            created_at: category.created_at,
            updated_at: category.updated_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct CategoryRequest {
    /// Required of a new category.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, example = "Swimming pools")]
    name: Patch<String>,
    /// In other languages; all of them are replaced.
    #[serde(default)]
    #[schema(value_type = CategoryNames, required = false)]
    names: Patch<CategoryNames>,
    /// Other names that people use.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false, max_items = 50)]
    aliases: Patch<Vec<String>>,
    /// Takes it out of use, or brings it back.
    archived: Option<bool>,
}

impl From<CategoryRequest> for CategoryFields {
    fn from(request: CategoryRequest) -> Self {
        let names = match request.names {
            Patch::Keep => Patch::Keep,
            Patch::Set(names) => {
                Patch::Set(names.map(|CategoryNames { en, id, ar }| places::Names { en, id, ar }))
            }
        };
        Self { name: request.name, names, aliases: request.aliases, archived: request.archived }
    }
}

/// Categories, in the order they were made. Every organisation begins with some.
#[utoipa::path(get, path = "/api/v1/categories", tag = "Categories",
    security(("bearer" = ["read"])), params(ListPlacesQuery, PageQuery),
    responses((status = 200, body = List<Category>)))]
async fn list_categories(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListPlacesQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Category>>> {
    Ok(list(state.engine.list_categories(&caller, query.into(), &page.request(25)?).await?))
}

/// Makes a category.
#[utoipa::path(post, path = "/api/v1/categories", tag = "Categories",
    security(("bearer" = ["write"])), request_body = CategoryRequest,
    responses((status = 201, body = Data<Category>)))]
async fn create_category(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CategoryRequest>,
) -> Result<impl IntoResponse> {
    Ok(created(Category::from(state.engine.create_category(&caller, request.into()).await?)))
}

/// One category, archived or not.
#[utoipa::path(get, path = "/api/v1/categories/{id}", tag = "Categories",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Category>)))]
async fn get_category(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<CategoryId>,
) -> Result<axum::Json<Data<Category>>> {
    Ok(data(state.engine.get_category(&caller, id).await?.into()))
}

/// Changes what is sent; what is not sent stays.
#[utoipa::path(put, path = "/api/v1/categories/{id}", tag = "Categories",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = CategoryRequest, responses((status = 200, body = Data<Category>)))]
async fn update_category(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<CategoryId>,
    Json(request): Json<CategoryRequest>,
) -> Result<axum::Json<Data<Category>>> {
    Ok(data(state.engine.update_category(&caller, id, request.into()).await?.into()))
}

/// The same as PUT.
#[utoipa::path(patch, path = "/api/v1/categories/{id}", tag = "Categories",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = CategoryRequest, responses((status = 200, body = Data<Category>)))]
async fn change_category(
    state: State<ApiState>,
    caller: Auth,
    id: PathId<CategoryId>,
    request: Json<CategoryRequest>,
) -> Result<axum::Json<Data<Category>>> {
    update_category(state, caller, id, request).await
}

/// Takes a category out of use. What was recorded under it stays; `archived: false` brings it back.
#[utoipa::path(delete, path = "/api/v1/categories/{id}", tag = "Categories",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 204)))]
async fn archive_category(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<CategoryId>,
) -> Result<StatusCode> {
    let fields = CategoryFields { archived: Some(true), ..CategoryFields::default() };
    state.engine.update_category(&caller, id, fields).await?;
    Ok(StatusCode::NO_CONTENT)
}
