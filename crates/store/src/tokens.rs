//! Tokens: who a caller is, in one query.

use kabar_domain::{AppId, OrganisationId, Reach, Role, Timestamp, TokenKind, UserId};

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::users::role;
use crate::value::{Bind, Row};

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
    pub kind: TokenKind,
    pub app_id: Option<AppId>,
    pub reach: Reach,
    /// Whose it is.
    pub user_name: String,
    pub user_email: String,
}

#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub kind: TokenKind,
    pub app_id: Option<AppId>,
    pub reach: &'a Reach,
    /// When it is to be told that the token is about to expire.
    pub announce_at: Option<Timestamp>,
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
    pub kind: TokenKind,
    pub reach: Reach,
}

fn names(text: &str) -> Vec<String> {
    // Anything but an array of names grants nothing.
    serde_json::from_str(text).unwrap_or_default()
}

/// What two neighbouring cells say.
fn reach(row: &mut Row, column: usize) -> Result<Reach> {
    Ok(Reach { channels: row.json(column)?, sites: row.json(column + 1)? })
}

fn list_of<T: ToString>(ids: Option<&Vec<T>>) -> Option<String> {
    ids.map(|ids| ids.iter().map(ToString::to_string).collect::<serde_json::Value>().to_string())
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
                u.disabled_at, n.id, m.organisation_id, m.role, t.kind, t.channel_ids, t.site_ids
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
        kind: row.get(11)?,
        reach: reach(&mut row, 12)?,
    }))
}

/// The new token's id.
pub async fn insert(tx: &mut Tx, token: &NewToken<'_>) -> Result<i64> {
    let abilities = serde_json::Value::from(token.abilities.to_vec());
    let mut rows = tx
        .fetch(
            "INSERT INTO api_tokens (user_id, organisation_id, name, token_hash, abilities, expires_at, created_at, kind,
                 app_id, channel_ids, site_ids, announce_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
            args![
                token.user_id,
                token.organisation_id,
                token.name,
                token.hash,
                &abilities,
                token.expires_at,
                token.created_at,
                token.kind,
                token.app_id,
                list_of(token.reach.channels.as_ref()),
                list_of(token.reach.sites.as_ref()),
                token.announce_at,
            ],
        )
        .await?;
    rows.first_mut().map_or(Ok(0), |row| row.get(0))
}

pub(crate) const SELECT: &str = "SELECT t.id, t.user_id, t.organisation_id, t.name, t.abilities, t.expires_at, t.last_used_at, t.created_at,
        t.kind, t.app_id, t.channel_ids, t.site_ids, u.name, u.email
    FROM api_tokens t JOIN users u ON u.id = t.user_id";

pub(crate) fn token(mut row: Row) -> Result<Token> {
    Ok(Token {
        id: row.get(0)?,
        user_id: row.get(1)?,
        organisation_id: row.get(2)?,
        name: row.get(3)?,
        abilities: names(&row.get::<String>(4)?),
        expires_at: row.get(5)?,
        last_used_at: row.get(6)?,
        created_at: row.get(7)?,
        kind: row.get(8)?,
        app_id: row.get(9)?,
        reach: reach(&mut row, 10)?,
        user_name: row.get(12)?,
        user_email: row.get(13)?,
    })
}

/// A person's tokens, or everybody's, the oldest first; no sessions.
pub async fn list(db: &mut impl Db, user: Option<UserId>) -> Result<Vec<Token>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("WHERE t.kind <> ?", args![TokenKind::Session]);
    select.push_some("AND t.user_id = ?", user.map(Bind::value));
    select.push("ORDER BY t.id", Vec::new());
    select.fetch(db).await?.into_iter().map(token).collect()
}

pub async fn by_id(db: &mut impl Db, id: i64) -> Result<Option<Token>> {
    let sql = format!("{SELECT} WHERE t.id = $1");
    db.fetch(&sql, args![id]).await?.pop().map(token).transpose()
}

/// Those of one kind that are bound to an organisation, the newest first.
pub async fn list_bound(
    db: &mut impl Db,
    organisation: OrganisationId,
    kind: TokenKind,
    window: Window<i64>,
) -> Result<Vec<Token>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("WHERE t.organisation_id = ? AND t.kind = ?", args![organisation, kind]);
    select.push_some("AND t.id < ?", window.after.map(Bind::value));
    select.push("ORDER BY t.id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(token).collect()
}

pub async fn count_bound(db: &mut impl Db, organisation: OrganisationId, kind: TokenKind) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM api_tokens WHERE organisation_id = ? AND kind = ?";
    Select::new(sql, args![organisation, kind]).count(db).await
}

/// One of those that [`list_bound`] lists.
pub async fn find_bound(
    db: &mut impl Db,
    organisation: OrganisationId,
    kind: TokenKind,
    id: i64,
) -> Result<Option<Token>> {
    let sql = format!("{SELECT} WHERE t.id = $1 AND t.organisation_id = $2 AND t.kind = $3");
    db.fetch(&sql, args![id, organisation, kind]).await?.pop().map(token).transpose()
}

/// Whosever it is: for commands on the server itself.
pub async fn find_any(db: &mut impl Db, id: i64) -> Result<Option<Token>> {
    db.fetch(&format!("{SELECT} WHERE t.id = $1"), args![id]).await?.pop().map(token).transpose()
}

/// Tokens of which it is time to tell that they are about to expire.
pub async fn expiring(db: &mut impl Db, now: Timestamp, limit: i64) -> Result<Vec<Token>> {
    let sql = format!("{SELECT} WHERE t.announce_at <= $1 ORDER BY t.announce_at LIMIT $2");
    db.fetch(&sql, args![now, limit]).await?.into_iter().map(token).collect()
}

/// Whether nobody else has told of it.
pub async fn announced(tx: &mut Tx, id: i64) -> Result<bool> {
    let sql = "UPDATE api_tokens SET announce_at = NULL WHERE id = $1 AND announce_at IS NOT NULL";
    Ok(tx.execute(sql, args![id]).await? == 1)
}

/// Records a use, unless one at or after `unless_since` is recorded already, and with it a new end, if there is one.
pub async fn touch(
    tx: &mut Tx,
    id: i64,
    now: Timestamp,
    unless_since: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<()> {
    tx.execute(
        "UPDATE api_tokens SET last_used_at = $2, expires_at = COALESCE($4, expires_at)
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
        args![id, now, unless_since, expires_at],
    )
    .await?;
    Ok(())
}

/// Forgets sessions that are over.
pub async fn forget_sessions(tx: &mut Tx, now: Timestamp) -> Result<()> {
    tx.execute("DELETE FROM api_tokens WHERE kind = 2 AND expires_at < $1", args![now]).await?;
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
