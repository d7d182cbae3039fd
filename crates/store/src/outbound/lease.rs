//! Which messages go out next, and when.

use std::collections::HashMap;

use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::{MessageKind, Platform};
use kabar_domain::outbound::SendPriority;
use kabar_domain::pacing::{self, Bucket, Limit};
use kabar_domain::{AccountId, ConversationId, MessageId, OrganisationId, Timestamp};
use uuid::Uuid;

use super::accounts;
use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// After so many errors of the provider in a row, an account sends one message at a time.
pub const TROUBLED: i64 = 5;
/// How often heads that have to wait for their recipient are put aside and others looked at, in one round.
const ROUNDS: usize = 8;

/// An account with messages at the heads of lanes.
#[derive(Clone, Debug)]
pub struct Ready {
    pub organisation_id: OrganisationId,
    pub account_id: AccountId,
    pub platform: Platform,
    /// `phone_number_id`, or the bot's id.
    pub external_id: String,
    /// Sealed.
    pub credentials: Vec<u8>,
    pub per_second: u32,
    /// Errors of the provider in a row.
    pub failures: i64,
    pub hold_until: Timestamp,
    pub next_at: Timestamp,
}

/// Accounts that may send, with messages at the heads of lanes that are due; those on hold among them.
pub async fn ready_accounts(db: &mut impl Db, now: Timestamp) -> Result<Vec<Ready>> {
    let due = SendPriority::ALL
        .iter()
        .map(|priority| {
            format!(
                "EXISTS (SELECT 1 FROM outbound_queue q WHERE q.account_id = a.id AND q.priority = {}
                         AND q.ready_at <= $1)",
                priority.code()
            )
        })
        .collect::<Vec<_>>()
        .join(" OR ");
    // One step of the index for each account, however many messages wait.
    let sql = format!(
        "WITH RECURSIVE waiting (account_id) AS (
             SELECT (SELECT q.account_id FROM outbound_queue q WHERE q.ready_at IS NOT NULL
                     ORDER BY q.account_id LIMIT 1)
             UNION ALL
             SELECT (SELECT q.account_id FROM outbound_queue q WHERE q.ready_at IS NOT NULL
                         AND q.account_id > w.account_id ORDER BY q.account_id LIMIT 1)
             FROM waiting w WHERE w.account_id IS NOT NULL)
         SELECT a.organisation_id, a.id, a.platform, a.external_id, a.credentials, {RATE}, COALESCE(o.failures, 0),
                COALESCE(o.hold_until, 0), COALESCE(o.next_at, 0)
         FROM waiting w JOIN accounts a ON a.id = w.account_id
         LEFT JOIN outbound_accounts o ON o.organisation_id = a.organisation_id AND o.account_id = a.id
         WHERE a.status <> 3 AND a.retired_at IS NULL AND ({due})",
        RATE = accounts::RATE
    );
    db.fetch(&sql, args![now])
        .await?
        .iter_mut()
        .map(|row| {
            let platform = row.get(2)?;
            Ok(Ready {
                organisation_id: row.get(0)?,
                account_id: row.get(1)?,
                platform,
                external_id: row.get(3)?,
                credentials: row.get(4)?,
                per_second: accounts::rate(platform, row.get(5)?),
                failures: row.get(6)?,
                hold_until: row.get(7)?,
                next_at: row.get(8)?,
            })
        })
        .collect()
}

/// A message somebody leased, with all it takes to send it.
#[derive(Clone, Debug)]
pub struct Leased {
    pub organisation_id: OrganisationId,
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    pub account_id: AccountId,
    pub pair_id: Uuid,
    /// This attempt's number, from 1.
    pub attempt: i64,
    /// Earlier attempts that ended in an error of this message alone.
    pub failures: i64,
    /// When its turn is.
    pub slot: Timestamp,
    /// What its account may send in a second.
    pub per_second: u32,
    pub platform: Platform,
    /// `phone_number_id`, or the bot's id.
    pub account_external_id: String,
    /// Sealed.
    pub credentials: Vec<u8>,
    pub kind: MessageKind,
    pub body: Option<String>,
    pub media: Option<String>,
    pub payload: Option<String>,
    pub reply_to: Option<String>,
    /// The group's provider id, for a message to a group.
    pub group: Option<String>,
    pub topic: String,
    /// Of the contact, the most lasting first.
    pub recipients: Vec<Identity>,
    /// The provider refused its recipient or its account before.
    pub was_refused: bool,
}

/// What was leased of one account.
#[derive(Debug, Default)]
pub struct Leases {
    pub messages: Vec<Leased>,
    /// When there may be more; `None` when nothing is left but what waits for an event.
    pub next: Option<Timestamp>,
}

struct Head {
    message_id: MessageId,
    pair_id: Uuid,
    is_group: bool,
}

/// Leases the account's next messages, as many as may leave until `horizon` and at most `room`, and starts their
/// attempts. Each gets its slot; the account's and the recipients' buckets are written with them.
pub async fn lease(
    tx: &mut Tx,
    owner: Uuid,
    account: &Ready,
    now: Timestamp,
    horizon: Timestamp,
    until: Timestamp,
    room: usize,
) -> Result<Leases> {
    let (organisation, id) = (account.organisation_id, account.account_id);
    let Some(state) = accounts::lock(tx, organisation, id).await? else { return Ok(Leases::default()) };
    if state.hold_until > now {
        return Ok(Leases { next: Some(state.hold_until), ..Leases::default() });
    }
    let limit = pacing::account_limit(account.per_second);
    let mut slot = state.next_at.max(now);
    if slot > horizon {
        return Ok(Leases { next: Some(slot), ..Leases::default() });
    }
    let mut wanted = slots(&limit, slot, horizon).min(room);
    if state.failures >= TROUBLED {
        wanted = if is_sending(tx, id).await? { 0 } else { wanted.min(1) };
    }
    let mut chosen: Vec<(Head, Timestamp)> = Vec::with_capacity(wanted);
    let mut buckets: HashMap<Uuid, Bucket> = HashMap::new();
    let mut next: Option<Timestamp> = None;
    let mut exhausted = false;
    for _ in 0..ROUNDS {
        let missing = wanted - chosen.len();
        if missing == 0 {
            break;
        }
        let heads = heads(tx, id, now, missing, &chosen).await?;
        exhausted = heads.len() < missing;
        if heads.is_empty() {
            break;
        }
        fill(tx, organisation, id, &heads, &mut buckets).await?;
        let mut deferred = Vec::new();
        for head in heads {
            let limit_of_pair = pacing::recipient_limit(account.platform, head.is_group);
            let bucket = buckets.entry(head.pair_id).or_default();
            let allowed = match &limit_of_pair {
                Some(limit) => bucket.next(limit, slot),
                None => slot.max(bucket.blocked_until),
            };
            if allowed > slot {
                next = Some(next.map_or(allowed, |next| next.min(allowed)));
                deferred.push((head.message_id, allowed));
                continue;
            }
            if let Some(limit) = &limit_of_pair {
                bucket.take(limit, slot);
            }
            chosen.push((head, slot));
            slot = slot.plus(limit.interval);
        }
        if deferred.is_empty() {
            break;
        }
        defer(tx, organisation, deferred).await?;
    }
    if chosen.is_empty() {
        return Ok(Leases { next, ..Leases::default() });
    }
    accounts::advance(tx, organisation, id, slot).await?;
    let taken: Vec<_> = chosen
        .iter()
        .filter_map(|(head, _)| Some((head.pair_id, *buckets.get(&head.pair_id)?)))
        .filter(|(_, bucket)| bucket.last_at != Timestamp::default())
        .collect::<HashMap<_, _>>()
        .into_iter()
        .collect();
    accounts::write_pairs(tx, organisation, id, taken).await?;
    let messages = start(tx, owner, account, &chosen, &buckets, now, until).await?;
    if !exhausted {
        next = Some(next.map_or(slot, |next| next.min(slot)));
    }
    Ok(Leases { messages, next })
}

/// How many may leave from `slot` to `horizon`, both included.
fn slots(limit: &Limit, slot: Timestamp, horizon: Timestamp) -> usize {
    let room = horizon.since(slot).as_micros() / limit.interval.as_micros().max(1);
    usize::try_from(room).unwrap_or(usize::MAX).saturating_add(1)
}

async fn is_sending(tx: &mut Tx, account: AccountId) -> Result<bool> {
    let sql = "SELECT 1 FROM outbound_queue WHERE lease_until IS NOT NULL AND account_id = $1 LIMIT 1";
    Ok(!tx.fetch(sql, args![account]).await?.is_empty())
}

/// Heads of lanes, the most urgent first; without those chosen already.
async fn heads(
    tx: &mut Tx,
    account: AccountId,
    now: Timestamp,
    limit: usize,
    chosen: &[(Head, Timestamp)],
) -> Result<Vec<Head>> {
    let lock = tx.skip_locked();
    let sql = format!(
        "SELECT message_id, pair_id, is_group FROM outbound_queue
         WHERE account_id = $1 AND priority = $2 AND ready_at <= $3 ORDER BY ready_at, position LIMIT $4 {lock}"
    );
    let mut found = Vec::new();
    for priority in SendPriority::ALL {
        if found.len() >= limit {
            break;
        }
        // What was chosen in an earlier round is still there.
        let most = (limit - found.len() + chosen.len()) as i64;
        for mut row in tx.fetch(&sql, args![account, *priority, now, most]).await? {
            let head = Head { message_id: row.get(0)?, pair_id: row.get(1)?, is_group: row.get(2)? };
            if found.len() < limit && chosen.iter().all(|(other, _)| other.message_id != head.message_id) {
                found.push(head);
            }
        }
    }
    Ok(found)
}

/// Reads the buckets of these heads' recipients.
async fn fill(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    heads: &[Head],
    buckets: &mut HashMap<Uuid, Bucket>,
) -> Result<()> {
    let mut rows =
        Rows::new(&[("org", of::<OrganisationId>()), ("account", of::<AccountId>()), ("pair", of::<Uuid>())]);
    let mut pairs: Vec<Uuid> = heads.iter().map(|head| head.pair_id).collect();
    pairs.sort_unstable();
    pairs.dedup();
    for pair in pairs.into_iter().filter(|pair| !buckets.contains_key(pair)) {
        rows.push([organisation.value(), account.value(), pair.value()]);
    }
    let found = tx
        .bulk_fetch(
            "SELECT b.pair_id, b.full_at, b.last_at, b.blocked_until, b.strikes
             FROM {rows} JOIN outbound_pairs b
             ON b.organisation_id = u.org AND b.account_id = u.account AND b.pair_id = u.pair",
            rows,
        )
        .await?;
    for mut row in found {
        buckets.insert(row.get(0)?, accounts::bucket(&mut row, 1)?);
    }
    Ok(())
}

async fn defer(tx: &mut Tx, organisation: OrganisationId, heads: Vec<(MessageId, Timestamp)>) -> Result<()> {
    let mut rows =
        Rows::new(&[("org", of::<OrganisationId>()), ("message", of::<MessageId>()), ("at", of::<i64>())]);
    for (message, at) in heads {
        rows.push([organisation.value(), message.value(), at.value()]);
    }
    tx.bulk_execute(
        "UPDATE outbound_queue SET due_at = u.at, ready_at = u.at FROM {rows}
         WHERE outbound_queue.organisation_id = u.org AND outbound_queue.message_id = u.message",
        rows,
    )
    .await?;
    Ok(())
}

/// Writes leases and attempts, and reads what is sent.
async fn start(
    tx: &mut Tx,
    owner: Uuid,
    account: &Ready,
    chosen: &[(Head, Timestamp)],
    buckets: &HashMap<Uuid, Bucket>,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Leased>> {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("message", of::<MessageId>()),
        ("owner", of::<Uuid>()),
        ("until", of::<i64>()),
    ]);
    let mut wanted = Rows::new(&[("org", of::<OrganisationId>()), ("message", of::<MessageId>())]);
    let mut sending = Rows::new(&[("org", of::<OrganisationId>()), ("message", of::<MessageId>())]);
    // Messages are locked in one order everywhere.
    let mut ids: Vec<MessageId> = chosen.iter().map(|(head, _)| head.message_id).collect();
    ids.sort_unstable();
    for id in ids {
        let organisation = account.organisation_id;
        rows.push([organisation.value(), id.value(), owner.value(), until.value()]);
        wanted.push([organisation.value(), id.value()]);
        sending.push([organisation.value(), id.value()]);
    }
    tx.bulk_execute(
        "UPDATE outbound_queue SET attempt = attempt + 1, lease_owner = u.owner, lease_until = u.until, ready_at = NULL
         FROM {rows} WHERE outbound_queue.organisation_id = u.org AND outbound_queue.message_id = u.message",
        rows,
    )
    .await?;
    tx.bulk_execute(
        "UPDATE messages SET status = 20 FROM {rows}
         WHERE messages.organisation_id = u.org AND messages.id = u.message AND messages.status = 10",
        sending,
    )
    .await?;
    let slots: HashMap<MessageId, Timestamp> =
        chosen.iter().map(|(head, slot)| (head.message_id, *slot)).collect();
    let mut leased: Vec<Leased> = tx
        .bulk_fetch(
            "SELECT q.message_id, q.conversation_id, q.pair_id, q.attempt, q.failures, m.kind, m.body, m.media,
                    m.payload, m.reply_to, c.kind = 2, c.external_id, v.topic,
                    (SELECT i.value FROM contact_identities i WHERE i.contact_id = v.contact_id AND i.kind = 1
                         AND i.organisation_id = v.organisation_id ORDER BY i.value LIMIT 1),
                    (SELECT i.value FROM contact_identities i WHERE i.contact_id = v.contact_id AND i.kind = 2
                         AND i.organisation_id = v.organisation_id ORDER BY i.value LIMIT 1),
                    (SELECT i.value FROM contact_identities i WHERE i.contact_id = v.contact_id AND i.kind = 3
                         AND i.organisation_id = v.organisation_id ORDER BY i.value LIMIT 1)
             FROM {rows}
             JOIN outbound_queue q ON q.organisation_id = u.org AND q.message_id = u.message
             JOIN messages m ON m.organisation_id = q.organisation_id AND m.id = q.message_id
             JOIN conversations v ON v.organisation_id = q.organisation_id AND v.id = q.conversation_id
             JOIN channels c ON c.organisation_id = q.organisation_id AND c.id = v.channel_id",
            wanted,
        )
        .await?
        .iter_mut()
        .map(|row| leased(row, account, &slots, buckets, now))
        .collect::<Result<_>>()?;
    leased.sort_unstable_by_key(|lease| lease.slot);
    let mut attempts = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("message_id", of::<MessageId>()),
        ("attempt", of::<i64>()),
        ("state", of::<String>()),
        ("started_at", of::<i64>()),
    ]);
    for lease in &leased {
        attempts.push([
            lease.organisation_id.value(),
            lease.message_id.value(),
            lease.attempt.value(),
            "started".value(),
            now.value(),
        ]);
    }
    tx.bulk_insert("outbound_attempts", attempts, "").await?;
    Ok(leased)
}

fn leased(
    row: &mut Row,
    account: &Ready,
    slots: &HashMap<MessageId, Timestamp>,
    buckets: &HashMap<Uuid, Bucket>,
    now: Timestamp,
) -> Result<Leased> {
    let message_id = row.get(0)?;
    let pair_id = row.get(2)?;
    let is_group: bool = row.get(10)?;
    let external_id: String = row.get(11)?;
    let mut recipients = Vec::new();
    for (column, kind) in [(13, IdentityKind::WaId), (14, IdentityKind::Bsuid), (15, IdentityKind::Telegram)]
    {
        if let Some(value) = row.get::<Option<String>>(column)? {
            recipients.push(Identity { kind, value });
        }
    }
    let struck = buckets.get(&pair_id).is_some_and(|bucket| bucket.strikes > 0);
    Ok(Leased {
        organisation_id: account.organisation_id,
        message_id,
        conversation_id: row.get(1)?,
        account_id: account.account_id,
        pair_id,
        attempt: row.get(3)?,
        failures: row.get(4)?,
        slot: slots.get(&message_id).copied().unwrap_or(now),
        per_second: account.per_second,
        platform: account.platform,
        account_external_id: account.external_id.clone(),
        credentials: account.credentials.clone(),
        kind: row.get(5)?,
        body: row.get(6)?,
        media: row.get(7)?,
        payload: row.get(8)?,
        reply_to: row.get(9)?,
        group: is_group.then_some(external_id),
        topic: row.get(12)?,
        recipients,
        was_refused: struck || account.failures > 0,
    })
}
