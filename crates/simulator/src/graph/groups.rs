//! Groups: created at once, announced by webhook, joined only through their link.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Answer, Call, Caller, GraphError, pick, success};
use crate::callbacks::{Job, Post, lane, wire_form};
use crate::config::Number;
use crate::faults::{Fault, FaultKind};
use crate::ids::{now_seconds, user_id};
use crate::inbound::{GroupAction, GroupPerson};
use crate::params::Params;
use crate::state::{Inner, digits};
use crate::statuses::{entry, envelope, value_of};

/// People in a group beside the business.
const MAX_PARTICIPANTS: usize = 8;

pub(crate) struct Group {
    phone_number_id: String,
    subject: String,
    description: String,
    join_approval_mode: String,
    invite_link: String,
    created: u64,
    suspended: bool,
    /// Phones.
    participants: Vec<String>,
    requests: Vec<JoinRequest>,
    /// Who was put out cannot come back through the link.
    removed: HashSet<String>,
}

#[derive(Clone)]
struct JoinRequest {
    id: String,
    phone: String,
    at: u64,
}

pub(super) fn exists(inner: &Inner, id: &str) -> bool {
    inner.graph().groups.contains_key(id)
}

/// The newest group of that subject.
pub(crate) fn id_of(inner: &Inner, subject: &str) -> Option<String> {
    let graph = inner.graph();
    graph.groups.iter().filter(|(_, group)| group.subject == subject).map(|(id, _)| id.clone()).max()
}

fn new_link(inner: &Inner) -> String {
    format!("https://chat.whatsapp.com/{}", &inner.ids.fbtrace()[1..])
}

fn person(number: &Number, phone: &str) -> Value {
    json!({"wa_id": phone, "user_id": user_id(&number.waba_id, phone)})
}

/// The call that posts a `groups` change, when there is a webhook.
fn announcement(inner: &Inner, number: &Number, field: &str, group: &Value) -> Option<Post> {
    let url = inner.webhook_of(number)?;
    let mut value = value_of(number);
    value.insert("groups".into(), json!([group]));
    let body = wire_form(&envelope(vec![entry(&number.waba_id, field, value)]));
    let secret = inner.config().app_secret.clone();
    Some(Post::whatsapp(url, &secret, body, lane(&number.phone_number_id)))
}

fn announce(inner: &Arc<Inner>, number: &Number, field: &str, group: &Value) {
    if let Some(post) = announcement(inner, number, field, group) {
        inner.schedule(Duration::from_millis(20), Job::Post(Box::new(post)));
    }
}

fn checked(params: &Params, key: &str, max: usize) -> Result<Option<String>, GraphError> {
    match params.text(key) {
        Some(text) if text.chars().count() > max => {
            Err(GraphError::text(100, format!("(#100) Param {key} must be at most {max} characters long.")))
        }
        text => Ok(text),
    }
}

pub(super) fn create(inner: &Arc<Inner>, number: &Number, params: &Params, fault: Option<&Fault>) -> Answer {
    let subject = checked(params, "subject", 128)?.ok_or_else(|| GraphError::missing("subject"))?;
    let description = checked(params, "description", 2048)?.unwrap_or_default();
    let mode = params.text("join_approval_mode").unwrap_or_else(|| "auto_approve".to_owned());
    if !matches!(mode.as_str(), "auto_approve" | "approval_required") {
        return Err(GraphError::text(
            100,
            "(#100) Param join_approval_mode must be one of {AUTO_APPROVE, APPROVAL_REQUIRED}.",
        ));
    }
    let (id, request_id) = (inner.ids.object(), inner.ids.object());
    let now = now_seconds();
    let answer = Ok(json!({"messaging_product": "whatsapp", "request_id": request_id}));
    if let Some(fault) = fault.filter(|fault| fault.kind == FaultKind::FailStatus) {
        let error = GraphError::of(fault.code.unwrap_or(131_214), fault.description.clone());
        let event = json!({"timestamp": now.to_string(), "type": "group_create", "request_id": request_id,
            "errors": [error.webhook_form()]});
        announce(inner, number, "group_lifecycle_update", &event);
        return answer;
    }
    let group = Group {
        phone_number_id: number.phone_number_id.clone(),
        subject,
        description,
        join_approval_mode: mode,
        invite_link: new_link(inner),
        created: now,
        suspended: false,
        participants: Vec::new(),
        requests: Vec::new(),
        removed: HashSet::new(),
    };
    let event = json!({
        "timestamp": now.to_string(),
        "group_id": id,
        "type": "group_create",
        "request_id": request_id,
        "subject": group.subject,
        "description": group.description,
        "invite_link": group.invite_link,
        "join_approval_mode": group.join_approval_mode,
    });
    inner.graph().groups.insert(id, group);
    announce(inner, number, "group_lifecycle_update", &event);
    answer
}

pub(super) fn list(inner: &Inner, number: &Number) -> Value {
    let graph = inner.graph();
    let mut groups: Vec<Value> = graph
        .groups
        .iter()
        .filter(|(_, group)| group.phone_number_id == number.phone_number_id)
        .map(|(id, group)| json!({"id": id, "subject": group.subject, "created_at": group.created.to_string()}))
        .collect();
    groups.sort_by_key(|group| group["id"].as_str().map(str::to_owned));
    json!({"data": {"groups": groups}, "paging": {"cursors": {}}})
}

/// Calls on `/{group_id}` and below. `None` when the id is no group of the caller's.
pub(super) fn object(inner: &Arc<Inner>, caller: &Caller, call: &Call, params: &Params) -> Option<Answer> {
    let mut graph = inner.graph();
    let group = graph.groups.get_mut(&call.id)?;
    let number = caller.number(&group.phone_number_id)?;
    if group.suspended && call.http_method != "GET" {
        return Some(Err(GraphError::of(131_207, None)));
    }
    let event = event(inner, &call.id);
    let mut news = Vec::new();
    let answer = match (call.http_method.as_str(), call.edge.as_str()) {
        ("GET", "") => {
            let participants: Vec<Value> =
                group.participants.iter().map(|phone| person(number, phone)).collect();
            Ok(pick(
                json!({
                    "id": call.id,
                    "messaging_product": "whatsapp",
                    "subject": group.subject,
                    "description": group.description,
                    "join_approval_mode": group.join_approval_mode,
                    "suspended": group.suspended,
                    "creation_timestamp": group.created.to_string(),
                    "total_participant_count": group.participants.len() + 1,
                    "participants": participants,
                }),
                params.text("fields"),
            ))
        }
        ("POST", "") => update(group, params, event("group_settings_update")).map(|update| {
            news.push(("group_settings_update", update));
            success()
        }),
        ("DELETE", "") => {
            graph.groups.remove(&call.id);
            news.push(("group_lifecycle_update", event("group_delete")));
            Ok(success())
        }
        ("GET", "invite_link") => {
            Ok(json!({"messaging_product": "whatsapp", "invite_link": group.invite_link}))
        }
        ("POST", "invite_link") => {
            group.invite_link = new_link(inner);
            Ok(json!({"messaging_product": "whatsapp", "invite_link": group.invite_link}))
        }
        ("GET", "join_requests") => {
            let requests: Vec<Value> = group
                .requests
                .iter()
                .map(|request| {
                    let mut entry = person(number, &request.phone);
                    entry["join_request_id"] = json!(request.id);
                    entry["creation_timestamp"] = json!(request.at.to_string());
                    entry
                })
                .collect();
            Ok(json!({"data": requests, "paging": {"cursors": {}}}))
        }
        (method @ ("POST" | "DELETE"), "join_requests") => decide(group, number, params, method == "POST")
            .map(|(answer, joined)| {
                if !joined.is_empty() {
                    news.push(("group_participants_update", added(event("group_participants_add"), &joined)));
                }
                answer
            }),
        ("DELETE", "participants") => {
            remove(group, number, params, event("group_participants_remove")).map(|update| {
                let request_id = update["request_id"].clone();
                news.push(("group_participants_update", update));
                json!({"messaging_product": "whatsapp", "request_id": request_id})
            })
        }
        _ => Err(call.unknown()),
    };
    drop(graph);
    for (field, update) in news {
        announce(inner, number, field, &update);
    }
    Some(answer)
}

/// Makes the change of a group that webhooks begin with.
fn event(inner: &Inner, group: &str) -> impl Fn(&str) -> Value {
    move |kind| {
        json!({"timestamp": now_seconds().to_string(), "group_id": group, "type": kind,
            "request_id": inner.ids.object()})
    }
}

fn added(mut event: Value, people: &[Value]) -> Value {
    event["reason"] = json!("invite_link");
    event["added_participants"] = json!(people);
    event
}

fn update(group: &mut Group, params: &Params, mut event: Value) -> Answer {
    if let Some(subject) = checked(params, "subject", 128)? {
        event["group_subject"] = json!({"text": subject, "update_successful": true});
        group.subject = subject;
    }
    let description = checked(params, "description", 2048)?;
    if let Some(description) = description.or_else(|| params.values.get("description").map(|_| String::new()))
    {
        event["group_description"] = json!({"text": description, "update_successful": true});
        group.description = description;
    }
    if let Some(picture) = params.upload("file") {
        let mime_type = picture.mime_type.as_deref().unwrap_or_default();
        if mime_type != "image/jpeg" || !(1..=5 << 20).contains(&picture.bytes.len()) {
            return Err(GraphError::with(100, "A group's picture is a JPEG of 5 MB at most"));
        }
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, &picture.bytes));
        event["profile_picture"] = json!({"mime_type": mime_type, "sha256": hash, "update_successful": true});
    }
    Ok(event)
}

/// A list of objects or texts in a body.
fn named(params: &Params, key: &str) -> Result<Vec<Value>, GraphError> {
    match params.json(key) {
        Some(Ok(Value::Array(named))) if !named.is_empty() => Ok(named),
        Some(_) => Err(GraphError::text(100, format!("(#100) Param {key} must be a list."))),
        None => Err(GraphError::missing(key)),
    }
}

/// Lets people in, or not. The answer, and who is in.
fn decide(
    group: &mut Group,
    number: &Number,
    params: &Params,
    approve: bool,
) -> Result<(Value, Vec<Value>), GraphError> {
    let (mut done, mut failed, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    for id in named(params, "join_requests")? {
        let place = group.requests.iter().position(|request| id == request.id.as_str());
        let error = match place {
            None => Some(131_213),
            Some(_) if approve && group.participants.len() >= MAX_PARTICIPANTS => Some(131_204),
            Some(place) => {
                let request = group.requests.remove(place);
                if approve {
                    joined.push(person(number, &request.phone));
                    group.participants.push(request.phone);
                }
                None
            }
        };
        match error {
            None => done.push(id),
            Some(code) => failed
                .push(json!({"join_request_id": id, "errors": [GraphError::of(code, None).webhook_form()]})),
        }
    }
    let key = if approve { "approved_join_requests" } else { "rejected_join_requests" };
    let mut answer = json!({"messaging_product": "whatsapp", key: done});
    if !failed.is_empty() {
        answer["failed_join_requests"] = json!(failed);
    }
    Ok((answer, joined))
}

/// Puts people out; what the webhook tells of it.
fn remove(group: &mut Group, number: &Number, params: &Params, mut event: Value) -> Answer {
    let people = named(params, "participants")?;
    if people.len() > MAX_PARTICIPANTS {
        return Err(GraphError::of(131_204, None));
    }
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    for asked in people {
        let input = asked["user"].as_str().or_else(|| asked["user_id"].as_str());
        let input = input.ok_or_else(|| GraphError::missing("participants[user]"))?;
        let is_them = |phone: &String| *phone == digits(input) || user_id(&number.waba_id, phone) == input;
        if let Some(place) = group.participants.iter().position(is_them) {
            let phone = group.participants.remove(place);
            let mut entry = person(number, &phone);
            entry["input"] = json!(input);
            removed.push(entry);
            group.removed.insert(phone);
        } else {
            failed.push(json!({"input": input, "errors": [GraphError::of(131_212, None).webhook_form()]}));
        }
    }
    event["initiated_by"] = json!("business");
    event["removed_participants"] = json!(removed);
    if !failed.is_empty() {
        event["failed_participants"] = json!(failed);
    }
    Ok(event)
}

/// What a person does to a group, or Meta; the webhook call that tells of it.
pub(crate) fn act(inner: &Inner, action: &GroupPerson) -> Result<Option<Post>, String> {
    let mut graph = inner.graph();
    let id = action.group_id.as_str();
    let group = graph.groups.get_mut(id).ok_or_else(|| format!("no such group: {id}"))?;
    let number = inner.number(&group.phone_number_id).ok_or("the group's number is gone")?;
    let phone = digits(&action.from);
    let event = event(inner, id);
    let people = "group_participants_update";
    let asked = group.requests.iter().position(|request| request.phone == phone);
    let (field, update) = match action.action {
        GroupAction::Join => {
            if group.removed.contains(&phone) {
                return Err("who was removed cannot come back through the link".to_owned());
            }
            if group.participants.contains(&phone) || asked.is_some() {
                return Err("they are there, or have asked, already".to_owned());
            }
            if group.participants.len() >= MAX_PARTICIPANTS {
                return Err("the group is full".to_owned());
            }
            if group.join_approval_mode == "approval_required" {
                let request = JoinRequest { id: inner.ids.object(), phone: phone.clone(), at: now_seconds() };
                let update = joining(event("group_join_request_created"), &number, &request);
                group.requests.push(request);
                (people, update)
            } else {
                group.participants.push(phone.clone());
                (people, added(event("group_participants_add"), &[person(&number, &phone)]))
            }
        }
        GroupAction::Leave => {
            let place = group.participants.iter().position(|other| *other == phone);
            group.participants.remove(place.ok_or("they are not in the group")?);
            let mut update = event("group_participants_remove");
            update["initiated_by"] = json!("participant");
            update["removed_participants"] = json!([person(&number, &phone)]);
            (people, update)
        }
        GroupAction::Withdraw => {
            let request = group.requests.remove(asked.ok_or("they have not asked to join")?);
            (people, joining(event("group_join_request_revoked"), &number, &request))
        }
        GroupAction::Suspend => {
            group.suspended = true;
            ("group_status_update", event("group_suspend"))
        }
        GroupAction::Clear => {
            group.suspended = false;
            ("group_status_update", event("group_suspend_cleared"))
        }
    };
    drop(graph);
    Ok(announcement(inner, &number, field, &update))
}

fn joining(mut event: Value, number: &Number, request: &JoinRequest) -> Value {
    event["join_request_id"] = json!(request.id);
    event["wa_id"] = json!(request.phone);
    event["user_id"] = json!(user_id(&number.waba_id, &request.phone));
    event
}
