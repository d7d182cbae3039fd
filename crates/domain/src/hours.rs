//! Operating hours: when a site's people are there, and how long until they have had so many hours.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::Timestamp;

/// The keys of the days, Monday first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Nobody waits longer than that for a place to open.
const LONGEST_DAYS: u32 = 3_660;

/// The key of the dates on which it stays shut.
pub const HOLIDAYS: &str = "holidays";

/// When a site is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatingHours {
    /// Minutes of the day at which each day's spans open and close, Monday first. A span that closes at or before its
    /// opening ends on the next day.
    days: [Vec<(u16, u16)>; 7],
    /// Dates on which no span opens.
    holidays: BTreeSet<Date>,
}

/// `2026-12-25`.
pub fn holiday(date: &Value) -> Option<Date> {
    date.as_str().filter(|date| date.len() == 10)?.parse().ok()
}

/// Opening and closing, in minutes of the day, of `{"open": "08:00", "close": "17:00"}` or `["08:00", "17:00"]`.
pub fn span(span: &Value) -> Option<(u16, u16)> {
    let (open, close) = match span {
        Value::Object(fields) if fields.len() == 2 => (fields.get("open")?, fields.get("close")?),
        Value::Array(pair) if pair.len() == 2 => (&pair[0], &pair[1]),
        _ => return None,
    };
    let (open, close) = (minutes(open.as_str()?)?, minutes(close.as_str()?)?);
    (open != close && open < 24 * 60).then_some((open, close))
}

/// `00:00` to `24:00`.
fn minutes(time: &str) -> Option<u16> {
    let (hours, minutes) = time.split_once(':')?;
    let two = |text: &str| -> Option<u16> {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= 24 * 60).then_some(hours * 60 + minutes)
}

impl OperatingHours {
    /// Reads `{"mon": [span, …], …, "holidays": ["2026-12-25", …]}`; what is not of that form is passed over. `None` when it never opens: such
    /// hours say nothing.
    pub fn parse(value: &Value) -> Option<Self> {
        let mut hours = Self::default();
        for (day, spans) in DAYS.iter().zip(&mut hours.days) {
            let given = value.get(day).and_then(Value::as_array);
            spans.extend(given.into_iter().flatten().filter_map(span));
            spans.sort_unstable();
        }
        let dates = value.get(HOLIDAYS).and_then(Value::as_array);
        hours.holidays = dates.into_iter().flatten().filter_map(holiday).collect();
        hours.days.iter().any(|spans| !spans.is_empty()).then_some(hours)
    }

    /// The spans that open on a date.
    fn on(&self, date: Date) -> &[(u16, u16)] {
        if self.holidays.contains(&date) {
            return &[];
        }
        &self.days[date.weekday().to_monday_zero_offset() as usize]
    }

    /// When `needed` has passed within these hours, counted from `start` on the clocks of `zone`.
    pub fn after(&self, start: Timestamp, needed: Duration, zone: &TimeZone) -> Timestamp {
        let mut left = i64::try_from(needed.as_micros()).unwrap_or(i64::MAX);
        let mut reached = start.as_micros();
        let Some(today) = local(start, zone) else { return start.plus(needed) };
        // Yesterday's last span may reach into today.
        let mut day = today.date().yesterday().ok();
        for _ in 0..LONGEST_DAYS {
            let Some(date) = day else { break };
            for &(open, close) in self.on(date) {
                let Some((opens, closes)) = instants(date, open, close, zone) else { continue };
                let from = opens.max(reached);
                if from >= closes {
                    continue;
                }
                if left <= closes - from {
                    return Timestamp::from_micros(from + left);
                }
                left -= closes - from;
                reached = closes;
            }
            day = date.tomorrow().ok();
        }
        Timestamp::from_micros(reached)
    }
}

/// When `needed` has passed within `hours`; without hours, all time counts.
pub fn due(start: Timestamp, needed: Duration, hours: Option<&OperatingHours>, zone: &TimeZone) -> Timestamp {
    hours.map_or_else(|| start.plus(needed), |hours| hours.after(start, needed, zone))
}

/// What clocks in `zone` show; `None` beyond the years that calendars have.
pub fn local(at: Timestamp, zone: &TimeZone) -> Option<DateTime> {
    jiff::Timestamp::from_microsecond(at.as_micros()).ok().map(|at| zone.to_datetime(at))
}

/// When `date` begins in `zone`.
pub fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    instant(date, 0, zone).map(Timestamp::from_micros)
}

fn instants(date: Date, open: u16, close: u16, zone: &TimeZone) -> Option<(i64, i64)> {
    let last = if close <= open { date.tomorrow().ok()? } else { date };
    Some((instant(date, open, zone)?, instant(last, close, zone)?))
}

/// A time that the clocks pass over is the one they show instead; of one they show twice, the first.
fn instant(date: Date, minutes: u16, zone: &TimeZone) -> Option<i64> {
    let (date, minutes) = if minutes == 24 * 60 { (date.tomorrow().ok()?, 0) } else { (date, minutes) };
    let time = Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).ok()?;
    let at = zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()?;
    Some(at.as_microsecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const HOUR: u64 = 3_600;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn due_at(hours: &Value, zone_name: &str, start: &str, needed: u64) -> String {
        let hours = OperatingHours::parse(hours);
        let start = Timestamp::parse(start).unwrap();
        let due = due(start, Duration::from_secs(needed), hours.as_ref(), &zone(zone_name));
        let due = jiff::Timestamp::from_microsecond(due.as_micros()).unwrap();
        let zone = zone(zone_name);
        format!("{} {}", zone.to_datetime(due).strftime("%a %F %H:%M"), zone.to_offset(due))
    }

    fn office() -> Value {
        let day = json!([["08:00", "12:00"], ["13:00", "17:00"]]);
        json!({"mon": day, "tue": day, "wed": day, "thu": day, "fri": day})
    }

    #[test]
    fn nights_noons_and_weekends_do_not_count() {
        let at = |start, hours| due_at(&office(), "Asia/Jakarta", start, hours * HOUR);
        // 2026-05-08 is a Friday.
        assert_eq!(at("2026-05-08T09:00:00+07:00", 1), "Fri 2026-05-08 10:00 +07");
        assert_eq!(at("2026-05-08T11:30:00+07:00", 1), "Fri 2026-05-08 13:30 +07");
        assert_eq!(at("2026-05-08T16:00:00+07:00", 4), "Mon 2026-05-11 11:00 +07");
        assert_eq!(at("2026-05-09T03:00:00+07:00", 1), "Mon 2026-05-11 09:00 +07");
        assert_eq!(at("2026-05-08T08:00:00+07:00", 8), "Fri 2026-05-08 17:00 +07");
        assert_eq!(at("2026-05-08T08:00:00+07:00", 72), "Wed 2026-05-20 17:00 +07");
    }

    #[test]
    fn a_night_shift_belongs_to_the_day_it_begins_on() {
        let nights = json!({"fri": [["22:00", "06:00"]], "sat": [{"open": "00:00", "close": "24:00"}]});
        let at = |start, hours| due_at(&nights, "Asia/Riyadh", start, hours * HOUR);
        assert_eq!(at("2026-05-08T23:00:00+03:00", 4), "Sat 2026-05-09 03:00 +03");
        // Friday's night and Saturday overlap; no hour counts twice.
        assert_eq!(at("2026-05-08T22:00:00+03:00", 20), "Sat 2026-05-09 18:00 +03");
        assert_eq!(at("2026-05-09T01:00:00+03:00", 24), "Fri 2026-05-15 23:00 +03");
    }

    #[test]
    fn nobody_is_there_on_a_holiday() {
        let mut hours = office();
        hours["holidays"] = json!(["2026-05-11", "2026-05-12", "someday"]);
        let at = |start, needed| due_at(&hours, "Asia/Jakarta", start, needed * HOUR);
        assert_eq!(at("2026-05-08T16:00:00+07:00", 4), "Wed 2026-05-13 11:00 +07");
        assert_eq!(at("2026-05-11T09:00:00+07:00", 1), "Wed 2026-05-13 09:00 +07");
        // What opened the evening before stays open into the holiday.
        let nights =
            json!({"fri": [["22:00", "06:00"]], "sat": [["22:00", "06:00"]], "holidays": ["2026-05-09"]});
        assert_eq!(
            due_at(&nights, "Asia/Jakarta", "2026-05-08T23:00:00+07:00", 7 * HOUR),
            "Sat 2026-05-09 06:00 +07"
        );
        assert_eq!(
            due_at(&nights, "Asia/Jakarta", "2026-05-08T23:00:00+07:00", 8 * HOUR),
            "Fri 2026-05-15 23:00 +07"
        );
    }

    #[test]
    fn an_hour_is_an_hour_when_the_clocks_change() {
        let days = json!({"sat": [["00:00", "24:00"]], "sun": [["00:00", "24:00"]]});
        let at = |start, hours| due_at(&days, "Europe/Berlin", start, hours * HOUR);
        assert_eq!(at("2026-03-29T01:00:00+01:00", 2), "Sun 2026-03-29 04:00 +02");
        assert_eq!(at("2026-10-25T01:00:00+02:00", 3), "Sun 2026-10-25 03:00 +01");
        assert_eq!(at("2026-03-28T00:00:00+01:00", 47), "Mon 2026-03-30 00:00 +02");
        // It opens at an hour that this day does not have.
        let gap = json!({"sun": [["02:30", "10:00"]]});
        assert_eq!(
            due_at(&gap, "Europe/Berlin", "2026-03-29T00:00:00+01:00", HOUR),
            "Sun 2026-03-29 04:30 +02"
        );
    }

    #[test]
    fn without_hours_all_time_counts() {
        for none in [json!(null), json!({}), json!({"mon": null, "tue": []}), json!({"mon": [["x", "y"]]})] {
            assert_eq!(
                due_at(&none, "Asia/Jakarta", "2026-05-08T23:00:00+07:00", 4 * HOUR),
                "Sat 2026-05-09 03:00 +07"
            );
        }
    }

    fn any_hours() -> impl Strategy<Value = OperatingHours> {
        let span = (0_u16..1440, 0_u16..=1440).prop_filter("opens", |(open, close)| open != close);
        let day = proptest::collection::vec(span, 0..3);
        proptest::array::uniform7(day).prop_map(|mut days| {
            for spans in &mut days {
                spans.sort_unstable();
            }
            OperatingHours { days, holidays: BTreeSet::new() }
        })
    }

    /// Open time between two moments, minute by minute as clocks show them.
    fn open_minutes(hours: &OperatingHours, zone: &TimeZone, from: i64, to: i64) -> i64 {
        (from..to)
            .filter(|minute| {
                let now = local(Timestamp::from_unix(minute * 60), zone).unwrap();
                let of_day = now.hour() as u16 * 60 + now.minute() as u16;
                let today = now.date();
                let within =
                    |&(open, close): &(u16, u16)| open <= of_day && (close <= open || of_day < close);
                let from_yesterday = |&(open, close): &(u16, u16)| close <= open && of_day < close;
                hours.on(today).iter().any(within)
                    || hours.on(today.yesterday().unwrap()).iter().any(from_yesterday)
            })
            .count() as i64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn exactly_the_open_minutes_before_it_are_needed(
            hours in any_hours(), start in 29_000_000_i64..29_500_000, needed in 1_i64..600, name in
            prop::sample::select(vec!["Asia/Jakarta", "Asia/Kolkata", "UTC"]),
        ) {
            prop_assume!(hours.days.iter().any(|spans| !spans.is_empty()));
            let zone = zone(name);
            let due = hours.after(Timestamp::from_unix(start * 60), Duration::from_secs(needed as u64 * 60), &zone);
            let due = due.as_unix() / 60;
            // Beyond three weeks counting minute by minute takes too long.
            prop_assume!(due - start < 30_000);
            prop_assert_eq!(open_minutes(&hours, &zone, start, due), needed);
            prop_assert_eq!(open_minutes(&hours, &zone, due - 1, due), 1, "it falls on an open minute");
        }

        #[test]
        fn more_hours_or_a_later_start_never_come_sooner(
            hours in any_hours(), start in 1_700_000_000_i64..1_800_000_000, needed in 0_u64..400_000,
            more in 0_u64..100_000, name in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Africa/Cairo"]),
        ) {
            let zone = zone(name);
            let at = |start, needed| hours.after(Timestamp::from_unix(start), Duration::from_secs(needed), &zone);
            let due = at(start, needed);
            prop_assert!(due >= Timestamp::from_unix(start));
            prop_assert!(at(start, needed + more) >= due);
            prop_assert!(at(start + more as i64, needed) >= due);
        }
    }
}
