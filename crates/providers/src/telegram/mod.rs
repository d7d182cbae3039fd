//! Telegram Bot API: webhook updates in, method calls out.

mod client;
mod errors;
mod files;
mod parse;
mod send;

pub use client::{BotInfo, Client, WebhookInfo};
pub use errors::classify;
pub use parse::parse;
pub use send::request;

use subtle::ConstantTimeEq;

/// Whether the `X-Telegram-Bot-Api-Secret-Token` header is the secret given to `setWebhook`. Takes the same
/// time wherever the two differ; an empty `expected` matches nothing.
pub fn secret_matches(header: &str, expected: &str) -> bool {
    !expected.is_empty() && bool::from(header.as_bytes().ct_eq(expected.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::secret_matches;

    #[test]
    fn only_the_whole_secret_matches() {
        assert!(secret_matches("s3cret_-A", "s3cret_-A"));
        for wrong in ["", "s3cret_-", "s3cret_-AA", "S3cret_-A"] {
            assert!(!secret_matches(wrong, "s3cret_-A"), "{wrong}");
        }
        assert!(!secret_matches("", ""), "no secret configured lets nobody in");
    }
}
