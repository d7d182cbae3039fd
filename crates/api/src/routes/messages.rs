//! Sending.

use axum::extract::State;
use http::StatusCode;
use kabar_domain::content::{ContactCard, Flow, Interactive, Location, TextFormat};
use kabar_domain::{ConversationId, MessageId};
use kabar_engine::messages::{EditMessage, FileSource, SendMessage};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::MessageResource;
use super::templates::TemplateRequest;
use crate::data::{Data, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(send_message))
        .routes(routes!(edit_message, delete_message))
        .routes(routes!(read_message))
        .routes(routes!(show_typing))
}

/// A message to send, by `channel_id` and `wa_id`, or into a conversation.
#[derive(Deserialize, ToSchema)]
pub(super) struct SendRequest {
    /// Required when sending by `wa_id`. A group's channel is enough by itself.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
    /// An existing conversation; `channel_id` and `wa_id` are then not needed.
    #[schema(value_type = Option<Ulid>)]
    conversation_id: Option<String>,
    /// The recipient: a number in international form without `+`, or a Telegram user id.
    #[schema(example = "966500000000")]
    wa_id: Option<String>,
    /// Another name of `wa_id`.
    #[schema(ignore)]
    to: Option<String>,
    /// With a Telegram group's channel: the topic inside it.
    topic: Option<String>,
    /// `text`, `image`, `video`, `audio`, `voice`, `document`, `sticker`, `location`, `contacts`, `reaction`,
    /// `interactive`, `flow` or `template`; `text` unless given.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: Option<String>,
    /// The text, or the caption of a file. Audio over WhatsApp shows none: there it is kept with the message only.
    #[schema(example = "Your order is on the way!")]
    body: Option<String>,
    /// Another name of `body`.
    #[schema(ignore)]
    text: Option<String>,
    /// How `body` is marked up; `plain` unless given. It looks alike on WhatsApp and Telegram, as far as they can.
    format: Option<TextFormat>,
    /// Whether the first link of a text is shown with a preview. The provider decides unless given.
    preview_url: Option<bool>,
    /// Where the provider fetches the file: a public https URL. Or `media_id`, or `provider_media_id`.
    media_url: Option<String>,
    /// Whether the file at `media_url` is fetched here and now, into the media library, and given to the provider from
    /// there. It has 45 seconds to arrive. The operator may allow addresses in private networks, without https too.
    #[serde(default)]
    fetch: bool,
    /// A file of the media library.
    #[schema(value_type = Option<Ulid>)]
    media_id: Option<String>,
    /// The provider's own id of a file: WhatsApp's media id, Telegram's `file_id`.
    provider_media_id: Option<String>,
    /// A document's name as the recipient sees it.
    filename: Option<String>,
    /// The message this one answers.
    #[schema(value_type = Option<Ulid>)]
    reply_to: Option<String>,
    /// The message that a `reaction` is put on; enough by itself to say where it goes.
    #[schema(value_type = Option<Ulid>)]
    message_id: Option<String>,
    /// Of a `reaction`: one emoji, or empty to take the reaction away. Telegram takes some emoji only.
    #[schema(example = "👍")]
    emoji: Option<String>,
    /// Of a `location`.
    location: Option<Location>,
    /// Of `contacts`. Telegram takes one, with a phone.
    contacts: Option<Vec<ContactCard>>,
    /// Of an `interactive` message. Telegram shows buttons and rows as an inline keyboard.
    interactive: Option<Interactive>,
    /// Of a `flow`; WhatsApp only.
    flow: Option<Flow>,
    /// Of a `template`; WhatsApp only.
    template: Option<TemplateRequest>,
    /// WhatsApp: the template that goes out instead when the person has not written for 24 hours, or nobody knows whether they
    /// have; and that follows when WhatsApp refuses the message for that.
    fallback_template: Option<TemplateRequest>,
    /// `high`, `normal` or `low`: which of an account's messages go first when they have to wait for each other. A
    /// reply to somebody who wrote within a day is `high`, everything else `normal`, unless given.
    #[schema(example = "low")]
    priority: Option<String>,
    /// When it is to go out; until then it can be cancelled.
    #[schema(value_type = Option<Time>)]
    send_at: Option<String>,
}

impl From<SendRequest> for SendMessage {
    fn from(request: SendRequest) -> Self {
        Self {
            channel_id: request.channel_id,
            conversation_id: request.conversation_id,
            wa_id: request.wa_id.or(request.to),
            topic: request.topic,
            kind: request.kind,
            body: request.body.or(request.text),
            format: request.format.unwrap_or_default(),
            preview_url: request.preview_url,
            file: FileSource {
                url: request.media_url,
                media_id: request.media_id,
                provider_id: request.provider_media_id,
                filename: request.filename,
                fetch: request.fetch,
            },
            reply_to: request.message_id.or(request.reply_to),
            location: request.location,
            contacts: request.contacts.unwrap_or_default(),
            emoji: request.emoji,
            interactive: request.interactive,
            flow: request.flow,
            template: request.template.map(TemplateRequest::into),
            fallback_template: request.fallback_template.map(TemplateRequest::into),
            despite_window: false,
            priority: request.priority,
            send_at: request.send_at,
        }
    }
}

/// Queues a message.
///
/// The contact and the conversation are made when they are not there yet. The answer is the message, `queued`; its
/// status moves to `sent`, `delivered` and `read`, or to `failed` with the provider's reason. A message whose answer
/// was lost is `uncertain` until the provider reports on it; it is never sent twice. Give an `Idempotency-Key` to
/// repeat the request safely.
///
/// What the provider would refuse (lengths, counts, file types) is a 422 that names the field; what it has no notion
/// of at all is one with `code: capability_missing`. Free text to a person who has not written for 24 hours is one
/// with `code: window_closed` that names templates, unless there is a `fallback_template`.
#[utoipa::path(post, path = "/api/v1/messages", tag = "Messages",
    security(("bearer" = ["send"])), request_body = SendRequest,
    responses((status = 200, body = Data<MessageResource>)))]
async fn send_message(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    Json(request): Json<SendRequest>,
) -> Result<axum::Json<Data<MessageResource>>> {
    Ok(data(state.engine.send_message(&principal, request.into()).await?.into()))
}

/// A sent message's new content.
#[derive(Deserialize, ToSchema)]
struct EditRequest {
    /// The new text or caption.
    #[schema(value_type = String, required)]
    body: Option<String>,
    /// As it was unless given.
    format: Option<TextFormat>,
    preview_url: Option<bool>,
}

/// Changes a sent message's text or caption, for everyone.
///
/// Telegram only: WhatsApp's Cloud API cannot change what was sent.
#[utoipa::path(patch, path = "/api/v1/messages/{id}", tag = "Messages",
    security(("bearer" = ["send"])), params(("id" = Ulid, Path)),
    request_body = EditRequest, responses((status = 200, body = Data<MessageResource>)))]
async fn edit_message(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    PathId(id): PathId<MessageId>,
    Json(request): Json<EditRequest>,
) -> Result<axum::Json<Data<MessageResource>>> {
    let edit = EditMessage { body: request.body, format: request.format, preview_url: request.preview_url };
    Ok(data(state.engine.edit_message(&principal, id, edit).await?.into()))
}

/// Deletes a sent message for everyone.
///
/// Telegram only, for 48 hours. The message stays here, with `revoked_at`.
#[utoipa::path(delete, path = "/api/v1/messages/{id}", tag = "Messages",
    security(("bearer" = ["send"])), params(("id" = Ulid, Path)),
    responses((status = 204, description = "It is deleted.")))]
async fn delete_message(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    PathId(id): PathId<MessageId>,
) -> Result<StatusCode> {
    state.engine.delete_message(&principal, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What else to show with a read receipt.
#[derive(Deserialize, ToSchema)]
struct ReadRequest {
    /// Also show that an answer is being written, for 25 seconds or until it comes.
    #[serde(default)]
    typing: bool,
}

/// Shows the sender that a message was read.
///
/// WhatsApp only: the message and those before it get their blue ticks. The conversation's `unread_count` is ours and
/// stays. Asked of WhatsApp at once: a 503 with `Retry-After` when it cannot be reached.
#[utoipa::path(post, path = "/api/v1/messages/{id}/read", tag = "Messages",
    security(("bearer" = ["send"])), params(("id" = Ulid, Path)),
    request_body = ReadRequest, responses((status = 204, description = "It is shown as read.")))]
async fn read_message(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    PathId(id): PathId<MessageId>,
    Json(request): Json<ReadRequest>,
) -> Result<StatusCode> {
    state.engine.read_message(&principal, id, request.typing).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the other side that an answer is being written.
///
/// On Telegram for five seconds. On WhatsApp for 25 seconds or until the answer comes, and only as an answer: it also
/// marks the last message that came in as read. Asked of the provider at once: a 503 with `Retry-After` when it cannot
/// be reached.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/typing", tag = "Messages",
    security(("bearer" = ["send"])), params(("id" = Ulid, Path)),
    responses((status = 204, description = "It is shown.")))]
async fn show_typing(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    PathId(id): PathId<ConversationId>,
) -> Result<StatusCode> {
    state.engine.show_typing(&principal, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
