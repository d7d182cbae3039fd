//! Apps that people may connect, and those that they did.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::{AppId, ConnectionId, FileId, Timestamp};
use kabar_engine::apps::{self, AppFields};
use kabar_engine::patch::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api_tokens::Person;
use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_apps, create_app))
        .routes(routes!(get_app, update_app, delete_app))
        .routes(routes!(list_connected_apps))
        .routes(routes!(delete_connected_app))
}

/// A program of others that people may connect to their organisation.
#[derive(Serialize, ToSchema)]
struct App {
    #[schema(value_type = Ulid)]
    id: AppId,
    /// Names the app in links to the consent page.
    #[schema(example = "crm")]
    slug: String,
    name: String,
    homepage: Option<String>,
    #[schema(value_type = Option<Ulid>)]
    logo_media_id: Option<FileId>,
    #[schema(example = json!(["https://crm.example.com/kabar/callback"]))]
    redirect_uris: Vec<String>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<apps::App> for App {
    fn from(app: apps::App) -> Self {
        Self {
            id: app.id,
            slug: app.slug,
            name: app.name,
            homepage: app.homepage,
            logo_media_id: app.logo_file_id,
            redirect_uris: app.redirect_uris,
            created_at: app.created_at,
            updated_at: app.updated_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct CreateAppRequest {
    #[serde(default)]
    #[schema(value_type = String, required, max_length = 255)]
    name: Patch<String>,
    /// 2 to 63 lower-case letters, digits and hyphens; unique on the server.
    #[serde(default)]
    #[schema(value_type = String, required)]
    slug: Patch<String>,
    /// Where the app may have people sent back to, character by character: https, or http on this machine
    /// (`localhost`, `127.0.0.1`).
    #[serde(default)]
    #[schema(value_type = Vec<String>, required, min_items = 1, max_items = 20)]
    redirect_uris: Patch<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    homepage: Patch<String>,
    /// A PNG, JPEG or WebP of the media library.
    #[serde(default)]
    #[schema(value_type = Option<Ulid>)]
    logo_media_id: Patch<String>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateAppRequest {
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255)]
    name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    slug: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false, min_items = 1, max_items = 20)]
    redirect_uris: Patch<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    homepage: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<Ulid>)]
    logo_media_id: Patch<String>,
}

/// An app that holds tokens of a person.
#[derive(Serialize, ToSchema)]
struct ConnectedApp {
    #[schema(value_type = Ulid)]
    id: ConnectionId,
    app: ConnectedAppFacts,
    /// Who allowed it, and in whose name it acts.
    user: Person,
    #[schema(example = json!(["read", "send"]))]
    abilities: Vec<String>,
    #[schema(value_type = Time)]
    connected_at: Timestamp,
    #[schema(value_type = Option<Time>)]
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct ConnectedAppFacts {
    #[schema(value_type = Ulid)]
    id: AppId,
    slug: String,
    name: String,
    homepage: Option<String>,
}

impl From<apps::Connection> for ConnectedApp {
    fn from(connection: apps::Connection) -> Self {
        Self {
            id: connection.id,
            app: ConnectedAppFacts {
                id: connection.app_id,
                slug: connection.app_slug,
                name: connection.app_name,
                homepage: connection.app_homepage,
            },
            user: Person { id: connection.user_id, name: connection.user_name, email: connection.user_email },
            abilities: connection.abilities,
            connected_at: connection.created_at,
            last_used_at: connection.last_used_at,
        }
    }
}

/// The apps that the organisation registered, oldest first.
#[utoipa::path(get, path = "/api/v1/apps", tag = "Apps", security(("bearer" = ["read"])), params(PageQuery),
    responses((status = 200, body = List<App>)))]
async fn list_apps(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<App>>> {
    Ok(list(state.engine.list_apps(&caller, &page.request(25)?).await?))
}

/// Registers an app, so that people can connect it.
///
/// The app sends people to `/connect?app=crm&redirect_uri=…&abilities=read,send&state=…`. They sign in, choose one of
/// their organisations, and are sent to `redirect_uri` with `code` and `state`; or with `error=access_denied` when they
/// refuse. The app exchanges the code at `/api/v1/oauth/token` within five minutes. PKCE
/// (`code_challenge`, `code_challenge_method=S256`) is optional, and binding when it is used.
#[utoipa::path(post, path = "/api/v1/apps", tag = "Apps", security(("bearer" = ["admin"])),
    request_body = CreateAppRequest, responses((status = 201, body = Data<App>)))]
async fn create_app(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateAppRequest>,
) -> Result<impl IntoResponse> {
    let fields = AppFields {
        name: request.name,
        slug: request.slug,
        redirect_uris: request.redirect_uris,
        homepage: request.homepage,
        logo_media_id: request.logo_media_id,
    };
    Ok(created(App::from(state.engine.create_app(&caller, fields).await?)))
}

/// One app.
#[utoipa::path(get, path = "/api/v1/apps/{id}", tag = "Apps", security(("bearer" = ["read"])),
    params(("id" = Ulid, Path)), responses((status = 200, body = Data<App>)))]
async fn get_app(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<AppId>,
) -> Result<axum::Json<Data<App>>> {
    Ok(data(state.engine.get_app(&caller, id).await?.into()))
}

/// Changes what is sent. Codes for an address that the app gives up are not good any more; tokens stay.
#[utoipa::path(patch, path = "/api/v1/apps/{id}", tag = "Apps", security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), request_body = UpdateAppRequest, responses((status = 200, body = Data<App>)))]
async fn update_app(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<AppId>,
    Json(request): Json<UpdateAppRequest>,
) -> Result<axum::Json<Data<App>>> {
    let fields = AppFields {
        name: request.name,
        slug: request.slug,
        redirect_uris: request.redirect_uris,
        homepage: request.homepage,
        logo_media_id: request.logo_media_id,
    };
    Ok(data(state.engine.update_app(&caller, id, fields).await?.into()))
}

/// Removes an app and revokes every token it was given, in all organisations.
#[utoipa::path(delete, path = "/api/v1/apps/{id}", tag = "Apps", security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), responses((status = 204)))]
async fn delete_app(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<AppId>,
) -> Result<StatusCode> {
    state.engine.delete_app(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Apps that people connected to the organisation, the newest first: all of them for an administrator, one's own for
/// others.
#[utoipa::path(get, path = "/api/v1/connected-apps", tag = "Apps", security(("bearer" = ["read"])),
    params(PageQuery), responses((status = 200, body = List<ConnectedApp>)))]
async fn list_connected_apps(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<ConnectedApp>>> {
    Ok(list(state.engine.list_connected_apps(&caller, &page.request(25)?).await?))
}

/// Disconnects an app: revokes the tokens that its person gave it here.
#[utoipa::path(delete, path = "/api/v1/connected-apps/{id}", tag = "Apps", security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), responses((status = 204)))]
async fn delete_connected_app(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ConnectionId>,
) -> Result<StatusCode> {
    state.engine.delete_connected_app(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
