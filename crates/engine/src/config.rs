//! What the engine is told at start.

use std::path::PathBuf;

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
    pub whatsapp_verify_token: Option<String>,
    /// The shared secret of `/webhooks/telegram`; each bot also has its own.
    pub telegram_webhook_secret: Option<String>,
    pub meta_base_url: Url,
    pub telegram_base_url: Url,
    /// Days that applied webhook bodies are kept for replay.
    pub inbound_retention_days: u32,
    /// Messages sent at the same time.
    pub outbound_concurrency: usize,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("public_url", &self.public_url.as_str()).finish_non_exhaustive()
    }
}
