//! Events: one row per change, numbered without gaps in each organisation.

use kabar_domain::{EventFilter, OrganisationId, SubjectId, Timestamp};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::select::{Select, begins};
use crate::store::{Db, Tx};
use crate::value::Row;
use crate::{Bind, args};

/// An event to record. `kind` is `resource.change` (`message.received`); `data` is a small JSON object.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub kind: &'static str,
    pub subject_id: Option<Uuid>,
    pub data: Option<String>,
}

/// Appends events; the number of the last. The organisation's counter stays locked until the transaction ends:
/// [`Tx::commit`] calls it last.
pub(crate) async fn append(
    tx: &mut Tx,
    organisation: OrganisationId,
    events: Vec<(Timestamp, NewEvent)>,
) -> Result<i64> {
    let count = events.len() as i64;
    let mut row = tx
        .fetch(
            "INSERT INTO event_sequences (organisation_id, last_seq) VALUES ($1, $2)
             ON CONFLICT (organisation_id) DO UPDATE SET last_seq = event_sequences.last_seq + excluded.last_seq
             RETURNING last_seq",
            args![organisation, count],
        )
        .await?;
    let last: i64 = row.first_mut().map_or(Ok(count), |row| row.get(0))?;
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("seq", of::<i64>()),
        ("kind", of::<String>()),
        ("subject_id", of::<Uuid>()),
        ("data", of::<String>()),
        ("created_at", of::<i64>()),
    ]);
    for (seq, (at, event)) in (last - count + 1..).zip(events) {
        rows.push([
            organisation.value(),
            seq.value(),
            event.kind.value(),
            event.subject_id.value(),
            event.data.value(),
            at.value(),
        ]);
    }
    tx.bulk_insert("events", rows, "").await?;
    Ok(last)
}

/// An event that was recorded.
#[derive(Clone, Debug)]
pub struct Event {
    /// From 1, without gaps in its organisation.
    pub seq: i64,
    pub kind: String,
    pub subject_id: Option<SubjectId>,
    pub data: Option<Json>,
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT seq, kind, subject_id, data, created_at FROM events WHERE organisation_id = ?";

fn event(mut row: Row) -> Result<Event> {
    Ok(Event {
        seq: row.get(0)?,
        kind: row.get(1)?,
        subject_id: row.get(2)?,
        data: row.json(3)?,
        created_at: row.get(4)?,
    })
}

/// The number of an organisation's last event, 0 before the first.
pub async fn last_seq(db: &mut impl Db, organisation: OrganisationId) -> Result<i64> {
    let mut rows = db
        .fetch("SELECT last_seq FROM event_sequences WHERE organisation_id = $1", args![organisation])
        .await?;
    rows.first_mut().map_or(Ok(0), |row| row.get(0))
}

/// [`last_seq`] of several organisations.
pub async fn last_seqs(
    db: &mut impl Db,
    organisations: Vec<OrganisationId>,
) -> Result<Vec<(OrganisationId, i64)>> {
    let mut select =
        Select::new("SELECT organisation_id, last_seq FROM event_sequences WHERE 1 = 1", Vec::new());
    select.push_in("AND organisation_id IN", organisations.into_iter().map(Bind::value).collect());
    select.fetch(db).await?.iter_mut().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Events numbered after `after` and up to `upto`, oldest first.
pub async fn range(
    db: &mut impl Db,
    organisation: OrganisationId,
    after: i64,
    upto: i64,
    filter: &EventFilter,
    limit: i64,
) -> Result<Vec<Event>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND seq > ? AND seq <= ?", args![after, upto]);
    if !filter.prefixes().iter().any(String::is_empty) {
        select.push("AND (1 = 0", Vec::new());
        for name in filter.exact() {
            select.push("OR kind = ?", args![name]);
        }
        for prefix in filter.prefixes() {
            select.push(r"OR kind LIKE ? ESCAPE '\'", args![begins(prefix)]);
        }
        select.push(")", Vec::new());
    }
    select.push("ORDER BY seq LIMIT ?", args![limit]);
    select.fetch(db).await?.into_iter().map(event).collect()
}

/// These events, as far as they are kept, oldest first.
pub async fn by_seqs(db: &mut impl Db, organisation: OrganisationId, seqs: &[i64]) -> Result<Vec<Event>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push_in("AND seq IN", seqs.iter().map(|seq| seq.value()).collect());
    select.push("ORDER BY seq", Vec::new());
    select.fetch(db).await?.into_iter().map(event).collect()
}

/// The first event kept that is numbered `from` or later: its number and time.
async fn first_from(
    db: &mut impl Db,
    organisation: OrganisationId,
    from: i64,
) -> Result<Option<(i64, Timestamp)>> {
    let mut rows = db
        .fetch(
            "SELECT seq, created_at FROM events WHERE organisation_id = $1 AND seq >= $2 ORDER BY seq LIMIT 1",
            args![organisation, from],
        )
        .await?;
    rows.first_mut().map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// The number of the first event kept that is numbered `from` or later.
pub async fn first_kept(db: &mut impl Db, organisation: OrganisationId, from: i64) -> Result<Option<i64>> {
    Ok(first_from(db, organisation, from).await?.map(|(seq, _)| seq))
}

/// The number of the first event of `at` or later; one after the last when there is none. Times grow with the
/// numbers, but for the little that nodes' clocks differ.
pub async fn first_since(db: &mut impl Db, organisation: OrganisationId, at: Timestamp) -> Result<i64> {
    let (mut low, mut high) = (1, last_seq(db, organisation).await? + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_from(db, organisation, middle).await? {
            Some((seq, created_at)) if created_at < at => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Every organisation that has had an event.
pub async fn organisations(db: &mut impl Db) -> Result<Vec<OrganisationId>> {
    let rows = db.fetch("SELECT organisation_id FROM event_sequences", Vec::new()).await?;
    rows.into_iter().map(|mut row| row.get(0)).collect()
}

/// When the oldest event kept was recorded.
pub async fn oldest(db: &mut impl Db, organisation: OrganisationId) -> Result<Option<Timestamp>> {
    Ok(first_from(db, organisation, 1).await?.map(|(_, at)| at))
}

/// Forgets up to `limit` of an organisation's events that are older than `before`; how many those were.
pub async fn prune(tx: &mut Tx, organisation: OrganisationId, before: Timestamp, limit: i64) -> Result<u64> {
    let rows = tx
        .fetch(
            "SELECT seq, created_at FROM events WHERE organisation_id = $1 ORDER BY seq LIMIT $2",
            args![organisation, limit],
        )
        .await?;
    let mut old = 0;
    for mut row in rows {
        let (seq, created_at): (i64, Timestamp) = (row.get(0)?, row.get(1)?);
        if created_at >= before {
            break;
        }
        old = seq;
    }
    tx.execute("DELETE FROM events WHERE organisation_id = $1 AND seq <= $2", args![organisation, old]).await
}
