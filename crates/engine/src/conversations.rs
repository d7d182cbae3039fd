//! Conversations, and the messages in them.

use kabar_domain::channel::{ConversationStatus, Priority};
use kabar_domain::{Ability, ConversationId, MessageId, Timestamp};
use kabar_store::events::NewEvent;
use kabar_store::{Db, Window as Range, conversations, messages};
use serde_json::json;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest, Place};
use crate::rules;
use crate::window::{self, Window};

pub use kabar_store::conversations::Conversation;
pub use kabar_store::messages::Message;

/// A conversation, and whether anything may be sent into it.
#[derive(Clone, Debug)]
pub struct Windowed {
    pub conversation: Conversation,
    /// `None` where the provider has no such rule.
    pub window: Option<Window>,
}

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

fn windowed(conversation: Conversation, now: Timestamp) -> Windowed {
    let window = window::of_conversation(&conversation, now);
    Windowed { conversation, window }
}

/// A conversation on a channel that the caller reaches.
pub(crate) async fn reached(
    db: &mut impl Db,
    principal: &Principal,
    id: ConversationId,
) -> Result<Conversation> {
    let found = conversations::find(db, principal.organisation_id, id).await?;
    let found = found.filter(|conversation| principal.reaches_channel(conversation.channel_id));
    found.ok_or_else(not_found)
}

impl Engine {
    /// Freshest first.
    pub async fn list_conversations(
        &self,
        principal: &Principal,
        query: ConversationQuery,
        page: &PageRequest,
    ) -> Result<Page<Windowed>> {
        principal.require_in_channels(Ability::Read)?;
        let mut invalid = Invalid::default();
        let within = principal.reach.channels.as_deref();
        let mut filter = conversations::Filter { within, ..conversations::Filter::default() };
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
        let window = Range {
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
        let now = self.clock.now();
        let rows = rows.into_iter().map(|row| windowed(row, now)).collect();
        let place = |row: &Windowed| Place {
            at: row.conversation.last_message_at.as_micros(),
            id: row.conversation.id.uuid(),
        };
        Ok(page.page_of(rows, total, place))
    }

    pub async fn get_conversation(&self, principal: &Principal, id: ConversationId) -> Result<Windowed> {
        principal.require_in_channels(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let found = reached(&mut db, principal, id).await?;
        Ok(windowed(found, self.clock.now()))
    }

    pub async fn update_conversation(
        &self,
        principal: &Principal,
        id: ConversationId,
        change: ConversationChange,
    ) -> Result<Windowed> {
        principal.require_in_channels(Ability::Write)?;
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
        reached(&mut tx, principal, id).await?;
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
        Ok(windowed(conversation, now))
    }

    /// Newest first.
    pub async fn list_messages(
        &self,
        principal: &Principal,
        id: ConversationId,
        page: &PageRequest,
    ) -> Result<Page<Message>> {
        principal.require_in_channels(Ability::Read)?;
        let after = page.after()?;
        let window = Range {
            after: after.map(|place| (Timestamp::from_micros(place.at), MessageId::from_uuid(place.id))),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let conversation = reached(&mut db, principal, id).await?;
        let mut rows = messages::list(&mut db, organisation, id, window).await?;
        messages::with_outlook(&mut db, organisation, &mut rows, self.clock.now()).await?;
        self.show_media(&mut db, organisation, rows.iter_mut().flat_map(|row| &mut row.media)).await?;
        Ok(page.page_of(rows, conversation.message_count, |row| Place {
            at: row.sort_at.as_micros(),
            id: row.id.uuid(),
        }))
    }

    pub async fn get_message(&self, principal: &Principal, id: MessageId) -> Result<Message> {
        principal.require_in_channels(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let organisation = principal.organisation_id;
        let found = messages::find_message(&mut db, organisation, id).await?;
        let found = found.filter(|message| principal.reaches_channel(message.channel_id));
        let mut message = found.ok_or(Error::NotFound("Message"))?;
        let now = self.clock.now();
        let only = std::slice::from_mut(&mut message);
        messages::with_outlook(&mut db, organisation, only, now).await?;
        self.show_media(&mut db, organisation, &mut message.media).await?;
        Ok(message)
    }
}
