//! Chat widgets, and the keys that embed tokens are signed with.

pub mod keys;

use kabar_domain::channel::{ChannelStatus, ConversationStatus};
use kabar_domain::inbound::IdentityKind;
use kabar_domain::message::{Direction, MessageKind, MessageStatus};
use kabar_domain::widget::{Appearance, Field, Languages, Texts};
use kabar_domain::{
    AccountId, ChannelId, ContactId, ConversationId, MessageId, OrganisationId, Timestamp, WidgetId,
};
use serde_json::{Value as Json, json};

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq)]
pub struct Widget {
    pub organisation_id: OrganisationId,
    pub id: WidgetId,
    pub account_id: AccountId,
    pub channel_id: ChannelId,
    pub slug: String,
    pub name: String,
    pub enabled: bool,
    /// `https://shop.example`, `https://*.example.com`.
    pub allowed_origins: Vec<String>,
    pub appearance: Appearance,
    pub texts: Languages<Texts>,
    pub default_language: String,
    pub fields: Vec<Field>,
    /// `None`: the organisation's.
    pub operating_hours: Option<Json>,
    pub whatsapp_channel_id: Option<ChannelId>,
    pub archived_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Of its channel, which can be archived by itself.
    pub channel_status: ChannelStatus,
}

impl Widget {
    /// Whether visitors may use it.
    pub fn is_live(&self) -> bool {
        self.enabled && self.archived_at.is_none() && self.channel_status != ChannelStatus::Archived
    }
}

const SELECT: &str = "SELECT w.organisation_id, w.id, w.account_id, w.channel_id, w.slug, w.name, w.enabled,
    w.allowed_origins, w.appearance, w.texts, w.default_language, w.fields, w.operating_hours,
    w.whatsapp_channel_id, w.archived_at, w.created_at, w.updated_at, c.status
    FROM widgets w JOIN channels c ON c.organisation_id = w.organisation_id AND c.id = w.channel_id
    WHERE w.organisation_id = ?";

fn widget(mut row: Row) -> Result<Widget> {
    Ok(Widget {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        account_id: row.get(2)?,
        channel_id: row.get(3)?,
        slug: row.get(4)?,
        name: row.get(5)?,
        enabled: row.get(6)?,
        allowed_origins: row.json(7)?.unwrap_or_default(),
        appearance: row.json(8)?.unwrap_or_default(),
        texts: row.json(9)?.unwrap_or_default(),
        default_language: row.get(10)?,
        fields: row.json(11)?.unwrap_or_default(),
        operating_hours: row.get(12)?,
        whatsapp_channel_id: row.get(13)?,
        archived_at: row.get(14)?,
        created_at: row.get(15)?,
        updated_at: row.get(16)?,
        channel_status: row.get(17)?,
    })
}

/// Fails with a conflict on `widgets_slug` (`widgets.slug`) when the slug is taken.
pub async fn insert(tx: &mut Tx, widget: &Widget) -> Result<()> {
    tx.execute(
        "INSERT INTO widgets (organisation_id, id, account_id, channel_id, slug, name, enabled, allowed_origins,
             appearance, texts, default_language, fields, operating_hours, whatsapp_channel_id, archived_at,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        args![
            widget.organisation_id,
            widget.id,
            widget.account_id,
            widget.channel_id,
            &widget.slug,
            &widget.name,
            widget.enabled,
            &json!(widget.allowed_origins),
            &json!(widget.appearance),
            &json!(widget.texts),
            &widget.default_language,
            &json!(widget.fields),
            widget.operating_hours.as_ref(),
            widget.whatsapp_channel_id,
            widget.archived_at,
            widget.created_at,
            widget.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// Writes what people may change, and the name of the channel and its account; a change of `archived_at` counts for
/// the channel too.
pub async fn update(tx: &mut Tx, widget: &Widget) -> Result<()> {
    tx.execute(
        "UPDATE widgets SET slug = $3, name = $4, enabled = $5, allowed_origins = $6, appearance = $7, texts = $8,
             default_language = $9, fields = $10, operating_hours = $11, whatsapp_channel_id = $12,
             archived_at = $13, updated_at = $14
         WHERE organisation_id = $1 AND id = $2",
        args![
            widget.organisation_id,
            widget.id,
            &widget.slug,
            &widget.name,
            widget.enabled,
            &json!(widget.allowed_origins),
            &json!(widget.appearance),
            &json!(widget.texts),
            &widget.default_language,
            &json!(widget.fields),
            widget.operating_hours.as_ref(),
            widget.whatsapp_channel_id,
            widget.archived_at,
            widget.updated_at,
        ],
    )
    .await?;
    tx.execute(
        "UPDATE channels SET display_name = $3, status = $4, archived_at = $5, updated_at = $6
         WHERE organisation_id = $1 AND id = $2",
        args![
            widget.organisation_id,
            widget.channel_id,
            &widget.name,
            widget.channel_status,
            widget.archived_at,
            widget.updated_at,
        ],
    )
    .await?;
    tx.execute(
        "UPDATE accounts SET display_name = $3, updated_at = $4 WHERE organisation_id = $1 AND id = $2",
        args![widget.organisation_id, widget.account_id, &widget.name, widget.updated_at],
    )
    .await?;
    Ok(())
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: WidgetId) -> Result<Option<Widget>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND w.id = ?", args![id]);
    select.fetch_optional(db).await?.map(widget).transpose()
}

/// [`find`], and nobody else changes it until the transaction ends.
pub async fn find_to_change(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: WidgetId,
) -> Result<Option<Widget>> {
    let lock = tx.lock_of("w");
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND w.id = ?", args![id]).push(&lock, Vec::new());
    select.fetch_optional(tx).await?.map(widget).transpose()
}

pub async fn find_slug(db: &mut impl Db, organisation: OrganisationId, slug: &str) -> Result<Option<Widget>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND w.slug = ?", args![slug]);
    select.fetch_optional(db).await?.map(widget).transpose()
}

/// Which widgets to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Nothing beyond the widgets of these channels.
    pub within: Option<&'a [ChannelId]>,
    /// In or out of use; both without it.
    pub archived: Option<bool>,
}

impl Filter<'_> {
    fn apply(self, select: &mut Select) {
        if let Some(channels) = self.within {
            select.push_in("AND w.channel_id IN", channels.iter().map(|id| id.value()).collect());
        }
        match self.archived {
            Some(true) => select.push("AND w.archived_at IS NOT NULL", Vec::new()),
            Some(false) => select.push("AND w.archived_at IS NULL", Vec::new()),
            None => select,
        };
    }
}

/// Oldest first; in or out of use, both without `archived`.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: Filter<'_>,
    window: Window<WidgetId>,
) -> Result<Vec<Widget>> {
    let mut select = Select::new(SELECT, args![organisation]);
    filter.apply(&mut select);
    select.push_some("AND w.id > ?", window.after.map(Bind::value));
    select.push("ORDER BY w.id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(widget).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: Filter<'_>) -> Result<i64> {
    let mut select =
        Select::new("SELECT COUNT(*) FROM widgets w WHERE w.organisation_id = ?", args![organisation]);
    filter.apply(&mut select);
    select.count(db).await
}

/// A visitor who has written, or has been written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    pub contact_id: ContactId,
    pub conversation_id: ConversationId,
    pub status: ConversationStatus,
}

/// What a visitor and a widget's organisation said to each other.
pub async fn thread(
    db: &mut impl Db,
    organisation: OrganisationId,
    channel: ChannelId,
    subject: &str,
) -> Result<Option<Thread>> {
    db.fetch(
        "SELECT i.contact_id, v.id, v.status FROM contact_identities i
         JOIN conversations v ON v.organisation_id = i.organisation_id AND v.peer_id = i.contact_id
             AND v.channel_id = $2 AND v.topic = ''
         WHERE i.organisation_id = $1 AND i.kind = $3 AND i.value = $4",
        args![organisation, channel, IdentityKind::Widget, subject],
    )
    .await?
    .pop()
    .map(|mut row| Ok(Thread { contact_id: row.get(0)?, conversation_id: row.get(1)?, status: row.get(2)? }))
    .transpose()
}

/// Messages to a visitor that have not been read yet, the newest first, `limit` at most. Only those that got no
/// further than `status`, and no later than `upto`.
pub async fn unread(
    db: &mut impl Db,
    organisation: OrganisationId,
    conversation: ConversationId,
    status: MessageStatus,
    upto: Option<(Timestamp, MessageId)>,
    limit: i64,
) -> Result<Vec<MessageId>> {
    let mut select = Select::new(
        "SELECT id FROM messages WHERE organisation_id = ? AND conversation_id = ? AND direction = ?
             AND status BETWEEN ? AND ? AND kind <> ?",
        args![
            organisation,
            conversation,
            Direction::Outbound,
            MessageStatus::Sent,
            status,
            MessageKind::Reaction
        ],
    );
    if let Some((at, id)) = upto {
        select.push("AND (sort_at, id) <= (?, ?)", args![at, id]);
    }
    select.push("ORDER BY sort_at DESC, id DESC LIMIT ?", args![limit]);
    select.fetch(db).await?.into_iter().map(|mut row| row.get(0)).collect()
}
