//! Taking an account out of service.

use kabar_domain::message::{Platform, ProviderError};
use kabar_domain::{Ability, AccountId};
use kabar_store::accounts::{self, Filter};
use kabar_store::events::NewEvent;
use kabar_store::organisations;
use serde_json::json;

use super::not_found;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};

impl Engine {
    /// Retires an account. Its groups and what waits to be sent over it go on over the organisation's default
    /// account where that is of the same platform; what was said stays.
    pub async fn retire_messaging_account(&self, principal: &Principal, id: AccountId) -> Result<()> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, organisation).await?;
        let account = accounts::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        if account.is_default && accounts::count(&mut tx, organisation, Filter::default()).await? > 1 {
            return Err(Error::Conflict(
                "This account is the organisation's default. Make another account the default first.".into(),
            ));
        }
        let default = accounts::find_default(&mut tx, organisation).await?;
        let heir = default.filter(|heir| heir.id != id && heir.platform == account.platform);
        let heir = heir.map(|heir| heir.id);
        let error = ProviderError {
            code: 0,
            title: "The account was retired".into(),
            detail: Some(
                "The account this message was to be sent from was retired before it was sent.".into(),
            ),
            action: Some("Send it again over another account.".into()),
        };
        let error = serde_json::to_string(&error).map_err(|error| Error::Internal(error.to_string()))?;
        let moved = accounts::retire(&mut tx, organisation, id, heir, &error, now).await?;

        let failed: Vec<_> = moved.failed.iter().map(|message| (organisation, *message)).collect();
        kabar_store::outbound::note_dead(&mut tx, &failed, "failed", now).await?;
        let event = |kind, subject, data| NewEvent { kind, subject_id: Some(subject), data };
        let data = json!({ "default_messaging_account_id": heir }).to_string();
        let mut events = vec![event("messaging_account.retired", id.uuid(), Some(data))];
        events.extend(moved.channels.iter().map(|channel| event("channel.updated", channel.uuid(), None)));
        let failed = json!({ "status": "failed" }).to_string();
        events.extend(
            moved.failed.iter().map(|message| event("message.status", message.uuid(), Some(failed.clone()))),
        );
        tx.record(organisation, now, events);
        tx.commit().await?;

        self.accounts_changed().await;
        if account.platform == Platform::Telegram
            && let Some(token) = self.open_credentials(organisation, id, &account.credentials)?.bot_token
            && let Err(failure) = self.telegram.delete_webhook(&token).await
        {
            // Its updates are refused from now on; Telegram stops by itself.
            tracing::warn!(account = %id, error = %failure.error.title, "a retired bot's webhook stays set");
        }
        Ok(())
    }
}
