//! Webhook endpoints as people see and change them.

pub mod deliveries;
pub mod serving;

use kabar_domain::webhook::DisabledReason;
use kabar_domain::{OrganisationId, Timestamp, WebhookEndpointId};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub organisation_id: OrganisationId,
    pub id: WebhookEndpointId,
    pub url: String,
    pub description: Option<String>,
    /// Patterns of event types.
    pub events: Vec<String>,
    pub metadata: Json,
    /// Sealed.
    pub secrets: Vec<u8>,
    pub enabled: bool,
    pub disabled_reason: Option<DisabledReason>,
    pub disabled_at: Option<Timestamp>,
    /// The first event not yet attempted.
    pub next_seq: i64,
    pub version: i64,
    /// Attempts that failed since the last that did not.
    pub failures: i64,
    pub failing_since: Option<Timestamp>,
    /// Nothing is attempted before.
    pub hold_until: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub(crate) const COLUMNS: &str =
    "organisation_id, id, url, description, events, metadata, secrets, enabled, disabled_reason, disabled_at,
    next_seq, version, failures, failing_since, hold_until, last_success_at, created_at, updated_at";

pub(crate) fn endpoint(mut row: Row) -> Result<Endpoint> {
    Ok(Endpoint {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        url: row.get(2)?,
        description: row.get(3)?,
        events: row.json(4)?.unwrap_or_default(),
        metadata: row.get(5)?,
        secrets: row.get(6)?,
        enabled: row.get(7)?,
        disabled_reason: row.get(8)?,
        disabled_at: row.get(9)?,
        next_seq: row.get(10)?,
        version: row.get(11)?,
        failures: row.get(12)?,
        failing_since: row.get(13)?,
        hold_until: row.get(14)?,
        last_success_at: row.get(15)?,
        created_at: row.get(16)?,
        updated_at: row.get(17)?,
    })
}

pub async fn insert(tx: &mut Tx, endpoint: &Endpoint) -> Result<()> {
    let events = Json::from(endpoint.events.clone());
    tx.execute(
        "INSERT INTO webhook_endpoints (organisation_id, id, url, description, events, metadata, secrets, enabled,
             next_seq, version, failures, served_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, $11, $11)",
        args![
            endpoint.organisation_id,
            endpoint.id,
            &endpoint.url,
            endpoint.description.as_ref(),
            &events,
            &endpoint.metadata,
            endpoint.secrets.clone(),
            endpoint.enabled,
            endpoint.next_seq,
            endpoint.version,
            endpoint.created_at,
        ],
    )
    .await?;
    Ok(())
}

/// Writes what people may change, and `next_seq`. The version must have grown.
pub async fn update(tx: &mut Tx, endpoint: &Endpoint) -> Result<()> {
    let events = Json::from(endpoint.events.clone());
    tx.execute(
        "UPDATE webhook_endpoints SET url = $3, description = $4, events = $5, metadata = $6, secrets = $7,
             enabled = $8, disabled_reason = $9, disabled_at = $10, next_seq = $11, version = $12, failures = $13,
             failing_since = $14, hold_until = $15, updated_at = $16
         WHERE organisation_id = $1 AND id = $2",
        args![
            endpoint.organisation_id,
            endpoint.id,
            &endpoint.url,
            endpoint.description.as_ref(),
            &events,
            &endpoint.metadata,
            endpoint.secrets.clone(),
            endpoint.enabled,
            endpoint.disabled_reason,
            endpoint.disabled_at,
            endpoint.next_seq,
            endpoint.version,
            endpoint.failures,
            endpoint.failing_since,
            endpoint.hold_until,
            endpoint.updated_at,
        ],
    )
    .await?;
    Ok(())
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: WebhookEndpointId,
) -> Result<Option<Endpoint>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_endpoints WHERE organisation_id = $1 AND id = $2");
    db.fetch(&sql, args![organisation, id]).await?.pop().map(endpoint).transpose()
}

/// [`find`], and nobody else changes it until the transaction ends.
pub async fn find_to_change(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: WebhookEndpointId,
) -> Result<Option<Endpoint>> {
    let lock = tx.lock_rows();
    let sql =
        format!("SELECT {COLUMNS} FROM webhook_endpoints WHERE organisation_id = $1 AND id = $2 {lock}");
    tx.fetch(&sql, args![organisation, id]).await?.pop().map(endpoint).transpose()
}

/// Oldest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    window: Window<WebhookEndpointId>,
) -> Result<Vec<Endpoint>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_endpoints WHERE organisation_id = ?");
    let mut select = Select::new(&sql, args![organisation]);
    select.push_some("AND id > ?", window.after.map(Bind::value));
    select.push("ORDER BY id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(endpoint).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM webhook_endpoints WHERE organisation_id = ?";
    Select::new(sql, args![organisation]).count(db).await
}

/// Whether there was one. Its deliveries are not shown any more, and are forgotten with their age.
pub async fn delete(tx: &mut Tx, organisation: OrganisationId, id: WebhookEndpointId) -> Result<bool> {
    tx.execute(
        "UPDATE webhook_deliveries SET status = 3, next_attempt_at = NULL
         WHERE endpoint_id = $2 AND organisation_id = $1 AND next_attempt_at IS NOT NULL",
        args![organisation, id],
    )
    .await?;
    let deleted = tx
        .execute(
            "DELETE FROM webhook_endpoints WHERE organisation_id = $1 AND id = $2",
            args![organisation, id],
        )
        .await?;
    Ok(deleted == 1)
}

/// Some endpoint's secrets, to see which key they were sealed with.
pub async fn any_secrets(db: &mut impl Db) -> Result<Option<Vec<u8>>> {
    let mut rows = db.fetch("SELECT secrets FROM webhook_endpoints LIMIT 1", Vec::new()).await?;
    rows.first_mut().map(|row| row.get(0)).transpose()
}
