//! All routes, one file for each part of the API.

mod auth;
mod channels;
mod contacts;
pub(crate) mod conversations;
pub(crate) mod docs;
mod events;
mod health;
mod held;
mod inbox;
mod messages;
mod messaging_accounts;
mod notification_templates;
mod notifications;
mod organisations;
mod outbound;
mod webhooks;

use utoipa_axum::router::OpenApiRouter;

use crate::state::ApiState;

/// Every described route.
pub(crate) fn all() -> OpenApiRouter<ApiState> {
    [
        auth::routes(),
        channels::routes(),
        contacts::routes(),
        conversations::routes(),
        events::routes(),
        health::routes(),
        held::routes(),
        inbox::routes(),
        messages::routes(),
        messaging_accounts::routes(),
        notification_templates::routes(),
        notifications::routes(),
        organisations::routes(),
        outbound::routes(),
        webhooks::routes(),
    ]
    .into_iter()
    .fold(OpenApiRouter::new(), OpenApiRouter::merge)
}
