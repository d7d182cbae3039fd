use kabar_domain::inbound::Identity;
use kabar_domain::message::Media;

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
    assert_eq!(request(&sticker).unwrap(), ("sendSticker", json!({ "chat_id": 777_001, "sticker": "CAAC" })));
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
        let reason = request(&message).unwrap_err().reason;
        assert!(reason.ends_with('.'), "{reason}");
    }
}
