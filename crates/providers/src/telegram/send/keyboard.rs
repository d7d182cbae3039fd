//! Messages with something to tap: Telegram's keyboards.

use std::collections::HashSet;

use kabar_domain::content::{Button, HeaderKind, Interactive, InteractiveKind, Section};
use kabar_domain::message::MessageKind;
use kabar_domain::outbound::{OutboundMessage, Recipient, Unsendable};
use serde_json::{Value, json};
use url::Url;

use super::media::file;
use super::{Parameters, Refused, body, put_caption, put_text};
use crate::fields::whole;
use crate::markup::{Marked, Style};

/// Telegram takes about a hundred buttons; observed, not documented.
const BUTTONS: usize = 100;
/// Bytes of what a tap sends back.
const DATA_LIMIT: usize = 64;
/// Longer ones are cut off on the screen.
const LABEL_LIMIT: usize = 64;

/// One message: the header (a bold line, or the file), the body, the footer in italics, and the keyboard.
pub(super) fn interactive(message: &OutboundMessage, parameters: &mut Parameters) -> Refused<&'static str> {
    let asked: Interactive = whole(message)?;
    let markup = match asked.kind {
        InteractiveKind::Buttons => json!({ "inline_keyboard": buttons(&asked.buttons)? }),
        InteractiveKind::List => json!({ "inline_keyboard": rows(&asked.sections)? }),
        InteractiveKind::CtaUrl => json!({ "inline_keyboard": [[link(&asked)?]] }),
        InteractiveKind::LocationRequest => location_request(message, &asked)?,
    };
    let mut text = Marked::default();
    let mut method = "sendMessage";
    if let Some(header) = &asked.header {
        let kind = match header.kind {
            HeaderKind::Text => None,
            HeaderKind::Image => Some(MessageKind::Image),
            HeaderKind::Video => Some(MessageKind::Video),
            HeaderKind::Document => Some(MessageKind::Document),
        };
        if let Some(kind) = kind {
            method = file(kind, message.media.as_ref(), parameters).map_err(|refused| Unsendable {
                field: format!("interactive.header.{}", refused.field),
                ..refused
            })?;
        } else {
            let line = header.text.as_deref().unwrap_or_default();
            if line.trim().is_empty() {
                return Err(Unsendable::new("interactive.header.text", "The header needs a text."));
            }
            text.push(line, Some(Style::Bold));
            text.push("\n\n", None);
        }
    }
    text.append(body(message)?.ok_or_else(|| Unsendable::new("body", "The body needs a text."))?);
    describe(&asked.sections, &mut text);
    if let Some(footer) = asked.footer.as_deref().filter(|footer| !footer.trim().is_empty()) {
        text.push("\n\n", None);
        text.push(footer, Some(Style::Italic));
    }
    if method == "sendMessage" {
        put_text(text, parameters)?;
    } else {
        put_caption(text, parameters)?;
    }
    parameters.insert("reply_markup".to_owned(), markup);
    Ok(method)
}

/// What a keyboard cannot show of a list: its sections' titles and its rows' descriptions.
fn describe(sections: &[Section], text: &mut Marked) {
    let is_titled = |section: &Section| section.title.as_deref().is_some_and(|title| !title.is_empty());
    let described = sections.iter().flat_map(|section| &section.rows).any(|row| row.description.is_some());
    let titled = sections.len() > 1 && sections.iter().any(is_titled);
    if !(described || titled) {
        return;
    }
    for section in sections {
        text.push("\n", None);
        if let Some(title) = section.title.as_deref().filter(|title| !title.is_empty()) {
            text.push("\n", None);
            text.push(title, Some(Style::Bold));
        }
        for row in &section.rows {
            text.push(&format!("\n• {}", row.title), None);
            if let Some(description) = row.description.as_deref().filter(|text| !text.is_empty()) {
                text.push(&format!(": {description}"), None);
            }
        }
    }
}

fn buttons(buttons: &[Button]) -> Refused<Vec<Value>> {
    if !(1..=BUTTONS).contains(&buttons.len()) {
        let reason = format!("Telegram takes 1 to {BUTTONS} buttons.");
        return Err(Unsendable::new("interactive.buttons", reason));
    }
    let mut ids = HashSet::new();
    let mut keys = Vec::new();
    for (index, button) in buttons.iter().enumerate() {
        let at = format!("interactive.buttons.{index}");
        keys.push(Value::Array(vec![key(&button.id, &button.title, &at, &mut ids)?]));
    }
    Ok(keys)
}

fn rows(sections: &[Section]) -> Refused<Vec<Value>> {
    let count: usize = sections.iter().map(|section| section.rows.len()).sum();
    if !(1..=BUTTONS).contains(&count) {
        let reason = format!("Telegram takes 1 to {BUTTONS} rows.");
        return Err(Unsendable::new("interactive.sections", reason));
    }
    let mut ids = HashSet::new();
    let mut keys = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        for (row_index, row) in section.rows.iter().enumerate() {
            let at = format!("interactive.sections.{index}.rows.{row_index}");
            keys.push(Value::Array(vec![key(&row.id, &row.title, &at, &mut ids)?]));
        }
    }
    Ok(keys)
}

fn key<'a>(id: &'a str, title: &str, at: &str, ids: &mut HashSet<&'a str>) -> Refused<Value> {
    if id.is_empty() || id.len() > DATA_LIMIT {
        let reason = format!("The id has {} bytes; Telegram takes 1 to {DATA_LIMIT}.", id.len());
        return Err(Unsendable::new(format!("{at}.id"), reason));
    }
    if !ids.insert(id) {
        return Err(Unsendable::new(format!("{at}.id"), "Another one has this id."));
    }
    label(title, &format!("{at}.title"))?;
    Ok(json!({ "text": title, "callback_data": id }))
}

fn label(text: &str, field: &str) -> Refused<()> {
    if text.trim().is_empty() {
        return Err(Unsendable::new(field, "A button needs a text."));
    }
    super::fits(text, LABEL_LIMIT, field, "button's text")
}

fn link(asked: &Interactive) -> Refused<Value> {
    let title = asked.button.as_deref().unwrap_or_default();
    label(title, "interactive.button")?;
    let url = asked.url.as_deref().unwrap_or_default();
    let opens = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "tg"));
    if !opens {
        return Err(Unsendable::new(
            "interactive.url",
            "The button's url must be a valid http or https URL.",
        ));
    }
    Ok(json!({ "text": title, "url": url }))
}

fn location_request(message: &OutboundMessage, asked: &Interactive) -> Refused<Value> {
    if matches!(message.recipient, Recipient::Group { .. }) {
        let reason = "Telegram asks for a place in private chats only, not in groups.";
        return Err(Unsendable::capability("interactive.type", reason));
    }
    let title = asked.button.as_deref().unwrap_or("📍 Send location");
    label(title, "interactive.button")?;
    Ok(json!({
        "keyboard": [[{ "text": title, "request_location": true }]],
        "resize_keyboard": true,
        "one_time_keyboard": true,
    }))
}
