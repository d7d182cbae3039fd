//! The organisation's own texts for notifications.

use kabar_domain::{NotificationTemplateId, OrganisationId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub id: NotificationTemplateId,
    /// Unique in the organisation.
    pub name: String,
    pub subject: Option<String>,
    pub text: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const SELECT: &str = "SELECT id, name, subject, text, created_at, updated_at FROM notification_templates
    WHERE organisation_id = ?";

fn template(mut row: Row) -> Result<Template> {
    Ok(Template {
        id: row.get(0)?,
        name: row.get(1)?,
        subject: row.get(2)?,
        text: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

/// Fails with a conflict when the name is taken.
pub async fn insert(tx: &mut Tx, organisation: OrganisationId, template: &Template) -> Result<()> {
    tx.execute(
        "INSERT INTO notification_templates (organisation_id, id, name, subject, text, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            organisation,
            template.id,
            &template.name,
            template.subject.as_ref(),
            &template.text,
            template.created_at,
            template.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// Fails with a conflict when the name is taken.
pub async fn update(tx: &mut Tx, organisation: OrganisationId, template: &Template) -> Result<()> {
    tx.execute(
        "UPDATE notification_templates SET name = $3, subject = $4, text = $5, updated_at = $6
         WHERE organisation_id = $1 AND id = $2",
        args![
            organisation,
            template.id,
            &template.name,
            template.subject.as_ref(),
            &template.text,
            template.updated_at,
        ],
    )
    .await?;
    Ok(())
}

/// `false`: there is none.
pub async fn delete(tx: &mut Tx, organisation: OrganisationId, id: NotificationTemplateId) -> Result<bool> {
    let changed = tx
        .execute(
            "DELETE FROM notification_templates WHERE organisation_id = $1 AND id = $2",
            args![organisation, id],
        )
        .await?;
    Ok(changed == 1)
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: NotificationTemplateId,
) -> Result<Option<Template>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND id = ?", args![id]);
    select.fetch_optional(db).await?.map(template).transpose()
}

pub async fn by_name(db: &mut impl Db, organisation: OrganisationId, name: &str) -> Result<Option<Template>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND name = ?", args![name]);
    select.fetch_optional(db).await?.map(template).transpose()
}

/// In the order they were made.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    window: Window<NotificationTemplateId>,
) -> Result<Vec<Template>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push_some("AND id > ?", window.after.map(Bind::value));
    select.push("ORDER BY id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(template).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId) -> Result<i64> {
    Select::new("SELECT COUNT(*) FROM notification_templates WHERE organisation_id = ?", args![organisation])
        .count(db)
        .await
}
