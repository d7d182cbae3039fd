//! From terms to the names that hold them.

use super::distance::{Bones, allowed, distance, mask};
use super::terms::{Role, Term, is_ordinary, noun_of, noun_words, read};
use crate::lexicon::{ByHash, Fnv};
use crate::text::{Kind, Text};

/// A name, code or alias of an entry.
#[derive(Debug)]
pub(super) struct Name {
    pub entry: u32,
    pub parts: Vec<Part>,
    pub weights: Vec<f32>,
    /// Their sum.
    pub weight: f32,
    /// The whole without spaces, for slips across words.
    pub plain: Vec<char>,
    /// Nouns of places whose numbers tell apart names of the list that go on from this one: where floors of a building
    /// are listed, one that is not is no detail.
    pub split_by: Vec<u64>,
}

/// A term of a name.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Part {
    /// Its number in the list.
    pub term: u32,
    pub role: Role,
    /// The noun that a tell belongs to.
    pub of: u64,
    /// Of a noun: its id.
    pub noun: u64,
    /// A tell with letters and digits.
    pub code: bool,
    pub side: bool,
    /// A word that need not be a name.
    pub ordinary: bool,
    /// A noun without a number where other nouns have theirs: what the name is of.
    pub head: bool,
}

/// A term of a text as the terms of the list that it may be, likeliest first.
pub(super) type Resolved = Vec<(u32, f32)>;

#[derive(Debug, Default)]
pub(super) struct Lookup {
    pub names: Vec<Name>,
    ids: ByHash<u32>,
    /// Names by term.
    postings: Vec<Vec<u32>>,
    weights: Vec<f32>,
    vocabulary: Words,
    words: Vec<(String, u32, bool, Role)>,
    bones: ByHash<Vec<(u32, bool, Bones)>>,
    /// Nouns of places that the names count or letter.
    pub counted: Vec<u64>,
}

/// Words by length, their letters' masks in a row.
#[derive(Debug, Default)]
struct Words {
    masks: Vec<u32>,
    letters: Vec<Vec<char>>,
    terms: Vec<u32>,
    /// Where words of each length start.
    starts: Vec<usize>,
}

const LONGEST: usize = 40;

/// What a name says in a row, without spaces and marks.
pub(super) fn plain(text: &Text<'_>) -> Vec<char> {
    let said = text.tokens().iter().filter(|token| token.kind != Kind::Mark);
    said.flat_map(|token| text.stem(token).chars()).collect()
}

impl Lookup {
    pub(super) fn add(&mut self, entry: u32, name: &str) {
        let text = Text::verbatim(name);
        let terms = read(&text, false);
        if terms.is_empty() {
            return;
        }
        let tells = |of: u64| terms.iter().any(|tell| tell.role == Role::Tell && tell.of == of);
        let numbered = terms.iter().any(|term| term.role == Role::Tell && term.of != 0);
        let mut parts = Vec::with_capacity(terms.len());
        for term in &terms {
            let known = self.ids.len() as u32;
            let id = *self.ids.entry(term.id).or_insert(known);
            if id == known {
                self.postings.push(Vec::new());
                if !term.word.is_empty() {
                    self.words.push((term.word.clone(), id, term.arabic, term.role));
                }
            }
            let postings = &mut self.postings[id as usize];
            if postings.last() != Some(&(self.names.len() as u32)) {
                postings.push(self.names.len() as u32);
            }
            if term.role == Role::Tell && !self.counted.contains(&term.of) {
                self.counted.push(term.of);
            }
            let is_noun = term.role == Role::Noun;
            parts.push(Part {
                term: id,
                role: term.role,
                of: term.of,
                noun: if is_noun { term.id } else { 0 },
                code: term.code,
                side: noun_of(term.id).is_some_and(|noun| noun.side),
                ordinary: term.role == Role::Word && is_ordinary(&term.word),
                head: is_noun && numbered && !tells(term.id),
            });
        }
        self.names.push(Name {
            entry,
            parts,
            split_by: Vec::new(),
            weights: Vec::new(),
            weight: 0.0,
            plain: plain(&text),
        });
    }

    /// Weighs and sorts what was added.
    pub(super) fn finish(&mut self) {
        let names = (self.names.len().max(2) as f32).ln();
        let rarity: Vec<f32> = self
            .postings
            .iter()
            .map(|names_of| 1.0 - 0.5 * (names_of.len().max(1) as f32).ln() / names)
            .collect();
        self.weights = vec![0.0; self.postings.len()];
        for name in &mut self.names {
            name.weights = name
                .parts
                .iter()
                .map(|part| match part.role {
                    Role::Noun => 0.35,
                    Role::Tell => 0.8,
                    Role::Word => rarity[part.term as usize],
                })
                .collect();
            name.weight = name.weights.iter().sum();
            for (part, weight) in name.parts.iter().zip(&name.weights) {
                self.weights[part.term as usize] = *weight;
            }
        }
        self.split();
        let mut words: Vec<(Vec<char>, u32)> = self
            .words
            .iter()
            .filter(|(.., role)| *role == Role::Word)
            .map(|(word, term, ..)| (word.chars().collect(), *term))
            .collect();
        for (word, id) in noun_words() {
            if let Some(term) = self.ids.get(id) {
                words.push((word.chars().collect(), *term));
            }
        }
        words.retain(|(word, _)| word.len() <= LONGEST);
        words.sort_by_key(|(word, _)| word.len());
        let vocabulary = &mut self.vocabulary;
        for length in 0..=LONGEST + 3 {
            vocabulary.starts.push(words.partition_point(|(word, _)| word.len() < length));
        }
        for (word, term) in words {
            vocabulary.masks.push(mask(&word));
            vocabulary.letters.push(word);
            vocabulary.terms.push(term);
        }
        for (word, term, arabic, _) in &self.words {
            let bones = Bones::of(word);
            if bones.consonants.len() > 1 {
                let of_hash = self.bones.entry(Fnv::of(bones.consonants.as_bytes())).or_default();
                of_hash.push((*term, *arabic, bones));
            }
        }
    }

    /// Finds, for each name, which places within it the list tells apart.
    fn split(&mut self) {
        let key = |name: &Name, without: u64| {
            let kept = name.parts.iter().filter(|part| part.of != without && part.noun != without);
            kept.fold(0_u64, |sum, part| {
                let of_part = Fnv::of(&part.term.to_le_bytes()) ^ part.of.rotate_left(17);
                sum.wrapping_add(of_part.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            })
        };
        let mut split_by: ByHash<Vec<u64>> = ByHash::default();
        for name in &self.names {
            for tell in name.parts.iter().filter(|part| part.role == Role::Tell && part.of != 0) {
                split_by.entry(key(name, tell.of)).or_default().push(tell.of);
            }
        }
        for name in &mut self.names {
            name.split_by = split_by.get(&key(name, u64::MAX)).cloned().unwrap_or_default();
        }
    }

    pub(super) fn resolve(&self, terms: &[Term]) -> Vec<Resolved> {
        let exact = |term: &Term| self.ids.get(&term.id).map(|id| (*id, 1.0));
        let mut resolved: Vec<Resolved> = Vec::with_capacity(terms.len());
        for term in terms {
            let mut found: Resolved = exact(term).into_iter().collect();
            if found.is_empty() && term.role == Role::Word && !is_ordinary(&term.word) {
                self.near(&term.word, &mut found);
            }
            if found.is_empty() && !term.word.is_empty() {
                self.across(term, &mut found);
            }
            resolved.push(found);
        }
        resolved
    }

    /// Words within the slips allowed.
    fn near(&self, word: &str, found: &mut Resolved) {
        let letters: Vec<char> = word.chars().collect();
        let most = allowed(letters.len());
        if most == 0 || letters.len() > LONGEST {
            return;
        }
        let words = &self.vocabulary;
        let bits = mask(&letters);
        let from = words.starts[letters.len() - most];
        let to = words.starts[(letters.len() + most + 1).min(LONGEST + 3)];
        for at in from..to {
            let other = words.masks[at];
            if (bits & !other).count_ones() as usize > most || (other & !bits).count_ones() as usize > most {
                continue;
            }
            let other = &words.letters[at];
            if let Some(slips) = distance(&letters, other, most)
                && (slips < 2 || other.first() == letters.first())
            {
                let likeness = 1.0 - 0.8 * slips as f32 / letters.len() as f32;
                found.push((words.terms[at], likeness));
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(6);
    }

    /// Words of the other script with the same consonants.
    fn across(&self, term: &Term, found: &mut Resolved) {
        let bones = Bones::of(&term.word);
        if bones.consonants.len() > 1
            && let Some(words) = self.bones.get(&Fnv::of(bones.consonants.as_bytes()))
        {
            let same = |(_, arabic, other): &&(u32, bool, Bones)| {
                *arabic != term.arabic
                    && if *arabic { Bones::agree(other, &bones) } else { Bones::agree(&bones, other) }
            };
            found.extend(words.iter().filter(same).map(|(id, ..)| (*id, 0.88)));
            found.truncate(6);
        }
    }

    /// The names that share most with a text, best first: by the share of both, or with `inside` of the name alone.
    pub(super) fn likeliest(&self, resolved: &[Resolved], most: usize, inside: bool) -> Vec<(u32, f32)> {
        let mut sums = vec![0.0_f32; self.names.len()];
        let mut touched: Vec<u32> = Vec::new();
        let mut total = 0.0_f32;
        let mut seen: Vec<u32> = Vec::with_capacity(resolved.len());
        for options in resolved {
            total += options.first().map_or(0.8, |(term, _)| self.weights[*term as usize]);
            for (term, likeness) in options {
                if seen.contains(term) {
                    continue;
                }
                seen.push(*term);
                let weight = self.weights[*term as usize] * likeness;
                for name in &self.postings[*term as usize] {
                    let sum = &mut sums[*name as usize];
                    if *sum == 0.0 {
                        touched.push(*name);
                    }
                    *sum += weight;
                }
            }
        }
        let mut ranked: Vec<(u32, f32)> = touched
            .into_iter()
            .map(|name| {
                let of_name = self.names[name as usize].weight;
                let sum = sums[name as usize];
                let share =
                    if inside { sum / of_name + of_name * 0.01 } else { 2.0 * sum / (total + of_name) };
                (name, share)
            })
            .filter(|(_, share)| !inside || *share > 0.6)
            .collect();
        let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if ranked.len() > most {
            ranked.select_nth_unstable_by(most, order);
            ranked.truncate(most);
        }
        ranked.sort_by(order);
        ranked
    }
}

/// Where in a text a name may stand: around each place of its rarest term, as first and last term.
pub(super) fn windows(terms: &[Term], resolved: &[Resolved], name: &Name) -> Vec<(usize, usize)> {
    let places = |term: u32| {
        let holds = move |options: &Resolved| options.iter().any(|(option, _)| *option == term);
        resolved.iter().enumerate().filter(move |(_, options)| holds(options)).map(|(at, _)| at)
    };
    let Some(rarest) = (0..name.parts.len())
        .filter(|at| places(name.parts[*at].term).next().is_some())
        .max_by(|a, b| name.weights[*a].total_cmp(&name.weights[*b]))
    else {
        return Vec::new();
    };
    let mut windows: Vec<(usize, usize)> = Vec::new();
    for anchor in places(name.parts[rarest].term).take(8) {
        let (mut first, mut last) = (anchor, anchor);
        for part in &name.parts {
            if let Some(near) = places(part.term).min_by_key(|at| at.abs_diff(anchor))
                && near.abs_diff(anchor) <= name.parts.len() + 1
            {
                first = first.min(near);
                last = last.max(near);
            }
        }
        let gap = terms[last].first.saturating_sub(terms[first].last);
        if gap <= name.parts.len() * 2 + 4 && !windows.contains(&(first, last)) {
            windows.push((first, last));
        }
    }
    windows
}
