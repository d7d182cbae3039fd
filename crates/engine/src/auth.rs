//! Who is calling: tokens, sign-in, sign-out.

use kabar_domain::{Abilities, Ability, OrganisationId, Role, UserId};

use crate::error::{Error, Result};

/// The caller of an operation: a person, through a token, in one organisation.
#[derive(Clone, Debug)]
pub struct Principal {
    pub user_id: UserId,
    pub token_id: i64,
    pub organisation_id: OrganisationId,
    pub role: Role,
    /// What the token and the role both allow.
    pub abilities: Abilities,
}

impl Principal {
    pub fn require(&self, ability: Ability) -> Result<()> {
        if self.abilities.allows(ability) { Ok(()) } else { Err(Error::MissingAbility(ability)) }
    }
}
