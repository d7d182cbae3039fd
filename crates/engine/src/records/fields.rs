//! What people say about a record, checked.

use std::str::FromStr;

use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{CategoryId, FacilityId, OrganisationId, SiteId, Timestamp, UserId};
use kabar_store::Db;
use kabar_store::records::{Record, places};
use serde_json::Value as Json;

use crate::error::{Invalid, Result};
use crate::patch::Patch;
use crate::rules;

const TITLE: usize = 255;
const TEXT: usize = 65_536;
const BAG: usize = 16 * 1024;

/// Fields of a new record, or of a change; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct RecordFields {
    pub title: Patch<String>,
    pub body: Patch<String>,
    pub site_id: Patch<String>,
    pub facility_id: Patch<String>,
    pub category_id: Patch<String>,
    /// RFC 3339.
    pub occurred_at: Patch<String>,
    pub metadata: Patch<Json>,
    /// This and what follows: of problems alone.
    pub severity: Patch<String>,
    pub status: Patch<String>,
    pub assignee_id: Patch<String>,
    /// What to say of a change of status in the history.
    pub note: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Checked {
    pub title: Option<String>,
    pub body: Patch<String>,
    pub site: Patch<SiteId>,
    pub facility: Patch<FacilityId>,
    pub category: Patch<CategoryId>,
    pub occurred_at: Option<Timestamp>,
    pub metadata: Patch<Json>,
    pub severity: Option<Severity>,
    pub status: Option<ProblemStatus>,
    pub assignee: Patch<UserId>,
    pub note: Option<String>,
}

pub(crate) fn id<T: FromStr>(invalid: &mut Invalid, field: &str, given: Patch<String>) -> Patch<T> {
    match given {
        Patch::Keep => Patch::Keep,
        Patch::Set(None) => Patch::Set(None),
        Patch::Set(Some(text)) => {
            let id = text.trim().parse().ok();
            if id.is_none() {
                rules::selected(invalid, field);
            }
            Patch::Set(id)
        }
    }
}

/// One of a field's words; null is none of them.
fn word<T>(
    invalid: &mut Invalid,
    field: &str,
    given: &Patch<String>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let Patch::Set(text) = given else { return None };
    let value = text.as_deref().and_then(read);
    if value.is_none() {
        rules::selected(invalid, field);
    }
    value
}

impl RecordFields {
    pub(super) fn checked(self, invalid: &mut Invalid, kind: RecordKind) -> Checked {
        let mut checked = Checked {
            title: match self.title {
                Patch::Keep => None,
                Patch::Set(text) => Some(rules::required(invalid, "title", text, TITLE)),
            },
            body: match self.body {
                Patch::Keep => Patch::Keep,
                Patch::Set(text) => Patch::Set(rules::optional(invalid, "body", text, TEXT)),
            },
            site: id(invalid, "site_id", self.site_id),
            facility: id(invalid, "facility_id", self.facility_id),
            category: id(invalid, "category_id", self.category_id),
            metadata: match self.metadata {
                Patch::Keep => Patch::Keep,
                Patch::Set(bag) => Patch::Set(bag.map(|bag| rules::object(invalid, "metadata", bag, BAG))),
            },
            ..Checked::default()
        };
        if let Patch::Set(Some(text)) = self.occurred_at {
            checked.occurred_at = Timestamp::parse(text.trim());
            if checked.occurred_at.is_none() {
                invalid.add("occurred_at", "The occurred at field must be an RFC 3339 time with an offset.");
            }
        }
        if kind == RecordKind::Problem {
            checked.severity = word(invalid, "severity", &self.severity, Severity::from_name);
            checked.status = word(invalid, "status", &self.status, ProblemStatus::from_name);
            checked.assignee = id(invalid, "assignee_id", self.assignee_id);
            checked.note = rules::optional(invalid, "note", self.note, TEXT);
        }
        checked
    }
}

impl Checked {
    /// Puts what was given into `record`, as far as the organisation has it. A thing brings its site, and its
    /// category where there is none; a site that is not a thing's takes the thing away.
    pub(super) async fn place(
        &mut self,
        db: &mut impl Db,
        invalid: &mut Invalid,
        record: &mut Record,
    ) -> Result<()> {
        let organisation = record.organisation_id;
        if let Some(user) = self.assignee.value()
            && !places::has_member(db, organisation, *user).await?
        {
            rules::selected(invalid, "assignee_id");
        }
        let (site, facility) = (std::mem::take(&mut self.site), std::mem::take(&mut self.facility));
        let category = std::mem::take(&mut self.category);
        if let Some(id) = site.value().filter(|id| Some(**id) != record.site_id) {
            let found = places::site(db, organisation, *id).await?;
            if found.is_none_or(|site| site.archived) {
                rules::selected(invalid, "site_id");
            }
        }
        if let Some(id) = category.value().filter(|id| Some(**id) != record.category_id)
            && !places::has_category(db, organisation, *id).await?
        {
            rules::selected(invalid, "category_id");
        }
        let has_site = !site.is_keep();
        site.apply(&mut record.site_id);
        category.apply(&mut record.category_id);
        if facility.is_keep() {
            if has_site && record.facility_id.is_some() {
                let thing = thing(db, organisation, record.facility_id).await?;
                record.facility_id = record
                    .facility_id
                    .filter(|_| thing.is_some_and(|thing| Some(thing.site_id) == record.site_id));
            }
            return Ok(());
        }
        let before = record.facility_id;
        facility.apply(&mut record.facility_id);
        if let Some(id) = record.facility_id {
            match thing(db, organisation, Some(id))
                .await?
                .filter(|thing| !thing.archived || before == Some(id))
            {
                None => rules::selected(invalid, "facility_id"),
                Some(thing) if has_site && record.site_id.is_some_and(|site| site != thing.site_id) => {
                    invalid.add("facility_id", "The facility is not at that site.");
                }
                Some(thing) => {
                    record.site_id = Some(thing.site_id);
                    record.category_id = record.category_id.or(thing.category_id);
                }
            }
        }
        Ok(())
    }
}

async fn thing(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: Option<FacilityId>,
) -> Result<Option<places::FacilityFacts>> {
    match id {
        Some(id) => Ok(places::facility(db, organisation, id).await?),
        None => Ok(None),
    }
}
