use proptest::prelude::*;

use super::*;

#[test]
fn marks_around_labels_do_not_matter() {
    for text in [
        "#problem\nLocation: Lobby\nProblem: light out",
        "#PROBLEM\nproblem - light out\nLOCATION： Lobby",
        "*#Problem*\n• *Location*: Lobby\n• *Problem:* light out",
        "Location = Lobby\n1. Issue: light out",
        "#masalah\nLokasi: Lobby\nKeluhan: light out",
        "#مشكلة\nالموقع: Lobby\nالمشكلة: light out",
        "Location: Lobby | Problem: light out",
    ] {
        let parsed = parse(text, &[], None).expect(text);
        assert_eq!(parsed.template, "problem", "{text}");
        assert_eq!(parsed.fields["location"], "Lobby", "{text}");
        assert_eq!(parsed.fields["problem"], "light out", "{text}");
        assert!(parsed.errors.is_empty(), "{text}");
    }
}

#[test]
fn what_follows_a_marker_is_what_it_is_about() {
    for (text, field, said) in [
        ("#problem AC leaking in Building A", "problem", "AC leaking in Building A"),
        ("#masalah AC bocor\nairnya banyak\nLokasi: Lobby", "problem", "AC bocor\nairnya banyak"),
        ("#update: filter diganti | Lokasi: Lobby", "work", "filter diganti"),
        ("#problem light\nProblem: lamp", "problem", "lamp"),
    ] {
        assert_eq!(parse(text, &[], None).expect(text).fields[field], said, "{text}");
    }
    assert_eq!(validate("#problem AC leaking", &[], None).missing, ["location"]);
    assert_eq!(validate("#problem", &[], None).missing, ["location", "problem"]);
}

#[test]
fn errors_are_told_per_field() {
    let text = "#update\nLocation: Lobby\nProgress: half\nDate: soon";
    let found = validate(text, &[], None);
    assert!(!found.valid);
    assert_eq!(found.missing, ["work"]);
    assert_eq!(found.errors["progress"], FieldError::NotANumber);
    assert_eq!(found.errors["date"], FieldError::NotADate);
}

#[test]
fn values_have_one_form() {
    let text = "#update\nLokasi: A\nPekerjaan: B\nProgres: ٧٥٫٥ %\nTanggal: 1 Maret 2026";
    let parsed = parse(text, &[], Some("update")).expect("structured");
    assert_eq!(parsed.fields["progress"], "75.5");
    assert!(parsed.errors.is_empty());
    assert_eq!(parse(text, &[], Some("problem")), None);
}

#[test]
fn an_organisations_own_definition_is_read_from_json() {
    let definition: Definition = serde_json::from_str(
        r##"{"name": "meter", "markers": ["#meter"], "fields": [
            {"name": "value", "labels": ["kWh"], "required": true, "type": "number"},
            {"name": "tariff", "labels": ["Tariff"], "type": "one_of", "options": ["Day", "Night"]}]}"##,
    )
    .expect("a definition");
    let parsed = parse("#meter\nkwh: 1.234,5\ntariff: NIGHT", std::slice::from_ref(&definition), None);
    let parsed = parsed.expect("structured");
    assert_eq!((parsed.fields["value"].as_str(), parsed.fields["tariff"].as_str()), ("1234.5", "Night"));
    let wrong = parse("#meter\nkwh: x\ntariff: Noon", &[definition], None).expect("structured");
    assert_eq!(wrong.errors["tariff"], FieldError::NotAnOption);
}

#[test]
fn free_text_is_no_structure() {
    for text in
        ["AC bocor di lobby", "note: call me", "", "#", "jam 9:30 rapat", "see https://example.com: broken"]
    {
        assert_eq!(parse(text, &[], None), None, "{text}");
    }
}

proptest! {
    #[test]
    fn it_never_panics(text in "[#*:= \\n\\PC]{0,80}") {
        let _ = parse(&text, &[], None);
        let _ = parse(&format!("#problem\n{text}"), &[], None);
        let _ = validate(&format!("#update {text}"), &[], Some("update"));
    }

    #[test]
    fn what_is_rendered_parses_back(
        at in 0_usize..6,
        values in proptest::collection::vec("[a-zA-Z0-9\u{0627}-\u{064a}][a-zA-Z0-9 \u{0627}-\u{064a}]{0,20}", 8),
    ) {
        let definition = &built_in()[at];
        let mut fields = BTreeMap::new();
        for (field, value) in definition.fields.iter().zip(&values) {
            if field.kind == FieldKind::Text {
                fields.insert(field.name.clone(), value.trim().to_owned());
            }
        }
        let parsed = parse(&render(definition, &fields), &[], None);
        prop_assert_eq!(parsed.map(|parsed| parsed.fields), Some(fields));
    }
}

#[test]
fn free_text_lacks_what_the_template_asked_for_requires() {
    for text in ["hello", "the lobby is dark"] {
        let found = validate(text, &[], Some("problem"));
        assert!(!found.valid && found.template.is_none());
        assert_eq!(found.missing, ["location", "problem"]);
        assert_eq!(validate(text, &[], None).missing, [""; 0]);
    }
}

#[test]
fn labels_may_follow_in_one_line() {
    for text in [
        "#update Lokasi: Gedung A; Deskripsi: ganti filter",
        "#update Lokasi: Gedung A, Pekerjaan: ganti filter",
    ] {
        let fields = parse(text, &[], None).expect("a form").fields;
        assert_eq!(
            (fields["location"].as_str(), fields["work"].as_str()),
            ("Gedung A", "ganti filter"),
            "{text}"
        );
    }
}
