//! The one message model: what a person or a business wrote, whichever provider carried it.

use serde::{Deserialize, Serialize};

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word the API uses.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The number the database holds; it never changes its meaning.
            pub const fn code(self) -> i64 {
                match self { $(Self::$variant => $code,)* }
            }

            pub const fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use text_enum;

text_enum! {
    /// Which service carries a message.
    Platform {
        Whatsapp = 1, "whatsapp";
        Telegram = 2, "telegram";
        /// A chat widget on a web page: Kabar itself.
        Widget = 3, "widget";
        /// None of them: ingested over the API.
        Other = 9, "other";
    }
}

text_enum! {
    Direction {
        Inbound = 1, "inbound";
        Outbound = 2, "outbound";
    }
}

text_enum! {
    /// What a message is. `payload` holds the kind's own fields.
    MessageKind {
        Text = 1, "text";
        Image = 2, "image";
        Video = 3, "video";
        Audio = 4, "audio";
        Voice = 5, "voice";
        Document = 6, "document";
        Sticker = 7, "sticker";
        Location = 8, "location";
        /// Shared address cards.
        Contacts = 9, "contacts";
        /// A tap on a template's or keyboard's button.
        Button = 10, "button";
        /// A reply button, list row, permission or payment answer.
        Interactive = 11, "interactive";
        /// A completed form.
        Flow = 12, "flow";
        /// An emoji put on another message (`reply_to`), or its removal (`payload.removed`).
        Reaction = 13, "reaction";
        Order = 14, "order";
        Poll = 15, "poll";
        Template = 16, "template";
        /// Something the service says about the conversation: members, numbers, titles, pins.
        System = 17, "system";
        Call = 18, "call";
        /// A kind Kabar does not know; `payload` is the provider's object as it came.
        Unknown = 19, "unknown";
    }
}

impl MessageKind {
    /// Whether it is something a person said, and so becomes an inbox item and counts as unread.
    pub const fn is_content(self) -> bool {
        !matches!(self, Self::Reaction | Self::System | Self::Call)
    }
}

text_enum! {
    /// Where a message stands. The code is its rank.
    MessageStatus {
        Received = 1, "received";
        Queued = 10, "queued";
        Sending = 20, "sending";
        /// A crash or a lost answer: the provider may or may not have it.
        Uncertain = 30, "uncertain";
        Sent = 40, "sent";
        Delivered = 50, "delivered";
        Read = 60, "read";
        /// A voice message was played.
        Played = 70, "played";
        Failed = 80, "failed";
        Cancelled = 90, "cancelled";
    }
}

impl MessageStatus {
    /// Whether a provider's status may replace this one. Statuses only move forward; `failed` ends a message
    /// unless a delivery was already reported.
    pub const fn advances_to(self, next: Self) -> bool {
        match (self, next) {
            (Self::Received | Self::Cancelled | Self::Failed, _)
            | (Self::Delivered | Self::Read | Self::Played, Self::Failed) => false,
            _ => next.code() > self.code(),
        }
    }
}

/// One attached file as the provider describes it. Bytes are fetched apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// The provider's id for fetching (WhatsApp media id, Telegram `file_id`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Our own file, when its bytes are in the media library.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_id: Option<crate::FileId>,
    /// Of that file; found out when the message is shown.
    #[serde(skip)]
    pub status: Option<crate::file::FileStatus>,
    /// A link given instead of an id (outbound by URL).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mime_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filename: Option<String>,
    /// Lowercase hexadecimal, whatever encoding the provider used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub caption: Option<String>,
    /// Telegram's id that is the same for all bots.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unique_id: Option<String>,
}

/// Why a provider refused or lost a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderError {
    /// The provider's own code.
    pub code: i64,
    pub title: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// What a person should do about it, one sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<String>,
}

impl ProviderError {
    /// What it says, as one or two sentences for a person.
    pub fn sentence(&self) -> String {
        let mut text = self.title.trim_end_matches('.').to_owned();
        if let Some(detail) = &self.detail {
            text = format!("{text}: {}", detail.trim_end_matches('.'));
        }
        text.push('.');
        if let Some(action) = &self.action {
            text = format!("{text} {action}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_status() -> impl Strategy<Value = MessageStatus> {
        proptest::sample::select(MessageStatus::ALL)
    }

    proptest! {
        #[test]
        fn delivery_reports_in_any_order_end_at_the_furthest(
            reports in proptest::collection::vec(
                proptest::sample::select(&[
                    MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read, MessageStatus::Played,
                ][..]), 1..12),
        ) {
            let end = reports.iter().fold(MessageStatus::Sending, |now, next| {
                if now.advances_to(*next) { *next } else { now }
            });
            let furthest = reports.iter().max_by_key(|status| status.code()).copied();
            prop_assert_eq!(Some(end), furthest);
        }

        #[test]
        fn a_status_never_goes_back(from in any_status(), to in any_status()) {
            prop_assert!(!from.advances_to(to) || from.code() < to.code());
        }
    }
}
