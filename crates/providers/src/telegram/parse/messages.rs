//! Messages and their edits: who, where, when, and in reply to what.

use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::inbound::{
    Chat, Edit, Event, GroupChange, GroupFacts, InboundMessage, MemberChange, Origin, Party,
};
use kabar_domain::message::{MessageKind, MessageStatus};
use serde_json::{Map, Value, json};

use super::Context;
use super::content::{Content, content, unknown};
use super::read::{Place, copy, int, is_true, message_key, party, text, time, topic};
use super::service::service;

pub(super) fn message(context: Context, object: &Value) -> Result<Vec<Event>, String> {
    let place = Place::of(object)?;
    let occurred_at = time(object, "date").unwrap_or(context.received_at);
    if let Some(new) = int(object, "migrate_to_chat_id") {
        return Ok(vec![Event::GroupMigrated {
            old: place.id.to_string(),
            new: new.to_string(),
            occurred_at,
        }]);
    }
    // The old group has told it already, with both ids.
    if object.get("migrate_from_chat_id").is_some() {
        return Ok(vec![Event::Other {
            name: "telegram.migrate_from_chat_id".to_owned(),
            value: object.clone(),
            occurred_at: Some(occurred_at),
        }]);
    }
    let scope = scope(context, object);
    let (party, echo) = sender(context, object, &place)?;
    let content = understand(object);
    let mut events = Vec::new();
    if let Some(title) = text(object, "new_chat_title")
        && !place.is_private()
    {
        events.push(Event::Group {
            chat: place.chat.clone(),
            change: GroupChange::Settings(GroupFacts {
                title: Some(title.to_owned()),
                ..GroupFacts::default()
            }),
            occurred_at,
        });
    }
    if let Some(change) = members(object).filter(|_| !place.is_private()) {
        events.push(Event::Group { chat: place.chat.clone(), change, occurred_at });
    }
    let echo = echo && content.kind != MessageKind::System;
    events.push(Event::Message(Box::new(InboundMessage {
        // Messages the server still schedules, or shows to one member only, have no usable number.
        provider_message_id: match int(object, "message_id") {
            Some(id) if id > 0 => message_key(place.id, id, scope),
            _ => context.update_key(),
        },
        origin: if echo { Origin::Echo } else { Origin::Live },
        party,
        kind: content.kind,
        body: content.body,
        media: content.media,
        payload: payload(object, content.payload),
        reply_to: reply_to(object, place.id, scope),
        occurred_at,
        status: echo.then_some(MessageStatus::Sent),
        chat: place.chat,
    })));
    Ok(events)
}

/// Who came or went, as a service message tells it.
fn members(message: &Value) -> Option<GroupChange> {
    let changes: Vec<MemberChange> =
        if let Some(joined) = message.get("new_chat_members").and_then(Value::as_array) {
            joined.iter().filter_map(|user| change(user, MemberStatus::Joined, MemberRole::Member)).collect()
        } else {
            let left = message.get("left_chat_member")?;
            let actor = message.get("from").and_then(|from| int(from, "id"));
            let themselves = actor.is_none() || actor == int(left, "id");
            let status = if themselves { MemberStatus::Left } else { MemberStatus::Removed };
            change(left, status, MemberRole::Member).into_iter().collect()
        };
    (!changes.is_empty()).then_some(GroupChange::Members(changes))
}

pub(super) fn change(user: &Value, status: MemberStatus, role: MemberRole) -> Option<MemberChange> {
    Some(MemberChange { party: party(user)?, status, role, request_id: None })
}

pub(super) fn edit(context: Context, object: &Value) -> Result<Vec<Event>, String> {
    let place = Place::of(object)?;
    let id = int(object, "message_id").ok_or("The edited message has no integer message_id.")?;
    let (sender, _) = sender(context, object, &place)?;
    let content = understand(object);
    Ok(vec![Event::Edit(Box::new(Edit {
        target: message_key(place.id, id, scope(context, object)),
        chat: place.chat,
        sender,
        kind: content.kind,
        body: content.body,
        media: content.media,
        payload: payload(object, content.payload),
        occurred_at: time(object, "edit_date").unwrap_or(context.received_at),
    }))])
}

fn understand(message: &Value) -> Content {
    content(message).or_else(|| service(message)).unwrap_or_else(|| unknown(message))
}

/// What the message's number is scoped by beside the chat.
pub(super) fn scope<'a>(context: Context, message: &'a Value) -> Option<&'a str> {
    text(message, "business_connection_id").or((context.kind == "guest_message").then_some("guest"))
}

/// Whose conversation it belongs to, and whether it was our own side that wrote it.
fn sender(context: Context, message: &Value, place: &Place) -> Result<(Party, bool), String> {
    let from = message.get("from").and_then(party);
    if place.is_private() && context.kind != "guest_message" {
        // A private chat has the other person's id.
        let person = party(place.object).ok_or("The chat has no integer id.")?;
        return Ok(match from {
            Some(from) if from.identities == person.identities => (from, false),
            Some(_) => (person, true),
            None => (person, false),
        });
    }
    // Who speaks as a chat (anonymous admins, channels) has one of Telegram's shared stand-in users as `from`.
    let speaker = message.get("sender_chat").and_then(party).or(from).or_else(|| party(place.object));
    Ok((speaker.ok_or("The message has no sender.")?, false))
}

/// The quoted message. Every message in a topic "replies" to the message that made the topic; that is no quote.
fn reply_to(message: &Value, chat: i64, scope: Option<&str>) -> Option<String> {
    let quoted = message.get("reply_to_message")?;
    let id = int(quoted, "message_id").filter(|id| *id > 0)?;
    if topic(message) == Some(id) || quoted.get("forum_topic_created").is_some() {
        return None;
    }
    let chat = quoted.get("chat").and_then(|chat| int(chat, "id")).unwrap_or(chat);
    Some(message_key(chat, id, scope))
}

/// Adds to the kind's own fields what any message can carry.
fn payload(message: &Value, own: Map<String, Value>) -> Value {
    let mut payload = Map::new();
    copy(
        message,
        &[
            "entities",
            "media_group_id",
            "forward_origin",
            "via_bot",
            "quote",
            "external_reply",
            "reply_to_story",
            "author_signature",
            "business_connection_id",
            "sender_business_bot",
            "guest_query_id",
            "direct_messages_topic",
            "ephemeral_message_id",
        ],
        &mut payload,
    );
    if let Some(entities) = message.get("caption_entities") {
        payload.insert("entities".to_owned(), entities.clone());
    }
    if message.get("forward_origin").is_some() || is_true(message, "is_automatic_forward") {
        payload.insert("forwarded".to_owned(), json!(true));
    }
    if let Some(name) = message
        .get("reply_to_message")
        .and_then(|quoted| quoted.get("forum_topic_created"))
        .and_then(|topic| text(topic, "name"))
    {
        payload.insert("topic_name".to_owned(), json!(name));
    }
    payload.extend(own);
    Value::Object(payload)
}

/// A line of the service in a conversation, for updates that are no message.
pub(super) fn notice(
    context: Context,
    chat: Chat,
    party: Party,
    body: String,
    payload: Map<String, Value>,
    object: &Value,
) -> Event {
    Event::Message(Box::new(InboundMessage {
        provider_message_id: context.update_key(),
        origin: Origin::Live,
        chat,
        party,
        kind: MessageKind::System,
        body: Some(body),
        media: Vec::new(),
        payload: Value::Object(payload),
        reply_to: None,
        occurred_at: time(object, "date").unwrap_or(context.received_at),
        status: None,
    }))
}
