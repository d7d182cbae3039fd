//! The inbound log: every accepted webhook body, on disk before it is acknowledged.
//!
//! A stream is one writer's sequence; its numbers become visible in order. SQLite has one stream (0) in a file of
//! its own, PostgreSQL one per writer. Many appends share one commit: whatever is queued when the disk is free.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kabar_domain::message::Platform;
use kabar_domain::{AccountId, Timestamp};
use rusqlite::Connection;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::args;
use crate::bulk::{Rows, of};
use crate::error::{Error, Result};
use crate::store::{Backend, Db, Inner, Store, Tx};
use crate::{postgres, sqlite};

/// Appends in one commit at most.
const BATCH: usize = 512;
/// Appends that may wait.
const QUEUE: usize = 8_192;
/// Bytes of bodies that may wait.
const QUEUE_BYTES: usize = 96 << 20;
/// A stream left alone for longer is not gone on with: it may be pruned away.
const STREAM_IDLE: Duration = Duration::from_hours(1);
/// Bytes of a probe's row: too few to be stored apart or compressed, so that all of them need new pages.
const PROBE: usize = 1_500;

/// One webhook body and what was known when it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub received_at: Timestamp,
    pub source: Platform,
    /// The account whose own address or secret was used (Telegram).
    pub account_id: Option<AccountId>,
    /// Fingerprint of the app secret that signed it (WhatsApp).
    pub signed_by: Option<i64>,
    pub body: Vec<u8>,
}

/// An [`Entry`] in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub stream: i64,
    pub seq: i64,
    pub entry: Entry,
}

/// How far the applier is behind: the age of what it last took up. The writers slow down by it, so that a flood is
/// acknowledged no faster than it is applied, and what waits stays bounded.
#[derive(Clone, Debug, Default)]
pub struct Lag(Arc<AtomicU64>);

impl Lag {
    /// A lag below this is the normal rhythm of batches.
    const CALM: Duration = Duration::from_millis(250);
    /// Being durable comes first: a commit is never held up longer.
    const LONGEST_PAUSE: Duration = Duration::from_millis(50);

    pub fn set(&self, lag: Duration) {
        self.0.store(lag.as_millis() as u64, Ordering::Relaxed);
    }

    /// Applying is behind: what can wait should leave it the database.
    pub fn is_behind(&self) -> bool {
        Duration::from_millis(self.0.load(Ordering::Relaxed)) > Self::CALM
    }

    /// How long to wait before the next commit: a hundredth of what is over the normal.
    fn pause(&self) -> Option<Duration> {
        let over = Duration::from_millis(self.0.load(Ordering::Relaxed)).checked_sub(Self::CALM)?;
        (!over.is_zero()).then(|| (over / 100).min(Self::LONGEST_PAUSE))
    }
}

struct Append {
    entry: Entry,
    done: oneshot::Sender<Result<(), String>>,
    _bytes: OwnedSemaphorePermit,
}

/// Why an append was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// More waits than fits in memory; try again in a moment.
    #[error("the inbound queue is full")]
    Busy,
    /// The disk or the database refuses; nothing of this body was kept.
    #[error("the inbound log cannot be written: {0}")]
    Failed(String),
}

/// The way to the log's writers. Clones share the queue.
#[derive(Clone, Debug)]
pub struct LogWriter {
    queue: mpsc::Sender<Append>,
    bytes: Arc<Semaphore>,
    failing: Arc<AtomicBool>,
}

/// What the writers tell, and are told.
#[derive(Clone)]
struct Signals {
    appended: Arc<Notify>,
    lag: Lag,
    failing: Arc<AtomicBool>,
}

impl LogWriter {
    /// Starts the writers. `appended` is notified after each commit. They end, with everything queued written,
    /// once every clone is dropped; the returned handles then finish.
    pub async fn start(
        store: &Store,
        appended: Arc<Notify>,
        lag: Lag,
    ) -> Result<(Self, Vec<tokio::task::JoinHandle<()>>)> {
        let (queue, pending) = mpsc::channel(QUEUE);
        let failing = Arc::new(AtomicBool::new(false));
        let signals = Signals { appended, lag, failing: Arc::clone(&failing) };
        let handles = match &*store.0 {
            Backend::Sqlite(sqlite) => {
                let connection = sqlite::blocking(|| sqlite::open_log(&sqlite.path))?;
                let position = position(&mut store.reader().await?, 0).await?;
                let thread = std::thread::Builder::new()
                    .name("inbound-log".into())
                    .spawn(move || write_sqlite(&connection, position, pending, &signals))
                    .map_err(|error| Error::Unavailable(error.to_string()))?;
                vec![tokio::task::spawn_blocking(move || {
                    if thread.join().is_err() {
                        tracing::error!("the inbound log's writer ended unexpectedly");
                    }
                })]
            }
            // One writer, so one stream: what was acknowledged first is applied first.
            Backend::Postgres(_) => vec![tokio::spawn(write_postgres(store.clone(), pending, signals))],
        };
        Ok((Self { queue, bytes: Arc::new(Semaphore::new(QUEUE_BYTES)), failing }, handles))
    }

    /// Returns once the entry is on disk.
    pub async fn append(&self, entry: Entry) -> Result<(), AppendError> {
        let size = u32::try_from(entry.body.len().max(1)).map_err(|_| AppendError::Busy)?;
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(size).map_err(|_| AppendError::Busy)?;
        let (done, answer) = oneshot::channel();
        self.queue.try_send(Append { entry, done, _bytes: permit }).map_err(|_| AppendError::Busy)?;
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(AppendError::Failed(reason)),
            Err(_) => Err(AppendError::Failed("the writer has stopped".into())),
        }
    }
}

impl LogWriter {
    /// Whether bodies can be made durable, as far as the last append tells. After a failed one rows are written
    /// and taken back: a probe that finds the disk full where a small update would still fit.
    pub async fn check(&self, store: &Store) -> Result<()> {
        if !self.failing.load(Ordering::Relaxed) {
            return Ok(());
        }
        // SQLite's files grow at a commit only; the room on its disk is looked at apart.
        if let Backend::Postgres(_) = &*store.0 {
            let mut tx = store.begin().await?;
            tx.execute(
                "INSERT INTO inbound_log (stream, seq, received_at, source, body)
                 SELECT -1, n, 0, 0, $1 FROM generate_series(1, 64) n",
                args![vec![0_u8; PROBE]],
            )
            .await?;
        }
        self.failing.store(false, Ordering::Relaxed);
        Ok(())
    }
}

fn answer(batch: &mut Vec<Append>, result: &Result<()>, signals: &Signals) {
    signals.failing.store(result.is_err(), Ordering::Relaxed);
    match result {
        Ok(()) => {
            signals.appended.notify_one();
            for append in batch.drain(..) {
                // A client that hung up is answered by its next try, which is a duplicate.
                append.done.send(Ok(())).unwrap_or_default();
            }
        }
        Err(error) => {
            tracing::error!(%error, refused = batch.len(), "the inbound log cannot be written");
            for append in batch.drain(..) {
                append.done.send(Err(error.to_string())).unwrap_or_default();
            }
        }
    }
}

fn write_sqlite(
    connection: &Connection,
    mut last: i64,
    mut pending: mpsc::Receiver<Append>,
    signals: &Signals,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        if let Some(pause) = signals.lag.pause() {
            std::thread::sleep(pause);
        }
        batch.extend(pending.blocking_recv());
        if batch.is_empty() {
            return;
        }
        while batch.len() < BATCH
            && let Ok(append) = pending.try_recv()
        {
            batch.push(append);
        }
        let result = append_sqlite(connection, &mut last, &batch);
        if result.is_err() && !connection.is_autocommit() {
            // The failure that counts is the first; a rollback that fails too leaves nothing behind either.
            connection.execute_batch("ROLLBACK").unwrap_or_default();
        }
        answer(&mut batch, &result, signals);
    }
}

/// `last` is the highest number ever used: what is applied may be pruned, its numbers never come again.
fn append_sqlite(connection: &Connection, last: &mut i64, batch: &[Append]) -> Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
    let written: i64 = connection
        .prepare_cached("SELECT COALESCE(MAX(seq), 0) FROM inbound_log")?
        .query_row([], |row| row.get(0))?;
    let first = written.max(*last) + 1;
    let mut insert = connection.prepare_cached(
        "INSERT INTO inbound_log (seq, received_at, source, account_id, signed_by, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (seq, append) in (first..).zip(batch) {
        let entry = &append.entry;
        insert.execute((
            seq,
            entry.received_at.as_micros(),
            entry.source.code(),
            entry.account_id.map(|id| id.uuid().into_bytes()),
            entry.signed_by,
            &entry.body,
        ))?;
    }
    connection.prepare_cached("COMMIT")?.raw_execute()?;
    *last = first + batch.len() as i64 - 1;
    Ok(())
}

async fn write_postgres(store: Store, mut pending: mpsc::Receiver<Append>, signals: Signals) {
    let mut stream = None;
    let mut written = None;
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        if let Some(pause) = signals.lag.pause() {
            tokio::time::sleep(pause).await;
        }
        if pending.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        if written.is_some_and(|at: Instant| at.elapsed() > STREAM_IDLE) {
            stream = None;
        }
        let result = append_postgres(&store, &mut stream, &batch).await;
        written = Some(Instant::now());
        if result.is_err() {
            // Whether the lost commit happened is not known: its numbers are not used again.
            stream = None;
        }
        answer(&mut batch, &result, &signals);
    }
}

async fn append_postgres(store: &Store, stream: &mut Option<(i64, i64)>, batch: &[Append]) -> Result<()> {
    let mut tx = store.begin().await?;
    let (number, last) = if let Some(at) = *stream {
        at
    } else {
        let mut row = tx.fetch_optional("SELECT nextval('inbound_streams')", args![]).await?;
        let number: i64 = row.as_mut().map_or(Ok(0), |row| row.get(0))?;
        tx.execute("INSERT INTO inbound_positions (stream, position) VALUES ($1, 0)", args![number]).await?;
        (number, 0)
    };
    let mut rows = Rows::new(&[
        ("stream", of::<i64>()),
        ("seq", of::<i64>()),
        ("received_at", of::<i64>()),
        ("source", of::<i64>()),
        ("account_id", of::<AccountId>()),
        ("signed_by", of::<i64>()),
        ("body", of::<Vec<u8>>()),
    ]);
    let mut seq = last;
    for append in batch {
        seq += 1;
        let entry = &append.entry;
        rows.push([
            crate::Value::Int(number),
            crate::Value::Int(seq),
            crate::Value::Int(entry.received_at.as_micros()),
            crate::Value::Int(entry.source.code()),
            crate::Bind::value(entry.account_id),
            crate::Bind::value(entry.signed_by),
            crate::Value::Bytes(entry.body.clone()),
        ]);
    }
    tx.bulk_insert("inbound_log", rows, "").await?;
    tx.commit().await?;
    *stream = Some((number, seq));
    Ok(())
}

async fn position(db: &mut impl Db, stream: i64) -> Result<i64> {
    let mut row = db.fetch("SELECT position FROM inbound_positions WHERE stream = $1", args![stream]).await?;
    row.first_mut().map_or(Ok(0), |row| row.get(0))
}

/// What the applier took to apply, under the lock of its transaction.
#[derive(Debug)]
pub struct Claim {
    pub stream: i64,
    pub position: i64,
    pub entries: Vec<Logged>,
}

/// Reads the log, for the applier and for people.
#[derive(Debug)]
pub struct LogReader {
    store: Store,
    file: Option<Mutex<Connection>>,
}

fn hold(file: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

const COLUMNS: &str = "stream, seq, received_at, source, account_id, signed_by, body";

fn logged(mut row: crate::Row) -> Result<Logged> {
    Ok(Logged {
        stream: row.get(0)?,
        seq: row.get(1)?,
        entry: Entry {
            received_at: row.get(2)?,
            source: row.get(3)?,
            account_id: row.get(4)?,
            signed_by: row.get(5)?,
            body: row.get(6)?,
        },
    })
}

impl LogReader {
    pub fn open(store: &Store) -> Result<Self> {
        let file = match &*store.0 {
            Backend::Sqlite(sqlite) => Some(Mutex::new(sqlite::blocking(|| sqlite::open_log(&sqlite.path))?)),
            Backend::Postgres(_) => None,
        };
        Ok(Self { store: store.clone(), file })
    }

    async fn query(&self, sql: &str, args: Vec<crate::Value>) -> Result<Vec<crate::Row>> {
        match &self.file {
            Some(file) => sqlite::blocking(|| sqlite::fetch(&hold(file), sql, &args)),
            None => self.store.reader().await?.fetch(sql, args).await,
        }
    }

    /// Takes up to `limit` entries that nobody else is applying, of the stream whose first one has waited longest: until
    /// their bodies are `bytes` together, but one in any case. The claim ends with `tx`.
    pub async fn claim(&self, tx: &mut Tx, limit: usize, bytes: usize) -> Result<Option<Claim>> {
        let (limit, bytes) = (limit as i64, bytes as i64);
        let sql = format!(
            "SELECT {COLUMNS} FROM inbound_log WHERE stream = $1 AND seq > $2 AND seq <= (
                 SELECT MAX(seq) FROM (
                     SELECT seq, SUM(size) OVER (ORDER BY seq) - size AS bytes_before FROM (
                         SELECT seq, LENGTH(body) AS size FROM inbound_log WHERE stream = $1 AND seq > $2
                         ORDER BY seq LIMIT $3) next) summed
                 WHERE bytes_before < $4)
             ORDER BY seq"
        );
        let (stream, position, rows) = match (&self.file, &mut tx.inner) {
            (Some(file), _) => {
                let position = position(tx, 0).await?;
                let args = args![0_i64, position, limit, bytes];
                (0, position, sqlite::blocking(|| sqlite::fetch(&hold(file), &sql, &args))?)
            }
            (None, Inner::Postgres(tx)) => {
                let mut found = postgres::fetch(
                    tx,
                    "SELECT p.stream, p.position FROM inbound_positions p
                     JOIN LATERAL (SELECT l.received_at FROM inbound_log l
                                   WHERE l.stream = p.stream AND l.seq > p.position ORDER BY l.seq LIMIT 1) oldest ON TRUE
                     ORDER BY oldest.received_at LIMIT 1 FOR UPDATE OF p SKIP LOCKED",
                    &[],
                )
                .await?;
                let Some(row) = found.first_mut() else { return Ok(None) };
                let (stream, position): (i64, i64) = (row.get(0)?, row.get(1)?);
                (stream, position, postgres::fetch(tx, &sql, &args![stream, position, limit, bytes]).await?)
            }
            (None, Inner::Sqlite(_)) => {
                return Err(Error::Database("the log and the database differ".into()));
            }
        };
        if rows.is_empty() {
            return Ok(None);
        }
        let entries = rows.into_iter().map(logged).collect::<Result<_>>()?;
        Ok(Some(Claim { stream, position, entries }))
    }

    /// One entry.
    pub async fn get(&self, stream: i64, seq: i64) -> Result<Option<Logged>> {
        let sql = format!("SELECT {COLUMNS} FROM inbound_log WHERE stream = $1 AND seq = $2");
        self.query(&sql, args![stream, seq]).await?.into_iter().next().map(logged).transpose()
    }

    /// The newest entries first, `before` a time when given.
    pub async fn list(&self, before: Option<Timestamp>, limit: i64) -> Result<Vec<Logged>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM inbound_log WHERE received_at < $1 ORDER BY received_at DESC, seq DESC LIMIT $2"
        );
        let before = before.unwrap_or(Timestamp::from_micros(i64::MAX));
        self.query(&sql, args![before, limit]).await?.into_iter().map(logged).collect()
    }

    /// Entries of one stream in order, from `from` to `to` inclusive.
    pub async fn range(&self, stream: i64, from: i64, to: i64, limit: i64) -> Result<Vec<Logged>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM inbound_log WHERE stream = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq LIMIT $4"
        );
        self.query(&sql, args![stream, from, to, limit]).await?.into_iter().map(logged).collect()
    }

    /// Every stream there is.
    pub async fn streams(&self) -> Result<Vec<i64>> {
        match &self.file {
            Some(_) => Ok(vec![0]),
            None => self
                .query("SELECT stream FROM inbound_positions ORDER BY stream", args![])
                .await?
                .into_iter()
                .map(|mut row| row.get(0))
                .collect(),
        }
    }

    /// Entries not yet applied, and when the oldest of them was received.
    pub async fn backlog(&self) -> Result<(i64, Option<Timestamp>)> {
        let mut rows = if let Some(file) = &self.file {
            let at = position(&mut self.store.reader().await?, 0).await?;
            sqlite::blocking(|| {
                sqlite::fetch(
                    &hold(file),
                    "SELECT MAX(seq) - $1, (SELECT received_at FROM inbound_log WHERE seq > $1 ORDER BY seq LIMIT 1)
                     FROM inbound_log",
                    &args![at],
                )
            })?
        } else {
            self.query(
                "SELECT CAST(SUM(newest - position) AS BIGINT), MIN(oldest) FROM (
                     SELECT p.position,
                         (SELECT MAX(l.seq) FROM inbound_log l WHERE l.stream = p.stream) AS newest,
                         (SELECT l.received_at FROM inbound_log l WHERE l.stream = p.stream AND l.seq > p.position
                          ORDER BY l.seq LIMIT 1) AS oldest
                     FROM inbound_positions p) waiting WHERE oldest IS NOT NULL",
                args![],
            )
            .await?
        };
        let Some(row) = rows.first_mut() else { return Ok((0, None)) };
        let (waiting, oldest): (Option<i64>, Option<Timestamp>) = (row.get(0)?, row.get(1)?);
        Ok((if oldest.is_some() { waiting.unwrap_or_default() } else { 0 }, oldest))
    }

    /// Deletes up to `limit` applied entries received before `before`, but none that an open held update points
    /// to; how many. Streams that nobody writes to any more go with their last entry.
    pub async fn prune(&self, before: Timestamp, limit: i64) -> Result<u64> {
        let mut deleted = 0;
        for stream in self.streams().await? {
            let mut from = 0;
            while deleted < limit as u64 {
                let mut tx = self.store.begin().await?;
                let applied = position(&mut tx, stream).await?;
                let seqs = self
                    .query(
                        "SELECT seq FROM inbound_log WHERE stream = $1 AND seq > $2 AND seq <= $3
                             AND received_at < $4 ORDER BY seq LIMIT $5",
                        args![stream, from, applied, before, limit - deleted as i64],
                    )
                    .await?;
                let seqs: Vec<i64> = seqs.into_iter().map(|mut row| row.get(0)).collect::<Result<_>>()?;
                let (Some(first), Some(last)) = (seqs.first().copied(), seqs.last().copied()) else { break };
                let held = tx
                    .fetch(
                        "SELECT DISTINCT seq FROM held_updates
                         WHERE stream = $1 AND seq >= $2 AND seq <= $3 AND resolved_at IS NULL ORDER BY seq",
                        args![stream, first, last],
                    )
                    .await?;
                // The stretches between those that are held.
                let mut begin = first;
                for end in held.into_iter().map(|mut row| row.get::<i64>(0)).chain([Ok(last + 1)]) {
                    let end = end?;
                    deleted += self.delete(&mut tx, stream, begin, end, before).await?;
                    begin = end + 1;
                }
                tx.commit().await?;
                from = last;
            }
        }
        if self.file.is_none() {
            let mut tx = self.store.begin().await?;
            tx.execute(
                "DELETE FROM inbound_positions WHERE applied_until < $1
                     AND NOT EXISTS (SELECT 1 FROM inbound_log l WHERE l.stream = inbound_positions.stream)",
                args![before],
            )
            .await?;
            tx.commit().await?;
        }
        Ok(deleted)
    }

    async fn delete(&self, tx: &mut Tx, stream: i64, from: i64, end: i64, before: Timestamp) -> Result<u64> {
        let sql = "DELETE FROM inbound_log WHERE stream = $1 AND seq >= $2 AND seq < $3 AND received_at < $4";
        let args = args![stream, from, end, before];
        match &self.file {
            Some(file) => sqlite::blocking(|| sqlite::execute(&hold(file), sql, &args)),
            None => tx.execute(sql, args).await,
        }
    }
}

impl Claim {
    /// Records, in the applying transaction, that everything in it is applied. Fails with
    /// [`Error::Contention`] when somebody else already did.
    pub async fn done(&self, tx: &mut Tx) -> Result<()> {
        let Some(last) = self.entries.last() else { return Ok(()) };
        let changed = tx
            .execute(
                "UPDATE inbound_positions SET position = $1, applied_until = $4 WHERE stream = $2 AND position = $3",
                args![last.seq, self.stream, self.position, last.entry.received_at],
            )
            .await?;
        let changed = if changed == 0 && self.position == 0 && self.stream == 0 {
            tx.execute(
                "INSERT INTO inbound_positions (stream, position, applied_until) VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING",
                args![self.stream, last.seq, last.entry.received_at],
            )
            .await?
        } else {
            changed
        };
        if changed == 1 { Ok(()) } else { Err(Error::Contention("the log was applied by another".into())) }
    }
}
