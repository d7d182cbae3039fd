//! Structured messages: `#problem` and fields with labels, in three languages, tolerant of how people write them.
//!
//! ```
//! use kabar_understanding::templates::{parse, validate};
//!
//! let text = "#masalah\n*Lokasi*: gd A lt 2\n- Masalah = AC bocor,\n  airnya sampai lantai\nTingkat: tinggi";
//! let parsed = parse(text, &[], None).ok_or("free text")?;
//! assert_eq!(parsed.template, "problem");
//! assert_eq!(parsed.fields["location"], "gd A lt 2");
//! assert_eq!(parsed.fields["problem"], "AC bocor,\nairnya sampai lantai");
//! assert_eq!(parsed.fields["severity"], "high");
//!
//! assert_eq!(validate("#problem\nLocation: lobby", &[], None).missing, ["problem"]);
//! assert_eq!(parse("the lobby is dark", &[], None), None);
//! # Ok::<(), &str>(())
//! ```

mod built_in;
mod read;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::classify::Class;
use crate::language::Language;

pub use built_in::built_in;
pub use read::{SUBJECTS, parse, render, validate};

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
    /// The definition's name; none for free text.
    pub template: Option<String>,
    pub missing: Vec<String>,
    pub errors: BTreeMap<String, FieldError>,
}

#[cfg(test)]
mod tests;
