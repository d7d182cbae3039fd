//! New records.

use jiff::civil::DateTime;
use kabar_domain::hours::local;
use kabar_domain::message::Media;
use kabar_domain::operations::{EvidenceStage, ProblemStatus, RecordKind, Severity};
use kabar_domain::{
    Ability, CategoryId, ContactId, EntryId, FacilityId, OrganisationId, RecordId, SiteId, Timestamp, UserId,
};
use kabar_store::organisations::{self, Organisation};
use kabar_store::records::parts::{self as stored, Evidence};
use kabar_store::records::{self, Record, Source, places};
use kabar_store::{Db, Tx};
use serde_json::{Value as Json, json};

use super::fields::Checked;
use super::history::{self, Step, event};
use super::{Author, RecordFields, Shown, due, recurrence};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

/// A record to make. What it names must be the organisation's own.
#[derive(Clone, Debug)]
pub struct NewRecord {
    pub organisation_id: OrganisationId,
    pub kind: RecordKind,
    pub title: String,
    pub body: Option<String>,
    pub site_id: Option<SiteId>,
    pub facility_id: Option<FacilityId>,
    pub category_id: Option<CategoryId>,
    /// Of a problem; medium when nobody knows.
    pub severity: Option<Severity>,
    pub assignee_id: Option<UserId>,
    pub occurred_at: Timestamp,
    pub metadata: Option<Json>,
    /// Who makes it. A reporter there is none is its author.
    pub author: Author,
    pub reporter: Option<ContactId>,
    /// The inbox item it is made of.
    pub source: Option<Source>,
    /// The item's files.
    pub media: Vec<Media>,
}

pub(crate) async fn organisation(db: &mut (impl Db + Send), id: OrganisationId) -> Result<Organisation> {
    organisations::by_id(db, id).await?.ok_or(Error::NotFound("Organisation"))
}

fn blank(new: &NewRecord, id: RecordId, now: Timestamp) -> Record {
    let is_problem = new.kind == RecordKind::Problem;
    Record {
        organisation_id: new.organisation_id,
        id,
        kind: new.kind,
        number: String::new(),
        title: new.title.clone(),
        body: new.body.clone(),
        site_id: new.site_id,
        facility_id: new.facility_id,
        category_id: new.category_id,
        severity: is_problem.then_some(new.severity.unwrap_or(Severity::Medium)),
        status: is_problem.then_some(ProblemStatus::Open),
        assignee_id: new.assignee_id.filter(|_| is_problem),
        reporter_contact_id: new.reporter,
        reporter_user_id: new.author.user_id.filter(|_| new.reporter.is_none()),
        channel_id: new.source.and_then(|source| source.channel_id),
        conversation_id: new.source.and_then(|source| source.conversation_id),
        inbox_item_id: new.source.map(|source| source.item_id),
        occurred_at: new.occurred_at,
        due_at: None,
        acknowledged_at: None,
        resolved_at: None,
        closed_at: None,
        reopened_count: 0,
        merged_into: None,
        recurrence_of: None,
        recurrences: 0,
        metadata: new.metadata.clone(),
        created_at: now,
        updated_at: now,
    }
}

impl Engine {
    /// Makes a record, with its number, its history's beginning, its files and its event. Fails with a conflict when
    /// the inbox item belongs to a record already.
    pub(crate) async fn create_record(&self, tx: &mut Tx, new: NewRecord) -> Result<Record> {
        let now = self.clock.now();
        let mut record = blank(&new, RecordId::new(&self.clock), now);
        let owner = organisation(tx, new.organisation_id).await?;
        let mut again = None;
        if let Some(severity) = record.severity {
            record.due_at =
                Some(due::due_at(tx, &owner, record.site_id, severity, record.occurred_at).await?);
            again = recurrence::link(tx, &mut record).await?;
        }
        // Last of what may take time: from here others wait for their number.
        record.number = self.number(tx, &owner, new.kind, now).await?;
        records::insert(tx, &record).await?;
        if let Some(source) = new.source
            && !records::add_item(tx, record.organisation_id, record.id, source, now).await?
        {
            return Err(Error::Conflict("The item was converted already.".into()));
        }
        let data = json!({
            "inbox_item_id": record.inbox_item_id,
            "severity": record.severity,
            "due_at": record.due_at,
        });
        self.note_step(tx, &record, new.author, Step::new("created", data)).await?;
        if let (Some(number), Some(id)) = (again, record.recurrence_of) {
            let data = json!({ "id": id, "number": number, "times": record.recurrences });
            self.note_step(tx, &record, Author::default(), Step::new("recurrence", data)).await?;
        }
        self.keep_evidence(tx, &record, &new).await?;
        for user in [new.author.user_id, record.assignee_id].into_iter().flatten() {
            stored::watch(tx, record.organisation_id, record.id, user, now).await?;
        }
        let data = json!({
            "inbox_item_id": record.inbox_item_id,
            "conversation_id": record.conversation_id,
            "recurrence_of": record.recurrence_of,
        });
        tx.record(record.organisation_id, now, [event(history::created(record.kind), &record, data)]);
        Ok(record)
    }

    /// `P-2026-000123`, in the year that the organisation's calendar shows.
    async fn number(
        &self,
        tx: &mut Tx,
        owner: &Organisation,
        kind: RecordKind,
        now: Timestamp,
    ) -> Result<String> {
        let year = local(now, &due::zone(owner)).map_or(0, DateTime::year);
        let letter = match kind {
            RecordKind::WorkUpdate => 'W',
            RecordKind::Problem => 'P',
        };
        let number = records::next_number(tx, owner.id, kind, i64::from(year)).await?;
        Ok(format!("{letter}-{year}-{number:06}"))
    }

    async fn keep_evidence(&self, tx: &mut Tx, record: &Record, new: &NewRecord) -> Result<()> {
        for file in &new.media {
            let evidence = Evidence {
                id: EntryId::new(&self.clock),
                record_id: record.id,
                stage: EvidenceStage::Report,
                file: file.clone(),
                message_id: new.source.and_then(|source| source.message_id),
                user_id: None,
                created_at: record.created_at,
            };
            stored::add_evidence(tx, record.organisation_id, &evidence).await?;
        }
        Ok(())
    }

    /// Puts what `fields` say into `new`, checked against what the organisation has. What was there before counts only
    /// as far as it is still there: it was a guess.
    pub(crate) async fn fill(
        &self,
        tx: &mut Tx,
        new: &mut NewRecord,
        fields: RecordFields,
    ) -> Result<(Option<ProblemStatus>, Option<String>)> {
        let mut invalid = Invalid::default();
        let mut checked = fields.checked(&mut invalid, new.kind);
        if let Some(title) = checked.title.take() {
            new.title = title;
        }
        if !invalid.errors.contains_key("title") {
            invalid.require("title", !new.title.is_empty());
        }
        std::mem::take(&mut checked.body).apply(&mut new.body);
        std::mem::take(&mut checked.metadata).apply(&mut new.metadata);
        new.severity = checked.severity.or(new.severity);
        new.occurred_at = checked.occurred_at.unwrap_or(new.occurred_at);
        self.forget_gone(tx, new, &checked).await?;
        let mut placed = blank(new, RecordId::new(&self.clock), self.clock.now());
        checked.place(tx, &mut invalid, &mut placed).await?;
        (new.site_id, new.facility_id, new.category_id) =
            (placed.site_id, placed.facility_id, placed.category_id);
        new.assignee_id = checked.assignee.value().copied();
        if checked.status == Some(ProblemStatus::Reopened) {
            crate::rules::selected(&mut invalid, "status");
        }
        invalid.check()?;
        Ok((checked.status.filter(|status| *status != ProblemStatus::Open), checked.note))
    }

    /// Leaves out suggestions that do not fit: of what was archived meanwhile, and a thing of another site.
    async fn forget_gone(&self, tx: &mut Tx, new: &mut NewRecord, checked: &Checked) -> Result<()> {
        let organisation = new.organisation_id;
        if let Some(site) = new.site_id {
            let found = places::site(tx, organisation, site).await?;
            new.site_id = found.filter(|found| !found.archived).map(|_| site);
        }
        if let Some(category) = new.category_id
            && !places::has_category(tx, organisation, category).await?
        {
            new.category_id = None;
        }
        if let Some(id) = new.facility_id {
            let found = places::facility(tx, organisation, id).await?.filter(|found| !found.archived);
            let wanted = checked.site.value().copied();
            match found.filter(|found| wanted.is_none_or(|site| site == found.site_id)) {
                None => new.facility_id = None,
                Some(found) => {
                    new.site_id = Some(found.site_id);
                    new.category_id = new.category_id.or(found.category_id);
                }
            }
        }
        Ok(())
    }

    /// A record that a person of the team writes down.
    pub async fn create_record_by_hand(
        &self,
        principal: &Principal,
        kind: RecordKind,
        fields: RecordFields,
    ) -> Result<Shown> {
        principal.require_at_sites(Ability::Write)?;
        let author = Author::from(principal);
        let mut new = NewRecord {
            organisation_id: principal.organisation_id,
            kind,
            title: String::new(),
            body: None,
            site_id: None,
            facility_id: None,
            category_id: None,
            severity: None,
            assignee_id: None,
            occurred_at: self.clock.now(),
            metadata: None,
            author,
            reporter: None,
            source: None,
            media: Vec::new(),
        };
        let mut tx = self.store.begin().await?;
        let (status, note) = self.fill(&mut tx, &mut new, fields).await?;
        if !principal.reach.is_everything() && !new.site_id.is_some_and(|site| principal.reaches_site(site)) {
            return Err(Invalid::one("site_id", "The selected site id is invalid."));
        }
        let mut record = self.create_record(&mut tx, new).await?;
        if let Some(status) = status {
            self.move_problem(&mut tx, &mut record, status, note, author).await?;
            records::update(&mut tx, &record).await?;
        }
        self.finish(tx, &record).await
    }
}
