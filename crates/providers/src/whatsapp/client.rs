//! Calls to the Graph API.

use std::time::Duration;

use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::ProviderError;
use kabar_domain::outbound::{Accepted, OutboundMessage, SendFailure, Verdict};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response};
use serde_json::{Map, Value};
use url::Url;

use super::{classify, describe, payload};

/// The Graph API's version all calls name.
pub const VERSION: &str = "v24.0";

/// Bytes of an answer that are read; a longer one is not the Graph API's.
const ANSWER_LIMIT: usize = 1 << 20;

/// The Graph API at one address, for every account. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) base: Url,
}

/// What WhatsApp says of one of our numbers. Absent is what it did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberInfo {
    pub display_phone_number: Option<String>,
    pub verified_name: Option<String>,
    /// GREEN, YELLOW, RED or UNKNOWN.
    pub quality_rating: Option<String>,
    /// `CONNECTED`, `DISCONNECTED`, `BANNED`, …
    pub status: Option<String>,
    /// `STANDARD` (80 messages a second) or `HIGH` (1,000).
    pub throughput_level: Option<String>,
    /// `TIER_…`: people the business may write to first within 24 hours.
    pub messaging_limit: Option<String>,
    /// It stays in the WhatsApp Business app beside the Cloud API.
    pub is_on_biz_app: bool,
}

impl Client {
    /// `base` is the API's address without the version, `https://graph.facebook.com`.
    pub const fn new(http: reqwest::Client, base: Url) -> Self {
        Self { http, base }
    }

    /// Sends one message. An answer that was lost is [`Verdict::Uncertain`]: WhatsApp has no idempotency key.
    pub async fn send(
        &self,
        phone_number_id: &str,
        access_token: &str,
        message: &OutboundMessage,
    ) -> Result<Accepted, SendFailure> {
        let body = payload(message).map_err(|refused| SendFailure {
            error: ProviderError {
                title: "The message cannot be sent over WhatsApp".to_owned(),
                detail: Some(refused.reason),
                action: Some("Change the message and send it again.".to_owned()),
                ..ProviderError::default()
            },
            verdict: Verdict::Fail,
        })?;
        let request = self.http.post(self.url(&[phone_number_id, "messages"])).json(&body);
        let answer = call(request, access_token).await.map_err(of_number)?;
        accepted(&answer).ok_or_else(|| {
            lost("The answer names no message", "WhatsApp answered, but without a message id.".to_owned())
        })
    }

    /// Asks about one of our numbers.
    pub async fn number(&self, phone_number_id: &str, access_token: &str) -> Result<NumberInfo, SendFailure> {
        let mut url = self.url(&[phone_number_id]);
        url.query_pairs_mut().append_pair(
            "fields",
            "display_phone_number,verified_name,quality_rating,status,throughput,\
             whatsapp_business_manager_messaging_limit,is_on_biz_app",
        );
        let answer = call(self.http.get(url), access_token).await.map_err(repeatable)?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(NumberInfo {
            display_phone_number: text("display_phone_number"),
            verified_name: text("verified_name"),
            quality_rating: text("quality_rating"),
            status: text("status"),
            throughput_level: answer
                .get("throughput")
                .and_then(|throughput| throughput.get("level")?.as_str())
                .map(str::to_owned),
            messaging_limit: text("whatsapp_business_manager_messaging_limit"),
            is_on_biz_app: answer.get("is_on_biz_app") == Some(&Value::Bool(true)),
        })
    }

    /// Has the business account's webhooks delivered to the token's app.
    pub async fn subscribe(&self, waba_id: &str, access_token: &str) -> Result<(), SendFailure> {
        let request = self.http.post(self.url(&[waba_id, "subscribed_apps"]));
        call(request, access_token).await.map(drop).map_err(repeatable)
    }

    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only an address without a host has no path; the request itself then says what is wrong.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(VERSION).extend(path);
        }
        url
    }
}

/// The only object a message is posted to is the number: when that is not there for us, nothing can be sent over it.
fn of_number(mut failure: SendFailure) -> SendFailure {
    if failure.error.code == 100
        && failure.error.title.starts_with("Unsupported post request")
        && let Some(known) = describe(33)
    {
        failure.verdict = known.verdict;
        failure.error.action = Some(known.action.to_owned());
    }
    failure
}

/// A call that may be made again whether or not it was carried out.
pub(super) fn repeatable(mut failure: SendFailure) -> SendFailure {
    if failure.verdict == Verdict::Uncertain {
        failure.verdict = Verdict::Retry { after: None };
        failure.error.action = Some("Nothing to do: Kabar asks again.".to_owned());
    }
    failure
}

pub(super) async fn call(
    request: RequestBuilder,
    access_token: &str,
) -> Result<Map<String, Value>, SendFailure> {
    call_as("Bearer", request, access_token).await
}

/// As [`call`], for the few that want another authorisation scheme.
pub(super) async fn call_as(
    scheme: &str,
    request: RequestBuilder,
    access_token: &str,
) -> Result<Map<String, Value>, SendFailure> {
    let mut authorization =
        HeaderValue::try_from(format!("{scheme} {access_token}")).map_err(|_| unusable())?;
    authorization.set_sensitive(true);
    let mut response = request.header(AUTHORIZATION, authorization).send().await.map_err(unsent)?;
    let status = response.status();
    let after = regain(response.headers());
    let body = read(&mut response).await.map_err(|reason| lost("No answer from WhatsApp", reason))?;
    if status.is_success()
        && let Ok(Value::Object(answer)) = serde_json::from_slice(&body)
        && !answer.contains_key("error")
    {
        return Ok(answer);
    }
    let mut failure = classify(status.as_u16(), &body);
    if let Verdict::Retry { after: told @ None } | Verdict::Hold { after: told @ None } = &mut failure.verdict
    {
        *told = after;
    }
    if !access_token.is_empty() {
        let error = &mut failure.error;
        for text in [Some(&mut error.title), error.detail.as_mut()].into_iter().flatten() {
            if text.contains(access_token) {
                *text = text.replace(access_token, "…");
            }
        }
    }
    Err(failure)
}

pub(super) async fn read(response: &mut Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| sentence(&error))? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err("The answer is too long to be WhatsApp's.".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why a request got no answer, without its address.
fn sentence(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "The time for an answer ran out"
    } else if error.is_connect() {
        "The connection could not be made"
    } else if error.is_builder() {
        "The request could not be written"
    } else {
        "The connection broke"
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if std::ptr::addr_eq(cause, error) { format!("{what}.") } else { format!("{what}: {cause}.") }
}

pub(super) fn unsent(error: reqwest::Error) -> SendFailure {
    let error = error.without_url();
    let detail = sentence(&error);
    if error.is_connect() {
        return failure(
            "WhatsApp cannot be reached",
            detail,
            "Nothing to do if it passes: Kabar tries again; else check the network and Meta's status page.",
            Verdict::Hold { after: None },
        );
    }
    if error.is_builder() { unusable() } else { lost("No answer from WhatsApp", detail) }
}

fn unusable() -> SendFailure {
    failure(
        "The access token cannot be used",
        "The token has characters that no token has, or the Graph API's address is not usable.".to_owned(),
        "Give the account its access token again, as Meta shows it.",
        Verdict::PauseAccount,
    )
}

pub(super) fn lost(title: &str, detail: String) -> SendFailure {
    let action = "Look whether the message arrived before sending it again.";
    failure(title, detail, action, Verdict::Uncertain)
}

pub(super) fn failure(title: &str, detail: String, action: &str, verdict: Verdict) -> SendFailure {
    SendFailure {
        error: ProviderError {
            code: 0,
            title: title.to_owned(),
            detail: Some(detail),
            action: Some(action.to_owned()),
        },
        verdict,
    }
}

fn accepted(answer: &Map<String, Value>) -> Option<Accepted> {
    let first = |key: &str| answer.get(key)?.get(0)?.as_object();
    let text = |object: &Map<String, Value>, key: &str| {
        object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let provider_message_id = text(first("messages")?, "id")?;
    let recipient = first("contacts").and_then(|contact| {
        let phone = text(contact, "wa_id").map(|id| Identity::new(IdentityKind::WaId, id));
        phone.or_else(|| text(contact, "user_id").map(|id| Identity::new(IdentityKind::Bsuid, id)))
    });
    Some(Accepted { provider_message_id, recipient })
}

/// When calls are allowed again: `Retry-After` in seconds, or the longest
/// `estimated_time_to_regain_access` (minutes) in Graph's `X-Business-Use-Case-Usage`.
fn regain(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(seconds) = text("retry-after").and_then(|seconds| seconds.trim().parse().ok()) {
        return Some(Duration::from_secs(seconds));
    }
    let usage: Value = serde_json::from_str(text("x-business-use-case-usage")?).ok()?;
    let minutes = usage
        .as_object()?
        .values()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|use_case| use_case.get("estimated_time_to_regain_access")?.as_u64())
        .max()
        .filter(|minutes| *minutes > 0)?;
    Some(Duration::from_secs(minutes.saturating_mul(60)))
}

#[cfg(test)]
mod tests;
