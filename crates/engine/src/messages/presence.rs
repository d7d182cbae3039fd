//! Showing people that their messages were read and that an answer is being written. Asked of the provider at
//! once, not queued: later it would mean nothing.

use std::time::Duration;

use kabar_domain::message::{Direction, Platform};
use kabar_domain::outbound::Recipient;
use kabar_domain::{Ability, AccountId, ConversationId, MessageId, OrganisationId};
use kabar_store::{Db, accounts, messages};

use super::target::{of_conversation, sending_account};
use crate::auth::Principal;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

/// WhatsApp takes read receipts for messages of the last 30 days.
const RECEIPT_AGE: Duration = Duration::from_hours(24 * 30);

/// A conversation's way to its provider.
pub(super) struct Line {
    pub platform: Platform,
    /// `phone_number_id`, or the bot's id.
    account: String,
    credentials: Credentials,
    pub recipient: Recipient,
}

impl Line {
    pub fn access_token(&self) -> &str {
        self.credentials.access_token.as_deref().unwrap_or_default()
    }

    pub fn bot_token(&self) -> &str {
        self.credentials.bot_token.as_deref().unwrap_or_default()
    }
}

impl Engine {
    /// The way to a conversation, over one account or over that which its messages go out over.
    pub(super) async fn line(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        conversation: ConversationId,
        account: Option<AccountId>,
    ) -> Result<Line> {
        let target = of_conversation(db, organisation, conversation).await?;
        if target.channel.platform == Platform::Widget {
            // There is nobody to ask.
            return Ok(Line {
                platform: Platform::Widget,
                account: String::new(),
                credentials: Credentials::default(),
                recipient: target.recipient,
            });
        }
        let id = match account {
            Some(id) => id,
            None => sending_account(db, &target.channel).await?,
        };
        let retired = || Error::Conflict("The messaging account of this conversation is retired.".into());
        let account = accounts::find(db, organisation, id).await?.ok_or_else(retired)?;
        let credentials = self.open_credentials(organisation, account.id, &account.credentials)?;
        Ok(Line {
            platform: account.platform,
            account: account.external_id,
            credentials,
            recipient: target.recipient,
        })
    }

    /// Shows the sender that a message, and what came before it, was read; `typing` also that an answer is coming.
    pub async fn read_message(&self, principal: &Principal, id: MessageId, typing: bool) -> Result<()> {
        principal.require_in_channels(Ability::Send)?;
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let message = messages::find_message(&mut db, organisation, id).await?;
        let message = message.filter(|message| principal.reaches_channel(message.channel_id));
        let message = message.ok_or(Error::NotFound("Message"))?;
        if message.direction != Direction::Inbound {
            return Err(Invalid::one("id", "Only messages that came in can be marked as read."));
        }
        let line =
            self.line(&mut db, organisation, message.conversation_id, Some(message.account_id)).await?;
        drop(db);
        if line.platform != Platform::Whatsapp {
            let reason = match line.platform {
                Platform::Telegram => "Telegram has no read receipts for bots.",
                _ => "Chat widgets show no read receipts to visitors.",
            };
            return Err(Error::CapabilityMissing {
                provider: line.platform,
                field: "id".into(),
                reason: reason.into(),
            });
        }
        if message.occurred_at < self.clock.now().minus(RECEIPT_AGE) {
            return Err(Invalid::one(
                "id",
                "WhatsApp takes read receipts for messages of the last 30 days only.",
            ));
        }
        let name = message.provider_message_id.as_deref().unwrap_or_default();
        self.receipt(&line, name, typing).await
    }

    /// Shows the other side that an answer is being written.
    pub async fn show_typing(&self, principal: &Principal, id: ConversationId) -> Result<()> {
        principal.require_in_channels(Ability::Send)?;
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        crate::conversations::reached(&mut db, principal, id).await?;
        let line = self.line(&mut db, organisation, id, None).await?;
        if line.platform == Platform::Widget {
            self.store.show_typing(id);
            return Ok(());
        }
        if line.platform == Platform::Telegram {
            drop(db);
            let shown = self.telegram.typing(line.bot_token(), &line.recipient).await;
            return shown.map_err(|failure| Error::of_provider(line.platform, failure));
        }
        let last = messages::last_inbound(&mut db, organisation, id).await?;
        drop(db);
        let recent = last.filter(|last| last.occurred_at >= self.clock.now().minus(RECEIPT_AGE));
        let name = recent.and_then(|last| last.provider_message_id).ok_or_else(|| {
            let reason = "WhatsApp shows typing as an answer: nobody has written here in the last 30 days.";
            Invalid::one("id", reason)
        })?;
        self.receipt(&line, &name, true).await
    }

    async fn receipt(&self, line: &Line, message: &str, typing: bool) -> Result<()> {
        let sent = self.whatsapp.mark_read(&line.account, line.access_token(), message, typing).await;
        sent.map_err(|failure| Error::of_provider(line.platform, failure))
    }
}
