//! Sending over WhatsApp in few words.

use axum::extract::State;
use kabar_engine::messages::{Acknowledge, SendGuide};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::MessageResource;
use super::messages::SendRequest;
use crate::data::{Data, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(send_whatsapp_message))
        .routes(routes!(send_whatsapp_api_message))
        .routes(routes!(acknowledge_whatsapp))
        .routes(routes!(send_whatsapp_guide))
}

/// Queues a message over WhatsApp.
///
/// The same as `POST /messages`, with `to` for `wa_id`, `text` for `body`, and a `channel_id` that may be left out: then
/// the default account's number is used, or the first WhatsApp number where the default account is none.
#[utoipa::path(post, path = "/api/v1/whatsapp/messages", tag = "Messages",
    security(("bearer" = ["send"])), request_body = SendRequest,
    responses((status = 200, body = Data<MessageResource>)))]
async fn send_whatsapp_message(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    Json(request): Json<SendRequest>,
) -> Result<axum::Json<Data<MessageResource>>> {
    Ok(data(state.engine.send_whatsapp_message(&principal, request.into()).await?.into()))
}

/// Queues a message over WhatsApp; another name for `POST /whatsapp/messages`.
#[utoipa::path(post, path = "/api/v1/whatsapp-api/send", tag = "Messages",
    security(("bearer" = ["send"])), request_body = SendRequest,
    responses((status = 200, body = Data<MessageResource>)))]
async fn send_whatsapp_api_message(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    Json(request): Json<SendRequest>,
) -> Result<axum::Json<Data<MessageResource>>> {
    Ok(data(state.engine.send_whatsapp_message(&principal, request.into()).await?.into()))
}

/// Whom to tell that something was taken up, and with which template.
#[derive(Deserialize, ToSchema)]
struct AcknowledgeRequest {
    /// The recipient: a number in international form without `+`.
    #[schema(value_type = String, required, example = "6281234567890")]
    to: Option<String>,
    /// Another name of `to`.
    #[schema(ignore)]
    wa_id: Option<String>,
    /// The problem or work update that is acknowledged. The template is then the organisation's setting `acknowledgement_template` unless one is
    /// named.
    #[schema(value_type = Option<Ulid>)]
    record_id: Option<String>,
    /// Required without `record_id`.
    #[schema(example = "report_received")]
    template_name: Option<String>,
    /// The template's primary language unless given.
    #[schema(example = "id")]
    language: Option<String>,
    /// What fills the template's body: a list, or an object by name. With `record_id`, as many as the template takes
    /// of the record's number, title and site, unless given.
    #[schema(value_type = Option<Vec<String>>)]
    variables: Option<Value>,
    /// The default WhatsApp number unless given.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
}

/// Tells somebody over WhatsApp that their report was taken up.
///
/// A template message, so that it may be sent whenever the report came in.
#[utoipa::path(post, path = "/api/v1/whatsapp-api/acknowledge", tag = "Messages",
    security(("bearer" = ["send"])), request_body = AcknowledgeRequest,
    responses((status = 200, body = Data<MessageResource>)))]
async fn acknowledge_whatsapp(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    Json(request): Json<AcknowledgeRequest>,
) -> Result<axum::Json<Data<MessageResource>>> {
    let acknowledge = Acknowledge {
        wa_id: request.to.or(request.wa_id),
        channel_id: request.channel_id,
        record_id: request.record_id,
        template_name: request.template_name,
        language: request.language,
        variables: request.variables,
    };
    Ok(data(state.engine.acknowledge(&principal, acknowledge).await?.into()))
}

/// Whom to send a guide, and which.
#[derive(Deserialize, ToSchema)]
struct SendGuideRequest {
    /// The recipient: a number in international form without `+`.
    #[schema(value_type = String, required, example = "6281234567890")]
    to: Option<String>,
    /// Another name of `to`.
    #[schema(ignore)]
    wa_id: Option<String>,
    /// `user_guide` unless given. The organisation's setting `guides` says which template it is (`{"user_guide":
    /// "guide_v2"}`); a guide that is not there is the template of that name.
    #[schema(example = "user_guide")]
    guide: Option<String>,
    /// The template's primary language unless given.
    #[schema(example = "id")]
    language: Option<String>,
    /// The default WhatsApp number unless given.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
}

/// Sends somebody a guide over WhatsApp, as a template message.
#[utoipa::path(post, path = "/api/v1/whatsapp-api/send-guide", tag = "Messages",
    security(("bearer" = ["send"])), request_body = SendGuideRequest,
    responses((status = 200, body = Data<MessageResource>)))]
async fn send_whatsapp_guide(
    Auth(principal): Auth,
    State(state): State<ApiState>,
    Json(request): Json<SendGuideRequest>,
) -> Result<axum::Json<Data<MessageResource>>> {
    let guide = SendGuide {
        wa_id: request.to.or(request.wa_id),
        channel_id: request.channel_id,
        guide: request.guide,
        language: request.language,
    };
    Ok(data(state.engine.send_guide(&principal, guide).await?.into()))
}
