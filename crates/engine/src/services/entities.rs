//! What messages name.

use kabar_domain::Ability;
use kabar_understanding::{FoundName, entities};

use super::{Answers, NameList, NameMatch, Texts};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::vocabulary::Vocabulary;

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
}
