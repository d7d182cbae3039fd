//! Conversations, and the messages in them.

use kabar_domain::channel::{ConversationStatus, Priority};
use kabar_domain::{Ability, ConversationId, MessageId, Timestamp};
use kabar_store::events::NewEvent;
use kabar_store::{Window, conversations, messages};
use serde_json::json;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest, Place};
use crate::rules;

pub use kabar_store::conversations::Conversation;
pub use kabar_store::messages::Message;

/// Which conversations to list, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct ConversationQuery {
    pub status: Option<String>,
    pub channel_id: Option<String>,
    pub contact_id: Option<String>,
}

/// What to change about a conversation. What is left out stays.
#[derive(Clone, Debug, Default)]
pub struct ConversationChange {
    pub status: Option<String>,
    pub priority: Option<String>,
    /// 0 marks everything as read.
    pub unread_count: Option<i64>,
}

pub(crate) const fn not_found() -> Error {
    Error::NotFound("Conversation")
}

impl Engine {
    /// Freshest first.
    pub async fn list_conversations(
        &self,
        principal: &Principal,
        query: ConversationQuery,
        page: &PageRequest,
    ) -> Result<Page<Conversation>> {
        principal.require(Ability::Read)?;
        let mut invalid = Invalid::default();
        let mut filter = conversations::Filter::default();
        if let Some(text) = query.status {
            filter.status = ConversationStatus::from_name(&text);
            if filter.status.is_none() {
                rules::selected(&mut invalid, "status");
            }
        }
        if let Some(text) = query.channel_id {
            filter.channel = text.parse().ok();
            if filter.channel.is_none() {
                rules::selected(&mut invalid, "channel_id");
            }
        }
        if let Some(text) = query.contact_id {
            filter.contact = text.parse().ok();
            if filter.contact.is_none() {
                rules::selected(&mut invalid, "contact_id");
            }
        }
        invalid.check()?;
        let after = page.after()?;
        let window = Window {
            after: after.map(|place| (Timestamp::from_micros(place.at), ConversationId::from_uuid(place.id))),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let total = conversations::count(&mut db, organisation, filter).await?;
        let rows = if total == 0 {
            Vec::new()
        } else {
            conversations::list(&mut db, organisation, filter, window).await?
        };
        Ok(page.page_of(rows, total, |row| Place { at: row.last_message_at.as_micros(), id: row.id.uuid() }))
    }

    pub async fn get_conversation(&self, principal: &Principal, id: ConversationId) -> Result<Conversation> {
        principal.require(Ability::Read)?;
        let mut db = self.store.reader().await?;
        conversations::find(&mut db, principal.organisation_id, id).await?.ok_or_else(not_found)
    }

    pub async fn update_conversation(
        &self,
        principal: &Principal,
        id: ConversationId,
        change: ConversationChange,
    ) -> Result<Conversation> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let mut checked = conversations::Change::default();
        if let Some(text) = change.status {
            checked.status = ConversationStatus::from_name(&text);
            if checked.status.is_none() {
                rules::selected(&mut invalid, "status");
            }
        }
        if let Some(text) = change.priority {
            checked.priority = Priority::from_name(&text);
            if checked.priority.is_none() {
                rules::selected(&mut invalid, "priority");
            }
        }
        if let Some(count) = change.unread_count {
            if count != 0 {
                invalid.add("unread_count", "The unread count field can only be set to 0.");
            }
            checked.unread_count = Some(0);
        }
        invalid.check()?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if !conversations::update(&mut tx, organisation, id, checked, now).await? {
            return Err(not_found());
        }
        let mut data = serde_json::Map::new();
        if let Some(status) = checked.status {
            data.insert("status".into(), json!(status));
        }
        if let Some(priority) = checked.priority {
            data.insert("priority".into(), json!(priority));
        }
        if checked.unread_count.is_some() {
            data.insert("unread_count".into(), json!(0));
        }
        let event = NewEvent {
            kind: "conversation.updated",
            subject_id: Some(id.uuid()),
            data: Some(serde_json::Value::Object(data).to_string()),
        };
        tx.record(organisation, now, vec![event]);
        let conversation = conversations::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        tx.commit().await?;
        Ok(conversation)
    }

    /// Newest first.
    pub async fn list_messages(
        &self,
        principal: &Principal,
        id: ConversationId,
        page: &PageRequest,
    ) -> Result<Page<Message>> {
        principal.require(Ability::Read)?;
        let after = page.after()?;
        let window = Window {
            after: after.map(|place| (Timestamp::from_micros(place.at), MessageId::from_uuid(place.id))),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let conversation = conversations::find(&mut db, organisation, id).await?.ok_or_else(not_found)?;
        let rows = messages::list(&mut db, organisation, id, window).await?;
        Ok(page.page_of(rows, conversation.message_count, |row| Place {
            at: row.sort_at.as_micros(),
            id: row.id.uuid(),
        }))
    }

    pub async fn get_message(&self, principal: &Principal, id: MessageId) -> Result<Message> {
        principal.require(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let found = messages::find_message(&mut db, principal.organisation_id, id).await?;
        found.ok_or(Error::NotFound("Message"))
    }
}
