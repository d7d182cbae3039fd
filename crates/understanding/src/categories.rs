//! What a problem is about: default categories, and the suggestion of one out of an organisation's own.

use std::sync::OnceLock;

use serde::Serialize;

use crate::language::Language;
use crate::lexicon::lines;
use crate::matching::{Entry, Index};
use crate::text::Text;
use crate::vocabulary::{List, Scanned, Vocabulary};

/// A default category, to seed an organisation with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Category {
    /// `hvac`, `electrical`, …: stable.
    pub key: &'static str,
    pub english: &'static str,
    pub indonesian: &'static str,
    pub arabic: &'static str,
}

impl Category {
    /// The name to show in a language; English for those that have none.
    pub fn name(&self, language: Language) -> &'static str {
        match language {
            Language::Indonesian => self.indonesian,
            Language::Arabic => self.arabic,
            _ => self.english,
        }
    }
}

/// A category that a text may belong to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    pub key: String,
    pub name: String,
    /// 0 to 1; scores of one text sum to 1 at most.
    pub score: f32,
}

/// The default categories, `other` last.
///
/// ```
/// use kabar_understanding::{Language, default_categories};
///
/// assert_eq!(default_categories()[0].name(Language::Indonesian), "AC dan tata udara");
/// ```
pub fn default_categories() -> &'static [Category] {
    static CATEGORIES: OnceLock<Vec<Category>> = OnceLock::new();
    CATEGORIES.get_or_init(|| {
        let mut categories: Vec<Category> = Vec::new();
        for line in lines(include_str!("../data/categories.txt")) {
            if let Some(key) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                categories.push(Category { key, english: "", indonesian: "", arabic: "" });
            } else if let Some((field, name)) = line.split_once(" = ")
                && let Some(category) = categories.last_mut()
            {
                match field {
                    "name.en" => category.english = name,
                    "name.id" => category.indonesian = name,
                    _ => category.arabic = name,
                }
            }
        }
        categories
    })
}

/// An organisation's categories, prepared: each takes over the keywords of the default category that it names.
#[derive(Debug)]
pub struct CategorySource {
    index: Index,
    /// Which of the organisation's entries each default category stands for.
    defaults: Vec<Option<u32>>,
}

impl CategorySource {
    /// `entries` by key; an entry whose key, name or alias is that of a default category takes over its keywords.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let index = Index::new(entries);
        let defaults = default_categories()
            .iter()
            .map(|category| {
                let same =
                    |entry: &Entry| entry.key == category.key || entry.code.as_deref() == Some(category.key);
                let by_key = index.entries().iter().position(same);
                by_key.map(|at| at as u32).or_else(|| {
                    [category.english, category.indonesian, category.arabic, category.key]
                        .iter()
                        .find_map(|name| index.find_position(name))
                })
            })
            .collect();
        CategorySource { index, defaults }
    }

    pub fn index(&self) -> &Index {
        &self.index
    }
}

/// The default categories that a text speaks of, best first.
///
/// ```
/// use kabar_understanding::suggest_default_category;
///
/// assert_eq!(suggest_default_category("AC tidak dingin", 3)[0].key, "hvac");
/// ```
pub fn suggest_default_category(text: &str, limit: usize) -> Vec<Suggestion> {
    suggest_default(&Vocabulary::get().scan(&Text::new(text)), limit)
}

pub(crate) fn suggest_default(scanned: &Scanned, limit: usize) -> Vec<Suggestion> {
    let scores = default_scores(scanned);
    let named = scores.iter().enumerate().map(|(at, score)| {
        let category = &default_categories()[at];
        (category.key, category.english, *score)
    });
    ranked(named, limit)
}

/// The categories of an organisation that a text speaks of, best first.
pub fn suggest_category(text: &str, source: &CategorySource, limit: usize) -> Vec<Suggestion> {
    suggest_text(text, &Vocabulary::get().scan(&Text::new(text)), source, limit)
}

pub(crate) fn suggest_text(
    text: &str,
    scanned: &Scanned,
    source: &CategorySource,
    limit: usize,
) -> Vec<Suggestion> {
    let entries = source.index.entries();
    let mut scores = vec![0.0_f32; entries.len()];
    for (at, score) in default_scores(scanned).into_iter().enumerate() {
        if let Some(Some(entry)) = source.defaults.get(at) {
            scores[*entry as usize] += score;
        }
    }
    for mention in source.index.mentions(text) {
        scores[mention.position] += 1.5 * mention.score;
    }
    let named = scores
        .iter()
        .enumerate()
        .map(|(at, score)| (entries[at].key.as_str(), entries[at].name.as_str(), *score));
    ranked(named, limit)
}

fn default_scores(scanned: &Scanned) -> Vec<f32> {
    let mut scores = vec![0.0_f32; default_categories().len()];
    for hit in scanned.of(List::Category) {
        scores[usize::from(hit.group)] += 1.0 + 0.5 * (hit.last - hit.first) as f32;
    }
    scores
}

fn ranked<'a>(scored: impl Iterator<Item = (&'a str, &'a str, f32)>, limit: usize) -> Vec<Suggestion> {
    let mut found: Vec<(&str, &str, f32)> = scored.filter(|(.., score)| *score > 0.0).collect();
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    let total: f32 = found.iter().map(|(.., score)| score).sum::<f32>() + 0.5;
    found
        .into_iter()
        .take(limit)
        .map(|(key, name, score)| Suggestion {
            key: key.to_owned(),
            name: name.to_owned(),
            score: score / total,
        })
        .collect()
}
