//! Attempts that another came after: the provider may still speak of them, and says everything at least once.

use kabar_domain::{MessageId, OrganisationId};
use uuid::Uuid;

use super::Attempt;
use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};

/// How often a sender began to send a message.
pub async fn attempts(db: &mut impl Db, organisation: OrganisationId, id: MessageId) -> Result<i64> {
    let mut rows = db
        .fetch(
            "SELECT COUNT(*) FROM outbound_attempts WHERE organisation_id = $1 AND message_id = $2",
            args![organisation, id],
        )
        .await?;
    rows.first_mut().map_or(Ok(0), |row| row.get(0))
}

/// Which attempt a report is about that gives a provider's id no message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The one under way, or the last one.
    Current,
    /// One whose answer was lost; another is to come.
    Lost,
    /// One whose answer was lost, or the one under way.
    Unclear,
    /// One that had this id; another came after it, or is to come.
    Past,
}

/// Of a message that is locked.
pub async fn about(tx: &mut Tx, organisation: OrganisationId, id: MessageId, key: Uuid) -> Result<About> {
    let mut rows = tx
        .fetch(
            "SELECT a.state, a.provider_key, q.message_id IS NOT NULL, q.lease_until IS NOT NULL
             FROM outbound_attempts a LEFT JOIN outbound_queue q
                 ON q.organisation_id = a.organisation_id AND q.message_id = a.message_id
             WHERE a.organisation_id = $1 AND a.message_id = $2",
            args![organisation, id],
        )
        .await?;
    let (mut is_lost, mut is_queued, mut is_leased) = (false, false, false);
    for row in &mut rows {
        let (state, known): (String, Option<Uuid>) = (row.get(0)?, row.get(1)?);
        if known == Some(key) {
            return Ok(About::Past);
        }
        is_lost |= state == "uncertain" && known.is_none();
        (is_queued, is_leased) = (row.get(2)?, row.get(3)?);
    }
    Ok(match (is_queued, is_leased) {
        (true, false) => About::Lost,
        (true, true) if is_lost => About::Unclear,
        _ => About::Current,
    })
}

/// The attempt whose answer was lost had this id, and sent nothing.
pub async fn lost_failed(tx: &mut Tx, organisation: OrganisationId, id: MessageId, key: Uuid) -> Result<()> {
    tx.execute(
        "UPDATE outbound_attempts SET state = 'failed', provider_key = $3
         WHERE organisation_id = $1 AND message_id = $2 AND attempt = (SELECT MAX(o.attempt) FROM outbound_attempts o
             WHERE o.organisation_id = $1 AND o.message_id = $2 AND o.state = 'uncertain' AND o.provider_key IS NULL)",
        args![organisation, id, key],
    )
    .await?;
    Ok(())
}

/// Notes the provider's id of an attempt whose message goes by another.
pub async fn keep_key(tx: &mut Tx, attempt: Attempt, key: Uuid) -> Result<()> {
    tx.execute(
        "UPDATE outbound_attempts SET provider_key = $4
         WHERE organisation_id = $1 AND message_id = $2 AND attempt = $3",
        args![attempt.organisation_id, attempt.message_id, attempt.number, key],
    )
    .await?;
    Ok(())
}

/// A message that is about to be sent again leaves the provider's id with its last attempt.
pub(super) async fn leave_key(tx: &mut Tx, organisation: OrganisationId, id: MessageId) -> Result<()> {
    tx.execute(
        "UPDATE outbound_attempts SET provider_key = m.provider_key FROM messages m
         WHERE m.organisation_id = $1 AND m.id = $2 AND m.provider_key IS NOT NULL AND m.status IN (30, 40, 80)
           AND outbound_attempts.organisation_id = $1 AND outbound_attempts.message_id = $2
           AND outbound_attempts.attempt = (SELECT MAX(o.attempt) FROM outbound_attempts o
               WHERE o.organisation_id = $1 AND o.message_id = $2)",
        args![organisation, id],
    )
    .await?;
    Ok(())
}
