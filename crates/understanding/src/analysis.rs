//! Everything about one message, in one pass.

use serde::Serialize;

use crate::categories::{CategorySource, Suggestion, suggest_default, suggest_text};
use crate::classify::{Class, Classification, Reason, classify_text};
use crate::entities::{Entities, Lists, entities_text};
use crate::language::{Detected, detect};
use crate::matching::Index;
use crate::model::Model;
use crate::severity::{Assessment, Severity, severity_text};
use crate::templates::{Definition, Parsed, parse};
use crate::text::Text;
use crate::vocabulary::Vocabulary;

/// What an organisation knows that helps to read its messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    pub locations: Option<&'a Index>,
    pub things: Option<&'a Index>,
    pub categories: Option<&'a CategorySource>,
    /// Definitions of structured messages; empty for the built-in ones.
    pub templates: &'a [Definition],
}

/// What one message says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    pub classification: Classification,
    /// The language to answer in.
    pub language: Detected,
    /// Of problems only.
    pub severity: Option<Assessment>,
    pub entities: Entities,
    /// Suggested categories, best first: the organisation's own, or the default ones where it has none.
    pub categories: Vec<Suggestion>,
    /// The fields of a structured message. Its template's class then decides the classification.
    pub structured: Option<Parsed>,
}

const SUGGESTIONS: usize = 3;

/// The severity that a structured message gives itself.
fn severity_said(parsed: &Parsed) -> Option<Assessment> {
    let text = parsed.fields.get("severity")?;
    let severity = match text.as_str() {
        "low" => Severity::Low,
        "medium" => Severity::Medium,
        "high" => Severity::High,
        "critical" => Severity::Critical,
        _ => return None,
    };
    let reasons = vec![Reason { text: text.clone(), why: "severity".to_owned(), weight: 1.0 }];
    Some(Assessment { severity, confidence: 1.0, reasons })
}

/// Reads one message.
pub fn analyse(text: &str, context: &Context<'_>) -> Analysis {
    let structured = parse(text, context.templates, None);
    let source = text;
    let text = Text::new(source);
    let scanned = Vocabulary::get().scan(&text);
    let language = detect(&text, &scanned);
    let scores = Model::get().score(&text, &scanned);
    let mut classification = classify_text(&text, &scanned, &scores, language);
    if let Some(class) = structured.as_ref().and_then(|parsed| parsed.class) {
        classification.class = class;
        classification.confidence = 1.0;
    }
    let lists =
        Lists { locations: context.locations, things: context.things, categories: context.categories };
    let said = structured.as_ref().and_then(severity_said);
    let severity = || said.unwrap_or_else(|| severity_text(&text, &scanned, &scores));
    Analysis {
        severity: (classification.class == Class::Problem).then(severity),
        entities: entities_text(&text, &scanned, &lists),
        categories: match context.categories {
            Some(categories) => suggest_text(source, &scanned, categories, SUGGESTIONS),
            None => suggest_default(&scanned, SUGGESTIONS),
        },
        classification,
        language,
        structured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_how_grave_it_is() {
        let level = |text: &str| analyse(text, &Context::default()).severity.map(|found| found.severity);
        assert_eq!(
            level("#masalah\nLokasi: Lobby\nMasalah: lampu mati\nTingkat: kritis"),
            Some(Severity::Critical)
        );
        assert_eq!(level("Lokasi: Lobby\nMasalah: kebakaran besar\nPrioritas: rendah"), Some(Severity::Low));
        assert_eq!(
            level("#masalah\nLokasi: Lobby\nMasalah: lampu mati\nTingkat: apa saja"),
            Some(Severity::Medium)
        );
        assert_eq!(level("#update\nLokasi: Lobby\nPekerjaan: lampu diganti"), None);
    }
}
