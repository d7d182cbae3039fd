//! One attempt to deliver one event: what is posted, and what the answer means.

use std::time::Duration;

use kabar_domain::{Ability, Timestamp, WebhookEndpointId};
use kabar_providers::webhooks::{Answer, Secret, Webhook};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::Result;
use crate::events::Event;

/// Waits before the second to the tenth attempt; with them an event is attempted for about three days.
const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// What is added to a wait at most, as a part of it.
const JITTER: f64 = 0.1;
/// Longest wait that an endpoint can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// An attempt, as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub at: Timestamp,
    /// Of the answer.
    pub status: Option<u16>,
    pub latency_ms: u64,
    /// Why there was no answer.
    pub error: Option<String>,
    /// The beginning of the answer's body, when it is no success.
    pub response: Option<String>,
}

impl Attempt {
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// A line of the log.
    pub(super) fn line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// How a test of an endpoint went.
#[derive(Clone, Debug)]
pub struct Tested {
    pub webhook_id: String,
    pub attempt: Attempt,
}

/// An attempt and what it says of the next one.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub attempt: Attempt,
    /// How long the endpoint wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Made {
    /// The endpoint is gone for good.
    pub fn is_gone(&self) -> bool {
        self.attempt.status == Some(410)
    }
}

/// The wait after failed attempt number `attempts`, `unit` from 0 to 1; none when it was the last.
pub(super) fn wait_after(attempts: i64, unit: f64) -> Option<Duration> {
    let wait = WAITS.get(usize::try_from(attempts - 1).ok()?)?;
    Some(wait.mul_f64(1.0 + JITTER * unit))
}

/// What is posted of an event: the bytes that are signed.
pub(super) fn payload(event: &Event) -> String {
    format!(
        r#"{{"type":"{}","timestamp":"{}","seq":{},"data":{}}}"#,
        event.kind,
        event.at,
        event.seq,
        event.data.get()
    )
}

impl Engine {
    pub(super) async fn attempt_webhook(&self, url: &str, id: &str, body: &str, secrets: &[Secret]) -> Made {
        let at = self.clock.now();
        let begun = tokio::time::Instant::now();
        let answered = match Url::parse(url) {
            Ok(url) => {
                let webhook = Webhook { url: &url, id, at, body, secrets };
                self.webhooks.post(&webhook).await
            }
            Err(error) => Err(error.to_string()),
        };
        let latency_ms = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let (status, error, response, retry_after) = match answered {
            Ok(Answer { status, retry_after, text }) => {
                (Some(status), None, text, retry_after.filter(|_| matches!(status, 429 | 502 | 503 | 504)))
            }
            Err(why) => (None, Some(why), None, None),
        };
        let mut attempt = Attempt { at, status, latency_ms, error, response };
        if attempt.succeeded() {
            attempt.response = None;
        }
        Made { attempt, retry_after: retry_after.map(|wait| wait.min(LONGEST_RETRY_AFTER)) }
    }

    /// Posts a `webhook.test` at once and says how it went. It is no event and is not repeated.
    pub async fn test_webhook_endpoint(
        &self,
        principal: &Principal,
        id: WebhookEndpointId,
    ) -> Result<Tested> {
        principal.require(Ability::Admin)?;
        let endpoint = self.webhook_endpoint(principal, id).await?;
        let now = self.clock.now();
        let secrets = self.open_webhook_secrets(endpoint.organisation_id, id, &endpoint.secrets)?;
        let number = kabar_domain::WebhookDeliveryId::from_uuid(Uuid::from_bytes(crate::crypto::random()?));
        let webhook_id = format!("evt_{number}");
        let body = format!(
            r#"{{"type":"webhook.test","timestamp":"{now}","data":{{"webhook_endpoint_id":"{id}"}}}}"#
        );
        let made = self.attempt_webhook(&endpoint.url, &webhook_id, &body, &secrets.signing(now)).await;
        Ok(Tested { webhook_id, attempt: made.attempt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_attempted_ten_times_in_three_days() {
        let waits: Vec<_> = (1..).map_while(|attempts| wait_after(attempts, 0.0)).collect();
        assert_eq!(waits.len() + 1, 10);
        assert_eq!(waits.iter().sum::<Duration>().as_secs(), 75 * 3_600 + 35 * 60 + 5);
        assert_eq!(wait_after(3, 1.0), Some(Duration::from_mins(33)));
    }
}
