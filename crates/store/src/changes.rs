//! What the rarer inbound events change, one row at a time.

use kabar_domain::channel::ChannelStatus;
use kabar_domain::inbound::{AccountChange, Identity, IdentityKind};
use kabar_domain::message::Media;
use kabar_domain::{AccountId, ChannelId, ContactId, ConversationId, MessageId, OrganisationId, Timestamp};
use uuid::Uuid;

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};

/// A message's new content.
#[derive(Debug)]
pub struct EditedMessage<'a> {
    pub provider_key: Uuid,
    pub body: Option<&'a str>,
    pub media: Option<String>,
    pub payload: Option<String>,
    pub at: Timestamp,
}

/// What an edit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    Changed(MessageId, ConversationId),
    /// This edit, or a later one, is there already.
    Overtaken,
    /// The message is not here.
    Unknown,
}

/// A message's files as they stand, by its provider key.
pub async fn media_of(
    db: &mut impl Db,
    organisation: OrganisationId,
    provider_key: Uuid,
) -> Result<Option<(MessageId, Vec<Media>)>> {
    let sql = "SELECT id, media FROM messages WHERE organisation_id = $1 AND provider_key = $2";
    let rows = db.fetch(sql, args![organisation, provider_key]).await?;
    rows.into_iter().next().map(|mut row| Ok((row.get(0)?, row.json(1)?.unwrap_or_default()))).transpose()
}

pub async fn edit_message(
    tx: &mut Tx,
    organisation: OrganisationId,
    edit: EditedMessage<'_>,
) -> Result<Edited> {
    let key = edit.provider_key;
    let row = tx
        .fetch_optional(
            "UPDATE messages SET body = $2, media = COALESCE($3, media), payload = COALESCE($4, payload),
                 edited_at = $1
             WHERE organisation_id = $5 AND provider_key = $6 AND (edited_at IS NULL OR edited_at < $1)
             RETURNING id, conversation_id",
            args![edit.at, edit.body, edit.media, edit.payload, organisation, key],
        )
        .await?;
    if let Some(mut row) = row {
        return Ok(Edited::Changed(row.get(0)?, row.get(1)?));
    }
    let sql = "SELECT 1 FROM messages WHERE organisation_id = $1 AND provider_key = $2";
    let is_known = tx.fetch_optional(sql, args![organisation, key]).await?.is_some();
    Ok(if is_known { Edited::Overtaken } else { Edited::Unknown })
}

/// Marks a message as deleted by its sender; what it said stays with us. `None`: it is not here, or is marked already.
pub async fn revoke_message(
    tx: &mut Tx,
    organisation: OrganisationId,
    provider_key: Uuid,
    at: Timestamp,
) -> Result<Option<(MessageId, ConversationId)>> {
    let row = tx
        .fetch_optional(
            "UPDATE messages SET revoked_at = $1
             WHERE organisation_id = $2 AND provider_key = $3 AND revoked_at IS NULL RETURNING id, conversation_id",
            args![at, organisation, provider_key],
        )
        .await?;
    row.map(|mut row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// Gives a contact another identity. A former phone number is given up: it may be somebody else's tomorrow.
pub async fn change_identity(
    tx: &mut Tx,
    organisation: OrganisationId,
    old: &Identity,
    new: &Identity,
    now: Timestamp,
) -> Result<Option<ContactId>> {
    let Some(mut row) = tx
        .fetch_optional(
            "SELECT contact_id FROM contact_identities WHERE organisation_id = $1 AND kind = $2 AND value = $3",
            args![organisation, old.kind, &old.value],
        )
        .await?
    else {
        return Ok(None);
    };
    let contact: ContactId = row.get(0)?;
    let added = tx
        .execute(
            "INSERT INTO contact_identities (organisation_id, kind, value, contact_id) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            args![organisation, new.kind, &new.value, contact],
        )
        .await?;
    if added == 0 {
        return Ok(None);
    }
    tx.execute(
        "DELETE FROM contact_identities WHERE organisation_id = $1 AND kind = $2 AND value = $3",
        args![organisation, old.kind, &old.value],
    )
    .await?;
    if new.kind == IdentityKind::WaId {
        let phone = format!("+{}", new.value);
        tx.execute(
            "UPDATE contacts SET wa_id = $1, phone = $2, search = search || ' ' || $2, updated_at = $3
             WHERE organisation_id = $4 AND id = $5",
            args![&new.value, phone, now, organisation, contact],
        )
        .await?;
    }
    Ok(Some(contact))
}

/// A group got another provider id.
pub async fn rename_group(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    old: &str,
    new: &str,
    now: Timestamp,
) -> Result<Option<ChannelId>> {
    let row = tx
        .fetch_optional(
            "UPDATE channels SET external_id = $1, updated_at = $2
             WHERE organisation_id = $3 AND account_id = $4 AND external_id = $5 AND deleted_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM channels taken WHERE taken.account_id = $4
                               AND taken.external_id = $1 AND taken.deleted_at IS NULL)
             RETURNING id",
            args![new, now, organisation, account, old],
        )
        .await?;
    row.map(|mut row| row.get(0)).transpose()
}

/// A group's new title or standing; archived channels keep their status.
pub async fn change_group(
    tx: &mut Tx,
    organisation: OrganisationId,
    channel: ChannelId,
    title: Option<&str>,
    status: Option<ChannelStatus>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE channels SET display_name = COALESCE($1, display_name),
             status = CASE WHEN status = 4 OR $2 IS NULL THEN status ELSE $2 END, updated_at = $3
         WHERE organisation_id = $4 AND id = $5",
        args![title, status, now, organisation, channel],
    )
    .await?;
    if let Some(title) = title {
        tx.execute(
            "UPDATE conversations SET title = $1, updated_at = $2
             WHERE organisation_id = $3 AND peer_id = $4 AND channel_id = $5 AND topic = ''",
            args![title, now, organisation, channel.uuid(), channel],
        )
        .await?;
    }
    Ok(())
}

pub async fn channel_status(
    db: &mut impl Db,
    organisation: OrganisationId,
    channel: ChannelId,
) -> Result<Option<ChannelStatus>> {
    let mut rows = db
        .fetch(
            "SELECT status FROM channels WHERE organisation_id = $1 AND id = $2",
            args![organisation, channel],
        )
        .await?;
    rows.first_mut().map(|row| row.get(0)).transpose()
}

/// An account's new state as the provider reports it.
pub async fn change_account(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    change: &AccountChange,
    now: Timestamp,
) -> Result<()> {
    let status =
        change.connected.map(|up| if up { ChannelStatus::Connected } else { ChannelStatus::Disconnected });
    tx.execute(
        "UPDATE accounts SET status = COALESCE($1, status), quality = COALESCE($2, quality),
             messaging_limit = COALESCE($3, messaging_limit), verified_name = COALESCE($4, verified_name),
             last_error = CASE WHEN $5 IS NOT NULL THEN $5 WHEN $1 = 1 THEN NULL ELSE last_error END,
             updated_at = $6
         WHERE organisation_id = $7 AND id = $8",
        args![
            status,
            change.quality.as_deref(),
            change.messaging_limit.as_deref(),
            change.verified_name.as_deref(),
            change.problem.as_deref(),
            now,
            organisation,
            account
        ],
    )
    .await?;
    if let Some(status) = status {
        tx.execute(
            "UPDATE channels SET status = $1, updated_at = $2 WHERE organisation_id = $3 AND account_id = $4
               AND kind = 1 AND status IN (1, 2, 3) AND deleted_at IS NULL",
            args![status, now, organisation, account],
        )
        .await?;
    }
    Ok(())
}
