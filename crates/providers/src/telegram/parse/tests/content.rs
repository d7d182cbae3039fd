use kabar_domain::Timestamp;
use kabar_domain::inbound::{Chat, Event, Identity, IdentityKind, Origin, Party};
use kabar_domain::message::{Media, MessageKind, MessageStatus};
use serde_json::{Value, json};

use super::{DATE, NOW, budi, direct, event, group, grouped, shown, update};

fn file(id: &str) -> Value {
    json!({ "file_id": id, "file_unique_id": format!("u-{id}"), "file_size": 1234 })
}

fn attached(id: &str, mime_type: Option<&str>, filename: Option<&str>) -> Media {
    Media {
        id: Some(id.to_owned()),
        unique_id: Some(format!("u-{id}")),
        size: Some(1234),
        mime_type: mime_type.map(str::to_owned),
        filename: filename.map(str::to_owned),
        ..Media::default()
    }
}

/// A message's fields, and the kind, body, file and payload they make.
type Case = (Value, MessageKind, Option<&'static str>, Option<Media>, Value);

#[test]
fn every_kind_of_content() {
    use MessageKind as Kind;
    let with = |mut base: Value, fields: Value| {
        base.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        base
    };
    let jpeg = Some("image/jpeg");
    let animation =
        with(file("anim"), json!({ "mime_type": "video/mp4", "duration": 2, "width": 3, "height": 4 }));
    let photos = json!([
        with(file("big"), json!({ "width": 1280, "height": 960 })),
        with(file("small"), json!({ "width": 90, "height": 67 })),
    ]);
    let place = json!({ "latitude": -6.2, "longitude": 106.8 });
    let cases: Vec<Case> = vec![
        (
            json!({ "text": "Halo", "entities": [{ "type": "bold", "offset": 0, "length": 4 }] }),
            Kind::Text,
            Some("Halo"),
            None,
            json!({ "entities": [{ "type": "bold", "offset": 0, "length": 4 }] }),
        ),
        (
            json!({ "photo": photos, "caption": "Unit bocor", "media_group_id": "139",
                "caption_entities": [{ "type": "bold", "offset": 0, "length": 4 }] }),
            Kind::Image,
            Some("Unit bocor"),
            Some(attached("big", jpeg, None)),
            json!({ "width": 1280, "height": 960, "media_group_id": "139",
                "entities": [{ "type": "bold", "offset": 0, "length": 4 }] }),
        ),
        (
            json!({ "photo": photos, "live_photo": file("live") }),
            Kind::Image,
            None,
            Some(attached("big", jpeg, None)),
            json!({ "width": 1280, "height": 960, "live_photo": file("live") }),
        ),
        (
            json!({ "video": with(file("v"), json!({ "mime_type": "video/mp4", "file_name": "a.mp4", "duration": 9 })) }),
            Kind::Video,
            None,
            Some(attached("v", Some("video/mp4"), Some("a.mp4"))),
            json!({ "duration": 9 }),
        ),
        (
            json!({ "animation": animation, "document": animation }),
            Kind::Video,
            None,
            Some(attached("anim", Some("video/mp4"), None)),
            json!({ "animation": true, "duration": 2, "width": 3, "height": 4 }),
        ),
        (
            json!({ "audio": with(file("a"), json!({ "mime_type": "audio/mpeg", "title": "Lagu", "performer": "P", "duration": 60 })) }),
            Kind::Audio,
            None,
            Some(attached("a", Some("audio/mpeg"), None)),
            json!({ "title": "Lagu", "performer": "P", "duration": 60 }),
        ),
        (
            json!({ "voice": with(file("vo"), json!({ "duration": 3 })) }),
            Kind::Voice,
            None,
            Some(attached("vo", Some("audio/ogg"), None)),
            json!({ "duration": 3 }),
        ),
        (
            json!({ "video_note": with(file("vn"), json!({ "duration": 3, "length": 240 })) }),
            Kind::Video,
            None,
            Some(attached("vn", Some("video/mp4"), None)),
            json!({ "duration": 3, "length": 240, "video_note": true }),
        ),
        (
            json!({ "document": with(file("d"), json!({ "file_name": "faktur.pdf", "mime_type": "application/pdf" })), "caption": "Faktur" }),
            Kind::Document,
            Some("Faktur"),
            Some(attached("d", Some("application/pdf"), Some("faktur.pdf"))),
            json!({}),
        ),
        (
            json!({ "sticker": with(file("s"), json!({ "emoji": "👍", "is_animated": true, "is_video": false, "type": "regular" })) }),
            Kind::Sticker,
            Some("👍"),
            Some(attached("s", Some("application/x-tgsticker"), None)),
            json!({ "emoji": "👍", "is_animated": true, "is_video": false, "type": "regular" }),
        ),
        (
            json!({ "contact": { "phone_number": "+62811", "first_name": "Budi", "user_id": 777_001 } }),
            Kind::Contacts,
            Some("Budi"),
            None,
            json!({ "contacts": [{ "name": { "first_name": "Budi", "formatted_name": "Budi" },
                "phones": [{ "phone": "+62811" }], "telegram_user_id": "777001", "is_sender": true }] }),
        ),
        (
            json!({ "location": { "latitude": -6.2, "longitude": 106.8, "live_period": 900 } }),
            Kind::Location,
            None,
            None,
            json!({ "latitude": -6.2, "longitude": 106.8, "live_period": 900 }),
        ),
        (
            json!({ "location": place, "venue": { "location": place, "title": "Toko", "address": "Jl. Melati 1" } }),
            Kind::Location,
            Some("Toko"),
            None,
            json!({ "latitude": -6.2, "longitude": 106.8, "name": "Toko", "address": "Jl. Melati 1" }),
        ),
        (
            json!({ "poll": { "id": "5", "question": "Jam?", "options": [{ "text": "9" }, { "text": "10" }] } }),
            Kind::Poll,
            Some("Jam?"),
            None,
            json!({ "id": "5", "question": "Jam?", "options": [{ "text": "9" }, { "text": "10" }] }),
        ),
        (
            json!({ "dice": { "emoji": "🎲", "value": 4 } }),
            Kind::Text,
            Some("🎲 4"),
            None,
            json!({ "dice": { "emoji": "🎲", "value": 4 } }),
        ),
    ];
    for (fields, kind, body, media, payload) in cases {
        let message = shown(&update("message", &direct(&fields)));
        assert_eq!(message.kind, kind, "{fields}");
        assert_eq!(message.body.as_deref(), body, "{fields}");
        assert_eq!(message.media, media.into_iter().collect::<Vec<_>>(), "{fields}");
        assert_eq!(message.payload, payload, "{fields}");
    }
}

#[test]
fn content_nobody_knows_stays_as_it_came() {
    let fields = [
        json!({ "hologram": { "depth": 3 } }),
        json!({ "game": { "title": "Ludo" } }),
        json!({ "paid_media": { "star_count": 5 }, "caption": "Lihat" }),
        json!({ "story": { "id": 3 } }),
        json!({ "checklist": { "title": "Belanja", "tasks": [] } }),
        json!({}),
    ];
    for fields in fields {
        let object = direct(&fields);
        let message = shown(&update("message", &object));
        assert_eq!((message.kind, &message.payload), (MessageKind::Unknown, &object));
    }
    assert_eq!(
        shown(&update("message", &direct(&json!({ "game": { "title": "Ludo" } })))).body.unwrap(),
        "Ludo"
    );
}

#[test]
fn structured_text_is_read_as_plain_text() {
    let rich = json!({ "blocks": [
        { "type": "heading", "size": 1, "text": ["Harga ", { "type": "bold", "text": "AC" }] },
        { "type": "list", "items": [
            { "label": "1.", "blocks": [{ "type": "paragraph", "text": "Cuci" }] },
            { "label": "2.", "blocks": [{ "type": "paragraph", "text": { "type": "url", "url": "https://x", "text": "Isi" } }] },
        ] },
        { "type": "table", "cells": [[{ "text": "a" }, { "text": "b" }]] },
        { "type": "divider" },
    ] });
    let message = shown(&update("message", &direct(&json!({ "rich_message": rich }))));
    assert_eq!(message.kind, MessageKind::Text);
    assert_eq!(message.body.as_deref(), Some("Harga AC\n1. Cuci\n2. Isi\na | b"));
    assert_eq!(message.payload, json!({ "rich_message": rich }));
}

#[test]
fn a_private_message() {
    let message = shown(&update(
        "message",
        &direct(&json!({ "text": "Halo", "reply_to_message": {
        "message_id": 7, "chat": { "id": 777_001, "type": "private" }, "date": DATE, "text": "?" } })),
    ));
    assert_eq!(message.provider_message_id, "777001:42");
    assert_eq!(message.reply_to.as_deref(), Some("777001:7"));
    assert_eq!(message.origin, Origin::Live);
    assert_eq!(message.chat, Chat::Direct);
    assert_eq!(message.occurred_at, Timestamp::from_unix(DATE));
    assert_eq!(message.status, None);
    assert_eq!(
        message.party,
        Party {
            identities: vec![Identity::new(IdentityKind::Telegram, "777001")],
            name: Some("Budi Santoso".to_owned()),
            username: Some("budi_s".to_owned()),
            language: Some("id".to_owned()),
        }
    );
}

#[test]
fn a_group_message_keeps_its_topic_but_no_mere_thread() {
    let topic = json!({ "text": "Halo", "message_thread_id": 5, "is_topic_message": true, "reply_to_message": {
        "message_id": 5, "chat": group(), "date": DATE, "forum_topic_created": { "name": "AC", "icon_color": 1 } } });
    let message = shown(&update("message", &grouped(&topic)));
    assert_eq!(message.provider_message_id, "-1001234567890:42");
    assert_eq!(message.reply_to, None, "the topic's own first message is no quote");
    assert_eq!(message.payload["topic_name"], "AC");
    let chat = |topic: Option<&str>| Chat::Group {
        external_id: "-1001234567890".to_owned(),
        title: Some("Pelanggan AC".to_owned()),
        topic: topic.map(str::to_owned),
    };
    assert_eq!(message.chat, chat(Some("5")));

    let thread = json!({ "text": "Halo", "message_thread_id": 5,
        "reply_to_message": { "message_id": 5, "chat": group(), "date": DATE, "text": "?" } });
    let message = shown(&update("message", &grouped(&thread)));
    assert_eq!(message.chat, chat(None));
    assert_eq!(message.reply_to.as_deref(), Some("-1001234567890:5"));
}

#[test]
fn who_speaks_as_a_chat_is_that_chat() {
    let channel = json!({ "id": -100_777, "type": "channel", "title": "Kabar Promo", "username": "promo" });
    let post =
        json!({ "message_id": 3, "sender_chat": channel, "chat": channel, "date": DATE, "text": "Diskon" });
    let anonymous = grouped(&json!({ "sender_chat": channel, "text": "Diskon",
        "from": { "id": 1_087_968_824, "is_bot": true, "first_name": "Group" } }));
    for (kind, object) in [("channel_post", post), ("message", anonymous)] {
        let party = shown(&update(kind, &object)).party;
        assert_eq!(party.identities, [Identity::new(IdentityKind::Telegram, "-100777")]);
        assert_eq!(party.name.as_deref(), Some("Kabar Promo"));
    }
    let unsigned = json!({ "message_id": 3, "chat": channel, "date": DATE, "text": "Diskon" });
    assert_eq!(shown(&update("channel_post", &unsigned)).party.name.as_deref(), Some("Kabar Promo"));
}

#[test]
fn a_chat_of_a_new_type_is_a_group() {
    let message = direct(&json!({ "chat": { "id": 5, "type": "village" }, "text": "Halo" }));
    assert!(
        matches!(shown(&update("message", &message)).chat, Chat::Group { external_id, .. } if external_id == "5")
    );
}

#[test]
fn business_messages_of_either_side() {
    let connection = json!({ "business_connection_id": "bc1", "text": "Halo" });
    let message = shown(&update("business_message", &direct(&connection)));
    assert_eq!(message.provider_message_id, "777001:42:bc1");
    assert_eq!((message.origin, message.status), (Origin::Live, None));

    let ours =
        json!({ "business_connection_id": "bc1", "text": "Siap", "from": { "id": 9, "first_name": "Toko" } });
    let message = shown(&update("business_message", &direct(&ours)));
    assert_eq!((message.origin, message.status), (Origin::Echo, Some(MessageStatus::Sent)));
    assert_eq!(message.party.name.as_deref(), Some("Budi Santoso"));
    assert_eq!(message.party.identities, [Identity::new(IdentityKind::Telegram, "777001")]);
}

#[test]
fn a_guest_message_is_from_its_writer() {
    let guest = direct(
        &json!({ "guest_query_id": "g1", "text": "@bot harga?", "chat": { "id": 55, "type": "private" } }),
    );
    let message = shown(&update("guest_message", &guest));
    assert_eq!(message.origin, Origin::Live);
    assert_eq!(message.party.identities, [Identity::new(IdentityKind::Telegram, "777001")]);
    assert_eq!(message.payload["guest_query_id"], "g1");
}

#[test]
fn context_any_message_can_carry() {
    let origin = json!({ "type": "hidden_user", "sender_user_name": "Ani", "date": DATE });
    let fields = json!({ "text": "x", "forward_origin": origin, "quote": { "text": "q", "position": 0 },
        "external_reply": { "origin": origin }, "via_bot": { "id": 3, "is_bot": true, "first_name": "gif" } });
    let payload = shown(&update("message", &direct(&fields))).payload;
    assert_eq!(payload["forwarded"], true);
    for field in ["forward_origin", "quote", "external_reply", "via_bot"] {
        assert_eq!(payload[field], fields[field]);
    }
}

#[test]
fn messages_without_a_usable_number_or_date_are_kept() {
    for fields in [json!({ "message_id": 0 }), json!({ "message_id": null, "ephemeral_message_id": 3 })] {
        let message = shown(&update("message", &grouped(&fields)));
        assert_eq!(message.provider_message_id, "update:9001");
    }
    for date in [json!(0), json!(-5), json!(i64::MAX), json!("soon"), Value::Null] {
        let message = shown(&update("message", &direct(&json!({ "text": "x", "date": date }))));
        assert_eq!(message.occurred_at, NOW);
    }
}

#[test]
fn an_edit_carries_the_new_content() {
    for kind in ["edited_message", "edited_channel_post", "edited_business_message"] {
        let object = direct(&json!({ "text": "Halo!", "edit_date": DATE + 60 }));
        let Event::Edit(edit) = event(&update(kind, &object)) else { panic!("{kind}") };
        assert_eq!(edit.target, "777001:42");
        assert_eq!((edit.kind, edit.body.as_deref()), (MessageKind::Text, Some("Halo!")));
        assert_eq!(edit.occurred_at, Timestamp::from_unix(DATE + 60));
        assert_eq!(edit.sender.username.as_deref(), budi()["username"].as_str());
        assert_eq!(edit.chat, Chat::Direct);
    }
}
