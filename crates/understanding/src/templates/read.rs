//! Taking structured messages apart, and putting them together.

use std::collections::BTreeMap;

use super::values::{check, normal};
use super::{Definition, Field, FieldError, Parsed, Validity, built_in};

/// What people put around labels: bullets, bold, quotes, numbers of a list.
const AROUND: [char; 14] =
    ['*', '_', '-', '•', '·', '●', '▪', '>', '~', '`', '–', '—', '\u{200f}', '\u{200e}'];
const AFTER: [char; 6] = [':', '=', '：', '﹕', '-', '–'];

/// In bytes.
const LONGEST_LABEL: usize = 120;

/// The fields that say what a message is about, which needs no label after a marker.
pub const SUBJECTS: [&str; 2] = ["problem", "work"];

/// A line as label and value, if a field has that label.
fn labelled<'d, 't>(line: &'t str, definition: &'d Definition) -> Option<(&'d Field, &'t str)> {
    let bare = line.trim().trim_start_matches(AROUND).trim_start();
    let bare = strip_count(bare);
    for (at, mark) in bare.char_indices().filter(|(_, c)| AFTER.contains(c)) {
        if at > LONGEST_LABEL {
            return None;
        }
        let label = normal(&bare[..at]);
        if label.is_empty() {
            return None;
        }
        let same = |known: &String| may_be(known, &label) && normal(known) == label;
        let field = definition.fields.iter().find(|field| field.labels.iter().any(same));
        if let Some(field) = field {
            // The end of a bold label may stand after the mark: `*Lokasi:* x`.
            let value = bare[at + mark.len_utf8()..].trim();
            let bold = bare[..at].contains('*') || line.trim_start().starts_with('*');
            let value = if bold { value.trim_start_matches('*').trim_start() } else { value };
            return Some((field, value));
        }
        if !matches!(mark, '-' | '–') {
            return None;
        }
    }
    None
}

/// Whether a label can have a normal form, told without making it.
fn may_be(label: &str, normal: &str) -> bool {
    let (first, wanted) = (label.chars().find(|c| c.is_alphanumeric()), normal.chars().next());
    match (first, wanted) {
        (Some(first), Some(wanted)) if first.is_ascii() || wanted.is_ascii() => {
            first.to_ascii_lowercase() == wanted && label.len().abs_diff(normal.len()) < 12
        }
        _ => label.len().abs_diff(normal.len()) < 12,
    }
}

/// `1. Lokasi` and `2) Lokasi` without the count.
fn strip_count(line: &str) -> &str {
    let rest = line.trim_start_matches(|c: char| c.is_numeric());
    match rest.strip_prefix(['.', ')']) {
        Some(after) if rest.len() < line.len() && line.len() - rest.len() <= 2 => {
            after.trim_start().trim_start_matches(AROUND)
        }
        _ => line,
    }
}

/// What follows a marker at the start of a text.
fn after_marker<'t>(text: &'t str, definition: &Definition) -> Option<&'t str> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || AROUND.contains(&c));
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ':' | '*')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let sign = |word: &str| word.chars().next().filter(|c| !c.is_alphanumeric());
    let same = |marker: &&String| {
        let marker = marker.trim();
        word == marker
            || (sign(word) == sign(marker) && !normal(marker).is_empty() && normal(word) == normal(marker))
    };
    definition.markers.iter().find(same).map(|_| rest.trim_start_matches(['*', ':']))
}

/// Where a mark stands after which a label follows in the same line.
fn next_label(line: &str, definition: &Definition) -> Option<(usize, char)> {
    line.char_indices()
        .filter(|(_, c)| matches!(c, '|' | ';' | '؛' | ',' | '،'))
        .find(|(at, c)| labelled(&line[at + c.len_utf8()..], definition).is_some())
}

/// What is said before the first label: `#problem AC leaking` needs none.
fn before_labels(body: &str, definition: &Definition) -> String {
    let mut said = Vec::new();
    for line in body.lines() {
        if labelled(line, definition).is_some() {
            break;
        }
        let cut = next_label(line, definition);
        said.push(line[..cut.map_or(line.len(), |(at, _)| at)].trim());
        if cut.is_some() {
            break;
        }
    }
    said.join("\n").trim().to_owned()
}

/// Values by field, in a definition's terms. Lines without a label go on with the value before them; a label may also
/// stand after `|`, `;` or `,` within a line.
fn read(body: &str, definition: &Definition) -> Vec<(String, String)> {
    let mut values: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in body.lines() {
        let mut rest = line;
        loop {
            let (part, next) = match next_label(rest, definition) {
                Some((at, c)) => (&rest[..at], Some(&rest[at + c.len_utf8()..])),
                None => (rest, None),
            };
            if let Some((field, value)) = labelled(part, definition) {
                open = !values.iter().any(|(name, _)| *name == field.name);
                if open {
                    values.push((field.name.clone(), value.to_owned()));
                }
            } else if open
                && !part.trim().is_empty()
                && let Some((_, value)) = values.last_mut()
            {
                if !value.is_empty() {
                    value.push('\n');
                }
                value.push_str(part.trim());
            }
            match next {
                Some(next) => rest = next,
                None => break,
            }
        }
    }
    values
}

/// Takes a structured message apart; `None` for free text. Without `definitions` the built-in ones count; `wanted`
/// allows one name only. A message is structured if it begins with a marker, or if two lines or more have labels.
pub fn parse(text: &str, definitions: &[Definition], wanted: Option<&str>) -> Option<Parsed> {
    // The built-in definitions of one name differ only in how they are rendered.
    let definitions = if definitions.is_empty() { &built_in()[..2] } else { definitions };
    let allowed = || definitions.iter().filter(|known| wanted.is_none_or(|wanted| known.name == wanted));
    let is_marked = |known: &Definition| after_marker(text, known).is_some();
    if wanted.is_some() && !allowed().any(is_marked) && definitions.iter().any(is_marked) {
        return None;
    }
    let marked = allowed().find_map(|definition| Some((definition, after_marker(text, definition)?)));
    let (definition, values) = if let Some((definition, body)) = marked {
        let mut values = read(body, definition);
        let subject = definition.fields.iter().find(|field| SUBJECTS.contains(&field.name.as_str()));
        if let Some(subject) = subject.filter(|field| !values.iter().any(|(name, _)| *name == field.name)) {
            values.push((subject.name.clone(), before_labels(body, definition)));
        }
        (definition, values)
    } else {
        if !text.contains(AFTER) {
            return None;
        }
        let mut best: Option<(&Definition, Vec<(String, String)>)> = None;
        for definition in allowed() {
            let values = read(text, definition);
            if best.as_ref().is_none_or(|(_, most)| values.len() > most.len()) {
                best = Some((definition, values));
            }
        }
        best.filter(|(_, values)| values.len() >= 2)?
    };
    let mut parsed =
        Parsed { template: definition.name.clone(), class: definition.class, ..Parsed::default() };
    for field in &definition.fields {
        let value =
            values.iter().find(|(name, _)| *name == field.name).map_or("", |(_, value)| value.as_str());
        match check(value, &field.kind) {
            Ok(value) => {
                parsed.fields.insert(field.name.clone(), value);
            }
            Err(FieldError::Missing) if !field.required => {}
            Err(error) => {
                if error != FieldError::Missing {
                    parsed.fields.insert(field.name.clone(), value.trim().to_owned());
                }
                parsed.errors.insert(field.name.clone(), error);
            }
        }
    }
    Some(parsed)
}

/// Checks a structured message; free text is not valid, and lacks all that a template asked for requires.
pub fn validate(text: &str, definitions: &[Definition], wanted: Option<&str>) -> Validity {
    let Some(parsed) = parse(text, definitions, wanted) else {
        let known = if definitions.is_empty() { &built_in()[..2] } else { definitions };
        let asked = known.iter().find(|known| wanted == Some(known.name.as_str()));
        let required = asked.into_iter().flat_map(|known| &known.fields).filter(|field| field.required);
        return Validity {
            missing: required.map(|field| field.name.clone()).collect(),
            ..Validity::default()
        };
    };
    let (missing, errors): (BTreeMap<_, _>, BTreeMap<_, _>) =
        parsed.errors.into_iter().partition(|(_, error)| *error == FieldError::Missing);
    Validity {
        valid: missing.is_empty() && errors.is_empty(),
        template: Some(parsed.template),
        missing: missing.into_keys().collect(),
        errors,
    }
}

/// The message that a definition and its values make. It parses back to the same values, if those are trimmed lines
/// without labels of their own.
pub fn render(definition: &Definition, fields: &BTreeMap<String, String>) -> String {
    let mut message = definition.markers.first().cloned().unwrap_or_default();
    for field in &definition.fields {
        if let (Some(label), Some(value)) = (field.labels.first(), fields.get(&field.name)) {
            if !message.is_empty() {
                message.push('\n');
            }
            message.push_str(label);
            message.push_str(": ");
            message.push_str(value);
        }
    }
    message
}
