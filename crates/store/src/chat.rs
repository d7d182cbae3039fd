//! Questions put to people in chats, until they are answered.

use kabar_domain::{ConversationId, EntryId, InboxItemId, MessageId, OrganisationId, Timestamp};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};

#[derive(Clone, Debug)]
pub struct Question {
    pub id: EntryId,
    pub conversation_id: ConversationId,
    /// What it is about.
    pub item_id: InboxItemId,
    pub kind: String,
    /// Depends on the kind.
    pub data: Json,
    /// With which it was asked.
    pub message_id: Option<MessageId>,
}

pub async fn ask(
    tx: &mut Tx,
    organisation: OrganisationId,
    question: &Question,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO chat_questions (organisation_id, id, conversation_id, item_id, kind, data, message_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            organisation,
            question.id,
            question.conversation_id,
            question.item_id,
            &question.kind,
            &question.data,
            question.message_id,
            now
        ],
    )
    .await?;
    Ok(())
}

/// The questions of a conversation that wait for an answer since `since`, the latest first.
pub async fn open(
    db: &mut impl Db,
    organisation: OrganisationId,
    conversation: ConversationId,
    since: Timestamp,
) -> Result<Vec<Question>> {
    let sql = "SELECT id, conversation_id, item_id, kind, data, message_id FROM chat_questions
               WHERE organisation_id = $1 AND conversation_id = $2 AND answered_at IS NULL AND created_at >= $3
               ORDER BY id DESC LIMIT 20";
    db.fetch(sql, args![organisation, conversation, since])
        .await?
        .into_iter()
        .map(|mut row| {
            Ok(Question {
                id: row.get(0)?,
                conversation_id: row.get(1)?,
                item_id: row.get(2)?,
                kind: row.get(3)?,
                data: row.json(4)?.unwrap_or_default(),
                message_id: row.get(5)?,
            })
        })
        .collect()
}

/// The first answer counts: `false` when there was one.
pub async fn answered(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: EntryId,
    now: Timestamp,
) -> Result<bool> {
    let sql = "UPDATE chat_questions SET answered_at = $3
               WHERE organisation_id = $1 AND id = $2 AND answered_at IS NULL";
    Ok(tx.execute(sql, args![organisation, id, now]).await? == 1)
}
