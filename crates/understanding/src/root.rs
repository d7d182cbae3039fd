//! Words without their endings, so that `leaked` teaches about `leaking`, `diganti` about `mengganti`, and خربانه about
//! مخروب. Rough: what is cut off too much is cut off every time, and words as they stand are features beside.

use std::hash::Hasher;

use crate::lexicon::Fnv;
use crate::text::Script;

/// Endings, longest first where one ends in another. `nya` may stand behind a second one.
const ENDINGS: [&str; 17] = [
    "nya", "lah", "kan", "ings", "ing", "ied", "ies", "ed", "es", "s", "ly", "er", "an", "in", "i", "e", "y",
];
const BEGINNINGS: [&str; 14] =
    ["di", "meng", "menge", "peng", "nge", "mem", "men", "me", "ter", "ber", "ke", "re", "un", "ng"];

/// Hashes of a word's root and of what was cut off; the word is in normal form, without proclitics.
pub(crate) fn root(word: &str, script: Script) -> (u64, u64) {
    match script {
        Script::Arabic => arabic(word),
        _ if word.is_ascii() => latin(word),
        _ => (Fnv::of(word.as_bytes()), 0),
    }
}

fn latin(word: &str) -> (u64, u64) {
    let (mut from, mut to, mut affix) = (0, word.len(), 0);
    for (at, ending) in ENDINGS.iter().enumerate() {
        if to >= ending.len() + 3 && word[..to].ends_with(ending) {
            to -= ending.len();
            affix = at as u64 + 1;
            if at > 0 {
                break;
            }
        }
    }
    let begins = |beginning: &str| to >= beginning.len() + 4 && word.starts_with(beginning);
    if let Some(at) = BEGINNINGS.iter().position(|beginning| begins(beginning)) {
        from = BEGINNINGS[at].len();
        affix |= (at as u64 + 1) << 8;
    }
    let bytes = &word.as_bytes()[from..to];
    let doubled = bytes.len() > 3 && bytes[bytes.len() - 1] == bytes[bytes.len() - 2];
    (Fnv::of(&bytes[..bytes.len() - usize::from(doubled)]), affix)
}

const LONGEST: usize = 12;

/// The strong letters between what often stands around them.
fn arabic(word: &str) -> (u64, u64) {
    let mut letters = ['\0'; LONGEST];
    let mut count = 0;
    for letter in word.chars().filter(|letter| !matches!(letter, 'ا' | 'و' | 'ي' | 'ء')) {
        if count < LONGEST && (count == 0 || letters[count - 1] != letter) {
            letters[count] = letter;
            count += 1;
        }
    }
    let mut rest = &letters[..count];
    while let [first, after @ ..] = rest
        && after.len() > 2
        && matches!(first, 'م' | 'ت' | 'ب' | 'ن' | 'س' | 'ع' | 'ل')
    {
        rest = after;
    }
    while let [before @ .., last] = rest
        && (before.len() > 2 && matches!(last, 'ه' | 'ت' | 'ن' | 'ك' | 'م' | 'ش')
            || before.len() == 2 && *last == 'ه')
    {
        rest = before;
    }
    let mut hash = Fnv::default();
    for letter in rest {
        hash.write(&(*letter as u32).to_le_bytes());
    }
    (hash.0, word.chars().next_back().map_or(0, u64::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_word_share_a_root() {
        for (script, one, other) in [
            (Script::Latin, "leaked", "leaking"),
            (Script::Latin, "tripped", "trips"),
            (Script::Latin, "diganti", "mengganti"),
            (Script::Latin, "bocornya", "bocor"),
            (Script::Arabic, "خربانه", "مخروب"),
            (Script::Arabic, "يسرب", "تسريب"),
        ] {
            assert_eq!(root(one, script).0, root(other, script).0, "{one} {other}");
        }
        assert_ne!(root("leak", Script::Latin).0, root("lock", Script::Latin).0);
    }
}
