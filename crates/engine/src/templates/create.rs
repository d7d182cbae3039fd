//! Making a template: first a draft of our own.

use kabar_domain::{Ability, OrganisationId};
use kabar_store::{Db, accounts, templates};
use serde_json::Value as Json;

use super::check::{check_components, check_fields};
use super::samples::check_samples;
use super::sync::template_event;
use super::{Shown, Template, blank, no_waba, plain_language};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::patch::Patch;

/// What a template is made of, as a client gives it.
#[derive(Clone, Debug, Default)]
pub struct TemplateFields {
    pub name: Option<String>,
    pub language: Option<String>,
    pub category: Option<String>,
    /// `POSITIONAL` unless given.
    pub parameter_format: Option<String>,
    /// In WhatsApp's form.
    pub components: Option<Json>,
    pub ttl_seconds: Patch<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct NewTemplate {
    /// Whose business account it belongs to; the default account's unless given.
    pub channel_id: Option<String>,
    pub fields: TemplateFields,
}

impl TemplateFields {
    /// Puts what is given into a template.
    pub(super) fn put(self, template: &mut Template) {
        let plain = |text: Option<String>| text.map(|text| text.trim().to_owned());
        let word = |text: Option<String>| text.map(|text| text.trim().to_ascii_uppercase());
        if let Some(name) = plain(self.name) {
            template.name = name;
        }
        if let Some(language) = self.language {
            template.language = plain_language(&language);
        }
        template.category = word(self.category).or_else(|| template.category.take());
        template.parameter_format = word(self.parameter_format).or_else(|| template.parameter_format.take());
        template.components = self.components.or_else(|| template.components.take());
        self.ttl_seconds.apply(&mut template.ttl_seconds);
    }
}

/// What WhatsApp would take.
pub(super) fn checked(template: &Template) -> Result<()> {
    let mut invalid = Invalid::default();
    check_fields(&mut invalid, template);
    check_components(&mut invalid, template);
    invalid.check()
}

pub(super) fn taken() -> Error {
    Invalid::one("name", "The name has already been taken in this language.")
}

/// Whether another template of the business account has its name and language.
pub(super) async fn is_taken(db: &mut impl Db, template: &Template) -> Result<bool> {
    let named =
        templates::of_waba(db, template.organisation_id, &template.waba_id, Some(&template.name)).await?;
    Ok(named.iter().any(|other| other.language == template.language && other.id != template.id))
}

impl Engine {
    /// Keeps a draft, which WhatsApp hears of when it is submitted.
    pub async fn create_template(&self, principal: &Principal, new: NewTemplate) -> Result<Shown> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let mut template = blank(self, organisation, "");
        new.fields.put(&mut template);
        template.parameter_format.get_or_insert_with(|| "POSITIONAL".to_owned());
        "DRAFT".clone_into(&mut template.status);
        checked(&template)?;
        let mut tx = self.store.begin().await?;
        check_samples(&mut tx, &template).await?;
        template.waba_id = self.waba_for(&mut tx, organisation, new.channel_id).await?;
        if is_taken(&mut tx, &template).await? || !templates::insert(&mut tx, &template).await? {
            return Err(taken());
        }
        tx.record(organisation, template.created_at, [template_event("template.created", &template)]);
        tx.commit().await?;
        self.show_template(organisation, template.id).await
    }

    /// The business account of a channel, else of the default account, else the only one there is.
    async fn waba_for(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        channel: Option<String>,
    ) -> Result<String> {
        if let Some(channel) = channel.filter(|channel| !channel.trim().is_empty()) {
            return self.waba_of_channel(db, organisation, &channel).await?.ok_or_else(no_waba);
        }
        let default = accounts::find_default(db, organisation).await?;
        if let Some(waba_id) = default.and_then(|account| account.waba_id) {
            return Ok(waba_id);
        }
        let mut wabas: Vec<_> =
            templates::lines(db, organisation).await?.into_iter().map(|(waba_id, _)| waba_id).collect();
        wabas.sort_unstable();
        wabas.dedup();
        match wabas.pop().filter(|_| wabas.is_empty()) {
            Some(waba_id) => Ok(waba_id),
            None => Err(Invalid::one(
                "channel_id",
                "The channel id field is required when the default account has no WhatsApp business account.",
            )),
        }
    }
}
