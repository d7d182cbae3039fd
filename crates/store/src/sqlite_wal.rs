//! Copies the write-ahead log into the database beside those who write.
//!
//! A checkpoint of a commit's own (`wal_autocheckpoint`) holds everybody up for as long as it copies, a second or more on a slow disk.
//! Here a connection of its own copies while others write; only what came meanwhile is copied with the writer's lock,
//! after which the log begins at its start again.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::Result;
use crate::sqlite::blocking;
use crate::store::Backend;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Pages (4 KiB) in the log from which on it is copied.
const ENOUGH: i64 = 16_384;
/// What may be copied with the writer's lock held: some milliseconds' work.
const LITTLE: i64 = 2_048;

/// Pages in the log, and how many of them are copied.
fn checkpoint(connection: &Connection, mode: &str) -> Result<(i64, i64)> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    Ok(connection.query_row(&sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?)
}

/// Works until the store is gone.
pub(crate) async fn keep_short(path: &Path, store: Weak<Backend>) -> Result<()> {
    let own = blocking(|| Connection::open(path))?;
    own.busy_timeout(Duration::from_secs(1))?;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        let Some(store) = store.upgrade() else { return Ok(()) };
        let (pages, _) = checkpoint(&own, "NOOP")?;
        if pages < ENOUGH {
            continue;
        }
        for _ in 0..8 {
            let (pages, copied) = blocking(|| checkpoint(&own, "PASSIVE"))?;
            if pages - copied <= LITTLE {
                break;
            }
        }
        if let Backend::Sqlite(sqlite) = &*Arc::clone(&store) {
            let writer = sqlite.writer.lock().await;
            blocking(|| checkpoint(&writer.connection, "PASSIVE"))?;
        }
    }
}
