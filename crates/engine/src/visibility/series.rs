//! Numbers over time.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use kabar_domain::Timestamp;
use kabar_domain::hours::{local, midnight};
use kabar_domain::operations::RecordKind;
use kabar_store::visibility::{self, Moment, Period};

use super::VisibilityQuery;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::rules;

/// Points of a series at most.
const POINTS: usize = 400;
/// Days of a series, when no time is given.
const DAYS: u64 = 29;

/// What one point stands for, on the organisation's calendar. Weeks begin on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    Day,
    Week,
    Month,
}

impl Interval {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    fn begin(self, day: Date) -> Option<Date> {
        match self {
            Self::Day => Some(day),
            Self::Week if day.weekday() == Weekday::Monday => Some(day),
            Self::Week => day.nth_weekday(-1, Weekday::Monday).ok(),
            Self::Month => Some(day.first_of_month()),
        }
    }

    fn next(self, begin: Date) -> Option<Date> {
        match self {
            Self::Day => begin.tomorrow().ok(),
            Self::Week => begin.nth_weekday(1, Weekday::Monday).ok(),
            Self::Month => begin.last_of_month().tomorrow().ok(),
        }
    }

    /// The days on which the intervals begin that have a part in the period, and when each of them does.
    fn cut(self, period: Period, zone: &TimeZone) -> Option<Vec<(Date, Timestamp)>> {
        let mut day = self.begin(local(period.from, zone)?.date())?;
        let mut cut = Vec::new();
        loop {
            let at = midnight(day, zone)?;
            if at >= period.to || cut.len() > POINTS {
                return Some(cut);
            }
            cut.push((day, at));
            day = self.next(day)?;
        }
    }
}

/// One interval, as far as it is in the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The day it begins on, and when that is.
    pub day: Date,
    pub from: Timestamp,
    pub reported: i64,
    pub acknowledged: i64,
    pub resolved: i64,
    pub updates: i64,
    /// Problems not solved at its end.
    pub unsolved: i64,
}

#[derive(Clone, Debug)]
pub struct Series {
    pub interval: Interval,
    pub timezone: String,
    pub period: Period,
    pub points: Vec<Point>,
}

impl Engine {
    /// The last 30 days, when no time is given. No interval is left out because nothing happened in it.
    pub async fn operations_series(
        &self,
        principal: &Principal,
        query: VisibilityQuery,
        interval: Option<String>,
    ) -> Result<Series> {
        let scope = self.scope(principal, query, DAYS + 1).await?;
        let mut invalid = Invalid::default();
        let interval = match interval.as_deref() {
            None | Some("day") => Interval::Day,
            Some("week") => Interval::Week,
            Some("month") => Interval::Month,
            Some(_) => {
                rules::selected(&mut invalid, "interval");
                Interval::Day
            }
        };
        let cut = interval.cut(scope.period, &scope.zone).unwrap_or_default();
        if cut.len() > POINTS {
            invalid.add("from", format!("The period must not have more than {POINTS} intervals."));
        }
        invalid.check()?;
        let mut db = self.store.reader().await?;
        let unsolved =
            visibility::unsolved_at(&mut db, scope.organisation, &scope.filter, scope.period.from).await?;
        let mut points: Vec<_> = cut
            .iter()
            .map(|&(day, from)| Point {
                day,
                from,
                reported: 0,
                acknowledged: 0,
                resolved: 0,
                updates: 0,
                unsolved: 0,
            })
            .collect();
        for (kind, moment, field) in [
            (
                RecordKind::Problem,
                Moment::Occurred,
                (|point| &mut point.reported) as fn(&mut Point) -> &mut i64,
            ),
            (RecordKind::Problem, Moment::Acknowledged, |point| &mut point.acknowledged),
            (RecordKind::Problem, Moment::Resolved, |point| &mut point.resolved),
            (RecordKind::WorkUpdate, Moment::Occurred, |point| &mut point.updates),
        ] {
            let filter = scope.of(kind);
            let found =
                visibility::per_quarter(&mut db, scope.organisation, kind, &filter, moment, scope.period)
                    .await?;
            for (quarter, count) in found {
                let index = points.partition_point(|point| point.from <= quarter).saturating_sub(1);
                if let Some(point) = points.get_mut(index) {
                    *field(point) += count;
                }
            }
        }
        let mut left = unsolved;
        for point in &mut points {
            left += point.reported - point.resolved;
            point.unsolved = left;
        }
        let timezone = scope.zone.iana_name().unwrap_or("UTC").to_owned();
        Ok(Series { interval, timezone, period: scope.period, points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(interval: Interval, zone: &str, from: &str, to: &str) -> Vec<String> {
        let period = Period { from: Timestamp::parse(from).unwrap(), to: Timestamp::parse(to).unwrap() };
        let cut = interval.cut(period, &TimeZone::get(zone).unwrap()).unwrap();
        cut.into_iter().map(|(day, at)| format!("{day} {at}")).collect()
    }

    #[test]
    fn intervals_begin_where_the_organisations_calendar_has_them_begin() {
        assert_eq!(
            days(Interval::Day, "Europe/Berlin", "2026-03-28T12:00:00+01:00", "2026-03-30T00:00:00+02:00"),
            ["2026-03-28 2026-03-27T23:00:00+00:00", "2026-03-29 2026-03-28T23:00:00+00:00"]
        );
        assert_eq!(
            days(Interval::Week, "Asia/Jakarta", "2026-05-06T00:00:00+07:00", "2026-05-11T00:00:01+07:00"),
            ["2026-05-04 2026-05-03T17:00:00+00:00", "2026-05-11 2026-05-10T17:00:00+00:00"]
        );
        assert_eq!(
            days(Interval::Month, "UTC", "2026-12-31T23:00:00+00:00", "2027-01-01T00:00:01+00:00"),
            ["2026-12-01 2026-12-01T00:00:00+00:00", "2027-01-01 2027-01-01T00:00:00+00:00"]
        );
    }
}
