//! No body, however broken, disturbs more than the part that is broken.

use kabar_domain::inbound::{Event, Update};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use super::{body, message, notice, one, parse, read};

/// One body with something of everything in it.
fn everything() -> Value {
    let mut all = body(
        "messages",
        json!({
            "contacts": [{"profile": {"name": "A", "username": "a"}, "wa_id": "16505551234", "user_id": "US.1"}],
            "messages": [
                message(json!({"type": "text", "text": {"body": "hi"}, "context": {"id": "wamid.Q", "forwarded": true}})),
                message(json!({"type": "image", "image": {"id": "1", "mime_type": "image/png", "sha256": "AA=="}})),
                message(json!({"type": "audio", "audio": {"id": "1", "voice": true}, "group_id": "G"})),
                message(json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "B"}}]})),
                message(json!({"type": "reaction", "reaction": {"message_id": "wamid.A", "emoji": "👍"}})),
                message(json!({"type": "interactive", "interactive": {"type": "nfm_reply",
                    "nfm_reply": {"response_json": "{\"a\":[1]}"}}})),
                message(json!({"type": "system", "system": {"type": "user_changed_number", "wa_id": "12"}})),
                message(json!({"type": "edit", "edit": {"original_message_id": "wamid.A",
                    "message": {"type": "text", "text": {"body": "ho"}}}})),
                message(json!({"type": "revoke", "revoke": {"original_message_id": "wamid.A"}})),
                message(json!({"type": "unsupported", "errors": [{"code": 131_051, "title": "Unknown"}]})),
            ],
            "statuses": [{"id": "wamid.S", "status": "failed", "timestamp": "1750030073", "recipient_id": "1",
                "errors": [{"code": 131_047, "title": "t", "error_data": {"details": "d"}}],
                "pricing": {"type": "regular"}, "conversation": {"id": "c"}}],
            "errors": [{"code": 131_000}],
            "message_echoes": [{"from": "1", "to": "2", "id": "e", "timestamp": 5, "type": "text", "text": {"body": "x"}}],
            "calls": [{"id": "wacid.X", "from": "1", "to": "2", "event": "connect", "timestamp": "5"}],
            "history": [{"metadata": {"phase": 1}, "threads": [{"id": "2", "messages": [
                {"from": "2", "id": "h", "timestamp": "5", "type": "media_placeholder"}]}]}],
        }),
    );
    let more = [
        body(
            "group_participants_update",
            json!({"groups": [{"timestamp": "5", "group_id": "G",
            "type": "group_participants_add", "added_participants": [{"wa_id": "1"}]}], "errors": []}),
        ),
        body(
            "group_settings_update",
            json!({"groups": [{"timestamp": "5", "group_id": "G",
            "type": "group_settings_update", "group_subject": {"text": "T", "update_successful": true}}]}),
        ),
        notice(
            "message_template_status_update",
            &json!({"event": "PAUSED", "message_template_id": 1,
            "message_template_name": "n", "message_template_language": "en", "other_info": {"title": "x"}}),
        ),
        notice(
            "template_category_update",
            &json!({"new_category": "A", "correct_category": "B",
            "message_template_id": 1, "message_template_name": "n", "message_template_language": "en"}),
        ),
        notice(
            "account_update",
            &json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [
            {"restriction_type": "x", "expiration": 5}], "waba_info": {"waba_id": "1"}}),
        ),
        notice(
            "account_alerts",
            &json!({"entity_type": "PHONE_NUMBER", "entity_id": "1",
            "alert_info": {"alert_severity": "CRITICAL"}}),
        ),
        notice("phone_number_quality_update", &json!({"event": "DOWNGRADE", "current_limit": "TIER_250"})),
        body("user_id_update", json!({"user_id": {"previous": "US.1", "current": "US.2"}, "timestamp": 5})),
    ];
    if let Some(entries) = all["entry"].as_array_mut() {
        entries.extend(more.into_iter().map(|body| body["entry"][0].clone()));
    }
    all
}

/// The address of every value in the tree.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{i}"), all);
            }
        }
        Value::Object(object) => {
            for (key, item) in object {
                pointers(item, &format!("{at}/{key}"), all);
            }
        }
        _ => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::String),
        "[0-9+]{0,14}".prop_map(Value::String),
        Just(json!("nul\u{0}nul")),
        Just(json!("😀".repeat(5_000))),
    ];
    let key = prop_oneof![
        any::<String>(),
        proptest::sample::select(vec![
            "entry",
            "changes",
            "field",
            "value",
            "metadata",
            "messages",
            "statuses",
            "errors",
            "from",
            "type",
            "text",
            "body",
            "timestamp",
            "id",
            "contacts",
            "groups",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What holds of every update, whatever the body.
fn check(sent: &Value, updates: &[Update]) {
    for update in updates {
        assert!(sent.pointer(&update.pointer).is_some(), "{} is nowhere in {sent}", update.pointer);
        let shown = format!("{:?}", update.event).replace("\\\\", "");
        assert!(!shown.contains("\\0"), "{update:?}");
        if let Ok(Event::Message(said)) = &update.event {
            assert!(!said.provider_message_id.is_empty() && !said.party.identities.is_empty());
            assert!(said.party.identities.iter().all(|identity| !identity.value.is_empty()));
            assert!(said.payload.is_object());
        }
    }
}

#[test]
fn everything_is_read() {
    let updates = read(&everything());
    assert_eq!(updates.len(), 25);
    assert!(updates.iter().all(|update| update.event.is_ok()), "{updates:#?}");
}

#[test]
fn only_what_is_no_json_object_is_refused_whole() {
    assert!(parse(b"").is_err());
    assert!(parse(b"{").is_err());
    assert!(parse(b"[]").unwrap_err().contains("a list"));
    assert!(parse(&[0xff, 0xfe]).is_err());
    assert!(parse(b"{\"entry\":[]}").unwrap().is_empty());
    for (sent, pointer) in [
        (json!({}), ""),
        (json!({"entry": 1}), "/entry"),
        (json!({"entry": [5]}), "/entry/0"),
        (json!({"entry": [{"id": "1"}]}), "/entry/0"),
        (json!({"entry": [{"id": "1", "changes": [{"field": "messages"}]}]}), "/entry/0/changes/0"),
        (json!({"entry": [{"id": "1", "changes": [{"value": {}}]}]}), "/entry/0/changes/0"),
    ] {
        let update = one(&sent);
        assert!(update.event.is_err());
        assert_eq!(update.pointer, pointer);
    }
    let update = one(&body("messages", json!({"messages": {}})));
    assert_eq!(update.pointer, "/entry/0/changes/0/value/messages");
    assert!(update.event.is_err());
}

#[test]
fn a_message_of_the_wrong_shape_says_what_is_wrong() {
    for (own, expected) in [
        (json!({}), "`type`"),
        (json!({"type": "text"}), "no `text`"),
        (json!({"type": "text", "text": "hi"}), "a string, not an object"),
        (json!({"type": "text", "text": {}}), "`text.body` is missing"),
        (json!({"type": "image", "image": {}}), "neither an `id` nor a `url`"),
        (json!({"type": "location", "location": {"latitude": 1}}), "longitude"),
        (json!({"type": "reaction", "reaction": {}}), "message_id"),
        (json!({"type": "text", "text": {"body": "x"}, "id": ""}), "no `id`"),
        (json!({"type": "text", "text": {"body": "x"}, "timestamp": "soon"}), "not a UNIX time"),
        (json!({"type": "text", "text": {"body": "x"}, "timestamp": null}), "no timestamp"),
        (json!({"type": "revoke"}), "no `revoke`"),
    ] {
        let reason = super::refused(own.clone());
        assert!(reason.contains(expected), "{own}: {reason}");
    }
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in any::<Vec<u8>>()) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_json_breaks_it(sent in any_json()) {
        if let Ok(updates) = parse(sent.to_string().as_bytes()) {
            check(&sent, &updates);
        }
    }

    #[test]
    fn no_real_body_with_a_foreign_part_breaks_it(
        parts in proptest::collection::vec((any::<Index>(), any_json()), 1..4),
    ) {
        let mut sent = everything();
        for (place, part) in parts {
            let mut all = Vec::new();
            pointers(&sent, "", &mut all);
            if let Some(value) = sent.pointer_mut(&all[place.index(all.len())]) {
                *value = part;
            }
        }
        if let Ok(updates) = parse(sent.to_string().as_bytes()) {
            check(&sent, &updates);
        }
    }

    #[test]
    fn the_neighbours_of_a_broken_message_survive(
        count in 1_usize..12, broken in any::<Index>(), list in 0..2, part in any_json(),
    ) {
        let items: Vec<Value> = (0..count)
            .map(|i| if list == 0 {
                message(json!({"id": format!("wamid.{i}"), "type": "text", "text": {"body": "hi"}}))
            } else {
                json!({"id": format!("wamid.{i}"), "status": "read", "timestamp": "1750030073", "recipient_id": "1"})
            })
            .collect();
        let name = if list == 0 { "messages" } else { "statuses" };
        let whole = read(&body("messages", json!({ name: items })));
        prop_assert_eq!(whole.len(), count);
        let broken = broken.index(count);
        let mut items = items;
        items[broken] = part;
        let updates = read(&body("messages", json!({ name: items })));
        let neighbours: Vec<_> = updates
            .iter()
            .filter(|update| update.pointer != format!("/entry/0/changes/0/value/{name}/{broken}"))
            .collect();
        let expected: Vec<_> = whole.iter().enumerate().filter(|(i, _)| *i != broken).map(|(_, u)| u).collect();
        prop_assert_eq!(neighbours, expected);
    }
}
