//! What a widget's configuration may hold.

use std::collections::HashSet;

use kabar_domain::widget::{Appearance, Field, Languages, Texts};
use serde_json::Value as Json;

use super::{Widget, origins};
use crate::error::Invalid;
use crate::organisations::validate;
use crate::patch::Patch;
use crate::rules;

const NAME: usize = 255;
/// Origins, languages and fields at most.
const ORIGINS: usize = 50;
const LANGUAGES: usize = 30;
const FIELDS: usize = 10;
const LABEL: usize = 80;

/// A widget to make, or what changes in one; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct WidgetFields {
    pub slug: Patch<String>,
    pub name: Patch<String>,
    pub enabled: Option<bool>,
    pub allowed_origins: Patch<Vec<String>>,
    pub appearance: Patch<Appearance>,
    pub texts: Patch<Languages<Texts>>,
    pub default_language: Patch<String>,
    pub fields: Patch<Vec<Field>>,
    pub operating_hours: Patch<Json>,
    pub whatsapp_channel_id: Patch<String>,
    pub archived: Option<bool>,
}

fn is_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The form of a language tag: `id`, `pt-BR`.
pub(super) fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_lowercase())
        && tag.len() <= 35
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

fn is_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    key.len() <= 40
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Fields of the contact itself, for which Kabar has words.
pub(super) const KNOWN: [&str; 3] = ["name", "email", "phone"];

fn appearance(invalid: &mut Invalid, look: &Appearance) {
    let mut colour = |field: &str, text: Option<&String>| {
        if text.is_some_and(|text| !is_colour(text)) {
            let field = format!("appearance.{field}");
            invalid
                .add(&field, format!("The {} field must be a colour as #0f766e.", field.replace('_', " ")));
        }
    };
    colour("accent", Some(&look.accent));
    colour("accent_text", look.accent_text.as_ref());
}

fn languages<T>(invalid: &mut Invalid, field: &str, all: &Languages<T>) {
    if all.len() > LANGUAGES {
        invalid.add(field, format!("The {field} field must not have more than {LANGUAGES} languages."));
    }
    for tag in all.keys().filter(|tag| !is_language(tag)) {
        let shown: String = tag.chars().take(40).collect();
        invalid.add(field, format!("`{shown}` is no language; use tags as id, ar or pt-BR."));
    }
}

fn texts(invalid: &mut Invalid, all: &mut Languages<Texts>) {
    languages(invalid, "texts", all);
    for (tag, texts) in all.iter_mut() {
        for (name, text, longest) in [
            ("title", &mut texts.title, 80),
            ("greeting", &mut texts.greeting, 1_000),
            ("offline", &mut texts.offline, 1_000),
            ("placeholder", &mut texts.placeholder, 120),
        ] {
            *text = rules::optional(invalid, &format!("texts.{tag}.{name}"), text.take(), longest);
        }
    }
}

fn asked(invalid: &mut Invalid, fields: &mut [Field]) {
    if fields.len() > FIELDS {
        invalid.add("fields", format!("The fields field must not have more than {FIELDS} items."));
    }
    let mut seen = HashSet::new();
    for (index, field) in fields.iter_mut().enumerate() {
        let name = format!("fields.{index}.key");
        if !is_key(&field.key) {
            invalid
                .add(&name, format!("The {name} field must be lower-case letters, digits and underscores."));
        } else if !seen.insert(field.key.clone()) {
            invalid.add(&name, format!("The {name} field has a duplicate value."));
        }
        let name = format!("fields.{index}.label");
        languages(invalid, &name, &field.label);
        for label in field.label.values() {
            rules::text(invalid, &name, label, LABEL);
        }
        field.label.retain(|_, label| !label.trim().is_empty());
        if field.label.is_empty() && !KNOWN.contains(&field.key.as_str()) {
            invalid.add(&name, format!("The {name} field is required."));
        }
    }
}

fn allowed(invalid: &mut Invalid, given: &[String]) -> Vec<String> {
    let mut allowed: Vec<String> = Vec::with_capacity(given.len());
    for (index, text) in given.iter().enumerate() {
        match origins::origin(text) {
            Some(origin) if allowed.contains(&origin) => {}
            Some(origin) => allowed.push(origin),
            None => invalid.add(
                &format!("allowed_origins.{index}"),
                format!(
                    "The allowed_origins.{index} field must be an origin as https://shop.example or https://*.example.com, without a path."
                ),
            ),
        }
    }
    if allowed.len() > ORIGINS {
        invalid.add(
            "allowed_origins",
            format!("The allowed origins field must not have more than {ORIGINS} items."),
        );
    }
    allowed
}

impl WidgetFields {
    /// Puts what was given into a widget, except for whether it is in use.
    pub(super) fn apply(self, invalid: &mut Invalid, widget: &mut Widget) {
        if let Patch::Set(slug) = self.slug {
            widget.slug = validate::slug(invalid, slug);
        }
        if let Patch::Set(name) = self.name {
            widget.name = rules::required(invalid, "name", name, NAME);
        }
        widget.enabled = self.enabled.unwrap_or(widget.enabled);
        if let Patch::Set(given) = self.allowed_origins {
            widget.allowed_origins = allowed(invalid, &given.unwrap_or_default());
        }
        if let Patch::Set(look) = self.appearance {
            widget.appearance = look.unwrap_or_default();
            appearance(invalid, &widget.appearance);
        }
        if let Patch::Set(given) = self.texts {
            widget.texts = given.unwrap_or_default();
            texts(invalid, &mut widget.texts);
        }
        if let Patch::Set(language) = self.default_language {
            widget.default_language = language.unwrap_or_else(|| super::strings::ENGLISH.into());
            if !is_language(&widget.default_language) {
                rules::selected(invalid, "default_language");
            }
        }
        if let Patch::Set(given) = self.fields {
            widget.fields = given.unwrap_or_default();
            asked(invalid, &mut widget.fields);
        }
        if let Patch::Set(hours) = self.operating_hours {
            validate::operating_hours(invalid, hours.as_ref());
            widget.operating_hours = hours;
        }
        if let Patch::Set(channel) = self.whatsapp_channel_id {
            let channel = channel.filter(|text| !text.trim().is_empty());
            widget.whatsapp_channel_id = channel.as_deref().and_then(|text| text.trim().parse().ok());
            if channel.is_some() && widget.whatsapp_channel_id.is_none() {
                rules::selected(invalid, "whatsapp_channel_id");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_keys_have_a_form() {
        for right in ["id", "ar", "pt-BR", "zh-Hant-TW", "fil"] {
            assert!(is_language(right), "{right}");
        }
        for wrong in ["", "i", "EN", "en_GB", "en-", "bahasa", "en-toolonganentry"] {
            assert!(!is_language(wrong), "{wrong}");
        }
        assert!(is_key("order_no2") && !is_key("2nd") && !is_key("Name") && !is_key(""));
        assert!(is_colour("#0F766e") && !is_colour("#fff") && !is_colour("teal"));
    }
}
