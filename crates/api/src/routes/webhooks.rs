//! Where providers deliver. No token here: a signature over the raw body, or a secret header, says who it is.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::Result;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(verify_whatsapp_webhook, receive_whatsapp_webhook))
        .routes(routes!(receive_telegram_webhook))
        .routes(routes!(receive_telegram_bot_webhook))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Answers Meta's verification of the webhook address.
#[utoipa::path(get, path = "/webhooks/whatsapp", tag = "Webhooks", security(()),
    params(
        ("hub.mode" = String, Query, description = "`subscribe`"),
        ("hub.verify_token" = String, Query, description = "The configured verify token."),
        ("hub.challenge" = String, Query, description = "Given back as it came."),
    ),
    responses(
        (status = 200, description = "The challenge.", body = String, content_type = "text/plain"),
        (status = 403, description = "Another verify token.", body = ref("#/components/schemas/Error")),
    ))]
async fn verify_whatsapp_webhook(
    State(state): State<ApiState>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<impl IntoResponse> {
    let get = |name: &str| query.get(&format!("hub.{name}")).or_else(|| query.get(&format!("hub_{name}")));
    state.engine.verify_whatsapp(get("mode").map(String::as_str), get("verify_token").map(String::as_str))?;
    let challenge = get("challenge").cloned().unwrap_or_default();
    let plain = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    Ok((plain, challenge))
}

/// Takes a WhatsApp webhook.
///
/// 200 says that the raw body is on disk; what it says is applied afterwards, each update in its own right.
#[utoipa::path(post, path = "/webhooks/whatsapp", tag = "Webhooks", security(()),
    params(("X-Hub-Signature-256" = String, Header, description = "`sha256=` and the HMAC of the raw body.")),
    request_body(content = String, content_type = "application/json"),
    responses(
        (status = 200, description = "The body is durable."),
        (status = 403, description = "The signature is not ours; nothing is stored.", body = ref("#/components/schemas/Error")),
        (status = 413, description = "More than 3 MB.", body = ref("#/components/schemas/Error")),
        (status = 503, description = "Not durable now; send it again.", body = ref("#/components/schemas/Error")),
    ))]
async fn receive_whatsapp_webhook(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode> {
    state.engine.accept_whatsapp(text(&headers, "x-hub-signature-256"), body.into()).await?;
    Ok(StatusCode::OK)
}

/// Telegram carries out a method that the answer holds.
fn answer(method: Option<Value>) -> Response {
    method.map_or_else(|| StatusCode::OK.into_response(), |method| axum::Json(method).into_response())
}

/// Takes a Telegram update at the common address.
///
/// The secret is `TELEGRAM_WEBHOOK_SECRET` or any bot's own.
#[utoipa::path(post, path = "/webhooks/telegram", tag = "Webhooks", security(()),
    params(("X-Telegram-Bot-Api-Secret-Token" = String, Header, description = "The secret.")),
    request_body(content = String, content_type = "application/json"),
    responses(
        (status = 200, description = "The body is durable. For a tapped button it holds `answerCallbackQuery`."),
        (status = 403, description = "The secret is not ours; nothing is stored.", body = ref("#/components/schemas/Error")),
        (status = 413, description = "More than 3 MB.", body = ref("#/components/schemas/Error")),
        (status = 503, description = "Not durable now; send it again.", body = ref("#/components/schemas/Error")),
    ))]
async fn receive_telegram_webhook(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let secret = text(&headers, "x-telegram-bot-api-secret-token");
    Ok(answer(state.engine.accept_telegram(None, secret, body.into()).await?))
}

/// Takes a Telegram update of one bot, at its own address.
#[utoipa::path(post, path = "/webhooks/telegram/{account}", tag = "Webhooks", security(()),
    params(
        ("account" = String, Path, description = "The bot's messaging account."),
        ("X-Telegram-Bot-Api-Secret-Token" = String, Header, description = "The bot's secret."),
    ),
    request_body(content = String, content_type = "application/json"),
    responses(
        (status = 200, description = "The body is durable. For a tapped button it holds `answerCallbackQuery`."),
        (status = 403, description = "The secret is not this bot's; nothing is stored.", body = ref("#/components/schemas/Error")),
        (status = 413, description = "More than 3 MB.", body = ref("#/components/schemas/Error")),
        (status = 503, description = "Not durable now; send it again.", body = ref("#/components/schemas/Error")),
    ))]
async fn receive_telegram_bot_webhook(
    State(state): State<ApiState>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let secret = text(&headers, "x-telegram-bot-api-secret-token");
    Ok(answer(state.engine.accept_telegram(Some(&account), secret, body.into()).await?))
}
