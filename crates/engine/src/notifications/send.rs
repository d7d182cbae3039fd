//! Sending a notification: every leg is checked before any is queued.

use std::collections::BTreeMap;

use kabar_domain::channel::ChannelKind;
use kabar_domain::job::JobKind;
use kabar_domain::message::{MessageStatus, ProviderError};
use kabar_domain::notification::NotificationChannel;
use kabar_domain::outbound::SendPriority;
use kabar_domain::{Ability, JobId, NotificationId, NotificationLegId, OrganisationId, UserId};
use kabar_providers::sms;
use kabar_store::events::NewEvent;
use kabar_store::jobs::{self, NewJob};
use kabar_store::{Tx, notification_templates, notifications};
use serde_json::{Map, Value as Json, json};

use super::plan::Planned;
use super::render::Renderer;
use super::{Notification, SUBJECT, TEXT, leg_event, queued};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::messages::SendMessage;
use crate::rules;
use crate::templates::TemplateMessage;

/// A notification as a client gave it.
#[derive(Clone, Debug, Default)]
pub struct SendNotification {
    /// `whatsapp`, `telegram`, `email`, `sms`.
    pub channels: Vec<String>,
    /// By channel; those that are not asked for get nothing.
    pub to: BTreeMap<String, Vec<String>>,
    /// Of e-mails; else the text's first line.
    pub subject: Option<String>,
    /// Required without a template, whose text it replaces.
    pub text: Option<String>,
    /// A notification template's name.
    pub template: Option<String>,
    pub variables: Option<Map<String, Json>>,
    /// Our channel that WhatsApp or Telegram legs go over, and of a group the leg itself; else the direct line of the
    /// organisation's default account, or of its oldest one.
    pub channel_id: Option<String>,
    /// What goes out over WhatsApp instead of the text when the person has not written for 24 hours.
    pub whatsapp_template: Option<TemplateMessage>,
}

impl Engine {
    /// Queues a notification: all of its legs, or, when one cannot be right, none. Those of a channel that is
    /// not set up fail at once.
    pub async fn send_notification(
        &self,
        principal: &Principal,
        request: SendNotification,
    ) -> Result<Notification> {
        principal.require(Ability::Send)?;
        let mut tx = self.store.begin().await?;
        let notification =
            self.queue_notification(&mut tx, principal.organisation_id, principal.user_id, request).await?;
        tx.commit().await?;
        self.is_queued(&notification);
        Ok(notification)
    }

    /// Has a notification sent that is committed.
    pub(crate) fn is_queued(&self, notification: &Notification) {
        for leg in notification.legs.iter().filter(|leg| leg.message_id.is_some()) {
            self.metrics.leg_attempted(leg.channel, leg.status.as_str());
        }
        self.jobs_ready.notify_waiters();
        self.outbound_ready.notify_one();
    }

    /// The same in the transaction of what the notification is about. An `Invalid` that is not of a leg over WhatsApp or
    /// Telegram has written nothing.
    pub(crate) async fn queue_notification(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        user: UserId,
        request: SendNotification,
    ) -> Result<Notification> {
        let mut invalid = Invalid::default();
        let planned = self.plan(tx, &mut invalid, organisation, &request).await?;
        let template = match request.template.as_deref().filter(|name| !name.trim().is_empty()) {
            None => None,
            Some(name) => {
                let found = notification_templates::by_name(tx, organisation, name.trim()).await?;
                if found.is_none() {
                    rules::selected(&mut invalid, "template");
                }
                Some((name.trim().to_owned(), found))
            }
        };
        let (name, template) = template.unzip();
        let template = template.flatten();
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let text = filled(request.text).or_else(|| template.as_ref().map(|template| template.text.clone()));
        let subject = filled(request.subject).or_else(|| template.and_then(|template| template.subject));
        let mut renderer = Renderer::new(request.variables.as_ref());
        let subject = subject.map(|subject| renderer.render(&mut invalid, "subject", &subject));
        let text = text.map(|text| renderer.render(&mut invalid, "text", &text));
        if text.is_some() {
            renderer.finish(&mut invalid);
        } else if name.is_none() {
            invalid.add("text", "The text field is required when template is not present.");
        }
        let text = text.unwrap_or_default();
        check_texts(&mut invalid, &planned, subject.as_deref(), &text);
        invalid.check()?;

        let now = self.clock.now();
        let mut legs = Vec::with_capacity(planned.len());
        for leg in planned {
            let id = NotificationLegId::new(&self.clock);
            let mut queued = queued(id, leg.channel, leg.recipient.clone());
            if let Some(reason) = leg.refused {
                queued.status = MessageStatus::Failed;
                queued.failed_at = Some(now);
                let action = Some("Set the channel up, then send it again.".to_owned());
                queued.error = Some(ProviderError { title: reason, action, ..ProviderError::default() });
            } else if let Some(line) = leg.line {
                let message = SendMessage {
                    channel_id: Some(line.id.to_string()),
                    wa_id: (line.kind == ChannelKind::Direct).then_some(leg.recipient),
                    body: Some(text.clone()),
                    fallback_template: request.whatsapp_template.clone(),
                    // One leg that cannot be sent is not to keep the others back.
                    despite_window: true,
                    priority: Some(SendPriority::Normal.to_string()),
                    ..SendMessage::default()
                };
                let carried = Box::pin(self.queue_message(tx, organisation, Some(user), message)).await;
                queued.message_id = Some(carried.map_err(|error| of_leg(error, leg.channel))?);
            } else {
                let job = NewJob {
                    organisation_id: organisation,
                    id: JobId::new(&self.clock),
                    kind: JobKind::NotifyLeg,
                    subject_id: id.uuid(),
                    data: None,
                    due_at: now,
                };
                jobs::enqueue(tx, job, now).await?;
            }
            legs.push(queued);
        }
        let notification = Notification {
            id: NotificationId::new(&self.clock),
            user_id: user,
            subject,
            text,
            template: name,
            created_at: now,
            legs,
        };
        notifications::insert(tx, organisation, &notification).await?;
        let channels: Vec<_> = notification.legs.iter().map(|leg| leg.channel).collect();
        let event = NewEvent {
            kind: "notification.queued",
            subject_id: Some(notification.id.uuid()),
            data: Some(json!({ "channels": channels }).to_string()),
        };
        tx.record(organisation, now, [event]);
        let failed = notification.legs.iter().filter(|leg| leg.status == MessageStatus::Failed);
        tx.record(
            organisation,
            now,
            failed.map(|leg| leg_event(notification.id, leg.id, leg.channel, leg.status)),
        );
        Ok(notification)
    }
}

/// What is wrong with a leg's message, in the fields of a notification.
fn of_leg(error: Error, channel: NotificationChannel) -> Error {
    let Error::Invalid(invalid) = error else { return error };
    let mut named = Invalid::default();
    for (field, messages) in invalid.errors {
        let field = match field.as_str() {
            "body" => "text".to_owned(),
            "wa_id" => format!("to.{channel}"),
            _ => match field.strip_prefix("fallback_template") {
                Some(part) => format!("whatsapp_template{part}"),
                None => field,
            },
        };
        for message in messages {
            named.add(&field, message);
        }
    }
    Error::Invalid(named)
}

fn check_texts(invalid: &mut Invalid, planned: &[Planned], subject: Option<&str>, text: &str) {
    rules::text(invalid, "text", text, TEXT);
    if let Some(subject) = subject {
        rules::text(invalid, "subject", subject, SUBJECT);
        if subject.chars().any(char::is_control) {
            invalid.add("subject", "The subject field must be a single line.");
        }
    }
    let is_sms = planned.iter().any(|leg| leg.channel == NotificationChannel::Sms);
    if is_sms && text.chars().nth(sms::LONGEST).is_some() {
        let longest = sms::LONGEST;
        invalid.add("text", format!("The text field must not be greater than {longest} characters for sms."));
    }
}
