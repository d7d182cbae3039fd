use kabar_domain::clock::Timestamp;
use kabar_domain::inbound::{AccountKey, Chat, Event, Identity, IdentityKind, InboundMessage, Origin};
use kabar_domain::message::{Media, MessageKind, MessageStatus};
use serde_json::{Value, json};

use super::{NUMBER, body, event, message, one, read, refused, said};

fn wa_id(digits: &str) -> Identity {
    Identity::new(IdentityKind::WaId, digits)
}

fn bsuid(id: &str) -> Identity {
    Identity::new(IdentityKind::Bsuid, id)
}

#[test]
fn a_text_is_read_with_who_where_and_when() {
    let update = one(&body(
        "messages",
        json!({
            "contacts": [
                {"profile": {"name": "Somebody Else"}, "wa_id": "4915112345678"},
                {"profile": {"name": "Sheena Nelson", "username": "sheena"}, "wa_id": "16505551234",
                 "user_id": "US.13491208655302741918"},
            ],
            "messages": [message(json!({"type": "text", "text": {"body": "Does it come in another color?"}}))],
        }),
    ));
    assert_eq!(update.pointer, "/entry/0/changes/0/value/messages/0");
    assert_eq!(update.account, AccountKey::PhoneNumber(NUMBER.to_owned()));
    let Ok(Event::Message(said)) = update.event else { panic!("{update:?}") };
    assert_eq!(said.provider_message_id, "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=");
    assert_eq!((said.origin, &said.chat, said.kind), (Origin::Live, &Chat::Direct, MessageKind::Text));
    assert_eq!(said.party.identities, [wa_id("16505551234"), bsuid("US.13491208655302741918")]);
    assert_eq!(said.party.name.as_deref(), Some("Sheena Nelson"));
    assert_eq!(said.party.username.as_deref(), Some("sheena"));
    assert_eq!(said.body.as_deref(), Some("Does it come in another color?"));
    assert_eq!((said.payload, said.media, said.status), (json!({}), vec![], None));
    assert_eq!(said.occurred_at, Timestamp::from_unix(1_749_416_383));
}

#[test]
fn a_person_without_a_number_is_known_by_their_user_id() {
    let said = said(json!({
        "from": null, "from_user_id": "US.1349", "from_parent_user_id": "US.ENT.77",
        "type": "text", "text": {"body": "hi"},
    }));
    assert_eq!(said.party.identities, [bsuid("US.1349"), bsuid("US.ENT.77")]);
    assert_eq!(said.party.name, None);
    let reason = refused(json!({"from": "", "type": "text", "text": {"body": "hi"}}));
    assert!(reason.contains("from_user_id"), "{reason}");
}

#[test]
fn a_number_is_digits_however_it_is_spelt() {
    let said = said(json!({"from": "+1 (650) 555-1234", "type": "text", "text": {"body": "hi"}}));
    assert_eq!(said.party.identities, [wa_id("16505551234")]);
    assert_eq!(said.party.name.as_deref(), Some("Sheena Nelson"));
}

#[test]
fn each_type_has_its_kind_body_and_payload() {
    let cases: Vec<(Value, MessageKind, Option<&str>, Value)> = vec![
        (
            json!({"type": "location", "location": {"latitude": 37.48, "longitude": -122.14, "name": "Meta HQ",
                "address": "1 Hacker Way"}}),
            MessageKind::Location,
            Some("Meta HQ"),
            json!({"latitude": 37.48, "longitude": -122.14, "name": "Meta HQ", "address": "1 Hacker Way"}),
        ),
        (
            json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "Barbara J. Johnson"},
                "phones": [{"phone": "+1 (650) 555-0123", "wa_id": "16505550123"}]}]}),
            MessageKind::Contacts,
            Some("Barbara J. Johnson"),
            json!({"contacts": [{"name": {"formatted_name": "Barbara J. Johnson"},
                "phones": [{"phone": "+1 (650) 555-0123", "wa_id": "16505550123"}]}]}),
        ),
        (
            json!({"type": "button", "button": {"payload": "stop", "text": "Unsubscribe"}}),
            MessageKind::Button,
            Some("Unsubscribe"),
            json!({"payload": "stop"}),
        ),
        (
            json!({"type": "interactive", "interactive": {"type": "button_reply",
                "button_reply": {"id": "cancel", "title": "Cancel"}}}),
            MessageKind::Interactive,
            Some("Cancel"),
            json!({"type": "button_reply", "id": "cancel", "title": "Cancel"}),
        ),
        (
            json!({"type": "interactive", "interactive": {"type": "list_reply",
                "list_reply": {"id": "express", "title": "Express", "description": "Next day"}}}),
            MessageKind::Interactive,
            Some("Express"),
            json!({"type": "list_reply", "id": "express", "title": "Express", "description": "Next day"}),
        ),
        (
            json!({"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": {"name": "flow",
                "body": "Sent", "response_json": "{\"flow_token\":\"t1\",\"age\":\"4\\u00002\"}"}}}),
            MessageKind::Flow,
            Some("Sent"),
            json!({"type": "nfm_reply", "name": "flow", "response": {"flow_token": "t1", "age": "42"}}),
        ),
        (
            json!({"type": "interactive", "interactive": {"type": "nfm_reply",
                "nfm_reply": {"name": "flow", "response_json": "{oops"}}}),
            MessageKind::Flow,
            None,
            json!({"type": "nfm_reply", "name": "flow", "response_json": "{oops"}),
        ),
        (
            json!({"type": "interactive", "interactive": {"call_permission_reply": {"response": "accept",
                "expiration_timestamp": 1_750_000_000, "response_source": "user_action"}}}),
            MessageKind::Interactive,
            None,
            json!({"type": "call_permission_reply", "response": "accept",
                "expiration_timestamp": 1_750_000_000, "response_source": "user_action"}),
        ),
        (
            json!({"type": "interactive", "from_logical_id": "7", "interactive": {"type": "payment_method",
                "payment_method": {"payment_method": "offsite_card_pay", "reference_id": "r1"}}}),
            MessageKind::Interactive,
            None,
            json!({"type": "payment_method", "payment_method": "offsite_card_pay", "reference_id": "r1",
                "from_logical_id": "7"}),
        ),
        (
            json!({"type": "order", "order": {"catalog_id": "9", "text": "", "product_items": [
                {"product_retailer_id": "di9", "quantity": 2, "item_price": 30, "currency": "SAR"}]}}),
            MessageKind::Order,
            None,
            json!({"catalog_id": "9", "product_items": [
                {"product_retailer_id": "di9", "quantity": 2, "item_price": 30, "currency": "SAR"}]}),
        ),
        (
            json!({"type": "system", "identity": {"acknowledged": true, "created_timestamp": 1, "hash": "DF2"},
                "system": {"body": "The identity changed", "type": "customer_identity_changed"}}),
            MessageKind::System,
            Some("The identity changed"),
            json!({"event": "customer_identity_changed",
                "identity": {"acknowledged": true, "created_timestamp": 1, "hash": "DF2"}}),
        ),
        (json!({"type": "request_welcome"}), MessageKind::System, None, json!({"event": "request_welcome"})),
    ];
    for (own, kind, text, payload) in cases {
        let said = said(own.clone());
        assert_eq!((said.kind, said.body.as_deref(), &said.payload), (kind, text, &payload), "{own}");
    }
}

#[test]
fn files_are_described_alike() {
    let base64 = "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI=";
    let hex = Some("49f227634806293b0995459bc310b593e1400f41591efcf07e9bced335f41942".to_owned());
    let file = |own: Value| {
        let mut said = said(own);
        assert_eq!(said.media.len(), 1);
        (said.kind, said.body, said.media.remove(0), said.payload)
    };
    let media = |mime: &str| Media {
        id: Some("1003".to_owned()),
        mime_type: Some(mime.to_owned()),
        sha256: hex.clone(),
        ..Media::default()
    };
    assert_eq!(
        file(
            json!({"type": "image", "image": {"caption": "Taj", "mime_type": "image/jpeg", "sha256": base64,
            "id": "1003", "url": "https://lookaside.fbsbx.com/x"}})
        ),
        (
            MessageKind::Image,
            Some("Taj".to_owned()),
            Media { url: Some("https://lookaside.fbsbx.com/x".to_owned()), ..media("image/jpeg") },
            json!({}),
        )
    );
    let audio = |voice: bool| {
        json!({"type": "audio", "audio": {"mime_type": "audio/ogg; codecs=opus", "sha256": base64, "id": "1003",
            "voice": voice}})
    };
    let ogg = media("audio/ogg; codecs=opus");
    assert_eq!(file(audio(true)), (MessageKind::Voice, None, ogg.clone(), json!({})));
    assert_eq!(file(audio(false)), (MessageKind::Audio, None, ogg.clone(), json!({})));
    let legacy = json!({"mime_type": "audio/ogg; codecs=opus", "sha256": hex.clone(), "id": "1003"});
    assert_eq!(file(json!({"type": "voice", "voice": legacy})), (MessageKind::Voice, None, ogg, json!({})));
    assert_eq!(
        file(json!({"type": "document", "document": {"filename": "tour.pdf", "mime_type": "application/pdf",
            "sha256": base64, "id": "1003"}})),
        (
            MessageKind::Document,
            None,
            Media { filename: Some("tour.pdf".to_owned()), ..media("application/pdf") },
            json!({}),
        )
    );
    assert_eq!(
        file(
            json!({"type": "sticker", "sticker": {"mime_type": "image/webp", "sha256": base64, "id": "1003",
            "animated": true}})
        ),
        (MessageKind::Sticker, None, media("image/webp"), json!({"animated": true}))
    );
}

#[test]
fn a_reaction_points_at_its_message_and_can_be_taken_back() {
    let reaction =
        |own: Value| said(json!({"type": "reaction", "reaction": own, "context": {"id": "wamid.no"}}));
    let put = reaction(json!({"message_id": "wamid.A", "emoji": "👍"}));
    assert_eq!((put.kind, put.body.as_deref()), (MessageKind::Reaction, Some("👍")));
    assert_eq!((put.reply_to.as_deref(), put.payload), (Some("wamid.A"), json!({})));
    for removal in [json!({"message_id": "wamid.A"}), json!({"message_id": "wamid.A", "emoji": ""})] {
        let removed = reaction(removal);
        assert_eq!((removed.body, removed.payload), (None, json!({"removed": true})));
    }
}

#[test]
fn context_goes_with_any_kind() {
    let product = json!({"catalog_id": "1", "product_retailer_id": "sku"});
    let referral = json!({"source_type": "ad", "source_id": "120", "ctwa_clid": "Aff"});
    let said_so = said(json!({
        "type": "text", "text": {"body": "this one"}, "referral": referral,
        "context": {"from": "15550783881", "id": "wamid.Q", "referred_product": product},
    }));
    assert_eq!(said_so.reply_to.as_deref(), Some("wamid.Q"));
    assert_eq!(said_so.payload, json!({"referral": referral, "referred_product": product}));
    let image = json!({"id": "1", "mime_type": "image/png"});
    let passed_on = said(json!({"type": "image", "image": image, "context": {"forwarded": true}}));
    assert_eq!((passed_on.reply_to, passed_on.payload), (None, json!({"forwarded": true})));
    let viral = said(json!({"type": "image", "image": image, "context": {"frequently_forwarded": true}}));
    assert_eq!(viral.payload, json!({"forwarded": true, "frequently_forwarded": true}));
}

#[test]
fn a_kind_without_a_name_is_kept_whole() {
    let unsupported = message(json!({
        "type": "unsupported", "unsupported": {"type": "poll_creation"}, "context": {"id": "wamid.Q"},
        "errors": [{"code": 131_051, "title": "Message type unknown", "error_data": {"details": "…"}}],
    }));
    let read = said(unsupported.clone());
    assert_eq!((read.kind, read.body.as_deref()), (MessageKind::Unknown, Some("Message type unknown")));
    let mut whole = unsupported;
    whole["error"] = json!("Message type unknown");
    assert_eq!((read.payload, read.reply_to.as_deref()), (whole, Some("wamid.Q")));

    let novel = message(json!({"type": "hologram", "hologram": {"depth": 3}}));
    let read = said(novel.clone());
    assert_eq!((read.kind, read.body, read.payload), (MessageKind::Unknown, None, novel));
    // What Meta could not read or fetch.
    for own in [
        json!({"type": "interactive"}),
        json!({"type": "image", "errors": [{"code": 131_052, "title": "Media download error"}]}),
    ] {
        assert_eq!(said(own).kind, MessageKind::Unknown);
    }
}

#[test]
fn a_group_message_is_the_participants() {
    let said = said(json!({"group_id": "Y2FwaV9", "type": "text", "text": {"body": "hi all"}}));
    let chat = Chat::Group { external_id: "Y2FwaV9".to_owned(), title: None, topic: None };
    assert_eq!((said.chat, said.party.identities), (chat, vec![wa_id("16505551234")]));
}

#[test]
fn edits_and_deletions_name_their_message() {
    let edit = message(json!({
        "type": "edit",
        "edit": {"original_message_id": "wamid.A", "message": {"context": {"id": "M0"}, "type": "image",
            "image": {"id": "5", "mime_type": "image/jpeg", "caption": "better"}}},
    }));
    let Event::Edit(edit) = event(&body("messages", json!({"messages": [edit]}))) else { panic!() };
    assert_eq!((edit.target.as_str(), edit.kind), ("wamid.A", MessageKind::Image));
    assert_eq!((edit.body.as_deref(), edit.media.len()), (Some("better"), 1));
    assert_eq!(edit.sender.identities, [wa_id("16505551234")]);

    let revoke = message(json!({"type": "revoke", "revoke": {"original_message_id": "wamid.A"}}));
    let Event::Revoke { target, sender, .. } = event(&body("messages", json!({"messages": [revoke]}))) else {
        panic!()
    };
    assert_eq!((target.as_str(), sender.unwrap().identities), ("wamid.A", vec![wa_id("16505551234")]));
}

#[test]
fn a_new_number_is_a_fact_and_a_line_in_the_conversation() {
    let system = message(json!({"from": "16505551234", "from_user_id": "US.1", "type": "system", "system": {
        "body": "User A changed from 16505551234 to 12195555358", "wa_id": "12195555358",
        "type": "user_changed_number"}}));
    let updates = read(&body("messages", json!({"messages": [system]})));
    assert_eq!(updates.len(), 2);
    assert_eq!(updates[0].pointer, updates[1].pointer);
    let Ok(Event::IdentityChange { old, new, .. }) = &updates[0].event else { panic!() };
    assert_eq!((old, new), (&wa_id("16505551234"), &wa_id("12195555358")));
    let Ok(Event::Message(said)) = &updates[1].event else { panic!() };
    assert_eq!((said.kind, &said.party.identities), (MessageKind::System, &vec![wa_id("12195555358")]));
    assert_eq!(said.payload, json!({"event": "user_changed_number", "wa_id": "12195555358"}));
}

#[test]
fn a_new_user_id_is_tied_to_the_old_one_or_the_number() {
    let change = |own: Value| {
        let mut own = own;
        own["type"] = json!("system");
        own["system"] = json!({"body": "…", "user_id": "US.2", "type": "user_changed_user_id"});
        let updates = read(&body("messages", json!({"messages": [message(own)]})));
        let Ok(Event::IdentityChange { old, new, .. }) = &updates[0].event else { panic!("{updates:?}") };
        let Ok(Event::Message(said)) = &updates[1].event else { panic!() };
        (old.clone(), new.clone(), said.party.identities.clone())
    };
    let both = vec![wa_id("16505551234"), bsuid("US.2")];
    assert_eq!(change(json!({"from_user_id": "US.1"})), (bsuid("US.1"), bsuid("US.2"), both.clone()));
    assert_eq!(change(json!({"from_user_id": "US.2"})), (wa_id("16505551234"), bsuid("US.2"), both.clone()));
    assert_eq!(change(json!({})), (wa_id("16505551234"), bsuid("US.2"), both));
}

fn echoed(event: Event) -> InboundMessage {
    match event {
        Event::Message(said) => *said,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_echo_belongs_to_whom_it_was_sent() {
    let echo = json!({"from": "15550783881", "to": "16505551234", "to_user_id": "US.1", "id": "wamid.E",
        "timestamp": "1739321024", "type": "text", "text": {"body": "Here's the info"}});
    let said = echoed(event(&body("smb_message_echoes", json!({"message_echoes": [echo]}))));
    assert_eq!((said.origin, said.status), (Origin::Echo, Some(MessageStatus::Sent)));
    assert_eq!(said.party.identities, [wa_id("16505551234"), bsuid("US.1")]);

    let revoke = json!({"from": "15550783881", "to": "16505551234", "id": "wamid.F", "timestamp": "1739321024",
        "type": "revoke", "revoke": {"original_message_id": "wamid.E"}});
    let revoke = event(&body("smb_message_echoes", json!({"message_echoes": [revoke]})));
    assert!(matches!(revoke, Event::Revoke { target, .. } if target == "wamid.E"));
}

#[test]
fn history_tells_who_wrote_and_how_far_it_got() {
    let history = json!({"history": [{
        "metadata": {"phase": 0, "chunk_order": 1, "progress": 55},
        "threads": [{"id": "16505551234", "messages": [
            {"from": "15550783881", "to": "16505551234", "id": "wamid.1", "timestamp": "1739230955",
             "type": "text", "text": {"body": "ours"}, "history_context": {"status": "READ"}},
            {"from": "16505551234", "id": "wamid.2", "timestamp": "1739230970",
             "type": "text", "text": {"body": "theirs"}, "history_context": {"status": "READ"}},
            {"from": "16505551234", "id": "wamid.3", "timestamp": "1739230970",
             "type": "media_placeholder", "history_context": {"status": "PLAYED"}},
            {"id": "wamid.4", "timestamp": "1739230970", "type": "text", "text": {"body": "by the thread"}},
        ]}],
    }]});
    let updates = read(&body("history", history));
    assert_eq!(updates[1].pointer, "/entry/0/changes/0/value/history/0/threads/0/messages/1");
    let said: Vec<_> = updates.into_iter().map(|update| echoed(update.event.unwrap())).collect();
    let origins: Vec<_> = said.iter().map(|said| (said.origin, said.status)).collect();
    let theirs = (Origin::History { from_us: false }, None);
    let ours = (Origin::History { from_us: true }, Some(MessageStatus::Read));
    assert_eq!(origins, [ours, theirs, theirs, theirs]);
    assert!(said.iter().all(|said| said.party.identities == [wa_id("16505551234")]));
    assert_eq!((said[2].kind, &said[2].body), (MessageKind::Unknown, &None));

    // Files of the last two weeks come by themselves.
    let file = json!({"from": "15550783881", "to": "16505551234", "id": "wamid.5", "timestamp": "1739230955",
        "type": "image", "image": {"id": "24", "mime_type": "image/jpeg"}});
    let said = echoed(event(&body("history", json!({"messages": [file]}))));
    assert_eq!((said.origin, said.status), (Origin::History { from_us: true }, Some(MessageStatus::Sent)));

    let declined =
        json!({"history": [{"errors": [{"code": 2_593_109, "title": "History sync is turned off"}]}]});
    assert!(
        matches!(event(&body("history", declined)), Event::Other { name, .. } if name == "whatsapp.history_error")
    );
}

#[test]
fn a_call_is_one_message_per_event_with_the_person_in_it() {
    let call = |from: &str, to: &str, direction: &str| {
        json!({"calls": [{"id": "wacid.X", "from": from, "to": to, "event": "terminate", "timestamp": "1749416383",
            "direction": direction, "status": ["COMPLETED"], "duration": 12}]})
    };
    for value in [
        call("16505551234", "15550783881", "USER_INITIATED"),
        call("15550783881", "16505551234", "BUSINESS_INITIATED"),
    ] {
        let said = echoed(event(&body("calls", value)));
        assert_eq!((said.kind, said.provider_message_id.as_str()), (MessageKind::Call, "wacid.X:terminate"));
        assert_eq!(said.party.identities, [wa_id("16505551234")]);
        assert_eq!(said.payload["duration"], 12);
    }
}
