//! Names of an organisation's places, things and categories, found in what people write.
//!
//! A name is read as terms: common nouns of one meaning in three languages, tells (numbers, letters, sides: never
//! fuzzy), and words (fuzzy, across scripts by their consonants). Terms lead to the names that hold them; the likeliest
//! names are then compared in full.

mod compare;
mod distance;
mod lookup;
mod terms;

use serde::{Deserialize, Serialize};

use compare::{As, Compared, compare};
use lookup::Lookup;
use terms::{Role, is_inner, is_thing, read};

pub(crate) use terms::{is_counted, noun_at};

use crate::text::Text;

/// Whether a name tells no place or thing from its like: nothing but common nouns, such as `tower` or `المبنى`, or what
/// every place has its own of, such as `lantai 3`.
pub fn is_common(name: &str) -> bool {
    let terms = read(&Text::verbatim(name), false);
    let inner = |term: &terms::Term| match term.role {
        Role::Noun => is_inner(term.id),
        Role::Tell => true,
        Role::Word => false,
    };
    terms.iter().all(|term| term.role == Role::Noun) || terms.iter().all(inner)
}

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
    lookup: Lookup,
}

/// A message read once, for several lists.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    text: Text<'a>,
    terms: Vec<terms::Term>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(message: &'a str) -> Self {
        let text = Text::verbatim(message);
        let terms = read(&text, true);
        Message { text, terms }
    }
}

/// From this score on a candidate may be the one that is meant.
const MEANT: f32 = 0.76;
/// By how much the best must be ahead of the next entry.
const AHEAD: f32 = 0.02;
/// Terms between a thing and the rest of its name, at most, and how sure such a name is.
const REACH: usize = 7;
const FAR: f32 = 0.95;
/// How many names are compared in full.
const COMPARED: usize = 32;

impl Index {
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut lookup = Lookup::default();
        for (position, entry) in entries.iter().enumerate() {
            for name in entry.names() {
                lookup.add(position as u32, name);
            }
        }
        lookup.finish();
        Index { entries, lookup }
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
        let text = Text::verbatim(query);
        let terms = read(&text, false);
        let resolved = self.lookup.resolve(&terms);
        let plain = lookup::plain(&text);
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        let mut equal: Vec<&str> = Vec::new();
        for (name, _) in self.lookup.likeliest(&resolved, COMPARED, false) {
            let name = &self.lookup.names[name as usize];
            let Compared { score, .. } =
                compare(&terms, &resolved, name, As::Name { plain: &plain, counted: &self.lookup.counted });
            let key = self.entries[name.entry as usize].key.as_str();
            if name.plain == plain {
                equal.push(key);
            }
            match candidates.iter_mut().find(|known| known.key == key) {
                Some(known) => known.score = known.score.max(score),
                None => candidates.push(self.candidate(name.entry as usize, score)),
            }
        }
        // A name as it is written is meant before one that says the same in other words.
        for other in candidates.iter_mut().filter(|other| !equal.is_empty() && !equal.contains(&other.key)) {
            other.score = other.score.min(1.0 - 2.0 * AHEAD);
        }
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.position.cmp(&b.position)));
        let next = candidates.get(1).map_or(0.0, |next| next.score);
        let best =
            candidates.first().copied().filter(|best| best.score >= MEANT && best.score >= next + AHEAD);
        candidates.retain(|candidate| candidate.score > 0.2);
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
    ///
    /// ```
    /// use kabar_understanding::{Entry, Index};
    ///
    /// let index = Index::new([Entry::new("2", "Genset 2"), Entry::new("3", "Genset 3")]);
    /// let found = index.mentions("tadi malam genset 3 trip 2x");
    /// assert_eq!((found[0].key, found[0].start, found[0].end), ("3", 11, 19));
    /// ```
    pub fn mentions(&self, message: &str) -> Vec<Mention<'_>> {
        self.mentions_in(&Message::new(message))
    }

    pub(crate) fn mentions_in(&self, message: &Message<'_>) -> Vec<Mention<'_>> {
        if self.is_empty() {
            return Vec::new();
        }
        let Message { text, terms } = message;
        let resolved = self.lookup.resolve(terms);
        let things: Vec<u64> = terms.iter().filter(|term| is_thing(term.id)).map(|term| term.id).collect();
        let mut found: Vec<(f32, f32, usize, usize, usize)> = Vec::new();
        for (name, _) in self.lookup.likeliest(&resolved, COMPARED * 2, true) {
            let name = &self.lookup.names[name as usize];
            for (first, mut last) in lookup::windows(terms, &resolved, name) {
                // A number or letter right after belongs to the name that is meant.
                while terms.get(last + 1).is_some_and(|next| {
                    next.role == Role::Tell
                        && next.first <= terms[last].last + 1
                        && next.of != u64::MAX
                        && !counts_things(terms, last + 1)
                }) {
                    last += 1;
                }
                let window = first..last + 1;
                let named_before = named_before(terms, first, name);
                let own = |thing: &u64| name.parts.iter().any(|part| part.noun == *thing);
                let said = As::Message { other_thing: things.iter().any(|thing| !own(thing)) };
                let Compared { score, whole, weight } = match named_before {
                    None => compare(&terms[window.clone()], &resolved[window], name, said),
                    Some(at) => {
                        let terms: Vec<_> =
                            [at].into_iter().chain(window.clone()).map(|at| terms[at].clone()).collect();
                        let resolved: Vec<_> =
                            [at].into_iter().chain(window).map(|at| resolved[at].clone()).collect();
                        let found = compare(&terms, &resolved, name, said);
                        Compared { score: found.score * FAR, ..found }
                    }
                };
                let first = named_before.unwrap_or(first);
                if whole && score >= MEANT + 0.02 {
                    found.push((score, weight, first, last, name.entry as usize));
                }
            }
        }
        found.sort_by(|a, b| (b.0 * b.1).total_cmp(&(a.0 * a.1)).then(a.2.cmp(&b.2)));
        let mut mentions: Vec<Mention<'_>> = Vec::new();
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for (score, weight, first, last, position) in &found {
            if taken.iter().any(|(from, to)| first <= to && from <= last) {
                continue;
            }
            taken.push((*first, *last));
            let rival = found.iter().any(|(other, heavy, from, to, entry)| {
                entry != position && from <= last && first <= to && other * heavy + AHEAD >= score * weight
            });
            if rival {
                continue;
            }
            let entry = &self.entries[*position];
            let tokens = text.tokens();
            mentions.push(Mention {
                key: &entry.key,
                name: &entry.name,
                score: *score,
                start: tokens[terms[*first].first].start as usize,
                end: tokens[terms[*last].last].end as usize,
                position: *position,
            });
        }
        mentions.sort_by_key(|mention| mention.start);
        mentions
    }
}

/// Where a thing is named that the rest of its name comes after: `AC bocor di gd A lt 2`.
fn named_before(terms: &[terms::Term], first: usize, name: &lookup::Name) -> Option<usize> {
    let head = name.parts.iter().find(|part| part.head && is_thing(part.noun))?.noun;
    let near = (first.saturating_sub(REACH)..first).rev();
    let at = near.into_iter().find(|at| is_thing(terms[*at].id))?;
    (terms[at].id == head && terms[first].id != head).then_some(at)
}

/// Whether a number is how many there are of what follows: `Building A 2 lamps`.
fn counts_things(terms: &[terms::Term], at: usize) -> bool {
    let adjacent = |next: &&terms::Term| next.first == terms[at].last + 1;
    terms[at].of == 0 && terms.get(at + 1).filter(adjacent).is_some_and(|next| is_thing(next.id))
}

#[cfg(test)]
mod tests;
