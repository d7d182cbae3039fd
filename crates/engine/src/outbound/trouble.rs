//! Calls under way: accounts whose provider does not answer, or takes nothing, and calls that would leave together.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kabar_domain::AccountId;
use kabar_domain::message::Platform;
use kabar_domain::outbound::{SendFailure, Verdict};
use kabar_store::Error as StoreError;
use kabar_store::outbound::{self, Ready, TROUBLED};
use tokio::time::Instant;

use super::outcome::hold_time;
use crate::engine::Engine;

/// So many calls of one account may be without an answer for [`SILENCE`] before no more are begun: whatever is under
/// way when a provider falls silent ends uncertain.
const UNANSWERED: usize = 16;
const SILENCE: Duration = Duration::from_secs(3);
/// A probe that has not ended by then is made again.
const PROBE: Duration = Duration::from_secs(40);

/// In a little more than a second no more calls leave than the account may make in one: what the network holds up does
/// not arrive together with those behind it.
const SECOND: Duration = Duration::from_millis(1_015);

/// Calls under way, by account.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<AccountId, Flight>>);

#[derive(Debug)]
struct Flight {
    calls: usize,
    /// The last answer, or the first call since there was nothing under way.
    since: Instant,
    /// Errors in a row after which the provider was asked and answered: one message may try.
    probed: Option<i64>,
    /// When the last calls left, as many as may leave in a second.
    departures: VecDeque<Instant>,
}

impl Flights {
    fn all(&self) -> MutexGuard<'_, HashMap<AccountId, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, account: AccountId) {
        let mut all = self.all();
        let flight = all.entry(account).or_insert_with(Flight::new);
        if flight.calls == 0 {
            flight.since = Instant::now();
        }
        flight.calls += 1;
    }

    pub(super) fn end(&self, account: AccountId) {
        if let Some(flight) = self.all().get_mut(&account) {
            flight.calls = flight.calls.saturating_sub(1);
            flight.since = Instant::now();
        }
    }

    /// Waits until another call may leave. Slots are spread evenly, but a busy machine wakes several tasks at once.
    pub(super) async fn depart(&self, account: AccountId, per_second: u32) {
        loop {
            let next = {
                let mut all = self.all();
                let departures = &mut all.entry(account).or_insert_with(Flight::new).departures;
                let now = Instant::now();
                while departures.len() >= per_second.max(1) as usize
                    && departures.front().is_some_and(|first| *first + SECOND <= now)
                {
                    departures.pop_front();
                }
                if departures.len() < per_second.max(1) as usize {
                    departures.push_back(now);
                    return;
                }
                departures.front().map_or(now, |first| *first + SECOND)
            };
            tokio::time::sleep_until(next).await;
        }
    }

    fn is_silent(&self, account: AccountId) -> bool {
        let all = self.all();
        all.get(&account).is_some_and(|flight| flight.calls >= UNANSWERED && flight.since.elapsed() > SILENCE)
    }

    fn probed(&self, account: AccountId) -> Option<i64> {
        self.all().get(&account).and_then(|flight| flight.probed)
    }

    fn set_probed(&self, account: AccountId, failures: Option<i64>) {
        self.all().entry(account).or_insert_with(Flight::new).probed = failures;
    }
}

impl Flight {
    fn new() -> Self {
        Self { calls: 0, since: Instant::now(), probed: None, departures: VecDeque::new() }
    }
}

impl Engine {
    /// Whether calls may be begun now. Of a provider in trouble it is first asked, by a call that changes nothing,
    /// whether it is there: a message that finds it silent would be uncertain.
    pub(super) fn may_send(self: &Arc<Self>, account: &Ready) -> bool {
        if self.flights.is_silent(account.account_id) {
            return false;
        }
        if account.failures < TROUBLED || self.flights.probed(account.account_id) == Some(account.failures) {
            return true;
        }
        let (engine, account) = (Arc::clone(self), account.clone());
        tokio::spawn(async move {
            if let Err(error) = engine.probe(&account).await {
                tracing::error!(%error, "a provider in trouble could not be asked");
            }
        });
        false
    }

    async fn probe(&self, account: &Ready) -> Result<(), StoreError> {
        let (organisation, id) = (account.organisation_id, account.account_id);
        let mut tx = self.store.begin().await?;
        outbound::let_go(&mut tx, organisation, id, self.clock.now().plus(PROBE)).await?;
        tx.commit().await?;
        let asked = tokio::time::timeout(PROBE / 2, self.ask_provider(account)).await;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        outbound::let_go(&mut tx, organisation, id, now).await?;
        let trouble = match asked {
            Ok(Ok(())) => {
                self.flights.set_probed(id, Some(account.failures));
                None
            }
            Ok(Err(failure)) if failure.verdict == Verdict::PauseAccount => {
                self.pause(&mut tx, organisation, id, &failure.error, now).await?;
                None
            }
            Ok(Err(SendFailure { error, .. })) => Some(error.title),
            Err(_) => Some("The provider does not answer".to_owned()),
        };
        if let Some(reason) = trouble {
            let until = |failures| now.plus(hold_time(failures, None));
            outbound::hold(&mut tx, organisation, id, 1, until, &reason).await?;
        }
        tx.commit().await?;
        self.outbound_ready.notify_one();
        Ok(())
    }

    async fn ask_provider(&self, account: &Ready) -> Result<(), SendFailure> {
        let opened = self.open_credentials(account.organisation_id, account.account_id, &account.credentials);
        // Credentials that cannot be opened stop the account with the next message.
        let Ok(credentials) = opened else { return Ok(()) };
        match (account.platform, credentials.access_token, credentials.bot_token) {
            (Platform::Whatsapp, Some(token), _) => {
                self.whatsapp.number(&account.external_id, &token).await.map(drop)
            }
            (Platform::Telegram, _, Some(token)) => self.telegram.me(&token).await.map(drop),
            _ => Ok(()),
        }
    }
}
