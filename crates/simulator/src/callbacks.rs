//! Webhook calls: when they are due, who makes them, and how often a refused one is tried again.
//!
//! One task keeps the calendar. A fixed number of workers make the calls over kept-alive connections; everything
//! for one recipient goes to the same worker, so statuses arrive in order unless a fault asks otherwise.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::config::Config;
use crate::state::{Inner, Provider};
use crate::statuses::StatusJob;

/// The `X-Hub-Signature-256` header of a body: HMAC-SHA256 over its bytes, keyed with the app secret.
pub fn signature(app_secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, app_secret.as_bytes()), body);
    tag.as_ref().iter().fold(String::from("sha256="), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
        text
    })
}

/// JSON as Meta puts it on the wire: everything outside ASCII as `\uXXXX`, and `/` as `\/`. A receiver that
/// decodes and encodes again before it checks the signature fails on it.
pub(crate) fn wire_form(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let mut wire = String::with_capacity(text.len() + 64);
    let mut units = [0u16; 2];
    for c in text.chars() {
        match c {
            '/' => wire.push_str("\\/"),
            c if c.is_ascii() => wire.push(c),
            c => {
                for unit in c.encode_utf16(&mut units) {
                    wire.push_str("\\u");
                    for shift in [12, 8, 4, 0] {
                        wire.push(char::from(b"0123456789abcdef"[usize::from((*unit >> shift) & 15)]));
                    }
                }
            }
        }
    }
    wire.into_bytes()
}

/// One HTTP call to a webhook.
pub(crate) struct Post {
    pub provider: Provider,
    pub url: Url,
    pub body: Bytes,
    pub header: Option<(&'static str, String)>,
    /// The bot whose health the outcome concerns.
    pub bot: Option<String>,
    /// Attempts already made.
    pub attempts: usize,
    pub lane: u64,
}

impl Post {
    /// A signed call of the WhatsApp webhook.
    pub(crate) fn whatsapp(url: Url, app_secret: &str, body: Vec<u8>, lane: u64) -> Self {
        let signature = signature(app_secret, &body);
        Self {
            provider: Provider::Whatsapp,
            url,
            body: body.into(),
            header: Some(("X-Hub-Signature-256", signature)),
            bot: None,
            attempts: 0,
            lane,
        }
    }

    /// Meta counts only 200; Telegram any 2xx.
    fn is_success(&self, status: u16) -> bool {
        match self.provider {
            Provider::Whatsapp => status == 200,
            Provider::Telegram => (200..300).contains(&status),
        }
    }
}

pub(crate) enum Job {
    Status(Box<StatusJob>),
    Post(Box<Post>),
}

impl Job {
    fn lane(&self) -> u64 {
        match self {
            Self::Status(job) => job.lane,
            Self::Post(post) => post.lane,
        }
    }
}

/// The worker lane of a recipient or sender.
pub(crate) fn lane(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

struct Due {
    at: Instant,
    order: u64,
    job: Job,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
/// Reversed: the heap's greatest is the earliest due.
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

pub(crate) struct Callbacks {
    client: Option<reqwest::Client>,
    workers: usize,
    calendar: OnceLock<mpsc::UnboundedSender<(Instant, Job)>>,
}

impl Callbacks {
    pub(crate) fn new(config: &Config) -> Self {
        let workers = config.callback_workers.clamp(1, 1024);
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(workers)
            .build();
        if let Err(error) = &client {
            tracing::error!(%error, "no HTTP client: webhooks will not be called");
        }
        Self { client: client.ok(), workers, calendar: OnceLock::new() }
    }

    pub(crate) fn client(&self) -> Option<&reqwest::Client> {
        self.client.as_ref()
    }
}

impl Inner {
    /// Puts jobs on the calendar. The tasks behind it start with the first one and end with the simulator.
    pub(crate) fn schedule(self: &Arc<Self>, delay: Duration, job: Job) {
        let calendar = self.callbacks.calendar.get_or_init(|| start(self));
        if calendar.send((Instant::now() + delay, job)).is_err() {
            tracing::warn!("callback calendar has ended");
        }
    }

    /// Makes one call now: the HTTP status and the answer's body, or why there was none.
    pub(crate) async fn post(&self, post: &Post) -> Result<(u16, Bytes), String> {
        let client = self.callbacks.client().ok_or("no HTTP client")?;
        let timeout = Duration::from_millis(self.config().callback_timeout_ms);
        let mut request = client
            .post(post.url.clone())
            .header("Content-Type", "application/json")
            .timeout(timeout)
            .body(post.body.clone());
        if let Some((name, value)) = &post.header {
            request = request.header(*name, value);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        // Reading to the end lets the connection be used again.
        let body = answer.bytes().await.map_err(|error| error.to_string())?;
        Ok((status, body))
    }

    /// Makes one call now and, when it fails, puts the next attempt on the calendar.
    pub(crate) async fn deliver(self: &Arc<Self>, mut post: Post) -> Result<u16, String> {
        let (outcome, answer) = match self.post(&post).await {
            Ok((status, body)) => (Ok(status), body),
            Err(reason) => (Err(reason), Bytes::new()),
        };
        let failed = !outcome.as_ref().is_ok_and(|status| post.is_success(*status));
        let pause = self.config().retry_delays_ms.get(post.attempts).copied().filter(|_| failed);
        if let Some(token) = &post.bot {
            let reason = failed.then(|| match &outcome {
                Ok(status) => format!("Wrong response from the webhook: {status}"),
                Err(reason) => reason.clone(),
            });
            self.telegram().note_delivery(token, post.attempts, reason, pause.is_some());
            if !failed {
                crate::telegram::carry_out(self, token, answer).await;
            }
        }
        if let Some(pause) = pause {
            post.attempts += 1;
            self.schedule(Duration::from_millis(pause), Job::Post(Box::new(post)));
        } else if failed {
            tracing::warn!(url = %post.url, ?outcome, attempts = post.attempts + 1, "webhook given up");
        }
        outcome
    }
}

fn start(inner: &Arc<Inner>) -> mpsc::UnboundedSender<(Instant, Job)> {
    let (calendar, jobs) = mpsc::unbounded_channel();
    let lanes = (0..inner.callbacks.workers)
        .map(|_| {
            let (lane, work) = mpsc::unbounded_channel();
            tokio::spawn(worker(Arc::downgrade(inner), work));
            lane
        })
        .collect();
    tokio::spawn(keep_calendar(jobs, lanes));
    calendar
}

async fn keep_calendar(
    mut jobs: mpsc::UnboundedReceiver<(Instant, Job)>,
    lanes: Vec<mpsc::UnboundedSender<Job>>,
) {
    let mut heap = BinaryHeap::new();
    let mut order = 0;
    let mut arrived = Vec::new();
    loop {
        let next = heap.peek().map(|due: &Due| due.at);
        tokio::select! {
            count = jobs.recv_many(&mut arrived, 256) => {
                if count == 0 {
                    return;
                }
                for (at, job) in arrived.drain(..) {
                    order += 1;
                    heap.push(Due { at, order, job });
                }
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
        let now = Instant::now();
        while heap.peek().is_some_and(|due| due.at <= now) {
            if let Some(Due { job, .. }) = heap.pop() {
                let lane = (job.lane() % lanes.len() as u64) as usize;
                if lanes[lane].send(job).is_err() {
                    return;
                }
            }
        }
    }
}

/// Makes the calls of one lane. It holds the simulator only while it works, so that dropping the last
/// `Simulator` closes the channels and ends the tasks.
async fn worker(inner: Weak<Inner>, mut work: mpsc::UnboundedReceiver<Job>) {
    let mut jobs = Vec::new();
    loop {
        let batch = match inner.upgrade() {
            Some(inner) => inner.config().status_batch.clamp(1, 1000),
            None => return,
        };
        if work.recv_many(&mut jobs, batch).await == 0 {
            return;
        }
        let Some(inner) = inner.upgrade() else { return };
        let mut statuses = Vec::new();
        for job in jobs.drain(..) {
            match job {
                Job::Status(status) => statuses.push(*status),
                Job::Post(post) => {
                    drop(inner.deliver(*post).await);
                }
            }
        }
        for post in inner.status_posts(&statuses) {
            drop(inner.deliver(post).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with another implementation of HMAC-SHA256.
    #[test]
    fn signature_matches_the_published_vector() {
        let body = concat!(
            r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":{"t":"#,
            r#""\u0645\u0631\u062d\u0628\u0627 https:\/\/a.b"},"field":"messages"}]}]}"#
        );
        assert_eq!(body.len(), 153);
        assert_eq!(
            signature("test_app_secret", body.as_bytes()),
            "sha256=ab078cf2117b6dc6b6cefa2a687ead0ad0e29201ee991ab84b5b90648dd6e796"
        );
    }

    #[test]
    fn wire_form_escapes_what_meta_escapes() {
        let wire = wire_form(&serde_json::json!({"t": "مر/😀"}));
        assert_eq!(String::from_utf8(wire).unwrap(), r#"{"t":"\u0645\u0631\/\ud83d\ude00"}"#);
    }
}
