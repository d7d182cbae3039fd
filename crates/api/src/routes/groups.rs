//! Groups on WhatsApp and Telegram. The paths name WhatsApp, as the older API did; groups of Telegram channels answer
//! to them too, where Telegram has the thing.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, ChannelId, Timestamp};
use kabar_engine::groups::{self, GroupChange, GroupName, NewGroup};
use kabar_engine::patch::Patch;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::MessageError;
use super::group_members::Member;
use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_groups, create_group))
        .routes(routes!(get_group, update_group, delete_group))
        .routes(routes!(create_group_invite_link))
}

#[derive(Serialize, ToSchema)]
struct Group {
    /// Of its channel too, once the group is there.
    #[schema(value_type = Ulid)]
    id: ChannelId,
    /// `pending` until the provider announces it or a person approves it, `uncertain` when it is not known whether
    /// it was made, `failed`, `connected`, `disconnected`, `archived` or `deleted`.
    #[schema(example = "pending")]
    status: &'static str,
    #[schema(value_type = String, example = "whatsapp")]
    platform: Platform,
    #[schema(value_type = Ulid)]
    messaging_account_id: AccountId,
    /// The provider's id.
    external_id: Option<String>,
    #[schema(example = "Building A")]
    subject: String,
    description: Option<String>,
    #[schema(example = "https://chat.whatsapp.com/LQ6y7HsQ9b")]
    invite_link: Option<String>,
    /// `auto_approve` or `approval_required`.
    join_approval_mode: Option<String>,
    /// The provider stopped the group.
    suspended: bool,
    /// Members that joined, as far as the provider told.
    participant_count: i64,
    /// Why it failed.
    error: Option<MessageError>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<groups::Group> for Group {
    fn from(group: groups::Group) -> Self {
        Self {
            status: groups::status(&group),
            id: group.id,
            platform: group.platform,
            messaging_account_id: group.account_id,
            external_id: group.external_id,
            subject: group.subject,
            description: group.description,
            invite_link: group.invite_link,
            join_approval_mode: group.join_approval_mode,
            suspended: group.suspended,
            participant_count: group.participants,
            error: group.error.map(Into::into),
            created_at: group.created_at,
            updated_at: group.updated_at,
        }
    }
}

/// A group and who is in it.
#[derive(Serialize, ToSchema)]
struct GroupDetails {
    #[serde(flatten)]
    group: Group,
    /// Members that are in or expected: `joined`, `invited` or `requested`.
    participants: Vec<Member>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListGroupsQuery {
    /// `whatsapp` or `telegram`.
    platform: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GetGroupQuery {
    /// Asks the provider first. Without it the answer is what webhooks told.
    refresh: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
struct CreateGroupRequest {
    /// Any channel of the account that shall own the group; the default account when left out.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
    #[schema(value_type = String, required, max_length = 128)]
    subject: Option<String>,
    #[schema(max_length = 2048)]
    description: Option<String>,
    /// `auto_approve` or `approval_required`.
    join_approval_mode: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateGroupRequest {
    #[schema(max_length = 128)]
    subject: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    description: Patch<String>,
    /// A file of the media library: for WhatsApp a square JPEG of at least 192 pixels and 5 MB at most, for Telegram a
    /// JPEG or PNG. Null takes the picture away, on Telegram alone.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    picture_media_id: Patch<String>,
}

#[derive(Deserialize, ToSchema)]
struct InviteLinkRequest {
    /// Makes a new link; the old one is void.
    reset: Option<bool>,
}

/// The groups of all accounts, oldest first, with those that were asked for and are not there yet.
#[utoipa::path(get, path = "/api/v1/whatsapp/groups", tag = "Groups",
    security(("bearer" = ["read"])), params(ListGroupsQuery, PageQuery),
    responses((status = 200, body = List<Group>)))]
async fn list_groups(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListGroupsQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Group>>> {
    Ok(list(state.engine.list_groups(&caller, query.platform, &page.request(25)?).await?))
}

/// Asks WhatsApp for a group. It is `pending` until WhatsApp announces it, with its link, by webhook.
#[utoipa::path(post, path = "/api/v1/whatsapp/groups", tag = "Groups",
    security(("bearer" = ["write"])), request_body = CreateGroupRequest,
    responses((status = 201, body = Data<Group>)))]
async fn create_group(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateGroupRequest>,
) -> Result<impl IntoResponse> {
    let new = NewGroup {
        channel_id: request.channel_id,
        subject: request.subject,
        description: request.description,
        join_approval_mode: request.join_approval_mode,
    };
    Ok(created(Group::from(state.engine.create_group(&caller, new).await?)))
}

/// One group, by our id or the provider's, and who is in it.
#[utoipa::path(get, path = "/api/v1/whatsapp/groups/{groupId}", tag = "Groups", security(("bearer" = ["read"])),
    params(("groupId" = String, Path), GetGroupQuery), responses((status = 200, body = Data<GroupDetails>)))]
async fn get_group(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
    Query(query): Query<GetGroupQuery>,
) -> Result<axum::Json<Data<GroupDetails>>> {
    let refresh = query.refresh.unwrap_or_default();
    let (group, members) = state.engine.get_group(&caller, &name, refresh).await?;
    let participants = members.into_iter().map(Into::into).collect();
    Ok(data(GroupDetails { group: group.into(), participants }))
}

/// Changes subject, description or picture. WhatsApp confirms by webhook: until then the group is answered as it was.
#[utoipa::path(patch, path = "/api/v1/whatsapp/groups/{groupId}", tag = "Groups", security(("bearer" = ["write"])),
    params(("groupId" = String, Path)), request_body = UpdateGroupRequest,
    responses((status = 200, body = Data<Group>)))]
async fn update_group(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
    Json(request): Json<UpdateGroupRequest>,
) -> Result<axum::Json<Data<Group>>> {
    let change = GroupChange {
        subject: request.subject,
        description: request.description,
        picture: request.picture_media_id,
    };
    Ok(data(state.engine.update_group(&caller, &name, change).await?.into()))
}

/// Ends a WhatsApp group, or forgets one that never came to be. WhatsApp confirms by webhook.
#[utoipa::path(delete, path = "/api/v1/whatsapp/groups/{groupId}", tag = "Groups", security(("bearer" = ["write"])),
    params(("groupId" = String, Path)), responses((status = 204)))]
async fn delete_group(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
) -> Result<StatusCode> {
    state.engine.delete_group(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gets the group's link from its provider, or makes a new one.
#[utoipa::path(post, path = "/api/v1/whatsapp/groups/{groupId}/invite-link", tag = "Groups",
    security(("bearer" = ["write"])),
    params(("groupId" = String, Path)), request_body = InviteLinkRequest,
    responses((status = 200, body = Data<Group>)))]
async fn create_group_invite_link(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
    Json(request): Json<InviteLinkRequest>,
) -> Result<axum::Json<Data<Group>>> {
    let reset = request.reset.unwrap_or_default();
    Ok(data(state.engine.group_invite_link(&caller, &name, reset).await?.into()))
}
