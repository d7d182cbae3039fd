//! Who is calling: the signature of a webhook body and the handshake that sets a webhook up.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use subtle::ConstantTimeEq;

/// A Meta app's secret, ready to verify webhook bodies with. The secret itself is not kept.
#[derive(Clone)]
pub struct AppSecret {
    key: hmac::Key,
    fingerprint: i64,
}

impl AppSecret {
    pub fn new(secret: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"kabar whatsapp app secret\0");
        context.update(secret.as_bytes());
        let hash = context.finish();
        let mut head = [0; 8];
        head.copy_from_slice(&hash.as_ref()[..8]);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            fingerprint: i64::from_be_bytes(head),
        }
    }

    /// Names the secret without telling it: which one signed a stored body.
    pub const fn fingerprint(&self) -> i64 {
        self.fingerprint
    }

    /// Whether `header` (`X-Hub-Signature-256`, `sha256=` and 64 hexadecimal digits) is this secret's signature
    /// of `body`, the bytes exactly as they came. Constant time in the signature.
    pub fn verify(&self, header: &str, body: &[u8]) -> bool {
        let Some(tag) = header.trim().strip_prefix("sha256=").and_then(unhex) else {
            return false;
        };
        hmac::verify(&self.key, body, &tag).is_ok()
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppSecret(..)")
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    Some(bytes)
}

/// Whether a `GET` on the webhook address (`hub.mode`, `hub.verify_token`) may be answered with its
/// `hub.challenge`. An empty `expected` refuses everything.
pub fn verify_challenge(mode: Option<&str>, token: Option<&str>, expected: &str) -> bool {
    let token_matches = bool::from(token.unwrap_or_default().as_bytes().ct_eq(expected.as_bytes()));
    mode == Some("subscribe") && !expected.is_empty() && token_matches
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":{"t":"\u0645\u0631\u062d\u0628\u0627 https:\/\/a.b"},"field":"messages"}]}]}"#;
    const SIGNATURE: &str = "sha256=ab078cf2117b6dc6b6cefa2a687ead0ad0e29201ee991ab84b5b90648dd6e796";

    #[test]
    fn a_body_is_verified_as_the_bytes_that_came() {
        let secret = AppSecret::new("test_app_secret");
        assert!(secret.verify(SIGNATURE, BODY));
        assert!(secret.verify(&SIGNATURE.to_uppercase().replace("SHA256", "sha256"), BODY));
        let rewritten = serde_json::from_slice::<serde_json::Value>(BODY).unwrap().to_string();
        assert!(!secret.verify(SIGNATURE, rewritten.as_bytes()));
        assert!(!AppSecret::new("another_secret").verify(SIGNATURE, BODY));
    }

    #[test]
    fn a_malformed_signature_is_refused() {
        let secret = AppSecret::new("test_app_secret");
        for header in
            ["", "sha256=", &SIGNATURE[7..], &SIGNATURE[..70], &SIGNATURE.replace("ab", "zz"), "sha1=00"]
        {
            assert!(!secret.verify(header, BODY), "{header}");
        }
    }

    #[test]
    fn a_fingerprint_tells_secrets_apart_and_nothing_more() {
        let secret = AppSecret::new("test_app_secret");
        assert_eq!(secret.fingerprint(), AppSecret::new("test_app_secret").fingerprint());
        assert_ne!(secret.fingerprint(), AppSecret::new("test_app_secreu").fingerprint());
        assert!(!format!("{secret:?}").contains("test"));
    }

    #[test]
    fn the_handshake_needs_the_mode_and_the_token() {
        assert!(verify_challenge(Some("subscribe"), Some("s3cret"), "s3cret"));
        assert!(!verify_challenge(Some("subscribe"), Some("s3cre"), "s3cret"));
        assert!(!verify_challenge(Some("unsubscribe"), Some("s3cret"), "s3cret"));
        assert!(!verify_challenge(None, Some("s3cret"), "s3cret"));
        assert!(!verify_challenge(Some("subscribe"), None, "s3cret"));
        assert!(!verify_challenge(Some("subscribe"), None, ""));
        assert!(!verify_challenge(Some("subscribe"), Some(""), ""));
    }
}
