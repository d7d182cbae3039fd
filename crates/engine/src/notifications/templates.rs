//! The organisation's own texts for notifications.

use kabar_domain::{Ability, NotificationTemplateId};
use kabar_store::events::NewEvent;
use kabar_store::{Error as StoreError, Window, notification_templates as templates};

use super::{SUBJECT, TEXT, Template, render};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::patch::Patch;
use crate::rules;

const NAME: usize = 100;

/// A template to make.
#[derive(Clone, Debug, Default)]
pub struct NewTemplate {
    /// Unique in the organisation.
    pub name: Option<String>,
    pub subject: Option<String>,
    /// With variables as `{{name}}`.
    pub text: Option<String>,
}

/// What changes in a template; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct TemplateChange {
    pub name: Patch<String>,
    pub subject: Patch<String>,
    pub text: Patch<String>,
}

const fn not_found() -> Error {
    Error::NotFound("NotificationTemplate")
}

fn checked(new: NewTemplate) -> Result<(String, Option<String>, String)> {
    let mut invalid = Invalid::default();
    let name = rules::required(&mut invalid, "name", new.name, NAME);
    let subject = rules::optional(&mut invalid, "subject", new.subject, SUBJECT);
    let text = new.text.filter(|text| !text.trim().is_empty());
    invalid.require("text", text.is_some());
    let text = text.unwrap_or_default();
    rules::text(&mut invalid, "text", &text, TEXT);
    if let Some(subject) = &subject {
        render::check(&mut invalid, "subject", subject);
    }
    render::check(&mut invalid, "text", &text);
    invalid.check()?;
    Ok((name, subject, text))
}

/// A name that another template has is the client's mistake.
fn taken(error: StoreError) -> Error {
    if error.is_conflict_on("notification_templates_name", "notification_templates.name") {
        let mut invalid = Invalid::default();
        rules::taken(&mut invalid, "name");
        return Error::Invalid(invalid);
    }
    error.into()
}

fn event(kind: &'static str, id: NotificationTemplateId) -> NewEvent {
    NewEvent { kind, subject_id: Some(id.uuid()), data: None }
}

impl Engine {
    /// In the order they were made.
    pub async fn list_notification_templates(
        &self,
        principal: &Principal,
        page: &PageRequest,
    ) -> Result<Page<Template>> {
        principal.require(Ability::Read)?;
        let window = Window {
            after: page.after()?.map(|place| NotificationTemplateId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let mut db = self.store.reader().await?;
        let total = templates::count(&mut db, principal.organisation_id).await?;
        let rows = templates::list(&mut db, principal.organisation_id, window).await?;
        Ok(page.page_of(rows, total, |template| template.id.uuid().into()))
    }

    pub async fn get_notification_template(
        &self,
        principal: &Principal,
        id: NotificationTemplateId,
    ) -> Result<Template> {
        principal.require(Ability::Read)?;
        let mut db = self.store.reader().await?;
        templates::find(&mut db, principal.organisation_id, id).await?.ok_or_else(not_found)
    }

    pub async fn create_notification_template(
        &self,
        principal: &Principal,
        new: NewTemplate,
    ) -> Result<Template> {
        principal.require(Ability::Write)?;
        let (name, subject, text) = checked(new)?;
        let now = self.clock.now();
        let id = NotificationTemplateId::new(&self.clock);
        let template = Template { id, name, subject, text, created_at: now, updated_at: now };
        let mut tx = self.store.begin().await?;
        templates::insert(&mut tx, principal.organisation_id, &template).await.map_err(taken)?;
        tx.record(principal.organisation_id, now, [event("notification_template.created", id)]);
        tx.commit().await?;
        Ok(template)
    }

    pub async fn update_notification_template(
        &self,
        principal: &Principal,
        id: NotificationTemplateId,
        change: TemplateChange,
    ) -> Result<Template> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let before = templates::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        let mut new = NewTemplate {
            name: Some(before.name.clone()),
            subject: before.subject.clone(),
            text: Some(before.text.clone()),
        };
        change.name.apply(&mut new.name);
        change.subject.apply(&mut new.subject);
        change.text.apply(&mut new.text);
        let (name, subject, text) = checked(new)?;
        let after = Template { name, subject, text, updated_at: now, ..before };
        templates::update(&mut tx, organisation, &after).await.map_err(taken)?;
        tx.record(organisation, now, [event("notification_template.updated", id)]);
        tx.commit().await?;
        Ok(after)
    }

    pub async fn delete_notification_template(
        &self,
        principal: &Principal,
        id: NotificationTemplateId,
    ) -> Result<()> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        if !templates::delete(&mut tx, organisation, id).await? {
            return Err(not_found());
        }
        tx.record(organisation, self.clock.now(), [event("notification_template.deleted", id)]);
        Ok(tx.commit().await?)
    }
}
