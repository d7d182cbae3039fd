//! Sites: where work happens.

use kabar_domain::{Ability, OrganisationId, SiteId, UserId};
use kabar_store::{Tx, facilities, sites, users, vocabularies};
use serde_json::Value as Json;

use super::{BAG, CODE, NAME, PlaceQuery, Site, aliases, changed, event, taken};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::organisations::validate;
use crate::page::{Page, PageRequest};
use crate::patch::Patch;
use crate::rules;

/// A site to make, or what changes in one; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct SiteFields {
    pub name: Patch<String>,
    pub code: Patch<String>,
    pub aliases: Patch<Vec<String>>,
    pub timezone: Patch<String>,
    pub operating_hours: Patch<Json>,
    pub address: Patch<String>,
    pub latitude: Patch<f64>,
    pub longitude: Patch<f64>,
    pub supervisor_ids: Patch<Vec<String>>,
    pub metadata: Patch<Json>,
    pub archived: Option<bool>,
}

pub(crate) const fn not_found() -> Error {
    Error::NotFound("Site")
}

impl SiteFields {
    /// Puts what was given into a site, except for supervisors and whether it is in use.
    pub(super) fn apply(self, invalid: &mut Invalid, site: &mut Site) {
        if let Patch::Set(name) = self.name {
            site.name = rules::required(invalid, "name", name, NAME);
        }
        if let Patch::Set(code) = self.code {
            site.code = rules::optional(invalid, "code", code, CODE);
        }
        if let Patch::Set(given) = self.aliases {
            site.aliases = aliases(invalid, given.unwrap_or_default());
        }
        if let Patch::Set(timezone) = self.timezone {
            site.timezone = timezone
                .filter(|timezone| !timezone.trim().is_empty())
                .map(|timezone| validate::timezone(invalid, Some(timezone)));
        }
        if let Patch::Set(hours) = self.operating_hours {
            validate::operating_hours(invalid, hours.as_ref());
            site.operating_hours = hours;
        }
        if let Patch::Set(address) = self.address {
            site.address = rules::optional(invalid, "address", address, 1000);
        }
        self.latitude.apply(&mut site.latitude);
        self.longitude.apply(&mut site.longitude);
        for (field, value, most) in [("latitude", site.latitude, 90), ("longitude", site.longitude, 180)] {
            if value.is_some_and(|value| value.is_nan() || value.abs() > f64::from(most)) {
                invalid.add(field, format!("The {field} field must be between -{most} and {most}."));
            }
        }
        if site.latitude.is_some() != site.longitude.is_some() {
            let missing = if site.latitude.is_some() { "longitude" } else { "latitude" };
            invalid.require(missing, false);
        }
        if let Patch::Set(metadata) = self.metadata {
            site.metadata = metadata.map(|metadata| rules::object(invalid, "metadata", metadata, BAG));
        }
    }
}

/// The supervisors a client names, each once: people of the organisation.
async fn supervisors(
    tx: &mut Tx,
    organisation: OrganisationId,
    invalid: &mut Invalid,
    given: Vec<String>,
) -> Result<Vec<UserId>> {
    let members = users::members(tx, organisation).await?;
    let mut ids = Vec::new();
    for (index, text) in given.iter().enumerate() {
        let id = text.trim().parse().ok().filter(|id| members.iter().any(|member| member.id == *id));
        match id {
            Some(id) if ids.contains(&id) => {}
            Some(id) => ids.push(id),
            None => rules::selected(invalid, &format!("supervisor_ids.{index}")),
        }
    }
    Ok(ids)
}

impl Engine {
    /// In the order they were made.
    pub async fn list_sites(
        &self,
        principal: &Principal,
        query: PlaceQuery,
        page: &PageRequest,
    ) -> Result<Page<Site>> {
        principal.require_at_sites(Ability::Read)?;
        let mut invalid = Invalid::default();
        let (archived, search) = query.checked(&mut invalid);
        invalid.check()?;
        let filter = sites::Filter { within: principal.reach.sites.clone(), archived, search };
        let window = page.window(SiteId::from_uuid)?;
        let mut db = self.store.reader().await?;
        let total = sites::count(&mut db, principal.organisation_id, &filter).await?;
        let rows = sites::list(&mut db, principal.organisation_id, &filter, window).await?;
        Ok(page.page_of(rows, total, |site| site.id.uuid().into()))
    }

    pub async fn get_site(&self, principal: &Principal, id: SiteId) -> Result<Site> {
        principal.require_at_sites(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let found = sites::find(&mut db, principal.organisation_id, id).await?;
        found.filter(|site| principal.reaches_site(site.id)).ok_or_else(not_found)
    }

    pub async fn create_site(&self, principal: &Principal, mut fields: SiteFields) -> Result<Site> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut invalid = Invalid::default();
        let mut site = Site::new(SiteId::new(&self.clock), now);
        invalid.require("name", !fields.name.is_keep());
        let given = std::mem::take(&mut fields.supervisor_ids);
        fields.apply(&mut invalid, &mut site);
        let mut tx = self.store.begin().await?;
        vocabularies::bump(&mut tx, organisation).await?;
        if let Patch::Set(Some(given)) = given {
            site.supervisor_ids = supervisors(&mut tx, organisation, &mut invalid, given).await?;
        }
        invalid.check()?;
        let rows = std::slice::from_ref(&site);
        sites::insert(&mut tx, organisation, rows).await.map_err(|error| taken(error, "sites_code"))?;
        tx.record(organisation, now, [event("site.created", site.id.uuid())]);
        tx.commit().await?;
        Ok(site)
    }

    /// Archiving a site takes what is at it out of use as well; restoring brings both back.
    pub async fn update_site(
        &self,
        principal: &Principal,
        id: SiteId,
        mut fields: SiteFields,
    ) -> Result<Site> {
        principal.require_at_sites(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        vocabularies::bump(&mut tx, organisation).await?;
        let site = sites::find(&mut tx, organisation, id).await?;
        let mut site = site.filter(|site| principal.reaches_site(site.id)).ok_or_else(not_found)?;
        let mut invalid = Invalid::default();
        let before = site.archived_at;
        if let Some(archive) = fields.archived {
            site.archived_at = archive.then(|| before.unwrap_or(now));
        }
        if let Patch::Set(given) = std::mem::take(&mut fields.supervisor_ids) {
            let given = given.unwrap_or_default();
            site.supervisor_ids = supervisors(&mut tx, organisation, &mut invalid, given).await?;
        }
        fields.apply(&mut invalid, &mut site);
        invalid.check()?;
        site.updated_at = now;
        let rows = std::slice::from_ref(&site);
        sites::update(&mut tx, organisation, rows).await.map_err(|error| taken(error, "sites_code"))?;
        match (before, site.archived_at) {
            (None, Some(at)) => {
                facilities::archive_at(&mut tx, organisation, id, at).await?;
            }
            (Some(at), None) => {
                let restored = facilities::restore_at(&mut tx, organisation, id, at, now).await;
                restored.map_err(|error| match taken(error, "facilities_code") {
                    Error::Invalid(_) => Error::Conflict(
                        "The code of a facility at this site was given to another one in the meantime."
                            .into(),
                    ),
                    other => other,
                })?;
            }
            _ => {}
        }
        let kinds = ["site.updated", "site.archived", "site.restored"];
        let event = changed(kinds, id.uuid(), before.is_some(), site.archived_at.is_some());
        tx.record(organisation, now, [event]);
        tx.commit().await?;
        Ok(site)
    }
}
