//! What endpoints' webhooks are signed with.

use std::time::Duration;

use kabar_domain::{Ability, OrganisationId, Timestamp, WebhookEndpointId};
use kabar_providers::webhooks::Secret;
use kabar_store::webhooks;
use serde::{Deserialize, Serialize};

use super::to_change;
use crate::auth::Principal;
use crate::crypto::random;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

/// How long both secrets sign when the client does not say, and at most.
const OVERLAP: i64 = 24 * 3_600;
const LONGEST_OVERLAP: i64 = 7 * 24 * 3_600;

/// Sealed in the endpoint's row, open only in memory.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Secrets {
    pub current: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    previous: Vec<Previous>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Previous {
    secret: String,
    until: Timestamp,
}

/// A new secret.
#[derive(Clone, Debug)]
pub struct Rotated {
    pub secret: String,
    /// The one before signs beside it until then.
    pub previous_until: Option<Timestamp>,
}

fn new_secret() -> Result<String> {
    Ok(Secret::new(random::<32>()?).text())
}

fn context(organisation: OrganisationId, id: WebhookEndpointId) -> String {
    format!("webhook_endpoints/{organisation}/{id}")
}

impl Secrets {
    pub fn generate() -> Result<Self> {
        Ok(Self { current: new_secret()?, previous: Vec::new() })
    }

    /// Those that sign now, the newest first.
    pub fn signing(&self, now: Timestamp) -> Vec<Secret> {
        let previous = self.previous.iter().filter(|previous| previous.until > now);
        let all = std::iter::once(&self.current).chain(previous.map(|previous| &previous.secret));
        all.filter_map(|text| Secret::parse(text)).collect()
    }
}

impl Engine {
    pub(super) fn seal_webhook_secrets(
        &self,
        organisation: OrganisationId,
        id: WebhookEndpointId,
        secrets: &Secrets,
    ) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(secrets).map_err(|error| Error::Internal(error.to_string()))?;
        self.key.seal(&context(organisation, id), &plain)
    }

    pub(super) fn open_webhook_secrets(
        &self,
        organisation: OrganisationId,
        id: WebhookEndpointId,
        sealed: &[u8],
    ) -> Result<Secrets> {
        let plain = self.key.open(&context(organisation, id), sealed)?;
        serde_json::from_slice(&plain)
            .map_err(|_| Error::Internal("stored webhook secrets are not readable".into()))
    }

    pub async fn get_webhook_secret(&self, principal: &Principal, id: WebhookEndpointId) -> Result<String> {
        principal.require(Ability::Admin)?;
        let endpoint = self.webhook_endpoint(principal, id).await?;
        Ok(self.open_webhook_secrets(endpoint.organisation_id, id, &endpoint.secrets)?.current)
    }

    /// A new secret; the old one signs beside it for `overlap` seconds, a day unless given.
    pub async fn rotate_webhook_secret(
        &self,
        principal: &Principal,
        id: WebhookEndpointId,
        overlap: Option<i64>,
    ) -> Result<Rotated> {
        principal.require(Ability::Admin)?;
        let overlap = overlap.unwrap_or(OVERLAP);
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let mut endpoint = to_change(&mut tx, principal, id).await?;
        if !(0..=LONGEST_OVERLAP).contains(&overlap) {
            let message = format!("The overlap seconds field must be between 0 and {LONGEST_OVERLAP}.");
            return Err(Invalid::one("overlap_seconds", message));
        }
        let organisation = endpoint.organisation_id;
        let mut secrets = self.open_webhook_secrets(organisation, id, &endpoint.secrets)?;
        let until = now.plus(Duration::from_secs(overlap.unsigned_abs()));
        let secret = std::mem::replace(&mut secrets.current, new_secret()?);
        // An older one that still signs does so no longer than its own time.
        secrets.previous.retain(|previous| overlap > 0 && previous.until > now);
        if overlap > 0 {
            secrets.previous.insert(0, Previous { secret, until });
        }
        endpoint.secrets = self.seal_webhook_secrets(organisation, id, &secrets)?;
        endpoint.updated_at = now;
        webhooks::update(&mut tx, &endpoint).await?;
        tx.commit().await?;
        Ok(Rotated { secret: secrets.current, previous_until: (overlap > 0).then_some(until) })
    }
}
