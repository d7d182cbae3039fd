//! Events on their way to webhook endpoints.

use axum::extract::State;
use kabar_domain::webhook::DeliveryStatus;
use kabar_domain::{Timestamp, WebhookDeliveryId, WebhookEndpointId};
use kabar_engine::webhooks;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, PathId};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(get_webhook_delivery)).routes(routes!(replay_webhook_delivery))
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub(super) struct Attempt {
    #[schema(value_type = Time)]
    at: Timestamp,
    /// HTTP status of the answer.
    #[schema(example = 200)]
    status: Option<u16>,
    latency_ms: u64,
    /// Why there was no answer.
    error: Option<String>,
    /// The beginning of an answer that is no success.
    response: Option<String>,
}

impl From<webhooks::Attempt> for Attempt {
    fn from(attempt: webhooks::Attempt) -> Self {
        Self {
            at: attempt.at,
            status: attempt.status,
            latency_ms: attempt.latency_ms,
            error: attempt.error,
            response: attempt.response,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(super) struct Delivery {
    #[schema(value_type = Ulid)]
    id: WebhookDeliveryId,
    #[schema(value_type = Ulid)]
    webhook_endpoint_id: WebhookEndpointId,
    /// The header `webhook-id` of all its attempts.
    #[schema(example = "evt_01HZK7P5R3Q6V0YH4XJ3M8CHN1")]
    webhook_id: String,
    /// The number of its event.
    event_id: i64,
    /// The type of its event.
    #[schema(example = "message.received")]
    event_type: String,
    /// `pending` (another attempt comes), `delivered`, or `dead` (no attempt is left).
    #[schema(value_type = String, example = "delivered")]
    status: DeliveryStatus,
    #[schema(value_type = Option<Time>)]
    next_attempt_at: Option<Timestamp>,
    /// Oldest first.
    attempts: Vec<Attempt>,
    /// When the event happened.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<webhooks::Delivery> for Delivery {
    fn from(delivery: webhooks::Delivery) -> Self {
        Self {
            webhook_id: delivery.webhook_id(),
            id: delivery.id,
            webhook_endpoint_id: delivery.endpoint_id,
            event_id: delivery.seq,
            event_type: delivery.kind,
            status: delivery.status,
            next_attempt_at: delivery.next_attempt_at,
            attempts: delivery.attempts.into_iter().map(Attempt::from).collect(),
            created_at: delivery.created_at,
            updated_at: delivery.updated_at,
        }
    }
}

/// One event at one endpoint, with every attempt.
#[utoipa::path(get, path = "/api/v1/webhook-deliveries/{id}", tag = "Webhooks",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Delivery>)))]
async fn get_webhook_delivery(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookDeliveryId>,
) -> Result<axum::Json<Data<Delivery>>> {
    Ok(data(state.engine.get_webhook_delivery(&caller, id).await?.into()))
}

/// Delivers an event again, whatever became of it. It keeps its `webhook-id`.
#[utoipa::path(post, path = "/api/v1/webhook-deliveries/{id}/replay", tag = "Webhooks",
    security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), responses((status = 200, body = Data<Delivery>)))]
async fn replay_webhook_delivery(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookDeliveryId>,
) -> Result<axum::Json<Data<Delivery>>> {
    Ok(data(state.engine.replay_webhook_delivery(&caller, id).await?.into()))
}
