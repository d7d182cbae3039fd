//! Sending a notification: every leg is checked before any is queued.

use std::collections::BTreeMap;

use kabar_domain::job::JobKind;
use kabar_domain::notification::NotificationChannel;
use kabar_domain::{Ability, JobId, NotificationId, NotificationLegId};
use kabar_providers::{sms, smtp};
use kabar_store::events::NewEvent;
use kabar_store::jobs::{self, NewJob};
use kabar_store::{notification_templates, notifications};
use serde_json::{Map, Value as Json, json};

use super::render::Renderer;
use super::{Notification, SUBJECT, TEXT, queued};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::rules;

/// Legs of one notification.
const LEGS: usize = 100;

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
}

/// One recipient.
struct Planned {
    channel: NotificationChannel,
    recipient: String,
}

impl Engine {
    /// Queues a notification: all of its legs, or, when one cannot be right, none.
    pub async fn send_notification(
        &self,
        principal: &Principal,
        request: SendNotification,
    ) -> Result<Notification> {
        principal.require(Ability::Send)?;
        let organisation = principal.organisation_id;
        let mut invalid = Invalid::default();
        let planned = self.plan(&mut invalid, &request);
        let template = match request.template.as_deref().filter(|name| !name.trim().is_empty()) {
            None => None,
            Some(name) => {
                let mut db = self.store.reader().await?;
                let found = notification_templates::by_name(&mut db, organisation, name.trim()).await?;
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
        let legs = planned
            .into_iter()
            .map(|leg| queued(NotificationLegId::new(&self.clock), leg.channel, leg.recipient))
            .collect();
        let notification = Notification {
            id: NotificationId::new(&self.clock),
            user_id: principal.user_id,
            subject,
            text,
            template: name,
            created_at: now,
            legs,
        };
        let mut tx = self.store.begin().await?;
        notifications::insert(&mut tx, organisation, &notification).await?;
        for leg in &notification.legs {
            let job = NewJob {
                organisation_id: organisation,
                id: JobId::new(&self.clock),
                kind: JobKind::NotifyLeg,
                subject_id: leg.id.uuid(),
                data: None,
                due_at: now,
            };
            jobs::enqueue(&mut tx, job, now).await?;
        }
        let channels: Vec<_> = notification.legs.iter().map(|leg| leg.channel).collect();
        let event = NewEvent {
            kind: "notification.queued",
            subject_id: Some(notification.id.uuid()),
            data: Some(json!({ "channels": channels }).to_string()),
        };
        tx.record(organisation, now, [event]);
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(notification)
    }

    /// Who gets it over what, each recipient of a channel once.
    fn plan(&self, invalid: &mut Invalid, request: &SendNotification) -> Vec<Planned> {
        let mut planned: Vec<Planned> = Vec::new();
        invalid.require("channels", !request.channels.is_empty());
        let mut asked: Vec<NotificationChannel> = Vec::new();
        for (at, name) in request.channels.iter().enumerate() {
            match NotificationChannel::from_name(name) {
                Some(channel) if asked.contains(&channel) => {}
                Some(channel) => asked.push(channel),
                None => rules::selected(invalid, &format!("channels.{at}")),
            }
        }
        for channel in asked {
            if let Some(setting) = self.lacks(channel) {
                invalid.add("channels", format!("This server cannot send {channel}: set {setting}."));
            }
            let field = format!("to.{channel}");
            let given = request.to.get(channel.as_str()).map_or(&[][..], Vec::as_slice);
            if given.iter().all(|one| one.trim().is_empty()) {
                invalid
                    .add(&field, format!("The {field} field is required when channels contains {channel}."));
                continue;
            }
            for one in given {
                let recipient = match channel {
                    NotificationChannel::Email => smtp::address(one),
                    NotificationChannel::Sms => number(one),
                    NotificationChannel::Whatsapp | NotificationChannel::Telegram => None,
                };
                match recipient {
                    Some(recipient) => {
                        let is_there = |leg: &Planned| leg.channel == channel && leg.recipient == recipient;
                        if !planned.iter().any(is_there) {
                            planned.push(Planned { channel, recipient });
                        }
                    }
                    None => invalid.add(&field, format!("The {field} field {}.", form(channel))),
                }
            }
        }
        if planned.len() > LEGS {
            invalid.add("to", format!("A notification goes to {LEGS} recipients at most."));
        }
        planned
    }

    /// The setting without which nothing can be sent over a channel.
    fn lacks(&self, channel: NotificationChannel) -> Option<&'static str> {
        match channel {
            NotificationChannel::Email if self.config.smtp.is_none() => Some("KABAR_SMTP_URL"),
            NotificationChannel::Sms if self.sms.is_none() => {
                Some("KABAR_SMS_ACCOUNT, KABAR_SMS_TOKEN and KABAR_SMS_FROM")
            }
            _ => None,
        }
    }
}

/// What a recipient must be.
const fn form(channel: NotificationChannel) -> &'static str {
    match channel {
        NotificationChannel::Email => "must be a valid email address",
        NotificationChannel::Sms => "must be a phone number with its country code, as +6281234567890",
        NotificationChannel::Whatsapp | NotificationChannel::Telegram => "cannot be used yet",
    }
}

/// A number in E.164 form.
fn number(text: &str) -> Option<String> {
    let digits = rules::phone_digits(text)?;
    ((7..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| format!("+{digits}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_their_international_form() {
        assert_eq!(number("+62 812-3456-7890").as_deref(), Some("+6281234567890"));
        assert_eq!(number("6281234567890").as_deref(), Some("+6281234567890"));
        for wrong in ["081234567890", "12345", "+", "ani", "1234567890123456"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
