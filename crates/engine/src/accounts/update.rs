//! Changing an account, and asking its provider again.

use kabar_domain::message::Platform;
use kabar_domain::{Ability, AccountId};
use kabar_store::events::NewEvent;
use kabar_store::{accounts, organisations};
use serde_json::Value as Json;

use super::create::{bot_id, secret};
use super::{Account, BAG, Served, not_found, signed_by};
use crate::auth::Principal;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::patch::Patch;
use crate::rules;

/// What to change about an account. What is left out stays; asking the provider again happens in any case.
#[derive(Clone, Default)]
pub struct AccountChange {
    pub display_name: Option<String>,
    /// Cannot be changed; taken when it is what it was.
    pub phone_number_id: Option<String>,
    pub phone_number: Patch<String>,
    pub waba_id: Patch<String>,
    pub access_token: Option<String>,
    /// Null: the server's own from now on.
    pub app_secret: Patch<String>,
    pub bot_token: Option<String>,
    pub is_default: Option<bool>,
    pub settings: Option<Json>,
    pub metadata: Option<Json>,
}

impl std::fmt::Debug for AccountChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountChange").finish_non_exhaustive()
    }
}

impl AccountChange {
    /// Puts the change into `account` and its `credentials`.
    fn apply(self, account: &mut Account, credentials: &mut Credentials) -> Result<()> {
        let mut invalid = Invalid::default();
        if self.display_name.is_some() {
            account.display_name = rules::required(&mut invalid, "display_name", self.display_name, 255);
        }
        let whatsapp = account.platform == Platform::Whatsapp;
        if whatsapp && self.phone_number_id.is_some_and(|id| id.trim() != account.external_id) {
            let message =
                "The phone number id cannot be changed. Register the other number as an account of its own.";
            invalid.add("phone_number_id", message);
        }
        if let Patch::Set(number) = self.phone_number {
            account.phone_number = rules::optional(&mut invalid, "phone_number", number, 40);
            account.phone_digits = account.phone_number.as_deref().and_then(rules::phone_digits);
        }
        if let Patch::Set(waba_id) = self.waba_id {
            account.waba_id = rules::optional(&mut invalid, "waba_id", waba_id, 64);
        }
        if let Some(token) = secret(&mut invalid, "access_token", self.access_token).filter(|_| whatsapp) {
            credentials.access_token = Some(token);
        }
        if let (Patch::Set(given), true) = (self.app_secret, whatsapp) {
            let given = secret(&mut invalid, "app_secret", given);
            if given != credentials.app_secret {
                credentials.previous_app_secret = credentials.app_secret.take();
                credentials.app_secret = given;
            }
        }
        if let Some(token) = secret(&mut invalid, "bot_token", self.bot_token).filter(|_| !whatsapp) {
            if bot_id(&token) == Some(account.external_id.as_str()) {
                credentials.bot_token = Some(token);
            } else {
                invalid.add("bot_token", "The bot token belongs to another bot.");
            }
        }
        if let Some(settings) = self.settings {
            account.settings = rules::object(&mut invalid, "settings", settings, BAG);
        }
        if let Some(metadata) = self.metadata {
            account.metadata = rules::object(&mut invalid, "metadata", metadata, BAG);
        }
        if self.is_default == Some(false) && account.is_default {
            invalid.add("is_default", "Make another account the default instead.");
        }
        invalid.check()?;
        account.signed_by = signed_by(credentials);
        Ok(())
    }
}

impl Engine {
    pub async fn update_messaging_account(
        &self,
        principal: &Principal,
        id: AccountId,
        change: AccountChange,
    ) -> Result<Served<Account>> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, organisation).await?;
        let mut account = accounts::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        let mut credentials = self.open_credentials(organisation, id, &account.credentials)?;
        let (before, secrets) = (account.clone(), credentials.clone());
        let becomes_default = change.is_default == Some(true) && !account.is_default;
        change.apply(&mut account, &mut credentials)?;
        if credentials != secrets {
            account.credentials = self.seal_credentials(organisation, id, &credentials)?;
        }
        let changed = account != before;
        if changed {
            account.updated_at = now;
            accounts::update(&mut tx, &account).await?;
        }
        if becomes_default {
            organisations::set_default_account(&mut tx, organisation, Some(id), now).await?;
        }
        if changed || becomes_default {
            let event =
                NewEvent { kind: "messaging_account.updated", subject_id: Some(id.uuid()), data: None };
            tx.record(organisation, now, vec![event]);
        }
        tx.commit().await?;

        self.accounts_changed().await;
        self.check_account(&account, &credentials, true).await?;
        let mut db = self.store.reader().await?;
        let found = accounts::find(&mut db, organisation, id).await?;
        found.map(|account| self.served_account(account)).ok_or_else(not_found)
    }
}
