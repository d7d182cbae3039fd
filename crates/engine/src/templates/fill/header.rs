//! What is given for a template's header.

use kabar_domain::FileId;
use kabar_domain::message::Media;
use serde_json::{Value as Json, json};
use url::Url;

use super::super::Values;
use super::super::form::Header;
use super::{Filled, Place, text_parameters};
use crate::error::Invalid;

pub(super) fn header(
    header: Option<&Header>,
    is_named: bool,
    values: &Values,
    place: Place<'_>,
    filled: &mut Filled,
    invalid: &mut Invalid,
) {
    let given = values.header.as_ref().filter(|given| !given.is_null());
    let field = place.field("header");
    let parameter = match header {
        None => {
            if given.is_some() {
                invalid.add(&field, format!("{} has no header.", place.whose()));
            }
            return;
        }
        Some(Header::Text(text)) => {
            // `{"text": "…"}` is another form of the text alone.
            let given = given.map(|given| given.get("text").filter(|_| !is_named).unwrap_or(given));
            let (parameters, read) = text_parameters(text, is_named, given, &field, place, invalid);
            filled.rendered.header = Some(read);
            if !parameters.is_empty() {
                filled.components.push(json!({ "type": "header", "parameters": parameters }));
            }
            return;
        }
        Some(Header::Media(kind)) => {
            let kind = kind.as_str();
            let Some(media) =
                given.and_then(|given| media(given.get(kind).unwrap_or(given), &field, invalid))
            else {
                if given.is_none() {
                    invalid.add(
                        &field,
                        format!(
                            "{} has {kind} in its header: give header.link, header.id or header.media_id.",
                            place.whose()
                        ),
                    );
                }
                return;
            };
            filled.media = Some(media);
            json!({ "type": kind })
        }
        Some(Header::Location) => {
            let given = given.map(|given| given.get("location").unwrap_or(given));
            let Some(location) = given.and_then(location) else {
                let wants = "has a location in its header: give header.latitude and header.longitude, \
                             and perhaps header.name and header.address";
                return invalid.add(&field, format!("{} {wants}.", place.whose()));
            };
            filled.rendered.header = location["name"].as_str().map(str::to_owned);
            json!({ "type": "location", "location": location })
        }
        Some(Header::Product) => {
            let Some(product) =
                given.map(|given| given.get("product").unwrap_or(given)).filter(|given| given.is_object())
            else {
                return invalid.add(&field, format!("{} has a product in its header.", place.whose()));
            };
            json!({ "type": "product", "product": product })
        }
        Some(Header::Other(kind)) => {
            return invalid.add(
                &field,
                format!("{} has a header of the kind {kind}, which cannot be sent.", place.whose()),
            );
        }
    };
    filled.components.push(json!({ "type": "header", "parameters": [parameter] }));
}

/// A file by `link`, by WhatsApp's `id`, or by the `media_id` of one kept here.
fn media(given: &Json, field: &str, invalid: &mut Invalid) -> Option<Media> {
    let link;
    let given = if let Json::String(text) = given {
        link = json!({ "link": text });
        &link
    } else {
        given
    };
    let text =
        |key: &str| given[key].as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let url = text("link").or_else(|| text("url")).or_else(|| text("media_url"));
    let mut media = Media { filename: text("filename"), url, id: text("id"), ..Media::default() };
    let file = text("media_id");
    if [media.url.is_some(), media.id.is_some(), file.is_some()].into_iter().filter(|given| *given).count()
        != 1
    {
        invalid.add(field, "The header field must have one of link, id and media_id.");
        return None;
    }
    if let Some(url) = &media.url {
        let is_https = Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.host().is_some());
        if !is_https {
            invalid.add(field, "The header field's link must be a valid https URL.");
            return None;
        }
    }
    if let Some(file) = file {
        let Ok(file) = file.parse::<FileId>() else {
            invalid.add(field, "The selected header media id is invalid.");
            return None;
        };
        media.file_id = Some(file);
    }
    Some(media)
}

fn location(given: &Json) -> Option<Json> {
    let degrees = |key: &str, bound: f64| {
        let given = &given[key];
        let degrees = given.as_f64().or_else(|| given.as_str()?.trim().parse().ok())?;
        (degrees.abs() <= bound).then_some(degrees)
    };
    let mut location =
        json!({ "latitude": degrees("latitude", 90.0)?, "longitude": degrees("longitude", 180.0)? });
    for key in ["name", "address"] {
        if let Some(text) = given[key].as_str().filter(|text| !text.is_empty()) {
            location[key] = json!(text);
        }
    }
    Some(location)
}
