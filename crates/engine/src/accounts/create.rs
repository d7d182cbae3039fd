//! Registering an account.

use kabar_domain::channel::{ChannelKind, ChannelStatus};
use kabar_domain::message::Platform;
use kabar_domain::{Ability, AccountId, ChannelId, OrganisationId};
use kabar_store::channels::{self, AccountFacts, Channel};
use kabar_store::events::NewEvent;
use kabar_store::{Tx, accounts, organisations};
use serde_json::{Value as Json, json};

use super::{Account, BAG, Served, not_found, platform, signed_by};
use crate::auth::Principal;
use crate::credentials::Credentials;
use crate::crypto::random_text;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// Letters and digits of the secret that Telegram sends with a bot's webhooks.
const WEBHOOK_SECRET: usize = 48;

/// A number or bot to register, as a client gives it.
#[derive(Clone, Default)]
pub struct NewAccount {
    pub platform: Option<String>,
    pub display_name: Option<String>,
    pub phone_number_id: Option<String>,
    pub phone_number: Option<String>,
    pub waba_id: Option<String>,
    pub access_token: Option<String>,
    pub app_secret: Option<String>,
    pub bot_token: Option<String>,
    pub is_default: Option<bool>,
    pub settings: Option<Json>,
    pub metadata: Option<Json>,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount").field("platform", &self.platform).finish_non_exhaustive()
    }
}

/// The id of the bot that a token belongs to.
pub(super) fn bot_id(token: &str) -> Option<&str> {
    let (id, secret) = token.split_once(':')?;
    let digits = (1..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (digits && !secret.is_empty() && secret.bytes().all(allowed)).then_some(id)
}

/// A secret as it is put in a header or an address: no space and nothing that is not ASCII.
pub(super) fn secret(invalid: &mut Invalid, field: &str, value: Option<String>) -> Option<String> {
    let value = rules::optional(invalid, field, value, 2048)?;
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let name = field.replace('_', " ");
        invalid.add(field, format!("The {name} field must be printable ASCII without spaces."));
    }
    Some(value)
}

/// A number or bot to register, checked.
pub(crate) struct Checked {
    pub platform: Platform,
    pub external_id: String,
    /// The field that `external_id` came in.
    pub named_by: &'static str,
    pub display_name: String,
    pub phone_number: Option<String>,
    pub waba_id: Option<String>,
    pub credentials: Credentials,
    pub is_default: bool,
    pub settings: Json,
    pub metadata: Json,
}

fn checked(new: NewAccount) -> Result<Checked> {
    let mut invalid = Invalid::default();
    let is_default = new.is_default.unwrap_or(false);
    let named = rules::required(&mut invalid, "platform", new.platform, 20);
    let platform = platform(&named);
    if platform.is_none() && !named.is_empty() {
        rules::selected(&mut invalid, "platform");
    }
    let display_name = rules::required(&mut invalid, "display_name", new.display_name, 255);
    let phone_number = rules::optional(&mut invalid, "phone_number", new.phone_number, 40);
    let waba_id = rules::optional(&mut invalid, "waba_id", new.waba_id, 64);
    let mut credentials = Credentials::default();
    let mut external_id = String::new();
    let telegram = platform == Some(Platform::Telegram);
    if telegram {
        let token = rules::required(&mut invalid, "bot_token", new.bot_token, 255);
        if let Some(id) = bot_id(&token) {
            id.clone_into(&mut external_id);
        } else if !token.is_empty() {
            invalid.add(
                "bot_token",
                "The bot token field must look like 123456:ABC-DEF, as BotFather gives it.",
            );
        }
        credentials.bot_token = Some(token);
        credentials.webhook_secret = Some(random_text(WEBHOOK_SECRET)?);
    } else if platform.is_some() {
        external_id = rules::required(&mut invalid, "phone_number_id", new.phone_number_id, 64);
        invalid.require("access_token", new.access_token.as_ref().is_some_and(|token| !token.is_empty()));
        credentials.access_token = secret(&mut invalid, "access_token", new.access_token);
        credentials.app_secret = secret(&mut invalid, "app_secret", new.app_secret);
    }
    let empty = || json!({});
    let settings = rules::object(&mut invalid, "settings", new.settings.unwrap_or_else(empty), BAG);
    let metadata = rules::object(&mut invalid, "metadata", new.metadata.unwrap_or_else(empty), BAG);
    invalid.check()?;
    Ok(Checked {
        platform: platform.ok_or_else(|| Error::Internal("an unchecked platform".into()))?,
        external_id,
        named_by: if telegram { "bot_token" } else { "phone_number_id" },
        display_name,
        phone_number: phone_number.filter(|_| !telegram),
        waba_id: waba_id.filter(|_| !telegram),
        credentials,
        is_default,
        settings,
        metadata,
    })
}

/// The answer to whoever registers what is registered already. It does not say by whom.
fn taken(field: &str) -> Error {
    let mut invalid = Invalid::default();
    rules::taken(&mut invalid, field);
    Error::Invalid(invalid)
}

impl Engine {
    /// Registers a number or a bot, makes its direct channel, and then asks the provider about it. What the
    /// provider says is in the answer's `status` and `last_error`; it does not undo the registration.
    pub async fn create_messaging_account(
        &self,
        principal: &Principal,
        new: NewAccount,
    ) -> Result<Served<Account>> {
        principal.require(Ability::Admin)?;
        let organisation_id = principal.organisation_id;
        let new = checked(new)?;
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, organisation_id).await?;
        let account = self.insert_account(&mut tx, organisation_id, &new).await?;
        tx.commit().await?;

        // First the webhook's secret is known here, then the provider is told where to deliver.
        self.accounts_changed().await;
        self.check_account(&account, &new.credentials, true).await?;
        let mut db = self.store.reader().await?;
        let found = accounts::find(&mut db, organisation_id, account.id).await?;
        found.map(|account| self.served_account(account)).ok_or_else(not_found)
    }

    /// Writes a new account, its direct line and their events. The organisation is locked.
    pub(crate) async fn insert_account(
        &self,
        tx: &mut Tx,
        organisation_id: OrganisationId,
        new: &Checked,
    ) -> Result<Account> {
        let now = self.clock.now();
        let id = AccountId::new(&self.clock);
        let channel_id = ChannelId::new(&self.clock);
        let account = Account {
            organisation_id,
            id,
            platform: new.platform,
            status: ChannelStatus::Pending,
            external_id: new.external_id.clone(),
            display_name: new.display_name.clone(),
            phone_digits: new.phone_number.as_deref().and_then(rules::phone_digits),
            phone_number: new.phone_number.clone(),
            waba_id: new.waba_id.clone(),
            username: None,
            is_default: false,
            credentials: self.seal_credentials(organisation_id, id, &new.credentials)?,
            settings: new.settings.clone(),
            metadata: new.metadata.clone(),
            signed_by: signed_by(&new.credentials),
            verified_name: None,
            quality: None,
            messaging_limit: None,
            messages_per_second: None,
            last_error: None,
            connected_at: None,
            checked_at: None,
            webhook_verified_at: None,
            last_event_at: None,
            created_at: now,
            updated_at: now,
            channel_id: Some(channel_id),
        };
        let channel = Channel {
            organisation_id,
            id: channel_id,
            account_id: id,
            platform: new.platform,
            kind: ChannelKind::Direct,
            status: ChannelStatus::Pending,
            external_id: String::new(),
            display_name: new.display_name.clone(),
            purpose: None,
            allow_routine_logs: true,
            allow_issues: true,
            default_site_id: None,
            connected_at: None,
            last_seen_at: None,
            archived_at: None,
            created_at: now,
            updated_at: now,
            account: AccountFacts::default(),
        };
        if accounts::is_taken(tx, new.platform, &account.external_id).await? {
            return Err(taken(new.named_by));
        }
        // The check above sees what is there; the index decides between two at the same time.
        accounts::insert(tx, &account).await.map_err(|error| {
            if error.is_conflict_on("accounts_external", "accounts.external_id") {
                taken(new.named_by)
            } else {
                error.into()
            }
        })?;
        if new.is_default || accounts::find_default(tx, organisation_id).await?.is_none() {
            organisations::set_default_account(tx, organisation_id, Some(id), now).await?;
        }
        channels::insert(tx, &channel).await?;
        let created = |kind, subject, data: Json| NewEvent {
            kind,
            subject_id: Some(subject),
            data: Some(data.to_string()),
        };
        let events = vec![
            created("messaging_account.created", id.uuid(), json!({ "platform": new.platform })),
            created("channel.created", channel_id.uuid(), json!({ "messaging_account_id": id })),
        ];
        tx.record(organisation_id, now, events);
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::bot_id;

    #[test]
    fn a_bots_id_stands_before_the_colon() {
        assert_eq!(bot_id("123456:AAE-x_9"), Some("123456"));
        for wrong in ["", "no colon", "123456:", ":AAE", "12a:AAE", "123456:AA E", "123456:AA/E"] {
            assert_eq!(bot_id(wrong), None, "{wrong}");
        }
    }
}
