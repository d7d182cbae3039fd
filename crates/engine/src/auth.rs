//! Who is calling: tokens, sign-in, sign-out.

mod limiter;
mod login;
mod me;
pub(crate) mod password;
mod session;
pub(crate) mod token;

use std::time::Duration;

use kabar_domain::{
    Abilities, Ability, ChannelId, OrganisationId, Reach, Role, SiteId, Timestamp, TokenKind, UserId,
};
use kabar_store::tokens::{self, Key, Named};
use kabar_store::users;
use subtle::ConstantTimeEq;

use crate::Engine;
use crate::error::{Error, Result};

pub use limiter::LoginLimiter;
pub use login::{Login, LoginOutcome};
pub use me::Me;
use session::IDLE;

/// A use is recorded when the last one recorded is at least this old.
const TOUCH_AFTER: Duration = Duration::from_mins(1);

/// The caller of an operation: a person, through a token, in one organisation.
#[derive(Clone, Debug)]
pub struct Principal {
    pub user_id: UserId,
    pub token_id: i64,
    pub organisation_id: OrganisationId,
    pub role: Role,
    /// What the token and the role both allow.
    pub abilities: Abilities,
    /// What the token alone allows; another organisation's role may cap it otherwise.
    pub token_abilities: Abilities,
    /// The token is good for this organisation only.
    pub bound: bool,
    /// It is a browser that calls, by its cookie.
    pub session: bool,
    /// The channels and sites the token is bound to.
    pub reach: Reach,
    /// Why the caller may only read for now, though the token allows more.
    pub unpaid: Option<String>,
}

impl Principal {
    /// For operations on all that an organisation has: tokens bound to channels or sites are refused.
    pub fn require(&self, ability: Ability) -> Result<()> {
        self.may(ability)?;
        if self.reach.is_everything() { Ok(()) } else { Err(Error::OutOfReach) }
    }

    /// For operations that keep to the channels that a token is bound to.
    pub(crate) fn require_in_channels(&self, ability: Ability) -> Result<()> {
        self.may(ability)?;
        if self.reach.is_everything() || self.reach.channels.is_some() {
            Ok(())
        } else {
            Err(Error::OutOfReach)
        }
    }

    /// For operations that keep to the sites that a token is bound to.
    pub(crate) fn require_at_sites(&self, ability: Ability) -> Result<()> {
        self.may(ability)?;
        if self.reach.is_everything() || self.reach.sites.is_some() { Ok(()) } else { Err(Error::OutOfReach) }
    }

    /// The answer for what is out of reach is that of what is not there.
    pub(crate) fn reaches_channel(&self, id: ChannelId) -> bool {
        self.reach.channels.as_ref().is_none_or(|channels| channels.contains(&id))
    }

    pub(crate) fn reaches_site(&self, id: SiteId) -> bool {
        self.reach.sites.as_ref().is_none_or(|sites| sites.contains(&id))
    }

    pub(crate) fn may(&self, ability: Ability) -> Result<()> {
        match &self.unpaid {
            _ if !self.abilities.allows(ability) => Err(Error::MissingAbility(ability)),
            Some(why) if ability != Ability::Read => Err(Error::PaymentRequired(why.clone())),
            _ => Ok(()),
        }
    }

    /// The one organisation the token may see, if it is bound.
    pub fn only(&self) -> Option<OrganisationId> {
        self.bound.then_some(self.organisation_id)
    }
}

fn belongs_nowhere() -> Error {
    Error::Forbidden("You do not belong to an organisation.".into())
}

impl Engine {
    /// Who presents `token`, in the organisation that the request names (by id or slug), else the token's own, else
    /// the person's default.
    pub async fn authenticate(&self, token: &str, organisation: Option<&str>) -> Result<Principal> {
        self.identify(token, organisation, false).await
    }

    /// [`Engine::authenticate`], of a browser's session or of any other token, and never of one as the other.
    async fn identify(&self, token: &str, organisation: Option<&str>, session: bool) -> Result<Principal> {
        let presented = token::Presented::parse(token).ok_or(Error::Unauthenticated)?;
        let named = match organisation {
            None => Named::Nothing,
            // A slug never looks like an id.
            Some(text) => text.parse().map_or(Named::Slug(text), Named::Id),
        };
        let mut reader = self.store.reader().await?;
        let key = presented.id.map_or(Key::Hash(&presented.hash), Key::Id);
        let found = tokens::find(&mut reader, key, named).await?.ok_or(Error::Unauthenticated)?;
        let same = bool::from(found.hash.as_bytes().ct_eq(presented.hash.as_bytes()));
        let now = self.clock.now();
        let expired = found.expires_at.is_some_and(|at| at <= now);
        let is_session = found.kind == TokenKind::Session;
        if !same || expired || found.disabled_at.is_some() || is_session != session {
            return Err(Error::Unauthenticated);
        }
        let asked = !matches!(named, Named::Nothing);
        if asked && (found.named.is_none() || found.bound_to.is_some_and(|bound| Some(bound) != found.named))
        {
            return Err(Error::NotFound("Organisation"));
        }
        let (organisation_id, role) = match found.membership {
            Some(membership) => membership,
            None if found.bound_to.is_some() => return Err(Error::Unauthenticated),
            None if asked => return Err(Error::NotFound("Organisation")),
            // The default is unset or was left: the oldest place will do.
            None => users::memberships(&mut reader, found.user_id, None)
                .await?
                .first()
                .map(|membership| (membership.organisation_id, membership.role))
                .ok_or_else(belongs_nowhere)?,
        };
        drop(reader);
        if found.last_used_at.is_none_or(|at| now.since(at) >= TOUCH_AFTER) {
            self.touch_token(found.id, now, session.then(|| now.plus(IDLE)));
        }
        let token_abilities = Abilities::from_names(found.abilities.iter().map(String::as_str));
        Ok(Principal {
            user_id: found.user_id,
            token_id: found.id,
            organisation_id,
            role,
            abilities: token_abilities.meet(role.abilities()),
            token_abilities,
            bound: found.bound_to.is_some(),
            session,
            reach: found.reach,
            unpaid: None,
        })
    }

    /// Whether a caller who was let in would be let in now, to read.
    pub(crate) async fn is_still_good(&self, principal: &Principal) -> Result<bool> {
        let named = Named::Id(principal.organisation_id);
        let found = tokens::find(&mut self.store.reader().await?, Key::Id(principal.token_id), named).await?;
        let now = self.clock.now();
        Ok(found.is_some_and(|found| {
            found.expires_at.is_none_or(|at| at > now)
                && found.disabled_at.is_none()
                && found.membership.is_some_and(|(organisation, role)| {
                    organisation == principal.organisation_id
                        && role.abilities().meet(principal.token_abilities).allows(Ability::Read)
                })
        }))
    }

    /// Records the use apart from the request: a busy or full database must not hold up or fail a read.
    fn touch_token(&self, id: i64, now: Timestamp, expires_at: Option<Timestamp>) {
        let store = self.store.clone();
        tokio::spawn(async move {
            let touched = async {
                let mut tx = store.begin().await?;
                tokens::touch(&mut tx, id, now, now.minus(TOUCH_AFTER), expires_at).await?;
                tx.commit().await
            };
            if let Err(error) = touched.await {
                tracing::warn!(token = id, %error, "the use of a token could not be recorded");
            }
        });
    }

    /// Ends the caller's token; other tokens of the person go on.
    pub async fn logout(&self, principal: &Principal) -> Result<()> {
        let mut tx = self.store.begin().await?;
        tokens::delete(&mut tx, principal.token_id).await?;
        Ok(tx.commit().await?)
    }
}
