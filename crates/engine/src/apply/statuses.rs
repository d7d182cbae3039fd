//! Delivery reports: forward only, in any order, and patient when they come before their message.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kabar_domain::message::MessageStatus;
use kabar_domain::{MessageId, OrganisationId, Timestamp};
use kabar_providers::whatsapp;
use kabar_store::messages::provider_key;
use kabar_store::outbound::{self, About};
use kabar_store::statuses::{self, Advance, Early, Locked, Reported};
use kabar_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::batch::{Batch, Report};
use crate::outbound::{ATTEMPTS, error_text};
use crate::window;

/// Early reports applied in one transaction.
pub(super) const SWEEP: i64 = 1_000;

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
        for ((organisation, key), mut reports) in by_message {
            let found = match known.get(&key) {
                Some(id) => locked.get(id).map(|locked| locked.reported),
                None => self.settle_unanswered(tx, &locked, organisation, key, &mut reports).await?,
            };
            let Some(found) = found else {
                early.extend(reports.into_iter().map(|report| Early {
                    organisation_id: organisation,
                    provider_key: key,
                    status: report.update.status,
                    error: report.update.error.as_ref().map(error_text),
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
                standing.report(update.status, update.occurred_at, update.error.as_ref().map(error_text));
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
        if reports.iter().any(is_delivery)
            || !matches!(found.status, MessageStatus::Sent | MessageStatus::Uncertain)
        {
            return Ok(false);
        }
        let attempts = outbound::attempts(tx, organisation, found.id).await?;
        // What another application sent is not ours to send again.
        if !(1..ATTEMPTS).contains(&attempts) {
            return Ok(false);
        }
        let due = if closed.is_some() {
            let (lane, at) = (found.conversation_id, report.update.occurred_at);
            if !outbound::window_refused(tx, organisation, lane, found.id, at).await? {
                return Ok(false);
            }
            self.now
        } else {
            self.now.plus(Duration::from_secs(4_u64.pow(attempts.clamp(1, 5) as u32)))
        };
        let (position, account) = (self.engine.clock.uuid(), report.account.id);
        outbound::send_again(tx, organisation, found.id, account, position, due, self.now).await?;
        self.status_event(organisation, found, MessageStatus::Queued);
        Ok(true)
    }

    /// Applies reports that were stored as early while their message was stored, or a moment before. How many.
    pub(super) async fn sweep(&mut self, tx: &mut Tx, since: Timestamp) -> Result<usize, StoreError> {
        let found = statuses::overtaken(tx, since, SWEEP).await?;
        let reports = found.len();
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
        self.catch_up(tx, sent).await?;
        Ok(reports)
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
    /// none, and the id we asked the provider to echo names it. It may also be told once more of an attempt that another
    /// came after: then only a delivery counts, and the rest is taken out of `reports`.
    async fn settle_unanswered(
        &mut self,
        tx: &mut Tx,
        locked: &HashMap<MessageId, Locked>,
        organisation: OrganisationId,
        key: Uuid,
        reports: &mut Vec<Report>,
    ) -> Result<Option<Reported>, StoreError> {
        let named = reports.iter().find_map(|report| {
            let found = locked.get(&echoed(report)?).filter(|found| found.account_id == report.account.id)?;
            Some((*found, report.update.provider_message_id.clone()))
        });
        let Some((found, provider_message_id)) = named else { return Ok(None) };
        if found.provider_key == Some(key) {
            // Its sender wrote the answer down while we waited for the lock.
            return Ok(Some(found.reported));
        }
        let id = found.reported.id;
        let has_failed = !reports.iter().any(is_delivery)
            && reports.iter().any(|report| report.update.status == MessageStatus::Failed);
        match outbound::about(tx, organisation, id, key).await? {
            About::Past => {
                reports.retain(is_delivery);
                if reports.is_empty() || found.provider_key.is_some() {
                    return Ok(Some(found.reported).filter(|_| !reports.is_empty()));
                }
            }
            About::Lost if has_failed => {
                outbound::lost_failed(tx, organisation, id, key).await?;
                reports.clear();
                return Ok(None);
            }
            // It counts if that attempt's answer gives the same id.
            About::Unclear if has_failed => return Ok(None),
            About::Current | About::Lost | About::Unclear if found.provider_key.is_some() => return Ok(None),
            About::Current | About::Lost | About::Unclear => {}
        }
        statuses::name(tx, organisation, id, &provider_message_id, key).await?;
        outbound::settle(tx, organisation, id, self.now).await?;
        Ok(Some(found.reported))
    }
}

fn is_delivery(report: &Report) -> bool {
    matches!(report.update.status, MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Played)
}

/// Our message id that the provider sends back.
fn echoed(report: &Report) -> Option<MessageId> {
    report.update.callback_data.as_deref()?.parse().ok()
}
