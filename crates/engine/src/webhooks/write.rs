//! Writes how deliveries went, many in a transaction.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kabar_domain::WebhookEndpointId;
use kabar_domain::webhook::DisabledReason;
use kabar_store::Error as StoreError;
use kabar_store::webhooks::deliveries;
use kabar_store::webhooks::serving::{self, Standing};
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::event;
use super::turn::Progress;
use crate::engine::Engine;

const AGAIN: Duration = Duration::from_millis(500);

/// Endpoints that this process serves now.
#[derive(Clone, Debug, Default)]
pub(super) struct Serving(Arc<Mutex<HashSet<WebhookEndpointId>>>);

impl Serving {
    pub fn begin(&self, id: WebhookEndpointId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    pub fn end(&self, id: WebhookEndpointId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub fn has(&self, id: WebhookEndpointId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}

impl Engine {
    pub(super) async fn write_webhooks(
        &self,
        owner: Uuid,
        mut progress: mpsc::Receiver<Progress>,
        serving: Serving,
    ) {
        let mut batch = Vec::new();
        while progress.recv_many(&mut batch, 256).await > 0 {
            for part in apart(&mut batch) {
                loop {
                    match self.write_part(owner, &part).await {
                        Ok(()) => break,
                        Err(error) if error.is_transient() => {
                            tracing::error!(%error, "deliveries cannot be written now; trying again");
                            tokio::time::sleep(AGAIN).await;
                        }
                        Err(error) => {
                            tracing::error!(%error, "deliveries cannot be written; they are made again");
                            break;
                        }
                    }
                }
                for one in &part {
                    if let Some((outcome, took)) = one.attempt {
                        self.metrics.webhook_attempted(outcome, took);
                    }
                    if one.standing.ended {
                        serving.end(one.standing.id);
                    }
                }
            }
            self.webhooks_ready.notify_one();
        }
    }

    async fn write_part(&self, owner: Uuid, part: &[Progress]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let mut written: Vec<_> = part.iter().filter_map(|one| one.delivery.clone()).collect();
        written.sort_unstable_by_key(|delivery| (delivery.endpoint_id, delivery.seq));
        deliveries::write(&mut tx, written).await?;
        // What is said last of an endpoint says it all; rows are locked in one order everywhere.
        let last: BTreeMap<_, &Standing> =
            part.iter().map(|one| ((one.standing.organisation_id, one.standing.id), &one.standing)).collect();
        serving::write(&mut tx, owner, now, last.into_values().cloned()).await?;
        for one in part {
            if let Some(reason) = one.disable {
                let Standing { organisation_id, id, version, failing_since, .. } = one.standing;
                if serving::disable(&mut tx, organisation_id, id, version, reason, now).await? {
                    tracing::warn!(endpoint = %id, reason = reason.as_str(), "a webhook endpoint is switched off");
                    let why = match reason {
                        DisabledReason::Gone => "It answered 410.",
                        DisabledReason::Failing => "Every attempt failed for days.",
                    };
                    let data = json!({ "reason": reason, "detail": why, "failing_since": failing_since });
                    tx.record(organisation_id, now, [event("webhook_endpoint.disabled", id, Some(data))]);
                }
            }
        }
        tx.commit().await
    }
}

/// Parts in which no delivery comes twice: one statement writes a row once.
fn apart(batch: &mut Vec<Progress>) -> Vec<Vec<Progress>> {
    let mut parts = Vec::from([Vec::new()]);
    let mut seen = HashSet::new();
    for one in batch.drain(..) {
        let key = one.delivery.as_ref().map(|delivery| (delivery.endpoint_id, delivery.seq));
        if key.is_some_and(|key| !seen.insert(key)) {
            seen.clear();
            seen.extend(key);
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(one);
        }
    }
    parts
}
