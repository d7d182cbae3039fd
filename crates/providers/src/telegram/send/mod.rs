//! From our outbound message to a Bot API method and its parameters, and what Telegram takes.

mod keyboard;
mod media;
mod others;

use kabar_domain::content::TextFormat;
use kabar_domain::inbound::IdentityKind;
use kabar_domain::message::MessageKind;
use kabar_domain::outbound::{OutboundMessage, Recipient, Unsendable};
use serde_json::{Map, Value, json};

use crate::fields::field;
use crate::markup::Marked;

/// Telegram counts both in UTF-16 code units, and without marks.
const TEXT_LIMIT: usize = 4096;
const CAPTION_LIMIT: usize = 1024;

/// In a forum the topic that takes what names no topic. Naming it is an error to Telegram.
const GENERAL_TOPIC: i64 = 1;

type Refused<T> = Result<T, Unsendable>;
type Parameters = Map<String, Value>;

/// The method to call and its JSON parameters.
///
/// # Errors
/// When Telegram cannot carry the message, or would refuse it.
pub fn request(message: &OutboundMessage) -> Refused<(&'static str, Value)> {
    let (chat, topic) = address(&message.recipient)?;
    let mut parameters = Map::new();
    parameters.insert("chat_id".to_owned(), json!(chat));
    let method = match message.kind {
        MessageKind::Reaction => {
            others::reaction(message, chat, &mut parameters)?;
            return Ok(("setMessageReaction", Value::Object(parameters)));
        }
        MessageKind::Text => {
            let text =
                body(message)?.ok_or_else(|| Unsendable::new("body", "A text message needs a text."))?;
            put_text(text, &mut parameters)?;
            if message.payload.get("preview_url") == Some(&Value::Bool(false)) {
                parameters.insert("link_preview_options".to_owned(), json!({ "is_disabled": true }));
            }
            "sendMessage"
        }
        MessageKind::Image
        | MessageKind::Video
        | MessageKind::Audio
        | MessageKind::Voice
        | MessageKind::Document
        | MessageKind::Sticker => media::media(message, &mut parameters)?,
        MessageKind::Location => others::location(message, &mut parameters)?,
        MessageKind::Contacts => others::contact(message, &mut parameters)?,
        MessageKind::Interactive => keyboard::interactive(message, &mut parameters)?,
        MessageKind::Template => {
            let reason = "Telegram has no message templates: send the text itself.";
            return Err(Unsendable::capability("type", reason));
        }
        MessageKind::Flow => {
            let reason = "Telegram has no flows; a cta_url message can open a web page instead.";
            return Err(Unsendable::capability("type", reason));
        }
        other => {
            return Err(Unsendable::capability("type", format!("Telegram cannot send {other} messages.")));
        }
    };
    if let Some(topic) = topic {
        parameters.insert("message_thread_id".to_owned(), json!(topic));
    }
    if let Some(quoted) = message.reply_to.as_deref().and_then(|key| number_in(key, chat)) {
        parameters.insert(
            "reply_parameters".to_owned(),
            json!({ "message_id": quoted, "allow_sending_without_reply": true }),
        );
    }
    Ok((method, Value::Object(parameters)))
}

pub(super) fn address(recipient: &Recipient) -> Refused<(i64, Option<i64>)> {
    let id = |text: &str| {
        text.parse::<i64>()
            .map_err(|_| Unsendable::new("wa_id", format!("\"{text}\" is no Telegram chat id.")))
    };
    match recipient {
        Recipient::Person(identity) if identity.kind == IdentityKind::Telegram => {
            Ok((id(&identity.value)?, None))
        }
        Recipient::Person(identity) => Err(Unsendable::new(
            "wa_id",
            format!("Telegram cannot reach a person by an identity of kind \"{}\".", identity.kind),
        )),
        Recipient::Group { external_id, topic } => {
            let topic = topic.as_deref().map(|topic| {
                topic
                    .parse::<i64>()
                    .map_err(|_| Unsendable::new("topic", format!("\"{topic}\" is no Telegram topic id.")))
            });
            Ok((id(external_id)?, topic.transpose()?.filter(|topic| *topic != GENERAL_TOPIC)))
        }
    }
}

/// The number of a message in this chat. What is no message of it (a button tap, a message from before the group got
/// a new id, one of a business account's chat) has none: an answer to it goes out without quoting.
pub(super) fn number_in(key: &str, chat: i64) -> Option<i64> {
    let (in_chat, number) = key.split_once(':')?;
    (in_chat.parse() == Ok(chat)).then(|| number.parse().ok())?
}

/// The message's text without its marks.
fn body(message: &OutboundMessage) -> Refused<Option<Marked>> {
    let Some(body) = message.body.as_deref().filter(|body| !body.is_empty()) else { return Ok(None) };
    let format: TextFormat = field(message, "format")?.unwrap_or_default();
    let marked = Marked::parse(body, format).map_err(|reason| Unsendable::new("body", reason))?;
    Ok(Some(marked).filter(|marked| !marked.text.trim().is_empty()))
}

fn put_text(text: Marked, parameters: &mut Parameters) -> Refused<()> {
    fits(&text.text, TEXT_LIMIT, "body", "text")?;
    put(text, "text", "entities", parameters);
    Ok(())
}

fn put_caption(caption: Marked, parameters: &mut Parameters) -> Refused<()> {
    fits(&caption.text, CAPTION_LIMIT, "body", "caption")?;
    put(caption, "caption", "caption_entities", parameters);
    Ok(())
}

fn put(marked: Marked, text: &str, entities: &str, parameters: &mut Parameters) {
    let found = marked.entities();
    if !found.is_empty() {
        parameters.insert(entities.to_owned(), Value::Array(found));
    }
    parameters.insert(text.to_owned(), Value::String(marked.text));
}

fn fits(text: &str, limit: usize, field: &str, what: &str) -> Refused<()> {
    let length = text.encode_utf16().count();
    if length > limit {
        let reason = format!("The {what} has {length} characters; Telegram takes {limit}.");
        return Err(Unsendable::new(field, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
