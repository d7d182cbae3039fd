//! Files, the objects that hold their bytes, and what providers call them.

pub mod drafts;

use std::collections::HashMap;

use kabar_domain::file::{FileOrigin, FileStatus};
use kabar_domain::{AccountId, ChannelId, FileId, MessageId, OrganisationId, Timestamp};

use crate::counters;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};
use crate::{Rows, args, of};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub organisation_id: OrganisationId,
    pub id: FileId,
    pub status: FileStatus,
    pub origin: FileOrigin,
    pub mime_type: Option<String>,
    pub filename: Option<String>,
    /// Set when stored; lowercase hexadecimal.
    pub sha256: Option<String>,
    /// Bytes; set when stored.
    pub size: Option<i64>,
    /// Why it is missing.
    pub reason: Option<String>,
    /// Of a message's file: over which account it is fetched, and by what id.
    pub account_id: Option<AccountId>,
    pub message_id: Option<MessageId>,
    pub provider_id: Option<String>,
    /// Of one fetched from an address.
    pub url: Option<String>,
    /// What the provider says its content is.
    pub claimed_sha256: Option<String>,
    /// It is a visitor's, and goes then unless it is sent. Only [`drafts`] and links know of it.
    pub draft_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The object with its bytes.
    pub key: Option<String>,
}

const SELECT: &str = "SELECT f.organisation_id, f.id, f.status, f.origin, f.mime_type, f.filename, f.sha256, f.size,
    f.reason, f.account_id, f.message_id, f.provider_id, f.url, f.claimed_sha256, f.created_at, f.updated_at, o.key,
    f.draft_until
    FROM files f LEFT JOIN media_objects o ON o.organisation_id = f.organisation_id AND o.sha256 = f.sha256";

fn file(mut row: Row) -> Result<File> {
    Ok(File {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        status: row.get(2)?,
        origin: row.get(3)?,
        mime_type: row.get(4)?,
        filename: row.get(5)?,
        sha256: row.get(6)?,
        size: row.get(7)?,
        reason: row.get(8)?,
        account_id: row.get(9)?,
        message_id: row.get(10)?,
        provider_id: row.get(11)?,
        url: row.get(12)?,
        claimed_sha256: row.get(13)?,
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
        key: row.get(16)?,
        draft_until: row.get(17)?,
    })
}

fn select(organisation: OrganisationId) -> Select {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("WHERE f.organisation_id = ? AND f.draft_until IS NULL", args![organisation]);
    select
}

/// New files. `key` is not theirs to set: it follows from the content.
pub async fn insert(tx: &mut Tx, files: Vec<File>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("id", of::<FileId>()),
        ("status", of::<FileStatus>()),
        ("origin", of::<FileOrigin>()),
        ("mime_type", of::<String>()),
        ("filename", of::<String>()),
        ("sha256", of::<String>()),
        ("size", of::<i64>()),
        ("account_id", of::<AccountId>()),
        ("message_id", of::<MessageId>()),
        ("provider_id", of::<String>()),
        ("url", of::<String>()),
        ("claimed_sha256", of::<String>()),
        ("draft_until", of::<i64>()),
        ("created_at", of::<i64>()),
        ("updated_at", of::<i64>()),
    ]);
    for file in files {
        rows.push([
            file.organisation_id.value(),
            file.id.value(),
            file.status.value(),
            file.origin.value(),
            file.mime_type.value(),
            file.filename.value(),
            file.sha256.value(),
            file.size.value(),
            file.account_id.value(),
            file.message_id.value(),
            file.provider_id.value(),
            file.url.value(),
            file.claimed_sha256.value(),
            file.draft_until.value(),
            file.created_at.value(),
            file.updated_at.value(),
        ]);
    }
    tx.bulk_insert("files", rows, "").await?;
    Ok(())
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: FileId) -> Result<Option<File>> {
    find_within(db, organisation, id, None).await
}

/// [`find`], if it is one of [`Filter::within`].
pub async fn find_within(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: FileId,
    channels: Option<&[ChannelId]>,
) -> Result<Option<File>> {
    let mut select = select(organisation);
    select.push("AND f.id = ?", args![id]);
    keep_within(&mut select, channels);
    select.fetch_optional(db).await?.map(file).transpose()
}

/// For whoever holds a signed link: the signature says that they may have it.
pub async fn find_linked(db: &mut impl Db, id: FileId) -> Result<Option<File>> {
    let mut select = Select::new(SELECT, Vec::new());
    select.push("WHERE f.id = ?", args![id]);
    select.fetch_optional(db).await?.map(file).transpose()
}

pub async fn find_all(
    db: &mut impl Db,
    organisation: OrganisationId,
    ids: Vec<FileId>,
) -> Result<HashMap<FileId, File>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut select = select(organisation);
    select.push_in("AND f.id IN", ids.into_iter().map(Bind::value).collect());
    let mut found = HashMap::new();
    for row in select.fetch(db).await? {
        let file = file(row)?;
        found.insert(file.id, file);
    }
    Ok(found)
}

/// Which files to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Nothing but what came with messages on these channels.
    pub within: Option<&'a [ChannelId]>,
    pub status: Option<FileStatus>,
}

impl Filter<'_> {
    fn apply(self, select: &mut Select) {
        keep_within(select, self.within);
        select.push_some("AND f.status = ?", self.status.map(Bind::value));
    }
}

fn keep_within(select: &mut Select, channels: Option<&[ChannelId]>) {
    if let Some(channels) = channels {
        let came = "AND EXISTS (SELECT 1 FROM messages m WHERE m.organisation_id = f.organisation_id
            AND m.id = f.message_id AND m.channel_id IN";
        select.push_in(came, channels.iter().map(|id| id.value()).collect()).push(")", Vec::new());
    }
}

/// Newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: Filter<'_>,
    window: Window<FileId>,
) -> Result<Vec<File>> {
    let mut select = select(organisation);
    filter.apply(&mut select);
    select.push_some("AND f.id < ?", window.after.map(Bind::value));
    select.push("ORDER BY f.id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(file).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: Filter<'_>) -> Result<i64> {
    if filter.within.is_none() {
        return counters::files(db, organisation, filter.status).await;
    }
    let mut select = Select::new(
        "SELECT COUNT(*) FROM files f WHERE f.organisation_id = ? AND f.draft_until IS NULL",
        args![organisation],
    );
    filter.apply(&mut select);
    select.count(db).await
}

/// An object that was written.
#[derive(Clone, Debug)]
pub struct Object {
    pub sha256: String,
    pub size: i64,
    pub key: String,
}

/// Keeps the object for its content, unless another with the same content is there. The key of the one that counts.
pub async fn keep_object(
    tx: &mut Tx,
    organisation: OrganisationId,
    object: &Object,
    now: Timestamp,
) -> Result<String> {
    let mut rows = tx
        .fetch(
            // The update changes nothing: it keeps a deletion of the same content waiting.
            "INSERT INTO media_objects (organisation_id, sha256, key, size, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (organisation_id, sha256) DO UPDATE SET sha256 = excluded.sha256 RETURNING key",
            args![organisation, &object.sha256, &object.key, object.size, now],
        )
        .await?;
    rows.first_mut().map_or_else(|| Ok(object.key.clone()), |row| row.get(0))
}

/// The size of an object with this content, kept for the file that is about to refer to it.
pub async fn hold_content(tx: &mut Tx, organisation: OrganisationId, sha256: &str) -> Result<Option<i64>> {
    let lock = tx.lock_rows();
    let sql = format!("SELECT size FROM media_objects WHERE organisation_id = $1 AND sha256 = $2 {lock}");
    let row = tx.fetch_optional(&sql, args![organisation, sha256]).await?;
    row.map(|mut row| row.get(0)).transpose()
}

/// A pending file has its bytes. `false`: it is not pending any more.
pub async fn mark_stored(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: FileId,
    sha256: &str,
    size: i64,
    mime_type: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE files SET status = $3, sha256 = $4, size = $5, mime_type = COALESCE(mime_type, $6), updated_at = $7
             WHERE organisation_id = $1 AND id = $2 AND status = $8",
            args![organisation, id, FileStatus::Stored, sha256, size, mime_type, now, FileStatus::Pending],
        )
        .await?;
    Ok(changed == 1)
}

/// A pending file will not come. `false`: it is not pending any more.
pub async fn mark_missing(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: FileId,
    reason: &str,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE files SET status = $3, reason = $4, updated_at = $5
             WHERE organisation_id = $1 AND id = $2 AND status = $6",
            args![organisation, id, FileStatus::Missing, reason, now, FileStatus::Pending],
        )
        .await?;
    Ok(changed == 1)
}

/// A missing file is fetched again. `false`: it is not missing.
pub async fn mark_pending(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: FileId,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE files SET status = $3, reason = NULL, updated_at = $4
             WHERE organisation_id = $1 AND id = $2 AND status = $5",
            args![organisation, id, FileStatus::Pending, now, FileStatus::Missing],
        )
        .await?;
    Ok(changed == 1)
}

/// Whether a message that waits to be sent needs a file.
pub async fn is_awaited(db: &mut impl Db, organisation: OrganisationId, id: FileId) -> Result<bool> {
    // Cards and fallbacks have their files inside JSON.
    let sql = "SELECT 1 FROM outbound_queue q
         JOIN messages m ON m.organisation_id = q.organisation_id AND m.id = q.message_id
         WHERE q.organisation_id = $1 AND (m.media LIKE $2 OR m.payload LIKE $2 OR m.fallback LIKE $2) LIMIT 1";
    Ok(!db.fetch(sql, args![organisation, format!("%{id}%")]).await?.is_empty())
}

/// What a deletion left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    pub status: FileStatus,
    /// The object that no file refers to any more.
    pub object: Option<String>,
}

pub async fn delete(tx: &mut Tx, organisation: OrganisationId, id: FileId) -> Result<Option<Deleted>> {
    let sql = "DELETE FROM files WHERE organisation_id = $1 AND id = $2 AND draft_until IS NULL
         RETURNING status, sha256";
    match tx.fetch_optional(sql, args![organisation, id]).await? {
        Some(row) => Ok(Some(left_of(tx, organisation, row).await?)),
        None => Ok(None),
    }
}

async fn left_of(tx: &mut Tx, organisation: OrganisationId, mut row: Row) -> Result<Deleted> {
    let (status, sha256): (FileStatus, Option<String>) = (row.get(0)?, row.get(1)?);
    let Some(sha256) = sha256 else { return Ok(Deleted { status, object: None }) };
    // Locked before it is looked whether anybody else refers to it: who stores the same content waits.
    hold_content(tx, organisation, &sha256).await?;
    let sql = "SELECT 1 FROM files WHERE organisation_id = $1 AND sha256 = $2 LIMIT 1";
    if tx.fetch_optional(sql, args![organisation, &sha256]).await?.is_some() {
        return Ok(Deleted { status, object: None });
    }
    tx.execute(
        "DELETE FROM media_uploads WHERE organisation_id = $1 AND sha256 = $2",
        args![organisation, &sha256],
    )
    .await?;
    let sql = "DELETE FROM media_objects WHERE organisation_id = $1 AND sha256 = $2 RETURNING key";
    let object = tx.fetch_optional(sql, args![organisation, &sha256]).await?;
    Ok(Deleted { status, object: object.map(|mut row| row.get(0)).transpose()? })
}

/// What was given to a provider: over which account, which content, as what.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    pub organisation_id: OrganisationId,
    pub account_id: AccountId,
    pub sha256: &'a str,
    pub kind: &'a str,
}

/// What the provider calls it, if it knows it for longer than `until`.
pub async fn uploaded(db: &mut impl Db, upload: Upload<'_>, until: Timestamp) -> Result<Option<String>> {
    let row = db
        .fetch(
            "SELECT provider_id FROM media_uploads WHERE organisation_id = $1 AND account_id = $2 AND sha256 = $3
             AND kind = $4 AND expires_at > $5",
            args![upload.organisation_id, upload.account_id, upload.sha256, upload.kind, until],
        )
        .await?;
    row.into_iter().next().map(|mut row| row.get(0)).transpose()
}

pub async fn keep_upload(
    tx: &mut Tx,
    upload: Upload<'_>,
    provider_id: &str,
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO media_uploads (organisation_id, account_id, sha256, kind, provider_id, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (organisation_id, account_id, sha256, kind)
         DO UPDATE SET provider_id = excluded.provider_id, expires_at = excluded.expires_at",
        args![upload.organisation_id, upload.account_id, upload.sha256, upload.kind, provider_id, expires_at],
    )
    .await?;
    Ok(())
}

/// The provider does not know it by this id any more.
pub async fn forget_upload(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    provider_id: &str,
) -> Result<bool> {
    let changed = tx
        .execute(
            "DELETE FROM media_uploads WHERE organisation_id = $1 AND account_id = $2 AND provider_id = $3",
            args![organisation, account, provider_id],
        )
        .await?;
    Ok(changed > 0)
}

/// Drops ids of every organisation that providers forgot before `now`.
pub async fn purge_uploads(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    tx.execute("DELETE FROM media_uploads WHERE expires_at < $1", args![now]).await
}
