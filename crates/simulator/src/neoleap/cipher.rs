//! AES-256-CBC as the gateway's guide has it.

use std::fmt::Write as _;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use url::form_urlencoded;

const VECTOR: &[u8; 16] = b"PGKEYENCDECIVSPC";

fn key(text: &str) -> Option<UnboundCipherKey> {
    UnboundCipherKey::new(&AES_256, text.as_bytes()).ok()
}

pub(super) fn encrypt(resource_key: &str, json: &str) -> Option<String> {
    let mut bytes: Vec<u8> = form_urlencoded::byte_serialize(json.as_bytes()).collect::<String>().into();
    let context = EncryptionContext::Iv128(FixedLength::from(VECTOR));
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(key(resource_key)?).ok()?;
    cipher.less_safe_encrypt(&mut bytes, context).ok()?;
    Some(bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02X}");
        digits
    }))
}

pub(super) fn decrypt(resource_key: &str, digits: &str) -> Option<String> {
    let mut bytes = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(key(resource_key)?).ok()?;
    let plain = cipher.decrypt(&mut bytes, DecryptionContext::Iv128(FixedLength::from(VECTOR))).ok()?;
    // A form of one nameless value.
    let form = [b"=", &*plain].concat();
    form_urlencoded::parse(&form).next().map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_form() {
        let key = "12345678901234567890123456789012";
        let plain = r#"[{"amt":"12.00","action":"1"}]"#;
        let secret = "B1602398B4D46D8D3FC2BE9BE0B38C7DE72A936F81D0C3FA28E1E093CC27575215667A30C4E74E96920662801D49AE2D520319F98A5CAF23DF78A8DC11935B4C";
        assert_eq!(encrypt(key, plain).as_deref(), Some(secret));
        assert_eq!(decrypt(key, secret).as_deref(), Some(plain));
    }
}
