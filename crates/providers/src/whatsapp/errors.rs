//! What WhatsApp's refusals mean: what a person should do, and what becomes of the message.

mod table;

use kabar_domain::message::ProviderError;
use kabar_domain::outbound::{SendFailure, Verdict};
use serde_json::Value;

/// What Meta's table says of one error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    pub title: &'static str,
    /// What a person should do, one sentence.
    pub action: &'static str,
    /// What to do with a message that was refused so.
    pub verdict: Verdict,
}

/// `None` for a code that is not in the table.
pub fn describe(code: i64) -> Option<Description> {
    table::find(code)
}

/// Reads an answer of the Graph API that is no success. The error's code decides; the HTTP status only where
/// there is none, or one nobody knows.
pub fn classify(http_status: u16, body: &[u8]) -> SendFailure {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    match body.as_ref().and_then(|body| body.get("error")) {
        Some(error) if error.is_object() => refused(http_status, error),
        _ => unexplained(http_status),
    }
}

fn refused(http_status: u16, error: &Value) -> SendFailure {
    let code = match error.get("code") {
        Some(Value::Number(code)) => code.as_i64(),
        Some(Value::String(code)) => code.trim().parse().ok(),
        _ => None,
    };
    let known = code.and_then(describe);
    let message = text(error.get("message")).map(without_code);
    let title = message.or_else(|| known.map(|known| known.title.to_owned()));
    let title = title.unwrap_or_else(|| "WhatsApp refused the message".to_owned());
    let detail = text(error.get("error_data").and_then(|data| data.get("details")))
        .or_else(|| text(error.get("error_user_msg")))
        .filter(|detail| *detail != title);
    let transient = error.get("is_transient") == Some(&Value::Bool(true));
    let verdict = match known {
        Some(known) => known.verdict,
        None if http_status == 401 => Verdict::PauseAccount,
        None if http_status == 429 => Verdict::Hold { after: None },
        None if transient || http_status >= 500 => Verdict::Retry { after: None },
        None => Verdict::Fail,
    };
    let action = match known {
        // It is said what was wrong with what somebody wrote.
        Some(_) if code == Some(100) && detail.is_some() => "Correct what the details name, then try again.",
        Some(known) => known.action,
        None => "Look the code up in Meta's list of WhatsApp error codes.",
    };
    SendFailure {
        error: ProviderError {
            code: code.unwrap_or(i64::from(http_status)),
            title: without_tokens(title),
            detail: detail.map(without_tokens),
            action: Some(action.to_owned()),
        },
        verdict,
    }
}

/// An answer without a Graph error: a gateway in between, or an address that is not Meta's.
fn unexplained(http_status: u16) -> SendFailure {
    let (title, action, verdict) = match http_status {
        401 => (
            "WhatsApp refused the access token",
            "Give the account a new access token; its messages wait until then.",
            Verdict::PauseAccount,
        ),
        429 => (
            "Too many calls",
            "Nothing to do: Kabar slows down and tries again.",
            Verdict::Hold { after: None },
        ),
        300..=399 | 400..=407 | 409..=499 => (
            "Something other than WhatsApp answered",
            "Check the address of the Graph API in the configuration and any proxy on the way.",
            Verdict::Fail,
        ),
        // A gateway that gave up does not say how far the request came.
        _ => (
            "WhatsApp gave no usable answer",
            "Look whether the message arrived before sending it again.",
            Verdict::Uncertain,
        ),
    };
    SendFailure {
        error: ProviderError {
            code: i64::from(http_status),
            title: title.to_owned(),
            detail: Some(format!("HTTP status {http_status} without an explanation.")),
            action: Some(action.to_owned()),
        },
        verdict,
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// `(#130429) Rate limit hit` without the code, which stands by itself.
fn without_code(message: String) -> String {
    let rest = message.strip_prefix("(#").and_then(|rest| rest.split_once(") "));
    match rest {
        Some((code, rest)) if code.bytes().all(|b| b.is_ascii_digit()) && !rest.is_empty() => rest.to_owned(),
        _ => message,
    }
}

/// Graph repeats a malformed access token in its message. Tokens of Meta begin with `EAA`.
fn without_tokens(message: String) -> String {
    if !message.contains("EAA") {
        return message;
    }
    let words = message.split(' ').map(|word| match word.find("EAA") {
        Some(at) if word.len() - at >= 16 => "…",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::Duration;

    fn answer(status: u16, error: &Value) -> SendFailure {
        classify(status, json!({ "error": error }).to_string().as_bytes())
    }

    fn code(code: i64) -> SendFailure {
        answer(400, &json!({"message": format!("(#{code}) Told"), "type": "OAuthException", "code": code}))
    }

    #[test]
    fn an_error_is_told_with_what_to_do() {
        let failure = answer(
            400,
            &json!({"message": "(#130429) Rate limit hit", "type": "OAuthException", "code": 130_429,
                "error_data": {"messaging_product": "whatsapp", "details": "Too many messages sent."},
                "fbtrace_id": "A"}),
        );
        assert_eq!(failure.verdict, Verdict::Hold { after: None });
        assert_eq!((failure.error.code, failure.error.title.as_str()), (130_429, "Rate limit hit"));
        assert_eq!(failure.error.detail.as_deref(), Some("Too many messages sent."));
        assert!(failure.error.action.unwrap().ends_with('.'));
    }

    #[test]
    fn the_code_decides_what_becomes_of_a_message() {
        let retry = |seconds| Verdict::Retry { after: Some(Duration::from_secs(seconds)) };
        let soon = Verdict::Retry { after: None };
        let hold = Verdict::Hold { after: None };
        for (number, verdict) in [
            (0, Verdict::PauseAccount),
            (190, Verdict::PauseAccount),
            (250, Verdict::PauseAccount),
            (368, Verdict::PauseAccount),
            (131_031, Verdict::PauseAccount),
            (133_010, Verdict::PauseAccount),
            (1, soon),
            (2, hold),
            (4, hold),
            (80_007, hold),
            (131_000, soon),
            (131_057, hold),
            (100, Verdict::Fail),
            (131_026, Verdict::Fail),
            (131_047, Verdict::Fail),
            (131_215, Verdict::Fail),
            (131_048, Verdict::Fail),
            (131_049, Verdict::Fail),
            (132_001, Verdict::Fail),
            (2_388_103, Verdict::Fail),
            (131_056, Verdict::SlowRecipient { after: None }),
            (132_069, retry(3_600)),
            (134_101, retry(600)),
        ] {
            assert_eq!(code(number).verdict, verdict, "{number}");
        }
    }

    #[test]
    fn who_wrote_it_is_told_to_correct_it() {
        let error = json!({"code": 100, "message": "Invalid parameter", "error_user_msg": "The handle is not valid."});
        let told = answer(400, &error).error;
        assert_eq!(told.detail.as_deref(), Some("The handle is not valid."));
        assert!(told.action.unwrap().starts_with("Correct"));
    }

    #[test]
    fn an_unknown_code_goes_by_the_status() {
        let unknown = |status| answer(status, &json!({"message": "New", "code": 999_999})).verdict;
        assert_eq!(unknown(400), Verdict::Fail);
        assert_eq!(unknown(401), Verdict::PauseAccount);
        assert_eq!(unknown(429), Verdict::Hold { after: None });
        assert_eq!(unknown(503), Verdict::Retry { after: None });
        let transient = answer(400, &json!({"message": "New", "code": 999_999, "is_transient": true}));
        assert_eq!(transient.verdict, Verdict::Retry { after: None });
    }

    #[test]
    fn an_answer_that_is_not_whatsapps_may_hide_a_success() {
        for status in [200, 408, 500, 502, 503, 504] {
            assert_eq!(classify(status, b"<html>Bad Gateway</html>").verdict, Verdict::Uncertain, "{status}");
        }
        assert_eq!(classify(301, b"").verdict, Verdict::Fail);
        assert_eq!(classify(404, b"not here").verdict, Verdict::Fail);
        assert_eq!(classify(429, b"").verdict, Verdict::Hold { after: None });
        assert_eq!(classify(401, b"{}").verdict, Verdict::PauseAccount);
        assert_eq!(
            answer(503, &json!({"code": 2, "message": "Down"})).verdict,
            Verdict::Hold { after: None }
        );
    }

    #[test]
    fn a_token_in_a_message_is_not_repeated() {
        let token = format!("EAAJB{}", "x".repeat(180));
        let failure =
            answer(400, &json!({"message": format!("Malformed access token {token}"), "code": 190}));
        assert_eq!(failure.error.title, "Malformed access token …");
    }

    proptest! {
        #[test]
        fn any_answer_is_classified(status in any::<u16>(), body in any::<Vec<u8>>(), number in any::<i64>()) {
            classify(status, &body);
            let failure = answer(status, &json!({"code": number, "message": "x"}));
            prop_assert_eq!(failure.error.code, number);
            prop_assert_eq!(describe(number).is_some_and(|known| known.verdict != failure.verdict), false);
        }
    }
}
