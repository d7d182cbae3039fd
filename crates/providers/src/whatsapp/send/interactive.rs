//! Messages with something to tap.

use std::collections::HashSet;

use kabar_domain::content::{Button, Flow, Header, HeaderKind, Interactive, InteractiveKind, Section};
use kabar_domain::outbound::{OutboundMessage, Recipient, Unsendable};
use serde_json::{Map, Value, json};
use url::Url;

use super::media::file;
use super::{Refused, body, filled};
use crate::fields::whole;

const BODY_LIMIT: usize = 1_024;
const LIST_BODY_LIMIT: usize = 4_096;
/// Headers and footers.
const LINE_LIMIT: usize = 60;
/// What a button says, in every place that has one.
const BUTTON_LIMIT: usize = 20;

pub(super) fn interactive(message: &OutboundMessage) -> Refused<Value> {
    people_only(message)?;
    let asked: Interactive = whole(message)?;
    let body_limit = if asked.kind == InteractiveKind::List { LIST_BODY_LIMIT } else { BODY_LIMIT };
    let (kind, action) = match asked.kind {
        InteractiveKind::Buttons => ("button", buttons(&asked.buttons)?),
        InteractiveKind::List => ("list", list(&asked)?),
        InteractiveKind::CtaUrl => ("cta_url", cta_url(&asked)?),
        InteractiveKind::LocationRequest => ("location_request_message", json!({ "name": "send_location" })),
    };
    if asked.kind == InteractiveKind::LocationRequest {
        for (field, given) in [("header", asked.header.is_some()), ("footer", asked.footer.is_some())] {
            if given {
                return Err(Unsendable::new(
                    format!("interactive.{field}"),
                    format!("WhatsApp shows no {field} with a location request."),
                ));
            }
        }
    }
    let mut object =
        framed(message, body_limit, asked.header.as_ref(), asked.footer.as_deref(), "interactive")?;
    object.insert("type".to_owned(), kind.into());
    object.insert("action".to_owned(), action);
    Ok(Value::Object(object))
}

/// Header, body and footer.
fn framed(
    message: &OutboundMessage,
    body_limit: usize,
    header: Option<&Header>,
    footer: Option<&str>,
    under: &str,
) -> Refused<Map<String, Value>> {
    let mut object = Map::new();
    if let Some(header) = header {
        let is_list = message.payload.get("type").is_some_and(|kind| kind == "list");
        object.insert("header".to_owned(), self::header(message, header, is_list, under)?);
    }
    let text = body(message)?.unwrap_or_default();
    filled(&text, body_limit, "body", "body")?;
    object.insert("body".to_owned(), json!({ "text": text }));
    if let Some(footer) = footer {
        filled(footer, LINE_LIMIT, &format!("{under}.footer"), "footer")?;
        object.insert("footer".to_owned(), json!({ "text": footer }));
    }
    Ok(object)
}

fn header(message: &OutboundMessage, header: &Header, is_list: bool, under: &str) -> Refused<Value> {
    let name = match header.kind {
        HeaderKind::Text => {
            let text = header.text.as_deref().unwrap_or_default();
            filled(text, LINE_LIMIT, &format!("{under}.header.text"), "header")?;
            return Ok(json!({ "type": "text", "text": text }));
        }
        HeaderKind::Image => "image",
        HeaderKind::Video => "video",
        HeaderKind::Document => "document",
    };
    let at = |field: &str| format!("{under}.header.{field}");
    if is_list {
        return Err(Unsendable::new(at("type"), "A WhatsApp list can have a header of text only."));
    }
    let missing = || Unsendable::new(at("media_url"), format!("A header of type {name} needs a file."));
    let object = file(message.media.as_ref().ok_or_else(missing)?, name, false)
        .map_err(|refused| Unsendable { field: at(&refused.field), ..refused })?;
    Ok(json!({ "type": name, name: object }))
}

fn buttons(buttons: &[Button]) -> Refused<Value> {
    if !(1..=3).contains(&buttons.len()) {
        return Err(Unsendable::new("interactive.buttons", "WhatsApp takes 1 to 3 buttons."));
    }
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    let mut replies = Vec::new();
    for (index, Button { id, title }) in buttons.iter().enumerate() {
        let at = |field: &str| format!("interactive.buttons.{index}.{field}");
        filled(id, 256, &at("id"), "button's id")?;
        filled(title, BUTTON_LIMIT, &at("title"), "button's title")?;
        if !ids.insert(id) {
            return Err(Unsendable::new(at("id"), "Another button has this id."));
        }
        if !titles.insert(title) {
            return Err(Unsendable::new(at("title"), "Another button has this title."));
        }
        replies.push(json!({ "type": "reply", "reply": { "id": id, "title": title } }));
    }
    Ok(json!({ "buttons": replies }))
}

fn list(asked: &Interactive) -> Refused<Value> {
    let label = asked.button.as_deref().unwrap_or_default();
    filled(label, BUTTON_LIMIT, "interactive.button", "list's button")?;
    let sections = &asked.sections;
    let rows: usize = sections.iter().map(|section| section.rows.len()).sum();
    if !(1..=10).contains(&sections.len()) || !(1..=10).contains(&rows) {
        return Err(Unsendable::new(
            "interactive.sections",
            format!("WhatsApp takes 1 to 10 sections with 1 to 10 rows in all; these have {rows} rows."),
        ));
    }
    let mut ids = HashSet::new();
    let mut written = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        written.push(self::section(section, index, sections.len() > 1, &mut ids)?);
    }
    Ok(json!({ "button": label, "sections": written }))
}

fn section<'a>(
    section: &'a Section,
    index: usize,
    needs_title: bool,
    ids: &mut HashSet<&'a str>,
) -> Refused<Value> {
    let within_section = |field: &str| format!("interactive.sections.{index}.{field}");
    let title = section.title.as_deref().unwrap_or_default();
    if needs_title || !title.is_empty() {
        filled(title, 24, &within_section("title"), "section's title")?;
    }
    if section.rows.is_empty() {
        return Err(Unsendable::new(within_section("rows"), "The section has no rows."));
    }
    let mut rows = Vec::new();
    for (row_index, row) in section.rows.iter().enumerate() {
        let at = |field: &str| format!("interactive.sections.{index}.rows.{row_index}.{field}");
        filled(&row.id, 200, &at("id"), "row's id")?;
        filled(&row.title, 24, &at("title"), "row's title")?;
        if !ids.insert(&row.id) {
            return Err(Unsendable::new(at("id"), "Another row has this id."));
        }
        let mut object = json!({ "id": row.id, "title": row.title });
        if let Some(description) = row.description.as_deref().filter(|text| !text.is_empty()) {
            super::within(description, 72, &at("description"), "row's description")?;
            object["description"] = description.into();
        }
        rows.push(object);
    }
    let mut object = json!({ "rows": rows });
    if !title.is_empty() {
        object["title"] = title.into();
    }
    Ok(object)
}

fn cta_url(asked: &Interactive) -> Refused<Value> {
    let label = asked.button.as_deref().unwrap_or_default();
    filled(label, BUTTON_LIMIT, "interactive.button", "button's title")?;
    let url = asked.url.as_deref().unwrap_or_default();
    let is_web = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_web {
        return Err(Unsendable::new(
            "interactive.url",
            "The button's url must be a valid http or https URL.",
        ));
    }
    Ok(json!({ "name": "cta_url", "parameters": { "display_text": label, "url": url } }))
}

/// A form to open.
pub(super) fn flow(message: &OutboundMessage) -> Refused<Value> {
    people_only(message)?;
    let flow: Flow = whole(message)?;
    let given = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let (key, name) = match (given(&flow.id), given(&flow.name)) {
        (Some(id), None) => ("flow_id", id),
        (None, Some(name)) => ("flow_name", name),
        _ => return Err(Unsendable::new("flow.id", "The form is given by its id or by its name.")),
    };
    let label = flow.button.as_deref().unwrap_or_default();
    filled(label, BUTTON_LIMIT, "flow.button", "button's title")?;
    let mode = given(&flow.mode).unwrap_or_else(|| "published".to_owned());
    if !matches!(mode.as_str(), "published" | "draft") {
        return Err(Unsendable::new("flow.mode", "The mode must be published or draft."));
    }
    let token = given(&flow.token).unwrap_or_else(|| message.callback_data.clone());
    let mut parameters = json!({
        "flow_message_version": "3", key: name, "flow_cta": label, "mode": mode, "flow_token": token,
    });
    match (given(&flow.screen), flow.data) {
        (Some(screen), data) => {
            parameters["flow_action"] = "navigate".into();
            parameters["flow_action_payload"] = json!({ "screen": screen });
            if let Some(data) = data.filter(|data| !data.is_empty()) {
                parameters["flow_action_payload"]["data"] = Value::Object(data);
            }
        }
        (None, None) => parameters["flow_action"] = "data_exchange".into(),
        (None, Some(_)) => {
            return Err(Unsendable::new("flow.screen", "The data needs the screen that it fills."));
        }
    }
    let mut object = framed(message, BODY_LIMIT, flow.header.as_ref(), flow.footer.as_deref(), "flow")?;
    object.insert("type".to_owned(), "flow".into());
    object.insert("action".to_owned(), json!({ "name": "flow", "parameters": parameters }));
    Ok(Value::Object(object))
}

fn people_only(message: &OutboundMessage) -> Refused<()> {
    if matches!(message.recipient, Recipient::Group { .. }) {
        let reason = "WhatsApp takes no interactive messages in groups.";
        return Err(Unsendable::capability("type", reason));
    }
    Ok(())
}
