//! Changing and deleting messages that were sent. Asked of the provider first, then written down.

use std::time::Duration;

use kabar_domain::content::TextFormat;
use kabar_domain::message::{Direction, MessageKind, Platform};
use kabar_domain::outbound::OutboundMessage;
use kabar_domain::{Ability, MessageId};
use kabar_providers::telegram;
use kabar_store::changes::{self, EditedMessage};
use kabar_store::events::NewEvent;
use kabar_store::messages::{self, Message, provider_key};
use serde_json::{Value, json};

use super::presence::Line;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::widgets;

/// Telegram deletes messages of the last 48 hours.
const DELETABLE: Duration = Duration::from_hours(48);

/// A sent message's new text or caption.
#[derive(Clone, Debug, Default)]
pub struct EditMessage {
    pub body: Option<String>,
    /// As it was unless given.
    pub format: Option<TextFormat>,
    pub preview_url: Option<bool>,
}

impl Engine {
    /// Gives a sent message another text or caption, for everyone.
    pub async fn edit_message(
        &self,
        principal: &Principal,
        id: MessageId,
        edit: EditMessage,
    ) -> Result<Message> {
        principal.require_in_channels(Ability::Send)?;
        let (mut message, line) = self.sent_message(principal, id, "edited").await?;
        let body = edit.body.filter(|body| !body.trim().is_empty());
        let body = body.ok_or_else(|| Invalid::one("body", "The body field is required."))?;
        if let Some(fields) = message.payload.as_object_mut() {
            if let Some(format) = edit.format {
                fields.insert("format".into(), json!(format));
            }
            if let Some(preview) = edit.preview_url {
                fields.insert("preview_url".into(), preview.into());
            }
        }
        let name = message.provider_message_id.clone().unwrap_or_default();
        let changed = OutboundMessage {
            callback_data: String::new(),
            recipient: line.recipient.clone(),
            kind: message.kind,
            body: Some(body.clone()),
            media: message.media.first().cloned(),
            payload: message.payload.clone(),
            reply_to: None,
        };
        if line.platform == Platform::Widget {
            widgets::check_sendable(&changed).map_err(|refused| Error::unsendable(line.platform, refused))?;
        } else {
            telegram::edit(&changed, &name).map_err(|refused| Error::unsendable(line.platform, refused))?;
            self.telegram
                .edit(line.bot_token(), &changed, &name)
                .await
                .map_err(|failure| Error::of_provider(line.platform, failure))?;
        }
        let now = self.clock.now();
        let edited = EditedMessage {
            provider_key: provider_key(message.account_id, &name),
            body: Some(&body),
            media: None,
            payload: Some(Value::to_string(&message.payload)),
            at: now,
        };
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        changes::edit_message(&mut tx, organisation, edited).await?;
        let data = json!({ "conversation_id": message.conversation_id });
        let event =
            NewEvent { kind: "message.edited", subject_id: Some(id.uuid()), data: Some(data.to_string()) };
        tx.record(organisation, now, [event]);
        let stored = messages::find_message(&mut tx, organisation, id).await?;
        tx.commit().await?;
        stored.ok_or(Error::NotFound("Message"))
    }

    /// Deletes a sent message for everyone. What it said stays here.
    pub async fn delete_message(&self, principal: &Principal, id: MessageId) -> Result<()> {
        principal.require_in_channels(Ability::Send)?;
        let (message, line) = self.sent_message(principal, id, "deleted").await?;
        if message.revoked_at.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        let is_old = message.sent_at.unwrap_or(message.created_at) < now.minus(DELETABLE);
        if is_old && line.platform == Platform::Telegram {
            return Err(Invalid::one("id", "Telegram deletes messages of the last 48 hours only."));
        }
        let name = message.provider_message_id.unwrap_or_default();
        if line.platform == Platform::Telegram {
            self.telegram
                .delete(line.bot_token(), &line.recipient, &name)
                .await
                .map_err(|failure| Error::of_provider(line.platform, failure))?;
        }
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        let key = provider_key(message.account_id, &name);
        if changes::revoke_message(&mut tx, organisation, key, now).await?.is_some() {
            let data = json!({ "conversation_id": message.conversation_id });
            let event = NewEvent {
                kind: "message.revoked",
                subject_id: Some(id.uuid()),
                data: Some(data.to_string()),
            };
            tx.record(organisation, now, [event]);
        }
        Ok(tx.commit().await?)
    }

    /// A message that went out over a provider that lets it be changed. `done`: what is wanted of it.
    async fn sent_message(
        &self,
        principal: &Principal,
        id: MessageId,
        done: &str,
    ) -> Result<(Message, Line)> {
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let message = messages::find_message(&mut db, organisation, id).await?;
        let message = message.filter(|message| principal.reaches_channel(message.channel_id));
        let message = message.ok_or(Error::NotFound("Message"))?;
        let refuse = |reason: String| Err(Invalid::one("id", reason));
        if message.direction != Direction::Outbound {
            return refuse(format!("Only messages that were sent can be {done}."));
        }
        let line =
            self.line(&mut db, organisation, message.conversation_id, Some(message.account_id)).await?;
        if !matches!(line.platform, Platform::Telegram | Platform::Widget) {
            return Err(Error::CapabilityMissing {
                provider: line.platform,
                field: "id".into(),
                reason: format!("WhatsApp's Cloud API has no way for a sent message to be {done}."),
            });
        }
        if message.kind == MessageKind::Reaction {
            return refuse(
                "A reaction is changed by another one, and taken away by one without emoji.".into(),
            );
        }
        if message.provider_message_id.is_none() {
            return refuse(format!("The message has not been sent: it cannot be {done}."));
        }
        Ok((message, line))
    }
}
