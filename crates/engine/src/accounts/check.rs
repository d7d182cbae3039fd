//! Asking the provider how an account stands.

use std::time::Duration;

use kabar_domain::channel::ChannelStatus;
use kabar_domain::message::{Platform, ProviderError};
use kabar_domain::outbound::{SendFailure, Verdict};
use kabar_store::accounts::{self, Check};
use kabar_store::events::NewEvent;
use serde_json::json;

use super::Account;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::Result;
use crate::rules;
use crate::templates::ask_sync;

/// Longer than that nobody waits for a registration; the next change of the account asks again.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the account's settings say it may send in a second, `messages_per_second`.
fn wanted_rate(account: &Account) -> Option<i64> {
    account.settings.get("messages_per_second")?.as_i64().filter(|rate| (1..=1_000).contains(rate))
}

/// A refusal disconnects; an answer that did not come leaves a connected account as it is.
fn failed(before: ChannelStatus, failure: &SendFailure) -> Check {
    let status = match failure.verdict {
        Verdict::PauseAccount | Verdict::Fail => ChannelStatus::Disconnected,
        _ if before == ChannelStatus::Connected => before,
        _ => ChannelStatus::Pending,
    };
    Check { status: Some(status), last_error: Some(failure.error.sentence()), ..Check::default() }
}

/// The account works, but its webhooks may not come.
fn unsubscribed(before: ChannelStatus, mut check: Check, failure: &SendFailure) -> Check {
    if before != ChannelStatus::Connected || !failure.verdict.is_temporary() {
        check.status = Some(ChannelStatus::Pending);
    }
    check.last_error = Some(format!("Webhooks are not set up. {}", failure.error.sentence()));
    check
}

impl Engine {
    /// Asks the provider and writes down what it says; with `templates`, those of a connected number are read next.
    /// Called outside any transaction.
    pub(crate) async fn check_account(
        &self,
        account: &Account,
        credentials: &Credentials,
        templates: bool,
    ) -> Result<()> {
        let asked = async {
            match account.platform {
                Platform::Telegram => self.ask_telegram(account, credentials).await,
                Platform::Whatsapp | Platform::Widget | Platform::Other => {
                    self.ask_whatsapp(account, credentials).await
                }
            }
        };
        let check = tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            let title = "The provider did not answer in time".to_owned();
            let error = ProviderError { title, ..ProviderError::default() };
            failed(account.status, &SendFailure { error, verdict: Verdict::Uncertain })
        });
        if let Some(error) = &check.last_error {
            tracing::warn!(account = %account.id, platform = %account.platform, error, "an account is not in order");
        }
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        accounts::record_check(&mut tx, account.organisation_id, account.id, &check, now).await?;
        if check.status.is_some_and(|status| status != account.status) {
            let data = json!({ "status": check.status });
            let event = NewEvent {
                kind: "messaging_account.updated",
                subject_id: Some(account.id.uuid()),
                data: Some(data.to_string()),
            };
            tx.record(account.organisation_id, now, vec![event]);
        }
        if let (true, Some(ChannelStatus::Connected), Some(waba_id)) =
            (templates, check.status, &account.waba_id)
        {
            ask_sync(self, &mut tx, account.organisation_id, waba_id, now, Duration::ZERO).await?;
        }
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(())
    }

    async fn ask_whatsapp(&self, account: &Account, credentials: &Credentials) -> Check {
        let token = credentials.access_token.as_deref().unwrap_or_default();
        let number = match self.whatsapp.number(&account.external_id, token).await {
            Ok(number) => number,
            Err(failure) => return failed(account.status, &failure),
        };
        let (status, last_error) = match number.status.as_deref() {
            None | Some("CONNECTED") => (ChannelStatus::Connected, None),
            Some(word @ ("PENDING" | "UNVERIFIED" | "MIGRATED" | "UNKNOWN")) => {
                (ChannelStatus::Pending, Some(format!("WhatsApp reports the number as {word}.")))
            }
            Some(word) => {
                (ChannelStatus::Disconnected, Some(format!("WhatsApp reports the number as {word}.")))
            }
        };
        let check = Check {
            status: Some(status),
            phone_digits: number.display_phone_number.as_deref().and_then(rules::phone_digits),
            phone_number: number.display_phone_number,
            verified_name: number.verified_name,
            quality: number.quality_rating,
            messages_per_second: wanted_rate(account).or(match number.throughput_level.as_deref() {
                _ if number.is_on_biz_app => Some(20),
                Some("STANDARD") => Some(80),
                Some("HIGH") => Some(1_000),
                _ => None,
            }),
            messaging_limit: number.messaging_limit,
            last_error,
            ..Check::default()
        };
        let Some(waba_id) = &account.waba_id else { return check };
        match self.whatsapp.subscribe(waba_id, token).await {
            Ok(()) => check,
            Err(failure) => unsubscribed(account.status, check, &failure),
        }
    }

    async fn ask_telegram(&self, account: &Account, credentials: &Credentials) -> Check {
        let token = credentials.bot_token.as_deref().unwrap_or_default();
        let bot = match self.telegram.me(token).await {
            Ok(bot) => bot,
            Err(failure) => return failed(account.status, &failure),
        };
        let check = Check {
            status: Some(ChannelStatus::Connected),
            username: bot.username,
            verified_name: Some(bot.first_name),
            messages_per_second: Some(wanted_rate(account).unwrap_or(30)),
            ..Check::default()
        };
        let url = self.webhook_url(account.platform, account.id);
        let secret = credentials.webhook_secret.as_deref().unwrap_or_default();
        match self.telegram.set_webhook(token, &url, secret).await {
            Ok(()) => Check { webhook_verified: true, ..check },
            Err(failure) => unsubscribed(account.status, check, &failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(verdict: Verdict) -> SendFailure {
        let error = ProviderError {
            code: 190,
            title: "Access token expired".into(),
            detail: Some("Session has expired.".into()),
            action: Some("Make a new token.".into()),
        };
        SendFailure { error, verdict }
    }

    #[test]
    fn a_refusal_disconnects_and_silence_does_not() {
        let connected = ChannelStatus::Connected;
        let refused = failed(connected, &failure(Verdict::PauseAccount));
        assert_eq!(refused.status, Some(ChannelStatus::Disconnected));
        assert_eq!(
            refused.last_error.as_deref(),
            Some("Access token expired: Session has expired. Make a new token.")
        );
        assert_eq!(failed(connected, &failure(Verdict::Uncertain)).status, Some(connected));
        let pending = ChannelStatus::Pending;
        assert_eq!(failed(pending, &failure(Verdict::Retry { after: None })).status, Some(pending));
    }
}
