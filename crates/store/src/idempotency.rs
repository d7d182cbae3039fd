//! First answers, kept for requests that are repeated under the same key.

use kabar_domain::{OrganisationId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};

/// A key belongs to one token in one organisation.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub organisation: OrganisationId,
    pub token_id: i64,
    pub key: &'a str,
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub struct Entry {
    pub fingerprint: String,
    /// Absent while the first request runs, or when it was cut off by a crash.
    pub answer: Option<(i64, String)>,
    pub created_at: Timestamp,
}

/// Takes a key for a request that is about to run, or tells who has it. A key from before `expired` is free.
pub async fn claim(
    tx: &mut Tx,
    scope: Scope<'_>,
    fingerprint: &str,
    now: Timestamp,
    expired: Timestamp,
) -> Result<Option<Entry>> {
    tx.execute(
        "DELETE FROM idempotency_keys
         WHERE organisation_id = $1 AND token_id = $2 AND key = $3 AND created_at < $4",
        args![scope.organisation, scope.token_id, scope.key, expired],
    )
    .await?;
    let inserted = tx
        .execute(
            "INSERT INTO idempotency_keys (organisation_id, token_id, key, fingerprint, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            args![scope.organisation, scope.token_id, scope.key, fingerprint, now],
        )
        .await?;
    if inserted == 1 {
        return Ok(None);
    }
    let row = tx
        .fetch_optional(
            "SELECT fingerprint, status, body, created_at FROM idempotency_keys
             WHERE organisation_id = $1 AND token_id = $2 AND key = $3",
            args![scope.organisation, scope.token_id, scope.key],
        )
        .await?;
    let Some(mut row) = row else {
        // Released between the two statements: the same work may succeed when repeated.
        return Err(crate::Error::Contention("the key was released meanwhile".into()));
    };
    let status: Option<i64> = row.get(1)?;
    let body: Option<String> = row.get(2)?;
    Ok(Some(Entry { fingerprint: row.get(0)?, answer: status.zip(body), created_at: row.get(3)? }))
}

/// Keeps the first answer.
pub async fn complete(tx: &mut Tx, scope: Scope<'_>, status: i64, body: &str) -> Result<()> {
    tx.execute(
        "UPDATE idempotency_keys SET status = $4, body = $5
         WHERE organisation_id = $1 AND token_id = $2 AND key = $3",
        args![scope.organisation, scope.token_id, scope.key, status, body],
    )
    .await?;
    Ok(())
}

/// Frees a key whose request changed nothing.
pub async fn release(tx: &mut Tx, scope: Scope<'_>) -> Result<()> {
    tx.execute(
        "DELETE FROM idempotency_keys WHERE organisation_id = $1 AND token_id = $2 AND key = $3",
        args![scope.organisation, scope.token_id, scope.key],
    )
    .await?;
    Ok(())
}

/// Deletes keys of every organisation from before `expired`.
pub async fn purge(tx: &mut Tx, expired: Timestamp) -> Result<u64> {
    tx.execute("DELETE FROM idempotency_keys WHERE created_at < $1", args![expired]).await
}
