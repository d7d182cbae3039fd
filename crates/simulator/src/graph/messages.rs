//! `POST /{phone_number_id}/messages`: sends, read receipts and typing indicators.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::templates::render;
use super::{Answer, GraphError, success, validate};
use crate::config::Number;
use crate::faults::Fault;
use crate::ids::now_ms;
use crate::params::Params;
use crate::state::{Inner, Provider, Sent, digits};
use crate::statuses::{Message, Recipient};

/// How long after an inbound message free-form answers are allowed.
const WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

pub(super) fn send(
    inner: &Arc<Inner>,
    number: &Number,
    params: &Params,
    raw: Arc<RawValue>,
    fault: Option<&Fault>,
) -> Answer {
    match params.text("messaging_product").as_deref() {
        None => return Err(GraphError::missing("messaging_product")),
        Some("whatsapp") => {}
        Some(_) => {
            return Err(GraphError::text(100, "(#100) Param messaging_product must be one of {WHATSAPP}."));
        }
    }
    if params.has("status") {
        return receipt(params);
    }
    let recipient = recipient(params)?;
    if recipient.as_str() == digits(&number.display_phone_number) {
        return Err(GraphError::with(131_021, "The sender and the recipient are the same number"));
    }
    let content = validate::content(inner, number, params)?;
    if let Recipient::Group(group) = &recipient {
        validate::group(inner, group, &content.kind)?;
    }
    if content.needs_window && inner.config().enforce_window {
        let key = (number.phone_number_id.clone(), recipient.as_str().to_owned());
        let last = inner.graph().last_inbound.get(&key).copied();
        if last.is_none_or(|last| last + WINDOW_MS < now_ms()) {
            return Err(GraphError::with(
                131_047,
                "Message failed to send because more than 24 hours have passed since the customer last \
                 replied to this number.",
            ));
        }
    }
    limit(inner, number, &recipient)?;
    let wamid = inner.ids.wamid(recipient.as_str(), true);
    let callback_data = params.text("biz_opaque_callback_data");
    inner.record_sent(Sent {
        seq: 0,
        provider: Provider::Whatsapp,
        id: wamid.clone(),
        from: number.phone_number_id.clone(),
        to: recipient.as_str().to_owned(),
        kind: content.kind.clone(),
        body: content.body,
        payload: raw,
        status: "accepted".to_owned(),
        at: 0,
        callback_data: callback_data.clone(),
    });
    let answer = accepted(params, &recipient, &wamid, &content.kind);
    let message = Message {
        wamid,
        number: number.clone(),
        recipient,
        callback_data,
        category: content.category,
        is_reaction: content.kind == "reaction",
    };
    inner.schedule_statuses(message, fault);
    Ok(answer)
}

/// The number's throughput and the pace to one person, where they are limited.
fn limit(inner: &Inner, number: &Number, recipient: &Recipient) -> Result<(), GraphError> {
    let (throughput, pair) = {
        let config = inner.config();
        (config.messages_per_second, config.pair_burst)
    };
    let now = now_ms();
    let id = &number.phone_number_id;
    let mut limits = inner.limits();
    if let Some(limit) = throughput
        && limits.take(id, limit, f64::from(limit), now).is_err()
    {
        return Err(GraphError::with(130_429, "Cloud API message throughput has been reached."));
    }
    if let Some(burst) = pair
        && limits.take(&format!("{id}/{}", recipient.as_str()), burst, 1.0 / 6.0, now).is_err()
    {
        let details =
            "Too many messages sent from the sender phone number to the same recipient phone number.";
        return Err(GraphError::with(131_056, details));
    }
    Ok(())
}

/// WhatsApp's name for a number: in Brazil many have none of the nines that were put before them later.
fn wa_id(phone: &str) -> String {
    match phone.strip_prefix("55") {
        Some(rest) if rest.len() == 11 && rest.as_bytes()[2] == b'9' => {
            format!("55{}{}", &rest[..2], &rest[3..])
        }
        _ => phone.to_owned(),
    }
}

fn accepted(params: &Params, recipient: &Recipient, wamid: &str, kind: &str) -> Value {
    let input = params.text("to").or_else(|| params.text("recipient")).unwrap_or_default();
    let mut message = json!({"id": wamid});
    let contact = match recipient {
        Recipient::Phone(phone) => json!({"input": input, "wa_id": wa_id(phone)}),
        Recipient::User(user) => json!({"input": input, "user_id": user}),
        Recipient::Group(group) => {
            message["group_id"] = json!(group);
            json!({"input": input, "wa_id": group})
        }
    };
    if kind == "template" {
        message["message_status"] = json!("accepted");
    }
    json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]})
}

/// `to` wins over `recipient` when both are given.
fn recipient(params: &Params) -> Result<Recipient, GraphError> {
    let group = match params.text("recipient_type").as_deref() {
        None | Some("individual") => false,
        Some("group") => true,
        Some(_) => {
            return Err(GraphError::text(
                100,
                "(#100) Param recipient_type must be one of {GROUP, INDIVIDUAL}.",
            ));
        }
    };
    if let Some(to) = params.text("to") {
        if group {
            return Ok(Recipient::Group(to));
        }
        let phone = digits(&to);
        let is_phone = to.chars().all(|c| c.is_ascii_digit() || "+ -().".contains(c));
        if !is_phone || !(5..=15).contains(&phone.len()) {
            return Err(GraphError::with(131_009, "Parameter 'to' is not a valid phone number"));
        }
        return Ok(Recipient::Phone(phone));
    }
    match params.text("recipient") {
        Some(user) if is_user_id(&user) => Ok(Recipient::User(user)),
        Some(_) => {
            Err(GraphError::with(131_009, "Parameter 'recipient' is not a valid business-scoped user id"))
        }
        None => Err(GraphError::missing("to")),
    }
}

/// `CC.<up to 128 alphanumerics>`, or the parent form `CC.ENT.<…>`.
fn is_user_id(id: &str) -> bool {
    let Some((country, rest)) = id.split_once('.') else { return false };
    let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.chars().all(|c| c.is_ascii_uppercase())
        && (1..=128).contains(&rest.len())
        && rest.chars().all(|c| c.is_ascii_alphanumeric())
}

fn receipt(params: &Params) -> Answer {
    if params.text("status").as_deref() != Some("read") {
        return Err(GraphError::text(100, "(#100) Param status must be one of {READ}."));
    }
    let id = params.text("message_id").ok_or_else(|| GraphError::missing("message_id"))?;
    if !id.starts_with("wamid.") {
        return Err(GraphError::with(131_009, "Parameter 'message_id' is not a valid message id"));
    }
    if let Some(indicator) = params.json("typing_indicator") {
        let kind =
            indicator.ok().and_then(|value| value.get("type").and_then(Value::as_str).map(str::to_owned));
        if kind.as_deref() != Some("text") {
            return Err(GraphError::text(
                100,
                "(#100) Param typing_indicator['type'] must be one of {TEXT}.",
            ));
        }
    }
    Ok(success())
}

/// The text a person reads, for types whose content is one string.
pub(super) fn summary(kind: &str, object: &Value, template: Option<&Value>) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind {
        "text" => text("/body"),
        "interactive" => text("/body/text"),
        "reaction" => text("/emoji"),
        "template" => template.map_or_else(|| text("/name"), |template| render(template, object)),
        "location" => text("/name"),
        "contacts" => {
            object.pointer("/0/name/formatted_name").and_then(Value::as_str).unwrap_or_default().into()
        }
        "document" if object.get("caption").is_none() => text("/filename"),
        _ => text("/caption"),
    }
}
