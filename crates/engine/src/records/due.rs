//! By when a problem has to be solved.

use std::time::Duration;

use jiff::tz::TimeZone;
use kabar_domain::hours::{OperatingHours, due};
use kabar_domain::operations::Severity;
use kabar_domain::{SiteId, Timestamp};
use kabar_store::Db;
use kabar_store::organisations::Organisation;
use kabar_store::records::places;
use serde_json::Value as Json;

use crate::error::Result;
use crate::operations::OperationsSettings;

/// Until a problem of this severity is due, as the organisation set it.
fn response(settings: &Json, severity: Severity) -> Duration {
    let set = OperationsSettings::of(settings).response_hours;
    let hours = match severity {
        Severity::Critical => set.critical,
        Severity::High => set.high,
        Severity::Medium => set.medium,
        Severity::Low => set.low,
    };
    Duration::try_from_secs_f64(hours * 3_600.0).unwrap_or_default()
}

/// The organisation's time zone.
pub(crate) fn zone(organisation: &Organisation) -> TimeZone {
    TimeZone::get(&organisation.timezone).unwrap_or(TimeZone::UTC)
}

/// When a problem that counts from `start` is due: in the hours of its site, else of its organisation. What is
/// critical does not wait for anybody to open.
pub(crate) async fn due_at(
    db: &mut impl Db,
    organisation: &Organisation,
    site: Option<SiteId>,
    severity: Severity,
    start: Timestamp,
) -> Result<Timestamp> {
    let needed = response(&organisation.settings, severity);
    if severity == Severity::Critical {
        return Ok(start.plus(needed));
    }
    let site = match site {
        Some(site) => places::site(db, organisation.id, site).await?.unwrap_or_default(),
        None => places::SiteFacts::default(),
    };
    let zone = site.timezone.and_then(|name| TimeZone::get(&name).ok()).unwrap_or_else(|| zone(organisation));
    let hours = site.operating_hours.as_ref().or(organisation.operating_hours.as_ref());
    Ok(due(start, needed, hours.and_then(OperatingHours::parse).as_ref(), &zone))
}
