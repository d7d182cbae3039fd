//! Sending a message once more, because a person says so.

use kabar_domain::message::{Direction, MessageStatus};
use kabar_domain::{Ability, MessageId};
use kabar_store::{channels, messages, outbound};

use super::status_event;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::messages::sending_account;

impl Engine {
    /// Queues a message again that failed, or of which nobody knows whether it was sent: the person who asks for it
    /// has decided that it was not.
    pub async fn retry_message(&self, principal: &Principal, id: MessageId) -> Result<messages::Message> {
        principal.require(Ability::Send)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let not_found = || Error::NotFound("Message");
        outbound::standing(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        let message = messages::find_message(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        match (message.direction, message.status) {
            (Direction::Outbound, MessageStatus::Failed | MessageStatus::Uncertain) => {}
            (Direction::Inbound, _) => {
                return Err(Error::Conflict("The message was received; it cannot be sent.".into()));
            }
            (_, status) => {
                return Err(Error::Conflict(format!(
                    "The message is {status}; only one that failed or is uncertain can be sent again."
                )));
            }
        }
        let channel = channels::find(&mut tx, organisation, message.channel_id)
            .await?
            .ok_or(Error::NotFoundText("Channel not found."))?;
        let account = sending_account(&mut tx, &channel).await?;
        let position = self.clock.uuid();
        outbound::send_again(&mut tx, organisation, id, account, position, now, now).await?;
        tx.record(organisation, now, [status_event(id, message.conversation_id, MessageStatus::Queued)]);
        let message = messages::find_message(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        tx.commit().await?;
        self.outbound_ready.notify_one();
        Ok(message)
    }
}
