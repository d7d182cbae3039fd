//! The history of a record, and the events that go with it.

use kabar_domain::EntryId;
use kabar_domain::operations::RecordKind;
use kabar_store::Tx;
use kabar_store::events::NewEvent;
use kabar_store::records::Record;
use kabar_store::records::parts::{self, Entry};
use serde_json::{Value as Json, json};

use super::Author;
use crate::engine::Engine;
use crate::error::Result;

/// Something to write into a history.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub kind: &'static str,
    pub text: Option<String>,
    pub data: Option<Json>,
}

impl Step {
    pub fn new(kind: &'static str, data: Json) -> Self {
        Self { kind, text: None, data: Some(data) }
    }
}

/// An event about a record: its essentials, and what `data` adds.
pub(crate) fn event(kind: &'static str, record: &Record, data: Json) -> NewEvent {
    let mut all = json!({ "type": record.kind, "number": record.number, "title": record.title });
    if let Some(fields) = all.as_object_mut() {
        if record.kind == RecordKind::Problem {
            fields.insert("severity".into(), json!(record.severity));
            fields.insert("status".into(), json!(record.status));
        }
        for (name, value) in [("site_id", json!(record.site_id)), ("facility_id", json!(record.facility_id))]
        {
            fields.insert(name.into(), value);
        }
        if let Json::Object(data) = data {
            fields.extend(data);
        }
    }
    NewEvent { kind, subject_id: Some(record.id.uuid()), data: Some(all.to_string()) }
}

pub(crate) const fn created(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::WorkUpdate => "work_update.created",
        RecordKind::Problem => "problem.created",
    }
}

pub(crate) const fn updated(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::WorkUpdate => "work_update.updated",
        RecordKind::Problem => "problem.updated",
    }
}

pub(crate) const fn commented(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::WorkUpdate => "work_update.commented",
        RecordKind::Problem => "problem.commented",
    }
}

impl Engine {
    /// Adds to the history of a record.
    pub(crate) async fn note_step(
        &self,
        tx: &mut Tx,
        record: &Record,
        author: Author,
        step: Step,
    ) -> Result<()> {
        let entry = Entry {
            id: EntryId::new(&self.clock),
            record_id: record.id,
            kind: step.kind.into(),
            user_id: author.user_id,
            contact_id: author.contact_id,
            message_id: author.message_id,
            text: step.text,
            data: step.data,
            created_at: self.clock.now(),
            user_name: None,
            contact_name: None,
        };
        Ok(parts::add_entry(tx, record.organisation_id, &entry).await?)
    }
}
