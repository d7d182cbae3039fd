//! Channels: the places where messages flow over an account.

use kabar_domain::channel::{ChannelKind, ChannelStatus};
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, ChannelId, OrganisationId, SiteId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::groups;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// A channel that is not deleted, with what it shows of its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    pub organisation_id: OrganisationId,
    pub id: ChannelId,
    pub account_id: AccountId,
    pub platform: Platform,
    pub kind: ChannelKind,
    pub status: ChannelStatus,
    /// The provider's id of the group or chat; empty for the direct line of an account.
    pub external_id: String,
    pub display_name: String,
    pub purpose: Option<String>,
    pub allow_routine_logs: bool,
    pub allow_issues: bool,
    pub default_site_id: Option<SiteId>,
    pub connected_at: Option<Timestamp>,
    pub last_seen_at: Option<Timestamp>,
    pub archived_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub account: AccountFacts,
}

/// What a channel shows of its account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFacts {
    pub phone_number: Option<String>,
    pub webhook_verified_at: Option<Timestamp>,
    pub last_event_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub retired: bool,
}

impl Channel {
    /// Whether it is the line that came with its account.
    pub const fn is_direct_line(&self) -> bool {
        self.external_id.is_empty()
    }
}

const SELECT: &str =
    "SELECT c.organisation_id, c.id, c.account_id, c.platform, c.kind, c.status, c.external_id,
    c.display_name, c.purpose, c.allow_routine_logs, c.allow_issues, c.default_site_id, c.connected_at,
    c.last_seen_at, c.archived_at, c.created_at, c.updated_at, a.phone_number, a.webhook_verified_at,
    a.last_event_at, a.last_error, a.retired_at
    FROM channels c LEFT JOIN accounts a ON a.organisation_id = c.organisation_id AND a.id = c.account_id
    WHERE c.organisation_id = ? AND c.deleted_at IS NULL";

fn channel(mut row: Row) -> Result<Channel> {
    Ok(Channel {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        account_id: row.get(2)?,
        platform: row.get(3)?,
        kind: row.get(4)?,
        status: row.get(5)?,
        external_id: row.get(6)?,
        display_name: row.get(7)?,
        purpose: row.get(8)?,
        allow_routine_logs: row.get(9)?,
        allow_issues: row.get(10)?,
        default_site_id: row.get(11)?,
        connected_at: row.get(12)?,
        last_seen_at: row.get(13)?,
        archived_at: row.get(14)?,
        created_at: row.get(15)?,
        updated_at: row.get(16)?,
        account: AccountFacts {
            phone_number: row.get(17)?,
            webhook_verified_at: row.get(18)?,
            last_event_at: row.get(19)?,
            last_error: row.get(20)?,
            retired: row.get::<Option<Timestamp>>(21)?.is_some(),
        },
    })
}

/// The states a list can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Everything that is not archived.
    Active,
    Is(ChannelStatus),
}

/// Which channels to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Nothing beyond these channels.
    pub within: Option<&'a [ChannelId]>,
    pub platform: Option<Platform>,
    pub status: Option<StatusFilter>,
    pub kind: Option<ChannelKind>,
    pub account: Option<AccountId>,
}

impl Filter<'_> {
    fn apply(self, select: &mut Select) {
        if let Some(channels) = self.within {
            select.push_in("AND c.id IN", channels.iter().map(|id| id.value()).collect());
        }
        select.push_some("AND c.platform = ?", self.platform.map(Bind::value));
        match self.status {
            Some(StatusFilter::Active) => select.push("AND c.status <> ?", args![ChannelStatus::Archived]),
            Some(StatusFilter::Is(status)) => select.push("AND c.status = ?", args![status]),
            None => select,
        };
        select.push_some("AND c.kind = ?", self.kind.map(Bind::value));
        select.push_some("AND c.account_id = ?", self.account.map(Bind::value));
    }
}

/// Oldest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: Filter<'_>,
    window: Window<ChannelId>,
) -> Result<Vec<Channel>> {
    let mut select = Select::new(SELECT, args![organisation]);
    filter.apply(&mut select);
    select.push_some("AND c.id > ?", window.after.map(Bind::value));
    select.push("ORDER BY c.id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(channel).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: Filter<'_>) -> Result<i64> {
    let mut select = Select::new(
        "SELECT COUNT(*) FROM channels c WHERE c.organisation_id = ? AND c.deleted_at IS NULL",
        args![organisation],
    );
    filter.apply(&mut select);
    select.count(db).await
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: ChannelId) -> Result<Option<Channel>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND c.id = ?", args![id]);
    select.fetch_optional(db).await?.map(channel).transpose()
}

/// The channel of an account for a provider's group or chat id (empty: its direct line).
pub async fn find_external(
    db: &mut impl Db,
    organisation: OrganisationId,
    account: AccountId,
    external_id: &str,
) -> Result<Option<Channel>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND c.account_id = ? AND c.external_id = ?", args![account, external_id]);
    select.fetch_optional(db).await?.map(channel).transpose()
}

/// Keeps other changes of this channel away until the transaction ends; false when there is none.
pub async fn lock(tx: &mut Tx, organisation: OrganisationId, id: ChannelId) -> Result<bool> {
    let sql = format!(
        "SELECT 1 FROM channels WHERE organisation_id = $1 AND id = $2 AND deleted_at IS NULL {}",
        tx.lock_rows()
    );
    Ok(!tx.fetch(&sql, args![organisation, id]).await?.is_empty())
}

pub async fn insert(tx: &mut Tx, channel: &Channel) -> Result<()> {
    tx.execute(
        "INSERT INTO channels (organisation_id, id, account_id, platform, kind, status, external_id, display_name,
             purpose, allow_routine_logs, allow_issues, default_site_id, connected_at, last_seen_at, archived_at,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        args![
            channel.organisation_id,
            channel.id,
            channel.account_id,
            channel.platform,
            channel.kind,
            channel.status,
            &channel.external_id,
            &channel.display_name,
            channel.purpose.as_ref(),
            channel.allow_routine_logs,
            channel.allow_issues,
            channel.default_site_id,
            channel.connected_at,
            channel.last_seen_at,
            channel.archived_at,
            channel.created_at,
            channel.updated_at,
        ],
    )
    .await?;
    note_group(tx, channel).await
}

async fn note_group(tx: &mut Tx, channel: &Channel) -> Result<()> {
    if channel.kind != ChannelKind::Group {
        return Ok(());
    }
    let (organisation, account) = (channel.organisation_id, (channel.account_id, channel.platform));
    groups::note(tx, organisation, account, channel.id, &channel.display_name, channel.updated_at).await
}

/// Writes what people may change.
pub async fn update(tx: &mut Tx, channel: &Channel) -> Result<()> {
    tx.execute(
        "UPDATE channels SET account_id = $3, kind = $4, status = $5, display_name = $6, purpose = $7,
             allow_routine_logs = $8, allow_issues = $9, default_site_id = $10, connected_at = $11,
             archived_at = $12, updated_at = $13
         WHERE organisation_id = $1 AND id = $2",
        args![
            channel.organisation_id,
            channel.id,
            channel.account_id,
            channel.kind,
            channel.status,
            &channel.display_name,
            channel.purpose.as_ref(),
            channel.allow_routine_logs,
            channel.allow_issues,
            channel.default_site_id,
            channel.connected_at,
            channel.archived_at,
            channel.updated_at,
        ],
    )
    .await?;
    note_group(tx, channel).await
}

/// Takes the channel out of every list; what was said there stays.
pub async fn delete(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: ChannelId,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE channels SET deleted_at = $3, updated_at = $3
             WHERE organisation_id = $1 AND id = $2 AND deleted_at IS NULL AND external_id <> ''",
            args![organisation, id, now],
        )
        .await?;
    Ok(changed == 1)
}
