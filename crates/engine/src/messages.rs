//! Sending: a message is checked, stored and queued in one transaction; the sender takes it from there.

use kabar_domain::channel::{ChannelKind, ChannelStatus, ConversationStatus};
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::{Media, MessageKind, Platform};
use kabar_domain::outbound::{OutboundMessage, Recipient};
use kabar_domain::{
    Ability, AccountId, ChannelId, Clock, ContactId, ConversationId, MessageId, OrganisationId, Timestamp,
};
use kabar_providers::{telegram, whatsapp};
use kabar_store::apply::{self, ConversationKey, NewConversation};
use kabar_store::channels::Channel;
use kabar_store::contacts::Contact;
use kabar_store::counters::Counter;
use kabar_store::events::NewEvent;
use kabar_store::outbound::{self, NewOutbound};
use kabar_store::{Tx, accounts, channels, contacts, conversations, messages};
use serde_json::{Value as Json, json};
use url::Url;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::outbound::shows_text;
use crate::templates::{TemplateMessage, compose};

/// A message somebody wants sent, as a client gave it.
#[derive(Clone, Debug, Default)]
pub struct SendMessage {
    /// Required with `wa_id`; of a group, enough by itself.
    pub channel_id: Option<String>,
    /// An existing conversation; then the others are not needed.
    pub conversation_id: Option<String>,
    /// Digits of a WhatsApp number, or a Telegram user's id.
    pub wa_id: Option<String>,
    /// `text` unless given.
    pub kind: Option<String>,
    /// The text, or the caption.
    pub body: Option<String>,
    /// Where the provider fetches the file; https.
    pub media_url: Option<String>,
    /// Shown to the recipient for a document.
    pub filename: Option<String>,
    /// Our id of the message it answers.
    pub reply_to: Option<String>,
    /// With the kind `template`.
    pub template: Option<TemplateMessage>,
}

/// Checked for form, not yet against the database.
struct Draft {
    kind: MessageKind,
    body: Option<String>,
    media: Option<Media>,
    payload: Json,
}

const SENDABLE: &[MessageKind] = &[
    MessageKind::Text,
    MessageKind::Image,
    MessageKind::Document,
    MessageKind::Audio,
    MessageKind::Video,
    MessageKind::Template,
];

fn required_without_conversation(field: &str) -> String {
    format!("The {} field is required when conversation id is not present.", field.replace('_', " "))
}

fn draft(request: &SendMessage) -> Result<Draft> {
    let mut invalid = Invalid::default();
    let filled = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
    if !filled(&request.conversation_id) && !filled(&request.channel_id) {
        for field in ["channel_id", "wa_id"] {
            if field == "channel_id" || !filled(&request.wa_id) {
                invalid.add(field, required_without_conversation(field));
            }
        }
    }
    let kind = match request.kind.as_deref() {
        None | Some("") => Some(MessageKind::Text),
        Some(name) => MessageKind::from_name(name).filter(|kind| SENDABLE.contains(kind)),
    };
    if kind.is_none() {
        invalid.add("type", "The selected type is invalid.");
    }
    let kind = kind.unwrap_or(MessageKind::Text);
    let is_media = !matches!(kind, MessageKind::Text | MessageKind::Template);
    if kind == MessageKind::Text && !filled(&request.body) {
        invalid.add("body", "The body field is required.");
    }
    let mut media = None;
    match request.media_url.as_deref().filter(|url| !url.is_empty()) {
        None if is_media => {
            invalid.add("media_url", format!("The media url field is required when type is {kind}."));
        }
        Some(text) => match Url::parse(text) {
            Ok(url) if url.scheme() == "https" && url.host().is_some() => {
                if is_media {
                    media = Some(Media {
                        url: Some(text.to_owned()),
                        filename: request.filename.clone(),
                        ..Media::default()
                    });
                } else {
                    invalid.add(
                        "type",
                        "The type field must be image, document, audio or video with a media url.",
                    );
                }
            }
            _ => invalid.add("media_url", "The media url field must be a valid https URL."),
        },
        None => {}
    }
    invalid.check()?;
    let body = request.body.clone().filter(|body| !body.trim().is_empty());
    Ok(Draft { kind, body, media, payload: json!({}) })
}

/// Where a message goes.
struct Target {
    channel: Channel,
    /// `None` for a group.
    contact: Option<ContactId>,
    conversation: ConversationId,
    recipient: Recipient,
}

impl Engine {
    /// Queues a message. The answer is the stored message, `queued`.
    pub async fn send_message(
        &self,
        principal: &Principal,
        request: SendMessage,
    ) -> Result<messages::Message> {
        principal.require(Ability::Send)?;
        let mut draft = draft(&request)?;
        let now = self.clock.now();
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        let mut recorded = Vec::new();
        let target = self.target(&mut tx, organisation, &request, now, &mut recorded).await?;
        let account_id = sending_account(&mut tx, &target.channel).await?;
        if draft.kind == MessageKind::Template {
            let template = request.template.clone().unwrap_or_default();
            let contact = match target.contact {
                Some(contact) => contacts::find(&mut tx, organisation, contact).await?,
                None => None,
            };
            let language = contact.and_then(|contact| contact.language);
            let over = (target.channel.platform, account_id);
            let composed = compose(&mut tx, organisation, over, &template, language.as_deref()).await?;
            (draft.body, draft.media, draft.payload) = (composed.body, composed.media, composed.payload);
        }
        let reply_to = match request.reply_to.as_deref().filter(|id| !id.is_empty()) {
            None => None,
            Some(id) => {
                let unknown = || Invalid::one("reply_to", "The selected reply to is invalid.");
                let id: MessageId = id.parse().map_err(|_| unknown())?;
                let quoted = messages::find_message(&mut tx, organisation, id).await?.ok_or_else(unknown)?;
                if quoted.conversation_id != target.conversation {
                    return Err(Invalid::one(
                        "reply_to",
                        "The quoted message belongs to another conversation.",
                    ));
                }
                quoted.provider_message_id
            }
        };
        let id = MessageId::new(&self.clock);
        check_with_provider(&target, &draft, id, reply_to.clone())?;
        let media = draft.media.as_ref().map(|media| json!([media]).to_string());
        let message = NewOutbound {
            organisation_id: organisation,
            id,
            conversation_id: target.conversation,
            channel_id: target.channel.id,
            account_id,
            user_id: principal.user_id,
            kind: draft.kind,
            body: draft.body,
            media,
            payload: (draft.payload != json!({})).then(|| draft.payload.to_string()),
            reply_to,
        };
        outbound::enqueue(&mut tx, message, now).await?;
        let data = json!({ "conversation_id": target.conversation, "channel_id": target.channel.id,
            "contact_id": target.contact });
        recorded.push(NewEvent {
            kind: "message.queued",
            subject_id: Some(id.uuid()),
            data: Some(data.to_string()),
        });
        let stored = messages::find_message(&mut tx, organisation, id).await?;
        tx.record(organisation, now, recorded);
        tx.commit().await?;
        self.outbound_ready.notify_one();
        stored.ok_or_else(|| Error::Internal("a message just stored is not there".into()))
    }

    async fn target(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        request: &SendMessage,
        now: Timestamp,
        recorded: &mut Vec<NewEvent>,
    ) -> Result<Target> {
        if let Some(id) = request.conversation_id.as_deref().filter(|id| !id.trim().is_empty()) {
            let unknown = Error::NotFound("Conversation");
            let Ok(id) = id.parse::<ConversationId>() else { return Err(unknown) };
            let Some(conversation) = conversations::find(tx, organisation, id).await? else {
                return Err(unknown);
            };
            let channel = channels::find(tx, organisation, conversation.channel_id)
                .await?
                .ok_or(Error::NotFoundText("Channel not found."))?;
            let recipient = if channel.kind == ChannelKind::Group {
                let topic = (!conversation.topic.is_empty()).then(|| conversation.topic.clone());
                Recipient::Group { external_id: channel.external_id.clone(), topic }
            } else {
                let contact = match conversation.contact_id {
                    Some(contact) => contacts::find(tx, organisation, contact).await?,
                    None => None,
                };
                let reachable = contact.and_then(|contact| {
                    contact.identities.into_iter().find(|identity| reaches(channel.platform, identity.kind))
                });
                Recipient::Person(reachable.ok_or_else(|| {
                    Invalid::one("conversation_id", "The contact cannot be reached over this channel.")
                })?)
            };
            return Ok(Target { channel, contact: conversation.contact_id, conversation: id, recipient });
        }
        let not_found = || Error::NotFoundText("Channel not found.");
        let id: ChannelId =
            request.channel_id.as_deref().unwrap_or_default().trim().parse().map_err(|_| not_found())?;
        let channel = channels::find(tx, organisation, id).await?.ok_or_else(not_found)?;
        if channel.kind == ChannelKind::Group {
            let key = ConversationKey {
                organisation_id: organisation,
                peer_id: channel.id.uuid(),
                channel_id: channel.id,
                topic: String::new(),
            };
            let title = Some(channel.display_name.clone());
            let conversation = conversation(&self.clock, tx, key, None, title, now, recorded).await?;
            let recipient = Recipient::Group { external_id: channel.external_id.clone(), topic: None };
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

/// The account a channel's messages go out over. What was said over a retired account goes on over the
/// organisation's default one.
async fn sending_account(tx: &mut Tx, channel: &Channel) -> Result<AccountId> {
    if channel.account.retired {
        let default = accounts::find_default(tx, channel.organisation_id).await?;
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

const fn reaches(platform: Platform, kind: IdentityKind) -> bool {
    matches!(
        (platform, kind),
        (Platform::Whatsapp, IdentityKind::WaId | IdentityKind::Bsuid)
            | (Platform::Telegram, IdentityKind::Telegram)
    )
}

/// What a client's `wa_id` names on this platform.
fn identity(platform: Platform, wa_id: &str) -> Result<Identity> {
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
            return Ok(found.id);
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

/// What the provider would refuse for its form is refused before it is queued.
fn check_with_provider(
    target: &Target,
    draft: &Draft,
    id: MessageId,
    reply_to: Option<String>,
) -> Result<()> {
    let message = OutboundMessage {
        callback_data: id.to_string(),
        recipient: target.recipient.clone(),
        kind: draft.kind,
        body: draft.body.clone().filter(|_| shows_text(target.channel.platform, draft.kind)),
        media: draft.media.clone(),
        payload: draft.payload.clone(),
        reply_to,
    };
    let checked = match target.channel.platform {
        Platform::Whatsapp => whatsapp::payload(&message).map(|_| ()),
        Platform::Telegram => telegram::request(&message).map(|_| ()),
        Platform::Other => Err("Messages cannot be sent over this channel.".into()),
    };
    checked.map_err(|reason| Invalid::one("body", reason))
}
