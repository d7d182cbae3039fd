//! Reading webhook bodies.
//!
//! Nothing in a body is trusted to be there or to be of the documented shape. What stands alone is read alone:
//! a message that cannot be understood is an [`Update`] that says why, and its neighbours are untouched.

mod account;
mod content;
mod fields;
mod groups;
mod json;
mod messages;
mod people;
mod statuses;
#[cfg(test)]
mod tests;

use kabar_domain::clock::Timestamp;
use kabar_domain::inbound::{AccountKey, Event, Update};
use serde_json::Value;

use json::{Object, copy_text, digits, into_object, object, take_list, take_text, timestamp};
pub(super) use json::{language, sha256_hex};
use messages::List;
use people::Contact;

/// Reads the whole body of a `POST` from Meta. `Err` only if it is not a JSON object at all.
pub fn parse(body: &[u8]) -> Result<Vec<Update>, String> {
    let mut body = into_object(json::read(body)?, "the body")?;
    let nowhere = || AccountKey::BusinessAccount { waba_id: String::new(), display_phone_number: None };
    let mut out = Vec::with_capacity(1);
    match take_list(&mut body, "entry") {
        Ok(Some(entries)) => {
            for (e, value) in entries.into_iter().enumerate() {
                if let Err(reason) = entry(e, value, &mut out) {
                    out.push(Update {
                        pointer: format!("/entry/{e}"),
                        account: nowhere(),
                        event: Err(reason),
                    });
                }
            }
        }
        Ok(None) => {
            let reason = "the body has no `entry`".to_owned();
            out.push(Update { pointer: String::new(), account: nowhere(), event: Err(reason) });
        }
        Err(reason) => {
            out.push(Update { pointer: "/entry".to_owned(), account: nowhere(), event: Err(reason) });
        }
    }
    Ok(out)
}

fn entry(e: usize, value: Value, out: &mut Vec<Update>) -> Result<(), String> {
    let mut entry = into_object(value, "the entry")?;
    let waba_id = take_text(&mut entry, "id").unwrap_or_default();
    let unreadable = |pointer: String, reason: String| Update {
        pointer,
        account: AccountKey::BusinessAccount { waba_id: waba_id.clone(), display_phone_number: None },
        event: Err(reason),
    };
    let changes = match take_list(&mut entry, "changes") {
        Ok(Some(changes)) => changes,
        Ok(None) => {
            out.push(unreadable(format!("/entry/{e}"), "the entry has no `changes`".to_owned()));
            return Ok(());
        }
        Err(reason) => {
            out.push(unreadable(format!("/entry/{e}/changes"), reason));
            return Ok(());
        }
    };
    let time = timestamp(entry.get("time")).ok();
    for (c, value) in changes.into_iter().enumerate() {
        let pointer = format!("/entry/{e}/changes/{c}");
        if let Err(reason) = change(&pointer, &waba_id, time, value, out) {
            out.push(unreadable(pointer, reason));
        }
    }
    Ok(())
}

fn change(
    pointer: &str,
    waba_id: &str,
    time: Option<Timestamp>,
    value: Value,
    out: &mut Vec<Update>,
) -> Result<(), String> {
    let mut change = into_object(value, "the change")?;
    let field = take_text(&mut change, "field").ok_or("the change has no `field`")?;
    let value = change.remove("value").ok_or("the change has no `value`")?;
    let value = into_object(value, "the change's `value`")?;
    let scope = Scope::of(&value, waba_id, time);
    let pointer = format!("{pointer}/value");
    match field.as_str() {
        "messages" | "message_echoes" | "smb_message_echoes" | "history" | "calls" => {
            conversation(&scope, &pointer, &field, value, out);
        }
        _ if field.starts_with("group_") => groups::read(&scope, &pointer, &field, value, out),
        _ => fields::read(&scope, pointer, &field, value, out),
    }
    Ok(())
}

/// Reads every list a conversation's field can have; several may come together.
fn conversation(scope: &Scope, pointer: &str, field: &str, mut value: Object, out: &mut Vec<Update>) {
    let before = out.len();
    let from_history = field == "history";
    for (name, what) in [
        ("messages", if from_history { List::History { thread: None } } else { List::Live }),
        ("message_echoes", List::Echoes),
    ] {
        each(scope, pointer, name, &mut value, out, |i, pointer, item, out| {
            messages::message(scope, what, (pointer, i), item, out);
        });
    }
    each(scope, pointer, "statuses", &mut value, out, |_, pointer, item, out| {
        out.push(scope.update(pointer, statuses::status(item, field == "calls")));
    });
    each(scope, pointer, "calls", &mut value, out, |i, pointer, item, out| {
        out.push(scope.update(pointer, messages::call(scope, i, item)));
    });
    each(scope, pointer, "history", &mut value, out, |_, pointer, item, out| {
        messages::history(scope, &pointer, item, out);
    });
    each(scope, pointer, "errors", &mut value, out, |_, pointer, item, out| {
        out.push(scope.other(pointer, "whatsapp.error", item, None));
    });
    if out.len() == before {
        out.push(scope.other(pointer.to_owned(), field, Value::Object(value), scope.time));
    }
}

fn each(
    scope: &Scope,
    pointer: &str,
    name: &str,
    value: &mut Object,
    out: &mut Vec<Update>,
    mut read: impl FnMut(usize, String, Value, &mut Vec<Update>),
) {
    match take_list(value, name) {
        Ok(items) => {
            for (i, item) in items.into_iter().flatten().enumerate() {
                read(i, format!("{pointer}/{name}/{i}"), item, out);
            }
        }
        Err(reason) => put(scope, format!("{pointer}/{name}"), reason, out),
    }
}

fn put(scope: &Scope, pointer: String, reason: String, out: &mut Vec<Update>) {
    out.push(scope.update(pointer, Err(reason)));
}

/// What everything in one change has in common.
struct Scope {
    account: AccountKey,
    /// `entry[].id`.
    waba_id: String,
    /// Our own number, digits only.
    business_number: Option<String>,
    contacts: Vec<Contact>,
    /// `entry[].time`.
    time: Option<Timestamp>,
}

impl Scope {
    fn of(value: &Object, waba_id: &str, time: Option<Timestamp>) -> Self {
        let metadata = object(value, "metadata");
        let number = |from: &Object, key| copy_text(from, key).and_then(digits);
        let business_number = metadata
            .and_then(|metadata| number(metadata, "display_phone_number"))
            .or_else(|| number(value, "display_phone_number"))
            .or_else(|| number(value, "phone_number"));
        let account = match metadata.and_then(|metadata| copy_text(metadata, "phone_number_id")) {
            Some(id) => AccountKey::PhoneNumber(id),
            None => AccountKey::BusinessAccount {
                waba_id: waba_id.to_owned(),
                display_phone_number: business_number.clone(),
            },
        };
        let contacts = match value.get("contacts") {
            Some(Value::Array(contacts)) => contacts.iter().filter_map(Contact::read).collect(),
            _ => Vec::new(),
        };
        Self { account, waba_id: waba_id.to_owned(), business_number, contacts, time }
    }

    fn update(&self, pointer: String, event: Result<Event, String>) -> Update {
        Update { pointer, account: self.account.clone(), event }
    }

    fn other(&self, pointer: String, name: &str, value: Value, occurred_at: Option<Timestamp>) -> Update {
        self.update(pointer, Ok(Event::Other { name: name.to_owned(), value, occurred_at }))
    }
}
