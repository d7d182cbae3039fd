//! People who sign in, and their places in organisations.

use kabar_domain::{OrganisationId, Role, Timestamp, UserId};

use crate::args;
use crate::error::{Error, Result};
use crate::store::{Db, Tx};
use crate::value::Row;

#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    /// Lower-case.
    pub email: String,
    pub name: String,
    /// A PHC string.
    pub password_hash: String,
    pub default_organisation_id: Option<OrganisationId>,
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// A person's place in one organisation.
#[derive(Clone, Debug)]
pub struct Membership {
    pub organisation_id: OrganisationId,
    pub name: String,
    pub slug: String,
    pub role: Role,
}

const COLUMNS: &str = "id, email, name, password_hash, default_organisation_id, disabled_at, created_at";

fn user(mut row: Row) -> Result<User> {
    Ok(User {
        id: row.get(0)?,
        email: row.get(1)?,
        name: row.get(2)?,
        password_hash: row.get(3)?,
        default_organisation_id: row.get(4)?,
        disabled_at: row.get(5)?,
        created_at: row.get(6)?,
    })
}

/// A role as the database spells it.
pub(crate) fn role(row: &mut Row, column: usize) -> Result<Role> {
    row.get::<String>(column)?.parse().map_err(|_| Error::Decode { column, detail: "no role" })
}

/// Fails with a conflict on `users_email_key` (`users.email`) when the address is taken.
pub async fn insert(tx: &mut Tx, user: &User) -> Result<()> {
    tx.execute(
        "INSERT INTO users (id, email, name, password_hash, default_organisation_id, disabled_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        args![
            user.id,
            &user.email,
            &user.name,
            &user.password_hash,
            user.default_organisation_id,
            user.disabled_at,
            user.created_at,
        ],
    )
    .await?;
    Ok(())
}

pub async fn by_email(db: &mut (impl Db + Send), email: &str) -> Result<Option<User>> {
    db.fetch_optional(&format!("SELECT {COLUMNS} FROM users WHERE email = $1"), args![email])
        .await?
        .map(user)
        .transpose()
}

pub async fn by_id(db: &mut (impl Db + Send), id: UserId) -> Result<Option<User>> {
    db.fetch_optional(&format!("SELECT {COLUMNS} FROM users WHERE id = $1"), args![id])
        .await?
        .map(user)
        .transpose()
}

/// Every user, by e-mail.
pub async fn list(db: &mut impl Db) -> Result<Vec<User>> {
    db.fetch(&format!("SELECT {COLUMNS} FROM users ORDER BY email"), args![])
        .await?
        .into_iter()
        .map(user)
        .collect()
}

/// Whether there is anybody yet.
pub async fn any(db: &mut (impl Db + Send)) -> Result<bool> {
    Ok(db.fetch_optional("SELECT 1 FROM users LIMIT 1", args![]).await?.is_some())
}

pub async fn set_password(tx: &mut Tx, id: UserId, password_hash: &str, now: Timestamp) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1",
            args![id, password_hash, now],
        )
        .await?;
    Ok(changed == 1)
}

/// Gives a person a place in an organisation, or another role there.
pub async fn set_membership(
    tx: &mut Tx,
    organisation: OrganisationId,
    user: UserId,
    role: Role,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO memberships (organisation_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organisation_id, user_id) DO UPDATE SET role = excluded.role",
        args![organisation, user, role.as_str(), now],
    )
    .await?;
    Ok(())
}

/// A person's places, the oldest organisation first; with `only`, at most that one.
pub async fn memberships(
    db: &mut impl Db,
    user: UserId,
    only: Option<OrganisationId>,
) -> Result<Vec<Membership>> {
    db.fetch(
        "SELECT o.id, o.name, o.slug, m.role FROM memberships m JOIN organisations o ON o.id = m.organisation_id
         WHERE m.user_id = $1 AND ($2 IS NULL OR o.id = $2) ORDER BY o.id",
        args![user, only],
    )
    .await?
    .into_iter()
    .map(|mut row| {
        Ok(Membership {
            organisation_id: row.get(0)?,
            name: row.get(1)?,
            slug: row.get(2)?,
            role: role(&mut row, 3)?,
        })
    })
    .collect()
}

/// A person who belongs to an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: UserId,
    pub name: String,
    /// In lower case.
    pub email: String,
}

/// Everybody in an organisation, in the order of their accounts.
pub async fn members(db: &mut impl Db, organisation: OrganisationId) -> Result<Vec<Member>> {
    db.fetch(
        "SELECT u.id, u.name, u.email FROM memberships m JOIN users u ON u.id = m.user_id
         WHERE m.organisation_id = $1 ORDER BY u.id",
        args![organisation],
    )
    .await?
    .into_iter()
    .map(|mut row| Ok(Member { id: row.get(0)?, name: row.get(1)?, email: row.get(2)? }))
    .collect()
}

/// The owners and administrators of an organisation who may sign in.
pub async fn administrators(db: &mut impl Db, organisation: OrganisationId) -> Result<Vec<Member>> {
    db.fetch(
        "SELECT u.id, u.name, u.email FROM memberships m JOIN users u ON u.id = m.user_id
         WHERE m.organisation_id = $1 AND m.role IN ('owner', 'admin') AND u.disabled_at IS NULL ORDER BY u.id",
        args![organisation],
    )
    .await?
    .into_iter()
    .map(|mut row| Ok(Member { id: row.get(0)?, name: row.get(1)?, email: row.get(2)? }))
    .collect()
}
