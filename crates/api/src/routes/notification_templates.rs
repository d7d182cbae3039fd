//! The organisation's own texts for notifications.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use kabar_domain::{NotificationTemplateId, Timestamp};
use kabar_engine::notifications::{NewTemplate, Template, TemplateChange};
use kabar_engine::patch::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_notification_templates, create_notification_template)).routes(
        routes!(get_notification_template, update_notification_template, delete_notification_template),
    )
}

#[derive(Serialize, ToSchema)]
struct NotificationTemplate {
    #[schema(value_type = Ulid)]
    id: NotificationTemplateId,
    /// What `template` of a notification names.
    #[schema(example = "pump-stopped")]
    name: String,
    subject: Option<String>,
    #[schema(example = "Pump {{pump}} has stopped.")]
    text: String,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<Template> for NotificationTemplate {
    fn from(template: Template) -> Self {
        Self {
            id: template.id,
            name: template.name,
            subject: template.subject,
            text: template.text,
            created_at: template.created_at,
            updated_at: template.updated_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct CreateNotificationTemplateRequest {
    /// Unique in the organisation.
    #[schema(value_type = String, required, max_length = 100)]
    name: Option<String>,
    /// Of e-mails.
    #[schema(max_length = 255)]
    subject: Option<String>,
    /// With variables as `{{name}}`, in the subject too.
    #[schema(value_type = String, required, example = "Pump {{pump}} has stopped.")]
    text: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct UpdateNotificationTemplateRequest {
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 100)]
    name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    subject: Patch<String>,
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    text: Patch<String>,
}

/// Notification templates, in the order they were made.
#[utoipa::path(get, path = "/api/v1/notification-templates", tag = "Notifications",
    security(("bearer" = ["read"])), params(PageQuery),
    responses((status = 200, body = List<NotificationTemplate>)))]
async fn list_notification_templates(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<NotificationTemplate>>> {
    Ok(list(state.engine.list_notification_templates(&caller, &page.request(25)?).await?))
}

/// Makes a notification template.
#[utoipa::path(post, path = "/api/v1/notification-templates", tag = "Notifications", security(("bearer" = ["write"])),
    request_body = CreateNotificationTemplateRequest, responses((status = 201, body = Data<NotificationTemplate>)))]
async fn create_notification_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateNotificationTemplateRequest>,
) -> Result<impl IntoResponse> {
    let new = NewTemplate { name: request.name, subject: request.subject, text: request.text };
    let template = state.engine.create_notification_template(&caller, new).await?;
    Ok(created(NotificationTemplate::from(template)))
}

/// One notification template.
#[utoipa::path(get, path = "/api/v1/notification-templates/{id}", tag = "Notifications",
    security(("bearer" = ["read"])),
    params(("id" = Ulid, Path)), responses((status = 200, body = Data<NotificationTemplate>)))]
async fn get_notification_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<NotificationTemplateId>,
) -> Result<axum::Json<Data<NotificationTemplate>>> {
    Ok(data(state.engine.get_notification_template(&caller, id).await?.into()))
}

/// Changes what is sent; what is not sent stays. Notifications made from it before stay as they are.
#[utoipa::path(put, path = "/api/v1/notification-templates/{id}", tag = "Notifications",
    security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), request_body = UpdateNotificationTemplateRequest,
    responses((status = 200, body = Data<NotificationTemplate>)))]
async fn update_notification_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<NotificationTemplateId>,
    Json(request): Json<UpdateNotificationTemplateRequest>,
) -> Result<axum::Json<Data<NotificationTemplate>>> {
    let change = TemplateChange { name: request.name, subject: request.subject, text: request.text };
    Ok(data(state.engine.update_notification_template(&caller, id, change).await?.into()))
}

/// Deletes a notification template.
#[utoipa::path(delete, path = "/api/v1/notification-templates/{id}", tag = "Notifications",
    security(("bearer" = ["write"])),
    params(("id" = Ulid, Path)), responses((status = 204)))]
async fn delete_notification_template(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<NotificationTemplateId>,
) -> Result<StatusCode> {
    state.engine.delete_notification_template(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
