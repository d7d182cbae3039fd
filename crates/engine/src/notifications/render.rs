//! Texts with places for values: `Halo {{name}}`. Nothing else is understood; a value is put in as it is, and what it
//! holds is not looked at again.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::error::Invalid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Letters, digits, `_`, `-` and `.`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

/// The parts of a text; the first piece of it that begins with `{{` and is no variable, if there is one.
fn parts(text: &str) -> Result<Vec<Part<'_>>, &str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (before, from) = rest.split_at(at);
        let wrong = || from.get(..40).unwrap_or(from);
        let (name, after) = from[2..].split_once("}}").ok_or_else(wrong)?;
        let name = name.trim();
        if !is_name(name) {
            return Err(wrong());
        }
        parts.extend([Part::Text(before), Part::Variable(name)]);
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Says in `field` what is no variable in a template's text.
pub(super) fn check(invalid: &mut Invalid, field: &str, text: &str) {
    if let Err(wrong) = parts(text) {
        invalid
            .add(field, format!("The {field} field has no variable at `{wrong}`: write it as {{{{name}}}}."));
    }
}

/// Fills texts in with values. Every variable must have a value, and every value a variable.
pub(super) struct Renderer<'a> {
    /// `None`: a text without variables is taken as it is, braces and all.
    values: Option<&'a Map<String, Json>>,
    used: BTreeSet<String>,
    missing: BTreeSet<String>,
}

impl<'a> Renderer<'a> {
    pub fn new(values: Option<&'a Map<String, Json>>) -> Self {
        Self { values, used: BTreeSet::new(), missing: BTreeSet::new() }
    }

    pub fn render(&mut self, invalid: &mut Invalid, field: &str, text: &str) -> String {
        let Ok(parts) = parts(text) else {
            if self.values.is_some() {
                check(invalid, field, text);
            }
            return text.to_owned();
        };
        let mut filled = String::with_capacity(text.len());
        for part in parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Variable(name) => {
                    match self.values.and_then(|values| values.get(name)) {
                        Some(Json::String(value)) => filled.push_str(value),
                        Some(value @ (Json::Number(_) | Json::Bool(_))) => {
                            filled.push_str(&value.to_string());
                        }
                        // Named among the values, where its sort is told.
                        Some(_) => {}
                        None => {
                            self.missing.insert(name.to_owned());
                        }
                    }
                    self.used.insert(name.to_owned());
                }
            }
        }
        filled
    }

    /// Says what did not fit, each variable by its name.
    pub fn finish(self, invalid: &mut Invalid) {
        for name in &self.missing {
            invalid.add(&format!("variables.{name}"), format!("The variable {name} has no value."));
        }
        for (name, value) in self.values.into_iter().flatten() {
            let field = format!("variables.{name}");
            if !self.used.contains(name) {
                invalid.add(&field, format!("The text has no variable {name}."));
            } else if !matches!(value, Json::String(_) | Json::Number(_) | Json::Bool(_)) {
                invalid.add(&field, format!("The variable {name} must be a text or a number."));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn render(text: &str, values: Option<Json>) -> Result<String, Vec<String>> {
        let values = values.map(|values| values.as_object().unwrap().clone());
        let mut invalid = Invalid::default();
        let mut renderer = Renderer::new(values.as_ref());
        let filled = renderer.render(&mut invalid, "text", text);
        renderer.finish(&mut invalid);
        if invalid.errors.is_empty() { Ok(filled) } else { Err(invalid.errors.into_keys().collect()) }
    }

    fn wrong(fields: &[&str]) -> Result<String, Vec<String>> {
        Err(fields.iter().map(|&field| field.to_owned()).collect())
    }

    #[test]
    fn values_are_put_in_as_they_are() {
        let values = json!({"name": "{{order.id}} {{", "order.id": 17, "نعم": true});
        assert_eq!(
            render("Halo {{name}}, {{ order.id }}{{order.id}} {{نعم}}", Some(values)).unwrap(),
            "Halo {{order.id}} {{, 1717 true"
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(render("{{a}} {{b}}", Some(json!({"a": "1"}))), wrong(&["variables.b"]));
        assert_eq!(render("{{a}}", None), wrong(&["variables.a"]));
        assert_eq!(render("{{a}}", Some(json!({"a": 1, "c": 2}))), wrong(&["variables.c"]));
        for value in [json!(null), json!([]), json!({})] {
            assert_eq!(render("{{a}}", Some(json!({ "a": value }))), wrong(&["variables.a"]));
        }
        for text in ["{{a", "{{a b}}", "{{}}", "{{#if a}}", "{{{a}}}"] {
            assert_eq!(render(text, Some(json!({}))), wrong(&["text"]), "{text}");
            assert_eq!(render(text, None).as_deref(), Ok(text), "a text without values is as it was written");
        }
    }

    proptest! {
        #[test]
        fn text_without_braces_stays(text in "[^{]*") {
            prop_assert_eq!(render(&text, Some(json!({}))), Ok(text));
        }

        #[test]
        fn any_text_is_read(text in "\\PC*") {
            let _ = render(&text, Some(json!({})));
        }
    }
}
