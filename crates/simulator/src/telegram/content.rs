//! What a send puts into its message: the parameters checked, and the fields of the `Message` that comes back.

use serde_json::{Map, Value, json};

use super::files::{BotFile, resolve};
use super::{BotError, text};
use crate::config::Bot;
use crate::params::Params;
use crate::state::Inner;

const TEXT_LIMIT: usize = 4096;
const CAPTION_LIMIT: usize = 1024;

/// A message's own fields, and the text a person reads.
pub(super) struct Content {
    pub fields: Map<String, Value>,
    pub body: String,
}

impl Content {
    fn new(key: &str, value: Value, body: String) -> Self {
        Self { fields: Map::from_iter([(key.to_owned(), value)]), body }
    }
}

/// The text of `sendMessage` and `editMessageText`.
pub(super) fn message_text(params: &Params) -> Result<Content, BotError> {
    let source = params.text("text").filter(|text| !text.trim().is_empty());
    let source = source.ok_or_else(|| BotError::bad("message text is empty"))?;
    let (plain, mut entities) = text::format(&source, params.text("parse_mode").as_deref())?;
    if plain.trim().is_empty() {
        return Err(BotError::bad("message text is empty"));
    }
    if plain.chars().count() > TEXT_LIMIT {
        return Err(BotError::bad("message is too long"));
    }
    if let Some(given) = given_entities(params, "entities", &plain)? {
        entities = given;
    }
    let mut content = Content::new("text", json!(plain), plain);
    if !entities.is_empty() {
        content.fields.insert("entities".into(), Value::Array(entities));
    }
    Ok(content)
}

/// Entities given beside a text, each within it; Telegram counts in UTF-16.
fn given_entities(params: &Params, key: &str, text: &str) -> Result<Option<Vec<Value>>, BotError> {
    let Some(Ok(Value::Array(given))) = params.json(key) else { return Ok(None) };
    let length = text.encode_utf16().count() as u64;
    let fits = |entity: &Value| {
        let (offset, own) = (entity["offset"].as_u64(), entity["length"].as_u64());
        offset.zip(own).is_some_and(|(offset, own)| own > 0 && offset + own <= length)
    };
    if given.iter().all(fits) { Ok(Some(given)) } else { Err(BotError::bad("ENTITY_BOUNDS_INVALID")) }
}

/// A caption's fields: none when there is no caption.
pub(super) fn caption(
    caption: Option<&str>,
    parse_mode: Option<&str>,
) -> Result<(Map<String, Value>, String), BotError> {
    let mut fields = Map::new();
    let Some(source) = caption.filter(|caption| !caption.is_empty()) else {
        return Ok((fields, String::new()));
    };
    let (plain, entities) = text::format(source, parse_mode)?;
    if plain.chars().count() > CAPTION_LIMIT {
        return Err(BotError::bad("message caption is too long"));
    }
    fields.insert("caption".into(), json!(plain));
    if !entities.is_empty() {
        fields.insert("caption_entities".into(), Value::Array(entities));
    }
    Ok((fields, plain))
}

/// The `Message` field of a kind of file, described as Telegram does. Sizes and durations are made up.
fn media_fields(kind: &str, file: &BotFile) -> Map<String, Value> {
    let mut object = file.describe();
    let mut add = |values: Value| {
        if let (Value::Object(object), Value::Object(values)) = (&mut object, values) {
            object.extend(values);
        }
    };
    match kind {
        "photo" => add(json!({"width": 800, "height": 600})),
        "video" | "animation" => {
            add(json!({"width": 640, "height": 480, "duration": 5, "mime_type": "video/mp4"}));
        }
        "audio" => add(json!({"duration": 5, "mime_type": "audio/mpeg"})),
        "voice" => add(json!({"duration": 5, "mime_type": "audio/ogg"})),
        "sticker" => add(json!({
            "type": "regular", "width": 512, "height": 512, "is_animated": false, "is_video": false,
        })),
        _ => {}
    }
    if kind != "photo" && kind != "sticker" {
        if let Some(mime_type) = &file.mime_type {
            add(json!({"mime_type": mime_type}));
        }
        if let Some(name) = file.name.as_ref().filter(|_| kind != "voice") {
            add(json!({"file_name": name}));
        }
    }
    let mut fields = Map::new();
    if kind == "photo" {
        let mut small = object.clone();
        small["width"] = json!(90);
        small["height"] = json!(67);
        small["file_unique_id"] = json!(format!("{}s", file.unique_id));
        fields.insert("photo".into(), json!([small, object]));
        return fields;
    }
    if kind == "animation" {
        fields.insert("document".into(), object.clone());
    }
    fields.insert(kind.to_owned(), object);
    fields
}

fn media(inner: &Inner, bot: &Bot, params: &Params, kind: &str) -> Result<Content, BotError> {
    let file = resolve(inner, bot, params, kind, kind, params.text(kind).as_deref())?;
    let mut fields = media_fields(kind, &file);
    let mut body = String::new();
    if kind != "sticker" {
        let source = params.text("caption");
        let (caption, plain) = caption(source.as_deref(), params.text("parse_mode").as_deref())?;
        fields.extend(caption);
        if let Some(given) =
            given_entities(params, "caption_entities", &plain)?.filter(|list| !list.is_empty())
        {
            fields.insert("caption_entities".into(), Value::Array(given));
        }
        body = plain;
    }
    Ok(Content { fields, body })
}

fn location(params: &Params) -> Result<Value, BotError> {
    let degrees = |key: &str, bound: f64| {
        params
            .float(key)
            .filter(|value| value.abs() <= bound)
            .ok_or_else(|| BotError::bad("wrong latitude or longitude specified"))
    };
    Ok(json!({"latitude": degrees("latitude", 90.0)?, "longitude": degrees("longitude", 180.0)?}))
}

/// The content of any `send…` method that makes one message.
pub(super) fn of(inner: &Inner, bot: &Bot, method: &str, params: &Params) -> Result<Content, BotError> {
    match method {
        "sendMessage" => message_text(params),
        "sendLocation" => Ok(Content::new("location", location(params)?, String::new())),
        "sendVenue" => {
            let location = location(params)?;
            let title = params.text("title").ok_or_else(|| BotError::bad("venue title is empty"))?;
            let venue = json!({"location": location, "title": title,
                "address": params.text("address").unwrap_or_default()});
            let mut content = Content::new("venue", venue, title);
            content.fields.insert("location".into(), location);
            Ok(content)
        }
        "sendContact" => {
            let phone = params.text("phone_number");
            let phone = phone.ok_or_else(|| BotError::bad("contact's phone number must be non-empty"))?;
            let name = params.text("first_name");
            let name = name.ok_or_else(|| BotError::bad("contact's first name must be non-empty"))?;
            let mut contact = json!({"phone_number": phone, "first_name": name});
            for key in ["last_name", "vcard"] {
                if let Some(value) = params.text(key) {
                    contact[key] = json!(value);
                }
            }
            Ok(Content::new("contact", contact, format!("{name} {phone}")))
        }
        _ => {
            let kind = method.strip_prefix("send").unwrap_or(method).to_ascii_lowercase();
            media(inner, bot, params, &kind)
        }
    }
}

/// The items of `sendMediaGroup`.
pub(super) fn album(inner: &Inner, bot: &Bot, params: &Params) -> Result<Vec<Content>, BotError> {
    let Some(Ok(Value::Array(items))) = params.json("media") else {
        return Err(BotError::bad("can't parse media JSON object"));
    };
    if !(2..=10).contains(&items.len()) {
        return Err(BotError::bad("wrong number of messages to send in an album: 2 to 10 are allowed"));
    }
    let kinds: Vec<&str> = items.iter().map(|item| item["type"].as_str().unwrap_or_default()).collect();
    for alone in ["audio", "document"] {
        if kinds.contains(&alone) && kinds.iter().any(|kind| *kind != alone) {
            return Err(BotError::bad(&format!("{alone} can't be mixed with other media types")));
        }
    }
    let mut contents = Vec::new();
    for (item, kind) in items.iter().zip(kinds) {
        if !matches!(kind, "photo" | "video" | "audio" | "document") {
            return Err(BotError::bad("unsupported media type in an album"));
        }
        let file = resolve(inner, bot, params, kind, "", item["media"].as_str())?;
        let mut fields = media_fields(kind, &file);
        let (caption, body) = caption(item["caption"].as_str(), item["parse_mode"].as_str())?;
        fields.extend(caption);
        contents.push(Content { fields, body });
    }
    Ok(contents)
}

/// Checks a keyboard. Only inline ones come back in the message.
pub(super) fn reply_markup(params: &Params) -> Result<Option<Value>, BotError> {
    let markup = match params.json("reply_markup") {
        None => return Ok(None),
        Some(Ok(markup @ Value::Object(_))) => markup,
        Some(_) => return Err(BotError::bad("object expected as reply markup")),
    };
    let Some(rows) = markup.get("inline_keyboard") else { return Ok(None) };
    let rows = rows.as_array().ok_or_else(|| {
        BotError::bad("field \"inline_keyboard\" of the InlineKeyboardMarkup must be an Array")
    })?;
    for button in rows.iter().filter_map(Value::as_array).flatten() {
        if button["text"].as_str().is_none_or(str::is_empty) {
            return Err(BotError::bad("inline keyboard button text is empty"));
        }
        if let Some(data) = button["callback_data"].as_str() {
            if !(1..=64).contains(&data.len()) {
                return Err(BotError::bad("BUTTON_DATA_INVALID"));
            }
        } else if let Some(link) = button["url"].as_str() {
            if url::Url::parse(link).is_err() {
                return Err(BotError::bad("BUTTON_URL_INVALID"));
            }
        } else if button.as_object().is_none_or(|button| button.len() < 2) {
            return Err(BotError::bad("text buttons are unallowed in the inline keyboard"));
        }
    }
    Ok(Some(markup))
}
