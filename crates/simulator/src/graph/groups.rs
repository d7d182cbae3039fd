//! Groups: created at once, announced by webhook, joined only through their link.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Call, Caller, GraphError, pick, success};
use crate::callbacks::{Job, Post, lane, wire_form};
use crate::config::Number;
use crate::ids::now_seconds;
use crate::params::Params;
use crate::state::Inner;
use crate::statuses::{entry, envelope, value_of};

pub(super) struct Group {
    phone_number_id: String,
    subject: String,
    description: String,
    join_approval_mode: String,
    invite_link: String,
    created: u64,
}

pub(super) fn exists(inner: &Inner, id: &str) -> bool {
    inner.graph().groups.contains_key(id)
}

fn new_link(inner: &Inner) -> String {
    format!("https://chat.whatsapp.com/{}", &inner.ids.fbtrace()[1..])
}

/// Posts a `groups` change.
fn announce(inner: &Arc<Inner>, number: &Number, field: &str, group: &Value) {
    let Some(url) = inner.webhook_of(number) else { return };
    let mut value = value_of(number);
    value.insert("groups".into(), json!([group]));
    let body = wire_form(&envelope(vec![entry(&number.waba_id, field, value)]));
    let secret = inner.config().app_secret.clone();
    let post = Post::whatsapp(url, &secret, body, lane(&number.phone_number_id));
    inner.schedule(Duration::from_millis(20), Job::Post(Box::new(post)));
}

fn checked(params: &Params, key: &str, max: usize) -> Result<Option<String>, GraphError> {
    match params.text(key) {
        Some(text) if text.chars().count() > max => {
            Err(GraphError::text(100, format!("(#100) Param {key} must be at most {max} characters long.")))
        }
        text => Ok(text),
    }
}

pub(super) fn create(inner: &Arc<Inner>, number: &Number, params: &Params) -> Answer {
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
    let group = Group {
        phone_number_id: number.phone_number_id.clone(),
        subject,
        description,
        join_approval_mode: mode,
        invite_link: new_link(inner),
        created: now_seconds(),
    };
    let event = json!({
        "timestamp": group.created.to_string(),
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
    Ok(json!({"messaging_product": "whatsapp", "request_id": request_id}))
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
    let event = |kind: &str| {
        json!({"timestamp": now_seconds().to_string(), "group_id": call.id, "type": kind,
            "request_id": inner.ids.object()})
    };
    let answer = match (call.http_method.as_str(), call.edge.as_str()) {
        ("GET", "") => pick(
            json!({
                "id": call.id,
                "messaging_product": "whatsapp",
                "subject": group.subject,
                "description": group.description,
                "join_approval_mode": group.join_approval_mode,
                "suspended": false,
                "creation_timestamp": group.created.to_string(),
                "total_participant_count": 1,
                "participants": [],
            }),
            params.text("fields"),
        ),
        ("POST", "") => {
            let mut update = event("group_settings_update");
            if let Some(subject) = params.text("subject") {
                update["group_subject"] = json!({"text": subject, "update_successful": true});
                group.subject = subject;
            }
            if let Some(description) = params.text("description") {
                update["group_description"] = json!({"text": description, "update_successful": true});
                group.description = description;
            }
            drop(graph);
            announce(inner, number, "group_settings_update", &update);
            success()
        }
        ("DELETE", "") => {
            graph.groups.remove(&call.id);
            drop(graph);
            announce(inner, number, "group_lifecycle_update", &event("group_delete"));
            success()
        }
        ("GET", "invite_link") => json!({"messaging_product": "whatsapp", "invite_link": group.invite_link}),
        ("POST", "invite_link") => {
            group.invite_link = new_link(inner);
            json!({"messaging_product": "whatsapp", "invite_link": group.invite_link})
        }
        ("GET", "join_requests") => json!({"data": []}),
        ("DELETE", "participants") => success(),
        _ => return Some(Err(call.unknown())),
    };
    Some(Ok(answer))
}
