//! What became of events at endpoints.

use aws_lc_rs::digest;
use kabar_domain::webhook::DeliveryStatus;
use kabar_domain::{OrganisationId, Timestamp, WebhookDeliveryId, WebhookEndpointId};
use uuid::Uuid;

use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::select::Select;
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// Bytes of an attempt log beyond which only the newest attempt is kept.
const LONGEST_LOG: i64 = 40_000;

/// The same for every attempt, by whichever server, at any time: the event's time in milliseconds, then a hash.
pub fn delivery_id(endpoint: WebhookEndpointId, seq: i64, event_at: Timestamp) -> WebhookDeliveryId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(endpoint.uuid().as_bytes());
    context.update(&seq.to_be_bytes());
    let hash = context.finish();
    let millis = (event_at.as_micros() / 1_000).to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis[2..]);
    bytes[6..].copy_from_slice(&hash.as_ref()[..10]);
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    WebhookDeliveryId::from_uuid(Uuid::from_bytes(bytes))
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub organisation_id: OrganisationId,
    pub endpoint_id: WebhookEndpointId,
    /// The event's number.
    pub seq: i64,
    pub id: WebhookDeliveryId,
    /// The event's type.
    pub kind: String,
    pub status: DeliveryStatus,
    /// Of the present round.
    pub attempts: i64,
    pub next_attempt_at: Option<Timestamp>,
    /// A line of JSON for each attempt, oldest first.
    pub log: String,
    /// When the event happened.
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const SELECT: &str = "SELECT d.organisation_id, d.endpoint_id, d.seq, d.id, d.kind, d.status, d.attempts,
    d.next_attempt_at, d.log, d.created_at, d.updated_at FROM webhook_deliveries d";

fn delivery(mut row: Row) -> Result<Delivery> {
    Ok(Delivery {
        organisation_id: row.get(0)?,
        endpoint_id: row.get(1)?,
        seq: row.get(2)?,
        id: row.get(3)?,
        kind: row.get(4)?,
        status: row.get(5)?,
        attempts: row.get(6)?,
        next_attempt_at: row.get(7)?,
        log: row.get(8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

/// An endpoint's deliveries before the event `before`, newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    endpoint: WebhookEndpointId,
    status: Option<DeliveryStatus>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("WHERE d.organisation_id = ? AND d.endpoint_id = ?", args![organisation, endpoint]);
    // As constants, so that the partial indexes serve.
    match status {
        Some(DeliveryStatus::Pending) => {
            select.push("AND d.status = 1 AND d.next_attempt_at IS NOT NULL", Vec::new())
        }
        Some(DeliveryStatus::Delivered) => select.push("AND d.status = 2", Vec::new()),
        Some(DeliveryStatus::Dead) => select.push("AND d.status = 3", Vec::new()),
        None => &mut select,
    };
    select.push_some("AND d.seq < ?", before.map(Bind::value));
    select.push("ORDER BY d.seq DESC LIMIT ?", args![limit]);
    select.fetch(db).await?.into_iter().map(delivery).collect()
}

/// A delivery to an endpoint that is still there.
pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: WebhookDeliveryId,
) -> Result<Option<Delivery>> {
    let sql = format!(
        "{SELECT} JOIN webhook_endpoints e ON e.organisation_id = d.organisation_id AND e.id = d.endpoint_id
         WHERE d.id = $1 AND d.organisation_id = $2"
    );
    db.fetch(&sql, args![id, organisation]).await?.pop().map(delivery).transpose()
}

/// Those whose next attempt is due, the longest due first: of events that were attempted before, so before `next_seq`.
pub async fn due(
    db: &mut impl Db,
    endpoint: WebhookEndpointId,
    next_seq: i64,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let sql = format!(
        "{SELECT} WHERE d.endpoint_id = $1 AND d.next_attempt_at <= $2 AND d.seq < $3
         ORDER BY d.next_attempt_at LIMIT $4"
    );
    let rows = db.fetch(&sql, args![endpoint, now, next_seq, limit]).await?;
    rows.into_iter().map(delivery).collect()
}

/// Writes deliveries, each of another event or endpoint. The `log` given is added to what is there.
pub async fn write(tx: &mut Tx, deliveries: Vec<Delivery>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("endpoint_id", of::<WebhookEndpointId>()),
        ("seq", of::<i64>()),
        ("id", of::<WebhookDeliveryId>()),
        ("kind", of::<String>()),
        ("status", of::<DeliveryStatus>()),
        ("attempts", of::<i64>()),
        ("next_attempt_at", of::<Timestamp>()),
        ("log", of::<String>()),
        ("created_at", of::<Timestamp>()),
        ("updated_at", of::<Timestamp>()),
    ]);
    for delivery in deliveries {
        rows.push([
            delivery.organisation_id.value(),
            delivery.endpoint_id.value(),
            delivery.seq.value(),
            delivery.id.value(),
            delivery.kind.value(),
            delivery.status.value(),
            delivery.attempts.value(),
            delivery.next_attempt_at.value(),
            delivery.log.value(),
            delivery.created_at.value(),
            delivery.updated_at.value(),
        ]);
    }
    let on_conflict = format!(
        "ON CONFLICT (organisation_id, endpoint_id, seq) DO UPDATE SET status = excluded.status,
            attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at,
            log = CASE WHEN length(webhook_deliveries.log) > {LONGEST_LOG} THEN excluded.log
                       ELSE webhook_deliveries.log || excluded.log END,
            updated_at = excluded.updated_at"
    );
    tx.bulk_insert("webhook_deliveries", rows, &on_conflict).await?;
    Ok(())
}

/// Begins another round of attempts now. Whether it is there.
pub async fn replay(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: WebhookDeliveryId,
    now: Timestamp,
) -> Result<bool> {
    let mut rows = tx
        .fetch(
            "UPDATE webhook_deliveries SET status = 1, attempts = 0, next_attempt_at = $3, updated_at = $3
             WHERE id = $1 AND organisation_id = $2 RETURNING endpoint_id",
            args![id, organisation, now],
        )
        .await?;
    let Some(row) = rows.first_mut() else { return Ok(false) };
    let endpoint: WebhookEndpointId = row.get(0)?;
    tx.execute(
        "UPDATE webhook_endpoints SET retry_at = $3, hold_until = NULL, version = version + 1
         WHERE organisation_id = $1 AND id = $2",
        args![organisation, endpoint, now],
    )
    .await?;
    Ok(true)
}

/// How many wait for another attempt.
pub async fn pending(db: &mut impl Db) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM webhook_deliveries WHERE next_attempt_at IS NOT NULL";
    Select::new(sql, Vec::new()).count(db).await
}

/// Forgets up to `limit` deliveries of events older than `before` that wait for nothing; how many those were.
pub async fn prune(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    let millis = (before.as_micros().max(0) / 1_000).to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis[2..]);
    tx.execute(
        "DELETE FROM webhook_deliveries WHERE id IN
            (SELECT id FROM webhook_deliveries WHERE id < $1 AND status <> 1 ORDER BY id LIMIT $2)",
        args![Uuid::from_bytes(bytes), limit],
    )
    .await
}
