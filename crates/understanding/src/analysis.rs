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
use crate::text::{Kind, Text};
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
/// Marks that end or part what is said, wherever they stand.
const PUNCTUATION: [char; 15] = ['.', ',', ':', ';', '!', '?', '؟', '،', '-', '/', '(', ')', '"', '\'', '\n'];

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

/// The text without the signs in names that the organisation's lists have, blanked: the `100%` of `Kantin 100%` is no
/// measure of progress, nor the tick of `Toko ✓` one of work done. `None` where there are none.
fn without_signs_of_names(text: &Text<'_>, entities: &Entities) -> Option<String> {
    let tokens = text.tokens();
    let mut blank: Vec<(u32, u32)> = Vec::new();
    for name in entities.locations.iter().chain(&entities.things).filter(|entity| entity.found.is_some()) {
        let first = tokens.partition_point(|token| (token.end as usize) <= name.start);
        let mut end = tokens.partition_point(|token| (token.start as usize) < name.end);
        // Matching does not count a sign behind the last word.
        while tokens.get(end).is_some_and(|token| token.kind == Kind::Mark && token.glued) {
            end += 1;
        }
        for at in first..end {
            let token = &tokens[at];
            if token.kind != Kind::Mark || text.norm(token).starts_with(PUNCTUATION) {
                continue;
            }
            blank.push((token.from, token.to));
            // A number before a percent sign is read as one measure with it.
            if let Some(number) = at.checked_sub(1).map(|before| &tokens[before])
                && number.kind == Kind::Number
                && text.norm(token) == "%"
            {
                blank.push((number.from, number.to));
            }
        }
    }
    if blank.is_empty() {
        return None;
    }
    let is_blank = |at: usize| blank.iter().any(|(from, to)| (*from as usize..*to as usize).contains(&at));
    let plain = text.source().char_indices().map(|(at, letter)| if is_blank(at) { ' ' } else { letter });
    Some(plain.collect())
}

/// Reads one message.
pub fn analyse(text: &str, context: &Context<'_>) -> Analysis {
    let structured = parse(text, context.templates, None);
    let source = text;
    let text = Text::new(source);
    let scanned = Vocabulary::get().scan(&text);
    let lists =
        Lists { locations: context.locations, things: context.things, categories: context.categories };
    let entities = entities_text(&text, &scanned, &lists);
    let plain = without_signs_of_names(&text, &entities);
    let text = plain.as_deref().map_or(text, Text::new);
    let scanned = if plain.is_some() { Vocabulary::get().scan(&text) } else { scanned };
    let language = detect(&text, &scanned);
    let scores = Model::get().score(&text, &scanned);
    let mut classification = classify_text(&text, &scanned, &scores, language);
    if let Some(class) = structured.as_ref().and_then(|parsed| parsed.class) {
        classification.class = class;
        classification.confidence = 1.0;
    }
    let said = structured.as_ref().and_then(severity_said);
    let severity = || said.unwrap_or_else(|| severity_text(&text, &scanned, &scores));
    Analysis {
        severity: (classification.class == Class::Problem).then(severity),
        entities,
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
    use crate::matching::Entry;

    #[test]
    fn signs_in_the_name_of_a_thing_say_nothing_of_progress() {
        let class = |text: &str, name: &str| {
            let index = Index::new([Entry::new("1", name)]);
            let context = Context { things: Some(&index), ..Context::default() };
            let plain = name.replace(['%', '✓', '٪'], "").replace("100", "").replace("١٠٠", "");
            let without = analyse(&text.replace(name, plain.trim()), &Context::default()).classification;
            let found = analyse(text, &context);
            assert!(found.entities.things.iter().any(|thing| thing.found.is_some()), "{text}");
            assert_eq!(found.classification.class, without.class, "{text}");
            assert!((found.classification.confidence - without.confidence).abs() < 0.2, "{text}");
            found.classification.class
        };
        for (text, name) in [
            ("Pompa 100% bunyi aneh", "Pompa 100%"),
            ("Pump 100% making noise", "Pump 100%"),
            ("AC 100% panas", "AC 100%"),
            ("lampu kedip di 100% Halal", "100% Halal"),
            ("toilet ✓ bau", "toilet ✓"),
            ("تسرب في مطعم ١٠٠٪", "مطعم ١٠٠٪"),
        ] {
            assert_eq!(class(text, name), Class::Problem, "{text}");
        }
        // Of a thing whose name has no such sign it is still how far the work is.
        let index = Index::new([Entry::new("1", "Genset 2")]);
        let context = Context { things: Some(&index), ..Context::default() };
        assert_eq!(analyse("Genset 2 progress 100%", &context).classification.class, Class::WorkUpdate);
        assert_eq!(analyse("Pengecatan genset 2: 75%", &context).classification.class, Class::WorkUpdate);
    }

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
