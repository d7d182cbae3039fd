//! Fields of a change: "as it is" is not the same as "nothing".

use serde::{Deserialize, Deserializer};

/// A field that was left out, or given, perhaps as null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Left out: stays as it is.
    #[default]
    Keep,
    Set(Option<T>),
}

impl<T> Patch<T> {
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The value given, if one was.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(Some(value)) => Some(value),
            Self::Keep | Self::Set(None) => None,
        }
    }

    /// Puts what was given in `field`.
    pub fn apply(self, field: &mut Option<T>) {
        if let Self::Set(value) = self {
            *field = value;
        }
    }
}

/// Needs `#[serde(default)]` on the field, so that one left out is [`Patch::Keep`].
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Set)
    }
}
