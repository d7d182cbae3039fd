//! From a template's name and some values to a message.

use kabar_domain::message::MessageKind;
use kabar_domain::{AccountId, OrganisationId};
use kabar_store::templates::{self, Template};
use kabar_store::{Db, apply, organisations};
use serde_json::{Value as Json, json};

use super::fill::fill;
use super::form::Form;
use super::{Values, is_named, no_waba, plain_language};
use crate::error::{Error, Invalid, MAKE_TEMPLATE, Result};
use crate::messages::Draft;
use crate::rules;

/// A template message somebody wants sent.
#[derive(Clone, Debug, Default)]
pub struct TemplateMessage {
    pub name: Option<String>,
    /// The template's primary one unless given.
    pub language: Option<String>,
    pub values: Values,
}

/// Of one name's templates, the one in this language; else the primary one: the only one, the one in the first of
/// `languages` there is, or the oldest. Those that can be sent come before those that cannot.
fn choose(mut found: Vec<Template>, language: Option<&str>, languages: &[String]) -> Option<Template> {
    let position = if let Some(language) = language {
        let wanted = plain_language(language);
        let fits = |template: &Template| template.language.eq_ignore_ascii_case(&wanted);
        let approved = found.iter().position(|template| fits(template) && template.status == "APPROVED");
        approved.or_else(|| found.iter().position(fits))?
    } else {
        if found.iter().any(|template| template.status == "APPROVED") {
            found.retain(|template| template.status == "APPROVED");
        }
        let start = |code: &str| code.split('_').next().unwrap_or_default().to_ascii_lowercase();
        let exact = languages.iter().find_map(|wanted| {
            found.iter().position(|template| template.language.eq_ignore_ascii_case(wanted))
        });
        let near = || {
            let mut wanted = languages.iter();
            wanted.find_map(|wanted| {
                found.iter().position(|template| start(&template.language) == start(wanted))
            })
        };
        exact.or_else(near).unwrap_or(0)
    };
    (position < found.len()).then(|| found.swap_remove(position))
}

/// Composes a template message for an account. `contact_language`: the recipient's, when it is known. `body` is the
/// text as it is read, `media` the header's file; `payload` is `{name, language, components}` of WhatsApp's wire, where
/// the header's file is left out, with `template_id` and the parts as they are read in `rendered`.
pub(crate) async fn compose(
    db: &mut (impl Db + Send),
    organisation: OrganisationId,
    account: AccountId,
    message: &TemplateMessage,
    contact_language: Option<&str>,
) -> Result<Draft> {
    let mut invalid = Invalid::default();
    let name = rules::required(&mut invalid, "template_name", message.name.clone(), 512);
    let language = rules::optional(&mut invalid, "language", message.language.clone(), 35);
    invalid.check()?;
    let waba_id = apply::waba_id(db, organisation, account).await?.ok_or_else(no_waba)?;
    let found = templates::of_waba(db, organisation, &waba_id, Some(&name)).await?;
    let mut languages: Vec<String> = contact_language.map(plain_language).into_iter().collect();
    if language.is_none() && found.len() > 1 {
        let organisation = organisations::by_id(db, organisation).await?;
        let own = organisation.and_then(|found| found.settings["language"].as_str().map(plain_language));
        languages.extend(own);
    }
    let there: Vec<String> = found.iter().map(|template| template.language.clone()).collect();
    let template = choose(found, language.as_deref(), &languages)
        .ok_or_else(|| missing(&name, language.as_deref(), &there))?;
    filled(&template, &message.values)
}

/// `there`: the languages that the name has.
fn missing(name: &str, language: Option<&str>, there: &[String]) -> Error {
    Error::TemplateMissing(match language {
        Some(language) if !there.is_empty() => format!(
            "The template {name} is not there in {language}, but in {}: name one of these, or {MAKE_TEMPLATE}.",
            there.join(", ")
        ),
        _ => format!("This number's business account has no template named {name}: {MAKE_TEMPLATE}."),
    })
}

/// A template that can be sent, filled in.
fn filled(template: &Template, values: &Values) -> Result<Draft> {
    let called = format!("{} ({})", template.name, template.language);
    if template.status != "APPROVED" {
        let status = template.status.to_ascii_lowercase().replace('_', " ");
        let sentence = format!("The template {called} is {status}; only an approved one can be sent.");
        return Err(Invalid::one("template_name", sentence));
    }
    let components = template.components.as_ref().ok_or_else(|| {
        Error::Unavailable(format!(
            "The template {called} is being read from WhatsApp; try again in a moment."
        ))
    })?;
    let form = Form::read(components, template.category.as_deref());
    let mut invalid = Invalid::default();
    let filled = fill(&form, is_named(template), values, &called, &mut invalid);
    invalid.check()?;
    let body = Some(filled.rendered.text()).filter(|text| !text.is_empty());
    let payload = [
        ("name", json!(template.name)),
        ("language", json!(template.language)),
        ("components", Json::Array(filled.components)),
        ("template_id", json!(template.id)),
        ("rendered", json!(filled.rendered)),
    ];
    let payload = payload.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Draft { kind: MessageKind::Template, body, media: filled.media, fetch: None, payload })
}

/// A template that a message outside the 24-hour window may use instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitting {
    pub id: kabar_domain::TemplateId,
    pub name: String,
    pub language: String,
    pub category: Option<String>,
    /// Values it takes, in all its parts.
    pub variables: usize,
}

/// The approved templates of an account that start a conversation, the most useful first: utility before marketing,
/// then those that take less. Codes for signing in are not among them.
pub async fn fitting_templates(
    db: &mut impl Db,
    organisation: OrganisationId,
    account: AccountId,
    limit: usize,
) -> Result<Vec<Fitting>> {
    let Some(waba_id) = apply::waba_id(db, organisation, account).await? else { return Ok(Vec::new()) };
    let mut found: Vec<Fitting> = templates::approved(db, organisation, &waba_id)
        .await?
        .into_iter()
        .filter(|template| template.category.as_deref() != Some("AUTHENTICATION"))
        .map(|template| {
            let components = template.components.unwrap_or_default();
            Fitting {
                variables: Form::read(&components, template.category.as_deref()).required(),
                id: template.id,
                name: template.name,
                language: template.language,
                category: template.category,
            }
        })
        .collect();
    found.sort_by_key(|template| {
        (template.category.as_deref() != Some("UTILITY"), template.variables, template.id)
    });
    found.truncate(limit);
    Ok(found)
}
