//! Structured messages, taken apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use kabar_domain::Ability;
use kabar_understanding::templates::{self, FieldError};

use super::{Answers, Texts};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::rules;
use crate::vocabulary::Vocabulary;

/// A structured message, taken apart.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The template's name; none for free text.
    pub template: Option<String>,
    pub fields: BTreeMap<String, String>,
    /// What is wrong with a field: `missing`, `not_a_number`, `not_a_date`, `not_an_option` or `not_a_severity`.
    pub errors: BTreeMap<String, &'static str>,
}

/// Whether a message is a well-formed structured one.
#[derive(Clone, Debug, Default)]
pub struct Validity {
    pub valid: bool,
    pub template: Option<String>,
    pub missing: Vec<String>,
    pub errors: BTreeMap<String, &'static str>,
}

const fn spoken(error: FieldError) -> &'static str {
    match error {
        FieldError::Missing => "missing",
        FieldError::NotANumber => "not_a_number",
        FieldError::NotADate => "not_a_date",
        FieldError::NotAnOption => "not_an_option",
        FieldError::NotASeverity => "not_a_severity",
    }
}

fn parse(text: &str, wanted: Option<&str>, vocabulary: &Vocabulary) -> Parsed {
    let Some(parsed) = templates::parse(text, &vocabulary.templates, wanted) else {
        return Parsed::default();
    };
    Parsed {
        template: Some(parsed.template),
        fields: parsed.fields,
        errors: parsed.errors.into_iter().map(|(field, error)| (field, spoken(error))).collect(),
    }
}

fn validate(text: &str, wanted: Option<&str>, vocabulary: &Vocabulary) -> Validity {
    let validity = templates::validate(text, &vocabulary.templates, wanted);
    Validity {
        valid: validity.valid,
        template: validity.template,
        missing: validity.missing,
        errors: validity.errors.into_iter().map(|(field, error)| (field, spoken(error))).collect(),
    }
}

impl Engine {
    /// The texts, and the template if one is named, which must be one the organisation has.
    async fn structured(
        &self,
        principal: &Principal,
        texts: Texts,
        template: Option<String>,
    ) -> Result<((Vec<String>, bool), Option<String>, Arc<Vocabulary>)> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let texts = texts.checked(&mut invalid, "text", "texts");
        let vocabulary = self.own_names(principal).await?;
        let template = rules::optional(&mut invalid, "template", template, 100);
        if let Some(name) = &template
            && !vocabulary.templates.iter().any(|definition| definition.name == *name)
        {
            rules::selected(&mut invalid, "template");
        }
        invalid.check()?;
        Ok((texts, template, vocabulary))
    }

    /// Takes structured messages apart; free text has no structure.
    pub async fn parse_messages(
        &self,
        principal: &Principal,
        texts: Texts,
        template: Option<String>,
    ) -> Result<Answers<Parsed>> {
        let (texts, template, vocabulary) = self.structured(principal, texts, template).await?;
        let read = move |text: &str, vocabulary: &Vocabulary| parse(text, template.as_deref(), vocabulary);
        self.ask(principal, texts, vocabulary, read).await
    }

    /// Says what is missing or wrong in structured messages.
    pub async fn validate_messages(
        &self,
        principal: &Principal,
        texts: Texts,
        template: Option<String>,
    ) -> Result<Answers<Validity>> {
        let (texts, template, vocabulary) = self.structured(principal, texts, template).await?;
        let read = move |text: &str, vocabulary: &Vocabulary| validate(text, template.as_deref(), vocabulary);
        self.ask(principal, texts, vocabulary, read).await
    }
}
