//! Changes of records, and the states of problems.

use kabar_domain::operations::{ProblemStatus, RecordKind};
use kabar_domain::{Ability, RecordId};
use kabar_store::Tx;
use kabar_store::records::parts as stored;
use kabar_store::records::{self, Record};
use serde_json::{Map, Value as Json, json};

use super::create::organisation;
use super::fields::Checked;
use super::history::{self, Step, event};
use super::{Author, RecordFields, Shown, due, is_reached, not_found, recurrence};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

/// A record that was merged into another is changed there.
pub(super) async fn to_change(
    tx: &mut Tx,
    principal: &Principal,
    kind: RecordKind,
    id: RecordId,
) -> Result<Record> {
    let organisation = principal.organisation_id;
    let found = records::find_to_change(tx, organisation, kind, id).await?;
    let record = found.filter(|record| is_reached(principal, record)).ok_or_else(|| not_found(kind))?;
    if let Some(into) = record.merged_into {
        let whole = records::find(tx, organisation, kind, into).await?;
        let number = whole.map(|whole| whole.record.number).unwrap_or_default();
        return Err(Error::Conflict(format!("{} was merged into {number}: change that one.", record.number)));
    }
    Ok(record)
}

/// What differs, as `{field: {from, to}}`. Long texts are only named.
fn differences(before: &Record, after: &Record) -> Map<String, Json> {
    let mut found = Map::new();
    for (field, from, to) in [
        ("title", json!(before.title), json!(after.title)),
        ("site_id", json!(before.site_id), json!(after.site_id)),
        ("facility_id", json!(before.facility_id), json!(after.facility_id)),
        ("category_id", json!(before.category_id), json!(after.category_id)),
        ("occurred_at", json!(before.occurred_at), json!(after.occurred_at)),
    ] {
        if from != to {
            found.insert(field.into(), json!({ "from": from, "to": to }));
        }
    }
    for (field, differs) in
        [("body", before.body != after.body), ("metadata", before.metadata != after.metadata)]
    {
        if differs {
            found.insert(field.into(), Json::Null);
        }
    }
    found
}

impl Engine {
    pub async fn update_record(
        &self,
        principal: &Principal,
        kind: RecordKind,
        id: RecordId,
        fields: RecordFields,
    ) -> Result<Shown> {
        principal.require_at_sites(Ability::Write)?;
        let mut tx = self.store.begin().await?;
        let mut record = to_change(&mut tx, principal, kind, id).await?;
        let mut invalid = Invalid::default();
        let mut checked = fields.checked(&mut invalid, kind);
        let before = record.clone();
        checked.place(&mut tx, &mut invalid, &mut record).await?;
        if !is_reached(principal, &record) {
            crate::rules::selected(&mut invalid, "site_id");
        }
        invalid.check()?;
        self.change_record(&mut tx, &before, &mut record, checked, Author::from(principal)).await?;
        let shown = self.shown_record(&mut tx, principal.organisation_id, kind, id).await?;
        tx.commit().await?;
        Ok(shown)
    }

    /// Writes what was `checked`, where it is something new, with its history and events.
    async fn change_record(
        &self,
        tx: &mut Tx,
        before: &Record,
        record: &mut Record,
        checked: Checked,
        author: Author,
    ) -> Result<()> {
        let now = self.clock.now();
        record.title = checked.title.unwrap_or_else(|| before.title.clone());
        checked.body.apply(&mut record.body);
        checked.metadata.apply(&mut record.metadata);
        record.occurred_at = checked.occurred_at.unwrap_or(record.occurred_at);
        let edited = differences(before, record);
        if !edited.is_empty() {
            self.note_step(tx, record, author, Step::new("edited", Json::Object(edited.clone()))).await?;
        }
        let mut fields: Vec<&str> = edited.keys().map(String::as_str).collect();
        if let Some(severity) = checked.severity.filter(|severity| Some(*severity) != before.severity) {
            record.severity = Some(severity);
            let data = json!({ "from": before.severity, "to": severity });
            self.note_step(tx, record, author, Step::new("severity", data)).await?;
            fields.push("severity");
        }
        if let Some(status) = checked.status.filter(|status| Some(*status) != before.status) {
            self.move_problem(tx, record, status, checked.note, author).await?;
        }
        checked.assignee.apply(&mut record.assignee_id);
        if record.assignee_id != before.assignee_id {
            let data = json!({ "from": before.assignee_id, "to": record.assignee_id });
            self.note_step(tx, record, author, Step::new("assigned", data)).await?;
            if let Some(user) = record.assignee_id {
                stored::watch(tx, record.organisation_id, record.id, user, now).await?;
            }
            fields.push("assignee_id");
        }
        let placed = (record.site_id, record.facility_id, record.category_id);
        let moved = placed != (before.site_id, before.facility_id, before.category_id);
        if record.kind == RecordKind::Problem && (moved || record.occurred_at != before.occurred_at) {
            recurrence::link(tx, record).await?;
        }
        self.count_anew(tx, before, record, author).await?;
        if record == before {
            return Ok(());
        }
        record.updated_at = now;
        records::update(tx, record).await?;
        if !fields.is_empty() {
            let data = json!({ "fields": fields, "assignee_id": record.assignee_id });
            tx.record(record.organisation_id, now, [event(history::updated(record.kind), record, data)]);
        }
        Ok(())
    }

    /// Sets when an open problem is due, where what decides it has changed. One that was reopened counts from then.
    async fn count_anew(
        &self,
        tx: &mut Tx,
        before: &Record,
        record: &mut Record,
        author: Author,
    ) -> Result<()> {
        let (Some(severity), Some(status)) = (record.severity, record.status) else { return Ok(()) };
        let reopened = record.reopened_count != before.reopened_count;
        let same = record.severity == before.severity
            && record.site_id == before.site_id
            && record.occurred_at == before.occurred_at;
        if !status.is_open() || (same && !reopened) {
            return Ok(());
        }
        let owner = organisation(tx, record.organisation_id).await?;
        let start = if reopened { self.clock.now() } else { record.occurred_at };
        let due_at = due::due_at(tx, &owner, record.site_id, severity, start).await?;
        if record.due_at != Some(due_at) {
            let data = json!({ "from": record.due_at, "to": due_at });
            record.due_at = Some(due_at);
            self.note_step(tx, record, author, Step::new("due", data)).await?;
        }
        Ok(())
    }

    /// Moves a problem to another state; the caller writes the record.
    pub(crate) async fn move_problem(
        &self,
        tx: &mut Tx,
        record: &mut Record,
        to: ProblemStatus,
        note: Option<String>,
        author: Author,
    ) -> Result<()> {
        let Some(from) = record.status else { return Ok(()) };
        if !from.may_become(to) {
            return Err(Error::Conflict(format!(
                "A problem that is {} cannot become {}.",
                from.as_str().replace('_', " "),
                to.as_str().replace('_', " ")
            )));
        }
        let now = self.clock.now();
        record.status = Some(to);
        record.updated_at = now;
        match to {
            ProblemStatus::Open => {}
            ProblemStatus::Acknowledged | ProblemStatus::InProgress => {
                record.acknowledged_at = record.acknowledged_at.or(Some(now));
            }
            ProblemStatus::Resolved => {
                record.acknowledged_at = record.acknowledged_at.or(Some(now));
                record.resolved_at = Some(now);
            }
            ProblemStatus::Closed => {
                record.acknowledged_at = record.acknowledged_at.or(Some(now));
                record.resolved_at = record.resolved_at.or(Some(now));
                record.closed_at = Some(now);
            }
            ProblemStatus::Reopened => {
                (record.resolved_at, record.closed_at) = (None, None);
                record.reopened_count += 1;
            }
        }
        let step = Step { text: note.clone(), ..Step::new("status", json!({ "from": from, "to": to })) };
        self.note_step(tx, record, author, step).await?;
        let data = json!({ "from": from, "to": to, "note": note, "assignee_id": record.assignee_id });
        tx.record(record.organisation_id, now, [event("problem.status_changed", record, data)]);
        self.tell_closing(tx, record, to, note.as_deref()).await
    }
}
