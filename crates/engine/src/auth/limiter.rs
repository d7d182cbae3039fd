//! Slows down guessing: failures per account and per address, and how many passwords are hashed at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kabar_domain::Timestamp;
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

const WINDOW: Duration = Duration::from_mins(1);
const PER_ACCOUNT: u32 = 5;
const PER_ADDRESS: u32 = 20;
/// Windows remembered of each kind; hashing is too slow for a guesser to fill them within one window.
const REMEMBERED: usize = 10_000;

/// Failed sign-ins of the last minute.
#[derive(Debug)]
pub struct LoginLimiter {
    failures: Mutex<Failures>,
    /// One hash takes about 19 MiB.
    pub(super) hashing: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Failures {
    accounts: Windows<String>,
    addresses: Windows<IpAddr>,
}

#[derive(Debug)]
struct Windows<K>(HashMap<K, Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Timestamp,
    failures: u32,
}

impl<K> Default for Windows<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Windows<K> {
    /// Time until the window ends, once it holds `limit` failures.
    fn closed(&self, key: &K, limit: u32, now: Timestamp) -> Option<Duration> {
        let window = self.0.get(key)?;
        let passed = now.since(window.since);
        (passed < WINDOW && window.failures >= limit).then(|| WINDOW.saturating_sub(passed))
    }

    fn add(&mut self, key: K, now: Timestamp) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&key) {
            self.0.retain(|_, window| now.since(window.since) < WINDOW);
            if self.0.len() >= REMEMBERED {
                let oldest = self.0.iter().min_by_key(|(_, window)| window.since).map(|(key, _)| key.clone());
                oldest.and_then(|key| self.0.remove(&key));
            }
        }
        let window = self.0.entry(key).or_insert(Window { since: now, failures: 0 });
        if now.since(window.since) >= WINDOW {
            *window = Window { since: now, failures: 0 };
        }
        window.failures += 1;
    }
}

impl Default for LoginLimiter {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { failures: Mutex::default(), hashing: Arc::new(Semaphore::new(cores.min(4))) }
    }
}

/// An IPv6 network of 64 bits is one customer.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl LoginLimiter {
    pub(super) fn check(&self, account: &str, address: Option<IpAddr>, now: Timestamp) -> Result<()> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let account = failures.accounts.closed(&account.to_owned(), PER_ACCOUNT, now);
        let address = address.and_then(|ip| failures.addresses.closed(&network(ip), PER_ADDRESS, now));
        account.max(address).map_or(Ok(()), |retry_after| Err(Error::TooManyAttempts { retry_after }))
    }

    pub(super) fn failed(&self, account: &str, address: Option<IpAddr>, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.accounts.add(account.to_owned(), now);
        if let Some(address) = address {
            failures.addresses.add(network(address), now);
        }
    }

    /// [`Self::check`] where there is no account.
    pub(crate) fn check_address(&self, address: Option<IpAddr>, now: Timestamp) -> Result<()> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = address.and_then(|ip| failures.addresses.closed(&network(ip), PER_ADDRESS, now));
        closed.map_or(Ok(()), |retry_after| Err(Error::TooManyAttempts { retry_after }))
    }

    pub(crate) fn failed_from(&self, address: Option<IpAddr>, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = address {
            failures.addresses.add(network(address), now);
        }
    }

    /// Forgets the account's failures. Those of the address stay: whoever knows one password may not go on guessing
    /// others.
    pub(super) fn succeeded(&self, account: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).accounts.0.remove(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix(1_700_000_000 + second)
    }

    #[test]
    fn five_failures_close_an_account_until_its_minute_is_over() {
        let limiter = LoginLimiter::default();
        for second in 0..5 {
            limiter.check("a@example.com", ADDRESS, at(second)).unwrap();
            limiter.failed("a@example.com", ADDRESS, at(second));
        }
        let error = limiter.check("a@example.com", None, at(10)).unwrap_err();
        assert!(
            matches!(error, Error::TooManyAttempts { retry_after } if retry_after == Duration::from_secs(50))
        );
        limiter.check("b@example.com", ADDRESS, at(10)).unwrap();
        limiter.check("a@example.com", ADDRESS, at(60)).unwrap();
    }

    #[test]
    fn twenty_failures_close_an_address_and_a_success_does_not_open_it() {
        let limiter = LoginLimiter::default();
        for n in 0..20 {
            limiter.failed(&format!("{n}@example.com"), ADDRESS, at(0));
        }
        limiter.succeeded("0@example.com");
        assert!(limiter.check("new@example.com", ADDRESS, at(1)).is_err());
        limiter.check("new@example.com", Some("192.0.2.1".parse().unwrap()), at(1)).unwrap();
        // The same address in its IPv6 spelling, and two addresses of one IPv6 network.
        assert!(limiter.check("new@example.com", Some("::ffff:127.0.0.1".parse().unwrap()), at(1)).is_err());
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:2".parse().unwrap()));
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
    }

    #[test]
    fn a_success_forgets_the_failures_of_the_account() {
        let limiter = LoginLimiter::default();
        for _ in 0..4 {
            limiter.failed("a@example.com", None, at(0));
        }
        limiter.succeeded("a@example.com");
        limiter.failed("a@example.com", None, at(1));
        limiter.check("a@example.com", None, at(1)).unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = LoginLimiter::default();
        for n in 0..REMEMBERED + 50 {
            limiter.failed(&n.to_string(), None, at(0));
        }
        assert_eq!(limiter.failures.lock().unwrap().accounts.0.len(), REMEMBERED);
    }
}
