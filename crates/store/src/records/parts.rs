//! What hangs on a record: its history, files and watchers.

use kabar_domain::message::Media;
use kabar_domain::operations::EvidenceStage;
use kabar_domain::{ContactId, EntryId, MessageId, OrganisationId, RecordId, Timestamp, UserId};
use serde_json::Value as Json;

use crate::args;
use crate::error::{Error, Result};
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// Something that happened to a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: EntryId,
    pub record_id: RecordId,
    /// `created`, `status`, `comment` and the like.
    pub kind: String,
    pub user_id: Option<UserId>,
    pub contact_id: Option<ContactId>,
    pub message_id: Option<MessageId>,
    pub text: Option<String>,
    /// Depends on the kind.
    pub data: Option<Json>,
    pub created_at: Timestamp,
    pub user_name: Option<String>,
    pub contact_name: Option<String>,
}

const ENTRY: &str =
    "e.id, e.record_id, e.kind, e.user_id, e.contact_id, e.message_id, e.text, e.data, e.created_at,
    u.name, p.name";
const ENTRY_JOINS: &str = "LEFT JOIN users u ON u.id = e.user_id
    LEFT JOIN contacts p ON p.organisation_id = e.organisation_id AND p.id = e.contact_id";

fn entry(mut row: Row) -> Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        record_id: row.get(1)?,
        kind: row.get(2)?,
        user_id: row.get(3)?,
        contact_id: row.get(4)?,
        message_id: row.get(5)?,
        text: row.get(6)?,
        data: row.json(7)?,
        created_at: row.get(8)?,
        user_name: row.get(9)?,
        contact_name: row.get(10)?,
    })
}

pub async fn add_entry(tx: &mut Tx, organisation: OrganisationId, entry: &Entry) -> Result<()> {
    tx.execute(
        "INSERT INTO record_entries (organisation_id, id, record_id, kind, user_id, contact_id, message_id, text,
             data, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            organisation,
            entry.id,
            entry.record_id,
            &entry.kind,
            entry.user_id,
            entry.contact_id,
            entry.message_id,
            entry.text.as_ref(),
            entry.data.as_ref(),
            entry.created_at,
        ],
    )
    .await?;
    Ok(())
}

/// The last `each` entries of each record, oldest first.
pub async fn latest_entries(
    db: &mut impl Db,
    organisation: OrganisationId,
    records: &[RecordId],
    each: i64,
) -> Result<Vec<Entry>> {
    let mut select = Select::new(
        &format!(
            "SELECT {ENTRY} FROM (SELECT e.id AS id, ROW_NUMBER() OVER (PARTITION BY e.record_id ORDER BY e.id DESC)
                 AS age FROM record_entries e WHERE e.organisation_id = ?"
        ),
        args![organisation],
    );
    select.push_in("AND e.record_id IN", records.iter().map(|id| id.value()).collect());
    select.push(
        &format!(
            ") k JOIN record_entries e ON e.organisation_id = ? AND e.id = k.id {ENTRY_JOINS}
             WHERE k.age <= ? ORDER BY e.id"
        ),
        args![organisation, each],
    );
    select.fetch(db).await?.into_iter().map(entry).collect()
}

/// Oldest first.
pub async fn entries(
    db: &mut impl Db,
    organisation: OrganisationId,
    record: RecordId,
    window: Window<EntryId>,
) -> Result<Vec<Entry>> {
    let mut select = Select::new(
        &format!(
            "SELECT {ENTRY} FROM record_entries e {ENTRY_JOINS} WHERE e.organisation_id = ? AND e.record_id = ?"
        ),
        args![organisation, record],
    );
    select.push_some("AND e.id > ?", window.after.map(Bind::value));
    select.push("ORDER BY e.id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(entry).collect()
}

pub async fn count_entries(db: &mut impl Db, organisation: OrganisationId, record: RecordId) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM record_entries WHERE organisation_id = ? AND record_id = ?";
    Select::new(sql, args![organisation, record]).count(db).await
}

/// A file that shows what a record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub id: EntryId,
    pub record_id: RecordId,
    pub stage: EvidenceStage,
    pub file: Media,
    pub message_id: Option<MessageId>,
    pub user_id: Option<UserId>,
    pub created_at: Timestamp,
}

pub async fn add_evidence(tx: &mut Tx, organisation: OrganisationId, evidence: &Evidence) -> Result<()> {
    let file = serde_json::to_string(&evidence.file).map_err(|error| Error::Database(error.to_string()))?;
    tx.execute(
        "INSERT INTO record_evidence (organisation_id, id, record_id, stage, file, message_id, user_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            organisation,
            evidence.id,
            evidence.record_id,
            evidence.stage,
            file,
            evidence.message_id,
            evidence.user_id,
            evidence.created_at,
        ],
    )
    .await?;
    Ok(())
}

/// Of these records, oldest first.
pub async fn evidence(
    db: &mut impl Db,
    organisation: OrganisationId,
    records: &[RecordId],
) -> Result<Vec<Evidence>> {
    let mut select = Select::new(
        "SELECT v.id, v.record_id, v.stage, v.file, v.message_id, v.user_id, v.created_at FROM record_evidence v
         WHERE v.organisation_id = ?",
        args![organisation],
    );
    select.push_in("AND v.record_id IN", records.iter().map(|id| id.value()).collect());
    select.push("ORDER BY v.id", Vec::new());
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(Evidence {
                id: row.get(0)?,
                record_id: row.get(1)?,
                stage: row.get(2)?,
                file: row.json(3)?.unwrap_or_default(),
                message_id: row.get(4)?,
                user_id: row.get(5)?,
                created_at: row.get(6)?,
            })
        })
        .collect()
}

/// Somebody who wants to hear what becomes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watcher {
    pub record_id: RecordId,
    pub user_id: UserId,
    pub name: Option<String>,
}

/// False when they watch it already.
pub async fn watch(
    tx: &mut Tx,
    organisation: OrganisationId,
    record: RecordId,
    user: UserId,
    now: Timestamp,
) -> Result<bool> {
    let added = tx
        .execute(
            "INSERT INTO record_watchers (organisation_id, record_id, user_id, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            args![organisation, record, user, now],
        )
        .await?;
    Ok(added == 1)
}

/// False when they did not watch it.
pub async fn unwatch(
    tx: &mut Tx,
    organisation: OrganisationId,
    record: RecordId,
    user: UserId,
) -> Result<bool> {
    let removed = tx
        .execute(
            "DELETE FROM record_watchers WHERE organisation_id = $1 AND record_id = $2 AND user_id = $3",
            args![organisation, record, user],
        )
        .await?;
    Ok(removed == 1)
}

pub async fn watchers(
    db: &mut impl Db,
    organisation: OrganisationId,
    records: &[RecordId],
) -> Result<Vec<Watcher>> {
    let mut select = Select::new(
        "SELECT w.record_id, w.user_id, u.name FROM record_watchers w LEFT JOIN users u ON u.id = w.user_id
         WHERE w.organisation_id = ?",
        args![organisation],
    );
    select.push_in("AND w.record_id IN", records.iter().map(|id| id.value()).collect());
    select.push("ORDER BY w.created_at, w.user_id", Vec::new());
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| Ok(Watcher { record_id: row.get(0)?, user_id: row.get(1)?, name: row.get(2)? }))
        .collect()
}
