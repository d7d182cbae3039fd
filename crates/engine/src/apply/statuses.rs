//! Delivery reports: forward only, in any order, and patient when they come before their message.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kabar_domain::message::{MessageStatus, ProviderError};
use kabar_domain::{MessageId, OrganisationId, Timestamp};
use kabar_providers::whatsapp;
use kabar_store::messages::provider_key;
use kabar_store::outbound;
use kabar_store::statuses::{self, Advance, Early, Locked, Reported};
use kabar_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::batch::{Batch, Report};
use crate::outbound::ATTEMPTS;
use crate::window;

/// A message's standing, and how reports move it.
#[derive(Debug)]
pub(crate) struct Standing {
    pub advance: Advance,
    from: MessageStatus,
}

impl Standing {
    pub fn new(organisation_id: OrganisationId, found: Reported) -> Self {
        Self {
            advance: Advance {
                organisation_id,
                id: found.id,
                status: found.status,
                sent_at: None,
                delivered_at: None,
                read_at: None,
                failed_at: None,
                error: None,
            },
            from: found.status,
        }
    }

    /// One report. Its time is kept even when a later stage is already known.
    pub fn report(&mut self, status: MessageStatus, at: Timestamp, error: Option<String>) {
        let advance = &mut self.advance;
        if self.from == MessageStatus::Received || advance.status == MessageStatus::Failed {
            return;
        }
        match status {
            MessageStatus::Sent => advance.sent_at = advance.sent_at.or(Some(at)),
            MessageStatus::Delivered => advance.delivered_at = advance.delivered_at.or(Some(at)),
            MessageStatus::Read | MessageStatus::Played => advance.read_at = advance.read_at.or(Some(at)),
            _ => {}
        }
        if advance.status.advances_to(status) {
            advance.status = status;
            if status == MessageStatus::Failed {
                advance.failed_at = Some(at);
                advance.error = error;
            }
        }
    }

    /// The new status, when there is one.
    pub fn moved(&self) -> Option<MessageStatus> {
        (self.advance.status != self.from).then_some(self.advance.status)
    }
}

/// An outbound message that was sent elsewhere, as it was just stored.
pub(super) struct Sent {
    pub organisation: OrganisationId,
    pub key: Uuid,
    pub message: Reported,
}

fn error_text(error: Option<&ProviderError>) -> Option<String> {
    error.and_then(|error| serde_json::to_string(error).ok())
}

impl Batch<'_> {
    pub(super) async fn apply_reports(
        &mut self,
        tx: &mut Tx,
        reports: Vec<Report>,
    ) -> Result<(), StoreError> {
        if reports.is_empty() {
            return Ok(());
        }
        let mut by_message: BTreeMap<(OrganisationId, Uuid), Vec<Report>> = BTreeMap::new();
        for report in reports {
            let key = provider_key(report.account.id, &report.update.provider_message_id);
            by_message.entry((report.account.organisation_id, key)).or_default().push(report);
        }
        let known: HashMap<Uuid, MessageId> =
            statuses::resolve(tx, by_message.keys().copied().collect()).await?.into_iter().collect();
        let mut wanted = Vec::with_capacity(by_message.len());
        for ((organisation, key), reports) in &by_message {
            match known.get(key) {
                Some(id) => wanted.push((*organisation, *id)),
                None => wanted.extend(reports.iter().filter_map(echoed).map(|id| (*organisation, id))),
            }
        }
        let locked = statuses::lock(tx, wanted).await?;
        let mut advances = Vec::with_capacity(by_message.len());
        let mut early = Vec::new();
        let mut failed = Vec::new();
        for ((organisation, key), reports) in by_message {
            let found = match known.get(&key) {
                Some(id) => locked.get(id).map(|locked| locked.reported),
                None => self.settle_unanswered(tx, &locked, organisation, key, &reports).await?,
            };
            let Some(found) = found else {
                early.extend(reports.into_iter().map(|report| Early {
                    organisation_id: organisation,
                    provider_key: key,
                    status: report.update.status,
                    error: error_text(report.update.error.as_ref()),
                    callback_data: report.update.callback_data,
                    occurred_at: report.update.occurred_at,
                }));
                continue;
            };
            if self.send_again(tx, organisation, &found, &reports).await? {
                continue;
            }
            let mut standing = Standing::new(organisation, found);
            for Report { update, .. } in &reports {
                standing.report(update.status, update.occurred_at, error_text(update.error.as_ref()));
            }
            if let Some(status) = standing.moved() {
                self.status_event(organisation, &found, status);
                if status == MessageStatus::Failed {
                    failed.push((organisation, found.id));
                } else if found.status == MessageStatus::Uncertain {
                    outbound::forget_dead(tx, organisation, found.id).await?;
                }
            }
            advances.push(standing.advance);
        }
        statuses::advance(tx, advances).await?;
        outbound::note_dead(tx, &failed, "failed", self.now).await?;
        statuses::keep_early(tx, early, self.now).await
    }

    /// A report that the provider dropped the message for a reason that passes (too many at once, in maintenance):
    /// it was certainly not delivered, and is sent again later, a few times. Where the window was closed, its fallback
    /// is.
    async fn send_again(
        &mut self,
        tx: &mut Tx,
        organisation: OrganisationId,
        found: &Reported,
        reports: &[Report],
    ) -> Result<bool, StoreError> {
        let passes = |report: &Report| {
            let code = report.update.error.as_ref().map(|error| error.code);
            report.update.status == MessageStatus::Failed
                && code.and_then(whatsapp::describe).is_some_and(|known| known.verdict.is_temporary())
        };
        let closed = |report: &&Report| {
            report.update.status == MessageStatus::Failed
                && report.update.error.as_ref().is_some_and(|error| error.code == window::REFUSED)
        };
        let closed = reports.iter().find(closed);
        let Some(report) = closed.or_else(|| reports.iter().find(|report| passes(report))) else {
            return Ok(false);
        };
        let delivered = reports.iter().any(|report| {
            matches!(
                report.update.status,
                MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Played
            )
        });
        if delivered || !matches!(found.status, MessageStatus::Sent | MessageStatus::Uncertain) {
            return Ok(false);
        }
        let due = if closed.is_some() {
            let (lane, at) = (found.conversation_id, report.update.occurred_at);
            if !outbound::window_refused(tx, organisation, lane, found.id, at).await? {
                return Ok(false);
            }
            self.now
        } else {
            let attempts = outbound::attempts(tx, organisation, found.id).await?;
            if attempts >= ATTEMPTS {
                return Ok(false);
            }
            self.now.plus(Duration::from_secs(4_u64.pow(attempts.clamp(1, 5) as u32)))
        };
        let (position, account) = (self.engine.clock.uuid(), report.account.id);
        outbound::send_again(tx, organisation, found.id, account, position, due, self.now).await?;
        self.status_event(organisation, found, MessageStatus::Queued);
        Ok(true)
    }

    /// Applies reports that were stored as early while their message was stored, or a moment before.
    pub(super) async fn sweep(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let found = statuses::overtaken(tx, 1_000).await?;
        let organisations: HashMap<Uuid, OrganisationId> =
            found.iter().map(|(organisation, key)| (*key, *organisation)).collect();
        let known = statuses::resolve(tx, found).await?;
        let wanted = known.iter().filter_map(|(key, id)| Some((*organisations.get(key)?, *id))).collect();
        let locked = statuses::lock(tx, wanted).await?;
        let sent = known
            .into_iter()
            .filter_map(|(key, id)| {
                Some(Sent {
                    organisation: *organisations.get(&key)?,
                    key,
                    message: locked.get(&id)?.reported,
                })
            })
            .collect();
        self.catch_up(tx, sent).await
    }

    /// Applies the reports that came before messages we only now hear of.
    pub(super) async fn catch_up(&mut self, tx: &mut Tx, sent: Vec<Sent>) -> Result<(), StoreError> {
        let mut advances = Vec::new();
        for Sent { organisation, key, message } in sent {
            let mut standing = Standing::new(organisation, message);
            for early in statuses::take_early(tx, organisation, key).await? {
                standing.report(early.status, early.occurred_at, early.error);
            }
            if let Some(status) = standing.moved() {
                self.status_event(organisation, &message, status);
                advances.push(standing.advance);
            }
        }
        statuses::advance(tx, advances).await
    }

    fn status_event(&mut self, organisation: OrganisationId, message: &Reported, status: MessageStatus) {
        let data = format!(r#"{{"status":"{status}","conversation_id":"{}"}}"#, message.conversation_id);
        self.event(organisation, "message.status", message.id.uuid(), Some(data));
    }

    /// A report may be the first we hear of the provider's id: after a crash or a lost answer the message has
    /// none, and the id we asked the provider to echo names it.
    async fn settle_unanswered(
        &mut self,
        tx: &mut Tx,
        locked: &HashMap<MessageId, Locked>,
        organisation: OrganisationId,
        key: Uuid,
        reports: &[Report],
    ) -> Result<Option<Reported>, StoreError> {
        for report in reports {
            let Some(found) = echoed(report).and_then(|id| locked.get(&id)) else { continue };
            if found.account_id != report.account.id {
                continue;
            }
            let id = found.reported.id;
            match found.provider_key {
                None => {
                    statuses::name(tx, organisation, id, &report.update.provider_message_id, key).await?;
                    outbound::settle(tx, organisation, id, self.now).await?;
                    return Ok(Some(found.reported));
                }
                // Its sender wrote the answer down while we waited for the lock.
                Some(named) if named == key => return Ok(Some(found.reported)),
                Some(_) => {}
            }
        }
        Ok(None)
    }
}

/// Our message id that the provider sends back.
fn echoed(report: &Report) -> Option<MessageId> {
    report.update.callback_data.as_deref()?.parse().ok()
}
