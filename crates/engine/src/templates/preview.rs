//! How a template reads, before anybody gets it.

use kabar_domain::{Ability, TemplateId};
use kabar_store::templates;
use serde_json::json;

use super::fill::{Rendered, fill};
use super::form::{Form, sample_values};
use super::{Values, is_named, not_found};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};

impl Engine {
    /// Fills a template in with the values given, and its own samples where none are. Values that could not be sent
    /// are refused as they would be there.
    pub async fn preview_template(
        &self,
        principal: &Principal,
        id: TemplateId,
        given: Values,
    ) -> Result<Rendered> {
        principal.require(Ability::Write)?;
        let mut db = self.store.reader().await?;
        let found = templates::find(&mut db, principal.organisation_id, id).await?;
        let template = found.ok_or_else(not_found)?;
        let components = template.components.clone().unwrap_or_else(|| json!([]));
        let form = Form::read(&components, template.category.as_deref());
        let samples = sample_values(&form);
        let values = Values {
            variables: given.variables.or(samples.variables),
            header: given.header.or(samples.header),
            buttons: given.buttons.or(samples.buttons),
            cards: given.cards.or(samples.cards),
            limited_time_offer: given.limited_time_offer.or(samples.limited_time_offer),
        };
        let mut invalid = Invalid::default();
        let called = format!("{} ({})", template.name, template.language);
        let filled = fill(&form, is_named(&template), &values, &called, &mut invalid);
        invalid.check()?;
        Ok(filled.rendered)
    }
}
