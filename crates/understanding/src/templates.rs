//! Structured messages: `#problem` and fields with labels, in three languages, tolerant of how people write them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::classify::Class;
use crate::language::Language;
use crate::text::{Kind as TokenKind, Text};

/// What a field may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FieldKind {
    #[default]
    Text,
    /// Digits of either script, `.` or `,` before decimals, a unit after it.
    Number,
    /// `2026-03-01`, `1/3/2026`, `1 Maret 2026`, `today`, `kemarin`, `أمس`, …
    Date,
    /// One of these, however spelt.
    OneOf { options: Vec<String> },
    /// low, medium, high, critical, and their names in three languages.
    Severity,
}

/// A field of a structured message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The key under which its value is given back.
    pub name: String,
    /// The first is what a rendered message says; all are understood.
    pub labels: Vec<String>,
    #[serde(default)]
    pub required: bool,
    #[serde(flatten)]
    pub kind: FieldKind,
}

/// How a structured message looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub name: String,
    #[serde(default)]
    pub language: Language,
    /// `#problem`, `#masalah`, …: any of them at the start names the template.
    #[serde(default)]
    pub markers: Vec<String>,
    /// What a message of this form is; the text decides where there is none.
    #[serde(default)]
    pub class: Option<Class>,
    pub fields: Vec<Field>,
}

/// What a field holds that is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldError {
    Missing,
    NotANumber,
    NotADate,
    NotAnOption,
    NotASeverity,
}

/// A structured message, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Parsed {
    /// The definition's name.
    pub template: String,
    #[serde(skip)]
    pub class: Option<Class>,
    pub fields: BTreeMap<String, String>,
    pub errors: BTreeMap<String, FieldError>,
}

/// Whether a message is a well-formed structured one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Validity {
    pub valid: bool,
    pub missing: Vec<String>,
    pub errors: BTreeMap<String, FieldError>,
}

/// The built-in definitions: `problem` and `update`, each in three languages.
pub fn built_in() -> &'static [Definition] {
    static BUILT_IN: OnceLock<Vec<Definition>> = OnceLock::new();
    BUILT_IN.get_or_init(Vec::new)
}

/// Takes a structured message apart; `None` for free text. Without `definitions` the built-in ones count; `wanted`
/// allows one name only.
pub fn parse(text: &str, definitions: &[Definition], wanted: Option<&str>) -> Option<Parsed> {
    let definitions = if definitions.is_empty() { built_in() } else { definitions };
    let start = Text::verbatim(text.lines().next()?);
    let marked = start.tokens().first().is_some_and(|token| token.kind == TokenKind::Mark);
    let definition =
        definitions.iter().find(|definition| wanted.is_none_or(|wanted| definition.name == wanted))?;
    marked.then(|| Parsed { template: definition.name.clone(), class: definition.class, ..Parsed::default() })
}

/// Checks a structured message; free text is not valid.
pub fn validate(text: &str, definitions: &[Definition], wanted: Option<&str>) -> Validity {
    let Some(parsed) = parse(text, definitions, wanted) else { return Validity::default() };
    let missing: Vec<String> = parsed
        .errors
        .iter()
        .filter(|(_, error)| **error == FieldError::Missing)
        .map(|(name, _)| name.clone())
        .collect();
    Validity { valid: parsed.errors.is_empty(), missing, errors: parsed.errors }
}

/// The message that a definition and its values make.
pub fn render(definition: &Definition, fields: &BTreeMap<String, String>) -> String {
    let mut message = definition.markers.first().cloned().unwrap_or_default();
    for field in &definition.fields {
        if let (Some(label), Some(value)) = (field.labels.first(), fields.get(&field.name)) {
            message.extend(["\n", label, ": ", value]);
        }
    }
    message
}
