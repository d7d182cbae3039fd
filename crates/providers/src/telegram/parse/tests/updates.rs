use kabar_domain::Timestamp;
use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::inbound::{Chat, Event, GroupChange};
use kabar_domain::message::MessageKind;
use serde_json::{Value, json};

use super::{
    DATE, NOW, budi, direct, event, events, failure, group, grouped, member, private, read, shown, update,
};

#[test]
fn only_an_object_is_an_update() {
    for body in ["", "{", "[]", "7", "\"text\"", "null"] {
        assert!(super::super::parse(body.as_bytes(), NOW).is_err(), "{body}");
    }
    assert!(super::super::parse(&[0xff, 0xfe], NOW).is_err());
}

#[test]
fn an_update_that_cannot_be_understood_fails_by_itself() {
    let bodies = [
        json!({}),
        json!({ "update_id": "7", "message": direct(&json!({})) }),
        json!({ "update_id": 1.5, "message": direct(&json!({})) }),
        json!({ "update_id": 7 }),
        update("message", &json!(null)),
        update("message", &json!({ "message_id": 1 })),
        update("message", &json!({ "message_id": 1, "chat": { "id": "x" } })),
        update("edited_message", &json!({ "chat": private(), "text": "x" })),
        update("callback_query", &json!({ "id": "1" })),
        update("message_reaction", &json!({ "chat": private(), "message_id": 3 })),
    ];
    for body in bodies {
        assert!(!failure(&body).is_empty(), "{body}");
    }
}

#[test]
fn each_update_says_where_it_is() {
    assert_eq!(read(&update("message", &direct(&json!({}))))[0].pointer, "/message");
    assert_eq!(read(&update("a/b~c", &json!({})))[0].pointer, "/a~1b~0c");
    assert_eq!(read(&json!({}))[0].pointer, "");
}

fn tap(fields: &Value) -> Value {
    let message = json!({ "message_id": 8, "chat": private(), "date": DATE, "text": "Pilih", "reply_markup": {
        "inline_keyboard": [[{ "text": "Situs", "url": "https://example.com" }], [{ "text": "Ya, jadi", "callback_data": "yes" }]] } });
    super::with(
        json!({ "id": "4382", "from": budi(), "chat_instance": "1", "message": message, "data": "yes" }),
        fields,
    )
}

#[test]
fn a_tap_shows_the_buttons_label() {
    let message = shown(&update("callback_query", &tap(&json!({}))));
    assert_eq!(message.provider_message_id, "cb:4382");
    assert_eq!((message.kind, message.body.as_deref()), (MessageKind::Button, Some("Ya, jadi")));
    assert_eq!(message.payload, json!({ "callback_query_id": "4382", "data": "yes" }));
    assert_eq!(message.reply_to.as_deref(), Some("777001:8"));
    assert_eq!(message.occurred_at, NOW);

    let inaccessible = json!({ "message": { "message_id": 8, "chat": group(), "date": 0 } });
    let message = shown(&update("callback_query", &tap(&inaccessible)));
    assert_eq!(message.body.as_deref(), Some("yes"));
    assert!(matches!(message.chat, Chat::Group { .. }));

    let inline =
        shown(&update("callback_query", &tap(&json!({ "message": null, "inline_message_id": "x" }))));
    assert_eq!((inline.chat, inline.reply_to), (Chat::Direct, None));
}

#[test]
fn reactions_set_and_removed() {
    let reaction = |new: Value| {
        let object = json!({ "chat": group(), "message_id": 8, "user": budi(), "date": DATE,
            "old_reaction": [{ "type": "emoji", "emoji": "🔥" }], "new_reaction": new });
        shown(&update("message_reaction", &object))
    };
    let set = reaction(json!([{ "type": "emoji", "emoji": "👍" }]));
    assert_eq!(set.provider_message_id, "update:9001");
    assert_eq!((set.kind, set.body.as_deref()), (MessageKind::Reaction, Some("👍")));
    assert_eq!(set.reply_to.as_deref(), Some("-1001234567890:8"));
    assert_eq!(set.payload["removed"], false);

    let custom = reaction(json!([{ "type": "custom_emoji", "custom_emoji_id": "77" }, { "type": "paid" }]));
    assert_eq!((custom.body.as_deref(), &custom.payload["removed"]), (None, &json!(false)));
    assert_eq!(custom.payload["reactions"][0]["custom_emoji_id"], "77");

    let removed = reaction(json!([]));
    assert_eq!((removed.body, &removed.payload["removed"]), (None, &json!(true)));
}

fn membership(chat: &Value, old: &Value, new: &Value) -> Value {
    json!({ "chat": chat, "from": budi(), "date": DATE, "old_chat_member": old, "new_chat_member": new })
}

#[test]
fn our_own_membership() {
    let bot = json!({ "id": 9, "is_bot": true, "first_name": "Bot" });
    let standing = |status: &str| json!({ "user": bot, "status": status, "is_member": true });
    let cases = [
        ("left", "member", true, "Budi Santoso added the bot"),
        ("member", "administrator", true, "Budi Santoso made the bot an administrator"),
        ("administrator", "restricted", true, "Budi Santoso changed what the bot may do"),
        ("member", "kicked", false, "Budi Santoso removed the bot"),
        ("member", "left", false, "The bot left"),
    ];
    for (old, new, active, body) in cases {
        let events = events(&update("my_chat_member", &membership(&group(), &standing(old), &standing(new))));
        let [Event::Group { change, occurred_at, .. }, Event::Message(message)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(change, &GroupChange::Membership { active }, "{old} {new}");
        assert_eq!(*occurred_at, Timestamp::from_unix(DATE));
        assert_eq!((message.kind, message.body.as_deref()), (MessageKind::System, Some(body)));
    }
    let blocked =
        shown(&update("my_chat_member", &membership(&private(), &standing("member"), &standing("kicked"))));
    assert_eq!(blocked.body.as_deref(), Some("Budi Santoso blocked the bot"));
    assert_eq!(
        blocked.payload,
        json!({ "event": "my_chat_member", "old_status": "member", "new_status": "kicked", "blocked": true })
    );
    let back =
        shown(&update("my_chat_member", &membership(&private(), &standing("kicked"), &standing("member"))));
    assert_eq!(back.body.as_deref(), Some("Budi Santoso unblocked the bot"));
}

#[test]
fn other_peoples_membership() {
    let standing = |user: &Value, status: &str| json!({ "user": user, "status": status });
    let ani = json!({ "id": 5, "first_name": "Ani" });
    let cases = [
        (&budi(), "left", "member", "Budi Santoso joined", MemberStatus::Joined),
        (&budi(), "member", "left", "Budi Santoso left", MemberStatus::Left),
        (&ani, "left", "member", "Budi Santoso added Ani", MemberStatus::Joined),
        (&ani, "member", "kicked", "Budi Santoso banned Ani", MemberStatus::Removed),
        (&ani, "kicked", "left", "Budi Santoso unbanned Ani", MemberStatus::Removed),
        (&ani, "member", "left", "Budi Santoso removed Ani", MemberStatus::Removed),
        (&ani, "member", "administrator", "Budi Santoso made Ani an administrator", MemberStatus::Joined),
        (&ani, "administrator", "member", "Budi Santoso changed what Ani may do", MemberStatus::Joined),
    ];
    for (user, old, new, body, status) in cases {
        let update = update("chat_member", &membership(&group(), &standing(user, old), &standing(user, new)));
        let member = member(&update);
        assert_eq!(member.status, status, "{old} {new}");
        assert_eq!(member.party.identities[0].value, user["id"].to_string());
        let role = if new == "administrator" { MemberRole::Admin } else { MemberRole::Member };
        assert_eq!(member.role, role);
        let message = shown(&update);
        assert_eq!((message.kind, message.body.as_deref()), (MessageKind::System, Some(body)));
        assert_eq!(message.payload["members"][0]["id"], user["id"].to_string());
    }
}

#[test]
fn a_join_request_is_a_line_in_the_group() {
    let request =
        json!({ "chat": group(), "from": budi(), "user_chat_id": 777_001, "date": DATE, "bio": "Teknisi" });
    let update = update("chat_join_request", &request);
    let asked = member(&update);
    assert_eq!((asked.status, asked.request_id.as_deref()), (MemberStatus::Requested, Some("777001")));
    let message = shown(&update);
    assert_eq!(
        (message.kind, message.body.as_deref()),
        (MessageKind::System, Some("Budi Santoso asks to join"))
    );
    assert_eq!(message.payload["bio"], "Teknisi");
}

#[test]
fn service_lines_tell_of_members_too() {
    let ani = json!({ "id": 5, "first_name": "Ani" });
    let cases = [
        (json!({ "new_chat_members": [ani] }), "5", MemberStatus::Joined),
        (json!({ "left_chat_member": ani }), "5", MemberStatus::Removed),
        (json!({ "left_chat_member": budi() }), "777001", MemberStatus::Left),
    ];
    for (fields, id, status) in cases {
        let member = member(&update("message", &grouped(&fields)));
        assert_eq!((member.party.identities[0].value.as_str(), member.status), (id, status));
    }
}

#[test]
fn business_deletions_are_revokes() {
    let object = json!({ "business_connection_id": "bc1", "chat": private(), "message_ids": [4, "x", 6] });
    let updates = read(&update("deleted_business_messages", &object));
    let targets: Vec<_> = updates
        .iter()
        .map(|update| match &update.event {
            Ok(Event::Revoke { target, sender, .. }) => {
                assert_eq!(sender.as_ref().unwrap().identities[0].value, "777001");
                Some(target.as_str())
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        })
        .collect();
    assert_eq!(targets, [Some("777001:4:bc1"), None, Some("777001:6:bc1")]);
    assert_eq!(updates[2].pointer, "/deleted_business_messages/message_ids/2");
}

#[test]
fn what_is_no_conversation_is_an_event() {
    for kind in [
        "message_reaction_count",
        "poll",
        "poll_answer",
        "inline_query",
        "chosen_inline_result",
        "shipping_query",
        "pre_checkout_query",
        "business_connection",
        "purchased_paid_media",
        "chat_boost",
        "removed_chat_boost",
        "managed_bot",
        "subscription",
    ] {
        let object = json!({ "id": "1", "from": budi(), "user": budi(), "date": DATE });
        assert_eq!(
            event(&update(kind, &object)),
            Event::Other {
                name: format!("telegram.{kind}"),
                value: object,
                occurred_at: Some(Timestamp::from_unix(DATE)),
            }
        );
    }
}

#[test]
fn updates_nobody_knows_are_kept() {
    let object = json!({ "from": budi(), "wave": 3 });
    let message = shown(&update("telepathy", &object));
    assert_eq!((message.kind, message.chat), (MessageKind::Unknown, Chat::Direct));
    assert_eq!(message.payload, json!({ "kind": "telepathy", "object": object }));
    assert_eq!((message.provider_message_id.as_str(), message.occurred_at), ("update:9001", NOW));

    assert!(
        matches!(event(&update("weather", &json!({ "rain": true }))), Event::Other { name, .. } if name == "telegram.weather")
    );
    let like_a_message = shown(&update("secret_message", &direct(&json!({ "text": "Halo" }))));
    assert_eq!((like_a_message.kind, like_a_message.body.as_deref()), (MessageKind::Text, Some("Halo")));
}

#[test]
fn no_nul_reaches_the_database() {
    let object = direct(
        &json!({ "text": "a\0b", "entities": [{ "type": "bo\0ld" }], "business_connection_id": "b\0c" }),
    );
    let message = shown(&update("message", &object));
    assert_eq!(message.body.as_deref(), Some("ab"));
    assert_eq!(message.payload["entities"][0]["type"], "bold");
    assert_eq!(message.provider_message_id, "777001:42:bc");
    let keyed = shown(&update("message", &direct(&json!({ "holo\0gram": { "a\0": 1 } }))));
    assert_eq!(keyed.payload["hologram"], json!({ "a": 1 }));
}
