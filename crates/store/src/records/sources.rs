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
    let rows = db
        .fetch(
            "SELECT i.item_id, i.message_id, i.contact_id, i.conversation_id, i.channel_id FROM record_items i
             WHERE i.organisation_id = $1 AND (i.record_id = $2 OR i.record_id IN
                 (SELECT r.id FROM records r WHERE r.organisation_id = $1 AND r.merged_into = $2))
             ORDER BY i.item_id",
            args![organisation, record],
        )
        .await?;
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

/// Of each record, the messages it and those merged into it were made of, oldest first.
pub async fn message_ids(
    db: &mut impl Db,
    organisation: OrganisationId,
    records: &[RecordId],
) -> Result<Vec<(RecordId, MessageId)>> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = Select::new(
        "SELECT COALESCE(r.merged_into, r.id), i.message_id, r.id FROM records r
         JOIN record_items i ON i.organisation_id = r.organisation_id AND i.record_id = r.id
         WHERE r.organisation_id = ? AND i.message_id IS NOT NULL",
        args![organisation],
    );
    let values = || records.iter().map(|id| id.value()).collect::<Vec<_>>();
    select.push_in("AND (r.id IN", values()).push_in("OR r.merged_into IN", values());
    select.push(") ORDER BY i.message_id", Vec::new());
    let mut found = Vec::new();
    for mut row in select.fetch(db).await? {
        let (whole, message, own): (RecordId, MessageId, RecordId) = (row.get(0)?, row.get(1)?, row.get(2)?);
        found.push((own, message));
        if whole != own {
            found.push((whole, message));
        }
    }
    Ok(found)
}
