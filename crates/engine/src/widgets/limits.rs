//! How much visitors may do. Counted in memory, in each minute by itself.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kabar_domain::Timestamp;

use super::Visitor;
use crate::error::{Error, Result};

const MINUTE: Duration = Duration::from_mins(1);
/// Of one visitor in a minute.
const REQUESTS: u32 = 240;
const MESSAGES: u32 = 30;
const FILES: u32 = 10;
/// Streams of one visitor at once: a page each.
const STREAMS: u32 = 8;
/// Of one address in a minute.
const ADDRESS_REQUESTS: u32 = 1_200;
const REFUSALS: u32 = 60;
/// Counters kept; who fills them up makes room with the oldest.
const REMEMBERED: usize = 50_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Requests,
    Messages,
    Files,
    AddressRequests,
    Refusals,
}

/// Counters, by what is counted and a hash of whose it is.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    counted: Mutex<HashMap<(Of, u64), (Timestamp, u32)>>,
    streams: Arc<Mutex<HashMap<u64, u32>>>,
}

/// Counts as a stream until it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    streams: Arc<Mutex<HashMap<u64, u32>>>,
    who: u64,
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn who(visitor: &Visitor) -> u64 {
    hash((visitor.organisation_id, &visitor.subject))
}

/// An IPv6 network of 64 bits is one customer.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V6(v6) => hash(u128::from(v6) >> 64),
        v4 @ IpAddr::V4(_) => hash(v4),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Limits {
    /// How many there were in this minute, and how much of it is left.
    fn look(&self, of: Of, who: u64, now: Timestamp) -> (u32, Duration) {
        let counted = locked(&self.counted);
        match counted.get(&(of, who)) {
            Some((since, count)) if now.since(*since) < MINUTE => {
                (*count, MINUTE.saturating_sub(now.since(*since)))
            }
            _ => (0, MINUTE),
        }
    }

    fn count(&self, of: Of, who: u64, now: Timestamp) {
        let mut counted = locked(&self.counted);
        if counted.len() >= REMEMBERED && !counted.contains_key(&(of, who)) {
            counted.retain(|_, (since, _)| now.since(*since) < MINUTE);
            if counted.len() >= REMEMBERED {
                let oldest = counted.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| *key);
                oldest.and_then(|key| counted.remove(&key));
            }
        }
        let entry = counted.entry((of, who)).or_insert((now, 0));
        if now.since(entry.0) >= MINUTE || now < entry.0 {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }

    fn take(&self, of: Of, who: u64, most: u32, now: Timestamp) -> Result<()> {
        let (count, retry_after) = self.look(of, who, now);
        if count >= most {
            return Err(Error::TooManyAttempts { retry_after });
        }
        self.count(of, who, now);
        Ok(())
    }

    /// An address that keeps guessing is not answered for a while.
    pub fn check_address(&self, address: Option<IpAddr>, now: Timestamp) -> Result<()> {
        let Some(address) = address.map(network) else { return Ok(()) };
        let (refusals, retry_after) = self.look(Of::Refusals, address, now);
        if refusals >= REFUSALS {
            return Err(Error::TooManyAttempts { retry_after });
        }
        self.take(Of::AddressRequests, address, ADDRESS_REQUESTS, now)
    }

    pub fn refused(&self, address: Option<IpAddr>, now: Timestamp) {
        if let Some(address) = address {
            self.count(Of::Refusals, network(address), now);
        }
    }

    pub fn came(&self, visitor: &Visitor, now: Timestamp) -> Result<()> {
        self.take(Of::Requests, who(visitor), REQUESTS, now)
    }

    pub fn writes(&self, visitor: &Visitor, now: Timestamp) -> Result<()> {
        self.take(Of::Messages, who(visitor), MESSAGES, now)
    }

    pub fn brings(&self, visitor: &Visitor, now: Timestamp) -> Result<()> {
        self.take(Of::Files, who(visitor), FILES, now)
    }

    pub fn listens(&self, visitor: &Visitor) -> Result<Listening> {
        let who = who(visitor);
        let mut streams = locked(&self.streams);
        let open = streams.entry(who).or_default();
        if *open >= STREAMS {
            return Err(Error::TooManyAttempts { retry_after: MINUTE });
        }
        *open += 1;
        Ok(Listening { streams: Arc::clone(&self.streams), who })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut streams = locked(&self.streams);
        if let Some(open) = streams.get_mut(&self.who) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_room_for_so_many_and_the_next_for_as_many_again() {
        let limits = Limits::default();
        let at = |second: i64| Timestamp::from_unix(1_700_000_000 + second);
        for _ in 0..FILES {
            limits.take(Of::Files, 1, FILES, at(0)).unwrap();
        }
        let refused = limits.take(Of::Files, 1, FILES, at(20)).unwrap_err();
        assert!(matches!(refused, Error::TooManyAttempts { retry_after } if retry_after.as_secs() == 40));
        limits.take(Of::Files, 2, FILES, at(20)).unwrap();
        limits.take(Of::Files, 1, FILES, at(60)).unwrap();
    }

    #[test]
    fn an_address_that_guesses_is_shut_out_and_others_are_not() {
        let limits = Limits::default();
        let now = Timestamp::from_unix(1_700_000_000);
        let address = |text: &str| Some(text.parse().unwrap());
        for _ in 0..REFUSALS {
            limits.refused(address("192.0.2.1"), now);
        }
        assert!(limits.check_address(address("::ffff:192.0.2.1"), now).is_err());
        limits.check_address(address("192.0.2.2"), now).unwrap();
    }
}
