//! Message templates: the store, its checks, and what a send must bring along.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::paging::page;
use super::validate::{invalid, required, string};
use super::{Answer, Call, Caller, GraphError, media, pick, success, uploads};
use crate::config::Number;
use crate::params::Params;
use crate::state::Inner;

/// How many templates a verified business may have.
const TEMPLATE_LIMIT: usize = 6000;

/// Templates by account. Every account begins with `hello_world`, as Meta's do.
#[derive(Default)]
pub(super) struct Templates(HashMap<String, Vec<Value>>);

impl Templates {
    fn of(&mut self, waba_id: &str) -> &mut Vec<Value> {
        self.0.entry(waba_id.to_owned()).or_insert_with(|| {
            vec![json!({
                "id": format!("9{waba_id}"),
                "name": "hello_world",
                "language": "en_US",
                "category": "UTILITY",
                "status": "APPROVED",
                "parameter_format": "POSITIONAL",
                "components": [
                    {"type": "HEADER", "format": "TEXT", "text": "Hello World"},
                    {"type": "BODY", "text": "Welcome and congratulations!! This message demonstrates your ability \
                        to send a message notification from WhatsApp Business Platform's Cloud API."},
                    {"type": "FOOTER", "text": "WhatsApp Business API Team"},
                ],
            })]
        })
    }

    pub(super) fn set_status(
        &mut self,
        waba_id: &str,
        name: &str,
        language: &str,
        status: &str,
    ) -> Option<(String, String)> {
        let found = self
            .of(waba_id)
            .iter_mut()
            .find(|template| template["name"] == name && template["language"] == language)?;
        found["status"] = json!(status);
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        Some((text("id"), text("category")))
    }
}

fn component<'a>(template: &'a Value, kind: &str) -> Option<&'a Value> {
    template["components"]
        .as_array()?
        .iter()
        .find(|part| part["type"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(kind)))
}

/// The distinct `{{…}}` of a text, in order of appearance.
fn variables(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once("{{") {
        let Some((name, after)) = tail.split_once("}}") else { break };
        if !found.contains(&name.trim()) {
            found.push(name.trim());
        }
        rest = after;
    }
    found
}

/// The body with its parameters filled in.
pub(super) fn render(template: &Value, sent: &Value) -> String {
    let mut text =
        component(template, "BODY").and_then(|body| body["text"].as_str()).unwrap_or_default().to_owned();
    for (index, parameter) in parameters(sent, "body").iter().enumerate() {
        let name =
            parameter["parameter_name"].as_str().map_or_else(|| (index + 1).to_string(), str::to_owned);
        let value = parameter["text"].as_str().or_else(|| parameter["fallback_value"].as_str());
        text = text.replace(&format!("{{{{{name}}}}}"), value.unwrap_or_default());
    }
    text
}

fn parameters<'a>(sent: &'a Value, kind: &str) -> &'a [Value] {
    component(sent, kind).and_then(|part| part["parameters"].as_array()).map_or(&[], Vec::as_slice)
}

/// Checks the `template` object of a send against the store. `None`: unknown, but unknown ones may be sent.
pub(super) fn check(
    inner: &Arc<Inner>,
    number: &Number,
    object: &Value,
) -> Result<Option<Value>, GraphError> {
    let name = string(object, "name", "template['name']")?;
    let language = object.get("language").ok_or_else(|| required("template['language']"))?;
    let code = string(language, "code", "template['language']['code']")?;
    let found = inner
        .graph()
        .templates
        .of(&number.waba_id)
        .iter()
        .find(|template| template["name"] == name && template["language"] == code)
        .cloned();
    let Some(template) = found else {
        if inner.config().unknown_templates {
            return Ok(None);
        }
        return Err(GraphError::with(132_001, format!("template name ({name}) does not exist in {code}")));
    };
    match template["status"].as_str() {
        Some("APPROVED") => {}
        Some("PAUSED") => return Err(GraphError::of(132_015, None)),
        Some("DISABLED") => return Err(GraphError::of(132_016, None)),
        _ => {
            return Err(GraphError::with(
                132_001,
                format!("template name ({name}) is not approved in {code}"),
            ));
        }
    }
    let is_named = template["parameter_format"] == "NAMED";
    check_header(&template, object)?;
    for kind in ["header", "body"] {
        let text = component(&template, kind).and_then(|part| part["text"].as_str()).unwrap_or_default();
        let expected = variables(text);
        let given = parameters(object, kind);
        if kind == "header" && text.is_empty() {
            continue;
        }
        if expected.len() != given.len() {
            return Err(GraphError::with(
                132_000,
                format!(
                    "{kind}: number of localizable_params ({}) does not match the expected number of params ({})",
                    given.len(),
                    expected.len()
                ),
            ));
        }
        for parameter in given {
            if parameter["type"] == "text" {
                let text = parameter["text"].as_str().unwrap_or_default();
                if text.is_empty() {
                    return Err(GraphError::with(
                        100,
                        "Parameter 'text' is mandatory for component parameter type 'text'",
                    ));
                }
                if text.contains(['\n', '\t']) || text.contains("     ") {
                    return Err(GraphError::with(
                        132_018,
                        format!(
                            "{kind}: Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
                        ),
                    ));
                }
            }
            let named = parameter["parameter_name"].as_str();
            if is_named && !named.is_some_and(|name| expected.contains(&name)) {
                return Err(GraphError::with(100, format!("{kind}: Parameter name is missing or empty")));
            }
        }
    }
    check_buttons(&template, object)?;
    check_cards(inner, number, &template, object)?;
    Ok(Some(template))
}

/// Every card of a carousel comes with the file of its header.
fn check_cards(inner: &Inner, number: &Number, template: &Value, sent: &Value) -> Result<(), GraphError> {
    let cards = |object| component(object, "CAROUSEL").and_then(|part| part["cards"].as_array());
    let (made, given) = (cards(template), cards(sent));
    let count = |list: Option<&Vec<Value>>| list.map_or(0, Vec::len);
    if count(made) != count(given) {
        let details = format!("carousel: {} cards were sent, not {}", count(given), count(made));
        return Err(GraphError::with(132_000, details));
    }
    for (made, given) in made.into_iter().flatten().zip(given.into_iter().flatten()) {
        check_header(made, given)?;
        let Some(parameter) = parameters(given, "header").first() else { continue };
        let kind = parameter["type"].as_str().unwrap_or_default();
        match (parameter[kind]["id"].as_str(), parameter[kind]["link"].as_str()) {
            (Some(id), None) => media::usable(inner, number, kind, id)?,
            (None, Some(_)) => {}
            _ => return Err(GraphError::with(100, format!("carousel: {kind} needs one of id and link"))),
        }
    }
    Ok(())
}

fn check_header(template: &Value, sent: &Value) -> Result<(), GraphError> {
    let Some(format) = component(template, "HEADER").and_then(|part| part["format"].as_str()) else {
        return Ok(());
    };
    if format.eq_ignore_ascii_case("TEXT") {
        return Ok(());
    }
    let received = parameters(sent, "header").first().and_then(|parameter| parameter["type"].as_str());
    if received.is_some_and(|received| received.eq_ignore_ascii_case(format)) {
        return Ok(());
    }
    Err(GraphError::with(
        132_012,
        format!(
            "header: Format mismatch, expected {}, received {}",
            format.to_ascii_uppercase(),
            received.unwrap_or("UNKNOWN").to_ascii_uppercase()
        ),
    ))
}

/// A URL button with a variable, and a copy-code button, need their parameter.
fn check_buttons(template: &Value, sent: &Value) -> Result<(), GraphError> {
    let Some(buttons) = component(template, "BUTTONS").and_then(|part| part["buttons"].as_array()) else {
        return Ok(());
    };
    for (index, button) in buttons.iter().enumerate() {
        let kind = button["type"].as_str().unwrap_or_default();
        let needs = match kind {
            "URL" => button["url"].as_str().is_some_and(|url| url.contains("{{")),
            "COPY_CODE" => true,
            _ => false,
        };
        let given = sent["components"].as_array().is_some_and(|parts| {
            parts.iter().any(|part| {
                let at = part["index"].as_u64().or_else(|| part["index"].as_str()?.parse().ok());
                part["type"].as_str().is_some_and(|own| own.eq_ignore_ascii_case("button"))
                    && at == Some(index as u64)
                    && part["parameters"].as_array().is_some_and(|list| !list.is_empty())
            })
        });
        if needs && !given {
            let details = format!("buttons: Button at index {index} of type {kind} requires a parameter");
            return Err(GraphError::with(131_008, details));
        }
    }
    Ok(())
}

/// The list's filters: `name` is a part of it, the others are comma-separated lists.
fn is_wanted(template: &Value, params: &Params) -> bool {
    let own = |key: &str| template[key].as_str().unwrap_or_default();
    params.text("name").is_none_or(|part| own("name").contains(&part))
        && ["status", "language", "category"].iter().all(|key| {
            params.text(key).is_none_or(|values| {
                values.split(',').any(|value| own(key).eq_ignore_ascii_case(value.trim()))
            })
        })
}

pub(super) fn list(inner: &Inner, waba_id: &str, params: &Params, caller: &Caller) -> Value {
    let all = inner.graph().templates.of(waba_id).clone();
    let count = all.len();
    let items: Vec<Value> = all
        .into_iter()
        .filter(|template| is_wanted(template, params))
        .map(|template| pick(template, params.text("fields")))
        .collect();
    let total = items.len();
    let url = format!("{}/v25.0/{waba_id}/message_templates", media::base(inner, caller.host.as_deref()));
    let mut answer = page(items, params, &url);
    if params.has("summary") {
        answer["summary"] = json!({
            "total_count": total,
            "message_template_count": count,
            "message_template_limit": TEMPLATE_LIMIT,
            "are_translations_complete": true,
        });
    }
    answer
}

pub(super) fn create(inner: &Inner, waba_id: &str, params: &Params) -> Answer {
    let name = params.text("name").ok_or_else(|| GraphError::missing("name"))?;
    let language = params.text("language").ok_or_else(|| GraphError::missing("language"))?;
    let category =
        params.text("category").ok_or_else(|| GraphError::missing("category"))?.to_ascii_uppercase();
    let components = params.json("components").ok_or_else(|| GraphError::missing("components"))?;
    let components =
        components.map_err(|()| GraphError::text(100, "(#100) Param components must be an array."))?;
    if name.len() > 512 || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return Err(subcode(2_388_024, "Template names have lowercase letters, digits and underscores only"));
    }
    if !matches!(category.as_str(), "MARKETING" | "UTILITY" | "AUTHENTICATION") {
        return Err(GraphError::text(
            100,
            "(#100) Param category must be one of {AUTHENTICATION, MARKETING, UTILITY}.",
        ));
    }
    let template = json!({"components": components});
    check_components(&template, &category)?;
    let status = inner.config().new_template_status.clone();
    let id = inner.ids.object();
    let mut graph = inner.graph();
    uploads::check(&graph.uploads, &template["components"])?;
    let stored = graph.templates.of(waba_id);
    if stored.iter().any(|template| template["name"] == name && template["language"] == language) {
        return Err(subcode(2_388_024, "There is already content in this language for this template"));
    }
    stored.push(json!({
        "id": id,
        "name": name,
        "language": language,
        "category": category,
        "status": status,
        "parameter_format": params.text("parameter_format").unwrap_or_else(|| "POSITIONAL".to_owned()),
        "components": template["components"],
    }));
    Ok(json!({"id": id, "status": status, "category": category}))
}

fn subcode(subcode: i64, details: &str) -> GraphError {
    GraphError { subcode: Some(subcode), ..GraphError::with(100, details) }
}

fn check_components(template: &Value, category: &str) -> Result<(), GraphError> {
    if template["components"].as_array().is_none_or(Vec::is_empty) {
        return Err(GraphError::missing("components"));
    }
    let limits = BTreeMap::from([("HEADER", 60), ("BODY", 1024), ("FOOTER", 60)]);
    for (kind, limit) in limits {
        let Some(text) = component(template, kind).and_then(|part| part["text"].as_str()) else { continue };
        if text.chars().count() > limit {
            return Err(GraphError::with(
                100,
                format!("{kind} text must be at most {limit} characters long"),
            ));
        }
        let trimmed = text.trim();
        if kind == "BODY" && (trimmed.starts_with("{{") || trimmed.ends_with("}}")) {
            return Err(subcode(2_388_299, "Variables can't be at the start or end of the template."));
        }
    }
    let body = component(template, "BODY");
    if body.is_none() {
        return Err(GraphError::with(100, "A template needs a BODY component"));
    }
    if category != "AUTHENTICATION"
        && body.is_some_and(|body| body["text"].as_str().is_none_or(str::is_empty))
    {
        return Err(GraphError::with(100, "The BODY component needs a text"));
    }
    if let Some(buttons) = component(template, "BUTTONS").and_then(|part| part["buttons"].as_array()) {
        let too_long = |button: &Value| button["text"].as_str().is_some_and(|text| text.chars().count() > 25);
        if buttons.len() > 10 || buttons.iter().any(too_long) {
            return Err(invalid("At most 10 buttons with texts of at most 25 characters"));
        }
    }
    Ok(())
}

pub(super) fn delete(inner: &Inner, waba_id: &str, params: &Params) -> Answer {
    let name = params.text("name").ok_or_else(|| GraphError::missing("name"))?;
    let id = params.text("hsm_id");
    let mut graph = inner.graph();
    let stored = graph.templates.of(waba_id);
    let before = stored.len();
    stored.retain(|template| {
        template["name"] != name || id.as_ref().is_some_and(|id| template["id"] != id.as_str())
    });
    if stored.len() == before {
        return Err(subcode(2_593_002, "Message template not found"));
    }
    Ok(success())
}

/// `GET` and `POST /{template_id}`. `None` when the id is no template.
pub(super) fn object(inner: &Inner, caller: &Caller, call: &Call, params: &Params) -> Option<Answer> {
    let mut graph = inner.graph();
    let super::GraphState { templates, uploads, .. } = &mut *graph;
    let template = templates
        .0
        .iter_mut()
        .filter(|(waba_id, _)| caller.waba(waba_id))
        .flat_map(|(_, stored)| stored)
        .find(|template| template["id"] == call.id.as_str())?;
    Some(match (call.http_method.as_str(), call.edge.as_str()) {
        ("GET", "") => Ok(pick(template.clone(), params.text("fields"))),
        ("POST", "") if !matches!(template["status"].as_str(), Some("APPROVED" | "REJECTED" | "PAUSED")) => {
            Err(GraphError::with(100, "Only approved, rejected and paused templates can be edited"))
        }
        ("POST", "") if template["status"] == "APPROVED" && params.has("category") => {
            Err(GraphError::with(100, "The category of an approved template cannot be changed"))
        }
        ("POST", "") => {
            let mut changed = template.clone();
            if let Some(Ok(components)) = params.json("components") {
                changed["components"] = components;
            }
            if let Some(category) = params.text("category") {
                changed["category"] = json!(category);
            }
            let category = changed["category"].as_str().unwrap_or_default().to_owned();
            check_components(&changed, &category)
                .and_then(|()| super::uploads::check(uploads, &changed["components"]))
                .map(|()| {
                    *template = changed;
                    success()
                })
        }
        ("POST", "unpause") => {
            template["status"] = json!("APPROVED");
            Ok(success())
        }
        _ => Err(call.unknown()),
    })
}
