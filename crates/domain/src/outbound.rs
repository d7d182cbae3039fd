//! What we ask a provider to send, and what became of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inbound::Identity;
use crate::message::{Media, MessageKind, ProviderError, text_enum};

/// One message, ready to be put on a provider's wire.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundMessage {
    /// Our message id (ULID text); WhatsApp echoes it in every status.
    pub callback_data: String,
    pub recipient: Recipient,
    pub kind: MessageKind,
    /// The text, or the caption of `media`.
    pub body: Option<String>,
    pub media: Option<Media>,
    /// The kind's own fields, an object; `{}` when there are none.
    pub payload: Value,
    /// Provider message id of the quoted message.
    pub reply_to: Option<String>,
}

/// Why a message cannot go over its provider as it is: found before it is queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsendable {
    /// The request's field at fault, as `interactive.buttons.0.title`.
    pub field: String,
    /// A sentence for the person who wrote the message.
    pub reason: String,
    /// The provider has no such thing, whatever the field says.
    pub is_capability: bool,
}

impl Unsendable {
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into(), is_capability: false }
    }

    pub fn capability(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { is_capability: true, ..Self::new(field, reason) }
    }
}

text_enum! {
    /// Which of an account's messages go first when they have to wait for each other.
    SendPriority {
        /// Somebody waits for it: a reply.
        High = 1, "high";
        Normal = 2, "normal";
        /// A campaign.
        Low = 3, "low";
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    Person(Identity),
    /// A group by the provider's id, and the topic inside it.
    Group {
        external_id: String,
        topic: Option<String>,
    },
}

/// The provider took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub provider_message_id: String,
    /// The identity the provider resolved the recipient to, when it says so (`wa_id` can differ from the input).
    pub recipient: Option<Identity>,
}

/// The provider did not, or we cannot know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFailure {
    pub error: ProviderError,
    pub verdict: Verdict,
}

/// What to do with a message after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was certainly not sent; try again a few times, not before `after` when the provider named a time.
    Retry { after: Option<Duration> },
    /// It was certainly not sent, and neither is anything else over this account for now: too much was sent, or the
    /// provider is down or in maintenance. The account's queue waits, for `after` when the provider named a time.
    Hold { after: Option<Duration> },
    /// It was certainly not sent: too much went to this recipient. Their messages wait, for `after` when the
    /// provider named a time; the others go on.
    SlowRecipient { after: Option<Duration> },
    /// It was certainly not sent, and never will be as it is.
    Fail,
    /// The account's credentials or standing are at fault: nothing more goes out over it until that is mended.
    PauseAccount,
    /// It may have been sent: the answer was lost. Never resent blindly.
    Uncertain,
}

impl Verdict {
    /// Whether the same call may simply be made again later.
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::Retry { .. } | Self::Hold { .. } | Self::SlowRecipient { .. })
    }
}
