//! What Meta says about numbers and business accounts, with a sentence for the people who run them.

use kabar_domain::inbound::{AccountChange, AccountKey};
use serde_json::Value;

use super::Scope;
use super::json::{Object, copy_text, digits, object, text, timestamp};

/// Whom it is for, where the change says so better than its envelope: `entry[].id` of a partner's event may be
/// the partner's own business.
pub(super) fn whom(scope: &Scope, field: &str, value: &Object) -> AccountKey {
    if field == "account_alerts"
        && text(value, "entity_type") == Some("PHONE_NUMBER")
        && let Some(id) = copy_text(value, "entity_id")
    {
        return AccountKey::PhoneNumber(id);
    }
    match object(value, "waba_info").and_then(|info| copy_text(info, "waba_id")) {
        Some(waba_id) if waba_id != scope.waba_id => {
            AccountKey::BusinessAccount { waba_id, display_phone_number: scope.business_number.clone() }
        }
        _ => scope.account.clone(),
    }
}

/// `value` and `occurred_at` are the caller's. `None` for fields that say nothing about an account's state.
pub(super) fn read(field: &str, value: &Object) -> Option<AccountChange> {
    let change = match field {
        "account_update" => account_update(value),
        "account_alerts" => alert(value),
        "account_review_update" => review(value),
        "phone_number_quality_update" => quality(value),
        "phone_number_name_update" => name(value),
        "business_capability_update" => AccountChange {
            messaging_limit: limit(value.get("max_daily_conversations_per_business"))
                .or_else(|| limit(value.get("max_daily_conversation_per_phone"))),
            ..AccountChange::default()
        },
        "security" => security(value),
        "account_settings_update" | "business_status_update" => AccountChange::default(),
        _ => return None,
    };
    let name = match text(value, "event").filter(|_| matches!(field, "account_update" | "security")) {
        Some(event) => format!("{field}:{event}"),
        None => field.to_owned(),
    };
    Some(AccountChange { name, ..change })
}

fn problem(sentence: impl Into<String>) -> AccountChange {
    AccountChange { problem: Some(sentence.into()), ..AccountChange::default() }
}

fn disconnected(sentence: impl Into<String>) -> AccountChange {
    AccountChange { connected: Some(false), ..problem(sentence) }
}

fn account_update(value: &Object) -> AccountChange {
    match text(value, "event").unwrap_or_default() {
        "ACCOUNT_DELETED" => disconnected("The WhatsApp business account was deleted."),
        "ACCOUNT_OFFBOARDED" => disconnected(
            "The number was taken off the WhatsApp Business Platform; connect it again from the WhatsApp Business \
             app.",
        ),
        "PARTNER_REMOVED" => disconnected(removed(value)),
        "PARTNER_APP_UNINSTALLED" => problem(
            "An app was removed from the business account; if it was Kabar's, no messages arrive any more.",
        ),
        "ACCOUNT_RECONNECTED" => AccountChange { connected: Some(true), ..AccountChange::default() },
        "DISABLED_UPDATE" => ban(value),
        "ACCOUNT_RESTRICTION" => problem(restriction(value)),
        "ACCOUNT_VIOLATION" => {
            let kind = object(value, "violation_info").and_then(|info| text(info, "violation_type"));
            problem(format!(
                "Meta says the account broke its policy ({}); see WhatsApp Manager for the details and an appeal.",
                kind.unwrap_or("no reason given")
            ))
        }
        _ => AccountChange::default(),
    }
}

fn removed(value: &Object) -> String {
    let info = object(value, "disconnection_info");
    let why = match info.and_then(|info| text(info, "reason")) {
        Some("ACCOUNT_DISCONNECTED") => "the account was disconnected in the WhatsApp Business app",
        Some("BUSINESS_DOWNGRADE") => "the number went back to the WhatsApp Messenger app",
        Some("CHANGE_NUMBER") => "the number was changed in the WhatsApp Business app",
        Some("COMPANION_INACTIVITY") => "the connection was not used for about 30 days",
        Some("PRIMARY_INACTIVITY") => "the WhatsApp Business app was not opened for about 14 days",
        Some("USER_RE_REGISTERED") => "the number was registered anew on a phone",
        Some(other) => return format!("The business account is no longer shared with this app ({other})."),
        None => return "The business account is no longer shared with this app.".to_owned(),
    };
    format!("The business account is no longer shared with this app: {why}. Connect it again to go on.")
}

fn ban(value: &Object) -> AccountChange {
    let info = object(value, "ban_info");
    let date = info.and_then(|info| text(info, "waba_ban_date")).unwrap_or("a date Meta did not name");
    match info.and_then(|info| text(info, "waba_ban_state")) {
        Some("DISABLE") => disconnected(format!(
            "Meta disabled the WhatsApp business account on {date}; see WhatsApp Manager for the reason and an appeal."
        )),
        Some("SCHEDULE_FOR_DISABLE") => problem(format!(
            "Meta will disable the WhatsApp business account on {date}; see WhatsApp Manager to prevent it."
        )),
        Some("REINSTATE") => AccountChange { connected: Some(true), ..AccountChange::default() },
        _ => AccountChange::default(),
    }
}

fn restriction(value: &Object) -> String {
    let mut sentence = "Meta restricted the account".to_owned();
    let restrictions = value.get("restriction_info").and_then(Value::as_array);
    for (i, restriction) in restrictions.into_iter().flatten().filter_map(Value::as_object).enumerate() {
        sentence.push_str(if i == 0 { ": " } else { "; " });
        sentence.push_str(match text(restriction, "restriction_type") {
            Some("RESTRICTED_ADD_PHONE_NUMBER_ACTION") => "no phone numbers can be added",
            Some("RESTRICTED_BIZ_INITIATED_MESSAGING") => "it cannot start conversations",
            Some("RESTRICTED_CUSTOMER_INITIATED_MESSAGING") => "it cannot answer customers",
            Some(other) => other,
            None => "no reason given",
        });
        if let Ok(until) = timestamp(restriction.get("expiration")) {
            sentence.push_str(" until ");
            sentence.push_str(&until.to_string());
        }
        if let Some(remedy) = text(restriction, "remediation") {
            sentence.push_str(" (");
            sentence.push_str(remedy);
            sentence.push(')');
        }
    }
    sentence.push('.');
    sentence
}

fn alert(value: &Object) -> AccountChange {
    // Older versions write the alert's fields beside the entity's.
    let alert = object(value, "alert_info").unwrap_or(value);
    let over = text(alert, "alert_status") == Some("NONE");
    match text(alert, "alert_severity") {
        Some("CRITICAL" | "WARNING") if !over => {
            let what = text(alert, "alert_description").or_else(|| text(alert, "alert_type"));
            problem(format!("Meta warns: {}", what.unwrap_or("no reason given")))
        }
        _ => AccountChange::default(),
    }
}

fn review(value: &Object) -> AccountChange {
    match text(value, "decision") {
        Some("REJECTED") => {
            problem("Meta rejected the business account's review; see WhatsApp Manager to appeal.")
        }
        Some("DEFERRED") => problem("Meta put off the business account's review; see WhatsApp Manager."),
        _ => AccountChange::default(),
    }
}

fn quality(value: &Object) -> AccountChange {
    let messaging_limit = limit(value.get("max_daily_conversations_per_business"))
        .or_else(|| limit(value.get("current_limit")));
    let (quality, problem) = match text(value, "event") {
        Some("FLAGGED") => (
            Some("RED"),
            Some("The number's quality is low: people block or report its messages.".to_owned()),
        ),
        // Medium or high again; Meta does not say which.
        Some("UNFLAGGED") => (Some("UNKNOWN"), None),
        Some("DOWNGRADE") => {
            let now = messaging_limit.as_deref().unwrap_or("an unnamed limit");
            (None, Some(format!("Meta lowered the number's messaging limit to {now}.")))
        }
        _ => (None, None),
    };
    AccountChange {
        quality: quality.map(str::to_owned),
        problem,
        messaging_limit,
        ..AccountChange::default()
    }
}

fn name(value: &Object) -> AccountChange {
    let wanted = text(value, "requested_verified_name");
    let shown = wanted.unwrap_or("(not named)");
    match text(value, "decision") {
        Some("APPROVED") => {
            AccountChange { verified_name: wanted.map(str::to_owned), ..AccountChange::default() }
        }
        Some("REJECTED") => match text(value, "rejection_reason").filter(|reason| *reason != "NONE") {
            Some(reason) => {
                problem(format!("Meta rejected the display name \u{201c}{shown}\u{201d}: {reason}."))
            }
            None => problem(format!("Meta rejected the display name \u{201c}{shown}\u{201d}.")),
        },
        _ => AccountChange::default(),
    }
}

fn security(value: &Object) -> AccountChange {
    let number = copy_text(value, "display_phone_number").and_then(digits);
    let number = number.map_or_else(|| "the number".to_owned(), |number| format!("+{number}"));
    match text(value, "event") {
        Some("PIN_RESET_REQUEST") => problem(format!(
            "Somebody asked to turn off two-step verification of {number}; if nobody of yours did, change the PIN."
        )),
        // Printed either way; both mean that it was turned off through the e-mail.
        Some("PIN_REQUEST_SUCCESS" | "PIN_RESET_SUCCESS") => {
            problem(format!("Two-step verification of {number} was turned off; set a new PIN."))
        }
        _ => AccountChange::default(),
    }
}

/// A limit as `TIER_…`, which is how most events and the API write it; some write the number.
fn limit(value: Option<&Value>) -> Option<String> {
    let number = match value? {
        Value::String(text) if text.is_empty() => return None,
        Value::String(text) => match text.parse::<i64>() {
            Ok(number) => number,
            Err(_) => return Some(text.clone()),
        },
        Value::Number(number) => number.as_i64()?,
        _ => return None,
    };
    Some(match number {
        ..0 => "TIER_UNLIMITED".to_owned(),
        1_000.. if number % 1_000 == 0 => format!("TIER_{}K", number / 1_000),
        _ => format!("TIER_{number}"),
    })
}
