use kabar_domain::Timestamp;
use kabar_domain::inbound::{Chat, Event, GroupChange, GroupFacts, Origin};
use kabar_domain::message::MessageKind;
use serde_json::{Value, json};

use super::{DATE, direct, event, events, grouped, shown, update};

#[test]
fn every_service_message_is_a_line() {
    let ani = json!({ "id": 5, "is_bot": false, "first_name": "Ani" });
    let cases: Vec<(Value, &str, Value)> = vec![
        (
            json!({ "new_chat_members": [super::budi()] }),
            "Budi Santoso joined",
            json!({ "event": "new_chat_members",
                "members": [{ "id": "777001", "name": "Budi Santoso", "username": "budi_s", "is_bot": false }] }),
        ),
        (
            json!({ "new_chat_members": [ani] }),
            "Budi Santoso added Ani",
            json!({ "event": "new_chat_members", "members": [{ "id": "5", "name": "Ani", "is_bot": false }] }),
        ),
        (
            json!({ "left_chat_member": super::budi() }),
            "Budi Santoso left",
            json!({ "event": "left_chat_member",
                "members": [{ "id": "777001", "name": "Budi Santoso", "username": "budi_s", "is_bot": false }] }),
        ),
        (
            json!({ "left_chat_member": ani }),
            "Budi Santoso removed Ani",
            json!({ "event": "left_chat_member", "members": [{ "id": "5", "name": "Ani", "is_bot": false }] }),
        ),
        (
            json!({ "forum_topic_created": { "name": "AC", "icon_color": 7_322_096 }, "message_thread_id": 42 }),
            "Topic \"AC\" created",
            json!({ "event": "forum_topic_created", "name": "AC", "icon_color": 7_322_096, "message_thread_id": 42 }),
        ),
        (
            json!({ "forum_topic_edited": { "name": "AC 2" } }),
            "Topic renamed to \"AC 2\"",
            json!({ "event": "forum_topic_edited", "name": "AC 2" }),
        ),
        (
            json!({ "forum_topic_closed": {} }),
            "Topic closed",
            json!({ "event": "forum_topic_closed", "forum_topic_closed": {} }),
        ),
        (
            json!({ "delete_chat_photo": true }),
            "Budi Santoso removed the group photo",
            json!({ "event": "delete_chat_photo" }),
        ),
        (
            json!({ "pinned_message": { "message_id": 7, "chat": super::group(), "date": DATE, "text": "Harga baru\nbaris" } }),
            "Budi Santoso pinned \"Harga baru\"",
            json!({ "event": "pinned_message", "message_id": 7 }),
        ),
        (
            json!({ "message_auto_delete_timer_changed": { "message_auto_delete_time": 86_400 } }),
            "Budi Santoso set messages to be deleted after 86400 seconds",
            json!({ "event": "message_auto_delete_timer_changed",
                "message_auto_delete_timer_changed": { "message_auto_delete_time": 86_400 } }),
        ),
        (
            json!({ "video_chat_ended": { "duration": 3 } }),
            "Video chat ended",
            json!({ "event": "video_chat_ended", "video_chat_ended": { "duration": 3 } }),
        ),
        (
            json!({ "gift_upgrade_sent": { "x": 1 } }),
            "Gift upgrade sent",
            json!({ "event": "gift_upgrade_sent", "gift_upgrade_sent": { "x": 1 } }),
        ),
    ];
    for (fields, body, payload) in cases {
        let message = shown(&update("message", &grouped(&fields)));
        assert_eq!(message.kind, MessageKind::System, "{fields}");
        assert_eq!(message.body.as_deref(), Some(body), "{fields}");
        assert_eq!(message.payload, payload, "{fields}");
    }
}

#[test]
fn a_new_title_is_a_fact_and_a_line() {
    let events = events(&update("message", &grouped(&json!({ "new_chat_title": "Pelanggan" }))));
    let [Event::Group { change, .. }, Event::Message(message)] = &events[..] else { panic!("{events:?}") };
    let facts = GroupFacts { title: Some("Pelanggan".to_owned()), ..GroupFacts::default() };
    assert_eq!(change, &GroupChange::Settings(facts));
    assert_eq!(message.body.as_deref(), Some("Budi Santoso named the group \"Pelanggan\""));
}

#[test]
fn a_migration_is_told_once() {
    let old = json!({ "id": -4_001, "type": "group", "title": "G" });
    let told = grouped(&json!({ "chat": old, "migrate_to_chat_id": -1_001_234_567_890_i64 }));
    assert_eq!(
        event(&update("message", &told)),
        Event::GroupMigrated {
            old: "-4001".to_owned(),
            new: "-1001234567890".to_owned(),
            occurred_at: Timestamp::from_unix(DATE),
        }
    );
    let echoed = grouped(&json!({ "migrate_from_chat_id": -4_001 }));
    assert!(matches!(event(&update("message", &echoed)), Event::Other { .. }));
}

#[test]
fn answers_in_dialogs_of_ours_are_content() {
    let cases = [
        (json!({ "web_app_data": { "data": "{}", "button_text": "Pesan" } }), "Pesan"),
        (
            json!({ "successful_payment": { "currency": "XTR", "total_amount": 50 } }),
            "Paid 50 XTR (in the smallest unit)",
        ),
        (json!({ "users_shared": { "request_id": 1, "users": [] } }), "Shared users"),
    ];
    for (fields, body) in cases {
        let message = shown(&update("message", &direct(&fields)));
        assert_eq!((message.kind, message.body.as_deref()), (MessageKind::Interactive, Some(body)));
    }
}

#[test]
fn a_service_line_by_the_bot_in_a_private_chat_belongs_to_the_person() {
    let fields = json!({ "forum_topic_created": { "name": "AC" }, "from": { "id": 9, "is_bot": true, "first_name": "Bot" } });
    let message = shown(&update("message", &direct(&fields)));
    assert_eq!((message.origin, message.chat), (Origin::Live, Chat::Direct));
    assert_eq!(message.party.identities[0].value, "777001");
}
