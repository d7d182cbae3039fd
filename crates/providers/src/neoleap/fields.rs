//! The gateway's JSON: an object in a list, at times inside a text, with names in any case and numbers longer than a
//! float holds.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Objects inside texts inside lists: no message goes deeper.
const DEPTH: u8 = 4;

/// An object's fields, as texts by their names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// The object, or the first one of a list, also when the JSON of it is a text.
    pub fn parse(json: &str) -> Option<Self> {
        object(json, DEPTH).map(Self)
    }

    /// Of a form or a query.
    pub fn of_pairs<'a>(
        pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
    ) -> Self {
        Self(pairs.map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect())
    }

    /// What there is by a name. Empty, null and the text `null` are nothing; numbers are as they were written.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = self.0.get(&name.to_lowercase())?.trim();
        (!value.is_empty() && !value.eq_ignore_ascii_case("null")).then(|| value.to_owned())
    }

    /// An object inside.
    pub fn nested(&self, name: &str) -> Option<Self> {
        Self::parse(self.0.get(&name.to_lowercase())?)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_lowercase())
    }
}

fn object(json: &str, depth: u8) -> Option<BTreeMap<String, String>> {
    let (json, depth) = (json.trim(), depth.checked_sub(1)?);
    match json.as_bytes().first()? {
        b'[' => object(serde_json::from_str::<Vec<&RawValue>>(json).ok()?.first()?.get(), depth),
        b'"' => object(&serde_json::from_str::<String>(json).ok()?, depth),
        b'{' => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
            Some(fields.into_iter().map(|(name, value)| (name.to_lowercase(), text(value.get()))).collect())
        }
        _ => None,
    }
}

/// A text's content; of anything else its JSON.
fn text(raw: &str) -> String {
    serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
}

/// `12.00` of 1200.
pub fn amount_text(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, (minor % 100).abs())
}

/// 1200 of `12.00`, `12.0` and `12`.
pub fn minor_units(text: &str) -> Option<i64> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let (part, rest) = part.split_at_checked(2).unwrap_or((part, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || rest.bytes().any(|byte| byte != b'0') {
        return None;
    }
    format!("{whole}{part:0<2}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_however_it_is_wrapped() {
        let plain = r#"{"PaymentID":100202110000000001,"amt":70.0,"udf1":"null","udf2":null,"ref":" 12 "}"#;
        let listed = format!("[{plain}]");
        let quoted = serde_json::to_string(&listed).unwrap();
        for json in [plain, &listed, &quoted, &format!("[{quoted}]")] {
            let fields = Fields::parse(json).unwrap();
            // Beyond 2^53 a float would have rounded it.
            assert_eq!(fields.get("paymentId").as_deref(), Some("100202110000000001"), "{json}");
            assert_eq!(fields.get("AMT").as_deref(), Some("70.0"));
            assert_eq!(fields.get("ref").as_deref(), Some("12"));
            assert_eq!((fields.get("udf1"), fields.get("udf2"), fields.get("udf3")), (None, None, None));
        }
        let deep = r#"{"payLoad":"[{\"trackId\":\"7\"}]"}"#;
        assert_eq!(
            Fields::parse(deep).unwrap().nested("payload").unwrap().get("trackid").as_deref(),
            Some("7")
        );
        for wrong in ["", "[]", "7", "[[[[[{}]]]]]", "{", "null", "[null]"] {
            assert_eq!(Fields::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn amounts_are_compared_in_minor_units() {
        for text in ["12.00", "12.0", "12", "12.", " 12.000 "] {
            assert_eq!(minor_units(text), Some(1_200), "{text}");
        }
        assert_eq!((minor_units("0.05"), minor_units("70.5")), (Some(5), Some(7_050)));
        for text in ["", ".5", "-1", "1e3", "12.345", "1,000.00", "٧", "99999999999999999999"] {
            assert_eq!(minor_units(text), None, "{text}");
        }
        assert_eq!((amount_text(1_205), amount_text(5)), ("12.05".into(), "0.05".into()));
    }
}
