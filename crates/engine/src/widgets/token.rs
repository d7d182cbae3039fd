//! Embed tokens: JSON Web Tokens signed with HMAC-SHA-256 (RFC 7519, HS256 of RFC 7518).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kabar_domain::{OrganisationId, WidgetKeyId};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Longer than any token made here.
const LONGEST: usize = 16 * 1024;

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: WidgetKeyId,
}

/// Who is let in where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// The server's public address.
    pub iss: String,
    /// The visitor.
    pub sub: String,
    /// The widget's slug.
    pub aud: String,
    /// Seconds since 1970.
    pub iat: i64,
    pub exp: i64,
    pub jti: String,
    pub org: OrganisationId,
    /// An object.
    pub context: Json,
}

fn encoded(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn decoded<T: for<'a> Deserialize<'a>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

pub(super) fn sign(claims: &Claims, kid: WidgetKeyId, secret: &[u8]) -> String {
    let header = Header { alg: "HS256".into(), typ: "JWT".into(), kid };
    let signed = format!("{}.{}", encoded(&header), encoded(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// A token that nobody has looked into yet.
pub(super) struct Presented<'a> {
    pub kid: WidgetKeyId,
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Presented<'a> {
    pub fn parse(token: &'a str) -> Option<Self> {
        if token.len() > LONGEST {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let Header { alg, kid, .. } = decoded(header)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // The one algorithm there is: what a token says of itself decides nothing.
        (alg == "HS256").then_some(Self { kid, signed, claims, signature })
    }

    /// What it says, if it is signed with `secret`; takes the same time wherever a signature differs.
    pub fn claims(&self, secret: &[u8]) -> Option<Claims> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        hmac::verify(&key, self.signed.as_bytes(), &self.signature).ok()?;
        decoded(self.claims)
    }
}

#[cfg(test)]
mod tests {
    use kabar_domain::{Clock, Timestamp};
    use serde_json::json;

    use super::*;

    fn claims(clock: &Clock) -> Claims {
        Claims {
            iss: "https://kabar.example.com".into(),
            sub: "user-12345".into(),
            aud: "marketing-site".into(),
            iat: 1_700_000_000,
            exp: 1_700_000_900,
            jti: "01HZK7P5R3Q6V0YH4XJ3M8CHN1".into(),
            org: OrganisationId::new(clock),
            context: json!({}),
        }
    }

    #[test]
    fn a_token_is_good_under_its_key_alone_and_as_it_was_signed() {
        let clock = Clock::manual(Timestamp::from_unix(1_700_000_000));
        let (kid, claims) = (WidgetKeyId::new(&clock), claims(&clock));
        let token = sign(&claims, kid, b"secret");
        let presented = Presented::parse(&token).unwrap();
        assert_eq!((presented.kid, presented.claims(b"secret")), (kid, Some(claims)));
        assert_eq!(presented.claims(b"another"), None);
        let parts: Vec<_> = token.split('.').collect();
        let [header, body, tag] = parts[..] else { panic!("{token}") };
        let none = encoded(&json!({ "alg": "none", "typ": "JWT", "kid": kid }));
        let more = encoded(&json!({ "sub": "admin" }));
        assert!(Presented::parse(&format!("{none}.{body}.")).is_none());
        assert!(Presented::parse(&format!("{header}.{more}.{tag}")).unwrap().claims(b"secret").is_none());
        assert!(Presented::parse(&format!("{header}.{body}.")).unwrap().claims(b"secret").is_none());
        for wrong in ["", ".", "..", "a.b.c", &format!("{header}.{body}"), &"x".repeat(LONGEST + 1)] {
            assert!(Presented::parse(wrong).is_none(), "{wrong}");
        }
    }

    /// The example of RFC 7515, A.1: others make the same signature.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(tag), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }
}
