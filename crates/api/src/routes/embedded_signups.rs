//! Embedded signup: numbers connected through Meta's dialog.

use axum::extract::State;
use kabar_domain::signup::{SignupStatus, SignupStep, StepStatus};
use kabar_domain::{AccountId, ChannelId, SignupId, Timestamp};
use kabar_engine::signups::{NewSignup, ShownSignup, Step};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create_embedded_signup))
        .routes(routes!(list_embedded_signups))
        .routes(routes!(get_embedded_signup_config))
        .routes(routes!(get_embedded_signup))
        .routes(routes!(resume_embedded_signup))
}

#[derive(Serialize, ToSchema)]
struct EmbeddedSignup {
    #[schema(value_type = Ulid)]
    id: SignupId,
    /// `running`, `completed` or `failed`.
    #[schema(value_type = String, example = "completed")]
    status: SignupStatus,
    /// Null until the access token tells it, where the client did not.
    #[schema(example = "102290129340398")]
    waba_id: Option<String>,
    /// In the order they are taken.
    steps: Vec<EmbeddedSignupStep>,
    /// The numbers that are connected.
    #[schema(value_type = Vec<Ulid>)]
    messaging_account_ids: Vec<AccountId>,
    /// Their direct lines.
    #[schema(value_type = Vec<Ulid>)]
    channel_ids: Vec<ChannelId>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct EmbeddedSignupStep {
    /// `exchange_code`, `debug_token`, `subscribe_app`, `phone_numbers`, `register`, `sync_templates` or `sync_history`.
    #[schema(value_type = String, example = "register")]
    name: SignupStep,
    /// `pending`, `running`, `completed`, `skipped` (not needed here) or `failed`.
    #[schema(value_type = String, example = "failed")]
    status: StepStatus,
    /// What came of it.
    #[schema(example = "+1 555-0100: The two-step PIN is wrong (Meta's code 133005)")]
    detail: Option<String>,
    /// What a person should do about it.
    action: Option<String>,
    #[schema(value_type = Option<Time>)]
    ended_at: Option<Timestamp>,
}

impl From<Step> for EmbeddedSignupStep {
    fn from(step: Step) -> Self {
        let Step { name, status, detail, action, ended_at, .. } = step;
        Self { name, status, detail, action, ended_at }
    }
}

impl From<ShownSignup> for EmbeddedSignup {
    fn from(shown: ShownSignup) -> Self {
        Self {
            id: shown.row.id,
            status: shown.row.status,
            waba_id: shown.row.waba_id,
            steps: shown.steps.into_iter().map(Into::into).collect(),
            messaging_account_ids: shown.row.account_ids,
            channel_ids: shown.channel_ids,
            created_at: shown.row.created_at,
            updated_at: shown.row.updated_at,
        }
    }
}

/// What a page needs to open Meta's dialog.
#[derive(Serialize, ToSchema)]
struct EmbeddedSignupConfig {
    is_set_up: bool,
    app_id: Option<String>,
    /// Of Facebook Login for Business.
    config_id: Option<String>,
    #[schema(example = "v24.0")]
    graph_version: &'static str,
    /// The dialog, but for `redirect_uri` and `state`. Null when something is missing.
    dialog_url: Option<String>,
    /// What is missing, and how to set it.
    missing: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct CreateEmbeddedSignupRequest {
    /// The dialog's code: good for 30 seconds, and for one use.
    #[schema(value_type = String, required, max_length = 1024)]
    code: Option<String>,
    /// The business account that was connected. Required, unless `redirect_uri` is given: then the access token tells it.
    #[schema(value_type = String, required, max_length = 64)]
    waba_id: Option<String>,
    /// Connect this number alone; else all of the business account.
    #[schema(max_length = 64)]
    phone_number_id: Option<String>,
    /// The two-step PIN to register numbers with, 6 digits; else one is made.
    #[schema(format = Password)]
    pin: Option<String>,
    /// The address that the dialog led back to, where it was opened with one and not by Meta's script.
    #[schema(max_length = 2048)]
    redirect_uri: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct ResumeEmbeddedSignupRequest {
    /// The number's two-step PIN, 6 digits.
    #[schema(format = Password)]
    pin: Option<String>,
}

/// Connects the WhatsApp numbers of a business account with the code that Meta's dialog gave: exchanges the code,
/// checks the access token, subscribes to webhooks, makes a messaging account and a channel of each number, registers
/// the numbers, reads the templates, and has numbers that stay in the WhatsApp Business app hand over their history.
/// Waits for the steps up to 15 seconds; what is left goes on without the client (`status: running`). A failed step says
/// what to do. The same code again answers with the same signup.
#[utoipa::path(post, path = "/api/integrations/meta/embedded-signup", tag = "Embedded signup",
    security(("bearer" = ["admin"])),
    request_body = CreateEmbeddedSignupRequest,
    responses((status = 200, body = Data<EmbeddedSignup>)))]
async fn create_embedded_signup(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateEmbeddedSignupRequest>,
) -> Result<axum::Json<Data<EmbeddedSignup>>> {
    let new = NewSignup {
        code: request.code,
        waba_id: request.waba_id,
        phone_number_id: request.phone_number_id,
        pin: request.pin,
        redirect_uri: request.redirect_uri,
    };
    Ok(data(state.engine.create_embedded_signup(&caller, new).await?.into()))
}

/// Signups, the newest first.
#[utoipa::path(get, path = "/api/v1/embedded-signups", tag = "Embedded signup",
    security(("bearer" = ["read"])), params(PageQuery),
    responses((status = 200, body = List<EmbeddedSignup>)))]
async fn list_embedded_signups(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<EmbeddedSignup>>> {
    Ok(list(state.engine.list_embedded_signups(&caller, &page.request(25)?).await?))
}

/// What a page needs to open Meta's dialog.
#[utoipa::path(get, path = "/api/v1/embedded-signups/config", tag = "Embedded signup",
    security(("bearer" = ["read"])),
    responses((status = 200, body = Data<EmbeddedSignupConfig>)))]
async fn get_embedded_signup_config(
    State(state): State<ApiState>,
    Auth(caller): Auth,
) -> Result<axum::Json<Data<EmbeddedSignupConfig>>> {
    let config = state.engine.embedded_signup_config(&caller)?;
    Ok(data(EmbeddedSignupConfig {
        is_set_up: config.is_set_up,
        app_id: config.app_id,
        config_id: config.config_id,
        graph_version: config.graph_version,
        dialog_url: config.dialog_url,
        missing: config.missing,
    }))
}

/// One signup.
#[utoipa::path(get, path = "/api/v1/embedded-signups/{id}", tag = "Embedded signup",
    security(("bearer" = ["read"])),
    params(("id" = Ulid, Path)), responses((status = 200, body = Data<EmbeddedSignup>)))]
async fn get_embedded_signup(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<SignupId>,
) -> Result<axum::Json<Data<EmbeddedSignup>>> {
    Ok(data(state.engine.get_embedded_signup(&caller, id).await?.into()))
}

/// Goes on at the step that failed. Where the access token was not got, the signup has to be started again (409).
#[utoipa::path(post, path = "/api/v1/embedded-signups/{id}/resume", tag = "Embedded signup",
    security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)), request_body = ResumeEmbeddedSignupRequest,
    responses((status = 200, body = Data<EmbeddedSignup>)))]
async fn resume_embedded_signup(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<SignupId>,
    Json(request): Json<ResumeEmbeddedSignupRequest>,
) -> Result<axum::Json<Data<EmbeddedSignup>>> {
    Ok(data(state.engine.resume_embedded_signup(&caller, id, request.pin).await?.into()))
}
