//! Names of an organisation's places, things and categories, found in what people write.

use serde::{Deserialize, Serialize};

use crate::text::{Kind, Text};

/// A name to match against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The caller's own key, given back with each match.
    pub key: String,
    pub name: String,
    #[serde(default)]
    pub code: Option<String>,
    /// Other names, such as those learned from corrections.
    #[serde(default)]
    pub aliases: Vec<String>,
}

impl Entry {
    pub fn new(key: impl Into<String>, name: impl Into<String>) -> Self {
        Entry { key: key.into(), name: name.into(), ..Entry::default() }
    }

    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    #[must_use]
    pub fn with_aliases<S: Into<String>>(mut self, aliases: impl IntoIterator<Item = S>) -> Self {
        self.aliases.extend(aliases.into_iter().map(Into::into));
        self
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str())
            .chain(self.code.as_deref())
            .chain(self.aliases.iter().map(String::as_str))
    }
}

/// An entry that may be meant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Candidate<'a> {
    pub key: &'a str,
    pub name: &'a str,
    /// 0 to 1, 1 for the very name, code or alias.
    pub score: f32,
    /// Where the entry stands in [`Index::entries`].
    #[serde(skip)]
    pub position: usize,
}

/// What a name was matched to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Found<'a> {
    /// The one entry that is meant; none where several are as likely, or none is likely enough.
    pub best: Option<Candidate<'a>>,
    /// The likeliest entries, best first, whether or not one is meant.
    pub candidates: Vec<Candidate<'a>>,
}

/// An entry named inside a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mention<'a> {
    pub key: &'a str,
    pub name: &'a str,
    pub score: f32,
    /// Scalar values over the original text, half open.
    pub start: usize,
    pub end: usize,
    #[serde(skip)]
    pub position: usize,
}

/// A list of names, prepared for matching. Build once, share, rebuild on change.
///
/// ```
/// use kabar_understanding::{Entry, Index};
///
/// let index = Index::new([Entry::new("1", "Genset 2"), Entry::new("2", "Genset 3")]);
/// assert_eq!(index.find("genset 3", 5).best.map(|found| found.key), Some("2"));
/// assert!(index.find("genset 4", 5).best.is_none());
/// ```
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Entry>,
    normal: Vec<Vec<String>>,
}

fn normal(name: &str) -> String {
    let text = Text::verbatim(name);
    let mut normal = String::new();
    for token in text.tokens().iter().filter(|token| token.kind != Kind::Mark) {
        normal.push_str(text.stem(token));
        normal.push(' ');
    }
    normal
}

impl Index {
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let normal = entries.iter().map(|entry| entry.names().map(normal).collect()).collect();
        Index { entries, normal }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry that `query` names, and up to `limit` candidates.
    pub fn find(&self, query: &str, limit: usize) -> Found<'_> {
        let query = normal(query);
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        for (position, names) in self.normal.iter().enumerate() {
            if !query.is_empty() && names.contains(&query) {
                candidates.push(self.candidate(position, 1.0));
            }
        }
        candidates.truncate(limit.max(2));
        let best = (candidates.len() == 1).then(|| candidates[0]);
        candidates.truncate(limit);
        Found { best, candidates }
    }

    pub(crate) fn find_position(&self, query: &str) -> Option<u32> {
        self.find(query, 1).best.map(|found| found.position as u32)
    }

    fn candidate(&self, position: usize, score: f32) -> Candidate<'_> {
        let entry = &self.entries[position];
        Candidate { key: &entry.key, name: &entry.name, score, position }
    }

    /// The entries named inside a whole message, in the order of the text, without overlaps.
    pub fn mentions(&self, message: &str) -> Vec<Mention<'_>> {
        let text = Text::verbatim(message);
        let tokens: Vec<_> = text.tokens().iter().filter(|token| token.kind != Kind::Mark).collect();
        let mut mentions = Vec::new();
        for (position, names) in self.normal.iter().enumerate() {
            for name in names.iter().filter(|name| !name.is_empty()) {
                let words: Vec<&str> = name.split_whitespace().collect();
                let same = |window: &&[&crate::text::Token]| {
                    window.iter().zip(&words).all(|(token, word)| text.stem(token) == *word)
                };
                if let Some(window) = tokens.windows(words.len()).find(same) {
                    let entry = &self.entries[position];
                    mentions.push(Mention {
                        key: &entry.key,
                        name: &entry.name,
                        score: 1.0,
                        start: window[0].start as usize,
                        end: window[window.len() - 1].end as usize,
                        position,
                    });
                    break;
                }
            }
        }
        mentions.sort_by_key(|mention| mention.start);
        mentions
    }
}
