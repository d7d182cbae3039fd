//! Tokens of an organisation's programs.

use std::time::Duration;

use kabar_domain::Timestamp;
use kabar_store::events::NewEvent;
use kabar_store::tokens::{self, Token};
use serde_json::json;

use crate::Engine;
use crate::error::Result;

/// How long before its end a token is told to expire.
const NOTICE: Duration = Duration::from_hours(7 * 24);
/// Tokens told of at a time.
const AT_A_TIME: i64 = 100;

/// When a token that is made now is to be told to expire: never, when that is soon anyway.
pub(crate) fn announce_at(now: Timestamp, expires_at: Option<Timestamp>) -> Option<Timestamp> {
    expires_at.map(|at| at.minus(NOTICE)).filter(|at| *at > now)
}

pub(crate) fn event(kind: &'static str, token: &Token) -> NewEvent {
    let data = json!({ "token_id": token.id, "name": token.name, "expires_at": token.expires_at });
    NewEvent { kind, subject_id: None, data: Some(data.to_string()) }
}

impl Engine {
    /// Tells of tokens that are about to expire, of each once.
    pub(crate) async fn announce_expiring_tokens(&self) -> Result<()> {
        let now = self.clock.now();
        if tokens::expiring(&mut self.store.reader().await?, now, 1).await?.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        for token in tokens::expiring(&mut tx, now, AT_A_TIME).await? {
            let first = tokens::announced(&mut tx, token.id).await?;
            let lives = token.expires_at.is_some_and(|at| at > now);
            if let Some(organisation) = token.organisation_id.filter(|_| first && lives) {
                tx.record(organisation, now, [event("token.expiring", &token)]);
            }
        }
        Ok(tx.commit().await?)
    }
}
