//! What a webhook says, in one vocabulary for every provider. `providers` parses into it, `engine` applies it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::channel::{MemberRole, MemberStatus};
use crate::clock::Timestamp;
use crate::message::{Media, MessageKind, MessageStatus, ProviderError, text_enum};

/// One entry of a webhook body that stands or falls by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Where in the body it is (RFC 6901), `/entry/0/changes/0/value/messages/3`; empty for the whole body.
    pub pointer: String,
    /// Whom it is for.
    pub account: AccountKey,
    /// What it says, or why it cannot be understood.
    pub event: Result<Event, String>,
}

/// How a webhook names the account it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccountKey {
    /// WhatsApp `phone_number_id`.
    PhoneNumber(String),
    /// WhatsApp business account (`entry[].id`) for events that name no number. `display_phone_number`, digits
    /// only, narrows it to one number where the event gives it.
    BusinessAccount { waba_id: String, display_phone_number: Option<String> },
    /// The account whose own webhook address was called (Telegram).
    Address,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Message(Box<InboundMessage>),
    Status(StatusUpdate),
    /// The sender changed a message's content.
    Edit(Box<Edit>),
    /// The sender deleted a message for everyone.
    Revoke {
        chat: Chat,
        sender: Option<Party>,
        target: String,
        occurred_at: Timestamp,
    },
    /// One person, another identity: a changed number, a regenerated business-scoped id.
    IdentityChange {
        old: Identity,
        new: Identity,
        occurred_at: Timestamp,
    },
    /// A group got a new provider id (Telegram's basic group to supergroup).
    GroupMigrated {
        old: String,
        new: String,
        occurred_at: Timestamp,
    },
    /// Facts about a group: its settings, its members, our own membership.
    Group {
        chat: Chat,
        change: GroupChange,
        occurred_at: Timestamp,
    },
    /// A group we asked for was not made.
    GroupRefused {
        request_id: String,
        error: ProviderError,
        occurred_at: Timestamp,
    },
    Template(TemplateChange),
    Account(AccountChange),
    /// An event with no message to show, kept as an event of the organisation with its provider's name.
    Other {
        name: String,
        value: Value,
        occurred_at: Option<Timestamp>,
    },
}

text_enum! {
    /// What kind of name a provider knows a person by.
    IdentityKind {
        /// WhatsApp phone digits without `+`.
        WaId = 1, "wa_id";
        /// WhatsApp business-scoped user id, `US.1349…`.
        Bsuid = 2, "bsuid";
        /// Telegram user id.
        Telegram = 3, "telegram";
        /// A visitor of a web widget.
        Widget = 4, "widget";
        /// An outside system's own reference, given over the API.
        External = 5, "external";
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub kind: IdentityKind,
    pub value: String,
}

impl Identity {
    pub fn new(kind: IdentityKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into() }
    }
}

/// A person on the other side. All identities are of the same person, the most lasting first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub identities: Vec<Identity>,
    pub name: Option<String>,
    pub username: Option<String>,
    /// Language hint, BCP 47.
    pub language: Option<String>,
}

/// Where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chat {
    /// One person and us; the contact is the sender (or, for an echo, the recipient).
    Direct,
    /// A group, by the provider's id, with the topic inside it if it has topics.
    Group { external_id: String, title: Option<String>, topic: Option<String> },
}

/// How a message came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Written to us now.
    Live,
    /// Sent by us from another device (WhatsApp Business app); an outbound message.
    Echo,
    /// From before we were connected, inbound or outbound; never unread, never an inbox item.
    History { from_us: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub struct InboundMessage {
    /// Unique within the account: a `wamid`, or Telegram's `chat_id:message_id` (`cb:…` for a button tap,
    /// `update:…` for updates that are no message).
    pub provider_message_id: String,
    pub origin: Origin,
    pub chat: Chat,
    /// Who wrote it; for an echo, to whom it went. Empty identities are a parse error, never stored.
    pub party: Party,
    pub kind: MessageKind,
    /// What a person reads: the text, caption, button or row title, emoji, place name.
    pub body: Option<String>,
    pub media: Vec<Media>,
    /// The kind's own fields, an object; `{}` when there are none. Context that any kind can carry sits beside
    /// them: `forwarded`, `frequently_forwarded`, `referral`, `referred_product`, `entities`, `media_group_id`.
    pub payload: Value,
    /// The quoted message, or the one reacted to: its provider message id.
    pub reply_to: Option<String>,
    pub occurred_at: Timestamp,
    /// For `origin == Echo` or outbound history: how far it got.
    pub status: Option<MessageStatus>,
}

/// A delivery report of a message we sent.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusUpdate {
    pub provider_message_id: String,
    /// `Sent`, `Delivered`, `Read`, `Played` or `Failed`.
    pub status: MessageStatus,
    pub occurred_at: Timestamp,
    /// Our own message id, echoed by the provider.
    pub callback_data: Option<String>,
    /// Who it reached: the recipient, or in a group the participant.
    pub recipient: Option<Identity>,
    pub is_group: bool,
    pub error: Option<ProviderError>,
    /// Price and category as the provider reports them.
    pub pricing: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    pub chat: Chat,
    pub sender: Party,
    /// Provider message id of the edited message.
    pub target: String,
    pub kind: MessageKind,
    pub body: Option<String>,
    pub media: Vec<Media>,
    pub payload: Value,
    pub occurred_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// It was made, by the request that the provider gave this id.
    Created {
        request_id: Option<String>,
        facts: GroupFacts,
    },
    Settings(GroupFacts),
    /// We can (or can no longer) read and write there.
    Membership {
        active: bool,
    },
    /// The provider stopped it (or lets it go on).
    Suspended(bool),
    Members(Vec<MemberChange>),
    Deleted,
}

/// A group's settings. Absent ones are unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFacts {
    pub title: Option<String>,
    pub description: Option<String>,
    pub invite_link: Option<String>,
    /// `auto_approve` or `approval_required`.
    pub join_approval_mode: Option<String>,
    pub suspended: Option<bool>,
}

/// What a person has become to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    pub party: Party,
    pub status: MemberStatus,
    pub role: MemberRole,
    /// The provider's id of the request to join.
    pub request_id: Option<String>,
}

/// A message template's new state. Absent fields are unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateChange {
    pub provider_id: String,
    pub name: String,
    /// With `_`, as `en_US`.
    pub language: String,
    pub status: Option<String>,
    pub category: Option<String>,
    /// GREEN, YELLOW, RED or UNKNOWN.
    pub quality: Option<String>,
    pub reason: Option<String>,
    pub occurred_at: Option<Timestamp>,
}

/// A number's or business account's new state. Absent fields are unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountChange {
    /// The provider's name for the event: `phone_number_quality_update`, `account_update:ACCOUNT_RESTRICTION`.
    pub name: String,
    /// The account can (`Some(true)`) or can no longer (`Some(false)`) send and receive.
    pub connected: Option<bool>,
    pub quality: Option<String>,
    pub messaging_limit: Option<String>,
    pub verified_name: Option<String>,
    /// A sentence for the people who run it, when something is wrong.
    pub problem: Option<String>,
    /// As it came.
    pub value: Value,
    pub occurred_at: Option<Timestamp>,
}
