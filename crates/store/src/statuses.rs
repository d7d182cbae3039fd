//! Delivery reports: what they find, and what they change.

use std::collections::HashMap;

use kabar_domain::message::MessageStatus;
use kabar_domain::{AccountId, ConversationId, MessageId, OrganisationId, Timestamp};
use uuid::Uuid;

use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::value::Bind;

/// An outbound message as a delivery report finds it.
#[derive(Clone, Copy, Debug)]
pub struct Reported {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub status: MessageStatus,
}

/// An outbound message, locked until the transaction ends.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    pub reported: Reported,
    pub account_id: AccountId,
    /// `None` until the provider answered.
    pub provider_key: Option<Uuid>,
}

/// Which messages have these provider keys, as it is now; [`lock`] them before they are changed.
pub async fn resolve(tx: &mut Tx, keys: Vec<(OrganisationId, Uuid)>) -> Result<Vec<(Uuid, MessageId)>> {
    let mut rows = Rows::new(&[("org", of::<OrganisationId>()), ("provider_key", of::<Uuid>())]);
    for (organisation, key) in keys {
        rows.push([organisation.value(), key.value()]);
    }
    tx.bulk_fetch(
        "SELECT m.provider_key, m.id FROM {rows} JOIN messages m
         ON m.organisation_id = u.org AND m.provider_key = u.provider_key",
        rows,
    )
    .await?
    .iter_mut()
    .map(|row| Ok((row.get(0)?, row.get(1)?)))
    .collect()
}

/// Outbound messages by id, all locked in one go and in the order that everybody locks them in. It waits for a sender
/// that is just writing one down: what it then finds is current.
pub async fn lock(
    tx: &mut Tx,
    mut ids: Vec<(OrganisationId, MessageId)>,
) -> Result<HashMap<MessageId, Locked>> {
    ids.sort_unstable_by_key(|(_, id)| *id);
    ids.dedup();
    let mut rows = Rows::new(&[("org", of::<OrganisationId>()), ("message", of::<MessageId>())]);
    for (organisation, id) in ids {
        rows.push([organisation.value(), id.value()]);
    }
    let lock = tx.for_update();
    let sql = format!(
        "SELECT m.id, m.conversation_id, m.status, m.account_id, m.provider_key FROM {{rows}} JOIN messages m
         ON m.organisation_id = u.org AND m.id = u.message AND m.direction = 2 {lock}"
    );
    tx.bulk_fetch(&sql, rows)
        .await?
        .iter_mut()
        .map(|row| {
            let reported = Reported { id: row.get(0)?, conversation_id: row.get(1)?, status: row.get(2)? };
            Ok((reported.id, Locked { reported, account_id: row.get(3)?, provider_key: row.get(4)? }))
        })
        .collect()
}

/// Gives a message the provider's id for it.
pub async fn name(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: MessageId,
    provider_message_id: &str,
    key: Uuid,
) -> Result<()> {
    tx.execute(
        "UPDATE messages SET provider_message_id = $1, provider_key = $2 WHERE organisation_id = $3 AND id = $4",
        args![provider_message_id, key, organisation, id],
    )
    .await?;
    Ok(())
}

/// A message's new standing. Times that are absent stay as they are.
#[derive(Clone, Debug)]
pub struct Advance {
    pub organisation_id: OrganisationId,
    pub id: MessageId,
    pub status: MessageStatus,
    pub sent_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    /// JSON of the provider's error.
    pub error: Option<String>,
}

pub async fn advance(tx: &mut Tx, advances: Vec<Advance>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("message", of::<MessageId>()),
        ("new_status", of::<MessageStatus>()),
        ("sent", of::<i64>()),
        ("delivered", of::<i64>()),
        ("seen", of::<i64>()),
        ("failed", of::<i64>()),
        ("problem", of::<String>()),
    ]);
    for change in advances {
        rows.push([
            change.organisation_id.value(),
            change.id.value(),
            change.status.value(),
            change.sent_at.value(),
            change.delivered_at.value(),
            change.read_at.value(),
            change.failed_at.value(),
            change.error.value(),
        ]);
    }
    tx.bulk_execute(
        "UPDATE messages SET status = u.new_status,
             sent_at = COALESCE(sent_at, u.sent), delivered_at = COALESCE(delivered_at, u.delivered),
             read_at = COALESCE(read_at, u.seen), failed_at = COALESCE(failed_at, u.failed),
             error = CASE WHEN u.new_status = 80 AND status = 80 THEN error WHEN u.new_status = 80 THEN u.problem
                          WHEN u.new_status >= 40 THEN NULL ELSE error END
         FROM {rows} WHERE messages.organisation_id = u.org AND messages.id = u.message",
        rows,
    )
    .await?;
    Ok(())
}

/// A delivery report that came before its message.
#[derive(Clone, Debug)]
pub struct Early {
    pub organisation_id: OrganisationId,
    pub provider_key: Uuid,
    pub status: MessageStatus,
    pub callback_data: Option<String>,
    pub error: Option<String>,
    pub occurred_at: Timestamp,
}

pub async fn keep_early(tx: &mut Tx, early: Vec<Early>, now: Timestamp) -> Result<()> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("provider_key", of::<Uuid>()),
        ("status", of::<MessageStatus>()),
        ("callback_data", of::<String>()),
        ("error", of::<String>()),
        ("occurred_at", of::<i64>()),
        ("received_at", of::<i64>()),
    ]);
    for report in early {
        rows.push([
            report.organisation_id.value(),
            report.provider_key.value(),
            report.status.value(),
            report.callback_data.value(),
            report.error.value(),
            report.occurred_at.value(),
            now.value(),
        ]);
    }
    tx.bulk_insert("early_statuses", rows, "ON CONFLICT DO NOTHING").await?;
    Ok(())
}

/// Takes the reports that waited for this message, in the order of their rank.
pub async fn take_early(tx: &mut Tx, organisation: OrganisationId, key: Uuid) -> Result<Vec<Early>> {
    let mut rows = tx
        .fetch(
            "DELETE FROM early_statuses WHERE organisation_id = $1 AND provider_key = $2
             RETURNING status, callback_data, error, occurred_at",
            args![organisation, key],
        )
        .await?;
    let mut early = rows
        .iter_mut()
        .map(|row| {
            Ok(Early {
                organisation_id: organisation,
                provider_key: key,
                status: row.get(0)?,
                callback_data: row.get(1)?,
                error: row.get(2)?,
                occurred_at: row.get(3)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    early.sort_by_key(|report| report.status.code());
    Ok(early)
}

/// Reports received since `since` whose message is there by now: it was stored while they were. Organisation and
/// provider key of each.
pub async fn overtaken(
    db: &mut impl Db,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<(OrganisationId, Uuid)>> {
    db.fetch(
        "SELECT e.organisation_id, e.provider_key FROM early_statuses e
         JOIN messages m ON m.organisation_id = e.organisation_id AND m.provider_key = e.provider_key
             AND m.direction = 2
         WHERE e.received_at >= $1 ORDER BY e.received_at LIMIT $2",
        args![since, limit],
    )
    .await?
    .iter_mut()
    .map(|row| Ok((row.get(0)?, row.get(1)?)))
    .collect()
}

/// Forgets up to `limit` reports whose message never came (sent by another application over the same number).
pub async fn forget_early(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM early_statuses WHERE (organisation_id, provider_key, status) IN (
             SELECT organisation_id, provider_key, status FROM early_statuses WHERE received_at < $1 LIMIT $2)",
        args![before, limit],
    )
    .await
}
