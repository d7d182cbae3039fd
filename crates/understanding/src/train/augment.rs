//! Phrases as others might have written them, so that the weights learn meanings and not lines.

use crate::classify::Class;
use crate::train::phrases::Phrase;
use crate::train::random::Random;

const OPENINGS: [(&str, &[&str]); 3] = [
    (
        "en",
        &["Hi,", "hello", "good morning", "Dear team,", "hi all", "team,", "FYI", "sir", "guys", "morning,"],
    ),
    (
        "id",
        &[
            "pak",
            "min,",
            "selamat pagi",
            "mohon info",
            "permisi",
            "pagi pak,",
            "bos",
            "mas",
            "siang,",
            "lapor",
            "izin",
        ],
    ),
    ("ar", &["السلام عليكم", "يا اخي", "صباح الخير", "لو سمحت", "مرحبا", "يا شباب", "اخي"]),
];
const ENDINGS: [(&str, &[&str]); 3] = [
    ("en", &["thanks", "thank you", "🙏", "asap", "pls", "sir", "thx", "."]),
    ("id", &["makasih", "terima kasih", "🙏", "ya pak", "pak", "ya", "trims", "dong", "bu"]),
    ("ar", &["شكرا", "🙏", "وشكرا", "جزاكم الله خير", "يا اخي"]),
];
const PLACES: [(&str, &[&str]); 3] = [
    (
        "en",
        &[
            "at Building A",
            "in room 204",
            "2nd floor",
            "block C",
            "near gate 3",
            "at site 5",
            "in the lobby",
            "tower B",
        ],
    ),
    (
        "id",
        &[
            "di gedung B",
            "lt 3",
            "di blok C",
            "ruang 12",
            "gd A lantai 2",
            "di RT 04",
            "lobby",
            "area produksi",
        ],
    ),
    ("ar", &["في المبنى أ", "الدور الثاني", "غرفة 12", "في المستودع", "بلوك ج", "عند البوابة 3"]),
];

fn of<'a>(table: &[(&str, &'a [&'static str])], language: &str, random: &mut Random) -> &'a str {
    let known = table.iter().find(|(known, _)| *known == language);
    let (_, words) = known.unwrap_or(&table[random.below(2)]);
    random.pick(words)
}

/// One way of many to write `phrase`.
pub(super) fn vary(phrase: &Phrase, random: &mut Random) -> String {
    let mut words: Vec<String> = phrase.text.split(' ').map(str::to_owned).collect();
    if words.len() > 4 && random.chance(0.25) {
        words.remove(random.below(words.len()));
    }
    if random.chance(0.3) {
        let at = random.below(words.len());
        words[at] = typo(&words[at], random);
    }
    let count = words.len();
    if random.chance(0.15) {
        words.insert(0, of(&OPENINGS, &phrase.language, random).to_owned());
    }
    if count > 2 && random.chance(if phrase.class == Class::General { 0.04 } else { 0.12 }) {
        words.push(of(&PLACES, &phrase.language, random).to_owned());
    }
    if random.chance(if phrase.class == Class::WorkUpdate { 0.06 } else { 0.12 }) {
        words.push(of(&ENDINGS, &phrase.language, random).to_owned());
    }
    let text = words.join(" ");
    if random.chance(0.15) { text.replace(['.', ',', '!', '?', '؟', '،'], "") } else { text }
}

/// `word` with one slip of the finger.
pub(crate) fn typo(word: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() < 4 || letters.iter().any(char::is_ascii_digit) {
        return word.to_owned();
    }
    let at = 1 + random.below(letters.len() - 2);
    match random.below(4) {
        0 => {
            letters.remove(at);
        }
        1 => letters.swap(at, at + 1),
        2 => letters.insert(at, letters[at]),
        _ => letters[at] = letters[random.below(letters.len())],
    }
    letters.into_iter().collect()
}
