//! Changing a template: a draft here, another one at WhatsApp.

use std::time::Duration;

use kabar_domain::message::Platform;
use kabar_domain::{Ability, TemplateId};
use kabar_store::templates;
use serde_json::{Map, json};

use super::check::{check_components, check_fields};
use super::create::{checked, is_taken, taken};
use super::samples::check_samples;
use super::submit::{being_submitted, no_token};
use super::sync::template_event;
use super::{Shown, Template, TemplateFields, ask_sync, not_found};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

impl Engine {
    /// Changes a draft, or has WhatsApp change an approved, rejected or paused template.
    pub async fn update_template(
        &self,
        principal: &Principal,
        id: TemplateId,
        change: TemplateFields,
    ) -> Result<Shown> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let template = self.live_template(organisation, id).await?;
        if template.provider_id.is_some() {
            self.edit_template(template, change).await?;
        } else {
            self.update_draft(template, change).await?;
        }
        self.show_template(organisation, id).await
    }

    async fn update_draft(&self, seen: Template, change: TemplateFields) -> Result<()> {
        let organisation = seen.organisation_id;
        let mut tx = self.store.begin().await?;
        let mut draft = templates::lock(&mut tx, organisation, seen.id).await?.ok_or_else(not_found)?;
        if draft.submitted_at.is_some() || draft.provider_id.is_some() {
            return Err(being_submitted());
        }
        change.put(&mut draft);
        checked(&draft)?;
        check_samples(&mut tx, &draft).await?;
        if is_taken(&mut tx, &draft).await? {
            return Err(taken());
        }
        let before = draft.updated_at;
        draft.reason = None;
        draft.updated_at = self.clock.now();
        templates::update(&mut tx, &draft, before).await?;
        tx.record(organisation, draft.updated_at, [template_event("template.updated", &draft)]);
        tx.commit().await?;
        Ok(())
    }

    async fn edit_template(&self, template: Template, change: TemplateFields) -> Result<()> {
        let (organisation, waba_id) = (template.organisation_id, template.waba_id.as_str());
        if !matches!(template.status.as_str(), "APPROVED" | "REJECTED" | "PAUSED") {
            return Err(Error::Conflict(format!(
                "WhatsApp changes only approved, rejected and paused templates; this one is {}.",
                template.status.to_lowercase().replace('_', " ")
            )));
        }
        let mut after = template.clone();
        change.clone().put(&mut after);
        editable(&template, &after)?;
        let mut edit = Map::new();
        if after.category != template.category {
            edit.insert("category".to_owned(), json!(after.category));
        }
        if let Some(seconds) = after.ttl_seconds.filter(|_| after.ttl_seconds != template.ttl_seconds) {
            edit.insert("message_send_ttl_seconds".to_owned(), json!(seconds));
        }
        let components =
            after.components.filter(|components| Some(components) != template.components.as_ref());
        let is_same = edit.is_empty() && components.is_none();
        let (Some(id), false) = (&template.provider_id, is_same) else { return Ok(()) };
        let token = self.waba_token(organisation, waba_id).await?.ok_or_else(no_token)?;
        if let Some(components) = components {
            let components = Box::pin(self.with_handles(organisation, &token, &components)).await?;
            edit.insert("components".to_owned(), components);
        }
        if let Err(failure) = self.whatsapp.edit_template(id, &token, &edit.into()).await {
            let error = Error::of_provider(Platform::Whatsapp, failure);
            return Err(self.doubted(organisation, waba_id, error).await);
        }
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if let Some(mut current) = templates::lock(&mut tx, organisation, template.id).await? {
            let before = current.updated_at;
            change.put(&mut current);
            current.updated_at = now;
            templates::update(&mut tx, &current, before).await?;
            tx.record(organisation, now, [template_event("template.updated", &current)]);
        }
        // Whether it is reviewed again is WhatsApp's to say.
        ask_sync(self, &mut tx, organisation, waba_id, now, Duration::ZERO).await?;
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(())
    }
}

/// What WhatsApp lets be changed in a template it has.
fn editable(before: &Template, after: &Template) -> Result<()> {
    let mut invalid = Invalid::default();
    for (field, is_same) in [
        ("name", before.name == after.name),
        ("language", before.language == after.language),
        ("parameter_format", before.parameter_format == after.parameter_format),
    ] {
        if !is_same {
            invalid.add(field, "WhatsApp has the template already: make another one to change this.");
        }
    }
    if before.category != after.category && before.status == "APPROVED" {
        invalid.add("category", "The category of an approved template cannot be changed.");
    }
    if before.ttl_seconds.is_some() && after.ttl_seconds.is_none() {
        invalid.add(
            "message_send_ttl_seconds",
            "WhatsApp takes no such thing as none: give the seconds that are to be the limit.",
        );
    }
    check_fields(&mut invalid, after);
    // What WhatsApp has already is not looked at again.
    if after.components != before.components {
        check_components(&mut invalid, after);
    }
    invalid.check()
}
