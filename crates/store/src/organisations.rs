//! Tenants.

use kabar_domain::{AccountId, OrganisationId, Role, Timestamp, UserId};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::users::role;
use crate::value::Row;

#[derive(Clone, Debug, PartialEq)]
pub struct Organisation {
    pub id: OrganisationId,
    pub slug: String,
    pub name: String,
    /// IANA name.
    pub timezone: String,
    pub operating_hours: Option<Json>,
    /// An object.
    pub settings: Json,
    /// The account flagged as default; see [`set_default_account`].
    pub default_account_id: Option<AccountId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const SELECT: &str = "SELECT o.id, o.slug, o.name, o.timezone, o.operating_hours, o.settings,
       (SELECT a.id FROM accounts a WHERE a.organisation_id = o.id AND a.is_default AND a.retired_at IS NULL),
       o.created_at, o.updated_at";
const FROM: &str = "FROM organisations o";

fn organisation(mut row: Row) -> Result<Organisation> {
    Ok(Organisation {
        id: row.get(0)?,
        slug: row.get(1)?,
        name: row.get(2)?,
        timezone: row.get(3)?,
        operating_hours: row.get(4)?,
        settings: row.get(5)?,
        default_account_id: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// Fails with a conflict on `organisations_slug_key` (`organisations.slug`) when the slug is taken.
pub async fn insert(tx: &mut Tx, organisation: &Organisation) -> Result<()> {
    tx.execute(
        "INSERT INTO organisations (id, slug, name, timezone, operating_hours, settings, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            organisation.id,
            &organisation.slug,
            &organisation.name,
            &organisation.timezone,
            organisation.operating_hours.as_ref(),
            &organisation.settings,
            organisation.created_at,
            organisation.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// Writes everything but the id, the time of creation and the default account.
pub async fn update(tx: &mut Tx, organisation: &Organisation) -> Result<()> {
    tx.execute(
        "UPDATE organisations SET slug = $2, name = $3, timezone = $4, operating_hours = $5, settings = $6,
                updated_at = $7
         WHERE id = $1",
        args![
            organisation.id,
            &organisation.slug,
            &organisation.name,
            &organisation.timezone,
            organisation.operating_hours.as_ref(),
            &organisation.settings,
            organisation.updated_at,
        ],
    )
    .await?;
    Ok(())
}

pub async fn by_id(db: &mut (impl Db + Send), id: OrganisationId) -> Result<Option<Organisation>> {
    db.fetch_optional(&format!("{SELECT} {FROM} WHERE o.id = $1"), args![id])
        .await?
        .map(organisation)
        .transpose()
}

pub async fn by_slug(db: &mut (impl Db + Send), slug: &str) -> Result<Option<Organisation>> {
    db.fetch_optional(&format!("{SELECT} {FROM} WHERE o.slug = $1"), args![slug])
        .await?
        .map(organisation)
        .transpose()
}

/// Every organisation there is, in the order they were created.
pub async fn all(db: &mut impl Db) -> Result<Vec<OrganisationId>> {
    let rows = db.fetch("SELECT id FROM organisations ORDER BY id", Vec::new()).await?;
    rows.into_iter().map(|mut row| row.get(0)).collect()
}

/// Lets nobody else change the organisation until the transaction ends.
pub async fn lock(tx: &mut Tx, id: OrganisationId) -> Result<()> {
    tx.execute("UPDATE organisations SET updated_at = updated_at WHERE id = $1", args![id]).await?;
    Ok(())
}

/// The organisation and the place of `member` in it.
pub async fn of_member(
    db: &mut (impl Db + Send),
    id: OrganisationId,
    member: UserId,
) -> Result<Option<(Organisation, Role)>> {
    let sql = format!(
        "{SELECT}, m.role {FROM} JOIN memberships m ON m.organisation_id = o.id
         WHERE o.id = $1 AND m.user_id = $2"
    );
    let Some(mut row) = db.fetch_optional(&sql, args![id, member]).await? else { return Ok(None) };
    let role = role(&mut row, 9)?;
    Ok(Some((organisation(row)?, role)))
}

/// Which of a person's organisations a list shows.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    pub member: UserId,
    /// At most this one.
    pub only: Option<OrganisationId>,
    pub after: Option<OrganisationId>,
    pub offset: i64,
    pub limit: i64,
}

/// In the order they were created.
pub async fn list(db: &mut impl Db, listing: Listing) -> Result<Vec<Organisation>> {
    let sql = format!(
        "{SELECT} {FROM} JOIN memberships m ON m.organisation_id = o.id
         WHERE m.user_id = $1 AND ($2 IS NULL OR o.id = $2) AND ($3 IS NULL OR o.id > $3)
         ORDER BY o.id LIMIT $4 OFFSET $5"
    );
    db.fetch(&sql, args![listing.member, listing.only, listing.after, listing.limit, listing.offset])
        .await?
        .into_iter()
        .map(organisation)
        .collect()
}

pub async fn count(db: &mut impl Db, member: UserId, only: Option<OrganisationId>) -> Result<i64> {
    let mut rows = db
        .fetch(
            "SELECT COUNT(*) FROM memberships WHERE user_id = $1 AND ($2 IS NULL OR organisation_id = $2)",
            args![member, only],
        )
        .await?;
    rows.first_mut().map_or(Ok(0), |row| row.get(0))
}

/// Makes an account the organisation's default, or leaves it without one. False when the organisation has no such
/// account; then the former default is gone, so roll back.
pub async fn set_default_account(
    tx: &mut Tx,
    id: OrganisationId,
    account: Option<AccountId>,
    now: Timestamp,
) -> Result<bool> {
    tx.execute(
        "UPDATE accounts SET is_default = $2, updated_at = $3
         WHERE organisation_id = $1 AND is_default AND retired_at IS NULL AND ($4 IS NULL OR id <> $4)",
        args![id, false, now, account],
    )
    .await?;
    let Some(account) = account else { return Ok(true) };
    let changed = tx
        .execute(
            "UPDATE accounts SET is_default = $3, updated_at = $4
             WHERE organisation_id = $1 AND id = $2 AND retired_at IS NULL",
            args![id, account, true, now],
        )
        .await?;
    Ok(changed == 1)
}
