//! Updates that are no messages: taps, reactions, memberships, deletions, and kinds not known yet.

use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::inbound::{Chat, Event, GroupChange, InboundMessage, MemberChange, Origin, Party};
use kabar_domain::message::MessageKind;
use serde_json::{Map, Value, json};

use super::Context;
use super::messages::{self, notice};
use super::read::{Place, called, copy, int, is_true, member, message_key, party, text, time};

/// A tap on an inline keyboard's button. Telegram gives it no time; it waits at most minutes for delivery.
pub(super) fn callback(context: Context, query: &Value) -> Result<Vec<Event>, String> {
    let party = query.get("from").and_then(party).ok_or("The callback query has no sender.")?;
    let id = text(query, "id");
    let message = query.get("message").filter(|message| message.is_object());
    let place = message.map(Place::of).transpose()?;
    let mut payload = Map::new();
    copy(query, &["data", "game_short_name", "inline_message_id"], &mut payload);
    if let Some(id) = id {
        payload.insert("callback_query_id".to_owned(), json!(id));
    }
    let data = text(query, "data");
    let label = data.and_then(|data| label(message?, data));
    Ok(vec![Event::Message(Box::new(InboundMessage {
        provider_message_id: id.map_or_else(|| context.update_key(), |id| format!("cb:{id}")),
        origin: Origin::Live,
        party,
        kind: MessageKind::Button,
        body: label.or(data).or_else(|| text(query, "game_short_name")).map(str::to_owned),
        media: Vec::new(),
        payload: Value::Object(payload),
        reply_to: message.zip(place.as_ref()).and_then(|(message, place)| {
            let id = int(message, "message_id").filter(|id| *id > 0)?;
            Some(message_key(place.id, id, messages::scope(context, message)))
        }),
        occurred_at: context.received_at,
        status: None,
        chat: place.map_or(Chat::Direct, |place| place.chat),
    }))])
}

/// What the pressed button says.
fn label<'a>(message: &'a Value, data: &str) -> Option<&'a str> {
    let rows = message.get("reply_markup")?.get("inline_keyboard")?.as_array()?;
    let buttons = rows.iter().filter_map(Value::as_array).flatten();
    buttons
        .filter(|button| text(button, "callback_data") == Some(data))
        .find_map(|button| text(button, "text"))
}

pub(super) fn reaction(context: Context, object: &Value) -> Result<Vec<Event>, String> {
    let place = Place::of(object)?;
    let target = int(object, "message_id").ok_or("The reaction names no message.")?;
    let party = object
        .get("user")
        .and_then(party)
        .or_else(|| object.get("actor_chat").and_then(party))
        .ok_or("The reaction has no sender.")?;
    let new = object.get("new_reaction").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let emoji = new.iter().filter_map(|reaction| text(reaction, "emoji")).collect::<String>();
    let mut payload = Map::new();
    payload.insert("removed".to_owned(), json!(new.is_empty()));
    payload.insert("reactions".to_owned(), json!(new));
    Ok(vec![Event::Message(Box::new(InboundMessage {
        provider_message_id: context.update_key(),
        origin: Origin::Live,
        party,
        kind: MessageKind::Reaction,
        body: (!emoji.is_empty()).then_some(emoji),
        media: Vec::new(),
        payload: Value::Object(payload),
        reply_to: Some(message_key(place.id, target, messages::scope(context, object))),
        occurred_at: time(object, "date").unwrap_or(context.received_at),
        status: None,
        chat: place.chat,
    }))])
}

/// Our own standing in a chat; in a private chat whether the person blocks us.
pub(super) fn own_membership(context: Context, object: &Value) -> Result<Vec<Event>, String> {
    let place = Place::of(object)?;
    let (old, new) = (Standing::of(object, "old_chat_member"), Standing::of(object, "new_chat_member"));
    let who = called(object.get("from"));
    let mut payload = statuses(context, &old, &new);
    let actor = object.get("from").and_then(party).or_else(|| party(place.object));
    let actor = actor.ok_or("The chat has no integer id.")?;
    if place.is_private() {
        payload.insert("blocked".to_owned(), json!(!new.inside));
        let body = if new.inside { "unblocked the bot" } else { "blocked the bot" };
        let body = format!("{who} {body}");
        return Ok(vec![notice(context, place.chat, actor, body, payload, object)]);
    }
    let body = match (old.inside, new.inside) {
        (false, true) => format!("{who} added the bot"),
        (true, false) if new.status == "left" => "The bot left".to_owned(),
        (_, false) => format!("{who} removed the bot"),
        (true, true) if new.status == "administrator" && old.status != new.status => {
            format!("{who} made the bot an administrator")
        }
        (true, true) => format!("{who} changed what the bot may do"),
    };
    Ok(vec![
        Event::Group {
            chat: place.chat.clone(),
            change: GroupChange::Membership { active: new.inside },
            occurred_at: time(object, "date").unwrap_or(context.received_at),
        },
        notice(context, place.chat, actor, body, payload, object),
    ])
}

/// Somebody else's standing in a group.
pub(super) fn membership(context: Context, object: &Value) -> Result<Vec<Event>, String> {
    let place = Place::of(object)?;
    let (old, new) = (Standing::of(object, "old_chat_member"), Standing::of(object, "new_chat_member"));
    let subject = new.user.or(old.user);
    let (actor, name) = (called(object.get("from")), called(subject));
    let id_of = |user: Option<&Value>| user.and_then(|user| int(user, "id"));
    let self_made = id_of(object.get("from")) == id_of(subject);
    let body = match (old.inside, new.inside) {
        (false, true) if self_made => format!("{name} joined"),
        (false, true) => format!("{actor} added {name}"),
        (true, false) if self_made => format!("{name} left"),
        (_, false) if new.status == "kicked" => format!("{actor} banned {name}"),
        (true, false) => format!("{actor} removed {name}"),
        (true, true) if new.status == "administrator" && old.status != new.status => {
            format!("{actor} made {name} an administrator")
        }
        (false, false) if old.status == "kicked" => format!("{actor} unbanned {name}"),
        _ => format!("{actor} changed what {name} may do"),
    };
    let mut payload = statuses(context, &old, &new);
    payload.insert("members".to_owned(), subject.into_iter().map(member).collect());
    copy(object, &["invite_link", "via_join_request", "via_chat_folder_invite_link"], &mut payload);
    let party = object.get("from").and_then(party).or_else(|| party(place.object));
    let party = party.ok_or("The chat has no integer id.")?;
    let status = match (new.inside, new.status) {
        (true, _) => MemberStatus::Joined,
        (false, "left") if self_made => MemberStatus::Left,
        (false, _) => MemberStatus::Removed,
    };
    let change = subject.and_then(|user| messages::change(user, status, new.role()));
    let mut events = members(context, &place, change, object);
    events.push(notice(context, place.chat, party, body, payload, object));
    Ok(events)
}

/// A change of one member, as a fact about the group.
fn members(context: Context, place: &Place, change: Option<MemberChange>, object: &Value) -> Vec<Event> {
    let event = |change| Event::Group {
        chat: place.chat.clone(),
        change: GroupChange::Members(vec![change]),
        occurred_at: time(object, "date").unwrap_or(context.received_at),
    };
    change.filter(|_| !place.is_private()).map(event).into_iter().collect()
}

/// One side of a `ChatMemberUpdated`.
struct Standing<'a> {
    status: &'a str,
    inside: bool,
    user: Option<&'a Value>,
}

impl<'a> Standing<'a> {
    fn of(update: &'a Value, key: &str) -> Self {
        let member = update.get(key).unwrap_or(&Value::Null);
        let status = text(member, "status").unwrap_or("left");
        let inside = match status {
            "left" | "kicked" => false,
            "restricted" => is_true(member, "is_member"),
            _ => true,
        };
        Self { status, inside, user: member.get("user") }
    }

    fn role(&self) -> MemberRole {
        match self.status {
            "creator" => MemberRole::Owner,
            "administrator" => MemberRole::Admin,
            _ => MemberRole::Member,
        }
    }
}

fn statuses(context: Context, old: &Standing, new: &Standing) -> Map<String, Value> {
    let mut payload = Map::new();
    payload.insert("event".to_owned(), json!(context.kind));
    payload.insert("old_status".to_owned(), json!(old.status));
    payload.insert("new_status".to_owned(), json!(new.status));
    payload
}

pub(super) fn join_request(context: Context, object: &Value) -> Result<Vec<Event>, String> {
    let place = Place::of(object)?;
    let from = object.get("from");
    let party = from.and_then(party).ok_or("The join request names nobody.")?;
    let mut payload = Map::new();
    payload.insert("event".to_owned(), json!(context.kind));
    payload.insert("members".to_owned(), from.into_iter().map(member).collect());
    copy(object, &["bio", "invite_link", "query_id", "user_chat_id"], &mut payload);
    let body = format!("{} asks to join", called(from));
    let asked =
        from.and_then(|from| messages::change(from, MemberStatus::Requested, MemberRole::Member)).map(
            // Telegram answers requests by the person's id.
            |change| MemberChange {
                request_id: from.and_then(|from| int(from, "id")).map(|id| id.to_string()),
                ..change
            },
        );
    let mut events = members(context, &place, asked, object);
    events.push(notice(context, place.chat, party, body, payload, object));
    Ok(events)
}

/// Deletions in a business account's chats, each with where it is below the update's field.
pub(super) fn deleted(context: Context, object: &Value) -> Vec<(String, Result<Event, String>)> {
    let place = match Place::of(object) {
        Ok(place) => place,
        Err(reason) => return vec![(String::new(), Err(reason))],
    };
    let Some(ids) = object.get("message_ids").and_then(Value::as_array).filter(|ids| !ids.is_empty()) else {
        return vec![(String::new(), Err("The deletion names no messages.".to_owned()))];
    };
    let sender = if place.is_private() { party(place.object) } else { None };
    let revoke = |id: &Value| {
        let id = id.as_i64().ok_or("The message id is not an integer.")?;
        Ok(Event::Revoke {
            chat: place.chat.clone(),
            sender: sender.clone(),
            target: message_key(place.id, id, messages::scope(context, object)),
            occurred_at: context.received_at,
        })
    };
    ids.iter().enumerate().map(|(index, id)| (format!("/message_ids/{index}"), revoke(id))).collect()
}

/// An event without a message to show.
pub(super) fn other(context: Context, object: &Value) -> Event {
    Event::Other {
        name: format!("telegram.{}", context.kind),
        value: object.clone(),
        occurred_at: time(object, "date"),
    }
}

/// A kind not known here. A message by its shape is read as one; what a person did is shown as it came.
pub(super) fn unknown(context: Context, object: &Value) -> Result<Vec<Event>, String> {
    if object.get("chat").is_some() && int(object, "message_id").is_some() && object.get("date").is_some() {
        return messages::message(context, object);
    }
    let person: Option<Party> = ["from", "user"].iter().find_map(|key| object.get(*key).and_then(party));
    let Some(party) = person else {
        return Ok(vec![other(context, object)]);
    };
    Ok(vec![Event::Message(Box::new(InboundMessage {
        provider_message_id: context.update_key(),
        origin: Origin::Live,
        chat: Place::of(object).map_or(Chat::Direct, |place| place.chat),
        party,
        kind: MessageKind::Unknown,
        body: None,
        media: Vec::new(),
        payload: json!({ "kind": context.kind, "object": object }),
        reply_to: None,
        occurred_at: time(object, "date").unwrap_or(context.received_at),
        status: None,
    }))])
}
