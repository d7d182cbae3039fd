//! The sender: leases due messages, calls the provider, writes what came of it.
//!
//! Nothing is resent that may have gone out: a lost answer or a crash in the middle leaves a message `uncertain`,
//! and the provider's delivery report, which echoes our id, settles it.

mod call;
mod cancel;
mod dead_letters;
mod estimate;
mod outcome;
mod retry;
mod trouble;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use kabar_domain::Timestamp;
use kabar_domain::message::{MessageStatus, ProviderError};
use kabar_domain::outbound::{Accepted, SendFailure, Verdict};
use kabar_store::events::NewEvent;
use kabar_store::outbound::{self, Attempt, Leased};
use kabar_store::{Error as StoreError, Tx};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::{Engine, PROVIDER_TIMEOUT};
use crate::failpoint;

pub(crate) use call::shows_text;
pub use dead_letters::DeadLetter;
pub(crate) use estimate::Estimates;
pub(crate) use outcome::ATTEMPTS;
pub(crate) use trouble::Flights;

/// How often the queue is looked at when nobody says that something is due.
const POLL: Duration = Duration::from_millis(500);
/// How often it is looked for messages whose time has come, and for leases of senders that are gone.
const CHORES: Duration = Duration::from_millis(250);
/// Slots are given out this far ahead: as many messages share a transaction.
const HORIZON: Duration = Duration::from_millis(100);
/// More slots are given out when fewer than this is left of those before.
const AHEAD: Duration = Duration::from_millis(75);
/// Shortest time between two rounds that lease something: what comes meanwhile shares the next one's transaction.
const ROUND: Duration = Duration::from_millis(8);
/// A lease outlives the slowest answer by this, for its outcome to be written.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// What takes longer than this, as the upload of a large file, extends its lease as often.
const EXTEND: Duration = Duration::from_secs(20);
/// A clock that goes back by more than this was set.
const SET_BACK: Duration = Duration::from_secs(1);

/// An attempt that ended, to be written.
struct Outcome {
    lease: Leased,
    result: Result<Accepted, SendFailure>,
    took: Duration,
}

impl Outcome {
    /// The provider was not called.
    fn never_left(lease: Leased) -> Self {
        Self { lease, result: Err(too_late()), took: Duration::ZERO }
    }
}

fn too_late() -> SendFailure {
    let error = ProviderError {
        code: 0,
        title: "The sender came too late to its turn".into(),
        detail: None,
        action: Some("Nothing to do: Kabar tries again.".into()),
    };
    SendFailure { error, verdict: Verdict::Retry { after: None } }
}

/// Why nobody knows whether a message was sent that somebody worked on.
fn unknown(title: &str) -> ProviderError {
    ProviderError {
        code: 0,
        title: title.into(),
        detail: None,
        action: Some(
            "It may have been delivered: wait for the delivery report, or ask the recipient.".into(),
        ),
    }
}

pub(crate) fn error_text(error: &ProviderError) -> String {
    serde_json::to_string(error).unwrap_or_default()
}

/// The event that a message stands elsewhere now.
pub(crate) fn status_event(
    message: kabar_domain::MessageId,
    conversation: kabar_domain::ConversationId,
    status: MessageStatus,
) -> NewEvent {
    let data = json!({ "status": status, "conversation_id": conversation });
    NewEvent { kind: "message.status", subject_id: Some(message.uuid()), data: Some(data.to_string()) }
}

fn attempt_of(lease: &Leased, owner: Uuid) -> Attempt {
    Attempt {
        organisation_id: lease.organisation_id,
        message_id: lease.message_id,
        number: lease.attempt,
        owner,
    }
}

fn until(now: Timestamp) -> Timestamp {
    now.plus(PROVIDER_TIMEOUT).plus(LEASE_MARGIN)
}

impl Engine {
    /// Sends until `stop`; attempts under way are finished and written.
    pub(crate) async fn run_sender(self: &Arc<Self>, stop: CancellationToken) {
        let owner = self.clock.uuid();
        let slots = Arc::new(Semaphore::new(self.config.outbound_concurrency));
        let (done, outcomes) = mpsc::channel(self.config.outbound_concurrency.max(1));
        let writer = {
            let engine = Arc::clone(self);
            tokio::spawn(async move { engine.write_outcomes(owner, outcomes).await })
        };
        self.begin_sending(owner).await;
        let mut doubtful = Vec::new();
        let mut seen = self.clock.now();
        let mut chores_at = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            let wake = self.outbound_ready.notified();
            let now = self.clock.now();
            if seen.since(now) > SET_BACK {
                self.turn_back(seen.since(now)).await;
            }
            seen = now;
            if chores_at.elapsed() >= CHORES {
                self.do_chores(owner).await;
                self.refresh_estimates().await;
                chores_at = tokio::time::Instant::now();
            }
            let begun = tokio::time::Instant::now();
            let round = self.lease_round(owner, slots.available_permits(), &mut doubtful).await;
            let leased = !round.messages.is_empty();
            for lease in round.messages {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
                let (engine, done) = (Arc::clone(self), done.clone());
                self.flights.begin(lease.account_id);
                tokio::spawn(async move {
                    let begun = tokio::time::Instant::now();
                    let attempt = AssertUnwindSafe(engine.attempt(owner, &lease)).catch_unwind().await;
                    engine.flights.end(lease.account_id);
                    let (result, took) = attempt.unwrap_or_else(|_| {
                        let error = unknown("The sender failed before the provider's answer was known");
                        (Err(SendFailure { error, verdict: Verdict::Uncertain }), begun.elapsed())
                    });
                    let outcome = Outcome { lease, result, took };
                    if done.send(outcome).await.is_err() {
                        tracing::error!("an outcome could not be handed over; its lease will expire");
                    }
                    drop(slot);
                });
            }
            let wait = round.next.map_or(POLL, |next| next.minus(AHEAD).since(self.clock.now()).min(POLL));
            if leased {
                let least = ROUND.saturating_sub(begun.elapsed());
                tokio::select! {
                    () = tokio::time::sleep(least) => {}
                    () = stop.cancelled() => {}
                }
                if wait <= least {
                    continue;
                }
            }
            tokio::select! {
                () = wake => {}
                () = tokio::time::sleep(wait.max(Duration::from_millis(1))) => {}
                () = stop.cancelled() => {}
            }
        }
        drop(done);
        if let Err(error) = writer.await {
            tracing::error!(%error, "outcomes could not be written; their leases will expire");
        }
    }

    /// What a server that was here before left behind.
    async fn begin_sending(&self, owner: Uuid) {
        if self.store.is_sqlite() {
            // One process at a time: whatever is leased was leased by one that is gone.
            self.expire_leases(owner, Timestamp::from_micros(i64::MAX)).await;
        }
        let newest: Result<_, StoreError> =
            async { outbound::newest(&mut self.store.reader().await?).await }.await;
        let now = self.clock.now();
        match newest {
            Ok(Some(newest)) if newest.since(now) > SET_BACK => self.turn_back(newest.since(now)).await,
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the outbound queue cannot be read now"),
        }
    }

    async fn turn_back(&self, by: Duration) {
        tracing::warn!(seconds = by.as_secs(), "the clock went back; what waits is not made to wait for it");
        let work = async {
            let mut tx = self.store.begin().await?;
            outbound::turn_back(&mut tx, by, self.clock.now()).await?;
            tx.commit().await
        };
        let result: Result<(), StoreError> = work.await;
        if let Err(error) = result {
            tracing::error!(%error, "waiting messages could not be moved to the new time");
        }
    }

    async fn do_chores(&self, owner: Uuid) {
        let now = self.clock.now();
        let found: Result<_, StoreError> =
            async { outbound::chores(&mut self.store.reader().await?, owner, now).await }.await;
        let chores = match found {
            Ok(chores) => chores,
            Err(error) => {
                tracing::error!(%error, "the outbound queue cannot be read now");
                return;
            }
        };
        if chores.has_expired_leases {
            self.expire_leases(owner, now).await;
        }
        if chores.has_stranded
            && let Err(error) = self.give_over_stranded().await
        {
            tracing::error!(%error, "what waits at retired accounts could not be handed on; it is tried again");
        }
        if chores.has_scheduled {
            let work = async {
                let mut tx = self.store.begin().await?;
                outbound::admit_scheduled(&mut tx, &self.clock, 500).await?;
                tx.commit().await
            };
            let result: Result<(), StoreError> = work.await;
            if let Err(error) = result {
                tracing::error!(%error, "scheduled messages could not be queued; it is tried again");
            }
        }
    }

    async fn expire_leases(&self, owner: Uuid, before: Timestamp) {
        let error = unknown("The sender stopped before the provider's answer was known");
        let work = async {
            let now = self.clock.now();
            let mut tx = self.store.begin().await?;
            let expired = outbound::expire(&mut tx, owner, before, now, &error_text(&error)).await?;
            let messages: Vec<_> =
                expired.iter().map(|message| (message.organisation_id, message.message_id)).collect();
            outbound::note_dead(&mut tx, &messages, "uncertain", now.plus(self.config.uncertain_after))
                .await?;
            for message in &expired {
                let event =
                    status_event(message.message_id, message.conversation_id, MessageStatus::Uncertain);
                tx.record(message.organisation_id, now, [event]);
            }
            if !expired.is_empty() {
                tracing::warn!(messages = expired.len(), "messages are uncertain: their sender stopped");
            }
            tx.commit().await
        };
        let result: Result<(), StoreError> = work.await;
        if let Err(error) = result {
            tracing::error!(%error, "expired leases could not be ended");
        }
    }

    /// Leases what may leave now, of every account that has something. `doubtful` are attempts of which nobody knows
    /// whether they were begun, since the answer to their commit is lost; none of them left, and they are given back
    /// before anything is leased again.
    async fn lease_round(
        self: &Arc<Self>,
        owner: Uuid,
        room: usize,
        doubtful: &mut Vec<Outcome>,
    ) -> outbound::Leases {
        if room == 0 {
            return outbound::Leases::default();
        }
        let work = async {
            if !doubtful.is_empty() {
                self.write_batch(owner, doubtful).await?;
                doubtful.clear();
            }
            let now = self.clock.now();
            let mut round = outbound::Leases::default();
            let mut ready = Vec::new();
            for account in outbound::ready_accounts(&mut self.store.reader().await?, now).await? {
                let at = account.next_at.minus(AHEAD).max(account.hold_until);
                if at > now {
                    round.next = Some(round.next.map_or(at.plus(AHEAD), |next| next.min(at.plus(AHEAD))));
                } else if self.may_send(&account) {
                    ready.push(account);
                }
            }
            if ready.is_empty() {
                return Ok(round);
            }
            let mut tx = self.store.begin().await?;
            for account in ready {
                let room = room - round.messages.len();
                if room == 0 {
                    break;
                }
                let leased =
                    outbound::lease(&mut tx, owner, &account, now, now.plus(HORIZON), until(now), room)
                        .await?;
                round.messages.extend(leased.messages);
                if let Some(next) = leased.next {
                    round.next = Some(round.next.map_or(next, |earliest| earliest.min(next)));
                }
            }
            if let Err(error) = failpoint::answer("lease_answer", tx.commit().await) {
                doubtful.extend(round.messages.into_iter().map(Outcome::never_left));
                return Err(error);
            }
            Ok(round)
        };
        let round: Result<outbound::Leases, StoreError> = work.await;
        let round = round.unwrap_or_else(|error| {
            tracing::error!(%error, "the outbound queue cannot be read now");
            outbound::Leases::default()
        });
        if !round.messages.is_empty() {
            failpoint::reach("after_lease");
        }
        round
    }

    /// Waits for the message's turn and calls the provider, extending the lease when that takes long. What came of it,
    /// and how long that took.
    async fn attempt(&self, owner: Uuid, lease: &Leased) -> (Result<Accepted, SendFailure>, Duration) {
        tokio::time::sleep(lease.slot.since(self.clock.now()).min(HORIZON)).await;
        self.flights.depart(lease.account_id, lease.per_second).await;
        let begun = tokio::time::Instant::now();
        // Who stood still for so long may wake when the lease is over, and somebody else has decided on the message.
        if self.clock.now().since(lease.slot) > LEASE_MARGIN {
            return (Err(too_late()), Duration::ZERO);
        }
        let call = async {
            failpoint::reach("before_call");
            let result = self.call_provider(lease).await;
            failpoint::reach("after_call");
            result
        };
        let result = tokio::select! {
            result = call => result,
            never = self.keep_leased(attempt_of(lease, owner)) => match never {},
        };
        (result, begun.elapsed())
    }

    async fn keep_leased(&self, attempt: Attempt) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(EXTEND).await;
            let work = async {
                let mut tx = self.store.begin().await?;
                outbound::extend(&mut tx, attempt, until(self.clock.now())).await?;
                tx.commit().await
            };
            let result: Result<(), StoreError> = work.await;
            if let Err(error) = result {
                tracing::warn!(%error, "a lease could not be extended");
            }
        }
    }

    /// Records that uncertain messages were not settled in time: a person has to decide.
    pub(crate) async fn announce_uncertain(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx: Tx = self.store.begin().await?;
        for (organisation, message) in outbound::announce(&mut tx, now, 1_000).await? {
            let event = NewEvent {
                kind: "message.needs_decision",
                subject_id: Some(message.uuid()),
                data: Some(json!({ "status": "uncertain" }).to_string()),
            };
            tx.record(organisation, now, [event]);
        }
        tx.commit().await
    }
}
