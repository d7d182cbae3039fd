//! How far messages to visitors got.

use kabar_domain::message::MessageStatus;
use kabar_domain::{MessageId, OrganisationId};
use kabar_store::statuses;

use crate::apply::Standing;
use crate::engine::Engine;
use crate::error::Result;
use crate::outbound::status_event;

impl Engine {
    /// `Delivered`: a page of the visitor has them. `Read`: it showed them.
    pub(super) async fn report_visit(
        &self,
        organisation: OrganisationId,
        messages: Vec<MessageId>,
        status: MessageStatus,
    ) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let ids = messages.into_iter().map(|id| (organisation, id)).collect();
        let mut locked: Vec<_> = statuses::lock(&mut tx, ids).await?.into_values().collect();
        locked.sort_unstable_by_key(|locked| locked.reported.id);
        let mut advances = Vec::new();
        for locked in locked {
            let found = locked.reported;
            let mut standing = Standing::new(organisation, found);
            // What was read had come.
            standing.report(MessageStatus::Delivered, now, None);
            standing.report(status, now, None);
            if let Some(status) = standing.moved() {
                tx.record(organisation, now, [status_event(found.id, found.conversation_id, status)]);
                advances.push(standing.advance);
            }
        }
        statuses::advance(&mut tx, advances).await?;
        Ok(tx.commit().await?)
    }
}
