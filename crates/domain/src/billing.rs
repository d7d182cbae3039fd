//! What organisations pay for: invoices, payments, and what follows when nobody pays.

use jiff::Span;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::hours::local;
use crate::message::text_enum;

text_enum! {
    /// Of a customer, at the gateway and on pages.
    Language {
        English = 1, "en";
        Indonesian = 2, "id";
        Arabic = 3, "ar";
    }
}

text_enum! {
    InvoiceStatus {
        Open = 1, "open";
        Paid = 2, "paid";
        /// Another one took its place; it need not be paid.
        Void = 3, "void";
        /// The money went back.
        Refunded = 4, "refunded";
    }
}

text_enum! {
    /// How an attempt to pay stands.
    PaymentStatus {
        /// Nobody knows yet.
        Pending = 1, "pending";
        Captured = 2, "captured";
        Failed = 3, "failed";
        /// Nobody paid in time.
        Expired = 4, "expired";
        /// The money went back.
        Reversed = 5, "reversed";
        /// The gateway says what does not fit the invoice, or nothing that can be understood: for a person to look at.
        Review = 6, "review";
    }
}

text_enum! {
    /// What an organisation may do, by what is paid for it.
    Standing {
        /// It need not pay.
        Exempt = 1, "exempt";
        Trial = 2, "trial";
        Active = 3, "active";
        /// Its time has run out, and nothing follows yet.
        PastDue = 4, "past_due";
        /// It takes messages and shows what there is; it changes and sends nothing.
        ReadOnly = 5, "read_only";
    }
}

/// When a period that begins at `from` has lasted so many months: on the anchor's day of the month, or on the month's
/// last where it is shorter, at the same time of day in UTC.
pub fn period_end(from: Timestamp, months: i64, anchor_day: i64) -> Option<Timestamp> {
    let start = local(from, &TimeZone::UTC)?;
    let month = start.date().first_of_month().checked_add(Span::new().try_months(months).ok()?).ok()?;
    let day = i8::try_from(anchor_day.clamp(1, i64::from(month.days_in_month()))).ok()?;
    let end = month.with().day(day).build().ok()?.to_datetime(start.time());
    let end = TimeZone::UTC.to_timestamp(end).ok()?;
    Some(Timestamp::from_micros(end.as_microsecond()))
}

/// Year, month and day in UTC.
pub fn utc_date(at: Timestamp) -> (i64, u8, u8) {
    let date = local(at, &TimeZone::UTC).unwrap_or_default().date();
    (date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_end_on_one_day_of_the_month() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let end = |from: &str, months, day| period_end(at(from), months, day).unwrap();
        assert_eq!(end("2026-01-31T10:00:00Z", 1, 31), at("2026-02-28T10:00:00Z"));
        // Not on the 28th for ever after.
        assert_eq!(end("2026-02-28T10:00:00Z", 1, 31), at("2026-03-31T10:00:00Z"));
        assert_eq!(end("2026-11-15T23:59:59Z", 12, 15), at("2027-11-15T23:59:59Z"));
        assert_eq!(period_end(at("2026-01-31T10:00:00Z"), i64::MAX, 31), None);
    }
}
