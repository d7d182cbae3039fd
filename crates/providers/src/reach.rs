//! Our own address, asked as a provider would ask it; and what time it is elsewhere.

use std::time::Duration;

use kabar_domain::Timestamp;
use reqwest::header::{DATE, LOCATION};
use url::Url;

/// What answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Its beginning.
    pub body: String,
    /// Where it leads on to.
    pub location: Option<String>,
}

/// Why nothing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The certificate does not hold, or there is no TLS.
    Tls(String),
    Slow,
    Other(String),
}

/// Asks addresses that the operator configured.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a body that are looked at.
const LOOK: usize = 4096;

impl Client {
    /// Redirects are not to be followed by `http`: providers do not follow them either.
    pub const fn new(http: reqwest::Client) -> Self {
        Self(http)
    }

    pub async fn get(&self, url: Url) -> Result<Answer, Unreached> {
        let mut response = self.0.get(url).timeout(PATIENCE).send().await.map_err(unreached)?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.map(str::to_owned);
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while body.len() < LOOK
            && let Some(chunk) = response.chunk().await.map_err(unreached)?
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(LOOK);
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), location })
    }

    /// What time it is there, by the answer's `Date`, to the second.
    pub async fn time(&self, url: Url) -> Option<Timestamp> {
        let response = self.0.head(url).timeout(PATIENCE).send().await.ok()?;
        let date = httpdate::parse_http_date(response.headers().get(DATE)?.to_str().ok()?).ok()?;
        let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?))
    }
}

fn unreached(error: reqwest::Error) -> Unreached {
    if error.is_timeout() {
        return Unreached::Slow;
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    let mut is_tls = false;
    while let Some(deeper) = cause.source() {
        cause = deeper;
        let text = cause.to_string();
        is_tls |= ["certificate", "TLS", "tls", "handshake", "corrupt message"]
            .iter()
            .any(|word| text.contains(word));
    }
    let text = cause.to_string();
    if is_tls { Unreached::Tls(text) } else { Unreached::Other(text) }
}
