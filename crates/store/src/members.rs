//! The members of groups, as providers tell of them.

use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::inbound::Identity;
use kabar_domain::{ChannelId, ContactId, OrganisationId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// A person and a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub contact_id: ContactId,
    pub name: Option<String>,
    pub username: Option<String>,
    /// The name the provider knows them by.
    pub identity: Identity,
    pub role: MemberRole,
    pub status: MemberStatus,
    /// The provider's id of their request to join.
    pub request_id: Option<String>,
    pub joined_at: Option<Timestamp>,
    pub left_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

const SELECT: &str =
    "SELECT m.contact_id, p.name, p.username, m.kind, m.value, m.role, m.status, m.request_id,
    m.joined_at, m.left_at, m.updated_at
    FROM group_members m
    LEFT JOIN contacts p ON p.organisation_id = m.organisation_id AND p.id = m.contact_id
    WHERE m.organisation_id = ? AND m.channel_id = ?";

fn member(mut row: Row) -> Result<Member> {
    Ok(Member {
        contact_id: row.get(0)?,
        name: row.get(1)?,
        username: row.get(2)?,
        identity: Identity { kind: row.get(3)?, value: row.get(4)? },
        role: row.get(5)?,
        status: row.get(6)?,
        request_id: row.get(7)?,
        joined_at: row.get(8)?,
        left_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

fn values(statuses: &[MemberStatus]) -> Vec<crate::Value> {
    statuses.iter().map(|status| status.value()).collect()
}

/// Those of these statuses, in the order of their contacts' ids.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    channel: ChannelId,
    statuses: &[MemberStatus],
    window: Window<ContactId>,
) -> Result<Vec<Member>> {
    let mut select = Select::new(SELECT, args![organisation, channel]);
    select.push_in("AND m.status IN", values(statuses));
    select.push_some("AND m.contact_id > ?", window.after.map(Bind::value));
    select.push("ORDER BY m.contact_id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(member).collect()
}

pub async fn count(
    db: &mut impl Db,
    organisation: OrganisationId,
    channel: ChannelId,
    statuses: &[MemberStatus],
) -> Result<i64> {
    let mut select = Select::new(
        "SELECT COUNT(*) FROM group_members m WHERE m.organisation_id = ? AND m.channel_id = ?",
        args![organisation, channel],
    );
    select.push_in("AND m.status IN", values(statuses));
    select.count(db).await
}

/// What a person has become to a group.
#[derive(Clone, Debug)]
pub struct Change {
    pub contact_id: ContactId,
    pub identity: Identity,
    pub role: MemberRole,
    pub status: MemberStatus,
    pub request_id: Option<String>,
}

/// Writes a change; false when nothing is new in it. With the provider's time `at`, older news does not undo newer;
/// without one it is what we found or did ourselves, and news may follow of any time.
pub async fn change(
    tx: &mut Tx,
    organisation: OrganisationId,
    channel: ChannelId,
    change: &Change,
    at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let happened = at.unwrap_or(now);
    let joined = (change.status == MemberStatus::Joined).then_some(happened);
    let left = matches!(change.status, MemberStatus::Left | MemberStatus::Removed).then_some(happened);
    let written = tx
        .execute(
            "INSERT INTO group_members AS m (organisation_id, channel_id, contact_id, kind, value, role, status,
                 request_id, joined_at, left_at, changed_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             ON CONFLICT (organisation_id, channel_id, contact_id) DO UPDATE SET
                 kind = excluded.kind, value = excluded.value, role = excluded.role, status = excluded.status,
                 request_id = excluded.request_id,
                 joined_at = CASE WHEN m.status = excluded.status THEN COALESCE(m.joined_at, excluded.joined_at)
                     ELSE COALESCE(excluded.joined_at, m.joined_at) END,
                 left_at = CASE WHEN excluded.joined_at IS NOT NULL THEN NULL
                     ELSE COALESCE(excluded.left_at, m.left_at) END,
                 changed_at = COALESCE(excluded.changed_at, m.changed_at), updated_at = excluded.updated_at
             WHERE (excluded.changed_at IS NOT NULL
                     AND (m.changed_at IS NULL OR excluded.changed_at > m.changed_at))
                 OR ((excluded.changed_at IS NULL OR excluded.changed_at = m.changed_at)
                     AND (excluded.status <> m.status OR excluded.role <> m.role
                          OR COALESCE(excluded.request_id, '') <> COALESCE(m.request_id, '')))",
            args![
                organisation,
                channel,
                change.contact_id,
                change.identity.kind,
                &change.identity.value,
                change.role,
                change.status,
                change.request_id.as_ref(),
                joined,
                left,
                at,
                now,
            ],
        )
        .await?;
    Ok(written == 1)
}

/// Everybody is out of a group that is no more.
pub async fn dissolve(
    tx: &mut Tx,
    organisation: OrganisationId,
    channel: ChannelId,
    at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE group_members SET status = $3, left_at = $4, changed_at = $4, updated_at = $5
         WHERE organisation_id = $1 AND channel_id = $2 AND status = $6",
        args![organisation, channel, MemberStatus::Left, at, now, MemberStatus::Joined],
    )
    .await?;
    tx.execute(
        "UPDATE group_members SET status = $3, updated_at = $4
         WHERE organisation_id = $1 AND channel_id = $2 AND status IN ($5, $6)",
        args![
            organisation,
            channel,
            MemberStatus::Declined,
            now,
            MemberStatus::Invited,
            MemberStatus::Requested
        ],
    )
    .await?;
    Ok(())
}
