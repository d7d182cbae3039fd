//! The people of groups: members, invitations, requests to join.

use axum::extract::State;
use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::inbound::IdentityKind;
use kabar_domain::{ChannelId, ContactId, MessageId, Timestamp};
use kabar_engine::groups::{self, GroupName, Participant, Participants};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::templates::TemplateRequest;
use crate::data::{Data, List, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_channel_members))
        .routes(routes!(add_group_participants, remove_group_participants))
        .routes(routes!(promote_group_participants))
        .routes(routes!(list_join_requests, approve_join_requests, reject_join_requests))
}

/// A person and a group.
#[derive(Serialize, ToSchema)]
pub(super) struct Member {
    #[schema(value_type = Ulid)]
    contact_id: ContactId,
    name: Option<String>,
    username: Option<String>,
    /// The provider's name of the person: digits on WhatsApp unless the number is hidden, a user id on Telegram.
    #[schema(example = "6281234567890")]
    wa_id: String,
    /// What `wa_id` is: `wa_id`, `bsuid` or `telegram`.
    #[schema(value_type = String, example = "wa_id")]
    identity_kind: IdentityKind,
    /// `member`, `admin` or `owner`.
    #[schema(value_type = String, example = "member")]
    role: MemberRole,
    /// `joined`, `invited`, `requested`, `left`, `removed` or `declined`.
    #[schema(value_type = String, example = "joined")]
    status: MemberStatus,
    /// The provider's id of the request to join.
    join_request_id: Option<String>,
    #[schema(value_type = Option<Time>)]
    joined_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    left_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<groups::Member> for Member {
    fn from(member: groups::Member) -> Self {
        Self {
            contact_id: member.contact_id,
            name: member.name,
            username: member.username,
            wa_id: member.identity.value,
            identity_kind: member.identity.kind,
            role: member.role,
            status: member.status,
            join_request_id: member.request_id,
            joined_at: member.joined_at,
            left_at: member.left_at,
            updated_at: member.updated_at,
        }
    }
}

/// One of the people a request names: a phone number, a business-scoped or Telegram user id, the id of a contact, or
/// an object with one of them.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum PersonRequest {
    Text(String),
    Number(i64),
    Named(NamedPerson),
}

#[derive(Deserialize, ToSchema)]
struct NamedPerson {
    #[serde(alias = "phone", alias = "user_id", alias = "contact_id")]
    wa_id: String,
}

impl From<PersonRequest> for Participant {
    fn from(person: PersonRequest) -> Self {
        Self(match person {
            PersonRequest::Text(text) => text,
            PersonRequest::Number(number) => number.to_string(),
            PersonRequest::Named(named) => named.wa_id,
        })
    }
}

#[derive(Deserialize, ToSchema)]
struct ParticipantsRequest {
    #[schema(value_type = Vec<PersonRequest>, required, max_items = 100)]
    participants: Option<Vec<PersonRequest>>,
}

#[derive(Deserialize, ToSchema)]
struct InviteRequest {
    /// At most eight on WhatsApp.
    #[schema(value_type = Vec<PersonRequest>, required, max_items = 100)]
    participants: Option<Vec<PersonRequest>>,
    /// Stands before the link.
    #[schema(max_length = 1000)]
    message: Option<String>,
    /// The template that goes to those whose 24-hour window at WhatsApp is closed.
    fallback_template: Option<TemplateRequest>,
}

fn participants(people: Option<Vec<PersonRequest>>) -> Participants {
    let people = people.unwrap_or_default().into_iter().map(Into::into).collect();
    Participants { people, ..Participants::default() }
}

/// What became of one of the people.
#[derive(Serialize, ToSchema)]
struct ParticipantOutcome {
    /// The provider's name of the person.
    #[schema(example = "6281234567890")]
    wa_id: String,
    /// As the request named them.
    participant: String,
    /// `invited`, `joined` (already in), `removing` (WhatsApp tells by webhook), `removed`, `promoted` or `failed`.
    #[schema(example = "invited")]
    status: &'static str,
    /// The invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Ulid, required = false)]
    message_id: Option<MessageId>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

fn outcomes(people: Vec<groups::Invited>) -> axum::Json<Data<Vec<ParticipantOutcome>>> {
    let outcome = |person: groups::Invited| ParticipantOutcome {
        wa_id: person.identity.value,
        participant: person.given,
        status: person.status,
        message_id: person.message_id,
        error: person.error,
    };
    data(people.into_iter().map(outcome).collect())
}

#[derive(Deserialize, ToSchema)]
struct JoinRequestsRequest {
    /// The `join_request_id`s.
    #[schema(value_type = Vec<String>, required, max_items = 100)]
    join_requests: Option<Vec<String>>,
}

/// What became of one request.
#[derive(Serialize, ToSchema)]
struct JoinRequestOutcome {
    join_request_id: String,
    /// `approved`, `rejected` or `failed`.
    #[schema(example = "approved")]
    status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListMembersQuery {
    /// One of a member's statuses, or `all`. Left out: `joined`, `invited` and `requested`.
    status: Option<String>,
}

/// The members of a group's channel, as the provider's webhooks told.
#[utoipa::path(get, path = "/api/v1/channels/{id}/members", tag = "Channels", security(("bearer" = ["read"])),
    params(("id" = Ulid, Path), ListMembersQuery, PageQuery), responses((status = 200, body = List<Member>)))]
async fn list_channel_members(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ChannelId>,
    Query(query): Query<ListMembersQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Member>>> {
    Ok(list(state.engine.list_channel_members(&caller, id, query.status, &page.request(25)?).await?))
}

/// Sends people the group's link, each as a message: neither provider lets anybody be put into a group.
#[utoipa::path(post, path = "/api/v1/whatsapp/groups/{groupId}/participants", tag = "Groups",
    security(("bearer" = ["send"])),
    params(("groupId" = String, Path)), request_body = InviteRequest,
    responses((status = 200, body = Data<Vec<ParticipantOutcome>>)))]
async fn add_group_participants(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
    Json(request): Json<InviteRequest>,
) -> Result<axum::Json<Data<Vec<ParticipantOutcome>>>> {
    let people = Participants {
        message: request.message,
        fallback_template: request.fallback_template.map(TemplateRequest::into),
        ..participants(request.participants)
    };
    Ok(outcomes(state.engine.add_group_participants(&caller, &name, people).await?))
}

/// Puts people out of the group. On WhatsApp they cannot come back through the link.
#[utoipa::path(delete, path = "/api/v1/whatsapp/groups/{groupId}/participants", tag = "Groups",
    security(("bearer" = ["write"])),
    params(("groupId" = String, Path)), request_body = ParticipantsRequest,
    responses((status = 200, body = Data<Vec<ParticipantOutcome>>)))]
async fn remove_group_participants(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
    Json(request): Json<ParticipantsRequest>,
) -> Result<axum::Json<Data<Vec<ParticipantOutcome>>>> {
    let people = participants(request.participants);
    Ok(outcomes(state.engine.remove_group_participants(&caller, &name, people).await?))
}

/// Makes members administrators, on Telegram. WhatsApp has no such thing.
#[utoipa::path(post, path = "/api/v1/whatsapp/groups/{groupId}/participants/promote", tag = "Groups",
    security(("bearer" = ["write"])),
    params(("groupId" = String, Path)), request_body = ParticipantsRequest,
    responses((status = 200, body = Data<Vec<ParticipantOutcome>>)))]
async fn promote_group_participants(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
    Json(request): Json<ParticipantsRequest>,
) -> Result<axum::Json<Data<Vec<ParticipantOutcome>>>> {
    let people = participants(request.participants);
    Ok(outcomes(state.engine.promote_group_participants(&caller, &name, people).await?))
}

/// Who asks to be let into the group.
#[utoipa::path(get, path = "/api/v1/whatsapp/groups/{groupId}/join-requests", tag = "Groups",
    security(("bearer" = ["read"])),
    params(("groupId" = String, Path)), responses((status = 200, body = Data<Vec<Member>>)))]
async fn list_join_requests(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
) -> Result<axum::Json<Data<Vec<Member>>>> {
    let requests = state.engine.list_join_requests(&caller, &name).await?;
    Ok(data(requests.into_iter().map(Into::into).collect()))
}

/// Lets people in.
#[utoipa::path(post, path = "/api/v1/whatsapp/groups/{groupId}/join-requests", tag = "Groups",
    security(("bearer" = ["write"])),
    params(("groupId" = String, Path)), request_body = JoinRequestsRequest,
    responses((status = 200, body = Data<Vec<JoinRequestOutcome>>)))]
async fn approve_join_requests(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
    Json(request): Json<JoinRequestsRequest>,
) -> Result<axum::Json<Data<Vec<JoinRequestOutcome>>>> {
    decide(&state, &caller, &name, request, true).await
}

/// Does not let people in.
#[utoipa::path(delete, path = "/api/v1/whatsapp/groups/{groupId}/join-requests", tag = "Groups",
    security(("bearer" = ["write"])),
    params(("groupId" = String, Path)), request_body = JoinRequestsRequest,
    responses((status = 200, body = Data<Vec<JoinRequestOutcome>>)))]
async fn reject_join_requests(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(name): PathId<GroupName>,
    Json(request): Json<JoinRequestsRequest>,
) -> Result<axum::Json<Data<Vec<JoinRequestOutcome>>>> {
    decide(&state, &caller, &name, request, false).await
}

async fn decide(
    state: &ApiState,
    caller: &kabar_engine::Principal,
    name: &GroupName,
    request: JoinRequestsRequest,
    approve: bool,
) -> Result<axum::Json<Data<Vec<JoinRequestOutcome>>>> {
    let ids = request.join_requests.unwrap_or_default();
    let decisions = state.engine.answer_join_requests(caller, name, ids, approve).await?;
    let outcome = |decision: groups::Decision| JoinRequestOutcome {
        join_request_id: decision.id,
        status: decision.status,
        error: decision.error,
    };
    Ok(data(decisions.into_iter().map(outcome).collect()))
}
