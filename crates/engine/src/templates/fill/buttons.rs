//! What is given for a template's buttons.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::super::form::{Button, Wants};
use super::super::{Values, text};
use super::{Filled, Place, RenderedButton, value};
use crate::error::Invalid;

/// Characters of a code to copy.
const COUPON: usize = 15;

/// What was given for each button by its place: entry for entry, or by an entry's own `index`.
fn by_button(
    given: Option<&Json>,
    count: usize,
    place: Place<'_>,
    invalid: &mut Invalid,
) -> BTreeMap<usize, Json> {
    let field = place.field("buttons");
    let list = match given {
        None | Some(Json::Null) => return BTreeMap::new(),
        Some(Json::Array(list)) => list.clone(),
        Some(_) => {
            invalid.add(&field, "The buttons field must be a list.");
            return BTreeMap::new();
        }
    };
    let mut found = BTreeMap::new();
    for (at, entry) in list.into_iter().enumerate() {
        let named =
            entry.get("index").and_then(|index| index.as_u64().or_else(|| index.as_str()?.parse().ok()));
        let index = named.map_or(at, |index| usize::try_from(index).unwrap_or(usize::MAX));
        if entry.is_null() {
            continue;
        }
        if index >= count {
            let has = if count == 1 { "1 button".to_owned() } else { format!("{count} buttons") };
            invalid.add(&format!("{field}.{at}"), format!("{} has {has}.", place.whose()));
            continue;
        }
        found.insert(index, entry);
    }
    found
}

pub(super) fn buttons(
    buttons: &[Button],
    code: Option<&str>,
    values: &Values,
    place: Place<'_>,
    filled: &mut Filled,
    invalid: &mut Invalid,
) {
    let mut given = by_button(values.buttons.as_ref(), buttons.len(), place, invalid);
    for (index, button) in buttons.iter().enumerate() {
        let field = place.field(&format!("buttons.{index}"));
        let given = given.remove(&index);
        let mut rendered = RenderedButton {
            kind: button.kind.clone(),
            text: button.text.clone(),
            url: button.url.clone(),
            phone_number: button.phone_number.clone(),
        };
        if let Some(parameter) = parameter(button, given.as_ref(), code, &field, place, invalid) {
            if let (Some(url), Some(suffix)) = (&button.url, parameter["text"].as_str()) {
                rendered.url = Some(text::render(url, |_| Some(suffix)));
            }
            let kind =
                if button.wants == Wants::Code { "url".to_owned() } else { button.kind.to_ascii_lowercase() };
            filled.components.push(json!({ "type": "button", "sub_type": kind, "index": index.to_string(),
                "parameters": [parameter] }));
        }
        filled.rendered.buttons.push(rendered);
    }
}

/// What goes out for one button; `None` when nothing does.
fn parameter(
    button: &Button,
    given: Option<&Json>,
    code: Option<&str>,
    field: &str,
    place: Place<'_>,
    invalid: &mut Invalid,
) -> Option<Json> {
    // A value alone, or under the name of what it is.
    let under = |keys: &[&str]| -> Option<Json> {
        let given = given?;
        match given {
            Json::Object(fields) => keys.iter().find_map(|key| fields.get(*key)).cloned(),
            one => Some(one.clone()),
        }
    };
    let mut missing = |what: &str| {
        let button = if button.text.is_empty() { button.kind.as_str() } else { button.text.as_str() };
        invalid.add(field, format!("{}: the button \u{201c}{button}\u{201d} needs {what}.", place.whose()));
    };
    match button.wants {
        Wants::Nothing => {
            if given.is_some() {
                missing("nothing given for it");
            }
            None
        }
        Wants::Payload => {
            let payload = under(&["payload"])?;
            Some(json!({ "type": "payload", "payload": value(&payload, field, invalid) }))
        }
        Wants::Suffix => {
            let Some(suffix) = under(&["url_suffix", "text", "suffix"]) else {
                missing("the end of its address (url_suffix)");
                return None;
            };
            Some(json!({ "type": "text", "text": value(&suffix, field, invalid) }))
        }
        Wants::Coupon => {
            let Some(code) = under(&["code", "coupon_code"]) else {
                missing("the code to copy (code)");
                return None;
            };
            let code = value(&code, field, invalid);
            if code.chars().count() > COUPON {
                invalid.add(field, format!("The code must not be greater than {COUPON} characters."));
            }
            Some(json!({ "type": "coupon_code", "coupon_code": code }))
        }
        Wants::Code => {
            let Some(code) = under(&["code", "text"]).or_else(|| code.map(Json::from)) else {
                missing("the code");
                return None;
            };
            Some(json!({ "type": "text", "text": value(&code, field, invalid) }))
        }
        Wants::Flow => {
            let mut action = Map::new();
            let token = under(&["flow_token"]).filter(Json::is_string).unwrap_or_else(|| json!("unused"));
            action.insert("flow_token".to_owned(), token);
            if let Some(data) = under(&["flow_action_data", "data"]).filter(Json::is_object) {
                action.insert("flow_action_data".to_owned(), data);
            }
            Some(json!({ "type": "action", "action": action }))
        }
        Wants::Action { required } => {
            let action = under(&["action"]).filter(Json::is_object);
            if action.is_none() && required {
                missing("an action object, as WhatsApp describes it");
            }
            action.map(|action| json!({ "type": "action", "action": action }))
        }
    }
}
