//! All routes, one file for each part of the API.

mod api_tokens;
mod apps;
mod auth;
mod billing;
mod categories;
mod channels;
mod contacts;
pub(crate) mod conversations;
pub(crate) mod docs;
mod embed;
mod embedded_signups;
mod events;
mod facilities;
mod facility_links;
mod group_members;
mod groups;
mod health;
mod held;
mod imports;
mod inbox;
mod media;
mod messages;
mod messaging_accounts;
mod notification_templates;
mod notifications;
mod oauth;
mod operations;
mod organisations;
mod outbound;
mod problems;
mod records;
mod services;
mod sites;
mod templates;
mod webhook_deliveries;
mod webhook_endpoints;
mod webhooks;
mod whatsapp_messages;
mod widgets;
mod work_updates;

use utoipa_axum::router::OpenApiRouter;

use crate::state::ApiState;

/// Every described route.
pub(crate) fn all() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(api_tokens::routes())
        .merge(apps::routes())
        .merge(auth::routes())
        .merge(billing::routes())
        .merge(categories::routes())
        .merge(channels::routes())
        .merge(contacts::routes())
        .merge(conversations::routes())
        .merge(embedded_signups::routes())
        .merge(embed::routes())
        .merge(events::routes())
        .merge(facilities::routes())
        .merge(facility_links::routes())
        .merge(group_members::routes())
        .merge(groups::routes())
        .merge(health::routes())
        .merge(held::routes())
        .merge(imports::routes())
        .merge(inbox::routes())
        .merge(media::routes())
        .merge(messages::routes())
        .merge(messaging_accounts::routes())
        .merge(notification_templates::routes())
        .merge(notifications::routes())
        .merge(oauth::routes())
        .merge(operations::routes())
        .merge(organisations::routes())
        .merge(outbound::routes())
        .merge(problems::routes())
        .merge(services::routes())
        .merge(sites::routes())
        .merge(webhook_deliveries::routes())
        .merge(webhook_endpoints::routes())
        .merge(templates::routes())
        .merge(webhooks::routes())
        .merge(whatsapp_messages::routes())
        .merge(widgets::routes())
        .merge(work_updates::routes())
}
