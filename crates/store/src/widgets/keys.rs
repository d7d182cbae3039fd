//! Keys that embed tokens are signed with.

use kabar_domain::{OrganisationId, Timestamp, WidgetKeyId};

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::value::Row;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub organisation_id: OrganisationId,
    pub id: WidgetKeyId,
    /// Sealed.
    pub secret: Vec<u8>,
    /// Tokens signed with it are taken until then; `None` for the current one.
    pub good_until: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Key {
    /// Whether tokens signed with it are taken.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.good_until.is_none_or(|until| now < until)
    }
}

const COLUMNS: &str = "organisation_id, id, secret, good_until, revoked_at, created_at";

fn key(mut row: Row) -> Result<Key> {
    Ok(Key {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        secret: row.get(2)?,
        good_until: row.get(3)?,
        revoked_at: row.get(4)?,
        created_at: row.get(5)?,
    })
}

pub async fn insert(tx: &mut Tx, key: &Key) -> Result<()> {
    tx.execute(
        "INSERT INTO widget_keys (organisation_id, id, secret, created_at) VALUES ($1, $2, $3, $4)",
        args![key.organisation_id, key.id, key.secret.clone(), key.created_at],
    )
    .await?;
    Ok(())
}

/// Writes how long it is good.
pub async fn update(tx: &mut Tx, key: &Key) -> Result<()> {
    tx.execute(
        "UPDATE widget_keys SET good_until = $3, revoked_at = $4 WHERE organisation_id = $1 AND id = $2",
        args![key.organisation_id, key.id, key.good_until, key.revoked_at],
    )
    .await?;
    Ok(())
}

/// What new tokens are signed with.
pub async fn current(db: &mut impl Db, organisation: OrganisationId) -> Result<Option<Key>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM widget_keys
         WHERE organisation_id = $1 AND good_until IS NULL AND revoked_at IS NULL"
    );
    db.fetch(&sql, args![organisation]).await?.pop().map(key).transpose()
}

/// Newest first.
pub async fn list(db: &mut impl Db, organisation: OrganisationId) -> Result<Vec<Key>> {
    let sql =
        format!("SELECT {COLUMNS} FROM widget_keys WHERE organisation_id = $1 ORDER BY id DESC LIMIT 100");
    db.fetch(&sql, args![organisation]).await?.into_iter().map(key).collect()
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: WidgetKeyId) -> Result<Option<Key>> {
    let sql = format!("SELECT {COLUMNS} FROM widget_keys WHERE organisation_id = $1 AND id = $2");
    db.fetch(&sql, args![organisation, id]).await?.pop().map(key).transpose()
}

/// The key that a token names, whosever it is: a visitor's organisation is known by it alone.
pub async fn named(db: &mut impl Db, id: WidgetKeyId) -> Result<Option<Key>> {
    let sql = format!("SELECT {COLUMNS} FROM widget_keys WHERE id = $1");
    db.fetch(&sql, args![id]).await?.pop().map(key).transpose()
}

/// Forgets keys that no token can be good under any more.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.execute("DELETE FROM widget_keys WHERE good_until < $1 OR revoked_at < $1", args![before]).await
}
