//! What came of an attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kabar_domain::message::{MessageStatus, ProviderError};
use kabar_domain::outbound::Verdict;
use kabar_domain::{AccountId, ConversationId, MessageId, OrganisationId, Timestamp};
use kabar_store::events::NewEvent;
use kabar_store::messages::provider_key;
use kabar_store::outbound::{self, Ended, Leased, PairAnswer, TROUBLED};
use kabar_store::{Error as StoreError, Tx, contacts, statuses};
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Outcome, POLL, attempt_of, error_text, status_event, unknown};
use crate::apply::Standing;
use crate::crypto::unit;
use crate::engine::Engine;
use crate::{failpoint, window};

/// Attempts before a message that keeps failing is given up.
pub(crate) const ATTEMPTS: i64 = 8;
/// Longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// Longest time an account whose provider is in trouble is left alone.
const LONGEST_HOLD: Duration = Duration::from_mins(1);

/// `2^attempt` seconds, half to one and a half times, at most `longest`. `unit` is 0 to 1.
fn backoff(attempt: i64, unit: f64, longest: Duration) -> Duration {
    let seconds = f64::from(1_u32 << attempt.clamp(0, 12)) * (0.5 + unit);
    Duration::from_secs_f64(seconds).min(longest)
}

/// How long an account is left alone after an error of its provider, the `failures`th in a row.
pub(super) fn hold_time(failures: i64, after: Option<Duration>) -> Duration {
    backoff(failures - 1, unit(), LONGEST_HOLD).max(after.unwrap_or_default())
}

/// What a batch of outcomes says of an account's provider.
#[derive(Default)]
struct Health {
    answered: bool,
    /// Took nothing: for how long, and why.
    refused: Option<(Option<Duration>, String)>,
    /// Gave no answer, or none that could be understood.
    silent: Option<String>,
    /// How many messages that was.
    unanswered: i64,
}

/// What is written once for a batch, after its messages.
#[derive(Default)]
struct Gathered {
    lanes: BTreeSet<ConversationId>,
    health: BTreeMap<(OrganisationId, AccountId), Health>,
    pairs: BTreeMap<(OrganisationId, AccountId, Uuid), PairAnswer>,
    failed: Vec<(OrganisationId, MessageId)>,
    uncertain: Vec<(OrganisationId, MessageId)>,
}

impl Engine {
    /// Writes outcomes, many in one transaction, and again until they are written.
    pub(super) async fn write_outcomes(&self, owner: Uuid, mut outcomes: mpsc::Receiver<Outcome>) {
        let mut batch = Vec::new();
        while outcomes.recv_many(&mut batch, 128).await > 0 {
            // Messages are locked in one order everywhere.
            batch.sort_unstable_by_key(|outcome: &Outcome| outcome.lease.message_id);
            self.write_all(owner, &batch).await;
            failpoint::reach("after_outcome");
            for outcome in batch.drain(..) {
                let (name, code) = match &outcome.result {
                    Ok(_) => ("accepted", None),
                    Err(failure) => (verdict_name(failure.verdict), Some(failure.error.code)),
                };
                self.metrics.attempted(outcome.lease.platform, name, code, outcome.took);
            }
            // A lane may have come free.
            self.outbound_ready.notify_one();
        }
    }

    /// Writes a batch, once it can be. If it never can, each by itself; what then is left ends with its lease.
    async fn write_all(&self, owner: Uuid, batch: &[Outcome]) {
        while let Err(error) = self.write_batch(owner, batch).await {
            if error.is_transient() {
                tracing::error!(%error, outcomes = batch.len(), "outcomes cannot be written now; trying again");
                tokio::time::sleep(POLL).await;
            } else if let [outcome] = batch {
                tracing::error!(%error, message = %outcome.lease.message_id, "an outcome cannot be written");
                return;
            } else {
                for outcome in batch.chunks(1) {
                    Box::pin(self.write_all(owner, outcome)).await;
                }
                return;
            }
        }
    }

    pub(super) async fn write_batch(&self, owner: Uuid, batch: &[Outcome]) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let now = self.clock.now();
        let mut gathered = Gathered::default();
        for outcome in batch {
            let savepoint = tx.savepoint().await?;
            match self.write_outcome(&mut tx, owner, outcome, &mut gathered, now).await {
                Ok(()) => tx.keep(savepoint).await?,
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    tracing::error!(message = %outcome.lease.message_id, %error, "an outcome cannot be written; it stays unknown");
                    tx.undo_to(savepoint).await?;
                    self.write_unknown(&mut tx, owner, &outcome.lease, &mut gathered, now).await?;
                }
            }
        }
        outbound::note_dead(&mut tx, &gathered.failed, "failed", now).await?;
        let listed_at = now.plus(self.config.uncertain_after);
        outbound::note_dead(&mut tx, &gathered.uncertain, "uncertain", listed_at).await?;
        let lanes: Vec<_> = gathered.lanes.into_iter().collect();
        outbound::free_lanes(&mut tx, &lanes).await?;
        for ((organisation, account), health) in gathered.health {
            self.note_health(&mut tx, organisation, account, health, now).await?;
        }
        for ((organisation, account, pair), answer) in gathered.pairs {
            outbound::pair_answered(&mut tx, organisation, account, pair, answer, now).await?;
        }
        tx.commit().await
    }

    /// Ends an attempt without what came of it.
    async fn write_unknown(
        &self,
        tx: &mut Tx,
        owner: Uuid,
        lease: &Leased,
        gathered: &mut Gathered,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (organisation, message) = (lease.organisation_id, lease.message_id);
        let text = error_text(&unknown("What came of it could not be written down"));
        gathered.lanes.insert(lease.conversation_id);
        let ours = outbound::end(tx, attempt_of(lease, owner), Ended::Uncertain, Some(&text), now).await?;
        if ours && outbound::mark_uncertain(tx, organisation, message, &text).await? {
            gathered.uncertain.push((organisation, message));
            let event = status_event(message, lease.conversation_id, MessageStatus::Uncertain);
            tx.record(organisation, now, [event]);
        }
        Ok(())
    }

    async fn write_outcome(
        &self,
        tx: &mut Tx,
        owner: Uuid,
        outcome: &Outcome,
        gathered: &mut Gathered,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lease = &outcome.lease;
        let (organisation, message) = (lease.organisation_id, lease.message_id);
        let attempt = attempt_of(lease, owner);
        let Some((found, is_named)) = outbound::standing(tx, organisation, message).await? else {
            return Ok(());
        };
        gathered.lanes.insert(lease.conversation_id);
        let health = gathered.health.entry((organisation, lease.account_id)).or_default();
        let mut standing = Standing::new(organisation, found);
        let mut event = None;
        match &outcome.result {
            Ok(accepted) => {
                health.answered |= lease.was_refused;
                if !outbound::end(tx, attempt, Ended::Accepted, None, now).await? {
                    // It may wait to be sent again by now.
                    outbound::settle(tx, organisation, message, now).await?;
                }
                let key = provider_key(lease.account_id, &accepted.provider_message_id);
                if is_named {
                    outbound::keep_key(tx, attempt, key).await?;
                } else {
                    statuses::name(tx, organisation, message, &accepted.provider_message_id, key).await?;
                }
                if let Some(identity) = &accepted.recipient
                    && lease.group.is_none()
                    && !lease.recipients.contains(identity)
                {
                    // They write under the name that the provider has for them.
                    contacts::attach_to_peer(tx, organisation, identity, lease.conversation_id).await?;
                }
                standing.report(MessageStatus::Sent, now, None);
                for early in statuses::take_early(tx, organisation, key).await? {
                    standing.report(early.status, early.occurred_at, early.error);
                }
                if lease.was_refused {
                    gathered
                        .pairs
                        .entry((organisation, lease.account_id, lease.pair_id))
                        .or_insert(PairAnswer::Taken);
                }
            }
            Err(failure) => {
                let text = error_text(&failure.error);
                let falls_back = failure.error.code == window::REFUSED
                    && matches!(found.status, MessageStatus::Sending | MessageStatus::Uncertain)
                    && outbound::window_refused(tx, organisation, lease.conversation_id, message, now)
                        .await?;
                let ended = match failure.verdict {
                    Verdict::Fail if falls_back => Ended::Retry { due: now, counts: false },
                    Verdict::Retry { .. } if lease.failures + 1 >= ATTEMPTS => Ended::Failed,
                    Verdict::Retry { after } => {
                        let wait =
                            backoff(lease.failures + 1, unit(), LONGEST_WAIT).max(after.unwrap_or_default());
                        Ended::Retry { due: now.plus(wait), counts: true }
                    }
                    Verdict::SlowRecipient { after } => {
                        // Its recipient's bucket says when.
                        gathered.pairs.insert(
                            (organisation, lease.account_id, lease.pair_id),
                            PairAnswer::TooMuch(after),
                        );
                        Ended::Retry { due: now, counts: false }
                    }
                    Verdict::Hold { after } => {
                        health.refused = Some((after, failure.error.title.clone()));
                        Ended::Retry { due: now, counts: false }
                    }
                    // Its account waits; it goes on as soon as that is mended.
                    Verdict::PauseAccount => Ended::Retry { due: now, counts: false },
                    Verdict::Fail => Ended::Failed,
                    Verdict::Uncertain => {
                        health.silent = Some(failure.error.title.clone());
                        health.unanswered += 1;
                        Ended::Uncertain
                    }
                };
                let ours = outbound::end(tx, attempt, ended, Some(&text), now).await?;
                // Its lease ran out, but now we know: it was not sent.
                let known_now = !ours && found.status == MessageStatus::Uncertain;
                if failure.verdict == Verdict::PauseAccount {
                    self.pause(tx, organisation, lease.account_id, &failure.error, now).await?;
                }
                match ended {
                    Ended::Failed if ours || known_now => {
                        standing.report(MessageStatus::Failed, now, Some(text.clone()));
                    }
                    Ended::Uncertain
                        if ours && outbound::mark_uncertain(tx, organisation, message, &text).await? =>
                    {
                        gathered.uncertain.push((organisation, message));
                        event = Some(MessageStatus::Uncertain);
                    }
                    Ended::Retry { .. } if ours => {
                        outbound::requeue(tx, organisation, message).await?;
                        event = falls_back.then_some(MessageStatus::Queued);
                    }
                    Ended::Retry { due, .. } if known_now => {
                        let position = self.clock.uuid();
                        let account = lease.account_id;
                        outbound::send_again(tx, organisation, message, account, position, due, now).await?;
                        event = Some(MessageStatus::Queued);
                    }
                    _ => {}
                }
            }
        }
        if let Some(status) = standing.moved() {
            event = Some(status);
            let refused_at =
                standing.advance.failed_at.filter(|_| window::is_refusal(standing.advance.error.as_deref()));
            statuses::advance(tx, Vec::from([standing.advance])).await?;
            // The report came before the answer.
            if let Some(at) = refused_at.filter(|_| outcome.result.is_ok())
                && outbound::window_refused(tx, organisation, lease.conversation_id, message, at).await?
            {
                let (position, account) = (self.clock.uuid(), lease.account_id);
                outbound::send_again(tx, organisation, message, account, position, now, now).await?;
                event = Some(MessageStatus::Queued);
            } else if status == MessageStatus::Failed {
                gathered.failed.push((organisation, message));
            }
        }
        if let Some(status) = event {
            tx.record(organisation, now, [status_event(message, lease.conversation_id, status)]);
        }
        Ok(())
    }

    /// Opens or closes the way to an account's provider.
    async fn note_health(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        account: AccountId,
        health: Health,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reopened = health.answered && outbound::provider_answered(tx, organisation, account).await?;
        let trouble = match (health.refused, health.silent) {
            (Some((after, reason)), _) => Some((after, reason, true)),
            (None, Some(reason)) if !health.answered => Some((None, reason, false)),
            _ => None,
        };
        let Some((after, reason, refused)) = trouble else {
            if reopened {
                tracing::info!(%account, "the provider takes messages again");
                record_sending(tx, organisation, account, &json!({ "sending": "resumed" }), now);
            }
            return Ok(());
        };
        // Of what got no answer each message may have been sent: a few in a row stop the account, too.
        let until = |failures: i64| {
            if refused || failures >= TROUBLED { now.plus(hold_time(failures, after)) } else { now }
        };
        // Refusals of what was under way together are one; what got no answer is one each.
        let times = if refused { 1 } else { health.unanswered };
        let failures = outbound::hold(tx, organisation, account, times, until, &reason).await?;
        if failures == TROUBLED {
            tracing::warn!(%account, reason, "the provider is in trouble; sending slows down to single tries");
            let data = json!({ "sending": "held", "problem": reason });
            record_sending(tx, organisation, account, &data, now);
        }
        Ok(())
    }

    /// Stops an account whose credentials or standing the provider refused.
    pub(super) async fn pause(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        account: AccountId,
        error: &ProviderError,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let problem =
            format!("{} (code {}). {}", error.title, error.code, error.action.as_deref().unwrap_or_default());
        let problem = problem.trim_end();
        if outbound::pause_account(tx, organisation, account, problem, now).await? {
            tracing::warn!(%account, code = error.code, "sending is paused: the account was refused");
            let data = json!({ "status": "disconnected", "connected": false, "problem": problem });
            record_sending(tx, organisation, account, &data, now);
        }
        Ok(())
    }
}

/// The event that an account's way to its provider opened or closed.
fn record_sending(
    tx: &mut Tx,
    organisation: OrganisationId,
    account: AccountId,
    data: &serde_json::Value,
    now: Timestamp,
) {
    let event = NewEvent {
        kind: "messaging_account.updated",
        subject_id: Some(account.uuid()),
        data: Some(data.to_string()),
    };
    tx.record(organisation, now, [event]);
}

const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Retry { .. } => "retry",
        Verdict::Hold { .. } => "held",
        Verdict::SlowRecipient { .. } => "slowed",
        Verdict::Fail => "failed",
        Verdict::PauseAccount => "paused",
        Verdict::Uncertain => "uncertain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_jitter_and_end() {
        assert_eq!(backoff(1, 0.0, LONGEST_WAIT), Duration::from_secs(1));
        assert_eq!(backoff(1, 1.0, LONGEST_WAIT), Duration::from_secs(3));
        assert_eq!(backoff(5, 0.5, LONGEST_WAIT), Duration::from_secs(32));
        assert_eq!(backoff(40, 0.5, LONGEST_WAIT), LONGEST_WAIT);
    }
}
