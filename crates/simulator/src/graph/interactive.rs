//! The rules of interactive messages: buttons, lists, calls to action, flows and the rest.

use std::collections::HashSet;

use serde_json::Value;

use super::GraphError;
use super::validate::{invalid, required, string};

/// Checks an `interactive` object; `media` checks a header's file.
pub(super) fn check(
    object: &Value,
    media: impl Fn(&str, &Value) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    let kind = string(object, "type", "interactive['type']")?;
    let body_limit = match kind {
        "list" => 4096,
        "button"
        | "cta_url"
        | "flow"
        | "location_request_message"
        | "product"
        | "product_list"
        | "catalog_message"
        | "address_message"
        | "carousel"
        | "call_permission_request"
        | "voice_call"
        | "request_contact_info"
        | "order_details"
        | "order_status" => 1024,
        _ => {
            return Err(GraphError::text(
                100,
                "(#100) Param interactive['type'] must be one of {ADDRESS_MESSAGE, BUTTON, \
                 CALL_PERMISSION_REQUEST, CAROUSEL, CATALOG_MESSAGE, CTA_URL, FLOW, LIST, \
                 LOCATION_REQUEST_MESSAGE, ORDER_DETAILS, ORDER_STATUS, PRODUCT, PRODUCT_LIST, \
                 REQUEST_CONTACT_INFO, VOICE_CALL}.",
            ));
        }
    };
    if let Some(body) = object.get("body") {
        length(string(body, "text", "interactive['body']['text']")?, "Body text", body_limit)?;
    } else if kind != "product" && kind != "call_permission_request" {
        return Err(required("interactive['body']"));
    }
    if let Some(footer) = object.get("footer") {
        length(string(footer, "text", "interactive['footer']['text']")?, "Footer text", 60)?;
    }
    if let Some(header) = object.get("header") {
        check_header(kind, header, media)?;
    }
    let action = object.get("action").ok_or_else(|| required("interactive['action']"))?;
    match kind {
        "button" => buttons(action),
        "list" => list(action),
        "cta_url" => cta_url(action),
        "flow" => flow(action),
        "location_request_message" => named(action, "send_location"),
        "request_contact_info" => named(action, "request_contact_info"),
        "product" => string(action, "catalog_id", "action['catalog_id']")
            .and_then(|_| string(action, "product_retailer_id", "action['product_retailer_id']"))
            .map(drop),
        "product_list" => product_list(action),
        _ => Ok(()),
    }
}

fn length(text: &str, what: &str, max: usize) -> Result<(), GraphError> {
    if text.is_empty() || text.chars().count() > max {
        return Err(invalid(format!("{what} length invalid. Min length: 1, Max length: {max}")));
    }
    Ok(())
}

fn named(action: &Value, expected: &str) -> Result<(), GraphError> {
    if string(action, "name", "action['name']")? == expected {
        Ok(())
    } else {
        Err(invalid(format!("Action name must be {expected}")))
    }
}

fn check_header(
    kind: &str,
    header: &Value,
    media: impl Fn(&str, &Value) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    let header_type = string(header, "type", "interactive['header']['type']")?;
    match header_type {
        "text" => match header.get("text").and_then(Value::as_str) {
            Some(text) => length(text, "Header text", 60),
            None => Err(invalid("Text cannot be null for header type text")),
        },
        "image" | "video" | "document" if kind != "list" => {
            let path = format!("interactive['header']['{header_type}']");
            media(header_type, header.get(header_type).ok_or_else(|| required(&path))?)
        }
        _ => Err(invalid(format!("Header type {header_type} is not supported for interactive type {kind}"))),
    }
}

fn buttons(action: &Value) -> Result<(), GraphError> {
    let buttons =
        action.get("buttons").and_then(Value::as_array).ok_or_else(|| required("action['buttons']"))?;
    if buttons.is_empty() || buttons.len() > 3 {
        return Err(invalid("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"));
    }
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for button in buttons {
        if button.get("type").and_then(Value::as_str) != Some("reply") {
            return Err(invalid("Button type must be reply"));
        }
        let reply = button.get("reply").ok_or_else(|| required("action['buttons']['reply']"))?;
        let id = string(reply, "id", "action['buttons']['reply']['id']")?;
        let title = string(reply, "title", "action['buttons']['reply']['title']")?;
        length(id, "Button id", 256)?;
        length(title, "Button title", 20)?;
        if !ids.insert(id) || !titles.insert(title) {
            return Err(invalid("Button ids and titles must be unique"));
        }
    }
    Ok(())
}

fn list(action: &Value) -> Result<(), GraphError> {
    length(string(action, "button", "action['button']")?, "Button label", 20)?;
    let sections =
        action.get("sections").and_then(Value::as_array).ok_or_else(|| required("action['sections']"))?;
    if sections.is_empty() || sections.len() > 10 {
        return Err(invalid("Invalid sections count. Min allowed sections: 1, Max allowed sections: 10"));
    }
    let mut ids = HashSet::new();
    for section in sections {
        let title = section.get("title").and_then(Value::as_str).filter(|title| !title.is_empty());
        match title {
            Some(title) => length(title, "Section title", 24)?,
            None if sections.len() > 1 => return Err(required("action['sections']['title']")),
            None => {}
        }
        let rows = section.get("rows").and_then(Value::as_array).filter(|rows| !rows.is_empty());
        for row in rows.ok_or_else(|| required("action['sections']['rows']"))? {
            let id = string(row, "id", "action['sections']['rows']['id']")?;
            length(id, "Row id", 200)?;
            length(string(row, "title", "action['sections']['rows']['title']")?, "Row title", 24)?;
            if let Some(description) = row.get("description").and_then(Value::as_str)
                && description.chars().count() > 72
            {
                return Err(invalid("Row description is too long. Max length: 72"));
            }
            if !ids.insert(id) {
                return Err(invalid("Row ids must be unique"));
            }
        }
    }
    if ids.len() > 10 {
        return Err(invalid("Total row count exceed max allowed count: 10"));
    }
    Ok(())
}

fn cta_url(action: &Value) -> Result<(), GraphError> {
    named(action, "cta_url")?;
    let parameters = action.get("parameters").ok_or_else(|| required("action['parameters']"))?;
    let text = string(parameters, "display_text", "action['parameters']['display_text']")?;
    length(text, "Display text", 20)?;
    let url = string(parameters, "url", "action['parameters']['url']")?;
    match url::Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        _ => Err(invalid("Parameter 'url' is not a valid URL")),
    }
}

fn flow(action: &Value) -> Result<(), GraphError> {
    named(action, "flow")?;
    let parameters = action.get("parameters").ok_or_else(|| required("action['parameters']"))?;
    string(parameters, "flow_message_version", "action['parameters']['flow_message_version']")?;
    length(string(parameters, "flow_cta", "action['parameters']['flow_cta']")?, "Flow CTA", 20)?;
    if parameters.get("flow_id").is_none() && parameters.get("flow_name").is_none() {
        return Err(required("action['parameters']['flow_id']"));
    }
    Ok(())
}

fn product_list(action: &Value) -> Result<(), GraphError> {
    string(action, "catalog_id", "action['catalog_id']")?;
    let sections =
        action.get("sections").and_then(Value::as_array).ok_or_else(|| required("action['sections']"))?;
    let items: usize = sections
        .iter()
        .map(|section| section.get("product_items").and_then(Value::as_array).map_or(0, Vec::len))
        .sum();
    if sections.len() > 10 || items == 0 || items > 30 {
        return Err(invalid("A product list has 1 to 30 products in at most 10 sections"));
    }
    Ok(())
}
