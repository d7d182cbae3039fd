//! The form of a token: `<id>|<secret>`, as Laravel Sanctum writes it.

use crate::crypto::{random_text, sha256_hex};
use crate::error::Result;

/// A new secret: 40 random letters and digits, and their CRC-32 in hexadecimal so that secret scanners can tell
/// one from noise. Nobody but scanners checks it.
pub(crate) fn secret() -> Result<String> {
    let random = random_text(40)?;
    Ok(format!("{random}{:08x}", crc32fast::hash(random.as_bytes())))
}

/// What the client is given, once.
pub(crate) fn text(id: i64, secret: &str) -> String {
    format!("{id}|{secret}")
}

/// A token as a request carries it.
pub(crate) struct Presented {
    /// Absent in tokens that are only a secret.
    pub id: Option<i64>,
    /// Lower-case hexadecimal SHA-256 of the secret.
    pub hash: String,
}

impl Presented {
    pub fn parse(token: &str) -> Option<Self> {
        if token.is_empty() {
            return None;
        }
        let Some((id, secret)) = token.split_once('|') else {
            return Some(Self { id: None, hash: sha256_hex(token.as_bytes()) });
        };
        if secret.is_empty() || id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self { id: Some(id.parse().ok()?), hash: sha256_hex(secret.as_bytes()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_ends_with_its_checksum() {
        let made = secret().unwrap();
        assert_eq!(made.len(), 48);
        assert_eq!(made[40..], format!("{:08x}", crc32fast::hash(&made.as_bytes()[..40])));
        // Known from Sanctum: forty times A.
        let known = "A".repeat(40);
        assert_eq!(format!("{:08x}", crc32fast::hash(known.as_bytes())), "2ae98c30");
    }

    #[test]
    fn what_is_stored_is_the_hash_of_all_after_the_bar() {
        let plain = format!("{}2ae98c30", "A".repeat(40));
        let presented = Presented::parse(&format!("17|{plain}")).unwrap();
        assert_eq!(presented.id, Some(17));
        assert_eq!(presented.hash, "058cce6a803d9bdc3e6455e282dd153404ab2eb4310eff15e0d9153affe67a6f");
        assert_eq!(Presented::parse(&plain).unwrap().hash, presented.hash);
        for wrong in ["", "|", "1|", "|x", "-1|x", "+1|x", "x|y", "99999999999999999999|x"] {
            assert!(Presented::parse(wrong).is_none(), "{wrong}");
        }
    }
}
