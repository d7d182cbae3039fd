//! A name as what it is made of: nouns of one meaning in three languages, what tells it from its like, and words.

use std::hash::Hasher;
use std::sync::OnceLock;

use crate::lexicon::{ByHash, Fnv, lines};
use crate::text::{Kind, Script, Text, Token};

/// What a part of a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A common noun, by number: `building`, `gedung` and `مبنى` are one.
    Noun,
    /// A number, letter, code or side, never fuzzy.
    Tell,
    Word,
}

/// A part of a name.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub role: Role,
    /// Of what the term says; the same in all languages for nouns and tells.
    pub id: u64,
    /// A word's normal form, and that of a noun that is one word: `النور` is a lamp and a name.
    pub word: String,
    /// The noun that a tell belongs to, 0 where none is named.
    pub of: u64,
    /// Of a tell: that it has letters and digits.
    pub code: bool,
    pub arabic: bool,
    /// Tokens of the text, both included.
    pub first: usize,
    pub last: usize,
}

/// A common noun of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noun {
    pub id: u64,
    /// Of places that are counted or lettered, so that a number after it is a detail of a larger place.
    pub place: bool,
    /// A place of which every larger one has its own, such as a floor.
    pub inner: bool,
    /// Tells apart as a letter does.
    pub side: bool,
}

const STOP: [&str; 32] = [
    "di", "ke", "dari", "dekat", "pada", "yang", "dan", "at", "in", "on", "of", "the", "near", "and", "to",
    "from", "for", "في", "من", "عند", "علي", "الي", "no", "nomor", "number", "رقم", "sebelah", "samping",
    "next", "ada", "pak", "bu",
];

const COUNTED: [(&str, &str); 32] = [
    ("first", "1"),
    ("second", "2"),
    ("third", "3"),
    ("fourth", "4"),
    ("fifth", "5"),
    ("sixth", "6"),
    ("pertama", "1"),
    ("kedua", "2"),
    ("ketiga", "3"),
    ("keempat", "4"),
    ("kelima", "5"),
    ("keenam", "6"),
    ("satu", "1"),
    ("dua", "2"),
    ("tiga", "3"),
    ("empat", "4"),
    ("lima", "5"),
    ("اول", "1"),
    ("ثاني", "2"),
    ("ثانيه", "2"),
    ("ثالث", "3"),
    ("رابع", "4"),
    ("خامس", "5"),
    ("سادس", "6"),
    ("سابع", "7"),
    ("ii", "2"),
    ("iii", "3"),
    ("iv", "4"),
    ("vi", "6"),
    ("vii", "7"),
    ("viii", "8"),
    ("ix", "9"),
];

const AFTER_ARTICLE: [&str; 18] = [
    "bit", "few", "lot", "little", "long", "while", "couple", "week", "day", "month", "minute", "second",
    "big", "small", "huge", "strange", "strong", "new",
];

struct Nouns {
    words: ByHash<Noun>,
    /// Every way to write a noun, with the noun's id.
    spellings: Vec<(String, u64)>,
    kinds: ByHash<Noun>,
}

fn hash(tag: u8, word: &str) -> u64 {
    hash_words(tag, std::iter::once(word))
}

/// The same as that of the words with spaces between.
fn hash_words<'w>(tag: u8, words: impl Iterator<Item = &'w str>) -> u64 {
    let mut hash = Fnv::default();
    hash.write(&[tag]);
    for (at, word) in words.enumerate() {
        if at > 0 {
            hash.write(b" ");
        }
        hash.write(word.as_bytes());
    }
    hash.0
}

fn nouns() -> &'static Nouns {
    static NOUNS: OnceLock<Nouns> = OnceLock::new();
    NOUNS.get_or_init(|| {
        let mut nouns = Nouns { words: ByHash::default(), spellings: Vec::new(), kinds: ByHash::default() };
        for line in lines(include_str!("../../data/nouns.txt")) {
            let Some((kind, rest)) = line.split_once(' ') else { continue };
            let Some((name, words)) = rest.split_once(':') else { continue };
            let inner = kind == "inner";
            let noun =
                Noun { id: hash(b'@', name), place: inner || kind == "place", inner, side: kind == "part" };
            nouns.kinds.insert(noun.id, noun);
            for phrase in words.split(',') {
                let text = Text::verbatim(phrase);
                let whole: Vec<&str> = text.tokens().iter().map(|token| text.stem(token)).collect();
                let whole = whole.join(" ");
                nouns.words.insert(hash(b' ', &whole), noun);
                if !whole.contains(' ') && (!noun.side || whole.chars().count() > 5) {
                    nouns.spellings.push((whole, noun.id));
                }
            }
        }
        nouns
    })
}

/// Every single word that is a noun, with the noun's id.
pub(super) fn noun_words() -> &'static [(String, u64)] {
    &nouns().spellings
}

fn phrase<'w>(words: impl Iterator<Item = &'w str>) -> Option<Noun> {
    nouns().words.get(&hash_words(b' ', words)).copied()
}

fn noun(phrase: &str) -> Option<Noun> {
    let found = nouns().words.get(&hash(b' ', phrase)).copied();
    found.or_else(|| {
        let singular = phrase.strip_suffix('s').filter(|singular| singular.len() > 3)?;
        nouns().words.get(&hash(b' ', singular)).copied()
    })
}

/// The common noun that starts at a token, and how many tokens it takes.
pub(crate) fn noun_at(text: &Text<'_>, at: usize) -> Option<(Noun, usize)> {
    let tokens = text.tokens();
    (1..=3).rev().find_map(|length| {
        let window = tokens.get(at..at + length)?;
        if window.iter().any(|token| token.kind != Kind::Word) {
            return None;
        }
        let found = match window {
            [one] => noun(text.stem(one)),
            _ => phrase(window.iter().map(|token| text.stem(token))),
        };
        found.map(|found| (found, length))
    })
}

/// The number that a word says: `kedua`, `second`, `الثاني`.
pub(crate) fn is_counted(word: &str) -> bool {
    counted(word).is_some()
}

/// The common noun of an id.
pub(super) fn noun_of(id: u64) -> Option<Noun> {
    nouns().kinds.get(&id).copied()
}

/// Whether an id is that of a counted or lettered place, such as a floor.
pub(super) fn is_place(id: u64) -> bool {
    noun_of(id).is_some_and(|noun| noun.place)
}

/// Whether an id is that of a place that every larger place has.
pub(super) fn is_inner(id: u64) -> bool {
    noun_of(id).is_some_and(|noun| noun.inner)
}

/// Whether an id is that of equipment.
pub(super) fn is_thing(id: u64) -> bool {
    noun_of(id).is_some_and(|noun| !noun.place && !noun.side)
}

/// Whether a word is an ordinary one of the three languages.
pub(super) fn is_ordinary(word: &str) -> bool {
    static ORDINARY: OnceLock<ByHash<&'static str>> = OnceLock::new();
    let ordinary = ORDINARY.get_or_init(|| {
        let words = lines(include_str!("../../data/common.txt")).flat_map(str::split_whitespace);
        words.map(|word| (Fnv::of(word.as_bytes()), word)).collect()
    });
    ordinary.get(&Fnv::of(word.as_bytes())) == Some(&word)
}

fn counted(word: &str) -> Option<&'static str> {
    COUNTED.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
}

/// An Arabic letter that stands for a Latin one in names of blocks and buildings.
fn letter_of(word: &str) -> Option<char> {
    let mut letters = word.chars();
    let (Some(one), None) = (letters.next(), letters.next()) else { return None };
    Some(match one {
        'a'..='z' => one,
        'ا' => 'a',
        'ب' => 'b',
        'ج' => 'c',
        'د' => 'd',
        'ه' => 'e',
        _ => return None,
    })
}

struct Reader<'t, 'a> {
    text: &'t Text<'a>,
    message: bool,
    terms: Vec<Term>,
}

/// What a name, or with `message` a whole message, is made of.
pub(super) fn read(text: &Text<'_>, message: bool) -> Vec<Term> {
    let mut reader = Reader { text, message, terms: Vec::with_capacity(text.tokens().len()) };
    let mut at = 0;
    while at < text.tokens().len() {
        at = reader.step(at);
    }
    let mut terms = reader.terms;
    // A tell that comes before its noun: `2nd floor`.
    for at in 0..terms.len() {
        if terms[at].role == Role::Tell && terms[at].of == u64::MAX {
            let next = terms.get(at + 1).filter(|next| next.role == Role::Noun);
            terms[at].of = next.map_or(0, |next| next.id);
        }
    }
    terms
}

impl Reader<'_, '_> {
    fn token(&self, at: usize) -> Option<&Token> {
        self.text.tokens().get(at)
    }

    fn word(&self, at: usize) -> &str {
        self.token(at).map_or("", |token| self.text.stem(token))
    }

    fn push(&mut self, role: Role, id: u64, of: u64, first: usize, last: usize) {
        self.terms.push(Term { role, id, word: String::new(), of, code: false, arabic: false, first, last });
    }

    fn tell(&mut self, value: &str, first: usize, last: usize, of: Option<u64>) {
        let noun = self.terms.last().filter(|term| term.role == Role::Noun && term.last + 3 > first);
        let of = of.unwrap_or_else(|| noun.map_or(0, |noun| noun.id));
        self.push(Role::Tell, hash(b'#', value), of, first, last);
        if let Some(term) = self.terms.last_mut() {
            term.code = value.len() > 1 && value.bytes().any(|byte| byte.is_ascii_alphabetic());
        }
    }

    /// Reads what starts at a token; answers where the next thing starts.
    fn step(&mut self, at: usize) -> usize {
        let Some(token) = self.token(at).copied() else { return at + 1 };
        match token.kind {
            Kind::Mark => at + 1,
            Kind::Number => self.number(at),
            Kind::Word => self.noun(at).or_else(|| self.code(at)).unwrap_or_else(|| self.plain(at, &token)),
        }
    }

    fn number(&mut self, at: usize) -> usize {
        let digits = self.word(at).trim_start_matches('0').to_owned();
        let after = self.token(at + 1).filter(|next| next.glued && next.kind == Kind::Word);
        let suffix = after.map(|next| self.text.norm(next).to_owned()).unwrap_or_default();
        if matches!(suffix.as_str(), "st" | "nd" | "rd" | "th") {
            self.tell(&digits, at, at + 1, Some(u64::MAX));
            return at + 2;
        }
        if self.message && (is_unit(&suffix) || (suffix.is_empty() && is_unit(self.word(at + 1)))) {
            return at + 2;
        }
        if let Some(letter) = letter_of(&suffix) {
            self.tell(&format!("{digits}{letter}"), at, at + 1, None);
            return at + 2;
        }
        self.tell(&digits, at, at, None);
        at + 1
    }

    fn noun(&mut self, at: usize) -> Option<usize> {
        for length in [3, 2, 1] {
            if length > 1 && self.token(at + length - 1).is_none_or(|token| token.kind != Kind::Word) {
                continue;
            }
            let found = if length == 1 {
                noun(self.word(at))
            } else {
                phrase((at..at + length).map(|at| self.word(at)))
            };
            let Some(found) = found else { continue };
            if length == 1 && self.word(at).chars().count() == 1 {
                let number = self.token(at + 1).is_some_and(|next| next.glued && next.kind == Kind::Number);
                if !number {
                    return None;
                }
            }
            let role = if found.side { Role::Tell } else { Role::Noun };
            self.push(role, found.id, 0, at, at + length - 1);
            let arabic = self.token(at).is_some_and(|token| token.script == Script::Arabic);
            let word =
                if length == 1 && role == Role::Noun { self.word(at).to_owned() } else { String::new() };
            if let Some(term) = self.terms.last_mut() {
                (term.word, term.arabic) = (word, arabic);
            }
            return Some(at + length);
        }
        None
    }

    /// A letter alone, or a code: `A`, `B1`, `A-12`, `buildingA`.
    fn code(&mut self, at: usize) -> Option<usize> {
        let word = self.word(at).to_owned();
        if let Some(value) = counted(&word) {
            self.tell(value, at, at, None);
            return Some(at + 1);
        }
        if let Some(letter) = letter_of(&word) {
            let dash = self.token(at + 1).is_some_and(|next| next.glued && self.text.norm(next) == "-");
            let digits = at + 1 + usize::from(dash);
            if let Some(next) = self.token(digits).filter(|next| next.glued && next.kind == Kind::Number) {
                let mut value = format!("{letter}{}", self.text.norm(next).trim_start_matches('0'));
                // `P-101A`: no letter inside a code stands alone.
                let after = self.token(digits + 1).filter(|after| after.glued && after.kind == Kind::Word);
                let end = after.and_then(|after| letter_of(self.text.stem(after)));
                value.extend(end);
                let last = digits + usize::from(end.is_some());
                self.tell(&value, at, last, None);
                return Some(last + 1);
            }
            if self.message && self.is_indefinite(at) {
                return Some(at + 1);
            }
            // `B block`, but not `a block`.
            let bare = self.terms.last().is_none_or(|term| term.role != Role::Noun || term.last + 3 <= at);
            let after = noun_at(self.text, at + 1)
                .filter(|(noun, _)| self.message && bare && letter != 'a' && noun.place);
            self.tell(&letter.to_string(), at, at, after.map(|(noun, _)| noun.id));
            return Some(at + 1);
        }
        let (stem, end) = word.split_at(word.char_indices().next_back()?.0);
        if stem.len() >= 4
            && end != "s"
            && let Some(found) = noun(stem)
            && !found.side
            && let Some(letter) = letter_of(end)
        {
            self.push(Role::Noun, found.id, 0, at, at);
            // `gensett` is a slip; `blockK` is not.
            if stem.ends_with(end) && !self.ends_in_capital(at) {
                return Some(at + 1);
            }
            self.tell(&letter.to_string(), at, at, None);
            return Some(at + 1);
        }
        None
    }

    /// The English article: `the pump a few days ago`, `in the lobby: a pipe`.
    fn is_indefinite(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.token(before));
        let clause = before.is_some_and(|before| {
            before.kind == Kind::Mark && !matches!(self.text.norm(before), "." | "#" | "-" | "/" | "(")
        });
        self.token(at).is_some_and(|token| self.text.original(token) == "a")
            && (clause || AFTER_ARTICLE.contains(&self.word(at + 1)))
    }

    fn ends_in_capital(&self, at: usize) -> bool {
        let original = self.token(at).map_or("", |token| self.text.original(token));
        let mut letters = original.chars().rev();
        letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase)
    }

    /// The Arabic article before a name in Latin letters, assimilated or not: `Al Noor`, `An-Nur`.
    fn is_article(&self, at: usize) -> bool {
        let next =
            if self.token(at + 1).is_some_and(|next| self.text.norm(next) == "-") { at + 2 } else { at + 1 };
        let Some(name) = self.token(next).filter(|next| next.kind == Kind::Word) else { return false };
        let name = self.text.norm(name);
        name.len() > 2
            && match self.word(at) {
                "al" | "el" => true,
                assimilated @ ("an" | "ar" | "as" | "ash" | "ad" | "az" | "ath") => {
                    name.starts_with(&assimilated[1..])
                }
                _ => false,
            }
    }

    fn plain(&mut self, at: usize, token: &Token) -> usize {
        let word = self.word(at);
        if !STOP.contains(&word) && !self.is_article(at) {
            let (word, id) = (word.to_owned(), hash(b' ', word));
            let arabic = token.script == Script::Arabic;
            self.terms.push(Term {
                role: Role::Word,
                id,
                word,
                of: 0,
                code: false,
                arabic,
                first: at,
                last: at,
            });
        }
        at + 1
    }
}

fn is_unit(word: &str) -> bool {
    matches!(
        word,
        "x" | "kali"
            | "times"
            | "jam"
            | "hari"
            | "minggu"
            | "bulan"
            | "menit"
            | "hours"
            | "hour"
            | "hrs"
            | "days"
            | "day"
            | "minutes"
            | "mins"
            | "min"
            | "weeks"
            | "am"
            | "pm"
            | "liter"
            | "litre"
            | "l"
            | "kg"
            | "kwh"
            | "kw"
            | "volt"
            | "v"
            | "bar"
            | "psi"
            | "rpm"
            | "orang"
            | "people"
            | "persen"
            | "ساعات"
            | "ساعه"
            | "ايام"
            | "مرات"
            | "دقيقه"
            | "لتر"
    )
}
