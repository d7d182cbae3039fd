//! Several reports of one fault are one problem.

use kabar_domain::operations::RecordKind;
use kabar_domain::{Ability, RecordId};
use kabar_store::records::parts as stored;
use kabar_store::records::{self, Record};
use serde_json::json;

use super::change::to_change;
use super::history::{Step, event};
use super::{Author, Shown, not_found};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

const KIND: RecordKind = RecordKind::Problem;

fn number(record: &Record) -> serde_json::Value {
    json!({ "id": record.id, "number": record.number })
}

impl Engine {
    /// Makes a problem part of another. It is listed no more; its messages, files and reporters count as the other's,
    /// and what had been merged into it is merged into the other. Done already, it changes nothing.
    pub async fn merge_problem(
        &self,
        principal: &Principal,
        id: RecordId,
        into: Option<String>,
    ) -> Result<Shown> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let given = rules::required(&mut invalid, "into", into, 64);
        let target: Option<RecordId> = given.parse().ok();
        if target.is_none() && !given.is_empty() {
            rules::selected(&mut invalid, "into");
        }
        let mut tx = self.store.begin().await?;
        let organisation = principal.organisation_id;
        // In the order of their ids, so that two merges of the same two wait for each other.
        for id in [Some(id).min(target), Some(id).max(target)].into_iter().flatten() {
            records::find_to_change(&mut tx, organisation, KIND, id).await?;
        }
        let found = records::find_to_change(&mut tx, organisation, KIND, id).await?;
        let mut part = found.ok_or_else(|| not_found(KIND))?;
        invalid.check()?;
        if part.merged_into.is_some() && part.merged_into == target {
            return self.shown_record(&mut tx, organisation, KIND, id).await;
        }
        to_change(&mut tx, principal, KIND, id).await?;
        let found = match target.filter(|target| *target != id) {
            Some(target) => records::find_to_change(&mut tx, organisation, KIND, target).await?,
            None => None,
        };
        let Some(mut whole) = found else {
            let mut invalid = Invalid::default();
            rules::selected(&mut invalid, "into");
            return Err(Error::Invalid(invalid));
        };
        if whole.merged_into.is_some() {
            return Err(Error::Conflict(format!("{} was merged into another itself.", whole.number)));
        }
        let now = self.clock.now();
        part.merged_into = Some(whole.id);
        (part.updated_at, whole.updated_at) = (now, now);
        self.tell_merged(&mut tx, &part, &whole).await?;
        records::move_merged(&mut tx, organisation, part.id, whole.id).await?;
        records::update(&mut tx, &part).await?;
        records::update(&mut tx, &whole).await?;
        for watcher in stored::watchers(&mut tx, organisation, &[part.id]).await? {
            stored::watch(&mut tx, organisation, whole.id, watcher.user_id, now).await?;
        }
        let author = Author::from(principal);
        self.note_step(&mut tx, &part, author, Step::new("merged", number(&whole))).await?;
        self.note_step(&mut tx, &whole, author, Step::new("merged_in", number(&part))).await?;
        tx.record(
            organisation,
            now,
            [
                event("problem.merged", &part, json!({ "into": number(&whole) })),
                event("problem.updated", &whole, json!({ "fields": ["merged"] })),
            ],
        );
        self.finish(tx, &part).await
    }

    /// Makes a problem one of its own again, as it was.
    pub async fn unmerge_problem(&self, principal: &Principal, id: RecordId) -> Result<Shown> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        let found = records::find_to_change(&mut tx, organisation, KIND, id).await?;
        let mut part = found.ok_or_else(|| not_found(KIND))?;
        let Some(into) = part.merged_into.take() else {
            return Err(Error::Conflict(format!("{} is not merged into another.", part.number)));
        };
        let now = self.clock.now();
        part.updated_at = now;
        records::update(&mut tx, &part).await?;
        let whole = records::find(&mut tx, organisation, KIND, into).await?;
        let whole = whole.ok_or_else(|| not_found(KIND))?.record;
        self.tell_unmerged(&mut tx, &part, &whole).await?;
        let author = Author::from(principal);
        self.note_step(&mut tx, &part, author, Step::new("unmerged", number(&whole))).await?;
        self.note_step(&mut tx, &whole, author, Step::new("unmerged_from", number(&part))).await?;
        tx.record(
            organisation,
            now,
            [
                event("problem.unmerged", &part, json!({ "from": number(&whole) })),
                event("problem.updated", &whole, json!({ "fields": ["merged"] })),
            ],
        );
        self.finish(tx, &part).await
    }
}
