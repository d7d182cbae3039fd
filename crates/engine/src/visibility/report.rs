//! A report of a period: what came, what was done, what is left.

use std::collections::HashMap;

use kabar_domain::operations::{ProblemStatus, RecordKind};
use kabar_domain::{SiteId, Timestamp};
use kabar_store::Window;
use kabar_store::records::{Named, list};
use kabar_store::visibility::{self, Durations, Moment, Period, Recurring, SiteCounts};

use super::{Open, SiteName, VisibilityQuery, name, names, open, total};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::Result;

const OPEN: [ProblemStatus; 4] =
    [ProblemStatus::Open, ProblemStatus::Acknowledged, ProblemStatus::InProgress, ProblemStatus::Reopened];
/// Days of a report, when no time is given.
const DAYS: u64 = 7;
/// Open problems, and things with many, shown at most.
const LISTED: i64 = 200;
const RECURRING: i64 = 50;

/// A site in a report.
#[derive(Clone, Debug)]
pub struct SiteRow {
    /// `None`: what names no site.
    pub site: Option<SiteName>,
    pub open: Open,
    pub counts: SiteCounts,
}

#[derive(Clone, Debug)]
pub struct Report {
    pub organisation: String,
    pub timezone: jiff::tz::TimeZone,
    pub at: Timestamp,
    pub period: Period,
    /// Open now, whenever they were reported.
    pub open: Open,
    pub reported: i64,
    pub resolved: i64,
    pub updates: i64,
    pub to_acknowledge: Durations,
    pub to_resolve: Durations,
    pub sites: Vec<SiteRow>,
    pub recurring: Vec<Recurring>,
    /// The gravest first.
    pub problems: Vec<Named>,
}

impl Engine {
    /// A report of a period: the last seven days, when none is given.
    pub async fn operations_report(&self, principal: &Principal, query: VisibilityQuery) -> Result<Report> {
        let scope = self.scope(principal, query, DAYS).await?;
        let now = self.clock.now();
        let (organisation, filter, period) = (scope.organisation, &scope.filter, scope.period);
        let mut db = self.store.reader().await?;
        let (all, open_at) = open(&mut db, &scope, now).await?;
        let mut sites: HashMap<Option<SiteId>, SiteRow> = HashMap::new();
        for (site, open) in open_at {
            let id = site.as_ref().map(|site| site.id);
            sites.insert(id, SiteRow { site, open, counts: SiteCounts::default() });
        }
        let counted = visibility::per_site(&mut db, organisation, filter, period).await?;
        let called =
            names(&mut db, organisation, counted.iter().map(|counts| counts.site_id).collect()).await?;
        for counts in counted {
            let id = counts.site_id;
            let site = id.map(|id| SiteName { id, name: name(&called, id) });
            let blank = SiteRow { site, open: Open::default(), counts: SiteCounts::default() };
            sites.entry(id).or_insert(blank).counts = counts;
        }
        let mut sites: Vec<_> = sites.into_values().collect();
        // By name, and what names none at the end.
        sites.sort_by_key(|row| {
            let site = row.site.as_ref();
            (site.is_none(), site.map(|site| (site.name.to_lowercase(), site.id)))
        });
        let unsolved = list::Filter { statuses: OPEN.to_vec(), ..filter.clone() };
        let gravest = list::Order { by: list::Key::Severity, ascending: false };
        let window = Window { after: None, offset: 0, limit: LISTED };
        let problem = RecordKind::Problem;
        Ok(Report {
            organisation: scope.name.clone(),
            timezone: scope.zone.clone(),
            at: now,
            period,
            open: all,
            reported: total(&mut db, &scope, problem, Moment::Occurred, period).await?,
            resolved: total(&mut db, &scope, problem, Moment::Resolved, period).await?,
            updates: total(&mut db, &scope, RecordKind::WorkUpdate, Moment::Occurred, period).await?,
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
            sites,
            recurring: visibility::recurring(&mut db, organisation, filter, period, RECURRING).await?,
            problems: list::list(&mut db, organisation, problem, &unsolved, gravest, window).await?,
        })
    }
}
