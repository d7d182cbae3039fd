//! Work updates and problems.

pub mod list;
pub mod parts;
pub mod places;
mod sources;

use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{
    CategoryId, ChannelId, ContactId, ConversationId, FacilityId, InboxItemId, OrganisationId, RecordId,
    SiteId, Timestamp, UserId,
};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::select::Select;
use crate::store::{Db, Tx};
use crate::value::Row;

pub use sources::{Source, add_item, message_ids, parts_of, sources};

/// A record as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub organisation_id: OrganisationId,
    pub id: RecordId,
    pub kind: RecordKind,
    pub number: String,
    pub title: String,
    pub body: Option<String>,
    pub site_id: Option<SiteId>,
    pub facility_id: Option<FacilityId>,
    pub category_id: Option<CategoryId>,
    /// This and the status: of problems alone.
    pub severity: Option<Severity>,
    pub status: Option<ProblemStatus>,
    pub assignee_id: Option<UserId>,
    pub reporter_contact_id: Option<ContactId>,
    pub reporter_user_id: Option<UserId>,
    pub channel_id: Option<ChannelId>,
    pub conversation_id: Option<ConversationId>,
    pub inbox_item_id: Option<InboxItemId>,
    pub occurred_at: Timestamp,
    pub due_at: Option<Timestamp>,
    /// The first time.
    pub acknowledged_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub reopened_count: i64,
    /// The record that this one was found to be the same as.
    pub merged_into: Option<RecordId>,
    /// The last problem of the same thing before this one, and how many there were in a row.
    pub recurrence_of: Option<RecordId>,
    pub recurrences: i64,
    pub metadata: Option<Json>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A record with what a list shows of what it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub record: Record,
    pub site_name: Option<String>,
    pub site_code: Option<String>,
    pub facility_name: Option<String>,
    pub facility_code: Option<String>,
    pub category_name: Option<String>,
    pub contact_name: Option<String>,
    pub contact_phone: Option<String>,
    pub user_name: Option<String>,
    pub assignee_name: Option<String>,
    pub merged_number: Option<String>,
    pub recurrence_number: Option<String>,
}

const COLUMNS: &str = "r.organisation_id, r.id, r.kind, r.number, r.title, r.body, r.site_id, r.facility_id,
    r.category_id, r.severity, r.status, r.assignee_id, r.reporter_contact_id, r.reporter_user_id, r.channel_id,
    r.conversation_id, r.inbox_item_id, r.occurred_at, r.due_at, r.acknowledged_at, r.resolved_at, r.closed_at,
    r.reopened_count, r.merged_into, r.recurrence_of, r.recurrences, r.metadata, r.created_at, r.updated_at";

const NAMES: &str =
    "s.name, s.code, f.name, f.code, c.name, p.name, p.phone, u.name, a.name, g.number, b.number";

const JOINS: &str = "LEFT JOIN sites s ON s.organisation_id = r.organisation_id AND s.id = r.site_id
    LEFT JOIN facilities f ON f.organisation_id = r.organisation_id AND f.id = r.facility_id
    LEFT JOIN categories c ON c.organisation_id = r.organisation_id AND c.id = r.category_id
    LEFT JOIN contacts p ON p.organisation_id = r.organisation_id AND p.id = r.reporter_contact_id
    LEFT JOIN users u ON u.id = r.reporter_user_id
    LEFT JOIN users a ON a.id = r.assignee_id
    LEFT JOIN records g ON g.organisation_id = r.organisation_id AND g.id = r.merged_into
    LEFT JOIN records b ON b.organisation_id = r.organisation_id AND b.id = r.recurrence_of";

fn record(row: &mut Row) -> Result<Record> {
    Ok(Record {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        kind: row.get(2)?,
        number: row.get(3)?,
        title: row.get(4)?,
        body: row.get(5)?,
        site_id: row.get(6)?,
        facility_id: row.get(7)?,
        category_id: row.get(8)?,
        severity: row.get(9)?,
        status: row.get(10)?,
        assignee_id: row.get(11)?,
        reporter_contact_id: row.get(12)?,
        reporter_user_id: row.get(13)?,
        channel_id: row.get(14)?,
        conversation_id: row.get(15)?,
        inbox_item_id: row.get(16)?,
        occurred_at: row.get(17)?,
        due_at: row.get(18)?,
        acknowledged_at: row.get(19)?,
        resolved_at: row.get(20)?,
        closed_at: row.get(21)?,
        reopened_count: row.get(22)?,
        merged_into: row.get(23)?,
        recurrence_of: row.get(24)?,
        recurrences: row.get(25)?,
        metadata: row.json(26)?,
        created_at: row.get(27)?,
        updated_at: row.get(28)?,
    })
}

fn named(mut row: Row) -> Result<Named> {
    Ok(Named {
        record: record(&mut row)?,
        site_name: row.get(29)?,
        site_code: row.get(30)?,
        facility_name: row.get(31)?,
        facility_code: row.get(32)?,
        category_name: row.get(33)?,
        contact_name: row.get(34)?,
        contact_phone: row.get(35)?,
        user_name: row.get(36)?,
        assignee_name: row.get(37)?,
        merged_number: row.get(38)?,
        recurrence_number: row.get(39)?,
    })
}

/// What search looks in.
fn search(record: &Record) -> String {
    let body = record.body.as_deref().unwrap_or_default();
    format!("{}\n{}\n{body}", record.number, record.title).to_lowercase()
}

/// The next number of a kind in a year, from 1. Nobody else gets one until the transaction ends, so none is left out.
pub async fn next_number(
    tx: &mut Tx,
    organisation: OrganisationId,
    kind: RecordKind,
    year: i64,
) -> Result<i64> {
    let mut rows = tx
        .fetch(
            "INSERT INTO record_numbers (organisation_id, kind, year, last) VALUES ($1, $2, $3, 1)
             ON CONFLICT (organisation_id, kind, year) DO UPDATE SET last = record_numbers.last + 1
             RETURNING last",
            args![organisation, kind, year],
        )
        .await?;
    rows.first_mut().map_or(Ok(1), |row| row.get(0))
}

pub async fn insert(tx: &mut Tx, record: &Record) -> Result<()> {
    tx.execute(
        "INSERT INTO records (organisation_id, id, kind, number, title, body, site_id, facility_id, category_id,
             severity, status, assignee_id, reporter_contact_id, reporter_user_id, channel_id, conversation_id,
             inbox_item_id, occurred_at, due_at, acknowledged_at, resolved_at, closed_at, reopened_count,
             merged_into, recurrence_of, recurrences, metadata, search, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
             $22, $23, $24, $25, $26, $27, $28, $29, $30)",
        args![
            record.organisation_id,
            record.id,
            record.kind,
            &record.number,
            &record.title,
            record.body.as_ref(),
            record.site_id,
            record.facility_id,
            record.category_id,
            record.severity,
            record.status,
            record.assignee_id,
            record.reporter_contact_id,
            record.reporter_user_id,
            record.channel_id,
            record.conversation_id,
            record.inbox_item_id,
            record.occurred_at,
            record.due_at,
            record.acknowledged_at,
            record.resolved_at,
            record.closed_at,
            record.reopened_count,
            record.merged_into,
            record.recurrence_of,
            record.recurrences,
            record.metadata.as_ref(),
            search(record),
            record.created_at,
            record.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// Writes what may change: all but the number, the reporter and where it came from.
pub async fn update(tx: &mut Tx, record: &Record) -> Result<()> {
    tx.execute(
        "UPDATE records SET title = $3, body = $4, site_id = $5, facility_id = $6, category_id = $7, severity = $8,
             status = $9, assignee_id = $10, occurred_at = $11, due_at = $12, acknowledged_at = $13,
             resolved_at = $14, closed_at = $15, reopened_count = $16, merged_into = $17, recurrence_of = $18,
             recurrences = $19, metadata = $20, search = $21, updated_at = $22
         WHERE organisation_id = $1 AND id = $2",
        args![
            record.organisation_id,
            record.id,
            &record.title,
            record.body.as_ref(),
            record.site_id,
            record.facility_id,
            record.category_id,
            record.severity,
            record.status,
            record.assignee_id,
            record.occurred_at,
            record.due_at,
            record.acknowledged_at,
            record.resolved_at,
            record.closed_at,
            record.reopened_count,
            record.merged_into,
            record.recurrence_of,
            record.recurrences,
            record.metadata.as_ref(),
            search(record),
            record.updated_at,
        ],
    )
    .await?;
    Ok(())
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    kind: RecordKind,
    id: RecordId,
) -> Result<Option<Named>> {
    let sql = format!(
        "SELECT {COLUMNS}, {NAMES} FROM records r {JOINS}
         WHERE r.organisation_id = $1 AND r.id = $2 AND r.kind = $3"
    );
    db.fetch(&sql, args![organisation, id, kind]).await?.pop().map(named).transpose()
}

/// By what people say, as `P-2026-000123`.
pub async fn find_number(
    db: &mut impl Db,
    organisation: OrganisationId,
    number: &str,
) -> Result<Option<Record>> {
    let sql = format!("SELECT {COLUMNS} FROM records r WHERE r.organisation_id = $1 AND r.number = $2");
    db.fetch(&sql, args![organisation, number]).await?.pop().map(|mut row| record(&mut row)).transpose()
}

/// Nobody else changes it until the transaction ends.
pub async fn find_to_change(
    tx: &mut Tx,
    organisation: OrganisationId,
    kind: RecordKind,
    id: RecordId,
) -> Result<Option<Record>> {
    let lock = tx.lock_rows();
    let sql = format!(
        "SELECT {COLUMNS} FROM records r WHERE r.organisation_id = $1 AND r.id = $2 AND r.kind = $3 {lock}"
    );
    let mut rows = tx.fetch(&sql, args![organisation, id, kind]).await?;
    rows.pop().map(|mut row| record(&mut row)).transpose()
}

/// A problem that another may be a recurrence of.
#[derive(Clone, Debug)]
pub struct Earlier {
    pub id: RecordId,
    pub number: String,
    pub facility_id: Option<FacilityId>,
    pub title: String,
    pub body: Option<String>,
    pub recurrences: i64,
}

/// The latest problems of `record`'s facility, and of its site and category, that occurred in `since` or later and
/// before it; newest first.
pub async fn earlier(tx: &mut Tx, record: &Record, since: Timestamp, limit: i64) -> Result<Vec<Earlier>> {
    let mut select = Select::new(
        "SELECT r.id, r.number, r.facility_id, r.title, r.body, r.recurrences FROM records r
         WHERE r.organisation_id = ? AND r.kind = 2 AND r.merged_into IS NULL AND r.id <> ?
           AND r.occurred_at >= ? AND r.occurred_at <= ?",
        args![record.organisation_id, record.id, since, record.occurred_at],
    );
    match (record.facility_id, record.site_id, record.category_id) {
        (Some(facility), Some(site), Some(category)) => select.push(
            "AND (r.facility_id = ? OR (r.facility_id IS NULL AND r.site_id = ? AND r.category_id = ?))",
            args![facility, site, category],
        ),
        (Some(facility), ..) => select.push("AND r.facility_id = ?", args![facility]),
        (None, Some(site), Some(category)) => {
            select.push("AND r.site_id = ? AND r.category_id = ?", args![site, category])
        }
        _ => return Ok(Vec::new()),
    };
    select.push("ORDER BY r.occurred_at DESC, r.id DESC LIMIT ?", args![limit]);
    let rows = select.fetch(tx).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(Earlier {
                id: row.get(0)?,
                number: row.get(1)?,
                facility_id: row.get(2)?,
                title: row.get(3)?,
                body: row.get(4)?,
                recurrences: row.get(5)?,
            })
        })
        .collect()
}

/// Those merged into `from` are merged into `to` now.
pub async fn move_merged(
    tx: &mut Tx,
    organisation: OrganisationId,
    from: RecordId,
    to: RecordId,
) -> Result<()> {
    tx.execute(
        "UPDATE records SET merged_into = $3 WHERE organisation_id = $1 AND kind = 2 AND merged_into = $2",
        args![organisation, from, to],
    )
    .await?;
    Ok(())
}
