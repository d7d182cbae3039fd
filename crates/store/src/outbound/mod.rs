//! The outbound queue: leases, attempts, and what became of them.
//!
//! One lane per conversation, and only the head of a lane may be leased. A lease and its attempt row are written
//! before the provider is called, and every later write is fenced on the attempt's number, so a sender that was
//! thought dead cannot undo what another did.
//!
//! Locks are taken in one order: conversations, messages, lanes ([`Tx::lock_lanes`]), accounts.

mod accounts;
mod attempts;
mod dead;
mod fallback;
mod lease;
mod outlook;
mod queue;
mod stranded;

pub use accounts::{PairAnswer, forget_pairs, hold, let_go, pair_answered, provider_answered, turn_back};
pub use attempts::{About, about, attempts, keep_key, lost_failed};
pub use dead::{DeadLetter, announce, count_dead, forget_dead, list_dead, note_dead};
pub use fallback::{Fallback, fall_back, window_refused};
pub use lease::{Leased, Leases, Ready, TROUBLED, lease, ready_accounts};
pub use outlook::{Backlog, Outlook, backlog, outlook};
pub use queue::{NewOutbound, admit_scheduled, enqueue, free_lanes, send_again};
pub use stranded::{GivenOver, give_over, stranded};

use std::time::Duration;

use kabar_domain::{AccountId, ConversationId, MessageId, OrganisationId, Timestamp};
use uuid::Uuid;

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};

/// A sender at work extends its leases, and ends them when it can write again. One that ran out so long ago it has lost;
/// it is longer than clocks are set by, since a message may be under way while one is.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// Which attempt of which message, whose.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub organisation_id: OrganisationId,
    pub message_id: MessageId,
    pub number: i64,
    pub owner: Uuid,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Accepted,
    Failed,
    Uncertain,
    /// To be tried again at this time. `counts`: it was the message's own failure.
    Retry {
        due: Timestamp,
        counts: bool,
    },
}

impl Ended {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
            Self::Retry { .. } => "retry",
        }
    }
}

/// Who waits longer than this for the next attempt does so beside the lane: what was said later goes on.
const ASIDE: Duration = Duration::from_mins(1);

/// Ends an attempt and the lease; afterwards [`free_lanes`] lets its lane go on. `false`: the lease was lost
/// meanwhile, and nothing was written but the attempt's own outcome.
pub async fn end(
    tx: &mut Tx,
    attempt: Attempt,
    ended: Ended,
    error: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    tx.execute(
        "UPDATE outbound_attempts SET state = $1, error = $2, finished_at = $3
         WHERE organisation_id = $4 AND message_id = $5 AND attempt = $6 AND state <> 'accepted'",
        args![ended.as_str(), error, now, attempt.organisation_id, attempt.message_id, attempt.number],
    )
    .await?;
    let changed = match ended {
        Ended::Retry { due, counts } => {
            tx.execute(
                "UPDATE outbound_queue SET lease_owner = NULL, lease_until = NULL, due_at = $1,
                     ready_at = CASE WHEN $7 THEN NULL ELSE $1 END,
                     position = CASE WHEN $7 THEN NULL ELSE position END,
                     send_at = CASE WHEN $7 THEN $1 ELSE send_at END,
                     failures = failures + $6
                 WHERE organisation_id = $2 AND message_id = $3 AND attempt = $4 AND lease_owner = $5",
                args![
                    due,
                    attempt.organisation_id,
                    attempt.message_id,
                    attempt.number,
                    attempt.owner,
                    i64::from(counts),
                    due > now.plus(ASIDE)
                ],
            )
            .await?
        }
        _ => {
            tx.execute(
                "DELETE FROM outbound_queue
                 WHERE organisation_id = $1 AND message_id = $2 AND attempt = $3 AND lease_owner = $4",
                args![attempt.organisation_id, attempt.message_id, attempt.number, attempt.owner],
            )
            .await?
        }
    };
    Ok(changed == 1)
}

/// Puts a message that waits for its next attempt back to `queued`.
pub async fn requeue(tx: &mut Tx, organisation: OrganisationId, id: MessageId) -> Result<()> {
    tx.execute(
        "UPDATE messages SET status = 10 WHERE organisation_id = $1 AND id = $2 AND status = 20",
        args![organisation, id],
    )
    .await?;
    Ok(())
}

/// Keeps the lease of an attempt that takes long.
pub async fn extend(tx: &mut Tx, attempt: Attempt, until: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE outbound_queue SET lease_until = $1
         WHERE organisation_id = $2 AND message_id = $3 AND attempt = $4 AND lease_owner = $5",
        args![until, attempt.organisation_id, attempt.message_id, attempt.number, attempt.owner],
    )
    .await?;
    Ok(())
}

/// What the sender finds to do besides leasing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chores {
    pub has_expired_leases: bool,
    pub has_scheduled: bool,
    pub has_stranded: bool,
}

pub async fn chores(db: &mut impl Db, alive: Uuid, now: Timestamp) -> Result<Chores> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM outbound_queue WHERE lease_until < $1 AND (lease_owner <> $2 OR lease_until < $3)),
             EXISTS (SELECT 1 FROM outbound_queue WHERE position IS NULL AND send_at <= $1),
             EXISTS (SELECT 1 {STRANDED})",
        STRANDED = stranded::STRANDED
    );
    let mut rows = db.fetch(&sql, args![now, alive, now.minus(FORGOTTEN)]).await?;
    let Some(row) = rows.first_mut() else { return Ok(Chores::default()) };
    Ok(Chores { has_expired_leases: row.get(0)?, has_scheduled: row.get(1)?, has_stranded: row.get(2)? })
}

/// The newest time anything was queued or sent, for a server that starts: a clock that is behind it went back.
pub async fn newest(db: &mut impl Db) -> Result<Option<Timestamp>> {
    // A number's next turn is ahead by the time between two of its messages, at most.
    let sql = "SELECT MAX(seen) FROM (SELECT MAX(created_at) AS seen FROM outbound_queue
                   UNION ALL SELECT MAX(next_at) - 2000000 FROM outbound_accounts) times";
    let mut rows = db.fetch(sql, args![]).await?;
    rows.first_mut().map_or(Ok(None), |row| row.get(0))
}

/// A message whose sender died: it may or may not have gone out.
#[derive(Clone, Copy, Debug)]
pub struct Expired {
    pub organisation_id: OrganisationId,
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
}

/// Ends every lease that ran out before `before`, but for those of `alive`, whose own tasks end them unless they have
/// lost them. The messages that are uncertain now.
pub async fn expire(
    tx: &mut Tx,
    alive: Uuid,
    before: Timestamp,
    now: Timestamp,
    error: &str,
) -> Result<Vec<Expired>> {
    let leases: Vec<(Expired, i64)> = tx
        .fetch(
            "DELETE FROM outbound_queue WHERE lease_until < $1 AND (lease_owner <> $2 OR lease_until < $3)
             RETURNING organisation_id, message_id, conversation_id, attempt",
            args![before, alive, before.minus(FORGOTTEN)],
        )
        .await?
        .iter_mut()
        .map(|row| {
            let expired = Expired {
                organisation_id: row.get(0)?,
                message_id: row.get(1)?,
                conversation_id: row.get(2)?,
            };
            Ok((expired, row.get(3)?))
        })
        .collect::<Result<_>>()?;
    let lanes: Vec<_> = leases.iter().map(|(expired, _)| expired.conversation_id).collect();
    let mut uncertain = Vec::with_capacity(leases.len());
    for (expired, attempt) in leases {
        tx.execute(
            "UPDATE outbound_attempts SET state = 'uncertain', error = $1, finished_at = $2
             WHERE organisation_id = $3 AND message_id = $4 AND attempt = $5 AND state = 'started'",
            args![error, now, expired.organisation_id, expired.message_id, attempt],
        )
        .await?;
        if mark_uncertain(tx, expired.organisation_id, expired.message_id, error).await? {
            uncertain.push(expired);
        }
    }
    free_lanes(tx, &lanes).await?;
    Ok(uncertain)
}

/// The provider reported on a message it had not answered for: it was sent, and is not sent again, even where a
/// sender still waits for the answer.
pub async fn settle(tx: &mut Tx, organisation: OrganisationId, id: MessageId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE outbound_attempts SET state = 'accepted', error = NULL, finished_at = COALESCE(finished_at, $1)
         WHERE organisation_id = $2 AND message_id = $3 AND state IN ('started', 'uncertain')",
        args![now, organisation, id],
    )
    .await?;
    if let Some(lane) = take_out(tx, organisation, id, true).await? {
        free_lanes(tx, &[lane]).await?;
    }
    dead::forget(tx, organisation, &[id]).await
}

/// Takes a message out of the queue, also from a sender who works on it when `leased`; the lane to free, if it was
/// there.
async fn take_out(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: MessageId,
    leased: bool,
) -> Result<Option<ConversationId>> {
    tx.fetch_optional(
        "DELETE FROM outbound_queue WHERE organisation_id = $1 AND message_id = $2
             AND ($3 OR lease_until IS NULL)
         RETURNING conversation_id",
        args![organisation, id, leased],
    )
    .await?
    .map(|mut row| row.get(0))
    .transpose()
}

/// Takes back a message that nobody works on. `false`: it is too late.
///
/// The queue's row comes before the message here, as where it is leased: the two would wait for each other.
pub async fn cancel(tx: &mut Tx, organisation: OrganisationId, id: MessageId) -> Result<bool> {
    let Some(lane) = take_out(tx, organisation, id, false).await? else { return Ok(false) };
    tx.execute(
        "UPDATE messages SET status = 90 WHERE organisation_id = $1 AND id = $2 AND status IN (10, 20)",
        args![organisation, id],
    )
    .await?;
    free_lanes(tx, &[lane]).await?;
    Ok(true)
}

/// Messages waiting and messages leased.
pub async fn depth(db: &mut impl Db) -> Result<(i64, i64)> {
    let mut rows = db.fetch("SELECT COUNT(*), COUNT(lease_until) FROM outbound_queue", args![]).await?;
    let Some(row) = rows.first_mut() else { return Ok((0, 0)) };
    let (all, leased): (i64, i64) = (row.get(0)?, row.get(1)?);
    Ok((all - leased, leased))
}

/// The account cannot send until somebody mends it.
pub async fn pause_account(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    problem: &str,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE accounts SET status = 3, last_error = $1, updated_at = $2
             WHERE organisation_id = $3 AND id = $4 AND status <> 3",
            args![problem, now, organisation, account],
        )
        .await?;
    if changed == 1 {
        tx.execute(
            "UPDATE channels SET status = 3, updated_at = $1
             WHERE organisation_id = $2 AND account_id = $3 AND kind = 1 AND status = 1 AND deleted_at IS NULL",
            args![now, organisation, account],
        )
        .await?;
    }
    Ok(changed == 1)
}

/// An outbound message's standing, locked.
pub async fn standing(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: MessageId,
) -> Result<Option<(crate::statuses::Reported, bool)>> {
    let lock = tx.for_update();
    let sql = format!(
        "SELECT m.id, m.conversation_id, m.status, m.provider_key IS NOT NULL FROM messages m
         WHERE m.organisation_id = $1 AND m.id = $2 {lock}"
    );
    tx.fetch_optional(&sql, args![organisation, id])
        .await?
        .map(|mut row| {
            let reported = crate::statuses::Reported {
                id: row.get(0)?,
                conversation_id: row.get(1)?,
                status: row.get(2)?,
            };
            Ok((reported, row.get(3)?))
        })
        .transpose()
}

/// Marks a message uncertain: its answer was lost. `false`: more is known of it by now.
pub async fn mark_uncertain(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: MessageId,
    error: &str,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE messages SET status = 30, error = $1
             WHERE organisation_id = $2 AND id = $3 AND status = 20",
            args![error, organisation, id],
        )
        .await?;
    Ok(changed == 1)
}
