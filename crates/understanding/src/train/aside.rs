//! Suggested categories and people's names, measured.

use crate::categories::suggest_default_category;
use crate::classify::Class;
use crate::entities::{Lists, entities};
use crate::train::phrases::{Phrase, Split};
use crate::train::random::Random;

/// The category of what a meaning is about, for those things that have one.
const CATEGORIES: [(&str, &str); 13] = [
    ("hvac", "ac chiller fan"),
    ("electrical", "light power genset transformer socket cable solar street_light ups battery_unit"),
    ("plumbing", "pipe tap toilet sink drain sewer shower"),
    ("lifts", "lift escalator"),
    ("fire_safety", "fire_alarm extinguisher sprinkler hydrant smoke fire"),
    ("security", "theft intruder cctv access_gate lock guard patrol"),
    ("cleaning", "pest cleaner"),
    ("structure", "roof ceiling wall door window stairs"),
    ("it_network", "network printer computer scada server"),
    ("vehicles", "car truck tyre brake engine excavator forklift bus"),
    ("machinery", "conveyor compressor motor gearbox bearing robot packaging welding hydraulics crane pump"),
    ("roads", "pothole road traffic_light footpath bridge"),
    ("waste", "garbage"),
];

/// Of the phrases of a split about a known thing: how many there are, and the shares whose category was suggested
/// first, and among the first three.
pub fn categories(phrases: &[Phrase], split: Split) -> (usize, f64, f64) {
    let (mut asked, mut first, mut among) = (0, 0, 0);
    for phrase in phrases.iter().filter(|phrase| phrase.split() == split && phrase.class != Class::General) {
        let thing = phrase.meaning.split('.').next().unwrap_or_default();
        let of_thing = CATEGORIES.iter().find(|(_, things)| things.split(' ').any(|known| known == thing));
        let Some((wanted, _)) = of_thing else { continue };
        let suggested = suggest_default_category(&phrase.text, 3);
        asked += 1;
        first += usize::from(suggested.first().is_some_and(|found| found.key == *wanted));
        among += usize::from(suggested.iter().any(|found| found.key == *wanted));
    }
    let share = |part: usize| part as f64 / asked.max(1) as f64;
    (asked, share(first), share(among))
}

const PEOPLE: [(&[&str], &[&str], &[&str]); 3] = [
    (
        &["Mr", "Mrs.", "Ms", "Dr.", "Eng.", "Engr"],
        &[
            "Harlow",
            "Okafor",
            "Lindqvist",
            "Pereira",
            "Nakamura",
            "Dela Cruz",
            "Fontaine",
            "Whitlock",
            "Adeyemi",
        ],
        &[
            "{} says the pump is leaking again",
            "please call {} about the lift",
            "told {} yesterday, no answer",
            "handover to {}, all normal",
        ],
    ),
    (
        &["Pak", "Bu", "Mas", "Mbak", "Bapak", "Ibu", "Bang"],
        &[
            "Suryono",
            "Wulandari",
            "Prasetya",
            "Ningrum",
            "Hendra",
            "Situmorang",
            "Maimunah",
            "Rosidi",
            "Kartika",
        ],
        &[
            "{} AC di lobby bocor lagi",
            "tadi {} sudah ke lokasi, normal",
            "mohon hubungi {} soal genset",
            "lapor ke {} ya",
        ],
    ),
    (
        &["المهندس", "الأستاذ", "الدكتور", "السيد", "الحاج"],
        &["رامي", "سلطان", "نجيب", "جاسم", "عدنان", "بلال", "طلال", "حمدان", "زياد"],
        &["{} قال المكيف عطلان", "بلغوا {} عن التسريب", "سلمنا التقرير الى {}", "وصل {} الموقع"],
    ),
];

/// The share of people named after a title that were found as they stand, and of all found that were none: in
/// messages made by seed.
pub fn persons() -> (f64, f64) {
    let mut random = Random::new(11);
    let (mut right, mut wrong, mut asked) = (0, 0, 0_usize);
    for (titles, names, messages) in PEOPLE {
        for name in names {
            for message in messages {
                let person = format!("{} {name}", random.pick(titles));
                let found = entities(&message.replace("{}", &person), &Lists::default()).persons;
                asked += 1;
                right += usize::from(found.iter().any(|found| found.text == person));
                wrong += found.iter().filter(|found| found.text != person).count();
            }
        }
    }
    (right as f64 / asked as f64, wrong as f64 / (wrong + right) as f64)
}
