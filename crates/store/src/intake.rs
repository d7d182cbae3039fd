//! How much one person, or one channel, put before the team in a stretch of time.

use kabar_domain::{InboxItemId, OrganisationId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::store::Tx;
use crate::value::Bind;
use crate::{Rows, args, of};

/// A source's present stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub started_at: Timestamp,
    pub taken: i64,
    /// Over the limit: the item that gathers the others, as long as nobody is done with it.
    pub digest_id: Option<InboxItemId>,
}

/// A source of an organisation: a contact or a channel.
pub type Source = (OrganisationId, Uuid);

/// The stretches of these sources, as far as there are any.
pub async fn windows(tx: &mut Tx, sources: &[Source]) -> Result<Vec<(Source, Window)>> {
    let mut rows = Rows::new(&[("org", of::<OrganisationId>()), ("source", of::<Uuid>())]);
    for (organisation, source) in sources {
        rows.push([organisation.value(), source.value()]);
    }
    let lock = tx.lock_of("w");
    let sql = format!(
        "SELECT w.organisation_id, w.source_id, w.started_at, w.taken,
             (SELECT i.id FROM inbox_items i WHERE i.organisation_id = w.organisation_id AND i.id = w.digest_id
                AND i.status IN (1, 2)) FROM {{rows}}
         JOIN intake_windows w ON w.organisation_id = u.org AND w.source_id = u.source {lock}"
    );
    let mut found = Vec::new();
    for mut row in tx.bulk_fetch(&sql, rows).await? {
        let window = Window { started_at: row.get(2)?, taken: row.get(3)?, digest_id: row.get(4)? };
        found.push(((row.get(0)?, row.get(1)?), window));
    }
    Ok(found)
}

/// Writes stretches, in the order of their sources.
pub async fn keep(tx: &mut Tx, windows: impl IntoIterator<Item = (Source, Window)>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("source_id", of::<Uuid>()),
        ("started_at", of::<i64>()),
        ("taken", of::<i64>()),
        ("digest_id", of::<InboxItemId>()),
    ]);
    for ((organisation, source), window) in windows {
        rows.push([
            organisation.value(),
            source.value(),
            window.started_at.value(),
            window.taken.value(),
            window.digest_id.value(),
        ]);
    }
    tx.bulk_insert(
        "intake_windows",
        rows,
        "ON CONFLICT (organisation_id, source_id) DO UPDATE
         SET started_at = excluded.started_at, taken = excluded.taken, digest_id = excluded.digest_id",
    )
    .await?;
    Ok(())
}

/// Puts items into the digests that gather them: `(organisation, item, digest)`.
pub async fn gather(tx: &mut Tx, items: Vec<(OrganisationId, InboxItemId, InboxItemId)>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("item", of::<InboxItemId>()),
        ("digest", of::<InboxItemId>()),
    ]);
    for (organisation, item, digest) in items {
        rows.push([organisation.value(), item.value(), digest.value()]);
    }
    tx.bulk_execute(
        "UPDATE inbox_items SET digest_id = u.digest FROM {rows}
         WHERE inbox_items.organisation_id = u.org AND inbox_items.id = u.item",
        rows,
    )
    .await?;
    Ok(())
}

/// Drops up to `limit` stretches that began before `before`: longer ones are not allowed.
pub async fn forget(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM intake_windows WHERE started_at < $1 AND (organisation_id, source_id) IN (
             SELECT organisation_id, source_id FROM intake_windows WHERE started_at < $1 LIMIT $2)",
        args![before, limit],
    )
    .await
}
