//! Conversations: the threads between us and one contact, or one group topic, on one channel.

use kabar_domain::channel::{ChannelKind, ConversationStatus, Priority};
use kabar_domain::message::Platform;
use kabar_domain::{ChannelId, ContactId, ConversationId, OrganisationId, Timestamp};

use crate::args;
use crate::counters::{self, Counter};
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// A conversation with what a list shows of its channel and contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    pub organisation_id: OrganisationId,
    pub id: ConversationId,
    pub channel_id: ChannelId,
    pub contact_id: Option<ContactId>,
    /// The topic inside a group; empty without one.
    pub topic: String,
    /// A group's name.
    pub title: Option<String>,
    pub status: ConversationStatus,
    pub priority: Priority,
    pub unread_count: i64,
    pub message_count: i64,
    pub last_message_at: Timestamp,
    pub last_inbound_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub contact: Option<ContactFacts>,
    pub platform: Option<Platform>,
    pub channel_kind: Option<ChannelKind>,
    /// Since when its channel has been connected.
    pub connected_at: Option<Timestamp>,
    /// When WhatsApp last refused a message because more than 24 hours had passed.
    pub window_refused_at: Option<Timestamp>,
}

/// What a conversation shows of its contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactFacts {
    pub id: ContactId,
    pub name: Option<String>,
    pub wa_id: Option<String>,
    pub phone: Option<String>,
    pub username: Option<String>,
}

/// Where a conversation stands in the list.
pub type Place = (Timestamp, ConversationId);

const COLUMNS: &str = "SELECT v.organisation_id, v.id, v.channel_id, v.contact_id, v.topic, v.title, v.status,
    v.priority, v.unread_count, v.message_count, v.last_message_at, v.last_inbound_at, v.created_at, v.updated_at,
    p.id, p.name, p.wa_id, p.phone, p.username, c.platform, c.kind, c.connected_at,
    v.window_refused_at";

const JOINS: &str = "LEFT JOIN contacts p ON p.organisation_id = v.organisation_id AND p.id = v.contact_id
    LEFT JOIN channels c ON c.organisation_id = v.organisation_id AND c.id = v.channel_id";

fn conversation(mut row: Row) -> Result<Conversation> {
    let person: Option<ContactId> = row.get(14)?;
    Ok(Conversation {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        channel_id: row.get(2)?,
        contact_id: row.get(3)?,
        topic: row.get(4)?,
        title: row.get(5)?,
        status: row.get(6)?,
        priority: row.get(7)?,
        unread_count: row.get(8)?,
        message_count: row.get(9)?,
        last_message_at: row.get(10)?,
        last_inbound_at: row.get(11)?,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
        contact: match person {
            Some(id) => Some(ContactFacts {
                id,
                name: row.get(15)?,
                wa_id: row.get(16)?,
                phone: row.get(17)?,
                username: row.get(18)?,
            }),
            None => None,
        },
        platform: row.get(19)?,
        channel_kind: row.get(20)?,
        connected_at: row.get(21)?,
        window_refused_at: row.get(22)?,
    })
}

/// Which conversations to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Nothing beyond these channels.
    pub within: Option<&'a [ChannelId]>,
    pub status: Option<ConversationStatus>,
    pub channel: Option<ChannelId>,
    pub contact: Option<ContactId>,
}

impl Filter<'_> {
    fn apply(self, select: &mut Select) {
        if let Some(channels) = self.within {
            select.push_in("AND v.channel_id IN", channels.iter().map(|id| id.value()).collect());
        }
        // Written out, not a parameter: only then can a planner tell that the index of the few that are not
        // open holds all of them.
        match self.status {
            Some(ConversationStatus::Open) => select.push("AND v.status = 1", Vec::new()),
            Some(status) => {
                select.push(&format!("AND v.status = {} AND v.status <> 1", status.code()), Vec::new())
            }
            None => select,
        };
        select.push_some("AND v.channel_id = ?", self.channel.map(Bind::value));
        // The peer of a direct conversation is its contact, and has an index.
        select.push_some("AND v.peer_id = ?", self.contact.map(Bind::value));
    }
}

/// Freshest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: Filter<'_>,
    window: Window<Place>,
) -> Result<Vec<Conversation>> {
    const ORDER: &str = "ORDER BY v.last_message_at DESC, v.id DESC";
    // First the places, out of an index alone; then the rows of this page. Rows passed over are never read.
    let mut select = Select::new(COLUMNS, Vec::new());
    select.push(
        "FROM (SELECT v.organisation_id AS org, v.id AS id FROM conversations v WHERE v.organisation_id = ?",
        args![organisation],
    );
    let page = |select: &mut Select| {
        filter.apply(select);
        if let Some((at, id)) = window.after {
            select.push("AND (v.last_message_at, v.id) < (?, ?)", args![at, id]);
        }
        select.push(&format!("{ORDER} LIMIT ? OFFSET ?"), args![window.limit, window.offset]);
    };
    let join = format!(") k JOIN conversations v ON v.organisation_id = k.org AND v.id = k.id {JOINS}");
    if let Some(contact) = filter.contact {
        // A contact has few conversations: all of them are read and sorted. The limit does not limit; it keeps a
        // planner from taking the parts together and walking every conversation in order instead.
        select.push("AND v.peer_id = ? LIMIT ?", args![contact, i64::MAX]).push(&join, Vec::new());
        page(select.push("WHERE v.organisation_id = ?", args![organisation]));
    } else {
        page(&mut select);
        select.push(&join, Vec::new()).push(ORDER, Vec::new());
    }
    select.fetch(db).await?.into_iter().map(conversation).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: Filter<'_>) -> Result<i64> {
    if filter.contact.is_none() && filter.within.is_none() {
        return counters::conversations(db, organisation, filter.channel, filter.status).await;
    }
    let mut select =
        Select::new("SELECT COUNT(*) FROM conversations v WHERE v.organisation_id = ?", args![organisation]);
    filter.apply(&mut select);
    select.count(db).await
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: ConversationId,
) -> Result<Option<Conversation>> {
    let mut select = Select::new(COLUMNS, Vec::new());
    select.push("FROM conversations v", Vec::new()).push(JOINS, Vec::new());
    select.push("WHERE v.organisation_id = ? AND v.id = ?", args![organisation, id]);
    select.fetch_optional(db).await?.map(conversation).transpose()
}

/// What people change about a conversation; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    pub status: Option<ConversationStatus>,
    pub priority: Option<Priority>,
    pub unread_count: Option<i64>,
}

/// Applies `change` and keeps the counters; false when there is no such conversation.
pub async fn update(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: ConversationId,
    change: Change,
    now: Timestamp,
) -> Result<bool> {
    let sql = format!(
        "SELECT channel_id, status FROM conversations WHERE organisation_id = $1 AND id = $2 {}",
        tx.lock_rows()
    );
    let Some(mut row) = tx.fetch(&sql, args![organisation, id]).await?.into_iter().next() else {
        return Ok(false);
    };
    let (channel, before): (ChannelId, ConversationStatus) = (row.get(0)?, row.get(1)?);
    tx.execute(
        "UPDATE conversations SET status = COALESCE($3, status), priority = COALESCE($4, priority),
             unread_count = COALESCE($5, unread_count), updated_at = $6
         WHERE organisation_id = $1 AND id = $2",
        args![organisation, id, change.status, change.priority, change.unread_count, now],
    )
    .await?;
    if let Some(after) = change.status.filter(|after| *after != before) {
        tx.count(organisation, Counter::Conversations(channel, before), -1);
        tx.count(organisation, Counter::Conversations(channel, after), 1);
    }
    Ok(true)
}
