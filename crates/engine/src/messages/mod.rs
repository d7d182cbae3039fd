//! Sending: a message is checked, stored and queued in one transaction; the sender takes it from there.

mod change;
mod doors;
mod draft;
mod presence;
#[cfg(test)]
mod property;
mod target;
mod timing;

use kabar_domain::channel::ChannelKind;
use kabar_domain::content::{ContactCard, Flow, Interactive, Location, TextFormat};
use kabar_domain::message::{MessageKind, Platform};
use kabar_domain::outbound::{OutboundMessage, Recipient, SendPriority, Unsendable};
use kabar_domain::{Ability, ChannelId, ConversationId, MessageId, OrganisationId, Timestamp, UserId};
use kabar_providers::{telegram, whatsapp};
use kabar_store::events::NewEvent;
use kabar_store::outbound::{self, Fallback, NewOutbound};
use kabar_store::{Tx, contacts, messages};
use serde_json::{Value, json};
use url::Url;

pub use self::change::EditMessage;
pub use self::doors::{Acknowledge, SendGuide};
pub(crate) use self::draft::Draft;
use self::target::Target;
pub(crate) use self::target::{identity, sending_account};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::media::Fetched;
use crate::outbound::shows_text;
use crate::templates::{self, TemplateMessage};
use crate::widgets;

/// WhatsApp takes reactions to messages of the last 30 days.
const REACTION_DAYS: u64 = 30;

/// Templates that a refusal names.
pub(crate) const FITTING: usize = 5;

/// A message somebody wants sent, as a client gave it.
#[derive(Clone, Debug, Default)]
pub struct SendMessage {
    /// Required with `wa_id`; of a group, enough by itself.
    pub channel_id: Option<String>,
    /// An existing conversation; then the others are not needed.
    pub conversation_id: Option<String>,
    /// Digits of a WhatsApp number, or a Telegram user's id.
    pub wa_id: Option<String>,
    /// The topic of a Telegram group.
    pub topic: Option<String>,
    /// `text` unless given.
    pub kind: Option<String>,
    /// The text, or the caption.
    pub body: Option<String>,
    pub format: TextFormat,
    /// Whether the first link of a text is shown with a preview; the provider decides unless given.
    pub preview_url: Option<bool>,
    pub file: FileSource,
    /// Our id of the message it answers, or reacts to.
    pub reply_to: Option<String>,
    pub location: Option<Location>,
    pub contacts: Vec<ContactCard>,
    /// Of a reaction; empty takes it away.
    pub emoji: Option<String>,
    pub interactive: Option<Interactive>,
    pub flow: Option<Flow>,
    /// Which template, and what fills it in.
    pub template: Option<TemplateMessage>,
    /// The template that goes out instead when WhatsApp's 24-hour window is closed, or nobody knows whether it is; and
    /// that follows when WhatsApp refuses the message because it closed meanwhile.
    pub fallback_template: Option<TemplateMessage>,
    /// Queue it also when the window is closed and there is no such template: WhatsApp refuses it, and that is told as
    /// the message's failure.
    pub despite_window: bool,
    /// `high`, `normal` or `low`; a reply is `high` unless given.
    pub priority: Option<String>,
    /// Not before this time, RFC 3339.
    pub send_at: Option<String>,
}

/// Where a file comes from; exactly one of the first three.
#[derive(Clone, Debug, Default)]
pub struct FileSource {
    /// Where the provider, or with `fetch` we ourselves, fetch the file; https.
    pub url: Option<String>,
    /// A file of the media library. Looked up where the message is composed: [`SendMessage`] knows only its id.
    pub media_id: Option<String>,
    /// The provider's own id of a file.
    pub provider_id: Option<String>,
    /// Shown to the recipient for a document.
    pub filename: Option<String>,
    /// Whether the file at `url` is brought into the media library first.
    pub fetch: bool,
}

/// The message that another one answers or reacts to.
struct Quoted {
    id: MessageId,
    conversation: ConversationId,
    provider_message_id: Option<String>,
    occurred_at: Timestamp,
}

impl Engine {
    /// Queues a message. The answer is the stored message, `queued`.
    pub async fn send_message(
        &self,
        principal: &Principal,
        mut request: SendMessage,
    ) -> Result<messages::Message> {
        principal.require_in_channels(Ability::Send)?;
        self.check_reach(principal, &request).await?;
        let organisation = principal.organisation_id;
        let mut draft = draft::draft(&mut request)?;
        let fetched = match draft.fetch.take() {
            Some(url) => Some(Box::pin(self.fetch_by_url(organisation, &url)).await?),
            None => None,
        };
        let sent = Box::pin(self.send_draft(principal, request, draft, fetched.as_ref())).await;
        if let (Err(_), Some(fetched)) = (&sent, &fetched) {
            self.discard_fetched(organisation, fetched).await;
        }
        sent
    }

    /// A token that is bound to channels knows of no others.
    async fn check_reach(&self, principal: &Principal, request: &SendMessage) -> Result<()> {
        if principal.reach.is_everything() {
            return Ok(());
        }
        let given = |id: Option<&str>| id.map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
        if let Some(id) = given(request.conversation_id.as_deref()) {
            let id = id.parse().map_err(|_| Error::NotFound("Conversation"))?;
            crate::conversations::reached(&mut self.store.reader().await?, principal, id).await?;
        } else if let Some(id) = given(request.channel_id.as_deref()) {
            let reached = id.parse().is_ok_and(|id: ChannelId| principal.reaches_channel(id));
            return if reached { Ok(()) } else { Err(Error::NotFoundText("Channel not found.")) };
        }
        Ok(())
    }

    async fn send_draft(
        &self,
        principal: &Principal,
        request: SendMessage,
        draft: Draft,
        fetched: Option<&Fetched>,
    ) -> Result<messages::Message> {
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        let person = Some(principal.user_id);
        let (id, priority) = self.queue_draft(&mut tx, organisation, person, request, draft, fetched).await?;
        let mut stored = messages::find_message(&mut tx, organisation, id).await?;
        // However the conversation was found.
        if stored.as_ref().is_some_and(|stored| !principal.reaches_channel(stored.channel_id)) {
            return Err(Error::NotFoundText("Channel not found."));
        }
        if let Some(stored) = &mut stored {
            self.show_media(&mut tx, organisation, &mut stored.media).await?;
            let before = self.estimates.queued(stored.account_id, priority);
            let now = self.clock.now();
            stored.outlook = outbound::outlook(&mut tx, organisation, id, Some(before), now).await?;
        }
        tx.commit().await?;
        self.outbound_ready.notify_one();
        stored.ok_or_else(|| Error::Internal("a message just stored is not there".into()))
    }

    /// A link that is handed on: a provider is not asked to look into networks of its own or ours.
    fn check_link(&self, draft: &Draft) -> Result<()> {
        let link = draft.media.as_ref().and_then(|media| media.url.as_deref());
        let Some(url) = link.and_then(|link| Url::parse(link).ok()) else { return Ok(()) };
        let field = match draft.kind {
            MessageKind::Template => "header",
            MessageKind::Interactive => "interactive.header.media_url",
            MessageKind::Flow => "flow.header.media_url",
            _ => "media_url",
        };
        if url.domain().is_some_and(|name| name == "localhost" || name.ends_with(".localhost")) {
            return Err(Invalid::one(field, "The address leads to nobody but the server that asks for it."));
        }
        self.webhooks.check(&url).map_err(|refused| Invalid::one(field, refused.to_string()))
    }

    /// Queues a message in the transaction that causes it, of a person or of the server itself. After the commit,
    /// wake the sender.
    pub(crate) async fn queue_message(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        person: Option<UserId>,
        mut request: SendMessage,
    ) -> Result<MessageId> {
        let draft = draft::draft(&mut request)?;
        self.queue_draft(tx, organisation, person, request, draft, None).await.map(|(id, _)| id)
    }

    async fn queue_draft(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        person: Option<UserId>,
        mut request: SendMessage,
        mut draft: Draft,
        mut fetched: Option<&Fetched>,
    ) -> Result<(MessageId, SendPriority)> {
        let now = self.clock.now();
        let wish = timing::wish(&request, now)?;
        let mut recorded = Vec::new();
        let quoted = quoted(tx, organisation, &request, draft.kind).await?;
        if draft.kind == MessageKind::Reaction
            && request.channel_id.is_none()
            && request.conversation_id.is_none()
        {
            request.conversation_id = quoted.as_ref().map(|quoted| quoted.conversation.to_string());
        }
        let target = self.target(tx, organisation, &request, now, &mut recorded).await?;
        let account_id = sending_account(tx, &target.channel).await?;
        let reply_to = match quoted {
            Some(quoted) => Some(check_quoted(&quoted, &target, draft.kind, now)?),
            None => None,
        };
        let conversation = timing::conversation(tx, &target).await?;
        let language = match target.contact {
            Some(contact) => {
                contacts::find(tx, organisation, contact).await?.and_then(|found| found.language)
            }
            None => None,
        };
        let mut fallback = None;
        if draft.kind == MessageKind::Template {
            if target.channel.platform == Platform::Whatsapp {
                let given = request.template.take().unwrap_or_default();
                draft = templates::compose(tx, organisation, account_id, &given, language.as_deref()).await?;
            }
        } else if let Some(window) = wish.window(&conversation, now) {
            if let Some(given) = request.fallback_template.take() {
                let composed = templates::compose(tx, organisation, account_id, &given, language.as_deref());
                fallback = match composed.await {
                    Ok(composed) => Some(composed),
                    // Nobody is there to correct it, and it is not needed.
                    Err(error) if person.is_none() && window.open && !matches!(error, Error::Store(_)) => {
                        None
                    }
                    Err(error) if person.is_none() => return Err(error),
                    Err(error) => return Err(error.within("fallback_template")),
                };
            }
            if !window.open || window.is_unknown() {
                if let Some(instead) = fallback.take() {
                    draft = instead;
                    // Nobody gets the file: it goes in a day, as all do that nothing refers to.
                    fetched = None;
                } else if !window.open && !request.despite_window {
                    let fitting = templates::fitting_templates(tx, organisation, account_id, FITTING).await?;
                    return Err(Error::WindowClosed(fitting));
                }
            }
        }
        self.check_link(&draft)?;
        if let Some(media) = &mut draft.media {
            if let Some(fetched) = fetched {
                media.file_id = Some(self.keep_fetched(tx, organisation, fetched).await?);
            }
            self.attach_file(tx, organisation, media, "media_id").await?;
        }
        self.attach_cards(tx, organisation, &mut draft.payload).await?;
        let id = MessageId::new(&self.clock);
        check_with_provider(&target, &draft, id, reply_to.clone()).map_err(|mut refused| {
            if fetched.is_some() && refused.field == "media_id" {
                "media_url".clone_into(&mut refused.field);
            }
            Error::unsendable(target.channel.platform, refused)
        })?;
        let fallback = match fallback {
            Some(mut instead) => {
                self.check_link(&instead).map_err(|error| error.within("fallback_template"))?;
                if let Some(media) = &mut instead.media {
                    self.attach_file(tx, organisation, media, "fallback_template.header.media_id").await?;
                }
                self.attach_cards(tx, organisation, &mut instead.payload).await?;
                check_with_provider(&target, &instead, id, None).map_err(|refused| {
                    Error::unsendable(target.channel.platform, refused).within("fallback_template")
                })?;
                Some(Fallback {
                    media: instead.media_column(),
                    payload: instead.payload_column(),
                    body: instead.body,
                })
            }
            None => None,
        };
        let priority = wish.priority(&conversation, draft.kind, now);
        let message = NewOutbound {
            organisation_id: organisation,
            id,
            conversation_id: target.conversation,
            channel_id: target.channel.id,
            account_id,
            user_id: person,
            kind: draft.kind,
            media: draft.media_column(),
            payload: draft.payload_column(),
            body: draft.body,
            reply_to,
            is_group: target.channel.kind == ChannelKind::Group,
            priority,
            send_at: wish.send_at,
            fallback,
        };
        outbound::enqueue(tx, message, now).await?;
        let data = json!({ "conversation_id": target.conversation, "channel_id": target.channel.id,
            "contact_id": target.contact });
        recorded.push(NewEvent {
            kind: "message.queued",
            subject_id: Some(id.uuid()),
            data: Some(data.to_string()),
        });
        tx.record(organisation, now, recorded);
        Ok((id, priority))
    }
}

/// Which field names the message that is answered or reacted to.
const fn quoting_field(kind: MessageKind) -> &'static str {
    if matches!(kind, MessageKind::Reaction) { "message_id" } else { "reply_to" }
}

async fn quoted(
    tx: &mut Tx,
    organisation: OrganisationId,
    request: &SendMessage,
    kind: MessageKind,
) -> Result<Option<Quoted>> {
    let Some(id) = request.reply_to.as_deref().filter(|id| !id.is_empty()) else { return Ok(None) };
    let field = quoting_field(kind);
    let unknown = || Invalid::one(field, format!("The selected {} is invalid.", field.replace('_', " ")));
    let id: MessageId = id.parse().map_err(|_| unknown())?;
    let found = messages::find_message(tx, organisation, id).await?.ok_or_else(unknown)?;
    Ok(Some(Quoted {
        id,
        conversation: found.conversation_id,
        provider_message_id: found.provider_message_id,
        occurred_at: found.occurred_at,
    }))
}

/// The provider's id of the quoted message.
fn check_quoted(quoted: &Quoted, target: &Target, kind: MessageKind, now: Timestamp) -> Result<String> {
    let refuse = |reason: &str| Err(Invalid::one(quoting_field(kind), reason));
    if quoted.conversation != target.conversation {
        return refuse("The quoted message belongs to another conversation.");
    }
    let is_old = quoted.occurred_at < now.minus(std::time::Duration::from_hours(24 * REACTION_DAYS));
    if kind == MessageKind::Reaction && target.channel.platform == Platform::Whatsapp && is_old {
        return refuse("WhatsApp takes reactions to messages of the last 30 days only.");
    }
    match &quoted.provider_message_id {
        Some(name) => Ok(name.clone()),
        None => refuse(&format!("The message {} has not been sent: it cannot be quoted.", quoted.id)),
    }
}

fn as_sent(
    platform: Platform,
    recipient: Recipient,
    draft: &Draft,
    id: MessageId,
    reply_to: Option<String>,
) -> OutboundMessage {
    OutboundMessage {
        callback_data: id.to_string(),
        recipient,
        kind: draft.kind,
        body: draft.body.clone().filter(|_| shows_text(platform, draft.kind)),
        media: draft.media.clone(),
        payload: Value::Object(draft.payload.clone()),
        reply_to,
    }
}

/// What the provider would refuse is refused before it is queued.
fn check_with_provider(
    target: &Target,
    draft: &Draft,
    id: MessageId,
    reply_to: Option<String>,
) -> Result<(), Unsendable> {
    let platform = target.channel.platform;
    let message = as_sent(platform, target.recipient.clone(), draft, id, reply_to);
    match platform {
        Platform::Whatsapp => whatsapp::payload(&message).map(|_| ()),
        Platform::Telegram => telegram::request(&message).map(|_| ()),
        Platform::Widget => widgets::check_sendable(&message),
        Platform::Other => Err(Unsendable::new("channel_id", "Messages cannot be sent over this channel.")),
    }
}
