//! Places, address cards, reactions and templates.

use kabar_domain::content::{ContactCard, Location};
use kabar_domain::message::Media;
use kabar_domain::outbound::{OutboundMessage, Unsendable};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::media::file;
use super::{Refused, filled};
use crate::fields::{field, whole};

const CARD_LIMIT: usize = 257;

pub(super) fn location(message: &OutboundMessage) -> Refused<Value> {
    let place: Location = whole(message)?;
    place.check()?;
    Ok(json!(place))
}

pub(super) fn contacts(message: &OutboundMessage) -> Refused<Value> {
    let mut cards: Vec<ContactCard> = field(message, "contacts")?.unwrap_or_default();
    if !(1..=CARD_LIMIT).contains(&cards.len()) {
        return Err(Unsendable::new("contacts", format!("WhatsApp takes 1 to {CARD_LIMIT} contacts.")));
    }
    for (index, card) in cards.iter_mut().enumerate() {
        let name = &mut card.name;
        filled(&name.formatted_name, 1_024, &format!("contacts.{index}.name.formatted_name"), "name")?;
        let parts = [&name.first_name, &name.last_name, &name.middle_name, &name.prefix, &name.suffix];
        // Meta wants one part of the name beside the whole.
        if parts.into_iter().all(Option::is_none) {
            name.first_name = Some(name.formatted_name.clone());
        }
    }
    Ok(json!(cards))
}

pub(super) fn reaction(message: &OutboundMessage) -> Refused<Value> {
    let target = message.reply_to.as_deref();
    let target = target.ok_or_else(|| Unsendable::new("message_id", "A reaction needs a message."))?;
    if !target.starts_with("wamid.") {
        return Err(Unsendable::new("message_id", "WhatsApp takes no reaction to this message."));
    }
    // An empty emoji takes the reaction away.
    let emoji = message.body.as_deref().unwrap_or_default();
    if !emoji.is_empty() && !is_one_emoji(emoji) {
        return Err(Unsendable::new("emoji", "A reaction must be one emoji."));
    }
    Ok(json!({ "message_id": target, "emoji": emoji }))
}

/// Near enough: no words, and no more than the longest sequences have.
fn is_one_emoji(text: &str) -> bool {
    let keycap = text.ends_with('\u{20e3}');
    text.chars().count() <= 16 && text.chars().all(|c| !c.is_whitespace() && (keycap || !c.is_ascii()))
}

/// `{name, language, components}` as `templates` composed it; the message's file goes where the header names one.
pub(super) fn template(message: &OutboundMessage) -> Refused<Value> {
    let text = |name: &str| message.payload.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(name), Some(language)) = (text("name"), text("language")) else {
        return Err(Unsendable::new("template", "A template needs a name and a language."));
    };
    let mut template = json!({ "name": name, "language": { "code": language, "policy": "deterministic" } });
    let components = message.payload.get("components").and_then(Value::as_array);
    let mut components = components.cloned().unwrap_or_default();
    if let Some(media) = &message.media {
        let header = components.iter_mut().find(|part| part["type"] == "header");
        let parameter = header.and_then(|header| header.pointer_mut("/parameters/0"));
        let kind = parameter.as_ref().and_then(|parameter| parameter["type"].as_str()).map(str::to_owned);
        let (Some(parameter), Some(kind)) = (parameter, kind) else {
            return Err(Unsendable::new("header", "The template's header has no place for a file."));
        };
        let content = file(media, &kind, false)?;
        parameter[kind] = Value::Object(content);
    }
    let carousel = components.iter_mut().find(|part| part["type"] == "carousel");
    let cards = carousel.and_then(|carousel| carousel["cards"].as_array_mut());
    for (index, card) in cards.into_iter().flatten().enumerate() {
        card_file(index, card)?;
    }
    if !components.is_empty() {
        template["components"] = Value::Array(components);
    }
    Ok(template)
}

/// A card's file of the media library, given to WhatsApp or about to be, in place of what we know of it.
fn card_file(index: usize, card: &mut Value) -> Refused<()> {
    let header = card["components"].as_array_mut().and_then(|parts| parts.first_mut());
    let Some(parameter) = header.and_then(|header| header.pointer_mut("/parameters/0")) else {
        return Ok(());
    };
    let Some(kind) = parameter["type"].as_str().map(str::to_owned) else { return Ok(()) };
    let given = &parameter[kind.as_str()];
    if given.get("file_id").is_none() {
        return Ok(());
    }
    let field = format!("cards.{index}.header");
    let media = Media::deserialize(given).map_err(|error| Unsendable::new(&field, format!("{error}.")))?;
    let content = file(&media, &kind, false).map_err(|refused| Unsendable { field, ..refused })?;
    parameter[kind] = Value::Object(content);
    Ok(())
}
