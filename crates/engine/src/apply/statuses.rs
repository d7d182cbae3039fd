//! Delivery reports: forward only, in any order, and patient when they come before their message.

use std::collections::BTreeMap;

use kabar_domain::message::{MessageStatus, ProviderError};
use kabar_domain::{MessageId, OrganisationId, Timestamp};
use kabar_store::messages::provider_key;
use kabar_store::statuses::{self, Advance, Early, Reported};
use kabar_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::batch::{Batch, Report};

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
        let found: BTreeMap<Uuid, Reported> =
            statuses::find(tx, by_message.keys().copied().collect()).await?.into_iter().collect();
        let mut advances = Vec::with_capacity(by_message.len());
        let mut early = Vec::new();
        for ((organisation, key), reports) in by_message {
            let found = match found.get(&key) {
                Some(found) => Some(*found),
                None => self.settle_unanswered(tx, organisation, key, &reports).await?,
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
            let mut standing = Standing::new(organisation, found);
            for Report { update, .. } in &reports {
                standing.report(update.status, update.occurred_at, error_text(update.error.as_ref()));
            }
            if let Some(status) = standing.moved() {
                let data =
                    format!(r#"{{"status":"{status}","conversation_id":"{}"}}"#, found.conversation_id);
                self.event(organisation, "message.status", found.id.uuid(), Some(data));
            }
            advances.push(standing.advance);
        }
        statuses::advance(tx, advances).await?;
        statuses::keep_early(tx, early, self.now).await
    }

    /// Applies reports that were stored as early while their message was stored, or a moment before.
    pub(super) async fn sweep(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let found = statuses::overtaken(tx, 1_000).await?;
        let messages = statuses::find(tx, found.clone()).await?;
        let organisations: BTreeMap<Uuid, OrganisationId> =
            found.into_iter().map(|(organisation, key)| (key, organisation)).collect();
        let sent = messages
            .into_iter()
            .filter_map(|(key, message)| {
                organisations.get(&key).map(|organisation| Sent { organisation: *organisation, key, message })
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
        organisation: OrganisationId,
        key: Uuid,
        reports: &[Report],
    ) -> Result<Option<Reported>, StoreError> {
        for Report { account, update } in reports {
            let Some(id) = update.callback_data.as_deref().and_then(|data| data.parse::<MessageId>().ok())
            else {
                continue;
            };
            match statuses::find_echoed(tx, organisation, account.id, id).await? {
                Some((found, None)) => {
                    statuses::name(tx, organisation, id, &update.provider_message_id, key).await?;
                    kabar_store::outbound::settle(tx, organisation, id, self.now).await?;
                    return Ok(Some(found));
                }
                Some((found, Some(named))) if named == key => return Ok(Some(found)),
                _ => {}
            }
        }
        Ok(None)
    }
}
