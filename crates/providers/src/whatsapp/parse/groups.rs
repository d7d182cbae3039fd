//! `groups[]`: a group's life, its members, its settings.

use aws_lc_rs::digest;
use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::inbound::{
    Chat, Event, GroupChange, GroupFacts, InboundMessage, MemberChange, Origin, Party, Update,
};
use kabar_domain::message::MessageKind;
use serde_json::Value;

use super::json::{Object, copy_text, into_object, object, text, timestamp};
use super::people::Named;
use super::{Scope, each, statuses};
use crate::hex::hex;

pub(super) fn read(scope: &Scope, pointer: &str, field: &str, mut value: Object, out: &mut Vec<Update>) {
    // Where these stand differs between Meta's own examples: in the group, or beside the list.
    let mut beside = Object::new();
    for key in ["failed_participants", "initiated_by", "errors", "request_id"] {
        beside.extend(value.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let before = out.len();
    each(scope, pointer, "groups", &mut value, out, |_, pointer, item, out| {
        match group(scope, field, item, &beside) {
            Ok(events) => {
                out.extend(events.into_iter().map(|event| scope.update(pointer.clone(), Ok(event))));
            }
            Err(reason) => out.push(scope.update(pointer, Err(reason))),
        }
    });
    if out.len() == before {
        out.push(scope.other(pointer.to_owned(), field, Value::Object(value), scope.time));
    }
}

fn group(scope: &Scope, field: &str, value: Value, beside: &Object) -> Result<Vec<Event>, String> {
    let mut group = into_object(value, "the group change")?;
    for (key, value) in beside {
        if !group.contains_key(key) {
            group.insert(key.clone(), value.clone());
        }
    }
    let change = match text(&group, "type") {
        Some("group_create") if text(&group, "group_id").is_none() => {
            return Ok(vec![refusal(&group)?.unwrap_or_else(|| other(field, group))]);
        }
        Some("group_create") => {
            let facts = GroupFacts {
                title: copy_text(&group, "subject"),
                description: copy_text(&group, "description"),
                invite_link: copy_text(&group, "invite_link"),
                join_approval_mode: copy_text(&group, "join_approval_mode"),
                suspended: None,
            };
            Some(GroupChange::Created { request_id: copy_text(&group, "request_id"), facts })
        }
        Some("group_delete") => Some(GroupChange::Deleted).filter(|_| !failed(&group)),
        Some("group_settings_update") => {
            let new = |key| object(&group, key).filter(|setting| was_changed(setting));
            let title = new("group_subject").and_then(|subject| copy_text(subject, "text"));
            // An empty description is one that was taken away.
            let description = new("group_description").map(|new| copy_text(new, "text").unwrap_or_default());
            let facts = GroupFacts { title, description, ..GroupFacts::default() };
            (facts != GroupFacts::default()).then_some(GroupChange::Settings(facts))
        }
        Some("group_suspend") => Some(GroupChange::Suspended(true)),
        Some("group_suspend_cleared") => Some(GroupChange::Suspended(false)),
        Some(_) if field.starts_with("group_participant") => {
            return participants(scope, field, group);
        }
        Some(_) => None,
        None => return Err("the group change has no `type`".to_owned()),
    };
    match (change, text(&group, "group_id")) {
        (Some(change), Some(id)) => {
            let chat = Chat::Group { external_id: id.to_owned(), title: None, topic: None };
            let occurred_at = timestamp(group.get("timestamp"))?;
            Ok(vec![Event::Group { chat, change, occurred_at }])
        }
        _ => Ok(vec![other(field, group)]),
    }
}

/// A group that was not made. Without the request's id nobody knows whose it was.
fn refusal(group: &Object) -> Result<Option<Event>, String> {
    let (Some(request_id), Some(error)) = (copy_text(group, "request_id"), statuses::error(group)) else {
        return Ok(None);
    };
    Ok(Some(Event::GroupRefused { request_id, error, occurred_at: timestamp(group.get("timestamp"))? }))
}

fn was_changed(setting: &Object) -> bool {
    setting.get("update_successful") != Some(&Value::Bool(false)) && !failed(setting)
}

fn other(field: &str, group: Object) -> Event {
    let occurred_at = timestamp(group.get("timestamp")).ok();
    Event::Other { name: field.to_owned(), value: Value::Object(group), occurred_at }
}

fn failed(object: &Object) -> bool {
    object.get("errors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty())
}

/// Who came, went or asked to come: as a change of the members, and as a message in the group. Without a group or
/// a person to name it stays an event.
fn participants(scope: &Scope, field: &str, mut group: Object) -> Result<Vec<Event>, String> {
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
        return Ok(vec![other(field, group)]);
    };
    if first.is_nobody() {
        group.insert("members".to_owned(), Value::Array(members));
        return Ok(vec![other(field, group)]);
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
    let mut events = Vec::with_capacity(2);
    if let Some(status) = status(&event, &group) {
        let request_id = copy_text(&group, "join_request_id");
        let changes = members.iter().enumerate().filter_map(|(i, member)| {
            let party = party(scope, member, i)?;
            Some(MemberChange { party, status, role: MemberRole::Member, request_id: request_id.clone() })
        });
        let change = GroupChange::Members(changes.collect());
        events.push(Event::Group { chat: chat.clone(), change, occurred_at });
    }
    for key in ["type", "group_id", "timestamp"] {
        group.remove(key);
    }
    group.insert("event".to_owned(), Value::String(event));
    group.insert("members".to_owned(), Value::Array(members));
    events.push(Event::Message(Box::new(InboundMessage {
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
    })));
    Ok(events)
}

/// Meta's documents have `group_participants_add` and `group_add_participants`.
fn status(event: &str, group: &Object) -> Option<MemberStatus> {
    if event.contains("join_request") {
        let open = event.ends_with("created");
        Some(if open { MemberStatus::Requested } else { MemberStatus::Declined })
    } else if event.contains("add") {
        Some(MemberStatus::Joined)
    } else if event.contains("remove") {
        let themselves = text(group, "initiated_by") == Some("participant");
        Some(if themselves { MemberStatus::Left } else { MemberStatus::Removed })
    } else {
        None
    }
}

fn party(scope: &Scope, member: &Value, hint: usize) -> Option<Party> {
    let member = member.as_object()?;
    let named = Named::member(member);
    if named.is_nobody() {
        return None;
    }
    let mut party = named.party(&scope.contacts, hint);
    party.username = party.username.or_else(|| copy_text(member, "username"));
    Some(party)
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
