//! From our outbound message to a Bot API method and its parameters.

use kabar_domain::inbound::IdentityKind;
use kabar_domain::message::{Media, MessageKind};
use kabar_domain::outbound::{OutboundMessage, Recipient};
use serde_json::{Map, Value, json};

/// Telegram counts both in UTF-16 code units.
const TEXT_LIMIT: usize = 4096;
const CAPTION_LIMIT: usize = 1024;

/// In a forum the topic that takes what names no topic. Naming it is an error to Telegram.
const GENERAL_TOPIC: i64 = 1;

/// The method to call and its JSON parameters.
///
/// # Errors
/// A sentence, when Telegram cannot carry the message.
pub fn request(message: &OutboundMessage) -> Result<(&'static str, Value), String> {
    let (method, field) = match message.kind {
        MessageKind::Text => ("sendMessage", "text"),
        MessageKind::Image => ("sendPhoto", "photo"),
        MessageKind::Video => ("sendVideo", "video"),
        MessageKind::Audio => ("sendAudio", "audio"),
        MessageKind::Voice => ("sendVoice", "voice"),
        MessageKind::Document => ("sendDocument", "document"),
        MessageKind::Sticker => ("sendSticker", "sticker"),
        other => {
            return Err(format!("Sending messages of kind \"{other}\" to Telegram is not supported yet."));
        }
    };
    let (chat, topic) = address(&message.recipient)?;
    let mut parameters = Map::new();
    parameters.insert("chat_id".to_owned(), json!(chat));
    if let Some(topic) = topic {
        parameters.insert("message_thread_id".to_owned(), json!(topic));
    }
    if let Some(quoted) = message.reply_to.as_deref().and_then(|key| quoted(key, chat)) {
        parameters.insert(
            "reply_parameters".to_owned(),
            json!({ "message_id": quoted, "allow_sending_without_reply": true }),
        );
    }
    if message.kind == MessageKind::Text {
        let text = message.body.as_deref().unwrap_or_default();
        if text.trim().is_empty() {
            return Err("A text message needs a text.".to_owned());
        }
        fits(text, TEXT_LIMIT, "text")?;
        parameters.insert(field.to_owned(), json!(text));
    } else {
        let media = message
            .media
            .as_ref()
            .ok_or_else(|| format!("A message of kind \"{}\" needs a file.", message.kind))?;
        parameters.insert(field.to_owned(), json!(file(media)?));
        let caption = message.body.as_deref().or(media.caption.as_deref()).filter(|text| !text.is_empty());
        if let Some(caption) = caption {
            if message.kind == MessageKind::Sticker {
                return Err("Telegram shows no caption with a sticker.".to_owned());
            }
            fits(caption, CAPTION_LIMIT, "caption")?;
            parameters.insert("caption".to_owned(), json!(caption));
        }
    }
    Ok((method, Value::Object(parameters)))
}

fn address(recipient: &Recipient) -> Result<(i64, Option<i64>), String> {
    let id = |text: &str| text.parse::<i64>().map_err(|_| format!("\"{text}\" is no Telegram chat id."));
    match recipient {
        Recipient::Person(identity) if identity.kind == IdentityKind::Telegram => {
            Ok((id(&identity.value)?, None))
        }
        Recipient::Person(identity) => {
            Err(format!("Telegram cannot reach a person by an identity of kind \"{}\".", identity.kind))
        }
        Recipient::Group { external_id, topic } => {
            let topic = topic.as_deref().map(|topic| {
                topic.parse::<i64>().map_err(|_| format!("\"{topic}\" is no Telegram topic id."))
            });
            Ok((id(external_id)?, topic.transpose()?.filter(|topic| *topic != GENERAL_TOPIC)))
        }
    }
}

/// The number to quote. What is no message of this chat (a button tap, a message from before the group got a new
/// id, one of a business account's chat) cannot be quoted; the answer goes out without.
fn quoted(key: &str, chat: i64) -> Option<i64> {
    let (in_chat, number) = key.split_once(':')?;
    (in_chat.parse() == Ok(chat)).then(|| number.parse().ok())?
}

fn file(media: &Media) -> Result<&str, String> {
    let given = |value: &'_ Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    match (&media.id, &media.url) {
        (Some(id), _) if given(&media.id) => Ok(id),
        (_, Some(url)) if given(&media.url) => Ok(url),
        _ => Err("The file has neither a Telegram file id nor a link.".to_owned()),
    }
}

fn fits(text: &str, limit: usize, what: &str) -> Result<(), String> {
    let length = text.encode_utf16().count();
    if length > limit {
        return Err(format!("The {what} has {length} characters; Telegram takes {limit}."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kabar_domain::inbound::Identity;

    use super::*;

    fn message(kind: MessageKind) -> OutboundMessage {
        OutboundMessage {
            callback_data: "01J".to_owned(),
            recipient: Recipient::Person(Identity::new(IdentityKind::Telegram, "777001")),
            kind,
            body: None,
            media: None,
            payload: json!({}),
            reply_to: None,
        }
    }

    fn text(body: &str) -> OutboundMessage {
        OutboundMessage { body: Some(body.to_owned()), ..message(MessageKind::Text) }
    }

    fn group(topic: Option<&str>) -> Recipient {
        Recipient::Group { external_id: "-1001234567890".to_owned(), topic: topic.map(str::to_owned) }
    }

    #[test]
    fn a_text() {
        let sent = request(&text("Halo <b>")).unwrap();
        assert_eq!(sent, ("sendMessage", json!({ "chat_id": 777_001, "text": "Halo <b>" })));
    }

    #[test]
    fn an_answer_quotes_only_a_message_of_its_chat() {
        let quote = |key: &str| {
            let message = OutboundMessage { reply_to: Some(key.to_owned()), ..text("Halo") };
            request(&message).unwrap().1.get("reply_parameters").cloned()
        };
        let expected = json!({ "message_id": 42, "allow_sending_without_reply": true });
        assert_eq!(quote("777001:42"), Some(expected));
        for key in ["777002:42", "cb:42", "update:42", "777001:42:bc1", "777001:", "", "42"] {
            assert_eq!(quote(key), None, "{key}");
        }
    }

    #[test]
    fn a_topic_is_named_unless_it_is_the_general_one() {
        for (topic, expected) in [(None, None), (Some("1"), None), (Some("5"), Some(json!(5)))] {
            let message = OutboundMessage { recipient: group(topic), ..text("Halo") };
            let (_, parameters) = request(&message).unwrap();
            assert_eq!(parameters["chat_id"], json!(-1_001_234_567_890_i64));
            assert_eq!(parameters.get("message_thread_id").cloned(), expected);
        }
    }

    #[test]
    fn files_by_id_or_link() {
        let cases = [
            (MessageKind::Image, "sendPhoto", "photo"),
            (MessageKind::Video, "sendVideo", "video"),
            (MessageKind::Audio, "sendAudio", "audio"),
            (MessageKind::Voice, "sendVoice", "voice"),
            (MessageKind::Document, "sendDocument", "document"),
        ];
        for (kind, method, field) in cases {
            let link = Media { url: Some("https://example.com/a".to_owned()), ..Media::default() };
            let sent = OutboundMessage { media: Some(link), body: Some("Lihat".to_owned()), ..message(kind) };
            let expected = json!({ "chat_id": 777_001, field: "https://example.com/a", "caption": "Lihat" });
            assert_eq!(request(&sent).unwrap(), (method, expected));
        }
        let id = Media { id: Some("CAAC".to_owned()), url: Some("https://x".to_owned()), ..Media::default() };
        let sticker = OutboundMessage { media: Some(id), ..message(MessageKind::Sticker) };
        assert_eq!(
            request(&sticker).unwrap(),
            ("sendSticker", json!({ "chat_id": 777_001, "sticker": "CAAC" }))
        );
    }

    #[test]
    fn lengths_are_counted_as_telegram_counts() {
        assert!(request(&text(&"a".repeat(4096))).is_ok());
        assert!(request(&text(&"a".repeat(4097))).is_err());
        assert!(request(&text(&"🎲".repeat(2048))).is_ok(), "two units each");
        assert!(request(&text(&"🎲".repeat(2049))).is_err());
        let captioned = |length| OutboundMessage {
            media: Some(Media { id: Some("f".to_owned()), ..Media::default() }),
            body: Some("é".repeat(length)),
            ..message(MessageKind::Image)
        };
        assert!(request(&captioned(1024)).is_ok());
        assert!(request(&captioned(1025)).is_err());
    }

    #[test]
    fn what_telegram_cannot_carry_is_refused_with_a_sentence() {
        let file = Some(Media { id: Some("f".to_owned()), ..Media::default() });
        let to = |recipient| OutboundMessage { recipient, ..text("Halo") };
        let nameless = Recipient::Group { external_id: "@promo".to_owned(), topic: None };
        let refused = [
            text(""),
            text(" \n"),
            message(MessageKind::Text),
            message(MessageKind::Image),
            OutboundMessage { media: Some(Media::default()), ..message(MessageKind::Document) },
            OutboundMessage { media: file, body: Some("x".to_owned()), ..message(MessageKind::Sticker) },
            message(MessageKind::Template),
            message(MessageKind::Interactive),
            message(MessageKind::Location),
            to(Recipient::Person(Identity::new(IdentityKind::WaId, "62811"))),
            to(Recipient::Person(Identity::new(IdentityKind::Telegram, "budi"))),
            to(nameless),
            to(group(Some("AC"))),
        ];
        for message in refused {
            let reason = request(&message).unwrap_err();
            assert!(reason.ends_with('.'), "{reason}");
        }
    }
}
