//! When queued messages will probably leave.

use std::time::Duration;

use kabar_domain::channel::ChannelStatus;
use kabar_domain::message::{Platform, ProviderError};
use kabar_domain::outbound::SendPriority;
use kabar_domain::pacing::{self, Bucket};
use kabar_domain::{AccountId, MessageId, OrganisationId, Timestamp};

use super::accounts;
use crate::args;
use crate::error::Result;
use crate::store::Db;

/// Where a queued message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    pub priority: SendPriority,
    /// When somebody wants it sent.
    pub send_at: Option<Timestamp>,
    /// `None`: its account cannot send until somebody mends it.
    pub estimated_send_at: Option<Timestamp>,
    /// Why it waits longer than its turn takes.
    pub held: Option<String>,
}

/// How many go before it over the same account.
const BEFORE: &str = "(SELECT COUNT(*) FROM outbound_queue e WHERE e.account_id = q.account_id
         AND e.priority < q.priority AND e.position IS NOT NULL)
    + (SELECT COUNT(*) FROM outbound_queue e WHERE e.account_id = q.account_id
         AND e.priority = q.priority AND e.position < q.position)";

/// Of a message in the queue. `before`: how many go before it over the same account, if that is known; else they are
/// counted.
pub async fn outlook(
    db: &mut impl Db,
    organisation: OrganisationId,
    message: MessageId,
    before: Option<i64>,
    now: Timestamp,
) -> Result<Option<Outlook>> {
    let counted = if before.is_some() { "0" } else { BEFORE };
    let sql = format!(
            "SELECT q.priority, q.send_at,
                 COALESCE((SELECT MAX(e.due_at) FROM outbound_queue e WHERE e.conversation_id = q.conversation_id
                     AND e.position <= q.position), q.due_at),
                 q.position IS NULL, q.lease_until IS NOT NULL, q.is_group,
                 a.platform, a.status, a.last_error, {RATE}, COALESCE(o.next_at, 0), COALESCE(o.hold_until, 0),
                 o.hold_reason, COALESCE(b.full_at, 0), COALESCE(b.last_at, 0), COALESCE(b.blocked_until, 0),
                 COALESCE(b.strikes, 0),
                 {counted},
                 (SELECT COUNT(*) FROM outbound_queue e WHERE e.conversation_id = q.conversation_id
                      AND e.position < q.position),
                 CASE WHEN q.attempt > 0 AND q.due_at > $3 THEN (SELECT t.error FROM outbound_attempts t
                     WHERE t.organisation_id = $1 AND t.message_id = $2 AND t.state = 'retry'
                     ORDER BY t.attempt DESC LIMIT 1) END,
                 q.attempt
             FROM outbound_queue q
             JOIN accounts a ON a.organisation_id = q.organisation_id AND a.id = q.account_id
             LEFT JOIN outbound_accounts o ON o.organisation_id = q.organisation_id AND o.account_id = q.account_id
             LEFT JOIN outbound_pairs b ON b.organisation_id = q.organisation_id AND b.account_id = q.account_id
                 AND b.pair_id = q.pair_id
             WHERE q.organisation_id = $1 AND q.message_id = $2",
            RATE = accounts::RATE
        );
    let Some(mut row) = db.fetch(&sql, args![organisation, message, now]).await?.into_iter().next() else {
        return Ok(None);
    };
    let (priority, send_at): (_, Option<Timestamp>) = (row.get(0)?, row.get(1)?);
    let (due_at, is_scheduled, is_sending): (Timestamp, bool, bool) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let (is_group, platform, status): (bool, Platform, ChannelStatus) =
        (row.get(5)?, row.get(6)?, row.get(7)?);
    let (next_at, hold_until): (Timestamp, Timestamp) = (row.get(10)?, row.get(11)?);
    let interval = pacing::account_limit(accounts::rate(platform, row.get(9)?)).interval;
    let bucket: Bucket = accounts::bucket(&mut row, 13)?;
    let (counted, before_in_lane): (i64, i64) = (row.get(17)?, row.get(18)?);
    let before = before.unwrap_or(counted);
    let mut held: Option<String> = None;
    let estimated = if status == ChannelStatus::Disconnected {
        held = row.get(8)?;
        held.get_or_insert_with(|| "The account is disconnected.".into());
        None
    } else if is_sending {
        Some(now)
    } else if is_scheduled {
        send_at
    } else {
        if hold_until > now {
            held = row.get(12)?;
        }
        let start = now.max(next_at).max(hold_until);
        let mut at = start.plus(times(interval, before)).max(due_at);
        if let Some(limit) = pacing::recipient_limit(platform, is_group) {
            let mut ahead = bucket;
            ahead.full_at = ahead.full_at.max(now).plus(times(limit.interval, before_in_lane));
            at = at.max(ahead.next(&limit, now));
        }
        Some(at)
    };
    // It waits for its own next attempt.
    let (last_error, attempt): (Option<String>, i64) = (row.get(19)?, row.get(20)?);
    if let (None, Some(error)) = (&held, last_error.and_then(|text| serde_json::from_str(&text).ok())) {
        held = Some(ProviderError::sentence(&error));
    }
    // What was tried waits for its next attempt, not for the time somebody wanted.
    let send_at = send_at.filter(|_| attempt == 0);
    Ok(Some(Outlook { priority, send_at, estimated_send_at: estimated, held }))
}

fn times(interval: Duration, count: i64) -> Duration {
    interval.saturating_mul(u32::try_from(count.max(0)).unwrap_or(u32::MAX))
}

/// What an account has to send: enough to tell when one more message will leave.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    pub account_id: AccountId,
    /// Waiting messages of each priority, the most urgent first.
    pub waiting: [i64; 3],
}

/// Of every account with messages in lanes.
pub async fn backlog(db: &mut impl Db) -> Result<Vec<Backlog>> {
    let mut all: Vec<Backlog> = Vec::new();
    let rows = db
        .fetch(
            "SELECT account_id, priority, COUNT(*) FROM outbound_queue WHERE position IS NOT NULL
             GROUP BY account_id, priority ORDER BY account_id, priority",
            args![],
        )
        .await?;
    for mut row in rows {
        let (account_id, priority, count): (AccountId, SendPriority, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        if all.last().is_none_or(|last| last.account_id != account_id) {
            all.push(Backlog { account_id, waiting: [0; 3] });
        }
        if let Some(last) = all.last_mut() {
            last.waiting[priority as usize] = count;
        }
    }
    Ok(all)
}
