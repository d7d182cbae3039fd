//! What a message holds, checked for form. Limits are the provider's and are checked once it is known.

use kabar_domain::content::{Header, HeaderKind};
use kabar_domain::message::{Media, MessageKind};
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::{FileSource, SendMessage};
use crate::error::{Invalid, Result};

/// A message's content.
pub(crate) struct Draft {
    pub kind: MessageKind,
    /// What a person reads.
    pub body: Option<String>,
    pub media: Option<Media>,
    /// Where the file is to be fetched from before the message is queued.
    pub fetch: Option<Url>,
    /// The kind's own fields.
    pub payload: Map<String, Value>,
}

impl Draft {
    /// JSON array of the file.
    pub fn media_column(&self) -> Option<String> {
        self.media.as_ref().map(|media| json!([media]).to_string())
    }

    /// JSON object of the kind's own fields.
    pub fn payload_column(&self) -> Option<String> {
        (!self.payload.is_empty()).then(|| json!(self.payload).to_string())
    }
}

const SENDABLE: &[MessageKind] = &[
    MessageKind::Text,
    MessageKind::Image,
    MessageKind::Document,
    MessageKind::Audio,
    MessageKind::Video,
    MessageKind::Voice,
    MessageKind::Sticker,
    MessageKind::Location,
    MessageKind::Contacts,
    MessageKind::Reaction,
    MessageKind::Interactive,
    MessageKind::Flow,
    MessageKind::Template,
];

pub(super) fn required_without_conversation(field: &str) -> String {
    format!("The {} field is required when conversation id is not present.", field.replace('_', " "))
}

fn is_filled(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

/// Takes the content out of the request. All that is wrong is named at once.
pub(super) fn draft(request: &mut SendMessage) -> Result<Draft> {
    let mut invalid = Invalid::default();
    let kind = match request.kind.as_deref() {
        None | Some("") => Some(MessageKind::Text),
        Some(name) => MessageKind::from_name(name).filter(|kind| SENDABLE.contains(kind)),
    };
    addressed(request, kind, &mut invalid);
    if kind.is_none() {
        invalid.add("type", "The selected type is invalid.");
    }
    let kind = kind.unwrap_or(MessageKind::Text);
    let mut draft = Draft {
        kind,
        body: request.body.take().filter(|body| !body.trim().is_empty()),
        media: None,
        fetch: None,
        payload: Map::new(),
    };
    match kind {
        MessageKind::Text => {
            require_body(&draft, &mut invalid);
            unwanted_file(&request.file, &mut invalid);
            if let Some(preview) = request.preview_url {
                draft.payload.insert("preview_url".to_owned(), preview.into());
            }
        }
        MessageKind::Location => match request.location.take() {
            Some(place) => {
                let name = place.name.clone().or_else(|| place.address.clone());
                draft.body = name.filter(|name| !name.trim().is_empty());
                draft.payload = object(&place);
            }
            None => invalid.require("location", false),
        },
        MessageKind::Contacts => {
            let cards = std::mem::take(&mut request.contacts);
            invalid.require("contacts", !cards.is_empty());
            let names: Vec<&str> = cards.iter().map(|card| card.name.formatted_name.as_str()).collect();
            draft.body = Some(names.join(", "));
            draft.payload.insert("contacts".to_owned(), serde_json::json!(cards));
        }
        MessageKind::Reaction => {
            invalid.require("message_id", is_filled(request.reply_to.as_deref()));
            invalid.require("emoji", request.emoji.is_some());
            draft.body = request.emoji.take().map(|emoji| emoji.trim().to_owned());
            draft.body = draft.body.filter(|emoji| !emoji.is_empty());
            if draft.body.is_none() {
                draft.payload.insert("removed".to_owned(), true.into());
            }
        }
        MessageKind::Interactive => match request.interactive.take() {
            Some(mut asked) => {
                draft.body = draft.body.or_else(|| asked.body.take());
                asked.body = None;
                draft.media = header_file(asked.header.as_ref(), "interactive", &mut invalid);
                draft.payload = object(&asked);
                require_body(&draft, &mut invalid);
            }
            None => invalid.require("interactive", false),
        },
        MessageKind::Flow => match request.flow.take() {
            Some(flow) => {
                draft.media = header_file(flow.header.as_ref(), "flow", &mut invalid);
                draft.payload = object(&flow);
                require_body(&draft, &mut invalid);
            }
            None => invalid.require("flow", false),
        },
        MessageKind::Template => invalid.require("template", request.template.is_some()),
        _ => {
            draft.media = file(&request.file, kind, "", &mut invalid);
            if request.file.fetch {
                let url = draft.media.as_mut().and_then(|media| media.url.take());
                draft.fetch = url.and_then(|url| Url::parse(&url).ok());
            }
        }
    }
    if draft.body.is_some() && request.format != kabar_domain::content::TextFormat::Plain {
        draft.payload.insert("format".to_owned(), serde_json::json!(request.format));
    }
    invalid.check()?;
    Ok(draft)
}

/// A reaction goes where the message is that it is put on.
fn addressed(request: &SendMessage, kind: Option<MessageKind>, invalid: &mut Invalid) {
    let by_message = kind == Some(MessageKind::Reaction) && is_filled(request.reply_to.as_deref());
    let channel = is_filled(request.channel_id.as_deref());
    if is_filled(request.conversation_id.as_deref()) || channel || by_message {
        return;
    }
    invalid.add("channel_id", required_without_conversation("channel_id"));
    if !is_filled(request.wa_id.as_deref()) {
        invalid.add("wa_id", required_without_conversation("wa_id"));
    }
}

fn require_body(draft: &Draft, invalid: &mut Invalid) {
    invalid.require("body", draft.body.is_some());
}

fn object(content: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(content) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn unwanted_file(source: &FileSource, invalid: &mut Invalid) {
    match source.url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) if is_https(url) => {
            invalid.add("type", "The type field must be image, document, audio or video with a media url.");
        }
        Some(_) => invalid.add("media_url", "The media url field must be a valid https URL."),
        None if source.media_id.is_some() || source.provider_id.is_some() => {
            invalid.add("type", "The type field must be that of a file with a media id.");
        }
        None => {}
    }
}

fn header_file(header: Option<&Header>, under: &str, invalid: &mut Invalid) -> Option<Media> {
    let header = header?;
    let kind = match header.kind {
        HeaderKind::Text => return None,
        HeaderKind::Image => MessageKind::Image,
        HeaderKind::Video => MessageKind::Video,
        HeaderKind::Document => MessageKind::Document,
    };
    let source = FileSource {
        url: header.media_url.clone(),
        media_id: header.media_id.clone(),
        provider_id: header.provider_media_id.clone(),
        filename: header.filename.clone(),
        fetch: false,
    };
    file(&source, kind, &format!("{under}.header."), invalid)
}

/// The file of a message; fields are named below `under`.
fn file(source: &FileSource, kind: MessageKind, under: &str, invalid: &mut Invalid) -> Option<Media> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.trim().is_empty());
    let (url, file, id) = (given(&source.url), given(&source.media_id), given(&source.provider_id));
    let url_field = format!("{under}media_url");
    if [&url, &file, &id].into_iter().filter(|value| value.is_some()).count() > 1 {
        invalid.add(&url_field, "Give only one of media url, media id and provider media id.");
        return None;
    }
    let file_id = match file.map(|text| text.parse()) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => {
            invalid.add(&format!("{under}media_id"), "The selected media id is invalid.");
            return None;
        }
    };
    // What we fetch ourselves may lie unencrypted in a network that the operator allows.
    if url.as_deref().is_some_and(|url| !(is_https(url) || source.fetch && is_http(url))) {
        invalid.add(&url_field, "The media url field must be a valid https URL.");
        return None;
    }
    if url.is_none() && source.fetch {
        invalid.add(&url_field, "The media url field is required when fetch is true.");
        return None;
    }
    if url.is_none() && file_id.is_none() && id.is_none() {
        invalid.add(&url_field, format!("The media url field is required when type is {kind}."));
        return None;
    }
    Some(Media { id, file_id, url, filename: source.filename.clone(), ..Media::default() })
}

fn is_https(text: &str) -> bool {
    has_scheme(text, "https")
}

fn is_http(text: &str) -> bool {
    has_scheme(text, "http")
}

fn has_scheme(text: &str, scheme: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == scheme && url.host().is_some())
}
