//! SMS over Twilio's Messages resource, which other services offer too.

use std::time::Duration;

use kabar_domain::message::ProviderError;
use kabar_domain::outbound::{SendFailure, Verdict};
use serde_json::Value;
use url::{Url, form_urlencoded};

/// Characters of a message; the service cuts it into parts.
pub const LONGEST: usize = 1600;
/// Bytes of an answer that are read.
const ANSWER_LIMIT: usize = 64 * 1024;
/// The longest wait taken from an answer.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Where the service is, and who we are there.
#[derive(Clone)]
pub struct Config {
    pub base: Url,
    pub account: String,
    pub token: String,
    /// A number (`+62…`), a name, or a messaging service (`MG…`).
    pub from: String,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// The service, for one account. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    config: Config,
}

impl Client {
    pub const fn new(http: reqwest::Client, config: Config) -> Self {
        Self { http, config }
    }

    /// Sends a text to a number in E.164 form; the service's id of it. A lost answer is [`Verdict::Uncertain`].
    pub async fn send(&self, to: &str, text: &str) -> Result<String, SendFailure> {
        let Config { base, account, token, from } = &self.config;
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["2010-04-01", "Accounts", account.as_str(), "Messages.json"]);
        }
        let is_service = from.len() == 34 && from.starts_with("MG");
        let sender = if is_service { "MessagingServiceSid" } else { "From" };
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("To", to)
            .append_pair(sender, from)
            .append_pair("Body", text)
            .finish();
        let request = self
            .http
            .post(url)
            .basic_auth(account, Some(token))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let mut response = request.send().await.map_err(unsent)?;
        let status = response.status().as_u16();
        let after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| lost("The answer broke off."))? {
            if answer.len() + chunk.len() > ANSWER_LIMIT {
                return Err(lost("The answer is too long to be the SMS service's."));
            }
            answer.extend_from_slice(&chunk);
        }
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if (200..300).contains(&status) {
            let sid = answer["sid"].as_str().filter(|sid| !sid.is_empty());
            return sid
                .map(str::to_owned)
                .ok_or_else(|| lost("The SMS service answered, but without an id of the message."));
        }
        Err(classify(status, after.map(Duration::from_secs), &answer))
    }
}

/// Why a request got no answer.
fn unsent(error: reqwest::Error) -> SendFailure {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_connect() {
        let action = "Nothing to do if it passes: Kabar tries again for some hours; else check `sms_url` and the network.";
        let detail = format!("{cause}.");
        return failure(
            0,
            "The SMS service cannot be reached",
            Some(detail),
            action,
            Verdict::Retry { after: None },
        );
    }
    if error.is_builder() {
        let action = "Check `sms_url`, `sms_account` and `sms_token` in the configuration.";
        return failure(0, "The SMS service cannot be called", None, action, Verdict::Fail);
    }
    lost(if error.is_timeout() { "The time for an answer ran out." } else { "The connection broke." })
}

fn lost(detail: &str) -> SendFailure {
    let action = "Look in the SMS service's log whether the message went out before sending it again.";
    failure(0, "No answer from the SMS service", Some(detail.to_owned()), action, Verdict::Uncertain)
}

fn failure(code: i64, title: &str, detail: Option<String>, action: &str, verdict: Verdict) -> SendFailure {
    SendFailure {
        error: ProviderError { code, title: title.to_owned(), detail, action: Some(action.to_owned()) },
        verdict,
    }
}

/// Reads a refusal: `{"code": 21211, "message": "…", "more_info": "…", "status": 400}`.
fn classify(status: u16, after: Option<Duration>, answer: &Value) -> SendFailure {
    let explained = answer["code"].as_i64();
    let code = explained.unwrap_or_else(|| status.into());
    let detail = answer["message"].as_str().filter(|text| !text.is_empty());
    let detail = detail.map(|text| text.chars().take(500).collect());
    let again = Verdict::Retry { after: after.map(|after| after.min(LONGEST_WAIT)) };
    let (title, action, verdict) = match (status, code) {
        (401, _) | (_, 20003) => (
            "The SMS service does not know us",
            "Check `sms_account` and `sms_token` in the configuration; Kabar tries again for some hours.",
            again,
        ),
        // Too many at once, or a full queue: not taken.
        (429, _) | (_, 20429 | 21611 | 30001) => {
            ("The SMS service has no room now", "Nothing to do: Kabar tries again.", again)
        }
        (503, _) if explained.is_some() => {
            ("The SMS service is not available", "Nothing to do: Kabar tries again.", again)
        }
        (300..500, 21211 | 21214 | 21217 | 21219 | 21614) => (
            "The number cannot be reached by SMS",
            "Check the number; it must be a mobile number with its country code.",
            Verdict::Fail,
        ),
        (300..500, 21610) => (
            "The recipient wants no SMS from this sender",
            "The recipient must answer START to your number before you can write again.",
            Verdict::Fail,
        ),
        (300..500, 21408 | 21612) => (
            "SMS to this region are not switched on",
            "Allow the recipient's country in the SMS service's settings.",
            Verdict::Fail,
        ),
        (300..500, 21212 | 21603 | 21606 | 21659 | 21660 | 21661) => (
            "The SMS service refused the sender",
            "Check `sms_from` in the configuration: it must be a number of your SMS account.",
            Verdict::Fail,
        ),
        (300..500, 21605 | 21617) => {
            ("The SMS is too long", "Shorten the text and send it again.", Verdict::Fail)
        }
        (300..500, _) if explained.is_some() => (
            "The SMS service refused the message",
            "Look the code up in the SMS service's list of errors.",
            Verdict::Fail,
        ),
        (300..500, _) => (
            "Something other than the SMS service answered",
            "Check `sms_url` in the configuration and any proxy on the way.",
            Verdict::Fail,
        ),
        // It does not say how far the request came.
        _ => (
            "The SMS service gave no usable answer",
            "Look in the SMS service's log whether the message went out before sending it again.",
            Verdict::Uncertain,
        ),
    };
    failure(code, title, detail, action, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_say_what_to_do() {
        let verdict =
            |status, code: i64| classify(status, None, &json!({"code": code, "message": "Told"})).verdict;
        let retry = Verdict::Retry { after: None };
        for (status, code, expected) in [
            (400, 21211, Verdict::Fail),
            (400, 21610, Verdict::Fail),
            (400, 99999, Verdict::Fail),
            (401, 20003, retry),
            (429, 20429, retry),
            (503, 20503, retry),
            (500, 20500, Verdict::Uncertain),
        ] {
            assert_eq!(verdict(status, code), expected, "{status} {code}");
        }
        assert_eq!(classify(404, None, &Value::Null).verdict, Verdict::Fail);
        assert_eq!(classify(502, None, &Value::Null).verdict, Verdict::Uncertain);
        let minute = Some(Duration::from_mins(1));
        assert_eq!(classify(429, minute, &Value::Null).verdict, Verdict::Retry { after: minute });
        let told = classify(400, None, &json!({"code": 21211, "message": "Invalid 'To' Phone Number"})).error;
        assert_eq!((told.code, told.detail.as_deref()), (21211, Some("Invalid 'To' Phone Number")));
    }
}
