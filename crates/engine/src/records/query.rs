//! Which records to list, as a client says it.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use kabar_domain::hours::midnight;
use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{Ability, SiteId, Timestamp};
use kabar_store::records::list::{Assignee, Filter, Key, Merged, Order};

use super::create::organisation;
use super::{due, number};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::rules;

/// Words of a search at most; more would find less and cost more.
const WORDS: usize = 8;
/// Values of one filter at most.
const VALUES: usize = 100;

/// Several values of a filter are separated by commas.
#[derive(Clone, Debug, Default)]
pub struct RecordQuery {
    pub site_id: Option<String>,
    pub facility_id: Option<String>,
    pub category_id: Option<String>,
    pub severity: Option<String>,
    pub status: Option<String>,
    /// An id, `me` or `none`.
    pub assignee_id: Option<String>,
    /// A contact or a person of the team; or `me`.
    pub reporter_id: Option<String>,
    /// An id or `me`.
    pub watcher_id: Option<String>,
    /// An RFC 3339 time, or a day on the organisation's calendar.
    pub from: Option<String>,
    /// The same; of a day, its end.
    pub to: Option<String>,
    pub overdue: bool,
    pub q: Option<String>,
    /// `created_at`, `updated_at`, `occurred_at`, `due_at` or `severity`; descending with a `-` before.
    pub sort: Option<String>,
    /// Also those that were merged into others.
    pub merged: bool,
    /// Only those that were merged into this one.
    pub merged_into: Option<String>,
}

/// A query, checked.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub(crate) filter: Filter,
    pub(crate) order: Order,
}

fn values<T>(
    invalid: &mut Invalid,
    field: &str,
    given: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let Some(text) = given else { return Vec::new() };
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let found: Vec<_> = parts.iter().filter_map(|part| read(part)).collect();
    if found.len() < parts.len() || found.len() > VALUES {
        rules::selected(invalid, field);
    }
    found
}

fn ids<T: FromStr>(invalid: &mut Invalid, field: &str, given: Option<&str>) -> Vec<T> {
    values(invalid, field, given, |text| text.parse().ok())
}

/// The id, or the caller's for `me`.
fn person<T: FromStr>(
    invalid: &mut Invalid,
    field: &str,
    given: Option<&str>,
    principal: &Principal,
) -> Option<T> {
    let text = given?;
    let own = principal.user_id.to_string();
    let found = if text == "me" { own.parse() } else { text.parse() }.ok();
    if found.is_none() {
        rules::selected(invalid, field);
    }
    found
}

fn order(invalid: &mut Invalid, sort: Option<&str>) -> Order {
    let Some(sort) = sort else { return Order::default() };
    let name = sort.strip_prefix('-').unwrap_or(sort);
    let by = match name {
        "created_at" | "number" => Key::Created,
        "updated_at" => Key::Updated,
        "occurred_at" => Key::Occurred,
        "due_at" => Key::Due,
        "severity" => Key::Severity,
        _ => {
            rules::selected(invalid, "sort");
            Key::Created
        }
    };
    Order { by, ascending: !sort.starts_with('-') }
}

/// An RFC 3339 time, or the beginning of a day; with `end`, the beginning of the next one.
pub(crate) fn moment(text: &str, end: bool, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(day) = text.parse::<Date>()
        && text.len() == 10
    {
        return midnight(if end { day.tomorrow().ok()? } else { day }, zone);
    }
    // A plus sign that a client did not encode.
    Timestamp::parse(&text.replace(' ', "+"))
}

pub(crate) fn moment_field(
    invalid: &mut Invalid,
    field: &str,
    given: Option<&str>,
    zone: &TimeZone,
) -> Option<Timestamp> {
    let text = given?.trim();
    let found = moment(text, field == "to", zone);
    if found.is_none() {
        invalid.add(field, format!("The {field} field must be an RFC 3339 time or a day, as 2026-05-06."));
    }
    found
}

impl Engine {
    /// Checks who asks and what for.
    pub async fn record_listing(
        &self,
        principal: &Principal,
        kind: RecordKind,
        query: RecordQuery,
    ) -> Result<Listing> {
        principal.require_at_sites(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let zone = if query.from.is_some() || query.to.is_some() {
            due::zone(&organisation(&mut db, principal.organisation_id).await?)
        } else {
            TimeZone::UTC
        };
        let mut invalid = Invalid::default();
        let mut filter = Filter {
            sites: ids(&mut invalid, "site_id", query.site_id.as_deref()),
            facilities: ids(&mut invalid, "facility_id", query.facility_id.as_deref()),
            categories: ids(&mut invalid, "category_id", query.category_id.as_deref()),
            reporter: person(&mut invalid, "reporter_id", query.reporter_id.as_deref(), principal),
            watcher: person(&mut invalid, "watcher_id", query.watcher_id.as_deref(), principal),
            from: moment_field(&mut invalid, "from", query.from.as_deref(), &zone),
            to: moment_field(&mut invalid, "to", query.to.as_deref(), &zone),
            ..Filter::default()
        };
        if let Some(reached) = &principal.reach.sites {
            let asked = std::mem::take(&mut filter.sites);
            filter.sites =
                reached.iter().filter(|id| asked.is_empty() || asked.contains(id)).copied().collect();
            if filter.sites.is_empty() {
                // No site has this id: nothing is found.
                filter.sites.push(SiteId::from_uuid(uuid::Uuid::nil()));
            }
        }
        if kind == RecordKind::Problem {
            filter.severities =
                values(&mut invalid, "severity", query.severity.as_deref(), Severity::from_name);
            filter.statuses =
                values(&mut invalid, "status", query.status.as_deref(), ProblemStatus::from_name);
            filter.assignee = match query.assignee_id.as_deref() {
                Some("none") => Some(Assignee::Nobody),
                given => person(&mut invalid, "assignee_id", given, principal).map(Assignee::Is),
            };
            filter.overdue = query.overdue.then(|| self.clock.now());
        }
        if query.merged {
            filter.merged = Merged::With;
        }
        if let Some(id) = ids(&mut invalid, "merged_into", query.merged_into.as_deref()).pop() {
            filter.merged = Merged::Into(id);
        }
        let q = query.q.unwrap_or_default();
        rules::text(&mut invalid, "q", &q, 255);
        filter.words = q.to_lowercase().split_whitespace().take(WORDS).map(str::to_owned).collect();
        match number::whole(&q) {
            // Its parts alone are in many.
            Some(number) if filter.words.len() > 1 => filter.words = vec![number.to_lowercase()],
            number => filter.number = number,
        }
        let order = order(&mut invalid, query.sort.as_deref());
        invalid.check()?;
        Ok(Listing { filter, order })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_where_the_organisation_is() {
        let zone = TimeZone::get("Asia/Jakarta").unwrap();
        let at = |text, end| moment(text, end, &zone).map(|at| at.to_string());
        assert_eq!(at("2026-05-06", false).as_deref(), Some("2026-05-05T17:00:00+00:00"));
        assert_eq!(at("2026-05-06", true).as_deref(), Some("2026-05-06T17:00:00+00:00"));
        assert_eq!(at("2026-05-06T10:00:00 07:00", true).as_deref(), Some("2026-05-06T03:00:00+00:00"));
        for wrong in ["yesterday", "2026-05-06T10:00:00", "2026-13-01", ""] {
            assert_eq!(at(wrong, false), None, "{wrong}");
        }
    }
}
