//! What a record may name: sites, things, categories and people of its organisation.

use kabar_domain::{CategoryId, FacilityId, OrganisationId, SiteId, Timestamp, UserId};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::store::Db;

/// What decides by when a problem at a site is due.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteFacts {
    pub timezone: Option<String>,
    pub operating_hours: Option<Json>,
    pub archived: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FacilityFacts {
    pub site_id: SiteId,
    pub category_id: Option<CategoryId>,
    pub archived: bool,
}

pub async fn site(db: &mut impl Db, organisation: OrganisationId, id: SiteId) -> Result<Option<SiteFacts>> {
    let sql =
        "SELECT timezone, operating_hours, archived_at FROM sites WHERE organisation_id = $1 AND id = $2";
    let mut rows = db.fetch(sql, args![organisation, id]).await?;
    rows.pop()
        .map(|mut row| {
            Ok(SiteFacts {
                timezone: row.get(0)?,
                operating_hours: row.json(1)?,
                archived: row.get::<Option<Timestamp>>(2)?.is_some(),
            })
        })
        .transpose()
}

pub async fn facility(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: FacilityId,
) -> Result<Option<FacilityFacts>> {
    let sql =
        "SELECT site_id, category_id, archived_at FROM facilities WHERE organisation_id = $1 AND id = $2";
    let mut rows = db.fetch(sql, args![organisation, id]).await?;
    rows.pop()
        .map(|mut row| {
            Ok(FacilityFacts {
                site_id: row.get(0)?,
                category_id: row.get(1)?,
                archived: row.get::<Option<Timestamp>>(2)?.is_some(),
            })
        })
        .transpose()
}

/// Whether there is such a category that is not archived.
pub async fn has_category(db: &mut impl Db, organisation: OrganisationId, id: CategoryId) -> Result<bool> {
    let sql = "SELECT 1 FROM categories WHERE organisation_id = $1 AND id = $2 AND archived_at IS NULL";
    Ok(!db.fetch(sql, args![organisation, id]).await?.is_empty())
}

pub async fn has_member(db: &mut impl Db, organisation: OrganisationId, user: UserId) -> Result<bool> {
    let sql = "SELECT 1 FROM memberships WHERE organisation_id = $1 AND user_id = $2";
    Ok(!db.fetch(sql, args![organisation, user]).await?.is_empty())
}
