//! What a message says: its type's own object turned into kind, body, media and payload.

use kabar_domain::message::{Media, MessageKind};
use serde_json::Value;

use super::json::{
    Object, deeper_than, into_object, name_of, sha256_hex, strip_nul, take_object, take_text, text,
};

/// How deep a form's answer may be. Deeper ones stay text, or what is stored could not be read back.
const RESPONSE_DEPTH: usize = 64;

#[derive(Debug)]
pub(super) struct Content {
    pub kind: MessageKind,
    pub body: Option<String>,
    pub media: Option<Media>,
    pub payload: Object,
    pub reply_to: Option<String>,
}

impl Content {
    const fn new(kind: MessageKind, body: Option<String>, payload: Object) -> Self {
        Self { kind, body, media: None, payload, reply_to: None }
    }
}

/// Takes the content out of `message`, a provider's message object or the inner one of an edit.
pub(super) fn take(message: &mut Object) -> Result<Content, String> {
    let context = Context::read(message);
    let mut content = own(message)?;
    if content.kind == MessageKind::Unknown {
        content.payload = std::mem::take(message);
        if let Some(reason) = reason(&content.payload) {
            content.body = Some(reason.clone());
            content.payload.insert("error".to_owned(), Value::String(reason));
        }
    }
    content.reply_to = content.reply_to.or(context.reply_to);
    if context.forwarded || context.frequently_forwarded {
        content.payload.insert("forwarded".to_owned(), Value::Bool(true));
    }
    if context.frequently_forwarded {
        content.payload.insert("frequently_forwarded".to_owned(), Value::Bool(true));
    }
    if let Some(product) = context.referred_product {
        content.payload.insert("referred_product".to_owned(), product);
    }
    for key in ["referral", "identity"] {
        if let Some(value) = message.get_mut(key).filter(|value| !value.is_null()) {
            content.payload.insert(key.to_owned(), value.take());
        }
    }
    Ok(content)
}

fn own(message: &mut Object) -> Result<Content, String> {
    let kind = match text(message, "type") {
        None => return Err("there is no `type`".to_owned()),
        Some("text") => MessageKind::Text,
        Some("image") => MessageKind::Image,
        Some("video") => MessageKind::Video,
        Some("audio") => MessageKind::Audio,
        Some("voice") => MessageKind::Voice,
        Some("document") => MessageKind::Document,
        Some("sticker") => MessageKind::Sticker,
        Some("location") => MessageKind::Location,
        Some("contacts") => MessageKind::Contacts,
        Some("button") => MessageKind::Button,
        Some("interactive") => MessageKind::Interactive,
        Some("reaction") => MessageKind::Reaction,
        Some("order") => MessageKind::Order,
        Some("system") => MessageKind::System,
        Some("request_welcome") => {
            let payload = Object::from_iter([("event".to_owned(), Value::from("request_welcome"))]);
            return Ok(Content::new(MessageKind::System, None, payload));
        }
        Some(_) => return Ok(Content::new(MessageKind::Unknown, None, Object::new())),
    };
    let name = if kind == MessageKind::Contacts { "contacts" } else { kind.as_str() };
    let value = match message.get_mut(name).map(Value::take) {
        Some(value) if !value.is_null() => value,
        // Meta could not read the message or fetch its file, and says so in `errors` here or beside the list.
        _ if kind == MessageKind::Interactive || message.contains_key("errors") => {
            return Ok(Content::new(MessageKind::Unknown, None, Object::new()));
        }
        _ => return Err(format!("the type is `{name}`, but there is no `{name}`")),
    };
    if kind == MessageKind::Contacts {
        return contacts(value);
    }
    let object = into_object(value, &format!("`{name}`"))?;
    match kind {
        MessageKind::Text => written(object),
        MessageKind::Location => location(object),
        MessageKind::Button => button(object),
        MessageKind::Interactive => Ok(interactive(object, message)),
        MessageKind::Reaction => reaction(object),
        MessageKind::Order => Ok(order(object)),
        MessageKind::System => Ok(system(object)),
        _ => media(kind, object),
    }
}

fn written(mut object: Object) -> Result<Content, String> {
    match object.get_mut("body") {
        Some(Value::String(body)) => {
            Ok(Content::new(MessageKind::Text, Some(std::mem::take(body)), Object::new()))
        }
        other => Err(format!("`text.body` is {}", other.map_or("missing", |value| name_of(value)))),
    }
}

fn media(kind: MessageKind, mut object: Object) -> Result<Content, String> {
    let voice = object.remove("voice").is_some_and(|voice| voice == Value::Bool(true));
    let kind = if kind == MessageKind::Audio && voice { MessageKind::Voice } else { kind };
    let media = Media {
        id: take_text(&mut object, "id"),
        url: take_text(&mut object, "url").or_else(|| take_text(&mut object, "link")),
        mime_type: take_text(&mut object, "mime_type"),
        filename: take_text(&mut object, "filename"),
        sha256: take_text(&mut object, "sha256").and_then(sha256_hex),
        size: object.get("file_size").and_then(Value::as_u64),
        ..Media::default()
    };
    if media.id.is_none() && media.url.is_none() {
        return Err(format!("`{kind}` has neither an `id` nor a `url`"));
    }
    let body = take_text(&mut object, "caption");
    for key in ["id", "url", "link", "mime_type", "filename", "sha256", "file_size", "caption"] {
        object.remove(key);
    }
    Ok(Content { media: Some(media), ..Content::new(kind, body, object) })
}

fn location(object: Object) -> Result<Content, String> {
    for key in ["latitude", "longitude"] {
        if !object.get(key).is_some_and(Value::is_number) {
            return Err(format!("`location.{key}` is not a number"));
        }
    }
    let body = text(&object, "name").or_else(|| text(&object, "address")).map(str::to_owned);
    Ok(Content::new(MessageKind::Location, body, object))
}

fn contacts(value: Value) -> Result<Content, String> {
    let Value::Array(cards) = &value else {
        return Err(format!("`contacts` is {}, not a list", name_of(&value)));
    };
    let names: Vec<&str> =
        cards.iter().filter_map(|card| card.get("name")?.get("formatted_name")?.as_str()).collect();
    let body = (!names.is_empty()).then(|| names.join(", "));
    let payload = Object::from_iter([("contacts".to_owned(), value)]);
    Ok(Content::new(MessageKind::Contacts, body, payload))
}

fn button(mut object: Object) -> Result<Content, String> {
    let body = take_text(&mut object, "text");
    object.remove("text");
    if body.is_none() && text(&object, "payload").is_none() {
        return Err("`button` has neither a `text` nor a `payload`".to_owned());
    }
    Ok(Content::new(MessageKind::Button, body, object))
}

/// The answer's own fields with its `type` beside them.
fn interactive(mut object: Object, message: &mut Object) -> Content {
    const ANSWERS: [&str; 5] =
        ["button_reply", "list_reply", "nfm_reply", "call_permission_reply", "payment_method"];
    let named = take_text(&mut object, "type");
    let name = named
        .or_else(|| ANSWERS.iter().find(|name| object.contains_key(**name)).map(|name| (*name).to_owned()))
        .unwrap_or_default();
    let Some(mut answer) = take_object(&mut object, &name) else {
        // A type with fields of an unknown arrangement: kept whole.
        object.insert("type".to_owned(), Value::String(name));
        return Content::new(MessageKind::Interactive, None, object);
    };
    let (kind, body) = match name.as_str() {
        "nfm_reply" => (MessageKind::Flow, form(&mut answer)),
        _ => (MessageKind::Interactive, text(&answer, "title").map(str::to_owned)),
    };
    if let Some(id) = message.get_mut("from_logical_id") {
        answer.insert("from_logical_id".to_owned(), id.take());
    }
    answer.insert("type".to_owned(), Value::String(name));
    Content::new(kind, body, answer)
}

/// Replaces `response_json`, JSON in a string, by what it says; one that says nothing stays as it came.
fn form(answer: &mut Object) -> Option<String> {
    let response = text(answer, "response_json").and_then(|json| serde_json::from_str::<Value>(json).ok());
    if let Some(mut response) = response.filter(|response| !deeper_than(response, RESPONSE_DEPTH)) {
        strip_nul(&mut response);
        answer.remove("response_json");
        answer.insert("response".to_owned(), response);
    }
    let body = take_text(answer, "body");
    answer.remove("body");
    body
}

fn reaction(mut object: Object) -> Result<Content, String> {
    let Some(target) = take_text(&mut object, "message_id") else {
        return Err("`reaction` has no `message_id`".to_owned());
    };
    let body = take_text(&mut object, "emoji");
    let mut payload = Object::new();
    if body.is_none() {
        payload.insert("removed".to_owned(), Value::Bool(true));
    }
    Ok(Content { reply_to: Some(target), ..Content::new(MessageKind::Reaction, body, payload) })
}

fn order(mut object: Object) -> Content {
    let body = take_text(&mut object, "text");
    object.remove("text");
    Content::new(MessageKind::Order, body, object)
}

fn system(mut object: Object) -> Content {
    let body = take_text(&mut object, "body");
    object.remove("body");
    if let Some(event) = object.remove("type") {
        object.insert("event".to_owned(), event);
    }
    Content::new(MessageKind::System, body, object)
}

/// Why a message cannot be shown, as the provider puts it.
fn reason(message: &Object) -> Option<String> {
    let error = message.get("errors")?.as_array()?.first()?;
    let say =
        |value: Option<&Value>| value.and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
    say(error.get("title")).or_else(|| say(error.get("message")))
}

#[derive(Default)]
struct Context {
    reply_to: Option<String>,
    forwarded: bool,
    frequently_forwarded: bool,
    referred_product: Option<Value>,
}

impl Context {
    /// Copies, for an unknown message keeps its `context` as it came.
    fn read(message: &Object) -> Self {
        let Some(Value::Object(context)) = message.get("context") else {
            return Self::default();
        };
        let flag = |key| context.get(key) == Some(&Value::Bool(true));
        Self {
            reply_to: text(context, "id").map(str::to_owned),
            forwarded: flag("forwarded"),
            frequently_forwarded: flag("frequently_forwarded"),
            referred_product: context.get("referred_product").filter(|product| product.is_object()).cloned(),
        }
    }
}

/// The inner message of an edit, `edit.message`.
pub(super) fn edited(message: &mut Object) -> Result<(String, Content), String> {
    let mut edit = take_object(message, "edit").ok_or("the type is `edit`, but there is no `edit`")?;
    let target = take_text(&mut edit, "original_message_id").ok_or("`edit` has no `original_message_id`")?;
    let mut inner = take_object(&mut edit, "message").ok_or("`edit` has no `message`")?;
    Ok((target, take(&mut inner)?))
}

pub(super) fn revoked(message: &mut Object) -> Result<String, String> {
    let mut revoke =
        take_object(message, "revoke").ok_or("the type is `revoke`, but there is no `revoke`")?;
    take_text(&mut revoke, "original_message_id")
        .ok_or_else(|| "`revoke` has no `original_message_id`".to_owned())
}
