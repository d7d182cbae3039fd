//! Everything the simulator remembers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::callbacks::Callbacks;
use crate::config::{Config, Number};
use crate::faults::Faults;
use crate::graph::GraphState;
use crate::ids::{Ids, now_ms};
use crate::limits::Buckets;
use crate::neoleap::Gateway;
use crate::telegram::TelegramState;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Whatsapp,
    Telegram,
}

/// A message the simulator accepted: what the recipient's phone shows.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// Grows by one with each message; the value for `after`.
    pub seq: u64,
    pub provider: Provider,
    /// The `wamid`, or `<bot id>:<chat id>:<message id>`.
    pub id: String,
    /// The account it came from: `phone_number_id`, or the bot's id.
    pub from: String,
    /// Digits, a group id, or a chat id.
    pub to: String,
    /// Meta's `type`, or Telegram's method.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text a person would read.
    pub body: String,
    /// The request as it came.
    pub payload: Arc<RawValue>,
    /// `accepted`, then the latest status called back; Telegram has only `sent`, `edited` and `deleted`.
    pub status: String,
    /// Milliseconds since the epoch.
    pub at: u64,
    pub callback_data: Option<String>,
}

/// A request as it reached one of the provider APIs, whatever became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    pub seq: u64,
    pub provider: Provider,
    /// The call's name: `messages`, `read`, `media`, `sendMessage`, …
    pub method: String,
    pub http_method: String,
    pub path: String,
    pub to: Option<String>,
    pub body: Arc<RawValue>,
    pub at: u64,
    /// The HTTP status answered; absent while the request is held, or when the connection was dropped.
    pub answered: Option<u16>,
    /// The fault that met it.
    pub fault: Option<crate::faults::FaultKind>,
}

/// A list that forgets its oldest entries and finds the others by sequence number.
pub(crate) struct Ring<T> {
    first: u64,
    entries: VecDeque<T>,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { first: 1, entries: VecDeque::new() }
    }
}

impl<T> Ring<T> {
    /// Appends what `make` builds from the entry's sequence number; what fell off the other end comes back.
    fn push(&mut self, keep: usize, make: impl FnOnce(u64) -> T) -> (u64, Option<T>) {
        let seq = self.first + self.entries.len() as u64;
        self.entries.push_back(make(seq));
        let dropped = if self.entries.len() > keep.max(1) { self.entries.pop_front() } else { None };
        if dropped.is_some() {
            self.first += 1;
        }
        (seq, dropped)
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut T> {
        self.entries.get_mut(seq.checked_sub(self.first)? as usize)
    }

    /// Entries with a sequence number above `seq`, oldest first.
    pub(crate) fn after(&self, seq: u64) -> impl Iterator<Item = &T> {
        self.entries.iter().skip((seq + 1).saturating_sub(self.first) as usize)
    }

    fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}

#[derive(Default)]
pub(crate) struct Records {
    pub sent: Ring<Sent>,
    pub received: Ring<Received>,
    by_id: HashMap<String, u64>,
}

impl Records {
    pub(crate) fn add_sent(&mut self, keep: usize, mut sent: Sent) -> u64 {
        let id = sent.id.clone();
        let (seq, dropped) = self.sent.push(keep, |seq| {
            sent.seq = seq;
            sent
        });
        if let Some(dropped) = dropped {
            self.by_id.remove(&dropped.id);
        }
        self.by_id.insert(id, seq);
        seq
    }

    pub(crate) fn add_received(&mut self, keep: usize, mut received: Received) -> u64 {
        self.received
            .push(keep, |seq| {
                received.seq = seq;
                received
            })
            .0
    }

    pub(crate) fn sent_by_id(&mut self, id: &str) -> Option<&mut Sent> {
        let seq = *self.by_id.get(id)?;
        self.sent.get_mut(seq)
    }

    pub(crate) fn clear(&mut self) {
        self.sent.clear();
        self.received.clear();
        self.by_id.clear();
    }
}

/// The state shared by every clone of a `Simulator`. No lock is held across an await.
pub(crate) struct Inner {
    config: RwLock<Config>,
    records: Mutex<Records>,
    graph: Mutex<GraphState>,
    telegram: Mutex<TelegramState>,
    faults: Mutex<Faults>,
    limits: Mutex<Buckets>,
    gateway: Mutex<Gateway>,
    pub ids: Ids,
    pub callbacks: Callbacks,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn new(config: Config) -> Self {
        let ids = Ids::new();
        let callbacks = Callbacks::new(&config);
        Self {
            graph: Mutex::new(GraphState::default()),
            telegram: Mutex::new(TelegramState::default()),
            config: RwLock::new(config),
            records: Mutex::default(),
            faults: Mutex::default(),
            limits: Mutex::default(),
            gateway: Mutex::default(),
            ids,
            callbacks,
        }
    }

    pub(crate) fn config(&self) -> RwLockReadGuard<'_, Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn config_mut(&self) -> RwLockWriteGuard<'_, Config> {
        self.config.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    pub(crate) fn graph(&self) -> MutexGuard<'_, GraphState> {
        lock(&self.graph)
    }

    pub(crate) fn telegram(&self) -> MutexGuard<'_, TelegramState> {
        lock(&self.telegram)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn limits(&self) -> MutexGuard<'_, Buckets> {
        lock(&self.limits)
    }

    pub(crate) fn gateway(&self) -> MutexGuard<'_, Gateway> {
        lock(&self.gateway)
    }

    pub(crate) fn number(&self, phone_number_id: &str) -> Option<Number> {
        self.config().numbers.iter().find(|number| number.phone_number_id == phone_number_id).cloned()
    }

    /// Remembers an accepted message. `seq` and `at` are filled in here.
    pub(crate) fn record_sent(&self, mut sent: Sent) -> u64 {
        sent.at = now_ms();
        let keep = self.config().keep;
        self.records().add_sent(keep, sent)
    }
}

/// Digits of a phone number written with `+`, spaces, dashes or brackets.
pub(crate) fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_forgets_the_oldest_and_keeps_numbers() {
        let mut ring = Ring::default();
        for expected in 1..=5u64 {
            assert_eq!(ring.push(3, |seq| seq).0, expected);
        }
        assert_eq!(ring.after(0).copied().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(ring.after(4).copied().collect::<Vec<_>>(), [5]);
        assert!(ring.get_mut(2).is_none());
        assert_eq!(ring.get_mut(3), Some(&mut 3));
        ring.clear();
        assert_eq!(ring.push(3, |seq| seq).0, 6);
    }
}
