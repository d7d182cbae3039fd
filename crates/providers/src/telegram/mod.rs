//! Telegram Bot API: webhook updates in, method calls out.

mod client;
mod direct;
mod errors;
mod files;
mod groups;
mod parse;
mod send;

pub use client::{BotInfo, Client, WebhookInfo};
pub use direct::edit;
pub use errors::classify;
pub use groups::{ADMIN_RIGHTS, ChatInfo, ChatMember};
pub use parse::parse;
pub use send::request;

use serde_json::{Value, json};
use subtle::ConstantTimeEq;

/// Whether the `X-Telegram-Bot-Api-Secret-Token` header is the secret given to `setWebhook`. Takes the same
/// time wherever the two differ; an empty `expected` matches nothing.
pub fn secret_matches(header: &str, expected: &str) -> bool {
    !expected.is_empty() && bool::from(header.as_bytes().ct_eq(expected.as_bytes()))
}

/// What Telegram is asked to do with the answer to a webhook: a tapped button stops waiting. Telegram carries out a
/// method that stands in the answer, so this costs no call; nothing depends on its result.
pub fn reply(update: &[u8]) -> Option<Value> {
    const KIND: &[u8] = b"\"callback_query\"";
    // Few updates are taps: the others are not read for it.
    if !update.windows(KIND.len()).any(|part| part == KIND) {
        return None;
    }
    let update: Value = serde_json::from_slice(update).ok()?;
    let id = update.get("callback_query")?.get("id")?.as_str()?;
    Some(json!({ "method": "answerCallbackQuery", "callback_query_id": id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tap_is_answered() {
        let tap = br#"{"update_id": 1, "callback_query": {"id": "7"}}"#;
        assert_eq!(reply(tap), Some(json!({"method": "answerCallbackQuery", "callback_query_id": "7"})));
        for other in [
            &br#"{"update_id": 1, "message": {"text": "\"callback_query\""}}"#[..],
            br#"{"callback_query": 5}"#,
            b"\"callback_query\"",
            b"",
        ] {
            assert_eq!(reply(other), None);
        }
    }

    #[test]
    fn only_the_whole_secret_matches() {
        assert!(secret_matches("s3cret_-A", "s3cret_-A"));
        for wrong in ["", "s3cret_-", "s3cret_-AA", "S3cret_-A"] {
            assert!(!secret_matches(wrong, "s3cret_-A"), "{wrong}");
        }
        assert!(!secret_matches("", ""), "no secret configured lets nobody in");
    }
}
