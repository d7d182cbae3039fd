//! What WhatsApp takes in a template, looked at before it is asked.

use kabar_domain::FileId;
use serde_json::Value as Json;

use super::form::{Text, read_text, string, upper};
use super::{Template, is_named, text};
use crate::error::Invalid;
use crate::rules;

const NAME: usize = 512;
const HEADER: usize = 60;
const BODY: usize = 1024;
const FOOTER: usize = 60;
const BUTTONS: usize = 10;
const BUTTON_TEXT: usize = 25;
const URL: usize = 2000;
const PHONE: usize = 20;
const CODE: usize = 15;
/// The most buttons of a kind; of the kinds not named here WhatsApp knows better.
const KINDS: [(&str, usize); 3] = [("URL", 2), ("PHONE_NUMBER", 1), ("COPY_CODE", 1)];
const CARDS: std::ops::RangeInclusive<usize> = 2..=10;
/// Of all components together, in bytes.
const COMPONENTS: usize = 64 * 1024;

/// Everything but the components.
pub(super) fn check_fields(invalid: &mut Invalid, template: &Template) {
    let name = &template.name;
    invalid.require("name", !name.is_empty());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.bytes().all(plain) || name.len() > NAME {
        invalid.add("name", "The name field takes lower-case letters, digits and underscores, 512 at most.");
    }
    invalid.require("language", !template.language.is_empty());
    if !template.language.is_empty() && !is_language(&template.language) {
        invalid.add("language", "The language field must be a code such as id or en_US.");
    }
    let category = template.category.as_deref();
    invalid.require("category", category.is_some());
    if category.is_some_and(|category| !matches!(category, "UTILITY" | "MARKETING" | "AUTHENTICATION")) {
        rules::selected(invalid, "category");
    }
    let format = template.parameter_format.as_deref();
    if format.is_some_and(|format| !matches!(format, "POSITIONAL" | "NAMED")) {
        rules::selected(invalid, "parameter_format");
    }
    let (least, most) = match category {
        Some("AUTHENTICATION") => (30, 900),
        Some("MARKETING") => (43_200, 2_592_000),
        _ => (30, 43_200),
    };
    let usual = |seconds: i64| seconds == -1 && category != Some("MARKETING");
    if template.ttl_seconds.is_some_and(|seconds| !(least..=most).contains(&seconds) && !usual(seconds)) {
        invalid.add(
            "message_send_ttl_seconds",
            format!(
                "The message send ttl seconds field must be between {least} and {most} in this category."
            ),
        );
    }
}

fn is_language(code: &str) -> bool {
    let mut parts = code.split('_');
    let first = parts.next().unwrap_or_default();
    let second = parts.next();
    (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_lowercase())
        && second.is_none_or(|region| {
            (2..=4).contains(&region.len()) && region.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        && parts.next().is_none()
}

pub(super) fn check_components(invalid: &mut Invalid, template: &Template) {
    let list = template.components.as_ref().and_then(Json::as_array);
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        invalid.require("components", false);
        return;
    };
    if template.components.as_ref().is_some_and(|components| components.to_string().len() > COMPONENTS) {
        invalid.add("components", "The components field must not be greater than 64 kilobytes.");
        return;
    }
    let is_authentication = template.category.as_deref() == Some("AUTHENTICATION");
    let mut checker = Checker { invalid, is_named: is_named(template), is_authentication };
    checker.components("components", list, false);
}

struct Checker<'a> {
    invalid: &'a mut Invalid,
    is_named: bool,
    /// Its texts are WhatsApp's own.
    is_authentication: bool,
}

impl Checker<'_> {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.invalid.add(field, message);
    }

    fn components(&mut self, path: &str, list: &[Json], is_card: bool) {
        let mut kinds: Vec<String> = Vec::new();
        for (index, part) in list.iter().enumerate() {
            let path = format!("{path}.{index}");
            let kind = upper(&part["type"]);
            match kind.as_str() {
                "" => self.invalid.require(&format!("{path}.type"), false),
                "HEADER" => self.header(&path, part),
                "BODY" => self.body(&path, part),
                "FOOTER" => self.footer(&path, part),
                "BUTTONS" => self.buttons(&path, &part["buttons"]),
                "CAROUSEL" if !is_card => self.cards(&path, &part["cards"]),
                _ => {}
            }
            if !kind.is_empty() && kinds.contains(&kind) {
                self.add(&format!("{path}.type"), format!("There is a {kind} already: a template has one."));
            }
            kinds.push(kind);
        }
        if !is_card && !kinds.iter().any(|kind| kind == "BODY") {
            self.add(path, "A template needs a BODY.");
        }
    }

    fn header(&mut self, path: &str, part: &Json) {
        match upper(&part["format"]).as_str() {
            "" => self.invalid.require(&format!("{path}.format"), false),
            "TEXT" => {
                let Some(header) = read_text(part, "header_text", "header_text_named_params") else {
                    return self.invalid.require(&format!("{path}.text"), false);
                };
                self.text(path, &header, HEADER);
                if text::variables(&header.text).len() > 1 {
                    self.add(&format!("{path}.text"), "A header has one variable at most.");
                }
            }
            "IMAGE" | "VIDEO" | "DOCUMENT" | "GIF" => {
                let example = &part["example"];
                let handles = example["header_handle"].as_array();
                if let Some(file) = string(&example["media_id"]) {
                    if file.parse::<FileId>().is_err() {
                        let field = format!("{path}.example.media_id");
                        self.add(&field, "The selected media id is invalid.");
                    }
                } else if handles.and_then(|list| string(list.first()?)).is_none() {
                    self.add(
                        &format!("{path}.example.header_handle"),
                        "A header with a file needs a sample: example.media_id, a file of the media library, or a \
                         handle from Meta's Resumable Upload API.",
                    );
                }
            }
            _ => {}
        }
    }

    fn body(&mut self, path: &str, part: &Json) {
        let field = format!("{path}.text");
        let Some(body) = read_text(part, "body_text", "body_text_named_params") else {
            return self.invalid.require(&field, self.is_authentication);
        };
        self.text(path, &body, BODY);
        if !self.is_authentication && text::at_an_edge(&body.text) {
            self.add(&field, "A variable can be neither the first nor the last thing in a body.");
        }
    }

    fn footer(&mut self, path: &str, part: &Json) {
        let field = format!("{path}.text");
        let Some(footer) = string(&part["text"]) else {
            return self.invalid.require(&field, self.is_authentication);
        };
        rules::text(self.invalid, &field, &footer, FOOTER);
        if footer.contains("{{") {
            self.add(&field, "A footer has no variables.");
        }
    }

    /// Length, variables, and a sample of each.
    fn text(&mut self, path: &str, read: &Text, max: usize) {
        let field = format!("{path}.text");
        rules::text(self.invalid, &field, &read.text, max);
        if self.is_authentication {
            return;
        }
        let names = text::variables(&read.text);
        let numbers = (1..=names.len()).map(|number| number.to_string());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text::render(&read.text, |_| Some("")).contains("{{") {
            self.add(&field, "A variable is written {{1}}, or {{order_id}} where they have names.");
        } else if self.is_named && !names.iter().all(|name| name.bytes().all(plain)) {
            self.add(&field, "Names of variables take lower-case letters, digits and underscores.");
        } else if !self.is_named && !numbers.eq(names.iter().cloned()) {
            self.add(
                &field,
                "Variables are numbered {{1}}, {{2}} and so on without a gap, unless parameter_format is NAMED.",
            );
        }
        for (index, name) in names.iter().enumerate() {
            if read.samples.get(index).is_none_or(String::is_empty) {
                self.add(
                    &format!("{path}.example"),
                    format!("The variable {{{{{name}}}}} needs an example."),
                );
            }
        }
    }

    fn buttons(&mut self, path: &str, buttons: &Json) {
        let field = format!("{path}.buttons");
        let Some(buttons) = buttons.as_array().filter(|buttons| !buttons.is_empty()) else {
            return self.invalid.require(&field, false);
        };
        if buttons.len() > BUTTONS {
            self.add(&field, "A template has 10 buttons at most.");
        }
        let kinds: Vec<String> = buttons.iter().map(|button| upper(&button["type"])).collect();
        for (kind, most) in KINDS {
            if kinds.iter().filter(|own| *own == kind).count() > most {
                self.add(&field, format!("A template has {most} {kind} at most among its buttons."));
            }
        }
        if kinds.chunk_by(|a, b| a == b).filter(|run| run[0] == "QUICK_REPLY").count() > 1 {
            self.add(&field, "Quick replies stand together, not between other buttons.");
        }
        for (index, (button, kind)) in buttons.iter().zip(&kinds).enumerate() {
            self.button(&format!("{field}.{index}"), button, kind);
        }
    }

    fn button(&mut self, path: &str, button: &Json, kind: &str) {
        self.invalid.require(&format!("{path}.type"), !kind.is_empty());
        let needs_text = matches!(kind, "QUICK_REPLY" | "PHONE_NUMBER" | "URL");
        self.button_field(path, "text", &button["text"], needs_text, BUTTON_TEXT);
        match kind {
            "URL" if !self.is_authentication => {
                let url = self.button_field(path, "url", &button["url"], true, URL);
                let count = text::variables(&url).len();
                if count > 1 || (count == 1 && !url.ends_with("}}")) {
                    self.add(&format!("{path}.url"), "An address has one variable at most, at its end.");
                }
                if count > 0 && sample(button).is_none() {
                    self.add(&format!("{path}.example"), "An address with a variable needs an example.");
                }
            }
            "PHONE_NUMBER" => {
                self.button_field(path, "phone_number", &button["phone_number"], true, PHONE);
            }
            "COPY_CODE" => {
                let code = sample(button).map_or(Json::Null, Json::String);
                self.button_field(path, "example", &code, true, CODE);
            }
            _ => {}
        }
    }

    fn button_field(&mut self, path: &str, name: &str, value: &Json, needed: bool, max: usize) -> String {
        let field = format!("{path}.{name}");
        let value = string(value);
        self.invalid.require(&field, value.is_some() || !needed);
        let value = value.unwrap_or_default();
        rules::text(self.invalid, &field, &value, max);
        value
    }

    fn cards(&mut self, path: &str, cards: &Json) {
        let field = format!("{path}.cards");
        let cards = cards.as_array().map(Vec::as_slice).unwrap_or_default();
        if !CARDS.contains(&cards.len()) {
            self.add(&field, "A carousel has 2 to 10 cards.");
        }
        for (index, card) in cards.iter().enumerate().take(*CARDS.end()) {
            let path = format!("{field}.{index}.components");
            match card["components"].as_array().filter(|list| !list.is_empty()) {
                Some(list) => self.components(&path, list, true),
                None => self.invalid.require(&path, false),
            }
        }
    }
}

/// A button's example, which is a text or a list of one.
fn sample(button: &Json) -> Option<String> {
    match &button["example"] {
        Json::Array(list) => list.first().and_then(string),
        other => string(other),
    }
}
