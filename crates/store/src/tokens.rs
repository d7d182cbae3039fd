//! Tokens: who a caller is, in one query.

use kabar_domain::{OrganisationId, Role, Timestamp, UserId};

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::users::role;
use crate::value::{Bind, Value};

/// A token as it is described; its secret is not kept.
#[derive(Clone, Debug)]
pub struct Token {
    pub id: i64,
    pub user_id: UserId,
    /// Bound to this organisation; else good in all of the person's.
    pub organisation_id: Option<OrganisationId>,
    pub name: String,
    pub abilities: Vec<String>,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub user_id: UserId,
    pub organisation_id: Option<OrganisationId>,
    pub name: &'a str,
    /// Lower-case hexadecimal SHA-256 of the secret.
    pub hash: &'a str,
    pub abilities: &'a [&'a str],
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// Which organisation a request names.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    Id(OrganisationId),
    Slug(&'a str),
    Nothing,
}

/// How a token is found.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    Id(i64),
    /// Tokens from before they carried their id.
    Hash(&'a str),
}

/// What is known of a token and its person when it is shown.
#[derive(Clone, Debug)]
pub struct Found {
    pub id: i64,
    pub user_id: UserId,
    pub hash: String,
    pub bound_to: Option<OrganisationId>,
    pub abilities: Vec<String>,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    /// The organisation that [`Named`] stands for, if it exists.
    pub named: Option<OrganisationId>,
    /// The person's place in the bound, else the named, else the default organisation.
    pub membership: Option<(OrganisationId, Role)>,
}

fn names(text: &str) -> Vec<String> {
    // Anything but an array of names grants nothing.
    serde_json::from_str(text).unwrap_or_default()
}

/// Everything that decides whether a token opens an organisation.
pub async fn find(db: &mut (impl Db + Send), key: Key<'_>, named: Named<'_>) -> Result<Option<Found>> {
    let (id, slug) = match named {
        Named::Id(id) => (Some(id), None),
        Named::Slug(slug) => (None, Some(slug)),
        Named::Nothing => (None, None),
    };
    let (condition, key) = match key {
        Key::Id(id) => ("t.id = $1", id.value()),
        Key::Hash(hash) => ("t.token_hash = $1", hash.value()),
    };
    let sql = format!(
        "SELECT t.id, t.user_id, t.token_hash, t.organisation_id, t.abilities, t.expires_at, t.last_used_at,
                u.disabled_at, n.id, m.organisation_id, m.role
         FROM api_tokens t
         JOIN users u ON u.id = t.user_id
         LEFT JOIN organisations n ON n.id = COALESCE($2, (SELECT id FROM organisations WHERE slug = $3))
         LEFT JOIN memberships m ON m.user_id = t.user_id
              AND m.organisation_id = COALESCE(t.organisation_id, n.id, u.default_organisation_id)
         WHERE {condition}"
    );
    let Some(mut row) = db.fetch_optional(&sql, vec![key, id.value(), slug.value()]).await? else {
        return Ok(None);
    };
    let membership = match row.get::<Option<OrganisationId>>(9)? {
        Some(organisation) => Some((organisation, role(&mut row, 10)?)),
        None => None,
    };
    Ok(Some(Found {
        id: row.get(0)?,
        user_id: row.get(1)?,
        hash: row.get(2)?,
        bound_to: row.get(3)?,
        abilities: names(&row.get::<String>(4)?),
        expires_at: row.get(5)?,
        last_used_at: row.get(6)?,
        disabled_at: row.get(7)?,
        named: row.get(8)?,
        membership,
    }))
}

/// The new token's id.
pub async fn insert(tx: &mut Tx, token: &NewToken<'_>) -> Result<i64> {
    let abilities = serde_json::Value::from(token.abilities.to_vec());
    let mut rows = tx
        .fetch(
            "INSERT INTO api_tokens (user_id, organisation_id, name, token_hash, abilities, expires_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            args![
                token.user_id,
                token.organisation_id,
                token.name,
                token.hash,
                &abilities,
                token.expires_at,
                token.created_at,
            ],
        )
        .await?;
    rows.first_mut().map_or(Ok(0), |row| row.get(0))
}

/// A person's tokens, or everybody's, the oldest first.
pub async fn list(db: &mut impl Db, user: Option<UserId>) -> Result<Vec<Token>> {
    select(db, "WHERE ($1 IS NULL OR user_id = $1) ORDER BY id", args![user]).await
}

pub async fn by_id(db: &mut impl Db, id: i64) -> Result<Option<Token>> {
    Ok(select(db, "WHERE id = $1", args![id]).await?.pop())
}

async fn select(db: &mut impl Db, condition: &str, args: Vec<Value>) -> Result<Vec<Token>> {
    let sql = format!(
        "SELECT id, user_id, organisation_id, name, abilities, expires_at, last_used_at, created_at
         FROM api_tokens {condition}"
    );
    db.fetch(&sql, args)
        .await?
        .into_iter()
        .map(|mut row| {
            Ok(Token {
                id: row.get(0)?,
                user_id: row.get(1)?,
                organisation_id: row.get(2)?,
                name: row.get(3)?,
                abilities: names(&row.get::<String>(4)?),
                expires_at: row.get(5)?,
                last_used_at: row.get(6)?,
                created_at: row.get(7)?,
            })
        })
        .collect()
}

/// Records a use, unless one at or after `unless_since` is recorded already.
pub async fn touch(tx: &mut Tx, id: i64, now: Timestamp, unless_since: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE api_tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
        args![id, now, unless_since],
    )
    .await?;
    Ok(())
}

/// Whether there was such a token.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<bool> {
    Ok(tx.execute("DELETE FROM api_tokens WHERE id = $1", args![id]).await? == 1)
}

/// Signs a person out everywhere; how many tokens that were. Tokens bound to an organisation belong to programs
/// and stay.
pub async fn delete_unbound(tx: &mut Tx, user: UserId) -> Result<u64> {
    tx.execute("DELETE FROM api_tokens WHERE user_id = $1 AND organisation_id IS NULL", args![user]).await
}
