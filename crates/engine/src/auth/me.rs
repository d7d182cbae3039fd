//! The caller, as told to the caller.

use kabar_store::tokens::{self, Token};
use kabar_store::users::{self, Membership, User};

use super::Principal;
use crate::Engine;
use crate::error::{Error, Result};

#[derive(Clone, Debug)]
pub struct Me {
    pub user: User,
    pub token: Token,
    /// Those the token is good for.
    pub organisations: Vec<Membership>,
}

impl Engine {
    /// Who the caller is. Needs no ability.
    pub async fn me(&self, principal: &Principal) -> Result<Me> {
        let mut reader = self.store.reader().await?;
        let user = users::by_id(&mut reader, principal.user_id).await?.ok_or(Error::Unauthenticated)?;
        let mut token =
            tokens::by_id(&mut reader, principal.token_id).await?.ok_or(Error::Unauthenticated)?;
        // This very request may not be recorded yet.
        token.last_used_at = token.last_used_at.or_else(|| Some(self.clock.now()));
        let organisations = users::memberships(&mut reader, principal.user_id, principal.only()).await?;
        Ok(Me { user, token, organisations })
    }
}
