//! Pieces of inbound bodies that are not applied: broken ones, and those for accounts nobody registered.

use kabar_domain::message::Platform;
use kabar_domain::{HeldId, OrganisationId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: HeldId,
    /// `None` while nobody has registered the account it is for.
    pub organisation_id: Option<OrganisationId>,
    pub stream: i64,
    pub seq: i64,
    pub pointer: String,
    pub platform: Platform,
    pub account_key: String,
    /// `quarantined` or `unclaimed`.
    pub reason: String,
    pub error: String,
    pub received_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
}

fn held(mut row: Row) -> Result<Held> {
    Ok(Held {
        id: row.get(0)?,
        organisation_id: row.get(1)?,
        stream: row.get(2)?,
        seq: row.get(3)?,
        pointer: row.get(4)?,
        platform: row.get(5)?,
        account_key: row.get(6)?,
        reason: row.get(7)?,
        error: row.get(8)?,
        received_at: row.get(9)?,
        resolved_at: row.get(10)?,
    })
}

/// Which of them to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub resolved: Option<bool>,
    pub reason: Option<&'static str>,
    /// Also those that belong to no organisation yet.
    pub unowned: bool,
}

fn select(what: &str, organisation: OrganisationId, filter: &Filter) -> Select {
    let mut select = Select::new(what, args![organisation]);
    select.push(if filter.unowned { "OR organisation_id IS NULL)" } else { ")" }, Vec::new());
    match filter.resolved {
        Some(true) => select.push("AND resolved_at IS NOT NULL", Vec::new()),
        Some(false) => select.push("AND resolved_at IS NULL", Vec::new()),
        None => &mut select,
    };
    select.push_some("AND reason = ?", filter.reason.map(Bind::value));
    select
}

const COLUMNS: &str =
    "SELECT id, organisation_id, stream, seq, pointer, platform, account_key, reason, error,
    received_at, resolved_at FROM held_updates WHERE (organisation_id = ?";

/// Newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    window: Window<HeldId>,
) -> Result<Vec<Held>> {
    let mut select = select(COLUMNS, organisation, filter);
    select.push_some("AND id < ?", window.after.map(Bind::value));
    select.push("ORDER BY id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(held).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: &Filter) -> Result<i64> {
    select("SELECT COUNT(*) FROM held_updates WHERE (organisation_id = ?", organisation, filter)
        .count(db)
        .await
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: HeldId,
    unowned: bool,
) -> Result<Option<Held>> {
    let filter = Filter { unowned, ..Filter::default() };
    let mut select = select(COLUMNS, organisation, &filter);
    select.push("AND id = ?", args![id]);
    select.fetch_optional(db).await?.map(held).transpose()
}

/// Whether this organisation is the first of this server, the operator's own. It also looks after updates that
/// belong to no organisation yet.
pub async fn is_operator(db: &mut impl Db, organisation: OrganisationId) -> Result<bool> {
    let oldest = db.fetch("SELECT id FROM organisations ORDER BY id LIMIT 1", Vec::new()).await?;
    let oldest = oldest.into_iter().next().map(|mut row| row.get::<OrganisationId>(0)).transpose()?;
    Ok(oldest == Some(organisation))
}

/// Which logged body it is part of: stream and number.
pub async fn place(db: &mut impl Db, id: HeldId) -> Result<Option<(i64, i64)>> {
    let rows = db.fetch("SELECT stream, seq FROM held_updates WHERE id = $1", args![id]).await?;
    rows.into_iter().next().map(|mut row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// Where in the log there are open held updates.
pub async fn open_places(db: &mut impl Db) -> Result<Vec<(i64, i64)>> {
    db.fetch(
        "SELECT DISTINCT stream, seq FROM held_updates WHERE resolved_at IS NULL ORDER BY stream, seq",
        args![],
    )
    .await?
    .iter_mut()
    .map(|row| Ok((row.get(0)?, row.get(1)?)))
    .collect()
}

/// Of every organisation, newest first: for the operator's command line.
pub async fn all(db: &mut impl Db, resolved: bool, limit: i64) -> Result<Vec<Held>> {
    let mut select = Select::new(COLUMNS, vec![None::<OrganisationId>.value()]);
    select.push("OR 1 = 1)", Vec::new());
    if !resolved {
        select.push("AND resolved_at IS NULL", Vec::new());
    }
    select.push("ORDER BY id DESC LIMIT ?", args![limit]);
    select.fetch(db).await?.into_iter().map(held).collect()
}

/// One, of any organisation.
pub async fn by_id(db: &mut impl Db, id: HeldId) -> Result<Option<Held>> {
    let mut select = Select::new(COLUMNS, vec![None::<OrganisationId>.value()]);
    select.push("OR 1 = 1) AND id = ?", args![id]);
    select.fetch_optional(db).await?.map(held).transpose()
}

/// Settles one that is open, without applying it.
pub async fn dismiss(tx: &mut Tx, id: HeldId, now: Timestamp) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE held_updates SET resolved_at = $1 WHERE id = $2 AND resolved_at IS NULL",
            args![now, id],
        )
        .await?;
    Ok(changed == 1)
}
