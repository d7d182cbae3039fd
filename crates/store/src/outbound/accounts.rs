//! How fast an account sends and each of its recipients is sent to, and whether the provider takes anything.

use std::time::Duration;

use kabar_domain::message::Platform;
use kabar_domain::pacing::{self, Bucket};
use kabar_domain::{AccountId, OrganisationId, Timestamp};
use uuid::Uuid;

use super::TROUBLED;
use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// Of an account `a`: what the provider said its number may send in a second.
pub(super) const RATE: &str = "a.messages_per_second";

/// What it may send in a second: what is known of it, or what is usual.
pub(super) fn rate(platform: Platform, known: Option<i64>) -> u32 {
    known.and_then(|rate| u32::try_from(rate).ok()).unwrap_or_else(|| pacing::usual_per_second(platform))
}

/// Whether the provider takes messages over an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    pub next_at: Timestamp,
    /// Errors in a row.
    pub failures: i64,
    pub hold_until: Timestamp,
}

/// The account's state, locked until the transaction ends. `None`: another node has it.
pub(super) async fn lock(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
) -> Result<Option<Provider>> {
    tx.execute(
        "INSERT INTO outbound_accounts (organisation_id, account_id, next_at, failures, hold_until)
         VALUES ($1, $2, 0, 0, 0) ON CONFLICT DO NOTHING",
        args![organisation, account],
    )
    .await?;
    let lock = tx.skip_locked();
    let sql = format!(
        "SELECT next_at, failures, hold_until FROM outbound_accounts
         WHERE organisation_id = $1 AND account_id = $2 {lock}"
    );
    tx.fetch_optional(&sql, args![organisation, account])
        .await?
        .map(|mut row| Ok(Provider { next_at: row.get(0)?, failures: row.get(1)?, hold_until: row.get(2)? }))
        .transpose()
}

pub(super) async fn advance(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    next_at: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE outbound_accounts SET next_at = $1 WHERE organisation_id = $2 AND account_id = $3",
        args![next_at, organisation, account],
    )
    .await?;
    Ok(())
}

/// The provider took nothing: nothing more is sent over the account before `until`. How often in a row that was; of
/// many `times` at once only so many count as make [`TROUBLED`] full.
pub async fn hold(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    times: i64,
    until: impl FnOnce(i64) -> Timestamp,
    reason: &str,
) -> Result<i64> {
    let row = tx
        .fetch_optional(
            "INSERT INTO outbound_accounts (organisation_id, account_id, next_at, failures, hold_until)
             VALUES ($1, $2, 0, CASE WHEN $3 < $4 THEN $3 ELSE $4 END, 0)
             ON CONFLICT (organisation_id, account_id) DO UPDATE SET failures = CASE
                 WHEN outbound_accounts.failures >= $4 THEN outbound_accounts.failures + 1
                 WHEN outbound_accounts.failures + $3 < $4 THEN outbound_accounts.failures + $3
                 ELSE $4 END
             RETURNING failures",
            args![organisation, account, times, TROUBLED],
        )
        .await?;
    let failures: i64 = row.map_or(Ok(1), |mut row| row.get(0))?;
    tx.execute(
        "UPDATE outbound_accounts SET hold_reason = $1,
             hold_until = CASE WHEN hold_until < $2 THEN $2 ELSE hold_until END
         WHERE organisation_id = $3 AND account_id = $4",
        args![reason, until(failures), organisation, account],
    )
    .await?;
    Ok(failures)
}

/// The provider takes messages again.
pub async fn provider_answered(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE outbound_accounts SET failures = 0, hold_until = 0, hold_reason = NULL
             WHERE organisation_id = $1 AND account_id = $2 AND (failures > 0 OR hold_until > 0)",
            args![organisation, account],
        )
        .await?;
    Ok(changed == 1)
}

/// Takes the account off hold for another try; its errors still count.
pub async fn let_go(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    until: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE outbound_accounts SET hold_until = $1 WHERE organisation_id = $2 AND account_id = $3",
        args![until, organisation, account],
    )
    .await?;
    Ok(())
}

/// A bucket in four columns from `at`.
pub(super) fn bucket(row: &mut Row, at: usize) -> Result<Bucket> {
    Ok(Bucket {
        full_at: row.get(at)?,
        last_at: row.get(at + 1)?,
        blocked_until: row.get(at + 2)?,
        strikes: row.get(at + 3)?,
    })
}

/// Writes what was taken from recipients' limits; whether they are blocked is not the lease's to say.
pub(super) async fn write_pairs(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    mut buckets: Vec<(Uuid, Bucket)>,
) -> Result<()> {
    buckets.sort_unstable_by_key(|(pair, _)| *pair);
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("account_id", of::<AccountId>()),
        ("pair_id", of::<Uuid>()),
        ("full_at", of::<i64>()),
        ("last_at", of::<i64>()),
        ("blocked_until", of::<i64>()),
        ("strikes", of::<i64>()),
    ]);
    for (pair, bucket) in buckets {
        rows.push([
            organisation.value(),
            account.value(),
            pair.value(),
            bucket.full_at.value(),
            bucket.last_at.value(),
            0_i64.value(),
            0_i64.value(),
        ]);
    }
    tx.bulk_insert(
        "outbound_pairs",
        rows,
        "ON CONFLICT (organisation_id, account_id, pair_id) DO UPDATE SET full_at = excluded.full_at,
             last_at = excluded.last_at",
    )
    .await?;
    Ok(())
}

/// How the provider answered for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairAnswer {
    Taken,
    /// Too much went to them; its wait, if it named one.
    TooMuch(Option<Duration>),
}

/// Writes down how the provider answered for a recipient.
pub async fn pair_answered(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    pair: Uuid,
    answer: PairAnswer,
    now: Timestamp,
) -> Result<()> {
    let PairAnswer::TooMuch(after) = answer else {
        tx.execute(
            "UPDATE outbound_pairs SET strikes = 0
             WHERE organisation_id = $1 AND account_id = $2 AND pair_id = $3 AND strikes > 0",
            args![organisation, account, pair],
        )
        .await?;
        return Ok(());
    };
    let lock = tx.lock_rows();
    let sql = format!(
        "SELECT full_at, last_at, blocked_until, strikes FROM outbound_pairs
         WHERE organisation_id = $1 AND account_id = $2 AND pair_id = $3 {lock}"
    );
    let found = tx.fetch_optional(&sql, args![organisation, account, pair]).await?;
    let mut state = found.map_or(Ok(Bucket::default()), |mut row| bucket(&mut row, 0))?;
    state.block(now, after);
    tx.execute(
        "INSERT INTO outbound_pairs (organisation_id, account_id, pair_id, full_at, last_at, blocked_until, strikes)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (organisation_id, account_id, pair_id) DO UPDATE SET blocked_until = excluded.blocked_until,
             strikes = excluded.strikes",
        args![organisation, account, pair, state.full_at, state.last_at, state.blocked_until, state.strikes],
    )
    .await?;
    Ok(())
}

/// Forgets buckets that have been full for an hour.
pub async fn forget_pairs(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    let before = now.minus(Duration::from_hours(1));
    tx.execute("DELETE FROM outbound_pairs WHERE full_at < $1 AND blocked_until < $1", args![before]).await
}

/// The machine's clock went back by `by`: what was to happen after that long must not wait for the clock to come
/// there again. What a person scheduled keeps its time.
pub async fn turn_back(tx: &mut Tx, by: Duration, now: Timestamp) -> Result<()> {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    for sql in [
        "UPDATE outbound_queue SET due_at = due_at - $1, ready_at = ready_at - $1 WHERE due_at > $2",
        "UPDATE outbound_queue SET lease_until = lease_until - $1 WHERE lease_until > $2",
        "UPDATE outbound_accounts SET next_at = next_at - $1 WHERE next_at > $2",
        "UPDATE outbound_accounts SET hold_until = hold_until - $1 WHERE hold_until > $2",
        "UPDATE outbound_pairs SET full_at = full_at - $1, last_at = last_at - $1, blocked_until = blocked_until - $1
         WHERE full_at > $2 OR last_at > $2 OR blocked_until > $2",
    ] {
        tx.execute(sql, args![by, now]).await?;
    }
    Ok(())
}
