//! What a message looks like on WhatsApp's wire.

use kabar_domain::inbound::IdentityKind;
use kabar_domain::message::{Media, MessageKind};
use kabar_domain::outbound::{OutboundMessage, Recipient};
use serde_json::{Map, Value, json};

/// Characters WhatsApp takes in a text.
const TEXT_LIMIT: usize = 4_096;
/// Characters WhatsApp takes in a caption.
const CAPTION_LIMIT: usize = 1_024;

/// The body of `POST /{phone_number_id}/messages`. `Err` is a sentence for the person who wrote the message.
pub fn payload(message: &OutboundMessage) -> Result<Value, String> {
    let (kind, content) = content(message)?;
    let mut payload = Map::new();
    payload.insert("messaging_product".to_owned(), "whatsapp".into());
    address(&message.recipient, &mut payload)?;
    payload.insert("type".to_owned(), kind.into());
    payload.insert(kind.to_owned(), content);
    if let Some(quoted) = &message.reply_to {
        payload.insert("context".to_owned(), json!({ "message_id": quoted }));
    }
    if !message.callback_data.is_empty() {
        payload.insert("biz_opaque_callback_data".to_owned(), message.callback_data.as_str().into());
    }
    Ok(Value::Object(payload))
}

fn address(recipient: &Recipient, payload: &mut Map<String, Value>) -> Result<(), String> {
    let (kind, key, value) = match recipient {
        Recipient::Group { external_id, .. } => ("group", "to", external_id.clone()),
        Recipient::Person(identity) => match identity.kind {
            // Without `+` Meta may take the number for one of the sender's own country.
            IdentityKind::WaId => {
                let digits: String = identity.value.chars().filter(char::is_ascii_digit).collect();
                if digits.is_empty() {
                    return Err(format!("{:?} is not a phone number.", identity.value));
                }
                ("individual", "to", format!("+{digits}"))
            }
            IdentityKind::Bsuid => ("individual", "recipient", identity.value.clone()),
            other => return Err(format!("WhatsApp cannot reach a person by a {other} identity.")),
        },
    };
    payload.insert("recipient_type".to_owned(), kind.into());
    payload.insert(key.to_owned(), value.into());
    Ok(())
}

fn content(message: &OutboundMessage) -> Result<(&'static str, Value), String> {
    let body = message.body.as_deref().filter(|body| !body.is_empty());
    match message.kind {
        MessageKind::Text => text(body).map(|content| ("text", content)),
        MessageKind::Template => template(message).map(|content| ("template", content)),
        MessageKind::Image => media(message, "image", body),
        MessageKind::Video => media(message, "video", body),
        MessageKind::Document => media(message, "document", body),
        MessageKind::Audio => bare_media(message, "audio", body),
        MessageKind::Sticker => bare_media(message, "sticker", body),
        MessageKind::Voice => {
            let (name, mut content) = bare_media(message, "audio", body)?;
            content["voice"] = Value::Bool(true);
            Ok((name, content))
        }
        other => Err(format!("Sending {other} messages over WhatsApp is not supported yet.")),
    }
}

fn text(body: Option<&str>) -> Result<Value, String> {
    let body = body.ok_or("A text message needs a text.")?;
    within(body, TEXT_LIMIT, "text")?;
    Ok(if body.contains("https://") || body.contains("http://") {
        json!({ "body": body, "preview_url": true })
    } else {
        json!({ "body": body })
    })
}

/// `payload.template` as it is, and the message's file put where its header names one.
fn template(message: &OutboundMessage) -> Result<Value, String> {
    let mut template = message.payload.get("template").filter(|template| template.is_object()).cloned();
    let template = template.as_mut().ok_or("A template message needs a template.")?;
    if let Some(media) = &message.media {
        let header = template
            .get_mut("components")
            .and_then(Value::as_array_mut)
            .and_then(|components| components.iter_mut().find(|part| part["type"] == "header"))
            .and_then(|header| header.pointer_mut("/parameters/0"))
            .ok_or("The template's header has no place for a file.")?;
        let kind = header["type"].as_str().unwrap_or_default().to_owned();
        let mut content = source(media, &kind)?;
        if let Some(filename) = media.filename.as_ref().filter(|_| kind == "document") {
            content.insert("filename".to_owned(), filename.as_str().into());
        }
        header[kind] = Value::Object(content);
    }
    Ok(template.take())
}

fn media(
    message: &OutboundMessage,
    name: &'static str,
    caption: Option<&str>,
) -> Result<(&'static str, Value), String> {
    let Some(media) = &message.media else {
        return Err(format!("A WhatsApp {name} needs a file."));
    };
    let mut content = source(media, name)?;
    if let Some(caption) = caption {
        within(caption, CAPTION_LIMIT, "caption")?;
        content.insert("caption".to_owned(), caption.into());
    }
    if name == "document"
        && let Some(filename) = &media.filename
    {
        content.insert("filename".to_owned(), filename.as_str().into());
    }
    Ok((name, Value::Object(content)))
}

fn bare_media(
    message: &OutboundMessage,
    name: &'static str,
    caption: Option<&str>,
) -> Result<(&'static str, Value), String> {
    if caption.is_some() {
        return Err(format!(
            "A WhatsApp {name} cannot have a caption; send the text as a message of its own."
        ));
    }
    media(message, name, None)
}

/// `id` of a file given to WhatsApp before, or a `link` for it to fetch.
fn source(media: &Media, name: &str) -> Result<Map<String, Value>, String> {
    let (key, value) = match (&media.id, &media.url) {
        (Some(id), _) => ("id", id),
        (None, Some(url)) if url.starts_with("https://") || url.starts_with("http://") => ("link", url),
        (None, Some(_)) => return Err(format!("The {name}'s link must begin with https://.")),
        (None, None) => return Err(format!("A WhatsApp {name} needs the id of an uploaded file or a link.")),
    };
    Ok(Map::from_iter([(key.to_owned(), Value::String(value.clone()))]))
}

fn within(text: &str, limit: usize, what: &str) -> Result<(), String> {
    // A character has at least one byte.
    let count = if text.len() > limit { text.chars().count() } else { 0 };
    if count > limit {
        return Err(format!("The {what} has {count} characters; WhatsApp takes {limit}."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kabar_domain::inbound::Identity;

    fn to_person(kind: MessageKind, body: Option<&str>, media: Option<Media>) -> OutboundMessage {
        OutboundMessage {
            callback_data: "01JX".to_owned(),
            recipient: Recipient::Person(Identity::new(IdentityKind::WaId, "16505551234")),
            kind,
            body: body.map(str::to_owned),
            media,
            payload: json!({}),
            reply_to: None,
        }
    }

    fn link() -> Media {
        Media {
            url: Some("https://example.com/a".to_owned()),
            filename: Some("a.pdf".to_owned()),
            ..Media::default()
        }
    }

    #[test]
    fn a_text_is_addressed_and_quoted() {
        let mut message = to_person(MessageKind::Text, Some("see https://a.b"), None);
        message.reply_to = Some("wamid.Q".to_owned());
        assert_eq!(
            payload(&message),
            Ok(json!({
                "messaging_product": "whatsapp", "recipient_type": "individual", "to": "+16505551234",
                "type": "text", "text": {"body": "see https://a.b", "preview_url": true},
                "context": {"message_id": "wamid.Q"}, "biz_opaque_callback_data": "01JX",
            }))
        );
        let plain = payload(&to_person(MessageKind::Text, Some("hi"), None)).unwrap();
        assert_eq!(plain["text"], json!({"body": "hi"}));
    }

    #[test]
    fn everyone_is_reached_by_their_own_key() {
        let mut message = to_person(MessageKind::Text, Some("hi"), None);
        message.recipient = Recipient::Person(Identity::new(IdentityKind::Bsuid, "US.1349"));
        let by_id = payload(&message).unwrap();
        assert_eq!((&by_id["recipient"], by_id.get("to")), (&json!("US.1349"), None));
        message.recipient = Recipient::Group { external_id: "G".to_owned(), topic: None };
        let group = payload(&message).unwrap();
        assert_eq!((&group["recipient_type"], &group["to"]), (&json!("group"), &json!("G")));
        message.recipient = Recipient::Person(Identity::new(IdentityKind::Telegram, "5"));
        assert!(payload(&message).unwrap_err().contains("telegram"));
        message.recipient = Recipient::Person(Identity::new(IdentityKind::WaId, "nobody"));
        assert!(payload(&message).is_err());
    }

    #[test]
    fn files_go_by_id_or_link() {
        let image = payload(&to_person(MessageKind::Image, Some("Taj"), Some(link()))).unwrap();
        assert_eq!(image["image"], json!({"link": "https://example.com/a", "caption": "Taj"}));
        let document = payload(&to_person(MessageKind::Document, None, Some(link()))).unwrap();
        assert_eq!(document["document"], json!({"link": "https://example.com/a", "filename": "a.pdf"}));
        let uploaded = Some(Media { id: Some("77".to_owned()), ..Media::default() });
        let voice = payload(&to_person(MessageKind::Voice, None, uploaded.clone())).unwrap();
        assert_eq!((&voice["type"], &voice["audio"]), (&json!("audio"), &json!({"id": "77", "voice": true})));
        let sticker = payload(&to_person(MessageKind::Sticker, None, uploaded)).unwrap();
        assert_eq!(sticker["sticker"], json!({"id": "77"}));
    }

    #[test]
    fn what_whatsapp_would_refuse_is_refused_in_words() {
        let refused = |kind, body: Option<&str>, media| payload(&to_person(kind, body, media)).unwrap_err();
        assert!(refused(MessageKind::Audio, Some("listen"), Some(link())).contains("caption"));
        assert!(refused(MessageKind::Sticker, Some("ha"), Some(link())).contains("caption"));
        assert!(refused(MessageKind::Text, None, None).contains("needs a text"));
        assert!(refused(MessageKind::Text, Some(&"ا".repeat(4_097)), None).contains("4097 characters"));
        assert!(refused(MessageKind::Image, Some(&"x".repeat(1_025)), Some(link())).contains("1024"));
        assert!(refused(MessageKind::Image, None, None).contains("needs a file"));
        assert!(refused(MessageKind::Image, None, Some(Media::default())).contains("link"));
        let file = Some(Media { url: Some("file:///etc/passwd".to_owned()), ..Media::default() });
        assert!(refused(MessageKind::Image, None, file).contains("https://"));
        assert!(refused(MessageKind::Template, None, None).contains("not supported yet"));
        assert!(payload(&to_person(MessageKind::Text, Some(&"ا".repeat(4_096)), None)).is_ok());
    }
}
