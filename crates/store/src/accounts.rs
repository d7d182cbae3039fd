//! Messaging accounts: connected WhatsApp numbers and Telegram bots.

use kabar_domain::channel::ChannelStatus;
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, ChannelId, OrganisationId, Timestamp};
use serde_json::Value as Json;

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// An account that is not retired, or was not when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub organisation_id: OrganisationId,
    pub id: AccountId,
    pub platform: Platform,
    pub status: ChannelStatus,
    /// What webhooks name it by: `phone_number_id`, or the bot's user id.
    pub external_id: String,
    pub display_name: String,
    pub phone_number: Option<String>,
    pub phone_digits: Option<String>,
    pub waba_id: Option<String>,
    /// A bot's name without `@`.
    pub username: Option<String>,
    pub is_default: bool,
    /// Sealed.
    pub credentials: Vec<u8>,
    pub settings: Json,
    pub metadata: Json,
    /// Fingerprints of the app secrets whose signature it accepts, ` 12 -7 `; `None`: the server's own.
    pub signed_by: Option<String>,
    pub verified_name: Option<String>,
    pub quality: Option<String>,
    pub messaging_limit: Option<String>,
    /// What it may send in a second; `None`: what is usual.
    pub messages_per_second: Option<i64>,
    pub last_error: Option<String>,
    pub connected_at: Option<Timestamp>,
    pub checked_at: Option<Timestamp>,
    pub webhook_verified_at: Option<Timestamp>,
    pub last_event_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Its direct line.
    pub channel_id: Option<ChannelId>,
}

/// A widget's account is part of the widget: nobody else sees it.
const SELECT: &str = "SELECT a.organisation_id, a.id, a.platform, a.status, a.external_id, a.display_name,
    a.phone_number, a.phone_digits, a.waba_id, a.username, a.is_default, a.credentials, a.settings, a.metadata,
    a.signed_by, a.verified_name, a.quality, a.messaging_limit, a.last_error, a.connected_at, a.checked_at,
    a.webhook_verified_at, a.last_event_at, a.created_at, a.updated_at,
    (SELECT c.id FROM channels c WHERE c.organisation_id = a.organisation_id AND c.account_id = a.id
        AND c.external_id = '' AND c.deleted_at IS NULL), a.messages_per_second
    FROM accounts a WHERE a.organisation_id = ? AND a.retired_at IS NULL AND a.platform <> 3";

fn account(mut row: Row) -> Result<Account> {
    Ok(Account {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        platform: row.get(2)?,
        status: row.get(3)?,
        external_id: row.get(4)?,
        display_name: row.get(5)?,
        phone_number: row.get(6)?,
        phone_digits: row.get(7)?,
        waba_id: row.get(8)?,
        username: row.get(9)?,
        is_default: row.get(10)?,
        credentials: row.get(11)?,
        settings: row.get(12)?,
        metadata: row.get(13)?,
        signed_by: row.get(14)?,
        verified_name: row.get(15)?,
        quality: row.get(16)?,
        messaging_limit: row.get(17)?,
        last_error: row.get(18)?,
        connected_at: row.get(19)?,
        checked_at: row.get(20)?,
        webhook_verified_at: row.get(21)?,
        last_event_at: row.get(22)?,
        created_at: row.get(23)?,
        updated_at: row.get(24)?,
        channel_id: row.get(25)?,
        messages_per_second: row.get(26)?,
    })
}

fn keep_within(select: &mut Select, channels: Option<&[ChannelId]>) {
    if let Some(channels) = channels {
        let own = "AND EXISTS (SELECT 1 FROM channels r WHERE r.organisation_id = a.organisation_id
            AND r.account_id = a.id AND r.deleted_at IS NULL AND r.id IN";
        select.push_in(own, channels.iter().map(|id| id.value()).collect()).push(")", Vec::new());
    }
}

/// Which accounts to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Nothing beyond the accounts of these channels.
    pub within: Option<&'a [ChannelId]>,
    pub platform: Option<Platform>,
    pub status: Option<ChannelStatus>,
}

impl Filter<'_> {
    fn apply(self, select: &mut Select) {
        keep_within(select, self.within);
        select.push_some("AND a.platform = ?", self.platform.map(Bind::value));
        select.push_some("AND a.status = ?", self.status.map(Bind::value));
    }
}

/// Oldest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: Filter<'_>,
    window: Window<AccountId>,
) -> Result<Vec<Account>> {
    let mut select = Select::new(SELECT, args![organisation]);
    filter.apply(&mut select);
    select.push_some("AND a.id > ?", window.after.map(Bind::value));
    select.push("ORDER BY a.id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(account).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: Filter<'_>) -> Result<i64> {
    let mut select = Select::new(
        "SELECT COUNT(*) FROM accounts a WHERE a.organisation_id = ? AND a.retired_at IS NULL AND a.platform <> 3",
        args![organisation],
    );
    filter.apply(&mut select);
    select.count(db).await
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: AccountId) -> Result<Option<Account>> {
    find_within(db, organisation, id, None).await
}

/// [`find`], if it is the account of one of these channels.
pub async fn find_within(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: AccountId,
    channels: Option<&[ChannelId]>,
) -> Result<Option<Account>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND a.id = ?", args![id]);
    keep_within(&mut select, channels);
    select.fetch_optional(db).await?.map(account).transpose()
}

/// The one of this number or bot.
pub async fn by_external(
    db: &mut impl Db,
    organisation: OrganisationId,
    platform: Platform,
    external_id: &str,
) -> Result<Option<Account>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND a.platform = ? AND a.external_id = ?", args![platform, external_id]);
    select.fetch_optional(db).await?.map(account).transpose()
}

/// The organisation's default account.
pub async fn find_default(db: &mut impl Db, organisation: OrganisationId) -> Result<Option<Account>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND a.is_default", Vec::new());
    select.fetch_optional(db).await?.map(account).transpose()
}

/// The accounts of a WhatsApp business account, the connected ones first.
pub async fn of_waba(db: &mut impl Db, organisation: OrganisationId, waba_id: &str) -> Result<Vec<Account>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND a.platform = 1 AND a.waba_id = ? ORDER BY a.status, a.id", args![waba_id]);
    select.fetch(db).await?.into_iter().map(account).collect()
}

/// Whether any organisation has it registered now. The one question here that looks past a tenant: a provider
/// delivers a number's messages to one place.
pub async fn is_taken(db: &mut impl Db, platform: Platform, external_id: &str) -> Result<bool> {
    let row = db
        .fetch(
            "SELECT 1 FROM accounts WHERE platform = $1 AND external_id = $2 AND retired_at IS NULL",
            args![platform, external_id],
        )
        .await?;
    Ok(!row.is_empty())
}

pub async fn insert(tx: &mut Tx, account: &Account) -> Result<()> {
    tx.execute(
        "INSERT INTO accounts (organisation_id, id, platform, status, external_id, display_name, phone_number,
             phone_digits, waba_id, username, is_default, credentials, settings, metadata, signed_by,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        args![
            account.organisation_id,
            account.id,
            account.platform,
            account.status,
            &account.external_id,
            &account.display_name,
            account.phone_number.as_ref(),
            account.phone_digits.as_ref(),
            account.waba_id.as_ref(),
            account.username.as_ref(),
            account.is_default,
            account.credentials.clone(),
            &account.settings,
            &account.metadata,
            account.signed_by.as_ref(),
            account.created_at,
            account.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// Writes what people may change. What the provider says is written by [`record_check`], the
/// default by [`crate::organisations::set_default_account`].
pub async fn update(tx: &mut Tx, account: &Account) -> Result<()> {
    tx.execute(
        "UPDATE accounts SET display_name = $3, phone_number = $4, phone_digits = $5, waba_id = $6,
             credentials = $7, settings = $8, metadata = $9, signed_by = $10, updated_at = $11
         WHERE organisation_id = $1 AND id = $2",
        args![
            account.organisation_id,
            account.id,
            &account.display_name,
            account.phone_number.as_ref(),
            account.phone_digits.as_ref(),
            account.waba_id.as_ref(),
            account.credentials.clone(),
            &account.settings,
            &account.metadata,
            account.signed_by.as_ref(),
            account.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// What the provider said when it was asked. `None` leaves a column as it is, except `last_error`, which it
/// clears; a phone number that people gave stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    pub status: Option<ChannelStatus>,
    pub phone_number: Option<String>,
    pub phone_digits: Option<String>,
    pub username: Option<String>,
    pub verified_name: Option<String>,
    pub quality: Option<String>,
    pub messaging_limit: Option<String>,
    pub messages_per_second: Option<i64>,
    pub last_error: Option<String>,
    /// The provider confirmed where it delivers to.
    pub webhook_verified: bool,
}

/// Writes a check's outcome to the account, and its status to the account's direct line unless that is archived.
pub async fn record_check(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: AccountId,
    check: &Check,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE accounts SET status = COALESCE($3, status), username = COALESCE($4, username),
             verified_name = COALESCE($5, verified_name), quality = COALESCE($6, quality),
             messaging_limit = COALESCE($7, messaging_limit), last_error = $8, checked_at = $9, updated_at = $9,
             connected_at = CASE WHEN $3 = 1 THEN COALESCE(connected_at, $9) ELSE connected_at END,
             webhook_verified_at = CASE WHEN $10 THEN $9 ELSE webhook_verified_at END,
             phone_number = COALESCE(phone_number, $11), phone_digits = COALESCE(phone_digits, $12),
             messages_per_second = COALESCE($13, messages_per_second)
         WHERE organisation_id = $1 AND id = $2 AND retired_at IS NULL",
        args![
            organisation,
            id,
            check.status,
            check.username.as_ref(),
            check.verified_name.as_ref(),
            check.quality.as_ref(),
            check.messaging_limit.as_ref(),
            check.last_error.as_ref(),
            now,
            check.webhook_verified,
            check.phone_number.as_ref(),
            check.phone_digits.as_ref(),
            check.messages_per_second,
        ],
    )
    .await?;
    if let Some(status) = check.status {
        tx.execute(
            "UPDATE channels SET status = $3, updated_at = $4,
                 connected_at = CASE WHEN $3 = 1 THEN COALESCE(connected_at, $4) ELSE connected_at END
             WHERE organisation_id = $1 AND account_id = $2 AND external_id = '' AND status <> $3 AND status <> $5",
            args![organisation, id, status, now, ChannelStatus::Archived],
        )
        .await?;
    }
    Ok(())
}

/// Takes an account out of service. What was linked to it goes to `heir`; without one, channels stay behind
/// disconnected. Its direct line is archived. The channels that are the heir's now.
///
/// What waits to be sent over it goes first: [`crate::outbound::give_over`].
pub async fn retire(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: AccountId,
    heir: Option<AccountId>,
    now: Timestamp,
) -> Result<Vec<ChannelId>> {
    tx.execute(
        "UPDATE accounts SET retired_at = $3, updated_at = $3, status = $4, is_default = $5
         WHERE organisation_id = $1 AND id = $2",
        args![organisation, id, now, ChannelStatus::Disconnected, false],
    )
    .await?;
    tx.execute(
        "UPDATE channels SET status = $3, archived_at = $4, updated_at = $4
         WHERE organisation_id = $1 AND account_id = $2 AND external_id = '' AND status <> $3",
        args![organisation, id, ChannelStatus::Archived, now],
    )
    .await?;
    let mut moved = Vec::new();
    if let Some(heir) = heir {
        let channels = tx
            .fetch(
                "UPDATE channels SET account_id = $3, updated_at = $4
                 WHERE organisation_id = $1 AND account_id = $2 AND external_id <> '' AND deleted_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM channels o WHERE o.account_id = $3
                       AND o.external_id = channels.external_id AND o.deleted_at IS NULL)
                 RETURNING id",
                args![organisation, id, heir, now],
            )
            .await?;
        moved = channels.into_iter().map(|mut row| row.get(0)).collect::<Result<_>>()?;
    }
    tx.execute(
        "UPDATE channels SET status = $3, updated_at = $4
         WHERE organisation_id = $1 AND account_id = $2 AND deleted_at IS NULL AND status <> $5",
        args![organisation, id, ChannelStatus::Disconnected, now, ChannelStatus::Archived],
    )
    .await?;
    Ok(moved)
}

/// The sealed credentials of an active account.
#[derive(Debug)]
pub struct Sealed {
    pub organisation_id: OrganisationId,
    pub id: AccountId,
    pub platform: Platform,
    pub credentials: Vec<u8>,
}

/// Of every organisation: what webhooks are verified with.
pub async fn credentials(db: &mut impl Db) -> Result<Vec<Sealed>> {
    db.fetch(
        "SELECT organisation_id, id, platform, credentials FROM accounts WHERE retired_at IS NULL ORDER BY id",
        args![],
    )
    .await?
    .iter_mut()
    .map(|row| {
        Ok(Sealed {
            organisation_id: row.get(0)?,
            id: row.get(1)?,
            platform: row.get(2)?,
            credentials: row.get(3)?,
        })
    })
    .collect()
}
