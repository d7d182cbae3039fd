//! Signups of WhatsApp business accounts over Meta's dialog.

use kabar_domain::signup::SignupStatus;
use kabar_domain::{AccountId, OrganisationId, SignupId, Timestamp, UserId};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq)]
pub struct Signup {
    pub organisation_id: OrganisationId,
    pub id: SignupId,
    /// Who began it.
    pub user_id: UserId,
    pub status: SignupStatus,
    /// `None` until the token tells it.
    pub waba_id: Option<String>,
    /// The one number that is wanted; else all.
    pub phone_number_id: Option<String>,
    pub redirect_uri: Option<String>,
    pub code_hash: String,
    /// Sealed; `None` when they are of no more use.
    pub secrets: Option<Vec<u8>>,
    pub steps: Json,
    pub account_ids: Vec<AccountId>,
    /// Counts changes.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const SELECT: &str =
    "SELECT organisation_id, id, user_id, status, waba_id, phone_number_id, redirect_uri, code_hash,
    secrets, steps, account_ids, version, created_at, updated_at FROM signups WHERE organisation_id = ?";

fn signup(mut row: Row) -> Result<Signup> {
    Ok(Signup {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        user_id: row.get(2)?,
        status: row.get(3)?,
        waba_id: row.get(4)?,
        phone_number_id: row.get(5)?,
        redirect_uri: row.get(6)?,
        code_hash: row.get(7)?,
        secrets: row.get(8)?,
        steps: row.get(9)?,
        account_ids: row.json(10)?.unwrap_or_default(),
        version: row.get(11)?,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
    })
}

fn ids(accounts: &[AccountId]) -> Json {
    accounts.iter().map(ToString::to_string).collect()
}

/// Fails with a conflict when the organisation has a signup with this code.
pub async fn insert(tx: &mut Tx, signup: &Signup) -> Result<()> {
    tx.execute(
        "INSERT INTO signups (organisation_id, id, user_id, status, waba_id, phone_number_id, redirect_uri, code_hash,
             secrets, steps, account_ids, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        args![
            signup.organisation_id,
            signup.id,
            signup.user_id,
            signup.status,
            signup.waba_id.as_ref(),
            signup.phone_number_id.as_ref(),
            signup.redirect_uri.as_ref(),
            &signup.code_hash,
            signup.secrets.clone(),
            &signup.steps,
            &ids(&signup.account_ids),
            signup.version,
            signup.created_at,
            signup.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// Writes what the steps change, and counts the version up. `false`: somebody else changed it since it was read.
pub async fn update(tx: &mut Tx, signup: &Signup) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE signups SET status = $4, waba_id = $5, secrets = $6, steps = $7, account_ids = $8, updated_at = $9,
                 version = version + 1
             WHERE organisation_id = $1 AND id = $2 AND version = $3",
            args![
                signup.organisation_id,
                signup.id,
                signup.version,
                signup.status,
                signup.waba_id.as_ref(),
                signup.secrets.clone(),
                &signup.steps,
                &ids(&signup.account_ids),
                signup.updated_at,
            ],
        )
        .await?;
    Ok(changed == 1)
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: SignupId) -> Result<Option<Signup>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND id = ?", args![id]);
    select.fetch_optional(db).await?.map(signup).transpose()
}

pub async fn by_code(db: &mut impl Db, organisation: OrganisationId, hash: &str) -> Result<Option<Signup>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND code_hash = ?", args![hash]);
    select.fetch_optional(db).await?.map(signup).transpose()
}

/// Newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    window: Window<SignupId>,
) -> Result<Vec<Signup>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push_some("AND id < ?", window.after.map(Bind::value));
    select.push("ORDER BY id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(signup).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId) -> Result<i64> {
    Select::new("SELECT COUNT(*) FROM signups WHERE organisation_id = ?", args![organisation]).count(db).await
}

/// Throws away what failed signups would go on with, when nobody took them up since `before`.
pub async fn forget_secrets(tx: &mut Tx, before: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE signups SET secrets = NULL, version = version + 1
         WHERE secrets IS NOT NULL AND updated_at < $1 AND status = $2",
        args![before, SignupStatus::Failed],
    )
    .await?;
    Ok(())
}
