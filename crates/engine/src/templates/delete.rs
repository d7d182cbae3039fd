//! Taking a template away.

use kabar_domain::message::Platform;
use kabar_domain::{Ability, TemplateId};
use kabar_store::templates;

use super::submit::{being_submitted, no_token};
use super::sync::template_event;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};

impl Engine {
    /// Removes a draft, or has WhatsApp remove the template in its language; then it is listed as `DELETED`.
    pub async fn delete_template(&self, principal: &Principal, id: TemplateId) -> Result<()> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let mut template = self.live_template(organisation, id).await?;
        if let Some(provider_id) = &template.provider_id {
            let waba_id = template.waba_id.as_str();
            let token = self.waba_token(organisation, waba_id).await?.ok_or_else(no_token)?;
            let deleted = self.whatsapp.delete_template(waba_id, &token, &template.name, provider_id).await;
            if let Err(failure) = deleted {
                let error = Error::of_provider(Platform::Whatsapp, failure);
                return Err(self.doubted(organisation, waba_id, error).await);
            }
        }
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if template.provider_id.is_none() {
            if !templates::delete_draft(&mut tx, organisation, id).await? {
                return Err(being_submitted());
            }
        } else if !templates::mark_deleted(&mut tx, organisation, id, now, now).await? {
            // A webhook was faster.
            return Ok(());
        }
        "DELETED".clone_into(&mut template.status);
        tx.record(organisation, now, [template_event("template.deleted", &template)]);
        tx.commit().await?;
        Ok(())
    }
}
