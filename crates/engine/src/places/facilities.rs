//! Facilities: the things at sites, and the places in them.

use kabar_domain::{Ability, CategoryId, FacilityId, OrganisationId, SiteId};
use kabar_store::{Db, Tx, Window, categories, facilities, sites, vocabularies};
use serde_json::Value as Json;

use super::{BAG, CODE, Facility, NAME, PlaceQuery, aliases, changed, event, taken};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::patch::Patch;
use crate::rules;

/// How deep facilities may be in each other.
const DEPTH: usize = 20;

/// A facility to make, or what changes in one; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct FacilityFields {
    pub site_id: Patch<String>,
    pub parent_id: Patch<String>,
    pub category_id: Patch<String>,
    pub name: Patch<String>,
    pub code: Patch<String>,
    pub aliases: Patch<Vec<String>>,
    pub metadata: Patch<Json>,
    pub archived: Option<bool>,
}

/// Which facilities to list.
#[derive(Clone, Debug, Default)]
pub struct FacilityQuery {
    pub site_id: Option<String>,
    pub category_id: Option<String>,
    pub parent_id: Option<String>,
    pub place: PlaceQuery,
}

pub(crate) const fn not_found() -> Error {
    Error::NotFound("Facility")
}

fn id<I: std::str::FromStr>(invalid: &mut Invalid, field: &str, given: Option<String>) -> Option<I> {
    let text = given?;
    let id = text.trim().parse().ok();
    if id.is_none() {
        rules::selected(invalid, field);
    }
    id
}

impl FacilityFields {
    /// Puts the names and metadata that were given into a facility.
    pub(super) fn apply(self, invalid: &mut Invalid, facility: &mut Facility) {
        if let Patch::Set(name) = self.name {
            facility.name = rules::required(invalid, "name", name, NAME);
        }
        if let Patch::Set(code) = self.code {
            facility.code = rules::optional(invalid, "code", code, CODE);
        }
        if let Patch::Set(given) = self.aliases {
            facility.aliases = aliases(invalid, given.unwrap_or_default());
        }
        if let Patch::Set(metadata) = self.metadata {
            facility.metadata = metadata.map(|metadata| rules::object(invalid, "metadata", metadata, BAG));
        }
    }
}

/// Whether a facility may be part of `parent`: one in use at the same site that is not part of the facility itself.
async fn may_be_part(
    db: &mut impl Db,
    organisation: OrganisationId,
    facility: &Facility,
    parent: FacilityId,
) -> Result<bool> {
    let mut above = Some(parent);
    for depth in 0..DEPTH {
        let Some(id) = above else { return Ok(true) };
        let Some(found) = facilities::find(db, organisation, id).await? else { return Ok(false) };
        let usable = depth > 0 || (found.site_id == facility.site_id && found.archived_at.is_none());
        if id == facility.id || !usable {
            return Ok(false);
        }
        above = found.parent_id;
    }
    Ok(false)
}

/// Where a facility is, what it is part of and what it is about, as a client names them.
#[derive(Debug, Default)]
struct Refs {
    site: Patch<String>,
    parent: Patch<String>,
    category: Patch<String>,
}

impl Refs {
    fn take(fields: &mut FacilityFields) -> Self {
        Self {
            site: std::mem::take(&mut fields.site_id),
            parent: std::mem::take(&mut fields.parent_id),
            category: std::mem::take(&mut fields.category_id),
        }
    }

    /// Puts them into a facility. What does not exist, is archived or another organisation's gets one answer.
    async fn apply(
        self,
        tx: &mut Tx,
        organisation: OrganisationId,
        invalid: &mut Invalid,
        facility: &mut Facility,
    ) -> Result<()> {
        if let Patch::Set(site) = self.site {
            invalid.require("site_id", site.is_some());
            if let Some(site) = id::<SiteId>(invalid, "site_id", site).filter(|id| *id != facility.site_id) {
                let found = sites::find(tx, organisation, site).await?;
                if found.is_none_or(|site| site.archived_at.is_some()) {
                    rules::selected(invalid, "site_id");
                }
                let parts = facilities::Filter { parent: Some(facility.id), ..facilities::Filter::default() };
                if facilities::count(tx, organisation, &parts).await? > 0 {
                    invalid.add("site_id", "Facilities with others in them cannot be moved to another site.");
                }
                facility.site_id = site;
                if self.parent.is_keep() {
                    facility.parent_id = None;
                }
            }
        }
        if let Patch::Set(parent) = self.parent {
            let parent = id(invalid, "parent_id", parent);
            if let Some(parent) = parent.filter(|parent| facility.parent_id != Some(*parent))
                && !may_be_part(tx, organisation, facility, parent).await?
            {
                rules::selected(invalid, "parent_id");
            }
            facility.parent_id = parent;
        }
        if let Patch::Set(category) = self.category {
            let category = id::<CategoryId>(invalid, "category_id", category);
            if let Some(category) = category.filter(|category| facility.category_id != Some(*category)) {
                let found = categories::find(tx, organisation, category).await?;
                if found.is_none_or(|category| category.archived_at.is_some()) {
                    rules::selected(invalid, "category_id");
                }
            }
            facility.category_id = category;
        }
        Ok(())
    }
}

impl Engine {
    /// In the order they were made.
    pub async fn list_facilities(
        &self,
        principal: &Principal,
        query: FacilityQuery,
        page: &PageRequest,
    ) -> Result<Page<Facility>> {
        principal.require_at_sites(Ability::Read)?;
        let mut invalid = Invalid::default();
        let (archived, search) = query.place.checked(&mut invalid);
        let filter = facilities::Filter {
            within: principal.reach.sites.clone(),
            archived,
            search,
            site: id(&mut invalid, "site_id", query.site_id),
            category: id(&mut invalid, "category_id", query.category_id),
            parent: id(&mut invalid, "parent_id", query.parent_id),
        };
        invalid.check()?;
        let window = page.window(FacilityId::from_uuid)?;
        let mut db = self.store.reader().await?;
        let total = facilities::count(&mut db, principal.organisation_id, &filter).await?;
        let rows = facilities::list(&mut db, principal.organisation_id, &filter, window).await?;
        Ok(page.page_of(rows, total, |facility| facility.id.uuid().into()))
    }

    pub async fn get_facility(&self, principal: &Principal, id: FacilityId) -> Result<Facility> {
        principal.require_at_sites(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let found = facilities::find(&mut db, principal.organisation_id, id).await?;
        found.filter(|facility| principal.reaches_site(facility.site_id)).ok_or_else(not_found)
    }

    pub async fn create_facility(
        &self,
        principal: &Principal,
        mut fields: FacilityFields,
    ) -> Result<Facility> {
        principal.require_at_sites(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut invalid = Invalid::default();
        invalid.require("site_id", !fields.site_id.is_keep());
        invalid.require("name", !fields.name.is_keep());
        let refs = Refs::take(&mut fields);
        let nowhere = SiteId::from_uuid(uuid::Uuid::nil());
        let mut facility = Facility::new(FacilityId::new(&self.clock), nowhere, now);
        fields.apply(&mut invalid, &mut facility);
        let mut tx = self.store.begin().await?;
        vocabularies::bump(&mut tx, organisation).await?;
        refs.apply(&mut tx, organisation, &mut invalid, &mut facility).await?;
        if !principal.reaches_site(facility.site_id) {
            rules::selected(&mut invalid, "site_id");
        }
        invalid.check()?;
        let rows = std::slice::from_ref(&facility);
        let inserted = facilities::insert(&mut tx, organisation, rows).await;
        inserted.map_err(|error| taken(error, "facilities_code"))?;
        tx.record(organisation, now, [event("facility.created", facility.id.uuid())]);
        tx.commit().await?;
        Ok(facility)
    }

    pub async fn update_facility(
        &self,
        principal: &Principal,
        id: FacilityId,
        mut fields: FacilityFields,
    ) -> Result<Facility> {
        principal.require_at_sites(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        vocabularies::bump(&mut tx, organisation).await?;
        let found = facilities::find(&mut tx, organisation, id).await?;
        let found = found.filter(|facility| principal.reaches_site(facility.site_id));
        let mut facility = found.ok_or_else(not_found)?;
        let mut invalid = Invalid::default();
        let before = facility.archived_at;
        if let Some(archive) = fields.archived {
            facility.archived_at = archive.then(|| before.unwrap_or(now));
        }
        let refs = Refs::take(&mut fields);
        fields.apply(&mut invalid, &mut facility);
        refs.apply(&mut tx, organisation, &mut invalid, &mut facility).await?;
        if !principal.reaches_site(facility.site_id) {
            rules::selected(&mut invalid, "site_id");
        }
        invalid.check()?;
        if before.is_some() && facility.archived_at.is_none() {
            let site = sites::find(&mut tx, organisation, facility.site_id).await?;
            if site.is_none_or(|site| site.archived_at.is_some()) {
                return Err(Error::Conflict(
                    "The site of this facility is archived. Restore the site first.".into(),
                ));
            }
        }
        facility.updated_at = now;
        let rows = std::slice::from_ref(&facility);
        let updated = facilities::update(&mut tx, organisation, rows).await;
        updated.map_err(|error| taken(error, "facilities_code"))?;
        let kinds = ["facility.updated", "facility.archived", "facility.restored"];
        let event = changed(kinds, id.uuid(), before.is_some(), facility.archived_at.is_some());
        tx.record(organisation, now, [event]);
        tx.commit().await?;
        Ok(facility)
    }
}

/// Every row of a list.
pub(crate) const fn whole<I>() -> Window<I> {
    Window { after: None, offset: 0, limit: i64::MAX }
}
