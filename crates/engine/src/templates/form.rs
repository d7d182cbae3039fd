//! A template's components, read: what it says, and what a sender must fill in.

use kabar_domain::message::MessageKind;
use serde_json::{Value as Json, json};

use super::text;

/// What WhatsApp says in an authentication template whose text it has not told us.
const AUTHENTICATION: &str = "{{1}} is your verification code.";

/// A template, or one card of a carousel.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Form {
    pub header: Option<Header>,
    pub body: Option<Text>,
    pub footer: Option<String>,
    pub buttons: Vec<Button>,
    pub cards: Vec<Self>,
    pub offer: Option<Offer>,
}

/// A text with variables, and a sample of each in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub text: String,
    pub samples: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Header {
    Text(Text),
    /// An image, video or document.
    Media(MessageKind),
    Location,
    Product,
    /// A kind that is not known here, in lower case.
    Other(String),
}

/// A text about an offer that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub text: String,
    pub expires: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Button {
    /// In upper case, as `QUICK_REPLY`.
    pub kind: String,
    pub text: String,
    pub url: Option<String>,
    pub phone_number: Option<String>,
    pub sample: Option<String>,
    pub wants: Wants,
}

/// What a sender must give for a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    /// What comes back when it is tapped; WhatsApp takes the button's text when there is none.
    Payload,
    /// The end of its address.
    Suffix,
    /// A code to copy.
    Coupon,
    /// The code of an authentication template.
    Code,
    /// A form's token and data; both may be left out.
    Flow,
    /// An object of WhatsApp's own.
    Action {
        required: bool,
    },
}

impl Wants {
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Suffix | Self::Coupon | Self::Code | Self::Action { required: true })
    }

    /// The word the API uses.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Payload => Some("payload"),
            Self::Suffix => Some("url_suffix"),
            Self::Coupon | Self::Code => Some("code"),
            Self::Flow => Some("flow"),
            Self::Action { .. } => Some("action"),
        }
    }
}

pub(super) fn string(value: &Json) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(super) fn upper(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_ascii_uppercase()
}

/// The samples WhatsApp keeps for a text: `[["a", "b"]]`, `["a"]`, or a list of named ones.
fn samples(example: &Json, positional: &str, named: &str, names: &[String]) -> Vec<String> {
    if let Some(list) = example[named].as_array() {
        let of = |name: &String| {
            let found = list.iter().find(|sample| sample["param_name"] == name.as_str());
            found.and_then(|sample| string(&sample["example"])).unwrap_or_default()
        };
        return names.iter().map(of).collect();
    }
    let list = match &example[positional] {
        Json::Array(list) => match list.first() {
            Some(Json::Array(inner)) => inner.as_slice(),
            _ => list.as_slice(),
        },
        _ => return Vec::new(),
    };
    list.iter().map(|sample| string(sample).unwrap_or_default()).collect()
}

pub(super) fn read_text(part: &Json, positional: &str, named: &str) -> Option<Text> {
    let text = string(&part["text"])?;
    let samples = samples(&part["example"], positional, named, &text::variables(&text));
    Some(Text { text, samples })
}

fn read_header(part: &Json) -> Option<Header> {
    Some(match upper(&part["format"]).as_str() {
        "" | "TEXT" => Header::Text(read_text(part, "header_text", "header_text_named_params")?),
        "IMAGE" => Header::Media(MessageKind::Image),
        "VIDEO" => Header::Media(MessageKind::Video),
        "DOCUMENT" => Header::Media(MessageKind::Document),
        "LOCATION" => Header::Location,
        "PRODUCT" => Header::Product,
        other => Header::Other(other.to_ascii_lowercase()),
    })
}

fn read_button(button: &Json, is_authentication: bool) -> Button {
    let kind = upper(&button["type"]);
    let url = string(&button["url"]);
    let has_variable = url.as_deref().is_some_and(|url| !text::variables(url).is_empty());
    let wants = match kind.as_str() {
        "QUICK_REPLY" => Wants::Payload,
        "OTP" => Wants::Code,
        "URL" if is_authentication => Wants::Code,
        "URL" if has_variable => Wants::Suffix,
        "COPY_CODE" => Wants::Coupon,
        "FLOW" => Wants::Flow,
        "MPM" | "ORDER_DETAILS" => Wants::Action { required: true },
        "CATALOG" | "SPM" | "VOICE_CALL" => Wants::Action { required: false },
        _ => Wants::Nothing,
    };
    let sample = match &button["example"] {
        Json::Array(list) => list.first().and_then(string),
        other => string(other),
    };
    Button {
        text: string(&button["text"]).unwrap_or_default(),
        phone_number: string(&button["phone_number"]),
        kind,
        url,
        sample,
        wants,
    }
}

impl Form {
    /// Reads WhatsApp's list of components. What is not understood is passed over.
    pub fn read(components: &Json, category: Option<&str>) -> Self {
        let is_authentication = category == Some("AUTHENTICATION");
        let mut form = Self::default();
        for part in components.as_array().into_iter().flatten() {
            match upper(&part["type"]).as_str() {
                "HEADER" => form.header = read_header(part),
                "BODY" => {
                    form.body = read_text(part, "body_text", "body_text_named_params");
                    if is_authentication && form.body.is_none() {
                        form.body = Some(Text { text: AUTHENTICATION.to_owned(), samples: Vec::new() });
                    }
                }
                "FOOTER" => form.footer = string(&part["text"]),
                "BUTTONS" => {
                    let buttons = part["buttons"].as_array().into_iter().flatten();
                    form.buttons = buttons.map(|button| read_button(button, is_authentication)).collect();
                }
                "CAROUSEL" => {
                    let cards = part["cards"].as_array().into_iter().flatten();
                    form.cards = cards.map(|card| Self::read(&card["components"], None)).collect();
                }
                "LIMITED_TIME_OFFER" => {
                    let offer = &part["limited_time_offer"];
                    form.offer = Some(Offer {
                        text: string(&offer["text"]).unwrap_or_default(),
                        expires: offer["has_expiration"] == Json::Bool(true),
                    });
                }
                _ => {}
            }
        }
        form
    }

    /// The body's variables in the order that a list of values fills them.
    pub fn body_variables(&self) -> Vec<String> {
        self.body.as_ref().map(|body| text::variables(&body.text)).unwrap_or_default()
    }

    /// How many values a sender must give.
    pub fn required(&self) -> usize {
        let header = match &self.header {
            None => 0,
            Some(Header::Text(text)) => text::variables(&text.text).len(),
            Some(_) => 1,
        };
        let buttons = self.buttons.iter().filter(|button| button.wants.is_required()).count();
        let offer = usize::from(self.offer.as_ref().is_some_and(|offer| offer.expires));
        let cards: usize = self.cards.iter().map(Self::required).sum();
        header + self.body_variables().len() + buttons + offer + cards
    }
}

/// Components as far as they say something lasting: the samples' addresses are new at every reading.
pub(crate) fn without_samples(components: &Json) -> Json {
    match components {
        Json::Array(list) => list.iter().map(without_samples).collect(),
        Json::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| *key != "example");
            Json::Object(kept.map(|(key, value)| (key.clone(), without_samples(value))).collect())
        }
        other => other.clone(),
    }
}

/// Values out of the template's own samples; a variable without one shows its name.
pub(crate) fn sample_values(form: &Form) -> super::Values {
    let of = |text: &Text| -> Json {
        let names = text::variables(&text.text);
        let sample = |i: usize, name: &String| {
            let sample = text.samples.get(i).filter(|sample| !sample.is_empty()).cloned();
            Json::String(sample.unwrap_or_else(|| format!("{{{{{name}}}}}")))
        };
        names.iter().enumerate().map(|(i, name)| sample(i, name)).collect()
    };
    let header = form.header.as_ref().and_then(|header| match header {
        Header::Text(text) => Some(of(text)).filter(|list| list != &json!([])),
        Header::Media(_) => Some(json!({ "id": "sample" })),
        Header::Location => Some(json!({ "latitude": 0, "longitude": 0 })),
        Header::Product | Header::Other(_) => Some(json!({})),
    });
    let buttons = form.buttons.iter().map(|button| {
        let sample = button.sample.clone().unwrap_or_else(|| "{{1}}".to_owned());
        match button.wants {
            Wants::Suffix => {
                let start = button.url.as_deref().and_then(|url| url.split("{{").next()).unwrap_or_default();
                Json::String(
                    sample.strip_prefix(start).filter(|end| !end.is_empty()).unwrap_or(&sample).to_owned(),
                )
            }
            Wants::Coupon | Wants::Code => Json::String(sample),
            Wants::Action { required: true } => json!({}),
            _ => Json::Null,
        }
    });
    super::Values {
        variables: form.body.as_ref().map(of),
        header,
        buttons: Some(buttons.collect()),
        cards: Some(form.cards.iter().map(|card| json!(sample_values(card))).collect()),
        limited_time_offer: form
            .offer
            .as_ref()
            .filter(|offer| offer.expires)
            .map(|_| json!({ "expiration_time_ms": 0 })),
    }
}
