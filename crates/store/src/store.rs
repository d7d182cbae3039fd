//! The two databases behind one face.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kabar_domain::{ConversationId, OrganisationId, Timestamp};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Postgres, Transaction};

use crate::announce::Announcer;
use crate::bulk::Rows;
use crate::counters::{self, Counter};
use crate::error::{Error, Result};
use crate::events::{self, NewEvent};
use crate::sqlite::{self, Sqlite, SqliteReader};
use crate::sqlite_tx::SqliteTx;
use crate::value::{Row, Type, Value};
use crate::{migrate, postgres, sqlite_wal};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// Connections to PostgreSQL at most.
    pub connections: u32,
}

/// A database, cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Backend>, pub(crate) Arc<Announcer>);

#[derive(Debug)]
pub(crate) enum Backend {
    Sqlite(Sqlite),
    Postgres(PgPool),
}

impl Store {
    /// Opens the database and brings its schema up to date, one process at a time.
    pub async fn open(options: &Options) -> Result<Self> {
        let store = Self::connect(options).await?;
        migrate::run(&store).await?;
        if let Backend::Sqlite(sqlite) = &*store.0 {
            let (path, weak) = (sqlite.path.clone(), Arc::downgrade(&store.0));
            tokio::spawn(async move {
                if let Err(error) = sqlite_wal::keep_short(&path, weak).await {
                    // Commits do it themselves from now on, later and at once.
                    tracing::warn!(%error, "the write-ahead log is not copied in the background any more");
                }
            });
        }
        Ok(store)
    }

    pub(crate) async fn connect(options: &Options) -> Result<Self> {
        let backend = if let Some(path) = options.url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            Backend::Sqlite(sqlite::blocking(|| Sqlite::open(Path::new(path)))?)
        } else if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") {
            let connect: PgConnectOptions = options.url.parse().map_err(|_| {
                Error::Unavailable(
                    "the database URL is not of the form postgres://user:password@host:port/name".into(),
                )
            })?;
            Backend::Postgres(
                PgPoolOptions::new()
                    .max_connections(options.connections)
                    .acquire_timeout(Duration::from_secs(5))
                    // Queues grow from nothing to thousands of rows and back: a plan is made for what is there, not
                    // kept from when the table was empty; compiling one takes longer than any of them runs. Every
                    // join here goes by an index: reading a whole table, with all the old versions of its rows,
                    // only looks cheaper. What a node that stands still has locked is free again in a minute.
                    .after_connect(|connection, _| {
                        Box::pin(async move {
                            sqlx::raw_sql(
                                "SET plan_cache_mode = force_custom_plan; SET jit = off; SET enable_hashjoin = off;
                                 SET enable_mergejoin = off; SET random_page_cost = 1.1;
                                 SET idle_in_transaction_session_timeout = '60s'",
                            )
                            .execute(connection)
                            .await?;
                            Ok(())
                        })
                    })
                    .connect_with(connect.application_name("kabar"))
                    .await?,
            )
        } else {
            return Err(Error::Unavailable(
                "the database URL must begin with sqlite:// or postgres://".into(),
            ));
        };
        Ok(Self(Arc::new(backend), Arc::default()))
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(*self.0, Backend::Sqlite(_))
    }

    /// The folder of the SQLite file.
    pub fn folder(&self) -> Option<PathBuf> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.path.parent().map(Path::to_owned),
            Backend::Postgres(_) => None,
        }
    }

    /// A connection for reading, each statement by itself.
    pub async fn reader(&self) -> Result<Reader> {
        Ok(match &*self.0 {
            Backend::Sqlite(sqlite) => Reader::Sqlite(sqlite.reader().await?),
            Backend::Postgres(pool) => Reader::Postgres(postgres::unless_away(pool, pool.acquire()).await?),
        })
    }

    /// A transaction that may write.
    pub async fn begin(&self) -> Result<Tx> {
        let inner = match &*self.0 {
            Backend::Sqlite(sqlite) => Inner::Sqlite(SqliteTx::begin(&sqlite.writer).await?),
            Backend::Postgres(pool) => Inner::Postgres(postgres::unless_away(pool, pool.begin()).await?),
        };
        Ok(Tx { inner, counts: BTreeMap::new(), events: BTreeMap::new(), announcer: Arc::clone(&self.1) })
    }

    /// Closes every connection; what is under way ends first.
    pub async fn close(&self) {
        match &*self.0 {
            Backend::Sqlite(sqlite) => {
                let writer = sqlite.writer.lock().await;
                let checkpointed =
                    sqlite::blocking(|| writer.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
                if let Err(error) = checkpointed {
                    tracing::warn!(%error, "the database could not be tidied; the next start does it");
                }
            }
            Backend::Postgres(pool) => pool.close().await,
        }
    }
}

/// What statements run on: a [`Reader`] or a [`Tx`].
pub trait Db {
    /// All rows. Parameters are `$1`, `$2`…
    fn fetch(&mut self, sql: &str, args: Vec<Value>) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// The first row, if any.
    fn fetch_optional(
        &mut self,
        sql: &str,
        args: Vec<Value>,
    ) -> impl Future<Output = Result<Option<Row>>> + Send
    where
        Self: Send,
    {
        async move { Ok(self.fetch(sql, args).await?.into_iter().next()) }
    }
}

/// A connection for reading.
#[derive(Debug)]
pub enum Reader {
    Sqlite(SqliteReader),
    Postgres(PoolConnection<Postgres>),
}

impl Db for Reader {
    async fn fetch(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite(reader) => reader.fetch(sql, &args),
            Self::Postgres(connection) => postgres::fetch(connection, sql, &args).await,
        }
    }
}

/// A write transaction; rolled back when dropped before [`Tx::commit`].
///
/// What it counts and records is written at its end, in one order for all: the rows of totals and of event numbers
/// are those that every transaction of an organisation meets at.
#[derive(Debug)]
pub struct Tx {
    pub(crate) inner: Inner,
    pub(crate) counts: BTreeMap<(OrganisationId, Counter), i64>,
    pub(crate) events: BTreeMap<OrganisationId, Vec<(Timestamp, NewEvent)>>,
    announcer: Arc<Announcer>,
}

#[derive(Debug)]
pub(crate) enum Inner {
    Sqlite(SqliteTx),
    Postgres(Transaction<'static, Postgres>),
}

impl Db for Tx {
    async fn fetch(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        match &mut self.inner {
            Inner::Sqlite(tx) => tx.fetch(sql, &args),
            Inner::Postgres(tx) => postgres::fetch(tx, sql, &args).await,
        }
    }
}

impl Tx {
    /// Rows changed.
    pub async fn execute(&mut self, sql: &str, args: Vec<Value>) -> Result<u64> {
        match &mut self.inner {
            Inner::Sqlite(tx) => tx.execute(sql, &args),
            Inner::Postgres(tx) => postgres::execute(tx, sql, &args).await,
        }
    }

    /// Adds to a total, in this transaction.
    pub fn count(&mut self, organisation: OrganisationId, counter: Counter, by: i64) {
        *self.counts.entry((organisation, counter)).or_default() += by;
    }

    /// Records events of an organisation, in this transaction.
    pub fn record(
        &mut self,
        organisation: OrganisationId,
        at: Timestamp,
        events: impl IntoIterator<Item = NewEvent>,
    ) {
        self.events.entry(organisation).or_default().extend(events.into_iter().map(|event| (at, event)));
    }

    pub async fn commit(mut self) -> Result<()> {
        for ((organisation, counter), by) in std::mem::take(&mut self.counts) {
            counters::add(&mut self, organisation, counter, by).await?;
        }
        let mut recorded = Vec::new();
        for (organisation, events) in std::mem::take(&mut self.events) {
            if !events.is_empty() {
                recorded.push((organisation, events::append(&mut self, organisation, events).await?));
            }
        }
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await?,
            Inner::Postgres(tx) => tx.commit().await?,
        }
        self.announcer.recorded(&recorded);
        Ok(())
    }

    /// Runs a query that reads `FROM {rows}` (as `u`) for all rows at once; result rows come in no order, so
    /// select a column of `u` to tell them apart.
    pub async fn bulk_fetch(&mut self, sql: &str, rows: Rows) -> Result<Vec<Row>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.inner {
            Inner::Sqlite(tx) => tx.bulk_fetch(sql, &rows),
            Inner::Postgres(tx) => postgres::bulk_fetch(tx, rows.postgres(sql), rows).await,
        }
    }

    /// Runs an `UPDATE … FROM {rows}` or `DELETE` for all rows at once; rows changed.
    pub async fn bulk_execute(&mut self, sql: &str, rows: Rows) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        match &mut self.inner {
            Inner::Sqlite(tx) => {
                let sql = rows.sqlite(sql);
                Ok(tx.bulk_execute(&sql, &rows)?.into_iter().sum::<usize>() as u64)
            }
            Inner::Postgres(tx) => postgres::bulk_execute(tx, rows.postgres(sql), rows).await,
        }
    }

    /// Inserts all rows. `suffix` is what follows the values, as `ON CONFLICT …`.
    pub async fn bulk_insert(&mut self, table: &str, rows: Rows, suffix: &str) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        match &mut self.inner {
            Inner::Sqlite(tx) => {
                let sql = rows.sqlite_insert(table, suffix);
                Ok(tx.bulk_execute(&sql, &rows)?.into_iter().sum::<usize>() as u64)
            }
            Inner::Postgres(tx) => {
                postgres::bulk_execute(tx, rows.postgres_insert(table, suffix), rows).await
            }
        }
    }

    /// Inserts the rows that conflict with nothing; for each row in order, whether it went in. The table's `id`
    /// (a UUID the caller made) is in column `id_column`.
    pub async fn bulk_insert_new(&mut self, table: &str, rows: Rows, id_column: usize) -> Result<Vec<bool>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.inner {
            Inner::Sqlite(tx) => {
                let sql = rows.sqlite_insert(table, "ON CONFLICT DO NOTHING");
                Ok(tx.bulk_execute(&sql, &rows)?.into_iter().map(|changed| changed == 1).collect())
            }
            Inner::Postgres(tx) => {
                let ids: Vec<Value> = rows.columns[id_column].values.clone();
                debug_assert_eq!(rows.columns[id_column].kind, Type::Uuid);
                let sql = rows.postgres_insert(table, "ON CONFLICT DO NOTHING RETURNING id");
                let mut inserted = std::collections::HashSet::with_capacity(ids.len());
                for mut row in postgres::bulk_fetch(tx, sql, rows).await? {
                    inserted.insert(row.get::<uuid::Uuid>(0)?);
                }
                Ok(ids.iter().map(|id| matches!(id, Value::Uuid(id) if inserted.contains(id))).collect())
            }
        }
    }

    /// Locks the rows read under the alias `m`, in one order for all, where rows can be locked one by one; SQLite's one writer needs none.
    pub const fn for_update(&self) -> &'static str {
        match &self.inner {
            Inner::Sqlite(_) => "",
            Inner::Postgres(_) => "ORDER BY m.id FOR UPDATE OF m",
        }
    }

    /// Lets nobody else add to the lanes of these conversations, or take from them, until the transaction ends. Lock
    /// messages before lanes, never after.
    pub async fn lock_lanes(
        &mut self,
        conversations: impl IntoIterator<Item = ConversationId>,
    ) -> Result<()> {
        if matches!(self.inner, Inner::Sqlite(_)) {
            return Ok(());
        }
        let mut rows = Rows::new(&[("lane", crate::bulk::of::<i64>())]);
        let lanes: BTreeSet<i64> = conversations
            .into_iter()
            // The low half of a UUID v7 is random.
            .map(|conversation| conversation.uuid().as_u64_pair().1 as i64)
            .collect();
        for lane in lanes {
            rows.push([Value::Int(lane)]);
        }
        self.bulk_fetch(
            "SELECT 1 FROM (SELECT pg_advisory_xact_lock(lane) FROM (SELECT lane FROM {rows} ORDER BY lane) o) l",
            rows,
        )
        .await?;
        Ok(())
    }

    /// `FOR UPDATE` where rows can be locked one by one; SQLite's one writer needs none.
    pub const fn lock_rows(&self) -> &'static str {
        match &self.inner {
            Inner::Sqlite(_) => "",
            Inner::Postgres(_) => "FOR UPDATE",
        }
    }

    /// `FOR UPDATE SKIP LOCKED` where rows can be locked one by one; SQLite's one writer needs none.
    pub const fn skip_locked(&self) -> &'static str {
        match &self.inner {
            Inner::Sqlite(_) => "",
            Inner::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// `FOR UPDATE` of the rows read under an alias, where rows can be locked one by one.
    pub fn lock_of(&self, alias: &str) -> String {
        match &self.inner {
            Inner::Sqlite(_) => String::new(),
            Inner::Postgres(_) => format!("FOR UPDATE OF {alias}"),
        }
    }

    /// [`Tx::lock_of`], passing over rows that others have locked.
    pub fn skip_locked_of(&self, alias: &str) -> String {
        match &self.inner {
            Inner::Sqlite(_) => String::new(),
            Inner::Postgres(_) => format!("FOR UPDATE OF {alias} SKIP LOCKED"),
        }
    }
}
