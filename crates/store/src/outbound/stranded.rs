//! What waits at accounts that are out of service.

use kabar_domain::message::{MessageStatus, Platform};
use kabar_domain::{AccountId, ConversationId, MessageId, OrganisationId, Timestamp};

use super::free_lanes;
use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::value::Bind;

/// Of [`super::Chores`]: a retired account with a message at the head of a lane. A sender gave it back, or it was
/// queued while the account was retired.
pub(super) const STRANDED: &str = "FROM accounts a WHERE a.retired_at IS NOT NULL AND EXISTS
    (SELECT 1 FROM outbound_queue q WHERE q.account_id = a.id AND q.ready_at IS NOT NULL)";

/// Retired accounts with something to send.
pub async fn stranded(db: &mut impl Db) -> Result<Vec<(OrganisationId, AccountId, Platform)>> {
    let sql = format!("SELECT a.organisation_id, a.id, a.platform {STRANDED} ORDER BY a.id");
    db.fetch(&sql, args![]).await?.iter_mut().map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).collect()
}

/// What became of messages that could not leave over their account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenOver {
    /// They wait at the heir now.
    pub moved: Vec<MessageId>,
    /// They are not sent.
    pub failed: Vec<(MessageId, ConversationId)>,
}

/// Hands what waits at a retired account to `heir`; without one it fails with `error` (JSON). At most `limit`, and
/// nothing that a sender is just working on.
pub async fn give_over(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    heir: Option<AccountId>,
    error: &str,
    now: Timestamp,
    limit: i64,
) -> Result<GivenOver> {
    let waiting: Vec<(MessageId, ConversationId)> = tx
        .fetch(
            "SELECT message_id, conversation_id FROM outbound_queue
             WHERE organisation_id = $1 AND account_id = $2 AND lease_until IS NULL ORDER BY message_id LIMIT $3",
            args![organisation, account, limit],
        )
        .await?
        .iter_mut()
        .map(|row| Ok((row.get(0)?, row.get(1)?)))
        .collect::<Result<_>>()?;
    let mut given = GivenOver::default();
    if let Some(heir) = heir {
        let rows = rows(organisation, waiting.iter().map(|(message, _)| *message), heir);
        given.moved = tx
            .bulk_fetch(
                "UPDATE outbound_queue SET account_id = u.account FROM {rows}
                 WHERE outbound_queue.organisation_id = u.org AND outbound_queue.message_id = u.message
                   AND outbound_queue.lease_until IS NULL RETURNING message_id",
                rows,
            )
            .await?
            .iter_mut()
            .map(|row| row.get(0))
            .collect::<Result<_>>()?;
        tx.bulk_execute(
            "UPDATE messages SET account_id = u.account FROM {rows}
             WHERE messages.organisation_id = u.org AND messages.id = u.message",
            self::rows(organisation, given.moved.iter().copied(), heir),
        )
        .await?;
        return Ok(given);
    }
    let lanes: Vec<_> = waiting.iter().map(|(_, lane)| *lane).collect();
    tx.lock_lanes(lanes.iter().copied()).await?;
    for (message, lane) in waiting {
        if super::take_out(tx, organisation, message, false).await?.is_some() {
            tx.execute(
                "UPDATE messages SET status = $3, failed_at = $4, error = $5
                 WHERE organisation_id = $1 AND id = $2 AND status < 40",
                args![organisation, message, MessageStatus::Failed, now, error],
            )
            .await?;
            given.failed.push((message, lane));
        }
    }
    free_lanes(tx, &lanes).await?;
    Ok(given)
}

fn rows(organisation: OrganisationId, messages: impl Iterator<Item = MessageId>, account: AccountId) -> Rows {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("message", of::<MessageId>()),
        ("account", of::<AccountId>()),
    ]);
    for message in messages {
        rows.push([organisation.value(), message.value(), account.value()]);
    }
    rows
}
