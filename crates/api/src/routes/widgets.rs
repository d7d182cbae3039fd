//! Chat widgets: configurations, signing keys and embed tokens.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::widget::{Appearance, Field, Languages, Texts};
use kabar_domain::{ChannelId, Timestamp, WidgetId, WidgetKeyId};
use kabar_engine::patch::Patch;
use kabar_engine::widgets::{self, Key, NewEmbedToken, WidgetFields};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Meta, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::PageQuery;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_widgets, create_widget))
        .routes(routes!(get_widget, update_widget, archive_widget))
        .routes(routes!(list_widget_keys))
        .routes(routes!(rotate_widget_key))
        .routes(routes!(revoke_widget_key))
        .routes(routes!(create_embed_token))
}

#[derive(Serialize, ToSchema)]
struct Widget {
    #[schema(value_type = Ulid)]
    id: WidgetId,
    /// What embed tokens name it by.
    #[schema(example = "marketing-site")]
    slug: String,
    #[schema(example = "Marketing site")]
    name: String,
    /// Its channel, of the type `widget`: conversations and messages are there.
    #[schema(value_type = Ulid)]
    channel_id: ChannelId,
    enabled: bool,
    /// Pages that may use it; none may when it is empty.
    #[schema(example = json!(["https://shop.example", "https://*.example.com"]))]
    allowed_origins: Vec<String>,
    appearance: Appearance,
    /// By language.
    texts: Languages<Texts>,
    /// Of visitors whose language there are no texts in.
    #[schema(example = "en")]
    default_language: String,
    /// What visitors are asked before their first message.
    fields: Vec<Field>,
    /// Null: the organisation's; without any it is always open.
    #[schema(value_type = Option<Object>)]
    operating_hours: Option<Value>,
    /// Where visitors may go on.
    #[schema(value_type = Option<Ulid>)]
    whatsapp_channel_id: Option<ChannelId>,
    /// What a page loads.
    #[schema(example = "https://kabar.example.com/embed/v1/widget.js")]
    script_url: String,
    #[schema(value_type = Option<Time>)]
    archived_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl Widget {
    fn new(state: &ApiState, widget: widgets::Widget) -> Self {
        Self {
            id: widget.id,
            slug: widget.slug,
            name: widget.name,
            channel_id: widget.channel_id,
            enabled: widget.enabled,
            allowed_origins: widget.allowed_origins,
            appearance: widget.appearance,
            texts: widget.texts,
            default_language: widget.default_language,
            fields: widget.fields,
            operating_hours: widget.operating_hours,
            whatsapp_channel_id: widget.whatsapp_channel_id,
            script_url: state.engine.widget_script_url(),
            archived_at: widget.archived_at,
            created_at: widget.created_at,
            updated_at: widget.updated_at,
        }
    }
}

/// A widget to make, or what changes in one.
#[derive(Deserialize, ToSchema)]
struct WidgetRequest {
    /// 2 to 63 lower-case letters, digits and hyphens. Required for a new one.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 63, example = "marketing-site")]
    slug: Patch<String>,
    /// Required for a new one.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255, example = "Marketing site")]
    name: Patch<String>,
    /// True when left out of a new one.
    enabled: Option<bool>,
    /// Origins of pages, `https://*.example.com` for all below a domain.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    allowed_origins: Patch<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Appearance>)]
    appearance: Patch<Appearance>,
    /// By language.
    #[serde(default)]
    #[schema(value_type = Option<Languages<Texts>>)]
    texts: Patch<Languages<Texts>>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "en")]
    default_language: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<Field>>)]
    fields: Patch<Vec<Field>>,
    /// As an organisation's; null for the organisation's own, `{}` for always open.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    operating_hours: Patch<Value>,
    /// The direct channel of a WhatsApp number.
    #[serde(default)]
    #[schema(value_type = Option<Ulid>)]
    whatsapp_channel_id: Patch<String>,
    /// Of a change: takes it out of use, and back.
    archived: Option<bool>,
}

impl From<WidgetRequest> for WidgetFields {
    fn from(request: WidgetRequest) -> Self {
        Self {
            slug: request.slug,
            name: request.name,
            enabled: request.enabled,
            allowed_origins: request.allowed_origins,
            appearance: request.appearance,
            texts: request.texts,
            default_language: request.default_language,
            fields: request.fields,
            operating_hours: request.operating_hours,
            whatsapp_channel_id: request.whatsapp_channel_id,
            archived: request.archived,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListWidgetsQuery {
    /// `active` when left out, `archived` or `all`.
    status: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct WidgetKey {
    /// The `kid` of the tokens it signs.
    #[schema(value_type = Ulid)]
    id: WidgetKeyId,
    /// `current`, `retiring` (its tokens are still taken), `expired` or `revoked`.
    #[schema(example = "current")]
    status: &'static str,
    /// Until then its tokens are taken; null for the current one.
    #[schema(value_type = Option<Time>)]
    good_until: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    revoked_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
}

impl WidgetKey {
    fn new(state: &ApiState, key: &Key) -> Self {
        let now = state.engine.clock().now();
        let status = match (key.revoked_at, key.good_until) {
            (Some(_), _) => "revoked",
            (None, None) => "current",
            (None, Some(until)) if now < until => "retiring",
            _ => "expired",
        };
        Self {
            id: key.id,
            status,
            good_until: key.good_until,
            revoked_at: key.revoked_at,
            created_at: key.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct WidgetKeys {
    data: Vec<WidgetKey>,
}

#[derive(Deserialize, ToSchema)]
struct RotateWidgetKeyRequest {
    /// How long tokens of the former key are taken, in seconds: a day when left out, and at most.
    #[schema(minimum = 0, maximum = 86_400)]
    overlap_seconds: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
struct CreateEmbedTokenRequest {
    /// The widget's slug.
    #[schema(value_type = String, required, example = "marketing-site")]
    slug: Option<String>,
    /// Who the visitor is to you: your own user id, a session id. The same one finds the same conversation.
    #[schema(value_type = String, required, max_length = 255, example = "user-12345")]
    subject: Option<String>,
    /// Whatever agents should see beside the visitor's messages, at most 4 KB. `name`, `email` and `phone` in it also
    /// fill in what the contact does not say yet.
    #[schema(value_type = Option<Object>)]
    context: Option<Value>,
    /// Seconds that the token is good: 900 when left out.
    #[schema(minimum = 60, maximum = 86_400, example = 900)]
    ttl_seconds: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct EmbedToken {
    /// For `Kabar.boot({ token })` in the visitor's browser.
    #[schema(example = "eyJhbGciOiJIUzI1NiIs…")]
    token: String,
    /// Seconds.
    #[schema(example = 900)]
    expires_in: i64,
    #[schema(example = "marketing-site")]
    slug: String,
}

/// Chat widgets, in the order they were made.
///
/// A token bound to channels finds those whose channels they are.
#[utoipa::path(get, path = "/api/v1/widgets", tag = "Embed widget",
    security(("bearer" = ["read"])), params(ListWidgetsQuery, PageQuery),
    responses((status = 200, body = List<Widget>)))]
async fn list_widgets(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListWidgetsQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Widget>>> {
    let page = state.engine.list_widgets(&caller, query.status.as_deref(), &page.request(25)?).await?;
    let page = page.map(|widget| Widget::new(&state, widget));
    Ok(axum::Json(List {
        data: page.items,
        meta: Meta {
            current_page: page.page,
            per_page: page.per_page,
            total: page.total,
            next_cursor: page.next_cursor,
        },
    }))
}

/// Makes a chat widget, and its channel.
#[utoipa::path(post, path = "/api/v1/widgets", tag = "Embed widget",
    security(("bearer" = ["admin"])), request_body = WidgetRequest,
    responses((status = 201, body = Data<Widget>)))]
async fn create_widget(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<WidgetRequest>,
) -> Result<impl IntoResponse> {
    let widget = state.engine.create_widget(&caller, request.into()).await?;
    Ok(created(Widget::new(&state, widget)))
}

/// One chat widget, archived or not.
#[utoipa::path(get, path = "/api/v1/widgets/{id}", tag = "Embed widget",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Widget>)))]
async fn get_widget(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WidgetId>,
) -> Result<axum::Json<Data<Widget>>> {
    let widget = state.engine.get_widget(&caller, id).await?;
    Ok(data(Widget::new(&state, widget)))
}

/// Changes what is sent; what is not sent stays. Open widgets show it when their visitors come back.
#[utoipa::path(patch, path = "/api/v1/widgets/{id}", tag = "Embed widget",
    security(("bearer" = ["admin"])), params(("id" = Ulid, Path)),
    request_body = WidgetRequest, responses((status = 200, body = Data<Widget>)))]
async fn update_widget(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WidgetId>,
    Json(request): Json<WidgetRequest>,
) -> Result<axum::Json<Data<Widget>>> {
    let widget = state.engine.update_widget(&caller, id, request.into()).await?;
    Ok(data(Widget::new(&state, widget)))
}

/// Takes a chat widget and its channel out of use. What was said there stays; `archived: false` brings both back.
#[utoipa::path(delete, path = "/api/v1/widgets/{id}", tag = "Embed widget",
    security(("bearer" = ["admin"])), params(("id" = Ulid, Path)),
    responses((status = 204)))]
async fn archive_widget(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WidgetId>,
) -> Result<StatusCode> {
    let fields = WidgetFields { archived: Some(true), ..WidgetFields::default() };
    state.engine.update_widget(&caller, id, fields).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The keys that embed tokens are signed with, newest first. Their secrets never leave the server.
#[utoipa::path(get, path = "/api/v1/widget-keys", tag = "Embed widget",
    security(("bearer" = ["admin"])),
    responses((status = 200, body = WidgetKeys)))]
async fn list_widget_keys(
    State(state): State<ApiState>,
    Auth(caller): Auth,
) -> Result<axum::Json<WidgetKeys>> {
    let keys = state.engine.list_widget_keys(&caller).await?;
    Ok(axum::Json(WidgetKeys { data: keys.iter().map(|key| WidgetKey::new(&state, key)).collect() }))
}

/// Signs new embed tokens with a new key. For a while those of the former key are taken, too.
#[utoipa::path(post, path = "/api/v1/widget-keys/rotate", tag = "Embed widget",
    security(("bearer" = ["admin"])),
    request_body = RotateWidgetKeyRequest, responses((status = 200, body = Data<WidgetKey>)))]
async fn rotate_widget_key(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<RotateWidgetKeyRequest>,
) -> Result<axum::Json<Data<WidgetKey>>> {
    let key = state.engine.rotate_widget_key(&caller, request.overlap_seconds).await?;
    Ok(data(WidgetKey::new(&state, &key)))
}

/// Takes no token of a key any more, from now on. Its visitors' pages ask for new tokens.
#[utoipa::path(post, path = "/api/v1/widget-keys/{id}/revoke", tag = "Embed widget",
    security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), responses((status = 200, body = Data<WidgetKey>)))]
async fn revoke_widget_key(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WidgetKeyId>,
) -> Result<axum::Json<Data<WidgetKey>>> {
    let key = state.engine.revoke_widget_key(&caller, id).await?;
    Ok(data(WidgetKey::new(&state, &key)))
}

/// Mint a signed widget token
///
/// Your server asks for one for the visitor it knows, and hands it to the browser. Needs the ability to write: with such
/// a token one reads and writes as that visitor.
#[utoipa::path(post, path = "/api/v1/embed-tokens", tag = "Embed widget",
    security(("bearer" = ["write"])),
    request_body = CreateEmbedTokenRequest, responses((status = 200, body = Data<EmbedToken>)))]
async fn create_embed_token(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateEmbedTokenRequest>,
) -> Result<axum::Json<Data<EmbedToken>>> {
    let new = NewEmbedToken {
        slug: request.slug,
        subject: request.subject,
        context: request.context,
        ttl_seconds: request.ttl_seconds,
    };
    let made = state.engine.create_embed_token(&caller, new).await?;
    Ok(data(EmbedToken { token: made.token, expires_in: made.expires_in, slug: made.slug }))
}
