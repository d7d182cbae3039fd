//! Groups: what is known of them beside their channels, and how those asked for come to be.

use kabar_domain::channel::{ChannelKind, ChannelStatus, GroupState, MemberStatus};
use kabar_domain::inbound::GroupFacts;
use kabar_domain::message::{Platform, ProviderError};
use kabar_domain::{AccountId, ChannelId, OrganisationId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// A group, or the request for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub organisation_id: OrganisationId,
    /// Of its channel too, once that is there.
    pub id: ChannelId,
    /// That it is reached over.
    pub account_id: AccountId,
    pub platform: Platform,
    pub state: GroupState,
    pub subject: String,
    pub description: Option<String>,
    pub invite_link: Option<String>,
    /// `auto_approve` or `approval_required`.
    pub join_approval_mode: Option<String>,
    pub suspended: bool,
    pub error: Option<ProviderError>,
    pub asked_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The provider's id; `None` while the group is not there.
    pub external_id: Option<String>,
    pub channel_status: Option<ChannelStatus>,
    /// Members that joined, as far as the provider told.
    pub participants: i64,
}

const FROM: &str = "FROM groups g
    LEFT JOIN channels c ON c.organisation_id = g.organisation_id AND c.id = g.id AND c.deleted_at IS NULL";

/// `$1` is the organisation, `$2` a member's status, `$3` a channel's kind. A group whose channel was taken away, or
/// is no longer a group's, is gone; so are traces of what we did not ask for.
const KNOWN: &str = "WHERE g.organisation_id = ? AND g.replaced_by IS NULL
    AND (c.kind = ? OR (c.id IS NULL AND g.state < 5 AND g.asked_at IS NOT NULL))";

fn select(organisation: OrganisationId) -> Select {
    let columns = "SELECT g.organisation_id, g.id, COALESCE(c.account_id, g.account_id), g.platform, g.state, g.subject,
        g.description, g.invite_link, g.join_approval_mode, g.suspended, g.error, g.asked_at, g.created_at,
        g.updated_at, c.external_id, c.status,
        (SELECT COUNT(*) FROM group_members m WHERE m.organisation_id = g.organisation_id
            AND m.channel_id = g.id AND m.status = ?)";
    let mut select = Select::new(columns, args![MemberStatus::Joined]);
    select.push(FROM, args![]).push(KNOWN, args![organisation, ChannelKind::Group]);
    select
}

fn group(mut row: Row) -> Result<Group> {
    Ok(Group {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        account_id: row.get(2)?,
        platform: row.get(3)?,
        state: row.get(4)?,
        subject: row.get(5)?,
        description: row.get(6)?,
        invite_link: row.get(7)?,
        join_approval_mode: row.get(8)?,
        suspended: row.get(9)?,
        error: row.json(10)?,
        asked_at: row.get(11)?,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
        external_id: row.get(14)?,
        channel_status: row.get(15)?,
        participants: row.get(16)?,
    })
}

/// Oldest first; deleted ones are left out.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    platform: Option<Platform>,
    window: Window<ChannelId>,
) -> Result<Vec<Group>> {
    let mut select = select(organisation);
    select.push("AND g.state <> ?", args![GroupState::Deleted]);
    select.push_some("AND g.platform = ?", platform.map(Bind::value));
    select.push_some("AND g.id > ?", window.after.map(Bind::value));
    select.push("ORDER BY g.id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(group).collect()
}

pub async fn count(
    db: &mut impl Db,
    organisation: OrganisationId,
    platform: Option<Platform>,
) -> Result<i64> {
    let mut select = Select::new("SELECT COUNT(*)", args![]);
    select.push(FROM, args![]).push(KNOWN, args![organisation, ChannelKind::Group]);
    select.push("AND g.state <> ?", args![GroupState::Deleted]);
    select.push_some("AND g.platform = ?", platform.map(Bind::value));
    select.count(db).await
}

/// By its own id, or by that of the request it came of.
pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: ChannelId) -> Result<Option<Group>> {
    let mut select = select(organisation);
    select.push(
        "AND g.id = COALESCE((SELECT r.replaced_by FROM groups r WHERE r.organisation_id = ? AND r.id = ?), ?)",
        args![organisation, id, id],
    );
    select.fetch_optional(db).await?.map(group).transpose()
}

/// By the provider's id; the oldest, where several accounts are in it.
pub async fn find_external(
    db: &mut impl Db,
    organisation: OrganisationId,
    external_id: &str,
) -> Result<Option<Group>> {
    let mut select = select(organisation);
    select.push("AND c.external_id = ? ORDER BY g.id LIMIT 1", args![external_id]);
    select.fetch_optional(db).await?.map(group).transpose()
}

/// Notes a group beside its channel; one that is noted already stays.
pub async fn note(
    tx: &mut Tx,
    organisation: OrganisationId,
    (account, platform): (AccountId, Platform),
    id: ChannelId,
    subject: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO groups (organisation_id, id, account_id, platform, state, subject, suspended, created_at,
             updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING",
        args![organisation, id, account, platform, GroupState::There, subject, false, now],
    )
    .await?;
    Ok(())
}

/// Notes that a group is about to be asked for.
pub async fn ask(tx: &mut Tx, group: &Group) -> Result<()> {
    tx.execute(
        "INSERT INTO groups (organisation_id, id, account_id, platform, state, subject, description,
             join_approval_mode, suspended, asked_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10)",
        args![
            group.organisation_id,
            group.id,
            group.account_id,
            group.platform,
            GroupState::Asking,
            &group.subject,
            group.description.as_ref(),
            group.join_approval_mode.as_ref(),
            false,
            group.created_at,
        ],
    )
    .await?;
    Ok(())
}

/// Forgets a group that was not made.
pub async fn forget(tx: &mut Tx, organisation: OrganisationId, id: ChannelId) -> Result<bool> {
    let sql = "DELETE FROM groups WHERE organisation_id = $1 AND id = $2 AND state < 5";
    Ok(tx.execute(sql, args![organisation, id]).await? == 1)
}

/// What an answer to a request found: its group may have been told of before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The webhook is still to come.
    Waiting,
    /// The group is there, in this channel.
    There(ChannelId),
    /// The webhook said why not.
    Failed,
}

/// The provider took the request under this id. The caller holds the organisation's lock, as the applier does: a
/// webhook comes either before or after.
pub async fn accept(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    id: ChannelId,
    request_id: &str,
    now: Timestamp,
) -> Result<Answered> {
    let told = tx
        .fetch_optional(
            "SELECT id, state, asked_at FROM groups
             WHERE organisation_id = $1 AND account_id = $2 AND request_id = $3",
            args![organisation, account, request_id],
        )
        .await?;
    let Some(mut told) = told else {
        set_state(tx, organisation, id, GroupState::Requested, Some(request_id), now).await?;
        return Ok(Answered::Waiting);
    };
    let (found, state): (ChannelId, GroupState) = (told.get(0)?, told.get(1)?);
    if told.get::<Option<Timestamp>>(2)?.is_some() {
        // A request whose answer was lost was taken for this one: it waits for the other's webhook now.
        set_state(tx, organisation, id, GroupState::Uncertain, None, now).await?;
        return Ok(Answered::Waiting);
    }
    if state == GroupState::Failed {
        tx.execute(
            "UPDATE groups SET state = $4, request_id = $5, updated_at = $6,
                 error = (SELECT told.error FROM groups told WHERE told.organisation_id = $1 AND told.id = $3)
             WHERE organisation_id = $1 AND id = $2",
            args![organisation, id, found, GroupState::Failed, request_id, now],
        )
        .await?;
        forget(tx, organisation, found).await?;
        return Ok(Answered::Failed);
    }
    replace(tx, organisation, id, found, now).await?;
    Ok(Answered::There(found))
}

/// The answer to a request was lost. A group of that subject which nobody asked for, told of since, is taken for it.
pub async fn lose(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: ChannelId,
    now: Timestamp,
) -> Result<Answered> {
    let found = tx
        .fetch_optional(
            "SELECT t.id FROM groups g JOIN groups t ON t.organisation_id = g.organisation_id
                 AND t.account_id = g.account_id AND t.subject = g.subject AND t.created_at >= g.asked_at
             WHERE g.organisation_id = $1 AND g.id = $2 AND t.state = $3 AND t.asked_at IS NULL
               AND t.request_id IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM groups r WHERE r.organisation_id = $1 AND r.replaced_by = t.id)
             ORDER BY t.id LIMIT 1",
            args![organisation, id, GroupState::There],
        )
        .await?;
    let Some(mut row) = found else {
        set_state(tx, organisation, id, GroupState::Uncertain, None, now).await?;
        return Ok(Answered::Waiting);
    };
    let found = row.get(0)?;
    replace(tx, organisation, id, found, now).await?;
    Ok(Answered::There(found))
}

/// Requests that were being made before this time: whoever made them is gone. Those changed.
pub async fn lose_abandoned(
    tx: &mut Tx,
    before: Timestamp,
    now: Timestamp,
) -> Result<Vec<(OrganisationId, ChannelId)>> {
    let rows = tx
        .fetch(
            "UPDATE groups SET state = $1, updated_at = $2 WHERE state = $3 AND asked_at < $4
             RETURNING organisation_id, id",
            args![GroupState::Uncertain, now, GroupState::Asking, before],
        )
        .await?;
    rows.into_iter().map(|mut row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Whether [`lose_abandoned`] has anything to do.
pub async fn has_abandoned(db: &mut impl Db, before: Timestamp) -> Result<bool> {
    let sql = "SELECT 1 FROM groups WHERE state = $1 AND asked_at < $2 LIMIT 1";
    Ok(!db.fetch(sql, args![GroupState::Asking, before]).await?.is_empty())
}

async fn set_state(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: ChannelId,
    state: GroupState,
    request_id: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE groups SET state = $3, request_id = $4, updated_at = $5 WHERE organisation_id = $1 AND id = $2",
        args![organisation, id, state, request_id, now],
    )
    .await?;
    Ok(())
}

/// A request turns out to be about a group that has a channel already; that one is in service now.
async fn replace(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: ChannelId,
    by: ChannelId,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE groups SET replaced_by = $3, state = $4, updated_at = $5 WHERE organisation_id = $1 AND id = $2",
        args![organisation, id, by, GroupState::There, now],
    )
    .await?;
    connect(tx, organisation, by, now).await
}

/// A group that we asked for needs nobody's approval.
pub async fn connect(tx: &mut Tx, organisation: OrganisationId, id: ChannelId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE channels SET status = $3, connected_at = COALESCE(connected_at, $4), updated_at = $4
         WHERE organisation_id = $1 AND id = $2 AND status <> $5",
        args![organisation, id, ChannelStatus::Connected, now, ChannelStatus::Archived],
    )
    .await?;
    Ok(())
}

/// The request that a group came of: the one with that id, else the oldest of that subject whose answer was lost.
/// With `there`, the group has that channel already.
pub async fn claim(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    (request_id, subject): (Option<&str>, Option<&str>),
    there: Option<ChannelId>,
    now: Timestamp,
) -> Result<Option<ChannelId>> {
    let found = tx
        .fetch_optional(
            "SELECT id FROM groups WHERE organisation_id = $1 AND account_id = $2
               AND (state = $3 AND request_id = $4 OR state = $5 AND subject = $6)
             ORDER BY state, id LIMIT 1",
            args![organisation, account, GroupState::Requested, request_id, GroupState::Uncertain, subject],
        )
        .await?;
    let Some(mut row) = found else { return Ok(None) };
    let id: ChannelId = row.get(0)?;
    match there {
        Some(there) => replace(tx, organisation, id, there, now).await?,
        None => set_state(tx, organisation, id, GroupState::There, request_id, now).await?,
    }
    Ok(Some(id))
}

/// A request came to nothing. Nobody's is noted as `trace` until its answer comes. The request that failed.
pub async fn fail(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    request_id: &str,
    error: &ProviderError,
    trace: ChannelId,
    now: Timestamp,
) -> Result<Option<ChannelId>> {
    let error = serde_json::to_string(error).unwrap_or_default();
    let row = tx
        .fetch_optional(
            "UPDATE groups SET state = $4, error = $5, updated_at = $6
             WHERE organisation_id = $1 AND account_id = $2 AND request_id = $3 AND state = $7 RETURNING id",
            args![organisation, account, request_id, GroupState::Failed, &error, now, GroupState::Requested],
        )
        .await?;
    if let Some(mut row) = row {
        return Ok(Some(row.get(0)?));
    }
    tx.execute(
        "INSERT INTO groups (organisation_id, id, account_id, platform, state, subject, suspended, request_id, error,
             created_at, updated_at)
         SELECT $1, $2, $3, $4, $5, '', $6, $7, $8, $9, $9
         WHERE NOT EXISTS (SELECT 1 FROM groups WHERE organisation_id = $1 AND account_id = $3 AND request_id = $7)",
        args![
            organisation,
            trace,
            account,
            Platform::Whatsapp,
            GroupState::Failed,
            false,
            request_id,
            &error,
            now
        ],
    )
    .await?;
    Ok(None)
}

/// Writes what is known now; absent facts stay. An empty description is none.
pub async fn learn(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: ChannelId,
    request_id: Option<&str>,
    facts: &GroupFacts,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE groups SET subject = COALESCE($3, subject),
             description = CASE WHEN $4 = '' THEN NULL ELSE COALESCE($4, description) END,
             invite_link = COALESCE($5, invite_link), join_approval_mode = COALESCE($6, join_approval_mode),
             suspended = COALESCE($7, suspended), request_id = COALESCE($8, request_id), updated_at = $9
         WHERE organisation_id = $1 AND id = $2",
        args![
            organisation,
            id,
            facts.title.as_ref(),
            facts.description.as_ref(),
            facts.invite_link.as_ref(),
            facts.join_approval_mode.as_ref(),
            facts.suspended,
            request_id,
            now,
        ],
    )
    .await?;
    Ok(())
}

/// The group is no more.
pub async fn delete(tx: &mut Tx, organisation: OrganisationId, id: ChannelId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE groups SET state = $3, updated_at = $4 WHERE organisation_id = $1 AND id = $2",
        args![organisation, id, GroupState::Deleted, now],
    )
    .await?;
    Ok(())
}

/// Whether somebody here asked for it.
pub async fn is_ours(db: &mut impl Db, organisation: OrganisationId, id: ChannelId) -> Result<bool> {
    let sql = "SELECT 1 FROM groups WHERE organisation_id = $1
         AND (id = $2 AND asked_at IS NOT NULL OR replaced_by = $2)";
    Ok(!db.fetch(sql, args![organisation, id]).await?.is_empty())
}
