//! What a message's payload holds, read.

use kabar_domain::outbound::{OutboundMessage, Unsendable};
use serde::de::DeserializeOwned;

/// One field of the payload, where it is given.
pub(crate) fn field<T: DeserializeOwned>(
    message: &OutboundMessage,
    name: &str,
) -> Result<Option<T>, Unsendable> {
    let given = message.payload.get(name).filter(|value| !value.is_null());
    given
        .map(|value| T::deserialize(value).map_err(|error| Unsendable::new(name, format!("{error}."))))
        .transpose()
}

/// The payload of a kind that has one.
pub(crate) fn whole<T: DeserializeOwned>(message: &OutboundMessage) -> Result<T, Unsendable> {
    T::deserialize(&message.payload)
        .map_err(|error| Unsendable::new(message.kind.as_str(), format!("{error}.")))
}
