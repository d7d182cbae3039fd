//! What the simulator pretends to be: which numbers and bots exist, and where their webhooks go.

use serde::{Deserialize, Serialize};
use url::Url;

/// The whole configuration. Every field has a default, so a test names only what it cares about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base of the media URLs handed out, e.g. `http://127.0.0.1:9000`. When absent, the `Host` header of the
    /// request decides.
    pub public_base: Option<String>,
    /// The app's callback URL. `None`: statuses and inbound messages are recorded but not posted.
    pub webhook_whatsapp: Option<Url>,
    /// Key of `X-Hub-Signature-256`, and the `client_secret` of the OAuth exchange.
    pub app_secret: String,
    /// Sent as `hub.verify_token` when the simulator plays the subscription handshake.
    pub verify_token: Option<String>,
    /// Whether an accepted message reports `sent`, `delivered` and `read` by itself.
    pub auto_statuses: bool,
    /// Milliseconds from acceptance to `sent`, `delivered` and `read`.
    pub status_delays_ms: [u64; 3],
    /// How many statuses one webhook body may carry. 1: each has its own.
    pub status_batch: usize,
    /// How many callbacks may be in flight. Fixed once the first one is scheduled.
    pub callback_workers: usize,
    /// How long a callback waits for the webhook's answer.
    pub callback_timeout_ms: u64,
    /// Pauses before the second, third, … attempt at a callback that was not answered with success. The list's
    /// end is the end of the attempts.
    pub retry_delays_ms: Vec<u64>,
    /// How many sent messages, and how many requests, are remembered.
    pub keep: usize,
    /// WhatsApp messages a number may send in a second before 130429; Meta's default is 80. `None`: any number.
    pub messages_per_second: Option<u32>,
    /// WhatsApp messages to one person at once before 131056, regained at one in six seconds; Meta's is 45.
    pub pair_burst: Option<u32>,
    /// Telegram messages to one chat at once before 429, regained at one in a second.
    pub chat_burst: Option<u32>,
    /// Whether a free-form message needs an inbound one of the same person in the last 24 hours (131047).
    pub enforce_window: bool,
    /// Whether a template that the business account does not have may be sent. Meta answers 132001.
    pub unknown_templates: bool,
    /// The status a newly created template gets. Meta often answers `PENDING` first.
    pub new_template_status: String,
    pub numbers: Vec<Number>,
    pub bots: Vec<Bot>,
    /// Of the payment gateway.
    pub neoleap: crate::neoleap::Terminal,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_base: None,
            webhook_whatsapp: None,
            app_secret: "simulator-app-secret".to_owned(),
            verify_token: None,
            auto_statuses: true,
            status_delays_ms: [20, 60, 120],
            status_batch: 1,
            callback_workers: 64,
            callback_timeout_ms: 10_000,
            retry_delays_ms: vec![0, 500, 2_000, 5_000, 10_000],
            keep: 200_000,
            messages_per_second: None,
            pair_burst: None,
            chat_burst: None,
            enforce_window: false,
            unknown_templates: false,
            new_template_status: "APPROVED".to_owned(),
            numbers: Vec::new(),
            bots: Vec::new(),
            neoleap: crate::neoleap::Terminal::default(),
        }
    }
}

/// A WhatsApp business number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    pub phone_number_id: String,
    pub waba_id: String,
    pub display_phone_number: String,
    pub verified_name: String,
    pub access_token: String,
}

/// A Telegram bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bot {
    /// `<bot id>:<secret>`.
    pub token: String,
    pub username: String,
    pub first_name: String,
}

impl Bot {
    /// The bot's user id: the token's part before the colon. 0 when that is not a number.
    pub fn id(&self) -> i64 {
        self.token.split(':').next().and_then(|id| id.parse().ok()).unwrap_or(0)
    }
}
