//! Conversations, and the messages in them.

use axum::extract::State;
use kabar_domain::channel::{ChannelKind, ConversationStatus, Priority};
use kabar_domain::file::FileStatus;
use kabar_domain::message::{Direction, Media, MessageKind, MessageStatus, Platform, ProviderError};
use kabar_domain::outbound::SendPriority;
use kabar_domain::{ChannelId, ContactId, ConversationId, FileId, MessageId, Timestamp};
use kabar_engine::conversations::{ConversationChange, ConversationQuery, Message, Windowed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_conversations))
        .routes(routes!(get_conversation, update_conversation))
        .routes(routes!(list_messages))
        .routes(routes!(get_message))
}

#[derive(Serialize, ToSchema)]
struct ConversationContact {
    #[schema(value_type = Ulid)]
    id: ContactId,
    name: Option<String>,
    wa_id: Option<String>,
    phone: Option<String>,
    username: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Conversation {
    #[schema(value_type = Ulid)]
    id: ConversationId,
    /// `open`, `pending`, `snoozed` or `closed`.
    #[schema(value_type = String, example = "open")]
    status: ConversationStatus,
    /// `low`, `normal`, `high` or `urgent`.
    #[schema(value_type = String, example = "normal")]
    priority: Priority,
    #[schema(example = 2)]
    unread_count: i64,
    #[schema(value_type = Ulid)]
    channel_id: ChannelId,
    /// Null for a group.
    #[schema(value_type = Option<Ulid>)]
    contact_id: Option<ContactId>,
    /// By the provider's time.
    #[schema(value_type = Time)]
    last_message_at: Timestamp,
    #[schema(value_type = Option<Time>)]
    last_inbound_at: Option<Timestamp>,
    contact: Option<ConversationContact>,
    #[schema(value_type = Option<String>, example = "whatsapp")]
    platform: Option<Platform>,
    /// `direct`, `group` or `widget`.
    #[schema(value_type = Option<String>, example = "direct")]
    channel_kind: Option<ChannelKind>,
    /// A group's name.
    title: Option<String>,
    /// The topic inside a group.
    topic: Option<String>,
    message_count: i64,
    /// WhatsApp: whether anything but templates may be sent. Null where there is no such rule.
    window: Option<WindowResource>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<Windowed> for Conversation {
    fn from(Windowed { conversation, window }: Windowed) -> Self {
        Self {
            id: conversation.id,
            status: conversation.status,
            priority: conversation.priority,
            unread_count: conversation.unread_count,
            channel_id: conversation.channel_id,
            contact_id: conversation.contact_id,
            last_message_at: conversation.last_message_at,
            last_inbound_at: conversation.last_inbound_at,
            contact: conversation.contact.map(|contact| ConversationContact {
                id: contact.id,
                name: contact.name,
                wa_id: contact.wa_id,
                phone: contact.phone,
                username: contact.username,
            }),
            platform: conversation.platform,
            channel_kind: conversation.channel_kind,
            title: conversation.title,
            topic: Some(conversation.topic).filter(|topic| !topic.is_empty()),
            message_count: conversation.message_count,
            window: window.map(|window| WindowResource { open: window.open, expires_at: window.expires_at }),
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
        }
    }
}

/// The 24 hours after a person wrote in which free text may be sent to them.
#[derive(Serialize, ToSchema)]
#[schema(as = Window)]
struct WindowResource {
    open: bool,
    /// Past when it is closed; null when the person never wrote.
    #[schema(value_type = Option<Time>)]
    expires_at: Option<Timestamp>,
}

/// Who wrote a message.
#[derive(Serialize, ToSchema)]
struct MessageSender {
    /// `contact` wrote to us; `user` wrote for us, here or (without an id) on another device.
    #[serde(rename = "type")]
    #[schema(example = "contact")]
    kind: &'static str,
    #[schema(value_type = Option<Ulid>)]
    id: Option<String>,
    name: Option<String>,
}

/// A message's file.
#[derive(Serialize, ToSchema)]
pub(crate) struct MediaResource {
    /// The provider's.
    pub id: Option<String>,
    /// Of the media library.
    #[schema(value_type = Option<Ulid>)]
    pub file_id: Option<FileId>,
    /// `pending` (it is being fetched), `stored` or `missing`; null when it is not in the library.
    #[schema(value_type = Option<String>, example = "stored")]
    pub status: Option<FileStatus>,
    /// Where a stored file can be read, for at least 15 minutes; of one that was sent by its address, that.
    pub url: Option<String>,
    #[schema(example = "image/jpeg")]
    pub mime_type: Option<String>,
    pub filename: Option<String>,
    pub sha256: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    pub caption: Option<String>,
}

impl From<Media> for MediaResource {
    fn from(media: Media) -> Self {
        Self {
            id: media.id,
            file_id: media.file_id,
            status: media.status,
            url: media.url,
            mime_type: media.mime_type,
            filename: media.filename,
            sha256: media.sha256,
            size: media.size,
            caption: media.caption,
        }
    }
}

/// Why a message was not sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageError {
    /// The provider's own.
    code: i64,
    title: String,
    detail: Option<String>,
    /// What to do about it.
    action: Option<String>,
}

impl From<ProviderError> for MessageError {
    fn from(error: ProviderError) -> Self {
        Self { code: error.code, title: error.title, detail: error.detail, action: error.action }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageResource {
    #[schema(value_type = Ulid)]
    id: MessageId,
    #[schema(value_type = Ulid)]
    conversation_id: ConversationId,
    #[schema(value_type = Ulid)]
    channel_id: ChannelId,
    /// `inbound` or `outbound`.
    #[schema(value_type = String, example = "outbound")]
    direction: Direction,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "text")]
    kind: MessageKind,
    /// What a person reads: text, caption, button title, emoji, place name.
    body: Option<String>,
    /// `received`; or `queued`, `sending`, `sent`, `delivered`, `read`, `played`, `failed`, `uncertain`, `cancelled`.
    #[schema(value_type = String, example = "queued")]
    status: MessageStatus,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    provider_message_id: Option<String>,
    /// The quoted message, or the one reacted to.
    #[schema(value_type = Option<Ulid>)]
    reply_to_id: Option<MessageId>,
    sender: MessageSender,
    media: Vec<MediaResource>,
    /// The type's own fields.
    #[schema(value_type = Object)]
    payload: Value,
    error: Option<MessageError>,
    /// While it waits: `high`, `normal` or `low`.
    #[schema(value_type = Option<String>, example = "normal")]
    priority: Option<SendPriority>,
    /// When somebody wants it sent.
    #[schema(value_type = Option<Time>)]
    send_at: Option<Timestamp>,
    /// While it waits: when it will probably leave. Null when nobody can tell, as of an account that is disconnected.
    #[schema(value_type = Option<Time>)]
    estimated_send_at: Option<Timestamp>,
    /// Why it waits longer than its turn takes.
    held: Option<String>,
    #[schema(value_type = Option<Time>)]
    sent_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    delivered_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    read_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    failed_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    edited_at: Option<Timestamp>,
    /// The sender deleted it for everyone.
    #[schema(value_type = Option<Time>)]
    revoked_at: Option<Timestamp>,
    /// The provider's time.
    #[schema(value_type = Time)]
    occurred_at: Timestamp,
}

impl From<Message> for MessageResource {
    fn from(message: Message) -> Self {
        let sender = match message.direction {
            Direction::Inbound => MessageSender {
                kind: "contact",
                id: message.contact_id.map(|id| id.to_string()),
                name: message.contact_name,
            },
            Direction::Outbound => MessageSender {
                kind: "user",
                id: message.user_id.map(|id| id.to_string()),
                name: message.user_name,
            },
        };
        let outlook = message.outlook;
        Self {
            id: message.id,
            conversation_id: message.conversation_id,
            channel_id: message.channel_id,
            direction: message.direction,
            kind: message.kind,
            body: message.body,
            status: message.status,
            created_at: message.created_at,
            provider_message_id: message.provider_message_id,
            reply_to_id: message.reply_to_id,
            sender,
            media: message.media.into_iter().map(MediaResource::from).collect(),
            payload: message.payload,
            error: message.error.map(MessageError::from),
            priority: outlook.as_ref().map(|outlook| outlook.priority),
            send_at: outlook.as_ref().and_then(|outlook| outlook.send_at),
            estimated_send_at: outlook.as_ref().and_then(|outlook| outlook.estimated_send_at),
            held: outlook.and_then(|outlook| outlook.held),
            sent_at: message.sent_at,
            delivered_at: message.delivered_at,
            read_at: message.read_at,
            failed_at: message.failed_at,
            edited_at: message.edited_at,
            revoked_at: message.revoked_at,
            occurred_at: message.occurred_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListConversationsQuery {
    /// `open`, `pending`, `snoozed` or `closed`.
    #[param(example = "open")]
    status: Option<String>,
    channel_id: Option<String>,
    contact_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateConversationRequest {
    /// `open`, `pending`, `snoozed` or `closed`.
    status: Option<String>,
    /// `low`, `normal`, `high` or `urgent`.
    priority: Option<String>,
    /// 0: all is read.
    #[schema(minimum = 0, maximum = 0)]
    unread_count: Option<i64>,
}

/// The organisation's conversations, the freshest first.
#[utoipa::path(get, path = "/api/v1/conversations", tag = "Conversations", security(("bearer" = ["read"])),
    params(ListConversationsQuery, PageQuery),
    responses((status = 200, body = List<Conversation>)))]
async fn list_conversations(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListConversationsQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Conversation>>> {
    let query = ConversationQuery {
        status: query.status,
        channel_id: query.channel_id,
        contact_id: query.contact_id,
    };
    Ok(list(state.engine.list_conversations(&caller, query, &page.request(25)?).await?))
}

/// One conversation.
#[utoipa::path(get, path = "/api/v1/conversations/{id}", tag = "Conversations",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Conversation>)))]
async fn get_conversation(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ConversationId>,
) -> Result<axum::Json<Data<Conversation>>> {
    Ok(data(state.engine.get_conversation(&caller, id).await?.into()))
}

/// Changes status or priority, or marks everything as read.
#[utoipa::path(patch, path = "/api/v1/conversations/{id}", tag = "Conversations", security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = UpdateConversationRequest,
    responses((status = 200, body = Data<Conversation>)))]
async fn update_conversation(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ConversationId>,
    Json(request): Json<UpdateConversationRequest>,
) -> Result<axum::Json<Data<Conversation>>> {
    let change = ConversationChange {
        status: request.status,
        priority: request.priority,
        unread_count: request.unread_count,
    };
    Ok(data(state.engine.update_conversation(&caller, id, change).await?.into()))
}

/// A conversation's messages, newest first; 50 a page.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/messages", tag = "Conversations",
    security(("bearer" = ["read"])),
    params(("id" = Ulid, Path), PageQuery),
    responses((status = 200, body = List<MessageResource>)))]
async fn list_messages(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ConversationId>,
    page: PageQuery,
) -> Result<axum::Json<List<MessageResource>>> {
    Ok(list(state.engine.list_messages(&caller, id, &page.request(50)?).await?))
}

/// One message.
#[utoipa::path(get, path = "/api/v1/messages/{id}", tag = "Messages",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<MessageResource>)))]
async fn get_message(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<MessageId>,
) -> Result<axum::Json<Data<MessageResource>>> {
    Ok(data(state.engine.get_message(&caller, id).await?.into()))
}
