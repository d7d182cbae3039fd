//! Every word list of the crate as one, so that a text is scanned once.

use std::sync::OnceLock;

use crate::lexicon::{Hit, Lexicon};
use crate::text::Text;

/// Which list a group is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Signal,
    Concept,
    Severity,
    Category,
    Language,
    Entity,
    Rule,
}

const LISTS: [(List, &str); 7] = [
    (List::Signal, include_str!("../data/signals.txt")),
    (List::Concept, include_str!("../data/concepts.txt")),
    (List::Severity, include_str!("../data/severity.txt")),
    (List::Category, include_str!("../data/categories.txt")),
    (List::Language, include_str!("../data/language.txt")),
    (List::Entity, include_str!("../data/entities.txt")),
    // Last, so that the numbers of groups that the model was trained with stay.
    (List::Rule, include_str!("../data/rules.txt")),
];

/// The lists, with the groups of each numbered in a row.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    lexicon: Lexicon,
    starts: [u16; LISTS.len() + 1],
}

/// What of the lists is in a text, in its order. A hit inside a longer one of its list is left out.
#[derive(Debug)]
pub(crate) struct Scanned {
    hits: Vec<Hit>,
    starts: [u16; LISTS.len() + 1],
}

impl Vocabulary {
    pub(crate) fn get() -> &'static Self {
        static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
        VOCABULARY.get_or_init(|| {
            let mut lexicon = Lexicon::default();
            let mut starts = [0; LISTS.len() + 1];
            for (at, (_, data)) in LISTS.iter().enumerate() {
                lexicon.read(data);
                starts[at + 1] = lexicon.groups().len() as u16;
            }
            Vocabulary { lexicon, starts }
        })
    }

    /// The names of a list's groups.
    pub(crate) fn names(&self, list: List) -> &[String] {
        let (from, to) = bounds(&self.starts, list);
        &self.lexicon.groups()[usize::from(from)..usize::from(to)]
    }

    pub(crate) fn scan(&self, text: &Text<'_>) -> Scanned {
        let mut hits = Vec::with_capacity(text.tokens().len() * 3);
        self.lexicon.scan(text, &mut hits);
        let list_of = |hit: &Hit| self.starts.iter().rposition(|start| *start <= hit.group);
        let longer = |hit: &Hit, other: &Hit| {
            other.first <= hit.first
                && hit.last <= other.last
                && other.last - other.first > hit.last - hit.first
                && list_of(hit) == list_of(other)
        };
        let long: Vec<Hit> = hits.iter().filter(|hit| hit.last > hit.first).copied().collect();
        if !long.is_empty() {
            hits.retain(|hit| !long.iter().any(|other| longer(hit, other)));
        }
        Scanned { hits, starts: self.starts }
    }
}

fn bounds(starts: &[u16; LISTS.len() + 1], list: List) -> (u16, u16) {
    let at = LISTS.iter().position(|(known, _)| *known == list).unwrap_or(0);
    (starts[at], starts[at + 1])
}

impl Scanned {
    /// The hits of one list, their groups counted from the list's first.
    pub(crate) fn of(&self, list: List) -> impl Iterator<Item = Hit> + '_ {
        let (from, to) = bounds(&self.starts, list);
        self.hits
            .iter()
            .filter(move |hit| (from..to).contains(&hit.group))
            .map(move |hit| Hit { group: hit.group - from, ..*hit })
    }
}
