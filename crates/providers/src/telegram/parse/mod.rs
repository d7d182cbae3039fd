//! Webhook bodies. Read field by field from plain JSON: an update, a message kind or a field that did not
//! exist when this was written is kept as it came and never fails the rest.

mod content;
mod messages;
mod others;
mod read;
mod service;
#[cfg(test)]
mod tests;

use kabar_domain::Timestamp;
use kabar_domain::inbound::{AccountKey, Event, Update};
use serde_json::{Map, Value};

pub(super) use read::party;

/// What an update's handler needs beside the object itself.
#[derive(Clone, Copy)]
struct Context<'a> {
    /// The update's field, `message`, `callback_query`, …
    kind: &'a str,
    update_id: i64,
    /// Stands in where Telegram gives no time.
    received_at: Timestamp,
}

impl Context<'_> {
    /// The provider message id of an update that is no message but shows as one.
    fn update_key(&self) -> String {
        format!("update:{}", self.update_id)
    }
}

/// Reads one webhook body: one Telegram update, which may say several things (a new group title is a fact
/// about the group and a line in its conversation). `received_at` is used where Telegram gives no time.
///
/// # Errors
/// A sentence, when the body is not JSON or not an object. Anything narrower is an `Err` in its `Update`.
pub fn parse(body: &[u8], received_at: Timestamp) -> Result<Vec<Update>, String> {
    let mut value: Value =
        serde_json::from_slice(body).map_err(|error| format!("The body is not JSON: {error}."))?;
    // A NUL can only be in valid JSON as this escape. No database text can hold it.
    if body.windows(6).any(|window| window == br"\u0000") {
        strip_nul(&mut value);
    }
    let Value::Object(fields) = &value else {
        return Err("The body is not a JSON object.".to_owned());
    };
    let Some(update_id) = fields.get("update_id").and_then(Value::as_i64) else {
        return Ok(vec![update("", Err("The update has no integer update_id.".to_owned()))]);
    };
    let mut updates = Vec::new();
    for (kind, object) in fields.iter().filter(|(kind, _)| *kind != "update_id") {
        dispatch(Context { kind, update_id, received_at }, object, &mut updates);
    }
    if updates.is_empty() {
        updates.push(update("", Err("The update has nothing beside its update_id.".to_owned())));
    }
    Ok(updates)
}

fn dispatch(context: Context, object: &Value, updates: &mut Vec<Update>) {
    let pointer = format!("/{}", context.kind.replace('~', "~0").replace('/', "~1"));
    if !object.is_object() {
        updates.push(update(&pointer, Err(format!("`{}` is not an object.", context.kind))));
        return;
    }
    let events = match context.kind {
        "message" | "channel_post" | "business_message" | "guest_message" => {
            messages::message(context, object)
        }
        "edited_message" | "edited_channel_post" | "edited_business_message" => {
            messages::edit(context, object)
        }
        "deleted_business_messages" => {
            updates.extend(
                others::deleted(context, object)
                    .into_iter()
                    .map(|(suffix, event)| update(&format!("{pointer}{suffix}"), event)),
            );
            return;
        }
        "callback_query" => others::callback(context, object),
        "message_reaction" => others::reaction(context, object),
        "my_chat_member" => others::own_membership(context, object),
        "chat_member" => others::membership(context, object),
        "chat_join_request" => others::join_request(context, object),
        "message_reaction_count"
        | "poll"
        | "poll_answer"
        | "inline_query"
        | "chosen_inline_result"
        | "shipping_query"
        | "pre_checkout_query"
        | "business_connection"
        | "purchased_paid_media"
        | "chat_boost"
        | "removed_chat_boost"
        | "managed_bot"
        | "subscription" => Ok(vec![others::other(context, object)]),
        _ => others::unknown(context, object),
    };
    match events {
        Ok(events) => updates.extend(events.into_iter().map(|event| update(&pointer, Ok(event)))),
        Err(reason) => updates.push(update(&pointer, Err(reason))),
    }
}

fn update(pointer: &str, event: Result<Event, String>) -> Update {
    Update { pointer: pointer.to_owned(), account: AccountKey::Address, event }
}

fn strip_nul(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|c| c != '\0'),
        Value::Array(items) => items.iter_mut().for_each(strip_nul),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    strip_nul(&mut value);
                    (key.replace('\0', ""), value)
                })
                .collect::<Map<_, _>>();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
