//! Work updates and problems: what the team did, and what it has to see to.

mod change;
mod create;
mod due;
mod export;
mod fields;
mod history;
mod merge;
pub(crate) mod number;
mod parts;
mod query;
mod recurrence;

use std::collections::{BTreeSet, HashMap};

use kabar_domain::operations::{ProblemStatus, RecordKind};
use kabar_domain::{Ability, ContactId, EntryId, MessageId, OrganisationId, RecordId, UserId};
use kabar_store::records::{list, parts as stored};
use kabar_store::{Db, Window, records};

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::page::{Page, PageRequest, Place};

pub use create::NewRecord;
pub(crate) use create::organisation;
pub(crate) use due::zone as zone_of;
pub use fields::RecordFields;
pub(crate) use history::{Step, event};
pub use kabar_store::records::parts::{Entry, Evidence, Watcher};
pub use kabar_store::records::{Named, Record, Source};
pub use parts::NewEvidence;
pub use query::{Listing, RecordQuery};

/// Entries of its history that a record shows by itself, and in a list.
const SHOWN: i64 = 500;
const LISTED: i64 = 20;

/// A record with all that hangs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub row: Named,
    pub evidence: Vec<Evidence>,
    /// Of what was merged into it, too.
    pub message_ids: Vec<MessageId>,
    /// The latest, oldest first.
    pub timeline: Vec<Entry>,
    pub watchers: Vec<Watcher>,
    /// Open and past its time.
    pub overdue: bool,
}

/// Who did something: a person of the team, or somebody in a chat; neither when it was the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Author {
    pub user_id: Option<UserId>,
    pub contact_id: Option<ContactId>,
    pub message_id: Option<MessageId>,
}

impl From<&Principal> for Author {
    fn from(principal: &Principal) -> Self {
        Self { user_id: Some(principal.user_id), ..Self::default() }
    }
}

pub(crate) const fn not_found(kind: RecordKind) -> Error {
    match kind {
        RecordKind::WorkUpdate => Error::NotFound("WorkUpdate"),
        RecordKind::Problem => Error::NotFound("Problem"),
    }
}

/// Whether a record is at a site that the caller reaches.
fn is_reached(principal: &Principal, record: &records::Record) -> bool {
    principal.reach.is_everything() || record.site_id.is_some_and(|site| principal.reaches_site(site))
}

async fn reached(db: &mut impl Db, principal: &Principal, kind: RecordKind, id: RecordId) -> Result<()> {
    let found = records::find(db, principal.organisation_id, kind, id).await?;
    let found = found.filter(|row| is_reached(principal, &row.record));
    found.map(drop).ok_or_else(|| not_found(kind))
}

impl Engine {
    /// Newest first unless the query says otherwise.
    pub async fn list_records(
        &self,
        principal: &Principal,
        kind: RecordKind,
        query: RecordQuery,
        page: &PageRequest,
    ) -> Result<Page<Shown>> {
        let listing = self.record_listing(principal, kind, query).await?;
        let window = Window {
            after: page.after()?.map(|place| (place.at, RecordId::from_uuid(place.id))),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let total = list::count(&mut db, organisation, kind, &listing.filter).await?;
        let rows = list::list(&mut db, organisation, kind, &listing.filter, listing.order, window).await?;
        let by = listing.order.by;
        let Page { items, page, per_page, total, next_cursor } =
            page.page_of(rows, total, |row| Place { at: by.of(row), id: row.record.id.uuid() });
        let items = self.show_records(&mut db, organisation, items, LISTED).await?;
        Ok(Page { items, page, per_page, total, next_cursor })
    }

    pub async fn get_record(&self, principal: &Principal, kind: RecordKind, id: RecordId) -> Result<Shown> {
        principal.require_at_sites(Ability::Read)?;
        let mut db = self.store.reader().await?;
        reached(&mut db, principal, kind, id).await?;
        self.shown_record(&mut db, principal.organisation_id, kind, id).await
    }

    /// What happened to a record, oldest first.
    pub async fn list_record_entries(
        &self,
        principal: &Principal,
        kind: RecordKind,
        id: RecordId,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        principal.require_at_sites(Ability::Read)?;
        let window = Window {
            after: page.after()?.map(|place| EntryId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        reached(&mut db, principal, kind, id).await?;
        let total = stored::count_entries(&mut db, organisation, id).await?;
        let rows = stored::entries(&mut db, organisation, id, window).await?;
        Ok(page.page_of(rows, total, |entry| entry.id.uuid().into()))
    }

    /// A record as it is shown, in the state that `db` sees.
    pub(crate) async fn shown_record(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        kind: RecordKind,
        id: RecordId,
    ) -> Result<Shown> {
        let row = records::find(db, organisation, kind, id).await?.ok_or_else(|| not_found(kind))?;
        let mut shown = self.show_records(db, organisation, vec![row], SHOWN).await?;
        shown.pop().ok_or_else(|| not_found(kind))
    }

    async fn show_records(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        rows: Vec<Named>,
        entries: i64,
    ) -> Result<Vec<Shown>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let ids: Vec<_> = rows.iter().map(|row| row.record.id).collect();
        let mut shown: Vec<_> = rows
            .into_iter()
            .map(|row| Shown {
                overdue: row.record.status.is_some_and(ProblemStatus::is_open)
                    && row.record.due_at.is_some_and(|due| due < now),
                row,
                evidence: Vec::new(),
                message_ids: Vec::new(),
                timeline: Vec::new(),
                watchers: Vec::new(),
            })
            .collect();
        let place: HashMap<_, _> = ids.iter().enumerate().map(|(index, id)| (*id, index)).collect();
        let parts: HashMap<_, _> = records::parts_of(db, organisation, &ids).await?.into_iter().collect();
        let all: BTreeSet<_> = ids.iter().chain(parts.keys()).copied().collect();
        let all: Vec<_> = all.into_iter().collect();
        // What belongs to a record is shown with it and with the whole it is a part of.
        let places = |record: RecordId| {
            [Some(record), parts.get(&record).copied()]
                .into_iter()
                .flatten()
                .filter_map(|id| place.get(&id).copied())
        };
        let mut evidence = stored::evidence(db, organisation, &all).await?;
        self.show_media(db, organisation, evidence.iter_mut().map(|evidence| &mut evidence.file)).await?;
        for evidence in evidence {
            for index in places(evidence.record_id) {
                shown[index].evidence.push(evidence.clone());
            }
        }
        for (record, message) in records::message_ids(db, organisation, &all).await? {
            for index in places(record) {
                shown[index].message_ids.push(message);
            }
        }
        for entry in stored::latest_entries(db, organisation, &ids, entries).await? {
            if let Some(index) = place.get(&entry.record_id) {
                shown[*index].timeline.push(entry);
            }
        }
        for watcher in stored::watchers(db, organisation, &ids).await? {
            if let Some(index) = place.get(&watcher.record_id) {
                shown[*index].watchers.push(watcher);
            }
        }
        Ok(shown)
    }
}
