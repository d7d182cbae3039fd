//! Making, changing, submitting and removing templates.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::TemplateId;
use kabar_engine::patch::Patch;
use kabar_engine::templates::{NewTemplate, TemplateFields};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Template;
use crate::data::{Data, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create_template))
        .routes(routes!(update_template, delete_template))
        .routes(routes!(submit_template))
}

#[derive(Deserialize, ToSchema)]
struct CreateTemplateRequest {
    /// Whose WhatsApp business account it belongs to; the default account's unless given.
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
    /// Lower-case letters, digits and underscores.
    #[schema(value_type = String, required, max_length = 512, example = "order_ready")]
    name: Option<String>,
    #[schema(value_type = String, required, example = "ar")]
    language: Option<String>,
    /// `UTILITY`, `MARKETING` or `AUTHENTICATION`.
    #[schema(value_type = String, required, example = "UTILITY")]
    category: Option<String>,
    /// `POSITIONAL`, with variables as `{{1}}`, unless `NAMED` is given, with variables as `{{order_id}}`.
    parameter_format: Option<String>,
    /// In Meta's form, with an example of every variable. A header with a file, of a card too, needs a sample:
    /// `example.media_id`, a file of the media library, which Meta is given when the template is submitted, or
    /// `example.header_handle`, a handle of Meta's Resumable Upload API.
    #[schema(value_type = Vec<Object>, required, example = json!([{"type": "BODY", "text": "Order {{1}} is ready.",
        "example": {"body_text": [["12345"]]}}]))]
    components: Option<Value>,
    /// Seconds for which Meta tries to deliver it.
    message_send_ttl_seconds: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateTemplateRequest {
    /// Of a draft only, as are `language` and `parameter_format`.
    name: Option<String>,
    language: Option<String>,
    category: Option<String>,
    parameter_format: Option<String>,
    /// All of them, in Meta's form.
    #[schema(value_type = Option<Vec<Object>>)]
    components: Option<Value>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    message_send_ttl_seconds: Patch<i64>,
}

/// Keeps a draft of a template; it is not given to Meta yet.
///
/// It is checked by Meta's rules at once: what does not fit is a 422 that names the place, as `components.0.text`.
#[utoipa::path(post, path = "/api/v1/templates", tag = "Templates",
    security(("bearer" = ["write"])), request_body = CreateTemplateRequest,
    responses((status = 201, body = Data<Template>)))]
async fn create_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateTemplateRequest>,
) -> Result<impl IntoResponse> {
    let fields = TemplateFields {
        name: request.name,
        language: request.language,
        category: request.category,
        parameter_format: request.parameter_format,
        components: request.components,
        ttl_seconds: Patch::Set(request.message_send_ttl_seconds),
    };
    let new = NewTemplate { channel_id: request.channel_id, fields };
    Ok(created(Template::from(state.engine.create_template(&caller, new).await?)))
}

/// Changes a draft, or has Meta change a template that is approved, rejected or paused.
///
/// What is left out stays. Meta reviews what it changes, and takes few changes of an approved template: one in 24
/// hours, ten in 30 days. Templates in other states are a 409.
#[utoipa::path(patch, path = "/api/v1/templates/{id}", tag = "Templates",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = UpdateTemplateRequest, responses((status = 200, body = Data<Template>)))]
async fn update_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<TemplateId>,
    Json(request): Json<UpdateTemplateRequest>,
) -> Result<axum::Json<Data<Template>>> {
    let change = TemplateFields {
        name: request.name,
        language: request.language,
        category: request.category,
        parameter_format: request.parameter_format,
        components: request.components,
        ttl_seconds: request.message_send_ttl_seconds,
    };
    Ok(data(state.engine.update_template(&caller, id, change).await?.into()))
}

/// Removes a draft, or has Meta remove the template in this language.
///
/// Meta keeps the name of one that was approved for 30 days.
#[utoipa::path(delete, path = "/api/v1/templates/{id}", tag = "Templates",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 204)))]
async fn delete_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<TemplateId>,
) -> Result<StatusCode> {
    state.engine.delete_template(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a draft to Meta for review.
///
/// What Meta refuses is a 422 with its reason, and stays a draft. When its answer is lost this is a 503: within about a
/// minute Kabar finds out whether Meta has the template, and until then submitting it again is a 409.
#[utoipa::path(post, path = "/api/v1/templates/{id}/submit", tag = "Templates",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Template>)))]
async fn submit_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<TemplateId>,
) -> Result<axum::Json<Data<Template>>> {
    Ok(data(state.engine.submit_template(&caller, id).await?.into()))
}
