//! Channels: direct lines, groups and widgets.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::channel::{ChannelKind, ChannelStatus};
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, ChannelId, SiteId, Timestamp};
use kabar_engine::accounts::Served;
use kabar_engine::channels::{self, ChannelChange, ChannelQuery, NewChannel};
use kabar_engine::patch::Patch;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::messaging_accounts::Webhook;
use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_channels, create_channel)).routes(routes!(
        get_channel,
        update_channel,
        delete_channel
    ))
}

#[derive(Serialize, ToSchema)]
struct Channel {
    #[schema(value_type = Ulid)]
    id: ChannelId,
    /// What carries it: `cloud` (WhatsApp), `telegram` or `widget`.
    #[serde(rename = "type")]
    #[schema(example = "cloud")]
    transport: &'static str,
    /// `connected`, `pending`, `disconnected` or `archived`.
    #[schema(value_type = String, example = "connected")]
    status: ChannelStatus,
    #[schema(example = "Sales line")]
    display_name: String,
    #[schema(example = "+966500000000")]
    phone_number: Option<String>,
    #[schema(value_type = Option<Time>)]
    connected_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    last_seen_at: Option<Timestamp>,
    #[schema(value_type = String, example = "whatsapp")]
    platform: Platform,
    /// `direct`, `group` or `widget`.
    #[schema(value_type = String, example = "direct")]
    kind: ChannelKind,
    purpose: Option<String>,
    /// Null for a chat widget, which has none that could be asked for.
    #[schema(value_type = Option<Ulid>)]
    messaging_account_id: Option<AccountId>,
    /// The provider's id of a linked group or chat; null for an account's own direct line.
    external_id: Option<String>,
    /// Whether its messages may become work updates.
    allow_routine_logs: bool,
    /// Whether its messages may become problems.
    allow_issues: bool,
    #[schema(value_type = Option<Ulid>)]
    default_site_id: Option<SiteId>,
    webhook: Webhook,
    #[schema(value_type = Option<Time>)]
    archived_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<Served<channels::Channel>> for Channel {
    fn from(served: Served<channels::Channel>) -> Self {
        let channel = served.row;
        let transport = match (channel.kind, channel.platform) {
            (ChannelKind::Widget, _) | (_, Platform::Widget | Platform::Other) => "widget",
            (_, Platform::Whatsapp) => "cloud",
            (_, Platform::Telegram) => "telegram",
        };
        Self {
            id: channel.id,
            transport,
            status: channel.status,
            display_name: channel.display_name,
            phone_number: channel.account.phone_number,
            connected_at: channel.connected_at,
            last_seen_at: channel.last_seen_at,
            platform: channel.platform,
            kind: channel.kind,
            purpose: channel.purpose,
            messaging_account_id: (channel.platform != Platform::Widget).then_some(channel.account_id),
            external_id: Some(channel.external_id).filter(|id| !id.is_empty()),
            allow_routine_logs: channel.allow_routine_logs,
            allow_issues: channel.allow_issues,
            default_site_id: channel.default_site_id,
            webhook: Webhook {
                url: served.webhook_url,
                verified_at: channel.account.webhook_verified_at,
                last_event_at: channel.account.last_event_at,
                last_error: channel.account.last_error,
            },
            archived_at: channel.archived_at,
            created_at: channel.created_at,
            updated_at: channel.updated_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListChannelsQuery {
    /// `whatsapp`, `telegram` or `widget`.
    platform: Option<String>,
    /// `active` (all but archived), `connected`, `pending`, `disconnected` or `archived`.
    status: Option<String>,
    /// `direct`, `group` or `widget`.
    kind: Option<String>,
    messaging_account_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct CreateChannelRequest {
    #[schema(value_type = Ulid, required)]
    messaging_account_id: Option<String>,
    /// `group` or `direct`.
    #[schema(value_type = String, required, example = "group")]
    kind: Option<String>,
    /// The provider's id of the group or chat.
    #[schema(value_type = String, required, max_length = 255)]
    external_id: Option<String>,
    #[schema(value_type = String, required, max_length = 255)]
    display_name: Option<String>,
    #[schema(max_length = 1000)]
    purpose: Option<String>,
    /// True when left out.
    allow_routine_logs: Option<bool>,
    /// True when left out.
    allow_issues: Option<bool>,
    #[schema(value_type = Option<Ulid>)]
    default_site_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateChannelRequest {
    #[schema(max_length = 255)]
    display_name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1000)]
    purpose: Patch<String>,
    allow_routine_logs: Option<bool>,
    allow_issues: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<Ulid>)]
    default_site_id: Patch<String>,
    /// `connected` or `archived`.
    status: Option<String>,
    /// The same as `status`, in another word.
    archived: Option<bool>,
    /// An account of the same platform.
    #[schema(value_type = Option<Ulid>)]
    messaging_account_id: Option<String>,
}

/// The organisation's channels, oldest first.
#[utoipa::path(get, path = "/api/v1/channels", tag = "Channels",
    security(("bearer" = ["read"])), params(ListChannelsQuery, PageQuery),
    responses((status = 200, body = List<Channel>)))]
async fn list_channels(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListChannelsQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Channel>>> {
    let query = ChannelQuery {
        platform: query.platform,
        status: query.status,
        kind: query.kind,
        messaging_account_id: query.messaging_account_id,
    };
    Ok(list(state.engine.list_channels(&caller, query, &page.request(25)?).await?))
}

/// Links a group or chat to an account. A group that appeared by itself as `pending` is approved by linking it.
#[utoipa::path(post, path = "/api/v1/channels", tag = "Channels",
    security(("bearer" = ["write"])), request_body = CreateChannelRequest,
    responses((status = 201, body = Data<Channel>)))]
async fn create_channel(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateChannelRequest>,
) -> Result<impl IntoResponse> {
    let new = NewChannel {
        messaging_account_id: request.messaging_account_id,
        kind: request.kind,
        external_id: request.external_id,
        display_name: request.display_name,
        purpose: request.purpose,
        allow_routine_logs: request.allow_routine_logs,
        allow_issues: request.allow_issues,
        default_site_id: request.default_site_id,
    };
    Ok(created(Channel::from(state.engine.create_channel(&caller, new).await?)))
}

/// One channel, with its webhook's state.
#[utoipa::path(get, path = "/api/v1/channels/{id}", tag = "Channels",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Channel>)))]
async fn get_channel(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ChannelId>,
) -> Result<axum::Json<Data<Channel>>> {
    Ok(data(state.engine.get_channel(&caller, id).await?.into()))
}

/// Changes what is sent: behaviour, default site, account; archives and approves.
#[utoipa::path(put, path = "/api/v1/channels/{id}", tag = "Channels", security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = UpdateChannelRequest,
    responses((status = 200, body = Data<Channel>)))]
async fn update_channel(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ChannelId>,
    Json(request): Json<UpdateChannelRequest>,
) -> Result<axum::Json<Data<Channel>>> {
    let change = ChannelChange {
        display_name: request.display_name,
        purpose: request.purpose,
        allow_routine_logs: request.allow_routine_logs,
        allow_issues: request.allow_issues,
        default_site_id: request.default_site_id,
        status: request.status,
        archived: request.archived,
        messaging_account_id: request.messaging_account_id,
    };
    Ok(data(state.engine.update_channel(&caller, id, change).await?.into()))
}

/// Takes a linked channel out of every list. What came in over it stays.
#[utoipa::path(delete, path = "/api/v1/channels/{id}", tag = "Channels",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 204), (status = 409, description = "It is an account's own direct line")))]
async fn delete_channel(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ChannelId>,
) -> Result<StatusCode> {
    state.engine.delete_channel(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
