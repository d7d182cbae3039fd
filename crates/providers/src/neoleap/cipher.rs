//! How the gateway and a merchant hide from others what they tell each other: AES-256-CBC under the resource key, always
//! with one initialisation vector, as hexadecimal digits. It proves nothing: who knows a message can change it.

use std::fmt::Write as _;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use percent_encoding::percent_decode_str;
use url::form_urlencoded::byte_serialize;

use super::Fields;

const VECTOR: &[u8; 16] = b"PGKEYENCDECIVSPC";

/// A terminal's resource key: 32 characters, used as they are.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    pub fn parse(text: &str) -> Option<Self> {
        text.as_bytes().try_into().ok().map(Self)
    }

    /// JSON, made fit for the gateway. `None` only if the cipher itself fails.
    pub(super) fn encrypt(&self, json: &str) -> Option<String> {
        let mut bytes = byte_serialize(json.as_bytes()).collect::<String>().into_bytes();
        let key = UnboundCipherKey::new(&AES_256, &self.0).ok()?;
        let context = EncryptionContext::Iv128(FixedLength::from(VECTOR));
        PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?.less_safe_encrypt(&mut bytes, context).ok()?;
        Some(bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02X}");
            digits
        }))
    }

    /// What an encrypted message of the gateway says. `None`, whatever is wrong with it: a caller that could tell a bad
    /// padding from bad content could have messages decrypted by trying.
    pub fn open(&self, trandata: &str) -> Option<Fields> {
        Fields::parse(&self.decrypt(trandata)?)
    }

    fn decrypt(&self, digits: &str) -> Option<String> {
        let digits = digits.trim();
        let mut bytes = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
            .collect::<Option<Vec<u8>>>()?;
        let key = UnboundCipherKey::new(&AES_256, &self.0).ok()?;
        let context = DecryptionContext::Iv128(FixedLength::from(VECTOR));
        let plain = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut bytes, context).ok()?;
        let text = std::str::from_utf8(plain).ok()?.trim();
        // Some senders leave the encoding out.
        if text.starts_with(['[', '{']) {
            return Some(text.to_owned());
        }
        // As forms are encoded: a plus is a space.
        percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "12345678901234567890123456789012";
    const PLAIN: &str = r#"[{"amt":"12.00","action":"1"}]"#;
    const SECRET: &str = "B1602398B4D46D8D3FC2BE9BE0B38C7DE72A936F81D0C3FA28E1E093CC27575215667A30C4E74E96920662801D49AE2D520319F98A5CAF23DF78A8DC11935B4C";

    fn key() -> Key {
        Key::parse(KEY).unwrap()
    }

    /// The guide's key; the digits were made with another implementation.
    #[test]
    fn it_is_the_published_form() {
        assert_eq!(key().encrypt(PLAIN).as_deref(), Some(SECRET));
        assert_eq!(key().decrypt(SECRET).as_deref(), Some(PLAIN));
        assert_eq!(key().decrypt(&SECRET.to_lowercase()).as_deref(), Some(PLAIN));
    }

    #[test]
    fn what_another_key_made_or_somebody_cut_is_nothing() {
        let other = Key::parse(&KEY.replace('1', "x")).unwrap();
        assert_ne!(other.decrypt(SECRET).as_deref(), Some(PLAIN));
        for wrong in ["", "zz", "B1", &SECRET[..SECRET.len() - 2], &SECRET[..SECRET.len() - 32], "مرحبا"]
        {
            assert_ne!(key().decrypt(wrong).as_deref(), Some(PLAIN), "{wrong}");
        }
        assert!(Key::parse("short").is_none() && Key::parse(&"k".repeat(33)).is_none());
    }

    #[test]
    fn spaces_come_back_however_they_were_written() {
        let plain = r#"[{"result":"NOT CAPTURED","udf1":"a+b"}]"#;
        assert_eq!(key().decrypt(&key().encrypt(plain).unwrap()).as_deref(), Some(plain));
    }
}
