//! Templates: what WhatsApp lets a business write first, and what is prepared here for it.

use kabar_domain::inbound::TemplateChange;
use kabar_domain::{ChannelId, OrganisationId, TemplateId, Timestamp};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::args;
use crate::contacts::search_text;
use crate::error::Result;
use crate::select::{Select, Window, contains};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub organisation_id: OrganisationId,
    pub id: TemplateId,
    pub waba_id: String,
    /// WhatsApp's id; a draft has none.
    pub provider_id: Option<String>,
    pub name: String,
    /// With `_`, as `en_US`.
    pub language: String,
    pub status: String,
    pub category: Option<String>,
    pub previous_category: Option<String>,
    pub quality: Option<String>,
    pub reason: Option<String>,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: Option<String>,
    /// A list, in WhatsApp's form. `None`: only a webhook has named it so far.
    pub components: Option<Json>,
    /// How long WhatsApp tries to deliver it.
    pub ttl_seconds: Option<i64>,
    /// On a draft: it is being given to WhatsApp, or nobody knows what came of it.
    pub submitted_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When its business account's templates were last read.
    pub synced_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT t.organisation_id, t.id, t.waba_id, t.provider_id, t.name, t.language, t.status,
    t.category, t.previous_category, t.quality, t.reason, t.parameter_format, t.components, t.ttl_seconds,
    t.submitted_at, t.deleted_at, t.created_at, t.updated_at,
    (SELECT s.synced_at FROM template_syncs s WHERE s.organisation_id = t.organisation_id AND s.waba_id = t.waba_id)
    FROM templates t WHERE t.organisation_id = ?";

fn template(mut row: Row) -> Result<Template> {
    Ok(Template {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        waba_id: row.get(2)?,
        provider_id: Some(row.get::<String>(3)?).filter(|id| !id.is_empty()),
        name: row.get(4)?,
        language: row.get(5)?,
        status: row.get(6)?,
        category: row.get(7)?,
        previous_category: row.get(8)?,
        quality: row.get(9)?,
        reason: row.get(10)?,
        parameter_format: row.get(11)?,
        components: row.get(12)?,
        ttl_seconds: row.get(13)?,
        submitted_at: row.get(14)?,
        deleted_at: row.get(15)?,
        created_at: row.get(16)?,
        updated_at: row.get(17)?,
        synced_at: row.get(18)?,
    })
}

fn body_of(components: &Json) -> Option<&str> {
    let components = components.as_array()?;
    let body = components
        .iter()
        .find(|part| part["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("body")));
    body?["text"].as_str()
}

fn search_of(template: &Template) -> String {
    search_text([Some(template.name.as_str()), template.components.as_ref().and_then(body_of)])
}

/// Which templates to list. Those that are gone are listed only by their status, `DELETED`.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<String>,
    pub language: Option<String>,
    pub category: Option<String>,
    pub name: Option<String>,
    /// In lower case, looked for anywhere in name and body.
    pub search: Option<String>,
    pub waba_id: Option<String>,
}

impl Filter {
    fn apply(&self, select: &mut Select) {
        let text = |field: &Option<String>| field.as_ref().map(Bind::value);
        if self.status.as_deref() != Some("DELETED") {
            select.push("AND t.deleted_at IS NULL", Vec::new());
        }
        select.push_some("AND t.status = ?", text(&self.status));
        select.push_some("AND t.language = ?", text(&self.language));
        select.push_some("AND t.category = ?", text(&self.category));
        select.push_some("AND t.name = ?", text(&self.name));
        select.push_some("AND t.waba_id = ?", text(&self.waba_id));
        let search = self.search.as_deref().map(|text| contains(text).value());
        select.push_some(r"AND t.search LIKE ? ESCAPE '\'", search);
    }
}

/// Newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    window: Window<TemplateId>,
) -> Result<Vec<Template>> {
    let mut select = Select::new(SELECT, args![organisation]);
    filter.apply(&mut select);
    select.push_some("AND t.id < ?", window.after.map(Bind::value));
    select.push("ORDER BY t.id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(template).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: &Filter) -> Result<i64> {
    let mut select =
        Select::new("SELECT COUNT(*) FROM templates t WHERE t.organisation_id = ?", args![organisation]);
    filter.apply(&mut select);
    select.count(db).await
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: TemplateId,
) -> Result<Option<Template>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND t.id = ?", args![id]);
    select.fetch_optional(db).await?.map(template).transpose()
}

/// Keeps other changes of this template away until the transaction ends, and reads it; `None` when it is gone.
pub async fn lock(tx: &mut Tx, organisation: OrganisationId, id: TemplateId) -> Result<Option<Template>> {
    let sql = format!(
        "SELECT 1 FROM templates WHERE organisation_id = $1 AND id = $2 AND deleted_at IS NULL {}",
        tx.lock_rows()
    );
    if tx.fetch(&sql, args![organisation, id]).await?.is_empty() {
        return Ok(None);
    }
    find(tx, organisation, id).await
}

/// All of a business account that are not gone, oldest first; by name when one is given.
pub async fn of_waba(
    db: &mut impl Db,
    organisation: OrganisationId,
    waba_id: &str,
    name: Option<&str>,
) -> Result<Vec<Template>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND t.waba_id = ? AND t.deleted_at IS NULL", args![waba_id]);
    select.push_some("AND t.name = ?", name.map(Bind::value));
    select.push("ORDER BY t.id", Vec::new());
    select.fetch(db).await?.into_iter().map(template).collect()
}

/// Those of a business account that can be sent now.
pub async fn approved(
    db: &mut impl Db,
    organisation: OrganisationId,
    waba_id: &str,
) -> Result<Vec<Template>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND t.waba_id = ? AND t.status = 'APPROVED' AND t.deleted_at IS NULL", args![waba_id]);
    select.push("AND t.components IS NOT NULL ORDER BY t.id", Vec::new());
    select.fetch(db).await?.into_iter().map(template).collect()
}

fn columns(template: &Template) -> Vec<crate::Value> {
    args![
        template.organisation_id,
        template.id,
        template.provider_id.as_deref().unwrap_or_default(),
        &template.name,
        &template.language,
        &template.status,
        template.category.as_ref(),
        template.previous_category.as_ref(),
        template.quality.as_ref(),
        template.reason.as_ref(),
        template.parameter_format.as_ref(),
        template.components.as_ref(),
        template.ttl_seconds,
        search_of(template),
        template.submitted_at,
        template.deleted_at,
        template.updated_at,
    ]
}

/// Adds it, unless one of this name and language is there: then `false`.
pub async fn insert(tx: &mut Tx, template: &Template) -> Result<bool> {
    let mut values = columns(template);
    values.extend(args![&template.waba_id, template.created_at]);
    let added = tx
        .execute(
            "INSERT INTO templates (organisation_id, id, provider_id, name, language, status, category,
                 previous_category, quality, reason, parameter_format, components, ttl_seconds, search,
                 submitted_at, deleted_at, updated_at, waba_id, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
             ON CONFLICT DO NOTHING",
            values,
        )
        .await?;
    Ok(added == 1)
}

/// Writes the whole row, unless somebody changed it after `seen`: then `false`.
pub async fn update(tx: &mut Tx, template: &Template, seen: Timestamp) -> Result<bool> {
    let mut values = columns(template);
    values.extend(args![seen]);
    let changed = tx
        .execute(
            "UPDATE templates SET provider_id = $3, name = $4, language = $5, status = $6, category = $7,
                 previous_category = $8, quality = $9, reason = $10, parameter_format = $11, components = $12,
                 ttl_seconds = $13, search = $14, submitted_at = $15, deleted_at = $16, updated_at = $17
             WHERE organisation_id = $1 AND id = $2 AND updated_at <= $18 AND deleted_at IS NULL",
            values,
        )
        .await?;
    Ok(changed == 1)
}

/// A draft that is being submitted becomes WhatsApp's template of its name and language.
pub async fn adopt_draft(
    tx: &mut Tx,
    organisation: OrganisationId,
    waba_id: &str,
    (name, language): (&str, &str),
    provider_id: &str,
) -> Result<Option<TemplateId>> {
    let row = tx
        .fetch_optional(
            "UPDATE templates SET provider_id = $5, status = 'PENDING' WHERE organisation_id = $1 AND waba_id = $2
               AND name = $3 AND language = $4 AND provider_id = '' AND submitted_at IS NOT NULL
               AND deleted_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM templates o WHERE o.organisation_id = $1 AND o.waba_id = $2
                   AND o.name = $3 AND o.language = $4 AND o.provider_id <> '' AND o.deleted_at IS NULL)
             RETURNING id",
            args![organisation, waba_id, name, language, provider_id],
        )
        .await?;
    row.map(|mut row| row.get(0)).transpose()
}

/// Marks a draft as being submitted. `false`: it is not as it was seen, or is being submitted already.
pub async fn claim_draft(tx: &mut Tx, template: &Template, now: Timestamp) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE templates SET submitted_at = $3 WHERE organisation_id = $1 AND id = $2 AND updated_at = $4
               AND provider_id = '' AND submitted_at IS NULL AND deleted_at IS NULL",
            args![template.organisation_id, template.id, now, template.updated_at],
        )
        .await?;
    Ok(changed == 1)
}

/// A draft that was not taken can be changed again; `reason` says why it was not.
pub async fn release_draft(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: TemplateId,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE templates SET submitted_at = NULL, reason = $3, updated_at = $4
         WHERE organisation_id = $1 AND id = $2 AND provider_id = ''",
        args![organisation, id, reason, now],
    )
    .await?;
    Ok(())
}

/// Drafts whose submission before `before` left no trace at WhatsApp can be changed again.
pub async fn release_lost_drafts(
    tx: &mut Tx,
    organisation: OrganisationId,
    waba_id: &str,
    before: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE templates SET submitted_at = NULL WHERE organisation_id = $1 AND waba_id = $2
           AND provider_id = '' AND submitted_at < $3",
        args![organisation, waba_id, before],
    )
    .await?;
    Ok(())
}

/// Takes a draft away for good. `false`: it is no draft, or is being submitted.
pub async fn delete_draft(tx: &mut Tx, organisation: OrganisationId, id: TemplateId) -> Result<bool> {
    let gone = tx
        .execute(
            "DELETE FROM templates WHERE organisation_id = $1 AND id = $2 AND provider_id = ''
               AND submitted_at IS NULL AND deleted_at IS NULL",
            args![organisation, id],
        )
        .await?;
    Ok(gone == 1)
}

/// Marks a template that WhatsApp no longer has, unless it changed after `seen`.
pub async fn mark_deleted(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: TemplateId,
    seen: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE templates SET status = 'DELETED', deleted_at = $4, updated_at = $4
             WHERE organisation_id = $1 AND id = $2 AND deleted_at IS NULL AND updated_at <= $3",
            args![organisation, id, seen, now],
        )
        .await?;
    Ok(changed == 1)
}

/// What a webhook's news came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    pub id: TemplateId,
    /// Its components are known.
    pub complete: bool,
}

/// A template's new state; one that is not known yet is added. `None`: it is said to be gone, and was not here.
pub async fn change(
    tx: &mut Tx,
    organisation: OrganisationId,
    waba_id: &str,
    new_id: TemplateId,
    change: &TemplateChange,
    now: Timestamp,
) -> Result<Option<Changed>> {
    if change.status.as_deref() == Some("DELETED") {
        let row = tx
            .fetch_optional(
                "UPDATE templates SET status = 'DELETED', deleted_at = $5, updated_at = $5
                 WHERE organisation_id = $1 AND waba_id = $2 AND name = $3 AND language = $4
                   AND provider_id <> '' AND deleted_at IS NULL RETURNING id",
                args![organisation, waba_id, &change.name, &change.language, now],
            )
            .await?;
        return row.map(|mut row| Ok(Changed { id: row.get(0)?, complete: true })).transpose();
    }
    let named = (change.name.as_str(), change.language.as_str());
    adopt_draft(tx, organisation, waba_id, named, &change.provider_id).await?;
    let mut rows = tx
        .fetch(
            "INSERT INTO templates (organisation_id, id, waba_id, provider_id, name, language, status, category,
                 quality, reason, search, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, COALESCE($7, 'PENDING'), $8, $9, $10, $5, $11, $11)
             ON CONFLICT (organisation_id, waba_id, name, language) WHERE deleted_at IS NULL AND provider_id <> ''
             DO UPDATE SET provider_id = excluded.provider_id, status = COALESCE($7, templates.status),
                 previous_category = CASE WHEN $8 <> templates.category THEN templates.category
                                          ELSE templates.previous_category END,
                 category = COALESCE($8, templates.category), quality = COALESCE($9, templates.quality),
                 reason = CASE WHEN $7 IS NULL THEN COALESCE($10, templates.reason) ELSE $10 END, updated_at = $11
             RETURNING id, components IS NOT NULL",
            args![
                organisation,
                new_id,
                waba_id,
                &change.provider_id,
                &change.name,
                &change.language,
                change.status.as_deref(),
                change.category.as_deref(),
                change.quality.as_deref(),
                change.reason.as_deref(),
                now
            ],
        )
        .await?;
    rows.first_mut().map(|row| Ok(Changed { id: row.get(0)?, complete: row.get(1)? })).transpose()
}

/// How the reading of a business account's templates stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    pub organisation_id: OrganisationId,
    pub waba_id: String,
    /// The subject of its jobs.
    pub id: Uuid,
    pub asked_at: Timestamp,
    pub synced_at: Option<Timestamp>,
    pub error: Option<String>,
}

const SYNC: &str = "organisation_id, waba_id, id, asked_at, synced_at, error";

fn sync(mut row: Row) -> Result<Sync> {
    Ok(Sync {
        organisation_id: row.get(0)?,
        waba_id: row.get(1)?,
        id: row.get(2)?,
        asked_at: row.get(3)?,
        synced_at: row.get(4)?,
        error: row.get(5)?,
    })
}

/// Notes that a business account's templates are to be read. `None`: that was asked for after `unless_after`.
pub async fn ask_sync(
    tx: &mut Tx,
    organisation: OrganisationId,
    waba_id: &str,
    new_id: Uuid,
    now: Timestamp,
    unless_after: Timestamp,
) -> Result<Option<Sync>> {
    let sql = format!(
        "INSERT INTO template_syncs (organisation_id, waba_id, id, asked_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organisation_id, waba_id) DO UPDATE SET asked_at = excluded.asked_at
             WHERE template_syncs.asked_at <= $5 RETURNING {SYNC}"
    );
    let row = tx.fetch_optional(&sql, args![organisation, waba_id, new_id, now, unless_after]).await?;
    row.map(sync).transpose()
}

/// Connected business accounts of every organisation whose templates nobody asked for after `since`.
pub async fn stale_wabas(db: &mut impl Db, since: Timestamp) -> Result<Vec<(OrganisationId, String)>> {
    db.fetch(
        "SELECT DISTINCT a.organisation_id, a.waba_id FROM accounts a
         LEFT JOIN template_syncs s ON s.organisation_id = a.organisation_id AND s.waba_id = a.waba_id
         WHERE a.platform = 1 AND a.status = 1 AND a.retired_at IS NULL AND a.waba_id IS NOT NULL
           AND (s.asked_at IS NULL OR s.asked_at <= $1)",
        args![since],
    )
    .await?
    .iter_mut()
    .map(|row| Ok((row.get(0)?, row.get(1)?)))
    .collect()
}

pub async fn find_sync(db: &mut impl Db, organisation: OrganisationId, id: Uuid) -> Result<Option<Sync>> {
    let sql = format!("SELECT {SYNC} FROM template_syncs WHERE organisation_id = $1 AND id = $2");
    db.fetch(&sql, args![organisation, id]).await?.into_iter().next().map(sync).transpose()
}

/// How a reading ended. A failed one leaves the time of the last that did not fail.
pub async fn end_sync(tx: &mut Tx, ended: &Sync, error: Option<&str>, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE template_syncs SET error = $3, synced_at = CASE WHEN $3 IS NULL THEN $4 ELSE synced_at END
         WHERE organisation_id = $1 AND waba_id = $2",
        args![ended.organisation_id, &ended.waba_id, error, at],
    )
    .await?;
    Ok(())
}

/// The organisation's business accounts, each with the direct lines of its numbers: the connected ones first.
pub async fn lines(db: &mut impl Db, organisation: OrganisationId) -> Result<Vec<(String, ChannelId)>> {
    db.fetch(
        "SELECT a.waba_id, c.id FROM accounts a
         JOIN channels c ON c.organisation_id = a.organisation_id AND c.account_id = a.id
         WHERE a.organisation_id = $1 AND a.platform = 1 AND a.retired_at IS NULL AND a.waba_id IS NOT NULL
           AND c.external_id = '' AND c.deleted_at IS NULL ORDER BY a.status, a.id",
        args![organisation],
    )
    .await?
    .iter_mut()
    .map(|row| Ok((row.get(0)?, row.get(1)?)))
    .collect()
}
