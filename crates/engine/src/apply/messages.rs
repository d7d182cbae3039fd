//! Messages, many at a time: identity → contact → channel → conversation → message → inbox item → event.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kabar_domain::channel::{ChannelStatus, ConversationStatus, InboxStatus};
use kabar_domain::inbound::{Chat, Identity, IdentityKind, Origin, Party};
use kabar_domain::message::{Direction, MessageKind, MessageStatus, Platform};
use kabar_domain::{
    AccountId, ChannelId, ContactId, ConversationId, InboxItemId, MessageId, OrganisationId, Timestamp,
};
use kabar_store::apply::{
    self, ContactRef, ConversationBump, ConversationKey, NewContact, NewConversation, NewInboxItem,
    NewMessage,
};
use kabar_store::counters::Counter;
use kabar_store::files::File;
use kabar_store::messages::provider_key;
use kabar_store::statuses::Reported;
use kabar_store::{Error as StoreError, Tx};
use serde_json::Value;

use super::batch::{Batch, Incoming};
use super::statuses::Sent;
use crate::places;

/// A contact's "last seen" is written at most this often.
const SEEN_STEP: Duration = Duration::from_mins(1);
/// A provider's time further ahead of ours than this is not believed.
const AHEAD: Duration = Duration::from_mins(1);

type Contacts = HashMap<(OrganisationId, Identity), ContactRef>;

impl Batch<'_> {
    pub(super) async fn apply_messages(
        &mut self,
        tx: &mut Tx,
        incoming: Vec<Incoming>,
    ) -> Result<(), StoreError> {
        let incoming = Self::unstored(tx, incoming).await?;
        if incoming.is_empty() {
            return Ok(());
        }
        let channels = self.channels(tx, &incoming).await?;
        let contacts = self.contacts(tx, &incoming).await?;

        let mut keys = Vec::with_capacity(incoming.len());
        for arrival in &incoming {
            let contact = contact_of(&contacts, arrival).map(|contact| contact.id);
            let channel = channel_of(&channels, arrival);
            let (Some(channel), Some(contact)) = (channel, contact) else {
                return Err(StoreError::Database("a message without its channel or contact".into()));
            };
            let (peer_id, topic) = match &arrival.message.chat {
                Chat::Direct => (contact.uuid(), String::new()),
                Chat::Group { topic, .. } => (channel.uuid(), topic.clone().unwrap_or_default()),
            };
            let organisation_id = arrival.account.organisation_id;
            keys.push((ConversationKey { organisation_id, peer_id, channel_id: channel, topic }, contact));
        }
        let conversations = self.conversations(tx, &incoming, &keys).await?;

        let clock = &self.engine.clock;
        let mut rows = Vec::with_capacity(incoming.len());
        let mut facts = Vec::with_capacity(incoming.len());
        for (arrival, (key, contact)) in incoming.into_iter().zip(keys) {
            let Some(conversation) = conversations.get(&key).copied() else {
                return Err(StoreError::Contention("a conversation was taken away".into()));
            };
            let Incoming { account, received_at, mut message } = arrival;
            let from_us = matches!(message.origin, Origin::Echo | Origin::History { from_us: true });
            let occurred_at =
                if message.occurred_at > received_at.plus(AHEAD) { received_at } else { message.occurred_at };
            let live = message.origin == Origin::Live;
            let starts = live
                && account.platform == Platform::Telegram
                && matches!(message.chat, Chat::Direct)
                && message.body.as_deref().is_some_and(|body| places::started(body).is_some());
            let message_id = MessageId::new(clock);
            let fact = Fact {
                organisation_id: account.organisation_id,
                platform: account.platform,
                conversation,
                key,
                contact,
                message_id,
                files: self.engine.files_of(
                    account.organisation_id,
                    account.id,
                    message_id,
                    &mut message.media,
                ),
                kind: message.kind,
                occurred_at,
                inbound: !from_us,
                starts,
                // Who only opens the chat has not said anything yet.
                unread: live && message.kind.is_content() && !starts,
                // Somebody speaks to us: a reaction or a service line does not open what was closed.
                live,
            };
            rows.push(NewMessage {
                organisation_id: fact.organisation_id,
                id: fact.message_id,
                conversation_id: conversation,
                channel_id: fact.key.channel_id,
                account_id: account.id,
                contact_id: (!from_us).then_some(contact),
                direction: if from_us { Direction::Outbound } else { Direction::Inbound },
                kind: message.kind,
                status: if from_us {
                    message.status.unwrap_or(MessageStatus::Sent)
                } else {
                    MessageStatus::Received
                },
                body: message.body,
                media: (!message.media.is_empty())
                    .then(|| serde_json::to_string(&message.media).unwrap_or_default()),
                payload: text_of(&message.payload),
                provider_key: provider_key(account.id, &message.provider_message_id),
                provider_message_id: message.provider_message_id,
                reply_to: message.reply_to,
                occurred_at,
                created_at: self.now,
            });
            facts.push(fact);
        }
        let sent: Vec<_> = rows
            .iter()
            .map(|row| {
                (row.direction == Direction::Outbound).then_some(Sent {
                    organisation: row.organisation_id,
                    key: row.provider_key,
                    message: Reported {
                        id: row.id,
                        conversation_id: row.conversation_id,
                        status: row.status,
                    },
                })
            })
            .collect();
        let inserted = apply::insert_messages(tx, rows).await?;
        // Reports of one that somebody else just stored are for that row; the sweep finds it.
        let sent = sent.into_iter().zip(&inserted).filter(|(_, inserted)| **inserted);
        self.catch_up(tx, sent.filter_map(|(sent, _)| sent).collect()).await?;
        self.follow(tx, facts, &inserted).await
    }

    /// Leaves out what is stored already. A webhook that comes again after days must not make anew whom it names:
    /// the person may have another number by now, and the group another id.
    async fn unstored(tx: &mut Tx, incoming: Vec<Incoming>) -> Result<Vec<Incoming>, StoreError> {
        let key = |arrival: &Incoming| {
            let account = &arrival.account;
            (account.organisation_id, provider_key(account.id, &arrival.message.provider_message_id))
        };
        let stored = apply::stored(tx, incoming.iter().map(key).collect()).await?;
        Ok(incoming.into_iter().filter(|arrival| !stored.contains(&key(arrival).1)).collect())
    }

    /// The channel of every message; groups seen for the first time get one.
    async fn channels(
        &mut self,
        tx: &mut Tx,
        incoming: &[Incoming],
    ) -> Result<HashMap<(AccountId, String), ChannelId>, StoreError> {
        let mut wanted = HashSet::new();
        for arrival in incoming {
            match &arrival.message.chat {
                Chat::Direct => {
                    wanted.insert((arrival.account.id, String::new()));
                    if arrival.account.has_linked_chats {
                        wanted.extend(
                            arrival
                                .message
                                .party
                                .identities
                                .iter()
                                .map(|identity| (arrival.account.id, identity.value.clone())),
                        );
                    }
                }
                Chat::Group { external_id, .. } => {
                    wanted.insert((arrival.account.id, external_id.clone()));
                }
            }
        }
        let mut channels = apply::channels(tx, wanted.into_iter().collect()).await?;
        for arrival in incoming {
            if let Chat::Group { external_id, title, .. } = &arrival.message.chat {
                let key = (arrival.account.id, external_id.clone());
                if let std::collections::hash_map::Entry::Vacant(vacant) = channels.entry(key) {
                    let id = ChannelId::new(&self.engine.clock);
                    let title = title.as_deref().unwrap_or(external_id);
                    self.new_group(tx, &arrival.account, id, external_id, title, ChannelStatus::Pending)
                        .await?;
                    vacant.insert(id);
                }
            }
            if let Some(channel) = channel_of(&channels, arrival) {
                self.saw_channel(arrival.account.organisation_id, channel);
            }
        }
        Ok(channels)
    }

    /// The contact of every sender; new people get one.
    async fn contacts(&mut self, tx: &mut Tx, incoming: &[Incoming]) -> Result<Contacts, StoreError> {
        let mut wanted: HashSet<(OrganisationId, Identity)> = HashSet::with_capacity(incoming.len());
        for arrival in incoming {
            for identity in &arrival.message.party.identities {
                wanted.insert((arrival.account.organisation_id, identity.clone()));
            }
        }
        let mut contacts = apply::contacts_by_identity(tx, &wanted).await?;
        let mut new_contacts = Vec::new();
        let mut new_identities = Vec::new();
        let mut learnt = Vec::new();
        let mut seen: HashMap<ContactId, (OrganisationId, Timestamp, Option<String>)> = HashMap::new();
        for arrival in incoming {
            let organisation = arrival.account.organisation_id;
            let party = &arrival.message.party;
            let known = contact_of(&contacts, arrival).copied();
            let contact = known.unwrap_or_else(|| {
                let seen_at = arrival.message.occurred_at.min(arrival.received_at);
                let id = ContactId::new(&self.engine.clock);
                let new = new_contact(organisation, id, party, seen_at, self.now);
                let contact =
                    ContactRef { id: new.id, has_name: new.name.is_some(), last_seen_at: Some(new.seen_at) };
                self.count(organisation, Counter::Contacts, 1);
                self.event(organisation, "contact.created", new.id.uuid(), None);
                new_contacts.push(new);
                contact
            });
            for identity in &party.identities {
                let key = (organisation, identity.clone());
                if let std::collections::hash_map::Entry::Vacant(vacant) = contacts.entry(key) {
                    vacant.insert(contact);
                    if known.is_some() && identity.kind == IdentityKind::WaId {
                        learnt.push((organisation, contact.id, identity.value.clone()));
                    }
                    new_identities.push((organisation, identity.clone(), contact.id));
                }
            }
            let at = arrival.message.occurred_at.min(arrival.received_at);
            let stale = contact.last_seen_at.is_none_or(|last| at > last.plus(SEEN_STEP));
            let name = (!contact.has_name).then(|| party.name.clone()).flatten();
            if arrival.message.origin == Origin::Live && (stale || name.is_some()) {
                let entry = seen.entry(contact.id).or_insert((organisation, at, None));
                entry.1 = entry.1.max(at);
                entry.2 = name.or(entry.2.take());
            }
        }
        let expected = new_identities.len() as u64;
        apply::insert_contacts(tx, new_contacts).await?;
        if apply::insert_identities(tx, new_identities).await? != expected {
            return Err(StoreError::Contention("a contact appeared meanwhile".into()));
        }
        apply::learn_numbers(tx, learnt).await?;
        let seen =
            seen.into_iter().map(|(contact, (organisation, at, name))| (organisation, contact, at, name));
        let mut seen: Vec<_> = seen.collect();
        seen.sort_unstable_by_key(|(_, contact, ..)| *contact);
        apply::touch_contacts(tx, seen).await?;
        Ok(contacts)
    }

    async fn conversations(
        &mut self,
        tx: &mut Tx,
        incoming: &[Incoming],
        keys: &[(ConversationKey, ContactId)],
    ) -> Result<HashMap<ConversationKey, ConversationId>, StoreError> {
        let wanted: HashSet<&ConversationKey> = keys.iter().map(|(key, _)| key).collect();
        let mut conversations = apply::conversations(tx, wanted).await?;
        let mut new = Vec::new();
        for (arrival, (key, contact)) in incoming.iter().zip(keys) {
            if conversations.contains_key(key) {
                continue;
            }
            let id = ConversationId::new(&self.engine.clock);
            let (contact_id, title) = match &arrival.message.chat {
                Chat::Direct => (Some(*contact), None),
                Chat::Group { title, .. } => (None, title.clone()),
            };
            conversations.insert(key.clone(), id);
            new.push(NewConversation { key: key.clone(), id, contact_id, title, created_at: self.now });
            self.count(
                key.organisation_id,
                Counter::Conversations(key.channel_id, ConversationStatus::Open),
                1,
            );
            self.event(key.organisation_id, "conversation.created", id.uuid(), None);
        }
        let expected = new.len() as u64;
        if apply::insert_conversations(tx, new).await? != expected {
            return Err(StoreError::Contention("a conversation appeared meanwhile".into()));
        }
        Ok(conversations)
    }

    /// What follows from messages that are new: inbox items, the conversation's counters, events.
    async fn follow(&mut self, tx: &mut Tx, facts: Vec<Fact>, inserted: &[bool]) -> Result<(), StoreError> {
        let mut bumps: HashMap<ConversationId, ConversationBump> = HashMap::with_capacity(facts.len());
        let mut inbox = Vec::with_capacity(facts.len());
        let mut files = Vec::new();
        let new = facts.into_iter().zip(inserted).filter(|(_, inserted)| **inserted);
        let new: Vec<_> = new.map(|(fact, _)| fact).collect();
        // Somebody may be closing one of them: what it is when it is this transaction's turn decides.
        let touched = new.iter().map(|fact| (fact.organisation_id, fact.conversation)).collect();
        let statuses = apply::lock_conversations(tx, touched).await?;
        let mut opened = Vec::new();
        for fact in new {
            let Fact { organisation_id, conversation, .. } = fact;
            files.extend(fact.files);
            if fact.starts {
                opened.push((organisation_id, fact.message_id));
            }
            let bump = bumps.entry(conversation).or_insert(ConversationBump {
                organisation_id,
                id: conversation,
                messages: 0,
                unread: 0,
                last_message_at: fact.occurred_at,
                last_inbound_at: None,
                reopen: false,
            });
            bump.messages += 1;
            bump.last_message_at = bump.last_message_at.max(fact.occurred_at);
            if fact.unread {
                bump.unread += 1;
                let put_away = statuses.get(&conversation).copied().filter(|status| {
                    matches!(status, ConversationStatus::Closed | ConversationStatus::Snoozed)
                });
                if let Some(before) = put_away.filter(|_| !bump.reopen) {
                    bump.reopen = true;
                    let channel = fact.key.channel_id;
                    self.count(organisation_id, Counter::Conversations(channel, before), -1);
                    self.count(organisation_id, Counter::Conversations(channel, ConversationStatus::Open), 1);
                    self.event(
                        organisation_id,
                        "conversation.updated",
                        conversation.uuid(),
                        Some(r#"{"status":"open"}"#.into()),
                    );
                }
            }
            // That a number or an identity changed is WhatsApp's word, not the person's: it opens no window.
            if fact.inbound && fact.kind != MessageKind::System {
                bump.last_inbound_at = bump.last_inbound_at.max(Some(fact.occurred_at));
            }
            let mut data =
                format!(r#"{{"conversation_id":"{}","channel_id":"{}""#, conversation, fact.key.channel_id);
            if fact.unread {
                let item = NewInboxItem {
                    organisation_id,
                    id: InboxItemId::new(&self.engine.clock),
                    platform: fact.platform,
                    channel_id: fact.key.channel_id,
                    conversation_id: conversation,
                    contact_id: Some(fact.contact),
                    message_id: fact.message_id,
                    kind: fact.kind,
                    occurred_at: fact.occurred_at,
                    created_at: self.now,
                };
                data.push_str(r#","inbox_item_id":""#);
                data.push_str(&item.id.to_string());
                data.push('"');
                inbox.push(item);
                self.count(organisation_id, Counter::Inbox(InboxStatus::New), 1);
            }
            data.push('}');
            if fact.live || !fact.inbound {
                let kind = if fact.inbound { "message.received" } else { "message.sent" };
                self.event(organisation_id, kind, fact.message_id.uuid(), Some(data));
            }
        }
        apply::insert_inbox_items(tx, inbox).await?;
        self.engine.expect_files(tx, files).await?;
        self.engine.have_greeted(tx, opened).await?;
        apply::bump_conversations(tx, bumps.into_values().collect(), self.now).await
    }
}

/// What is remembered of a message after its row is written.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Fact {
    organisation_id: OrganisationId,
    platform: Platform,
    conversation: ConversationId,
    key: ConversationKey,
    contact: ContactId,
    message_id: MessageId,
    /// What it brings, to be fetched.
    files: Vec<File>,
    kind: MessageKind,
    occurred_at: Timestamp,
    inbound: bool,
    /// The button that opens the chat with a bot.
    starts: bool,
    unread: bool,
    live: bool,
}

/// JSON text of an object, nothing for an empty one.
pub(super) fn text_of(payload: &Value) -> Option<String> {
    match payload {
        Value::Null => None,
        Value::Object(fields) if fields.is_empty() => None,
        payload => Some(payload.to_string()),
    }
}

/// The sender's contact: by the first of the identities that is known.
fn contact_of<'a>(contacts: &'a Contacts, arrival: &Incoming) -> Option<&'a ContactRef> {
    let organisation = arrival.account.organisation_id;
    arrival
        .message
        .party
        .identities
        .iter()
        .find_map(|identity| contacts.get(&(organisation, identity.clone())))
}

fn channel_of(channels: &HashMap<(AccountId, String), ChannelId>, arrival: &Incoming) -> Option<ChannelId> {
    let account = arrival.account.id;
    match &arrival.message.chat {
        Chat::Group { external_id, .. } => channels.get(&(account, external_id.clone())).copied(),
        Chat::Direct => arrival
            .account
            .has_linked_chats
            .then(|| {
                arrival
                    .message
                    .party
                    .identities
                    .iter()
                    .find_map(|identity| channels.get(&(account, identity.value.clone())))
            })
            .flatten()
            .or_else(|| channels.get(&(account, String::new())))
            .copied(),
    }
}

pub(super) fn new_contact(
    organisation_id: OrganisationId,
    id: ContactId,
    party: &Party,
    seen_at: Timestamp,
    now: Timestamp,
) -> NewContact {
    let wa_id = party
        .identities
        .iter()
        .find(|identity| identity.kind == IdentityKind::WaId)
        .map(|identity| identity.value.clone());
    let phone = wa_id.as_ref().map(|digits| format!("+{digits}"));
    let search = [party.name.as_deref(), party.username.as_deref(), phone.as_deref()]
        .into_iter()
        .flatten()
        .map(str::to_lowercase)
        .collect::<Vec<_>>()
        .join(" ");
    NewContact {
        organisation_id,
        id,
        name: party.name.clone(),
        username: party.username.clone(),
        language: party.language.clone(),
        wa_id,
        phone,
        search,
        seen_at,
        created_at: now,
    }
}
