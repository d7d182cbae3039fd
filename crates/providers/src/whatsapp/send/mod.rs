//! What a message looks like on WhatsApp's wire, and what WhatsApp takes.

mod interactive;
mod media;
mod others;

use kabar_domain::content::TextFormat;
use kabar_domain::inbound::IdentityKind;
use kabar_domain::message::MessageKind;
use kabar_domain::outbound::{OutboundMessage, Recipient, Unsendable};
use serde_json::{Map, Value, json};

use crate::fields::field;
use crate::markup::Marked;

/// Characters WhatsApp takes in a text.
const TEXT_LIMIT: usize = 4_096;

type Refused<T> = Result<T, Unsendable>;

/// The body of `POST /{phone_number_id}/messages`.
///
/// # Errors
/// When WhatsApp would refuse the message.
pub fn payload(message: &OutboundMessage) -> Refused<Value> {
    let (kind, content) = content(message)?;
    let mut payload = Map::new();
    payload.insert("messaging_product".to_owned(), "whatsapp".into());
    address(&message.recipient, &mut payload)?;
    payload.insert("type".to_owned(), kind.into());
    payload.insert(kind.to_owned(), content);
    if let Some(quoted) = message.reply_to.as_ref().filter(|_| message.kind != MessageKind::Reaction) {
        payload.insert("context".to_owned(), json!({ "message_id": quoted }));
    }
    if !message.callback_data.is_empty() {
        payload.insert("biz_opaque_callback_data".to_owned(), message.callback_data.as_str().into());
    }
    Ok(Value::Object(payload))
}

fn address(recipient: &Recipient, payload: &mut Map<String, Value>) -> Refused<()> {
    let (kind, key, value) = match recipient {
        Recipient::Group { external_id, .. } => ("group", "to", external_id.clone()),
        Recipient::Person(identity) => match identity.kind {
            // Without `+` Meta may take the number for one of the sender's own country.
            IdentityKind::WaId => {
                let digits: String = identity.value.chars().filter(char::is_ascii_digit).collect();
                if digits.is_empty() {
                    return Err(Unsendable::new(
                        "wa_id",
                        format!("{:?} is not a phone number.", identity.value),
                    ));
                }
                ("individual", "to", format!("+{digits}"))
            }
            IdentityKind::Bsuid => ("individual", "recipient", identity.value.clone()),
            other => {
                return Err(Unsendable::new(
                    "wa_id",
                    format!("WhatsApp cannot reach a person by a {other} identity."),
                ));
            }
        },
    };
    payload.insert("recipient_type".to_owned(), kind.into());
    payload.insert(key.to_owned(), value.into());
    Ok(())
}

fn content(message: &OutboundMessage) -> Refused<(&'static str, Value)> {
    match message.kind {
        MessageKind::Text => text(message).map(|content| ("text", content)),
        MessageKind::Image
        | MessageKind::Video
        | MessageKind::Document
        | MessageKind::Audio
        | MessageKind::Voice
        | MessageKind::Sticker => media::media(message),
        MessageKind::Location => others::location(message).map(|content| ("location", content)),
        MessageKind::Contacts => others::contacts(message).map(|content| ("contacts", content)),
        MessageKind::Reaction => others::reaction(message).map(|content| ("reaction", content)),
        MessageKind::Interactive => interactive::interactive(message).map(|content| ("interactive", content)),
        MessageKind::Flow => interactive::flow(message).map(|content| ("interactive", content)),
        MessageKind::Template => others::template(message).map(|content| ("template", content)),
        other => Err(Unsendable::capability("type", format!("WhatsApp cannot send {other} messages."))),
    }
}

fn text(message: &OutboundMessage) -> Refused<Value> {
    let body = body(message)?.ok_or_else(|| Unsendable::new("body", "A text message needs a text."))?;
    within(&body, TEXT_LIMIT, "body", "text")?;
    let has_link = || body.contains("https://") || body.contains("http://");
    let preview = message.payload.get("preview_url").and_then(Value::as_bool);
    Ok(match preview.or_else(|| has_link().then_some(true)) {
        Some(preview) => json!({ "body": body, "preview_url": preview }),
        None => json!({ "body": body }),
    })
}

/// The message's text with WhatsApp's own marks in it.
fn body(message: &OutboundMessage) -> Refused<Option<String>> {
    let Some(body) = message.body.as_deref().filter(|body| !body.is_empty()) else { return Ok(None) };
    let format: TextFormat = field(message, "format")?.unwrap_or_default();
    let marked = Marked::parse(body, format).map_err(|reason| Unsendable::new("body", reason))?;
    Ok(Some(marked.whatsapp()).filter(|text| !text.trim().is_empty()))
}

fn within(text: &str, limit: usize, field: &str, what: &str) -> Refused<()> {
    // A character has at least one byte.
    let count = if text.len() > limit { text.chars().count() } else { 0 };
    if count > limit {
        let reason = format!("The {what} has {count} characters; WhatsApp takes {limit}.");
        return Err(Unsendable::new(field, reason));
    }
    Ok(())
}

/// A text that must be there.
fn filled(text: &str, limit: usize, field: &str, what: &str) -> Refused<()> {
    if text.trim().is_empty() {
        return Err(Unsendable::new(field, format!("The {what} needs a text.")));
    }
    within(text, limit, field, what)
}

#[cfg(test)]
mod tests;
