use kabar_domain::message::MessageKind;
use proptest::prelude::*;

use super::super::form::sample_values;
use super::*;

fn try_fill(components: &Json, category: &str, named: bool, values: Json) -> Result<Filled, Invalid> {
    let form = Form::read(components, Some(category));
    let mut invalid = Invalid::default();
    let values = serde_json::from_value(values).unwrap();
    let filled = fill(&form, named, &values, "order_ready (ar)", &mut invalid);
    if invalid.errors.is_empty() { Ok(filled) } else { Err(invalid) }
}

fn filled(components: &Json, values: Json) -> Filled {
    try_fill(components, "MARKETING", false, values).unwrap()
}

fn refused(components: &Json, values: Json) -> (String, String) {
    let invalid = try_fill(components, "MARKETING", false, values).unwrap_err();
    (invalid.errors.keys().next().unwrap().clone(), invalid.to_string())
}

fn body(text: &str) -> Json {
    json!([{ "type": "BODY", "text": text }])
}

#[test]
fn a_list_fills_the_numbers_in_order() {
    let filled = filled(&body("Order {{1}} costs {{2}}."), json!({ "variables": ["12345", 120] }));
    let parameters = json!([{ "type": "text", "text": "12345" }, { "type": "text", "text": "120" }]);
    assert_eq!(filled.components, [json!({ "type": "body", "parameters": parameters })]);
    assert_eq!(filled.rendered.text(), "Order 12345 costs 120.");
}

#[test]
fn what_does_not_fit_is_said_with_what_is_wanted() {
    let two = body("Order {{1}} costs {{2}}.");
    let expect = "The template order_ready (ar) takes 2 variables ({{1}}, {{2}}); ";
    for (values, given) in [
        (json!({}), "0 were given."),
        (json!({ "variables": ["a"] }), "1 was given."),
        (json!({ "variables": ["a", "b", "c"] }), "3 were given."),
    ] {
        assert_eq!(refused(&two, values), ("variables".into(), format!("{expect}{given}")));
    }
    let none = refused(&body("Hello."), json!({ "variables": ["a"] }));
    assert_eq!(none.1, "The template order_ready (ar) takes no variables; 1 was given.");
    for (bad, field) in [
        (json!(["", "b"]), "variables.0"),
        (json!(["a", "two\nlines"]), "variables.1"),
        (json!(["a", null]), "variables.1"),
        (json!(["a", "x     y"]), "variables.1"),
    ] {
        assert_eq!(refused(&two, json!({ "variables": bad })).0, field);
    }
}

#[test]
fn named_variables_go_by_name_or_in_their_order() {
    let components = body("Hi {{customer}}, order {{order_id}} is ready.");
    let fill = |variables: Json| try_fill(&components, "UTILITY", true, json!({ "variables": variables }));
    let by_name = fill(json!({ "order_id": "7", "customer": "Ani" })).unwrap();
    assert_eq!(
        by_name.components[0]["parameters"][0],
        json!({ "type": "text", "text": "Ani", "parameter_name": "customer" })
    );
    assert_eq!(fill(json!(["Ani", "7"])).unwrap(), by_name);
    let wrong = fill(json!({ "customer": "Ani", "total": "9" })).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "The template order_ready (ar) takes {{customer}}, {{order_id}}; \
        {{order_id}} missing; {{total}} unknown."
    );
}

#[test]
fn a_headers_file_travels_beside_the_components() {
    let components =
        json!([{ "type": "HEADER", "format": "DOCUMENT" }, { "type": "BODY", "text": "Your invoice." }]);
    let link = "https://files.example.com/invoice.pdf";
    let given = json!({ "header": { "link": link, "filename": "invoice.pdf" } });
    let filled = filled(&components, given);
    assert_eq!(filled.components, [json!({ "type": "header", "parameters": [{ "type": "document" }] })]);
    let media = filled.media.unwrap();
    assert_eq!((media.url.as_deref(), media.filename.as_deref()), (Some(link), Some("invoice.pdf")));
    let nested = json!({ "header": { "document": { "id": "42" } } });
    assert_eq!(super::tests::filled(&components, nested).media.unwrap().id.as_deref(), Some("42"));

    let missing = refused(&components, json!({}));
    assert!(missing.1.contains("document in its header"), "{}", missing.1);
    for wrong in [
        json!({ "link": "http://x" }),
        json!({ "link": link, "id": "1" }),
        json!({ "media_id": "x" }),
        json!({}),
    ] {
        assert_eq!(refused(&components, json!({ "header": wrong })).0, "header");
    }
    assert_eq!(
        refused(&body("Hello."), json!({ "header": "x" })).1,
        "The template order_ready (ar) has no header."
    );
}

#[test]
fn headers_of_text_and_place() {
    let text = json!([{ "type": "HEADER", "format": "TEXT", "text": "For {{1}}" }, { "type": "BODY", "text": "Hello." }]);
    for given in [json!("Ani"), json!(["Ani"]), json!({ "text": "Ani" })] {
        let filled = filled(&text, json!({ "header": given }));
        assert_eq!(filled.rendered.text(), "For Ani\n\nHello.");
    }
    let place = json!([{ "type": "HEADER", "format": "LOCATION" }, { "type": "BODY", "text": "Here." }]);
    let given = json!({ "header": { "latitude": -6.2, "longitude": "106.8", "name": "Gudang" } });
    let filled = filled(&place, given);
    assert_eq!(
        filled.components[0]["parameters"][0]["location"],
        json!({ "latitude": -6.2, "longitude": 106.8, "name": "Gudang" })
    );
    assert_eq!(refused(&place, json!({ "header": { "latitude": 91, "longitude": 0 } })).0, "header");
}

#[test]
fn each_button_takes_its_own() {
    let components = json!([
        { "type": "BODY", "text": "Sale!" },
        { "type": "BUTTONS", "buttons": [
            { "type": "QUICK_REPLY", "text": "Stop" },
            { "type": "URL", "text": "Track", "url": "https://x.example/{{1}}" },
            { "type": "COPY_CODE", "example": "SAVE10" },
            { "type": "FLOW", "text": "Book" },
            { "type": "PHONE_NUMBER", "text": "Call", "phone_number": "+1" },
        ] },
    ]);
    let given = json!({ "buttons": ["STOP", { "url_suffix": "o/7" }, "SAVE25", { "flow_token": "t" }] });
    let by_place = filled(&components, given);
    let parts: Vec<_> = by_place
        .components
        .iter()
        .map(|part| {
            (
                part["sub_type"].as_str().unwrap(),
                part["index"].as_str().unwrap(),
                part["parameters"][0].clone(),
            )
        })
        .collect();
    assert_eq!(
        parts,
        [
            ("quick_reply", "0", json!({ "type": "payload", "payload": "STOP" })),
            ("url", "1", json!({ "type": "text", "text": "o/7" })),
            ("copy_code", "2", json!({ "type": "coupon_code", "coupon_code": "SAVE25" })),
            ("flow", "3", json!({ "type": "action", "action": { "flow_token": "t" } })),
        ]
    );
    assert_eq!(by_place.rendered.buttons[1].url.as_deref(), Some("https://x.example/o/7"));
    let given = json!({ "buttons": [{ "index": 2, "code": "SAVE25" }, { "index": 1, "text": "o/7" }] });
    let by_index = filled(&components, given);
    assert_eq!(by_index.components.len(), 3, "a quick reply needs no payload");

    let (field, message) = refused(&components, json!({ "buttons": [null, "o/7"] }));
    assert_eq!(field, "buttons.2");
    assert!(message.contains("the code to copy"), "{message}");
    let long = json!({ "buttons": [null, "o/7", "SIXTEEN_LETTERS!"] });
    assert_eq!(refused(&components, long).0, "buttons.2");
    let sixth = json!({ "buttons": [null, "o/7", "S", null, null, "x"] });
    assert_eq!(refused(&components, sixth).0, "buttons.5");
}

#[test]
fn a_codes_button_takes_the_bodys_code() {
    let made = json!([{ "type": "BODY", "add_security_recommendation": true },
        { "type": "BUTTONS", "buttons": [{ "type": "OTP", "otp_type": "COPY_CODE", "text": "Copy" }] }]);
    let read = json!([{ "type": "BODY", "text": "*{{1}}* is your code." },
        { "type": "BUTTONS", "buttons": [{ "type": "URL", "text": "Copy", "url": "https://w.example/?code=otp{{1}}" }] }]);
    for components in [made, read] {
        let filled =
            try_fill(&components, "AUTHENTICATION", false, json!({ "variables": ["314159"] })).unwrap();
        assert_eq!(
            filled.components[1],
            json!({ "type": "button", "sub_type": "url", "index": "0",
            "parameters": [{ "type": "text", "text": "314159" }] })
        );
        assert!(filled.rendered.body.unwrap().contains("314159"));
    }
}

#[test]
fn every_card_of_a_carousel_is_filled() {
    let card = json!({ "components": [{ "type": "HEADER", "format": "IMAGE" }, { "type": "BODY", "text": "{{1}} off" },
        { "type": "BUTTONS", "buttons": [{ "type": "URL", "text": "See", "url": "https://x.example/{{1}}" }] }] });
    let components =
        json!([{ "type": "BODY", "text": "Our offers:" }, { "type": "CAROUSEL", "cards": [card, card] }]);
    let one = |n: u32| json!({ "header": { "id": n.to_string() }, "variables": [format!("{n}%")], "buttons": [n.to_string()] });
    let both = filled(&components, json!({ "cards": [one(1), one(2)] }));
    let wire = &both.components[0]["cards"][1];
    assert_eq!(wire["card_index"], 1);
    assert_eq!(
        wire["components"][0],
        json!({ "type": "header", "parameters": [{ "type": "image", "image": { "id": "2" } }] })
    );
    assert_eq!(both.rendered.text(), "Our offers:\n\n1% off\n\n2% off");
    assert_eq!(refused(&components, json!({ "cards": [one(1)] })).0, "cards");
    let wrong = json!({ "cards": [one(1), { "header": { "id": "2" }, "buttons": ["2"] }] });
    assert_eq!(refused(&components, wrong).0, "cards.1.variables");
}

#[test]
fn an_offer_ends_at_a_time() {
    let components = json!([{ "type": "LIMITED_TIME_OFFER", "limited_time_offer": { "text": "Today!", "has_expiration": true } },
        { "type": "BODY", "text": "Hello." }]);
    let given = json!({ "limited_time_offer": { "expires_at": "2026-01-02T03:04:05Z" } });
    assert_eq!(
        filled(&components, given).components[0]["parameters"][0]["limited_time_offer"],
        json!({ "expiration_time_ms": 1_767_323_045_000_i64 })
    );
    assert_eq!(refused(&components, json!({})).0, "limited_time_offer");
}

#[test]
fn samples_fill_everything() {
    let components = json!([
        { "type": "HEADER", "format": "TEXT", "text": "For {{1}}", "example": { "header_text": ["Ani"] } },
        { "type": "BODY", "text": "Order {{1}}, {{2}}.", "example": { "body_text": [["7", "120 SAR"]] } },
        { "type": "FOOTER", "text": "Toko" },
        { "type": "BUTTONS", "buttons": [{ "type": "URL", "text": "Track", "url": "https://x.example/{{1}}",
            "example": ["https://x.example/o7"] }, { "type": "COPY_CODE", "example": "SAVE10" }] },
    ]);
    let form = Form::read(&components, None);
    let mut invalid = Invalid::default();
    let filled = fill(&form, false, &sample_values(&form), "x", &mut invalid);
    assert_eq!(invalid, Invalid::default());
    assert_eq!(filled.rendered.text(), "For Ani\n\nOrder 7, 120 SAR.\n\nToko");
    assert_eq!(filled.rendered.buttons[0].url.as_deref(), Some("https://x.example/o7"));
    assert_eq!(form.required(), 5);
}

#[test]
fn kinds_of_media_are_whatsapps_own() {
    for (format, kind) in [("IMAGE", MessageKind::Image), ("video", MessageKind::Video)] {
        let components = json!([{ "type": "header", "format": format }, { "type": "body", "text": "x" }]);
        let filled = filled(&components, json!({ "header": "https://x.example/f" }));
        assert_eq!(filled.components[0]["parameters"][0]["type"], kind.as_str());
    }
}

proptest! {
    /// As many values as variables always fill, in their order; any other number never does.
    #[test]
    fn the_number_of_values_decides(count in 0_usize..12, given in 0_usize..12, word in "[a-z]{1,8}") {
        let text: String = (1..=count).map(|n| format!("x{{{{{n}}}}}")).chain(["y".to_owned()]).collect();
        let values: Vec<String> = (0..given).map(|n| format!("{word}{n}")).collect();
        let outcome = try_fill(&body(&text), "UTILITY", false, json!({ "variables": values }));
        if count == given {
            let sent = outcome.unwrap();
            let wire: Vec<Json> = sent.components.iter().flat_map(|part| part["parameters"].as_array().unwrap().clone())
                .map(|parameter| parameter["text"].clone()).collect();
            prop_assert_eq!(&wire, &values.iter().map(|value| json!(value)).collect::<Vec<_>>());
            let expected: String = values.iter().map(|value| format!("x{value}")).chain(["y".to_owned()]).collect();
            prop_assert_eq!(sent.rendered.body.unwrap(), expected);
        } else {
            prop_assert!(outcome.is_err());
        }
    }

    /// Whatever JSON stands where a template or its values belong, nothing panics.
    #[test]
    fn odd_components_are_passed_over(kind in "HEADER|BODY|BUTTONS|CAROUSEL|x", key in "text|format|buttons|cards|example|url",
        word in "\\PC{0,12}", n in any::<i64>()) {
        for odd in [json!(word), json!(n), json!([word, n]), json!({ "type": word, "url": n })] {
            let components = json!([{ "type": kind, key.clone(): odd, "buttons": [odd], "cards": [odd] }, odd]);
            let form = Form::read(&components, Some("UTILITY"));
            let values = Values { variables: Some(odd.clone()), header: Some(odd.clone()), buttons: Some(odd.clone()),
                cards: Some(odd.clone()), limited_time_offer: Some(odd.clone()) };
            fill(&form, false, &values, "x", &mut Invalid::default());
            sample_values(&form);
        }
    }
}
