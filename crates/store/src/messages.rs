//! Messages: what was said in a conversation.

use std::collections::HashMap;

use aws_lc_rs::digest;
use kabar_domain::message::{Direction, Media, MessageKind, MessageStatus, ProviderError};
use kabar_domain::{
    AccountId, ChannelId, ContactId, ConversationId, MessageId, OrganisationId, Timestamp, UserId,
};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::args;
use crate::error::Result;
use crate::outbound::{self, Outlook};
use crate::select::{Select, Window};
use crate::store::Db;
use crate::value::{Bind, Row};

/// The name under which a provider's message is found: the same for every delivery of it, and of fixed size
/// whatever the provider's ids look like.
pub fn provider_key(account: AccountId, provider_message_id: &str) -> Uuid {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(account.uuid().as_bytes());
    context.update(provider_message_id.as_bytes());
    let hash = context.finish();
    let mut head = [0; 16];
    head.copy_from_slice(&hash.as_ref()[..16]);
    Uuid::from_bytes(head)
}

#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub organisation_id: OrganisationId,
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub channel_id: ChannelId,
    pub account_id: AccountId,
    /// Inbound: who wrote it. Outbound: to whom it went.
    pub contact_id: Option<ContactId>,
    /// Outbound: who wrote it here.
    pub user_id: Option<UserId>,
    pub direction: Direction,
    pub kind: MessageKind,
    pub status: MessageStatus,
    pub body: Option<String>,
    pub media: Vec<Media>,
    /// The kind's own fields, an object.
    pub payload: Json,
    pub provider_message_id: Option<String>,
    /// The provider's id of the quoted message.
    pub reply_to: Option<String>,
    /// The same message here, when it is here.
    pub reply_to_id: Option<MessageId>,
    pub error: Option<ProviderError>,
    /// When the provider says it was said, in whole seconds.
    pub sort_at: Timestamp,
    pub occurred_at: Timestamp,
    pub created_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    pub edited_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub contact_name: Option<String>,
    pub user_name: Option<String>,
    /// When it will leave, where that was asked for and it waits.
    pub outlook: Option<Outlook>,
}

/// Where a message stands in its conversation.
pub type Place = (Timestamp, MessageId);

const SELECT: &str =
    "SELECT m.organisation_id, m.id, m.conversation_id, m.channel_id, m.account_id, m.contact_id,
    m.user_id, m.direction, m.kind, m.status, m.body, m.media, m.payload, m.provider_message_id, m.reply_to,
    m.error, m.sort_at, m.occurred_at, m.created_at, m.sent_at, m.delivered_at, m.read_at, m.failed_at,
    m.edited_at, m.revoked_at, p.name, u.name
    FROM messages m
    LEFT JOIN contacts p ON p.organisation_id = m.organisation_id AND p.id = m.contact_id
    LEFT JOIN users u ON u.id = m.user_id
    WHERE m.organisation_id = ?";

fn message(mut row: Row) -> Result<Message> {
    Ok(Message {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        conversation_id: row.get(2)?,
        channel_id: row.get(3)?,
        account_id: row.get(4)?,
        contact_id: row.get(5)?,
        user_id: row.get(6)?,
        direction: row.get(7)?,
        kind: row.get(8)?,
        status: row.get(9)?,
        body: row.get(10)?,
        media: row.json(11)?.unwrap_or_default(),
        payload: row.json(12)?.unwrap_or_else(|| Json::Object(serde_json::Map::new())),
        provider_message_id: row.get(13)?,
        reply_to: row.get(14)?,
        reply_to_id: None,
        error: row.json(15)?,
        sort_at: row.get(16)?,
        occurred_at: row.get(17)?,
        created_at: row.get(18)?,
        sent_at: row.get(19)?,
        delivered_at: row.get(20)?,
        read_at: row.get(21)?,
        failed_at: row.get(22)?,
        edited_at: row.get(23)?,
        revoked_at: row.get(24)?,
        contact_name: row.get(25)?,
        user_name: row.get(26)?,
        outlook: None,
    })
}

/// Finds which messages here are quoted.
async fn with_replies(
    db: &mut impl Db,
    organisation: OrganisationId,
    mut messages: Vec<Message>,
) -> Result<Vec<Message>> {
    let key = |message: &Message| {
        message.reply_to.as_deref().map(|quoted| provider_key(message.account_id, quoted))
    };
    let keys: Vec<_> = messages.iter().filter_map(key).map(Bind::value).collect();
    if keys.is_empty() {
        return Ok(messages);
    }
    let mut select =
        Select::new("SELECT provider_key, id FROM messages WHERE organisation_id = ?", args![organisation]);
    select.push_in("AND provider_key IN", keys);
    let mut found: HashMap<Uuid, MessageId> = HashMap::new();
    for mut row in select.fetch(db).await? {
        found.insert(row.get(0)?, row.get(1)?);
    }
    for message in &mut messages {
        message.reply_to_id = key(message).and_then(|key| found.get(&key).copied());
    }
    Ok(messages)
}

/// The messages of a conversation, newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    conversation: ConversationId,
    window: Window<Place>,
) -> Result<Vec<Message>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND m.conversation_id = ?", args![conversation]);
    if let Some((at, id)) = window.after {
        select.push("AND (m.sort_at, m.id) < (?, ?)", args![at, id]);
    }
    select.push("ORDER BY m.sort_at DESC, m.id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    let messages = select.fetch(db).await?.into_iter().map(message).collect::<Result<_>>()?;
    with_replies(db, organisation, messages).await
}

pub async fn find_message(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: MessageId,
) -> Result<Option<Message>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND m.id = ?", args![id]);
    let found: Vec<_> = select.fetch(db).await?.into_iter().map(message).collect::<Result<_>>()?;
    Ok(with_replies(db, organisation, found).await?.into_iter().next())
}

/// What an app that hears of a message wants to know of it.
#[derive(Clone, Debug)]
pub struct Summary {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub channel_id: ChannelId,
    pub contact_id: Option<ContactId>,
    pub direction: Direction,
    pub kind: MessageKind,
    pub status: MessageStatus,
    pub body: Option<String>,
    pub provider_message_id: Option<String>,
    pub occurred_at: Timestamp,
}

/// These messages, as they are now, in no order.
pub async fn summaries(
    db: &mut impl Db,
    organisation: OrganisationId,
    ids: Vec<MessageId>,
) -> Result<Vec<Summary>> {
    let mut select = Select::new(
        "SELECT id, conversation_id, channel_id, contact_id, direction, kind, status, body, provider_message_id,
                occurred_at
         FROM messages WHERE organisation_id = ?",
        args![organisation],
    );
    select.push_in("AND id IN", ids.into_iter().map(Bind::value).collect());
    let summary = |mut row: Row| {
        Ok(Summary {
            id: row.get(0)?,
            conversation_id: row.get(1)?,
            channel_id: row.get(2)?,
            contact_id: row.get(3)?,
            direction: row.get(4)?,
            kind: row.get(5)?,
            status: row.get(6)?,
            body: row.get(7)?,
            provider_message_id: row.get(8)?,
            occurred_at: row.get(9)?,
        })
    };
    select.fetch(db).await?.into_iter().map(summary).collect()
}

/// Finds out when those of `messages` will leave that wait.
pub async fn with_outlook(
    db: &mut impl Db,
    organisation: OrganisationId,
    messages: &mut [Message],
    now: Timestamp,
) -> Result<()> {
    for message in messages {
        if matches!(message.status, MessageStatus::Queued | MessageStatus::Sending) {
            message.outlook = outbound::outlook(db, organisation, message.id, None, now).await?;
        }
    }
    Ok(())
}

/// The newest message of a conversation that came in and that its provider knows by a name.
pub async fn last_inbound(
    db: &mut impl Db,
    organisation: OrganisationId,
    conversation: ConversationId,
) -> Result<Option<Message>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND m.conversation_id = ?", args![conversation]);
    select.push("AND m.direction = ? AND m.provider_message_id IS NOT NULL", args![Direction::Inbound]);
    select.push("ORDER BY m.sort_at DESC, m.id DESC LIMIT 1", args![]);
    select.fetch_optional(db).await?.map(message).transpose()
}
