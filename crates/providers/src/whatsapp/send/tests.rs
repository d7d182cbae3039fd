use kabar_domain::inbound::Identity;
use kabar_domain::message::Media;

use super::*;

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
    assert!(payload(&message).unwrap_err().reason.contains("telegram"));
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
    let refused =
        |kind, body: Option<&str>, media| payload(&to_person(kind, body, media)).unwrap_err().reason;
    assert!(refused(MessageKind::Audio, Some("listen"), Some(link())).contains("caption"));
    assert!(refused(MessageKind::Sticker, Some("ha"), Some(link())).contains("caption"));
    assert!(refused(MessageKind::Text, None, None).contains("needs a text"));
    assert!(refused(MessageKind::Text, Some(&"ا".repeat(4_097)), None).contains("4097 characters"));
    assert!(refused(MessageKind::Image, Some(&"x".repeat(1_025)), Some(link())).contains("1024"));
    assert!(refused(MessageKind::Image, None, None).contains("needs a file"));
    assert!(refused(MessageKind::Image, None, Some(Media::default())).contains("link"));
    let file = Some(Media { url: Some("file:///etc/passwd".to_owned()), ..Media::default() });
    assert!(refused(MessageKind::Image, None, file).contains("https://"));
    assert!(payload(&to_person(MessageKind::Text, Some(&"ا".repeat(4_096)), None)).is_ok());
}
