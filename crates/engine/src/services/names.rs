//! Which of an organisation's names is meant.

use kabar_domain::{Ability, SiteId};
use kabar_understanding::{Candidate, CategorySource, Entry, Index, Suggestion, suggest_category};

use super::{Answers, Texts};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::rules;
use crate::understanding::sure;
use crate::vocabulary::{Place, Vocabulary};

/// Names to match against, in the request itself.
const NAMES: usize = 10_000;

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

impl NameMatch {
    pub(super) fn new(
        list: NameList,
        vocabulary: Option<&Vocabulary>,
        key: &str,
        name: &str,
        score: f32,
    ) -> Self {
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

impl Engine {
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
