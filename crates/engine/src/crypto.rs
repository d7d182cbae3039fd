//! Provider credentials at rest: XChaCha20-Poly1305 under the master key, bound to the row they belong to.

use aws_lc_rs::hmac;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::error::{Error, Result};

/// Format byte of a sealed value: version 1.
const VERSION: u8 = 1;
const NONCE: usize = 24;
const HEADER: usize = 1 + 4 + NONCE;

/// The key that encrypts credentials. Never printed.
#[derive(Clone)]
pub struct MasterKey {
    cipher: XChaCha20Poly1305,
    /// First four bytes of SHA-256 of the key: says which key a value was sealed with.
    id: [u8; 4],
    /// Derived from the master key, for signing alone.
    signing: hmac::Key,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bytes: Option<Vec<u8>> = (text.len() == 64 && text.is_ascii())
            .then(|| (0..32).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()).collect())
            .flatten();
        let bytes = bytes.ok_or_else(|| {
            Error::Internal("the master key must be 64 hexadecimal digits (32 bytes); make one with `openssl rand -hex 32`".into())
        })?;
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes)
            .map_err(|_| Error::Internal("the master key must be 32 bytes".into()))?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        let mut id = [0; 4];
        id.copy_from_slice(&digest.as_ref()[..4]);
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"kabar signatures 1");
        let signing = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        Ok(Self { cipher, id, signing })
    }

    /// A signature that only this key makes. `text` begins with what it is for.
    pub fn sign(&self, text: &str) -> Vec<u8> {
        hmac::sign(&self.signing, text.as_bytes()).as_ref().to_vec()
    }

    /// Whether `signature` is the one of `text`; takes the same time wherever they differ.
    pub fn verify(&self, text: &str, signature: &[u8]) -> bool {
        hmac::verify(&self.signing, text.as_bytes(), signature).is_ok()
    }

    /// A new key as hexadecimal text.
    pub fn generate() -> Result<String> {
        Ok(hex(&random::<32>()?))
    }

    /// Encrypts `plain` so that it can only be opened with the same `context` (table, organisation and row).
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let nonce = random::<NONCE>()?;
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: context.as_bytes() })
            .map_err(|_| Error::Internal("a credential could not be encrypted".into()))?;
        let mut out = Vec::with_capacity(HEADER + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Whether `value` was sealed with this key.
    pub fn sealed(&self, value: &[u8]) -> bool {
        value.len() >= HEADER && value[0] == VERSION && value[1..5] == self.id
    }

    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let wrong = || Error::Internal("a stored credential cannot be decrypted: its row was changed".into());
        if sealed.len() < HEADER || sealed[0] != VERSION {
            return Err(wrong());
        }
        if sealed[1..5] != self.id {
            return Err(Error::Internal(
                "stored credentials were encrypted with another master key; start with the key they were made with".into(),
            ));
        }
        let nonce = <[u8; NONCE]>::try_from(&sealed[5..HEADER]).map_err(|_| wrong())?;
        self.cipher
            .decrypt(&XNonce::from(nonce), Payload { msg: &sealed[HEADER..], aad: context.as_bytes() })
            .map_err(|_| wrong())
    }
}

/// Bytes from the system's source of randomness.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// From 0 to 1, for jitter: without randomness a fixed wait does.
pub(crate) fn unit() -> f64 {
    random::<4>().map_or(0.5, |bytes| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

/// `length` random letters and digits.
pub fn random_text(length: usize) -> Result<String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in random::<64>()? {
            // 248 is the largest multiple of 62 in a byte: every letter is equally likely.
            if byte < 248 && text.len() < length {
                text.push(char::from(LETTERS[usize::from(byte % 62)]));
            }
        }
    }
    Ok(text)
}

pub fn sha256(data: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data).as_ref().to_vec()
}

pub fn sha256_hex(data: &[u8]) -> String {
    hex(&sha256(data))
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_opens_only_in_its_row_and_under_its_key() {
        let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
        let sealed = key.seal("accounts/1", b"EAAG-token").unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"EAAG"));
        assert_eq!(key.open("accounts/1", &sealed).unwrap(), b"EAAG-token");
        assert!(key.open("accounts/2", &sealed).is_err());
        let other = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
        assert!(other.open("accounts/1", &sealed).unwrap_err().to_string().contains("another master key"));
        let mut changed = sealed;
        *changed.last_mut().unwrap() ^= 1;
        assert!(key.open("accounts/1", &changed).is_err());
        assert!(MasterKey::parse("short").is_err());
    }
}
