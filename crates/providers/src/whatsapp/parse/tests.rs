//! Bodies in Meta's shape, and what is read from them.

mod broken;
mod conversations;
mod operations;

use kabar_domain::inbound::{Event, InboundMessage, Update};
use serde_json::{Value, json};

use super::parse;

const NUMBER: &str = "106540352242922";

/// A body with one change of a conversation's field.
fn body(field: &str, mut value: Value) -> Value {
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({"display_phone_number": "+1 555-078-3881", "phone_number_id": NUMBER});
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": field}]}],
    })
}

/// A body with one change of an account's field.
fn notice(field: &str, value: &Value) -> Value {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "time": 1_739_321_024, "changes": [{"value": value, "field": field}]}],
    })
}

/// One message's common fields with `own` over them.
fn message(own: Value) -> Value {
    let mut message = json!({
        "from": "16505551234",
        "id": "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=",
        "timestamp": "1749416383",
    });
    if let (Value::Object(message), Value::Object(own)) = (&mut message, own) {
        message.extend(own);
    }
    message
}

fn read(body: &Value) -> Vec<Update> {
    parse(body.to_string().as_bytes()).unwrap()
}

fn one(body: &Value) -> Update {
    let mut updates = read(body);
    assert_eq!(updates.len(), 1, "{updates:?}");
    updates.remove(0)
}

fn event(body: &Value) -> Event {
    one(body).event.unwrap()
}

/// What a message with these own fields is read as.
fn said(own: Value) -> InboundMessage {
    let contacts = json!([{"profile": {"name": "Sheena Nelson"}, "wa_id": "16505551234"}]);
    match event(&body("messages", json!({"contacts": contacts, "messages": [message(own)]}))) {
        Event::Message(message) => *message,
        other => panic!("{other:?}"),
    }
}

fn refused(own: Value) -> String {
    one(&body("messages", json!({"messages": [message(own)]}))).event.unwrap_err()
}
