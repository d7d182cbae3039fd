//! Messaging accounts: connected WhatsApp numbers and Telegram bots.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::channel::ChannelStatus;
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, ChannelId, Timestamp};
use kabar_engine::accounts::{Account, AccountChange, AccountQuery, NewAccount, Served};
use kabar_engine::doctor::{self, CheckStatus};
use kabar_engine::patch::Patch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_messaging_accounts, create_messaging_account))
        .routes(routes!(get_messaging_account, update_messaging_account, retire_messaging_account))
        .routes(routes!(diagnose_messaging_account))
}

/// Where a provider delivers to, and how that goes.
#[derive(Serialize, ToSchema)]
pub(super) struct Webhook {
    #[schema(example = "https://kabar.example.com/webhooks/whatsapp")]
    pub url: String,
    #[schema(value_type = Option<Time>)]
    pub verified_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    pub last_event_at: Option<Timestamp>,
    pub last_error: Option<String>,
}

/// Secrets are taken, never shown.
#[derive(Serialize, ToSchema)]
struct MessagingAccount {
    #[schema(value_type = Ulid)]
    id: AccountId,
    #[schema(value_type = String, example = "whatsapp")]
    platform: Platform,
    /// `connected`, `pending` or `disconnected`.
    #[schema(value_type = String, example = "connected")]
    status: ChannelStatus,
    display_name: String,
    /// A WhatsApp number's id at Meta.
    phone_number_id: Option<String>,
    phone_number: Option<String>,
    waba_id: Option<String>,
    /// A Telegram bot's id.
    bot_id: Option<String>,
    /// A Telegram bot's name without `@`.
    username: Option<String>,
    is_default: bool,
    #[schema(value_type = Object)]
    settings: Value,
    #[schema(value_type = Object)]
    metadata: Value,
    /// The account's own direct line.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<ChannelId>,
    webhook: Webhook,
    verified_name: Option<String>,
    quality: Option<String>,
    messaging_limit: Option<String>,
    /// What it may send in a second: `settings.messages_per_second`, or what the provider says. Null: what is usual, 80
    /// for a number and 30 for a bot.
    #[schema(example = 80)]
    messages_per_second: Option<i64>,
    /// What is wrong, for the people who run the account.
    last_error: Option<String>,
    #[schema(value_type = Option<Time>)]
    connected_at: Option<Timestamp>,
    /// When the provider was last asked.
    #[schema(value_type = Option<Time>)]
    checked_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<Served<Account>> for MessagingAccount {
    fn from(served: Served<Account>) -> Self {
        let account = served.row;
        let (phone_number_id, bot_id) = match account.platform {
            Platform::Telegram => (None, Some(account.external_id)),
            Platform::Whatsapp | Platform::Widget | Platform::Other => (Some(account.external_id), None),
        };
        Self {
            id: account.id,
            platform: account.platform,
            status: account.status,
            display_name: account.display_name,
            phone_number_id,
            phone_number: account.phone_number,
            waba_id: account.waba_id,
            bot_id,
            username: account.username,
            is_default: account.is_default,
            settings: account.settings,
            metadata: account.metadata,
            channel_id: account.channel_id,
            webhook: Webhook {
                url: served.webhook_url,
                verified_at: account.webhook_verified_at,
                last_event_at: account.last_event_at,
                last_error: account.last_error.clone(),
            },
            verified_name: account.verified_name,
            quality: account.quality,
            messaging_limit: account.messaging_limit,
            messages_per_second: account.messages_per_second,
            last_error: account.last_error,
            connected_at: account.connected_at,
            checked_at: account.checked_at,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListMessagingAccountsQuery {
    /// `whatsapp` or `telegram`.
    platform: Option<String>,
    /// `connected`, `pending` or `disconnected`.
    status: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct CreateMessagingAccountRequest {
    /// `whatsapp` or `telegram`.
    #[schema(value_type = String, required, example = "whatsapp")]
    platform: Option<String>,
    #[schema(value_type = String, required, max_length = 255)]
    display_name: Option<String>,
    /// WhatsApp: required.
    #[schema(example = "106540352242922")]
    phone_number_id: Option<String>,
    /// As people write it; without it, as WhatsApp shows it.
    #[schema(example = "+966500000000")]
    phone_number: Option<String>,
    /// With it, webhooks of the business account are subscribed to.
    waba_id: Option<String>,
    /// WhatsApp: required.
    #[schema(format = Password)]
    access_token: Option<String>,
    /// Of the account's own Meta app; without it, the server's `META_APP_SECRET` counts.
    #[schema(format = Password)]
    app_secret: Option<String>,
    /// Telegram: required.
    #[schema(format = Password)]
    bot_token: Option<String>,
    /// The first account is the default in any case.
    is_default: Option<bool>,
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateMessagingAccountRequest {
    #[schema(max_length = 255)]
    display_name: Option<String>,
    /// Cannot be changed.
    phone_number_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone_number: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    waba_id: Patch<String>,
    #[schema(format = Password)]
    access_token: Option<String>,
    /// Signatures with the one before are taken until the next change.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    app_secret: Patch<String>,
    #[schema(format = Password)]
    bot_token: Option<String>,
    is_default: Option<bool>,
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// How an account's connection stands.
#[derive(Serialize, ToSchema)]
struct Diagnosis {
    /// The worst of the checks: `ok`, `warning` or `failed`.
    #[schema(value_type = String, example = "failed")]
    status: CheckStatus,
    #[schema(value_type = Time)]
    checked_at: Timestamp,
    checks: Vec<DiagnosisCheck>,
}

#[derive(Serialize, ToSchema)]
struct DiagnosisCheck {
    /// `public_url`, `tls`, `clock`, `verify_token`, `access_token`, `permissions`, `number`, `business_account`,
    /// `subscription`, `app_secret`, `webhook`, `last_webhook`; of bots `bot_token`, `privacy_mode`, `webhook`,
    /// `update_kinds`, `deliveries`.
    #[schema(example = "app_secret")]
    name: &'static str,
    /// `ok`, `warning`, `failed`, or `skipped`: it cannot be told.
    #[schema(value_type = String, example = "failed")]
    status: CheckStatus,
    /// What was found.
    detail: String,
    /// What to paste where.
    fix: Option<String>,
}

impl From<doctor::Diagnosis> for Diagnosis {
    fn from(found: doctor::Diagnosis) -> Self {
        let check = |check: doctor::Check| {
            let doctor::Check { name, status, detail, fix } = check;
            DiagnosisCheck { name, status, detail, fix }
        };
        Self {
            status: found.status(),
            checked_at: found.checked_at,
            checks: found.checks.into_iter().map(check).collect(),
        }
    }
}

/// The organisation's accounts, oldest first. Retired ones are not shown.
///
/// A token bound to channels finds those that carry them.
#[utoipa::path(get, path = "/api/v1/messaging-accounts", tag = "Messaging accounts", security(("bearer" = ["read"])),
    params(ListMessagingAccountsQuery, PageQuery),
    responses((status = 200, body = List<MessagingAccount>)))]
async fn list_messaging_accounts(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListMessagingAccountsQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<MessagingAccount>>> {
    let query = AccountQuery { platform: query.platform, status: query.status };
    Ok(list(state.engine.list_messaging_accounts(&caller, query, &page.request(25)?).await?))
}

/// Registers a WhatsApp number or a Telegram bot, makes its direct channel, and asks the provider about it: what it
/// says is in `status` and `last_error`. Telegram's webhook is set; WhatsApp's is subscribed to with `waba_id`.
#[utoipa::path(post, path = "/api/v1/messaging-accounts", tag = "Messaging accounts", security(("bearer" = ["admin"])),
    request_body = CreateMessagingAccountRequest,
    responses((status = 201, body = Data<MessagingAccount>)))]
async fn create_messaging_account(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateMessagingAccountRequest>,
) -> Result<impl IntoResponse> {
    let new = NewAccount {
        platform: request.platform,
        display_name: request.display_name,
        phone_number_id: request.phone_number_id,
        phone_number: request.phone_number,
        waba_id: request.waba_id,
        access_token: request.access_token,
        app_secret: request.app_secret,
        bot_token: request.bot_token,
        is_default: request.is_default,
        settings: request.settings,
        metadata: request.metadata,
    };
    Ok(created(MessagingAccount::from(state.engine.create_messaging_account(&caller, new).await?)))
}

/// One account.
#[utoipa::path(get, path = "/api/v1/messaging-accounts/{id}", tag = "Messaging accounts",
    security(("bearer" = ["read"])),
    params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<MessagingAccount>)))]
async fn get_messaging_account(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<AccountId>,
) -> Result<axum::Json<Data<MessagingAccount>>> {
    Ok(data(state.engine.get_messaging_account(&caller, id).await?.into()))
}

/// Changes what is sent, and asks the provider about the account again: an empty body only refreshes its status.
#[utoipa::path(put, path = "/api/v1/messaging-accounts/{id}", tag = "Messaging accounts",
    security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), request_body = UpdateMessagingAccountRequest,
    responses((status = 200, body = Data<MessagingAccount>)))]
async fn update_messaging_account(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<AccountId>,
    Json(request): Json<UpdateMessagingAccountRequest>,
) -> Result<axum::Json<Data<MessagingAccount>>> {
    let change = AccountChange {
        display_name: request.display_name,
        phone_number_id: request.phone_number_id,
        phone_number: request.phone_number,
        waba_id: request.waba_id,
        access_token: request.access_token,
        app_secret: request.app_secret,
        bot_token: request.bot_token,
        is_default: request.is_default,
        settings: request.settings,
        metadata: request.metadata,
    };
    Ok(data(state.engine.update_messaging_account(&caller, id, change).await?.into()))
}

/// Retires an account. Its groups, and what waits to be sent over it, go on over the organisation's default
/// account; what was said stays.
#[utoipa::path(delete, path = "/api/v1/messaging-accounts/{id}", tag = "Messaging accounts",
    security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)),
    responses((status = 204), (status = 409, description = "It is the default, and there are others")))]
async fn retire_messaging_account(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<AccountId>,
) -> Result<StatusCode> {
    state.engine.retire_messaging_account(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Looks at an account's connection from end to end and says of each fault what to paste where: the server's address,
/// certificate, verify token and clock; the token, its permissions, number and business account, subscription, app
/// secret and webhook at Meta; token and webhook at Telegram. Nothing is changed.
#[utoipa::path(get, path = "/api/v1/messaging-accounts/{id}/doctor", tag = "Messaging accounts",
    security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Diagnosis>)))]
async fn diagnose_messaging_account(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<AccountId>,
) -> Result<axum::Json<Data<Diagnosis>>> {
    Ok(data(state.engine.diagnose_account(&caller, id).await?.into()))
}
