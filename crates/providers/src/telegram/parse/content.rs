//! What a message holds.

use kabar_domain::message::{Media, MessageKind};
use serde_json::{Map, Value, json};

use super::read::{copy, full_name, int, is_true, text};

pub(super) struct Content {
    pub kind: MessageKind,
    pub body: Option<String>,
    pub media: Vec<Media>,
    /// The kind's own fields.
    pub payload: Map<String, Value>,
}

impl Content {
    pub fn new(kind: MessageKind, body: Option<String>) -> Self {
        Self { kind, body, media: Vec::new(), payload: Map::new() }
    }

    fn with(mut self, from: &Value, keys: &[&str]) -> Self {
        copy(from, keys, &mut self.payload);
        self
    }

    fn file(mut self, file: &Value, mime_type: Option<&str>) -> Self {
        self.media.push(media(file, mime_type));
        self
    }

    fn flag(mut self, key: &str) -> Self {
        self.payload.insert(key.to_owned(), json!(true));
        self
    }
}

/// What a person wrote or attached; `None` when it is nothing of a known kind. The order matters: an animation
/// is a document too, a venue a location, a live photo a photo.
pub(super) fn content(message: &Value) -> Option<Content> {
    let caption = || text(message, "caption").map(str::to_owned);
    let has = |key: &str| message.get(key).filter(|value| value.is_object());

    if let Some(text) = message.get("text").and_then(Value::as_str) {
        return Some(Content::new(MessageKind::Text, Some(text.to_owned()).filter(|text| !text.is_empty())));
    }
    if let Some(rich) = has("rich_message") {
        return Some(Content::new(MessageKind::Text, rich_text(rich)).with(message, &["rich_message"]));
    }
    if let Some(photo) = message.get("photo").or_else(|| has("live_photo")?.get("photo")).and_then(largest) {
        return Some(
            Content::new(MessageKind::Image, caption())
                .file(photo, Some("image/jpeg"))
                .with(photo, &["width", "height"])
                .with(message, &["live_photo"]),
        );
    }
    if let Some(live) = has("live_photo") {
        return Some(
            Content::new(MessageKind::Video, caption()).file(live, None).with(message, &["live_photo"]),
        );
    }
    if let Some(video) = has("video") {
        return Some(
            Content::new(MessageKind::Video, caption())
                .file(video, None)
                .with(video, &["width", "height", "duration"]),
        );
    }
    if let Some(animation) = has("animation") {
        return Some(
            Content::new(MessageKind::Video, caption())
                .file(animation, None)
                .with(animation, &["width", "height", "duration"])
                .flag("animation"),
        );
    }
    if let Some(audio) = has("audio") {
        return Some(
            Content::new(MessageKind::Audio, caption())
                .file(audio, None)
                .with(audio, &["duration", "performer", "title"]),
        );
    }
    if let Some(voice) = has("voice") {
        return Some(
            Content::new(MessageKind::Voice, caption())
                .file(voice, Some("audio/ogg"))
                .with(voice, &["duration"]),
        );
    }
    if let Some(note) = has("video_note") {
        return Some(
            Content::new(MessageKind::Video, caption())
                .file(note, Some("video/mp4"))
                .with(note, &["length", "duration"])
                .flag("video_note"),
        );
    }
    if let Some(document) = has("document") {
        return Some(Content::new(MessageKind::Document, caption()).file(document, None));
    }
    if let Some(sticker) = has("sticker") {
        let mime_type = if is_true(sticker, "is_video") {
            "video/webm"
        } else if is_true(sticker, "is_animated") {
            "application/x-tgsticker"
        } else {
            "image/webp"
        };
        return Some(
            Content::new(MessageKind::Sticker, text(sticker, "emoji").map(str::to_owned))
                .file(sticker, Some(mime_type))
                .with(sticker, &["emoji", "set_name", "type", "is_animated", "is_video", "width", "height"]),
        );
    }
    if let Some(contact) = has("contact") {
        return Some(shared_contact(message, contact));
    }
    if let Some(venue) = has("venue") {
        let mut found = Content::new(MessageKind::Location, text(venue, "title").map(str::to_owned));
        if let Some(name) = venue.get("title") {
            found.payload.insert("name".to_owned(), name.clone());
        }
        let location = venue.get("location").or_else(|| message.get("location")).unwrap_or(&Value::Null);
        return Some(found.with(location, LOCATION).with(
            venue,
            &["address", "foursquare_id", "foursquare_type", "google_place_id", "google_place_type"],
        ));
    }
    if let Some(location) = has("location") {
        return Some(Content::new(MessageKind::Location, None).with(location, LOCATION));
    }
    if let Some(poll) = message.get("poll").and_then(Value::as_object) {
        let question = poll.get("question").and_then(Value::as_str).map(str::to_owned);
        let mut found = Content::new(MessageKind::Poll, question.filter(|question| !question.is_empty()));
        found.payload.clone_from(poll);
        return Some(found);
    }
    if let Some(dice) = has("dice") {
        let shown =
            [text(dice, "emoji").map(str::to_owned), int(dice, "value").map(|value| value.to_string())];
        let shown = shown.into_iter().flatten().collect::<Vec<_>>().join(" ");
        return Some(
            Content::new(MessageKind::Text, Some(shown).filter(|shown| !shown.is_empty()))
                .with(message, &["dice"]),
        );
    }
    ["game", "checklist", "invoice", "story", "paid_media", "giveaway", "giveaway_winners"]
        .iter()
        .any(|key| has(key).is_some())
        .then(|| unknown(message))
}

const LOCATION: &[&str] =
    &["latitude", "longitude", "horizontal_accuracy", "live_period", "heading", "proximity_alert_radius"];

/// The message as it came, with what can be read of it.
pub(super) fn unknown(message: &Value) -> Content {
    let titled = ["game", "checklist", "invoice"]
        .iter()
        .find_map(|key| message.get(*key).and_then(|object| text(object, "title")));
    let body = text(message, "caption").or(titled).map(str::to_owned);
    let mut found = Content::new(MessageKind::Unknown, body);
    if let Some(fields) = message.as_object() {
        found.payload.clone_from(fields);
    }
    found
}

fn media(file: &Value, mime_type: Option<&str>) -> Media {
    let owned = |key: &str| text(file, key).map(str::to_owned);
    Media {
        id: owned("file_id"),
        unique_id: owned("file_unique_id"),
        mime_type: owned("mime_type").or_else(|| mime_type.map(str::to_owned)),
        filename: owned("file_name"),
        size: file.get("file_size").and_then(Value::as_u64),
        ..Media::default()
    }
}

/// Of a photo's sizes the one with the most pixels.
fn largest(sizes: &Value) -> Option<&Value> {
    let pixels =
        |size: &&Value| int(size, "width").unwrap_or(0).saturating_mul(int(size, "height").unwrap_or(0));
    sizes.as_array()?.iter().filter(|size| size.is_object()).max_by_key(pixels)
}

/// One vocabulary with WhatsApp's address cards: `contacts[].name.formatted_name`, `contacts[].phones[].phone`.
fn shared_contact(message: &Value, contact: &Value) -> Content {
    let phone = text(contact, "phone_number");
    let shown = full_name(contact).or_else(|| phone.map(str::to_owned));
    let mut name = Map::new();
    copy(contact, &["first_name", "last_name"], &mut name);
    if let Some(shown) = &shown {
        name.insert("formatted_name".to_owned(), json!(shown));
    }
    let mut card = Map::new();
    card.insert("name".to_owned(), Value::Object(name));
    card.insert("phones".to_owned(), phone.map_or_else(|| json!([]), |phone| json!([{ "phone": phone }])));
    copy(contact, &["vcard"], &mut card);
    let user = int(contact, "user_id");
    if let Some(user) = user {
        card.insert("telegram_user_id".to_owned(), json!(user.to_string()));
    }
    // Only a number shared with its owner's consent comes from the user it belongs to.
    let own = user.is_some() && user == message.get("from").and_then(|from| int(from, "id"));
    card.insert("is_sender".to_owned(), json!(own));
    let mut found = Content::new(MessageKind::Contacts, shown);
    found.payload.insert("contacts".to_owned(), json!([card]));
    found
}

/// The words of a structured message, a line per block.
fn rich_text(rich: &Value) -> Option<String> {
    let mut lines = Vec::new();
    blocks(rich, &mut lines);
    let text = lines.join("\n");
    (!text.is_empty()).then_some(text)
}

fn blocks(value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| blocks(item, lines)),
        Value::Object(_) => {
            let label = text(value, "label").map(|label| format!("{label} ")).unwrap_or_default();
            let first = lines.len();
            for key in ["summary", "text", "expression", "caption"] {
                let mut line = String::new();
                inline(value.get(key).unwrap_or(&Value::Null), &mut line);
                lines.extend((!line.is_empty()).then_some(line));
            }
            for row in value.get("cells").and_then(Value::as_array).into_iter().flatten() {
                let cells = row.as_array().into_iter().flatten().map(|cell| {
                    let mut line = String::new();
                    inline(cell, &mut line);
                    line
                });
                lines.push(cells.collect::<Vec<_>>().join(" | "));
            }
            for key in ["items", "blocks"] {
                blocks(value.get(key).unwrap_or(&Value::Null), lines);
            }
            if let Some(line) = lines.get_mut(first) {
                line.insert_str(0, &label);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A rich text is a string, a list of rich texts, or an object around one.
fn inline(value: &Value, line: &mut String) {
    match value {
        Value::String(text) => line.push_str(text),
        Value::Array(parts) => parts.iter().for_each(|part| inline(part, line)),
        Value::Object(fields) => {
            if let Some(inner) =
                ["text", "expression", "alternative_text"].iter().find_map(|key| fields.get(*key))
            {
                inline(inner, line);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
