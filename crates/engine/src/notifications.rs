//! Notifications: one text to many people over WhatsApp, Telegram, e-mail and SMS, each on a leg of its own.

mod deliver;
mod plan;
mod render;
mod retry;
mod send;
mod templates;

use kabar_domain::message::MessageStatus;
use kabar_domain::notification::NotificationChannel;
use kabar_domain::{Ability, NotificationId, NotificationLegId};
use kabar_store::events::NewEvent;
use kabar_store::{Window, notifications};
use serde_json::json;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::page::{Page, PageRequest};

pub use kabar_store::notification_templates::Template;
pub use kabar_store::notifications::{Leg, Notification};
pub use send::SendNotification;
pub use templates::{NewTemplate, TemplateChange};

/// Characters of a notification's text, and of its subject.
const TEXT: usize = 100_000;
const SUBJECT: usize = 255;

const fn not_found() -> Error {
    Error::NotFound("Notification")
}

/// A leg stands otherwise now.
fn leg_event(
    notification: NotificationId,
    leg: NotificationLegId,
    channel: NotificationChannel,
    status: MessageStatus,
) -> NewEvent {
    NewEvent {
        kind: "notification.leg",
        subject_id: Some(notification.uuid()),
        data: Some(json!({ "leg_id": leg, "channel": channel, "status": status }).to_string()),
    }
}

impl Engine {
    /// Newest first.
    pub async fn list_notifications(
        &self,
        principal: &Principal,
        page: &PageRequest,
    ) -> Result<Page<Notification>> {
        principal.require(Ability::Read)?;
        let window = Window {
            after: page.after()?.map(|place| NotificationId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let mut db = self.store.reader().await?;
        let total = notifications::count(&mut db, principal.organisation_id).await?;
        let rows = notifications::list(&mut db, principal.organisation_id, window).await?;
        Ok(page.page_of(rows, total, |one| one.id.uuid().into()))
    }

    pub async fn get_notification(&self, principal: &Principal, id: NotificationId) -> Result<Notification> {
        principal.require(Ability::Read)?;
        let mut db = self.store.reader().await?;
        notifications::find(&mut db, principal.organisation_id, id).await?.ok_or_else(not_found)
    }
}

/// A leg that nobody has attempted yet.
const fn queued(id: NotificationLegId, channel: NotificationChannel, recipient: String) -> Leg {
    Leg {
        id,
        channel,
        recipient,
        status: MessageStatus::Queued,
        message_id: None,
        provider_id: None,
        error: None,
        attempts: 0,
        retry_at: None,
        sent_at: None,
        delivered_at: None,
        failed_at: None,
    }
}
