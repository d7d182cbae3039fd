//! Files that visitors of widgets brought and have not sent.

use std::collections::HashMap;

use kabar_domain::{FileId, OrganisationId, Timestamp};

use super::{Deleted, File, SELECT, file, left_of};
use crate::args;
use crate::error::Result;
use crate::select::Select;
use crate::store::{Db, Tx};
use crate::value::Bind;

/// Those that are there, sent or not.
pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    ids: Vec<FileId>,
) -> Result<HashMap<FileId, File>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("WHERE f.organisation_id = ?", args![organisation]);
    select.push_in("AND f.id IN", ids.into_iter().map(Bind::value).collect());
    let found = select.fetch(db).await?.into_iter().map(file).collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().map(|file| (file.id, file)).collect())
}

/// It is sent, and stays. `false`: it is no draft any more.
pub async fn keep(tx: &mut Tx, organisation: OrganisationId, id: FileId, now: Timestamp) -> Result<bool> {
    let kept = tx
        .execute(
            "UPDATE files SET draft_until = NULL, updated_at = $3
             WHERE organisation_id = $1 AND id = $2 AND draft_until IS NOT NULL",
            args![organisation, id, now],
        )
        .await?;
    Ok(kept == 1)
}

/// Those of every organisation whose time is over, the oldest first.
pub async fn stale(db: &mut impl Db, now: Timestamp, limit: i64) -> Result<Vec<(OrganisationId, FileId)>> {
    let sql = "SELECT organisation_id, id FROM files WHERE draft_until <= $1 ORDER BY draft_until LIMIT $2";
    db.fetch(sql, args![now, limit]).await?.iter_mut().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Removes it, if its time is over and it was not sent meanwhile.
pub async fn delete(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: FileId,
    now: Timestamp,
) -> Result<Option<Deleted>> {
    let sql = "DELETE FROM files WHERE organisation_id = $1 AND id = $2 AND draft_until <= $3
         RETURNING status, sha256";
    match tx.fetch_optional(sql, args![organisation, id, now]).await? {
        Some(row) => Ok(Some(left_of(tx, organisation, row).await?)),
        None => Ok(None),
    }
}
