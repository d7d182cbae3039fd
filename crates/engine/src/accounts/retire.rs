//! Taking an account out of service.

use kabar_domain::message::{MessageStatus, Platform, ProviderError};
use kabar_domain::{Ability, AccountId, OrganisationId, Timestamp};
use kabar_store::accounts::{self, Filter};
use kabar_store::events::NewEvent;
use kabar_store::{Error as StoreError, Tx, organisations, outbound};
use serde_json::json;

use super::not_found;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::outbound::{error_text, status_event};

/// Messages that are handed on in one transaction.
const BATCH: i64 = 500;

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
        let heir = give_over(&mut tx, organisation, id, account.platform, now).await?;
        let channels = accounts::retire(&mut tx, organisation, id, heir, now).await?;
        let event = |kind, subject, data| NewEvent { kind, subject_id: Some(subject), data };
        let data = json!({ "default_messaging_account_id": heir }).to_string();
        let retired = event("messaging_account.retired", id.uuid(), Some(data));
        let moved = channels.iter().map(|channel| event("channel.updated", channel.uuid(), None));
        tx.record(organisation, now, [retired].into_iter().chain(moved));
        tx.commit().await?;
        self.outbound_ready.notify_one();

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

    /// Hands on what came to wait at retired accounts since: what a sender was just working on, what was queued at the
    /// same moment, and what was too much for one transaction.
    pub(crate) async fn give_over_stranded(&self) -> Result<(), StoreError> {
        let found = outbound::stranded(&mut self.store.reader().await?).await?;
        for (organisation, account, platform) in found {
            let mut tx = self.store.begin().await?;
            give_over(&mut tx, organisation, account, platform, self.clock.now()).await?;
            tx.commit().await?;
        }
        self.outbound_ready.notify_one();
        Ok(())
    }
}

/// Hands what waits at an account to the organisation's default one, if that is another of the same platform; else it
/// fails. The heir.
async fn give_over(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    platform: Platform,
    now: Timestamp,
) -> Result<Option<AccountId>, StoreError> {
    let default = accounts::find_default(tx, organisation).await?;
    let heir = default.filter(|heir| heir.id != account && heir.platform == platform).map(|heir| heir.id);
    let error = ProviderError {
        code: 0,
        title: "The account was retired".into(),
        detail: Some("The account this message was to be sent from was retired before it was sent.".into()),
        action: Some("Send it again over another account.".into()),
    };
    let text = error_text(&error);
    let given = outbound::give_over(tx, organisation, account, heir, &text, now, BATCH).await?;
    let failed: Vec<_> = given.failed.iter().map(|(message, _)| (organisation, *message)).collect();
    outbound::note_dead(tx, &failed, "failed", now).await?;
    let event = |(message, conversation): &_| status_event(*message, *conversation, MessageStatus::Failed);
    tx.record(organisation, now, given.failed.iter().map(event));
    Ok(heir)
}
