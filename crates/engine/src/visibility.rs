//! What is going on: numbers, series and reports about work updates and problems.

mod report;
mod series;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::tz::TimeZone;
use kabar_domain::channel::InboxStatus;
use kabar_domain::hours::{local, midnight};
use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{OrganisationId, SiteId, Timestamp};
use kabar_store::records::list::Filter;
use kabar_store::visibility::{self, Moment, OpenGroup, Period};
use kabar_store::{Db, counters};

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::records::{RecordQuery, organisation, zone_of};

pub use kabar_store::visibility::{Durations, Recurring};
pub use report::{Report, SiteRow};
pub use series::{Interval, Point, Series};

/// Ages that open problems are told apart by: the name, and up to how many days.
pub const AGES: [(&str, Option<u64>); 5] = [
    ("under_1_day", Some(1)),
    ("1_to_3_days", Some(3)),
    ("3_to_7_days", Some(7)),
    ("7_to_30_days", Some(30)),
    ("over_30_days", None),
];
/// Days that response times and recurring facilities are taken of, when nothing is asked for.
const DAYS: u64 = 30;
/// Things with many problems shown at most.
const RECURRING: i64 = 20;

/// What to count. Several ids are separated by commas.
#[derive(Clone, Debug, Default)]
pub struct VisibilityQuery {
    pub site_id: Option<String>,
    pub facility_id: Option<String>,
    pub category_id: Option<String>,
    pub severity: Option<String>,
    /// An RFC 3339 time, or a day on the organisation's calendar.
    pub from: Option<String>,
    pub to: Option<String>,
}

/// A query, checked.
struct Scope {
    organisation: OrganisationId,
    name: String,
    zone: TimeZone,
    filter: Filter,
    period: Period,
}

impl Scope {
    /// The filter as far as it can be one of this kind: only problems are grave.
    fn of(&self, kind: RecordKind) -> Filter {
        let mut filter = self.filter.clone();
        if kind == RecordKind::WorkUpdate {
            filter.severities.clear();
        }
        filter
    }
}

/// Open problems, counted in several ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub total: i64,
    pub overdue: i64,
    pub unassigned: i64,
    pub by_severity: BTreeMap<Severity, i64>,
    pub by_status: BTreeMap<ProblemStatus, i64>,
    /// As [`AGES`].
    pub by_age: [i64; AGES.len()],
}

impl Open {
    fn add(&mut self, group: &OpenGroup) {
        self.total += group.count;
        self.overdue += group.overdue;
        self.unassigned += group.unassigned;
        *self.by_severity.entry(group.severity).or_default() += group.count;
        *self.by_status.entry(group.status).or_default() += group.count;
        if let Some(age) = usize::try_from(group.age).ok().and_then(|age| self.by_age.get_mut(age)) {
            *age += group.count;
        }
    }
}

/// A site, where the record names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteName {
    pub id: SiteId,
    pub name: String,
}

/// How things stand.
#[derive(Clone, Debug)]
pub struct Summary {
    pub at: Timestamp,
    pub open: Open,
    /// The site with the most open problems first.
    pub by_site: Vec<(Option<SiteName>, Open)>,
    /// Since midnight on the organisation's calendar.
    pub updates_today: i64,
    pub reported_today: i64,
    pub resolved_today: i64,
    /// Inbox items that nobody has seen to.
    pub inbox_waiting: i64,
    pub period: Period,
    pub to_acknowledge: Durations,
    pub to_resolve: Durations,
    pub recurring: Vec<Recurring>,
}

async fn total(
    db: &mut impl Db,
    scope: &Scope,
    kind: RecordKind,
    moment: Moment,
    period: Period,
) -> Result<i64> {
    let filter = scope.of(kind);
    let found = visibility::per_quarter(db, scope.organisation, kind, &filter, moment, period).await?;
    Ok(found.into_iter().map(|(_, count)| count).sum())
}

/// Open problems altogether and by site, the site with the most first.
async fn open(
    db: &mut impl Db,
    scope: &Scope,
    now: Timestamp,
) -> Result<(Open, Vec<(Option<SiteName>, Open)>)> {
    let days = |days: u64| now.minus(Duration::from_hours(24 * days));
    let ages: Vec<_> = AGES.iter().filter_map(|(_, age)| age.map(days)).collect();
    let groups = visibility::open(db, scope.organisation, &scope.filter, &ages, now).await?;
    let mut all = Open::default();
    let mut sites: HashMap<Option<SiteId>, Open> = HashMap::new();
    for group in &groups {
        all.add(group);
        sites.entry(group.site_id).or_default().add(group);
    }
    let names = names(db, scope.organisation, sites.keys().copied().collect()).await?;
    let mut by_site: Vec<_> = sites
        .into_iter()
        .map(|(id, open)| (id.map(|id| SiteName { id, name: name(&names, id) }), open))
        .collect();
    by_site.sort_by(|(one, a), (other, b)| {
        let key = |site: &Option<SiteName>| site.as_ref().map(|site| (site.name.clone(), site.id));
        b.total.cmp(&a.total).then_with(|| key(one).cmp(&key(other)))
    });
    Ok((all, by_site))
}

async fn names(
    db: &mut impl Db,
    organisation: OrganisationId,
    sites: Vec<Option<SiteId>>,
) -> Result<HashMap<SiteId, String>> {
    Ok(visibility::site_names(db, organisation, sites.into_iter().flatten().collect())
        .await?
        .into_iter()
        .collect())
}

fn name(names: &HashMap<SiteId, String>, site: SiteId) -> String {
    names.get(&site).cloned().unwrap_or_default()
}

impl Engine {
    /// Who asks for what; `days` back from the end of today when no time is given.
    async fn scope(&self, principal: &Principal, query: VisibilityQuery, days: u64) -> Result<Scope> {
        let given = RecordQuery {
            site_id: query.site_id,
            facility_id: query.facility_id,
            category_id: query.category_id,
            severity: query.severity,
            from: query.from,
            to: query.to,
            ..RecordQuery::default()
        };
        let listing = self.record_listing(principal, RecordKind::Problem, given).await?;
        let owner = organisation(&mut self.store.reader().await?, principal.organisation_id).await?;
        let zone = zone_of(&owner);
        let mut filter = listing.filter;
        let now = self.clock.now();
        let (from, to) = (filter.from.take(), filter.to.take());
        let to = to.unwrap_or_else(|| day_after(now, &zone));
        let from = from.unwrap_or_else(|| days_before(to, days, &zone));
        if from >= to {
            return Err(Invalid::one("from", "The from field must be before to."));
        }
        Ok(Scope {
            organisation: principal.organisation_id,
            name: owner.name,
            zone,
            filter,
            period: Period { from, to },
        })
    }

    /// How things stand, and how fast they went in a period: the last 30 days, when none is given.
    pub async fn operations_summary(&self, principal: &Principal, query: VisibilityQuery) -> Result<Summary> {
        let scope = self.scope(principal, query, DAYS).await?;
        let now = self.clock.now();
        let today = Period { from: days_before(now, 0, &scope.zone), to: day_after(now, &scope.zone) };
        let mut db = self.store.reader().await?;
        let (open, by_site) = open(&mut db, &scope, now).await?;
        let (organisation, filter, period) = (scope.organisation, &scope.filter, scope.period);
        let (updates, problems) = (RecordKind::WorkUpdate, RecordKind::Problem);
        Ok(Summary {
            at: now,
            open,
            by_site,
            updates_today: total(&mut db, &scope, updates, Moment::Occurred, today).await?,
            reported_today: total(&mut db, &scope, problems, Moment::Occurred, today).await?,
            resolved_today: total(&mut db, &scope, problems, Moment::Resolved, today).await?,
            inbox_waiting: counters::inbox(&mut db, organisation, Some(InboxStatus::New)).await?
                + counters::inbox(&mut db, organisation, Some(InboxStatus::NeedsReview)).await?,
            period,
            to_acknowledge: visibility::durations(
                &mut db,
                organisation,
                filter,
                Moment::Acknowledged,
                period,
            )
            .await?,
            to_resolve: visibility::durations(&mut db, organisation, filter, Moment::Resolved, period)
                .await?,
            recurring: visibility::recurring(&mut db, organisation, filter, period, RECURRING).await?,
        })
    }
}

/// The midnight after `at`.
fn day_after(at: Timestamp, zone: &TimeZone) -> Timestamp {
    let next = local(at, zone).and_then(|at| at.date().tomorrow().ok());
    next.and_then(|day| midnight(day, zone)).unwrap_or(at)
}

/// The midnight that begins the day of `at`, and `days` before it.
fn days_before(at: Timestamp, days: u64, zone: &TimeZone) -> Timestamp {
    let span = jiff::Span::new().try_days(i64::try_from(days).unwrap_or(i64::MAX));
    let day = local(at, zone).and_then(|at| at.date().checked_sub(span.ok()?).ok());
    day.and_then(|day| midnight(day, zone)).unwrap_or(at)
}
