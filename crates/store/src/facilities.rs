//! Facilities: the things at sites, and the places in them.

use kabar_domain::{CategoryId, FacilityId, OrganisationId, SiteId, Timestamp};
use serde_json::{Value as Json, json};

use crate::contacts::search_text;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};
use crate::{Rows, args, of};

#[derive(Clone, Debug, PartialEq)]
pub struct Facility {
    pub id: FacilityId,
    pub site_id: SiteId,
    /// What it is part of, at the same site.
    pub parent_id: Option<FacilityId>,
    pub category_id: Option<CategoryId>,
    pub name: String,
    /// Unique among those in use, whatever its case.
    pub code: Option<String>,
    /// Other names that people gave.
    pub aliases: Vec<String>,
    /// Other names that corrections taught, the latest last.
    pub learned: Vec<String>,
    pub metadata: Option<Json>,
    pub archived_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Facility {
    /// Without a name yet.
    pub const fn new(id: FacilityId, site_id: SiteId, now: Timestamp) -> Self {
        Self {
            id,
            site_id,
            parent_id: None,
            category_id: None,
            name: String::new(),
            code: None,
            aliases: Vec::new(),
            learned: Vec::new(),
            metadata: None,
            archived_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

const SELECT: &str = "SELECT id, site_id, parent_id, category_id, name, code, aliases, learned, metadata,
    archived_at, created_at, updated_at FROM facilities WHERE organisation_id = ?";

fn facility(mut row: Row) -> Result<Facility> {
    Ok(Facility {
        id: row.get(0)?,
        site_id: row.get(1)?,
        parent_id: row.get(2)?,
        category_id: row.get(3)?,
        name: row.get(4)?,
        code: row.get(5)?,
        aliases: row.json(6)?.unwrap_or_default(),
        learned: row.json(7)?.unwrap_or_default(),
        metadata: row.get(8)?,
        archived_at: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
    })
}

fn rows(organisation: OrganisationId, facilities: &[Facility]) -> Rows {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("id", of::<FacilityId>()),
        ("site_id", of::<SiteId>()),
        ("parent_id", of::<FacilityId>()),
        ("category_id", of::<CategoryId>()),
        ("name", of::<String>()),
        ("code", of::<String>()),
        ("aliases", of::<String>()),
        ("learned", of::<String>()),
        ("metadata", of::<String>()),
        ("search", of::<String>()),
        ("archived_at", of::<Timestamp>()),
        ("created_at", of::<Timestamp>()),
        ("updated_at", of::<Timestamp>()),
    ]);
    for facility in facilities {
        let names = [Some(facility.name.as_str()), facility.code.as_deref()];
        let aliases = facility.aliases.iter().map(|alias| Some(alias.as_str()));
        rows.push([
            organisation.value(),
            facility.id.value(),
            facility.site_id.value(),
            facility.parent_id.value(),
            facility.category_id.value(),
            facility.name.as_str().value(),
            facility.code.as_ref().value(),
            (&json!(facility.aliases)).value(),
            (&json!(facility.learned)).value(),
            facility.metadata.as_ref().value(),
            search_text(names.into_iter().chain(aliases)).value(),
            facility.archived_at.value(),
            facility.created_at.value(),
            facility.updated_at.value(),
        ]);
    }
    rows
}

/// Fails with a conflict on `facilities_code` when a code is taken.
pub async fn insert(tx: &mut Tx, organisation: OrganisationId, facilities: &[Facility]) -> Result<()> {
    tx.bulk_insert("facilities", rows(organisation, facilities), "").await?;
    Ok(())
}

/// Writes everything but the time of creation. Fails with a conflict on `facilities_code` when a code is taken.
pub async fn update(tx: &mut Tx, organisation: OrganisationId, facilities: &[Facility]) -> Result<()> {
    tx.bulk_execute(
        "UPDATE facilities SET site_id = u.site_id, parent_id = u.parent_id, category_id = u.category_id,
             name = u.name, code = u.code, aliases = u.aliases, learned = u.learned, metadata = u.metadata,
             search = u.search, archived_at = u.archived_at, updated_at = u.updated_at
         FROM {rows} WHERE facilities.organisation_id = u.organisation_id AND facilities.id = u.id",
        rows(organisation, facilities),
    )
    .await?;
    Ok(())
}

/// Takes everything at a site out of use, with the site.
pub async fn archive_at(
    tx: &mut Tx,
    organisation: OrganisationId,
    site: SiteId,
    now: Timestamp,
) -> Result<u64> {
    tx.execute(
        "UPDATE facilities SET archived_at = $3, updated_at = $3
         WHERE organisation_id = $1 AND site_id = $2 AND archived_at IS NULL",
        args![organisation, site, now],
    )
    .await
}

/// Brings back what [`archive_at`] took out of use at that time. Fails with a conflict on `facilities_code` when a code
/// was given to something else since.
pub async fn restore_at(
    tx: &mut Tx,
    organisation: OrganisationId,
    site: SiteId,
    archived_at: Timestamp,
    now: Timestamp,
) -> Result<u64> {
    tx.execute(
        "UPDATE facilities SET archived_at = NULL, updated_at = $4
         WHERE organisation_id = $1 AND site_id = $2 AND archived_at = $3",
        args![organisation, site, archived_at, now],
    )
    .await
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: FacilityId,
) -> Result<Option<Facility>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND id = ?", args![id]);
    select.fetch_optional(db).await?.map(facility).transpose()
}

/// Which facilities to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Nothing beyond these sites.
    pub within: Option<Vec<SiteId>>,
    /// In or out of use; both without it.
    pub archived: Option<bool>,
    /// In lower case: looked for anywhere in name, code and aliases.
    pub search: Option<String>,
    pub site: Option<SiteId>,
    pub category: Option<CategoryId>,
    pub parent: Option<FacilityId>,
}

impl Filter {
    /// What is in use, at one site or at all.
    pub fn active(site: Option<SiteId>) -> Self {
        Self { archived: Some(false), site, ..Self::default() }
    }

    fn apply(&self, select: &mut Select) {
        select.push_listed(self.archived, self.search.as_deref());
        if let Some(sites) = &self.within {
            select.push_in("AND site_id IN", sites.iter().map(|id| id.value()).collect());
        }
        select.push_some("AND site_id = ?", self.site.map(Bind::value));
        select.push_some("AND category_id = ?", self.category.map(Bind::value));
        select.push_some("AND parent_id = ?", self.parent.map(Bind::value));
    }
}

/// In the order they were made.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    window: Window<FacilityId>,
) -> Result<Vec<Facility>> {
    let mut select = Select::new(SELECT, args![organisation]);
    filter.apply(&mut select);
    select.push_some("AND id > ?", window.after.map(Bind::value));
    select.push("ORDER BY id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(facility).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: &Filter) -> Result<i64> {
    let mut select =
        Select::new("SELECT COUNT(*) FROM facilities WHERE organisation_id = ?", args![organisation]);
    filter.apply(&mut select);
    select.count(db).await
}
