//! The rarer events, one by one.

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::inbound::{AccountChange, Edit, Event, InboundMessage, Origin};
use kabar_domain::message::Media;
use kabar_domain::{TemplateId, Timestamp};
use kabar_store::apply::{self, AccountRef};
use kabar_store::changes::{self, Edited, EditedMessage};
use kabar_store::files::File;
use kabar_store::messages::provider_key;
use kabar_store::{Error as StoreError, Tx, templates};
use serde_json::{Value, json};

use super::batch::{Batch, Incoming};
use super::messages::text_of;
use crate::templates::ask_sync;

impl Batch<'_> {
    /// `accounts` is never empty; only events about a business account have several.
    pub(super) async fn apply_other(
        &mut self,
        tx: &mut Tx,
        accounts: &[Arc<AccountRef>],
        event: Event,
        received_at: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(account) = accounts.first().map(Arc::clone) else { return Ok(()) };
        let organisation = account.organisation_id;
        match event {
            Event::Message(_) | Event::Status(_) => Ok(()),
            Event::Edit(edit) => self.edit(tx, &account, *edit, received_at).await,
            Event::Revoke { target, occurred_at, .. } => {
                let key = provider_key(account.id, &target);
                if let Some((message, conversation)) =
                    changes::revoke_message(tx, organisation, key, occurred_at).await?
                {
                    let data = json!({ "conversation_id": conversation.to_string() });
                    self.event(organisation, "message.revoked", message.uuid(), Some(data.to_string()));
                }
                Ok(())
            }
            Event::IdentityChange { old, new, .. } => {
                if let Some(contact) =
                    changes::change_identity(tx, organisation, &old, &new, self.now).await?
                {
                    let data = json!({ "identity": { "old": old, "new": new } });
                    self.event(organisation, "contact.updated", contact.uuid(), Some(data.to_string()));
                }
                Ok(())
            }
            Event::GroupMigrated { old, new, .. } => {
                if let Some(channel) =
                    changes::rename_group(tx, organisation, account.id, &old, &new, self.now).await?
                {
                    let data = json!({ "external_id": new });
                    self.event(organisation, "channel.updated", channel.uuid(), Some(data.to_string()));
                }
                Ok(())
            }
            Event::Group { chat, change, occurred_at } => {
                self.group(tx, &account, &chat, change, occurred_at).await
            }
            Event::GroupRefused { request_id, error, .. } => {
                self.group_refused(tx, &account, &request_id, &error).await
            }
            Event::Template(change) => {
                // One organisation may have several numbers of a business account: its template is one.
                let mut done = Vec::new();
                for account in accounts {
                    if done.contains(&account.organisation_id) {
                        continue;
                    }
                    done.push(account.organisation_id);
                    let waba = self.waba_of(tx, account).await?;
                    let id = TemplateId::new(&self.engine.clock);
                    let organisation = account.organisation_id;
                    let changed = templates::change(tx, organisation, &waba, id, &change, self.now).await?;
                    let Some(changed) = changed else { continue };
                    // The webhook has not all of it, or says only that its parts changed.
                    let is_whole =
                        change.status.is_some() || change.category.is_some() || change.quality.is_some();
                    let is_known = waba.is_empty() || (changed.complete && is_whole);
                    if !is_known {
                        ask_sync(self.engine, tx, organisation, &waba, self.now, Duration::ZERO).await?;
                    }
                    let data = json!({ "name": change.name, "language": change.language, "status": change.status,
                        "category": change.category, "quality": change.quality });
                    self.event(
                        account.organisation_id,
                        "template.updated",
                        changed.id.uuid(),
                        Some(data.to_string()),
                    );
                }
                Ok(())
            }
            Event::Account(change) => {
                for account in accounts {
                    self.account(tx, account, &change).await?;
                }
                Ok(())
            }
            Event::Other { name, value, .. } => {
                for account in accounts {
                    let data = json!({ "name": name, "value": value });
                    self.event(
                        account.organisation_id,
                        "provider.event",
                        account.id.uuid(),
                        Some(data.to_string()),
                    );
                }
                Ok(())
            }
        }
    }

    async fn edit(
        &mut self,
        tx: &mut Tx,
        account: &Arc<AccountRef>,
        mut edit: Edit,
        received_at: Timestamp,
    ) -> Result<(), StoreError> {
        let organisation = account.organisation_id;
        let files = self.edited_files(tx, account, &mut edit).await?;
        let edited = EditedMessage {
            provider_key: provider_key(account.id, &edit.target),
            body: edit.body.as_deref(),
            media: (!edit.media.is_empty()).then(|| serde_json::to_string(&edit.media).unwrap_or_default()),
            payload: text_of(&edit.payload),
            at: edit.occurred_at,
        };
        match changes::edit_message(tx, organisation, edited).await? {
            Edited::Changed(message, conversation) => {
                self.engine.expect_files(tx, files).await?;
                let data = json!({ "conversation_id": conversation.to_string() });
                self.event(organisation, "message.edited", message.uuid(), Some(data.to_string()));
                return Ok(());
            }
            Edited::Overtaken => return Ok(()),
            Edited::Unknown => {}
        }
        // We never had the message it changes: its new content is what there is to show.
        let mut payload = edit.payload;
        if let Some(fields) = payload.as_object_mut() {
            fields.insert("edited".into(), Value::Bool(true));
        }
        let message = InboundMessage {
            provider_message_id: edit.target,
            origin: Origin::Live,
            chat: edit.chat,
            party: edit.sender,
            kind: edit.kind,
            body: edit.body,
            media: edit.media,
            payload,
            reply_to: None,
            occurred_at: edit.occurred_at,
            status: None,
        };
        let incoming = Incoming { account: Arc::clone(account), received_at, message };
        self.apply_messages(tx, Vec::from([incoming])).await
    }

    /// The files that an edit brings. One that the message had already, as when only its caption changes, is not
    /// fetched again.
    async fn edited_files(
        &self,
        tx: &mut Tx,
        account: &AccountRef,
        edit: &mut Edit,
    ) -> Result<Vec<File>, StoreError> {
        if edit.media.is_empty() {
            return Ok(Vec::new());
        }
        let key = provider_key(account.id, &edit.target);
        let found = changes::media_of(tx, account.organisation_id, key).await?;
        let Some((message, before)) = found else { return Ok(Vec::new()) };
        let mut new = Vec::new();
        for media in &mut edit.media {
            let same = |old: &&Media| {
                media.id == old.id || (media.unique_id.is_some() && media.unique_id == old.unique_id)
            };
            if let Some(old) = before.iter().find(same) {
                media.file_id = old.file_id;
            } else {
                let one = std::slice::from_mut(media);
                new.extend(self.engine.files_of(account.organisation_id, account.id, message, one));
            }
        }
        Ok(new)
    }

    async fn account(
        &mut self,
        tx: &mut Tx,
        account: &AccountRef,
        change: &AccountChange,
    ) -> Result<(), StoreError> {
        changes::change_account(tx, account.organisation_id, account.id, change, self.now).await?;
        let data = json!({ "name": change.name, "connected": change.connected, "quality": change.quality,
            "messaging_limit": change.messaging_limit, "problem": change.problem, "value": change.value });
        self.event(
            account.organisation_id,
            "messaging_account.updated",
            account.id.uuid(),
            Some(data.to_string()),
        );
        Ok(())
    }

    async fn waba_of(&mut self, tx: &mut Tx, account: &AccountRef) -> Result<String, StoreError> {
        Ok(apply::waba_id(tx, account.organisation_id, account.id).await?.unwrap_or_default())
    }
}
