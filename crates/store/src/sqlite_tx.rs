//! Write transactions of SQLite, which share their commits: a flush of the disk takes as long for one as for thirty.
//!
//! Whoever finds others waiting for the connection leaves its changes uncommitted and hands the connection on; the
//! last one, or the one that finds the round full, commits for all, and only then do they hear that they are done. Each
//! stands in a savepoint of its own, so that one can be undone without the others. When the commit fails, it has failed
//! for all of them.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::bulk::Rows;
use crate::error::{Error, Result};
use crate::sqlite::{blocking, execute, fetch, read_row};
use crate::sqlite_gate::{Gate, Held};
use crate::value::{Row, Value};

/// Transactions that share a commit at most.
const ROUND: usize = 64;
/// The first of them does not wait for more after this.
const PATIENCE: Duration = Duration::from_millis(5);

/// The one connection that writes.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Gate<Shared>);

/// The connection, and who waits for its next commit.
#[derive(Debug)]
pub(crate) struct Shared {
    pub connection: Connection,
    round: Vec<oneshot::Sender<Result<()>>>,
    begun: Option<Instant>,
}

impl Shared {
    /// Commits the round, and tells everybody in it.
    fn commit(&mut self) -> Result<()> {
        let result = if self.connection.is_autocommit() {
            // An error of the disk has undone everything.
            Err(Error::Full("the disk failed while others wrote".into()))
        } else {
            self.connection.execute_batch("COMMIT").map_err(Error::from)
        };
        if result.is_err()
            && !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "a transaction could not be rolled back");
        }
        for other in self.round.drain(..) {
            // Whoever does not wait any more has no use for the answer.
            other.send(result.as_ref().copied().map_err(Error::again)).unwrap_or_default();
        }
        result
    }
}

impl Writer {
    pub fn new(connection: Connection) -> Self {
        Self(Gate::new(Shared { connection, round: Vec::new(), begun: None }))
    }

    /// The connection with nothing uncommitted on it.
    pub async fn lock(&self) -> Held<Shared> {
        let mut shared = self.0.lock().await;
        if !shared.round.is_empty() {
            // Those who wrote hear of an error.
            blocking(|| shared.commit()).unwrap_or_default();
        }
        shared
    }
}

/// A write transaction (`BEGIN IMMEDIATE`); rolled back when dropped before [`SqliteTx::commit`], and what it may have
/// read of others in its round is committed then.
#[derive(Debug)]
pub struct SqliteTx {
    shared: Held<Shared>,
    writer: Writer,
    /// Others wrote before it and wait for the same commit.
    nested: bool,
    open: bool,
}

impl SqliteTx {
    pub(crate) async fn begin(writer: &Writer) -> Result<Self> {
        let mut shared = writer.0.lock().await;
        if !shared.round.is_empty() && shared.connection.is_autocommit() {
            // An error of the disk has undone the round; those in it hear so before anything new begins.
            shared.commit().unwrap_or_default();
        }
        let nested = !shared.round.is_empty();
        if nested {
            shared.connection.execute_batch("SAVEPOINT kabar_shared")?;
        } else {
            shared.connection.execute_batch("BEGIN IMMEDIATE")?;
            shared.begun = Some(Instant::now());
        }
        Ok(Self { shared, writer: writer.clone(), nested, open: true })
    }

    // Statements find their pages in memory and take microseconds; the commit waits for the disk.

    pub fn fetch(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        fetch(&self.shared.connection, sql, args)
    }

    pub fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        execute(&self.shared.connection, sql, args)
    }

    pub async fn commit(mut self) -> Result<()> {
        if self.nested && !self.shared.connection.is_autocommit() {
            self.shared.connection.execute_batch("RELEASE kabar_shared")?;
        }
        self.open = false;
        let others = self.writer.0.waiting();
        let is_late = self.shared.begun.is_none_or(|begun| begun.elapsed() > PATIENCE);
        if others == 0 || is_late || self.shared.round.len() + 1 >= ROUND {
            return blocking(|| self.shared.commit());
        }
        let (told, done) = oneshot::channel();
        self.shared.round.push(told);
        if self.shared.round.len() == 1 {
            // Those who wait now may give up: somebody commits in any case.
            let writer = self.writer.clone();
            tokio::spawn(async move { drop(writer.lock().await) });
        }
        drop(self);
        done.await.unwrap_or_else(|_| Err(Error::Unavailable("the database was closed".into())))
    }

    pub fn bulk_fetch(&mut self, sql: &str, rows: &Rows) -> Result<Vec<Row>> {
        let sql = rows.sqlite(sql);
        let mut statement = self.shared.connection.prepare_cached(&sql)?;
        let width = statement.column_count();
        let mut found = Vec::new();
        for index in 0..rows.len() {
            for (i, column) in rows.columns.iter().enumerate() {
                statement.raw_bind_parameter(i + 1, &column.values[index])?;
            }
            let mut cursor = statement.raw_query();
            while let Some(row) = cursor.next()? {
                found.push(read_row(row, width)?);
            }
        }
        Ok(found)
    }

    /// Runs `sql` once a row; how many database rows each changed.
    pub fn bulk_execute(&mut self, sql: &str, rows: &Rows) -> Result<Vec<usize>> {
        let mut statement = self.shared.connection.prepare_cached(sql)?;
        let mut changed = Vec::with_capacity(rows.len());
        for index in 0..rows.len() {
            for (i, column) in rows.columns.iter().enumerate() {
                statement.raw_bind_parameter(i + 1, &column.values[index])?;
            }
            changed.push(statement.raw_execute()?);
        }
        Ok(changed)
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        if !self.open || self.shared.connection.is_autocommit() {
            return;
        }
        let undo = if self.nested { "ROLLBACK TO kabar_shared; RELEASE kabar_shared" } else { "ROLLBACK" };
        blocking(|| {
            if let Err(error) = self.shared.connection.execute_batch(undo) {
                tracing::warn!(%error, "a transaction could not be rolled back");
            }
            if self.nested {
                // It gave up over what others wrote, perhaps: whoever hears so must find that committed. An error
                // is told to those who wrote.
                self.shared.commit().unwrap_or_default();
            }
        });
    }
}
