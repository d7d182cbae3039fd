//! Giving a draft to WhatsApp, once.

use kabar_domain::message::Platform;
use kabar_domain::outbound::{SendFailure, Verdict};
use kabar_domain::{Ability, OrganisationId, TemplateId};
use kabar_providers::whatsapp::CreatedTemplate;
use kabar_store::templates;
use serde_json::{Value as Json, json};

use super::create::{checked, is_taken, taken};
use super::sync::{SETTLES, template_event};
use super::{Shown, Template, ask_sync, not_found};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::failpoint;

pub(super) fn being_submitted() -> Error {
    Error::Conflict(
        "The draft has just been submitted: what came of it shows when the templates are read next, in a minute or two."
            .to_owned(),
    )
}

pub(super) fn no_token() -> Error {
    Error::Conflict("No account of this WhatsApp business account has an access token.".to_owned())
}

/// Refuses what is no draft, or is on its way already.
fn submittable(template: &Template) -> Result<()> {
    match (&template.provider_id, template.submitted_at) {
        (Some(_), _) => Err(Error::Conflict(format!(
            "Only a draft is submitted; this template is {}.",
            template.status.to_lowercase().replace('_', " ")
        ))),
        (None, Some(_)) => Err(being_submitted()),
        (None, None) => Ok(()),
    }
}

/// A draft as WhatsApp takes it.
fn wire(draft: &Template, components: &Json) -> Json {
    let mut wire = json!({
        "name": draft.name,
        "language": draft.language,
        "category": draft.category,
        "parameter_format": draft.parameter_format,
        "components": components,
    });
    if let Some(seconds) = draft.ttl_seconds {
        wire["message_send_ttl_seconds"] = json!(seconds);
    }
    wire
}

impl Engine {
    /// Hands a draft in for review.
    ///
    /// The claim is committed before the call, together with a reading a minute later. So whatever becomes of the
    /// answer, or of this server, that reading finds the template and adopts the draft, or frees it.
    pub async fn submit_template(&self, principal: &Principal, id: TemplateId) -> Result<Shown> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let seen = self.live_template(organisation, id).await?;
        submittable(&seen)?;
        checked(&seen)?;
        let token = self.waba_token(organisation, &seen.waba_id).await?.ok_or_else(no_token)?;
        let components = seen.components.clone().unwrap_or_default();
        let components = Box::pin(self.with_handles(organisation, &token, &components)).await?;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let draft = templates::lock(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        submittable(&draft)?;
        if draft.updated_at != seen.updated_at {
            return Err(Error::Conflict("The draft has just been changed: submit it again.".to_owned()));
        }
        if is_taken(&mut tx, &draft).await? {
            return Err(taken());
        }
        if !templates::claim_draft(&mut tx, &draft, now).await? {
            return Err(being_submitted());
        }
        ask_sync(self, &mut tx, organisation, &draft.waba_id, now, SETTLES).await?;
        tx.commit().await?;
        self.jobs_ready.notify_waiters();

        failpoint::reach("template_claimed");
        let made = self.whatsapp.create_template(&draft.waba_id, &token, &wire(&draft, &components)).await;
        failpoint::reach("template_answered");
        match made {
            Ok(made) => self.submitted(&draft, made).await?,
            Err(failure) => return Err(self.not_submitted(&draft, failure).await?),
        }
        self.show_template(organisation, id).await
    }

    async fn submitted(&self, draft: &Template, made: CreatedTemplate) -> Result<()> {
        let organisation = draft.organisation_id;
        let now = self.clock.now();
        let named = (draft.name.as_str(), draft.language.as_str());
        let mut tx = self.store.begin().await?;
        let adopted = templates::adopt_draft(&mut tx, organisation, &draft.waba_id, named, &made.id).await?;
        // A webhook or a reading may have been faster, and know more.
        if let Some(mut template) = templates::find(&mut tx, organisation, draft.id).await? {
            if adopted.is_some() {
                let before = template.updated_at;
                template.status = made.status;
                if made.category.is_some() && made.category != template.category {
                    template.previous_category = template.category.take();
                    template.category = made.category;
                }
                template.reason = None;
                template.updated_at = now;
                templates::update(&mut tx, &template, before).await?;
            }
            tx.record(organisation, now, [template_event("template.submitted", &template)]);
        }
        tx.commit().await?;
        Ok(())
    }

    /// What the client is told. A draft that certainly was not taken can be changed and submitted again.
    async fn not_submitted(&self, draft: &Template, failure: SendFailure) -> Result<Error> {
        if failure.verdict == Verdict::Uncertain {
            let detail = failure.error.detail.unwrap_or_default();
            return Ok(Error::Unavailable(format!(
                "WhatsApp may have the template, but its answer was lost. {detail} Whether it does shows when the \
                 templates are read next, in a minute or two; until then it is not submitted again."
            )));
        }
        self.release_draft(draft.organisation_id, draft.id, &failure.error.sentence()).await?;
        Ok(Error::of_provider(Platform::Whatsapp, failure))
    }

    async fn release_draft(&self, organisation: OrganisationId, id: TemplateId, reason: &str) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        templates::release_draft(&mut tx, organisation, id, reason, now).await?;
        if let Some(draft) = templates::find(&mut tx, organisation, id).await? {
            tx.record(organisation, now, [template_event("template.updated", &draft)]);
        }
        tx.commit().await?;
        Ok(())
    }
}
