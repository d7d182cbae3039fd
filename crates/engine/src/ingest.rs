//! Webhooks in: prove who sent it, make the raw body durable, answer. What it says is the applier's matter.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use kabar_domain::message::Platform;
use kabar_domain::{AccountId, Timestamp};
use kabar_providers::{telegram, whatsapp};
use kabar_store::log::{AppendError, Entry};
use serde_json::Value;
use whatsapp::AppSecret;

use crate::engine::Engine;
use crate::error::{Error, Result};

/// Unknown signatures make us look for new accounts at most this often.
const RELOAD: Duration = Duration::from_secs(1);

/// The secrets that webhooks are proved with.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    global: Vec<AppSecret>,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// App secrets of single accounts.
    whatsapp: Vec<AppSecret>,
    telegram: Vec<TelegramBot>,
    loaded_at: Option<Timestamp>,
}

#[derive(Debug)]
struct TelegramBot {
    account: AccountId,
    secret: String,
}

/// Who a Telegram webhook is from.
enum Sender {
    Bot(AccountId),
    /// One of several: the server-wide secret does not say which.
    SomeBot,
}

impl Secrets {
    pub fn new(global: &[String]) -> Self {
        Self {
            global: global.iter().map(|secret| AppSecret::new(secret)).collect(),
            known: RwLock::default(),
        }
    }

    /// Whether it is the server's own secret. A process that was given none (the command line) takes every
    /// secret for it that is no account's: what is in the log was verified when it came.
    pub fn is_global(&self, fingerprint: i64) -> bool {
        if self.global.is_empty() {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            return !known.whatsapp.iter().any(|secret| secret.fingerprint() == fingerprint);
        }
        self.global.iter().any(|secret| secret.fingerprint() == fingerprint)
    }

    /// Fingerprint of the secret that signed `body`.
    fn signer(&self, header: &str, body: &[u8]) -> Option<i64> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        self.global
            .iter()
            .chain(&known.whatsapp)
            .find(|secret| secret.verify(header, body))
            .map(AppSecret::fingerprint)
    }

    /// The bot whose own secret this is, among all or one.
    fn bot(&self, secret: &str, only: Option<AccountId>) -> Option<AccountId> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .telegram
            .iter()
            .filter(|bot| only.is_none_or(|only| only == bot.account))
            .find(|bot| telegram::secret_matches(secret, &bot.secret))
            .map(|bot| bot.account)
    }

    /// All bots; the server-wide secret alone does not say which one called.
    fn bots(&self) -> Vec<AccountId> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.telegram.iter().map(|bot| bot.account).collect()
    }
}

impl Engine {
    /// Loads the accounts' secrets, and applies what waited for an account. Call it after every change of one.
    pub async fn accounts_changed(&self) {
        if let Err(error) = self.load_secrets().await {
            tracing::error!(%error, "webhook secrets could not be loaded");
        }
        self.claim_wanted.notify_one();
    }

    pub(crate) async fn load_secrets(&self) -> Result<()> {
        let mut whatsapp = Vec::new();
        let mut telegram = Vec::new();
        for row in kabar_store::accounts::credentials(&mut self.store.reader().await?).await? {
            let credentials = match self.open_credentials(row.organisation_id, row.id, &row.credentials) {
                Ok(credentials) => credentials,
                Err(error) => {
                    tracing::error!(account = %row.id, %error, "its webhooks cannot be verified");
                    continue;
                }
            };
            whatsapp.extend(credentials.app_secret.as_deref().map(AppSecret::new));
            whatsapp.extend(credentials.previous_app_secret.as_deref().map(AppSecret::new));
            if row.platform == Platform::Telegram
                && let Some(secret) = credentials.webhook_secret
            {
                telegram.push(TelegramBot { account: row.id, secret });
            }
        }
        let mut seen = std::collections::HashSet::new();
        whatsapp.retain(|secret| seen.insert(secret.fingerprint()));
        let mut known = self.secrets.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Known { whatsapp, telegram, loaded_at: Some(self.clock.now()) };
        Ok(())
    }

    /// Another node may have registered an account meanwhile. Whether it was worth looking.
    async fn reload_secrets(&self) -> bool {
        let loaded_at = self.secrets.known.read().unwrap_or_else(PoisonError::into_inner).loaded_at;
        if loaded_at.is_some_and(|at| self.clock.now() < at.plus(RELOAD)) {
            return false;
        }
        self.load_secrets().await.is_ok()
    }

    /// Answers Meta's handshake: the challenge, when the verify token is ours.
    pub fn verify_whatsapp(&self, mode: Option<&str>, token: Option<&str>) -> Result<()> {
        let Some(expected) = self.config.whatsapp_verify_token.as_deref() else {
            return Err(Error::Forbidden(
                "No verify token is configured: set WHATSAPP_VERIFY_TOKEN and start again.".into(),
            ));
        };
        if whatsapp::verify_challenge(mode, token, expected) {
            Ok(())
        } else {
            Err(Error::Forbidden("The verify token is not the one this server was started with.".into()))
        }
    }

    /// Takes a WhatsApp webhook. Returns once it is on disk.
    pub async fn accept_whatsapp(&self, signature: Option<&str>, body: Vec<u8>) -> Result<()> {
        let header = signature.unwrap_or_default();
        let mut signer = self.secrets.signer(header, &body);
        if signer.is_none() && !header.is_empty() && self.reload_secrets().await {
            signer = self.secrets.signer(header, &body);
        }
        let Some(fingerprint) = signer else {
            self.metrics.refused(Platform::Whatsapp, "signature");
            return Err(Error::Forbidden(
                "The X-Hub-Signature-256 header does not match the body under any known app secret.".into(),
            ));
        };
        self.accept(Platform::Whatsapp, None, Some(fingerprint), body).await
    }

    /// Takes a Telegram webhook, at the common address or at one bot's own (`account`). What Telegram is asked to do
    /// with the answer, if anything.
    pub async fn accept_telegram(
        &self,
        account: Option<&str>,
        secret: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Option<Value>> {
        let secret = secret.unwrap_or_default();
        let mut from = self.telegram_sender(account, secret);
        if from.is_none() && !secret.is_empty() && self.reload_secrets().await {
            from = self.telegram_sender(account, secret);
        }
        let account = match from {
            Some(Sender::Bot(account)) => Some(account),
            Some(Sender::SomeBot) => None,
            None => {
                self.metrics.refused(Platform::Telegram, "secret");
                return Err(Error::Forbidden(
                    "The X-Telegram-Bot-Api-Secret-Token header is not the secret of this address.".into(),
                ));
            }
        };
        let reply = telegram::reply(&body);
        self.accept(Platform::Telegram, account, None, body).await?;
        Ok(reply)
    }

    /// `Some` when the secret is right.
    fn telegram_sender(&self, account: Option<&str>, secret: &str) -> Option<Sender> {
        let global = self
            .config
            .telegram_webhook_secret
            .as_deref()
            .is_some_and(|own| telegram::secret_matches(secret, own));
        if let Some(account) = account {
            let account: AccountId = account.parse().ok()?;
            let is_known = self.secrets.bots().contains(&account);
            return (is_known && global || self.secrets.bot(secret, Some(account)).is_some())
                .then_some(Sender::Bot(account));
        }
        if let Some(account) = self.secrets.bot(secret, None) {
            return Some(Sender::Bot(account));
        }
        global.then(|| match self.secrets.bots().as_slice() {
            [only] => Sender::Bot(*only),
            _ => Sender::SomeBot,
        })
    }

    pub(crate) async fn accept(
        &self,
        source: Platform,
        account_id: Option<AccountId>,
        signed_by: Option<i64>,
        body: Vec<u8>,
    ) -> Result<()> {
        let entry = Entry { received_at: self.clock.now(), source, account_id, signed_by, body };
        let Some(log) = self.log.get() else {
            return Err(Error::Unavailable("The server is starting; try again in a moment.".into()));
        };
        match log.append(entry).await {
            Ok(()) => {
                self.metrics.acknowledged(source);
                Ok(())
            }
            Err(AppendError::Busy) => {
                self.metrics.refused(source, "busy");
                Err(Error::Unavailable(
                    "More webhooks wait than fit in memory; send it again in a moment.".into(),
                ))
            }
            Err(AppendError::Failed(reason)) => {
                self.metrics.refused(source, "not_durable");
                tracing::debug!(reason, "a webhook was refused");
                Err(Error::Unavailable("The webhook could not be made durable; send it again.".into()))
            }
        }
    }
}
