//! What became of events at an endpoint, and delivering them again.

use kabar_domain::webhook::DeliveryStatus;
use kabar_domain::{Ability, Timestamp, WebhookDeliveryId, WebhookEndpointId};
use kabar_store::events;
use kabar_store::webhooks::deliveries::{self, Delivery as Row};

use super::attempt::Attempt;
use super::{not_found, to_change};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// One event at one endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: WebhookDeliveryId,
    pub endpoint_id: WebhookEndpointId,
    /// The event's number.
    pub seq: i64,
    /// The event's type.
    pub kind: String,
    pub status: DeliveryStatus,
    pub next_attempt_at: Option<Timestamp>,
    /// All that were made, oldest first.
    pub attempts: Vec<Attempt>,
    /// When the event happened.
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl From<Row> for Delivery {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            endpoint_id: row.endpoint_id,
            seq: row.seq,
            kind: row.kind,
            status: row.status,
            next_attempt_at: row.next_attempt_at,
            attempts: row.log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The value of the header `webhook-id`.
pub(super) fn webhook_id(id: WebhookDeliveryId) -> String {
    format!("evt_{id}")
}

impl Delivery {
    pub fn webhook_id(&self) -> String {
        webhook_id(self.id)
    }
}

/// Deliveries of an endpoint.
#[derive(Clone, Debug)]
pub struct DeliveryPage {
    pub deliveries: Vec<Delivery>,
    /// The next page has those of events before this one.
    pub next_before: Option<i64>,
}

impl Engine {
    /// Newest events first.
    pub async fn list_webhook_deliveries(
        &self,
        principal: &Principal,
        endpoint: WebhookEndpointId,
        status: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<DeliveryPage> {
        principal.require(Ability::Read)?;
        self.webhook_endpoint(principal, endpoint).await?;
        let mut invalid = Invalid::default();
        let status = status.and_then(|name| {
            let status = DeliveryStatus::from_name(name);
            if status.is_none() {
                rules::selected(&mut invalid, "status");
            }
            status
        });
        if !(1..=100).contains(&limit) {
            invalid.add("limit", "The limit field must be between 1 and 100.");
        }
        invalid.check()?;
        let mut db = self.store.reader().await?;
        let organisation = principal.organisation_id;
        let mut rows = deliveries::list(&mut db, organisation, endpoint, status, before, limit + 1).await?;
        let more = rows.len() as i64 > limit;
        rows.truncate(limit as usize);
        let next_before = rows.last().filter(|_| more).map(|row| row.seq);
        Ok(DeliveryPage { deliveries: rows.into_iter().map(Into::into).collect(), next_before })
    }

    pub async fn get_webhook_delivery(
        &self,
        principal: &Principal,
        id: WebhookDeliveryId,
    ) -> Result<Delivery> {
        principal.require(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let found = deliveries::find(&mut db, principal.organisation_id, id).await?;
        Ok(found.ok_or(Error::NotFound("WebhookDelivery"))?.into())
    }

    /// Delivers an event again, under the same webhook id, whatever became of it before.
    pub async fn replay_webhook_delivery(
        &self,
        principal: &Principal,
        id: WebhookDeliveryId,
    ) -> Result<Delivery> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        // Only one whose endpoint is there.
        let found = deliveries::find(&mut tx, organisation, id).await?;
        if found.is_none() || !deliveries::replay(&mut tx, organisation, id, self.clock.now()).await? {
            return Err(Error::NotFound("WebhookDelivery"));
        }
        tx.commit().await?;
        self.webhooks_ready.notify_one();
        self.get_webhook_delivery(principal, id).await
    }

    /// Delivers every event since a time again, in order and under the same webhook ids; the number of the first.
    pub async fn replay_webhook_events(
        &self,
        principal: &Principal,
        endpoint: WebhookEndpointId,
        since: Option<&str>,
    ) -> Result<i64> {
        principal.require(Ability::Admin)?;
        self.webhook_endpoint(principal, endpoint).await?;
        let mut invalid = Invalid::default();
        invalid.require("since", since.is_some());
        let since = since.and_then(|text| {
            let time = Timestamp::parse(text.trim());
            if time.is_none() {
                invalid.add("since", "The since field must be a time in RFC 3339 with an offset.");
            }
            time
        });
        invalid.check()?;
        let Some(since) = since else { return Err(not_found()) };
        let first =
            events::first_since(&mut self.store.reader().await?, principal.organisation_id, since).await?;
        let mut tx = self.store.begin().await?;
        let mut row = to_change(&mut tx, principal, endpoint).await?;
        if first < row.next_seq {
            row.next_seq = first;
            row.hold_until = None;
            self.change(&mut tx, &mut row).await?;
        }
        tx.commit().await?;
        self.webhooks_ready.notify_one();
        Ok(first)
    }
}
