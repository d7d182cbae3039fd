//! Sites: where work happens.

use kabar_domain::{OrganisationId, SiteId, Timestamp, UserId};
use serde_json::{Value as Json, json};

use crate::contacts::search_text;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};
use crate::{Rows, args, of};

#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub id: SiteId,
    pub name: String,
    /// Unique among those in use, whatever its case.
    pub code: Option<String>,
    /// Other names that people gave.
    pub aliases: Vec<String>,
    /// Other names that corrections taught, the latest last.
    pub learned: Vec<String>,
    /// IANA name; the organisation's without one.
    pub timezone: Option<String>,
    /// As the organisation's, which count without them.
    pub operating_hours: Option<Json>,
    pub address: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub supervisor_ids: Vec<UserId>,
    pub metadata: Option<Json>,
    pub archived_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Site {
    /// Without a name yet.
    pub const fn new(id: SiteId, now: Timestamp) -> Self {
        Self {
            id,
            name: String::new(),
            code: None,
            aliases: Vec::new(),
            learned: Vec::new(),
            timezone: None,
            operating_hours: None,
            address: None,
            latitude: None,
            longitude: None,
            supervisor_ids: Vec::new(),
            metadata: None,
            archived_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

const SELECT: &str = "SELECT id, name, code, aliases, learned, timezone, operating_hours, address, latitude,
    longitude, supervisor_ids, metadata, archived_at, created_at, updated_at FROM sites WHERE organisation_id = ?";

fn site(mut row: Row) -> Result<Site> {
    Ok(Site {
        id: row.get(0)?,
        name: row.get(1)?,
        code: row.get(2)?,
        aliases: row.json(3)?.unwrap_or_default(),
        learned: row.json(4)?.unwrap_or_default(),
        timezone: row.get(5)?,
        operating_hours: row.get(6)?,
        address: row.get(7)?,
        latitude: row.get(8)?,
        longitude: row.get(9)?,
        supervisor_ids: row.json(10)?.unwrap_or_default(),
        metadata: row.get(11)?,
        archived_at: row.get(12)?,
        created_at: row.get(13)?,
        updated_at: row.get(14)?,
    })
}

fn rows(organisation: OrganisationId, sites: &[Site]) -> Rows {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("id", of::<SiteId>()),
        ("name", of::<String>()),
        ("code", of::<String>()),
        ("aliases", of::<String>()),
        ("learned", of::<String>()),
        ("timezone", of::<String>()),
        ("operating_hours", of::<String>()),
        ("address", of::<String>()),
        ("latitude", of::<f64>()),
        ("longitude", of::<f64>()),
        ("supervisor_ids", of::<String>()),
        ("metadata", of::<String>()),
        ("search", of::<String>()),
        ("archived_at", of::<Timestamp>()),
        ("created_at", of::<Timestamp>()),
        ("updated_at", of::<Timestamp>()),
    ]);
    for site in sites {
        let names = [Some(site.name.as_str()), site.code.as_deref(), site.address.as_deref()];
        let search =
            search_text(names.into_iter().chain(site.aliases.iter().map(|alias| Some(alias.as_str()))));
        rows.push([
            organisation.value(),
            site.id.value(),
            site.name.as_str().value(),
            site.code.as_ref().value(),
            (&json!(site.aliases)).value(),
            (&json!(site.learned)).value(),
            site.timezone.as_ref().value(),
            site.operating_hours.as_ref().value(),
            site.address.as_ref().value(),
            site.latitude.value(),
            site.longitude.value(),
            (&json!(site.supervisor_ids)).value(),
            site.metadata.as_ref().value(),
            search.value(),
            site.archived_at.value(),
            site.created_at.value(),
            site.updated_at.value(),
        ]);
    }
    rows
}

/// Fails with a conflict on `sites_code` when a code is taken.
pub async fn insert(tx: &mut Tx, organisation: OrganisationId, sites: &[Site]) -> Result<()> {
    tx.bulk_insert("sites", rows(organisation, sites), "").await?;
    Ok(())
}

/// Writes everything but the time of creation. Fails with a conflict on `sites_code` when a code is taken.
pub async fn update(tx: &mut Tx, organisation: OrganisationId, sites: &[Site]) -> Result<()> {
    tx.bulk_execute(
        "UPDATE sites SET name = u.name, code = u.code, aliases = u.aliases, learned = u.learned,
             timezone = u.timezone, operating_hours = u.operating_hours, address = u.address, latitude = u.latitude,
             longitude = u.longitude, supervisor_ids = u.supervisor_ids, metadata = u.metadata, search = u.search,
             archived_at = u.archived_at, updated_at = u.updated_at
         FROM {rows} WHERE sites.organisation_id = u.organisation_id AND sites.id = u.id",
        rows(organisation, sites),
    )
    .await?;
    Ok(())
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: SiteId) -> Result<Option<Site>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND id = ?", args![id]);
    select.fetch_optional(db).await?.map(site).transpose()
}

/// Which sites to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Nothing beyond these sites.
    pub within: Option<Vec<SiteId>>,
    /// In or out of use; both without it.
    pub archived: Option<bool>,
    /// In lower case: looked for anywhere in name, code, aliases and address.
    pub search: Option<String>,
}

impl Filter {
    /// What is in use.
    pub const fn active() -> Self {
        Self { within: None, archived: Some(false), search: None }
    }

    fn apply(&self, select: &mut Select) {
        select.push_listed(self.archived, self.search.as_deref());
        if let Some(sites) = &self.within {
            select.push_in("AND id IN", sites.iter().map(|id| id.value()).collect());
        }
    }
}

/// In the order they were made.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    window: Window<SiteId>,
) -> Result<Vec<Site>> {
    let mut select = Select::new(SELECT, args![organisation]);
    filter.apply(&mut select);
    select.push_some("AND id > ?", window.after.map(Bind::value));
    select.push("ORDER BY id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(site).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: &Filter) -> Result<i64> {
    let mut select = Select::new("SELECT COUNT(*) FROM sites WHERE organisation_id = ?", args![organisation]);
    filter.apply(&mut select);
    select.count(db).await
}
