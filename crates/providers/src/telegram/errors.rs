//! What Telegram's refusals mean.

use std::time::Duration;

use kabar_domain::message::ProviderError;
use kabar_domain::outbound::{SendFailure, Verdict};
use serde_json::Value;

/// The longest wait taken from an answer.
const LONGEST_WAIT: u64 = 24 * 60 * 60;

/// Reads an answer that is not a success. Descriptions are no stable interface, so they choose only the advice
/// for a person; what happens to the message follows from the code and from `parameters`.
///
/// An answer that is not Telegram's JSON comes from something in between; its text is left out, as such pages
/// repeat the address asked for and with it the bot's token.
pub fn classify(http_status: u16, body: &[u8]) -> SendFailure {
    let answer = serde_json::from_slice::<Value>(body).ok().filter(|answer| answer.get("ok").is_some());
    let Some(answer) = answer else { return not_from_telegram(http_status) };
    if answer["ok"] == true && (200..300).contains(&http_status) {
        return failure(
            http_status.into(),
            "Telegram's answer could not be read.",
            None,
            Some(LOOK),
            Verdict::Uncertain,
        );
    }
    let code = answer["error_code"].as_i64().unwrap_or_else(|| http_status.into());
    let title = answer["description"].as_str().filter(|text| !text.is_empty());
    let title = title.map_or_else(
        || format!("Telegram answered with error {code}."),
        |text| text.chars().take(500).collect(),
    );
    let parameters = &answer["parameters"];
    if let Some(new) = parameters["migrate_to_chat_id"].as_i64() {
        return failure(
            code,
            &title,
            Some(format!("migrate_to_chat_id: {new}")),
            Some(
                "The group became a supergroup with a new id; the message is sent again once the id is known.",
            ),
            Verdict::Retry { after: None },
        );
    }
    let after =
        parameters["retry_after"].as_u64().map(|seconds| Duration::from_secs(seconds.min(LONGEST_WAIT)));
    let known = title.to_ascii_lowercase();
    let verdict = match code {
        429 => Verdict::SlowRecipient { after },
        // An unknown method is our mistake; any other 404 is an unknown token.
        404 if known.contains("method not found") => Verdict::Fail,
        401 | 404 | 421 => Verdict::PauseAccount,
        400..500 => Verdict::Fail,
        // Telegram's own 5xx can follow a message it already took.
        _ => Verdict::Uncertain,
    };
    failure(code, &title, None, advice(code, &known), verdict)
}

fn not_from_telegram(http_status: u16) -> SendFailure {
    let verdict = match http_status {
        400 | 413 | 414 => Verdict::Fail,
        401 | 404 => Verdict::PauseAccount,
        429 => Verdict::Hold { after: None },
        300..500 => Verdict::Retry { after: None },
        _ => Verdict::Uncertain,
    };
    failure(
        http_status.into(),
        &format!("The answer with HTTP status {http_status} did not come from Telegram."),
        None,
        Some("Check the Telegram API address and any proxy between this server and Telegram."),
        verdict,
    )
}

pub(super) fn failure(
    code: i64,
    title: &str,
    detail: Option<String>,
    action: Option<&str>,
    verdict: Verdict,
) -> SendFailure {
    let action = action.map(str::to_owned);
    SendFailure { error: ProviderError { code, title: title.to_owned(), detail, action }, verdict }
}

/// What to do when nobody knows whether it was carried out.
pub(super) const LOOK: &str = "Look in the chat whether the message arrived before sending it again.";

/// Part of a description in lower case, and what a person can do about it. The first that fits counts.
const ADVICE: &[(&str, &str)] = &[
    ("bot was blocked", "The person blocked the bot; wait until they write again."),
    ("user is deactivated", "The person's Telegram account is gone; reach them another way."),
    ("initiate conversation", "Ask the person to open the bot and press Start first."),
    ("messages to bots", "The recipient is a bot; bots do not write to each other."),
    ("bot was kicked", "Ask an administrator of the group to add the bot again."),
    ("bot is not a member", "Ask an administrator of the group to add the bot."),
    ("group chat was deleted", "The group no longer exists; close its conversation."),
    ("chat not found", "Check the recipient; the person may never have pressed Start in the bot."),
    ("message thread not found", "The topic no longer exists; choose another one."),
    ("topic_deleted", "The topic no longer exists; choose another one."),
    ("topic_closed", "Reopen the topic or choose another one."),
    ("message can't be edited", "Send a new message: Telegram lets this one not be changed any more."),
    ("message to edit not found", "Send a new message: this one is no longer in the chat."),
    ("message to delete not found", "Nothing to do: the message is no longer in the chat."),
    ("user_not_participant", "Nothing to do: the person is not in the group; look at its members again."),
    ("message to be replied not found", "Send the message again without quoting."),
    ("text is empty", "Write a text."),
    ("too long", "Split the message: a text may have 4096 characters, a caption 1024."),
    ("too_long", "Split the message: a text may have 4096 characters, a caption 1024."),
    ("too big", "Send a smaller file."),
    ("parse entities", "Send the text without formatting."),
    ("http url", "Check that the link is public and leads straight to the file."),
    ("web page content", "Check that the link leads straight to a file of the right type."),
    ("wrong file", "Upload the file again; Telegram does not know its id for this bot."),
    ("image_process_failed", "Send the image as a document."),
    ("photo_invalid_dimensions", "Send the image as a document."),
    ("voice_messages_forbidden", "The person takes no voice messages; send a text or a file."),
    ("rights", "Ask an administrator of the group to give the bot the rights it needs."),
    ("admin_required", "Ask an administrator of the group to give the bot the rights it needs."),
    ("bad webhook", "Check the public address: HTTPS with a valid certificate on port 443, 80, 88 or 8443."),
];

fn advice(code: i64, known: &str) -> Option<&'static str> {
    let by_code = || match code {
        401 | 404 => Some("Check the bot's token with @BotFather and enter it again."),
        403 => Some("The bot may not write there; ask the person or the group's administrator to let it."),
        409 => Some("Another program uses this bot; give each its own bot."),
        400 => Some("Change what the description names, then send it again."),
        413 => Some("Send a smaller file."),
        421 => Some(
            "The bot belongs to another Telegram API server; check the address or log the bot out there.",
        ),
        429 => Some("Nothing to do: Telegram asked for a pause, the message is sent afterwards."),
        500.. => Some(LOOK),
        _ => None,
    };
    let matching = ADVICE.iter().find(|(part, _)| known.contains(part)).map(|(_, advice)| *advice);
    if (400..=403).contains(&code) && code != 401 { matching.or_else(by_code) } else { by_code() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refused(code: u16, description: &str) -> SendFailure {
        let body = json!({ "ok": false, "error_code": code, "description": description });
        classify(code, body.to_string().as_bytes())
    }

    #[test]
    fn refusals_and_what_becomes_of_the_message() {
        let cases = [
            (400, "Bad Request: chat not found", Verdict::Fail, "pressed Start"),
            (400, "Bad Request: message thread not found", Verdict::Fail, "topic"),
            (400, "Bad Request: TOPIC_CLOSED", Verdict::Fail, "Reopen"),
            (400, "Bad Request: message is too long", Verdict::Fail, "Split"),
            (400, "Bad Request: can't parse entities: byte offset 7", Verdict::Fail, "formatting"),
            (400, "Bad Request: wrong file identifier/HTTP URL specified", Verdict::Fail, "link"),
            (
                400,
                "Bad Request: not enough rights to send photos to the chat",
                Verdict::Fail,
                "administrator",
            ),
            (400, "Bad Request: message can't be edited", Verdict::Fail, "new message"),
            (400, "Bad Request: USER_NOT_PARTICIPANT", Verdict::Fail, "members"),
            (400, "Bad Request: something new", Verdict::Fail, "description"),
            (401, "Unauthorized", Verdict::PauseAccount, "token"),
            (403, "Forbidden: bot was blocked by the user", Verdict::Fail, "blocked"),
            (403, "Forbidden: bot was kicked from the supergroup chat", Verdict::Fail, "again"),
            (403, "Forbidden: something new", Verdict::Fail, "may not write"),
            (404, "Not Found", Verdict::PauseAccount, "token"),
            (413, "Request Entity Too Large", Verdict::Fail, "smaller"),
            (421, "Misdirected Request", Verdict::PauseAccount, "server"),
            (500, "Internal Server Error", Verdict::Uncertain, "arrived"),
            (502, "Bad Gateway", Verdict::Uncertain, "arrived"),
        ];
        for (code, description, verdict, advice) in cases {
            let failure = refused(code, description);
            assert_eq!(failure.verdict, verdict, "{description}");
            assert_eq!((failure.error.code, failure.error.title.as_str()), (i64::from(code), description));
            let action = failure.error.action.unwrap();
            assert!(action.contains(advice), "{description}: {action}");
        }
        assert_eq!(refused(404, "Not Found: method not found").verdict, Verdict::Fail);
    }

    #[test]
    fn a_pause_lasts_as_long_as_telegram_says() {
        let flood = |parameters: Value| {
            let body = json!({ "ok": false, "error_code": 429, "description": "Too Many Requests: retry after 7",
                "parameters": parameters });
            classify(429, body.to_string().as_bytes()).verdict
        };
        let after = |seconds| Verdict::SlowRecipient { after: Some(Duration::from_secs(seconds)) };
        assert_eq!(flood(json!({ "retry_after": 7 })), after(7));
        assert_eq!(flood(json!({ "retry_after": u64::MAX })), after(LONGEST_WAIT));
        assert_eq!(flood(json!({})), Verdict::SlowRecipient { after: None });
        assert_eq!(classify(429, b"").verdict, Verdict::Hold { after: None });
    }

    #[test]
    fn a_migrated_group_names_its_new_id() {
        let body = json!({ "ok": false, "error_code": 400,
            "description": "Bad Request: group chat was upgraded to a supergroup chat",
            "parameters": { "migrate_to_chat_id": -1_001_234_567_890_i64 } });
        let failure = classify(400, body.to_string().as_bytes());
        assert_eq!(failure.verdict, Verdict::Retry { after: None });
        assert_eq!(failure.error.detail.as_deref(), Some("migrate_to_chat_id: -1001234567890"));
    }

    #[test]
    fn answers_of_something_in_between() {
        let page = b"<html>/bot123:SECRET/sendMessage was not found</html>";
        let cases = [
            (502, Verdict::Uncertain),
            (504, Verdict::Uncertain),
            (200, Verdict::Uncertain),
            (302, Verdict::Retry { after: None }),
            (403, Verdict::Retry { after: None }),
            (400, Verdict::Fail),
            (404, Verdict::PauseAccount),
        ];
        for (status, verdict) in cases {
            let failure = classify(status, page);
            assert_eq!(failure.verdict, verdict, "{status}");
            assert!(!format!("{failure:?}").contains("SECRET"));
        }
        assert_eq!(classify(200, br#"{"ok":true,"result":7}"#).verdict, Verdict::Uncertain);
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(status in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..60), description in any::<String>(), code in any::<i64>()) {
            let _ = classify(status, &body);
            let body = json!({ "ok": false, "error_code": code, "description": description });
            prop_assert!(!classify(status, body.to_string().as_bytes()).error.title.is_empty());
        }
    }
}
