//! Matching measured: a thousand names made by seed, typed with slips, and names that are not there.

use crate::matching::{Entry, Index};
use crate::train::random::Random;

const SEED: u64 = 7;
/// No two of one meaning.
const NOUNS: [&str; 12] = [
    "Gedung",
    "Tower",
    "Warehouse",
    "Kantor",
    "Hotel",
    "Plaza",
    "Masjid",
    "Sekolah",
    "Hospital",
    "Villa",
    "Pabrik",
    "Terminal",
];
const STARTS: [&str; 24] = [
    "mel", "ken", "ban", "sur", "jat", "wil", "ari", "dah", "mad", "ray", "cem", "kar", "bun", "sen", "gar",
    "hal", "lor", "pan", "tir", "mus", "zah", "nor", "fal", "ker",
];
const MIDDLES: [&str; 14] =
    ["a", "o", "i", "an", "ung", "ar", "el", "is", "ab", "et", "um", "iy", "ol", "ad"];
const ENDS: [&str; 14] =
    ["ti", "nga", "dung", "ya", "rang", "sari", "ton", "wan", "lia", "mar", "gor", "ter", "ra", "nesh"];

fn word(random: &mut Random) -> String {
    let mut word = random.pick(&STARTS).to_owned();
    word.push_str(random.pick(&MIDDLES));
    word.push_str(random.pick(&ENDS));
    let first = word.remove(0).to_ascii_uppercase();
    word.insert(0, first);
    word
}

/// A name as organisations have them; no two alike in `taken`.
fn name(random: &mut Random, taken: &[String]) -> String {
    loop {
        let noun = random.pick(&NOUNS);
        let letter = char::from(b'A' + random.below(8) as u8);
        let name = match random.below(5) {
            0 => format!("{noun} {}", word(random)),
            1 => format!("{noun} {} {}", word(random), word(random)),
            2 => format!("{noun} {} {letter}", word(random)),
            3 => format!("{noun} {} Lantai {}", word(random), 1 + random.below(20)),
            _ => format!("{} {} {}", word(random), noun, 1 + random.below(9)),
        };
        if !taken.contains(&name) {
            return name;
        }
    }
}

/// `count` names made by seed.
pub fn names(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut names: Vec<String> = Vec::with_capacity(count);
    while names.len() < count {
        let next = name(&mut random, &names);
        names.push(next);
    }
    names
}

/// A name with slips of the finger in its letters; numbers and single letters stay.
pub fn slip(name: &str, slips: usize, random: &mut Random) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    let mut made = 0;
    while made < slips {
        let at = random.below(letters.len());
        let inside = |at: usize| letters.get(at).is_some_and(|c| c.is_alphabetic());
        if !inside(at) || !(inside(at.wrapping_sub(1)) || inside(at + 1)) {
            continue;
        }
        let other = char::from(b'a' + random.below(26) as u8);
        match random.below(4) {
            0 => {
                letters.remove(at);
            }
            1 if inside(at + 1) => letters.swap(at, at + 1),
            2 => letters.insert(at, other),
            _ => letters[at] = other,
        }
        made += 1;
    }
    letters.into_iter().collect()
}

/// How matching did: the share of slipped names that led to their entry, of wrong entries among those, and the share
/// of absent names that led to any.
#[derive(Clone, Copy, Debug)]
pub struct Matching {
    pub top: f64,
    pub wrong: f64,
    pub false_matches: f64,
}

pub fn measure() -> Matching {
    let all = names(2_000, SEED);
    let (listed, absent) = all.split_at(1_000);
    let index = Index::new(listed.iter().map(|name| Entry::new(name.as_str(), name.as_str())));
    let mut random = Random::new(SEED + 1);
    let (mut right, mut wrong, mut asked) = (0, 0, 0);
    for name in listed {
        for slips in [1, 2] {
            asked += 1;
            match index.find(&slip(name, slips, &mut random), 5).best {
                Some(best) if best.key == name => right += 1,
                Some(_) => wrong += 1,
                None => {}
            }
        }
    }
    let found = absent.iter().filter(|name| index.find(name, 5).best.is_some()).count();
    let share = |part: usize, of: usize| part as f64 / of as f64;
    Matching {
        top: share(right, asked),
        wrong: share(wrong, asked),
        false_matches: share(found, absent.len()),
    }
}

/// Nouns and names as both scripts have them.
const TWO_SCRIPTS: [(&str, &str); 5] =
    [("Masjid", "مسجد"), ("School", "مدرسة"), ("Hospital", "مستشفى"), ("Tower", "برج"), ("Building", "مبنى")];
const TWICE: [(&str, &str); 40] = [
    ("Al Noor", "النور"),
    ("Al Huda", "الهدى"),
    ("Al Salam", "السلام"),
    ("Al Rahman", "الرحمن"),
    ("Al Farouq", "الفاروق"),
    ("Khalid", "خالد"),
    ("Al Yasmin", "الياسمين"),
    ("Al Narjis", "النرجس"),
    ("Al Rabie", "الربيع"),
    ("Al Fajr", "الفجر"),
    ("Bilal", "بلال"),
    ("Al Sahaba", "الصحابة"),
    ("Tariq", "طارق"),
    ("Al Nakheel", "النخيل"),
    ("Al Murooj", "المروج"),
    ("Al Malaz", "الملز"),
    ("Al Rawda", "الروضة"),
    ("Al Hamra", "الحمراء"),
    ("Salman", "سلمان"),
    ("Al Faisal", "الفيصل"),
    ("Al Nasr", "النصر"),
    ("Al Amal", "الأمل"),
    ("Al Manar", "المنار"),
    ("Al Safa", "الصفا"),
    ("Al Tahrir", "التحرير"),
    ("Al Zahra", "الزهراء"),
    ("Hamad", "حمد"),
    ("Hamid", "حميد"),
    ("Al Najah", "النجاح"),
    ("Al Basra", "البصرة"),
    ("Al Karama", "الكرامة"),
    ("Al Karam", "الكرم"),
    ("Saleh", "صالح"),
    ("Salah", "صلاح"),
    ("Al Rashid", "الرشيد"),
    ("Al Murabba", "المربع"),
    ("Al Wadi", "الوادي"),
    ("Al Nuzha", "النزهة"),
    ("Al Khaleej", "الخليج"),
    ("Nasir", "ناصر"),
];

/// Names in Latin letters asked for in Arabic ones and the other way round; every second one is not in the list.
pub fn measure_scripts() -> Matching {
    let (mut right, mut wrong, mut asked, mut found_absent, mut absent) = (0, 0, 0, 0, 0);
    for from_arabic in [false, true] {
        let written = |noun: (&str, &str), name: (&str, &str), arabic: bool| {
            if arabic { format!("{} {}", noun.1, name.1) } else { format!("{} {}", noun.0, name.0) }
        };
        let all = || {
            let places = (0..TWICE.len()).map(|at| (at, TWO_SCRIPTS[at % 5], TWICE[at]));
            places.map(|(at, noun, name)| {
                (at, written(noun, name, !from_arabic), written(noun, name, from_arabic))
            })
        };
        let listed = all().filter(|(at, ..)| at / 5 % 2 == 0);
        let index = Index::new(listed.map(|(at, name, _)| Entry::new(at.to_string(), name)));
        for (at, _, query) in all() {
            let best = index.find(&query, 1).best;
            if at / 5 % 2 == 0 {
                asked += 1;
                right += usize::from(best.is_some_and(|best| best.key == at.to_string()));
                wrong += usize::from(best.is_some_and(|best| best.key != at.to_string()));
            } else {
                absent += 1;
                found_absent += usize::from(best.is_some());
            }
        }
    }
    let share = |part: usize, of: usize| part as f64 / of as f64;
    Matching {
        top: share(right, asked),
        wrong: share(wrong, asked),
        false_matches: share(found_absent, absent),
    }
}
