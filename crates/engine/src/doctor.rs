//! What is wrong with a connection, and what to paste where: the server's own address and clock, then what the
//! provider says of each account. Nothing is changed.

mod server;
mod telegram;
mod whatsapp;

use std::time::Duration;

use kabar_domain::message::Platform;
use kabar_domain::outbound::SendFailure;
use kabar_domain::{Ability, AccountId, OrganisationId, Timestamp};
use kabar_store::accounts::{self, Account};
use serde::Serialize;

use crate::accounts::not_found;
use crate::auth::Principal;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::Result;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The worst counts for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// Cannot be told, or is of no account here.
    Skipped,
    Ok,
    Warning,
    Failed,
}

impl CheckStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What to paste where; of warnings and failures.
    pub fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Ok, detail: detail.into(), fix: None }
    }

    fn skipped(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Skipped, detail: detail.into(), fix: None }
    }

    fn warning(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Warning, detail: detail.into(), fix: Some(fix.into()) }
    }

    fn failed(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Failed, detail: detail.into(), fix: Some(fix.into()) }
    }
}

/// All that was looked at.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// `None`: the server.
    pub account: Option<Account>,
    pub checks: Vec<Check>,
    pub checked_at: Timestamp,
}

impl Diagnosis {
    pub fn status(&self) -> CheckStatus {
        let worst = self.checks.iter().map(|check| check.status).max();
        worst.unwrap_or(CheckStatus::Ok).max(CheckStatus::Ok)
    }
}

/// What a provider answers, or a sentence why it did not.
async fn asked<T>(question: impl Future<Output = Result<T, SendFailure>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|failure| {
            let error = failure.error;
            let detail = error.detail.filter(|detail| !detail.is_empty());
            detail.map_or_else(|| error.title.clone(), |detail| format!("{}: {detail}", error.title))
        }),
        Err(_) => Err(format!("No answer within {} seconds", PATIENCE.as_secs())),
    }
}

fn update_with(account: AccountId, field: &str) -> String {
    format!("Send {{\"{field}\": \"…\"}} by PUT to /api/v1/messaging-accounts/{account}")
}

impl Engine {
    /// An account's connection, from the server's own address on.
    pub async fn diagnose_account(&self, principal: &Principal, id: AccountId) -> Result<Diagnosis> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let found = accounts::find(&mut self.store.reader().await?, organisation, id).await?;
        let account = found.ok_or_else(not_found)?;
        let (mut checks, own) =
            tokio::join!(self.look_at_server(Some(account.platform)), self.look_at_account(&account));
        checks.extend(own);
        Ok(Diagnosis { account: Some(account), checks, checked_at: self.clock.now() })
    }

    /// The server, then one account, or those of every organisation. For whoever holds the database.
    pub async fn diagnose_all(&self, only: Option<AccountId>) -> Result<Vec<Diagnosis>> {
        let known = accounts::credentials(&mut self.store.reader().await?).await?;
        let wanted: Vec<_> = known.into_iter().filter(|row| only.is_none_or(|only| only == row.id)).collect();
        if only.is_some() && wanted.is_empty() {
            return Err(not_found());
        }
        let platform = match wanted.as_slice() {
            [one] if only.is_some() => Some(one.platform),
            _ => None,
        };
        let server = self.look_at_server(platform).await;
        let mut found =
            Vec::from([Diagnosis { account: None, checks: server, checked_at: self.clock.now() }]);
        for row in wanted {
            found.extend(self.diagnose_row(row.organisation_id, row.id).await?);
        }
        Ok(found)
    }

    async fn diagnose_row(&self, organisation: OrganisationId, id: AccountId) -> Result<Option<Diagnosis>> {
        let found = accounts::find(&mut self.store.reader().await?, organisation, id).await?;
        let Some(account) = found else { return Ok(None) };
        let checks = self.look_at_account(&account).await;
        Ok(Some(Diagnosis { account: Some(account), checks, checked_at: self.clock.now() }))
    }

    async fn look_at_account(&self, account: &Account) -> Vec<Check> {
        let opened = self.open_credentials(account.organisation_id, account.id, &account.credentials);
        let mut checks = match (opened, account.platform) {
            (Err(error), _) => {
                return Vec::from([Check::failed(
                    "credentials",
                    error.to_string(),
                    "Start the server with the master key that the credentials were encrypted with \
                     (KABAR_MASTER_KEY), or give the account its credentials again.",
                )]);
            }
            (Ok(credentials), Platform::Telegram) => self.look_at_bot(account, &credentials).await,
            (Ok(credentials), _) => self.look_at_number(account, &credentials).await,
        };
        checks.push(last_webhook(account));
        checks
    }
}

/// When the provider last delivered anything.
fn last_webhook(account: &Account) -> Check {
    match account.last_event_at {
        Some(at) => Check::ok("last_webhook", format!("The last webhook came at {at}.")),
        None => Check::warning(
            "last_webhook",
            "No webhook has come yet.",
            "Write a message to it from a phone. If it does not show, mend what else is listed here.",
        ),
    }
}

/// The access token or bot token, as far as there is one.
fn token_of(credentials: &Credentials) -> &str {
    credentials.access_token.as_deref().or(credentials.bot_token.as_deref()).unwrap_or_default()
}
