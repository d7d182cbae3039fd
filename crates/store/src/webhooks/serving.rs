//! Endpoints as those see them who deliver: which are behind, who serves them, how far they are.

use kabar_domain::webhook::DisabledReason;
use kabar_domain::{OrganisationId, Timestamp, WebhookEndpointId};
use uuid::Uuid;

use super::{COLUMNS, Endpoint, endpoint};
use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::store::{Db, Inner, Tx};
use crate::value::Bind;

/// An endpoint that nobody serves and that may have something to be told.
#[derive(Clone, Debug)]
pub struct Behind {
    pub organisation_id: OrganisationId,
    pub id: WebhookEndpointId,
    pub next_seq: i64,
    pub version: i64,
    /// JSON of its patterns.
    pub events: String,
    /// The organisation's last event.
    pub last_seq: i64,
    /// A delivery waits whose time has come.
    pub retry_due: bool,
    pub is_failing: bool,
}

/// The longest unserved first.
pub async fn behind(db: &mut impl Db, now: Timestamp) -> Result<Vec<Behind>> {
    db.fetch(
        "SELECT e.organisation_id, e.id, e.next_seq, e.version, e.events, s.last_seq,
                COALESCE(e.retry_at <= $1, FALSE), e.failures > 0
         FROM webhook_endpoints e JOIN event_sequences s ON s.organisation_id = e.organisation_id
         WHERE e.enabled AND (e.lease_until IS NULL OR e.lease_until < $1)
           AND (e.hold_until IS NULL OR e.hold_until <= $1)
           AND (e.next_seq <= s.last_seq OR e.retry_at <= $1)
         ORDER BY e.served_at",
        args![now],
    )
    .await?
    .into_iter()
    .map(|mut row| {
        Ok(Behind {
            organisation_id: row.get(0)?,
            id: row.get(1)?,
            next_seq: row.get(2)?,
            version: row.get(3)?,
            events: row.get(4)?,
            last_seq: row.get(5)?,
            retry_due: row.get(6)?,
            is_failing: row.get(7)?,
        })
    })
    .collect()
}

/// Leases those of the endpoints that are still free. The `endpoints` come in the order of their ids.
pub async fn lease(
    tx: &mut Tx,
    owner: Uuid,
    now: Timestamp,
    until: Timestamp,
    endpoints: impl IntoIterator<Item = (OrganisationId, WebhookEndpointId)>,
) -> Result<Vec<Endpoint>> {
    let mut rows = Rows::new(&[
        ("of_organisation", of::<OrganisationId>()),
        ("endpoint", of::<WebhookEndpointId>()),
        ("new_owner", of::<Uuid>()),
        ("now", of::<Timestamp>()),
        ("until", of::<Timestamp>()),
    ]);
    for (organisation, id) in endpoints {
        rows.push([organisation.value(), id.value(), owner.value(), now.value(), until.value()]);
    }
    let sql = format!(
        "UPDATE webhook_endpoints SET lease_owner = u.new_owner, lease_until = u.until FROM {{rows}}
         WHERE organisation_id = u.of_organisation AND id = u.endpoint AND enabled
           AND (lease_until IS NULL OR lease_until < u.now) AND (hold_until IS NULL OR hold_until <= u.now)
         RETURNING {COLUMNS}"
    );
    tx.bulk_fetch(&sql, rows).await?.into_iter().map(endpoint).collect()
}

/// Frees what servers that are gone had leased: on SQLite every lease, since there is one server at a time.
pub async fn free_abandoned(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    let all = matches!(tx.inner, Inner::Sqlite(_));
    tx.execute(
        "UPDATE webhook_endpoints SET lease_owner = NULL, lease_until = NULL
         WHERE lease_until IS NOT NULL AND ($1 OR lease_until < $2)",
        args![all, now],
    )
    .await
}

/// Gives back every lease of a server that stops.
pub async fn free_own(tx: &mut Tx, owner: Uuid) -> Result<u64> {
    tx.execute(
        "UPDATE webhook_endpoints SET lease_owner = NULL, lease_until = NULL
         WHERE lease_until IS NOT NULL AND lease_owner = $1",
        args![owner],
    )
    .await
}

/// How far an endpoint is, as whoever serves it says.
#[derive(Clone, Debug)]
pub struct Standing {
    pub organisation_id: OrganisationId,
    pub id: WebhookEndpointId,
    /// The version that was leased: what changed since is left alone.
    pub version: i64,
    pub next_seq: i64,
    pub failures: i64,
    pub failing_since: Option<Timestamp>,
    pub hold_until: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    /// It is not served any more.
    pub ended: bool,
}

/// Writes how far leased endpoints are, each once, in the order of their ids.
pub async fn write(
    tx: &mut Tx,
    owner: Uuid,
    now: Timestamp,
    standings: impl IntoIterator<Item = Standing>,
) -> Result<()> {
    let mut rows = Rows::new(&[
        ("of_organisation", of::<OrganisationId>()),
        ("endpoint", of::<WebhookEndpointId>()),
        ("leased_version", of::<i64>()),
        ("reached", of::<i64>()),
        ("failed", of::<i64>()),
        ("since", of::<Timestamp>()),
        ("held", of::<Timestamp>()),
        ("succeeded", of::<Timestamp>()),
        ("ended", of::<bool>()),
        ("owner", of::<Uuid>()),
        ("now", of::<Timestamp>()),
    ]);
    for standing in standings {
        rows.push([
            standing.organisation_id.value(),
            standing.id.value(),
            standing.version.value(),
            standing.next_seq.value(),
            standing.failures.value(),
            standing.failing_since.value(),
            standing.hold_until.value(),
            standing.last_success_at.value(),
            standing.ended.value(),
            owner.value(),
            now.value(),
        ]);
    }
    tx.bulk_execute(
        "UPDATE webhook_endpoints SET
            next_seq = CASE WHEN version = u.leased_version THEN u.reached ELSE next_seq END,
            failures = CASE WHEN version = u.leased_version THEN u.failed ELSE failures END,
            failing_since = CASE WHEN version = u.leased_version THEN u.since ELSE failing_since END,
            hold_until = CASE WHEN version = u.leased_version THEN u.held ELSE hold_until END,
            last_success_at = COALESCE(u.succeeded, last_success_at),
            lease_until = CASE WHEN u.ended THEN NULL ELSE lease_until END,
            lease_owner = CASE WHEN u.ended THEN NULL ELSE lease_owner END,
            served_at = u.now,
            -- After a change meanwhile the next turn finds out.
            retry_at = CASE WHEN version = u.leased_version
                THEN (SELECT MIN(d.next_attempt_at) FROM webhook_deliveries d
                      WHERE d.endpoint_id = u.endpoint AND d.next_attempt_at IS NOT NULL)
                ELSE u.now END
         FROM {rows} WHERE organisation_id = u.of_organisation AND id = u.endpoint AND lease_owner = u.owner",
        rows,
    )
    .await?;
    Ok(())
}

/// Moves endpoints past events they do not want: organisation, endpoint, version, the first event not looked at.
pub async fn pass_over(
    tx: &mut Tx,
    places: impl IntoIterator<Item = (OrganisationId, WebhookEndpointId, i64, i64)>,
) -> Result<()> {
    let mut rows = Rows::new(&[
        ("of_organisation", of::<OrganisationId>()),
        ("endpoint", of::<WebhookEndpointId>()),
        ("seen_version", of::<i64>()),
        ("reached", of::<i64>()),
    ]);
    for (organisation, id, version, reached) in places {
        rows.push([organisation.value(), id.value(), version.value(), reached.value()]);
    }
    tx.bulk_execute(
        "UPDATE webhook_endpoints SET next_seq = u.reached FROM {rows}
         WHERE organisation_id = u.of_organisation AND id = u.endpoint AND version = u.seen_version
           AND lease_until IS NULL AND next_seq < u.reached",
        rows,
    )
    .await?;
    Ok(())
}

/// Switches off an endpoint that nobody changed meanwhile. Whether it was on.
pub async fn disable(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: WebhookEndpointId,
    version: i64,
    reason: DisabledReason,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE webhook_endpoints SET enabled = FALSE, disabled_reason = $4, disabled_at = $5,
                 version = version + 1, updated_at = $5
             WHERE organisation_id = $1 AND id = $2 AND version = $3 AND enabled",
            args![organisation, id, version, reason, now],
        )
        .await?;
    Ok(changed == 1)
}

/// How many events the endpoint that is furthest behind has not been past.
pub async fn lag(db: &mut impl Db) -> Result<i64> {
    let mut rows = db
        .fetch(
            "SELECT COALESCE(MAX(s.last_seq + 1 - e.next_seq), 0)
             FROM webhook_endpoints e JOIN event_sequences s ON s.organisation_id = e.organisation_id
             WHERE e.enabled",
            Vec::new(),
        )
        .await?;
    rows.first_mut().map_or(Ok(0), |row| row.get(0))
}
