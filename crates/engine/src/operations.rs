//! How an organisation wants its operations to run: `settings.operations`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kabar_domain::{OrganisationId, UserId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::rules;

const FIELD: &str = "settings.operations";

/// What is not said has its default.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, as the setting's name has it"
)]
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationsSettings {
    /// Items that are sure enough become records by themselves.
    pub auto_convert: bool,
    /// How sure that is, 0 to 1.
    pub threshold: f64,
    /// Reporters are told the number of their case.
    pub acknowledge: bool,
    /// Reporters are asked where it is, when that is not clear.
    pub confirm: bool,
    /// `STATUS P-2026-000123` and `HELP` are answered.
    pub commands: bool,
    /// Reporters are told when their case is resolved or closed.
    pub closing_notes: bool,
    /// Minutes of the site's day at which supervisors get their digest; null for never.
    #[serde(deserialize_with = "time_of_day")]
    pub digest_at: Option<u16>,
    /// WhatsApp numbers of supervisors who want it as a message, by their ids; the others get an e-mail.
    pub digest_to: BTreeMap<String, String>,
    /// An approved template for what is said outside the 24-hour window; its one variable is the text.
    pub template: Option<String>,
    pub response_hours: ResponseHours,
    pub flood: Flood,
    pub ai: AiSettings,
}

/// Hours from the report until a problem is due, by severity: operating hours, but for critical ones.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseHours {
    pub critical: f64,
    pub high: f64,
    pub medium: f64,
    pub low: f64,
}

/// Items in one window that come singly; those over it are gathered in a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flood {
    /// Of one person in groups.
    pub per_number: i64,
    /// Problems of one person in a direct chat.
    pub per_direct_number: i64,
    pub per_channel: i64,
    pub window_minutes: u32,
}

/// The organisation's use of a model service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AiSettings {
    /// Whether messages may go to the service; unset, they may when the organisation names one of its own.
    pub enabled: Option<bool>,
    /// An OpenAI-compatible service of the organisation's own; else the server's.
    pub base_url: Option<String>,
    pub model: Option<String>,
    /// Kept sealed, and never shown.
    pub api_key: Option<String>,
}

impl Default for OperationsSettings {
    fn default() -> Self {
        Self {
            auto_convert: true,
            threshold: 0.85,
            acknowledge: false,
            confirm: false,
            commands: false,
            closing_notes: false,
            digest_at: Some(7 * 60),
            digest_to: BTreeMap::new(),
            template: None,
            response_hours: ResponseHours::default(),
            flood: Flood::default(),
            ai: AiSettings::default(),
        }
    }
}

impl Default for ResponseHours {
    fn default() -> Self {
        Self { critical: 1.0, high: 4.0, medium: 24.0, low: 72.0 }
    }
}

impl Default for Flood {
    fn default() -> Self {
        Self { per_number: 30, per_direct_number: 10, per_channel: 300, window_minutes: 10 }
    }
}

fn time_of_day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let minutes = text.split_once(':').and_then(|(hours, minutes)| {
        let two = |text: &str| {
            (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u16>().ok())?
        };
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    });
    minutes.map(Some).ok_or_else(|| serde::de::Error::custom("it must be a time of day, as 07:00"))
}

impl OperationsSettings {
    /// Those of an organisation's `settings`. What was stored before there were rules counts as not said.
    pub fn of(settings: &Value) -> Self {
        let Some(operations) = settings.get("operations") else { return Self::default() };
        Self::deserialize(operations).unwrap_or_default()
    }

    /// Adds what is wrong with `settings.operations`.
    pub(crate) fn check(invalid: &mut Invalid, settings: &Value) {
        let Some(operations) = settings.get("operations").filter(|operations| !operations.is_null()) else {
            return;
        };
        let read: Result<Self, _> = serde_path_to_error::deserialize(operations);
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                let path = error.path().to_string();
                let field = if path == "." { FIELD.to_owned() } else { format!("{FIELD}.{path}") };
                return invalid.add(&field, format!("The {field} field is invalid: {}.", error.inner()));
            }
        };
        for (user, number) in &read.digest_to {
            if user.parse::<UserId>().is_err() || rules::phone_digits(number).is_none() {
                let field = format!("{FIELD}.digest_to.{user}");
                let must = "must be the WhatsApp number of a member, by their id";
                invalid.add(&field, format!("The {field} field {must}."));
            }
        }
        let mut rule = |field: &str, holds: bool, must: &str| {
            if !holds {
                let field = format!("{FIELD}.{field}");
                invalid.add(&field, format!("The {field} field must be {must}."));
            }
        };
        rule("threshold", (0.0..=1.0).contains(&read.threshold), "between 0 and 1");
        let hours = read.response_hours;
        for (name, hours) in
            [("critical", hours.critical), ("high", hours.high), ("medium", hours.medium), ("low", hours.low)]
        {
            let holds = hours > 0.0 && hours <= 8_760.0;
            rule(&format!("response_hours.{name}"), holds, "more than 0 and at most 8760 hours");
        }
        let flood = read.flood;
        for (name, limit) in [
            ("per_number", flood.per_number),
            ("per_direct_number", flood.per_direct_number),
            ("per_channel", flood.per_channel),
        ] {
            rule(&format!("flood.{name}"), (1..=1_000_000).contains(&limit), "between 1 and 1000000");
        }
        let minutes = (1..=1_440).contains(&flood.window_minutes);
        rule("flood.window_minutes", minutes, "between 1 and 1440");
        let url = read.ai.base_url.as_deref().is_none_or(|text| {
            url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        });
        rule("ai.base_url", url, "an http or https URL");
    }
}

/// What stands for a key in answers, and for the one there is in requests.
const KEPT: &str = "(set)";
const SEALED: &str = "sealed:";
const KEY: &str = "/operations/ai/api_key";
const SERVICE: &str = "/operations/ai/base_url";

/// Settings as they are shown: without the model service's key.
pub fn shown(mut settings: Value) -> Value {
    if let Some(key) = settings.pointer_mut(KEY).filter(|key| key.is_string()) {
        *key = KEPT.into();
    }
    settings
}

fn context(organisation: OrganisationId) -> String {
    format!("organisations/{organisation}/ai")
}

impl Engine {
    /// Seals the model service's key in settings that are about to be written; the one of `before` may be kept, for the
    /// same service.
    pub(crate) fn seal_ai_key(
        &self,
        organisation: OrganisationId,
        settings: &mut Value,
        before: Option<&Value>,
    ) -> Result<()> {
        let moved = before.is_some_and(|before| before.pointer(SERVICE) != settings.pointer(SERVICE));
        let Some(key) = settings.pointer_mut(KEY) else { return Ok(()) };
        let Some(given) = key.as_str() else { return Ok(()) };
        *key = if given == KEPT {
            if moved {
                return Err(Invalid::one(
                    "settings.operations.ai.api_key",
                    "Give the API key again: the one that is kept is for another base_url.",
                ));
            }
            before.and_then(|before| before.pointer(KEY)).cloned().unwrap_or_default()
        } else {
            let sealed = self.key.seal(&context(organisation), given.as_bytes())?;
            format!("{SEALED}{}", STANDARD.encode(sealed)).into()
        };
        Ok(())
    }

    pub(crate) fn open_ai_key(&self, organisation: OrganisationId, sealed: &str) -> Option<String> {
        let sealed = STANDARD.decode(sealed.strip_prefix(SEALED)?).ok()?;
        String::from_utf8(self.key.open(&context(organisation), &sealed).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong(operations: &Value) -> Vec<String> {
        let mut invalid = Invalid::default();
        OperationsSettings::check(&mut invalid, &json!({ "operations": operations }));
        invalid.errors.into_keys().collect()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let settings = OperationsSettings::of(&json!({"operations": {"flood": {"per_number": 5}}}));
        assert_eq!((settings.flood.per_number, settings.flood.per_channel), (5, 300));
        assert_eq!((settings.threshold, settings.digest_at), (0.85, Some(420)));
        assert_eq!(OperationsSettings::of(&json!({})), OperationsSettings::default());
        assert_eq!(OperationsSettings::of(&json!({"operations": 7})), OperationsSettings::default());
        let never = OperationsSettings::of(&json!({"operations": {"digest_at": null}}));
        assert_eq!(never.digest_at, None);
    }

    #[test]
    fn errors_name_the_setting() {
        assert!(wrong(&json!({})).is_empty() && wrong(&Value::Null).is_empty());
        for (given, field) in [
            (json!({"threshold": 1.5}), "settings.operations.threshold"),
            (json!({"threshold": "high"}), "settings.operations.threshold"),
            (json!({"digest_at": "7 am"}), "settings.operations.digest_at"),
            (json!({"digest_at": "24:00"}), "settings.operations.digest_at"),
            (json!({"flood": {"per_number": 0}}), "settings.operations.flood.per_number"),
            (json!({"response_hours": {"low": -1}}), "settings.operations.response_hours.low"),
            (json!({"ai": {"base_url": "file:///etc/passwd"}}), "settings.operations.ai.base_url"),
        ] {
            assert_eq!(wrong(&given), [field]);
        }
        assert_eq!(wrong(&json!({"treshold": 0.5})).len(), 1, "a misspelt name is not passed over");
    }
}
