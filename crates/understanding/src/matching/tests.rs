use proptest::prelude::*;

use super::*;

fn index(names: &[&str]) -> Index {
    Index::new(names.iter().map(|name| Entry::new(*name, *name)))
}

fn found(names: &[&str], query: &str) -> Option<String> {
    index(names).find(query, 5).best.map(|found| found.key.to_owned())
}

const PLACES: [&str; 9] = [
    "Building A",
    "Building B",
    "Building A floor 2",
    "Building B floor 2",
    "Gudang Utama Cikarang",
    "Tower Melati",
    "Tower Mawar",
    "Riyadh Central Hospital",
    "Kantor Cabang Bandung Utara",
];

#[test]
fn slips_of_the_finger_and_other_languages_are_understood() {
    for (query, wanted) in [
        ("Bilding A", "Building A"),
        ("gd a", "Building A"),
        ("Gd. A lt 2", "Building A floor 2"),
        ("Bldg A 2nd fl", "Building A floor 2"),
        ("lantai 2 gedung B", "Building B floor 2"),
        ("مبنى أ", "Building A"),
        ("Mabna A", "Building A"),
        ("المبنى ب الطابق الثاني", "Building B floor 2"),
        ("tower mleati", "Tower Melati"),
        ("menara mawar", "Tower Mawar"),
        ("Melati", "Tower Melati"),
        ("gudng utama cikarng", "Gudang Utama Cikarang"),
        ("مستشفى الرياض سنترال", "Riyadh Central Hospital"),
        ("cabang kantor bandung utara", "Kantor Cabang Bandung Utara"),
        ("buildingA", "Building A"),
    ] {
        assert_eq!(found(&PLACES, query).as_deref(), Some(wanted), "{query}");
    }
}

#[test]
fn what_tells_apart_is_never_fuzzy() {
    for query in [
        "Building C",
        "Building A floor 22",
        "Gedung D lantai 2",
        "Kantor Cabang Bandung Selatan",
        "Tower Dahlia",
        "Building",
        "floor 2",
        "Gudang Cadangan Cikarang",
        "",
        "?!",
    ] {
        assert_eq!(found(&PLACES, query), None, "{query}");
    }
    assert_eq!(found(&["Genset 2"], "Genset 3"), None);
    assert_eq!(
        found(&["Pump 1 Tank 2", "Pump 2 Tank 1"], "pompa 2 tangki 1").as_deref(),
        Some("Pump 2 Tank 1")
    );
}

#[test]
fn a_floor_that_is_not_listed_is_in_its_building() {
    assert_eq!(found(&["Building A", "Building B"], "gd A lt 2").as_deref(), Some("Building A"));
}

#[test]
fn a_doubled_last_letter_is_a_slip_and_a_capital_one_a_block() {
    assert_eq!(found(&["Genset 2", "Genset 3"], "gensett 2").as_deref(), Some("Genset 2"));
    assert_eq!(found(&["Genset 2"], "gensett 3"), None);
    assert_eq!(found(&["Block K", "Block B"], "blockK").as_deref(), Some("Block K"));
}

#[test]
fn names_are_known_in_the_other_script_by_consonants_and_vowels() {
    let places = ["Masjid Al Noor", "Masjid Al Huda", "مدرسة الفارابي", "An-Najah School"];
    for (query, wanted) in [
        ("مسجد النور", "Masjid Al Noor"),
        ("masjid noor", "Masjid Al Noor"),
        ("مسجد الهدى", "Masjid Al Huda"),
        ("Al Farabi school", "مدرسة الفارابي"),
        ("مدرسة النجاح", "An-Najah School"),
    ] {
        assert_eq!(found(&places, query).as_deref(), Some(wanted), "{query}");
    }
    for query in ["مسجد النار", "مسجد النصر", "masjid huda 2", "مدرسة الفرابي الجديدة"]
    {
        assert_eq!(found(&places, query), None, "{query}");
    }
}

#[test]
fn equals_are_no_match() {
    let twins = Index::new([Entry::new("1", "Gudang"), Entry::new("2", "Warehouse")]);
    let found = twins.find("gdng", 5);
    assert!(found.best.is_none());
    assert_eq!(found.candidates.len(), 2);
    let halls = Index::new([Entry::new("1", "Aula"), Entry::new("2", "Aula")]);
    assert!(halls.find("aula", 5).best.is_none());
}

#[test]
fn a_name_as_it_is_written_wins_over_one_in_other_words() {
    for (query, wanted) in [
        ("Lift 1", "Lift 1"),
        ("مصعد 1", "مصعد 1"),
        ("Plaza Emerald", "Plaza Emerald"),
        ("mall emerald", "Mall Emerald"),
    ] {
        let names = ["Lift 1", "مصعد 1", "Plaza Emerald", "Mall Emerald"];
        assert_eq!(found(&names, query).as_deref(), Some(wanted), "{query}");
    }
    assert_eq!(
        found(&["Building B", "Building B"], "gd b").as_deref(),
        Some("Building B"),
        "one name sent twice"
    );
}

#[test]
fn aliases_and_codes_are_names() {
    let index = Index::new([
        Entry::new("1", "Chiller Plant").with_code("CH-01").with_aliases(["mesin dingin belakang"]),
        Entry::new("2", "Boiler House").with_code("BH-01"),
    ]);
    assert_eq!(index.find("ch01", 1).best.map(|found| found.key), Some("1"));
    assert_eq!(index.find("mesin dingin blakang", 1).best.map(|found| found.key), Some("1"));
    assert_eq!(index.find("ch-02", 1).best, None);
}

#[test]
fn mentions_stand_where_they_are_written() {
    let index = index(&["Genset 2", "Building A", "Building A floor 2", "Lobby", "AC lantai 2"]);
    let text = "pagi pak, genset 2 di gd. A lt 2 mati 3x";
    let found = index.mentions(text);
    let cut: Vec<(String, &str)> = found
        .iter()
        .map(|found| (text.chars().skip(found.start).take(found.end - found.start).collect(), found.name))
        .collect();
    assert_eq!(cut, [("genset 2".to_owned(), "Genset 2"), ("gd. A lt 2".to_owned(), "Building A floor 2")]);
    assert_eq!(index.mentions("genset 3 jam mati di gedung B").len(), 0);
}

proptest! {
    #[test]
    fn any_text_is_read(query in "\\PC{0,60}") {
        let index = index(&PLACES);
        let best = index.find(&query, 3).best.map(|found| found.score);
        prop_assert!(best.is_none_or(|score| (0.0..=1.01).contains(&score)));
        let length = query.chars().count();
        for mention in index.mentions(&query) {
            prop_assert!(mention.start < mention.end && mention.end <= length);
        }
    }

    #[test]
    fn another_number_is_another_thing(a in 1_u32..200, b in 1_u32..200) {
        let name = format!("Genset {a}");
        let index = index(&[&name]);
        prop_assert_eq!(index.find(&format!("genset {b}"), 1).best.is_some(), a == b);
    }
}

fn same(a: &str, b: &str) -> bool {
    let ids = |name: &str| {
        let mut ids: Vec<(u64, u64)> =
            terms::read(&Text::verbatim(name), false).iter().map(|term| (term.id, term.of)).collect();
        ids.sort_unstable();
        ids
    };
    ids(a) == ids(b)
}

#[test]
fn one_place_is_one_name_in_every_spelling() {
    for other in
        ["Gd. A lt 2", "Bldg A 2nd fl", "gedung A L2", "lantai dua, Gedung A", "مبنى أ الطابق الثاني"]
    {
        assert!(same("Building A floor 2", other), "{other}");
    }
    assert!(same("Room A-12", "ruang a12"));
    assert!(!same("Building 2 floor 3", "Building 3 floor 2"));
    assert!(!same("Genset 2", "Genset 3"));
}

#[test]
fn a_noun_alone_tells_no_place_from_its_like() {
    for common in
        ["twr", "Gedung", "lantai", "مبنى", "lt 2", "ruang 204", "Gate 3", "الدور الثاني", "toilet lantai 1"]
    {
        assert!(is_common(common), "{common}");
    }
    for name in ["gedung belakang", "Tower 2", "si gudang besar", "AC lantai 2", "ruang melati"] {
        assert!(!is_common(name), "{name}");
    }
}

fn named(names: &[&str], message: &str) -> Vec<String> {
    index(names).mentions(message).iter().map(|found| found.name.to_owned()).collect()
}

#[test]
fn a_lone_letter_or_number_in_a_message_is_no_name() {
    let names = ["Building A", "Building B", "Gate 2", "Pump 3", "Main Gate", "Melati 2"];
    for message in [
        "a pipe burst, water everywhere",
        "2 lamps are broken in the corridor",
        "we go with plan B",
        "grade A material came",
        "A/C not cold",
        "jam 2 siang nanti",
        "meeting at 2",
        "Rp 2 juta",
        "suhu 3 derajat",
        "all 3 pumps off",
        "in the building: a smell of paint",
        "pump a bit noisy",
        "the main problem is B",
        "melati ada 2 orang",
        "gudang B kosong",
    ] {
        assert_eq!(named(&names, message), [""; 0], "{message}");
    }
    for (message, name) in [
        ("leak in building a", "Building A"),
        ("B building is dark", "Building B"),
        ("gedung A 2 lampu mati", "Building A"),
        ("the main gate is stuck", "Main Gate"),
        ("pompa 3 bocor", "Pump 3"),
        ("AC Melati 2 mati", "Melati 2"),
    ] {
        assert_eq!(named(&names, message), [name], "{message}");
    }
}

#[test]
fn no_part_of_a_code_stands_alone() {
    let names = ["Building A", "Pump P-101A", "Pump P-101B", "Room B12"];
    assert_eq!(named(&names, "Pump P-101A seal leaking"), ["Pump P-101A"]);
    assert_eq!(named(&names, "P-101B isolated"), ["Pump P-101B"]);
    assert_eq!(named(&names, "B12 is dark"), ["Room B12"]);
    assert_eq!(named(&["Building A", "Building B"], "Pump P-202B seal leaking"), [""; 0]);
}

#[test]
fn a_place_is_not_what_stands_there() {
    let names = ["AC lantai 2", "Toilet Lantai 1", "Building A", "Pompa Mawar", "Genset Cummins 500"];
    assert_eq!(named(&names, "lampu mati gd A lt 2"), ["Building A"]);
    for message in ["lampu lantai 1 mati", "lantai 2 kotor", "lampu mawar padam", "keran mawar patah"] {
        assert_eq!(named(&names, message), [""; 0], "{message}");
    }
    assert_eq!(named(&names, "ac lt 2 bocor"), ["AC lantai 2"]);
    assert_eq!(named(&names, "cummins 500 trip"), ["Genset Cummins 500"]);
    assert_eq!(found(&names, "lantai 2"), None);
}

#[test]
fn a_floor_elsewhere_does_not_hide_the_building() {
    for names in [
        &["Building A", "Building B", "Car Park Level 2"][..],
        &["Building A", "Building B", "Lantai 2"],
        &["Building A", "Building B", "Tower C floor 2"],
    ] {
        assert_eq!(found(names, "Gd. A lt 2").as_deref(), Some("Building A"), "{names:?}");
        assert_eq!(found(names, "building b 7th floor").as_deref(), Some("Building B"), "{names:?}");
    }
    assert_eq!(found(&["Car Park Level 2", "Building A"], "lt 2"), None);
    assert_eq!(
        found(&["Car Park Level 2", "Building A"], "carpark lvl 2").as_deref(),
        Some("Car Park Level 2")
    );
}

#[test]
fn a_name_made_of_the_words_of_others_is_not_there() {
    let names = ["Hotel Bahagia", "An-Najah School", "Tower Melati", "Villa Kenanga"];
    for query in ["Bahagia Najah Hotel", "Melati Kenanga Tower", "villa kenanga melati"] {
        assert_eq!(found(&names, query), None, "{query}");
    }
}

#[test]
fn ordinary_words_are_no_slips_of_names() {
    for (names, message) in [
        (&["Grounds, trees and drainage"][..], "lantai kasar sekali"),
        (&["Security and access"], "Severity: high"),
        (&["Tower A"], "power A failed"),
        (&["Hall 3"], "wall 3 cracked"),
        (&["Gate 2"], "date 2 nov"),
        (&["Dock 1"], "lock 1 is stuck"),
        (&["Pasar Baru"], "kamar baru bocor"),
        (&["Kampus Utara"], "kapan ke utara"),
    ] {
        assert_eq!(named(names, message), [""; 0], "{message}");
    }
    assert_eq!(named(&["Gudang Utara"], "gudnag utara bocor"), ["Gudang Utara"]);
}

#[test]
fn a_thing_may_be_named_before_what_is_said_of_it() {
    let index =
        Index::new(["AC lantai 1", "AC lantai 2", "Toilet lantai 2"].map(|name| Entry::new(name, name)));
    let thing = |text: &str| index.mentions(text).first().map(|found| found.key.to_owned());
    for text in [
        "AC bocor lagi di gd A lt 2, udah 2x minggu ini",
        "AC di gedung A lantai 2 mati",
        "AC not cold on floor 2",
    ] {
        assert_eq!(thing(text).as_deref(), Some("AC lantai 2"), "{text}");
    }
    for text in ["lampu mati di gd A lt 2", "AC sudah normal, lampu mati di lt 2"] {
        assert_eq!(thing(text), None, "{text}");
    }
}
