//! SQLite: one connection that writes, a few that read, the inbound log in a file of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};
use crate::sqlite_tx::Writer;
use crate::value::{Row, Type, Value};

const READERS: usize = 4;

#[derive(Debug)]
pub(crate) struct Sqlite {
    pub path: PathBuf,
    pub writer: Writer,
    readers: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// Runs `work`, which may wait for the disk, without holding up the other tasks of this thread.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 262144;
         PRAGMA cache_size = -131072; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;",
    )?;
    Ok(connection)
}

/// The log's file beside the database's: `kabar.db` → `kabar.inbound.db`.
pub(crate) fn log_path(path: &Path) -> PathBuf {
    path.with_extension("inbound.db")
}

pub(crate) fn open_log(path: &Path) -> Result<Connection> {
    let connection = Connection::open(log_path(path))?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
         CREATE TABLE IF NOT EXISTS inbound_log (
             seq INTEGER PRIMARY KEY,
             stream INTEGER NOT NULL DEFAULT 0,
             received_at INTEGER NOT NULL,
             source INTEGER NOT NULL,
             account_id BLOB,
             signed_by INTEGER,
             body BLOB NOT NULL
         );",
    )?;
    Ok(connection)
}

impl Sqlite {
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::Unavailable(format!("cannot create the folder {}: {error}", folder.display()))
            })?;
        }
        let writer = open_writer(path)?;
        let readers = (0..READERS)
            .map(|_| {
                let reader = Connection::open_with_flags(
                    path,
                    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
                )?;
                reader.busy_timeout(Duration::from_secs(10))?;
                reader.set_prepared_statement_cache_capacity(128);
                reader.execute_batch("PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;")?;
                Ok(reader)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            path: path.to_owned(),
            writer: Writer::new(writer),
            readers: Arc::new(Mutex::new(readers)),
            permits: Arc::new(Semaphore::new(READERS)),
        })
    }

    pub async fn reader(&self) -> Result<SqliteReader> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| Error::Unavailable("the database is closing".into()))?;
        let connection = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(SqliteReader {
            connection: Some(connection.ok_or_else(|| Error::Unavailable("no reader".into()))?),
            home: Arc::clone(&self.readers),
            _permit: permit,
        })
    }
}

/// A borrowed read-only connection; goes home when dropped.
#[derive(Debug)]
pub struct SqliteReader {
    connection: Option<Connection>,
    home: Arc<Mutex<Vec<Connection>>>,
    _permit: OwnedSemaphorePermit,
}

impl SqliteReader {
    pub fn fetch(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        let connection =
            self.connection.as_ref().ok_or_else(|| Error::Unavailable("reader is gone".into()))?;
        fetch(connection, sql, args)
    }
}

impl Drop for SqliteReader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null(_) => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Uuid(id) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
            Self::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Self::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*value))),
            Self::Float(value) => ToSqlOutput::Borrowed(ValueRef::Real(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// `$1` → `?1`: SQLite numbers `$1` by its first place in the text, `?1` by its number.
fn numbered(sql: &str) -> String {
    let mut out = sql.to_owned();
    // `$` stands only before parameter numbers in our statements.
    let mut from = 0;
    while let Some(at) = out[from..].find('$') {
        let at = from + at;
        if out.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit) {
            out.replace_range(at..=at, "?");
        }
        from = at + 1;
    }
    out
}

pub(crate) fn read_row(row: &rusqlite::Row<'_>, width: usize) -> Result<Row> {
    (0..width)
        .map(|i| {
            Ok(match row.get_ref(i)? {
                ValueRef::Null => Value::Null(Type::Text),
                ValueRef::Integer(value) => Value::Int(value),
                ValueRef::Real(value) => Value::Float(value),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => match uuid::Uuid::from_slice(bytes) {
                    Ok(id) => Value::Uuid(id),
                    Err(_) => Value::Bytes(bytes.to_vec()),
                },
            })
        })
        .collect::<Result<Vec<_>>>()
        .map(Row)
}

pub(crate) fn fetch(connection: &Connection, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(&numbered(sql))?;
    let width = statement.column_count();
    let mut cursor = statement.query(rusqlite::params_from_iter(args))?;
    let mut found = Vec::new();
    while let Some(row) = cursor.next()? {
        found.push(read_row(row, width)?);
    }
    Ok(found)
}

pub(crate) fn execute(connection: &Connection, sql: &str, args: &[Value]) -> Result<u64> {
    let mut statement = connection.prepare_cached(&numbered(sql))?;
    Ok(statement.execute(rusqlite::params_from_iter(args))? as u64)
}
