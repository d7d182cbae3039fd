//! Understanding for apps that only ask: what a text says, and which of the organisation's names it means.

use std::collections::BTreeMap;
use std::sync::Arc;

use kabar_domain::{Ability, SiteId};
use kabar_understanding::templates::{self, FieldError};
use kabar_understanding::{
    Candidate, CategorySource, Entry, FoundName, Index, Suggestion, analyse, entities, severity,
    suggest_category,
};

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;
use crate::understanding::{sentence, severity_of, sure};
use crate::vocabulary::{Place, Vocabulary};

/// Texts of one request at most.
const TEXTS: usize = 1_000;
/// Characters of a text at most, as of an inbox item's.
const TEXT: usize = 65_536;
/// Names to match against, in the request itself.
const NAMES: usize = 10_000;

/// One text, or many.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub one: Option<String>,
    pub many: Option<Vec<String>>,
}

/// An answer for each text, as they were asked.
#[derive(Clone, Debug)]
pub enum Answers<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Answers<T> {
    pub fn map<U>(self, make: impl Fn(T) -> U) -> Answers<U> {
        match self {
            Self::One(answer) => Answers::One(make(answer)),
            Self::Many(answers) => Answers::Many(answers.into_iter().map(make).collect()),
        }
    }
}

/// What a message is.
#[derive(Clone, Debug)]
pub struct Classified {
    /// `work_update`, `problem` or `general`.
    pub class: &'static str,
    pub confidence: f64,
    pub reasons: Vec<String>,
    pub language: &'static str,
    pub engine: &'static str,
}

/// How bad a problem is.
#[derive(Clone, Debug)]
pub struct Weighed {
    pub severity: kabar_domain::operations::Severity,
    pub confidence: f64,
    pub reasons: Vec<String>,
}

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

/// One of the organisation's names, or of those that were sent.
#[derive(Clone, Debug, PartialEq)]
pub struct NameMatch {
    /// None of a name that was sent.
    pub id: Option<String>,
    /// `site`, `facility` or `category`.
    pub kind: Option<&'static str>,
    pub site_id: Option<SiteId>,
    pub name: String,
    /// 0 to 1.
    pub score: f64,
}

/// What a name was matched to.
#[derive(Clone, Debug)]
pub struct Matched {
    pub best: Option<NameMatch>,
    /// Best first.
    pub candidates: Vec<NameMatch>,
}

/// Which of an organisation's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameList {
    Locations,
    Things,
    Categories,
}

/// Names to match, and what to match them against.
#[derive(Clone, Debug, Default)]
pub struct MatchRequest {
    pub queries: Texts,
    /// Candidates to give back, 5 when it is not said.
    pub limit: Option<i64>,
    /// Things at this site alone.
    pub site_id: Option<String>,
    /// Instead of the organisation's own names.
    pub candidates: Option<Vec<String>>,
}

impl Texts {
    /// `name` is the field of one text; that of many is its plural.
    fn checked(self, invalid: &mut Invalid, name: &str, plural: &str) -> (Vec<String>, bool) {
        let is_one = self.many.is_none();
        if is_one && self.one.as_ref().is_none_or(|text| text.trim().is_empty()) {
            invalid.add(name, format!("The {name} field is required when {plural} is not present."));
        } else if !is_one && self.one.is_some() {
            invalid.add(name, format!("The {name} field cannot be sent together with {plural}."));
        }
        let texts = self.many.unwrap_or_else(|| self.one.into_iter().collect());
        if texts.len() > TEXTS {
            invalid.add(plural, format!("The {plural} field must not have more than {TEXTS} items."));
        }
        for (index, text) in texts.iter().take(TEXTS).enumerate() {
            let field = if is_one { name.to_owned() } else { format!("{plural}.{index}") };
            rules::text(invalid, &field, text, TEXT);
        }
        (texts, is_one)
    }
}

/// The names that were sent, to be matched against.
fn sent(invalid: &mut Invalid, names: Option<Vec<String>>) -> Option<Vec<Entry>> {
    let names = names?;
    if names.len() > NAMES {
        invalid.add("candidates", format!("The candidates field must not have more than {NAMES} items."));
    }
    Some(names.into_iter().take(NAMES).map(|name| Entry::new(name.clone(), name)).collect())
}

fn limit(invalid: &mut Invalid, given: Option<i64>, default: usize) -> usize {
    let limit = given.unwrap_or(default as i64);
    if !(1..=50).contains(&limit) {
        invalid.add("limit", "The limit field must be between 1 and 50.");
    }
    limit.clamp(1, 50) as usize
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
        template: parse(text, wanted, vocabulary).template,
        missing: validity.missing,
        errors: validity.errors.into_iter().map(|(field, error)| (field, spoken(error))).collect(),
    }
}

impl NameMatch {
    fn new(list: NameList, vocabulary: Option<&Vocabulary>, key: &str, name: &str, score: f32) -> Self {
        let (kind, site_id) = match vocabulary {
            None => (None, None),
            Some(vocabulary) => match list {
                NameList::Locations => match vocabulary.place(key) {
                    Some(Place::Facility(thing)) => (Some("facility"), Some(thing.site_id)),
                    _ => (Some("site"), None),
                },
                NameList::Things => (Some("facility"), vocabulary.thing(key).map(|thing| thing.site_id)),
                NameList::Categories => (Some("category"), None),
            },
        };
        let id = vocabulary.map(|_| key.to_owned());
        Self { id, kind, site_id, name: name.to_owned(), score: sure(score) }
    }

    fn suggested(vocabulary: Option<&Vocabulary>, found: &Suggestion) -> Self {
        Self::new(NameList::Categories, vocabulary, &found.key, &found.name, found.score)
    }
}

/// Something that a text names.
#[derive(Clone, Debug)]
pub struct Entity {
    /// As it was written.
    pub text: String,
    /// Scalar values over the text, half open.
    pub start: usize,
    pub end: usize,
    pub found: Option<NameMatch>,
}

/// What a message names, each kind in the order of the text.
#[derive(Clone, Debug)]
pub struct Extracted {
    pub locations: Vec<Entity>,
    pub things: Vec<Entity>,
    pub categories: Vec<Entity>,
    pub persons: Vec<Entity>,
    pub times: Vec<Entity>,
    pub quantities: Vec<Entity>,
}

impl Extracted {
    fn of(text: &str, vocabulary: &Vocabulary) -> Self {
        let found = entities(text, &vocabulary.lists());
        let shown = |list: NameList, entities: Vec<kabar_understanding::Entity>| {
            let named = |found: FoundName| {
                NameMatch::new(list, Some(vocabulary), &found.key, &found.name, found.score)
            };
            let shown = entities.into_iter().map(|entity| Entity {
                text: entity.text,
                start: entity.start,
                end: entity.end,
                found: entity.found.map(named),
            });
            shown.collect()
        };
        Self {
            locations: shown(NameList::Locations, found.locations),
            things: shown(NameList::Things, found.things),
            categories: shown(NameList::Categories, found.categories),
            // These are matched to nothing.
            persons: shown(NameList::Categories, found.persons),
            times: shown(NameList::Categories, found.times),
            quantities: shown(NameList::Categories, found.quantities),
        }
    }
}

impl Engine {
    /// Reads each text with the organisation's vocabulary, away from the threads that answer requests.
    async fn ask<T: Send + 'static>(
        &self,
        principal: &Principal,
        (texts, is_one): (Vec<String>, bool),
        vocabulary: Arc<Vocabulary>,
        read: impl Fn(&str, &Vocabulary) -> T + Send + 'static,
    ) -> Result<Answers<T>> {
        tracing::debug!(organisation = %principal.organisation_id, texts = texts.len(), "asked to read");
        let work = move || texts.iter().map(|text| read(text, &vocabulary)).collect::<Vec<_>>();
        let answers = tokio::task::spawn_blocking(work).await;
        let mut answers = answers.map_err(|error| Error::Internal(format!("reading failed: {error}")))?;
        match answers.pop() {
            Some(answer) if is_one => Ok(Answers::One(answer)),
            last => {
                answers.extend(last);
                Ok(Answers::Many(answers))
            }
        }
    }

    async fn own_names(&self, principal: &Principal) -> Result<Arc<Vocabulary>> {
        self.vocabulary(&mut self.store.reader().await?, principal.organisation_id).await
    }

    /// Work update, problem or neither, as the inbox would have it.
    pub async fn classify_messages(
        &self,
        principal: &Principal,
        texts: Texts,
    ) -> Result<Answers<Classified>> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let texts = texts.checked(&mut invalid, "text", "texts");
        invalid.check()?;
        let vocabulary = self.own_names(principal).await?;
        let read = |text: &str, vocabulary: &Vocabulary| {
            use kabar_understanding::Class;
            let found = analyse(text, &vocabulary.context()).classification;
            Classified {
                class: match found.class {
                    Class::WorkUpdate => "work_update",
                    Class::Problem => "problem",
                    Class::General => "general",
                },
                confidence: sure(found.confidence),
                reasons: found.reasons.iter().map(sentence).collect(),
                language: found.language.code(),
                engine: found.engine,
            }
        };
        self.ask(principal, texts, vocabulary, read).await
    }

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

    /// Which of the names is meant; none rather than a wrong one.
    pub async fn match_names(
        &self,
        principal: &Principal,
        list: NameList,
        request: MatchRequest,
    ) -> Result<Answers<Matched>> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let texts = request.queries.checked(&mut invalid, "query", "queries");
        let limit = limit(&mut invalid, request.limit, 5);
        let sent = sent(&mut invalid, request.candidates);
        let site: Option<SiteId> = request.site_id.as_deref().and_then(|id| id.trim().parse().ok());
        let vocabulary = self.own_names(principal).await?;
        if request.site_id.is_some()
            && site.is_none_or(|site| vocabulary.place(&site.to_string()) != Some(Place::Site(site)))
        {
            rules::selected(&mut invalid, "site_id");
        }
        invalid.check()?;
        let sent = sent.map(Index::new);
        let none = Index::default();
        let read = move |text: &str, vocabulary: &Vocabulary| {
            let index = match (&sent, list, site) {
                (Some(sent), ..) => sent,
                (None, NameList::Locations, _) => &vocabulary.locations,
                (None, NameList::Things, None) => &vocabulary.things,
                (None, NameList::Things, Some(site)) => vocabulary.things_at(site).unwrap_or(&none),
                (None, NameList::Categories, _) => vocabulary.categories.index(),
            };
            let own = sent.is_none().then_some(vocabulary);
            let shown = |found: Candidate<'_>| NameMatch::new(list, own, found.key, found.name, found.score);
            let found = index.find(text, limit);
            Matched {
                best: found.best.map(shown),
                candidates: found.candidates.into_iter().map(shown).collect(),
            }
        };
        self.ask(principal, texts, vocabulary, read).await
    }

    /// The places, things, categories, people, times and quantities that texts name.
    pub async fn extract_entities(&self, principal: &Principal, texts: Texts) -> Result<Answers<Extracted>> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let texts = texts.checked(&mut invalid, "text", "texts");
        invalid.check()?;
        let vocabulary = self.own_names(principal).await?;
        let read = |text: &str, vocabulary: &Vocabulary| Extracted::of(text, vocabulary);
        self.ask(principal, texts, vocabulary, read).await
    }

    /// How bad the problems are that texts tell of.
    pub async fn detect_severity(&self, principal: &Principal, texts: Texts) -> Result<Answers<Weighed>> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let texts = texts.checked(&mut invalid, "text", "texts");
        invalid.check()?;
        let vocabulary = self.own_names(principal).await?;
        let read = |text: &str, _: &Vocabulary| {
            let found = severity(text);
            Weighed {
                severity: severity_of(found.severity),
                confidence: sure(found.confidence),
                reasons: found.reasons.iter().map(sentence).collect(),
            }
        };
        self.ask(principal, texts, vocabulary, read).await
    }

    /// The categories that texts may belong to, best first.
    pub async fn suggest_categories(
        &self,
        principal: &Principal,
        texts: Texts,
        most: Option<i64>,
        candidates: Option<Vec<String>>,
    ) -> Result<Answers<Vec<NameMatch>>> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let texts = texts.checked(&mut invalid, "text", "texts");
        let limit = limit(&mut invalid, most, 3);
        let sent = sent(&mut invalid, candidates);
        invalid.check()?;
        let vocabulary = self.own_names(principal).await?;
        let sent = sent.map(CategorySource::new);
        let read = move |text: &str, vocabulary: &Vocabulary| {
            let source = sent.as_ref().unwrap_or(&vocabulary.categories);
            let own = sent.is_none().then_some(vocabulary);
            let found = suggest_category(text, source, limit);
            found.iter().map(|found| NameMatch::suggested(own, found)).collect()
        };
        self.ask(principal, texts, vocabulary, read).await
    }
}
