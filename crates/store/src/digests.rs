//! What supervisors are told of their sites each day.

use kabar_domain::operations::{ProblemStatus, Severity};
use kabar_domain::{OrganisationId, SiteId, Timestamp, UserId};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};

/// A site with supervisors, and its organisation's settings.
#[derive(Clone, Debug)]
pub struct Supervised {
    pub organisation_id: OrganisationId,
    pub site_id: SiteId,
    pub name: String,
    /// Its own time zone, else its organisation's.
    pub timezone: String,
    pub supervisors: Vec<UserId>,
    pub settings: Json,
}

/// The sites in use that have supervisors, of all organisations.
pub async fn supervised(db: &mut impl Db) -> Result<Vec<Supervised>> {
    let sql = "SELECT s.organisation_id, s.id, s.name, COALESCE(s.timezone, o.timezone), s.supervisor_ids, o.settings
               FROM sites s JOIN organisations o ON o.id = s.organisation_id
               WHERE s.archived_at IS NULL AND s.supervisor_ids <> '[]' ORDER BY s.organisation_id, s.name";
    db.fetch(sql, Vec::new())
        .await?
        .into_iter()
        .map(|mut row| {
            Ok(Supervised {
                organisation_id: row.get(0)?,
                site_id: row.get(1)?,
                name: row.get(2)?,
                timezone: row.get(3)?,
                supervisors: row.json(4)?.unwrap_or_default(),
                settings: row.get(5)?,
            })
        })
        .collect()
}

/// Notes that a supervisor is sent a site's digest of a day; `false` when that was so already.
pub async fn claim(
    tx: &mut Tx,
    organisation: OrganisationId,
    site: SiteId,
    user: UserId,
    day: i64,
    now: Timestamp,
) -> Result<bool> {
    let sql = "INSERT INTO site_digests (organisation_id, site_id, user_id, day, created_at)
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    Ok(tx.execute(sql, args![organisation, site, user, day, now]).await? == 1)
}

/// An open problem.
#[derive(Clone, Debug)]
pub struct Open {
    pub number: String,
    pub title: String,
    pub severity: Severity,
    pub status: ProblemStatus,
    pub occurred_at: Timestamp,
    pub due_at: Option<Timestamp>,
}

/// A site's open problems, the gravest and oldest first.
pub async fn open(db: &mut impl Db, organisation: OrganisationId, site: SiteId) -> Result<Vec<Open>> {
    let sql = "SELECT number, title, severity, status, occurred_at, due_at FROM records
               WHERE organisation_id = $1 AND site_id = $2 AND kind = 2 AND status IN (1, 2, 3, 6)
                 AND merged_into IS NULL
               ORDER BY severity DESC, occurred_at";
    db.fetch(sql, args![organisation, site])
        .await?
        .into_iter()
        .map(|mut row| {
            Ok(Open {
                number: row.get(0)?,
                title: row.get(1)?,
                severity: row.get(2)?,
                status: row.get(3)?,
                occurred_at: row.get(4)?,
                due_at: row.get(5)?,
            })
        })
        .collect()
}

/// Problems and work updates of a site that occurred since.
pub async fn since(
    db: &mut impl Db,
    organisation: OrganisationId,
    site: SiteId,
    since: Timestamp,
) -> Result<(i64, i64)> {
    let mut found = [0; 2];
    for (count, kind) in found.iter_mut().zip([2_i64, 1]) {
        let sql =
            "SELECT COUNT(*) FROM records WHERE organisation_id = $1 AND kind = $2 AND occurred_at >= $3
                     AND site_id = $4 AND merged_into IS NULL";
        let mut rows = db.fetch(sql, args![organisation, kind, since, site]).await?;
        *count = rows.first_mut().map_or(Ok(0), |row| row.get(0))?;
    }
    Ok((found[0], found[1]))
}

/// Forgets up to `limit` that were sent before `before`.
pub async fn forget(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM site_digests WHERE (organisation_id, site_id, user_id, day) IN (
             SELECT organisation_id, site_id, user_id, day FROM site_digests WHERE created_at < $1 LIMIT $2)",
        args![before, limit],
    )
    .await
}
