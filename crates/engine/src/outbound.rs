//! The sender: leases due messages, calls the provider, writes what came of it.
//!
//! Nothing is resent that may have gone out: a lost answer or a crash in the middle leaves a message `uncertain`,
//! and the provider's delivery report, which echoes our id, settles it.

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::message::{Media, MessageKind, MessageStatus, Platform, ProviderError};
use kabar_domain::outbound::{Accepted, OutboundMessage, Recipient, SendFailure, Verdict};
use kabar_domain::{OrganisationId, Timestamp};
use kabar_store::events::NewEvent;
use kabar_store::messages::provider_key;
use kabar_store::outbound::{self, Attempt, Ended, Leased};
use kabar_store::{Error as StoreError, Tx, statuses};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::apply::Standing;
use crate::engine::{Engine, PROVIDER_TIMEOUT};
use crate::error::Result;

/// How often the queue is looked at when nobody says that something is due.
const POLL: Duration = Duration::from_millis(500);
/// Attempts before a message that keeps failing is given up.
const ATTEMPTS: i64 = 8;
/// Longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// A lease outlives the slowest answer by this, for its outcome to be written.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// An attempt that ended, to be written.
struct Outcome {
    lease: Leased,
    result: Result<Accepted, SendFailure>,
    took: Duration,
}

/// `2^attempt` seconds, half to one and a half times, at most ten minutes. `unit` is 0 to 1.
fn backoff(attempt: i64, unit: f64) -> Duration {
    let seconds = f64::from(1_u32 << attempt.clamp(0, 12)) * (0.5 + unit);
    Duration::from_secs_f64(seconds).min(LONGEST_WAIT)
}

fn unit() -> f64 {
    crate::crypto::random::<4>()
        .map_or(0.5, |bytes| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

fn error_text(error: &ProviderError) -> String {
    serde_json::to_string(error).unwrap_or_default()
}

/// Whether the provider shows a text beside this kind. Where it does not, the text stays with us.
pub(crate) const fn shows_text(platform: Platform, kind: MessageKind) -> bool {
    !matches!(
        (platform, kind),
        (_, MessageKind::Sticker) | (Platform::Whatsapp, MessageKind::Audio | MessageKind::Voice)
    )
}

/// The message as its provider's module takes it.
fn outbound_message(lease: &Leased) -> Result<OutboundMessage, SendFailure> {
    let refuse = |title: &str, action: &str| SendFailure {
        error: ProviderError { code: 0, title: title.into(), detail: None, action: Some(action.into()) },
        verdict: Verdict::Fail,
    };
    let recipient = if let Some(group) = &lease.group {
        let topic = (!lease.topic.is_empty()).then(|| lease.topic.clone());
        Recipient::Group { external_id: group.clone(), topic }
    } else {
        use kabar_domain::inbound::IdentityKind;
        let fits = |kind| match lease.platform {
            Platform::Whatsapp => matches!(kind, IdentityKind::WaId | IdentityKind::Bsuid),
            Platform::Telegram => kind == IdentityKind::Telegram,
            Platform::Other => false,
        };
        let identity = lease.recipients.iter().find(|identity| fits(identity.kind)).ok_or_else(|| {
            refuse(
                "The contact cannot be reached over this channel",
                "Add the contact's number for this channel, or write over another channel.",
            )
        })?;
        Recipient::Person(identity.clone())
    };
    let media = lease
        .media
        .as_deref()
        .and_then(|text| serde_json::from_str::<Vec<Media>>(text).ok())
        .and_then(|media| media.into_iter().next());
    Ok(OutboundMessage {
        callback_data: lease.message_id.to_string(),
        recipient,
        kind: lease.kind,
        body: lease.body.clone().filter(|_| shows_text(lease.platform, lease.kind)),
        media,
        payload: lease
            .payload
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_else(|| json!({})),
        reply_to: lease.reply_to.clone(),
    })
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
        if self.store.is_sqlite() {
            // One process at a time: whatever is leased was leased by one that is gone.
            self.expire_leases(Timestamp::from_micros(i64::MAX)).await;
        }
        while !stop.is_cancelled() {
            let wake = self.outbound_ready.notified();
            self.expire_leases(self.clock.now()).await;
            let free = slots.available_permits();
            let leased = if free == 0 { Vec::new() } else { self.lease_due(owner, free).await };
            if leased.is_empty() {
                tokio::select! {
                    () = wake => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            for lease in leased {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
                let engine = Arc::clone(self);
                let done = done.clone();
                tokio::spawn(async move {
                    let begun = tokio::time::Instant::now();
                    let result = engine.call_provider(&lease).await;
                    let outcome = Outcome { lease, result, took: begun.elapsed() };
                    if done.send(outcome).await.is_err() {
                        tracing::error!("an outcome could not be handed over; its lease will expire");
                    }
                    drop(slot);
                });
            }
        }
        drop(done);
        if let Err(error) = writer.await {
            tracing::error!(%error, "outcomes could not be written; their leases will expire");
        }
    }

    async fn expire_leases(&self, before: Timestamp) {
        let error = ProviderError {
            code: 0,
            title: "The sender stopped before the provider's answer was known".into(),
            detail: None,
            action: Some(
                "It may have been delivered: wait for the delivery report, or ask the recipient.".into(),
            ),
        };
        let work = async {
            if kabar_store::outbound::depth(&mut self.store.reader().await?).await?.1 == 0 {
                return Ok(());
            }
            let mut tx = self.store.begin().await?;
            let expired = outbound::expire(&mut tx, before, self.clock.now(), &error_text(&error)).await?;
            for message in &expired {
                let data = json!({ "status": "uncertain", "conversation_id": message.conversation_id });
                let event = NewEvent {
                    kind: "message.status",
                    subject_id: Some(message.message_id.uuid()),
                    data: Some(data.to_string()),
                };
                tx.record(message.organisation_id, self.clock.now(), Vec::from([event]));
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

    async fn lease_due(&self, owner: Uuid, limit: usize) -> Vec<Leased> {
        let now = self.clock.now();
        let work = async {
            let due = outbound::next_due(&mut self.store.reader().await?).await?;
            if due.is_none_or(|due| due > now) {
                return Ok(Vec::new());
            }
            let mut tx = self.store.begin().await?;
            let until = now.plus(PROVIDER_TIMEOUT).plus(LEASE_MARGIN);
            let leased = outbound::lease(&mut tx, owner, now, until, limit as i64).await?;
            tx.commit().await?;
            Ok(leased)
        };
        let leased: Result<Vec<Leased>, StoreError> = work.await;
        leased.unwrap_or_else(|error| {
            tracing::error!(%error, "the outbound queue cannot be read now");
            Vec::new()
        })
    }

    async fn call_provider(&self, lease: &Leased) -> Result<Accepted, SendFailure> {
        let message = outbound_message(lease)?;
        let broken = |detail: String| SendFailure {
            error: ProviderError {
                code: 0,
                title: "The account's credentials cannot be used".into(),
                detail: Some(detail),
                action: Some("Give the account its access token again.".into()),
            },
            verdict: Verdict::PauseAccount,
        };
        let credentials = self
            .open_credentials(lease.organisation_id, lease.account_id, &lease.credentials)
            .map_err(|error| broken(error.to_string()))?;
        match (lease.platform, credentials.access_token, credentials.bot_token) {
            (Platform::Whatsapp, Some(token), _) => {
                self.whatsapp.send(&lease.account_external_id, &token, &message).await
            }
            (Platform::Telegram, _, Some(token)) => self.telegram.send(&token, &message).await,
            _ => Err(broken("it has no token for its platform".into())),
        }
    }

    /// Writes outcomes, many in one transaction, and again until they are written.
    async fn write_outcomes(&self, owner: Uuid, mut outcomes: mpsc::Receiver<Outcome>) {
        let mut batch = Vec::new();
        while outcomes.recv_many(&mut batch, 128).await > 0 {
            // Messages are locked in one order everywhere.
            batch.sort_unstable_by_key(|outcome: &Outcome| outcome.lease.message_id);
            while let Err(error) = self.write_batch(owner, &batch).await {
                tracing::error!(%error, outcomes = batch.len(), "outcomes cannot be written now; trying again");
                tokio::time::sleep(POLL).await;
            }
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

    async fn write_batch(&self, owner: Uuid, batch: &[Outcome]) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        for outcome in batch {
            kabar_store::apply::mark(&mut tx).await?;
            match self.write_outcome(&mut tx, owner, outcome).await {
                Ok(()) => kabar_store::apply::keep_mark(&mut tx).await?,
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    tracing::error!(message = %outcome.lease.message_id, %error, "an outcome cannot be written; its lease will expire");
                    kabar_store::apply::undo_to_mark(&mut tx).await?;
                }
            }
        }
        tx.commit().await
    }

    async fn write_outcome(&self, tx: &mut Tx, owner: Uuid, outcome: &Outcome) -> Result<(), StoreError> {
        let lease = &outcome.lease;
        let now = self.clock.now();
        let organisation = lease.organisation_id;
        let attempt = Attempt {
            organisation_id: organisation,
            message_id: lease.message_id,
            number: lease.attempt,
            owner,
        };
        let Some((found, is_named)) = outbound::standing(tx, organisation, lease.message_id).await? else {
            return Ok(());
        };
        let mut standing = Standing::new(organisation, found);
        let mut event = None;
        match &outcome.result {
            Ok(accepted) => {
                outbound::end(tx, attempt, Ended::Accepted, None, now).await?;
                let key = provider_key(lease.account_id, &accepted.provider_message_id);
                if !is_named {
                    statuses::name(tx, organisation, lease.message_id, &accepted.provider_message_id, key)
                        .await?;
                }
                standing.report(MessageStatus::Sent, now, None);
                for early in statuses::take_early(tx, organisation, key).await? {
                    standing.report(early.status, early.occurred_at, early.error);
                }
            }
            Err(failure) => {
                let text = error_text(&failure.error);
                let verdict = match failure.verdict {
                    verdict if verdict.is_temporary() && lease.attempt >= ATTEMPTS => Verdict::Fail,
                    verdict => verdict,
                };
                let ended = match verdict {
                    Verdict::Retry { after } | Verdict::Hold { after } | Verdict::SlowRecipient { after } => {
                        let wait = backoff(lease.attempt, unit()).max(after.unwrap_or_default());
                        Ended::Retry(now.plus(wait))
                    }
                    // Its account waits; it goes on as soon as that is mended.
                    Verdict::PauseAccount => Ended::Retry(now),
                    Verdict::Fail => Ended::Failed,
                    Verdict::Uncertain => Ended::Uncertain,
                };
                let ours = outbound::end(tx, attempt, ended, Some(&text), now).await?;
                match verdict {
                    Verdict::PauseAccount => self.pause(tx, lease, &failure.error, now).await?,
                    Verdict::Fail if ours => standing.report(MessageStatus::Failed, now, Some(text.clone())),
                    Verdict::Uncertain
                        if ours
                            && outbound::mark_uncertain(tx, organisation, lease.message_id, &text)
                                .await? =>
                    {
                        event = Some(MessageStatus::Uncertain);
                    }
                    _ => {}
                }
                if matches!(ended, Ended::Retry(_)) && ours {
                    outbound::requeue(tx, organisation, lease.message_id).await?;
                }
            }
        }
        if let Some(status) = standing.moved() {
            event = Some(status);
            statuses::advance(tx, Vec::from([standing.advance])).await?;
        }
        if let Some(status) = event {
            Self::record_status(tx, organisation, lease, status, now);
        }
        Ok(())
    }

    fn record_status(
        tx: &mut Tx,
        organisation: OrganisationId,
        lease: &Leased,
        status: MessageStatus,
        now: Timestamp,
    ) {
        let data = json!({ "status": status, "conversation_id": lease.conversation_id });
        let event = NewEvent {
            kind: "message.status",
            subject_id: Some(lease.message_id.uuid()),
            data: Some(data.to_string()),
        };
        tx.record(organisation, now, [event]);
    }

    async fn pause(
        &self,
        tx: &mut Tx,
        lease: &Leased,
        error: &ProviderError,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let problem =
            format!("{} (code {}). {}", error.title, error.code, error.action.as_deref().unwrap_or_default());
        let problem = problem.trim_end();
        if outbound::pause_account(tx, lease.organisation_id, lease.account_id, problem, now).await? {
            tracing::warn!(account = %lease.account_id, code = error.code, "sending is paused: the account was refused");
            let data = json!({ "connected": false, "problem": problem });
            let event = NewEvent {
                kind: "messaging_account.updated",
                subject_id: Some(lease.account_id.uuid()),
                data: Some(data.to_string()),
            };
            tx.record(lease.organisation_id, now, Vec::from([event]));
        }
        Ok(())
    }
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
        assert_eq!(backoff(1, 0.0), Duration::from_secs(1));
        assert_eq!(backoff(1, 1.0), Duration::from_secs(3));
        assert_eq!(backoff(5, 0.5), Duration::from_secs(32));
        assert_eq!(backoff(40, 0.5), LONGEST_WAIT);
    }
}
