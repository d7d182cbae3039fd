//! `groups[]`: a group's life, its members, its settings.

use aws_lc_rs::digest;
use kabar_domain::inbound::{Chat, Event, GroupChange, InboundMessage, Origin, Update};
use kabar_domain::message::MessageKind;
use serde_json::Value;

use super::json::{Object, hex, into_object, object, text, timestamp};
use super::people::Named;
use super::{Scope, each};

pub(super) fn read(scope: &Scope, pointer: &str, field: &str, mut value: Object, out: &mut Vec<Update>) {
    // Where these stand differs between Meta's own examples: in the group, or beside the list.
    let mut beside = Object::new();
    for key in ["failed_participants", "initiated_by", "errors", "request_id"] {
        beside.extend(value.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let before = out.len();
    each(scope, pointer, "groups", &mut value, out, |_, pointer, item, out| {
        let event = group(scope, field, item, &beside);
        out.push(scope.update(pointer, event));
    });
    if out.len() == before {
        out.push(scope.other(pointer.to_owned(), field, Value::Object(value), scope.time));
    }
}

fn group(scope: &Scope, field: &str, value: Value, beside: &Object) -> Result<Event, String> {
    let mut group = into_object(value, "the group change")?;
    for (key, value) in beside {
        if !group.contains_key(key) {
            group.insert(key.clone(), value.clone());
        }
    }
    let occurred_at = timestamp(group.get("timestamp"));
    let change = match text(&group, "type") {
        Some("group_create") => text(&group, "subject").map(|title| GroupChange::Title(title.to_owned())),
        Some("group_delete") => Some(GroupChange::Deleted).filter(|_| !failed(&group)),
        Some("group_settings_update") => object(&group, "group_subject")
            .filter(|subject| {
                subject.get("update_successful") != Some(&Value::Bool(false)) && !failed(subject)
            })
            .and_then(|subject| text(subject, "text"))
            .map(|title| GroupChange::Title(title.to_owned())),
        Some("group_suspend") => Some(GroupChange::Membership { active: false }),
        Some("group_suspend_cleared") => Some(GroupChange::Membership { active: true }),
        Some(_) if field.starts_with("group_participant") => {
            return participants(scope, field, group);
        }
        Some(_) => None,
        None => return Err("the group change has no `type`".to_owned()),
    };
    match (change, text(&group, "group_id")) {
        (Some(change), Some(id)) => {
            let chat = Chat::Group { external_id: id.to_owned(), title: None, topic: None };
            Ok(Event::Group { chat, change, occurred_at: occurred_at? })
        }
        _ => Ok(other(field, group)),
    }
}

fn other(field: &str, group: Object) -> Event {
    let occurred_at = timestamp(group.get("timestamp")).ok();
    Event::Other { name: field.to_owned(), value: Value::Object(group), occurred_at }
}

fn failed(object: &Object) -> bool {
    object.get("errors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty())
}

/// Who came, went or asked to come, as a message in the group. Without a group or a person to name it stays an
/// event.
fn participants(scope: &Scope, field: &str, mut group: Object) -> Result<Event, String> {
    let members: Vec<Value> = ["added_participants", "removed_participants", "participants"]
        .iter()
        .find_map(|key| group.remove(*key))
        .and_then(|list| if let Value::Array(members) = list { Some(members) } else { None })
        .unwrap_or_default();
    // A request to join names its one person in the change itself.
    let first = members.iter().find_map(|member| {
        let named = Named::member(member.as_object()?);
        (!named.is_nobody()).then_some(named)
    });
    let first = first.unwrap_or_else(|| Named::read(&group, "wa_id", "user_id", "parent_user_id"));
    let (Some(group_id), Some(event)) = (text(&group, "group_id"), text(&group, "type")) else {
        return Ok(other(field, group));
    };
    if first.is_nobody() {
        group.insert("members".to_owned(), Value::Array(members));
        return Ok(other(field, group));
    }
    let occurred_at = timestamp(group.get("timestamp"))?;
    let chat = Chat::Group { external_id: group_id.to_owned(), title: None, topic: None };
    // The change has no id of its own; Meta's retries repeat its content.
    let provider_message_id = format!(
        "group:{group_id}:{event}:{}:{}",
        occurred_at.as_unix(),
        fingerprint(&members, &group, &first)
    );
    let event = event.to_owned();
    let members = if members.is_empty() { vec![person(&group)] } else { members };
    for key in ["type", "group_id", "timestamp"] {
        group.remove(key);
    }
    group.insert("event".to_owned(), Value::String(event));
    group.insert("members".to_owned(), Value::Array(members));
    Ok(Event::Message(Box::new(InboundMessage {
        provider_message_id,
        origin: Origin::Live,
        chat,
        party: first.party(&scope.contacts, 0),
        kind: MessageKind::System,
        body: None,
        media: Vec::new(),
        payload: Value::Object(group),
        reply_to: None,
        occurred_at,
        status: None,
    })))
}

fn person(group: &Object) -> Value {
    let keys = ["wa_id", "user_id", "parent_user_id", "username"];
    Value::Object(keys.iter().filter_map(|key| Some(((*key).to_owned(), group.get(*key)?.clone()))).collect())
}

fn fingerprint(members: &[Value], group: &Object, first: &Named) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for key in ["request_id", "join_request_id"] {
        context.update(text(group, key).unwrap_or_default().as_bytes());
        context.update(b"\0");
    }
    for name in [&first.phone, &first.user_id] {
        context.update(name.as_deref().unwrap_or_default().as_bytes());
        context.update(b"\0");
    }
    for member in members {
        context.update(member.to_string().as_bytes());
    }
    hex(&context.finish().as_ref()[..8])
}
