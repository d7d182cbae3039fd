use kabar_domain::inbound::{Event, Update};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NOW, budi, direct, group, grouped, update};

/// One of each shape, to be broken in every way.
fn samples() -> Vec<Value> {
    let file = json!({ "file_id": "f", "file_unique_id": "u", "file_size": 1, "width": 2, "height": 3 });
    let standing = |status: &str| json!({ "user": budi(), "status": status, "is_member": true });
    let member = json!({ "chat": group(), "from": budi(), "date": 1_763_990_000,
        "old_chat_member": standing("left"), "new_chat_member": standing("restricted") });
    vec![
        update(
            "message",
            &direct(&json!({ "text": "Halo", "reply_to_message": direct(&json!({ "text": "?" })) })),
        ),
        update(
            "message",
            &grouped(
                &json!({ "photo": [file], "caption": "x", "is_topic_message": true, "message_thread_id": 4 }),
            ),
        ),
        update("message", &direct(&json!({ "sticker": file }))),
        update(
            "message",
            &direct(&json!({ "contact": { "phone_number": "1", "first_name": "A", "user_id": 1 } })),
        ),
        update("message", &direct(&json!({ "venue": { "location": { "latitude": 1.5 }, "title": "T" } }))),
        update("message", &direct(&json!({ "poll": { "question": "?" } }))),
        update("message", &direct(&json!({ "dice": { "emoji": "🎲", "value": 4 } }))),
        update(
            "message",
            &direct(
                &json!({ "rich_message": { "blocks": [{ "text": ["a", { "text": "b" }], "label": "1." }] } }),
            ),
        ),
        update("message", &grouped(&json!({ "new_chat_members": [budi()], "new_chat_title": "T" }))),
        update("message", &grouped(&json!({ "left_chat_member": budi() }))),
        update("message", &grouped(&json!({ "pinned_message": direct(&json!({ "text": "x" })) }))),
        update("message", &grouped(&json!({ "migrate_to_chat_id": -5 }))),
        update(
            "business_message",
            &direct(
                &json!({ "business_connection_id": "b", "successful_payment": { "total_amount": 1, "currency": "X" } }),
            ),
        ),
        update("edited_message", &direct(&json!({ "text": "x", "edit_date": 1_763_990_000 }))),
        update(
            "deleted_business_messages",
            &json!({ "business_connection_id": "b", "chat": group(), "message_ids": [1, 2] }),
        ),
        update(
            "callback_query",
            &json!({ "id": "1", "from": budi(), "data": "d", "message": direct(
            &json!({ "reply_markup": { "inline_keyboard": [[{ "text": "t", "callback_data": "d" }]] } })) }),
        ),
        update(
            "message_reaction",
            &json!({ "chat": group(), "message_id": 8, "user": budi(),
            "new_reaction": [{ "type": "emoji", "emoji": "👍" }] }),
        ),
        update("my_chat_member", &member),
        update("chat_member", &member),
        update("chat_join_request", &json!({ "chat": group(), "from": budi(), "bio": "x" })),
        update("telepathy", &json!({ "from": budi() })),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("a\0b")),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(any_key(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "update_id",
            "message",
            "callback_query",
            "message_reaction",
            "my_chat_member",
            "chat",
            "from",
            "id",
            "type",
            "text",
            "photo",
            "venue",
            "date",
            "message_id",
            "new_chat_members",
            "reply_to_message",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

/// Every place in a value.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| walk(item, &format!("{at}/{index}"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| walk(value, &format!("{at}/{key}"), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// What holds of every answer: it can be written down, and nothing in it is unusable further on.
fn check(updates: &[Update]) {
    assert!(!updates.is_empty());
    // Times out of range cannot be written.
    assert!(!format!("{updates:?}").is_empty());
    for update in updates {
        match &update.event {
            Ok(Event::Message(message)) => {
                assert!(!message.party.identities.is_empty());
                assert!(message.payload.is_object());
                assert!(!message.provider_message_id.is_empty());
                assert_ne!(message.body.as_deref(), Some(""));
                assert!(!has_nul(&message.payload));
                let texts =
                    [message.body.as_ref(), message.party.name.as_ref(), Some(&message.provider_message_id)];
                assert!(!texts.into_iter().flatten().any(|text| text.contains('\0')));
            }
            Ok(Event::Edit(edit)) => assert!(!edit.sender.identities.is_empty() && edit.payload.is_object()),
            Err(reason) => assert!(!reason.is_empty()),
            Ok(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = super::super::parse(&body, NOW);
    }

    #[test]
    fn any_json_is_survived(body in any_json(), id in any::<i64>()) {
        let _ = super::super::parse(body.to_string().as_bytes(), NOW);
        if let Value::Object(mut fields) = body {
            fields.insert("update_id".to_owned(), json!(id));
            check(&super::read(&Value::Object(fields)));
        }
    }

    #[test]
    fn a_broken_update_is_survived(
        sample in proptest::sample::select(samples()),
        breaks in proptest::collection::vec((any::<proptest::sample::Index>(), any_json()), 1..4),
    ) {
        let mut body = sample;
        for (place, with) in breaks {
            // The first place is the whole body.
            let places = places(&body).split_off(1);
            if places.is_empty() {
                continue;
            }
            if let Some(target) = body.pointer_mut(place.get(&places[..]).as_str()) {
                *target = with;
            }
        }
        check(&super::read(&body));
    }
}

#[test]
fn the_samples_are_understood() {
    for sample in samples() {
        let updates = super::read(&sample);
        check(&updates);
        assert!(updates.iter().all(|update| update.event.is_ok()), "{sample}");
    }
}
