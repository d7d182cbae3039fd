//! What Meta refuses about a message's content, and with which code.

use std::sync::Arc;

use serde_json::Value;

use super::messages::summary;
use super::{GraphError, interactive};
use crate::config::Number;
use crate::params::Params;
use crate::state::Inner;

/// Every `type` of a send, in the order Meta lists them in its refusal.
const TYPES: &[&str] = &[
    "audio",
    "contacts",
    "document",
    "image",
    "interactive",
    "location",
    "pin",
    "reaction",
    "sticker",
    "template",
    "text",
    "video",
];

pub(super) struct Content {
    pub kind: String,
    pub body: String,
    /// The pricing category.
    pub category: String,
    /// Whether it may be sent only inside the customer service window.
    pub needs_window: bool,
}

/// `Parameter '…' is required`, as 131008.
pub(super) fn required(path: &str) -> GraphError {
    GraphError::with(131_008, format!("Parameter '{path}' is required"))
}

/// 131009 with the reason.
pub(super) fn invalid(details: impl Into<String>) -> GraphError {
    GraphError::with(131_009, details)
}

/// The string at `key`, which must be there and not empty.
pub(super) fn string<'a>(object: &'a Value, key: &str, path: &str) -> Result<&'a str, GraphError> {
    match object.get(key) {
        None | Some(Value::Null) => Err(required(path)),
        Some(Value::String(text)) if text.is_empty() => Err(required(path)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(GraphError::text(100, format!("(#100) Param {path} must be a string."))),
    }
}

/// At most `max` characters, else 100 as for any oversized parameter.
fn at_most(text: &str, max: usize, path: &str) -> Result<(), GraphError> {
    if text.chars().count() > max {
        return Err(GraphError::text(
            100,
            format!("(#100) Param {path} must be at most {max} characters long."),
        ));
    }
    Ok(())
}

/// Checks the message's type and the object that belongs to it.
pub(super) fn content(inner: &Arc<Inner>, number: &Number, params: &Params) -> Result<Content, GraphError> {
    let kind = params.text("type").unwrap_or_else(|| "text".to_owned()).to_ascii_lowercase();
    if !TYPES.contains(&kind.as_str()) {
        return Err(GraphError::text(
            100,
            format!("(#100) Param type must be one of {{{}}}.", TYPES.join(", ").to_ascii_uppercase()),
        ));
    }
    let object = match params.json(&kind) {
        None => return Err(required(&kind)),
        Some(Ok(object @ (Value::Object(_) | Value::Array(_))))
            if object.is_array() == (kind == "contacts") =>
        {
            object
        }
        Some(_) => {
            let shape = if kind == "contacts" { "an array" } else { "a JSON object" };
            return Err(GraphError::text(100, format!("(#100) Param {kind} must be {shape}.")));
        }
    };
    if let Some(context) = params.json("context") {
        let context =
            context.map_err(|()| GraphError::text(100, "(#100) Param context must be a JSON object."))?;
        string(&context, "message_id", "context['message_id']")?;
    }
    let mut category = "service".to_owned();
    let mut template = None;
    match kind.as_str() {
        "text" => at_most(string(&object, "body", "text['body']")?, 4096, "text['body']")?,
        "image" | "video" | "audio" | "document" | "sticker" => media(inner, number, &kind, &object)?,
        "location" => location(&object)?,
        "contacts" => contacts(&object)?,
        "reaction" => {
            wamid(string(&object, "message_id", "reaction['message_id']")?)?;
            if !object.get("emoji").is_some_and(Value::is_string) {
                return Err(required("reaction['emoji']"));
            }
        }
        "pin" => {
            wamid(string(&object, "message_id", "pin['message_id']")?)?;
            if !matches!(string(&object, "type", "pin['type']")?, "pin" | "unpin") {
                return Err(invalid("Parameter 'pin['type']' must be one of {PIN, UNPIN}"));
            }
        }
        "interactive" => interactive::check(&object, |kind, object| media(inner, number, kind, object))?,
        _ => {
            let found = super::templates::check(inner, number, &object)?;
            if let Some(found) = found {
                category = found["category"].as_str().unwrap_or("utility").to_ascii_lowercase();
                template = Some(found);
            } else {
                "utility".clone_into(&mut category);
            }
        }
    }
    Ok(Content {
        body: summary(&kind, &object, template.as_ref()),
        needs_window: kind != "template",
        category,
        kind,
    })
}

/// Exactly one of `id` and `link`; a known id, of a MIME type that the message's type may carry; an `https` link.
fn media(inner: &Arc<Inner>, number: &Number, kind: &str, object: &Value) -> Result<(), GraphError> {
    let id = object.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let link = object.get("link").and_then(Value::as_str).filter(|link| !link.is_empty());
    match (id, link) {
        (None, None) => {
            return Err(required(&format!("{kind}['id'] or {kind}['link']")));
        }
        (Some(_), Some(_)) => {
            return Err(GraphError::with(100, format!("Only one of id and link may be given for {kind}")));
        }
        (Some(id), None) => super::media::usable(inner, number, kind, id)?,
        (None, Some(link)) => {
            let scheme = url::Url::parse(link).map(|url| url.scheme().to_owned());
            if !matches!(scheme.as_deref(), Ok("https" | "http")) {
                return Err(GraphError::with(100, format!("Param {kind}['link'] is not a valid URL.")));
            }
        }
    }
    match object.get("caption") {
        None | Some(Value::Null) => {}
        Some(_) if matches!(kind, "audio" | "sticker") => {
            return Err(GraphError::with(100, format!("Param caption is not allowed for {kind}")));
        }
        Some(Value::String(caption)) => at_most(caption, 1024, &format!("{kind}['caption']"))?,
        Some(_) => {
            return Err(GraphError::text(100, format!("(#100) Param {kind}['caption'] must be a string.")));
        }
    }
    Ok(())
}

fn location(object: &Value) -> Result<(), GraphError> {
    for (key, bound) in [("latitude", 90.0), ("longitude", 180.0)] {
        let path = format!("location['{key}']");
        let degrees = match object.get(key) {
            None | Some(Value::Null) => return Err(required(&path)),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        if !degrees.is_some_and(|degrees: f64| degrees.abs() <= bound) {
            return Err(invalid(format!("Parameter '{path}' is out of range")));
        }
    }
    Ok(())
}

fn contacts(object: &Value) -> Result<(), GraphError> {
    let cards = object.as_array().map(Vec::as_slice).unwrap_or_default();
    if cards.is_empty() {
        return Err(required("contacts"));
    }
    if cards.len() > 257 {
        return Err(invalid("Too many contacts. Max: 257"));
    }
    for (index, card) in cards.iter().enumerate() {
        let name = card.get("name").ok_or_else(|| required(&format!("contacts[{index}]['name']")))?;
        string(name, "formatted_name", &format!("contacts[{index}]['name']['formatted_name']"))?;
    }
    Ok(())
}

fn wamid(id: &str) -> Result<(), GraphError> {
    if id.starts_with("wamid.") { Ok(()) } else { Err(invalid("Message id is not valid")) }
}

/// Groups must exist and take no interactive messages.
pub(super) fn group(inner: &Inner, id: &str, kind: &str) -> Result<(), GraphError> {
    if !super::groups::exists(inner, id) {
        return Err(GraphError::with(131_041, "The group does not exist or the business is not in it"));
    }
    if matches!(kind, "interactive") {
        return Err(GraphError::with(131_051, "Interactive messages are not supported in groups"));
    }
    Ok(())
}
