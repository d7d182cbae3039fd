//! Templates: the messages that WhatsApp lets a business send first.

mod manage;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::{ChannelId, TemplateId, Timestamp};
use kabar_engine::messages::SendMessage;
use kabar_engine::templates::{self, Shown, TemplateMessage, TemplateQuery, Values};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::MessageResource;
use crate::data::{Data, List, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(manage::routes())
        .routes(routes!(list_templates))
        .routes(routes!(get_template))
        .routes(routes!(preview_template))
        .routes(routes!(sync_templates))
        .routes(routes!(send_template))
}

/// A button that takes a value.
#[derive(Serialize, ToSchema)]
struct TemplateButtonVariable {
    /// The button's place among all of the template's, from 0.
    index: usize,
    #[serde(rename = "type")]
    #[schema(example = "URL")]
    kind: String,
    text: String,
    /// What to give in `buttons`: `payload`, `url_suffix`, `code`, `flow` or `action`.
    #[schema(example = "url_suffix")]
    wants: &'static str,
    required: bool,
}

/// What a sender fills in.
#[derive(Serialize, ToSchema)]
struct TemplateVariables {
    /// What `header` takes: `text`, `image`, `video`, `document`, `location` or `product`; null when nothing.
    header: Option<String>,
    header_variables: Vec<String>,
    /// The names (of positional ones the numbers) that `variables` fills, in order.
    #[schema(example = json!(["1", "2"]))]
    body: Vec<String>,
    buttons: Vec<TemplateButtonVariable>,
    /// Of a carousel's cards, in order.
    #[schema(no_recursion)]
    cards: Vec<Self>,
    /// `limited_time_offer.expires_at` must be given.
    limited_time_offer: bool,
}

impl From<templates::Variables> for TemplateVariables {
    fn from(variables: templates::Variables) -> Self {
        Self {
            header: variables.header,
            header_variables: variables.header_variables,
            body: variables.body,
            buttons: variables
                .buttons
                .into_iter()
                .map(|button| TemplateButtonVariable {
                    index: button.index,
                    kind: button.kind,
                    text: button.text,
                    wants: button.wants,
                    required: button.required,
                })
                .collect(),
            cards: variables.cards.into_iter().map(Self::from).collect(),
            limited_time_offer: variables.limited_time_offer,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Template {
    #[schema(value_type = Ulid)]
    id: TemplateId,
    #[schema(example = "order_ready")]
    name: String,
    #[schema(example = "ar")]
    language: String,
    /// `DRAFT`, or as Meta names it: `PENDING`, `APPROVED`, `REJECTED`, `PAUSED`, `DISABLED`, …
    #[schema(example = "APPROVED")]
    status: String,
    /// `UTILITY`, `MARKETING` or `AUTHENTICATION`.
    #[schema(example = "UTILITY")]
    category: Option<String>,
    /// What it was before Meta changed it.
    previous_category: Option<String>,
    /// `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    quality: Option<String>,
    /// Why it was rejected or paused, or what Meta announces about it.
    reason: Option<String>,
    /// `POSITIONAL` or `NAMED`.
    parameter_format: Option<String>,
    /// In Meta's form. Null until they are read from Meta.
    #[schema(value_type = Option<Vec<Object>>)]
    components: Option<Value>,
    variables: TemplateVariables,
    /// Seconds for which Meta tries to deliver it, where that is not its default.
    message_send_ttl_seconds: Option<i64>,
    /// Meta's id; a draft has none.
    provider_id: Option<String>,
    waba_id: String,
    /// Where it can be sent from.
    #[schema(value_type = Vec<Ulid>)]
    channel_ids: Vec<ChannelId>,
    #[schema(value_type = Option<Time>)]
    submitted_at: Option<Timestamp>,
    /// When the business account's templates were last read from Meta.
    #[schema(value_type = Option<Time>)]
    synced_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    deleted_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<Shown> for Template {
    fn from(shown: Shown) -> Self {
        let row = shown.row;
        Self {
            id: row.id,
            name: row.name,
            language: row.language,
            status: row.status,
            category: row.category,
            previous_category: row.previous_category,
            quality: row.quality,
            reason: row.reason,
            parameter_format: row.parameter_format,
            components: row.components,
            variables: shown.variables.into(),
            message_send_ttl_seconds: row.ttl_seconds,
            provider_id: row.provider_id,
            waba_id: row.waba_id,
            channel_ids: shown.channel_ids,
            submitted_at: row.submitted_at,
            synced_at: row.synced_at,
            deleted_at: row.deleted_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListTemplatesQuery {
    /// `DRAFT`, `PENDING`, `APPROVED`, `REJECTED`, `PAUSED`, `DISABLED`, …; `DELETED` lists those that are gone.
    #[param(example = "APPROVED")]
    status: Option<String>,
    #[param(example = "ar")]
    language: Option<String>,
    #[param(example = "UTILITY")]
    category: Option<String>,
    /// The whole name.
    name: Option<String>,
    /// Part of the name or the body.
    search: Option<String>,
    /// Those that can be sent over this channel.
    #[param(value_type = Option<Ulid>)]
    channel_id: Option<String>,
}

/// The organisation's templates, newest first.
#[utoipa::path(get, path = "/api/v1/templates", tag = "Templates",
    security(("bearer" = ["read"])), params(ListTemplatesQuery, PageQuery),
    responses((status = 200, body = List<Template>)))]
async fn list_templates(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListTemplatesQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Template>>> {
    let query = TemplateQuery {
        status: query.status,
        language: query.language,
        category: query.category,
        name: query.name,
        search: query.search,
        channel_id: query.channel_id,
    };
    Ok(list(state.engine.list_templates(&caller, query, &page.request(25)?).await?))
}

/// One template.
#[utoipa::path(get, path = "/api/v1/templates/{id}", tag = "Templates",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Template>)))]
async fn get_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<TemplateId>,
) -> Result<axum::Json<Data<Template>>> {
    Ok(data(state.engine.get_template(&caller, id).await?.into()))
}

#[derive(Serialize, ToSchema)]
struct RenderedButton {
    #[serde(rename = "type")]
    #[schema(example = "URL")]
    kind: String,
    text: String,
    url: Option<String>,
    phone_number: Option<String>,
}

/// A template, or a carousel's card, as its recipient reads it.
#[derive(Serialize, ToSchema)]
struct RenderedTemplate {
    /// Its parts together.
    text: String,
    header: Option<String>,
    body: Option<String>,
    footer: Option<String>,
    buttons: Vec<RenderedButton>,
    #[schema(no_recursion)]
    cards: Vec<Self>,
}

impl From<templates::Rendered> for RenderedTemplate {
    fn from(rendered: templates::Rendered) -> Self {
        Self {
            text: rendered.text(),
            header: rendered.header,
            body: rendered.body,
            footer: rendered.footer,
            buttons: rendered
                .buttons
                .into_iter()
                .map(|button| RenderedButton {
                    kind: button.kind,
                    text: button.text,
                    url: button.url,
                    phone_number: button.phone_number,
                })
                .collect(),
            cards: rendered.cards.into_iter().map(Self::from).collect(),
        }
    }
}

/// How a template reads with these values; with its own samples where none are given.
#[utoipa::path(post, path = "/api/v1/templates/{id}/preview", tag = "Templates",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = TemplateValues, responses((status = 200, body = Data<RenderedTemplate>)))]
async fn preview_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<TemplateId>,
    Json(values): Json<TemplateValues>,
) -> Result<axum::Json<Data<RenderedTemplate>>> {
    Ok(data(state.engine.preview_template(&caller, id, values.into()).await?.into()))
}

#[derive(Deserialize, ToSchema)]
struct SyncTemplatesRequest {
    /// Only this channel's business account; else all of the organisation's.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
}

/// A reading of a business account's templates.
#[derive(Serialize, ToSchema)]
struct TemplateSync {
    waba_id: String,
    /// When it was asked for.
    #[schema(value_type = Time)]
    asked_at: Timestamp,
    /// When the last one ended well.
    #[schema(value_type = Option<Time>)]
    synced_at: Option<Timestamp>,
    /// Why the last one failed, if it did.
    error: Option<String>,
}

/// Has the templates read from Meta now, in the background.
///
/// That also happens when a number is connected, when Meta reports a change, and every hour.
#[utoipa::path(post, path = "/api/v1/templates/sync", tag = "Templates",
    security(("bearer" = ["write"])), request_body = SyncTemplatesRequest,
    responses((status = 202, body = Data<Vec<TemplateSync>>)))]
async fn sync_templates(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<SyncTemplatesRequest>,
) -> Result<impl IntoResponse> {
    let request = templates::SyncRequest { channel_id: request.channel_id };
    let asked = state.engine.sync_templates(&caller, request).await?;
    let syncs: Vec<TemplateSync> = asked
        .into_iter()
        .map(|sync| TemplateSync {
            waba_id: sync.waba_id,
            asked_at: sync.asked_at,
            synced_at: sync.synced_at,
            error: sync.error,
        })
        .collect();
    Ok((StatusCode::ACCEPTED, data(syncs)))
}

/// A template to send, by `channel_id` and `wa_id`, or into a conversation.
#[derive(Deserialize, ToSchema)]
struct SendTemplateRequest {
    #[schema(value_type = String, required, example = "01HZK7P5R3Q6V0YH4XJ3M8CHN1")]
    channel_id: Option<String>,
    /// Destination: a number in international form without `+`.
    #[schema(value_type = String, required, example = "966500000000")]
    wa_id: Option<String>,
    /// An existing conversation; `channel_id` and `wa_id` are then not needed.
    #[schema(value_type = Option<Ulid>)]
    conversation_id: Option<String>,
    /// As registered with Meta.
    #[schema(value_type = String, required, example = "order_ready")]
    template_name: Option<String>,
    /// Defaults to the template's primary language.
    #[schema(example = "ar")]
    language: Option<String>,
    #[serde(flatten)]
    values: TemplateValues,
}

/// Which template to send, and what fills it in.
#[derive(Deserialize, ToSchema)]
pub(super) struct TemplateRequest {
    /// As registered with Meta.
    #[schema(value_type = String, required, example = "order_ready")]
    name: Option<String>,
    /// Defaults to the template's primary language.
    #[schema(value_type = Option<String>, example = "ar")]
    language: Option<Language>,
    #[serde(flatten)]
    values: TemplateValues,
}

/// A code, or Meta's object with one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Language {
    Code(String),
    Object { code: String },
}

impl From<TemplateRequest> for TemplateMessage {
    fn from(request: TemplateRequest) -> Self {
        let language = request.language.map(|language| match language {
            Language::Code(code) | Language::Object { code } => code,
        });
        Self { name: request.name, language, values: request.values.into() }
    }
}

/// What fills a template's places.
#[derive(Deserialize, ToSchema)]
pub(super) struct TemplateValues {
    /// Of the body: a list, whose first value is `{{1}}` (or the first name), or an object by name.
    #[schema(value_type = Option<Vec<String>>, example = json!(["12345", "120 SAR"]))]
    variables: Option<Value>,
    /// The header's text variable, its file (`{"link"}`, Meta's `{"id"}` or `{"media_id"}`, perhaps `filename`), or its
    /// place (`{"latitude", "longitude", "name", "address"}`).
    #[schema(value_type = Option<Object>)]
    header: Option<Value>,
    /// One value for each button in order (null for none), or objects with an `index`: `payload` of a quick reply,
    /// `url_suffix` of an address, `code` to copy, `flow_token` and `flow_action_data` of a form.
    #[schema(value_type = Option<Vec<Object>>)]
    buttons: Option<Value>,
    /// `variables`, `header` and `buttons` of each card of a carousel.
    #[schema(value_type = Option<Vec<Object>>)]
    cards: Option<Value>,
    /// `{"expires_at"}` of an offer that ends.
    #[schema(value_type = Option<Object>)]
    limited_time_offer: Option<Value>,
}

impl From<TemplateValues> for Values {
    fn from(values: TemplateValues) -> Self {
        Self {
            variables: values.variables,
            header: values.header,
            buttons: values.buttons,
            cards: values.cards,
            limited_time_offer: values.limited_time_offer,
        }
    }
}

/// Queues an approved template for a person, inside or outside the 24-hour window.
///
/// Values that do not fit the template are a 422 that says what it wants. The answer is the message, `queued`, with
/// the text as its recipient will read it.
#[utoipa::path(post, path = "/api/v1/templates/send", tag = "Templates",
    security(("bearer" = ["send"])), request_body = SendTemplateRequest,
    responses((status = 200, body = Data<MessageResource>)))]
async fn send_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<SendTemplateRequest>,
) -> Result<axum::Json<Data<MessageResource>>> {
    let message = SendMessage {
        channel_id: request.channel_id,
        conversation_id: request.conversation_id,
        wa_id: request.wa_id,
        kind: Some("template".to_owned()),
        template: Some(TemplateMessage {
            name: request.template_name,
            language: request.language,
            values: request.values.into(),
        }),
        ..SendMessage::default()
    };
    Ok(data(state.engine.send_message(&caller, message).await?.into()))
}
