//! Webhook endpoints: apps that are told of events.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::webhook::DisabledReason;
use kabar_domain::{Timestamp, WebhookEndpointId};
use kabar_engine::patch::Patch;
use kabar_engine::webhooks::{self, EndpointChange, NewEndpoint};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::webhook_deliveries::{Attempt, Delivery};
use crate::data::{Data, List, Stretch, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_webhook_endpoints, create_webhook_endpoint))
        .routes(routes!(get_webhook_endpoint, update_webhook_endpoint, delete_webhook_endpoint))
        .routes(routes!(get_webhook_secret))
        .routes(routes!(rotate_webhook_secret))
        .routes(routes!(test_webhook_endpoint))
        .routes(routes!(list_webhook_deliveries))
        .routes(routes!(replay_webhook_events))
}

#[derive(Serialize, ToSchema)]
struct WebhookEndpoint {
    #[schema(value_type = Ulid)]
    id: WebhookEndpointId,
    #[schema(example = "https://app.example.com/kabar")]
    url: String,
    description: Option<String>,
    /// Types of events it is told of.
    #[schema(example = json!(["message.*", "conversation.updated"]))]
    events: Vec<String>,
    enabled: bool,
    /// Why the server switched it off: `failing` (every attempt failed for five days) or `gone` (it answered 410).
    #[schema(value_type = Option<String>)]
    disabled_reason: Option<DisabledReason>,
    #[schema(value_type = Option<Time>)]
    disabled_at: Option<Timestamp>,
    /// Every attempt failed since then.
    #[schema(value_type = Option<Time>)]
    failing_since: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    last_success_at: Option<Timestamp>,
    /// The first event that has not been attempted yet.
    next_event_id: i64,
    #[schema(value_type = Object)]
    metadata: Value,
    /// What signs its webhooks: shown when it is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")]
    secret: Option<String>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<webhooks::Endpoint> for WebhookEndpoint {
    fn from(endpoint: webhooks::Endpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            description: endpoint.description,
            events: endpoint.events,
            enabled: endpoint.enabled,
            disabled_reason: endpoint.disabled_reason,
            disabled_at: endpoint.disabled_at,
            failing_since: endpoint.failing_since,
            last_success_at: endpoint.last_success_at,
            next_event_id: endpoint.next_seq,
            metadata: endpoint.metadata,
            secret: None,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct CreateWebhookEndpointRequest {
    /// https; http only to networks that the server's operator allows.
    #[schema(value_type = String, required, max_length = 2048)]
    url: Option<String>,
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Types of events, as `message.received`, `message.*` or `*`; all of them when left out.
    events: Option<Vec<String>>,
    /// True when left out.
    enabled: Option<bool>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateWebhookEndpointRequest {
    #[schema(max_length = 2048)]
    url: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: Patch<String>,
    events: Option<Vec<String>>,
    enabled: Option<bool>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

#[derive(Serialize, ToSchema)]
struct WebhookSecret {
    #[schema(example = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")]
    secret: String,
}

#[derive(Deserialize, ToSchema)]
struct RotateWebhookSecretRequest {
    /// How long the old secret signs beside the new one, in seconds: a day when left out, a week at most.
    #[schema(minimum = 0, maximum = 604_800)]
    overlap_seconds: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct RotatedWebhookSecret {
    #[schema(example = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")]
    secret: String,
    /// Until then the old one signs too.
    #[schema(value_type = Option<Time>)]
    previous_until: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct WebhookTest {
    /// Whether the endpoint answered 2xx.
    succeeded: bool,
    /// The header `webhook-id` of the test.
    webhook_id: String,
    attempt: Attempt,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListWebhookDeliveriesQuery {
    /// `pending`, `delivered` or `dead`.
    status: Option<String>,
    /// Rows on a page, 1 to 100.
    #[param(minimum = 1, maximum = 100, example = 50)]
    limit: Option<i64>,
    /// `meta.next_cursor` of the page before.
    cursor: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
struct ReplayWebhookEventsRequest {
    #[schema(value_type = Time, required)]
    since: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct WebhookReplay {
    /// The first event that is delivered again, if the endpoint wants it.
    from_event_id: i64,
}

/// Webhook endpoints, oldest first.
#[utoipa::path(get, path = "/api/v1/webhook-endpoints", tag = "Webhooks",
    security(("bearer" = ["read"])), params(PageQuery),
    responses((status = 200, body = List<WebhookEndpoint>)))]
async fn list_webhook_endpoints(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<WebhookEndpoint>>> {
    Ok(list(state.engine.list_webhook_endpoints(&caller, &page.request(25)?).await?))
}

/// Has an app told of what happens from now on.
///
/// Each event is posted as `{type, timestamp, seq, data}`, signed as Standard Webhooks describes: headers
/// `webhook-id` (the same for every attempt and replay: take an event once by it), `webhook-timestamp` and
/// `webhook-signature`. Any 2xx within 20 s is success; redirects are not followed; 410 switches the endpoint off; 429,
/// 502, 503 and 504 may ask for time with `Retry-After`. An event that fails is attempted ten times within about three
/// days, and later events do not wait for it: use `seq` where order matters. An endpoint that fails again and again is
/// left alone for up to ten minutes at a time; what happens meanwhile waits in order.
#[utoipa::path(post, path = "/api/v1/webhook-endpoints", tag = "Webhooks", security(("bearer" = ["admin"])),
    request_body = CreateWebhookEndpointRequest, responses((status = 201, body = Data<WebhookEndpoint>)))]
async fn create_webhook_endpoint(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateWebhookEndpointRequest>,
) -> Result<impl IntoResponse> {
    let new = NewEndpoint {
        url: request.url,
        description: request.description,
        events: request.events,
        enabled: request.enabled,
        metadata: request.metadata,
    };
    let (endpoint, secret) = state.engine.create_webhook_endpoint(&caller, new).await?;
    Ok(created(WebhookEndpoint { secret: Some(secret), ..endpoint.into() }))
}

/// One webhook endpoint and how it stands.
#[utoipa::path(get, path = "/api/v1/webhook-endpoints/{id}", tag = "Webhooks",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<WebhookEndpoint>)))]
async fn get_webhook_endpoint(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookEndpointId>,
) -> Result<axum::Json<Data<WebhookEndpoint>>> {
    Ok(data(state.engine.get_webhook_endpoint(&caller, id).await?.into()))
}

/// Changes what is sent. An endpoint that is switched on again is told of everything that happened meanwhile.
#[utoipa::path(patch, path = "/api/v1/webhook-endpoints/{id}", tag = "Webhooks",
    security(("bearer" = ["admin"])), params(("id" = Ulid, Path)),
    request_body = UpdateWebhookEndpointRequest, responses((status = 200, body = Data<WebhookEndpoint>)))]
async fn update_webhook_endpoint(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookEndpointId>,
    Json(request): Json<UpdateWebhookEndpointRequest>,
) -> Result<axum::Json<Data<WebhookEndpoint>>> {
    let change = EndpointChange {
        url: request.url,
        description: request.description,
        events: request.events,
        enabled: request.enabled,
        metadata: request.metadata,
    };
    Ok(data(state.engine.update_webhook_endpoint(&caller, id, change).await?.into()))
}

/// Removes an endpoint and its log.
#[utoipa::path(delete, path = "/api/v1/webhook-endpoints/{id}", tag = "Webhooks",
    security(("bearer" = ["admin"])), params(("id" = Ulid, Path)),
    responses((status = 204)))]
async fn delete_webhook_endpoint(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookEndpointId>,
) -> Result<StatusCode> {
    state.engine.delete_webhook_endpoint(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The secret that signs an endpoint's webhooks.
#[utoipa::path(get, path = "/api/v1/webhook-endpoints/{id}/secret", tag = "Webhooks",
    security(("bearer" = ["admin"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<WebhookSecret>)))]
async fn get_webhook_secret(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookEndpointId>,
) -> Result<axum::Json<Data<WebhookSecret>>> {
    Ok(data(WebhookSecret { secret: state.engine.get_webhook_secret(&caller, id).await? }))
}

/// Gives an endpoint a new secret. For a while both sign, so that the app can change over when it likes.
#[utoipa::path(post, path = "/api/v1/webhook-endpoints/{id}/rotate-secret", tag = "Webhooks",
    security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), request_body = RotateWebhookSecretRequest,
    responses((status = 200, body = Data<RotatedWebhookSecret>)))]
async fn rotate_webhook_secret(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookEndpointId>,
    Json(request): Json<RotateWebhookSecretRequest>,
) -> Result<axum::Json<Data<RotatedWebhookSecret>>> {
    let rotated = state.engine.rotate_webhook_secret(&caller, id, request.overlap_seconds).await?;
    Ok(data(RotatedWebhookSecret { secret: rotated.secret, previous_until: rotated.previous_until }))
}

/// Posts a `webhook.test` to an endpoint now, switched on or not, and says how it went.
#[utoipa::path(post, path = "/api/v1/webhook-endpoints/{id}/test", tag = "Webhooks",
    security(("bearer" = ["admin"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<WebhookTest>)))]
async fn test_webhook_endpoint(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookEndpointId>,
) -> Result<axum::Json<Data<WebhookTest>>> {
    let tested = state.engine.test_webhook_endpoint(&caller, id).await?;
    let succeeded = tested.attempt.succeeded();
    Ok(data(WebhookTest { succeeded, webhook_id: tested.webhook_id, attempt: tested.attempt.into() }))
}

/// What became of events at an endpoint, newest events first. Events it has not been attempted with are not in it.
#[utoipa::path(get, path = "/api/v1/webhook-endpoints/{id}/deliveries", tag = "Webhooks",
    security(("bearer" = ["read"])),
    params(("id" = Ulid, Path), ListWebhookDeliveriesQuery),
    responses((status = 200, body = Stretch<Delivery>)))]
async fn list_webhook_deliveries(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookEndpointId>,
    Query(query): Query<ListWebhookDeliveriesQuery>,
) -> Result<axum::Json<Stretch<Delivery>>> {
    let limit = query.limit.unwrap_or(50);
    let status = query.status.as_deref();
    let page = state.engine.list_webhook_deliveries(&caller, id, status, query.cursor, limit).await?;
    let deliveries = page.deliveries.into_iter().map(Delivery::from).collect();
    Ok(axum::Json(Stretch::new(deliveries, limit, page.next_before)))
}

/// Delivers everything since a time again, in order. Each event keeps its `webhook-id`.
#[utoipa::path(post, path = "/api/v1/webhook-endpoints/{id}/replay", tag = "Webhooks", security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), request_body = ReplayWebhookEventsRequest,
    responses((status = 202, body = Data<WebhookReplay>)))]
async fn replay_webhook_events(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<WebhookEndpointId>,
    Json(request): Json<ReplayWebhookEventsRequest>,
) -> Result<impl IntoResponse> {
    let from = state.engine.replay_webhook_events(&caller, id, request.since.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, data(WebhookReplay { from_event_id: from })))
}
