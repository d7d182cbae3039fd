//! Webhooks to apps, as Standard Webhooks describes them.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kabar_domain::Timestamp;
use url::Url;

use crate::http::{Guard, Guarded, Refused};

/// For the whole of an attempt.
pub const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an answer that are read; people see its beginning.
const READ: usize = 1_024;
const SHOWN: usize = 256;

/// What signs an endpoint's webhooks: 24 to 64 bytes, written `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (24..=64).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// As people copy it into their app.
    pub fn text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// One signature, `v1,…`.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(context.sign().as_ref()))
    }
}

/// A webhook to deliver.
#[derive(Clone, Copy, Debug)]
pub struct Webhook<'a> {
    pub url: &'a Url,
    /// The same for every attempt; without full stops.
    pub id: &'a str,
    /// The time of this attempt.
    pub at: Timestamp,
    pub body: &'a str,
    /// During a rotation the old one too.
    pub secrets: &'a [Secret],
}

impl Webhook<'_> {
    fn signature(&self) -> String {
        let signatures = self.secrets.iter().map(|secret| secret.sign(self.id, self.at.as_unix(), self.body));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

/// What an endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub text: Option<String>,
}

/// Calls the addresses that users gave, and follows no redirect.
#[derive(Clone, Debug)]
pub struct Client(Guarded);

impl Client {
    pub fn new(guard: &Guard) -> Result<Self, reqwest::Error> {
        Ok(Self(Guarded::new(guard, TIMEOUT)?))
    }

    /// Checks what can be told of an address without looking its name up.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        self.0.client(url).map(|_| ())
    }

    /// Posts a webhook. An error is a sentence that says why there is no answer.
    pub async fn post(&self, webhook: &Webhook<'_>) -> Result<Answer, String> {
        let client = self.0.client(webhook.url).map_err(|refused| refused.to_string())?;
        let request = client
            .post(webhook.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", webhook.id)
            .header("webhook-timestamp", webhook.at.as_unix())
            .header("webhook-signature", webhook.signature())
            .body(webhook.body.to_owned());
        let mut response = request.send().await.map_err(|error| why(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| {
            let seconds = value.to_str().ok()?.trim().parse().ok()?;
            Some(Duration::from_secs(seconds))
        });
        let mut read = Vec::new();
        // A body that breaks off takes nothing from the answer.
        while let Ok(Some(chunk)) = response.chunk().await {
            read.extend_from_slice(&chunk);
            if read.len() >= READ {
                break;
            }
        }
        let text: String =
            String::from_utf8_lossy(&read).chars().filter(|letter| *letter != '\0').take(SHOWN).collect();
        Ok(Answer { status, retry_after, text: Some(text).filter(|text| !text.is_empty()) })
    }
}

fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("There was no answer within {} s.", TIMEOUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let what = if error.is_connect() { "No connection" } else { "No answer" };
    format!("{what}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_webhook_has_its_known_signature() {
        let secret = Secret::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").unwrap();
        assert_eq!(secret, Secret::new((0..24).collect::<Vec<u8>>()));
        let other = Secret::new([7; 32]);
        assert_eq!(Secret::parse(&other.text()), Some(other.clone()));
        let url = Url::parse("https://example.com/").unwrap();
        let secrets = [secret, other.clone()];
        let webhook = Webhook {
            url: &url,
            id: "msg_test1",
            at: Timestamp::from_unix(1_700_000_000),
            body: r#"{"type":"a.b","data":{"id":1}}"#,
            secrets: &secrets,
        };
        let signature = webhook.signature();
        let (first, second) = signature.split_once(' ').unwrap();
        assert_eq!(first, "v1,2p3J1SL3Z9k9sAGXMo27Yge39+47/gRatd3yZdKwpTs=");
        assert_eq!(second, other.sign(webhook.id, 1_700_000_000, webhook.body));
        for wrong in ["", "whsec_", "whsec_AAEC", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_is_not_encrypted_goes_to_allowed_networks_only() {
        let url = |text: &str| Url::parse(text).unwrap();
        let open = Client::new(&Guard::default()).unwrap();
        assert_eq!(open.check(&url("https://example.com/")), Ok(()));
        assert_eq!(open.check(&url("http://example.com/")), Err(Refused::Private));
        assert_eq!(open.check(&url("https://127.0.0.1/")), Err(Refused::Private));
        let own = Client::new(&Guard::new(vec!["10.0.0.0/8".parse().unwrap()])).unwrap();
        assert_eq!(own.check(&url("http://10.0.0.7/")), Ok(()));
        assert_eq!(own.check(&url("http://8.8.8.8/")), Err(Refused::Private));
        // A name is looked up when it is called.
        for client in [&open, &own] {
            let webhook = Webhook {
                url: &url("https://localhost:9/"),
                id: "evt_1",
                at: Timestamp::from_unix(1_700_000_000),
                body: "{}",
                secrets: &[],
            };
            let error = client.post(&webhook).await.unwrap_err();
            assert!(error.contains("not allowed"), "{error}");
        }
    }
}
