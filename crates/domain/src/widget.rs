//! Chat widgets: how they look, what they say and what they ask.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Text by language, BCP 47.
pub type Languages<T> = BTreeMap<String, T>;

/// How a widget looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = WidgetAppearance)]
pub struct Appearance {
    /// Of the launcher, the header and the visitor's messages: `#rrggbb`.
    #[schema(pattern = "^#[0-9a-fA-F]{6}$", example = "#0f766e")]
    pub accent: String,
    /// What is written on it; black or white, whichever is easier to read, unless given.
    #[schema(pattern = "^#[0-9a-fA-F]{6}$", example = "#ffffff")]
    pub accent_text: Option<String>,
    pub theme: Theme,
    pub position: Position,
}

impl Default for Appearance {
    fn default() -> Self {
        let (theme, position) = (Theme::Auto, Position::End);
        Self { accent: "#0f766e".into(), accent_text: None, theme, position }
    }
}

impl Appearance {
    /// What is written on the accent.
    pub fn text_on_accent(&self) -> &str {
        self.accent_text.as_deref().unwrap_or_else(|| {
            let luminance = luminance(&self.accent);
            // As much contrast with one as with the other at 0.179 (WCAG 2).
            if luminance > 0.179 { "#000000" } else { "#ffffff" }
        })
    }
}

/// Relative luminance as WCAG 2 defines it, of `#rrggbb`.
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let byte = colour.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
        let share = f64::from(byte) / 255.0;
        if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WidgetTheme)]
pub enum Theme {
    /// As the visitor's system has it.
    #[default]
    Auto,
    Light,
    Dark,
}

/// Which lower corner of the page it sits in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WidgetPosition)]
pub enum Position {
    /// Where lines end: right, in right-to-left languages left.
    #[default]
    End,
    Start,
}

/// What a widget says in one language. What is left out is said in Kabar's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = WidgetTexts)]
pub struct Texts {
    /// Heads the panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 80, nullable = false, example = "PT Sejahtera")]
    pub title: Option<String>,
    /// Stands before the first message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000, nullable = false, example = "Hello! How can we help?")]
    pub greeting: Option<String>,
    /// Stands there instead out of hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000, nullable = false)]
    pub offline: Option<String>,
    /// In the empty field to write in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 120, nullable = false)]
    pub placeholder: Option<String>,
}

/// Something a visitor is asked before the first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WidgetField)]
pub struct Field {
    /// `name`, `email` or `phone` of the contact; any other goes into its custom fields.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,39}$", example = "email")]
    pub key: String,
    /// By language; Kabar has words of its own for `name`, `email` and `phone`.
    #[serde(default)]
    pub label: Languages<String>,
    #[serde(default)]
    pub required: bool,
}

/// The first part of a language tag.
pub fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}

/// Whether a language is written from right to left.
pub fn is_rtl(language: &str) -> bool {
    matches!(primary(language), "ar" | "dv" | "fa" | "he" | "ku" | "ps" | "sd" | "ug" | "ur" | "yi")
}

/// The entry for a language: its own, that of the same language elsewhere, else the default's.
pub fn in_language<'a, T>(all: &'a Languages<T>, language: &str, default: &str) -> Option<&'a T> {
    let of_primary =
        |tag: &str| all.iter().find(|(key, _)| primary(key) == primary(tag)).map(|found| found.1);
    all.get(language).or_else(|| of_primary(language)).or_else(|| all.get(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_the_accent_can_be_read() {
        for (accent, text) in [
            ("#000000", "#ffffff"),
            ("#ffffff", "#000000"),
            ("#0f766e", "#ffffff"),
            ("#25d366", "#000000"),
            ("#ffcc00", "#000000"),
            ("#1d4ed8", "#ffffff"),
        ] {
            let look = Appearance { accent: accent.into(), ..Appearance::default() };
            assert_eq!(look.text_on_accent(), text, "{accent}");
        }
    }

    #[test]
    fn a_language_falls_back_to_its_relatives_and_then_to_the_default() {
        let all = Languages::from([("en".to_owned(), 1), ("pt-BR".to_owned(), 2)]);
        assert_eq!(in_language(&all, "pt-BR", "en"), Some(&2));
        assert_eq!(in_language(&all, "pt", "en"), Some(&2));
        assert_eq!(in_language(&all, "en-GB", "en"), Some(&1));
        assert_eq!(in_language(&all, "fr", "en"), Some(&1));
        assert_eq!(in_language(&all, "fr", "id"), None);
        assert!(is_rtl("ar-EG") && !is_rtl("arn"));
    }
}
