//! Service messages: what Telegram says about a chat, and the answers people give through its own dialogs.

use kabar_domain::message::MessageKind;
use serde_json::{Map, Value, json};

use super::content::Content;
use super::read::{called, copy, int, member, text};

/// Fields that make a message a service message. The first that is there names the event.
const FIELDS: &[&str] = &[
    "new_chat_members",
    "left_chat_member",
    "new_chat_title",
    "new_chat_photo",
    "delete_chat_photo",
    "group_chat_created",
    "supergroup_chat_created",
    "channel_chat_created",
    "message_auto_delete_timer_changed",
    "pinned_message",
    "forum_topic_created",
    "forum_topic_edited",
    "forum_topic_closed",
    "forum_topic_reopened",
    "general_forum_topic_hidden",
    "general_forum_topic_unhidden",
    "chat_owner_left",
    "chat_owner_changed",
    "users_shared",
    "chat_shared",
    "web_app_data",
    "successful_payment",
    "refunded_payment",
    "connected_website",
    "write_access_allowed",
    "passport_data",
    "proximity_alert_triggered",
    "boost_added",
    "chat_background_set",
    "checklist_tasks_done",
    "checklist_tasks_added",
    "direct_message_price_changed",
    "paid_message_price_changed",
    "giveaway_created",
    "giveaway_completed",
    "gift",
    "unique_gift",
    "gift_upgrade_sent",
    "suggested_post_approved",
    "suggested_post_approval_failed",
    "suggested_post_declined",
    "suggested_post_paid",
    "suggested_post_refunded",
    "video_chat_scheduled",
    "video_chat_started",
    "video_chat_ended",
    "video_chat_participants_invited",
    "managed_bot_created",
    "community_chat_added",
    "community_chat_removed",
];

pub(super) fn service(message: &Value) -> Option<Content> {
    let (event, value) =
        FIELDS.iter().find_map(|field| message.get(*field).filter(|v| !v.is_null()).map(|v| (*field, v)))?;
    let mut payload = Map::new();
    payload.insert("event".to_owned(), json!(event));
    let mut kind = MessageKind::System;
    let who = called(message.get("sender_chat").or_else(|| message.get("from")));
    let body = match event {
        "new_chat_members" => joined(message, value, &who, &mut payload),
        "left_chat_member" => {
            payload.insert("members".to_owned(), json!([member(value)]));
            let gone = called(Some(value));
            match message.get("from").and_then(|from| int(from, "id")) {
                Some(id) if Some(id) != int(value, "id") => format!("{who} removed {gone}"),
                _ => format!("{gone} left"),
            }
        }
        "new_chat_title" => {
            payload.insert("title".to_owned(), value.clone());
            format!("{who} named the group \"{}\"", value.as_str().unwrap_or_default())
        }
        "forum_topic_created" | "forum_topic_edited" => {
            copy(value, &["name", "icon_color", "icon_custom_emoji_id"], &mut payload);
            copy(message, &["message_thread_id"], &mut payload);
            match (text(value, "name"), event) {
                (Some(name), "forum_topic_created") => format!("Topic \"{name}\" created"),
                (Some(name), _) => format!("Topic renamed to \"{name}\""),
                (None, "forum_topic_created") => "Topic created".to_owned(),
                (None, _) => "Topic icon changed".to_owned(),
            }
        }
        "pinned_message" => {
            if let Some(id) = int(value, "message_id") {
                payload.insert("message_id".to_owned(), json!(id));
            }
            match text(value, "text").or_else(|| text(value, "caption")) {
                Some(quoted) => format!("{who} pinned \"{}\"", shortened(quoted)),
                None => format!("{who} pinned a message"),
            }
        }
        // What a person answers in a dialog of ours is content: it belongs in the inbox.
        "web_app_data" | "users_shared" | "chat_shared" | "successful_payment" => {
            kind = MessageKind::Interactive;
            payload.insert(event.to_owned(), value.clone());
            answer(event, value)
        }
        _ => {
            if value.as_bool().is_none() {
                payload.insert(event.to_owned(), value.clone());
            }
            plain(event, value, &who)
        }
    };
    Some(Content { payload, ..Content::new(kind, Some(body)) })
}

fn joined(message: &Value, members: &Value, who: &str, payload: &mut Map<String, Value>) -> String {
    let members = members.as_array().map(Vec::as_slice).unwrap_or_default();
    payload.insert("members".to_owned(), members.iter().map(member).collect());
    let names = members.iter().map(|user| called(Some(user))).collect::<Vec<_>>().join(", ");
    let actor = message.get("from").and_then(|from| int(from, "id"));
    match members {
        [] => "Somebody joined".to_owned(),
        [only] if actor.is_none() || int(only, "id") == actor => format!("{names} joined"),
        _ => format!("{who} added {names}"),
    }
}

fn answer(event: &str, value: &Value) -> String {
    match event {
        "web_app_data" => {
            text(value, "button_text").or_else(|| text(value, "data")).unwrap_or("Form answered").to_owned()
        }
        "users_shared" => "Shared users".to_owned(),
        "chat_shared" => "Shared a chat".to_owned(),
        _ => match (int(value, "total_amount"), text(value, "currency")) {
            (Some(amount), Some(currency)) => format!("Paid {amount} {currency} (in the smallest unit)"),
            _ => "Paid".to_owned(),
        },
    }
}

fn plain(event: &str, value: &Value, who: &str) -> String {
    match event {
        "new_chat_photo" => format!("{who} changed the group photo"),
        "delete_chat_photo" => format!("{who} removed the group photo"),
        "group_chat_created" | "supergroup_chat_created" => format!("{who} created the group"),
        "channel_chat_created" => "Channel created".to_owned(),
        "message_auto_delete_timer_changed" => match int(value, "message_auto_delete_time") {
            Some(seconds) if seconds > 0 => {
                format!("{who} set messages to be deleted after {seconds} seconds")
            }
            _ => format!("{who} turned automatic deletion off"),
        },
        "forum_topic_closed" => "Topic closed".to_owned(),
        "forum_topic_reopened" => "Topic reopened".to_owned(),
        "general_forum_topic_hidden" => "General topic hidden".to_owned(),
        "general_forum_topic_unhidden" => "General topic shown".to_owned(),
        "chat_owner_left" => "The owner left the group".to_owned(),
        "chat_owner_changed" => match value.get("new_owner") {
            Some(owner) => format!("{} owns the group now", called(Some(owner))),
            None => "The group has a new owner".to_owned(),
        },
        "refunded_payment" => "Payment refunded".to_owned(),
        "write_access_allowed" => format!("{who} allowed the bot to write"),
        "boost_added" => format!("{who} boosted the group"),
        "video_chat_scheduled" => "Video chat scheduled".to_owned(),
        "video_chat_started" => "Video chat started".to_owned(),
        "video_chat_ended" => "Video chat ended".to_owned(),
        "video_chat_participants_invited" => format!("{who} invited people to the video chat"),
        _ => {
            // `gift_upgrade_sent` reads "Gift upgrade sent".
            let words = event.replace('_', " ");
            let mut letters = words.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
        }
    }
}

fn shortened(quoted: &str) -> String {
    let line = quoted.lines().next().unwrap_or_default();
    if line.chars().count() > 60 { line.chars().take(59).chain(['…']).collect() } else { line.to_owned() }
}
