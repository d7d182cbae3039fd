//! Where a message goes: channel, contact, conversation, recipient.

use kabar_domain::channel::{ChannelKind, ChannelStatus, ConversationStatus};
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::Platform;
use kabar_domain::outbound::{Recipient, Unsendable};
use kabar_domain::{AccountId, ChannelId, Clock, ContactId, ConversationId, OrganisationId, Timestamp};
use kabar_store::apply::{self, ConversationKey, NewConversation};
use kabar_store::channels::Channel;
use kabar_store::contacts::Contact;
use kabar_store::counters::Counter;
use kabar_store::events::NewEvent;
use kabar_store::{Db, Tx, accounts, channels, contacts, conversations};

use super::SendMessage;
use super::draft::required_without_conversation;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::{rules, widgets};

/// Where a message goes.
pub(super) struct Target {
    pub channel: Channel,
    /// `None` for a group.
    pub contact: Option<ContactId>,
    pub conversation: ConversationId,
    pub recipient: Recipient,
}

impl Engine {
    pub(super) async fn target(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        request: &SendMessage,
        now: Timestamp,
        recorded: &mut Vec<NewEvent>,
    ) -> Result<Target> {
        if let Some(id) = request.conversation_id.as_deref().filter(|id| !id.trim().is_empty()) {
            let id = id.parse().map_err(|_| Error::NotFound("Conversation"))?;
            return of_conversation(tx, organisation, id).await;
        }
        let not_found = || Error::NotFoundText("Channel not found.");
        let id: ChannelId =
            request.channel_id.as_deref().unwrap_or_default().trim().parse().map_err(|_| not_found())?;
        let channel = channels::find(tx, organisation, id).await?.ok_or_else(not_found)?;
        if channel.kind == ChannelKind::Group {
            let topic = topic(&channel, request.topic.as_deref())?;
            let key = ConversationKey {
                organisation_id: organisation,
                peer_id: channel.id.uuid(),
                channel_id: channel.id,
                topic: topic.clone().unwrap_or_default(),
            };
            let title = Some(channel.display_name.clone());
            let conversation = conversation(&self.clock, tx, key, None, title, now, recorded).await?;
            let recipient = Recipient::Group { external_id: channel.external_id.clone(), topic };
            return Ok(Target { channel, contact: None, conversation, recipient });
        }
        let wa_id = request.wa_id.as_deref().filter(|wa_id| !wa_id.trim().is_empty());
        let wa_id = wa_id.ok_or_else(|| Invalid::one("wa_id", required_without_conversation("wa_id")))?;
        let identity = identity(channel.platform, wa_id)?;
        let contact = self.contact(tx, organisation, &identity, now, recorded).await?;
        let key = ConversationKey {
            organisation_id: organisation,
            peer_id: contact.uuid(),
            channel_id: channel.id,
            topic: String::new(),
        };
        let conversation = conversation(&self.clock, tx, key, Some(contact), None, now, recorded).await?;
        Ok(Target { channel, contact: Some(contact), conversation, recipient: Recipient::Person(identity) })
    }

    async fn contact(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        identity: &Identity,
        now: Timestamp,
        recorded: &mut Vec<NewEvent>,
    ) -> Result<ContactId> {
        let (id, is_new) =
            contacts::claim_identity(tx, organisation, identity, ContactId::new(&self.clock)).await?;
        if is_new {
            let mut contact = Contact::new(organisation, id, now);
            contact.wa_id = (identity.kind == IdentityKind::WaId).then(|| identity.value.clone());
            contact.phone = contact.wa_id.as_ref().map(|digits| format!("+{digits}"));
            contacts::insert(tx, &contact).await?;
            recorded.push(NewEvent { kind: "contact.created", subject_id: Some(id.uuid()), data: None });
        }
        Ok(id)
    }
}

/// Where an existing conversation is held.
pub(super) async fn of_conversation(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: ConversationId,
) -> Result<Target> {
    let found = conversations::find(db, organisation, id).await?;
    let conversation = found.ok_or(Error::NotFound("Conversation"))?;
    let channel = channels::find(db, organisation, conversation.channel_id)
        .await?
        .ok_or(Error::NotFoundText("Channel not found."))?;
    let recipient = if channel.kind == ChannelKind::Group {
        let topic = (!conversation.topic.is_empty()).then(|| conversation.topic.clone());
        Recipient::Group { external_id: channel.external_id.clone(), topic }
    } else {
        let contact = match conversation.contact_id {
            Some(contact) => contacts::find(db, organisation, contact).await?,
            None => None,
        };
        let reachable = contact.and_then(|contact| {
            contact.identities.into_iter().find(|identity| reaches(channel.platform, identity.kind))
        });
        Recipient::Person(reachable.ok_or_else(|| {
            Invalid::one("conversation_id", "The contact cannot be reached over this channel.")
        })?)
    };
    Ok(Target { channel, contact: conversation.contact_id, conversation: id, recipient })
}

/// The account a channel's messages go out over. What was said over a retired account goes on over the
/// organisation's default one.
pub(crate) async fn sending_account(db: &mut impl Db, channel: &Channel) -> Result<AccountId> {
    if channel.account.retired {
        let default = accounts::find_default(db, channel.organisation_id).await?;
        if let Some(default) = default.filter(|default| default.platform == channel.platform) {
            return Ok(default.id);
        }
    }
    if channel.status == ChannelStatus::Archived || channel.account.retired {
        return Err(Invalid::one(
            "channel_id",
            "The channel is archived: restore it, or write over another one.",
        ));
    }
    Ok(channel.account_id)
}

/// A topic is a thread of a Telegram group.
fn topic(channel: &Channel, given: Option<&str>) -> Result<Option<String>> {
    let Some(topic) = given.map(str::trim).filter(|topic| !topic.is_empty()) else { return Ok(None) };
    if channel.platform != Platform::Telegram {
        let refused = Unsendable::capability("topic", "WhatsApp groups have no topics.");
        return Err(Error::unsendable(channel.platform, refused));
    }
    match topic.parse::<i64>() {
        // What is said in the general topic names none.
        Ok(1) => Ok(None),
        Ok(id) if id > 1 => Ok(Some(id.to_string())),
        _ => Err(Invalid::one("topic", "The topic field must be a Telegram topic id, digits only.")),
    }
}

const fn reaches(platform: Platform, kind: IdentityKind) -> bool {
    matches!(
        (platform, kind),
        (Platform::Whatsapp, IdentityKind::WaId | IdentityKind::Bsuid)
            | (Platform::Telegram, IdentityKind::Telegram)
            | (Platform::Widget, IdentityKind::Widget)
    )
}

/// What a client's `wa_id` names on this platform.
pub(crate) fn identity(platform: Platform, wa_id: &str) -> Result<Identity> {
    let wa_id = wa_id.trim();
    match platform {
        Platform::Whatsapp => {
            // Business-scoped ids stand for people who hide their number: `US.1349…`.
            let is_bsuid = wa_id.len() > 3
                && wa_id.as_bytes()[2] == b'.'
                && wa_id[..2].bytes().all(|byte| byte.is_ascii_uppercase())
                && wa_id[3..].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
            if wa_id.is_ascii() && is_bsuid {
                return Ok(Identity::new(IdentityKind::Bsuid, wa_id));
            }
            let digits: String =
                wa_id.chars().filter(|c| !matches!(c, '+' | ' ' | '-' | '(' | ')' | '.')).collect();
            let fits = (5..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| Identity::new(IdentityKind::WaId, digits)).ok_or_else(|| {
                Invalid::one(
                    "wa_id",
                    "The wa id field must be a phone number in international form, digits only.",
                )
            })
        }
        Platform::Telegram => wa_id
            .parse::<i64>()
            .ok()
            .filter(|id| *id > 0)
            .map(|id| Identity::new(IdentityKind::Telegram, id.to_string()))
            .ok_or_else(|| Invalid::one("wa_id", "The wa id field must be a Telegram user id, digits only.")),
        Platform::Widget => {
            let mut invalid = Invalid::default();
            rules::text(&mut invalid, "wa_id", wa_id, widgets::LONGEST_SUBJECT);
            invalid.check()?;
            Ok(Identity::new(IdentityKind::Widget, wa_id))
        }
        Platform::Other => Err(Invalid::one("channel_id", "Messages cannot be sent over this channel.")),
    }
}

/// The conversation, made when it is the first message.
async fn conversation(
    clock: &Clock,
    tx: &mut Tx,
    key: ConversationKey,
    contact_id: Option<ContactId>,
    title: Option<String>,
    now: Timestamp,
    recorded: &mut Vec<NewEvent>,
) -> Result<ConversationId> {
    let (organisation, channel) = (key.organisation_id, key.channel_id);
    loop {
        if let Some(found) = apply::conversations(tx, [&key]).await?.get(&key) {
            return Ok(*found);
        }
        let id = ConversationId::new(clock);
        let new = NewConversation { key: key.clone(), id, contact_id, title: title.clone(), created_at: now };
        // Another node may be quicker: then its conversation is found in the next round.
        if apply::insert_conversations(tx, Vec::from([new])).await? == 1 {
            let counter = Counter::Conversations(channel, ConversationStatus::Open);
            tx.count(organisation, counter, 1);
            recorded.push(NewEvent { kind: "conversation.created", subject_id: Some(id.uuid()), data: None });
            return Ok(id);
        }
    }
}
