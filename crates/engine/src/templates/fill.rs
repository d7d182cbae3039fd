//! Filling a template in: what goes on WhatsApp's wire, and what the recipient reads.

mod buttons;
mod header;

use std::collections::BTreeMap;

use kabar_domain::message::Media;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::form::{Form, Text};
use super::{Values, text};
use crate::error::Invalid;
use buttons::buttons;
use header::header;

/// What the recipient reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rendered {
    pub header: Option<String>,
    pub body: Option<String>,
    pub footer: Option<String>,
    pub buttons: Vec<RenderedButton>,
    /// Of a carousel.
    pub cards: Vec<Self>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RenderedButton {
    /// As WhatsApp names it, `QUICK_REPLY`, `URL`, …
    #[serde(rename = "type")]
    pub kind: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}

impl Rendered {
    /// All of it as one text.
    pub fn text(&self) -> String {
        let own = [&self.header, &self.body].into_iter().flatten().cloned();
        let cards = self.cards.iter().map(Self::text);
        own.chain(cards)
            .chain(self.footer.clone())
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}

/// A template filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filled {
    /// `components` of the wire. A header's medium is not in it but in `media`.
    pub components: Vec<Json>,
    pub media: Option<Media>,
    pub rendered: Rendered,
}

/// Where the values of one form stand in the request: nowhere special, or in a card.
#[derive(Clone, Copy)]
struct Place<'a> {
    card: Option<usize>,
    /// The template, as messages call it.
    name: &'a str,
}

impl Place<'_> {
    fn field(self, field: &str) -> String {
        self.card.map_or_else(|| field.to_owned(), |card| format!("cards.{card}.{field}"))
    }

    fn whose(self) -> String {
        match self.card {
            None => format!("The template {}", self.name),
            Some(card) => format!("Card {card} of the template {}", self.name),
        }
    }
}

/// Fills a form in; what does not fit is added to `invalid`.
pub(crate) fn fill(
    form: &Form,
    is_named: bool,
    values: &Values,
    name: &str,
    invalid: &mut Invalid,
) -> Filled {
    let mut filled = part(form, is_named, values, Place { card: None, name }, invalid);
    if let Some(offer) = form.offer.as_ref().filter(|offer| offer.expires) {
        match values.limited_time_offer.as_ref().and_then(expiry) {
            Some(at) => filled.components.push(json!({ "type": "limited_time_offer", "parameters": [
                { "type": "limited_time_offer", "limited_time_offer": { "expiration_time_ms": at } }] })),
            None => invalid.add(
                "limited_time_offer",
                format!(
                    "The offer \u{201c}{}\u{201d} ends at a time: give limited_time_offer.expires_at.",
                    offer.text
                ),
            ),
        }
    }
    cards(form, is_named, values, name, &mut filled, invalid);
    filled
}

/// Milliseconds since 1970, from `expires_at` (RFC 3339) or `expiration_time_ms`.
fn expiry(given: &Json) -> Option<i64> {
    let at = given["expires_at"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    at.map(jiff::Timestamp::as_millisecond).or_else(|| given["expiration_time_ms"].as_i64())
}

fn cards(
    form: &Form,
    is_named: bool,
    values: &Values,
    name: &str,
    filled: &mut Filled,
    invalid: &mut Invalid,
) {
    let given: Vec<Values> = match &values.cards {
        None | Some(Json::Null) => Vec::new(),
        Some(list) => match serde_json::from_value(list.clone()) {
            Ok(cards) => cards,
            Err(_) => return invalid.add("cards", "The cards field must be a list of objects."),
        },
    };
    if given.len() != form.cards.len() {
        let takes = match form.cards.len() {
            0 => "has no cards".to_owned(),
            count => format!("has {count} cards, each with its values in cards[]"),
        };
        return invalid.add("cards", format!("The template {name} {takes}; {} given.", was(given.len())));
    }
    let mut wire = Vec::new();
    for (index, (form, values)) in form.cards.iter().zip(&given).enumerate() {
        let place = Place { card: Some(index), name };
        let mut card = part(form, is_named, values, place, invalid);
        if let (Some(media), Some(header)) = (card.media.take(), card.components.first_mut()) {
            let source = match (&media.id, &media.url) {
                (Some(id), _) => json!({ "id": id }),
                (None, Some(url)) => json!({ "link": url }),
                // Of the library: WhatsApp is given it when the message is sent.
                (None, None) => json!(media),
            };
            let kind = header["parameters"][0]["type"].as_str().unwrap_or_default().to_owned();
            header["parameters"][0][kind] = source;
        }
        wire.push(json!({ "card_index": index, "components": card.components }));
        filled.rendered.cards.push(card.rendered);
    }
    if !wire.is_empty() {
        filled.components.push(json!({ "type": "carousel", "cards": wire }));
    }
}

fn part(form: &Form, is_named: bool, values: &Values, place: Place<'_>, invalid: &mut Invalid) -> Filled {
    let mut filled = Filled::default();
    header(form.header.as_ref(), is_named, values, place, &mut filled, invalid);
    let nothing = Text::default();
    let body = form.body.as_ref().unwrap_or(&nothing);
    let given = values.variables.as_ref();
    let (parameters, body_text) =
        text_parameters(body, is_named, given, &place.field("variables"), place, invalid);
    if !parameters.is_empty() {
        filled.components.push(json!({ "type": "body", "parameters": parameters }));
    }
    filled.rendered.body = form.body.as_ref().map(|_| body_text);
    filled.rendered.footer.clone_from(&form.footer);
    let code = parameters_text(&filled.components, "body");
    buttons(&form.buttons, code.as_deref(), values, place, &mut filled, invalid);
    filled
}

/// The first value given for a component.
fn parameters_text(components: &[Json], kind: &str) -> Option<String> {
    let part = components.iter().find(|part| part["type"] == kind)?;
    part["parameters"][0]["text"].as_str().map(str::to_owned)
}

fn was(count: usize) -> String {
    if count == 1 { "1 was".to_owned() } else { format!("{count} were") }
}

fn places(names: &[String]) -> String {
    names.iter().map(|name| format!("{{{{{name}}}}}")).collect::<Vec<_>>().join(", ")
}

/// A value as WhatsApp takes it into a text.
fn value(given: &Json, field: &str, invalid: &mut Invalid) -> String {
    let value = match given {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        Json::Bool(flag) => flag.to_string(),
        _ => {
            invalid.add(field, format!("The {} field must be a text.", field.replace('_', " ")));
            return String::new();
        }
    };
    if value.trim().is_empty() {
        invalid.add(field, "WhatsApp takes no empty value in a template.");
    } else if value.contains(['\n', '\r', '\t']) || value.contains("     ") {
        invalid.add(
            field,
            "WhatsApp takes no line breaks, tabs or more than four spaces in a row in a template's value.",
        );
    }
    value
}

/// Values by name: a list fills them in order, an object by name.
fn by_name(
    names: &[String],
    given: Option<&Json>,
    field: &str,
    place: Place<'_>,
    invalid: &mut Invalid,
) -> Option<BTreeMap<String, String>> {
    let list = |list: &[Json]| list.to_vec();
    let given = match given {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Object(fields)) => {
            let missing: Vec<String> =
                names.iter().filter(|name| !fields.contains_key(*name)).cloned().collect();
            let unknown = fields.keys().filter(|key| !names.contains(key)).cloned().collect::<Vec<_>>();
            if !missing.is_empty() || !unknown.is_empty() {
                let takes = if names.is_empty() {
                    "takes no variables".to_owned()
                } else {
                    format!("takes {}", places(names))
                };
                let missing = if missing.is_empty() {
                    String::new()
                } else {
                    format!("; {} missing", places(&missing))
                };
                let unknown = if unknown.is_empty() {
                    String::new()
                } else {
                    format!("; {} unknown", places(&unknown))
                };
                invalid.add(field, format!("{} {takes}{missing}{unknown}.", place.whose()));
                return None;
            }
            names.iter().map(|name| fields[name].clone()).collect()
        }
        Some(Json::Array(items)) => list(items),
        Some(one) => list(std::slice::from_ref(one)),
    };
    if given.len() != names.len() {
        let takes = match names.len() {
            0 => "takes no variables".to_owned(),
            1 => format!("takes 1 variable ({})", places(names)),
            count => format!("takes {count} variables ({})", places(names)),
        };
        invalid.add(field, format!("{} {takes}; {} given.", place.whose(), was(given.len())));
        return None;
    }
    let fields = |i: usize| format!("{field}.{i}");
    Some(
        names
            .iter()
            .enumerate()
            .map(|(i, name)| (name.clone(), value(&given[i], &fields(i), invalid)))
            .collect(),
    )
}

/// The parameters of a text, and the text as it is read.
fn text_parameters(
    text: &Text,
    is_named: bool,
    given: Option<&Json>,
    field: &str,
    place: Place<'_>,
    invalid: &mut Invalid,
) -> (Vec<Json>, String) {
    let names = text::variables(&text.text);
    let Some(values) = by_name(&names, given, field, place, invalid) else {
        return (Vec::new(), text.text.clone());
    };
    let parameter = |name: &String| {
        let mut parameter = json!({ "type": "text", "text": values[name] });
        if is_named {
            parameter["parameter_name"] = json!(name);
        }
        parameter
    };
    let read = text::render(&text.text, |name| values.get(name).map(String::as_str));
    (names.iter().map(parameter).collect(), read)
}

#[cfg(test)]
mod tests;
