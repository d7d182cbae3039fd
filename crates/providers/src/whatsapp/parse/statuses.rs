//! `statuses[]`: what became of messages we sent.

use kabar_domain::inbound::{Event, StatusUpdate};
use kabar_domain::message::{MessageStatus, ProviderError};
use serde_json::Value;

use super::json::{Object, into_object, object, take_text, text, timestamp};
use super::people::Named;
use crate::whatsapp::errors::describe;

/// `of_calls`: the list stood under the field `calls`.
pub(super) fn status(value: Value, of_calls: bool) -> Result<Event, String> {
    let mut report = into_object(value, "the status")?;
    let other = |name: &str, report: Object| {
        let occurred_at = timestamp(report.get("timestamp")).ok();
        Ok(Event::Other { name: name.to_owned(), value: Value::Object(report), occurred_at })
    };
    match text(&report, "type") {
        Some("payment") => return other("whatsapp.payment_status", report),
        Some("call") => return other("whatsapp.call_status", report),
        _ if of_calls => return other("whatsapp.call_status", report),
        _ => {}
    }
    let status = match text(&report, "status") {
        None => return Err("the status has no `status`".to_owned()),
        Some("sent") => MessageStatus::Sent,
        Some("delivered") => MessageStatus::Delivered,
        Some("read") => MessageStatus::Read,
        Some("played") => MessageStatus::Played,
        Some("failed") => MessageStatus::Failed,
        // `deleted`, `warning` and whatever comes next say nothing about delivery.
        Some(_) => return other("whatsapp.status", report),
    };
    let provider_message_id = take_text(&mut report, "id").ok_or("the status has no `id`")?;
    let occurred_at = timestamp(report.get("timestamp"))?;
    // Meta's page and its examples spell the participant's keys in two ways.
    let participant = Named::read(
        &report,
        "recipient_participant_id",
        "recipient_participant_user_id",
        "recipient_participant_parent_user_id",
    )
    .or(Named::read(
        &report,
        "participant_recipient_id",
        "participant_recipient_user_id",
        "participant_recipient_parent_user_id",
    ));
    let is_group = text(&report, "recipient_type") == Some("group") || !participant.is_nobody();
    let recipient = if is_group {
        participant
    } else {
        Named::read(&report, "recipient_id", "recipient_user_id", "recipient_parent_user_id")
    };
    Ok(Event::Status(StatusUpdate {
        provider_message_id,
        status,
        occurred_at,
        callback_data: take_text(&mut report, "biz_opaque_callback_data"),
        recipient: recipient.identity(),
        is_group,
        error: error(&report),
        pricing: pricing(&mut report),
    }))
}

pub(super) fn error(report: &Object) -> Option<ProviderError> {
    let error = report.get("errors")?.as_array()?.first()?.as_object()?;
    let code = match error.get("code") {
        Some(Value::Number(code)) => code.as_i64(),
        Some(Value::String(code)) => code.trim().parse().ok(),
        _ => None,
    };
    let known = code.and_then(describe);
    let title = text(error, "title")
        .or_else(|| text(error, "message"))
        .or(known.map(|known| known.title))
        .unwrap_or("WhatsApp did not deliver the message");
    let detail = object(error, "error_data").and_then(|data| text(data, "details"));
    Some(ProviderError {
        code: code.unwrap_or_default(),
        title: title.to_owned(),
        detail: detail.filter(|detail| *detail != title).map(str::to_owned),
        action: known.map(|known| known.action.to_owned()),
    })
}

/// `pricing` with `conversation` inside it where there still is one (it left with v24.0, save for free entry
/// points).
fn pricing(report: &mut Object) -> Option<Value> {
    let conversation = report.remove("conversation").filter(Value::is_object);
    let mut pricing = report.remove("pricing").filter(Value::is_object);
    if let Some(conversation) = conversation {
        let target = pricing.get_or_insert_with(|| Value::Object(Object::new()));
        if let Value::Object(target) = target {
            target.insert("conversation".to_owned(), conversation);
        }
    }
    pricing
}
