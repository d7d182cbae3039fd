//! Messaging accounts: connected WhatsApp numbers and Telegram bots.

mod check;
mod create;
mod retire;
mod update;

use kabar_domain::channel::ChannelStatus;
use kabar_domain::message::Platform;
use kabar_domain::{Ability, AccountId};
use kabar_providers::whatsapp::AppSecret;
use kabar_store::{Window, accounts};

use crate::auth::Principal;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

pub(crate) use create::Checked;
pub use create::NewAccount;
pub use kabar_store::accounts::Account;
pub use update::AccountChange;

/// Settings and metadata, in bytes of JSON.
const BAG: usize = 16 * 1024;

/// Something served over an account, with the address its provider delivers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Served<T> {
    pub row: T,
    pub webhook_url: String,
}

/// Which accounts to list, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct AccountQuery {
    pub platform: Option<String>,
    pub status: Option<String>,
}

/// The platforms that accounts can be registered on.
pub(crate) fn platform(text: &str) -> Option<Platform> {
    Platform::from_name(text).filter(|platform| matches!(platform, Platform::Whatsapp | Platform::Telegram))
}

/// Whose signatures an account accepts, as its row keeps it: ` 12 -7 `. `None`: those of the server's own apps.
fn signed_by(credentials: &Credentials) -> Option<String> {
    credentials.app_secret.as_ref()?;
    let secrets = [&credentials.app_secret, &credentials.previous_app_secret];
    let fingerprints = secrets.into_iter().flatten().map(|secret| AppSecret::new(secret).fingerprint());
    Some(fingerprints.fold(" ".to_owned(), |text, fingerprint| format!("{text}{fingerprint} ")))
}

pub(crate) const fn not_found() -> Error {
    Error::NotFound("MessagingAccount")
}

impl Engine {
    /// The address that a provider delivers an account's webhooks to.
    pub(crate) fn webhook_url(&self, platform: Platform, account: AccountId) -> String {
        let base = self.config.public_url.as_str().trim_end_matches('/');
        match platform {
            Platform::Telegram => format!("{base}/webhooks/telegram/{account}"),
            Platform::Widget => format!("{base}/embed/v1/messages"),
            Platform::Whatsapp | Platform::Other => format!("{base}/webhooks/whatsapp"),
        }
    }

    fn served_account(&self, row: Account) -> Served<Account> {
        Served { webhook_url: self.webhook_url(row.platform, row.id), row }
    }

    pub async fn list_messaging_accounts(
        &self,
        principal: &Principal,
        query: AccountQuery,
        page: &PageRequest,
    ) -> Result<Page<Served<Account>>> {
        principal.require_in_channels(Ability::Read)?;
        let mut invalid = Invalid::default();
        let within = principal.reach.channels.as_deref();
        let mut filter = accounts::Filter { within, ..accounts::Filter::default() };
        if let Some(text) = query.platform {
            filter.platform = platform(&text);
            if filter.platform.is_none() {
                rules::selected(&mut invalid, "platform");
            }
        }
        if let Some(text) = query.status {
            filter.status =
                ChannelStatus::from_name(&text).filter(|status| *status != ChannelStatus::Archived);
            if filter.status.is_none() {
                rules::selected(&mut invalid, "status");
            }
        }
        invalid.check()?;
        let window = Window {
            after: page.after()?.map(|place| AccountId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let mut db = self.store.reader().await?;
        let total = accounts::count(&mut db, principal.organisation_id, filter).await?;
        let rows = accounts::list(&mut db, principal.organisation_id, filter, window).await?;
        let page = page.page_of(rows, total, |account| account.id.uuid().into());
        Ok(page.map(|account| self.served_account(account)))
    }

    pub async fn get_messaging_account(
        &self,
        principal: &Principal,
        id: AccountId,
    ) -> Result<Served<Account>> {
        principal.require_in_channels(Ability::Read)?;
        let within = principal.reach.channels.as_deref();
        let mut db = self.store.reader().await?;
        let found = accounts::find_within(&mut db, principal.organisation_id, id, within).await?;
        found.map(|account| self.served_account(account)).ok_or_else(not_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_secret_still_counts() {
        let mut credentials = Credentials { app_secret: Some("new".into()), ..Credentials::default() };
        let new = AppSecret::new("new").fingerprint();
        assert_eq!(signed_by(&credentials), Some(format!(" {new} ")));
        credentials.previous_app_secret = Some("old".into());
        let old = AppSecret::new("old").fingerprint();
        assert_eq!(signed_by(&credentials), Some(format!(" {new} {old} ")));
        credentials.app_secret = None;
        assert_eq!(signed_by(&credentials), None);
    }
}
