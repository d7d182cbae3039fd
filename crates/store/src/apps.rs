//! Apps that people may connect, the codes they exchange for tokens, and what is connected.

use kabar_domain::{AppId, ConnectionId, FileId, OrganisationId, Timestamp, UserId};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::tokens;
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Who registered it. People of any organisation may connect it.
    pub organisation_id: OrganisationId,
    pub id: AppId,
    /// Unique on the server.
    pub slug: String,
    pub name: String,
    pub homepage: Option<String>,
    pub logo_file_id: Option<FileId>,
    pub redirect_uris: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const SELECT: &str =
    "SELECT organisation_id, id, slug, name, homepage, logo_file_id, redirect_uris, created_at,
    updated_at FROM apps WHERE";

fn app(mut row: Row) -> Result<App> {
    Ok(App {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        slug: row.get(2)?,
        name: row.get(3)?,
        homepage: row.get(4)?,
        logo_file_id: row.get(5)?,
        redirect_uris: row.json(6)?.unwrap_or_default(),
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// Fails with a conflict when the slug is taken.
pub async fn insert(tx: &mut Tx, app: &App) -> Result<()> {
    tx.execute(
        "INSERT INTO apps (organisation_id, id, slug, name, homepage, logo_file_id, redirect_uris, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            app.organisation_id,
            app.id,
            &app.slug,
            &app.name,
            app.homepage.as_ref(),
            app.logo_file_id,
            &Json::from(app.redirect_uris.clone()),
            app.created_at,
            app.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// Fails with a conflict when the slug is taken.
pub async fn update(tx: &mut Tx, app: &App) -> Result<()> {
    tx.execute(
        "UPDATE apps SET slug = $3, name = $4, homepage = $5, logo_file_id = $6, redirect_uris = $7, updated_at = $8
         WHERE organisation_id = $1 AND id = $2",
        args![
            app.organisation_id,
            app.id,
            &app.slug,
            &app.name,
            app.homepage.as_ref(),
            app.logo_file_id,
            &Json::from(app.redirect_uris.clone()),
            app.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// Whether there was one. Its codes go with it; its tokens are the caller's matter.
pub async fn delete(tx: &mut Tx, organisation: OrganisationId, id: AppId) -> Result<bool> {
    let sql = "DELETE FROM apps WHERE organisation_id = $1 AND id = $2";
    let deleted = tx.execute(sql, args![organisation, id]).await? == 1;
    if deleted {
        tx.execute("DELETE FROM connect_codes WHERE app_id = $1", args![id]).await?;
    }
    Ok(deleted)
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: AppId) -> Result<Option<App>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("organisation_id = ? AND id = ?", args![organisation, id]);
    select.fetch_optional(db).await?.map(app).transpose()
}

/// Whoever registered it: for the people who are asked to connect it.
pub async fn by_id(db: &mut impl Db, id: AppId) -> Result<Option<App>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("id = ?", args![id]);
    select.fetch_optional(db).await?.map(app).transpose()
}

/// [`by_id`], by the other name.
pub async fn by_slug(db: &mut impl Db, slug: &str) -> Result<Option<App>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("slug = ?", args![slug]);
    select.fetch_optional(db).await?.map(app).transpose()
}

/// In the order they were registered.
pub async fn list(db: &mut impl Db, organisation: OrganisationId, window: Window<AppId>) -> Result<Vec<App>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("organisation_id = ?", args![organisation]);
    select.push_some("AND id > ?", window.after.map(Bind::value));
    select.push("ORDER BY id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(app).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId) -> Result<i64> {
    Select::new("SELECT COUNT(*) FROM apps WHERE organisation_id = ?", args![organisation]).count(db).await
}

/// What a person allowed on the consent page.
#[derive(Clone, Debug)]
pub struct Code {
    /// Lower-case hexadecimal SHA-256.
    pub hash: String,
    pub app_id: AppId,
    pub organisation_id: OrganisationId,
    pub user_id: UserId,
    pub redirect_uri: String,
    pub abilities: Vec<String>,
    /// Base64url SHA-256 of the PKCE verifier.
    pub challenge: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    /// The token it gave.
    pub token_id: Option<i64>,
}

pub async fn insert_code(tx: &mut Tx, code: &Code) -> Result<()> {
    tx.execute(
        "INSERT INTO connect_codes (code_hash, app_id, organisation_id, user_id, redirect_uri, abilities, challenge,
             created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            &code.hash,
            code.app_id,
            code.organisation_id,
            code.user_id,
            &code.redirect_uri,
            &Json::from(code.abilities.clone()),
            code.challenge.as_ref(),
            code.created_at,
            code.expires_at,
        ],
    )
    .await?;
    Ok(())
}

/// A code that was shown; nobody else uses it until the transaction ends.
pub async fn find_code(tx: &mut Tx, hash: &str) -> Result<Option<Code>> {
    let lock = tx.lock_rows();
    let sql = format!(
        "SELECT code_hash, app_id, organisation_id, user_id, redirect_uri, abilities, challenge, created_at, expires_at,
             used_at, token_id FROM connect_codes WHERE code_hash = $1 {lock}"
    );
    let Some(mut row) = tx.fetch(&sql, args![hash]).await?.pop() else { return Ok(None) };
    Ok(Some(Code {
        hash: row.get(0)?,
        app_id: row.get(1)?,
        organisation_id: row.get(2)?,
        user_id: row.get(3)?,
        redirect_uri: row.get(4)?,
        abilities: row.json(5)?.unwrap_or_default(),
        challenge: row.get(6)?,
        created_at: row.get(7)?,
        expires_at: row.get(8)?,
        used_at: row.get(9)?,
        token_id: row.get(10)?,
    }))
}

pub async fn use_code(tx: &mut Tx, hash: &str, token: i64, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE connect_codes SET used_at = $3, token_id = $2 WHERE code_hash = $1",
        args![hash, token, now],
    )
    .await?;
    Ok(())
}

/// Forgets codes that expired before `before`. A used one is kept so long, so that a replay is known for one.
pub async fn forget_codes(tx: &mut Tx, before: Timestamp) -> Result<()> {
    tx.execute("DELETE FROM connect_codes WHERE expires_at < $1", args![before]).await?;
    Ok(())
}

/// An app that holds tokens of one person in one organisation.
#[derive(Clone, Debug)]
pub struct Connection {
    pub id: ConnectionId,
    pub app_id: AppId,
    pub app_slug: String,
    pub app_name: String,
    pub app_homepage: Option<String>,
    pub user_id: UserId,
    pub user_name: String,
    pub user_email: String,
    /// Of its newest token.
    pub abilities: Vec<String>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// The connection of an app and a person, if there is one.
pub async fn connection_of(
    db: &mut impl Db,
    organisation: OrganisationId,
    app: AppId,
    user: UserId,
) -> Result<Option<ConnectionId>> {
    let mut rows = db
        .fetch(
            "SELECT connection_id FROM api_tokens
             WHERE organisation_id = $1 AND app_id = $2 AND user_id = $3 AND connection_id IS NOT NULL LIMIT 1",
            args![organisation, app, user],
        )
        .await?;
    rows.first_mut().map(|row| row.get(0)).transpose()
}

/// Puts a token under a connection.
pub async fn connect(tx: &mut Tx, token: i64, connection: ConnectionId) -> Result<()> {
    tx.execute("UPDATE api_tokens SET connection_id = $2 WHERE id = $1", args![token, connection]).await?;
    Ok(())
}

/// The newest first; those of one person when there is one.
pub async fn connections(
    db: &mut impl Db,
    organisation: OrganisationId,
    user: Option<UserId>,
    window: Window<ConnectionId>,
) -> Result<Vec<Connection>> {
    let mut select = Select::new(
        "SELECT t.connection_id, a.id, a.slug, a.name, a.homepage, u.id, u.name, u.email, t.abilities, k.since, k.used
         FROM (SELECT MAX(id) AS id, MIN(created_at) AS since, MAX(last_used_at) AS used FROM api_tokens
               WHERE organisation_id = ? AND connection_id IS NOT NULL GROUP BY connection_id) k
         JOIN api_tokens t ON t.id = k.id JOIN apps a ON a.id = t.app_id JOIN users u ON u.id = t.user_id
         WHERE 1 = 1",
        args![organisation],
    );
    select.push_some("AND t.user_id = ?", user.map(Bind::value));
    select.push_some("AND t.connection_id < ?", window.after.map(Bind::value));
    select.push("ORDER BY t.connection_id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(Connection {
                id: row.get(0)?,
                app_id: row.get(1)?,
                app_slug: row.get(2)?,
                app_name: row.get(3)?,
                app_homepage: row.get(4)?,
                user_id: row.get(5)?,
                user_name: row.get(6)?,
                user_email: row.get(7)?,
                abilities: row.json(8)?.unwrap_or_default(),
                created_at: row.get(9)?,
                last_used_at: row.get(10)?,
            })
        })
        .collect()
}

pub async fn count_connections(
    db: &mut impl Db,
    organisation: OrganisationId,
    user: Option<UserId>,
) -> Result<i64> {
    let sql = "SELECT COUNT(DISTINCT connection_id) FROM api_tokens WHERE organisation_id = ?";
    let mut select = Select::new(sql, args![organisation]);
    select.push_some("AND user_id = ?", user.map(Bind::value));
    select.count(db).await
}

/// The tokens of a connection; those of one person when there is one.
pub async fn tokens_of_connection(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: ConnectionId,
    user: Option<UserId>,
) -> Result<Vec<tokens::Token>> {
    let mut select = Select::new(tokens::SELECT, Vec::new());
    select.push("WHERE t.organisation_id = ? AND t.connection_id = ?", args![organisation, id]);
    select.push_some("AND t.user_id = ?", user.map(Bind::value));
    select.fetch(db).await?.into_iter().map(tokens::token).collect()
}

/// All tokens that an app was given, in whichever organisation.
pub async fn tokens_of_app(db: &mut impl Db, id: AppId) -> Result<Vec<tokens::Token>> {
    let mut select = Select::new(tokens::SELECT, Vec::new());
    select.push("WHERE t.app_id = ?", args![id]);
    select.fetch(db).await?.into_iter().map(tokens::token).collect()
}
