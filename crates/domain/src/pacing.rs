//! How fast providers let us send: limits, and the buckets that keep to them.
//!
//! Numbers are those of Meta's throughput and pair-rate documents and of Telegram's bot FAQ.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::message::Platform;

/// A rate, as the generic cell rate algorithm has it: `burst` at once, then one each `interval`, never two within
/// `gap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub interval: Duration,
    pub burst: u32,
    pub gap: Duration,
}

/// What of a rate is left as room for messages that the network holds up, because the provider counts when they
/// arrive: this part of it, or of high rates two messages and that part.
const ROOM: f64 = 0.035;
const ROOM_HIGH: f64 = 0.013;

/// Messages a second that a number may send when its provider said nothing else.
pub const fn usual_per_second(platform: Platform) -> u32 {
    match platform {
        Platform::Whatsapp => 80,
        Platform::Telegram | Platform::Other => 30,
        // Nobody but ourselves.
        Platform::Widget => 250,
    }
}

/// The limit of a whole number or bot.
pub fn account_limit(per_second: u32) -> Limit {
    let rate = f64::from(per_second.max(1));
    let interval = Duration::from_secs_f64(1.0 / (rate - (rate * ROOM).min(2.0 + rate * ROOM_HIGH)));
    Limit { interval, burst: 1, gap: Duration::ZERO }
}

/// The limit of one recipient. `None`: the provider names none.
pub const fn recipient_limit(platform: Platform, is_group: bool) -> Option<Limit> {
    match (platform, is_group) {
        (Platform::Whatsapp, false) => {
            Some(Limit { interval: Duration::from_secs(6), burst: 45, gap: Duration::ZERO })
        }
        (Platform::Telegram, false) => {
            Some(Limit { interval: Duration::from_secs(1), burst: 1, gap: Duration::ZERO })
        }
        // Twenty in any minute: five at once and fifteen as time goes by.
        (Platform::Telegram, true) => {
            Some(Limit { interval: Duration::from_secs(4), burst: 5, gap: Duration::from_secs(1) })
        }
        (Platform::Whatsapp, true) | (Platform::Widget | Platform::Other, _) => None,
    }
}

/// What was taken from a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When the bucket will be full again (the algorithm's theoretical arrival time).
    pub full_at: Timestamp,
    /// The last time something was taken.
    pub last_at: Timestamp,
    /// Nothing before this: the provider said so.
    pub blocked_until: Timestamp,
    /// How often in a row the provider said so.
    pub strikes: i64,
}

impl Bucket {
    /// The earliest time, not before `now`, at which one more may be taken.
    pub fn next(&self, limit: &Limit, now: Timestamp) -> Timestamp {
        let credit = limit.interval * limit.burst.saturating_sub(1);
        let spaced = if self.last_at == Timestamp::default() { now } else { self.last_at.plus(limit.gap) };
        now.max(self.full_at.minus(credit)).max(spaced).max(self.blocked_until)
    }

    /// Takes one at `at`.
    pub fn take(&mut self, limit: &Limit, at: Timestamp) {
        self.full_at = self.full_at.max(at).plus(limit.interval);
        self.last_at = at;
    }

    /// The provider refused: `after`, or 4 to the power of refusals in a row, in seconds, an hour at most.
    pub fn block(&mut self, now: Timestamp, after: Option<Duration>) {
        let longest = Duration::from_hours(1);
        let wait = after.unwrap_or_else(|| {
            let power = u32::try_from(self.strikes.clamp(0, 6)).unwrap_or(6);
            Duration::from_secs(4_u64.pow(power)).min(longest)
        });
        self.strikes += 1;
        self.blocked_until = now.plus(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_unix(1_700_000_000);

    /// Sends as early as allowed, at or after each of the wanted times.
    fn sent(limit: &Limit, wanted: &[u64]) -> Vec<Timestamp> {
        let mut bucket = Bucket::default();
        let mut now = START;
        wanted
            .iter()
            .map(|pause| {
                now = now.plus(Duration::from_micros(*pause));
                let at = bucket.next(limit, now);
                bucket.take(limit, at);
                now = at;
                at
            })
            .collect()
    }

    fn most_in(window: Duration, times: &[Timestamp]) -> usize {
        let count =
            |from: &Timestamp| times.iter().filter(|at| *at >= from && **at < from.plus(window)).count();
        times.iter().map(count).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn a_number_never_sends_more_than_its_rate_in_any_second(
            pauses in proptest::collection::vec(prop_oneof![Just(0), 0_u64..2_000_000], 1..400),
            rate in 2_u32..200,
        ) {
            let times = sent(&account_limit(rate), &pauses);
            prop_assert!(most_in(Duration::from_secs(1), &times) <= rate as usize);
        }

        #[test]
        fn a_telegram_group_gets_at_most_twenty_a_minute(
            pauses in proptest::collection::vec(prop_oneof![Just(0), 0_u64..90_000_000], 1..200),
        ) {
            let limit = recipient_limit(Platform::Telegram, true).unwrap();
            let times = sent(&limit, &pauses);
            prop_assert!(most_in(Duration::from_mins(1), &times) <= 20);
            prop_assert!(most_in(Duration::from_secs(1), &times) <= 1);
        }

        #[test]
        fn a_person_on_whatsapp_gets_the_burst_and_then_one_in_six_seconds(
            pauses in proptest::collection::vec(prop_oneof![Just(0), 0_u64..20_000_000], 1..300),
        ) {
            let times = sent(&recipient_limit(Platform::Whatsapp, false).unwrap(), &pauses);
            prop_assert!(most_in(Duration::from_secs(6), &times) <= 46);
            prop_assert!(most_in(Duration::from_mins(10), &times) <= 145);
        }
    }

    #[test]
    fn under_load_nearly_the_whole_rate_is_used() {
        let times = sent(&account_limit(80), &[0; 800]);
        let took = times.last().unwrap().since(times[0]).as_secs_f64();
        assert!(799.0 / took > 0.95 * 80.0, "{took}");
    }

    #[test]
    fn refusals_in_a_row_wait_longer_and_longer() {
        let mut bucket = Bucket::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            bucket.block(START, None);
            waits.push(bucket.blocked_until.since(START).as_secs());
        }
        assert_eq!(waits, [1, 4, 16, 64, 256, 1_024, 3_600, 3_600, 3_600]);
        // What the provider says holds, whether it is short or long.
        for wait in [Duration::from_secs(7), Duration::from_hours(5)] {
            bucket.block(START, Some(wait));
            assert_eq!(bucket.next(&account_limit(80), START), START.plus(wait));
        }
    }
}
