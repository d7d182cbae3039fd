//! Numbers about work updates and problems. What was merged into another is not counted: the whole is.

use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{FacilityId, OrganisationId, RecordId, SiteId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::records::list::{Filter, values};
use crate::select::Select;
use crate::store::Db;

/// Open problems that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenGroup {
    pub site_id: Option<SiteId>,
    pub severity: Severity,
    pub status: ProblemStatus,
    /// Which of the ages asked for: 0 is the youngest.
    pub age: i64,
    pub count: i64,
    pub overdue: i64,
    pub unassigned: i64,
}

/// Open problems in groups. Those that occurred after `ages[0]` have age 0, those after `ages[1]` age 1 and so on.
pub async fn open(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    ages: &[Timestamp],
    now: Timestamp,
) -> Result<Vec<OpenGroup>> {
    let mut select = Select::new("SELECT r.site_id, r.severity, r.status, CASE", Vec::new());
    for (age, after) in ages.iter().enumerate() {
        select.push(&format!("WHEN r.occurred_at > ? THEN {age}"), args![*after]);
    }
    select.push(
        &format!(
            "ELSE {} END, COUNT(*), CAST(COALESCE(SUM(CASE WHEN r.due_at < ? THEN 1 ELSE 0 END), 0) AS BIGINT),
             CAST(COALESCE(SUM(CASE WHEN r.assignee_id IS NULL THEN 1 ELSE 0 END), 0) AS BIGINT)
             FROM records r WHERE r.organisation_id = ? AND r.id IN
                 (SELECT o.id FROM records o WHERE o.organisation_id = ? AND o.status IN (1, 2, 3, 6))",
            ages.len()
        ),
        args![now, organisation, organisation],
    );
    filter.apply(&mut select);
    select.push("GROUP BY 1, 2, 3, 4", Vec::new());
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(OpenGroup {
                site_id: row.get(0)?,
                severity: row.get(1)?,
                status: row.get(2)?,
                age: row.get(3)?,
                count: row.get(4)?,
                overdue: row.get(5)?,
                unassigned: row.get(6)?,
            })
        })
        .collect()
}

/// A moment in the life of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Occurred,
    Acknowledged,
    Resolved,
}

impl Moment {
    const fn column(self) -> &'static str {
        match self {
            Self::Occurred => "r.occurred_at",
            Self::Acknowledged => "r.acknowledged_at",
            Self::Resolved => "r.resolved_at",
        }
    }
}

/// From a time on, and before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub from: Timestamp,
    pub to: Timestamp,
}

fn within(select: &mut Select, moment: Moment, period: Period) {
    let column = moment.column();
    select.push(&format!("AND {column} >= ? AND {column} < ?"), args![period.from, period.to]);
}

/// How many records of a kind had their moment in each quarter of an hour: the beginning of it, in its order, and
/// their number. Every time zone's days are made of whole quarters.
pub async fn per_quarter(
    db: &mut impl Db,
    organisation: OrganisationId,
    kind: RecordKind,
    filter: &Filter,
    moment: Moment,
    period: Period,
) -> Result<Vec<(Timestamp, i64)>> {
    const QUARTER: i64 = 900_000_000;
    let mut select = Select::new(
        &format!(
            "SELECT {} / {QUARTER}, COUNT(*) FROM records r WHERE r.organisation_id = ? AND r.kind = ?",
            moment.column()
        ),
        args![organisation, kind],
    );
    filter.apply(&mut select);
    within(&mut select, moment, period);
    select.push("GROUP BY 1 ORDER BY 1", Vec::new());
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| Ok((Timestamp::from_micros(row.get::<i64>(0)? * QUARTER), row.get(1)?)))
        .collect()
}

/// Problems that had occurred before `at` and were not solved then.
pub async fn unsolved_at(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    at: Timestamp,
) -> Result<i64> {
    let mut select = Select::new(
        "SELECT COUNT(*) FROM records r WHERE r.organisation_id = ? AND r.kind = 2 AND r.occurred_at < ?
           AND (r.resolved_at IS NULL OR r.resolved_at >= ?)",
        args![organisation, at, at],
    );
    filter.apply(&mut select);
    select.count(db).await
}

/// How long something took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Durations {
    pub count: i64,
    pub mean: f64,
    pub median: i64,
    /// Nine of ten took no longer.
    pub ninth_decile: i64,
}

/// The time from a problem's report until it was acknowledged, or resolved, of those for which that was in `period`.
pub async fn durations(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    until: Moment,
    period: Period,
) -> Result<Durations> {
    let took = format!("{} - r.occurred_at", until.column());
    let among = |what: &str| {
        let mut select = Select::new(
            &format!("SELECT {what} FROM records r WHERE r.organisation_id = ? AND r.kind = 2"),
            args![organisation],
        );
        filter.apply(&mut select);
        within(&mut select, until, period);
        select
    };
    let totals = among(&format!("COUNT(*), CAST(COALESCE(AVG({took}), 0) AS DOUBLE PRECISION)"));
    let Some(mut row) = totals.fetch_optional(db).await? else { return Ok(Durations::default()) };
    let (count, mean): (i64, f64) = (row.get(0)?, row.get(1)?);
    let mut found = Durations { count, mean, ..Durations::default() };
    if count == 0 {
        return Ok(found);
    }
    for (rank, value) in
        [((count - 1) / 2, &mut found.median), ((count * 9 - 1) / 10, &mut found.ninth_decile)]
    {
        let mut select = among(&took);
        select.push("ORDER BY 1 LIMIT 1 OFFSET ?", args![rank]);
        *value = select.count(db).await?;
    }
    Ok(found)
}

/// How many problems a site had, and what was done there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteCounts {
    pub site_id: Option<SiteId>,
    pub reported: i64,
    pub resolved: i64,
    pub updates: i64,
    /// Mean microseconds until the resolved ones were.
    pub mean_to_resolve: f64,
}

/// Of each site at which something was reported, resolved or done in `period`.
pub async fn per_site(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    period: Period,
) -> Result<Vec<SiteCounts>> {
    let sum = |condition: &str| {
        format!("CAST(COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS BIGINT)")
    };
    let (occurred, resolved) =
        ("r.occurred_at >= ? AND r.occurred_at < ?", "r.resolved_at >= ? AND r.resolved_at < ?");
    let sql = format!(
        "SELECT r.site_id, {}, {}, {},
             CAST(COALESCE(AVG(CASE WHEN {resolved} THEN r.resolved_at - r.occurred_at END), 0) AS DOUBLE PRECISION)
         FROM records r WHERE r.organisation_id = ? AND (({occurred}) OR ({resolved}))",
        sum(&format!("r.kind = 2 AND {occurred}")),
        sum(resolved),
        sum(&format!("r.kind = 1 AND {occurred}")),
    );
    let (from, to) = (period.from, period.to);
    let mut select =
        Select::new(&sql, args![from, to, from, to, from, to, from, to, organisation, from, to, from, to]);
    // Work updates have no severity: whichever is asked for, they count.
    Filter { severities: Vec::new(), ..filter.clone() }.apply(&mut select);
    if !filter.severities.is_empty() {
        select.push_in("AND (r.kind = 1 OR r.severity IN", values(&filter.severities));
        select.push(")", Vec::new());
    }
    select.push("GROUP BY 1", Vec::new());
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(SiteCounts {
                site_id: row.get(0)?,
                reported: row.get(1)?,
                resolved: row.get(2)?,
                updates: row.get(3)?,
                mean_to_resolve: row.get(4)?,
            })
        })
        .collect()
}

/// A thing that had more than one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurring {
    pub facility_id: FacilityId,
    pub name: Option<String>,
    pub code: Option<String>,
    pub site_id: Option<SiteId>,
    pub problems: i64,
    pub last_id: RecordId,
    pub last_number: String,
    pub last_at: Timestamp,
}

/// The things with the most problems in `period`, two at least.
pub async fn recurring(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    period: Period,
    limit: i64,
) -> Result<Vec<Recurring>> {
    let mut select = Select::new(
        "SELECT k.facility_id, f.name, f.code, f.site_id, k.problems, l.id, l.number, l.occurred_at
         FROM (SELECT r.facility_id AS facility_id, COUNT(*) AS problems,
                   MAX(r.number) AS number
               FROM records r WHERE r.organisation_id = ? AND r.kind = 2 AND r.facility_id IS NOT NULL",
        args![organisation],
    );
    filter.apply(&mut select);
    within(&mut select, Moment::Occurred, period);
    select.push(
        "GROUP BY 1 HAVING COUNT(*) > 1 ORDER BY 2 DESC, 1 LIMIT ?) k
         JOIN records l ON l.organisation_id = ? AND l.number = k.number
         LEFT JOIN facilities f ON f.organisation_id = l.organisation_id AND f.id = k.facility_id
         ORDER BY k.problems DESC, l.occurred_at DESC",
        args![limit, organisation],
    );
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(Recurring {
                facility_id: row.get(0)?,
                name: row.get(1)?,
                code: row.get(2)?,
                site_id: row.get(3)?,
                problems: row.get(4)?,
                last_id: row.get(5)?,
                last_number: row.get(6)?,
                last_at: row.get(7)?,
            })
        })
        .collect()
}

/// The names of sites.
pub async fn site_names(
    db: &mut impl Db,
    organisation: OrganisationId,
    sites: Vec<SiteId>,
) -> Result<Vec<(SiteId, String)>> {
    let mut select = Select::new("SELECT id, name FROM sites WHERE organisation_id = ?", args![organisation]);
    select.push_in("AND id IN", sites.into_iter().map(crate::Bind::value).collect());
    let rows = select.fetch(db).await?;
    rows.into_iter().map(|mut row| Ok((row.get(0)?, row.get(1)?))).collect()
}
