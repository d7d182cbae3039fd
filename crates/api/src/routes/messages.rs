//! Sending.

use axum::extract::State;
use kabar_engine::messages::SendMessage;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::MessageResource;
use crate::data::{Data, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(send_message))
}

/// A message to send, by `channel_id` and `wa_id`, or into a conversation.
#[derive(Deserialize, ToSchema)]
struct SendRequest {
    /// Required when sending by `wa_id`. A group's channel is enough by itself.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
    /// An existing conversation; `channel_id` and `wa_id` are then not needed.
    #[schema(value_type = Option<Ulid>)]
    conversation_id: Option<String>,
    /// The recipient: a number in international form without `+`, or a Telegram user id.
    #[serde(alias = "to")]
    #[schema(example = "966500000000")]
    wa_id: Option<String>,
    /// `text`, `image`, `document`, `audio` or `video`; `text` unless given.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: Option<String>,
    /// The text, or the caption. Audio over WhatsApp shows none: there it is kept with the message only.
    #[serde(alias = "text")]
    #[schema(example = "Your order is on the way!")]
    body: Option<String>,
    /// Where the provider fetches the file: a public https URL.
    media_url: Option<String>,
    /// A document's name as the recipient sees it.
    filename: Option<String>,
    /// The message this one answers.
    #[schema(value_type = Option<Ulid>)]
    reply_to: Option<String>,
}

/// Queues a message.
///
/// The contact and the conversation are made when they are not there yet. The answer is the message, `queued`; its
/// status moves to `sent`, `delivered` and `read`, or to `failed` with the provider's reason. A message whose answer
/// was lost is `uncertain` until the provider reports on it; it is never sent twice. Give an `Idempotency-Key` to
/// repeat the request safely.
#[utoipa::path(post, path = "/api/v1/messages", tag = "Messages", request_body = SendRequest,
    responses((status = 200, body = Data<MessageResource>)))]
async fn send_message(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    Json(request): Json<SendRequest>,
) -> Result<axum::Json<Data<MessageResource>>> {
    let message = state
        .engine
        .send_message(
            &principal,
            SendMessage {
                channel_id: request.channel_id,
                conversation_id: request.conversation_id,
                wa_id: request.wa_id,
                kind: request.kind,
                body: request.body,
                media_url: request.media_url,
                filename: request.filename,
                reply_to: request.reply_to,
                template: None,
            },
        )
        .await?;
    Ok(data(message.into()))
}
