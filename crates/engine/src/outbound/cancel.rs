//! Taking a message back before it is sent.

use kabar_domain::message::{Direction, MessageStatus};
use kabar_domain::{Ability, MessageId};
use kabar_store::{messages, outbound};

use super::status_event;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};

impl Engine {
    /// Takes back a message that waits: for its turn, its time, or another attempt after one that certainly sent
    /// nothing.
    pub async fn cancel_message(&self, principal: &Principal, id: MessageId) -> Result<messages::Message> {
        principal.require_in_channels(Ability::Send)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let taken = outbound::cancel(&mut tx, organisation, id).await?;
        let message = messages::find_message(&mut tx, organisation, id).await?;
        let message = message.filter(|message| principal.reaches_channel(message.channel_id));
        let message = message.ok_or(Error::NotFound("Message"))?;
        if !taken {
            return Err(Error::Conflict(match (message.direction, message.status) {
                (Direction::Inbound, _) => {
                    "The message was received; only messages to send can be cancelled.".into()
                }
                (_, MessageStatus::Cancelled) => "The message is cancelled already.".into(),
                (_, MessageStatus::Queued | MessageStatus::Sending) => {
                    "The message is being sent at this moment.".into()
                }
                (_, status) => {
                    format!("The message is {status}; only a message that waits can be cancelled.")
                }
            }));
        }
        tx.record(organisation, now, [status_event(id, message.conversation_id, message.status)]);
        tx.commit().await?;
        self.outbound_ready.notify_one();
        Ok(message)
    }
}
