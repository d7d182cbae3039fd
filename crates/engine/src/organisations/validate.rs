//! What an organisation's fields may hold. Each check adds to the errors and answers the value to keep.

use jiff::tz::TimeZone;
use kabar_domain::OrganisationId;
use kabar_domain::hours::{DAYS, HOLIDAYS, holiday, span};
use serde_json::Value;

use crate::error::Invalid;
use crate::rules;

/// Dates in one place's hours at most.
const MOST_HOLIDAYS: usize = 1_000;

pub(super) fn name(invalid: &mut Invalid, name: Option<String>) -> String {
    let name = name.map(|name| name.trim().to_owned()).unwrap_or_default();
    invalid.require("name", !name.is_empty());
    if name.chars().count() > 255 {
        invalid.add("name", "The name field must not be greater than 255 characters.");
    }
    name
}

/// A slug must not pass for an id: requests name an organisation by either.
pub(crate) fn slug(invalid: &mut Invalid, slug: Option<String>) -> String {
    let slug = slug.unwrap_or_default();
    let plain = slug.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if slug.is_empty() {
        invalid.require("slug", false);
    } else if !plain || !(2..=63).contains(&slug.len()) {
        invalid.add("slug", "The slug field must be 2 to 63 lower-case letters, digits and hyphens.");
    } else if slug.parse::<OrganisationId>().is_ok() {
        invalid.add("slug", "The slug field must not have the form of an id.");
    }
    slug
}

/// The zone's name as the IANA database spells it.
pub(crate) fn timezone(invalid: &mut Invalid, timezone: Option<String>) -> String {
    let timezone = timezone.unwrap_or_default();
    if timezone.is_empty() {
        invalid.require("timezone", false);
        return timezone;
    }
    if let Some(name) = TimeZone::get(&timezone).ok().as_ref().and_then(|zone| zone.iana_name()) {
        return name.to_owned();
    }
    invalid.add("timezone", "The timezone field must be a valid timezone.");
    timezone
}

/// A bag of the client's own, at most 16 KB.
pub(super) fn settings(invalid: &mut Invalid, settings: Value) -> Value {
    rules::object(invalid, "settings", settings, 16 * 1024)
}

/// Days (`mon` to `sun`) with the spans they are open, or null: `{"mon": [{"open": "08:00", "close": "17:00"}]}`.
/// A span may also be a pair, `["08:00", "17:00"]`, and may end after midnight. `holidays` are dates on which it stays
/// shut.
pub(crate) fn operating_hours(invalid: &mut Invalid, hours: Option<&Value>) {
    const FIELD: &str = "operating_hours";
    let Some(hours) = hours else { return };
    let Some(days) = hours.as_object() else {
        return invalid.add(FIELD, "The operating hours field must be an object.");
    };
    for (day, spans) in days {
        if day == HOLIDAYS {
            let dates = spans.as_array().filter(|dates| dates.len() <= MOST_HOLIDAYS);
            if !spans.is_null()
                && !dates.is_some_and(|dates| dates.iter().all(|date| holiday(date).is_some()))
            {
                let field = format!("{FIELD}.{day}");
                invalid.add(
                    &field,
                    format!("The {field} field must be null or a list of up to {MOST_HOLIDAYS} dates, as 2026-12-25."),
                );
            }
        } else if !DAYS.contains(&day.as_str()) {
            invalid.add(
                FIELD,
                format!("`{day}` is not a day; the days are {}, and {HOLIDAYS}.", DAYS.join(", ")),
            );
        } else if !(spans.is_null()
            || spans.as_array().is_some_and(|spans| spans.iter().all(|given| span(given).is_some())))
        {
            let field = format!("{FIELD}.{day}");
            invalid.add(
                &field,
                format!("The {field} field must be null or a list of {{\"open\": \"08:00\", \"close\": \"17:00\"}}."),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(check: impl FnOnce(&mut Invalid)) -> Vec<String> {
        let mut invalid = Invalid::default();
        check(&mut invalid);
        invalid.errors.into_keys().collect()
    }

    #[test]
    fn hours_are_spans_of_known_days() {
        for right in [
            json!({}),
            json!({"mon": null, "tue": []}),
            json!({"mon": [{"open": "08:00", "close": "12:00"}, {"open": "13:00", "close": "24:00"}]}),
            json!({"fri": [["22:00", "06:00"]]}),
            json!({"mon": [["08:00", "17:00"]], "holidays": ["2026-12-25", "2027-01-01"]}),
            json!({"holidays": null}),
        ] {
            assert!(errors(|e| operating_hours(e, Some(&right))).is_empty(), "{right}");
        }
        for wrong in [
            json!([]),
            json!("8-17"),
            json!({"monday": null}),
            json!({"mon": {"open": "08:00", "close": "17:00"}}),
            json!({"mon": [{"open": "08:00"}]}),
            json!({"mon": [["08:00", "08:00"]]}),
            json!({"mon": [["8:00", "17:00"]]}),
            json!({"mon": [["08:60", "17:00"]]}),
            json!({"mon": [["24:00", "17:00"]]}),
            json!({"mon": [["08:00", "24:01"]]}),
            json!({"holidays": "2026-12-25"}),
            json!({"holidays": ["25-12-2026"]}),
            json!({"holidays": ["2026-02-30"]}),
            json!({"holidays": [20_261_225]}),
        ] {
            assert!(!errors(|e| operating_hours(e, Some(&wrong))).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn zones_are_those_of_the_iana_database() {
        let mut invalid = Invalid::default();
        assert_eq!(timezone(&mut invalid, Some("asia/jakarta".into())), "Asia/Jakarta");
        assert_eq!(timezone(&mut invalid, Some("UTC".into())), "UTC");
        invalid.check().unwrap();
        for wrong in ["Asia/Jakrata", "", "GMT+7 or so", "Mars/Olympus", "../etc/passwd", "<+07>-7"] {
            assert_eq!(errors(|e| drop(timezone(e, Some(wrong.into())))), ["timezone"], "{wrong}");
        }
    }

    #[test]
    fn slugs_are_plain_and_no_ids() {
        let long = "a".repeat(64);
        let id = "01hzk7p5r3q6v0yh4xj3m8chn1";
        for wrong in ["", "a", "Not A Slug", "a/b", "é", "under_score", &long, id] {
            assert_eq!(errors(|e| drop(slug(e, Some(wrong.into())))), ["slug"], "{wrong}");
        }
        assert!(errors(|e| drop(slug(e, Some("pt-sejahtera-1".into())))).is_empty());
    }
}
