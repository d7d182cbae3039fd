//! Whether the database takes writes.

use kabar_domain::Timestamp;

use crate::args;
use crate::error::Result;
use crate::store::Tx;

/// Writes one row, always the same.
pub async fn write(tx: &mut Tx, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO health (id, checked_at) VALUES (1, $1)
         ON CONFLICT (id) DO UPDATE SET checked_at = excluded.checked_at",
        args![now],
    )
    .await?;
    Ok(())
}
