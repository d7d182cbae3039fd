//! The outbound queue: leases, attempts, and what became of them.
//!
//! One lane per conversation: a message is due only when none before it in its conversation is still queued. A
//! lease and its attempt row are written before the provider is called, and every later write is fenced on the
//! attempt's number, so a sender that was thought dead cannot undo what another did.

use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::{Direction, MessageKind, MessageStatus, Platform};
use kabar_domain::{AccountId, ChannelId, ConversationId, MessageId, OrganisationId, Timestamp, UserId};
use uuid::Uuid;

use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::store::{Db, Inner, Tx};
use crate::value::{Bind, Row};

/// A message to queue.
#[derive(Debug)]
pub struct NewOutbound {
    pub organisation_id: OrganisationId,
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub channel_id: ChannelId,
    pub account_id: AccountId,
    pub user_id: UserId,
    pub kind: MessageKind,
    pub body: Option<String>,
    pub media: Option<String>,
    /// JSON object of the kind's own fields.
    pub payload: Option<String>,
    pub reply_to: Option<String>,
}

/// Stores the message, queues it and moves its conversation, all in the caller's transaction.
pub async fn enqueue(tx: &mut Tx, message: NewOutbound, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO messages (organisation_id, id, conversation_id, channel_id, account_id, user_id, direction,
             kind, status, body, media, payload, reply_to, sort_at, occurred_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)",
        args![
            message.organisation_id,
            message.id,
            message.conversation_id,
            message.channel_id,
            message.account_id,
            message.user_id,
            Direction::Outbound,
            message.kind,
            MessageStatus::Queued,
            message.body,
            message.media,
            message.payload,
            message.reply_to,
            now.as_unix(),
            now
        ],
    )
    .await?;
    tx.execute(
        "INSERT INTO outbound_queue (organisation_id, message_id, account_id, conversation_id, attempt, due_at, created_at)
         VALUES ($1, $2, $3, $4, 0, $5, $5)",
        args![message.organisation_id, message.id, message.account_id, message.conversation_id, now],
    )
    .await?;
    tx.execute(
        "UPDATE conversations SET message_count = message_count + 1, updated_at = $1,
             last_message_at = CASE WHEN last_message_at < $1 THEN $1 ELSE last_message_at END
         WHERE organisation_id = $2 AND id = $3",
        args![now, message.organisation_id, message.conversation_id],
    )
    .await?;
    Ok(())
}

/// A message somebody leased, with all it takes to send it.
#[derive(Clone, Debug)]
pub struct Leased {
    pub organisation_id: OrganisationId,
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    pub account_id: AccountId,
    /// This attempt's number, from 1.
    pub attempt: i64,
    pub platform: Platform,
    /// `phone_number_id`, or the bot's id.
    pub account_external_id: String,
    /// Sealed.
    pub credentials: Vec<u8>,
    pub kind: MessageKind,
    pub body: Option<String>,
    pub media: Option<String>,
    /// JSON object of the kind's own fields.
    pub payload: Option<String>,
    pub reply_to: Option<String>,
    /// The group's provider id, for a message to a group.
    pub group: Option<String>,
    pub topic: String,
    /// Of the contact, the most lasting first.
    pub recipients: Vec<Identity>,
}

fn leased(row: &mut Row) -> Result<Leased> {
    let is_group: bool = row.get(11)?;
    let external_id: String = row.get(12)?;
    let mut recipients = Vec::new();
    for (column, kind) in [(14, IdentityKind::WaId), (15, IdentityKind::Bsuid), (16, IdentityKind::Telegram)]
    {
        if let Some(value) = row.get::<Option<String>>(column)? {
            recipients.push(Identity { kind, value });
        }
    }
    Ok(Leased {
        organisation_id: row.get(0)?,
        message_id: row.get(1)?,
        conversation_id: row.get(2)?,
        account_id: row.get(3)?,
        attempt: row.get::<i64>(4)? + 1,
        platform: row.get(5)?,
        account_external_id: row.get(6)?,
        credentials: row.get(7)?,
        kind: row.get(8)?,
        body: row.get(9)?,
        media: row.get(10)?,
        group: is_group.then_some(external_id),
        topic: row.get(13)?,
        recipients,
        reply_to: row.get(17)?,
        payload: row.get(18)?,
    })
}

/// Leases up to `limit` due messages until `until` and starts their attempts.
pub async fn lease(
    tx: &mut Tx,
    owner: Uuid,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Leased>> {
    let lock = match tx.inner {
        Inner::Sqlite(_) => "",
        Inner::Postgres(_) => "FOR UPDATE OF q SKIP LOCKED",
    };
    // Which messages is settled on the queue alone, before anything is joined to them.
    let sql = format!(
        "WITH due AS MATERIALIZED (
             SELECT q.organisation_id, q.message_id, q.conversation_id, q.account_id, q.attempt, q.due_at
             FROM outbound_queue q
             WHERE q.due_at <= $1 AND q.lease_until IS NULL
               AND q.message_id = (SELECT p.message_id FROM outbound_queue p
                                   WHERE p.conversation_id = q.conversation_id ORDER BY p.message_id LIMIT 1)
               AND EXISTS (SELECT 1 FROM accounts a WHERE a.organisation_id = q.organisation_id
                           AND a.id = q.account_id AND a.status <> 3 AND a.retired_at IS NULL)
             ORDER BY q.due_at, q.message_id LIMIT $2 {lock})
         SELECT q.organisation_id, q.message_id, q.conversation_id, q.account_id, q.attempt, a.platform, a.external_id,
                a.credentials, m.kind, m.body, m.media, c.kind = 2, c.external_id, v.topic,
                (SELECT i.value FROM contact_identities i WHERE i.contact_id = v.contact_id AND i.kind = 1
                     AND i.organisation_id = v.organisation_id ORDER BY i.value LIMIT 1),
                (SELECT i.value FROM contact_identities i WHERE i.contact_id = v.contact_id AND i.kind = 2
                     AND i.organisation_id = v.organisation_id ORDER BY i.value LIMIT 1),
                (SELECT i.value FROM contact_identities i WHERE i.contact_id = v.contact_id AND i.kind = 3
                     AND i.organisation_id = v.organisation_id ORDER BY i.value LIMIT 1),
                m.reply_to, m.payload
         FROM due q
         JOIN accounts a ON a.organisation_id = q.organisation_id AND a.id = q.account_id
         JOIN messages m ON m.organisation_id = q.organisation_id AND m.id = q.message_id
         JOIN conversations v ON v.organisation_id = q.organisation_id AND v.id = q.conversation_id
         JOIN channels c ON c.organisation_id = q.organisation_id AND c.id = v.channel_id
         ORDER BY q.due_at, q.message_id"
    );
    let found: Vec<Leased> =
        tx.fetch(&sql, args![now, limit]).await?.iter_mut().map(leased).collect::<Result<_>>()?;
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("message", of::<MessageId>()),
        ("attempt_no", of::<i64>()),
        ("owner", of::<Uuid>()),
        ("until", of::<i64>()),
    ]);
    let mut attempts = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("message_id", of::<MessageId>()),
        ("attempt", of::<i64>()),
        ("state", of::<String>()),
        ("started_at", of::<i64>()),
    ]);
    let mut sending = Rows::new(&[("org", of::<OrganisationId>()), ("message", of::<MessageId>())]);
    // Messages are locked in one order everywhere.
    let mut in_order: Vec<&Leased> = found.iter().collect();
    in_order.sort_unstable_by_key(|lease| lease.message_id);
    for lease in in_order {
        let (organisation, message, attempt) = (lease.organisation_id, lease.message_id, lease.attempt);
        rows.push([organisation.value(), message.value(), attempt.value(), owner.value(), until.value()]);
        attempts.push([
            organisation.value(),
            message.value(),
            attempt.value(),
            "started".value(),
            now.value(),
        ]);
        sending.push([organisation.value(), message.value()]);
    }
    tx.bulk_execute(
        "UPDATE outbound_queue SET attempt = u.attempt_no, lease_owner = u.owner, lease_until = u.until
         FROM {rows} WHERE outbound_queue.organisation_id = u.org AND outbound_queue.message_id = u.message",
        rows,
    )
    .await?;
    tx.bulk_insert("outbound_attempts", attempts, "").await?;
    tx.bulk_execute(
        "UPDATE messages SET status = 20 FROM {rows}
         WHERE messages.organisation_id = u.org AND messages.id = u.message AND messages.status = 10",
        sending,
    )
    .await?;
    Ok(found)
}

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
    /// To be tried again at this time.
    Retry(Timestamp),
}

impl Ended {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
            Self::Retry(_) => "retry",
        }
    }
}

/// Ends an attempt and the lease. `false`: the lease was lost meanwhile, and nothing was written but the
/// attempt's own outcome.
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
        Ended::Retry(due) => {
            tx.execute(
                "UPDATE outbound_queue SET lease_owner = NULL, lease_until = NULL, due_at = $1
                 WHERE organisation_id = $2 AND message_id = $3 AND attempt = $4 AND lease_owner = $5",
                args![due, attempt.organisation_id, attempt.message_id, attempt.number, attempt.owner],
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

/// A message whose sender died: it may or may not have gone out.
#[derive(Clone, Copy, Debug)]
pub struct Expired {
    pub organisation_id: OrganisationId,
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
}

/// Ends every lease that ran out before `before`. The messages that are uncertain now.
pub async fn expire(tx: &mut Tx, before: Timestamp, now: Timestamp, error: &str) -> Result<Vec<Expired>> {
    let leases: Vec<(Expired, i64)> = tx
        .fetch(
            "DELETE FROM outbound_queue WHERE lease_until < $1
             RETURNING organisation_id, message_id, conversation_id, attempt",
            args![before],
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
    tx.execute(
        "DELETE FROM outbound_queue WHERE organisation_id = $1 AND message_id = $2",
        args![organisation, id],
    )
    .await?;
    Ok(())
}

/// When the next message is due, leased ones aside.
pub async fn next_due(db: &mut impl Db) -> Result<Option<Timestamp>> {
    let mut rows =
        db.fetch("SELECT MIN(due_at) FROM outbound_queue WHERE lease_until IS NULL", args![]).await?;
    rows.first_mut().map_or(Ok(None), |row| row.get(0))
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
