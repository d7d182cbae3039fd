//! Taking things out of a JSON tree, and the forms Meta writes them in.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;
use kabar_domain::clock::Timestamp;
use serde_json::{Map, Value};

use crate::hex::hex;

pub(super) type Object = Map<String, Value>;

/// 2100-01-01T00:00:00Z in microseconds. What claims to be later would lead every list for ever.
const LATEST: i64 = 4_102_444_800_000_000;

/// Reads a whole body. NUL characters go: they say nothing and PostgreSQL cannot hold them in text. Half
/// surrogate pairs (`\ud83d` alone, from an emoji cut in two) become U+FFFD rather than spoil the body.
pub(super) fn read(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("the body is not UTF-8: {error}"))?;
    let mut value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => mend_surrogates(text)
            .and_then(|mended| serde_json::from_str(&mended).ok())
            .ok_or_else(|| format!("the body is not JSON: {error}"))?,
    };
    if text.contains("\\u0000") {
        strip_nul(&mut value);
    }
    Ok(value)
}

pub(super) fn strip_nul(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|c| c != '\0'),
        Value::Array(items) => items.iter_mut().for_each(strip_nul),
        Value::Object(object) => {
            object.values_mut().for_each(strip_nul);
            if object.keys().any(|key| key.contains('\0')) {
                *object =
                    std::mem::take(object).into_iter().map(|(key, v)| (key.replace('\0', ""), v)).collect();
            }
        }
        _ => {}
    }
}

/// `text` with each `\uD800`–`\uDFFF` escape that has no partner replaced; `None` when there is none.
fn mend_surrogates(text: &str) -> Option<String> {
    let unit = |at: usize| -> Option<u32> {
        let escape = text.get(at..at + 6)?;
        u32::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    let mut mended = String::new();
    let (mut done, mut at) = (0, 0);
    while let Some(found) = text.get(at..)?.find('\\') {
        at += found;
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(&text[done..at]);
                mended.push_str("\\ufffd");
                at += 6;
                done = at;
            }
            Some(_) => at += 6,
            // Any other escape: the backslash and the character after it.
            None => at += 1 + text.get(at + 1..)?.chars().next().map_or(0, char::len_utf8),
        }
    }
    mended.push_str(&text[done..]);
    (done > 0).then_some(mended)
}

/// How deep a tree is, counted to `limit`.
pub(super) fn deeper_than(value: &Value, limit: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if limit == 0 => true,
        Value::Array(items) => items.iter().any(|item| deeper_than(item, limit - 1)),
        Value::Object(object) => object.values().any(|item| deeper_than(item, limit - 1)),
        _ => false,
    }
}

/// Takes a text that is not empty. A number is as good: Meta writes some ids either way.
pub(super) fn take_text(object: &mut Object, key: &str) -> Option<String> {
    match object.get_mut(key)? {
        Value::String(text) => Some(std::mem::take(text)).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// [`take_text`] that leaves the text where it is.
pub(super) fn copy_text(object: &Object, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A text that is not empty.
pub(super) fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str().filter(|text| !text.is_empty())
}

pub(super) fn object<'a>(parent: &'a Object, key: &str) -> Option<&'a Object> {
    parent.get(key)?.as_object()
}

pub(super) fn take_object(parent: &mut Object, key: &str) -> Option<Object> {
    match parent.get_mut(key)? {
        Value::Object(object) => Some(std::mem::take(object)),
        _ => None,
    }
}

/// Takes a list. `Ok(None)` when it is absent or null, `Err` when it is something else.
pub(super) fn take_list(parent: &mut Object, key: &str) -> Result<Option<Vec<Value>>, String> {
    match parent.get_mut(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(std::mem::take(items))),
        Some(other) => Err(format!("`{key}` is {}, not a list", name_of(other))),
    }
}

pub(super) fn into_object(value: Value, what: &str) -> Result<Object, String> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(format!("{what} is {}, not an object", name_of(&other))),
    }
}

pub(super) const fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// UNIX time, in seconds or milliseconds, as a string or a number.
pub(super) fn timestamp(value: Option<&Value>) -> Result<Timestamp, String> {
    let unix = match value {
        None | Some(Value::Null) => return Err("there is no timestamp".to_owned()),
        Some(Value::String(text)) => text.trim().parse::<i64>().ok(),
        Some(Value::Number(number)) => {
            number.as_i64().or_else(|| number.as_f64().filter(|n| n.abs() < 1e15).map(|n| n as i64))
        }
        Some(_) => None,
    };
    let time = unix.map(Timestamp::from_unix).ok_or("the timestamp is not a UNIX time")?;
    if (0..LATEST).contains(&time.as_micros()) {
        Ok(time)
    } else {
        Err("the timestamp is before 1970 or after 2100".to_owned())
    }
}

/// The digits of a phone number, however it is spelt; `None` when it has none.
pub(super) fn digits(mut phone: String) -> Option<String> {
    phone.retain(|c| c.is_ascii_digit());
    (!phone.is_empty()).then_some(phone)
}

/// Base64 without regard to padding, which some gateways drop.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// A SHA-256 in lowercase hexadecimal, given in base64 (webhooks) or hexadecimal (some samples, the media
/// endpoint).
pub(in crate::whatsapp) fn sha256_hex(mut hash: String) -> Option<String> {
    if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        hash.make_ascii_lowercase();
        return Some(hash);
    }
    let mut bytes = [0; 36];
    let length = BASE64.decode_slice(hash.as_bytes(), &mut bytes).ok()?;
    (length == 32).then(|| hex(&bytes[..32]))
}

/// Language codes in one spelling: `en-US` and `en_US` are both seen for one template.
pub(in crate::whatsapp) fn language(code: String) -> String {
    if code.contains('-') { code.replace('-', "_") } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hashes_become_hexadecimal() {
        let bytes: Vec<u8> = (0..32).collect();
        let padded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        assert_eq!(sha256_hex(padded.clone()), Some(hex(&bytes)));
        assert_eq!(sha256_hex(padded.trim_end_matches('=').to_owned()), Some(hex(&bytes)));
        assert_eq!(sha256_hex(hex(&bytes).to_uppercase()), Some(hex(&bytes)));
        assert_eq!(sha256_hex("bm9wZQ==".to_owned()), None);
        assert_eq!(sha256_hex("x".repeat(10_000)), None);
    }

    #[test]
    fn times_come_in_several_forms() {
        let expected = Timestamp::from_unix(1_749_416_383);
        for form in
            [json!("1749416383"), json!(1_749_416_383), json!("1749416383000"), json!(1_749_416_383.0)]
        {
            assert_eq!(timestamp(Some(&form)), Ok(expected), "{form}");
        }
        for form in
            [json!("soon"), json!(""), json!(-5), json!(null), json!([]), json!("99999999999999999999")]
        {
            assert!(timestamp(Some(&form)).is_err(), "{form}");
        }
        assert!(timestamp(Some(&json!(90_000_000_000_i64))).is_err());
        assert!(timestamp(Some(&json!(i64::MAX))).is_err());
        assert!(timestamp(None).is_err());
    }

    #[test]
    fn what_a_database_cannot_hold_is_taken_out() {
        let value = read(br#"{"a\u0000b":"x\u0000y","c":["\u0000"]}"#).unwrap();
        assert_eq!(value, json!({"ab": "xy", "c": [""]}));
        let value = read(br#"{"half":"\ud83d!","pair":"\ud83d\ude00","tail":"\\ud83d \udc00"}"#).unwrap();
        assert_eq!(value, json!({"half": "\u{fffd}!", "pair": "😀", "tail": "\\ud83d \u{fffd}"}));
        assert!(read(br#"{"half":"\ud83d"#).is_err());
        assert!(read(b"\xff").is_err());
    }
}
