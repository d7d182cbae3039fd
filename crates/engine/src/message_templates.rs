//! The organisation's own forms of structured messages: `settings.message_templates`.

use std::collections::HashSet;

use kabar_understanding::templates::{Definition, FieldKind};
use serde_json::Value;

use crate::error::Invalid;

const FIELD: &str = "settings.message_templates";
const MOST: usize = 50;

fn read(settings: &Value) -> Option<Result<Vec<Definition>, serde_json::Error>> {
    let given = settings.get("message_templates").filter(|given| !given.is_null())?;
    Some(serde_json::from_value(given.clone()))
}

/// The definitions, none where they cannot be read.
pub(crate) fn of(settings: &Value) -> Vec<Definition> {
    read(settings).and_then(Result::ok).unwrap_or_default()
}

/// What is wrong with one definition.
fn fault(definition: &Definition) -> Option<&'static str> {
    let names = definition.fields.iter().map(|field| field.name.as_str()).collect::<HashSet<_>>();
    let labelled =
        definition.fields.iter().all(|field| field.labels.iter().any(|label| !label.trim().is_empty()));
    let optioned = definition.fields.iter().all(|field| match &field.kind {
        FieldKind::OneOf { options } => !options.is_empty(),
        _ => true,
    });
    if definition.name.trim().is_empty() {
        Some("has no name")
    } else if definition.fields.is_empty() {
        Some("has no fields")
    } else if names.len() < definition.fields.len() || names.contains("") {
        Some("needs a name of its own for each field")
    } else if !labelled {
        Some("needs a label for each field")
    } else if !optioned {
        Some("has a field without options")
    } else {
        None
    }
}

/// Adds what is wrong with them to the errors.
pub(crate) fn check(invalid: &mut Invalid, settings: &Value) {
    let definitions = match read(settings) {
        None => return,
        Some(Ok(definitions)) => definitions,
        Some(Err(error)) => {
            return invalid.add(FIELD, format!("The message templates are invalid: {error}."));
        }
    };
    if definitions.len() > MOST {
        invalid.add(FIELD, format!("There must not be more than {MOST} message templates."));
    }
    let mut seen = HashSet::new();
    for definition in &definitions {
        if let Some(fault) = fault(definition) {
            invalid.add(FIELD, format!("The message template `{}` {fault}.", definition.name));
        } else if !seen.insert(definition.name.as_str()) {
            invalid.add(FIELD, format!("There are two message templates `{}`.", definition.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_filled_in_is_refused() {
        let field = json!({"name": "unit", "labels": ["Unit"], "type": "text"});
        let right = json!({"name": "handover", "markers": ["#serah"], "fields": [field]});
        let errors = |definitions: Value| {
            let mut invalid = Invalid::default();
            check(&mut invalid, &json!({ "message_templates": definitions }));
            invalid.errors.len()
        };
        assert_eq!(errors(Value::Null), 0);
        assert_eq!(errors(json!([right])), 0);
        assert_eq!(of(&json!({"message_templates": [right]}))[0].fields[0].name, "unit");
        for wrong in [
            json!("handover"),
            json!([right, right]),
            json!([{"name": "", "fields": [field]}]),
            json!([{"name": "handover", "fields": []}]),
            json!([{"name": "handover", "fields": [field, field]}]),
            json!([{"name": "handover", "fields": [{"name": "unit", "labels": [], "type": "text"}]}]),
            json!([{"name": "handover", "fields": [{"name": "unit", "labels": ["Unit"], "type": "one_of", "options": []}]}]),
        ] {
            assert_eq!(errors(wrong.clone()), 1, "{wrong}");
        }
    }
}
