//! Inbox items that wait to be understood, and what was understood of them.

use std::collections::HashMap;

use kabar_domain::channel::{ChannelKind, ChannelStatus, InboxClass, InboxStatus};
use kabar_domain::message::{MessageKind, Platform};
use kabar_domain::{
    ChannelId, ContactId, ConversationId, InboxItemId, MessageId, OrganisationId, SiteId, Timestamp,
};

use serde_json::Value as Json;

use crate::counters::Counter;
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};
use crate::{Rows, args, of};

/// An item of an organisation.
pub type Key = (OrganisationId, InboxItemId);

fn keys(items: impl IntoIterator<Item = Key>) -> Rows {
    let mut rows =
        Rows::new(&[("organisation_id", of::<OrganisationId>()), ("item_id", of::<InboxItemId>())]);
    for (organisation, item) in items {
        rows.push([organisation.value(), item.value()]);
    }
    rows
}

/// Has items understood, in the transaction that makes them.
pub async fn enqueue(tx: &mut Tx, items: impl IntoIterator<Item = Key>) -> Result<()> {
    tx.bulk_insert("understanding_queue", keys(items), "ON CONFLICT DO NOTHING").await?;
    Ok(())
}

/// The items that wait, the oldest first.
pub async fn waiting(db: &mut impl Db, limit: i64) -> Result<Vec<Key>> {
    let sql = "SELECT organisation_id, item_id FROM understanding_queue ORDER BY item_id LIMIT $1";
    db.fetch(sql, args![limit]).await?.into_iter().map(|mut row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Takes items from the queue. Those that another server takes at the same time are not among the answered.
pub async fn take(tx: &mut Tx, items: impl IntoIterator<Item = Key>) -> Result<Vec<Key>> {
    let lock = tx.skip_locked_of("q");
    let sql = format!(
        "SELECT q.organisation_id, q.item_id FROM {{rows}} JOIN understanding_queue q ON q.item_id = u.item_id {lock}"
    );
    let mut taken = Vec::new();
    for mut row in tx.bulk_fetch(&sql, keys(items)).await? {
        taken.push((row.get(0)?, row.get(1)?));
    }
    let sql = "DELETE FROM understanding_queue WHERE item_id IN (SELECT u.item_id FROM {rows})";
    tx.bulk_execute(sql, keys(taken.iter().copied())).await?;
    Ok(taken)
}

/// An item with what helps to read it.
#[derive(Clone, Debug)]
pub struct Unread {
    pub organisation_id: OrganisationId,
    pub id: InboxItemId,
    pub kind: MessageKind,
    pub text: Option<String>,
    pub conversation_id: Option<ConversationId>,
    pub contact_id: Option<ContactId>,
    pub message_id: Option<MessageId>,
    pub occurred_at: Timestamp,
    pub created_at: Timestamp,
    /// Of a tap, what the button says to us.
    pub payload: Option<Json>,
    /// Of a direct chat with a bot, the `/start …` that opened it last, if that is not long ago.
    pub start: Option<String>,
    pub channel: Option<Place>,
}

/// The channel it came by, and its rules.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub id: ChannelId,
    pub kind: ChannelKind,
    pub platform: Platform,
    pub status: ChannelStatus,
    pub allow_issues: bool,
    pub allow_routine_logs: bool,
    pub default_site_id: Option<SiteId>,
}

/// The last column: what opened the chat with a Telegram bot in the hour before. A code that was scanned speaks for so
/// long for what is written after it.
const UNREAD: &str = "i.organisation_id, i.id, i.kind, COALESCE(i.text, m.body), i.conversation_id, i.contact_id,
     i.message_id, i.occurred_at, i.created_at, c.id, c.kind, c.allow_issues, c.allow_routine_logs, c.default_site_id,
     CASE WHEN m.kind IN (10, 11) THEN m.payload END, c.platform, c.status,
     CASE WHEN c.platform = 2 AND c.kind = 1 THEN (SELECT s.body FROM messages s
         WHERE s.organisation_id = m.organisation_id AND s.conversation_id = m.conversation_id AND s.direction = 1
             AND s.sort_at BETWEEN m.sort_at - 3600 AND m.sort_at AND s.id < m.id
             AND (s.body = '/start' OR s.body LIKE '/start %')
         ORDER BY s.sort_at DESC, s.id DESC LIMIT 1) END";
const JOINS: &str = "LEFT JOIN messages m ON m.organisation_id = i.organisation_id AND m.id = i.message_id
     LEFT JOIN channels c ON c.organisation_id = i.organisation_id AND c.id = i.channel_id";

fn unread(mut row: Row) -> Result<Unread> {
    let channel: Option<ChannelId> = row.get(9)?;
    Ok(Unread {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        kind: row.get(2)?,
        text: row.get(3)?,
        conversation_id: row.get(4)?,
        contact_id: row.get(5)?,
        message_id: row.get(6)?,
        occurred_at: row.get(7)?,
        created_at: row.get(8)?,
        payload: row.get(14)?,
        start: row.get(17)?,
        channel: match channel {
            None => None,
            Some(id) => Some(Place {
                id,
                kind: row.get(10)?,
                platform: row.get(15)?,
                status: row.get(16)?,
                allow_issues: row.get(11)?,
                allow_routine_logs: row.get(12)?,
                default_site_id: row.get(13)?,
            }),
        },
    })
}

/// Up to `limit` items that wait, the oldest first.
pub async fn next(db: &mut impl Db, limit: i64) -> Result<Vec<Unread>> {
    let sql = format!(
        "SELECT {UNREAD} FROM (SELECT organisation_id, item_id FROM understanding_queue ORDER BY item_id LIMIT $1) q
         JOIN inbox_items i ON i.organisation_id = q.organisation_id AND i.id = q.item_id {JOINS} ORDER BY i.id"
    );
    db.fetch(&sql, args![limit]).await?.into_iter().map(unread).collect()
}

/// Up to `limit` of an organisation's items after `after`, in their order: all of its history, page by page.
pub async fn history(
    db: &mut impl Db,
    organisation: OrganisationId,
    after: InboxItemId,
    limit: i64,
) -> Result<Vec<Unread>> {
    let sql = format!(
        "SELECT {UNREAD} FROM inbox_items i {JOINS} WHERE i.organisation_id = $1 AND i.id > $2 ORDER BY i.id LIMIT $3"
    );
    db.fetch(&sql, args![organisation, after, limit]).await?.into_iter().map(unread).collect()
}

/// One item.
pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: InboxItemId) -> Result<Option<Unread>> {
    let sql =
        format!("SELECT {UNREAD} FROM inbox_items i {JOINS} WHERE i.organisation_id = $1 AND i.id = $2");
    db.fetch(&sql, args![organisation, id]).await?.into_iter().next().map(unread).transpose()
}

/// What is known of an item so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub status: InboxStatus,
    pub class: InboxClass,
    pub confidence: Option<f64>,
    pub reasons: Vec<String>,
    /// A model service read it again.
    pub refined: bool,
}

/// How items stand, which nobody else changes until the transaction ends.
pub async fn lock(
    tx: &mut Tx,
    items: impl IntoIterator<Item = Key>,
) -> Result<HashMap<InboxItemId, Standing>> {
    let lock = tx.lock_of("i");
    let sql = format!(
        "SELECT i.id, i.status, i.class, i.confidence, i.reasons, i.understanding FROM {{rows}}
         JOIN inbox_items i ON i.organisation_id = u.organisation_id AND i.id = u.item_id {lock}"
    );
    let mut found = HashMap::new();
    for mut row in tx.bulk_fetch(&sql, keys(items)).await? {
        let understanding: Option<Json> = row.json(5)?;
        let standing = Standing {
            status: row.get(1)?,
            class: row.get(2)?,
            confidence: row.get(3)?,
            reasons: row.json(4)?.unwrap_or_default(),
            refined: understanding.is_some_and(|found| !found["refined_by"].is_null()),
        };
        found.insert(row.get(0)?, standing);
    }
    Ok(found)
}

/// What was understood of an item.
#[derive(Clone, Debug)]
pub struct Understood {
    pub organisation_id: OrganisationId,
    pub id: InboxItemId,
    pub class: InboxClass,
    /// How it stood.
    pub was: InboxStatus,
    pub status: InboxStatus,
    pub confidence: f64,
    /// JSON, a list of texts.
    pub reasons: String,
    /// JSON, `{site, facility, category, severity}`.
    pub suggestions: String,
    /// JSON, `{language, engine, entities, …}`.
    pub understanding: String,
}

/// Writes what was understood of items that [`lock`] gave.
pub async fn write(tx: &mut Tx, items: &[Understood], now: Timestamp) -> Result<()> {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("item", of::<InboxItemId>()),
        ("class", of::<InboxClass>()),
        ("status", of::<InboxStatus>()),
        ("confidence", of::<f64>()),
        ("reasons", of::<String>()),
        ("suggestions", of::<String>()),
        ("understanding", of::<String>()),
        ("now", of::<i64>()),
    ]);
    for item in items {
        rows.push([
            item.organisation_id.value(),
            item.id.value(),
            item.class.value(),
            item.status.value(),
            item.confidence.value(),
            item.reasons.clone().value(),
            item.suggestions.clone().value(),
            item.understanding.clone().value(),
            now.value(),
        ]);
        if item.status != item.was {
            tx.count(item.organisation_id, Counter::Inbox(item.was), -1);
            tx.count(item.organisation_id, Counter::Inbox(item.status), 1);
        }
    }
    tx.bulk_execute(
        "UPDATE inbox_items SET class = u.class, status = u.status, confidence = u.confidence, reasons = u.reasons,
             suggestions = u.suggestions, understanding = u.understanding, updated_at = u.now
         FROM {rows} WHERE inbox_items.organisation_id = u.org AND inbox_items.id = u.item",
        rows,
    )
    .await?;
    Ok(())
}

/// Leaves an item to people: it could not be understood.
pub async fn give_up(tx: &mut Tx, (organisation, item): Key, reason: &str, now: Timestamp) -> Result<()> {
    take(tx, [(organisation, item)]).await?;
    let changed = tx
        .execute(
            "UPDATE inbox_items SET status = $3, reasons = $4, updated_at = $5
             WHERE organisation_id = $1 AND id = $2 AND status = $6",
            args![
                organisation,
                item,
                InboxStatus::NeedsReview,
                serde_json::json!([reason]).to_string(),
                now,
                InboxStatus::New
            ],
        )
        .await?;
    if changed == 1 {
        tx.count(organisation, Counter::Inbox(InboxStatus::New), -1);
        tx.count(organisation, Counter::Inbox(InboxStatus::NeedsReview), 1);
    }
    Ok(())
}
