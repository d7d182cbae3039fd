//! Word lists out of `data/`: spellings, and groups of phrases found in one pass over a text.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

use crate::text::{Kind, Script, Text, Token};

/// FNV-1a, one byte at a time, so that every prefix of a word is hashed on the way to its end.
#[derive(Clone, Copy)]
pub(crate) struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut hash = Fnv::default();
        hash.write(bytes);
        hash.0
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// Takes a hash as it is.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

pub(crate) type ByHash<T> = HashMap<u64, T, BuildHasherDefault<AsIs>>;

/// How a chat spelling is written out: `udh` as `sudah`, `plz` as `please`.
pub(crate) fn spelling(word: &str) -> Option<&'static str> {
    static SPELLINGS: OnceLock<ByHash<(&'static str, &'static str)>> = OnceLock::new();
    let spellings = SPELLINGS.get_or_init(|| {
        let mut map = ByHash::default();
        for line in lines(include_str!("../data/spellings.txt")) {
            if let Some((canonical, variants)) = line.split_once(':') {
                for variant in variants.split_whitespace() {
                    map.insert(Fnv::of(variant.as_bytes()), (variant, canonical.trim()));
                }
            }
        }
        map
    });
    let (variant, canonical) = spellings.get(&Fnv::of(word.as_bytes()))?;
    (*variant == word).then_some(canonical)
}

/// The lines that say something, without comments.
pub(crate) fn lines(data: &'static str) -> impl Iterator<Item = &'static str> {
    data.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[derive(Debug)]
struct Pattern {
    word: String,
    prefix: bool,
}

impl Pattern {
    fn fits(&self, text: &Text<'_>, at: usize) -> bool {
        let Some(token) = text.tokens().get(at) else { return false };
        let fits = |word: &str| if self.prefix { word.starts_with(&self.word) } else { word == self.word };
        fits(text.norm(token)) || (token.script == Script::Arabic && fits(text.stem(token)))
    }
}

/// A phrase without its first word, which leads to it.
#[derive(Debug)]
struct Phrase {
    rest: Vec<Pattern>,
    group: u16,
}

/// A phrase found in a text: tokens `first..=last` say something of `group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub group: u16,
    pub first: u32,
    pub last: u32,
}

/// Groups of phrases. A word that ends in `*` stands for every word that begins so.
///
/// Phrases are found by the hash of their first word, or of their first two where both are whole words: many begin with
/// the same negation. Of some ten thousand hashes of 64 bits no two are the same by chance.
#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    groups: Vec<String>,
    phrases: Vec<Phrase>,
    whole: ByHash<Vec<u32>>,
    pairs: ByHash<Vec<u32>>,
    prefixes: ByHash<Vec<u32>>,
}

/// Hashes of a token's normal form and, where it is another, of its stem.
type Forms = (u64, Option<u64>);

fn forms(text: &Text<'_>, token: &Token) -> Forms {
    let (norm, stem) = (text.norm(token), text.stem(token));
    (Fnv::of(norm.as_bytes()), (stem.len() < norm.len()).then(|| Fnv::of(stem.as_bytes())))
}

fn pair(first: u64, second: u64) -> u64 {
    first.rotate_left(17) ^ second
}

impl Lexicon {
    /// Reads `[group]` headings, each followed by phrases parted by commas. Lines with `=` are the caller's. A heading
    /// begins a group even if an earlier list has one of that name.
    pub(crate) fn read(&mut self, data: &'static str) {
        for line in lines(data) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                self.groups.push(name.to_owned());
            } else if !line.contains('=') {
                for phrase in line.split(',').map(str::trim).filter(|phrase| !phrase.is_empty()) {
                    self.add(phrase, (self.groups.len() - 1) as u16);
                }
            }
        }
    }

    pub(crate) fn groups(&self) -> &[String] {
        &self.groups
    }

    pub(crate) fn add(&mut self, phrase: &str, group: u16) {
        let mut patterns = phrase.split_whitespace().flat_map(|word| {
            let prefix = word.ends_with('*');
            let bare = word.trim_end_matches('*');
            let text = if prefix { Text::verbatim(bare) } else { Text::new(bare) };
            let mut parts: Vec<Pattern> = text
                .tokens()
                .iter()
                .map(|token| Pattern { word: text.norm(token).to_owned(), prefix: false })
                .collect();
            if let Some(last) = parts.last_mut() {
                last.prefix = prefix;
            }
            parts
        });
        let Some(first) = patterns.next() else { return };
        let rest: Vec<Pattern> = patterns.collect();
        let hash = Fnv::of(first.word.as_bytes());
        let (map, hash) = match rest.first() {
            _ if first.prefix => (&mut self.prefixes, hash),
            Some(second) if !second.prefix => (&mut self.pairs, pair(hash, Fnv::of(second.word.as_bytes()))),
            _ => (&mut self.whole, hash),
        };
        map.entry(hash).or_default().push(self.phrases.len() as u32);
        self.phrases.push(Phrase { rest, group });
    }

    /// Every phrase in the text, in its order; phrases may overlap.
    pub(crate) fn scan(&self, text: &Text<'_>, hits: &mut Vec<Hit>) {
        let tokens: Vec<Forms> = text.tokens().iter().map(|token| forms(text, token)).collect();
        for (at, (norm, stem)) in tokens.iter().enumerate() {
            let token = &text.tokens()[at];
            self.scan_prefixes(text, at, text.norm(token), hits);
            self.scan_whole(text, &tokens, at, *norm, hits);
            if let Some(stem) = stem {
                self.scan_prefixes(text, at, text.stem(token), hits);
                self.scan_whole(text, &tokens, at, *stem, hits);
            }
        }
    }

    fn scan_prefixes(&self, text: &Text<'_>, at: usize, word: &str, hits: &mut Vec<Hit>) {
        let mut hash = Fnv::default();
        for (index, byte) in word.as_bytes().iter().enumerate() {
            hash.write(std::slice::from_ref(byte));
            if index > 0
                && word.is_char_boundary(index + 1)
                && let Some(found) = self.prefixes.get(&hash.0)
            {
                self.check(text, at, found, hits);
            }
        }
    }

    fn scan_whole(&self, text: &Text<'_>, tokens: &[Forms], at: usize, hash: u64, hits: &mut Vec<Hit>) {
        if let Some(found) = self.whole.get(&hash) {
            self.check(text, at, found, hits);
        }
        for next in [Some(at + 1), is_joint(text, at + 1).then_some(at + 2)].into_iter().flatten() {
            let Some((norm, stem)) = tokens.get(next) else { break };
            for second in [Some(*norm), *stem].into_iter().flatten() {
                if let Some(found) = self.pairs.get(&pair(hash, second)) {
                    self.check(text, at, found, hits);
                }
            }
        }
    }

    fn check(&self, text: &Text<'_>, at: usize, found: &[u32], hits: &mut Vec<Hit>) {
        for phrase in found.iter().map(|index| &self.phrases[*index as usize]) {
            let last = phrase.rest.iter().try_fold(at, |last, pattern| {
                let mut next = last + 1;
                if !pattern.fits(text, next) && is_joint(text, next) {
                    next += 1;
                }
                pattern.fits(text, next).then_some(next)
            });
            if let Some(last) = last {
                let hit = Hit { group: phrase.group, first: at as u32, last: last as u32 };
                if hits.last() != Some(&hit) {
                    hits.push(hit);
                }
            }
        }
    }
}

/// Whether a token may stand between two words of a phrase.
fn is_joint(text: &Text<'_>, at: usize) -> bool {
    text.tokens()
        .get(at)
        .is_some_and(|token| token.kind == Kind::Mark && matches!(text.norm(token), "-" | "/" | "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_and_prefixes_are_found_where_they_stand() {
        let mut lexicon = Lexicon::default();
        lexicon.read("[fault]\nbocor*, not working, تسرب");
        let mut hits = Vec::new();
        lexicon.scan(&Text::new("Kebocoran? bocornya, NOT  working. والتسرب"), &mut hits);
        let places: Vec<(u32, u32)> = hits.iter().map(|hit| (hit.first, hit.last)).collect();
        assert_eq!(places, [(2, 2), (4, 5), (7, 7)]);
    }
}
