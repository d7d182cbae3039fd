//! Time. Everything that needs "now" is handed a [`Clock`]; tests own it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in whole microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From a provider's UNIX time. Values that can only be milliseconds (after the year 5138 when read as
    /// seconds) are taken as such: some gateways send them.
    pub const fn from_unix(value: i64) -> Self {
        if value.unsigned_abs() >= 100_000_000_000 {
            Self(value.saturating_mul(1_000))
        } else {
            Self(value.saturating_mul(1_000_000))
        }
    }

    /// Parses RFC 3339 with an offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_microsecond()))
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    pub const fn as_unix(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with whole seconds, `2026-05-06T10:21:00+00:00`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_second(self.as_unix()).map_err(|_| fmt::Error)?;
        write!(f, "{}", moment.strftime("%Y-%m-%dT%H:%M:%S+00:00"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/{}µs", self.0.rem_euclid(1_000_000))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time with an offset"))
    }
}

/// Where "now" and new identifiers come from. Cheap to clone; clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    manual: Option<Arc<AtomicI64>>,
    last_id: Arc<AtomicU64>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { manual: None, last_id: Arc::default() }
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self { manual: Some(Arc::new(AtomicI64::new(start.as_micros()))), last_id: Arc::default() }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> Timestamp {
        match &self.manual {
            Some(micros) => Timestamp(micros.load(Ordering::SeqCst)),
            None => Timestamp(jiff::Timestamp::now().as_microsecond()),
        }
    }

    /// Moves a manual clock; a system clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Some(micros) = &self.manual {
            micros.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Sets a manual clock, also back; a system clock is left alone.
    pub fn set(&self, to: Timestamp) {
        if let Some(micros) = &self.manual {
            micros.store(to.as_micros(), Ordering::SeqCst);
        }
    }

    /// A UUID v7 greater than every one this clock has made: 48 bits of milliseconds and a 12-bit counter
    /// that runs into the next millisecond when it overflows (RFC 9562, section 6.2, method 1).
    pub fn uuid(&self) -> uuid::Uuid {
        let millis = u64::try_from(self.now().as_micros() / 1_000).unwrap_or(0);
        let floor = millis << 12;
        let mut previous = self.last_id.load(Ordering::Relaxed);
        let next = loop {
            let next = floor.max(previous + 1);
            match self.last_id.compare_exchange_weak(previous, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break next,
                Err(seen) => previous = seen,
            }
        };
        let mut bytes = [0_u8; 16];
        // A failing system source would leave zeros: still unique in this process through the counter.
        getrandom::fill(&mut bytes[8..]).unwrap_or_default();
        bytes[..6].copy_from_slice(&(next >> 12).to_be_bytes()[2..]);
        bytes[6] = 0x70 | ((next >> 8) as u8 & 0x0f);
        bytes[7] = next as u8;
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        uuid::Uuid::from_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_clock_only_grow() {
        let clock = Clock::manual(Timestamp::from_unix(1_700_000_000));
        let ids: Vec<_> = (0..10_000).map(|_| clock.uuid()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn times_are_written_as_clients_expect() {
        let time = Timestamp::parse("2026-05-06T13:21:00.5+03:00").unwrap();
        assert_eq!(time.to_string(), "2026-05-06T10:21:00+00:00");
        assert_eq!(Timestamp::from_unix(1_700_000_000_123).as_micros(), 1_700_000_000_123_000);
        assert_eq!(Timestamp::parse("2026-05-06T13:21:00"), None);
    }
}
