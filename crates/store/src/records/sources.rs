//! The inbox items that records are made of.

use kabar_domain::{
    ChannelId, ContactId, ConversationId, InboxItemId, MessageId, OrganisationId, RecordId, Timestamp,
};

use crate::args;
use crate::error::Result;
use crate::select::Select;
use crate::store::{Db, Tx};
use crate::value::Bind;

/// An inbox item that a record was made of, or that was added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub item_id: InboxItemId,
    pub message_id: Option<MessageId>,
    pub contact_id: Option<ContactId>,
    pub conversation_id: Option<ConversationId>,
    pub channel_id: Option<ChannelId>,
}

/// False, and nothing is written, when the item belongs to a record already.
pub async fn add_item(
    tx: &mut Tx,
    organisation: OrganisationId,
    record: RecordId,
    source: Source,
    now: Timestamp,
) -> Result<bool> {
    let added = tx
        .execute(
            "INSERT INTO record_items (organisation_id, record_id, item_id, message_id, contact_id, conversation_id,
                 channel_id, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
            args![
                organisation,
                record,
                source.item_id,
                source.message_id,
                source.contact_id,
                source.conversation_id,
                source.channel_id,
                now,
            ],
        )
        .await?;
    Ok(added == 1)
}

/// Everything that a record, and those merged into it, were made of, oldest first: whom to tell, and where.
pub async fn sources(
    db: &mut impl Db,
    organisation: OrganisationId,
    record: RecordId,
) -> Result<Vec<Source>> {
    let mut whole = vec![record];
    whole.extend(parts_of(db, organisation, &[record]).await?.into_iter().map(|(part, _)| part));
    let mut select = Select::new(
        "SELECT i.item_id, i.message_id, i.contact_id, i.conversation_id, i.channel_id FROM record_items i
         WHERE i.organisation_id = ?",
        args![organisation],
    );
    select.push_in("AND i.record_id IN", whole.into_iter().map(Bind::value).collect());
    select.push("ORDER BY i.item_id", Vec::new());
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(Source {
                item_id: row.get(0)?,
                message_id: row.get(1)?,
                contact_id: row.get(2)?,
                conversation_id: row.get(3)?,
                channel_id: row.get(4)?,
            })
        })
        .collect()
}

/// What was merged into these problems, each with the one it was merged into.
pub async fn parts_of(
    db: &mut impl Db,
    organisation: OrganisationId,
    records: &[RecordId],
) -> Result<Vec<(RecordId, RecordId)>> {
    let mut select = Select::new(
        "SELECT r.id, r.merged_into FROM records r WHERE r.organisation_id = ? AND r.kind = 2",
        args![organisation],
    );
    select.push_in("AND r.merged_into IN", records.iter().map(|id| id.value()).collect());
    let rows = select.fetch(db).await?;
    rows.into_iter().map(|mut row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// The messages each of these records was made of, oldest first.
pub async fn message_ids(
    db: &mut impl Db,
    organisation: OrganisationId,
    records: &[RecordId],
) -> Result<Vec<(RecordId, MessageId)>> {
    let mut select = Select::new(
        "SELECT i.record_id, i.message_id FROM record_items i
         WHERE i.organisation_id = ? AND i.message_id IS NOT NULL",
        args![organisation],
    );
    select.push_in("AND i.record_id IN", records.iter().map(|id| id.value()).collect());
    select.push("ORDER BY i.message_id", Vec::new());
    let rows = select.fetch(db).await?;
    rows.into_iter().map(|mut row| Ok((row.get(0)?, row.get(1)?))).collect()
}
