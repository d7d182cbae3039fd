//! Sending a message once more, because a person says so.

use kabar_domain::message::{Direction, MessageKind, MessageStatus};
use kabar_domain::{Ability, MessageId, OrganisationId};
use kabar_store::{Tx, channels, conversations, messages, outbound};

use super::status_event;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::messages::{FITTING, sending_account};
use crate::templates::fitting_templates;
use crate::window;

const fn not_found() -> Error {
    Error::NotFound("Message")
}

impl Engine {
    /// Queues a message again that failed, or of which nobody knows whether it was sent: the person who asks for it
    /// has decided that it was not.
    pub async fn retry_message(&self, principal: &Principal, id: MessageId) -> Result<messages::Message> {
        principal.require_in_channels(Ability::Send)?;
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        let found = messages::find_message(&mut tx, organisation, id).await?;
        let found =
            found.filter(|message| principal.reaches_channel(message.channel_id)).ok_or_else(not_found)?;
        self.check_window(&mut tx, &found).await?;
        self.requeue_message(&mut tx, organisation, id).await?;
        let mut message = messages::find_message(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        message.outlook = outbound::outlook(&mut tx, organisation, id, None, self.clock.now()).await?;
        tx.commit().await?;
        self.outbound_ready.notify_one();
        Ok(message)
    }

    /// Outside its window a message goes out again as its fallback, or not at all.
    async fn check_window(&self, tx: &mut Tx, message: &messages::Message) -> Result<()> {
        let organisation = message.organisation_id;
        if message.kind == MessageKind::Template
            || !matches!(message.status, MessageStatus::Failed | MessageStatus::Uncertain)
        {
            return Ok(());
        }
        let conversation = conversations::find(tx, organisation, message.conversation_id).await?;
        let window = conversation.and_then(|found| window::of_conversation(&found, self.clock.now()));
        if window.is_none_or(|window| window.open)
            || outbound::fall_back(tx, organisation, message.id).await?
        {
            return Ok(());
        }
        let fitting = fitting_templates(tx, organisation, message.account_id, FITTING).await?;
        Err(Error::WindowClosed(fitting))
    }

    /// Queues a message again in the transaction that causes it. After the commit, wake the sender.
    pub(crate) async fn requeue_message(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        id: MessageId,
    ) -> Result<()> {
        let now = self.clock.now();
        outbound::standing(tx, organisation, id).await?.ok_or_else(not_found)?;
        let message = messages::find_message(tx, organisation, id).await?.ok_or_else(not_found)?;
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
        let channel = channels::find(tx, organisation, message.channel_id)
            .await?
            .ok_or(Error::NotFoundText("Channel not found."))?;
        let account = sending_account(tx, &channel).await?;
        let position = self.clock.uuid();
        outbound::send_again(tx, organisation, id, account, position, now, now).await?;
        tx.record(organisation, now, [status_event(id, message.conversation_id, MessageStatus::Queued)]);
        Ok(())
    }
}
