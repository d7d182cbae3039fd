//! What the engine is told at start.

use std::path::PathBuf;
use std::time::Duration;

pub use kabar_providers::ai::Service as ModelService;
pub use kabar_providers::http::IpNet;
pub use kabar_providers::neoleap::{Config as GatewayConfig, Key as GatewayKey};
pub use kabar_providers::sms::Config as SmsConfig;
pub use kabar_providers::smtp::Client as SmtpClient;
pub use kabar_providers::storage::{Place, S3};
use url::Url;

/// The engine's part of the configuration, checked.
#[derive(Clone)]
pub struct Config {
    /// Where the server keeps its files; the readiness check looks at the room there.
    pub data_dir: PathBuf,
    /// The base of webhook addresses.
    pub public_url: Url,
    /// Meta app secrets, any of which may sign (several apps, or a rotation).
    pub meta_app_secrets: Vec<String>,
    /// The app in whose name business accounts sign up, and Meta is given samples of templates' files. The first of
    /// `meta_app_secrets` is its.
    pub meta_app_id: Option<String>,
    /// The app's configuration of Meta's signup dialog.
    pub meta_config_id: Option<String>,
    pub whatsapp_verify_token: Option<String>,
    /// The shared secret of `/webhooks/telegram`; each bot also has its own.
    pub telegram_webhook_secret: Option<String>,
    pub meta_base_url: Url,
    pub telegram_base_url: Url,
    /// Private networks that addresses given by users may lead to.
    pub allowed_networks: Vec<IpNet>,
    /// The server that e-mails of notifications are handed to.
    pub smtp: Option<SmtpClient>,
    /// The service that sends SMS of notifications.
    pub sms: Option<SmsConfig>,
    /// The model service for organisations that want one and have none of their own.
    pub ai: Option<ModelService>,
    /// How long one answer of a model service may take.
    pub ai_timeout: Duration,
    /// What a million tokens cost, of questions and of answers, in whatever money.
    pub ai_prices: [f64; 2],
    /// How organisations pay for the use of this server; `None`: they do not.
    pub billing: Option<crate::billing::Settings>,
    /// Opens what the payment gateway sends, also when nothing has to be paid here; `None`: nothing is taken from it.
    pub payment_key: Option<kabar_providers::neoleap::Key>,
    /// Where files are kept.
    pub media: Place,
    /// Bytes of the largest file.
    pub media_max_bytes: u64,
    /// Days that applied webhook bodies are kept for replay.
    pub inbound_retention_days: u32,
    /// Days that events are kept for those who come back.
    pub event_retention_days: u32,
    /// A message whose answer was lost is listed for a person to decide when nothing settled it for so long.
    pub uncertain_after: Duration,
    /// Days that deliveries to webhook endpoints are kept.
    pub webhook_retention_days: u32,
    /// Webhooks delivered at the same time.
    pub webhook_concurrency: usize,
    /// Messages sent at the same time.
    pub outbound_concurrency: usize,
}

impl Config {
    /// With the default of everything that has one.
    pub fn new(data_dir: PathBuf, public_url: Url, meta_base_url: Url, telegram_base_url: Url) -> Self {
        Self {
            media: Place::Folder(data_dir.join("media")),
            media_max_bytes: 2 << 30,
            data_dir,
            public_url,
            meta_base_url,
            telegram_base_url,
            meta_app_secrets: Vec::new(),
            meta_app_id: None,
            meta_config_id: None,
            whatsapp_verify_token: None,
            telegram_webhook_secret: None,
            allowed_networks: Vec::new(),
            smtp: None,
            sms: None,
            ai: None,
            billing: None,
            payment_key: None,
            ai_timeout: Duration::from_secs(10),
            ai_prices: [0.0, 0.0],
            inbound_retention_days: 30,
            event_retention_days: 90,
            uncertain_after: Duration::from_mins(15),
            outbound_concurrency: 512,
            webhook_retention_days: 30,
            webhook_concurrency: 256,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("public_url", &self.public_url.as_str()).finish_non_exhaustive()
    }
}
