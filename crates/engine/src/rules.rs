//! Rules that fields of many operations share, in the wording clients know.

use serde_json::{Map, Value as Json};

use crate::error::Invalid;

fn label(field: &str) -> String {
    field.replace('_', " ")
}

/// Text of at most `max` characters that both databases can hold.
pub(crate) fn text(invalid: &mut Invalid, field: &str, text: &str, max: usize) {
    if text.contains('\0') {
        invalid.add(field, format!("The {} field must not contain null characters.", label(field)));
    }
    if text.chars().nth(max).is_some() {
        invalid.add(field, format!("The {} field must not be greater than {max} characters.", label(field)));
    }
}

/// [`text`], trimmed; required. Empty counts as absent.
pub(crate) fn required(invalid: &mut Invalid, field: &str, value: Option<String>, max: usize) -> String {
    let value = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    invalid.require(field, value.is_some());
    let value = value.unwrap_or_default();
    text(invalid, field, &value, max);
    value
}

/// [`text`], trimmed; empty counts as absent.
pub(crate) fn optional(
    invalid: &mut Invalid,
    field: &str,
    value: Option<String>,
    max: usize,
) -> Option<String> {
    let value = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())?;
    text(invalid, field, &value, max);
    Some(value)
}

/// A JSON object of at most `max` bytes. An empty list passes for an empty object: some languages write it so.
pub(crate) fn object(invalid: &mut Invalid, field: &str, value: Json, max: usize) -> Json {
    let value = match value {
        Json::Array(list) if list.is_empty() => Json::Object(Map::new()),
        value => value,
    };
    if !value.is_object() {
        invalid.add(field, format!("The {} field must be an object.", label(field)));
    } else if value.to_string().len() > max {
        invalid.add(
            field,
            format!("The {} field must not be greater than {} kilobytes.", label(field), max / 1024),
        );
    }
    value
}

/// A value that is none of those a field can have, as `The selected platform is invalid.`
pub(crate) fn selected(invalid: &mut Invalid, field: &str) {
    invalid.add(field, format!("The selected {} is invalid.", label(field)));
}

/// `The phone number id has already been taken.`
pub(crate) fn taken(invalid: &mut Invalid, field: &str) {
    invalid.add(field, format!("The {} has already been taken.", label(field)));
}

/// Phone digits of a number written with `+`, spaces, dashes, dots or parentheses; `None` when it is no number.
pub(crate) fn phone_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let digits: String = text
        .strip_prefix('+')
        .unwrap_or(text)
        .chars()
        .filter(|letter| !matches!(letter, ' ' | '-' | '.' | '(' | ')' | '\u{a0}'))
        .collect();
    ((5..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_however_people_write_them() {
        for text in ["966500000000", "+966 50-000 00 00", " +966 (50) 000.0000 "] {
            assert_eq!(phone_digits(text).as_deref(), Some("966500000000"), "{text}");
        }
        for text in ["", "+", "1234", "not a number", "+966+50", "٩٦٦٥٠٠٠٠", &"1".repeat(21)] {
            assert_eq!(phone_digits(text), None, "{text}");
        }
    }

    #[test]
    fn an_object_is_an_object() {
        let mut invalid = Invalid::default();
        assert_eq!(object(&mut invalid, "profile", serde_json::json!([]), 64), serde_json::json!({}));
        assert_eq!(invalid, Invalid::default());
        for wrong in
            [serde_json::json!([1]), serde_json::json!("text"), serde_json::json!({"a": "x".repeat(64)})]
        {
            let mut invalid = Invalid::default();
            object(&mut invalid, "profile", wrong, 64);
            assert!(invalid.errors.contains_key("profile"));
        }
    }
}
