//! Telegram's recurring objects: users, chats, times, and where a message was said.

use kabar_domain::Timestamp;
use kabar_domain::inbound::{Chat, Identity, IdentityKind, Party};
use serde_json::{Map, Value, json};

pub(super) fn int(value: &Value, key: &str) -> Option<i64> {
    value.get(key)?.as_i64()
}

/// A text that is there and not empty.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

pub(super) fn is_true(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}

/// A UNIX time in seconds. Zero means "not known" to Telegram; beyond the year 5138 it is no time at all.
pub(super) fn time(value: &Value, key: &str) -> Option<Timestamp> {
    int(value, key).filter(|seconds| (1..100_000_000_000).contains(seconds)).map(Timestamp::from_unix)
}

/// Copies the fields that are there into `payload`.
pub(super) fn copy(from: &Value, keys: &[&str], payload: &mut Map<String, Value>) {
    for key in keys {
        if let Some(value) = from.get(*key).filter(|value| !value.is_null()) {
            payload.insert((*key).to_owned(), value.clone());
        }
    }
}

/// A `User`, a `Chat` or a `Contact` has a first and a last name.
pub(super) fn full_name(value: &Value) -> Option<String> {
    let name = [text(value, "first_name"), text(value, "last_name")];
    let name = name.into_iter().flatten().map(str::trim).filter(|part| !part.is_empty());
    let name = name.collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

/// The person or chat an object with an `id` stands for.
pub(in crate::telegram) fn party(value: &Value) -> Option<Party> {
    let id = int(value, "id")?;
    Some(Party {
        identities: vec![Identity::new(IdentityKind::Telegram, id.to_string())],
        name: text(value, "title").map(str::to_owned).or_else(|| full_name(value)),
        username: text(value, "username").map(str::to_owned),
        language: text(value, "language_code").map(str::to_owned),
    })
}

/// What to call a person or chat in a sentence.
pub(super) fn called(value: Option<&Value>) -> String {
    value
        .and_then(|value| {
            text(value, "title")
                .map(str::to_owned)
                .or_else(|| full_name(value))
                .or_else(|| text(value, "username").map(|name| format!("@{name}")))
        })
        .unwrap_or_else(|| "Someone".to_owned())
}

/// The few facts about a user that stay with an event about them.
pub(super) fn member(user: &Value) -> Value {
    let mut facts = Map::new();
    copy(user, &["username", "is_bot"], &mut facts);
    if let Some(id) = int(user, "id") {
        facts.insert("id".to_owned(), json!(id.to_string()));
    }
    if let Some(name) = full_name(user) {
        facts.insert("name".to_owned(), json!(name));
    }
    Value::Object(facts)
}

/// Where something was said, from an object's `chat`.
pub(super) struct Place<'a> {
    pub id: i64,
    pub chat: Chat,
    pub object: &'a Value,
}

impl<'a> Place<'a> {
    /// `message` holds `chat` and, in a forum, the topic.
    pub fn of(message: &'a Value) -> Result<Self, String> {
        let object = message.get("chat").ok_or("There is no chat.")?;
        let id = int(object, "id").ok_or("The chat has no integer id.")?;
        let chat = if text(object, "type") == Some("private") {
            Chat::Direct
        } else {
            Chat::Group {
                external_id: id.to_string(),
                title: text(object, "title").map(str::to_owned),
                topic: topic(message).map(|topic| topic.to_string()),
            }
        };
        Ok(Self { id, chat, object })
    }

    pub fn is_private(&self) -> bool {
        self.chat == Chat::Direct
    }
}

/// The forum topic. A thread id alone is no topic: replies in groups without topics carry one too.
pub(super) fn topic(message: &Value) -> Option<i64> {
    is_true(message, "is_topic_message").then(|| int(message, "message_thread_id"))?
}

/// Messages are numbered per chat; those of a business account or of a guest's chat are numbered apart from
/// the bot's own chat of the same id, so their keys name what they came through.
pub(super) fn message_key(chat: i64, message: i64, scope: Option<&str>) -> String {
    match scope {
        Some(scope) => format!("{chat}:{message}:{scope}"),
        None => format!("{chat}:{message}"),
    }
}
