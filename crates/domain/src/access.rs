//! Who may do what: token abilities, and the roles that grant them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::message::text_enum;
use crate::{ChannelId, SiteId};

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ability {
    Read,
    Write,
    Send,
    /// Implies all others.
    Admin,
}

impl Ability {
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Send, Self::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Ability {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|ability| ability.as_str() == text)
            .ok_or_else(|| format!("unknown ability `{text}`; use read, write, send or admin"))
    }
}

/// A set of abilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Abilities(u8);

impl Abilities {
    pub const ALL: Self = Self(0b1111);

    pub fn of(abilities: &[Ability]) -> Self {
        abilities.iter().fold(Self::default(), |set, ability| Self(set.0 | 1 << *ability as u8))
    }

    pub const fn allows(self, ability: Ability) -> bool {
        self.0 & (1 << Ability::Admin as u8 | 1 << ability as u8) != 0
    }

    /// What both sets allow.
    #[must_use]
    pub fn meet(self, other: Self) -> Self {
        Ability::ALL
            .into_iter()
            .filter(|ability| self.allows(*ability) && other.allows(*ability))
            .fold(Self::default(), |set, ability| Self(set.0 | 1 << ability as u8))
    }

    pub fn names(self) -> Vec<&'static str> {
        Ability::ALL.into_iter().filter(|a| self.0 & (1 << *a as u8) != 0).map(Ability::as_str).collect()
    }

    /// From stored names. `*` stands for all; unknown names grant nothing.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(Self::default(), |set, name| match name {
            "*" => Self::ALL,
            name => name.parse::<Ability>().map_or(set, |ability| Self(set.0 | 1 << ability as u8)),
        })
    }
}

/// A person's place in an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Owner,
    Admin,
    Supervisor,
    Agent,
    Viewer,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Supervisor, Self::Agent, Self::Viewer];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Supervisor => "supervisor",
            Self::Agent => "agent",
            Self::Viewer => "viewer",
        }
    }

    pub fn abilities(self) -> Abilities {
        match self {
            Self::Owner | Self::Admin => Abilities::ALL,
            Self::Supervisor | Self::Agent => Abilities::of(&[Ability::Read, Ability::Write, Ability::Send]),
            Self::Viewer => Abilities::of(&[Ability::Read]),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("unknown role `{text}`; use owner, admin, supervisor, agent or viewer"))
    }
}

text_enum! {
    /// What a token is for.
    TokenKind {
        /// A program's, or one of a person's devices.
        Token = 1, "token";
        /// A browser's, good as a cookie only.
        Session = 2, "session";
        /// An app's, given by a person on the consent page.
        App = 3, "app";
    }
}

/// What of an organisation a token is bound to. An empty one is bound to nothing: it reaches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub channels: Option<Vec<ChannelId>>,
    pub sites: Option<Vec<SiteId>>,
}

impl Reach {
    pub const fn is_everything(&self) -> bool {
        self.channels.is_none() && self.sites.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_implies_the_others_and_a_role_caps_a_token() {
        let admin = Abilities::of(&[Ability::Admin]);
        assert!(Ability::ALL.into_iter().all(|ability| admin.allows(ability)));
        let viewer = admin.meet(Role::Viewer.abilities());
        assert_eq!(viewer.names(), ["read"]);
        assert!(!Abilities::of(&[Ability::Read]).allows(Ability::Send));
        assert_eq!(Abilities::from_names(["*"]), Abilities::ALL);
        assert_eq!(Abilities::from_names(["launch"]), Abilities::default());
    }
}
