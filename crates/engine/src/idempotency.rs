//! Requests repeated under one key: done once, answered alike.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kabar_store::idempotency::{self, Scope};

use crate::Engine;
use crate::auth::Principal;
use crate::error::{Error, Result};

/// How long a first answer is kept.
const KEPT: Duration = Duration::from_hours(24);

/// No request runs longer than this; one that did was cut off.
const LONGEST: Duration = Duration::from_mins(2);

/// What to do with a request that carries a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The first: do it, then [`Engine::complete_idempotent`] or [`Engine::release_idempotent`].
    Run,
    /// Done before: give this status and body.
    Replay { status: u16, body: String },
    /// The first one is still at it.
    Running,
}

fn scope<'a>(principal: &Principal, key: &'a str) -> Scope<'a> {
    Scope { organisation: principal.organisation_id, token_id: principal.token_id, key }
}

/// Answers are kept sealed: some show a secret, this once.
fn context(principal: &Principal) -> String {
    format!("idempotency/{}/{}", principal.organisation_id, principal.token_id)
}

impl Engine {
    /// `fingerprint` stands for everything that makes a request the same one: method, path and body.
    pub async fn claim_idempotent(
        &self,
        principal: &Principal,
        key: &str,
        fingerprint: &str,
    ) -> Result<Claim> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let entry =
            idempotency::claim(&mut tx, scope(principal, key), fingerprint, now, now.minus(KEPT)).await?;
        let Some(entry) = entry else {
            tx.commit().await?;
            return Ok(Claim::Run);
        };
        if entry.fingerprint != fingerprint {
            return Err(Error::Conflict("This Idempotency-Key was used for another request.".into()));
        }
        match entry.answer {
            Some((status, body)) => {
                let sealed = STANDARD.decode(body).map_err(|error| Error::Internal(error.to_string()))?;
                let body = self.key.open(&context(principal), &sealed)?;
                let body = String::from_utf8_lossy(&body).into_owned();
                Ok(Claim::Replay { status: u16::try_from(status).unwrap_or(200), body })
            }
            None if now.since(entry.created_at) < LONGEST => Ok(Claim::Running),
            // As with a message whose answer was lost: whether it took effect is for a person to look up.
            None => Err(Error::Conflict(
                "The first request with this Idempotency-Key was interrupted. Check whether it took effect before you repeat it with a new key."
                    .into(),
            )),
        }
    }

    /// Keeps the answer of the first request.
    pub async fn complete_idempotent(
        &self,
        principal: &Principal,
        key: &str,
        status: u16,
        body: &str,
    ) -> Result<()> {
        let sealed = STANDARD.encode(self.key.seal(&context(principal), body.as_bytes())?);
        let mut tx = self.store.begin().await?;
        idempotency::complete(&mut tx, scope(principal, key), i64::from(status), &sealed).await?;
        Ok(tx.commit().await?)
    }

    /// Frees the key: the request failed without effect and may be repeated.
    pub async fn release_idempotent(&self, principal: &Principal, key: &str) -> Result<()> {
        let mut tx = self.store.begin().await?;
        idempotency::release(&mut tx, scope(principal, key)).await?;
        Ok(tx.commit().await?)
    }
}
