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

/// The consonants of a word as an Arabic and a Latin writer would both spell them.
pub(super) fn skeleton(word: &str) -> String {
    let mut bones = String::new();
    let mut letters = word.chars().peekable();
    while let Some(letter) = letters.next() {
        let digraph = letters.peek() == Some(&'h');
        let soft = matches!(letters.peek(), Some('e' | 'i' | 'y'));
        let bone = match letter {
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
            _ => continue,
        };
        if digraph && matches!(letter, 's' | 'c' | 'k' | 'g' | 'p' | 't' | 'd') {
            letters.next();
        }
        if !bones.ends_with(bone) {
            bones.push(bone);
        }
    }
    if bones.len() > 2 && bones.ends_with('h') {
        bones.pop();
    }
    bones
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
        assert_eq!(skeleton("الرياض".trim_start_matches("ال")), skeleton("riyadh"));
        assert_eq!(skeleton("خالد"), skeleton("khalid"));
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
