//! What the linear model sees of a text: letters within words, words, and what the word lists say, each hashed to a row.

use std::hash::Hasher;
use std::sync::OnceLock;

use crate::lexicon::{Fnv, Hit};
use crate::root::root;
use crate::text::{Kind, Script, Text};
use crate::vocabulary::{List, Scanned, Vocabulary};

/// How many rows the model has.
pub(crate) const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 19;
/// Raised whenever features change, so that stale weights are noticed.
#[cfg(any(test, feature = "train"))]
pub(crate) const VERSION: u64 = 4;

const LONGEST: usize = 5;
const SCOPE: usize = 3;

/// A kind of feature; each is weighed on its own so that long texts do not drown the word lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Letters,
    Words,
    Lists,
}

/// Takes features as they are found, each with the token that it speaks of.
pub(crate) trait Sink {
    fn add(&mut self, part: Part, slot: usize, token: usize);
}

fn slot(hash: u64) -> usize {
    ((hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOT_BITS)) as usize
}

fn salted(salt: u8, parts: &[u64]) -> usize {
    let mut hash = Fnv::default();
    hash.write(&[salt]);
    for part in parts {
        hash.write(&part.to_le_bytes());
    }
    slot(hash.0)
}

/// Signals that the features name.
struct Names {
    not: u16,
    but: u16,
    count: u16,
    /// The signal that each concept's words give too.
    of_concepts: Vec<Option<u16>>,
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let names = Vocabulary::get().names(List::Signal);
        let find = |name: &str| names.iter().position(|known| known == name).map(|at| at as u16);
        let of_concept = |concept: &String| find(concept.split(' ').next().unwrap_or_default());
        Names {
            not: find("not").unwrap_or_default(),
            but: find("but").unwrap_or_default(),
            count: names.len() as u16,
            of_concepts: Vocabulary::get().names(List::Concept).iter().map(of_concept).collect(),
        }
    })
}

/// Finds every feature of a text.
pub(crate) fn extract(text: &Text<'_>, scanned: &Scanned, sink: &mut impl Sink) {
    let names = names();
    let signals: Vec<Hit> = scanned.of(List::Signal).collect();
    let mut negated = [0_u64; 4];
    for hit in signals.iter().filter(|hit| hit.group == names.not) {
        for at in hit.last as usize + 1..(hit.last as usize + 1 + SCOPE).min(256) {
            if text.tokens().get(at).is_none_or(|token| token.kind == Kind::Mark) {
                break;
            }
            negated[at / 64] |= 1 << (at % 64);
        }
    }
    let is_negated = |at: usize| at < 256 && negated[at / 64] >> (at % 64) & 1 == 1;
    words(text, is_negated, sink);
    lists(text, scanned, &signals, names, is_negated, sink);
}

fn words(text: &Text<'_>, is_negated: impl Fn(usize) -> bool, sink: &mut impl Sink) {
    let (mut one_back, mut two_back) = (1_u64, 0_u64);
    for (at, token) in text.tokens().iter().enumerate() {
        let norm = text.norm(token);
        let hash = match token.kind {
            Kind::Number => 0x100 + (norm.len().min(5) as u64),
            Kind::Mark if matches!(norm, "\n" | "," | "." | "-" | ":" | "/" | "*" | "(" | ")" | "\"") => {
                continue;
            }
            Kind::Mark => Fnv::of(norm.as_bytes()),
            Kind::Word => {
                letters(norm, at, sink);
                Fnv::of(text.stem(token).as_bytes())
            }
        };
        sink.add(Part::Words, salted(1, &[hash]), at);
        if token.kind == Kind::Word {
            let (root, affix) = root(text.stem(token), token.script);
            sink.add(Part::Words, salted(6, &[root]), at);
            sink.add(Part::Words, salted(7, &[affix, u64::from(at == 0)]), at);
        }
        if token.script == Script::Arabic && text.stem(token).len() < norm.len() {
            sink.add(Part::Words, salted(2, &[Fnv::of(norm.as_bytes())]), at);
        }
        sink.add(Part::Words, salted(3, &[one_back, hash]), at);
        if two_back != 0 {
            sink.add(Part::Words, salted(4, &[two_back, hash]), at);
        }
        if is_negated(at) {
            sink.add(Part::Words, salted(5, &[hash]), at);
        }
        two_back = one_back;
        one_back = hash;
    }
    if one_back != 1 {
        sink.add(Part::Words, salted(3, &[one_back, 2]), text.tokens().len() - 1);
    }
}

/// Runs of two to five letters, with the word's ends as letters.
fn letters(word: &str, at: usize, sink: &mut impl Sink) {
    let bytes = word.as_bytes();
    let next = |from: usize| {
        let step = bytes.get(from).map_or(1, |byte| match byte {
            0..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        });
        (from + step).min(bytes.len() + 1)
    };
    let mut start = None;
    loop {
        let mut hash = Fnv::default();
        let mut position = match start {
            None => {
                hash.write(b"\x01");
                0
            }
            Some(from) => {
                let to = next(from);
                hash.write(&bytes[from..to]);
                to
            }
        };
        let mut length = 1;
        while length < LONGEST && position <= bytes.len() {
            if position == bytes.len() {
                hash.write(b"\x02");
                length += 1;
                if length > 2 {
                    sink.add(Part::Letters, slot(hash.0), at);
                }
                break;
            }
            let to = next(position);
            hash.write(&bytes[position..to]);
            position = to;
            length += 1;
            if length > 2 || start.is_some() {
                sink.add(Part::Letters, slot(hash.0), at);
            }
        }
        let following = start.map_or(0, next);
        if following >= bytes.len() {
            break;
        }
        start = Some(following);
    }
}

fn lists(
    text: &Text<'_>,
    scanned: &Scanned,
    signals: &[Hit],
    names: &Names,
    is_negated: impl Fn(usize) -> bool,
    sink: &mut impl Sink,
) {
    let last = text.tokens().len().saturating_sub(1);
    let count = u64::from(names.count);
    // A signal under a negation is another signal; things are one more.
    let thing = count * 2;
    let mut events: Vec<(u64, usize)> = Vec::with_capacity(signals.len() + 4);
    for hit in signals {
        let negated = hit.group != names.not && is_negated(hit.first as usize);
        events.push((u64::from(hit.group) + if negated { count } else { 0 }, hit.first as usize));
    }
    concepts(scanned, names, &is_negated, &mut events, sink);
    let mut categories = 0_u32;
    for hit in scanned.of(List::Category) {
        events.push((thing, hit.first as usize));
        if categories >> hit.group & 1 == 0 {
            categories |= 1 << hit.group;
            sink.add(Part::Lists, salted(11, &[u64::from(hit.group)]), hit.first as usize);
        }
    }
    let mut severities = 0_u64;
    for hit in scanned.of(List::Severity) {
        let negated = is_negated(hit.first as usize);
        let bit = u64::from(hit.group) + if negated { 32 } else { 0 };
        if severities >> bit & 1 == 0 {
            severities |= 1 << bit;
            sink.add(Part::Lists, salted(12, &[bit]), hit.first as usize);
        }
    }
    events.sort_by_key(|(event, at)| (*at, *event));
    events.dedup();
    let mut present = 0_u64;
    let mut pairs = [0_u64; 64];
    let mut after_but = false;
    for (event, at) in &events {
        if *event == u64::from(names.but) {
            after_but = true;
        }
        if present >> event & 1 == 0 {
            sink.add(Part::Lists, salted(13, &[*event]), *at);
        }
        if after_but {
            sink.add(Part::Lists, salted(14, &[*event]), *at);
        }
        for other in 0..=thing {
            let row = &mut pairs[other as usize];
            if present >> other & 1 == 1 && *row >> event & 1 == 0 {
                *row |= 1 << event;
                sink.add(Part::Lists, salted(15, &[other, *event]), *at);
            }
        }
        present |= 1 << event;
    }
    let without_things = || events.iter().filter(|(event, _)| *event != thing);
    let first_event = without_things().next().map_or((99, 0), |(event, at)| (*event, *at));
    let last_event = without_things().next_back().map_or((99, last), |(event, at)| (*event, *at));
    sink.add(Part::Lists, salted(16, &[first_event.0, u64::from(first_event.1 == 0)]), first_event.1);
    sink.add(Part::Lists, salted(17, &[last_event.0]), last_event.1);
    let words = text.tokens().iter().filter(|token| token.kind != Kind::Mark).count();
    let length = match words {
        0..=2 => words as u64,
        3..=4 => 3,
        5..=8 => 4,
        9..=16 => 5,
        17..=32 => 6,
        _ => 7,
    };
    let has_thing = present >> thing & 1;
    sink.add(Part::Lists, salted(18, &[length]), last);
    sink.add(Part::Lists, salted(19, &[length, has_thing]), last);
    sink.add(Part::Lists, salted(20, &[u64::from(text.is_shouted())]), last);
    let ends = text.tokens().last().map_or("", |token| text.norm(token));
    sink.add(Part::Lists, salted(21, &[u64::from(ends == "?"), has_thing]), last);
}

/// Meanings, alone and in pairs; each gives its signal as an event too.
fn concepts(
    scanned: &Scanned,
    names: &Names,
    is_negated: impl Fn(usize) -> bool,
    events: &mut Vec<(u64, usize)>,
    sink: &mut impl Sink,
) {
    let mut seen: Vec<u64> = Vec::with_capacity(8);
    for hit in scanned.of(List::Concept) {
        let at = hit.first as usize;
        let negated = is_negated(at);
        if let Some(signal) = names.of_concepts[usize::from(hit.group)] {
            events.push((u64::from(signal) + if negated { u64::from(names.count) } else { 0 }, at));
        }
        let concept = u64::from(hit.group) + if negated { 128 } else { 0 };
        if seen.contains(&concept) {
            continue;
        }
        sink.add(Part::Lists, salted(22, &[concept]), at);
        for other in &seen {
            let (low, high) = if *other < concept { (*other, concept) } else { (concept, *other) };
            sink.add(Part::Lists, salted(23, &[low, high]), at);
        }
        seen.push(concept);
    }
}
