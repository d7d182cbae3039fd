//! Versions of what an organisation calls its places and things.

use kabar_domain::OrganisationId;

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};

/// What is built of the names is out of date from now on. Nobody else changes them until the transaction ends: call it
/// before looking at them.
pub async fn bump(tx: &mut Tx, organisation: OrganisationId) -> Result<()> {
    tx.execute(
        "INSERT INTO vocabularies (organisation_id, version) VALUES ($1, 1)
         ON CONFLICT (organisation_id) DO UPDATE SET version = vocabularies.version + 1",
        args![organisation],
    )
    .await?;
    Ok(())
}

/// The first version; false when there is one already.
pub async fn begin(tx: &mut Tx, organisation: OrganisationId) -> Result<bool> {
    let sql = "INSERT INTO vocabularies (organisation_id, version) VALUES ($1, 1)
               ON CONFLICT (organisation_id) DO NOTHING";
    Ok(tx.execute(sql, args![organisation]).await? == 1)
}

/// 0 before the first.
pub async fn version(db: &mut impl Db, organisation: OrganisationId) -> Result<i64> {
    let mut rows =
        db.fetch("SELECT version FROM vocabularies WHERE organisation_id = $1", args![organisation]).await?;
    rows.first_mut().map_or(Ok(0), |row| row.get(0))
}

/// Organisations that have no version yet.
pub async fn missing(db: &mut impl Db) -> Result<Vec<OrganisationId>> {
    let sql = "SELECT o.id FROM organisations o
               WHERE NOT EXISTS (SELECT 1 FROM vocabularies v WHERE v.organisation_id = o.id) ORDER BY o.id";
    db.fetch(sql, Vec::new()).await?.iter_mut().map(|row| row.get(0)).collect()
}
