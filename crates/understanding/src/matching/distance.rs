//! How far two words are from each other.

const LONGEST: usize = 64;

/// Insertions, deletions, replacements and swaps of neighbours between two words; `None` beyond `most`, or for words
/// of more than 64 letters.
pub(super) fn distance(a: &[char], b: &[char], most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most || a.len() > LONGEST || b.len() > LONGEST {
        return None;
    }
    let mut rows = [[0_u8; LONGEST + 1]; 3];
    for (column, cell) in rows[1].iter_mut().enumerate().take(b.len() + 1) {
        *cell = column as u8;
    }
    for (row, letter) in a.iter().enumerate() {
        let [before, last, next] = &mut rows;
        next[0] = row as u8 + 1;
        let mut least = next[0];
        for (column, other) in b.iter().enumerate() {
            let mut cost =
                (last[column] + u8::from(letter != other)).min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && *letter == b[column - 1] && a[row - 1] == *other {
                cost = cost.min(before[column - 1] + 1);
            }
            next[column + 1] = cost;
            least = least.min(cost);
        }
        if usize::from(least) > most {
            return None;
        }
        rows.rotate_left(1);
    }
    let found = usize::from(rows[1][b.len()]);
    (found <= most).then_some(found)
}

/// How many slips of the finger a word of this length may hold and still be known.
pub(super) fn allowed(length: usize) -> usize {
    match length {
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    }
}

/// Which letters a word has, folded into 32 bits: words within `d` slips differ in at most `d` bits each way.
pub(super) fn mask(word: &[char]) -> u32 {
    word.iter().fold(0, |mask, letter| mask | 1 << (*letter as u32 % 32))
}

/// A word as an Arabic and a Latin writer would both spell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bones {
    /// Its consonants, doubled ones once.
    pub consonants: String,
    /// The vowels before each consonant and after the last, as bits.
    vowels: Vec<u8>,
}

const A: u8 = 1;
const E: u8 = 2;
const I: u8 = 4;
const U: u8 = 8;

impl Bones {
    pub(super) fn of(word: &str) -> Self {
        let mut bones = Bones { consonants: String::new(), vowels: vec![0] };
        let mut letters = word.chars().peekable();
        while let Some(letter) = letters.next() {
            let digraph = letters.peek() == Some(&'h');
            let soft = matches!(letters.peek(), Some('e' | 'i' | 'y'));
            match consonant(letter, digraph, soft) {
                Some(consonant) => {
                    if digraph && matches!(letter, 's' | 'c' | 'k' | 'g' | 'p' | 't' | 'd') {
                        letters.next();
                    }
                    bones.push(consonant);
                }
                None => {
                    if let Some(last) = bones.vowels.last_mut() {
                        *last |= vowel(letter);
                    }
                }
            }
        }
        if bones.consonants.len() > 2 && bones.consonants.ends_with('h') {
            bones.consonants.pop();
            let after = bones.vowels.pop().unwrap_or_default();
            if let Some(last) = bones.vowels.last_mut() {
                *last |= after;
            }
        }
        bones
    }

    fn push(&mut self, consonant: char) {
        if !self.consonants.ends_with(consonant) {
            self.consonants.push(consonant);
            self.vowels.push(0);
        }
    }

    /// Whether the vowels that the Arabic spelling has may be those of the Latin one: `noor` is نور and not نار.
    pub(super) fn agree(arabic: &Bones, latin: &Bones) -> bool {
        let last = arabic.vowels.len() - 1;
        // An initial alif bears any vowel, and a final ya may be an alif.
        arabic.consonants == latin.consonants
            && arabic.vowels.iter().zip(&latin.vowels).enumerate().skip(1).all(|(at, (spelt, heard))| {
                let may_be = |vowel: u8, sounds: u8| spelt & vowel == 0 || heard & sounds != 0;
                may_be(A, A | E) && may_be(U, U) && may_be(I, if at == last { I | E | A } else { I | E })
            })
    }
}

fn vowel(letter: char) -> u8 {
    match letter {
        'a' | 'ا' => A,
        'e' => E,
        'i' | 'y' | 'ي' => I,
        'o' | 'u' | 'w' | 'و' => U,
        _ => 0,
    }
}

fn consonant(letter: char, digraph: bool, soft: bool) -> Option<char> {
    Some(match letter {
        's' | 'c' if digraph => 'S',
        'k' if digraph => 'K',
        'g' if digraph => 'G',
        'p' if digraph => 'f',
        't' | 'ت' | 'ث' | 'ط' => 't',
        'd' | 'د' | 'ذ' | 'ض' => 'd',
        'b' | 'p' | 'ب' => 'b',
        'j' | 'g' | 'ج' => 'j',
        'h' | 'ح' | 'ه' => 'h',
        'خ' => 'K',
        'r' | 'ر' => 'r',
        'z' | 'ز' | 'ظ' => 'z',
        's' | 'س' | 'ص' => 's',
        'c' if soft => 's',
        'ش' => 'S',
        'غ' => 'G',
        'f' | 'v' | 'ف' => 'f',
        'k' | 'q' | 'c' | 'x' | 'ق' | 'ك' => 'k',
        'l' | 'ل' => 'l',
        'm' | 'م' => 'm',
        'n' | 'ن' => 'n',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(a: &str, b: &str, most: usize) -> Option<usize> {
        distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>(), most)
    }

    #[test]
    fn a_swap_is_one_slip() {
        assert_eq!(of("gedugn", "gedung", 2), Some(1));
        assert_eq!(of("bilding", "building", 2), Some(1));
        assert_eq!(of("melati", "mawar", 2), None);
    }

    #[test]
    fn both_scripts_have_the_same_bones() {
        let same = |arabic: &str, latin: &str| Bones::agree(&Bones::of(arabic), &Bones::of(latin));
        for (arabic, latin) in [("رياض", "riyadh"), ("خالد", "khalid"), ("نور", "noor"), ("هدي", "huda")]
        {
            assert!(same(arabic, latin), "{latin}");
        }
        assert!(!same("نار", "noor") && !same("نور", "nasr"));
    }

    proptest! {
        #[test]
        fn it_is_the_same_both_ways(a in "[a-d]{0,8}", b in "[a-d]{0,8}") {
            prop_assert_eq!(of(&a, &b, 3), of(&b, &a, 3));
            prop_assert_eq!(of(&a, &b, 0).is_some(), a == b);
            let bits = |x: &str| mask(&x.chars().collect::<Vec<_>>());
            if let Some(found) = of(&a, &b, 2) {
                prop_assert!((bits(&a) & !bits(&b)).count_ones() as usize <= found);
            }
        }
    }
}
