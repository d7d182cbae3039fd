//! Work that waits for its time, with leases: a server that dies leaves its jobs to others.

use std::time::Duration;

use kabar_domain::job::JobKind;
use kabar_domain::{JobId, OrganisationId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::store::{Db, Inner, Tx};
use crate::value::Bind;
use crate::{Rows, args, of};

#[derive(Clone, Debug)]
pub struct NewJob {
    pub organisation_id: OrganisationId,
    pub id: JobId,
    pub kind: JobKind,
    /// What it is about: a message, a file, a leg.
    pub subject_id: Uuid,
    /// JSON, whatever the kind needs.
    pub data: Option<String>,
    pub due_at: Timestamp,
}

/// Adds a job, in the transaction that causes it. After the commit, wake the engine's workers.
pub async fn enqueue(tx: &mut Tx, job: NewJob, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO jobs (id, organisation_id, kind, subject_id, data, attempt, due_at, created_at)
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7)",
        args![job.id, job.organisation_id, job.kind, job.subject_id, job.data, job.due_at, now],
    )
    .await?;
    Ok(())
}

/// [`enqueue`], many at once.
pub async fn enqueue_all(tx: &mut Tx, jobs: Vec<NewJob>, now: Timestamp) -> Result<()> {
    let mut rows = Rows::new(&[
        ("id", of::<JobId>()),
        ("organisation_id", of::<OrganisationId>()),
        ("kind", of::<JobKind>()),
        ("subject_id", of::<Uuid>()),
        ("data", of::<String>()),
        ("attempt", of::<i64>()),
        ("due_at", of::<i64>()),
        ("created_at", of::<i64>()),
    ]);
    for job in jobs {
        rows.push([
            job.id.value(),
            job.organisation_id.value(),
            job.kind.value(),
            job.subject_id.value(),
            job.data.value(),
            0_i64.value(),
            job.due_at.value(),
            now.value(),
        ]);
    }
    tx.bulk_insert("jobs", rows, "").await?;
    Ok(())
}

/// Takes back a job that nobody works on. `false`: it is done, or being done.
pub async fn cancel(tx: &mut Tx, organisation: OrganisationId, id: JobId) -> Result<bool> {
    let changed = tx
        .execute(
            "DELETE FROM jobs WHERE organisation_id = $1 AND id = $2 AND lease_until IS NULL",
            args![organisation, id],
        )
        .await?;
    Ok(changed == 1)
}

/// Makes a waiting job due at `due`.
pub async fn hasten(tx: &mut Tx, organisation: OrganisationId, id: JobId, due: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET due_at = $3 WHERE organisation_id = $1 AND id = $2 AND lease_until IS NULL",
        args![organisation, id, due],
    )
    .await?;
    Ok(())
}

/// Whether a job of this kind waits or is worked on for this subject.
pub async fn exists(db: &mut impl Db, kind: JobKind, subject: Uuid) -> Result<bool> {
    let found = db
        .fetch("SELECT 1 FROM jobs WHERE kind = $1 AND subject_id = $2 LIMIT 1", args![kind, subject])
        .await?;
    Ok(!found.is_empty())
}

/// Whether a job of this kind waits for this subject that nobody works on yet; it is then due at `due_at` at the
/// latest.
pub async fn hurry(tx: &mut Tx, kind: JobKind, subject: Uuid, due_at: Timestamp) -> Result<bool> {
    let waiting = tx
        .execute(
            "UPDATE jobs SET due_at = CASE WHEN due_at > $3 THEN $3 ELSE due_at END
             WHERE kind = $1 AND subject_id = $2 AND lease_until IS NULL",
            args![kind, subject, due_at],
        )
        .await?;
    Ok(waiting > 0)
}

/// Whether there is a newer job of the same kind and subject; of several, the newest sees none.
pub async fn has_newer(db: &mut impl Db, job: &Leased) -> Result<bool> {
    let sql = "SELECT 1 FROM jobs WHERE kind = $1 AND subject_id = $2 AND id > $3 LIMIT 1";
    Ok(!db.fetch(sql, args![job.kind, job.subject_id, job.id]).await?.is_empty())
}

/// A job somebody works on.
#[derive(Clone, Debug)]
pub struct Leased {
    pub organisation_id: OrganisationId,
    pub id: JobId,
    pub kind: JobKind,
    pub subject_id: Uuid,
    pub data: Option<String>,
    /// This attempt's number, from 1.
    pub attempt: i64,
    pub created_at: Timestamp,
    owner: Uuid,
}

/// Whether any job of this kind may be leased now.
pub async fn is_due(db: &mut impl Db, kind: JobKind, now: Timestamp) -> Result<bool> {
    let found = db
        .fetch(
            "SELECT 1 FROM jobs WHERE kind = $1 AND due_at <= $2 AND lease_until IS NULL LIMIT 1",
            args![kind, now],
        )
        .await?;
    Ok(!found.is_empty())
}

/// Leases up to `limit` due jobs of a kind until `until`.
pub async fn lease(
    tx: &mut Tx,
    owner: Uuid,
    kind: JobKind,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Leased>> {
    let lock = tx.skip_locked();
    let sql = format!(
        "UPDATE jobs SET attempt = attempt + 1, lease_owner = $1, lease_until = $2
         WHERE id IN (SELECT id FROM jobs WHERE kind = $3 AND due_at <= $4 AND lease_until IS NULL
                      ORDER BY due_at LIMIT $5 {lock})
         RETURNING organisation_id, id, kind, subject_id, data, attempt, created_at"
    );
    tx.fetch(&sql, args![owner, until, kind, now, limit])
        .await?
        .iter_mut()
        .map(|row| {
            Ok(Leased {
                organisation_id: row.get(0)?,
                id: row.get(1)?,
                kind: row.get(2)?,
                subject_id: row.get(3)?,
                data: row.get(4)?,
                attempt: row.get(5)?,
                created_at: row.get(6)?,
                owner,
            })
        })
        .collect()
}

/// Keeps a lease while its work goes on. `false`: it was lost.
pub async fn extend(tx: &mut Tx, job: &Leased, until: Timestamp) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE jobs SET lease_until = $1 WHERE id = $2 AND lease_owner = $3 AND attempt = $4",
            args![until, job.id, job.owner, job.attempt],
        )
        .await?;
    Ok(changed == 1)
}

/// The job is done. `false`: somebody else does it by now.
pub async fn finish(tx: &mut Tx, job: &Leased) -> Result<bool> {
    let changed = tx
        .execute(
            "DELETE FROM jobs WHERE id = $1 AND lease_owner = $2 AND attempt = $3",
            args![job.id, job.owner, job.attempt],
        )
        .await?;
    Ok(changed == 1)
}

/// To be done again after `wait`.
pub async fn postpone(tx: &mut Tx, job: &Leased, now: Timestamp, wait: Duration) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET lease_owner = NULL, lease_until = NULL, due_at = $1
         WHERE id = $2 AND lease_owner = $3 AND attempt = $4",
        args![now.plus(wait), job.id, job.owner, job.attempt],
    )
    .await?;
    Ok(())
}

/// Frees what servers that are gone had leased: on SQLite every lease, since there is one server at a time.
pub async fn free_abandoned(tx: &mut Tx, now: Timestamp, starting: bool) -> Result<u64> {
    let all = starting && matches!(tx.inner, Inner::Sqlite(_));
    tx.execute(
        "UPDATE jobs SET lease_owner = NULL, lease_until = NULL WHERE lease_until IS NOT NULL
         AND ($1 OR lease_until < $2)",
        args![all, now],
    )
    .await
}
