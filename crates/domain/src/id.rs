//! Identifiers: UUID v7 inside, 26 characters of Crockford base 32 (the ULID text form) outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The text is not 26 characters of Crockford base 32 that fit 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ULID")]
pub struct InvalidId;

fn encode(id: Uuid) -> [u8; 26] {
    let mut value = id.as_u128();
    let mut text = [0_u8; 26];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    text
}

fn decode(text: &str) -> Result<Uuid, InvalidId> {
    let bytes = text.as_bytes();
    if bytes.len() != 26 || bytes[0] > b'7' {
        return Err(InvalidId);
    }
    let mut value = 0_u128;
    for byte in bytes {
        let upper = byte.to_ascii_uppercase();
        let digit = ALPHABET.iter().position(|letter| *letter == upper).ok_or(InvalidId)?;
        value = value << 5 | digit as u128;
    }
    Ok(Uuid::from_u128(value))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier, greater than all that this clock has made.
            pub fn new(clock: &crate::Clock) -> Self {
                Self(clock.uuid())
            }

            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(self.0);
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A tenant.
    OrganisationId,
    /// A person who signs in.
    UserId,
    /// A connected WhatsApp number or Telegram bot.
    AccountId,
    /// A place where messages flow over an account: its direct line, a group, a widget.
    ChannelId,
    /// A person who writes to us.
    ContactId,
    /// The thread between us and one contact (or one group topic) on one channel.
    ConversationId,
    MessageId,
    InboxItemId,
    TemplateId,
    /// A piece of an inbound body that could not be applied yet.
    HeldId,
    SiteId,
    /// A thing at a site: a unit, a room, a machine.
    FacilityId,
    CategoryId,
    /// A work update or a problem.
    RecordId,
    /// A file, a comment or a step in the history of a record.
    EntryId,
    /// Work of the server that waits for its time.
    JobId,
    /// A file in the organisation's media library.
    FileId,
    /// An address that is told of events.
    WebhookEndpointId,
    /// One event on its way to one endpoint.
    WebhookDeliveryId,
    NotificationId,
    /// What an event is about, whatever that is.
    SubjectId,
    /// A notification on its way to one recipient.
    NotificationLegId,
    NotificationTemplateId,
    /// A program of others that people may connect.
    AppId,
    /// The signup of a WhatsApp business account over Meta's dialog.
    SignupId,
    /// A chat widget on web pages.
    WidgetId,
    /// What embed tokens are signed with.
    WidgetKeyId,
    /// Something an organisation can pay for.
    PlanId,
    InvoiceId,
    /// One attempt to pay an invoice.
    PaymentId,
    /// The tokens that one person gave one app.
    ConnectionId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips_and_keeps_order(a: u128, b: u128) {
            let (a, b) = (MessageId::from_uuid(Uuid::from_u128(a)), MessageId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.to_string().parse::<MessageId>(), Ok(a));
            prop_assert_eq!(a.to_string().to_lowercase().parse::<MessageId>(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn other_text_is_refused(text in "\\PC{0,30}") {
            if let Ok(id) = text.parse::<MessageId>() {
                prop_assert_eq!(id.to_string(), text.to_uppercase());
            }
        }
    }
}
