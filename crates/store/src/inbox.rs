//! The inbox: what a message, or any other source, put before the team.

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::message::{Media, MessageKind, Platform};
use kabar_domain::{ChannelId, ContactId, ConversationId, InboxItemId, MessageId, OrganisationId, Timestamp};
use serde_json::Value as Json;

use crate::args;
use crate::counters::{self, Counter};
use crate::error::{Error, Result};
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row, Value};

/// The one reason for what a person said.
pub const BY_PERSON: &str = "set by a person";

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub organisation_id: OrganisationId,
    pub id: InboxItemId,
    pub class: InboxClass,
    pub status: InboxStatus,
    pub platform: Platform,
    pub channel_id: Option<ChannelId>,
    pub conversation_id: Option<ConversationId>,
    pub contact_id: Option<ContactId>,
    pub message_id: Option<MessageId>,
    pub external_id: Option<String>,
    pub kind: MessageKind,
    /// Its own, or its message's.
    pub text: Option<String>,
    /// Its own, or its message's.
    pub media: Vec<Media>,
    /// Who is said to have sent it, `{name, phone, external_id}`.
    pub sender: Option<Json>,
    pub metadata: Option<Json>,
    /// 0 to 1; `None` until it is understood.
    pub confidence: Option<f64>,
    pub reasons: Vec<String>,
    /// `{site, facility, category, severity}`.
    pub suggestions: Option<Json>,
    /// `{language, engine, entities, …}`.
    pub understanding: Option<Json>,
    /// The digest item that a flood's items are gathered in.
    pub digest_id: Option<InboxItemId>,
    /// What it was converted to, `{type, id, number}`.
    pub record: Option<Json>,
    pub occurred_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub contact_name: Option<String>,
    pub contact_phone: Option<String>,
}

const COLUMNS: &str = "SELECT i.organisation_id, i.id, i.class, i.status, i.platform, i.channel_id,
    i.conversation_id, i.contact_id, i.message_id, i.external_id, i.kind, COALESCE(i.text, m.body),
    COALESCE(i.media, m.media), i.sender, i.metadata, i.confidence, i.reasons, i.suggestions, i.record,
    i.occurred_at, i.created_at, i.updated_at, p.name, p.phone, i.understanding, i.digest_id";

const JOINS: &str = "LEFT JOIN messages m ON m.organisation_id = i.organisation_id AND m.id = i.message_id
    LEFT JOIN contacts p ON p.organisation_id = i.organisation_id AND p.id = i.contact_id";

fn item(mut row: Row) -> Result<Item> {
    Ok(Item {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        class: row.get(2)?,
        status: row.get(3)?,
        platform: row.get(4)?,
        channel_id: row.get(5)?,
        conversation_id: row.get(6)?,
        contact_id: row.get(7)?,
        message_id: row.get(8)?,
        external_id: row.get(9)?,
        kind: row.get(10)?,
        text: row.get(11)?,
        media: row.json(12)?.unwrap_or_default(),
        sender: row.get(13)?,
        metadata: row.get(14)?,
        confidence: row.get(15)?,
        reasons: row.json(16)?.unwrap_or_default(),
        suggestions: row.get(17)?,
        record: row.get(18)?,
        occurred_at: row.get(19)?,
        created_at: row.get(20)?,
        updated_at: row.get(21)?,
        contact_name: row.get(22)?,
        contact_phone: row.get(23)?,
        understanding: row.get(24)?,
        digest_id: row.get(25)?,
    })
}

/// Which items to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Nothing beyond these channels.
    pub within: Option<&'a [ChannelId]>,
    pub status: Option<InboxStatus>,
    pub class: Option<InboxClass>,
    pub channel: Option<ChannelId>,
    /// Those that a flood's digest has gathered.
    pub digest: Option<InboxItemId>,
}

impl Filter<'_> {
    fn apply(self, select: &mut Select) {
        if let Some(channels) = self.within {
            select.push_in("AND i.channel_id IN", channels.iter().map(|id| id.value()).collect());
        }
        // Written out, not parameters: only then can a planner tell that the indexes of handled items, and of those
        // that are not chatter, have them.
        match self.status {
            Some(InboxStatus::New) => select.push("AND i.status = 1", Vec::new()),
            Some(status) => {
                select.push(&format!("AND i.status = {} AND i.status <> 1", status.code()), Vec::new())
            }
            None => select,
        };
        match self.class {
            Some(InboxClass::Unknown) => select.push("AND i.class = 1", Vec::new()),
            Some(class) => {
                select.push(&format!("AND i.class = {} AND i.class <> 1", class.code()), Vec::new())
            }
            None => select,
        };
        select.push_some("AND i.channel_id = ?", self.channel.map(Bind::value));
        select.push_some("AND i.digest_id = ?", self.digest.map(Bind::value));
    }
}

/// Newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: Filter<'_>,
    window: Window<InboxItemId>,
) -> Result<Vec<Item>> {
    // First the places, out of an index where one serves; then the rows of this page.
    let mut select = Select::new(COLUMNS, Vec::new());
    select.push(
        "FROM (SELECT i.organisation_id AS org, i.id AS id FROM inbox_items i WHERE i.organisation_id = ?",
        args![organisation],
    );
    filter.apply(&mut select);
    select.push_some("AND i.id < ?", window.after.map(Bind::value));
    select.push("ORDER BY i.id DESC LIMIT ? OFFSET ?) k", args![window.limit, window.offset]);
    select.push("JOIN inbox_items i ON i.organisation_id = k.org AND i.id = k.id", Vec::new());
    select.push(JOINS, Vec::new()).push("ORDER BY i.id DESC", Vec::new());
    select.fetch(db).await?.into_iter().map(item).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: Filter<'_>) -> Result<i64> {
    let all = filter.class.is_none() && filter.channel.is_none() && filter.digest.is_none();
    if all && filter.within.is_none() {
        return counters::inbox(db, organisation, filter.status).await;
    }
    let mut select =
        Select::new("SELECT COUNT(*) FROM inbox_items i WHERE i.organisation_id = ?", args![organisation]);
    filter.apply(&mut select);
    select.count(db).await
}

async fn find_where(db: &mut impl Db, condition: &str, args: Vec<Value>) -> Result<Option<Item>> {
    let mut select = Select::new(COLUMNS, Vec::new());
    select.push("FROM inbox_items i", Vec::new()).push(JOINS, Vec::new());
    select.push(&format!("WHERE i.organisation_id = ? {condition}"), args);
    select.fetch_optional(db).await?.map(item).transpose()
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: InboxItemId) -> Result<Option<Item>> {
    find_where(db, "AND i.id = ?", args![organisation, id]).await
}

/// [`find`], and nobody else changes it until the transaction ends.
pub async fn find_to_change(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: InboxItemId,
) -> Result<Option<Item>> {
    let lock = tx.lock_rows();
    let sql = format!("SELECT 1 FROM inbox_items WHERE organisation_id = $1 AND id = $2 {lock}");
    if tx.fetch(&sql, args![organisation, id]).await?.is_empty() {
        return Ok(None);
    }
    find(tx, organisation, id).await
}

/// Writes what is thought of an item and what became of it, and moves the totals. `before` is the status it had.
pub async fn update(tx: &mut Tx, item: &Item, before: InboxStatus) -> Result<()> {
    let reasons = Json::from(item.reasons.clone());
    tx.execute(
        "UPDATE inbox_items SET class = $3, status = $4, confidence = $5, reasons = $6, suggestions = $7,
             record = $8, updated_at = $9
         WHERE organisation_id = $1 AND id = $2",
        args![
            item.organisation_id,
            item.id,
            item.class,
            item.status,
            item.confidence,
            &reasons,
            item.suggestions.as_ref(),
            item.record.as_ref(),
            item.updated_at,
        ],
    )
    .await?;
    if item.status != before {
        tx.count(item.organisation_id, Counter::Inbox(before), -1);
        tx.count(item.organisation_id, Counter::Inbox(item.status), 1);
    }
    Ok(())
}

/// The item another system already gave under its own reference.
pub async fn find_external(
    db: &mut impl Db,
    organisation: OrganisationId,
    external_id: &str,
) -> Result<Option<Item>> {
    find_where(db, "AND i.external_id = ?", args![organisation, external_id]).await
}

/// Adds the item, which then waits to be understood, and counts it; false, and nothing is written, when its `external_id` is there already.
pub async fn insert(tx: &mut Tx, item: &Item) -> Result<bool> {
    let encode = |value: &[Media]| (!value.is_empty()).then(|| serde_json::to_string(value)).transpose();
    let media = encode(&item.media).map_err(|error| Error::Database(error.to_string()))?;
    let added = tx
        .execute(
            "INSERT INTO inbox_items (organisation_id, id, class, status, platform, channel_id, conversation_id,
                 contact_id, message_id, external_id, kind, text, media, sender, metadata, occurred_at, created_at,
                 updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
             ON CONFLICT DO NOTHING",
            args![
                item.organisation_id,
                item.id,
                item.class,
                item.status,
                item.platform,
                item.channel_id,
                item.conversation_id,
                item.contact_id,
                item.message_id,
                item.external_id.as_ref(),
                item.kind,
                item.text.as_ref(),
                media,
                item.sender.as_ref(),
                item.metadata.as_ref(),
                item.occurred_at,
                item.created_at,
                item.updated_at,
            ],
        )
        .await?;
    if added == 1 {
        tx.count(item.organisation_id, Counter::Inbox(item.status), 1);
        crate::understanding::enqueue(tx, [(item.organisation_id, item.id)]).await?;
    }
    Ok(added == 1)
}
