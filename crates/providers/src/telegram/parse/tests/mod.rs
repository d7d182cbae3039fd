mod content;
mod property;
mod service;
mod updates;

use kabar_domain::Timestamp;
use kabar_domain::inbound::{AccountKey, Event, GroupChange, InboundMessage, MemberChange, Update};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_unix(1_764_000_000);
const DATE: i64 = 1_763_990_000;

fn read(body: &Value) -> Vec<Update> {
    super::parse(body.to_string().as_bytes(), NOW).unwrap()
}

/// The events of an update all of whose parts are understood.
fn events(body: &Value) -> Vec<Event> {
    read(body)
        .into_iter()
        .map(|update| {
            assert_eq!(update.account, AccountKey::Address);
            update.event.unwrap()
        })
        .collect()
}

fn event(body: &Value) -> Event {
    let mut events = events(body);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

fn failure(body: &Value) -> String {
    let mut updates = read(body);
    assert_eq!(updates.len(), 1, "{updates:?}");
    updates.remove(0).event.unwrap_err()
}

/// The one line an update shows, which may follow a fact about its group.
fn shown(body: &Value) -> InboundMessage {
    match &events(body)[..] {
        [Event::Message(message)] | [Event::Group { .. }, Event::Message(message)] => (**message).clone(),
        other => panic!("{other:?}"),
    }
}

/// The one member that an update is about.
fn member(body: &Value) -> MemberChange {
    match &events(body)[..] {
        [Event::Group { change: GroupChange::Members(members), .. }, Event::Message(_)] => {
            assert_eq!(members.len(), 1);
            members[0].clone()
        }
        other => panic!("{other:?}"),
    }
}

fn budi() -> Value {
    json!({ "id": 777_001, "is_bot": false, "first_name": "Budi", "last_name": "Santoso",
        "username": "budi_s", "language_code": "id" })
}

fn private() -> Value {
    json!({ "id": 777_001, "type": "private", "first_name": "Budi", "last_name": "Santoso", "username": "budi_s" })
}

fn group() -> Value {
    json!({ "id": -1_001_234_567_890_i64, "type": "supergroup", "title": "Pelanggan AC", "is_forum": true })
}

/// A message from Budi to the bot, with `fields` over it.
fn direct(fields: &Value) -> Value {
    with(json!({ "message_id": 42, "from": budi(), "chat": private(), "date": DATE }), fields)
}

/// A message from Budi in a group, with `fields` over it.
fn grouped(fields: &Value) -> Value {
    with(json!({ "message_id": 42, "from": budi(), "chat": group(), "date": DATE }), fields)
}

fn update(kind: &str, object: &Value) -> Value {
    json!({ "update_id": 9001, kind: object })
}

fn with(mut base: Value, fields: &Value) -> Value {
    let base_fields = base.as_object_mut().unwrap();
    base_fields.extend(fields.as_object().unwrap().clone());
    base
}
