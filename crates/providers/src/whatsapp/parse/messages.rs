//! Messages in all their lists: live ones, echoes of what another device sent, history, and calls.

use kabar_domain::inbound::{
    Chat, Edit, Event, Identity, IdentityKind, InboundMessage, Origin, Party, Update,
};
use kabar_domain::message::{MessageKind, MessageStatus};
use serde_json::Value;

use super::content;
use super::json::{Object, copy_text, digits, into_object, object, take_list, text, timestamp};
use super::people::Named;
use super::{Scope, put};

/// Which list a message stands in; it decides whose `from` is.
#[derive(Clone, Copy, Debug)]
pub(super) enum List<'a> {
    Live,
    Echoes,
    /// History, with the other person's number where the list names it.
    History {
        thread: Option<&'a str>,
    },
}

pub(super) fn message(
    scope: &Scope,
    list: List,
    (pointer, position): (String, usize),
    value: Value,
    out: &mut Vec<Update>,
) {
    match read(scope, list, position, value) {
        Ok((first, second)) => {
            out.push(scope.update(pointer.clone(), Ok(first)));
            out.extend(second.map(|event| scope.update(pointer, Ok(event))));
        }
        Err(reason) => out.push(scope.update(pointer, Err(reason))),
    }
}

fn read(scope: &Scope, list: List, position: usize, value: Value) -> Result<(Event, Option<Event>), String> {
    let mut message = into_object(value, "the message")?;
    let occurred_at = timestamp(message.get("timestamp"))?;
    let (origin, who) = whose(scope, list, &message);
    if who.is_nobody() {
        return Err(match origin {
            Origin::Live => "the message has neither `from` nor `from_user_id`".to_owned(),
            _ => "the message names nobody on the other side".to_owned(),
        });
    }
    let party = who.party(&scope.contacts, position);
    let chat = match copy_text(&message, "group_id") {
        Some(external_id) => Chat::Group { external_id, title: None, topic: None },
        None => Chat::Direct,
    };

    match text(&message, "type") {
        Some("edit") => {
            let (target, content) = content::edited(&mut message)?;
            let edit = Edit {
                chat,
                sender: party,
                target,
                kind: content.kind,
                body: content.body,
                media: content.media.into_iter().collect(),
                payload: Value::Object(content.payload),
                occurred_at,
            };
            return Ok((Event::Edit(Box::new(edit)), None));
        }
        Some("revoke") => {
            let target = content::revoked(&mut message)?;
            return Ok((Event::Revoke { chat, sender: Some(party), target, occurred_at }, None));
        }
        _ => {}
    }

    let provider_message_id = copy_text(&message, "id").ok_or("the message has no `id`")?;
    let status = match origin {
        Origin::Echo => Some(MessageStatus::Sent),
        Origin::History { from_us: true } => Some(reached(&message)),
        Origin::Live | Origin::History { from_us: false } => None,
    };
    let content = content::take(&mut message)?;
    let mut said = Box::new(InboundMessage {
        provider_message_id,
        origin,
        chat,
        party,
        kind: content.kind,
        body: content.body,
        media: content.media.into_iter().collect(),
        payload: Value::Object(content.payload),
        reply_to: content.reply_to,
        occurred_at,
        status,
    });
    match changed_identity(&said) {
        Some((old, new)) => {
            rename(&mut said.party, &old, &new);
            Ok((Event::IdentityChange { old, new, occurred_at }, Some(Event::Message(said))))
        }
        None => Ok((Event::Message(said), None)),
    }
}

/// How a message came to us, and the person on the other side.
fn whose(scope: &Scope, list: List, message: &Object) -> (Origin, Named) {
    match list {
        List::Live => (Origin::Live, Named::sender(message)),
        List::Echoes => (Origin::Echo, Named::recipient(message)),
        List::History { thread } => {
            let (from, to) = (Named::sender(message), Named::recipient(message));
            let thread = thread.map(|id| Named::phone_or_user_id(id.to_owned())).unwrap_or_default();
            let ours = scope.business_number.as_deref();
            let from_us = if from.phone.is_some() && from.phone == thread.phone {
                false
            } else {
                ours.is_some() && from.phone.as_deref() == ours
                    || !to.is_nobody() && (ours.is_none() || to.phone.as_deref() != ours)
            };
            (Origin::History { from_us }, if from_us { to } else { from }.or(thread))
        }
    }
}

/// How far a message of ours from before we were connected got.
fn reached(message: &Object) -> MessageStatus {
    match object(message, "history_context").and_then(|context| text(context, "status")) {
        Some("DELIVERED") => MessageStatus::Delivered,
        Some("READ") => MessageStatus::Read,
        Some("PLAYED") => MessageStatus::Played,
        Some("ERROR") => MessageStatus::Failed,
        // Still on the phone when the history was written; whether it left is not known.
        Some("PENDING") => MessageStatus::Uncertain,
        _ => MessageStatus::Sent,
    }
}

/// What a system message says about who somebody is now: their old and new identity.
fn changed_identity(said: &InboundMessage) -> Option<(Identity, Identity)> {
    if said.kind != MessageKind::System || said.origin != Origin::Live {
        return None;
    }
    let system = said.payload.as_object()?;
    let of_kind = |kind| said.party.identities.iter().find(move |identity| identity.kind == kind);
    let (old, new) = match text(system, "event")? {
        "user_changed_number" | "customer_changed_number" => {
            let number = copy_text(system, "wa_id").or_else(|| copy_text(system, "new_wa_id"))?;
            let new = Identity::new(IdentityKind::WaId, digits(number)?);
            (of_kind(IdentityKind::WaId).or_else(|| of_kind(IdentityKind::Bsuid))?, new)
        }
        "user_changed_user_id" => {
            let new = Identity::new(IdentityKind::Bsuid, copy_text(system, "user_id")?);
            // The message may already carry the new id; then the number ties it to what we know.
            let old = of_kind(IdentityKind::Bsuid).filter(|old| **old != new);
            (old.or_else(|| of_kind(IdentityKind::WaId))?, new)
        }
        _ => return None,
    };
    (*old != new).then(|| (old.clone(), new))
}

/// The message that tells of the change belongs to whoever the person is after it. What they no longer go by
/// is left out: an old number can be somebody else's tomorrow.
fn rename(party: &mut Party, old: &Identity, new: &Identity) {
    if old.kind == new.kind {
        party.identities.retain(|identity| identity.kind != old.kind && identity != new);
    }
    if new.kind == IdentityKind::WaId {
        // A business-scoped id is made anew with the number.
        party.identities.clear();
    }
    if !party.identities.contains(new) {
        party.identities.push(new.clone());
    }
}

/// `history[]`: chunks of threads of messages.
pub(super) fn history(scope: &Scope, pointer: &str, value: Value, out: &mut Vec<Update>) {
    let chunk = into_object(value, "the history chunk");
    let mut chunk = match chunk {
        Ok(chunk) => chunk,
        Err(reason) => return out.push(scope.update(pointer.to_owned(), Err(reason))),
    };
    let mut told = false;
    match take_list(&mut chunk, "errors") {
        Ok(errors) => {
            for (i, error) in errors.into_iter().flatten().enumerate() {
                told = true;
                out.push(scope.other(format!("{pointer}/errors/{i}"), "whatsapp.history_error", error, None));
            }
        }
        Err(reason) => put(scope, format!("{pointer}/errors"), reason, out),
    }
    match take_list(&mut chunk, "threads") {
        Ok(threads) => {
            for (t, thread) in threads.into_iter().flatten().enumerate() {
                told = true;
                history_thread(scope, &format!("{pointer}/threads/{t}"), thread, out);
            }
        }
        Err(reason) => put(scope, format!("{pointer}/threads"), reason, out),
    }
    if !told && chunk.contains_key("metadata") {
        out.push(scope.other(pointer.to_owned(), "whatsapp.history_progress", Value::Object(chunk), None));
    }
}

fn history_thread(scope: &Scope, pointer: &str, value: Value, out: &mut Vec<Update>) {
    let list = into_object(value, "the thread").and_then(|mut thread| {
        let messages = take_list(&mut thread, "messages")?;
        Ok((copy_text(&thread, "id"), messages.unwrap_or_default()))
    });
    match list {
        Ok((id, messages)) => {
            let list = List::History { thread: id.as_deref() };
            for (m, value) in messages.into_iter().enumerate() {
                message(scope, list, (format!("{pointer}/messages/{m}"), m), value, out);
            }
        }
        Err(reason) => put(scope, pointer.to_owned(), reason, out),
    }
}

/// One of `calls[]`. `id` names the call; each of its events is a message of its own.
pub(super) fn call(scope: &Scope, position: usize, value: Value) -> Result<Event, String> {
    let call = into_object(value, "the call")?;
    let occurred_at = timestamp(call.get("timestamp"))?;
    let id = text(&call, "id").ok_or("the call has no `id`")?;
    let event = text(&call, "event").ok_or("the call has no `event`")?;
    let provider_message_id = format!("{id}:{event}");
    let (from, to) = (Named::sender(&call), Named::recipient(&call));
    let by_us = match text(&call, "direction") {
        Some("BUSINESS_INITIATED") => true,
        Some("USER_INITIATED") => false,
        _ => from.phone.is_some() && from.phone == scope.business_number,
    };
    let who = if by_us { to } else { from };
    if who.is_nobody() {
        return Err("the call names nobody on the other side".to_owned());
    }
    Ok(Event::Message(Box::new(InboundMessage {
        provider_message_id,
        origin: Origin::Live,
        chat: Chat::Direct,
        party: who.party(&scope.contacts, position),
        kind: MessageKind::Call,
        body: None,
        media: Vec::new(),
        payload: Value::Object(call),
        reply_to: None,
        occurred_at,
        status: None,
    })))
}
