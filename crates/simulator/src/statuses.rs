//! What happens to a message after it was accepted, told in the shape of Meta's status webhook (v24 and later:
//! no `conversation`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::callbacks::{Job, Post, lane, wire_form};
use crate::config::Number;
use crate::faults::{Fault, FaultKind};
use crate::graph::GraphError;
use crate::ids::{now_seconds, user_id};
use crate::state::Inner;

/// What a status says about its message beyond the status itself.
pub(crate) struct Message {
    pub wamid: String,
    pub number: Number,
    pub recipient: Recipient,
    pub callback_data: Option<String>,
    /// The pricing category: `service`, or the template's.
    pub category: String,
    /// Reactions report nothing after `sent`.
    pub is_reaction: bool,
}

pub(crate) enum Recipient {
    Phone(String),
    User(String),
    Group(String),
}

impl Recipient {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Phone(id) | Self::User(id) | Self::Group(id) => id,
        }
    }
}

pub(crate) struct StatusJob {
    pub message: Arc<Message>,
    pub status: String,
    pub code: Option<i64>,
    pub lane: u64,
}

impl StatusJob {
    /// The entry of `statuses[]`.
    fn to_json(&self) -> Value {
        let message = &*self.message;
        let mut entry = Map::new();
        entry.insert("id".into(), json!(message.wamid));
        entry.insert("status".into(), json!(self.status));
        entry.insert("timestamp".into(), json!(now_seconds().to_string()));
        match &message.recipient {
            Recipient::Phone(phone) => {
                entry.insert("recipient_id".into(), json!(phone));
                if self.status != "failed" {
                    entry.insert("recipient_user_id".into(), json!(user_id(&message.number.waba_id, phone)));
                }
            }
            Recipient::User(user) => {
                entry.insert("recipient_user_id".into(), json!(user));
            }
            Recipient::Group(group) => {
                entry.insert("recipient_id".into(), json!(group));
                entry.insert("recipient_type".into(), json!("group"));
            }
        }
        if let Some(data) = &message.callback_data {
            entry.insert("biz_opaque_callback_data".into(), json!(data));
        }
        if matches!(self.status.as_str(), "sent" | "delivered") {
            let billable = message.category != "service";
            let category = if matches!(message.recipient, Recipient::Group(_)) {
                format!("group_{}", message.category)
            } else {
                message.category.clone()
            };
            let kind = if billable { "regular" } else { "free_customer_service" };
            let pricing =
                json!({"billable": billable, "pricing_model": "PMP", "category": category, "type": kind});
            entry.insert("pricing".into(), pricing);
        }
        if self.status == "failed" {
            let error = GraphError::of(self.code.unwrap_or(131_026), None);
            entry.insert("errors".into(), json!([error.webhook_form()]));
        }
        Value::Object(entry)
    }

    /// The entry of `contacts[]` that goes with it: none for failures and groups.
    fn contact(&self, name: Option<&String>) -> Option<Value> {
        let message = &*self.message;
        let mut contact = match &message.recipient {
            _ if self.status == "failed" => return None,
            Recipient::Group(_) => return None,
            Recipient::Phone(phone) => {
                json!({"wa_id": phone, "user_id": user_id(&message.number.waba_id, phone)})
            }
            Recipient::User(user) => json!({"user_id": user}),
        };
        if let Some(name) = name {
            contact["profile"] = json!({"name": name});
        }
        Some(contact)
    }
}

/// The statuses that follow acceptance: milliseconds after it, status, error code.
fn plan(
    message: &Message,
    auto: bool,
    delays: [u64; 3],
    fault: Option<&Fault>,
) -> Vec<(u64, &'static str, Option<i64>)> {
    let kind = fault.map(|fault| fault.kind);
    if kind == Some(FaultKind::FailStatus) {
        let code = fault.and_then(|fault| fault.code).unwrap_or(131_026);
        return vec![(delays[0], "failed", Some(code))];
    }
    if !auto {
        return Vec::new();
    }
    let names: &[&'static str] = if message.is_reaction {
        &["sent"]
    } else if kind == Some(FaultKind::ReorderStatuses) {
        &["read", "delivered", "sent"]
    } else {
        &["sent", "delivered", "read"]
    };
    let copies = if kind == Some(FaultKind::DuplicateStatus) { 2 } else { 1 };
    names
        .iter()
        .zip(delays)
        .flat_map(|(name, delay)| std::iter::repeat_n((delay, *name, None), copies))
        .collect()
}

impl Inner {
    /// Puts the statuses of a freshly accepted message on the calendar.
    pub(crate) fn schedule_statuses(self: &Arc<Self>, message: Message, fault: Option<&Fault>) {
        let (auto, delays) = {
            let config = self.config();
            (config.auto_statuses, config.status_delays_ms)
        };
        let lane = lane(message.recipient.as_str());
        let message = Arc::new(message);
        self.graph().remember(&message, self.config().keep);
        for (delay, status, code) in plan(&message, auto, delays, fault) {
            let job = StatusJob { message: Arc::clone(&message), status: status.to_owned(), code, lane };
            self.schedule(Duration::from_millis(delay), Job::Status(Box::new(job)));
        }
    }

    /// Writes the statuses down and packs them into as few webhook bodies as they fit: one for each URL, with an
    /// entry for each number.
    pub(crate) fn status_posts(&self, jobs: &[StatusJob]) -> Vec<Post> {
        if jobs.is_empty() {
            return Vec::new();
        }
        {
            let mut records = self.records();
            for job in jobs {
                if let Some(sent) = records.sent_by_id(&job.message.wamid) {
                    sent.status.clone_from(&job.status);
                }
            }
        }
        let mut by_number: BTreeMap<&str, (&Number, Vec<Value>, Vec<Value>)> = BTreeMap::new();
        {
            let graph = self.graph();
            for job in jobs {
                let number = &job.message.number;
                let slot = by_number
                    .entry(&number.phone_number_id)
                    .or_insert_with(|| (number, Vec::new(), Vec::new()));
                slot.1.push(job.to_json());
                let contact = job.contact(graph.names.get(job.message.recipient.as_str()));
                slot.2.extend(contact.filter(|contact| !slot.2.contains(contact)));
            }
        }
        let mut by_url: BTreeMap<url::Url, Vec<Value>> = BTreeMap::new();
        for (number, statuses, contacts) in by_number.into_values() {
            if let Some(url) = self.webhook_of(number) {
                let mut value = value_of(number);
                if !contacts.is_empty() {
                    value.insert("contacts".into(), Value::Array(contacts));
                }
                value.insert("statuses".into(), Value::Array(statuses));
                by_url.entry(url).or_default().push(entry(&number.waba_id, "messages", value));
            }
        }
        let secret = self.config().app_secret.clone();
        by_url
            .into_iter()
            .map(|(url, entries)| Post::whatsapp(url, &secret, wire_form(&envelope(entries)), jobs[0].lane))
            .collect()
    }
}

/// The `value` every `messages` change starts from.
pub(crate) fn value_of(number: &Number) -> Map<String, Value> {
    let mut value = Map::new();
    value.insert("messaging_product".into(), json!("whatsapp"));
    value.insert(
        "metadata".into(),
        json!({
            "display_phone_number": crate::state::digits(&number.display_phone_number),
            "phone_number_id": number.phone_number_id,
        }),
    );
    value
}

pub(crate) fn entry(waba_id: &str, field: &str, value: Map<String, Value>) -> Value {
    let mut change = Map::new();
    change.insert("field".into(), json!(field));
    change.insert("value".into(), Value::Object(value));
    let mut entry = Map::new();
    entry.insert("id".into(), json!(waba_id));
    entry.insert("changes".into(), Value::Array(vec![Value::Object(change)]));
    Value::Object(entry)
}

pub(crate) fn envelope(entries: Vec<Value>) -> Value {
    let mut envelope = Map::new();
    envelope.insert("object".into(), json!("whatsapp_business_account"));
    envelope.insert("entry".into(), Value::Array(entries));
    Value::Object(envelope)
}
