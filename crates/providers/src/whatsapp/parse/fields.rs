//! Fields that are no conversation: templates, identities, and whatever Kabar has no word for.

use kabar_domain::inbound::{AccountChange, Event, Identity, IdentityKind, TemplateChange, Update};
use serde_json::Value;

use super::json::{Object, copy_text, language, object, text, timestamp};
use super::{Scope, account};

pub(super) fn read(scope: &Scope, pointer: String, field: &str, value: Object, out: &mut Vec<Update>) {
    if field == "user_id_update" {
        return user_ids(scope, &pointer, value, out);
    }
    // Older pages print a quality change under the status field's name: what it holds decides.
    let template = if value.contains_key("new_quality_score") {
        Some(quality(&value))
    } else {
        match field {
            "message_template_status_update" => Some(status(&value)),
            "template_category_update" => Some(category(&value)),
            // What changed is read from WhatsApp whole: the webhook has only parts of it.
            "message_template_components_update" => Some(template(&value)),
            _ => None,
        }
    };
    if let Some(change) = template {
        let event = change.map(|change| {
            Event::Template(TemplateChange { occurred_at: change.occurred_at.or(scope.time), ..change })
        });
        return out.push(scope.update(pointer, event));
    }
    if let Some(change) = account::read(field, &value) {
        let key = account::whom(scope, field, &value);
        let change = AccountChange { value: Value::Object(value), occurred_at: scope.time, ..change };
        out.push(Update { pointer, account: key, event: Ok(Event::Account(change)) });
    } else {
        let occurred_at = scope.time.or_else(|| timestamp(value.get("timestamp")).ok());
        out.push(scope.other(pointer, field, Value::Object(value), occurred_at));
    }
}

fn template(value: &Object) -> Result<TemplateChange, String> {
    let id = copy_text(value, "message_template_id").ok_or("there is no `message_template_id`")?;
    let name = copy_text(value, "message_template_name").ok_or("there is no `message_template_name`")?;
    let code =
        copy_text(value, "message_template_language").ok_or("there is no `message_template_language`")?;
    Ok(TemplateChange { provider_id: id, name, language: language(code), ..TemplateChange::default() })
}

fn status(value: &Object) -> Result<TemplateChange, String> {
    let event = text(value, "event").ok_or("there is no `event`")?;
    // An event, not a state: the template can be sent again.
    let status = if event == "REINSTATED" { "APPROVED" } else { event };
    let why = text(value, "reason").filter(|reason| *reason != "NONE");
    let more = object(value, "rejection_info")
        .and_then(|info| text(info, "reason"))
        .or_else(|| {
            let info = object(value, "other_info")?;
            text(info, "description").or_else(|| text(info, "title"))
        })
        .or_else(|| object(value, "disable_info").and_then(|info| text(info, "disable_date")));
    let reason = match (why, more) {
        (Some(why), Some(more)) => Some(format!("{why}: {more}")),
        (why, more) => why.or(more).map(str::to_owned),
    };
    Ok(TemplateChange {
        status: Some(status.to_owned()),
        category: copy_text(value, "message_template_category"),
        reason,
        ..template(value)?
    })
}

fn quality(value: &Object) -> Result<TemplateChange, String> {
    let quality = copy_text(value, "new_quality_score");
    Ok(TemplateChange { quality, ..template(value)? })
}

/// `new_category` is the new one once the change is done, but the present one in the notice a day ahead, which
/// has the coming one in `correct_category`.
fn category(value: &Object) -> Result<TemplateChange, String> {
    let category = copy_text(value, "new_category").ok_or("there is no `new_category`")?;
    let reason = text(value, "correct_category").map(|coming| {
        let when = timestamp(value.get("category_update_timestamp"));
        let when = when.map_or_else(|_| "soon".to_owned(), |time| format!("on {time}"));
        format!("Meta will change the category from {category} to {coming} {when}.")
    });
    Ok(TemplateChange { category: Some(category), reason, ..template(value)? })
}

/// `user_id_update`: the business-scoped ids of one person, or a list of such.
fn user_ids(scope: &Scope, pointer: &str, mut value: Object, out: &mut Vec<Update>) {
    if let Some(Value::Array(items)) = value.get_mut("user_id_update") {
        for (i, item) in std::mem::take(items).into_iter().enumerate() {
            let pointer = format!("{pointer}/user_id_update/{i}");
            match item {
                Value::Object(item) => user_id(scope, pointer, item, out),
                _ => out.push(scope.update(pointer, Err("the id change is not an object".to_owned()))),
            }
        }
    } else {
        user_id(scope, pointer.to_owned(), value, out);
    }
}

fn user_id(scope: &Scope, pointer: String, value: Object, out: &mut Vec<Update>) {
    let time = timestamp(value.get("timestamp")).ok().or(scope.time);
    let before = out.len();
    for key in ["user_id", "parent_user_id"] {
        let change = object(&value, key).and_then(|ids| {
            let id = |key| text(ids, key).map(|id| Identity::new(IdentityKind::Bsuid, id));
            Some((id("previous")?, id("current")?))
        });
        if let (Some((old, new)), Some(occurred_at)) = (change, time)
            && old != new
        {
            out.push(scope.update(pointer.clone(), Ok(Event::IdentityChange { old, new, occurred_at })));
        }
    }
    if out.len() == before {
        out.push(scope.other(pointer, "user_id_update", Value::Object(value), time));
    }
}
