//! Notifications.

use std::collections::BTreeMap;

use axum::extract::State;
use kabar_domain::message::MessageStatus;
use kabar_domain::notification::NotificationChannel;
use kabar_domain::{MessageId, NotificationId, NotificationLegId, Timestamp};
use kabar_engine::notifications::{self, Leg, SendNotification};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::MessageError;
use super::templates::TemplateRequest;
use crate::data::{Data, List, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_notifications))
        .routes(routes!(send_notification))
        .routes(routes!(get_notification))
        .routes(routes!(retry_notification))
}

#[derive(Serialize, ToSchema)]
struct NotificationLeg {
    #[schema(value_type = Ulid)]
    id: NotificationLegId,
    /// `whatsapp`, `telegram`, `email` or `sms`.
    #[schema(value_type = String, example = "email")]
    channel: NotificationChannel,
    #[schema(example = "ani@example.com")]
    to: String,
    /// `queued`, `sending`, `sent`, `failed` or `uncertain` (it may have been sent: the answer was lost); over
    /// WhatsApp and Telegram also `delivered`, `read` and `cancelled`.
    #[schema(value_type = String, example = "queued")]
    status: MessageStatus,
    /// WhatsApp and Telegram: the message that carries it.
    #[schema(value_type = Option<Ulid>)]
    message_id: Option<MessageId>,
    /// The provider's name for it; of an e-mail its `Message-ID`.
    provider_id: Option<String>,
    /// Why it failed, or why it waits.
    error: Option<MessageError>,
    /// Attempts made at an e-mail or SMS.
    attempts: i64,
    /// When the next attempt is made.
    #[schema(value_type = Option<Time>)]
    retry_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    sent_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    delivered_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    failed_at: Option<Timestamp>,
}

impl From<Leg> for NotificationLeg {
    fn from(leg: Leg) -> Self {
        Self {
            id: leg.id,
            channel: leg.channel,
            to: leg.recipient,
            status: leg.status,
            message_id: leg.message_id,
            provider_id: leg.provider_id,
            error: leg.error.map(Into::into),
            attempts: leg.attempts,
            retry_at: leg.retry_at,
            sent_at: leg.sent_at,
            delivered_at: leg.delivered_at,
            failed_at: leg.failed_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Notification {
    #[schema(value_type = Ulid)]
    id: NotificationId,
    /// With its variables filled in, as `text`.
    subject: Option<String>,
    text: String,
    /// The name of the template it was made from.
    template: Option<String>,
    legs: Vec<NotificationLeg>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
}

impl From<notifications::Notification> for Notification {
    fn from(notification: notifications::Notification) -> Self {
        Self {
            id: notification.id,
            subject: notification.subject,
            text: notification.text,
            template: notification.template,
            legs: notification.legs.into_iter().map(Into::into).collect(),
            created_at: notification.created_at,
        }
    }
}

/// One recipient or several; a Telegram id may be a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Recipients {
    One(String),
    Id(i64),
    Many(Vec<Recipients>),
}

impl Recipients {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Id(id) => vec![id.to_string()],
            Self::Many(many) => many.into_iter().flat_map(Self::into_list).collect(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct SendNotificationRequest {
    /// `whatsapp`, `telegram`, `email` and `sms`, any of them.
    #[serde(default)]
    #[schema(required, example = json!(["email", "sms"]))]
    channels: Vec<String>,
    /// By channel the recipient, or a list of them. Channels that are not asked for get nothing.
    #[serde(default)]
    #[schema(required, value_type = Object, example = json!({"email": "ani@example.com", "sms": "+6281234567890"}))]
    to: BTreeMap<String, Recipients>,
    /// Of e-mails, one line; else the text's first line.
    subject: Option<String>,
    /// Required without `template`, whose text it replaces.
    #[schema(example = "Pump {{pump}} has stopped.")]
    text: Option<String>,
    /// The name of a notification template.
    template: Option<String>,
    /// Values for every `{{variable}}` of the subject and the text: texts and numbers.
    #[schema(value_type = Option<Object>, example = json!({"pump": 3}))]
    variables: Option<Map<String, Value>>,
    /// The channel that WhatsApp or Telegram messages go over; else the direct line of the default account, or of the
    /// oldest. Of a group, the group gets it, and `to` needs nothing.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
    /// What goes out over WhatsApp instead of the text when the person has not written for 24 hours.
    whatsapp_template: Option<TemplateRequest>,
}

#[derive(Deserialize, ToSchema)]
struct RetryNotificationRequest {
    /// Ids of the legs, failed or uncertain ones; else all that failed.
    #[schema(value_type = Option<Vec<Ulid>>)]
    legs: Option<Vec<String>>,
}

/// Notifications, newest first.
#[utoipa::path(get, path = "/api/v1/notifications", tag = "Notifications",
    security(("bearer" = ["read"])), params(PageQuery),
    responses((status = 200, body = List<Notification>)))]
async fn list_notifications(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<Notification>>> {
    Ok(list(state.engine.list_notifications(&caller, &page.request(25)?).await?))
}

/// Queues a text for people over several channels.
///
/// Each recipient is a leg of its own, with an outcome of its own: one that fails never holds up another. When
/// anything about any leg cannot be right, nothing is queued. A leg whose answer was lost is `uncertain` and is not
/// sent again by itself. WhatsApp and Telegram legs are messages as any other: their outcome is told by
/// `message.status` events, that of e-mails and SMS by `notification.leg`.
#[utoipa::path(post, path = "/api/v1/notifications/send", tag = "Notifications", security(("bearer" = ["send"])),
    request_body = SendNotificationRequest, responses((status = 200, body = Data<Notification>)))]
async fn send_notification(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<SendNotificationRequest>,
) -> Result<axum::Json<Data<Notification>>> {
    let request = SendNotification {
        channels: request.channels,
        to: request.to.into_iter().map(|(channel, to)| (channel, to.into_list())).collect(),
        subject: request.subject,
        text: request.text,
        template: request.template,
        variables: request.variables,
        channel_id: request.channel_id,
        whatsapp_template: request.whatsapp_template.map(TemplateRequest::into),
    };
    Ok(data(state.engine.send_notification(&caller, request).await?.into()))
}

/// A notification and how its legs stand.
#[utoipa::path(get, path = "/api/v1/notifications/{id}", tag = "Notifications",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Notification>)))]
async fn get_notification(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<NotificationId>,
) -> Result<axum::Json<Data<Notification>>> {
    Ok(data(state.engine.get_notification(&caller, id).await?.into()))
}

/// Queues legs again that failed. An uncertain leg is sent again only when it is named.
#[utoipa::path(post, path = "/api/v1/notifications/{id}/retry", tag = "Notifications", security(("bearer" = ["send"])),
    params(("id" = Ulid, Path)), request_body = RetryNotificationRequest,
    responses((status = 200, body = Data<Notification>), (status = 409, description = "No leg has failed")))]
async fn retry_notification(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<NotificationId>,
    Json(request): Json<RetryNotificationRequest>,
) -> Result<axum::Json<Data<Notification>>> {
    Ok(data(state.engine.retry_notification(&caller, id, request.legs).await?.into()))
}
