//! What is queued, and where in its lane.

use std::collections::BTreeSet;

use kabar_domain::message::{Direction, MessageKind, MessageStatus};
use kabar_domain::outbound::SendPriority;
use kabar_domain::{
    AccountId, ChannelId, Clock, ConversationId, MessageId, OrganisationId, Timestamp, UserId,
};
use uuid::Uuid;

use super::Fallback;
use crate::args;
use crate::bulk::{Rows, of};
use crate::error::{Error, Result};
use crate::store::{Db as _, Tx};
use crate::value::Bind;

/// A message to queue.
#[derive(Debug)]
pub struct NewOutbound {
    pub organisation_id: OrganisationId,
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub channel_id: ChannelId,
    pub account_id: AccountId,
    /// `None`: the server itself says it.
    pub user_id: Option<UserId>,
    pub kind: MessageKind,
    pub body: Option<String>,
    pub media: Option<String>,
    /// JSON object of the kind's own fields.
    pub payload: Option<String>,
    pub reply_to: Option<String>,
    /// The channel is a group: the provider's limits count it as one recipient.
    pub is_group: bool,
    pub priority: SendPriority,
    /// Not before this.
    pub send_at: Option<Timestamp>,
    /// What goes out in its place if the window turns out to be closed.
    pub fallback: Option<Fallback>,
}

/// Stores the message, queues it and moves its conversation, all in the caller's transaction.
pub async fn enqueue(tx: &mut Tx, message: NewOutbound, now: Timestamp) -> Result<()> {
    let fallback = message.fallback.as_ref().map(serde_json::to_string).transpose();
    let fallback = fallback.map_err(|error| Error::Database(error.to_string()))?;
    tx.execute(
        "INSERT INTO messages (organisation_id, id, conversation_id, channel_id, account_id, user_id, direction,
             kind, status, body, media, payload, reply_to, priority, sort_at, occurred_at, created_at, fallback)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, $17)",
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
            message.priority,
            now.as_unix(),
            now,
            fallback
        ],
    )
    .await?;
    tx.execute(
        "UPDATE conversations SET message_count = message_count + 1, updated_at = $1,
             last_message_at = CASE WHEN last_message_at < $1 THEN $1 ELSE last_message_at END
         WHERE organisation_id = $2 AND id = $3",
        args![now, message.organisation_id, message.conversation_id],
    )
    .await?;
    let queued = Queued {
        organisation_id: message.organisation_id,
        message_id: message.id,
        account_id: message.account_id,
        conversation_id: message.conversation_id,
        pair_id: if message.is_group { message.channel_id.uuid() } else { message.conversation_id.uuid() },
        is_group: message.is_group,
        priority: message.priority,
        send_at: message.send_at,
        attempt: 0,
        due_at: now,
    };
    queue(tx, queued, message.id.uuid(), now).await
}

/// A row of the queue.
#[derive(Debug)]
struct Queued {
    organisation_id: OrganisationId,
    message_id: MessageId,
    account_id: AccountId,
    conversation_id: ConversationId,
    pair_id: Uuid,
    is_group: bool,
    priority: SendPriority,
    send_at: Option<Timestamp>,
    attempt: i64,
    due_at: Timestamp,
}

/// Puts a message at the end of its lane, at `position` or behind what is there, or with those that wait for their
/// time. What waits in the lane before it becomes as urgent as it is.
async fn queue(tx: &mut Tx, queued: Queued, position: Uuid, now: Timestamp) -> Result<()> {
    let (mut place, mut ready_at) = (None, None);
    if queued.send_at.is_none() {
        tx.lock_lanes([queued.conversation_id]).await?;
        let last = last(tx, queued.conversation_id).await?;
        if last.is_none() {
            ready_at = Some(queued.due_at);
        } else {
            raise(tx, queued.conversation_id, queued.priority).await?;
        }
        place = Some(behind(last, position));
    }
    tx.execute(
        "INSERT INTO outbound_queue (organisation_id, message_id, account_id, conversation_id, pair_id, is_group,
             priority, send_at, position, attempt, failures, due_at, ready_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13)",
        args![
            queued.organisation_id,
            queued.message_id,
            queued.account_id,
            queued.conversation_id,
            queued.pair_id,
            queued.is_group,
            queued.priority,
            queued.send_at,
            place,
            queued.attempt,
            queued.due_at,
            ready_at,
            now
        ],
    )
    .await?;
    Ok(())
}

/// The last place that is taken in a lane. The lane is locked.
async fn last(tx: &mut Tx, lane: ConversationId) -> Result<Option<Uuid>> {
    let sql = "SELECT position FROM outbound_queue WHERE conversation_id = $1 AND position IS NOT NULL
               ORDER BY position DESC LIMIT 1";
    tx.fetch_optional(sql, args![lane]).await?.map(|mut row| row.get(0)).transpose()
}

/// A place behind the last of a lane. `wanted` is of the time at which it was asked for: others may have been quicker,
/// and clocks differ.
fn behind(last: Option<Uuid>, wanted: Uuid) -> Uuid {
    last.map_or(wanted, |last| wanted.max(Uuid::from_u128(last.as_u128().saturating_add(1))))
}

/// What waits in a lane becomes as urgent as what comes behind it. The lane is locked.
async fn raise(tx: &mut Tx, lane: ConversationId, priority: SendPriority) -> Result<()> {
    tx.execute(
        "UPDATE outbound_queue SET priority = $1
         WHERE conversation_id = $2 AND position IS NOT NULL AND priority > $1",
        args![priority, lane],
    )
    .await?;
    Ok(())
}

/// Moves messages whose time has come to the end of their lanes, at most `limit`; how many.
pub async fn admit_scheduled(tx: &mut Tx, clock: &Clock, limit: i64) -> Result<usize> {
    let now = clock.now();
    let lock = tx.skip_locked();
    let sql = format!(
        "SELECT organisation_id, message_id, conversation_id, priority FROM outbound_queue
         WHERE position IS NULL AND send_at <= $1 ORDER BY send_at, message_id LIMIT $2 {lock}"
    );
    let due: Vec<(OrganisationId, MessageId, ConversationId, SendPriority)> = tx
        .fetch(&sql, args![now, limit])
        .await?
        .iter_mut()
        .map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .collect::<Result<_>>()?;
    if due.is_empty() {
        return Ok(0);
    }
    let mut times =
        Rows::new(&[("org", of::<OrganisationId>()), ("message", of::<MessageId>()), ("at", of::<i64>())]);
    let mut by_id: Vec<_> = due.iter().map(|row| (row.1, row.0)).collect();
    by_id.sort_unstable();
    for (message, organisation) in by_id {
        times.push([organisation.value(), message.value(), now.as_unix().saturating_mul(1_000_000).value()]);
    }
    // In the conversation it stands where it was said, not where it was planned.
    tx.bulk_execute(
        "UPDATE messages SET sort_at = u.at, occurred_at = u.at FROM {rows}
         WHERE messages.organisation_id = u.org AND messages.id = u.message",
        times,
    )
    .await?;
    tx.lock_lanes(due.iter().map(|row| row.2)).await?;
    for (organisation, message, conversation, priority) in &due {
        raise(tx, *conversation, *priority).await?;
        let position = behind(last(tx, *conversation).await?, clock.uuid());
        tx.execute(
            "UPDATE outbound_queue SET position = $1, due_at = $2 WHERE organisation_id = $3 AND message_id = $4",
            args![position, now, *organisation, *message],
        )
        .await?;
    }
    promote(tx, due.iter().map(|row| row.2)).await?;
    Ok(due.len())
}

/// Makes the first message of each lane its head. The lanes are locked.
async fn promote(tx: &mut Tx, lanes: impl IntoIterator<Item = ConversationId>) -> Result<()> {
    let mut rows = Rows::new(&[("conversation", of::<ConversationId>())]);
    for lane in lanes.into_iter().collect::<BTreeSet<_>>() {
        rows.push([lane.value()]);
    }
    tx.bulk_execute(
        "UPDATE outbound_queue SET ready_at = due_at FROM {rows}
         WHERE conversation_id = u.conversation AND position IS NOT NULL AND ready_at IS NULL AND lease_until IS NULL
           AND message_id = (SELECT h.message_id FROM outbound_queue h WHERE h.conversation_id = u.conversation
                             AND h.position IS NOT NULL ORDER BY h.position LIMIT 1)",
        rows,
    )
    .await?;
    Ok(())
}

/// Lets the lanes go on from which messages were taken.
pub async fn free_lanes(tx: &mut Tx, lanes: &[ConversationId]) -> Result<()> {
    tx.lock_lanes(lanes.iter().copied()).await?;
    promote(tx, lanes.iter().copied()).await
}

/// Puts a message that failed, or may not have been sent, at the end of its lane once more. A late report that the
/// earlier attempt was delivered still settles it: its id is echoed. `false`: it is neither failed nor uncertain.
pub async fn send_again(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: MessageId,
    account: AccountId,
    position: Uuid,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    super::attempts::leave_key(tx, organisation, id).await?;
    let found = tx
        .fetch_optional(
            "UPDATE messages SET status = 10, error = NULL, failed_at = NULL, sent_at = NULL,
                 provider_message_id = NULL, provider_key = NULL, account_id = $3
             WHERE organisation_id = $1 AND id = $2 AND direction = 2 AND status IN (30, 40, 80)
             RETURNING conversation_id, channel_id, priority",
            args![organisation, id, account],
        )
        .await?;
    let Some(mut row) = found else { return Ok(false) };
    let (conversation, channel): (ConversationId, ChannelId) = (row.get(0)?, row.get(1)?);
    let priority: Option<SendPriority> = row.get(2)?;
    super::dead::forget(tx, organisation, &[id]).await?;
    let mut facts = tx
        .fetch(
            "SELECT c.kind = 2, COALESCE((SELECT MAX(a.attempt) FROM outbound_attempts a
                 WHERE a.organisation_id = $1 AND a.message_id = $2), 0)
             FROM channels c WHERE c.organisation_id = $1 AND c.id = $3",
            args![organisation, id, channel],
        )
        .await?;
    let Some(row) = facts.first_mut() else { return Ok(false) };
    let is_group: bool = row.get(0)?;
    let queued = Queued {
        organisation_id: organisation,
        message_id: id,
        account_id: account,
        conversation_id: conversation,
        pair_id: if is_group { channel.uuid() } else { conversation.uuid() },
        is_group,
        priority: priority.unwrap_or(SendPriority::Normal),
        send_at: None,
        attempt: row.get(1)?,
        due_at,
    };
    queue(tx, queued, position, now).await?;
    Ok(true)
}
