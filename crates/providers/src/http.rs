//! The one HTTP client for calls to providers.

use std::time::Duration;

/// A client for provider endpoints the operator configured: pooled, with timeouts, no redirects followed.
/// `timeout` bounds a whole call; connecting alone is bounded by ten seconds.
pub fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("kabar/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(Duration::from_mins(1))
        .build()
}
