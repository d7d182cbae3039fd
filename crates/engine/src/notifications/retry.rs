//! Trying legs again that failed.

use kabar_domain::job::JobKind;
use kabar_domain::message::MessageStatus;
use kabar_domain::{Ability, JobId, NotificationId};
use kabar_store::jobs::{self, NewJob};
use kabar_store::notifications;

use super::{Leg, Notification, leg_event, not_found};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

impl Engine {
    /// Queues failed legs again: all of them, or those that are named. An uncertain leg may be named too, by a
    /// person who knows that it did not arrive.
    pub async fn retry_notification(
        &self,
        principal: &Principal,
        id: NotificationId,
        named: Option<Vec<String>>,
    ) -> Result<Notification> {
        principal.require(Ability::Send)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let before = notifications::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        for leg in chosen(&before, named)? {
            if let Some(message) = leg.message_id {
                self.requeue_message(&mut tx, organisation, message).await?;
                continue;
            }
            if !notifications::requeue(&mut tx, organisation, leg.id, leg.status).await? {
                continue;
            }
            let job = NewJob {
                organisation_id: organisation,
                id: JobId::new(&self.clock),
                kind: JobKind::NotifyLeg,
                subject_id: leg.id.uuid(),
                data: None,
                due_at: now,
            };
            jobs::enqueue(&mut tx, job, now).await?;
            tx.record(organisation, now, [leg_event(id, leg.id, leg.channel, MessageStatus::Queued)]);
        }
        let after = notifications::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        self.outbound_ready.notify_one();
        Ok(after)
    }
}

fn chosen(notification: &Notification, named: Option<Vec<String>>) -> Result<Vec<&Leg>> {
    let Some(named) = named else {
        let failed: Vec<_> =
            notification.legs.iter().filter(|leg| leg.status == MessageStatus::Failed).collect();
        if failed.is_empty() {
            return Err(Error::Conflict("No leg of this notification has failed.".into()));
        }
        return Ok(failed);
    };
    let mut invalid = Invalid::default();
    let mut legs: Vec<&Leg> = Vec::new();
    for (at, name) in named.iter().enumerate() {
        let leg = notification.legs.iter().find(|leg| leg.id.to_string().eq_ignore_ascii_case(name.trim()));
        match leg {
            Some(leg) if matches!(leg.status, MessageStatus::Failed | MessageStatus::Uncertain) => {
                if !legs.iter().any(|other| other.id == leg.id) {
                    legs.push(leg);
                }
            }
            Some(leg) => {
                let message =
                    format!("This leg is {}: only failed and uncertain ones can be retried.", leg.status);
                invalid.add(&format!("legs.{at}"), message);
            }
            None => invalid.add(&format!("legs.{at}"), "The notification has no such leg."),
        }
    }
    invalid.check()?;
    Ok(legs)
}
